/* SPDX-License-Identifier: Apache-2.0
 *
 * lora_merge.c - the arithmetic of LoRA: W + dot(rank) * factor, the dot in blocks of 256, each a
 * chain of fma, as everywhere (kernels/NUMERICS.md). */
#include "models/lora_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "kernels/common/reduce.h"
#include "kernels/convert/narrow.h"

enum { SLAB_ELEMENTS = 1 << 18 };

/* ---- A tile ------------------------------------------------------------------------------- */

/* One text for every instruction set, so that all do the same. */
static inline __attribute__((always_inline)) void tile_body(float *total, const float *up,
                                                            const float *down, size_t rank)
{
    float sum[VS_LORA_TILE] = {0};
    for (size_t block = 0; block < rank; block += VS_DOT_BLOCK) {
        size_t end = rank - block < VS_DOT_BLOCK ? rank : block + VS_DOT_BLOCK;
        float chain[VS_LORA_TILE] = {0};
        for (size_t k = block; k < end; k++)
            for (size_t c = 0; c < VS_LORA_TILE; c++)
                chain[c] = __builtin_fmaf(up[k], down[k * VS_LORA_TILE + c], chain[c]);
        for (size_t c = 0; c < VS_LORA_TILE; c++)
            sum[c] = sum[c] + chain[c];
    }
    memcpy(total, sum, sizeof sum);
}

void vs_lora_tile_plain(float *total, const float *up, const float *down, size_t rank)
{
    tile_body(total, up, down, rank);
}

/* Without the instruction every fma is a call into the C library, some forty times slower. */
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,fma"))) static void tile_fma(float *total, const float *up,
                                                         const float *down, size_t rank)
{
    tile_body(total, up, down, rank);
}

void vs_lora_tile(float *total, const float *up, const float *down, size_t rank)
{
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        tile_fma(total, up, down, rank);
    else
        vs_lora_tile_plain(total, up, down, rank);
}
#else
void vs_lora_tile(float *total, const float *up, const float *down, size_t rank)
{
    vs_lora_tile_plain(total, up, down, rank);
}
#endif

/* ---- Rows --------------------------------------------------------------------------------- */

enum vs_dtype vs_lora_dtype(enum vs_dtype base)
{
    if (base == VS_F64)
        return VS_F32;
    return vs_dtype_info(base)->n_elements > 1 ? VS_F16 : base;
}

size_t vs_lora_columns(const struct vs_tensor *base)
{
    return base->n_dims && base->shape[0] ? base->n_elements / base->shape[0] : base->n_elements;
}

static enum vs_status check_finite(const float *values, size_t n, const struct vs_tensor *tensor)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return vs_fail(VS_ERROR_MODEL,
                           "%s: tensor '%s' holds infinities or NaN; the file is damaged",
                           tensor->file, tensor->raw_name);
    return VS_OK;
}

/* Widens the matrix of the low rank and lays it out in tiles; kept for the tensor's other slabs. */
static enum vs_status make_ready(struct vs_lora_part *part, const struct vs_lora_change *change)
{
    size_t columns = vs_lora_columns(change->base), rank = change->rank, n_room;
    size_t n_tiles = (columns + VS_LORA_TILE - 1) / VS_LORA_TILE;
    enum vs_status status = VS_ERROR_MEMORY;
    if (part->ready == change)
        return VS_OK;
    free(part->down);
    part->ready = NULL;
    part->down = NULL;
    float *flat = vs_alloc(change->down->n_elements, sizeof *flat);
    if (flat && vs_mul_ok(n_tiles * VS_LORA_TILE, rank, &n_room))
        part->down = vs_alloc(n_room, sizeof *part->down);
    if (!part->down)
        goto fail;
    vs_dtype_read(flat, change->down->data, change->down->dtype, change->down->n_elements);
    VS_TRY(check_finite(flat, change->down->n_elements, change->down));
    for (size_t k = 0; k < rank; k++)
        for (size_t c = 0; c < columns; c++)
            part->down[(c / VS_LORA_TILE * rank + k) * VS_LORA_TILE + c % VS_LORA_TILE] =
                flat[k * columns + c];
    part->ready = change;
    status = VS_OK;
fail:
    free(flat);
    return status;
}

/* n elements of a tensor of plain numbers, or of blocks, from element `first` on. */
static void read_elements(float *out, const struct vs_tensor *tensor, size_t first, size_t n)
{
    const struct vs_dtype_info *info = vs_dtype_info(tensor->dtype);
    const uint8_t *data = tensor->data;
    vs_dtype_read(out, data + first / info->n_elements * info->n_bytes, tensor->dtype, n);
}

static enum vs_status reserve_up(struct vs_lora_set *set, size_t n)
{
    if (n <= set->up_room)
        return VS_OK;
    float *grown = vs_realloc(set->up, n, sizeof *grown);
    if (!grown)
        return VS_ERROR_MEMORY;
    set->up = grown;
    set->up_room = n;
    return VS_OK;
}

