/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Activations, the sampler's steps, patches, rows of the ring cache, the check
 *                    for infinities and NaN.
 * Formula            activation: f(x); add: a + b, b repeated; sampler_x0: fma(-sigma, flow, x);
 *                    sampler_renoise: fma(sigma, noise, (1 - sigma) x0); the others move data.
 * Shapes and layout  Flat arrays; pixels [F, C, 2 rows, 2 columns], tokens
 *                    [F rows columns, 4 C] with columns (channel, dy, dx) going in and
 *                    (dy, dx, channel) coming out.
 * Work split         activation: VS_WIDTH neighbours a work-item; scatter_rows: as many of a row;
 *                    check_finite: 4096; the others one element.
 * Numerics           EXACT.
 * Parameters         VS_ACTIVATION 0 gelu2, 1 silu, 2 softplus, 3 sigmoid; default 0.
 *                    VS_WIDTH 1 (GPUs) or 16 (CPUs with vectors); default 16.
 *                    VS_OUT 0 float, 1 half: elements of scatter_rows' output; default 0.
 * Limits             none. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_ACTIVATION
#define VS_ACTIVATION 0
#endif
#ifndef VS_WIDTH
#define VS_WIDTH 16
#endif
#ifndef VS_OUT
#define VS_OUT 0
#endif
#if VS_WIDTH == 1
#define VS_VECTOR(name) name
#else
#define VS_VECTOR(name) name##16
#define VM_WIDTH 16
#include "common/vmath.h"
#endif
#if VS_WIDTH == 1 || VS_OUT
#define VM_WIDTH 1
#include "common/vmath.h"
#endif
#include "common/cell.clh"

/* enum vs_activation; one function a program, since each is long for compilers without fma */
#if VS_ACTIVATION == 0
#define activate VS_VECTOR(vm_gelu2)
#elif VS_ACTIVATION == 1
#define activate VS_VECTOR(vm_silu)
#elif VS_ACTIVATION == 2
#define activate VS_VECTOR(vm_softplus)
#else
#define activate VS_VECTOR(vm_sigmoid)
#endif

#if VS_WIDTH == 1
__kernel void activation(__global float *out, ulong out_offset, __global const float *x,
                         ulong x_offset, ulong n)
{
    ulong i = get_global_id(0);
    out[out_offset + i] = activate(x[x_offset + i]);
}
#else
__kernel void activation(__global float *out, ulong out_offset, __global const float *x,
                         ulong x_offset, ulong n)
{
    ulong i = 16 * get_global_id(0);
    out += out_offset + i;
    x += x_offset + i;
    if (i + 16 <= n) {
        vstore16(activate(vload16(0, x)), 0, out);
        return;
    }
    float v[16];
    for (uint lane = 0; lane < 16; lane++)
        v[lane] = i + lane < n ? x[lane] : 0.0f;
    vstore16(activate(vload16(0, v)), 0, v);
    for (uint lane = 0; i + lane < n; lane++)
        out[lane] = v[lane];
}
#endif

__kernel void add(__global float *out, ulong out_offset, __global const float *a, ulong a_offset,
                  __global const float *b, ulong b_offset, ulong n_b)
{
    ulong i = get_global_id(0);
    out[out_offset + i] = a[a_offset + i] + b[b_offset + i % n_b];
}

__kernel void sampler_x0(__global float *out, ulong out_offset, __global const float *x,
                         ulong x_offset, __global const float *flow, ulong flow_offset,
                         float sigma)
{
    ulong i = get_global_id(0);
    out[out_offset + i] = fma(-sigma, flow[flow_offset + i], x[x_offset + i]);
}

__kernel void sampler_renoise(__global float *out, ulong out_offset, __global const float *x0,
                              ulong x0_offset, __global const float *noise, ulong noise_offset,
                              float sigma, float keep)
{
    ulong i = get_global_id(0);
    float kept = keep * x0[x0_offset + i];
    out[out_offset + i] = fma(sigma, noise[noise_offset + i], kept);
}

/* Global size {2 columns, 2 rows, F C}. */
__kernel void patchify(__global float *out, ulong out_offset, __global const float *x,
                       ulong x_offset, ulong n_channels, ulong rows, ulong columns)
{
    ulong px = get_global_id(0), py = get_global_id(1), plane = get_global_id(2);
    ulong c = plane % n_channels, f = plane / n_channels;
    ulong token = (f * rows + py / 2) * columns + px / 2;
    ulong column = (c * 2 + py % 2) * 2 + px % 2;
    out[out_offset + token * n_channels * 4 + column] =
        x[x_offset + (plane * 2 * rows + py) * 2 * columns + px];
}

__kernel void unpatchify(__global float *out, ulong out_offset, __global const float *x,
                         ulong x_offset, ulong n_channels, ulong rows, ulong columns)
{
    ulong px = get_global_id(0), py = get_global_id(1), plane = get_global_id(2);
    ulong c = plane % n_channels, f = plane / n_channels;
    ulong token = (f * rows + py / 2) * columns + px / 2;
    ulong column = (py % 2 * 2 + px % 2) * n_channels + c;
    out[out_offset + (plane * 2 * rows + py) * 2 * columns + px] =
        x[x_offset + token * n_channels * 4 + column];
}

__kernel void scatter_rows(__global VS_CELL(VS_OUT) *restrict out, ulong out_offset,
                           __global const float *restrict x, ulong x_offset,
                           __global const int *restrict slots, ulong first_slot,
                           ulong rows_per_slot, ulong n_channels, ulong x_stride)
{
    const ulong begin = VS_WIDTH * get_global_id(0), r = get_global_id(1);
    const ulong end = min(begin + VS_WIDTH, n_channels);
    const ulong slot = (ulong)slots[first_slot + r / rows_per_slot];
    out += out_offset + (slot * rows_per_slot + r % rows_per_slot) * n_channels;
    x += x_offset + r * x_stride;
    for (ulong c = begin; c < end; c++)
        VS_PUT(VS_OUT, out, c, x[c]);
}

/* Every writer stores the same 1, so no atomic is needed. */
__kernel void check_finite(__global int *flags, ulong index, __global const float *x,
                           ulong x_offset, ulong n)
{
    ulong begin = 4096 * get_global_id(0), end = begin + 4096 < n ? begin + 4096 : n;
    x += x_offset;
    uint found = 0;
    for (ulong i = begin; i < end; i++)
        found |= (as_uint(x[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
    if (found)
        flags[index] = 1;
}
