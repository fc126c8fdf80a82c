/* SPDX-License-Identifier: Apache-2.0
 *
 * check_conv.c - every variant of the convolutions against the oracle, bit for bit. */
#include "tests/check_common.h"

#include <stdlib.h>
#include <string.h>

#include "cl/profile.h"
#include "kernels/conv/conv.h"

/* One convolution of random data. */
struct trial {
    const char *what;
    size_t n_out, n_in, kernel[3];
    size_t n_frames, height, width, n_past;
    bool past, bias, residual;
    size_t stride_time, stride, pad_top, pad_left, out_height, out_width;
    bool upsample, split;
    size_t first_row;
};

static const struct trial trials[] = {
    {"one value", 1, 1, {1, 1, 1}, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0},
    {"1x1x1, odd", 3, 7, {1, 1, 1}, 3, 4, 5, 0, 0, 1, 0, 1, 1, 0, 0, 4, 5, 0, 0},
    {"1x1x1, K just under a block", 5, 255, {1, 1, 1}, 1, 2, 3, 0, 0, 1, 0, 1, 1, 0, 0, 2, 3, 0, 0},
    {"1x1x1, K one block", 16, 256, {1, 1, 1}, 1, 2, 7, 0, 0, 1, 0, 1, 1, 0, 0, 2, 7, 0, 0},
    {"1x1x1, K past a block", 17, 257, {1, 1, 1}, 1, 3, 3, 0, 0, 1, 1, 1, 1, 0, 0, 3, 3, 0, 0},
    {"1x1x1, K past two blocks", 9, 513, {1, 1, 1}, 2, 1, 6, 0, 0, 1, 0, 1, 1, 0, 0, 1, 6, 0, 0},
    {"causal, begins", 6, 5, {3, 3, 3}, 2, 6, 7, 2, 0, 1, 0, 1, 1, 1, 1, 6, 7, 0, 0},
    {"causal, goes on", 6, 5, {3, 3, 3}, 3, 6, 7, 2, 1, 1, 0, 1, 1, 1, 1, 6, 7, 0, 0},
    {"causal, one frame", 12, 12, {3, 3, 3}, 1, 5, 13, 2, 1, 1, 1, 1, 1, 1, 1, 5, 13, 0, 0},
    {"causal, wide rows", 33, 11, {3, 3, 3}, 2, 3, 37, 2, 1, 1, 1, 1, 1, 1, 1, 3, 37, 0, 0},
    {"causal, long taps", 3, 100, {3, 3, 3}, 1, 3, 20, 2, 1, 1, 0, 1, 1, 1, 1, 3, 20, 0, 0},
    {"causal, many tiles", 20, 3, {3, 3, 3}, 4, 17, 19, 2, 1, 1, 1, 1, 1, 1, 1, 17, 19, 0, 0},
    {"no frame yet", 4, 3, {3, 1, 1}, 1, 2, 2, 1, 1, 1, 0, 1, 1, 0, 0, 2, 2, 0, 0},
    {"time only", 12, 6, {3, 1, 1}, 4, 3, 5, 2, 1, 1, 0, 1, 1, 0, 0, 3, 5, 0, 0},
    {"time only, frames split", 26, 13, {3, 1, 1}, 3, 3, 5, 2, 1, 1, 0, 1, 1, 0, 0, 3, 5, 0, 1},
    {"frames split, residual", 34, 4, {3, 3, 3}, 2, 3, 5, 2, 0, 1, 1, 1, 1, 1, 1, 3, 5, 0, 1},
    {"time stride 2", 6, 6, {3, 1, 1}, 4, 4, 3, 1, 1, 1, 0, 2, 1, 0, 0, 4, 3, 0, 0},
    {"time stride 2, even count", 7, 5, {3, 1, 1}, 5, 4, 3, 1, 1, 1, 0, 2, 1, 0, 0, 4, 3, 0, 0},
    {"stride 2, even", 4, 4, {1, 3, 3}, 2, 8, 10, 0, 0, 1, 0, 1, 2, 0, 0, 4, 5, 0, 0},
    {"stride 2, odd", 4, 4, {1, 3, 3}, 2, 7, 9, 0, 0, 1, 0, 1, 2, 0, 0, 3, 4, 0, 0},
    {"stride 2, wide", 18, 9, {1, 3, 3}, 1, 6, 61, 0, 0, 1, 0, 1, 2, 1, 1, 3, 30, 0, 0},
    {"stride 3, kernel 2x5", 2, 3, {1, 2, 5}, 1, 9, 31, 0, 0, 0, 0, 1, 3, 1, 2, 3, 10, 0, 0},
    {"doubled 3x3", 8, 16, {1, 3, 3}, 3, 5, 4, 0, 0, 1, 0, 1, 1, 1, 1, 10, 8, 1, 0},
    {"doubled 3x3, wide", 5, 3, {1, 3, 3}, 1, 2, 23, 0, 0, 1, 1, 1, 1, 1, 1, 4, 46, 1, 0},
    {"doubled 1x1", 5, 5, {1, 1, 1}, 2, 3, 7, 0, 0, 0, 0, 1, 1, 0, 0, 6, 14, 1, 0},
    {"doubled, causal", 5, 5, {3, 3, 3}, 2, 3, 4, 2, 1, 1, 0, 1, 1, 1, 1, 6, 8, 1, 0},
    {"winograd, begins", 16, 16, {3, 3, 3}, 2, 6, 8, 2, 0, 1, 0, 1, 1, 1, 1, 6, 8, 0, 0},
    {"winograd, goes on", 17, 23, {3, 3, 3}, 4, 5, 7, 2, 1, 1, 1, 1, 1, 1, 1, 5, 7, 0, 0},
    {"winograd, long taps", 20, 96, {3, 3, 3}, 1, 3, 5, 2, 1, 1, 0, 1, 1, 1, 1, 3, 5, 0, 0},
    {"winograd, one row", 33, 19, {1, 3, 3}, 2, 1, 37, 0, 0, 1, 1, 1, 1, 1, 1, 1, 37, 0, 0},
    {"winograd, a band", 18, 16, {3, 3, 3}, 1, 6, 5, 2, 1, 1, 1, 1, 1, 0, 1, 3, 5, 0, 0, 7},
    {"winograd, doubled", 24, 16, {1, 3, 3}, 2, 5, 3, 0, 0, 1, 0, 1, 1, 1, 1, 10, 6, 1, 0},
    {"winograd, doubled band", 16, 31, {1, 3, 3}, 1, 4, 3, 0, 0, 0, 1, 1, 1, 2, 1, 5, 6, 1, 0, 3},
    {"winograd, split", 38, 16, {3, 3, 3}, 3, 3, 4, 2, 1, 1, 1, 1, 1, 1, 1, 3, 4, 0, 1},
    {"winograd, in time stride 2", 16, 16, {3, 3, 3}, 5, 4, 3, 0, 0, 1, 0, 2, 1, 1, 1, 4, 3, 0, 0},
    {"winograd, odd padding", 16, 16, {1, 3, 3}, 1, 2, 2, 0, 0, 1, 0, 1, 1, 4, 5, 9, 11, 0, 0},
    {"just not winograd", 15, 16, {3, 3, 3}, 1, 4, 4, 2, 0, 1, 0, 1, 1, 1, 1, 4, 4, 0, 0},
    {"padding past the kernel", 3, 2, {1, 3, 3}, 1, 2, 2, 0, 0, 1, 0, 1, 1, 4, 5, 9, 11, 0, 0},
};
enum { N_TRIALS = sizeof trials / sizeof *trials };

