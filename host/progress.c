/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - a live line, plain lines or JSON lines on standard error.
 *
 * Plain lines are for logs: one a chunk, but not more than some tens in all. */
#include "config.h"

#include "host/progress.h"

#include <jansson.h>
#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/signals.h"

enum { DEFAULT_WIDTH = 80, MAX_WIDTH = 160, LINE_BYTES = 1024, PLAIN_LINES = 40 };

static const double live_interval = 0.1, json_interval = 0.5;
/* Decoding's share of a chunk's time until a run knows better. */
static const double decode_share = 0.3;

struct host_progress {
    enum host_progress_mode mode;
    bool live, colour;
    enum host_bar bar;
    bool line_shown; /* a live line stands on the terminal */
    bool interruption_told;
    struct host_progress_state state;
    double begin, work_begin; /* clock: of the run, of the first chunk; work_begin 0: not yet */
    double shown;             /* clock of the last line */
    double fraction_before;   /* done before work_begin, by an earlier process */
    size_t n_frames_before;
    size_t next_plain_chunk;
    int stage_told; /* last stage before the first chunk that was named; -1: none */
    uint64_t bytes_done, n_bytes; /* of work that is no video; n_bytes 0: it is a video */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- The line ----------------------------------------------------------------------------- */

static void format_time(char *text, size_t text_bytes, double seconds)
{
    unsigned long s = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(text, text_bytes, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, text_bytes, "%lu:%02lu", s / 60, s % 60);
}

static void format_bar(char *bar, size_t bar_bytes, double fraction, size_t columns,
                       enum host_bar style, bool colour)
{
    bool utf8 = style == HOST_BAR_BLOCKS;
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    size_t filled = (size_t)(fraction * (double)columns * 8 + 0.5), n = 0;
    filled = filled > columns * 8 ? columns * 8 : filled;
    n += (size_t)snprintf(bar, bar_bytes, "%s%s", utf8 ? "" : "[", colour ? "\033[36m" : "");
    for (size_t i = 0; i < columns && n < bar_bytes; i++) {
        size_t eighth = filled > i * 8 ? filled - i * 8 : 0;
        const char *cell = utf8 ? (eighth >= 8 ? "█" : eighths[eighth]) : eighth >= 4 ? "#" : ".";
        n += (size_t)snprintf(bar + n, bar_bytes - n, "%s", cell);
    }
    if (n < bar_bytes)
        snprintf(bar + n, bar_bytes - n, "%s%s", colour ? "\033[0m" : "", utf8 ? "▏" : "]");
}

void host_progress_line(char *line, size_t line_bytes, const struct host_progress_state *state,
                        size_t width, enum host_bar style, bool colour)
{
    enum { N_PARTS = 6, PART_BYTES = 64, MIN_BAR = 6, MAX_BAR = 30 };
    /* In the order they are given up on narrow terminals: the last first. */
    static const int rank[N_PARTS] = {0, 2, 3, 4, 5, 1};
    char parts[N_PARTS][PART_BYTES], elapsed[24], left[24], bar[512] = "";
    format_time(elapsed, sizeof elapsed, state->elapsed);
    format_time(left, sizeof left, state->left);
    size_t chunk = state->chunk + 1 < state->n_chunks ? state->chunk + 1 : state->n_chunks;
    snprintf(parts[0], PART_BYTES, "chunk %zu/%zu", chunk, state->n_chunks);
    snprintf(parts[1], PART_BYTES, "%zu/%zu frames", state->n_frames_done, state->n_frames);
    snprintf(parts[2], PART_BYTES, "%.1f/%.1f s", (double)state->n_frames_done / state->fps,
             (double)state->n_frames / state->fps);
    snprintf(parts[3], PART_BYTES, "%.2f frames/s", state->rate);
    snprintf(parts[4], PART_BYTES, "%s elapsed", elapsed);
    snprintf(parts[5], PART_BYTES, "%s left", left);
    if (!(state->rate > 0))
        parts[3][0] = '\0';
    if (!(state->left >= 0))
        parts[5][0] = '\0';
    int keep = N_PARTS;
    size_t columns;
    do {
        columns = 0;
        for (int i = 0; i < N_PARTS; i++)
            columns += rank[i] < keep && *parts[i] ? strlen(parts[i]) + 2 : 0;
    } while (columns > width + 2 && --keep > 1);
    /* Two brackets, or one edge and a blank, stand around the bar. */
    size_t bar_columns = width > columns + 2 ? width - columns - 2 : 0;
    bar_columns = bar_columns > MAX_BAR ? MAX_BAR : bar_columns;
    if (style != HOST_BAR_NONE && bar_columns >= MIN_BAR)
        format_bar(bar, sizeof bar, state->fraction, bar_columns, style, colour);
    size_t n = 0;
    line[0] = '\0';
    for (int i = 0; i < N_PARTS && n < line_bytes; i++) {
        if (rank[i] >= keep || !*parts[i])
            continue;
        n += (size_t)snprintf(line + n, line_bytes - n, "%s%s", n ? "  " : "", parts[i]);
        if (i == 0 && *bar && n < line_bytes)
            n += (size_t)snprintf(line + n, line_bytes - n, "  %s", bar);
    }
    /* Narrower than the shortest form: cut, so that the terminal never wraps the line. */
    if (keep == 1 && !*bar && strlen(line) > width)
        line[width] = '\0';
}

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
        return DEFAULT_WIDTH;
    size_t width = (size_t)size.ws_col - 1; /* the last column makes some terminals wrap */
    return width < MAX_WIDTH ? width : MAX_WIDTH;
}

