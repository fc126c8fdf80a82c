/* SPDX-License-Identifier: Apache-2.0
 *
 * validate.h - what `videossm-cl validate` found out about a device, and the ways to tell it. */
#ifndef VS_HOST_VALIDATE_H
#define VS_HOST_VALIDATE_H

#include <stdio.h>

#include "host/png_file.h"
#include "host/run.h"
#include "kernels/validate/validate.h"

enum { HOST_DEMO_PICTURES = 6 };

/* The demo video: hashes of all latents and of all frames as bytes. */
struct host_demo {
    char latents_sha256[65], frames_sha256[65]; /* "" when it was not made */
    enum vs_verdict verdict; /* VS_SKIP: there is nothing to hold the hashes against */
    char reason[320];
    size_t n_frames;
    struct host_bytes pictures[HOST_DEMO_PICTURES]; /* PNG files, evenly over the video */
    size_t picture_frames[HOST_DEMO_PICTURES];      /* their frame numbers */
    size_t n_pictures, width, height;
};

struct host_report {
    struct vs_device_info device;
    struct vs_denormals denormals;
    struct vs_case_result *cases;
    size_t n_cases;
    struct host_demo demo;
    bool failed;
    double seconds; /* the validation took */
};

void host_report_free(struct host_report *report);

/* Makes the demo video, of one chunk if quick, and holds it against the hashes that are shipped for
 * this model; in a context of fast precision it is made, and held against nothing. What the device
 * does wrong is the demo's verdict. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_demo_run(struct host_demo *demo, struct vs_context *context,
                                      const struct vs_model *model, bool quick);

/* The table, line by line as results come. */
void host_report_print_head(FILE *file, const struct vs_device_info *device,
                            const struct vs_denormals *denormals);
void host_report_print_case(FILE *file, const struct vs_case_result *result);
void host_report_print_end(FILE *file, const struct host_report *report);

/* Whole reports. JSON: an object for one device, an array for several. */
VS_CHECK enum vs_status host_reports_print_json(FILE *file, const struct host_report *reports,
                                                size_t n_reports);
VS_CHECK enum vs_status
host_reports_write_junit(const char *path, const struct host_report *reports, size_t n_reports);
VS_CHECK enum vs_status host_reports_write_html(const char *path, const struct host_report *reports,
                                                size_t n_reports);

/* Holds the hashes of two JSON reports against each other and prints what differs or is missing.
 * VS_ERROR_VALIDATION when something does, VS_ERROR_USAGE when a file is no report. */
VS_CHECK enum vs_status host_reports_compare(const char *path, const char *other_path);

const char *host_verdict_word(enum vs_verdict verdict);

#endif
