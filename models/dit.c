/* SPDX-License-Identifier: Apache-2.0
 *
 * dit.c - the arithmetic of one pass, in the order of the formulas in models/README.md. */
#include "models/dit.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "kernels/attention/attention.h"
#include "kernels/gemm/gemm.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"
#include "kernels/pointwise/pointwise.h"
#include "models/dit_math.h"

/* Of the unit length of the state's queries, as of its keys. */
static const float unit_eps = 1e-6f;

enum vs_status vs_dit_create(struct vs_dit **out, struct vs_context *context,
                             const struct vs_weights *weights, const struct vs_config *config,
                             bool offload)
{
    enum vs_status status = VS_OK;
    struct vs_dit *dit = vs_alloc(1, sizeof *dit);
    *out = NULL;
    if (!dit)
        return VS_ERROR_MEMORY;
    dit->context = context;
    dit->config = *config;
    VS_TRY(vs_dit_params_create(&dit->params, context, weights, config, offload));
    if (offload)
        VS_TRY(vs_dit_stream_create(&dit->stream, context, dit->params.blocks,
                                    dit->params.n_blocks));
    *out = dit;
    return VS_OK;
fail:
    vs_dit_free(dit);
    return status;
}

void vs_dit_free(struct vs_dit *dit)
{
    if (!dit)
        return;
    vs_dit_stream_free(dit->stream);
    vs_dit_params_free(&dit->params);
    free(dit);
}

enum vs_status vs_dit_block_begin(const struct vs_block_params **block, const struct vs_dit *dit,
                                  size_t layer)
{
    *block = dit->params.blocks + layer;
    return dit->stream ? vs_dit_stream_begin(dit->stream, block, layer) : VS_OK;
}

enum vs_status vs_dit_block_end(const struct vs_dit *dit)
{
    return dit->stream ? vs_dit_stream_end(dit->stream) : VS_OK;
}

enum vs_status vs_dit_affine(const struct vs_dit *dit, const struct vs_buffer *out,
                             struct vs_span x, size_t n_rows, const struct vs_affine *affine,
                             enum vs_epilogue epilogue)
{
    struct vs_linear linear = {
        .weight = &affine->weight, .bias = affine->bias, .epilogue = epilogue};
    return vs_linear_run(dit->context, vs_span_of(out), x, n_rows, &linear);
}

/* What one pass works with. */
struct pass {
    struct vs_rollout *rollout;
    const struct vs_dit *dit;
    const struct vs_config *config;
    struct vs_context *context;
    const struct vs_buffer *modulation;
    const struct vs_block_params *block; /* of the layer at hand */
    size_t n_tokens, head_dim;
    bool keep;
};

/* Vector i of a layer's modulation: shift, scale, gate of self-attention, then of the FFN. */
static struct vs_span modulation_at(const struct pass *pass, size_t layer, size_t i)
{
    return vs_span_at(pass->modulation, (layer * 6 + i) * pass->config->dim);
}

/* x += gate * affine(y) */
static enum vs_status add_gated(const struct pass *pass, struct vs_span y,
                                const struct vs_affine *affine, struct vs_span gate)
{
    struct vs_span x = vs_span_of(pass->rollout->x);
    struct vs_linear linear = {.weight = &affine->weight,
                               .bias = affine->bias,
                               .epilogue = gate.buffer ? VS_EPILOGUE_GATED : VS_EPILOGUE_RESIDUAL,
                               .residual = x,
                               .gate = gate};
    return vs_linear_run(pass->context, x, y, pass->n_tokens, &linear);
}

/* h = LN(x) (1 + scale) + shift */
static enum vs_status modulate(const struct pass *pass, struct vs_span shift,
                               struct vs_span scale)
{
    struct vs_layernorm norm = {.n_rows = pass->n_tokens,
                                .n_channels = pass->config->dim,
                                .eps = pass->config->eps,
                                .modulation = true};
    return vs_layernorm_run(pass->context, vs_span_of(pass->rollout->h),
                            vs_span_of(pass->rollout->x), shift, scale, &norm);
}

static enum vs_status rms(const struct pass *pass, const struct vs_buffer *x,
                          struct vs_span weight)
{
    return vs_rmsnorm_run(pass->context, vs_span_of(x), vs_span_of(x), weight, pass->n_tokens,
                          pass->config->dim, pass->config->eps);
}

bool vs_rollout_reads_state(const struct vs_rollout *r)
{
    return r->hybrid && r->cache->n_folded;
}

