/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - what the files of `videossm-cl bench` share. */
#ifndef VS_HOST_BENCH_H
#define VS_HOST_BENCH_H

#include <stdio.h>

#include "kernels/bench/bench.h"

/* One variant of one operation. */
struct host_bench_result {
    const char *op;      /* as asked for; borrowed */
    const char *variant; /* borrowed */
    size_t index;        /* of the variant */
    bool chosen;         /* by a normal run */
    char *skipped;       /* why nothing was measured, or NULL; owned */
    size_t n;            /* measurements */
    double median_ms, min_ms;
    double spread;                /* distance of the quartiles, as a share of the median */
    double gflops, gbs;           /* at the median */
    double peak_gflops, copy_gbs; /* measured between the measurements, median */
    double fraction_of_peak, fraction_of_copy; /* median over the single measurements */
    double against_old;                        /* speed in ratio to another report; 0: not in it */
};

struct host_bench_report {
    const struct vs_device_info *device; /* borrowed */
    const char *peak_name;               /* of the loop; borrowed */
    double peak_gflops, copy_gbs;        /* medians of the whole run */
    double *peaks, *copies;              /* all measurements of the run */
    size_t n_peaks, peaks_room;
    struct host_bench_result *results;
    size_t n_results;
};
void host_bench_report_free(struct host_bench_report *report);

/* Measures results[0..n), variants of op, in turns, with the peak before and after each, for about
 * `seconds` of work a variant: at least three times, once where one run takes longer than that.
 * Variants that were not chosen and would take more than ten times as long are skipped. */
VS_CHECK enum vs_status host_bench_measure(struct host_bench_report *report,
                                           struct host_bench_result *results, size_t n,
                                           struct vs_bench_op *op, struct vs_bench_peak *peak,
                                           double seconds);

/* Sets the medians of the whole run. */
void host_bench_conclude(struct host_bench_report *report);

void host_bench_print_head(FILE *file, const struct host_bench_report *report, bool compared);
void host_bench_print_result(FILE *file, const struct host_bench_result *result, bool compared);
void host_bench_print_end(FILE *file, const struct host_bench_report *report);
VS_CHECK enum vs_status host_bench_print_json(FILE *file, const struct host_bench_report *report);

/* The results of a report made with --json, held against new ones: each relative to the peak (or,
 * for operations bound by memory, the copy) measured beside it, so that a slower machine or a busy
 * one does not count. VS_ERROR_USAGE when the file is no such report. */
struct host_bench_old;
VS_CHECK enum vs_status host_bench_old_load(struct host_bench_old **old, const char *path);
void host_bench_old_free(struct host_bench_old *old);
void host_bench_old_compare(struct host_bench_result *result, const struct host_bench_old *old);

#endif
