/* SPDX-License-Identifier: Apache-2.0
 *
 * gguf.c - reader of GGUF files, versions 2 and 3, and of models split into several.
 *
 * A header, key-values, a table of tensors, then the data at the next aligned offset. Dimensions
 * stand fastest first in the file and are turned round here. Every read goes through a cursor that
 * cannot leave the file. Of a split model any file may be given: the names of the others follow
 * from its own name and number, so that nothing inside a file leads to another place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/gguf.h"
#include "models/weights_internal.h"

enum { MAX_KEY_VALUES = 65536, DEFAULT_ALIGNMENT = 32 };

/* Bytes of a value of fixed size; 0 for strings and arrays. */
static const uint8_t value_bytes[VS_N_GGUF_VALUES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct cursor {
    const struct vs_file_map *map;
    size_t at;
};

static enum vs_status truncated(const struct cursor *cursor, const char *what)
{
    return vs_fail(VS_ERROR_MODEL,
                   "%s: %s at offset %zu ends past the file's %zu bytes; the file is truncated or "
                   "damaged, fetch it again",
                   cursor->map->path, what, cursor->at, cursor->map->size);
}

/* Little-endian unsigned number of n bytes. */
static enum vs_status read_number(uint64_t *value, struct cursor *cursor, size_t n,
                                  const char *what)
{
    *value = 0;
    if (cursor->map->size - cursor->at < n)
        return truncated(cursor, what);
    for (size_t i = 0; i < n; i++)
        *value |= (uint64_t)cursor->map->data[cursor->at + i] << (8 * i);
    cursor->at += n;
    return VS_OK;
}

static enum vs_status read_string(const char **text, size_t *n, struct cursor *cursor,
                                  const char *what)
{
    uint64_t length;
    enum vs_status status = read_number(&length, cursor, 8, what);
    if (status != VS_OK)
        return status;
    if (length > cursor->map->size - cursor->at)
        return truncated(cursor, what);
    *text = (const char *)cursor->map->data + cursor->at;
    *n = (size_t)length;
    cursor->at += *n;
    return VS_OK;
}

static enum vs_status skip_array(struct cursor *cursor)
{
    enum vs_status status;
    uint64_t type, count;
    const char *text;
    size_t n, n_bytes;

    VS_TRY(read_number(&type, cursor, 4, "an array"));
    VS_TRY(read_number(&count, cursor, 8, "an array"));
    if (type >= VS_N_GGUF_VALUES || type == VS_GGUF_ARRAY)
        return vs_fail(VS_ERROR_MODEL, "%s: an array of unknown type %ju at offset %zu",
                       cursor->map->path, (uintmax_t)type, cursor->at - 12);
    if (type == VS_GGUF_STRING) {
        /* Each string takes 8 bytes at least, so a lie about the count ends at the file's end. */
        for (uint64_t i = 0; i < count; i++)
            VS_TRY(read_string(&text, &n, cursor, "a string of an array"));
        return VS_OK;
    }
    if (count > SIZE_MAX || !vs_mul_ok((size_t)count, value_bytes[type], &n_bytes) ||
        n_bytes > cursor->map->size - cursor->at)
        return truncated(cursor, "an array");
    cursor->at += n_bytes;
    return VS_OK;
fail:
    return status;
}

/* ---- Shapes of folded tensors ------------------------------------------------------------- */

/* A key-value that tells the shape of the tensor `name` before it was folded. */
struct shape_note {
    const char *name; /* n_name bytes in the map */
    size_t n_name;
    size_t at; /* of the array in the file */
};

struct shape_notes {
    struct shape_note *items;
    size_t n, room;
};

static enum vs_status note_shape(struct shape_notes *notes, const char *key, size_t n_key,
                                 size_t at)
{
    const size_t n_prefix = strlen(VS_GGUF_SHAPE_KEY);
    if (n_key < n_prefix || memcmp(key, VS_GGUF_SHAPE_KEY, n_prefix) != 0)
        return VS_OK;
    enum vs_status status = vs_grow(&notes->items, notes->n, &notes->room, sizeof *notes->items);
    if (status == VS_OK)
        notes->items[notes->n++] = (struct shape_note){key + n_prefix, n_key - n_prefix, at};
    return status;
}

static int compare_notes(const void *a, const void *b)
{
    const struct shape_note *x = a, *y = b;
    size_t n = x->n_name < y->n_name ? x->n_name : y->n_name;
    int order = memcmp(x->name, y->name, n);
    return order ? order : (x->n_name > y->n_name) - (x->n_name < y->n_name);
}

static size_t product(const size_t *shape, size_t n_dims)
{
    size_t n = 1;
    for (size_t i = 0; i < n_dims; i++)
        if (!vs_mul_ok(n, shape[i], &n))
            return SIZE_MAX; /* of no tensor that fits in a file */
    return n;
}

/* Gives a tensor the shape it had, when a note says it, the elements are as many, and rows are
 * still whole blocks. A note that says anything else is passed over. */
static void unfold(struct vs_tensor_entry *entry, const struct shape_notes *notes,
                   const struct cursor *cursor)
{
    const struct shape_note wanted = {.name = entry->name, .n_name = entry->n_name};
    size_t shape[VS_MAX_DIMS], n_block = vs_dtype_info(entry->dtype)->n_elements;
    uint64_t type, count, dim;
    const struct shape_note *note =
        notes->n ? bsearch(&wanted, notes->items, notes->n, sizeof wanted, compare_notes) : NULL;
    if (!note)
        return;
    struct cursor array = {cursor->map, note->at};
    if (read_number(&type, &array, 4, "a shape") != VS_OK || type != VS_GGUF_I32 ||
        read_number(&count, &array, 8, "a shape") != VS_OK || count > VS_MAX_DIMS)
        return;
    for (size_t i = 0; i < count; i++) {
        if (read_number(&dim, &array, 4, "a shape") != VS_OK || dim > INT32_MAX)
            return;
        shape[i] = (size_t)dim;
    }
    if (product(shape, (size_t)count) != product(entry->shape, entry->n_dims) ||
        (n_block > 1 && (count == 0 || shape[count - 1] % n_block)))
        return;
    memcpy(entry->shape, shape, (size_t)count * sizeof *shape);
    entry->n_dims = (size_t)count;
}

/* ---- The tables --------------------------------------------------------------------------- */

/* A file up to its table of tensors. */
struct head {
    struct cursor cursor; /* at the table */
    struct vs_text_list metadata;
    struct shape_notes notes;
    uint64_t n_tensors, alignment;
    uint64_t no, n_splits, n_split_tensors; /* UINT64_MAX: not said */
};

static void free_head(struct head *head)
{
    vs_text_free(&head->metadata);
    free(head->notes.items);
}

/* Where the number under a key belongs; NULL: it is none that is kept. */
static uint64_t *number_of(struct head *head, const char *key, size_t n_key)
{
    const struct {
        const char *key;
        uint64_t *number;
    } kept[] = {{"general.alignment", &head->alignment},
                {VS_GGUF_SPLIT_NO, &head->no},
                {VS_GGUF_SPLIT_COUNT, &head->n_splits},
                {VS_GGUF_SPLIT_TENSORS, &head->n_split_tensors}};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (n_key == strlen(kept[i].key) && memcmp(key, kept[i].key, n_key) == 0)
            return kept[i].number;
    return NULL;
}

static enum vs_status check_number_type(const struct head *head, const uint64_t *number,
                                        const char *key, size_t n_key, uint64_t type)
{
    const char *path = head->cursor.map->path;
    if (number == &head->alignment && type != VS_GGUF_U32)
        return vs_fail(VS_ERROR_MODEL, "%s: general.alignment is no 32-bit number", path);
    if (type == VS_GGUF_F32 || type == VS_GGUF_F64 || type == VS_GGUF_BOOL ||
        type == VS_GGUF_STRING || type == VS_GGUF_ARRAY)
        return vs_fail(VS_ERROR_MODEL, "%s: %.*s is no whole number", path, (int)n_key, key);
    return VS_OK;
}

static enum vs_status read_key_value(struct head *head)
{
    enum vs_status status;
    struct cursor *cursor = &head->cursor;
    const char *key, *text;
    size_t n_key, n;
    uint64_t type, value;

    VS_TRY(read_string(&key, &n_key, cursor, "a key"));
    VS_TRY(read_number(&type, cursor, 4, "a value's type"));
    if (type >= VS_N_GGUF_VALUES)
        return vs_fail(VS_ERROR_MODEL, "%s: a value of unknown type %ju at offset %zu",
                       cursor->map->path, (uintmax_t)type, cursor->at - 4);
    uint64_t *number = number_of(head, key, n_key);
    if (number)
        VS_TRY(check_number_type(head, number, key, n_key, type));
    if (type == VS_GGUF_STRING) {
        VS_TRY(read_string(&text, &n, cursor, "a string value"));
        return vs_text_add(&head->metadata, key, n_key, text, n);
    }
    if (type == VS_GGUF_ARRAY) {
        VS_TRY(note_shape(&head->notes, key, n_key, cursor->at));
        return skip_array(cursor);
    }
    VS_TRY(read_number(&value, cursor, value_bytes[type], "a value"));
    if (number)
        *number = value;
    return VS_OK;
fail:
    return status;
}

static const struct {
    unsigned type;
    enum vs_dtype dtype;
} tensor_types[] = {{0, VS_F32},  {1, VS_F16},  {2, VS_Q4_0}, {8, VS_Q8_0}, {12, VS_Q4_K}, {24, VS_I8},
                    {25, VS_I16}, {26, VS_I32}, {27, VS_I64}, {28, VS_F64}, {30, VS_BF16}};
enum { N_TENSOR_TYPES = sizeof tensor_types / sizeof *tensor_types };

uint32_t vs_gguf_type(enum vs_dtype dtype)
{
    for (size_t i = 0; i < N_TENSOR_TYPES; i++)
        if (tensor_types[i].dtype == dtype)
            return tensor_types[i].type;
    return UINT32_MAX;
}

/* Format of a type number; a refused one gives its name in *name, or NULL. */
static bool dtype_of(enum vs_dtype *dtype, const char **name, uint64_t type)
{
    static const char *const refused[] = {
        [3] = "Q4_1",    [6] = "Q5_0",     [7] = "Q5_1",   [9] = "Q8_1",    [10] = "Q2_K",
        [11] = "Q3_K",   [13] = "Q5_K",    [14] = "Q6_K",  [15] = "Q8_K",   [16] = "IQ2_XXS",
        [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
        [22] = "IQ2_S",  [23] = "IQ4_XS",  [29] = "IQ1_M", [34] = "TQ1_0",  [35] = "TQ2_0"};
    for (size_t i = 0; i < N_TENSOR_TYPES; i++)
        if (tensor_types[i].type == type) {
            *dtype = tensor_types[i].dtype;
            return true;
        }
    *name = type < sizeof refused / sizeof *refused ? refused[type] : NULL;
    return false;
}

static enum vs_status read_tensor(struct vs_tensor_entry *entry, struct cursor *cursor)
{
    enum vs_status status;
    uint64_t n_dims, type, dim;
    const char *refused;

    VS_TRY(read_string(&entry->name, &entry->n_name, cursor, "a tensor's name"));
    status = vs_tensor_check_name(entry->name, entry->n_name);
    if (status != VS_OK)
        return vs_fail_in(status, "%s: before offset %zu", cursor->map->path, cursor->at);
    int n_name = (int)entry->n_name;
    VS_TRY(read_number(&n_dims, cursor, 4, "a tensor's entry"));
    if (n_dims > VS_MAX_DIMS)
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%.*s': %ju dimensions; at most %d are allowed",
                       cursor->map->path, n_name, entry->name, (uintmax_t)n_dims, VS_MAX_DIMS);
    entry->n_dims = (size_t)n_dims;
    for (size_t i = 0; i < entry->n_dims; i++) {
        VS_TRY(read_number(&dim, cursor, 8, "a tensor's entry"));
        if (dim > SIZE_MAX)
            return vs_fail(VS_ERROR_MODEL, "%s: tensor '%.*s': dimension %ju is absurd",
                           cursor->map->path, n_name, entry->name, (uintmax_t)dim);
        entry->shape[entry->n_dims - 1 - i] = (size_t)dim;
    }
    VS_TRY(read_number(&type, cursor, 4, "a tensor's entry"));
    if (!dtype_of(&entry->dtype, &refused, type))
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor '%.*s' has type %ju (%s), which is not supported; use F32, F16, "
                       "BF16, Q8_0, Q4_0 or Q4_K",
                       cursor->map->path, n_name, entry->name, (uintmax_t)type,
                       refused ? refused : "unknown");
    VS_TRY(read_number(&entry->offset, cursor, 8, "a tensor's entry"));
    return VS_OK;
fail:
    return status;
}

