/* SPDX-License-Identifier: Apache-2.0
 *
 * launch.c - arguments, and launches split to please a display's watchdog. */
#include "cl/launch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cl/fault.h"
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
    if (launch->status == VS_OK)
        launch->handle = vs_recorder_is_on(context) ? vs_recorder_kernel(context, launch->kernel)
                                                    : launch->kernel->kernel;
}

/* Whether the launch is never enqueued, so that it needs no arguments. */
static bool is_dry(const struct vs_launch *launch)
{
    return launch->context->dry && !vs_recorder_is_on(launch->context);
}

static void set_arg(struct vs_launch *launch, size_t n_bytes, const void *value)
{
    if (launch->status != VS_OK || is_dry(launch))
        return;
    cl_int error = clSetKernelArg(launch->handle, launch->n_args, n_bytes, value);
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
    if (buffer && buffer->resting && launch->status == VS_OK)
        launch->status = vs_fail(VS_ERROR_RUNTIME, "a launch is given a buffer at rest");
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

/* ---- Running ------------------------------------------------------------------------------ */

/* A launch as it is cut: along its last dimension, into steps of whole groups. */
struct cut {
    unsigned n_dims;
    const size_t *global, *local;
    size_t n_steps;
    double flops; /* of all steps */
};

static enum vs_status enqueue(const struct vs_launch *launch, const struct cut *cut, size_t first,
                              size_t n)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = launch->context;
    unsigned last = cut->n_dims - 1;
    size_t step = cut->local ? cut->local[last] : 1, offset[3] = {0}, size[3] = {0};
    cl_event event = NULL;
    for (unsigned i = 0; i < cut->n_dims; i++)
        size[i] = cut->global[i];
    offset[last] = first * step;
    size[last] = n * step;
    if (vs_recorder_is_on(context)) {
        vs_recorder_launch(context, launch->handle, cut->n_dims, first ? offset : NULL,
                           size, cut->local, cut->flops * (double)n / (double)cut->n_steps);
        return VS_OK;
    }
    cl_int error = vs_fault_due(VS_FAULT_LAUNCH) ? CL_OUT_OF_RESOURCES
                                : clEnqueueNDRangeKernel(context->queue, launch->handle,
                                                         cut->n_dims, first ? offset : NULL, size,
                                                         cut->local, 0, NULL,
                                                         context->profile ? &event : NULL);
    if (error != CL_SUCCESS) {
        status = vs_cl_fail(error, "clEnqueueNDRangeKernel", context);
        return vs_fail_in(status, "kernel %s", launch->kernel->name);
    }
    if (context->profile)
        VS_TRY(vs_profile_event(context, launch->source->name, launch->kernel->name, NULL,
                                event));
fail:
    return status;
}

/* Steps that hold that many operations; at least one. */
static size_t steps_of(const struct cut *cut, double flops)
{
    if (flops >= cut->flops)
        return cut->n_steps;
    size_t n = (size_t)((double)cut->n_steps * (flops / cut->flops));
    return n ? n : 1;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs a part alone and learns from it how much may run at once. */
static enum vs_status enqueue_measured(const struct vs_launch *launch, const struct cut *cut,
                                       size_t first, size_t n)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = launch->context;
    struct vs_kernel *kernel = launch->kernel;
    double limit = context->launch_seconds, flops = cut->flops * (double)n / (double)cut->n_steps;
    VS_CL(context, clFinish(context->queue));
    double begin = now();
    VS_TRY(enqueue(launch, cut, first, n));
    VS_CL(context, clFinish(context->queue));
    double seconds = now() - begin, growth = seconds > 0 ? limit / 2 / seconds : 8;
    /* A part far below the limit says little, for starting it takes time too. */
    kernel->measured = growth < 2;
    kernel->safe_flops = flops * (growth < 8 ? growth : 8);
fail:
    return status;
}

/* So slow is no device: 1 GFLOP/s. */
static const double least_flops_per_second = 1e9;

static enum vs_status run_within_limit(const struct vs_launch *launch, const struct cut *cut)
{
    enum vs_status status = VS_OK;
    struct vs_kernel *kernel = launch->kernel;
    double least = launch->context->launch_seconds / 2 * least_flops_per_second;
    size_t n;
    if (kernel->safe_flops < least)
        kernel->safe_flops = kernel->measured ? kernel->safe_flops : least;
    for (size_t done = 0; done < cut->n_steps; done += n) {
        n = steps_of(cut, kernel->safe_flops);
        if (n >= cut->n_steps - done || kernel->measured) {
            n = n < cut->n_steps - done ? n : cut->n_steps - done;
            VS_TRY(enqueue(launch, cut, done, n));
        } else {
            VS_TRY(enqueue_measured(launch, cut, done, n));
        }
    }
fail:
    return status;
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
    if (is_dry(launch))
        return VS_OK;
    const struct cut cut = {.n_dims = n_dims,
                            .global = global,
                            .local = local,
                            .n_steps = global[n_dims - 1] / (local ? local[n_dims - 1] : 1),
                            .flops = flops};
    if (context->launch_seconds > 0)
        return run_within_limit(launch, &cut);
    size_t n = context->flops_per_launch > 0 ? steps_of(&cut, context->flops_per_launch)
                                             : cut.n_steps;
    for (size_t done = 0; done < cut.n_steps; done += n)
        VS_TRY(enqueue(launch, &cut, done, n < cut.n_steps - done ? n : cut.n_steps - done));
fail:
    return status;
}
