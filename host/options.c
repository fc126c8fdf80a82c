/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - parsing by table. Stricter than getopt on purpose: no abbreviations, and a number
 * with anything behind it is refused rather than cut. */
#include "config.h"

#include "host/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

enum { SIDE_MULTIPLE = 16, SIDE_MAX = 16384 };

bool host_parse_count(const char *text, uint64_t *value)
{
    if (!*text || text[strspn(text, "0123456789")])
        return false;
    errno = 0;
    unsigned long long n = strtoull(text, NULL, 10);
    if (errno || n > UINT64_MAX)
        return false;
    *value = n;
    return true;
}

bool host_parse_number(const char *text, double *value)
{
    if (!*text || text[strspn(text, "0123456789.eE+-")])
        return false;
    char *end;
    double x = strtod(text, &end);
    if (*end || !isfinite(x))
        return false;
    *value = x;
    return true;
}

bool host_parse_bytes(const char *text, uint64_t *n_bytes)
{
    static const char units[] = "KMG";
    char digits[24];
    size_t n = strspn(text, "0123456789");
    const char *unit = text[n] ? strchr(units, text[n]) : NULL;
    bool right = n > 0 && n < sizeof digits && (!text[n] || (unit && !text[n + 1]));
    if (right) {
        memcpy(digits, text, n);
        digits[n] = '\0';
        right = host_parse_count(digits, n_bytes) && *n_bytes > 0;
    }
    for (const char *u = units; right && unit && u <= unit; u++)
        right = !__builtin_mul_overflow(*n_bytes, 1024, n_bytes);
    return right;
}

enum vs_status host_list_add(struct host_list *list, const char *item)
{
    const char **items = vs_realloc(list->items, list->n + 1, sizeof *items);
    if (!items)
        return VS_ERROR_MEMORY;
    list->items = items;
    items[list->n++] = item;
    return VS_OK;
}

/* ---- Values ------------------------------------------------------------------------------- */

static enum vs_status set_count(const struct host_option *option, struct host_count *target,
                                const char *text)
{
    uint64_t n;
    if (!host_parse_count(text, &n) || n < option->count_min || n > option->count_max)
        return vs_fail(VS_ERROR_USAGE, "--%s '%s': give a whole number from %llu to %llu",
                       option->name, text, (unsigned long long)option->count_min,
                       (unsigned long long)option->count_max);
    *target = (struct host_count){true, n};
    return VS_OK;
}

static enum vs_status set_number(const struct host_option *option, struct host_number *target,
                                 const char *text)
{
    double x;
    char plain[64];
    size_t n = strlen(text);
    /* "30s" is how people say it. */
    bool unit = strcmp(option->argument, "SECONDS") == 0 && n > 1 && n < sizeof plain &&
                text[n - 1] == 's';
    if (unit) {
        memcpy(plain, text, n - 1);
        plain[n - 1] = '\0';
    }
    if (!host_parse_number(unit ? plain : text, &x) ||
        !(x >= option->number_min && x <= option->number_max))
        return vs_fail(VS_ERROR_USAGE, "--%s '%s': give a number from %.10g to %.10g", option->name,
                       text, option->number_min, option->number_max);
    *target = (struct host_number){true, x};
    return VS_OK;
}

static enum vs_status set_size(const struct host_option *option, struct host_size *target,
                               const char *text)
{
    char width_text[16];
    const char *cross = strchr(text, 'x');
    size_t n = cross ? (size_t)(cross - text) : 0;
    uint64_t width, height;
    bool right = n > 0 && n < sizeof width_text;
    if (right) {
        memcpy(width_text, text, n);
        width_text[n] = '\0';
        right = host_parse_count(width_text, &width) && host_parse_count(cross + 1, &height) &&
                width >= SIDE_MULTIPLE && width <= SIDE_MAX && width % SIDE_MULTIPLE == 0 &&
                height >= SIDE_MULTIPLE && height <= SIDE_MAX && height % SIDE_MULTIPLE == 0;
    }
    if (!right)
        return vs_fail(VS_ERROR_USAGE,
                       "--%s '%s': give WIDTHxHEIGHT, both multiples of %d from %d to %d, for "
                       "example 832x480",
                       option->name, text, SIDE_MULTIPLE, SIDE_MULTIPLE, SIDE_MAX);
    *target = (struct host_size){(size_t)width, (size_t)height};
    return VS_OK;
}

/* The words of "a|b|c" one after the other; false after the last. */
static bool next_word(const char **cursor, char *word, size_t word_bytes)
{
    if (!*cursor)
        return false;
    size_t n = strcspn(*cursor, "|");
    snprintf(word, word_bytes, "%.*s", (int)n, *cursor);
    *cursor = (*cursor)[n] ? *cursor + n + 1 : NULL;
    return true;
}

