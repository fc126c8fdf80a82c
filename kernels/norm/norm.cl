/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     LayerNorm with affine or modulation, RMSNorm, channel norm of the VAE.
 * Formula     see norm.h
 * Shapes      x, out [n_rows, C] contiguous; shift, scale [vectors, C]; out may be x
 * Work split  one work-item a row; channel_norm: rows_each rows
 * Numerics    EXACT: sums in 64 lanes and a tree (reduce.clh); products and fma in the order of
 *             norm_ref.c
 * Parameters  VS_MODULATION 0|1 (1: fma(d r, 1 + scale, shift)), VS_SILU 0|1
 * Limits      none */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_MODULATION
#define VS_MODULATION 0
#endif
#ifndef VS_SILU
#define VS_SILU 0
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#define VM_WIDTH 16
#include "common/vmath.h"
#include "common/reduce.clh"

__kernel void layernorm(__global float *out, ulong out_offset, __global const float *x,
                        ulong x_offset, __global const float *shift, ulong shift_offset,
                        __global const float *scale, ulong scale_offset, ulong n_channels,
                        ulong rows_per_vector, float one_over_n, float eps)
{
    ulong row = get_global_id(0);
    ulong vector = rows_per_vector ? row / rows_per_vector : 0;
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    shift += shift_offset + vector * n_channels;
    scale += scale_offset + vector * n_channels;

    float mean = vs_row_sum(x, n_channels) * one_over_n;
    float r = vm_rsqrt(fma(vs_row_sum_squares(x, n_channels, mean), one_over_n, eps));
    ulong i = 0;
    for (; i + 16 <= n_channels; i += 16) {
        float16 d = (vload16(0, x + i) - mean) * r;
        float16 w = vload16(0, scale + i);
#if VS_MODULATION
        w = 1.0f + w;
#endif
        vstore16(fma(d, w, vload16(0, shift + i)), 0, out + i);
    }
    for (; i < n_channels; i++) {
        float d = (x[i] - mean) * r;
        float w = scale[i];
#if VS_MODULATION
        w = 1.0f + w;
#endif
        out[i] = fma(d, w, shift[i]);
    }
}

__kernel void rmsnorm(__global float *out, ulong out_offset, __global const float *x,
                      ulong x_offset, __global const float *weight, ulong weight_offset,
                      ulong n_channels, float one_over_n, float eps)
{
    ulong row = get_global_id(0);
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    weight += weight_offset;

    float r = vm_rsqrt(fma(vs_row_sum_squares(x, n_channels, 0.0f), one_over_n, eps));
    ulong i = 0;
    for (; i + 16 <= n_channels; i += 16)
        vstore16((vload16(0, x + i) * r) * vload16(0, weight + i), 0, out + i);
    for (; i < n_channels; i++)
        out[i] = (x[i] * r) * weight[i];
}

/* rows_each rows an item: silu runs over them as one array, so few channels fill vectors too. */
__kernel void channel_norm(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset, __global const float *gamma, ulong gamma_offset,
                           ulong n_rows, ulong rows_each, ulong n_channels, float sqrt_channels)
{
    ulong row = get_global_id(0) * rows_each;
    ulong n = n_rows - row < rows_each ? n_rows - row : rows_each;
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    gamma += gamma_offset;

    for (ulong j = 0; j < n * n_channels; j += n_channels) {
        float length = vm_sqrt(vs_row_sum_squares(x + j, n_channels, 0.0f));
        length = length > 1e-12f ? length : 1e-12f;
        float r = vm_rcp(length) * sqrt_channels;
        ulong i = 0;
        for (; i + 16 <= n_channels; i += 16)
            vstore16((vload16(0, x + j + i) * r) * vload16(0, gamma + i), 0, out + j + i);
        for (; i < n_channels; i++)
            out[j + i] = (x[j + i] * r) * gamma[i];
    }
#if VS_SILU
    ulong i = 0;
    for (; i + 16 <= n * n_channels; i += 16)
        vstore16(vm_silu16(vload16(0, out + i)), 0, out + i);
    for (; i < n * n_channels; i++)
        out[i] = vm_silu(out[i]);
#endif
}
