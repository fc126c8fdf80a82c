/* SPDX-License-Identifier: Apache-2.0
 *
 * check_noise.c - known answers of the generators, the order of draws, and the sampler's tables.
 *
 * The golden cases philox_*, torch_cpu_*, scheduler_* and time_features_* run in golden-run. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/noise.h"
#include "models/scheduler.h"

/* FNV-1a over the bits of n floats. */
static uint64_t hashed(const float *x, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        for (int j = 0; j < 32; j += 8)
            hash = (hash ^ (bits >> j & 0xff)) * 0x100000001b3u;
    }
    return hash;
}

static void expect_equal(const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(got[i] == want[i], "value %zu: %a, want %a", i, (double)got[i],
                      (double)want[i]);
}

/* ---- Philox ------------------------------------------------------------------------------- */

START_TEST(philox_gives_the_published_words)
{
    uint32_t words[4];
    vs_philox_words(words, (uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0});
    ck_assert_uint_eq(words[0], 0x6627e8d5);
    ck_assert_uint_eq(words[1], 0xe169c58d);
    ck_assert_uint_eq(words[2], 0xbc57ac4c);
    ck_assert_uint_eq(words[3], 0x9b00dbd8);
    const uint32_t ones = UINT32_MAX;
    vs_philox_words(words, (uint32_t[4]){ones, ones, ones, ones}, (uint32_t[2]){ones, ones});
    ck_assert_uint_eq(words[0], 0x408f276d);
    ck_assert_uint_eq(words[1], 0x41c83b0e);
    ck_assert_uint_eq(words[2], 0xa20bc7c6);
    ck_assert_uint_eq(words[3], 0x6d5451fd);
}
END_TEST

START_TEST(philox_bits_are_the_same_everywhere)
{
    static float x[4096];
    vs_philox_fill(x, 4096, 7, 3);
    ck_assert_uint_eq(hashed(x, 4096), 0x15a70c4e34490ba5u);
    float first[5];
    vs_philox_fill(first, 5, 7, 3);
    expect_equal(first, x, 5);
}
END_TEST

START_TEST(philox_uses_the_whole_seed)
{
    float low[8], high[8];
    vs_philox_fill(low, 8, 7, 0);
    vs_philox_fill(high, 8, 7 | (uint64_t)1 << 40, 0);
    ck_assert(memcmp(low, high, sizeof low) != 0);
}
END_TEST

/* ---- torch -------------------------------------------------------------------------------- */

START_TEST(mersenne_twister_gives_the_published_words)
{
    struct vs_torch_rng rng;
    vs_torch_seed(&rng, 5489 | (uint64_t)1 << 32);
    ck_assert_uint_eq(vs_torch_word(&rng), 3499211612u);
    vs_torch_skip(&rng, 9998);
    ck_assert_uint_eq(vs_torch_word(&rng), 4123659995u);
}
END_TEST

START_TEST(skipping_words_equals_drawing_them)
{
    static const size_t lengths[] = {0, 1, 623, 624, 625, 1247, 1248, 5000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct vs_torch_rng a, b;
        vs_torch_seed(&a, 99);
        vs_torch_seed(&b, 99);
        for (size_t j = 0; j < lengths[i]; j++)
            (void)vs_torch_word(&a);
        vs_torch_skip(&b, lengths[i]);
        for (int j = 0; j < 1300; j++)
            ck_assert_uint_eq(vs_torch_word(&a), vs_torch_word(&b));
    }
}
END_TEST

START_TEST(torch_bits_are_the_same_everywhere)
{
    static float x[4099];
    struct vs_torch_rng rng;
    vs_torch_seed(&rng, 7);
    vs_torch_randn(&rng, x, 4096);
    vs_torch_randn(&rng, x + 4096, 3);
    ck_assert_uint_eq(hashed(x, 4099), 0x15e877b337f76fdu);
}
END_TEST

START_TEST(torch_keeps_a_value_across_short_calls_only)
{
    struct vs_torch_rng one, many;
    float a[6], b[6], skipped[16];
    vs_torch_seed(&one, 5);
    vs_torch_seed(&many, 5);
    vs_torch_randn(&one, a, 6);
    vs_torch_randn(&many, b, 1);
    vs_torch_randn(&many, b + 1, 3);
    vs_torch_randn(&many, b + 4, 2);
    expect_equal(b, a, 6);
    vs_torch_seed(&one, 5);
    vs_torch_randn(&one, b, 1);
    vs_torch_randn(&one, skipped, 16);
    vs_torch_randn(&one, b + 1, 1);
    expect_equal(b, a, 2);
}
END_TEST

