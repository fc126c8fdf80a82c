/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Linear layers on weights as they stand in the file.
 * Formula            out[m, n] = epilogue(dot(x[m, :], weight[n, :]) + bias[n])
 * Shapes and layout  x [M, K], rows as in rows.clh, weight [N, K] in format VS_DTYPE, bias [N],
 *                    residual and out [M, N], gate [.., N]; all row-major. Batches have weight
 *                    [batches, N, K], x and out x_batch and out_batch apart, and no bias or
 *                    epilogue.
 * Work split         linear_plain: a work-item an output, global size {N, M, batches}.
 *                    linear_tile: a work-item makes VS_SWEEP rows of VS_PANEL columns, global
 *                    size {ceil(N / VS_PANEL), ceil(M / n_sweep), batches}, groups of one. For
 *                    each block of 256 in k it widens and transposes the weights once into private
 *                    memory, then sweeps its rows in register tiles of VS_ROWS x VS_PANEL.
 * Numerics           EXACT: blocks of 256 in k, one chain of fma in each, added in ascending
 *                    order from +0; then the bias, then the epilogue.
 * Parameters         VS_DTYPE 0..5 as in convert/widen.clh; default 0.
 *                    VS_ACTIVATION 0 none, 1 gelu2, 2 silu; default 0.
 *                    VS_VECTORS float16 per register row, 1 (AVX2) or 2 (AVX-512); default 1.
 *                    VS_ROWS rows of a register tile, 1..16; default 6.
 *                    VS_SWEEP most rows of a work-item, a multiple of VS_ROWS; default 252.
 * Limits             K is whole blocks of the format. out may be residual, not x. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_VECTORS
#define VS_VECTORS 1
#endif
#ifndef VS_ROWS
#define VS_ROWS 6
#endif
#ifndef VS_SWEEP
#define VS_SWEEP 252
#endif
#define VM_WIDTH 1
#include "common/vmath.h"
#define VM_WIDTH 16
#include "common/vmath.h"
#include "convert/widen.clh"
#include "gemm/epilogue.clh"
#include "gemm/rows.clh"

enum { BLOCK = 256, PANEL = 16 * VS_VECTORS }; /* 256: blocks of the contract's dot(K) */

__kernel void linear_plain(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset, __global const uchar *weight, ulong weight_offset,
                           __global const float *bias, ulong bias_offset,
                           __global const float *residual, ulong residual_offset,
                           __global const float *gate, ulong gate_offset, ulong rows_per_gate,
                           int epilogue, int has_bias, ulong n_rows, ulong n_outputs,
                           ulong n_columns, ulong x_stride, ulong x_rows, ulong x_group,
                           ulong x_batch, ulong out_batch, ulong n_sweep)
{
    ulong n = get_global_id(0), m = get_global_id(1), i = m * n_outputs + n;
    ulong batch = get_global_id(2);
    __global const uchar *w =
        weight + weight_offset + (batch * n_outputs + n) * VS_ROW_BYTES(n_columns);
    x += x_offset + batch * x_batch + vs_row_place(m, x_stride, x_rows, x_group);
    out += out_offset + batch * out_batch;

    float y = 0.0f;
    for (ulong block = 0; block < n_columns; block += BLOCK) {
        ulong end = block + BLOCK < n_columns ? block + BLOCK : n_columns;
        float chain = 0.0f;
        for (ulong k = block; k < end; k++)
            chain = fma(x[k], vs_widen(w, k), chain);
        y = y + chain;
    }
    if (has_bias)
        y = y + bias[bias_offset + n];
    ulong row = rows_per_gate ? m / rows_per_gate : 0;
    out[i] = vs_epilogue(y, epilogue, residual, residual_offset + i, gate,
                         gate_offset + row * n_outputs + n);
}

/* Transposes eight float8 in place: element j of r[i] becomes element i of r[j]. */
static void transpose8(float8 r[8])
{
    float8 s[8], t[8];
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        float8 a = r[i], b = r[i + 1];
        s[i] = (float8)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5);
        s[i + 1] = (float8)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7);
    }
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        t[i] = (float8)(s[i].s01, s[i + 2].s01, s[i].s45, s[i + 2].s45);
        t[i + 1] = (float8)(s[i].s23, s[i + 2].s23, s[i].s67, s[i + 2].s67);
        t[i + 2] = (float8)(s[i + 1].s01, s[i + 3].s01, s[i + 1].s45, s[i + 3].s45);
        t[i + 3] = (float8)(s[i + 1].s23, s[i + 3].s23, s[i + 1].s67, s[i + 3].s67);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        r[i] = (float8)(t[i].lo, t[i + 4].lo);
        r[i + 4] = (float8)(t[i].hi, t[i + 4].hi);
    }
}

/* panel[k][c] = weight[first + c, block + k] for k < n_k; columns past the last repeat it, and are
 * computed but never stored. */
