/* SPDX-License-Identifier: Apache-2.0
 *
 * disk_cache.h - what is kept between runs: compiled programs, verdicts on devices.
 *
 * Entries live in $XDG_CACHE_HOME/videossm-cl/KIND/ (else ~/.cache/videossm-cl/KIND/), one file
 * each, named by a SHA-256 that covers all the entry depends on. They are helps, never needed: an
 * entry that is damaged, cut short or of another format counts as absent, and what cannot be
 * written is not. A folder or file that others could have written to is not read, since compiled
 * programs run in this process. VS_CACHE=off turns everything here off. */
#ifndef VS_CL_DISK_CACHE_H
#define VS_CL_DISK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the entry of that key (64 hexadecimal digits); false: there is none of use. *data is freed
 * with free(). Records no message. */
bool vs_cache_load(const char *kind, const char key[65], void **data, size_t *n_bytes);

/* Writes an entry whole or not at all; other processes may be writing the same one. Afterwards the
 * entries used longest ago go until the folder holds at most 256 MB. */
void vs_cache_store(const char *kind, const char key[65], const void *data, size_t n_bytes);

/* Removes entries used longest ago until at most limit_bytes are held, and temporary files that a
 * killed process left. */
void vs_cache_prune(const char *kind, uint64_t limit_bytes);

#endif
