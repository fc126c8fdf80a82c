/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_mp4.h - the reading half of mp4 files: the settings stored in them. Only with FFmpeg. */
#ifndef VS_HOST_SINK_MP4_H
#define VS_HOST_SINK_MP4_H

#include "videossm.h"

/* The comment of a media file, in which this program keeps its settings; freed with free(), NULL
 * when it has none. VS_ERROR_USAGE: no readable media file. */
VS_CHECK enum vs_status host_mp4_comment(char **comment, const char *path);

#endif
