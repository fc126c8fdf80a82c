/* SPDX-License-Identifier: Apache-2.0
 *
 * rope.c - the table of angles, made on the host, and the launch. */
#include "kernels/rope/rope.h"

#include "cl/launch.h"
#include "kernels/common/math64.h"
#include "kernels/common/span.h"
#include "kernels/sources.h"

static size_t space_pairs(const struct vs_rope_shape *shape)
{
    return shape->head_dim / 6;
}

static size_t time_pairs(const struct vs_rope_shape *shape)
{
    return shape->head_dim / 2 - 2 * space_pairs(shape);
}

size_t vs_rope_table_size(const struct vs_rope_shape *shape)
{
    return 2 * (shape->n_frames * time_pairs(shape) +
                (shape->grid_rows + shape->grid_columns) * space_pairs(shape));
}

/* (cos, sin) of one position on an axis of n pairs; returns what follows in the table. */
static float *fill_position(float *table, int64_t position, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double angle = (double)position * vs_pow10000(i, n);
        *table++ = (float)vs_cos64(angle);
        *table++ = (float)vs_sin64(angle);
    }
    return table;
}

void vs_rope_table_fill(float *table, const struct vs_rope_shape *shape, const int64_t *frames,
                        bool frame_only)
{
    for (size_t i = 0; i < shape->n_frames; i++)
        table = fill_position(table, frames[i], time_pairs(shape));
    for (size_t i = 0; i < shape->grid_rows; i++)
        table = fill_position(table, frame_only ? 0 : (int64_t)i, space_pairs(shape));
    for (size_t i = 0; i < shape->grid_columns; i++)
        table = fill_position(table, frame_only ? 0 : (int64_t)i, space_pairs(shape));
}

static enum vs_status check_slots(const struct vs_buffer *slots, size_t first, size_t n_frames)
{
    size_t available = vs_buffer_bytes(slots) / sizeof(int32_t);
    if (first <= available && n_frames <= available - first)
        return VS_OK;
    return vs_fail(VS_ERROR_RUNTIME, "rope: %zu slots from %zu on pass the end of %zu", n_frames,
                   first, available);
}

enum vs_status vs_rope_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                           struct vs_span table, const struct vs_rope *rope)
{
    enum vs_status status = VS_OK;
    const struct vs_rope_shape *shape = &rope->shape;
    size_t area, n_tokens, width;
    if (!shape->head_dim || shape->head_dim % 2)
        return vs_fail(VS_ERROR_RUNTIME, "rope: a head width of %zu is not even", shape->head_dim);
    if (!vs_mul_ok(shape->grid_rows, shape->grid_columns, &area) ||
        !vs_mul_ok(area, shape->n_frames, &n_tokens) ||
        !vs_mul_ok(rope->n_heads, shape->head_dim, &width))
        return vs_fail(VS_ERROR_RUNTIME, "rope: %zu frames of %zu x %zu tokens are too many",
                       shape->n_frames, shape->grid_rows, shape->grid_columns);
    if (!n_tokens || !width)
        return VS_OK;
    /* With slots the frames lie anywhere in the ring; it must at least hold one. */
    VS_TRY(vs_span_check(x, rope->in_slots ? area : n_tokens, width, "rope: input"));
    VS_TRY(vs_span_check(out, rope->out_slots ? area : n_tokens, width, "rope: output"));
    VS_TRY(vs_span_check(table, 1, vs_rope_table_size(shape), "rope: table"));
    if (rope->in_slots)
        VS_TRY(check_slots(rope->in_slots, rope->first_in_slot, shape->n_frames));
    if (rope->out_slots)
        VS_TRY(check_slots(rope->out_slots, rope->first_out_slot, shape->n_frames));

    struct vs_launch launch;
    vs_launch_begin(&launch, context, &vs_source_rope, "rope", "-DVS_HEAD_DIM=%zu",
                    shape->head_dim);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, table);
    vs_launch_buffer(&launch, rope->in_slots);
    vs_launch_size(&launch, rope->first_in_slot);
    vs_launch_buffer(&launch, rope->out_slots);
    vs_launch_size(&launch, rope->first_out_slot);
    vs_launch_size(&launch, shape->n_frames);
    vs_launch_size(&launch, shape->grid_rows);
    vs_launch_size(&launch, shape->grid_columns);
    vs_launch_size(&launch, rope->n_heads);
    vs_launch_int(&launch, rope->backwards);
    vs_launch_bytes(&launch, 8.0 * (double)n_tokens * (double)width);
    return vs_launch_run(&launch, 2, (size_t[]){rope->n_heads, n_tokens}, NULL,
                         3.0 * (double)n_tokens * (double)width);
fail:
    return status;
}
