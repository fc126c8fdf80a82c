/* SPDX-License-Identifier: Apache-2.0
 *
 * umt5.c - the UMT5 encoder on the device, one block of weights at a time. */
#include "models/umt5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "kernels/attention/attention.h"
#include "kernels/common/math64.h"
#include "kernels/gemm/gemm.h"
#include "kernels/norm/norm.h"
#include "kernels/pointwise/pointwise.h"

static const float eps = 1e-6f;

/* ---- Tensors ------------------------------------------------------------------------------ */

/* The tensors of a block, in the order of struct block. */
enum { NORM1, Q, K, V, O, POSITIONS, NORM2, GATE, FC1, FC2, N_TENSORS };

static const char *const tensor_names[N_TENSORS] = {
    "norm1.weight",  "attn.q.weight",     "attn.k.weight",
    "attn.v.weight", "attn.o.weight",     "pos_embedding.embedding.weight",
    "norm2.weight",  "ffn.gate.0.weight", "ffn.fc1.weight",
    "ffn.fc2.weight"};

/* The two dimensions of a block's tensor; 0 for the second of a vector. */
static void wanted_shape(size_t wanted[2], const struct vs_umt5_shape *shape, int tensor)
{
    const size_t dim = shape->dim, attention = shape->attention_dim, ffn = shape->ffn_dim;
    const size_t shapes[N_TENSORS][2] = {
        [NORM1] = {dim, 0},     [Q] = {attention, dim},
        [K] = {attention, dim}, [V] = {attention, dim},
        [O] = {dim, attention}, [POSITIONS] = {shape->n_buckets, shape->n_heads},
        [NORM2] = {dim, 0},     [GATE] = {ffn, dim},
        [FC1] = {ffn, dim},     [FC2] = {dim, ffn}};
    memcpy(wanted, shapes[tensor], sizeof shapes[tensor]);
}

/* The tensor of that name, exactly of this shape and in a number format that kernels can read. */
static enum vs_status require(const struct vs_tensor **tensor, const struct vs_weights *weights,
                              const char *name, const size_t wanted[2])
{
    enum vs_status status;
    VS_TRY(vs_weights_require(tensor, weights, name, wanted[1] ? 2 : 1, wanted));
    const struct vs_dtype_info *info = vs_dtype_info((*tensor)->dtype);
    size_t row = wanted[1] ? wanted[1] : wanted[0];
    if (!info->weight || row % info->n_elements)
        status = vs_fail(VS_ERROR_MODEL,
                         "%s: tensor %s: rows of %zu values in format %s cannot be used; convert "
                         "the file to BF16",
                         (*tensor)->file, name, row, info->name);
fail:
    return status;
}

static enum vs_status require_in_block(const struct vs_tensor **tensor,
                                       const struct vs_weights *weights,
                                       const struct vs_umt5_shape *shape, size_t block, int which)
{
    char name[96];
    size_t wanted[2];
    snprintf(name, sizeof name, "blocks.%zu.%s", block, tensor_names[which]);
    wanted_shape(wanted, shape, which);
    return require(tensor, weights, name, wanted);
}

/* Dimensions of a matrix whose name is known and whose shape is not. */
static enum vs_status matrix_shape(size_t *n_rows, size_t *n_columns,
                                   const struct vs_weights *weights, const char *name)
{
    const struct vs_tensor *tensor = vs_weights_find(weights, name);
    if (!tensor)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor %s is missing; this is no UMT5 encoder in Wan's naming "
                       "(models_t5_umt5-xxl-enc-bf16.pth)",
                       vs_weights_path(weights), name);
    if (tensor->n_dims != 2 || !tensor->shape[0] || !tensor->shape[1])
        return vs_fail(VS_ERROR_MODEL, "%s: tensor %s is no matrix", tensor->file, name);
    *n_rows = tensor->shape[0];
    *n_columns = tensor->shape[1];
    return VS_OK;
}

/* One more than the highest block number: a block missing in between must be noticed. */
static size_t count_blocks(const struct vs_weights *weights)
{
    size_t n_blocks = 0;
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const char *name = vs_weights_at(weights, i)->name;
        char *end;
        if (strncmp(name, "blocks.", 7) != 0 || name[7] < '0' || name[7] > '9')
            continue;
        unsigned long block = strtoul(name + 7, &end, 10);
        if (*end == '.' && block < vs_weights_count(weights) && block >= n_blocks)
            n_blocks = block + 1;
    }
    return n_blocks;
}

