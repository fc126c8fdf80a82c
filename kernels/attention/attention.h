/* SPDX-License-Identifier: Apache-2.0
 *
 * attention.h - softmax(scale q k^T + bias) v per head, no mask, without a score matrix in memory.
 *
 * Contract: tiles of 64 keys counted from the first logical key; q scaled first; s = dot(D);
 * running maximum from -1e30; weights exp_weight(s - m); l = fma(l, al, tree64(p)); per output
 * element pv = fma chain over the tile's 64 keys, acc = fma(acc, al, pv); at the end acc * rcp(l).
 *
 * Serves self-attention over the ring cache (slots), cross-attention, the text encoder (bias) and
 * the VAE's middle block (strides). */
#ifndef VS_KERNELS_ATTENTION_ATTENTION_H
#define VS_KERNELS_ATTENTION_ATTENTION_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"

struct vs_attention {
    size_t n_queries, n_keys, n_heads, head_dim;
    /* Elements from one row to the next; head n of a row begins at n * head_dim. 0: N * D. */
    size_t q_stride, kv_stride, out_stride;
    float scale; /* of q; 1 leaves q as it is (x * 1 is x) */
    /* Added to the score: bias[head][key - query + n_queries - 1], [N, n_queries + n_keys - 1];
     * or none. */
    struct vs_span bias;
    /* Ring cache: logical row j lies at row slots[j / rows_per_slot] * rows_per_slot +
     * j % rows_per_slot of k and v. slots: int32 buffer; NULL: rows are contiguous. */
    const struct vs_buffer *slots;
    size_t rows_per_slot;
    /* Format of k and v, F32 or F16, in whose elements their spans and stride count. Halves are
     * widened exactly, so the contract is that of the widened values. */
    enum vs_dtype kv;
};

/* out [n_queries, N, D] (out_stride) from q, k, v of the same form. out must not overlap inputs.
 * VS_ERROR_RUNTIME when there is no key or a buffer is too small for the shape. */
VS_CHECK enum vs_status vs_attention_run(struct vs_context *context, struct vs_span out,
                                         struct vs_span q, struct vs_span k, struct vs_span v,
                                         const struct vs_attention *attention);

/* The ways to compute it; kernels/common/variant.h says what each function does. */
const char *vs_attention_variant_name(size_t variant);
bool vs_attention_variant_usable(const struct vs_context *context, size_t variant,
                                 const struct vs_attention *attention);
uint64_t vs_attention_tuning_key(enum vs_dtype kv, size_t n_heads, size_t n_queries, size_t n_keys,
                                 size_t head_dim);
size_t vs_attention_variant_chosen(const struct vs_context *context,
                                   const struct vs_attention *attention);
VS_CHECK enum vs_status vs_attention_run_variant(struct vs_context *context, size_t variant,
                                                 struct vs_span out, struct vs_span q,
                                                 struct vs_span k, struct vs_span v,
                                                 const struct vs_attention *attention);

/* The oracle; bias and slots are host arrays or NULL and stand in place of the struct's. k and v
 * are float32, already widened. */
VS_CHECK enum vs_status vs_attention_ref(float *out, const float *q, const float *k, const float *v,
                                         const float *bias, const int32_t *slots,
                                         const struct vs_attention *attention);

#endif
