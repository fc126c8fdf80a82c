/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     State update and read of the memory for GPUs: work-groups share keys, queries and
 *             decays through local memory.
 * Formula     as in memory.cl
 * Shapes      as in memory.cl
 * Work split  memory_update_group: a group of 128 items owns 32 columns of a head's M through all
 *             tokens, an item one quarter of a column, which is one of the contract's four chains;
 *             global size {128 * ceil(D / 32), N}. Tokens come four at a time, the decays' exp
 *             once for the group; while four are folded in, the next are on their way from memory.
 *             The chains of a column meet in local memory, one barrier a token.
 *             memory_read_group: a group of 256 items serves 16 tokens of a head, an item 4 tokens
 *             in the channels item % 64, + 64, ..., so that it is a lane of the norm's sum; global
 *             size {256 * N, ceil(T / 16)}.
 * Numerics    EXACT: as in memory.cl. Channels past D add squares of zero
 * Parameters  VS_HEAD_DIM 4..256, multiple of 4 (128): D. Local memory at 256: 20.8 KiB.
 *             VS_KV 0 float, 1 half (0): elements of v in an update
 * Limits      An item keeps D / 4 elements of M, or 4 * ceil(D / 64) of q M, in registers */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_HEAD_DIM
#define VS_HEAD_DIM 128
#endif
#ifndef VS_KV
#define VS_KV 0
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#include "common/cell.clh"
#include "common/registers.clh"

#define QUARTER (VS_HEAD_DIM / 4)

/* ---- state update ------------------------------------------------------------------------- */

enum {
    COLUMNS = 32,
    UPDATE_ITEMS = 4 * COLUMNS,
    STAGE = 4, /* tokens */
    N_PARTS = (VS_HEAD_DIM + UPDATE_ITEMS - 1) / UPDATE_ITEMS,
    /* Quarters of a row in local memory, off each other's banks and float4 aligned. */
    PITCH = (QUARTER + 3) / 4 * 4 + 4,
};

/* Where the next row of the ring cache lies. */
struct cursor {
    ulong slot, row;
};

static ulong next_row(struct cursor *at, __global const int *slots, ulong rows_per_slot)
{
    if (!slots)
        return at->row++;
    const ulong found = (ulong)slots[at->slot] * rows_per_slot + at->row++;
    if (at->row == rows_per_slot) {
        at->row = 0;
        at->slot++;
    }
    return found;
}

/* An item's part of a token: channels item, item + 128, ... of the head's key and log decay; and
 * of the group's columns the value (items 0 to 31) or beta (32 to 63) of one. */
struct part {
    float key[N_PARTS], log_decay[N_PARTS], column;
};

