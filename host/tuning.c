/* SPDX-License-Identifier: Apache-2.0
 *
 * tuning.c - reading, writing and using files of tuning records. */
#include "config.h"

#include "host/tuning.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/device.h"
#include "host/command.h"
#include "host/draft.h"
#include "host/json_text.h"
#include "host/settings.h"
#include "kernels/bench/bench.h"
#include "kernels/tuning.h"
#include "models/json_parse.h"

enum { MAX_BYTES = 1 << 20, FORMAT = 1 };

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- Files -------------------------------------------------------------------------------- */

enum vs_status host_tuning_path(char **path, const struct vs_context *context)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char key[65];
    vs_context_fingerprint(context, key);
    /* Relative paths are invalid in that variable (XDG Base Directory Specification). */
    if (base && *base == '/')
        *path = vs_format("%s/videossm-cl/tuning/%s.json", base, key);
    else if (home && *home == '/')
        *path = vs_format("%s/.config/videossm-cl/tuning/%s.json", home, key);
    else
        return vs_fail(VS_ERROR_RUNTIME, "no folder for tuning records: set HOME, or name a file "
                                         "with --output");
    return *path ? VS_OK : VS_ERROR_MEMORY;
}

static bool are_records(const json_t *records)
{
    size_t i, n = json_array_size(records);
    for (i = 0; i < n; i++)
        if (!text_of(json_array_get(records, i), "op") ||
            !text_of(json_array_get(records, i), "variant"))
            break;
    return json_is_array(records) && i == n;
}

enum vs_status host_tuning_load(json_t **tuning, const char *path)
{
    enum vs_status status = VS_OK;
    char *text = NULL;
    size_t n = 0;
    json_error_t error;
    *tuning = NULL;
    VS_TRY(host_read_file(&text, &n, path, MAX_BYTES));
    VS_TRY(vs_json_parse(tuning, text, n, 0, &error));
    if (!*tuning)
        status = vs_fail(VS_ERROR_USAGE, "%s: no JSON: %s, line %d", path, error.text, error.line);
    else if (json_integer_value(json_object_get(*tuning, "tuning")) != FORMAT ||
             !are_records(json_object_get(*tuning, "records")))
        status = vs_fail(VS_ERROR_USAGE,
                         "%s: holds no tuning records; make them with 'videossm-cl tune'", path);
    if (status != VS_OK) {
        json_decref(*tuning);
        *tuning = NULL;
    }
fail:
    free(text);
    return status;
}

/* The folders above a file; a fault shows when the file is opened. */
static void make_folders(const char *path)
{
    char *copy = vs_strdup(path);
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)!mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
}

enum vs_status host_tuning_save(const char *path, const struct vs_context *context, json_t *records)
{
    enum vs_status status = VS_OK;
    const struct vs_device_info *device = vs_context_device(context);
    struct host_draft draft = {.fd = -1};
    char *text = NULL;
    json_t *tuning = json_pack("{s:i, s:o, s:o, s:o, s:s, s:O}", "tuning", FORMAT, "device",
                               host_json_text(device->name), "platform",
                               host_json_text(device->platform_name), "driver",
                               host_json_text(device->driver), "version", vs_version(),
                               "records", records);
    text = tuning ? json_dumps(tuning, JSON_INDENT(1) | JSON_REAL_PRECISION(4)) : NULL;
    if (!text) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    make_folders(path);
    VS_TRY(host_draft_open(&draft, path));
    VS_TRY(host_draft_write(&draft, text, strlen(text)));
    VS_TRY(host_draft_write(&draft, "\n", 1));
    VS_TRY(host_draft_commit(&draft));
fail:
    if (status != VS_OK)
        host_draft_discard(&draft);
    free(text);
    json_decref(tuning);
    return status;
}

static bool is_precision(const json_t *word)
{
    const char *text = json_string_value(word);
    return !word || (text && (!strcmp(text, host_precision_word(VS_PRECISION_EXACT)) ||
                              !strcmp(text, host_precision_word(VS_PRECISION_FAST))));
}

enum vs_precision host_tuning_precision(const json_t *record)
{
    const char *word = text_of(record, "precision");
    return word && strcmp(word, host_precision_word(VS_PRECISION_FAST)) == 0 ? VS_PRECISION_FAST
                                                                             : VS_PRECISION_EXACT;
}

