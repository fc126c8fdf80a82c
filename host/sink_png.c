/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_png.c - a folder of frame_%06d.png, counted from 0.
 *
 * Each picture is a draft until it is complete, so a killed run leaves whole pictures only. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/png_file.h"
#include "host/sink.h"

struct png_folder {
    char *path; /* without slashes at the end */
    bool created;
    size_t width, height;
    struct host_text texts[2];
    struct host_bytes bytes;
};

/* Makes path and the folders above it; *created tells whether path itself is new. */
static enum vs_status make_folders(char *path, bool *created)
{
    *created = false;
    for (char *end = path + 1;; end++) {
        if (*end != '/' && *end)
            continue;
        char held = *end;
        *end = '\0';
        *created = mkdir(path, 0777) == 0;
        int error = *created ? 0 : errno;
        struct stat about;
        if (error && (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))) {
            enum vs_status status =
                vs_fail(VS_ERROR_RUNTIME, "cannot make the folder '%s': %s; choose another place",
                        path, error == EEXIST ? "a file of that name is there" : strerror(error));
            *end = held;
            return status;
        }
        *end = held;
        if (!held)
            return VS_OK;
    }
}

static void png_abort(void *state)
{
    struct png_folder *folder = state;
    if (folder->created)
        (void)rmdir(folder->path); /* stays when it holds frames */
    free(folder->bytes.data);
    free(folder->path);
    free(folder);
}

static enum vs_status png_open(void **state, const char *path, const struct vs_video_info *video,
                               const struct host_metadata *metadata)
{
    enum vs_status status = VS_ERROR_MEMORY;
    struct host_draft probe;
    char *name = NULL;
    struct png_folder *folder = vs_alloc(1, sizeof *folder);
    if (!folder)
        return VS_ERROR_MEMORY;
    folder->width = video->width;
    folder->height = video->height;
    folder->texts[0] = (struct host_text){"parameters", metadata->parameters};
    folder->texts[1] = (struct host_text){"videossm", metadata->json};
    folder->path = vs_strdup(path);
    if (!folder->path)
        goto fail;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        folder->path[n - 1] = '\0';
    VS_TRY(make_folders(folder->path, &folder->created));
    name = vs_format("%s/frame", folder->path);
    if (!name) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(host_draft_open(&probe, name));
    host_draft_discard(&probe);
    free(name);
    *state = folder;
    return VS_OK;
fail:
    free(name);
    png_abort(folder);
    return status;
}

static enum vs_status write_frame(struct png_folder *folder, size_t number, const uint8_t *rgb)
{
    enum vs_status status = VS_OK;
    char *name = vs_format("%s/frame_%06zu.png", folder->path, number);
    if (!name)
        return VS_ERROR_MEMORY;
    VS_TRY(host_png_encode(&folder->bytes, rgb, folder->width, folder->height, folder->texts, 2));
    VS_TRY(host_draft_save(name, folder->bytes.data, folder->bytes.n));
fail:
    free(name);
    return status;
}

static enum vs_status png_write(void *state, size_t first_frame, size_t n_frames,
                                const uint8_t *rgb)
{
    struct png_folder *folder = state;
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < n_frames; i++)
        VS_TRY(write_frame(folder, first_frame + i, rgb + i * folder->height * folder->width * 3));
fail:
    return status;
}

static enum vs_status png_close(void *state)
{
    struct png_folder *folder = state;
    folder->created = false; /* keep it, even if it holds nothing */
    png_abort(folder);
    return VS_OK;
}

/* Whether a picture is whole and was made with these settings. A power cut can leave a name without
 * the bytes. */
static bool is_right(const char *name, const char *json, struct host_bytes *head)
{
    static const uint8_t ending[] = {0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
    uint8_t tail[sizeof ending] = {0};
    char *found = NULL;
    FILE *file = fopen(name, "rbe");
    if (!file)
        return false;
    size_t n = fread(head->data, 1, head->capacity, file);
    bool right = fseek(file, -(long)sizeof tail, SEEK_END) == 0 &&
                 fread(tail, 1, sizeof tail, file) == sizeof tail &&
                 memcmp(tail, ending, sizeof tail) == 0 &&
                 host_png_text(&found, head->data, n, "videossm", name) == VS_OK && found &&
                 strcmp(found, json) == 0;
    fclose(file);
    free(found);
    return right;
}

static size_t png_present(const char *path, const struct vs_video_info *video,
                          const struct host_metadata *metadata)
{
    /* The text chunks stand in front of the pixels. */
    enum { ROOM_BYTES = 1 << 16 };
    struct host_bytes head = {
        .capacity = strlen(metadata->parameters) + strlen(metadata->json) + ROOM_BYTES};
    size_t n = 0;
    head.data = vs_alloc(head.capacity, 1);
    for (bool right = head.data != NULL; right && n < video->n_frames; n += right) {
        char *name = vs_format("%s/frame_%06zu.png", path, n);
        right = name && is_right(name, metadata->json, &head);
        free(name);
    }
    free(head.data);
    return n;
}

const struct host_sink_kind host_sink_png = {png_open, png_write, png_close, png_abort,
                                             png_present};
