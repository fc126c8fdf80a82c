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
 *             VS_BLOCK 1..6 (1): vectors of 16 queries that share the reading of a tile.
 *             VS_VECTORS divisor of VS_BLOCK (1) and VS_ROWS 1..16 (6): register tile of
 *             VS_ROWS keys (or channels) x VS_VECTORS vectors of queries.
 *             VS_KV 0 float, 1 half (0): elements of k and v
 * Limits      n_keys > 0. attention_tile keeps 128 * VS_BLOCK * (D + 32) + 256 * (D + 16) bytes of
 *             private memory, which must fit a thread's stack. */
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
#ifndef VS_KV
#define VS_KV 0
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#define VM_WIDTH 16
#include "common/vmath.h"
#include "common/cell.clh"
#include "common/prefetch.clh"

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

static float dot_key(const float *query, __global const VS_CELL(VS_KV) *key)
{
    float total = 0.0f;
    for (int block = 0; block < VS_HEAD_DIM; block += DOT_BLOCK) {
        float chain = 0.0f;
        for (int d = block; d < VS_HEAD_DIM && d < block + DOT_BLOCK; d++)
            chain = fma(query[d], VS_GET(VS_KV, key, d), chain);
        total = total + chain;
    }
    return total;
}

__kernel void attention_plain(__global float *restrict out, ulong out_offset,
                              __global const float *restrict q, ulong q_offset,
                              __global const VS_CELL(VS_KV) *restrict k, ulong k_offset,
                              __global const VS_CELL(VS_KV) *restrict v, ulong v_offset,
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
                chain = fma(p[j], VS_GET(VS_KV, v, row[j] + d), chain);
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
#define N_PARTS (VS_BLOCK / VS_VECTORS)
#define PART_LANES (16 * VS_VECTORS)
/* A tile's keys in N_KEY_GROUPS groups, the first N_LARGE_KEY of KEY_GROUP keys, the others of one
 * less; channels likewise. */
#define N_KEY_GROUPS ((TILE + VS_ROWS - 1) / VS_ROWS)
#define KEY_GROUP ((TILE + N_KEY_GROUPS - 1) / N_KEY_GROUPS)
#define N_LARGE_KEY (TILE - N_KEY_GROUPS * (KEY_GROUP - 1))
#define N_GROUPS ((VS_HEAD_DIM + VS_ROWS - 1) / VS_ROWS)
#define GROUP ((VS_HEAD_DIM + N_GROUPS - 1) / N_GROUPS)
#define N_LARGE (VS_HEAD_DIM - N_GROUPS * (GROUP - 1))
/* Rows of copied keys and values lie an odd number of cache lines apart. */
#define V_STRIDE ((VS_HEAD_DIM + 15) / 32 * 32 + 16)
/* Halves are widened once for all queries of a block: keys where their tile's values go later. */
#if VS_KV
#define KEY_SPACE
#define KEYS values
#define KEY_ROWS copied_row
#else
#define KEY_SPACE __global
#define KEYS k
#define KEY_ROWS row
#endif

/* Asks for a row of D elements: rows of a cache lie too far apart for a processor to foresee. */
static inline void prefetch_row(__global const VS_CELL(VS_KV) *row)
{
#if VS_ROWS > 1 /* a tile */
#pragma unroll
    for (int d = 0; d < VS_HEAD_DIM; d += VS_KV ? 32 : 16)
        VS_PREFETCH(row + d, 2);
#endif
}

/* Private arrays hold N_PARTS parts one after the other, each of rows of VS_VECTORS vectors whose
 * lanes are queries. The functions work on one part. */

static inline void copy_row(float *to, __global const VS_CELL(VS_KV) *from)
{
#if VS_KV
    int d = 0;
    for (; d + 16 <= VS_HEAD_DIM; d += 16)
        vstore16(vload_half16(0, from + d), 0, to + d);
    for (; d < VS_HEAD_DIM; d++)
        to[d] = vload_half(d, from);
#else
    for (int d = 0; d < VS_HEAD_DIM; d++)
        to[d] = from[d];
#endif
}

/* p[j] = dot(query, k[row[j] ...]) for N_KEYS keys j. A macro, since a compiler keeps chain[] in
 * registers only if it knows N_KEYS from the first. */
#define SCORE_KEYS(name, N_KEYS)                                                                  \
    static inline void name(float16 *p, const float16 *query, KEY_SPACE const float *restrict k,  \
                            const ulong *row)                                                     \
    {                                                                                             \
        for (int block = 0; block < VS_HEAD_DIM; block += DOT_BLOCK) {                            \
            float16 chain[N_KEYS][VS_VECTORS];                                                    \
            _Pragma("unroll") for (int j = 0; j < N_KEYS; j++)                                    \
                _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++) chain[j][i] = 0.0f;        \
            for (int d = block; d < min(VS_HEAD_DIM, block + DOT_BLOCK); d++) {                   \
                float16 x[VS_VECTORS];                                                            \
                _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++) x[i] =                     \
                    query[d * VS_VECTORS + i];                                                    \
                _Pragma("unroll") for (int j = 0; j < N_KEYS; j++)                                \
                {                                                                                 \
                    const float16 y = k[row[j] + d];                                              \
                    _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++)                        \
                        chain[j][i] = fma(x[i], y, chain[j][i]);                                  \
                }                                                                                 \
            }                                                                                     \
            _Pragma("unroll") for (int j = 0; j < N_KEYS; j++)                                    \
                _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++)                            \
            {                                                                                     \
                const float16 total = block ? p[j * VS_VECTORS + i] : (float16)0.0f;              \
                p[j * VS_VECTORS + i] = total + chain[j][i];                                      \
            }                                                                                     \
        }                                                                                         \
    }
