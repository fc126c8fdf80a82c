/* SPDX-License-Identifier: Apache-2.0
 *
 * selftest.c - tiny cases of every family against its oracle.
 *
 * Sizes are the smallest that reach each rule of the contract: a second block of 256 in a dot, a
 * second tile of 64 keys, rows that no vector divides. Only the variants that generation would
 * choose run here; tests compare the others. */
#include "kernels/selftest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/buffer.h"
#include "cl/context.h"
#include "cl/disk_cache.h"
#include "cl/program.h"
#include "cl/sha256.h"
#include "kernels/attention/attention.h"
#include "kernels/conv/conv.h"
#include "kernels/gemm/gemm.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"
#include "kernels/pixels/pixels.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/rope/rope.h"
#include "kernels/sources.h"

enum { POOL = 1 << 17, MAX_BUFFERS = 12 }; /* floats and device buffers of one family */

struct test {
    struct vs_context *context;
    const char *family;
    float *pool;
    size_t n_used;
    struct vs_buffer *buffers[MAX_BUFFERS];
    size_t n_buffers;
    uint32_t random;
    enum vs_status status; /* of buffers: kernels refuse the missing ones, this says why */
};

/* ---- Data --------------------------------------------------------------------------------- */

/* Host floats that live as long as the family's test. Sizes are this file's own. */
static float *room(struct test *t, size_t n)
{
    float *values = t->pool + t->n_used;
    t->n_used += n;
    return values;
}

/* Values in [-scale, scale), a different sequence for every call; xorshift32. */
static float *random_values(struct test *t, size_t n, float scale)
{
    float *values = room(t, n);
    for (size_t i = 0; i < n; i++) {
        t->random ^= t->random << 13;
        t->random ^= t->random >> 17;
        t->random ^= t->random << 5;
        values[i] = ((float)(t->random >> 8) * 0x1p-23f - 1.0f) * scale;
    }
    return values;
}

static struct vs_span upload(struct test *t, const float *host, size_t n)
{
    struct vs_buffer **buffer = &t->buffers[t->n_buffers];
    if (t->status == VS_OK)
        t->status = vs_floats_create(buffer, t->context, host, n);
    if (t->status != VS_OK)
        return (struct vs_span){0};
    t->n_buffers++;
    return vs_span_of(*buffer);
}

/* Filled with NaN, so that what a kernel does not write is seen. */
static struct vs_span output(struct test *t, size_t n)
{
    float *values = room(t, n);
    for (size_t i = 0; i < n; i++)
        values[i] = NAN;
    return upload(t, values, n);
}

static uint32_t canonical(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return 0x7fc00000;
    return bits == 0x80000000 ? 0 : bits;
}

static enum vs_status refuse(const struct test *t, const char *operation, size_t n_wrong, size_t n)
{
    const struct vs_device_info *device = vs_context_device(t->context);
    return vs_fail(VS_ERROR_VALIDATION,
                   "%s (driver %s): the self-test of %s failed: %s gives %zu of %zu values with "
                   "other bits than it must; update the driver or choose another --device "
                   "(--unsafe goes on all the same)",
                   device->name, device->driver, t->family, operation, n_wrong, n);
}

static enum vs_status compare(struct test *t, const char *operation, struct vs_span got,
                              const float *want, size_t n)
{
    float *values = room(t, n);
    enum vs_status status =
        vs_buffer_read(got.buffer, got.offset * sizeof *values, values, n * sizeof *values);
    size_t n_wrong = 0;
    if (status != VS_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        n_wrong += canonical(values[i]) != canonical(want[i]);
    return n_wrong ? refuse(t, operation, n_wrong, n) : VS_OK;
}

/* ---- Families ----------------------------------------------------------------------------- */

/* The elementary functions over every exponent, both signs, and the values around infinity. */
static enum vs_status test_pointwise(struct test *t)
{
    enum { N = 4096 };
    static const char *const names[] = {"GELU", "SiLU", "softplus", "sigmoid"};
    enum vs_status status = VS_OK;
    float *x = room(t, N), *y = random_values(t, N, 1), *want = room(t, N);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t sign = (i & 1) << 31, exponent = 1 + (i >> 1) % 255, fraction = i * 0x9e3779b9u;
        uint32_t bits = sign | exponent << 23 | (exponent < 255 ? fraction >> 9 : 0);
        memcpy(&x[i], &bits, sizeof bits);
    }
    struct vs_span dx = upload(t, x, N), dy = upload(t, y, N), out = output(t, N);
    VS_TRY(t->status);
    vs_sampler_renoise_ref(want, y, y, 0.8333333f, N);
    VS_TRY(vs_sampler_renoise_run(t->context, out, dy, dy, 0.8333333f, N));
    VS_TRY(compare(t, "sampler step", out, want, N));
    for (int f = VS_GELU; f <= VS_SIGMOID; f++) {
        vs_activation_ref(want, x, N, (enum vs_activation)f);
        VS_TRY(vs_activation_run(t->context, out, dx, N, (enum vs_activation)f));
        VS_TRY(compare(t, names[f], out, want, N));
    }
fail:
    return status;
}

