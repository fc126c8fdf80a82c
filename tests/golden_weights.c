/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_weights.c - golden cases of the readers of model files. */
#include <string.h>

#include "tests/golden.h"

static void release_weights(void *weights)
{
    vs_weights_free(weights);
}

/* Element i of an integer format, exact where float32 is not. */
static int64_t integer_at(const struct vs_tensor *tensor, size_t i)
{
    const uint8_t *at = (const uint8_t *)tensor->data + i * vs_dtype_info(tensor->dtype)->n_bytes;
    int64_t i64;
    int32_t i32;
    int16_t i16;
    switch (tensor->dtype) {
    case VS_I64:
        memcpy(&i64, at, sizeof i64);
        return i64;
    case VS_I32:
        memcpy(&i32, at, sizeof i32);
        return i32;
    case VS_I16:
        memcpy(&i16, at, sizeof i16);
        return i16;
    case VS_I8:
        return (int8_t)*at;
    default:
        return *at;
    }
}

/* Every tensor of a torch archive: `file` holds what out.* holds, under the names behind "out.". */
static void pth_reader(struct golden *golden)
{
    struct vs_weights *file;
    golden_ok(golden, vs_weights_open(&file, golden_path(golden, golden_text(golden, "file"))));
    golden_defer(golden, release_weights, file);
    for (size_t i = 0; golden->data && i < vs_weights_count(golden->data); i++) {
        const char *name = vs_weights_at(golden->data, i)->raw_name;
        if (strncmp(name, "out.", 4) != 0)
            continue;
        const struct vs_tensor *tensor = vs_weights_find(file, name + 4);
        if (!tensor)
            golden_fail(golden, "tensor '%s' was not found in the archive", name + 4);
        size_t n = tensor->n_elements;
        if (tensor->dtype >= VS_I64) {
            int64_t *values = golden_alloc(golden, n * sizeof *values);
            for (size_t j = 0; j < n; j++)
                values[j] = integer_at(tensor, j);
            golden_compare_ints(golden, name, values, n);
        } else {
            float *values = golden_alloc(golden, n * sizeof *values);
            vs_dtype_widen(values, tensor->data, tensor->dtype, n);
            golden_compare(golden, name, values, n);
        }
    }
}

const struct golden_op golden_ops_weights[] = {
    {"pth_reader", pth_reader},
    {NULL, NULL},
};
