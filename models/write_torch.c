/* SPDX-License-Identifier: Apache-2.0
 *
 * write_torch.c - writer of torch archives: a dictionary of tensors as torch.save() stores it.
 *
 * An archive is a zip of stored entries: data.pkl, a pickle that rebuilds the tensors, and one
 * entry of raw bytes each. Files are written without going back, so a tensor's checksum, known only
 * behind its data, stands in a data descriptor and in the directory at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/conversion_internal.h"

enum {
    ALIGNMENT = 64, /* of data, as torch does it */
    VERSION = 20,
    VERSION64 = 45,
    FLAG_DESCRIPTOR = 8,
    FLAG_UTF8 = 0x800,
    CRC_BYTES = 8, /* taken at a time */
    DATE = 0x21 /* 1 January 1980, the first that a zip can say: equal input, equal bytes */
};

#define FOLDER "archive/"

struct zip_entry {
    char name[48];
    uint64_t header, size;
    uint32_t crc;
    unsigned flags;
};

struct archive {
    const struct vs_output *output;
    struct zip_entry *entries;
    size_t n;
    uint64_t at;            /* bytes written */
    uint32_t crc_tables[CRC_BYTES][256];
    uint32_t crc;           /* of the entry being written, inverted */
};

/* ---- Bytes -------------------------------------------------------------------------------- */

/* tables[k][b]: what byte b does to the checksum k bytes later. */
static void make_crc_tables(uint32_t tables[CRC_BYTES][256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        tables[0][i] = crc;
    }
    for (size_t k = 1; k < CRC_BYTES; k++)
        for (size_t i = 0; i < 256; i++)
            tables[k][i] = tables[0][tables[k - 1][i] & 255] ^ tables[k - 1][i] >> 8;
}

static uint32_t crc_of(uint32_t crc, const uint32_t tables[CRC_BYTES][256], const uint8_t *bytes,
                       size_t n)
{
    for (; n >= CRC_BYTES; n -= CRC_BYTES, bytes += CRC_BYTES) {
        uint32_t next = 0;
        for (size_t i = 0; i < CRC_BYTES; i++) {
            uint32_t byte = i < 4 ? (bytes[i] ^ crc >> (8 * i)) & 255 : bytes[i];
            next ^= tables[CRC_BYTES - 1 - i][byte];
        }
        crc = next;
    }
    for (size_t i = 0; i < n; i++)
        crc = tables[0][(crc ^ bytes[i]) & 255] ^ crc >> 8;
    return crc;
}

/* Takes the bytes of an entry, counts them and sums them up. */
static enum vs_status write_data(void *user, const void *data, size_t n_bytes)
{
    struct archive *archive = user;
    archive->crc = crc_of(archive->crc, archive->crc_tables, data, n_bytes);
    archive->at += n_bytes;
    return archive->output->write(archive->output->user, data, n_bytes);
}

static enum vs_status write_table(struct archive *archive, struct vs_table *table)
{
    archive->at += table->n;
    return vs_table_write(table, archive->output);
}

/* ---- The zip ------------------------------------------------------------------------------ */

static bool is_large(uint64_t n)
{
    return n >= UINT32_MAX;
}

static uint64_t short_form(uint64_t n)
{
    return is_large(n) ? UINT32_MAX : n;
}

/* Checksum and sizes come behind the data, so they are zero here. */
static enum vs_status begin_entry(struct archive *archive, uint64_t size)
{
    struct zip_entry *entry = &archive->entries[archive->n];
    struct vs_table table = {0};
    bool large = is_large(size);
    size_t n_name = strlen(entry->name), n_extra = large ? 20 : 0;
    uint64_t data = archive->at + 30 + n_name + n_extra + 4;
    size_t n_padding = (size_t)(-data % ALIGNMENT);
    entry->header = archive->at;
    entry->size = size;
    entry->flags = FLAG_DESCRIPTOR | FLAG_UTF8;
    vs_table_number(&table, 0x04034b50, 4);
    vs_table_number(&table, large ? VERSION64 : VERSION, 2);
    vs_table_number(&table, entry->flags, 2);
    vs_table_number(&table, 0, 2); /* stored */
    vs_table_number(&table, 0, 2); /* time */
    vs_table_number(&table, DATE, 2);
    vs_table_number(&table, 0, 4);
    vs_table_number(&table, large ? UINT32_MAX : 0, 4);
    vs_table_number(&table, large ? UINT32_MAX : 0, 4);
    vs_table_number(&table, n_name, 2);
    vs_table_number(&table, n_extra + 4 + n_padding, 2);
    vs_table_text(&table, entry->name);
    if (large) {
        vs_table_number(&table, 1, 2); /* zip64 */
        vs_table_number(&table, 16, 2);
        vs_table_number(&table, 0, 8);
        vs_table_number(&table, 0, 8);
    }
    vs_table_text(&table, "FB"); /* the field that torch pads with */
    vs_table_number(&table, n_padding, 2);
    vs_table_fill(&table, 'Z', n_padding);
    archive->crc = UINT32_MAX;
    return write_table(archive, &table);
}

