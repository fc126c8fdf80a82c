/* SPDX-License-Identifier: Apache-2.0
 *
 * check_sinks.c - outputs: PNG, contact sheet, y4m, mp4, and files that take their names late. */
#include "config.h"

#include <check.h>
#include <math.h>
#include <png.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/draft.h"
#include "host/png_file.h"
#include "host/sink.h"
#include "host/sink_mp4.h"
#include "host/sink_y4m.h"
#include "host/writer.h"
#include "tests/check_files.h"

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Files in check_folder(), hidden ones too. */
static size_t count_files(void)
{
    char command[64];
    unsigned long n = 0;
    snprintf(command, sizeof command, "ls -A %s | wc -l", check_folder());
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_int_eq(fscanf(pipe, "%lu", &n), 1);
    pclose(pipe);
    return n;
}

/* Decodes a PNG in memory; freed by the caller. */
static uint8_t *decode_png(const uint8_t *data, size_t n_bytes, size_t *width, size_t *height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    ck_assert_msg(png_image_begin_read_from_memory(&image, data, n_bytes), "%s", image.message);
    image.format = PNG_FORMAT_RGB;
    uint8_t *rgb = malloc(PNG_IMAGE_SIZE(image));
    ck_assert(png_image_finish_read(&image, NULL, rgb, 0, NULL));
    *width = image.width;
    *height = image.height;
    return rgb;
}

static uint8_t *decode_png_file(const char *path, size_t *width, size_t *height)
{
    char *data;
    size_t n_bytes;
    ck_assert_int_eq(host_read_file(&data, &n_bytes, path, 1 << 24), VS_OK);
    uint8_t *rgb = decode_png((uint8_t *)data, n_bytes, width, height);
    free(data);
    return rgb;
}

static const struct host_metadata metadata = {"a title", "a prompt\nSeed: 7", "{\"seed\":\"7\"}"};

/* Freed by the caller. */
static uint8_t *picture(size_t width, size_t height, size_t frame)
{
    uint8_t *rgb = malloc(width * height * 3);
    check_gradient(rgb, width, height, frame);
    return rgb;
}

static void write_video(const struct host_sink_kind *kind, const char *path,
                        const struct vs_video_info *video, size_t n_frames)
{
    check_write_video(kind, path, video, &metadata, n_frames, check_gradient);
}

/* ---- PNG ---------------------------------------------------------------------------------- */

static const struct host_text texts[] = {{"parameters", "caf\xc3\xa9\nSeed: 7"},
                                         {"videossm", "{\"seed\":\"7\"}"}};

START_TEST(a_png_holds_its_pixels_and_texts)
{
    static const size_t sizes[][2] = {{1, 1}, {96, 64}, {17, 5}, {640, 3}};
    for (size_t i = 0; i < 4; i++) {
        size_t width = sizes[i][0], height = sizes[i][1], got_width, got_height;
        uint8_t *rgb = picture(width, height, i);
        struct host_bytes bytes = {0};
        ck_assert_int_eq(host_png_encode(&bytes, rgb, width, height, texts, 2), VS_OK);
        uint8_t *got = decode_png(bytes.data, bytes.n, &got_width, &got_height);
        ck_assert_uint_eq(got_width, width);
        ck_assert_uint_eq(got_height, height);
        ck_assert_mem_eq(got, rgb, width * height * 3);
        for (size_t j = 0; j < 2; j++) {
            char *value;
            ck_assert_int_eq(host_png_text(&value, bytes.data, bytes.n, texts[j].key, "x"), VS_OK);
            ck_assert_str_eq(value, texts[j].value);
            free(value);
        }
        free(got);
        free(rgb);
        free(bytes.data);
    }
}
END_TEST

START_TEST(equal_pictures_give_equal_bytes)
{
    struct host_bytes first = {0}, second = {0};
    uint8_t *rgb = picture(96, 64, 3), *other = picture(320, 200, 9);
    ck_assert_int_eq(host_png_encode(&first, rgb, 96, 64, texts, 2), VS_OK);
    /* What the buffer held before makes no difference. */
    ck_assert_int_eq(host_png_encode(&second, other, 320, 200, texts, 1), VS_OK);
    ck_assert_int_eq(host_png_encode(&second, rgb, 96, 64, texts, 2), VS_OK);
    ck_assert_uint_eq(first.n, second.n);
    ck_assert_mem_eq(first.data, second.data, first.n);
    free(first.data);
    free(second.data);
    free(rgb);
    free(other);
}
END_TEST