SCORE_KEYS(score_keys, KEY_GROUP)
#if N_LARGE_KEY < N_KEY_GROUPS
SCORE_KEYS(score_fewer_keys, KEY_GROUP - 1)
#else
#define score_fewer_keys score_keys /* never called */
#endif

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
        t[j] = p[j * VS_VECTORS] + p[(j + TILE / 2) * VS_VECTORS];
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
        const float16 s = p[j * VS_VECTORS];
        max_new = s > max_new ? s : max_new;
    }
    for (int j = 0; j < n; j++)
        p[j * VS_VECTORS] = vm_exp_weight16(p[j * VS_VECTORS] - max_new);
    for (int j = n; j < TILE; j++)
        p[j * VS_VECTORS] = 0.0f;
    const float16 decay = vm_exp_weight16(*max_score - max_new);
    *sum = fma(*sum, decay, sum_weights(p));
    *max_score = max_new;
    return decay;
}

/* acc[d] = fma(acc[d], decay, chain over n keys of fma(p[j], v[j][d])) for N_DIMS channels d. */
#define ADD_VALUES(name, N_DIMS)                                                                  \
    static inline void name(float16 *acc, const float16 *decay, const float16 *p, const float *v, \
                            int n)                                                                \
    {                                                                                             \
        float16 chain[N_DIMS][VS_VECTORS];                                                        \
        _Pragma("unroll") for (int d = 0; d < N_DIMS; d++)                                        \
            _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++) chain[d][i] = 0.0f;            \
        for (int j = 0; j < n; j++) {                                                             \
            float16 x[VS_VECTORS];                                                                \
            _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++) x[i] = p[j * VS_VECTORS + i];  \
            _Pragma("unroll") for (int d = 0; d < N_DIMS; d++)                                    \
            {                                                                                     \
                const float16 y = v[j * V_STRIDE + d];                                            \
                _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++)                            \
                    chain[d][i] = fma(x[i], y, chain[d][i]);                                      \
            }                                                                                     \
        }                                                                                         \
        _Pragma("unroll") for (int d = 0; d < N_DIMS; d++)                                        \
            _Pragma("unroll") for (int i = 0; i < VS_VECTORS; i++) acc[d * VS_VECTORS + i] =      \
                fma(acc[d * VS_VECTORS + i], decay[i], chain[d][i]);                              \
    }
ADD_VALUES(add_values, GROUP)
#if N_LARGE < N_GROUPS
ADD_VALUES(add_fewer_values, GROUP - 1)
#else
#define add_fewer_values add_values /* never called */
#endif

