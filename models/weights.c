/* SPDX-License-Identifier: Apache-2.0
 *
 * weights.c - the table of tensors of a model file.
 *
 * The container is told from the first bytes, never from the file's name: releases rename files
 * freely, and a name proves nothing. */
#include "models/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utf8proc.h>

#include "cl/alloc.h"
#include "models/names.h"
#include "models/weights_internal.h"

/* ---- Names -------------------------------------------------------------------------------- */

static void remove_everywhere(char *name, const char *part)
{
    size_t n = strlen(part);
    for (char *hit = strstr(name, part); hit; hit = strstr(hit, part))
        memmove(hit, hit + n, strlen(hit + n) + 1);
}

void vs_name_canonical(char *name)
{
    static const char *const anywhere[] = {"_fsdp_wrapped_module.", "_checkpoint_wrapped_module.",
                                           "_orig_mod."};
    static const char *const front[] = {"generator.", "model.", "module.", "diffusion_model."};
    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        remove_everywhere(name, anywhere[i]);
    char *rest = name;
    for (size_t i = 0; i < sizeof front / sizeof *front; i++) {
        size_t n = strlen(front[i]);
        if (strncmp(rest, front[i], n) == 0) {
            rest += n;
            i = (size_t)-1; /* a prefix may hide any other */
        }
    }
    memmove(name, rest, strlen(rest) + 1);
}

/* Names are shown on terminals and in JSON: no control characters, only UTF-8. */
static bool printable(const char *text, size_t n)
{
    utf8proc_int32_t code;
    for (size_t i = 0; i < n;) {
        utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &code);
        if (step <= 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
        i += (size_t)step;
    }
    return true;
}

