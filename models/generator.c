/* SPDX-License-Identifier: Apache-2.0
 *
 * generator.c - from prompts to decoded chunks: encodes the texts, then for each chunk noise,
 * denoising, clean pass, decoding. A chunk is decoded while the next is denoised, and everything is
 * allocated by vs_generator_create(); but with offloading one is done after the other, and the
 * device's memory goes from one to the other. */
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/scratch.h"
#include "kernels/pixels/pixels.h"
#include "models/generator.h"
#include "models/scheduler.h"

/* ---- Progress ----------------------------------------------------------------------------- */

static bool report(const struct vs_generator *g, enum vs_stage stage, size_t done, size_t total)
{
    struct vs_progress progress = {.stage = stage,
                                   .done = done,
                                   .total = total,
                                   .chunk = g->next_chunk,
                                   .n_chunks = g->info.n_chunks};
    return !g->options.progress || g->options.progress(&progress, g->options.user);
}

static bool text_progress(size_t done, size_t total, void *user)
{
    return report(user, VS_STAGE_ENCODE, done, total);
}

/* ---- Preparation -------------------------------------------------------------------------- */

static enum vs_status encode_texts(struct vs_generator *g, const struct vs_prompt *prompts,
                                   size_t n_prompts)
{
    const struct vs_config *config = &g->model->config;
    enum vs_status status = VS_OK;
    struct vs_umt5_text *inputs = vs_alloc(n_prompts, sizeof *inputs);
    int32_t *ids = vs_alloc(n_prompts * config->text_len, sizeof *ids);
    g->texts = vs_alloc(n_prompts, sizeof *g->texts);
    if (!inputs || !ids || !g->texts) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    g->n_texts = n_prompts;
    for (size_t i = 0; i < n_prompts; i++) {
        struct vs_text *text = g->texts + i;
        int32_t *own = ids + i * config->text_len;
        VS_TRY(vs_tokenizer_encode(g->model->tokenizer, prompts[i].text, config->text_len, own,
                                   &text->n_rows));
        text->seconds = prompts[i].seconds;
        text->rows = vs_alloc(text->n_rows * config->text_dim, sizeof *text->rows);
        if (!text->rows) {
            status = VS_ERROR_MEMORY;
            goto fail;
        }
        inputs[i] =
            (struct vs_umt5_text){.ids = own, .n_ids = text->n_rows, .out = text->rows};
    }
    vs_context_charge(g->context, VS_USE_TEXT);
    VS_TRY(vs_umt5_encode(g->context, g->model->text_encoder, inputs, n_prompts, text_progress, g));
    vs_scratch_free(g->context); /* the transformer is in want of less */
fail:
    free(inputs);
    free(ids);
    return status;
}

static enum vs_status create_networks(struct vs_generator *g)
{
    const struct vs_config *config = &g->model->config;
    enum vs_status status = VS_OK;
    size_t chunk = config->frames_per_chunk;
    struct vs_rollout_shape shape = {.height = g->info.height / VS_VAE_SCALE,
                                     .width = g->info.width / VS_VAE_SCALE,
                                     .memory = g->info.memory,
                                     .window = g->info.window,
                                     .sink = g->info.sink,
                                     .n_frames = g->info.n_chunks * chunk,
                                     .horizon = g->info.horizon,
                                     .kv = g->info.kv == VS_KV_F16 ? VS_F16 : VS_F32};
    struct vs_vae_stream_options decode = {.direction = VS_VAE_DECODE,
                                           .n_latent_frames = chunk,
                                           .height = shape.height,
                                           .width = shape.width};
    vs_context_charge(g->context, VS_USE_WEIGHTS);
    VS_TRY(vs_dit_create(&g->dit, g->context, g->model->dit, config, g->options.offload));
    vs_context_charge(g->context, VS_USE_VAE_WEIGHTS);
    VS_TRY(vs_vae_create(&g->vae, g->context, g->model->vae, VS_VAE_DECODE));
    vs_context_charge(g->context, VS_USE_VAE);
    VS_TRY(vs_vae_stream_create(&g->decoder, g->vae, &decode));
    if (g->options.offload)
        VS_TRY(vs_vae_stream_rest(g->decoder));
    VS_TRY(vs_rollout_create(&g->rollout, g->dit, &shape));
fail:
    return status;
}

