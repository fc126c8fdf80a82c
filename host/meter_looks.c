/* SPDX-License-Identifier: Apache-2.0
 *
 * meter_looks.c - descriptors of frames that stand in for those of DINO and CLIP.
 *
 * Colours are shared out linearly among the eight nearest bins, so a small drift moves them a
 * little. Counts are whole numbers; only the cosine at the end is rounded. */
#include "config.h"

#include "host/meter_looks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

enum { BIN_STEP = 255 / (LOOK_BINS - 1) };

/* ---- Reduced pictures --------------------------------------------------------------------- */

enum vs_status host_small_open(struct host_small *small, size_t width, size_t height)
{
    size_t shorter = width < height ? width : height;
    size_t factor = (shorter + LOOK_SIDE - 1) / LOOK_SIDE;
    small->factor = factor;
    small->width = width / factor;
    small->height = height / factor;
    small->rgb = vs_alloc(small->width * small->height, 3);
    small->luma = vs_alloc(small->width * small->height, 1);
    return small->rgb && small->luma ? VS_OK : VS_ERROR_MEMORY;
}

void host_small_free(struct host_small *small)
{
    free(small->rgb);
    free(small->luma);
    *small = (struct host_small){0};
}

void host_small_fill(struct host_small *small, const uint8_t *rgb, size_t width)
{
    size_t factor = small->factor, area = factor * factor;
    for (size_t y = 0; y < small->height; y++) {
        for (size_t x = 0; x < small->width; x++) {
            size_t sum[3] = {0};
            for (size_t j = 0; j < factor; j++) {
                const uint8_t *row = rgb + ((y * factor + j) * width + x * factor) * 3;
                for (size_t i = 0; i < factor * 3; i += 3)
                    for (size_t c = 0; c < 3; c++)
                        sum[c] += row[i + c];
            }
            size_t at = y * small->width + x;
            for (size_t c = 0; c < 3; c++)
                small->rgb[at * 3 + c] = (uint8_t)((sum[c] + area / 2) / area);
            const uint8_t *pixel = small->rgb + at * 3;
            small->luma[at] =
                (uint8_t)((299u * pixel[0] + 587u * pixel[1] + 114u * pixel[2] + 500) / 1000);
        }
    }
}

/* ---- Looks -------------------------------------------------------------------------------- */

/* Adds weight, shared out among the eight bins around a colour. */
static void count_colour(double *bins, const uint8_t *pixel, unsigned weight)
{
    unsigned bin[3], share[3][2];
    for (int c = 0; c < 3; c++) {
        bin[c] = pixel[c] / BIN_STEP;
        share[c][1] = pixel[c] % BIN_STEP;
        share[c][0] = BIN_STEP - share[c][1];
    }
    for (unsigned corner = 0; corner < 8; corner++) {
        unsigned r = corner >> 2, g = corner >> 1 & 1, b = corner & 1;
        uint64_t part = (uint64_t)share[0][r] * share[1][g] * share[2][b] * weight;
        /* A share of nothing would lie past the last bin. */
        if (part)
            bins[((bin[0] + r) * LOOK_BINS + bin[1] + g) * LOOK_BINS + bin[2] + b] += (double)part;
    }
}

/* |horizontal| + |vertical| difference of the neighbours, those of the edge repeated. */
static unsigned gradient(const struct host_small *small, size_t x, size_t y)
{
    size_t width = small->width;
    size_t left = x ? x - 1 : x, right = x + 1 < width ? x + 1 : x;
    size_t above = y ? y - 1 : y, below = y + 1 < small->height ? y + 1 : y;
    int across = small->luma[y * width + right] - small->luma[y * width + left];
    int down = small->luma[below * width + x] - small->luma[above * width + x];
    return (unsigned)(abs(across) + abs(down));
}

void host_look_take(struct host_look *look, const struct host_small *small)
{
    memset(look, 0, sizeof *look);
    for (size_t y = 0; y < small->height; y++) {
        for (size_t x = 0; x < small->width; x++) {
            const uint8_t *pixel = small->rgb + (y * small->width + x) * 3;
            size_t cell =
                y * LOOK_CELLS / small->height * LOOK_CELLS + x * LOOK_CELLS / small->width;
            unsigned weight = gradient(small, x, y);
            count_colour(look->background + cell * LOOK_COLOURS, pixel, 1);
            if (weight)
                count_colour(look->subject, pixel, weight);
        }
    }
}

double host_cosine(const double *a, const double *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    if (memcmp(a, b, n * sizeof *a) == 0)
        return 1; /* without the rounding of the root */
    for (size_t i = 0; i < n; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    if (aa == 0 || bb == 0)
        return 0;
    return fmin(ab / (sqrt(aa) * sqrt(bb)), 1);
}