START_TEST(a_damaged_png_never_crashes)
{
    struct host_bytes bytes = {0};
    uint8_t *rgb = picture(8, 8, 0);
    char *value;
    ck_assert_int_eq(host_png_encode(&bytes, rgb, 8, 8, texts, 2), VS_OK);
    for (size_t n = 0; n < bytes.n; n++) {
        enum vs_status status = host_png_text(&value, bytes.data, n, "videossm", "cut.png");
        ck_assert(status == VS_OK || status == VS_ERROR_USAGE);
        if (n < 33) /* before the end of the header */
            ck_assert_int_eq(status, VS_ERROR_USAGE);
        free(value);
    }
    for (size_t i = 0; i < bytes.n; i++) {
        bytes.data[i] ^= 0x40;
        enum vs_status status = host_png_text(&value, bytes.data, bytes.n, "videossm", "bent.png");
        ck_assert(status == VS_OK || status == VS_ERROR_USAGE);
        free(value);
        bytes.data[i] ^= 0x40;
    }
    free(rgb);
    free(bytes.data);
}
END_TEST

START_TEST(a_folder_is_made_with_those_above_it_and_may_exist)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 12};
    for (int round = 0; round < 2; round++)
        write_video(&host_sink_png, check_path("a/b/"), &video, 12);
    size_t width, height;
    uint8_t *got = decode_png_file(check_path("a/b/frame_000011.png"), &width, &height);
    uint8_t *want = picture(32, 16, 11);
    ck_assert(width == 32 && height == 16);
    ck_assert_mem_eq(got, want, 32 * 16 * 3);
    ck_assert(!exists(check_path("a/b/frame_000012.png")));
    free(got);
    free(want);
}
END_TEST

START_TEST(an_aborted_folder_is_removed_unless_it_was_there)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 12};
    void *state;
    ck_assert_int_eq(host_sink_png.open(&state, check_path("new"), &video, &metadata), VS_OK);
    ck_assert(exists(check_path("new")));
    host_sink_png.abort(state);
    ck_assert(!exists(check_path("new")));
    ck_assert_int_eq(mkdir(check_path("old"), 0777), 0);
    ck_assert_int_eq(host_sink_png.open(&state, check_path("old"), &video, &metadata), VS_OK);
    host_sink_png.abort(state);
    ck_assert(exists(check_path("old")));
}
END_TEST

/* ---- Contact sheet ------------------------------------------------------------------------ */

static const struct {
    size_t width, height, n_frames, n_written;
    size_t columns, rows, cell_width, cell_height;
} sheets[] = {
    {96, 64, 960, 960, 6, 5, 288, 192}, {96, 64, 9, 9, 5, 2, 288, 192},
    {96, 64, 1, 1, 1, 1, 288, 192},     {832, 480, 60, 60, 6, 5, 278, 160},
    {480, 832, 60, 60, 6, 5, 160, 278}, {96, 64, 960, 200, 6, 2, 288, 192},
    {16, 16, 40, 40, 6, 5, 288, 288},
};

START_TEST(a_sheet_shows_frames_from_first_to_last)
{
    enum { MARGIN = 12, LABEL = 24 };
    struct vs_video_info video = {.width = sheets[_i].width,
                                  .height = sheets[_i].height,
                                  .fps = 16,
                                  .n_frames = sheets[_i].n_frames};
    size_t width, height;
    write_video(&host_sink_sheet, check_path("s.png"), &video, sheets[_i].n_written);
    uint8_t *rgb = decode_png_file(check_path("s.png"), &width, &height);
    ck_assert_uint_eq(width, MARGIN + sheets[_i].columns * (sheets[_i].cell_width + MARGIN));
    ck_assert_uint_eq(height, MARGIN + sheets[_i].rows * (sheets[_i].cell_height + LABEL));
    /* Blue tells the frame: 0 in the first cell, that of the second sample in the second. */
    const uint8_t *first = rgb + (MARGIN * width + MARGIN) * 3;
    ck_assert_uint_eq(first[2], 0);
    if (sheets[_i].n_frames == 960) {
        const uint8_t *second = first + (sheets[_i].cell_width + MARGIN) * 3;
        ck_assert_uint_eq(second[2], (uint8_t)(33 * 8)); /* 959 / 29 = 33.07 */
    }
    free(rgb);
}
END_TEST

