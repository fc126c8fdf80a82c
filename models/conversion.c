/* SPDX-License-Identifier: Apache-2.0
 *
 * conversion.c - which tensors come out, in which format, and their values slab by slab. */
#include "models/conversion_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "kernels/convert/narrow.h"
#include "models/gguf.h"
#include "models/names.h"

enum { SLAB_ELEMENTS = 1 << 18, PIECE_BYTES = 1 << 20 };

static const char *const container_words[] = {"safetensors", "torch files", "GGUF"};

/* ---- Formats ------------------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_float(enum vs_dtype dtype)
{
    return vs_dtype_info(dtype)->weight || dtype == VS_F64;
}

static bool is_blocks(enum vs_dtype dtype)
{
    return vs_dtype_info(dtype)->n_elements > 1;
}

/* A matrix inside a block of the transformer or text encoder. */
static bool is_block_matrix(const struct vs_tensor *tensor)
{
    return tensor->n_dims == 2 && strncmp(tensor->name, "blocks.", 7) == 0 &&
           ends_with(tensor->name, ".weight") && !strstr(tensor->name, "embedding") &&
           !strstr(tensor->name, "norm");
}

static bool is_gate(const struct vs_tensor *tensor)
{
    return strstr(tensor->name, ".memory.a_proj.") || strstr(tensor->name, ".memory.b_proj.");
}

static enum vs_dtype choose_dtype(const struct vs_conversion_options *options,
                                  const struct vs_tensor *tensor)
{
    enum vs_dtype wish = options->dtype;
    bool changed = vs_lora_touches(options->loras, tensor);
    if (options->keep_dtype || !is_float(tensor->dtype))
        return changed ? vs_lora_dtype(tensor->dtype) : tensor->dtype;
    if (!is_blocks(wish))
        return wish;
    size_t row = tensor->n_dims ? tensor->shape[tensor->n_dims - 1] : 1;
    if (!is_block_matrix(tensor) || row % 32 != 0)
        return changed || tensor->dtype == VS_F64 ? vs_lora_dtype(tensor->dtype) : tensor->dtype;
    return wish == VS_Q4_K && row % 256 == 0 && !is_gate(tensor) ? VS_Q4_K : VS_Q8_0;
}

static enum vs_status check_dtype(const struct vs_conversion *conversion,
                                  const struct vs_new_tensor *tensor)
{
    enum vs_container container = conversion->options.container;
    const char *format = vs_dtype_info(tensor->dtype)->name;
    if (is_blocks(tensor->dtype) && container != VS_GGUF)
        return vs_fail(VS_ERROR_USAGE,
                       "%s: tensor '%s' would be %s, which %s cannot hold; write GGUF, or use "
                       "--dtype f16",
                       tensor->source->file, tensor->name, format, container_words[container]);
    if (container == VS_GGUF && (tensor->dtype == VS_BOOL || tensor->dtype == VS_U8))
        return vs_fail(VS_ERROR_USAGE,
                       "%s: tensor '%s' is %s, which GGUF cannot hold; write safetensors",
                       tensor->source->file, tensor->name, format);
    return VS_OK;
}

/* ---- Names -------------------------------------------------------------------------------- */

static enum vs_status new_name(char **name, const struct vs_conversion *conversion,
                               const struct vs_tensor *tensor)
{
    static const enum vs_name_table tables[] = {[VS_PART_DIT] = VS_TABLE_DIT,
                                                [VS_PART_TEXT_ENCODER] = VS_TABLE_TEXT_ENCODER,
                                                [VS_PART_VAE] = VS_TABLE_VAE};
    enum vs_target_names names = conversion->options.names;
    if (names == VS_TARGET_DIFFUSERS)
        *name = vs_names_translate(tensor->name, tables[conversion->part], VS_NAMES_DIFFUSERS);
    else
        *name = vs_strdup(names == VS_TARGET_WAN ? tensor->name : tensor->raw_name);
    return *name ? VS_OK : VS_ERROR_MEMORY;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct vs_new_tensor *const *)a)->name,
                  (*(const struct vs_new_tensor *const *)b)->name);
}

static enum vs_status check_names(const struct vs_conversion *conversion)
{
    enum vs_status status = VS_OK;
    size_t n = conversion->n_tensors;
    const struct vs_new_tensor **order = vs_alloc(n, sizeof *order);
    if (!order)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++)
        order[i] = &conversion->tensors[i];
    qsort(order, n, sizeof *order, compare_names);
    for (size_t i = 1; i < n && status == VS_OK; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            status =
                vs_fail(VS_ERROR_MODEL,
                        "tensor '%s' comes from %s and from %s; give the files of one network, "
                        "and of a split GGUF one file",
                        order[i]->name, order[i - 1]->source->file, order[i]->source->file);
    free(order);
    return status;
}

