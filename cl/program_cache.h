/* SPDX-License-Identifier: Apache-2.0
 *
 * program_cache.h - compiled programs kept on disk (cl/disk_cache.h, kind "programs").
 *
 * For program.c alone. The key covers source, options, device, driver, platform, the processor's
 * features and this program's version, so a stale entry is one that nobody asks for. A driver that
 * rejects its own binary costs a compilation, never a failure. */
#ifndef VS_CL_PROGRAM_CACHE_H
#define VS_CL_PROGRAM_CACHE_H

#include "cl/opencl.h"

void vs_program_cache_key(char key[65], const struct vs_context *context, const char *text,
                          const char *options);

/* The program, built, from its stored binary; NULL if there is none that the driver takes. */
cl_program vs_program_cache_load(const struct vs_context *context, const char key[65],
                                 const char *options);

/* Keeps the binary of a built program. */
void vs_program_cache_store(const char key[65], cl_program program);

#endif
