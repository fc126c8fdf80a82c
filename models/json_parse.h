/* SPDX-License-Identifier: Apache-2.0
 *
 * json_parse.h - JSON texts, read whole or not at all.
 *
 * Jansson goes on when memory for a long word cannot be had, and the word loses a letter: a key that
 * is missing then looks like the file's fault. So memory that ran out meanwhile is always told. */
#ifndef VS_MODELS_JSON_PARSE_H
#define VS_MODELS_JSON_PARSE_H

#include <jansson.h>

#include "cl/status.h"

/* The value of n bytes of text, to be released with json_decref(), and VS_OK; *root is NULL, and
 * *error says why, where the text is no JSON: what that means, the caller knows. flags: jansson's.
 * VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_json_parse(json_t **root, const char *text, size_t n, size_t flags,
                                      json_error_t *error);

#endif
