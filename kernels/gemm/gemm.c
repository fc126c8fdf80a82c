/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm.c - linear layers: checks, choice of the variant, launch. */
#include <string.h>

#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/span.h"
#include "kernels/common/variant.h"
#include "kernels/gemm/gemm_internal.h"
#include "kernels/sources.h"

/* What a variant computes per work-item: 16 * `vectors` columns of at most `sweep` rows, in
 * register tiles of `rows`; the cooperative ones per group: 64 * `vectors` columns of 16 * `rows`;
 * the independent one 4 columns of `rows`. */
struct variant {
    const char *name;
    double bound; /* see variant.h; 0: exact */
    bool (*usable)(const struct vs_context *context, const struct vs_linear *linear);
    /* Sizes are at least 1, but for the columns, and the arguments checked. */
    enum vs_status (*run)(const struct variant *variant, struct vs_context *context,
                          struct vs_span out, struct vs_span x, size_t n_rows,
                          const struct vs_linear *linear);
    size_t vectors, rows, sweep;
};

enum { PANEL_VECTOR = 16, GROUP_ITEMS = 256, GROUP_ROWS = 16, GROUP_COLUMNS = 64 };
enum { ITEMS_COLUMNS = 4, ITEMS_LINE = 8 }; /* work-items of a group that share nothing */
enum { GROUP_LOCAL_BYTES = 17408 }; /* of the larger one */

static size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* Rows of a work-item: all, as far as that leaves work for every core; the weights are widened
 * once per sweep, so long sweeps are cheap. */
static size_t sweep_rows(const struct vs_context *context, const struct variant *variant,
                         size_t n_rows, size_t n_panels)
{
    size_t wanted = 4 * (size_t)vs_context_device(context)->compute_units;
    size_t n_sweeps = ceil_div(n_rows, variant->sweep);
    if (n_sweeps * n_panels < wanted)
        n_sweeps = ceil_div(wanted, n_panels);
    size_t rows = ceil_div(ceil_div(n_rows, n_sweeps), variant->rows) * variant->rows;
    return rows < variant->sweep ? rows : variant->sweep;
}

/* Moves span to the last of n parts that begin `stride` floats apart. */
static enum vs_status move_to_last(struct vs_span *span, size_t n, size_t stride, const char *what)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_span_check(*span, n - 1, stride, what));
    span->offset += (n - 1) * stride;
fail:
    return status;
}

static enum vs_status check(struct vs_span out, struct vs_span x, size_t n_rows,
                            const struct vs_linear *linear)
{
    enum vs_status status = VS_OK;
    const struct vs_weight *weight = linear->weight;
    enum vs_epilogue epilogue = linear->epilogue;
    size_t n_batches = vs_linear_n_batches(linear), n_in_group = n_rows;
    if (n_batches > 1) {
        struct vs_span matrices = {weight->buffer, weight->offset_bytes};
        if (linear->bias.buffer || epilogue != VS_EPILOGUE_NONE)
            return vs_fail(VS_ERROR_RUNTIME, "gemm: batches have neither bias nor epilogue");
        if (linear->batch.out_stride / weight->n_rows < n_rows)
            return vs_fail(VS_ERROR_RUNTIME, "gemm: outputs of batches, %zu apart, overlap",
                           linear->batch.out_stride);
        VS_TRY(vs_span_check_cells(matrices, n_batches, vs_weight_bytes(weight), 1,
                                   "gemm: matrices of batches"));
        VS_TRY(move_to_last(&out, n_batches, linear->batch.out_stride, "gemm: outputs of batches"));
        VS_TRY(move_to_last(&x, n_batches, linear->batch.x_stride, "gemm: inputs of batches"));
    }
    VS_TRY(vs_span_check(out, n_rows, weight->n_rows, "gemm: output"));
    if (linear->x_rows && linear->x_rows < n_rows) {
        if (n_rows % linear->x_rows || n_rows > UINT32_MAX)
            return vs_fail(VS_ERROR_RUNTIME, "gemm: %zu rows are not whole groups of %zu", n_rows,
                           linear->x_rows);
        VS_TRY(move_to_last(&x, n_rows / linear->x_rows, linear->x_group, "gemm: groups"));
        n_in_group = linear->x_rows;
    }
    VS_TRY(move_to_last(&x, n_in_group, vs_linear_stride(linear), "gemm: input"));
    VS_TRY(vs_span_check(x, 1, weight->n_columns, "gemm: last row of the input"));
    if (linear->bias.buffer)
        VS_TRY(vs_span_check(linear->bias, 1, weight->n_rows, "gemm: bias"));
    if (epilogue == VS_EPILOGUE_RESIDUAL || epilogue == VS_EPILOGUE_GATED ||
        epilogue == VS_EPILOGUE_MULTIPLY)
        VS_TRY(vs_span_check(linear->residual, n_rows, weight->n_rows, "gemm: residual"));
    if (epilogue == VS_EPILOGUE_GATED) {
        size_t n_gates = linear->rows_per_gate ? ceil_div(n_rows, linear->rows_per_gate) : 1;
        VS_TRY(vs_span_check(linear->gate, n_gates, weight->n_rows, "gemm: gate"));
    }
fail:
    return status;
}

