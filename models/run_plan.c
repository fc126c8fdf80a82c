/* SPDX-License-Identifier: Apache-2.0
 *
 * run_plan.c - a run on paper. */
#include "models/run_plan.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/profile.h"
#include "models/generator.h"

const char *vs_use_name(enum vs_use use)
{
    static const char *const names[VS_N_USES] = {
        [VS_USE_TEXT] = "text encoder",      [VS_USE_WEIGHTS] = "weights",
        [VS_USE_KV] = "KV cache",            [VS_USE_STATE] = "memory state",
        [VS_USE_ACTIVATIONS] = "activations", [VS_USE_VAE_WEIGHTS] = "VAE weights",
        [VS_USE_VAE] = "VAE",                [VS_USE_OTHER] = "other"};
    return names[use];
}

/* ---- Work --------------------------------------------------------------------------------- */

/* total += factor * work; families are told by the folder of their source. */
static void add_work(struct vs_stage_work *total, const struct vs_stage_work *work, double factor)
{
    for (size_t i = 0; i < work->n_families; i++) {
        const struct vs_work *from = &work->families[i];
        size_t j = 0;
        while (j < total->n_families && strcmp(total->families[j].family, from->family) != 0)
            j++;
        if (j == VS_MAX_FAMILIES)
            continue;
        struct vs_work *to = &total->families[j];
        if (j == total->n_families) {
            memcpy(to->family, from->family, sizeof to->family);
            total->n_families++;
        }
        to->flops += factor * from->flops;
        to->bytes += factor * from->bytes;
        to->n_launches += factor * from->n_launches;
    }
}

