/* SPDX-License-Identifier: Apache-2.0
 *
 * meter_motion.c - full search by blocks, from the centre outwards: whole numbers only, so every
 * machine finds the same. */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "cl/alloc.h"
#include "host/meter_looks.h"

enum { MOTION_SIDE = 2 * MOTION_REACH + 1, AREA = MOTION_BLOCK * MOTION_BLOCK };

static int by_length(const void *a, const void *b)
{
    const int *v = a, *w = b;
    int lengths = v[0] * v[0] + v[1] * v[1] - w[0] * w[0] - w[1] * w[1];
    return lengths ? lengths : v[1] != w[1] ? v[1] - w[1] : v[0] - w[0];
}

enum vs_status host_search_open(struct host_search *search)
{
    search->n = (size_t)MOTION_SIDE * MOTION_SIDE;
    search->vectors = vs_alloc(search->n, sizeof *search->vectors);
    if (!search->vectors)
        return VS_ERROR_MEMORY;
    for (int i = 0; i < MOTION_SIDE * MOTION_SIDE; i++) {
        search->vectors[i][0] = i % MOTION_SIDE - MOTION_REACH;
        search->vectors[i][1] = i / MOTION_SIDE - MOTION_REACH;
    }
    qsort(search->vectors, search->n, sizeof *search->vectors, by_length);
    return VS_OK;
}

/* Sum of absolute differences of two blocks; gives up, with any sum not below `limit`. */
static int difference(const uint8_t *a, const uint8_t *b, size_t width, int limit)
{
    int sum = 0;
    for (size_t y = 0; y < MOTION_BLOCK && sum < limit; y++)
        for (size_t x = 0; x < MOTION_BLOCK; x++)
            sum += abs(a[y * width + x] - b[y * width + x]);
    return sum;
}

/* The squared length of the vector of the block whose corner is (x, y). */
static int find_block(const struct host_search *search, const struct host_small *before,
                      const struct host_small *now, size_t x, size_t y)
{
    size_t width = now->width;
    const uint8_t *block = now->luma + y * width + x;
    int best = difference(block, before->luma + y * width + x, width, 256 * AREA) - AREA;
    int found = 0;
    /* vectors[0] is no motion at all. */
    for (size_t i = 1; i < search->n && best > 0; i++) {
        long from_x = (long)x + search->vectors[i][0], from_y = (long)y + search->vectors[i][1];
        if (from_x < 0 || from_y < 0 || from_x + MOTION_BLOCK > (long)width ||
            from_y + MOTION_BLOCK > (long)now->height)
            continue;
        int sum =
            difference(block, before->luma + (size_t)from_y * width + (size_t)from_x, width, best);
        if (sum < best) {
            best = sum;
            found = search->vectors[i][0] * search->vectors[i][0] +
                    search->vectors[i][1] * search->vectors[i][1];
        }
    }
    return found;
}

double host_motion(const struct host_search *search, const struct host_small *before,
                   const struct host_small *now)
{
    /* Counts by squared length: there are few, and no sorting. */
    enum { N_LENGTHS = 2 * MOTION_REACH * MOTION_REACH + 1 };
    size_t counts[N_LENGTHS] = {0}, n = 0;
    for (size_t y = 0; y + MOTION_BLOCK <= now->height; y += MOTION_BLOCK) {
        for (size_t x = 0; x + MOTION_BLOCK <= now->width; x += MOTION_BLOCK) {
            counts[find_block(search, before, now, x, y)]++;
            n++;
        }
    }
    size_t n_longest = n / 20 ? n / 20 : 1, left = n ? n_longest : 0;
    double sum = 0;
    for (size_t i = N_LENGTHS; i-- > 0 && left;) {
        size_t taken = counts[i] < left ? counts[i] : left;
        sum += sqrt((double)i) * (double)taken;
        left -= taken;
    }
    return sum / (double)n_longest;
}
