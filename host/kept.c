/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.c - the files of a kept run but its record (kept_record.c). */
#include "config.h"

#include "host/kept.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "models/state_file.h"

enum { N_CHECKPOINTS = 2 };

static const char latents_kind[] = "videossm-cl latents 1";

static enum vs_status write_draft(const void *data, size_t n_bytes, void *user)
{
    return host_draft_write(user, data, n_bytes);
}

/* ---- Latents ------------------------------------------------------------------------------ */

size_t host_kept_size(const struct host_kept *kept)
{
    return kept->latents[0] * kept->latents[1] * kept->latents[2] * kept->latents[3];
}

static struct vs_state_tensor latents_tensor(const struct host_kept *kept, float *latents)
{
    struct vs_state_tensor tensor = {.name = "latents",
                                     .dtype = VS_F32,
                                     .n_dims = 4,
                                     .host = latents,
                                     .n_pieces = 1,
                                     .piece_bytes = host_kept_size(kept) * sizeof *latents};
    memcpy(tensor.shape, kept->latents, sizeof kept->latents);
    return tensor;
}

static char *latents_path(const struct host_kept *kept, size_t chunk)
{
    return vs_format("%s/latents/%06zu.safetensors", kept->dir, chunk);
}

/* Whole writes and reads at a place of the nameless file. */
static enum vs_status transfer(const struct host_kept *kept, size_t chunk, const float *from,
                               float *to)
{
    size_t n_bytes = host_kept_size(kept) * sizeof *to;
    for (size_t done = 0; done < n_bytes;) {
        off_t place = (off_t)(chunk * n_bytes + done);
        ssize_t n = from ? pwrite(kept->nameless, (const char *)from + done, n_bytes - done, place)
                         : pread(kept->nameless, (char *)to + done, n_bytes - done, place);
        if (n == 0 || (n < 0 && errno != EINTR))
            return vs_fail(VS_ERROR_RUNTIME, "the temporary file of latents: %s; set TMPDIR to a "
                                             "folder with room",
                           n ? strerror(errno) : "ends too early");
        done += n > 0 ? (size_t)n : 0;
    }
    return VS_OK;
}

enum vs_status host_kept_put(const struct host_kept *kept, size_t chunk, const float *latents)
{
    enum vs_status status = VS_OK;
    struct host_draft draft = {.fd = -1, .slot = -1};
    char number[24];
    if (!kept->dir)
        return transfer(kept, chunk, latents, NULL);
    struct vs_state_tensor tensor = latents_tensor(kept, (float *)(uintptr_t)latents);
    snprintf(number, sizeof number, "%zu", chunk);
    const struct vs_state_field fields[] = {
        {"kind", latents_kind}, {"label", kept->id}, {"chunk", number}};
    char *path = latents_path(kept, chunk);
    if (!path)
        return VS_ERROR_MEMORY;
    VS_TRY(host_draft_open(&draft, path));
    VS_TRY(vs_state_write(&tensor, 1, fields, sizeof fields / sizeof *fields, write_draft, &draft));
    VS_TRY(host_draft_commit(&draft));
fail:
    host_draft_discard(&draft);
    free(path);
    return status;
}

enum vs_status host_kept_get(const struct host_kept *kept, size_t chunk, float *latents)
{
    enum vs_status status = VS_OK;
    struct vs_weights *file = NULL;
    char number[24];
    if (!kept->dir)
        return transfer(kept, chunk, NULL, latents);
    struct vs_state_tensor tensor = latents_tensor(kept, latents);
    snprintf(number, sizeof number, "%zu", chunk);
    char *path = latents_path(kept, chunk);
    if (!path)
        return VS_ERROR_MEMORY;
    VS_TRY(vs_state_open(&file, path));
    VS_TRY(vs_state_expect(file, "kind", latents_kind));
    VS_TRY(vs_state_expect(file, "label", kept->id));
    VS_TRY(vs_state_expect(file, "chunk", number));
    VS_TRY(vs_state_load(&tensor, file));
fail:
    vs_weights_free(file);
    free(path);
    return status;
}

