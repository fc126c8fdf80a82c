/* SPDX-License-Identifier: Apache-2.0
 *
 * torch_zip.c - reader of torch archives (.pt, .pth).
 *
 * An archive is a zip whose entries are stored, not compressed, so that tensors can be mapped where
 * they lie. libzip checks the archive and reads data.pkl with its checksum, but does not tell where
 * an entry's bytes begin; that is found here, and both readings of the directory must agree. */
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "cl/alloc.h"
#include "models/pickle.h"
#include "models/weights_internal.h"

enum {
    MAX_ENTRIES = 2 * VS_MAX_TENSORS,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    MAX_COMMENT = 65535,
    COPY_GRACE = 16 << 20 /* bytes of copies allowed beyond the size of the file */
};

struct entry {
    const char *name; /* in the central directory; n_name bytes */
    size_t n_name;
    uint64_t header, data, size; /* local header and data, from the start of the file */
};

struct archive {
    const struct vs_file_map *map;
    struct entry *entries; /* in the order of the directory until sorted by name */
    size_t n_entries;
    uint64_t directory, directory_bytes;
    const char *folder; /* X of X/data.pkl; n_folder bytes with the slash */
    size_t n_folder;
    size_t copies_left; /* bytes */
};

static uint64_t number_at(const struct archive *a, uint64_t offset, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)a->map->data[offset + i] << (8 * i);
    return value;
}

static bool inside(const struct archive *a, uint64_t offset, uint64_t n)
{
    return offset <= a->map->size && n <= a->map->size - offset;
}

static enum vs_status damaged(const struct archive *a, const char *what, uint64_t offset)
{
    return vs_fail(VS_ERROR_MODEL,
                   "%s: %s at offset %ju; the archive is truncated or damaged, fetch it again",
                   a->map->path, what, (uintmax_t)offset);
}

static enum vs_status encrypted(const struct archive *a, const struct entry *entry)
{
    return vs_fail(VS_ERROR_MODEL, "%s: entry '%.*s' is encrypted", a->map->path,
                   (int)entry->n_name, entry->name);
}

static enum vs_status in_parts(const struct archive *a)
{
    return vs_fail(VS_ERROR_MODEL, "%s: the archive is in several parts; torch saves whole ones",
                   a->map->path);
}

/* ---- The directory ------------------------------------------------------------------------ */

/* The end record stands last; its comment's length must lead exactly to the end of the file. */
static enum vs_status find_directory(struct archive *a)
{
    size_t size = a->map->size, back = END_BYTES;
    while (back <= size && back <= END_BYTES + MAX_COMMENT &&
           !(number_at(a, size - back, 4) == 0x06054b50 &&
             number_at(a, size - back + 20, 2) == back - END_BYTES))
        back++;
    if (back > size || back > END_BYTES + MAX_COMMENT)
        return damaged(a, "no end record of a zip archive up to the end", size);
    uint64_t end = size - back, n = number_at(a, end + 10, 2);
    a->directory_bytes = number_at(a, end + 12, 4);
    a->directory = number_at(a, end + 16, 4);
    if (end >= LOCATOR_BYTES && number_at(a, end - LOCATOR_BYTES, 4) == 0x07064b50) {
        uint64_t end64 = number_at(a, end - LOCATOR_BYTES + 8, 8);
        if (number_at(a, end - LOCATOR_BYTES + 4, 4) != 0 ||
            number_at(a, end - LOCATOR_BYTES + 16, 4) > 1)
            return in_parts(a);
        if (!inside(a, end64, END64_BYTES) || number_at(a, end64, 4) != 0x06064b50 ||
            number_at(a, end64 + 4, 8) != end - LOCATOR_BYTES - end64 - 12)
            return damaged(a, "no zip64 end record", end64);
        n = number_at(a, end64 + 32, 8);
        a->directory_bytes = number_at(a, end64 + 40, 8);
        a->directory = number_at(a, end64 + 48, 8);
        end = end64;
    }
    if (n > MAX_ENTRIES)
        return vs_fail(VS_ERROR_MODEL, "%s: %ju entries in the archive; at most %d are read",
                       a->map->path, (uintmax_t)n, MAX_ENTRIES);
    if (!inside(a, a->directory, a->directory_bytes) || a->directory + a->directory_bytes > end ||
        n > a->directory_bytes / CENTRAL_BYTES)
        return damaged(a, "a directory that does not fit", a->directory);
    a->n_entries = (size_t)n;
    return VS_OK;
}

