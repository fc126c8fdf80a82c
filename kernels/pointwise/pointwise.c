/* SPDX-License-Identifier: Apache-2.0
 *
 * pointwise.c - launchers of the element-by-element operations. */
#include "kernels/pointwise/pointwise.h"

#include <stdint.h>

#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/span.h"
#include "kernels/sources.h"

enum { CHECKED_PER_ITEM = 4096 };


static size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static void begin(struct vs_launch *launch, struct vs_context *context, const char *kernel)
{
    vs_launch_begin(launch, context, &vs_source_pointwise, kernel,
                    "-DVS_ACTIVATION=%d -DVS_WIDTH=%d", 0, 1);
}

enum vs_status vs_activation_run(struct vs_context *context, struct vs_span out,
                                 struct vs_span x, size_t n, enum vs_activation f)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t width = vs_context_vector_width(context) >= 4 ? 16 : 1;
    VS_TRY(vs_span_check(out, 1, n, "activation: output"));
    VS_TRY(vs_span_check(x, 1, n, "activation: input"));
    vs_launch_begin(&launch, context, &vs_source_pointwise, "activation",
                    "-DVS_ACTIVATION=%d -DVS_WIDTH=%zu", (int)f, width);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_size(&launch, n);
    vs_launch_bytes(&launch, 8.0 * (double)n);
    VS_TRY(vs_launch_run(&launch, 1, (size_t[]){ceil_div(n, width)}, NULL, 30.0 * (double)n));
fail:
    return status;
}

enum vs_status vs_add_run(struct vs_context *context, struct vs_span out, struct vs_span a,
                          struct vs_span b, size_t n, size_t n_b)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    if (!n_b || n % n_b)
        return vs_fail(VS_ERROR_RUNTIME, "add: %zu elements cannot be repeated over %zu", n_b, n);
    VS_TRY(vs_span_check(out, 1, n, "add: output"));
    VS_TRY(vs_span_check(a, 1, n, "add: first input"));
    VS_TRY(vs_span_check(b, 1, n_b, "add: second input"));
    begin(&launch, context, "add");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, a);
    vs_launch_span(&launch, b);
    vs_launch_size(&launch, n_b);
    vs_launch_bytes(&launch, 4.0 * (2.0 * (double)n + (double)n_b));
    VS_TRY(vs_launch_run(&launch, 1, (size_t[]){n}, NULL, (double)n));
fail:
    return status;
}

enum vs_status vs_sampler_x0_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                                 struct vs_span flow, float sigma, size_t n)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    VS_TRY(vs_span_check(out, 1, n, "sampler: output"));
    VS_TRY(vs_span_check(x, 1, n, "sampler: latents"));
    VS_TRY(vs_span_check(flow, 1, n, "sampler: flow"));
    begin(&launch, context, "sampler_x0");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_span(&launch, flow);
    vs_launch_float(&launch, sigma);
    vs_launch_bytes(&launch, 12.0 * (double)n);
    VS_TRY(vs_launch_run(&launch, 1, (size_t[]){n}, NULL, 2.0 * (double)n));
fail:
    return status;
}

enum vs_status vs_sampler_renoise_run(struct vs_context *context, struct vs_span out,
                                      struct vs_span x0, struct vs_span noise, float sigma,
                                      size_t n)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    VS_TRY(vs_span_check(out, 1, n, "sampler: output"));
    VS_TRY(vs_span_check(x0, 1, n, "sampler: clean latents"));
    VS_TRY(vs_span_check(noise, 1, n, "sampler: noise"));
    begin(&launch, context, "sampler_renoise");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x0);
    vs_launch_span(&launch, noise);
    vs_launch_float(&launch, sigma);
    vs_launch_float(&launch, 1.0f - sigma);
    vs_launch_bytes(&launch, 12.0 * (double)n);
    VS_TRY(vs_launch_run(&launch, 1, (size_t[]){n}, NULL, 3.0 * (double)n));
fail:
    return status;
}

/* Both directions: same arguments, same work split. */
static enum vs_status move_patches(struct vs_context *context, const char *kernel,
                                   struct vs_span out, struct vs_span x, size_t n_frames,
                                   size_t n_channels, size_t rows, size_t columns)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t n_planes, height, width, plane;
    if (!vs_mul_ok(n_frames, n_channels, &n_planes) || !vs_mul_ok(2, rows, &height) ||
        !vs_mul_ok(2, columns, &width) || !vs_mul_ok(height, width, &plane))
        return vs_fail(VS_ERROR_RUNTIME, "%s: %zu frames of %zu x %zu patches exceed the address "
                                         "space", kernel, n_frames, rows, columns);
    VS_TRY(vs_span_check(out, n_planes, plane, "patches: output"));
    VS_TRY(vs_span_check(x, n_planes, plane, "patches: input"));
    begin(&launch, context, kernel);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_size(&launch, n_channels);
    vs_launch_size(&launch, rows);
    vs_launch_size(&launch, columns);
    vs_launch_bytes(&launch, 8.0 * (double)n_planes * (double)plane);
    VS_TRY(vs_launch_run(&launch, 3, (size_t[]){width, height, n_planes}, NULL,
                         (double)n_planes * (double)plane));
