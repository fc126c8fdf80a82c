/* SPDX-License-Identifier: Apache-2.0
 *
 * attention.c - checks, choice of the variant, launch. */
#include "kernels/attention/attention.h"

#include <string.h>

#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/span.h"
#include "kernels/common/variant.h"
#include "kernels/sources.h"

enum { LANES = 16 };

/* A thread of a CPU driver may have as little stack as 512 KiB. */
static const size_t max_private_bytes = 192 * 1024;

/* Largest head width at all: the plain variant keeps two rows of it in private memory. */
static const size_t max_head_dim = 8192;

/* Blocks of 16 * n_block queries. Tiles: register tiles of n_rows x n_vectors float16. Groups,
 * which have no vectors: n_block queries of an item. */
struct variant {
    const char *name, *kernel;
    size_t n_block, n_vectors, n_rows;
    bool wide; /* for the 32 registers of 512-bit vectors, else for 16 of 256 bits */
};

static const struct variant variants[] = {
    {"plain", "attention_plain", 1, 1, 1, false},
    {"tile 16 (1x6)", "attention_tile", 1, 1, 6, false},
    {"tile 48 (1x6)", "attention_tile", 3, 1, 6, false},
    {"tile 96 (1x6)", "attention_tile", 6, 1, 6, false},
    {"tile 16 (1x16)", "attention_tile", 1, 1, 16, true},
    {"tile 48 (3x8)", "attention_tile", 3, 3, 8, true},
    {"tile 96 (3x8)", "attention_tile", 6, 3, 8, true},
    {"group 64", "attention_group", 4, 0, 0, false},
    {"group 32", "attention_group", 2, 0, 0, false},
    {"group 16", "attention_group", 1, 0, 0, false},
};
enum { PLAIN, LAST_TILE = 6, GROUP_64, GROUP_32, GROUP_16, N_VARIANTS };
enum { GROUP_ITEMS = 256, GROUP_LOCAL_BYTES = 28 * 1024 }; /* of the largest */

const char *vs_attention_variant_name(size_t index)
{
    return index < N_VARIANTS ? variants[index].name : NULL;
}

static bool fits_stack(const struct variant *variant, const struct vs_attention *attention)
{
    enum { TILE = 64 };
    size_t row_bytes = LANES * variant->n_block * sizeof(float);
    size_t values_bytes = TILE * (attention->head_dim + 16) * sizeof(float);
    return (2 * attention->head_dim + TILE) * row_bytes + values_bytes <= max_private_bytes;
}

/* Groups: strips of 64 channels of which an item has four for each of its queries, and parts of a
 * head with as many strips. */
static size_t n_strips(size_t head_dim)
{
    return head_dim > 64 ? 2 : 1;
}

static size_t n_parts(size_t head_dim)
{
    size_t n_channels = 64 * n_strips(head_dim);
    return head_dim / n_channels + (head_dim % n_channels != 0);
}

bool vs_attention_variant_usable(const struct vs_context *context, size_t index,
                                 const struct vs_attention *attention)
{
    if (index == PLAIN || index >= N_VARIANTS)
        return index == PLAIN;
    return index <= LAST_TILE ? vs_variant_tiles(context) && fits_stack(&variants[index], attention)
                              : vs_variant_groups(context, GROUP_ITEMS, GROUP_LOCAL_BYTES);
}

static size_t n_blocks(const struct variant *variant, size_t n_queries)
{
    size_t block = LANES * variant->n_block;
    return n_queries / block + (n_queries % block != 0);
}

uint64_t vs_attention_tuning_key(enum vs_dtype kv, size_t n_heads, size_t n_queries, size_t n_keys,
                                 size_t head_dim)
{
    return vs_variant_key(VS_TUNED_ATTENTION, (unsigned)kv, n_heads, n_queries, n_keys, head_dim);
}

/* GPUs: large blocks read keys and values less often, but few of them leave compute units idle; and
 * Intel's registers hold the smallest only. */
static size_t choose_group(const struct vs_context *context, const struct vs_attention *attention)
{
    const struct vs_device_info *device = vs_context_device(context);
    for (size_t i = strstr(device->vendor, "Intel") ? GROUP_16 : GROUP_64; i < GROUP_16; i++)
        if (vs_attention_variant_usable(context, i, attention) &&
            n_blocks(&variants[i], attention->n_queries) * attention->n_heads *
                    n_parts(attention->head_dim) >=
                device->compute_units)
            return i;
    return vs_attention_variant_usable(context, GROUP_16, attention) ? GROUP_16 : PLAIN;
}

