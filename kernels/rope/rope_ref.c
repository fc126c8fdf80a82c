/* SPDX-License-Identifier: Apache-2.0
 *
 * rope_ref.c - the rotation in plain C: the oracle. */
#include "kernels/rope/rope.h"

void vs_rope_ref(float *out, const float *x, const float *table, const struct vs_rope *rope)
{
    const struct vs_rope_shape *shape = &rope->shape;
    size_t n_pairs = shape->head_dim / 2, n_space = shape->head_dim / 6;
    size_t n_time = n_pairs - 2 * n_space;
    const float *row_table = table + 2 * shape->n_frames * n_time;
    const float *column_table = row_table + 2 * shape->grid_rows * n_space;
    for (size_t frame = 0; frame < shape->n_frames; frame++)
        for (size_t row = 0; row < shape->grid_rows; row++)
            for (size_t column = 0; column < shape->grid_columns; column++)
                for (size_t head = 0; head < rope->n_heads; head++)
                    for (size_t i = 0; i < n_pairs; i++) {
                        const float *angle;
                        if (i < n_time)
                            angle = table + 2 * (frame * n_time + i);
                        else if (i < n_time + n_space)
                            angle = row_table + 2 * (row * n_space + i - n_time);
                        else
                            angle = column_table + 2 * (column * n_space + i - n_time - n_space);
                        float c = angle[0], s = rope->backwards ? -angle[1] : angle[1];
                        float a = *x++, b = *x++, bs = b * s, bc = b * c;
                        *out++ = __builtin_fmaf(a, c, -bs);
                        *out++ = __builtin_fmaf(a, s, bc);
                    }
}
