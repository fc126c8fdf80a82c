/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_bands.c - which rows a band has in each block, what waits for the next, and the steps.
 *
 * Rows are numbered within the frame at hand. `window` is what a convolution reads of a band: rows
 * that waited, then the band's own. Where a block doubles frames, both go on one after the other,
 * each with rows of its own that wait: a `lane`. */
#include "models/vae_bands.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "models/vae_steps.h"

/* Of a level: X holds a band's frame, with room in front for rows that waited. */
enum { X, A, B, N_SLOTS };
enum { N_WAITING = 3 }; /* X, A and B of a block, at most */

struct rows {
    size_t begin, end;
};

struct step {
    const struct vs_vae_block *block;
    size_t height, width; /* of whole frames that enter */
    size_t level, n_lanes;
    struct rows *in;                       /* [n_bands] */
    struct vs_vae_state *states;           /* [n_bands] */
    struct vs_buffer *waiting[N_WAITING];  /* [n_lanes, rows, width, channels] */
};

struct level {
    size_t slot_floats, headroom; /* rows in front of X */
    struct vs_buffer *slots[N_SLOTS];
};

struct vs_vae_bands {
    struct vs_context *context;
    struct step *steps;
    struct level *levels; /* as many as blocks, and one */
    size_t n_steps, n_bands;
    size_t out_height, out_width, out_channels;
};

/* ---- Rows --------------------------------------------------------------------------------- */

/* What a kernel three rows high makes of the rows up to `in`, beyond what it made before. */
static struct rows convolved(struct rows in, size_t height)
{
    return (struct rows){.begin = in.begin ? in.begin - 1 : 0,
                         .end = in.end == height ? height : in.end ? in.end - 1 : 0};
}

/* The same where it reads doubled rows. */
static struct rows doubled(struct rows in, size_t height)
{
    return (struct rows){.begin = in.begin ? 2 * in.begin - 1 : 0,
                         .end = in.end == height ? 2 * height : in.end ? 2 * in.end - 1 : 0};
}