/* The network, told from the first file that says it. */
static enum vs_status find_part(struct vs_conversion *conversion,
                                const struct vs_weights *const *weights, size_t n_weights)
{
    struct vs_recognized network = {.part = VS_PART_UNKNOWN};
    for (size_t i = 0; i < n_weights && network.part == VS_PART_UNKNOWN; i++)
        vs_recognize(&network, weights[i]);
    conversion->part = network.part;
    if (conversion->options.names == VS_TARGET_DIFFUSERS &&
        (network.part == VS_PART_UNKNOWN || network.part == VS_PART_LORA))
        return vs_fail(VS_ERROR_USAGE,
                       "%s: names of diffusers are known for Wan's transformer, its text encoder "
                       "and its VAE, and this is none of them whole; use --names keep",
                       vs_weights_path(weights[0]));
    return VS_OK;
}

/* ---- The plan ----------------------------------------------------------------------------- */

/* GGUF files fold the patch embedding's first dimensions; its bias tells how many rows it has. */
static void unfold(struct vs_new_tensor *tensor)
{
    const struct vs_tensor *bias = vs_weights_find(tensor->weights, "patch_embedding.bias");
    if (strcmp(tensor->source->name, "patch_embedding.weight") != 0 || tensor->n_dims != 4 ||
        !bias || bias->n_dims != 1 || bias->shape[0] == 0 || tensor->shape[0] % bias->shape[0])
        return;
    memmove(tensor->shape + 1, tensor->shape, 4 * sizeof *tensor->shape);
    tensor->shape[0] = bias->shape[0];
    tensor->shape[1] /= bias->shape[0];
    tensor->n_dims = 5;
}

static enum vs_status add_tensor(struct vs_conversion *conversion,
                                 const struct vs_weights *weights, const struct vs_tensor *source)
{
    enum vs_status status;
    struct vs_new_tensor tensor = {.weights = weights, .source = source, .n_dims = source->n_dims};
    memcpy(tensor.shape, source->shape, sizeof tensor.shape);
    unfold(&tensor);
    tensor.dtype = choose_dtype(&conversion->options, source);
    const struct vs_dtype_info *info = vs_dtype_info(tensor.dtype);
    tensor.n_bytes = (uint64_t)(source->n_elements / info->n_elements) * info->n_bytes;
    VS_TRY(vs_grow(&conversion->tensors, conversion->n_tensors, &conversion->tensors_room,
                   sizeof *conversion->tensors));
    VS_TRY(new_name(&tensor.name, conversion, source));
    conversion->tensors[conversion->n_tensors++] = tensor;
    return check_dtype(conversion, &tensor);
fail:
    return status;
}

/* safetensors have no padding between tensors: with the wide elements first, each tensor lies at a
 * multiple of its element, whatever its shape. */
static enum vs_status sort_by_width(struct vs_conversion *conversion)
{
    size_t n = 0, count = conversion->n_tensors;
    struct vs_new_tensor *sorted = vs_alloc(count, sizeof *sorted);
    if (!sorted)
        return VS_ERROR_MEMORY;
    for (size_t width = 8; width >= 1; width /= 2)
        for (size_t i = 0; i < count; i++)
            if (vs_dtype_info(conversion->tensors[i].dtype)->n_bytes == width)
                sorted[n++] = conversion->tensors[i];
    free(conversion->tensors);
    conversion->tensors = sorted;
    return VS_OK;
}

static enum vs_status split_files(struct vs_conversion *conversion)
{
    uint64_t limit = conversion->options.shard_bytes, size = 0;
    conversion->first = vs_alloc(conversion->n_tensors + 1, sizeof *conversion->first);
    if (!conversion->first)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < conversion->n_tensors; i++) {
        uint64_t n_bytes = conversion->tensors[i].n_bytes;
        bool full = limit && size && (n_bytes > limit || size > limit - n_bytes);
        if (i == 0 || full) {
            conversion->first[conversion->n_files++] = i;
            size = 0;
        }
        size += n_bytes;
    }
    conversion->first[conversion->n_files] = conversion->n_tensors;
    return VS_OK;
}

/* Of safetensors what they say of themselves, of GGUF the model's name. */
static enum vs_status collect_metadata(struct vs_conversion *conversion,
                                       const struct vs_weights *weights)
{
    enum vs_container container = vs_weights_container(weights);
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < vs_weights_metadata_count(weights) && status == VS_OK; i++) {
        const char *key, *value;
        vs_weights_metadata_at(&key, &value, weights, i);
        bool known = false;
        for (size_t j = 0; j < conversion->metadata.n; j++)
            known |= strcmp(conversion->metadata.entries[j].key, key) == 0;
        bool wanted = container == VS_SAFETENSORS ? strcmp(key, "format") != 0
                                                  : strcmp(key, "general.name") == 0;
        if (!known && wanted && container == conversion->options.container)
            status = vs_text_add(&conversion->metadata, key, strlen(key), value, strlen(value));
    }
    return status;
}

