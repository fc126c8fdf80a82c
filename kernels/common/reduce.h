/* SPDX-License-Identifier: Apache-2.0
 *
 * reduce.h - the contract's sums in plain C, for the oracles (kernels/NUMERICS.md, orders). */
#ifndef VS_KERNELS_COMMON_REDUCE_H
#define VS_KERNELS_COMMON_REDUCE_H

#include <stddef.h>

enum { VS_DOT_BLOCK = 256, VS_LANES = 64 };

/* Sum of a[k] b[k]: chains of fma over blocks of 256, the blocks added in ascending order. */
static inline float vs_dot(const float *a, size_t a_stride, const float *b, size_t b_stride,
                           size_t n)
{
    float total = 0;
    for (size_t block = 0; block < n; block += VS_DOT_BLOCK) {
        size_t end = n - block < VS_DOT_BLOCK ? n : block + VS_DOT_BLOCK;
        float chain = 0;
        for (size_t k = block; k < end; k++)
            chain = __builtin_fmaf(a[k * a_stride], b[k * b_stride], chain);
        total = total + chain;
    }
    return total;
}

/* The tree that joins 64 lanes; destroys lane. */
static inline float vs_tree64(float lane[VS_LANES])
{
    for (int half = VS_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] = lane[i] + lane[i + half];
    return lane[0];
}

/* Sum of x over 64 lanes: lane l takes elements l, l + 64, ... */
static inline float vs_row_sum(const float *x, size_t n)
{
    float lane[VS_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % VS_LANES] = lane[i % VS_LANES] + x[i];
    return vs_tree64(lane);
}

/* Sum of (x - mean)^2 in the same lanes, each by fma. */
static inline float vs_row_sum_squares(const float *x, float mean, size_t n)
{
    float lane[VS_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        float d = x[i] - mean;
        lane[i % VS_LANES] = __builtin_fmaf(d, d, lane[i % VS_LANES]);
    }
    return vs_tree64(lane);
}

#endif
