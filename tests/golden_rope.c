/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_rope.c - golden cases of the rotary embedding. */
#include "kernels/rope/rope.h"
#include "tests/golden.h"

static void rope(struct golden *golden)
{
    struct vs_rope rope = {.shape = {.head_dim = golden_dim(golden, "in.x", 2),
                                     .n_frames = golden_list_length(golden, "frames"),
                                     .grid_rows = (size_t)golden_list_number(golden, "grid", 0),
                                     .grid_columns = (size_t)golden_list_number(golden, "grid", 1)},
                           .n_heads = golden_dim(golden, "in.x", 1)};
    size_t n = golden_count(golden, "in.x"), n_table = vs_rope_table_size(&rope.shape);
    int64_t *frames = golden_alloc(golden, rope.shape.n_frames * sizeof *frames);
    float *table = golden_alloc(golden, n_table * sizeof *table);
    for (size_t i = 0; i < rope.shape.n_frames; i++)
        frames[i] = (int64_t)golden_list_number(golden, "frames", i);
    vs_rope_table_fill(table, &rope.shape, frames, false);
    struct vs_span angles = golden_device(golden, table, n_table);
    struct vs_span x = golden_upload(golden, "in.x"), out = golden_device(golden, NULL, n);
    golden_ok(golden, vs_rope_run(golden->context, out, x, angles, &rope));
    golden_compare_span(golden, "out.y", out, n);
    rope.backwards = true;
    golden_ok(golden, vs_rope_run(golden->context, out, x, angles, &rope));
    golden_compare_span(golden, "out.back", out, n);
}

const struct golden_op golden_ops_rope[] = {
    {"rope", rope},
    {NULL, NULL},
};