VS_MANY_REGISTERS __kernel __attribute__((reqd_work_group_size(UPDATE_ITEMS, 1, 1))) void
memory_update_group(__global float *restrict state, ulong state_offset,
                    __global const float *restrict k, ulong k_offset,
                    __global const VS_CELL(VS_KV) *restrict v, ulong v_offset,
                    __global const float *restrict beta, ulong beta_offset,
                    __global const float *restrict alpha, ulong alpha_offset,
                    __global const int *restrict slots, ulong first_slot, ulong rows_per_slot,
                    ulong n_rows, ulong n_heads, ulong beta_width, ulong alpha_width)
{
    /* Two stages: one is read while the next is written. */
    __local float keys[2][STAGE][4 * PITCH] __attribute__((aligned(16)));
    __local float decays[2][STAGE][4 * PITCH] __attribute__((aligned(16)));
    __local float columns[2][STAGE][2][COLUMNS], chains[2][4][COLUMNS];
    const uint item = (uint)get_local_id(0), lane = item % COLUMNS, quarter = item / COLUMNS;
    const ulong head = get_global_id(1), width = n_heads * VS_HEAD_DIM;
    const uint column = (uint)(get_global_id(0) / UPDATE_ITEMS) * COLUMNS + lane;
    /* Columns past the last repeat it; they are computed but never stored. */
    const ulong channel = head * VS_HEAD_DIM + min(column, (uint)VS_HEAD_DIM - 1);
    const uint alpha_step = alpha_width == n_heads ? 0 : 1;
    state += state_offset + channel * VS_HEAD_DIM - channel % VS_HEAD_DIM * VS_HEAD_DIM +
             channel % VS_HEAD_DIM + quarter * QUARTER * VS_HEAD_DIM;
    k += k_offset + head * VS_HEAD_DIM;
    v += v_offset + channel;
    beta += beta_offset + (beta_width == n_heads ? head : channel);
    alpha += alpha_offset + (alpha_step ? head * VS_HEAD_DIM : head);

    float m[QUARTER];
#pragma unroll
    for (uint i = 0; i < QUARTER; i++)
        m[i] = column < VS_HEAD_DIM ? state[i * VS_HEAD_DIM] : 0.0f;

    struct cursor at = {first_slot, 0};
    struct part next[STAGE];
    uint now = 0;
    /* Round `first` brings the stage at `first` while it folds in the one before. */
    for (ulong first = 0; first < n_rows + STAGE; first += STAGE) {
#pragma unroll
        for (uint t = 0; t < STAGE; t++)
            if (first + t < n_rows) {
                const ulong row = next_row(&at, slots, rows_per_slot);
#pragma unroll
                for (uint part = 0; part < N_PARTS; part++) {
                    const uint i = item + part * UPDATE_ITEMS;
                    if (i < VS_HEAD_DIM) {
                        next[t].key[part] = k[(first + t) * width + i];
                        next[t].log_decay[part] = alpha[row * alpha_width + i * alpha_step];
                    }
                }
                if (item < COLUMNS)
                    next[t].column = VS_GET(VS_KV, v, row * width);
                else if (item < 2 * COLUMNS)
                    next[t].column = beta[row * beta_width];
            }

        const ulong begun = first - STAGE;
        for (uint t = 0; first && t < STAGE && begun + t < n_rows; t++) {
            __local const float *key = keys[now ^ 1][t] + quarter * PITCH;
            __local const float *decay = decays[now ^ 1][t] + quarter * PITCH;
            float chain = 0.0f;
#pragma unroll
            for (uint i = 0; i < QUARTER; i += 4) {
                float x[4], g[4];
                vstore4(vload4(0, key + i), 0, x);
                vstore4(vload4(0, decay + i), 0, g);
#pragma unroll
                for (uint e = 0; e < 4 && i + e < QUARTER; e++) {
                    m[i + e] = m[i + e] * g[e];
                    chain = fma(x[e], m[i + e], chain);
                }
            }
            chains[t % 2][quarter][lane] = chain;
            barrier(CLK_LOCAL_MEM_FENCE);
            const float seen = (chains[t % 2][0][lane] + chains[t % 2][2][lane]) +
                               (chains[t % 2][1][lane] + chains[t % 2][3][lane]);
            const float u = (columns[now ^ 1][t][0][lane] - seen) * columns[now ^ 1][t][1][lane];
#pragma unroll
            for (uint i = 0; i < QUARTER; i += 4) {
                float x[4];
                vstore4(vload4(0, key + i), 0, x);
#pragma unroll
                for (uint e = 0; e < 4 && i + e < QUARTER; e++)
                    m[i + e] = fma(x[e], u, m[i + e]);
            }
        }

#pragma unroll
        for (uint t = 0; t < STAGE; t++)
            if (first + t < n_rows) {
#pragma unroll
                for (uint part = 0; part < N_PARTS; part++) {
                    const uint i = item + part * UPDATE_ITEMS;
                    const uint place = i / QUARTER * PITCH + i % QUARTER;
                    if (i < VS_HEAD_DIM) {
                        keys[now][t][place] = next[t].key[part];
                        decays[now][t][place] = vm_exp(next[t].log_decay[part]);
                    }
                }
                if (item < 2 * COLUMNS)
                    columns[now][t][quarter][lane] = next[t].column;
            }
        barrier(CLK_LOCAL_MEM_FENCE);
        now ^= 1;
    }
    if (column < VS_HEAD_DIM)
#pragma unroll
        for (uint i = 0; i < QUARTER; i++)
            state[i * VS_HEAD_DIM] = m[i];
}

/* ---- read --------------------------------------------------------------------------------- */

