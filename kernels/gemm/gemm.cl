/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Linear layers on weights as they stand in the file.
 * Formula            out[m, n] = epilogue(dot(x[m, :], weight[n, :]) + bias[n])
 * Shapes and layout  x [M, K], weight [N, K] in format VS_DTYPE, bias [N], residual and out
 *                    [M, N], gate [.., N]; all row-major.
 * Work split         linear_plain: a work-item an output, global size {N, M}.
 *                    linear_tile: a work-item makes VS_SWEEP rows of VS_PANEL columns, global
 *                    size {ceil(N / VS_PANEL), ceil(M / n_sweep)}, groups of one. For each block of
 *                    256 in k it widens and transposes the weights once into private memory,
 *                    then sweeps its rows in register tiles of VS_ROWS x VS_PANEL.
 * Numerics           EXACT: blocks of 256 in k, one chain of fma in each, added in ascending
 *                    order from +0; then the bias, then the epilogue.
 * Parameters         VS_DTYPE 0..5 as in convert/widen.clh; default 0.
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

enum { BLOCK = 256 }; /* of the contract's dot(K) */

/* enum vs_epilogue */
enum { NONE, GELU, SILU, RESIDUAL, GATED, MULTIPLY };

__kernel void linear_plain(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset, __global const uchar *weight, ulong weight_offset,
                           __global const float *bias, ulong bias_offset,
                           __global const float *residual, ulong residual_offset,
                           __global const float *gate, ulong gate_offset, ulong rows_per_gate,
                           int epilogue, int has_bias, ulong n_rows, ulong n_outputs,
                           ulong n_columns, ulong n_sweep)
{
    ulong n = get_global_id(0), m = get_global_id(1), i = m * n_outputs + n;
    __global const uchar *w = weight + weight_offset + n * VS_ROW_BYTES(n_columns);
    x += x_offset + m * n_columns;

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

    if (epilogue == GELU) {
        y = vm_gelu2(y);
    } else if (epilogue == SILU) {
        y = vm_silu(y);
    } else if (epilogue == RESIDUAL) {
        y = residual[residual_offset + i] + y;
    } else if (epilogue == GATED) {
        ulong row = rows_per_gate ? m / rows_per_gate : 0;
        y = fma(gate[gate_offset + row * n_outputs + n], y, residual[residual_offset + i]);
    } else if (epilogue == MULTIPLY) {
        y = residual[residual_offset + i] * y;
    }
    out[out_offset + i] = y;
}
