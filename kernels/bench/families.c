/* SPDX-License-Identifier: Apache-2.0
 *
 * families.c - what can be measured of the kernels: one table, and for each family how its sizes
 * become buffers and a call. */
#include <stdlib.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "kernels/attention/attention.h"
#include "kernels/bench/bench.h"
#include "kernels/conv/conv.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/rope/rope.h"

/* Latent frames of 832x480 pixels have this many tokens; the ring cache is read in such slots. */
enum { FRAME_TOKENS = 1560 };

static const float eps = 1e-6f;

static double product(size_t n, const size_t *sizes)
{
    double p = 1;
    for (size_t i = 0; i < n; i++)
        p *= (double)sizes[i];
    return p;
}

static enum vs_status make_job(struct vs_bench_op *op, size_t n_bytes)
{
    op->job = vs_alloc(1, n_bytes);
    return op->job ? VS_OK : VS_ERROR_MEMORY;
}

/* Random weights of the operation's format. */
static enum vs_status make_weight(struct vs_bench_op *op, size_t n_rows, size_t n_columns)
{
    const struct vs_dtype_info *info = vs_dtype_info(op->shape.dtype);
    size_t n = vs_bench_product(2, (size_t[]){n_rows, n_columns});
    if (n_columns % info->n_elements)
        return vs_fail(VS_ERROR_USAGE,
                       "--op %s: rows of %zu weights are no whole blocks of %s, which have %zu",
                       op->family->name, n_columns, info->name, info->n_elements);
    op->host_weight = vs_alloc(n / info->n_elements, info->n_bytes);
    if (!op->host_weight)
        return VS_ERROR_MEMORY;
    vs_bench_fill_weight(op->host_weight, op->shape.dtype, n);
    return VS_OK;
}

/* ---- linear ------------------------------------------------------------------------------- */

struct linear_job {
    struct vs_linear linear;
    struct vs_span out, x;
};

static enum vs_status run_linear(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct linear_job *job = op->job;
    return vs_linear_run_variant(op->context, variant, job->out, job->x, n_rows, &job->linear);
}

static bool linear_usable(const struct vs_bench_op *op, size_t variant)
{
    const struct linear_job *job = op->job;
    return vs_linear_variant_usable(op->context, variant, &job->linear);
}

static enum vs_status open_linear(struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    size_t rows = op->shape.sizes[0], n_out = op->shape.sizes[1], n_in = op->shape.sizes[2];
    const struct vs_dtype_info *info = vs_dtype_info(op->shape.dtype);
    enum vs_epilogue epilogue = op->shape.epilogue;
    bool adds = epilogue == VS_EPILOGUE_RESIDUAL || epilogue == VS_EPILOGUE_GATED;
    size_t n_x = vs_bench_product(2, (size_t[]){rows, n_in});
    size_t n_y = vs_bench_product(2, (size_t[]){rows, n_out});
    struct linear_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    VS_TRY(vs_bench_floats(&job->x, op, n_x, -1, 1));
    VS_TRY(vs_bench_floats(&job->out, op, n_y, -1, 1));
    VS_TRY(vs_bench_floats(&job->linear.bias, op, n_out, -1, 1));
    if (adds)
        VS_TRY(vs_bench_floats(&job->linear.residual, op, n_y, -1, 1));
    if (epilogue == VS_EPILOGUE_GATED)
        VS_TRY(vs_bench_floats(&job->linear.gate, op, n_out, -1, 1));
    VS_TRY(make_weight(op, n_out, n_in));
    VS_TRY(
        vs_weight_create(&op->weight, op->context, op->host_weight, op->shape.dtype, n_out, n_in));
    job->linear.weight = &op->weight;
    job->linear.epilogue = epilogue;
    op->n_rows = rows;
    op->flops = 2 * product(3, op->shape.sizes);
    op->bytes = 4 * ((double)n_x + (double)n_y * (adds ? 2 : 1)) +
                (double)n_out * (double)n_in * (double)info->n_bytes / (double)info->n_elements;
    op->chosen = vs_linear_variant_chosen(op->context, rows, &job->linear);
    op->out = job->out;
    op->n_out = n_y;
    op->usable = linear_usable;
    op->run = run_linear;
fail:
    return status;
}