/* The table is read twice: where the data begin is known only behind its end. What the file says of
 * itself goes to the weights, if no file before it said anything. */
static enum vs_status read_tensors(struct vs_weights *weights, struct head *head)
{
    enum vs_status status;
    struct vs_tensor_entry entry = {0};
    struct cursor cursor = head->cursor, again = cursor;
    const struct vs_file_map *map = cursor.map;
    struct shape_notes *notes = &head->notes;
    uint64_t n_tensors = head->n_tensors, alignment = head->alignment;

    if (!weights->metadata.n) {
        struct vs_text_list none = weights->metadata;
        weights->metadata = head->metadata;
        head->metadata = none;
    }
    for (uint64_t i = 0; i < n_tensors; i++)
        VS_TRY(read_tensor(&entry, &cursor));
    uint64_t start = (cursor.at + alignment - 1) / alignment * alignment;
    if (notes->n)
        qsort(notes->items, notes->n, sizeof *notes->items, compare_notes);
    for (uint64_t i = 0; i < n_tensors; i++) {
        VS_TRY(read_tensor(&entry, &again));
        if (entry.offset % alignment)
            return vs_fail(VS_ERROR_MODEL,
                           "%s: tensor '%.*s': its offset %ju is no multiple of the alignment %ju",
                           map->path, (int)entry.n_name, entry.name, (uintmax_t)entry.offset,
                           (uintmax_t)alignment);
        if (__builtin_add_overflow(start, entry.offset, &entry.offset))
            entry.offset = UINT64_MAX;
        unfold(&entry, notes, &cursor);
        VS_TRY(vs_weights_add(weights, map, &entry, NULL));
    }
    return VS_OK;
fail:
    return status;
}

