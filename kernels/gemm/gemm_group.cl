/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Linear layers on weights as they stand in the file, for GPUs: work-groups
 *                    share what they read through local memory.
 * Formula            out[m, n] = epilogue(dot(x[m, :], weight[n, :]) + bias[n])
 * Shapes and layout  as in gemm.cl
 * Work split         A group of 256 items makes 16 * VS_ROWS rows of 64 * VS_STRIPS columns, an
 *                    item VS_ROWS rows of 4 neighbouring columns in each strip of 64; global size
 *                    {256 * ceil(N / (64 * VS_STRIPS)), ceil(M / (16 * VS_ROWS)), batches}. K is
 *                    walked in slices. The next slice is on its way from memory, weights being
 *                    widened, while the present one is multiplied; two slices lie in local memory,
 *                    so one barrier a slice is enough.
 * Numerics           EXACT: blocks of 256 in k, one chain of fma in each, added in ascending
 *                    order from +0; then the bias, then the epilogue. Past the end of K zeros are
 *                    multiplied in: a chain is never -0, so no bit changes.
 * Parameters         VS_DTYPE 0..5 as in convert/widen.clh; default 0.
 *                    VS_ACTIVATION 0 none, 1 gelu2, 2 silu; default 0.
 *                    VS_ROWS rows of an item, 1, 2, 4 or 8; default 4.
 *                    VS_STRIPS strips, 1, or, where VS_ROWS is not 1, 2; default 1. Local memory
 *                    at 4 x 1 and 8 x 2: 17 KiB.
 * Limits             K is whole blocks of the format. out may be residual, not x. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_ROWS
#define VS_ROWS 4
#endif
#ifndef VS_STRIPS
#define VS_STRIPS 1
#endif
#include "common/registers.clh"
#define VM_WIDTH 1
#include "common/vmath.h"
#include "convert/widen.clh"
#include "gemm/epilogue.clh"
#include "gemm/rows.clh"

enum {
    BLOCK = 256,            /* of the contract's dot(K) */
    SLICE = 16 / VS_STRIPS, /* k in local memory */
    ROWS = 16 * VS_ROWS,    /* of a group */
    STRIP = 64,             /* columns */
    COLUMNS = STRIP * VS_STRIPS,
    ITEMS = 256,
    PAD = 4, /* keeps rows of local memory off each other's banks and float4 aligned */
    X_PARTS = ROWS * SLICE / ITEMS,
    W_PARTS = COLUMNS * SLICE / ITEMS,
};

/* What an item brings of a slice: neighbours in k of a row of x, and of a row of weights. */
struct part {
    float x[X_PARTS], w[W_PARTS];
};

static struct part load_part(__global const float *x, ulong x_k, __global const uchar *weight,
                             ulong w_k, ulong n_columns)
{
    struct part part;
    if (x_k + X_PARTS <= n_columns) {
#pragma unroll
        for (uint i = 0; i < X_PARTS; i++)
            part.x[i] = x[x_k + i];
    } else {
#pragma unroll
        for (uint i = 0; i < X_PARTS; i++)
            part.x[i] = x_k + i < n_columns ? x[x_k + i] : 0.0f;
    }
    /* In formats of blocks a row is whole slices: no end to look for. */
    if (VS_DTYPE >= 3 || w_k + W_PARTS <= n_columns)
        vstore4(vs_widen4(weight, w_k), 0, part.w);
#if VS_DTYPE < 3
    else {
#pragma unroll
        for (uint i = 0; i < W_PARTS; i++)
            part.w[i] = w_k + i < n_columns ? vs_widen(weight, w_k + i) : 0.0f;
    }
#endif
    return part;
}

/* Neighbouring rows are read from local memory at once. */
#if VS_ROWS < 4
enum { ROW_VECTOR = 1 };
static void load_rows(float *x, __local const float *from)
{
    *x = *from;
}
#else
enum { ROW_VECTOR = 4 };
static void load_rows(float *x, __local const float *from)
{
    vstore4(vload4(0, from), 0, x);
}
#endif

