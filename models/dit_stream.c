/* SPDX-License-Identifier: Apache-2.0
 *
 * dit_stream.c - which block lies in which set, and when it may be replaced. */
#include "models/dit_stream.h"

#include <stdlib.h>

#include "cl/alloc.h"

struct set {
    struct vs_buffer *buffers[VS_BLOCK_MATRICES]; /* each as large as the largest of its kind */
    struct vs_block_params block; /* of the layer it holds, with these buffers */
    size_t layer;
    bool full;
    struct vs_fence ready; /* behind its upload */
    struct vs_fence used;  /* behind the last that reads it */
};

struct vs_dit_stream {
    struct vs_context *context;
    struct vs_block_params *blocks;
    size_t n_blocks;
    struct set sets[2];
    size_t now; /* the set last begun with */
};

enum vs_status vs_dit_stream_create(struct vs_dit_stream **out, struct vs_context *context,
                                    struct vs_block_params *blocks, size_t n_blocks)
{
    enum vs_status status = VS_OK;
    struct vs_weight *matrices[VS_BLOCK_MATRICES];
    size_t largest[VS_BLOCK_MATRICES] = {0};
    struct vs_dit_stream *stream = vs_alloc(1, sizeof *stream);
    *out = NULL;
    if (!stream)
        return VS_ERROR_MEMORY;
    *stream = (struct vs_dit_stream){.context = context, .blocks = blocks, .n_blocks = n_blocks};
    for (size_t layer = 0; layer < n_blocks; layer++) {
        size_t n = vs_block_matrices(matrices, blocks + layer);
        for (size_t i = 0; i < n; i++)
            if (largest[i] < vs_weight_bytes(matrices[i]))
                largest[i] = vs_weight_bytes(matrices[i]);
    }
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < VS_BLOCK_MATRICES && largest[i]; i++)
            VS_TRY(vs_buffer_create(&stream->sets[s].buffers[i], context, largest[i]));
    *out = stream;
    return VS_OK;
fail:
    vs_dit_stream_free(stream);
    return status;
}

void vs_dit_stream_free(struct vs_dit_stream *stream)
{
    if (!stream)
        return;
    vs_context_drain(stream->context);
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < VS_BLOCK_MATRICES; i++)
            vs_buffer_free(stream->sets[s].buffers[i]);
        vs_fence_clear(&stream->sets[s].ready);
        vs_fence_clear(&stream->sets[s].used);
    }
    free(stream);
}

/* The set's block is that layer's, its matrices in the set's buffers. */
static size_t place(struct vs_weight *matrices[VS_BLOCK_MATRICES], struct set *set,
                    const struct vs_dit_stream *stream, size_t layer)
{
    set->block = stream->blocks[layer];
    size_t n = vs_block_matrices(matrices, &set->block);
    for (size_t i = 0; i < n; i++)
        matrices[i]->buffer = set->buffers[i];
    return n;
}

static enum vs_status send(struct vs_dit_stream *stream, struct set *set, size_t layer)
{
    enum vs_status status = VS_OK;
    struct vs_weight *matrices[VS_BLOCK_MATRICES];
    size_t n = place(matrices, set, stream, layer);
    /* A rehearsal leaves the sets as they were. */
    set->full = false;
    vs_context_select(stream->context, VS_QUEUE_SIDE);
    VS_TRY(vs_fence_follow(&set->used));
    for (size_t i = 0; i < n; i++)
        VS_TRY(vs_buffer_send(set->buffers[i], 0, matrices[i]->data,
                              vs_weight_bytes(matrices[i])));
    VS_TRY(vs_fence_set(&set->ready, stream->context));
    set->layer = layer;
    set->full = !vs_context_is_dry(stream->context);
fail:
    vs_context_select(stream->context, VS_QUEUE_MAIN);
    return status;
}

static bool holds(const struct set *set, size_t layer)
{
    return set->full && set->layer == layer;
}

enum vs_status vs_dit_stream_begin(struct vs_dit_stream *stream,
                                   const struct vs_block_params **block, size_t layer)
{
    enum vs_status status = VS_OK;
    if (!holds(&stream->sets[stream->now], layer))
        stream->now = !stream->now;
    struct set *set = &stream->sets[stream->now];
    if (!holds(set, layer))
        VS_TRY(send(stream, set, layer));
    VS_TRY(vs_fence_follow(&set->ready));
    *block = &set->block;
fail:
    return status;
}

enum vs_status vs_dit_stream_end(struct vs_dit_stream *stream)
{
    enum vs_status status = VS_OK;
    struct set *set = &stream->sets[stream->now], *other = &stream->sets[!stream->now];
    size_t next = (set->layer + 1) % stream->n_blocks;
    VS_TRY(vs_fence_set(&set->used, stream->context));
    if (!holds(set, next) && !holds(other, next))
        VS_TRY(send(stream, other, next));
fail:
    return status;
}
