/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_attention.c - validation of attention: head widths from 16 to 384, one key to several
 * tiles, bias, ring cache. */
#include "kernels/validate/trial.h"

#include <math.h>
#include <string.h>

#include "kernels/attention/attention.h"
#include "kernels/common/math64.h"

struct shape {
    size_t n_queries, n_keys, n_heads, head_dim;
    bool bias, slots;
    float q_scale; /* of the queries; 0: 1 */
    bool special;  /* NaN in a query, an infinity in a value */
    bool halves;   /* keys and values are kept as such; float64 takes them as they were before */
};

enum { ROWS_PER_SLOT = 13 };

struct job {
    struct vs_attention attention;
    struct vs_span q, k, v;
};

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    const struct job *job = data;
    return vs_attention_run_variant(trial->context, variant, out, job->q, job->k, job->v,
                                    &job->attention);
}

static bool usable(struct vs_trial *trial, const void *data, size_t variant)
{
    const struct job *job = data;
    return vs_attention_variant_usable(trial->context, variant, &job->attention);
}

struct host {
    const float *q, *k, *v, *bias;
    const int32_t *slots;
};

static size_t key_row(const struct host *h, size_t key)
{
    return h->slots ? (size_t)h->slots[key / ROWS_PER_SLOT] * ROWS_PER_SLOT + key % ROWS_PER_SLOT
                    : key;
}

/* One query of one head; score is room for all keys. */
static void exact_query(double *out, double *score, const struct host *h,
                        const struct vs_attention *a, size_t head, size_t query)
{
    size_t dim = a->head_dim, width = a->n_heads * dim;
    const float *q = h->q + query * width + head * dim;
    double max = -1e30, sum = 0;
    for (size_t key = 0; key < a->n_keys; key++) {
        const float *k = h->k + key_row(h, key) * width + head * dim;
        double s = 0;
        for (size_t d = 0; d < dim; d++)
            s += (double)q[d] * (double)a->scale * (double)k[d];
        if (h->bias)
            s +=
                (double)
                    h->bias[head * (a->n_queries + a->n_keys - 1) + key + a->n_queries - 1 - query];
        score[key] = s;
        max = s > max ? s : max;
    }
    for (size_t d = 0; d < dim; d++)
        out[d] = 0;
    for (size_t key = 0; key < a->n_keys; key++) {
        const float *v = h->v + key_row(h, key) * width + head * dim;
        double p = vs_exp64(score[key] - max);
        sum += p;
        for (size_t d = 0; d < dim; d++)
            out[d] += p * (double)v[d];
    }
    for (size_t d = 0; d < dim; d++)
        out[d] /= sum;
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    const struct shape *s = self->shape;
    size_t width = s->n_heads * s->head_dim, n_out = s->n_queries * width;
    size_t n_slots = (s->n_keys + ROWS_PER_SLOT - 1) / ROWS_PER_SLOT;
    size_t n_kv = (s->slots ? n_slots * ROWS_PER_SLOT : s->n_keys) * width;
    size_t n_bias = s->n_heads * (s->n_queries + s->n_keys - 1);
    vs_trial_shape(t, "%zu by %zu, %zux%zu%s%s%s%s%s", s->n_queries, s->n_keys, s->n_heads,
                   s->head_dim, s->halves ? " f16" : "", s->bias ? " bias" : "", s->slots ? " slots" : "",
                   s->q_scale != 0 ? " huge" : "", s->special ? " inf and nan" : "");
    float *q = vs_trial_input(t, n_out, VS_INPUT_GAUSS, s->q_scale != 0 ? s->q_scale : 1);
    float *k = vs_trial_input(t, n_kv, VS_INPUT_GAUSS, 1);
    float *v = vs_trial_input(t, n_kv, VS_INPUT_GAUSS, 1);
    float *bias = vs_trial_input(t, n_bias, VS_INPUT_GAUSS, 1), *want = vs_trial_floats(t, n_out);
    int32_t *slots = (int32_t *)(void *)vs_trial_floats(t, n_slots);
    double *exact = vs_trial_doubles(t, n_out), *score = vs_trial_doubles(t, s->n_keys);
    if (t->status != VS_OK)
        return;
    for (size_t i = 0; i < n_slots; i++)
        slots[i] = (int32_t)(n_slots - 1 - i);
    if (s->special) {
        q[width / 2] = NAN;
        v[width * (s->n_keys / 2)] = INFINITY;
    }
    struct vs_attention a = {.n_queries = s->n_queries,
                             .n_keys = s->n_keys,
                             .n_heads = s->n_heads,
                             .head_dim = s->head_dim,
                             .scale = s->bias ? 1 : (float)(1 / sqrt((double)s->head_dim)),
                             .rows_per_slot = ROWS_PER_SLOT,
                             .kv = s->halves ? VS_F16 : VS_F32};
    struct host host = {q, k, v, s->bias ? bias : NULL, s->slots ? slots : NULL};
    for (size_t query = 0; query < s->n_queries; query++)
        for (size_t head = 0; head < s->n_heads; head++)
            exact_query(exact + query * width + head * s->head_dim, score, &host, &a, head, query);
    struct job job = {a, vs_trial_upload(t, q, n_out), vs_trial_upload_as(t, a.kv, k, n_kv),
                      vs_trial_upload_as(t, a.kv, v, n_kv)};
    if (t->status == VS_OK) /* k and v are now what the device has */
        t->status = vs_attention_ref(want, q, k, v, host.bias, host.slots, &a);
    if (s->bias)
        job.attention.bias = vs_trial_upload(t, bias, n_bias);
    if (s->slots)
        job.attention.slots = vs_trial_ints(t, slots, n_slots);
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch,
                                              .job = &job,
                                              .variant_name = vs_attention_variant_name,
                                              .usable = usable,
                                              .n = n_out,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true});
}