static size_t count(struct rows rows)
{
    return rows.end - rows.begin;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The band's rows and the last `reach` before them. */
static struct rows window(struct rows in, size_t reach)
{
    return (struct rows){in.begin - smaller(in.begin, reach), in.end};
}

static struct rows leaving(const struct vs_vae_layout *layout, struct rows in, size_t height)
{
    if (layout->kind == VS_VAE_UP)
        return doubled(in, height);
    struct rows out = convolved(in, height);
    return layout->kind == VS_VAE_RES ? convolved(out, height) : out;
}

/* ---- Plan --------------------------------------------------------------------------------- */

bool vs_vae_bands_possible(const struct vs_vae_block *blocks, size_t n_blocks)
{
    if (n_blocks < 2 || blocks[0].layout.kind != VS_VAE_UP ||
        blocks[n_blocks - 1].layout.kind != VS_VAE_HEAD)
        return false;
    for (size_t i = 1; i + 1 < n_blocks; i++)
        if (blocks[i].layout.kind != VS_VAE_UP && blocks[i].layout.kind != VS_VAE_RES)
            return false;
    return true;
}

/* Cuts the frames that enter into bands of so many rows, and follows them through the blocks. */
static enum vs_status cut(struct vs_vae_bands *bands, size_t n_rows)
{
    size_t height = bands->steps[0].height;
    bands->n_bands = (height + n_rows - 1) / n_rows;
    for (size_t i = 0; i < bands->n_steps; i++) {
        struct step *step = &bands->steps[i];
        free(step->in);
        step->in = vs_alloc(bands->n_bands, sizeof *step->in);
        if (!step->in)
            return VS_ERROR_MEMORY;
        for (size_t k = 0; k < bands->n_bands; k++)
            step->in[k] = i ? leaving(&step[-1].block->layout, step[-1].in[k], step[-1].height)
                            : (struct rows){k * n_rows, smaller((k + 1) * n_rows, height)};
    }
    return VS_OK;
}

static void grow(size_t *size, size_t needed)
{
    if (*size < needed)
        *size = needed;
}

/* Rows of history that the convolutions of a block read in a band; 0: none. */
static void past_rows(size_t n_rows[VS_VAE_MAX_PAST], const struct step *step, size_t k)
{
    const struct vs_vae_layout *layout = &step->block->layout;
    struct rows in = step->in[k], first = convolved(in, step->height);
    n_rows[0] = n_rows[1] = 0;
    if (layout->kind == VS_VAE_UP)
        n_rows[0] = layout->time ? count(in) : 0;
    else if (count(first))
        n_rows[0] = count(window(in, 2));
    if (layout->kind == VS_VAE_RES && count(convolved(first, step->height)))
        n_rows[1] = count(window(first, 2));
}

/* Sets each level's need; returns the bytes of the largest buffer of history. */
static size_t measure(struct vs_vae_bands *bands)
{
    size_t largest = 0;
    for (size_t i = 0; i < bands->n_steps; i++)
        bands->levels[bands->steps[i].level] = (struct level){.headroom = 2};
    for (size_t i = 0; i < bands->n_steps; i++) /* rows of X move up by two in a block */
        if (bands->steps[i].block->layout.kind == VS_VAE_RES)
            bands->levels[bands->steps[i].level].headroom += 2;
    for (size_t i = 0; i < bands->n_steps; i++) {
        const struct step *step = &bands->steps[i];
        const struct vs_vae_layout *layout = &step->block->layout;
        struct level *level = &bands->levels[step->level];
        size_t wide = layout->n_in > layout->n_out || layout->kind != VS_VAE_RES ? layout->n_in
                                                                                 : layout->n_out;
        for (size_t k = 0; k < bands->n_bands; k++) {
            size_t n_past[VS_VAE_MAX_PAST], n = count(step->in[k]);
            size_t n_doubled = layout->time ? 2 * n : 0;
            grow(&level->slot_floats, (n + level->headroom > n_doubled ? n + level->headroom
                                                                       : n_doubled) *
                                          step->width * wide);
            past_rows(n_past, step, k);
            for (size_t c = 0; c < VS_VAE_MAX_PAST; c++)
                grow(&largest, VS_VAE_PAST * n_past[c] * step->width * sizeof(float) *
                                   (c ? layout->n_out : layout->n_in));
        }
    }
    return largest;
}

static bool is_small(struct vs_vae_bands *bands, const struct vs_vae_bands_options *options)
{
    size_t past_bytes = measure(bands), slot_floats = 0;
    for (size_t i = 0; i <= bands->steps[bands->n_steps - 1].level; i++)
        grow(&slot_floats, bands->levels[i].slot_floats);
    return past_bytes <= options->largest_bytes &&
           slot_floats <= options->budget_bytes / sizeof(float);
}

static enum vs_status plan(struct vs_vae_bands *bands, const struct vs_vae_bands_options *options)
{
    enum vs_status status = VS_OK;
    size_t height = options->height;
    for (size_t n = 1;; n += 1 + n / 4) {
        size_t n_rows = n < height ? (height + n - 1) / n : 1;
        VS_TRY(cut(bands, n_rows));
        if (is_small(bands, options) || n_rows == 1)
            break;
    }
fail:
    return status;
}

/* ---- Memory ------------------------------------------------------------------------------- */

static enum vs_status create_states(struct vs_vae_bands *bands, struct step *step)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_layout *layout = &step->block->layout;
    step->states = vs_alloc(bands->n_bands, sizeof *step->states);
    if (!step->states)
        return VS_ERROR_MEMORY;
    for (size_t k = 0; k < bands->n_bands; k++) {
        size_t n_past[VS_VAE_MAX_PAST];
        past_rows(n_past, step, k);
        for (size_t c = 0; c < VS_VAE_MAX_PAST; c++) {
            size_t frame = n_past[c] * step->width * (c ? layout->n_out : layout->n_in);
            step->states[k].past_frame[c] = frame;
            if (frame)
                VS_TRY(vs_floats_create(&step->states[k].past[c], bands->context, NULL,
                                        VS_VAE_PAST * frame));
        }
    }
fail:
    return status;
}

