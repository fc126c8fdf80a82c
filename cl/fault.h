/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h - faults on demand, so that tests can prove that each is survived.
 *
 * VS_FAIL=KIND:LIST in the environment has these fail, counted from 1 as the process comes to them:
 *
 *     memory   allocations: the library's and the program's own, jansson's, libpng's, buffers
 *     opencl   OpenCL calls that can fail, but for questions about platforms and devices
 *     launch   launches of kernels, which are OpenCL calls too
 *
 * LIST is "100,200" for those two, "100-" for all from there on. Of what goes on in several threads
 * the order, and so the number, may differ from run to run. VS_FAIL_COUNT=FILE has the program
 * write how many of each there were. */
#ifndef VS_CL_FAULT_H
#define VS_CL_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum vs_fault { VS_FAULT_MEMORY, VS_FAULT_OPENCL, VS_FAULT_LAUNCH, VS_N_FAULTS };

/* Counts one; true when it is to fail. */
bool vs_fault_due(enum vs_fault kind);

/* How many there were. */
size_t vs_fault_count(enum vs_fault kind);

/* "memory", "opencl", "launch". */
const char *vs_fault_name(enum vs_fault kind);

#endif