static enum vs_status end_entry(struct archive *archive)
{
    struct zip_entry *entry = &archive->entries[archive->n++];
    struct vs_table table = {0};
    size_t width = is_large(entry->size) ? 8 : 4;
    entry->crc = ~archive->crc;
    vs_table_number(&table, 0x08074b50, 4);
    vs_table_number(&table, entry->crc, 4);
    vs_table_number(&table, entry->size, width);
    vs_table_number(&table, entry->size, width);
    return write_table(archive, &table);
}

static enum vs_status write_small(struct archive *archive, const char *name, const void *data,
                                  size_t n_bytes)
{
    enum vs_status status;
    strcpy(archive->entries[archive->n].name, name);
    VS_TRY(begin_entry(archive, n_bytes));
    VS_TRY(write_data(archive, data, n_bytes));
    VS_TRY(end_entry(archive));
fail:
    return status;
}

static void put_directory_entry(struct vs_table *table, const struct zip_entry *entry)
{
    bool large = is_large(entry->size), far = is_large(entry->header);
    size_t n_values = (large ? 16 : 0) + (far ? 8 : 0);
    vs_table_number(table, 0x02014b50, 4);
    vs_table_number(table, n_values ? VERSION64 : VERSION, 2);
    vs_table_number(table, n_values ? VERSION64 : VERSION, 2);
    vs_table_number(table, entry->flags, 2);
    vs_table_number(table, 0, 2);
    vs_table_number(table, 0, 2);
    vs_table_number(table, DATE, 2);
    vs_table_number(table, entry->crc, 4);
    vs_table_number(table, short_form(entry->size), 4);
    vs_table_number(table, short_form(entry->size), 4);
    vs_table_number(table, strlen(entry->name), 2);
    vs_table_number(table, n_values ? 4 + n_values : 0, 2);
    vs_table_fill(table, 0, 10); /* comment, disk, attributes */
    vs_table_number(table, short_form(entry->header), 4);
    vs_table_text(table, entry->name);
    if (n_values) {
        vs_table_number(table, 1, 2);
        vs_table_number(table, n_values, 2);
    }
    if (large) {
        vs_table_number(table, entry->size, 8);
        vs_table_number(table, entry->size, 8);
    }
    if (far)
        vs_table_number(table, entry->header, 8);
}

static enum vs_status write_directory(struct archive *archive)
{
    struct vs_table table = {0};
    uint64_t begin = archive->at;
    for (size_t i = 0; i < archive->n; i++)
        put_directory_entry(&table, &archive->entries[i]);
    uint64_t n_bytes = table.n, n = archive->n;
    if (n >= UINT16_MAX || is_large(begin) || is_large(n_bytes)) {
        uint64_t end64 = begin + n_bytes;
        vs_table_number(&table, 0x06064b50, 4);
        vs_table_number(&table, 44, 8); /* bytes that follow in this record */
        vs_table_number(&table, VERSION64, 2);
        vs_table_number(&table, VERSION64, 2);
        vs_table_fill(&table, 0, 8); /* disks */
        vs_table_number(&table, n, 8);
        vs_table_number(&table, n, 8);
        vs_table_number(&table, n_bytes, 8);
        vs_table_number(&table, begin, 8);
        vs_table_number(&table, 0x07064b50, 4);
        vs_table_number(&table, 0, 4);
        vs_table_number(&table, end64, 8);
        vs_table_number(&table, 1, 4);
    }
    vs_table_number(&table, 0x06054b50, 4);
    vs_table_number(&table, 0, 4);
    vs_table_number(&table, n < UINT16_MAX ? n : UINT16_MAX, 2);
    vs_table_number(&table, n < UINT16_MAX ? n : UINT16_MAX, 2);
    vs_table_number(&table, short_form(n_bytes), 4);
    vs_table_number(&table, short_form(begin), 4);
    vs_table_number(&table, 0, 2);
    return write_table(archive, &table);
}

/* ---- The pickle --------------------------------------------------------------------------- */