static enum vs_status test_norm(struct test *t)
{
    enum { ROWS = 3, C = 203, N = ROWS * C };
    enum vs_status status = VS_OK;
    struct vs_layernorm norm = {.n_rows = ROWS, .n_channels = C, .eps = 1e-6f, .modulation = true};
    float *x = random_values(t, N, 3), *w = random_values(t, C, 1), *b = random_values(t, C, 1);
    float *want = room(t, N);
    struct vs_span dx = upload(t, x, N), dw = upload(t, w, C), db = upload(t, b, C);
    struct vs_span out = output(t, N);
    VS_TRY(t->status);
    vs_layernorm_ref(want, x, b, w, &norm);
    VS_TRY(vs_layernorm_run(t->context, out, dx, db, dw, &norm));
    VS_TRY(compare(t, "LayerNorm", out, want, N));
    vs_rmsnorm_ref(want, x, w, ROWS, C, 1e-6f);
    VS_TRY(vs_rmsnorm_run(t->context, out, dx, dw, ROWS, C, 1e-6f));
    VS_TRY(compare(t, "RMSNorm", out, want, N));
    vs_channel_norm_ref(want, x, w, ROWS, C, true);
    VS_TRY(vs_channel_norm_run(t->context, out, dx, dw, ROWS, C, true));
    VS_TRY(compare(t, "channel norm", out, want, N));
fail:
    return status;
}

static enum vs_status test_gemm(struct test *t)
{
    enum { M = 7, N = 37, K = 300 };
    enum vs_status status = VS_OK;
    struct vs_weight weight = {0};
    float *x = random_values(t, M * K, 1), *w = random_values(t, N * K, 1);
    float *bias = random_values(t, N, 1), *residual = random_values(t, M * N, 1);
    float *gate = random_values(t, N, 1), *want = room(t, M * N);
    struct vs_span dx = upload(t, x, M * K), dbias = upload(t, bias, N);
    struct vs_span dgate = upload(t, gate, N), out = upload(t, residual, M * N);
    struct vs_linear linear = {.weight = &weight,
                               .bias = dbias,
                               .epilogue = VS_EPILOGUE_GATED,
                               .residual = out,
                               .gate = dgate};
    struct vs_linear_ref ref = {.weight = w,
                                .bias = bias,
                                .residual = residual,
                                .gate = gate,
                                .n_columns = K,
                                .n_outputs = N,
                                .epilogue = VS_EPILOGUE_GATED};
    VS_TRY(t->status);
    VS_TRY(vs_weight_create(&weight, t->context, w, VS_F32, N, K));
    vs_linear_ref(want, x, M, &ref);
    VS_TRY(vs_linear_run(t->context, out, dx, M, &linear));
    VS_TRY(compare(t, "linear layer", out, want, M * N));
fail:
    vs_weight_free(&weight);
    return status;
}

static enum vs_status test_attention(struct test *t)
{
    enum { Q = 19, KEYS = 70, HEADS = 2, D = 32, WIDTH = HEADS * D };
    enum vs_status status = VS_OK;
    struct vs_attention shape = {
        .n_queries = Q, .n_keys = KEYS, .n_heads = HEADS, .head_dim = D, .scale = 0.17677669f};
    float *q = random_values(t, Q * WIDTH, 3), *k = random_values(t, KEYS * WIDTH, 3);
    float *v = random_values(t, KEYS * WIDTH, 1), *want = room(t, Q * WIDTH);
    struct vs_span dq = upload(t, q, Q * WIDTH), dk = upload(t, k, KEYS * WIDTH);
    struct vs_span dv = upload(t, v, KEYS * WIDTH), out = output(t, Q * WIDTH);
    VS_TRY(t->status);
    VS_TRY(vs_attention_ref(want, q, k, v, NULL, NULL, &shape));
    VS_TRY(vs_attention_run(t->context, out, dq, dk, dv, &shape));
    VS_TRY(compare(t, "attention", out, want, Q * WIDTH));
fail:
    return status;
}