static enum vs_status set_choice(const struct host_option *option, int *target, const char *text)
{
    char word[32];
    const char *cursor = option->argument;
    for (int i = 0; next_word(&cursor, word, sizeof word); i++) {
        if (strcmp(word, text) == 0) {
            *target = i;
            return VS_OK;
        }
    }
    return vs_fail(VS_ERROR_USAGE, "--%s '%s': give one of %s", option->name, text,
                   option->argument);
}

static enum vs_status set_value(const struct host_option *option, void *values, const char *first,
                                const char *second)
{
    void *target = (char *)values + option->offset;
    enum vs_status status = VS_OK;
    switch (option->kind) {
    case HOST_HEADING:
        break;
    case HOST_FLAG:
        *(bool *)target = true;
        break;
    case HOST_STRING:
        *(const char **)target = first;
        break;
    case HOST_PAIRS:
        VS_TRY(host_list_add(target, first));
        VS_TRY(host_list_add(target, second));
        break;
    case HOST_LIST:
        VS_TRY(host_list_add(target, first));
        break;
    case HOST_COUNT:
        VS_TRY(set_count(option, target, first));
        break;
    case HOST_NUMBER:
        VS_TRY(set_number(option, target, first));
        break;
    case HOST_CHOICE:
        VS_TRY(set_choice(option, target, first));
        break;
    case HOST_SIZE:
        VS_TRY(set_size(option, target, first));
        break;
    }
    return VS_OK;
fail:
    return status;
}

/* ---- Parsing ------------------------------------------------------------------------------ */

static size_t values_wanted(const struct host_option *option)
{
    return option->kind == HOST_FLAG ? 0 : option->kind == HOST_PAIRS ? 2 : 1;
}

static const struct host_option *find_long(const struct host_spec *spec, const char *name, size_t n)
{
    for (size_t i = 0; i < spec->n_options; i++) {
        const struct host_option *option = &spec->options[i];
        if (option->kind != HOST_HEADING && strlen(option->name) == n &&
            memcmp(option->name, name, n) == 0)
            return option;
    }
    return NULL;
}

static const struct host_option *find_short(const struct host_spec *spec, char letter)
{
    for (size_t i = 0; i < spec->n_options; i++) {
        if (spec->options[i].letter == letter && letter)
            return &spec->options[i];
    }
    return NULL;
}

static enum vs_status unknown_long(const struct host_spec *spec, const char *name, size_t n)
{
    enum { MAX_NAMES = 64 };
    const char *names[MAX_NAMES] = {"help"};
    size_t n_names = 1;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)n, name);
    for (size_t i = 0; i < spec->n_options && n_names < MAX_NAMES; i++) {
        if (spec->options[i].kind != HOST_HEADING)
            names[n_names++] = spec->options[i].name;
    }
    const char *nearest = host_nearest(word, names, n_names);
    return vs_fail(VS_ERROR_USAGE, "unknown option --%s%s%s%s 'videossm-cl %s --help' lists all",
                   word, nearest ? "; did you mean --" : ";", nearest ? nearest : "",
                   nearest ? "?" : "", spec->command);
}

/* Takes the values of an option: the attached one first, if any, then from argv. */
static enum vs_status take(const struct host_option *option, void *values, const char *attached,
                           int *i, int argc, char **argv)
{
    size_t n_wanted = values_wanted(option), n = 0;
    const char *given[2] = {NULL, NULL};
    if (attached)
        given[n++] = attached;
    while (n < n_wanted && *i + 1 < argc)
        given[n++] = argv[++*i];
    if (n < n_wanted)
        return vs_fail(VS_ERROR_USAGE, "--%s needs %s: %s", option->name,
                       n_wanted == 2 ? "two values" : "a value", option->argument);
    return set_value(option, values, given[0], given[1]);
}

static enum vs_status parse_long(const struct host_spec *spec, void *values, bool *help, int *i,
                                 int argc, char **argv)
{
    const char *name = argv[*i] + 2;
    size_t n = strcspn(name, "=");
    const char *attached = name[n] ? name + n + 1 : NULL;
    if (n == 4 && memcmp(name, "help", n) == 0 && !attached) {
        *help = true;
        return VS_OK;
    }
    const struct host_option *option = find_long(spec, name, n);
    if (!option)
        return unknown_long(spec, name, n);
    if (attached && option->kind == HOST_FLAG)
        return vs_fail(VS_ERROR_USAGE, "--%s takes no value", option->name);
    return take(option, values, attached, i, argc, argv);
}

/* A group of letters, "-qo out" or "-qoout". */
static enum vs_status parse_short(const struct host_spec *spec, void *values, bool *help, int *i,
                                  int argc, char **argv)
{
    enum vs_status status = VS_OK;
    for (const char *letter = argv[*i] + 1; *letter; letter++) {
        if (*letter == 'h') {
            *help = true;
            return VS_OK;
        }
        const struct host_option *option = find_short(spec, *letter);
        if (!option)
            return vs_fail(VS_ERROR_USAGE, "unknown option -%c; 'videossm-cl %s --help' lists all",
                           *letter, spec->command);
        if (option->kind != HOST_FLAG)
            return take(option, values, letter[1] ? letter + 1 : NULL, i, argc, argv);
        VS_TRY(set_value(option, values, NULL, NULL));
    }
fail:
    return status;
}

