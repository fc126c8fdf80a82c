/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text.c - bytes that JSON cannot hold are replaced. */
#include "host/json_text.h"

json_t *host_json_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    char clean[512];
    size_t n = 0;
    for (; *text && n + 1 < sizeof clean; text++)
        clean[n++] = (unsigned char)*text < 0x80 ? *text : '?';
    clean[n] = '\0';
    return json_string(clean);
}
