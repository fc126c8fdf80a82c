/* SPDX-License-Identifier: Apache-2.0
 *
 * writer.c - one slot between the loop over chunks and the thread that writes. */
#include "config.h"

#include "host/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

struct host_writer {
    struct host_sinks *sinks;
    size_t frame_bytes;
    pthread_t thread;
    pthread_mutex_t lock; /* over all that follows */
    pthread_cond_t changed;
    bool full, ending;
    size_t first_frame, n_frames; /* in the slot */
    uint8_t *rgb;
    enum vs_status status; /* first fault; nothing is written after it */
    char *message;
    bool told, pipe_closed;
};

static void *write_frames(void *user)
{
    struct host_writer *writer = user;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (!writer->full && !writer->ending)
            pthread_cond_wait(&writer->changed, &writer->lock);
        if (!writer->full)
            break;
        if (writer->status == VS_OK) {
            bool pipe_closed = false;
            pthread_mutex_unlock(&writer->lock);
            enum vs_status status =
                host_sinks_write(writer->sinks, writer->first_frame, writer->n_frames,
                                 writer->rgb, &pipe_closed);
            pthread_mutex_lock(&writer->lock);
            writer->status = status;
            writer->pipe_closed = pipe_closed;
            if (status != VS_OK) /* messages belong to the thread that made them */
                writer->message = vs_strdup(vs_error_message());
        }
        writer->full = false;
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* Signals are for the thread that answers them. */
static int start(struct host_writer *writer)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&writer->thread, NULL, write_frames, writer);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

enum vs_status host_writer_create(struct host_writer **out, struct host_sinks *sinks,
                                  const struct vs_video_info *video)
{
    struct host_writer *writer = vs_alloc(1, sizeof *writer);
    *out = NULL;
    if (!writer)
        return VS_ERROR_MEMORY;
    writer->sinks = sinks;
    writer->frame_bytes = 3 * video->width * video->height;
    writer->rgb = vs_alloc(video->chunk_frames, writer->frame_bytes);
    if (!writer->rgb) {
        free(writer);
        return VS_ERROR_MEMORY;
    }
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
    int error = start(writer);
    if (error) {
        pthread_cond_destroy(&writer->changed);
        pthread_mutex_destroy(&writer->lock);
        free(writer->rgb);
        free(writer);
        return vs_fail(VS_ERROR_RUNTIME, "no thread to write frames: %s", strerror(error));
    }
    *out = writer;
    return VS_OK;
}

/* The fault of the thread, the first time it is asked for. */
static enum vs_status fault(struct host_writer *writer)
{
    if (writer->status == VS_OK || writer->told)
        return VS_OK;
    writer->told = true;
    return writer->message ? vs_fail(writer->status, "%s", writer->message) : writer->status;
}

enum vs_status host_writer_put(struct host_writer *writer, size_t first_frame, size_t n_frames,
                               const uint8_t *rgb)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->full)
        pthread_cond_wait(&writer->changed, &writer->lock);
    enum vs_status status = fault(writer);
    writer->first_frame = first_frame;
    writer->n_frames = n_frames;
    memcpy(writer->rgb, rgb, n_frames * writer->frame_bytes);
    writer->full = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    return status;
}

enum vs_status host_writer_end(struct host_writer *writer, bool *pipe_closed)
{
    if (!writer)
        return VS_OK;
    pthread_mutex_lock(&writer->lock);
    writer->ending = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    enum vs_status status = fault(writer);
    if (pipe_closed && writer->pipe_closed)
        *pipe_closed = true;
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer->message);
    free(writer->rgb);
    free(writer);
    return status;
}
