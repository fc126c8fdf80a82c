/* SPDX-License-Identifier: Apache-2.0
 *
 * context.c - opening a device. */
#include "cl/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/choices.h"
#include "cl/opencl.h"
#include "cl/sha256.h"

/* Drivers of display GPUs kill launches of a few seconds. A slow GPU does about 200 GFLOP/s in
 * these kernels, so this many operations stay near 0.2 s. */
static const double gpu_flops_per_launch = 4e10;

/* VS_LAUNCH_AS=gpu has launchers choose as they would on a GPU: its variants are tested without
 * one. cpu is for what calls itself a GPU and is none. Results do not depend on it. */
static void launch_as(struct vs_context *context, const char *device_class)
{
    if (device_class && strcmp(device_class, "gpu") == 0) {
        context->info.type = VS_DEVICE_GPU;
        context->vector_width = 1;
    } else if (device_class && strcmp(device_class, "cpu") == 0) {
        context->info.type = VS_DEVICE_CPU;
    }
}

/* What is known of a device before anything is made on it. */
static enum vs_status describe(struct vs_context *context, const char *spec)
{
    enum vs_status status = VS_OK;
    context->use = VS_USE_OTHER;
    VS_TRY(vs_device_find(&context->info, spec));
    VS_TRY(vs_device_id(&context->device, &context->info));
    VS_CL(context, clGetDeviceInfo(context->device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT,
                                   sizeof context->vector_width, &context->vector_width, NULL));
    context->software_fma = !strncmp(context->info.name, "llvmpipe", 8);
    launch_as(context, getenv("VS_LAUNCH_AS"));
    if (context->info.type == VS_DEVICE_GPU)
        context->flops_per_launch = gpu_flops_per_launch;
fail:
    return status;
}

enum vs_status vs_context_create_hollow(struct vs_context **out, const char *spec)
{
    struct vs_context *context = vs_alloc(1, sizeof *context);
    *out = NULL;
    if (!context)
        return VS_ERROR_MEMORY;
    enum vs_status status = describe(context, spec);
    if (status != VS_OK) {
        vs_context_free(context);
        return status;
    }
    context->hollow = context->dry = true;
    *out = context;
    return VS_OK;
}

static enum vs_status create_queues(struct vs_context *context, int n_queues)
{
    cl_int error;
    context->context = clCreateContext(NULL, 1, &context->device, NULL, NULL, &error);
    if (!context->context)
        return vs_cl_fail(error, "clCreateContext", context);
    for (int i = 0; i < n_queues; i++) {
        context->queues[i] =
            clCreateCommandQueue(context->context, context->device, 0, &error);
        if (!context->queues[i])
            return vs_cl_fail(error, "clCreateCommandQueue", context);
    }
    return VS_OK;
}

enum vs_status vs_context_any_queue(cl_command_queue *queue, struct vs_context *context)
{
    enum vs_status status = VS_OK;
    if (!context->queues[VS_QUEUE_MAIN])
        VS_TRY(create_queues(context, VS_QUEUE_MAIN + 1));
    *queue = context->queues[VS_QUEUE_MAIN];
fail:
    return status;
}

enum vs_status vs_context_create(struct vs_context **out, const char *spec)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = vs_alloc(1, sizeof *context);
    *out = NULL;
    if (!context)
        return VS_ERROR_MEMORY;
    VS_TRY(describe(context, spec));
    VS_TRY(create_queues(context, VS_N_QUEUES));
    vs_recorder_find(context);
    vs_context_select(context, VS_QUEUE_MAIN);
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
    /* A CPU driver still at work when the process ends crashes in its own compiler. */
    vs_context_drain(context);
    vs_scratch_free(context);
    vs_profile_free(context);
    vs_programs_free(context);
    vs_choices_clear(context);
    free(context->recorder);
    for (int i = 0; i < VS_N_QUEUES; i++)
        if (context->queues[i])
            clReleaseCommandQueue(context->queues[i]);
    if (context->context)
        clReleaseContext(context->context);
    free(context);
}

const struct vs_device_info *vs_context_device(const struct vs_context *context)
{
    return &context->info;
}

/* Virtual machines give different processors the same name: the list of features tells them
 * apart. */
static void hash_processor(struct vs_sha256 *hash)
{
    char line[8192];
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "flags", 5) || !strncmp(line, "Features", 8)) {
            vs_sha256_text(hash, line);
            break;
        }
    fclose(file);
}