/* ---- y4m ---------------------------------------------------------------------------------- */

static double clamp_round_error(double exact, uint8_t got)
{
    return fabs(exact - got);
}

START_TEST(colours_are_those_of_bt601)
{
    enum { STEP = 5, SIDE = 255 / STEP + 1, N = SIDE * SIDE * SIDE };
    uint8_t *rgb = malloc((size_t)N * 3), *yuv = malloc((size_t)N * 3);
    for (size_t i = 0; i < N; i++) {
        rgb[3 * i] = (uint8_t)(i / (SIDE * SIDE) * STEP);
        rgb[3 * i + 1] = (uint8_t)(i / SIDE % SIDE * STEP);
        rgb[3 * i + 2] = (uint8_t)(i % SIDE * STEP);
    }
    host_y4m_convert(yuv, rgb, N);
    for (size_t i = 0; i < N; i++) {
        double r = rgb[3 * i] / 255.0, g = rgb[3 * i + 1] / 255.0, b = rgb[3 * i + 2] / 255.0;
        double y = 0.299 * r + 0.587 * g + 0.114 * b;
        ck_assert(clamp_round_error(16 + 219 * y, yuv[i]) < 0.51);
        ck_assert(clamp_round_error(128 + 224 * (b - y) / 1.772, yuv[N + i]) < 0.51);
        ck_assert(clamp_round_error(128 + 224 * (r - y) / 1.402, yuv[2 * N + i]) < 0.51);
        if (r == g && g == b)
            ck_assert(yuv[N + i] == 128 && yuv[2 * N + i] == 128);
    }
    free(rgb);
    free(yuv);
}
END_TEST

START_TEST(a_y4m_file_is_header_and_planes)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 24000.0 / 1001, .n_frames = 7};
    static const char header[] =
        "YUV4MPEG2 W32 H16 F24000:1001 Ip A1:1 C444 XCOLORRANGE=LIMITED\nFRAME\n";
    char *data;
    size_t n_bytes;
    write_video(&host_sink_y4m, check_path("v.y4m"), &video, 7);
    ck_assert_int_eq(host_read_file(&data, &n_bytes, check_path("v.y4m"), 1 << 20), VS_OK);
    ck_assert_uint_eq(n_bytes, sizeof header - 1 - 6 + 7 * (6 + 32 * 16 * 3));
    ck_assert_mem_eq(data, header, sizeof header - 1);
    uint8_t *rgb = picture(32, 16, 6), *yuv = malloc(32 * 16 * 3);
    host_y4m_convert(yuv, rgb, 32 * 16);
    ck_assert_mem_eq(data + n_bytes - 32 * 16 * 3, yuv, 32 * 16 * 3);
    free(rgb);
    free(yuv);
    free(data);
}
END_TEST

static const struct {
    double fps;
    int numerator, denominator;
} rates[] = {
    {16, 16, 1},
    {1, 1, 1},
    {24000.0 / 1001, 24000, 1001},
    {23.976, 24000, 1001},
    {29.97, 30000, 1001},
    {59.94, 60000, 1001},
    {12.5, 25, 2},
    {0.1, 1, 10},
    {0.01, 1, 100},
    {14.985, 15000, 1001},
    {7.3, 73, 10},
};

START_TEST(rates_become_fractions)
{
    int numerator, denominator;
    host_fps_fraction(rates[_i].fps, &numerator, &denominator);
    ck_assert_int_eq(numerator, rates[_i].numerator);
    ck_assert_int_eq(denominator, rates[_i].denominator);
}
END_TEST

