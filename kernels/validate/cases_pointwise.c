/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_pointwise.c - validation of activations, sampler steps, patches, pixels, and the check for
 * infinities and NaN. */
#include "kernels/validate/trial.h"

#include <math.h>

#include "kernels/convert/narrow.h"
#include "kernels/pixels/pixels.h"
#include "kernels/pointwise/pointwise.h"

enum kind {
    GELU,
    SILU,
    SOFTPLUS,
    SIGMOID,
    ADD,
    SAMPLER_X0,
    SAMPLER_RENOISE,
    PATCHIFY,
    UNPATCHIFY,
    CHANNELS_LAST,
    CHANNELS_FIRST,
    BYTES,
    SCATTER_ROWS,
    SCATTER_HALVES,
    CHECK_FINITE
};

/* Arrays of kind ADD and the like: n values. Rows: n, of as many channels as columns. Pictures:
 * frames, channels, half height and width. */
struct shape {
    enum kind kind;
    size_t n, n_channels, rows, columns;
    enum vs_input input;
};

#define SIGMA 0.9375f

enum { ROWS_PER_SLOT = 3, N_SLOTS = 4 };
static const int32_t slots[N_SLOTS] = {3, 1, 0, 2};

struct job {
    const struct shape *shape;
    struct vs_span x, y;
    const struct vs_buffer *bytes, *slots;
    uint8_t *host_bytes;
    float *host;
};

static size_t count(const struct shape *s)
{
    if (s->kind == SCATTER_ROWS || s->kind == SCATTER_HALVES)
        return s->n * s->columns;
    return s->n_channels ? s->n * s->n_channels * 4 * s->rows * s->columns : s->n;
}

/* Flags and bytes come back as floats, so that all results are compared alike. */
static enum vs_status give_floats(const struct job *job, struct vs_span out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        job->host[i] = (float)job->host_bytes[i];
    return vs_buffer_write(out.buffer, out.offset * sizeof(float), job->host, n * sizeof(float));
}

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    enum vs_status status = VS_OK;
    const struct job *job = data;
    const struct shape *s = job->shape;
    struct vs_context *context = trial->context;
    size_t n = count(s);
    const struct vs_scatter scatter = {.slots = job->slots,
                                       .rows_per_slot = ROWS_PER_SLOT,
                                       .n_rows = s->n,
                                       .n_channels = s->columns,
                                       .x_stride = s->columns,
                                       .out = s->kind == SCATTER_HALVES ? VS_F16 : VS_F32};
    (void)variant;
    switch (s->kind) {
    case GELU:
    case SILU:
    case SOFTPLUS:
    case SIGMOID:
        return vs_activation_run(context, out, job->x, n, (enum vs_activation)s->kind);
    case ADD:
        return vs_add_run(context, out, job->x, job->y, n, n / 3);
    case SAMPLER_X0:
        return vs_sampler_x0_run(context, out, job->x, job->y, SIGMA, n);
    case SAMPLER_RENOISE:
        return vs_sampler_renoise_run(context, out, job->x, job->y, SIGMA, n);
    case PATCHIFY:
        return vs_patchify_run(context, out, job->x, s->n, s->n_channels, s->rows, s->columns);
    case UNPATCHIFY:
        return vs_unpatchify_run(context, out, job->x, s->n, s->n_channels, s->rows, s->columns);
    case CHANNELS_LAST:
        return vs_channels_last_run(context, out, job->x, job->y, job->y, s->n, s->n_channels,
                                    2 * s->rows, 2 * s->columns);
    case CHANNELS_FIRST:
        return vs_channels_first_run(context, out, job->x, job->y, job->y, s->n, s->n_channels,
                                     s->n_channels, 2 * s->rows, 2 * s->columns);
    case SCATTER_ROWS:
        return vs_scatter_rows_run(context, out, job->x, &scatter);
    case SCATTER_HALVES:
        VS_TRY(vs_scatter_rows_run(context, vs_span_of(job->bytes), job->x, &scatter));
        VS_TRY(vs_buffer_read(job->bytes, 0, job->host_bytes, n * sizeof(uint16_t)));
        vs_dtype_widen(job->host, job->host_bytes, VS_F16, n);
        return vs_buffer_write(out.buffer, out.offset * sizeof(float), job->host,
                               n * sizeof(float));
    case BYTES:
        VS_TRY(vs_bytes_run(context, job->bytes, 0, job->x, n));
        VS_TRY(vs_buffer_read(job->bytes, 0, job->host_bytes, n));
        return give_floats(job, out, n);
    case CHECK_FINITE: /* flag 0: all of x, which has specials; flag 1: y, which has none */
        VS_TRY(vs_buffer_zero(job->bytes, 0, 2 * sizeof(int32_t)));
        VS_TRY(vs_check_finite_run(context, job->bytes, 0, job->x, n));
        VS_TRY(vs_check_finite_run(context, job->bytes, 1, job->y, n));
        VS_TRY(vs_buffer_read(job->bytes, 0, job->host_bytes, 2 * sizeof(int32_t)));
        return give_floats(job, out, 2 * sizeof(int32_t));
    }