enum vs_status host_options_parse(const struct host_spec *spec, void *values,
                                  struct host_list *operands, bool *help, int argc, char **argv)
{
    enum vs_status status = VS_OK;
    size_t n_operands = 0;
    bool options_end = false;
    *help = false;
    for (int i = 1; i < argc && !*help; i++) {
        const char *word = argv[i];
        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
        } else if (!options_end && strncmp(word, "--", 2) == 0) {
            VS_TRY(parse_long(spec, values, help, &i, argc, argv));
        } else if (!options_end && word[0] == '-' && word[1]) {
            VS_TRY(parse_short(spec, values, help, &i, argc, argv));
        } else {
            if (++n_operands > spec->max_operands)
                return vs_fail(VS_ERROR_USAGE,
                               "unexpected argument '%s'; 'videossm-cl %s --help' shows the usage",
                               word, spec->command);
            VS_TRY(host_list_add(operands, word));
        }
    }
    if (!*help && n_operands < spec->min_operands)
        return vs_fail(VS_ERROR_USAGE, "%s needs %s; 'videossm-cl %s --help' shows the usage",
                       spec->command, spec->operands, spec->command);
fail:
    return status;
}

/* ---- Suggestions -------------------------------------------------------------------------- */

/* Edit distance that counts two swapped letters as one slip; words longer than this never come. */
static size_t typing_distance(const char *a, const char *b)
{
    enum { MAX_WORD = 40 };
    size_t n = strlen(a), m = strlen(b), row[3][MAX_WORD + 1];
    if (n > MAX_WORD || m > MAX_WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

const char *host_nearest(const char *word, const char *const *words, size_t n_words)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 2;
    for (size_t i = 0; i < n_words; i++) {
        size_t n = strlen(word), distance = typing_distance(word, words[i]);
        bool begins = n >= 3 && strncmp(word, words[i], n) == 0;
        if (begins)
            distance = 0;
        if (distance < best) {
            best = distance;
            nearest = words[i];
        }
    }
    return nearest;
}

/* ---- Help --------------------------------------------------------------------------------- */

enum { HELP_WIDTH = 79, HELP_COLUMN = 26 };

void host_print_wrapped(FILE *file, const char *text, size_t column, size_t indent, size_t width)
{
    bool line_begins = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (!line_begins && column + 1 + n > width) {
            fprintf(file, "\n%*s", (int)indent, "");
            column = indent;
            line_begins = true;
        }
        fprintf(file, "%s%.*s", line_begins ? "" : " ", (int)n, text);
        column += n + !line_begins;
        line_begins = false;
        text += n;
        if (*text == '\n') {
            fprintf(file, "\n%*s", (int)indent, "");
            column = indent;
            line_begins = true;
        }
        text += *text != '\0';
    }
    fputc('\n', file);
}

static void print_option(const struct host_option *option, FILE *file)
{
    if (option->kind == HOST_HEADING) {
        fprintf(file, "\n%s:\n", option->name);
        return;
    }
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    int n = fprintf(file, "  %s--%s%s%s", letter, option->name, option->argument ? " " : "",
                    option->argument ? option->argument : "");
    if (n < 0)
        return;
    size_t column = (size_t)n;
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', file);
        column = 0;
    }
    fprintf(file, "%*s", (int)(HELP_COLUMN - column), "");
    host_print_wrapped(file, option->help, HELP_COLUMN, HELP_COLUMN, HELP_WIDTH);
}

void host_options_print_help(const struct host_spec *spec, FILE *file)
{
    static const struct host_option help = {
        .kind = HOST_FLAG, .letter = 'h', .name = "help", .help = "Show this help."};
    fprintf(file, "Usage: videossm-cl %s [OPTIONS]%s%s\n\n", spec->command,
            spec->operands ? " " : "", spec->operands ? spec->operands : "");
    host_print_wrapped(file, spec->about ? spec->about : spec->summary, 0, 0, HELP_WIDTH);
    if (spec->n_options == 0 || spec->options[0].kind != HOST_HEADING)
        fputs("\nOptions:\n", file);
    for (size_t i = 0; i < spec->n_options; i++)
        print_option(&spec->options[i], file);
    print_option(&help, file);
    if (spec->examples)
        fprintf(file, "\nExamples:\n%s", spec->examples);
}

void host_options_print_completion(const struct host_spec *spec, FILE *file)
{
    for (size_t i = 0; i < spec->n_options; i++) {
        const struct host_option *option = &spec->options[i];
        const char *argument = option->argument ? option->argument : "";
        if (option->kind == HOST_HEADING)
            continue;
        fprintf(file, "--%s\t%s\n", option->name, argument);
        if (option->letter)
            fprintf(file, "-%c\t%s\n", option->letter, argument);
    }
    fputs("--help\t\n-h\t\n", file);
}