START_TEST(every_rate_is_met_closely)
{
    for (int i = 1; i < 20000; i++) {
        int numerator, denominator;
        double fps = i * 0.04999 / 1.0007;
        host_fps_fraction(fps, &numerator, &denominator);
        ck_assert(numerator > 0 && denominator > 0);
        ck_assert_msg(fabs((double)numerator / denominator - fps) < 3e-6 * fps, "%.17g", fps);
    }
}
END_TEST

/* ---- mp4 ---------------------------------------------------------------------------------- */

#ifdef HAVE_FFMPEG
START_TEST(an_mp4_keeps_its_comment_and_is_the_same_twice)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 20};
    char *first, *second, *comment;
    size_t n_first, n_second;
    write_video(&host_sink_mp4, check_path("a.mp4"), &video, 20);
    write_video(&host_sink_mp4, check_path("b.mp4"), &video, 20);
    ck_assert_uint_eq(count_files(), 2);
    ck_assert_int_eq(host_read_file(&first, &n_first, check_path("a.mp4"), 1 << 24), VS_OK);
    ck_assert_int_eq(host_read_file(&second, &n_second, check_path("b.mp4"), 1 << 24), VS_OK);
    ck_assert_uint_eq(n_first, n_second);
    ck_assert_mem_eq(first, second, n_first);
    ck_assert_ptr_null(memmem(first, n_first, "x264", 4));
    ck_assert_ptr_null(memmem(first, n_first, "Lavf", 4));
    ck_assert_int_eq(host_mp4_comment(&comment, check_path("a.mp4")), VS_OK);
    ck_assert_str_eq(comment, metadata.json);
    free(comment);
    free(first);
    free(second);
}
END_TEST

START_TEST(a_long_comment_comes_back_whole)
{
    enum { N = 100000 };
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 1};
    char *json = malloc(N + 1), *comment;
    memset(json, 'j', N);
    json[N] = '\0';
    struct host_metadata large = {"title", "parameters", json};
    void *state;
    uint8_t *rgb = picture(32, 16, 0);
    ck_assert_int_eq(host_sink_mp4.open(&state, check_path("a.mp4"), &video, &large), VS_OK);
    ck_assert_int_eq(host_sink_mp4.write(state, 0, 1, rgb), VS_OK);
    ck_assert_int_eq(host_sink_mp4.close(state), VS_OK);
    ck_assert_int_eq(host_mp4_comment(&comment, check_path("a.mp4")), VS_OK);
    ck_assert_str_eq(comment, json);
    free(comment);
    free(json);
    free(rgb);
}
END_TEST

START_TEST(odd_sides_are_written)
{
    struct vs_video_info video = {.width = 33, .height = 17, .fps = 12.5, .n_frames = 3};
    write_video(&host_sink_mp4, check_path("odd.mp4"), &video, 3);
    ck_assert(exists(check_path("odd.mp4")));
}
END_TEST

START_TEST(an_aborted_mp4_leaves_nothing)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 20};
    void *state;
    ck_assert_int_eq(host_sink_mp4.open(&state, check_path("a.mp4"), &video, &metadata), VS_OK);
    ck_assert(!exists(check_path("a.mp4")));
    host_sink_mp4.abort(state);
    ck_assert_uint_eq(count_files(), 0);
    char *comment;
    FILE *file = fopen(check_path("no.mp4"), "w");
    fputs("this is no film", file);
    fclose(file);
    ck_assert_int_eq(host_mp4_comment(&comment, check_path("no.mp4")), VS_ERROR_USAGE);
}
END_TEST
#endif

/* ---- Names and drafts --------------------------------------------------------------------- */

START_TEST(the_name_tells_the_kind)
{
    static const struct {
        const char *name;
        const struct host_sink_kind *kind;
    } names[] = {
        {"out", &host_sink_png},    {"out/", &host_sink_png},    {"a.b/c", &host_sink_png},
        {"x.png/", &host_sink_png}, {"x.png", &host_sink_sheet}, {"X.PNG", &host_sink_sheet},
        {"x.y4m", &host_sink_y4m},  {"-", &host_sink_y4m},       {".png", &host_sink_png},
        {"v1.0", &host_sink_png},
    };
    const struct host_sink_kind *kind;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_int_eq(host_sink_recognise(&kind, names[i].name), VS_OK);
        ck_assert_msg(kind == names[i].kind, "%s", names[i].name);
    }
    ck_assert_int_eq(host_sink_recognise(&kind, "x.avi"), VS_ERROR_USAGE);
    ck_assert_int_eq(host_sink_recognise(&kind, ""), VS_ERROR_USAGE);
