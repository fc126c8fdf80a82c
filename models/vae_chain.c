/* SPDX-License-Identifier: Apache-2.0
 *
 * vae_chain.c - planning the memory of a row of blocks, and walking along it.
 *
 * Between two changes of resolution lies a level. It has three buffers of one size: one holds the
 * frames at hand, two are scratch; they change roles where a block cannot work in place. */
#include "models/vae_chain.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "models/vae_bands.h"
#include "models/vae_steps.h"

enum { N_SLOTS = 3, DEFAULT_BUDGET_BYTES = 128 << 20 };

/* Products of a side, a side, channels and frames stay far inside 64 bits. */
enum { LARGEST_SIDE = 1 << 14, LARGEST_CHANNELS = 1 << 14, LARGEST_FRAMES = 1 << 12 };

struct level {
    size_t frame_floats; /* largest need of a buffer per frame, about: for the budget */
    size_t slot_floats;  /* largest need of a buffer */
    struct vs_buffer *slots[N_SLOTS];
};

/* One block of this stream. */
struct step {
    struct vs_vae_state state;
    size_t level;               /* at which it reads */
    size_t n_frames;            /* most frames it takes at once */
    size_t in_frame, out_frame; /* floats */
};

struct vs_vae_chain {
    const struct vs_vae_block *blocks;
    size_t n_blocks, n_whole; /* of them work on whole frames, the others on bands of rows */
    struct vs_vae_bands *bands; /* NULL: there are no others */
    struct step *steps;
    struct level *levels; /* as many as blocks, and one */
    struct vs_vae_chain_output output;
    size_t n_frames;
};

static bool changes_level(const struct vs_vae_layout *layout)
{
    return layout->kind == VS_VAE_UP || layout->kind == VS_VAE_DOWN;
}

/* Frames may be cut in front of this block: what comes later uses other buffers. */
static bool may_cut(const struct vs_vae_chain *chain, size_t i)
{
    return i == 0 || chain->blocks[i].layout.kind == VS_VAE_UP;
}

static void grow(size_t *size, size_t needed)
{
    if (*size < needed)
        *size = needed;
}

/* Sets each step's place and frame sizes, and each level's need per frame. */
static enum vs_status measure(struct vs_vae_chain *chain, size_t height, size_t width)
{
    size_t level = 0;
    for (size_t i = 0; i < chain->n_blocks; i++) {
        const struct vs_vae_layout *layout = &chain->blocks[i].layout;
        struct step *step = &chain->steps[i];
        if (!height || !width || height > LARGEST_SIDE || width > LARGEST_SIDE ||
            layout->n_in > LARGEST_CHANNELS || layout->n_out > LARGEST_CHANNELS)
            return vs_fail(VS_ERROR_USAGE,
                           "the VAE cannot work on %zux%zu pixels of %zu channels (block %s)",
                           width, height, layout->n_in, layout->prefix);
        step->level = level;
        step->in_frame = height * width * layout->n_in;
        step->state.height = height;
        step->state.width = width;
        grow(&chain->levels[level].frame_floats, step->in_frame);
        grow(&chain->levels[level].frame_floats, vs_vae_block_scratch(layout, 1, height, width));
        height = vs_vae_block_out_side(layout, height);
        width = vs_vae_block_out_side(layout, width);
        step->out_frame = height * width * layout->n_out;
        level += changes_level(layout);
        grow(&chain->levels[level].frame_floats, step->out_frame);
    }
    chain->output.height = height;
    chain->output.width = width;
    chain->output.n_channels = chain->blocks[chain->n_blocks - 1].layout.n_out;
    return VS_OK;
}

/* Frames of a level that keep within the budget; at least one. */
static size_t frames_within(const struct level *level, size_t budget_bytes)
{
    size_t n = budget_bytes / sizeof(float) / level->frame_floats;
    return n ? n : 1;
}

/* How many blocks work on whole frames: those before frames become larger than a work buffer is to
 * be, or their history than the device allows. */
static size_t count_whole(const struct vs_vae_chain *chain, size_t budget_bytes,
                          size_t largest_bytes)
{
    for (size_t i = 0; i < chain->n_blocks; i++) {
        const struct vs_vae_layout *layout = &chain->blocks[i].layout;
        if (layout->kind != VS_VAE_UP ||
            !vs_vae_bands_possible(chain->blocks + i, chain->n_blocks - i))
            continue;
        const struct level *next = &chain->levels[chain->steps[i].level + 1];
        size_t frame_bytes = next->frame_floats * sizeof(float);
        if ((layout->time ? 2 : 1) * frame_bytes > budget_bytes ||
            VS_VAE_PAST * frame_bytes > largest_bytes)
            return i;
    }
    return chain->n_blocks;
}