/* Floats that wait in a lane. */
static size_t waiting_floats(const struct step *step, size_t which)
{
    const struct vs_vae_layout *layout = &step->block->layout;
    size_t n_rows = layout->kind == VS_VAE_UP ? 1 : 2;
    bool used = layout->kind == VS_VAE_RES || which == A;
    return used ? n_rows * step->width * (which == B ? layout->n_out : layout->n_in) : 0;
}

static enum vs_status allocate(struct vs_vae_bands *bands)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < bands->n_steps; i++) {
        struct step *step = &bands->steps[i];
        VS_TRY(create_states(bands, step));
        for (size_t which = 0; which < N_WAITING; which++)
            if (waiting_floats(step, which))
                VS_TRY(vs_floats_create(&step->waiting[which], bands->context, NULL,
                                        step->n_lanes * waiting_floats(step, which)));
    }
    for (size_t i = 0; i <= bands->steps[bands->n_steps - 1].level; i++)
        for (size_t slot = i ? X : A; slot < N_SLOTS; slot++)
            VS_TRY(vs_floats_create(&bands->levels[i].slots[slot], bands->context, NULL,
                                    bands->levels[i].slot_floats));
fail:
    return status;
}

enum vs_status vs_vae_bands_create(struct vs_vae_bands **out, struct vs_context *context,
                                   const struct vs_vae_bands_options *options)
{
    enum vs_status status = VS_OK;
    size_t height = options->height, width = options->width, level = 0, n_lanes = 1;
    struct vs_vae_bands *bands = vs_alloc(1, sizeof *bands);
    *out = NULL;
    if (!bands)
        return VS_ERROR_MEMORY;
    bands->context = context;
    bands->n_steps = options->n_blocks;
    bands->steps = vs_alloc(bands->n_steps, sizeof *bands->steps);
    bands->levels = vs_alloc(bands->n_steps + 1, sizeof *bands->levels);
    if (!bands->steps || !bands->levels) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    for (size_t i = 0; i < bands->n_steps; i++) {
        const struct vs_vae_layout *layout = &options->blocks[i].layout;
        /* Rows that VS_VAE_UP keeps are of frames that were doubled already. */
        n_lanes *= layout->time ? 2 : 1;
        bands->steps[i] = (struct step){.block = &options->blocks[i],
                                        .height = height,
                                        .width = width,
                                        .level = level,
                                        .n_lanes = n_lanes};
        height = vs_vae_block_out_side(layout, height);
        width = vs_vae_block_out_side(layout, width);
        level += layout->kind == VS_VAE_UP;
    }
    bands->out_height = height;
    bands->out_width = width;
    bands->out_channels = options->blocks[bands->n_steps - 1].layout.n_out;
    VS_TRY(plan(bands, options));
    VS_TRY(allocate(bands));
    *out = bands;
    return VS_OK;
fail:
    vs_vae_bands_free(bands);
    return status;
}

