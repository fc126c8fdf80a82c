/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm.h - linear layers: y = epilogue(x W^T + b), x [M, K], W [N, K] of any weight format.
 *
 * dot(K) of the contract: chains of fma over blocks of 256, blocks added in ascending order from
 * +0, then one add of the bias, then the epilogue. */
#ifndef VS_KERNELS_GEMM_GEMM_H
#define VS_KERNELS_GEMM_GEMM_H

#include "kernels/convert/convert.h"

enum vs_epilogue {
    VS_EPILOGUE_NONE,     /* y */
    VS_EPILOGUE_GELU,     /* gelu2(y) */
    VS_EPILOGUE_SILU,     /* silu(y) */
    VS_EPILOGUE_RESIDUAL, /* residual + y */
    VS_EPILOGUE_GATED,    /* fma(gate, y, residual), gate [.., N], one row per rows_per_gate rows */
    VS_EPILOGUE_MULTIPLY, /* residual * y (gated FFN of the text encoder) */
};

/* n products of one shape at once, without bias and epilogue: the next one's matrix stands behind
 * this one's, its x and its output begin so many floats behind this one's. */
struct vs_linear_batch {
    size_t n, x_stride, out_stride; /* n is 0: one product */
};

struct vs_linear {
    const struct vs_weight *weight; /* [N, K] */
    struct vs_linear_batch batch;
    size_t x_stride;                /* floats from row to row of x; 0: K */
    size_t x_rows, x_group;         /* rows of x in a group, of which M has a whole number, and
                                     * floats from group to group; 0: no groups */
    struct vs_span bias;            /* [N], or none */
    enum vs_epilogue epilogue;
    struct vs_span residual;        /* [M, N]; may be the output itself */
    struct vs_span gate;            /* [ceil(M / rows_per_gate), N] */
    size_t rows_per_gate;           /* 0: one gate vector for all rows */
};

/* out [M, N] = linear(x [M, K]); out must not overlap x. */
VS_CHECK enum vs_status vs_linear_run(struct vs_context *context, struct vs_span out,
                                      struct vs_span x, size_t n_rows,
                                      const struct vs_linear *linear);

/* The ways to compute it; kernels/common/variant.h says what each function does. */
const char *vs_linear_variant_name(size_t variant);
bool vs_linear_variant_usable(const struct vs_context *context, size_t variant,
                              const struct vs_linear *linear);
double vs_linear_variant_bound(size_t variant);
uint64_t vs_linear_tuning_key(enum vs_dtype dtype, size_t n_rows, size_t n_outputs,
                              size_t n_columns);
size_t vs_linear_variant_chosen(const struct vs_context *context, size_t n_rows,
                        const struct vs_linear *linear);
VS_CHECK enum vs_status vs_linear_run_variant(struct vs_context *context, size_t variant,
                                              struct vs_span out, struct vs_span x, size_t n_rows,
                                              const struct vs_linear *linear);

/* From now on CLBlast computes on the device with these parameters of its kernel "Xgemm" (large
 * sizes) or "XgemmDirect" (small ones), all of them: "GEMMK=0 KREG=1 KWG=32 ...". Holds for the
 * process. VS_ERROR_USAGE: no such kernel, or a value that it cannot have. */
VS_CHECK enum vs_status vs_linear_clblast_set(struct vs_context *context, const char *kernel,
                                              const char *parameters);

/* The oracle: the same in plain C. weight is float32 (already widened). Optional pointers NULL. */
struct vs_linear_ref {
    const float *weight, *bias, *residual, *gate;
    size_t n_columns, n_outputs; /* K, N */
    enum vs_epilogue epilogue;
    size_t rows_per_gate;
};
void vs_linear_ref(float *out, const float *x, size_t n_rows, const struct vs_linear_ref *linear);

#endif