static double linear_bytes(size_t n_rows, const struct vs_linear *linear)
{
    const struct vs_weight *weight = linear->weight;
    double x = (double)n_rows * (double)weight->n_columns;
    double out = (double)n_rows * (double)weight->n_rows;
    return (double)vs_linear_n_batches(linear) *
           (4 * (x + out + (linear->residual.buffer ? out : 0)) + (double)vs_weight_bytes(weight));
}

/* ---- Running ------------------------------------------------------------------------------ */

static void set_arguments(struct vs_launch *launch, struct vs_span out, struct vs_span x,
                          size_t n_rows, const struct vs_linear *linear)
{
    const struct vs_weight *weight = linear->weight;
    vs_launch_span(launch, out);
    vs_launch_span(launch, x);
    vs_launch_buffer(launch, weight->buffer);
    vs_launch_size(launch, weight->offset_bytes);
    vs_launch_span(launch, linear->bias);
    vs_launch_span(launch, linear->residual);
    vs_launch_span(launch, linear->gate);
    vs_launch_size(launch, linear->rows_per_gate);
    vs_launch_int(launch, (int)linear->epilogue);
    vs_launch_int(launch, linear->bias.buffer != NULL);
    vs_launch_size(launch, n_rows);
    vs_launch_size(launch, weight->n_rows);
    vs_launch_size(launch, weight->n_columns);
    vs_launch_size(launch, vs_linear_stride(linear));
    vs_launch_size(launch, linear->x_rows < n_rows ? linear->x_rows : 0); /* one is none */
    vs_launch_size(launch, linear->x_group);
    vs_launch_size(launch, linear->batch.x_stride);
    vs_launch_size(launch, linear->batch.out_stride);
    vs_launch_bytes(launch, linear_bytes(n_rows, linear));
}

static double linear_flops(size_t n_rows, const struct vs_linear *linear)
{
    return 2.0 * (double)vs_linear_n_batches(linear) * (double)n_rows *
           (double)linear->weight->n_rows * (double)linear->weight->n_columns;
}

/* Two dimensions, and, for the products of a batch, a third; without it the second is the last,
 * along which a launch may be split. */
static enum vs_status launch_batch(struct vs_launch *launch, const size_t global[2],
                                   const size_t *local, size_t n_rows,
                                   const struct vs_linear *linear)
{
    size_t n_batches = vs_linear_n_batches(linear);
    const size_t all[3] = {global[0], global[1], n_batches};
    const size_t group[3] = {local ? local[0] : 0, local ? local[1] : 0, 1};
    return vs_launch_run(launch, n_batches > 1 ? 3 : 2, all, local ? group : NULL,
                         linear_flops(n_rows, linear));
}

/* Plain and tiles: the same file, sweeps of one row or of many. */
static enum vs_status run_rows(const struct variant *variant, struct vs_context *context,
                               struct vs_span out, struct vs_span x, size_t n_rows,
                               const struct vs_linear *linear)
{
    bool plain = variant->sweep == 1;
    struct vs_launch launch;
    size_t global[2] = {linear->weight->n_rows, n_rows}, local[2] = {1, 1}, sweep = 1;
    if (!plain) {
        global[0] = ceil_div(global[0], variant->vectors * PANEL_VECTOR);
        sweep = sweep_rows(context, variant, n_rows, global[0] * vs_linear_n_batches(linear));
        global[1] = ceil_div(n_rows, sweep);
    }
    vs_launch_begin(&launch, context, &vs_source_gemm, plain ? "linear_plain" : "linear_tile",
                    "-DVS_DTYPE=%d -DVS_ACTIVATION=%d "
                    "-DVS_VECTORS=%zu -DVS_ROWS=%zu -DVS_SWEEP=%zu",
                    (int)linear->weight->dtype, vs_linear_activation(linear), variant->vectors,
                    variant->rows, variant->sweep);
    set_arguments(&launch, out, x, n_rows, linear);
    vs_launch_size(&launch, sweep);
    return launch_batch(&launch, global, plain ? NULL : local, n_rows, linear);
}

