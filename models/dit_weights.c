/* SPDX-License-Identifier: Apache-2.0
 *
 * dit_weights.c - the table of the transformer's tensors, and the two passes that read it. */
#include "models/dit_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

/* Sizes that the config names. */
enum size_name { ONE, TWO, SIX, D, D6, FFN, HEAD_DIM, FREQ, TEXT, CHANNELS, PATCH_OUT, ALPHA, BETA };

static size_t size_of(enum size_name name, const struct vs_config *config)
{
    switch (name) {
    case ONE:
        return 1;
    case TWO:
        return 2;
    case SIX:
        return 6;
    case D:
        return config->dim;
    case D6:
        return 6 * config->dim;
    case FFN:
        return config->ffn_dim;
    case HEAD_DIM:
        return config->dim / config->n_heads;
    case FREQ:
        return config->freq_dim;
    case TEXT:
        return config->text_dim;
    case CHANNELS:
        return config->n_channels;
    case PATCH_OUT:
        return 4 * config->n_channels;
    case ALPHA:
        return config->alpha_width;
    case BETA:
        return config->beta_width;
    }
    return 0;
}

/* MATRIX: vs_weight at `place`, first dimension rows. VECTOR: vs_span at `place`. */
enum kind { MATRIX, VECTOR };

struct spec {
    const char *name;
    enum kind kind;
    size_t place;
    size_t n_dims;
    enum size_name dims[5];
};

#define AT(member) offsetof(struct vs_dit_params, member)
#define AFFINE(name, member, out, in)                                                             \
    {name ".weight", MATRIX, AT(member.weight), 2, {out, in}},                                    \
    {name ".bias", VECTOR, AT(member.bias), 1, {out}}

static const struct spec top_specs[] = {
    {"patch_embedding.weight", MATRIX, AT(patch.weight), 5, {D, CHANNELS, ONE, TWO, TWO}},
    {"patch_embedding.bias", VECTOR, AT(patch.bias), 1, {D}},
    AFFINE("text_embedding.0", text_in, D, TEXT),
    AFFINE("text_embedding.2", text_out, D, D),
    AFFINE("time_embedding.0", time_in, D, FREQ),
    AFFINE("time_embedding.2", time_out, D, D),
    AFFINE("time_projection.1", time_projection, D6, D),
    AFFINE("head.head", head, PATCH_OUT, D),
    {"head.modulation", VECTOR, AT(head_modulation), 3, {ONE, TWO, D}},
};

#undef AT
#define AT(member) offsetof(struct vs_block_params, member)

static const struct spec block_specs[] = {
    {"modulation", VECTOR, AT(modulation), 3, {ONE, SIX, D}},
    AFFINE("self_attn.q", self.q, D, D),
    AFFINE("self_attn.k", self.k, D, D),
    AFFINE("self_attn.v", self.v, D, D),
    AFFINE("self_attn.o", self.o, D, D),
    {"self_attn.norm_q.weight", VECTOR, AT(self.norm_q), 1, {D}},
    {"self_attn.norm_k.weight", VECTOR, AT(self.norm_k), 1, {D}},
    AFFINE("cross_attn.q", cross.q, D, D),
    AFFINE("cross_attn.k", cross.k, D, D),
    AFFINE("cross_attn.v", cross.v, D, D),
    AFFINE("cross_attn.o", cross.o, D, D),
    {"cross_attn.norm_q.weight", VECTOR, AT(cross.norm_q), 1, {D}},
    {"cross_attn.norm_k.weight", VECTOR, AT(cross.norm_k), 1, {D}},
    {"norm3.weight", VECTOR, AT(norm3_weight), 1, {D}},
    {"norm3.bias", VECTOR, AT(norm3_bias), 1, {D}},
    AFFINE("ffn.0", ffn_in, FFN, D),
    AFFINE("ffn.2", ffn_out, D, FFN),
};

static const struct spec memory_specs[] = {
    AFFINE("self_attn.memory.b_proj", memory.b, BETA, D),
    {"self_attn.memory.a_proj.weight", MATRIX, AT(memory.a.weight), 2, {ALPHA, D}},
    {"self_attn.memory.dt_bias", VECTOR, AT(memory.a.bias), 1, {ALPHA}},
    {"self_attn.memory.A_log", VECTOR, AT(memory.a_log), 1, {ALPHA}},
    AFFINE("self_attn.memory.g_proj", memory.g, D, D),
    {"self_attn.memory.o_norm.weight", VECTOR, AT(memory.o_norm), 1, {HEAD_DIM}},
    {"self_attn.memory.router.weight", VECTOR, AT(memory.router_weight), 1, {D}},
    {"self_attn.memory.router.bias", VECTOR, AT(memory.router_bias), 1, {D}},
};

#undef AT
#undef AFFINE
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What a pass over all tensors does with each. base: the struct that spec->place counts from, or
 * NULL when only checking. */
struct pass {
    const struct vs_weights *weights;
    const struct vs_config *config;
    struct vs_context *context;
    bool describe;    /* matrices are left on the host */
    float *vectors;   /* host copy of all vectors, or NULL in the counting pass */
    size_t n_vectors; /* elements so far */
    const struct vs_buffer *buffer;
};

