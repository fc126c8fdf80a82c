/* SPDX-License-Identifier: Apache-2.0
 *
 * check_umt5.c - the text encoder: its file checks, its faults, and that texts do not mix.
 *
 * Values are compared by golden-run (parts/umt5*); here the same weights are bent. */
#include "config.h" /* memmem() */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/umt5.h"
#include "tests/check_common.h"

enum { DIM = 64 };

static const int32_t some_ids[] = {5, 9, 2, 17, 44, 3, 8, 1};

static char path[64];
static unsigned char *file_data;
static size_t n_file;

static void read_golden(const char *name)
{
    const char *source = getenv("srcdir");
    char full[4096];
    snprintf(full, sizeof full, "%s/tests/golden/parts/%s/weights.safetensors",
             source ? source : ".", name);
    FILE *file = fopen(full, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", full);
    file_data = malloc(1 << 22);
    n_file = fread(file_data, 1, 1 << 22, file);
    ck_assert(n_file > 1000 && n_file < 1 << 22);
    fclose(file);
}

/* Opens what file_data holds now. */
static struct vs_weights *open_bent(void)
{
    struct vs_weights *weights;
    strcpy(path, "check_umt5.XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, file_data, n_file), (ssize_t)n_file);
    close(file);
    enum vs_status status = vs_weights_open(&weights, path);
    unlink(path); /* the map stays */
    check_ok(status);
    return weights;
}

/* Replaces text in the header by one of the same length; at least once. */
static void replace(const char *old, const char *new)
{
    size_t n = strlen(old), n_found = 0;
    ck_assert_uint_eq(n, strlen(new));
    for (unsigned char *at = file_data;
         (at = memmem(at, n_file - (size_t)(at - file_data), old, n)); at += n, n_found++)
        memcpy(at, new, n);
    ck_assert_msg(n_found > 0, "%s is not in the file", old);
}

/* Overwrites the first value of a tensor. */
static void spoil(const char *name, float value)
{
    struct vs_weights *weights = open_bent();
    const struct vs_tensor *tensor = vs_weights_find(weights, name);
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(tensor->dtype, VS_F32);
    memcpy(file_data + tensor->offset, &value, sizeof value);
    vs_weights_free(weights);
}

static enum vs_status encode(const struct vs_weights *weights, const int32_t *ids, size_t n_ids,
                             float *out)
{
    const struct vs_umt5_text text = {ids, n_ids, out, NULL};
    return vs_umt5_encode(check_context, weights, &text, 1, NULL, NULL);
}

/* ---- Buckets ------------------------------------------------------------------------------ */

START_TEST(buckets_follow_the_table)
{
    static const struct {
        ptrdiff_t first, last;
        size_t bucket;
    } rows[] = {{8, 11, 8},   {12, 15, 9},  {16, 22, 10}, {23, 31, 11},
                {32, 45, 12}, {46, 63, 13}, {64, 90, 14}, {91, 100000, 15}};
    for (ptrdiff_t d = 0; d < 8; d++)
        ck_assert_uint_eq(vs_umt5_bucket(-d, 32, 128), (size_t)d);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (ptrdiff_t d = rows[i].first; d <= rows[i].last; d++) {
            ck_assert_uint_eq(vs_umt5_bucket(-d, 32, 128), rows[i].bucket);
            ck_assert_uint_eq(vs_umt5_bucket(d, 32, 128), rows[i].bucket + 16);
        }
    ck_assert_uint_eq(vs_umt5_bucket(PTRDIFF_MIN, 32, 128), 15);
    ck_assert_uint_eq(vs_umt5_bucket(PTRDIFF_MAX, 32, 128), 31);
}
END_TEST

/* ---- Files -------------------------------------------------------------------------------- */

START_TEST(shape_is_read_off_the_tensors)
{
    struct vs_umt5_shape shape;
    read_golden("umt5");
    struct vs_weights *weights = open_bent();
    check_ok(vs_umt5_check(&shape, weights));
    ck_assert_uint_eq(shape.dim, DIM);
    ck_assert_uint_eq(shape.n_heads, 4);
    ck_assert_uint_eq(shape.n_layers, 2);
    ck_assert_uint_eq(shape.n_buckets, 32);
    vs_weights_free(weights);
    free(file_data);
}
END_TEST

static void expect_refused(const char *tensor)
{
    struct vs_umt5_shape shape;
    struct vs_weights *weights = open_bent();
    ck_assert_int_eq(vs_umt5_check(&shape, weights), VS_ERROR_MODEL);
    ck_assert_msg(strstr(vs_error_message(), path) && strstr(vs_error_message(), tensor), "%s",
                  vs_error_message());
    vs_weights_free(weights);
    free(file_data);
}

START_TEST(missing_tensors_are_named)
{
    static const char *const names[] = {
        "token_embedding.weight",  "norm.weight",
        "blocks.0.attn.q.weight",  "blocks.1.norm1.weight",
        "blocks.1.norm2.weight",   "blocks.0.pos_embedding.embedding.weight",
        "blocks.1.ffn.fc2.weight", "blocks.0.ffn.gate.0.weight",
        "blocks.1.attn.o.weight",  "blocks.1.pos_embedding.embedding.weight"};
    char old[96], new[96];
    read_golden("umt5");
    snprintf(old, sizeof old, "\"%s\"", names[_i]);
    strcpy(new, old);
    new[strlen(new) - 2] = 'X';
    replace(old, new);
    expect_refused(names[_i]);
}
END_TEST

START_TEST(missing_block_in_the_middle_is_noticed)
{
    read_golden("umt5_wide_attention");
    replace("\"blocks.1.", "\"blocks.7.");
    expect_refused("blocks.1.norm1.weight");
}
END_TEST

START_TEST(wrong_shapes_and_formats_are_named)
{
    static const struct {
        const char *old, *new, *tensor;
    } bent[] = {
        {"\"blocks.1.ffn.fc1.weight\":{\"dtype\":\"F32\",\"shape\":[128,64]",
         "\"blocks.1.ffn.fc1.weight\":{\"dtype\":\"F32\",\"shape\":[64,128]",
         "blocks.1.ffn.fc1.weight"},
        {"\"blocks.0.attn.q.weight\":{\"dtype\":\"F32\",\"shape\":[64,64]",
         "\"blocks.0.attn.q.weight\":{\"dtype\":\"F32\",\"shape\":[ 4096]",
         "blocks.0.attn.q.weight"},
        {"\"blocks.1.attn.k.weight\":{\"dtype\":\"F32\"",
         "\"blocks.1.attn.k.weight\":{\"dtype\":\"I32\"", "blocks.1.attn.k.weight"},
        {"\"shape\":[32,4]", "\"shape\":[2,64]", "pos_embedding.embedding.weight"},
    };
    read_golden("umt5");
    replace(bent[_i].old, bent[_i].new);
    expect_refused(bent[_i].tensor);
}
END_TEST

/* ---- Runs --------------------------------------------------------------------------------- */

START_TEST(texts_do_not_mix)
{
    static float one[8 * DIM], other[3 * DIM], both[11 * DIM], block0[8 * DIM];
    read_golden("umt5");
    struct vs_weights *weights = open_bent();
    check_ok(encode(weights, some_ids, 8, one));
    check_ok(encode(weights, some_ids + 2, 3, other));
    const struct vs_umt5_text texts[] = {{some_ids + 2, 3, both, NULL},
                                         {some_ids, 8, both + 3 * DIM, block0}};
    check_ok(vs_umt5_encode(check_context, weights, texts, 2, NULL, NULL));
    ck_assert_mem_eq(both, other, sizeof other);
    ck_assert_mem_eq(both + 3 * DIM, one, sizeof one);
    ck_assert(block0[0] != 0.0f && isfinite(block0[0]));
    vs_weights_free(weights);
    free(file_data);
}
END_TEST

START_TEST(nothing_to_encode_is_no_fault)
{
    read_golden("umt5");
    struct vs_weights *weights = open_bent();
    check_ok(vs_umt5_encode(check_context, weights, NULL, 0, NULL, NULL));
    vs_weights_free(weights);
    free(file_data);
}
END_TEST

START_TEST(ids_past_the_vocabulary_are_refused)
{
    float out[2 * DIM];
    struct vs_umt5_shape shape;
    read_golden("umt5");
    struct vs_weights *weights = open_bent();
    check_ok(vs_umt5_check(&shape, weights));
    const int32_t last = (int32_t)shape.vocab - 1;
    check_ok(encode(weights, (int32_t[]){last, 0}, 2, out));
    ck_assert_int_eq(encode(weights, (int32_t[]){0, last + 1}, 2, out), VS_ERROR_MODEL);
    ck_assert_int_eq(encode(weights, (int32_t[]){-1, 0}, 2, out), VS_ERROR_MODEL);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "token -1"));
    vs_weights_free(weights);
    free(file_data);
}
END_TEST

