/* SPDX-License-Identifier: Apache-2.0
 *
 * tune.c - `videossm-cl tune`: measures which variant of each operation is fastest on a device.
 *
 * A variant is measured only after it gave the same bits as the one that the program would take
 * without records, or, of those that keep a bound, numbers within it. Long operations are measured
 * on a part of their rows. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "host/bench.h"
#include "host/command.h"
#include "host/settings.h"
#include "host/tuning.h"

struct values {
    struct host_list ops;
    const char *device, *output, *import;
    int shapes, precision;
    struct host_number seconds;
    bool processor_time;
};

static const struct host_option options[] = {
    {HOST_HEADING, .name = "What to measure"},
    {HOST_STRING, 'd', "device", "DEVICE",
     "Number, platform:device, part of a name, or cpu, gpu, accelerator, intel, amd, nvidia. "
     "Default: the first GPU, else accelerator, else CPU; see 'videossm-cl devices'.",
     offsetof(struct values, device)},
    {HOST_CHOICE, 0, "shapes", "all|demo|1.3b",
     "Shapes of which model. Default: all, those of the demo and of the 1.3B model at 832x480.",
     offsetof(struct values, shapes)},
    {HOST_LIST, 0, "op", "OPERATION",
     "An operation and its sizes, as for 'bench', in place of a model's. Repeatable.",
     offsetof(struct values, ops)},
    HOST_PRECISION_OPTION(struct values, precision),
    {HOST_NUMBER, 0, "seconds-per-shape", "N",
     "Time for each operation, beside compilation. Default: 3.", offsetof(struct values, seconds),
     .number_min = 0.001, .number_max = 3600},
    {HOST_FLAG, 0, "cpu-time", NULL,
     "Measure the processor's time, not the clock's: for a CPU that does other things too.",
     offsetof(struct values, processor_time)},
    {HOST_HEADING, .name = "Records"},
    {HOST_STRING, 'o', "output", "FILE",
     "Where the records go. Default: the user's own file for this device, driver and version, "
     "which later runs use.",
     offsetof(struct values, output)},
    {HOST_STRING, 0, "import", "FILE",
     "Measure nothing; take over the records of a file whose variants give the same bits here.",
     offsetof(struct values, import)},
};

const struct host_spec host_tune_spec = {
    .command = "tune",
    .summary = "find the fastest variant of each operation on a device",
    .about =
        "Measures every variant of the operations at a model's shapes and records the fastest; "
        "later runs take it, at all sizes that round to the same powers of two. No result "
        "changes: a variant whose bits differ is refused. Nothing is ever searched for when "
        "a video is made.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl tune\n"
                "  videossm-cl tune -d gpu --shapes 1.3b -o records.json\n"
                "  videossm-cl tune --import records.json\n",
};

/* Small frames serve: conv3d's classes know no large ones. Most convolutions are batches of linear
 * layers (kernels/conv/winograd.h), for which the rule stands. The 1.3B model at 832x480 makes 4680
 * tokens a chunk, the demo at 96x64 72. */
static const char *const demo_shapes[] = {
    "linear:72x192x192:f16", "linear:72x512x192:f16", "linear:72x192x512:f16",
    "linear:72x192x192:f32", "attention:6x72x216x32", "attention:6x72x1080x32",
    "delta:72x6x32:channel", "read:72x6x32",          "conv3d:12x12x1x64x96",
    "norm:72x192",           "channel-norm:6144x12",  NULL};
static const char *const large_shapes[] = {"linear:4680x1536x1536:bf16",
                                           "linear:4680x8960x1536:bf16",
                                           "linear:4680x1536x8960:bf16",
                                           "linear:4680x1536x1536:f32",
                                           "linear:4680x8960x1536:f32",
                                           "linear:4680x1536x8960:f32",
                                           "linear:512x4096x4096:bf16",
                                           "attention:12x4680x512x128",
                                           "attention:12x4680x14040x128",
                                           "attention:12x4680x32760x128",
                                           "attention:64x512x512x64",
                                           "delta:4680x12x128:channel",
                                           "read:4680x12x128",
                                           "conv3d:96x3x1x60x104",
                                           "norm:4680x1536",
                                           "channel-norm:99840x96",
                                           NULL};
