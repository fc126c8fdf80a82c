/* SPDX-License-Identifier: Apache-2.0
 *
 * file_map.h - a file in memory, read only. */
#ifndef VS_MODELS_FILE_MAP_H
#define VS_MODELS_FILE_MAP_H

#include "cl/status.h"

struct vs_file_map {
    char *path;          /* as it was given */
    const uint8_t *data; /* size bytes */
    size_t size;         /* at least 1 */
    bool mapped;         /* false: data is borrowed from the caller */
    struct vs_file_map *next; /* of those that are mapped now */
};

/* Maps a regular file. VS_ERROR_MODEL, naming path, when it is missing, a folder or another thing
 * that is no file, empty, or not permitted; VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_file_map_open(struct vs_file_map **map, const char *path);

/* Takes size bytes (at least 1) that the caller keeps alive for a file of that name. */
VS_CHECK enum vs_status vs_file_map_borrow(struct vs_file_map **map, const char *path,
                                           const void *data, size_t size);

void vs_file_map_free(struct vs_file_map *map);

/* The path of the mapped file that an address lies in, or NULL. May be called from a signal
 * handler: a file cut short while it is mapped answers reads with SIGBUS. */
const char *vs_file_map_path_at(const void *address);

#endif
