/* SPDX-License-Identifier: Apache-2.0
 *
 * check_metrics.c - the meter on videos whose numbers are known, and the readers of finished
 * videos. */
#include "config.h"

#include <check.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/status.h"
#include "host/draft.h"
#include "host/frames.h"
#include "host/meter.h"
#include "host/png_file.h"
#include "host/sink.h"
#include "tests/check_files.h"

/* ---- Videos made up on the spot ----------------------------------------------------------- */

static void fill(uint8_t *rgb, size_t n_pixels, uint8_t r, uint8_t g, uint8_t b)
{
    for (size_t i = 0; i < n_pixels; i++) {
        rgb[3 * i] = r;
        rgb[3 * i + 1] = g;
        rgb[3 * i + 2] = b;
    }
}

static struct host_meter *new_meter(size_t width, size_t height, double fps)
{
    struct host_meter *meter;
    ck_assert_int_eq(host_meter_open(&meter, width, height, fps), VS_OK);
    return meter;
}

static struct host_metrics finish(struct host_meter *meter)
{
    struct host_metrics metrics;
    ck_assert_int_eq(host_meter_finish(meter, &metrics), VS_OK);
    host_meter_free(meter);
    return metrics;
}

/* ---- Whole videos ------------------------------------------------------------------------- */

