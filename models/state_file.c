/* SPDX-License-Identifier: Apache-2.0
 *
 * state_file.c - writing and reading the files described in state_file.h. */
#include "models/state_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/sha256.h"
#include "models/weights_internal.h"

enum { STAGING_BYTES = 4 << 20, DIGEST_BYTES = 64 };

static const char digest_name[] = "sha256";

static size_t place_of(const struct vs_state_tensor *tensor, size_t piece)
{
    return tensor->order ? (size_t)tensor->order[piece] : piece;
}

/* ---- Rows in buffers ---------------------------------------------------------------------- */

static size_t row_bytes(const struct vs_state_tensor *tensor)
{
    return tensor->piece_bytes / tensor->n_rows;
}

/* Of a row, what lies in buffer i. */
static size_t share_bytes(const struct vs_state_tensor *tensor, size_t i)
{
    size_t n_bytes = 0;
    for (size_t j = 0; j < tensor->n_buffers; j++)
        n_bytes += vs_buffer_bytes(tensor->buffers[j]);
    return vs_buffer_bytes(tensor->buffers[i]) / (n_bytes / row_bytes(tensor));
}

/* Rows that are brought at once. */
static size_t n_rows_at_once(const struct vs_state_tensor *tensor)
{
    size_t n = STAGING_BYTES / row_bytes(tensor);
    return n == 0 ? 1 : n < tensor->n_rows ? n : tensor->n_rows;
}

static void copy_rows(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride,
                      size_t n_bytes, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++)
        memcpy(to + i * to_stride, from + i * from_stride, n_bytes);
}

/* n rows of the buffers, from row `first` on; columns has room for as much as rows. */
static enum vs_status read_rows(uint8_t *rows, uint8_t *columns,
                                const struct vs_state_tensor *tensor, size_t first, size_t n)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < tensor->n_buffers; i++) {
        size_t share = share_bytes(tensor, i);
        VS_TRY(vs_buffer_read(tensor->buffers[i], first * share, columns, n * share));
        copy_rows(rows, row_bytes(tensor), columns, share, share, n);
        rows += share;
    }
fail:
    return status;
}

static enum vs_status write_rows(const uint8_t *rows, uint8_t *columns,
                                 const struct vs_state_tensor *tensor, size_t first, size_t n)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < tensor->n_buffers; i++) {
        size_t share = share_bytes(tensor, i);
        copy_rows(columns, share, rows, row_bytes(tensor), share, n);
        VS_TRY(vs_buffer_write(tensor->buffers[i], first * share, columns, n * share));
        rows += share;
    }
fail:
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------ */

struct writer {
    struct vs_sha256 hash;
    enum vs_status (*write)(const void *data, size_t n_bytes, void *user);
    void *user;
};

static enum vs_status put(struct writer *writer, const void *data, size_t n_bytes)
{
    vs_sha256_update(&writer->hash, data, n_bytes);
    return writer->write(data, n_bytes, writer->user);
}

static int add_entry(json_t *header, const char *name, enum vs_dtype dtype, size_t n_dims,
                     const size_t *shape, size_t begin, size_t n_bytes)
{
    json_t *dims = json_array();
    for (size_t i = 0; i < n_dims; i++)
        json_array_append_new(dims, json_integer((json_int_t)shape[i]));
    return json_object_set_new(header, name,
                               json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                                         vs_dtype_info(dtype)->name, "shape", dims, "data_offsets",
                                         (json_int_t)begin, (json_int_t)(begin + n_bytes)));
}

