/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_attention.c - golden cases of attention, alone and as the cross-attention layer. */
#include "kernels/attention/attention.h"

#include <math.h>

#include "kernels/gemm/gemm.h"
#include "kernels/norm/norm.h"
#include "tests/golden.h"

static struct vs_attention shape_of(size_t n_queries, size_t n_keys, size_t n_heads,
                                    size_t head_dim)
{
    return (struct vs_attention){.n_queries = n_queries,
                                 .n_keys = n_keys,
                                 .n_heads = n_heads,
                                 .head_dim = head_dim,
                                 .scale = (float)(1 / sqrt((double)head_dim))};
}

static void attention(struct golden *golden)
{
    struct vs_attention shape =
        shape_of(golden_dim(golden, "in.q", 0), golden_dim(golden, "in.k", 0),
                 golden_dim(golden, "in.q", 1), golden_dim(golden, "in.q", 2));
    size_t n = golden_count(golden, "in.q");
    struct vs_span out = golden_device(golden, NULL, n);
    golden_ok(golden, vs_attention_run(golden->context, out, golden_upload(golden, "in.q"),
                                       golden_upload(golden, "in.k"), golden_upload(golden, "in.v"),
                                       &shape));
    golden_compare_span(golden, "out.y", out, n);
}

/* x [n_rows, d] through the layer of those tensors. */
static struct vs_span linear(struct golden *golden, struct vs_span x, size_t n_rows,
                             const char *weight, const char *bias)
{
    struct vs_linear layer = {.weight = golden_weight(golden, weight),
                              .bias = golden_upload(golden, bias)};
    struct vs_span out = golden_device(golden, NULL, n_rows * layer.weight->n_rows);
    golden_ok(golden, vs_linear_run(golden->context, out, x, n_rows, &layer));
    return out;
}

static void cross_attention(struct golden *golden)
{
    size_t n_heads = golden_size(golden, "heads"), head_dim = golden_size(golden, "head_dim");
    size_t n = golden_dim(golden, "in.x", 0), n_text = golden_dim(golden, "in.text", 0);
    size_t width = golden_dim(golden, "in.q.weight", 0);
    float eps = (float)golden_number_or(golden, "eps", 1e-6);
    if (width != n_heads * head_dim)
        golden_fail(golden, "%zu heads of %zu do not make a width of %zu", n_heads, head_dim,
                    width);
    struct vs_span x = golden_upload(golden, "in.x"), text = golden_upload(golden, "in.text");
    struct vs_span q = linear(golden, x, n, "in.q.weight", "in.q.bias");
    struct vs_span k = linear(golden, text, n_text, "in.k.weight", "in.k.bias");
    struct vs_span v = linear(golden, text, n_text, "in.v.weight", "in.v.bias");
    golden_ok(golden, vs_rmsnorm_run(golden->context, q, q,
                                     golden_upload(golden, "in.norm_q.weight"), n, width, eps));
    golden_ok(golden,
              vs_rmsnorm_run(golden->context, k, k, golden_upload(golden, "in.norm_k.weight"),
                             n_text, width, eps));
    struct vs_attention shape = shape_of(n, n_text, n_heads, head_dim);
    struct vs_span y = golden_device(golden, NULL, n * width);
    golden_ok(golden, vs_attention_run(golden->context, y, q, k, v, &shape));
    y = linear(golden, y, n, "in.o.weight", "in.o.bias");
    golden_compare_span(golden, "out.k", k, n_text * width);
    golden_compare_span(golden, "out.y", y, golden_count(golden, "out.y"));
}

const struct golden_op golden_ops_attention[] = {
    {"attention", attention},
    {"cross_attention", cross_attention},
    {NULL, NULL},
};
