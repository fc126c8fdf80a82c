/* SPDX-License-Identifier: Apache-2.0
 *
 * noise.c - Philox and torch noise; float64 functions of kernels/common/math64.h, never libm. */
#include "models/noise.h"

#include <math.h>
#include <stdlib.h>

#include "cl/alloc.h"
#include "kernels/common/math64.h"

#define TWO_PI 6.283185307179586

/* ---- Philox ------------------------------------------------------------------------------- */

void vs_philox_words(uint32_t words[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xd2511f53 * c0, r = (uint64_t)0xcd9e8d57 * c2;
        c0 = (uint32_t)(r >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)r;
        c3 = (uint32_t)p;
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

void vs_philox_fill(float *out, size_t n, uint64_t seed, uint32_t call)
{
    /* 2 pi as a float32, as the GPU generator has it that this one imitates. */
    const double turn = 0x1p-32 * 6.2831854820251465;
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t i = 0; i < n; i++) {
        uint32_t words[4];
        vs_philox_words(words, (uint32_t[]){call, 0, (uint32_t)i, 0}, key);
        double u = (words[0] + 0.5) * 0x1p-32, angle = (words[1] + 0.5) * turn;
        out[i] = (float)(sqrt(-2.0 * vs_log64(u)) * vs_sin64(angle));
    }
}

/* ---- torch -------------------------------------------------------------------------------- */

void vs_torch_seed(struct vs_torch_rng *rng, uint64_t seed)
{
    uint32_t *s = rng->state;
    s[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < VS_MT19937_WORDS; i++)
        s[i] = 1812433253u * (s[i - 1] ^ (s[i - 1] >> 30)) + i;
    rng->used = VS_MT19937_WORDS;
    rng->has_kept = false;
    rng->kept = 0;
}

static void twist(struct vs_torch_rng *rng)
{
    uint32_t *s = rng->state;
    for (size_t i = 0; i < VS_MT19937_WORDS; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % VS_MT19937_WORDS] & 0x7fffffffu);
        s[i] = s[(i + 397) % VS_MT19937_WORDS] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    rng->used = 0;
}

