/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.h - weights on the device: a matrix in the number format of its file.
 *
 * Kernels widen weights in registers; nothing keeps a float32 copy of a matrix. */
#ifndef VS_KERNELS_CONVERT_CONVERT_H
#define VS_KERNELS_CONVERT_CONVERT_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"

/* A matrix [n_rows, n_columns], rows of whole blocks, row-major as in the file. */
struct vs_weight {
    struct vs_buffer *buffer; /* NULL: only described */
    size_t offset_bytes; /* of the first row in the buffer */
    enum vs_dtype dtype;
    size_t n_rows, n_columns;
    const void *data; /* on the host, as given; borrowed */
};

/* Uploads (or, where host and device share memory, maps) a matrix. data: n_rows * n_columns
 * elements of dtype, must outlive the weight. VS_ERROR_MODEL when dtype is no weight format or a
 * row is not whole blocks. */
VS_CHECK enum vs_status vs_weight_create(struct vs_weight *weight, struct vs_context *context,
                                         const void *data, enum vs_dtype dtype, size_t n_rows,
                                         size_t n_columns);
void vs_weight_free(struct vs_weight *weight);

/* The same checks without a device: the caller brings `data`, vs_weight_bytes() of it, into a buffer
 * before kernels see the weight. */
VS_CHECK enum vs_status vs_weight_describe(struct vs_weight *weight, const void *data,
                                           enum vs_dtype dtype, size_t n_rows, size_t n_columns);
size_t vs_weight_bytes(const struct vs_weight *weight);

/* out [n_rows, n_columns] float32 = the widened weight (rule R6: denormals flushed). */
VS_CHECK enum vs_status vs_weight_widen(struct vs_context *context, struct vs_span out,
                                        const struct vs_weight *weight);

/* Oracle of vs_weight_widen(): vs_dtype_widen() of dtype.h. */

#endif