__kernel void attention_tile(__global float *restrict out, ulong out_offset,
                             __global const float *restrict q, ulong q_offset,
                             __global const VS_CELL(VS_KV) *restrict k, ulong k_offset,
                             __global const VS_CELL(VS_KV) *restrict v, ulong v_offset,
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

    float16 query[N_PARTS][VS_HEAD_DIM * VS_VECTORS], acc[N_PARTS][VS_HEAD_DIM * VS_VECTORS];
    float16 p[N_PARTS][TILE * VS_VECTORS];
    float16 max_score[VS_BLOCK], sum[VS_BLOCK], decay[VS_BLOCK];
    float values[TILE * V_STRIDE]; /* rows of a cache lie too far apart to stay in L1 */
    for (int part = 0; part < N_PARTS; part++)
        for (int i = 0; i < VS_HEAD_DIM * VS_VECTORS; i++)
            query[part][i] = acc[part][i] = 0.0f;
    for (int i = 0; i < VS_BLOCK; i++) {
        max_score[i] = FIRST_MAX;
        sum[i] = 0.0f;
    }
    for (int lane = 0; lane < n_lanes; lane++) {
        float *lanes = (float *)query[lane / PART_LANES] + lane % PART_LANES;
        for (int d = 0; d < VS_HEAD_DIM; d++)
            lanes[d * PART_LANES] = q[lane * q_stride + d] * scale;
    }

#if VS_KV
    ulong copied_row[TILE];
    for (int j = 0; j < TILE; j++)
        copied_row[j] = j * V_STRIDE;
#endif
    ulong row[TILE];
    find_rows(row, TILE, 0, (int)min((ulong)TILE, n_keys), slots, rows_per_slot, kv_stride);
    for (ulong first = 0; first < n_keys; first += TILE) {
        const int n = (int)min((ulong)TILE, n_keys - first);
        for (int j = 0, size = KEY_GROUP; j < n; j += size) {
            size = j < N_LARGE_KEY * KEY_GROUP ? KEY_GROUP : KEY_GROUP - 1;
            for (int i = j; i < j + size; i++)
                prefetch_row(v + row[i]);
#if VS_KV
            for (int i = j; i < j + size; i++)
                copy_row(values + i * V_STRIDE, k + row[i]);
#endif
            for (int part = 0; part < N_PARTS; part++)
                if (size == KEY_GROUP)
                    score_keys(p[part] + j * VS_VECTORS, query[part], KEYS, KEY_ROWS + j);
                else
                    score_fewer_keys(p[part] + j * VS_VECTORS, query[part], KEYS, KEY_ROWS + j);
        }
        if (bias)
            for (int part = 0; part * PART_LANES < n_lanes; part++)
                for (int j = 0; j < n; j++)
                    add_bias((float *)(p[part] + j * VS_VECTORS),
                             bias + first + j - part * PART_LANES,
                             min(PART_LANES, n_lanes - part * PART_LANES));
        for (int i = 0; i < VS_BLOCK; i++)
            decay[i] = softmax_tile(p[i / VS_VECTORS] + i % VS_VECTORS, n, &max_score[i], &sum[i]);
        for (int j = 0; j < n; j++)
            copy_row(values + j * V_STRIDE, v + row[j]);
        if (first + TILE < n_keys)
            find_rows(row, TILE, first + TILE, (int)min((ulong)TILE, n_keys - first - TILE),
                      slots, rows_per_slot, kv_stride);
        for (int part = 0; part < N_PARTS; part++) {
            float16 *a = acc[part];
            const float16 *x = p[part], *c = decay + part * VS_VECTORS;
            int d = 0;
            for (int j = part * TILE / N_PARTS; j < (part + 1) * TILE / N_PARTS; j++)
                prefetch_row(k + row[j]);
            for (; d < N_LARGE * GROUP; d += GROUP)
                add_values(a + d * VS_VECTORS, c, x, values + d, n);
            for (; d < VS_HEAD_DIM; d += GROUP - 1)
                add_fewer_values(a + d * VS_VECTORS, c, x, values + d, n);
        }
    }

    for (int i = 0; i < VS_BLOCK; i++)
        sum[i] = vm_rcp16(sum[i]);
    for (int part = 0; part < N_PARTS; part++)
        for (int i = 0; i < VS_HEAD_DIM * VS_VECTORS; i++)
            acc[part][i] = acc[part][i] * sum[part * VS_VECTORS + i % VS_VECTORS];
    for (int lane = 0; lane < n_lanes; lane++) {
        const float *lanes = (const float *)acc[lane / PART_LANES] + lane % PART_LANES;
        for (int d = 0; d < VS_HEAD_DIM; d++)
            out[lane * out_stride + d] = lanes[d * PART_LANES];
    }
}
