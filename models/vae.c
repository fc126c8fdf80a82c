/* SPDX-License-Identifier: Apache-2.0
 *
 * vae.c - the Wan VAE as two rows of blocks, and its streams. */
#include "models/vae.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cl/alloc.h"
#include "kernels/pixels/pixels.h"
#include "kernels/pointwise/pointwise.h"
#include "models/vae_chain.h"

enum { MAX_BLOCKS = 32, MAX_BASE = 1024, LATENTS = VS_VAE_CHANNELS, RGB = 3 };

/* Mean and deviation of the latents that Wan's VAE makes, as released. */
static const double released_mean[LATENTS] = {
    -0.7571, -0.7089, -0.9113, 0.1075,  -0.1745, 0.9653,  -0.1517, 1.5508,
    0.4134,  -0.0715, 0.5517,  -0.3632, -0.1922, -0.9497, 0.2503,  -0.2921};
static const double released_std[LATENTS] = {
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160};

/* ---- The rows of blocks ------------------------------------------------------------------- */

struct row {
    struct vs_vae_layout blocks[MAX_BLOCKS];
    size_t n;
};

static struct vs_vae_layout *add(struct row *row, enum vs_vae_kind kind, size_t n_in, size_t n_out,
                                 const char *stack, int number)
{
    struct vs_vae_layout *block = &row->blocks[row->n++];
    *block = (struct vs_vae_layout){.kind = kind, .n_in = n_in, .n_out = n_out};
    if (number < 0)
        snprintf(block->prefix, sizeof block->prefix, "%s.", stack);
    else
        snprintf(block->prefix, sizeof block->prefix, "%s.%d.", stack, number);
    return block;
}

static void add_middle(struct row *row, size_t width, const char *stack)
{
    add(row, VS_VAE_RES, width, width, stack, 0);
    add(row, VS_VAE_ATTENTION, width, width, stack, 1);
    add(row, VS_VAE_RES, width, width, stack, 2);
}

enum { N_LEVELS = 4 };

/* Channels at each level, from full resolution down. */
static const size_t multiples[N_LEVELS] = {1, 2, 4, 4};

static struct row decoder_row(size_t base)
{
    struct row row = {.n = 0};
    size_t width = multiples[N_LEVELS - 1] * base;
    int number = 0;
    add(&row, VS_VAE_CONV, LATENTS, LATENTS, "conv2", -1)->size = 1;
    add(&row, VS_VAE_CONV, LATENTS, width, "decoder.conv1", -1)->size = 3;
    add_middle(&row, width, "decoder.middle");
    for (int level = N_LEVELS - 1; level >= 0; level--) {
        for (int i = 0; i < 3; i++, width = multiples[level] * base)
            add(&row, VS_VAE_RES, width, multiples[level] * base, "decoder.upsamples", number++);
        if (!level)
            break;
        add(&row, VS_VAE_UP, width, width / 2, "decoder.upsamples", number++)->time = level > 1;
        width /= 2;
    }
    add(&row, VS_VAE_HEAD, width, RGB, "decoder.head", -1);
    return row;
}

static struct row encoder_row(size_t base)
{
    struct row row = {.n = 0};
    size_t width = base;
    int number = 0;
    add(&row, VS_VAE_CONV, RGB, width, "encoder.conv1", -1)->size = 3;
    for (int level = 0; level < N_LEVELS; level++) {
        for (int i = 0; i < 2; i++, width = multiples[level] * base)
            add(&row, VS_VAE_RES, width, multiples[level] * base, "encoder.downsamples", number++);
        if (level + 1 < N_LEVELS)
            add(&row, VS_VAE_DOWN, width, width, "encoder.downsamples", number++)->time = level > 0;
    }
    add_middle(&row, width, "encoder.middle");
    add(&row, VS_VAE_HEAD, width, 2 * LATENTS, "encoder.head", -1);
    add(&row, VS_VAE_CONV, 2 * LATENTS, 2 * LATENTS, "conv1", -1)->size = 1;
    return row;
}

static enum vs_status check_row(const struct vs_weights *weights, const struct row *row)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < row->n; i++)
        VS_TRY(vs_vae_block_check(weights, &row->blocks[i]));
