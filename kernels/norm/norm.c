/* SPDX-License-Identifier: Apache-2.0
 *
 * norm.c - launching the norms: a row per work-item on CPUs, a group per row elsewhere. */
#include "kernels/norm/norm.h"

#include <math.h>

#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/variant.h"
#include "kernels/sources.h"

enum { ROW, GROUP, LANES = 64, ROWS_EACH = 16 /* of an item of channel_norm */ };

const char *vs_norm_variant_name(size_t variant)
{
    static const char *const names[] = {[ROW] = "row", [GROUP] = "group"};
    return variant <= GROUP ? names[variant] : NULL;
}

/* Small work-items wherever lanes are scalar, whatever the device calls itself: a driver without
 * vectors takes minutes to compile rows made of them. */
bool vs_norm_variant_usable(const struct vs_context *context, size_t variant)
{
    if (variant == ROW)
        return vs_variant_tiles(context);
    return variant == GROUP;
}

uint64_t vs_norm_tuning_key(size_t n_rows, size_t n_channels)
{
    return vs_variant_key(VS_TUNED_NORM, 0, n_rows, n_channels, 1, 1);
}

size_t vs_norm_variant_chosen(const struct vs_context *context, size_t n_rows, size_t n_channels)
{
    size_t tuned;
    if (vs_variant_recorded(context, vs_norm_tuning_key(n_rows, n_channels), &tuned) &&
        vs_norm_variant_usable(context, tuned))
        return tuned;
    bool vectors = vs_context_vector_width(context) >= 4;
    return vectors && vs_norm_variant_usable(context, ROW) ? ROW : GROUP;
}

static enum vs_status begin(struct vs_launch *launch, struct vs_context *context, size_t variant,
                            const char *kernel, bool modulation, bool silu)
{
    if (!vs_norm_variant_usable(context, variant))
        return vs_variant_refuse("norm", vs_norm_variant_name(variant));
    const struct vs_source *source = variant == GROUP ? &vs_source_norm_group : &vs_source_norm;
    vs_launch_begin(launch, context, source, kernel, "-DVS_MODULATION=%d -DVS_SILU=%d", modulation,
                    silu);
    return VS_OK;
}

/* n_items work-items, or as many groups; n elements, each of so many operations. */
static enum vs_status run(struct vs_launch *launch, size_t variant, size_t n_items, double n,
                          double operations)
{
    double flops = operations * n;
    vs_launch_bytes(launch, 8.0 * n);
    if (variant == GROUP)
        return vs_launch_run(launch, 2, (size_t[]){LANES, n_items}, (size_t[]){LANES, 1}, flops);
    return vs_launch_run(launch, 1, &n_items, vs_variant_row_groups(launch->context), flops);
}

enum vs_status vs_layernorm_run_variant(struct vs_context *context, size_t variant,
                                        struct vs_span out, struct vs_span x, struct vs_span shift,
                                        struct vs_span scale, const struct vs_layernorm *norm)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    variant = variant == VS_CHOSEN ? vs_norm_variant_chosen(context, norm->n_rows, norm->n_channels)
                                   : variant;
    VS_TRY(begin(&launch, context, variant, "layernorm", norm->modulation, false));
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, shift);
    vs_launch_span(&launch, scale);
    vs_launch_size(&launch, norm->n_channels);
    vs_launch_size(&launch, norm->rows_per_vector);
    vs_launch_float(&launch, (float)(1.0 / (double)norm->n_channels));
    vs_launch_float(&launch, norm->eps);
    VS_TRY(run(&launch, variant, norm->n_rows, (double)norm->n_rows * (double)norm->n_channels, 8));
fail:
    return status;
}

enum vs_status vs_layernorm_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                                struct vs_span shift, struct vs_span scale,
                                const struct vs_layernorm *norm)
{
    return vs_layernorm_run_variant(context, VS_CHOSEN, out, x, shift, scale, norm);
}

enum vs_status vs_rmsnorm_run_variant(struct vs_context *context, size_t variant,
                                      struct vs_span out, struct vs_span x, struct vs_span weight,
                                      size_t n_rows, size_t n_channels, float eps)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    variant = variant == VS_CHOSEN ? vs_norm_variant_chosen(context, n_rows, n_channels) : variant;
    VS_TRY(begin(&launch, context, variant, "rmsnorm", false, false));
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, weight);
    vs_launch_size(&launch, n_channels);
    vs_launch_float(&launch, (float)(1.0 / (double)n_channels));
    vs_launch_float(&launch, eps);
    VS_TRY(run(&launch, variant, n_rows, (double)n_rows * (double)n_channels, 4));
fail:
    return status;
}

enum vs_status vs_rmsnorm_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                              struct vs_span weight, size_t n_rows, size_t n_channels, float eps)
{
    return vs_rmsnorm_run_variant(context, VS_CHOSEN, out, x, weight, n_rows,
                                  n_channels, eps);
}

enum vs_status vs_channel_norm_run_variant(struct vs_context *context, size_t variant,
                                           struct vs_span out, struct vs_span x,
                                           struct vs_span gamma, size_t n_rows, size_t n_channels,
                                           bool silu)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    variant = variant == VS_CHOSEN ? vs_norm_variant_chosen(context, n_rows, n_channels) : variant;
    size_t n_items = variant == ROW ? n_rows / ROWS_EACH + (n_rows % ROWS_EACH != 0) : n_rows;
    VS_TRY(begin(&launch, context, variant, "channel_norm", false, silu));
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, gamma);
    if (variant == ROW)
        vs_launch_size(&launch, n_rows);
    vs_launch_size(&launch, n_channels);
    vs_launch_float(&launch, (float)sqrt((double)n_channels));
    VS_TRY(run(&launch, variant, n_items, (double)n_rows * (double)n_channels, 20));
fail:
    return status;
}

enum vs_status vs_channel_norm_run(struct vs_context *context, struct vs_span out,
                                   struct vs_span x, struct vs_span gamma, size_t n_rows,
                                   size_t n_channels, bool silu)
{
    return vs_channel_norm_run_variant(context, VS_CHOSEN, out, x, gamma, n_rows,
                                       n_channels, silu);
}