/* What was counted since vs_profile_begin(). */
static enum vs_status end_count(struct vs_stage_work *work, struct vs_context *context)
{
    enum vs_status status = VS_OK;
    struct vs_profile_entry *entries = NULL;
    size_t n;
    *work = (struct vs_stage_work){.n_families = 0};
    VS_TRY(vs_profile_end(context, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        struct vs_stage_work one = {.n_families = 1};
        struct vs_work *family = &one.families[0];
        size_t n_name = strcspn(entries[i].source, "/");
        n_name = n_name < sizeof family->family ? n_name : sizeof family->family - 1;
        memcpy(family->family, entries[i].source, n_name);
        family->flops = entries[i].flops;
        family->bytes = entries[i].bytes;
        family->n_launches = (double)entries[i].n_launches;
        add_work(work, &one, 1);
    }
fail:
    free(entries);
    return status;
}

/* ---- Stages ------------------------------------------------------------------------------- */

struct planner {
    struct vs_run_plan *plan;
    struct vs_context *context;
    enum vs_status status;
};

/* Ends a stage: its peak, and the largest buffer so far. */
static void end_stage(struct vs_memory *peak, struct vs_run_plan *plan, struct vs_context *context)
{
    enum vs_use use;
    size_t largest = vs_context_largest_buffer(context, &use);
    *peak = vs_context_peak(context);
    if (largest > plan->largest_bytes) {
        plan->largest_bytes = largest;
        plan->largest_use = use;
    }
    vs_context_forget_peak(context);
}

/* The generator says when the texts are done. */
static bool on_progress(const struct vs_progress *progress, void *user)
{
    struct planner *planner = user;
    if (progress->stage != VS_STAGE_LOAD || progress->done)
        return true;
    end_stage(&planner->plan->encoding, planner->plan, planner->context);
    planner->status = end_count(&planner->plan->encode, planner->context);
    return planner->status == VS_OK;
}

static enum vs_status begin_chunk(struct vs_generator *g, size_t index)
{
    int64_t frames[256];
    size_t chunk = g->model->config.frames_per_chunk;
    for (size_t i = 0; i < chunk; i++)
        frames[i] = (int64_t)(index * chunk + i);
    return vs_rollout_begin(g->rollout, frames, chunk);
}

/* What is done with a chunk: it is made, or was made before and is only remembered. */
enum making { MAKE, REMEMBER };

/* Chunk `index` after those before it have come in. */
static enum vs_status count_chunk(struct vs_stage_work *work, struct vs_generator *g, size_t index,
                                  enum making making)
{
    enum vs_status status = VS_OK;
    size_t chunk = g->model->config.frames_per_chunk, n_slots = g->rollout->cache->shape.n_slots;
    size_t first = index > n_slots / chunk + 1 ? index - n_slots / chunk - 1 : 0;
    VS_TRY(vs_cache_reset(g->rollout->cache));
    for (; first < index; first++) {
        VS_TRY(begin_chunk(g, first));
        VS_TRY(vs_cache_commit(g->rollout->cache, vs_span_of(g->rollout->x0)));
    }
    VS_TRY(vs_profile_begin(g->context));
    VS_TRY(begin_chunk(g, index));
    if (making == MAKE)
        VS_TRY(vs_rollout_denoise(g->rollout, g->sigma, g->timestep, NULL));
    else
        VS_TRY(vs_rollout_finish(g->rollout));
    VS_TRY(end_count(work, g->context));
fail:
    return status;
}

/* Chunks from `begin` to before `end`. The work of a chunk grows evenly with the frames in the
 * window until frames leave it, and is the same from then on. last: of the last chunk; may be NULL.
 */
static enum vs_status count_chunks(struct vs_stage_work *total, struct vs_stage_work *last,
                                   struct vs_generator *g, enum making making, size_t begin,
                                   size_t end)
{
    enum vs_status status = VS_OK;
    struct vs_stage_work first, second = {.n_families = 0}, full;
    size_t n_chunks = g->info.n_chunks;
    size_t n_growing = g->rollout->cache->shape.n_slots / g->model->config.frames_per_chunk;
    double n = 0, later = 0, n_full = 0;
    if (begin >= end)
        return VS_OK;
    if (n_growing > n_chunks)
        n_growing = n_chunks;
    for (size_t i = begin; i < end; i++) {
        n += i < n_growing;
        later += i < n_growing && n_growing > 1 ? (double)i : 0;
        n_full += i >= n_growing;
    }
    VS_TRY(count_chunk(&first, g, 0, making));
    if (n_growing > 1)
        VS_TRY(count_chunk(&second, g, 1, making));
    VS_TRY(count_chunk(&full, g, n_chunks - 1, making));
    add_work(total, &first, n - later);
    add_work(total, &second, later);
    add_work(total, &full, n_full);
    if (last)
        *last = full;
fail:
    return status;
}

static enum vs_status count_denoising(struct vs_run_plan *plan, struct vs_generator *g,
                                      const struct vs_run_past *past)
{
    enum vs_status status = VS_OK;
    size_t n_chunks = g->info.n_chunks;
    if (past->n_there < n_chunks) /* else nothing has to be remembered either */
        VS_TRY(count_chunks(&plan->denoise, NULL, g, REMEMBER, past->n_restored, past->n_there));
    VS_TRY(count_chunks(&plan->denoise, &plan->last_chunk, g, MAKE, past->n_there, n_chunks));
fail:
    return status;
}

/* The first text meets an empty window, the others a full one, at worst. */
static enum vs_status count_texts(struct vs_run_plan *plan, struct vs_generator *g)
{
    enum vs_status status = VS_OK;
    struct vs_stage_work text;
    for (int i = 0; i < 2; i++) {
        VS_TRY(vs_profile_begin(g->context));
        VS_TRY(vs_rollout_set_text(g->rollout, NULL, 0));
        VS_TRY(end_count(&text, g->context));
        add_work(&plan->denoise, &text, i ? 1 : (double)(g->n_texts - 1));
        VS_TRY(vs_cache_reset(g->rollout->cache));
    }
fail:
    return status;
}

/* A stream that begins later begins with a first chunk too. */
static enum vs_status count_decoding(struct vs_run_plan *plan, struct vs_generator *g,
                                     const struct vs_run_past *past)
{
    enum vs_status status = VS_OK;
    struct vs_stage_work later;
    struct vs_span frames;
    size_t n_frames, chunk = g->model->config.frames_per_chunk;
    if (past->n_written >= g->info.n_chunks)
        return VS_OK;
    VS_TRY(vs_generator_turn(g, true));
    VS_TRY(vs_profile_begin(g->context));
    VS_TRY(vs_vae_decode(g->decoder, vs_span_of(g->latents), chunk, &frames, &n_frames));
    VS_TRY(end_count(&plan->decode, g->context));
    VS_TRY(vs_profile_begin(g->context));
    VS_TRY(vs_vae_decode(g->decoder, vs_span_of(g->latents), chunk, &frames, &n_frames));
    VS_TRY(end_count(&later, g->context));
    add_work(&plan->decode, &later, (double)(g->info.n_chunks - past->n_written - 1));
fail:
    return status;
}

/* ---- Given frames ------------------------------------------------------------------------- */

/* Their first latent frame is made of one frame, those behind it of more. */
static enum vs_status count_given(struct vs_run_plan *plan, struct vs_context *context,
                                  const struct vs_model *model,
                                  const struct vs_generate_options *options, size_t n_given,
                                  bool work)
{
    enum vs_status status = VS_OK;
    struct vs_encoder *encoder = NULL;
    struct vs_video_info info;
    struct vs_stage_work later;
    uint8_t *rgb = NULL;
    float *latents = NULL;
    VS_TRY(vs_video_plan(&info, model, options));
    size_t n_pixels = info.width * info.height;
    rgb = vs_alloc(VS_VAE_RATE * n_pixels, 3);
    latents = vs_alloc(n_pixels / (VS_VAE_SCALE * VS_VAE_SCALE) * VS_VAE_CHANNELS, sizeof *latents);
    if (!rgb || !latents) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(vs_encoder_create(&encoder, context, model, options));
    VS_TRY(vs_profile_begin(context));
    VS_TRY(vs_encoder_next(encoder, latents, rgb, 1));
    VS_TRY(end_count(&plan->encode_given, context));
    VS_TRY(vs_profile_begin(context));
    VS_TRY(vs_encoder_next(encoder, latents, rgb, VS_VAE_RATE));
    VS_TRY(end_count(&later, context));
    add_work(&plan->encode_given, &later, (double)(n_given - 1));
    if (!work)
        plan->encode_given = (struct vs_stage_work){.n_families = 0};
    end_stage(&plan->given, plan, context);
    /* A group of frames, as bytes and as floats. */
    plan->host_bytes = (uint64_t)VS_VAE_RATE * 3 * n_pixels * (1 + sizeof(float));
fail:
    vs_encoder_free(encoder);
    vs_context_forget_peak(context);
    free(latents);
    free(rgb);
    return status;
}

/* ---- The host ----------------------------------------------------------------------------- */

static uint64_t host_bytes(const struct vs_generator *g)
{
    const struct vs_config *config = &g->model->config;
    uint64_t latents = (uint64_t)config->frames_per_chunk * g->rollout->latent_size * sizeof(float);
    uint64_t n = (config->n_steps + 1) * latents;
    n += (uint64_t)VS_VAE_RATE * config->frames_per_chunk * 3 * g->info.width * g->info.height;
    for (size_t i = 0; i < g->n_texts; i++)
        n += (uint64_t)g->texts[i].n_rows * config->text_dim * sizeof(float);
    return n + vs_context_peak_resting_bytes(g->context) +
           vs_weights_copied_bytes(g->model->dit) +
           vs_weights_copied_bytes(g->model->text_encoder) +
           vs_weights_copied_bytes(g->model->vae);
}

/* ---- The plan ----------------------------------------------------------------------------- */

enum vs_status vs_run_plan(struct vs_run_plan *plan, struct vs_context *context,
                           const struct vs_model *model, const struct vs_generate_options *options,
                           const struct vs_run_past *past, bool work)
{
    static const struct vs_run_past none = {0};
    enum vs_status status = VS_OK;
    struct vs_generator *g = NULL;
    struct planner planner = {.plan = plan, .context = context};
    struct vs_generate_options dry = *options;
    memset(plan, 0, sizeof *plan);
    dry.unsafe = true;
    dry.progress = on_progress;
    dry.settled = NULL;
    dry.user = &planner;
    plan->device = *vs_context_device(context);
    past = past ? past : &none;
    vs_context_forget_peak(context);
    if (past->n_given)
        VS_TRY(count_given(plan, context, model, &dry, past->n_given, work));
    VS_TRY(vs_profile_begin(context));
    status = vs_generator_create(&g, context, model, &dry);
    VS_TRY(planner.status != VS_OK ? planner.status : status);
    plan->video = g->info;
    end_stage(&plan->making, plan, context);
    uint64_t n_host = host_bytes(g);
    plan->host_bytes = n_host > plan->host_bytes ? n_host : plan->host_bytes;
    plan->latents_bytes = vs_buffer_bytes(g->latents);
    plan->n_texts = g->n_texts;
    bool complete = past->n_there >= g->info.n_chunks && past->n_written >= g->info.n_chunks;
    if (!work || complete) {
        plan->encode = (struct vs_stage_work){.n_families = 0};
        goto fail;
    }
    VS_TRY(count_denoising(plan, g, past));
    plan->checkpoint_bytes = vs_generator_state_bytes(g);
    VS_TRY(count_texts(plan, g));
    VS_TRY(count_decoding(plan, g, past));
fail:
    vs_generator_free(g);
    return status;
}

uint64_t vs_run_plan_device_bytes(const struct vs_run_plan *plan)
{
    const struct vs_memory *const stages[] = {&plan->given, &plan->encoding, &plan->making};
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        uint64_t needed = vs_memory_needed(stages[i], &plan->device);
        most = needed > most ? needed : most;
    }
    return most;
}

uint64_t vs_run_plan_host_bytes(const struct vs_run_plan *plan)
{
    return plan->host_bytes +
           (plan->device.type == VS_DEVICE_CPU ? vs_run_plan_device_bytes(plan) : 0);
}

enum vs_run_fit vs_run_plan_fits(const struct vs_run_plan *plan)
{
    if (vs_run_plan_device_bytes(plan) > plan->device.global_memory_bytes)
        return VS_RUN_TOO_MUCH;
    if (plan->largest_bytes > plan->device.max_allocation_bytes)
        return VS_RUN_BUFFER_TOO_LARGE;
    return VS_RUN_FITS;
}