/* The header's text, padded to whole words as the format asks; NULL: out of memory. */
static char *make_header(const struct vs_state_tensor *tensors, size_t n_tensors,
                         const struct vs_state_field *fields, size_t n_fields)
{
    const size_t digest_shape[] = {DIGEST_BYTES};
    json_t *header = json_object(), *metadata = json_object();
    size_t offset = 0, n_failed = vs_alloc_failed();
    int faults = 0;
    for (size_t i = 0; i < n_fields; i++)
        faults |= json_object_set_new(metadata, fields[i].key, json_string(fields[i].value));
    faults |= json_object_set_new(header, "__metadata__", metadata);
    for (size_t i = 0; i < n_tensors; i++) {
        const struct vs_state_tensor *tensor = tensors + i;
        size_t n_bytes = tensor->n_pieces * tensor->piece_bytes;
        faults |= add_entry(header, tensor->name, tensor->dtype, tensor->n_dims, tensor->shape,
                            offset, n_bytes);
        offset += n_bytes;
    }
    faults |= add_entry(header, digest_name, VS_U8, 1, digest_shape, offset, DIGEST_BYTES);
    char *dumped = faults ? NULL : json_dumps(header, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(header);
    if (vs_alloc_failed() != n_failed) {
        free(dumped);
        return NULL;
    }
    char *padded = dumped ? vs_format("%s%*s", dumped, (int)(-strlen(dumped) % 8), "") : NULL;
    free(dumped);
    return padded;
}

static enum vs_status put_rows(struct writer *writer, const struct vs_state_tensor *tensor)
{
    enum vs_status status = VS_OK;
    size_t n_most = n_rows_at_once(tensor), staging_bytes = n_most * row_bytes(tensor), n;
    uint8_t *staging = vs_alloc(2, staging_bytes);
    if (!staging)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < tensor->n_pieces; i++)
        for (size_t row = 0; row < tensor->n_rows; row += n) {
            n = tensor->n_rows - row < n_most ? tensor->n_rows - row : n_most;
            VS_TRY(read_rows(staging, staging + staging_bytes, tensor,
                             place_of(tensor, i) * tensor->n_rows + row, n));
            VS_TRY(put(writer, staging, n * row_bytes(tensor)));
        }
fail:
    free(staging);
    return status;
}

static enum vs_status put_tensor(struct writer *writer, const struct vs_state_tensor *tensor)
{
    enum vs_status status = VS_OK;
    if (tensor->n_buffers)
        return put_rows(writer, tensor);
    for (size_t i = 0; i < tensor->n_pieces; i++)
        VS_TRY(put(writer,
                   (const uint8_t *)tensor->host + place_of(tensor, i) * tensor->piece_bytes,
                   tensor->piece_bytes));
fail:
    return status;
}

