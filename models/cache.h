/* SPDX-License-Identifier: Apache-2.0
 *
 * cache.h - the hybrid memory of a run: a lossless ring of K and V for sinks, window and chunk,
 * and one state per layer for everything that left it.
 *
 * Frames are latent frames. A frame owns one slot of every layer's buffers; `order` lists slots in
 * logical order - sinks, then oldest to newest, the chunk last - and stands on the device as
 * `slots`, so nothing is moved when a frame leaves. K is kept rotated; k before RoPE is recovered
 * by turning back when a frame is folded into the state.
 *
 * Where all heads of a layer would pass what the device allows for a buffer, groups of heads have
 * buffers of their own. Attention and the fold go through them one after the other: no value of a
 * head depends on another head, so no bit does on the groups. */
#ifndef VS_MODELS_CACHE_H
#define VS_MODELS_CACHE_H

#include "cl/buffer.h"
#include "kernels/rope/rope.h"

struct vs_cache_shape {
    size_t n_layers, n_heads, head_dim;
    size_t grid_rows, grid_columns; /* tokens of a frame */
    size_t n_slots;                 /* latent frames that fit, chunk included: L */
    size_t sink;                    /* frames at the front that never leave: S */
    size_t chunk;                   /* most frames that come in at once: c */
    size_t latent_size;             /* floats of one frame's clean latents */
    bool memory;                    /* fold leaving frames into the state */
    size_t alpha_width, beta_width; /* of the gates; unused without memory */
    bool memory_roped;              /* the state's keys are turned by absolute frames */
    bool rope_relative;             /* positions count from the first cached frame */
    enum vs_dtype kv;               /* format of K and V: F32 or F16 */
};

/* What every layer keeps of a token. */
enum vs_cached { VS_CACHED_K, VS_CACHED_V, VS_CACHED_BETA, VS_CACHED_ALPHA, VS_N_CACHED };

struct vs_cache {
    struct vs_context *context; /* borrowed */
    struct vs_cache_shape shape;
    size_t n_groups, group_heads; /* of heads; the last may have fewer */
    /* [n_layers][n_groups], each [n_slots * F, heads, width of a head]; NULL: not kept */
    struct vs_buffer **kept[VS_N_CACHED];
    struct vs_buffer *state;   /* [n_layers, N, D, D] */
    struct vs_buffer *latents; /* [n_slots, latent_size], clean */
    struct vs_buffer *slots;   /* int32 [n_slots]: order, on the device */

    int32_t *order;  /* [n_slots] slot of each logical position */
    int64_t *frames; /* [n_slots] absolute number of the frame at each logical position */
    size_t n_cached; /* finished frames, the first of order */
    size_t n_coming; /* frames of the chunk, after them */
    size_t n_folded; /* frames folded into (or, without memory, dropped from) the cache so far */

    /* Room for eviction. */
    struct vs_buffer *evicted_k;  /* [chunk * F, heads of a group, D] */
    struct vs_buffer *rope_table; /* on the device */
    float *host_table;
    int64_t *positions;
};

VS_CHECK enum vs_status vs_cache_create(struct vs_cache **cache, struct vs_context *context,
                                        const struct vs_cache_shape *shape);
void vs_cache_free(struct vs_cache *cache);

/* As if new: no frames; the states are zeroed. */
VS_CHECK enum vs_status vs_cache_reset(struct vs_cache *cache);

/* What is kept to the host and back, see vs_buffer_rest(). */
VS_CHECK enum vs_status vs_cache_rest(struct vs_cache *cache);
VS_CHECK enum vs_status vs_cache_wake(struct vs_cache *cache);

/* Tokens of a frame, F, and the width of a token, N * D. */
size_t vs_cache_frame_tokens(const struct vs_cache *cache);
size_t vs_cache_width(const struct vs_cache *cache);

/* Of what is kept: elements of a head of a token, and their format. */
size_t vs_cached_head_width(const struct vs_cache *cache, enum vs_cached what);
enum vs_dtype vs_cached_dtype(const struct vs_cache *cache, enum vs_cached what);

/* Where a group of heads lies in a layer's buffers. */
struct vs_cache_group {
    size_t first_head, n_heads;
    struct vs_span kept[VS_N_CACHED]; /* {0}: not kept */
};
struct vs_cache_group vs_cache_group(const struct vs_cache *cache, size_t layer, size_t group);

/* Writes rows x [T, N, width of a head] of the frames that come in to their slots. */
VS_CHECK enum vs_status vs_cache_put(const struct vs_cache *cache, size_t layer,
                                     enum vs_cached what, struct vs_span x);

/* Lets the oldest frames that are no sinks leave until n_coming more fit; with memory, folds them
 * into the states in order. With relative positions the keys behind them are turned to their new
 * places. n_coming <= chunk. */
VS_CHECK enum vs_status vs_cache_make_room(struct vs_cache *cache, size_t n_coming);

/* Gives n frames (absolute numbers, ascending) the logical positions behind the finished ones. */
VS_CHECK enum vs_status vs_cache_begin(struct vs_cache *cache, const int64_t *frames, size_t n);

/* Makes the frames of vs_cache_begin() finished; copies their clean latents [n, latent_size]. */
VS_CHECK enum vs_status vs_cache_commit(struct vs_cache *cache, struct vs_span latents);

/* For a prompt switch: makes all finished frames unfinished, in place, so that they can be written
 * again; then vs_cache_again() takes the next n of them as the frames that come in, in the slots
 * they have, and vs_cache_finish() makes those finished. */
void vs_cache_rewind(struct vs_cache *cache);
VS_CHECK enum vs_status vs_cache_again(struct vs_cache *cache, size_t n);
void vs_cache_finish(struct vs_cache *cache);

/* The number RoPE turns logical position i by: its absolute frame, or i itself when relative. */
int64_t vs_cache_position(const struct vs_cache *cache, size_t i);

/* State of a layer; meaningful once n_folded > 0. */
struct vs_span vs_cache_state(const struct vs_cache *cache, size_t layer);

#endif
