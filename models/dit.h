/* SPDX-License-Identifier: Apache-2.0
 *
 * dit.h - the causal Wan transformer: one pass over one chunk of latents.
 *
 * vs_dit holds the weights; vs_rollout holds what a video has of its own: cache, states, text,
 * and all working memory, so that passes allocate nothing. The sampler's loop stands in
 * rollout.c, the arithmetic of a pass in dit.c. */
#ifndef VS_MODELS_DIT_H
#define VS_MODELS_DIT_H

#include "cl/context.h"
#include "cl/recording.h"
#include "models/cache.h"
#include "models/dit_stream.h"

struct vs_dit {
    struct vs_context *context; /* borrowed */
    struct vs_config config;
    struct vs_dit_params params;
    struct vs_dit_stream *stream; /* NULL: all blocks lie on the device */
};

/* weights are borrowed and must outlive the transformer; config is fitted (vs_config_fit()).
 * offload: blocks stay on the host and come when they are needed (dit_stream.h). */
VS_CHECK enum vs_status vs_dit_create(struct vs_dit **dit, struct vs_context *context,
                                      const struct vs_weights *weights,
                                      const struct vs_config *config, bool offload);
void vs_dit_free(struct vs_dit *dit);

/* What depends on the timestep alone, for every layer: [n_layers, 6 d], then the head's [2 d]. */
struct vs_modulation {
    float timestep;
    struct vs_buffer *buffer;
};

struct vs_rollout_shape {
    size_t height, width;  /* of the latents: pixels / 8; even */
    enum vs_memory_mode memory;
    size_t window, sink;   /* latent frames; window 0: unlimited */
    size_t n_frames;       /* latent frames of the video, to size an unlimited cache */
    size_t horizon;        /* latent frames the router divides by */
    enum vs_dtype kv;      /* format of the cached K and V: F32 or F16 */
};

/* A step of the sampler as it is launched while the cache is so full. */
struct vs_recorded_step {
    struct vs_recording recording;
    size_t n_cached, n_coming;
    bool reads_state;
};

enum { VS_MAX_MODULATIONS = VS_MAX_STEPS + 2 };

struct vs_rollout {
    struct vs_dit *dit; /* borrowed */
    struct vs_rollout_shape shape;
    size_t frame_tokens;  /* F */
    size_t latent_size;   /* floats of a latent frame */
    bool hybrid;          /* the state is kept and read */
    struct vs_cache *cache;

    struct vs_modulation modulations[VS_MAX_MODULATIONS];
    size_t n_modulations;
    struct vs_buffer **cross_k, **cross_v; /* per layer [text_len, N, D] */
    struct vs_buffer *text;                /* [text_len, text_dim] */
    struct vs_buffer *gamma;               /* [n_layers, c, d]; hybrid only */
    struct vs_buffer *log_rho;             /* [c] */
    struct vs_buffer *rope_table;          /* of the chunk's positions */
    struct vs_buffer *absolute_table;      /* of its absolute frames, for a roped state's queries */
    struct vs_buffer *finite;              /* int32 [n_steps + 1, n_layers + 1]: infinity or NaN met */
    float *host_table;
    int32_t *host_finite;
    size_t n_passes; /* since the chunk began */
    struct vs_recorded_step recorded[VS_MAX_STEPS + 1]; /* by the last rehearsal; clean pass last */
    struct vs_buffer *x, *h, *q, *k, *v, *turned, *attended, *hidden; /* activations, [T, ..] */
    struct vs_buffer *query, *gate, *beta, *alpha;                    /* of the memory */
    struct vs_buffer *tokens;                                         /* [T, 4 channels] */
    struct vs_buffer *latents, *flow, *x0;                            /* [c, channels, H, W] */
    struct vs_buffer *noise;                                          /* [n_steps, c, ...] */
    struct vs_buffer *text_hidden, *text_embedded;                    /* [text_len, d] */

    /* For tests: copies of the residual stream of one layer after self-attention, after
     * cross-attention and at its end; buffers may be NULL. */
    struct {
        size_t layer;
        struct vs_buffer *self, *cross, *out;
    } tap;
};

VS_CHECK enum vs_status vs_rollout_create(struct vs_rollout **rollout, struct vs_dit *dit,
                                          const struct vs_rollout_shape *shape);
void vs_rollout_free(struct vs_rollout *rollout);

/* Between two chunks: the cache and the text's K and V go to the host, work buffers are given up, so
 * that the device has room for something else; and back. Every bit stays. */
VS_CHECK enum vs_status vs_rollout_rest(struct vs_rollout *rollout);
VS_CHECK enum vs_status vs_rollout_wake(struct vs_rollout *rollout);

/* Sets the text: n_rows rows [text_dim] of text states (the rest of text_len is zeros), makes the
 * cross-attention's K and V of every layer, and rewrites the cached frames for it (KV recache of
 * LongLive: every cached frame runs again at context_noise, block by block). */
VS_CHECK enum vs_status vs_rollout_set_text(struct vs_rollout *rollout, const float *text,
                                            size_t n_rows);

/* Makes room for and begins a chunk of n <= c frames with these absolute numbers. */
VS_CHECK enum vs_status vs_rollout_begin(struct vs_rollout *rollout, const int64_t *frames,
                                         size_t n);

/* Whether passes of the begun chunk read the state: once frames have left the window. */
bool vs_rollout_reads_state(const struct vs_rollout *rollout);

/* One pass over the begun chunk: flow = DiT(latents, timestep), both [n, channels, H, W]. keep:
 * the clean pass, which also writes the gates; its flow is not computed (flow may be none). */
VS_CHECK enum vs_status vs_rollout_pass(struct vs_rollout *rollout, struct vs_span flow,
                                        struct vs_span latents, float timestep, bool keep);

/* Denoises the begun chunk from rollout->noise [n_steps, n, channels, H, W] (uploaded by the
 * caller; step 0 is what the chunk starts from) into rollout->x0, runs the clean pass and commits
 * the frames. In a dry context the steps are recorded where that can be, and later chunks that find
 * the cache as full start the recordings. sigma, timestep [n_steps] as vs_schedule() gives them. Only enqueues; fences
 * [n_steps + 1], if any, are set behind every pass, the clean one included. */
VS_CHECK enum vs_status vs_rollout_denoise(struct vs_rollout *rollout, const float *sigma,
                                           const float *timestep, struct vs_fence *fences);

/* The end of that: the clean pass of the begun chunk over rollout->x0, and the commit. */
VS_CHECK enum vs_status vs_rollout_finish(struct vs_rollout *rollout);

/* VS_ERROR_NONFINITE naming chunk and layer if a pass since the chunk began met infinity or NaN:
 * the first layer of the first pass that did. Waits for the device. */
VS_CHECK enum vs_status vs_rollout_check_finite(struct vs_rollout *rollout, size_t chunk);


#endif
