/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.c - kinds of output by name, and several outputs as one. */
#include "config.h"

#include "host/sink.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cl/alloc.h"
#include "host/sink_y4m.h"

struct output {
    const struct host_sink_kind *kind; /* NULL: failed and dropped */
    const char *path;
    void *state;
};

struct host_sinks {
    size_t n;
    struct output items[];
};

/* ---- Names -------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

enum vs_status host_sink_recognise(const struct host_sink_kind **kind, const char *path)
{
    static const char *const other_media[] = {".avi", ".mkv",  ".mov",  ".webm", ".gif", ".apng",
                                              ".m4v", ".jpg",  ".jpeg", ".webp", ".bmp", ".ppm",
                                              ".tif", ".tiff", ".ts",   ".ogv",  ".yuv", ".rgb"};
    if (!*path)
        return vs_fail(VS_ERROR_USAGE, "--output '': give a folder, x.mp4, x.y4m, x.png or -");
    if (path[strlen(path) - 1] == '/' || is_folder(path)) {
        *kind = &host_sink_png;
    } else if (strcmp(path, "-") == 0 || ends_in(path, ".y4m")) {
        *kind = &host_sink_y4m;
    } else if (ends_in(path, ".png")) {
        *kind = &host_sink_sheet;
    } else if (ends_in(path, ".mp4")) {
#ifdef HAVE_FFMPEG
        *kind = &host_sink_mp4;
#else
        return vs_fail(VS_ERROR_USAGE,
                       "--output '%s': this program was built without FFmpeg and "
                       "writes no mp4; write a folder or x.y4m instead",
                       path);
#endif
    } else {
        for (size_t i = 0; i < sizeof other_media / sizeof *other_media; i++) {
            if (ends_in(path, other_media[i]))
                return vs_fail(VS_ERROR_USAGE,
                               "--output '%s': %s files are not written; give a "
                               "folder, x.mp4, x.y4m, x.png (contact sheet) or -",
                               path, other_media[i]);
        }
        *kind = &host_sink_png;
    }
    return VS_OK;
}

bool host_same_path(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    while (n > 1 && a[n - 1] == '/')
        n--;
    while (m > 1 && b[m - 1] == '/')
        m--;
    return n == m && memcmp(a, b, n) == 0;
}

enum vs_status host_sinks_check(const struct host_list *paths)
{
    if (paths->n == 0)
        return vs_fail(VS_ERROR_USAGE, "no output; give --output with a folder, x.mp4, x.y4m, "
                                       "x.png (contact sheet) or - (y4m on standard output)");
    for (size_t i = 0; i < paths->n; i++) {
        const struct host_sink_kind *kind;
        enum vs_status status = host_sink_recognise(&kind, paths->items[i]);
        if (status != VS_OK)
            return status;
        for (size_t j = 0; j < i; j++) {
            if (host_same_path(paths->items[i], paths->items[j]))
                return vs_fail(VS_ERROR_USAGE, "--output '%s' is given twice", paths->items[i]);
        }
    }
    return VS_OK;
}

/* ---- What is there already ---------------------------------------------------------------- */

enum vs_status host_sinks_first_needed(size_t *frame, const struct host_list *paths,
                                       const struct vs_video_info *video,
                                       const struct host_metadata *metadata)
{
    *frame = video->n_frames;
    for (size_t i = 0; i < paths->n; i++) {
        const struct host_sink_kind *kind;
        enum vs_status status = host_sink_recognise(&kind, paths->items[i]);
        if (status != VS_OK)
            return status;
        size_t n = kind->present ? kind->present(paths->items[i], video, metadata) : 0;
        *frame = n < *frame ? n : *frame;
    }
    return VS_OK;
}

bool host_sinks_are_there(const struct host_list *paths, const struct vs_video_info *video,
                          const struct host_metadata *metadata)
{
    for (size_t i = 0; i < paths->n; i++) {
        const char *path = paths->items[i];
        const struct host_sink_kind *kind;
        struct stat about;
        if (strcmp(path, "-") == 0)
            continue;
        if (host_sink_recognise(&kind, path) != VS_OK || stat(path, &about) != 0 ||
            (kind->present && kind->present(path, video, metadata) < video->n_frames))
            return false;
    }
    return true;
}

