/* SPDX-License-Identifier: Apache-2.0
 *
 * validate_compare.c - `videossm-cl validate --compare`: two machines' reports against each other.
 *
 * Every report of both files is held against the first of the first file, both ways, so that a
 * result that one of them lacks is noticed whichever it is. A case that one device skipped, for
 * want of memory, is noted and not held against it. */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/draft.h"
#include "host/validate.h"
#include "models/json_parse.h"

enum { MAX_BYTES = 64 << 20, MAX_REPORTS = 1000 };

struct side {
    json_t *report; /* borrowed from its file */
    const char *path;
};

struct tally {
    size_t n_equal, n_skipped, n_wrong;
    char *first; /* message of the first difference */
};

/* ---- Reading ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_report(const json_t *json)
{
    const json_t *cases = json_object_get(json, "cases");
    if (!text_of(json, "device") || !json_is_array(cases))
        return false;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        if (!text_of(one, "op") || !text_of(one, "shape"))
            return false;
    }
    return true;
}

static enum vs_status load(json_t **root, const char *path)
{
    enum vs_status status = VS_OK;
    char *text = NULL;
    size_t n = 0;
    json_error_t error;
    VS_TRY(host_read_file(&text, &n, path, MAX_BYTES));
    VS_TRY(vs_json_parse(root, text, n, 0, &error));
    if (!*root)
        status = vs_fail(VS_ERROR_USAGE, "%s: no JSON: %s, line %d", path, error.text, error.line);
fail:
    free(text);
    return status;
}

/* Adds the reports of a file, one or an array, to sides. */
static enum vs_status collect(struct side *sides, size_t *n_sides, json_t *root, const char *path)
{
    size_t n = json_is_array(root) ? json_array_size(root) : 1;
    for (size_t i = 0; i < n; i++) {
        json_t *report = json_is_array(root) ? json_array_get(root, i) : root;
        if (!is_report(report) || *n_sides == MAX_REPORTS)
            return vs_fail(VS_ERROR_USAGE,
                           "%s: not a report; make one with 'videossm-cl validate --json'", path);
        sides[(*n_sides)++] = (struct side){report, path};
    }
    return n ? VS_OK : vs_fail(VS_ERROR_USAGE, "%s: holds no report", path);
}

/* ---- Comparing ---------------------------------------------------------------------------- */

/* Control characters, which a report may hold, do not reach the terminal. */
static void puts_clean(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
    putchar('\n');
}

static void differ(struct tally *tally, const char *op, const char *shape, const char *what,
                   const struct side *side)
{
    char *line = vs_format("%s, %s: %s %s (%s)", op, shape, what, side->path,
                           text_of(side->report, "device"));
    tally->n_wrong++;
    if (line)
        puts_clean(line);
    if (tally->first)
        free(line);
    else
        tally->first = line;
}

static const json_t *find_case(const json_t *report, const char *op, const char *shape)
{
    const json_t *cases = json_object_get(report, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        if (strcmp(text_of(one, "op"), op) == 0 && strcmp(text_of(one, "shape"), shape) == 0)
            return one;
    }
    return NULL;
}

static bool skipped(const json_t *one)
{
    const char *verdict = text_of(one, "verdict");
    return verdict && strcmp(verdict, "skip") == 0 && !text_of(one, "sha256");
}

/* The hash under key of both; what a side lacks is a difference. */
static void compare_hash(struct tally *tally, const json_t *a, const json_t *b, const char *key,
                         const char *op, const char *shape, const struct side *first,
                         const struct side *other)
{
    const char *x = text_of(a, key), *y = text_of(b, key);
    if (!x || !y || !*x || !*y)
        differ(tally, op, shape, "no hash in", x && *x ? other : first);
    else if (strcmp(x, y) != 0)
        differ(tally, op, shape, "another hash in", other);
    else
        tally->n_equal++;
}

static void compare_reports(struct tally *tally, const struct side *first, const struct side *other)
{
    const json_t *cases = json_object_get(first->report, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *a = json_array_get(cases, i);
        const char *op = text_of(a, "op"), *shape = text_of(a, "shape");
        const json_t *b = find_case(other->report, op, shape);
        if (b && (skipped(a) || skipped(b)))
            tally->n_skipped++;
        else
            compare_hash(tally, a, b, "sha256", op, shape, first, other);
    }
    cases = json_object_get(other->report, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *b = json_array_get(cases, i);
        if (!find_case(first->report, text_of(b, "op"), text_of(b, "shape")))
            differ(tally, text_of(b, "op"), text_of(b, "shape"), "no hash in", first);
    }
    const json_t *a = json_object_get(first->report, "demo");
    const json_t *b = json_object_get(other->report, "demo");
    /* Where neither made the video ('--only'), there is nothing to miss. */
    if (text_of(a, "latents_sha256") || text_of(b, "latents_sha256") ||
        text_of(a, "frames_sha256") || text_of(b, "frames_sha256")) {
        compare_hash(tally, a, b, "latents_sha256", "demo", "latents", first, other);
        compare_hash(tally, a, b, "frames_sha256", "demo", "frames", first, other);
    }
}

enum vs_status host_reports_compare(const char *path, const char *other_path)
{
    enum vs_status status = VS_OK;
    json_t *roots[2] = {NULL, NULL};
    struct tally tally = {0};
    size_t n_sides = 0;
    struct side *sides = vs_alloc(MAX_REPORTS, sizeof *sides);
    if (!sides)
        return VS_ERROR_MEMORY;
    VS_TRY(load(&roots[0], path));
    VS_TRY(collect(sides, &n_sides, roots[0], path));
    VS_TRY(load(&roots[1], other_path));
    VS_TRY(collect(sides, &n_sides, roots[1], other_path));
    for (size_t i = 1; i < n_sides; i++)
        compare_reports(&tally, &sides[0], &sides[i]);
    printf("%zu hashes equal, %zu differ or are missing, %zu cases skipped\n", tally.n_equal,
           tally.n_wrong, tally.n_skipped);
    if (tally.n_wrong)
        status =
            vs_fail(VS_ERROR_VALIDATION, "%s", tally.first ? tally.first : "the reports differ");
    else if (tally.n_equal == 0)
        status = vs_fail(VS_ERROR_VALIDATION, "%s and %s have no hash in common", path, other_path);
fail:
    json_decref(roots[0]);
    json_decref(roots[1]);
    free(tally.first);
    free(sides);
    return status;
}
