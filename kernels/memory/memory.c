/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - checks, choice of the variant, launches. */
#include "kernels/memory/memory.h"

#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/span.h"
#include "kernels/common/variant.h"
#include "kernels/sources.h"

enum { LANES = 16 };

static const size_t max_head_dim = 1024;

/* Work-groups of memory_group.cl, what they serve, and local memory at the largest width. */
enum { GROUP_MAX_DIM = 256, GROUP_LOCAL_BYTES = 25 * 1024 };
enum { UPDATE_ITEMS = 128, UPDATE_COLUMNS = 32, READ_ITEMS = 256, READ_TOKENS = 16 };

static enum vs_status check_head_dim(size_t head_dim)
{
    if (head_dim && head_dim % 4 == 0 && head_dim <= max_head_dim)
        return VS_OK;
    return vs_fail(VS_ERROR_RUNTIME,
                   "memory: a head width of %zu is not a multiple of 4 from 4 to %zu", head_dim,
                   max_head_dim);
}

/* Without slots n_rows rows lie in the span; with them, anywhere in the ring. */
static enum vs_status check_cache(struct vs_span span, size_t n_rows, size_t width,
                                  enum vs_dtype dtype, const struct vs_buffer *slots,
                                  size_t rows_per_slot, const char *what)
{
    size_t n_ring = n_rows < rows_per_slot ? n_rows : rows_per_slot;
    return vs_span_check_cells(span, slots ? n_ring : n_rows, width, vs_dtype_info(dtype)->n_bytes,
                               what);
}

static enum vs_status check_slots(const struct vs_buffer *slots, size_t first, size_t n_rows,
                                  size_t rows_per_slot)
{
    if (!slots)
        return VS_OK;
    size_t available = vs_buffer_bytes(slots) / sizeof(int32_t);
    size_t n = rows_per_slot ? (n_rows + rows_per_slot - 1) / rows_per_slot : SIZE_MAX;
    if (first <= available && n <= available - first)
        return VS_OK;
    return vs_fail(VS_ERROR_RUNTIME,
                   "memory: %zu rows in slots of %zu from slot %zu on pass the end of %zu", n_rows,
                   rows_per_slot, first, available);
}

enum vs_status vs_unit_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                           size_t n_vectors, size_t head_dim, float eps)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    if (!n_vectors || !head_dim)
        return VS_OK;
    VS_TRY(vs_span_check(x, n_vectors, head_dim, "unit length: input"));
    VS_TRY(vs_span_check(out, n_vectors, head_dim, "unit length: output"));
    vs_launch_begin(&launch, context, &vs_source_memory, "unit", "-DVS_VECTORS=1");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_size(&launch, head_dim);
    vs_launch_float(&launch, eps);
    vs_launch_bytes(&launch, 8.0 * (double)n_vectors * (double)head_dim);
    return vs_launch_run(&launch, 1, &n_vectors, NULL, 3.0 * (double)n_vectors * (double)head_dim);
fail:
    return status;
}

enum vs_status vs_gates_run(struct vs_context *context, struct vs_span beta_out,
                            struct vs_span alpha_out, struct vs_span b, struct vs_span a,
                            struct vs_span a_log, const struct vs_gates_shape *shape)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t n_rows = shape->n_rows;
    size_t beta_width = shape->beta_width, alpha_width = shape->alpha_width;
    size_t width = beta_width > alpha_width ? beta_width : alpha_width;
    if (!n_rows || !width)
        return VS_OK;
    VS_TRY(vs_span_check(b, n_rows, beta_width, "gates: b"));
    VS_TRY(vs_span_check(a, n_rows, alpha_width, "gates: a"));
    VS_TRY(vs_span_check(a_log, 1, alpha_width, "gates: A_log"));
    VS_TRY(vs_span_check(beta_out, n_rows, beta_width, "gates: beta"));
    VS_TRY(vs_span_check(alpha_out, n_rows, alpha_width, "gates: alpha"));
    vs_launch_begin(&launch, context, &vs_source_memory, "gates", "-DVS_VECTORS=1");
    vs_launch_span(&launch, beta_out);
    vs_launch_span(&launch, alpha_out);
    vs_launch_span(&launch, b);
    vs_launch_span(&launch, a);
    vs_launch_span(&launch, a_log);
    vs_launch_size(&launch, beta_width);
    vs_launch_size(&launch, alpha_width);
    vs_launch_bytes(&launch, 8.0 * (double)n_rows * (double)(beta_width + alpha_width));
    return vs_launch_run(&launch, 2, (size_t[]){(width + LANES - 1) / LANES, n_rows}, NULL,
                         60.0 * (double)n_rows * (double)width);
fail:
    return status;
}

