/* SPDX-License-Identifier: Apache-2.0
 *
 * conversion_internal.h - what the writers of the containers share with conversion.c. */
#ifndef VS_MODELS_CONVERSION_INTERNAL_H
#define VS_MODELS_CONVERSION_INTERNAL_H

#include "models/conversion.h"
#include "models/recognize.h"
#include "models/weights_internal.h"

/* A tensor to be written. */
struct vs_new_tensor {
    char *name; /* owned */
    const struct vs_weights *weights;
    const struct vs_tensor *source;
    enum vs_dtype dtype;
    size_t n_dims;
    size_t shape[VS_MAX_DIMS]; /* outermost first */
    uint64_t n_bytes;
};

struct vs_conversion {
    struct vs_conversion_options options;
    struct vs_new_tensor *tensors;
    size_t n_tensors, tensors_room;
    size_t *first; /* [n_files + 1]: of each file in tensors */
    size_t n_files;
    enum vs_part part;
    struct vs_text_list metadata; /* for the file as a whole */
    float *values;                /* a slab, widened */
    uint8_t *coded;               /* the same in the new format */
    size_t slab;                  /* its elements */
};

/* The data of a tensor, as output takes them. */
VS_CHECK enum vs_status vs_conversion_put_tensor(struct vs_conversion *conversion,
                                                 const struct vs_new_tensor *tensor,
                                                 const struct vs_output *output);

/* Bytes that grow as a table is put together; a failed allocation shows at the end. */
struct vs_table {
    uint8_t *data;
    size_t n, room;
    bool failed;
};

void vs_table_put(struct vs_table *table, const void *data, size_t n);
void vs_table_text(struct vs_table *table, const char *text);                 /* without its NUL */
void vs_table_number(struct vs_table *table, uint64_t value, size_t n_bytes); /* little-endian */
void vs_table_fill(struct vs_table *table, uint8_t byte, size_t n);

/* Appends other and frees it. */
void vs_table_join(struct vs_table *table, struct vs_table *other);

/* Hands the table to output and frees it. */
VS_CHECK enum vs_status vs_table_write(struct vs_table *table, const struct vs_output *output);

/* The writers: file i of conversion. */
VS_CHECK enum vs_status vs_safetensors_write(struct vs_conversion *conversion, size_t i,
                                             const struct vs_output *output);
VS_CHECK enum vs_status vs_torch_write(struct vs_conversion *conversion, size_t i,
                                       const struct vs_output *output);
VS_CHECK enum vs_status vs_gguf_write(struct vs_conversion *conversion, size_t i,
                                      const struct vs_output *output);

#endif
