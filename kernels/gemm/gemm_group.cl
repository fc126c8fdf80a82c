/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Linear layers on weights as they stand in the file, for GPUs: work-groups
 *                    share what they read through local memory.
 * Formula            out[m, n] = epilogue(dot(x[m, :], weight[n, :]) + bias[n])
 * Shapes and layout  x [M, K], rows x_stride apart, weight [N, K] in format VS_DTYPE, bias [N], residual and out
 *                    [M, N], gate [.., N]; all row-major.
 * Work split         A group of 256 items makes 16 * VS_ROWS rows of 64 columns, an item VS_ROWS
 *                    rows of 4 neighbouring columns; global size {256 * ceil(N / 64),
 *                    ceil(M / (16 * VS_ROWS))}. K is walked in slices of 16. The next slice is on
 *                    its way from memory, weights being widened, while the present one is
 *                    multiplied; two slices lie in local memory, so one barrier a slice is enough.
 * Numerics           EXACT: blocks of 256 in k, one chain of fma in each, added in ascending
 *                    order from +0; then the bias, then the epilogue. Past the end of K zeros are
 *                    multiplied in: a chain is never -0, so no bit changes.
 * Parameters         VS_DTYPE 0..5 as in convert/widen.clh; default 0.
 *                    VS_ACTIVATION 0 none, 1 gelu2, 2 silu; default 0.
 *                    VS_ROWS rows of an item, 1, 2 or 4; default 4. Local memory at 4: 17 KiB.
 * Limits             K is whole blocks of the format. out may be residual, not x. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_ROWS
#define VS_ROWS 4
#endif
#include "common/registers.clh"
#define VM_WIDTH 1
#include "common/vmath.h"
#include "convert/widen.clh"
#include "gemm/epilogue.clh"

enum {
    BLOCK = 256,         /* of the contract's dot(K) */
    SLICE = 16,          /* k in local memory */
    ROWS = 16 * VS_ROWS, /* of a group */
    COLUMNS = 64,
    ITEMS = 256,
    PAD = 4, /* keeps rows of local memory off each other's banks and float4 aligned */
};

/* One item's part of a slice: VS_ROWS neighbours in k of a row of x, four of a row of weights. */
struct part {
    float x[VS_ROWS], w[4];
};

static struct part load_part(__global const float *x, ulong x_k, __global const uchar *weight,
                             ulong w_k, ulong n_columns)
{
    struct part part;
    if (x_k + VS_ROWS <= n_columns) {
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
            part.x[i] = x[x_k + i];
    } else {
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
            part.x[i] = x_k + i < n_columns ? x[x_k + i] : 0.0f;
    }
    /* In formats of blocks a row is whole slices: no end to look for. */
    if (VS_DTYPE >= 3 || w_k + 4 <= n_columns)
        vstore4(vs_widen4(weight, w_k), 0, part.w);
#if VS_DTYPE < 3
    else {
#pragma unroll
        for (uint i = 0; i < 4; i++)
            part.w[i] = w_k + i < n_columns ? vs_widen(weight, w_k + i) : 0.0f;
    }
#endif
    return part;
}

__attribute__((reqd_work_group_size(ITEMS, 1, 1))) VS_MANY_REGISTERS __kernel void
linear_group(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
             __global const uchar *weight, ulong weight_offset, __global const float *bias,
             ulong bias_offset, __global const float *residual, ulong residual_offset,
             __global const float *gate, ulong gate_offset, ulong rows_per_gate, int epilogue,
             int has_bias, ulong n_rows, ulong n_outputs, ulong n_columns, ulong x_stride)
{
    __local float x_slice[2][SLICE][ROWS + PAD] __attribute__((aligned(16)));
    __local float w_slice[2][SLICE][COLUMNS + PAD] __attribute__((aligned(16)));
    uint item = (uint)get_local_id(0);
    ulong first_row = get_global_id(1) * ROWS, first_column = get_global_id(0) / ITEMS * COLUMNS;

    /* What the item brings. Rows past the last repeat it; they are computed but never stored. */
    uint x_row = item * VS_ROWS / SLICE, x_k = item * VS_ROWS % SLICE;
    uint w_row = item * 4 / SLICE, w_k = item * 4 % SLICE;
    ulong m = first_row + x_row < n_rows ? first_row + x_row : n_rows - 1;
    ulong n = first_column + w_row < n_outputs ? first_column + w_row : n_outputs - 1;
    x += x_offset + m * x_stride;
    weight += weight_offset + n * VS_ROW_BYTES(n_columns);

    /* What it computes, within the group's tile. */
    uint row = item / 16 * VS_ROWS, column = item % 16 * 4, now = 0;
    float4 total[VS_ROWS];
#pragma unroll
    for (uint i = 0; i < VS_ROWS; i++)
        total[i] = 0.0f;

    struct part next = load_part(x, x_k, weight, w_k, n_columns);
    for (ulong block = 0; block < n_columns; block += BLOCK) {
        ulong end = block + BLOCK < n_columns ? block + BLOCK : n_columns;
        float4 chain[VS_ROWS];
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
            chain[i] = 0.0f;
        for (ulong k = block; k < end; k += SLICE) {
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
                x_slice[now][x_k + i][x_row] = next.x[i];
#pragma unroll
            for (uint i = 0; i < 4; i++)
                w_slice[now][w_k + i][w_row] = next.w[i];
            /* Also keeps the store after next, into this slice again, behind its last reader. */
            barrier(CLK_LOCAL_MEM_FENCE);
            if (k + SLICE < n_columns)
                next = load_part(x, k + SLICE + x_k, weight, k + SLICE + w_k, n_columns);
#pragma unroll
            for (uint s = 0; s < SLICE; s++) {
                float4 w = vload4(0, &w_slice[now][s][column]);
#pragma unroll
                for (uint i = 0; i < VS_ROWS; i++)
                    chain[i] = fma((float4)(x_slice[now][s][row + i]), w, chain[i]);
            }
            now ^= 1;
        }
#pragma unroll
        for (uint i = 0; i < VS_ROWS; i++)
            total[i] = total[i] + chain[i];
    }

#pragma unroll
    for (uint i = 0; i < VS_ROWS; i++) {
        float y[4];
        vstore4(total[i], 0, y);
        m = first_row + row + i;
        ulong gate_row = rows_per_gate ? m / rows_per_gate : 0;
        if (m < n_rows) {
#pragma unroll
            for (uint j = 0; j < 4; j++) {
                n = first_column + column + j;
                if (n < n_outputs) {
                    float sum = has_bias ? y[j] + bias[bias_offset + n] : y[j];
                    ulong place = m * n_outputs + n;
                    out[out_offset + place] =
                        vs_epilogue(sum, epilogue, residual, residual_offset + place, gate,
                                    gate_offset + gate_row * n_outputs + n);
                }
            }
        }
    }
}