enum vs_status vs_router_run(struct vs_context *context, struct vs_span gamma,
                             struct vs_span weight, struct vs_span bias, struct vs_span log_rho,
                             size_t n_frames, size_t n_channels)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    if (!n_frames || !n_channels)
        return VS_OK;
    VS_TRY(vs_span_check(gamma, n_frames, n_channels, "router: gamma"));
    VS_TRY(vs_span_check(weight, 1, n_channels, "router: weight"));
    VS_TRY(vs_span_check(bias, 1, n_channels, "router: bias"));
    VS_TRY(vs_span_check(log_rho, 1, n_frames, "router: log rho"));
    vs_launch_begin(&launch, context, &vs_source_memory, "router", "-DVS_VECTORS=1");
    vs_launch_span(&launch, gamma);
    vs_launch_span(&launch, weight);
    vs_launch_span(&launch, bias);
    vs_launch_span(&launch, log_rho);
    vs_launch_size(&launch, n_channels);
    vs_launch_bytes(&launch, 4.0 * (double)(n_frames + 2) * (double)n_channels);
    return vs_launch_run(&launch, 2, (size_t[]){(n_channels + LANES - 1) / LANES, n_frames}, NULL,
                         30.0 * (double)n_frames * (double)n_channels);
fail:
    return status;
}

/* ---- state update ------------------------------------------------------------------------- */

struct variant {
    const char *name, *kernel;
    size_t n_vectors; /* of 16 columns in a work-item of a tile */
    size_t n_columns; /* of a work-item or group */
};

static const struct variant variants[] = {
    {"plain", "memory_update_plain", 1, 1},
    {"tile 16", "memory_update_tile", 1, 1 * LANES},
    {"tile 32", "memory_update_tile", 2, 2 * LANES},
    {"tile 64", "memory_update_tile", 4, 4 * LANES},
    {"group", "memory_update_group", 0, UPDATE_COLUMNS},
};
enum { PLAIN, LAST_TILE = 3, GROUP, N_VARIANTS };

const char *vs_memory_update_variant_name(size_t index)
{
    return index < N_VARIANTS ? variants[index].name : NULL;
}

static bool group_usable(const struct vs_context *context, size_t n_items, size_t head_dim)
{
    return head_dim <= GROUP_MAX_DIM && vs_variant_groups(context, n_items, GROUP_LOCAL_BYTES);
}

bool vs_memory_update_variant_usable(const struct vs_context *context, size_t index,
                                     const struct vs_memory_update *update)
{
    if (index == GROUP)
        return group_usable(context, UPDATE_ITEMS, update->head_dim);
    return index == PLAIN || (index <= LAST_TILE && vs_variant_tiles(context));
}

static size_t n_column_groups(const struct variant *variant, size_t head_dim)
{
    return (head_dim + variant->n_columns - 1) / variant->n_columns;
}

/* Vectors in one work-item pay where they are registers; drivers without take minutes to compile
 * them. */
static bool has_vectors(const struct vs_context *context)
{
    return vs_variant_tiles(context) && vs_context_vector_width(context) >= 4;
}

uint64_t vs_memory_update_tuning_key(size_t n_rows, size_t n_heads, size_t head_dim)
{
    return vs_variant_key(VS_TUNED_MEMORY_UPDATE, 0, n_rows, n_heads, head_dim, 1);
}

/* CPUs: the widest tile that is not mostly padding and leaves no core without work. */
size_t vs_memory_update_variant_chosen(const struct vs_context *context,
                                       const struct vs_memory_update *update)
{
    const struct vs_device_info *device = vs_context_device(context);
    size_t tuned;
    if (vs_variant_recorded(
            context, vs_memory_update_tuning_key(update->n_rows, update->n_heads, update->head_dim),
            &tuned) &&
        vs_memory_update_variant_usable(context, tuned, update))
        return tuned;
    if (device->type != VS_DEVICE_CPU && vs_memory_update_variant_usable(context, GROUP, update))
        return GROUP;
    if (!has_vectors(context))
        return PLAIN;
    size_t index = LAST_TILE;
    while (index > PLAIN + 1) {
        size_t groups = n_column_groups(&variants[index], update->head_dim);
        size_t columns = groups * variants[index].n_columns;
        if (columns < update->head_dim + LANES && groups * update->n_heads >= device->compute_units)
            break;
        index--;
    }
    return index;
}

