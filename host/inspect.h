/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.h - what `videossm-cl inspect` found in a file, and its two ways of telling. */
#ifndef VS_HOST_INSPECT_H
#define VS_HOST_INSPECT_H

#include <jansson.h>
#include <stdio.h>

#include "models/config.h"
#include "models/recognize.h"

enum host_finding_kind {
    HOST_FINDING_WEIGHTS,
    HOST_FINDING_TOKENIZER,
    HOST_FINDING_CONFIG,
    HOST_FINDING_FAULT /* message says why */
};

/* Owned; freed with host_finding_free(). */
struct host_finding {
    enum host_finding_kind kind;
    char *path;
    uint64_t n_bytes;             /* of the file, or of all shards */
    size_t n_files;               /* shards, or 1 */
    struct vs_weights *weights;   /* HOST_FINDING_WEIGHTS */
    struct vs_recognized network; /* HOST_FINDING_WEIGHTS */
    size_t n_pieces;              /* HOST_FINDING_TOKENIZER */
    struct vs_config config;      /* HOST_FINDING_CONFIG */
    char *message;                /* HOST_FINDING_FAULT */
};

/* Opens path and tells what it is. Faults of the file are findings, too; their status is returned
 * and their message stays recorded. */
VS_CHECK enum vs_status host_finding_open(struct host_finding *finding, const char *path);
void host_finding_free(struct host_finding *finding);

/* Everything, with a table of the tensors. */
void host_finding_print(FILE *file, const struct host_finding *finding);

/* One line for a folder's list; the name is cut off behind the folder's. */
void host_finding_print_line(FILE *file, const struct host_finding *finding, const char *name,
                             int name_width);

/* New reference, or NULL when memory is short. tensors: with the list of them. */
json_t *host_finding_json(const struct host_finding *finding, bool tensors);

/* "4.3 MiB" */
void host_format_bytes(char *text, size_t n_text, uint64_t n_bytes);

#endif
