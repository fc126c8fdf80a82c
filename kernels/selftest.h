/* SPDX-License-Identifier: Apache-2.0
 *
 * selftest.h - a known-answer test of a device, before its results are trusted.
 *
 * vs_context_selftest() stands in videossm.h. Small cases of every family run on the device and
 * are compared with the oracles bit for bit. That a device passed is kept on disk, keyed by device,
 * driver, this program's version and all OpenCL C, so that only the first use of each pays for it;
 * with VS_KERNEL_DIR nothing is kept. */
#ifndef VS_KERNELS_SELFTEST_H
#define VS_KERNELS_SELFTEST_H

#include "cl/status.h"

/* The family of that number as the self-test names it, NULL past the last. */
const char *vs_selftest_family(size_t index);

#endif