/* Sizes and offsets that 32 bits cannot hold stand in an extra field, in this order, and only the
 * ones whose short form is all ones. */
static enum vs_status read_zip64(const struct archive *a, uint64_t at, size_t n_extra,
                                 uint64_t *size, uint64_t *packed, uint64_t *header)
{
    uint64_t *fields[3] = {size, packed, header};
    size_t n_wanted = 0;
    for (size_t i = 0; i < 3; i++)
        if (*fields[i] == UINT32_MAX)
            fields[n_wanted++] = fields[i];
    uint64_t end = at + n_extra;
    while (n_wanted && end - at >= 4) {
        uint64_t id = number_at(a, at, 2), n = number_at(a, at + 2, 2);
        if (n > end - at - 4)
            return damaged(a, "an extra field that is too long", at);
        if (id == 1) {
            if (n < 8 * n_wanted)
                break;
            for (size_t i = 0; i < n_wanted; i++)
                *fields[i] = number_at(a, at + 4 + 8 * i, 8);
            return VS_OK;
        }
        at += 4 + n;
    }
    return n_wanted ? damaged(a, "a zip64 entry without its sizes", at) : VS_OK;
}

/* From the local header come only the lengths that say where the data begin; the rest of it is
 * libzip's to compare. */
static enum vs_status read_local(struct archive *a, struct entry *entry)
{
    if (!inside(a, entry->header, LOCAL_BYTES) || number_at(a, entry->header, 4) != 0x04034b50)
        return damaged(a, "an entry without its local header", entry->header);
    size_t n_name = number_at(a, entry->header + 26, 2);
    size_t n_extra = number_at(a, entry->header + 28, 2);
    entry->data = entry->header + LOCAL_BYTES + n_name + n_extra;
    if (!inside(a, entry->data, entry->size) || entry->data + entry->size > a->directory)
        return damaged(a, "an entry that ends outside the archive's data", entry->header);
    if (n_name != entry->n_name ||
        memcmp(a->map->data + entry->header + LOCAL_BYTES, entry->name, n_name) != 0)
        return damaged(a, "an entry whose two names differ", entry->header);
    return number_at(a, entry->header + 6, 2) & 1 ? encrypted(a, entry) : VS_OK;
}

static enum vs_status read_entry(struct archive *a, struct entry *entry, uint64_t *at)
{
    enum vs_status status;
    uint64_t start = *at, end = a->directory + a->directory_bytes;
    if (end - start < CENTRAL_BYTES || number_at(a, start, 4) != 0x02014b50)
        return damaged(a, "no directory entry", start);
    unsigned flags = (unsigned)number_at(a, start + 8, 2);
    unsigned method = (unsigned)number_at(a, start + 10, 2);
    uint64_t packed = number_at(a, start + 20, 4);
    size_t n_extra = number_at(a, start + 30, 2), n_comment = number_at(a, start + 32, 2);
    entry->size = number_at(a, start + 24, 4);
    entry->n_name = number_at(a, start + 28, 2);
    entry->header = number_at(a, start + 42, 4);
    if (end - start - CENTRAL_BYTES < entry->n_name + n_extra + n_comment)
        return damaged(a, "a directory entry that is too long", start);
    entry->name = (const char *)a->map->data + start + CENTRAL_BYTES;
    int n_name = (int)entry->n_name;
    if (memchr(entry->name, 0, entry->n_name))
        return damaged(a, "a name with a NUL byte", start);
    VS_TRY(read_zip64(a, start + CENTRAL_BYTES + entry->n_name, n_extra, &entry->size, &packed,
                      &entry->header));
    if (number_at(a, start + 34, 2) != 0)
        return in_parts(a);
    if (flags & 1)
        return encrypted(a, entry);
    if (method != 0 || packed != entry->size)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: entry '%.*s' is compressed (method %u); torch stores its entries as "
                       "they are, so save the file again with torch.save",
                       a->map->path, n_name, entry->name, method);
    VS_TRY(read_local(a, entry));
    *at = start + CENTRAL_BYTES + entry->n_name + n_extra + n_comment;
    return VS_OK;