/* ---- Several at once ---------------------------------------------------------------------- */

enum vs_status host_sinks_open(struct host_sinks **sinks, const struct host_list *paths,
                               const struct vs_video_info *video,
                               const struct host_metadata *metadata)
{
    enum vs_status status = VS_OK;
    *sinks = NULL;
    struct host_sinks *made = vs_alloc(1, sizeof *made + paths->n * sizeof made->items[0]);
    if (!made)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < paths->n; i++) {
        struct output *output = &made->items[i];
        const struct host_sink_kind *kind;
        VS_TRY(host_sink_recognise(&kind, paths->items[i]));
        output->path = paths->items[i];
        VS_TRY(kind->open(&output->state, output->path, video, metadata));
        output->kind = kind;
        made->n = i + 1;
    }
    *sinks = made;
    return VS_OK;
fail:
    host_sinks_abort(made);
    return status;
}

enum vs_status host_sinks_write(struct host_sinks *sinks, size_t first_frame, size_t n_frames,
                                const uint8_t *rgb, bool *pipe_closed)
{
    enum vs_status first = VS_OK;
    char *message = NULL;
    for (size_t i = 0; i < sinks->n; i++) {
        struct output *output = &sinks->items[i];
        if (!output->kind)
            continue;
        enum vs_status status = output->kind->write(output->state, first_frame, n_frames, rgb);
        if (status == VS_OK)
            continue;
        if (output->kind == &host_sink_y4m && host_y4m_pipe_closed(output->state) && pipe_closed)
            *pipe_closed = true;
        if (first == VS_OK) {
            first = status;
            message = vs_strdup(vs_error_message());
        }
        output->kind->abort(output->state);
        output->kind = NULL;
    }
    if (message) {
        (void)vs_fail(first, "%s", message);
        free(message);
    }
    return first;
}

enum vs_status host_sinks_close(struct host_sinks *sinks)
{
    enum vs_status first = VS_OK;
    char *message = NULL;
    for (size_t i = 0; sinks && i < sinks->n; i++) {
        struct output *output = &sinks->items[i];
        enum vs_status status = output->kind ? output->kind->close(output->state) : VS_OK;
        if (status != VS_OK && first == VS_OK) {
            first = status;
            message = vs_strdup(vs_error_message());
        }
    }
    if (message) {
        (void)vs_fail(first, "%s", message);
        free(message);
    }
    free(sinks);
    return first;
}

void host_sinks_abort(struct host_sinks *sinks)
{
    for (size_t i = 0; sinks && i < sinks->n; i++) {
        if (sinks->items[i].kind)
            sinks->items[i].kind->abort(sinks->items[i].state);
    }
    free(sinks);
}

/* ---- Rates -------------------------------------------------------------------------------- */

void host_fps_fraction(double fps, int *numerator, int *denominator)
{
    double ntsc = round(fps * 1.001);
    if (fps == floor(fps) && fps >= 1 && fps < 1e9) {
        *numerator = (int)fps;
        *denominator = 1;
        return;
    }
    /* 23.976 and 29.97 are people's way of writing 24000/1001 and 30000/1001. */
    if (ntsc >= 1 && ntsc < 1e6 && fabs(ntsc / 1.001 - fps) < 2e-6 * fps) {
        *numerator = (int)ntsc * 1000;
        *denominator = 1001;
        return;
    }
    /* Convergents of the continued fraction, until one is near enough. */
    double x = fps;
    int64_t p0 = 1, q0 = 0, p = (int64_t)floor(x), q = 1;
    while (fabs((double)p / (double)q - fps) > 1e-9 * fps && x > floor(x)) {
        x = 1 / (x - floor(x));
        int64_t a = x < 1e6 ? (int64_t)floor(x) : 1000000;
        int64_t p1 = a * p + p0, q1 = a * q + q0;
        if (p1 > 1000000000 || q1 > 1000000)
            break;
        p0 = p, q0 = q, p = p1, q = q1;
    }
    *numerator = p > 0 ? (int)p : 1;
    *denominator = p > 0 ? (int)q : 1000000;
}
