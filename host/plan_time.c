/* SPDX-License-Identifier: Apache-2.0
 *
 * plan_time.c - how long a run takes: the arithmetic that its launches declare, at the speed that
 * such operations had when they were tuned, or at a share of the device's peak.
 *
 * Families that do much arithmetic on each number are reckoned by it, the others by the bytes that
 * they move. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/plan.h"
#include "host/tuning.h"
#include "kernels/bench/bench.h"

/* A family of kernels. ops: the operations whose tuning records tell its speed, each between
 * blanks; share: of the peak, or of the copy bandwidth, as docs/performance.md has it. */
struct family {
    const char *name, *ops;
    bool by_bytes;
    double share;
};
static const struct family families[] = {
    {"gemm", " linear ", false, 0.65},       {"attention", " attention ", false, 0.55},
    {"conv", " conv3d ", false, 0.65},       {"memory", " delta read ", false, 0.5},
    {"norm", " norm rms channel-norm ", true, 0.6}, {"rope", " rope norm ", true, 0.6},
    {"pointwise", " norm ", true, 0.6},      {"pixels", " norm ", true, 0.6},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}

/* Where speeds come from: records, or the two numbers of a device. */
struct speeds {
    const json_t *records;
    double gflops, gbs;
};

static bool is_of(const struct family *family, const char *op)
{
    char word[24];
    size_t n = strcspn(op, ":");
    if (n + 3 > sizeof word)
        return false;
    snprintf(word, sizeof word, " %.*s ", (int)n, op);
    return strstr(family->ops, word) != NULL;
}

/* Operations or bytes a second: of the record whose operation is most like a launch of the family.
 * 0: none. */
static double recorded_speed(const json_t *records, const struct family *family, double flops)
{
    double best = INFINITY, speed = 0;
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        const char *op = json_string_value(json_object_get(record, "op"));
        double its_flops = json_number_value(json_object_get(record, "flops"));
        double rate = json_number_value(json_object_get(record, family->by_bytes ? "gbs" : "gflops"));
        bool exact = !json_object_get(record, "precision"); /* the slower, so the safer one */
        if (!exact || !op || !is_of(family, op) || !(rate > 0) || !(its_flops > 0))
            continue;
        double distance = fabs(log(its_flops / flops));
        if (distance < best) {
            best = distance;
            speed = rate * 1e9;
        }
    }
    return speed;
}

/* Negative: unknown. */
static double seconds_of(const struct vs_stage_work *work, const struct speeds *speeds)
{
    double seconds = 0;
    for (size_t i = 0; i < work->n_families; i++) {
        const struct vs_work *part = &work->families[i];
        const struct family *family = find_family(part->family);
        if (!family || !(part->n_launches > 0) || !(part->flops > 0))
            continue;
        double speed = speeds->records
                           ? recorded_speed(speeds->records, family, part->flops / part->n_launches)
                           : 1e9 * family->share * (family->by_bytes ? speeds->gbs : speeds->gflops);
        if (!(speed > 0))
            return -1;
        seconds += (family->by_bytes ? part->bytes : part->flops) / speed;
    }
    return seconds;
}

static bool reckon(struct host_plan_time *time, const struct vs_run_plan *plan,
                   const struct speeds *speeds)
{
    const struct {
        double *seconds;
        const struct vs_stage_work *work;
    } stages[] = {{&time->encode_given, &plan->encode_given},
                  {&time->encode, &plan->encode},
                  {&time->denoise, &plan->denoise},
                  {&time->last_chunk, &plan->last_chunk},
                  {&time->decode, &plan->decode}};
    bool known = true;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        *stages[i].seconds = seconds_of(stages[i].work, speeds);
        known = known && *stages[i].seconds >= 0;
    }
    return known;
}

static enum vs_status measure(struct speeds *speeds, const char *device)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = NULL;
    struct vs_bench_peak *peak = NULL;
    VS_TRY(vs_context_create(&context, device));
    VS_TRY(vs_bench_peak_create(&peak, context, false));
    VS_TRY(vs_bench_peak_measure(peak, &speeds->gflops, &speeds->gbs));
fail:
    vs_bench_peak_free(peak);
    vs_context_free(context);
    return status;
}

enum vs_status host_plan_reckon(struct host_plan *plan, const char *device, bool may_measure)
{
    enum vs_status status = VS_OK;
    struct host_plan_time *time = &plan->time;
    struct vs_context *context = NULL;
    struct speeds speeds = {.records = NULL};
    json_t *records = NULL;
    *time = (struct host_plan_time){.source = HOST_TIME_UNKNOWN};
    if (may_measure) {
        VS_TRY(measure(&speeds, device));
        time->gflops = speeds.gflops;
        time->gbs = speeds.gbs;
    } else {
        VS_TRY(vs_context_create_hollow(&context, device));
        speeds.records = records = host_tuning_records(context);
    }
    if ((may_measure || records) && reckon(time, &plan->run, &speeds))
        time->source = may_measure ? HOST_TIME_PEAK : HOST_TIME_RECORDS;
fail:
    json_decref(records);
    vs_context_free(context);
    return status;
}
