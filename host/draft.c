/* SPDX-License-Identifier: Apache-2.0
 *
 * draft.c - files that appear under their name only when complete. */
#include "config.h"

#include "host/draft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/signals.h"
#include "models/file_map.h"

int host_write_all(int fd, const void *data, size_t n_bytes)
{
    const char *cursor = data;
    while (n_bytes > 0) {
        ssize_t n = write(fd, cursor, n_bytes);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0) {
            cursor += n;
            n_bytes -= (size_t)n;
        }
    }
    return 0;
}

static enum vs_status cannot_create(const char *path, int error)
{
    const char *remedy = error == ENOENT    ? "make its folder first"
                         : error == EACCES  ? "choose a folder you may write to"
                         : error == EROFS   ? "choose a folder on a writable disk"
                         : error == ENOSPC  ? "free some space"
                         : error == EISDIR  ? "it is a folder"
                         : error == ENOTDIR ? "a part of the path is no folder"
                                            : "choose another name";
    return vs_fail(VS_ERROR_RUNTIME, "cannot write '%s': %s; %s", path, strerror(error), remedy);
}

static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ".NAME.PID.part" in the folder of target. */
static char *neighbour(const char *target)
{
    const char *name = name_in(target);
    return vs_format("%.*s.%s.%ld.part", (int)(name - target), target, name, (long)getpid());
}

enum vs_status host_draft_open(struct host_draft *draft, const char *path)
{
    enum vs_status status = VS_ERROR_MEMORY;
    struct stat about;
    *draft = (struct host_draft){.fd = -1, .slot = -1};
    bool exists = stat(path, &about) == 0;
    if (exists && S_ISDIR(about.st_mode))
        return cannot_create(path, EISDIR);
    draft->in_place = exists && !S_ISREG(about.st_mode);
    /* Renaming over a symbolic link would replace the link, not the file it stands for. */
    draft->target = exists && !draft->in_place ? realpath(path, NULL) : vs_strdup(path);
    if (!draft->target)
        goto fail;
    draft->path = draft->in_place ? vs_strdup(draft->target) : neighbour(draft->target);
    if (!draft->path)
        goto fail;
    if (!draft->in_place)
        draft->slot = host_signals_guard(draft->path);
    int flags = O_WRONLY | O_CLOEXEC | (draft->in_place ? 0 : O_CREAT | O_TRUNC | O_NOFOLLOW);
    draft->fd = open(draft->path, flags, 0666);
    if (draft->fd < 0) {
        status = cannot_create(path, errno);
        goto fail;
    }
    return VS_OK;
fail:
    host_draft_discard(draft);
    return status;
}

enum vs_status host_draft_write(struct host_draft *draft, const void *data, size_t n_bytes)
{
    int error = host_write_all(draft->fd, data, n_bytes);
    const char *source = error == EFAULT ? vs_file_map_path_at(data) : NULL;
    if (source)
        return vs_fail(VS_ERROR_MODEL, "%s: the file was cut short, or its disk failed, while it was "
                                       "being read; fetch it again", source);
    if (error)
        return vs_fail(VS_ERROR_RUNTIME, "writing '%s': %s%s", draft->target, strerror(error),
                       error == ENOSPC ? "; free some space or choose another disk" : "");
    return VS_OK;
}

enum vs_status host_draft_sync(struct host_draft *draft)
{
    if (fsync(draft->fd) != 0 && errno != EINVAL && errno != EROFS)
        return vs_fail(VS_ERROR_RUNTIME, "writing '%s': %s", draft->target, strerror(errno));
    return VS_OK;
}

void host_draft_detach(struct host_draft *draft)
{
    if (draft->fd >= 0)
        close(draft->fd);
    draft->fd = -1;
}

static void die_if_asked(const char *target)
{
    const char *name = getenv("VS_DIE_AT");
    if (name && strcmp(name, name_in(target)) == 0)
        raise(SIGKILL);
}

