/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     softmax(scale q k^T + bias) v per head, the score matrix never in memory.
 * Formula     per tile of 64 keys: s = dot(scale q, k) + bias; m' = max(m, s);
 *             p = exp_weight(s - m'); al = exp_weight(m - m'); l = fma(l, al, tree64(p));
 *             acc[d] = fma(acc[d], al, chain over keys of fma(p, v[d])); out = acc * rcp(l)
 * Shapes and layout
 *             q [n_queries, N, D], k v [rows, N, D], out [n_queries, N, D], rows strided.
 *             Logical key j is row j, or, where slots is not NULL,
 *             slots[j / rows_per_slot] * rows_per_slot + j % rows_per_slot.
 *             bias NULL or [N, n_queries + n_keys - 1], element key - query + n_queries - 1
 * Work split  attention_plain: one work-item a (head, query), any device.
 *             attention_tile: one work-item a (block of 16 * VS_BLOCK queries, head); the lanes
 *             of float16 vectors are queries, so every sum over keys or channels runs down the
 *             lanes in the contract's order and no lane ever meets another. For CPUs.
 * Numerics    EXACT: the order of attention_ref.c. Lanes past the last query hold zeros and are
 *             not written; keys past the last have p = 0.
 * Parameters  VS_HEAD_DIM 1.. (32): D.
 *             VS_BLOCK 1..3 (1): vectors of 16 queries that share the reading of a tile.
 *             VS_VECTORS divisor of VS_BLOCK (1) and VS_ROWS 1..16 (6): register tile of
 *             VS_ROWS keys (or channels) x VS_VECTORS vectors of queries
 * Limits      n_keys > 0. attention_tile keeps 128 * VS_BLOCK * (D + 40) bytes of private memory,
 *             which must fit a thread's stack. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_HEAD_DIM
#define VS_HEAD_DIM 32
#endif
#ifndef VS_BLOCK
#define VS_BLOCK 1
#endif
#ifndef VS_VECTORS
#define VS_VECTORS 1
#endif
#ifndef VS_ROWS
#define VS_ROWS 6
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#define VM_WIDTH 16
#include "common/vmath.h"

#define TILE 64
#define DOT_BLOCK 256
#define FIRST_MAX -1e30f

/* Where the n keys from first on lie, in elements of k and v; past n the last one again, so that
 * whole groups can be read. */
static void find_rows(ulong *row, int n_rows, ulong first, int n, __global const int *slots,
                      ulong rows_per_slot, ulong stride)
{
    for (int j = 0; j < n_rows; j++) {
        ulong key = first + min(j, n - 1);
        if (slots)
            key = (ulong)slots[key / rows_per_slot] * rows_per_slot + key % rows_per_slot;
        row[j] = key * stride;
    }
}

/* ---- plain -------------------------------------------------------------------------------- */

static float dot_key(const float *query, __global const float *key)
{
    float total = 0.0f;
    for (int block = 0; block < VS_HEAD_DIM; block += DOT_BLOCK) {
        float chain = 0.0f;
        for (int d = block; d < VS_HEAD_DIM && d < block + DOT_BLOCK; d++)
            chain = fma(query[d], key[d], chain);
        total = total + chain;
    }
    return total;
}

__kernel void attention_plain(__global float *restrict out, ulong out_offset,
                              __global const float *restrict q, ulong q_offset,
                              __global const float *restrict k, ulong k_offset,
                              __global const float *restrict v, ulong v_offset,
                              __global const float *restrict bias, ulong bias_offset,
                              __global const int *restrict slots, ulong rows_per_slot,
                              ulong n_queries, ulong n_keys, ulong q_stride, ulong kv_stride,
                              ulong out_stride, float scale)
{
    const ulong head = get_global_id(0), query = get_global_id(1);
    q += q_offset + query * q_stride + head * VS_HEAD_DIM;
    k += k_offset + head * VS_HEAD_DIM;
    v += v_offset + head * VS_HEAD_DIM;
    out += out_offset + query * out_stride + head * VS_HEAD_DIM;
    if (bias)
        bias += bias_offset + head * (n_queries + n_keys - 1) + n_queries - 1 - query;

    float scaled[VS_HEAD_DIM], acc[VS_HEAD_DIM];
    for (int d = 0; d < VS_HEAD_DIM; d++) {
        scaled[d] = q[d] * scale;
        acc[d] = 0.0f;
    }
    float old_max = FIRST_MAX, sum = 0.0f;
    for (ulong first = 0; first < n_keys; first += TILE) {
        const int n = (int)min((ulong)TILE, n_keys - first);
        ulong row[TILE];
        find_rows(row, n, first, n, slots, rows_per_slot, kv_stride);
        float p[TILE], max_score = old_max;
        for (int j = 0; j < n; j++) {
            p[j] = dot_key(scaled, k + row[j]);
            if (bias)
                p[j] = p[j] + bias[first + j];
            max_score = p[j] > max_score ? p[j] : max_score;
        }
        for (int j = 0; j < TILE; j++)
            p[j] = j < n ? vm_exp_weight(p[j] - max_score) : 0.0f;
        const float decay = vm_exp_weight(old_max - max_score);
        for (int d = 0; d < VS_HEAD_DIM; d++) {
            float chain = 0.0f;
            for (int j = 0; j < n; j++)
                chain = fma(p[j], v[row[j] + d], chain);
            acc[d] = fma(acc[d], decay, chain);
        }
        for (int half_size = TILE / 2; half_size > 0; half_size /= 2)
            for (int j = 0; j < half_size; j++)
                p[j] = p[j] + p[j + half_size];
        sum = fma(sum, decay, p[0]);
        old_max = max_score;
    }
    const float reciprocal = vm_rcp(sum);
    for (int d = 0; d < VS_HEAD_DIM; d++)
        out[d] = acc[d] * reciprocal;
}

