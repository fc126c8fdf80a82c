/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c - messages to the person at the terminal. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "host/command.h"

static void print_message(const char *kind, const char *message)
{
    fflush(stdout); /* what was printed before comes before */
    fprintf(stderr, "videossm-cl: %s", kind);
    for (const char *c = message; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        fputc((byte < 0x20 && byte != '\n') || byte == 0x7f ? '?' : byte, stderr);
    }
    fputc('\n', stderr);
}

int host_report(enum vs_status status)
{
    if (status != VS_OK)
        print_message(status == VS_ERROR_INTERRUPTED ? "" : "error: ", vs_error_message());
    return (int)status;
}

void host_warn(const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    print_message("warning: ", message);
}