enum {
    LANES = 64, /* of the norm's sum */
    READ_ITEMS = 256,
    TOKENS = 16,
    N_STRIPS = (VS_HEAD_DIM + LANES - 1) / LANES,
    TOKEN_PITCH = TOKENS + 4,
};

/* One of the four chains of a column of M, for the four tokens at q. */
static float4 chain(__local const float *q, __global const float *column, uint quarter)
{
    float4 sum = 0.0f;
#pragma unroll 8
    for (uint i = quarter * QUARTER; i < (quarter + 1) * QUARTER; i++)
        sum = fma(vload4(0, q + i * TOKEN_PITCH), (float4)(column[i * VS_HEAD_DIM]), sum);
    return sum;
}

VS_MANY_REGISTERS __kernel __attribute__((reqd_work_group_size(READ_ITEMS, 1, 1))) void
memory_read_group(__global float *out, ulong out_offset, __global const float *q, ulong q_offset,
                  __global const float *state, ulong state_offset, __global const float *g,
                  ulong g_offset, __global const float *weight, ulong weight_offset,
                  __global const float *gamma, ulong gamma_offset, __global const float *local_out,
                  ulong local_offset, ulong n_rows, ulong n_heads, ulong rows_per_frame,
                  float one_over_n, float eps)
{
    __local float queries[VS_HEAD_DIM * TOKEN_PITCH] __attribute__((aligned(16)));
    __local float4 squares[READ_ITEMS];
    const uint item = (uint)get_local_id(0), lane = item % LANES, token = item / LANES * 4;
    const ulong head = get_global_id(0) / READ_ITEMS, first_row = get_global_id(1) * TOKENS;
    const ulong width = n_heads * VS_HEAD_DIM, channel = head * VS_HEAD_DIM;
    const uint last = (uint)min((ulong)TOKENS, n_rows - first_row) - 1;
    q += q_offset + first_row * width + channel;
    state += state_offset + head * VS_HEAD_DIM * VS_HEAD_DIM;
    g += g_offset + channel;
    weight += weight_offset;
    gamma += gamma_offset + channel;
    local_out += local_offset + channel;
    out += out_offset + channel;

    /* Tokens past the last repeat it; they are computed but never stored. */
    for (uint i = item; i < TOKENS * VS_HEAD_DIM; i += READ_ITEMS)
        queries[i % VS_HEAD_DIM * TOKEN_PITCH + i / VS_HEAD_DIM] =
            q[min(i / VS_HEAD_DIM, last) * width + i % VS_HEAD_DIM];
    barrier(CLK_LOCAL_MEM_FENCE);

    float4 y[N_STRIPS], sum = 0.0f;
#pragma unroll
    for (uint strip = 0; strip < N_STRIPS; strip++) {
        const uint d = strip * LANES + lane;
        y[strip] = 0.0f;
        if (d < VS_HEAD_DIM) {
            const float4 even = chain(queries + token, state + d, 0) +
                                chain(queries + token, state + d, 2);
            y[strip] = even + (chain(queries + token, state + d, 1) +
                               chain(queries + token, state + d, 3));
        }
        sum = fma(y[strip], y[strip], sum);
    }
    squares[item] = sum;
    for (uint half_width = LANES / 2; half_width > 0; half_width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < half_width)
            squares[item] = squares[item] + squares[item + half_width];
    }
    barrier(CLK_LOCAL_MEM_FENCE);

    float total[4], found[N_STRIPS][4];
    vstore4(squares[item - lane], 0, total);
#pragma unroll
    for (uint strip = 0; strip < N_STRIPS; strip++)
        vstore4(y[strip], 0, found[strip]);
#pragma unroll
    for (uint t = 0; t < 4; t++) {
        const ulong row = first_row + token + t;
        __global const float *mix = gamma + row / rows_per_frame * width;
        const float r = vm_rsqrt(fma(total[t], one_over_n, eps));
#pragma unroll
        for (uint strip = 0; strip < N_STRIPS; strip++) {
            const uint d = strip * LANES + lane;
            if (d < VS_HEAD_DIM && token + t <= last) {
                const float norm = (found[strip][t] * r) * weight[d];
                const float global_out = vm_silu(g[row * width + d] * norm);
                out[row * width + d] = fma(mix[d], global_out, local_out[row * width + d]);
            }
        }
    }
}
