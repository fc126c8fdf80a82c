/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_conv.c - validation of the kinds of convolution that the VAE is made of. */
#include "kernels/validate/trial.h"

#include <string.h>

#include "kernels/conv/conv.h"

struct shape {
    const char *what;
    size_t n_in, n_out, kernel[3];
    size_t n_frames, height, width, n_past;
    bool past, residual, upsample, split;
    size_t stride_time, stride; /* 0: 1 */
    enum vs_input input;
};

struct job {
    struct vs_conv conv;
    struct vs_span x;
};

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    const struct job *job = data;
    return vs_conv_run_variant(trial->context, variant, out, job->x, &job->conv);
}

static bool usable(struct vs_trial *trial, const void *data, size_t variant)
{
    const struct job *job = data;
    return vs_conv_variant_usable(trial->context, variant, &job->conv);
}

/* Padding, stride and sizes as the blocks of the VAE have them. */
static struct vs_conv conv_of(const struct shape *s, const struct vs_conv_weight *weight)
{
    size_t stride = weight->stride, doubled = s->upsample ? 2 : 1;
    return (struct vs_conv){.weight = weight,
                            .n_frames = s->n_frames,
                            .height = s->height,
                            .width = s->width,
                            .n_past = s->n_past,
                            .stride_time = s->stride_time ? s->stride_time : 1,
                            .pad_top = stride == 1 ? s->kernel[1] / 2 : 0,
                            .pad_left = stride == 1 ? s->kernel[2] / 2 : 0,
                            .out_height = s->height * doubled / stride,
                            .out_width = s->width * doubled / stride,
                            .upsample = s->upsample,
                            .split_frames = s->split};
}

struct host {
    const float *x, *past, *weight, *bias, *residual;
};

/* Input at a place the kernel sees: history first, doubled if x is, zero outside. */
static double exact_input(const struct host *h, const struct vs_conv *conv, size_t frame,
                          size_t row, size_t column, size_t c)
{
    size_t doubled = conv->upsample ? 2 : 1, n_in = conv->weight->n_in;
    row -= conv->pad_top, column -= conv->pad_left; /* wraps in front of the frame */
    if (row >= conv->height * doubled || column >= conv->width * doubled)
        return 0;
    const float *frames = frame < conv->n_past ? h->past : h->x;
    frame -= frame < conv->n_past ? 0 : conv->n_past;
    size_t pixel = (frame * conv->height + row / doubled) * conv->width + column / doubled;
    return frames ? (double)frames[pixel * n_in + c] : 0;
}

static double exact_output(const struct host *h, const struct vs_conv *conv, size_t frame,
                           size_t row, size_t column, size_t o)
{
    const size_t *kernel = conv->weight->kernel;
    size_t n_in = conv->weight->n_in;
    double y = (double)h->bias[o];
    for (size_t c = 0; c < n_in; c++)
        for (size_t t = 0; t < kernel[0]; t++)
            for (size_t i = 0; i < kernel[1]; i++)
                for (size_t j = 0; j < kernel[2]; j++)
                    y += exact_input(h, conv, frame * conv->stride_time + t,
                                     row * conv->weight->stride + i,
                                     column * conv->weight->stride + j, c) *
                         (double)h->weight[(((o * n_in + c) * kernel[0] + t) * kernel[1] + i) *
                                               kernel[2] +
                                           j];
    return y;
}

