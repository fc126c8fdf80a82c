/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.c - `videossm-cl bench`: how fast is each operation, and how fast could it be? */
#include "config.h"

#include "host/bench.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/settings.h"
#include "host/tuning.h"
#include "models/bench.h"

struct values {
    struct host_list ops, names;
    const char *device, *compare;
    struct host_number seconds;
    int precision;
    bool variants, processor_time, json;
};

static const struct host_option options[] = {
    {HOST_HEADING, .name = "What to measure"},
    {HOST_STRING, 'd', "device", "DEVICE",
     "Number, platform:device, part of a name, or cpu, gpu, accelerator, intel, amd, nvidia. "
     "Default: the first GPU, else accelerator, else CPU; see 'videossm-cl devices'.",
     offsetof(struct values, device)},
    {HOST_LIST, 0, "op", "OPERATION",
     "An operation and its sizes, or a family alone ('linear') for its real shapes. Repeatable. "
     "Default: all families.",
     offsetof(struct values, ops)},
    {HOST_FLAG, 0, "variants", NULL, "Also the variants that a run would not take.",
     offsetof(struct values, variants)},
    {HOST_LIST, 0, "variant", "NAME", "Also the variants whose name begins so. Repeatable.",
     offsetof(struct values, names)},
    HOST_PRECISION_OPTION(struct values, precision),
    {HOST_NUMBER, 0, "seconds", "N",
     "Time for each variant of an operation. Default: 3. What takes longer runs once.",
     offsetof(struct values, seconds), .number_min = 0.001, .number_max = 3600},
    {HOST_FLAG, 0, "cpu-time", NULL,
     "Measure the processor's time, not the clock's: for a CPU that does other things too.",
     offsetof(struct values, processor_time)},
    {HOST_HEADING, .name = "Reports"},
    {HOST_FLAG, 0, "json", NULL, "Print JSON in place of the table.",
     offsetof(struct values, json)},
    {HOST_STRING, 0, "compare", "FILE", "Show the speed in ratio to that of an older JSON report.",
     offsetof(struct values, compare)},
};

const struct host_spec host_bench_spec = {
    .command = "bench",
    .summary = "measure the operations, and what the device can do at most",
    .about =
        "Measures operations at the shapes they have in the 1.3B model at 832x480, or at given "
        "ones, beside a loop of fma (peak) and a copy (copy) that run before and after every "
        "measurement. Median of the times; '+-%' is the distance of the quartiles. GFLOP/s count "
        "the formula, whatever the algorithm; GB/s count inputs and outputs once. The first "
        "result of an operation is the variant that a normal run takes.\n\n"
        "Operations: linear:ROWSxOUTxIN, then :f32 (default), :f16, :bf16, :q8_0, :q4_0 or :q4_k "
        "and :gelu, :residual or :gated; attention:HEADSxQUERIESxKEYSxWIDTH; "
        "delta:TOKENSxHEADSxWIDTH (memory update; :channel for gates per channel); "
        "read:TOKENSxHEADSxWIDTH (memory read); conv3d:INxOUTxFRAMESxROWSxCOLUMNS; "
        "norm:ROWSxCHANNELS; rms:ROWSxCHANNELS; channel-norm:PIXELSxCHANNELS; "
        "rope:FRAMESxROWSxCOLUMNSxHEADSxWIDTH (:rms with RMSNorm before it); "
        "dit:FRAMESxROWSxCOLUMNSxLAYERS (one pass of the 1.3B transformer; latent frames of so "
        "many rows and columns; dit-offload: its blocks come from the host); "
        "vae:FRAMESxROWSxCOLUMNSxBASE (decoding of a chunk).",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl bench\n"
                "  videossm-cl bench --op linear:4680x1536x1536:bf16 --variants\n"
                "  videossm-cl bench --json >old.json\n"
                "  videossm-cl bench --compare old.json\n",
};

/* ---- What to run -------------------------------------------------------------------------- */

static const struct vs_bench_family *const tables[] = {vs_bench_families, vs_bench_networks};
enum { N_TABLES = sizeof tables / sizeof *tables };

