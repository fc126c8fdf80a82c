/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c - what the launches of a run add up to, as a table and as one JSON record. */
#include "config.h"

#include "host/profile.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cl/alloc.h"
#include "cl/profile.h"
#include "kernels/bench/bench.h"

enum { MAX_SAMPLES = 256, MAX_FAMILY = 32 };

struct host_profile {
    struct vs_context *context; /* borrowed */
    struct vs_bench_peak *peak;
    double gflops[MAX_SAMPLES], gbs[MAX_SAMPLES];
    size_t n_samples;
    double begin, sampling; /* seconds */
};

/* All kernels of a family, or one of them. */
struct row {
    char family[MAX_FAMILY];
    const char *kernel; /* NULL: the family */
    size_t n_launches;
    double seconds, flops, bytes;
};

struct table {
    struct row *rows; /* families by time, each followed by its kernels by time */
    size_t n;
    double wall, device; /* seconds of the run and of its kernels */
    double peak_gflops, copy_gbs;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

enum vs_status host_profile_begin(struct host_profile **out, struct vs_context *context)
{
    enum vs_status status = VS_OK;
    struct host_profile *profile = vs_alloc(1, sizeof *profile);
    *out = NULL;
    if (!profile)
        return VS_ERROR_MEMORY;
    profile->context = context;
    VS_TRY(vs_bench_peak_create(&profile->peak, context, false));
    VS_TRY(vs_profile_begin(context));
    profile->begin = now();
    VS_TRY(host_profile_sample(profile));
    *out = profile;
    return VS_OK;
fail:
    host_profile_free(profile);
    return status;
}

enum vs_status host_profile_sample(struct host_profile *profile)
{
    enum vs_status status = VS_OK;
    double start = now();
    size_t i = profile->n_samples;
    if (i == MAX_SAMPLES)
        return VS_OK;
    VS_TRY(vs_bench_peak_measure(profile->peak, &profile->gflops[i], &profile->gbs[i]));
    profile->n_samples++;
    profile->sampling += now() - start;
fail:
    return status;
}

void host_profile_free(struct host_profile *profile)
{
    if (!profile)
        return;
    vs_bench_peak_free(profile->peak);
    free(profile);
}

/* ---- Adding up ---------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return n ? (values[(n - 1) / 2] + values[n / 2]) / 2 : 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void add(struct row *row, const struct vs_profile_entry *entry)
{
    row->n_launches += entry->n_launches;
    row->seconds += entry->seconds;
    row->flops += entry->flops;
    row->bytes += entry->bytes;
}

static struct row *find_family(struct row *families, size_t *n, const char *source)
{
    struct row new = {.kernel = NULL};
    snprintf(new.family, sizeof new.family, "%.*s", (int)strcspn(source, "/"), source);
    for (size_t i = 0; i < *n; i++)
        if (strcmp(families[i].family, new.family) == 0)
            return &families[i];
    families[*n] = new;
    return &families[(*n)++];
}

/* The peak's own loops are not the run's. */
static bool counts(const struct vs_profile_entry *entry)
{
    return strncmp(entry->source, "bench/", 6) != 0 && entry->n_launches;
}

static enum vs_status add_up(struct table *table, const struct vs_profile_entry *entries,
                             size_t n_entries)
{
    size_t n_families = 0;
    struct row *families = vs_alloc(n_entries, sizeof *families);
    table->rows = vs_alloc(2 * n_entries, sizeof *table->rows);
    if (!families || !table->rows) {
        free(families);
        return VS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < n_entries; i++)
        if (counts(&entries[i])) {
            add(find_family(families, &n_families, entries[i].source), &entries[i]);
            table->device += entries[i].seconds;
        }
    qsort(families, n_families, sizeof *families, compare_rows);
    for (size_t f = 0; f < n_families; f++) {
        table->rows[table->n++] = families[f];
        size_t first = table->n;
        for (size_t i = 0; i < n_entries; i++) {
            struct row row = families[f];
            if (!counts(&entries[i]) ||
                strncmp(entries[i].source, row.family, strlen(row.family)) ||
                entries[i].source[strlen(row.family)] != '/')
                continue;
            row = (struct row){.kernel = entries[i].kernel};
            memcpy(row.family, families[f].family, sizeof row.family);
            add(&row, &entries[i]);
            table->rows[table->n++] = row;
        }
        qsort(table->rows + first, table->n - first, sizeof *table->rows, compare_rows);
    }
    free(families);
    return VS_OK;
}

/* ---- Telling ------------------------------------------------------------------------------ */

static double per_second(double amount, double seconds)
{
    return seconds > 0 ? amount * 1e-9 / seconds : 0;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static char *table_text(const struct table *table)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *file = open_memstream(&text, &n_bytes);
    if (!file)
        return NULL;
    fprintf(file,
            "profile: %.2f s, %.2f s of them in kernels; peak %.1f GFLOP/s, copies %.1f GB/s\n",
            table->wall, table->device, table->peak_gflops, table->copy_gbs);
    fprintf(file, "%-24s %9s %6s %8s %8s %7s %5s %5s\n", "kernels", "seconds", "share", "launches",
            "GFLOP/s", "GB/s", "peak", "copy");
    for (size_t i = 0; i < table->n; i++) {
        const struct row *row = &table->rows[i];
        /* The only kernel of a family says nothing new. */
        bool alone = row->kernel && !row[-1].kernel && (i + 1 == table->n || !row[1].kernel);
        double gflops = per_second(row->flops, row->seconds);
        double gbs = per_second(row->bytes, row->seconds);
        if (!alone)
            fprintf(file, "%s%-*s %9.3f %5.1f%% %8zu %8.1f %7.1f %4.0f%% %4.0f%%\n",
                    row->kernel ? "  " : "", row->kernel ? 22 : 24,
                    row->kernel ? row->kernel : row->family, row->seconds,
                    100 * share(row->seconds, table->device), row->n_launches, gflops, gbs,
                    100 * share(gflops, table->peak_gflops), 100 * share(gbs, table->copy_gbs));
    }
    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }
    if (n_bytes && text[n_bytes - 1] == '\n')
        text[n_bytes - 1] = '\0';
    return text;
}

