/* SPDX-License-Identifier: Apache-2.0
 *
 * opencl.h - what the files of cl/ share: the OpenCL header, symbolic errors, the context.
 *
 * The only header that includes CL/cl.h; no other folder may include it, but for the one file that
 * hands our buffers and queue to CLBlast. */
#ifndef VS_CL_OPENCL_H
#define VS_CL_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "cl/context.h"
#include "cl/fault.h"
#include "cl/scratch.h"

/* Calls that can fail do so when a test wants it. What they make is the result where the last
 * argument tells of the fault. */
#define VS_CALL(call, ...)                                                                        \
    (vs_fault_due(VS_FAULT_OPENCL) ? CL_OUT_OF_RESOURCES : call(__VA_ARGS__))
#define VS_MAKE(error, call, ...)                                                                 \
    (vs_fault_due(VS_FAULT_OPENCL) ? (*(error) = CL_OUT_OF_RESOURCES, NULL) : call(__VA_ARGS__))
#define clBuildProgram(...) VS_CALL(clBuildProgram, __VA_ARGS__)
#define clCreateBuffer(a, b, c, d, e) VS_MAKE(e, clCreateBuffer, a, b, c, d, e)
#define clCreateCommandQueue(a, b, c, d) VS_MAKE(d, clCreateCommandQueue, a, b, c, d)
#define clCreateContext(a, b, c, d, e, f) VS_MAKE(f, clCreateContext, a, b, c, d, e, f)
#define clCreateKernel(a, b, c) VS_MAKE(c, clCreateKernel, a, b, c)
#define clCreateProgramWithBinary(a, b, c, d, e, f, g)                                            \
    VS_MAKE(g, clCreateProgramWithBinary, a, b, c, d, e, f, g)
#define clCreateProgramWithSource(a, b, c, d, e)                                                  \
    VS_MAKE(e, clCreateProgramWithSource, a, b, c, d, e)
#define clEnqueueBarrierWithWaitList(...) VS_CALL(clEnqueueBarrierWithWaitList, __VA_ARGS__)
#define clEnqueueCopyBuffer(...) VS_CALL(clEnqueueCopyBuffer, __VA_ARGS__)
#define clEnqueueFillBuffer(...) VS_CALL(clEnqueueFillBuffer, __VA_ARGS__)
#define clEnqueueMarkerWithWaitList(...) VS_CALL(clEnqueueMarkerWithWaitList, __VA_ARGS__)
#define clEnqueueNDRangeKernel(...) VS_CALL(clEnqueueNDRangeKernel, __VA_ARGS__)
#define clEnqueueReadBuffer(...) VS_CALL(clEnqueueReadBuffer, __VA_ARGS__)
#define clEnqueueWriteBuffer(...) VS_CALL(clEnqueueWriteBuffer, __VA_ARGS__)
#define clFinish(...) VS_CALL(clFinish, __VA_ARGS__)
#define clFlush(...) VS_CALL(clFlush, __VA_ARGS__)
#define clGetEventProfilingInfo(...) VS_CALL(clGetEventProfilingInfo, __VA_ARGS__)
#define clGetProgramBuildInfo(...) VS_CALL(clGetProgramBuildInfo, __VA_ARGS__)
#define clGetProgramInfo(...) VS_CALL(clGetProgramInfo, __VA_ARGS__)
#define clSetKernelArg(...) VS_CALL(clSetKernelArg, __VA_ARGS__)
#define clSetMemObjectDestructorCallback(...)                                                     \
    VS_CALL(clSetMemObjectDestructorCallback, __VA_ARGS__)
#define clWaitForEvents(...) VS_CALL(clWaitForEvents, __VA_ARGS__)

/* Symbolic name of an OpenCL error, e.g. "CL_OUT_OF_RESOURCES". */
const char *vs_cl_error_name(cl_int error);

/* Turns an OpenCL error into a status with a message: call, symbolic name, device. */
enum vs_status vs_cl_fail(cl_int error, const char *call, const struct vs_context *context);

