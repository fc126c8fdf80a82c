/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c - planning a run as its options have it, and what would fit where it does not. */
#include "config.h"

#include "host/plan.h"

#include <stdio.h>

#include "host/tuning.h"

/* Anonymous memory of this process: the driver and what it loads have most of it. */
static uint64_t own_bytes(void)
{
    unsigned long kibibytes = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && !kibibytes && fgets(line, sizeof line, file))
        (void)sscanf(line, "RssAnon: %lu", &kibibytes);
    if (file)
        fclose(file);
    return (uint64_t)kibibytes << 10;
}

static uint64_t process_bytes(const struct vs_run_plan *plan)
{
    /* Loaded programs and threads of PoCL, when all programs come from the disk. */
    static const uint64_t driver_bytes = 32 << 20;
    const struct vs_video_info *video = &plan->video;
    return own_bytes() + driver_bytes +
           (uint64_t)video->chunk_frames * 3 * video->width * video->height;
}

uint64_t host_plan_host_bytes(const struct host_plan *plan)
{
    return plan->process_bytes + vs_run_plan_host_bytes(&plan->run);
}

enum vs_status host_plan_open_context(struct vs_context **context, const struct host_run *run,
                                      const struct vs_generate_options *options)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_context_create_hollow(context, run->device));
    if (options->precision == VS_PRECISION_FAST)
        host_tuning_use(*context);
    VS_TRY(host_run_limit(*context, run));
fail:
    return status;
}

enum vs_status host_plan_make(struct host_plan *plan, const struct host_run *run,
                              const struct vs_model *model,
                              const struct vs_generate_options *options,
                              const struct vs_run_past *past, bool work)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = NULL;
    VS_TRY(host_plan_open_context(&context, run, options));
    plan->past = past ? *past : (struct vs_run_past){0};
    VS_TRY(vs_run_plan(&plan->run, context, model, options, past, work));
    plan->process_bytes = process_bytes(&plan->run);
fail:
    vs_context_free(context);
    return status;
}

struct host_plan_disk host_plan_disk(const struct host_plan *whole)
{
    enum { CHECKPOINTS = 3, FRAME_LINE = 6 };
    /* Of frames as this program makes them, at its quality. */
    static const double mp4_bits_per_pixel = 0.25;
    const struct vs_run_plan *plan = &whole->run;
    const struct vs_video_info *video = &plan->video;
    uint64_t n = video->n_frames, pixels = (uint64_t)video->width * video->height;
    return (struct host_plan_disk){
        .png = n * 3 * pixels,
        .y4m = n * (3 * pixels + FRAME_LINE),
        .mp4 = (uint64_t)((double)n * (double)pixels * mp4_bits_per_pixel / 8),
        .latents = video->n_chunks * plan->latents_bytes,
        .checkpoints = CHECKPOINTS * plan->checkpoint_bytes};
}

const char *host_size_text(char text[HOST_SIZE_TEXT], uint64_t n_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)n_bytes;
    size_t unit = 0;
    for (; value >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    int digits = !unit || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, HOST_SIZE_TEXT, "%.*f %s", digits, value, units[unit]);
    return text;
}
