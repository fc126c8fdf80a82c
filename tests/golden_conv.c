/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_conv.c - golden cases of the convolutions, of the VAE's norm and of bytes. */
#include "kernels/conv/conv.h"
#include "kernels/norm/norm.h"
#include "kernels/pixels/pixels.h"
#include "tests/golden.h"

static void free_weight(void *weight)
{
    vs_conv_weight_free(weight);
}

/* An input [out, in, kt, kh, kw] or [out, in, kh, kw] as packed weights. */
static const struct vs_conv_weight *conv_weight(struct golden *golden, const char *name,
                                                size_t stride)
{
    const struct vs_tensor *tensor = golden_tensor(golden, name);
    struct vs_conv_weight *weight = golden_alloc(golden, sizeof *weight);
    size_t n = tensor->n_dims;
    if (n != 4 && n != 5)
        golden_fail(golden, "%s has %zu dimensions", name, n);
    const size_t kernel[3] = {n == 5 ? tensor->shape[2] : 1, tensor->shape[n - 2],
                              tensor->shape[n - 1]};
    golden_ok(golden, vs_conv_weight_create(weight, golden->context, tensor->data, tensor->dtype,
                                            tensor->shape[0], tensor->shape[1], kernel, stride));
    golden_defer(golden, free_weight, weight);
    return weight;
}

/* A [F, C, H, W] input with the channels last; and with time_inside a [C, F, H, W] one, where a
 * channel's frames lie one under the other like rows of one tall picture. */
static struct vs_span channels_last(struct golden *golden, const char *name, bool time_inside)
{
    size_t n = golden_count(golden, name), f = golden_dim(golden, name, 0);
    size_t c = golden_dim(golden, name, 1), h = golden_dim(golden, name, 2);
    struct vs_span out = golden_device(golden, NULL, n), none = {0};
    golden_ok(golden,
              vs_channels_last_run(golden->context, out, golden_upload(golden, name), none, none,
                                   time_inside ? 1 : f, time_inside ? f : c,
                                   time_inside ? c * h : h, golden_dim(golden, name, 3)));
    return out;
}

/* Compares y [F, H, W, C] with an output [F, C, H, W], or [C, F, H, W] with time_inside. */
static void compare(struct golden *golden, const char *name, struct vs_span y, size_t f, size_t c,
                    size_t h, size_t w, bool time_inside)
{
    struct vs_span out = golden_device(golden, NULL, f * c * h * w), none = {0};
    golden_ok(golden, vs_channels_first_run(golden->context, out, y, none, none,
                                            time_inside ? 1 : f, c, c,
                                            time_inside ? f * h : h, w));
    golden_compare_span(golden, name, out, f * c * h * w);
}

/* in.x [C, T, H, W] in the calls given; before the first frame stand zeros. */
static void causal_conv3d(struct golden *golden)
{
    size_t c = golden_dim(golden, "in.x", 0), t = golden_dim(golden, "in.x", 1);
    size_t h = golden_dim(golden, "in.x", 2), w = golden_dim(golden, "in.x", 3);
    const struct vs_conv_weight *weight = conv_weight(golden, "in.c.weight", 1);
    size_t frame = h * w * c, out_frame = h * w * weight->n_out, n_past = weight->kernel[0] - 1;
    struct vs_span x = channels_last(golden, "in.x", true);
    float *zeros = golden_alloc(golden, (n_past + t) * frame * sizeof *zeros);
    struct vs_span padded = golden_device(golden, zeros, (n_past + t) * frame);
    golden_ok(golden, vs_buffer_copy(padded.buffer,
                                     (padded.offset + n_past * frame) * sizeof(float), x.buffer,
                                     x.offset * sizeof(float), t * frame * sizeof(float)));
    struct vs_span out = golden_device(golden, NULL, t * out_frame);
    struct vs_conv conv = {.weight = weight,
                           .bias = golden_upload(golden, "in.c.bias"),
                           .height = h,
                           .width = w,
                           .n_past = n_past,
                           .stride_time = 1,
                           .pad_top = weight->kernel[1] / 2,
                           .pad_left = weight->kernel[2] / 2,
                           .out_height = h,
                           .out_width = w};
    size_t done = 0;
    for (size_t i = 0; i < golden_list_length(golden, "calls"); i++) {
        conv.n_frames = (size_t)golden_list_number(golden, "calls", i);
        conv.past = done ? vs_span_at(padded.buffer, padded.offset + done * frame)
                         : (struct vs_span){0};
        if (conv.n_frames > t - done)
            golden_fail(golden, "calls go past the %zu frames of in.x", t);
        struct vs_span from = padded, to = out;
        from.offset += (n_past + done) * frame;
        to.offset += done * out_frame;
        golden_ok(golden, vs_conv_run(golden->context, to, from, &conv));
        done += conv.n_frames;
    }
    compare(golden, "out.y", out, done, weight->n_out, h, w, true);
}