static void clear_line(struct host_progress *progress)
{
    if (progress->line_shown)
        fputs("\r\033[K", stderr);
    progress->line_shown = false;
}

static void draw_line(struct host_progress *progress)
{
    char line[LINE_BYTES];
    host_progress_line(line, sizeof line, &progress->state, terminal_width(), progress->bar,
                       progress->colour);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    progress->line_shown = true;
}

/* ---- For programs ------------------------------------------------------------------------- */

static double milli(double x)
{
    return floor(x * 1000 + 0.5) / 1000;
}

/* Prints an object as one line and frees it; "event" stands in every one. */
static void print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
    if (text)
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
    free(text);
    json_decref(object);
}

static void print_json_state(const struct host_progress *progress, const char *event,
                             const char *stage)
{
    const struct host_progress_state *state = &progress->state;
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "event", event, "chunk",
                  (json_int_t)state->chunk, "chunks", (json_int_t)state->n_chunks, "frames_done",
                  (json_int_t)state->n_frames_done, "frames", (json_int_t)state->n_frames,
                  "seconds_done", milli((double)state->n_frames_done / state->fps), "fraction",
                  milli(state->fraction), "elapsed", milli(state->elapsed));
    if (stage)
        json_object_set_new(object, "stage", json_string(stage));
    if (state->rate > 0)
        json_object_set_new(object, "frames_per_second", json_real(milli(state->rate)));
    if (state->left >= 0)
        json_object_set_new(object, "left", json_real(milli(state->left)));
    print_json(object);
}

/* ---- Events ------------------------------------------------------------------------------- */

static const char *stage_word(enum vs_stage stage)
{
    static const char *const words[] = {"load", "encode", "denoise", "decode", "frames"};
    return words[stage];
}

static const char *stage_text(enum vs_stage stage)
{
    static const char *const texts[] = {"loading the model", "reading the prompt", "denoising",
                                        "decoding", "encoding the frames"};
    return texts[stage];
}

enum vs_status host_progress_create(struct host_progress **progress, enum host_progress_mode mode)
{
    struct host_progress *made = vs_alloc(1, sizeof *made);
    if (!made)
        return VS_ERROR_MEMORY;
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    made->mode = mode;
    made->live = mode == HOST_PROGRESS_AUTO && terminal;
    made->colour = made->live && !(no_color && *no_color);
    made->bar = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? HOST_BAR_BLOCKS : HOST_BAR_ASCII;
    made->begin = now();
    made->state.left = -1;
    made->stage_told = -1;
    *progress = made;
    return VS_OK;
}

void host_progress_begin(struct host_progress *progress, const struct vs_video_info *video,
                         uint64_t seed, bool seed_drawn, const char *device)
{
    struct host_progress_state *state = &progress->state;
    state->n_chunks = video->n_chunks;
    state->n_frames = video->n_frames;
    state->fps = video->fps;
    if (progress->mode == HOST_PROGRESS_NONE)
        return;
    double seconds = (double)video->n_frames / video->fps;
    if (progress->mode == HOST_PROGRESS_JSON) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
        print_json(json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:f, s:s, s:s}", "event", "begin",
                             "width", (json_int_t)video->width, "height", (json_int_t)video->height,
                             "fps", video->fps, "frames", (json_int_t)video->n_frames, "chunks",
                             (json_int_t)video->n_chunks, "seconds", seconds, "seed", text,
                             "device", device));
        return;
    }
    fprintf(stderr, "device  %s\n", device);
    fprintf(stderr, "video   %zux%zu, %g frames/s, %zu frames (%.2f s) in %zu chunk%s\n",
            video->width, video->height, video->fps, video->n_frames, seconds, video->n_chunks,
            video->n_chunks == 1 ? "" : "s");
    fprintf(stderr, "seed    %llu%s\n", (unsigned long long)seed,
            seed_drawn ? " (drawn at random; give it with --seed to make this video again)" : "");
}