static enum vs_status check_update(const struct vs_memory_update *update, struct vs_span state,
                                   struct vs_span k, struct vs_span v, struct vs_span beta,
                                   struct vs_span alpha)
{
    enum vs_status status = VS_OK;
    size_t n_heads = update->n_heads, dim = update->head_dim, width;
    VS_TRY(check_head_dim(dim));
    if (!vs_mul_ok(n_heads, dim, &width))
        return vs_fail(VS_ERROR_RUNTIME, "memory: %zu heads are too many", n_heads);
    if ((update->beta_width != n_heads && update->beta_width != width) ||
        (update->alpha_width != n_heads && update->alpha_width != width))
        return vs_fail(VS_ERROR_RUNTIME,
                       "memory: gates of widths %zu and %zu are neither per head (%zu) nor per "
                       "channel (%zu)",
                       update->beta_width, update->alpha_width, n_heads, width);
    size_t n_rows = update->n_rows, per_slot = update->rows_per_slot;
    VS_TRY(vs_span_check(state, width, dim, "memory: state"));
    VS_TRY(vs_span_check(k, n_rows, width, "memory: keys"));
    VS_TRY(check_slots(update->slots, update->first_slot, n_rows, per_slot));
    VS_TRY(vs_dtype_check_kv(update->v, "memory: values"));
    VS_TRY(check_cache(v, n_rows, width, update->v, update->slots, per_slot, "memory: values"));
    VS_TRY(check_cache(beta, n_rows, update->beta_width, VS_F32, update->slots, per_slot,
                       "memory: beta"));
    VS_TRY(check_cache(alpha, n_rows, update->alpha_width, VS_F32, update->slots, per_slot,
                       "memory: alpha"));
fail:
    return status;
}

enum vs_status vs_memory_update_run_variant(struct vs_context *context, size_t index,
                                            struct vs_span state, struct vs_span k,
                                            struct vs_span v, struct vs_span beta,
                                            struct vs_span alpha,
                                            const struct vs_memory_update *update)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t n_rows = update->n_rows, n_heads = update->n_heads, dim = update->head_dim;
    if (!n_rows || !n_heads)
        return VS_OK;
    VS_TRY(check_update(update, state, k, v, beta, alpha));
    index = index == VS_CHOSEN ? vs_memory_update_variant_chosen(context, update) : index;
    if (!vs_memory_update_variant_usable(context, index, update))
        return vs_variant_refuse("memory update", vs_memory_update_variant_name(index));

    const struct variant *variant = &variants[index];
    const char *halves = update->v == VS_F16 ? " -DVS_KV=1" : "";
    if (index == GROUP)
        vs_launch_begin(&launch, context, &vs_source_memory_group, variant->kernel,
                        "-DVS_HEAD_DIM=%zu%s", dim, halves);
    else
        vs_launch_begin(&launch, context, &vs_source_memory, variant->kernel,
                        "-DVS_HEAD_DIM=%zu -DVS_VECTORS=%zu%s", dim, variant->n_vectors, halves);
    vs_launch_span(&launch, state);
    vs_launch_span(&launch, k);
    vs_launch_span(&launch, v);
    vs_launch_span(&launch, beta);
    vs_launch_span(&launch, alpha);
    vs_launch_buffer(&launch, update->slots);
    vs_launch_size(&launch, update->first_slot);
    vs_launch_size(&launch, update->rows_per_slot);
    vs_launch_size(&launch, n_rows);
    vs_launch_size(&launch, n_heads);
    vs_launch_size(&launch, update->beta_width);
    vs_launch_size(&launch, update->alpha_width);
    size_t n_items = index == GROUP ? UPDATE_ITEMS : 1;
    size_t global[2] = {n_items * n_column_groups(variant, dim), n_heads};
    double flops = 5.0 * (double)n_rows * (double)n_heads * (double)dim * (double)dim;
    double n_gates = (double)update->beta_width + (double)update->alpha_width;
    vs_launch_bytes(&launch, 8.0 * (double)(n_rows + dim) * (double)n_heads * (double)dim +
                                 4.0 * (double)n_rows * n_gates);
    return vs_launch_run(&launch, 2, global, index == PLAIN ? NULL : (size_t[]){n_items, 1}, flops);
fail:
    return status;
}

enum vs_status vs_memory_update_run(struct vs_context *context, struct vs_span state,
                                    struct vs_span k, struct vs_span v, struct vs_span beta,
                                    struct vs_span alpha, const struct vs_memory_update *update)
{
    return vs_memory_update_run_variant(context, VS_CHOSEN, state, k, v, beta, alpha, update);
}

/* ---- read --------------------------------------------------------------------------------- */

/* Tokens of a work-item: six rows of 16 lanes fill the registers of 256-bit vectors. Or of a
 * group. */
static const struct read_variant {
    const char *name;
    size_t n_tokens;
} read_variants[] = {{"plain", 1}, {"6 tokens", 6}, {"group", READ_TOKENS}};
enum { READ_TILE = 1, READ_GROUP, N_READ_VARIANTS };

const char *vs_memory_read_variant_name(size_t index)
{
    return index < N_READ_VARIANTS ? read_variants[index].name : NULL;
}

