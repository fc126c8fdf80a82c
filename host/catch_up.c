/* SPDX-License-Identifier: Apache-2.0
 *
 * catch_up.c - frames come first, for they may be waited for; then the memory. */
#include "config.h"

#include "host/catch_up.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "host/signals.h"

/* Video frames that chunk 0 has less than the others. */
enum { first_chunk_lacks = 3 };

/* Where decoding has to begin for the frames of a chunk to be right. */
static size_t decoding_begins(size_t first, size_t chunk_latents)
{
    size_t n_before = (VS_DECODE_HISTORY + chunk_latents - 1) / chunk_latents;
    return first > n_before ? first - n_before : 0;
}

static enum vs_status stop_if_asked(void)
{
    return host_signals_interrupted() ? vs_fail(VS_ERROR_INTERRUPTED, "interrupted") : VS_OK;
}

/* Chunks that are there. */
static size_t n_there(const struct host_catch_up *work, const struct vs_video_info *video)
{
    return work->n_most < video->n_chunks ? work->n_most : video->n_chunks;
}

/* Of them, the first whose frames are wanted; as many as there are: none. */
static size_t first_wanted(const struct host_catch_up *work, const struct vs_video_info *video)
{
    size_t first = (work->first_frame + first_chunk_lacks) / video->chunk_frames;
    if (work->first_frame >= video->n_frames)
        first = video->n_chunks;
    return first < n_there(work, video) ? first : n_there(work, video);
}

size_t host_catch_up_decodes_from(const struct host_catch_up *work,
                                  const struct vs_video_info *video)
{
    size_t first = first_wanted(work, video);
    return first == video->n_chunks ? first : decoding_begins(first, work->source->latents[0]);
}

static enum vs_status make_frames(const struct host_catch_up *work, struct vs_generator *generator,
                                  size_t first, size_t n, float *latents, size_t *n_frames)
{
    enum vs_status status = VS_OK;
    /* A run that begins here needs the latents of all chunks, decoded or not. */
    size_t begin = host_catch_up_decodes_from(work, vs_generator_info(generator));
    struct vs_chunk chunk;
    for (size_t i = work->kept ? 0 : begin; i < n; i++) {
        VS_TRY(stop_if_asked());
        VS_TRY(host_kept_get(work->source, i, latents));
        if (work->kept)
            VS_TRY(host_kept_put(work->kept, i, latents));
        if (i < begin)
            continue;
        VS_TRY(vs_generator_decode(generator, i, latents, &chunk));
        *n_frames = chunk.first_frame + chunk.n_frames;
        if (i >= first)
            VS_TRY(host_writer_put(work->writer, chunk.first_frame, chunk.n_frames, chunk.rgb));
    }
fail:
    return status;
}

static enum vs_status make_memory(const struct host_catch_up *work, struct vs_generator *generator,
                                  size_t n, float *latents)
{
    enum vs_status status = VS_OK;
    size_t n_restored;
    VS_TRY(host_kept_restore(&n_restored, work->source, generator, n, work->progress));
    if (n && work->source->dir)
        host_progress_note(work->progress, "resume",
                           "%zu chunks are there, %zu of them in the last checkpoint", n,
                           n_restored);
    for (size_t i = n_restored; i < n; i++) {
        VS_TRY(stop_if_asked());
        VS_TRY(host_kept_get(work->source, i, latents));
        VS_TRY(vs_generator_remember(generator, latents));
    }
fail:
    return status;
}

enum vs_status host_catch_up(size_t *n_chunks, size_t *n_frames, const struct host_catch_up *work,
                             struct vs_generator *generator)
{
    enum vs_status status = VS_OK;
    const struct vs_video_info *video = vs_generator_info(generator);
    size_t n = n_there(work, video), first = first_wanted(work, video);
    float *latents = vs_alloc(host_kept_size(work->source), sizeof *latents);
    *n_chunks = *n_frames = 0;
    if (!latents)
        return VS_ERROR_MEMORY;
    if (first < video->n_chunks || work->kept)
        VS_TRY(make_frames(work, generator, first, n, latents, n_frames));
    if (first == video->n_chunks)
        *n_frames = video->n_frames;
    if (n < video->n_chunks)
        VS_TRY(make_memory(work, generator, n, latents));
    *n_chunks = n;
fail:
    free(latents);
    return status;
}
