/* SPDX-License-Identifier: Apache-2.0
 *
 * launch.h - setting arguments and starting kernels.
 *
 *     struct vs_launch launch;
 *     vs_launch_begin(&launch, context, &vs_source_norm, "layernorm", "-DVS_AFFINE=%d", affine);
 *     vs_launch_span(&launch, out);
 *     vs_launch_size(&launch, n_columns);
 *     return vs_launch_run(&launch, 1, (size_t[]){n_rows}, NULL, flops);
 *
 * The first fault is kept and returned by vs_launch_run(). A launch too long for a display's
 * watchdog is split along its last dimension through the global offset, so kernels must find
 * their place with get_global_id(), never with get_group_id() or get_global_size() of that
 * dimension. Results do not depend on the split. */
#ifndef VS_CL_LAUNCH_H
#define VS_CL_LAUNCH_H

#include "cl/buffer.h"
#include "cl/program.h"

struct vs_launch {
    struct vs_context *context;
    const struct vs_source *source;
    struct vs_kernel *kernel;
    struct _cl_kernel *handle; /* of OpenCL: the kernel's, or a recording's own */
    unsigned n_args;
    double bytes; /* see vs_launch_bytes() */
    enum vs_status status;
};

void vs_launch_begin(struct vs_launch *launch, struct vs_context *context,
                     const struct vs_source *source, const char *kernel, const char *options, ...)
    __attribute__((format(printf, 5, 6)));

/* Two kernel arguments: `__global float *x, ulong x_offset`. */
void vs_launch_span(struct vs_launch *launch, struct vs_span span);
/* One argument: `__global T *x`; NULL allowed where the kernel does not read it. */
void vs_launch_buffer(struct vs_launch *launch, const struct vs_buffer *buffer);
/* `ulong`, `int`, `float`. */
void vs_launch_size(struct vs_launch *launch, size_t value);
void vs_launch_int(struct vs_launch *launch, int value);
void vs_launch_float(struct vs_launch *launch, float value);

/* For profiles: what the operation reads and writes, each input and output once. */
void vs_launch_bytes(struct vs_launch *launch, double n_bytes);

/* Starts the kernel over `global` items in groups of `local` (NULL: the driver's choice; then
 * global may be any size, else it must be a multiple). flops: arithmetic operations of the whole
 * launch, for the split and for profiles; those of the formula, but where an algorithm saves some
 * (vs_profile_save()). Where one operation takes several launches, it is their sum. Nothing is
 * started when a size is 0. */
VS_CHECK enum vs_status vs_launch_run(struct vs_launch *launch, unsigned n_dims,
                                      const size_t *global, const size_t *local, double flops);

#endif
