/* SPDX-License-Identifier: Apache-2.0
 *
 * choices.h - what a context was told to prefer, by key: a small table that is filled before work
 * begins and asked before each launch. What keys and choices mean, kernels/tuning.h says. */
#ifndef VS_CL_CHOICES_H
#define VS_CL_CHOICES_H

#include "cl/status.h"

/* From now on the choice of that key, in place of one made before. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_choice_set(struct vs_context *context, uint64_t key, size_t choice);

/* False: none was made. */
bool vs_choice_get(const struct vs_context *context, uint64_t key, size_t *choice);

/* Forgets all of them. */
void vs_choices_clear(struct vs_context *context);

#endif
