/* SPDX-License-Identifier: Apache-2.0
 *
 * context.h - one opened device with its in-order queue, as the layers above see it.
 *
 * vs_context_create(), vs_context_free() and vs_context_device() stand in videossm.h. */
#ifndef VS_CL_CONTEXT_H
#define VS_CL_CONTEXT_H

#include "cl/status.h"

/* Waits until everything enqueued has run. */
VS_CHECK enum vs_status vs_context_finish(struct vs_context *context);

/* SHA-256 over what decides how programs run here: names and versions of device, driver and
 * platform, the processor's features where the device is a CPU, this program's version. */
void vs_context_fingerprint(const struct vs_context *context, char hex[65]);

/* float32 lanes of the device's own vectors (16 with AVX-512, 8 with AVX2, 1 on most GPUs): the
 * shape of a CPU's register tiles follows from it. */
unsigned vs_context_vector_width(const struct vs_context *context);

/* While dry, kernels are built and arguments set, but nothing is enqueued: launches, copies, reads
 * and writes of buffers return at once. A rehearsal in this state leaves every program compiled. */
void vs_context_set_dry(struct vs_context *context, bool dry);

/* Device memory held by buffers of this context now, and at most so far, in bytes. */
size_t vs_context_allocated_bytes(const struct vs_context *context);
size_t vs_context_peak_bytes(const struct vs_context *context);

#endif
