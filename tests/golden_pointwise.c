/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_pointwise.c - golden cases of activations and patches. */
#include "kernels/gemm/gemm.h"
#include "kernels/pointwise/pointwise.h"
#include "tests/golden.h"

static void activations(struct golden *golden)
{
    static const struct {
        const char *output;
        enum vs_activation f;
    } functions[] = {{"out.gelu_tanh", VS_GELU},
                     {"out.silu", VS_SILU},
                     {"out.softplus", VS_SOFTPLUS},
                     {"out.sigmoid", VS_SIGMOID}};
    size_t n = golden_count(golden, "in.x");
    struct vs_span x = golden_upload(golden, "in.x");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        struct vs_span out = golden_device(golden, NULL, n);
        golden_ok(golden, vs_activation_run(golden->context, out, x, n, functions[i].f));
        golden_compare_span(golden, functions[i].output, out, n);
    }
}

/* in.x [F, C, 2 rows, 2 columns], in.weight [d, C, 1, 2, 2], in.y [tokens, 4 C]. */
static void patchify(struct golden *golden)
{
    size_t n_frames = golden_dim(golden, "in.x", 0), n_channels = golden_dim(golden, "in.x", 1);
    size_t rows = golden_dim(golden, "in.x", 2) / 2, columns = golden_dim(golden, "in.x", 3) / 2;
    size_t n = golden_count(golden, "in.x"), n_tokens = n_frames * rows * columns;
    struct vs_span patches = golden_device(golden, NULL, n);
    golden_ok(golden, vs_patchify_run(golden->context, patches, golden_upload(golden, "in.x"),
                                      n_frames, n_channels, rows, columns));
    golden_compare_span(golden, "out.columns", patches, n);

    const struct vs_weight *weight = golden_weight(golden, "in.weight");
    struct vs_linear embed = {.weight = weight, .bias = golden_upload(golden, "in.bias")};
    struct vs_span embedded = golden_device(golden, NULL, n_tokens * weight->n_rows);
    golden_ok(golden, vs_linear_run(golden->context, embedded, patches, n_tokens, &embed));
    golden_compare_span(golden, "out.embedded", embedded, n_tokens * weight->n_rows);

    struct vs_span pixels = golden_device(golden, NULL, n);
    golden_ok(golden, vs_unpatchify_run(golden->context, pixels, golden_upload(golden, "in.y"),
                                        n_frames, n_channels, rows, columns));
    golden_compare_span(golden, "out.unpatchified", pixels, n);
}

const struct golden_op golden_ops_pointwise[] = {
    {"activations", activations},
    {"patchify", patchify},
    {NULL, NULL},
};
