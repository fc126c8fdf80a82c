/* SPDX-License-Identifier: Apache-2.0
 *
 * rollout.c - what surrounds the passes of a video: memory, text, timesteps, chunks, sampler. */
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "kernels/common/math64.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"
#include "kernels/pointwise/pointwise.h"
#include "models/dit_math.h"
#include "models/scheduler.h"

/* ---- Memory ------------------------------------------------------------------------------- */

static enum vs_status create_cache(struct vs_rollout *r)
{
    const struct vs_config *config = &r->dit->config;
    const struct vs_rollout_shape *shape = &r->shape;
    struct vs_cache_shape cache = {.n_layers = config->n_layers,
                                   .n_heads = config->n_heads,
                                   .head_dim = config->dim / config->n_heads,
                                   .grid_rows = shape->height / 2,
                                   .grid_columns = shape->width / 2,
                                   .n_slots = shape->window,
                                   .sink = shape->sink,
                                   .chunk = config->frames_per_chunk,
                                   .latent_size = r->latent_size,
                                   .memory = r->hybrid,
                                   .alpha_width = config->alpha_width,
                                   .beta_width = config->beta_width,
                                   .memory_roped = config->memory_roped,
                                   .rope_relative = config->rope_relative,
                                   .kv = shape->kv};
    if (shape->memory == VS_MEMORY_FULL || !shape->window)
        cache.n_slots = shape->n_frames;
    if (shape->memory == VS_MEMORY_FULL || shape->memory == VS_MEMORY_WINDOW)
        cache.sink = 0;
    return vs_cache_create(&r->cache, r->dit->context, &cache);
}

static enum vs_status create_buffers(struct vs_rollout *r)
{
    const struct vs_config *config = &r->dit->config;
    struct vs_context *context = r->dit->context;
    enum vs_status status = VS_OK;
    size_t c = config->frames_per_chunk, tokens = c * r->frame_tokens, d = config->dim;
    size_t latents = c * r->latent_size;
    struct vs_rope_shape table = {.head_dim = d / config->n_heads,
                                  .n_frames = c,
                                  .grid_rows = r->shape.height / 2,
                                  .grid_columns = r->shape.width / 2};
    size_t n_table = vs_rope_table_size(&table);
    size_t n_memory = r->hybrid ? tokens : 0;
    const struct {
        struct vs_buffer **buffer;
        size_t n;
    } wanted[] = {
        {&r->text, config->text_len * config->text_dim},
        {&r->text_hidden, config->text_len * d},
        {&r->text_embedded, config->text_len * d},
        {&r->gamma, r->hybrid ? config->n_layers * c * d : 0},
        {&r->log_rho, c},
        {&r->rope_table, n_table},
        {&r->absolute_table, config->memory_roped ? n_table : 0},
        {&r->x, tokens * d},
        {&r->h, tokens * d},
        {&r->q, tokens * d},
        {&r->k, tokens * d},
        {&r->v, tokens * d},
        {&r->turned, tokens * d},
        {&r->attended, tokens * d},
        {&r->hidden, tokens * config->ffn_dim},
        {&r->query, n_memory * d},
        {&r->gate, n_memory * d},
        {&r->beta, n_memory * config->beta_width},
        {&r->alpha, n_memory * config->alpha_width},
        {&r->tokens, tokens * 4 * config->n_channels},
        {&r->latents, latents},
        {&r->flow, latents},
        {&r->x0, latents},
        {&r->noise, config->n_steps * latents},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        VS_TRY(vs_floats_create(wanted[i].buffer, context, NULL, wanted[i].n));
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        VS_TRY(vs_floats_create(r->cross_k + layer, context, NULL, config->text_len * d));
        VS_TRY(vs_floats_create(r->cross_v + layer, context, NULL, config->text_len * d));
    }
    size_t n_flags = (config->n_steps + 1) * (config->n_layers + 1);
    size_t finite_bytes = n_flags * sizeof *r->host_finite;
    VS_TRY(vs_buffer_create(&r->finite, context, finite_bytes));
    VS_TRY(vs_buffer_zero(r->finite, 0, finite_bytes));
    r->host_finite = vs_alloc(n_flags, sizeof *r->host_finite);
    r->host_table = vs_alloc(n_table, sizeof *r->host_table);
    if (!r->host_table || !r->host_finite)
        status = VS_ERROR_MEMORY;
fail:
    return status;
}

