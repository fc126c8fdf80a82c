/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.c - `videossm-cl metrics`: how steady and how lively finished videos are. Needs neither
 * model nor device. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/frames.h"
#include "host/metrics.h"

enum { MAX_VIDEOS = 1000 };

struct values {
    bool json;
    const char *plot;
    struct host_number fps;
};

static const struct host_option options[] = {
    {HOST_FLAG, 0, "json", NULL, "Print JSON, for programs: also the course over time.",
     offsetof(struct values, json)},
    {HOST_STRING, 0, "plot", "FILE",
     "Write a plot of colour drift and flicker over time. FILE ends in .svg.",
     offsetof(struct values, plot)},
    {HOST_NUMBER, 0, "fps", "RATE",
     "Frames a second. Default: the file's own rate; for a folder, that stored in its pictures, "
     "or 16.",
     offsetof(struct values, fps), .number_min = HOST_FPS_MIN, .number_max = HOST_FPS_MAX},
};

const struct host_spec host_metrics_spec = {
    .command = "metrics",
    .summary = "measure flicker, consistency, motion and drift of finished videos",
    .operands = "DIR|VIDEO...",
    .min_operands = 1,
    .max_operands = MAX_VIDEOS,
    .about =
        "Measures finished videos, one row each: folders of PNG frames, in the order of their "
        "names, or whatever FFmpeg's libraries read. Needs neither model nor device, and memory "
        "for a few frames, however long the video.\n"
        "flicker is VBench's temporal flickering. subject, background, smooth and dynamic take "
        "frames and averages as VBench does, but with plain stand-ins for its networks: they "
        "compare videos measured here, and not with published numbers. Exits with 2 when a video "
        "is missing, damaged or shorter than two frames; the others are measured all the same.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl metrics video.mp4\n"
                "  videossm-cl metrics hybrid/ window/ --plot drift.svg\n",
};

static enum vs_status measure(struct host_metrics *metrics, const char *path, double fps)
{
    struct host_frames *frames = NULL;
    struct host_meter *meter = NULL;
    const uint8_t *rgb = NULL;
    enum vs_status status;
    VS_TRY(host_frames_open(&frames, path, fps));
    VS_TRY(host_frames_next(frames, &rgb));
    if (!rgb) {
        status = vs_fail(VS_ERROR_USAGE, "'%s' holds no frames", path);
        goto fail;
    }
    VS_TRY(host_meter_open(&meter, frames->width, frames->height, frames->fps));
    while (rgb) {
        VS_TRY(host_meter_add(meter, rgb));
        VS_TRY(host_frames_next(frames, &rgb));
    }
    status = host_meter_finish(meter, metrics);
    if (status == VS_ERROR_USAGE)
        status = vs_fail_in(status, "'%s'", path);
fail:
    host_meter_free(meter);
    host_frames_free(frames);
    return status;
}

/* Goes on after a fault: the other videos are still worth measuring. */
static enum vs_status measure_all(struct host_measured *videos, const struct host_list *paths,
                                  double fps)
{
    enum vs_status worst = VS_OK;
    for (size_t i = 0; i < paths->n; i++) {
        videos[i].path = paths->items[i];
        videos[i].status = measure(&videos[i].metrics, paths->items[i], fps);
        if (videos[i].status != VS_OK) {
            worst = (enum vs_status)host_report(videos[i].status);
            videos[i].fault = strdup(vs_error_message());
        }
    }
    return worst;
}

static bool ends_in_svg(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".svg") == 0;
}

static enum vs_status run(const struct values *values, const struct host_list *paths)
{
    enum vs_status status = VS_OK;
    if (values->plot && !ends_in_svg(values->plot))
        return (enum vs_status)host_report(
            vs_fail(VS_ERROR_USAGE, "--plot '%s': plots are SVG; give a name that ends in .svg",
                    values->plot));
    struct host_measured *videos = vs_alloc(paths->n, sizeof *videos);
    if (!videos)
        return (enum vs_status)host_report(VS_ERROR_MEMORY);
    enum vs_status worst = measure_all(videos, paths, values->fps.given ? values->fps.value : 0);
    if (values->json)
        status = host_metrics_print_json(stdout, videos, paths->n);
    else
        host_metrics_print(stdout, videos, paths->n);
    if (status == VS_OK && values->plot)
        status = host_metrics_plot(values->plot, videos, paths->n);
    if (status != VS_OK)
        worst = (enum vs_status)host_report(status);
    for (size_t i = 0; i < paths->n; i++) {
        free(videos[i].metrics.seconds);
        free(videos[i].fault);
    }
    free(videos);
    return worst;
}

int host_metrics(int argc, char **argv)
{
    struct values values = {0};
    struct host_list paths = {0};
    bool help;
    enum vs_status status =
        host_options_parse(&host_metrics_spec, &values, &paths, &help, argc, argv);
    if (status != VS_OK)
        (void)host_report(status);
    else if (help)
        host_options_print_help(&host_metrics_spec, stdout);
    else
        status = run(&values, &paths);
    free(paths.items);
    return (int)status;
}
