/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     LayerNorm with affine or modulation, RMSNorm, channel norm of the VAE.
 * Formula     see norm.h
 * Shapes      x, out [n_rows, C] contiguous; shift, scale [vectors, C]; out may be x
 * Work split  one work-item a row; channel_norm: 16 rows
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
#include "common/prefetch.clh"
#include "common/reduce.clh"

enum { ROWS = 16, PART = 192 }; /* of a work-item of channel_norm; floats */

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
        VS_PREFETCH(x + n_channels + i, 3); /* the next row, while this one is in the cache */
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
    for (; i + 16 <= n_channels; i += 16) {
        VS_PREFETCH(x + n_channels + i, 3); /* the next row, while this one is in the cache */
        vstore16((vload16(0, x + i) * r) * vload16(0, weight + i), 0, out + i);
    }
    for (; i < n_channels; i++)
        out[i] = (x[i] * r) * weight[i];
}

/* silu of n floats in place, a part that fits the caches at a time. */
static void silu_in_place(__global float *x, ulong n)
{
    float e[PART], y[PART];
    ulong i = 0;
    for (; i + PART <= n; i += PART, x += PART) {
        for (int j = 0; j < PART; j += 16)
            vstore16(vm_silu_exp16(vload16(0, x + j)), 0, e + j);
        for (int j = 0; j < PART; j += 16)
            vstore16(vm_silu_rcp16(vload16(0, e + j)), 0, y + j);
        for (int j = 0; j < PART; j += 16)
            vstore16(vm_silu_join16(vload16(0, x + j), vload16(0, e + j), vload16(0, y + j)), 0,
                     x + j);
    }
    for (; i + 16 <= n; i += 16, x += 16)
        vstore16(vm_silu16(vload16(0, x)), 0, x);
    for (; i < n; i++, x++)
        *x = vm_silu(*x);
}

/* 16 rows an item: their square roots and reciprocals are the lanes of one vector. */
__kernel void channel_norm(__global float *out, ulong out_offset, __global const float *x,
                           ulong x_offset, __global const float *gamma, ulong gamma_offset,
                           ulong n_rows, ulong n_channels, float sqrt_channels)
{
    ulong row = get_global_id(0) * ROWS, n = n_rows - row < ROWS ? n_rows - row : ROWS;
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    gamma += gamma_offset;

    float r[ROWS];
    for (ulong j = 0; j < ROWS; j++)
        r[j] = j < n ? vs_row_sum_squares(x + j * n_channels, n_channels, 0.0f) : 1.0f;
    float16 length = vm_sqrt16(vload16(0, r));
    length = length > 1e-12f ? length : (float16)1e-12f;
    vstore16(vm_rcp16(length) * sqrt_channels, 0, r);

    for (ulong j = 0; j < n; j++) {
        __global const float *from = x + j * n_channels;
        __global float *to = out + j * n_channels;
        ulong i = 0;
        for (; i + 16 <= n_channels; i += 16)
            vstore16((vload16(0, from + i) * r[j]) * vload16(0, gamma + i), 0, to + i);
        for (; i < n_channels; i++)
            to[i] = (from[i] * r[j]) * gamma[i];
    }
#if VS_SILU
    silu_in_place(out, n * n_channels);
#endif
}
