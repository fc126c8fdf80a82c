/* SPDX-License-Identifier: Apache-2.0
 *
 * check_math64.c - the host's float64 functions: accuracy against libm, and their exact bits.
 *
 * The hashes would change if the compiler fused a*b+c, or kept excess precision. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/common/math64.h"

/* Units of 2^-53 of the wanted value; 2^-48 is promised to the tables, 2^-52 is what we have. */
#define LIMIT (LDBL_MANT_DIG > 60 ? 0x1p-52L : 0x1p-48L)

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static double uniform(double low, double high)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return low + (high - low) * ((double)(random_state >> 11) * 0x1p-53);
}

static void near(const char *what, double x, double got, long double want)
{
    long double error = fabsl((long double)got - want);
    ck_assert_msg(error <= LIMIT * fabsl(want), "%s(%a) = %a, want %La", what, x, got, want);
}

START_TEST(sine_and_cosine_are_accurate)
{
    static const double reach[] = {1e-9, 1e-3, 1, 10, 1e3, 1e6, 1e9, 0x1p40};
    for (size_t r = 0; r < sizeof reach / sizeof *reach; r++)
        for (int i = 0; i < 20000; i++) {
            double x = uniform(-reach[r], reach[r]);
            near("sin", x, vs_sin64(x), sinl((long double)x));
            near("cos", x, vs_cos64(x), cosl((long double)x));
        }
}
END_TEST

/* Where almost all digits cancel in the reduction. */
START_TEST(multiples_of_half_pi_keep_their_digits)
{
    const double half_pi = 0x1.921fb54442d18p+0;
    for (double k = 1; k < 0x1p39; k = rint(k * 1.37 + 1)) {
        double x = k * half_pi;
        near("sin", x, vs_sin64(x), sinl((long double)x));
        near("cos", x, vs_cos64(x), cosl((long double)x));
    }
    ck_assert(vs_sin64(0.0) == 0.0);
    ck_assert(vs_cos64(0.0) == 1.0);
}
END_TEST

START_TEST(exponential_is_accurate)
{
    static const double reach[] = {1e-12, 1e-3, 1, 20, 700};
    for (size_t r = 0; r < sizeof reach / sizeof *reach; r++)
        for (int i = 0; i < 20000; i++) {
            double x = uniform(-reach[r], reach[r]);
            near("exp", x, vs_exp64(x), expl((long double)x));
        }
    ck_assert(vs_exp64(0.0) == 1.0);
    ck_assert(vs_exp64(-1e300) == 0.0);
    ck_assert(vs_exp64(-744.0) == 0x1p-1073);
    ck_assert(isinf(vs_exp64(709.9)));
    near("exp", 709.7, vs_exp64(709.7), expl((long double)709.7));
    ck_assert(isinf(vs_exp64(1e300)));
}
END_TEST

START_TEST(logarithm_is_accurate)
{
    for (int i = 0; i < 100000; i++) {
        double x = vs_exp64(uniform(-700, 700));
        near("log", x, vs_log64(x), logl((long double)x));
        x = uniform(0.5, 2);
        near("log", x, vs_log64(x), logl((long double)x));
        x = 1 + uniform(-1e-9, 1e-9);
        near("log", x, vs_log64(x), logl((long double)x));
    }
    near("log", 0x1p-1074, vs_log64(0x1p-1074), logl(0x1p-1074L));
    ck_assert(vs_log64(1.0) == 0.0);
}
END_TEST

START_TEST(log1p_is_accurate)
{
    static const double reach[] = {1e-300, 1e-18, 1e-16, 1e-15, 1e-9, 1e-3, 1};
    for (size_t r = 0; r < sizeof reach / sizeof *reach; r++)
        for (int i = 0; i < 20000; i++) {
            double x = uniform(-reach[r], reach[r]);
            near("log1p", x, vs_log1p64(x), log1pl((long double)x));
        }
    for (int i = 0; i < 10000; i++) {
        double x = vs_exp64(uniform(0, 100));
        near("log1p", x, vs_log1p64(x), log1pl((long double)x));
    }
    ck_assert(vs_log1p64(0.0) == 0.0);
}
END_TEST

START_TEST(frequencies_are_accurate)
{
    for (size_t n = 1; n <= 200; n++)
        for (size_t i = 0; i <= n; i++)
            near("pow10000", (double)i / (double)n, vs_pow10000(i, n),
                 powl(10000.0L, -(long double)i / (long double)n));
    ck_assert(vs_pow10000(0, 7) == 1.0);
}
END_TEST

START_TEST(arguments_out_of_range_give_the_documented_values)
{
    const double nan = (double)NAN, infinity = (double)INFINITY;
    ck_assert(isnan(vs_sin64(0x1.1p40)) && isnan(vs_cos64(-0x1.1p40)));
    ck_assert(isnan(vs_sin64(infinity)) && isnan(vs_cos64(nan)));
    ck_assert(isnan(vs_exp64(nan)) && vs_exp64(infinity) == infinity && vs_exp64(-infinity) == 0);
    ck_assert(isnan(vs_log64(nan)) && isnan(vs_log64(-1)) && vs_log64(0) == -infinity);
    ck_assert(vs_log64(infinity) == infinity && vs_log1p64(infinity) == infinity);
    ck_assert(isnan(vs_log1p64(nan)) && isnan(vs_log1p64(-1.5)) && vs_log1p64(-1) == -infinity);
}
END_TEST

/* FNV-1a over the bits of a value. */
static uint64_t hashed(uint64_t hash, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    for (int i = 0; i < 8; i++)
        hash = (hash ^ (bits >> (8 * i) & 0xff)) * 0x100000001b3u;
    return hash;
}

START_TEST(bits_are_the_same_everywhere)
{
    uint64_t sine = 0xcbf29ce484222325u, cosine = sine, exponential = sine, logarithm = sine,
             log1p = sine, power = sine;
    for (int i = 0; i < 50000; i++) {
        double x = 0.0123456789 * i * i;
        sine = hashed(sine, vs_sin64(x));
        cosine = hashed(cosine, vs_cos64(x));
        exponential = hashed(exponential, vs_exp64(1e-6 * x - 20));
        logarithm = hashed(logarithm, vs_log64(1e-3 * x + 1e-9));
        log1p = hashed(log1p, vs_log1p64(1e-7 * x - 0.999));
    }
    for (size_t n = 1; n <= 128; n++)
        for (size_t i = 0; i < n; i++)
            power = hashed(power, vs_pow10000(i, n));
    ck_assert_uint_eq(sine, 0x13988cbad3837c04u);
    ck_assert_uint_eq(cosine, 0xa0c52292b3e65518u);
    ck_assert_uint_eq(exponential, 0xa543f18da0045eb4u);
    ck_assert_uint_eq(logarithm, 0x3791d406419d8d49u);
    ck_assert_uint_eq(log1p, 0x315bcc48a9d7613du);
    ck_assert_uint_eq(power, 0xd9459983579d7dd7u);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("math64");
    TCase *tcase = tcase_create("math64");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, sine_and_cosine_are_accurate);
    tcase_add_test(tcase, multiples_of_half_pi_keep_their_digits);
    tcase_add_test(tcase, exponential_is_accurate);
    tcase_add_test(tcase, logarithm_is_accurate);
    tcase_add_test(tcase, log1p_is_accurate);
    tcase_add_test(tcase, frequencies_are_accurate);
    tcase_add_test(tcase, arguments_out_of_range_give_the_documented_values);
    tcase_add_test(tcase, bits_are_the_same_everywhere);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