enum vs_status vs_umt5_check(struct vs_umt5_shape *shape, const struct vs_weights *weights)
{
    enum vs_status status;
    const struct vs_tensor *tensor;
    size_t columns;
    *shape = (struct vs_umt5_shape){.n_layers = count_blocks(weights)};
    VS_TRY(matrix_shape(&shape->vocab, &shape->dim, weights, "token_embedding.weight"));
    VS_TRY(matrix_shape(&shape->attention_dim, &columns, weights, "blocks.0.attn.q.weight"));
    VS_TRY(matrix_shape(&shape->ffn_dim, &columns, weights, "blocks.0.ffn.gate.0.weight"));
    VS_TRY(matrix_shape(&shape->n_buckets, &shape->n_heads, weights,
                        "blocks.0.pos_embedding.embedding.weight"));
    if (shape->attention_dim % shape->n_heads || shape->n_buckets % 2 || shape->n_buckets < 4 ||
        shape->n_buckets / 4 >= VS_UMT5_MAX_DISTANCE)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor blocks.0.pos_embedding.embedding.weight: %zu buckets of %zu "
                       "heads do not fit an attention width of %zu",
                       vs_weights_path(weights), shape->n_buckets, shape->n_heads,
                       shape->attention_dim);
    VS_TRY(
        require(&tensor, weights, "token_embedding.weight", (size_t[]){shape->vocab, shape->dim}));
    VS_TRY(require(&tensor, weights, "norm.weight", (size_t[]){shape->dim, 0}));
    for (size_t block = 0; block < shape->n_layers; block++)
        for (int which = 0; which < N_TENSORS; which++)
            VS_TRY(require_in_block(&tensor, weights, shape, block, which));
fail:
    return status;
}

/* ---- Position biases ---------------------------------------------------------------------- */

size_t vs_umt5_bucket(ptrdiff_t distance, size_t n_buckets, size_t max_distance)
{
    size_t half = n_buckets / 2, exact = half / 2;
    size_t side = distance > 0 ? half : 0;
    size_t away = distance < 0 ? -(size_t)distance : (size_t)distance;
    if (away < exact)
        return side + away;
    if (away >= max_distance)
        return side + half - 1;
    double share =
        vs_log64((double)away / (double)exact) / vs_log64((double)max_distance / (double)exact);
    /* A distance that begins a bucket gives a whole number, which rounding may leave just below. */
    size_t far = exact + (size_t)floor(share * (double)(half - exact) + 1e-9);
    return side + (far < half ? far : half - 1);
}

void vs_umt5_bias(float *bias, const float *table, size_t n, size_t n_heads, size_t n_buckets,
                  size_t max_distance)
{
    for (size_t i = 0; i < 2 * n - 1; i++) {
        size_t bucket = vs_umt5_bucket((ptrdiff_t)i - (ptrdiff_t)(n - 1), n_buckets, max_distance);
        for (size_t head = 0; head < n_heads; head++)
            bias[head * (2 * n - 1) + i] = table[bucket * n_heads + head];
    }
}

/* ---- Weights of one block ----------------------------------------------------------------- */

struct block {
    struct vs_weight matrices[N_TENSORS]; /* Q..O, GATE..FC2 */
    struct vs_buffer *norms[2];
    float *positions; /* [n_buckets, N], on the host */
};

static void release_block(struct block *block)
{
    for (int i = 0; i < N_TENSORS; i++)
        vs_weight_free(&block->matrices[i]);
    vs_buffer_free(block->norms[0]);
    vs_buffer_free(block->norms[1]);
    free(block->positions);
    *block = (struct block){.positions = NULL};
}

static enum vs_status widened(float **values, const struct vs_tensor *tensor)
{
    *values = vs_alloc(tensor->n_elements, sizeof **values);
    if (!*values)
        return VS_ERROR_MEMORY;
    vs_dtype_widen(*values, tensor->data, tensor->dtype, tensor->n_elements);
    return VS_OK;
}

static enum vs_status upload_vector(struct vs_buffer **buffer, struct vs_context *context,
                                    const struct vs_tensor *tensor)
{
    enum vs_status status;
    float *values = NULL;
    VS_TRY(widened(&values, tensor));
    VS_TRY(vs_floats_create(buffer, context, values, tensor->n_elements));
fail:
    free(values);
    return status;
}

