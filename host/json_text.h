/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text.h - text of foreign origin as a JSON string. */
#ifndef VS_HOST_JSON_TEXT_H
#define VS_HOST_JSON_TEXT_H

#include <jansson.h>

/* A string of JSON, which must be UTF-8. Names of drivers, paths and metadata may hold any byte: of
 * a text that is not UTF-8 the bytes outside ASCII become '?', and the end past 511 bytes is lost.
 * NULL only when memory is out. */
json_t *host_json_text(const char *text);

#endif
