/* SPDX-License-Identifier: Apache-2.0
 *
 * write_safetensors.c - writer of safetensors files and of the index of several. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/conversion_internal.h"

/* Data begin at a multiple of this, so that a map of the file is aligned for every reader. */
enum { HEADER_ALIGNMENT = 64 };

static json_t *metadata_json(const struct vs_conversion *conversion)
{
    /* Some readers ask for this key, and load nothing without it. */
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    for (size_t i = 0; metadata && i < conversion->metadata.n; i++)
        json_object_set_new(metadata, conversion->metadata.entries[i].key,
                            json_string(conversion->metadata.entries[i].value));
    return metadata;
}

static json_t *tensor_json(const struct vs_new_tensor *tensor, uint64_t begin)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < tensor->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", vs_dtype_info(tensor->dtype)->name, "shape",
                     shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + tensor->n_bytes));
}

enum vs_status vs_safetensors_write(struct vs_conversion *conversion, size_t i,
                                    const struct vs_output *output)
{
    enum vs_status status = VS_ERROR_MEMORY;
    struct vs_table table = {0};
    size_t first = conversion->first[i], end = conversion->first[i + 1];
    uint64_t at = 0;
    bool made = true;
    size_t n_failed = vs_alloc_failed();
    json_t *root = json_object();
    made = json_object_set_new(root, "__metadata__", metadata_json(conversion)) == 0;
    for (size_t t = first; t < end; t++) {
        const struct vs_new_tensor *tensor = &conversion->tensors[t];
        made &= json_object_set_new(root, tensor->name, tensor_json(tensor, at)) == 0;
        at += tensor->n_bytes;
    }
    char *text = made ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text || vs_alloc_failed() != n_failed) {
        free(text);
        return vs_fail(VS_ERROR_MEMORY, "out of memory for a safetensors header");
    }
    size_t n_text = strlen(text), n = n_text + 8;
    n = (n + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT - 8;
    vs_table_number(&table, n, 8);
    vs_table_text(&table, text);
    vs_table_fill(&table, ' ', n - n_text);
    free(text);
    VS_TRY(vs_table_write(&table, output));
    for (size_t t = first; t < end; t++)
        VS_TRY(vs_conversion_put_tensor(conversion, &conversion->tensors[t], output));
fail:
    return status;
}

char *vs_conversion_index(const struct vs_conversion *conversion, char *const *names)
{
    json_t *map = json_object();
    json_t *root = json_pack("{s:{s:I}, s:O}", "metadata", "total_size",
                             (json_int_t)vs_conversion_bytes(conversion), "weight_map", map);
    bool made = root != NULL;
    for (size_t i = 0; made && i < conversion->n_files; i++)
        for (size_t t = conversion->first[i]; t < conversion->first[i + 1]; t++)
            made &= json_object_set_new(map, conversion->tensors[t].name,
                                        json_string(names[i])) == 0;
    char *text = made ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(map);
    json_decref(root);
    if (!text)
        (void)vs_fail(VS_ERROR_MEMORY, "out of memory for the index of the files");
    return text;
}
