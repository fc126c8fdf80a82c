/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     Attention for GPUs: work-groups share queries, keys, values and weights through
 *             local memory.
 * Formula     as in attention.cl
 * Shapes      as in attention.cl
 * Work split  A group of 256 items serves 16 * VS_ROWS queries of a head, and of the head's output
 *             a part of 64 * VS_STRIPS channels; global size
 *             {256 * parts, N, ceil(n_queries / (16 * VS_ROWS))}. Parts of a wide head (the VAE's
 *             has 384 channels) compute the same scores: what they cost again is less than what
 *             sums of the whole width, for which there are no registers, would cost. Items stand
 *             16 by 16: items / 16 are VS_ROWS queries each, item % 16 is the item's column. Both
 *             halves of a tile of 64 keys are matrix products:
 *             - scores: keys column, column + 16, + 32, + 48 of the tile; slices of 16 channels,
 *               of all
 *             - values: channels 4 * column .. + 3 of each strip of 64 of the part; slices of
 *               KEYS keys
 *             The next slice is on its way from memory while the present one is multiplied. The 16
 *             items of a query exchange maxima and sums through local memory, and each of them
 *             then knows the query's running maximum and sum.
 * Numerics    EXACT: the order of attention_ref.c. Of the tree over 64 weights an item's four keys
 *             are the upper two levels. Channels past D and values past the last key are zeros
 *             that are multiplied in (a chain is never -0, so no bit changes).
 * Parameters  VS_STRIPS 1 or 2 (2): 1 for D <= 64.
 *             VS_ROWS 1, 2 or 4 (4): queries of an item. Local memory at 4: 28 KiB.
 *             VS_KV 0 float, 1 half (0): elements of k and v.
 * Limits      n_keys > 0. An item keeps 4 * VS_ROWS * VS_STRIPS sums twice in registers. D is an
 *             argument: loops of a length that Intel's compiler knows are unrolled, and hundreds of
 *             addresses kept in registers. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_STRIPS
#define VS_STRIPS 2
#endif
#ifndef VS_ROWS
#define VS_ROWS 4
#endif
#ifndef VS_KV
#define VS_KV 0
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#include "common/cell.clh"
#include "common/registers.clh"

#define FIRST_MAX -1e30f

enum {
    ITEMS = 256,
    TILE = 64, /* keys, of the contract */
    DOT_BLOCK = 256,
    SLICE = 16, /* channels of queries and keys */
    STRIP = 64, /* channels */
    KEYS = VS_STRIPS == 2 ? 8 : 4, /* of a slice of values */
    STEP = 4,                      /* keys whose values are in registers at a time */
    QUERIES = 16 * VS_ROWS, /* of a group */
    /* What an item brings of a slice of keys, or of values. */
    KEY_PARTS = TILE * SLICE / ITEMS,
    VALUE_PARTS = KEYS * STRIP * VS_STRIPS / ITEMS,
    MAX_PARTS = KEY_PARTS > VALUE_PARTS ? KEY_PARTS : VALUE_PARTS,
    /* Rows of local memory, off each other's banks and float4 aligned. */
    SLICE_PITCH = SLICE + 4,
    TILE_PITCH = TILE + 4,
    VALUE_PITCH = STRIP * VS_STRIPS + 4,
    Y_SIZE = TILE * SLICE_PITCH > KEYS * VALUE_PITCH ? TILE * SLICE_PITCH : KEYS * VALUE_PITCH,
};

/* A channel of every 16th of the group's queries, scaled, and of the tile's keys; zeros past the
 * head's last channel. */
static void load_scores(float *x, VS_RAW(VS_KV) *y, uint channel, uint head_dim,
                        __global const float *const *q_row, float scale,
                        __global const VS_RAW(VS_KV) *const *k_row)
{
    const bool exists = channel < head_dim;
    channel = exists ? channel : 0;
#pragma unroll
    for (uint i = 0; i < VS_ROWS; i++) {
        x[i] = q_row[i][channel] * scale;
        x[i] = exists ? x[i] : 0.0f;
    }
#pragma unroll
    for (uint i = 0; i < KEY_PARTS; i++) {
        y[i] = k_row[i][channel];
        y[i] = exists ? y[i] : 0;
    }
}

/* Values of KEYS keys from `first` on: channel item % STRIP of each strip, of every 4th key. They
 * are zeros past the tile's n keys: weights there are zero, but zero times infinity is not; and past
 * the part's n_channels. */
static void load_values(VS_RAW(VS_KV) *y, uint item, uint n_channels, uint first,
                        __global const VS_RAW(VS_KV) *v, __local const ulong *key_row, uint n)
{
#pragma unroll
    for (uint i = 0; i < VALUE_PARTS; i++) {
        const uint d = i % VS_STRIPS * STRIP + item % STRIP;
        const uint key = first + i / VS_STRIPS * (ITEMS / STRIP) + item / STRIP;
        y[i] = v[key_row[key] + (d < n_channels ? d : 0)];
        y[i] = d < n_channels && key < n ? y[i] : 0;
    }
}

