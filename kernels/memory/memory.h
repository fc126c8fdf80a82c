/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - the state-space memory: gates, state update, read, router, fuse.
 *
 * VideoSSM (arXiv 2512.04519) section 4.2 with the gated delta rule, as models/README.md fixes it.
 * State M [N, D, D] float32: head, key channel (row), value channel (column). Rows of k, v, beta,
 * alpha may lie in the ring cache: row j is slots[j / rows_per_slot] * rows_per_slot + j %
 * rows_per_slot, counted from entry first_slot of slots; slots NULL: contiguous. */
#ifndef VS_KERNELS_MEMORY_MEMORY_H
#define VS_KERNELS_MEMORY_MEMORY_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"

/* out = x / sqrt(sum x^2 + eps) over each D; x, out [n_rows * n_heads, D]; in place allowed.
 * x * rsqrt(rowsum + eps) of the contract. */
VS_CHECK enum vs_status vs_unit_run(struct vs_context *context, struct vs_span out,
                                    struct vs_span x, size_t n_vectors, size_t head_dim, float eps);
void vs_unit_ref(float *out, const float *x, size_t n_vectors, size_t head_dim, float eps);

/* Gates of a chunk from projections that already hold their biases: beta = sigmoid(b),
 * alpha = -(exp(A_log) * softplus(a)). b and beta_out [T, beta_width], a and alpha_out
 * [T, alpha_width], A_log [alpha_width]. In place allowed. */
struct vs_gates_shape {
    size_t n_rows;
    size_t beta_width, alpha_width; /* N (head-wise) or N * D (channel-wise), each its own */
};
VS_CHECK enum vs_status vs_gates_run(struct vs_context *context, struct vs_span beta_out,
                                     struct vs_span alpha_out, struct vs_span b, struct vs_span a,
                                     struct vs_span a_log, const struct vs_gates_shape *shape);
void vs_gates_ref(float *beta, float *alpha, const float *b, const float *a, const float *a_log,
                  size_t n_rows, size_t beta_width, size_t alpha_width);

/* Folds n_rows tokens, in order, into the state:
 *     M <- diag(exp(alpha_j)) M;  u <- beta_j (v_j - k_j^T M);  M <- M + k_j u^T
 * k: unit length, [n_rows, N, D] contiguous (the caller turned it back and normalised it);
 * v [rows, N, D], beta, alpha in the ring cache. Four chains a column, joined
 * (c0 + c2) + (c1 + c3); D a multiple of 4. A width of N means gates per head, N * D gates per
 * channel. v holds F32 or F16, in whose elements its span counts; halves are widened exactly. */
struct vs_memory_update {
    size_t n_rows, n_heads, head_dim;
    size_t beta_width, alpha_width;
    const struct vs_buffer *slots;
    size_t first_slot, rows_per_slot;
    enum vs_dtype v;
};
VS_CHECK enum vs_status vs_memory_update_run(struct vs_context *context, struct vs_span state,
                                             struct vs_span k, struct vs_span v,
                                             struct vs_span beta, struct vs_span alpha,
                                             const struct vs_memory_update *update);
/* The ways to compute it; kernels/common/variant.h says what each function does. */
const char *vs_memory_update_variant_name(size_t variant);
bool vs_memory_update_variant_usable(const struct vs_context *context, size_t variant,
                                     const struct vs_memory_update *update);
uint64_t vs_memory_update_tuning_key(size_t n_rows, size_t n_heads, size_t head_dim);
size_t vs_memory_update_variant_chosen(const struct vs_context *context,
                               const struct vs_memory_update *update);
VS_CHECK enum vs_status vs_memory_update_run_variant(struct vs_context *context, size_t variant,
                                                     struct vs_span state, struct vs_span k,
                                                     struct vs_span v, struct vs_span beta,
                                                     struct vs_span alpha,
                                                     const struct vs_memory_update *update);

/* The oracle, without slots; v is float32, already widened. */
void vs_memory_update_ref(float *state, const float *k, const float *v, const float *beta,
                          const float *alpha, const struct vs_memory_update *update);

/* gamma [n_frames, C] = sigmoid(fma(w, log_rho[frame], b)); w, b [C]; log_rho from the host. */
VS_CHECK enum vs_status vs_router_run(struct vs_context *context, struct vs_span gamma,
                                      struct vs_span weight, struct vs_span bias,
                                      struct vs_span log_rho, size_t n_frames, size_t n_channels);
void vs_router_ref(float *gamma, const float *weight, const float *bias, const float *log_rho,
                   size_t n_frames, size_t n_channels);

/* out = fma(gamma, silu(g * RMSNorm_head(q M)), local), all [T, N * D] but gamma [frames, N * D],
 * norm weight [D], state [N, D, D]. q has unit length per head. rows_per_frame tokens share a row
 * of gamma. out may be local. RMS: (y * rsqrt(fma(rowsum, 1/D, eps))) * weight. */
struct vs_memory_read {
    size_t n_rows, n_heads, head_dim, rows_per_frame;
    float eps;
};
VS_CHECK enum vs_status vs_memory_read_run(struct vs_context *context, struct vs_span out,
                                           struct vs_span q, struct vs_span state, struct vs_span g,
                                           struct vs_span norm_weight, struct vs_span gamma,
                                           struct vs_span local, const struct vs_memory_read *read);
/* Variants of the read, as those of the update. */
const char *vs_memory_read_variant_name(size_t variant);
bool vs_memory_read_variant_usable(const struct vs_context *context, size_t variant,
                                   const struct vs_memory_read *read);
uint64_t vs_memory_read_tuning_key(size_t n_rows, size_t n_heads, size_t head_dim);
size_t vs_memory_read_variant_chosen(const struct vs_context *context,
                                     const struct vs_memory_read *read);
VS_CHECK enum vs_status vs_memory_read_run_variant(struct vs_context *context, size_t variant,
                                                   struct vs_span out, struct vs_span q,
                                                   struct vs_span state, struct vs_span g,
                                                   struct vs_span norm_weight, struct vs_span gamma,
                                                   struct vs_span local,
                                                   const struct vs_memory_read *read);
void vs_memory_read_ref(float *out, const float *q, const float *state, const float *g,
                        const float *norm_weight, const float *gamma, const float *local,
                        const struct vs_memory_read *read);

#endif
