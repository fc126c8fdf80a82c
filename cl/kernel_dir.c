/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel_dir.c - resolving #include lines of OpenCL C on the host. */
#include "cl/kernel_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

enum { MAX_DEPTH = 4, MAX_LINE = 4096 };

struct text {
    char *bytes;
    size_t n, room;
};

static enum vs_status append(struct text *text, const char *line)
{
    size_t n = strlen(line);
    if (text->n + n + 1 > text->room) {
        size_t room = 2 * (text->n + n + 1);
        char *grown = vs_realloc(text->bytes, room, 1);
        if (!grown)
            return VS_ERROR_MEMORY;
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->n, line, n + 1);
    text->n += n;
    return VS_OK;
}

static enum vs_status append_file(struct text *text, const char *folder, const char *name,
                                  int depth)
{
    static const char include[] = "#include \"";
    enum vs_status status = VS_OK;
    char line[MAX_LINE], *end;
    FILE *file = NULL;
    char *path = vs_format("%s/%s", folder, name);
    if (!path) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    if (depth > MAX_DEPTH || !(file = fopen(path, "r"))) {
        status = vs_fail(VS_ERROR_RUNTIME, "VS_KERNEL_DIR=%s: %s %s", folder, name,
                         depth > MAX_DEPTH ? "is included too deep" : "cannot be read");
        goto fail;
    }
    while (fgets(line, sizeof line, file)) {
        bool includes = !strncmp(line, include, sizeof include - 1);
        char *path_in_line = line + sizeof include - 1;
        if (includes && (end = strchr(path_in_line, '"'))) {
            *end = '\0';
            VS_TRY(append_file(text, folder, path_in_line, depth + 1));
        } else {
            VS_TRY(append(text, line));
        }
    }
    VS_TRY(append(text, ""));
fail:
    if (file)
        fclose(file);
    free(path);
    return status;
}

enum vs_status vs_kernel_dir_read(char **out, const char *folder, const char *name)
{
    struct text text = {0};
    enum vs_status status = append_file(&text, folder, name, 0);
    if (status != VS_OK) {
        free(text.bytes);
        text.bytes = NULL;
    }
    *out = text.bytes;
    return status;
}