/* CPUs: large blocks read keys and values less often, but waste lanes past the last query and may
 * leave cores without work. Reading is worth about an eighth of the lanes. Drivers without vectors
 * take minutes to compile a tile, so they get the plain variant. */
size_t vs_attention_variant_chosen(const struct vs_context *context,
                                   const struct vs_attention *attention)
{
    const struct vs_device_info *device = vs_context_device(context);
    unsigned vector_width = vs_context_vector_width(context);
    bool wide = vector_width >= LANES;
    size_t best = PLAIN, best_lanes = 0, tuned;
    if (vs_variant_recorded(context,
                            vs_attention_tuning_key(attention->kv, attention->n_heads,
                                                    attention->n_queries, attention->n_keys,
                                                    attention->head_dim),
                            &tuned) &&
        vs_attention_variant_usable(context, tuned, attention))
        return tuned;
    if (device->type != VS_DEVICE_CPU)
        return choose_group(context, attention);
    if (vector_width < 4)
        return PLAIN;
    for (size_t i = LAST_TILE; i > PLAIN; i--) {
        const struct variant *variant = &variants[i];
        size_t blocks = n_blocks(variant, attention->n_queries);
        size_t lanes = blocks * variant->n_block * LANES;
        if (variant->wide != wide || !fits_stack(variant, attention))
            continue;
        if (variant->n_block > 1 && blocks * attention->n_heads < 2 * device->compute_units)
            continue;
        if (best == PLAIN || lanes < best_lanes - best_lanes / 9) {
            best = i;
            best_lanes = lanes;
        }
    }
    return best;
}

/* rows of [N, D] every stride elements: elements from the first to the end of the last. */
static enum vs_status check_rows(struct vs_span span, size_t n_rows, size_t stride, size_t width,
                                 enum vs_dtype dtype, const char *what)
{
    size_t n;
    if (stride < width)
        return vs_fail(VS_ERROR_RUNTIME, "%s: a stride of %zu is less than a row of %zu", what,
                       stride, width);
    if (!vs_mul_ok(n_rows - 1, stride, &n) || !vs_add_ok(n, width, &n))
        return vs_fail(VS_ERROR_RUNTIME, "%s: %zu rows every %zu elements are too many", what,
                       n_rows, stride);
    return vs_span_check_cells(span, 1, n, vs_dtype_info(dtype)->n_bytes, what);
}

static enum vs_status check(const struct vs_attention *a, struct vs_span out, struct vs_span q,
                            struct vs_span k, struct vs_span v)
{
    enum vs_status status = VS_OK;
    size_t n;
    if (!a->n_keys || !a->head_dim || a->head_dim > max_head_dim)
        return vs_fail(VS_ERROR_RUNTIME,
                       "attention: %zu keys of width %zu; there must be a key, and a width from 1 "
                       "to %zu",
                       a->n_keys, a->head_dim, max_head_dim);
    if (!vs_mul_ok(a->n_heads, a->head_dim, &n) || !vs_add_ok(a->n_queries, a->n_keys, &n))
        return vs_fail(VS_ERROR_RUNTIME,
                       "attention: %zu heads, %zu queries and %zu keys are too "
                       "many",
                       a->n_heads, a->n_queries, a->n_keys);
    size_t width = a->n_heads * a->head_dim;
    VS_TRY(check_rows(q, a->n_queries, a->q_stride, width, VS_F32, "attention: queries"));
    VS_TRY(check_rows(out, a->n_queries, a->out_stride, width, VS_F32, "attention: output"));
    if (a->bias.buffer)
        VS_TRY(vs_span_check(a->bias, a->n_heads, a->n_queries + a->n_keys - 1, "attention: bias"));
    /* With slots the rows lie anywhere in the ring; it must at least hold one. */
    size_t n_rows = a->slots ? 1 : a->n_keys;
    VS_TRY(vs_dtype_check_kv(a->kv, "attention: keys and values"));
    VS_TRY(check_rows(k, n_rows, a->kv_stride, width, a->kv, "attention: keys"));
    VS_TRY(check_rows(v, n_rows, a->kv_stride, width, a->kv, "attention: values"));
    if (a->slots) {
        size_t per_slot = a->rows_per_slot;
        size_t n_slots = per_slot ? (a->n_keys - 1) / per_slot + 1 : SIZE_MAX;
        if (n_slots > vs_buffer_bytes(a->slots) / sizeof(int32_t))
            return vs_fail(VS_ERROR_RUNTIME,
                           "attention: %zu keys in slots of %zu rows need more slots than given",
                           a->n_keys, per_slot);
    }
fail:
    return status;
}