/* Runs conv, sets its weights and bias and the size of its input; compares out.y. */
static void run_and_compare(struct golden *golden, struct vs_span x, struct vs_conv *conv,
                            bool time_inside)
{
    size_t n_frames = vs_conv_out_frames(conv), n_out = conv->weight->n_out;
    struct vs_span out =
        golden_device(golden, NULL, n_frames * conv->out_height * conv->out_width * n_out);
    golden_ok(golden, vs_conv_run(golden->context, out, x, conv));
    compare(golden, "out.y", out, n_frames, n_out, conv->out_height, conv->out_width, time_inside);
}

static void conv3d_time_stride2(struct golden *golden)
{
    struct vs_conv conv = {.weight = conv_weight(golden, "in.weight", 1),
                           .bias = golden_upload(golden, "in.bias"),
                           .n_frames = golden_dim(golden, "in.x", 1),
                           .height = golden_dim(golden, "in.x", 2),
                           .width = golden_dim(golden, "in.x", 3),
                           .stride_time = 2};
    conv.out_height = conv.height - conv.weight->kernel[1] + 1;
    conv.out_width = conv.width - conv.weight->kernel[2] + 1;
    run_and_compare(golden, channels_last(golden, "in.x", true), &conv, true);
}

static void conv2d(struct golden *golden)
{
    size_t pad[4], stride = golden_size(golden, "stride");
    for (size_t i = 0; i < 4; i++)
        pad[i] = (size_t)golden_list_number(golden, "pad_left_right_top_bottom", i);
    struct vs_conv conv = {.weight = conv_weight(golden, "in.weight", stride),
                           .n_frames = golden_dim(golden, "in.x", 0),
                           .height = golden_dim(golden, "in.x", 2),
                           .width = golden_dim(golden, "in.x", 3),
                           .stride_time = 1,
                           .pad_top = pad[2],
                           .pad_left = pad[0]};
    if (golden_has(golden, "in.bias"))
        conv.bias = golden_upload(golden, "in.bias");
    size_t high = conv.height + pad[2] + pad[3], wide = conv.width + pad[0] + pad[1];
    if (!stride || high < conv.weight->kernel[1] || wide < conv.weight->kernel[2])
        golden_fail(golden, "the kernel is larger than the padded input");
    conv.out_height = (high - conv.weight->kernel[1]) / stride + 1;
    conv.out_width = (wide - conv.weight->kernel[2]) / stride + 1;
    run_and_compare(golden, channels_last(golden, "in.x", false), &conv, false);
}

/* Doubling is part of the convolution: a 1x1 kernel that passes every channel shows it alone. */
static void upsample_nearest(struct golden *golden)
{
    size_t c = golden_dim(golden, "in.x", 1);
    struct vs_conv_weight *weight = golden_alloc(golden, sizeof *weight);
    float *identity = golden_alloc(golden, c * c * sizeof *identity);
    for (size_t i = 0; i < c; i++)
        identity[i * c + i] = 1;
    golden_ok(golden, vs_conv_weight_create(weight, golden->context, identity, VS_F32, c, c,
                                            (size_t[]){1, 1, 1}, 1));
    golden_defer(golden, free_weight, weight);
    struct vs_conv conv = {.weight = weight,
                           .n_frames = golden_dim(golden, "in.x", 0),
                           .height = golden_dim(golden, "in.x", 2),
                           .width = golden_dim(golden, "in.x", 3),
                           .stride_time = 1,
                           .upsample = true};
    conv.out_height = 2 * conv.height;
    conv.out_width = 2 * conv.width;
    run_and_compare(golden, channels_last(golden, "in.x", false), &conv, false);
}

/* in.x [C, T, H, W]. */
static void vae_rmsnorm(struct golden *golden)
{
    size_t c = golden_dim(golden, "in.x", 0), t = golden_dim(golden, "in.x", 1);
    size_t h = golden_dim(golden, "in.x", 2), w = golden_dim(golden, "in.x", 3);
    struct vs_span x = channels_last(golden, "in.x", true);
    golden_ok(golden, vs_channel_norm_run(golden->context, x, x, golden_upload(golden, "in.gamma"),
                                          t * h * w, c, false));
    compare(golden, "out.y", x, t, c, h, w, true);
}

static void to_bytes(struct golden *golden)
{
    size_t n = golden_count(golden, "in.x");
    size_t n_ints = n / sizeof(int32_t) + 1;
    int32_t *space = golden_alloc(golden, n_ints * sizeof *space);
    struct vs_buffer *buffer = golden_int_buffer(golden, space, n_ints);
    uint8_t *bytes = golden_alloc(golden, n);
    golden_ok(golden,
              vs_bytes_run(golden->context, buffer, 0, channels_last(golden, "in.x", false), n));
    golden_ok(golden, vs_buffer_read(buffer, 0, bytes, n));
    golden_compare_bytes(golden, "out.bytes", bytes, n);
}

const struct golden_op golden_ops_conv[] = {
    {"causal_conv3d", causal_conv3d},
    {"conv3d_time_stride2", conv3d_time_stride2},
    {"conv2d", conv2d},
    {"upsample_nearest", upsample_nearest},
    {"vae_rmsnorm", vae_rmsnorm},
    {"to_bytes", to_bytes},
    {NULL, NULL},
};