static enum vs_status run_group(const struct variant *variant, struct vs_context *context,
                                struct vs_span out, struct vs_span x, size_t n_rows,
                                const struct vs_linear *linear)
{
    struct vs_launch launch;
    size_t local[2] = {GROUP_ITEMS, 1};
    size_t columns = GROUP_COLUMNS * variant->vectors;
    size_t global[2] = {GROUP_ITEMS * ceil_div(linear->weight->n_rows, columns),
                        ceil_div(n_rows, GROUP_ROWS * variant->rows)};
    vs_launch_begin(&launch, context, &vs_source_gemm_group, "linear_group",
                    "-DVS_DTYPE=%d -DVS_ACTIVATION=%d -DVS_ROWS=%zu -DVS_STRIPS=%zu",
                    (int)linear->weight->dtype, vs_linear_activation(linear), variant->rows,
                    variant->vectors);
    set_arguments(&launch, out, x, n_rows, linear);
    return launch_batch(&launch, global, local, n_rows, linear);
}

static enum vs_status run_items(const struct variant *variant, struct vs_context *context,
                                struct vs_span out, struct vs_span x, size_t n_rows,
                                const struct vs_linear *linear)
{
    struct vs_launch launch;
    size_t local[2] = {ITEMS_LINE, 1};
    size_t global[2] = {ceil_div(linear->weight->n_rows, ITEMS_COLUMNS * ITEMS_LINE) * ITEMS_LINE,
                        ceil_div(n_rows, variant->rows)};
    vs_launch_begin(&launch, context, &vs_source_gemm_items, "linear_items",
                    "-DVS_DTYPE=%d -DVS_ACTIVATION=%d", (int)linear->weight->dtype,
                    vs_linear_activation(linear));
    set_arguments(&launch, out, x, n_rows, linear);
    return launch_batch(&launch, global, local, n_rows, linear);
}

static enum vs_status run_clblast(const struct variant *variant, struct vs_context *context,
                                  struct vs_span out, struct vs_span x, size_t n_rows,
                                  const struct vs_linear *linear)
{
    (void)variant;
    return vs_linear_clblast(context, out, x, n_rows, linear);
}

/* ---- The table ---------------------------------------------------------------------------- */

static bool everywhere(const struct vs_context *context, const struct vs_linear *linear)
{
    (void)context, (void)linear;
    return true;
}

static bool in_tiles(const struct vs_context *context, const struct vs_linear *linear)
{
    (void)linear;
    return vs_variant_tiles(context);
}

static bool in_groups(const struct vs_context *context, const struct vs_linear *linear)
{
    (void)linear;
    return vs_variant_groups(context, GROUP_ITEMS, GROUP_LOCAL_BYTES);
}

static bool with_columns(const struct vs_context *context, const struct vs_linear *linear)
{
    (void)context;
    return linear->weight->n_columns > 0 && vs_linear_n_batches(linear) == 1 && !linear->x_rows &&
           vs_linear_stride(linear) >= linear->weight->n_columns;
}

/* Exact rows first: a record of exact precision counts them. */
static const struct variant variants[] = {
    {"plain", 0, everywhere, run_rows, 1, 1, 1},
    {"tile 6x16", 0, in_tiles, run_rows, 1, 6, 252},
    {"tile 12x32", 0, in_tiles, run_rows, 2, 12, 252},
    {"group 128x128", 0, in_groups, run_group, 2, 8, 0},
    {"group 64x64", 0, in_groups, run_group, 1, 4, 0},
    {"group 32x64", 0, in_groups, run_group, 1, 2, 0},
    {"group 16x64", 0, in_groups, run_group, 1, 1, 0},
    {"items 8x4", 0, everywhere, run_items, 0, 8, 0},
    {"clblast", 0x1p-14, with_columns, run_clblast, 0, 0, 0},
};

