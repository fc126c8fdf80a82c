/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_memory.c - validation of rotary embedding and of the state-space memory. */
#include "kernels/validate/trial.h"

#include <math.h>
#include <string.h>

#include "kernels/common/math64.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"

/* ---- Rotary embedding --------------------------------------------------------------------- */

static const float rope_eps = 1e-6f;

struct rope_shape {
    size_t head_dim, n_heads, n_frames, rows, columns;
    bool backwards, slots, norm;
};

struct rope_job {
    struct vs_rope rope;
    struct vs_span x, table;
};

static enum vs_status launch_rope(struct vs_trial *trial, const void *data, struct vs_span out,
                                  size_t variant)
{
    const struct rope_job *job = data;
    return vs_rope_run_variant(trial->context, variant, out, job->x, job->table, &job->rope);
}

static bool rope_usable(struct vs_trial *trial, const void *job, size_t variant)
{
    (void)job;
    return vs_rope_variant_usable(trial->context, variant);
}

/* RMSNorm of a row, in float64. */
static void exact_norm(double *out, const float *x, const float *weight, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double r = 1 / sqrt(sum / (double)n + (double)rope_eps);
    for (size_t i = 0; i < n; i++)
        out[i] = (double)x[i] * r * (double)weight[i];
}

/* Token t, in place, in float64 of the same table. */
static void exact_turn(double *x, const float *table, const struct vs_rope *rope, size_t token)
{
    const struct vs_rope_shape *s = &rope->shape;
    size_t n_space = s->head_dim / 6, n_time = s->head_dim / 2 - 2 * n_space;
    size_t grid = s->grid_rows * s->grid_columns, place = token % grid;
    const float *axis[3] = {
        table + 2 * n_time * (token / grid),
        table + 2 * (n_time * s->n_frames + n_space * (place / s->grid_columns)),
        table + 2 * (n_time * s->n_frames + n_space * (s->grid_rows + place % s->grid_columns))};
    for (size_t head = 0; head < rope->n_heads; head++)
        for (size_t i = 0; i < s->head_dim / 2; i++, x += 2) {
            const float *angle = i < n_time             ? axis[0] + 2 * i
                                 : i < n_time + n_space ? axis[1] + 2 * (i - n_time)
                                                        : axis[2] + 2 * (i - n_time - n_space);
            double c = (double)angle[0];
            double sine = rope->backwards ? -(double)angle[1] : (double)angle[1];
            double a = x[0], b = x[1];
            x[0] = a * c - b * sine;
            x[1] = a * sine + b * c;
        }
}

static void run_rope(struct vs_trial *t, const struct vs_case *self)
{
    static const int64_t positions[] = {0, 1023, -7, 20000};
    const struct rope_shape *s = self->shape;
    struct vs_rope rope = {.shape = {s->head_dim, s->n_frames, s->rows, s->columns},
                           .n_heads = s->n_heads,
                           .backwards = s->backwards,
                           .eps = rope_eps};
    size_t grid = s->rows * s->columns, width = s->n_heads * s->head_dim;
    size_t n = s->n_frames * grid * width, n_table = vs_rope_table_size(&rope.shape);
    vs_trial_shape(t, "%zux%zux%zu tokens %zux%zu%s%s%s", s->n_frames, s->rows, s->columns,
                   s->n_heads, s->head_dim, s->backwards ? " backwards" : "",
                   s->slots ? " slots" : "", s->norm ? " norm" : "");
    float *x = vs_trial_input(t, n, VS_INPUT_GAUSS, 1), *ring = vs_trial_floats(t, n);
    float *table = vs_trial_floats(t, n_table), *want = vs_trial_floats(t, n);
    float *weight = vs_trial_input(t, s->norm ? width : 0, VS_INPUT_GAUSS, 1);
    float *normed = vs_trial_floats(t, s->norm ? n : 0);
    double *exact = vs_trial_doubles(t, n);
    int32_t slots[4];
    if (t->status != VS_OK)
        return;
    vs_rope_table_fill(table, &rope.shape, positions, false);
    if (s->norm)
        vs_rmsnorm_ref(normed, x, weight, n / width, width, rope_eps);
    vs_rope_ref(want, s->norm ? normed : x, table, &rope);
    for (size_t token = 0; token < n / width; token++) {
        for (size_t i = token * width; i < (token + 1) * width; i++)
            exact[i] = (double)x[i];
        if (s->norm)
            exact_norm(exact + token * width, x + token * width, weight, width);
        exact_turn(exact + token * width, table, &rope, token);
    }
    for (size_t f = 0; f < s->n_frames; f++) {
        slots[f] = (int32_t)(s->slots ? s->n_frames - 1 - f : f);
        memcpy(ring + (size_t)slots[f] * grid * width, x + f * grid * width,
               grid * width * sizeof *x);
    }
    if (s->slots)
        rope.in_slots = vs_trial_ints(t, slots, s->n_frames);
    if (s->norm)
        rope.norm_weight = vs_trial_upload(t, weight, width);
    struct rope_job job = {rope, vs_trial_upload(t, ring, n), vs_trial_upload(t, table, n_table)};
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch_rope,
                                              .job = &job,
                                              .variant_name = vs_rope_variant_name,
                                              .usable = rope_usable,
                                              .n = n,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true});
}

