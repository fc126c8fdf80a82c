/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_linear.c - validation of weight formats and of linear layers on each of them. */
#include "kernels/validate/trial.h"

#include <math.h>
#include <string.h>

#include "kernels/gemm/gemm.h"

struct shape {
    enum vs_dtype dtype;
    size_t m, n, k;
    enum vs_epilogue epilogue;
    enum vs_input input;
    bool far_past_range; /* products beyond float32: infinities, and no NaN among them */
};

static const char *const epilogue_names[] = {"",          " gelu",  " silu",
                                             " residual", " gated", " multiply"};

enum { ROWS_PER_GATE = 7 };

/* ---- Weights ------------------------------------------------------------------------------ */

/* Random bits with sane scales: plain values and the scales of blocks get exponents near 0. */
static uint8_t *random_matrix(struct vs_trial *t, enum vs_dtype dtype, size_t n)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    size_t n_bytes = n / info->n_elements * info->n_bytes;
    uint8_t *bytes = (uint8_t *)vs_trial_floats(t, n_bytes / sizeof(float) + 1);
    for (size_t i = 0; bytes && i < n_bytes; i++)
        bytes[i] = (uint8_t)vs_trial_random(t);
    for (uint8_t *block = bytes; bytes && block < bytes + n_bytes; block += info->n_bytes)
        switch (dtype) {
        case VS_F32:
            block[3] = (uint8_t)((block[3] & 0x80) | 0x3d);
            break;
        case VS_F16:
            block[1] = (uint8_t)((block[1] & 0x83) | 0x28);
            break;
        case VS_BF16:
            block[1] = (uint8_t)((block[1] & 0x80) | 0x3d);
            break;
        default:
            block[1] = (uint8_t)((block[1] & 0x83) | 0x14);
            if (dtype == VS_Q4_K)
                block[3] = (uint8_t)((block[3] & 0x83) | 0x14);
        }
    return bytes;
}

static double exact_half(const uint8_t *bytes)
{
    unsigned bits = bytes[0] | (unsigned)bytes[1] << 8, exponent = bits >> 10 & 31;
    double mantissa = (double)(bits & 1023), sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 0)
        return sign * ldexp(mantissa, -24);
    return sign * ldexp(1024 + mantissa, (int)exponent - 25);
}

/* Value j of the 256 of a Q4_K block, by the format's definition. */
static double exact_q4_k(const uint8_t *block, size_t j)
{
    const uint8_t *s = block + 4;
    size_t group = j / 32;
    unsigned scale, minimum;
    if (group < 4) {
        scale = s[group] & 63u;
        minimum = s[group + 4] & 63u;
    } else {
        scale = (s[group + 4] & 15u) | (unsigned)(s[group - 4] >> 6) << 4;
        minimum = (unsigned)(s[group + 4] >> 4) | (unsigned)(s[group] >> 6) << 4;
    }
    unsigned quant = block[16 + 32 * (group / 2) + j % 32] >> (group % 2 ? 4 : 0) & 15u;
    return exact_half(block) * scale * quant - exact_half(block + 2) * minimum;
}

static double exact_weight(const uint8_t *bytes, enum vs_dtype dtype, size_t i)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    const uint8_t *block = bytes + i / info->n_elements * info->n_bytes;
    size_t j = i % info->n_elements;
    uint32_t bits = 0;
    float value;
    switch (dtype) {
    case VS_F16:
        return exact_half(block);
    case VS_Q8_0:
        return exact_half(block) * (double)(int8_t)block[2 + j];
    case VS_Q4_0:
        return exact_half(block) * (double)((int)(block[2 + j % 16] >> (j < 16 ? 0 : 4) & 15) - 8);
    case VS_Q4_K:
        return exact_q4_k(block, j);
    default:
        for (size_t b = 0; b < info->n_bytes; b++)
            bits |= (uint32_t)block[b] << (8 * (b + 4 - info->n_bytes));
        bits = bits & 0x7f800000u ? bits : bits & 0x80000000u;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
}

/* ---- Widening ----------------------------------------------------------------------------- */

static enum vs_status launch_widen(struct vs_trial *trial, const void *job, struct vs_span out,
                                   size_t variant)
{
    (void)variant;
    return vs_weight_widen(trial->context, out, job);
}

