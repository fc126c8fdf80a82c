/* SPDX-License-Identifier: Apache-2.0
 *
 * cache.c - slots, eviction and the fold into the state. */
#include "models/cache.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "kernels/memory/memory.h"

/* Of the unit length of keys and queries of the state, as in Gated DeltaNet. */
static const float unit_eps = 1e-6f;

size_t vs_cache_frame_tokens(const struct vs_cache *cache)
{
    return cache->shape.grid_rows * cache->shape.grid_columns;
}

size_t vs_cache_width(const struct vs_cache *cache)
{
    return cache->shape.n_heads * cache->shape.head_dim;
}

static struct vs_rope_shape rope_shape(const struct vs_cache *cache, size_t n_frames)
{
    return (struct vs_rope_shape){.head_dim = cache->shape.head_dim,
                                  .n_frames = n_frames,
                                  .grid_rows = cache->shape.grid_rows,
                                  .grid_columns = cache->shape.grid_columns};
}

static enum vs_status create_layers(struct vs_buffer ***buffers, struct vs_cache *cache,
                                    size_t width, enum vs_dtype dtype)
{
    enum vs_status status = VS_OK;
    size_t n = cache->shape.n_slots * vs_cache_frame_tokens(cache);
    *buffers = vs_alloc(cache->shape.n_layers, sizeof **buffers);
    if (!*buffers)
        return VS_ERROR_MEMORY;
    for (size_t layer = 0; layer < cache->shape.n_layers; layer++) {
        size_t n_bytes;
        if (!vs_mul_ok(n, width, &n_bytes) ||
            !vs_mul_ok(n_bytes, vs_dtype_info(dtype)->n_bytes, &n_bytes))
            return vs_fail(VS_ERROR_MEMORY, "the KV cache exceeds the address space");
        VS_TRY(vs_buffer_create(*buffers + layer, cache->context, n_bytes));
    }
fail:
    return status;
}

enum vs_status vs_cache_create(struct vs_cache **out, struct vs_context *context,
                               const struct vs_cache_shape *shape)
{
    enum vs_status status = VS_OK;
    struct vs_cache *cache = vs_alloc(1, sizeof *cache);
    *out = NULL;
    if (!cache)
        return VS_ERROR_MEMORY;
    cache->context = context;
    cache->shape = *shape;
    size_t width = vs_cache_width(cache), tokens = vs_cache_frame_tokens(cache);
    struct vs_rope_shape largest = rope_shape(cache, shape->n_slots);
    size_t table = vs_rope_table_size(&largest);

    vs_context_charge(context, VS_USE_KV);
    VS_TRY(create_layers(&cache->k, cache, width, shape->kv));
    VS_TRY(create_layers(&cache->v, cache, width, shape->kv));
    if (shape->memory) {
        size_t n_state = shape->n_layers * width * shape->head_dim;
        VS_TRY(create_layers(&cache->beta, cache, shape->beta_width, VS_F32));
        VS_TRY(create_layers(&cache->alpha, cache, shape->alpha_width, VS_F32));
        vs_context_charge(context, VS_USE_STATE);
        VS_TRY(vs_floats_create(&cache->state, context, NULL, n_state));
        VS_TRY(vs_buffer_zero(cache->state, 0, n_state * sizeof(float)));
        VS_TRY(vs_floats_create(&cache->evicted_k, context, NULL, shape->chunk * tokens * width));
        vs_context_charge(context, VS_USE_KV);
    }
    VS_TRY(vs_floats_create(&cache->latents, context, NULL, shape->n_slots * shape->latent_size));
    VS_TRY(vs_floats_create(&cache->rope_table, context, NULL, table));
    VS_TRY(vs_buffer_create(&cache->slots, context, shape->n_slots * sizeof *cache->order));
    cache->order = vs_alloc(shape->n_slots, sizeof *cache->order);
    cache->frames = vs_alloc(shape->n_slots, sizeof *cache->frames);
    cache->positions = vs_alloc(shape->n_slots, sizeof *cache->positions);
    cache->host_table = vs_alloc(table, sizeof *cache->host_table);
    if (!cache->order || !cache->frames || !cache->positions || !cache->host_table) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    *out = cache;
    return VS_OK;
fail:
    vs_cache_free(cache);
    return status;
}

enum vs_status vs_cache_reset(struct vs_cache *cache)
{
    cache->n_cached = cache->n_coming = cache->n_folded = 0;
    return cache->state ? vs_buffer_zero(cache->state, 0, vs_buffer_bytes(cache->state)) : VS_OK;
}

