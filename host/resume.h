/* SPDX-License-Identifier: Apache-2.0
 *
 * resume.h - `generate` with a run that was kept: going on, branching off, making it longer. */
#ifndef VS_HOST_RESUME_H
#define VS_HOST_RESUME_H

#include "host/run.h"

struct host_resume {
    const char *dir;                   /* of the run */
    bool redo;                         /* branch off at `from`, in seconds of the video */
    double from;
    double extend;                     /* seconds more; 0: none */
    const struct host_prompts *prompts; /* of a branch: from the time `from` on */
};

/* Makes the video of a kept run, or the branch, into run->outputs, or the run's own where there are
 * none. run is completed from the record. VS_ERROR_MODEL: another model or version. */
VS_CHECK enum vs_status host_resume_video(struct host_run *run, const struct host_resume *resume,
                                          bool *told);

#endif