/* An operation as asked for. */
struct task {
    const char *op;
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
};
struct tasks {
    struct task *items;
    size_t n, room;
};

static enum vs_status add_task(struct tasks *tasks, const struct vs_bench_family *family,
                               const char *op)
{
    enum vs_status status = VS_OK;
    if (tasks->n == tasks->room) {
        size_t room = tasks->room ? 2 * tasks->room : 16;
        struct task *items = vs_realloc(tasks->items, room, sizeof *items);
        if (!items)
            return VS_ERROR_MEMORY;
        tasks->items = items;
        tasks->room = room;
    }
    struct task *task = &tasks->items[tasks->n];
    *task = (struct task){.op = op, .family = family};
    VS_TRY(vs_bench_parse(&task->shape, family, op + strlen(family->name) + 1));
    tasks->n++;
fail:
    return status;
}

static enum vs_status add_family(struct tasks *tasks, const struct vs_bench_family *family)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; family->shapes[i]; i++)
        VS_TRY(add_task(tasks, family, family->shapes[i]));
fail:
    return status;
}

static enum vs_status unknown_family(const char *op, size_t n_name)
{
    enum { MAX_FAMILIES = 32 };
    const char *names[MAX_FAMILIES];
    char name[64];
    size_t n = 0;
    snprintf(name, sizeof name, "%.*s", (int)(n_name < 63 ? n_name : 63), op);
    for (size_t t = 0; t < N_TABLES; t++)
        for (const struct vs_bench_family *f = tables[t]; f->name && n < MAX_FAMILIES; f++)
            names[n++] = f->name;
    const char *nearest = host_nearest(name, names, n);
    if (nearest)
        return vs_fail(VS_ERROR_USAGE, "--op %s: there is no operation '%s'; did you mean '%s'?",
                       op, name, nearest);
    return vs_fail(VS_ERROR_USAGE,
                   "--op %s: there is no operation '%s'; 'videossm-cl bench --help' lists them", op,
                   name);
}

static enum vs_status add_op(struct tasks *tasks, const char *op)
{
    size_t n_name = strcspn(op, ":");
    for (size_t t = 0; t < N_TABLES; t++)
        for (const struct vs_bench_family *f = tables[t]; f->name; f++) {
            if (strlen(f->name) != n_name || memcmp(f->name, op, n_name) != 0)
                continue;
            return op[n_name] && op[n_name + 1] ? add_task(tasks, f, op) : add_family(tasks, f);
        }
    return unknown_family(op, n_name);
}

static enum vs_status find_tasks(struct tasks *tasks, const struct values *values)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < values->ops.n; i++)
        VS_TRY(add_op(tasks, values->ops.items[i]));
    for (size_t t = 0; t < N_TABLES && !values->ops.n; t++)
        for (const struct vs_bench_family *f = tables[t]; f->name; f++)
            VS_TRY(add_family(tasks, f));
fail:
    return status;
}

/* ---- Running it --------------------------------------------------------------------------- */

static bool wanted(const struct values *values, const char *variant)
{
    for (size_t i = 0; i < values->names.n; i++)
        if (strncmp(variant, values->names.items[i], strlen(values->names.items[i])) == 0)
            return true;
    return values->variants;
}

/* Room for the results of an operation, the chosen variant first. */
static enum vs_status add_results(struct host_bench_report *report, const struct task *task,
                                  const struct vs_bench_op *op, const struct values *values)
{
    size_t n_variants = 0;
    while (op->variant_name && op->variant_name(n_variants))
        n_variants++;
    struct host_bench_result *results =
        vs_realloc(report->results, report->n_results + n_variants + 1, sizeof *results);
    if (!results)
        return VS_ERROR_MEMORY;
    report->results = results;
    results[report->n_results++] = (struct host_bench_result){
        .op = task->op,
        .variant = op->variant_name ? op->variant_name(op->chosen) : "only",
        .index = op->chosen,
        .chosen = true};
    for (size_t i = 0; i < n_variants; i++) {
        if (i == op->chosen || !wanted(values, op->variant_name(i)) ||
            (op->usable && !op->usable(op, i)))
            continue;
        results[report->n_results++] =
            (struct host_bench_result){.op = task->op, .variant = op->variant_name(i), .index = i};
    }
    return VS_OK;
}

