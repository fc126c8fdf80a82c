/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Elementary functions by themselves, and what becomes of denormal numbers.
 * Formula            vmath_scalar, vmath_vector: f(x) for one function of common/vmath.h;
 *                    denormals: a + b, a * b, fma(a, b, c).
 * Shapes and layout  Flat arrays; vmath_vector: a multiple of 16 values.
 * Work split         One value a work-item; vmath_vector: 16.
 * Numerics           EXACT; denormals shows what the contract leaves open.
 * Parameters         VS_FUNCTION name of the function at width 1, VS_FUNCTION16 at width 16;
 *                    default vm_exp, vm_exp16.
 * Limits             none. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_FUNCTION
#define VS_FUNCTION vm_exp
#define VS_FUNCTION16 vm_exp16
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#define VM_WIDTH 16
#include "common/vmath.h"

__kernel void vmath_scalar(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset)
{
    ulong i = get_global_id(0);
    out[out_offset + i] = VS_FUNCTION(x[x_offset + i]);
}

__kernel void vmath_vector(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset)
{
    ulong i = 16 * get_global_id(0);
    vstore16(VS_FUNCTION16(vload16(0, x + x_offset + i)), 0, out + out_offset + i);
}

/* Bits, not floats: a comparison may flush. in: a, b, c as bits; out: sum, product, fma. */
__kernel void denormals(__global uint *out, __global const uint *in)
{
    float a = as_float(in[0]), b = as_float(in[1]), c = as_float(in[2]);
    out[0] = as_uint(a + a);
    out[1] = as_uint(a * b);
    out[2] = as_uint(fma(a, b, c));
}