static const char *const *const shape_lists[][2] = {
    {demo_shapes, large_shapes}, {demo_shapes, NULL}, {large_shapes, NULL}};

/* A variant takes the place of the rule's if it is faster by more than this. */
static const double worthwhile = 1.03;

/* Arithmetic of the few rows that show whether bits are equal. */
static const double trial_flops = 2e9;

/* One that is this many times slower on a few rows is not measured further. */
static const double hopeless = 3;

struct tuner {
    struct vs_context *context;
    struct vs_bench_peak *peak;
    struct host_bench_report report;
    json_t *records;
    enum vs_precision precision;
    double seconds;
    bool processor_time;
    size_t n_refused;
};

/* ---- The same bits ------------------------------------------------------------------------ */

/* What a variant made of the first n_rows rows. */
struct trial {
    float *before, *want, *got; /* [n_out]; the output before, by the rule's variant, by another */
    size_t n_rows;
};

static void free_trial(struct trial *trial)
{
    free(trial->before);
    free(trial->want);
    free(trial->got);
}

/* Runs it from the same output as every other; seconds of a second run, when all is compiled. */
static enum vs_status run(float *result, double *seconds, const struct tuner *tuner,
                          struct vs_bench_op *op, const struct trial *trial, size_t variant)
{
    enum vs_status status = VS_OK;
    size_t at = op->out.offset * sizeof(float), n_bytes = op->n_out * sizeof(float);
    VS_TRY(vs_buffer_write(op->out.buffer, at, trial->before, n_bytes));
    VS_TRY(vs_bench_run(op, variant, trial->n_rows));
    VS_TRY(vs_buffer_read(op->out.buffer, at, result, n_bytes));
    double start = vs_bench_now(tuner->peak);
    VS_TRY(vs_bench_run(op, variant, trial->n_rows));
    VS_TRY(vs_context_finish(op->context));
    *seconds = vs_bench_now(tuner->peak) - start;
fail:
    return status;
}

static enum vs_status make_trial(struct trial *trial, double *seconds, const struct tuner *tuner,
                                 struct vs_bench_op *op)
{
    enum vs_status status = VS_OK;
    /* Few enough that a variant which is no use here does not take minutes to prove it. */
    double affordable = trial_flops / op->flops * (double)op->n_rows;
    trial->n_rows = op->n_rows / 64 + 1;
    if (affordable < (double)trial->n_rows)
        trial->n_rows = affordable < 1 ? 1 : (size_t)affordable;
    trial->before = vs_alloc(op->n_out, sizeof(float));
    trial->want = vs_alloc(op->n_out, sizeof(float));
    trial->got = vs_alloc(op->n_out, sizeof(float));
    if (!trial->before || !trial->want || !trial->got)
        return VS_ERROR_MEMORY;
    VS_TRY(vs_buffer_read(op->out.buffer, op->out.offset * sizeof(float), trial->before,
                          op->n_out * sizeof(float)));
    VS_TRY(run(trial->want, seconds, tuner, op, trial, op->chosen));
fail:
    return status;
}

static bool same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])) &&
            !(fabsf(a[i]) <= 0 && fabsf(b[i]) <= 0))
            return false;
    return true;
}

/* Within a variant's bound, which is of each value or of the root mean square of all that were
 * computed: a trial leaves rows as they were. */
static bool near(const struct trial *trial, size_t n, double bound)
{
    const float *want = trial->want;
    double squares = 0, n_computed = 0;
    for (size_t i = 0; i < n; i++)
        if (memcmp(&want[i], &trial->before[i], sizeof *want) != 0) {
            squares += (double)want[i] * (double)want[i];
            n_computed++;
        }
    double mean = n_computed > 0 ? sqrt(squares / n_computed) : 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs((double)want[i]) > mean ? fabs((double)want[i]) : mean;
        if (!(fabs((double)trial->got[i] - (double)want[i]) <= bound * size))
            return false;
    }
    return true;
}

