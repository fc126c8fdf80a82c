/* SPDX-License-Identifier: Apache-2.0
 *
 * trial.h - what the cases of validation share: seeded inputs, guarded device memory, runs of every
 * variant, comparison. Private to this folder.
 *
 * The first fault stays in trial->status and turns later calls into nothing, so that a case looks
 * at it once, before it touches the arrays. Arrays and buffers belong to the trial. */
#ifndef VS_KERNELS_VALIDATE_TRIAL_H
#define VS_KERNELS_VALIDATE_TRIAL_H

#include "cl/buffer.h"
#include "cl/context.h"
#include "kernels/common/variant.h"
#include "kernels/convert/dtype.h"
#include "kernels/validate/validate.h"

enum { VS_TRIAL_ITEMS = 48 };

struct vs_trial {
    struct vs_context *context;
    struct vs_case_result *result;
    enum vs_status status;
    double bound; /* largest ulp that passes */
    uint64_t random;
    void *arrays[VS_TRIAL_ITEMS];
    struct vs_buffer *buffers[VS_TRIAL_ITEMS];
    size_t n_arrays, n_buffers;
};

/* A kind of input. */
enum vs_input {
    VS_INPUT_GAUSS,   /* about N(0, 1) */
    VS_INPUT_BITS,    /* 0 or 1: sums are exact integers */
    VS_INPUT_HUGE,    /* N(0, 1e17): products near the end of the range */
    VS_INPUT_SPECIAL, /* N(0, 1), and an infinity or NaN now and then */
};
extern const char *const vs_input_names[];

struct vs_case {
    const char *op;
    void (*run)(struct vs_trial *trial, const struct vs_case *self);
    const void *shape; /* the case's own struct */
    bool quick;
    double bound;
};

/* The tables, one per file; each ends with an op of NULL. */
extern const struct vs_case vs_cases_vmath[], vs_cases_norm[], vs_cases_linear[],
    vs_cases_attention[], vs_cases_memory[], vs_cases_conv[], vs_cases_pointwise[],
    vs_cases_large[];

void vs_trial_shape(struct vs_trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void vs_trial_skip(struct vs_trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

uint64_t vs_trial_random(struct vs_trial *trial);
float vs_trial_gauss(struct vs_trial *trial);

/* Arrays: zeros, and inputs of a kind times scale. */
float *vs_trial_floats(struct vs_trial *trial, size_t n);
double *vs_trial_doubles(struct vs_trial *trial, size_t n);
float *vs_trial_input(struct vs_trial *trial, size_t n, enum vs_input kind, float scale);

/* Device memory with a copy of host, at an odd offset; and a buffer of integers. */
struct vs_span vs_trial_upload(struct vs_trial *trial, const float *host, size_t n);
/* The same in that format, F32 or F16; host becomes what the device then has. */
struct vs_span vs_trial_upload_as(struct vs_trial *trial, enum vs_dtype dtype, float *host,
                                  size_t n);
const struct vs_buffer *vs_trial_ints(struct vs_trial *trial, const int32_t *host, size_t n);
/* n_bytes of device memory that hold anything. */
const struct vs_buffer *vs_trial_buffer(struct vs_trial *trial, size_t n_bytes);

/* An operation under trial, and what it has to give. */
struct vs_trial_op {
    /* Starts the operation by a variant or VS_CHOSEN. */
    enum vs_status (*launch)(struct vs_trial *trial, const void *job, struct vs_span out,
                             size_t variant);
    const void *job;
    const char *(*variant_name)(size_t); /* NULL: there is but one way */
    /* Whether a variant can serve the job; NULL: each can. One that can must not fail. */
    bool (*usable)(struct vs_trial *trial, const void *job, size_t variant);
    /* What a variant keeps, see variant.h; NULL: each keeps the bits of the oracle. */
    double (*variant_bound)(size_t variant);
    const float *initial;                /* content of the output before; NULL: NaN */
    size_t n;
    const float *want;   /* [n], by the oracle */
    const double *exact; /* [n], by float64 */
    bool sums;           /* terms cancel: measure against the root mean square too */
    double tiny;         /* magnitudes below it count as zero */
};
void vs_trial_compare(struct vs_trial *trial, const struct vs_trial_op *op);

/* Functions in float64, from kernels/common/math64.h. */
double vs_exact_sigmoid(double x);
double vs_exact_silu(double x);
double vs_exact_softplus(double x);
double vs_exact_gelu(double x);
double vs_exact_tanh(double x);

#endif