enum vs_status host_draft_commit(struct host_draft *draft)
{
    enum vs_status status = VS_OK;
    int fd = draft->fd;
    draft->fd = -1;
    if (fd >= 0 && close(fd) != 0) {
        status = vs_fail(VS_ERROR_RUNTIME, "writing '%s': %s", draft->target, strerror(errno));
        goto fail;
    }
    if (!draft->in_place) {
        die_if_asked(draft->target);
        if (rename(draft->path, draft->target) != 0) {
            status = vs_fail(VS_ERROR_RUNTIME, "renaming '%s' to '%s': %s", draft->path,
                             draft->target, strerror(errno));
            goto fail;
        }
        draft->in_place = true; /* nothing is left to remove */
    }
fail:
    host_draft_discard(draft);
    return status;
}

void host_draft_discard(struct host_draft *draft)
{
    if (!draft->path && !draft->target)
        return;
    host_draft_detach(draft);
    if (draft->path && !draft->in_place)
        (void)unlink(draft->path);
    host_signals_release(draft->slot);
    free(draft->path);
    free(draft->target);
    *draft = (struct host_draft){.fd = -1, .slot = -1};
}

/* Whether ".NAME.PID.part" is a draft of a process that is no more; NAME may be anything where
 * name is NULL. */
static bool is_orphan(const char *entry, const char *name)
{
    static const char ending[] = ".part";
    size_t n = strlen(entry), n_name = name ? strlen(name) : 0;
    if (entry[0] != '.' || n < sizeof ending + 2 || strcmp(entry + n - 5, ending) != 0)
        return false;
    size_t end = n - 5, begin = end;
    while (begin > 1 && entry[begin - 1] >= '0' && entry[begin - 1] <= '9')
        begin--;
    if (begin == end || end - begin > 9 || begin < 2 || entry[begin - 1] != '.')
        return false;
    if (name && (begin != n_name + 2 || strncmp(entry + 1, name, n_name) != 0))
        return false;
    return kill((pid_t)strtol(entry + begin, NULL, 10), 0) != 0 && errno == ESRCH;
}

void host_draft_sweep(const char *path)
{
    struct stat about;
    const struct dirent *entry;
    bool within = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
    const char *name = within ? NULL : name_in(path);
    int n_folder = name ? (int)(name - path) : 0;
    char *place = within        ? vs_strdup(path)
                  : n_folder > 0 ? vs_format("%.*s", n_folder, path)
                                 : vs_strdup(".");
    DIR *folder = place ? opendir(place) : NULL;
    while (folder && (entry = readdir(folder)))
        if (is_orphan(entry->d_name, name))
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    free(place);
}

enum vs_status host_draft_save(const char *path, const void *data, size_t n_bytes)
{
    struct host_draft draft = {.fd = -1, .slot = -1};
    enum vs_status status = VS_OK;
    VS_TRY(host_draft_open(&draft, path));
    VS_TRY(host_draft_write(&draft, data, n_bytes));
    VS_TRY(host_draft_commit(&draft));
fail:
    host_draft_discard(&draft);
    return status;
}

enum vs_status host_read_file(char **text, size_t *n_bytes, const char *path, size_t max_bytes)
{
    enum vs_status status = VS_OK;
    char *bytes = NULL;
    size_t n = 0;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return vs_fail(VS_ERROR_USAGE, "cannot read '%s': %s", path, strerror(errno));
    bytes = vs_alloc(max_bytes + 1, 1);
    if (!bytes) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    n = fread(bytes, 1, max_bytes + 1, file);
    if (ferror(file)) {
        status = vs_fail(VS_ERROR_USAGE, "cannot read '%s': %s", path, strerror(errno));
        goto fail;
    }
    if (n > max_bytes) {
        status = vs_fail(VS_ERROR_USAGE, "'%s' is larger than %zu bytes: not a file of this kind",
                         path, max_bytes);
        goto fail;
    }
    bytes[n] = '\0';
    *text = bytes;
    if (n_bytes)
        *n_bytes = n;
    bytes = NULL;
fail:
    free(bytes);
    fclose(file);
    return status;
}
