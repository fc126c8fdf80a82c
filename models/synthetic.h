/* SPDX-License-Identifier: Apache-2.0
 *
 * synthetic.h - weights without a file: every tensor that is asked for is there.
 *
 * For measurements. All tensors begin at the same place in one pool of random numbers, small and
 * never denormal; so a transformer of many layers takes the memory of its largest matrix. */
#ifndef VS_MODELS_SYNTHETIC_H
#define VS_MODELS_SYNTHETIC_H

#include "models/weights.h"

struct vs_synthetic;

/* dtype: F32, F16 or BF16. largest: elements of the largest tensor that will be asked for. Freed
 * with vs_weights_free(). VS_ERROR_MEMORY. vs_weights_find() finds only what vs_weights_require()
 * has asked for before. */
VS_CHECK enum vs_status vs_weights_synthesize(struct vs_weights **weights, enum vs_dtype dtype,
                                              size_t largest);

/* For weights.c. VS_ERROR_RUNTIME for a tensor larger than the pool. */
VS_CHECK enum vs_status vs_synthetic_require(const struct vs_tensor **tensor,
                                             struct vs_synthetic *synthetic, const char *name,
                                             size_t n_dims, const size_t *shape);
const struct vs_tensor *vs_synthetic_find(const struct vs_synthetic *synthetic, const char *name);
void vs_synthetic_free(struct vs_synthetic *synthetic);

#endif
