/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose     latents [F, C, H, W] to the VAE's channels-last frames and back; frames to bytes
 * Formula     see pixels.h
 * Shapes      n_pixels = H W; out and x never overlap
 * Work split  channels_last, channels_first: one work-item a pixel, (n_pixels, F);
 *             bytes: one work-item 16 values
 * Numerics    EXACT
 * Parameters  none
 * Limits      none */
#pragma OPENCL FP_CONTRACT OFF

__kernel void channels_last(__global float *out, ulong out_offset, __global const float *x,
                            ulong x_offset, __global const float *scale, ulong scale_offset,
                            __global const float *shift, ulong shift_offset, int scaled,
                            ulong n_channels, ulong n_pixels)
{
    ulong pixel = get_global_id(0), frame = get_global_id(1);
    x += x_offset + frame * n_channels * n_pixels + pixel;
    out += out_offset + (frame * n_pixels + pixel) * n_channels;
    for (ulong c = 0; c < n_channels; c++) {
        float value = x[c * n_pixels];
        if (scaled)
            value = fma(value, scale[scale_offset + c], shift[shift_offset + c]);
        out[c] = value;
    }
}

__kernel void channels_first(__global float *out, ulong out_offset, __global const float *x,
                             ulong x_offset, __global const float *scale, ulong scale_offset,
                             __global const float *shift, ulong shift_offset, int scaled,
                             ulong n_channels, ulong x_channels, ulong n_pixels)
{
    ulong pixel = get_global_id(0), frame = get_global_id(1);
    x += x_offset + (frame * n_pixels + pixel) * x_channels;
    out += out_offset + frame * n_channels * n_pixels + pixel;
    for (ulong c = 0; c < n_channels; c++) {
        float value = x[c];
        if (scaled)
            value = (value - shift[shift_offset + c]) * scale[scale_offset + c];
        out[c * n_pixels] = value;
    }
}

static uchar16 to_bytes(float16 x)
{
    x = x > 1.0f ? (float16)1.0f : x;
    x = x < -1.0f ? (float16)-1.0f : x;
    float16 y = rint(fma(x, (float16)127.5f, (float16)127.5f));
    y = x == x ? y : (float16)0.0f;
    return convert_uchar16(y);
}

__kernel void bytes(__global uchar *out, ulong out_offset, __global const float *x,
                    ulong x_offset, ulong n)
{
    ulong first = get_global_id(0) * 16;
    x += x_offset + first;
    out += out_offset + first;
    if (first + 16 <= n) {
        vstore16(to_bytes(vload16(0, x)), 0, out);
        return;
    }
    float values[16];
    uchar result[16];
#pragma unroll
    for (uint i = 0; i < 16; i++)
        values[i] = first + i < n ? x[i] : 0.0f;
    vstore16(to_bytes(vload16(0, values)), 0, result);
#pragma unroll
    for (uint i = 0; i < 16; i++)
        if (first + i < n)
            out[i] = result[i];
}
