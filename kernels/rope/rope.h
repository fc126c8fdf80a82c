/* SPDX-License-Identifier: Apache-2.0
 *
 * rope.h - rotary position embedding over frame, row and column (Wan's 3-axis form).
 *
 * Head channels are pairs (2i, 2i+1). Of the D/2 pairs the first D/2 - 2*(D/6) turn with the
 * frame, the next D/6 with the row, the last D/6 with the column, each axis by
 * position * 10000^(-i/n), i from 0, n the axis's own number of pairs. Angles are formed in
 * float64 by own functions and rounded once to a cosine and a sine (rules R3, R9). */
#ifndef VS_KERNELS_ROPE_ROPE_H
#define VS_KERNELS_ROPE_ROPE_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"

/* Cosine and sine tables: for each frame [n_frame_pairs], then each row and column
 * [n_space_pairs]. Layout: frames [n_frames, nf, 2], rows [gh, ns, 2], columns [gw, ns, 2], the
 * last axis being (cos, sin). */
struct vs_rope_shape {
    size_t head_dim;
    size_t n_frames, grid_rows, grid_columns;
};

/* Floats a table takes. */
size_t vs_rope_table_size(const struct vs_rope_shape *shape);

/* Fills a host table. frames: n_frames positions (may be negative, for a turn by a difference).
 * frame_only: rows and columns do not turn (cos 1, sin 0). */
void vs_rope_table_fill(float *table, const struct vs_rope_shape *shape, const int64_t *frames,
                        bool frame_only);

/* out = x turned forwards (or backwards: -sin), both [T, N, D], T = n_frames * rows * columns in
 * the order frame, row, column. Token t of frame f is read from and written to row
 * slot[f] * rows * columns + t % (rows * columns), slots being int32 buffers whose entries from
 * first_slot on are used; NULL: rows in order. out may be x.
 *
 * With a norm_weight [N, D] what is turned is RMSNorm of each row of N D values (vs_rmsnorm_run()),
 * and normed, if it has a buffer, gets that as it was before the turn, in the rows of x; it may be
 * x, and is not out. The bits are those of the two operations, one after the other.
 *
 * x and out hold F32 or F16, in whose elements their spans count; a norm is of F32 only. */
struct vs_rope {
    struct vs_rope_shape shape;
    size_t n_heads;
    bool backwards;
    const struct vs_buffer *in_slots, *out_slots;
    size_t first_in_slot, first_out_slot;
    struct vs_span norm_weight, normed;
    float eps; /* of the RMSNorm */
    enum vs_dtype in, out;
};
VS_CHECK enum vs_status vs_rope_run(struct vs_context *context, struct vs_span out,
                                    struct vs_span x, struct vs_span table,
                                    const struct vs_rope *rope);

/* The ways to compute it; kernels/common/variant.h says what each function does. */
const char *vs_rope_variant_name(size_t variant);
bool vs_rope_variant_usable(const struct vs_context *context, size_t variant);
size_t vs_rope_variant_chosen(const struct vs_context *context);
VS_CHECK enum vs_status vs_rope_run_variant(struct vs_context *context, size_t variant,
                                            struct vs_span out, struct vs_span x,
                                            struct vs_span table, const struct vs_rope *rope);

/* The oracle, without slots and norm, in float32. */
void vs_rope_ref(float *out, const float *x, const float *table, const struct vs_rope *rope);

#endif
