/* SPDX-License-Identifier: Apache-2.0
 *
 * damage_samples.c - a good file of each kind, with the places of its fields. */
#include "tests/damage_samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Places ------------------------------------------------------------------------------- */

static void mark_at(struct sample *sample, size_t at, size_t n_bytes, const char *prefix,
                    const char *name)
{
    struct place *place = &sample->places[sample->n_places++];
    if (sample->n_places > MAX_PLACES)
        abort();
    snprintf(place->name, sizeof place->name, "%s%s", prefix, name);
    place->at = at;
    place->n_bytes = n_bytes;
}

/* The next field of the file. */
static void mark(struct sample *sample, size_t n_bytes, const char *name)
{
    mark_at(sample, sample->file.n, n_bytes, "", name);
}

const struct place *sample_place(const struct sample *sample, const char *name)
{
    for (size_t i = 0; i < sample->n_places; i++)
        if (strcmp(sample->places[i].name, name) == 0)
            return &sample->places[i];
    return NULL;
}

void sample_free(struct sample *sample)
{
    bytes_free(&sample->text);
    bytes_free(&sample->data);
    bytes_free(&sample->file);
}

char *sample_model_path(const char *name)
{
    const char *srcdir = getenv("srcdir");
    size_t n = strlen(srcdir ? srcdir : ".") + strlen(name) + 64;
    char *path = malloc(n);
    if (!path)
        abort();
    snprintf(path, n, "%s/tests/golden/whole/model/%s", srcdir ? srcdir : ".", name);
    return path;
}

static void read_model_file(struct bytes *bytes, const char *name)
{
    char *path = sample_model_path(name);
    bytes_read_file(bytes, path);
    free(path);
}

/* ---- safetensors -------------------------------------------------------------------------- */

static void safetensors_text(struct sample *sample)
{
    bytes_text(&sample->text,
               "{\"__metadata__\":{\"format\":\"pt\"},"
               "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
               "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}");
    bytes_zeros(&sample->data, 32);
}

static void safetensors_file(struct sample *sample)
{
    mark(sample, 8, "length");
    bytes_number(&sample->file, sample->text.n, 8);
    mark(sample, sample->text.n, "json");
    bytes_put(&sample->file, sample->text.data, sample->text.n);
    mark(sample, sample->data.n, "data");
    bytes_put(&sample->file, sample->data.data, sample->data.n);
}

static void split_safetensors(struct sample *sample, struct bytes *whole)
{
    size_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n |= (size_t)whole->data[i] << (8 * i);
    bytes_put(&sample->text, whole->data + 8, n);
    bytes_put(&sample->data, whole->data + 8 + n, whole->n - 8 - n);
    bytes_free(whole);
}

static void dit_text(struct sample *sample)
{
    struct bytes whole = {0};
    read_model_file(&whole, "diffusion_pytorch_model.safetensors");
    split_safetensors(sample, &whole);
}

/* A difference of rank 2 for a matrix of 96 x 96. */
static void lora_text(struct sample *sample)
{
    bytes_text(&sample->text,
               "{\"blocks.0.self_attn.q.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[2,96],"
               "\"data_offsets\":[0,768]},"
               "\"blocks.0.self_attn.q.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[96,2],"
               "\"data_offsets\":[768,1536]}}");
    bytes_zeros(&sample->data, 1536);
}

/* Two shards, which lie beside the index. */
static void index_text(struct sample *sample)
{
    for (int i = 1; i <= 2; i++) {
        struct bytes shard = {0};
        char path[512], json[128];
        snprintf(path, sizeof path, "%s/s%d.safetensors", sample->folder, i);
        snprintf(json, sizeof json,
                 "{\"t%d\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", i);
        safetensors_build(&shard, json, 4);
        bytes_write_file(&shard, path);
        bytes_free(&shard);
    }
    bytes_text(&sample->text, "{\"metadata\":{\"total_size\":8},\"weight_map\":{"
                              "\"t1\":\"s1.safetensors\",\"t2\":\"s2.safetensors\"}}");
}

/* ---- GGUF --------------------------------------------------------------------------------- */

static void number(struct sample *sample, const char *name, uint64_t value, size_t n_bytes)
{
    mark(sample, n_bytes, name);
    bytes_number(&sample->file, value, n_bytes);
}

