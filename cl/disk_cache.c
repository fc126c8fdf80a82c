/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_cache.c - checked entries in a folder of the user's own.
 *
 * An entry is a header and the data. Whole files appear by rename, so a reader sees an old entry,
 * a new one or none; the checksum is for disks that lose what was written before a power cut. */
#include "cl/disk_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "cl/sha256.h"

enum { KEY_LENGTH = 64, TEMPORARY_LIFETIME = 3600 /* seconds */ };

static const uint64_t folder_limit_bytes = 256u << 20;
static const char magic[8] = {'V', 'S', 'C', 'A', 'C', 'H', 'E', '1'};
static const char temporary_prefix[] = "new-";

struct header {
    char magic[8];
    char key[KEY_LENGTH];
    char checksum[KEY_LENGTH];
    uint64_t n_bytes;
};

/* ---- The folder --------------------------------------------------------------------------- */

/* Makes every folder of an absolute path; those there already stay as they are. */
static void make_path(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            *slash = '/';
            return;
        }
        *slash = '/';
    }
    /* A failure shows when the folder is opened. */
    (void)!mkdir(path, 0700);
}

/* Descriptor of the folder of that kind, -1 if there is none that can be trusted. */
static int open_folder(const char *kind, bool create)
{
    const char *wish = getenv("VS_CACHE"), *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int folder = -1;
    struct stat info;
    if (wish && !strcmp(wish, "off"))
        return -1;
    /* Relative paths are invalid in that variable (XDG Base Directory Specification). */
    if (base && base[0] == '/')
        path = vs_format("%s/videossm-cl/%s", base, kind);
    else if (home && home[0] == '/')
        path = vs_format("%s/.cache/videossm-cl/%s", home, kind);
    if (!path)
        return -1;
    if (create)
        make_path(path);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0 && (fstat(folder, &info) != 0 || info.st_uid != geteuid() ||
                        (info.st_mode & (S_IWGRP | S_IWOTH)))) {
        close(folder);
        folder = -1;
    }
    free(path);
    return folder;
}

static bool is_key(const char *name)
{
    return strlen(name) == KEY_LENGTH && strspn(name, "0123456789abcdef") == KEY_LENGTH;
}

/* ---- Entries ------------------------------------------------------------------------------ */

static bool read_all(int file, void *data, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = read(file, (char *)data + done, n_bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool write_all(int file, const void *data, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = write(file, (const char *)data + done, n_bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void checksum(char hex[65], const void *data, size_t n_bytes)
{
    struct vs_sha256 hash;
    vs_sha256_init(&hash);
    vs_sha256_update(&hash, data, n_bytes);
    vs_sha256_hex(&hash, hex);
}

/* The data of an opened entry, NULL if anything about it is amiss. */
static void *read_entry(int file, const char *key, size_t *n_bytes)
{
    struct stat info;
    struct header header;
    char hex[65];
    void *data = NULL;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid() ||
        (info.st_mode & (S_IWGRP | S_IWOTH)) || info.st_size < (off_t)sizeof header ||
        (uint64_t)info.st_size > folder_limit_bytes)
        return NULL;
    if (!read_all(file, &header, sizeof header) ||
        memcmp(header.magic, magic, sizeof magic) != 0 ||
        memcmp(header.key, key, KEY_LENGTH) != 0 ||
        header.n_bytes != (uint64_t)info.st_size - sizeof header)
        return NULL;
    *n_bytes = (size_t)header.n_bytes;
    data = vs_alloc(*n_bytes, 1);
    if (!data)
        return NULL;
    if (read_all(file, data, *n_bytes)) {
        checksum(hex, data, *n_bytes);
        if (memcmp(header.checksum, hex, KEY_LENGTH) == 0)
            return data;
    }
    free(data);
    return NULL;
}

bool vs_cache_load(const char *kind, const char key[65], void **data, size_t *n_bytes)
{
    int folder = open_folder(kind, false);
    *data = NULL;
    *n_bytes = 0;
    if (folder < 0)
        return false;
    /* O_NONBLOCK: a pipe under the entry's name must not hang the program. */
    int file = openat(folder, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file >= 0) {
        *data = read_entry(file, key, n_bytes);
        /* Its time says when it was last of use. */
        if (*data)
            (void)!futimens(file, NULL);
        close(file);
    }
    close(folder);
    return *data != NULL;
}

static void store(int folder, const char *key, const void *data, size_t n_bytes)
{
    struct header header = {.n_bytes = n_bytes};
    struct timespec now = {0};
    char hex[65], name[96];
    memcpy(header.magic, magic, sizeof magic);
    memcpy(header.key, key, KEY_LENGTH);
    checksum(hex, data, n_bytes);
    memcpy(header.checksum, hex, KEY_LENGTH);
    /* Processes in different containers may share number and folder; the clock tells them apart,
     * and O_EXCL where it does not. */
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, sizeof name, "%s%ld-%09ld-%p", temporary_prefix, (long)getpid(), now.tv_nsec,
             (void *)&header);
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    bool good = write_all(file, &header, sizeof header) && write_all(file, data, n_bytes);
    good = close(file) == 0 && good;
    if (!good || renameat(folder, name, folder, key) != 0)
        unlinkat(folder, name, 0);
}

void vs_cache_store(const char *kind, const char key[65], const void *data, size_t n_bytes)
{
    if (n_bytes > folder_limit_bytes / 4)
        return;
    int folder = open_folder(kind, true);
    if (folder < 0)
        return;
    store(folder, key, data, n_bytes);
    close(folder);
    vs_cache_prune(kind, folder_limit_bytes);
}

/* ---- Bounds ------------------------------------------------------------------------------- */

struct entry {
    char name[KEY_LENGTH + 1];
    struct timespec used;
    uint64_t n_bytes;
};

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The folder's entries; temporary files that have grown old are removed on the way. */
static struct entry *list(DIR *directory, size_t *n_entries)
{
    struct entry *entries = NULL;
    struct stat info;
    size_t n = 0, room = 0;
    for (struct dirent *item; (item = readdir(directory));) {
        if (fstatat(dirfd(directory), item->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(info.st_mode))
            continue;
        if (!strncmp(item->d_name, temporary_prefix, sizeof temporary_prefix - 1) &&
            time(NULL) - info.st_mtime > TEMPORARY_LIFETIME)
            unlinkat(dirfd(directory), item->d_name, 0);
        if (!is_key(item->d_name))
            continue;
        if (n == room) {
            room = room ? 2 * room : 64;
            struct entry *grown = vs_realloc(entries, room, sizeof *entries);
            if (!grown)
                break;
            entries = grown;
        }
        memcpy(entries[n].name, item->d_name, KEY_LENGTH + 1);
        entries[n].used = info.st_mtim;
        entries[n++].n_bytes = (uint64_t)info.st_size;
    }
    *n_entries = n;
    return entries;
}

void vs_cache_prune(const char *kind, uint64_t limit_bytes)
{
    size_t n = 0;
    uint64_t total = 0;
    int folder = open_folder(kind, false);
    DIR *directory = folder < 0 ? NULL : fdopendir(folder);
    if (!directory) {
        if (folder >= 0)
            close(folder);
        return;
    }
    struct entry *entries = list(directory, &n);
    for (size_t i = 0; i < n; i++)
        total += entries[i].n_bytes;
    if (total > limit_bytes)
        qsort(entries, n, sizeof *entries, by_time);
    for (size_t i = 0; i < n && total > limit_bytes; i++) {
        unlinkat(dirfd(directory), entries[i].name, 0);
        total -= entries[i].n_bytes;
    }
    free(entries);
    closedir(directory);
}