fail:
    return status;
}

enum vs_status vs_vae_check(const struct vs_weights *weights, struct vs_vae_shape *shape)
{
    enum vs_status status = VS_OK;
    /* Both are [out, in, 3, 3, 3]; the encoder's first and the decoder's last have the base width
     * on one side. */
    const char *const first_name = "encoder.conv1.weight";
    const char *const last_name = "decoder.head.2.weight";
    const struct vs_tensor *first = vs_weights_find(weights, first_name);
    const struct vs_tensor *last = vs_weights_find(weights, last_name);
    const struct vs_tensor *tensor = first ? first : last;
    size_t side = first ? 0 : 1;
    *shape = (struct vs_vae_shape){.has_encoder = first != NULL};
    if (!tensor)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: neither '%s' nor '%s' is there; is it a Wan VAE (Wan2.1_VAE.pth)?",
                       vs_weights_path(weights), first_name, last_name);
    if (tensor->n_dims != 5 || !tensor->shape[side] || tensor->shape[side] > MAX_BASE)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor '%s' has a shape that no Wan VAE has; its dimension %zu, the "
                       "base width, must be 1..%d",
                       tensor->file, tensor->name, side, MAX_BASE);
    shape->base = tensor->shape[side];
    const struct row decoder = decoder_row(shape->base), encoder = encoder_row(shape->base);
    VS_TRY(check_row(weights, &decoder));
    if (shape->has_encoder)
        VS_TRY(check_row(weights, &encoder));
fail:
    return status;
}

/* ---- Weights ------------------------------------------------------------------------------ */

struct vs_vae {
    struct vs_context *context;
    struct vs_vae_block decoder[MAX_BLOCKS], encoder[MAX_BLOCKS];
    size_t n_decoder, n_encoder;
    struct vs_buffer *mean, *std, *one_over_std;
};

static enum vs_status create_blocks(struct vs_vae_block *blocks, size_t *n,
                                    struct vs_context *context, const struct vs_weights *weights,
                                    const struct row *row)
{
    enum vs_status status = VS_OK;
    for (*n = 0; *n < row->n; ++*n)
        VS_TRY(vs_vae_block_create(&blocks[*n], context, weights, &row->blocks[*n]));
fail:
    return status;
}

enum vs_status vs_vae_create(struct vs_vae **out, struct vs_context *context,
                             const struct vs_weights *weights, unsigned directions)
{
    enum vs_status status = VS_OK;
    struct vs_vae_shape shape;
    struct vs_vae *vae = NULL;
    *out = NULL;
    VS_TRY(vs_vae_check(weights, &shape));
    vae = vs_alloc(1, sizeof *vae);
    if (!vae)
        return VS_ERROR_MEMORY;
    vae->context = context;
    const struct row decoding = decoder_row(shape.base), encoding = encoder_row(shape.base);
    if (directions & VS_VAE_DECODE)
        VS_TRY(create_blocks(vae->decoder, &vae->n_decoder, context, weights, &decoding));
    if (directions & VS_VAE_ENCODE && shape.has_encoder)
        VS_TRY(create_blocks(vae->encoder, &vae->n_encoder, context, weights, &encoding));
    VS_TRY(vs_floats_create(&vae->mean, context, NULL, LATENTS));
    VS_TRY(vs_floats_create(&vae->std, context, NULL, LATENTS));
    VS_TRY(vs_floats_create(&vae->one_over_std, context, NULL, LATENTS));
    VS_TRY(vs_vae_set_latent_scale(vae, released_mean, released_std));
    *out = vae;
    return VS_OK;
fail:
    vs_vae_free(vae);
    return status;
}

void vs_vae_free(struct vs_vae *vae)
{
    if (!vae)
        return;
    for (size_t i = 0; i < vae->n_decoder; i++)
        vs_vae_block_free(&vae->decoder[i]);
    for (size_t i = 0; i < vae->n_encoder; i++)
        vs_vae_block_free(&vae->encoder[i]);
    vs_buffer_free(vae->mean);
    vs_buffer_free(vae->std);
    vs_buffer_free(vae->one_over_std);
    free(vae);
}