void vs_context_fingerprint(const struct vs_context *context, char hex[65])
{
    const struct vs_device_info *info = &context->info;
    struct vs_sha256 hash;
    cl_platform_id platform = NULL;
    char version[256] = "";
    if (clGetDeviceInfo(context->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) !=
            CL_SUCCESS ||
        clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof version - 1, version, NULL) !=
            CL_SUCCESS)
        version[0] = '\0';
    vs_sha256_init(&hash);
    vs_sha256_text(&hash, vs_version());
    vs_sha256_text(&hash, info->name);
    vs_sha256_text(&hash, info->vendor);
    vs_sha256_text(&hash, info->driver);
    vs_sha256_text(&hash, info->version);
    vs_sha256_text(&hash, info->platform_name);
    vs_sha256_text(&hash, version);
    if (info->type == VS_DEVICE_CPU)
        hash_processor(&hash);
    vs_sha256_hex(&hash, hex);
}

unsigned vs_context_vector_width(const struct vs_context *context)
{
    return context->vector_width;
}

bool vs_context_software_fma(const struct vs_context *context)
{
    return context->software_fma;
}

void vs_context_set_precision(struct vs_context *context, enum vs_precision precision)
{
    context->precision = precision;
}

enum vs_precision vs_context_precision(const struct vs_context *context)
{
    return context->precision;
}

void vs_context_set_dry(struct vs_context *context, bool dry)
{
    context->dry = dry || context->hollow;
}

bool vs_context_is_hollow(const struct vs_context *context)
{
    return context->hollow;
}

bool vs_context_is_dry(const struct vs_context *context)
{
    return context->dry;
}

void vs_context_limit_launches(struct vs_context *context, double seconds)
{
    context->launch_seconds = seconds;
}

void vs_context_select(struct vs_context *context, enum vs_queue queue)
{
    context->queue = context->queues[queue];
    context->selected = queue;
}

enum vs_status vs_context_finish(struct vs_context *context)
{
    enum vs_status status = VS_OK;
    for (int i = 0; i < VS_N_QUEUES; i++)
        if (context->queues[i])
            VS_CL(context, clFinish(context->queues[i]));
fail:
    return status;
}

void vs_context_drain(struct vs_context *context)
{
    for (int i = 0; i < VS_N_QUEUES; i++)
        if (context->queues[i])
            clFinish(context->queues[i]);
}

enum vs_status vs_fence_set(struct vs_fence *fence, struct vs_context *context)
{
    enum vs_status status = VS_OK;
    cl_event event;
    vs_fence_clear(fence);
    if (context->dry)
        return VS_OK;
    VS_CL(context, clEnqueueMarkerWithWaitList(context->queue, 0, NULL, &event));
    *fence = (struct vs_fence){context, event};
    /* Work begins now, not when somebody waits for it. */
    VS_CL(context, clFlush(context->queue));
fail:
    return status;
}

enum vs_status vs_fence_wait(struct vs_fence *fence)
{
    enum vs_status status = VS_OK;
    cl_event event = fence->event;
    if (event)
        VS_CL(fence->context, clWaitForEvents(1, &event));
fail:
    vs_fence_clear(fence);
    return status;
}

enum vs_status vs_fence_follow(const struct vs_fence *fence)
{
    enum vs_status status = VS_OK;
    cl_event event = fence->event;
    if (event)
        VS_CL(fence->context,
              clEnqueueBarrierWithWaitList(fence->context->queue, 1, &event, NULL));
fail:
    return status;
}

void vs_fence_clear(struct vs_fence *fence)
{
    if (fence->event)
        clReleaseEvent(fence->event);
    *fence = (struct vs_fence){0};
}

/* ---- Memory ------------------------------------------------------------------------------- */

size_t vs_context_allocated_bytes(const struct vs_context *context)
{
    return context->allocated_bytes;
}

size_t vs_context_peak_bytes(const struct vs_context *context)
{
    return context->peak_bytes;
}

void vs_context_charge(struct vs_context *context, enum vs_use use)
{
    context->use = use;
}

struct vs_memory vs_context_peak(const struct vs_context *context)
{
    return context->peak;
}

void vs_context_forget_peak(struct vs_context *context)
{
    context->peak = context->memory;
    context->largest_bytes = 0;
}

size_t vs_context_peak_resting_bytes(const struct vs_context *context)
{
    return context->peak_resting_bytes;
}

size_t vs_context_largest_buffer(const struct vs_context *context, enum vs_use *use)
{
    *use = context->largest_use;
    return context->largest_bytes;
}

uint64_t vs_memory_needed(const struct vs_memory *memory, const struct vs_device_info *device)
{
    uint64_t n_bytes = 0;
    for (int use = 0; use < VS_N_USES; use++)
        n_bytes += memory->own[use] + (device->type == VS_DEVICE_CPU ? 0 : memory->mapped[use]);
    return n_bytes;
}

void vs_context_limit_memory(struct vs_context *context, uint64_t n_bytes,
                             uint64_t allocation_bytes)
{
    struct vs_device_info *info = &context->info;
    context->memory_limit = n_bytes;
    if (n_bytes)
        info->global_memory_bytes = n_bytes;
    if (allocation_bytes && allocation_bytes < info->max_allocation_bytes)
        info->max_allocation_bytes = allocation_bytes;
}
