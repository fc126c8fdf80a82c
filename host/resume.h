/* SPDX-License-Identifier: Apache-2.0
 *
 * resume.h - `generate` with a run that was kept: going on, branching off, making it longer. */
#ifndef VS_HOST_RESUME_H
#define VS_HOST_RESUME_H

#include "host/run.h"
#include "models/run_plan.h"

struct host_resume {
    const char *dir;                   /* of the run */
    bool redo;                         /* branch off at `from`, in seconds of the video */
    double from;
    double extend;                     /* seconds more; 0: none */
    const struct host_prompts *prompts; /* of a branch: from the time `from` on */
};

/* A kept run, and what is to be made of it. */
struct host_resumed {
    struct host_kept *kept;
    struct host_prompts prompts; /* of a branch */
    struct vs_generate_options wish;
};

/* Opens the run, for a plan without touching it (only_look), completes `run` from its record and
 * settles the wish. What was opened is freed by host_resume_close(), also after a fault. */
VS_CHECK enum vs_status host_resume_open(struct host_resumed *resumed, struct host_run *run,
                                         const struct host_resume *resume, bool only_look);
void host_resume_close(struct host_resumed *resumed);

/* What of it is there already, for a plan. Damaged latents are told on standard error. */
VS_CHECK enum vs_status host_resume_past(struct vs_run_past *past,
                                         const struct host_resumed *resumed,
                                         const struct host_run *run,
                                         const struct host_resume *resume,
                                         const struct vs_model *model);

/* Makes the video of a kept run, or the branch, into run->outputs, or the run's own where there are
 * none. run is completed from the record. VS_ERROR_MODEL: another model or version. */
VS_CHECK enum vs_status host_resume_video(struct host_run *run, const struct host_resume *resume,
                                          bool *told);

#endif
