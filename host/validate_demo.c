/* SPDX-License-Identifier: Apache-2.0
 *
 * validate_demo.c - the demo video from prompt to pixels, as two hashes and some pictures. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/sha256.h"
#include "host/validate.h"
#include "host/validate_hashes.h"

#define DEMO_SECONDS 3.0 /* five chunks: window and sink fill up, and the memory state is read */

static const struct vs_prompt prompts[] = {
    {0, "a red circle and a white star take turns crossing a night background"},
    {1.5, "a green square moves left over a blue background"},
};

struct making {
    struct host_demo *demo;
    struct vs_sha256 latents, frames;
    size_t n_frames, width, height; /* of the whole video */
};

static enum vs_status take_pictures(struct making *making, const struct vs_chunk *chunk)
{
    enum vs_status status = VS_OK;
    struct host_demo *demo = making->demo;
    size_t frame_bytes = 3 * making->width * making->height;
    for (size_t i = 0; i < chunk->n_frames; i++) {
        size_t frame = chunk->first_frame + i, n = demo->n_pictures;
        if (n == HOST_DEMO_PICTURES ||
            frame < n * (making->n_frames - 1) / (HOST_DEMO_PICTURES - 1))
            continue;
        VS_TRY(host_png_encode(&demo->pictures[n], chunk->rgb + i * frame_bytes, making->width,
                               making->height, NULL, 0));
        demo->picture_frames[n] = frame;
        demo->n_pictures++;
    }
fail:
    return status;
}

static enum vs_status make_video(struct making *making, struct vs_context *context,
                                 const struct vs_model *model, bool quick, size_t *n_chunks)
{
    enum vs_status status = VS_OK;
    struct vs_generator *generator = NULL;
    struct vs_generate_options options;
    struct vs_chunk chunk;
    vs_generate_options_init(&options);
    options.prompts = prompts;
    options.n_prompts = quick ? 1 : 2;
    options.seconds = quick ? 0 : DEMO_SECONDS;
    options.seed = 7;
    options.precision = vs_context_precision(context);
    options.unsafe = true; /* the hashes are to judge */
    VS_TRY(vs_generator_create(&generator, context, model, &options));
    const struct vs_video_info *video = vs_generator_info(generator);
    making->width = making->demo->width = video->width;
    making->height = making->demo->height = video->height;
    making->n_frames = making->demo->n_frames = video->n_frames;
    *n_chunks = video->n_chunks;
    for (;;) {
        VS_TRY(vs_generator_next(generator, &chunk));
        if (chunk.n_frames == 0)
            break;
        vs_sha256_floats(&making->latents, chunk.latents,
                         chunk.n_latent_frames * 16 * (making->height / 8) * (making->width / 8));
        vs_sha256_update(&making->frames, chunk.rgb,
                         chunk.n_frames * 3 * making->width * making->height);
        VS_TRY(take_pictures(making, &chunk));
    }
    vs_sha256_hex(&making->latents, making->demo->latents_sha256);
    vs_sha256_hex(&making->frames, making->demo->frames_sha256);
fail:
    vs_generator_free(generator);
    return status;
}

static void judge(struct host_demo *demo, const char *fingerprint, size_t n_chunks,
                  enum vs_precision precision)
{
    demo->verdict = VS_SKIP;
    if (precision == VS_PRECISION_FAST) {
        snprintf(demo->reason, sizeof demo->reason, "fast precision promises no bytes");
        return;
    }
    for (size_t i = 0; i < sizeof demo_hashes / sizeof *demo_hashes; i++) {
        if (strcmp(demo_hashes[i].fingerprint, fingerprint) != 0 ||
            demo_hashes[i].n_chunks != n_chunks)
            continue;
        bool latents = strcmp(demo->latents_sha256, demo_hashes[i].latents_sha256) == 0;
        bool frames = strcmp(demo->frames_sha256, demo_hashes[i].frames_sha256) == 0;
        demo->verdict = latents && frames ? VS_PASS : VS_FAIL;
        if (demo->verdict == VS_FAIL)
            snprintf(demo->reason, sizeof demo->reason,
                     "the %s differ from those shipped with this program",
                     latents  ? "frames"
                     : frames ? "latents"
                              : "latents and frames");
        return;
    }
    snprintf(demo->reason, sizeof demo->reason,
             "no hashes are shipped for this model; compare those of two machines");
}

enum vs_status host_demo_run(struct host_demo *demo, struct vs_context *context,
                             const struct vs_model *model, bool quick)
{
    struct making making = {.demo = demo};
    size_t n_chunks = 0;
    vs_sha256_init(&making.latents);
    vs_sha256_init(&making.frames);
    enum vs_status status = make_video(&making, context, model, quick, &n_chunks);
    if (status == VS_OK)
        judge(demo, vs_model_info(model)->fingerprint, n_chunks, vs_context_precision(context));
    else if (status == VS_ERROR_RUNTIME || status == VS_ERROR_NONFINITE ||
             status == VS_ERROR_VALIDATION) {
        demo->verdict = VS_FAIL;
        snprintf(demo->reason, sizeof demo->reason, "%s", vs_error_message());
        status = VS_OK;
    }
    return status;
}

void host_report_free(struct host_report *report)
{
    for (size_t i = 0; i < report->demo.n_pictures; i++)
        free(report->demo.pictures[i].data);
    free(report->cases);
    *report = (struct host_report){0};
}
