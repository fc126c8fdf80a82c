/* SPDX-License-Identifier: Apache-2.0
 *
 * check_text.c - rules of prompt cleaning, and tokenizer files that are damaged or hostile.
 *
 * Ids and cleaned prompts are compared by golden-run (parts/tokenizer*). */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/clean.h"
#include "models/tokenizer.h"

/* ---- Cleaning ----------------------------------------------------------------------------- */

static const struct {
    const char *text, *clean;
} rules[] = {
    /* 1: only with a semicolon, and only without < */
    {"fish &amp; chips", "fish & chips"},
    {"&amp;amp;amp;lt;", "&lt;"},
    {"< &amp;amp;amp;lt;", "< &amp;lt;"},
    {"&#x201c;", "\""},
    {"&#x201c", "\xe2\x80\x9c"},
    /* 2 */
    {"\x1b[31;1mred\x1b[0m fox", "red fox"},
    {"\x1b[31;1", "[31;1"},
    /* 3 and 4 */
    {"\xef\xac\x81sh wa\xef\xac\x84"
     "e \xef\xac\x85 \xef\xac\x86",
     "fish waffle \xc5\xbft st"},
    {"\xc5\x89 \xc4\xb2 \xc7\x84", "'n IJ D\xc5\xbd"},
    {"\xef\xbc\xa1\xef\xbc\x91\xe3\x80\x80\xef\xbd\xb6\xef\xbe\x9e", "A1 \xe3\x82\xac"},
    /* 5, 6, 7 */
    {"\xe2\x80\x98x\xe2\x80\x99 \xe2\x80\x9cy\xe2\x80\x9f \xca\xbc", "'x' \"y\" '"},
    {"a\r\nb\rc\xe2\x80\xa8"
     "d\xc2\x85"
     "e",
     "a b c d e"},
    {"\xef\xbb\xbf"
     "a\x01\x0b\x7f\xe2\x81\xaa\xef\xbf\xba"
     "b",
     "ab"},
    /* 8 */
    {"cafe\xcc\x81 \xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "caf\xc3\xa9 \xea\xb0\x81"},
    /* 9 */
    {"&copy 2020 &copyright &notit;", "\xc2\xa9 2020 \xc2\xa9right \xc2\xacit;"},
    {"&alpha &alpha; &bogus; & &;", "&alpha \xce\xb1 &bogus; & &;"},
    {"&apos;&thetasym;&lang;", "'\xcf\x91\xe2\x9f\xa8"},
    {"&#0;&#xD800;&#1114112;&#99999999999999999999;",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"&#128;&#x99;&#39 &#;&#x;", "\xe2\x82\xac\xe2\x84\xa2' &#;&#x;"},
    {"a&#1;b&#xfffe;c", "abc"},
    {"<b>&lt;&amp;lt;</b>", "<b><<</b>"},
    /* 10 */
    {" \t a \xc2\xa0\xe2\x80\x83 b\x1c\n", "a b"},
    {"&nbsp;a&nbsp;&nbsp;b", "a b"},
    {" \n ", ""},
    {"", ""},
    /* ill-formed: a stray byte, overlong, a surrogate, past Unicode, cut off */
    {"a\x80"
     "b\xc0\xaf",
     "a\xef\xbf\xbd"
     "b\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"a\xe4\xb8", "a\xef\xbf\xbd\xef\xbf\xbd"},
};

START_TEST(prompts_are_cleaned_by_the_rules)
{
    char *clean;
    ck_assert_int_eq(vs_clean(&clean, rules[_i].text), VS_OK);
    ck_assert_str_eq(clean, rules[_i].clean);
    free(clean);
}
END_TEST

/* ---- A model file made by hand ------------------------------------------------------------ */

struct bytes {
    uint8_t at[1 << 16];
    size_t n;
};

static void put(struct bytes *bytes, const void *data, size_t n)
{
    ck_assert(bytes->n + n <= sizeof bytes->at);
    memcpy(bytes->at + bytes->n, data, n);
    bytes->n += n;
}

static void put_varint(struct bytes *bytes, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put(bytes, &(uint8_t){(uint8_t)(value | 128)}, 1);
    put(bytes, &(uint8_t){(uint8_t)value}, 1);
}

static void put_number(struct bytes *bytes, unsigned field, uint64_t value)
{
    put_varint(bytes, field << 3);
    put_varint(bytes, value);
}

static void put_bytes(struct bytes *bytes, unsigned field, const void *data, size_t n)
{
    put_varint(bytes, field << 3 | 2);
    put_varint(bytes, n);
    put(bytes, data, n);
}

static void put_piece_of(struct bytes *model, const void *text, size_t n, float score, int type)
{
    static struct bytes piece;
    piece.n = 0;
    put_bytes(&piece, 1, text, n);
    put_varint(&piece, 2 << 3 | 5);
    put(&piece, &score, sizeof score);
    put_number(&piece, 3, (uint64_t)type);
    put_bytes(model, 1, piece.at, piece.n);
}

static void put_piece(struct bytes *model, const char *text, float score, int type)
{
    put_piece_of(model, text, strlen(text), score, type);
}

static void put_pieces(struct bytes *model)
{
    put_piece(model, "<pad>", 0, 3);
    put_piece(model, "</s>", 0, 3);
    put_piece(model, "<unk>", 0, 2);
    put_piece(model, "a", -1, 1);
    put_piece(model, "b", -2, 1);
    put_piece(model, "\xe2\x96\x81", -3, 1);
}

/* map: precompiled charsmap, or none. */
static void put_settings(struct bytes *model, uint64_t type, const void *map, size_t n_map)
{
    static struct bytes trainer, normalizer;
    trainer.n = normalizer.n = 0;
    put_number(&trainer, 3, type);
    put_bytes(model, 2, trainer.at, trainer.n);
    put_bytes(&normalizer, 1, "hand", 4);
    if (n_map)
        put_bytes(&normalizer, 2, map, n_map);
    put_bytes(model, 3, normalizer.at, normalizer.n);
}

/* A charsmap with one trie block and the texts "b": the key "c" becomes "b". */
static struct bytes *one_letter_map(void)
{
    static struct bytes map;
    static uint32_t units[256];
    memset(units, 0, sizeof units);
    units[0] = 1 << 10;                      /* children of the root at 1 ^ byte */
    units[1 ^ 'c'] = 2 << 10 | 1 << 8 | 'c'; /* children at 1 ^ c ^ 2 ^ byte, and a value there */
    units[1 ^ 'c' ^ 2] = 0x80000000u;        /* offset 0 of the texts */
    map.n = 0;
    put(&map, &(uint32_t){sizeof units}, 4);
    put(&map, units, sizeof units);
    put(&map, "b", 2);
    return &map;
}

static uint32_t *unit_of(struct bytes *map, size_t i)
{
    return (uint32_t *)(void *)(map->at + 4) + i;
}

static struct bytes *model_with_map(struct bytes *map)
{
    static struct bytes model;
    model.n = 0;
    put_pieces(&model);
    put_settings(&model, 1, map->at, map->n);
    return &model;
}

static char path[64];

static void make_path(void)
{
    strcpy(path, "check_text.XXXXXX");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
}

static void remove_path(void)
{
    unlink(path);
}

static void write_file(const void *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, n, file), n);
    fclose(file);
}

