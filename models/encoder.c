/* SPDX-License-Identifier: Apache-2.0
 *
 * encoder.c - frames to latents, a latent frame at a time: the VAE's encoder for callers who have
 * pictures of 8 bits. What is encoded does not depend on how frames are cut into calls, so the
 * smallest are taken: they need the least memory. */
#include <stdlib.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/scratch.h"
#include "models/model.h"

struct vs_encoder {
    struct vs_context *context; /* borrowed */
    struct vs_vae *vae;
    struct vs_vae_stream *stream;
    struct vs_buffer *frames; /* of one latent frame */
    float *host_frames;
    float levels[256];   /* of a byte, in -1..1 */
    size_t frame_size;   /* floats */
    size_t latent_bytes; /* of a latent frame */
    bool begun;
};

static enum vs_status create_stream(struct vs_encoder *e, const struct vs_model *model,
                                    const struct vs_video_info *info)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_stream_options options = {.direction = VS_VAE_ENCODE,
                                                  .n_latent_frames = 1,
                                                  .height = info->height / VS_VAE_SCALE,
                                                  .width = info->width / VS_VAE_SCALE};
    e->frame_size = 3 * info->width * info->height;
    e->latent_bytes = VS_VAE_CHANNELS * options.height * options.width * sizeof(float);
    vs_context_charge(e->context, VS_USE_VAE_WEIGHTS);
    VS_TRY(vs_vae_create(&e->vae, e->context, model->vae, VS_VAE_ENCODE));
    vs_context_charge(e->context, VS_USE_VAE);
    VS_TRY(vs_vae_stream_create(&e->stream, e->vae, &options));
    VS_TRY(vs_floats_create(&e->frames, e->context, NULL, VS_VAE_RATE * e->frame_size));
    e->host_frames = vs_alloc(VS_VAE_RATE * e->frame_size, sizeof *e->host_frames);
    if (!e->host_frames)
        status = VS_ERROR_MEMORY;
fail:
    return status;
}

enum vs_status vs_encoder_create(struct vs_encoder **out, struct vs_context *context,
                                 const struct vs_model *model,
                                 const struct vs_generate_options *options)
{
    enum vs_status status = VS_OK;
    struct vs_video_info info;
    struct vs_encoder *e = vs_alloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return VS_ERROR_MEMORY;
    e->context = context;
    for (int i = 0; i < 256; i++)
        e->levels[i] = (float)i / 127.5f - 1;
    VS_TRY(vs_video_plan(&info, model, options));
    if (!options->unsafe)
        VS_TRY(vs_context_selftest(context));
    vs_context_set_precision(context, info.precision);
    VS_TRY(create_stream(e, model, &info));
    *out = e;
    return VS_OK;
fail:
    vs_encoder_free(e);
    return status;
}

void vs_encoder_free(struct vs_encoder *e)
{
    if (!e)
        return;
    vs_vae_stream_free(e->stream);
    vs_vae_free(e->vae);
    vs_buffer_free(e->frames);
    vs_scratch_free(e->context);
    free(e->host_frames);
    free(e);
}

enum vs_status vs_encoder_next(struct vs_encoder *e, float *latents, const uint8_t *rgb,
                               size_t n_frames)
{
    enum vs_status status = VS_OK;
    struct vs_span made;
    size_t n_made, n = n_frames * e->frame_size;
    if (n_frames != (e->begun ? VS_VAE_RATE : 1))
        return vs_fail(VS_ERROR_USAGE,
                       "%zu frames make no latent frame: it takes 1 at first, then %d",
                       n_frames, VS_VAE_RATE);
    for (size_t i = 0; i < n; i++)
        e->host_frames[i] = e->levels[rgb[i]];
    VS_TRY(vs_buffer_write(e->frames, 0, e->host_frames, n * sizeof *e->host_frames));
    VS_TRY(vs_vae_encode(e->stream, vs_span_of(e->frames), n_frames, &made, &n_made));
    VS_TRY(vs_buffer_read(made.buffer, made.offset * sizeof *latents, latents, e->latent_bytes));
    e->begun = true;
fail:
    return status;
}
