/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - tables of the two namings.
 *
 * A name is a head, perhaps a tail, and a rest (".weight") that both namings share. '#' stands for
 * a number, which is carried over. Each table is one to one, so a name survives the way there and
 * back. */
#include "models/names.h"

#include <string.h>

#include "cl/alloc.h"

struct pair {
    const char *wan, *diffusers;
};

struct table {
    const struct pair *heads, *tails;
};

static const struct pair dit_heads[] = {
    {"time_embedding.0", "condition_embedder.time_embedder.linear_1"},
    {"time_embedding.2", "condition_embedder.time_embedder.linear_2"},
    {"text_embedding.0", "condition_embedder.text_embedder.linear_1"},
    {"text_embedding.2", "condition_embedder.text_embedder.linear_2"},
    {"time_projection.1", "condition_embedder.time_proj"},
    {"head.modulation", "scale_shift_table"},
    {"head.head", "proj_out"},
    {"blocks.#", "blocks.#"},
    {NULL, NULL},
};
static const struct pair dit_tails[] = {
    {"modulation", "scale_shift_table"},
    {"ffn.0", "ffn.net.0.proj"},
    {"ffn.2", "ffn.net.2"},
    {"norm3", "norm2"}, /* diffusers counts the norms in the order of their use */
    {"norm2", "norm3"},
    {"self_attn.o", "attn1.to_out.0"},
    {"self_attn.q", "attn1.to_q"},
    {"self_attn.k", "attn1.to_k"},
    {"self_attn.v", "attn1.to_v"},
    {"self_attn", "attn1"}, /* norm_q, norm_k, memory */
    {"cross_attn.o", "attn2.to_out.0"},
    {"cross_attn.q", "attn2.to_q"},
    {"cross_attn.k", "attn2.to_k"},
    {"cross_attn.v", "attn2.to_v"},
    {"cross_attn", "attn2"},
    {NULL, NULL},
};

static const struct pair text_heads[] = {
    {"token_embedding", "shared"},
    {"norm", "encoder.final_layer_norm"},
    {"blocks.#", "encoder.block.#"},
    {NULL, NULL},
};
static const struct pair text_tails[] = {
    {"norm1", "layer.0.layer_norm"},
    {"attn", "layer.0.SelfAttention"},
    {"pos_embedding.embedding", "layer.0.SelfAttention.relative_attention_bias"},
    {"norm2", "layer.1.layer_norm"},
    {"ffn.gate.0", "layer.1.DenseReluDense.wi_0"},
    {"ffn.fc1", "layer.1.DenseReluDense.wi_1"},
    {"ffn.fc2", "layer.1.DenseReluDense.wo"},
    {NULL, NULL},
};

static const struct pair vae_heads[] = {
    {"conv1", "quant_conv"},
    {"conv2", "post_quant_conv"},
    {"encoder.conv1", "encoder.conv_in"},
    {"encoder.downsamples.#", "encoder.down_blocks.#"},
    {"encoder.middle.0", "encoder.mid_block.resnets.0"},
    {"encoder.middle.1", "encoder.mid_block.attentions.0"},
    {"encoder.middle.2", "encoder.mid_block.resnets.1"},
    {"encoder.head.0", "encoder.norm_out"},
    {"encoder.head.2", "encoder.conv_out"},
    {"decoder.conv1", "decoder.conv_in"},
    {"decoder.middle.0", "decoder.mid_block.resnets.0"},
    {"decoder.middle.1", "decoder.mid_block.attentions.0"},
    {"decoder.middle.2", "decoder.mid_block.resnets.1"},
    {"decoder.upsamples.0", "decoder.up_blocks.0.resnets.0"},
    {"decoder.upsamples.1", "decoder.up_blocks.0.resnets.1"},
    {"decoder.upsamples.2", "decoder.up_blocks.0.resnets.2"},
    {"decoder.upsamples.3", "decoder.up_blocks.0.upsamplers.0"},
    {"decoder.upsamples.4", "decoder.up_blocks.1.resnets.0"},
    {"decoder.upsamples.5", "decoder.up_blocks.1.resnets.1"},
    {"decoder.upsamples.6", "decoder.up_blocks.1.resnets.2"},
    {"decoder.upsamples.7", "decoder.up_blocks.1.upsamplers.0"},
    {"decoder.upsamples.8", "decoder.up_blocks.2.resnets.0"},
    {"decoder.upsamples.9", "decoder.up_blocks.2.resnets.1"},
    {"decoder.upsamples.10", "decoder.up_blocks.2.resnets.2"},
    {"decoder.upsamples.11", "decoder.up_blocks.2.upsamplers.0"},
    {"decoder.upsamples.12", "decoder.up_blocks.3.resnets.0"},
    {"decoder.upsamples.13", "decoder.up_blocks.3.resnets.1"},
    {"decoder.upsamples.14", "decoder.up_blocks.3.resnets.2"},
    {"decoder.head.0", "decoder.norm_out"},
    {"decoder.head.2", "decoder.conv_out"},
    {NULL, NULL},
};
static const struct pair vae_tails[] = {
    {"residual.0", "norm1"}, {"residual.2", "conv1"},       {"residual.3", "norm2"},
    {"residual.6", "conv2"}, {"shortcut", "conv_shortcut"}, {NULL, NULL},
};