/* ---- attention ---------------------------------------------------------------------------- */

struct attention_job {
    struct vs_attention attention;
    struct vs_span out, q, k, v;
    struct vs_buffer *slots;
};

static enum vs_status run_attention(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct attention_job *job = op->job;
    struct vs_attention attention = job->attention;
    attention.n_queries = n_rows;
    return vs_attention_run_variant(op->context, variant, job->out, job->q, job->k, job->v,
                                    &attention);
}

static bool attention_usable(const struct vs_bench_op *op, size_t variant)
{
    const struct attention_job *job = op->job;
    return vs_attention_variant_usable(op->context, variant, &job->attention);
}

static void close_attention(struct vs_bench_op *op)
{
    struct attention_job *job = op->job;
    if (job)
        vs_buffer_free(job->slots);
}

/* As self-attention calls it: the keys of whole frames in a ring, here in backward order. */
static enum vs_status make_slots(struct vs_bench_op *op, struct attention_job *job, size_t n_slots)
{
    enum vs_status status = VS_OK;
    int32_t *slots = vs_alloc(n_slots, sizeof *slots);
    if (!slots)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n_slots; i++)
        slots[i] = (int32_t)(n_slots - 1 - i);
    VS_TRY(vs_buffer_create(&job->slots, op->context, n_slots * sizeof *slots));
    VS_TRY(vs_buffer_write(job->slots, 0, slots, n_slots * sizeof *slots));
    job->attention.slots = job->slots;
    job->attention.rows_per_slot = FRAME_TOKENS;
fail:
    free(slots);
    return status;
}

/* n elements from -1 to 1 in the operation's format, F32 or F16. */
static enum vs_status make_cells(struct vs_span *span, struct vs_bench_op *op, size_t n)
{
    enum vs_status status = VS_OK;
    struct vs_buffer *slot = NULL;
    if (op->shape.dtype == VS_F32)
        return vs_bench_floats(span, op, n, -1, 1);
    /* The floats are made first, then rounded into memory of their own: one row in one slot. */
    struct vs_span floats;
    VS_TRY(vs_bench_floats(&floats, op, n, -1, 1));
    VS_TRY(vs_bench_floats(span, op, n / 2 + n % 2, 0, 0));
    VS_TRY(vs_buffer_create(&slot, op->context, sizeof(int32_t)));
    VS_TRY(vs_buffer_zero(slot, 0, sizeof(int32_t)));
    VS_TRY(vs_scatter_rows_run(op->context, *span, floats,
                               &(struct vs_scatter){.slots = slot,
                                                    .rows_per_slot = 1,
                                                    .n_rows = 1,
                                                    .n_channels = n,
                                                    .x_stride = n,
                                                    .out = VS_F16}));
    VS_TRY(vs_context_finish(op->context));
fail:
    vs_buffer_free(slot);
    return status;
}

static enum vs_status open_attention(struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    const size_t *sizes = op->shape.sizes;
    size_t heads = sizes[0], queries = sizes[1], keys = sizes[2], width = sizes[3];
    size_t n_slots = keys / FRAME_TOKENS + (keys % FRAME_TOKENS != 0);
    size_t n_q = vs_bench_product(3, (size_t[]){heads, queries, width});
    size_t n_k = vs_bench_product(4, (size_t[]){heads, n_slots, FRAME_TOKENS, width});
    struct attention_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    op->close = close_attention;
    job->attention = (struct vs_attention){.n_queries = queries,
                                           .n_keys = keys,
                                           .n_heads = heads,
                                           .head_dim = width,
                                           .scale = 0.0883883461f,
                                           .kv = op->shape.dtype};
    VS_TRY(vs_bench_floats(&job->q, op, n_q, -1, 1));
    VS_TRY(make_cells(&job->k, op, n_k));
    VS_TRY(make_cells(&job->v, op, n_k));
    VS_TRY(vs_bench_floats(&job->out, op, n_q, -1, 1));
    VS_TRY(make_slots(op, job, n_slots));
    op->n_rows = queries;
    op->flops = 4 * product(4, sizes);
    op->bytes = 8 * product(2, sizes) * (double)width +
                2 * (double)vs_dtype_info(op->shape.dtype)->n_bytes * (double)heads *
                    (double)keys * (double)width;
    op->chosen = vs_attention_variant_chosen(op->context, &job->attention);
    op->out = job->out;
    op->n_out = n_q;
    op->usable = attention_usable;
    op->run = run_attention;
fail:
    return status;
}