START_TEST(values_that_are_not_finite_name_the_block)
{
    static const struct {
        const char *tensor, *where;
    } spoiled[] = {{"blocks.0.attn.q.weight", "block 0"},
                   {"blocks.1.attn.v.weight", "block 1"},
                   {"blocks.1.ffn.fc2.weight", "block 1"},
                   {"blocks.0.norm2.weight", "block 0"},
                   {"norm.weight", "last norm"}};
    static float out[8 * DIM];
    for (int infinite = 0; infinite < 2; infinite++) {
        read_golden("umt5");
        spoil(spoiled[_i].tensor, infinite ? INFINITY : NAN);
        struct vs_weights *weights = open_bent();
        ck_assert_int_eq(encode(weights, some_ids, 8, out), VS_ERROR_NONFINITE);
        ck_assert_msg(strstr(vs_error_message(), spoiled[_i].where) != NULL, "%s",
                      vs_error_message());
        vs_weights_free(weights);
        free(file_data);
    }
}
END_TEST

static bool count_blocks(size_t done, size_t total, void *user)
{
    ck_assert_uint_eq(total, 2);
    ck_assert_uint_eq(done, ++*(size_t *)user);
    return done < 2;
}

START_TEST(progress_counts_blocks_and_can_stop)
{
    static float out[8 * DIM];
    size_t n_calls = 0;
    read_golden("umt5");
    struct vs_weights *weights = open_bent();
    const struct vs_umt5_text text = {some_ids, 8, out, NULL};
    ck_assert_int_eq(vs_umt5_encode(check_context, weights, &text, 1, count_blocks, &n_calls),
                     VS_ERROR_INTERRUPTED);
    ck_assert_uint_eq(n_calls, 2);
    vs_weights_free(weights);
    free(file_data);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, buckets_follow_the_table);
    tcase_add_test(tcase, shape_is_read_off_the_tensors);
    tcase_add_loop_test(tcase, missing_tensors_are_named, 0, 10);
    tcase_add_test(tcase, missing_block_in_the_middle_is_noticed);
    tcase_add_loop_test(tcase, wrong_shapes_and_formats_are_named, 0, 4);
    tcase_add_test(tcase, texts_do_not_mix);
    tcase_add_test(tcase, nothing_to_encode_is_no_fault);
    tcase_add_test(tcase, ids_past_the_vocabulary_are_refused);
    tcase_add_loop_test(tcase, values_that_are_not_finite_name_the_block, 0, 5);
    tcase_add_test(tcase, progress_counts_blocks_and_can_stop);
}

int main(void)
{
    return check_main("umt5", add_tests);
}