/* head is freed by the caller, also on a fault. */
static enum vs_status read_head(struct head *head, const struct vs_file_map *map)
{
    enum vs_status status;
    uint64_t version, n_values;

    *head = (struct head){.cursor = {map, 4},
                          .alignment = DEFAULT_ALIGNMENT,
                          .no = UINT64_MAX,
                          .n_splits = UINT64_MAX,
                          .n_split_tensors = UINT64_MAX};
    VS_TRY(read_number(&version, &head->cursor, 4, "the header"));
    VS_TRY(read_number(&head->n_tensors, &head->cursor, 8, "the header"));
    VS_TRY(read_number(&n_values, &head->cursor, 8, "the header"));
    if (version != 2 && version != 3)
        return vs_fail(VS_ERROR_MODEL, "%s: GGUF version %ju%s; versions 2 and 3 are read",
                       map->path, (uintmax_t)version,
                       version && !(version & 0xffff) ? " (a big-endian file)" : "");
    if (head->n_tensors > VS_MAX_TENSORS || n_values > MAX_KEY_VALUES)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: %ju tensors and %ju key-values; at most %d and %d are read", map->path,
                       (uintmax_t)head->n_tensors, (uintmax_t)n_values, VS_MAX_TENSORS,
                       MAX_KEY_VALUES);
    for (uint64_t i = 0; i < n_values; i++)
        VS_TRY(read_key_value(head));
    uint64_t alignment = head->alignment;
    if (alignment == 0 || (alignment & (alignment - 1)))
        return vs_fail(VS_ERROR_MODEL, "%s: general.alignment is %ju, which is no power of two",
                       map->path, (uintmax_t)alignment);
