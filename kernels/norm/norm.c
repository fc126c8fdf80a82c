/* SPDX-License-Identifier: Apache-2.0
 *
 * norm.c - launching the norms. */
#include "kernels/norm/norm.h"

#include <math.h>

#include "cl/launch.h"
#include "kernels/sources.h"

enum vs_status vs_layernorm_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                                struct vs_span shift, struct vs_span scale,
                                const struct vs_layernorm *norm)
{
    struct vs_launch launch;
    vs_launch_begin(&launch, context, &vs_source_norm, "layernorm", "-DVS_MODULATION=%d",
                    norm->modulation);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, shift);
    vs_launch_span(&launch, scale);
    vs_launch_size(&launch, norm->n_channels);
    vs_launch_size(&launch, norm->rows_per_vector);
    vs_launch_float(&launch, (float)(1.0 / (double)norm->n_channels));
    vs_launch_float(&launch, norm->eps);
    return vs_launch_run(&launch, 1, &norm->n_rows, NULL,
                         8.0 * (double)norm->n_rows * (double)norm->n_channels);
}

enum vs_status vs_rmsnorm_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                              struct vs_span weight, size_t n_rows, size_t n_channels, float eps)
{
    struct vs_launch launch;
    vs_launch_begin(&launch, context, &vs_source_norm, "rmsnorm", "-DVS_MODULATION=0");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, weight);
    vs_launch_size(&launch, n_channels);
    vs_launch_float(&launch, (float)(1.0 / (double)n_channels));
    vs_launch_float(&launch, eps);
    return vs_launch_run(&launch, 1, &n_rows, NULL, 4.0 * (double)n_rows * (double)n_channels);
}

enum vs_status vs_channel_norm_run(struct vs_context *context, struct vs_span out,
                                   struct vs_span x, struct vs_span gamma, size_t n_rows,
                                   size_t n_channels, bool silu)
{
    struct vs_launch launch;
    /* A CPU's work-item has vectors to fill and a start to pay for, a GPU's is one of thousands. */
    bool cpu = vs_context_device(context)->type == VS_DEVICE_CPU;
    size_t rows_each = cpu && n_channels < 1024 ? 1024 / (n_channels ? n_channels : 1) : 1;
    size_t n_items = n_rows / rows_each + (n_rows % rows_each != 0);
    vs_launch_begin(&launch, context, &vs_source_norm, "channel_norm",
                    "-DVS_MODULATION=0 -DVS_SILU=%d", silu);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, gamma);
    vs_launch_size(&launch, n_rows);
    vs_launch_size(&launch, rows_each);
    vs_launch_size(&launch, n_channels);
    vs_launch_float(&launch, (float)sqrt((double)n_channels));
    return vs_launch_run(&launch, 1, &n_items, NULL, 20.0 * (double)n_rows * (double)n_channels);
}
