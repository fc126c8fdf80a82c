/* SPDX-License-Identifier: Apache-2.0
 *
 * clean.c - the rules of prompt cleaning, in their order, on an array of code points.
 *
 * Only ligatures and width forms make a text longer; every other rule works in place. */
#include "models/clean.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "cl/alloc.h"
#include "models/entities.h"

enum { REPLACEMENT = 0xfffd, ESCAPE = 0x1b };

struct text {
    int32_t *at; /* code points */
    size_t n;
};

/* ---- UTF-8 -------------------------------------------------------------------------------- */

static enum vs_status decode(struct text *text, const char *bytes)
{
    size_t n_bytes = strlen(bytes);
    text->n = 0;
    text->at = vs_alloc(n_bytes, sizeof *text->at);
    if (!text->at)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n_bytes;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)bytes + i,
                                              (utf8proc_ssize_t)(n_bytes - i), &c);
        text->at[text->n++] = n > 0 ? c : REPLACEMENT;
        i += n > 0 ? (size_t)n : 1;
    }
    return VS_OK;
}

static enum vs_status encode(char **bytes, const struct text *text)
{
    size_t n_bytes, n = 0;
    if (!vs_mul_ok(text->n, 4, &n_bytes) || !vs_add_ok(n_bytes, 1, &n_bytes))
        return vs_fail(VS_ERROR_MEMORY, "out of memory: the prompt is too long");
    *bytes = vs_alloc(n_bytes, 1);
    if (!*bytes)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < text->n; i++)
        n += (size_t)utf8proc_encode_char(text->at[i], (utf8proc_uint8_t *)*bytes + n);
    return VS_OK;
}

/* ---- HTML entities ------------------------------------------------------------------------ */

