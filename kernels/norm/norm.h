/* SPDX-License-Identifier: Apache-2.0
 *
 * norm.h - normalisation of rows: LayerNorm, RMSNorm, channel norm of the VAE.
 *
 * Sums over a row run in 64 lanes joined by a tree (kernels/NUMERICS.md). Rows are contiguous,
 * [n_rows, C]; the output may be the input. */
#ifndef VS_KERNELS_NORM_NORM_H
#define VS_KERNELS_NORM_NORM_H

#include "cl/buffer.h"

/* LayerNorm of each row, d = x - mean, r = rsqrt(var + eps), then
 *     affine:     fma(d r, weight, bias)           weight = scale, bias = shift, [C]
 *     modulation: fma(d r, 1 + scale, shift)       [ceil(n_rows / rows_per_vector), C]
 * rows_per_vector 0: one vector for all rows. */
struct vs_layernorm {
    size_t n_rows, n_channels;
    float eps;
    bool modulation;
    size_t rows_per_vector;
};
VS_CHECK enum vs_status vs_layernorm_run(struct vs_context *context, struct vs_span out,
                                         struct vs_span x, struct vs_span shift,
                                         struct vs_span scale, const struct vs_layernorm *norm);
void vs_layernorm_ref(float *out, const float *x, const float *shift, const float *scale,
                      const struct vs_layernorm *norm);

/* (x * rsqrt(mean(x^2) + eps)) * weight; weight [C]. */
VS_CHECK enum vs_status vs_rmsnorm_run(struct vs_context *context, struct vs_span out,
                                       struct vs_span x, struct vs_span weight, size_t n_rows,
                                       size_t n_channels, float eps);
void vs_rmsnorm_ref(float *out, const float *x, const float *weight, size_t n_rows,
                    size_t n_channels, float eps);

/* Channel norm of the VAE on pixels [n_rows, C]: r = rcp(max(sqrt(sum x^2), 1e-12)) * sqrt(C),
 * y = (x * r) * gamma; silu: then silu(y). */
VS_CHECK enum vs_status vs_channel_norm_run(struct vs_context *context, struct vs_span out,
                                            struct vs_span x, struct vs_span gamma, size_t n_rows,
                                            size_t n_channels, bool silu);
void vs_channel_norm_ref(float *out, const float *x, const float *gamma, size_t n_rows,
                         size_t n_channels, bool silu);

/* The ways to compute them; kernels/common/variant.h says what each function does. */
const char *vs_norm_variant_name(size_t variant);
bool vs_norm_variant_usable(const struct vs_context *context, size_t variant);
uint64_t vs_norm_tuning_key(size_t n_rows, size_t n_channels);
size_t vs_norm_variant_chosen(const struct vs_context *context, size_t n_rows, size_t n_channels);
VS_CHECK enum vs_status vs_layernorm_run_variant(struct vs_context *context, size_t variant,
                                                 struct vs_span out, struct vs_span x,
                                                 struct vs_span shift, struct vs_span scale,
                                                 const struct vs_layernorm *norm);
VS_CHECK enum vs_status vs_rmsnorm_run_variant(struct vs_context *context, size_t variant,
                                               struct vs_span out, struct vs_span x,
                                               struct vs_span weight, size_t n_rows,
                                               size_t n_channels, float eps);
VS_CHECK enum vs_status vs_channel_norm_run_variant(struct vs_context *context, size_t variant,
                                                    struct vs_span out, struct vs_span x,
                                                    struct vs_span gamma, size_t n_rows,
                                                    size_t n_channels, bool silu);

#endif