fail:
    return status;
}

/* Where element i of the rows goes. */
static size_t scattered(const struct shape *s, size_t i)
{
    size_t row = i / s->columns, slot = (size_t)slots[row / ROWS_PER_SLOT];
    return (slot * ROWS_PER_SLOT + row % ROWS_PER_SLOT) * s->columns + i % s->columns;
}

/* Oracle, and float64 (x, y as in launch()). */
static void oracle(float *out, const struct shape *s, const float *x, const float *y,
                   uint8_t *bytes)
{
    size_t n = count(s);
    switch (s->kind) {
    case ADD:
        vs_add_ref(out, x, y, n, n / 3);
        break;
    case SAMPLER_X0:
        vs_sampler_x0_ref(out, x, y, SIGMA, n);
        break;
    case SAMPLER_RENOISE:
        vs_sampler_renoise_ref(out, x, y, SIGMA, n);
        break;
    case PATCHIFY:
        vs_patchify_ref(out, x, s->n, s->n_channels, s->rows, s->columns);
        break;
    case UNPATCHIFY:
        vs_unpatchify_ref(out, x, s->n, s->n_channels, s->rows, s->columns);
        break;
    case CHANNELS_LAST:
        vs_channels_last_ref(out, x, y, y, s->n, s->n_channels, 2 * s->rows, 2 * s->columns);
        break;
    case CHANNELS_FIRST:
        vs_channels_first_ref(out, x, y, y, s->n, s->n_channels, s->n_channels, 2 * s->rows,
                              2 * s->columns);
        break;
    case SCATTER_ROWS:
    case SCATTER_HALVES:
        for (size_t i = 0; i < n; i++)
            out[scattered(s, i)] = x[i];
        break;
    case BYTES:
        vs_bytes_ref(bytes, x, n);
        for (size_t i = 0; i < n; i++)
            out[i] = (float)bytes[i];
        break;
    case CHECK_FINITE:
        out[0] = 1; /* low byte of the first flag */
        break;
    default:
        vs_activation_ref(out, x, n, (enum vs_activation)s->kind);
    }
}

static double exact_byte(double x)
{
    double value = x > 1 ? 1 : x < -1 ? -1 : x;
    return isnan(x) ? 0 : rint(value * 127.5 + 127.5);
}

