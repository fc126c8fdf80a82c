/* SPDX-License-Identifier: Apache-2.0
 *
 * writer.h - a thread that writes frames to the outputs while the next chunk is computed.
 *
 * It holds a copy of one chunk: a slow disk or a slow reader of a pipe holds the program up only
 * when it is a whole chunk behind. */
#ifndef VS_HOST_WRITER_H
#define VS_HOST_WRITER_H

#include "host/sink.h"

struct host_writer;

/* sinks is borrowed; only the writer may write to it until host_writer_end(). */
VS_CHECK enum vs_status host_writer_create(struct host_writer **writer, struct host_sinks *sinks,
                                           const struct vs_video_info *video);

/* Copies rgb [n_frames, height, width, 3] once the chunk before has been written, and returns the
 * fault of that, as host_sinks_write() gives it; later frames are then dropped. */
VS_CHECK enum vs_status host_writer_put(struct host_writer *writer, size_t first_frame,
                                        size_t n_frames, const uint8_t *rgb);

/* Waits until everything is written, frees writer (may be NULL) and returns the first fault that
 * host_writer_put() has not returned. *pipe_closed (may be NULL) is set as by host_sinks_write().
 */
VS_CHECK enum vs_status host_writer_end(struct host_writer *writer, bool *pipe_closed);

#endif
