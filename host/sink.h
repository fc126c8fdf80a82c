/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.h - where frames go: a folder of PNGs, a contact sheet, y4m, mp4; several at once.
 *
 * Outputs are created, and so proved writable, before anything is computed. Frames are written as
 * soon as they exist; an early close leaves what a player can play. */
#ifndef VS_HOST_SINK_H
#define VS_HOST_SINK_H

#include "host/options.h"
#include "videossm.h"

/* What an output may store beside the frames. Borrowed; outlives the outputs. */
struct host_metadata {
    const char *title;      /* the first prompt */
    const char *parameters; /* host_settings_parameters() */
    const char *json;       /* host_settings_json() */
};

/* One kind of output. open() makes the state; every other call gets it. close() completes the
 * file and abort() removes what is not complete; both free the state, close() on a fault too. */
struct host_sink_kind {
    enum vs_status (*open)(void **state, const char *path, const struct vs_video_info *video,
                           const struct host_metadata *metadata);
    /* rgb [n_frames, height, width, 3]; frames come in order and without gaps. */
    enum vs_status (*write)(void *state, size_t first_frame, size_t n_frames, const uint8_t *rgb);
    enum vs_status (*close)(void *state);
    void (*abort)(void *state);
    /* How many frames, from the first on, are there already, whole and with this metadata, so that
     * writing may go on behind them. NULL: writing always begins at the first. */
    size_t (*present)(const char *path, const struct vs_video_info *video,
                      const struct host_metadata *metadata);
};

extern const struct host_sink_kind host_sink_png, host_sink_sheet, host_sink_y4m, host_sink_mp4;

/* The kind a name stands for: "-" and x.y4m, x.mp4, x.png, else a folder. VS_ERROR_USAGE for names
 * of other media files, which would make surprising folders, and for what was not built in. */
VS_CHECK enum vs_status host_sink_recognise(const struct host_sink_kind **kind, const char *path);

/* Checks names without touching the disk: at least one, each of a known kind, none twice. */
VS_CHECK enum vs_status host_sinks_check(const struct host_list *paths);

/* The first frame that one of the outputs needs. */
VS_CHECK enum vs_status host_sinks_first_needed(size_t *frame, const struct host_list *paths,
                                                const struct vs_video_info *video,
                                                const struct host_metadata *metadata);

/* Whether outputs that were completed once are all still there. "-" is, once it was. */
bool host_sinks_are_there(const struct host_list *paths, const struct vs_video_info *video,
                          const struct host_metadata *metadata);

/* Equal but for slashes at the end. */
bool host_same_path(const char *a, const char *b);

struct host_sinks;

/* Creates every output; on a fault none is left behind. */
VS_CHECK enum vs_status host_sinks_open(struct host_sinks **sinks, const struct host_list *paths,
                                        const struct vs_video_info *video,
                                        const struct host_metadata *metadata);

/* Hands frames to every output. An output that fails is dropped at once (its fault is returned
 * after the others have had the frames). *pipe_closed (may be NULL) tells that the reader of "-"
 * has gone, which is worth no message. */
VS_CHECK enum vs_status host_sinks_write(struct host_sinks *sinks, size_t first_frame,
                                         size_t n_frames, const uint8_t *rgb, bool *pipe_closed);

/* Completes all outputs and frees sinks, which may be NULL; the first fault is returned. */
VS_CHECK enum vs_status host_sinks_close(struct host_sinks *sinks);

/* Removes what is not complete and frees sinks, which may be NULL. */
void host_sinks_abort(struct host_sinks *sinks);

/* fps as a fraction: whole numbers and n*1000/1001 exactly, others within 1e-6 of their value. */
void host_fps_fraction(double fps, int *numerator, int *denominator);

#endif