START_TEST(identical_frames_are_perfect)
{
    enum { WIDTH = 37, HEIGHT = 21 };
    uint8_t rgb[WIDTH * HEIGHT * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = check_noise_at(i / 3 % WIDTH, i / 3 / WIDTH, i % 3);
    struct host_meter *meter = new_meter(WIDTH, HEIGHT, 4);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    struct host_metrics metrics = finish(meter);
    ck_assert_uint_eq(metrics.n_frames, 9);
    ck_assert_uint_eq(metrics.n_seconds, 3);
    ck_assert_uint_eq(metrics.seconds[0].n_frames, 4);
    ck_assert_uint_eq(metrics.seconds[2].n_frames, 1);
    ck_assert(metrics.temporal_flicker == 1);
    ck_assert(metrics.subject_consistency == 1);
    ck_assert(metrics.background_consistency == 1);
    ck_assert(metrics.motion_smoothness == 1);
    ck_assert(metrics.motion_pixels == 0);
    ck_assert(!metrics.dynamic);
    ck_assert(metrics.drift_max == 0 && metrics.drift_end == 0);
    ck_assert_double_eq_tol(metrics.contrast_end, 1, 1e-12);
    free(metrics.seconds);
}
END_TEST

START_TEST(black_and_white_in_turn_are_the_worst)
{
    uint8_t black[16 * 16 * 3] = {0}, white[16 * 16 * 3];
    memset(white, 255, sizeof white);
    struct host_meter *meter = new_meter(16, 16, 2);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(host_meter_add(meter, i % 2 ? white : black), VS_OK);
    struct host_metrics metrics = finish(meter);
    ck_assert(metrics.temporal_flicker == 0);
    ck_assert(metrics.motion_smoothness == 0);
    /* Only frame 2 is like one of those it is held against, the first. */
    ck_assert_double_eq_tol(metrics.background_consistency, 0.5 / 3, 1e-15);
    /* Nothing has an edge. */
    ck_assert(metrics.subject_consistency == 1);
    ck_assert(metrics.motion_pixels == 0);
    /* Each second holds one of both. */
    ck_assert(metrics.drift_max == 0);
    ck_assert(metrics.seconds[0].mean[1] == 127.5 && metrics.seconds[0].deviation[1] == 127.5);
    ck_assert(metrics.seconds[1].flicker == 0);
    free(metrics.seconds);
}
END_TEST

START_TEST(all_channels_count_alike)
{
    for (int c = 0; c < 3; c++) {
        uint8_t a[8 * 8 * 3] = {0}, b[8 * 8 * 3] = {0};
        for (size_t i = (size_t)c; i < sizeof b; i += 3)
            b[i] = 51;
        struct host_meter *meter = new_meter(8, 8, 16);
        ck_assert_int_eq(host_meter_add(meter, a), VS_OK);
        ck_assert_int_eq(host_meter_add(meter, b), VS_OK);
        struct host_metrics metrics = finish(meter);
        ck_assert(metrics.temporal_flicker == (255 - 17.0) / 255);
        ck_assert(isnan(metrics.motion_smoothness));
        free(metrics.seconds);
    }
}
END_TEST

START_TEST(a_ramp_is_smooth_and_drifts)
{
    enum { FPS = 4, N = 40, FIRST = 60 };
    uint8_t rgb[16 * 16 * 3];
    struct host_meter *meter = new_meter(16, 16, FPS);
    for (int i = 0; i < N; i++) {
        memset(rgb, FIRST + i, sizeof rgb);
        ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    }
    struct host_metrics metrics = finish(meter);
    ck_assert(metrics.temporal_flicker == 254.0 / 255);
    ck_assert(metrics.motion_smoothness == 1);
    ck_assert_uint_eq(metrics.n_seconds, N / FPS);
    for (size_t i = 0; i < metrics.n_seconds; i++) {
        const struct host_second *second = &metrics.seconds[i];
        for (int c = 0; c < 3; c++) {
            ck_assert(second->mean[c] == FIRST + FPS * (double)i + 1.5);
            ck_assert_double_eq_tol(second->deviation[c], sqrt(1.25), 1e-9);
        }
        ck_assert(second->flicker == 254.0 / 255);
        ck_assert(i == 0 || second->drift > metrics.seconds[i - 1].drift);
    }
    ck_assert(metrics.drift_end == metrics.drift_max);
    ck_assert_double_eq_tol(metrics.contrast_end, 1, 1e-9);
    free(metrics.seconds);
}
END_TEST

/* CIELAB of the corners of sRGB, as tables have them; dE from black is the length. */
static const struct {
    uint8_t r, g, b;
    double lab[3];
} corners[] = {{255, 255, 255, {100, 0, 0}},
               {255, 0, 0, {53.24, 80.09, 67.20}},
               {0, 255, 0, {87.73, -86.18, 83.18}},
               {0, 0, 255, {32.30, 79.19, -107.86}},
               {119, 119, 119, {50.03, 0, 0}}};

START_TEST(drift_is_a_distance_in_cielab)
{
    uint8_t rgb[8 * 8 * 3];
    const double *lab = corners[_i].lab;
    struct host_meter *meter = new_meter(8, 8, 1);
    fill(rgb, 64, 0, 0, 0);
    ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    fill(rgb, 64, corners[_i].r, corners[_i].g, corners[_i].b);
    ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    fill(rgb, 64, 0, 0, 0);
    ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    struct host_metrics metrics = finish(meter);
    ck_assert_double_eq_tol(metrics.drift_max,
                            sqrt(lab[0] * lab[0] + lab[1] * lab[1] + lab[2] * lab[2]), 0.02);
    ck_assert(metrics.drift_end == 0);
    ck_assert(isnan(metrics.contrast_end));
    free(metrics.seconds);
}
END_TEST

/* ---- Motion ------------------------------------------------------------------------------- */

static const struct {
    int side, grain, dx, dy; /* pixels a frame; grain: side of the picture's smallest detail */
    double fps, pixels;      /* between samples, 8 a second */
    bool dynamic;            /* more than 6 pixels of 256, at 8 frames a second or more */
} moves[] = {{64, 1, 5, 0, 8, 5, true},   {64, 1, 0, -5, 8, 5, true},   {64, 1, 3, 4, 8, 5, true},
             {64, 1, -1, 0, 8, 1, false}, {64, 1, 2, 0, 16, 4, true},   {64, 1, 0, 0, 8, 0, false},
             {448, 2, 8, 0, 8, 8, false}, {448, 2, 12, 0, 8, 12, true}, {64, 1, 2, 0, 4, 2, false}};

START_TEST(a_square_that_moves_is_measured)
{
    enum { N_FRAMES = 7 };
    const int side = moves[_i].side, grain = moves[_i].grain, square = side / 4;
    size_t n = (size_t)side * (size_t)side * 3;
    uint8_t *rgb = malloc(n);
    struct host_meter *meter = new_meter((size_t)side, (size_t)side, moves[_i].fps);
    /* Away from the edges, beyond which nothing is found. */
    int left = moves[_i].dx < 0 ? side / 2 : side / 4, top = moves[_i].dy < 0 ? side / 2 : side / 4;
    for (int i = 0; i < N_FRAMES; i++, left += moves[_i].dx, top += moves[_i].dy) {
        memset(rgb, 90, n);
        for (int y = 0; y < square; y++)
            for (int x = 0; x < square; x++)
                for (int c = 0; c < 3; c++)
                    rgb[((top + y) * side + left + x) * 3 + c] =
                        check_noise_at((size_t)(x / grain), (size_t)(y / grain), (size_t)c);
        ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    }
    free(rgb);
    struct host_metrics metrics = finish(meter);
    ck_assert_double_eq_tol(metrics.motion_pixels, moves[_i].pixels, 1e-12);
    ck_assert_int_eq(metrics.dynamic, moves[_i].dynamic);
    /* It remains the same square. */
    ck_assert_double_gt(metrics.subject_consistency, 0.99);
    free(metrics.seconds);
}
END_TEST

START_TEST(brightness_is_no_motion)
{
    uint8_t rgb[64 * 64 * 3];
    struct host_meter *meter = new_meter(64, 64, 8);
    for (int i = 0; i < 5; i++) {
        memset(rgb, 40 + 50 * (i % 2), sizeof rgb);
        ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
    }
    struct host_metrics metrics = finish(meter);
    ck_assert(metrics.motion_pixels == 0 && !metrics.dynamic);
    free(metrics.seconds);
}
END_TEST

START_TEST(another_subject_is_noticed_and_another_background_too)
{
    double subject[2], background[2];
    for (int which = 0; which < 2; which++) {
        uint8_t rgb[64 * 64 * 3];
        struct host_meter *meter = new_meter(64, 64, 8);
        for (int i = 0; i < 6; i++) {
            bool late = i >= 3;
            fill(rgb, 64 * 64, which && late ? 200 : 20, 30, 60);
            for (size_t y = 24; y < 40; y++)
                fill(rgb + (y * 64 + 24) * 3, 16, 240, !which && late ? 30 : 240, 30);
            ck_assert_int_eq(host_meter_add(meter, rgb), VS_OK);
        }
        struct host_metrics metrics = finish(meter);
        subject[which] = metrics.subject_consistency;
        background[which] = metrics.background_consistency;
        free(metrics.seconds);
    }
    ck_assert_double_lt(subject[0], 0.9);
    ck_assert_double_gt(background[0], 0.95);
    ck_assert_double_lt(background[1], 0.8);
}
END_TEST

START_TEST(tiny_pictures_are_measured_and_one_frame_is_refused)
{
    uint8_t pixel[3] = {1, 2, 3};
    struct host_metrics metrics;
    struct host_meter *meter = new_meter(1, 1, 30);
    ck_assert_int_eq(host_meter_finish(meter, &metrics), VS_ERROR_USAGE);
    ck_assert_int_eq(host_meter_add(meter, pixel), VS_OK);
    ck_assert_int_eq(host_meter_finish(meter, &metrics), VS_ERROR_USAGE);
    ck_assert_int_eq(host_meter_add(meter, pixel), VS_OK);
    metrics = finish(meter);
    ck_assert(metrics.temporal_flicker == 1 && metrics.motion_pixels == 0);
    free(metrics.seconds);
}
END_TEST

/* ---- Readers ------------------------------------------------------------------------------ */

START_TEST(every_kind_of_png_becomes_rgb)
{
    static const struct {
        png_uint_32 format;
        uint8_t pixel[4], rgb[3];
    } kinds[] = {{PNG_FORMAT_RGB, {10, 20, 30}, {10, 20, 30}},
                 {PNG_FORMAT_RGBA, {10, 20, 30, 99}, {10, 20, 30}},
                 {PNG_FORMAT_GRAY, {77}, {77, 77, 77}},
                 {PNG_FORMAT_GA, {77, 5}, {77, 77, 77}}};
    struct host_picture picture = {0};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        png_image image = {.version = PNG_IMAGE_VERSION,
                           .width = (png_uint_32)(3 + k),
                           .height = 2,
                           .format = kinds[k].format};
        uint8_t pixels[64];
        size_t n_channels = PNG_IMAGE_PIXEL_CHANNELS(kinds[k].format);
        for (size_t i = 0; i < image.width * 2 * n_channels; i++)
            pixels[i] = kinds[k].pixel[i % n_channels];
        ck_assert(png_image_write_to_file(&image, check_path("x.png"), 0, pixels, 0, NULL));
        ck_assert_int_eq(host_png_read(&picture, NULL, NULL, check_path("x.png")), VS_OK);
        ck_assert_uint_eq(picture.width, 3 + k);
        ck_assert_uint_eq(picture.height, 2);
        for (size_t i = 0; i < picture.width * 2 * 3; i++)
            ck_assert_uint_eq(picture.rgb[i], kinds[k].rgb[i % 3]);
    }
    free(picture.rgb);
}
END_TEST