static void string(struct sample *sample, const char *name, const char *text)
{
    char place[32];
    snprintf(place, sizeof place, "%s.length", name);
    number(sample, place, strlen(text), 8);
    mark(sample, strlen(text), name);
    bytes_text(&sample->file, text);
}

static void tensor(struct sample *sample, const char *name, size_t n_dims, const uint64_t *dims,
                   uint32_t type, uint64_t offset)
{
    char place[32];
    snprintf(place, sizeof place, "%s.name", name);
    string(sample, place, name);
    snprintf(place, sizeof place, "%s.n_dims", name);
    number(sample, place, n_dims, 4);
    for (size_t i = 0; i < n_dims; i++) {
        snprintf(place, sizeof place, "%s.dim%zu", name, i);
        number(sample, place, dims[i], 8);
    }
    snprintf(place, sizeof place, "%s.type", name);
    number(sample, place, type, 4);
    snprintf(place, sizeof place, "%s.offset", name);
    number(sample, place, offset, 8);
}

static void gguf_file(struct sample *sample)
{
    struct bytes *file = &sample->file;
    number(sample, "magic", 0x46554747, 4);
    number(sample, "version", 3, 4);
    number(sample, "n_tensors", 2, 8);
    number(sample, "n_values", 3, 8);
    string(sample, "key1", "general.alignment");
    number(sample, "type1", 4, 4);
    number(sample, "alignment", 32, 4);
    string(sample, "key2", "general.name");
    number(sample, "type2", 8, 4);
    string(sample, "value2", "tiny");
    string(sample, "key3", "list");
    number(sample, "type3", 9, 4);
    number(sample, "items.type", 8, 4);
    number(sample, "items.n", 2, 8);
    string(sample, "item1", "x");
    string(sample, "item2", "y");
    tensor(sample, "a", 2, (uint64_t[]){32, 2}, 8, 0);
    tensor(sample, "b", 1, (uint64_t[]){6}, 0, 96);
    bytes_align(file, 32);
    mark(sample, 68, "a.data");
    bytes_zeros(file, 96);
    mark(sample, 24, "b.data");
    bytes_zeros(file, 24);
}

/* File `no` of two, with one tensor each. */
static void build_split(struct sample *sample, uint64_t no, const char *name)
{
    number(sample, "magic", 0x46554747, 4);
    number(sample, "version", 3, 4);
    number(sample, "n_tensors", 1, 8);
    number(sample, "n_values", 3, 8);
    string(sample, "key.no", "split.no");
    number(sample, "type.no", 2, 4);
    number(sample, "no", no, 2);
    string(sample, "key.count", "split.count");
    number(sample, "type.count", 2, 4);
    number(sample, "count", 2, 2);
    string(sample, "key.tensors", "split.tensors.count");
    number(sample, "type.tensors", 5, 4);
    number(sample, "tensors", 2, 4);
    tensor(sample, name, 1, (uint64_t[]){6}, 0, 0);
    bytes_align(&sample->file, 32);
    mark(sample, 24, "data");
    bytes_zeros(&sample->file, 32);
}

static void split_file(struct sample *sample)
{
    struct sample second = {0};
    char path[512];
    build_split(&second, 1, "b");
    snprintf(path, sizeof path, "%s/the-file-00002-of-00002.gguf", sample->folder);
    bytes_write_file(&second.file, path);
    sample_free(&second);
    build_split(sample, 0, "a");
}

/* ---- Torch -------------------------------------------------------------------------------- */

static void pickle_of_one(struct sample *sample)
{
    bytes_text(&sample->text, "\x80\x02}");
    pickle_text(&sample->text, "a");
    pickle_tensor(&sample->text, "torch", "FloatStorage", "0", 6, 0, 2, (uint32_t[]){2, 3},
                  (uint32_t[]){3, 1});
    bytes_text(&sample->text, "s.");
    bytes_zeros(&sample->data, 24);
}

/* Of the fields of a zip archive: offset in the record, bytes, name. */
struct zip_field {
    size_t at, n_bytes;
    const char *name;
};
static const struct zip_field local_fields[] = {
    {0, 4, "signature"}, {6, 2, "flags"}, {8, 2, "method"}, {14, 4, "crc"},
    {18, 4, "packed"},   {22, 4, "size"}, {26, 2, "n_name"}, {28, 2, "n_extra"}};
