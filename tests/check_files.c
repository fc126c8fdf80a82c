/* SPDX-License-Identifier: Apache-2.0
 *
 * check_files.c - a folder for each test, and videos in it. */
#include "config.h"

#include "tests/check_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "check_files.XXXXXX";

void check_make_folder(void)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

void check_remove_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

const char *check_folder(void)
{
    return folder;
}

const char *check_path(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

void check_put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

void check_grey(uint8_t *rgb, size_t width, size_t height, size_t frame)
{
    memset(rgb, (int)(50 + frame), width * height * 3);
}

void check_gradient(uint8_t *rgb, size_t width, size_t height, size_t frame)
{
    for (size_t i = 0; i < width * height; i++) {
        rgb[3 * i] = (uint8_t)(i % width * 255 / width);
        rgb[3 * i + 1] = (uint8_t)(i / width * 255 / height);
        rgb[3 * i + 2] = (uint8_t)(frame * 8);
    }
}

void check_noise(uint8_t *rgb, size_t width, size_t height, size_t frame)
{
    for (size_t i = 0; i < width * height * 3; i++)
        rgb[i] = check_noise_at(i, frame, 0);
}

uint8_t check_noise_at(size_t x, size_t y, size_t c)
{
    uint32_t n = (uint32_t)(x * 73856093u ^ y * 19349663u ^ (c + 1) * 83492791u);
    n = (n ^ n >> 13) * 1274126177u;
    return (uint8_t)(n >> 17);
}

void check_write_video(const struct host_sink_kind *kind, const char *path,
                       const struct vs_video_info *video, const struct host_metadata *metadata,
                       size_t n_frames,
                       void (*draw)(uint8_t *rgb, size_t width, size_t height, size_t frame))
{
    enum { PIECE = 5 };
    size_t frame_bytes = video->width * video->height * 3;
    uint8_t *frames = malloc(PIECE * frame_bytes);
    void *state;
    ck_assert_msg(kind->open(&state, path, video, metadata) == VS_OK, "%s", vs_error_message());
    for (size_t first = 0; first < n_frames; first += PIECE) {
        size_t n = n_frames - first < PIECE ? n_frames - first : PIECE;
        for (size_t i = 0; i < n; i++)
            draw(frames + i * frame_bytes, video->width, video->height, first + i);
        ck_assert_msg(kind->write(state, first, n, frames) == VS_OK, "%s", vs_error_message());
    }
    ck_assert_msg(kind->close(state) == VS_OK, "%s", vs_error_message());
    free(frames);
}

int check_run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