/* ---- tile --------------------------------------------------------------------------------- */

#define LANES (16 * VS_BLOCK) /* queries of a block */
/* Rows of p: a group of VS_ROWS keys that begins inside the tile may end outside. */
#define P_ROWS ((TILE + VS_ROWS - 1) / VS_ROWS * VS_ROWS)
/* Channels in N_GROUPS groups, the first N_LARGE of GROUP channels, the others of one less. */
#define N_GROUPS ((VS_HEAD_DIM + VS_ROWS - 1) / VS_ROWS)
#define GROUP ((VS_HEAD_DIM + N_GROUPS - 1) / N_GROUPS)
#define N_LARGE (VS_HEAD_DIM - N_GROUPS * (GROUP - 1))

/* Private arrays hold VS_BLOCK vectors a row: x[row * VS_BLOCK + vector], lanes are queries. The
 * functions take a pointer to the first vector that they work on. */

/* p[j] = dot(query, k[row[j] ...]) for VS_ROWS keys j and VS_VECTORS vectors. */
static inline void score_keys(float16 *p, const float16 *query,
                              __global const float *restrict k, const ulong *row)
{
    for (int block = 0; block < VS_HEAD_DIM; block += DOT_BLOCK) {
        float16 chain[VS_ROWS][VS_VECTORS];
#pragma unroll
        for (int j = 0; j < VS_ROWS; j++)
#pragma unroll
            for (int i = 0; i < VS_VECTORS; i++)
                chain[j][i] = 0.0f;
        for (int d = block; d < min(VS_HEAD_DIM, block + DOT_BLOCK); d++) {
            float16 x[VS_VECTORS];
#pragma unroll
            for (int i = 0; i < VS_VECTORS; i++)
                x[i] = query[d * VS_BLOCK + i];
#pragma unroll
            for (int j = 0; j < VS_ROWS; j++) {
                const float16 y = k[row[j] + d];
#pragma unroll
                for (int i = 0; i < VS_VECTORS; i++)
                    chain[j][i] = fma(x[i], y, chain[j][i]);
            }
        }
#pragma unroll
        for (int j = 0; j < VS_ROWS; j++)
#pragma unroll
            for (int i = 0; i < VS_VECTORS; i++) {
                const float16 total = block ? p[j * VS_BLOCK + i] : (float16)0.0f;
                p[j * VS_BLOCK + i] = total + chain[j][i];
            }
    }
}

/* Adds one key's bias to the scores p of the first n_lanes queries; bias points at the element of
 * the first, each further query's lies one element before. */
static void add_bias(float *p, __global const float *bias, int n_lanes)
{
    for (int i = 0; i < n_lanes; i++)
        p[i] = p[i] + bias[-i];
}

/* The tree over the tile's 64 weights of 16 queries. */
static float16 sum_weights(const float16 *p)
{
    float16 t[TILE / 2];
    for (int j = 0; j < TILE / 2; j++)
        t[j] = p[j * VS_BLOCK] + p[(j + TILE / 2) * VS_BLOCK];
    for (int half_size = TILE / 4; half_size > 0; half_size /= 2)
        for (int j = 0; j < half_size; j++)
            t[j] = t[j] + t[j + half_size];
    return t[0];
}

/* Turns a tile's scores of 16 queries into weights p; returns the decay of what came before. */
static float16 softmax_tile(float16 *p, int n, float16 *max_score, float16 *sum)
{
    float16 max_new = *max_score;
    for (int j = 0; j < n; j++) {
        const float16 s = p[j * VS_BLOCK];
        max_new = s > max_new ? s : max_new;
    }
    for (int j = 0; j < n; j++)
        p[j * VS_BLOCK] = vm_exp_weight16(p[j * VS_BLOCK] - max_new);
    for (int j = n; j < TILE; j++)
        p[j * VS_BLOCK] = 0.0f;
    const float16 decay = vm_exp_weight16(*max_score - max_new);
    *sum = fma(*sum, decay, sum_weights(p));
    *max_score = max_new;
    return decay;
}

/* acc[d] = fma(acc[d], decay, chain over n keys of fma(p[j], v[row[j] + d])) for n_dims channels d,
 * a constant, and VS_VECTORS vectors. */