enum vs_status host_kept_count(size_t *n_chunks, const struct host_kept *kept, size_t most,
                               struct host_progress *progress)
{
    enum vs_status status = VS_OK;
    float *latents = vs_alloc(host_kept_size(kept), sizeof *latents);
    *n_chunks = 0;
    if (!latents)
        return VS_ERROR_MEMORY;
    while (*n_chunks < most && status == VS_OK) {
        char *path = latents_path(kept, *n_chunks);
        if (!path) {
            status = VS_ERROR_MEMORY;
            break;
        }
        bool there = access(path, F_OK) == 0;
        free(path);
        if (!there)
            break;
        status = host_kept_get(kept, *n_chunks, latents);
        *n_chunks += status == VS_OK;
    }
    if (status == VS_ERROR_MODEL) {
        host_progress_note(progress, "warning", "warning: %s; the video is made again from there",
                           vs_error_message());
        status = VS_OK;
    }
    free(latents);
    return status;
}

/* ---- Checkpoints -------------------------------------------------------------------------- */

static char *checkpoint_path(const struct host_kept *kept, size_t n_chunks)
{
    return vs_format("%s/checkpoint-%06zu.safetensors", kept->dir, n_chunks);
}

static int descending(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

/* The checkpoints there are, last first; *list is freed with free(). */
static enum vs_status list_checkpoints(size_t **list, size_t *n, const struct host_kept *kept)
{
    enum vs_status status = VS_OK;
    const struct dirent *entry;
    *list = NULL;
    *n = 0;
    DIR *folder = opendir(kept->dir);
    while (folder && (entry = readdir(folder))) {
        size_t n_chunks;
        int end = 0;
        if (sscanf(entry->d_name, "checkpoint-%9zu.safetensors%n", &n_chunks, &end) != 1 || !end ||
            entry->d_name[end])
            continue;
        size_t *grown = vs_realloc(*list, *n + 1, sizeof *grown);
        if (!grown) {
            status = VS_ERROR_MEMORY;
            break;
        }
        *list = grown;
        grown[(*n)++] = n_chunks;
    }
    if (folder)
        closedir(folder);
    if (*n)
        qsort(*list, *n, sizeof **list, descending);
    return status;
}

enum vs_status host_kept_checkpoint(const struct host_kept *kept, struct vs_generator *generator,
                                    size_t n_chunks)
{
    enum vs_status status = VS_OK;
    struct host_draft draft = {.fd = -1, .slot = -1};
    size_t *list = NULL, n = 0;
    char *path = checkpoint_path(kept, n_chunks);
    if (!path)
        return VS_ERROR_MEMORY;
    VS_TRY(host_draft_open(&draft, path));
    VS_TRY(vs_generator_save(generator, kept->id, write_draft, &draft));
    VS_TRY(host_draft_sync(&draft));
    VS_TRY(host_draft_commit(&draft));
    VS_TRY(list_checkpoints(&list, &n, kept));
    /* Those of chunks that are made again are as good as lost. */
    for (size_t i = 0, n_held = 0; i < n; i++) {
        n_held += list[i] <= n_chunks;
        if (list[i] <= n_chunks && n_held <= N_CHECKPOINTS)
            continue;
        free(path);
        path = checkpoint_path(kept, list[i]);
        if (path)
            (void)unlink(path);
    }
fail:
    host_draft_discard(&draft);
    free(list);
    free(path);
    return status;
}

enum vs_status host_kept_last_checkpoint(size_t *n_chunks, const struct host_kept *kept,
                                         size_t most)
{
    enum vs_status status = VS_OK;
    size_t *list = NULL, n = 0;
    *n_chunks = 0;
    VS_TRY(list_checkpoints(&list, &n, kept));
    for (size_t i = 0; i < n && !*n_chunks; i++)
        *n_chunks = list[i] <= most ? list[i] : 0;
fail:
    free(list);
    return status;
}

enum vs_status host_kept_restore(size_t *n_chunks, const struct host_kept *kept,
                                 struct vs_generator *generator, size_t most,
                                 struct host_progress *progress)
{
    enum vs_status status = VS_OK;
    size_t *list = NULL, n = 0;
    char *path = NULL;
    *n_chunks = 0;
    if (!kept->dir)
        return VS_OK;
    VS_TRY(list_checkpoints(&list, &n, kept));
    for (size_t i = 0; i < n && !*n_chunks; i++) {
        if (list[i] > most)
            continue;
        free(path);
        path = checkpoint_path(kept, list[i]);
        if (!path) {
            status = VS_ERROR_MEMORY;
            goto fail;
        }
        status = vs_generator_restore(generator, path, kept->id, n_chunks);
        if (status == VS_ERROR_MODEL) {
            host_progress_note(progress, "warning", "warning: %s; going back to the one before",
                               vs_error_message());
            status = VS_OK;
        }
        VS_TRY(status);
    }
fail:
    free(list);
    free(path);
    return status;
}
