/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_large.c - indices past 2^31 bytes: rows written to and read from the far end of a ring
 * cache. Only the rows are touched, so it takes address space and hardly any time. */
#include "kernels/validate/trial.h"

#include <string.h>

#include "kernels/attention/attention.h"
#include "kernels/common/math64.h"
#include "kernels/pointwise/pointwise.h"

enum { WIDTH = 64, ROWS_PER_SLOT = 64, N_ROWS = 3 * ROWS_PER_SLOT };
#define SLOT_BYTES ((size_t)WIDTH * ROWS_PER_SLOT * sizeof(float))
/* Slots on both sides of 2^31 bytes, the last one last. */
static const int32_t slots[] = {131073, 131071, 131072};
#define CACHE_BYTES (131074 * SLOT_BYTES)

struct job {
    const struct vs_buffer *cache, *slots;
    struct vs_span rows, q;
};

static struct vs_attention attention_of(const struct job *job)
{
    return (struct vs_attention){.n_queries = N_ROWS,
                                 .n_keys = N_ROWS,
                                 .n_heads = 1,
                                 .head_dim = WIDTH,
                                 .scale = 0.125f,
                                 .slots = job->slots,
                                 .rows_per_slot = ROWS_PER_SLOT};
}

static bool usable(struct vs_trial *trial, const void *job, size_t variant)
{
    struct vs_attention attention = attention_of(job);
    return vs_attention_variant_usable(trial->context, variant, &attention);
}

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    enum vs_status status = VS_OK;
    const struct job *job = data;
    struct vs_span cache = vs_span_of(job->cache);
    struct vs_attention attention = attention_of(job);
    VS_TRY(vs_scatter_rows_run(trial->context, cache, job->rows,
                               &(struct vs_scatter){.slots = job->slots,
                                                    .rows_per_slot = ROWS_PER_SLOT,
                                                    .n_rows = N_ROWS,
                                                    .n_channels = WIDTH,
                                                    .x_stride = WIDTH}));
    return vs_attention_run_variant(trial->context, variant, out, job->q, cache, cache, &attention);
fail:
    return status;
}

static void exact_query(double *out, const float *q, const float *rows)
{
    double weight[N_ROWS], sum = 0;
    memset(out, 0, WIDTH * sizeof *out);
    for (size_t key = 0; key < N_ROWS; key++) {
        double s = 0;
        for (size_t d = 0; d < WIDTH; d++)
            s += (double)q[d] * (double)rows[key * WIDTH + d];
        sum += weight[key] = vs_exp64(s * 0.125);
    }
    for (size_t key = 0; key < N_ROWS; key++)
        for (size_t d = 0; d < WIDTH; d++)
            out[d] += weight[key] / sum * (double)rows[key * WIDTH + d];
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    enum { N = N_ROWS * WIDTH };
    const struct vs_device_info *device = vs_context_device(t->context);
    (void)self;
    vs_trial_shape(t, "cache of %zu bytes", CACHE_BYTES);
    if (device->max_allocation_bytes < CACHE_BYTES ||
        device->global_memory_bytes < CACHE_BYTES + (CACHE_BYTES >> 3)) {
        vs_trial_skip(t, "the device has %.2f GiB, %.2f at once; this takes %.2f",
                      (double)device->global_memory_bytes / 0x1p30,
                      (double)device->max_allocation_bytes / 0x1p30, (double)CACHE_BYTES / 0x1p30);
        return;
    }
    float *q = vs_trial_input(t, N, VS_INPUT_GAUSS, 1);
    float *rows = vs_trial_input(t, N, VS_INPUT_GAUSS, 1), *want = vs_trial_floats(t, N);
    double *exact = vs_trial_doubles(t, N);
    struct job job = {.slots = vs_trial_ints(t, slots, 3),
                      .rows = vs_trial_upload(t, rows, N),
                      .q = vs_trial_upload(t, q, N)};
    if (t->status != VS_OK)
        return;
    job.cache = vs_trial_buffer(t, CACHE_BYTES);
    if (t->status == VS_ERROR_MEMORY) {
        t->status = VS_OK;
        vs_trial_skip(t, "%s", vs_error_message());
    }
    if (!job.cache)
        return;
    struct vs_attention attention = attention_of(&job); /* the oracle takes rows in order */
    t->status = vs_attention_ref(want, q, rows, rows, NULL, NULL, &attention);
    for (size_t query = 0; query < N_ROWS; query++)
        exact_query(exact + query * WIDTH, q + query * WIDTH, rows);
    if (t->status == VS_OK)
        vs_trial_compare(t, &(struct vs_trial_op){.launch = launch,
                                                  .job = &job,
                                                  .variant_name = vs_attention_variant_name,
                                                  .usable = usable,
                                                  .n = N,
                                                  .want = want,
                                                  .exact = exact,
                                                  .sums = true});
}

const struct vs_case vs_cases_large[] = {
    {"large index", run, NULL, false, 256},
    {0},
};
