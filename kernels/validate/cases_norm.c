/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_norm.c - validation of the norms and of the residual stream through a chain of blocks. */
#include "kernels/validate/trial.h"

#include <math.h>
#include <string.h>

#include "kernels/gemm/gemm.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"

enum kind { LAYERNORM, RMSNORM, CHANNEL_NORM, UNIT };

struct shape {
    enum kind kind;
    size_t n_rows, n_channels;
    bool modulation, silu;
    enum vs_input input;
};

#define EPS 1e-6f

struct job {
    const struct shape *shape;
    struct vs_span x, shift, scale;
};

static struct vs_layernorm layernorm_of(const struct shape *s)
{
    return (struct vs_layernorm){.n_rows = s->n_rows,
                                 .n_channels = s->n_channels,
                                 .eps = EPS,
                                 .modulation = s->modulation,
                                 .rows_per_vector = s->modulation ? 3 : 0};
}

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    const struct job *job = data;
    const struct shape *s = job->shape;
    struct vs_context *context = trial->context;
    struct vs_layernorm norm = layernorm_of(s);
    switch (s->kind) {
    case LAYERNORM:
        return vs_layernorm_run_variant(context, variant, out, job->x, job->shift, job->scale,
                                        &norm);
    case RMSNORM:
        return vs_rmsnorm_run_variant(context, variant, out, job->x, job->scale, s->n_rows,
                                      s->n_channels, EPS);
    case CHANNEL_NORM:
        return vs_channel_norm_run_variant(context, variant, out, job->x, job->scale, s->n_rows,
                                           s->n_channels, s->silu);
    default:
        return vs_unit_run(context, out, job->x, s->n_rows, s->n_channels, EPS);
    }
}

static bool usable(struct vs_trial *trial, const void *data, size_t variant)
{
    (void)data;
    return vs_norm_variant_usable(trial->context, variant);
}

static void oracle(float *out, const struct shape *s, const float *x, const float *shift,
                   const float *scale)
{
    struct vs_layernorm norm = layernorm_of(s);
    switch (s->kind) {
    case LAYERNORM:
        vs_layernorm_ref(out, x, shift, scale, &norm);
        break;
    case RMSNORM:
        vs_rmsnorm_ref(out, x, scale, s->n_rows, s->n_channels, EPS);
        break;
    case CHANNEL_NORM:
        vs_channel_norm_ref(out, x, scale, s->n_rows, s->n_channels, s->silu);
        break;
    default:
        vs_unit_ref(out, x, s->n_rows, s->n_channels, EPS);
    }
}

/* Sum of (x - mean)^2. */
static double squares(const float *x, double mean, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sum;
}

static void exact_row(double *out, const struct shape *s, const float *x, const float *shift,
                      const float *scale)
{
    size_t n = s->n_channels;
    double mean = 0, r, length;
    for (size_t i = 0; s->kind == LAYERNORM && i < n; i++)
        mean += (double)x[i] / (double)n;
    double sum = squares(x, mean, n);
    switch (s->kind) {
    case CHANNEL_NORM:
        length = sqrt(sum);
        r = sqrt((double)n) / (length > 1e-12 ? length : 1e-12);
        break;
    case UNIT:
        r = 1 / sqrt(sum + (double)EPS);
        break;
    default:
        r = 1 / sqrt(sum / (double)n + (double)EPS);
    }
    for (size_t i = 0; i < n; i++) {
        double y = ((double)x[i] - mean) * r;
        if (s->kind == LAYERNORM)
            y = y * ((s->modulation ? 1 : 0) + (double)scale[i]) + (double)shift[i];
        else if (s->kind != UNIT)
            y = y * (double)scale[i];
        out[i] = s->silu ? vs_exact_silu(y) : y;
    }
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    const struct shape *s = self->shape;
    size_t n = s->n_rows * s->n_channels;
    vs_trial_shape(t, "%zux%zu%s%s%s", s->n_rows, s->n_channels, s->modulation ? " modulated" : "",
                   s->silu ? " silu" : "", vs_input_names[s->input]);
    float *x = vs_trial_input(t, n, s->input, 1), *want = vs_trial_floats(t, n);
    float *scale = vs_trial_input(t, n, VS_INPUT_GAUSS, 1);
    float *shift = vs_trial_input(t, n, VS_INPUT_GAUSS, 1);
    double *exact = vs_trial_doubles(t, n);
    if (t->status != VS_OK)
        return;
    oracle(want, s, x, shift, scale);
    for (size_t row = 0; row < s->n_rows; row++) {
        size_t vector = s->modulation ? row / 3 : 0;
        exact_row(exact + row * s->n_channels, s, x + row * s->n_channels,
                  shift + vector * s->n_channels, scale + vector * s->n_channels);
    }
    struct job job = {s, vs_trial_upload(t, x, n), vs_trial_upload(t, shift, n),
                      vs_trial_upload(t, scale, n)};
    vs_trial_compare(
        t, &(struct vs_trial_op){.launch = launch,
                                 .job = &job,
                                 .variant_name = s->kind == UNIT ? NULL : vs_norm_variant_name,
                                 .usable = usable,
                                 .n = n,
                                 .want = want,
                                 .exact = exact,
                                 .sums = true,
                                 .tiny = 0x1p-119});
}