static enum vs_status add_low_rank(struct vs_lora_set *set, struct vs_lora_part *part,
                                   const struct vs_lora_change *change, float *values,
                                   size_t first_row, size_t n_rows)
{
    size_t columns = vs_lora_columns(change->base), rank = change->rank;
    enum vs_status status = VS_OK;
    float total[VS_LORA_TILE];
    VS_TRY(make_ready(part, change));
    VS_TRY(reserve_up(set, n_rows * rank));
    read_elements(set->up, change->up, first_row * rank, n_rows * rank);
    VS_TRY(check_finite(set->up, n_rows * rank, change->up));
    for (size_t c = 0; c < columns; c += VS_LORA_TILE) {
        const float *down = part->down + c * rank;
        size_t n = columns - c < VS_LORA_TILE ? columns - c : VS_LORA_TILE;
        for (size_t row = 0; row < n_rows; row++) {
            float *out = values + row * columns + c;
            vs_lora_tile(total, set->up + row * rank, down, rank);
            for (size_t i = 0; i < n; i++) {
                float scaled = total[i] * change->factor;
                out[i] = out[i] + scaled;
            }
        }
    }
fail:
    return status;
}

static enum vs_status add_difference(struct vs_lora_set *set, const struct vs_lora_change *change,
                                     float *values, size_t first_row, size_t n_rows)
{
    size_t columns = vs_lora_columns(change->base), n = n_rows * columns;
    enum vs_status status = VS_OK;
    VS_TRY(reserve_up(set, n));
    read_elements(set->up, change->diff, first_row * columns, n);
    VS_TRY(check_finite(set->up, n, change->diff));
    for (size_t i = 0; i < n; i++) {
        float scaled = set->up[i] * change->factor;
        values[i] = values[i] + scaled;
    }
fail:
    return status;
}

enum vs_status vs_lora_add(struct vs_lora_set *set, const struct vs_tensor *base, float *values,
                           size_t first_row, size_t n_rows)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < set->n_parts; i++) {
        struct vs_lora_part *part = &set->parts[i];
        const struct vs_lora_change *change = vs_lora_first(part, base);
        for (; change && change < part->changes + part->n_changes && change->base == base;
             change++) {
            if (change->diff)
                VS_TRY(add_difference(set, change, values, first_row, n_rows));
            else
                VS_TRY(add_low_rank(set, part, change, values, first_row, n_rows));
        }
    }
fail:
    return status;
}

/* ---- In memory ---------------------------------------------------------------------------- */

static enum vs_status merge_tensor(struct vs_weights *weights, struct vs_lora_set *set,
                                   struct vs_tensor *tensor, bool sizes_only)
{
    enum vs_dtype dtype = vs_lora_dtype(tensor->dtype);
    size_t width = vs_dtype_info(dtype)->n_bytes, columns = vs_lora_columns(tensor);
    size_t rows = columns ? tensor->n_elements / columns : 0;
    size_t slab = columns < SLAB_ELEMENTS ? SLAB_ELEMENTS / (columns ? columns : 1) : 1;
    enum vs_status status = VS_ERROR_MEMORY;
    slab = slab < rows ? slab : rows;
    uint8_t *merged = vs_alloc(tensor->n_elements, width);
    float *values = vs_alloc(slab * columns, sizeof *values);
    if (!merged || !values)
        goto fail;
    VS_TRY(vs_grow(&weights->copies, weights->n_copies, &weights->copies_room,
                   sizeof *weights->copies));
    for (size_t row = 0; row < rows && !sizes_only; row += slab) {
        size_t n = rows - row < slab ? rows - row : slab;
        read_elements(values, tensor, row * columns, n * columns);
        VS_TRY(vs_lora_add(set, tensor, values, row, n));
        if (vs_dtype_narrow(merged + row * columns * width, values, dtype, n * columns) !=
            VS_NARROW_OK) {
            status = vs_fail(VS_ERROR_MODEL,
                             "%s: tensor '%s' with its LoRA holds values too large for %s; give a "
                             "smaller scale",
                             tensor->file, tensor->name, vs_dtype_info(dtype)->name);
            goto fail;
        }
    }
    vs_weights_release(weights, tensor);
    weights->copies[weights->n_copies++] = merged;
    tensor->data = merged;
    tensor->dtype = dtype;
    tensor->n_bytes = tensor->n_elements * width;
    free(values);
    return VS_OK;
fail:
    free(values);
    free(merged);
    return status;
}

enum vs_status vs_weights_merge(struct vs_weights *weights, struct vs_lora_set *set,
                                bool sizes_only)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < weights->n_tensors; i++)
        if (vs_lora_touches(set, &weights->tensors[i]))
            VS_TRY(merge_tensor(weights, set, &weights->tensors[i], sizes_only));
fail:
    return status;
}