void host_progress_start(struct host_progress *progress, size_t n_chunks_done,
                         size_t n_frames_done)
{
    struct host_progress_state *state = &progress->state;
    progress->work_begin = now();
    progress->n_frames_before = state->n_frames_done = n_frames_done;
    progress->fraction_before = state->fraction =
        (double)n_chunks_done / (double)(state->n_chunks ? state->n_chunks : 1);
}

/* Time left from the share of work done, counted from the first chunk's begin. */
static void reckon(struct host_progress *progress)
{
    struct host_progress_state *state = &progress->state;
    double working = progress->work_begin > 0 ? now() - progress->work_begin : 0;
    state->elapsed = now() - progress->begin;
    state->left = -1;
    double done = state->fraction - progress->fraction_before;
    if (done > 0.01 && working > 0)
        state->left = working * (1 - state->fraction) / done;
}

static void tell_interruption(struct host_progress *progress)
{
    bool in_chunk = progress->work_begin > 0; /* before that the run just ends */
    if (!host_signals_interrupted() || progress->interruption_told || !in_chunk)
        return;
    progress->interruption_told = true;
    host_progress_note(progress, "interrupted",
                       "interrupted: finishing this chunk; interrupt again to quit at once");
}

void host_progress_update(struct host_progress *progress, const struct vs_progress *work)
{
    struct host_progress_state *state = &progress->state;
    bool preparing = work->stage != VS_STAGE_DENOISE && work->stage != VS_STAGE_DECODE;
    if (progress->mode == HOST_PROGRESS_NONE)
        return;
    tell_interruption(progress);
    if (!preparing) {
        double part = work->total ? (double)work->done / (double)work->total : 0;
        double inside = work->stage == VS_STAGE_DENOISE ? part * (1 - decode_share)
                                                        : 1 - decode_share + part * decode_share;
        double fraction = ((double)work->chunk + (inside < 1 ? inside : 1)) /
                          (double)(state->n_chunks ? state->n_chunks : 1);
        state->chunk = work->chunk;
        if (fraction > state->fraction)
            state->fraction = fraction < 1 ? fraction : 1;
    }
    bool new_stage = preparing && progress->stage_told != (int)work->stage;
    double interval = progress->live ? live_interval : json_interval;
    if (!new_stage && now() - progress->shown < interval)
        return;
    reckon(progress);
    if (progress->mode == HOST_PROGRESS_JSON) {
        print_json_state(progress, "work", stage_word(work->stage));
    } else if (preparing && progress->live) {
        fprintf(stderr, "\r%s, %zu of %zu\033[K", stage_text(work->stage), work->done, work->total);
        fflush(stderr);
        progress->line_shown = true;
    } else if (new_stage) {
        fprintf(stderr, "%s\n", stage_text(work->stage));
    } else if (progress->live) {
        draw_line(progress);
    } else {
        return;
    }
    if (preparing)
        progress->stage_told = (int)work->stage;
    progress->shown = now();
}

void host_progress_chunk(struct host_progress *progress, size_t chunk, size_t n_frames_done)
{
    struct host_progress_state *state = &progress->state;
    bool last = chunk + 1 >= state->n_chunks;
    state->n_frames_done = n_frames_done;
    state->chunk = chunk;
    double fraction = (double)(chunk + 1) / (double)(state->n_chunks ? state->n_chunks : 1);
    state->fraction = fraction < 1 ? fraction : 1;
    if (progress->mode == HOST_PROGRESS_NONE)
        return;
    tell_interruption(progress);
    reckon(progress);
    /* Only here: between two chunks the number of frames stands still while time goes on. */
    if (progress->work_begin > 0 && now() > progress->work_begin)
        state->rate = (double)(n_frames_done - progress->n_frames_before) /
                      (now() - progress->work_begin);
    if (progress->mode == HOST_PROGRESS_JSON) {
        print_json_state(progress, "chunk", NULL);
    } else if (progress->live) {
        draw_line(progress);
    } else if (last || chunk >= progress->next_plain_chunk) {
        char line[LINE_BYTES];
        host_progress_line(line, sizeof line, state, MAX_WIDTH, HOST_BAR_NONE, false);
        fprintf(stderr, "%s\n", line);
        progress->next_plain_chunk = chunk + (state->n_chunks + PLAIN_LINES - 1) / PLAIN_LINES;
    }
    progress->shown = now();
}

