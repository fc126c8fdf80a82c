/* SPDX-License-Identifier: Apache-2.0
 *
 * peak.c - the most that a device does: a loop of fma in registers, and a copy.
 *
 * No single loop is the fastest everywhere: 512-bit vectors want 12 chains of 16 lanes, 256-bit
 * ones have registers for 12 of 8, GPUs want scalar lanes in large groups. So the candidates are
 * tried once, and the best one is the peak from then on. */
#include "kernels/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/sources.h"

struct loop {
    size_t width, n_chains, local;
};

static const struct loop loops[] = {{16, 12, 1}, {8, 12, 1},  {4, 12, 1},
                                    {1, 8, 64},  {1, 8, 256}, {4, 4, 256}};
enum { N_LOOPS = sizeof loops / sizeof *loops, FIRST_OF_GPUS = 2 };

enum { MAX_TURNS = 1 << 30 };

static const double sample_seconds = 0.02;
static const size_t copy_bytes = (size_t)128 << 20;

struct vs_bench_peak {
    struct vs_context *context; /* borrowed */
    bool processor_time;
    const struct loop *loop;
    int n_turns; /* of a sample */
    char name[32];
    struct vs_buffer *out;       /* of the loop */
    struct vs_buffer *from, *to; /* of the copy */
    size_t n_copies;             /* of a sample */
};

static size_t n_units(const struct vs_bench_peak *peak)
{
    size_t units = vs_context_device(peak->context)->compute_units;
    return units ? units : 1;
}