enum vs_status host_tuning_add(json_t *records, const char *op, const char *variant,
                               enum vs_precision precision, double against_rule)
{
    for (size_t i = json_array_size(records); i-- > 0;) {
        const json_t *other = json_array_get(records, i);
        const char *other_op = text_of(other, "op");
        if (other_op && strcmp(other_op, op) == 0 && host_tuning_precision(other) == precision)
            json_array_remove(records, i);
    }
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    enum vs_status status = vs_bench_read(&family, &shape, op);
    if (status != VS_OK)
        return status;
    json_t *record = json_pack("{s:s, s:s, s:I, s:f}", "op", op, "variant", variant, "among",
                               (json_int_t)vs_bench_count_variants(family, precision), "against_rule",
                               against_rule);
    if (record && precision == VS_PRECISION_FAST)
        json_object_set_new(record, "precision", json_string(host_precision_word(precision)));
    if (!record || json_array_append_new(records, record) != 0)
        return vs_fail(VS_ERROR_MEMORY, "no memory for a tuning record");
    return VS_OK;
}

void host_tuning_note_speed(json_t *records, double flops, double gflops, double gbs)
{
    json_t *record = json_array_get(records, json_array_size(records) - 1);
    json_object_set_new(record, "flops", json_real(flops));
    json_object_set_new(record, "gflops", json_real(gflops));
    json_object_set_new(record, "gbs", json_real(gbs));
}

json_t *host_tuning_records(const struct vs_context *context)
{
    char *path = NULL;
    json_t *tuning = NULL, *records = NULL;
    if (host_tuning_path(&path, context) == VS_OK && host_tuning_load(&tuning, path) == VS_OK)
        records = json_incref(json_object_get(tuning, "records"));
    json_decref(tuning);
    free(path);
    return records;
}

bool host_tuning_is_current(const json_t *record)
{
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    const char *variant = text_of(record, "variant");
    json_int_t among = json_integer_value(json_object_get(record, "among"));
    if (!is_precision(json_object_get(record, "precision")) ||
        vs_bench_read(&family, &shape, text_of(record, "op")) != VS_OK)
        return false;
    enum vs_precision precision = host_tuning_precision(record);
    size_t n = vs_bench_count_variants(family, precision), i = 0;
    while (n && family->variant_name(i) && strcmp(family->variant_name(i), variant) != 0)
        i++;
    return n && family->variant_name(i) &&
           (precision == VS_PRECISION_FAST || !(vs_bench_bound(family, i) > 0)) &&
           (!among || among == (json_int_t)n);
}

/* ---- Use ---------------------------------------------------------------------------------- */

/* Records are helps: what is unknown here, another version of the program may know. */
static void apply(struct vs_context *context, const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        bool library = vs_tuning_is_of_library(text_of(record, "op")) &&
                       host_tuning_precision(record) == VS_PRECISION_FAST;
        if (library || host_tuning_is_current(record)) {
            enum vs_status ignored =
                vs_tuning_set(context, text_of(record, "op"), text_of(record, "variant"),
                              host_tuning_precision(record));
            (void)ignored; /* without memory for it, the rule decides */
        }
    }
}

/* Whether a block of shipped records is for this device: each thing that it names must agree. */
static bool matches(const json_t *block, const struct vs_context *context)
{
    const struct vs_device_info *device = vs_context_device(context);
    const char *platform = text_of(block, "platform"), *vendor = text_of(block, "vendor");
    const char *type = text_of(block, "type");
    const json_t *width = json_object_get(block, "vector_width");
    return (!platform || strstr(device->platform_name, platform)) &&
           (!vendor || strstr(device->vendor, vendor)) &&
           (!type || strcmp(vs_device_type_name(device->type), type) == 0) &&
           (!width || json_integer_value(width) == (json_int_t)vs_context_vector_width(context));
}

static void apply_shipped(struct vs_context *context)
{
    json_t *blocks = json_loads(host_tuning_shipped, 0, NULL);
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const json_t *block = json_array_get(blocks, i);
        if (matches(block, context) && are_records(json_object_get(block, "records")))
            apply(context, json_object_get(block, "records"));
    }
    json_decref(blocks);
}

static void apply_users(struct vs_context *context)
{
    char *path = NULL;
    json_t *tuning = NULL;
    if (host_tuning_path(&path, context) != VS_OK || (access(path, F_OK) != 0 && errno == ENOENT)) {
        free(path);
        return;
    }
    if (host_tuning_load(&tuning, path) == VS_OK)
        apply(context, json_object_get(tuning, "records"));
    else
        host_warn("%s; it is ignored", vs_error_message());
    json_decref(tuning);
    free(path);
}

void host_tuning_use(struct vs_context *context)
{
    apply_shipped(context);
    apply_users(context);
}

enum vs_status host_open_device(struct vs_context **context, const char *device)
{
    enum vs_status status = vs_context_create(context, device);
    if (status == VS_OK)
        host_tuning_use(*context);
    return status;
}