uint32_t vs_torch_word(struct vs_torch_rng *rng)
{
    if (rng->used == VS_MT19937_WORDS)
        twist(rng);
    uint32_t y = rng->state[rng->used++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

void vs_torch_skip(struct vs_torch_rng *rng, size_t n)
{
    while (n > VS_MT19937_WORDS - rng->used) {
        n -= VS_MT19937_WORDS - rng->used;
        twist(rng);
    }
    rng->used += n;
}

static double uniform53(struct vs_torch_rng *rng)
{
    uint64_t high = vs_torch_word(rng);
    uint64_t low = vs_torch_word(rng);
    return (double)((high << 32 | low) & (((uint64_t)1 << 53) - 1)) * 0x1p-53;
}

static float paired_normal(struct vs_torch_rng *rng)
{
    if (rng->has_kept) {
        rng->has_kept = false;
        return (float)rng->kept;
    }
    double u1 = uniform53(rng), u2 = uniform53(rng);
    double radius = sqrt(-2.0 * vs_log1p64(-u2)), angle = TWO_PI * u1;
    rng->kept = radius * vs_sin64(angle);
    rng->has_kept = true;
    return (float)(radius * vs_cos64(angle));
}

/* 16 normals from 16 uniforms: the first eight give radii, the others angles. Rounded to float32
 * after every step, as torch works here; the angle alone would differ by 2e-7 otherwise. */
static void normal_group(struct vs_torch_rng *rng, float out[16])
{
    float x[16];
    for (int j = 0; j < 16; j++)
        x[j] = (float)(vs_torch_word(rng) & 0xffffff) * 0x1p-24f;
    for (int j = 0; j < 8; j++) {
        float radius = sqrtf(-2.0f * (float)vs_log64((double)(1.0f - x[j])));
        float angle = (float)TWO_PI * x[j + 8];
        out[j] = radius * (float)vs_cos64((double)angle);
        out[j + 8] = radius * (float)vs_sin64((double)angle);
    }
}

void vs_torch_randn(struct vs_torch_rng *rng, float *out, size_t n)
{
    if (n < 16) {
        for (size_t i = 0; i < n; i++)
            out[i] = paired_normal(rng);
        return;
    }
    for (size_t i = 0; i + 16 <= n; i += 16)
        normal_group(rng, out + i);
    if (n % 16) {
        /* The uniforms of the incomplete group are drawn and lost. */
        vs_torch_skip(rng, n % 16);
        normal_group(rng, out + n - 16);
    }
}

/* ---- The noise of a video ----------------------------------------------------------------- */

/* A place in the stream: draws of n_elements each, counted from a word of the stream. */
struct position {
    struct vs_torch_rng rng;
    size_t draw; /* the next one */
};

struct vs_noise_source {
    enum vs_noise kind;
    uint64_t seed;
    size_t n_chunks, n_steps, n_elements;
    struct position initial, renoise; /* torch only */
};

/* Back to the first draw; the re-noising draws follow the initial noise of all chunks. */
static void rewind_to(const struct vs_noise_source *source, struct position *position)
{
    vs_torch_seed(&position->rng, source->seed);
    if (position == &source->renoise)
        vs_torch_skip(&position->rng, source->n_chunks * source->n_elements);
    position->draw = 0;
}

enum vs_status vs_noise_create(struct vs_noise_source **out, enum vs_noise kind, uint64_t seed,
                               size_t n_chunks, size_t n_steps, size_t n_elements)
{
    const uint64_t limit = (uint64_t)1 << 32;
    size_t n_draws, n_values;
    *out = NULL;
    if (!n_chunks || !n_steps || !n_elements)
        return vs_fail(VS_ERROR_USAGE, "noise: a video needs chunks, steps and a picture size");
    if (!vs_mul_ok(n_chunks, n_steps, &n_draws) || n_draws > limit || n_elements > limit ||
        !vs_mul_ok(n_draws, n_elements, &n_values))
        return vs_fail(VS_ERROR_USAGE,
                       "noise: %zu chunks of %zu steps and %zu values are more than the generator "
                       "counts; ask for a shorter or smaller video",
                       n_chunks, n_steps, n_elements);
    if (kind == VS_NOISE_TORCH && n_elements % 16)
        return vs_fail(VS_ERROR_USAGE,
                       "--noise torch: a chunk of %zu values is no multiple of 16; use --noise "
                       "philox",
                       n_elements);
    struct vs_noise_source *source = vs_alloc(1, sizeof *source);
    if (!source)
        return VS_ERROR_MEMORY;
    *source = (struct vs_noise_source){.kind = kind,
                                       .seed = seed,
                                       .n_chunks = n_chunks,
                                       .n_steps = n_steps,
                                       .n_elements = n_elements};
    if (kind == VS_NOISE_TORCH) {
        rewind_to(source, &source->initial);
        rewind_to(source, &source->renoise);
    }
    *out = source;
    return VS_OK;
}

void vs_noise_free(struct vs_noise_source *source)
{
    free(source);
}

/* Chunks are multiples of 16 values, so that no draw is cut and none draws its end again: each
 * takes as many words as it gives values. */
static void torch_draw(const struct vs_noise_source *source, struct position *position, size_t draw,
                       float *out)
{
    if (draw < position->draw)
        rewind_to(source, position);
    vs_torch_skip(&position->rng, (draw - position->draw) * source->n_elements);
    vs_torch_randn(&position->rng, out, source->n_elements);
    position->draw = draw + 1;
}

void vs_noise_get(struct vs_noise_source *source, size_t chunk, size_t step, float *out)
{
    if (source->kind == VS_NOISE_PHILOX)
        vs_philox_fill(out, source->n_elements, source->seed,
                       (uint32_t)(chunk * source->n_steps + step));
    else if (step == 0)
        torch_draw(source, &source->initial, chunk, out);
    else
        torch_draw(source, &source->renoise, chunk * (source->n_steps - 1) + step - 1, out);
}