/* ---- conv3d ------------------------------------------------------------------------------- */

struct conv_job {
    struct vs_conv conv;
    struct vs_conv_weight weight;
    struct vs_span out, x;
};

static enum vs_status run_conv(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct conv_job *job = op->job;
    struct vs_conv conv = job->conv;
    conv.out_height = n_rows;
    return vs_conv_run_variant(op->context, variant, job->out, job->x, &conv);
}

static bool conv_usable(const struct vs_bench_op *op, size_t variant)
{
    const struct conv_job *job = op->job;
    return vs_conv_variant_usable(op->context, variant, &job->conv);
}

static void close_conv(struct vs_bench_op *op)
{
    struct conv_job *job = op->job;
    if (job)
        vs_conv_weight_free(&job->weight);
}

/* Causal, 3x3x3: two frames of history in front, a margin of one pixel of zeros. */
static enum vs_status open_conv(struct vs_bench_op *op)
{
    enum { KERNEL = 27, PAST = 2 };
    enum vs_status status = VS_OK;
    const size_t *sizes = op->shape.sizes;
    size_t n_in = sizes[0], n_out = sizes[1], frames = sizes[2], rows = sizes[3],
           columns = sizes[4];
    size_t n_x = vs_bench_product(4, (size_t[]){n_in, frames, rows, columns});
    size_t n_y = vs_bench_product(4, (size_t[]){n_out, frames, rows, columns});
    size_t n_past = vs_bench_product(4, (size_t[]){n_in, PAST, rows, columns});
    struct conv_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    op->close = close_conv;
    VS_TRY(vs_bench_floats(&job->x, op, n_x, -1, 1));
    VS_TRY(vs_bench_floats(&job->conv.past, op, n_past, -1, 1));
    VS_TRY(vs_bench_floats(&job->out, op, n_y, -1, 1));
    VS_TRY(vs_bench_floats(&job->conv.bias, op, n_out, -1, 1));
    VS_TRY(make_weight(op, n_out, vs_bench_product(2, (size_t[]){n_in, KERNEL})));
    VS_TRY(vs_conv_weight_create(&job->weight, op->context, op->host_weight, VS_F32, n_out, n_in,
                                 (size_t[]){3, 3, 3}, 1));
    job->conv.weight = &job->weight;
    job->conv.n_frames = frames;
    job->conv.height = job->conv.out_height = rows;
    job->conv.width = job->conv.out_width = columns;
    job->conv.n_past = PAST;
    job->conv.stride_time = 1;
    job->conv.pad_top = job->conv.pad_left = 1;
    op->n_rows = rows;
    op->flops = 2 * KERNEL * product(5, sizes);
    op->bytes =
        4 * ((double)n_x + (double)n_past + (double)n_y + KERNEL * (double)n_in * (double)n_out);
    op->chosen = vs_conv_variant_chosen(op->context, &job->conv);
    op->out = job->out;
    op->n_out = n_y;
    op->usable = conv_usable;
    op->run = run_conv;
fail:
    return status;
}

/* ---- memory ------------------------------------------------------------------------------- */

struct delta_job {
    struct vs_memory_update update;
    struct vs_span state, k, v, beta, alpha;
};

static enum vs_status run_delta(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct delta_job *job = op->job;
    struct vs_memory_update update = job->update;
    update.n_rows = n_rows;
    return vs_memory_update_run_variant(op->context, variant, job->state, job->k, job->v, job->beta,
                                        job->alpha, &update);
}

static bool delta_usable(const struct vs_bench_op *op, size_t variant)
{
    const struct delta_job *job = op->job;
    return vs_memory_update_variant_usable(op->context, variant, &job->update);
}

