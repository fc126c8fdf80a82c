/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     The state-space memory: unit length, gates, state update, router, read and fuse.
 * Formula     per evicted token: M <- diag(exp(alpha)) M; u <- (v - k^T M) * beta; M <- M + k u^T
 *             per query: y = q M; out = fma(gamma, silu(g * RMSNorm(y)), local)
 *             gates: beta = sigmoid(b), alpha = -(exp(A_log) * softplus(a))
 *             router: gamma = sigmoid(fma(w, log rho, b))
 * Shapes and layout
 *             M [N, D, D]: head, key channel, value channel. Tokens [T, N, D]. Gates [T, N * D]
 *             (channel-wise: alpha of the key channel, beta of the value channel) or [T, N].
 *             Row j of v and gates is j, or, where slots is not NULL,
 *             slots[first_slot + j / rows_per_slot] * rows_per_slot + j % rows_per_slot
 * Work split  Value channels (columns of M) never meet in an update. memory_update_plain: one
 *             work-item a (column, head) through all tokens. memory_update_tile: one work-item a
 *             (16 * VS_VECTORS columns, head), columns in the lanes of float16 vectors.
 *             memory_read: one work-item a (head, VS_TOKENS tokens). Others: 16 channels of a row.
 * Numerics    EXACT: k^T M and q M are four chains over contiguous quarters of the key channels,
 *             joined (c0 + c2) + (c1 + c3); norms in 64 lanes and a tree
 * Parameters  VS_HEAD_DIM 4.. multiple of 4 (32): D.
 *             VS_VECTORS 1..4 (1): vectors of 16 columns of memory_update_tile.
 *             VS_TOKENS 1..8 (1): tokens that share the reading of M in memory_read.
 *             VS_KV 0 float, 1 half (0): elements of v in an update
 * Limits      memory_update_tile keeps 64 * VS_VECTORS * D bytes of private memory */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_HEAD_DIM
#define VS_HEAD_DIM 32
#endif
#ifndef VS_VECTORS
#define VS_VECTORS 1
#endif
#ifndef VS_TOKENS
#define VS_TOKENS 1
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
#include "common/reduce.clh"
#include "common/registers.clh"

#define QUARTER (VS_HEAD_DIM / 4)

static ulong cache_row(ulong row, __global const int *slots, ulong first_slot, ulong rows_per_slot)
{
    if (!slots)
        return row;
    return (ulong)slots[first_slot + row / rows_per_slot] * rows_per_slot + row % rows_per_slot;
}

/* Stores the lanes of v that belong to elements i .. n - 1 of x. */
static void store16(float16 v, __global float *x, ulong i, ulong n)
{
    if (i + 16 <= n) {
        vstore16(v, 0, x + i);
        return;
    }
    float lanes[16];
    vstore16(v, 0, lanes);
    for (int lane = 0; lane < 16; lane++)
        if (i + lane < n)
            x[i + lane] = lanes[lane];
}

/* ---- unit length, gates, router ------------------------------------------------------------ */

VS_MANY_REGISTERS __kernel void unit(__global float *out, ulong out_offset, __global const float *x,
                                     ulong x_offset, ulong head_dim, float eps)
{
    const ulong vector = get_global_id(0);
    x += x_offset + vector * head_dim;
    out += out_offset + vector * head_dim;
    const float r = vm_rsqrt(vs_row_sum_squares(x, head_dim, 0.0f) + eps);
    for (ulong d = 0; d < head_dim; d++)
        out[d] = x[d] * r;
}

__kernel void gates(__global float *beta, ulong beta_offset, __global float *alpha,
                    ulong alpha_offset, __global const float *b, ulong b_offset,
                    __global const float *a, ulong a_offset, __global const float *a_log,
                    ulong a_log_offset, ulong beta_width, ulong alpha_width)
{
    const ulong i = get_global_id(0) * 16, row = get_global_id(1);
    if (i < beta_width) {
        const float16 x = vs_load16(b + b_offset + row * beta_width, i, beta_width);
        store16(vm_sigmoid16(x), beta + beta_offset + row * beta_width, i, beta_width);
    }
    if (i < alpha_width) {
        const float16 x = vs_load16(a + a_offset + row * alpha_width, i, alpha_width);
        const float16 rate = vm_exp16(vs_load16(a_log + a_log_offset, i, alpha_width));
        store16(-(rate * vm_softplus16(x)), alpha + alpha_offset + row * alpha_width, i,
                alpha_width);
    }
}

