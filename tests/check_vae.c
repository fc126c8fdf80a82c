/* SPDX-License-Identifier: Apache-2.0
 *
 * check_vae.c - the VAE's streams: any cut gives the same bits, frames begin as released, memory is
 * taken once, wrong files and wrong sizes are refused. Uses the demo's weights. */
#include "tests/check_common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/scratch.h"
#include "models/vae.h"
#include "models/vae_chain.h"
#include "models/weights_internal.h"
#include "tests/file_builder.h"

enum { ROWS = 3, COLUMNS = 5, LATENT = VS_VAE_CHANNELS * ROWS * COLUMNS };
enum { FRAME = 3 * 64 * ROWS * COLUMNS };

static struct vs_weights *weights;
static struct vs_vae *vae;

static void open_vae(void)
{
    char path[512];
    const char *source = getenv("srcdir");
    snprintf(path, sizeof path, "%s/models/demo/Wan2.1_VAE.pth", source ? source : ".");
    check_device_open();
    check_ok(vs_weights_open(&weights, path));
    check_ok(vs_vae_create(&vae, check_context, weights, VS_VAE_DECODE | VS_VAE_ENCODE));
}

static void close_vae(void)
{
    vs_vae_free(vae);
    vs_weights_free(weights);
    check_device_close();
}

static struct vs_vae_stream *make_stream(enum vs_vae_direction direction, size_t n_latent_frames,
                                         size_t budget_bytes)
{
    const struct vs_vae_stream_options options = {.direction = direction,
                                                  .n_latent_frames = n_latent_frames,
                                                  .height = ROWS,
                                                  .width = COLUMNS,
                                                  .budget_bytes = budget_bytes};
    struct vs_vae_stream *stream;
    check_ok(vs_vae_stream_create(&stream, vae, &options));
    return stream;
}

/* One way through a stream: calls of so many frames, 0 at the end. */
struct cut {
    size_t calls[12];
    size_t budget_bytes;
    bool rests; /* between calls */
};

/* Runs data [n frames of `in` floats] through a stream cut that way, after `stream` was reset;
 * returns all frames of `out` floats, *n_out of them. */
static float *run(struct vs_vae_stream *stream, enum vs_vae_direction direction, const float *data,
                  const struct cut *cut, size_t in, size_t out, size_t *n_out)
{
    size_t n = 0, done = 0;
    while (cut->calls[n])
        n++;
    size_t n_data = 0;
    for (size_t i = 0; i < n; i++)
        n_data += cut->calls[i];
    struct check_buffer x = check_upload(data, n_data * in);
    float *result = check_nans(4 * n_data * out);
    struct vs_span from = x.span, to;
    *n_out = 0;
    vs_vae_stream_reset(stream);
    for (size_t i = 0; i < n; i++) {
        size_t m;
        if (cut->rests) {
            size_t n_bytes = vs_context_allocated_bytes(check_context);
            check_ok(vs_vae_stream_rest(stream));
            check_ok(vs_vae_stream_rest(stream));
            ck_assert_uint_lt(vs_context_allocated_bytes(check_context), n_bytes);
            check_ok(vs_vae_stream_wake(stream));
            ck_assert_uint_eq(vs_context_allocated_bytes(check_context), n_bytes);
        }
        if (direction == VS_VAE_DECODE) {
            check_ok(vs_vae_decode(stream, from, cut->calls[i], &to, &m));
            ck_assert_uint_eq(m, done ? 4 * cut->calls[i] : 4 * cut->calls[i] - 3);
        } else {
            check_ok(vs_vae_encode(stream, from, cut->calls[i], &to, &m));
        }
        check_ok(vs_buffer_read(to.buffer, to.offset * sizeof(float), result + *n_out * out,
                                m * out * sizeof(float)));
        from.offset += cut->calls[i] * in;
        done += cut->calls[i];
        *n_out += m;
    }
    check_free(&x);
    return result;
}