__attribute__((reqd_work_group_size(ITEMS, 1, 1))) VS_MANY_REGISTERS __kernel void
linear_group(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
             __global const uchar *weight, ulong weight_offset, __global const float *bias,
             ulong bias_offset, __global const float *residual, ulong residual_offset,
             __global const float *gate, ulong gate_offset, ulong rows_per_gate, int epilogue,
             int has_bias, ulong n_rows, ulong n_outputs, ulong n_columns, ulong x_stride,
             ulong x_rows, ulong x_group, ulong x_batch, ulong out_batch)
{
    __local float x_slice[2][SLICE][ROWS + PAD] __attribute__((aligned(16)));
    __local float w_slice[2][SLICE][COLUMNS + PAD] __attribute__((aligned(16)));
    uint item = (uint)get_local_id(0);
    ulong first_row = get_global_id(1) * ROWS, first_column = get_global_id(0) / ITEMS * COLUMNS;

    /* What the item brings. Rows past the last repeat it; they are computed but never stored. */
    uint x_row = item * X_PARTS / SLICE, x_k = item * X_PARTS % SLICE;
    uint w_row = item * W_PARTS / SLICE, w_k = item * W_PARTS % SLICE;
    ulong m = first_row + x_row < n_rows ? first_row + x_row : n_rows - 1;
    ulong n = first_column + w_row < n_outputs ? first_column + w_row : n_outputs - 1;
    ulong batch = get_global_id(2);
    x += x_offset + batch * x_batch + vs_row_place(m, x_stride, x_rows, x_group);
    weight += weight_offset + (batch * n_outputs + n) * VS_ROW_BYTES(n_columns);
    out += out_offset + batch * out_batch;

    /* What it computes, within the group's tile. */
    uint row = item / 16 * VS_ROWS, column = item % 16 * 4, now = 0;
    float4 total[VS_STRIPS][VS_ROWS];
#pragma unroll
    for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
            total[strip][i] = 0.0f;

    struct part next = load_part(x, x_k, weight, w_k, n_columns);
    for (ulong block = 0; block < n_columns; block += BLOCK) {
        ulong end = block + BLOCK < n_columns ? block + BLOCK : n_columns;
        float4 chain[VS_STRIPS][VS_ROWS];
#pragma unroll
        for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
                chain[strip][i] = 0.0f;
        for (ulong k = block; k < end; k += SLICE) {
#pragma unroll
            for (uint i = 0; i < X_PARTS; i++)
                x_slice[now][x_k + i][x_row] = next.x[i];
#pragma unroll
            for (uint i = 0; i < W_PARTS; i++)
                w_slice[now][w_k + i][w_row] = next.w[i];
            /* Also keeps the store after next, into this slice again, behind its last reader. */
            barrier(CLK_LOCAL_MEM_FENCE);
            if (k + SLICE < n_columns)
                next = load_part(x, k + SLICE + x_k, weight, k + SLICE + w_k, n_columns);
#pragma unroll
            for (uint s = 0; s < SLICE; s++) {
                float x_now[VS_ROWS];
#pragma unroll
                for (uint i = 0; i < VS_ROWS; i += ROW_VECTOR)
                    load_rows(x_now + i, &x_slice[now][s][row + i]);
#pragma unroll
                for (uint strip = 0; strip < VS_STRIPS; strip++) {
                    float4 w = vload4(0, &w_slice[now][s][strip * STRIP + column]);
#pragma unroll
                    for (uint i = 0; i < VS_ROWS; i++)
                        chain[strip][i] = fma((float4)(x_now[i]), w, chain[strip][i]);
                }
            }
            now ^= 1;
        }
#pragma unroll
        for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
                total[strip][i] = total[strip][i] + chain[strip][i];
    }

    ulong gate_at[VS_ROWS];
#pragma unroll
    for (uint i = 0; i < VS_ROWS; i++)
        gate_at[i] = gate_offset +
                     (rows_per_gate ? (first_row + row + i) / rows_per_gate * n_outputs : 0);
    /* An item's neighbouring columns come to the front in turns: the epilogue is long code. */
#pragma unroll 1
    for (uint j = 0; j < 4; j++) {
#pragma unroll
        for (uint strip = 0; strip < VS_STRIPS; strip++)
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++) {
                float y = total[strip][i].s0;
                total[strip][i] = total[strip][i].s1230;
                m = first_row + row + i;
                n = first_column + strip * STRIP + column + j;
                if (m < n_rows && n < n_outputs) {
                    ulong place = m * n_outputs + n;
                    if (has_bias)
                        y = y + bias[bias_offset + n];
                    out[place] = vs_epilogue(y, epilogue, residual, residual_offset + place, gate,
                                             gate_at[i] + n);
                }
            }
    }
}
