/* SPDX-License-Identifier: Apache-2.0
 *
 * missing.h - why a device that one would expect is not in the list. */
#ifndef VS_HOST_MISSING_H
#define VS_HOST_MISSING_H

#include "videossm.h"

/* Where the system says what it has; tests give folders of their own. */
struct host_places {
    const char *vendors; /* folder of .icd files, or one .icd file */
    const char *dri;     /* render nodes: "/dev/dri" */
    const char *drm;     /* graphics cards: "/sys/class/drm" */
    const char *nvidia;  /* there while NVIDIA's kernel module is: "/proc/driver/nvidia" */
    bool vendors_from_environment;
};

/* What was seen, and what to do. */
struct host_gap {
    char *what, *remedy; /* owned */
};

struct host_gaps {
    struct host_gap *items;
    size_t n;
};

/* The places of this system; OCL_ICD_VENDORS replaces /etc/OpenCL/vendors. */
void host_places_init(struct host_places *places);

/* Compares the list of devices with the drivers and cards that the system has. An empty result:
 * nothing looks wrong. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_gaps_collect(struct host_gaps *gaps, const struct host_places *places,
                                          const struct vs_device_info *devices, size_t n_devices);

void host_gaps_free(struct host_gaps *gaps);

#endif
