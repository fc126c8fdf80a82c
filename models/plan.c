/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c - what a run will be: sizes, chunks and memory settled from options and model. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "models/model.h"

void vs_generate_options_init(struct vs_generate_options *options)
{
    memset(options, 0, sizeof *options);
    options->sink = -1;
}

static enum vs_status plan_size(struct vs_video_info *info, const struct vs_config *config,
                                const struct vs_generate_options *options)
{
    info->width = options->width ? options->width : config->width;
    info->height = options->height ? options->height : config->height;
    if (info->width % 16 || info->height % 16)
        return vs_fail(VS_ERROR_USAGE, "--size %zux%zu: both sides must be multiples of 16",
                       info->width, info->height);
    if (info->width > 16384 || info->height > 16384)
        return vs_fail(VS_ERROR_USAGE, "--size %zux%zu: no side may pass 16384", info->width,
                       info->height);
    return VS_OK;
}

static enum vs_status plan_length(struct vs_video_info *info, const struct vs_config *config,
                                  const struct vs_generate_options *options)
{
    size_t chunk = config->frames_per_chunk;
    info->fps = options->fps > 0 ? options->fps : config->fps;
    double frames = options->seconds > 0 ? floor(options->seconds * info->fps + 0.5)
                                         : (double)(4 * chunk - 3);
    if (!(frames >= 1))
        return vs_fail(VS_ERROR_USAGE, "--seconds %g: shorter than one frame at %g frames a second",
                       options->seconds, info->fps);
    if (!(frames <= 1e9))
        return vs_fail(VS_ERROR_USAGE, "--seconds %g: more than 10^9 frames", options->seconds);
    info->n_frames = (size_t)frames;
    /* n chunks decode to 4 n c - 3 frames. */
    info->n_chunks = (info->n_frames + 3 + 4 * chunk - 1) / (4 * chunk);
    info->chunk_frames = 4 * chunk;
    size_t latent_frames = info->n_chunks * chunk;
    info->horizon = options->horizon  ? options->horizon
                    : config->horizon ? config->horizon
                                      : latent_frames;
    return VS_OK;
}

static enum vs_status plan_memory(struct vs_video_info *info, const struct vs_config *config,
                                  const struct vs_generate_options *options)
{
    info->memory = options->memory;
    info->window = options->window ? options->window : config->window;
    info->sink = options->sink >= 0 ? (size_t)options->sink : config->sink;
    if (info->memory == VS_MEMORY_FULL)
        info->window = 0;
    if (info->memory == VS_MEMORY_FULL || info->memory == VS_MEMORY_WINDOW)
        info->sink = 0;
    const char *fault = vs_config_window_fault(config, info->window, info->sink);
    if (fault)
        return vs_fail(VS_ERROR_USAGE,
                       "--window %zu, --sink %zu: %s (a chunk has %zu latent frames); give a larger "
                       "--window or a smaller --sink",
                       info->window, info->sink, fault, config->frames_per_chunk);
    return VS_OK;
}

static enum vs_status check_prompts(const struct vs_generate_options *options)
{
    if (!options->n_prompts)
        return vs_fail(VS_ERROR_USAGE, "a prompt is missing; give it with --prompt TEXT");
    for (size_t i = 0; i < options->n_prompts; i++) {
        double seconds = options->prompts[i].seconds;
        if (!(seconds >= 0) || (i && seconds <= options->prompts[i - 1].seconds))
            return vs_fail(VS_ERROR_USAGE,
                           "the prompt at %g seconds: times must ascend, each only once", seconds);
    }
    if (options->prompts[0].seconds > 0)
        return vs_fail(VS_ERROR_USAGE,
                       "no prompt for the beginning: the first one is at %g seconds; give one "
                       "with --prompt TEXT",
                       options->prompts[0].seconds);
    return VS_OK;
}

enum vs_status vs_video_plan(struct vs_video_info *info, const struct vs_model *model,
                             const struct vs_generate_options *options)
{
    enum vs_status status = VS_OK;
    memset(info, 0, sizeof *info);
    VS_TRY(check_prompts(options));
    VS_TRY(plan_size(info, &model->config, options));
    VS_TRY(plan_length(info, &model->config, options));
    VS_TRY(plan_memory(info, &model->config, options));
    info->precision = options->precision;
    info->kv = options->kv                               ? options->kv
               : info->precision == VS_PRECISION_FAST ? VS_KV_F16
                                                      : VS_KV_F32;
fail:
    return status;
}
