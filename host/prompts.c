/* SPDX-License-Identifier: Apache-2.0
 *
 * prompts.c - prompts from options and scripts, checked before anything is computed. */
#include "config.h"

#include "host/prompts.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "models/json_parse.h"

enum { MAX_SCRIPT_BYTES = 16 << 20, MAX_PROMPTS = 10000 };

size_t host_utf8_fault(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;
    while (s[i]) {
        size_t n = s[i] < 0x80                   ? 1
                   : s[i] >= 0xc2 && s[i] < 0xe0 ? 2
                   : (s[i] & 0xf0) == 0xe0       ? 3
                   : s[i] >= 0xf0 && s[i] < 0xf5 ? 4
                                                 : 0;
        if (n == 0)
            return i;
        for (size_t j = 1; j < n; j++) {
            if ((s[i + j] & 0xc0) != 0x80)
                return i;
        }
        bool overlong = (s[i] == 0xe0 && s[i + 1] < 0xa0) || (s[i] == 0xf0 && s[i + 1] < 0x90);
        bool surrogate = s[i] == 0xed && s[i + 1] >= 0xa0;
        if (overlong || surrogate || (s[i] == 0xf4 && s[i + 1] >= 0x90))
            return i;
        i += n;
    }
    return SIZE_MAX;
}

enum vs_status host_prompts_add(struct host_prompts *prompts, double seconds, const char *text,
                                const char *source)
{
    size_t fault = host_utf8_fault(text);
    if (fault != SIZE_MAX)
        return vs_fail(VS_ERROR_USAGE, "%s: byte %zu is not UTF-8; save the text as UTF-8", source,
                       fault);
    if (!(seconds >= 0 && seconds <= HOST_MAX_SECONDS))
        return vs_fail(VS_ERROR_USAGE, "%s: %g is no time; give seconds from 0 to %.0f", source,
                       seconds, HOST_MAX_SECONDS);
    if (prompts->n >= MAX_PROMPTS)
        return vs_fail(VS_ERROR_USAGE, "%s: more than %d prompts", source, MAX_PROMPTS);
    struct vs_prompt *items = vs_realloc(prompts->items, prompts->n + 1, sizeof *items);
    if (!items)
        return VS_ERROR_MEMORY;
    prompts->items = items;
    char *copy = vs_strdup(text);
    if (!copy)
        return VS_ERROR_MEMORY;
    items[prompts->n++] = (struct vs_prompt){seconds, copy};
    return VS_OK;
}

static enum vs_status read_entry(struct host_prompts *prompts, const json_t *entry,
                                 const char *where)
{
    const char *key;
    json_t *value;
    if (!json_is_object(entry))
        return vs_fail(VS_ERROR_USAGE, "%s: must be {\"at\": SECONDS, \"prompt\": \"TEXT\"}",
                       where);
    json_object_foreach((json_t *)(uintptr_t)entry, key, value)
    {
        if (strcmp(key, "at") != 0 && strcmp(key, "prompt") != 0)
            return vs_fail(VS_ERROR_USAGE, "%s.%s: unknown; an entry has \"at\" and \"prompt\"",
                           where, key);
    }
    const json_t *at = json_object_get(entry, "at"), *prompt = json_object_get(entry, "prompt");
    if (!json_is_number(at))
        return vs_fail(VS_ERROR_USAGE, "%s.at: %s; give the time in seconds as a number", where,
                       at ? "no number" : "missing");
    if (!json_is_string(prompt))
        return vs_fail(VS_ERROR_USAGE, "%s.prompt: %s; give the text as a string", where,
                       prompt ? "no string" : "missing");
    return host_prompts_add(prompts, json_number_value(at), json_string_value(prompt), where);
}

static enum vs_status read_script(struct host_prompts *prompts, const json_t *root,
                                  const char *path)
{
    enum vs_status status = VS_OK;
    const char *base = "$";
    const json_t *list = root;
    if (json_is_object(root)) {
        list = json_object_get(root, "prompts");
        base = "$.prompts";
    }
    if (!json_is_array(list))
        return vs_fail(VS_ERROR_USAGE,
                       "%s: %s: must be a list of {\"at\": SECONDS, \"prompt\": "
                       "\"TEXT\"}",
                       path, base);
    if (json_array_size(list) == 0)
        return vs_fail(VS_ERROR_USAGE, "%s: %s: holds no prompt", path, base);
    for (size_t i = 0; i < json_array_size(list) && status == VS_OK; i++) {
        char *where = vs_format("%s: %s[%zu]", path, base, i);
        if (!where)
            return VS_ERROR_MEMORY;
        status = read_entry(prompts, json_array_get(list, i), where);
        free(where);
    }
    return status;
}

enum vs_status host_prompts_load(struct host_prompts *prompts, const char *path)
{
    char *text = NULL;
    size_t n_bytes = 0;
    enum vs_status status = host_read_file(&text, &n_bytes, path, MAX_SCRIPT_BYTES);
    if (status != VS_OK)
        return status;
    json_error_t error;
    json_t *root;
    status = vs_json_parse(&root, text, n_bytes, JSON_REJECT_DUPLICATES, &error);
    if (root)
        status = read_script(prompts, root, path);
    else if (status == VS_OK)
        status = vs_fail(VS_ERROR_USAGE, "%s: line %d, column %d: %s", path, error.line,
                         error.column, error.text);
    json_decref(root);
    free(text);
    return status;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const struct vs_prompt *)a)->seconds, y = ((const struct vs_prompt *)b)->seconds;
    return (x > y) - (x < y);
}

enum vs_status host_prompts_settle(struct host_prompts *prompts)
{
    if (prompts->n == 0)
        return vs_fail(VS_ERROR_USAGE,
                       "no prompt; say what the video shows with --prompt TEXT or --script FILE");
    qsort(prompts->items, prompts->n, sizeof *prompts->items, by_time);
    if (prompts->items[0].seconds > 0)
        return vs_fail(VS_ERROR_USAGE,
                       "the first prompt begins at %g s; give one for the beginning with --prompt "
                       "TEXT (in a script: \"at\": 0)",
                       prompts->items[0].seconds);
    for (size_t i = 1; i < prompts->n; i++) {
        if (!(prompts->items[i].seconds > prompts->items[i - 1].seconds))
            return vs_fail(VS_ERROR_USAGE, "two prompts for %g s; give each its own time",
                           prompts->items[i].seconds);
    }
    return VS_OK;
}

void host_prompts_free(struct host_prompts *prompts)
{
    for (size_t i = 0; i < prompts->n; i++)
        free((char *)(uintptr_t)prompts->items[i].text);
    free(prompts->items);
    *prompts = (struct host_prompts){0};
}
