/* SPDX-License-Identifier: Apache-2.0
 *
 * recording.h - launches that are set up once and started again and again with the same arguments.
 *
 * Where a device has cl_khr_command_buffer the driver keeps them; elsewhere nothing is recorded and
 * everything is launched as ever. Buffers are the same at each run, what they hold need not be. The
 * results are those of the launches. */
#ifndef VS_CL_RECORDING_H
#define VS_CL_RECORDING_H

#include "cl/context.h"

/* {0} at first. */
struct vs_recording {
    struct vs_context *context; /* NULL: nothing is recorded */
    void **parts;               /* command buffers, each no longer than a launch may be */
    size_t n_parts;
    void **kernels; /* one for each launch */
    size_t n_kernels, room;
    double flops; /* of the last part */
};

/* Whether launches of this context can be recorded. Not while they are profiled or limited in time,
 * nor in fast precision, where another library may launch kernels of its own. */
bool vs_recording_possible(const struct vs_context *context);

/* All launches until vs_recording_end() are noted in the order of the main queue, and none is
 * started; the context may be dry. Nothing but launches can be recorded. */
VS_CHECK enum vs_status vs_recording_begin(struct vs_recording *recording,
                                           struct vs_context *context);

/* A driver that cannot do what it promises leaves nothing recorded, and is not asked again. */
void vs_recording_end(struct vs_recording *recording);

/* Starts what was recorded, on the main queue. One run must have ended before the next begins. */
VS_CHECK enum vs_status vs_recording_run(const struct vs_recording *recording);

void vs_recording_clear(struct vs_recording *recording);

#endif
