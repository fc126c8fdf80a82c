/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h - what a run is doing, on standard error, for people and for programs. */
#ifndef VS_HOST_PROGRESS_H
#define VS_HOST_PROGRESS_H

#include <stdio.h>

#include "videossm.h"

/* auto: a live line on a terminal, else plain lines; json: one object a line; none: nothing. */
enum host_progress_mode {
    HOST_PROGRESS_AUTO,
    HOST_PROGRESS_PLAIN,
    HOST_PROGRESS_JSON,
    HOST_PROGRESS_NONE
};
#define HOST_PROGRESS_WORDS "auto|plain|json|none"

/* What one line of progress says. */
struct host_progress_state {
    size_t chunk, n_chunks; /* the one being made, from 0 */
    size_t n_frames_done, n_frames;
    double fps;
    double fraction;      /* of all the work, 0..1 */
    double rate;          /* frames a second of wall clock; 0: not known yet */
    double elapsed, left; /* seconds; left < 0: not known yet */
};

enum host_bar { HOST_BAR_NONE, HOST_BAR_ASCII, HOST_BAR_BLOCKS };

/* Formats a line of at most `width` columns, dropping what matters least. colour: the bar gets
 * escape sequences, which take no columns. */
void host_progress_line(char *line, size_t line_bytes, const struct host_progress_state *state,
                        size_t width, enum host_bar bar, bool colour);

struct host_progress;

/* VS_ERROR_MEMORY. Writes to standard error. */
VS_CHECK enum vs_status host_progress_create(struct host_progress **progress,
                                             enum host_progress_mode mode);

/* The run begins: says what will be made. */
void host_progress_begin(struct host_progress *progress, const struct vs_video_info *video,
                         uint64_t seed, bool seed_drawn, const char *device);

/* Preparations are over: the first chunk begins, or the first that was not made before, and rates
 * are counted from here. */
void host_progress_start(struct host_progress *progress, size_t n_chunks_done,
                         size_t n_frames_done);

/* Work goes on inside a chunk or before the first. */
void host_progress_update(struct host_progress *progress, const struct vs_progress *work);

/* Frames up to n_frames_done have been written; chunk is complete. */
void host_progress_chunk(struct host_progress *progress, size_t chunk, size_t n_frames_done);

/* For work that is counted in bytes, not in frames: done of total have been written. */
void host_progress_bytes(struct host_progress *progress, uint64_t done, uint64_t total);

/* A line of its own, without disturbing the live one. kind names it for programs. */
void host_progress_note(struct host_progress *progress, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What was asked for, whatever the mode but in its form: lines of text, or one line of JSON. */
void host_progress_record(struct host_progress *progress, const char *text, const char *json);

/* The run ends. paths are the outputs that were completed. message: of the fault, or NULL. Returns
 * true when a fault has been told to the reader already (mode json). */
bool host_progress_end(struct host_progress *progress, enum vs_status status, const char *message,
                       const char *const *paths, size_t n_paths);

void host_progress_free(struct host_progress *progress);

#endif