#ifdef HAVE_FFMPEG
    ck_assert_int_eq(host_sink_recognise(&kind, "x.mp4"), VS_OK);
    ck_assert_ptr_eq(kind, &host_sink_mp4);
#else
    ck_assert_int_eq(host_sink_recognise(&kind, "x.mp4"), VS_ERROR_USAGE);
#endif
    ck_assert_int_eq(mkdir(check_path("f.mp4"), 0777), 0);
    ck_assert_int_eq(host_sink_recognise(&kind, check_path("f.mp4")), VS_OK);
    ck_assert_ptr_eq(kind, &host_sink_png);
}
END_TEST

START_TEST(a_draft_takes_its_name_when_it_is_complete)
{
    struct host_draft draft;
    const char *path = check_path("file");
    ck_assert_int_eq(host_draft_open(&draft, path), VS_OK);
    ck_assert_int_eq(host_draft_write(&draft, "abc", 3), VS_OK);
    ck_assert(!exists(path));
    ck_assert_int_eq(host_draft_commit(&draft), VS_OK);
    ck_assert(exists(path));
    ck_assert_uint_eq(count_files(), 1);
    host_draft_discard(&draft);
    ck_assert(exists(path));
}
END_TEST

START_TEST(a_discarded_draft_leaves_what_was_there)
{
    struct host_draft draft;
    char *text;
    FILE *file = fopen(check_path("file"), "w");
    fputs("old", file);
    fclose(file);
    ck_assert_int_eq(symlink("file", check_path("link")), 0);
    ck_assert_int_eq(host_draft_open(&draft, check_path("link")), VS_OK);
    ck_assert_int_eq(host_draft_write(&draft, "new", 3), VS_OK);
    host_draft_discard(&draft);
    ck_assert_int_eq(host_read_file(&text, NULL, check_path("file"), 100), VS_OK);
    ck_assert_str_eq(text, "old");
    free(text);
    /* Committed through the link, the file changes and the link stays. */
    ck_assert_int_eq(host_draft_open(&draft, check_path("link")), VS_OK);
    ck_assert_int_eq(host_draft_write(&draft, "new", 3), VS_OK);
    ck_assert_int_eq(host_draft_commit(&draft), VS_OK);
    ck_assert_int_eq(host_read_file(&text, NULL, check_path("file"), 100), VS_OK);
    ck_assert_str_eq(text, "new");
    free(text);
    struct stat about;
    ck_assert_int_eq(lstat(check_path("link"), &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
    ck_assert_uint_eq(count_files(), 2);
}
END_TEST

START_TEST(one_failing_output_leaves_the_others)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 5};
    struct host_list paths = {0};
    struct host_sinks *sinks;
    char full[256], good[256];
    bool closed = false;
    snprintf(full, sizeof full, "%s", check_path("full.y4m"));
    snprintf(good, sizeof good, "%s", check_path("good.y4m"));
    if (symlink("/dev/full", full) != 0 || access("/dev/full", W_OK) != 0) {
        fputs("check_sinks: there is no /dev/full, one test does less\n", stderr);
        return;
    }
    ck_assert_int_eq(host_list_add(&paths, full), VS_OK);
    ck_assert_int_eq(host_list_add(&paths, good), VS_OK);
    ck_assert_int_eq(host_sinks_open(&sinks, &paths, &video, &metadata), VS_OK);
    uint8_t *rgb = picture(32, 16, 0);
    ck_assert_int_eq(host_sinks_write(sinks, 0, 1, rgb, &closed), VS_ERROR_RUNTIME);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "full.y4m"));
    ck_assert(!closed);
    ck_assert_int_eq(host_sinks_close(sinks), VS_OK);
    struct stat about;
    ck_assert_int_eq(stat(good, &about), 0);
    ck_assert_int_gt(about.st_size, 32 * 16 * 3);
    free(rgb);
    free(paths.items);
}
END_TEST