static enum vs_status test_memory(struct test *t)
{
    enum { ROWS = 9, HEADS = 2, D = 32, WIDTH = HEADS * D, N = ROWS * WIDTH, STATE = WIDTH * D };
    enum vs_status status = VS_OK;
    struct vs_memory_update update = {.n_rows = ROWS,
                                      .n_heads = HEADS,
                                      .head_dim = D,
                                      .beta_width = WIDTH,
                                      .alpha_width = WIDTH};
    struct vs_memory_read read = {
        .n_rows = ROWS, .n_heads = HEADS, .head_dim = D, .rows_per_frame = ROWS, .eps = 1e-6f};
    struct vs_gates_shape gates = {.n_rows = ROWS, .beta_width = WIDTH, .alpha_width = WIDTH};
    float *state = random_values(t, STATE, 1), *k = random_values(t, N, 1);
    float *v = random_values(t, N, 1), *b = random_values(t, N, 3), *a = random_values(t, N, 3);
    float *a_log = random_values(t, WIDTH, 1), *weight = random_values(t, D, 1);
    float *beta = room(t, N), *alpha = room(t, N), *unit = room(t, N), *want = room(t, N);
    struct vs_span dstate = upload(t, state, STATE), dk = upload(t, k, N), dv = upload(t, v, N);
    struct vs_span dbeta = upload(t, b, N), dalpha = upload(t, a, N);
    struct vs_span dlog = upload(t, a_log, WIDTH), dweight = upload(t, weight, D);
    struct vs_span out = output(t, N);
    VS_TRY(t->status);

    vs_unit_ref(unit, k, ROWS * HEADS, D, 1e-6f);
    VS_TRY(vs_unit_run(t->context, dk, dk, ROWS * HEADS, D, 1e-6f));
    VS_TRY(compare(t, "unit length", dk, unit, N));
    vs_gates_ref(beta, alpha, b, a, a_log, ROWS, WIDTH, WIDTH);
    VS_TRY(vs_gates_run(t->context, dbeta, dalpha, dbeta, dalpha, dlog, &gates));
    VS_TRY(compare(t, "write gate", dbeta, beta, N));
    VS_TRY(compare(t, "decay gate", dalpha, alpha, N));
    vs_memory_update_ref(state, unit, v, beta, alpha, &update);
    VS_TRY(vs_memory_update_run(t->context, dstate, dk, dv, dbeta, dalpha, &update));
    VS_TRY(compare(t, "state update", dstate, state, STATE));
    /* Any numbers will do for the read's other inputs. */
    vs_memory_read_ref(want, unit, state, v, weight, a_log, v, &read);
    VS_TRY(vs_memory_read_run(t->context, out, dk, dstate, dv, dweight, dlog, dv, &read));
    VS_TRY(compare(t, "read of the state", out, want, N));
fail:
    return status;
}

static enum vs_status test_rope(struct test *t)
{
    enum { HEADS = 2, D = 32, FRAMES = 2, GRID_ROWS = 2, GRID_COLUMNS = 3 };
    enum { N = FRAMES * GRID_ROWS * GRID_COLUMNS * HEADS * D };
    static const int64_t frames[FRAMES] = {5, 1000};
    enum vs_status status = VS_OK;
    struct vs_rope rope = {.shape = {D, FRAMES, GRID_ROWS, GRID_COLUMNS}, .n_heads = HEADS};
    size_t n_table = vs_rope_table_size(&rope.shape);
    float *x = random_values(t, N, 2), *table = room(t, n_table), *want = room(t, N);
    vs_rope_table_fill(table, &rope.shape, frames, false);
    vs_rope_ref(want, x, table, &rope);
    struct vs_span dx = upload(t, x, N), dtable = upload(t, table, n_table), out = output(t, N);
    VS_TRY(t->status);
    VS_TRY(vs_rope_run(t->context, out, dx, dtable, &rope));
    VS_TRY(compare(t, "rotary embedding", out, want, N));
fail:
    return status;
}

