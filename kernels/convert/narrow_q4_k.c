/* SPDX-License-Identifier: Apache-2.0
 *
 * narrow_q4_k.c - float32 to Q4_K: 256 values in eight parts of 32, x ~ scale q - minimum.
 *
 * A part's scale and minimum come from a search: for some twenty widths of a step, values are
 * rounded to 0..15 and the line through them is fitted by least squares; the best fit wins. Sums
 * run in four lanes, written out, so that compilers may use vectors and the order stays. */
#include <string.h>

#include "kernels/convert/narrow.h"

enum { PART = 32, N_PARTS = 8, N_STEPS = 21, LANES = 4 };

/* More than scale and minimum of 63 times the largest half can express. */
#define MOST 6.1e7f
/* Differences below this vanish in the half of a scale and could overflow its inverse. */
#define LEAST 1e-20f

/* Nearest whole number, half to even; |x| < 2^22. A function of the C library would be called for
 * each value where the processor's instruction set at its least has none. */
static inline float nearest(float x)
{
    const float shift = 0x1.8p23f;
    return (x + shift) - shift;
}

static inline float clamp(float x, float most)
{
    x = x < 0 ? 0 : x;
    return x > most ? most : x;
}

static inline float join(const float lane[LANES])
{
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

struct line {
    float scale, minimum; /* both >= 0 */
};

static void round_part(float *q, const float *x, float inverse, float least)
{
    for (size_t i = 0; i < PART; i++)
        q[i] = clamp(nearest((x[i] - least) * inverse), 15);
}

/* The line through (q, x) with the least weighted squares and a minimum >= 0; false: none. */
static bool fit(struct line *line, const float *q, const float *x, const float *weight)
{
    float w[LANES] = {0}, wq[LANES] = {0}, wqq[LANES] = {0}, wx[LANES] = {0}, wqx[LANES] = {0};
    for (size_t i = 0; i < PART; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float v = weight[i + l], qv = q[i + l] * v;
            w[l] += v;
            wq[l] += qv;
            wqq[l] += qv * q[i + l];
            wx[l] += v * x[i + l];
            wqx[l] += qv * x[i + l];
        }
    float sw = join(w), sq = join(wq), sqq = join(wqq), sx = join(wx), sqx = join(wqx);
    float determinant = sw * sqq - sq * sq;
    if (!(determinant > 0))
        return false;
    float scale = (sw * sqx - sq * sx) / determinant;
    float offset = (sqq * sx - sq * sqx) / determinant;
    if (offset > 0) {
        offset = 0;
        scale = sqx / sqq;
    }
    *line = (struct line){scale, -offset};
    return scale > 0;
}

static float error_of(const struct line *line, const float *q, const float *x,
                      const float *weight)
{
    float sum[LANES] = {0};
    for (size_t i = 0; i < PART; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float off = (line->scale * q[i + l] - line->minimum) - x[i + l];
            sum[l] += weight[i + l] * (off * off);
        }
    return join(sum);
}

/* Large values count more, as in the tools that models are usually quantised with. */
static void weigh(float *weight, const float *x)
{
    float squares[LANES] = {0};
    for (size_t i = 0; i < PART; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            squares[l] += x[i + l] * x[i + l];
    float typical = __builtin_sqrtf(join(squares) / PART);
    for (size_t i = 0; i < PART; i++)
        weight[i] = typical + (x[i] < 0 ? -x[i] : x[i]);
}

static struct line search(const float *x, const float *weight)
{
    float least = 0, most = x[0], q[PART];
    for (size_t i = 0; i < PART; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    float width = most - least;
    if (!(width > LEAST))
        return (struct line){0, -least};
    struct line best = {width / 15, -least};
    round_part(q, x, 15 / width, least);
    float best_error = error_of(&best, q, x, weight);
    for (int step = 0; step < N_STEPS; step++) {
        struct line line;
        round_part(q, x, (14 + 0.1f * (float)step) / width, least);
        if (!fit(&line, q, x, weight))
            continue;
        float error = error_of(&line, q, x, weight);
        if (error < best_error) {
            best = line;
            best_error = error;
        }
    }
    return best;
}

/* A part as it is stored. */
struct part {
    int scale, minimum; /* 0..63, of the block's d and dmin */
    float q[PART];
};

static int sixth(float value, float unit)
{
    return unit > 0 ? (int)clamp(nearest(value / unit), 63) : 0;
}

/* Rounding scale and minimum to six bits spoils what was found; their neighbours are tried, too. */
static struct part settle(const struct line *line, float d, float dmin, const float *x,
                          const float *weight)
{
    struct part best = {0};
    float best_error = 0;
    bool found = false;
    int scale = sixth(line->scale, d), minimum = sixth(line->minimum, dmin);
    for (int s = scale ? scale - 1 : 0; s <= scale + 1 && s <= 63; s++)
        for (int m = minimum ? minimum - 1 : 0; m <= minimum + 1 && m <= 63; m++) {
            struct part part = {.scale = s, .minimum = m};
            struct line stored = {d * (float)s, dmin * (float)m};
            if (stored.scale > 0)
                round_part(part.q, x, 1 / stored.scale, -stored.minimum);
            float error = error_of(&stored, part.q, x, weight);
            if (!found || error < best_error) {
                best = part;
                best_error = error;
                found = true;
            }
        }
    return best;
}

/* Scales and minima of 6 bits: the low ones of parts 0 to 3, then what is left of the others. */
static void pack_parts(uint8_t *out, const struct part *part)
{
    for (size_t j = 0; j < 4; j++) {
        out[j] = (uint8_t)(part[j].scale | part[j + 4].scale >> 4 << 6);
        out[j + 4] = (uint8_t)(part[j].minimum | part[j + 4].minimum >> 4 << 6);
        out[j + 8] = (uint8_t)((part[j + 4].scale & 15) | (part[j + 4].minimum & 15) << 4);
    }
}

enum vs_narrow_fault vs_narrow_q4_k(uint8_t *out, const float *in)
{
    struct line lines[N_PARTS];
    struct part parts[N_PARTS];
    float weight[N_PARTS * PART], scale = 0, minimum = 0;
    for (size_t i = 0; i < PART * N_PARTS; i++)
        if (in[i] > MOST || in[i] < -MOST)
            return VS_NARROW_RANGE;
    for (size_t j = 0; j < N_PARTS; j++) {
        weigh(weight + j * PART, in + j * PART);
        lines[j] = search(in + j * PART, weight + j * PART);
        scale = lines[j].scale > scale ? lines[j].scale : scale;
        minimum = lines[j].minimum > minimum ? lines[j].minimum : minimum;
    }
    uint16_t halves[2] = {vs_half_of(scale / 63), vs_half_of(minimum / 63)};
    if (halves[0] == 0x7c00u || halves[1] == 0x7c00u)
        return VS_NARROW_RANGE;
    /* What is stored counts from here on, so that its rounding is made up for. */
    float d = vs_half_value(halves[0]), dmin = vs_half_value(halves[1]);
    uint8_t *quants = out + 16;
    memcpy(out, halves, sizeof halves);
    memset(quants, 0, PART * N_PARTS / 2);
    for (size_t j = 0; j < N_PARTS; j++) {
        parts[j] = settle(&lines[j], d, dmin, in + j * PART, weight + j * PART);
        for (size_t i = 0; i < PART; i++)
            quants[PART * (j / 2) + i] |= (uint8_t)((unsigned)parts[j].q[i] << (j % 2 ? 4 : 0));
    }
    pack_parts(out + 4, parts);
    return VS_NARROW_OK;
}