static enum vs_status tap(const struct pass *pass, size_t layer, const struct vs_buffer *to)
{
    if (!to || layer != pass->rollout->tap.layer)
        return VS_OK;
    return vs_buffer_copy(to, 0, pass->rollout->x, 0,
                          pass->n_tokens * pass->config->dim * sizeof(float));
}

/* Writes the chunk's K (turned) and V into the cache's slots; leaves q turned in `turned` and,
 * where the state will be read, as it was before in `q`. */
static enum vs_status project_self(const struct pass *pass, size_t layer)
{
    struct vs_rollout *r = pass->rollout;
    struct vs_cache *cache = r->cache;
    const struct vs_attention_params *params = &pass->block->self;
    struct vs_span h = vs_span_of(r->h);
    enum vs_status status = VS_OK;
    struct vs_rope rope = {.shape = {.head_dim = pass->head_dim,
                                     .n_frames = cache->n_coming,
                                     .grid_rows = cache->shape.grid_rows,
                                     .grid_columns = cache->shape.grid_columns},
                           .n_heads = pass->config->n_heads,
                           .norm_weight = params->norm_q,
                           .eps = pass->config->eps};
    VS_TRY(vs_dit_affine(pass->dit, r->q, h, pass->n_tokens, &params->q, VS_EPILOGUE_NONE));
    VS_TRY(vs_dit_affine(pass->dit, r->k, h, pass->n_tokens, &params->k, VS_EPILOGUE_NONE));
    VS_TRY(vs_dit_affine(pass->dit, r->v, h, pass->n_tokens, &params->v, VS_EPILOGUE_NONE));
    if (vs_rollout_reads_state(r))
        rope.normed = vs_span_of(r->q);
    VS_TRY(vs_rope_run(pass->context, vs_span_of(r->turned), vs_span_of(r->q),
                       vs_span_of(r->rope_table), &rope));
    rope.norm_weight = params->norm_k;
    rope.normed = (struct vs_span){0};
    VS_TRY(vs_rope_run(pass->context, vs_span_of(r->k), vs_span_of(r->k), vs_span_of(r->rope_table),
                       &rope));
    VS_TRY(vs_cache_put(cache, layer, VS_CACHED_K, vs_span_of(r->k)));
    VS_TRY(vs_cache_put(cache, layer, VS_CACHED_V, vs_span_of(r->v)));
fail:
    return status;
}

/* beta and alpha of the chunk into the cache's slots. */
static enum vs_status write_gates(const struct pass *pass, size_t layer)
{
    struct vs_rollout *r = pass->rollout;
    const struct vs_memory_params *params = &pass->block->memory;
    struct vs_span h = vs_span_of(r->h);
    enum vs_status status = VS_OK;
    struct vs_span beta = vs_span_of(r->beta), alpha = vs_span_of(r->alpha);
    struct vs_gates_shape gates = {.n_rows = pass->n_tokens,
                                   .beta_width = pass->config->beta_width,
                                   .alpha_width = pass->config->alpha_width};
    VS_TRY(vs_dit_affine(pass->dit, r->beta, h, pass->n_tokens, &params->b, VS_EPILOGUE_NONE));
    VS_TRY(vs_dit_affine(pass->dit, r->alpha, h, pass->n_tokens, &params->a, VS_EPILOGUE_NONE));
    VS_TRY(vs_gates_run(pass->context, beta, alpha, beta, alpha, params->a_log, &gates));
    VS_TRY(vs_cache_put(r->cache, layer, VS_CACHED_BETA, beta));
    VS_TRY(vs_cache_put(r->cache, layer, VS_CACHED_ALPHA, alpha));
fail:
    return status;
}