/* 2^-9 to 2^-8 of the results' root mean square: what the rounding of keys and values may do. */
#define HALVES 32768

#define SHAPE(...)                                                                                 \
    &(const struct shape)                                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
const struct vs_case vs_cases_attention[] = {
    {"attention", run, SHAPE(1, 1, 1, 16), true, 256},
    {"attention", run, SHAPE(7, 65, 2, 16), false, 256},
    {"attention", run, SHAPE(37, 130, 3, 32, .slots = true), true, 256},
    {"attention", run, SHAPE(7, 31, 2, 32, .special = true), true, 256},
    {"attention", run, SHAPE(5, 63, 2, 32, .q_scale = 1e5f), true, 256},
    {"attention", run, SHAPE(19, 32, 4, 16, .bias = true), true, 256},
    {"attention", run, SHAPE(11, 200, 2, 64, .bias = true, .slots = true), false, 256},
    {"attention", run, SHAPE(12, 77, 2, 96), false, 256},
    {"attention", run, SHAPE(33, 257, 2, 128, .slots = true), false, 256},
    {"attention", run, SHAPE(9, 64, 1, 192), false, 256},
    {"attention", run, SHAPE(9, 65, 1, 256), false, 256},
    {"attention", run, SHAPE(24, 24, 1, 48), false, 256},
    {"attention", run, SHAPE(13, 129, 1, 384), false, 256},
    {"attention kv f16", run, SHAPE(37, 130, 3, 32, .slots = true, .halves = true), true, HALVES},
    {"attention kv f16", run, SHAPE(7, 31, 2, 32, .special = true, .halves = true), true, HALVES},
    {"attention kv f16", run, SHAPE(19, 65, 4, 16, .halves = true), false, HALVES},
    {"attention kv f16", run, SHAPE(33, 257, 2, 128, .slots = true, .halves = true), false, HALVES},
    {"attention kv f16", run, SHAPE(13, 129, 1, 384, .halves = true), false, HALVES},
    {0},
};
