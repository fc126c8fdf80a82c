/* SPDX-License-Identifier: Apache-2.0
 *
 * recording.c - command buffers of cl_khr_command_buffer.
 *
 * The extension is provisional: headers of different years declare it differently or not at all, so
 * the five calls that are used, which never changed, are declared here. Each launch gets a kernel
 * of its own, since PoCL 3.1 runs a recorded launch with the arguments that its kernel has by then.
 */
#include "cl/recording.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/opencl.h"

typedef struct command_buffer *command_buffer;

struct vs_recorder {
    command_buffer(CL_API_CALL *create)(cl_uint n_queues, const cl_command_queue *queues,
                                        const cl_bitfield *properties, cl_int *error);
    cl_int(CL_API_CALL *finalize)(command_buffer);
    cl_int(CL_API_CALL *release)(command_buffer);
    cl_int(CL_API_CALL *enqueue)(cl_uint n_queues, cl_command_queue *queues, command_buffer,
                                 cl_uint n_events, const cl_event *events, cl_event *event);
    cl_int(CL_API_CALL *launch)(command_buffer, cl_command_queue, const cl_bitfield *properties,
                                cl_kernel, cl_uint n_dims, const size_t *offset,
                                const size_t *global, const size_t *local, cl_uint n_points,
                                const cl_uint *points, cl_uint *point, void **handle);
    struct vs_recording *recording; /* under way */
    cl_uint point;                  /* the last launch of its last part; they run in order */
    bool has_point;
    bool failed; /* once is enough */
};

enum { REQUIRED_QUEUE_PROPERTIES = 0x12AA }; /* of cl_device_info */

static void *find(cl_platform_id platform, const char *name)
{
    return clGetExtensionFunctionAddressForPlatform(platform, name);
}

static bool has_extension(cl_device_id device, const char *name)
{
    size_t n_bytes = 0, length = strlen(name);
    bool found = false;
    if (clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, 0, NULL, &n_bytes) != CL_SUCCESS || !n_bytes)
        return false;
    char *list = vs_alloc(n_bytes + 1, 1);
    if (list && clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, n_bytes, list, NULL) == CL_SUCCESS)
        for (const char *at = list; !found && (at = strstr(at, name)) != NULL; at += length)
            found = (at == list || at[-1] == ' ') && (!at[length] || at[length] == ' ');
    free(list);
    return found;
}

void vs_recorder_find(struct vs_context *context)
{
    cl_platform_id platform;
    cl_bitfield required = 0;
    struct vs_recorder *recorder;
    const char *wish = getenv("VS_RECORD");
    if ((wish && !strcmp(wish, "0")) || !has_extension(context->device, "cl_khr_command_buffer") ||
        clGetDeviceInfo(context->device, REQUIRED_QUEUE_PROPERTIES, sizeof required, &required,
                        NULL) != CL_SUCCESS ||
        required ||
        clGetDeviceInfo(context->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) !=
            CL_SUCCESS)
        return;
    recorder = vs_alloc(1, sizeof *recorder);
    if (!recorder)
        return;
    *(void **)&recorder->create = find(platform, "clCreateCommandBufferKHR");
    *(void **)&recorder->finalize = find(platform, "clFinalizeCommandBufferKHR");
    *(void **)&recorder->release = find(platform, "clReleaseCommandBufferKHR");
    *(void **)&recorder->enqueue = find(platform, "clEnqueueCommandBufferKHR");
    *(void **)&recorder->launch = find(platform, "clCommandNDRangeKernelKHR");
    if (recorder->create && recorder->finalize && recorder->release && recorder->enqueue &&
        recorder->launch)
        context->recorder = recorder;
    else
        free(recorder);
}

bool vs_recording_possible(const struct vs_context *context)
{
    return context->recorder && !context->recorder->failed && !context->profile &&
           !(context->launch_seconds > 0) && context->precision == VS_PRECISION_EXACT;
}

enum vs_status vs_recording_begin(struct vs_recording *recording, struct vs_context *context)
{
    vs_recording_clear(recording);
    if (!vs_recording_possible(context) || context->recorder->recording)
        return vs_fail(VS_ERROR_RUNTIME, "launches cannot be recorded now");
    recording->context = context;
    context->recorder->recording = recording;
    return VS_OK;
}

static command_buffer last_part(const struct vs_recording *recording)
{
    return recording->n_parts ? recording->parts[recording->n_parts - 1] : NULL;
}

