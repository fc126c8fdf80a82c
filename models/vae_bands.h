/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_bands.h - the last blocks of a decoder, in bands of rows instead of whole frames.
 *
 * A band goes through all blocks before the next is begun. A convolution cannot make its last row
 * before the first of the next band is there, so rows leave each block a little later than they
 * enter, and the last rows of every convolution's input wait for the next band: nothing is computed
 * twice and there are no seams. Every value is computed as in a whole frame, so every bit is the
 * same. History in time is kept band by band. */
#ifndef VS_MODELS_VAE_BANDS_H
#define VS_MODELS_VAE_BANDS_H

#include "models/vae_blocks.h"

struct vs_vae_bands;

struct vs_vae_bands_options {
    const struct vs_vae_block *blocks; /* borrowed */
    size_t n_blocks;
    size_t height, width; /* of the frames that enter */
    size_t budget_bytes;  /* wanted size of a work buffer */
    size_t largest_bytes; /* that the device allows for a buffer of history */
};

/* Whether a row of blocks can be gone through in bands: it begins with VS_VAE_UP, ends with
 * VS_VAE_HEAD, and has nothing but VS_VAE_UP and VS_VAE_RES between. */
bool vs_vae_bands_possible(const struct vs_vae_block *blocks, size_t n_blocks);

/* As few bands as keep within both sizes; where even single rows do not, single rows. All device
 * memory is allocated here. */
VS_CHECK enum vs_status vs_vae_bands_create(struct vs_vae_bands **bands,
                                            struct vs_context *context,
                                            const struct vs_vae_bands_options *options);
void vs_vae_bands_free(struct vs_vae_bands *bands);
size_t vs_vae_bands_count(const struct vs_vae_bands *bands);

/* As those of a chain. */
void vs_vae_bands_reset(struct vs_vae_bands *bands);
VS_CHECK enum vs_status vs_vae_bands_rest(struct vs_vae_bands *bands);
VS_CHECK enum vs_status vs_vae_bands_wake(struct vs_vae_bands *bands);

/* One frame x [H, W, C] to *n_out frames at out, behind each other. */
VS_CHECK enum vs_status vs_vae_bands_run(struct vs_vae_bands *bands, struct vs_span out,
                                         size_t *n_out, struct vs_span x);

#endif
