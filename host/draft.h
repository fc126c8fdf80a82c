/* SPDX-License-Identifier: Apache-2.0
 *
 * draft.h - a file that takes its name only when it is complete.
 *
 * Bytes go to a hidden neighbour, ".NAME.PID.part", which is renamed at the end; a run that dies
 * never leaves a half-written file under the name asked for. What exists already and is no
 * regular file (a pipe, a device) is written in place. For tests, a process with VS_DIE_AT in its
 * environment kills itself when a file of that name, complete, is about to take it. */
#ifndef VS_HOST_DRAFT_H
#define VS_HOST_DRAFT_H

#include "videossm.h"

struct host_draft {
    char *target; /* the name asked for, symbolic links followed */
    char *path;   /* where the bytes go */
    bool in_place;
    int fd;   /* open for writing; -1: none */
    int slot; /* of host_signals_guard() */
};

/* Creates the neighbour of path. Fails with VS_ERROR_RUNTIME when the folder is missing or not
 * writable, or path is a folder. */
VS_CHECK enum vs_status host_draft_open(struct host_draft *draft, const char *path);

/* Appends n_bytes. VS_ERROR_RUNTIME names the file and the reason (disk full, pipe closed). */
VS_CHECK enum vs_status host_draft_write(struct host_draft *draft, const void *data,
                                         size_t n_bytes);

/* Waits until the disk has what was written, for files that have to outlive a power cut. */
VS_CHECK enum vs_status host_draft_sync(struct host_draft *draft);

/* Closes the descriptor but keeps the draft, for a library that opens draft->path itself. */
void host_draft_detach(struct host_draft *draft);

/* Gives the file its name; on a fault the draft is discarded. Frees everything. */
VS_CHECK enum vs_status host_draft_commit(struct host_draft *draft);

/* A whole file at once: open, write, commit. */
VS_CHECK enum vs_status host_draft_save(const char *path, const void *data, size_t n_bytes);

/* Removes the draft and frees everything; harmless after commit and on a zeroed struct. */
void host_draft_discard(struct host_draft *draft);

/* Removes the drafts of path (a file, or any file in a folder) that killed processes left. */
void host_draft_sweep(const char *path);

/* Writes all bytes to a descriptor; 0, or the errno of the fault. */
int host_write_all(int fd, const void *data, size_t n_bytes);

/* Reads a file of at most max_bytes into *text, which ends in '\0' and is freed with free().
 * n_bytes (may be NULL) gets its length. VS_ERROR_USAGE names the file: it was given by the user.
 */
VS_CHECK enum vs_status host_read_file(char **text, size_t *n_bytes, const char *path,
                                       size_t max_bytes);

#endif