fail:
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int compare_names(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t n = x->n_name < y->n_name ? x->n_name : y->n_name;
    int order = memcmp(x->name, y->name, n);
    return order ? order : (x->n_name > y->n_name) - (x->n_name < y->n_name);
}

/* libzip's own view of the archive must be the one found above: a file that two readers see
 * differently was made to deceive one of them. */
static enum vs_status compare_with_libzip(const struct archive *a, zip_t *zip)
{
    if (zip_get_num_entries(zip, 0) != (zip_int64_t)a->n_entries)
        return damaged(a, "two different counts of entries in the directory", a->directory);
    for (size_t i = 0; i < a->n_entries; i++) {
        const struct entry *entry = &a->entries[i];
        zip_stat_t stat;
        const zip_uint64_t known = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
        if (zip_stat_index(zip, i, ZIP_FL_ENC_RAW, &stat) != 0 || (stat.valid & known) != known ||
            stat.size != entry->size || stat.comp_method != ZIP_CM_STORE ||
            strlen(stat.name) != entry->n_name ||
            memcmp(stat.name, entry->name, entry->n_name) != 0)
            return damaged(a, "an entry that cannot be read in one way only", entry->header);
    }
    return VS_OK;
}

static enum vs_status read_directory(struct archive *a)
{
    enum vs_status status;
    VS_TRY(find_directory(a));
    a->entries = vs_alloc(a->n_entries, sizeof *a->entries);
    if (!a->entries)
        return VS_ERROR_MEMORY;
    uint64_t at = a->directory;
    for (size_t i = 0; i < a->n_entries; i++)
        VS_TRY(read_entry(a, &a->entries[i], &at));
fail:
    return status;
}

static enum vs_status sort_entries(struct archive *a)
{
    qsort(a->entries, a->n_entries, sizeof *a->entries, compare_places);
    for (size_t i = 1; i < a->n_entries; i++)
        if (a->entries[i].header < a->entries[i - 1].data + a->entries[i - 1].size)
            return damaged(a, "two entries that overlap", a->entries[i].header);
    qsort(a->entries, a->n_entries, sizeof *a->entries, compare_names);
    return VS_OK;
}

/* ---- Entries ------------------------------------------------------------------------------ */

/* X/data.pkl, where X is any one folder. */
static enum vs_status find_folder(struct archive *a)
{
    static const char wanted[] = "/data.pkl";
    const size_t n = sizeof wanted - 1;
    for (size_t i = 0; i < a->n_entries; i++) {
        const struct entry *entry = &a->entries[i];
        const char *slash = memchr(entry->name, '/', entry->n_name);
        if (!slash || entry->n_name - (size_t)(slash - entry->name) != n ||
            memcmp(slash, wanted, n) != 0)
            continue;
        if (a->folder)
            return vs_fail(VS_ERROR_MODEL, "%s: the archive holds more than one data.pkl",
                           a->map->path);
        a->folder = entry->name;
        a->n_folder = (size_t)(slash - entry->name) + 1;
    }
    if (!a->folder)
        return vs_fail(VS_ERROR_MODEL, "%s: a zip archive without data.pkl, so no torch file",
                       a->map->path);
    return VS_OK;
}

/* The entry of that name in the archive's folder, or NULL. */
static const struct entry *find_entry(const struct archive *a, const char *middle, const char *name,
                                      size_t n_name)
{
    char path[512];
    size_t n_middle = strlen(middle), n = a->n_folder + n_middle + n_name;
    if (n_name > sizeof path || n > sizeof path)
        return NULL;
    memcpy(path, a->folder, a->n_folder);
    memcpy(path + a->n_folder, middle, n_middle);
    memcpy(path + a->n_folder + n_middle, name, n_name);
    const struct entry wanted = {.name = path, .n_name = n};
    return bsearch(&wanted, a->entries, a->n_entries, sizeof *a->entries, compare_names);
}

static enum vs_status check_byteorder(const struct archive *a)
{
    const struct entry *entry = find_entry(a, "", "byteorder", 9);
    if (entry && (entry->size != 6 || memcmp(a->map->data + entry->data, "little", 6) != 0))
        return vs_fail(VS_ERROR_MODEL, "%s: its byte order is not little-endian", a->map->path);
    return VS_OK;
}

