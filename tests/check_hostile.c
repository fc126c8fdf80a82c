/* SPDX-License-Identifier: Apache-2.0
 *
 * check_hostile.c - things that are no model, and safetensors and GGUF files that are truncated,
 * damaged, or made to deceive. Torch archives are in check_hostile_torch.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/hostile.h"

/* ---- Files -------------------------------------------------------------------------------- */

START_TEST(not_a_model)
{
    struct vs_weights *weights;
    char folder[] = "check_hostile_XXXXXX", path[64];
    ck_assert(mkdtemp(folder));
    ck_assert_int_eq(vs_weights_open(&weights, "no/such/file"), VS_ERROR_MODEL);
    ck_assert_str_eq(vs_error_message(), "no/such/file: no such file");
    ck_assert_int_eq(vs_weights_open(&weights, folder), VS_ERROR_MODEL);
    ck_assert(strstr(vs_error_message(), "is a folder"));
    snprintf(path, sizeof path, "%s/pipe", folder);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(vs_weights_open(&weights, path), VS_ERROR_MODEL);
    ck_assert(strstr(vs_error_message(), "not a regular file"));
    ck_assert_int_eq(unlink(path), 0);
    bytes_write_file(&(struct bytes){0}, path);
    ck_assert_int_eq(vs_weights_open(&weights, path), VS_ERROR_MODEL);
    ck_assert(strstr(vs_error_message(), "is empty"));
    ck_assert_int_eq(chmod(path, 0), 0);
    ck_assert_int_eq(vs_weights_open(&weights, path), VS_ERROR_MODEL);
    if (geteuid() != 0)
        ck_assert(strstr(vs_error_message(), "no permission"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(other_content)
{
    static const struct {
        const char *text, *why;
    } contents[] = {
        {"hello", "is no safetensors"},
        {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
        {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9 \x6a\xa8P", "before torch 1.6"},
        {"{}", "without a weight_map"},
        {"{\"weight_map\": []}", "without a weight_map"},
        {"{\"weight_map\": {}}", "holds no tensors"},
        {"{\"weight_map\": ", "damaged JSON"},
        {"  \n{\"weight_map\": {\"a\": \"../secret\"}}", "a file beside the index"},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "a file beside the index"},
        {"{\"weight_map\": {\"a\": \"..\"}}", "a file beside the index"},
        {"{\"weight_map\": {\"a\": \"a\\\\b\"}}", "a file beside the index"},
        {"{\"weight_map\": {\"a\": \"\"}}", "a file beside the index"},
        {"{\"weight_map\": {\"a\": 3}}", "a file beside the index"},
        {"{\"weight_map\": {\"a\": \"no_such_shard\"}}", "no_such_shard: no such file"},
    };
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        struct bytes b = {0};
        bytes_text(&b, contents[i].text);
        hostile_refused(&b, contents[i].why);
    }
}
END_TEST

/* An index must say about its shards what they hold, no more and no less. */
START_TEST(shards_that_disagree)
{
    static const struct {
        const char *map, *why;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"s1\",\"b\":\"s2\"}}", NULL},
        {"{\"weight_map\":{\"a\":\"s1\"}}", NULL},
        {"{\"weight_map\":{\"a\":\"s2\",\"b\":\"s1\"}}", "under another shard"},
        {"{\"weight_map\":{\"a\":\"s1\",\"b\":\"s1\"}}", "promises tensor 'b'"},
        {"{\"weight_map\":{\"a\":\"s1\",\"x\":\"s3\"}}", "s3: no such file"},
        {"{\"weight_map\":{\"a\":\"s1\",\"b\":\"s2\",\"c\":\"s2\"}}", "promises tensor 'c'"},
        {"{\"weight_map\":{\"a\":\"index\"}}", "is no safetensors file"},
        {"{\"weight_map\":{\"a\":\"s1\",\"model.a\":\"s4\"}}", "mean the same name 'a'"},
    };
    static const char *const shards[] = {"s1", "a", "s2", "b", "s4", "model.a"};
    char folder[] = "check_hostile_XXXXXX", path[64];
    ck_assert(mkdtemp(folder));
    for (size_t i = 0; i < 6; i += 2) {
        struct bytes b = {0};
        char json[128];
        snprintf(json, sizeof json,
                 "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", shards[i + 1]);
        safetensors_build(&b, json, 1);
        snprintf(path, sizeof path, "%s/%s", folder, shards[i]);
        bytes_write_file(&b, path);
        bytes_free(&b);
    }
    snprintf(path, sizeof path, "%s/index", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vs_weights *weights = NULL;
        struct bytes b = {0};
        bytes_text(&b, cases[i].map);
        bytes_write_file(&b, path);
        bytes_free(&b);
        enum vs_status status = vs_weights_open(&weights, path);
        if (cases[i].why)
            ck_assert_msg(status == VS_ERROR_MODEL && strstr(vs_error_message(), cases[i].why) &&
                              strstr(vs_error_message(), folder),
                          "%s: '%s' does not say '%s'", cases[i].map, vs_error_message(),
                          cases[i].why);
        else
            ck_assert_msg(status == VS_OK, "%s", vs_error_message());
        if (status == VS_OK)
            vs_weights_free(weights);
    }
    ck_assert_int_eq(unlink(path), 0);
    for (size_t i = 0; i < 6; i += 2) {
        snprintf(path, sizeof path, "%s/%s", folder, shards[i]);
        ck_assert_int_eq(unlink(path), 0);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* ---- safetensors -------------------------------------------------------------------------- */

#define ENTRY(dtype, shape, range)                                                                 \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}}"

START_TEST(safetensors_tables)
{
    static const struct {
        const char *json, *why;
    } tables[] = {
        {ENTRY("F32", "[2]", "[0,9]"), "its range holds 9 bytes, its shape 8"},
        {ENTRY("F32", "[2]", "[4,12]"), "end past the file"},
        {ENTRY("F32", "[2]", "[8,0]"), "no range"},
        {ENTRY("F32", "[2]", "[-8,0]"), "no range"},
        {ENTRY("F32", "[2]", "[0]"), "no range"},
        {ENTRY("F32", "[2]", "[0,8.0]"), "no range"},
        {ENTRY("F32", "[2]", "\"0,8\""), "needs dtype"},
        {ENTRY("F32", "[-2]", "[0,8]"), "dimension 0 is no size"},
        {ENTRY("F32", "[1,2.0]", "[0,8]"), "dimension 1 is no size"},
        {ENTRY("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), "9 dimensions"},
        {ENTRY("F32", "[4611686018427387904,4]", "[0,8]"), "overflow"},
        {ENTRY("F32", "[4611686018427387906]", "[0,8]"), "overflow"},
        {ENTRY("F32", "[9223372036854775807,2,0]", "[0,0]"), "overflow"},
        {ENTRY("F32", "[99999999999999999999]", "[0,8]"), "damaged JSON"},
        {ENTRY("U8", "[9223372036854775807]", "[0,9223372036854775807]"), "absurd"},
        {ENTRY("U8", "[1]", "[9223372036854775806,9223372036854775807]"), "end past the file"},
        {ENTRY("F8_E4M3", "[8]", "[0,8]"), "dtype 'F8_E4M3' is not supported"},
        {ENTRY("Q8_0", "[32]", "[0,34]"), "dtype 'Q8_0' is not supported"},
        {"{\"a\":3}", "needs dtype"},
        {"{\"a\":{\"dtype\":\"F32\"}}", "needs dtype"},
        {"{\"__metadata__\":3}", "__metadata__"},
        {"{\"__metadata__\":{}}", "holds no tensors"},
        {"{}", "holds no tensors"},
        {"{\"\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", "has no name"},
        {"{\"model.\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", "but prefixes"},
        {"{\"a\\u001b[2J\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", "control"},
        {"{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", "damaged JSON"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[1,2]}}",
         "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"model.a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         "same name 'a'"},
        {"{\"a\":1,,}", "damaged JSON at offset"},
        {"{\"a\":1} x", "damaged JSON"},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct bytes b = {0};
        safetensors_build(&b, tables[i].json, 8);
        hostile_refused(&b, tables[i].why);
    }
}
END_TEST

START_TEST(safetensors_lengths)
{
    static const uint64_t lengths[] = {
        0, 1, 60, 72, 73, 1u << 31, 1ull << 32, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct bytes b = {0};
        safetensors_build(&b, ENTRY("F32", "[2]", "[0,8]"), 8);
        bytes_patch(&b, 0, lengths[i], 8);
        hostile_refused(&b, lengths[i] > b.n ? "header should have" : "");
    }
    struct bytes b = {0};
    safetensors_build(&b, ENTRY("F32", "[2]", "[0,8]"), 8);
    hostile_damage(&b);
    bytes_free(&b);
}
END_TEST

/* Names of 513 bytes, brackets without end, a million entries: bounded before they are believed. */
START_TEST(safetensors_excess)
{
    struct bytes json = {0}, b = {0};
    bytes_text(&json, "{\"");
    for (int i = 0; i < 513; i++)
        bytes_text(&json, "a");
    bytes_text(&json, "\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}");
    bytes_put(&json, "", 1);
    safetensors_build(&b, (const char *)json.data, 1);
    hostile_refused(&b, "513 bytes");
    json.n = 0;
    bytes_text(&json, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        bytes_text(&json, "[");
    bytes_put(&json, "", 1);
    safetensors_build(&b, (const char *)json.data, 1);
    hostile_refused(&b, "damaged JSON");
    json.n = 0;
    bytes_text(&json, "{");
    for (int i = 0; json.n < VS_MAX_TABLE_BYTES; i++)
        bytes_text(&json, "          ");
    bytes_put(&json, "}", 2);
    safetensors_build(&b, (const char *)json.data, 1);
    hostile_refused(&b, "JSON table of");
    bytes_free(&json);
}
END_TEST

/* ---- GGUF --------------------------------------------------------------------------------- */

static void small_gguf(struct bytes *b)
{
    gguf_header(b, 3, 2, 2);
    gguf_string(b, "general.name");
    bytes_number(b, 8, 4);
    gguf_string(b, "tiny");
    gguf_string(b, "list");
    bytes_number(b, 9, 4), bytes_number(b, 8, 4), bytes_number(b, 1, 8), gguf_string(b, "x");
    gguf_tensor(b, "a", 1, (uint64_t[]){32}, 8, 0);
    gguf_tensor(b, "b", 2, (uint64_t[]){2, 3}, 0, 64);
    bytes_align(b, 32);
    bytes_zeros(b, 64 + 24);
}

START_TEST(gguf_damage)
{
    struct bytes b = {0};
    small_gguf(&b);
    hostile_damage(&b);
    bytes_free(&b);
}
END_TEST

static void one_tensor(struct bytes *b, const char *name, uint32_t n_dims, const uint64_t *dims,
                       uint32_t type, uint64_t offset)
{
    gguf_header(b, 3, 1, 0);
    gguf_tensor(b, name, n_dims, dims, type, offset);
    bytes_align(b, 32);
    bytes_zeros(b, 64);
}

START_TEST(gguf_tensors)
{
    static const struct {
        const char *name;
        uint32_t n_dims;
        uint64_t dims[9];
        uint32_t type;
        uint64_t offset;
        const char *why;
    } tensors[] = {
        {"a", 1, {17}, 0, 0, "end past the file"},
        {"a", 1, {1}, 0, 64, "end past the file"},
        {"a", 1, {1}, 0, 1ull << 63, "end past the file"},
        {"a", 1, {1}, 0, UINT64_MAX - 31, "end past the file"},
        {"a", 1, {1}, 0, 4, "no multiple of the alignment"},
        {"a", 1, {31}, 8, 0, "no whole blocks of Q8_0"},
        {"a", 2, {128, 2}, 12, 0, "no whole blocks of Q4_K"},
        {"a", 2, {1ull << 32, 1ull << 32}, 0, 0, "overflow"},
        {"a", 2, {UINT64_MAX, 2}, 0, 0, "overflow"},
        {"a", 1, {1ull << 62}, 0, 0, "overflow"},
        {"a", 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, "9 dimensions"},
        {"a", 1, {256}, 14, 0, "type 14 (Q6_K), which is not supported"},
        {"a", 1, {32}, 6, 0, "(Q5_0)"},
        {"a", 1, {32}, 4, 0, "(unknown)"},
        {"a", 1, {1}, 999, 0, "type 999 (unknown)"},
        {"a\nb", 1, {1}, 0, 0, "control characters"},
        {"\xff", 1, {1}, 0, 0, "no UTF-8"},
        {"", 1, {1}, 0, 0, "no name"},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        struct bytes b = {0};
        one_tensor(&b, tensors[i].name, tensors[i].n_dims, tensors[i].dims, tensors[i].type,
                   tensors[i].offset);
        hostile_refused(&b, tensors[i].why);
    }
}
END_TEST

START_TEST(gguf_headers)
{
    struct bytes b = {0};
    gguf_header(&b, 1, 0, 0);
    hostile_refused(&b, "GGUF version 1;");
    gguf_header(&b, 0x03000000, 0, 0);
    hostile_refused(&b, "big-endian");
    gguf_header(&b, 3, 0, 0);
    hostile_refused(&b, "holds no tensors");
    gguf_header(&b, 3, UINT64_MAX, 0);
    hostile_refused(&b, "at most");
    gguf_header(&b, 3, 0, UINT64_MAX);
    hostile_refused(&b, "at most");
    gguf_header(&b, 3, 99999, 0);
    hostile_refused(&b, "truncated");
    for (uint64_t alignment = 0; alignment < 50; alignment += 7) {
        gguf_header(&b, 3, 0, 1);
        gguf_string(&b, "general.alignment");
        bytes_number(&b, 4, 4), bytes_number(&b, alignment, 4);
        hostile_refused(&b,
                        alignment == 0 || (alignment & (alignment - 1)) ? "no power of two" : "");
    }
    gguf_header(&b, 3, 0, 1);
    gguf_string(&b, "general.alignment");
    bytes_number(&b, 10, 4), bytes_number(&b, 32, 8);
    hostile_refused(&b, "no 32-bit number");
    gguf_header(&b, 3, 1, 1);
    gguf_string(&b, "k");
    bytes_number(&b, 13, 4);
    hostile_refused(&b, "unknown type 13");
    gguf_header(&b, 3, 1, 1);
    gguf_string(&b, "k");
    bytes_number(&b, 9, 4), bytes_number(&b, 9, 4), bytes_number(&b, 1, 8);
    hostile_refused(&b, "array of unknown type 9");
    gguf_header(&b, 3, 1, 1);
    gguf_string(&b, "k");
    bytes_number(&b, 9, 4), bytes_number(&b, 10, 4), bytes_number(&b, UINT64_MAX / 8 + 2, 8);
    hostile_refused(&b, "truncated");
    gguf_header(&b, 3, 1, 1);
    gguf_string(&b, "k");
    bytes_number(&b, 9, 4), bytes_number(&b, 8, 4), bytes_number(&b, UINT64_MAX, 8);
    hostile_refused(&b, "truncated");
    gguf_header(&b, 3, 1, 1);
    bytes_number(&b, UINT64_MAX, 8), bytes_text(&b, "key");
    hostile_refused(&b, "truncated");
    for (uint64_t second = 0; second < 2; second++) {
        gguf_header(&b, 3, 2, 0);
        gguf_tensor(&b, "a", 1, (uint64_t[]){9}, 0, 0);
        gguf_tensor(&b, second ? "a" : "b", 1, (uint64_t[]){9}, 0, second ? 64 : 32);
        bytes_align(&b, 32), bytes_zeros(&b, 128);
        hostile_refused(&b, second ? "mean the same name" : "overlap");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, not_a_model);
    tcase_add_test(tcase, other_content);
    tcase_add_test(tcase, shards_that_disagree);
    tcase_add_test(tcase, safetensors_tables);
    tcase_add_test(tcase, safetensors_lengths);
    tcase_add_test(tcase, safetensors_excess);
    tcase_add_test(tcase, gguf_damage);
    tcase_add_test(tcase, gguf_tensors);
    tcase_add_test(tcase, gguf_headers);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