static void expect_refused(const void *data, size_t n, const char *reason)
{
    struct vs_tokenizer *tokenizer;
    write_file(data, n);
    ck_assert_int_eq(vs_tokenizer_open(&tokenizer, path), VS_ERROR_MODEL);
    ck_assert_ptr_null(tokenizer);
    ck_assert_msg(strstr(vs_error_message(), path) == vs_error_message(), "%s", vs_error_message());
    ck_assert_msg(strstr(vs_error_message(), reason) != NULL, "%s", vs_error_message());
}

static void expect_ids(const struct vs_tokenizer *tokenizer, const char *text, size_t text_len,
                       const int32_t *want, size_t n_want)
{
    int32_t ids[64];
    size_t n_ids;
    ck_assert_int_eq(vs_tokenizer_encode(tokenizer, text, text_len, ids, &n_ids), VS_OK);
    ck_assert_uint_eq(n_ids, n_want);
    ck_assert_mem_eq(ids, want, n_want * sizeof *ids);
}

START_TEST(model_made_by_hand_is_read)
{
    struct vs_tokenizer *tokenizer;
    struct bytes *model = model_with_map(one_letter_map());
    write_file(model->at, model->n);
    ck_assert_msg(vs_tokenizer_open(&tokenizer, path) == VS_OK, "%s", vs_error_message());
    ck_assert_uint_eq(vs_tokenizer_vocab(tokenizer), 6);
    expect_ids(tokenizer, "ab", 64, (int32_t[]){5, 3, 4, 1}, 4);
    expect_ids(tokenizer, "acxyb", 64, (int32_t[]){5, 3, 4, 2, 4, 1}, 6);
    expect_ids(tokenizer, "ababab", 4, (int32_t[]){5, 3, 4, 1}, 4);
    expect_ids(tokenizer, "ababab", 1, (int32_t[]){1}, 1);
    expect_ids(tokenizer, " \n", 64, (int32_t[]){1}, 1);
    vs_tokenizer_free(tokenizer);
}
END_TEST