__kernel void router(__global float *gamma, ulong gamma_offset, __global const float *weight,
                     ulong weight_offset, __global const float *bias, ulong bias_offset,
                     __global const float *log_rho, ulong log_rho_offset, ulong n_channels)
{
    const ulong i = get_global_id(0) * 16, frame = get_global_id(1);
    const float16 w = vs_load16(weight + weight_offset, i, n_channels);
    const float16 b = vs_load16(bias + bias_offset, i, n_channels);
    const float16 time = log_rho[log_rho_offset + frame];
    store16(vm_sigmoid16(fma(w, time, b)), gamma + gamma_offset + frame * n_channels, i,
            n_channels);
}

/* ---- state update ------------------------------------------------------------------------- */

__kernel void memory_update_plain(__global float *restrict state, ulong state_offset,
                                  __global const float *restrict k, ulong k_offset,
                                  __global const VS_CELL(VS_KV) *restrict v, ulong v_offset,
                                  __global const float *restrict beta, ulong beta_offset,
                                  __global const float *restrict alpha, ulong alpha_offset,
                                  __global const int *restrict slots, ulong first_slot,
                                  ulong rows_per_slot, ulong n_rows, ulong n_heads,
                                  ulong beta_width, ulong alpha_width)
{
    const ulong column = get_global_id(0), head = get_global_id(1);
    const ulong width = n_heads * VS_HEAD_DIM, channel = head * VS_HEAD_DIM + column;
    /* Gates of a head's D channels: D values, or the head's one D times. */
    const ulong alpha_step = alpha_width == n_heads ? 0 : 1;
    state += state_offset + head * VS_HEAD_DIM * VS_HEAD_DIM + column;
    k += k_offset + head * VS_HEAD_DIM;
    v += v_offset + channel;
    beta += beta_offset + (beta_width == n_heads ? head : channel);
    alpha += alpha_offset + (alpha_step ? head * VS_HEAD_DIM : head);

    float m[VS_HEAD_DIM];
    for (int i = 0; i < VS_HEAD_DIM; i++)
        m[i] = state[i * VS_HEAD_DIM];
    for (ulong row = 0; row < n_rows; row++) {
        const ulong there = cache_row(row, slots, first_slot, rows_per_slot);
        __global const float *key = k + row * width;
        __global const float *log_decay = alpha + there * alpha_width;
        float chain[4];
        for (int c = 0; c < 4; c++) {
            chain[c] = 0.0f;
            for (int i = c * QUARTER; i < (c + 1) * QUARTER; i++) {
                m[i] = m[i] * vm_exp(log_decay[i * alpha_step]);
                chain[c] = fma(key[i], m[i], chain[c]);
            }
        }
        const float seen = (chain[0] + chain[2]) + (chain[1] + chain[3]);
        const float u = (VS_GET(VS_KV, v, there * width) - seen) * beta[there * beta_width];
        for (int i = 0; i < VS_HEAD_DIM; i++)
            m[i] = fma(key[i], u, m[i]);
    }
    for (int i = 0; i < VS_HEAD_DIM; i++)
        state[i * VS_HEAD_DIM] = m[i];
}

/* The head's values i .. i + 15, zeros past the last. */
static float16 load_values(__global const VS_CELL(VS_KV) *v, ulong i)
{
#if VS_KV
    float lanes[16];
    if (i + 16 <= VS_HEAD_DIM)
        return vload_half16(0, v + i);
    for (int lane = 0; lane < 16; lane++)
        lanes[lane] = i + lane < VS_HEAD_DIM ? vload_half(i + lane, v) : 0.0f;
    return vload16(0, lanes);
#else
    return vs_load16(v, i, VS_HEAD_DIM);
#endif
}

#define PADDED_DIM ((VS_HEAD_DIM + 63) / 64 * 64)
enum { AHEAD = 3 }; /* tokens whose rows are asked for before they are needed */

/* Asks for n floats ahead of their use: tokens lie too far apart for a processor to foresee. */
static inline void read_ahead(__global const float *x, int n)
{
#if VS_VECTORS > 1 /* a tile */
    for (int i = 0; i < n; i += 16)
        VS_PREFETCH(x + i, 3);
#endif
}

