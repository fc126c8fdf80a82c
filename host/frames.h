/* SPDX-License-Identifier: Apache-2.0
 *
 * frames.h - the frames of a finished video, one after the other: a folder of PNG files, or
 * whatever FFmpeg's libraries read. One frame is in memory at a time. */
#ifndef VS_HOST_FRAMES_H
#define VS_HOST_FRAMES_H

#include "videossm.h"

struct host_frames {
    size_t width, height; /* of every frame; known after the first */
    double fps;           /* from HOST_FPS_MIN to HOST_FPS_MAX; known after the first */
    void *state;          /* of the kind of file */
    const struct host_frames_kind *kind;
};

/* What a kind of file supplies. next: as host_frames_next(). */
struct host_frames_kind {
    enum vs_status (*next)(struct host_frames *frames, const uint8_t **rgb);
    void (*close)(void *state);
};

#define HOST_FPS_MIN 1.0
#define HOST_FPS_MAX 1000.0
enum { HOST_FPS_OF_FOLDERS = 16 };

/* Opens a folder (its *.png in the order of their names) or a video file. fps > 0 overrules the
 * file's own rate; a folder of this program has it in its pictures, any other counts as
 * HOST_FPS_OF_FOLDERS. VS_ERROR_USAGE: not there, no frames, no video. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_frames_open(struct host_frames **frames, const char *path, double fps);

/* The next frame, [height, width, 3], borrowed until the next call; NULL at the end.
 * VS_ERROR_USAGE names the file that is damaged, too large, or of another size than the first. */
VS_CHECK enum vs_status host_frames_next(struct host_frames *frames, const uint8_t **rgb);

/* Harmless on NULL. */
void host_frames_free(struct host_frames *frames);

/* frames_video.c, only with FFmpeg: fills in what host_frames_open() leaves to the kind. */
VS_CHECK enum vs_status host_video_open(struct host_frames *frames, const char *path);

/* Checks the size of a frame that is about to be handed out, and keeps that of the first. */
VS_CHECK enum vs_status host_frames_same_size(struct host_frames *frames, size_t width,
                                              size_t height, const char *path);

#endif