enum vs_status vs_conversion_create(struct vs_conversion **out,
                                    const struct vs_weights *const *weights, size_t n_weights,
                                    const struct vs_conversion_options *options)
{
    enum vs_status status = VS_OK;
    struct vs_conversion *conversion = vs_alloc(1, sizeof *conversion);
    *out = NULL;
    if (!conversion)
        return VS_ERROR_MEMORY;
    conversion->options = *options;
    if (options->shard_bytes && options->container == VS_TORCH) {
        status = vs_fail(VS_ERROR_USAGE, "several files are written as safetensors or GGUF, not as "
                                         "torch files; leave out --shard-size");
        goto fail;
    }
    VS_TRY(find_part(conversion, weights, n_weights));
    for (size_t i = 0; i < n_weights; i++) {
        for (size_t j = 0; j < vs_weights_count(weights[i]); j++)
            VS_TRY(add_tensor(conversion, weights[i], vs_weights_at(weights[i], j)));
        VS_TRY(collect_metadata(conversion, weights[i]));
    }
    VS_TRY(check_names(conversion));
    if (options->container == VS_SAFETENSORS)
        VS_TRY(sort_by_width(conversion));
    VS_TRY(split_files(conversion));
    if (options->container == VS_GGUF && conversion->n_files > VS_MAX_GGUF_SPLITS) {
        status = vs_fail(VS_ERROR_USAGE,
                         "%zu GGUF files; at most %d are written: give a larger --shard-size",
                         conversion->n_files, VS_MAX_GGUF_SPLITS);
        goto fail;
    }
    *out = conversion;
    return VS_OK;
fail:
    vs_conversion_free(conversion);
    return status;
}

void vs_conversion_free(struct vs_conversion *conversion)
{
    if (!conversion)
        return;
    for (size_t i = 0; i < conversion->n_tensors; i++)
        free(conversion->tensors[i].name);
    vs_text_free(&conversion->metadata);
    free(conversion->tensors);
    free(conversion->first);
    free(conversion->values);
    free(conversion->coded);
    free(conversion);
}

size_t vs_conversion_files(const struct vs_conversion *conversion)
{
    return conversion->n_files;
}

size_t vs_conversion_tensors(const struct vs_conversion *conversion)
{
    return conversion->n_tensors;
}

uint64_t vs_conversion_bytes(const struct vs_conversion *conversion)
{
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < conversion->n_tensors; i++)
        n_bytes += conversion->tensors[i].n_bytes;
    return n_bytes;
}

size_t vs_conversion_count(const struct vs_conversion *conversion, enum vs_dtype dtype,
                           uint64_t *n_bytes)
{
    size_t n = 0;
    *n_bytes = 0;
    for (size_t i = 0; i < conversion->n_tensors; i++)
        if (conversion->tensors[i].dtype == dtype) {
            *n_bytes += conversion->tensors[i].n_bytes;
            n++;
        }
    return n;
}

/* ---- Values ------------------------------------------------------------------------------- */

static enum vs_status cannot_hold(const struct vs_new_tensor *tensor, enum vs_narrow_fault fault)
{
    const char *format = vs_dtype_info(tensor->dtype)->name;
    if (fault == VS_NARROW_NONFINITE)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor '%s' holds infinities or NaN, which %s cannot hold; the file is "
                       "damaged, or use --dtype bf16",
                       tensor->source->file, tensor->source->name, format);
    return vs_fail(VS_ERROR_MODEL,
                   "%s: tensor '%s' holds values too large for %s; use --dtype bf16 or f32",
                   tensor->source->file, tensor->source->name, format);
}

static enum vs_status put_same(const struct vs_new_tensor *tensor, const struct vs_output *output)
{
    const uint8_t *data = tensor->source->data;
    enum vs_status status = VS_OK;
    for (size_t at = 0; at < tensor->source->n_bytes; at += PIECE_BYTES) {
        size_t left = tensor->source->n_bytes - at;
        VS_TRY(output->write(output->user, data + at, left < PIECE_BYTES ? left : PIECE_BYTES));
    }
fail:
    return status;
}

