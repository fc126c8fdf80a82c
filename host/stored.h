/* SPDX-License-Identifier: Apache-2.0
 *
 * stored.h - what the files of a finished video say of it. */
#ifndef VS_HOST_STORED_H
#define VS_HOST_STORED_H

#include "videossm.h"

/* The settings stored in a PNG, a media file or a folder's first frame, as host_settings_json()
 * wrote them; freed with free(), NULL where there are none. VS_ERROR_USAGE: not readable. */
VS_CHECK enum vs_status host_stored_settings(char **json, const char *path);

/* The name of another video beside it: x.mp4 becomes x-ADDED.mp4, x.y4m likewise, anything else a
 * folder. Freed with free(); NULL: out of memory. */
char *host_stored_beside(const char *path, const char *added);

#endif
