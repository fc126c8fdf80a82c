/* SPDX-License-Identifier: Apache-2.0
 *
 * validate.c - `videossm-cl validate`: does a device give the bits it must?
 *
 * All that is computed is in kernels/validate/; here are the options, the order of things and the
 * exit code. */
#include "config.h"

#include "host/validate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/settings.h"
#include "host/tuning.h"

struct values {
    struct host_list devices, only, compare;
    const char *junit, *html, *model;
    int precision;
    bool all, quick, json;
};

static const struct host_option options[] = {
    {HOST_HEADING, .name = "What to validate"},
    {HOST_LIST, 'd', "device", "DEVICE",
     "Number, platform:device, part of a name, or cpu, gpu, accelerator, intel, amd, nvidia. "
     "Repeatable. Default: the one that generate takes.",
     offsetof(struct values, devices)},
    {HOST_FLAG, 0, "all", NULL, "Every usable device.", offsetof(struct values, all)},
    {HOST_FLAG, 0, "quick", NULL, "Small cases and one chunk of the demo video.",
     offsetof(struct values, quick)},
    {HOST_CHOICE, 0, "precision", HOST_PRECISION_WORDS,
     "fast: also what serves in fast precision, which is held to its stated distance from float64 "
     "in place of the oracle's bits. Default: exact.",
     offsetof(struct values, precision)},
    {HOST_LIST, 0, "only", "OPERATION",
     "Operations whose name begins so ('linear', 'demo'); no others. Repeatable.",
     offsetof(struct values, only)},
    {HOST_STRING, 'm', "model", "DIR",
     "Model of the demo video. Default: $VIDEOSSM_MODEL, else the installed demo model.",
     offsetof(struct values, model)},
    {HOST_HEADING, .name = "Reports"},
    {HOST_FLAG, 0, "json", NULL, "Print JSON in place of the table.",
     offsetof(struct values, json)},
    {HOST_STRING, 0, "junit", "FILE", "Write a JUnit file, for continuous integration.",
     offsetof(struct values, junit)},
    {HOST_STRING, 0, "html", "FILE", "Write one self-contained page with plot and pictures.",
     offsetof(struct values, html)},
    {HOST_PAIRS, 0, "compare", "FILE FILE",
     "Hold two machines' JSON reports against each other; needs no device.",
     offsetof(struct values, compare)},
};

const struct host_spec host_validate_spec = {
    .command = "validate",
    .summary = "prove that a device gives the same bits as any other",
    .about =
        "Runs every operation on the device, by each of its kernels, and holds the results "
        "against plain C bit for bit, against a second run, and against float64; then makes the "
        "demo video and holds its hashes against those shipped with the program. 'ulp' and "
        "'relative' are the largest distance to float64. Numbers too small for float32's normal "
        "range are reported, never judged. Exits with 6 when anything differs.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl validate --quick\n"
                "  videossm-cl validate --all --html report.html\n"
                "  videossm-cl validate --json >here.json\n"
                "  videossm-cl validate --compare here.json there.json\n",
};

/* ---- What to run -------------------------------------------------------------------------- */

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool wanted(const struct values *values, const char *op)
{
    for (size_t i = 0; i < values->only.n; i++)
        if (begins_with(op, values->only.items[i]))
            return true;
    return values->only.n == 0;
}

static enum vs_status check_values(const struct values *values)
{
    bool running = values->devices.n || values->all || values->quick || values->only.n ||
                   values->precision || values->json || values->junit || values->html ||
                   values->model;
    if (values->compare.n && (running || values->compare.n > 2))
        return vs_fail(VS_ERROR_USAGE,
                       "--compare holds two reports against each other, once, and goes with no "
                       "other option");
    if (values->all && values->devices.n)
        return vs_fail(VS_ERROR_USAGE, "--all and --device both say which; give one of them");
    for (size_t i = 0; i < values->only.n; i++) {
        const char *word = values->only.items[i];
        bool known = *word && begins_with("demo", word);
        for (size_t j = 0; j < vs_validate_count(); j++)
            known |= *word && begins_with(vs_validate_op(j), word);
        if (!known)
            return vs_fail(VS_ERROR_USAGE,
                           "--only '%s': no operation begins so; the table that is printed "
                           "without --only names all",
                           word);
    }
    return VS_OK;
}

/* Devices by number, so that each is found again whatever its name. */
static enum vs_status find_devices(struct vs_device_info **devices, size_t *n_devices,
                                   const struct values *values)
{
    enum vs_status status = VS_OK;
    size_t n_wishes = values->devices.n ? values->devices.n : 1, n = 0;
    *n_devices = 0;
    if (values->all) {
        VS_TRY(vs_device_list(devices, &n));
        for (size_t i = 0; i < n; i++)
            if ((*devices)[i].usable)
                (*devices)[(*n_devices)++] = (*devices)[i];
        if (*n_devices == 0)
            status =
                vs_fail(VS_ERROR_DEVICE, "no usable OpenCL device; 'videossm-cl devices' says why");
        return status;
    }
    *devices = vs_alloc(n_wishes, sizeof **devices);
    if (!*devices)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n_wishes; i++)
        VS_TRY(vs_device_find(&(*devices)[(*n_devices)++],
                              values->devices.n ? values->devices.items[i] : NULL));
