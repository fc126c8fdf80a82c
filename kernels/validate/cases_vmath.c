/* SPDX-License-Identifier: Apache-2.0
 *
 * cases_vmath.c - validation of the elementary functions over the whole range of float32.
 *
 * Half of the inputs are bit patterns spread over all numbers, infinities and NaN included, half
 * lie between -100 and 100. Denormal inputs are left to the report on denormals. */
#include "kernels/validate/trial.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cl/launch.h"
#include "kernels/common/math64.h"
#include "kernels/common/vmath_host.h"
#include "kernels/sources.h"

struct function {
    const char *name; /* in vmath.h, without vm_ */
    float (*oracle)(float);
    double (*exact)(double);
    double tiny; /* results below it are zero by contract */
    size_t n;
};

static double exact_rcp(double x)
{
    return 1 / x;
}

static double exact_rsqrt(double x)
{
    return 1 / sqrt(x);
}

static const char *variant_name(size_t variant)
{
    static const char *const names[] = {"scalar", "float16", NULL};
    return names[variant];
}

struct job {
    const struct function *function;
    struct vs_span x;
};

static enum vs_status launch(struct vs_trial *trial, const void *data, struct vs_span out,
                             size_t variant)
{
    const struct job *job = data;
    const char *name = job->function->name;
    struct vs_launch launch;
    bool vector = variant == 1;
    vs_launch_begin(&launch, trial->context, &vs_source_validate,
                    vector ? "vmath_vector" : "vmath_scalar",
                    "-DVS_FUNCTION=vm_%s -DVS_FUNCTION16=vm_%s16", name, name);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, job->x);
    size_t n = vector ? job->function->n / 16 : job->function->n;
    return vs_launch_run(&launch, 1, &n, NULL, 20.0 * (double)job->function->n);
}

static float pick(struct vs_trial *trial, size_t i)
{
    static const float edges[] = {
        0.0f,  -0.0f,     INFINITY,        -INFINITY,        NAN,       1.0f,
        -1.0f, 0x1p-126f, 0x1.fffffep127f, -0x1.fffffep127f, 88.72283f, -87.33654f};
    if (i < sizeof edges / sizeof *edges)
        return edges[i];
    uint64_t random = vs_trial_random(trial);
    if (i % 2)
        return (float)((double)(random >> 11) * 0x1p-53 * 200 - 100);
    uint32_t bits = (uint32_t)(random >> 32);
    return vm_ftz(vm_float_of_bits(bits));
}

static void run(struct vs_trial *t, const struct vs_case *self)
{
    const struct function *f = self->shape;
    vs_trial_shape(t, "%zu", f->n);
    float *x = vs_trial_floats(t, f->n), *want = vs_trial_floats(t, f->n);
    double *exact = vs_trial_doubles(t, f->n);
    if (t->status != VS_OK)
        return;
    for (size_t i = 0; i < f->n; i++) {
        x[i] = pick(t, i);
        want[i] = f->oracle(x[i]);
        exact[i] = f->exact((double)x[i]);
    }
    struct job job = {f, vs_trial_upload(t, x, f->n)};
    vs_trial_compare(t, &(struct vs_trial_op){.launch = launch,
                                              .job = &job,
                                              .variant_name = variant_name,
                                              .n = f->n,
                                              .want = want,
                                              .exact = exact,
                                              .tiny = f->tiny});
}

/* Bounds are those of vmath.h. */
#define FUNCTION(op_name, name, exact, tiny, bound)                                                \
    {op_name, run, &(const struct function){#name, vm_##name, exact, tiny, 4096}, true, bound},    \
    {                                                                                              \
        op_name, run, &(const struct function){#name, vm_##name, exact, tiny, 131072}, false,      \
            bound                                                                                  \
    }

const struct vs_case vs_cases_vmath[] = {
    FUNCTION("exp", exp, vs_exp64, 0x1p-126, 1.0),
    FUNCTION("log", log, vs_log64, 0, 1.0),
    FUNCTION("rcp", rcp, exact_rcp, 0x1p-126, 0.5),
    FUNCTION("sqrt", sqrt, sqrt, 0, 0.5),
    FUNCTION("rsqrt", rsqrt, exact_rsqrt, 0, 0.5001),
    FUNCTION("tanh", tanh, vs_exact_tanh, 0, 2.0),
    FUNCTION("sigmoid", sigmoid, vs_exact_sigmoid, 0x1p-126, 2.0),
    FUNCTION("silu", silu, vs_exact_silu, 0x1p-119, 2.0),
    FUNCTION("softplus", softplus, vs_exact_softplus, 0x1p-126, 2.0),
    FUNCTION("gelu", gelu2, vs_exact_gelu, 0x1p-119, 2.0),
    {0},
};
