/* SPDX-License-Identifier: Apache-2.0
 *
 * recognize.h - which network a file of weights holds, told from names and shapes alone.
 *
 * A verdict for people and for choosing the file of a folder; the network's own loader still
 * demands every tensor by name and shape. */
#ifndef VS_MODELS_RECOGNIZE_H
#define VS_MODELS_RECOGNIZE_H

#include "models/weights.h"

enum vs_part {
    VS_PART_UNKNOWN,
    VS_PART_DIT,          /* Wan's causal transformer, with or without hybrid memory */
    VS_PART_TEXT_ENCODER, /* UMT5 encoder */
    VS_PART_VAE,          /* Wan's VAE */
    VS_PART_LORA          /* low-rank differences to a transformer */
};

/* 0 in a size: the file does not say. */
struct vs_recognized {
    enum vs_part part;
    const char *hint; /* unknown parts: a way on, or NULL; a constant */
    size_t n_layers;  /* blocks of a transformer, text encoder or LoRA */
    size_t dim;       /* width of the residual stream; base width of a VAE */
    size_t n_heads;   /* of a transformer without memory: reckoned with 128 wide heads */
    size_t ffn_dim;
    size_t n_channels;                     /* latent channels of a transformer or VAE */
    size_t text_dim;                       /* transformer: width of the text states it expects */
    size_t freq_dim;                       /* transformer: width of the timestep features */
    enum vs_gates alpha_gates, beta_gates; /* transformer: memory; VS_GATES_NONE: without */
    size_t vocabulary;                     /* text encoder */
    size_t rank;                           /* LoRA */
};

/* Word for a part: "transformer", "text encoder" ... */
const char *vs_part_name(enum vs_part part);

void vs_recognize(struct vs_recognized *recognized, const struct vs_weights *weights);

#endif
