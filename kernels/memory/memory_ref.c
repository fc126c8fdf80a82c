/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_ref.c - the state-space memory in plain C, in the contract's order: the oracle.
 *
 * Here rows are contiguous: slots belong to the device's ring cache. */
#include "kernels/memory/memory.h"

#include "kernels/common/reduce.h"
#include "kernels/common/vmath_host.h"

/* x^T column over n rows: four chains over contiguous quarters. */
static float quarter_dot(const float *x, const float *column, size_t stride, size_t n)
{
    float chain[4] = {0};
    for (size_t c = 0; c < 4; c++)
        for (size_t i = c * n / 4; i < (c + 1) * n / 4; i++)
            chain[c] = __builtin_fmaf(x[i], column[i * stride], chain[c]);
    return (chain[0] + chain[2]) + (chain[1] + chain[3]);
}

void vs_unit_ref(float *out, const float *x, size_t n_vectors, size_t head_dim, float eps)
{
    for (size_t i = 0; i < n_vectors; i++, x += head_dim, out += head_dim) {
        float r = vm_rsqrt(vs_row_sum_squares(x, 0, head_dim) + eps);
        for (size_t d = 0; d < head_dim; d++)
            out[d] = x[d] * r;
    }
}

void vs_gates_ref(float *beta, float *alpha, const float *b, const float *a, const float *a_log,
                  size_t n_rows, size_t beta_width, size_t alpha_width)
{
    for (size_t i = 0; i < n_rows * beta_width; i++)
        beta[i] = vm_sigmoid(b[i]);
    for (size_t i = 0; i < n_rows * alpha_width; i++)
        alpha[i] = -(vm_exp(a_log[i % alpha_width]) * vm_softplus(a[i]));
}

/* One token folded into one head's state m [D, D]; gates one value (n 1) or D of them. */
static void fold(float *m, const float *k, const float *v, const float *beta, size_t n_beta,
                 const float *alpha, size_t n_alpha, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        for (size_t column = 0; column < dim; column++)
            m[i * dim + column] = m[i * dim + column] * vm_exp(alpha[n_alpha == 1 ? 0 : i]);
    for (size_t column = 0; column < dim; column++) {
        float seen = quarter_dot(k, m + column, dim, dim);
        float u = (v[column] - seen) * beta[n_beta == 1 ? 0 : column];
        for (size_t i = 0; i < dim; i++)
            m[i * dim + column] = __builtin_fmaf(k[i], u, m[i * dim + column]);
    }
}

void vs_memory_update_ref(float *state, const float *k, const float *v, const float *beta,
                          const float *alpha, const struct vs_memory_update *update)
{
    size_t dim = update->head_dim, width = update->n_heads * dim;
    size_t n_beta = update->beta_width / update->n_heads;
    size_t n_alpha = update->alpha_width / update->n_heads;
    for (size_t row = 0; row < update->n_rows; row++)
        for (size_t head = 0; head < update->n_heads; head++)
            fold(state + head * dim * dim, k + row * width + head * dim,
                 v + row * width + head * dim, beta + row * update->beta_width + head * n_beta,
                 n_beta, alpha + row * update->alpha_width + head * n_alpha, n_alpha, dim);
}

void vs_router_ref(float *gamma, const float *weight, const float *bias, const float *log_rho,
                   size_t n_frames, size_t n_channels)
{
    for (size_t frame = 0; frame < n_frames; frame++)
        for (size_t i = 0; i < n_channels; i++)
            *gamma++ = vm_sigmoid(__builtin_fmaf(weight[i], log_rho[frame], bias[i]));
}

void vs_memory_read_ref(float *out, const float *q, const float *state, const float *g,
                        const float *norm_weight, const float *gamma, const float *local,
                        const struct vs_memory_read *read)
{
    size_t dim = read->head_dim, width = read->n_heads * dim;
    float one_over_n = (float)(1.0 / (double)dim);
    for (size_t row = 0; row < read->n_rows; row++)
        for (size_t head = 0; head < read->n_heads; head++) {
            const float *m = state + head * dim * dim, *x = q + row * width + head * dim;
            float lane[VS_LANES] = {0};
            for (size_t d = 0; d < dim; d++) {
                float y = quarter_dot(x, m + d, dim, dim);
                lane[d % VS_LANES] = __builtin_fmaf(y, y, lane[d % VS_LANES]);
            }
            float r = vm_rsqrt(__builtin_fmaf(vs_tree64(lane), one_over_n, read->eps));
            for (size_t d = 0; d < dim; d++) {
                size_t i = row * width + head * dim + d;
                float norm = (quarter_dot(x, m + d, dim, dim) * r) * norm_weight[d];
                float global = vm_silu(g[i] * norm);
                float mix = gamma[row / read->rows_per_frame * width + head * dim + d];
                out[i] = __builtin_fmaf(mix, global, local[i]);
            }
        }
}
