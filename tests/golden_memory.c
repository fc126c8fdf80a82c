/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_memory.c - golden cases of the state-space memory: gates, update, read and router. */
#include "kernels/memory/memory.h"

#include "kernels/common/math64.h"
#include "kernels/gemm/gemm.h"
#include "tests/golden.h"

/* Every vector to unit length, in place. */
static void make_unit(struct golden *golden, struct vs_span x, size_t n, size_t head_dim)
{
    float eps = (float)golden_number_or(golden, "eps", 1e-6);
    golden_ok(golden, vs_unit_run(golden->context, x, x, n / head_dim, head_dim, eps));
}

static void l2norm(struct golden *golden)
{
    size_t n = golden_count(golden, "in.x");
    struct vs_span x = golden_upload(golden, "in.x");
    make_unit(golden, x, n, golden_dim(golden, "in.x", 2));
    golden_compare_span(golden, "out.y", x, n);
}

static void memory_update(struct golden *golden)
{
    size_t n_rows = golden_dim(golden, "in.k", 0);
    struct vs_memory_update update = {.n_rows = n_rows,
                                      .n_heads = golden_dim(golden, "in.k", 1),
                                      .head_dim = golden_dim(golden, "in.k", 2),
                                      .beta_width = golden_count(golden, "in.beta") / n_rows,
                                      .alpha_width = golden_count(golden, "in.alpha") / n_rows};
    struct vs_span state = golden_upload(golden, "in.M"), k = golden_upload(golden, "in.k");
    make_unit(golden, k, golden_count(golden, "in.k"), update.head_dim);
    golden_ok(golden, vs_memory_update_run(golden->context, state, k, golden_upload(golden, "in.v"),
                                           golden_upload(golden, "in.beta"),
                                           golden_upload(golden, "in.alpha"), &update));
    golden_compare_span(golden, "out.M", state, golden_count(golden, "in.M"));
}

/* H through the layer of those tensors. */
static struct vs_span linear(struct golden *golden, const char *weight, const char *bias)
{
    size_t n_rows = golden_dim(golden, "in.H", 0);
    struct vs_linear layer = {.weight = golden_weight(golden, weight),
                              .bias = golden_upload(golden, bias)};
    struct vs_span out = golden_device(golden, NULL, n_rows * layer.weight->n_rows);
    golden_ok(golden,
              vs_linear_run(golden->context, out, golden_upload(golden, "in.H"), n_rows, &layer));
    return out;
}

static void memory_gates(struct golden *golden)
{
    struct vs_gates_shape shape = {.n_rows = golden_dim(golden, "in.H", 0),
                                   .beta_width = golden_dim(golden, "in.b_proj.weight", 0),
                                   .alpha_width = golden_dim(golden, "in.a_proj.weight", 0)};
    struct vs_span beta = linear(golden, "in.b_proj.weight", "in.b_proj.bias");
    struct vs_span alpha = linear(golden, "in.a_proj.weight", "in.dt_bias");
    golden_ok(golden, vs_gates_run(golden->context, beta, alpha, beta, alpha,
                                   golden_upload(golden, "in.A_log"), &shape));
    golden_compare_span(golden, "out.beta", beta, shape.n_rows * shape.beta_width);
    golden_compare_span(golden, "out.alpha", alpha, shape.n_rows * shape.alpha_width);
}

/* gamma [n_frames, width] of the case's frames. */
static struct vs_span route(struct golden *golden, size_t n_frames, size_t width)
{
    float *log_rho = golden_alloc(golden, n_frames * sizeof *log_rho);
    double total = (double)golden_size(golden, "total_frames");
    for (size_t i = 0; i < n_frames; i++) {
        double rho = (golden_list_number(golden, "frames", i) + 1) / total;
        log_rho[i] = (float)vs_log64(rho < 1 ? rho : 1);
    }
    struct vs_span gamma = golden_device(golden, NULL, n_frames * width);
    golden_ok(golden,
              vs_router_run(golden->context, gamma, golden_upload(golden, "in.router.weight"),
                            golden_upload(golden, "in.router.bias"),
                            golden_device(golden, log_rho, n_frames), n_frames, width));
    return gamma;
}

static struct vs_span filled(struct golden *golden, float value, size_t n)
{
    float *host = golden_alloc(golden, n * sizeof *host);
    for (size_t i = 0; i < n; i++)
        host[i] = value;
    return golden_device(golden, host, n);
}

static void memory_read_fuse(struct golden *golden)
{
    size_t n_frames = golden_list_length(golden, "frames");
    size_t n_rows = golden_dim(golden, "in.q", 0), n = golden_count(golden, "in.q");
    struct vs_memory_read read = {.n_rows = n_rows,
                                  .n_heads = golden_dim(golden, "in.q", 1),
                                  .head_dim = golden_dim(golden, "in.q", 2),
                                  .rows_per_frame = n_rows / n_frames,
                                  .eps = (float)golden_number_or(golden, "norm_eps", 1e-6)};
    size_t width = read.n_heads * read.head_dim;
    struct vs_span q = golden_upload(golden, "in.q"), state = golden_upload(golden, "in.M");
    struct vs_span weight = golden_upload(golden, "in.o_norm.weight");
    struct vs_span gamma = route(golden, n_frames, width), out = golden_device(golden, NULL, n);
    struct vs_span g = linear(golden, "in.g_proj.weight", "in.g_proj.bias");
    make_unit(golden, q, n, read.head_dim);
    golden_compare_span(golden, "out.gamma", gamma, n_frames * width);

    /* What the state gives is the sum with a gamma of 1 and nothing to add to. */
    golden_ok(golden,
              vs_memory_read_run(golden->context, out, q, state, g, weight,
                                 filled(golden, 1, n_frames * width), filled(golden, 0, n), &read));
    golden_compare_span(golden, "out.global", out, n);
    golden_ok(golden, vs_memory_read_run(golden->context, out, q, state, g, weight, gamma,
                                         golden_upload(golden, "in.local"), &read));
    golden_compare_span(golden, "out.fused", out, n);
}

const struct golden_op golden_ops_memory[] = {
    {"l2norm", l2norm},
    {"memory_update", memory_update},
    {"memory_gates", memory_gates},
    {"memory_read_fuse", memory_read_fuse},
    {NULL, NULL},
};