static enum vs_status create_buffers(struct vs_generator *g)
{
    const struct vs_config *config = &g->model->config;
    enum vs_status status = VS_OK;
    size_t n_latents = config->frames_per_chunk * g->rollout->latent_size;
    size_t frame_bytes = 3 * g->info.width * g->info.height;
    size_t rgb_bytes = VS_VAE_RATE * config->frames_per_chunk * frame_bytes;
    VS_TRY(vs_schedule(g->sigma, g->timestep, config->steps, config->n_steps,
                       config->timestep_shift));
    VS_TRY(vs_noise_create(&g->noise, g->options.noise, g->options.seed, g->info.n_chunks,
                           config->n_steps, n_latents));
    VS_TRY(vs_buffer_create(&g->latents, g->context, n_latents * sizeof(float)));
    VS_TRY(vs_buffer_create(&g->bytes, g->context, rgb_bytes));
    g->host_noise = vs_alloc(config->n_steps * n_latents, sizeof *g->host_noise);
    g->host_latents = vs_alloc(n_latents, sizeof *g->host_latents);
    g->host_rgb = vs_alloc(rgb_bytes, 1);
    if (!g->host_noise || !g->host_latents || !g->host_rgb)
        status = VS_ERROR_MEMORY;
fail:
    return status;
}

enum vs_status vs_generator_turn(struct vs_generator *g, bool to_decoding)
{
    enum vs_status status = VS_OK;
    if (!g->options.offload)
        return VS_OK;
    if (to_decoding) {
        VS_TRY(vs_rollout_rest(g->rollout));
        VS_TRY(vs_vae_stream_wake(g->decoder));
    } else {
        VS_TRY(vs_vae_stream_rest(g->decoder));
        VS_TRY(vs_rollout_wake(g->rollout));
    }
fail:
    return status;
}

/* Every kernel of the loop is built before it starts, so that a chunk allocates nothing and the
 * first is no slower than the rest: the loop is gone through, dry, until frames have left the
 * window and the text has changed. */
static enum vs_status rehearse(struct vs_generator *g)
{
    const struct vs_config *config = &g->model->config;
    struct vs_cache *cache = g->rollout->cache;
    enum vs_status status = VS_OK;
    struct vs_span frames;
    int64_t numbers[256];
    size_t n_frames, chunk = config->frames_per_chunk;
    bool evicts = cache->shape.n_slots < g->info.n_chunks * chunk;
    size_t n_chunks = evicts ? cache->shape.n_slots / chunk + 2 : 2;
    if (n_chunks > g->info.n_chunks)
        n_chunks = g->info.n_chunks;
    vs_context_set_dry(g->context, true);
    vs_context_charge(g->context, VS_USE_ACTIVATIONS); /* scratch of other providers */
    for (size_t i = 0; i < n_chunks; i++) {
        VS_TRY(vs_rollout_set_text(g->rollout, NULL, 0));
        for (size_t j = 0; j < chunk; j++)
            numbers[j] = (int64_t)(i * chunk + j);
        VS_TRY(vs_rollout_begin(g->rollout, numbers, chunk));
        VS_TRY(vs_rollout_denoise(g->rollout, g->sigma, g->timestep, NULL));
    }
    VS_TRY(vs_generator_turn(g, true));
    vs_context_select(g->context, VS_QUEUE_SIDE); /* whose scratch it is, see decode() */
    vs_context_charge(g->context, VS_USE_VAE);
    for (int i = 0; i < 2; i++)
        VS_TRY(vs_vae_decode(g->decoder, vs_span_of(g->latents), chunk, &frames, &n_frames));
    VS_TRY(vs_bytes_run(g->context, g->bytes, 0, frames, 1));
    vs_context_select(g->context, VS_QUEUE_MAIN);
    VS_TRY(vs_generator_turn(g, false));
fail:
    vs_context_select(g->context, VS_QUEUE_MAIN);
    vs_context_set_dry(g->context, false);
    vs_vae_stream_reset(g->decoder);
    if (status == VS_OK)
        status = vs_cache_reset(cache);
    return status;
}

enum vs_status vs_generator_create(struct vs_generator **out, struct vs_context *context,
                                   const struct vs_model *model,
                                   const struct vs_generate_options *options)
{
    enum vs_status status = VS_OK;
    struct vs_generator *g = vs_alloc(1, sizeof *g);
    *out = NULL;
    if (!g)
        return VS_ERROR_MEMORY;
    g->context = context;
    g->model = model;
    g->options = *options;
    VS_TRY(vs_video_plan(&g->info, model, options));
    if (!options->unsafe)
        VS_TRY(vs_context_selftest(context));
    vs_context_set_precision(context, g->info.precision);
    VS_TRY(encode_texts(g, options->prompts, options->n_prompts));
    g->text_in_force = g->n_texts;
    /* The texts are copied; what was given may go. */
    g->options.prompts = NULL;
    g->options.n_prompts = 0;
    if (!report(g, VS_STAGE_LOAD, 0, 1)) {
        status = vs_fail(VS_ERROR_INTERRUPTED, "stopped on request");
        goto fail;
    }
    VS_TRY(create_networks(g));
    VS_TRY(create_buffers(g));
    VS_TRY(rehearse(g));
    VS_TRY(vs_context_finish(context));
    report(g, VS_STAGE_LOAD, 1, 1);
    *out = g;
    return VS_OK;
fail:
    vs_generator_free(g);
    return status;
}

