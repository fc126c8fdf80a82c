/* SPDX-License-Identifier: Apache-2.0
 *
 * meter_looks.h - the parts of the meter that see a reduced picture: what a frame looks like, and
 * what moves between two frames. */
#ifndef VS_HOST_METER_LOOKS_H
#define VS_HOST_METER_LOOKS_H

#include "videossm.h"

enum {
    LOOK_BINS = 6,  /* a channel, one for each 51 of 0..255 */
    LOOK_CELLS = 4, /* a side of the picture, for the background */
    LOOK_COLOURS = LOOK_BINS * LOOK_BINS * LOOK_BINS,
    LOOK_SIDE = 224, /* the shorter side of a reduced picture is at most this */
    MOTION_BLOCK = 8,
    MOTION_REACH = 16
};

/* A picture reduced by a whole factor; the rest at the right and bottom edge is left out. */
struct host_small {
    size_t width, height, factor;
    uint8_t *rgb;  /* [height, width, 3], means of factor x factor pixels */
    uint8_t *luma; /* [height, width], BT.601 */
};

/* Counts of colours. subject: of the whole picture, weighted by the gradient, wherever they are.
 * background: of each cell of a 4x4 grid, all pixels alike. */
struct host_look {
    double subject[LOOK_COLOURS];
    double background[LOOK_CELLS * LOOK_CELLS * LOOK_COLOURS];
};

/* Sizes of the reduced picture and its memory, freed with host_small_free(). VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_small_open(struct host_small *small, size_t width, size_t height);
void host_small_fill(struct host_small *small, const uint8_t *rgb, size_t width);
void host_small_free(struct host_small *small);

void host_look_take(struct host_look *look, const struct host_small *small);

/* Cosine of two vectors without negative elements; 1 when both are zero, 0 when one is. */
double host_cosine(const double *a, const double *b, size_t n);

/* Vectors of a block search, the shortest first. */
struct host_search {
    int (*vectors)[2]; /* owned */
    size_t n;
};
VS_CHECK enum vs_status host_search_open(struct host_search *search);

/* Mean length, in pixels of the reduced picture, of the longest 5 % (at least one) of the vectors
 * by which 8x8 blocks of `now` are found in `before`, at most 16 pixels each way. Of equally good
 * places the nearest counts, and one that is not better than no motion by more than one step of
 * grey a pixel counts as none. 0 when the picture holds no block. */
double host_motion(const struct host_search *search, const struct host_small *before,
                   const struct host_small *now);

#endif