START_TEST(special_words_in_a_prompt_are_plain_text)
{
    struct vs_tokenizer *tokenizer;
    static struct bytes model;
    model.n = 0;
    put_pieces(&model);
    for (const char *c = "</s>pad"; *c; c++)
        if (*c != 'a')
            put_piece_of(&model, c, 1, -4, 1);
    put_settings(&model, 1, NULL, 0);
    write_file(model.at, model.n);
    ck_assert_msg(vs_tokenizer_open(&tokenizer, path) == VS_OK, "%s", vs_error_message());
    expect_ids(tokenizer, "</s>", 64, (int32_t[]){5, 6, 7, 8, 9, 1}, 6);
    expect_ids(tokenizer, "<pad>", 64, (int32_t[]){5, 6, 10, 3, 11, 9, 1}, 7);
    vs_tokenizer_free(tokenizer);
}
END_TEST

/* The library would print what its self-test finds, terminal escapes and all. */
START_TEST(self_test_of_a_model_is_left_out)
{
    struct vs_tokenizer *tokenizer;
    static struct bytes model, sample, test;
    put_bytes(&sample, 1, "ab", 2);
    put_bytes(&sample, 2, "wrong", 5);
    put_bytes(&test, 1, sample.at, sample.n);
    put_bytes(&model, 4, test.at, test.n);
    put_pieces(&model);
    put_bytes(&model, 4, test.at, test.n);
    put_settings(&model, 1, NULL, 0);
    write_file(model.at, model.n);
    ck_assert_msg(vs_tokenizer_open(&tokenizer, path) == VS_OK, "%s", vs_error_message());
    expect_ids(tokenizer, "ab", 64, (int32_t[]){5, 3, 4, 1}, 4);
    vs_tokenizer_free(tokenizer);
}
END_TEST

/* ---- Damage and hostility ----------------------------------------------------------------- */

START_TEST(files_that_are_none_are_refused)
{
    struct vs_tokenizer *tokenizer;
    ck_assert_int_eq(vs_tokenizer_open(&tokenizer, "no/such/file"), VS_ERROR_MODEL);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "no/such/file"));
    ck_assert_int_eq(vs_tokenizer_open(&tokenizer, "/"), VS_ERROR_MODEL);
    ck_assert_int_eq(vs_tokenizer_open(&tokenizer, "/dev/zero"), VS_ERROR_MODEL);
    expect_refused("", 0, "no SentencePiece model");
    expect_refused("not a model at all", 18, "at byte 0");
    expect_refused("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "past the end");
    expect_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, "broken field");
    expect_refused("\x0a\x80", 2, "cut off");
    expect_refused("\x0b", 1, "unknown kind");
    expect_refused("\x00\x00", 2, "broken field");
}
END_TEST

