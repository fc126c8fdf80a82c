/* SPDX-License-Identifier: Apache-2.0
 *
 * generator.h - the inside of a run; its functions stand in videossm.h. */
#ifndef VS_MODELS_GENERATOR_H
#define VS_MODELS_GENERATOR_H

#include "models/dit.h"
#include "models/model.h"
#include "models/noise.h"

/* An encoded prompt. */
struct vs_text {
    double seconds;
    float *rows; /* [n_rows, text_dim] */
    size_t n_rows;
};

struct vs_generator {
    struct vs_context *context;   /* borrowed */
    const struct vs_model *model; /* borrowed */
    struct vs_generate_options options;
    struct vs_video_info info;
    struct vs_text *texts;
    size_t n_texts, text_in_force; /* n_texts: none yet */
    struct vs_dit *dit;
    struct vs_rollout *rollout;
    struct vs_vae *vae;
    struct vs_vae_stream *decoder;
    struct vs_noise_source *noise;
    float sigma[VS_MAX_STEPS], timestep[VS_MAX_STEPS];
    struct vs_buffer *latents;          /* the chunk being decoded */
    struct vs_buffer *bytes;            /* RGB of a chunk */
    float *host_noise, *host_latents;   /* [n_steps, c, ..], [c, ..] */
    uint8_t *host_rgb;
    size_t next_chunk;                  /* to be given out */
    size_t n_settled;                   /* chunks that the memory holds, those begun left out */
    size_t first_decoded, next_decoded; /* chunks: where the decoder's stream began, and goes on */
    bool denoising, stopping;           /* next_chunk is enqueued; it will be the last */
    enum vs_status denoise_status;      /* of the enqueueing */
    struct vs_fence passes[VS_MAX_STEPS + 1];
};

/* With options.offload, the device holds either what denoises or what decodes; the other rests on
 * the host. Called before either is done; what is so already costs nothing. */
VS_CHECK enum vs_status vs_generator_turn(struct vs_generator *g, bool to_decoding);

/* Sets the last prompt that is due when the chunk begins, if it is not in force. */
VS_CHECK enum vs_status vs_generator_settle_text(struct vs_generator *g, size_t chunk);

#endif