void vs_vae_bands_free(struct vs_vae_bands *bands)
{
    if (!bands)
        return;
    for (size_t i = 0; bands->steps && i < bands->n_steps; i++) {
        struct step *step = &bands->steps[i];
        for (size_t k = 0; step->states && k < bands->n_bands; k++)
            vs_vae_state_free(&step->states[k]);
        for (size_t which = 0; which < N_WAITING; which++)
            vs_buffer_free(step->waiting[which]);
        free(step->in);
        free(step->states);
    }
    for (size_t i = 0; bands->levels && i <= bands->n_steps; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            vs_buffer_free(bands->levels[i].slots[slot]);
    free(bands->steps);
    free(bands->levels);
    free(bands);
}

size_t vs_vae_bands_count(const struct vs_vae_bands *bands)
{
    return bands->n_bands;
}

void vs_vae_bands_reset(struct vs_vae_bands *bands)
{
    for (size_t i = 0; i < bands->n_steps; i++)
        for (size_t k = 0; k < bands->n_bands; k++)
            vs_vae_state_reset(&bands->steps[i].states[k]);
}

/* Rows only wait within a frame, so there is nothing in them between two. */
enum vs_status vs_vae_bands_rest(struct vs_vae_bands *bands)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < bands->n_steps; i++)
        for (size_t k = 0; k < bands->n_bands; k++)
            VS_TRY(vs_vae_state_rest(&bands->steps[i].states[k]));
    for (size_t i = 0; i <= bands->n_steps; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            if (bands->levels[i].slots[slot])
                VS_TRY(vs_buffer_rest(bands->levels[i].slots[slot], false));
fail:
    return status;
}

enum vs_status vs_vae_bands_wake(struct vs_vae_bands *bands)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < bands->n_steps; i++)
        for (size_t k = 0; k < bands->n_bands; k++)
            VS_TRY(vs_vae_state_wake(&bands->steps[i].states[k]));
    for (size_t i = 0; i <= bands->n_steps; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            if (bands->levels[i].slots[slot])
                VS_TRY(vs_buffer_wake(bands->levels[i].slots[slot]));
fail:
    return status;
}

/* ---- Steps -------------------------------------------------------------------------------- */

/* One band on its way. */
struct at {
    struct vs_vae_bands *bands;
    size_t band;
    struct vs_span out;
    size_t n_out; /* frames so far */
};

static struct vs_span slot_of(const struct vs_vae_bands *bands, size_t level, size_t slot)
{
    return vs_span_of(bands->levels[level].slots[slot]);
}

/* Puts the rows that waited in front of the band's, which begin behind `room`, and has the last
 * rows of both wait for the next band. row: floats. */
static enum vs_status take_waiting(const struct step *step, size_t which, size_t lane,
                                   struct vs_span room, struct rows in, size_t row)
{
    struct vs_span place =
        vs_span_at(step->waiting[which], lane * waiting_floats(step, which));
    size_t reach = waiting_floats(step, which) / row;
    return vs_vae_copy(room, place, smaller(in.begin, reach) * row);
}

static enum vs_status leave_waiting(const struct step *step, size_t which, size_t lane,
                                    struct vs_span first, struct rows read, size_t row)
{
    struct vs_span place =
        vs_span_at(step->waiting[which], lane * waiting_floats(step, which));
    size_t n = smaller(read.end, waiting_floats(step, which) / row);
    if (read.end == step->height)
        return VS_OK;
    return vs_vae_copy(place, vs_advance(first, (count(read) - n) * row), n * row);
}

/* A kernel 3 x 3 x 3 over a window that begins at row read.begin, to the rows `made`. */
static enum vs_status conv_rows(const struct step *step, struct vs_vae_state *state, size_t which,
                                struct vs_span out, struct rows made, struct vs_span x,
                                struct rows read, struct vs_span residual)
{
    enum vs_status status = VS_OK;
    struct vs_conv conv = vs_vae_same_size(step->block, which, 1, count(read), step->width);
    conv.n_past = VS_VAE_PAST;
    if (state->begun)
        conv.past = vs_span_of(state->past[which]);
    conv.residual = residual;
    conv.pad_top = read.begin + 1 - made.begin;
    conv.out_height = count(made);
    conv.first_row = made.begin;
    VS_TRY(vs_conv_run(step->block->context, out, x, &conv));
    VS_TRY(vs_vae_remember(state, which, state->begun, x, 1));
fail:
    return status;
}

static const struct vs_span none;