/* Through libzip, for the checksum: a pickle is worth believing only undamaged. */
static enum vs_status read_pickle(struct vs_pickle *pickle, void **bytes, const struct archive *a,
                                  zip_t *zip)
{
    const struct entry *entry = find_entry(a, "", "data.pkl", 8);
    if (!entry)
        return vs_fail(VS_ERROR_MODEL, "%s: the folder's name in the archive is too long",
                       a->map->path);
    if (entry->size == 0 || entry->size > VS_MAX_TABLE_BYTES)
        return vs_fail(VS_ERROR_MODEL, "%s: data.pkl has %ju bytes; 1 to %d are read", a->map->path,
                       (uintmax_t)entry->size, VS_MAX_TABLE_BYTES);
    *bytes = vs_alloc((size_t)entry->size, 1);
    char *name = vs_format("%.*s", (int)entry->n_name, entry->name);
    zip_file_t *file = *bytes && name ? zip_fopen(zip, name, ZIP_FL_ENC_RAW) : NULL;
    enum vs_status status = *bytes && name ? VS_OK : VS_ERROR_MEMORY;
    if (status == VS_OK &&
        (!file || zip_fread(file, *bytes, entry->size) != (zip_int64_t)entry->size))
        status = vs_fail(VS_ERROR_MODEL,
                         "%s: data.pkl at offset %ju cannot be read (%s); the archive is damaged, "
                         "fetch it again",
                         a->map->path, (uintmax_t)entry->data,
                         file ? zip_error_strerror(zip_file_get_error(file)) : zip_strerror(zip));
    if (file)
        zip_fclose(file);
    free(name);
    if (status == VS_OK) {
        status = vs_pickle_read(pickle, *bytes, (size_t)entry->size);
        if (status == VS_ERROR_MODEL)
            return vs_fail_in(status, "%s", a->map->path);
    }
    return status;
}

/* ---- Tensors ------------------------------------------------------------------------------ */

static bool contiguous(const struct vs_pickle_tensor *tensor)
{
    size_t stride = 1;
    for (size_t i = tensor->n_dims; i-- > 0;) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != stride)
            return false;
        stride *= tensor->shape[i];
    }
    return true;
}

/* Position of the last element in the storage; false when it overflows. */
static bool last_element(uint64_t *last, const struct vs_pickle_tensor *tensor)
{
    *last = tensor->offset;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        uint64_t span;
        if (__builtin_mul_overflow(tensor->shape[i] - 1, tensor->stride[i], &span) ||
            __builtin_add_overflow(*last, span, last))
            return false;
    }
    return true;
}

static void *copy_strided(const uint8_t *from, const struct vs_pickle_tensor *tensor,
                          size_t n_elements, size_t width)
{
    size_t index[VS_MAX_DIMS] = {0}, at = 0;
    uint8_t *copy = vs_alloc(n_elements, width);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < n_elements; i++) {
        memcpy(copy + i * width, from + at * width, width);
        for (size_t d = tensor->n_dims; d-- > 0;) {
            at += tensor->stride[d];
            if (++index[d] < tensor->shape[d])
                break;
            at -= index[d] * tensor->stride[d];
            index[d] = 0;
        }
    }
    return copy;
}