static void run_widen(struct vs_trial *t, const struct vs_case *self)
{
    const struct shape *s = self->shape;
    size_t n = s->n * s->k;
    vs_trial_shape(t, "%zux%zu %s", s->n, s->k, vs_dtype_info(s->dtype)->name);
    uint8_t *matrix = random_matrix(t, s->dtype, n);
    float *want = vs_trial_floats(t, n);
    double *exact = vs_trial_doubles(t, n);
    struct vs_weight weight = {0};
    if (t->status != VS_OK)
        return;
    if (s->dtype == VS_F32 || s->dtype == VS_BF16) /* denormals, which become zeros */
        memset(matrix, 1, vs_dtype_info(s->dtype)->n_bytes - 1),
            matrix[vs_dtype_info(s->dtype)->n_bytes - 1] = 0;
    t->status = vs_weight_create(&weight, t->context, matrix, s->dtype, s->n, s->k);
    if (t->status != VS_OK)
        return;
    vs_dtype_widen(want, matrix, s->dtype, n);
    for (size_t i = 0; i < n; i++)
        exact[i] = exact_weight(matrix, s->dtype, i);
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch_widen,
                                              .job = &weight,
                                              .n = n,
                                              .want = want,
                                              .exact = exact,
                                              .sums = s->dtype == VS_Q4_K});
    vs_weight_free(&weight);
}

/* ---- Linear layers ------------------------------------------------------------------------ */

struct job {
    const struct shape *shape;
    struct vs_weight weight;
    struct vs_span x, bias, residual, gate;
};

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    const struct job *job = data;
    struct vs_linear linear = {.weight = &job->weight,
                               .bias = job->bias,
                               .epilogue = job->shape->epilogue,
                               .residual = job->residual,
                               .gate = job->gate,
                               .rows_per_gate = ROWS_PER_GATE};
    return vs_linear_run_variant(trial->context, variant, out, job->x, job->shape->m, &linear);
}

static bool usable(struct vs_trial *trial, const void *data, size_t variant)
{
    const struct job *job = data;
    return vs_linear_variant_usable(trial->context, variant,
                                    &(struct vs_linear){.weight = &job->weight});
}

static double exact_output(const struct vs_linear_ref *ref, const float *x, size_t m, size_t n)
{
    double y = 0;
    size_t i = m * ref->n_outputs + n;
    for (size_t k = 0; k < ref->n_columns; k++)
        y += (double)x[m * ref->n_columns + k] * (double)ref->weight[n * ref->n_columns + k];
    y += (double)ref->bias[n];
    switch (ref->epilogue) {
    case VS_EPILOGUE_GELU:
        return vs_exact_gelu(y);
    case VS_EPILOGUE_SILU:
        return vs_exact_silu(y);
    case VS_EPILOGUE_RESIDUAL:
        return (double)ref->residual[i] + y;
    case VS_EPILOGUE_GATED:
        return (double)ref->gate[m / ROWS_PER_GATE * ref->n_outputs + n] * y +
               (double)ref->residual[i];
    case VS_EPILOGUE_MULTIPLY:
        return (double)ref->residual[i] * y;
    default:
        return y;
    }
}