static json_t *row_json(const struct row *row, const struct table *table)
{
    double gflops = per_second(row->flops, row->seconds);
    double gbs = per_second(row->bytes, row->seconds);
    return json_pack("{s:s, s:f, s:f, s:I, s:f, s:f, s:f, s:f}", row->kernel ? "kernel" : "family",
                     row->kernel ? row->kernel : row->family, "seconds", row->seconds, "share",
                     share(row->seconds, table->device), "launches", (json_int_t)row->n_launches,
                     "gflops", gflops, "gbs", gbs, "fraction_of_peak",
                     share(gflops, table->peak_gflops), "fraction_of_copy",
                     share(gbs, table->copy_gbs));
}

static char *table_json(const struct table *table)
{
    json_t *families = json_array(), *kernels = NULL;
    for (size_t i = 0; i < table->n; i++) {
        json_t *row = row_json(&table->rows[i], table);
        if (table->rows[i].kernel) {
            json_array_append_new(kernels, row);
            continue;
        }
        kernels = json_array();
        json_object_set_new(row, "kernels", kernels);
        json_array_append_new(families, row);
    }
    json_t *root = json_pack("{s:s, s:f, s:f, s:f, s:f, s:o}", "event", "profile", "seconds",
                             table->wall, "kernel_seconds", table->device, "peak_gflops",
                             table->peak_gflops, "copy_gbs", table->copy_gbs, "families", families);
    char *text =
        root ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    return text;
}

enum vs_status host_profile_end(struct host_profile *profile, struct host_progress *progress)
{
    enum vs_status status = VS_OK;
    struct table table = {.wall = now() - profile->begin - profile->sampling};
    struct vs_profile_entry *entries = NULL;
    size_t n_entries = 0;
    char *text = NULL, *json = NULL;
    VS_TRY(vs_profile_end(profile->context, &entries, &n_entries));
    table.peak_gflops = median(profile->gflops, profile->n_samples);
    table.copy_gbs = median(profile->gbs, profile->n_samples);
    VS_TRY(add_up(&table, entries, n_entries));
    text = table_text(&table);
    json = table_json(&table);
    if (!text || !json) {
        status = vs_fail(VS_ERROR_MEMORY, "out of memory for the profile");
        goto fail;
    }
    host_progress_record(progress, text, json);
fail:
    free(table.rows);
    free(entries);
    free(text);
    free(json);
    return status;
}