static void exact_conv(double *out, const struct host *h, const struct vs_conv *conv)
{
    size_t n_each = conv->split_frames ? 2 : 1, n_channels = conv->weight->n_out / n_each;
    size_t place = 0;
    for (size_t f = 0; f < vs_conv_out_frames(conv); f++)
        for (size_t row = 0; row < conv->out_height; row++)
            for (size_t column = 0; column < conv->out_width; column++)
                for (size_t c = 0; c < n_channels; c++, place++)
                    out[place] = exact_output(h, conv, f / n_each, row, column,
                                              f % n_each * n_channels + c) +
                                 (h->residual ? (double)h->residual[place] : 0);
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    const struct shape *s = self->shape;
    size_t n_k = s->n_in * s->kernel[0] * s->kernel[1] * s->kernel[2];
    size_t n_x = s->n_frames * s->height * s->width * s->n_in;
    size_t n_past = s->n_past * s->height * s->width * s->n_in;
    struct vs_conv_weight packed = {
        .n_in = s->n_in, .n_out = s->n_out, .stride = s->stride ? s->stride : 1};
    memcpy(packed.kernel, s->kernel, sizeof packed.kernel);
    struct vs_conv conv = conv_of(s, &packed);
    size_t n_out = vs_conv_out_frames(&conv) * conv.out_height * conv.out_width * s->n_out /
                   (s->split ? 2 : 1);
    vs_trial_shape(t, "%s %zux%zux%zux%zu to %zu%s", s->what, s->n_frames, s->height, s->width,
                   s->n_in, s->n_out, vs_input_names[s->input]);
    float *weight = vs_trial_input(t, s->n_out * n_k, VS_INPUT_GAUSS, 0.1f);
    float *x = vs_trial_input(t, n_x, s->input, 1);
    float *past = vs_trial_input(t, n_past, VS_INPUT_GAUSS, 1);
    float *bias = vs_trial_input(t, s->n_out, VS_INPUT_GAUSS, 1);
    float *residual = vs_trial_input(t, n_out, VS_INPUT_GAUSS, 1),
          *want = vs_trial_floats(t, n_out);
    double *exact = vs_trial_doubles(t, n_out);
    if (t->status != VS_OK)
        return;
    for (size_t i = 0; i < s->n_out * n_k && s->input == VS_INPUT_BITS; i++)
        weight[i] = (float)(vs_trial_random(t) & 1);
    for (size_t i = 0; i < s->n_out && s->input == VS_INPUT_BITS; i++)
        bias[i] = (float)(vs_trial_random(t) & 1);
    struct host host = {x, s->past ? past : NULL, weight, bias, s->residual ? residual : NULL};
    vs_conv_ref(want, x, weight, bias, host.past, host.residual, &conv);
    exact_conv(exact, &host, &conv);
    t->status = vs_conv_weight_create(&packed, t->context, weight, VS_F32, s->n_out, s->n_in,
                                      s->kernel, packed.stride);
    if (t->status != VS_OK)
        return;
    struct job job = {conv, vs_trial_upload(t, x, n_x)};
    job.conv.bias = vs_trial_upload(t, bias, s->n_out);
    if (s->past)
        job.conv.past = vs_trial_upload(t, past, n_past);
    if (s->residual)
        job.conv.residual = vs_trial_upload(t, residual, n_out);
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch,
                                              .job = &job,
                                              .variant_name = vs_conv_variant_name,
                                              .usable = usable,
                                              .n = n_out,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true});
    vs_conv_weight_free(&packed);
}

#define SHAPE(...)                                                                                 \
    &(const struct shape)                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
const struct vs_case vs_cases_conv[] = {
    {"conv", run, SHAPE("causal 3x3x3", 12, 20, {3, 3, 3}, 2, 5, 7, 2, .past = true), true, 64},
    {"conv", run, SHAPE("winograd 3x3x3", 24, 18, {3, 3, 3}, 2, 5, 7, 2, .past = true), true, 64},
    {"conv", run, SHAPE("winograd doubled 3x3", 16, 16, {1, 3, 3}, 1, 5, 6, .upsample = true), true,
     64},
    {"conv", run, SHAPE("causal 3x3x3 first", 5, 3, {3, 3, 3}, 1, 4, 9, 2), true, 64},
    {"conv", run,
     SHAPE("winograd 3x3x3 residual", 24, 24, {3, 3, 3}, 3, 8, 12, 2, .past = true,
           .residual = true),
     false, 64},
    {"conv", run, SHAPE("1x1x1", 37, 18, {1, 1, 1}, 2, 3, 11), true, 64},
    {"conv", run, SHAPE("doubled 3x3", 8, 16, {1, 3, 3}, 1, 5, 6, .upsample = true), true, 64},
    {"conv", run,
     SHAPE("time 3x1x1 split", 12, 24, {3, 1, 1}, 2, 4, 5, 2, .past = true, .split = true), true,
     64},
    {"conv", run, SHAPE("3x3 stride 2", 12, 12, {1, 3, 3}, 2, 8, 10, .stride = 2), false, 64},
    {"conv", run,
     SHAPE("time 3x1x1 stride 2", 12, 12, {3, 1, 1}, 4, 4, 5, 1, .past = true, .stride_time = 2),
     false, 64},
    {"conv", run, SHAPE("causal 3x3x3", 7, 9, {3, 3, 3}, 2, 5, 6, 2, .input = VS_INPUT_BITS), true,
     0},
    {"conv", run, SHAPE("1x1x1", 19, 9, {1, 1, 1}, 2, 5, 6, .input = VS_INPUT_SPECIAL), true, 64},
    {0},
};
