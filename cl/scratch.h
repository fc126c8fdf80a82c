/* SPDX-License-Identifier: Apache-2.0
 *
 * scratch.h - room on the device for what an operation keeps between its launches. */
#ifndef VS_CL_SCRATCH_H
#define VS_CL_SCRATCH_H

#include "cl/buffer.h"

/* What the room is for: two uses never share one. */
enum vs_scratch {
    VS_SCRATCH_WEIGHT,  /* widened */
    VS_SCRATCH_PRODUCT, /* what may not overwrite its output yet */
    VS_SCRATCH_TILES,   /* of a convolution, transformed */
    VS_SCRATCH_SUMS,    /* of its products, before they are transformed back */
    VS_SCRATCH_LIBRARY, /* of another library's own */
    VS_SCRATCH_FIRST,   /* of its first call */
    VS_N_SCRATCH
};

/* At least n_bytes, of which the next operation on the selected queue may make other use. It grows
 * as it must, also while the context is dry, so that a rehearsal leaves it as large as it gets.
 * *is_new, unless NULL: whether it was made just now. */
VS_CHECK enum vs_status vs_scratch_get(const struct vs_buffer **buffer, bool *is_new,
                                       struct vs_context *context, enum vs_scratch use,
                                       size_t n_bytes);

/* Gives the room back; what was enqueued keeps it until it has run. Freeing a context does so. */
void vs_scratch_free(struct vs_context *context);

#endif
