/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     The norms of norm.cl for GPUs: 64 work-items share a row.
 * Formula     see norm.h
 * Shapes      as in norm.cl
 * Work split  a group of (64, 1) per row; item l is lane l of the contract, so the lanes' sums
 *             need no exchange and the tree runs in local memory
 * Numerics    EXACT: the same sums, products and fma as norm_ref.c
 * Parameters  VS_MODULATION 0|1, VS_SILU 0|1
 * Limits      groups of exactly 64 items; 256 bytes of local memory */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_MODULATION
#define VS_MODULATION 0
#endif
#ifndef VS_SILU
#define VS_SILU 0
#endif

#define VM_WIDTH 1
#include "common/vmath.h"
#include "common/reduce_group.clh"

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
layernorm(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
          __global const float *shift, ulong shift_offset, __global const float *scale,
          ulong scale_offset, ulong n_channels, ulong rows_per_vector, float one_over_n, float eps)
{
    __local float lanes[64];
    ulong row = get_global_id(1);
    ulong vector = rows_per_vector ? row / rows_per_vector : 0;
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    shift += shift_offset + vector * n_channels;
    scale += scale_offset + vector * n_channels;

    float sum = 0.0f;
    for (ulong i = get_local_id(0); i < n_channels; i += 64)
        sum = sum + x[i];
    float mean = vs_group_tree64(sum, lanes) * one_over_n;
    float r = vm_rsqrt(fma(vs_group_sum_squares(x, n_channels, mean, lanes), one_over_n, eps));
    for (ulong i = get_local_id(0); i < n_channels; i += 64) {
        float d = (x[i] - mean) * r;
        float w = scale[i];
#if VS_MODULATION
        w = 1.0f + w;
#endif
        out[i] = fma(d, w, shift[i]);
    }
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
rmsnorm(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
        __global const float *weight, ulong weight_offset, ulong n_channels, float one_over_n,
        float eps)
{
    __local float lanes[64];
    ulong row = get_global_id(1);
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    weight += weight_offset;

    float r = vm_rsqrt(fma(vs_group_sum_squares(x, n_channels, 0.0f, lanes), one_over_n, eps));
    for (ulong i = get_local_id(0); i < n_channels; i += 64)
        out[i] = (x[i] * r) * weight[i];
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
channel_norm(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
             __global const float *gamma, ulong gamma_offset, ulong n_channels,
             float sqrt_channels)
{
    __local float lanes[64];
    ulong row = get_global_id(1);
    x += x_offset + row * n_channels;
    out += out_offset + row * n_channels;
    gamma += gamma_offset;

    float length = vm_sqrt(vs_group_sum_squares(x, n_channels, 0.0f, lanes));
    length = length > 1e-12f ? length : 1e-12f;
    float r = vm_rcp(length) * sqrt_channels;
    for (ulong i = get_local_id(0); i < n_channels; i += 64) {
        float y = (x[i] * r) * gamma[i];
#if VS_SILU
        y = vm_silu(y);
#endif
        out[i] = y;
    }
}
