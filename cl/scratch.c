/* SPDX-License-Identifier: Apache-2.0
 *
 * scratch.c - one buffer for each use and queue, as large as the largest wish so far. */
#include "cl/scratch.h"

#include "cl/opencl.h"

enum vs_status vs_scratch_get(const struct vs_buffer **buffer, bool *is_new,
                              struct vs_context *context, enum vs_scratch use, size_t n_bytes)
{
    enum vs_status status = VS_OK;
    struct vs_buffer **kept = &context->scratch[context->selected][use];
    bool grows = !*kept || vs_buffer_bytes(*kept) < n_bytes;
    if (grows) {
        VS_TRY(vs_context_finish(context)); /* what was enqueued may use the old one */
        vs_buffer_free(*kept);
        *kept = NULL;
        VS_TRY(vs_buffer_create(kept, context, n_bytes));
    }
    if (is_new)
        *is_new = grows;
    *buffer = *kept;
fail:
    return status;
}

void vs_scratch_free(struct vs_context *context)
{
    for (int queue = 0; queue < VS_N_QUEUES; queue++)
        for (int use = 0; use < VS_N_SCRATCH; use++) {
            vs_buffer_free(context->scratch[queue][use]);
            context->scratch[queue][use] = NULL;
        }
}
