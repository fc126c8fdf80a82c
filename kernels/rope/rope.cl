/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     Rotary position embedding over frame, row and column, forwards and backwards, for
 *             CPUs; RMSNorm of the whole row before it, if wanted
 * Formula     pair (a, b) -> (fma(a, cos, -(b * sin)), fma(a, sin, b * cos)); backwards -sin
 * Shapes and layout
 *             x, out, normed [rows, N, D], token t of frame f at row slot[f] * area + t % area,
 *             area the tokens of a frame; where slots is NULL, at row t. weight [N, D].
 *             table: frames [n_frames, nf, 2], rows [gh, ns, 2], columns [gw, ns, 2], (cos, sin);
 *             ns = D / 6, nf = D / 2 - 2 ns. out and normed may be x
 * Work split  one work-item a token: its angles are gathered once and serve all heads
 * Numerics    EXACT: RMSNorm as in norm.cl; -(b * sin) is b * -sin
 * Parameters  VS_HEAD_DIM 2.. even (32): D.
 *             VS_NORM 0 (x is turned) | 1 (RMSNorm of x) | 2 (RMSNorm, which normed gets too).
 *             VS_IN, VS_OUT 0 float, 1 half (0): elements of x, of out; VS_NORM wants floats
 * Limits      8 D bytes of private memory */
#pragma OPENCL FP_CONTRACT OFF

#define VM_WIDTH 1
#include "common/vmath.h"
#include "common/cell.clh"
#include "common/prefetch.clh"
#include "common/reduce.clh"
#include "rope/rope.clh"
#if VS_OUT
#define VM_WIDTH 16
#include "common/vmath.h"
#endif

#define N_VECTORS (VS_HEAD_DIM / 16)

static float16 load_vector(int v, __global const VS_CELL(VS_IN) *x)
{
#if VS_IN
    return vload_half16(v, x);
#else
    return vload16(v, x);
#endif
}

static void store_vector(float16 y, int v, __global VS_CELL(VS_OUT) *out)
{
#if !VS_OUT
    vstore16(y, v, out);
#else
    vstore16(convert_ushort16(vm_half16(y)), v, (__global ushort *)out);
#endif
}

__kernel void rope_row(VS_ARGUMENTS)
{
    const ulong token = get_global_id(0), width = n_heads * VS_HEAD_DIM;
    const ulong area = grid_rows * grid_columns, frame = token / area, place = token % area;
    const struct angles at =
        angles_of(table + table_offset, frame, place, n_frames, grid_rows, grid_columns);
    const ulong in_row = token_row(in_slots, first_in_slot, frame, place, area);
    x += x_offset + in_row * width;
    normed += normed_offset + in_row * width;
    weight += weight_offset;
    out += out_offset + token_row(out_slots, first_out_slot, frame, place, area) * width;

    /* What a pair's a and b are multiplied by: (cos, sin) and (-sin, cos). */
    float of_a[VS_HEAD_DIM], of_b[VS_HEAD_DIM];
    for (int i = 0; i < VS_HEAD_DIM / 2; i++) {
        const float2 angle = angle_at(at, i);
        const float s = backwards ? -angle.y : angle.y;
        vstore2((float2)(angle.x, s), i, of_a);
        vstore2((float2)(-s, angle.x), i, of_b);
    }
#if VS_NORM
    const float r = vm_rsqrt(fma(vs_row_sum_squares(x, width, 0.0f), one_over_n, eps));
#endif
    for (ulong head = 0; head < width; head += VS_HEAD_DIM) {
        for (int v = 0; v < N_VECTORS; v++) {
            VS_PREFETCH(x + width + head + 16 * v, 3); /* the next row, most often */
            float16 y = load_vector(v, x + head);
#if VS_NORM
            y = (y * r) * vload16(v, weight + head);
#endif
#if VS_NORM == 2
            vstore16(y, v, normed + head);
#endif
            const float16 b = y.s1133557799bbddff * vload16(v, of_b);
            store_vector(fma(y.s0022446688aaccee, vload16(v, of_a), b), v, out + head);
        }
        for (int i = N_VECTORS * 8; i < VS_HEAD_DIM / 2; i++) {
            float2 y = load_pair(i, x + head);
#if VS_NORM
            y = (y * r) * vload2(i, weight + head);
#endif
#if VS_NORM == 2
            vstore2(y, i, normed + head);
#endif
            const float2 b = y.yy * vload2(i, of_b);
            store_pair(fma(y.xx, vload2(i, of_a), b), i, out + head);
        }
    }
}