START_TEST(torch_draws_the_last_sixteen_again)
{
    struct vs_torch_rng rng;
    float a[21], whole[32], last[16];
    vs_torch_seed(&rng, 11);
    vs_torch_randn(&rng, a, 21);
    vs_torch_seed(&rng, 11);
    vs_torch_randn(&rng, whole, 32);
    expect_equal(a, whole, 5);
    vs_torch_seed(&rng, 11);
    vs_torch_skip(&rng, 21);
    vs_torch_randn(&rng, last, 16);
    expect_equal(a + 5, last, 16);
}
END_TEST

/* ---- The noise of a video ----------------------------------------------------------------- */

enum { CHUNKS = 5, STEPS = 3, ELEMENTS = 672 };

/* One call for the initial noise of all chunks, then one for each chunk and re-noising step. */
static void draw_as_torch_does(float *noise, uint64_t seed)
{
    static float initial[CHUNKS * ELEMENTS];
    struct vs_torch_rng rng;
    vs_torch_seed(&rng, seed);
    vs_torch_randn(&rng, initial, CHUNKS * ELEMENTS);
    for (size_t chunk = 0; chunk < CHUNKS; chunk++) {
        float *of_chunk = noise + chunk * STEPS * ELEMENTS;
        memcpy(of_chunk, initial + chunk * ELEMENTS, ELEMENTS * sizeof *noise);
        for (size_t step = 1; step < STEPS; step++)
            vs_torch_randn(&rng, of_chunk + step * ELEMENTS, ELEMENTS);
    }
}

static void draw_by_philox(float *noise, uint64_t seed)
{
    for (size_t call = 0; call < CHUNKS * STEPS; call++)
        vs_philox_fill(noise + call * ELEMENTS, ELEMENTS, seed, (uint32_t)call);
}

/* In order, resumed at each chunk, and backwards. */
static void expect_source(enum vs_noise kind, const float *noise, uint64_t seed)
{
    static float got[ELEMENTS];
    struct vs_noise_source *source;
    for (size_t first = 0; first < CHUNKS; first++) {
        ck_assert_int_eq(vs_noise_create(&source, kind, seed, CHUNKS, STEPS, ELEMENTS), VS_OK);
        for (size_t call = first * STEPS; call < CHUNKS * STEPS; call++) {
            vs_noise_get(source, call / STEPS, call % STEPS, got);
            expect_equal(got, noise + call * ELEMENTS, ELEMENTS);
        }
        for (size_t call = CHUNKS * STEPS; call-- > 0;) {
            vs_noise_get(source, call / STEPS, call % STEPS, got);
            expect_equal(got, noise + call * ELEMENTS, ELEMENTS);
        }
        vs_noise_free(source);
    }
}

START_TEST(torch_source_follows_the_order_of_self_forcing)
{
    static float noise[CHUNKS * STEPS * ELEMENTS];
    draw_as_torch_does(noise, 1234);
    expect_source(VS_NOISE_TORCH, noise, 1234);
}
END_TEST

START_TEST(philox_source_counts_calls_over_chunks_and_steps)
{
    static float noise[CHUNKS * STEPS * ELEMENTS];
    draw_by_philox(noise, 12345678901234);
    expect_source(VS_NOISE_PHILOX, noise, 12345678901234);
}
END_TEST

