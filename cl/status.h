/* SPDX-License-Identifier: Apache-2.0
 *
 * status.h - how every layer reports a fault.
 *
 * The place that first sees a fault records its message with vs_fail(); callers pass the code up
 * with VS_TRY(). One message per thread is kept. */
#ifndef VS_CL_STATUS_H
#define VS_CL_STATUS_H

#include "videossm.h"

/* Records the message and returns status, so that `return vs_fail(...)` is one line. Messages
 * name the thing at fault first and the remedy last. */
enum vs_status vs_fail(enum vs_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds "what: " in front of the message recorded last; for a caller that knows the file. */
enum vs_status vs_fail_in(enum vs_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Evaluates call; on a fault stores its code in the local `status` and leaves through `fail`. */
#define VS_TRY(call)                                                                              \
    do {                                                                                          \
        status = (call);                                                                          \
        if (status != VS_OK)                                                                      \
            goto fail;                                                                            \
    } while (0)

#endif