void host_progress_bytes(struct host_progress *progress, uint64_t done, uint64_t total)
{
    enum { BAR_COLUMNS = 30 };
    struct host_progress_state *state = &progress->state;
    double interval = progress->live ? live_interval : json_interval;
    progress->bytes_done = done;
    progress->n_bytes = total;
    if (progress->mode == HOST_PROGRESS_NONE || now() - progress->shown < interval)
        return;
    if (progress->work_begin == 0)
        host_progress_start(progress, 0, 0);
    state->fraction = total ? (double)done / (double)total : 1;
    reckon(progress);
    progress->shown = now();
    if (progress->mode == HOST_PROGRESS_JSON) {
        print_json(json_pack("{s:s, s:I, s:I, s:f, s:f}", "event", "work", "bytes_done",
                             (json_int_t)done, "bytes", (json_int_t)total, "fraction",
                             milli(state->fraction), "elapsed", milli(state->elapsed)));
    } else if (progress->live) {
        char bar[512], left[24];
        format_bar(bar, sizeof bar, state->fraction, BAR_COLUMNS, progress->bar,
                   progress->colour);
        format_time(left, sizeof left, state->left);
        fprintf(stderr, "\r%s  %.0f/%.0f MiB", bar, (double)done / 0x1p20, (double)total / 0x1p20);
        fprintf(stderr, state->left >= 0 ? "  %s left\033[K" : "\033[K", left);
        fflush(stderr);
        progress->line_shown = true;
    }
}

void host_progress_note(struct host_progress *progress, const char *kind, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (progress->mode == HOST_PROGRESS_NONE)
        return;
    if (progress->mode == HOST_PROGRESS_JSON) {
        print_json(json_pack("{s:s, s:s}", "event", kind, "message", text));
        return;
    }
    clear_line(progress);
    fprintf(stderr, "%s\n", text);
}

void host_progress_record(struct host_progress *progress, const char *text, const char *json)
{
    if (progress->mode != HOST_PROGRESS_JSON && progress->line_shown)
        fputc('\n', stderr);
    progress->line_shown = false;
    fprintf(stderr, "%s\n", progress->mode == HOST_PROGRESS_JSON ? json : text);
    fflush(stderr);
}

bool host_progress_end(struct host_progress *progress, enum vs_status status, const char *message,
                       const char *const *paths, size_t n_paths)
{
    const struct host_progress_state *state = &progress->state;
    reckon(progress);
    if (progress->mode == HOST_PROGRESS_JSON) {
        json_t *list = json_array();
        for (size_t i = 0; i < n_paths; i++)
            json_array_append_new(list, json_string(paths[i]));
        bool bytes = progress->n_bytes > 0;
        uint64_t done = bytes ? progress->bytes_done : state->n_frames_done;
        json_t *object = json_pack("{s:s, s:i, s:I, s:f, s:o}", "event", "end", "status",
                                   (int)status, bytes ? "bytes_done" : "frames_done",
                                   (json_int_t)done, "elapsed", milli(state->elapsed), "outputs",
                                   list);
        if (message)
            json_object_set_new(object, "message", json_string(message));
        print_json(object);
        return true;
    }
    if (progress->line_shown)
        fputc('\n', stderr);
    progress->line_shown = false;
    if (progress->mode == HOST_PROGRESS_NONE || state->n_frames_done == 0)
        return false;
    char elapsed[24];
    format_time(elapsed, sizeof elapsed, state->elapsed);
    fprintf(stderr, "%s %zu frames (%.2f s of video) in %s\n",
            status == VS_OK ? "made" : "stopped after", state->n_frames_done,
            (double)state->n_frames_done / state->fps, elapsed);
    for (size_t i = 0; i < n_paths; i++)
        fprintf(stderr, "        %s\n", paths[i]);
    return false;
}

void host_progress_free(struct host_progress *progress)
{
    free(progress);
}