static const struct table tables[VS_N_NAME_TABLES] = {
    [VS_TABLE_DIT] = {dit_heads, dit_tails},
    [VS_TABLE_TEXT_ENCODER] = {text_heads, text_tails},
    [VS_TABLE_VAE] = {vae_heads, vae_tails},
};

static bool begins(const char *name, const char *text)
{
    return strncmp(name, text, strlen(text)) == 0;
}

enum vs_name_table vs_names_conclude(const char *name)
{
    if (begins(name, "condition_embedder.") ||
        (begins(name, "blocks.") && (strstr(name, ".attn1.") || strstr(name, ".attn2."))))
        return VS_TABLE_DIT;
    if (begins(name, "encoder.block."))
        return VS_TABLE_TEXT_ENCODER;
    if (begins(name, "decoder.up_blocks.") || begins(name, "encoder.down_blocks."))
        return VS_TABLE_VAE;
    return VS_N_NAME_TABLES;
}

/* Bytes of name that the pattern covers, up to a point or the end; 0: none. number: what '#' stood
 * for, n_number bytes. */
static size_t match(const char *name, const char *pattern, const char **number, size_t *n_number)
{
    const char *at = name;
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            *number = at;
            at += *n_number = strspn(at, "0123456789");
            if (*n_number == 0)
                return 0;
        } else if (*at++ != *pattern) {
            return 0;
        }
    }
    return *at == '.' || *at == '\0' ? (size_t)(at - name) : 0;
}

/* What a pair's other side puts in place of the n_matched bytes it covers. */
struct hit {
    const char *other, *number;
    size_t n_matched, n_number;
};

/* The longest match, so that "attn" does not hide "attn.x.y". */
static struct hit look_up(const char *name, const struct pair *pairs, enum vs_naming to)
{
    struct hit best = {0};
    for (; pairs->wan; pairs++) {
        struct hit hit = {.other = to == VS_NAMES_WAN ? pairs->wan : pairs->diffusers};
        const char *from = to == VS_NAMES_WAN ? pairs->diffusers : pairs->wan;
        hit.n_matched = match(name, from, &hit.number, &hit.n_number);
        if (hit.n_matched > best.n_matched)
            best = hit;
    }
    return best;
}

char *vs_names_translate(const char *name, enum vs_name_table table, enum vs_naming to)
{
    struct hit head = look_up(name, tables[table].heads, to), tail = {0};
    if (!head.n_matched)
        return vs_strdup(name);
    const char *rest = name + head.n_matched;
    if (*rest == '.')
        tail = look_up(rest + 1, tables[table].tails, to);
    if (tail.n_matched)
        rest += 1 + tail.n_matched;
    int n_before = (int)strcspn(head.other, "#");
    const char *after = head.other[n_before] ? head.other + n_before + 1 : "";
    return vs_format("%.*s%.*s%s%s%s%s", n_before, head.other, (int)head.n_number,
                     head.n_number ? head.number : "", after, tail.n_matched ? "." : "",
                     tail.n_matched ? tail.other : "", rest);
}