static enum vs_status add_tensor(struct vs_weights *weights, struct archive *a,
                                 const struct vs_pickle_tensor *tensor)
{
    enum vs_status status;
    struct vs_tensor_entry entry = {.name = tensor->name.text,
                                    .n_name = tensor->name.n,
                                    .dtype = tensor->dtype,
                                    .n_dims = tensor->n_dims};
    size_t n_elements = 0, n_bytes = 0, width = vs_dtype_info(tensor->dtype)->n_bytes;
    uint64_t storage_bytes, last;
    void *copy = NULL;

    memcpy(entry.shape, tensor->shape, sizeof entry.shape);
    VS_TRY(vs_tensor_check_name(entry.name, entry.n_name));
    int n_name = (int)entry.n_name;
    VS_TRY(vs_tensor_size(&n_elements, &n_bytes, &entry));
    const struct entry *storage = find_entry(a, "data/", tensor->key.text, tensor->key.n);
    if (!storage) {
        status =
            vs_fail(VS_ERROR_MODEL, "tensor '%.*s': its storage 'data/%.*s' is missing", n_name,
                    entry.name, (int)(tensor->key.n < 64 ? tensor->key.n : 64), tensor->key.text);
        goto fail;
    }
    if (__builtin_mul_overflow(tensor->n_storage, width, &storage_bytes) ||
        storage_bytes != storage->size) {
        status = vs_fail(VS_ERROR_MODEL,
                         "tensor '%.*s': its storage should hold %ju elements of %zu bytes and has "
                         "%ju bytes at offset %ju",
                         n_name, entry.name, (uintmax_t)tensor->n_storage, width,
                         (uintmax_t)storage->size, (uintmax_t)storage->data);
        goto fail;
    }
    if (tensor->offset > tensor->n_storage ||
        (n_elements && (!last_element(&last, tensor) || last >= tensor->n_storage))) {
        status = vs_fail(VS_ERROR_MODEL,
                         "tensor '%.*s': its elements reach past the storage at offset %ju", n_name,
                         entry.name, (uintmax_t)storage->data);
        goto fail;
    }
    entry.offset = storage->data + tensor->offset * width;
    if (n_elements && !contiguous(tensor)) {
        if (n_bytes > a->copies_left) {
            status = vs_fail(VS_ERROR_MODEL,
                             "tensor '%.*s': repeated elements would need %zu bytes; save it "
                             "contiguous",
                             n_name, entry.name, n_bytes);
            goto fail;
        }
        a->copies_left -= n_bytes;
        copy = copy_strided(a->map->data + entry.offset, tensor, n_elements, width);
        if (!copy)
            return VS_ERROR_MEMORY;
    }
    return vs_weights_add(weights, a->map, &entry, copy);

fail:
    return vs_fail_in(status, "%s", a->map->path);
}

static enum vs_status add_inert(struct vs_weights *weights, const struct vs_pickle_inert *inert)
{
    char *name = vs_format("%.*s", (int)(inert->name.n < VS_MAX_NAME_BYTES ? inert->name.n : 0),
                           inert->name.text);
    char *code = vs_format(
        "%.*s.%.*s", (int)(inert->module.n < 128 ? inert->module.n : 128), inert->module.text,
        (int)(inert->function.n < 128 ? inert->function.n : 128), inert->function.text);
    enum vs_status status = VS_ERROR_MEMORY;
    if (name && code) {
        vs_name_canonical(name);
        status = vs_text_add(&weights->inert, name, strlen(name), code, strlen(code));
    }
    free(name);
    free(code);
    return status;
}

static enum vs_status open_libzip(zip_t **zip, const struct archive *a)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(a->map->data, a->map->size, 0, &error);
    *zip = source ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) : NULL;
    enum vs_status status = VS_OK;
    if (!*zip) {
        status =
            vs_fail(zip_error_code_zip(&error) == ZIP_ER_MEMORY ? VS_ERROR_MEMORY : VS_ERROR_MODEL,
                    "%s: the zip archive is damaged: %s", a->map->path, zip_error_strerror(&error));
        zip_source_free(source);
    }
    zip_error_fini(&error);
    return status;
}

enum vs_status vs_torch_read(struct vs_weights *weights, const struct vs_file_map *map)
{
    enum vs_status status;
    struct archive a = {.map = map};
    struct vs_pickle pickle = {0};
    void *bytes = NULL;
    zip_t *zip = NULL;

    weights->container = VS_TORCH;
    if (!vs_add_ok(map->size, COPY_GRACE, &a.copies_left))
        a.copies_left = map->size;
    VS_TRY(read_directory(&a));
    VS_TRY(open_libzip(&zip, &a));
    VS_TRY(compare_with_libzip(&a, zip));
    VS_TRY(sort_entries(&a));
    VS_TRY(find_folder(&a));
    VS_TRY(check_byteorder(&a));
    VS_TRY(read_pickle(&pickle, &bytes, &a, zip));
    for (size_t i = 0; i < pickle.n_tensors; i++)
        VS_TRY(add_tensor(weights, &a, &pickle.tensors[i]));
    for (size_t i = 0; i < pickle.n_inert; i++)
        VS_TRY(add_inert(weights, &pickle.inert[i]));
fail:
    if (zip)
        zip_discard(zip);
    vs_pickle_free(&pickle);
    free(bytes);
    free(a.entries);
    return status;
}