static enum vs_status open_delta(struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    size_t tokens = op->shape.sizes[0], heads = op->shape.sizes[1], width = op->shape.sizes[2];
    size_t n = vs_bench_product(3, op->shape.sizes);
    size_t per_token = op->shape.per_channel ? heads * width : heads;
    size_t n_gates = vs_bench_product(2, (size_t[]){tokens, per_token});
    size_t n_state = vs_bench_product(3, (size_t[]){heads, width, width});
    struct delta_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    job->update = (struct vs_memory_update){.n_rows = tokens,
                                            .n_heads = heads,
                                            .head_dim = width,
                                            .beta_width = per_token,
                                            .alpha_width = per_token};
    VS_TRY(vs_bench_floats(&job->k, op, n, -1, 1));
    VS_TRY(vs_unit_run(op->context, job->k, job->k, tokens * heads, width, eps));
    VS_TRY(vs_bench_floats(&job->v, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->beta, op, n_gates, 0.1f, 0.9f));
    VS_TRY(vs_bench_floats(&job->alpha, op, n_gates, -0.2f, -0.01f));
    VS_TRY(vs_bench_floats(&job->state, op, n_state, -1, 1));
    op->n_rows = tokens;
    /* Decay, k^T M and the outer product: one, two and two operations an element. */
    op->flops = 5 * (double)n * (double)width;
    op->bytes = 8 * ((double)n + (double)n_gates + (double)n_state);
    op->chosen = vs_memory_update_variant_chosen(op->context, &job->update);
    op->out = job->state;
    op->n_out = n_state;
    op->usable = delta_usable;
    op->run = run_delta;
fail:
    return status;
}

struct read_job {
    struct vs_memory_read read;
    struct vs_span out, q, state, g, weight, gamma, local;
};

static enum vs_status run_read(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct read_job *job = op->job;
    struct vs_memory_read read = job->read;
    read.n_rows = n_rows;
    return vs_memory_read_run_variant(op->context, variant, job->out, job->q, job->state, job->g,
                                      job->weight, job->gamma, job->local, &read);
}

static bool read_usable(const struct vs_bench_op *op, size_t variant)
{
    const struct read_job *job = op->job;
    return vs_memory_read_variant_usable(op->context, variant, &job->read);
}

static enum vs_status open_read(struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    size_t tokens = op->shape.sizes[0], heads = op->shape.sizes[1], width = op->shape.sizes[2];
    size_t n = vs_bench_product(3, op->shape.sizes);
    size_t n_frames = tokens / FRAME_TOKENS + 1;
    size_t n_gamma = vs_bench_product(3, (size_t[]){n_frames, heads, width});
    size_t n_state = vs_bench_product(3, (size_t[]){heads, width, width});
    struct read_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    job->read = (struct vs_memory_read){.n_rows = tokens,
                                        .n_heads = heads,
                                        .head_dim = width,
                                        .rows_per_frame = FRAME_TOKENS,
                                        .eps = eps};
    VS_TRY(vs_bench_floats(&job->q, op, n, -1, 1));
    VS_TRY(vs_unit_run(op->context, job->q, job->q, tokens * heads, width, eps));
    VS_TRY(vs_bench_floats(&job->state, op, n_state, -1, 1));
    VS_TRY(vs_bench_floats(&job->g, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->weight, op, width, 0.5f, 1));
    VS_TRY(vs_bench_floats(&job->gamma, op, n_gamma, 0, 1));
    VS_TRY(vs_bench_floats(&job->local, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->out, op, n, -1, 1));
    op->n_rows = tokens;
    op->flops = 2 * (double)n * (double)width;
    op->bytes = 4 * (4 * (double)n + (double)n_state);
    op->chosen = vs_memory_read_variant_chosen(op->context, &job->read);
    op->out = job->out;
    op->n_out = n;
    op->usable = read_usable;
    op->run = run_read;
fail:
    return status;
}

/* ---- norms -------------------------------------------------------------------------------- */

struct norm_job {
    struct vs_span out, x, shift, scale;
};

static enum vs_status run_norm(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct norm_job *job = op->job;
    struct vs_layernorm norm = {
        .n_rows = n_rows, .n_channels = op->shape.sizes[1], .eps = eps, .modulation = true};
    return vs_layernorm_run_variant(op->context, variant, job->out, job->x, job->shift, job->scale,
                                    &norm);
}

