/* SPDX-License-Identifier: Apache-2.0
 *
 * cache.c - buffers, slots, eviction and the fold into the state. */
#include "models/cache.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "kernels/memory/memory.h"
#include "kernels/pointwise/pointwise.h"

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

/* ---- What is kept ------------------------------------------------------------------------- */

size_t vs_cached_head_width(const struct vs_cache *cache, enum vs_cached what)
{
    const struct vs_cache_shape *shape = &cache->shape;
    switch (what) {
    case VS_CACHED_BETA:
        return shape->beta_width / shape->n_heads;
    case VS_CACHED_ALPHA:
        return shape->alpha_width / shape->n_heads;
    default:
        return shape->head_dim;
    }
}

enum vs_dtype vs_cached_dtype(const struct vs_cache *cache, enum vs_cached what)
{
    return what == VS_CACHED_K || what == VS_CACHED_V ? cache->shape.kv : VS_F32;
}

static size_t head_bytes(const struct vs_cache *cache, enum vs_cached what)
{
    return vs_cached_head_width(cache, what) * vs_dtype_info(vs_cached_dtype(cache, what))->n_bytes;
}

static size_t count_rows(const struct vs_cache *cache)
{
    return cache->shape.n_slots * vs_cache_frame_tokens(cache);
}

/* As few groups as keep every buffer within what the device allows, of even size. */
static void settle_groups(struct vs_cache *cache, size_t n_kept)
{
    size_t largest_bytes = (size_t)vs_context_device(cache->context)->max_allocation_bytes;
    size_t n_heads = cache->shape.n_heads, widest = 0;
    for (size_t what = 0; what < n_kept; what++)
        if (widest < head_bytes(cache, (enum vs_cached)what))
            widest = head_bytes(cache, (enum vs_cached)what);
    size_t n_most = largest_bytes / count_rows(cache) / widest; /* heads of a group */
    if (!n_most)
        n_most = 1;
    cache->n_groups = (n_heads + n_most - 1) / n_most;
    cache->group_heads = (n_heads + cache->n_groups - 1) / cache->n_groups;
}

static size_t heads_of(const struct vs_cache *cache, size_t group)
{
    size_t n_left = cache->shape.n_heads - group * cache->group_heads;
    return n_left < cache->group_heads ? n_left : cache->group_heads;
}

static size_t n_buffers(const struct vs_cache *cache)
{
    return cache->shape.n_layers * cache->n_groups;
}

static enum vs_status create_kept(struct vs_cache *cache, enum vs_cached what)
{
    enum vs_status status = VS_OK;
    struct vs_buffer **buffers = vs_alloc(n_buffers(cache), sizeof *buffers);
    cache->kept[what] = buffers;
    if (!buffers)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n_buffers(cache); i++) {
        size_t n_heads = heads_of(cache, i % cache->n_groups), n_bytes;
        if (!vs_mul_ok(count_rows(cache), n_heads * head_bytes(cache, what), &n_bytes))
            return vs_fail(VS_ERROR_MEMORY, "the KV cache exceeds the address space");
        VS_TRY(vs_buffer_create(buffers + i, cache->context, n_bytes));
    }
fail:
    return status;
}

struct vs_cache_group vs_cache_group(const struct vs_cache *cache, size_t layer, size_t group)
{
    struct vs_cache_group found = {.first_head = group * cache->group_heads,
                                   .n_heads = heads_of(cache, group)};
    for (size_t what = 0; what < VS_N_CACHED; what++)
        if (cache->kept[what])
            found.kept[what] = vs_span_of(cache->kept[what][layer * cache->n_groups + group]);
    return found;
}

enum vs_status vs_cache_put(const struct vs_cache *cache, size_t layer, enum vs_cached what,
                            struct vs_span x)
{
    enum vs_status status = VS_OK;
    size_t tokens = vs_cache_frame_tokens(cache), width = vs_cached_head_width(cache, what);
    struct vs_scatter scatter = {.slots = cache->slots,
                                 .first_slot = cache->n_cached,
                                 .rows_per_slot = tokens,
                                 .n_rows = cache->n_coming * tokens,
                                 .x_stride = cache->shape.n_heads * width,
                                 .out = vs_cached_dtype(cache, what)};
    for (size_t i = 0; i < cache->n_groups; i++) {
        const struct vs_cache_group group = vs_cache_group(cache, layer, i);
        scatter.n_channels = group.n_heads * width;
        VS_TRY(vs_scatter_rows_run(cache->context, group.kept[what], x, &scatter));
        x.offset += scatter.n_channels;
    }
fail:
    return status;
}

