/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_gemm.c - golden cases of linear layers. */
#include "kernels/gemm/gemm.h"
#include "tests/golden.h"

static void free_weight(void *weight)
{
    vs_weight_free(weight);
}

const struct vs_weight *golden_weight(struct golden *golden, const char *name)
{
    const struct vs_tensor *tensor = golden_tensor(golden, name);
    struct vs_weight *weight = golden_alloc(golden, sizeof *weight);
    size_t n_rows = golden_dim(golden, name, 0);
    if (!n_rows)
        golden_fail(golden, "%s has no rows", name);
    golden_ok(golden, vs_weight_create(weight, golden->context, tensor->data, tensor->dtype, n_rows,
                                       tensor->n_elements / n_rows));
    golden_defer(golden, free_weight, weight);
    return weight;
}

static void linear(struct golden *golden)
{
    struct vs_linear linear = {.weight = golden_weight(golden, "in.weight")};
    if (golden_has(golden, "in.bias"))
        linear.bias = golden_upload(golden, "in.bias");
    size_t n_columns = linear.weight->n_columns, n_outputs = linear.weight->n_rows;
    size_t n_rows = n_columns ? golden_count(golden, "in.x") / n_columns : 0;
    struct vs_span out = golden_device(golden, NULL, n_rows * n_outputs);
    golden_ok(golden, vs_linear_run(golden->context, out, golden_upload(golden, "in.x"), n_rows,
                                    &linear));
    golden_compare_span(golden, "out.y", out, n_rows * n_outputs);
}

const struct golden_op golden_ops_gemm[] = {
    {"linear", linear},
    {NULL, NULL},
};