START_TEST(variants_equal_oracle)
{
    const struct trial *t = &trials[_i];
    size_t n_k = t->n_in * t->kernel[0] * t->kernel[1] * t->kernel[2];
    size_t n_x = t->n_frames * t->height * t->width * t->n_in;
    size_t n_past = t->n_past * t->height * t->width * t->n_in;
    if (!check_affordable((double)(n_x * t->n_out * n_k / t->n_in)))
        return;
    float *weight = check_floats(t->n_out * n_k, 1), *bias = check_floats(t->n_out, 1);
    float *x = check_floats(n_x, 1), *past = check_floats(n_past, 1);
    struct vs_conv_weight packed;
    check_ok(vs_conv_weight_create(&packed, check_context, weight, VS_F32, t->n_out, t->n_in,
                                   t->kernel, t->stride));
    struct check_buffer dx = check_upload(x, n_x), dpast = check_upload(past, n_past);
    struct check_buffer dbias = check_upload(bias, t->n_out);
    struct vs_conv conv = {
        .weight = &packed,
        .n_frames = t->n_frames,
        .height = t->height,
        .width = t->width,
        .n_past = t->n_past,
        .stride_time = t->stride_time,
        .pad_top = t->pad_top,
        .pad_left = t->pad_left,
        .out_height = t->out_height,
        .out_width = t->out_width,
        .upsample = t->upsample,
        .split_frames = t->split,
        .first_row = t->first_row,
    };
    if (t->past)
        conv.past = dpast.span;
    if (t->bias)
        conv.bias = dbias.span;
    size_t n_channels = t->split ? t->n_out / 2 : t->n_out;
    size_t n_out = vs_conv_out_frames(&conv) * t->out_height * t->out_width * n_channels;
    float *residual = check_floats(n_out, 1), *want = check_nans(n_out);
    vs_conv_ref(want, x, weight, t->bias ? bias : NULL, t->past ? past : NULL,
                t->residual ? residual : NULL, &conv);

    for (size_t variant = 0; vs_conv_variant_name(variant); variant++)
        for (int run = 0; run < check_n_runs(); run++) {
            if (!vs_conv_variant_usable(check_context, variant, &conv))
                continue;
            struct check_buffer out = check_upload(NULL, n_out);
            struct check_buffer dresidual = check_upload(residual, n_out);
            if (t->residual)
                conv.residual = dresidual.span;
            check_ok(vs_conv_run_variant(check_context, variant, out.span, dx.span, &conv));
            check_bits(&out, want, "%s, %s", t->what, vs_conv_variant_name(variant));
            if (t->residual) {
                check_ok(
                    vs_conv_run_variant(check_context, variant, dresidual.span, dx.span, &conv));
                check_bits(&dresidual, want, "%s, %s, in place", t->what,
                           vs_conv_variant_name(variant));
            }
            check_free(&out), check_free(&dresidual);
        }
    vs_conv_weight_free(&packed);
    check_free(&dx), check_free(&dpast), check_free(&dbias);
    free(weight), free(bias), free(x), free(past), free(residual), free(want);
}
END_TEST

