/* SPDX-License-Identifier: Apache-2.0
 *
 * recognize.c - each network is known by tensors that no other one has. */
#include "models/recognize.h"

#include <stdio.h>
#include <string.h>

const char *vs_part_name(enum vs_part part)
{
    static const char *const names[] = {"unknown", "transformer", "text encoder", "VAE", "LoRA"};
    return names[part];
}

/* Dimension i of a tensor, or 0. */
static size_t dim_of(const struct vs_weights *weights, const char *name, size_t i)
{
    const struct vs_tensor *tensor = vs_weights_find(weights, name);
    return tensor && i < tensor->n_dims ? tensor->shape[i] : 0;
}

/* One more than the highest N of "blocks.N." */
static size_t count_blocks(const struct vs_weights *weights)
{
    size_t n = 0;
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        unsigned block;
        const char *name = vs_weights_at(weights, i)->name;
        if (sscanf(name, "blocks.%5u.", &block) == 1 && block + 1 > n)
            n = block + 1;
    }
    return n;
}

static enum vs_gates gates_of(const struct vs_weights *weights, const char *projection, size_t dim)
{
    char name[96];
    snprintf(name, sizeof name, "blocks.0.self_attn.memory.%s.weight", projection);
    size_t width = dim_of(weights, name, 0);
    if (width == 0)
        return VS_GATES_NONE;
    return width == dim ? VS_GATES_CHANNEL : VS_GATES_HEAD;
}

static void recognize_dit(struct vs_recognized *r, const struct vs_weights *weights)
{
    r->part = VS_PART_DIT;
    r->dim = dim_of(weights, "blocks.0.self_attn.q.weight", 0);
    r->n_layers = count_blocks(weights);
    r->ffn_dim = dim_of(weights, "blocks.0.ffn.0.weight", 0);
    r->text_dim = dim_of(weights, "text_embedding.0.weight", 1);
    r->freq_dim = dim_of(weights, "time_embedding.0.weight", 1);
    r->n_channels = dim_of(weights, "head.head.weight", 0) / 4; /* of a patch of 2x2 */
    r->alpha_gates = gates_of(weights, "a_proj", r->dim);
    r->beta_gates = gates_of(weights, "b_proj", r->dim);
    size_t head_dim = dim_of(weights, "blocks.0.self_attn.memory.o_norm.weight", 0);
    if (head_dim == 0)
        head_dim = 128;
    r->n_heads = r->dim % head_dim == 0 ? r->dim / head_dim : 0;
}

static void recognize_text_encoder(struct vs_recognized *r, const struct vs_weights *weights)
{
    r->part = VS_PART_TEXT_ENCODER;
    r->vocabulary = dim_of(weights, "token_embedding.weight", 0);
    r->dim = dim_of(weights, "token_embedding.weight", 1);
    r->n_layers = count_blocks(weights);
    r->n_heads = dim_of(weights, "blocks.0.pos_embedding.embedding.weight", 1);
    r->ffn_dim = dim_of(weights, "blocks.0.ffn.fc1.weight", 0);
}

static void recognize_vae(struct vs_recognized *r, const struct vs_weights *weights)
{
    r->part = VS_PART_VAE;
    r->dim = dim_of(weights, "encoder.conv1.weight", 0);
    if (r->dim == 0)
        r->dim = dim_of(weights, "decoder.head.2.weight", 1);
    r->n_channels = dim_of(weights, "decoder.conv1.weight", 1);
}

static bool recognize_lora(struct vs_recognized *r, const struct vs_weights *weights)
{
    static const char *const down[] = {"lora_A", "lora_down"};
    for (size_t i = 0; i < vs_weights_count(weights); i++)
        for (size_t d = 0; d < 2; d++) {
            const struct vs_tensor *tensor = vs_weights_at(weights, i);
            if (!strstr(tensor->name, down[d]) || tensor->n_dims == 0)
                continue;
            r->part = VS_PART_LORA;
            r->rank = tensor->shape[0];
            r->n_layers = count_blocks(weights);
            r->hint = "give it to generate or convert with --lora, with its transformer";
            return true;
        }
    return false;
}

void vs_recognize(struct vs_recognized *r, const struct vs_weights *weights)
{
    *r = (struct vs_recognized){.part = VS_PART_UNKNOWN};
    if (recognize_lora(r, weights))
        return;
    if (vs_weights_find(weights, "patch_embedding.weight") &&
        vs_weights_find(weights, "blocks.0.self_attn.q.weight"))
        recognize_dit(r, weights);
    else if (vs_weights_find(weights, "token_embedding.weight") &&
             vs_weights_find(weights, "blocks.0.attn.q.weight"))
        recognize_text_encoder(r, weights);
    else if (vs_weights_find(weights, "decoder.conv1.weight") &&
             vs_weights_find(weights, "decoder.head.2.weight"))
        recognize_vae(r, weights);
}
