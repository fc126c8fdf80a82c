/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            What follows the product of a linear layer that another provider computed.
 * Formula            out[m, n] = epilogue(y[m, n] + bias[n])
 * Shapes and layout  as in gemm.cl; y [M, N] row-major
 * Work split         a work-item an output, global size {N, M}
 * Numerics           the epilogue of gemm.cl on a product that is BOUNDED: kernels/NUMERICS.md
 * Parameters         VS_ACTIVATION 0 none, 1 gelu2, 2 silu; default 0
 * Limits             out may be y or residual */
#pragma OPENCL FP_CONTRACT OFF

#define VM_WIDTH 1
#include "common/vmath.h"
#include "gemm/epilogue.clh"

__kernel void linear_epilogue(__global float *out, ulong out_offset, __global const float *y,
                              ulong y_offset, __global const float *bias, ulong bias_offset,
                              __global const float *residual, ulong residual_offset,
                              __global const float *gate, ulong gate_offset, ulong rows_per_gate,
                              int epilogue, int has_bias, ulong n_outputs)
{
    const ulong n = get_global_id(0), m = get_global_id(1), i = m * n_outputs + n;
    float value = y[y_offset + i];
    if (has_bias)
        value = value + bias[bias_offset + n];
    const ulong row = rows_per_gate ? m / rows_per_gate : 0;
    out[out_offset + i] = vs_epilogue(value, epilogue, residual, residual_offset + i, gate,
                                      gate_offset + row * n_outputs + n);
}
