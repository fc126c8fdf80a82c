/* SPDX-License-Identifier: Apache-2.0
 *
 * status.c - the message of the last fault, one per thread. */
#include "cl/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

enum { MESSAGE_BYTES = 2048 };

static _Thread_local char message[MESSAGE_BYTES];

const char *vs_error_message(void)
{
    return message;
}

const char *vs_version(void)
{
    return PACKAGE_VERSION;
}

/* Names from files may stand in a message; none of them may steer the user's terminal. */
static void remove_controls(void)
{
    for (unsigned char *c = (unsigned char *)message; *c; c++)
        if ((*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
            *c = '?';
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = '?';
}

enum vs_status vs_fail(enum vs_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    remove_controls();
    return status;
}

enum vs_status vs_fail_in(enum vs_status status, const char *format, ...)
{
    char joined[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(joined, sizeof joined, format, args);
    va_end(args);
    /* A message too long for the buffer loses its end. */
    if (n >= 0 && (size_t)n + 2 < sizeof joined) {
        memcpy(joined + n, ": ", 2);
        size_t room = sizeof joined - (size_t)n - 3, length = strnlen(message, room);
        memcpy(joined + n + 2, message, length);
        joined[(size_t)n + 2 + length] = '\0';
    }
    memcpy(message, joined, sizeof message);
    remove_controls();
    return status;
}