/* ---- Gates and router --------------------------------------------------------------------- */

enum { GATE_ROWS = 13, ROUTER_FRAMES = 5 };

struct widths {
    size_t beta, alpha; /* router: channels and nothing */
};

struct gates_job {
    struct vs_span b, a, a_log;
    const struct widths *widths;
};

static enum vs_status launch_gates(struct vs_trial *trial, const void *data, struct vs_span out,
                                   size_t variant)
{
    const struct gates_job *job = data;
    struct vs_gates_shape shape = {
        .n_rows = GATE_ROWS, .beta_width = job->widths->beta, .alpha_width = job->widths->alpha};
    struct vs_span alpha = vs_span_at(out.buffer, out.offset + GATE_ROWS * job->widths->beta);
    (void)variant;
    return vs_gates_run(trial->context, out, alpha, job->b, job->a, job->a_log, &shape);
}

static void run_gates(struct vs_trial *t, const struct vs_case *self)
{
    const struct widths *w = self->shape;
    size_t n_beta = GATE_ROWS * w->beta, n_alpha = GATE_ROWS * w->alpha, n = n_beta + n_alpha;
    vs_trial_shape(t, "%d rows beta %zu alpha %zu", GATE_ROWS, w->beta, w->alpha);
    float *b = vs_trial_input(t, n_beta, VS_INPUT_GAUSS, 4);
    float *a = vs_trial_input(t, n_alpha, VS_INPUT_GAUSS, 4);
    float *a_log = vs_trial_input(t, w->alpha, VS_INPUT_GAUSS, 1), *want = vs_trial_floats(t, n);
    double *exact = vs_trial_doubles(t, n);
    if (t->status != VS_OK)
        return;
    vs_gates_ref(want, want + n_beta, b, a, a_log, GATE_ROWS, w->beta, w->alpha);
    for (size_t i = 0; i < n_beta; i++)
        exact[i] = vs_exact_sigmoid((double)b[i]);
    for (size_t i = 0; i < n_alpha; i++)
        exact[n_beta + i] =
            -vs_exp64((double)a_log[i % w->alpha]) * vs_exact_softplus((double)a[i]);
    struct gates_job job = {vs_trial_upload(t, b, n_beta), vs_trial_upload(t, a, n_alpha),
                            vs_trial_upload(t, a_log, w->alpha), w};
    vs_trial_compare(
        t, &(struct vs_trial_op){
               .launch = launch_gates, .job = &job, .n = n, .want = want, .exact = exact});
}

static enum vs_status launch_router(struct vs_trial *trial, const void *data, struct vs_span out,
                                    size_t variant)
{
    const struct gates_job *job = data;
    (void)variant;
    return vs_router_run(trial->context, out, job->a, job->b, job->a_log, ROUTER_FRAMES,
                         job->widths->beta);
}

