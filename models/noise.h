/* SPDX-License-Identifier: Apache-2.0
 *
 * noise.h - the Gaussian noise a video starts from, made on the host.
 *
 * Two kinds. Philox: every value is a function of (seed, call, element), so nothing is kept and
 * any chunk can be drawn at any time. Torch: the stream of torch's CPU generator in the order in
 * which Self-Forcing draws it, whose initial noise is one call over the whole video; two generator
 * positions give its chunks one by one. */
#ifndef VS_MODELS_NOISE_H
#define VS_MODELS_NOISE_H

#include "cl/status.h"

/* ---- Philox4x32-10 (Salmon et al. 2011) --------------------------------------------------- */

/* The four words for a counter and a key. */
void vs_philox_words(uint32_t words[4], const uint32_t counter[4], const uint32_t key[2]);

/* Values 0..n-1 of a call under a seed, n <= 2^32: counter (call, 0, i, 0), key (low, high). */
void vs_philox_fill(float *out, size_t n, uint64_t seed, uint32_t call);

/* ---- torch's CPU generator ---------------------------------------------------------------- */

enum { VS_MT19937_WORDS = 624 };

struct vs_torch_rng {
    uint32_t state[VS_MT19937_WORDS];
    size_t used;    /* words of the state given out already */
    double kept;    /* second value of a pair, for the next short call */
    bool has_kept;
};

/* Starts with the low 32 bits of seed, as torch does. */
void vs_torch_seed(struct vs_torch_rng *rng, uint64_t seed);

uint32_t vs_torch_word(struct vs_torch_rng *rng);

/* Passes over n words. */
void vs_torch_skip(struct vs_torch_rng *rng, size_t n);

/* What randn(n) gives. Calls with n < 16 make values in pairs and may keep one; calls with n >= 16
 * work in groups of 16 and draw the last 16 again when n is no multiple of 16. */
void vs_torch_randn(struct vs_torch_rng *rng, float *out, size_t n);

/* ---- The noise of a video ----------------------------------------------------------------- */

struct vs_noise_source;

/* Noise for n_chunks chunks of n_elements each ([frame, channel, row, column]) and n_steps
 * denoising steps. VS_ERROR_USAGE: more draws or elements than the generator counts (2^32), a
 * zero, or (torch) a chunk that is no multiple of 16 values; VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_noise_create(struct vs_noise_source **source, enum vs_noise kind,
                                        uint64_t seed, size_t n_chunks, size_t n_steps,
                                        size_t n_elements);
void vs_noise_free(struct vs_noise_source *source);

/* Noise of one chunk: step 0 is what it starts from, step s > 0 is mixed in before denoising step
 * s. chunk < n_chunks, step < n_steps. Any order gives the same values; torch's kind is fast in
 * ascending order and walks through its stream otherwise. */
void vs_noise_get(struct vs_noise_source *source, size_t chunk, size_t step, float *out);

#endif