static const struct zip_field central_fields[] = {
    {0, 4, "signature"}, {8, 2, "flags"},    {10, 2, "method"},   {16, 4, "crc"},
    {20, 4, "packed"},   {24, 4, "size"},    {28, 2, "n_name"},   {30, 2, "n_extra"},
    {32, 2, "n_comment"}, {34, 2, "disk"},   {42, 4, "offset"}};
static const struct zip_field end_fields[] = {
    {0, 4, "signature"}, {4, 2, "disk"}, {8, 2, "n_here"}, {10, 2, "n"}, {12, 4, "n_bytes"},
    {16, 4, "offset"},   {20, 2, "n_comment"}};
static const struct zip_field end64_fields[] = {
    {0, 4, "signature"}, {4, 8, "length"}, {24, 8, "n_here"}, {32, 8, "n"},
    {40, 8, "n_bytes"},  {48, 8, "offset"}};
static const struct zip_field locator_fields[] = {
    {0, 4, "signature"}, {4, 4, "disk"}, {8, 8, "offset"}, {16, 4, "n_disks"}};
/* Of the extra field that a zip64 entry has behind its name. */
static const struct zip_field extra_fields[] = {
    {0, 2, "id"}, {2, 2, "length"}, {4, 8, "size"}, {12, 8, "packed"}, {20, 8, "offset"}};

static void mark_record(struct sample *sample, size_t at, const char *record,
                        const struct zip_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mark_at(sample, at + fields[i].at, fields[i].n_bytes, record, fields[i].name);
}
#define MARK_RECORD(sample, at, record, fields)                                                    \
    mark_record(sample, at, record, fields, sizeof fields / sizeof *fields)

/* data.pkl and the storage have places; the entries between them are like them. */
static void zip_places(struct sample *sample, const struct zip_build *zip)
{
    static const size_t entries[] = {0, 2};
    static const char *const names[] = {"pickle", "storage"};
    char record[32];
    for (size_t i = 0; i < 2; i++) {
        size_t at = zip->files[entries[i]].local, n_name = strlen(zip->files[entries[i]].name);
        snprintf(record, sizeof record, "%s.local.", names[i]);
        MARK_RECORD(sample, at, record, local_fields);
        mark_at(sample, at + 30, n_name, record, "name");
        if (zip->files[entries[i]].zip64)
            mark_record(sample, at + 30 + n_name, record, extra_fields, 4);
        mark_at(sample, zip->files[entries[i]].data, zip->files[entries[i]].n, names[i], ".data");
    }
    for (size_t i = 0; i < 2; i++) {
        size_t at = zip->files[entries[i]].central, n_name = strlen(zip->files[entries[i]].name);
        snprintf(record, sizeof record, "%s.central.", names[i]);
        MARK_RECORD(sample, at, record, central_fields);
        mark_at(sample, at + 46, n_name, record, "name");
        snprintf(record, sizeof record, "%s.extra.", names[i]);
        if (zip->files[entries[i]].zip64)
            MARK_RECORD(sample, at + 46 + n_name, record, extra_fields);
    }
    if (zip->end64) {
        MARK_RECORD(sample, zip->end64, "end64.", end64_fields);
        MARK_RECORD(sample, zip->end64 + 56, "locator.", locator_fields);
    }
    MARK_RECORD(sample, zip->end, "end.", end_fields);
}

static void build_torch(struct sample *sample, bool zip64)
{
    struct zip_build zip = {.all_zip64 = zip64};
    zip_add(&zip, "x/data.pkl", sample->text.data, sample->text.n);
    zip_add(&zip, "x/byteorder", "little", 6);
    zip_add(&zip, "x/data/0", sample->data.data, sample->data.n);
    zip_add(&zip, "x/version", "3\n", 2);
    zip_finish(&zip);
    zip_places(sample, &zip);
    sample->file = zip.bytes;
}

static void torch_file(struct sample *sample)
{
    build_torch(sample, false);
}

static void torch64_file(struct sample *sample)
{
    build_torch(sample, true);
}

/* ---- Tokenizer ---------------------------------------------------------------------------- */