enum vs_status vs_cache_rest(struct vs_cache *cache)
{
    enum vs_status status = VS_OK;
    struct vs_buffer **const kinds[] = {cache->k, cache->v, cache->beta, cache->alpha};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t layer = 0; kinds[i] && layer < cache->shape.n_layers; layer++)
            VS_TRY(vs_buffer_rest(kinds[i][layer], true));
    if (cache->evicted_k)
        VS_TRY(vs_buffer_rest(cache->evicted_k, false));
fail:
    return status;
}

enum vs_status vs_cache_wake(struct vs_cache *cache)
{
    enum vs_status status = VS_OK;
    struct vs_buffer **const kinds[] = {cache->k, cache->v, cache->beta, cache->alpha};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t layer = 0; kinds[i] && layer < cache->shape.n_layers; layer++)
            VS_TRY(vs_buffer_wake(kinds[i][layer]));
    if (cache->evicted_k)
        VS_TRY(vs_buffer_wake(cache->evicted_k));
fail:
    return status;
}

static void free_layers(struct vs_buffer **buffers, size_t n)
{
    for (size_t i = 0; buffers && i < n; i++)
        vs_buffer_free(buffers[i]);
    free(buffers);
}

void vs_cache_free(struct vs_cache *cache)
{
    if (!cache)
        return;
    free_layers(cache->k, cache->shape.n_layers);
    free_layers(cache->v, cache->shape.n_layers);
    free_layers(cache->beta, cache->shape.n_layers);
    free_layers(cache->alpha, cache->shape.n_layers);
    vs_buffer_free(cache->state);
    vs_buffer_free(cache->latents);
    vs_buffer_free(cache->slots);
    vs_buffer_free(cache->evicted_k);
    vs_buffer_free(cache->rope_table);
    free(cache->order);
    free(cache->frames);
    free(cache->positions);
    free(cache->host_table);
    free(cache);
}

int64_t vs_cache_position(const struct vs_cache *cache, size_t i)
{
    return cache->shape.rope_relative ? (int64_t)i : cache->frames[i];
}

struct vs_span vs_cache_state(const struct vs_cache *cache, size_t layer)
{
    return vs_span_at(cache->state, layer * vs_cache_width(cache) * cache->shape.head_dim);
}

/* Uploads a table for the n frames in cache->positions. */
static enum vs_status upload_table(struct vs_cache *cache, const struct vs_rope_shape *shape,
                                   bool frame_only)
{
    vs_rope_table_fill(cache->host_table, shape, cache->positions, frame_only);
    return vs_buffer_write(cache->rope_table, 0, cache->host_table,
                           vs_rope_table_size(shape) * sizeof *cache->host_table);
}

/* Folds the frames at logical positions [first, first + n) into every layer's state. */
static enum vs_status fold(struct vs_cache *cache, size_t first, size_t n)
{
    const struct vs_cache_shape *shape = &cache->shape;
    enum vs_status status = VS_OK;
    size_t tokens = vs_cache_frame_tokens(cache);
    struct vs_span k = vs_span_of(cache->evicted_k), table = vs_span_of(cache->rope_table);
    /* Keys before RoPE: turn back by the position. Keys turned by absolute frames: turn on by
     * what the position lacks (nothing, unless positions are relative). */
    struct vs_rope rope = {.shape = rope_shape(cache, n),
                           .n_heads = shape->n_heads,
                           .backwards = !shape->memory_roped,
                           .in_slots = cache->slots,
                           .first_in_slot = first,
                           .in = shape->kv};
    struct vs_memory_update update = {.n_rows = n * tokens,
                                      .n_heads = shape->n_heads,
                                      .head_dim = shape->head_dim,
                                      .beta_width = shape->beta_width,
                                      .alpha_width = shape->alpha_width,
                                      .slots = cache->slots,
                                      .first_slot = first,
                                      .rows_per_slot = tokens,
                                      .v = shape->kv};
    for (size_t i = 0; i < n; i++) {
        int64_t position = vs_cache_position(cache, first + i);
        cache->positions[i] =
            shape->memory_roped ? cache->frames[first + i] - position : position;
    }
    VS_TRY(upload_table(cache, &rope.shape, shape->memory_roped));
    for (size_t layer = 0; layer < shape->n_layers; layer++) {
        VS_TRY(vs_rope_run(cache->context, k, vs_span_of(cache->k[layer]), table, &rope));
        VS_TRY(vs_unit_run(cache->context, k, k, update.n_rows * shape->n_heads, shape->head_dim,
                           unit_eps));
        VS_TRY(vs_memory_update_run(cache->context, vs_cache_state(cache, layer), k,
                                    vs_span_of(cache->v[layer]), vs_span_of(cache->beta[layer]),
                                    vs_span_of(cache->alpha[layer]), &update));
    }
fail:
    return status;
}

