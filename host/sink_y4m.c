/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_y4m.c - uncompressed video with a one-line header, in a file or on standard output.
 *
 * Chroma is kept whole (C444): small videos lose too much to subsampling. The format has no field
 * for the colour matrix; readers take BT.601 for small pictures, so that is what is written. */
#include "config.h"

#include "host/sink_y4m.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/sink.h"

struct y4m {
    struct host_draft draft; /* unused for standard output */
    int stdout_fd;           /* -1: a file */
    bool header_written, pipe_closed;
    size_t n_pixels;
    char header[128];
    uint8_t *yuv; /* [3, n_pixels] */
};

void host_y4m_convert(uint8_t *yuv, const uint8_t *rgb, size_t n_pixels)
{
    /* The rows of the matrix times 65536; chroma rows sum to 0 so that grey stays at 128. */
    enum { YR = 16829, YG = 33039, YB = 6416, UR = -9714, UG = -19070, UB = 28784 };
    enum { VR = 28784, VG = -24103, VB = -4681, HALF = 1 << 15, Y0 = 16 << 16, C0 = 128 << 16 };
    for (size_t i = 0; i < n_pixels; i++) {
        int r = rgb[3 * i], g = rgb[3 * i + 1], b = rgb[3 * i + 2];
        yuv[i] = (uint8_t)((YR * r + YG * g + YB * b + Y0 + HALF) >> 16);
        yuv[n_pixels + i] = (uint8_t)((UR * r + UG * g + UB * b + C0 + HALF) >> 16);
        yuv[2 * n_pixels + i] = (uint8_t)((VR * r + VG * g + VB * b + C0 + HALF) >> 16);
    }
}

bool host_y4m_pipe_closed(const void *state)
{
    return ((const struct y4m *)state)->pipe_closed;
}

/* Keeps standard output for the video alone: whatever a library prints there goes to standard error
 * from now on. */
static enum vs_status take_stdout(struct y4m *y4m)
{
    if (isatty(STDOUT_FILENO))
        return vs_fail(VS_ERROR_USAGE, "--output -: standard output is a terminal; send it to a "
                                       "program or a file");
    y4m->stdout_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (y4m->stdout_fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return vs_fail(VS_ERROR_RUNTIME, "--output -: standard output: %s", strerror(errno));
    return VS_OK;
}

static void y4m_abort(void *state)
{
    struct y4m *y4m = state;
    host_draft_discard(&y4m->draft);
    if (y4m->stdout_fd >= 0)
        close(y4m->stdout_fd);
    free(y4m->yuv);
    free(y4m);
}

static enum vs_status y4m_open(void **state, const char *path, const struct vs_video_info *video,
                               const struct host_metadata *metadata)
{
    (void)metadata;
    enum vs_status status = VS_OK;
    int numerator, denominator;
    struct y4m *y4m = vs_alloc(1, sizeof *y4m);
    if (!y4m)
        return VS_ERROR_MEMORY;
    y4m->draft.fd = y4m->draft.slot = y4m->stdout_fd = -1;
    y4m->n_pixels = video->width * video->height;
    host_fps_fraction(video->fps, &numerator, &denominator);
    snprintf(y4m->header, sizeof y4m->header,
             "YUV4MPEG2 W%zu H%zu F%d:%d Ip A1:1 C444 XCOLORRANGE=LIMITED\n", video->width,
             video->height, numerator, denominator);
    y4m->yuv = vs_alloc(y4m->n_pixels, 3);
    if (!y4m->yuv) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    if (strcmp(path, "-") == 0)
        VS_TRY(take_stdout(y4m));
    else
        VS_TRY(host_draft_open(&y4m->draft, path));
    *state = y4m;
    return VS_OK;
fail:
    y4m_abort(y4m);
    return status;
}

static enum vs_status put(struct y4m *y4m, const void *data, size_t n_bytes)
{
    if (y4m->stdout_fd < 0)
        return host_draft_write(&y4m->draft, data, n_bytes);
    int error = host_write_all(y4m->stdout_fd, data, n_bytes);
    y4m->pipe_closed = error == EPIPE;
    return error ? vs_fail(VS_ERROR_RUNTIME, "writing to standard output: %s%s", strerror(error),
                           error == ENOSPC ? "; free some space" : "")
                 : VS_OK;
}

static enum vs_status y4m_write(void *state, size_t first_frame, size_t n_frames,
                                const uint8_t *rgb)
{
    (void)first_frame;
    static const char frame_line[] = "FRAME\n";
    struct y4m *y4m = state;
    enum vs_status status = VS_OK;
    if (!y4m->header_written)
        VS_TRY(put(y4m, y4m->header, strlen(y4m->header)));
    y4m->header_written = true;
    for (size_t i = 0; i < n_frames; i++) {
        host_y4m_convert(y4m->yuv, rgb + i * y4m->n_pixels * 3, y4m->n_pixels);
        VS_TRY(put(y4m, frame_line, sizeof frame_line - 1));
        VS_TRY(put(y4m, y4m->yuv, y4m->n_pixels * 3));
    }
fail:
    return status;
}

static enum vs_status y4m_close(void *state)
{
    struct y4m *y4m = state;
    enum vs_status status = VS_OK;
    if (y4m->stdout_fd < 0) {
        status = host_draft_commit(&y4m->draft);
    } else {
        int fd = y4m->stdout_fd;
        y4m->stdout_fd = -1;
        if (close(fd) != 0)
            status = vs_fail(VS_ERROR_RUNTIME, "writing to standard output: %s", strerror(errno));
    }
    y4m_abort(y4m);
    return status;
}

const struct host_sink_kind host_sink_y4m = {y4m_open, y4m_write, y4m_close, y4m_abort, NULL};
