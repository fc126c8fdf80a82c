/* SPDX-License-Identifier: Apache-2.0
 *
 * given.c - frames looked at, then encoded: read twice, so that what is wrong with the last of them
 * is known before anything is computed, and never more than a few of them are in memory. */
#include "config.h"

#include "host/given.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/sha256.h"
#include "host/frames.h"
#include "host/signals.h"

/* Of the first latent frame, and of any other. */
enum { FIRST_GROUP = 1, GROUP = 4 };

/* Video frames of n chunks of c latent frames. */
static size_t frames_of(size_t n, size_t c)
{
    return n ? GROUP * n * c - (GROUP - FIRST_GROUP) : 0;
}

/* ---- Looking ------------------------------------------------------------------------------ */

static enum vs_status check_size(const struct host_given *given)
{
    return given->width % 16 == 0 && given->height % 16 == 0
               ? VS_OK
               : vs_fail(VS_ERROR_USAGE,
                         "'%s': frames of %zux%zu: both sides must be multiples of 16; scale or "
                         "cut them first, for example to %zux%zu",
                         given->path, given->width, given->height, (given->width + 15) / 16 * 16,
                         (given->height + 15) / 16 * 16);
}

/* Counts and hashes all frames of a stream. */
static enum vs_status read_all(struct host_given *given, struct host_frames *frames, size_t c)
{
    enum vs_status status = VS_OK;
    const uint8_t *rgb;
    struct vs_sha256 hash;
    size_t n = 0;
    vs_sha256_init(&hash);
    for (;; n++) {
        VS_TRY(host_frames_next(frames, &rgb));
        if (!rgb)
            break;
        if (!n) {
            given->width = frames->width;
            given->height = frames->height;
            given->fps = frames->fps;
            VS_TRY(check_size(given));
        }
        vs_sha256_update(&hash, rgb, 3 * given->width * given->height);
        if (n + 1 == frames_of(given->n_chunks + 1, c)) {
            struct vs_sha256 so_far = hash;
            given->n_chunks++;
            vs_sha256_hex(&so_far, given->digest);
        }
    }
    given->n_frames = frames_of(given->n_chunks, c);
    given->n_left_out = n - given->n_frames;
    if (!given->n_chunks)
        status = vs_fail(VS_ERROR_USAGE, "'%s' has %zu frames; this model goes on from %zu or more",
                         given->path, n, frames_of(1, c));
fail:
    return status;
}

enum vs_status host_given_look(struct host_given *given, const char *path, double fps,
                               const struct vs_model_info *model)
{
    struct host_frames *frames;
    *given = (struct host_given){.path = path};
    if (!model->can_encode)
        return vs_fail(VS_ERROR_MODEL,
                       "--extend '%s': frames are encoded first, but the model's VAE has no "
                       "encoder; give the complete file with --vae",
                       path);
    enum vs_status status = host_frames_open(&frames, path, fps);
    if (status != VS_OK)
        return status;
    status = read_all(given, frames, model->frames_per_chunk);
    host_frames_free(frames);
    return status;
}

struct host_given host_given_of(const struct host_kept *kept)
{
    const struct host_settings *settings = &kept->settings;
    struct host_given given = {.path = kept->frames,
                               .width = settings->width,
                               .height = settings->height,
                               .fps = settings->fps,
                               .n_frames = settings->given_frames};
    given.n_chunks = (given.n_frames + GROUP - FIRST_GROUP) / (GROUP * kept->latents[0]);
    memcpy(given.digest, settings->given_digest, sizeof given.digest);
    return given;
}

size_t host_given_latents(const struct host_given *given, const struct vs_model_info *model)
{
    return given->n_chunks * model->frames_per_chunk;
}

/* ---- Encoding ----------------------------------------------------------------------------- */

/* The next n frames, one behind the other. */
static enum vs_status gather(uint8_t *group, size_t n, struct host_frames *frames,
                             const struct host_given *given)
{
    enum vs_status status = VS_OK;
    size_t frame_bytes = 3 * given->width * given->height;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *rgb;
        VS_TRY(host_frames_next(frames, &rgb));
        if (!rgb || frames->width != given->width || frames->height != given->height)
            return vs_fail(VS_ERROR_USAGE,
                           "'%s': its frames were changed while they were being read", given->path);
        memcpy(group + i * frame_bytes, rgb, frame_bytes);
    }
fail:
    return status;
}

/* latents: of a chunk; group: frames of a latent frame. */
static enum vs_status encode_all(const struct host_given *given, const struct host_kept *kept,
                                 struct vs_encoder *encoder, struct host_frames *frames,
                                 float *latents, uint8_t *group, struct host_progress *progress)
{
    enum vs_status status = VS_OK;
    size_t c = kept->latents[0], n = given->n_chunks * c;
    for (size_t i = 0; i < n; i++) {
        const struct vs_progress work = {.stage = VS_STAGE_FRAMES, .done = i, .total = n};
        size_t n_frames = i ? GROUP : FIRST_GROUP;
        host_progress_update(progress, &work);
        if (host_signals_interrupted())
            return vs_fail(VS_ERROR_INTERRUPTED, "interrupted");
        VS_TRY(gather(group, n_frames, frames, given));
        VS_TRY(vs_encoder_next(encoder, latents + i % c * (host_kept_size(kept) / c), group,
                               n_frames));
        if (i % c == c - 1)
            VS_TRY(host_kept_put(kept, i / c, latents));
    }
fail:
    return status;
}

enum vs_status host_given_encode(const struct host_given *given, const struct host_kept *kept,
                                 struct vs_context *context, const struct vs_model *model,
                                 const struct vs_generate_options *options,
                                 struct host_progress *progress)
{
    enum vs_status status = VS_OK;
    struct host_frames *frames = NULL;
    struct vs_encoder *encoder = NULL;
    float *latents = vs_alloc(host_kept_size(kept), sizeof *latents);
    uint8_t *group = vs_alloc(GROUP * given->width * given->height, 3);
    if (!latents || !group) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(host_frames_open(&frames, given->path, given->fps));
    VS_TRY(vs_encoder_create(&encoder, context, model, options));
    host_signals_install(); /* again: the device's compiler may have taken the signals */
    VS_TRY(encode_all(given, kept, encoder, frames, latents, group, progress));
fail:
    vs_encoder_free(encoder);
    host_frames_free(frames);
    free(latents);
    free(group);
    return status;
}
