/* SPDX-License-Identifier: Apache-2.0
 *
 * png_file.h - 8-bit RGB pictures with text chunks.
 *
 * Compression level and filter are fixed and no time is stored: equal pixels and texts give equal
 * bytes. */
#ifndef VS_HOST_PNG_FILE_H
#define VS_HOST_PNG_FILE_H

#include "videossm.h"

/* A buffer that grows; data is freed with free(). */
struct host_bytes {
    uint8_t *data;
    size_t n, capacity;
};

/* A text chunk: Latin letters, digits and spaces in key, UTF-8 in value. */
struct host_text {
    const char *key, *value;
};

/* Encodes rgb [height, width, 3] into *bytes, overwriting what it held. A value of ASCII alone is
 * stored as tEXt, any other as iTXt. VS_ERROR_MEMORY, VS_ERROR_RUNTIME. */
VS_CHECK enum vs_status host_png_encode(struct host_bytes *bytes, const uint8_t *rgb, size_t width,
                                        size_t height, const struct host_text *texts,
                                        size_t n_texts);

/* A picture read from a file; zeroed by the caller, reused for the next, rgb freed with free(). */
struct host_picture {
    uint8_t *rgb; /* [height, width, 3] */
    size_t width, height;
};

/* The largest picture that is read: sides, and pixels in all (7680x4320 fits). */
enum { HOST_PICTURE_SIDE_MAX = 16384, HOST_PICTURE_PIXELS_MAX = 1 << 25 };

/* Reads a PNG of any kind as 8-bit RGB; transparency is dropped. *value (value may be NULL) gets
 * the text chunk `key` as in host_png_text(), of those in front of the pixels. VS_ERROR_USAGE: no
 * PNG, damaged, too large. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_png_read(struct host_picture *picture, char **value, const char *key,
                                      const char *path);

/* Finds the text chunk `key` of a PNG in memory; *value is freed with free(), NULL when there is no
 * such chunk. name is for messages. VS_ERROR_USAGE: not a PNG, or damaged. */
VS_CHECK enum vs_status host_png_text(char **value, const uint8_t *data, size_t n_bytes,
                                      const char *key, const char *name);

#endif
