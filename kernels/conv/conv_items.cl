/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     convolutions of the VAE where reads cost more than arithmetic and local memory is
 *             no faster: drivers that make GPUs of CPUs
 * Formula     out[f, y, x, o] = residual + (sum_k in[f, y, x][k] weight[o][k] + bias[o]),
 *             k = ((kt * KH + kh) * KW + kw) * C + c
 * Shapes      as in conv.cl
 * Work split  one work-item 4 neighbouring channels of 8 neighbouring pixels (those of all frames
 *             in one row), global size {at least ceil(F' H' W' / 8), ceil(O / 4)}, any group size.
 *             Pixels and channels past the last repeat it, and are computed but never stored.
 *             What an item keeps has names, not indices: not every compiler resolves arrays in
 *             loops
 * Numerics    EXACT: chains of fma over 256 k, added in ascending order, then the bias. Places
 *             outside the frame are zeros that are multiplied in (a chain is never -0, so no bit
 *             changes)
 * Parameters  VS_LANES 4|8|16, of the packed weights
 * Limits      K, H', W', H, W below 2^31 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_LANES
#define VS_LANES 16
#endif

#include "conv/conv.clh"

enum { BLOCK = 256 }; /* of the contract's dot(K) */

#define EACH_PIXEL(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)

__kernel void conv_items(VS_ARGUMENTS)
{
    ulong out_pixels = (ulong)out_height * out_width, n_pixels = out_frames * out_pixels;
    ulong first_pixel = get_global_id(0) * 8, last_pixel = n_pixels - 1;
    int o = (int)get_global_id(1) * 4;
    int n_k = kt * kh * kw * n_in;
    __global const float *zeros = weight + n_panels * n_k * VS_LANES;
    __global const float *w = weight + (ulong)(o / VS_LANES) * n_k * VS_LANES + o % VS_LANES;
    x += x_offset;
    past += past_offset;

#define BEGIN(r)                                                                                  \
    ulong pixel##r = first_pixel + r < n_pixels ? first_pixel + r : last_pixel;                   \
    int frame##r = (int)(pixel##r / out_pixels);                                                  \
    int place##r = (int)(pixel##r - frame##r * out_pixels);                                       \
    int top##r = place##r / out_width * stride - pad_top;                                         \
    int left##r = place##r % out_width * stride - pad_left;                                       \
    float4 total##r = 0.0f, chain##r = 0.0f;                                                      \
    __global const float *in##r;
    EACH_PIXEL(BEGIN)

    int n_left = BLOCK; /* of the chains */
    for (int t = 0; t < kt; t++)
        for (int i = 0; i < kh; i++)
            for (int j = 0; j < kw; j++) {
#define MOVE(r)                                                                                   \
    in##r = input_pixel(x, past, zeros, flags, n_in, height, width, n_past,                       \
                        (ulong)frame##r * stride_time + t, top##r + i, left##r + j);
                EACH_PIXEL(MOVE)
                for (int c = 0; c < n_in;) {
                    int end = c + n_left < n_in ? c + n_left : n_in;
                    n_left -= end - c;
                    for (; c < end; c++, w += VS_LANES) {
                        float4 four = vload4(0, w);
#define MULTIPLY(r) chain##r = fma((float4)(in##r[c]), four, chain##r);
                        EACH_PIXEL(MULTIPLY)
                    }
                    if (!n_left) {
                        n_left = BLOCK;
#define ADD(r)                                                                                    \
    total##r = total##r + chain##r;                                                               \
    chain##r = 0.0f;
                        EACH_PIXEL(ADD)
                    }
                }
            }

    for (int lane = 0; lane < 4 && o + lane < n_out; lane++) {
#define STORE(r)                                                                                  \
    if (first_pixel + r < n_pixels) {                                                             \
        float y = total##r.x + chain##r.x;                                                      \
        if (flags & VS_HAS_BIAS)                                                                  \
            y = y + bias[bias_offset + o + lane];                                                 \
        ulong at = output_place(flags, n_out, out_pixels, frame##r, place##r, o + lane);          \
        if (flags & VS_HAS_RESIDUAL)                                                              \
            y = residual[residual_offset + at] + y;                                               \
        out[out_offset + at] = y;                                                                 \
        total##r = total##r.yzwx;                                                                 \
        chain##r = chain##r.yzwx;                                                                 \
    }
        EACH_PIXEL(STORE)
    }
}
