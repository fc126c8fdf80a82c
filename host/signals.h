/* SPDX-License-Identifier: Apache-2.0
 *
 * signals.h - Ctrl-C: the first asks for an orderly end, the second ends at once.
 *
 * Files under construction are announced here, so that even the second Ctrl-C leaves none behind.
 */
#ifndef VS_HOST_SIGNALS_H
#define VS_HOST_SIGNALS_H

#include <stdbool.h>

/* Catches SIGINT, SIGTERM and SIGHUP; ignores SIGPIPE and SIGXFSZ, so that a closed pipe and a
 * file-size limit come back as errors of write(). To be called again after kernels have been
 * compiled: LLVM, inside many OpenCL drivers, puts handlers of its own over these. */
void host_signals_install(void);

/* True once the first signal has come. */
bool host_signals_interrupted(void);

/* Announces a file to be removed if the program is ended at once. Returns a slot for
 * host_signals_release(), or -1 when the path is too long or all slots are taken. */
int host_signals_guard(const char *path);
void host_signals_release(int slot);

#endif