/* The demo's VAE has half-precision weights, other files bfloat16; float32 denormals are zero. */
START_TEST(weights_are_widened)
{
    static const uint16_t half[] = {0x3c00, 0xc000, 0x0001}, brain[] = {0x3f80, 0xc000, 0x0001};
    static const float single[] = {1, -2, 1e-40f};
    static const struct {
        const void *data;
        enum vs_dtype dtype;
        float want[3];
    } cases[] = {
        {half, VS_F16, {1, -2, 0x1p-24f}},
        {brain, VS_BF16, {1, -2, 0}},
        {single, VS_F32, {1, -2, 0}}};
    const float one = 0x1p100f; /* makes a denormal that slipped through visible */
    struct check_buffer x = check_upload(&one, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vs_conv_weight weight;
        check_ok(vs_conv_weight_create(&weight, check_context, cases[i].data, cases[i].dtype, 3, 1,
                                       (size_t[]){1, 1, 1}, 1));
        struct vs_conv conv = {.weight = &weight,
                               .n_frames = 1,
                               .height = 1,
                               .width = 1,
                               .stride_time = 1,
                               .out_height = 1,
                               .out_width = 1};
        float want[3];
        for (int o = 0; o < 3; o++)
            want[o] = cases[i].want[o] * one;
        struct check_buffer out = check_upload(NULL, 3);
        check_ok(vs_conv_run(check_context, out.span, x.span, &conv));
        check_bits(&out, want, "weights of type %s", vs_dtype_info(cases[i].dtype)->name);
        check_free(&out);
        vs_conv_weight_free(&weight);
    }
    check_free(&x);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    static const float data[64];
    struct vs_conv_weight weight;
    size_t one[3] = {1, 1, 1};
    ck_assert_int_eq(vs_conv_weight_create(&weight, check_context, data, VS_Q8_0, 1, 32, one, 1),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(vs_conv_weight_create(&weight, check_context, data, VS_F32, 0, 4, one, 1),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(
        vs_conv_weight_create(&weight, check_context, data, VS_F32, 1, SIZE_MAX, one, 1),
        VS_ERROR_MODEL);
    ck_assert_int_eq(
        vs_conv_weight_create(&weight, check_context, data, VS_F32, 4, 4, (size_t[]){0, 1, 1}, 1),
        VS_ERROR_MODEL);

    check_ok(vs_conv_weight_create(&weight, check_context, data, VS_F32, 3, 2, one, 1));
    struct check_buffer x = check_upload(data, 24), out = check_upload(NULL, 36);
    const struct vs_conv good = {.weight = &weight,
                                 .n_frames = 2,
                                 .height = 2,
                                 .width = 3,
                                 .stride_time = 1,
                                 .out_height = 2,
                                 .out_width = 3};
    check_ok(vs_conv_run(check_context, out.span, x.span, &good));
    struct vs_conv bad[6];
    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].split_frames = true; /* 3 channels */
    bad[1].stride_time = 0;
    bad[2].n_frames = 100;
    bad[3].height = SIZE_MAX;
    bad[4].out_width = 1000;
    bad[5].residual = vs_span_at(out.buffer, 1000);
    for (int i = 0; i < 6; i++)
        for (size_t variant = 0; vs_conv_variant_name(variant); variant++)
            ck_assert_int_eq(
                vs_conv_run_variant(check_context, variant, out.span, x.span, &bad[i]),
                VS_ERROR_RUNTIME);
    check_free(&x), check_free(&out);
    vs_conv_weight_free(&weight);
}
END_TEST

/* What Winograd's products and what they save are the direct formula's operations together. */
START_TEST(saved_operations_are_counted)
{
    enum { N_IN = 20, N_OUT = 17, H = 5, W = 7, FRAMES = 2 };
    float *data = check_floats(N_OUT * N_IN * 27, 1);
    struct vs_conv_weight weight;
    struct vs_profile_entry *entries;
    size_t n;
    double flops = 0;
    check_ok(vs_conv_weight_create(&weight, check_context, data, VS_F32, N_OUT, N_IN,
                                   (size_t[]){3, 3, 3}, 1));
    struct check_buffer x = check_upload(NULL, FRAMES * H * W * N_IN);
    struct check_buffer out = check_upload(NULL, FRAMES * H * W * N_OUT);
    const struct vs_conv conv = {.weight = &weight,
                                 .n_frames = FRAMES,
                                 .height = H,
                                 .width = W,
                                 .n_past = 2,
                                 .stride_time = 1,
                                 .pad_top = 1,
                                 .pad_left = 1,
                                 .out_height = H,
                                 .out_width = W};
    check_ok(vs_profile_begin(check_context));
    check_ok(vs_conv_run(check_context, out.span, x.span, &conv));
    double saved = vs_profile_saved(check_context);
    check_ok(vs_profile_end(check_context, &entries, &n));
    for (size_t i = 0; i < n; i++)
        flops += strncmp(entries[i].source, "gemm/", 5) ? 0 : entries[i].flops;
    ck_assert_uint_gt(n, 2);
    ck_assert_double_eq(flops + saved, 2.0 * FRAMES * H * W * N_OUT * N_IN * 27);
    ck_assert_double_gt(saved, flops / 2);
    ck_assert_double_eq(vs_profile_saved(check_context), 0);
    free(entries), free(data);
    check_free(&x), check_free(&out);
    vs_conv_weight_free(&weight);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, variants_equal_oracle, 0, N_TRIALS);
    tcase_add_test(tests, weights_are_widened);
    tcase_add_test(tests, impossible_sizes_are_refused);
    tcase_add_test(tests, saved_operations_are_counted);
}

int main(void)
{
    return check_main("conv", add_tests);
}
