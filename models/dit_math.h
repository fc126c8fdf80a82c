/* SPDX-License-Identifier: Apache-2.0
 *
 * dit_math.h - what dit.c (a pass) and rollout.c (what is made once a text, timestep or chunk)
 * share. */
#ifndef VS_MODELS_DIT_MATH_H
#define VS_MODELS_DIT_MATH_H

#include <math.h>

#include "kernels/gemm/gemm.h"
#include "models/dit.h"

/* out [n_rows, out width] = epilogue(x W^T + b) */
VS_CHECK enum vs_status vs_dit_affine(const struct vs_dit *dit, const struct vs_buffer *out,
                                      struct vs_span x, size_t n_rows,
                                      const struct vs_affine *affine, enum vs_epilogue epilogue);

/* Around everything that reads a layer's matrices: *block is borrowed until the end. */
VS_CHECK enum vs_status vs_dit_block_begin(const struct vs_block_params **block,
                                           const struct vs_dit *dit, size_t layer);
VS_CHECK enum vs_status vs_dit_block_end(const struct vs_dit *dit);

/* The modulation vectors of a timestep; made at the first call for it. Borrowed. */
VS_CHECK enum vs_status vs_dit_modulation(const struct vs_buffer **modulation,
                                          struct vs_rollout *rollout, float timestep);

/* 1 / sqrt(D), rounded once. */
static inline float vs_attention_scale(size_t head_dim)
{
    return (float)(1.0 / sqrt((double)head_dim));
}

#endif