START_TEST(any_cut_decodes_to_the_same_bits)
{
    static const struct cut cuts[] = {{{6}, 0},
                                      {{1, 1, 1, 1, 1, 1}, 0},
                                      {{3, 3}, 0},
                                      {{1, 5}, 0},
                                      {{2, 1, 3}, 0},
                                      {{1, 2, 1, 2}, 0, true},
                                      {{6}, 1},          /* one frame at a time everywhere */
                                      {{2, 4}, 100000}}; /* some of the levels are cut */
    float *z = check_floats(6 * LATENT, 1), *want = NULL;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        size_t n;
        struct vs_vae_stream *stream = make_stream(VS_VAE_DECODE, 6, cuts[i].budget_bytes);
        float *got = run(stream, VS_VAE_DECODE, z, &cuts[i], LATENT, FRAME, &n);
        ck_assert_uint_eq(n, 21);
        if (!want)
            want = got;
        else
            ck_assert_msg(!memcmp(got, want, n * FRAME * sizeof *got), "cut %zu differs", i);
        if (got != want)
            free(got);
        vs_vae_stream_free(stream);
    }
    free(z), free(want);
}
END_TEST

START_TEST(any_cut_encodes_to_the_same_bits)
{
    static const struct cut cuts[] = {{{17}, 0},      {{1, 4, 4, 8}, 0}, {{5, 12}, 0},
                                      {{9, 8}, 1},    {{1, 16}, 200000},
                                      {{2, 3, 1, 5, 6}, 0}, /* not in fours */
                                      {{1, 3, 2, 11}, 0, true}};
    float *x = check_floats(17 * FRAME, 0.5f), *want = NULL;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        size_t n;
        struct vs_vae_stream *stream = make_stream(VS_VAE_ENCODE, 5, cuts[i].budget_bytes);
        float *got = run(stream, VS_VAE_ENCODE, x, &cuts[i], FRAME, LATENT, &n);
        ck_assert_uint_eq(n, 5);
        if (!want)
            want = got;
        else
            ck_assert_msg(!memcmp(got, want, n * LATENT * sizeof *got), "cut %zu differs", i);
        if (got != want)
            free(got);
        vs_vae_stream_free(stream);
    }
    free(x), free(want);
}
END_TEST

/* Frames in bands of rows, of every height down to one row: small work buffers demand them. */
START_TEST(any_band_decodes_to_the_same_bits)
{
    static const size_t sizes[][2] = {{1, 1}, {2, 3}, {5, 2}};
    const size_t h = sizes[_i][0], w = sizes[_i][1], frame = 3 * 64 * h * w;
    const size_t n = 3, latent = VS_VAE_CHANNELS * h * w;
    float *z = check_floats(2 * n * latent, 1), *want = NULL;
    struct check_buffer x = check_upload(z, 2 * n * latent);
    size_t largest = 0, smallest = SIZE_MAX;
    for (size_t budget = 16 << 20; budget; budget = budget > 2000 ? budget * 2 / 5 : budget / 2000) {
        size_t before = vs_context_allocated_bytes(check_context), n_bytes, done = 0;
        struct vs_vae_stream *stream;
        struct vs_span frames;
        float *got = check_nans(8 * n * frame);
        check_ok(vs_vae_stream_create(&stream, vae,
                                      &(struct vs_vae_stream_options){.direction = VS_VAE_DECODE,
                                                                      .n_latent_frames = n,
                                                                      .height = h,
                                                                      .width = w,
                                                                      .budget_bytes = budget}));
        n_bytes = vs_context_allocated_bytes(check_context) - before;
        largest = n_bytes > largest ? n_bytes : largest;
        smallest = n_bytes < smallest ? n_bytes : smallest;
        for (size_t call = 0; call < 2; call++) {
            size_t m;
            struct vs_span from = {x.span.buffer, x.span.offset + call * n * latent};
            check_ok(vs_vae_decode(stream, from, n, &frames, &m));
            ck_assert_uint_eq(m, call ? 4 * n : 4 * n - 3);
            check_ok(vs_buffer_read(frames.buffer, frames.offset * sizeof(float),
                                    got + done * frame, m * frame * sizeof(float)));
            done += m;
            check_ok(vs_vae_stream_rest(stream));
            check_ok(vs_vae_stream_wake(stream));
        }
        if (want)
            ck_assert_msg(!memcmp(got, want, done * frame * sizeof *got),
                          "%zux%zu latents, %zu bytes a buffer", w, h, budget);
        else
            want = got;
        if (got != want)
            free(got);
        vs_vae_stream_free(stream);
        vs_scratch_free(check_context);
        ck_assert_uint_eq(vs_context_allocated_bytes(check_context), before);
    }
    ck_assert_uint_lt(smallest, largest);
    check_free(&x);
    free(z), free(want);
}
END_TEST

