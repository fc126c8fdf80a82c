/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.c - one pass of the transformer, one decoded chunk.
 *
 * What they count as arithmetic is that of their formulas: what launches declare, added up in a dry
 * run, and what their algorithms save. */
#include "models/bench.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/profile.h"
#include "models/dit.h"
#include "models/synthetic.h"
#include "models/vae.h"

/* Runs the operation dry: every program is compiled, every launch counted. */
static enum vs_status count_work(struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    struct vs_profile_entry *entries = NULL;
    size_t n = 0;
    vs_context_set_dry(op->context, true);
    VS_TRY(vs_profile_begin(op->context));
    VS_TRY(op->run(op, 0, 1));
    op->flops += vs_profile_saved(op->context);
    VS_TRY(vs_profile_end(op->context, &entries, &n));
    for (size_t i = 0; i < n; i++) {
        op->flops += entries[i].flops;
        op->bytes += entries[i].bytes;
    }
fail:
    vs_context_set_dry(op->context, false);
    free(entries);
    return status;
}

/* What a network allocates is known when it has done so. */
static enum vs_status check_memory(const struct vs_bench_op *op)
{
    uint64_t has = vs_context_device(op->context)->global_memory_bytes;
    size_t takes = vs_context_allocated_bytes(op->context);
    if (takes <= has)
        return VS_OK;
    return vs_fail(VS_ERROR_MEMORY, "the device has %.2f GiB; this takes %.2f",
                   (double)has / 0x1p30, (double)takes / 0x1p30);
}

/* ---- dit ---------------------------------------------------------------------------------- */

enum { MAX_FRAMES = 64 };

struct dit_job {
    bool offload;
    struct vs_weights *weights;
    struct vs_dit *dit;
    struct vs_rollout *rollout;
    struct vs_span latents, flow;
};

static void close_dit(struct vs_bench_op *op)
{
    struct dit_job *job = op->job;
    if (!job)
        return;
    vs_rollout_free(job->rollout);
    vs_dit_free(job->dit);
    vs_weights_free(job->weights);
}

static enum vs_status run_dit(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct dit_job *job = op->job;
    /* A timestep whose modulation is there already, as in a run. */
    float timestep = (float)job->dit->config.context_noise;
    (void)variant;
    (void)n_rows;
    return vs_rollout_pass(job->rollout, job->flow, job->latents, timestep, false);
}

/* Wan2.1-T2V-1.3B, without the memory's tensors, which a pass without history hardly uses. */
static enum vs_status dit_config(struct vs_config *config, size_t n_frames, size_t n_layers)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_config_parse(config, "{}", 2, "bench"));
    config->dim = 1536;
    config->ffn_dim = 8960;
    config->n_heads = 12;
    config->n_layers = n_layers;
    config->freq_dim = 256;
    config->text_dim = 4096;
    config->text_len = 512;
    config->n_channels = 16;
    config->frames_per_chunk = n_frames;
    config->alpha_width = config->beta_width = 0;
fail:
    return status;
}

static enum vs_status open_blocks(struct vs_bench_op *op, bool offload)
{
    enum vs_status status = VS_OK;
    size_t frames = op->shape.sizes[0], height = op->shape.sizes[1], width = op->shape.sizes[2];
    size_t n_layers = op->shape.sizes[3], n_latents;
    int64_t numbers[MAX_FRAMES];
    struct vs_config config;
    struct dit_job *job;
    if (frames > MAX_FRAMES || height % 2 || width % 2 || n_layers > 1000)
        return vs_fail(VS_ERROR_USAGE,
                       "--op dit%s: %zu frames of %zux%zu, %zu layers; wanted are at most %d frames "
                       "with even rows and columns, and at most 1000 layers",
                       offload ? "-offload" : "", frames, height, width, n_layers, MAX_FRAMES);
    op->job = job = vs_alloc(1, sizeof *job);
    if (!job)
        return VS_ERROR_MEMORY;
    job->offload = offload;
    op->close = close_dit;
    op->run = run_dit;
    n_latents = vs_bench_product(4, (size_t[]){16, frames, height, width});
    VS_TRY(vs_bench_floats(&job->latents, op, n_latents, -1, 1));
    VS_TRY(vs_bench_floats(&job->flow, op, n_latents, -1, 1));
    VS_TRY(dit_config(&config, frames, n_layers));
    VS_TRY(vs_weights_synthesize(&job->weights, op->shape.dtype, 6 * config.dim * config.dim));
    VS_TRY(vs_dit_create(&job->dit, op->context, job->weights, &config, job->offload));
    VS_TRY(vs_rollout_create(&job->rollout, job->dit,
                             &(struct vs_rollout_shape){.height = height,
                                                        .width = width,
                                                        .memory = VS_MEMORY_WINDOW,
                                                        .window = frames,
                                                        .n_frames = frames,
                                                        .horizon = frames}));
    VS_TRY(check_memory(op));
    VS_TRY(vs_rollout_set_text(job->rollout, NULL, 0));
    for (size_t i = 0; i < frames; i++)
        numbers[i] = (int64_t)i;
    VS_TRY(vs_rollout_begin(job->rollout, numbers, frames));
    VS_TRY(count_work(op));
fail:
    return status;
}

