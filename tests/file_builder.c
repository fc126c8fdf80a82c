/* SPDX-License-Identifier: Apache-2.0
 *
 * file_builder.c - writers of the three containers, as plain as can be. */
#include "tests/file_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *need(void *memory, const char *what)
{
    if (!memory) {
        perror(what);
        abort();
    }
    return memory;
}

void bytes_put(struct bytes *bytes, const void *data, size_t n)
{
    if (bytes->n + n > bytes->room) {
        bytes->room = 2 * bytes->room + n + 256;
        bytes->data = need(realloc(bytes->data, bytes->room), "realloc");
    }
    if (n)
        memcpy(bytes->data + bytes->n, data, n);
    bytes->n += n;
}

void bytes_text(struct bytes *bytes, const char *text)
{
    bytes_put(bytes, text, strlen(text));
}

void bytes_number(struct bytes *bytes, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes_put(bytes, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

void bytes_zeros(struct bytes *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes_put(bytes, "", 1);
}

void bytes_align(struct bytes *bytes, size_t alignment)
{
    while (bytes->n % alignment)
        bytes_put(bytes, "", 1);
}

void bytes_patch(struct bytes *bytes, size_t at, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes->data[at + i] = (uint8_t)(value >> (8 * i));
}

void bytes_read_file(struct bytes *bytes, const char *path)
{
    uint8_t part[65536];
    size_t n;
    FILE *file = need(fopen(path, "rb"), path);
    while ((n = fread(part, 1, sizeof part, file)) > 0)
        bytes_put(bytes, part, n);
    fclose(file);
}

void bytes_write_file(const struct bytes *bytes, const char *path)
{
    FILE *file = need(fopen(path, "wb"), path);
    size_t n = bytes->n ? fwrite(bytes->data, 1, bytes->n, file) : 0;
    if (n != bytes->n || fclose(file) != 0) {
        perror(path);
        abort();
    }
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void safetensors_build(struct bytes *bytes, const char *json, size_t n_data)
{
    bytes_number(bytes, strlen(json), 8);
    bytes_text(bytes, json);
    for (size_t i = 0; i < n_data; i++)
        bytes_number(bytes, i, 1);
}

void gguf_header(struct bytes *bytes, uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    bytes_text(bytes, "GGUF");
    bytes_number(bytes, version, 4);
    bytes_number(bytes, n_tensors, 8);
    bytes_number(bytes, n_values, 8);
}

void gguf_string(struct bytes *bytes, const char *text)
{
    bytes_number(bytes, strlen(text), 8);
    bytes_text(bytes, text);
}

void gguf_tensor(struct bytes *bytes, const char *name, uint32_t n_dims, const uint64_t *dims,
                 uint32_t type, uint64_t offset)
{
    gguf_string(bytes, name);
    bytes_number(bytes, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        bytes_number(bytes, dims[i], 8);
    bytes_number(bytes, type, 4);
    bytes_number(bytes, offset, 8);
}

static uint32_t crc32_of(const uint8_t *data, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* The fields that the local and the central header share, from "version needed" on. */
static void zip_common(struct zip_build *zip, size_t i)
{
    uint64_t n = zip->files[i].zip64 ? UINT32_MAX : zip->files[i].n;
    bytes_number(&zip->bytes, zip->files[i].zip64 ? 45 : 20, 2);
    bytes_zeros(&zip->bytes, 8); /* flags, method, time, date */
    bytes_number(&zip->bytes, zip->files[i].crc, 4);
    bytes_number(&zip->bytes, n, 4);
    bytes_number(&zip->bytes, n, 4);
    bytes_number(&zip->bytes, strlen(zip->files[i].name), 2);
}

/* Both sizes and, in the directory, the offset as 64 bits. */
static void zip_extra(struct zip_build *zip, size_t i, bool central)
{
    bytes_number(&zip->bytes, 1, 2);
    bytes_number(&zip->bytes, central ? 24 : 16, 2);
    bytes_number(&zip->bytes, zip->files[i].n, 8);
    bytes_number(&zip->bytes, zip->files[i].n, 8);
    if (central)
        bytes_number(&zip->bytes, zip->files[i].local, 8);
}

void zip_add(struct zip_build *zip, const char *name, const void *data, size_t n)
{
    size_t i = zip->n_files++;
    snprintf(zip->files[i].name, sizeof zip->files[i].name, "%s", name);
    zip->files[i].local = zip->bytes.n;
    zip->files[i].n = n;
    zip->files[i].crc = crc32_of(data, n);
    zip->files[i].zip64 = zip->all_zip64;
    bytes_text(&zip->bytes, "PK\3\4");
    zip_common(zip, i);
    bytes_number(&zip->bytes, zip->all_zip64 ? 20 : 0, 2);
    bytes_text(&zip->bytes, name);
    if (zip->all_zip64)
        zip_extra(zip, i, false);
    zip->files[i].data = zip->bytes.n;
    bytes_put(&zip->bytes, data, n);
}

static void zip_end64(struct zip_build *zip, size_t start)
{
    zip->end64 = zip->bytes.n;
    bytes_text(&zip->bytes, "PK\6\6");
    bytes_number(&zip->bytes, 44, 8);
    bytes_number(&zip->bytes, 45, 2), bytes_number(&zip->bytes, 45, 2);
    bytes_zeros(&zip->bytes, 8);
    bytes_number(&zip->bytes, zip->n_files, 8), bytes_number(&zip->bytes, zip->n_files, 8);
    bytes_number(&zip->bytes, zip->end64 - start, 8), bytes_number(&zip->bytes, start, 8);
    bytes_text(&zip->bytes, "PK\6\7");
    bytes_zeros(&zip->bytes, 4);
    bytes_number(&zip->bytes, zip->end64, 8);
    bytes_number(&zip->bytes, 1, 4);
}

void zip_finish(struct zip_build *zip)
{
    size_t start = zip->bytes.n;
    for (size_t i = 0; i < zip->n_files; i++) {
        zip->files[i].central = zip->bytes.n;
        bytes_text(&zip->bytes, "PK\1\2");
        bytes_number(&zip->bytes, 20, 2);
        zip_common(zip, i);
        bytes_number(&zip->bytes, zip->all_zip64 ? 28 : 0, 2);
        bytes_zeros(&zip->bytes, 10); /* comment, disk, attributes */
        bytes_number(&zip->bytes, zip->all_zip64 ? UINT32_MAX : zip->files[i].local, 4);
        bytes_text(&zip->bytes, zip->files[i].name);
        if (zip->all_zip64)
            zip_extra(zip, i, true);
    }
    size_t n_bytes = zip->bytes.n - start;
    if (zip->all_zip64)
        zip_end64(zip, start);
    zip->end = zip->bytes.n;
    bytes_text(&zip->bytes, "PK\5\6");
    bytes_zeros(&zip->bytes, 4);
    bytes_number(&zip->bytes, zip->all_zip64 ? UINT16_MAX : zip->n_files, 2);
    bytes_number(&zip->bytes, zip->all_zip64 ? UINT16_MAX : zip->n_files, 2);
    bytes_number(&zip->bytes, zip->all_zip64 ? UINT32_MAX : n_bytes, 4);
    bytes_number(&zip->bytes, zip->all_zip64 ? UINT32_MAX : start, 4);
    bytes_zeros(&zip->bytes, 2);
}

void pickle_text(struct bytes *bytes, const char *text)
{
    bytes_text(bytes, "X");
    bytes_number(bytes, strlen(text), 4);
    bytes_text(bytes, text);
}

static void pickle_number(struct bytes *bytes, uint32_t value)
{
    bytes_text(bytes, "J");
    bytes_number(bytes, value, 4);
}

static void pickle_sizes(struct bytes *bytes, size_t n, const uint32_t *sizes)
{
    bytes_text(bytes, "(");
    for (size_t i = 0; i < n; i++)
        pickle_number(bytes, sizes[i]);
    bytes_text(bytes, "t");
}

void pickle_tensor(struct bytes *bytes, const char *module, const char *class, const char *key,
                   uint32_t n_storage, uint32_t offset, size_t n_dims, const uint32_t *shape,
                   const uint32_t *stride)
{
    bytes_text(bytes, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(bytes, "storage");
    bytes_text(bytes, "c");
    bytes_text(bytes, module);
    bytes_text(bytes, "\n");
    bytes_text(bytes, class);
    bytes_text(bytes, "\n");
    pickle_text(bytes, key);
    pickle_text(bytes, "cpu");
    pickle_number(bytes, n_storage);
    bytes_text(bytes, "tQ");
    pickle_number(bytes, offset);
    pickle_sizes(bytes, n_dims, shape);
    pickle_sizes(bytes, n_dims, stride);
    bytes_text(bytes, "\x89}tR");
}

void torch_build(struct zip_build *zip, const struct bytes *pickle, size_t n_storage)
{
    struct bytes storage = {0};
    for (size_t i = 0; i < n_storage; i++)
        bytes_number(&storage, i, 1);
    zip_add(zip, "x/data.pkl", pickle->data, pickle->n);
    zip_add(zip, "x/byteorder", "little", 6);
    zip_add(zip, "x/data/0", storage.data, storage.n);
    zip_add(zip, "x/version", "3\n", 2);
    zip_finish(zip);
    bytes_free(&storage);
}
