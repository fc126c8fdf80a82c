/* SPDX-License-Identifier: Apache-2.0
 *
 * opencl.c - symbolic OpenCL errors and the status each becomes. */
#include "cl/opencl.h"

#include <stdio.h>
#include <string.h>

#define ERROR_NAME(code) {code, #code}

static const struct {
    cl_int code;
    const char *name;
} error_names[] = {
    ERROR_NAME(CL_DEVICE_NOT_FOUND),
    ERROR_NAME(CL_DEVICE_NOT_AVAILABLE),
    ERROR_NAME(CL_COMPILER_NOT_AVAILABLE),
    ERROR_NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    ERROR_NAME(CL_OUT_OF_RESOURCES),
    ERROR_NAME(CL_OUT_OF_HOST_MEMORY),
    ERROR_NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
    ERROR_NAME(CL_MEM_COPY_OVERLAP),
    ERROR_NAME(CL_BUILD_PROGRAM_FAILURE),
    ERROR_NAME(CL_MAP_FAILURE),
    ERROR_NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    ERROR_NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    ERROR_NAME(CL_INVALID_VALUE),
    ERROR_NAME(CL_INVALID_DEVICE_TYPE),
    ERROR_NAME(CL_INVALID_PLATFORM),
    ERROR_NAME(CL_INVALID_DEVICE),
    ERROR_NAME(CL_INVALID_CONTEXT),
    ERROR_NAME(CL_INVALID_QUEUE_PROPERTIES),
    ERROR_NAME(CL_INVALID_COMMAND_QUEUE),
    ERROR_NAME(CL_INVALID_HOST_PTR),
    ERROR_NAME(CL_INVALID_MEM_OBJECT),
    ERROR_NAME(CL_INVALID_BINARY),
    ERROR_NAME(CL_INVALID_BUILD_OPTIONS),
    ERROR_NAME(CL_INVALID_PROGRAM),
    ERROR_NAME(CL_INVALID_PROGRAM_EXECUTABLE),
    ERROR_NAME(CL_INVALID_KERNEL_NAME),
    ERROR_NAME(CL_INVALID_KERNEL_DEFINITION),
    ERROR_NAME(CL_INVALID_KERNEL),
    ERROR_NAME(CL_INVALID_ARG_INDEX),
    ERROR_NAME(CL_INVALID_ARG_VALUE),
    ERROR_NAME(CL_INVALID_ARG_SIZE),
    ERROR_NAME(CL_INVALID_KERNEL_ARGS),
    ERROR_NAME(CL_INVALID_WORK_DIMENSION),
    ERROR_NAME(CL_INVALID_WORK_GROUP_SIZE),
    ERROR_NAME(CL_INVALID_WORK_ITEM_SIZE),
    ERROR_NAME(CL_INVALID_GLOBAL_OFFSET),
    ERROR_NAME(CL_INVALID_EVENT_WAIT_LIST),
    ERROR_NAME(CL_INVALID_EVENT),
    ERROR_NAME(CL_INVALID_OPERATION),
    ERROR_NAME(CL_INVALID_BUFFER_SIZE),
    ERROR_NAME(CL_INVALID_GLOBAL_WORK_SIZE),
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
};

const char *vs_cl_error_name(cl_int error)
{
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names; i++)
        if (error_names[i].code == error)
            return error_names[i].name;
    return "unknown OpenCL error";
}

enum vs_status vs_cl_fail(cl_int error, const char *call, const struct vs_context *context)
{
    const char *device = context ? context->info.name : "OpenCL";
    int call_length = (int)strcspn(call, "(");
    enum vs_status status = VS_ERROR_RUNTIME;
    const char *remedy = "the driver may need an update; `videossm-cl devices` lists others";
    if (error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_HOST_MEMORY ||
        error == CL_INVALID_BUFFER_SIZE) {
        status = VS_ERROR_MEMORY;
        remedy = "try a smaller --size or --window, or another --device";
    }
    return vs_fail(status, "%s: %.*s failed with %s (%d); %s", device, call_length, call,
                   vs_cl_error_name(error), (int)error, remedy);
}