enum {
    PLAIN,
    TILE_6X16,
    TILE_12X32,
    GROUP_128X128,
    GROUP_64X64,
    GROUP_32X64,
    GROUP_16X64,
    ITEMS_8X4,
    CLBLAST,
    N_VARIANTS
};
_Static_assert(sizeof variants / sizeof *variants == N_VARIANTS, "the numbers are the rows");

const char *vs_linear_variant_name(size_t variant)
{
    return variant < N_VARIANTS ? variants[variant].name : NULL;
}

double vs_linear_variant_bound(size_t variant)
{
    return variant < N_VARIANTS ? variants[variant].bound : 0;
}

bool vs_linear_variant_usable(const struct vs_context *context, size_t variant,
                              const struct vs_linear *linear)
{
    return variant < N_VARIANTS && vs_variant_allowed(context, variants[variant].bound) &&
           variants[variant].usable(context, linear);
}

uint64_t vs_linear_tuning_key(enum vs_dtype dtype, size_t n_rows, size_t n_outputs,
                              size_t n_columns)
{
    return vs_variant_key(VS_TUNED_LINEAR, (unsigned)dtype, n_rows, n_outputs, n_columns, 1);
}

static size_t n_groups_of(const struct variant *variant, size_t n_rows,
                          const struct vs_linear *linear)
{
    return vs_linear_n_batches(linear) * ceil_div(n_rows, GROUP_ROWS * variant->rows) *
           ceil_div(linear->weight->n_rows, GROUP_COLUMNS * variant->vectors);
}

/* CPUs: register tiles of 24 float16 fit the 32 registers of a device with 512-bit vectors, tiles
 * of 6 the 16 registers of narrower ones; one without vectors of its own gains nothing. GPUs:
 * larger tiles read less, but few of them would leave compute units idle, or compute much past the
 * last column, and Intel's registers do not hold the largest, nor in its widest mode, 32 items to a
 * thread, the second. */
size_t vs_linear_variant_chosen(const struct vs_context *context, size_t n_rows,
                        const struct vs_linear *linear)
{
    size_t n_outputs = linear->weight->n_rows, tuned;
    if (vs_linear_n_batches(linear) == 1 && /* records are of one product */
        vs_variant_recorded(context,
                            vs_linear_tuning_key(linear->weight->dtype, n_rows, n_outputs,
                                                 linear->weight->n_columns),
                            &tuned) &&
        vs_linear_variant_usable(context, tuned, linear))
        return tuned;
    const struct vs_device_info *device = vs_context_device(context);
    unsigned width = vs_context_vector_width(context);
    if (vs_context_software_fma(context))
        return ITEMS_8X4;
    if (device->type == VS_DEVICE_CPU)
        return width >= 16 ? TILE_12X32 : width >= 4 ? TILE_6X16 : PLAIN;
    if (!vs_variant_groups(context, GROUP_ITEMS, GROUP_LOCAL_BYTES))
        return PLAIN;
    bool intel = strstr(device->vendor, "Intel") != NULL;
    size_t large = intel ? GROUP_32X64 : GROUP_64X64;
    size_t n_across = ceil_div(n_outputs, GROUP_COLUMNS);
    size_t n_groups = n_groups_of(&variants[large], n_rows, linear);
    if (!intel && n_across % 2 == 0 &&
        n_groups_of(&variants[GROUP_128X128], n_rows, linear) >= 2 * device->compute_units)
        return GROUP_128X128;
    return n_rows > GROUP_ROWS && n_groups >= device->compute_units ? large : GROUP_16X64;
}

enum vs_status vs_linear_run_variant(struct vs_context *context, size_t index, struct vs_span out,
                                     struct vs_span x, size_t n_rows,
                                     const struct vs_linear *linear)
{
    enum vs_status status = VS_OK;
    index = index == VS_CHOSEN ? vs_linear_variant_chosen(context, n_rows, linear) : index;
    if (!vs_linear_variant_usable(context, index, linear))
        return vs_variant_refuse("gemm", vs_linear_variant_name(index));
    if (!n_rows || !linear->weight->n_rows)
        return VS_OK;
    VS_TRY(check(out, x, n_rows, linear));
    VS_TRY(variants[index].run(&variants[index], context, out, x, n_rows, linear));
fail:
    return status;
}

enum vs_status vs_linear_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                             size_t n_rows, const struct vs_linear *linear)
{
    return vs_linear_run_variant(context, VS_CHOSEN, out, x, n_rows, linear);
}