/* decay[i] = exp(alpha of key channel i) of one head, or decay[0] that of all. */
static void load_decay(float *decay, __global const float *alpha, bool head_wise)
{
    if (head_wise)
        decay[0] = vm_exp(alpha[0]);
    else
        for (int i = 0; i < VS_HEAD_DIM; i += 16)
            vstore16(vm_exp16(vs_load16(alpha, i, VS_HEAD_DIM)), 0, decay + i);
}

__kernel void memory_update_tile(__global float *restrict state, ulong state_offset,
                                 __global const float *restrict k, ulong k_offset,
                                 __global const VS_CELL(VS_KV) *restrict v, ulong v_offset,
                                 __global const float *restrict beta, ulong beta_offset,
                                 __global const float *restrict alpha, ulong alpha_offset,
                                 __global const int *restrict slots, ulong first_slot,
                                 ulong rows_per_slot, ulong n_rows, ulong n_heads,
                                 ulong beta_width, ulong alpha_width)
{
    const ulong column = get_global_id(0) * 16 * VS_VECTORS, head = get_global_id(1);
    const ulong width = n_heads * VS_HEAD_DIM;
    const bool beta_head_wise = beta_width == n_heads, alpha_head_wise = alpha_width == n_heads;
    const int decay_step = alpha_head_wise ? 0 : 1;
    state += state_offset + head * VS_HEAD_DIM * VS_HEAD_DIM;
    k += k_offset + head * VS_HEAD_DIM;
    v += v_offset + head * VS_HEAD_DIM;
    beta += beta_offset + (beta_head_wise ? head : head * VS_HEAD_DIM);
    alpha += alpha_offset + (alpha_head_wise ? head : head * VS_HEAD_DIM);

    float16 m[VS_HEAD_DIM][VS_VECTORS], u[VS_VECTORS];
    for (int n = 0; n < VS_VECTORS; n++) {
        u[n] = 0.0f;
        for (int i = 0; i < VS_HEAD_DIM; i++)
            m[i][n] = vs_load16(state + i * VS_HEAD_DIM, column + n * 16, VS_HEAD_DIM);
    }

    /* A token's k u^T is added when the next token touches the state, so that each row of M is
     * read and written once a token. u is 0 before the first. A token's decay is made while the one
     * before it is at work. */
    float decays[2][PADDED_DIM];
    ulong next = cache_row(0, slots, first_slot, rows_per_slot);
    load_decay(decays[0], alpha + next * alpha_width, alpha_head_wise);
    __global const float *last_key = k;
    for (ulong row = 0; row < n_rows; row++) {
        const ulong there = next;
        __global const float *key = k + row * width;
        next = cache_row(min(row + 1, n_rows - 1), slots, first_slot, rows_per_slot);
        load_decay(decays[(row + 1) % 2], alpha + next * alpha_width, alpha_head_wise);
        const ulong coming = min(row + AHEAD, n_rows - 1);
        const ulong then = cache_row(coming, slots, first_slot, rows_per_slot);
        read_ahead(k + coming * width, VS_HEAD_DIM);
        read_ahead((__global const float *)(v + then * width + column), 16 * VS_VECTORS >> VS_KV);
        read_ahead(alpha + then * alpha_width, alpha_head_wise ? 1 : VS_HEAD_DIM);
        read_ahead(beta + then * beta_width, beta_head_wise ? 1 : VS_HEAD_DIM);

        float16 chain[4][VS_VECTORS];
        for (int c = 0; c < 4; c++) {
            const float *decay = decays[row % 2] + c * QUARTER * decay_step;
            float16 sum[VS_VECTORS];
#pragma unroll
            for (int n = 0; n < VS_VECTORS; n++)
                sum[n] = 0.0f;
            for (int i = c * QUARTER; i < (c + 1) * QUARTER; i++, decay += decay_step) {
                const float16 before = last_key[i], now = key[i], g = *decay;
#pragma unroll
                for (int n = 0; n < VS_VECTORS; n++) {
                    const float16 x = fma(before, u[n], m[i][n]) * g;
                    m[i][n] = x;
                    sum[n] = fma(now, x, sum[n]);
                }
            }
#pragma unroll
            for (int n = 0; n < VS_VECTORS; n++)
                chain[c][n] = sum[n];
        }
#pragma unroll
        for (int n = 0; n < VS_VECTORS; n++) {
            const ulong first = column + n * 16;
            const float16 seen = (chain[0][n] + chain[2][n]) + (chain[1][n] + chain[3][n]);
            const float16 value = load_values(v + there * width, first);
            float16 gate = beta[there * beta_width];
            if (!beta_head_wise)
                gate = vs_load16(beta + there * beta_width, first, VS_HEAD_DIM);
            u[n] = (value - seen) * gate;
        }
        last_key = key;
    }
    for (int n = 0; n < VS_VECTORS; n++)
        for (int i = 0; i < VS_HEAD_DIM; i++)
            store16(fma((float16)last_key[i], u[n], m[i][n]), state + i * VS_HEAD_DIM,
                    column + n * 16, VS_HEAD_DIM);
}

