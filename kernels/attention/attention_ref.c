/* SPDX-License-Identifier: Apache-2.0
 *
 * attention_ref.c - attention in plain C, in the contract's order: the oracle. */
#include "kernels/attention/attention.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "kernels/common/reduce.h"
#include "kernels/common/vmath_host.h"

enum { TILE = 64 };

/* One query of one head: what the tiles seen so far amount to. */
struct running {
    float max, sum;
    float *out; /* [D], not yet divided by sum */
};

/* k, v: row r of this head at r * stride. row[j], score[j]: the tile's n keys. */
static void add_tile(struct running *state, const float *score, const size_t *row, size_t n,
                     const float *v, size_t stride, size_t head_dim)
{
    float weight[TILE] = {0}, max = state->max;
    for (size_t j = 0; j < n; j++)
        max = score[j] > max ? score[j] : max;
    float decay = vm_exp_weight(state->max - max);
    for (size_t j = 0; j < n; j++)
        weight[j] = vm_exp_weight(score[j] - max);
    for (size_t d = 0; d < head_dim; d++) {
        float chain = 0;
        for (size_t j = 0; j < n; j++)
            chain = __builtin_fmaf(weight[j], v[row[j] * stride + d], chain);
        state->out[d] = __builtin_fmaf(state->out[d], decay, chain);
    }
    state->sum = __builtin_fmaf(state->sum, decay, vs_tree64(weight));
    state->max = max;
}

enum vs_status vs_attention_ref(float *out, const float *q, const float *k, const float *v,
                                const float *bias, const int32_t *slots,
                                const struct vs_attention *attention)
{
    const struct vs_attention *a = attention;
    size_t dim = a->head_dim, width = a->n_heads * dim, per_slot = a->rows_per_slot;
    size_t q_stride = a->q_stride ? a->q_stride : width;
    size_t kv_stride = a->kv_stride ? a->kv_stride : width;
    size_t out_stride = a->out_stride ? a->out_stride : width;
    size_t bias_stride = a->n_queries + a->n_keys - 1;
    float *scaled = vs_alloc(dim, 2 * sizeof *scaled);
    if (!scaled)
        return VS_ERROR_MEMORY;
    for (size_t head = 0; head < a->n_heads; head++)
        for (size_t i = 0; i < a->n_queries; i++) {
            struct running state = {.max = -1e30f, .out = scaled + dim};
            for (size_t d = 0; d < dim; d++) {
                scaled[d] = q[i * q_stride + head * dim + d] * a->scale;
                state.out[d] = 0;
            }
            for (size_t first = 0; first < a->n_keys; first += TILE) {
                size_t n = a->n_keys - first < TILE ? a->n_keys - first : TILE;
                size_t row[TILE];
                float score[TILE];
                for (size_t j = 0; j < n; j++) {
                    size_t key = first + j;
                    row[j] =
                        slots ? (size_t)slots[key / per_slot] * per_slot + key % per_slot : key;
                    score[j] = vs_dot(scaled, 1, k + row[j] * kv_stride + head * dim, 1, dim);
                    if (bias)
                        score[j] = score[j] + bias[head * bias_stride + key + a->n_queries - 1 - i];
                }
                add_tile(&state, score, row, n, v + head * dim, kv_stride, dim);
            }
            float reciprocal = vm_rcp(state.sum);
            for (size_t d = 0; d < dim; d++)
                out[i * out_stride + head * dim + d] = state.out[d] * reciprocal;
        }
    free(scaled);
    return VS_OK;
}
