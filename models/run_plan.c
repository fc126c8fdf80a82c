/* SPDX-License-Identifier: Apache-2.0
 *
 * run_plan.c - a run on paper. */
#include "models/run_plan.h"

#include <stdlib.h>
#include <string.h>

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

/* Denoises chunk `index` after those before it have come in. */
static enum vs_status count_chunk(struct vs_stage_work *work, struct vs_generator *g, size_t index)
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
    VS_TRY(vs_rollout_denoise(g->rollout, g->sigma, g->timestep, NULL));
    VS_TRY(end_count(work, g->context));
fail:
    return status;
}

/* The work of a chunk grows evenly with the frames in the window until frames leave it, and is the
 * same from then on. */
static enum vs_status count_denoising(struct vs_run_plan *plan, struct vs_generator *g)
{
    enum vs_status status = VS_OK;
    struct vs_stage_work first, second = {.n_families = 0};
    size_t n_chunks = g->info.n_chunks, chunk = g->model->config.frames_per_chunk;
    size_t n_growing = g->rollout->cache->shape.n_slots / chunk;
    if (n_growing > n_chunks)
        n_growing = n_chunks;
    double n = (double)n_growing;
    VS_TRY(count_chunk(&first, g, 0));
    if (n_growing > 1)
        VS_TRY(count_chunk(&second, g, 1));
    VS_TRY(count_chunk(&plan->last_chunk, g, n_chunks - 1));
    double later = n_growing > 1 ? n * (n - 1) / 2 : 0;
    add_work(&plan->denoise, &first, n - later);
    add_work(&plan->denoise, &second, later);
    add_work(&plan->denoise, &plan->last_chunk, (double)(n_chunks - n_growing));
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

static enum vs_status count_decoding(struct vs_run_plan *plan, struct vs_generator *g)
{
    enum vs_status status = VS_OK;
    struct vs_stage_work later;
    struct vs_span frames;
    size_t n_frames, chunk = g->model->config.frames_per_chunk;
    VS_TRY(vs_generator_turn(g, true));
    VS_TRY(vs_profile_begin(g->context));
    VS_TRY(vs_vae_decode(g->decoder, vs_span_of(g->latents), chunk, &frames, &n_frames));
    VS_TRY(end_count(&plan->decode, g->context));
    VS_TRY(vs_profile_begin(g->context));
    VS_TRY(vs_vae_decode(g->decoder, vs_span_of(g->latents), chunk, &frames, &n_frames));
    VS_TRY(end_count(&later, g->context));
    add_work(&plan->decode, &later, (double)(g->info.n_chunks - 1));
fail:
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
                           bool work)
{
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
    vs_context_forget_peak(context);
    VS_TRY(vs_profile_begin(context));
    status = vs_generator_create(&g, context, model, &dry);
    VS_TRY(planner.status != VS_OK ? planner.status : status);
    plan->video = g->info;
    end_stage(&plan->making, plan, context);
    plan->host_bytes = host_bytes(g);
    plan->latents_bytes = vs_buffer_bytes(g->latents);
    plan->n_texts = g->n_texts;
    if (!work) {
        plan->encode = (struct vs_stage_work){.n_families = 0};
        goto fail;
    }
    VS_TRY(count_denoising(plan, g));
    plan->checkpoint_bytes = vs_generator_state_bytes(g);
    VS_TRY(count_texts(plan, g));
    VS_TRY(count_decoding(plan, g));
fail:
    vs_generator_free(g);
    return status;
}

uint64_t vs_run_plan_device_bytes(const struct vs_run_plan *plan)
{
    uint64_t encoding = vs_memory_needed(&plan->encoding, &plan->device);
    uint64_t making = vs_memory_needed(&plan->making, &plan->device);
    return encoding > making ? encoding : making;
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