/* Whether a variant may stand for the rule's. A compiler that fails on it refuses it too. */
static enum vs_status compare(bool *equal, double *seconds, struct tuner *tuner,
                              struct vs_bench_op *op, const struct trial *trial, const char *text,
                              size_t variant)
{
    const char *name = op->variant_name(variant);
    enum vs_status status = run(trial->got, seconds, tuner, op, trial, variant);
    *equal = false;
    if (status == VS_ERROR_MEMORY)
        return status;
    if (status != VS_OK) {
        host_warn("%s: the variant '%s' is left out: %s", text, name, vs_error_message());
        return VS_OK;
    }
    double bound = vs_bench_bound(op->family, variant);
    bool exact = !(bound > 0);
    *equal = exact ? same_bits(trial->want, trial->got, op->n_out)
                   : near(trial, op->n_out, bound);
    if (!*equal) {
        host_warn("%s: the variant '%s' is refused: it gives %s than '%s'", text, name,
                  exact ? "other bits" : "numbers farther off", op->variant_name(op->chosen));
        tuner->n_refused++;
    }
    return VS_OK;
}

/* ---- Measuring ---------------------------------------------------------------------------- */

/* Rows of a run that is long enough to be measured and short enough to be repeated; all variants
 * have to keep every unit of the device at work. */
static size_t rows_to_measure(const struct tuner *tuner, const struct vs_bench_op *op,
                              const struct trial *trial, double seconds)
{
    double target = tuner->seconds / 20;
    size_t least = 256 * (size_t)vs_context_device(tuner->context)->compute_units;
    double rows = seconds > 0 ? target / seconds * (double)trial->n_rows : (double)op->n_rows;
    rows = rows < (double)least ? (double)least : rows;
    return rows < (double)op->n_rows ? (size_t)rows : op->n_rows;
}

static enum vs_status add_candidate(struct tuner *tuner, const struct vs_bench_op *op,
                                    const char *text, size_t variant)
{
    struct host_bench_report *report = &tuner->report;
    struct host_bench_result *results =
        vs_realloc(report->results, report->n_results + 1, sizeof *results);
    if (!results)
        return VS_ERROR_MEMORY;
    report->results = results;
    results[report->n_results++] = (struct host_bench_result){.op = text,
                                                              .variant = op->variant_name(variant),
                                                              .index = variant,
                                                              .chosen = variant == op->chosen};
    return VS_OK;
}

/* The candidates from `first` on, the rule's among them; prints and records the fastest. share: of
 * the operation's flops that were measured, and of the device's units whose time counted. */
static enum vs_status conclude(struct tuner *tuner, size_t first, const char *text, double flops,
                               double share)
{
    const struct host_bench_result *results = tuner->report.results, *rule = &results[first];
    const struct host_bench_result *best = rule;
    for (size_t i = first; i < tuner->report.n_results; i++)
        if (results[i].n && results[i].fraction_of_peak > best->fraction_of_peak)
            best = &results[i];
    double ratio = rule->fraction_of_peak > 0 ? best->fraction_of_peak / rule->fraction_of_peak : 1;
    if (ratio <= worthwhile) {
        best = rule;
        ratio = 1;
    }
    if (best == rule)
        printf("%-18s as before\n", best->variant);
    else
        printf("%-18s %.2f x %s\n", best->variant, ratio, rule->variant);
    enum vs_status status =
        host_tuning_add(tuner->records, text, best->variant, tuner->precision, ratio);
    if (status == VS_OK)
        host_tuning_note_speed(tuner->records, flops, share * best->gflops, share * best->gbs);
    return status;
}

static enum vs_status tune_op(struct tuner *tuner, struct vs_bench_op *op, const char *text)
{
    enum vs_status status = VS_OK;
    struct trial trial = {.n_rows = 0};
    size_t first = tuner->report.n_results;
    double rule_seconds, seconds;
    VS_TRY(make_trial(&trial, &rule_seconds, tuner, op));
    VS_TRY(add_candidate(tuner, op, text, op->chosen));
    for (size_t i = 0; op->variant_name(i); i++) {
        bool equal;
        if (i == op->chosen || !op->usable(op, i))
            continue;
        VS_TRY(compare(&equal, &seconds, tuner, op, &trial, text, i));
        if (equal && seconds < hopeless * rule_seconds)
            VS_TRY(add_candidate(tuner, op, text, i));
    }
    double n_rows = (double)op->n_rows;
    op->n_rows = rows_to_measure(tuner, op, &trial, rule_seconds);
    double share = (double)op->n_rows / n_rows;
    if (tuner->processor_time)
        share *= vs_context_device(tuner->context)->compute_units;
    size_t n = tuner->report.n_results - first;
    VS_TRY(host_bench_measure(&tuner->report, tuner->report.results + first, n, op, tuner->peak,
                              tuner->seconds / (double)n));
    VS_TRY(conclude(tuner, first, text, op->flops, share));
fail:
    free_trial(&trial);
    return status;
}