static bool is_digit(int32_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(int32_t c)
{
    if (is_digit(c))
        return c - '0';
    int32_t lower = c | 32;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A reference at `at` (n code points, the first is &): how many code points it takes, 0 if it is
 * none, and what it stands for (0: nothing). */
static size_t number_at(const int32_t *at, size_t n, bool strict, uint32_t *means)
{
    size_t i = 2, first;
    bool hex = n > 2 && (at[2] | 32) == 'x';
    uint32_t number = 0;
    i += hex;
    first = i;
    for (; i < n && (hex ? hex_value(at[i]) >= 0 : is_digit(at[i])); i++)
        if (number <= 0x10ffff)
            number = number * (hex ? 16 : 10) + (uint32_t)hex_value(at[i]);
    bool closed = i < n && at[i] == ';';
    if (i == first || (strict && !closed))
        return 0;
    *means = vs_entity_number(number);
    return i + closed;
}

static size_t name_at(const int32_t *at, size_t n, bool strict, uint32_t *means)
{
    char name[VS_ENTITY_MAX_NAME];
    size_t length = 0;
    while (length < sizeof name && 1 + length < n &&
           (is_letter(at[1 + length]) || is_digit(at[1 + length]))) {
        name[length] = (char)at[1 + length];
        length++;
    }
    if (1 + length < n && at[1 + length] == ';') {
        *means = vs_entity_find(name, length, false);
        if (*means)
            return length + 2;
    }
    for (; !strict && length > 1; length--) {
        *means = vs_entity_find(name, length, true);
        if (*means)
            return length + 1;
    }
    return 0;
}

/* strict: only references that end in a semicolon. */
static void replace_entities(struct text *text, bool strict)
{
    size_t out = 0;
    for (size_t i = 0; i < text->n;) {
        const int32_t *at = text->at + i;
        size_t left = text->n - i, length = 0;
        uint32_t means = 0;
        if (*at == '&' && left > 1)
            length = at[1] == '#' ? number_at(at, left, strict, &means)
                                  : name_at(at, left, strict, &means);
        if (!length)
            text->at[out++] = *at;
        else if (means)
            text->at[out++] = (int32_t)means;
        i += length ? length : 1;
    }
    text->n = out;
}

static bool holds(const struct text *text, int32_t c)
{
    for (size_t i = 0; i < text->n; i++)
        if (text->at[i] == c)
            return true;
    return false;
}

/* ---- Repairs ------------------------------------------------------------------------------ */

/* ESC [ digits and semicolons, a letter: what colours a terminal. */
static void remove_escapes(struct text *text)
{
    size_t out = 0;
    for (size_t i = 0; i < text->n; i++) {
        size_t end = i + 2;
        if (text->at[i] == ESCAPE && i + 1 < text->n && text->at[i + 1] == '[') {
            while (end < text->n && (is_digit(text->at[end]) || text->at[end] == ';'))
                end++;
            if (end < text->n && is_letter(text->at[end])) {
                i = end;
                continue;
            }
        }
        text->at[out++] = text->at[i];
    }
    text->n = out;
}

enum { MAX_PARTS = 3 };

static const struct ligature {
    int32_t whole, parts[MAX_PARTS];
} ligatures[] = {{0x132, {'I', 'J'}},       {0x133, {'i', 'j'}},       {0x149, {0x2bc, 'n'}},
                 {0x1c4, {'D', 0x17d}},     {0x1c5, {'D', 0x17e}},     {0x1c6, {'d', 0x17e}},
                 {0x1c7, {'L', 'J'}},       {0x1c8, {'L', 'j'}},       {0x1c9, {'l', 'j'}},
                 {0x1ca, {'N', 'J'}},       {0x1cb, {'N', 'j'}},       {0x1cc, {'n', 'j'}},
                 {0x1f1, {'D', 'Z'}},       {0x1f2, {'D', 'z'}},       {0x1f3, {'d', 'z'}},
                 {0xfb00, {'f', 'f'}},      {0xfb01, {'f', 'i'}},      {0xfb02, {'f', 'l'}},
                 {0xfb03, {'f', 'f', 'i'}}, {0xfb04, {'f', 'f', 'l'}}, {0xfb05, {0x17f, 't'}},
                 {0xfb06, {'s', 't'}}};

/* What stands for c after ligatures are split and width forms undone; their number. */
static size_t parts_of(int32_t parts[MAX_PARTS], int32_t c)
{
    parts[0] = c == 0x3000 ? ' ' : c;
    for (size_t i = 0; i < sizeof ligatures / sizeof *ligatures; i++)
        if (ligatures[i].whole == c) {
            memcpy(parts, ligatures[i].parts, sizeof ligatures[i].parts);
            return parts[2] ? 3 : 2;
        }
    if (c < 0xff01 || c > 0xffef)
        return 1;
    int class = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        c, parts, MAX_PARTS, UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_STABLE, &class);
    if (n > 0 && n <= MAX_PARTS)
        n = utf8proc_normalize_utf32(parts, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    return n > 0 ? (size_t)n : 1;
}

static enum vs_status split_ligatures_and_widths(struct text *text)
{
    size_t n_most, n = 0;
    if (!vs_mul_ok(text->n, MAX_PARTS, &n_most))
        return vs_fail(VS_ERROR_MEMORY, "out of memory: the prompt is too long");
    int32_t *split = vs_alloc(n_most, sizeof *split);
    if (!split)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < text->n; i++) {
        int32_t parts[MAX_PARTS] = {0};
        size_t n_parts = parts_of(parts, text->at[i]);
        memcpy(split + n, parts, n_parts * sizeof *parts);
        n += n_parts;
    }
    free(text->at);
    *text = (struct text){split, n};
    return VS_OK;
}

static int32_t straightened(int32_t c)
{
    if (c == 0x2bc || (c >= 0x2018 && c <= 0x201b))
        return '\'';
    if (c >= 0x201c && c <= 0x201f)
        return '"';
    bool line_end = c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85;
    return line_end ? '\n' : c;
}

static bool is_control(int32_t c)
{
    return c < 9 || c == 11 || (c >= 14 && c < 32) || c == 127 || (c >= 0x206a && c <= 0x206f) ||
           c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
}

static void straighten(struct text *text)
{
    size_t out = 0;
    for (size_t i = 0; i < text->n; i++) {
        int32_t c = text->at[i];
        bool half_of_pair = c == '\r' && i + 1 < text->n && text->at[i + 1] == '\n';
        if (!half_of_pair && !is_control(c))
            text->at[out++] = straightened(c);
    }
    text->n = out;
}

static enum vs_status compose(struct text *text)
{
    const utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    enum vs_status status;
    char *bytes = NULL;
    VS_TRY(encode(&bytes, text));
    const utf8proc_uint8_t *utf8 = (const utf8proc_uint8_t *)bytes;
    utf8proc_ssize_t n_bytes = (utf8proc_ssize_t)strlen(bytes);
    utf8proc_ssize_t n = utf8proc_decompose(utf8, n_bytes, NULL, 0, options);
    int32_t *parts = n < 0 ? NULL : vs_alloc((size_t)n, sizeof *parts);
    if (!parts) {
        status =
            n < 0 ? vs_fail(VS_ERROR_MEMORY, "prompt: %s", utf8proc_errmsg(n)) : VS_ERROR_MEMORY;
        goto fail;
    }
    n = utf8proc_decompose(utf8, n_bytes, parts, n, options);
    n = utf8proc_normalize_utf32(parts, n, options);
    free(text->at);
    *text = (struct text){parts, (size_t)n};
fail:
    free(bytes);
    return status;
}

/* ---- White space -------------------------------------------------------------------------- */

static bool is_white(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

static void collapse_white_space(struct text *text)
{
    size_t out = 0;
    for (size_t i = 0; i < text->n; i++) {
        if (!is_white(text->at[i]))
            text->at[out++] = text->at[i];
        else if (out && text->at[out - 1] != ' ')
            text->at[out++] = ' ';
    }
    text->n = out && text->at[out - 1] == ' ' ? out - 1 : out;
}

enum vs_status vs_clean(char **clean, const char *bytes)
{
    enum vs_status status;
    struct text text = {NULL, 0};
    *clean = NULL;
    VS_TRY(decode(&text, bytes));
    /* A text with < may be markup: its entities are left until the quotes are straight. */
    if (!holds(&text, '<'))
        replace_entities(&text, true);
    remove_escapes(&text);
    VS_TRY(split_ligatures_and_widths(&text));
    straighten(&text);
    VS_TRY(compose(&text));
    replace_entities(&text, false);
    replace_entities(&text, false);
    collapse_white_space(&text);
    VS_TRY(encode(clean, &text));
fail:
    free(text.at);
    return status;
}