/* No buffer of the decoder but that of the pictures passes what the device allows at once. */
START_TEST(bands_keep_to_the_largest_buffer)
{
    enum { H = 30, W = 16, N = 2, PICTURES = 4 * N * 3 * 64 * H * W * sizeof(float) };
    struct vs_context *paper;
    struct vs_vae *other;
    struct vs_vae_stream *stream;
    enum vs_use use;
    check_ok(vs_context_create_hollow(&paper, getenv("VS_TEST_DEVICE")));
    check_ok(vs_vae_create(&other, paper, weights, VS_VAE_DECODE));
    const struct vs_vae_stream_options options = {
        .direction = VS_VAE_DECODE, .n_latent_frames = N, .height = H, .width = W};
    check_ok(vs_vae_stream_create(&stream, other, &options));
    ck_assert_uint_gt(vs_context_largest_buffer(paper, &use), PICTURES);
    vs_vae_stream_free(stream);
    vs_context_limit_memory(paper, 0, PICTURES);
    vs_context_forget_peak(paper);
    check_ok(vs_vae_stream_create(&stream, other, &options));
    ck_assert_uint_le(vs_context_largest_buffer(paper, &use), PICTURES);
    vs_vae_stream_free(stream);
    vs_vae_free(other);
    vs_context_free(paper);
}
END_TEST

/* A stream that was reset is a new one: nothing of the video before is left. */
START_TEST(reset_begins_anew)
{
    static const struct cut first = {{3, 1}, 0}, second = {{2}, 0};
    float *z = check_floats(4 * LATENT, 1);
    size_t n;
    struct vs_vae_stream *used = make_stream(VS_VAE_DECODE, 3, 0);
    struct vs_vae_stream *fresh = make_stream(VS_VAE_DECODE, 3, 0);
    free(run(used, VS_VAE_DECODE, z, &first, LATENT, FRAME, &n));
    float *got = run(used, VS_VAE_DECODE, z + LATENT, &second, LATENT, FRAME, &n);
    float *want = run(fresh, VS_VAE_DECODE, z + LATENT, &second, LATENT, FRAME, &n);
    ck_assert_mem_eq(got, want, n * FRAME * sizeof *got);
    vs_vae_stream_free(used), vs_vae_stream_free(fresh);
    free(z), free(got), free(want);
}
END_TEST

/* Two videos at a time do not mix. */
START_TEST(streams_are_independent)
{
    static const struct cut whole = {{2, 2}, 0};
    float *z = check_floats(4 * LATENT, 1);
    size_t n, m;
    struct vs_vae_stream *one = make_stream(VS_VAE_DECODE, 2, 0);
    struct vs_vae_stream *other = make_stream(VS_VAE_DECODE, 2, 0);
    float *want = run(one, VS_VAE_DECODE, z, &whole, LATENT, FRAME, &n);
    struct check_buffer x = check_upload(z, 4 * LATENT);
    struct vs_span later = x.span, frames, ignored;
    later.offset += 2 * LATENT;
    vs_vae_stream_reset(one);
    check_ok(vs_vae_decode(one, x.span, 2, &frames, &m));
    check_ok(vs_vae_decode(other, later, 2, &ignored, &m));
    check_ok(vs_vae_decode(one, later, 2, &frames, &m));
    float *got = check_nans(m * FRAME);
    check_ok(vs_buffer_read(frames.buffer, frames.offset * sizeof *got, got,
                            m * FRAME * sizeof *got));
    ck_assert_mem_eq(got, want + (n - m) * FRAME, m * FRAME * sizeof *got);
    check_free(&x);
    vs_vae_stream_free(one), vs_vae_stream_free(other);
    free(z), free(got), free(want);
}
END_TEST

