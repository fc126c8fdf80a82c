/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c - opening a model: every file checked, alone and against the others, before any device
 * is touched. */
#include "models/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/sha256.h"
#include "models/dit_weights.h"
#include "models/file_map.h"
#include "models/lora.h"

static enum vs_status hash_file(struct vs_sha256 *hash, const char *path)
{
    struct vs_file_map *map = NULL;
    enum vs_status status = vs_file_map_open(&map, path);
    if (status == VS_OK)
        vs_sha256_update(hash, map->data, map->size);
    vs_file_map_free(map);
    return status;
}

/* Names, formats and shapes in full; of the data the first and last 4 KiB of each tensor, since
 * reading 17 GB would take longer than a user waits. */
static void hash_weights(struct vs_sha256 *hash, const struct vs_weights *weights)
{
    enum { SAMPLE_BYTES = 4096 };
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        const uint8_t *data = tensor->data;
        size_t sample = tensor->n_bytes < SAMPLE_BYTES ? tensor->n_bytes : SAMPLE_BYTES;
        const char *dtype = vs_dtype_info(tensor->dtype)->name;
        vs_sha256_update(hash, tensor->name, strlen(tensor->name) + 1);
        vs_sha256_update(hash, dtype, strlen(dtype) + 1);
        for (size_t d = 0; d < tensor->n_dims; d++) {
            uint64_t size = tensor->shape[d];
            vs_sha256_update(hash, &size, sizeof size);
        }
        if (sample) {
            vs_sha256_update(hash, data, sample);
            vs_sha256_update(hash, data + tensor->n_bytes - sample, sample);
        }
    }
}

static enum vs_status fingerprint(struct vs_model *model, const struct vs_model_paths *paths)
{
    enum vs_status status = VS_OK;
    struct vs_sha256 hash;
    vs_sha256_init(&hash);
    if (paths->config)
        VS_TRY(hash_file(&hash, paths->config));
    VS_TRY(hash_file(&hash, paths->tokenizer));
    hash_weights(&hash, model->dit);
    hash_weights(&hash, model->text_encoder);
    hash_weights(&hash, model->vae);
    vs_sha256_hex(&hash, model->info.fingerprint);
fail:
    return status;
}

/* Sizes in which two files must agree. */
static enum vs_status check_together(const struct vs_model *model,
                                     const struct vs_model_paths *paths)
{
    const struct vs_config *config = &model->config;
    if (model->text_shape.dim != config->text_dim)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: the text encoder gives rows of %zu, but the transformer %s takes rows "
                       "of %zu; the two do not belong together",
                       paths->text_encoder, model->text_shape.dim, paths->dit, config->text_dim);
    if (vs_tokenizer_vocab(model->tokenizer) > model->text_shape.vocab)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: the tokenizer has %zu pieces, but the text encoder %s only %zu; the "
                       "two do not belong together",
                       paths->tokenizer, vs_tokenizer_vocab(model->tokenizer),
                       paths->text_encoder, model->text_shape.vocab);
    if (config->n_channels != VS_VAE_CHANNELS)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: the transformer has %zu latent channels, Wan's VAE has %d; the two do "
                       "not belong together",
                       paths->dit, config->n_channels, VS_VAE_CHANNELS);
    return VS_OK;
}

static void describe(struct vs_model_info *info, const struct vs_config *config)
{
    info->width = config->width;
    info->height = config->height;
    info->fps = config->fps;
    info->dim = config->dim;
    info->n_heads = config->n_heads;
    info->n_layers = config->n_layers;
    info->frames_per_chunk = config->frames_per_chunk;
    info->window = config->window;
    info->sink = config->sink;
    info->n_steps = config->n_steps;
    info->horizon = config->horizon;
    info->gates = !config->alpha_width ? VS_GATES_NONE
                  : config->alpha_width == config->dim || config->beta_width == config->dim
                      ? VS_GATES_CHANNEL
                      : VS_GATES_HEAD;
}

static void describe_lora(struct vs_lora_info *info, const struct vs_lora *lora,
                          const struct vs_weights *file)
{
    const char *slash = strrchr(lora->path, '/');
    struct vs_sha256 hash;
    snprintf(info->name, sizeof info->name, "%s", slash ? slash + 1 : lora->path);
    info->scale = lora->scale;
    vs_sha256_init(&hash);
    hash_weights(&hash, file);
    vs_sha256_hex(&hash, info->fingerprint);
}

/* Before the transformer is looked at: what follows sees the merged weights alone. */
static enum vs_status merge_loras(struct vs_model *model, const struct vs_model_files *files)
{
    enum vs_status status = VS_OK;
    struct vs_lora_set *set = NULL;
    const struct vs_weights *const bases[] = {model->dit};
    if (files->n_loras == 0)
        return VS_OK;
    model->loras = vs_alloc(files->n_loras, sizeof *model->loras);
    if (!model->loras)
        return VS_ERROR_MEMORY;
    VS_TRY(vs_lora_set_create(&set, files->loras, files->n_loras, bases, 1));
    VS_TRY(vs_weights_merge(model->dit, set, files->sizes_only));
    for (size_t i = 0; i < files->n_loras; i++)
        describe_lora(&model->loras[i], &files->loras[i], vs_lora_file(set, i));
    model->info.loras = model->loras;
    model->info.n_loras = files->n_loras;
fail:
    vs_lora_set_free(set);
    return status;
}

enum vs_status vs_model_open(struct vs_model **out, const struct vs_model_files *files)
{
    enum vs_status status = VS_OK;
    struct vs_model_paths paths = {0};
    struct vs_model *model = vs_alloc(1, sizeof *model);
    *out = NULL;
    if (!model)
        return VS_ERROR_MEMORY;
    VS_TRY(vs_model_paths_find(&paths, files));
    VS_TRY(vs_config_load(&model->config, paths.config));
    VS_TRY(vs_weights_open(&model->dit, paths.dit));
    VS_TRY(merge_loras(model, files));
    VS_TRY(vs_config_fit(&model->config, model->dit));
    VS_TRY(vs_dit_params_check(model->dit, &model->config));
    VS_TRY(vs_weights_open(&model->text_encoder, paths.text_encoder));
    VS_TRY(vs_umt5_check(&model->text_shape, model->text_encoder));
    VS_TRY(vs_weights_open(&model->vae, paths.vae));
    VS_TRY(vs_vae_check(model->vae, &model->vae_shape));
    VS_TRY(vs_tokenizer_open(&model->tokenizer, paths.tokenizer));
    VS_TRY(check_together(model, &paths));
    describe(&model->info, &model->config);
    model->info.can_encode = model->vae_shape.has_encoder;
    if (!files->sizes_only)
        VS_TRY(fingerprint(model, &paths));
    vs_model_paths_free(&paths);
    *out = model;
    return VS_OK;
fail:
    vs_model_paths_free(&paths);
    vs_model_free(model);
    return status;
}

void vs_model_free(struct vs_model *model)
{
    if (!model)
        return;
    vs_weights_free(model->dit);
    vs_weights_free(model->text_encoder);
    vs_weights_free(model->vae);
    vs_tokenizer_free(model->tokenizer);
    free(model->loras);
    free(model);
}

const struct vs_model_info *vs_model_info(const struct vs_model *model)
{
    return &model->info;
}