static enum vs_status run_res(const struct at *at, const struct step *step, size_t lane,
                              struct vs_span *x)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_bands *bands = at->bands;
    const struct vs_vae_block *block = step->block;
    struct vs_vae_state *state = &step->states[at->band];
    size_t in_row = step->width * block->layout.n_in, out_row = step->width * block->layout.n_out;
    struct rows in = step->in[at->band], read = window(in, 2);
    struct rows made = convolved(in, step->height), read_again = window(made, 2);
    struct rows last = convolved(made, step->height);
    struct vs_span a = slot_of(bands, step->level, A), b = slot_of(bands, step->level, B);
    struct vs_span all = *x, own_a = vs_advance(a, (count(read) - count(in)) * in_row);
    struct vs_span own_b = vs_advance(b, (count(read_again) - count(made)) * out_row);
    all.offset -= (count(read) - count(in)) * in_row;

    VS_TRY(take_waiting(step, A, lane, a, in, in_row));
    VS_TRY(vs_vae_norm_silu(block, 0, own_a, *x, count(in) * step->width, block->layout.n_in));
    VS_TRY(leave_waiting(step, A, lane, a, read, in_row));
    VS_TRY(take_waiting(step, X, lane, all, in, in_row));
    VS_TRY(leave_waiting(step, X, lane, all, read, in_row));
    if (!count(made))
        return VS_OK;
    VS_TRY(take_waiting(step, B, lane, b, made, out_row));
    VS_TRY(conv_rows(step, state, VS_RES_FIRST, own_b, made, a, read, none));
    VS_TRY(vs_vae_norm_silu(block, 1, own_b, own_b, count(made) * step->width,
                            block->layout.n_out));
    VS_TRY(leave_waiting(step, B, lane, b, read_again, out_row));
    if (!count(last))
        return VS_OK;
    /* The rows that leave begin where the window on x does. */
    struct vs_span residual = all;
    *x = all;
    if (block->weight[VS_RES_SHORTCUT].buffer) {
        struct vs_conv shortcut =
            vs_vae_same_size(block, VS_RES_SHORTCUT, 1, count(last), step->width);
        VS_TRY(vs_conv_run(block->context, a, all, &shortcut));
        residual = a;
        *x = vs_advance(slot_of(bands, step->level, X),
                        bands->levels[step->level].headroom * out_row);
    }
    VS_TRY(conv_rows(step, state, VS_RES_SECOND, *x, last, b, read_again, residual));
fail:
    return status;
}

static enum vs_status run_head(struct at *at, const struct step *step, size_t lane,
                               struct vs_span x)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_bands *bands = at->bands;
    size_t row = step->width * step->block->layout.n_in;
    size_t out_row = bands->out_width * bands->out_channels;
    struct rows in = step->in[at->band], read = window(in, 2), made = convolved(in, step->height);
    struct vs_span a = slot_of(bands, step->level, A);
    struct vs_span out =
        vs_advance(at->out, (lane * bands->out_height + made.begin) * out_row);
    VS_TRY(take_waiting(step, A, lane, a, in, row));
    VS_TRY(vs_vae_norm_silu(step->block, 0, vs_advance(a, (count(read) - count(in)) * row), x,
                            count(in) * step->width, step->block->layout.n_in));
    VS_TRY(leave_waiting(step, A, lane, a, read, row));
    if (count(made))
        VS_TRY(conv_rows(step, &step->states[at->band], 0, out, made, a, read, none));
    grow(&at->n_out, lane + 1);
fail:
    return status;
}

