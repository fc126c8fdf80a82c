/* SPDX-License-Identifier: Apache-2.0
 *
 * frames.c - folders of PNG files as a stream of frames, and what all streams share. */
#include "config.h"

#include "host/frames.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cl/alloc.h"
#include "host/png_file.h"
#include "models/json_parse.h"

struct folder {
    char *path;
    struct dirent **entries; /* in the order of their names */
    size_t n, next;
    struct host_picture picture;
};

/* ---- Folders ------------------------------------------------------------------------------ */

static int is_png(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return entry->d_name[0] != '.' && n > 4 && strcmp(entry->d_name + n - 4, ".png") == 0;
}

/* Plain order of bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void folder_close(void *state)
{
    struct folder *folder = state;
    for (size_t i = 0; folder && i < folder->n; i++)
        free(folder->entries[i]);
    if (folder) {
        free(folder->entries);
        free(folder->path);
        free(folder->picture.rgb);
    }
    free(folder);
}

static enum vs_status fps_of_settings(double *fps, const char *text)
{
    json_error_t error;
    json_t *json = NULL;
    enum vs_status status = text ? vs_json_parse(&json, text, strlen(text), 0, &error) : VS_OK;
    *fps = json_number_value(json_object_get(json, "fps"));
    json_decref(json);
    if (!(*fps >= HOST_FPS_MIN && *fps <= HOST_FPS_MAX))
        *fps = HOST_FPS_OF_FOLDERS;
    return status;
}

static enum vs_status read_picture(struct host_frames *frames, struct folder *folder,
                                   const char *path)
{
    enum vs_status status = VS_OK;
    struct stat about;
    char *settings = NULL;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return vs_fail(VS_ERROR_USAGE, "'%s' is no file", path);
    VS_TRY(host_png_read(&folder->picture, &settings, "videossm", path));
    VS_TRY(host_frames_same_size(frames, folder->picture.width, folder->picture.height, path));
    if (frames->fps <= 0)
        VS_TRY(fps_of_settings(&frames->fps, settings));
fail:
    free(settings);
    return status;
}

static enum vs_status folder_next(struct host_frames *frames, const uint8_t **rgb)
{
    struct folder *folder = frames->state;
    *rgb = NULL;
    if (folder->next == folder->n)
        return VS_OK;
    char *path = vs_format("%s/%s", folder->path, folder->entries[folder->next++]->d_name);
    if (!path)
        return VS_ERROR_MEMORY;
    enum vs_status status = read_picture(frames, folder, path);
    if (status == VS_OK)
        *rgb = folder->picture.rgb;
    free(path);
    return status;
}

static const struct host_frames_kind folder_kind = {folder_next, folder_close};

static enum vs_status folder_open(struct host_frames *frames, const char *path)
{
    struct folder *folder = vs_alloc(1, sizeof *folder);
    if (!folder)
        return VS_ERROR_MEMORY;
    frames->state = folder;
    frames->kind = &folder_kind;
    folder->path = vs_strdup(path);
    if (!folder->path)
        return VS_ERROR_MEMORY;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        folder->path[n - 1] = '\0';
    int n = scandir(path, &folder->entries, is_png, by_name);
    if (n < 0)
        return vs_fail(VS_ERROR_USAGE, "cannot read the folder '%s': %s", path, strerror(errno));
    folder->n = (size_t)n;
    if (n == 0)
        return vs_fail(VS_ERROR_USAGE, "no PNG files in the folder '%s'", path);
    return VS_OK;
}

/* ---- All kinds ---------------------------------------------------------------------------- */

enum vs_status host_frames_same_size(struct host_frames *frames, size_t width, size_t height,
                                     const char *path)
{
    if (width == 0 || height == 0 || width > HOST_PICTURE_SIDE_MAX ||
        height > HOST_PICTURE_SIDE_MAX || width * height > HOST_PICTURE_PIXELS_MAX)
        return vs_fail(VS_ERROR_USAGE, "'%s': frames of %zux%zu are more than can be read", path,
                       width, height);
    if (frames->width && (frames->width != width || frames->height != height))
        return vs_fail(VS_ERROR_USAGE, "'%s': a frame of %zux%zu in a video of %zux%zu", path,
                       width, height, frames->width, frames->height);
    frames->width = width;
    frames->height = height;
    return VS_OK;
}

enum vs_status host_frames_open(struct host_frames **result, const char *path, double fps)
{
    enum vs_status status = VS_OK;
    struct stat about;
    if (stat(path, &about) != 0)
        return vs_fail(VS_ERROR_USAGE, "cannot read '%s': %s", path, strerror(errno));
    struct host_frames *frames = vs_alloc(1, sizeof *frames);
    if (!frames)
        return VS_ERROR_MEMORY;
    frames->fps = fps;
    if (S_ISDIR(about.st_mode)) {
        VS_TRY(folder_open(frames, path));
    } else if (!S_ISREG(about.st_mode)) {
        status = vs_fail(VS_ERROR_USAGE, "'%s' is neither a file nor a folder", path);
        goto fail;
    } else {
#ifdef HAVE_FFMPEG
        VS_TRY(host_video_open(frames, path));
#else
        status = vs_fail(VS_ERROR_USAGE,
                         "'%s': this program was built without FFmpeg; give a folder of PNG files",
                         path);
        goto fail;
#endif
    }
    *result = frames;
    return VS_OK;
fail:
    host_frames_free(frames);
    return status;
}

enum vs_status host_frames_next(struct host_frames *frames, const uint8_t **rgb)
{
    return frames->kind->next(frames, rgb);
}

void host_frames_free(struct host_frames *frames)
{
    if (frames && frames->kind)
        frames->kind->close(frames->state);
    free(frames);
}
