/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel_dir.h - OpenCL C from a folder instead of the program, for those who work on kernels. */
#ifndef VS_CL_KERNEL_DIR_H
#define VS_CL_KERNEL_DIR_H

#include "cl/status.h"

/* The text of folder/name with its lines `#include "path"` replaced by those files, paths counted
 * from folder, as tools/embed.awk does it: drivers disagree about -I. *text is freed with free().
 * VS_ERROR_RUNTIME names a file that cannot be read. */
VS_CHECK enum vs_status vs_kernel_dir_read(char **text, const char *folder, const char *name);

#endif