static void run_router(struct vs_trial *t, const struct vs_case *self)
{
    const struct widths *w = self->shape;
    size_t n = ROUTER_FRAMES * w->beta;
    vs_trial_shape(t, "%dx%zu", ROUTER_FRAMES, w->beta);
    float *weight = vs_trial_input(t, w->beta, VS_INPUT_GAUSS, 2);
    float *bias = vs_trial_input(t, w->beta, VS_INPUT_GAUSS, 2);
    float *log_rho = vs_trial_input(t, ROUTER_FRAMES, VS_INPUT_GAUSS, 2);
    float *want = vs_trial_floats(t, n);
    double *exact = vs_trial_doubles(t, n);
    if (t->status != VS_OK)
        return;
    vs_router_ref(want, weight, bias, log_rho, ROUTER_FRAMES, w->beta);
    for (size_t i = 0; i < n; i++)
        exact[i] = vs_exact_sigmoid((double)weight[i % w->beta] * (double)log_rho[i / w->beta] +
                                    (double)bias[i % w->beta]);
    struct gates_job job = {vs_trial_upload(t, bias, w->beta), vs_trial_upload(t, weight, w->beta),
                            vs_trial_upload(t, log_rho, ROUTER_FRAMES), w};
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch_router,
                                              .job = &job,
                                              .n = n,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true});
}

/* ---- State update and read ---------------------------------------------------------------- */

struct state_shape {
    size_t n_rows, n_heads, head_dim;
    bool channel_gates, empty; /* empty: the read before anything was folded in */
    bool halves; /* values are kept as such; float64 takes them as they were before */
};

struct state_job {
    struct vs_memory_update update;
    struct vs_memory_read read;
    struct vs_span q, k, v, beta, alpha, state, g, weight, gamma, local;
};

static enum vs_status launch_update(struct vs_trial *trial, const void *data, struct vs_span out,
                                    size_t variant)
{
    const struct state_job *job = data;
    return vs_memory_update_run_variant(trial->context, variant, out, job->k, job->v, job->beta,
                                        job->alpha, &job->update);
}

static bool update_usable(struct vs_trial *trial, const void *data, size_t variant)
{
    const struct state_job *job = data;
    return vs_memory_update_variant_usable(trial->context, variant, &job->update);
}

static enum vs_status launch_read(struct vs_trial *trial, const void *data, struct vs_span out,
                                  size_t variant)
{
    const struct state_job *job = data;
    return vs_memory_read_run_variant(trial->context, variant, out, job->q, job->state, job->g,
                                      job->weight, job->gamma, job->local, &job->read);
}

static bool read_usable(struct vs_trial *trial, const void *data, size_t variant)
{
    const struct state_job *job = data;
    return vs_memory_read_variant_usable(trial->context, variant, &job->read);
}

/* One token into one head's state. */
static void exact_fold(double *m, const float *k, const float *v, const float *beta,
                       const float *alpha, size_t n_gates, size_t dim)
{
    for (size_t i = 0; i < dim * dim; i++)
        m[i] *= vs_exp64((double)alpha[n_gates == 1 ? 0 : i / dim]);
    for (size_t column = 0; column < dim; column++) {
        double seen = 0;
        for (size_t i = 0; i < dim; i++)
            seen += (double)k[i] * m[i * dim + column];
        double u = ((double)v[column] - seen) * (double)beta[n_gates == 1 ? 0 : column];
        for (size_t i = 0; i < dim; i++)
            m[i * dim + column] += (double)k[i] * u;
    }
}

