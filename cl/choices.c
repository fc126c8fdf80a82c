/* SPDX-License-Identifier: Apache-2.0
 *
 * choices.c - a sorted array: a launch asks in a handful of comparisons. */
#include "cl/choices.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/opencl.h"

/* Index of the first entry whose key is not less. */
static size_t place_of(const struct vs_context *context, uint64_t key)
{
    size_t low = 0, high = context->n_choices;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (context->choices[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool vs_choice_get(const struct vs_context *context, uint64_t key, size_t *choice)
{
    size_t i = place_of(context, key);
    if (i == context->n_choices || context->choices[i].key != key)
        return false;
    *choice = context->choices[i].choice;
    return true;
}

enum vs_status vs_choice_set(struct vs_context *context, uint64_t key, size_t choice)
{
    size_t i = place_of(context, key), n = context->n_choices;
    if (i == n || context->choices[i].key != key) {
        struct vs_choice *choices = vs_realloc(context->choices, n + 1, sizeof *choices);
        if (!choices)
            return VS_ERROR_MEMORY;
        memmove(choices + i + 1, choices + i, (n - i) * sizeof *choices);
        context->choices = choices;
        context->n_choices++;
    }
    context->choices[i] = (struct vs_choice){key, choice};
    return VS_OK;
}

void vs_choices_clear(struct vs_context *context)
{
    free(context->choices);
    context->choices = NULL;
    context->n_choices = 0;
}
