/* SPDX-License-Identifier: Apache-2.0
 *
 * given.h - frames of a finished video, made by anyone, that a new video begins with.
 *
 * The model goes on behind whole chunks of latent frames, so those frames count that fill them. */
#ifndef VS_HOST_GIVEN_H
#define VS_HOST_GIVEN_H

#include "host/kept.h"

struct host_given {
    const char *path; /* borrowed */
    size_t width, height;
    double fps;
    size_t n_frames;   /* that count */
    size_t n_chunks;   /* that they fill */
    size_t n_left_out; /* frames behind them */
    char digest[65];   /* SHA-256 of the pixels of those that count */
};

/* Reads all frames once. fps as in host_frames_open(). VS_ERROR_USAGE: not readable, of different
 * or impossible sizes, too few; VS_ERROR_MODEL: the model has no encoder. */
VS_CHECK enum vs_status host_given_look(struct host_given *given, const char *path, double fps,
                                        const struct vs_model_info *model);

/* Frames as a kept run names them: found before, and not looked at again. n_chunks 0: the run has
 * none. */
struct host_given host_given_of(const struct host_kept *kept);

/* Latent frames that they become. */
size_t host_given_latents(const struct host_given *given, const struct vs_model_info *model);

/* Encodes them into the latents of kept, chunk by chunk. VS_ERROR_INTERRUPTED between two latent
 * frames. */
VS_CHECK enum vs_status host_given_encode(const struct host_given *given,
                                          const struct host_kept *kept, struct vs_context *context,
                                          const struct vs_model *model,
                                          const struct vs_generate_options *options,
                                          struct host_progress *progress);

#endif
