/* SPDX-License-Identifier: Apache-2.0
 *
 * meter.c - numbers of a video, frame by frame.
 *
 * Differences and colours are summed as whole numbers and divided at the end, so identical frames
 * give exactly 1 and the result does not depend on the machine. */
#include "config.h"

#include "host/meter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/meter_looks.h"

/* Frames a second, and pixels of 256 in that time, of VBench's dynamic degree. */
#define MOTION_FPS 8.0
#define MOTION_PIXELS 6.0

enum { KEPT = 3 };

/* Sums over one second. */
struct tally {
    size_t n_frames, n_pairs;
    uint64_t sum[3], squares[3], differences;
};

struct host_meter {
    size_t width, height, n_values; /* n_values: of a frame, all channels */
    double fps;
    size_t n_frames;
    uint8_t *kept[KEPT]; /* frame i lies in kept[i % KEPT] */
    struct tally *tallies;
    size_t n_tallies;
    uint64_t bends; /* sum of |2 middle - left - right| */
    size_t n_bends;
    struct host_small small, moved_from; /* this frame; the last one that motion was measured at */
    struct host_look first, before, now;
    double subject, background; /* sums of cosines */
    struct host_search search;
    size_t motion_step, n_samples, n_fast;
    double motion, threshold; /* sum over pairs of samples; both in pixels of the video */
};

enum vs_status host_meter_open(struct host_meter **result, size_t width, size_t height, double fps)
{
    enum vs_status status = VS_ERROR_MEMORY;
    struct host_meter *meter = vs_alloc(1, sizeof *meter);
    if (!meter)
        return VS_ERROR_MEMORY;
    meter->width = width;
    meter->height = height;
    meter->n_values = width * height * 3;
    meter->fps = fps;
    for (int i = 0; i < KEPT; i++) {
        meter->kept[i] = vs_alloc(meter->n_values, 1);
        if (!meter->kept[i])
            goto fail;
    }
    VS_TRY(host_small_open(&meter->small, width, height));
    VS_TRY(host_small_open(&meter->moved_from, width, height));
    VS_TRY(host_search_open(&meter->search));
    meter->motion_step = (size_t)fmax(1, rint(fps / MOTION_FPS));
    meter->threshold =
        fmax(1, MOTION_FPS / fps) * MOTION_PIXELS * (double)(width < height ? width : height) / 256;
    *result = meter;
    return VS_OK;
fail:
    host_meter_free(meter);
    return status;
}

void host_meter_free(struct host_meter *meter)
{
    if (!meter)
        return;
    for (int i = 0; i < KEPT; i++)
        free(meter->kept[i]);
    free(meter->tallies);
    host_small_free(&meter->small);
    host_small_free(&meter->moved_from);
    free(meter->search.vectors);
    free(meter);
}

/* ---- One frame ---------------------------------------------------------------------------- */

static uint64_t sum_differences(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (unsigned)abs(a[i] - b[i]);
    return sum;
}

static uint64_t sum_bends(const uint8_t *left, const uint8_t *middle, const uint8_t *right,
                          size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (unsigned)abs(2 * middle[i] - left[i] - right[i]);
    return sum;
}

/* The second that the newest frame lies in. */
static struct tally *tally_of_frame(struct host_meter *meter)
{
    size_t second = (size_t)((double)meter->n_frames / meter->fps);
    if (second >= meter->n_tallies) {
        struct tally *grown = vs_realloc(meter->tallies, second + 1, sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + meter->n_tallies, 0, (second + 1 - meter->n_tallies) * sizeof *grown);
        meter->tallies = grown;
        meter->n_tallies = second + 1;
    }
    return &meter->tallies[second];
}

static void add_colours(struct tally *tally, const uint8_t *rgb, size_t n_values)
{
    for (size_t i = 0; i < n_values; i += 3) {
        for (size_t c = 0; c < 3; c++) {
            tally->sum[c] += rgb[i + c];
            tally->squares[c] += (unsigned)rgb[i + c] * rgb[i + c];
        }
    }
    tally->n_frames++;
}

static void add_look(struct host_meter *meter)
{
    enum { N_BACKGROUND = LOOK_CELLS * LOOK_CELLS * LOOK_COLOURS };
    host_look_take(&meter->now, &meter->small);
    if (meter->n_frames == 0) {
        meter->first = meter->now;
    } else {
        meter->subject += (host_cosine(meter->now.subject, meter->before.subject, LOOK_COLOURS) +
                           host_cosine(meter->now.subject, meter->first.subject, LOOK_COLOURS)) /
                          2;
        meter->background +=
            (host_cosine(meter->now.background, meter->before.background, N_BACKGROUND) +
             host_cosine(meter->now.background, meter->first.background, N_BACKGROUND)) /
            2;
    }
    meter->before = meter->now;
}

static void add_motion(struct host_meter *meter)
{
    if (meter->n_samples > 0) {
        double pixels = host_motion(&meter->search, &meter->moved_from, &meter->small) *
                        (double)meter->small.factor;
        meter->motion += pixels;
        meter->n_fast += pixels > meter->threshold;
    }
    meter->n_samples++;
    struct host_small held = meter->moved_from;
    meter->moved_from = meter->small;
    meter->small = held;
}

