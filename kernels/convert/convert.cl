/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            A weight matrix in its file's number format, as float32.
 * Formula            out[r, c] = value of weight[r, c], denormals of F32 and BF16 as zero.
 * Shapes and layout  out [R, C] row-major; weight R rows of VS_ROW_BYTES(C) bytes, no gaps.
 * Work split         A work-item makes 16 neighbours of a row: global size {ceil(C / 16), R}.
 * Numerics           EXACT.
 * Parameters         VS_DTYPE 0 (F32), 1 (F16), 2 (BF16), 3 (Q8_0), 4 (Q4_0), 5 (Q4_K);
 *                    default 0.
 * Limits             C is whole blocks of the format. */
#pragma OPENCL FP_CONTRACT OFF

#include "convert/widen.clh"

__kernel void widen(__global float *out, ulong out_offset, __global const uchar *weight,
                    ulong weight_offset, ulong n_columns)
{
    ulong k = 16 * get_global_id(0), r = get_global_id(1);
    __global const uchar *row = weight + weight_offset + r * VS_ROW_BYTES(n_columns);
    __global float *to = out + out_offset + r * n_columns;
    if (k + 16 <= n_columns) {
        vstore16(vs_widen16(row, k), 0, to + k);
        return;
    }
    for (; k < n_columns; k++)
        to[k] = vs_widen(row, k);
}
