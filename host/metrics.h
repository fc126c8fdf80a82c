/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h - what the files of `videossm-cl metrics` share. */
#ifndef VS_HOST_METRICS_H
#define VS_HOST_METRICS_H

#include <stdio.h>

#include "host/meter.h"

struct host_measured {
    const char *path;      /* as given; borrowed */
    enum vs_status status; /* of the measurement; what is below is filled in when VS_OK */
    struct host_metrics metrics;
    char *fault; /* its message, or NULL; owned */
};

/* One row a video. Those that could not be measured are left out: their faults were reported. */
void host_metrics_print(FILE *file, const struct host_measured *videos, size_t n_videos);

/* One JSON object. VS_ERROR_MEMORY, VS_ERROR_RUNTIME. */
VS_CHECK enum vs_status host_metrics_print_json(FILE *file, const struct host_measured *videos,
                                                size_t n_videos);

/* An SVG file with drift and flicker over time, one line a video. VS_ERROR_RUNTIME,
 * VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_metrics_plot(const char *path, const struct host_measured *videos,
                                          size_t n_videos);

#endif
