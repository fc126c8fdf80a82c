/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_measure.c - measuring on a machine that does other things too.
 *
 * What else runs slows an operation and the peak loop alike, if they are measured side by side. So
 * every measurement stands between two of the peak, variants take turns, and what is reported is
 * the median of the single ratios. */
#include "config.h"

#include <stdlib.h>
#include <time.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "host/bench.h"

enum { MAX_ROUNDS = 100, MIN_ROUNDS = 3 };

/* Shorter than this, the clock and the start of a launch would be measured. */
static const double shortest_seconds = 2e-3;

/* A variant that nobody runs may take this many times its share of time. */
static const double patience = 10;

/* A second or more on anything. */
static const double long_flops = 1e12;

struct samples {
    double seconds[MAX_ROUNDS], of_peak[MAX_ROUNDS], of_copy[MAX_ROUNDS];
    double peak[MAX_ROUNDS], copy[MAX_ROUNDS];
    size_t n, repeats;
};

struct speed {
    double gflops, gbs;
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values, with a straight line between neighbours. */
static double quantile(const double *sorted, size_t n, double share)
{
    double place = share * (double)(n - 1);
    size_t below = (size_t)place;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

static double median(double *values, size_t n)
{
    if (!n)
        return 0;
    qsort(values, n, sizeof *values, compare_doubles);
    return quantile(values, n, 0.5);
}

static enum vs_status time_runs(double *seconds, const struct vs_bench_peak *peak,
                                struct vs_bench_op *op, size_t variant, size_t n_rows,
                                size_t repeats)
{
    enum vs_status status = VS_OK;
    double start = vs_bench_now(peak);
    for (size_t i = 0; i < repeats; i++)
        VS_TRY(vs_bench_run(op, variant, n_rows));
    VS_TRY(vs_context_finish(op->context));
    *seconds = (vs_bench_now(peak) - start) / (double)repeats;
fail:
    return status;
}

/* Compiles, touches memory, and finds out how long a run takes, from a sixty-fourth of it where
 * the operation can be cut. */
static enum vs_status warm_up(struct samples *samples, struct host_bench_result *result,
                              const struct vs_bench_peak *peak, struct vs_bench_op *op,
                              double seconds)
{
    enum vs_status status = VS_OK;
    size_t part = op->n_rows / 64 + 1;
    double took, estimate;
    samples->repeats = 1;
    if (op->n_rows == 1) {
        /* All or nothing. What is long needs no warming up. */
        return op->flops < long_flops ? time_runs(&took, peak, op, result->index, 1, 1) : VS_OK;
    }
    VS_TRY(time_runs(&took, peak, op, result->index, part, 1));
    VS_TRY(time_runs(&took, peak, op, result->index, part, 1));
    estimate = took * (double)op->n_rows / (double)part;
    if (!result->chosen && estimate > patience * seconds) {
        result->skipped =
            vs_format("one run would take about %.0f s; a longer --seconds allows it", estimate);
        return result->skipped ? VS_OK : VS_ERROR_MEMORY;
    }
    if (estimate < seconds)
        VS_TRY(time_runs(&estimate, peak, op, result->index, op->n_rows, 1));
    samples->repeats =
        estimate > 0 && estimate < shortest_seconds ? (size_t)(shortest_seconds / estimate) + 1 : 1;
fail:
    return status;
}

static enum vs_status measure_peak(struct speed *speed, struct host_bench_report *report,
                                   struct vs_bench_peak *peak)
{
    enum vs_status status = VS_OK;
    VS_TRY(vs_bench_peak_measure(peak, &speed->gflops, &speed->gbs));
    if (report->n_peaks == report->peaks_room) {
        size_t room = report->peaks_room ? 2 * report->peaks_room : 64;
        double *peaks = vs_realloc(report->peaks, room, sizeof *peaks);
        if (!peaks)
            return VS_ERROR_MEMORY;
        report->peaks = peaks;
        double *copies = vs_realloc(report->copies, room, sizeof *copies);
        if (!copies)
            return VS_ERROR_MEMORY;
        report->copies = copies;
        report->peaks_room = room;
    }
    report->peaks[report->n_peaks] = speed->gflops;
    report->copies[report->n_peaks++] = speed->gbs;
fail:
    return status;
}

static void add_sample(struct samples *samples, const struct vs_bench_op *op, double seconds,
                       struct speed before, struct speed after)
{
    size_t i = samples->n++;
    samples->seconds[i] = seconds;
    samples->peak[i] = (before.gflops + after.gflops) / 2;
    samples->copy[i] = (before.gbs + after.gbs) / 2;
    samples->of_peak[i] = op->flops * 1e-9 / seconds / samples->peak[i];
    samples->of_copy[i] = op->bytes * 1e-9 / seconds / samples->copy[i];
}

static void summarize(struct host_bench_result *result, struct samples *samples,
                      const struct vs_bench_op *op)
{
    size_t n = samples->n;
    if (result->skipped || !n)
        return;
    double seconds = median(samples->seconds, n);
    result->n = n;
    result->median_ms = 1e3 * seconds;
    result->min_ms = 1e3 * samples->seconds[0];
    result->spread =
        (quantile(samples->seconds, n, 0.75) - quantile(samples->seconds, n, 0.25)) / seconds;
    result->gflops = op->flops * 1e-9 / seconds;
    result->gbs = op->bytes * 1e-9 / seconds;
    result->peak_gflops = median(samples->peak, n);
    result->copy_gbs = median(samples->copy, n);
    result->fraction_of_peak = median(samples->of_peak, n);
    result->fraction_of_copy = median(samples->of_copy, n);
}

static double wall_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Rounds end when the time is used up: a person waits by the clock on the wall. */
static enum vs_status take_turns(struct samples *samples, struct host_bench_report *report,
                                 struct host_bench_result *results, size_t n,
                                 struct vs_bench_op *op, struct vs_bench_peak *peak, double seconds)
{
    enum vs_status status = VS_OK;
    struct speed before, after;
    size_t n_running = 0;
    double took;
    for (size_t i = 0; i < n; i++)
        n_running += !results[i].skipped;
    if (!n_running)
        return VS_OK;
    double budget = seconds * (double)n_running, start = wall_clock();
    VS_TRY(measure_peak(&before, report, peak));
    for (size_t round = 0; round < MAX_ROUNDS; round++) {
        double used = wall_clock() - start;
        if (round && used >= budget && (round >= MIN_ROUNDS || used / (double)round > budget))
            break;
        for (size_t i = 0; i < n; i++) {
            if (results[i].skipped)
                continue;
            VS_TRY(time_runs(&took, peak, op, results[i].index, op->n_rows, samples[i].repeats));
            VS_TRY(measure_peak(&after, report, peak));
            add_sample(&samples[i], op, took, before, after);
            before = after;
        }
    }
fail:
    return status;
}

enum vs_status host_bench_measure(struct host_bench_report *report,
                                  struct host_bench_result *results, size_t n,
                                  struct vs_bench_op *op, struct vs_bench_peak *peak,
                                  double seconds)
{
    enum vs_status status = VS_OK;
    struct samples *samples = vs_alloc(n, sizeof *samples);
    if (!samples)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n; i++)
        VS_TRY(warm_up(&samples[i], &results[i], peak, op, seconds));
    VS_TRY(take_turns(samples, report, results, n, op, peak, seconds));
    for (size_t i = 0; i < n; i++)
        summarize(&results[i], &samples[i], op);
fail:
    free(samples);
    return status;
}

void host_bench_conclude(struct host_bench_report *report)
{
    report->peak_gflops = median(report->peaks, report->n_peaks);
    report->copy_gbs = median(report->copies, report->n_peaks);
}

void host_bench_report_free(struct host_bench_report *report)
{
    for (size_t i = 0; i < report->n_results; i++)
        free(report->results[i].skipped);
    free(report->results);
    free(report->peaks);
    free(report->copies);
}
