/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_steps.h - what steps of whole frames (vae_blocks.c) and of bands of rows (vae_bands.c) are
 * made of. */
#ifndef VS_MODELS_VAE_STEPS_H
#define VS_MODELS_VAE_STEPS_H

#include "models/vae_blocks.h"

enum { VS_VAE_PAST = 2 }; /* frames of history of a kernel three frames long */

/* Index of a convolution in weight[] and bias[]. */
enum { VS_RES_FIRST, VS_RES_SECOND, VS_RES_SHORTCUT };
enum { VS_RESAMPLE, VS_TIME };

/* A convolution of the block that keeps rows and columns; history is set by the caller. */
struct vs_conv vs_vae_same_size(const struct vs_vae_block *block, size_t which, size_t n_frames,
                                size_t height, size_t width);

VS_CHECK enum vs_status vs_vae_norm_silu(const struct vs_vae_block *block, size_t which,
                                         struct vs_span out, struct vs_span x, size_t n_pixels,
                                         size_t n_channels);

/* Keeps the last two frames of what a convolution has read, history included. */
VS_CHECK enum vs_status vs_vae_remember(struct vs_vae_state *state, size_t which, bool begun,
                                        struct vs_span x, size_t n_frames);

VS_CHECK enum vs_status vs_vae_copy(struct vs_span to, struct vs_span from, size_t n_floats);

/* The span n floats further on. */
static inline struct vs_span vs_advance(struct vs_span span, size_t n)
{
    span.offset += n;
    return span;
}

#endif
