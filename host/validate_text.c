/* SPDX-License-Identifier: Apache-2.0
 *
 * validate_text.c - reports of `videossm-cl validate` as table, JSON and JUnit. */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/json_text.h"
#include "host/plot.h"
#include "host/validate.h"

const char *host_verdict_word(enum vs_verdict verdict)
{
    static const char *const words[] = {"pass", "fail", "skip"};
    return words[verdict];
}

/* ---- Table -------------------------------------------------------------------------------- */

static const char *kept(bool kept)
{
    return kept ? "kept" : "flushed";
}

void host_report_print_head(FILE *file, const struct vs_device_info *device,
                            const struct vs_denormals *denormals)
{
    fprintf(file, "Device [%zu] %s\n", device->index, device->name);
    fprintf(file, "%s, driver %s\n", device->platform_name, device->driver);
    fprintf(file, "Denormal numbers: %s by +, %s by *, %s by fma (not judged)\n\n",
            kept(denormals->add), kept(denormals->multiply), kept(denormals->fma));
    fprintf(file, "%-19s %-36s %8s %8s\n", "operation", "shape", "ulp", "relative");
    fflush(file);
}

void host_report_print_case(FILE *file, const struct vs_case_result *result)
{
    fprintf(file, "%-19s %-36s ", result->op, result->shape);
    if (result->sha256[0])
        fprintf(file, "%8.3g %8.1e ", result->max_ulp, result->max_rel);
    else
        fprintf(file, "%8s %8s ", "-", "-");
    fprintf(file, "%s\n", host_verdict_word(result->verdict));
    if (result->verdict != VS_PASS)
        fprintf(file, "    %s\n", result->reason);
    fflush(file); /* a case may take seconds */
}

static size_t count(const struct host_report *report, enum vs_verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < report->n_cases; i++)
        n += report->cases[i].verdict == verdict;
    return n;
}

void host_report_print_end(FILE *file, const struct host_report *report)
{
    const struct host_demo *demo = &report->demo;
    if (demo->latents_sha256[0]) {
        fprintf(file, "\ndemo, %zu frames     latents %s\n", demo->n_frames, demo->latents_sha256);
        fprintf(file, "                    frames  %s\n", demo->frames_sha256);
    }
    if (demo->reason[0])
        fprintf(file, "demo                %s: %s\n", host_verdict_word(demo->verdict),
                demo->reason);
    fprintf(file, "\n%s: %zu cases pass, %zu fail, %zu skipped; demo: %s; %.0f s\n",
            report->failed ? "FAIL" : "PASS", count(report, VS_PASS), count(report, VS_FAIL),
            count(report, VS_SKIP), host_verdict_word(demo->verdict), report->seconds);
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* A hash, or null. */
static json_t *hash_json(const char *hex)
{
    return *hex ? json_string(hex) : json_null();
}

static json_t *case_json(const struct vs_case_result *result)
{
    json_t *json = json_pack("{s:o, s:o, s:f, s:f, s:o, s:s}", "op", host_json_text(result->op), "shape",
                             host_json_text(result->shape), "max_ulp", result->max_ulp, "max_rel",
                             result->max_rel, "sha256", hash_json(result->sha256), "verdict",
                             host_verdict_word(result->verdict));
    if (result->variants[0])
        json_object_set_new(json, "variants", host_json_text(result->variants));
    if (result->reason[0])
        json_object_set_new(json, "reason", host_json_text(result->reason));
    if (result->n_growth) {
        json_t *growth = json_array();
        for (size_t i = 0; i < result->n_growth; i++)
            json_array_append_new(growth, json_real(result->growth[i]));
        json_object_set_new(json, "growth", growth);
    }
    return json;
}

static json_t *demo_json(const struct host_demo *demo)
{
    json_t *json =
        json_pack("{s:o, s:o, s:s, s:I}", "latents_sha256", hash_json(demo->latents_sha256),
                  "frames_sha256", hash_json(demo->frames_sha256), "verdict",
                  host_verdict_word(demo->verdict), "n_frames", (json_int_t)demo->n_frames);
    if (demo->reason[0])
        json_object_set_new(json, "reason", host_json_text(demo->reason));
    return json;
}

static json_t *report_json(const struct host_report *report)
{
    json_t *cases = json_array();
    for (size_t i = 0; i < report->n_cases; i++)
        json_array_append_new(cases, case_json(&report->cases[i]));
    return json_pack("{s:o, s:o, s:s, s:o, s:o, s:s, s:{s:b, s:b, s:b}, s:o, s:o}", "device",
                     host_json_text(report->device.name), "driver", host_json_text(report->device.driver),
                     "version", vs_version(), "platform", host_json_text(report->device.platform_name),
                     "opencl", host_json_text(report->device.version), "verdict",
                     report->failed ? "fail" : "pass", "denormals_kept", "add",
                     report->denormals.add, "multiply", report->denormals.multiply, "fma",
                     report->denormals.fma, "cases", cases, "demo", demo_json(&report->demo));
}

enum vs_status host_reports_print_json(FILE *file, const struct host_report *reports,
                                       size_t n_reports)
{
    json_t *root = n_reports == 1 ? report_json(reports) : json_array();
    for (size_t i = 0; n_reports != 1 && i < n_reports; i++)
        json_array_append_new(root, report_json(&reports[i]));
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII) : NULL;
    json_decref(root);
    if (!text)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for the report");
    fprintf(file, "%s\n", text);
    free(text);
    return VS_OK;
}

/* ---- JUnit -------------------------------------------------------------------------------- */

static void print_test(FILE *file, const char *op, const char *shape, enum vs_verdict verdict,
                       const char *reason)
{
    fputs("  <testcase classname=\"", file);
    host_print_escaped(file, op);
    fputs("\" name=\"", file);
    host_print_escaped(file, shape);
    fputs("\">", file);
    if (verdict != VS_PASS) {
        fprintf(file, "<%s message=\"", verdict == VS_FAIL ? "failure" : "skipped");
        host_print_escaped(file, reason);
        fputs("\"/>", file);
    }
    fputs("</testcase>\n", file);
}

enum vs_status host_reports_write_junit(const char *path, const struct host_report *reports,
                                        size_t n_reports)
{
    enum vs_status status;
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    if (!file)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", file);
    for (size_t i = 0; i < n_reports; i++) {
        const struct host_report *report = &reports[i];
        const struct host_demo *demo = &report->demo;
        fputs(" <testsuite name=\"", file);
        host_print_escaped(file, report->device.name);
        fprintf(file, "\" tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\">\n", report->n_cases + 1,
                count(report, VS_FAIL) + (demo->verdict == VS_FAIL),
                count(report, VS_SKIP) + (demo->verdict == VS_SKIP));
        for (size_t j = 0; j < report->n_cases; j++)
            print_test(file, report->cases[j].op, report->cases[j].shape, report->cases[j].verdict,
                       report->cases[j].reason);
        print_test(file, "demo", "demo video", demo->verdict, demo->reason);
        fputs(" </testsuite>\n", file);
    }
    fputs("</testsuites>\n", file);
    status = fclose(file) == 0 ? host_draft_save(path, text, n)
                               : vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    free(text);
    return status;
}