/* attended += gamma * swish(g * RMSNorm(q~ M)) */
static enum vs_status read_state(const struct pass *pass, size_t layer)
{
    struct vs_rollout *r = pass->rollout;
    const struct vs_config *config = pass->config;
    const struct vs_memory_params *params = &pass->block->memory;
    enum vs_status status = VS_OK;
    struct vs_span query = vs_span_of(r->q), unit = vs_span_of(r->query);
    struct vs_memory_read read = {.n_rows = pass->n_tokens,
                                  .n_heads = config->n_heads,
                                  .head_dim = pass->head_dim,
                                  .rows_per_frame = r->frame_tokens,
                                  .eps = config->memory_norm_eps};
    if (config->memory_roped) {
        struct vs_rope rope = {.shape = {.head_dim = pass->head_dim,
                                         .n_frames = r->cache->n_coming,
                                         .grid_rows = r->cache->shape.grid_rows,
                                         .grid_columns = r->cache->shape.grid_columns},
                               .n_heads = config->n_heads};
        VS_TRY(vs_rope_run(pass->context, unit, query, vs_span_of(r->absolute_table), &rope));
        query = unit;
    }
    VS_TRY(vs_unit_run(pass->context, unit, query, pass->n_tokens * config->n_heads,
                       pass->head_dim, unit_eps));
    VS_TRY(vs_dit_affine(pass->dit, r->gate, vs_span_of(r->h), pass->n_tokens, &params->g,
                         VS_EPILOGUE_NONE));
    VS_TRY(vs_memory_read_run(
        pass->context, vs_span_of(r->attended), unit, vs_cache_state(r->cache, layer),
        vs_span_of(r->gate), params->o_norm,
        vs_span_at(r->gamma, layer * config->frames_per_chunk * config->dim),
        vs_span_of(r->attended), &read));
fail:
    return status;
}

/* attended = local: the chunk's queries and all that is kept. */
static enum vs_status attend(const struct pass *pass, size_t layer)
{
    struct vs_rollout *r = pass->rollout;
    const struct vs_cache *cache = r->cache;
    enum vs_status status = VS_OK;
    struct vs_attention attention = {.n_queries = pass->n_tokens,
                                     .n_keys =
                                         (cache->n_cached + cache->n_coming) * r->frame_tokens,
                                     .head_dim = pass->head_dim,
                                     .q_stride = pass->config->dim,
                                     .out_stride = pass->config->dim,
                                     .scale = vs_attention_scale(pass->head_dim),
                                     .slots = cache->slots,
                                     .rows_per_slot = r->frame_tokens,
                                     .kv = cache->shape.kv};
    for (size_t i = 0; i < cache->n_groups; i++) {
        const struct vs_cache_group group = vs_cache_group(cache, layer, i);
        size_t first = group.first_head * pass->head_dim;
        attention.n_heads = group.n_heads;
        VS_TRY(vs_attention_run(pass->context, vs_span_at(r->attended, first),
                                vs_span_at(r->turned, first), group.kept[VS_CACHED_K],
                                group.kept[VS_CACHED_V], &attention));
    }
fail:
    return status;
}

/* x += m2 * ((local + gamma * global) Wo + bo). With keep, only what later chunks read is made of
 * the last layer, whose output nobody uses. */
static enum vs_status self_attention(const struct pass *pass, size_t layer, bool output)
{
    struct vs_rollout *r = pass->rollout;
    enum vs_status status = VS_OK;
    VS_TRY(modulate(pass, modulation_at(pass, layer, 0), modulation_at(pass, layer, 1)));
    VS_TRY(project_self(pass, layer));
    if (pass->keep && r->hybrid)
        VS_TRY(write_gates(pass, layer));
    if (!output)
        return VS_OK;
    VS_TRY(attend(pass, layer));
    if (vs_rollout_reads_state(r))
        VS_TRY(read_state(pass, layer));
    VS_TRY(add_gated(pass, vs_span_of(r->attended), &pass->block->self.o,
                     modulation_at(pass, layer, 2)));
fail:
    return status;
}

/* x += attention(norm3(x), text) Wo + bo */
static enum vs_status cross_attention(const struct pass *pass, size_t layer)
{
    struct vs_rollout *r = pass->rollout;
    const struct vs_config *config = pass->config;
    const struct vs_block_params *block = pass->block;
    enum vs_status status = VS_OK;
    struct vs_layernorm norm = {
        .n_rows = pass->n_tokens, .n_channels = config->dim, .eps = config->eps};
    struct vs_attention attention = {.n_queries = pass->n_tokens,
                                     .n_keys = config->text_len,
                                     .n_heads = config->n_heads,
                                     .head_dim = pass->head_dim,
                                     .scale = vs_attention_scale(pass->head_dim)};
    VS_TRY(vs_layernorm_run(pass->context, vs_span_of(r->h), vs_span_of(r->x), block->norm3_bias,
                            block->norm3_weight, &norm));
    VS_TRY(vs_dit_affine(pass->dit, r->q, vs_span_of(r->h), pass->n_tokens, &block->cross.q,
                         VS_EPILOGUE_NONE));
    VS_TRY(rms(pass, r->q, block->cross.norm_q));
    VS_TRY(vs_attention_run(pass->context, vs_span_of(r->attended), vs_span_of(r->q),
                            vs_span_of(r->cross_k[layer]), vs_span_of(r->cross_v[layer]),
                            &attention));
    VS_TRY(add_gated(pass, vs_span_of(r->attended), &block->cross.o, (struct vs_span){0}));
fail:
    return status;
}