/* ---- Memory ------------------------------------------------------------------------------- */

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
    size_t n_kept = shape->memory ? VS_N_CACHED : VS_CACHED_BETA;

    vs_context_charge(context, VS_USE_KV);
    settle_groups(cache, n_kept);
    for (size_t what = 0; what < n_kept; what++)
        VS_TRY(create_kept(cache, (enum vs_cached)what));
    if (shape->memory) {
        size_t n_state = shape->n_layers * width * shape->head_dim;
        vs_context_charge(context, VS_USE_STATE);
        VS_TRY(vs_floats_create(&cache->state, context, NULL, n_state));
        VS_TRY(vs_buffer_zero(cache->state, 0, n_state * sizeof(float)));
        VS_TRY(vs_floats_create(&cache->evicted_k, context, NULL,
                                shape->chunk * tokens * cache->group_heads * shape->head_dim));
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
    for (size_t what = 0; what < VS_N_CACHED; what++)
        for (size_t i = 0; cache->kept[what] && i < n_buffers(cache); i++)
            VS_TRY(vs_buffer_rest(cache->kept[what][i], true));
    if (cache->evicted_k)
        VS_TRY(vs_buffer_rest(cache->evicted_k, false));
fail:
    return status;
}

enum vs_status vs_cache_wake(struct vs_cache *cache)
{
    enum vs_status status = VS_OK;
    for (size_t what = 0; what < VS_N_CACHED; what++)
        for (size_t i = 0; cache->kept[what] && i < n_buffers(cache); i++)
            VS_TRY(vs_buffer_wake(cache->kept[what][i]));
    if (cache->evicted_k)
        VS_TRY(vs_buffer_wake(cache->evicted_k));
fail:
    return status;
}

void vs_cache_free(struct vs_cache *cache)
{
    if (!cache)
        return;
    for (size_t what = 0; what < VS_N_CACHED; what++) {
        for (size_t i = 0; cache->kept[what] && i < n_buffers(cache); i++)
            vs_buffer_free(cache->kept[what][i]);
        free(cache->kept[what]);
    }
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

/* ---- Frames ------------------------------------------------------------------------------- */

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

/* Folds a layer's frames into its state, group by group of heads; rope and update lack what
 * differs between groups. */
static enum vs_status fold_layer(struct vs_cache *cache, size_t layer, struct vs_rope *rope,
                                 struct vs_memory_update *update)
{
    enum vs_status status = VS_OK;
    struct vs_span k = vs_span_of(cache->evicted_k), table = vs_span_of(cache->rope_table);
    size_t dim = cache->shape.head_dim;
    for (size_t i = 0; i < cache->n_groups; i++) {
        const struct vs_cache_group group = vs_cache_group(cache, layer, i);
        struct vs_span state = vs_cache_state(cache, layer);
        state.offset += group.first_head * dim * dim;
        rope->n_heads = update->n_heads = group.n_heads;
        update->beta_width = group.n_heads * vs_cached_head_width(cache, VS_CACHED_BETA);
        update->alpha_width = group.n_heads * vs_cached_head_width(cache, VS_CACHED_ALPHA);
        VS_TRY(vs_rope_run(cache->context, k, group.kept[VS_CACHED_K], table, rope));
        VS_TRY(vs_unit_run(cache->context, k, k, update->n_rows * group.n_heads, dim, unit_eps));
        VS_TRY(vs_memory_update_run(cache->context, state, k, group.kept[VS_CACHED_V],
                                    group.kept[VS_CACHED_BETA], group.kept[VS_CACHED_ALPHA],
                                    update));
    }
fail:
    return status;
}

/* Folds the frames at logical positions [first, first + n) into every layer's state. */
static enum vs_status fold(struct vs_cache *cache, size_t first, size_t n)
{
    const struct vs_cache_shape *shape = &cache->shape;
    enum vs_status status = VS_OK;
    size_t tokens = vs_cache_frame_tokens(cache);
    /* Keys before RoPE: turn back by the position. Keys turned by absolute frames: turn on by
     * what the position lacks (nothing, unless positions are relative). */
    struct vs_rope rope = {.shape = rope_shape(cache, n),
                           .backwards = !shape->memory_roped,
                           .in_slots = cache->slots,
                           .first_in_slot = first,
                           .in = shape->kv};
    struct vs_memory_update update = {.n_rows = n * tokens,
                                      .head_dim = shape->head_dim,
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
    for (size_t layer = 0; layer < shape->n_layers; layer++)
        VS_TRY(fold_layer(cache, layer, &rope, &update));
fail:
    return status;
}

/* Turns the keys at logical positions [first, n_cached) back by n frames. */
static enum vs_status shift_keys(struct vs_cache *cache, size_t first, size_t n)
{
    enum vs_status status = VS_OK;
    size_t n_frames = cache->n_cached - first;
    struct vs_rope rope = {.shape = rope_shape(cache, n_frames),
                           .in_slots = cache->slots,
                           .out_slots = cache->slots,
                           .first_in_slot = first,
                           .first_out_slot = first,
                           .in = cache->shape.kv,
                           .out = cache->shape.kv};
    for (size_t i = 0; i < n_frames; i++)
        cache->positions[i] = -(int64_t)n;
    VS_TRY(upload_table(cache, &rope.shape, true));
    for (size_t i = 0; i < n_buffers(cache); i++) {
        struct vs_span k = vs_span_of(cache->kept[VS_CACHED_K][i]);
        rope.n_heads = heads_of(cache, i % cache->n_groups);
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
