/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     Rotary position embedding over frame, row and column, forwards and backwards.
 * Formula     pair (a, b) -> (fma(a, cos, -(b * sin)), fma(a, sin, b * cos)); backwards -sin
 * Shapes and layout
 *             x, out [rows, N, D], token t of frame f at row slot[f] * area + t % area, area the
 *             tokens of a frame; where slots is NULL, at row t.
 *             table: frames [n_frames, nf, 2], rows [gh, ns, 2], columns [gw, ns, 2], (cos, sin);
 *             ns = D / 6, nf = D / 2 - 2 ns. out may be x
 * Work split  one work-item a (head, token)
 * Numerics    EXACT
 * Parameters  VS_HEAD_DIM 2.. even (32): D
 * Limits      none */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_HEAD_DIM
#define VS_HEAD_DIM 32
#endif

#define N_SPACE (VS_HEAD_DIM / 6)
#define N_TIME (VS_HEAD_DIM / 2 - 2 * N_SPACE)

__kernel void rope(__global float *out, ulong out_offset, __global const float *x, ulong x_offset,
                   __global const float *table, ulong table_offset, __global const int *in_slots,
                   ulong first_in_slot, __global const int *out_slots, ulong first_out_slot,
                   ulong n_frames, ulong grid_rows, ulong grid_columns, ulong n_heads,
                   int backwards)
{
    const ulong head = get_global_id(0), token = get_global_id(1);
    const ulong area = grid_rows * grid_columns, frame = token / area, place = token % area;
    const ulong in_frame = in_slots ? (ulong)in_slots[first_in_slot + frame] : frame;
    const ulong out_frame = out_slots ? (ulong)out_slots[first_out_slot + frame] : frame;
    x += x_offset + ((in_frame * area + place) * n_heads + head) * VS_HEAD_DIM;
    out += out_offset + ((out_frame * area + place) * n_heads + head) * VS_HEAD_DIM;

    __global const float *times = table + table_offset;
    __global const float *rows = times + 2 * n_frames * N_TIME;
    __global const float *columns = rows + 2 * grid_rows * N_SPACE;
    times += 2 * frame * N_TIME;
    rows += 2 * (place / grid_columns) * N_SPACE;
    columns += 2 * (place % grid_columns) * N_SPACE;
    for (int i = 0; i < VS_HEAD_DIM / 2; i++) {
        const float2 angle = i < N_TIME             ? vload2(i, times)
                             : i < N_TIME + N_SPACE ? vload2(i - N_TIME, rows)
                                                    : vload2(i - N_TIME - N_SPACE, columns);
        const float c = angle.x, s = backwards ? -angle.y : angle.y;
        const float2 pair = vload2(i, x);
        const float bs = pair.y * s, bc = pair.y * c;
        vstore2((float2)(fma(pair.x, c, -bs), fma(pair.x, s, bc)), i, out);
    }
}
