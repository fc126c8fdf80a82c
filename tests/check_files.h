/* SPDX-License-Identifier: Apache-2.0
 *
 * check_files.h - what the tests of the program's files share: a folder that lasts for one test,
 * and videos made up in it. */
#ifndef VS_TESTS_CHECK_FILES_H
#define VS_TESTS_CHECK_FILES_H

#include <check.h>

#include "host/sink.h"

/* A checked fixture: the folder is there, and empty, when a test begins, and is removed with all in
 * it. */
void check_make_folder(void);
void check_remove_folder(void);
const char *check_folder(void);

/* The path of a file in it; good until the fourth call from here. */
const char *check_path(const char *name);

/* Writes a file of that text. */
void check_put_file(const char *path, const char *text);

/* Draws one frame: [height, width, 3] bytes. The gradient moves with the frame, so that no codec of a
 * test could mistake one for another. */
void check_grey(uint8_t *rgb, size_t width, size_t height, size_t frame); /* 50, 51, ... */
void check_gradient(uint8_t *rgb, size_t width, size_t height, size_t frame);
void check_noise(uint8_t *rgb, size_t width, size_t height, size_t frame);

/* A value in 0..255 that looks like noise. */
uint8_t check_noise_at(size_t x, size_t y, size_t c);

/* Writes the first frames of a video through an output of the program, in pieces of 5, and closes
 * it. */
void check_write_video(const struct host_sink_kind *kind, const char *path,
                       const struct vs_video_info *video, const struct host_metadata *metadata,
                       size_t n_frames,
                       void (*draw)(uint8_t *rgb, size_t width, size_t height, size_t frame));

/* The end of a main(): runs the suite; what main() returns. */
int check_run_suite(Suite *suite);

#endif
