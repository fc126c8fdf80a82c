/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_text.c - reports of `videossm-cl bench`: table, JSON, and an older JSON beside them. */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/bench.h"
#include "host/json_text.h"

/* ---- Table -------------------------------------------------------------------------------- */

void host_bench_print_head(FILE *file, const struct host_bench_report *report, bool compared)
{
    const struct vs_device_info *device = report->device;
    fprintf(file, "Device [%zu] %s\n%s, driver %s\n\n", device->index, device->name,
            device->platform_name, device->driver);
    fprintf(file, "%-32s %9s %4s %7s %6s %5s %5s%s  %s\n", "operation", "ms", "+-%", "GFLOP/s",
            "GB/s", "peak", "copy", compared ? " x old" : "", "variant");
    fflush(file);
}

void host_bench_print_result(FILE *file, const struct host_bench_result *result, bool compared)
{
    if (result->skipped) {
        fprintf(file, "%-32s skipped: %s%s%s\n", result->op, result->variant ? result->variant : "",
                result->variant ? ": " : "", result->skipped);
    } else {
        fprintf(file, "%-32s %9.3f %4.0f %7.1f %6.1f %4.0f%% %4.0f%%", result->op,
                result->median_ms, 100 * result->spread, result->gflops, result->gbs,
                100 * result->fraction_of_peak, 100 * result->fraction_of_copy);
        if (compared && result->against_old > 0)
            fprintf(file, " %5.2f", result->against_old);
        else if (compared)
            fprintf(file, " %5s", "-");
        fprintf(file, "  %s\n", result->variant);
    }
    fflush(file); /* an operation may take a minute */
}

void host_bench_print_end(FILE *file, const struct host_bench_report *report)
{
    fprintf(file, "\npeak: %.1f GFLOP/s by a loop of fma (%s), %.1f GB/s by copies\n",
            report->peak_gflops, report->peak_name, report->copy_gbs);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static json_t *result_json(const struct host_bench_result *result)
{
    if (result->skipped)
        return json_pack("{s:o, s:s?, s:b, s:o}", "op", host_json_text(result->op), "variant",
                         result->variant, "chosen", result->chosen, "skipped",
                         host_json_text(result->skipped));
    json_t *json = json_pack("{s:o, s:s, s:b, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:f}",
                             "op", host_json_text(result->op), "variant", result->variant, "chosen",
                             result->chosen, "median_ms", result->median_ms, "min_ms",
                             result->min_ms, "spread", result->spread, "n", (json_int_t)result->n,
                             "gflops", result->gflops, "gbs", result->gbs, "fraction_of_peak",
                             result->fraction_of_peak, "fraction_of_copy", result->fraction_of_copy,
                             "peak_gflops", result->peak_gflops, "copy_gbs", result->copy_gbs);
    if (result->against_old > 0)
        json_object_set_new(json, "against_old", json_real(result->against_old));
    return json;
}

enum vs_status host_bench_print_json(FILE *file, const struct host_bench_report *report)
{
    const struct vs_device_info *device = report->device;
    json_t *results = json_array();
    for (size_t i = 0; i < report->n_results; i++)
        json_array_append_new(results, result_json(&report->results[i]));
    json_t *root =
        json_pack("{s:o, s:o, s:o, s:s, s:s, s:f, s:f, s:o}", "device", host_json_text(device->name),
                  "driver", host_json_text(device->driver), "platform", host_json_text(device->platform_name),
                  "version", vs_version(), "peak_loop", report->peak_name, "peak_gflops",
                  report->peak_gflops, "copy_gbs", report->copy_gbs, "results", results);
    char *text =
        root ? json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(8)) : NULL;
    json_decref(root);
    if (!text)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for the report");
    fprintf(file, "%s\n", text);
    free(text);
    return VS_OK;
}

/* ---- An older report ---------------------------------------------------------------------- */

struct host_bench_old {
    json_t *root, *results;
};

enum vs_status host_bench_old_load(struct host_bench_old **out, const char *path)
{
    json_error_t error;
    struct host_bench_old *old = vs_alloc(1, sizeof *old);
    *out = NULL;
    if (!old)
        return VS_ERROR_MEMORY;
    old->root = json_load_file(path, 0, &error);
    old->results = json_object_get(old->root, "results");
    if (json_is_array(old->results)) {
        *out = old;
        return VS_OK;
    }
    bool parsed = old->root != NULL;
    host_bench_old_free(old);
    if (!parsed)
        return vs_fail(VS_ERROR_USAGE, "--compare %s: line %d: %s; give a report of 'bench --json'",
                       path, error.line, error.text);
    return vs_fail(VS_ERROR_USAGE, "--compare %s: not a report of 'bench --json'", path);
}

void host_bench_old_free(struct host_bench_old *old)
{
    if (!old)
        return;
    json_decref(old->root);
    free(old);
}

static bool has_text(const json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value && strcmp(value, text) == 0;
}

void host_bench_old_compare(struct host_bench_result *result, const struct host_bench_old *old)
{
    size_t i;
    json_t *entry;
    if (result->skipped)
        return;
    /* A variant that is gone, or one with a new name, is held against what a run took then. */
    bool by_memory = result->fraction_of_copy > result->fraction_of_peak;
    double now = by_memory ? result->fraction_of_copy : result->fraction_of_peak, exact = 0,
           chosen = 0;
    json_array_foreach(old->results, i, entry)
    {
        if (!has_text(entry, "op", result->op))
            continue;
        double then = json_number_value(
            json_object_get(entry, by_memory ? "fraction_of_copy" : "fraction_of_peak"));
        if (has_text(entry, "variant", result->variant) && then > 0)
            exact = now / then;
        if (json_is_true(json_object_get(entry, "chosen")) && then > 0)
            chosen = now / then;
    }
    result->against_old = result->chosen && chosen > 0 ? chosen : exact;
}
