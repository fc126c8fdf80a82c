/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm.c - linear layers: checks, choice of the variant, launch. */
#include "kernels/gemm/gemm.h"

#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/span.h"
#include "kernels/sources.h"

/* What a variant computes per work-item: `columns` x at most `sweep` outputs, in register tiles of
 * `rows` x `columns`. */
struct variant {
    const char *name, *kernel;
    size_t vectors, rows, sweep;
};

static const struct variant variants[] = {
    {"plain", "linear_plain", 1, 1, 1},
    {"tile 6x16", "linear_tile", 1, 6, 252},
    {"tile 12x32", "linear_tile", 2, 12, 252},
};

enum { PLAIN, TILE_6X16, TILE_12X32, N_VARIANTS, PANEL_VECTOR = 16 };

const char *vs_linear_variant_name(size_t variant)
{
    return variant < N_VARIANTS ? variants[variant].name : NULL;
}

/* Register tiles of 24 float16 fit the 32 registers of a device with 512-bit vectors, tiles of 6
 * the 16 registers of narrower ones. A CPU without vectors of its own gains nothing. */
static size_t choose(const struct vs_context *context)
{
    unsigned width = vs_context_vector_width(context);
    if (vs_context_device(context)->type != VS_DEVICE_CPU || width < 4)
        return PLAIN;
    return width >= 16 ? TILE_12X32 : TILE_6X16;
}

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

static enum vs_status check(struct vs_span out, struct vs_span x, size_t n_rows,
                            const struct vs_linear *linear)
{
    enum vs_status status = VS_OK;
    const struct vs_weight *weight = linear->weight;
    enum vs_epilogue epilogue = linear->epilogue;
    VS_TRY(vs_span_check(out, n_rows, weight->n_rows, "gemm: output"));
    VS_TRY(vs_span_check(x, n_rows, weight->n_columns, "gemm: input"));
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

enum vs_status vs_linear_run_variant(struct vs_context *context, struct vs_span out,
                                     struct vs_span x, size_t n_rows,
                                     const struct vs_linear *linear, size_t variant_index)
{
    enum vs_status status = VS_OK;
    if (variant_index >= N_VARIANTS)
        return vs_fail(VS_ERROR_RUNTIME, "gemm: no variant %zu", variant_index);
    const struct variant *variant = &variants[variant_index];
    const struct vs_weight *weight = linear->weight;
    struct vs_launch launch;
    VS_TRY(check(out, x, n_rows, linear));
    if (!n_rows || !weight->n_rows)
        return VS_OK;

    size_t n_panels = ceil_div(weight->n_rows, variant->vectors * PANEL_VECTOR), sweep = 1;
    size_t global[2] = {weight->n_rows, n_rows}, local[2] = {1, 1};
    if (variant_index != PLAIN) {
        sweep = sweep_rows(context, variant, n_rows, n_panels);
        global[0] = n_panels;
        global[1] = ceil_div(n_rows, sweep);
    }
    int activation = linear->epilogue == VS_EPILOGUE_GELU   ? 1
                     : linear->epilogue == VS_EPILOGUE_SILU ? 2
                                                            : 0;
    vs_launch_begin(&launch, context, &vs_source_gemm, variant->kernel,
                    "-DVS_DTYPE=%d -DVS_ACTIVATION=%d "
                    "-DVS_VECTORS=%zu -DVS_ROWS=%zu -DVS_SWEEP=%zu",
                    (int)weight->dtype, activation, variant->vectors, variant->rows,
                    variant->sweep);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_buffer(&launch, weight->buffer);
    vs_launch_size(&launch, weight->offset_bytes);
    vs_launch_span(&launch, linear->bias);
    vs_launch_span(&launch, linear->residual);
    vs_launch_span(&launch, linear->gate);
    vs_launch_size(&launch, linear->rows_per_gate);
    vs_launch_int(&launch, (int)linear->epilogue);
    vs_launch_int(&launch, linear->bias.buffer != NULL);
    vs_launch_size(&launch, n_rows);
    vs_launch_size(&launch, weight->n_rows);
    vs_launch_size(&launch, weight->n_columns);
    vs_launch_size(&launch, sweep);
    VS_TRY(vs_launch_run(&launch, 2, global, variant_index == PLAIN ? NULL : local,
                         2.0 * (double)n_rows * (double)weight->n_rows *
                             (double)weight->n_columns));
fail:
    return status;
}

enum vs_status vs_linear_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                             size_t n_rows, const struct vs_linear *linear)
{
    return vs_linear_run_variant(context, out, x, n_rows, linear, choose(context));
}
