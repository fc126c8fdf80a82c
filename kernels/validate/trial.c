/* SPDX-License-Identifier: Apache-2.0
 *
 * trial.c - inputs, runs and comparison for the cases of validation. */
#include "kernels/validate/trial.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/sha256.h"
#include "kernels/common/math64.h"
#include "kernels/convert/narrow.h"

enum { GUARD = 67 }; /* floats on each side; odd, so that data is never aligned */

const char *const vs_input_names[] = {"", " {0,1}", " huge", " inf and nan"};

void vs_trial_shape(struct vs_trial *trial, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(trial->result->shape, sizeof trial->result->shape, format, args);
    va_end(args);
}

static void judge(struct vs_trial *trial, enum vs_verdict verdict, const char *format, va_list args)
{
    struct vs_case_result *result = trial->result;
    if (result->verdict != VS_PASS)
        return; /* the first fault is the one to tell of */
    result->verdict = verdict;
    vsnprintf(result->reason, sizeof result->reason, format, args);
}

void vs_trial_skip(struct vs_trial *trial, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    judge(trial, VS_SKIP, format, args);
    va_end(args);
}

static void __attribute__((format(printf, 2, 3)))
fault(struct vs_trial *trial, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    judge(trial, VS_FAIL, format, args);
    va_end(args);
}

/* ---- Inputs ------------------------------------------------------------------------------- */

/* splitmix64 */
uint64_t vs_trial_random(struct vs_trial *trial)
{
    uint64_t z = (trial->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float vs_trial_gauss(struct vs_trial *trial)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(vs_trial_random(trial) >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

static void *keep(struct vs_trial *trial, size_t n, size_t size)
{
    if (trial->status != VS_OK)
        return NULL;
    void *array = NULL;
    if (trial->n_arrays == VS_TRIAL_ITEMS)
        trial->status = vs_fail(VS_ERROR_RUNTIME, "a case of validation needs too many arrays");
    else if (!(array = vs_alloc(n, size)))
        trial->status = VS_ERROR_MEMORY;
    else
        trial->arrays[trial->n_arrays++] = array;
    return array;
}

float *vs_trial_floats(struct vs_trial *trial, size_t n)
{
    return keep(trial, n, sizeof(float));
}

double *vs_trial_doubles(struct vs_trial *trial, size_t n)
{
    return keep(trial, n, sizeof(double));
}

static float draw(struct vs_trial *trial, enum vs_input kind)
{
    static const float specials[] = {INFINITY, -INFINITY, NAN};
    switch (kind) {
    case VS_INPUT_BITS:
        return (float)(vs_trial_random(trial) & 1);
    case VS_INPUT_HUGE:
        return vs_trial_gauss(trial) * 1e17f;
    case VS_INPUT_SPECIAL:
        if (vs_trial_random(trial) % 101 == 0)
            return specials[vs_trial_random(trial) % 3];
        return vs_trial_gauss(trial);
    default:
        return vs_trial_gauss(trial);
    }
}

float *vs_trial_input(struct vs_trial *trial, size_t n, enum vs_input kind, float scale)
{
    float *values = vs_trial_floats(trial, n);
    for (size_t i = 0; values && i < n; i++)
        values[i] = draw(trial, kind) * scale;
    return values;
}

/* ---- Device memory ------------------------------------------------------------------------ */

/* A driver that runs out of memory is told apart from a host that does by the caller. */
static struct vs_buffer *hold(struct vs_trial *trial, struct vs_buffer *buffer,
                              enum vs_status status)
{
    if (status != VS_OK) {
        trial->status = status;
        return NULL;
    }
    if (trial->n_buffers == VS_TRIAL_ITEMS) {
        vs_buffer_free(buffer);
        trial->status = vs_fail(VS_ERROR_RUNTIME, "a case of validation needs too many buffers");
        return NULL;
    }
    return trial->buffers[trial->n_buffers++] = buffer;
}

const struct vs_buffer *vs_trial_buffer(struct vs_trial *trial, size_t n_bytes)
{
    struct vs_buffer *buffer = NULL;
    if (trial->status != VS_OK)
        return NULL;
    enum vs_status status = vs_buffer_create(&buffer, trial->context, n_bytes);
    return hold(trial, buffer, status);
}

/* host, or NaN for NULL, between two zones of NaN. */
static enum vs_status fill_guarded(float *padded, const float *host, size_t n)
{
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        padded[i] = NAN;
    if (host)
        memcpy(padded + GUARD, host, n * sizeof *host);
    return VS_OK;
}

struct vs_span vs_trial_upload(struct vs_trial *trial, const float *host, size_t n)
{
    struct vs_buffer *buffer = NULL;
    if (trial->status != VS_OK)
        return (struct vs_span){0};
    float *padded = vs_alloc(n + 2 * GUARD, sizeof *padded);
    enum vs_status status = padded ? fill_guarded(padded, host, n) : VS_ERROR_MEMORY;
    if (status == VS_OK)
        status = vs_floats_create(&buffer, trial->context, padded, n + 2 * GUARD);
    free(padded);
    return vs_span_at(hold(trial, buffer, status), GUARD);
}

struct vs_span vs_trial_upload_as(struct vs_trial *trial, enum vs_dtype dtype, float *host,
                                  size_t n)
{
    if (dtype == VS_F32 || trial->status != VS_OK)
        return vs_trial_upload(trial, host, n);
    size_t n_padded = n + 2 * GUARD;
    uint16_t *halves = (uint16_t *)(void *)vs_trial_floats(trial, n_padded / 2 + 1);
    const struct vs_buffer *buffer = vs_trial_buffer(trial, n_padded * sizeof *halves);
    if (trial->status != VS_OK)
        return (struct vs_span){0};
    for (size_t i = 0; i < n_padded; i++)
        halves[i] = vs_half_of(NAN);
    for (size_t i = 0; i < n; i++) {
        halves[GUARD + i] = vs_half_of(host[i]);
        host[i] = vs_half_value(halves[GUARD + i]);
    }
    trial->status = vs_buffer_write(buffer, 0, halves, n_padded * sizeof *halves);
    return vs_span_at(buffer, GUARD);
}

const struct vs_buffer *vs_trial_ints(struct vs_trial *trial, const int32_t *host, size_t n)
{
    const struct vs_buffer *buffer = vs_trial_buffer(trial, n * sizeof *host);
    if (buffer)
        trial->status = vs_buffer_write(buffer, 0, host, n * sizeof *host);
    return buffer;
}

/* ---- Comparison --------------------------------------------------------------------------- */

static uint32_t canonical_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return 0x7fc00000;
    return bits == 0x80000000 ? 0 : bits;
}

static bool guards_hold(struct vs_trial *trial, const struct vs_trial_op *op, const float *padded,
                        const char *how)
{
    for (size_t i = 0; i < GUARD; i++)
        if (!isnan(padded[i]) || !isnan(padded[GUARD + op->n + i])) {
            fault(trial, "%s: writes outside its output", how);
            return false;
        }
    return true;
}

static bool equal_oracle(struct vs_trial *trial, const struct vs_trial_op *op, const float *got,
                         const char *how)
{
    size_t n_wrong = 0, first = 0;
    for (size_t i = 0; i < op->n; i++)
        if (canonical_bits(got[i]) != canonical_bits(op->want[i]) && !n_wrong++)
            first = i;
    if (n_wrong)
        fault(trial,
              "%s: %zu of %zu values differ from the oracle; the first, at %zu, is %a, not %a", how,
              n_wrong, op->n, first, (double)got[first], (double)op->want[first]);
    return n_wrong == 0;
}

static bool equal_runs(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (canonical_bits(a[i]) != canonical_bits(b[i]))
            return false;
    return true;
}

static double root_mean_square(const double *x, size_t n)
{
    double sum = 0;
    size_t n_finite = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]) && fabs(x[i]) <= (double)FLT_MAX) {
            sum += x[i] * x[i];
            n_finite++;
        }
    return n_finite ? sqrt(sum / (double)n_finite) : 0;
}

