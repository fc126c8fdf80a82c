/* SPDX-License-Identifier: Apache-2.0
 *
 * conv_ref.c - the oracle of the convolutions: one output after another. */
#include "kernels/conv/conv.h"

#include <stdlib.h>

#include "kernels/common/reduce.h"
#include "kernels/conv/winograd.h"

/* Input value of channel c, zero outside the frame and before the first frame. frame counts the
 * history first; row and column are those the kernel sees, doubled ones if x is doubled. */
static float input(const float *x, const float *past, const struct vs_conv *conv, size_t frame,
                   ptrdiff_t row, ptrdiff_t column, size_t c)
{
    size_t doubled = conv->upsample ? 2 : 1;
    if (row < 0 || column < 0 || (size_t)row >= conv->height * doubled ||
        (size_t)column >= conv->width * doubled)
        return 0;
    size_t y = (size_t)row / doubled, z = (size_t)column / doubled, n_in = conv->weight->n_in;
    if (frame >= conv->n_past)
        return x[(((frame - conv->n_past) * conv->height + y) * conv->width + z) * n_in + c];
    return past ? past[((frame * conv->height + y) * conv->width + z) * n_in + c] : 0;
}

static float output(const float *x, const float *weight, const float *past,
                    const struct vs_conv *conv, size_t frame, size_t row, size_t column, size_t o)
{
    const size_t *kernel = conv->weight->kernel;
    size_t n_in = conv->weight->n_in, k = 0;
    float total = 0, chain = 0;
    for (size_t t = 0; t < kernel[0]; t++)
        for (size_t i = 0; i < kernel[1]; i++)
            for (size_t j = 0; j < kernel[2]; j++)
                for (size_t c = 0; c < n_in; c++) {
                    float a = input(
                        x, past, conv, frame * conv->stride_time + t,
                        (ptrdiff_t)(row * conv->weight->stride + i) - (ptrdiff_t)conv->pad_top,
                        (ptrdiff_t)(column * conv->weight->stride + j) - (ptrdiff_t)conv->pad_left,
                        c);
                    float w = weight[(((o * n_in + c) * kernel[0] + t) * kernel[1] + i) *
                                         kernel[2] + j];
                    chain = __builtin_fmaf(a, w, chain);
                    if (++k % VS_DOT_BLOCK == 0) {
                        total = total + chain;
                        chain = 0;
                    }
                }
    return total + chain;
}

/* A tile's inputs, as vs_winograd_output() asks for them. */
struct tile {
    const float *x, *past;
    const struct vs_conv *conv;
    size_t frame;          /* of the output */
    ptrdiff_t row, column; /* of the first input */
};

static float tile_input(const void *user, size_t k, size_t row, size_t column)
{
    const struct tile *tile = user;
    const struct vs_conv *conv = tile->conv;
    size_t n_in = conv->weight->n_in;
    return input(tile->x, tile->past, conv, tile->frame * conv->stride_time + k / n_in,
                 tile->row + (ptrdiff_t)row, tile->column + (ptrdiff_t)column, k % n_in);
}

static float winograd_output(const float *x, const float *u, const float *past,
                             const struct vs_conv *conv, size_t frame, size_t row, size_t column,
                             size_t o)
{
    size_t n_k = conv->weight->kernel[0] * conv->weight->n_in;
    size_t in_tile = (conv->first_row + row) % 2;
    const struct tile tile = {x,
                              past,
                              conv,
                              frame,
                              (ptrdiff_t)row - (ptrdiff_t)in_tile - (ptrdiff_t)conv->pad_top,
                              (ptrdiff_t)(column - column % 2) - (ptrdiff_t)conv->pad_left};
    return vs_winograd_output(u + o * n_k, conv->weight->n_out * n_k, n_k, in_tile, column % 2,
                              tile_input, &tile);
}

/* All transformed kernels [16][out, kt in]; aborts without memory: this is for tests. */
static float *winograd_kernels(const float *weight, const struct vs_conv_weight *sizes)
{
    size_t kt = sizes->kernel[0], n_in = sizes->n_in, n_k = kt * n_in;
    float *u = malloc(VS_WINOGRAD_PRODUCTS * sizes->n_out * n_k * sizeof *u);
    if (!u)
        abort();
    for (size_t o = 0; o < sizes->n_out; o++)
        for (size_t c = 0; c < n_in; c++)
            for (size_t t = 0; t < kt; t++)
                vs_winograd_kernel(u + o * n_k + t * n_in + c, sizes->n_out * n_k,
                                   weight + ((o * n_in + c) * kt + t) * 9);
    return u;
}

void vs_conv_ref(float *out, const float *x, const float *weight, const float *bias,
                 const float *past, const float *residual, const struct vs_conv *conv)
{
    size_t n_out = conv->weight->n_out, n_frames = vs_conv_out_frames(conv);
    size_t frames_each = conv->split_frames ? 2 : 1, n_channels = n_out / frames_each;
    size_t place = 0;
    float *u = vs_conv_is_winograd(conv->weight) ? winograd_kernels(weight, conv->weight) : NULL;
    for (size_t f = 0; f < n_frames; f++)
        for (size_t row = 0; row < conv->out_height; row++)
            for (size_t column = 0; column < conv->out_width; column++)
                for (size_t c = 0; c < n_channels; c++, place++) {
                    size_t o = f % frames_each * n_channels + c;
                    size_t frame = f / frames_each;
                    float y = u ? winograd_output(x, u, past, conv, frame, row, column, o)
                                : output(x, weight, past, conv, frame, row, column, o);
                    if (bias)
                        y = y + bias[o];
                    out[place] = residual ? residual[place] + y : y;
                }
    free(u);
}
