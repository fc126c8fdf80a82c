/* SPDX-License-Identifier: Apache-2.0
 *
 * write_gguf.c - writer of GGUF files, version 3, one or several as gguf.h says.
 *
 * ggml knows at most four dimensions. A tensor of more has its first ones multiplied together, and
 * its shape is written down under the key that ComfyUI's reader looks for; gguf.c reads it, too. */
#include <string.h>

#include "models/conversion_internal.h"
#include "models/gguf.h"

enum { ALIGNMENT = 32, MAX_GGUF_DIMS = 4, QUANTIZATION_VERSION = 2 };

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void put_string(struct vs_table *table, const char *text)
{
    vs_table_number(table, strlen(text), 8);
    vs_table_text(table, text);
}

static void put_text_value(struct vs_table *table, const char *key, const char *value)
{
    put_string(table, key);
    vs_table_number(table, VS_GGUF_STRING, 4);
    put_string(table, value);
}

static void put_number_value(struct vs_table *table, const char *key, enum vs_gguf_value type,
                             size_t value)
{
    put_string(table, key);
    vs_table_number(table, type, 4);
    vs_table_number(table, value, type == VS_GGUF_U16 ? 2 : 4);
}

static bool reshaped(const struct vs_new_tensor *tensor)
{
    return tensor->n_dims > MAX_GGUF_DIMS || tensor->n_dims == 0;
}

static void put_shape_value(struct vs_table *table, const struct vs_new_tensor *tensor)
{
    vs_table_number(table, strlen(VS_GGUF_SHAPE_KEY) + strlen(tensor->name), 8);
    vs_table_text(table, VS_GGUF_SHAPE_KEY);
    vs_table_text(table, tensor->name);
    vs_table_number(table, VS_GGUF_ARRAY, 4);
    vs_table_number(table, VS_GGUF_I32, 4);
    vs_table_number(table, tensor->n_dims, 8);
    for (size_t i = 0; i < tensor->n_dims; i++)
        vs_table_number(table, tensor->shape[i], 4);
}

/* The format that most elements have, by the numbers of llama.cpp. */
static uint32_t file_type(const struct vs_conversion *conversion)
{
    static const uint32_t types[VS_N_DTYPES] = {[VS_F32] = 0,  [VS_F16] = 1,  [VS_BF16] = 32,
                                                [VS_Q8_0] = 7, [VS_Q4_0] = 2, [VS_Q4_K] = 14};
    uint64_t n_elements[VS_N_DTYPES] = {0};
    enum vs_dtype most = VS_F32;
    for (size_t i = 0; i < conversion->n_tensors; i++) {
        enum vs_dtype dtype = conversion->tensors[i].dtype;
        n_elements[dtype] += conversion->tensors[i].source->n_elements;
        if (vs_dtype_info(dtype)->weight && n_elements[dtype] > n_elements[most])
            most = dtype;
    }
    return types[most];
}

static const char *architecture(const struct vs_conversion *conversion)
{
    static const char *const words[] = {[VS_PART_UNKNOWN] = "unknown",
                                        [VS_PART_DIT] = "wan",
                                        [VS_PART_TEXT_ENCODER] = "t5encoder",
                                        [VS_PART_VAE] = "wan_vae",
                                        [VS_PART_LORA] = "wan_lora"};
    return words[conversion->part];
}

/* Of the model as a whole. */
static uint64_t put_model_values(struct vs_table *table, const struct vs_conversion *conversion)
{
    uint64_t n = 2;
    bool blocks = false;
    put_text_value(table, "general.architecture", architecture(conversion));
    put_number_value(table, "general.file_type", VS_GGUF_U32, file_type(conversion));
    for (size_t i = 0; i < conversion->metadata.n; i++, n++)
        put_text_value(table, conversion->metadata.entries[i].key,
                       conversion->metadata.entries[i].value);
    for (size_t i = 0; i < conversion->n_tensors; i++)
        blocks |= vs_dtype_info(conversion->tensors[i].dtype)->n_elements > 1;
    if (blocks) {
        put_number_value(table, "general.quantization_version", VS_GGUF_U32, QUANTIZATION_VERSION);
        n++;
    }
    return n;
}

/* Of file i. */
static uint64_t put_values(struct vs_table *table, const struct vs_conversion *conversion, size_t i)
{
    uint64_t n = i ? 0 : put_model_values(table, conversion);
    for (size_t t = conversion->first[i]; t < conversion->first[i + 1]; t++) {
        if (!reshaped(&conversion->tensors[t]))
            continue;
        put_shape_value(table, &conversion->tensors[t]);
        n++;
    }
    if (conversion->n_files > 1) {
        put_number_value(table, VS_GGUF_SPLIT_NO, VS_GGUF_U16, i);
        put_number_value(table, VS_GGUF_SPLIT_COUNT, VS_GGUF_U16, conversion->n_files);
        put_number_value(table, VS_GGUF_SPLIT_TENSORS, VS_GGUF_I32, conversion->n_tensors);
        n += 3;
    }
    return n;
}

static void put_tensor(struct vs_table *table, const struct vs_new_tensor *tensor, uint64_t offset)
{
    size_t n_dims = tensor->n_dims ? tensor->n_dims : 1, n_folded = 0;
    uint64_t shape[VS_MAX_DIMS] = {1};
    for (size_t i = 0; i < tensor->n_dims; i++)
        shape[i] = tensor->shape[i];
    for (; n_dims - n_folded > MAX_GGUF_DIMS; n_folded++)
        shape[n_folded + 1] *= shape[n_folded];
    put_string(table, tensor->name);
    vs_table_number(table, n_dims - n_folded, 4);
    for (size_t i = n_dims; i-- > n_folded;)
        vs_table_number(table, shape[i], 8);
    vs_table_number(table, vs_gguf_type(tensor->dtype), 4);
    vs_table_number(table, offset, 8);
}

enum vs_status vs_gguf_write(struct vs_conversion *conversion, size_t i,
                             const struct vs_output *output)
{
    static const uint8_t zeros[ALIGNMENT];
    enum vs_status status;
    struct vs_table table = {0}, values = {0};
    size_t first = conversion->first[i], end = conversion->first[i + 1];
    uint64_t n_values = put_values(&values, conversion, i), offset = 0;
    vs_table_text(&table, "GGUF");
    vs_table_number(&table, 3, 4);
    vs_table_number(&table, end - first, 8);
    vs_table_number(&table, n_values, 8);
    vs_table_join(&table, &values);
    for (size_t t = first; t < end; t++) {
        put_tensor(&table, &conversion->tensors[t], offset);
        offset += aligned(conversion->tensors[t].n_bytes);
    }
    vs_table_fill(&table, 0, (size_t)(aligned(table.n) - table.n));
    VS_TRY(vs_table_write(&table, output));
    for (size_t t = first; t < end; t++) {
        uint64_t n_bytes = conversion->tensors[t].n_bytes;
        VS_TRY(vs_conversion_put_tensor(conversion, &conversion->tensors[t], output));
        if (n_bytes % ALIGNMENT)
            VS_TRY(output->write(output->user, zeros, (size_t)(aligned(n_bytes) - n_bytes)));
    }
fail:
    return status;
}
