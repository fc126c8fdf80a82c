/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_norm.c - golden cases of the norms. */
#include "kernels/norm/norm.h"
#include "tests/golden.h"

static void layernorm(struct golden *golden, bool modulation)
{
    size_t n = golden_count(golden, "in.x"), c = golden_dim(golden, "in.x", 1);
    struct vs_layernorm norm = {
        .n_rows = n / c,
        .n_channels = c,
        .eps = (float)golden_number_or(golden, "eps", 1e-6),
        .modulation = modulation,
        .rows_per_vector = modulation ? golden_size(golden, "tokens_per_frame") : 0};
    struct vs_span out = golden_device(golden, NULL, n);
    golden_ok(golden,
              vs_layernorm_run(golden->context, out, golden_upload(golden, "in.x"),
                               golden_upload(golden, modulation ? "in.shift" : "in.bias"),
                               golden_upload(golden, modulation ? "in.scale" : "in.weight"),
                               &norm));
    golden_compare_span(golden, "out.y", out, n);
}

static void layernorm_modulate(struct golden *golden)
{
    layernorm(golden, true);
}

static void layernorm_affine(struct golden *golden)
{
    layernorm(golden, false);
}

static void rmsnorm(struct golden *golden)
{
    size_t n = golden_count(golden, "in.x"), c = golden_dim(golden, "in.x", 1);
    struct vs_span out = golden_device(golden, NULL, n);
    golden_ok(golden, vs_rmsnorm_run(golden->context, out, golden_upload(golden, "in.x"),
                                     golden_upload(golden, "in.weight"), n / c, c,
                                     (float)golden_number_or(golden, "eps", 1e-6)));
    golden_compare_span(golden, "out.y", out, n);
}

const struct golden_op golden_ops_norm[] = {
    {"layernorm_modulate", layernorm_modulate},
    {"layernorm_affine", layernorm_affine},
    {"rmsnorm", rmsnorm},
    {NULL, NULL},
};
