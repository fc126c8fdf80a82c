/* SPDX-License-Identifier: Apache-2.0
 *
 * program.h - OpenCL C compiled for a device.
 *
 * A program is a source and a string of -D options; each pair is built once per context. Binaries
 * are kept on disk (cl/disk_cache.h). With VS_KERNEL_DIR in the environment the text comes from
 * that folder instead of the program. With VS_TRACE_BUILDS each kernel's first use appends a line
 * `class-of-device source kernel options` to the file of that name. */
#ifndef VS_CL_PROGRAM_H
#define VS_CL_PROGRAM_H

#include "cl/status.h"

struct vs_source {
    const char *name; /* "gemm/gemm.cl" */
    const char *text;
};

struct vs_kernel;

/* The kernel of that name in source built with options (e.g. "-DVS_ROWS=8"). Borrowed from the
 * context. A compiler's complaint becomes the message. */
VS_CHECK enum vs_status vs_kernel_get(struct vs_kernel **kernel, struct vs_context *context,
                                      const struct vs_source *source, const char *name,
                                      const char *options);

/* Has compiling(user) called before a program is compiled from source, which takes its time. */
void vs_programs_watch(struct vs_context *context, void (*compiling)(void *user), void *user);

/* How many programs this context compiled from source, and how many came from the disk. */
void vs_programs_count(const struct vs_context *context, size_t *n_compiled, size_t *n_from_cache);

#endif