static enum vs_status upload_block(struct block *block, struct vs_context *context,
                                   const struct vs_weights *weights,
                                   const struct vs_umt5_shape *shape, size_t number)
{
    enum vs_status status = VS_OK;
    for (int which = 0; which < N_TENSORS; which++) {
        const struct vs_tensor *tensor;
        VS_TRY(require_in_block(&tensor, weights, shape, number, which));
        if (which == NORM1 || which == NORM2)
            VS_TRY(upload_vector(&block->norms[which == NORM2], context, tensor));
        else if (which == POSITIONS)
            VS_TRY(widened(&block->positions, tensor));
        else
            VS_TRY(vs_weight_create(&block->matrices[which], context, tensor->data, tensor->dtype,
                                    tensor->shape[0], tensor->shape[1]));
    }
fail:
    return status;
}

/* A block is read once: its pages of the file need not stay in memory. */
static void let_go_of_block(const struct vs_weights *weights, const struct vs_umt5_shape *shape,
                            size_t number)
{
    for (int which = 0; which < N_TENSORS; which++) {
        const struct vs_tensor *tensor;
        if (require_in_block(&tensor, weights, shape, number, which) == VS_OK)
            vs_weights_release(weights, tensor);
    }
}

/* ---- The encoder -------------------------------------------------------------------------- */

struct encoder {
    struct vs_context *context;
    struct vs_umt5_shape shape;
    struct vs_buffer *stream; /* [rows of all texts, dim] */
    /* Of one text, as long as the longest: */
    struct vs_buffer *normed, *q, *k, *v, *attended, *hidden, *bias;
    struct vs_buffer *flags; /* int32 [n_layers + 1]: not finite after this block, the last norm */
    float *host;             /* a row of embeddings, or the biases of a text */
};

static void release_encoder(struct encoder *encoder)
{
    vs_buffer_free(encoder->stream);
    vs_buffer_free(encoder->normed);
    vs_buffer_free(encoder->q);
    vs_buffer_free(encoder->k);
    vs_buffer_free(encoder->v);
    vs_buffer_free(encoder->attended);
    vs_buffer_free(encoder->hidden);
    vs_buffer_free(encoder->bias);
    vs_buffer_free(encoder->flags);
    free(encoder->host);
}

static enum vs_status allocate(struct encoder *encoder, size_t n_rows, size_t n_longest)
{
    enum vs_status status;
    struct vs_context *context = encoder->context;
    const struct vs_umt5_shape *shape = &encoder->shape;
    size_t n_bias = shape->n_heads * (2 * n_longest - 1);
    size_t n_flag_bytes = (shape->n_layers + 1) * sizeof(int32_t);
    VS_TRY(vs_floats_create(&encoder->stream, context, NULL, n_rows * shape->dim));
    VS_TRY(vs_floats_create(&encoder->normed, context, NULL, n_longest * shape->dim));
    VS_TRY(vs_floats_create(&encoder->q, context, NULL, n_longest * shape->attention_dim));
    VS_TRY(vs_floats_create(&encoder->k, context, NULL, n_longest * shape->attention_dim));
    VS_TRY(vs_floats_create(&encoder->v, context, NULL, n_longest * shape->attention_dim));
    VS_TRY(vs_floats_create(&encoder->attended, context, NULL, n_longest * shape->attention_dim));
    VS_TRY(vs_floats_create(&encoder->hidden, context, NULL, n_longest * shape->ffn_dim));
    VS_TRY(vs_floats_create(&encoder->bias, context, NULL, n_bias));
    VS_TRY(vs_buffer_create(&encoder->flags, context, n_flag_bytes));
    VS_TRY(vs_buffer_zero(encoder->flags, 0, n_flag_bytes));
    encoder->host = vs_alloc(n_bias > shape->dim ? n_bias : shape->dim, sizeof *encoder->host);
    if (!encoder->host)
        status = VS_ERROR_MEMORY;
fail:
    return status;
}

/* Rows of the embedding table are widened one by one: the table itself has a gigabyte and more. */
static enum vs_status embed(struct encoder *encoder, const struct vs_weights *weights,
                            const struct vs_umt5_text *texts, size_t n_texts)
{
    enum vs_status status;
    const struct vs_umt5_shape *shape = &encoder->shape;
    const struct vs_tensor *table;
    size_t row = 0, row_bytes = shape->dim * sizeof(float);
    VS_TRY(
        require(&table, weights, "token_embedding.weight", (size_t[]){shape->vocab, shape->dim}));
    for (size_t i = 0; i < n_texts; i++)
        for (size_t j = 0; j < texts[i].n_ids; j++, row++) {
            int32_t id = texts[i].ids[j];
            if (id < 0 || (size_t)id >= shape->vocab)
                return vs_fail(VS_ERROR_MODEL,
                               "%s: token_embedding.weight has %zu rows, none for token %d; use "
                               "the tokenizer that belongs to this encoder",
                               table->file, shape->vocab, id);
            size_t packed_bytes = table->n_bytes / shape->vocab;
            vs_dtype_widen(encoder->host, (const char *)table->data + (size_t)id * packed_bytes,
                           table->dtype, shape->dim);
            VS_TRY(vs_buffer_write(encoder->stream, row * row_bytes, encoder->host, row_bytes));
        }
fail:
    return status;
}