static char *copy_bytes(const char *text, size_t n)
{
    char *copy = vs_alloc(n + 1, 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

/* ---- Building the table ------------------------------------------------------------------- */

enum vs_status vs_grow(void *array, size_t n, size_t *room, size_t element_bytes)
{
    void *old;
    memcpy(&old, array, sizeof old);
    if (n < *room)
        return VS_OK;
    size_t more = *room ? *room * 2 : 16;
    void *grown = vs_realloc(old, more, element_bytes);
    if (!grown)
        return VS_ERROR_MEMORY;
    memcpy(array, &grown, sizeof grown);
    *room = more;
    return VS_OK;
}

enum vs_status vs_weights_add_map(struct vs_weights *weights, struct vs_file_map *map)
{
    enum vs_status status =
        vs_grow(&weights->maps, weights->n_maps, &weights->maps_room, sizeof *weights->maps);
    if (status != VS_OK) {
        vs_file_map_free(map);
        return status;
    }
    weights->maps[weights->n_maps++] = map;
    return VS_OK;
}

enum vs_status vs_tensor_size(size_t *n_elements, size_t *n_bytes,
                              const struct vs_tensor_entry *entry)
{
    const struct vs_dtype_info *info = vs_dtype_info(entry->dtype);
    int n_name = (int)entry->n_name;
    size_t n = 1, row = entry->n_dims ? entry->shape[entry->n_dims - 1] : 1;
    bool empty = false;
    for (size_t i = 0; i < entry->n_dims; i++)
        empty |= entry->shape[i] == 0;
    /* An empty dimension must not hide an absurd one, so zeros are left out of the product. */
    for (size_t i = 0; i < entry->n_dims; i++)
        if (entry->shape[i] && !vs_mul_ok(n, entry->shape[i], &n))
            goto absurd;
    if (row % info->n_elements)
        return vs_fail(VS_ERROR_MODEL,
                       "tensor '%.*s': rows of %zu elements are no whole blocks of %s (%zu)",
                       n_name, entry->name, row, info->name, info->n_elements);
    n /= info->n_elements;
    if (!vs_mul_ok(n, info->n_bytes, n_bytes) || n > SIZE_MAX / 8 / info->n_elements)
        goto absurd;
    *n_elements = empty ? 0 : n * info->n_elements;
    *n_bytes = empty ? 0 : *n_bytes;
    return VS_OK;

absurd:
    return vs_fail(VS_ERROR_MODEL, "tensor '%.*s': its size is absurd: the elements overflow",
                   n_name, entry->name);
}

enum vs_status vs_tensor_check_name(const char *name, size_t n_name)
{
    if (n_name == 0)
        return vs_fail(VS_ERROR_MODEL, "a tensor has no name");
    if (n_name > VS_MAX_NAME_BYTES)
        return vs_fail(VS_ERROR_MODEL, "a tensor's name has %zu bytes; at most %d are allowed",
                       n_name, VS_MAX_NAME_BYTES);
    if (!printable(name, n_name))
        return vs_fail(VS_ERROR_MODEL, "a tensor's name holds control characters or is no UTF-8");
    return VS_OK;
}

enum vs_status vs_weights_add(struct vs_weights *weights, const struct vs_file_map *map,
                              const struct vs_tensor_entry *entry, void *copy)
{
    enum vs_status status;
    struct vs_tensor tensor = {
        .file = map->path, .dtype = entry->dtype, .n_dims = entry->n_dims, .offset = entry->offset};
    char *raw = NULL, *name = NULL;

    VS_TRY(vs_tensor_check_name(entry->name, entry->n_name));
    VS_TRY(vs_tensor_size(&tensor.n_elements, &tensor.n_bytes, entry));
    if (weights->n_tensors >= VS_MAX_TENSORS) {
        status = vs_fail(VS_ERROR_MODEL, "more than %d tensors", VS_MAX_TENSORS);
        goto fail;
    }
    if (!copy && (entry->offset > map->size || tensor.n_bytes > map->size - entry->offset)) {
        status = vs_fail(VS_ERROR_MODEL,
                         "tensor '%.*s': its %zu bytes at offset %ju end past the file's %zu; "
                         "the file is truncated or damaged, fetch it again",
                         (int)entry->n_name, entry->name, tensor.n_bytes, (uintmax_t)entry->offset,
                         map->size);
        goto fail;
    }
    memcpy(tensor.shape, entry->shape, sizeof tensor.shape);
    VS_TRY(vs_grow(&weights->tensors, weights->n_tensors, &weights->tensors_room,
                   sizeof *weights->tensors));
    if (copy)
        VS_TRY(vs_grow(&weights->copies, weights->n_copies, &weights->copies_room,
                       sizeof *weights->copies));
    raw = copy_bytes(entry->name, entry->n_name);
    name = raw ? vs_strdup(raw) : NULL;
    if (!name) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    vs_name_canonical(name);
    if (!*name) {
        status = vs_fail(VS_ERROR_MODEL, "tensor '%s': the name is nothing but prefixes", raw);
        goto fail;
    }
    tensor.raw_name = raw;
    tensor.name = name;
    tensor.data = copy ? copy : map->data + entry->offset;
    if (copy)
        weights->copies[weights->n_copies++] = copy;
    weights->tensors[weights->n_tensors++] = tensor;
    return VS_OK;

fail:
    free(raw);
    free(name);
    free(copy);
    return status == VS_ERROR_MODEL ? vs_fail_in(status, "%s", map->path) : status;
}

enum vs_status vs_text_add(struct vs_text_list *list, const char *key, size_t n_key,
                           const char *value, size_t n_value)
{
    if (list->n >= VS_MAX_METADATA || n_key > VS_MAX_NAME_BYTES ||
        n_value > VS_MAX_METADATA_BYTES || memchr(key, 0, n_key) || memchr(value, 0, n_value))
        return VS_OK;
    enum vs_status status = vs_grow(&list->entries, list->n, &list->room, sizeof *list->entries);
    if (status != VS_OK)
        return status;
    struct vs_text_entry entry = {copy_bytes(key, n_key), copy_bytes(value, n_value)};
    if (!entry.key || !entry.value) {
        free(entry.key);
        free(entry.value);
        return VS_ERROR_MEMORY;
    }
    list->entries[list->n++] = entry;
    return VS_OK;
}

static const char *text_find(const struct vs_text_list *list, const char *key)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->entries[i].key, key) == 0)
            return list->entries[i].value;
    return NULL;
}

