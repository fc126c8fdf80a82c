/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_pointwise.c - golden cases of activations, patches and the sampler. */
#include "kernels/gemm/gemm.h"
#include "kernels/pointwise/pointwise.h"
#include "models/scheduler.h"
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

/* One x0 and one renoised [steps, ...] per step; in.x stands for x0 in the second. */
static void scheduler(struct golden *golden)
{
    size_t n_steps = golden_list_length(golden, "steps"), n = golden_count(golden, "in.x");
    unsigned *steps = golden_alloc(golden, n_steps * sizeof *steps);
    float *sigma = golden_alloc(golden, n_steps * sizeof *sigma);
    float *timestep = golden_alloc(golden, n_steps * sizeof *timestep);
    for (size_t i = 0; i < n_steps; i++)
        steps[i] = (unsigned)golden_list_number(golden, "steps", i);
    golden_ok(golden, vs_schedule(sigma, timestep, steps, n_steps,
                                  golden_number_or(golden, "shift", 5.0)));
    golden_compare(golden, "out.sigma", sigma, n_steps);
    golden_compare(golden, "out.timestep", timestep, n_steps);

    struct vs_span x = golden_upload(golden, "in.x"), flow = golden_upload(golden, "in.flow");
    struct vs_span noise = golden_upload(golden, "in.noise");
    struct vs_span x0 = golden_device(golden, NULL, n_steps * n);
    struct vs_span renoised = golden_device(golden, NULL, n_steps * n);
    for (size_t i = 0; i < n_steps; i++) {
        golden_ok(golden, vs_sampler_x0_run(golden->context, vs_span_at(x0.buffer, x0.offset + i * n),
                                            x, flow, sigma[i], n));
        golden_ok(golden,
                  vs_sampler_renoise_run(golden->context,
                                         vs_span_at(renoised.buffer, renoised.offset + i * n), x,
                                         noise, sigma[i], n));
    }
    golden_compare_span(golden, "out.x0", x0, n_steps * n);
    golden_compare_span(golden, "out.renoised", renoised, n_steps * n);
}

const struct golden_op golden_ops_pointwise[] = {
    {"activations", activations},
    {"patchify", patchify},
    {"scheduler", scheduler},
    {NULL, NULL},
};
