/* SPDX-License-Identifier: Apache-2.0
 *
 * launch.c - arguments, and launches split to please a display's watchdog. */
#include "cl/launch.h"

#include <stdarg.h>
#include <stdio.h>

#include "cl/opencl.h"

void vs_launch_begin(struct vs_launch *launch, struct vs_context *context,
                     const struct vs_source *source, const char *kernel, const char *options, ...)
{
    char text[512];
    va_list args;
    va_start(args, options);
    int n = vsnprintf(text, sizeof text, options, args);
    va_end(args);
    *launch = (struct vs_launch){.context = context, .source = source};
    if (n < 0 || (size_t)n >= sizeof text)
        launch->status = vs_fail(VS_ERROR_RUNTIME, "options of kernel %s are too long", kernel);
    else
        launch->status = vs_kernel_get(&launch->kernel, context, source, kernel, text);
}

static void set_arg(struct vs_launch *launch, size_t n_bytes, const void *value)
{
    if (launch->status != VS_OK)
        return;
    cl_int error = clSetKernelArg(launch->kernel->kernel, launch->n_args, n_bytes, value);
    if (error != CL_SUCCESS) {
        launch->status = vs_cl_fail(error, "clSetKernelArg", launch->context);
        launch->status = vs_fail_in(launch->status, "kernel %s, argument %u",
                                    launch->kernel->name, launch->n_args);
    }
    launch->n_args++;
}

void vs_launch_buffer(struct vs_launch *launch, const struct vs_buffer *buffer)
{
    cl_mem memory = buffer ? buffer->memory : NULL;
    set_arg(launch, sizeof memory, &memory);
}

void vs_launch_size(struct vs_launch *launch, size_t value)
{
    cl_ulong number = value;
    set_arg(launch, sizeof number, &number);
}

void vs_launch_span(struct vs_launch *launch, struct vs_span span)
{
    vs_launch_buffer(launch, span.buffer);
    vs_launch_size(launch, span.offset);
}

void vs_launch_int(struct vs_launch *launch, int value)
{
    cl_int number = value;
    set_arg(launch, sizeof number, &number);
}

void vs_launch_float(struct vs_launch *launch, float value)
{
    set_arg(launch, sizeof value, &value);
}

void vs_launch_bytes(struct vs_launch *launch, double n_bytes)
{
    launch->bytes = n_bytes;
}

enum vs_status vs_launch_run(struct vs_launch *launch, unsigned n_dims, const size_t *global,
                             const size_t *local, double flops)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = launch->context;
    if (launch->status != VS_OK)
        return launch->status;
    for (unsigned i = 0; i < n_dims; i++)
        if (!global[i])
            return VS_OK;
    if (context->profile)
        VS_TRY(vs_profile_count(context, launch->source->name, launch->kernel->name, flops,
                                launch->bytes));
    if (context->dry)
        return VS_OK;

    unsigned last = n_dims - 1;
    size_t step = local ? local[last] : 1, n_steps = global[last] / step, per_launch = n_steps;
    if (context->flops_per_launch > 0 && flops > context->flops_per_launch) {
        double share = context->flops_per_launch / flops;
        per_launch = (size_t)((double)n_steps * share);
        if (!per_launch)
            per_launch = 1;
    }
    size_t offset[3] = {0}, size[3] = {0};
    for (unsigned i = 0; i < n_dims; i++)
        size[i] = global[i];
    for (size_t done = 0; done < n_steps; done += per_launch) {
        size_t n = n_steps - done < per_launch ? n_steps - done : per_launch;
        offset[last] = done * step;
        size[last] = n * step;
        cl_event event = NULL;
        cl_int error = clEnqueueNDRangeKernel(context->queue, launch->kernel->kernel, n_dims,
                                              done ? offset : NULL, size, local, 0, NULL,
                                              context->profile ? &event : NULL);
        if (error != CL_SUCCESS) {
            status = vs_cl_fail(error, "clEnqueueNDRangeKernel", context);
            return vs_fail_in(status, "kernel %s", launch->kernel->name);
        }
        if (context->profile)
            VS_TRY(vs_profile_event(context, launch->source->name, launch->kernel->name, event));
    }
fail:
    return status;
}
