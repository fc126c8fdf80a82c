/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.c - uploading weights as they are, and widening them on the device. */
#include "kernels/convert/convert.h"

#include "cl/alloc.h"
#include "cl/launch.h"
#include "kernels/common/span.h"
#include "kernels/sources.h"

enum {
    PAGE_BYTES = 4096,
    ALIGNMENT = 4, /* of what kernels load: float32 words, pairs of bytes */
};

size_t vs_weight_bytes(const struct vs_weight *weight)
{
    const struct vs_dtype_info *info = vs_dtype_info(weight->dtype);
    return weight->n_rows * (weight->n_columns / info->n_elements) * info->n_bytes;
}

enum vs_status vs_weight_describe(struct vs_weight *weight, const void *data, enum vs_dtype dtype,
                                  size_t n_rows, size_t n_columns)
{
    *weight = (struct vs_weight){
        .dtype = dtype, .n_rows = n_rows, .n_columns = n_columns, .data = data};
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    if (!info->weight)
        return vs_fail(VS_ERROR_MODEL, "a matrix of %s cannot be used as weight; convert it to "
                                       "F32, F16, BF16, Q8_0, Q4_0 or Q4_K", info->name);
    if (n_columns % info->n_elements)
        return vs_fail(VS_ERROR_MODEL, "rows of %zu elements are not whole blocks of %s (%zu "
                                       "elements); convert the matrix to another format",
                       n_columns, info->name, info->n_elements);
    size_t n_bytes;
    if (!vs_mul_ok(n_columns / info->n_elements, info->n_bytes, &n_bytes) ||
        !vs_mul_ok(n_bytes, n_rows, &n_bytes))
        return vs_fail(VS_ERROR_MODEL, "a matrix [%zu, %zu] exceeds the address space", n_rows,
                       n_columns);
    return VS_OK;
}

enum vs_status vs_weight_create(struct vs_weight *weight, struct vs_context *context,
                                const void *data, enum vs_dtype dtype, size_t n_rows,
                                size_t n_columns)
{
    enum vs_status status = vs_weight_describe(weight, data, dtype, n_rows, n_columns);
    if (status != VS_OK)
        return status;
    size_t n_bytes = vs_weight_bytes(weight);

    /* Tensors start anywhere in a mapped file. The buffer begins at the page before, which the
     * map holds too, so that sharing devices need no copy. */
    size_t before = (uintptr_t)data % PAGE_BYTES;
    if (!vs_context_device(context)->unified_memory || before % ALIGNMENT || !n_bytes)
        before = 0;
    weight->offset_bytes = before;
    return vs_buffer_wrap(&weight->buffer, context, (const char *)data - before, before + n_bytes);
}

void vs_weight_free(struct vs_weight *weight)
{
    vs_buffer_free(weight->buffer);
    weight->buffer = NULL;
}

enum vs_status vs_weight_widen(struct vs_context *context, struct vs_span out,
                               const struct vs_weight *weight)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    VS_TRY(vs_span_check(out, weight->n_rows, weight->n_columns, "convert: output"));
    vs_launch_begin(&launch, context, &vs_source_convert, "widen", "-DVS_DTYPE=%d",
                    (int)weight->dtype);
    vs_launch_span(&launch, out);
    vs_launch_buffer(&launch, weight->buffer);
    vs_launch_size(&launch, weight->offset_bytes);
    vs_launch_size(&launch, weight->n_columns);
    size_t global[] = {weight->n_columns / 16 + (weight->n_columns % 16 != 0), weight->n_rows};
    vs_launch_bytes(&launch, 4.0 * (double)weight->n_rows * (double)weight->n_columns +
                                 (double)vs_buffer_bytes(weight->buffer));
    VS_TRY(vs_launch_run(&launch, 2, global, NULL,
                         (double)weight->n_rows * (double)weight->n_columns));
fail:
    return status;
}
