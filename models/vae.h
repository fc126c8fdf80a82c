/* SPDX-License-Identifier: Apache-2.0
 *
 * vae.h - the Wan video VAE: latents to frames and back, as streams.
 *
 * Names, widths and order of the blocks are those of the released Wan2.1_VAE.pth; the base width
 * is read from the file (96 there). A stream takes latent frames in calls of any size, the frames
 * that come out do not depend on the cut, not in one bit. */
#ifndef VS_MODELS_VAE_H
#define VS_MODELS_VAE_H

#include "cl/buffer.h"
#include "models/weights.h"

enum {
    VS_VAE_CHANNELS = 16, /* of a latent */
    VS_VAE_SCALE = 8,     /* pixels a side of a latent */
    VS_VAE_RATE = 4,      /* frames per latent frame, but one for the first of a stream */
    VS_VAE_HISTORY = VS_DECODE_HISTORY /* latent frames in front that frames depend on */
};

/* What a file holds. */
struct vs_vae_shape {
    size_t base;      /* channels at full resolution */
    bool has_encoder; /* a file without one can still decode */
};

/* Checks the name, shape and number format of every tensor without a device. VS_ERROR_MODEL names
 * file and tensor. */
VS_CHECK enum vs_status vs_vae_check(const struct vs_weights *weights, struct vs_vae_shape *shape);

struct vs_vae; /* weights on a device, shared by streams */

enum vs_vae_direction { VS_VAE_DECODE = 1, VS_VAE_ENCODE = 2 };

/* Checks all, and uploads the halves that the directions, added up, need and the file has; weights
 * may be closed afterwards. context is borrowed. */
VS_CHECK enum vs_status vs_vae_create(struct vs_vae **vae, struct vs_context *context,
                                      const struct vs_weights *weights, unsigned directions);
void vs_vae_free(struct vs_vae *vae);

/* Replaces the released mean and deviation of the latents, [VS_VAE_CHANNELS] each. VS_ERROR_MODEL
 * unless they are finite and the deviations positive. */
VS_CHECK enum vs_status vs_vae_set_latent_scale(struct vs_vae *vae, const double *mean,
                                                const double *std);

struct vs_vae_stream_options {
    enum vs_vae_direction direction;
    size_t n_latent_frames; /* the most of one call */
    size_t height, width;   /* of a latent frame: rows and columns of the video / VS_VAE_SCALE */
    size_t budget_bytes;    /* wanted size of a work buffer, see vae_chain.h; 0: 128 MiB */
};

/* One video's way through the VAE: history and work buffers, all allocated here. */
struct vs_vae_stream;
VS_CHECK enum vs_status vs_vae_stream_create(struct vs_vae_stream **stream, struct vs_vae *vae,
                                             const struct vs_vae_stream_options *options);
void vs_vae_stream_free(struct vs_vae_stream *stream);

/* Back to the start of a video; also after a call that failed. */
void vs_vae_stream_reset(struct vs_vae_stream *stream);

/* Between two calls: the history goes to the host and work buffers are given up, so that the device
 * has room for something else; and back. Every bit stays. */
VS_CHECK enum vs_status vs_vae_stream_rest(struct vs_vae_stream *stream);
VS_CHECK enum vs_status vs_vae_stream_wake(struct vs_vae_stream *stream);

/* Decodes n latent frames [n, VS_VAE_CHANNELS, h, w], as the transformer makes them, to *n_frames
 * frames [*n_frames, 8 h, 8 w, 3] about -1..1, not clamped: 4 n - 3 in the first call, 4 n later.
 * *frames is borrowed from the stream, valid until its next call. Waits for the device.
 * VS_ERROR_NONFINITE when a frame holds infinities or NaN; VS_ERROR_USAGE for more than the stream
 * was made for. Allocates nothing. */
VS_CHECK enum vs_status vs_vae_decode(struct vs_vae_stream *stream, struct vs_span latents,
                                      size_t n, struct vs_span *frames, size_t *n_frames);

/* Encodes n frames [n, 8 h, 8 w, 3] in -1..1 to the mean of their latents
 * [*n_latent_frames, VS_VAE_CHANNELS, h, w], normalised as vs_vae_decode() takes them. The first
 * frame of a stream gives one latent frame, every four after it one more; frames short of four
 * wait for the next call. n is at most 4 * n_latent_frames of the stream. Otherwise as above. */
VS_CHECK enum vs_status vs_vae_encode(struct vs_vae_stream *stream, struct vs_span frames, size_t n,
                                      struct vs_span *latents, size_t *n_latent_frames);

#endif