/* ---- What to tune ------------------------------------------------------------------------- */

static enum vs_status open_op(struct vs_bench_op *op, const struct tuner *tuner, const char *text)
{
    enum vs_status status = VS_OK;
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    VS_TRY(vs_bench_read(&family, &shape, text));
    if (!family->variant_name)
        return vs_fail(VS_ERROR_USAGE, "%s: there is but one way to compute it", text);
    VS_TRY(vs_bench_open(op, tuner->context, family, &shape));
fail:
    return status;
}

static enum vs_status tune_text(struct tuner *tuner, const char *text)
{
    struct vs_bench_op op = {.n_rows = 0};
    enum vs_status status = open_op(&op, tuner, text);
    if (status == VS_OK)
        status = tune_op(tuner, &op, text);
    vs_bench_close(&op);
    if (status != VS_ERROR_MEMORY)
        return status;
    printf("skipped: %s\n", vs_error_message());
    return VS_OK;
}

/* Whether the precision brings this operation variants of its own. */
static bool has_choice(const struct tuner *tuner, const char *text)
{
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    return tuner->precision == VS_PRECISION_EXACT ||
           vs_bench_read(&family, &shape, text) != VS_OK || family->variant_bound;
}

static enum vs_status tune_all(struct tuner *tuner, const char *path, const struct values *values)
{
    enum vs_status status = VS_OK;
    struct host_list ops = {0};
    for (size_t i = 0; i < values->ops.n; i++)
        VS_TRY(host_list_add(&ops, values->ops.items[i]));
    for (int i = 0; i < 2 && !values->ops.n; i++)
        for (const char *const *shape = shape_lists[values->shapes][i]; shape && *shape; shape++)
            if (has_choice(tuner, *shape))
                VS_TRY(host_list_add(&ops, *shape));
    for (size_t i = 0; i < ops.n; i++) { /* a slip is told before minutes pass */
        const struct vs_bench_family *family;
        struct vs_bench_shape shape;
        VS_TRY(vs_bench_read(&family, &shape, ops.items[i]));
    }
    for (size_t i = 0; i < ops.n; i++) {
        printf("[%2zu/%zu] %-32s ", i + 1, ops.n, ops.items[i]);
        fflush(stdout); /* it takes seconds */
        VS_TRY(tune_text(tuner, ops.items[i]));
        VS_TRY(host_tuning_save(path, tuner->context, tuner->records)); /* stopped, it loses none */
    }
fail:
    free(ops.items);
    return status;
}

/* ---- Import ------------------------------------------------------------------------------- */

static enum vs_status import_record(struct tuner *tuner, const json_t *record)
{
    enum vs_status status = VS_OK;
    const char *text = json_string_value(json_object_get(record, "op"));
    const char *name = json_string_value(json_object_get(record, "variant"));
    double against_rule = json_number_value(json_object_get(record, "against_rule"));
    struct vs_bench_op op = {.n_rows = 0};
    struct trial trial = {.n_rows = 0};
    double seconds;
    bool equal = true;
    size_t variant = 0;
    enum vs_precision precision = host_tuning_precision(record);
    printf("%-32s %-18s ", text, name);
    fflush(stdout);
    vs_context_set_precision(tuner->context, precision);
    VS_TRY(open_op(&op, tuner, text));
    if (!host_tuning_is_current(record)) {
        status = vs_fail(VS_ERROR_USAGE, "there is no such variant here, or more than there were");
        goto fail;
    }
    while (strcmp(op.variant_name(variant), name) != 0)
        variant++;
    if (!op.usable(&op, variant)) {
        status = vs_fail(VS_ERROR_USAGE, "this device cannot use it");
        goto fail;
    }
    if (variant != op.chosen) {
        VS_TRY(make_trial(&trial, &seconds, tuner, &op));
        VS_TRY(compare(&equal, &seconds, tuner, &op, &trial, text, variant));
    }
    if (equal)
        VS_TRY(host_tuning_add(tuner->records, text, name, precision, against_rule));
    puts(equal ? "taken over" : "refused");
fail:
    free_trial(&trial);
    vs_bench_close(&op);
    if (status != VS_ERROR_USAGE && status != VS_ERROR_MEMORY)
        return status;
    printf("passed over: %s\n", vs_error_message());
    return VS_OK;
}