/* Settles how many frames each step takes at once, and what buffers that needs. */
static void plan(struct vs_vae_chain *chain, size_t budget_bytes)
{
    size_t n = chain->n_frames, n_all = chain->n_frames; /* at hand; of a whole step */
    for (size_t i = 0; i < chain->n_blocks; i++) {
        const struct vs_vae_layout *layout = &chain->blocks[i].layout;
        struct step *step = &chain->steps[i];
        struct level *level = &chain->levels[step->level];
        struct level *next = level + changes_level(layout);
        n_all = vs_vae_block_out_frames(layout, n_all);
        if (i > 0 && i <= chain->n_whole)
            grow(&level->slot_floats, n * step->in_frame);
        step->n_frames = i < chain->n_whole ? n : 1;
        if (i >= chain->n_whole)
            continue;
        if (may_cut(chain, i)) {
            size_t limit = frames_within(level, budget_bytes);
            size_t n_each = vs_vae_block_out_frames(layout, 2) / 2; /* out of one frame */
            size_t later = frames_within(next, budget_bytes) / (n_each ? n_each : 1);
            if (limit > later)
                limit = later ? later : 1;
            if (step->n_frames > limit)
                step->n_frames = limit;
        }
        grow(&level->slot_floats, vs_vae_block_scratch(layout, step->n_frames,
                                                       step->state.height, step->state.width));
        n = vs_vae_block_out_frames(layout, step->n_frames);
        if (i + 1 < chain->n_blocks)
            grow(&next->slot_floats, n * step->out_frame);
    }
    chain->output.n_frames = n_all;
}

static enum vs_status allocate(struct vs_vae_chain *chain, struct vs_context *context,
                               size_t budget_bytes, size_t largest_bytes)
{
    enum vs_status status = VS_OK;
    size_t n_levels = 0;
    if (chain->n_whole < chain->n_blocks) {
        const struct step *first = &chain->steps[chain->n_whole];
        n_levels = first->level + 1;
        VS_TRY(vs_vae_bands_create(
            &chain->bands, context,
            &(struct vs_vae_bands_options){.blocks = chain->blocks + chain->n_whole,
                                           .n_blocks = chain->n_blocks - chain->n_whole,
                                           .height = first->state.height,
                                           .width = first->state.width,
                                           .budget_bytes = budget_bytes,
                                           .largest_bytes = largest_bytes}));
    }
    for (size_t i = 0; i < chain->n_whole; i++) {
        if (n_levels <= chain->steps[i].level)
            n_levels = chain->steps[i].level + 1;
        VS_TRY(vs_vae_state_create(&chain->steps[i].state, &chain->blocks[i],
                                   chain->steps[i].state.height, chain->steps[i].state.width));
    }
    for (size_t i = 0; i < n_levels; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            VS_TRY(vs_floats_create(&chain->levels[i].slots[slot], context, NULL,
                                    chain->levels[i].slot_floats));
fail:
    return status;
}

enum vs_status vs_vae_chain_create(struct vs_vae_chain **out, struct vs_context *context,
                                   const struct vs_vae_block *blocks, size_t n_blocks,
                                   const struct vs_vae_chain_options *options)
{
    enum vs_status status = VS_OK;
    struct vs_vae_chain *chain = NULL;
    *out = NULL;
    if (!n_blocks || !options->n_frames || options->n_frames > LARGEST_FRAMES)
        return vs_fail(VS_ERROR_USAGE, "the VAE cannot take %zu frames at once",
                       options->n_frames);
    chain = vs_alloc(1, sizeof *chain);
    if (!chain)
        return VS_ERROR_MEMORY;
    chain->blocks = blocks;
    chain->n_blocks = n_blocks;
    chain->n_frames = options->n_frames;
    chain->steps = vs_alloc(n_blocks, sizeof *chain->steps);
    chain->levels = vs_alloc(n_blocks + 1, sizeof *chain->levels);
    if (!chain->steps || !chain->levels) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(measure(chain, options->height, options->width));
    size_t largest_bytes = (size_t)vs_context_device(context)->max_allocation_bytes;
    size_t budget_bytes = options->budget_bytes ? options->budget_bytes : DEFAULT_BUDGET_BYTES;
    if (budget_bytes > largest_bytes)
        budget_bytes = largest_bytes;
    chain->n_whole = count_whole(chain, budget_bytes, largest_bytes);
    plan(chain, budget_bytes);
    VS_TRY(allocate(chain, context, budget_bytes, largest_bytes));
    *out = chain;
    return VS_OK;
fail:
    vs_vae_chain_free(chain);
    return status;
}

void vs_vae_chain_free(struct vs_vae_chain *chain)
{
    if (!chain)
        return;
    for (size_t i = 0; chain->steps && i < chain->n_blocks; i++)
        vs_vae_state_free(&chain->steps[i].state);
    for (size_t i = 0; chain->levels && i <= chain->n_blocks; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            vs_buffer_free(chain->levels[i].slots[slot]);
    vs_vae_bands_free(chain->bands);
    free(chain->steps);
    free(chain->levels);
    free(chain);
}

void vs_vae_chain_reset(struct vs_vae_chain *chain)
{
    for (size_t i = 0; i < chain->n_blocks; i++)
        vs_vae_state_reset(&chain->steps[i].state);
    if (chain->bands)
        vs_vae_bands_reset(chain->bands);
}

enum vs_status vs_vae_chain_rest(struct vs_vae_chain *chain)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < chain->n_blocks; i++)
        VS_TRY(vs_vae_state_rest(&chain->steps[i].state));
    for (size_t i = 0; i <= chain->n_blocks; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            if (chain->levels[i].slots[slot])
                VS_TRY(vs_buffer_rest(chain->levels[i].slots[slot], false));
    if (chain->bands)
        VS_TRY(vs_vae_bands_rest(chain->bands));
fail:
    return status;
}

enum vs_status vs_vae_chain_wake(struct vs_vae_chain *chain)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < chain->n_blocks; i++)
        VS_TRY(vs_vae_state_wake(&chain->steps[i].state));
    for (size_t i = 0; i <= chain->n_blocks; i++)
        for (size_t slot = 0; slot < N_SLOTS; slot++)
            if (chain->levels[i].slots[slot])
                VS_TRY(vs_buffer_wake(chain->levels[i].slots[slot]));
    if (chain->bands)
        VS_TRY(vs_vae_bands_wake(chain->bands));
