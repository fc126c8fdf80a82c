/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_text.c - reports of `videossm-cl metrics`: table, JSON, plot. */
#include "config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/json_text.h"
#include "host/metrics.h"
#include "host/plot.h"

/* ---- Table -------------------------------------------------------------------------------- */

/* A number, or a dash for one that there is not. */
static void cell(FILE *file, int width, int digits, double value)
{
    if (isfinite(value))
        fprintf(file, " %*.*f", width, digits, value);
    else
        fprintf(file, " %*s", width, "-");
}

/* A name from outside, padded, without what would move the cursor. */
static void print_name(FILE *file, const char *name, int width)
{
    for (; *name; name++, width--)
        fputc((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name, file);
    fprintf(file, "%*s", width > 0 ? width : 0, "");
}

void host_metrics_print(FILE *file, const struct host_measured *videos, size_t n_videos)
{
    int width = 5;
    bool any = false;
    for (size_t i = 0; i < n_videos; i++) {
        any |= videos[i].status == VS_OK;
        if (videos[i].status == VS_OK && strlen(videos[i].path) < 40 &&
            (int)strlen(videos[i].path) > width)
            width = (int)strlen(videos[i].path);
    }
    if (!any)
        return;
    fprintf(file, "%-*s %6s %7s  %7s  %7s %10s %7s %7s %7s  %8s %8s %8s\n", width, "video",
            "frames", "seconds", "flicker", "subject", "background", "smooth", "motion", "dynamic",
            "drift end", "max", "contrast");
    for (size_t i = 0; i < n_videos; i++) {
        const struct host_metrics *metrics = &videos[i].metrics;
        if (videos[i].status != VS_OK)
            continue;
        print_name(file, videos[i].path, width);
        fprintf(file, " %6zu %7.2f ", metrics->n_frames, (double)metrics->n_frames / metrics->fps);
        cell(file, 7, 5, metrics->temporal_flicker);
        fputc(' ', file);
        cell(file, 7, 5, metrics->subject_consistency);
        cell(file, 10, 5, metrics->background_consistency);
        cell(file, 7, 5, metrics->motion_smoothness);
        cell(file, 7, 2, metrics->motion_pixels);
        fprintf(file, " %7s ", metrics->dynamic ? "yes" : "no");
        cell(file, 9, 2, metrics->drift_end);
        cell(file, 8, 2, metrics->drift_max);
        cell(file, 8, 3, metrics->contrast_end);
        fputc('\n', file);
    }
    fputs("\nflicker: as in VBench. subject, background, smooth, motion, dynamic: stand-ins "
          "without networks,\nnot comparable with published numbers. drift: CIELAB dE of the mean "
          "colour from the first second.\n",
          file);
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* JSON has no NaN. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *triple(const double values[3])
{
    return json_pack("[f, f, f]", values[0], values[1], values[2]);
}

static json_t *seconds_json(const struct host_metrics *metrics)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < metrics->n_seconds; i++) {
        const struct host_second *second = &metrics->seconds[i];
        json_t *entry = json_pack("{s:I, s:I, s:o, s:o, s:f, s:o}", "second", (json_int_t)i,
                                  "frames", (json_int_t)second->n_frames, "mean",
                                  triple(second->mean), "deviation", triple(second->deviation),
                                  "drift", second->drift, "flicker", number(second->flicker));
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *video_json(const struct host_measured *video)
{
    const struct host_metrics *metrics = &video->metrics;
    if (video->status != VS_OK)
        return json_pack("{s:o, s:o}", "name", host_json_text(video->path), "fault",
                         host_json_text(video->fault ? video->fault : ""));
    return json_pack("{s:o, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:f, s:b, s:f, s:f, s:o, s:o}",
                     "name", host_json_text(video->path), "frames", (json_int_t)metrics->n_frames,
                     "width", (json_int_t)metrics->width, "height", (json_int_t)metrics->height,
                     "fps", metrics->fps, "temporal_flicker", metrics->temporal_flicker,
                     "subject_consistency", number(metrics->subject_consistency),
                     "background_consistency", number(metrics->background_consistency),
                     "motion_smoothness", number(metrics->motion_smoothness), "motion_pixels",
                     metrics->motion_pixels, "dynamic", metrics->dynamic, "drift_end",
                     metrics->drift_end, "drift_max", metrics->drift_max, "contrast_end",
                     number(metrics->contrast_end), "seconds", seconds_json(metrics));
}

/* Which of the numbers may be held against those of others. */
static json_t *methods_json(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "temporal_flicker", "VBench",
                     "subject_consistency", "stand-in for DINO: colours weighted by gradient",
                     "background_consistency", "stand-in for CLIP: colours by cell",
                     "motion_smoothness", "stand-in for AMT: mean of the neighbours", "dynamic",
                     "stand-in for RAFT: block matching", "drift",
                     "CIELAB dE (1976) of the mean colour from that of the first second");
}

enum vs_status host_metrics_print_json(FILE *file, const struct host_measured *videos,
                                       size_t n_videos)
{
    json_t *list = json_array();
    enum vs_status status = VS_OK;
    for (size_t i = 0; list && i < n_videos; i++)
        if (json_array_append_new(list, video_json(&videos[i])) != 0)
            status = VS_ERROR_MEMORY;
    json_t *root = json_pack("{s:s, s:o, s:o}", "version", vs_version(), "methods", methods_json(),
                             "videos", list);
    if (!root || status != VS_OK)
        status = vs_fail(VS_ERROR_MEMORY, "out of memory for the list");
    else if (json_dumpf(root, file, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) != 0)
        status = vs_fail(VS_ERROR_RUNTIME, "cannot write the list");
    else
        fputc('\n', file);
    json_decref(root);
    return status;
}

/* ---- Plot --------------------------------------------------------------------------------- */

enum { HEAD = 30, LEGEND_LINE = 18, N_COLOURS = 8, N_PANELS = 2 };

static const char *const colours[N_COLOURS] = {"#2563c9", "#c2570c", "#1a7f4b", "#9333a8",
                                               "#b08900", "#0e7f8c", "#c02666", "#667085"};

/* The values of a panel, video after video: drift, or 1 - flicker. */
static double *panel_values(const struct host_measured *videos, size_t n_videos, bool flicker,
                            size_t *n_values)
{
    size_t n = 0;
    for (size_t i = 0; i < n_videos; i++)
        n += videos[i].metrics.n_seconds;
    double *values = vs_alloc(n, sizeof *values);
    *n_values = n;
    n = 0;
    for (size_t i = 0; values && i < n_videos; i++)
        for (size_t k = 0; k < videos[i].metrics.n_seconds; k++) {
            const struct host_second *second = &videos[i].metrics.seconds[k];
            values[n++] = flicker ? 255 * (1 - second->flicker) : second->drift;
        }
    return values;
}

static enum vs_status print_panel(FILE *file, const struct host_measured *videos, size_t n_videos,
                                  bool flicker, int top)
{
    const char *title = flicker ? "Mean difference of neighbouring frames, 0 to 255, by second"
                                : "Colour drift, CIELAB dE from the first second";
    size_t n_values, at = 0, n_longest = 0;
    double *values = panel_values(videos, n_videos, flicker, &n_values);
    struct host_plot_line *lines = vs_alloc(n_videos, sizeof *lines);
    for (size_t i = 0; values && lines && i < n_videos; i++) {
        size_t n = videos[i].metrics.n_seconds;
        lines[i] = (struct host_plot_line){values + at, n, colours[i % N_COLOURS]};
        at += n;
        n_longest = n > n_longest ? n : n_longest;
    }
    const struct host_plot plot = {.title = title,
                                   .x_label = "second",
                                   .x_every = n_longest / 12 + 1,
                                   .marks = n_longest <= 120,
                                   .grid_colour = "#d8dbe0",
                                   .lines = lines,
                                   .n_lines = n_videos};
    if (values && lines) {
        fprintf(file, "<text x=\"20\" y=\"%d\">%s</text>\n", top + 18, title);
        if (!host_plot_print(file, &plot, top + HEAD))
            fprintf(file, "<text x=\"70\" y=\"%d\">0 throughout</text>\n", top + HEAD + 40);
    }
    enum vs_status status = values && lines ? VS_OK : VS_ERROR_MEMORY;
    free(lines);
    free(values);
    return status;
}

static enum vs_status print_plots(FILE *file, const struct host_measured *videos, size_t n_videos)
{
    enum vs_status status = VS_OK;
    int legend = N_PANELS * (HEAD + HOST_PLOT_HEIGHT) + 10;
    int height = legend + LEGEND_LINE * (int)n_videos + 10;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#445\">\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            HOST_PLOT_WIDTH, height, HOST_PLOT_WIDTH, height, HOST_PLOT_WIDTH, height);
    VS_TRY(print_panel(file, videos, n_videos, false, 0));
    VS_TRY(print_panel(file, videos, n_videos, true, HEAD + HOST_PLOT_HEIGHT));
    for (size_t i = 0; i < n_videos; i++) {
        int y = legend + LEGEND_LINE * (int)(i + 1);
        fprintf(file,
                "<rect x=\"20\" y=\"%d\" width=\"16\" height=\"4\" fill=\"%s\"/>"
                "<text x=\"44\" y=\"%d\">",
                y - 6, colours[i % N_COLOURS], y);
        host_print_escaped(file, videos[i].path);
        fputs(videos[i].status == VS_OK ? "</text>\n" : " (not measured)</text>\n", file);
    }
    fputs("</svg>\n", file);
fail:
    return status;
}

enum vs_status host_metrics_plot(const char *path, const struct host_measured *videos,
                                 size_t n_videos)
{
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    if (!file)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    enum vs_status status = print_plots(file, videos, n_videos);
    if (fclose(file) != 0 && status == VS_OK)
        status = vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    if (status == VS_OK)
        status = host_draft_save(path, text, n);
    free(text);
    return status;
}