static void put_integer(struct vs_table *pickle, uint64_t value)
{
    if (value < 256) {
        vs_table_text(pickle, "K");
        vs_table_number(pickle, value, 1);
    } else if (value <= INT32_MAX) {
        vs_table_text(pickle, "J");
        vs_table_number(pickle, value, 4);
    } else {
        size_t n_bytes = 5; /* as few as leave the sign's bit clear */
        while (n_bytes < 8 && value >> (8 * n_bytes - 1))
            n_bytes++;
        vs_table_put(pickle, "\x8a", 1); /* LONG1 */
        vs_table_number(pickle, n_bytes, 1);
        vs_table_number(pickle, value, n_bytes);
    }
}

static void put_text(struct vs_table *pickle, const char *text)
{
    vs_table_text(pickle, "X");
    vs_table_number(pickle, strlen(text), 4);
    vs_table_text(pickle, text);
}

static void put_sizes(struct vs_table *pickle, const size_t *sizes, size_t n)
{
    vs_table_text(pickle, "(");
    for (size_t i = 0; i < n; i++)
        put_integer(pickle, sizes[i]);
    vs_table_text(pickle, "t");
}

static const char *storage_class(enum vs_dtype dtype)
{
    static const char *const classes[VS_N_DTYPES] = {
        [VS_F32] = "FloatStorage",  [VS_F16] = "HalfStorage", [VS_BF16] = "BFloat16Storage",
        [VS_F64] = "DoubleStorage", [VS_I64] = "LongStorage", [VS_I32] = "IntStorage",
        [VS_I16] = "ShortStorage",  [VS_I8] = "CharStorage",  [VS_U8] = "ByteStorage",
        [VS_BOOL] = "BoolStorage"};
    return classes[dtype];
}

/* torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()) */
static void put_tensor(struct vs_table *pickle, const struct vs_new_tensor *tensor,
                       const char *key)
{
    size_t strides[VS_MAX_DIMS], stride = 1;
    for (size_t i = tensor->n_dims; i-- > 0;) {
        strides[i] = stride;
        stride *= tensor->shape[i];
    }
    put_text(pickle, tensor->name);
    vs_table_text(pickle, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_text(pickle, "storage");
    vs_table_text(pickle, "ctorch\n");
    vs_table_text(pickle, storage_class(tensor->dtype));
    vs_table_text(pickle, "\n");
    put_text(pickle, key);
    put_text(pickle, "cpu");
    put_integer(pickle, tensor->source->n_elements);
    vs_table_text(pickle, "tQ");
    put_integer(pickle, 0);
    put_sizes(pickle, tensor->shape, tensor->n_dims);
    put_sizes(pickle, strides, tensor->n_dims);
    vs_table_text(pickle, "\x89"
                          "ccollections\nOrderedDict\n)RtR");
}

static enum vs_status write_pickle(struct archive *archive, const struct vs_conversion *conversion)
{
    struct vs_table pickle = {0};
    char key[24];
    vs_table_put(&pickle, "\x80\x02}(", 4);
    for (size_t i = 0; i < conversion->n_tensors; i++) {
        snprintf(key, sizeof key, "%zu", i);
        put_tensor(&pickle, &conversion->tensors[i], key);
    }
    vs_table_text(&pickle, "u.");
    enum vs_status status = VS_ERROR_MEMORY;
    if (!pickle.failed)
        status = write_small(archive, FOLDER "data.pkl", pickle.data, pickle.n);
    free(pickle.data);
    return status;
}

/* ---- The archive -------------------------------------------------------------------------- */

enum vs_status vs_torch_write(struct vs_conversion *conversion, size_t file,
                              const struct vs_output *output)
{
    enum { N_SMALL = 3 };
    enum vs_status status = VS_ERROR_MEMORY;
    struct archive archive = {.output = output};
    const struct vs_output data = {write_data, &archive};
    (void)file; /* there is only one */
    make_crc_tables(archive.crc_tables);
    archive.entries = vs_alloc(conversion->n_tensors + N_SMALL, sizeof *archive.entries);
    if (!archive.entries)
        goto fail;
    VS_TRY(write_pickle(&archive, conversion));
    VS_TRY(write_small(&archive, FOLDER "byteorder", "little", 6));
    for (size_t i = 0; i < conversion->n_tensors; i++) {
        struct zip_entry *entry = &archive.entries[archive.n];
        snprintf(entry->name, sizeof entry->name, FOLDER "data/%zu", i);
        VS_TRY(begin_entry(&archive, conversion->tensors[i].n_bytes));
        VS_TRY(vs_conversion_put_tensor(conversion, &conversion->tensors[i], &data));
        VS_TRY(end_entry(&archive));
    }
    VS_TRY(write_small(&archive, FOLDER "version", "3\n", 2));
    VS_TRY(write_directory(&archive));
fail:
    free(archive.entries);
    return status;
}