/* Makes the modulation of every timestep that the loop will ask for. */
static enum vs_status create_modulations(struct vs_rollout *r)
{
    const struct vs_config *config = &r->dit->config;
    float sigma[VS_MAX_STEPS], timestep[VS_MAX_STEPS];
    const struct vs_buffer *made;
    enum vs_status status = VS_OK;
    VS_TRY(vs_schedule(sigma, timestep, config->steps, config->n_steps, config->timestep_shift));
    for (size_t i = 0; i < config->n_steps; i++)
        VS_TRY(vs_dit_modulation(&made, r, timestep[i]));
    VS_TRY(vs_dit_modulation(&made, r, (float)config->context_noise));
fail:
    return status;
}

enum vs_status vs_rollout_create(struct vs_rollout **out, struct vs_dit *dit,
                                 const struct vs_rollout_shape *shape)
{
    enum vs_status status = VS_OK;
    const struct vs_config *config = &dit->config;
    struct vs_rollout *r = vs_alloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return VS_ERROR_MEMORY;
    r->dit = dit;
    r->shape = *shape;
    r->frame_tokens = shape->height / 2 * (shape->width / 2);
    r->latent_size = config->n_channels * shape->height * shape->width;
    r->hybrid = shape->memory == VS_MEMORY_HYBRID && config->alpha_width;
    r->cross_k = vs_alloc(config->n_layers, sizeof *r->cross_k);
    r->cross_v = vs_alloc(config->n_layers, sizeof *r->cross_v);
    if (!r->cross_k || !r->cross_v) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(create_cache(r));
    vs_context_charge(dit->context, VS_USE_ACTIVATIONS);
    VS_TRY(create_buffers(r));
    VS_TRY(create_modulations(r));
    *out = r;
    return VS_OK;
fail:
    vs_rollout_free(r);
    return status;
}

void vs_rollout_free(struct vs_rollout *r)
{
    if (!r)
        return;
    struct vs_buffer *buffers[] = {
        r->text,   r->text_hidden, r->text_embedded, r->gamma,  r->log_rho, r->rope_table,
        r->absolute_table, r->x,   r->h,             r->q,      r->k,       r->v,
        r->turned, r->attended,    r->hidden,        r->query,  r->gate,    r->beta,
        r->alpha,  r->tokens,      r->latents,       r->flow,   r->x0,      r->noise,
        r->finite};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        vs_buffer_free(buffers[i]);
    for (size_t layer = 0; layer < r->dit->config.n_layers; layer++) {
        if (r->cross_k)
            vs_buffer_free(r->cross_k[layer]);
        if (r->cross_v)
            vs_buffer_free(r->cross_v[layer]);
    }
    for (size_t i = 0; i < r->n_modulations; i++)
        vs_buffer_free(r->modulations[i].buffer);
    for (size_t step = 0; step <= r->dit->config.n_steps; step++)
        vs_recording_clear(&r->recorded[step].recording);
    vs_cache_free(r->cache);
    free(r->cross_k);
    free(r->cross_v);
    free(r->host_table);
    free(r->host_finite);
    free(r);
}

enum { N_WORK = 10 };

/* What a pass fills before it reads it. */
static void list_work(struct vs_buffer *work[N_WORK], const struct vs_rollout *r)
{
    struct vs_buffer *const all[N_WORK] = {r->x,      r->h,        r->q,      r->k,     r->v,
                                           r->turned, r->attended, r->hidden, r->query, r->gate};
    memcpy(work, all, sizeof all);
}