static enum vs_status visit(struct pass *pass, const char *prefix, const struct spec *spec,
                            void *base)
{
    char name[128];
    size_t shape[5];
    const struct vs_tensor *tensor;
    snprintf(name, sizeof name, "%s%s", prefix, spec->name);
    for (size_t i = 0; i < spec->n_dims; i++)
        shape[i] = size_of(spec->dims[i], pass->config);
    enum vs_status status =
        vs_weights_require(&tensor, pass->weights, name, spec->n_dims, shape);
    if (status != VS_OK)
        return status;
    if (!vs_dtype_info(tensor->dtype)->weight)
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' is %s; weights must be floating point",
                       tensor->file, name, vs_dtype_info(tensor->dtype)->name);
    if (spec->kind == MATRIX) {
        size_t n_columns = tensor->n_elements / shape[0];
        if (n_columns % vs_dtype_info(tensor->dtype)->n_elements)
            return vs_fail(VS_ERROR_MODEL, "%s: rows of tensor '%s' are no whole blocks of %s",
                           tensor->file, name, vs_dtype_info(tensor->dtype)->name);
        if (pass->vectors) {
            struct vs_weight *weight = (void *)((char *)base + spec->place);
            status = pass->describe
                         ? vs_weight_describe(weight, tensor->data, tensor->dtype, shape[0],
                                              n_columns)
                         : vs_weight_create(weight, pass->context, tensor->data, tensor->dtype,
                                            shape[0], n_columns);
        }
        return status;
    }
    if (pass->vectors) {
        struct vs_span *span = (void *)((char *)base + spec->place);
        vs_dtype_widen(pass->vectors + pass->n_vectors, tensor->data, tensor->dtype,
                       tensor->n_elements);
        *span = vs_span_at(pass->buffer, pass->n_vectors);
    }
    pass->n_vectors += tensor->n_elements;
    return VS_OK;
}

static enum vs_status visit_all(struct pass *pass, struct vs_dit_params *params, bool offload)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < COUNT(top_specs); i++)
        VS_TRY(visit(pass, "", top_specs + i, params));
    pass->describe = offload;
    for (size_t layer = 0; layer < pass->config->n_layers; layer++) {
        char prefix[32];
        void *block = params ? params->blocks + layer : NULL;
        snprintf(prefix, sizeof prefix, "blocks.%zu.", layer);
        for (size_t i = 0; i < COUNT(block_specs); i++)
            VS_TRY(visit(pass, prefix, block_specs + i, block));
        if (pass->config->alpha_width)
            for (size_t i = 0; i < COUNT(memory_specs); i++)
                VS_TRY(visit(pass, prefix, memory_specs + i, block));
    }
fail:
    return status;
}

enum vs_status vs_dit_params_check(const struct vs_weights *weights,
                                   const struct vs_config *config)
{
    struct pass pass = {.weights = weights, .config = config};
    return visit_all(&pass, NULL, false);
}

enum vs_status vs_dit_params_create(struct vs_dit_params *params, struct vs_context *context,
                                    const struct vs_weights *weights,
                                    const struct vs_config *config, bool offload)
{
    enum vs_status status = VS_OK;
    struct pass count = {.weights = weights, .config = config};
    struct pass upload = {.weights = weights, .config = config, .context = context};
    memset(params, 0, sizeof *params);
    VS_TRY(visit_all(&count, NULL, false));
    params->n_blocks = config->n_layers;
    params->blocks = vs_alloc(config->n_layers, sizeof *params->blocks);
    upload.vectors = vs_alloc(count.n_vectors, sizeof *upload.vectors);
    if (!params->blocks || !upload.vectors) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(vs_floats_create(&params->vectors, context, NULL, count.n_vectors));
    upload.buffer = params->vectors;
    VS_TRY(visit_all(&upload, params, offload));
    VS_TRY(vs_buffer_write(params->vectors, 0, upload.vectors,
                           count.n_vectors * sizeof *upload.vectors));
fail:
    free(upload.vectors);
    if (status != VS_OK)
        vs_dit_params_free(params);
    return status;
}

static size_t add_matrices(struct vs_weight **matrices, const struct spec *specs, size_t n,
                           void *base)
{
    size_t n_matrices = 0;
    for (size_t i = 0; i < n; i++) {
        struct vs_weight *weight = (void *)((char *)base + specs[i].place);
        if (specs[i].kind == MATRIX && weight->data)
            matrices[n_matrices++] = weight;
    }
    return n_matrices;
}

size_t vs_block_matrices(struct vs_weight *matrices[VS_BLOCK_MATRICES],
                         struct vs_block_params *block)
{
    size_t n = add_matrices(matrices, block_specs, COUNT(block_specs), block);
    return n + add_matrices(matrices + n, memory_specs, COUNT(memory_specs), block);
}

void vs_dit_params_free(struct vs_dit_params *params)
{
    struct vs_weight *matrices[COUNT(top_specs) + VS_BLOCK_MATRICES];
    size_t n = add_matrices(matrices, top_specs, COUNT(top_specs), params);
    for (size_t i = 0; i < n; i++)
        vs_weight_free(matrices[i]);
    for (size_t layer = 0; params->blocks && layer < params->n_blocks; layer++) {
        n = vs_block_matrices(matrices, params->blocks + layer);
        for (size_t i = 0; i < n; i++)
            vs_weight_free(matrices[i]);
    }
    free(params->blocks);
    vs_buffer_free(params->vectors);
    memset(params, 0, sizeof *params);
}
