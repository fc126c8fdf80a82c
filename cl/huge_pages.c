/* SPDX-License-Identifier: Apache-2.0
 *
 * huge_pages.c - mmap, a hint to the system, and OpenCL on top. */
#include "cl/huge_pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cl/alloc.h"

static const size_t page_bytes = 2 << 20;
static const size_t min_bytes = 8 << 20; /* what the last page wastes is little against it */

struct mapping {
    void *memory;
    size_t n_bytes;
};

bool vs_huge_pages_suit(const struct vs_context *context, size_t n_bytes)
{
    return context->info.type == VS_DEVICE_CPU && n_bytes >= min_bytes;
}

static void unmap(struct mapping *mapping)
{
    munmap(mapping->memory, mapping->n_bytes);
    free(mapping);
}

static void CL_CALLBACK on_release(cl_mem memory, void *mapping)
{
    (void)memory;
    unmap(mapping);
}

static struct mapping *map(size_t n_bytes)
{
    struct mapping *mapping = vs_alloc(1, sizeof *mapping);
    if (!mapping)
        return NULL;
    mapping->memory = MAP_FAILED;
    /* A page more, since mappings begin anywhere. */
    if (vs_add_ok(n_bytes, page_bytes, &mapping->n_bytes))
        mapping->memory = mmap(NULL, mapping->n_bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping->memory == MAP_FAILED) {
        free(mapping);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    (void)madvise(mapping->memory, mapping->n_bytes, MADV_HUGEPAGE); /* a wish */
#endif
    return mapping;
}

cl_mem vs_huge_buffer(const struct vs_context *context, cl_mem_flags access, const void *host,
                      size_t n_bytes)
{
    cl_int error;
    struct mapping *mapping = map(n_bytes);
    if (!mapping)
        return NULL;
    uintptr_t first = ((uintptr_t)mapping->memory + page_bytes - 1) / page_bytes * page_bytes;
    if (host)
        memcpy((void *)first, host, n_bytes);
    cl_mem buffer = clCreateBuffer(context->context, access | CL_MEM_USE_HOST_PTR, n_bytes,
                                   (void *)first, &error);
    if (!buffer) {
        unmap(mapping);
        return NULL;
    }
    error = clSetMemObjectDestructorCallback(buffer, on_release, mapping);
    if (error != CL_SUCCESS) {
        clReleaseMemObject(buffer);
        unmap(mapping);
        return NULL;
    }
    return buffer;
}