enum vs_status vs_rollout_rest(struct vs_rollout *r)
{
    enum vs_status status = VS_OK;
    struct vs_buffer *work[N_WORK];
    list_work(work, r);
    for (size_t i = 0; i < N_WORK; i++)
        VS_TRY(vs_buffer_rest(work[i], false));
    for (size_t layer = 0; layer < r->dit->config.n_layers; layer++) {
        VS_TRY(vs_buffer_rest(r->cross_k[layer], true));
        VS_TRY(vs_buffer_rest(r->cross_v[layer], true));
    }
    VS_TRY(vs_cache_rest(r->cache));
fail:
    return status;
}

enum vs_status vs_rollout_wake(struct vs_rollout *r)
{
    enum vs_status status = VS_OK;
    struct vs_buffer *work[N_WORK];
    list_work(work, r);
    for (size_t i = 0; i < N_WORK; i++)
        VS_TRY(vs_buffer_wake(work[i]));
    for (size_t layer = 0; layer < r->dit->config.n_layers; layer++) {
        VS_TRY(vs_buffer_wake(r->cross_k[layer]));
        VS_TRY(vs_buffer_wake(r->cross_v[layer]));
    }
    VS_TRY(vs_cache_wake(r->cache));
fail:
    return status;
}

/* ---- Timesteps ---------------------------------------------------------------------------- */

/* temb = time_out(silu(time_in(features))), mod = time_projection(silu(temb)); every layer's
 * vectors are modulation + mod, the head's are its modulation + temb. */
static enum vs_status make_modulation(struct vs_modulation *made, struct vs_rollout *r)
{
    const struct vs_dit *dit = r->dit;
    const struct vs_config *config = &dit->config;
    struct vs_context *context = dit->context;
    size_t d = config->dim, n = (6 * config->n_layers + 2) * d;
    enum vs_status status = VS_OK;
    struct vs_buffer *scratch = NULL;
    float *features = vs_alloc(config->freq_dim, sizeof *features);
    if (!features)
        return VS_ERROR_MEMORY;
    /* scratch: features, hidden [d], temb [d], silu(temb) [d], mod [6 d] */
    VS_TRY(vs_floats_create(&scratch, context, NULL, config->freq_dim + 9 * d));
    VS_TRY(vs_floats_create(&made->buffer, context, NULL, n));
    vs_time_features(features, (double)made->timestep, config->freq_dim);
    VS_TRY(vs_buffer_write(scratch, 0, features, config->freq_dim * sizeof *features));
    struct vs_span in = vs_span_of(scratch), hidden = vs_span_at(scratch, config->freq_dim);
    struct vs_span temb = vs_span_at(scratch, hidden.offset + d);
    struct vs_span active = vs_span_at(scratch, temb.offset + d);
    struct vs_span mod = vs_span_at(scratch, active.offset + d);
    struct vs_linear time_in = {.weight = &dit->params.time_in.weight,
                                .bias = dit->params.time_in.bias,
                                .epilogue = VS_EPILOGUE_SILU};
    struct vs_linear time_out = {.weight = &dit->params.time_out.weight,
                                 .bias = dit->params.time_out.bias};
    struct vs_linear projection = {.weight = &dit->params.time_projection.weight,
                                   .bias = dit->params.time_projection.bias};
    VS_TRY(vs_linear_run(context, hidden, in, 1, &time_in));
    VS_TRY(vs_linear_run(context, temb, hidden, 1, &time_out));
    VS_TRY(vs_activation_run(context, active, temb, d, VS_SILU));
    VS_TRY(vs_linear_run(context, mod, active, 1, &projection));
    for (size_t layer = 0; layer < config->n_layers; layer++)
        VS_TRY(vs_add_run(context, vs_span_at(made->buffer, layer * 6 * d),
                          dit->params.blocks[layer].modulation, mod, 6 * d, 6 * d));
    VS_TRY(vs_add_run(context, vs_span_at(made->buffer, config->n_layers * 6 * d),
                      dit->params.head_modulation, temb, 2 * d, d));
    VS_TRY(vs_context_finish(context));
fail:
    free(features);
    vs_buffer_free(scratch);
    return status;
}

