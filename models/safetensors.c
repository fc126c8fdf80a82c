/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors.c - reader of safetensors files and of their sharded form.
 *
 * A file is a little-endian 64-bit length, a JSON object of that length, and the data. Offsets of
 * data start behind the JSON. A sharded model is a JSON file whose weight_map names the shard that
 * holds each tensor; it and its shards are hostile alike until compared with each other. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/json_parse.h"
#include "models/weights_internal.h"

static bool dtype_of(enum vs_dtype *dtype, const char *name)
{
    static const enum vs_dtype known[] = {VS_F32, VS_F16, VS_BF16, VS_F64, VS_I64,
                                          VS_I32, VS_I16, VS_I8,   VS_U8,  VS_BOOL};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, vs_dtype_info(known[i])->name) == 0) {
            *dtype = known[i];
            return true;
        }
    return false;
}

/* Integer that is a size; JSON numbers with a fraction or a sign are none. */
static bool size_of(size_t *value, const json_t *json)
{
    if (!json_is_integer(json) || json_integer_value(json) < 0)
        return false;
    *value = (size_t)json_integer_value(json);
    return true;
}

static enum vs_status parse_entry(struct vs_tensor_entry *entry, size_t *begin, size_t *end,
                                  const json_t *json)
{
    const char *name = entry->name;
    const json_t *dtype = json_object_get(json, "dtype"), *shape = json_object_get(json, "shape");
    const json_t *range = json_object_get(json, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(range))
        return vs_fail(VS_ERROR_MODEL, "tensor '%s': needs dtype, shape and data_offsets", name);
    if (!dtype_of(&entry->dtype, json_string_value(dtype)))
        return vs_fail(VS_ERROR_MODEL,
                       "tensor '%s': dtype '%.32s' is not supported; convert it to "
                       "F32, F16 or BF16",
                       name, json_string_value(dtype));
    entry->n_dims = json_array_size(shape);
    if (entry->n_dims > VS_MAX_DIMS)
        return vs_fail(VS_ERROR_MODEL, "tensor '%s': %zu dimensions; at most %d are allowed", name,
                       entry->n_dims, VS_MAX_DIMS);
    for (size_t i = 0; i < entry->n_dims; i++)
        if (!size_of(&entry->shape[i], json_array_get(shape, i)))
            return vs_fail(VS_ERROR_MODEL, "tensor '%s': dimension %zu is no size", name, i);
    if (json_array_size(range) != 2 || !size_of(begin, json_array_get(range, 0)) ||
        !size_of(end, json_array_get(range, 1)) || *begin > *end)
        return vs_fail(VS_ERROR_MODEL, "tensor '%s': data_offsets are no range", name);
    return VS_OK;
}

static enum vs_status add_entry(struct vs_weights *weights, const struct vs_file_map *map,
                                size_t data_start, const char *name, const json_t *json)
{
    enum vs_status status;
    struct vs_tensor_entry entry = {.name = name, .n_name = strlen(name)};
    size_t begin = 0, end = 0, n_elements, n_bytes = 0, offset;

    VS_TRY(vs_tensor_check_name(entry.name, entry.n_name));
    VS_TRY(parse_entry(&entry, &begin, &end, json));
    VS_TRY(vs_tensor_size(&n_elements, &n_bytes, &entry));
    if (end - begin != n_bytes) {
        status = vs_fail(VS_ERROR_MODEL, "tensor '%s': its range holds %zu bytes, its shape %zu",
                         name, end - begin, n_bytes);
        goto fail;
    }
    if (!vs_add_ok(data_start, begin, &offset)) {
        status = vs_fail(VS_ERROR_MODEL, "tensor '%s': its offset %zu is absurd", name, begin);
        goto fail;
    }
    entry.offset = offset;
    return vs_weights_add(weights, map, &entry, NULL);

fail:
    return vs_fail_in(status, "%s", map->path);
}

static enum vs_status add_metadata(struct vs_weights *weights, const struct vs_file_map *map,
                                   json_t *json)
{
    const char *key;
    json_t *value;
    if (!json_is_object(json))
        return vs_fail(VS_ERROR_MODEL, "%s: __metadata__ is no object", map->path);
    json_object_foreach(json, key, value)
    {
        if (!json_is_string(value))
            continue;
        enum vs_status status = vs_text_add(&weights->metadata, key, strlen(key),
                                            json_string_value(value), json_string_length(value));
        if (status != VS_OK)
            return status;
    }
    return VS_OK;
}

/* Parses n bytes at offset of map as one JSON object. */
static enum vs_status parse_object(json_t **json, const struct vs_file_map *map, size_t offset,
                                   size_t n)
{
    json_error_t error;
    if (n > VS_MAX_TABLE_BYTES)
        return vs_fail(VS_ERROR_MODEL, "%s: a JSON table of %zu bytes; at most %d are read",
                       map->path, n, VS_MAX_TABLE_BYTES);
    enum vs_status status =
        vs_json_parse(json, (const char *)map->data + offset, n, JSON_REJECT_DUPLICATES, &error);
    if (status != VS_OK)
        return status;
    if (!*json)
        return vs_fail(VS_ERROR_MODEL, "%s: damaged JSON at offset %zu: %s", map->path,
                       offset + (size_t)(error.position > 0 ? error.position : 0), error.text);
    if (!json_is_object(*json)) {
        json_decref(*json);
        *json = NULL;
        return vs_fail(VS_ERROR_MODEL, "%s: the JSON at offset %zu is no object", map->path,
                       offset);
    }
    return VS_OK;
}