/* The frames of a band that VS_VAE_UP makes of one, before rows are doubled. */
static enum vs_status double_frames(const struct at *at, const struct step *step,
                                    struct vs_span *x, size_t *n_frames)
{
    enum vs_status status = VS_OK;
    struct vs_vae_state *state = &step->states[at->band];
    size_t n = count(step->in[at->band]);
    *n_frames = 1;
    /* The first frame of the stream stays one frame, and time_conv never sees it. */
    if (!step->block->layout.time || !state->begun)
        return VS_OK;
    struct vs_conv conv = vs_vae_same_size(step->block, VS_TIME, 1, n, step->width);
    struct vs_span made = slot_of(at->bands, step->level, A);
    conv.n_past = VS_VAE_PAST;
    if (state->time_begun)
        conv.past = vs_span_of(state->past[0]);
    conv.split_frames = true;
    VS_TRY(vs_conv_run(step->block->context, made, *x, &conv));
    VS_TRY(vs_vae_remember(state, 0, state->time_begun, *x, 1));
    state->time_begun = true;
    *x = made;
    *n_frames = 2;
fail:
    return status;
}

/* Doubles the rows of one frame of a band, into the next level's X. */
static enum vs_status double_rows(const struct at *at, const struct step *step, size_t lane,
                                  struct vs_span *out, struct vs_span x)
{
    enum vs_status status = VS_OK;
    const struct vs_vae_block *block = step->block;
    size_t row = step->width * block->layout.n_in;
    struct rows in = step->in[at->band], read = window(in, 1), made = doubled(in, step->height);
    struct vs_span b = slot_of(at->bands, step->level, B);
    struct vs_conv conv = vs_vae_same_size(block, VS_RESAMPLE, 1, count(read), step->width);
    *out = vs_advance(slot_of(at->bands, step->level + 1, X),
                      at->bands->levels[step->level + 1].headroom * 2 * step->width *
                          block->layout.n_out);
    VS_TRY(take_waiting(step, A, lane, b, in, row));
    VS_TRY(vs_vae_copy(vs_advance(b, (count(read) - count(in)) * row), x, count(in) * row));
    VS_TRY(leave_waiting(step, A, lane, b, read, row));
    conv.upsample = true;
    conv.pad_top = 2 * read.begin + 1 - made.begin;
    conv.out_height = count(made);
    conv.first_row = made.begin;
    conv.out_width = 2 * step->width;
    if (count(made))
        VS_TRY(vs_conv_run(block->context, *out, b, &conv));
fail:
    return status;
}

/* Runs block i and all later ones on a band of one frame. */
static enum vs_status run_from(struct at *at, size_t i, size_t lane, struct vs_span x)
{
    enum vs_status status = VS_OK;
    const struct step *step = &at->bands->steps[i];
    struct vs_vae_state *state = &step->states[at->band];
    const struct vs_vae_layout *layout = &step->block->layout;
    size_t n_frames;
    if (!count(step->in[at->band])) /* they are late */
        return VS_OK;
    if (layout->kind == VS_VAE_HEAD) {
        VS_TRY(run_head(at, step, lane, x));
    } else if (layout->kind == VS_VAE_RES) {
        VS_TRY(run_res(at, step, lane, &x));
    } else {
        VS_TRY(double_frames(at, step, &x, &n_frames));
        for (size_t f = 0; f < n_frames; f++) {
            size_t one = layout->time ? 2 * lane + f : lane;
            struct vs_span frame = vs_advance(
                x, f * count(step->in[at->band]) * step->width * layout->n_in);
            struct vs_span out;
            VS_TRY(double_rows(at, step, one, &out, frame));
            VS_TRY(run_from(at, i + 1, one, out));
        }
    }
    state->begun = true;
    if (layout->kind == VS_VAE_RES)
        VS_TRY(run_from(at, i + 1, lane, x));
fail:
    return status;
}

enum vs_status vs_vae_bands_run(struct vs_vae_bands *bands, struct vs_span out, size_t *n_out,
                                struct vs_span x)
{
    enum vs_status status = VS_OK;
    const struct step *first = &bands->steps[0];
    size_t row = first->width * first->block->layout.n_in;
    struct at at = {.bands = bands, .out = out};
    for (at.band = 0; at.band < bands->n_bands; at.band++)
        VS_TRY(run_from(&at, 0, 0, vs_advance(x, first->in[at.band].begin * row)));
    *n_out = at.n_out;
fail:
    return status;
}
