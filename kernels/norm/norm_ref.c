/* SPDX-License-Identifier: Apache-2.0
 *
 * norm_ref.c - the norms in plain C, in the contract's order: the oracle. */
#include "kernels/norm/norm.h"

#include <math.h>

#include "kernels/common/reduce.h"
#include "kernels/common/vmath_host.h"

void vs_layernorm_ref(float *out, const float *x, const float *shift, const float *scale,
                      const struct vs_layernorm *norm)
{
    size_t n = norm->n_channels;
    float one_over_n = (float)(1.0 / (double)n);
    for (size_t row = 0; row < norm->n_rows; row++) {
        size_t vector = norm->rows_per_vector ? row / norm->rows_per_vector : 0;
        const float *xr = x + row * n, *b = shift + vector * n, *w = scale + vector * n;
        float mean = vs_row_sum(xr, n) * one_over_n;
        float r =
            vm_rsqrt(__builtin_fmaf(vs_row_sum_squares(xr, mean, n), one_over_n, norm->eps));
        for (size_t i = 0; i < n; i++) {
            float d = (xr[i] - mean) * r;
            float factor = norm->modulation ? 1.0f + w[i] : w[i];
            out[row * n + i] = __builtin_fmaf(d, factor, b[i]);
        }
    }
}

void vs_rmsnorm_ref(float *out, const float *x, const float *weight, size_t n_rows,
                    size_t n_channels, float eps)
{
    float one_over_n = (float)(1.0 / (double)n_channels);
    for (size_t row = 0; row < n_rows; row++) {
        const float *xr = x + row * n_channels;
        float r = vm_rsqrt(__builtin_fmaf(vs_row_sum_squares(xr, 0, n_channels), one_over_n, eps));
        for (size_t i = 0; i < n_channels; i++)
            out[row * n_channels + i] = (xr[i] * r) * weight[i];
    }
}

void vs_channel_norm_ref(float *out, const float *x, const float *gamma, size_t n_rows,
                         size_t n_channels, bool silu)
{
    float sqrt_channels = (float)sqrt((double)n_channels);
    for (size_t row = 0; row < n_rows; row++) {
        const float *xr = x + row * n_channels;
        float length = vm_sqrt(vs_row_sum_squares(xr, 0, n_channels));
        length = length > 1e-12f ? length : 1e-12f;
        float r = vm_rcp(length) * sqrt_channels;
        for (size_t i = 0; i < n_channels; i++) {
            float y = (xr[i] * r) * gamma[i];
            out[row * n_channels + i] = silu ? vm_silu(y) : y;
        }
    }
}