static uint32_t crc(const uint8_t *data, size_t n)
{
    uint32_t sum = ~0u;
    for (size_t i = 0; i < n; i++) {
        sum ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
    }
    return ~sum;
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

START_TEST(hostile_pngs_are_refused)
{
    static const uint32_t sides[][2] = {
        {16384, 16384}, {16385, 1}, {1, 0x7fffffff}, {0x7fffffff, 0x7fffffff}, {0, 4}};
    struct host_picture picture = {0};
    struct host_bytes bytes = {0};
    uint8_t rgb[3 * 64] = {0};
    ck_assert_int_eq(host_png_encode(&bytes, rgb, 8, 8, NULL, 0), VS_OK);
    for (size_t n = 0; n < bytes.n; n++) {
        ck_assert_int_eq(host_draft_save(check_path("x.png"), bytes.data, n), VS_OK);
        ck_assert_int_eq(host_png_read(&picture, NULL, NULL, check_path("x.png")), VS_ERROR_USAGE);
    }
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        put32(bytes.data + 16, sides[i][0]);
        put32(bytes.data + 20, sides[i][1]);
        put32(bytes.data + 29, crc(bytes.data + 12, 17));
        ck_assert_int_eq(host_draft_save(check_path("x.png"), bytes.data, bytes.n), VS_OK);
        ck_assert_int_eq(host_png_read(&picture, NULL, NULL, check_path("x.png")), VS_ERROR_USAGE);
    }
    ck_assert_int_eq(host_png_read(&picture, NULL, NULL, check_path("no.png")), VS_ERROR_USAGE);
    free(bytes.data);
    free(picture.rgb);
}
END_TEST

