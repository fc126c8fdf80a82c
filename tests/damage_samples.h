/* SPDX-License-Identifier: Apache-2.0
 *
 * damage_samples.h - good files of every kind that the program reads, whose fields have names, so
 * that tests/damage.txt can say what to do to which of them.
 *
 * Most files are text inside a container: a JSON table before data, a pickle in an archive. The
 * text is there first, for changing; then the container is built around it and fields have places.
 */
#ifndef VS_TESTS_DAMAGE_SAMPLES_H
#define VS_TESTS_DAMAGE_SAMPLES_H

#include <stdbool.h>

#include "tests/file_builder.h"

enum { MAX_PLACES = 160 };

struct sample {
    const char *folder; /* for files that go with this one */
    struct bytes text;  /* before the container is built */
    struct bytes data;  /* what the text describes; some kinds only */
    struct bytes file;
    struct place {
        char name[64];
        size_t at, n_bytes;
    } places[MAX_PLACES]; /* in the order of the file */
    size_t n_places;
};

struct sample_kind {
    const char *name;
    void (*begin)(struct sample *sample); /* makes text */
    void (*build)(struct sample *sample); /* makes file and places from text; NULL: text alone */
};

/* NULL: there is no such kind. */
const struct sample_kind *sample_find(const char *name);

/* NULL: there is no such place. */
const struct place *sample_place(const struct sample *sample, const char *name);

void sample_free(struct sample *sample);

/* A path in the folder of the model that the tests use. Freed with free(). */
char *sample_model_path(const char *name);

#endif
