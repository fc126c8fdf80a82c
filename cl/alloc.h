/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc.h - host memory: checked sizes, and a count of allocations.
 *
 * All of the library's host memory comes through here, so that a test can prove that the
 * denoising loop allocates nothing and that every failed allocation is survived (cl/fault.h). */
#ifndef VS_CL_ALLOC_H
#define VS_CL_ALLOC_H

#include "cl/status.h"

/* n elements of size bytes, zeroed, freed with free(). NULL with a message (VS_ERROR_MEMORY) when
 * the product overflows or memory is short. n == 0 gives a valid pointer. */
void *vs_alloc(size_t n, size_t size) __attribute__((malloc));

/* Grows array to n elements; NULL leaves it as it was. */
void *vs_realloc(void *array, size_t n, size_t size);

/* Copy of a string; NULL as vs_alloc(). */
char *vs_strdup(const char *text);

/* printf into fresh memory; NULL as vs_alloc(). */
char *vs_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Allocations that failed so far. Not every function of jansson tells of one: who has it read or
 * build something compares before and after. */
size_t vs_alloc_failed(void);

/* Allocations made so far, host and device together. */
size_t vs_alloc_count(void);

/* a * b, a + b in size_t; false on overflow. */
static inline bool vs_mul_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool vs_add_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

#endif