static enum vs_status import(struct tuner *tuner, const char *path)
{
    enum vs_status status = VS_OK;
    json_t *tuning = NULL;
    VS_TRY(host_tuning_load(&tuning, path));
    const char *device = json_string_value(json_object_get(tuning, "device"));
    if (device && strcmp(device, vs_context_device(tuner->context)->name) != 0)
        host_warn("%s: these records were measured on %s", path, device);
    const json_t *records = json_object_get(tuning, "records");
    for (size_t i = 0; i < json_array_size(records); i++)
        VS_TRY(import_record(tuner, json_array_get(records, i)));
fail:
    json_decref(tuning);
    return status;
}

/* ---- The command -------------------------------------------------------------------------- */

/* Records of other shapes that the file holds already stay. */
static void keep_old(struct tuner *tuner, const char *path)
{
    json_t *old = NULL;
    if (host_tuning_load(&old, path) == VS_OK)
        json_array_extend(tuner->records, json_object_get(old, "records"));
    json_decref(old);
}

static enum vs_status tune(const struct values *values)
{
    enum vs_status status = VS_OK;
    struct tuner tuner = {.seconds = values->seconds.given ? values->seconds.value : 3,
                          .precision = (enum vs_precision)values->precision,
                          .processor_time = values->processor_time};
    char *own_path = NULL;
    const char *path = values->output;
    /* Without records, so that each is held against the rule. */
    VS_TRY(vs_context_create(&tuner.context, values->device));
    VS_TRY(vs_context_selftest(tuner.context));
    vs_context_set_precision(tuner.context, tuner.precision);
    const struct vs_device_info *device = vs_context_device(tuner.context);
    if (values->processor_time && device->type != VS_DEVICE_CPU) {
        status = vs_fail(VS_ERROR_USAGE,
                         "--cpu-time: %s is no CPU, and what it does takes no processor time; "
                         "leave the option out",
                         device->name);
        goto fail;
    }
    if (!path)
        VS_TRY(host_tuning_path(&own_path, tuner.context));
    path = path ? path : own_path;
    tuner.records = json_array();
    if (!tuner.records) {
        status = vs_fail(VS_ERROR_MEMORY, "no memory for tuning records");
        goto fail;
    }
    printf("Device [%zu] %s\n%s, driver %s\n\n", device->index, device->name, device->platform_name,
           device->driver);
    VS_TRY(vs_bench_peak_create(&tuner.peak, tuner.context, values->processor_time));
    keep_old(&tuner, path);
    if (values->import)
        VS_TRY(import(&tuner, values->import));
    else
        VS_TRY(tune_all(&tuner, path, values));
    VS_TRY(host_tuning_save(path, tuner.context, tuner.records));
    printf("\n%zu records in %s\n", json_array_size(tuner.records), path);
    if (tuner.n_refused)
        status = vs_fail(VS_ERROR_VALIDATION,
                         "%zu variants gave other bits and were refused; 'videossm-cl validate' "
                         "says more",
                         tuner.n_refused);
fail:
    json_decref(tuner.records);
    host_bench_report_free(&tuner.report);
    vs_bench_peak_free(tuner.peak);
    vs_context_free(tuner.context);
    free(own_path);
    return status;
}

int host_tune(int argc, char **argv)
{
    struct values values = {.shapes = 0};
    bool help;
    enum vs_status status = host_options_parse(&host_tune_spec, &values, NULL, &help, argc, argv);
    if (status == VS_OK && help)
        host_options_print_help(&host_tune_spec, stdout);
    else if (status == VS_OK && values.import && values.ops.n)
        status = vs_fail(VS_ERROR_USAGE, "--import measures nothing; leave --op out");
    else if (status == VS_OK)
        status = tune(&values);
    free(values.ops.items);
    return host_report(status);
}