static enum vs_status test_conv(struct test *t)
{
    enum { IN = 12, OUT = 19, FRAMES = 2, H = 3, W = 5, TAPS = 27 };
    enum { N_X = FRAMES * H * W * IN, N_PAST = 2 * H * W * IN, N_OUT = FRAMES * H * W * OUT };
    enum vs_status status = VS_OK;
    struct vs_conv_weight packed = {0};
    float *x = random_values(t, N_X, 1), *past = random_values(t, N_PAST, 1);
    float *weight = random_values(t, OUT * IN * TAPS, 1), *bias = random_values(t, OUT, 1);
    float *want = room(t, N_OUT);
    struct vs_span dx = upload(t, x, N_X), dpast = upload(t, past, N_PAST);
    struct vs_span dbias = upload(t, bias, OUT), out = output(t, N_OUT);
    struct vs_conv conv = {.weight = &packed,
                           .bias = dbias,
                           .n_frames = FRAMES,
                           .height = H,
                           .width = W,
                           .n_past = 2,
                           .past = dpast,
                           .stride_time = 1,
                           .pad_top = 1,
                           .pad_left = 1,
                           .out_height = H,
                           .out_width = W};
    VS_TRY(t->status);
    VS_TRY(vs_conv_weight_create(&packed, t->context, weight, VS_F32, OUT, IN, (size_t[]){3, 3, 3},
                                 1));
    vs_conv_ref(want, x, weight, bias, past, NULL, &conv);
    VS_TRY(vs_conv_run(t->context, out, dx, &conv));
    VS_TRY(compare(t, "causal convolution", out, want, N_OUT));
fail:
    vs_conv_weight_free(&packed);
    return status;
}

static enum vs_status test_pixels(struct test *t)
{
    enum { N = 512 };
    enum vs_status status = VS_OK;
    uint8_t want[N], got[N];
    size_t n_wrong = 0;
    float *x = random_values(t, N, 1.2f);
    struct vs_span dx = upload(t, x, N), bytes = output(t, N / sizeof(float));
    VS_TRY(t->status);
    vs_bytes_ref(want, x, N);
    VS_TRY(vs_bytes_run(t->context, bytes.buffer, 0, dx, N));
    VS_TRY(vs_buffer_read(bytes.buffer, 0, got, N));
    for (size_t i = 0; i < N; i++)
        n_wrong += got[i] != want[i];
    if (n_wrong)
        status = refuse(t, "conversion to bytes", n_wrong, N);
fail:
    return status;
}

/* ---- The whole test ----------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum vs_status (*run)(struct test *);
} families[] = {{"pointwise", test_pointwise}, {"norm", test_norm},
                {"gemm", test_gemm},           {"attention", test_attention},
                {"memory", test_memory},       {"rope", test_rope},
                {"conv", test_conv},           {"pixels", test_pixels}};
enum { N_FAMILIES = sizeof families / sizeof *families };

const char *vs_selftest_family(size_t index)
{
    return index < N_FAMILIES ? families[index].name : NULL;
}

static const char kind[] = "selftest";
static const char passed[] = "passed";

static void selftest_key(char key[65], const struct vs_context *context)
{
    struct vs_sha256 hash;
    char device[65];
    vs_context_fingerprint(context, device);
    vs_sha256_init(&hash);
    vs_sha256_text(&hash, "self-test 1");
    vs_sha256_text(&hash, device);
    for (size_t i = 0; vs_sources[i]; i++)
        vs_sha256_text(&hash, vs_sources[i]->text);
    vs_sha256_hex(&hash, key);
}

static bool passed_before(const char key[65])
{
    void *data;
    size_t n;
    bool good =
        vs_cache_load(kind, key, &data, &n) && n == sizeof passed && !memcmp(data, passed, n);
    free(data);
    return good;
}

enum vs_status vs_context_selftest(struct vs_context *context)
{
    enum vs_status status = VS_OK;
    bool kept = !getenv("VS_KERNEL_DIR");
    char key[65];
    struct test t = {.context = context};
    selftest_key(key, context);
    if (kept && passed_before(key))
        return VS_OK;
    t.pool = vs_alloc(POOL, sizeof *t.pool);
    if (!t.pool)
        return VS_ERROR_MEMORY;
    /* What a device can do is shown in exact precision; a fast one's records ask for no less. */
    enum vs_precision precision = vs_context_precision(context);
    vs_context_set_precision(context, VS_PRECISION_EXACT);
    for (size_t i = 0; i < N_FAMILIES && status == VS_OK; i++) {
        t.family = families[i].name;
        t.n_used = 0;
        t.random = 0x2545f491u;
        status = families[i].run(&t);
        for (size_t j = 0; j < t.n_buffers; j++)
            vs_buffer_free(t.buffers[j]);
        t.n_buffers = 0;
    }
    vs_context_set_precision(context, precision);
    free(t.pool);
    if (kept && status == VS_OK)
        vs_cache_store(kind, key, passed, sizeof passed);
    return status;
}