fail:
    return status;
}

/* ---- Split models ------------------------------------------------------------------------- */

/* Of the path of file `no` of so many, the bytes in front of what tells its number. */
static enum vs_status find_prefix(int *n_prefix, const struct head *head)
{
    const char *path = head->cursor.map->path;
    uintmax_t no = head->no, n = head->n_splits;
    char ending[64];
    if (n == 0 || n > VS_MAX_GGUF_SPLITS)
        return vs_fail(VS_ERROR_MODEL, "%s: %s is %ju; 1 to %d are read", path, VS_GGUF_SPLIT_COUNT,
                       n, VS_MAX_GGUF_SPLITS);
    if (no >= n)
        return vs_fail(VS_ERROR_MODEL, "%s: one of %ju files, but %s is not from 0 to %ju", path, n,
                       VS_GGUF_SPLIT_NO, n - 1);
    int n_ending = snprintf(ending, sizeof ending, "-%05ju-of-%05ju.gguf", no + 1, n);
    size_t n_path = strlen(path);
    if (n_path < (size_t)n_ending || strcmp(path + n_path - (size_t)n_ending, ending) != 0)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: is file %ju of %ju and has to be named NAME%s, as it was, for the "
                       "others to be found; rename it",
                       path, no + 1, n, ending);
    *n_prefix = (int)n_path - n_ending;
    return VS_OK;
}

