/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_blocks.h - the blocks of the Wan VAE: their tensors, and one step of a stream through them.
 *
 * A block consists of weights (struct vs_vae_block, shared by all streams) and of what it
 * remembers of a stream's frames (struct vs_vae_state). Any cut of the frames into steps gives the
 * same bits. Activations are float32 frames with the channels last, [F, H, W, C]. */
#ifndef VS_MODELS_VAE_BLOCKS_H
#define VS_MODELS_VAE_BLOCKS_H

#include "kernels/conv/conv.h"
#include "models/weights.h"

enum vs_vae_kind {
    VS_VAE_CONV,      /* causal convolution, `size` frames, rows and columns */
    VS_VAE_RES,       /* two times norm, silu, conv 3x3x3; 1x1x1 shortcut where the width changes */
    VS_VAE_ATTENTION, /* within a frame, one head */
    VS_VAE_UP,        /* rows and columns doubled; with `time` frames too */
    VS_VAE_DOWN,      /* rows and columns halved; with `time` frames too */
    VS_VAE_HEAD       /* norm, silu, conv 3x3x3 */
};

/* One block as it stands in a file: its tensors are prefix + "weight", "residual.0.gamma" ... */
struct vs_vae_layout {
    enum vs_vae_kind kind;
    char prefix[40];
    size_t n_in, n_out; /* channels */
    size_t size;        /* of a VS_VAE_CONV: 1 or 3 */
    bool time;          /* VS_VAE_UP, VS_VAE_DOWN */
};

enum { VS_VAE_MAX_CONVS = 3, VS_VAE_MAX_NORMS = 2, VS_VAE_MAX_PAST = 2 };

struct vs_vae_block {
    struct vs_context *context; /* borrowed */
    struct vs_vae_layout layout;
    struct vs_conv_weight weight[VS_VAE_MAX_CONVS]; /* in the order of the file's names below */
    struct vs_buffer *bias[VS_VAE_MAX_CONVS];
    struct vs_buffer *gamma[VS_VAE_MAX_NORMS];
};

/* Every tensor of the block is there, with its shape and a number format that convolutions take;
 * needs no device. VS_ERROR_MODEL names file and tensor. A width that does not change may still
 * have a shortcut: then it is used. */
VS_CHECK enum vs_status vs_vae_block_check(const struct vs_weights *weights,
                                           const struct vs_vae_layout *layout);

/* Checks as above and uploads. weights may be closed afterwards. */
VS_CHECK enum vs_status vs_vae_block_create(struct vs_vae_block *block, struct vs_context *context,
                                            const struct vs_weights *weights,
                                            const struct vs_vae_layout *layout);
void vs_vae_block_free(struct vs_vae_block *block);

/* Rows (or columns) that leave the block, from those that enter. */
size_t vs_vae_block_out_side(const struct vs_vae_layout *layout, size_t side);

/* The most frames one step of n frames gives. */
size_t vs_vae_block_out_frames(const struct vs_vae_layout *layout, size_t n_frames);

/* Floats a scratch span must hold for a step of n frames of that size. */
size_t vs_vae_block_scratch(const struct vs_vae_layout *layout, size_t n_frames, size_t height,
                            size_t width);

/* What a block remembers of one stream. All of it lies in `past` and the fields below, so a stream
 * can be saved by copying them. */
struct vs_vae_state {
    size_t height, width;                     /* of the frames that enter */
    struct vs_buffer *past[VS_VAE_MAX_PAST];  /* two frames each, or NULL */
    size_t past_frame[VS_VAE_MAX_PAST];       /* floats of one of those frames */
    bool begun;      /* a frame has passed */
    bool time_begun; /* VS_VAE_UP: time_conv has seen a frame */
    size_t n_held;   /* VS_VAE_DOWN: frames time_conv still needs, 1 or 2, once begun */
};
VS_CHECK enum vs_status vs_vae_state_create(struct vs_vae_state *state,
                                            const struct vs_vae_block *block, size_t height,
                                            size_t width);
void vs_vae_state_free(struct vs_vae_state *state);
/* Back to the start of a stream. */
void vs_vae_state_reset(struct vs_vae_state *state);
/* Between two steps: to the host and back, see vs_buffer_rest(). */
VS_CHECK enum vs_status vs_vae_state_rest(struct vs_vae_state *state);
VS_CHECK enum vs_status vs_vae_state_wake(struct vs_vae_state *state);

/* One step: n_frames frames of x [n_frames, H, W, n_in] to *n_out frames at out [*n_out, H', W',
 * n_out]. *n_out may be 0 (VS_VAE_DOWN waits for pairs). a and b are scratch. x is left as it is;
 * out may be x for VS_VAE_RES and VS_VAE_ATTENTION, whose frames then change in place. Allocates
 * nothing. */
VS_CHECK enum vs_status vs_vae_block_run(const struct vs_vae_block *block,
                                         struct vs_vae_state *state, struct vs_span out,
                                         size_t *n_out, struct vs_span x, size_t n_frames,
                                         struct vs_span a, struct vs_span b);

#endif