fail:
    return status;
}

enum vs_status vs_patchify_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                               size_t n_frames, size_t n_channels, size_t rows, size_t columns)
{
    return move_patches(context, "patchify", out, x, n_frames, n_channels, rows, columns);
}

enum vs_status vs_unpatchify_run(struct vs_context *context, struct vs_span out,
                                 struct vs_span x, size_t n_frames, size_t n_channels,
                                 size_t rows, size_t columns)
{
    return move_patches(context, "unpatchify", out, x, n_frames, n_channels, rows, columns);
}

static enum vs_status check_scatter(struct vs_span out, struct vs_span x,
                                    const struct vs_scatter *scatter)
{
    enum vs_status status = VS_OK;
    size_t n_rows = scatter->n_rows, n_channels = scatter->n_channels;
    if (!scatter->rows_per_slot)
        return vs_fail(VS_ERROR_RUNTIME, "scatter: slots of no rows");
    size_t n_slots = ceil_div(n_rows, scatter->rows_per_slot), first = scatter->first_slot;
    size_t available = scatter->slots ? vs_buffer_bytes(scatter->slots) / sizeof(int32_t) : 0;
    if (first > available || n_slots > available - first)
        return vs_fail(VS_ERROR_RUNTIME, "scatter: slots %zu to %zu of a table of %zu", first,
                       first + n_slots, available);
    if (n_channels > scatter->x_stride)
        return vs_fail(VS_ERROR_RUNTIME, "scatter: %zu elements of rows of %zu", n_channels,
                       scatter->x_stride);
    if (n_rows > 1)
        VS_TRY(vs_span_check(x, n_rows - 1, scatter->x_stride, "scatter: input"));
    if (n_rows) {
        x.offset += (n_rows - 1) * scatter->x_stride;
        VS_TRY(vs_span_check(x, 1, n_channels, "scatter: last row of the input"));
    }
    VS_TRY(vs_dtype_check_kv(scatter->out, "scatter: output"));
    /* Where rows go is known to the device alone; at least as many must fit. */
    VS_TRY(vs_span_check_cells(out, n_rows, n_channels, vs_dtype_info(scatter->out)->n_bytes,
                               "scatter: output"));
fail:
    return status;
}

enum vs_status vs_scatter_rows_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                                   const struct vs_scatter *scatter)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t width = vs_context_vector_width(context) >= 4 ? 16 : 1;
    double n = (double)scatter->n_rows * (double)scatter->n_channels;
    VS_TRY(check_scatter(out, x, scatter));
    vs_launch_begin(&launch, context, &vs_source_pointwise, "scatter_rows",
                    "-DVS_ACTIVATION=0 -DVS_WIDTH=%zu%s", width,
                    scatter->out == VS_F16 ? " -DVS_OUT=1" : "");
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_buffer(&launch, scatter->slots);
    vs_launch_size(&launch, scatter->first_slot);
    vs_launch_size(&launch, scatter->rows_per_slot);
    vs_launch_size(&launch, scatter->n_channels);
    vs_launch_size(&launch, scatter->x_stride);
    vs_launch_bytes(&launch, (double)(4 + vs_dtype_info(scatter->out)->n_bytes) * n);
    VS_TRY(vs_launch_run(
        &launch, 2, (size_t[]){ceil_div(scatter->n_channels, width), scatter->n_rows}, NULL, n));
fail:
    return status;
}

enum vs_status vs_check_finite_run(struct vs_context *context, const struct vs_buffer *flags,
                                   size_t index, struct vs_span x, size_t n)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    if (!flags || index >= vs_buffer_bytes(flags) / sizeof(int32_t))
        return vs_fail(VS_ERROR_RUNTIME, "check for NaN: no flag %zu", index);
    VS_TRY(vs_span_check(x, 1, n, "check for NaN: input"));
    begin(&launch, context, "check_finite");
    vs_launch_buffer(&launch, flags);
    vs_launch_size(&launch, index);
    vs_launch_span(&launch, x);
    vs_launch_size(&launch, n);
    vs_launch_bytes(&launch, 4.0 * (double)n);
    VS_TRY(vs_launch_run(&launch, 1, (size_t[]){ceil_div(n, CHECKED_PER_ITEM)}, NULL, (double)n));
fail:
    return status;
}