/* Over what the 16 items of a query left: the largest value, if larger than x; and the lower four
 * levels of the contract's tree. */
static float max16(__local const float *y, float x)
{
#pragma unroll
    for (uint i = 0; i < 16; i++)
        x = y[i] > x ? y[i] : x;
    return x;
}

static float sum16(__local const float *x)
{
    const float4 y = (vload4(0, x) + vload4(0, x + 8)) + (vload4(0, x + 4) + vload4(0, x + 12));
    return (y.s0 + y.s2) + (y.s1 + y.s3);
}

VS_MANY_REGISTERS __kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
attention_group(__global float *restrict out, ulong out_offset, __global const float *restrict q,
                ulong q_offset, __global const VS_RAW(VS_KV) *restrict k, ulong k_offset,
                __global const VS_RAW(VS_KV) *restrict v, ulong v_offset,
                __global const float *restrict bias, ulong bias_offset,
                __global const int *restrict slots, ulong rows_per_slot, ulong n_queries,
                ulong n_keys, ulong q_stride, ulong kv_stride, ulong out_stride, float scale,
                uint head_dim)
{
    __local float weights[QUERIES * TILE_PITCH] __attribute__((aligned(16)));
    /* Slices of queries, then the items' maxima; slices of keys, then the items' sums, then slices
     * of values. */
    __local float x_slice[QUERIES * SLICE_PITCH] __attribute__((aligned(16)));
    __local float y_slice[Y_SIZE] __attribute__((aligned(16)));
    __local float maxima[QUERIES], decays[QUERIES];
    __local ulong key_row[TILE];
    const uint item = (uint)get_local_id(0), column = item % 16, row = item / 16 * VS_ROWS;
    const uint first_channel = (uint)(get_global_id(0) / ITEMS) * VS_STRIPS * STRIP;
    const uint n_channels = head_dim - first_channel; /* may be more than the part has */
    const ulong head = get_global_id(1), first_query = get_global_id(2) * QUERIES;
    const uint last = (uint)min((ulong)QUERIES, n_queries - first_query) - 1;
    q += q_offset + first_query * q_stride + head * head_dim;
    k += k_offset + head * head_dim;
    v += v_offset + head * head_dim + first_channel;
    out += out_offset + first_query * out_stride + head * head_dim + first_channel;
    if (bias)
        bias += bias_offset + head * (n_queries + n_keys - 1) + n_queries - 1 - first_query;

    /* Queries past the last repeat it; they are computed but never stored. */
    __global const float *q_row[VS_ROWS];
#pragma unroll
    for (uint i = 0; i < VS_ROWS; i++)
        q_row[i] = q + min(item / SLICE + i * SLICE, last) * q_stride;

    float4 acc[VS_STRIPS][VS_ROWS];
    float max_score = FIRST_MAX, sum = 0.0f; /* of query `item` */
#pragma unroll
    for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
            acc[strip][i] = 0.0f;

    for (ulong first = 0; first < n_keys; first += TILE) {
        const uint n = (uint)min((ulong)TILE, n_keys - first);
        VS_RAW(VS_KV) next_y[MAX_PARTS];
        float next_x[VS_ROWS], score[VS_ROWS][4];
        if (item < TILE) {
            ulong key = first + min(item, n - 1);
            if (slots)
                key = (ulong)slots[key / rows_per_slot] * rows_per_slot + key % rows_per_slot;
            key_row[item] = key * kv_stride;
        }
        barrier(CLK_LOCAL_MEM_FENCE);

        /* Scores. */
        __global const VS_RAW(VS_KV) *k_row[KEY_PARTS];
#pragma unroll
        for (uint i = 0; i < KEY_PARTS; i++)
            k_row[i] = k + key_row[item / SLICE + i * SLICE];
        load_scores(next_x, next_y, item % SLICE, head_dim, q_row, scale, k_row);
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
#pragma unroll
            for (uint c = 0; c < 4; c++)
                score[i][c] = 0.0f;
        for (uint block = 0; block < head_dim; block += DOT_BLOCK) {
            float chain[VS_ROWS][4];
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
#pragma unroll
                for (uint c = 0; c < 4; c++)
                    chain[i][c] = 0.0f;
#pragma unroll 1
            for (uint d = block; d < block + DOT_BLOCK && d < head_dim; d += SLICE) {
                barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
                for (uint i = 0; i < VS_ROWS; i++)
                    x_slice[(item / SLICE + i * SLICE) * SLICE_PITCH + item % SLICE] = next_x[i];
#pragma unroll
                for (uint i = 0; i < KEY_PARTS; i++)
                    y_slice[(item / SLICE + i * SLICE) * SLICE_PITCH + item % SLICE] =
                        VS_WIDEN(VS_KV, next_y[i]);
                barrier(CLK_LOCAL_MEM_FENCE);
                if (d + SLICE < head_dim)
                    load_scores(next_x, next_y, d + SLICE + item % SLICE, head_dim, q_row, scale,
                                k_row);
                else
                    load_values(next_y, item, n_channels, 0, v, key_row, n);
#pragma unroll 1
                for (uint s = 0; s < SLICE && d + s < head_dim; s += 4) {
                    float x[VS_ROWS][4], y[4];
#pragma unroll
                    for (uint i = 0; i < VS_ROWS; i++)
                        vstore4(vload4(0, x_slice + (row + i) * SLICE_PITCH + s), 0, x[i]);
#pragma unroll
                    for (uint c = 0; c < 4; c++) {
                        vstore4(vload4(0, y_slice + (column + 16 * c) * SLICE_PITCH + s), 0, y);
#pragma unroll
                        for (uint e = 0; e < 4; e++)
#pragma unroll
                            for (uint i = 0; i < VS_ROWS; i++)
                                chain[i][c] = fma(x[i][e], y[e], chain[i][c]);
                    }
                }
            }
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
#pragma unroll
                for (uint c = 0; c < 4; c++)
                    score[i][c] = score[i][c] + chain[i][c];
        }

        /* Weights. */
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++) {
            float largest = FIRST_MAX;
#pragma unroll
            for (uint c = 0; c < 4; c++) {
                const uint key = column + 16 * c;
                float s = score[i][c];
                if (bias && key < n)
                    s = s + bias[(long)(first + key) - min(row + i, last)];
                weights[(row + i) * TILE_PITCH + key] = s;
                largest = key < n && s > largest ? s : largest;
            }
            x_slice[(row + i) * SLICE_PITCH + column] = largest;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < QUERIES) {
            const float old_max = max_score;
            max_score = max16(x_slice + item * SLICE_PITCH, old_max);
            maxima[item] = max_score;
            decays[item] = vm_exp_weight(old_max - max_score);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
        for (uint i = row; i < row + VS_ROWS; i++) {
            float p[4];
#pragma unroll
            for (uint c = 0; c < 4; c++) {
                const uint key = column + 16 * c;
                __local float *weight = weights + i * TILE_PITCH + key;
                p[c] = key < n ? vm_exp_weight(*weight - maxima[i]) : 0.0f;
                *weight = p[c];
            }
            y_slice[i * SLICE_PITCH + column] = (p[0] + p[2]) + (p[1] + p[3]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < QUERIES)
            sum = fma(sum, decays[item], sum16(y_slice + item * SLICE_PITCH));

        /* Values. */
        float4 chain[VS_STRIPS][VS_ROWS];
#pragma unroll
        for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
                chain[strip][i] = 0.0f;
#pragma unroll 1
        for (uint begin = 0; begin < n; begin += KEYS) {
            barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
            for (uint i = 0; i < VALUE_PARTS; i++)
                y_slice[(i / VS_STRIPS * (ITEMS / STRIP) + item / STRIP) * VALUE_PITCH +
                        i % VS_STRIPS * STRIP + item % STRIP] = VS_WIDEN(VS_KV, next_y[i]);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (begin + KEYS < n)
                load_values(next_y, item, n_channels, begin + KEYS, v, key_row, n);
#pragma unroll 1
            for (uint s = 0; s < KEYS && begin + s < n; s += STEP) {
                float x[VS_ROWS][STEP];
#pragma unroll
                for (uint i = 0; i < VS_ROWS; i++)
#pragma unroll
                    for (uint e = 0; e < STEP; e++)
                        x[i][e] = weights[(row + i) * TILE_PITCH + begin + s + e];
#pragma unroll
                for (uint e = 0; e < STEP; e++)
#pragma unroll
                    for (uint strip = 0; strip < VS_STRIPS; strip++) {
                        const float4 y = vload4(
                            0, y_slice + (s + e) * VALUE_PITCH + strip * STRIP + column * 4);
#pragma unroll
                        for (uint i = 0; i < VS_ROWS; i++)
                            chain[strip][i] = fma((float4)(x[i][e]), y, chain[strip][i]);
                    }
            }
        }
#pragma unroll
        for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
                acc[strip][i] = fma(acc[strip][i], (float4)(decays[row + i]), chain[strip][i]);
    }

    if (item < QUERIES)
        maxima[item] = vm_rcp(sum);
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (uint i = 0; i < VS_ROWS; i++)
        if (row + i <= last) {
#pragma unroll
            for (uint strip = 0; strip < VS_STRIPS; strip++) {
                float y[4];
                vstore4(acc[strip][i] * maxima[row + i], 0, y);
#pragma unroll
                for (uint e = 0; e < 4; e++) {
                    const uint d = strip * STRIP + column * 4 + e;
                    if (d < n_channels)
                        out[(row + i) * out_stride + d] = y[e];
                }
            }
        }
}