static void run_update(struct vs_trial *t, const struct vs_case *self)
{
    const struct state_shape *s = self->shape;
    size_t dim = s->head_dim, width = s->n_heads * dim, n = s->n_rows * width,
           n_state = width * dim;
    size_t n_gates = s->channel_gates ? dim : 1, gates = s->n_heads * n_gates;
    vs_trial_shape(t, "%zu tokens %zux%zu %s", s->n_rows, s->n_heads, dim,
                   s->halves          ? "f16"
                   : s->channel_gates ? "channel gates"
                                      : "head gates");
    float *k = vs_trial_input(t, n, VS_INPUT_GAUSS, 1);
    float *v = vs_trial_input(t, n, VS_INPUT_GAUSS, 1);
    float *beta = vs_trial_input(t, s->n_rows * gates, VS_INPUT_GAUSS, 2);
    float *alpha = vs_trial_input(t, s->n_rows * gates, VS_INPUT_GAUSS, 1);
    float *a_log = vs_trial_input(t, gates, VS_INPUT_GAUSS, 0.3f);
    float *state = vs_trial_input(t, n_state, VS_INPUT_GAUSS, 1);
    float *want = vs_trial_floats(t, n_state), *kept = vs_trial_floats(t, n);
    double *exact = vs_trial_doubles(t, n_state);
    if (t->status != VS_OK)
        return;
    memcpy(kept, v, n * sizeof *kept); /* becomes what the device has of v */
    for (size_t i = 0; i < s->n_rows * gates; i++)
        alpha[i] -= 3; /* decays near 1, as trained ones are */
    vs_unit_ref(k, k, s->n_rows * s->n_heads, dim, 1e-6f);
    vs_gates_ref(beta, alpha, beta, alpha, a_log, s->n_rows, gates, gates);
    struct state_job job = {.update = {.n_rows = s->n_rows,
                                       .n_heads = s->n_heads,
                                       .head_dim = dim,
                                       .beta_width = gates,
                                       .alpha_width = gates,
                                       .v = s->halves ? VS_F16 : VS_F32},
                            .k = vs_trial_upload(t, k, n),
                            .v = vs_trial_upload_as(t, s->halves ? VS_F16 : VS_F32, kept, n),
                            .beta = vs_trial_upload(t, beta, s->n_rows * gates),
                            .alpha = vs_trial_upload(t, alpha, s->n_rows * gates)};
    memcpy(want, state, n_state * sizeof *want);
    vs_memory_update_ref(want, k, kept, beta, alpha, &job.update);
    for (size_t i = 0; i < n_state; i++)
        exact[i] = (double)state[i];
    for (size_t row = 0; row < s->n_rows; row++)
        for (size_t head = 0; head < s->n_heads; head++)
            exact_fold(exact + head * dim * dim, k + row * width + head * dim,
                       v + row * width + head * dim, beta + row * gates + head * n_gates,
                       alpha + row * gates + head * n_gates, n_gates, dim);
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch_update,
                                              .job = &job,
                                              .variant_name = vs_memory_update_variant_name,
                                              .usable = update_usable,
                                              .initial = state,
                                              .n = n_state,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true});
}

/* One head of one token. */
static void exact_read(double *out, const float *q, const float *m, const float *g,
                       const float *weight, const float *gamma, const float *local, size_t dim,
                       double eps)
{
    double sum = 0;
    for (size_t d = 0; d < dim; d++) {
        out[d] = 0;
        for (size_t i = 0; i < dim; i++)
            out[d] += (double)q[i] * (double)m[i * dim + d];
        sum += out[d] * out[d];
    }
    double r = 1 / sqrt(sum / (double)dim + eps);
    for (size_t d = 0; d < dim; d++)
        out[d] = (double)gamma[d] * vs_exact_silu((double)g[d] * out[d] * r * (double)weight[d]) +
                 (double)local[d];
}