void vs_text_free(struct vs_text_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->entries[i].key);
        free(list->entries[i].value);
    }
    free(list->entries);
}

static int compare_offsets(const void *a, const void *b)
{
    const struct vs_tensor *x = *(const struct vs_tensor *const *)a;
    const struct vs_tensor *y = *(const struct vs_tensor *const *)b;
    if (x->file != y->file)
        return strcmp(x->file, y->file);
    return (x->offset > y->offset) - (x->offset < y->offset);
}

enum vs_status vs_weights_check_overlap(const struct vs_weights *weights)
{
    const struct vs_tensor **order = vs_alloc(weights->n_tensors, sizeof *order);
    enum vs_status status = VS_OK;
    size_t n = 0;
    if (!order)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < weights->n_tensors; i++)
        if (weights->tensors[i].n_bytes)
            order[n++] = &weights->tensors[i];
    qsort(order, n, sizeof *order, compare_offsets);
    for (size_t i = 1; i < n && status == VS_OK; i++)
        if (order[i]->file == order[i - 1]->file &&
            order[i]->offset - order[i - 1]->offset < order[i - 1]->n_bytes)
            status = vs_fail(VS_ERROR_MODEL, "%s: tensors '%s' and '%s' overlap at offset %ju",
                             order[i]->file, order[i - 1]->raw_name, order[i]->raw_name,
                             (uintmax_t)order[i]->offset);
    free(order);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct vs_tensor *const *)a)->name,
                  (*(const struct vs_tensor *const *)b)->name);
}

static enum vs_status sort_names(struct vs_weights *weights)
{
    size_t n = weights->n_tensors;
    if (n == 0)
        return vs_fail(VS_ERROR_MODEL, "%s: holds no tensors", weights->path);
    weights->by_name = vs_alloc(n, sizeof *weights->by_name);
    if (!weights->by_name)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++)
        weights->by_name[i] = &weights->tensors[i];
    qsort(weights->by_name, n, sizeof *weights->by_name, compare_names);
    for (size_t i = 1; i < n; i++) {
        const struct vs_tensor *a = weights->by_name[i - 1], *b = weights->by_name[i];
        if (strcmp(a->name, b->name) == 0)
            return vs_fail(VS_ERROR_MODEL, "%s: tensors '%s' and '%s' mean the same name '%s'",
                           b->file, a->raw_name, b->raw_name, a->name);
    }
    return VS_OK;
}

