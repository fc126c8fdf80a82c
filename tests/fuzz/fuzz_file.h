/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_file.h - the fuzzer's bytes as a file, for what takes a path. It has no place on a disk. */
#ifndef VS_TESTS_FUZZ_FILE_H
#define VS_TESTS_FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The same file each time, with these bytes. */
static inline const char *fuzz_file(const void *data, size_t n)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