START_TEST(decoding_allocates_nothing)
{
    float *z = check_floats(2 * LATENT, 1);
    struct check_buffer x = check_upload(z, 2 * LATENT);
    struct vs_vae_stream *stream = make_stream(VS_VAE_DECODE, 2, 0);
    struct vs_span frames;
    size_t m;
    for (int i = 0; i < 2; i++) /* both kinds of call have built their kernels */
        check_ok(vs_vae_decode(stream, x.span, 2, &frames, &m));
    size_t n_allocations = vs_alloc_count(), n_bytes = vs_context_peak_bytes(check_context);
    for (int i = 0; i < 3; i++)
        check_ok(vs_vae_decode(stream, x.span, 2, &frames, &m));
    ck_assert_uint_eq(vs_alloc_count(), n_allocations);
    ck_assert_uint_eq(vs_context_peak_bytes(check_context), n_bytes);
    vs_vae_stream_free(stream);
    check_free(&x);
    free(z);
}
END_TEST

/* ---- How streams begin -------------------------------------------------------------------- */

/* A tensor of the demo's VAE as float32. */
static float *widened(const char *name)
{
    const struct vs_tensor *tensor = vs_weights_find(weights, name);
    ck_assert_msg(tensor != NULL, "%s", name);
    float *values = check_nans(tensor->n_elements);
    vs_dtype_widen(values, tensor->data, tensor->dtype, tensor->n_elements);
    return values;
}

/* Runs one block on x [n, h, w, n_in] in calls of one frame, and compares with want. */
static void check_block(const struct vs_vae_layout *layout, const float *x, size_t n, size_t h,
                        size_t w, const float *want, size_t n_want)
{
    struct vs_vae_block block;
    struct vs_vae_chain *chain;
    const struct vs_vae_chain_options options = {.n_frames = 1, .height = h, .width = w};
    check_ok(vs_vae_block_create(&block, check_context, weights, layout));
    check_ok(vs_vae_chain_create(&chain, check_context, &block, 1, &options));
    struct vs_vae_chain_output output = vs_vae_chain_output(chain);
    size_t frame = output.height * output.width * output.n_channels, n_out = 0, m;
    struct check_buffer dx = check_upload(x, n * h * w * layout->n_in);
    struct check_buffer out = check_upload(NULL, n_want * frame);
    struct vs_span from = dx.span, to = out.span;
    for (size_t f = 0; f < n; f++) {
        check_ok(vs_vae_chain_run(chain, to, &m, from, 1));
        from.offset += h * w * layout->n_in;
        to.offset += m * frame;
        n_out += m;
    }
    ck_assert_uint_eq(n_out, n_want);
    check_bits(&out, want, "%s", layout->prefix);
    check_free(&dx), check_free(&out);
    vs_vae_chain_free(chain);
    vs_vae_block_free(&block);
}

/* decoder.upsamples.3, 48 channels: frame 0 stays one frame; time_conv's history begins with zeros
 * at frame 1, it never sees frame 0. */