/* Weights whose products with the input are what the case is about. */
static void shape_weights(struct vs_trial *t, const struct shape *s, float *weight, float *x,
                          float *bias)
{
    for (size_t i = 0; i < s->n * s->k && s->input == VS_INPUT_BITS; i++)
        weight[i] = (float)(vs_trial_random(t) & 1);
    for (size_t i = 0; i < s->n && s->input == VS_INPUT_BITS; i++)
        bias[i] = (float)(vs_trial_random(t) & 1);
    for (size_t i = 0; i < s->n * s->k && s->input == VS_INPUT_HUGE; i++)
        weight[i] *= 1e18f;
    for (size_t i = 0; i < s->n * s->k && s->far_past_range; i++)
        weight[i] = fabsf(weight[i]) * 1e18f;
    for (size_t i = 0; i < s->m * s->k && s->far_past_range; i++)
        x[i] = fabsf(x[i]) * 1e15f + 1e30f;
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    const struct shape *s = self->shape;
    size_t n_out = s->m * s->n;
    vs_trial_shape(t, "%zux%zu to %zu%s%s", s->m, s->k, s->n, epilogue_names[s->epilogue],
                   s->far_past_range ? " overflowing" : vs_input_names[s->input]);
    uint8_t *matrix = random_matrix(t, s->dtype, s->n * s->k);
    float *wide = vs_trial_floats(t, s->n * s->k);
    float *x = vs_trial_input(t, s->m * s->k, s->input, 1);
    float *bias = vs_trial_input(t, s->n, VS_INPUT_GAUSS, 1);
    float *residual = vs_trial_input(t, n_out, VS_INPUT_GAUSS, 1);
    float *gate = vs_trial_input(t, (s->m / ROWS_PER_GATE + 1) * s->n, VS_INPUT_GAUSS, 1);
    float *want = vs_trial_floats(t, n_out);
    double *exact = vs_trial_doubles(t, n_out);
    if (t->status != VS_OK)
        return;
    if (s->dtype == VS_F32)
        shape_weights(t, s, (float *)(void *)matrix, x, bias);
    vs_dtype_widen(wide, matrix, s->dtype, s->n * s->k);
    struct vs_linear_ref ref = {.weight = wide,
                                .bias = bias,
                                .residual = residual,
                                .gate = gate,
                                .n_columns = s->k,
                                .n_outputs = s->n,
                                .epilogue = s->epilogue,
                                .rows_per_gate = ROWS_PER_GATE};
    vs_linear_ref(want, x, s->m, &ref);
    for (size_t m = 0; m < s->m; m++)
        for (size_t n = 0; n < s->n; n++)
            exact[m * s->n + n] = exact_output(&ref, x, m, n);
    struct job job = {.shape = s,
                      .x = vs_trial_upload(t, x, s->m * s->k),
                      .bias = vs_trial_upload(t, bias, s->n),
                      .residual = vs_trial_upload(t, residual, n_out),
                      .gate = vs_trial_upload(t, gate, (s->m / ROWS_PER_GATE + 1) * s->n)};
    if (t->status == VS_OK)
        t->status = vs_weight_create(&job.weight, t->context, matrix, s->dtype, s->n, s->k);
    if (t->status != VS_OK)
        return;
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch,
                                              .job = &job,
                                              .variant_name = vs_linear_variant_name,
                                              .usable = usable,
                                              .variant_bound = vs_linear_variant_bound,
                                              .n = n_out,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true,
                                              .tiny = 0x1p-119});
    vs_weight_free(&job.weight);
}

#define SHAPE(...)                                                                                 \
    &(const struct shape)                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define FORMAT(name, dtype, k)                                                                     \
    {"widen " name, run_widen, SHAPE(dtype, 1, 5, 512), true, 2},                                  \
        {"linear " name, run, SHAPE(dtype, 7, 17, k), true, 64},                                   \
    {                                                                                              \
        "linear " name, run, SHAPE(dtype, 72, 50, 1024, VS_EPILOGUE_GELU), false, 64               \
    }

const struct vs_case vs_cases_linear[] = {
    FORMAT("f32", VS_F32, 257),
    FORMAT("bf16", VS_BF16, 257),
    FORMAT("f16", VS_F16, 257),
    FORMAT("q8_0", VS_Q8_0, 288),
    FORMAT("q4_0", VS_Q4_0, 288),
    FORMAT("q4_k", VS_Q4_K, 512),
    {"linear f32", run, SHAPE(VS_F32, 1, 1, 1), true, 64},
    {"linear f32", run, SHAPE(VS_F32, 13, 33, 300, .input = VS_INPUT_BITS), true, 0},
    {"linear f32", run, SHAPE(VS_F32, 13, 31, 513, .input = VS_INPUT_HUGE), true, 64},
    {"linear f32", run, SHAPE(VS_F32, 13, 31, 130, .input = VS_INPUT_SPECIAL), true, 64},
    {"linear f32", run, SHAPE(VS_F32, 5, 31, 130, .far_past_range = true), true, 64},
    {"linear f32", run, SHAPE(VS_F32, 3, 19, 8960), false, 64},
    {"linear f32", run, SHAPE(VS_F32, 253, 3, 31), false, 64},
    {"linear bf16", run, SHAPE(VS_BF16, 29, 37, 270, VS_EPILOGUE_SILU), false, 64},
    {"linear bf16", run, SHAPE(VS_BF16, 29, 37, 270, VS_EPILOGUE_RESIDUAL), true, 64},
    {"linear bf16", run, SHAPE(VS_BF16, 29, 37, 270, VS_EPILOGUE_GATED), true, 64},
    {"linear bf16", run, SHAPE(VS_BF16, 29, 37, 270, VS_EPILOGUE_MULTIPLY), true, 64},
    {0},
};