/* What the device cannot hold is a result too. */
static enum vs_status add_skipped(struct host_bench_report *report, const struct task *task)
{
    char *reason = vs_strdup(vs_error_message());
    struct host_bench_result *results =
        vs_realloc(report->results, report->n_results + 1, sizeof *results);
    if (!reason || !results) {
        free(reason);
        report->results = results ? results : report->results;
        return VS_ERROR_MEMORY;
    }
    report->results = results;
    results[report->n_results++] =
        (struct host_bench_result){.op = task->op, .chosen = true, .skipped = reason};
    return VS_OK;
}

static enum vs_status run_task(struct host_bench_report *report, struct vs_context *context,
                               struct vs_bench_peak *peak, const struct task *task,
                               const struct values *values, const struct host_bench_old *old)
{
    struct vs_bench_op op;
    size_t first = report->n_results;
    enum vs_status status = vs_bench_open(&op, context, task->family, &task->shape);
    if (status == VS_ERROR_MEMORY) {
        VS_TRY(add_skipped(report, task));
    } else {
        VS_TRY(status);
        VS_TRY(add_results(report, task, &op, values));
        VS_TRY(host_bench_measure(report, report->results + first, report->n_results - first, &op,
                                  peak, values->seconds.given ? values->seconds.value : 3));
    }
    for (size_t i = first; i < report->n_results; i++) {
        if (old)
            host_bench_old_compare(&report->results[i], old);
        if (!values->json)
            host_bench_print_result(stdout, &report->results[i], old != NULL);
    }
fail:
    vs_bench_close(&op);
    return status;
}

static enum vs_status bench(const struct values *values)
{
    enum vs_status status = VS_OK;
    struct tasks tasks = {.n = 0};
    struct host_bench_report report = {.n_results = 0};
    struct host_bench_old *old = NULL;
    struct vs_context *context = NULL;
    struct vs_bench_peak *peak = NULL;
    VS_TRY(find_tasks(&tasks, values));
    if (values->compare)
        VS_TRY(host_bench_old_load(&old, values->compare));
    VS_TRY(host_open_device(&context, values->device));
    vs_context_set_precision(context, (enum vs_precision)values->precision);
    report.device = vs_context_device(context);
    if (values->processor_time && report.device->type != VS_DEVICE_CPU) {
        status = vs_fail(VS_ERROR_USAGE,
                         "--cpu-time: %s is no CPU, and what it does takes no processor time; "
                         "leave the option out",
                         report.device->name);
        goto fail;
    }
    if (!values->json)
        host_bench_print_head(stdout, &report, old != NULL);
    VS_TRY(vs_bench_peak_create(&peak, context, values->processor_time));
    report.peak_name = vs_bench_peak_name(peak);
    for (size_t i = 0; i < tasks.n; i++)
        VS_TRY(run_task(&report, context, peak, &tasks.items[i], values, old));
    host_bench_conclude(&report);
    if (values->json)
        VS_TRY(host_bench_print_json(stdout, &report));
    else
        host_bench_print_end(stdout, &report);
fail:
    host_bench_report_free(&report);
    vs_bench_peak_free(peak);
    vs_context_free(context);
    host_bench_old_free(old);
    free(tasks.items);
    return status;
}

int host_bench(int argc, char **argv)
{
    struct values values = {.json = false};
    bool help;
    enum vs_status status = host_options_parse(&host_bench_spec, &values, NULL, &help, argc, argv);
    if (status == VS_OK && help)
        host_options_print_help(&host_bench_spec, stdout);
    else if (status == VS_OK)
        status = bench(&values);
    free(values.ops.items);
    free(values.names.items);
    return host_report(status);
}