START_TEST(doubling_frames_begins_with_zeros_at_the_second)
{
    enum { C = 48, H = 2, W = 3, N = 4, IN = H * W * C, N_DOUBLED = 2 * N - 1 };
    const struct vs_vae_layout layout = {VS_VAE_UP, "decoder.upsamples.3.", C, C / 2, .time = true};
    float *time = widened("decoder.upsamples.3.time_conv.weight");
    float *time_bias = widened("decoder.upsamples.3.time_conv.bias");
    float *space = widened("decoder.upsamples.3.resample.1.weight");
    float *space_bias = widened("decoder.upsamples.3.resample.1.bias");
    float *x = check_floats(N * IN, 1), *doubled = check_nans(N_DOUBLED * IN);
    float *want = check_nans(N_DOUBLED * IN * 4 / 2);
    const struct vs_conv_weight time_shape = {NULL, C, 2 * C, {3, 1, 1}, 1};
    const struct vs_conv in_time = {.weight = &time_shape,
                                    .n_frames = N - 1,
                                    .height = H,
                                    .width = W,
                                    .n_past = 2,
                                    .stride_time = 1,
                                    .out_height = H,
                                    .out_width = W,
                                    .split_frames = true};
    memcpy(doubled, x, IN * sizeof *x);
    vs_conv_ref(doubled + IN, x + IN, time, time_bias, NULL, NULL, &in_time);
    const struct vs_conv_weight space_shape = {NULL, C, C / 2, {1, 3, 3}, 1};
    const struct vs_conv in_space = {.weight = &space_shape,
                                     .n_frames = N_DOUBLED,
                                     .height = H,
                                     .width = W,
                                     .stride_time = 1,
                                     .pad_top = 1,
                                     .pad_left = 1,
                                     .out_height = 2 * H,
                                     .out_width = 2 * W,
                                     .upsample = true};
    vs_conv_ref(want, doubled, space, space_bias, NULL, NULL, &in_space);
    check_block(&layout, x, N, H, W, want, N_DOUBLED);
    free(time), free(time_bias), free(space), free(space_bias), free(x), free(doubled), free(want);
}
END_TEST

/* encoder.downsamples.5, 24 channels: frame 0 passes, and time_conv's history begins with it. */
START_TEST(halving_frames_begins_with_the_first)
{
    enum { C = 24, H = 4, W = 6, N = 7, IN = H * W * C, HALF = IN / 4, N_HALVED = 4 };
    const struct vs_vae_layout layout = {VS_VAE_DOWN, "encoder.downsamples.5.", C, C, .time = true};
    float *time = widened("encoder.downsamples.5.time_conv.weight");
    float *time_bias = widened("encoder.downsamples.5.time_conv.bias");
    float *space = widened("encoder.downsamples.5.resample.1.weight");
    float *space_bias = widened("encoder.downsamples.5.resample.1.bias");
    float *x = check_floats(N * IN, 1), *small = check_nans(N * HALF);
    float *want = check_nans(N_HALVED * HALF);
    const struct vs_conv_weight space_shape = {NULL, C, C, {1, 3, 3}, 2};
    const struct vs_conv in_space = {.weight = &space_shape,
                                     .n_frames = N,
                                     .height = H,
                                     .width = W,
                                     .stride_time = 1,
                                     .out_height = H / 2,
                                     .out_width = W / 2};
    vs_conv_ref(small, x, space, space_bias, NULL, NULL, &in_space);
    const struct vs_conv_weight time_shape = {NULL, C, C, {3, 1, 1}, 1};
    const struct vs_conv in_time = {.weight = &time_shape,
                                    .n_frames = N,
                                    .height = H / 2,
                                    .width = W / 2,
                                    .stride_time = 2,
                                    .out_height = H / 2,
                                    .out_width = W / 2};
    memcpy(want, small, HALF * sizeof *want);
    vs_conv_ref(want + HALF, small, time, time_bias, NULL, NULL, &in_time);
    check_block(&layout, x, N, H, W, want, N_HALVED);
    free(time), free(time_bias), free(space), free(space_bias), free(x), free(small), free(want);
}
END_TEST

/* ---- What is refused ---------------------------------------------------------------------- */

