/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_blocks.c - loading and running the blocks of the VAE.
 *
 * Two details of the released model are easy to get wrong and are spelled out below: doubling
 * frames lets the first frame of a stream pass and begins its history with zeros at the second;
 * halving frames lets it pass too, but begins its history with that frame. */
#include "models/vae_blocks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cl/alloc.h"
#include "kernels/attention/attention.h"
#include "kernels/norm/norm.h"
#include "models/vae_steps.h"

enum { PAST = VS_VAE_PAST };

/* ---- Tensors ------------------------------------------------------------------------------ */

/* A convolution or the gain of a norm among a block's tensors. */
struct part {
    const char *name; /* behind the prefix; convolutions add ".weight" and ".bias" */
    size_t n_dims;    /* of the weight, or of the gain */
    size_t shape[5];
    bool norm, optional;
    size_t stride; /* of a convolution's rows and columns; 0: 1 */
};

enum { MAX_PARTS = VS_VAE_MAX_CONVS + VS_VAE_MAX_NORMS };

/* Lists the parts of a block in the order of its weight[], gamma[]; returns how many. */
static size_t list_parts(struct part parts[MAX_PARTS], const struct vs_vae_layout *layout)
{
    size_t i = layout->n_in, o = layout->n_out, n = 0;
    switch (layout->kind) {
    case VS_VAE_CONV:
        parts[n++] = (struct part){"", 5, {o, i, layout->size, layout->size, layout->size}};
        break;
    case VS_VAE_RES:
        parts[n++] = (struct part){"residual.0.gamma", 4, {i, 1, 1, 1}, .norm = true};
        parts[n++] = (struct part){"residual.2", 5, {o, i, 3, 3, 3}};
        parts[n++] = (struct part){"residual.3.gamma", 4, {o, 1, 1, 1}, .norm = true};
        parts[n++] = (struct part){"residual.6", 5, {o, o, 3, 3, 3}};
        parts[n++] = (struct part){"shortcut", 5, {o, i, 1, 1, 1}, .optional = i == o};
        break;
    case VS_VAE_ATTENTION:
        parts[n++] = (struct part){"norm.gamma", 3, {i, 1, 1}, .norm = true};
        parts[n++] = (struct part){"to_qkv", 4, {3 * i, i, 1, 1}};
        parts[n++] = (struct part){"proj", 4, {o, i, 1, 1}};
        break;
    case VS_VAE_UP:
        parts[n++] = (struct part){"resample.1", 4, {o, i, 3, 3}};
        if (layout->time)
            parts[n++] = (struct part){"time_conv", 5, {2 * i, i, 3, 1, 1}};
        break;
    case VS_VAE_DOWN:
        parts[n++] = (struct part){"resample.1", 4, {o, i, 3, 3}, .stride = 2};
        if (layout->time)
            parts[n++] = (struct part){"time_conv", 5, {o, o, 3, 1, 1}};
        break;
    case VS_VAE_HEAD:
        parts[n++] = (struct part){"0.gamma", 4, {i, 1, 1, 1}, .norm = true};
        parts[n++] = (struct part){"2", 5, {o, i, 3, 3, 3}};
        break;
    }
    return n;
}

enum { ATTENTION_QKV, ATTENTION_PROJ }; /* as in vae_steps.h */

static enum vs_status find(const struct vs_tensor **tensor, const struct vs_weights *weights,
                           const struct vs_vae_layout *layout, const char *name,
                           const char *suffix, size_t n_dims, const size_t *shape)
{
    enum vs_status status = VS_OK;
    char full[96];
    /* The prefix of a convolution that is the whole block ends in the dot. */
    snprintf(full, sizeof full, "%s%s%s", layout->prefix, name, *name ? suffix : suffix + 1);
    VS_TRY(vs_weights_require(tensor, weights, full, n_dims, shape));
    const struct vs_dtype_info *info = vs_dtype_info((*tensor)->dtype);
    if (!info->weight || info->n_elements != 1)
        status = vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' is %s; the VAE takes F32, F16 and BF16",
                         (*tensor)->file, full, info->name);
fail:
    return status;
}

static bool absent(const struct vs_weights *weights, const struct vs_vae_layout *layout,
                   const struct part *part)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s.weight", layout->prefix, part->name);
    return part->optional && !vs_weights_find(weights, full);
}

