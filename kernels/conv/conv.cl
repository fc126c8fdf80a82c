/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     convolutions of the VAE: causal 3-D with history, 2-D with stride, nearest-neighbour
 *             doubling read on the fly, two frames out of one, residual added
 * Formula     out[f, y, x, o] = residual + (sum_k in[f, y, x][k] weight[o][k] + bias[o]),
 *             k = ((kt * KH + kh) * KW + kw) * C + c
 * Shapes      x [F, H, W, C], past [n_past, H, W, C] in front of it, out [F', H', W', O];
 *             weight: panels of VS_LANES output channels, [ceil(O / VS_LANES)][K][VS_LANES], then
 *             C zeros, which stand for places outside the frame
 * Work split  conv_plain: one work-item an output, (O, H' W', frames).
 *             conv_tile: one work-item n_tiles_each runs of VS_PIXELS neighbours in a row times one
 *             panel, (panels, ceil(runs / n_tiles_each)); group size 1
 * Numerics    EXACT: chains of fma over 256 k, added in ascending order, then the bias. Whole rows
 *             of zeros are skipped by conv_tile (a chain is never -0, so no bit changes)
 * Parameters  VS_LANES 4|8|16; VS_PIXELS 1..8 (registers: VS_PIXELS * VS_LANES floats);
 *             VS_TILES 1..32 (24; most runs a work-item: each brings a panel's weights from far, and
 *             the runs share 256 k of them in the cache)
 * Limits      K, H', W', H, W below 2^31; VS_DOUBLED with kt 1 or more alike */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_LANES
#define VS_LANES 16
#endif
#ifndef VS_PIXELS
#define VS_PIXELS 6
#endif
#ifndef VS_TILES
#define VS_TILES 24
#endif
#define VS_BLOCK 256

#define VS_CAT_(a, b) a##b
#define VS_CAT(a, b) VS_CAT_(a, b)
#define VS_V VS_CAT(float, VS_LANES)
#define VS_LOAD VS_CAT(vload, VS_LANES)
#define VS_STORE VS_CAT(vstore, VS_LANES)

#include "conv/conv.clh"

__kernel void conv_plain(VS_ARGUMENTS)
{
    int o = get_global_id(0);
    ulong pixel = get_global_id(1), frame = get_global_id(2);
    int oy = pixel / out_width, ox = pixel - (ulong)oy * out_width;
    int columns = width << ((flags & VS_DOUBLED) != 0);
    ulong n_k = (ulong)kt * kh * kw * n_in;
    __global const float *zeros = weight + n_panels * n_k * VS_LANES;
    ulong panel = (uint)o / VS_LANES;
    weight += panel * n_k * VS_LANES + (o - panel * VS_LANES);
    x += x_offset;
    past += past_offset;

    float total = 0.0f, chain = 0.0f;
    ulong k = 0;
    for (int t = 0; t < kt; t++)
        for (int i = 0; i < kh; i++) {
            __global const float *row =
                input_row(x, past, flags, n_in, height, width, n_past, frame * stride_time + t,
                          oy * stride + i - pad_top);
            for (int j = 0; j < kw; j++) {
                int column = ox * stride + j - pad_left;
                __global const float *in = zeros;
                if (row && column >= 0 && column < columns)
                    in = row + (ulong)(flags & VS_DOUBLED ? column >> 1 : column) * n_in;
                for (int c = 0; c < n_in; c++) {
                    chain = fma(in[c], weight[k * VS_LANES], chain);
                    k++;
                    if (k % VS_BLOCK == 0) {
                        total = total + chain;
                        chain = 0.0f;
                    }
                }
            }
        }
    float y = total + chain;
    if (flags & VS_HAS_BIAS)
        y = y + bias[bias_offset + o];
    ulong place = output_place(flags, n_out, (ulong)out_height * out_width, frame, pixel, o);
    if (flags & VS_HAS_RESIDUAL)
        y = residual[residual_offset + place] + y;
    out[out_offset + place] = y;
}

/* Adds the bias and the residual and stores the lanes that exist. */
static void finish(VS_V y, __global float *out, __global const float *bias,
                   __global const float *residual, int flags, int n_out, int first,
                   ulong out_pixels, ulong frame, ulong pixel)
{
    int half_out = n_out / 2;
    bool whole = first + VS_LANES <= n_out &&
                 (!(flags & VS_SPLIT) || first + VS_LANES <= half_out || first >= half_out);
    if (whole) {
        ulong place = output_place(flags, n_out, out_pixels, frame, pixel, first);
        if (flags & VS_HAS_BIAS)
            y = y + VS_LOAD(0, bias + first);
        if (flags & VS_HAS_RESIDUAL)
            y = VS_LOAD(0, residual + place) + y;
        VS_STORE(y, 0, out + place);
        return;
    }
    float lanes[VS_LANES];
    VS_STORE(y, 0, lanes);
    for (int lane = 0; lane < VS_LANES && first + lane < n_out; lane++) {
        ulong place = output_place(flags, n_out, out_pixels, frame, pixel, first + lane);
        float value = lanes[lane];
        if (flags & VS_HAS_BIAS)
            value = value + bias[first + lane];
        if (flags & VS_HAS_RESIDUAL)
            value = residual[place] + value;
        out[place] = value;
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void conv_tile(VS_ARGUMENTS,
                                                                       int n_tiles_each)
{
    ulong panel = get_global_id(0), first_tile = get_global_id(1) * n_tiles_each;
    ulong runs = (out_width + VS_PIXELS - 1) / VS_PIXELS;
    ulong last_tile = out_frames * out_height * runs;
    ulong out_pixels = (ulong)out_height * out_width;
    int n_tiles = last_tile - first_tile < n_tiles_each ? last_tile - first_tile : n_tiles_each;
    int columns = width << ((flags & VS_DOUBLED) != 0);
    int row_k = kw * n_in, n_k = kt * kh * row_k;
    __global const float *zeros = weight + n_panels * n_k * VS_LANES;
    weight += panel * n_k * VS_LANES;
    x += x_offset;
    past += past_offset;
    out += out_offset;
    bias += bias_offset;
    residual += residual_offset;

    VS_V total[VS_TILES][VS_PIXELS];
    for (int tile = 0; tile < n_tiles; tile++)
        for (int r = 0; r < VS_PIXELS; r++)
            total[tile][r] = 0.0f;

    /* Where the block begins: tap (t0, i0) and place j0 in its row of kw * n_in values. */
    int t0 = 0, i0 = 0, j0 = 0;
    for (int block = 0; block < n_k; block += VS_BLOCK) {
        int n_block = n_k - block < VS_BLOCK ? n_k - block : VS_BLOCK;
        int t = t0, i = i0, j = j0;
        for (int tile = 0; tile < n_tiles; tile++) {
            ulong line = (first_tile + tile) / runs;
            int ox = (first_tile + tile - line * runs) * VS_PIXELS;
            ulong frame = line / out_height;
            int oy = line - frame * out_height;
            int left = ox * stride - pad_left;
            bool inside = !(flags & VS_DOUBLED) && ox + VS_PIXELS <= out_width && left >= 0 &&
                          left + (VS_PIXELS - 1) * stride + kw <= width;
            VS_V chain[VS_PIXELS];
#pragma unroll
            for (int r = 0; r < VS_PIXELS; r++)
                chain[r] = 0.0f;

            t = t0, i = i0, j = j0;
            __global const float *w = weight + (ulong)block * VS_LANES;
            for (int k = 0; k < n_block;) {
                __global const float *row =
                    input_row(x, past, flags, n_in, height, width, n_past,
                              frame * stride_time + t, oy * stride + i - pad_top);
                int n = row_k - j < n_block - k ? row_k - j : n_block - k;
                __global const float *in[VS_PIXELS];
                if (row && inside) {
                    /* Taps of one row and their channels are neighbours in memory. */
#pragma unroll
                    for (int r = 0; r < VS_PIXELS; r++)
                        in[r] = row + (ulong)(left + r * stride) * n_in + j;
                } else if (row) {
                    int tap = j / n_in, c = j - tap * n_in;
                    n = n_in - c < n_block - k ? n_in - c : n_block - k;
#pragma unroll
                    for (int r = 0; r < VS_PIXELS; r++) {
                        int column = left + r * stride + tap;
                        in[r] = zeros + c;
                        if (column >= 0 && column < columns)
                            in[r] = row + c +
                                    (ulong)(flags & VS_DOUBLED ? column >> 1 : column) * n_in;
                    }
                }
                if (row)
                    for (int m = 0; m < n; m++) {
                        VS_V v = VS_LOAD(m, w);
#pragma unroll
                        for (int r = 0; r < VS_PIXELS; r++)
                            chain[r] = fma((VS_V)in[r][m], v, chain[r]);
                    }
                w += (ulong)n * VS_LANES;
                k += n;
                j += n;
                if (j == row_k) {
                    j = 0;
                    i++;
                    if (i == kh) {
                        i = 0;
                        t++;
                    }
                }
            }
#pragma unroll
            for (int r = 0; r < VS_PIXELS; r++)
                total[tile][r] = total[tile][r] + chain[r];
        }
        t0 = t, i0 = i, j0 = j;
    }

    for (int tile = 0; tile < n_tiles; tile++) {
        ulong line = (first_tile + tile) / runs;
        int ox = (first_tile + tile - line * runs) * VS_PIXELS;
        ulong frame = line / out_height;
        ulong pixel = (line - frame * out_height) * out_width + ox;
        for (int r = 0; r < VS_PIXELS && ox + r < out_width; r++)
            finish(total[tile][r], out, bias, residual, flags, n_out, panel * VS_LANES,
                   out_pixels, frame, pixel + r);
    }
}