START_TEST(nan_stops_with_the_name_of_the_vae)
{
    float *z = check_floats(LATENT, 1);
    z[LATENT / 2] = NAN;
    struct check_buffer x = check_upload(z, LATENT);
    struct vs_vae_stream *stream = make_stream(VS_VAE_DECODE, 1, 0);
    struct vs_span frames;
    size_t m;
    ck_assert_int_eq(vs_vae_decode(stream, x.span, 1, &frames, &m), VS_ERROR_NONFINITE);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "VAE"));
    vs_vae_stream_free(stream);
    check_free(&x);
    free(z);
}
END_TEST

START_TEST(impossible_streams_are_refused)
{
    static const struct vs_vae_stream_options bad[] = {
        {VS_VAE_DECODE, 0, ROWS, COLUMNS, 0},     {VS_VAE_DECODE, 3, 0, COLUMNS, 0},
        {VS_VAE_DECODE, 3, ROWS, 1 << 20, 0},     {VS_VAE_DECODE, SIZE_MAX, ROWS, COLUMNS, 0},
        {VS_VAE_DECODE, 3, SIZE_MAX / 8, 1, 0},   {VS_VAE_ENCODE, SIZE_MAX / 2, ROWS, COLUMNS, 0},
        {VS_VAE_ENCODE, 3, ROWS, SIZE_MAX / 4, 0}};
    struct vs_vae_stream *stream;
    size_t before = vs_context_allocated_bytes(check_context), m;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(vs_vae_stream_create(&stream, vae, &bad[i]), VS_ERROR_USAGE);
        ck_assert_ptr_null(stream);
    }
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), before);

    struct check_buffer x = check_upload(NULL, 3 * LATENT);
    struct vs_span result;
    stream = make_stream(VS_VAE_DECODE, 2, 0);
    ck_assert_int_eq(vs_vae_decode(stream, x.span, 3, &result, &m), VS_ERROR_USAGE);
    ck_assert_int_eq(vs_vae_encode(stream, x.span, 1, &result, &m), VS_ERROR_USAGE);
    check_ok(vs_vae_decode(stream, x.span, 0, &result, &m)); /* no frames are none */
    ck_assert_uint_eq(m, 0);
    vs_vae_stream_free(stream);
    check_free(&x);
}
END_TEST

/* The demo's VAE as safetensors without the tensors whose names begin with `without`, and with the
 * first two dimensions of `turned` exchanged. file must outlive the weights. */
static struct vs_weights *open_copy(struct bytes *file, const char *without, const char *turned)
{
    struct bytes json = {0};
    struct vs_weights *copy;
    size_t at = 0, n = vs_weights_count(weights);
    for (size_t i = 0; i < n; i++) {
        const struct vs_tensor *t = vs_weights_at(weights, i);
        char entry[512];
        size_t shape[VS_MAX_DIMS], length;
        if (!strncmp(t->name, without, strlen(without)))
            continue;
        memcpy(shape, t->shape, sizeof shape);
        if (!strcmp(t->name, turned))
            shape[0] = t->shape[1], shape[1] = t->shape[0];
        length = (size_t)snprintf(entry, sizeof entry, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                                  at ? "," : "{", t->name, vs_dtype_info(t->dtype)->name);
        for (size_t k = 0; k < t->n_dims; k++)
            length += (size_t)snprintf(entry + length, sizeof entry - length, "%s%zu",
                                       k ? "," : "", shape[k]);
        snprintf(entry + length, sizeof entry - length, "],\"data_offsets\":[%zu,%zu]}", at,
                 at + t->n_bytes);
        bytes_text(&json, entry);
        at += t->n_bytes;
    }
    bytes_text(&json, "}");
    *file = (struct bytes){0};
    bytes_number(file, json.n, 8);
    bytes_put(file, json.data, json.n);
    for (size_t i = 0; i < n; i++) {
        const struct vs_tensor *t = vs_weights_at(weights, i);
        if (strncmp(t->name, without, strlen(without)) != 0)
            bytes_put(file, t->data, t->n_bytes);
    }
    bytes_free(&json);
    check_ok(vs_weights_open_memory(&copy, "copy", file->data, file->n));
    return copy;
}

