/* SPDX-License-Identifier: Apache-2.0
 *
 * context.h - one opened device with its in-order queues, as the layers above see it.
 *
 * vs_context_create(), vs_context_free() and vs_context_device() stand in videossm.h. */
#ifndef VS_CL_CONTEXT_H
#define VS_CL_CONTEXT_H

#include "cl/status.h"

/* Work of one queue runs in its order, beside that of the other; who needs results of the other
 * queue waits for them on the host, or has its own queue wait (vs_fence_follow()). The side queue
 * decodes, or brings weights. */
enum vs_queue { VS_QUEUE_MAIN, VS_QUEUE_SIDE, VS_N_QUEUES };

/* Everything is enqueued on this queue from now on; VS_QUEUE_MAIN to begin with. */
void vs_context_select(struct vs_context *context, enum vs_queue queue);

/* Waits until everything enqueued on any queue has run. */
VS_CHECK enum vs_status vs_context_finish(struct vs_context *context);
/* The same for those who clean up: whatever it finds wrong, the message of the fault before it
 * stays. */
void vs_context_drain(struct vs_context *context);

/* A place in the stream of work; {0} at first. */
struct vs_fence {
    struct vs_context *context;
    void *event;
};

/* The fence is now behind all that the selected queue holds. */
VS_CHECK enum vs_status vs_fence_set(struct vs_fence *fence, struct vs_context *context);
/* Waits until all before the fence has run, then clears it. A fence not set is no wait. */
VS_CHECK enum vs_status vs_fence_wait(struct vs_fence *fence);
/* What is enqueued on the selected queue from now on begins when all before the fence has run. The
 * host does not wait, and the fence stays set. */
VS_CHECK enum vs_status vs_fence_follow(const struct vs_fence *fence);
void vs_fence_clear(struct vs_fence *fence);

/* SHA-256 over what decides how programs run here: names and versions of device, driver and
 * platform, the processor's features where the device is a CPU, this program's version. */
void vs_context_fingerprint(const struct vs_context *context, char hex[65]);

/* float32 lanes of the device's own vectors (16 with AVX-512, 8 with AVX2, 1 on most GPUs): the
 * shape of a CPU's register tiles follows from it. */
unsigned vs_context_vector_width(const struct vs_context *context);
/* Whether programs bring their own fma (cl/software_fma.h): the driver is Mesa's llvmpipe. */
bool vs_context_software_fma(const struct vs_context *context);

/* While dry, kernels are built and arguments set, but nothing is enqueued: launches, copies, reads
 * and writes of buffers return at once. A rehearsal in this state leaves every program compiled. */
void vs_context_set_dry(struct vs_context *context, bool dry);
bool vs_context_is_dry(const struct vs_context *context);

/* Device memory held by buffers of this context now, and at most so far, in bytes. */
size_t vs_context_allocated_bytes(const struct vs_context *context);
size_t vs_context_peak_bytes(const struct vs_context *context);

/* ---- Plans -------------------------------------------------------------------------------- */

/* A context that is all bookkeeping: everything can be made and run in it as in another one of that
 * device, but buffers have no storage, programs are not built, nothing is enqueued, and what is
 * read is zeros. What a run takes is thus what its own code asks for. */
VS_CHECK enum vs_status vs_context_create_hollow(struct vs_context **context, const char *spec);
bool vs_context_is_hollow(const struct vs_context *context);

/* What buffers made from now on are for; VS_USE_OTHER to begin with. */
void vs_context_charge(struct vs_context *context, enum vs_use use);

/* Memory by use when most of it was needed since vs_context_forget_peak(). */
struct vs_memory vs_context_peak(const struct vs_context *context);
void vs_context_forget_peak(struct vs_context *context);

/* The most that buffers at rest have kept on the host so far. */
size_t vs_context_peak_resting_bytes(const struct vs_context *context);

/* The largest buffer made since vs_context_forget_peak(), and its use. */
size_t vs_context_largest_buffer(const struct vs_context *context, enum vs_use *use);

#endif
