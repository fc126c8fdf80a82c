/* SPDX-License-Identifier: Apache-2.0
 *
 * file_map.c - mapping of model files.
 *
 * The descriptor is opened without blocking and looked at before anything else: a pipe or a
 * terminal given as a model must not hang the program. */
#include "models/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"

/* All that is mapped. Who reads the list in a signal handler takes no lock: the thread that the
 * signal stopped may hold it, and a link is written at once. */
static struct vs_file_map *_Atomic all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void announce(struct vs_file_map *map)
{
    pthread_mutex_lock(&lock);
    map->next = all;
    all = map;
    pthread_mutex_unlock(&lock);
}

static void withdraw(const struct vs_file_map *map)
{
    pthread_mutex_lock(&lock);
    if (all == map) {
        all = map->next;
    } else {
        for (struct vs_file_map *at = all; at; at = at->next)
            if (at->next == map)
                at->next = map->next;
    }
    pthread_mutex_unlock(&lock);
}

const char *vs_file_map_path_at(const void *address)
{
    const uint8_t *at = address;
    for (const struct vs_file_map *map = all; map; map = map->next)
        if (at >= map->data && (size_t)(at - map->data) < map->size)
            return map->path;
    return NULL;
}

static enum vs_status open_regular(int *fd, size_t *size, const char *path)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return vs_fail(VS_ERROR_MODEL, "%s: no such file", path);
        if (errno == EACCES || errno == EPERM)
            return vs_fail(VS_ERROR_MODEL, "%s: no permission to read it", path);
        return vs_fail(VS_ERROR_MODEL, "%s: cannot be opened: %s", path, strerror(errno));
    }
    if (fstat(*fd, &info) != 0)
        return vs_fail(VS_ERROR_MODEL, "%s: cannot be examined: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return vs_fail(VS_ERROR_MODEL, "%s: is a folder, and a file is needed here", path);
    if (!S_ISREG(info.st_mode))
        return vs_fail(VS_ERROR_MODEL, "%s: is not a regular file and cannot be mapped", path);
    if (info.st_size == 0)
        return vs_fail(VS_ERROR_MODEL, "%s: the file is empty", path);
    if ((uintmax_t)info.st_size > SIZE_MAX / 2)
        return vs_fail(VS_ERROR_MODEL, "%s: too large for this machine's address space", path);
    *size = (size_t)info.st_size;
    return VS_OK;
}

enum vs_status vs_file_map_borrow(struct vs_file_map **map, const char *path, const void *data,
                                  size_t size)
{
    struct vs_file_map *made = vs_alloc(1, sizeof *made);
    char *copy = vs_strdup(path);
    if (!made || !copy) {
        free(made);
        free(copy);
        return VS_ERROR_MEMORY;
    }
    *made = (struct vs_file_map){.path = copy, .data = data, .size = size};
    *map = made;
    return VS_OK;
}

enum vs_status vs_file_map_open(struct vs_file_map **map, const char *path)
{
    enum vs_status status;
    int fd = -1;
    size_t size = 0;
    void *data = MAP_FAILED;

    *map = NULL;
    VS_TRY(open_regular(&fd, &size, path));
    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        status = vs_fail(errno == ENOMEM ? VS_ERROR_MEMORY : VS_ERROR_MODEL,
                         "%s: %zu bytes cannot be mapped: %s", path, size, strerror(errno));
        goto fail;
    }
    VS_TRY(vs_file_map_borrow(map, path, data, size));
    (*map)->mapped = true;
    announce(*map);
    close(fd);
    return VS_OK;

fail:
    if (data != MAP_FAILED)
        munmap(data, size);
    if (fd >= 0)
        close(fd);
    return status;
}

void vs_file_map_free(struct vs_file_map *map)
{
    if (!map)
        return;
    if (map->mapped) {
        withdraw(map);
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    free(map->path);
    free(map);
}