enum vs_status vs_vae_block_check(const struct vs_weights *weights,
                                  const struct vs_vae_layout *layout)
{
    enum vs_status status = VS_OK;
    struct part parts[MAX_PARTS];
    const struct vs_tensor *tensor;
    size_t n = list_parts(parts, layout);
    for (size_t i = 0; i < n; i++) {
        const struct part *part = &parts[i];
        if (absent(weights, layout, part))
            continue;
        VS_TRY(find(&tensor, weights, layout, part->name, part->norm ? "" : ".weight",
                    part->n_dims, part->shape));
        if (!part->norm)
            VS_TRY(find(&tensor, weights, layout, part->name, ".bias", 1, part->shape));
    }
fail:
    return status;
}

/* Uploads a vector of n values as float32. */
static enum vs_status upload_vector(struct vs_buffer **buffer, struct vs_context *context,
                                    const struct vs_tensor *tensor)
{
    float *values = vs_alloc(tensor->n_elements, sizeof *values);
    if (!values)
        return VS_ERROR_MEMORY;
    vs_dtype_widen(values, tensor->data, tensor->dtype, tensor->n_elements);
    enum vs_status status = vs_floats_create(buffer, context, values, tensor->n_elements);
    free(values);
    return status;
}

enum vs_status vs_vae_block_create(struct vs_vae_block *block, struct vs_context *context,
                                   const struct vs_weights *weights,
                                   const struct vs_vae_layout *layout)
{
    enum vs_status status = VS_OK;
    struct part parts[MAX_PARTS];
    const struct vs_tensor *tensor;
    size_t n = list_parts(parts, layout), n_convs = 0, n_norms = 0;
    *block = (struct vs_vae_block){.context = context, .layout = *layout};
    VS_TRY(vs_vae_block_check(weights, layout));
    for (size_t i = 0; i < n; i++) {
        const struct part *part = &parts[i];
        if (absent(weights, layout, part))
            continue;
        if (part->norm) {
            VS_TRY(find(&tensor, weights, layout, part->name, "", part->n_dims, part->shape));
            VS_TRY(upload_vector(&block->gamma[n_norms++], context, tensor));
            continue;
        }
        const size_t *shape = part->shape;
        const size_t kernel[3] = {part->n_dims == 5 ? shape[2] : 1, shape[part->n_dims - 2],
                                  shape[part->n_dims - 1]};
        VS_TRY(find(&tensor, weights, layout, part->name, ".weight", part->n_dims, shape));
        VS_TRY(vs_conv_weight_create(&block->weight[n_convs], context, tensor->data, tensor->dtype,
                                     shape[0], shape[1], kernel, part->stride ? part->stride : 1));
        VS_TRY(find(&tensor, weights, layout, part->name, ".bias", 1, shape));
        VS_TRY(upload_vector(&block->bias[n_convs], context, tensor));
        n_convs++;
    }
    return VS_OK;
fail:
    vs_vae_block_free(block);
    return status;
}

void vs_vae_block_free(struct vs_vae_block *block)
{
    for (size_t i = 0; i < VS_VAE_MAX_CONVS; i++) {
        vs_conv_weight_free(&block->weight[i]);
        vs_buffer_free(block->bias[i]);
        block->bias[i] = NULL;
    }
    for (size_t i = 0; i < VS_VAE_MAX_NORMS; i++) {
        vs_buffer_free(block->gamma[i]);
        block->gamma[i] = NULL;
    }
}

/* ---- Sizes -------------------------------------------------------------------------------- */

size_t vs_vae_block_out_side(const struct vs_vae_layout *layout, size_t side)
{
    return layout->kind == VS_VAE_UP ? 2 * side : layout->kind == VS_VAE_DOWN ? side / 2 : side;
}

size_t vs_vae_block_out_frames(const struct vs_vae_layout *layout, size_t n_frames)
{
    if (!layout->time)
        return n_frames;
    return layout->kind == VS_VAE_UP ? 2 * n_frames : n_frames / 2 + n_frames % 2;
}

size_t vs_vae_block_scratch(const struct vs_vae_layout *layout, size_t n_frames, size_t height,
                            size_t width)
{
    size_t i = layout->n_in, o = layout->n_out, n_pixels = height * width;
    switch (layout->kind) {
    case VS_VAE_CONV:
        return 0;
    case VS_VAE_RES:
        return n_frames * n_pixels * (i > o ? i : o);
    case VS_VAE_ATTENTION: /* q, k, v of one frame at a time */
        return (n_frames > 3 ? n_frames : 3) * n_pixels * i;
    case VS_VAE_UP:
        return layout->time ? 2 * n_frames * n_pixels * i : 0;
    case VS_VAE_DOWN:
        return layout->time ? n_frames * (height / 2) * (width / 2) * o : 0;
    case VS_VAE_HEAD:
        return n_frames * n_pixels * i;
    }
    return 0;
}

