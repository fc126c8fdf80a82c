/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     convolutions of the VAE for GPUs: work-groups share what they read through local
 *             memory
 * Formula     out[f, y, x, o] = residual + (sum_k in[f, y, x][k] weight[o][k] + bias[o]),
 *             k = ((kt * KH + kh) * KW + kw) * C + c
 * Shapes      as in conv.cl
 * Work split  A matrix product of pixels (those of all frames in one row) by channels whose left
 *             side is gathered from the frames. A group of 256 items makes 4 * VS_ACROSS channels
 *             of 256 / VS_ACROSS * VS_PIXELS pixels, an item 4 neighbouring channels of VS_PIXELS
 *             pixels; global size {256 * ceil(O / channels), ceil(F' H' W' / pixels)}. K is walked
 *             in slices of 16, two of which lie in local memory: while one is multiplied, the next
 *             is on its way.
 * Numerics    EXACT: chains of fma over 256 k, added in ascending order, then the bias. Places
 *             outside the frame, and past the end of K, are zeros that are multiplied in (a chain
 *             is never -0, so no bit changes)
 * Parameters  VS_LANES 4|8|16, of the packed weights; VS_ACROSS 4|8|16, VS_PIXELS 1..4 with
 *             VS_PIXELS * 16 / VS_ACROSS 4 or 8. Local memory: 21.5 KiB with 8 and 4, the most
 * Limits      K, H', W', H, W below 2^31 */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_LANES
#define VS_LANES 16
#endif
#ifndef VS_ACROSS
#define VS_ACROSS 16
#endif
#ifndef VS_PIXELS
#define VS_PIXELS 4
#endif

#include "common/registers.clh"
#include "conv/conv.clh"

enum {
    BLOCK = 256, /* of the contract's dot(K) */
    SLICE = 16,  /* k in local memory */
    ITEMS = 256,
    CHANNELS = 4 * VS_ACROSS, /* of a group */
    PIXELS = ITEMS / VS_ACROSS * VS_PIXELS,
    N_IN = SLICE * PIXELS / ITEMS, /* values of a slice that an item brings */
    N_WEIGHTS = SLICE * CHANNELS / ITEMS,
    PAD = 4, /* keeps rows of local memory off each other's banks and float4 aligned */
};

struct part {
    float in[N_IN], weight[N_WEIGHTS];
};

/* A place in k: tap (t, i, j) and channel. */
struct place {
    int t, i, j, c;
};

/* n places on; a loop, since n is at most a slice and channels are rarely fewer. */
static struct place advanced(struct place at, int n, int n_in, int kh, int kw)
{
    at.c += n;
    while (at.c >= n_in) {
        at.c -= n_in;
        at.j++;
        if (at.j == kw) {
            at.j = 0;
            at.i++;
        }
        if (at.i == kh) {
            at.i = 0;
            at.t++;
        }
    }
    return at;
}

__attribute__((reqd_work_group_size(ITEMS, 1, 1))) VS_MANY_REGISTERS __kernel void
conv_group(VS_ARGUMENTS)
{
    __local float in_slice[2][SLICE][PIXELS + PAD] __attribute__((aligned(16)));
    __local float weight_slice[2][SLICE][CHANNELS + PAD] __attribute__((aligned(16)));
    uint item = (uint)get_local_id(0), first_channel = (uint)(get_global_id(0) / ITEMS) * CHANNELS;
    ulong first_pixel = get_global_id(1) * PIXELS, out_pixels = (ulong)out_height * out_width;
    ulong n_pixels = out_frames * out_pixels;
    int n_k = kt * kh * kw * n_in;
    __global const float *zeros = weight + n_panels * n_k * VS_LANES;
    x += x_offset;
    past += past_offset;

    /* What the item brings: N_IN neighbours in k of one pixel, and weights of one channel. Pixels
     * and channels past the last repeat it; they are computed but never stored. */
    uint in_pixel = item * N_IN / SLICE, in_k = item * N_IN % SLICE;
    uint weight_channel = item % CHANNELS, weight_k = item / CHANNELS;
    ulong pixel = first_pixel + in_pixel < n_pixels ? first_pixel + in_pixel : n_pixels - 1;
    ulong frame = pixel / out_pixels;
    int oy = (int)(pixel - frame * out_pixels) / out_width;
    int ox = (int)(pixel - frame * out_pixels) - oy * out_width;
    int first = (int)frame * stride_time, top = oy * stride - pad_top,
        left = ox * stride - pad_left;
    struct place at = {0, 0, 0, 0};
    at = advanced(at, in_k, n_in, kh, kw);
    uint o = first_channel + weight_channel < (uint)n_out ? first_channel + weight_channel
                                                          : (uint)n_out - 1;
    weight += (ulong)(o / VS_LANES) * n_k * VS_LANES + o % VS_LANES;

    /* What it computes, within the group's tile. */
    uint row = item / VS_ACROSS * VS_PIXELS, channel = item % VS_ACROSS * 4, now = 0;
    float4 total[VS_PIXELS], chain[VS_PIXELS];
#pragma unroll
    for (uint r = 0; r < VS_PIXELS; r++)
        total[r] = chain[r] = 0.0f;

    /* Round k brings the slice at k while it multiplies the one before. */
    for (int k = 0; k < n_k + SLICE; k += SLICE) {
        struct part part;
#pragma unroll
        for (uint g = 0; g < N_IN; g += 4) {
            int n = n_k - k - (int)(in_k + g); /* of them that exist */
            if (at.c + 4 <= n_in && n >= 4) {
                __global const float *in =
                    input_pixel(x, past, zeros, flags, n_in, height, width, n_past, first + at.t,
                                top + at.i, left + at.j) +
                    at.c;
#pragma unroll
                for (uint e = 0; e < 4; e++)
                    part.in[g + e] = in[e];
                at = advanced(at, 4, n_in, kh, kw);
            } else {
#pragma unroll
                for (uint e = 0; e < 4; e++) {
                    part.in[g + e] = 0.0f;
                    if ((int)e < n)
                        part.in[g + e] =
                            input_pixel(x, past, zeros, flags, n_in, height, width, n_past,
                                        first + at.t, top + at.i, left + at.j)[at.c];
                    at = advanced(at, 1, n_in, kh, kw);
                }
            }
        }
        at = advanced(at, SLICE - N_IN, n_in, kh, kw);
#pragma unroll
        for (uint e = 0; e < N_WEIGHTS; e++) {
            int mine = k + (int)(weight_k + e * (ITEMS / CHANNELS));
            part.weight[e] = mine < n_k ? weight[(ulong)mine * VS_LANES] : 0.0f;
        }

        if (k) {
#pragma unroll
            for (uint s = 0; s < SLICE; s++) {
                float4 w = vload4(0, &weight_slice[now ^ 1][s][channel]);
#pragma unroll
                for (uint r = 0; r < VS_PIXELS; r++)
                    chain[r] = fma((float4)(in_slice[now ^ 1][s][row + r]), w, chain[r]);
            }
            if (k % BLOCK == 0 || k >= n_k) {
#pragma unroll
                for (uint r = 0; r < VS_PIXELS; r++) {
                    total[r] = total[r] + chain[r];
                    chain[r] = 0.0f;
                }
            }
        }

#pragma unroll
        for (uint e = 0; e < N_IN; e++)
            in_slice[now][in_k + e][in_pixel] = part.in[e];
#pragma unroll
        for (uint e = 0; e < N_WEIGHTS; e++)
            weight_slice[now][weight_k + e * (ITEMS / CHANNELS)][weight_channel] = part.weight[e];
        barrier(CLK_LOCAL_MEM_FENCE);
        now ^= 1;
    }

#pragma unroll
    for (uint r = 0; r < VS_PIXELS; r++) {
        float lanes[4];
        vstore4(total[r], 0, lanes);
        pixel = first_pixel + row + r;
        frame = pixel / out_pixels;
        if (pixel < n_pixels) {
#pragma unroll
            for (uint e = 0; e < 4; e++) {
                o = first_channel + channel + e;
                if (o < (uint)n_out) {
                    float y = flags & VS_HAS_BIAS ? lanes[e] + bias[bias_offset + o] : lanes[e];
                    ulong place = output_place(flags, n_out, out_pixels, frame,
                                               pixel - frame * out_pixels, o);
                    if (flags & VS_HAS_RESIDUAL)
                        y = residual[residual_offset + place] + y;
                    out[out_offset + place] = y;
                }
            }
        }
    }
}
