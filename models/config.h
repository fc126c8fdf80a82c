/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - config.json: the sizes of the transformer and the settings of memory and sampler. */
#ifndef VS_MODELS_CONFIG_H
#define VS_MODELS_CONFIG_H

#include "models/weights.h"

enum { VS_MAX_STEPS = 64 };

/* Field by field what config.json holds; the comment names its key. */
struct vs_config {
    size_t dim;        /* dim: width of the residual stream, d */
    size_t ffn_dim;    /* ffn_dim */
    size_t n_heads;    /* num_heads */
    size_t n_layers;   /* num_layers */
    size_t freq_dim;   /* freq_dim: width of the timestep features */
    size_t text_dim;   /* text_dim: width of the text states */
    size_t text_len;   /* text_len: rows of text, padding included */
    size_t n_channels; /* in_dim = out_dim: latent channels */
    float eps;         /* eps of the norms */

    size_t frames_per_chunk; /* num_frame_per_block, c, latent frames */
    size_t window;           /* local_attn_size, L, with sinks and chunk; 0: unlimited (-1) */
    size_t sink;             /* sink_size, S */
    size_t n_steps;          /* denoising_step_list */
    unsigned steps[VS_MAX_STEPS];
    double timestep_shift;   /* timestep_shift */
    double context_noise;    /* context_noise: timestep of the clean pass */

    bool memory_roped;      /* memory.qk: "roped" instead of "pre_rope" */
    float memory_norm_eps;  /* memory.norm_eps */
    size_t horizon;         /* router.horizon; 0: the length asked for */
    bool rope_relative;     /* rope.frame: "relative" instead of "absolute" */

    size_t width, height; /* pixels, when none are asked for */
    double fps;

    /* From the weights: columns of the gates' projections; 0: weights without memory. */
    size_t alpha_width, beta_width;
};

/* Parses n bytes of JSON. Absent fields take their defaults, or 0 where vs_config_fit() derives
 * them from the weights; unknown fields are ignored. name stands in messages. Values that cannot
 * be give VS_ERROR_MODEL naming the field. */
VS_CHECK enum vs_status vs_config_parse(struct vs_config *config, const char *text, size_t n,
                                        const char *name);

/* The same from a file; path NULL: all defaults. */
VS_CHECK enum vs_status vs_config_load(struct vs_config *config, const char *path);

/* Derives absent sizes from the transformer's tensors and holds the others against them. */
VS_CHECK enum vs_status vs_config_fit(struct vs_config *config, const struct vs_weights *dit);

/* Rules between window, sink and chunk, for config and for options alike. Returns NULL or the
 * reason they cannot be. window 0: unlimited. */
const char *vs_config_window_fault(const struct vs_config *config, size_t window, size_t sink);

#endif