/* ---- History ------------------------------------------------------------------------------ */

enum vs_status vs_vae_state_create(struct vs_vae_state *state, const struct vs_vae_block *block,
                                   size_t height, size_t width)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_layout *layout = &block->layout;
    size_t frame[VS_VAE_MAX_PAST] = {0}, n_pixels = height * width;
    *state = (struct vs_vae_state){.height = height, .width = width};
    if (layout->kind == VS_VAE_RES) {
        frame[0] = n_pixels * layout->n_in;
        frame[1] = n_pixels * layout->n_out;
    } else if (layout->kind == VS_VAE_HEAD ||
               (layout->kind == VS_VAE_CONV && layout->size > 1) ||
               (layout->kind == VS_VAE_UP && layout->time)) {
        frame[0] = n_pixels * layout->n_in;
    } else if (layout->kind == VS_VAE_DOWN && layout->time) {
        frame[0] = (height / 2) * (width / 2) * layout->n_out;
    }
    for (size_t i = 0; i < VS_VAE_MAX_PAST; i++) {
        state->past_frame[i] = frame[i];
        if (frame[i])
            VS_TRY(vs_floats_create(&state->past[i], block->context, NULL, PAST * frame[i]));
    }
    return VS_OK;
fail:
    vs_vae_state_free(state);
    return status;
}

void vs_vae_state_free(struct vs_vae_state *state)
{
    for (size_t i = 0; i < VS_VAE_MAX_PAST; i++) {
        vs_buffer_free(state->past[i]);
        state->past[i] = NULL;
    }
}

void vs_vae_state_reset(struct vs_vae_state *state)
{
    state->begun = state->time_begun = false;
    state->n_held = 0;
}

enum vs_status vs_vae_state_rest(struct vs_vae_state *state)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < VS_VAE_MAX_PAST; i++)
        if (state->past[i])
            VS_TRY(vs_buffer_rest(state->past[i], state->begun));
fail:
    return status;
}

enum vs_status vs_vae_state_wake(struct vs_vae_state *state)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < VS_VAE_MAX_PAST; i++)
        if (state->past[i])
            VS_TRY(vs_buffer_wake(state->past[i]));
fail:
    return status;
}

enum vs_status vs_vae_copy(struct vs_span to, struct vs_span from, size_t n)
{
    return vs_buffer_copy(to.buffer, to.offset * sizeof(float), from.buffer,
                          from.offset * sizeof(float), n * sizeof(float));
}

enum vs_status vs_vae_remember(struct vs_vae_state *state, size_t which, bool begun,
                               struct vs_span x, size_t n_frames)
{
    enum vs_status status = VS_OK;
    const struct vs_span past = vs_span_of(state->past[which]);
    size_t frame = state->past_frame[which];
    if (n_frames >= PAST)
        return vs_vae_copy(past, vs_advance(x, (n_frames - PAST) * frame), PAST * frame);
    if (begun)
        VS_TRY(vs_vae_copy(past, vs_advance(past, frame), frame));
    else
        VS_TRY(vs_buffer_zero(past.buffer, 0, frame * sizeof(float)));
    VS_TRY(vs_vae_copy(vs_advance(past, frame), x, frame));
fail:
    return status;
}

/* ---- Steps -------------------------------------------------------------------------------- */

struct vs_conv vs_vae_same_size(const struct vs_vae_block *block, size_t which, size_t n_frames,
                                size_t height, size_t width)
{
    const struct vs_conv_weight *weight = &block->weight[which];
    return (struct vs_conv){.weight = weight,
                            .bias = vs_span_of(block->bias[which]),
                            .n_frames = n_frames,
                            .height = height,
                            .width = width,
                            .stride_time = 1,
                            .pad_top = weight->kernel[1] / 2,
                            .pad_left = weight->kernel[2] / 2,
                            .out_height = height,
                            .out_width = width};
}

/* A causal convolution over the stream: history before x, zeros before the stream's first frame. */
static enum vs_status causal_conv(const struct vs_vae_block *block, struct vs_vae_state *state,
                                  size_t which, struct vs_span out, struct vs_span x,
                                  size_t n_frames, struct vs_span residual)
{
    enum vs_status status = VS_OK;
    struct vs_conv conv = vs_vae_same_size(block, which, n_frames, state->height, state->width);
    bool causal = conv.weight->kernel[0] > 1;
    conv.residual = residual;
    if (causal) {
        conv.n_past = PAST;
        if (state->begun)
            conv.past = vs_span_of(state->past[which]);
    }
    VS_TRY(vs_conv_run(block->context, out, x, &conv));
    if (causal)
        VS_TRY(vs_vae_remember(state, which, state->begun, x, n_frames));
fail:
    return status;
}

