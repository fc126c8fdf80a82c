/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     The rotary embedding of rope.cl for GPUs: 64 work-items share a token.
 * Formula     see rope.cl
 * Shapes      as in rope.cl
 * Work split  a group of (64, 1) per token; an item turns every 64th pair, and is lane l of the
 *             contract's sums, as in norm_group.cl
 * Numerics    EXACT
 * Parameters  VS_HEAD_DIM 2.. even (32): D; VS_NORM 0|1|2; VS_IN, VS_OUT 0|1
 * Limits      groups of exactly 64 items; 256 bytes of local memory */
#pragma OPENCL FP_CONTRACT OFF

#define VM_WIDTH 1
#include "common/vmath.h"
#include "common/cell.clh"
#include "common/reduce_group.clh"
#include "rope/rope.clh"

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void rope_group(VS_ARGUMENTS)
{
    const ulong token = get_global_id(1), width = n_heads * VS_HEAD_DIM;
    const ulong area = grid_rows * grid_columns, frame = token / area, place = token % area;
    const struct angles at =
        angles_of(table + table_offset, frame, place, n_frames, grid_rows, grid_columns);
    const ulong in_row = token_row(in_slots, first_in_slot, frame, place, area);
    x += x_offset + in_row * width;
    normed += normed_offset + in_row * width;
    weight += weight_offset;
    out += out_offset + token_row(out_slots, first_out_slot, frame, place, area) * width;

#if VS_NORM
    __local float lanes[64];
    const float r = vm_rsqrt(fma(vs_group_sum_squares(x, width, 0.0f, lanes), one_over_n, eps));
#endif
    for (ulong i = get_local_id(0); i < width / 2; i += 64) {
        const float2 angle = angle_at(at, (int)(i % (VS_HEAD_DIM / 2)));
        const float c = angle.x, s = backwards ? -angle.y : angle.y;
        float2 y = load_pair(i, x);
#if VS_NORM
        y = (y * r) * vload2(i, weight);
#endif
#if VS_NORM == 2
        vstore2(y, i, normed);
#endif
        const float bs = y.y * s, bc = y.y * c;
        store_pair((float2)(fma(y.x, c, -bs), fma(y.x, s, bc)), i, out);
    }
}
