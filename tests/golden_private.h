/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_private.h - what golden.c and golden_run.c share about the case at hand. */
#ifndef VS_TESTS_GOLDEN_PRIVATE_H
#define VS_TESTS_GOLDEN_PRIVATE_H

#include <jansson.h>
#include <setjmp.h>
#include <stdbool.h>

struct golden_release {
    void (*release)(void *);
    void *object;
    struct golden_release *next;
};

struct golden_private {
    jmp_buf leave;
    json_t *tolerance; /* the manifest's, where config.json has none */
    bool *compared;    /* per tensor of data.safetensors */
    bool failed;
    char reason[512];
    double max_abs, max_rel;
    struct golden_release *releases;
};

#endif
