/* SPDX-License-Identifier: Apache-2.0
 *
 * Purpose            Convolutions by Winograd's F(2x2, 3x3): tiles of the input to the 16 matrices
 *                    that linear layers multiply, and their products back to outputs.
 * Formula            v = B' d B of the 4x4 inputs d, B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1];
 *                    y = A' m A of the 4x4 products m, A' = [1 1 1 0; 0 1 -1 -1]; then the bias,
 *                    then residual + y.
 * Shapes and layout  x, past, residual and out as in conv.cl; v [16, tiles, frames, n_in] with the
 *                    frames of history first; m [16, tiles, out frames, n_out]. Tiles are counted
 *                    row by row from first_tile on; the first row of tiles holds one row of outputs
 *                    where odd is 1.
 * Work split         A work-item takes every global size(0)th group of VS_WIDTH channels of a tile
 *                    and a frame; global size {any, at least tiles, frames}.
 * Numerics           EXACT: sums along columns, then along rows, in the order written; v below
 *                    2^-119 is 0, so that no product is denormal.
 * Parameters         VS_WIDTH 1 (GPUs) or 8 (CPUs with vectors); default 8.
 * Limits             Vectors that pass the last channel of m are read, so 8 floats behind m must
 *                    be readable; n_in is at least VS_WIDTH. out may be residual. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_WIDTH
#define VS_WIDTH 8
#endif
#include "conv/conv.clh"

#if VS_WIDTH == 1
typedef float vector;
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
typedef float8 vector;
#define LOAD(p) vload8(0, p)
#define STORE(v, p) vstore8(v, 0, p)
#endif

enum { IN = 4, OUT = 2 };

/* vm_cut of common/vmath.h at this width */
static vector cut(vector v)
{
    return fabs(v) < (vector)(0x1p-119f) ? (vector)(0.0f) : v;
}

/* The first `count` floats from p, at most VS_WIDTH, zeros for the others. */
static vector load_part(__global const float *p, int count)
{
    if (count >= VS_WIDTH)
        return LOAD(p);
    float v[VS_WIDTH];
    for (int i = 0; i < VS_WIDTH; i++)
        v[i] = i < count ? p[i] : 0.0f;
    return LOAD(v);
}

static void store_part(vector y, __global float *p, int count)
{
    if (count >= VS_WIDTH) {
        STORE(y, p);
        return;
    }
    float v[VS_WIDTH];
    STORE(y, v);
    for (int i = 0; i < count; i++)
        p[i] = v[i];
}

__kernel void winograd_input(__global float *v, __global const float *x, ulong x_offset,
                             __global const float *past, ulong past_offset, int flags, int n_in,
                             int height, int width, int n_past, int pad_top, int pad_left, int odd,
                             int tiles_across, ulong first_tile, ulong n_tiles, ulong n_frames)
{
    ulong tile = get_global_id(1), frame = get_global_id(2), number = first_tile + tile;
    if (tile >= n_tiles)
        return;
    int row = (int)(number / tiles_across) * OUT - odd - pad_top;
    int column = (int)(number % tiles_across) * OUT - pad_left;
    int doubled = (flags & VS_DOUBLED) != 0;
    ulong step = n_tiles * n_frames * n_in; /* from matrix to matrix */
    x += x_offset;
    past += past_offset;
    v += (tile * n_frames + frame) * n_in;

    for (int group = (int)get_global_id(0); group * VS_WIDTH < n_in;
         group += (int)get_global_size(0)) {
        /* The last group begins early, so that it is a whole vector. */
        int c = group * VS_WIDTH + VS_WIDTH <= n_in ? group * VS_WIDTH : n_in - VS_WIDTH;
        vector t[IN][IN];
#pragma unroll
        for (int i = 0; i < IN; i++) {
            __global const float *in = input_row(x, past, flags, n_in, height, width,
                                                 (ulong)n_past, frame, row + i);
            vector d[IN];
#pragma unroll
            for (int j = 0; j < IN; j++) {
                int at = column + j;
                d[j] = in && at >= 0 && at < width << doubled
                           ? LOAD(in + (ulong)(at >> doubled) * n_in + c)
                           : (vector)(0.0f);
            }
            t[i][0] = d[0] - d[2];
            t[i][1] = d[1] + d[2];
            t[i][2] = d[2] - d[1];
            t[i][3] = d[1] - d[3];
        }
#pragma unroll
        for (int j = 0; j < IN; j++) {
            STORE(cut(t[0][j] - t[2][j]), v + j * step + c);
            STORE(cut(t[1][j] + t[2][j]), v + (IN + j) * step + c);
            STORE(cut(t[2][j] - t[1][j]), v + (2 * IN + j) * step + c);
            STORE(cut(t[1][j] - t[3][j]), v + (3 * IN + j) * step + c);
        }
    }
}

__kernel void winograd_output(__global float *out, ulong out_offset, __global const float *m,
                              __global const float *bias, ulong bias_offset,
                              __global const float *residual, ulong residual_offset, int flags,
                              int n_out, int out_height, int out_width, int odd, int tiles_across,
                              ulong first_tile, ulong n_tiles, ulong n_frames)
{
    ulong tile = get_global_id(1), frame = get_global_id(2), number = first_tile + tile;
    if (tile >= n_tiles)
        return;
    int row = (int)(number / tiles_across) * OUT - odd;
    int column = (int)(number % tiles_across) * OUT;
    int n_halves = flags & VS_SPLIT ? 2 : 1, n_channels = n_out / n_halves;
    int n_groups = (n_channels + VS_WIDTH - 1) / VS_WIDTH;
    ulong step = n_frames * n_tiles * n_out, n_pixels = (ulong)out_height * out_width;
    out += out_offset;
    bias += bias_offset;
    residual += residual_offset;
    m += (tile * n_frames + frame) * n_out;

    for (int group = (int)get_global_id(0); group < n_halves * n_groups;
         group += (int)get_global_size(0)) {
        int half_at = group / n_groups, c = group % n_groups * VS_WIDTH, count = n_channels - c;
        int o = half_at * n_channels + c;
        ulong frame_at = (frame * n_halves + half_at) * n_pixels;
        vector t[IN][OUT];
#pragma unroll
        for (int i = 0; i < IN; i++) {
            vector a[IN];
#pragma unroll
            for (int j = 0; j < IN; j++)
                a[j] = LOAD(m + (i * IN + j) * step + o);
            t[i][0] = a[0] + a[1] + a[2];
            t[i][1] = a[1] - a[2] - a[3];
        }
#pragma unroll
        for (int j = 0; j < OUT; j++) {
            vector y[OUT];
            y[0] = t[0][j] + t[1][j] + t[2][j];
            y[1] = t[1][j] - t[2][j] - t[3][j];
#pragma unroll
            for (int i = 0; i < OUT; i++) {
                if (row + i < 0 || row + i >= out_height || column + j >= out_width)
                    continue;
                ulong pixel = frame_at + (ulong)(row + i) * out_width + column + j;
                ulong place = pixel * n_channels + c;
                if (flags & VS_HAS_BIAS)
                    y[i] = y[i] + load_part(bias + o, count);
                if (flags & VS_HAS_RESIDUAL)
                    y[i] = load_part(residual + place, count) + y[i];
                store_part(y[i], out + place, count);
            }
        }
    }
}
