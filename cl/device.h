/* SPDX-License-Identifier: Apache-2.0
 *
 * device.h - finding devices; the public functions stand in videossm.h. */
#ifndef VS_CL_DEVICE_H
#define VS_CL_DEVICE_H

#include "cl/status.h"

/* "CPU", "GPU", ... */
const char *vs_device_type_name(enum vs_device_type type);

#endif