void vs_generator_free(struct vs_generator *g)
{
    if (!g)
        return;
    for (size_t i = 0; i <= VS_MAX_STEPS; i++)
        vs_fence_clear(g->passes + i);
    for (size_t i = 0; g->texts && i < g->n_texts; i++)
        free(g->texts[i].rows);
    free(g->texts);
    vs_vae_stream_free(g->decoder);
    vs_vae_free(g->vae);
    vs_rollout_free(g->rollout);
    vs_dit_free(g->dit);
    vs_noise_free(g->noise);
    vs_scratch_free(g->context);
    vs_buffer_free(g->latents);
    vs_buffer_free(g->bytes);
    free(g->host_noise);
    free(g->host_latents);
    free(g->host_rgb);
    free(g);
}

const struct vs_video_info *vs_generator_info(const struct vs_generator *g)
{
    return &g->info;
}

/* ---- The loop over chunks ----------------------------------------------------------------- */

/* Number of a chunk's first video frame. */
static size_t first_frame(const struct vs_generator *g, size_t chunk)
{
    return chunk ? VS_VAE_RATE * g->model->config.frames_per_chunk * chunk - (VS_VAE_RATE - 1) : 0;
}

enum vs_status vs_generator_settle_text(struct vs_generator *g, size_t chunk)
{
    size_t due = 0;
    double begin = (double)first_frame(g, chunk);
    while (due + 1 < g->n_texts && g->texts[due + 1].seconds * g->info.fps <= begin)
        due++;
    if (due == g->text_in_force)
        return VS_OK;
    g->text_in_force = due;
    return vs_rollout_set_text(g->rollout, g->texts[due].rows, g->texts[due].n_rows);
}

/* The text and the memory as the chunk finds them. */
static enum vs_status begin_chunk(struct vs_generator *g, size_t index)
{
    enum vs_status status = VS_OK;
    size_t chunk = g->model->config.frames_per_chunk;
    int64_t frames[256];
    for (size_t i = 0; i < chunk; i++)
        frames[i] = (int64_t)(index * chunk + i);
    VS_TRY(vs_generator_turn(g, false));
    VS_TRY(vs_generator_settle_text(g, index));
    VS_TRY(vs_rollout_begin(g->rollout, frames, chunk));
fail:
    return status;
}

/* Enqueues all passes of a chunk. A fault is that of the chunk, not of the one before it. */
static void begin_denoising(struct vs_generator *g, size_t index)
{
    const struct vs_config *config = &g->model->config;
    enum vs_status status = VS_OK;
    size_t n = config->frames_per_chunk * g->rollout->latent_size;
    for (size_t step = 0; step < config->n_steps; step++)
        vs_noise_get(g->noise, index, step, g->host_noise + step * n);
    VS_TRY(begin_chunk(g, index));
    VS_TRY(vs_buffer_write(g->rollout->noise, 0, g->host_noise,
                           config->n_steps * n * sizeof *g->host_noise));
    VS_TRY(vs_rollout_denoise(g->rollout, g->sigma, g->timestep, g->passes));
fail:
    g->denoising = true;
    g->denoise_status = status;
}

/* Waits for the passes, one by one, and fetches the latents. */
static enum vs_status end_denoising(struct vs_generator *g)
{
    const struct vs_config *config = &g->model->config;
    enum vs_status status = g->denoise_status;
    size_t n = config->frames_per_chunk * g->rollout->latent_size;
    g->denoising = false;
    VS_TRY(status);
    for (size_t pass = 0; pass <= config->n_steps; pass++) {
        VS_TRY(vs_fence_wait(g->passes + pass));
        if (!report(g, VS_STAGE_DENOISE, pass + 1, config->n_steps + 1))
            return vs_fail(VS_ERROR_INTERRUPTED, "stopped on request");
    }
    VS_TRY(vs_rollout_check_finite(g->rollout, g->next_chunk));
    VS_TRY(vs_buffer_read(g->rollout->x0, 0, g->host_latents, n * sizeof *g->host_latents));
    g->n_settled = g->next_chunk + 1;
    if (g->options.settled)
        VS_TRY(g->options.settled(g, g->next_chunk, g->host_latents, g->options.user));
fail:
    return status;
}