enum vs_status vs_dit_modulation(const struct vs_buffer **modulation, struct vs_rollout *r,
                                 float timestep)
{
    for (size_t i = 0; i < r->n_modulations; i++)
        if (r->modulations[i].timestep == timestep) {
            *modulation = r->modulations[i].buffer;
            return VS_OK;
        }
    if (r->n_modulations == VS_MAX_MODULATIONS)
        return vs_fail(VS_ERROR_RUNTIME, "too many different timesteps in one run");
    struct vs_modulation *made = r->modulations + r->n_modulations++;
    made->timestep = timestep;
    enum vs_status status = make_modulation(made, r);
    *modulation = made->buffer;
    return status;
}

/* ---- Chunks ------------------------------------------------------------------------------- */

static enum vs_status upload_rope_table(struct vs_rollout *r, const struct vs_buffer *buffer,
                                        const struct vs_rope_shape *shape,
                                        const int64_t *positions)
{
    vs_rope_table_fill(r->host_table, shape, positions, false);
    return vs_buffer_write(buffer, 0, r->host_table,
                           vs_rope_table_size(shape) * sizeof *r->host_table);
}

/* RoPE tables and router values of the frames that the cache has just taken in. */
static enum vs_status prepare_frames(struct vs_rollout *r)
{
    const struct vs_config *config = &r->dit->config;
    struct vs_cache *cache = r->cache;
    enum vs_status status = VS_OK;
    size_t n = cache->n_coming;
    const int64_t *frames = cache->frames + cache->n_cached;
    struct vs_rope_shape shape = {.head_dim = config->dim / config->n_heads,
                                  .n_frames = n,
                                  .grid_rows = cache->shape.grid_rows,
                                  .grid_columns = cache->shape.grid_columns};
    for (size_t i = 0; i < n; i++)
        cache->positions[i] = vs_cache_position(cache, cache->n_cached + i);
    VS_TRY(upload_rope_table(r, r->rope_table, &shape, cache->positions));
    if (config->memory_roped)
        VS_TRY(upload_rope_table(r, r->absolute_table, &shape, frames));
    if (!r->hybrid || !cache->n_folded)
        return VS_OK;
    float log_rho[256];
    for (size_t i = 0; i < n; i++) {
        double rho = (double)(frames[i] + 1) / (double)r->shape.horizon;
        log_rho[i] = (float)vs_log64(rho < 1 ? rho : 1);
    }
    VS_TRY(vs_buffer_write(r->log_rho, 0, log_rho, n * sizeof *log_rho));
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        const struct vs_memory_params *params = &r->dit->params.blocks[layer].memory;
        VS_TRY(vs_router_run(
            r->dit->context,
            vs_span_at(r->gamma, layer * config->frames_per_chunk * config->dim),
            params->router_weight, params->router_bias, vs_span_of(r->log_rho), n, config->dim));
    }
fail:
    return status;
}

enum vs_status vs_rollout_begin(struct vs_rollout *r, const int64_t *frames, size_t n)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_cache_make_room(r->cache, n));
    VS_TRY(vs_cache_begin(r->cache, frames, n));
    VS_TRY(prepare_frames(r));
    VS_TRY(vs_buffer_zero(r->finite, 0, vs_buffer_bytes(r->finite)));
    r->n_passes = 0;
fail:
    return status;
}

/* Every finished frame runs again with the new text, in cache order, as blocks of frames that
 * came in one chunk; each attends to the blocks rewritten before it and to itself. */
