/* SPDX-License-Identifier: Apache-2.0
 *
 * buffer.c - device memory, accounted per context. */
#include "cl/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/fault.h"
#include "cl/huge_pages.h"

enum { PAGE_BYTES = 4096 };

static enum vs_status no_memory(const struct vs_context *context, size_t n_bytes, cl_int error)
{
    return vs_fail(VS_ERROR_MEMORY,
                   "%s: a buffer of %.1f MiB could not be allocated (%s): %.1f MiB are in use, the "
                   "device has %.1f MiB and allows %.1f MiB at once; try a smaller --size or "
                   "--window, or another --device",
                   context->info.name, (double)n_bytes / 1048576, vs_cl_error_name(error),
                   (double)context->allocated_bytes / 1048576,
                   (double)context->info.global_memory_bytes / 1048576,
                   (double)context->info.max_allocation_bytes / 1048576);
}

/* Enters a buffer into the books of its context, or takes it out. */
static void account(const struct vs_buffer *buffer, bool enter)
{
    struct vs_context *context = buffer->context;
    struct vs_memory *memory = &context->memory;
    uint64_t *held = (buffer->mapped ? memory->mapped : memory->own) + buffer->use;
    if (!enter) {
        context->allocated_bytes -= buffer->n_bytes;
        *held -= buffer->n_bytes;
        return;
    }
    context->allocated_bytes += buffer->n_bytes;
    *held += buffer->n_bytes;
    if (context->peak_bytes < context->allocated_bytes)
        context->peak_bytes = context->allocated_bytes;
    if (vs_memory_needed(&context->peak, &context->info) <=
        vs_memory_needed(memory, &context->info))
        context->peak = *memory;
    if (context->largest_bytes < buffer->n_bytes) {
        context->largest_bytes = buffer->n_bytes;
        context->largest_use = buffer->use;
    }
}

/* Whether a buffer passes a limit. A plan is to say how much is wanted, so it has none. */
static bool is_too_much(const struct vs_buffer *buffer)
{
    const struct vs_context *context = buffer->context;
    struct vs_memory memory = context->memory;
    if (context->hollow)
        return false;
    (buffer->mapped ? memory.mapped : memory.own)[buffer->use] += buffer->n_bytes;
    return buffer->n_bytes > context->info.max_allocation_bytes ||
           (context->memory_limit &&
            vs_memory_needed(&memory, &context->info) > context->memory_limit);
}

/* Gives a buffer its storage. */
static enum vs_status allocate(struct vs_buffer *buffer, cl_mem_flags flags, void *host)
{
    struct vs_context *context = buffer->context;
    size_t n_bytes = buffer->n_bytes;
    if (is_too_much(buffer))
        return no_memory(context, n_bytes, CL_INVALID_BUFFER_SIZE);
    cl_int error = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    if (!context->hollow && !vs_fault_due(VS_FAULT_MEMORY)) {
        if (!buffer->mapped && vs_huge_pages_suit(context, n_bytes))
            buffer->memory =
                vs_huge_buffer(context, flags & ~(cl_mem_flags)CL_MEM_COPY_HOST_PTR, host, n_bytes);
        if (!buffer->memory)
            buffer->memory =
                clCreateBuffer(context->context, flags, n_bytes ? n_bytes : 1, host, &error);
    }
    if (!buffer->memory && !context->hollow)
        return no_memory(context, n_bytes, error);
    account(buffer, true);
    return VS_OK;
}

static enum vs_status create(struct vs_buffer **out, struct vs_context *context,
                             cl_mem_flags flags, void *host, size_t n_bytes)
{
    struct vs_buffer *buffer = vs_alloc(1, sizeof *buffer);
    *out = NULL;
    if (!buffer)
        return VS_ERROR_MEMORY;
    *buffer = (struct vs_buffer){.context = context,
                                 .n_bytes = n_bytes,
                                 .use = context->use,
                                 .mapped = flags & CL_MEM_USE_HOST_PTR};
    enum vs_status status = allocate(buffer, flags, host);
    if (status != VS_OK) {
        free(buffer);
        return status;
    }
    *out = buffer;
    return VS_OK;
}

enum vs_status vs_buffer_create(struct vs_buffer **buffer, struct vs_context *context,
                                size_t n_bytes)
{
    return create(buffer, context, CL_MEM_READ_WRITE, NULL, n_bytes);
}

enum vs_status vs_buffer_wrap(struct vs_buffer **buffer, struct vs_context *context,
                              const void *host, size_t n_bytes)
{
    bool in_place = context->info.unified_memory && (uintptr_t)host % PAGE_BYTES == 0;
    cl_mem_flags how = in_place ? CL_MEM_USE_HOST_PTR : CL_MEM_COPY_HOST_PTR;
    if (!n_bytes)
        return create(buffer, context, CL_MEM_READ_ONLY, NULL, 0);
    return create(buffer, context, CL_MEM_READ_ONLY | how, (void *)(uintptr_t)host, n_bytes);
}

enum vs_status vs_floats_create(struct vs_buffer **buffer, struct vs_context *context,
                                const float *host, size_t n)
{
    size_t n_bytes;
    *buffer = NULL;
    if (!vs_mul_ok(n, sizeof(float), &n_bytes))
        return vs_fail(VS_ERROR_MEMORY, "a buffer of %zu numbers exceeds the address space", n);
    if (!host || !n)
        return create(buffer, context, CL_MEM_READ_WRITE, NULL, n_bytes);
    return create(buffer, context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR,
                  (void *)(uintptr_t)host, n_bytes);
}

