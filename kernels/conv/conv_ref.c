/* SPDX-License-Identifier: Apache-2.0
 *
 * conv_ref.c - the oracle of the convolutions: one output after another. */
#include "kernels/conv/conv.h"

#include <stdlib.h>

#include "kernels/common/reduce.h"
#include "kernels/common/vmath_host.h"
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

/* ---- Winograd's algorithm, see conv.h ----------------------------------------------------- */

enum { TILE = VS_WINOGRAD_IN };

/* Row i of B' takes input first[i] and adds or subtracts second[i]. */
static const size_t first[TILE] = {0, 1, 2, 1}, second[TILE] = {2, 2, 1, 3};

static float pair(size_t i, float a, float b)
{
    return i == 1 ? a + b : a - b;
}

/* Row r of A' adds what lies at r, r + 1, r + 2, or subtracts. */
static float three(size_t r, const float *a)
{
    return r ? a[1] - a[2] - a[3] : a[0] + a[1] + a[2];
}

/* Only the 3x3 of the 4x4 products that the output depends on are made. u: of channel o. */
static float winograd_output(const float *x, const float *u, const float *past,
                             const struct vs_conv *conv, size_t frame, size_t row, size_t column)
{
    size_t n_in = conv->weight->n_in, n_k = conv->weight->kernel[0] * n_in;
    size_t r = (conv->first_row + row) % 2, s = column % 2;
    ptrdiff_t top = (ptrdiff_t)(row - conv->pad_top) - (ptrdiff_t)r;
    ptrdiff_t left = (ptrdiff_t)(column - conv->pad_left) - (ptrdiff_t)s;
    float m[TILE] = {0}, sums[TILE] = {0};
    for (size_t i = r; i < r + 3; i++) {
        for (size_t j = s; j < s + 3; j++) {
            float total = 0, chain = 0;
            for (size_t k = 0; k < n_k; k++) {
                size_t at = frame * conv->stride_time + k / n_in, c = k % n_in;
                float t[2];
                for (int n = 0; n < 2; n++) {
                    ptrdiff_t y = top + (ptrdiff_t)(n ? second[i] : first[i]);
                    t[n] = pair(j, input(x, past, conv, at, y, left + (ptrdiff_t)first[j], c),
                                input(x, past, conv, at, y, left + (ptrdiff_t)second[j], c));
                }
                float w = u[(TILE * i + j) * conv->weight->n_out * n_k + k];
                chain = __builtin_fmaf(vm_cut(pair(i, t[0], t[1])), w, chain);
                if ((k + 1) % VS_DOT_BLOCK == 0) {
                    total = total + chain;
                    chain = 0;
                }
            }
            m[j] = total + chain;
        }
        sums[i] = three(s, m);
    }
    return three(r, sums);
}

/* All transformed kernels; aborts without memory: this is for tests. */
static float *winograd_kernels(const float *weight, const struct vs_conv_weight *sizes)
{
    size_t n_k = sizes->kernel[0] * sizes->n_in;
    float *u = malloc(VS_WINOGRAD_PRODUCTS * sizes->n_out * n_k * sizeof *u);
    if (!u)
        abort();
    for (size_t o = 0; o < sizes->n_out; o++)
        vs_winograd_pack(u, weight + o * n_k * 9, o, sizes);
    return u;
}

/* ---- Both --------------------------------------------------------------------------------- */

void vs_conv_ref(float *out, const float *x, const float *weight, const float *bias,
                 const float *past, const float *residual, const struct vs_conv *conv)
{
    size_t n_out = conv->weight->n_out, n_frames = vs_conv_out_frames(conv);
    size_t frames_each = conv->split_frames ? 2 : 1, n_channels = n_out / frames_each;
    size_t place = 0, n_k = conv->weight->kernel[0] * conv->weight->n_in;
    float *u = vs_conv_is_winograd(conv->weight) ? winograd_kernels(weight, conv->weight) : NULL;
    for (size_t f = 0; f < n_frames; f++)
        for (size_t row = 0; row < conv->out_height; row++)
            for (size_t column = 0; column < conv->out_width; column++)
                for (size_t c = 0; c < n_channels; c++, place++) {
                    size_t o = f % frames_each * n_channels + c;
                    size_t frame = f / frames_each;
                    float y = u ? winograd_output(x, u + o * n_k, past, conv, frame, row, column)
                                : output(x, weight, past, conv, frame, row, column, o);
                    if (bias)
                        y = y + bias[o];
                    out[place] = residual ? residual[place] + y : y;
                }
    free(u);
}