static enum vs_status open_dit(struct vs_bench_op *op)
{
    return open_blocks(op, false);
}

static enum vs_status open_dit_offload(struct vs_bench_op *op)
{
    return open_blocks(op, true);
}

/* ---- vae ---------------------------------------------------------------------------------- */

struct vae_job {
    struct vs_weights *weights;
    struct vs_vae *vae;
    struct vs_vae_stream *stream;
    struct vs_span latents;
};

static void close_vae(struct vs_bench_op *op)
{
    struct vae_job *job = op->job;
    if (!job)
        return;
    vs_vae_stream_free(job->stream);
    vs_vae_free(job->vae);
    vs_weights_free(job->weights);
}

static enum vs_status run_vae(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct vae_job *job = op->job;
    struct vs_span frames;
    size_t n_frames;
    (void)variant;
    (void)n_rows;
    return vs_vae_decode(job->stream, job->latents, op->shape.sizes[0], &frames, &n_frames);
}

/* A chunk in the middle of a video: two latent frames have gone before, so that every convolution
 * has its history. */
static enum vs_status open_vae(struct vs_bench_op *op)
{
    enum { MAX_BASE = 1024 };
    enum vs_status status = VS_OK;
    size_t n = op->shape.sizes[0], height = op->shape.sizes[1], width = op->shape.sizes[2];
    size_t base = op->shape.sizes[3], n_frames;
    const struct vs_tensor *last;
    struct vs_span frames;
    struct vae_job *job;
    if (base > MAX_BASE)
        return vs_fail(VS_ERROR_USAGE, "--op vae: a base width of %zu; wanted is at most %d", base,
                       MAX_BASE);
    op->job = job = vs_alloc(1, sizeof *job);
    if (!job)
        return VS_ERROR_MEMORY;
    op->close = close_vae;
    op->run = run_vae;
    VS_TRY(vs_bench_floats(&job->latents, op,
                           vs_bench_product(4, (size_t[]){n, VS_VAE_CHANNELS, height, width}), -1,
                           1));
    VS_TRY(vs_weights_synthesize(&job->weights, op->shape.dtype, 27 * 4 * base * (4 * base + 16)));
    /* The width of the whole network is read from this tensor. */
    VS_TRY(vs_weights_require(&last, job->weights, "decoder.head.2.weight", 5,
                              (size_t[]){3, base, 3, 3, 3}));
    VS_TRY(vs_vae_create(&job->vae, op->context, job->weights, VS_VAE_DECODE));
    VS_TRY(vs_vae_stream_create(
        &job->stream, job->vae,
        &(struct vs_vae_stream_options){
            .direction = VS_VAE_DECODE, .n_latent_frames = n, .height = height, .width = width}));
    VS_TRY(check_memory(op));
    for (int i = 0; i < 2; i++)
        VS_TRY(vs_vae_decode(job->stream, job->latents, 1, &frames, &n_frames));
    VS_TRY(count_work(op));
fail:
    return status;
}

/* ---- the table ---------------------------------------------------------------------------- */

#define SHAPES(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct vs_bench_family vs_bench_networks[] = {
    {"dit", "FRAMESxROWSxCOLUMNSxLAYERS", "pass of the transformer without history", 4,
     " f32 f16 bf16 ", SHAPES("dit:3x60x104x30:bf16"), open_dit},
    {"dit-offload", "FRAMESxROWSxCOLUMNSxLAYERS", "the same with --offload", 4, " f32 f16 bf16 ",
     (const char *const[]){NULL}, open_dit_offload},
    {"vae", "FRAMESxROWSxCOLUMNSxBASE", "decoding of a chunk", 4, " f32 f16 bf16 ",
     SHAPES("vae:3x60x104x96"), open_vae},
    {0},
};
