/* SPDX-License-Identifier: Apache-2.0
 *
 * lora_internal.h - what lora.c found out about a file, for lora_merge.c. */
#ifndef VS_MODELS_LORA_INTERNAL_H
#define VS_MODELS_LORA_INTERNAL_H

#include "models/lora.h"
#include "models/weights_internal.h"

/* One tensor's change: low rank (down [rank, columns], up [rows, rank]) or in full (diff). Sizes are
 * checked; borrowed. */
struct vs_lora_change {
    const struct vs_tensor *base, *down, *up, *diff;
    size_t rank;
    float factor;
};

/* A file of a set. */
struct vs_lora_part {
    struct vs_weights *file;
    double scale;
    struct vs_lora_change *changes; /* sorted by base */
    size_t n_changes, room;
    const struct vs_lora_change *ready; /* whose matrix stands in down, or NULL */
    float *down; /* [tile, rank, VS_LORA_TILE], the last tile filled with zeros */
};

struct vs_lora_set {
    struct vs_lora_part *parts;
    size_t n_parts;
    float *up; /* [rows, rank] of a slab */
    size_t up_room;
};

/* The first change of that tensor in a file; more may follow it. NULL: none. */
const struct vs_lora_change *vs_lora_first(const struct vs_lora_part *part,
                                           const struct vs_tensor *base);

#endif