bool vs_memory_read_variant_usable(const struct vs_context *context, size_t index,
                                   const struct vs_memory_read *read)
{
    if (index == READ_GROUP)
        return group_usable(context, READ_ITEMS, read->head_dim);
    return index == PLAIN || (index == READ_TILE && vs_variant_tiles(context));
}

uint64_t vs_memory_read_tuning_key(size_t n_rows, size_t n_heads, size_t head_dim)
{
    return vs_variant_key(VS_TUNED_MEMORY_READ, 0, n_rows, n_heads, head_dim, 1);
}

size_t vs_memory_read_variant_chosen(const struct vs_context *context,
                                     const struct vs_memory_read *read)
{
    size_t tuned;
    if (vs_variant_recorded(context,
                            vs_memory_read_tuning_key(read->n_rows, read->n_heads, read->head_dim),
                            &tuned) &&
        vs_memory_read_variant_usable(context, tuned, read))
        return tuned;
    bool cpu = vs_context_device(context)->type == VS_DEVICE_CPU;
    if (!cpu && vs_memory_read_variant_usable(context, READ_GROUP, read))
        return READ_GROUP;
    return has_vectors(context) ? READ_TILE : PLAIN;
}

enum vs_status vs_memory_read_run_variant(struct vs_context *context, size_t index,
                                          struct vs_span out, struct vs_span q,
                                          struct vs_span state, struct vs_span g,
                                          struct vs_span norm_weight, struct vs_span gamma,
                                          struct vs_span local, const struct vs_memory_read *read)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t n_rows = read->n_rows, n_heads = read->n_heads, dim = read->head_dim, width;
    if (!n_rows || !n_heads)
        return VS_OK;
    VS_TRY(check_head_dim(dim));
    if (!read->rows_per_frame || !vs_mul_ok(n_heads, dim, &width))
        return vs_fail(VS_ERROR_RUNTIME, "memory: %zu rows per frame, %zu heads cannot be",
                       read->rows_per_frame, n_heads);
    index = index == VS_CHOSEN ? vs_memory_read_variant_chosen(context, read) : index;
    if (!vs_memory_read_variant_usable(context, index, read))
        return vs_variant_refuse("memory read", vs_memory_read_variant_name(index));
    size_t n_tokens = read_variants[index].n_tokens;
    size_t n_frames = (n_rows - 1) / read->rows_per_frame + 1;
    VS_TRY(vs_span_check(out, n_rows, width, "memory read: output"));
    VS_TRY(vs_span_check(q, n_rows, width, "memory read: queries"));
    VS_TRY(vs_span_check(state, width, dim, "memory read: state"));
    VS_TRY(vs_span_check(g, n_rows, width, "memory read: g"));
    VS_TRY(vs_span_check(norm_weight, 1, dim, "memory read: norm weight"));
    VS_TRY(vs_span_check(gamma, n_frames, width, "memory read: gamma"));
    VS_TRY(vs_span_check(local, n_rows, width, "memory read: local attention"));
    if (index == READ_GROUP)
        vs_launch_begin(&launch, context, &vs_source_memory_group, "memory_read_group",
                        "-DVS_HEAD_DIM=%zu", dim);
    else
        vs_launch_begin(&launch, context, &vs_source_memory, "memory_read",
                        "-DVS_HEAD_DIM=%zu -DVS_TOKENS=%zu", dim, n_tokens);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, q);
    vs_launch_span(&launch, state);
    vs_launch_span(&launch, g);
    vs_launch_span(&launch, norm_weight);
    vs_launch_span(&launch, gamma);
    vs_launch_span(&launch, local);
    vs_launch_size(&launch, n_rows);
    vs_launch_size(&launch, n_heads);
    vs_launch_size(&launch, read->rows_per_frame);
    vs_launch_float(&launch, (float)(1.0 / (double)dim));
    vs_launch_float(&launch, read->eps);
    vs_launch_bytes(&launch, 4.0 * (double)width * (4.0 * (double)n_rows + (double)dim));
    size_t n_items = index == READ_GROUP ? READ_ITEMS : 1;
    size_t global[2] = {n_items * n_heads, (n_rows - 1) / n_tokens + 1};
    return vs_launch_run(&launch, 2, global, n_items > 1 ? (size_t[]){n_items, 1} : NULL,
                         2.0 * (double)n_rows * (double)width * (double)dim);
fail:
    return status;
}

enum vs_status vs_memory_read_run(struct vs_context *context, struct vs_span out, struct vs_span q,
                                  struct vs_span state, struct vs_span g,
                                  struct vs_span norm_weight, struct vs_span gamma,
                                  struct vs_span local, const struct vs_memory_read *read)
{
    return vs_memory_read_run_variant(context, VS_CHOSEN, out, q, state, g, norm_weight, gamma,
                                      local, read);
}