/* out = x W^T, or joined with residual by the epilogue. */
static enum vs_status linear(const struct encoder *encoder, struct vs_span out,
                             const struct vs_buffer *x, size_t n_rows,
                             const struct vs_weight *weight, enum vs_epilogue epilogue)
{
    const struct vs_linear job = {.weight = weight, .epilogue = epilogue, .residual = out};
    return vs_linear_run(encoder->context, out, vs_span_of(x), n_rows, &job);
}

/* x = x + attention(rms(x)) Wo^T for the n rows at x. */
static enum vs_status attend(const struct encoder *encoder, const struct block *block,
                             struct vs_span x, size_t n)
{
    enum vs_status status;
    const struct vs_umt5_shape *shape = &encoder->shape;
    const struct vs_weight *w = block->matrices;
    size_t n_bias = shape->n_heads * (2 * n - 1);
    vs_umt5_bias(encoder->host, block->positions, n, shape->n_heads, shape->n_buckets,
                 VS_UMT5_MAX_DISTANCE);
    VS_TRY(vs_buffer_write(encoder->bias, 0, encoder->host, n_bias * sizeof(float)));
    VS_TRY(vs_rmsnorm_run(encoder->context, vs_span_of(encoder->normed), x,
                          vs_span_of(block->norms[0]), n, shape->dim, eps));
    VS_TRY(linear(encoder, vs_span_of(encoder->q), encoder->normed, n, &w[Q], VS_EPILOGUE_NONE));
    VS_TRY(linear(encoder, vs_span_of(encoder->k), encoder->normed, n, &w[K], VS_EPILOGUE_NONE));
    VS_TRY(linear(encoder, vs_span_of(encoder->v), encoder->normed, n, &w[V], VS_EPILOGUE_NONE));
    /* T5 has no 1/sqrt(D): its training put the scale into the weights. */
    const struct vs_attention job = {.n_queries = n,
                                     .n_keys = n,
                                     .n_heads = shape->n_heads,
                                     .head_dim = shape->attention_dim / shape->n_heads,
                                     .scale = 1.0f,
                                     .bias = vs_span_of(encoder->bias)};
    VS_TRY(vs_attention_run(encoder->context, vs_span_of(encoder->attended), vs_span_of(encoder->q),
                            vs_span_of(encoder->k), vs_span_of(encoder->v), &job));
    VS_TRY(linear(encoder, x, encoder->attended, n, &w[O], VS_EPILOGUE_RESIDUAL));
fail:
    return status;
}

/* x = x + (gelu(n Wgate^T) * (n Wfc1^T)) Wfc2^T, n = rms(x). */
static enum vs_status feed_forward(const struct encoder *encoder, const struct block *block,
                                   struct vs_span x, size_t n)
{
    enum vs_status status;
    const struct vs_weight *w = block->matrices;
    struct vs_span hidden = vs_span_of(encoder->hidden);
    VS_TRY(vs_rmsnorm_run(encoder->context, vs_span_of(encoder->normed), x,
                          vs_span_of(block->norms[1]), n, encoder->shape.dim, eps));
    VS_TRY(linear(encoder, hidden, encoder->normed, n, &w[GATE], VS_EPILOGUE_GELU));
    VS_TRY(linear(encoder, hidden, encoder->normed, n, &w[FC1], VS_EPILOGUE_MULTIPLY));
    VS_TRY(linear(encoder, x, encoder->hidden, n, &w[FC2], VS_EPILOGUE_RESIDUAL));
fail:
    return status;
}