static void write_video(const struct host_sink_kind *kind, const char *path, size_t side,
                        size_t n_frames, bool noisy)
{
    const struct vs_video_info video = {
        .width = side, .height = side, .n_frames = n_frames, .fps = 12};
    const struct host_metadata metadata = {
        .title = "t", .parameters = "p", .json = "{\"fps\": 12}"};
    check_write_video(kind, path, &video, &metadata, n_frames, noisy ? check_noise : check_grey);
}

static void read_grey(const char *path, size_t side, size_t n_frames, int tolerance)
{
    struct host_frames *frames;
    const uint8_t *rgb;
    ck_assert_int_eq(host_frames_open(&frames, path, 0), VS_OK);
    for (size_t i = 0; i < n_frames; i++) {
        ck_assert_int_eq(host_frames_next(frames, &rgb), VS_OK);
        ck_assert_ptr_nonnull(rgb);
        for (size_t k = 0; k < side * side * 3; k++)
            ck_assert_int_le(abs(rgb[k] - (int)(50 + i)), tolerance);
    }
    ck_assert_uint_eq(frames->width, side);
    ck_assert_uint_eq(frames->height, side);
    ck_assert(frames->fps == 12);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(host_frames_next(frames, &rgb), VS_OK);
        ck_assert_ptr_null(rgb);
    }
    host_frames_free(frames);
}

