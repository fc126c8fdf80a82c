/* SPDX-License-Identifier: Apache-2.0
 *
 * synthetic.c - tensors made up when they are asked for. */
#include "models/synthetic.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "kernels/bench/bench.h"
#include "models/weights_internal.h"

/* Each tensor stands alone, since callers keep pointers to it. */
struct made {
    struct made *next;
    struct vs_tensor tensor;
    char name[128];
};

struct vs_synthetic {
    enum vs_dtype dtype;
    size_t largest;
    void *pool;
    struct made *made;
};

enum vs_status vs_weights_synthesize(struct vs_weights **out, enum vs_dtype dtype, size_t largest)
{
    struct vs_weights *weights = vs_alloc(1, sizeof *weights);
    *out = NULL;
    if (!weights)
        return VS_ERROR_MEMORY;
    weights->path = vs_strdup("synthetic weights");
    weights->synthetic = vs_alloc(1, sizeof *weights->synthetic);
    if (weights->synthetic) {
        *weights->synthetic = (struct vs_synthetic){.dtype = dtype, .largest = largest};
        weights->synthetic->pool = vs_alloc(largest, vs_dtype_info(dtype)->n_bytes);
    }
    if (!weights->path || !weights->synthetic || !weights->synthetic->pool) {
        vs_weights_free(weights);
        return VS_ERROR_MEMORY;
    }
    vs_bench_fill_weight(weights->synthetic->pool, dtype, largest);
    *out = weights;
    return VS_OK;
}

const struct vs_tensor *vs_synthetic_find(const struct vs_synthetic *synthetic, const char *name)
{
    for (const struct made *made = synthetic->made; made; made = made->next)
        if (strcmp(made->name, name) == 0)
            return &made->tensor;
    return NULL;
}

enum vs_status vs_synthetic_require(const struct vs_tensor **tensor, struct vs_synthetic *synthetic,
                                    const char *name, size_t n_dims, const size_t *shape)
{
    size_t n = vs_bench_product(n_dims, shape);
    *tensor = vs_synthetic_find(synthetic, name);
    if (*tensor)
        return VS_OK;
    if (n > synthetic->largest || n_dims > VS_MAX_DIMS ||
        strlen(name) >= sizeof((struct made *)0)->name)
        return vs_fail(VS_ERROR_RUNTIME, "synthetic weights: no room for tensor '%s'", name);
    struct made *made = vs_alloc(1, sizeof *made);
    if (!made)
        return VS_ERROR_MEMORY;
    strcpy(made->name, name);
    made->tensor = (struct vs_tensor){.name = made->name,
                                      .raw_name = made->name,
                                      .file = "synthetic weights",
                                      .dtype = synthetic->dtype,
                                      .n_dims = n_dims,
                                      .n_elements = n,
                                      .n_bytes = n * vs_dtype_info(synthetic->dtype)->n_bytes,
                                      .data = synthetic->pool};
    memcpy(made->tensor.shape, shape, n_dims * sizeof *shape);
    made->next = synthetic->made;
    synthetic->made = made;
    *tensor = &made->tensor;
    return VS_OK;
}

void vs_synthetic_free(struct vs_synthetic *synthetic)
{
    if (!synthetic)
        return;
    for (struct made *made = synthetic->made, *next; made; made = next) {
        next = made->next;
        free(made);
    }
    free(synthetic->pool);
    free(synthetic);
}
