/* SPDX-License-Identifier: Apache-2.0
 *
 * pointwise.h - element by element: activations, sampler steps, patches, the check for NaN. */
#ifndef VS_KERNELS_POINTWISE_POINTWISE_H
#define VS_KERNELS_POINTWISE_POINTWISE_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"

enum vs_activation { VS_GELU, VS_SILU, VS_SOFTPLUS, VS_SIGMOID };

/* out[i] = f(x[i]); in place allowed. GELU is the tanh form (gelu2 of vmath.h). */
VS_CHECK enum vs_status vs_activation_run(struct vs_context *context, struct vs_span out,
                                          struct vs_span x, size_t n, enum vs_activation f);
void vs_activation_ref(float *out, const float *x, size_t n, enum vs_activation f);

/* out[i] = a[i] + b[i % n_b] (n_b divides n). */
VS_CHECK enum vs_status vs_add_run(struct vs_context *context, struct vs_span out,
                                   struct vs_span a, struct vs_span b, size_t n, size_t n_b);
void vs_add_ref(float *out, const float *a, const float *b, size_t n, size_t n_b);

/* out[i] = a * x[i] as one rounded product, or fma(a, x[i], y[i] * b): the sampler's two steps.
 *     x0   = fma(-sigma, flow, x)                  vs_sampler_x0_run
 *     next = fma(sigma, noise, (1 - sigma) * x0)   vs_sampler_renoise_run (1 - sigma from the host) */
VS_CHECK enum vs_status vs_sampler_x0_run(struct vs_context *context, struct vs_span out,
                                          struct vs_span x, struct vs_span flow, float sigma,
                                          size_t n);
VS_CHECK enum vs_status vs_sampler_renoise_run(struct vs_context *context, struct vs_span out,
                                               struct vs_span x0, struct vs_span noise,
                                               float sigma, size_t n);
void vs_sampler_x0_ref(float *out, const float *x, const float *flow, float sigma, size_t n);
void vs_sampler_renoise_ref(float *out, const float *x0, const float *noise, float sigma, size_t n);

/* Latents [F, C, 2 rows, 2 columns] to tokens [F * rows * columns, C * 4], columns (channel, dy,
 * dx); and back from columns (dy, dx, channel). rows, columns: the token grid. */
VS_CHECK enum vs_status vs_patchify_run(struct vs_context *context, struct vs_span out,
                                        struct vs_span x, size_t n_frames, size_t n_channels,
                                        size_t rows, size_t columns);
VS_CHECK enum vs_status vs_unpatchify_run(struct vs_context *context, struct vs_span out,
                                          struct vs_span x, size_t n_frames, size_t n_channels,
                                          size_t rows, size_t columns);
void vs_patchify_ref(float *out, const float *x, size_t n_frames, size_t n_channels, size_t rows,
                     size_t columns);
void vs_unpatchify_ref(float *out, const float *x, size_t n_frames, size_t n_channels,
                       size_t rows, size_t columns);

/* Rows of x, or of some of its columns, into the ring cache: row r of frame f = r / rows_per_slot
 * goes to row slots[first_slot + f] * rows_per_slot + r % rows_per_slot of out. */
struct vs_scatter {
    const struct vs_buffer *slots; /* int32 */
    size_t first_slot, rows_per_slot;
    size_t n_rows, n_channels; /* elements of a row that are taken, and a row of out has */
    size_t x_stride;           /* elements from one row of x to the next */
    enum vs_dtype out;         /* F32 or F16, in whose elements out's span counts */
};
VS_CHECK enum vs_status vs_scatter_rows_run(struct vs_context *context, struct vs_span out,
                                            struct vs_span x, const struct vs_scatter *scatter);

/* Sets flags[index] (int32) to 1 if any of n values is infinite or NaN. */
VS_CHECK enum vs_status vs_check_finite_run(struct vs_context *context,
                                            const struct vs_buffer *flags, size_t index,
                                            struct vs_span x, size_t n);

#endif
