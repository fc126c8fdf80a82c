/* SPDX-License-Identifier: Apache-2.0
 *
 * huge_pages.h - large buffers of CPU devices in pages of 2 MiB.
 *
 * Rows of a cache or of weights lie pages apart, so with small pages a CPU must look up an address
 * for every row it reads; in a virtual machine that costs as much as the arithmetic. */
#ifndef VS_CL_HUGE_PAGES_H
#define VS_CL_HUGE_PAGES_H

#include "cl/opencl.h"

/* True if a buffer of this size should be made by vs_huge_buffer(). */
bool vs_huge_pages_suit(const struct vs_context *context, size_t n_bytes);

/* A buffer on host memory of its own, which goes with it, with the content of `host` unless that is
 * NULL. access: CL_MEM_READ_WRITE or CL_MEM_READ_ONLY. NULL, if memory or OpenCL refuse. */
cl_mem vs_huge_buffer(const struct vs_context *context, cl_mem_flags access, const void *host,
                      size_t n_bytes);

#endif
