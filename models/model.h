/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h - the parts of a checked model; vs_model_open() stands in videossm.h. */
#ifndef VS_MODELS_MODEL_H
#define VS_MODELS_MODEL_H

#include "models/config.h"
#include "models/tokenizer.h"
#include "models/umt5.h"
#include "models/vae.h"

struct vs_model {
    struct vs_config config; /* fitted to the weights */
    struct vs_weights *dit, *text_encoder, *vae;
    struct vs_umt5_shape text_shape;
    struct vs_vae_shape vae_shape;
    struct vs_tokenizer *tokenizer;
    struct vs_lora_info *loras; /* [info.n_loras] */
    struct vs_model_info info;
};

/* Where the parts of a model folder lie: fills the NULL fields of paths from the folder. The
 * strings are freed with vs_model_paths_free(). VS_ERROR_MODEL names what is missing and what it
 * is usually called. */
struct vs_model_paths {
    char *dit, *text_encoder, *vae, *tokenizer;
    char *config; /* NULL: defaults */
};
VS_CHECK enum vs_status vs_model_paths_find(struct vs_model_paths *paths,
                                            const struct vs_model_files *files);
void vs_model_paths_free(struct vs_model_paths *paths);

#endif