/* Files in diffusers' naming get that of the releases; what they say stays in raw_name. */
static enum vs_status rename_from_diffusers(struct vs_weights *weights)
{
    enum vs_name_table table = VS_N_NAME_TABLES;
    for (size_t i = 0; i < weights->n_tensors && table == VS_N_NAME_TABLES; i++)
        table = vs_names_conclude(weights->tensors[i].name);
    for (size_t i = 0; i < weights->n_tensors && table != VS_N_NAME_TABLES; i++) {
        char *name = vs_names_translate(weights->tensors[i].name, table, VS_NAMES_WAN);
        if (!name)
            return VS_ERROR_MEMORY;
        free((void *)(uintptr_t)weights->tensors[i].name);
        weights->tensors[i].name = name;
    }
    return VS_OK;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static bool begins(const struct vs_file_map *map, const char *text)
{
    size_t n = strlen(text);
    return map->size >= n && memcmp(map->data, text, n) == 0;
}

/* A JSON object. The length in front of a safetensors header may begin with the byte of a brace,
 * but its highest byte is zero, and a text has none. */
static bool begins_with_json(const struct vs_file_map *map)
{
    size_t i = 0;
    while (i < map->size && i < 64 && map->data[i] && strchr(" \t\r\n", map->data[i]))
        i++;
    return i < map->size && map->data[i] == '{' && (map->size < 8 || map->data[7] != 0);
}

static enum vs_status read_container(struct vs_weights *weights, const struct vs_file_map *map)
{
    if (begins(map, "GGUF"))
        return vs_gguf_read(weights, map);
    if (begins(map, "PK\3\4") || begins(map, "PK\5\6"))
        return vs_torch_read(weights, map);
    if (begins(map, "version https://git-lfs"))
        return vs_fail(
            VS_ERROR_MODEL,
            "%s: is a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'",
            map->path);
    if (begins(map, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9"))
        return vs_fail(VS_ERROR_MODEL,
                       "%s: is a torch file of the format before torch 1.6; load it and save it "
                       "again with a newer torch, or as safetensors",
                       map->path);
    if (begins_with_json(map))
        return vs_safetensors_read_index(weights, map);
    if (map->size > 8 && map->data[8] == '{')
        return vs_safetensors_read(weights, map);
    return vs_fail(VS_ERROR_MODEL,
                   "%s: is no safetensors, torch (.pt, .pth) or GGUF file, or its beginning is "
                   "damaged",
                   map->path);
}

/* Takes over map, also on a fault. */
static enum vs_status open_map(struct vs_weights **weights, struct vs_file_map *map)
{
    enum vs_status status = VS_OK;
    struct vs_weights *made = vs_alloc(1, sizeof *made);
    if (!made) {
        vs_file_map_free(map);
        return VS_ERROR_MEMORY;
    }
    made->path = vs_strdup(map->path);
    VS_TRY(vs_weights_add_map(made, map));
    if (!made->path) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(read_container(made, map));
    VS_TRY(rename_from_diffusers(made));
    VS_TRY(sort_names(made));
    *weights = made;
    return VS_OK;

fail:
    vs_weights_free(made);
    return status;
}

enum vs_status vs_weights_open(struct vs_weights **weights, const char *path)
{
    struct vs_file_map *map;
    enum vs_status status;
    VS_TRY(vs_file_map_open(&map, path));
    return open_map(weights, map);
fail:
    return status;
}

enum vs_status vs_weights_open_memory(struct vs_weights **weights, const char *path,
                                      const void *data, size_t size)
{
    struct vs_file_map *map;
    enum vs_status status;
    if (size == 0)
        return vs_fail(VS_ERROR_MODEL, "%s: the file is empty", path);
    VS_TRY(vs_file_map_borrow(&map, path, data, size));
    return open_map(weights, map);
fail:
    return status;
}

void vs_weights_free(struct vs_weights *weights)
{
    if (!weights)
        return;
    for (size_t i = 0; i < weights->n_tensors; i++) {
        free((void *)(uintptr_t)weights->tensors[i].name);
        free((void *)(uintptr_t)weights->tensors[i].raw_name);
    }
    for (size_t i = 0; i < weights->n_copies; i++)
        free(weights->copies[i]);
    for (size_t i = 0; i < weights->n_maps; i++)
        vs_file_map_free(weights->maps[i]);
    vs_synthetic_free(weights->synthetic);
    vs_text_free(&weights->metadata);
    vs_text_free(&weights->inert);
    free(weights->tensors);
    free(weights->by_name);
    free(weights->copies);
    free(weights->maps);
    free(weights->path);
    free(weights);
}

/* ---- Asking ------------------------------------------------------------------------------- */

enum vs_container vs_weights_container(const struct vs_weights *weights)
{
    return weights->container;
}

const char *vs_weights_path(const struct vs_weights *weights)
{
    return weights->path;
}

size_t vs_weights_count(const struct vs_weights *weights)
{
    return weights->n_tensors;
}

const struct vs_tensor *vs_weights_at(const struct vs_weights *weights, size_t i)
{
    return i < weights->n_tensors ? &weights->tensors[i] : NULL;
}

const struct vs_tensor *vs_weights_find(const struct vs_weights *weights, const char *name)
{
    struct vs_tensor wanted = {.name = name};
    if (weights->synthetic)
        return vs_synthetic_find(weights->synthetic, name);
    const struct vs_tensor *key = &wanted;
    const struct vs_tensor *const *hit = bsearch(&key, weights->by_name, weights->n_tensors,
                                                 sizeof *weights->by_name, compare_names);
    return hit ? *hit : NULL;
}

void vs_weights_release(const struct vs_weights *weights, const struct vs_tensor *tensor)
{
    const uint8_t *data = tensor->data;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < weights->n_maps; i++) {
        const struct vs_file_map *map = weights->maps[i];
        if (!map->mapped || data < map->data || data >= map->data + map->size)
            continue;
        /* A copy of strided elements lies in no map and is left alone. */
        size_t begin = (size_t)(data - map->data) / page * page;
        size_t end = (size_t)(data - map->data) + tensor->n_bytes;
        (void)madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED);
    }
}

static bool lies_in_map(const struct vs_weights *weights, const struct vs_tensor *tensor)
{
    const uint8_t *data = tensor->data;
    for (size_t i = 0; i < weights->n_maps; i++) {
        const struct vs_file_map *map = weights->maps[i];
        if (map->mapped && data >= map->data && data < map->data + map->size)
            return true;
    }
    return false;
}

uint64_t vs_weights_copied_bytes(const struct vs_weights *weights)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < weights->n_tensors; i++)
        if (!lies_in_map(weights, &weights->tensors[i]))
            n_bytes += weights->tensors[i].n_bytes;
    return n_bytes;
}