/* ---- A chain of blocks -------------------------------------------------------------------- */

/* x = x + W RMSNorm(x), the residual stream of a transformer without its attention. The weights
 * keep the branch as large as the stream's own growth. */
enum { WIDTH = 192, ROWS = 8 };

struct chain {
    struct vs_weight weight;
    struct vs_span gain, branch;
    float *stream; /* [VS_GROWTH_BLOCKS, ROWS, WIDTH] of the run before: the growth of error */
};

static enum vs_status launch_chain(struct vs_trial *trial, const void *data, struct vs_span out,
                                   size_t variant)
{
    enum vs_status status = VS_OK;
    const struct chain *chain = data;
    struct vs_linear linear = {
        .weight = &chain->weight, .epilogue = VS_EPILOGUE_RESIDUAL, .residual = out};
    (void)variant;
    for (size_t block = 0; block < VS_GROWTH_BLOCKS; block++) {
        VS_TRY(vs_rmsnorm_run(trial->context, chain->branch, out, chain->gain, ROWS, WIDTH, EPS));
        VS_TRY(vs_linear_run(trial->context, out, chain->branch, ROWS, &linear));
        VS_TRY(vs_buffer_read(out.buffer, out.offset * sizeof(float),
                              chain->stream + block * ROWS * WIDTH, ROWS * WIDTH * sizeof(float)));
    }
fail:
    return status;
}

/* One block in float64; x in place. */
static void exact_block(double *x, const float *weight, const float *gain)
{
    double branch[WIDTH];
    for (size_t row = 0; row < ROWS; row++, x += WIDTH) {
        double sum = 0;
        for (size_t i = 0; i < WIDTH; i++)
            sum += x[i] * x[i];
        double r = 1 / sqrt(sum / WIDTH + (double)EPS);
        for (size_t i = 0; i < WIDTH; i++)
            branch[i] = x[i] * r * (double)gain[i];
        for (size_t o = 0; o < WIDTH; o++)
            for (size_t i = 0; i < WIDTH; i++)
                x[o] += branch[i] * (double)weight[o * WIDTH + i];
    }
}

