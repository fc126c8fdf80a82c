/* SPDX-License-Identifier: Apache-2.0
 *
 * pointwise_ref.c - oracles of the element-by-element operations. */
#include "kernels/common/vmath_host.h"
#include "kernels/pointwise/pointwise.h"

void vs_activation_ref(float *out, const float *x, size_t n, enum vs_activation f)
{
    for (size_t i = 0; i < n; i++)
        switch (f) {
        case VS_GELU:
            out[i] = vm_gelu2(x[i]);
            break;
        case VS_SILU:
            out[i] = vm_silu(x[i]);
            break;
        case VS_SOFTPLUS:
            out[i] = vm_softplus(x[i]);
            break;
        case VS_SIGMOID:
            out[i] = vm_sigmoid(x[i]);
            break;
        }
}

void vs_add_ref(float *out, const float *a, const float *b, size_t n, size_t n_b)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i % n_b];
}

void vs_sampler_x0_ref(float *out, const float *x, const float *flow, float sigma, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = __builtin_fmaf(-sigma, flow[i], x[i]);
}

void vs_sampler_renoise_ref(float *out, const float *x0, const float *noise, float sigma, size_t n)
{
    float keep = 1.0f - sigma;
    for (size_t i = 0; i < n; i++) {
        float kept = keep * x0[i];
        out[i] = __builtin_fmaf(sigma, noise[i], kept);
    }
}

/* The token that pixel (y, x) of frame f belongs to. */
static size_t token_row(size_t f, size_t y, size_t x, size_t rows, size_t columns)
{
    return (f * rows + y / 2) * columns + x / 2;
}

void vs_patchify_ref(float *out, const float *x, size_t n_frames, size_t n_channels, size_t rows,
                     size_t columns)
{
    for (size_t f = 0; f < n_frames; f++)
        for (size_t c = 0; c < n_channels; c++)
            for (size_t py = 0; py < 2 * rows; py++)
                for (size_t px = 0; px < 2 * columns; px++) {
                    size_t column = (c * 2 + py % 2) * 2 + px % 2;
                    out[token_row(f, py, px, rows, columns) * n_channels * 4 + column] = *x++;
                }
}

void vs_unpatchify_ref(float *out, const float *x, size_t n_frames, size_t n_channels,
                       size_t rows, size_t columns)
{
    for (size_t f = 0; f < n_frames; f++)
        for (size_t c = 0; c < n_channels; c++)
            for (size_t py = 0; py < 2 * rows; py++)
                for (size_t px = 0; px < 2 * columns; px++) {
                    size_t column = (py % 2 * 2 + px % 2) * n_channels + c;
                    *out++ = x[token_row(f, py, px, rows, columns) * n_channels * 4 + column];
                }
}
