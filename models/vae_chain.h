/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_chain.h - a row of VAE blocks as one stream, with all its memory.
 *
 * Work is cut where frames grow: where rows and columns double, the chain goes on with as many
 * frames as fit its budget, to the end, before it takes the next ones. Where even one does not fit,
 * a decoder goes on in bands of rows (vae_bands.h). So a large picture needs buffers of a frame or
 * less, a small one runs in few launches; the bits are the same. */
#ifndef VS_MODELS_VAE_CHAIN_H
#define VS_MODELS_VAE_CHAIN_H

#include "models/vae_blocks.h"

struct vs_vae_chain;

struct vs_vae_chain_options {
    size_t n_frames;      /* the most frames of one step */
    size_t height, width; /* of the frames that enter */
    size_t budget_bytes;  /* wanted size of a work buffer; 0: 128 MiB */
};

/* blocks are borrowed. All device memory of the stream is allocated here. VS_ERROR_USAGE when the
 * sizes cannot be, VS_ERROR_MEMORY when the device cannot hold them. */
VS_CHECK enum vs_status vs_vae_chain_create(struct vs_vae_chain **chain,
                                            struct vs_context *context,
                                            const struct vs_vae_block *blocks, size_t n_blocks,
                                            const struct vs_vae_chain_options *options);
void vs_vae_chain_free(struct vs_vae_chain *chain);

/* Back to the start of a stream; also after a step that failed. */
void vs_vae_chain_reset(struct vs_vae_chain *chain);

/* Between two steps: history to the host and back, work buffers given up and made anew. */
VS_CHECK enum vs_status vs_vae_chain_rest(struct vs_vae_chain *chain);
VS_CHECK enum vs_status vs_vae_chain_wake(struct vs_vae_chain *chain);

/* The frames that leave: rows, columns, channels, and the most of one step. */
struct vs_vae_chain_output {
    size_t n_frames, height, width, n_channels;
};
struct vs_vae_chain_output vs_vae_chain_output(const struct vs_vae_chain *chain);

/* One step: x [n_frames, H, W, C] to out [*n_out, H', W', C']; x and out lie outside the chain and
 * do not overlap. Allocates nothing. VS_ERROR_USAGE for more frames than were planned. */
VS_CHECK enum vs_status vs_vae_chain_run(struct vs_vae_chain *chain, struct vs_span out,
                                         size_t *n_out, struct vs_span x, size_t n_frames);

#endif