static enum vs_status recache(struct vs_rollout *r)
{
    enum vs_status status = VS_OK;
    struct vs_cache *cache = r->cache;
    int64_t chunk = (int64_t)r->dit->config.frames_per_chunk;
    size_t n_frames = cache->n_cached, frame_bytes = r->latent_size * sizeof(float);
    vs_cache_rewind(cache);
    while (cache->n_cached < n_frames) {
        size_t first = cache->n_cached, n = 1;
        while (first + n < n_frames &&
               cache->frames[first + n] / chunk == cache->frames[first] / chunk)
            n++;
        VS_TRY(vs_cache_again(cache, n));
        VS_TRY(prepare_frames(r));
        for (size_t i = 0; i < n; i++)
            VS_TRY(vs_buffer_copy(r->latents, i * frame_bytes, cache->latents,
                                  (size_t)cache->order[first + i] * frame_bytes, frame_bytes));
        VS_TRY(vs_rollout_pass(r, (struct vs_span){0}, vs_span_of(r->latents),
                               (float)r->dit->config.context_noise, true));
        vs_cache_finish(cache);
    }
fail:
    return status;
}

enum vs_status vs_rollout_set_text(struct vs_rollout *r, const float *text, size_t n_rows)
{
    const struct vs_dit *dit = r->dit;
    const struct vs_config *config = &dit->config;
    enum vs_status status = VS_OK;
    size_t row_bytes = config->text_dim * sizeof *text;
    if (n_rows > config->text_len)
        return vs_fail(VS_ERROR_RUNTIME, "%zu rows of text where the model takes %zu", n_rows,
                       config->text_len);
    VS_TRY(vs_buffer_write(r->text, 0, text, n_rows * row_bytes));
    VS_TRY(vs_buffer_zero(r->text, n_rows * row_bytes, (config->text_len - n_rows) * row_bytes));
    VS_TRY(vs_dit_affine(dit, r->text_hidden, vs_span_of(r->text), config->text_len,
                         &dit->params.text_in, VS_EPILOGUE_GELU));
    VS_TRY(vs_dit_affine(dit, r->text_embedded, vs_span_of(r->text_hidden), config->text_len,
                         &dit->params.text_out, VS_EPILOGUE_NONE));
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        const struct vs_block_params *block;
        VS_TRY(vs_dit_block_begin(&block, dit, layer));
        const struct vs_attention_params *cross = &block->cross;
        struct vs_span embedded = vs_span_of(r->text_embedded), k = vs_span_of(r->cross_k[layer]);
        VS_TRY(vs_dit_affine(dit, r->cross_k[layer], embedded, config->text_len, &cross->k,
                             VS_EPILOGUE_NONE));
        VS_TRY(vs_rmsnorm_run(dit->context, k, k, cross->norm_k, config->text_len, config->dim,
                              config->eps));
        VS_TRY(vs_dit_affine(dit, r->cross_v[layer], embedded, config->text_len, &cross->v,
                             VS_EPILOGUE_NONE));
        VS_TRY(vs_dit_block_end(dit));
    }
    VS_TRY(recache(r));
fail:
    return status;
}

/* ---- Sampler ------------------------------------------------------------------------------ */

/* What the sampler's loop goes by: [n_steps] each. */
struct schedule {
    const float *sigma, *timestep;
};