enum vs_status vs_vae_set_latent_scale(struct vs_vae *vae, const double *mean, const double *std)
{
    enum vs_status status = VS_OK;
    float values[3][LATENTS];
    for (size_t i = 0; i < LATENTS; i++) {
        values[0][i] = (float)mean[i];
        values[1][i] = (float)std[i];
        values[2][i] = (float)(1 / std[i]);
        if (!isfinite(values[0][i]) || !isfinite(values[1][i]) || !isfinite(values[2][i]) ||
            values[1][i] <= 0)
            return vs_fail(VS_ERROR_MODEL,
                           "the VAE's mean and deviation of latent channel %zu cannot be %g and %g",
                           i, mean[i], std[i]);
    }
    VS_TRY(vs_buffer_write(vae->mean, 0, values[0], sizeof values[0]));
    VS_TRY(vs_buffer_write(vae->std, 0, values[1], sizeof values[1]));
    VS_TRY(vs_buffer_write(vae->one_over_std, 0, values[2], sizeof values[2]));
fail:
    return status;
}

/* ---- Streams ------------------------------------------------------------------------------ */

struct vs_vae_stream {
    const struct vs_vae *vae;
    struct vs_vae_stream_options options;
    struct vs_vae_chain *chain;
    struct vs_vae_chain_output output; /* of the chain */
    struct vs_buffer *latents; /* channels last: into the decoder, out of the encoder */
    struct vs_buffer *result;  /* what the caller gets */
    struct vs_buffer *flag;    /* int32: the result is not finite */
};

enum vs_status vs_vae_stream_create(struct vs_vae_stream **out, struct vs_vae *vae,
                                    const struct vs_vae_stream_options *options)
{
    enum vs_status status = VS_OK;
    bool decode = options->direction == VS_VAE_DECODE;
    struct vs_vae_stream *stream = NULL;
    size_t n_frames, height, width;
    *out = NULL;
    if (!(decode ? vae->n_decoder : vae->n_encoder))
        return vs_fail(VS_ERROR_MODEL,
                       "the VAE's %s is not loaded; %scoding needs the complete file "
                       "(Wan2.1_VAE.pth)",
                       decode ? "decoder" : "encoder", decode ? "de" : "en");
    bool fits = vs_mul_ok(options->n_latent_frames, VS_VAE_RATE, &n_frames) &&
                vs_mul_ok(options->height, VS_VAE_SCALE, &height) &&
                vs_mul_ok(options->width, VS_VAE_SCALE, &width);
    if (!fits)
        return vs_fail(VS_ERROR_USAGE, "the VAE cannot work on %zux%zu latents", options->width,
                       options->height);
    stream = vs_alloc(1, sizeof *stream);
    if (!stream)
        return VS_ERROR_MEMORY;
    stream->vae = vae;
    stream->options = *options;
    const struct vs_vae_chain_options chain_options = {
        .n_frames = decode ? options->n_latent_frames : n_frames,
        .height = decode ? options->height : height,
        .width = decode ? options->width : width,
        .budget_bytes = options->budget_bytes};
    VS_TRY(vs_vae_chain_create(&stream->chain, vae->context, decode ? vae->decoder : vae->encoder,
                               decode ? vae->n_decoder : vae->n_encoder, &chain_options));
    /* The chain has bounded all sizes. */
    stream->output = vs_vae_chain_output(stream->chain);
    size_t n_latent_pixels = options->n_latent_frames * options->height * options->width;
    VS_TRY(vs_floats_create(&stream->latents, vae->context, NULL,
                            n_latent_pixels * (decode ? LATENTS : 2 * LATENTS)));
    VS_TRY(vs_floats_create(&stream->result, vae->context, NULL,
                            decode ? n_frames * height * width * RGB : n_latent_pixels * LATENTS));
    VS_TRY(vs_buffer_create(&stream->flag, vae->context, sizeof(int32_t)));
    *out = stream;
    return VS_OK;
fail:
    vs_vae_stream_free(stream);
    return status;
}

void vs_vae_stream_free(struct vs_vae_stream *stream)
{
    if (!stream)
        return;
    vs_vae_chain_free(stream->chain);
    vs_buffer_free(stream->latents);
    vs_buffer_free(stream->result);
    vs_buffer_free(stream->flag);
    free(stream);
}