fail:
    return status;
}

/* ---- One device --------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static enum vs_status run_cases(struct host_report *report, struct vs_context *context,
                                const struct values *values)
{
    enum vs_status status = VS_OK;
    report->cases = vs_alloc(vs_validate_count(), sizeof *report->cases);
    if (!report->cases)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < vs_validate_count(); i++) {
        struct vs_case_result *result = &report->cases[report->n_cases];
        if (!wanted(values, vs_validate_op(i)) || (values->quick && !vs_validate_is_quick(i)))
            continue;
        VS_TRY(vs_validate_run(result, context, i));
        report->n_cases++;
        report->failed |= result->verdict == VS_FAIL;
        if (!values->json)
            host_report_print_case(stdout, result);
    }
fail:
    return status;
}

static enum vs_status validate_device(struct host_report *report,
                                      const struct vs_device_info *device,
                                      const struct vs_model *model, const struct values *values)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = NULL;
    double start = now();
    char number[32];
    snprintf(number, sizeof number, "%zu", device->index);
    report->device = *device;
    VS_TRY(host_open_device(&context, number));
    vs_context_set_precision(context, (enum vs_precision)values->precision);
    VS_TRY(vs_validate_denormals(&report->denormals, context));
    if (!values->json)
        host_report_print_head(stdout, device, &report->denormals);
    VS_TRY(run_cases(report, context, values));
    if (model)
        VS_TRY(host_demo_run(&report->demo, context, model, values->quick));
    else
        report->demo.verdict = VS_SKIP;
    report->failed |= report->demo.verdict == VS_FAIL;
    report->seconds = now() - start;
    if (!values->json)
        host_report_print_end(stdout, report);
fail:
    vs_context_free(context);
    return status;
}

/* ---- The command -------------------------------------------------------------------------- */

/* The message of a validation that failed: the first thing at fault. */
static enum vs_status conclude(const struct host_report *reports, size_t n_reports)
{
    for (size_t i = 0; i < n_reports; i++) {
        const struct host_report *report = &reports[i];
        for (size_t j = 0; j < report->n_cases; j++)
            if (report->cases[j].verdict == VS_FAIL)
                return vs_fail(VS_ERROR_VALIDATION, "%s (driver %s): %s, %s: %s",
                               report->device.name, report->device.driver, report->cases[j].op,
                               report->cases[j].shape, report->cases[j].reason);
        if (report->failed)
            return vs_fail(VS_ERROR_VALIDATION, "%s (driver %s): demo: %s", report->device.name,
                           report->device.driver, report->demo.reason);
    }
    return VS_OK;
}

static enum vs_status validate(const struct values *values)
{
    enum vs_status status = VS_OK;
    struct vs_device_info *devices = NULL;
    struct host_report *reports = NULL;
    struct vs_model *model = NULL;
    size_t n_devices = 0, n_reports = 0;
    if (wanted(values, "demo"))
        VS_TRY(host_run_open_model(
            &model, &(struct host_run){.files = {.folder = values->model}}, false));
    VS_TRY(find_devices(&devices, &n_devices, values));
    reports = vs_alloc(n_devices, sizeof *reports);
    if (!reports) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    for (size_t i = 0; i < n_devices; i++) {
        n_reports++;
        if (i && !values->json)
            putchar('\n');
        VS_TRY(validate_device(&reports[i], &devices[i], model, values));
    }
    if (values->json)
        VS_TRY(host_reports_print_json(stdout, reports, n_reports));
    if (values->junit)
        VS_TRY(host_reports_write_junit(values->junit, reports, n_reports));
    if (values->html)
        VS_TRY(host_reports_write_html(values->html, reports, n_reports));
    status = conclude(reports, n_reports);
fail:
    for (size_t i = 0; i < n_reports; i++)
        host_report_free(&reports[i]);
    free(reports);
    free(devices);
    vs_model_free(model);
    return status;
}

int host_validate(int argc, char **argv)
{
    struct values values = {.all = false};
    bool help;
    enum vs_status status =
        host_options_parse(&host_validate_spec, &values, NULL, &help, argc, argv);
    if (status == VS_OK && help) {
        host_options_print_help(&host_validate_spec, stdout);
    } else if (status == VS_OK) {
        status = check_values(&values);
        if (status == VS_OK && values.compare.n)
            status = host_reports_compare(values.compare.items[0], values.compare.items[1]);
        else if (status == VS_OK)
            status = validate(&values);
    }
    free(values.devices.items);
    free(values.only.items);
    free(values.compare.items);
    return host_report(status);
}