enum vs_status host_meter_add(struct host_meter *meter, const uint8_t *rgb)
{
    size_t i = meter->n_frames, n = meter->n_values;
    uint8_t *now = meter->kept[i % KEPT];
    struct tally *tally = tally_of_frame(meter);
    if (!tally)
        return VS_ERROR_MEMORY;
    memcpy(now, rgb, n);
    add_colours(tally, now, n);
    if (i > 0) {
        tally->differences += sum_differences(meter->kept[(i - 1) % KEPT], now, n);
        tally->n_pairs++;
    }
    /* Frames 1, 3, 5, ... are those in the middle. */
    if (i > 0 && i % 2 == 0) {
        meter->bends += sum_bends(meter->kept[(i - 2) % KEPT], meter->kept[(i - 1) % KEPT], now, n);
        meter->n_bends++;
    }
    host_small_fill(&meter->small, now, meter->width);
    add_look(meter);
    if (i % meter->motion_step == 0)
        add_motion(meter);
    meter->n_frames++;
    return VS_OK;
}

/* ---- Results ------------------------------------------------------------------------------ */

/* (255 - mean) / 255 of a sum over n_pictures whole pictures, each value counted `scale` times. */
static double score(const struct host_meter *meter, uint64_t sum, size_t n_pictures, double scale)
{
    if (n_pictures == 0)
        return NAN;
    return (255 - (double)sum / (scale * (double)n_pictures * (double)meter->n_values)) / 255;
}

/* CIELAB of an sRGB colour, 0..255, under D65. */
static void to_lab(double lab[3], const double srgb[3])
{
    static const double matrix[3][3] = {{0.4124564, 0.3575761, 0.1804375},
                                        {0.2126729, 0.7151522, 0.0721750},
                                        {0.0193339, 0.1191920, 0.9503041}};
    static const double white[3] = {0.95047, 1.0, 1.08883};
    double linear[3], f[3];
    for (int c = 0; c < 3; c++) {
        double v = srgb[c] / 255;
        linear[c] = v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
    }
    for (int c = 0; c < 3; c++) {
        double v =
            (matrix[c][0] * linear[0] + matrix[c][1] * linear[1] + matrix[c][2] * linear[2]) /
            white[c];
        f[c] = v > 216.0 / 24389 ? cbrt(v) : (24389.0 / 27 * v + 16) / 116;
    }
    lab[0] = 116 * f[1] - 16;
    lab[1] = 500 * (f[0] - f[1]);
    lab[2] = 200 * (f[1] - f[2]);
}

static void fill_second(const struct host_meter *meter, struct host_second *second,
                        const struct tally *tally)
{
    double n = (double)tally->n_frames * (double)(meter->n_values / 3);
    second->n_frames = tally->n_frames;
    for (int c = 0; c < 3; c++) {
        double mean = (double)tally->sum[c] / n;
        second->mean[c] = mean;
        second->deviation[c] = sqrt(fmax((double)tally->squares[c] / n - mean * mean, 0));
    }
    second->flicker = score(meter, tally->differences, tally->n_pairs, 1);
}

static void fill_drift(struct host_metrics *metrics)
{
    double origin[3], lab[3];
    const struct host_second *first = &metrics->seconds[0];
    const struct host_second *last = &metrics->seconds[metrics->n_seconds - 1];
    to_lab(origin, first->mean);
    for (size_t i = 0; i < metrics->n_seconds; i++) {
        struct host_second *second = &metrics->seconds[i];
        to_lab(lab, second->mean);
        second->drift = sqrt((lab[0] - origin[0]) * (lab[0] - origin[0]) +
                             (lab[1] - origin[1]) * (lab[1] - origin[1]) +
                             (lab[2] - origin[2]) * (lab[2] - origin[2]));
        metrics->drift_max = fmax(metrics->drift_max, second->drift);
    }
    metrics->drift_end = last->drift;
    double contrast = first->deviation[0] + first->deviation[1] + first->deviation[2];
    metrics->contrast_end =
        contrast > 0 ? (last->deviation[0] + last->deviation[1] + last->deviation[2]) / contrast
                     : NAN;
}

enum vs_status host_meter_finish(struct host_meter *meter, struct host_metrics *metrics)
{
    uint64_t differences = 0;
    size_t n_pairs = meter->n_frames - 1;
    if (meter->n_frames < 2)
        return vs_fail(VS_ERROR_USAGE, "at least two frames are needed");
    *metrics = (struct host_metrics){.n_frames = meter->n_frames,
                                     .width = meter->width,
                                     .height = meter->height,
                                     .fps = meter->fps};
    metrics->seconds = vs_alloc(meter->n_tallies, sizeof *metrics->seconds);
    if (!metrics->seconds)
        return VS_ERROR_MEMORY;
    metrics->n_seconds = meter->n_tallies;
    for (size_t i = 0; i < meter->n_tallies; i++) {
        differences += meter->tallies[i].differences;
        fill_second(meter, &metrics->seconds[i], &meter->tallies[i]);
    }
    fill_drift(metrics);
    metrics->temporal_flicker = score(meter, differences, n_pairs, 1);
    metrics->motion_smoothness = score(meter, meter->bends, meter->n_bends, 2);
    metrics->subject_consistency = meter->subject / (double)n_pairs;
    metrics->background_consistency = meter->background / (double)n_pairs;
    /* A quarter of the samples has to be fast, and at least one. */
    metrics->dynamic = (double)meter->n_fast >= fmax(1, rint((double)meter->n_samples / 4));
    metrics->motion_pixels =
        meter->n_samples > 1 ? meter->motion / (double)(meter->n_samples - 1) : 0;
    return VS_OK;
}