static const struct vs_span none;

enum vs_status vs_vae_norm_silu(const struct vs_vae_block *block, size_t which, struct vs_span out,
                                struct vs_span x, size_t n_pixels, size_t n_channels)
{
    return vs_channel_norm_run(block->context, out, x, vs_span_of(block->gamma[which]), n_pixels,
                               n_channels, true);
}

static enum vs_status run_res(const struct vs_vae_block *block, struct vs_vae_state *state,
                              struct vs_span out, struct vs_span x, size_t n_frames,
                              struct vs_span a, struct vs_span b)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_layout *layout = &block->layout;
    size_t n_pixels = n_frames * state->height * state->width;
    struct vs_span residual = x;
    VS_TRY(vs_vae_norm_silu(block, 0, a, x, n_pixels, layout->n_in));
    VS_TRY(causal_conv(block, state, VS_RES_FIRST, b, a, n_frames, none));
    VS_TRY(vs_vae_norm_silu(block, 1, b, b, n_pixels, layout->n_out));
    if (block->weight[VS_RES_SHORTCUT].buffer) {
        struct vs_conv shortcut =
            vs_vae_same_size(block, VS_RES_SHORTCUT, n_frames, state->height, state->width);
        VS_TRY(vs_conv_run(block->context, a, x, &shortcut));
        residual = a;
    }
    VS_TRY(causal_conv(block, state, VS_RES_SECOND, out, b, n_frames, residual));
fail:
    return status;
}

static enum vs_status run_attention(const struct vs_vae_block *block, struct vs_vae_state *state,
                                    struct vs_span out, struct vs_span x, size_t n_frames,
                                    struct vs_span a, struct vs_span b)
{
    enum vs_status status = VS_OK;
    size_t c = block->layout.n_in, n_pixels = state->height * state->width;
    const struct vs_attention attention = {.n_queries = n_pixels,
                                           .n_keys = n_pixels,
                                           .n_heads = 1,
                                           .head_dim = c,
                                           .q_stride = 3 * c,
                                           .kv_stride = 3 * c,
                                           .scale = (float)(1 / sqrt((double)c))};
    VS_TRY(vs_channel_norm_run(block->context, a, x, vs_span_of(block->gamma[0]),
                               n_frames * n_pixels, c, false));
    for (size_t f = 0; f < n_frames; f++) {
        struct vs_span frame = vs_advance(a, f * n_pixels * c);
        struct vs_conv qkv = vs_vae_same_size(block, ATTENTION_QKV, 1, state->height, state->width);
        VS_TRY(vs_conv_run(block->context, b, frame, &qkv));
        VS_TRY(vs_attention_run(block->context, frame, b, vs_advance(b, c), vs_advance(b, 2 * c),
                                &attention));
    }
    struct vs_conv proj =
        vs_vae_same_size(block, ATTENTION_PROJ, n_frames, state->height, state->width);
    proj.residual = x;
    VS_TRY(vs_conv_run(block->context, out, a, &proj));
fail:
    return status;
}

static enum vs_status run_up(const struct vs_vae_block *block, struct vs_vae_state *state,
                             struct vs_span out, size_t *n_out, struct vs_span x, size_t n_frames,
                             struct vs_span a)
{
    enum vs_status status = VS_OK;
    struct vs_span doubled = x;
    *n_out = n_frames;
    if (block->layout.time) {
        /* The first frame of the stream stays one frame, and time_conv never sees it. */
        size_t frame = state->past_frame[0], n_first = state->begun ? 0 : 1;
        if (n_first)
            VS_TRY(vs_vae_copy(a, x, frame));
        size_t n_rest = n_frames - n_first;
        if (n_rest) {
            struct vs_span rest = vs_advance(x, n_first * frame);
            struct vs_conv conv =
                vs_vae_same_size(block, VS_TIME, n_rest, state->height, state->width);
            conv.n_past = PAST;
            if (state->time_begun)
                conv.past = vs_span_of(state->past[0]);
            conv.split_frames = true;
            VS_TRY(vs_conv_run(block->context, vs_advance(a, n_first * frame), rest, &conv));
            VS_TRY(vs_vae_remember(state, 0, state->time_begun, rest, n_rest));
            state->time_begun = true;
        }
        doubled = a;
        *n_out = n_first + 2 * n_rest;
    }
    struct vs_conv conv = vs_vae_same_size(block, VS_RESAMPLE, *n_out, state->height, state->width);
    conv.upsample = true;
    conv.out_height = 2 * state->height;
    conv.out_width = 2 * state->width;
    VS_TRY(vs_conv_run(block->context, out, doubled, &conv));
fail:
    return status;
}