void vs_vae_stream_reset(struct vs_vae_stream *stream)
{
    vs_vae_chain_reset(stream->chain);
}

enum vs_status vs_vae_stream_rest(struct vs_vae_stream *stream)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_vae_chain_rest(stream->chain));
    VS_TRY(vs_buffer_rest(stream->latents, false));
    VS_TRY(vs_buffer_rest(stream->result, false));
fail:
    return status;
}

enum vs_status vs_vae_stream_wake(struct vs_vae_stream *stream)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_vae_chain_wake(stream->chain));
    VS_TRY(vs_buffer_wake(stream->latents));
    VS_TRY(vs_buffer_wake(stream->result));
fail:
    return status;
}

static enum vs_status check_direction(const struct vs_vae_stream *stream,
                                      enum vs_vae_direction direction)
{
    if (stream->options.direction == direction)
        return VS_OK;
    return vs_fail(VS_ERROR_USAGE, "this stream of the VAE was made to %s",
                   direction == VS_VAE_DECODE ? "encode" : "decode");
}

/* VS_ERROR_NONFINITE unless all n floats of the result are numbers. */
static enum vs_status check_finite(const struct vs_vae_stream *stream, size_t n, const char *what)
{
    enum vs_status status = VS_OK;
    int32_t found = 0;
    VS_TRY(vs_buffer_zero(stream->flag, 0, sizeof found));
    VS_TRY(vs_check_finite_run(stream->vae->context, stream->flag, 0, vs_span_of(stream->result),
                               n));
    VS_TRY(vs_buffer_read(stream->flag, 0, &found, sizeof found));
    if (found)
        status = vs_fail(VS_ERROR_NONFINITE,
                         "VAE: the %s hold infinities or NaN; the model file may be damaged", what);
fail:
    return status;
}

enum vs_status vs_vae_decode(struct vs_vae_stream *stream, struct vs_span latents, size_t n,
                             struct vs_span *frames, size_t *n_frames)
{
    enum vs_status status = VS_OK;
    const struct vs_vae *vae = stream->vae;
    const struct vs_vae_stream_options *options = &stream->options;
    *frames = vs_span_of(stream->result);
    *n_frames = 0;
    VS_TRY(check_direction(stream, VS_VAE_DECODE));
    if (n > options->n_latent_frames)
        return vs_fail(VS_ERROR_USAGE,
                       "the VAE's stream was made for %zu latent frames at once, not %zu",
                       options->n_latent_frames, n);
    VS_TRY(vs_channels_last_run(vae->context, vs_span_of(stream->latents), latents,
                                vs_span_of(vae->std), vs_span_of(vae->mean), n, LATENTS,
                                options->height, options->width));
    VS_TRY(vs_vae_chain_run(stream->chain, *frames, n_frames, vs_span_of(stream->latents), n));
    VS_TRY(check_finite(stream,
                        *n_frames * stream->output.height * stream->output.width * RGB,
                        "decoded frames"));
fail:
    return status;
}

enum vs_status vs_vae_encode(struct vs_vae_stream *stream, struct vs_span frames, size_t n,
                             struct vs_span *latents, size_t *n_latent_frames)
{
    enum vs_status status = VS_OK;
    const struct vs_vae *vae = stream->vae;
    const struct vs_vae_stream_options *options = &stream->options;
    *latents = vs_span_of(stream->result);
    *n_latent_frames = 0;
    VS_TRY(check_direction(stream, VS_VAE_ENCODE));
    VS_TRY(vs_vae_chain_run(stream->chain, vs_span_of(stream->latents), n_latent_frames, frames,
                            n));
    VS_TRY(vs_channels_first_run(vae->context, *latents, vs_span_of(stream->latents),
                                 vs_span_of(vae->one_over_std), vs_span_of(vae->mean),
                                 *n_latent_frames, LATENTS, 2 * LATENTS, options->height,
                                 options->width));
    VS_TRY(check_finite(stream,
                        *n_latent_frames * options->height * options->width * LATENTS,
                        "encoded latents"));
fail:
    return status;
}