/* Key, length and content of a field of a protocol buffer; short ones only. */
static void message(struct bytes *to, unsigned field, const struct bytes *content)
{
    bytes_number(to, field << 3 | 2, 1);
    if (content->n > 127) {
        bytes_number(to, (content->n & 127) | 128, 1);
        bytes_number(to, content->n >> 7, 1);
    } else {
        bytes_number(to, content->n, 1);
    }
    bytes_put(to, content->data, content->n);
}

static void piece(struct sample *sample, const char *name, const char *text, unsigned type)
{
    struct bytes content = {0}, word = {0};
    const float score = -1;
    bytes_text(&word, text);
    message(&content, 1, &word);
    bytes_number(&content, 2 << 3 | 5, 1);
    bytes_put(&content, &score, sizeof score);
    bytes_number(&content, 3 << 3, 1);
    bytes_number(&content, type, 1);
    size_t at = sample->file.n;
    mark_at(sample, at, 1, name, "");
    mark_at(sample, at + 1, 1, name, ".length");
    mark_at(sample, at + 2, 1, name, ".text.key");
    mark_at(sample, at + 3, 1, name, ".text.length");
    mark_at(sample, at + 4, word.n, name, ".text");
    mark_at(sample, at + 5 + word.n, 4, name, ".score");
    mark_at(sample, at + 10 + word.n, 1, name, ".type");
    message(&sample->file, 1, &content);
    bytes_free(&content);
    bytes_free(&word);
}

static void spiece_file(struct sample *sample)
{
    struct bytes trainer = {0}, normalizer = {0}, name = {0};
    piece(sample, "pad", "<pad>", 3);
    piece(sample, "eos", "</s>", 3);
    piece(sample, "unk", "<unk>", 2);
    piece(sample, "word", "\xe2\x96\x81" "a", 1);
    bytes_number(&trainer, 3 << 3, 1);
    bytes_number(&trainer, 1, 1);
    static const uint8_t ids[] = {40, 41, 42, 43}, values[] = {2, 0, 1, 0};
    for (size_t i = 0; i < 4; i++) {
        /* Field numbers above 15 take two bytes: unk_id, bos_id, eos_id, pad_id. */
        bytes_number(&trainer, ((ids[i] << 3) & 127) | 128, 1);
        bytes_number(&trainer, (unsigned)ids[i] << 3 >> 7, 1);
        if (i == 1) { /* -1: there is none */
            bytes_number(&trainer, UINT64_MAX, 8), bytes_number(&trainer, 0x01ff, 2);
            continue;
        }
        bytes_number(&trainer, values[i], 1);
    }
    mark(sample, 1, "trainer");
    mark_at(sample, sample->file.n + 3, 1, "", "trainer.type");
    message(&sample->file, 2, &trainer);
    bytes_text(&name, "identity");
    message(&normalizer, 1, &name);
    mark(sample, 1, "normalizer");
    mark_at(sample, sample->file.n + 1, 1, "", "normalizer.length");
    message(&sample->file, 3, &normalizer);
    bytes_free(&trainer);
    bytes_free(&normalizer);
    bytes_free(&name);
}

/* ---- Texts -------------------------------------------------------------------------------- */

static void config_text(struct sample *sample)
{
    read_model_file(&sample->text, "config.json");
}

static void script_text(struct sample *sample)
{
    bytes_text(&sample->text, "[{\"at\":0,\"prompt\":\"fox\"},{\"at\":1.5,\"prompt\":\"owl\"}]");
}

/* Of a run that began: the test keeps one there. */
static void run_text(struct sample *sample)
{
    char path[512];
    snprintf(path, sizeof path, "%s/run.json.good", sample->folder);
    bytes_read_file(&sample->text, path);
}

static void nothing(struct sample *sample)
{
    (void)sample;
}

const struct sample_kind *sample_find(const char *name)
{
    static const struct sample_kind kinds[] = {
        {"safetensors", safetensors_text, safetensors_file},
        {"dit", dit_text, safetensors_file},
        {"lora", lora_text, safetensors_file},
        {"index", index_text, NULL},
        {"gguf", nothing, gguf_file},
        {"split", nothing, split_file},
        {"torch", pickle_of_one, torch_file},
        {"torch64", pickle_of_one, torch64_file},
        {"spiece", nothing, spiece_file},
        {"config", config_text, NULL},
        {"script", script_text, NULL},
        {"run", run_text, NULL},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}