/* Where the operation only moves data, the oracle is exact. */
static double exact_value(const struct shape *s, const float *x, const float *y, const float *want,
                          size_t i)
{
    double a = (double)x[i];
    size_t c;
    switch (s->kind) {
    case GELU:
        return vs_exact_gelu(a);
    case SILU:
        return vs_exact_silu(a);
    case SOFTPLUS:
        return vs_exact_softplus(a);
    case SIGMOID:
        return vs_exact_sigmoid(a);
    case ADD:
        return a + (double)y[i % (count(s) / 3)];
    case SAMPLER_X0:
        return a - (double)SIGMA * (double)y[i];
    case SAMPLER_RENOISE:
        return (1 - (double)SIGMA) * a + (double)SIGMA * (double)y[i];
    case CHANNELS_LAST: { /* i counts the output: pixel, channel */
        size_t n_pixels = 4 * s->rows * s->columns, pixel = i / s->n_channels % n_pixels;
        c = i % s->n_channels;
        a = (double)x[(i / (n_pixels * s->n_channels) * s->n_channels + c) * n_pixels + pixel];
        return a * (double)y[c] + (double)y[c];
    }
    case CHANNELS_FIRST: {
        size_t n_pixels = 4 * s->rows * s->columns, pixel = i % n_pixels;
        c = i / n_pixels % s->n_channels;
        a = (double)x[(i / (n_pixels * s->n_channels) * n_pixels + pixel) * s->n_channels + c];
        return (a - (double)y[c]) * (double)y[c];
    }
    case BYTES:
        return exact_byte(a);
    default:
        return (double)want[i];
    }
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    const struct shape *s = self->shape;
    size_t n = count(s), n_out = s->kind == CHECK_FINITE ? 2 * sizeof(int32_t) : n;
    if (s->kind == SCATTER_ROWS || s->kind == SCATTER_HALVES)
        vs_trial_shape(t, "%zux%zu", s->n, s->columns);
    else if (s->n_channels)
        vs_trial_shape(t, "%zux%zux%zux%zu", s->n, s->n_channels, 2 * s->rows, 2 * s->columns);
    else
        vs_trial_shape(t, "%zu%s", n, vs_input_names[s->input]);
    float *x = vs_trial_input(t, n, s->input, s->kind == BYTES ? 1 : 3);
    float *y = vs_trial_input(t, n, VS_INPUT_GAUSS, 1), *want = vs_trial_floats(t, n + 8);
    float *host = vs_trial_floats(t, n + 8);
    uint8_t *bytes = (uint8_t *)vs_trial_floats(t, n + 8);
    double *exact = vs_trial_doubles(t, n_out);
    if (t->status != VS_OK)
        return;
    for (size_t i = 0; i < n && s->kind == BYTES; i++) /* ties of rounding as well */
        x[i] = i % 7 ? x[i] : (float)((double)(i % 256) / 255 * 2 - 1);
    oracle(want, s, x, y, bytes);
    want[4] = s->kind == CHECK_FINITE ? 0 : want[4]; /* low byte of the second flag */
    for (size_t i = 0; i < n_out; i++)
        exact[i] = exact_value(s, x, y, want, i);
    for (size_t i = 0; i < n && s->kind == SCATTER_HALVES; i++) /* exact is of before rounding */
        want[i] = vs_half_value(vs_half_of(want[i]));
    struct job job = {.shape = s,
                      .x = vs_trial_upload(t, x, n),
                      .y = vs_trial_upload(t, y, n),
                      .bytes = vs_trial_buffer(t, 2 * n + 8),
                      .slots = vs_trial_ints(t, slots, N_SLOTS),
                      .host_bytes = bytes,
                      .host = host};
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch,
                                              .job = &job,
                                              .n = n_out,
                                              .want = want,
                                              .exact = exact,
                                              .sums = s->kind >= ADD,
                                              .tiny = 0x1p-119});
}

#define SHAPE(...)                                                                                 \
    &(const struct shape)                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define FUNCTION(name, kind)                                                                       \
    {"activation " name, run, SHAPE(kind, 1003), true, 2},                                         \
    {                                                                                              \
        "activation " name, run, SHAPE(kind, 4099, .input = VS_INPUT_SPECIAL), false, 2            \
    }

const struct vs_case vs_cases_pointwise[] = {
    FUNCTION("gelu", GELU),
    FUNCTION("silu", SILU),
    FUNCTION("softplus", SOFTPLUS),
    FUNCTION("sigmoid", SIGMOID),
    {"add", run, SHAPE(ADD, 999), true, 0.5},
    {"add", run, SHAPE(ADD, 999, .input = VS_INPUT_SPECIAL), true, 0.5},
    {"sampler x0", run, SHAPE(SAMPLER_X0, 1001), true, 0.5},
    {"sampler renoise", run, SHAPE(SAMPLER_RENOISE, 1001), true, 1},
    {"sampler renoise", run, SHAPE(SAMPLER_RENOISE, 1001, .input = VS_INPUT_HUGE), false, 1},
    {"patchify", run, SHAPE(PATCHIFY, 2, 5, 3, 4), true, 0},
    {"unpatchify", run, SHAPE(UNPATCHIFY, 2, 5, 3, 4), true, 0},
    {"scatter rows", run, SHAPE(SCATTER_ROWS, ROWS_PER_SLOT *N_SLOTS, .columns = 37), true, 0},
    {"scatter rows f16", run, SHAPE(SCATTER_HALVES, ROWS_PER_SLOT *N_SLOTS, .columns = 37), true,
     4096},
    {"channels last", run, SHAPE(CHANNELS_LAST, 2, 16, 3, 5), true, 0.5},
    {"channels first", run, SHAPE(CHANNELS_FIRST, 2, 16, 3, 5), true, 2},
    {"bytes", run, SHAPE(BYTES, 2003), true, 0},
    {"bytes", run, SHAPE(BYTES, 1001, .input = VS_INPUT_SPECIAL), true, 0},
    {"check finite", run, SHAPE(CHECK_FINITE, 10007, .input = VS_INPUT_SPECIAL), true, 0},
    {0},
};