START_TEST(pieces_that_cannot_be_are_refused)
{
    static const struct {
        const char *text;
        size_t n;
        float score;
        int type;
        const char *reason;
    } bad[] = {
        {"", 0, 0, 1, "empty piece"},
        {"x\xff", 2, 0, 1, "no UTF-8"},
        {"x\0y", 3, 0, 1, "no UTF-8"},
        {"x", 1, NAN, 1, "finite"},
        {"x", 1, -INFINITY, 1, "finite"},
        {"x", 1, 0, 0, "unknown type"},
        {"x", 1, 0, 7, "unknown type"},
        {"x", 1, 0, -1, "unknown type"},
        {"a", 1, 0, 1, "refuses the model"},
        {"<unk2>", 6, 0, 2, "refuses the model"},
        {"<0x41>", 6, 0, 6, "refuses the model"},
    };
    static struct bytes model;
    model.n = 0;
    put_pieces(&model);
    put_piece_of(&model, bad[_i].text, bad[_i].n, bad[_i].score, bad[_i].type);
    put_settings(&model, 1, NULL, 0);
    expect_refused(model.at, model.n, bad[_i].reason);
}
END_TEST

START_TEST(long_pieces_are_refused)
{
    static struct bytes model;
    static char text[513];
    memset(text, 'x', sizeof text);
    put_pieces(&model);
    put_piece_of(&model, text, sizeof text, 0, 1);
    put_settings(&model, 1, NULL, 0);
    expect_refused(model.at, model.n, "512 bytes");
}
END_TEST

START_TEST(incomplete_models_are_refused)
{
    static struct bytes model;
    put_settings(&model, 1, NULL, 0);
    expect_refused(model.at, model.n, "no pieces");
    model.n = 0;
    put_pieces(&model);
    expect_refused(model.at, model.n, "settings are missing");
    put_settings(&model, 2, NULL, 0);
    expect_refused(model.at, model.n, "not unigram");
    model.n = 0;
    put_piece(&model, "<unk>", 0, 2);
    put_piece(&model, "a", 0, 1);
    put_settings(&model, 1, NULL, 0);
    expect_refused(model.at, model.n, "no piece that ends a text");
    model.n = 0;
    put_piece(&model, "</s>", 0, 3);
    put_piece(&model, "a", 0, 1);
    put_settings(&model, 1, NULL, 0);
    expect_refused(model.at, model.n, "refuses the model");
}
END_TEST

START_TEST(maps_that_leave_their_bytes_are_refused)
{
    struct bytes *map = one_letter_map(), *model;
    *unit_of(map, 0) = 0x100 << 10;
    model = model_with_map(map);
    expect_refused(model->at, model->n, "leaves its array");

    map = one_letter_map();
    *unit_of(map, 1 ^ 'c') = 0x1fffffu << 10 | 'c';
    model = model_with_map(map);
    expect_refused(model->at, model->n, "leaves its array");

    map = one_letter_map();
    *unit_of(map, 1 ^ 'c' ^ 2) = 0x80000002u;
    model = model_with_map(map);
    expect_refused(model->at, model->n, "without its texts");

    map = one_letter_map();
    map->n--;
    model = model_with_map(map);
    expect_refused(model->at, model->n, "cut off");

    static const uint32_t sizes[] = {0, 3, 1023, 1026, 1028, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        map = one_letter_map();
        memcpy(map->at, sizes + i, 4);
        model = model_with_map(map);
        expect_refused(model->at, model->n, "map of characters");
    }
    map = one_letter_map();
    map->n = 3;
    model = model_with_map(map);
    expect_refused(model->at, model->n, "cut off");
}
END_TEST

/* A walk round a circle ends with the text. */
START_TEST(map_with_a_circle_does_no_harm)
{
    struct vs_tokenizer *tokenizer;
    struct bytes *map = one_letter_map();
    *unit_of(map, 1 ^ 'c') = (uint32_t)'c' << 10 | 'c'; /* its child c is itself */
    struct bytes *model = model_with_map(map);
    write_file(model->at, model->n);
    ck_assert_msg(vs_tokenizer_open(&tokenizer, path) == VS_OK, "%s", vs_error_message());
    expect_ids(tokenizer, "acccc", 64, (int32_t[]){5, 3, 2, 1}, 4);
    vs_tokenizer_free(tokenizer);
}
END_TEST