/* Turns the keys at logical positions [first, n_cached) back by n frames. */
static enum vs_status shift_keys(struct vs_cache *cache, size_t first, size_t n)
{
    enum vs_status status = VS_OK;
    size_t n_frames = cache->n_cached - first;
    struct vs_rope rope = {.shape = rope_shape(cache, n_frames),
                           .n_heads = cache->shape.n_heads,
                           .in_slots = cache->slots,
                           .out_slots = cache->slots,
                           .first_in_slot = first,
                           .first_out_slot = first,
                           .in = cache->shape.kv,
                           .out = cache->shape.kv};
    for (size_t i = 0; i < n_frames; i++)
        cache->positions[i] = -(int64_t)n;
    VS_TRY(upload_table(cache, &rope.shape, true));
    for (size_t layer = 0; layer < cache->shape.n_layers; layer++) {
        struct vs_span k = vs_span_of(cache->k[layer]);
        VS_TRY(vs_rope_run(cache->context, k, k, vs_span_of(cache->rope_table), &rope));
    }
fail:
    return status;
}

static enum vs_status upload_order(const struct vs_cache *cache)
{
    return vs_buffer_write(cache->slots, 0, cache->order,
                           (cache->n_cached + cache->n_coming) * sizeof *cache->order);
}

enum vs_status vs_cache_make_room(struct vs_cache *cache, size_t n_coming)
{
    enum vs_status status = VS_OK;
    size_t sink = cache->shape.sink;
    cache->n_coming = 0;
    if (cache->n_cached + n_coming <= cache->shape.n_slots)
        return VS_OK;
    size_t n = cache->n_cached + n_coming - cache->shape.n_slots;
    VS_TRY(upload_order(cache));
    if (cache->shape.memory)
        VS_TRY(fold(cache, sink, n));
    if (cache->shape.rope_relative && sink + n < cache->n_cached)
        VS_TRY(shift_keys(cache, sink + n, n));
    size_t n_behind = cache->n_cached - sink - n;
    memmove(cache->order + sink, cache->order + sink + n, n_behind * sizeof *cache->order);
    memmove(cache->frames + sink, cache->frames + sink + n, n_behind * sizeof *cache->frames);
    cache->n_cached -= n;
    cache->n_folded += n;
fail:
    return status;
}

static bool is_taken(const struct vs_cache *cache, size_t n_used, int32_t slot)
{
    for (size_t i = 0; i < n_used; i++)
        if (cache->order[i] == slot)
            return true;
    return false;
}

enum vs_status vs_cache_begin(struct vs_cache *cache, const int64_t *frames, size_t n)
{
    int32_t slot = 0;
    if (n > cache->shape.n_slots - cache->n_cached)
        return vs_fail(VS_ERROR_RUNTIME, "%zu frames do not fit into the cache", n);
    for (size_t i = 0; i < n; i++) {
        size_t position = cache->n_cached + i;
        while (is_taken(cache, position, slot))
            slot++;
        cache->order[position] = slot;
        cache->frames[position] = frames[i];
    }
    cache->n_coming = n;
    return upload_order(cache);
}

enum vs_status vs_cache_commit(struct vs_cache *cache, struct vs_span latents)
{
    enum vs_status status = VS_OK;
    size_t frame_bytes = cache->shape.latent_size * sizeof(float);
    for (size_t i = 0; i < cache->n_coming; i++) {
        size_t slot = (size_t)cache->order[cache->n_cached + i];
        VS_TRY(vs_buffer_copy(cache->latents, slot * frame_bytes, latents.buffer,
                              latents.offset * sizeof(float) + i * frame_bytes, frame_bytes));
    }
    vs_cache_finish(cache);
fail:
    return status;
}

void vs_cache_rewind(struct vs_cache *cache)
{
    cache->n_cached = cache->n_coming = 0;
}

enum vs_status vs_cache_again(struct vs_cache *cache, size_t n)
{
    cache->n_coming = n;
    return upload_order(cache);
}

void vs_cache_finish(struct vs_cache *cache)
{
    cache->n_cached += cache->n_coming;
    cache->n_coming = 0;
}