/* Halves frames behind the first of the stream: y [n_frames] to out, with what is held. */
static enum vs_status halve_frames(const struct vs_vae_block *block, struct vs_vae_state *state,
                                   struct vs_span out, size_t *n_out, struct vs_span y,
                                   size_t n_frames)
{
    enum vs_status status = VS_OK;
    const struct vs_span past = vs_span_of(state->past[0]);
    size_t frame = state->past_frame[0];
    *n_out = 0;
    if (!state->begun && n_frames) {
        /* The first frame passes, and is the beginning of the history. */
        VS_TRY(vs_vae_copy(out, y, frame));
        VS_TRY(vs_vae_copy(past, y, frame));
        state->n_held = 1;
        out = vs_advance(out, frame);
        y = vs_advance(y, frame);
        n_frames--;
        *n_out = 1;
    }
    if (state->n_held + n_frames <= PAST) { /* not enough for a step: wait */
        VS_TRY(vs_vae_copy(vs_advance(past, state->n_held * frame), y, n_frames * frame));
        state->n_held += n_frames;
        return VS_OK;
    }
    struct vs_conv conv =
        vs_vae_same_size(block, VS_TIME, n_frames, state->height / 2, state->width / 2);
    conv.n_past = state->n_held;
    conv.past = past;
    conv.stride_time = 2;
    VS_TRY(vs_conv_run(block->context, out, y, &conv));
    size_t n_new = vs_conv_out_frames(&conv), n_left = state->n_held + n_frames - 2 * n_new;
    VS_TRY(vs_vae_copy(past, vs_advance(y, (n_frames - n_left) * frame), n_left * frame));
    state->n_held = n_left;
    *n_out += n_new;
fail:
    return status;
}

static enum vs_status run_down(const struct vs_vae_block *block, struct vs_vae_state *state,
                               struct vs_span out, size_t *n_out, struct vs_span x,
                               size_t n_frames, struct vs_span a)
{
    enum vs_status status = VS_OK;
    struct vs_conv conv =
        vs_vae_same_size(block, VS_RESAMPLE, n_frames, state->height, state->width);
    conv.pad_top = conv.pad_left = 0; /* zeros at the right and at the bottom only */
    conv.out_height = state->height / 2;
    conv.out_width = state->width / 2;
    *n_out = n_frames;
    if (!block->layout.time)
        return vs_conv_run(block->context, out, x, &conv);
    VS_TRY(vs_conv_run(block->context, a, x, &conv));
    VS_TRY(halve_frames(block, state, out, n_out, a, n_frames));
fail:
    return status;
}

enum vs_status vs_vae_block_run(const struct vs_vae_block *block, struct vs_vae_state *state,
                                struct vs_span out, size_t *n_out, struct vs_span x,
                                size_t n_frames, struct vs_span a, struct vs_span b)
{
    enum vs_status status = VS_OK;
    *n_out = n_frames;
    if (!n_frames)
        return VS_OK;
    switch (block->layout.kind) {
    case VS_VAE_CONV:
        VS_TRY(causal_conv(block, state, 0, out, x, n_frames, none));
        break;
    case VS_VAE_RES:
        VS_TRY(run_res(block, state, out, x, n_frames, a, b));
        break;
    case VS_VAE_ATTENTION:
        VS_TRY(run_attention(block, state, out, x, n_frames, a, b));
        break;
    case VS_VAE_UP:
        VS_TRY(run_up(block, state, out, n_out, x, n_frames, a));
        break;
    case VS_VAE_DOWN:
        VS_TRY(run_down(block, state, out, n_out, x, n_frames, a));
        break;
    case VS_VAE_HEAD:
        VS_TRY(vs_vae_norm_silu(block, 0, a, x, n_frames * state->height * state->width,
                         block->layout.n_in));
        VS_TRY(causal_conv(block, state, 0, out, a, n_frames, none));
        break;
    }
    state->begun = true;
fail:
    return status;
}