START_TEST(files_are_checked_without_a_device)
{
    static const struct {
        const char *without, *turned, *named; /* named: in the message; NULL: a right file */
        bool has_encoder;
    } cases[] = {
        {"-", "-", NULL, true},
        {"encoder.", "-", NULL, false},
        {"decoder.upsamples.14.", "-", "decoder.upsamples.14.residual.0.gamma", true},
        {"decoder.upsamples.4.shortcut", "-", "decoder.upsamples.4.shortcut.weight", true},
        {"conv2.bias", "-", "conv2.bias", true},
        {"encoder.middle.1.to_qkv", "-", "encoder.middle.1.to_qkv.weight", true},
        {"-", "decoder.head.2.weight", "decoder.head.2.weight", true},
        {"-", "decoder.upsamples.7.time_conv.weight", "decoder.upsamples.7.time_conv.weight", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes file;
        struct vs_vae_shape shape;
        struct vs_weights *copy = open_copy(&file, cases[i].without, cases[i].turned);
        enum vs_status status = vs_vae_check(copy, &shape);
        if (cases[i].named) {
            ck_assert_int_eq(status, VS_ERROR_MODEL);
            ck_assert_msg(strstr(vs_error_message(), cases[i].named) != NULL, "%s: '%s'",
                          cases[i].named, vs_error_message());
        } else {
            check_ok(status);
            ck_assert_uint_eq(shape.base, 12);
            ck_assert_int_eq(shape.has_encoder, cases[i].has_encoder);
        }
        vs_weights_free(copy);
        bytes_free(&file);
    }
}
END_TEST

START_TEST(a_file_without_encoder_decodes)
{
    static const struct cut whole = {{2}, 0};
    float *z = check_floats(2 * LATENT, 1);
    size_t n;
    struct vs_vae_stream *stream = make_stream(VS_VAE_DECODE, 2, 0), *none;
    float *want = run(stream, VS_VAE_DECODE, z, &whole, LATENT, FRAME, &n);
    vs_vae_stream_free(stream);
    vs_vae_free(vae);

    struct bytes file;
    struct vs_weights *copy = open_copy(&file, "encoder.", "-");
    check_ok(vs_vae_create(&vae, check_context, copy, VS_VAE_DECODE | VS_VAE_ENCODE));
    vs_weights_free(copy);
    bytes_free(&file);
    stream = make_stream(VS_VAE_DECODE, 2, 0);
    float *got = run(stream, VS_VAE_DECODE, z, &whole, LATENT, FRAME, &n);
    ck_assert_mem_eq(got, want, n * FRAME * sizeof *got);
    const struct vs_vae_stream_options encode = {VS_VAE_ENCODE, 2, ROWS, COLUMNS, 0};
    ck_assert_int_eq(vs_vae_stream_create(&none, vae, &encode), VS_ERROR_MODEL);
    vs_vae_stream_free(stream);
    free(z), free(got), free(want);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vae");
    TCase *tests = tcase_create("streams");
    tcase_add_checked_fixture(tests, open_vae, close_vae);
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, any_cut_decodes_to_the_same_bits);
    tcase_add_test(tests, any_cut_encodes_to_the_same_bits);
    tcase_add_loop_test(tests, any_band_decodes_to_the_same_bits, 0, 3);
    tcase_add_test(tests, bands_keep_to_the_largest_buffer);
    tcase_add_test(tests, reset_begins_anew);
    tcase_add_test(tests, streams_are_independent);
    tcase_add_test(tests, decoding_allocates_nothing);
    tcase_add_test(tests, doubling_frames_begins_with_zeros_at_the_second);
    tcase_add_test(tests, halving_frames_begins_with_the_first);
    tcase_add_test(tests, nan_stops_with_the_name_of_the_vae);
    tcase_add_test(tests, impossible_streams_are_refused);
    tcase_add_test(tests, files_are_checked_without_a_device);
    tcase_add_test(tests, a_file_without_encoder_decodes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
