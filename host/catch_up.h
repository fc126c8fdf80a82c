/* SPDX-License-Identifier: Apache-2.0
 *
 * catch_up.h - bringing a new generator, and outputs, to where a kept run stands. */
#ifndef VS_HOST_CATCH_UP_H
#define VS_HOST_CATCH_UP_H

#include "host/kept.h"
#include "host/writer.h"

struct host_catch_up {
    const struct host_kept *source; /* latents and checkpoints come from here */
    size_t n_most;                  /* chunks to take from it, at most */
    const struct host_kept *kept;   /* another run, which gets the latents too; or NULL */
    size_t first_frame;             /* outputs need frames from this one on */
    struct host_writer *writer;
    struct host_progress *progress;
};

/* Decodes what the outputs need of the chunks that are there, restores the last checkpoint, and
 * runs the clean passes of the chunks behind it. Afterwards *n_chunks chunks are done, all of whose
 * frames, *n_frames in number, the outputs have. VS_ERROR_INTERRUPTED between two chunks. */
VS_CHECK enum vs_status host_catch_up(size_t *n_chunks, size_t *n_frames,
                                      const struct host_catch_up *work,
                                      struct vs_generator *generator);

/* The first chunk that has to be decoded for that; as many as the video has: none. Of work, source,
 * n_most and first_frame count. */
size_t host_catch_up_decodes_from(const struct host_catch_up *work,
                                  const struct vs_video_info *video);

#endif