/* What the thread writes is what was handed over, although the caller's frames change at once. */
START_TEST(the_writer_copies_and_keeps_the_order)
{
    struct vs_video_info video = {
        .width = 32, .height = 16, .fps = 16, .n_frames = 24, .chunk_frames = 12};
    struct host_list paths = {0};
    struct host_sinks *sinks;
    struct host_writer *writer;
    uint8_t rgb[12 * 32 * 16 * 3];
    ck_assert_int_eq(host_list_add(&paths, check_folder()), VS_OK);
    ck_assert_int_eq(host_sinks_open(&sinks, &paths, &video, &metadata), VS_OK);
    ck_assert_int_eq(host_writer_create(&writer, sinks, &video), VS_OK);
    for (size_t i = 0; i < 24; i += 12) {
        for (size_t j = 0; j < 12; j++) {
            uint8_t *frame = picture(32, 16, i + j);
            memcpy(rgb + j * 32 * 16 * 3, frame, 32 * 16 * 3);
            free(frame);
        }
        ck_assert_int_eq(host_writer_put(writer, i, 12, rgb), VS_OK);
        memset(rgb, 255, sizeof rgb);
    }
    ck_assert_int_eq(host_writer_end(writer, NULL), VS_OK);
    ck_assert_int_eq(host_sinks_close(sinks), VS_OK);
    ck_assert_uint_eq(count_files(), 24);
    for (size_t i = 0; i < 24; i++) {
        char name[32];
        size_t width, height;
        snprintf(name, sizeof name, "frame_%06zu.png", i);
        uint8_t *got = decode_png_file(check_path(name), &width, &height);
        uint8_t *want = picture(32, 16, i);
        ck_assert_mem_eq(got, want, 32 * 16 * 3);
        free(got);
        free(want);
    }
    free(paths.items);
}
END_TEST

START_TEST(the_writer_tells_a_fault_once)
{
    struct vs_video_info video = {
        .width = 32, .height = 16, .fps = 16, .n_frames = 3, .chunk_frames = 1};
    struct host_list paths = {0};
    struct host_sinks *sinks;
    struct host_writer *writer;
    char full[256];
    snprintf(full, sizeof full, "%s", check_path("full.y4m"));
    if (symlink("/dev/full", full) != 0 || access("/dev/full", W_OK) != 0) {
        fputs("check_sinks: there is no /dev/full, one test does less\n", stderr);
        return;
    }
    ck_assert_int_eq(host_list_add(&paths, full), VS_OK);
    ck_assert_int_eq(host_sinks_open(&sinks, &paths, &video, &metadata), VS_OK);
    ck_assert_int_eq(host_writer_create(&writer, sinks, &video), VS_OK);
    uint8_t *rgb = picture(32, 16, 0);
    ck_assert_int_eq(host_writer_put(writer, 0, 1, rgb), VS_OK);
    ck_assert_int_eq(host_writer_put(writer, 1, 1, rgb), VS_ERROR_RUNTIME);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "full.y4m"));
    ck_assert_int_eq(host_writer_put(writer, 2, 1, rgb), VS_OK);
    ck_assert_int_eq(host_writer_end(writer, NULL), VS_OK);
    host_sinks_abort(sinks);

    /* A fault of the last frames is told at the end. */
    ck_assert_int_eq(host_sinks_open(&sinks, &paths, &video, &metadata), VS_OK);
    ck_assert_int_eq(host_writer_create(&writer, sinks, &video), VS_OK);
    ck_assert_int_eq(host_writer_put(writer, 0, 1, rgb), VS_OK);
    ck_assert_int_eq(host_writer_end(writer, NULL), VS_ERROR_RUNTIME);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "full.y4m"));
    host_sinks_abort(sinks);
    free(rgb);
    free(paths.items);
}
END_TEST

/* Random pixels, which no format makes small. */
static uint8_t *noise(size_t n_bytes)
{
    uint8_t *rgb = malloc(n_bytes);
    uint32_t state = 1;
    for (size_t i = 0; i < n_bytes; i++) {
        state = state * 1664525u + 1013904223u;
        rgb[i] = (uint8_t)(state >> 24);
    }
    return rgb;
}