static void release(struct vs_buffer *buffer)
{
    account(buffer, false);
    if (buffer->memory)
        clReleaseMemObject(buffer->memory);
    buffer->memory = NULL;
}

static void drop_content(struct vs_buffer *buffer)
{
    free(buffer->content);
    buffer->content = NULL;
    buffer->context->resting_bytes -= buffer->kept_bytes;
    buffer->kept_bytes = 0;
}

void vs_buffer_free(struct vs_buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->resting)
        drop_content(buffer);
    else
        release(buffer);
    free(buffer);
}

enum vs_status vs_buffer_rest(struct vs_buffer *buffer, bool keep)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = buffer->context;
    if (buffer->resting)
        return VS_OK;
    /* A rehearsal has made nothing to keep. */
    if (keep && !context->dry) {
        buffer->content = vs_alloc(buffer->n_bytes, 1);
        if (!buffer->content)
            return VS_ERROR_MEMORY;
        VS_TRY(vs_buffer_read(buffer, 0, buffer->content, buffer->n_bytes));
    }
    release(buffer);
    buffer->resting = true;
    buffer->kept_bytes = keep ? buffer->n_bytes : 0;
    context->resting_bytes += buffer->kept_bytes;
    if (context->peak_resting_bytes < context->resting_bytes)
        context->peak_resting_bytes = context->resting_bytes;
    return VS_OK;
fail:
    free(buffer->content);
    buffer->content = NULL;
    return status;
}

enum vs_status vs_buffer_wake(struct vs_buffer *buffer)
{
    enum vs_status status = VS_OK;
    if (!buffer->resting)
        return VS_OK;
    VS_TRY(allocate(buffer, CL_MEM_READ_WRITE, NULL));
    buffer->resting = false;
    if (buffer->content)
        VS_TRY(vs_buffer_write(buffer, 0, buffer->content, buffer->n_bytes));
    drop_content(buffer);
fail:
    return status;
}

size_t vs_buffer_bytes(const struct vs_buffer *buffer)
{
    return buffer->n_bytes;
}

static enum vs_status check_range(const struct vs_buffer *buffer, size_t offset, size_t n_bytes,
                                  const char *what)
{
    if (offset <= buffer->n_bytes && n_bytes <= buffer->n_bytes - offset)
        return VS_OK;
    return vs_fail(VS_ERROR_RUNTIME, "%s of %zu bytes at %zu passes the end of a %zu-byte buffer",
                   what, n_bytes, offset, buffer->n_bytes);
}

static enum vs_status enqueue_write(const struct vs_buffer *buffer, size_t offset, const void *host,
                                    size_t n_bytes, cl_bool wait)
{
    enum vs_status status = VS_OK;
    VS_TRY(check_range(buffer, offset, n_bytes, "write"));
    if (n_bytes && !buffer->context->dry)
        VS_CL(buffer->context, clEnqueueWriteBuffer(buffer->context->queue, buffer->memory, wait,
                                                    offset, n_bytes, host, 0, NULL, NULL));
fail:
    return status;
}

enum vs_status vs_buffer_write(const struct vs_buffer *buffer, size_t offset, const void *host,
                               size_t n_bytes)
{
    return enqueue_write(buffer, offset, host, n_bytes, CL_TRUE);
}

enum vs_status vs_buffer_send(const struct vs_buffer *buffer, size_t offset, const void *host,
                              size_t n_bytes)
{
    return enqueue_write(buffer, offset, host, n_bytes, CL_FALSE);
}

enum vs_status vs_buffer_read(const struct vs_buffer *buffer, size_t offset, void *host,
                              size_t n_bytes)
{
    enum vs_status status = VS_OK;
    VS_TRY(check_range(buffer, offset, n_bytes, "read"));
    if (buffer->context->hollow && n_bytes)
        memset(host, 0, n_bytes);
    if (n_bytes && !buffer->context->dry)
        VS_CL(buffer->context, clEnqueueReadBuffer(buffer->context->queue, buffer->memory, CL_TRUE,
                                                   offset, n_bytes, host, 0, NULL, NULL));
fail:
    return status;
}

enum vs_status vs_buffer_zero(const struct vs_buffer *buffer, size_t offset, size_t n_bytes)
{
    enum vs_status status = VS_OK;
    const cl_uchar zero = 0;
    VS_TRY(check_range(buffer, offset, n_bytes, "fill"));
    if (n_bytes && !buffer->context->dry)
        VS_CL(buffer->context, clEnqueueFillBuffer(buffer->context->queue, buffer->memory, &zero,
                                                   sizeof zero, offset, n_bytes, 0, NULL, NULL));
fail:
    return status;
}

enum vs_status vs_buffer_copy(const struct vs_buffer *to, size_t to_offset,
                              const struct vs_buffer *from, size_t from_offset, size_t n_bytes)
{
    enum vs_status status = VS_OK;
    VS_TRY(check_range(to, to_offset, n_bytes, "copy"));
    VS_TRY(check_range(from, from_offset, n_bytes, "copy"));
    if (n_bytes && !to->context->dry)
        VS_CL(to->context,
              clEnqueueCopyBuffer(to->context->queue, from->memory, to->memory, from_offset,
                                  to_offset, n_bytes, 0, NULL, NULL));
fail:
    return status;
}
