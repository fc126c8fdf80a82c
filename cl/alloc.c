/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc.c - host memory with checked sizes. */
#include "cl/alloc.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/fault.h"

static atomic_size_t n_failed;

size_t vs_alloc_failed(void)
{
    return atomic_load(&n_failed);
}

size_t vs_alloc_count(void)
{
    return vs_fault_count(VS_FAULT_MEMORY);
}

static void *checked(void *memory, size_t n, size_t size)
{
    if (!memory) {
        (void)vs_fail(VS_ERROR_MEMORY,
                      "out of memory: %zu elements of %zu bytes could not be allocated", n, size);
        atomic_fetch_add(&n_failed, 1);
    }
    return memory;
}

void *vs_alloc(size_t n, size_t size)
{
    bool fault = vs_fault_due(VS_FAULT_MEMORY);
    return checked(fault ? NULL : calloc(n ? n : 1, size ? size : 1), n, size);
}

void *vs_realloc(void *array, size_t n, size_t size)
{
    size_t n_bytes;
    bool possible = !vs_fault_due(VS_FAULT_MEMORY) &&
                    vs_mul_ok(n ? n : 1, size ? size : 1, &n_bytes);
    return checked(possible ? realloc(array, n_bytes) : NULL, n, size);
}

char *vs_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = vs_alloc(n, 1);
    return copy ? memcpy(copy, text, n) : NULL;
}

char *vs_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = vs_alloc((size_t)(n < 0 ? 0 : n) + 1, 1);
    if (text && n > 0) {
        va_start(args, format);
        vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    return text;
}
