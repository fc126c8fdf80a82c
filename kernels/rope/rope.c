/* SPDX-License-Identifier: Apache-2.0
 *
 * rope.c - the table of angles, made on the host, and the launch: a token per work-item on CPUs, a
 * group per token elsewhere. */
#include "kernels/rope/rope.h"

#include "cl/launch.h"
#include "kernels/common/math64.h"
#include "kernels/common/span.h"
#include "kernels/common/variant.h"
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

enum { ROW, GROUP, LANES = 64 };

const char *vs_rope_variant_name(size_t variant)
{
    static const char *const names[] = {[ROW] = "row", [GROUP] = "group"};
    return variant <= GROUP ? names[variant] : NULL;
}

bool vs_rope_variant_usable(const struct vs_context *context, size_t variant)
{
    return variant == ROW ? vs_variant_tiles(context) : variant == GROUP;
}

size_t vs_rope_variant_chosen(const struct vs_context *context)
{
    bool vectors = vs_context_vector_width(context) >= 4;
    return vectors && vs_rope_variant_usable(context, ROW) ? ROW : GROUP;
}

/* With slots the frames lie anywhere in the ring; it must at least hold one. */
static enum vs_status check_rope(struct vs_span out, struct vs_span x, struct vs_span table,
                                 const struct vs_rope *rope, size_t area, size_t n_tokens,
                                 size_t width)
{
    enum vs_status status = VS_OK;
    size_t n_in = rope->in_slots ? area : n_tokens;
    VS_TRY(vs_dtype_check_kv(rope->in, "rope: input"));
    VS_TRY(vs_dtype_check_kv(rope->out, "rope: output"));
    VS_TRY(vs_span_check_cells(x, n_in, width, vs_dtype_info(rope->in)->n_bytes, "rope: input"));
    VS_TRY(vs_span_check_cells(out, rope->out_slots ? area : n_tokens, width,
                               vs_dtype_info(rope->out)->n_bytes, "rope: output"));
    VS_TRY(vs_span_check(table, 1, vs_rope_table_size(&rope->shape), "rope: table"));
    if (rope->in_slots)
        VS_TRY(check_slots(rope->in_slots, rope->first_in_slot, rope->shape.n_frames));
    if (rope->out_slots)
        VS_TRY(check_slots(rope->out_slots, rope->first_out_slot, rope->shape.n_frames));
    if (rope->norm_weight.buffer && rope->in != VS_F32)
        return vs_fail(VS_ERROR_RUNTIME, "rope: a norm is of F32, not of %s",
                       vs_dtype_info(rope->in)->name);
    if (rope->norm_weight.buffer)
        VS_TRY(vs_span_check(rope->norm_weight, 1, width, "rope: weight of the norm"));
    else if (rope->normed.buffer)
        return vs_fail(VS_ERROR_RUNTIME, "rope: the norm's output is wanted, but not the norm");
    if (rope->normed.buffer)
        VS_TRY(vs_span_check(rope->normed, n_in, width, "rope: output of the norm"));
fail:
    return status;
}

enum vs_status vs_rope_run_variant(struct vs_context *context, size_t variant, struct vs_span out,
                                   struct vs_span x, struct vs_span table,
                                   const struct vs_rope *rope)
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
    VS_TRY(check_rope(out, x, table, rope, area, n_tokens, width));
    variant = variant == VS_CHOSEN ? vs_rope_variant_chosen(context) : variant;
    if (!vs_rope_variant_usable(context, variant))
        return vs_variant_refuse("rope", vs_rope_variant_name(variant));

    struct vs_launch launch;
    bool norm = rope->norm_weight.buffer, keep = rope->normed.buffer;
    vs_launch_begin(&launch, context, variant == GROUP ? &vs_source_rope_group : &vs_source_rope,
                    variant == GROUP ? "rope_group" : "rope_row",
                    "-DVS_HEAD_DIM=%zu -DVS_NORM=%d%s%s", shape->head_dim, norm + keep,
                    rope->in == VS_F16 ? " -DVS_IN=1" : "", rope->out == VS_F16 ? " -DVS_OUT=1" : "");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, rope->normed);
    vs_launch_span(&launch, rope->norm_weight);
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
    vs_launch_float(&launch, (float)(1.0 / (double)width));
    vs_launch_float(&launch, rope->eps);
    double n = (double)n_tokens * (double)width, flops = (norm ? 7.0 : 3.0) * n;
    size_t n_bytes = vs_dtype_info(rope->in)->n_bytes + vs_dtype_info(rope->out)->n_bytes;
    vs_launch_bytes(&launch, ((double)n_bytes + (keep ? 4.0 : 0.0)) * n);
    if (variant == GROUP)
        return vs_launch_run(&launch, 2, (size_t[]){LANES, n_tokens}, (size_t[]){LANES, 1}, flops);
    return vs_launch_run(&launch, 1, &n_tokens, vs_variant_row_groups(context), flops);
fail:
    return status;
}

enum vs_status vs_rope_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                           struct vs_span table, const struct vs_rope *rope)
{
    return vs_rope_run_variant(context, VS_CHOSEN, out, x, table, rope);
}