START_TEST(source_with_one_step_draws_no_renoise)
{
    struct vs_noise_source *source;
    struct vs_torch_rng rng;
    float want[32], got[16];
    ck_assert_int_eq(vs_noise_create(&source, VS_NOISE_TORCH, 1, 2, 1, 16), VS_OK);
    vs_torch_seed(&rng, 1);
    vs_torch_randn(&rng, want, 32);
    vs_noise_get(source, 1, 0, got);
    expect_equal(got, want + 16, 16);
    vs_noise_free(source);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
    struct vs_noise_source *source;
    ck_assert_int_eq(vs_noise_create(&source, VS_NOISE_TORCH, 1, 2, 4, 17), VS_ERROR_USAGE);
    ck_assert_ptr_null(source);
    ck_assert_int_eq(vs_noise_create(&source, VS_NOISE_PHILOX, 1, 0, 4, 16), VS_ERROR_USAGE);
    ck_assert_int_eq(vs_noise_create(&source, VS_NOISE_PHILOX, 1, SIZE_MAX, 4, 16), VS_ERROR_USAGE);
    ck_assert_int_eq(vs_noise_create(&source, VS_NOISE_PHILOX, 1, (size_t)1 << 31, 4, 16),
                     VS_ERROR_USAGE);
    ck_assert_int_eq(vs_noise_create(&source, VS_NOISE_PHILOX, 1, 2, 4, (size_t)1 << 33),
                     VS_ERROR_USAGE);
}
END_TEST

/* ---- Sampler ------------------------------------------------------------------------------ */

START_TEST(schedule_is_warped_and_rounded_once)
{
    const unsigned steps[] = {1000, 900, 750, 666, 375, 125, 0};
    float sigma[7], timestep[7];
    ck_assert_int_eq(vs_schedule(sigma, timestep, steps, 7, 5.0), VS_OK);
    const float want_sigma[] = {1, 0.978260875f, 0.9375f, 0.908842802f, 0.75f, 0.416666657f, 0};
    const float want_timestep[] = {1000, 978.260864f, 937.5f, 908.842773f, 750, 416.666656f, 0};
    expect_equal(sigma, want_sigma, 7);
    expect_equal(timestep, want_timestep, 7);
}
END_TEST

START_TEST(schedule_refuses_what_cannot_be)
{
    float sigma, timestep;
    ck_assert_int_eq(vs_schedule(&sigma, &timestep, (unsigned[]){1001}, 1, 5.0), VS_ERROR_MODEL);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "1001"));
    ck_assert_int_eq(vs_schedule(&sigma, &timestep, (unsigned[]){1}, 1, 0.0), VS_ERROR_MODEL);
    ck_assert_int_eq(vs_schedule(&sigma, &timestep, (unsigned[]){1}, 1, -1.0), VS_ERROR_MODEL);
    ck_assert_int_eq(vs_schedule(&sigma, &timestep, (unsigned[]){1}, 1, (double)NAN),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(vs_schedule(&sigma, &timestep, (unsigned[]){1}, 1, (double)INFINITY),
                     VS_ERROR_MODEL);
}
END_TEST

START_TEST(time_features_are_cosines_then_sines)
{
    float y[256];
    vs_time_features(y, 0.0, 256);
    for (int i = 0; i < 128; i++)
        ck_assert(y[i] == 1.0f && y[128 + i] == 0.0f);
    vs_time_features(y, 937.5, 256);
    for (int i = 0; i < 128; i++) {
        double angle = 937.5 * pow(10000.0, -i / 128.0);
        ck_assert_double_eq_tol((double)y[i], cos(angle), 1e-7);
        ck_assert_double_eq_tol((double)y[128 + i], sin(angle), 1e-7);
    }
    ck_assert_uint_eq(hashed(y, 256), 0x3979b4d077341d6cu);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("noise");
    TCase *tcase = tcase_create("noise");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, philox_gives_the_published_words);
    tcase_add_test(tcase, philox_bits_are_the_same_everywhere);
    tcase_add_test(tcase, philox_uses_the_whole_seed);
    tcase_add_test(tcase, mersenne_twister_gives_the_published_words);
    tcase_add_test(tcase, skipping_words_equals_drawing_them);
    tcase_add_test(tcase, torch_bits_are_the_same_everywhere);
    tcase_add_test(tcase, torch_keeps_a_value_across_short_calls_only);
    tcase_add_test(tcase, torch_draws_the_last_sixteen_again);
    tcase_add_test(tcase, torch_source_follows_the_order_of_self_forcing);
    tcase_add_test(tcase, philox_source_counts_calls_over_chunks_and_steps);
    tcase_add_test(tcase, source_with_one_step_draws_no_renoise);
    tcase_add_test(tcase, impossible_sizes_are_refused);
    tcase_add_test(tcase, schedule_is_warped_and_rounded_once);
    tcase_add_test(tcase, schedule_refuses_what_cannot_be);
    tcase_add_test(tcase, time_features_are_cosines_then_sines);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