/* Room for n elements. */
static enum vs_status reserve(struct vs_conversion *conversion, size_t n)
{
    if (n <= conversion->slab)
        return VS_OK;
    free(conversion->values);
    free(conversion->coded);
    conversion->values = vs_alloc(n, sizeof *conversion->values);
    conversion->coded = vs_alloc(n, sizeof *conversion->values);
    conversion->slab = conversion->values && conversion->coded ? n : 0;
    return conversion->slab ? VS_OK : VS_ERROR_MEMORY;
}

/* Elements of a slab: whole blocks of both formats, since 256 divides them and rows are whole
 * blocks; and whole rows where a LoRA is added. */
static enum vs_status slab_of(size_t *slab, struct vs_conversion *conversion,
                              const struct vs_tensor *source, bool changed)
{
    size_t columns = vs_lora_columns(source);
    *slab = SLAB_ELEMENTS;
    if (changed && columns)
        *slab = columns < SLAB_ELEMENTS ? SLAB_ELEMENTS / columns * columns : columns;
    return reserve(conversion, *slab);
}

static enum vs_status put_coded(struct vs_conversion *conversion,
                                const struct vs_new_tensor *tensor, const struct vs_output *output)
{
    const struct vs_tensor *source = tensor->source;
    const struct vs_dtype_info *from = vs_dtype_info(source->dtype);
    const struct vs_dtype_info *to = vs_dtype_info(tensor->dtype);
    struct vs_lora_set *loras = conversion->options.loras;
    bool changed = vs_lora_touches(loras, source);
    const uint8_t *data = source->data;
    enum vs_status status;
    size_t slab, columns = vs_lora_columns(source);
    VS_TRY(slab_of(&slab, conversion, source, changed));
    for (size_t at = 0; at < source->n_elements; at += slab) {
        size_t left = source->n_elements - at, n = left < slab ? left : slab;
        vs_dtype_read(conversion->values, data + at / from->n_elements * from->n_bytes,
                      source->dtype, n);
        if (changed)
            VS_TRY(vs_lora_add(loras, source, conversion->values, at / columns, n / columns));
        enum vs_narrow_fault fault =
            vs_dtype_narrow(conversion->coded, conversion->values, tensor->dtype, n);
        if (fault != VS_NARROW_OK)
            return cannot_hold(tensor, fault);
        VS_TRY(output->write(output->user, conversion->coded,
                             n / to->n_elements * to->n_bytes));
    }
fail:
    return status;
}

enum vs_status vs_conversion_put_tensor(struct vs_conversion *conversion,
                                        const struct vs_new_tensor *tensor,
                                        const struct vs_output *output)
{
    bool same = tensor->dtype == tensor->source->dtype &&
                !vs_lora_touches(conversion->options.loras, tensor->source);
    enum vs_status status =
        same ? put_same(tensor, output) : put_coded(conversion, tensor, output);
    vs_weights_release(tensor->weights, tensor->source);
    return status;
}

enum vs_status vs_conversion_write(struct vs_conversion *conversion, size_t i,
                                   const struct vs_output *output)
{
    switch (conversion->options.container) {
    case VS_TORCH:
        return vs_torch_write(conversion, i, output);
    case VS_GGUF:
        return vs_gguf_write(conversion, i, output);
    default:
        return vs_safetensors_write(conversion, i, output);
    }
}

/* ---- Tables ------------------------------------------------------------------------------- */

void vs_table_put(struct vs_table *table, const void *data, size_t n)
{
    size_t wanted;
    if (table->failed || !vs_add_ok(table->n, n, &wanted))
        return;
    if (wanted > table->room) {
        size_t room = wanted > 2 * table->room ? wanted : 2 * table->room;
        void *grown = vs_realloc(table->data, room, 1);
        table->failed = !grown;
        if (!grown)
            return;
        table->data = grown;
        table->room = room;
    }
    memcpy(table->data + table->n, data, n);
    table->n = wanted;
}

void vs_table_text(struct vs_table *table, const char *text)
{
    vs_table_put(table, text, strlen(text));
}

void vs_table_number(struct vs_table *table, uint64_t value, size_t n_bytes)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    vs_table_put(table, bytes, n_bytes);
}

void vs_table_fill(struct vs_table *table, uint8_t byte, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vs_table_put(table, &byte, 1);
}

void vs_table_join(struct vs_table *table, struct vs_table *other)
{
    if (other->n)
        vs_table_put(table, other->data, other->n);
    table->failed |= other->failed;
    free(other->data);
    *other = (struct vs_table){0};
}

enum vs_status vs_table_write(struct vs_table *table, const struct vs_output *output)
{
    enum vs_status status = VS_ERROR_MEMORY;
    if (!table->failed)
        status = table->n ? output->write(output->user, table->data, table->n) : VS_OK;
    free(table->data);
    *table = (struct vs_table){0};
    return status;
}
