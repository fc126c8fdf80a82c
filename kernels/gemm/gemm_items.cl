/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Linear layers where reads cost more than arithmetic and local memory is no
 *                    faster: drivers that make GPUs of CPUs.
 * Formula            as in gemm.cl
 * Shapes and layout  as in gemm.cl
 * Work split         A work-item makes 4 neighbouring columns of 8 neighbouring rows; global size
 *                    {at least ceil(N / 4), ceil(M / 8), batches}, any group size. Rows and
 *                    columns past the last repeat it, and are computed but never stored. What an
 *                    item keeps has names, not indices: not every compiler resolves arrays in
 *                    loops.
 * Numerics           EXACT: blocks of 256 in k, one chain of fma in each, added in ascending order;
 *                    then the bias, then the epilogue.
 * Parameters         VS_DTYPE 0..5 as in convert/widen.clh; default 0.
 *                    VS_ACTIVATION 0 none, 1 gelu2, 2 silu; default 0.
 * Limits             K is whole blocks of the format. out may be residual, not x. */
#pragma OPENCL FP_CONTRACT OFF

#define VM_WIDTH 1
#include "common/vmath.h"
#include "convert/widen.clh"
#include "gemm/epilogue.clh"
#include "gemm/rows.clh"

enum { BLOCK = 256 }; /* of the contract's dot(K) */

#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#define EACH_COLUMN(F) F(0) F(1) F(2) F(3)

__kernel void linear_items(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset, __global const uchar *weight, ulong weight_offset,
                           __global const float *bias, ulong bias_offset,
                           __global const float *residual, ulong residual_offset,
                           __global const float *gate, ulong gate_offset, ulong rows_per_gate,
                           int epilogue, int has_bias, ulong n_rows, ulong n_outputs,
                           ulong n_columns, ulong x_stride, ulong x_rows, ulong x_group,
                           ulong x_batch, ulong out_batch)
{
    ulong first = 4 * get_global_id(0), begin = 8 * get_global_id(1);
    ulong last = n_outputs - 1, last_row = n_rows - 1;
    ulong batch = get_global_id(2);
    x += x_offset + batch * x_batch;
    weight += weight_offset + batch * n_outputs * VS_ROW_BYTES(n_columns);
    out += out_offset + batch * out_batch;

#define COLUMN(c)                                                                                 \
    __global const uchar *weight##c =                                                             \
        weight + (first + c < last ? first + c : last) * VS_ROW_BYTES(n_columns);
    EACH_COLUMN(COLUMN)
#define ROW(r)                                                                                    \
    __global const float *x##r = x + vs_row_place(begin + r < last_row ? begin + r : last_row,    \
                                                  x_stride, x_rows, x_group);                     \
    float4 total##r = 0.0f, chain##r = 0.0f;
    EACH_ROW(ROW)

    for (ulong block = 0; block < n_columns; block += BLOCK) {
        ulong end = block + BLOCK < n_columns ? block + BLOCK : n_columns;
        for (ulong k = block; k < end; k++) {
            float4 four = (float4)(vs_widen(weight0, k), vs_widen(weight1, k), vs_widen(weight2, k),
                                   vs_widen(weight3, k));
#define MULTIPLY(r) chain##r = fma((float4)(x##r[k]), four, chain##r);
            EACH_ROW(MULTIPLY)
        }
#define ADD(r)                                                                                    \
    total##r = total##r + chain##r;                                                               \
    chain##r = 0.0f;
        EACH_ROW(ADD)
    }

    for (ulong n = first; n < first + 4 && n < n_outputs; n++) {
#define STORE(r)                                                                                  \
    if (begin + r < n_rows) {                                                                     \
        ulong m = begin + r, i = m * n_outputs + n, row = rows_per_gate ? m / rows_per_gate : 0;  \
        float y = has_bias ? total##r.x + bias[bias_offset + n] : total##r.x;                     \
        out[i] = vs_epilogue(y, epilogue, residual, residual_offset + i, gate,       \
                                          gate_offset + row * n_outputs + n);                     \
        total##r = total##r.yzwx;                                                                 \
    }
        EACH_ROW(STORE)
    }
}