static enum vs_status run_rms(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct norm_job *job = op->job;
    return vs_rmsnorm_run_variant(op->context, variant, job->out, job->x, job->scale, n_rows,
                                  op->shape.sizes[1], eps);
}

static enum vs_status run_channel_norm(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct norm_job *job = op->job;
    return vs_channel_norm_run_variant(op->context, variant, job->out, job->x, job->scale, n_rows,
                                       op->shape.sizes[1], true);
}

static bool norm_usable(const struct vs_bench_op *op, size_t variant)
{
    return vs_norm_variant_usable(op->context, variant);
}

/* flops: operations an element, silu counting many. */
static enum vs_status open_rows(struct vs_bench_op *op, double flops,
                                enum vs_status (*run)(struct vs_bench_op *, size_t, size_t))
{
    enum vs_status status = VS_OK;
    size_t n = vs_bench_product(2, op->shape.sizes), n_channels = op->shape.sizes[1];
    struct norm_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    VS_TRY(vs_bench_floats(&job->x, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->out, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->shift, op, n_channels, -1, 1));
    VS_TRY(vs_bench_floats(&job->scale, op, n_channels, -1, 1));
    op->n_rows = op->shape.sizes[0];
    op->flops = flops * (double)n;
    op->bytes = 8 * (double)n;
    op->chosen = vs_norm_variant_chosen(op->context, op->shape.sizes[0], n_channels);
    op->out = job->out;
    op->n_out = n;
    op->usable = norm_usable;
    op->run = run;
fail:
    return status;
}

static enum vs_status open_norm(struct vs_bench_op *op)
{
    return open_rows(op, 8, run_norm);
}

static enum vs_status open_rms(struct vs_bench_op *op)
{
    return open_rows(op, 4, run_rms);
}

static enum vs_status open_channel_norm(struct vs_bench_op *op)
{
    return open_rows(op, 20, run_channel_norm);
}

/* ---- rope --------------------------------------------------------------------------------- */

struct rope_job {
    struct vs_rope rope;
    struct vs_span out, x;
    struct vs_span table;
};

static enum vs_status run_rope(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    const struct rope_job *job = op->job;
    struct vs_rope rope = job->rope;
    rope.shape.n_frames = n_rows;
    return vs_rope_run_variant(op->context, variant, job->out, job->x, job->table, &rope);
}

static bool rope_usable(const struct vs_bench_op *op, size_t variant)
{
    return vs_rope_variant_usable(op->context, variant);
}

static enum vs_status open_rope(struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    const size_t *sizes = op->shape.sizes;
    size_t n = vs_bench_product(5, sizes);
    float *table = NULL;
    int64_t *frames = NULL;
    struct rope_job *job;
    VS_TRY(make_job(op, sizeof *job));
    job = op->job;
    job->rope = (struct vs_rope){.shape = {.head_dim = sizes[4],
                                           .n_frames = sizes[0],
                                           .grid_rows = sizes[1],
                                           .grid_columns = sizes[2]},
                                 .n_heads = sizes[3],
                                 .eps = eps};
    size_t n_table = vs_rope_table_size(&job->rope.shape);
    VS_TRY(vs_bench_floats(&job->x, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->out, op, n, -1, 1));
    VS_TRY(vs_bench_floats(&job->table, op, n_table, -1, 1));
    if (op->shape.rms)
        VS_TRY(vs_bench_floats(&job->rope.norm_weight, op, sizes[3] * sizes[4], -1, 1));
    table = vs_alloc(n_table, sizeof *table);
    frames = vs_alloc(sizes[0], sizeof *frames);
    if (!table || !frames) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    for (size_t i = 0; i < sizes[0]; i++)
        frames[i] = (int64_t)i;
    vs_rope_table_fill(table, &job->rope.shape, frames, false);
    VS_TRY(vs_buffer_write(job->table.buffer, 0, table, n_table * sizeof *table));
    op->n_rows = sizes[0];
    /* Four products and two sums for two numbers; the norm takes four for one. */
    op->flops = (op->shape.rms ? 7 : 3) * (double)n;
    op->bytes = 8 * (double)n;
    /* No tuning: on each kind of device there is but one way that makes sense. */
    op->variant_name = vs_rope_variant_name;
    op->usable = rope_usable;
    op->chosen = vs_rope_variant_chosen(op->context);
    op->out = job->out;
    op->n_out = n;
    op->run = run_rope;
fail:
    free(table);
    free(frames);
    return status;
}