/* The clean pass comes after the last step. */
static enum vs_status launch_step(struct vs_rollout *r, size_t step,
                                  const struct schedule *schedule)
{
    const struct vs_config *config = &r->dit->config;
    struct vs_context *context = r->dit->context;
    enum vs_status status = VS_OK;
    size_t n = r->cache->n_coming * r->latent_size;
    struct vs_span x0 = vs_span_of(r->x0), next = vs_span_of(r->latents);
    struct vs_span x = step ? next : vs_span_of(r->noise);
    if (step == config->n_steps)
        return vs_rollout_pass(r, (struct vs_span){0}, x0, (float)config->context_noise, true);
    VS_TRY(vs_rollout_pass(r, vs_span_of(r->flow), x, schedule->timestep[step], false));
    VS_TRY(vs_sampler_x0_run(context, x0, x, vs_span_of(r->flow), schedule->sigma[step], n));
    if (step + 1 < config->n_steps)
        VS_TRY(vs_sampler_renoise_run(context, next, x0, vs_span_at(r->noise, (step + 1) * n),
                                      schedule->sigma[step + 1], n));
fail:
    return status;
}

static bool is_recorded(const struct vs_rollout *r, const struct vs_recorded_step *recorded)
{
    return recorded->recording.context && recorded->n_cached == r->cache->n_cached &&
           recorded->n_coming == r->cache->n_coming &&
           recorded->reads_state == vs_rollout_reads_state(r) &&
           vs_recording_possible(r->dit->context);
}

/* Blocks that come from the host are waited for, and tapped values copied, between launches. */
static bool is_recordable(const struct vs_rollout *r)
{
    return vs_recording_possible(r->dit->context) && !r->dit->stream && !r->tap.self &&
           !r->tap.cross && !r->tap.out;
}

static enum vs_status run_step(struct vs_rollout *r, size_t step, const struct schedule *schedule)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = r->dit->context;
    struct vs_recorded_step *recorded = r->recorded + step;
    if (is_recorded(r, recorded))
        return vs_recording_run(&recorded->recording);
    if (!vs_context_is_dry(context) || !is_recordable(r))
        return launch_step(r, step, schedule);
    VS_TRY(vs_recording_begin(&recorded->recording, context));
    status = launch_step(r, step, schedule);
    vs_recording_end(&recorded->recording);
    recorded->n_cached = r->cache->n_cached;
    recorded->n_coming = r->cache->n_coming;
    recorded->reads_state = vs_rollout_reads_state(r);
fail:
    return status;
}

enum vs_status vs_rollout_finish(struct vs_rollout *r)
{
    enum vs_status status = VS_OK;
    VS_TRY(launch_step(r, r->dit->config.n_steps, NULL));
    VS_TRY(vs_cache_commit(r->cache, vs_span_of(r->x0)));
fail:
    return status;
}

enum vs_status vs_rollout_denoise(struct vs_rollout *r, const float *sigma, const float *timestep,
                                  struct vs_fence *fences)
{
    enum vs_status status = VS_OK;
    const struct schedule schedule = {sigma, timestep};
    for (size_t step = 0; step <= r->dit->config.n_steps; step++) {
        r->n_passes = step;
        VS_TRY(run_step(r, step, &schedule));
        if (fences)
            VS_TRY(vs_fence_set(fences + step, r->dit->context));
    }
    VS_TRY(vs_cache_commit(r->cache, vs_span_of(r->x0)));
fail:
    return status;
}

enum vs_status vs_rollout_check_finite(struct vs_rollout *r, size_t chunk)
{
    enum vs_status status = VS_OK;
    size_t n_flags = r->dit->config.n_layers + 1;
    VS_TRY(vs_buffer_read(r->finite, 0, r->host_finite, vs_buffer_bytes(r->finite)));
    for (size_t i = 0; i < (r->dit->config.n_steps + 1) * n_flags; i++) {
        if (!r->host_finite[i])
            continue;
        const char *remedy = "the weights are damaged, or overflow in this number format";
        if (i % n_flags == n_flags - 1)
            return vs_fail(VS_ERROR_NONFINITE,
                           "transformer head, chunk %zu: infinite or NaN values; %s", chunk,
                           remedy);
        return vs_fail(VS_ERROR_NONFINITE,
                       "transformer layer %zu, chunk %zu: infinite or NaN values; %s", i % n_flags,
                       chunk, remedy);
    }
fail:
    return status;
}