START_TEST(a_folder_is_read_in_the_order_of_names)
{
    write_video(&host_sink_png, check_path("png"), 16, 30, false);
    ck_assert_int_eq(host_draft_save(check_path("png/.frame.png"), "x", 1), VS_OK);
    ck_assert_int_eq(host_draft_save(check_path("png/notes.txt"), "x", 1), VS_OK);
    read_grey(check_path("png"), 16, 30, 0);
}
END_TEST

#ifdef HAVE_FFMPEG
START_TEST(what_was_written_as_video_is_read)
{
    write_video(&host_sink_y4m, check_path("x.y4m"), 48, 30, false);
    read_grey(check_path("x.y4m"), 48, 30, 1);
    write_video(&host_sink_mp4, check_path("x.mp4"), 48, 30, false);
    read_grey(check_path("x.mp4"), 48, 30, 2);
}
END_TEST

/* Removes the last n_bytes of a file. */
static void shorten(const char *path, size_t n_bytes)
{
    char *data;
    size_t n;
    ck_assert_int_eq(host_read_file(&data, &n, path, 1 << 22), VS_OK);
    ck_assert_uint_gt(n, n_bytes);
    ck_assert_int_eq(host_draft_save(path, data, n - n_bytes), VS_OK);
    free(data);
}

/* Frames that can be read; status is that of the last call. */
static size_t count_frames(const char *path, enum vs_status *status)
{
    struct host_frames *frames;
    const uint8_t *rgb = NULL;
    size_t n = 0;
    ck_assert_int_eq(host_frames_open(&frames, path, 0), VS_OK);
    while ((*status = host_frames_next(frames, &rgb)) == VS_OK && rgb)
        n++;
    host_frames_free(frames);
    return n;
}

START_TEST(half_an_mp4_is_refused)
{
    enum vs_status status;
    write_video(&host_sink_mp4, check_path("x.mp4"), 64, 12, true);
    ck_assert_uint_eq(count_frames(check_path("x.mp4"), &status), 12);
    ck_assert_int_eq(status, VS_OK);
    shorten(check_path("x.mp4"), 5000);
    count_frames(check_path("x.mp4"), &status);
    ck_assert_int_eq(status, VS_ERROR_USAGE);
}
END_TEST

START_TEST(half_a_frame_of_y4m_is_left_out)
{
    enum vs_status status;
    write_video(&host_sink_y4m, check_path("x.y4m"), 48, 6, false);
    shorten(check_path("x.y4m"), 1000);
    ck_assert_uint_eq(count_frames(check_path("x.y4m"), &status), 5);
    ck_assert_int_eq(status, VS_OK);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *all = tcase_create("metrics");
    tcase_add_checked_fixture(all, check_make_folder, check_remove_folder);
    tcase_set_timeout(all, 120);
    tcase_add_test(all, identical_frames_are_perfect);
    tcase_add_test(all, black_and_white_in_turn_are_the_worst);
    tcase_add_test(all, all_channels_count_alike);
    tcase_add_test(all, a_ramp_is_smooth_and_drifts);
    tcase_add_loop_test(all, drift_is_a_distance_in_cielab, 0, sizeof corners / sizeof *corners);
    tcase_add_loop_test(all, a_square_that_moves_is_measured, 0, sizeof moves / sizeof *moves);
    tcase_add_test(all, brightness_is_no_motion);
    tcase_add_test(all, another_subject_is_noticed_and_another_background_too);
    tcase_add_test(all, tiny_pictures_are_measured_and_one_frame_is_refused);
    tcase_add_test(all, every_kind_of_png_becomes_rgb);
    tcase_add_test(all, hostile_pngs_are_refused);
    tcase_add_test(all, a_folder_is_read_in_the_order_of_names);
#ifdef HAVE_FFMPEG
    tcase_add_test(all, what_was_written_as_video_is_read);
    tcase_add_test(all, half_an_mp4_is_refused);
    tcase_add_test(all, half_a_frame_of_y4m_is_left_out);
#endif
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
