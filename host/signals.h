/* SPDX-License-Identifier: Apache-2.0
 *
 * signals.h - Ctrl-C: the first asks for an orderly end, the second ends at once.
 *
 * Files under construction are announced here, so that even the second Ctrl-C leaves none behind.
 */
#ifndef VS_HOST_SIGNALS_H
#define VS_HOST_SIGNALS_H

#include <stdbool.h>

/* A model file that is cut short, or whose disk fails, while it is mapped answers with SIGBUS. From
 * now on that ends the program with VS_ERROR_MODEL and a message that names the file, and removes
 * the files under construction. Checks in front of each use could not help: another process may cut
 * the file between check and use. */
void host_signals_watch_files(void);

/* Catches SIGINT, SIGTERM and SIGHUP, and what host_signals_watch_files() does; ignores SIGPIPE and
 * SIGXFSZ, so that a closed pipe and a file-size limit come back as errors of write(). To be called
 * again after kernels have been compiled: LLVM, inside many OpenCL drivers, puts handlers of its own
 * over these. */
void host_signals_install(void);

/* True once the first signal has come. */
bool host_signals_interrupted(void);

/* Announces a file to be removed if the program is ended at once. Returns a slot for
 * host_signals_release(), or -1 when the path is too long or all slots are taken. */
int host_signals_guard(const char *path);
void host_signals_release(int slot);

#endif