enum vs_status vs_safetensors_read(struct vs_weights *weights, const struct vs_file_map *map)
{
    enum vs_status status = VS_OK;
    json_t *header = NULL, *value;
    const char *name;
    uint64_t n = 0;

    for (size_t i = 0; i < 8; i++)
        n |= (uint64_t)map->data[i] << (8 * i);
    if (n > map->size - 8)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: its header should have %ju bytes and %zu are left at offset 8; the "
                       "file is truncated or damaged, fetch it again",
                       map->path, (uintmax_t)n, map->size - 8);
    weights->container = VS_SAFETENSORS;
    VS_TRY(parse_object(&header, map, 8, (size_t)n));
    json_object_foreach(header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            VS_TRY(add_metadata(weights, map, value));
        else
            VS_TRY(add_entry(weights, map, 8 + (size_t)n, name, value));
    }
    VS_TRY(vs_weights_check_overlap(weights));
fail:
    json_decref(header);
    return status;
}

/* ---- Shards ------------------------------------------------------------------------------- */

/* A shard lies beside its index: its name has no folder and is not hidden. */
static bool plain_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 255 || name[0] == '.' || strpbrk(name, "/\\"))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return true;
}

static enum vs_status open_shard(struct vs_weights *weights, const struct vs_file_map *index,
                                 const char *shard)
{
    enum vs_status status;
    const char *slash = strrchr(index->path, '/');
    int n_folder = slash ? (int)(slash - index->path) + 1 : 0;
    struct vs_file_map *map;
    char *path = vs_format("%.*s%s", n_folder, index->path, shard);
    if (!path)
        return VS_ERROR_MEMORY;
    status = vs_file_map_open(&map, path);
    if (status == VS_OK)
        status = vs_weights_add_map(weights, map);
    if (status == VS_OK && (map->size <= 8 || map->data[8] != '{'))
        status = vs_fail(VS_ERROR_MODEL, "%s: is no safetensors file", path);
    if (status == VS_OK)
        status = vs_safetensors_read(weights, map);
    free(path);
    return status == VS_ERROR_MODEL ? vs_fail_in(status, "%s", index->path) : status;
}

/* Every tensor of a shard must stand in the index under that shard, and the other way round.
 * Consumes weight_map's entries: what is left over was promised and not found. */
static enum vs_status compare_with_index(const struct vs_weights *weights,
                                         const struct vs_file_map *index, json_t *weight_map)
{
    for (size_t i = 0; i < weights->n_tensors; i++) {
        const struct vs_tensor *tensor = &weights->tensors[i];
        const char *shard = json_string_value(json_object_get(weight_map, tensor->raw_name));
        const char *slash = strrchr(tensor->file, '/');
        if (!shard || strcmp(shard, slash ? slash + 1 : tensor->file) != 0)
            return vs_fail(VS_ERROR_MODEL,
                           "%s: tensor '%s' of %s is not in the index, or under another shard",
                           index->path, tensor->raw_name, tensor->file);
        json_object_del(weight_map, tensor->raw_name);
    }
    void *left = json_object_iter(weight_map);
    if (left)
        return vs_fail(VS_ERROR_MODEL, "%s: the index promises tensor '%.*s', which %s lacks",
                       index->path, VS_MAX_NAME_BYTES, json_object_iter_key(left),
                       json_string_value(json_object_iter_value(left)));
    return VS_OK;
}

enum vs_status vs_safetensors_read_index(struct vs_weights *weights,
                                         const struct vs_file_map *index)
{
    enum vs_status status = VS_OK;
    json_t *root = NULL, *opened = NULL, *weight_map, *value;
    const char *name;

    weights->container = VS_SAFETENSORS;
    VS_TRY(parse_object(&root, index, 0, index->size));
    weight_map = json_object_get(root, "weight_map");
    if (!json_is_object(weight_map)) {
        status = vs_fail(VS_ERROR_MODEL,
                         "%s: is JSON without a weight_map, so no index of shards; weights are "
                         "safetensors, torch or GGUF files",
                         index->path);
        goto fail;
    }
    opened = json_object();
    json_object_foreach(weight_map, name, value)
    {
        const char *shard = json_string_value(value);
        if (!shard || !plain_name(shard)) {
            status = vs_fail(VS_ERROR_MODEL,
                             "%s: tensor '%.*s': the shard's name must be a file beside the index",
                             index->path, VS_MAX_NAME_BYTES, name);
            goto fail;
        }
        if (json_object_get(opened, shard))
            continue;
        if (json_object_set_new(opened, shard, json_true()) != 0) {
            status = vs_fail(VS_ERROR_MEMORY, "%s: out of memory", index->path);
            goto fail;
        }
        VS_TRY(open_shard(weights, index, shard));
    }
    VS_TRY(compare_with_index(weights, index, weight_map));
fail:
    json_decref(opened);
    json_decref(root);
    return status;
}