/* VS_ERROR_NONFINITE if flag `index` is set; waits for the device. */
static enum vs_status check_flag(const struct encoder *encoder, const struct vs_weights *weights,
                                 size_t index)
{
    enum vs_status status;
    int32_t flag;
    VS_TRY(vs_buffer_read(encoder->flags, index * sizeof flag, &flag, sizeof flag));
    if (flag && index < encoder->shape.n_layers)
        status = vs_fail(VS_ERROR_NONFINITE,
                         "%s: text encoder, block %zu: infinite or NaN values; the weights are "
                         "damaged or not those of a UMT5 encoder",
                         vs_weights_path(weights), index);
    else if (flag)
        status = vs_fail(VS_ERROR_NONFINITE,
                         "%s: text encoder, last norm: infinite or NaN values; norm.weight is "
                         "damaged",
                         vs_weights_path(weights));
fail:
    return status;
}

static enum vs_status run_block(const struct encoder *encoder, const struct vs_weights *weights,
                                const struct vs_umt5_text *texts, size_t n_texts, size_t number)
{
    enum vs_status status;
    const size_t dim = encoder->shape.dim;
    struct block block = {.positions = NULL};
    VS_TRY(upload_block(&block, encoder->context, weights, &encoder->shape, number));
    struct vs_span x = vs_span_of(encoder->stream);
    for (size_t i = 0; i < n_texts; x.offset += texts[i].n_ids * dim, i++) {
        VS_TRY(attend(encoder, &block, x, texts[i].n_ids));
        VS_TRY(feed_forward(encoder, &block, x, texts[i].n_ids));
        VS_TRY(
            vs_check_finite_run(encoder->context, encoder->flags, number, x, texts[i].n_ids * dim));
        if (number == 0 && texts[i].block0)
            VS_TRY(vs_buffer_read(encoder->stream, x.offset * sizeof(float), texts[i].block0,
                                  texts[i].n_ids * dim * sizeof(float)));
    }
    VS_TRY(check_flag(encoder, weights, number));
fail:
    release_block(&block);
    let_go_of_block(weights, &encoder->shape, number);
    return status;
}

static enum vs_status finish(const struct encoder *encoder, const struct vs_weights *weights,
                             const struct vs_umt5_text *texts, size_t n_texts)
{
    enum vs_status status;
    const size_t dim = encoder->shape.dim;
    const struct vs_tensor *tensor;
    struct vs_buffer *norm = NULL;
    VS_TRY(require(&tensor, weights, "norm.weight", (size_t[]){dim, 0}));
    VS_TRY(upload_vector(&norm, encoder->context, tensor));
    struct vs_span x = vs_span_of(encoder->stream);
    for (size_t i = 0; i < n_texts; x.offset += texts[i].n_ids * dim, i++) {
        struct vs_span out = vs_span_of(encoder->normed);
        size_t n = texts[i].n_ids * dim;
        VS_TRY(
            vs_rmsnorm_run(encoder->context, out, x, vs_span_of(norm), texts[i].n_ids, dim, eps));
        VS_TRY(
            vs_check_finite_run(encoder->context, encoder->flags, encoder->shape.n_layers, out, n));
        VS_TRY(vs_buffer_read(encoder->normed, 0, texts[i].out, n * sizeof(float)));
    }
    VS_TRY(check_flag(encoder, weights, encoder->shape.n_layers));
fail:
    vs_buffer_free(norm);
    return status;
}

enum vs_status vs_umt5_encode(struct vs_context *context, const struct vs_weights *weights,
                              const struct vs_umt5_text *texts, size_t n_texts,
                              bool (*progress)(size_t done, size_t total, void *user), void *user)
{
    enum vs_status status;
    struct encoder encoder = {.context = context};
    size_t n_rows = 0, n_longest = 0;
    for (size_t i = 0; i < n_texts; i++) {
        n_rows += texts[i].n_ids;
        n_longest = texts[i].n_ids > n_longest ? texts[i].n_ids : n_longest;
    }
    if (n_rows == 0)
        return VS_OK;
    VS_TRY(vs_umt5_check(&encoder.shape, weights));
    VS_TRY(allocate(&encoder, n_rows, n_longest));
    VS_TRY(embed(&encoder, weights, texts, n_texts));
    for (size_t block = 0; block < encoder.shape.n_layers; block++) {
        VS_TRY(run_block(&encoder, weights, texts, n_texts, block));
        if (progress && !progress(block + 1, encoder.shape.n_layers, user)) {
            status = vs_fail(VS_ERROR_INTERRUPTED, "interrupted while encoding the prompt");
            goto fail;
        }
    }
    VS_TRY(finish(&encoder, weights, texts, n_texts));
fail:
    release_encoder(&encoder);
    return status;
}
