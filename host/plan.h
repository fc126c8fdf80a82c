/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h - `videossm-cl plan`, and the same check before `generate` loads anything. */
#ifndef VS_HOST_PLAN_H
#define VS_HOST_PLAN_H

#include "host/run.h"
#include "models/run_plan.h"

/* What an estimate of time rests on: nothing, tuning records of the device, or its peak. */
enum host_time_source { HOST_TIME_UNKNOWN, HOST_TIME_RECORDS, HOST_TIME_PEAK };
struct host_plan_time {
    enum host_time_source source;
    double encode_given, encode, denoise, decode; /* seconds */
    double last_chunk;              /* of denoise, the dearest chunk */
    double gflops, gbs;             /* the peak, if that is the source */
};

struct host_plan {
    struct vs_run_plan run;
    struct vs_run_past past;
    struct host_plan_time time; /* see host_plan_reckon() */
    uint64_t process_bytes; /* of the host: program, driver, pictures on their way to files */
};

/* What the process holds on the host during the run, the device's memory counted where it is the
 * host's own. */
uint64_t host_plan_host_bytes(const struct host_plan *plan);

/* A hollow context of the device that the options name, with their limits, and with tuning records
 * where precision is fast: its variants take memory of their own. */
VS_CHECK enum vs_status host_plan_open_context(struct vs_context **context,
                                               const struct host_run *run,
                                               const struct vs_generate_options *options);

/* Plans the run of those options there; past and work: see vs_run_plan(). */
VS_CHECK enum vs_status host_plan_make(struct host_plan *plan, const struct host_run *run,
                                       const struct vs_model *model,
                                       const struct vs_generate_options *options,
                                       const struct vs_run_past *past, bool work);

/* Reckons how long the run takes on a device that does nothing else; may_measure: from its peak,
 * which is measured, and the shares of it that kernels reach as a rule, else from tuning records. */
VS_CHECK enum vs_status host_plan_reckon(struct host_plan *plan, const char *device,
                                         bool may_measure);

/* VS_ERROR_MEMORY with what does not fit, and which options would make it fit, found by planning
 * them. settled: by a kept run, but for what changes no frame. */
VS_CHECK enum vs_status host_plan_check(const struct host_plan *plan, const struct host_run *run,
                                        const struct vs_model *model,
                                        const struct vs_generate_options *options, bool settled);

/* "412 MiB": three digits that mean something. Returns text. */
enum { HOST_SIZE_TEXT = 16 };
const char *host_size_text(char text[HOST_SIZE_TEXT], uint64_t n_bytes);

/* What a run writes to disk; of compressed files a bound, or what they take as a rule. */
struct host_plan_disk {
    uint64_t png, y4m, mp4; /* frames, by container */
    uint64_t latents;       /* of the whole run: kept, or in a temporary file */
    uint64_t checkpoints;   /* at most, with the one that is being written */
};
struct host_plan_disk host_plan_disk(const struct host_plan *plan);

/* The plan as a table, or as one JSON object. fault: why it cannot be, or NULL. */
void host_plan_print(FILE *file, const struct host_plan *plan, const struct vs_model_info *model,
                     const struct host_run *run);
VS_CHECK enum vs_status host_plan_print_json(FILE *file, const struct host_plan *plan,
                                             const struct vs_model_info *model,
                                             const char *fault);

#endif