fail:
    return status;
}

struct vs_vae_chain_output vs_vae_chain_output(const struct vs_vae_chain *chain)
{
    return chain->output;
}

/* The buffers of a level that do not hold the frames at hand. */
static void free_slots(struct vs_span scratch[2], const struct level *level,
                       const struct vs_buffer *held)
{
    size_t n = 0;
    for (size_t slot = 0; slot < N_SLOTS && n < 2; slot++)
        if (level->slots[slot] != held)
            scratch[n++] = vs_span_of(level->slots[slot]);
}

/* Runs block i on n frames; *to is where its frames are afterwards. */
static enum vs_status run_step(struct vs_vae_chain *chain, size_t i, struct vs_span *to,
                               size_t *n_out, struct vs_span x, size_t n, struct vs_span out)
{
    const struct vs_vae_block *block = &chain->blocks[i];
    const struct level *level = &chain->levels[chain->steps[i].level];
    struct vs_span scratch[2];
    free_slots(scratch, level, x.buffer);
    if (i + 1 == chain->n_blocks)
        *to = out;
    else if (changes_level(&block->layout))
        *to = vs_span_of(level[1].slots[0]);
    else if (i > 0 && (block->layout.kind == VS_VAE_RES || block->layout.kind == VS_VAE_ATTENTION))
        *to = x;
    else /* takes at most one scratch buffer, unless it is the first, where three are free */
        *to = i > 0 ? scratch[1] : vs_span_of(level->slots[2]);
    return vs_vae_block_run(block, &chain->steps[i].state, *to, n_out, x, n, scratch[0],
                            scratch[1]);
}

/* Runs block i and all later ones on n frames of x. */
static enum vs_status run_from(struct vs_vae_chain *chain, size_t i, struct vs_span out,
                               size_t *n_out, struct vs_span x, size_t n)
{
    enum vs_status status = VS_OK;
    *n_out = 0;
    for (; i < chain->n_blocks && n; i++) {
        const struct step *step = &chain->steps[i];
        if (n > step->n_frames) {
            size_t out_frame = chain->steps[chain->n_blocks - 1].out_frame, m;
            for (size_t done = 0; done < n; done += step->n_frames) {
                size_t now = n - done < step->n_frames ? n - done : step->n_frames;
                VS_TRY(run_from(chain, i, out, &m, x, now));
                x.offset += now * step->in_frame;
                out.offset += m * out_frame;
                *n_out += m;
            }
            return VS_OK;
        }
        if (i == chain->n_whole)
            return vs_vae_bands_run(chain->bands, out, n_out, x);
        VS_TRY(run_step(chain, i, &x, &n, x, n, out));
    }
    *n_out = n;
fail:
    return status;
}

enum vs_status vs_vae_chain_run(struct vs_vae_chain *chain, struct vs_span out, size_t *n_out,
                                struct vs_span x, size_t n_frames)
{
    *n_out = 0;
    if (n_frames > chain->n_frames)
        return vs_fail(VS_ERROR_USAGE, "the VAE's stream was made for %zu frames at once, not %zu",
                       chain->n_frames, n_frames);
    return run_from(chain, 0, out, n_out, x, n_frames);
}