/* Evaluates an OpenCL call that returns cl_int inside a function with `status` and `fail`. */
#define VS_CL(context, call)                                                                      \
    do {                                                                                          \
        cl_int vs_cl_error = (call);                                                              \
        if (vs_cl_error != CL_SUCCESS) {                                                          \
            status = vs_cl_fail(vs_cl_error, #call, context);                                     \
            goto fail;                                                                            \
        }                                                                                         \
    } while (0)

struct vs_program; /* cl/program.c */
struct vs_profile; /* cl/profile.c */
struct vs_recorder; /* cl/recording.c */

struct vs_choice {
    uint64_t key;
    size_t choice;
};

struct vs_context {
    struct vs_device_info info;
    cl_device_id device;
    cl_context context;
    cl_command_queue queues[VS_N_QUEUES], queue; /* in order; the selected one */
    enum vs_queue selected;                      /* also where there are none */
    struct vs_program *programs; /* built so far, a list */
    size_t n_compiled, n_from_cache;
    void (*compiling)(void *user); /* NULL: nobody wants to know */
    void *compiling_user;
    size_t allocated_bytes, peak_bytes;
    enum vs_use use; /* of what is made next */
    struct vs_memory memory, peak;
    size_t resting_bytes, peak_resting_bytes; /* on the host, of buffers at rest */
    size_t largest_bytes;
    enum vs_use largest_use;
    uint64_t memory_limit; /* 0: the device's own */
    struct vs_choice *choices; /* by key */
    size_t n_choices;
    cl_uint vector_width;
    bool software_fma; /* see cl/software_fma.h */
    bool dry; /* nothing is enqueued */
    bool hollow; /* see vs_context_create_hollow(); dry is true, and there are no queues but for
                  * vs_context_any_queue() */
    enum vs_precision precision;
    struct vs_buffer *scratch[VS_N_QUEUES][VS_N_SCRATCH]; /* cl/scratch.h */
    struct vs_profile *profile; /* NULL: launches are not counted */
    struct vs_recorder *recorder; /* NULL: the driver records no launches */
    double flops_per_launch; /* longest launch, in arithmetic operations; 0: no limit */
    double launch_seconds;   /* longest launch, measured; 0: no limit, or the one above */
};

struct vs_buffer {
    struct vs_context *context;
    cl_mem memory;
    size_t n_bytes;
    enum vs_use use;
    bool mapped; /* the storage is the host's, in place */
    bool resting;  /* there is no storage; see vs_buffer_rest() */
    void *content; /* of a resting buffer, on the host; NULL: none was to be kept */
    size_t kept_bytes;
};

struct vs_kernel {
    cl_kernel kernel;
    char *name;
    double safe_flops; /* while launches are limited in time: the largest that keeps within it */
    bool measured;     /* and it is no larger for want of larger launches */
    struct vs_kernel *next;
};

/* A queue of the context for questions about its device; a hollow one gets a queue for that. */
enum vs_status vs_context_any_queue(cl_command_queue *queue, struct vs_context *context);

/* The cl_device_id behind an entry of the device list. */
enum vs_status vs_device_id(cl_device_id *id, const struct vs_device_info *info);

/* While profiling: adds a launch to those of its kernel (source is static), and the event of what
 * was enqueued for it, taken over. With `before`, an event that ended before the first of several
 * pieces of work, the time is from there on. */
enum vs_status vs_profile_count(struct vs_context *context, const char *source, const char *kernel,
                                double flops, double bytes);
enum vs_status vs_profile_event(struct vs_context *context, const char *source, const char *kernel,
                                cl_event before, cl_event event);
void vs_profile_free(struct vs_context *context);

/* Gives the context a recorder if its driver has one; free() is enough to be rid of it. */
void vs_recorder_find(struct vs_context *context);
/* Whether launches are recorded now; a kernel for one, which is the recording's; adding it. */
bool vs_recorder_is_on(const struct vs_context *context);
cl_kernel vs_recorder_kernel(struct vs_context *context, const struct vs_kernel *kernel);
void vs_recorder_launch(struct vs_context *context, cl_kernel kernel, cl_uint n_dims,
                        const size_t *offset, const size_t *global, const size_t *local,
                        double flops);

/* Releases all programs of a context. */
void vs_programs_free(struct vs_context *context);

#endif