/* Distance of got from exact, in ulp and relative; false when one is a number and one is not. */
static bool distance(double *ulp, double *rel, float got, double exact, double floor, double tiny)
{
    double size = fabs(exact) > floor ? fabs(exact) : floor;
    *ulp = *rel = 0;
    if (isnan(got) || isnan(exact))
        return isnan(got) && isnan(exact);
    if (fabs(exact) < tiny && fabs((double)got) < tiny)
        return true;
    if (isinf(got)) /* rounding may pass the end of the range first */
        return (got < 0) == (exact < 0) && fabs(exact) > (double)FLT_MAX * (1 - 1e-6);
    if (isinf(exact))
        return false;
    if (size == 0)
        size = (double)FLT_MIN;
    int exponent = ilogb(size);
    double error = fabs((double)got - exact);
    *rel = error / size;
    *ulp = error / ldexp(1, (exponent < -126 ? -126 : exponent) - 23);
    return true;
}

/* Distance to float64. bound: relative, of a variant that keeps no bits; 0: the case's, in ulp. */
static void measure(struct vs_trial *trial, const struct vs_trial_op *op, const float *got,
                    double bound, const char *how)
{
    struct vs_case_result *result = trial->result;
    double max_ulp = 0, max_rel = 0;
    double floor = op->sums ? root_mean_square(op->exact, op->n) : 0;
    for (size_t i = 0; i < op->n; i++) {
        double ulp, rel;
        if (!distance(&ulp, &rel, got[i], op->exact[i], floor, op->tiny)) {
            fault(trial, "%s: value %zu is %g where float64 gives %g", how, i, (double)got[i],
                  op->exact[i]);
            return;
        }
        max_ulp = ulp > max_ulp ? ulp : max_ulp;
        max_rel = rel > max_rel ? rel : max_rel;
    }
    result->max_ulp = max_ulp > result->max_ulp ? max_ulp : result->max_ulp;
    result->max_rel = max_rel > result->max_rel ? max_rel : result->max_rel;
    if (bound > 0 && max_rel > bound)
        fault(trial, "%s: %.3g of the results from float64, where %.3g is allowed", how, max_rel,
              bound);
    else if (!(bound > 0) && max_ulp > trial->bound)
        fault(trial, "%s: %.3g ulp from float64, where %.3g are allowed", how, max_ulp,
              trial->bound);
}

