/* SPDX-License-Identifier: Apache-2.0
 *
 * context.c - opening a device. */
#include "cl/context.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "cl/opencl.h"

/* Drivers of display GPUs kill launches of a few seconds. A slow GPU does about 200 GFLOP/s in
 * these kernels, so this many operations stay near 0.2 s. */
static const double gpu_flops_per_launch = 4e10;

enum vs_status vs_context_create(struct vs_context **out, const char *spec)
{
    enum vs_status status = VS_OK;
    cl_int error;
    struct vs_context *context = vs_alloc(1, sizeof *context);
    *out = NULL;
    if (!context)
        return VS_ERROR_MEMORY;
    VS_TRY(vs_device_find(&context->info, spec));
    VS_TRY(vs_device_id(&context->device, &context->info));
    if (context->info.type == VS_DEVICE_GPU)
        context->flops_per_launch = gpu_flops_per_launch;
    VS_CL(context, clGetDeviceInfo(context->device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT,
                                   sizeof context->vector_width, &context->vector_width, NULL));
    context->context = clCreateContext(NULL, 1, &context->device, NULL, NULL, &error);
    if (!context->context) {
        status = vs_cl_fail(error, "clCreateContext", context);
        goto fail;
    }
    context->queue = clCreateCommandQueue(context->context, context->device, 0, &error);
    if (!context->queue) {
        status = vs_cl_fail(error, "clCreateCommandQueue", context);
        goto fail;
    }
    *out = context;
    return VS_OK;
fail:
    vs_context_free(context);
    return status;
}

void vs_context_free(struct vs_context *context)
{
    if (!context)
        return;
    vs_programs_free(context);
    if (context->queue)
        clReleaseCommandQueue(context->queue);
    if (context->context)
        clReleaseContext(context->context);
    free(context);
}

const struct vs_device_info *vs_context_device(const struct vs_context *context)
{
    return &context->info;
}

unsigned vs_context_vector_width(const struct vs_context *context)
{
    return context->vector_width;
}

void vs_context_set_dry(struct vs_context *context, bool dry)
{
    context->dry = dry;
}

enum vs_status vs_context_finish(struct vs_context *context)
{
    enum vs_status status = VS_OK;
    VS_CL(context, clFinish(context->queue));
fail:
    return status;
}

size_t vs_context_allocated_bytes(const struct vs_context *context)
{
    return context->allocated_bytes;
}

size_t vs_context_peak_bytes(const struct vs_context *context)
{
    return context->peak_bytes;
}