START_TEST(a_file_that_grows_too_large_leaves_no_part_of_it)
{
    enum { WIDTH = 256, HEIGHT = 256, LIMIT = 20000 };
    static const struct host_sink_kind *const kinds[] = {&host_sink_png, &host_sink_sheet,
                                                         &host_sink_y4m,
#ifdef HAVE_FFMPEG
                                                         &host_sink_mp4
#endif
    };
    struct vs_video_info video = {.width = WIDTH, .height = HEIGHT, .fps = 16, .n_frames = 8};
    struct rlimit limit = {LIMIT, LIMIT};
    void *state;
    uint8_t *rgb = noise((size_t)8 * WIDTH * HEIGHT * 3);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        ck_assert_int_eq(kinds[i]->open(&state, check_path("large"), &video, &metadata), VS_OK);
        enum vs_status status = kinds[i]->write(state, 0, 8, rgb);
        if (status == VS_OK)
            status = kinds[i]->close(state);
        else
            kinds[i]->abort(state);
        ck_assert_int_eq(status, VS_ERROR_RUNTIME);
        ck_assert_ptr_nonnull(strstr(vs_error_message(), "large"));
        ck_assert_uint_eq(count_files(), 0);
    }
    free(rgb);
}
END_TEST

START_TEST(outputs_that_cannot_all_be_made_leave_none)
{
    struct vs_video_info video = {.width = 32, .height = 16, .fps = 16, .n_frames = 5};
    struct host_list paths = {0};
    struct host_sinks *sinks;
    ck_assert_int_eq(host_list_add(&paths, check_path("frames")), VS_OK);
    ck_assert_int_eq(host_list_add(&paths, check_path("good.y4m")), VS_OK);
    ck_assert_int_eq(host_list_add(&paths, check_path("nowhere/bad.y4m")), VS_OK);
    ck_assert_int_eq(host_sinks_open(&sinks, &paths, &video, &metadata), VS_ERROR_RUNTIME);
    ck_assert_uint_eq(count_files(), 0);
    free(paths.items);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sinks");
    TCase *all = tcase_create("outputs");
    tcase_add_checked_fixture(all, check_make_folder, check_remove_folder);
    tcase_set_timeout(all, 120);
    tcase_add_test(all, a_png_holds_its_pixels_and_texts);
    tcase_add_test(all, equal_pictures_give_equal_bytes);
    tcase_add_test(all, a_damaged_png_never_crashes);
    tcase_add_test(all, a_folder_is_made_with_those_above_it_and_may_exist);
    tcase_add_test(all, an_aborted_folder_is_removed_unless_it_was_there);
    tcase_add_loop_test(all, a_sheet_shows_frames_from_first_to_last, 0,
                        sizeof sheets / sizeof *sheets);
    tcase_add_test(all, colours_are_those_of_bt601);
    tcase_add_test(all, a_y4m_file_is_header_and_planes);
    tcase_add_loop_test(all, rates_become_fractions, 0, sizeof rates / sizeof *rates);
    tcase_add_test(all, every_rate_is_met_closely);
#ifdef HAVE_FFMPEG
    tcase_add_test(all, an_mp4_keeps_its_comment_and_is_the_same_twice);
    tcase_add_test(all, a_long_comment_comes_back_whole);
    tcase_add_test(all, odd_sides_are_written);
    tcase_add_test(all, an_aborted_mp4_leaves_nothing);
#endif
    tcase_add_test(all, the_name_tells_the_kind);
    tcase_add_test(all, a_draft_takes_its_name_when_it_is_complete);
    tcase_add_test(all, a_discarded_draft_leaves_what_was_there);
    tcase_add_test(all, one_failing_output_leaves_the_others);
    tcase_add_test(all, the_writer_copies_and_keeps_the_order);
    tcase_add_test(all, the_writer_tells_a_fault_once);
    tcase_add_test(all, a_file_that_grows_too_large_leaves_no_part_of_it);
    tcase_add_test(all, outputs_that_cannot_all_be_made_leave_none);
    suite_add_tcase(suite, all);
    return check_run_suite(suite);
}