static void widen_panel(float *panel, __global const uchar *weight, ulong first, ulong n_outputs,
                        ulong n_columns, ulong block, uint n_k)
{
    for (uint c = 0; c < PANEL; c += 8) {
        __global const uchar *row[8];
        for (uint i = 0; i < 8; i++) {
            ulong n = first + c + i < n_outputs ? first + c + i : n_outputs - 1;
            row[i] = weight + n * VS_ROW_BYTES(n_columns);
        }
        uint k = 0;
        for (; k + 16 <= n_k; k += 16) {
            float8 low[8], high[8];
#pragma unroll
            for (uint i = 0; i < 8; i++) {
                float16 w = vs_widen16(row[i], block + k);
                low[i] = w.lo;
                high[i] = w.hi;
            }
            transpose8(low);
            transpose8(high);
#pragma unroll
            for (uint i = 0; i < 8; i++) {
                vstore8(low[i], 0, panel + (k + i) * PANEL + c);
                vstore8(high[i], 0, panel + (k + 8 + i) * PANEL + c);
            }
        }
        for (; k < n_k; k++)
            for (uint i = 0; i < 8; i++)
                panel[k * PANEL + c + i] = vs_widen(row[i], block + k);
    }
}

/* The first `count` (at most 16) floats from p, zeros for the others. */
static float16 load_part(__global const float *p, ulong count)
{
    if (count >= 16)
        return vload16(0, p);
    float v[16];
    for (uint i = 0; i < 16; i++)
        v[i] = i < count ? p[i] : 0.0f;
    return vload16(0, v);
}

static void store_part(float16 y, __global float *p, ulong count)
{
    if (count >= 16) {
        vstore16(y, 0, p);
        return;
    }
    float v[16];
    vstore16(y, 0, v);
    for (uint i = 0; i < count; i++)
        p[i] = v[i];
}

__attribute__((reqd_work_group_size(1, 1, 1))) __kernel void
linear_tile(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
            __global const uchar *weight, ulong weight_offset, __global const float *bias,
            ulong bias_offset, __global const float *residual, ulong residual_offset,
            __global const float *gate, ulong gate_offset, ulong rows_per_gate, int epilogue,
            int has_bias, ulong n_rows, ulong n_outputs, ulong n_columns, ulong x_stride,
            ulong x_rows, ulong x_group, ulong x_batch, ulong out_batch, ulong n_sweep)
{
    ulong first = PANEL * get_global_id(0), begin = n_sweep * get_global_id(1);
    ulong batch = get_global_id(2);
    uint n_mine = (uint)(n_rows - begin < n_sweep ? n_rows - begin : n_sweep);
    float16 total[VS_SWEEP][VS_VECTORS];
    float panel[BLOCK * PANEL] __attribute__((aligned(64)));
    x += x_offset + batch * x_batch + vs_row_place(begin, x_stride, x_rows, x_group);
    weight += weight_offset + batch * n_outputs * VS_ROW_BYTES(n_columns);
    out += out_offset + batch * out_batch;
    ulong to_group = x_group - (x_rows - 1) * x_stride; /* from the last row of the group before */

    ulong block = 0;
    do {
        uint n_k = (uint)(n_columns - block < BLOCK ? n_columns - block : BLOCK);
        widen_panel(panel, weight, first, n_outputs, n_columns, block, n_k);
        __global const float *next = x + block;
        ulong in_group = x_rows ? begin % x_rows : 0;
        for (uint r = 0; r < n_mine; r += VS_ROWS) {
            __global const float *row[VS_ROWS];
            float16 chain[VS_ROWS][VS_VECTORS];
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++) {
                row[i] = next;
                if (r + i + 1 < n_mine) {
                    bool last = ++in_group == x_rows;
                    next += last ? to_group : x_stride;
                    in_group = last ? 0 : in_group;
                }
#pragma unroll
                for (uint v = 0; v < VS_VECTORS; v++)
                    chain[i][v] = 0.0f;
            }
            for (uint k = 0; k < n_k; k++) {
                float16 w[VS_VECTORS];
#pragma unroll
                for (uint v = 0; v < VS_VECTORS; v++)
                    w[v] = vload16(0, panel + k * PANEL + 16 * v);
#pragma unroll
                for (uint i = 0; i < VS_ROWS; i++)
#pragma unroll
                    for (uint v = 0; v < VS_VECTORS; v++)
                        chain[i][v] = fma((float16)(row[i][k]), w[v], chain[i][v]);
            }
#pragma unroll
            for (uint i = 0; i < VS_ROWS; i++)
#pragma unroll
                for (uint v = 0; v < VS_VECTORS; v++)
                    total[r + i][v] = block ? total[r + i][v] + chain[i][v] : chain[i][v];
        }
        block += BLOCK;
    } while (block < n_columns);

    for (uint r = 0; r < n_mine; r++)
        for (uint v = 0; v < VS_VECTORS; v++) {
            ulong m = begin + r, n = first + 16 * v, i = m * n_outputs + n;
            if (n >= n_outputs)
                break;
            ulong count = n_outputs - n;
            float16 y = total[r][v];
            if (has_bias)
                y = y + load_part(bias + bias_offset + n, count);
#if VS_ACTIVATION == 1
            y = vm_gelu216(y);
#elif VS_ACTIVATION == 2
            y = vm_silu16(y);
#else
            if (epilogue != NONE) {
                float16 old = load_part(residual + residual_offset + i, count);
                ulong row = rows_per_gate ? m / rows_per_gate : 0;
                if (epilogue == RESIDUAL)
                    y = old + y;
                else if (epilogue == MULTIPLY)
                    y = old * y;
                else
                    y = fma(load_part(gate + gate_offset + row * n_outputs + n, count), y, old);
            }
#endif
            store_part(y, out + i, count);
        }
}
