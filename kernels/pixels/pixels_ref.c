/* SPDX-License-Identifier: Apache-2.0
 *
 * pixels_ref.c - the oracle of pixels.h. */
#include "kernels/pixels/pixels.h"

#include <math.h>

void vs_channels_last_ref(float *out, const float *x, const float *scale, const float *shift,
                          size_t n_frames, size_t n_channels, size_t height, size_t width)
{
    size_t n_pixels = height * width;
    for (size_t f = 0; f < n_frames; f++)
        for (size_t pixel = 0; pixel < n_pixels; pixel++)
            for (size_t c = 0; c < n_channels; c++) {
                float value = x[(f * n_channels + c) * n_pixels + pixel];
                if (scale)
                    value = __builtin_fmaf(value, scale[c], shift[c]);
                out[(f * n_pixels + pixel) * n_channels + c] = value;
            }
}

void vs_channels_first_ref(float *out, const float *x, const float *scale, const float *shift,
                           size_t n_frames, size_t n_channels, size_t x_channels, size_t height,
                           size_t width)
{
    size_t n_pixels = height * width;
    for (size_t f = 0; f < n_frames; f++)
        for (size_t pixel = 0; pixel < n_pixels; pixel++)
            for (size_t c = 0; c < n_channels; c++) {
                float value = x[(f * n_pixels + pixel) * x_channels + c];
                if (scale)
                    value = (value - shift[c]) * scale[c];
                out[(f * n_channels + c) * n_pixels + pixel] = value;
            }
}

void vs_bytes_ref(uint8_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value = x[i] > 1 ? 1 : x[i] < -1 ? -1 : x[i];
        out[i] = isnan(value) ? 0 : (uint8_t)rintf(__builtin_fmaf(value, 127.5f, 127.5f));
    }
}