enum vs_status vs_attention_run_variant(struct vs_context *context, size_t index,
                                        struct vs_span out, struct vs_span q, struct vs_span k,
                                        struct vs_span v, const struct vs_attention *attention)
{
    enum vs_status status = VS_OK;
    struct vs_attention a = *attention;
    size_t width = a.n_heads * a.head_dim;
    a.q_stride = a.q_stride ? a.q_stride : width;
    a.kv_stride = a.kv_stride ? a.kv_stride : width;
    a.out_stride = a.out_stride ? a.out_stride : width;
    if (!a.n_queries || !a.n_heads)
        return VS_OK;
    VS_TRY(check(&a, out, q, k, v));
    index = index == VS_CHOSEN ? vs_attention_variant_chosen(context, &a) : index;
    if (!vs_attention_variant_usable(context, index, &a))
        return vs_variant_refuse("attention", vs_attention_variant_name(index));

    const struct variant *variant = &variants[index];
    struct vs_launch launch;
    bool group = !variant->n_vectors;
    const char *halves = a.kv == VS_F16 ? " -DVS_KV=1" : "";
    if (group)
        vs_launch_begin(&launch, context, &vs_source_attention_group, variant->kernel,
                        "-DVS_STRIPS=%zu -DVS_ROWS=%zu%s", n_strips(a.head_dim), variant->n_block,
                        halves);
    else
        vs_launch_begin(&launch, context, &vs_source_attention, variant->kernel,
                        "-DVS_HEAD_DIM=%zu -DVS_BLOCK=%zu -DVS_VECTORS=%zu -DVS_ROWS=%zu%s",
                        a.head_dim, variant->n_block, variant->n_vectors, variant->n_rows, halves);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, q);
    vs_launch_span(&launch, k);
    vs_launch_span(&launch, v);
    vs_launch_span(&launch, a.bias);
    vs_launch_buffer(&launch, a.slots);
    vs_launch_size(&launch, a.rows_per_slot);
    vs_launch_size(&launch, a.n_queries);
    vs_launch_size(&launch, a.n_keys);
    vs_launch_size(&launch, a.q_stride);
    vs_launch_size(&launch, a.kv_stride);
    vs_launch_size(&launch, a.out_stride);
    vs_launch_float(&launch, a.scale);
    if (group)
        vs_launch_int(&launch, (int)a.head_dim);
    vs_launch_bytes(&launch, 8.0 * (double)a.n_queries * (double)width +
                                 2.0 * (double)vs_dtype_info(a.kv)->n_bytes * (double)a.n_keys *
                                     (double)width);
    double flops = 4.0 * (double)a.n_queries * (double)a.n_keys * (double)width;
    if (index == PLAIN)
        return vs_launch_run(&launch, 2, (size_t[]){a.n_heads, a.n_queries}, NULL, flops);
    if (group)
        return vs_launch_run(&launch, 3,
                             (size_t[]){GROUP_ITEMS * n_parts(a.head_dim), a.n_heads,
                                        n_blocks(variant, a.n_queries)},
                             (size_t[]){GROUP_ITEMS, 1, 1}, flops);
    return vs_launch_run(&launch, 2, (size_t[]){n_blocks(variant, a.n_queries), a.n_heads},
                         (size_t[]){1, 1}, flops);
fail:
    return status;
}

enum vs_status vs_attention_run(struct vs_context *context, struct vs_span out, struct vs_span q,
                                struct vs_span k, struct vs_span v,
                                const struct vs_attention *attention)
{
    return vs_attention_run_variant(context, VS_CHOSEN, out, q, k, v, attention);
}