enum vs_status vs_state_write(const struct vs_state_tensor *tensors, size_t n_tensors,
                              const struct vs_state_field *fields, size_t n_fields,
                              enum vs_status (*write)(const void *data, size_t n_bytes, void *user),
                              void *user)
{
    enum vs_status status = VS_OK;
    struct writer writer = {.write = write, .user = user};
    uint8_t length[8];
    char digest[DIGEST_BYTES + 1];
    char *header = make_header(tensors, n_tensors, fields, n_fields);
    vs_sha256_init(&writer.hash);
    if (!header) {
        status = vs_fail(VS_ERROR_MEMORY, "out of memory for the file of a state");
        goto fail;
    }
    for (size_t i = 0; i < sizeof length; i++)
        length[i] = (uint8_t)((uint64_t)strlen(header) >> (8 * i));
    VS_TRY(put(&writer, length, sizeof length));
    VS_TRY(put(&writer, header, strlen(header)));
    for (size_t i = 0; i < n_tensors; i++)
        VS_TRY(put_tensor(&writer, tensors + i));
    vs_sha256_hex(&writer.hash, digest);
    VS_TRY(write(digest, DIGEST_BYTES, user));
fail:
    free(header);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static enum vs_status check_digest(const struct vs_weights *file)
{
    const struct vs_tensor *digest = vs_weights_find(file, digest_name);
    const struct vs_file_map *map = file->maps[0];
    struct vs_sha256 hash;
    char found[DIGEST_BYTES + 1];
    if (!digest || digest->dtype != VS_U8 || digest->n_bytes != DIGEST_BYTES ||
        digest->offset != map->size - DIGEST_BYTES)
        return vs_fail(VS_ERROR_MODEL, "%s: does not end in its digest; it was not written by "
                                       "this program, or is damaged", map->path);
    vs_sha256_init(&hash);
    vs_sha256_update(&hash, map->data, map->size - DIGEST_BYTES);
    vs_sha256_hex(&hash, found);
    if (memcmp(found, digest->data, DIGEST_BYTES) != 0)
        return vs_fail(VS_ERROR_MODEL, "%s: its content does not have the digest that it names; "
                                       "the file is damaged", map->path);
    return VS_OK;
}

enum vs_status vs_state_open(struct vs_weights **out, const char *path)
{
    enum vs_status status = VS_OK;
    struct vs_weights *file = NULL;
    *out = NULL;
    VS_TRY(vs_weights_open(&file, path));
    if (file->container != VS_SAFETENSORS || file->n_maps != 1) {
        status = vs_fail(VS_ERROR_MODEL, "%s: is no file of a run's state", path);
        goto fail;
    }
    VS_TRY(check_digest(file));
    *out = file;
    return VS_OK;
fail:
    vs_weights_free(file);
    return status;
}

static enum vs_status load_rows(const struct vs_state_tensor *tensor, const uint8_t *rows)
{
    enum vs_status status = VS_OK;
    size_t n_most = n_rows_at_once(tensor), n;
    uint8_t *columns = vs_alloc(n_most, row_bytes(tensor));
    if (!columns)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < tensor->n_pieces; i++)
        for (size_t row = 0; row < tensor->n_rows; row += n) {
            n = tensor->n_rows - row < n_most ? tensor->n_rows - row : n_most;
            VS_TRY(
                write_rows(rows, columns, tensor, place_of(tensor, i) * tensor->n_rows + row, n));
            rows += n * row_bytes(tensor);
        }
fail:
    free(columns);
    return status;
}

enum vs_status vs_state_load(const struct vs_state_tensor *tensor, const struct vs_weights *file)
{
    enum vs_status status = VS_OK;
    const struct vs_tensor *found;
    VS_TRY(vs_weights_require(&found, file, tensor->name, tensor->n_dims, tensor->shape));
    if (found->dtype != tensor->dtype ||
        found->n_bytes != tensor->n_pieces * tensor->piece_bytes)
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' is %s, not %s", found->file, found->name,
                       vs_dtype_info(found->dtype)->name, vs_dtype_info(tensor->dtype)->name);
    if (tensor->n_buffers)
        return load_rows(tensor, found->data);
    for (size_t i = 0; i < tensor->n_pieces; i++)
        memcpy((uint8_t *)tensor->host + place_of(tensor, i) * tensor->piece_bytes,
               (const uint8_t *)found->data + i * tensor->piece_bytes, tensor->piece_bytes);
fail:
    return status;
}

enum vs_status vs_state_expect(const struct vs_weights *file, const char *key, const char *value)
{
    const char *found = vs_weights_metadata(file, key);
    if (found && strcmp(found, value) == 0)
        return VS_OK;
    return vs_fail(VS_ERROR_MODEL, "%s: its %s is '%.200s', not '%s'; it belongs to another run",
                   vs_weights_path(file), key, found ? found : "", value);
}

enum vs_status vs_state_count(size_t *value, const struct vs_weights *file, const char *key,
                              size_t most)
{
    const char *text = vs_weights_metadata(file, key);
    size_t n = 0;
    bool valid = text && *text;
    for (const char *digit = text; valid && *digit; digit++)
        valid = *digit >= '0' && *digit <= '9' && vs_mul_ok(n, 10, &n) &&
                vs_add_ok(n, (size_t)(*digit - '0'), &n);
    if (!valid || n > most)
        return vs_fail(VS_ERROR_MODEL, "%s: its \"%s\" is no count up to %zu",
                       vs_weights_path(file), key, most);
    *value = n;
    return VS_OK;
}