/* ---- classes of shapes -------------------------------------------------------------------- */

static uint64_t linear_key(const struct vs_bench_shape *s)
{
    return vs_linear_tuning_key(s->dtype, s->sizes[0], s->sizes[1], s->sizes[2]);
}

static uint64_t attention_key(const struct vs_bench_shape *s)
{
    return vs_attention_tuning_key(s->dtype, s->sizes[0], s->sizes[1], s->sizes[2], s->sizes[3]);
}

static uint64_t delta_key(const struct vs_bench_shape *s)
{
    return vs_memory_update_tuning_key(s->sizes[0], s->sizes[1], s->sizes[2]);
}

static uint64_t read_key(const struct vs_bench_shape *s)
{
    return vs_memory_read_tuning_key(s->sizes[0], s->sizes[1], s->sizes[2]);
}

static uint64_t conv_key(const struct vs_bench_shape *s)
{
    return vs_conv_tuning_key(s->sizes[0], s->sizes[1], 27, s->sizes[3] * s->sizes[4]);
}

static uint64_t norm_key(const struct vs_bench_shape *s)
{
    return vs_norm_tuning_key(s->sizes[0], s->sizes[1]);
}

/* ---- the table ---------------------------------------------------------------------------- */

#define SHAPES(...) ((const char *const[]){__VA_ARGS__, NULL})

const struct vs_bench_family vs_bench_families[] = {
    {"linear", "ROWSxOUTxIN", "linear layer: projections, FFN", 3,
     " f32 f16 bf16 q8_0 q4_0 q4_k gelu residual gated ",
     SHAPES("linear:4680x1536x1536", "linear:4680x1536x1536:bf16", "linear:4680x8960x1536",
            "linear:4680x8960x1536:bf16", "linear:4680x1536x8960", "linear:4680x1536x8960:bf16",
            "linear:4680x8960x1536:bf16:gelu", "linear:4680x1536x8960:bf16:gated"),
     open_linear, vs_linear_variant_name, linear_key, vs_linear_variant_bound},
    {"attention", "HEADSxQUERIESxKEYSxWIDTH", "self-attention over the ring cache", 4, " f32 f16 ",
     SHAPES("attention:12x4680x14040x128", "attention:12x4680x14040x128:f16",
            "attention:12x4680x32760x128"),
     open_attention,
     vs_attention_variant_name, attention_key},
    {"delta", "TOKENSxHEADSxWIDTH", "memory update", 3, " head channel ",
     SHAPES("delta:4680x12x128"), open_delta, vs_memory_update_variant_name, delta_key},
    {"read", "TOKENSxHEADSxWIDTH", "memory read with norm, gate, router and add", 3, "",
     SHAPES("read:4680x12x128"), open_read, vs_memory_read_variant_name, read_key},
    {"conv3d", "INxOUTxFRAMESxROWSxCOLUMNS", "causal 3x3x3 convolution of the VAE", 5, "",
     SHAPES("conv3d:96x96x1x480x832", "conv3d:192x192x1x240x416", "conv3d:384x384x2x120x208"),
     open_conv, vs_conv_variant_name, conv_key},
    {"norm", "ROWSxCHANNELS", "LayerNorm and modulation", 2, "", SHAPES("norm:4680x1536"),
     open_norm, vs_norm_variant_name, norm_key},
    {"rms", "ROWSxCHANNELS", "RMSNorm of queries and keys", 2, "", SHAPES("rms:4680x1536"),
     open_rms, vs_norm_variant_name, norm_key},
    {"channel-norm", "PIXELSxCHANNELS", "norm and SiLU of the VAE", 2, "",
     SHAPES("channel-norm:399360x96"), open_channel_norm, vs_norm_variant_name, norm_key},
    {"rope", "FRAMESxROWSxCOLUMNSxHEADSxWIDTH", "rotary embedding", 5, " rms ",
     SHAPES("rope:3x30x52x12x128", "rope:3x30x52x12x128:rms"), open_rope},
    {0},
};