/* x += m5 * ffn(LN(x) (1 + m4) + m3) */
static enum vs_status feed_forward(const struct pass *pass, size_t layer)
{
    struct vs_rollout *r = pass->rollout;
    const struct vs_block_params *block = pass->block;
    enum vs_status status = VS_OK;
    VS_TRY(modulate(pass, modulation_at(pass, layer, 3), modulation_at(pass, layer, 4)));
    VS_TRY(vs_dit_affine(pass->dit, r->hidden, vs_span_of(r->h), pass->n_tokens, &block->ffn_in,
                         VS_EPILOGUE_GELU));
    VS_TRY(add_gated(pass, vs_span_of(r->hidden), &block->ffn_out, modulation_at(pass, layer, 5)));
fail:
    return status;
}

static enum vs_status embed_patches(const struct pass *pass, struct vs_span latents)
{
    struct vs_rollout *r = pass->rollout;
    enum vs_status status = VS_OK;
    VS_TRY(vs_patchify_run(pass->context, vs_span_of(r->tokens), latents, r->cache->n_coming,
                           pass->config->n_channels, r->cache->shape.grid_rows,
                           r->cache->shape.grid_columns));
    VS_TRY(vs_dit_affine(pass->dit, r->x, vs_span_of(r->tokens), pass->n_tokens,
                         &pass->dit->params.patch, VS_EPILOGUE_NONE));
fail:
    return status;
}

static enum vs_status head(const struct pass *pass, struct vs_span flow)
{
    struct vs_rollout *r = pass->rollout;
    enum vs_status status = VS_OK;
    VS_TRY(modulate(pass, modulation_at(pass, pass->config->n_layers, 0),
                    modulation_at(pass, pass->config->n_layers, 1)));
    VS_TRY(vs_dit_affine(pass->dit, r->tokens, vs_span_of(r->h), pass->n_tokens,
                         &pass->dit->params.head, VS_EPILOGUE_NONE));
    VS_TRY(vs_unpatchify_run(pass->context, flow, vs_span_of(r->tokens), r->cache->n_coming,
                             pass->config->n_channels, r->cache->shape.grid_rows,
                             r->cache->shape.grid_columns));
fail:
    return status;
}

/* output: as of self_attention(). */
static enum vs_status run_block(const struct pass *pass, size_t layer, bool output)
{
    enum vs_status status = VS_OK;
    struct vs_rollout *r = pass->rollout;
    VS_TRY(self_attention(pass, layer, output));
    if (!output)
        return VS_OK;
    VS_TRY(tap(pass, layer, r->tap.self));
    VS_TRY(cross_attention(pass, layer));
    VS_TRY(tap(pass, layer, r->tap.cross));
    VS_TRY(feed_forward(pass, layer));
    VS_TRY(tap(pass, layer, r->tap.out));
fail:
    return status;
}

enum vs_status vs_rollout_pass(struct vs_rollout *r, struct vs_span flow, struct vs_span latents,
                               float timestep, bool keep)
{
    enum vs_status status = VS_OK;
    const struct vs_config *config = &r->dit->config;
    struct pass pass = {.rollout = r,
                        .dit = r->dit,
                        .config = config,
                        .context = r->dit->context,
                        .n_tokens = r->cache->n_coming * r->frame_tokens,
                        .head_dim = config->dim / config->n_heads,
                        .keep = keep};
    /* Passes of a KV recache come before the chunk's and share its first row of flags. */
    size_t first_flag = r->n_passes * (config->n_layers + 1);
    VS_TRY(vs_dit_modulation(&pass.modulation, r, timestep));
    VS_TRY(embed_patches(&pass, latents));
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        VS_TRY(vs_dit_block_begin(&pass.block, r->dit, layer));
        VS_TRY(run_block(&pass, layer, !keep || layer + 1 < config->n_layers));
        VS_TRY(vs_dit_block_end(r->dit));
        if (!keep || layer + 1 < config->n_layers)
            VS_TRY(vs_check_finite_run(pass.context, r->finite, first_flag + layer,
                                       vs_span_of(r->x), pass.n_tokens * config->dim));
    }
    if (!keep) {
        VS_TRY(head(&pass, flow));
        VS_TRY(vs_check_finite_run(pass.context, r->finite, first_flag + config->n_layers, flow,
                                   r->cache->n_coming * r->latent_size));
    }
fail:
    return status;
}