static void note_variant(struct vs_trial *trial, const char *name)
{
    char *list = trial->result->variants;
    size_t n = strlen(list), room = sizeof trial->result->variants - n;
    snprintf(list + n, room, "%s%s", n ? ", " : "", name);
}

/* One way to compute it, twice, into padded; the second result has to equal the first, unless there
 * is a bound in place of the bits. */
static enum vs_status run_twice(struct vs_trial *trial, const struct vs_trial_op *op,
                                const struct vs_buffer *out, size_t variant, double bound,
                                float *padded, float *again, const char *how)
{
    enum vs_status status = VS_OK;
    size_t n_bytes = (op->n + 2 * GUARD) * sizeof *padded;
    for (int run = 0; run < 2; run++) {
        float *to = run == 0 ? padded : again;
        VS_TRY(fill_guarded(to, op->initial, op->n));
        VS_TRY(vs_buffer_write(out, 0, to, n_bytes));
        VS_TRY(op->launch(trial, op->job, vs_span_at(out, GUARD), variant));
        VS_TRY(vs_buffer_read(out, 0, to, n_bytes));
    }
    if (!guards_hold(trial, op, padded, how) || !guards_hold(trial, op, again, how))
        goto fail;
    if (bound > 0)
        measure(trial, op, again + GUARD, bound, how);
    else if (!equal_runs(padded + GUARD, again + GUARD, op->n))
        fault(trial, "%s: two runs differ", how);
    else
        (void)equal_oracle(trial, op, padded + GUARD, how);
fail:
    return status;
}

static double bound_of(const struct vs_trial_op *op, size_t variant)
{
    return op->variant_bound ? op->variant_bound(variant) : 0;
}

/* The largest bound of the variants that may be chosen. */
static double loosest_bound(struct vs_trial *trial, const struct vs_trial_op *op)
{
    double loosest = 0;
    for (size_t i = 0; op->variant_name && op->variant_name(i); i++)
        if ((!op->usable || op->usable(trial, op->job, i)) && bound_of(op, i) > loosest)
            loosest = bound_of(op, i);
    return loosest;
}

static void hash_result(struct vs_trial *trial, const struct vs_trial_op *op, const float *padded)
{
    struct vs_sha256 hash;
    vs_sha256_init(&hash);
    vs_sha256_floats(&hash, padded + GUARD, op->n);
    vs_sha256_hex(&hash, trial->result->sha256);
}

void vs_trial_compare(struct vs_trial *trial, const struct vs_trial_op *op)
{
    /* In fast precision a record may have chosen any variant, and the hash is the plain one's. */
    double loosest = loosest_bound(trial, op);
    size_t n_padded = op->n + 2 * GUARD;
    const struct vs_buffer *out = vs_trial_buffer(trial, n_padded * sizeof(float));
    float *padded = vs_trial_floats(trial, n_padded), *again = vs_trial_floats(trial, n_padded);
    if (trial->status != VS_OK)
        return;
    trial->status =
        run_twice(trial, op, out, VS_CHOSEN, loosest, padded, again, "chosen variant");
    if (trial->status != VS_OK)
        return;
    if (!(loosest > 0)) {
        hash_result(trial, op, padded);
        measure(trial, op, padded + GUARD, 0, "chosen variant");
    }
    for (size_t i = 0; op->variant_name && op->variant_name(i); i++) {
        if (op->usable && !op->usable(trial, op->job, i))
            continue;
        note_variant(trial, op->variant_name(i));
        trial->status =
            run_twice(trial, op, out, i, bound_of(op, i), padded, again, op->variant_name(i));
        if (trial->status != VS_OK)
            return;
        if (i == 0 && loosest > 0) {
            hash_result(trial, op, padded);
            measure(trial, op, padded + GUARD, 0, op->variant_name(i));
        }
    }
}

/* ---- Functions in float64 ----------------------------------------------------------------- */

double vs_exact_sigmoid(double x)
{
    double e = vs_exp64(-fabs(x));
    return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

double vs_exact_silu(double x)
{
    return x < -1000 ? 0 : x * vs_exact_sigmoid(x);
}

double vs_exact_softplus(double x)
{
    double r = vs_log1p64(vs_exp64(-fabs(x)));
    return x > 0 ? x + r : r;
}

double vs_exact_gelu(double x)
{
    static const double c = 1.5957691216057307117597842397375274738; /* 2 sqrt(2 / pi) */
    return x < -1000 ? 0 : x * vs_exact_sigmoid(c * (x + 0.044715 * (x * x * x)));
}

double vs_exact_tanh(double x)
{
    double s = x * x, a = fabs(x);
    if (a < 0.02) /* the quotient cancels */
        return x + x * s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315 + s * (62.0 / 2835))));
    double e = a > 40 ? INFINITY : vs_exp64(2 * a);
    double r = 1 - 2 / (e + 1);
    return isnan(x) ? x : copysign(r, x);
}