const char *vs_weights_metadata(const struct vs_weights *weights, const char *key)
{
    return text_find(&weights->metadata, key);
}

size_t vs_weights_metadata_count(const struct vs_weights *weights)
{
    return weights->metadata.n;
}

void vs_weights_metadata_at(const char **key, const char **value, const struct vs_weights *weights,
                            size_t i)
{
    *key = weights->metadata.entries[i].key;
    *value = weights->metadata.entries[i].value;
}

void vs_shape_format(char *text, size_t n_text, size_t n_dims, const size_t *shape)
{
    size_t n = (size_t)snprintf(text, n_text, "[");
    for (size_t i = 0; i < n_dims && n < n_text; i++)
        n += (size_t)snprintf(text + n, n_text - n, "%s%zu", i ? ", " : "", shape[i]);
    if (n < n_text)
        snprintf(text + n, n_text - n, "]");
}

/* Whether found is wanted with neighbouring dimensions multiplied together. */
static bool same_folded(const struct vs_tensor *found, size_t n_dims, const size_t *shape)
{
    size_t j = 0;
    for (size_t i = 0; i < found->n_dims; i++) {
        size_t product = 1;
        while (j < n_dims && product < found->shape[i])
            product *= shape[j++];
        if (product != found->shape[i])
            return false;
    }
    while (j < n_dims && shape[j] == 1)
        j++;
    return j == n_dims;
}

enum vs_status vs_weights_require(const struct vs_tensor **tensor, const struct vs_weights *weights,
                                  const char *name, size_t n_dims, const size_t *shape)
{
    char got[192], want[192];
    if (weights->synthetic)
        return vs_synthetic_require(tensor, weights->synthetic, name, n_dims, shape);
    const struct vs_tensor *found = vs_weights_find(weights, name);
    vs_shape_format(want, sizeof want, n_dims, shape);
    if (!found) {
        const char *code = text_find(&weights->inert, name);
        if (code)
            return vs_fail(VS_ERROR_MODEL,
                           "%s: '%s' is no tensor but an object of '%s', code that is never run; "
                           "save the weights as plain tensors",
                           weights->path, name, code);
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' %s is missing; is it the right file?",
                       weights->path, name, want);
    }
    bool same = found->n_dims == n_dims &&
                (n_dims == 0 || memcmp(found->shape, shape, n_dims * sizeof *shape) == 0);
    if (!same && weights->container == VS_GGUF && n_dims > 2)
        same = same_folded(found, n_dims, shape);
    if (!same) {
        vs_shape_format(got, sizeof got, found->n_dims, found->shape);
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' has the shape %s; %s is needed",
                       found->file, name, got, want);
    }
    *tensor = found;
    return VS_OK;
}