/* File `no` of the model to which `given` belongs. */
static enum vs_status read_split(struct vs_weights *weights, const struct head *given, int n_prefix,
                                 uint64_t no)
{
    enum vs_status status;
    struct head head = {.alignment = 0};
    struct vs_file_map *map;
    const char *of = given->cursor.map->path;
    char *path = vs_format("%.*s-%05ju-of-%05ju.gguf", n_prefix, of, (uintmax_t)no + 1,
                           (uintmax_t)given->n_splits);
    if (!path)
        return VS_ERROR_MEMORY;
    VS_TRY(vs_file_map_open(&map, path));
    VS_TRY(vs_weights_add_map(weights, map));
    if (map->size < 4 || memcmp(map->data, "GGUF", 4) != 0) {
        status = vs_fail(VS_ERROR_MODEL, "%s: is no GGUF file", path);
        goto fail;
    }
    VS_TRY(read_head(&head, map));
    if (head.no != no || head.n_splits != given->n_splits ||
        head.n_split_tensors != given->n_split_tensors) {
        status = vs_fail(VS_ERROR_MODEL,
                         "%s: says of itself that it is another file, or of another model",
                         path);
        goto fail;
    }
    VS_TRY(read_tensors(weights, &head));
fail:
    free_head(&head);
    free(path);
    return status == VS_ERROR_MODEL ? vs_fail_in(status, "%s", of) : status;
}

/* All files in their order, whichever was given. */
static enum vs_status read_splits(struct vs_weights *weights, struct head *given)
{
    enum vs_status status;
    int n_prefix = 0;
    VS_TRY(find_prefix(&n_prefix, given));
    for (uint64_t i = 0; i < given->n_splits; i++)
        VS_TRY(i == given->no ? read_tensors(weights, given)
                              : read_split(weights, given, n_prefix, i));
fail:
    return status;
}

enum vs_status vs_gguf_read(struct vs_weights *weights, const struct vs_file_map *map)
{
    enum vs_status status;
    struct head head;
    weights->container = VS_GGUF;
    VS_TRY(read_head(&head, map));
    /* One that stands alone may have any name. */
    VS_TRY(head.n_splits == UINT64_MAX || head.n_splits == 1 ? read_tensors(weights, &head)
                                                             : read_splits(weights, &head));
    if (head.n_split_tensors != UINT64_MAX && head.n_split_tensors != weights->n_tensors) {
        status =
            vs_fail(VS_ERROR_MODEL, "%s: %s is %ju, but %zu tensors are there", map->path,
                    VS_GGUF_SPLIT_TENSORS, (uintmax_t)head.n_split_tensors, weights->n_tensors);
        goto fail;
    }
    VS_TRY(vs_weights_check_overlap(weights));
fail:
    free_head(&head);
    return status;
}