static void run_read(struct vs_trial *t, const struct vs_case *self)
{
    enum { ROWS_PER_FRAME = 4 };
    const struct state_shape *s = self->shape;
    size_t dim = s->head_dim, width = s->n_heads * dim, n = s->n_rows * width,
           n_state = width * dim;
    size_t n_gamma = (s->n_rows / ROWS_PER_FRAME + 1) * width;
    vs_trial_shape(t, "%zu tokens %zux%zu%s", s->n_rows, s->n_heads, dim,
                   s->empty ? " empty state" : "");
    float *q = vs_trial_input(t, n, VS_INPUT_GAUSS, 1);
    float *state = vs_trial_input(t, n_state, VS_INPUT_GAUSS, s->empty ? 0 : 1);
    float *g = vs_trial_input(t, n, VS_INPUT_GAUSS, 1);
    float *weight = vs_trial_input(t, dim, VS_INPUT_GAUSS, 1);
    float *gamma = vs_trial_input(t, n_gamma, VS_INPUT_BITS, 0.5f);
    float *local = vs_trial_input(t, n, VS_INPUT_GAUSS, 1), *want = vs_trial_floats(t, n);
    double *exact = vs_trial_doubles(t, n);
    if (t->status != VS_OK)
        return;
    vs_unit_ref(q, q, s->n_rows * s->n_heads, dim, 1e-6f);
    struct state_job job = {.read = {.n_rows = s->n_rows,
                                     .n_heads = s->n_heads,
                                     .head_dim = dim,
                                     .rows_per_frame = ROWS_PER_FRAME,
                                     .eps = 1e-6f},
                            .q = vs_trial_upload(t, q, n),
                            .state = vs_trial_upload(t, state, n_state),
                            .g = vs_trial_upload(t, g, n),
                            .weight = vs_trial_upload(t, weight, dim),
                            .gamma = vs_trial_upload(t, gamma, n_gamma),
                            .local = vs_trial_upload(t, local, n)};
    vs_memory_read_ref(want, q, state, g, weight, gamma, local, &job.read);
    for (size_t row = 0; row < s->n_rows; row++)
        for (size_t head = 0; head < s->n_heads; head++) {
            size_t i = row * width + head * dim;
            exact_read(exact + i, q + i, state + head * dim * dim, g + i, weight,
                       gamma + row / ROWS_PER_FRAME * width + head * dim, local + i, dim,
                       (double)job.read.eps);
        }
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch_read,
                                              .job = &job,
                                              .variant_name = vs_memory_read_variant_name,
                                              .usable = read_usable,
                                              .n = n,
                                              .want = want,
                                              .exact = exact,
                                              .sums = true});
}

#define ROPE(...)                                                                                  \
    &(const struct rope_shape)                                                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define WIDTHS(...)                                                                                \
    &(const struct widths)                                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define STATE(...)                                                                                 \
    &(const struct state_shape)                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
const struct vs_case vs_cases_memory[] = {
    {"rope", run_rope, ROPE(32, 6, 3, 4, 6, .slots = true), true, 4},
    {"rope", run_rope, ROPE(128, 3, 2, 3, 5, .backwards = true), true, 4},
    {"rope", run_rope, ROPE(130, 1, 4, 1, 3), false, 4},
    {"rope", run_rope, ROPE(32, 6, 3, 4, 6, .slots = true, .norm = true), true, 32},
    {"rope", run_rope, ROPE(128, 12, 2, 2, 3, .norm = true), false, 32},
    {"gates", run_gates, WIDTHS(6, 6), true, 8},
    {"gates", run_gates, WIDTHS(33, 17), true, 8},
    {"gates", run_gates, WIDTHS(192, 192), false, 8},
    {"router", run_router, WIDTHS(192), true, 8},
    {"router", run_router, WIDTHS(67), false, 8},
    {"memory update", run_update, STATE(13, 3, 32, .channel_gates = true), true, 64},
    {"memory update", run_update, STATE(14, 3, 32), true, 64},
    {"memory update", run_update, STATE(7, 2, 36, .channel_gates = true), false, 64},
    {"memory update", run_update, STATE(72, 2, 64, .channel_gates = true), false, 64},
    {"memory update", run_update, STATE(24, 1, 128), false, 64},
    {"memory update v f16", run_update, STATE(13, 3, 32, .halves = true), true, 16384},
    {"memory read", run_read, STATE(13, 3, 32), true, 32},
    {"memory read", run_read, STATE(7, 2, 32, .empty = true), true, 32},
    {"memory read", run_read, STATE(29, 2, 64), false, 32},
    {"memory read", run_read, STATE(11, 1, 128), false, 32},
    {0},
};
