/* SPDX-License-Identifier: Apache-2.0
 *
 * file_builder.h - model files made byte by byte, right ones and wrong ones, for tests. */
#ifndef VS_TESTS_FILE_BUILDER_H
#define VS_TESTS_FILE_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows as it is written to; freed with bytes_free(). Running out of memory ends the test. */
struct bytes {
    uint8_t *data;
    size_t n, room;
};

void bytes_put(struct bytes *bytes, const void *data, size_t n);
void bytes_text(struct bytes *bytes, const char *text);           /* without its NUL */
void bytes_number(struct bytes *bytes, uint64_t value, size_t n); /* little-endian */
void bytes_zeros(struct bytes *bytes, size_t n);
void bytes_align(struct bytes *bytes, size_t alignment);
void bytes_patch(struct bytes *bytes, size_t at, uint64_t value, size_t n);
void bytes_read_file(struct bytes *bytes, const char *path);
void bytes_write_file(const struct bytes *bytes, const char *path);
void bytes_free(struct bytes *bytes);

/* Length, JSON and n_data bytes that count 0, 1, 2 ... */
void safetensors_build(struct bytes *bytes, const char *json, size_t n_data);

/* Pieces of a GGUF file, in the order in which they stand. */
void gguf_header(struct bytes *bytes, uint32_t version, uint64_t n_tensors, uint64_t n_values);
void gguf_string(struct bytes *bytes, const char *text);
void gguf_tensor(struct bytes *bytes, const char *name, uint32_t n_dims, const uint64_t *dims,
                 uint32_t type, uint64_t offset);

/* A zip archive of stored entries; where its records lie, for damaging them afterwards. */
enum { ZIP_MAX_FILES = 8 };
struct zip_build {
    struct bytes bytes;
    struct {
        char name[64];
        size_t local, data, n, central;
        uint32_t crc;
        bool zip64;
    } files[ZIP_MAX_FILES];
    size_t n_files, end;
    size_t end64;   /* of the zip64 end record; 0: there is none */
    bool all_zip64; /* set before the first entry: sizes and offsets of 64 bits everywhere */
};
void zip_add(struct zip_build *zip, const char *name, const void *data, size_t n);
void zip_finish(struct zip_build *zip);

/* Instructions of a pickle that push a tensor of one class ("torch", "FloatStorage"). */
void pickle_tensor(struct bytes *bytes, const char *module, const char *class, const char *key,
                   uint32_t n_storage, uint32_t offset, size_t n_dims, const uint32_t *shape,
                   const uint32_t *stride);
void pickle_text(struct bytes *bytes, const char *text);

/* An archive "x" of that data.pkl and one storage "0" of n_storage bytes. */
void torch_build(struct zip_build *zip, const struct bytes *pickle, size_t n_storage);

#endif
