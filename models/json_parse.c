/* SPDX-License-Identifier: Apache-2.0
 *
 * json_parse.c - jansson, and the count of failed allocations. */
#include "models/json_parse.h"

#include "cl/alloc.h"

enum vs_status vs_json_parse(json_t **root, const char *text, size_t n, size_t flags,
                             json_error_t *error)
{
    size_t n_failed = vs_alloc_failed();
    *root = json_loadb(text, n, flags, error);
    if (vs_alloc_failed() == n_failed)
        return VS_OK;
    json_decref(*root);
    *root = NULL;
    return VS_ERROR_MEMORY;
}
