/* SPDX-License-Identifier: Apache-2.0
 *
 * stored.c - settings out of finished videos, and names beside them. */
#include "config.h"

#include "host/stored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/png_file.h"
#ifdef HAVE_FFMPEG
#include "host/sink_mp4.h"
#endif

enum { MAX_PNG_BYTES = 512 << 20 };

static bool is_png(const char *data, size_t n_bytes)
{
    return n_bytes >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

enum vs_status host_stored_settings(char **json, const char *path)
{
    enum vs_status status = VS_OK;
    struct stat about;
    char *frame = NULL, *data = NULL;
    size_t n_bytes = 0;
    FILE *file;
    char head[8];
    *json = NULL;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) {
        path = frame = vs_format("%s/frame_000000.png", path);
        if (!frame)
            return VS_ERROR_MEMORY;
        if (stat(path, &about) != 0)
            goto fail; /* of others' frames nothing is known */
    }
    /* The kind is told by content, so a renamed file is read as what it is. */
    file = fopen(path, "rbe");
    size_t n_head = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    if (!file || is_png(head, n_head)) {
        VS_TRY(host_read_file(&data, &n_bytes, path, MAX_PNG_BYTES));
        VS_TRY(host_png_text(json, (uint8_t *)data, n_bytes, "videossm", path));
    } else {
#ifdef HAVE_FFMPEG
        VS_TRY(host_mp4_comment(json, path));
#else
        status = vs_fail(VS_ERROR_USAGE,
                         "'%s' is no PNG, and this program was built without FFmpeg; give PNG "
                         "files",
                         path);
#endif
    }
fail:
    free(data);
    free(frame);
    return status;
}

char *host_stored_beside(const char *path, const char *added)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    const char *ending = n > 4 ? path + n - 4 : "";
    bool named = *ending == '.';
    bool film = named && (strncmp(ending, ".mp4", 4) == 0 || strncmp(ending, ".y4m", 4) == 0);
    return vs_format("%.*s-%s%s", (int)(named ? n - 4 : n), path, added, film ? ending : "");
}
