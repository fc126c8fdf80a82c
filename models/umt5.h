/* SPDX-License-Identifier: Apache-2.0
 *
 * umt5.h - the text encoder: token ids to the rows that the transformer attends to.
 *
 * UMT5's encoder (T5 1.1 with a table of position biases in every block), under the tensor names
 * of Wan's models_t5_*.pth. It runs block by block: the weights of one block are on the device at
 * a time, all texts pass through it, and nothing stays. The stream is float32, whatever the
 * weights are: its values grow past what float16 holds. */
#ifndef VS_MODELS_UMT5_H
#define VS_MODELS_UMT5_H

#include "models/weights.h"

struct vs_umt5_shape {
    size_t vocab, dim;             /* of token_embedding.weight */
    size_t attention_dim, n_heads; /* all heads together; head width attention_dim / n_heads */
    size_t ffn_dim, n_layers;
    size_t n_buckets; /* of position distances, even */
};

/* Reads the shape off the tensors and checks every tensor of every block. Needs no device.
 * VS_ERROR_MODEL names file and tensor. */
VS_CHECK enum vs_status vs_umt5_check(struct vs_umt5_shape *shape,
                                      const struct vs_weights *weights);

/* Bucket of distance = key position - query position: half of them for keys behind or at the
 * query, half for keys after it; within a half one for each near distance, then ever wider ones up
 * to max_distance. n_buckets >= 4 and even, max_distance > n_buckets / 4. */
size_t vs_umt5_bucket(ptrdiff_t distance, size_t n_buckets, size_t max_distance);

enum { VS_UMT5_MAX_DISTANCE = 128 };

/* bias [N, 2 n - 1], bias[head][key - query + n - 1], from table [n_buckets, N]. */
void vs_umt5_bias(float *bias, const float *table, size_t n, size_t n_heads, size_t n_buckets,
                  size_t max_distance);

/* One text to encode. ids, out and block0 are host memory, borrowed. */
struct vs_umt5_text {
    const int32_t *ids;
    size_t n_ids;  /* > 0 */
    float *out;    /* [n_ids, dim]; padding rows are the caller's (zero) */
    float *block0; /* the stream after the first block, [n_ids, dim], for tests; or NULL */
};

/* Encodes n_texts texts. progress (or NULL) is called after every block and stops the run with
 * VS_ERROR_INTERRUPTED by returning false. VS_ERROR_MODEL: an id past the vocabulary;
 * VS_ERROR_NONFINITE names the block; VS_ERROR_MEMORY, VS_ERROR_RUNTIME. */
VS_CHECK enum vs_status vs_umt5_encode(struct vs_context *context, const struct vs_weights *weights,
                                       const struct vs_umt5_text *texts, size_t n_texts,
                                       bool (*progress)(size_t done, size_t total, void *user),
                                       void *user);

#endif