double vs_bench_now(const struct vs_bench_peak *peak)
{
    struct timespec time;
    clock_gettime(peak->processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    double seconds = (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
    return peak->processor_time ? seconds / (double)n_units(peak) : seconds;
}

/* Groups enough to keep every unit busy, and few enough to be even: a group more than a multiple
 * of the units would leave all but one idle at the end. */
static size_t n_items(const struct vs_bench_peak *peak, const struct loop *loop)
{
    return n_units(peak) * (loop->local == 1 ? 4 : 16) * loop->local;
}

static enum vs_status run_loop(struct vs_bench_peak *peak, const struct loop *loop, int n_turns,
                               double *seconds)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t items = n_items(peak, loop);
    double start = vs_bench_now(peak);
    vs_launch_begin(&launch, peak->context, &vs_source_bench, "multiply_add",
                    "-DVS_WIDTH=%zu -DVS_CHAINS=%zu", loop->width, loop->n_chains);
    vs_launch_buffer(&launch, peak->out);
    vs_launch_float(&launch, 0.999f);
    vs_launch_float(&launch, 0.001f);
    vs_launch_int(&launch, n_turns);
    VS_TRY(vs_launch_run(&launch, 1, &items, &loop->local, 0));
    VS_TRY(vs_context_finish(peak->context));
    *seconds = vs_bench_now(peak) - start;
fail:
    return status;
}

static double loop_gflops(const struct vs_bench_peak *peak, const struct loop *loop, int n_turns,
                          double seconds)
{
    return 2e-9 * (double)n_items(peak, loop) * (double)(loop->width * loop->n_chains) *
           (double)n_turns / seconds;
}

/* Finds how many turns take a sample's time, and the best rate of three samples. */
static enum vs_status try_loop(struct vs_bench_peak *peak, const struct loop *loop, int *n_turns,
                               double *gflops)
{
    enum vs_status status = VS_OK;
    double seconds;
    *n_turns = 64;
    VS_TRY(run_loop(peak, loop, *n_turns, &seconds)); /* compiles */
    for (;;) {
        VS_TRY(run_loop(peak, loop, *n_turns, &seconds));
        if (seconds > sample_seconds / 4 || *n_turns > MAX_TURNS / 2)
            break;
        *n_turns *= 2;
    }
    double turns = (double)*n_turns * sample_seconds / seconds;
    *n_turns = turns < 1 ? 1 : turns > MAX_TURNS ? MAX_TURNS : (int)turns;
    *gflops = 0;
    for (int i = 0; i < 3; i++) {
        VS_TRY(run_loop(peak, loop, *n_turns, &seconds));
        double rate = loop_gflops(peak, loop, *n_turns, seconds);
        *gflops = rate > *gflops ? rate : *gflops;
    }
fail:
    return status;
}

static enum vs_status choose_loop(struct vs_bench_peak *peak)
{
    enum vs_status status = VS_OK;
    const struct vs_device_info *device = vs_context_device(peak->context);
    double best = 0;
    /* Loops of wide vectors may take a GPU's compiler very long. The first one left needs no groups,
     * so there is always one. */
    size_t first = device->type == VS_DEVICE_CPU ? 0 : FIRST_OF_GPUS;
    for (size_t i = first; i < N_LOOPS; i++) {
        int n_turns;
        double gflops;
        if (loops[i].local > device->max_work_group_size)
            continue;
        VS_TRY(try_loop(peak, &loops[i], &n_turns, &gflops));
        if (gflops > best) {
            best = gflops;
            peak->loop = &loops[i];
            peak->n_turns = n_turns;
        }
    }
    snprintf(peak->name, sizeof peak->name, "float%zu x %zu", peak->loop->width,
             peak->loop->n_chains);
fail:
    return status;
}

static enum vs_status run_copies(struct vs_bench_peak *peak, size_t n, double *seconds)
{
    enum { WIDTH = 16 };
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    size_t items = vs_buffer_bytes(peak->to) / sizeof(float) / WIDTH;
    double start = vs_bench_now(peak);
    for (size_t i = 0; i < n; i++) {
        vs_launch_begin(&launch, peak->context, &vs_source_bench, "copy",
                        "-DVS_WIDTH=%d -DVS_CHAINS=1", WIDTH);
        vs_launch_buffer(&launch, peak->to);
        vs_launch_buffer(&launch, peak->from);
        VS_TRY(vs_launch_run(&launch, 1, &items, NULL, 0));
    }
    VS_TRY(vs_context_finish(peak->context));
    *seconds = vs_bench_now(peak) - start;
fail:
    return status;
}

static enum vs_status create_copy(struct vs_bench_peak *peak)
{
    enum vs_status status = VS_OK;
    const struct vs_device_info *device = vs_context_device(peak->context);
    size_t n_bytes = copy_bytes;
    double seconds;
    while (n_bytes > 4096 &&
           (n_bytes > device->max_allocation_bytes || n_bytes > device->global_memory_bytes / 8))
        n_bytes /= 2;
    VS_TRY(vs_buffer_create(&peak->from, peak->context, n_bytes));
    VS_TRY(vs_buffer_create(&peak->to, peak->context, n_bytes));
    VS_TRY(vs_buffer_zero(peak->from, 0, n_bytes));
    VS_TRY(run_copies(peak, 1, &seconds)); /* compiles, and touches every page */
    VS_TRY(run_copies(peak, 1, &seconds));
    peak->n_copies = seconds < sample_seconds ? (size_t)(sample_seconds / seconds) : 1;
fail:
    return status;
}

enum vs_status vs_bench_peak_create(struct vs_bench_peak **out, struct vs_context *context,
                                    bool processor_time)
{
    enum vs_status status = VS_OK;
    struct vs_bench_peak *peak = vs_alloc(1, sizeof *peak);
    size_t n_out = 0;
    *out = NULL;
    if (!peak)
        return VS_ERROR_MEMORY;
    peak->context = context;
    peak->processor_time = processor_time;
    for (size_t i = 0; i < N_LOOPS; i++) {
        size_t n = n_items(peak, &loops[i]) * loops[i].width;
        n_out = n > n_out ? n : n_out;
    }
    VS_TRY(vs_floats_create(&peak->out, context, NULL, n_out));
    VS_TRY(choose_loop(peak));
    VS_TRY(create_copy(peak));
    *out = peak;
    return VS_OK;
fail:
    vs_bench_peak_free(peak);
    return status;
}

void vs_bench_peak_free(struct vs_bench_peak *peak)
{
    if (!peak)
        return;
    vs_buffer_free(peak->out);
    vs_buffer_free(peak->from);
    vs_buffer_free(peak->to);
    free(peak);
}

const char *vs_bench_peak_name(const struct vs_bench_peak *peak)
{
    return peak->name;
}

enum vs_status vs_bench_peak_measure(struct vs_bench_peak *peak, double *gflops, double *gbs)
{
    enum vs_status status = VS_OK;
    double seconds;
    VS_TRY(run_loop(peak, peak->loop, peak->n_turns, &seconds));
    *gflops = loop_gflops(peak, peak->loop, peak->n_turns, seconds);
    VS_TRY(run_copies(peak, peak->n_copies, &seconds));
    *gbs = 2e-9 * (double)vs_buffer_bytes(peak->to) * (double)peak->n_copies / seconds;
fail:
    return status;
}