/* ---- A trained model, cut and bent -------------------------------------------------------- */

static void *trained;
static size_t n_trained;

static void read_trained(void)
{
    const char *source = getenv("srcdir");
    char name[4096];
    make_path();
    snprintf(name, sizeof name, "%s/tests/golden/parts/tokenizer_identity_short/spiece.model",
             source ? source : ".");
    FILE *file = fopen(name, "rb");
    ck_assert_msg(file != NULL, "%s cannot be opened", name);
    trained = malloc(1 << 20);
    n_trained = fread(trained, 1, 1 << 20, file);
    ck_assert_uint_gt(n_trained, 1000);
    fclose(file);
}

static void free_trained(void)
{
    free(trained);
    remove_path();
}

static bool encodes(void)
{
    struct vs_tokenizer *tokenizer;
    int32_t ids[64];
    size_t n_ids;
    if (vs_tokenizer_open(&tokenizer, path) != VS_OK) {
        ck_assert_ptr_nonnull(strstr(vs_error_message(), path));
        return false;
    }
    ck_assert_int_eq(
        vs_tokenizer_encode(tokenizer, "A red fox \xe4\xb8\x80 snow.", 64, ids, &n_ids), VS_OK);
    for (size_t i = 0; i < n_ids; i++)
        ck_assert(ids[i] >= 0 && (size_t)ids[i] < vs_tokenizer_vocab(tokenizer));
    vs_tokenizer_free(tokenizer);
    return true;
}

/* Past the settings (fields 2 and 3) only fields are left that encoding does not read. */
START_TEST(truncated_models_are_refused)
{
    write_file(trained, n_trained);
    ck_assert(encodes());
    size_t n_refused = 0;
    for (size_t n = 1; n < n_trained; n += n < 200 || n + 400 > n_trained ? 1 : 61) {
        write_file(trained, n);
        bool refused = !encodes();
        n_refused += refused;
        ck_assert_msg(refused || n + 64 > n_trained, "%zu of %zu bytes are taken for a model", n,
                      n_trained);
    }
    ck_assert_uint_gt(n_refused, 400);
}
END_TEST

START_TEST(bent_models_never_crash)
{
    uint8_t *bent = malloc(n_trained);
    uint32_t random = 1;
    for (int round = 0; round < 400; round++) {
        memcpy(bent, trained, n_trained);
        for (int i = 0; i < 1 + round % 5; i++) {
            random = random * 1664525u + 1013904223u;
            bent[(random >> 8) % n_trained] ^= (uint8_t)(1 + (random >> 3) % 255);
        }
        write_file(bent, n_trained);
        (void)encodes();
    }
    free(bent);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *cleaning = tcase_create("cleaning");
    tcase_add_loop_test(cleaning, prompts_are_cleaned_by_the_rules, 0,
                        sizeof rules / sizeof *rules);
    suite_add_tcase(suite, cleaning);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_path, remove_path);
    tcase_set_timeout(files, 60);
    tcase_add_test(files, model_made_by_hand_is_read);
    tcase_add_test(files, special_words_in_a_prompt_are_plain_text);
    tcase_add_test(files, self_test_of_a_model_is_left_out);
    tcase_add_test(files, files_that_are_none_are_refused);
    tcase_add_loop_test(files, pieces_that_cannot_be_are_refused, 0, 11);
    tcase_add_test(files, long_pieces_are_refused);
    tcase_add_test(files, incomplete_models_are_refused);
    tcase_add_test(files, maps_that_leave_their_bytes_are_refused);
    tcase_add_test(files, map_with_a_circle_does_no_harm);
    suite_add_tcase(suite, files);
    TCase *damage = tcase_create("damage");
    tcase_add_checked_fixture(damage, read_trained, free_trained);
    tcase_set_timeout(damage, 120);
    tcase_add_test(damage, truncated_models_are_refused);
    tcase_add_test(damage, bent_models_never_crash);
    suite_add_tcase(suite, damage);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