/* Decodes a chunk; runs beside the passes of the next one, so the latents come from the host. */
static enum vs_status decode(struct vs_generator *g, size_t index, const float *latents,
                             size_t *n_frames)
{
    enum vs_status status = VS_OK;
    struct vs_span frames;
    if (index != g->next_decoded) {
        vs_vae_stream_reset(g->decoder);
        g->first_decoded = index;
    }
    g->next_decoded = index + 1;
    size_t frame_bytes = 3 * g->info.width * g->info.height;
    VS_TRY(vs_generator_turn(g, true));
    vs_context_select(g->context, VS_QUEUE_SIDE);
    VS_TRY(vs_buffer_write(g->latents, 0, latents, vs_buffer_bytes(g->latents)));
    status = vs_vae_decode(g->decoder, vs_span_of(g->latents), g->model->config.frames_per_chunk,
                           &frames, n_frames);
    if (status == VS_ERROR_NONFINITE)
        status = vs_fail_in(status, "chunk %zu", index);
    if (status != VS_OK)
        goto fail;
    VS_TRY(vs_bytes_run(g->context, g->bytes, 0, frames, *n_frames * frame_bytes));
    VS_TRY(vs_buffer_read(g->bytes, 0, g->host_rgb, *n_frames * frame_bytes));
fail:
    vs_context_select(g->context, VS_QUEUE_MAIN);
    return status;
}

/* Whether the decoder has seen all that the frames of the chunk depend on. */
static bool frames_are_right(const struct vs_generator *g, size_t index)
{
    size_t n_seen = (index - g->first_decoded) * g->model->config.frames_per_chunk;
    return !g->first_decoded || n_seen >= VS_VAE_HISTORY;
}

static struct vs_chunk make_chunk(const struct vs_generator *g, size_t index,
                                  const float *latents, size_t n_frames)
{
    size_t first = first_frame(g, index), wanted = g->info.n_frames - first;
    return (struct vs_chunk){.index = index,
                             .first_frame = first,
                             .n_frames = n_frames < wanted ? n_frames : wanted,
                             .rgb = g->host_rgb,
                             .n_latent_frames = g->model->config.frames_per_chunk,
                             .latents = latents};
}

void vs_generator_stop(struct vs_generator *g)
{
    g->stopping = true;
}

enum vs_status vs_generator_next(struct vs_generator *g, struct vs_chunk *chunk)
{
    enum vs_status status = VS_OK;
    size_t n_frames;
    memset(chunk, 0, sizeof *chunk);
    if (!g->denoising) {
        if (g->next_chunk == g->info.n_chunks || g->stopping)
            return VS_OK;
        begin_denoising(g, g->next_chunk);
    }
    VS_TRY(end_denoising(g));
    report(g, VS_STAGE_DECODE, 0, 1);
    if (g->next_chunk + 1 < g->info.n_chunks && !g->stopping && !g->options.offload)
        begin_denoising(g, g->next_chunk + 1);
    if (g->next_chunk != g->next_decoded || !frames_are_right(g, g->next_chunk))
        return vs_fail(VS_ERROR_USAGE, "chunk %zu cannot be decoded: the chunks before it were not",
                       g->next_chunk);
    VS_TRY(decode(g, g->next_chunk, g->host_latents, &n_frames));
    report(g, VS_STAGE_DECODE, 1, 1);
    *chunk = make_chunk(g, g->next_chunk, g->host_latents, n_frames);
    g->next_chunk++;
fail:
    return status;
}

/* ---- With latents from before ------------------------------------------------------------- */

enum vs_status vs_generator_remember(struct vs_generator *g, const float *latents)
{
    enum vs_status status = VS_OK;
    size_t index = g->next_chunk;
    if (g->denoising || index == g->info.n_chunks)
        return vs_fail(VS_ERROR_USAGE, "chunk %zu cannot be taken from before: %s", index,
                       g->denoising ? "it is being made" : "the video is complete");
    VS_TRY(begin_chunk(g, index));
    VS_TRY(vs_buffer_write(g->rollout->x0, 0, latents, vs_buffer_bytes(g->rollout->x0)));
    VS_TRY(vs_rollout_finish(g->rollout));
    VS_TRY(vs_rollout_check_finite(g->rollout, index));
    g->n_settled = g->next_chunk = index + 1;
fail:
    return status;
}

enum vs_status vs_generator_decode(struct vs_generator *g, size_t index, const float *latents,
                                   struct vs_chunk *chunk)
{
    enum vs_status status = VS_OK;
    size_t n_frames;
    memset(chunk, 0, sizeof *chunk);
    if (index >= g->info.n_chunks)
        return vs_fail(VS_ERROR_USAGE, "the video has no chunk %zu", index);
    VS_TRY(decode(g, index, latents, &n_frames));
    *chunk = make_chunk(g, index, latents, frames_are_right(g, index) ? n_frames : 0);
fail:
    return status;
}