static inline void add_values(float16 *acc, const float16 *decay, const float16 *p,
                              __global const float *restrict v, const ulong *row, int n,
                              const int n_dims)
{
    float16 chain[GROUP][VS_VECTORS];
#pragma unroll
    for (int d = 0; d < n_dims; d++)
#pragma unroll
        for (int i = 0; i < VS_VECTORS; i++)
            chain[d][i] = 0.0f;
    for (int j = 0; j < n; j++) {
        float16 x[VS_VECTORS];
#pragma unroll
        for (int i = 0; i < VS_VECTORS; i++)
            x[i] = p[j * VS_BLOCK + i];
#pragma unroll
        for (int d = 0; d < n_dims; d++) {
            const float16 y = v[row[j] + d];
#pragma unroll
            for (int i = 0; i < VS_VECTORS; i++)
                chain[d][i] = fma(x[i], y, chain[d][i]);
        }
    }
#pragma unroll
    for (int d = 0; d < n_dims; d++)
#pragma unroll
        for (int i = 0; i < VS_VECTORS; i++)
            acc[d * VS_BLOCK + i] = fma(acc[d * VS_BLOCK + i], decay[i], chain[d][i]);
}

__kernel void attention_tile(__global float *restrict out, ulong out_offset,
                             __global const float *restrict q, ulong q_offset,
                             __global const float *restrict k, ulong k_offset,
                             __global const float *restrict v, ulong v_offset,
                             __global const float *restrict bias, ulong bias_offset,
                             __global const int *restrict slots, ulong rows_per_slot,
                             ulong n_queries, ulong n_keys, ulong q_stride, ulong kv_stride,
                             ulong out_stride, float scale)
{
    const ulong head = get_global_id(1), first_query = get_global_id(0) * LANES;
    const int n_lanes = (int)min((ulong)LANES, n_queries - first_query);
    q += q_offset + first_query * q_stride + head * VS_HEAD_DIM;
    k += k_offset + head * VS_HEAD_DIM;
    v += v_offset + head * VS_HEAD_DIM;
    out += out_offset + first_query * out_stride + head * VS_HEAD_DIM;
    if (bias)
        bias += bias_offset + head * (n_queries + n_keys - 1) + n_queries - 1 - first_query;

    float16 query[VS_HEAD_DIM * VS_BLOCK], acc[VS_HEAD_DIM * VS_BLOCK], p[P_ROWS * VS_BLOCK];
    float16 max_score[VS_BLOCK], sum[VS_BLOCK], decay[VS_BLOCK];
    for (int i = 0; i < VS_HEAD_DIM * VS_BLOCK; i++)
        query[i] = acc[i] = 0.0f;
    for (int i = 0; i < VS_BLOCK; i++) {
        max_score[i] = FIRST_MAX;
        sum[i] = 0.0f;
    }
    float *lanes = (float *)query;
    for (int lane = 0; lane < n_lanes; lane++)
        for (int d = 0; d < VS_HEAD_DIM; d++)
            lanes[d * LANES + lane] = q[lane * q_stride + d] * scale;

    for (ulong first = 0; first < n_keys; first += TILE) {
        const int n = (int)min((ulong)TILE, n_keys - first);
        ulong row[P_ROWS];
        find_rows(row, P_ROWS, first, n, slots, rows_per_slot, kv_stride);
        for (int i = 0; i < VS_BLOCK; i += VS_VECTORS)
            for (int j = 0; j < n; j += VS_ROWS)
                score_keys(p + j * VS_BLOCK + i, query + i, k, row + j);
        if (bias)
            for (int j = 0; j < n; j++)
                add_bias((float *)(p + j * VS_BLOCK), bias + first + j, n_lanes);
        for (int i = 0; i < VS_BLOCK; i++)
            decay[i] = softmax_tile(p + i, n, &max_score[i], &sum[i]);
        for (int i = 0; i < VS_BLOCK; i += VS_VECTORS) {
            int d = 0;
            for (; d < N_LARGE * GROUP; d += GROUP)
                add_values(acc + d * VS_BLOCK + i, decay + i, p + i, v + d, row, n, GROUP);
            for (; d < VS_HEAD_DIM; d += GROUP - 1)
                add_values(acc + d * VS_BLOCK + i, decay + i, p + i, v + d, row, n, GROUP - 1);
        }
    }

    for (int i = 0; i < VS_BLOCK; i++)
        sum[i] = vm_rcp16(sum[i]);
    for (int d = 0; d < VS_HEAD_DIM; d++)
        for (int i = 0; i < VS_BLOCK; i++)
            acc[d * VS_BLOCK + i] = acc[d * VS_BLOCK + i] * sum[i];
    lanes = (float *)acc;
    for (int lane = 0; lane < n_lanes; lane++)
        for (int d = 0; d < VS_HEAD_DIM; d++)
            out[lane * out_stride + d] = lanes[d * LANES + lane];
}