/* A new part, unless the last one has room for so many operations. */
static bool make_part(struct vs_recording *recording, double flops)
{
    struct vs_context *context = recording->context;
    struct vs_recorder *recorder = context->recorder;
    double most = context->flops_per_launch;
    cl_int error = CL_SUCCESS;
    recording->flops += flops;
    if (recording->n_parts && !(most > 0 && recording->flops > most))
        return true;
    if (recording->n_parts)
        error = VS_CALL(recorder->finalize, last_part(recording));
    void **parts = vs_realloc(recording->parts, recording->n_parts + 1, sizeof *parts);
    if (!parts)
        return false;
    recording->parts = parts;
    recording->flops = flops;
    recorder->has_point = false;
    if (error == CL_SUCCESS)
        parts[recording->n_parts] =
            VS_MAKE(&error, recorder->create, 1, &context->queues[VS_QUEUE_MAIN], NULL, &error);
    recording->n_parts += error == CL_SUCCESS;
    return error == CL_SUCCESS;
}

bool vs_recorder_is_on(const struct vs_context *context)
{
    return context->recorder && context->recorder->recording;
}

/* Room for another kernel. */
static bool grow(struct vs_recording *recording)
{
    if (recording->n_kernels < recording->room)
        return true;
    size_t room = recording->room ? 2 * recording->room : 64;
    void **kernels = vs_realloc(recording->kernels, room, sizeof *kernels);
    if (!kernels)
        return false;
    recording->kernels = kernels;
    recording->room = room;
    return true;
}

cl_kernel vs_recorder_kernel(struct vs_context *context, const struct vs_kernel *kernel)
{
    struct vs_recorder *recorder = context->recorder;
    struct vs_recording *recording = recorder->recording;
    cl_program program;
    cl_int error = recorder->failed || !grow(recording) ? CL_OUT_OF_HOST_MEMORY : CL_SUCCESS;
    cl_kernel own = NULL;
    if (error == CL_SUCCESS)
        error = clGetKernelInfo(kernel->kernel, CL_KERNEL_PROGRAM, sizeof program, &program, NULL);
    if (error == CL_SUCCESS)
        own = clCreateKernel(program, kernel->name, &error);
    if (error == CL_SUCCESS)
        recording->kernels[recording->n_kernels++] = own;
    recorder->failed = error != CL_SUCCESS;
    return recorder->failed ? kernel->kernel : own;
}

void vs_recorder_launch(struct vs_context *context, cl_kernel kernel, cl_uint n_dims,
                        const size_t *offset, const size_t *global, const size_t *local,
                        double flops)
{
    struct vs_recorder *recorder = context->recorder;
    if (recorder->failed || !make_part(recorder->recording, flops)) {
        recorder->failed = true;
        return;
    }
    const cl_uint before = recorder->point;
    cl_int error = VS_CALL(recorder->launch, last_part(recorder->recording), NULL, NULL, kernel,
                           n_dims, offset, global, local, recorder->has_point,
                           recorder->has_point ? &before : NULL, &recorder->point, NULL);
    recorder->has_point = true;
    recorder->failed = error != CL_SUCCESS;
}

void vs_recording_end(struct vs_recording *recording)
{
    struct vs_context *context = recording->context;
    struct vs_recorder *recorder = context->recorder;
    recorder->recording = NULL;
    if (!recorder->failed && recording->n_parts)
        recorder->failed = VS_CALL(recorder->finalize, last_part(recording)) != CL_SUCCESS;
    if (recorder->failed)
        vs_recording_clear(recording);
}

enum vs_status vs_recording_run(const struct vs_recording *recording)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = recording->context;
    if (context->dry)
        return VS_OK;
    for (size_t i = 0; i < recording->n_parts; i++)
        VS_CL(context,
              VS_CALL(context->recorder->enqueue, 0, NULL, recording->parts[i], 0, NULL, NULL));
fail:
    return status;
}

void vs_recording_clear(struct vs_recording *recording)
{
    for (size_t i = 0; i < recording->n_parts; i++)
        recording->context->recorder->release(recording->parts[i]);
    for (size_t i = 0; i < recording->n_kernels; i++)
        clReleaseKernel(recording->kernels[i]);
    free(recording->kernels);
    free(recording->parts);
    *recording = (struct vs_recording){0};
}