/* ---- read --------------------------------------------------------------------------------- */

/* Sum of squares of y, zeros past D, in the contract's lanes. */
static float sum_squares(const float *y)
{
    float16 sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int i = 0; i < PADDED_DIM; i += 64)
        for (int lane = 0; lane < 4; lane++) {
            const float16 x = vload16(lane, y + i);
            sum[lane] = fma(x, x, sum[lane]);
        }
    return vs_tree64(sum[0], sum[1], sum[2], sum[3]);
}

__kernel void memory_read(__global float *out, ulong out_offset, __global const float *q,
                          ulong q_offset, __global const float *state, ulong state_offset,
                          __global const float *g, ulong g_offset, __global const float *weight,
                          ulong weight_offset, __global const float *gamma, ulong gamma_offset,
                          __global const float *local_out, ulong local_offset, ulong n_rows,
                          ulong n_heads, ulong rows_per_frame, float one_over_n, float eps)
{
    const ulong head = get_global_id(0), first_row = get_global_id(1) * VS_TOKENS;
    const ulong width = n_heads * VS_HEAD_DIM, channel = head * VS_HEAD_DIM;
    const int n_tokens = (int)min((ulong)VS_TOKENS, n_rows - first_row);
    q += q_offset + first_row * width + channel;
    weight += weight_offset;
    state += state_offset + head * VS_HEAD_DIM * VS_HEAD_DIM;

    /* y = q M of VS_TOKENS tokens, a chain at a time; past the last token it stands again. */
    float y[VS_TOKENS][PADDED_DIM];
    for (int column = 0; column < PADDED_DIM; column += 16) {
        float16 chain[4][VS_TOKENS];
        for (int c = 0; c < 4; c++) {
            float16 sum[VS_TOKENS];
#pragma unroll
            for (int t = 0; t < VS_TOKENS; t++)
                sum[t] = 0.0f;
            for (int i = c * QUARTER; i < (c + 1) * QUARTER && column < VS_HEAD_DIM; i++) {
                const float16 m = vs_load16(state + i * VS_HEAD_DIM, column, VS_HEAD_DIM);
#pragma unroll
                for (int t = 0; t < VS_TOKENS; t++)
                    sum[t] = fma((float16)q[min(t, n_tokens - 1) * width + i], m, sum[t]);
            }
#pragma unroll
            for (int t = 0; t < VS_TOKENS; t++)
                chain[c][t] = sum[t];
        }
        for (int t = 0; t < VS_TOKENS; t++)
            vstore16((chain[0][t] + chain[2][t]) + (chain[1][t] + chain[3][t]), 0, y[t] + column);
    }
    for (int t = 0; t < n_tokens; t++) {
        const ulong row = first_row + t, place = row * width + channel;
        __global const float *mix = gamma + gamma_offset + row / rows_per_frame * width + channel;
        const float r = vm_rsqrt(fma(sum_squares(y[t]), one_over_n, eps));
        for (int column = 0; column < VS_HEAD_DIM; column += 16) {
            const float16 norm =
                (vload16(0, y[t] + column) * r) * vs_load16(weight, column, VS_HEAD_DIM);
            const float16 found =
                vm_silu16(vs_load16(g + g_offset + place, column, VS_HEAD_DIM) * norm);
            const float16 sum =
                fma(vs_load16(mix, column, VS_HEAD_DIM), found,
                    vs_load16(local_out + local_offset + place, column, VS_HEAD_DIM));
            store16(sum, out + out_offset + place, column, VS_HEAD_DIM);
        }
    }
}
