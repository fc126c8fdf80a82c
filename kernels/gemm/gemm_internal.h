/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm_internal.h - between the files of this folder: providers that gemm.c's table names. */
#ifndef VS_KERNELS_GEMM_GEMM_INTERNAL_H
#define VS_KERNELS_GEMM_GEMM_INTERNAL_H

#include "kernels/gemm/gemm.h"

/* VS_ACTIVATION of the programs. */
static inline int vs_linear_activation(const struct vs_linear *linear)
{
    return linear->epilogue == VS_EPILOGUE_GELU   ? 1
           : linear->epilogue == VS_EPILOGUE_SILU ? 2
                                                  : 0;
}

/* Floats from row to row of the input. */
static inline size_t vs_linear_stride(const struct vs_linear *linear)
{
    return linear->x_stride ? linear->x_stride : linear->weight->n_columns;
}

static inline size_t vs_linear_n_batches(const struct vs_linear *linear)
{
    return linear->batch.n ? linear->batch.n : 1;
}

/* The layer by CLBlast: product, then epilogue. Weights that are not float32, and a product that
 * may not overwrite the residual, take room of the context's (cl/scratch.h), as does what CLBlast
 * needs for itself. All sizes at least 1, no batches, arguments checked. The first call for a
 * context, also a dry one, has CLBlast build its kernels, by a product of one number.
 * VS_ERROR_RUNTIME names CLBlast's error. */
VS_CHECK enum vs_status vs_linear_clblast(struct vs_context *context, struct vs_span out,
                                          struct vs_span x, size_t n_rows,
                                          const struct vs_linear *linear);

#endif
