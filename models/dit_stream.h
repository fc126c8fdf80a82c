/* SPDX-License-Identifier: Apache-2.0
 *
 * dit_stream.h - the transformer's blocks in two sets of device buffers: while the device works with
 * one block, the next comes into the other set on the side queue.
 *
 * What is sent is what the file holds, in its own number format, from the mapped file itself: the
 * host keeps no copy, and kernels read the same bytes as without. The host never waits; queues wait
 * for each other. */
#ifndef VS_MODELS_DIT_STREAM_H
#define VS_MODELS_DIT_STREAM_H

#include "cl/context.h"
#include "models/dit_weights.h"

struct vs_dit_stream;

/* blocks [n_blocks]: their matrices described, their vectors on the device; borrowed. */
VS_CHECK enum vs_status vs_dit_stream_create(struct vs_dit_stream **stream,
                                             struct vs_context *context,
                                             struct vs_block_params *blocks, size_t n_blocks);
/* Waits for the device: what is on its way comes from the caller's memory. */
void vs_dit_stream_free(struct vs_dit_stream *stream);

/* Everything enqueued on the main queue from now on finds the layer's weights in *block, which is
 * borrowed and stands until vs_dit_stream_end(). */
VS_CHECK enum vs_status vs_dit_stream_begin(struct vs_dit_stream *stream,
                                            const struct vs_block_params **block, size_t layer);

/* The layer's work is enqueued: the next one, which after the last is the first, is sent for. */
VS_CHECK enum vs_status vs_dit_stream_end(struct vs_dit_stream *stream);

#endif