static void run_chain(struct vs_trial *t, const struct vs_case *self)
{
    enum { N = ROWS * WIDTH };
    (void)self;
    vs_trial_shape(t, "%d blocks of %dx%d", VS_GROWTH_BLOCKS, ROWS, WIDTH);
    float *x = vs_trial_input(t, N, VS_INPUT_GAUSS, 1), *want = vs_trial_floats(t, N);
    float *weight = vs_trial_input(t, WIDTH * WIDTH, VS_INPUT_GAUSS, 0.07f);
    float *gain = vs_trial_input(t, WIDTH, VS_INPUT_GAUSS, 1);
    float *branch = vs_trial_floats(t, N), *stream = vs_trial_floats(t, VS_GROWTH_BLOCKS * N);
    double *exact = vs_trial_doubles(t, VS_GROWTH_BLOCKS * N), *state = vs_trial_doubles(t, N);
    struct chain chain = {.gain = vs_trial_upload(t, gain, WIDTH),
                          .branch = vs_trial_upload(t, branch, N),
                          .stream = stream};
    if (t->status == VS_OK)
        t->status = vs_weight_create(&chain.weight, t->context, weight, VS_F32, WIDTH, WIDTH);
    if (t->status != VS_OK)
        return;
    struct vs_linear_ref ref = {.weight = weight,
                                .residual = want,
                                .n_columns = WIDTH,
                                .n_outputs = WIDTH,
                                .epilogue = VS_EPILOGUE_RESIDUAL};
    memcpy(want, x, N * sizeof *x);
    for (size_t i = 0; i < N; i++)
        state[i] = (double)x[i];
    for (size_t block = 0; block < VS_GROWTH_BLOCKS; block++) {
        vs_rmsnorm_ref(branch, want, gain, ROWS, WIDTH, EPS);
        vs_linear_ref(want, branch, ROWS, &ref);
        exact_block(state, weight, gain);
        memcpy(exact + block * N, state, N * sizeof *state);
    }
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch_chain,
                                              .job = &chain,
                                              .initial = x,
                                              .n = N,
                                              .want = want,
                                              .exact = state,
                                              .sums = true});
    vs_weight_free(&chain.weight);
    for (size_t block = 0; t->status == VS_OK && block < VS_GROWTH_BLOCKS; block++) {
        double error = 0, size = 0;
        for (size_t i = block * N; i < (block + 1) * N; i++) {
            error += ((double)stream[i] - exact[i]) * ((double)stream[i] - exact[i]);
            size += exact[i] * exact[i];
        }
        t->result->growth[t->result->n_growth++] = sqrt(error / size);
    }
}

/* Bounds here and in the other tables are several times what the right formula shows: they find a
 * wrong formula or constant. Single bits are the comparison with the oracle's business. */
#define SHAPE(...)                                                                                 \
    &(const struct shape)                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
const struct vs_case vs_cases_norm[] = {
    {"layernorm", run, SHAPE(LAYERNORM, 7, 192, true), true, 32},
    {"layernorm", run, SHAPE(LAYERNORM, 5, 67), true, 32},
    {"layernorm", run, SHAPE(LAYERNORM, 3, 1), true, 32},
    {"layernorm", run, SHAPE(LAYERNORM, 33, 1536, true), false, 32},
    {"layernorm", run, SHAPE(LAYERNORM, 9, 65, .input = VS_INPUT_SPECIAL), true, 32},
    {"layernorm", run, SHAPE(LAYERNORM, 9, 63, .input = VS_INPUT_BITS), true, 32},
    {"rmsnorm", run, SHAPE(RMSNORM, 7, 192), true, 32},
    {"rmsnorm", run, SHAPE(RMSNORM, 33, 1531), false, 32},
    {"rmsnorm", run, SHAPE(RMSNORM, 9, 129, .input = VS_INPUT_SPECIAL), true, 32},
    {"rmsnorm", run, SHAPE(RMSNORM, 9, 129, .input = VS_INPUT_HUGE), true, 32},
    {"channel norm", run, SHAPE(CHANNEL_NORM, 35, 12, .silu = true), true, 32},
    {"channel norm", run, SHAPE(CHANNEL_NORM, 77, 384, .silu = true), false, 32},
    {"channel norm", run, SHAPE(CHANNEL_NORM, 11, 97), false, 32},
    {"unit", run, SHAPE(UNIT, 18, 32), true, 32},
    {"unit", run, SHAPE(UNIT, 25, 128), false, 32},
    {"chain", run_chain, NULL, true, 256},
    {0},
};
