/* SPDX-License-Identifier: Apache-2.0
 *
 * span.h - does a span hold what a kernel will touch? For the launchers' checks. */
#ifndef VS_KERNELS_COMMON_SPAN_H
#define VS_KERNELS_COMMON_SPAN_H

#include "cl/alloc.h"
#include "cl/buffer.h"

/* VS_ERROR_RUNTIME unless span has a buffer with rows * columns elements of that size from its
 * offset, counted in such elements, on. what: "gemm: residual", for the message. */
VS_CHECK static inline enum vs_status vs_span_check_cells(struct vs_span span, size_t rows,
                                                          size_t columns, size_t element_bytes,
                                                          const char *what)
{
    size_t n;
    if (!span.buffer)
        return vs_fail(VS_ERROR_RUNTIME, "%s is missing", what);
    size_t available = vs_buffer_bytes(span.buffer) / element_bytes;
    if (!vs_mul_ok(rows, columns, &n) || span.offset > available || n > available - span.offset)
        return vs_fail(VS_ERROR_RUNTIME, "%s: [%zu, %zu] from element %zu passes the end of %zu",
                       what, rows, columns, span.offset, available);
    return VS_OK;
}

/* The same of float32. */
VS_CHECK static inline enum vs_status vs_span_check(struct vs_span span, size_t rows,
                                                    size_t columns, const char *what)
{
    return vs_span_check_cells(span, rows, columns, sizeof(float), what);
}

#endif
