/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.c - counters, and the list of what is to fail. */
#include "cl/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[VS_N_FAULTS] = {"memory", "opencl", "launch"};
static atomic_size_t counts[VS_N_FAULTS];

/* What VS_FAIL says: read once, since every allocation asks. */
static const char *lists[VS_N_FAULTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_wish(void)
{
    const char *wish = getenv("VS_FAIL");
    for (size_t i = 0; wish && i < VS_N_FAULTS; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(wish, names[i], n) == 0 && wish[n] == ':')
            lists[i] = wish + n + 1;
    }
}

bool vs_fault_due(enum vs_fault kind)
{
    size_t n = atomic_fetch_add(&counts[kind], 1) + 1;
    pthread_once(&once, read_wish);
    for (const char *list = lists[kind]; list && *list;) {
        char *end;
        unsigned long first = strtoul(list, &end, 10);
        if (n == first || (*end == '-' && n > first))
            return true;
        list = *end ? end + 1 : end;
    }
    return false;
}

size_t vs_fault_count(enum vs_fault kind)
{
    return atomic_load(&counts[kind]);
}

const char *vs_fault_name(enum vs_fault kind)
{
    return names[kind];
}
