/* SPDX-License-Identifier: Apache-2.0
 *
 * check_narrow.c - float32 in narrower formats: against float64, against tables of all values, and
 * against the plainest way to fill a block. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/sha256.h"
#include "kernels/convert/narrow.h"
#include "tests/check_common.h"

/* ---- Numbers of their own ----------------------------------------------------------------- */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Every half and every bfloat comes back; NaN stays NaN. */
START_TEST(plain_formats_come_back)
{
    static const enum vs_dtype dtypes[] = {VS_F16, VS_BF16};
    for (size_t d = 0; d < 2; d++)
        for (uint32_t bits = 0; bits < 65536; bits++) {
            uint16_t in = (uint16_t)bits, out = 0;
            float value;
            vs_dtype_read(&value, &in, dtypes[d], 1);
            ck_assert_int_eq((int)vs_dtype_narrow(&out, &value, dtypes[d], 1), VS_NARROW_OK);
            float again;
            vs_dtype_read(&again, &out, dtypes[d], 1);
            if (isnan(value) ? !isnan(again) : out != in)
                ck_abort_msg("%s %04x became %04x", vs_dtype_info(dtypes[d])->name, in, out);
        }
}
END_TEST

/* The nearest of a format's values, the even one of two: from the table of all halves, and of all
 * bfloats, by distance in float64. */
START_TEST(plain_formats_round_to_nearest)
{
    static const enum vs_dtype dtypes[] = {VS_F16, VS_BF16};
    enum vs_dtype dtype = dtypes[_i];
    uint16_t infinity = dtype == VS_F16 ? 0x7c00 : 0x7f80;
    for (int i = 0; i < 200000; i++) {
        /* Halves between 2^-26 and 2^16, ties among them; any bfloat. */
        uint32_t bits = (uint32_t)check_random();
        if (dtype == VS_F16)
            bits = (bits & 0x80000000u) | ((101u << 23) + bits % (42u << 23));
        if (i % 4 == 0)
            bits &= ~0xfffu;
        float value = float_of(bits);
        if (!isfinite(value))
            continue;
        uint16_t got = 0;
        if (vs_dtype_narrow(&got, &value, dtype, 1) == VS_NARROW_RANGE) {
            ck_assert(fabs((double)value) >= (dtype == VS_F16 ? 65520 : 0x1.ffp127));
            continue;
        }
        uint16_t magnitude = got & 0x7fff;
        ck_assert_uint_lt(magnitude, infinity);
        for (int step = -1; step <= 1; step += 2) {
            uint16_t other = (uint16_t)(magnitude + step);
            if ((magnitude == 0 && step < 0) || other >= infinity)
                continue;
            float a, b;
            other |= got & 0x8000;
            vs_dtype_read(&a, &got, dtype, 1);
            vs_dtype_read(&b, &other, dtype, 1);
            double to_a = fabs((double)a - (double)value), to_b = fabs((double)b - (double)value);
            if (to_b < to_a || (to_b == to_a && got & 1))
                ck_abort_msg("%a became %a, and %a is nearer", (double)value, (double)a,
                             (double)b);
        }
    }
}
END_TEST

START_TEST(formats_refuse_what_they_cannot_hold)
{
    float block[256] = {0};
    uint8_t out[1024];
    block[7] = 65520;
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_F16, 32), VS_NARROW_RANGE);
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_BF16, 32), VS_NARROW_OK);
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_Q8_0, 32), VS_NARROW_OK);
    block[7] = 0x1.fffp127f;
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_BF16, 32), VS_NARROW_RANGE);
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_F32, 32), VS_NARROW_OK);
    block[7] = 65520.0f * 127;
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_Q8_0, 32), VS_NARROW_RANGE);
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_Q4_K, 256), VS_NARROW_OK);
    block[7] = -6.2e7f;
    ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_Q4_K, 256), VS_NARROW_RANGE);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        block[7] = bad[i];
        ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_Q8_0, 32), VS_NARROW_NONFINITE);
        ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_Q4_K, 256), VS_NARROW_NONFINITE);
        ck_assert_int_eq((int)vs_dtype_narrow(out, block, VS_F16, 256), VS_NARROW_OK);
    }
}
END_TEST

/* ---- Blocks ------------------------------------------------------------------------------- */

/* Data that a block meets: weights, all of one sign, one large value among small ones, equal
 * values, few, tiny, huge ones. */
enum { N_KINDS = 8 };

static void fill(float *x, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        float g = check_gauss();
        x[i] = kind == 0   ? 0.02f * g
               : kind == 1 ? fabsf(g)
               : kind == 2 ? -fabsf(g) - 3
               : kind == 3 ? (i % 32 == 5 ? 100 * g : 0.01f * g)
               : kind == 4 ? 0.25f
               : kind == 5 ? (i % 64 == 0 ? g : 0)
               : kind == 6 ? 1e-6f * g
                           : 1e4f * g;
    }
}

/* The bound of narrow.h, in float64. */
START_TEST(q8_0_keeps_its_bound)
{
    float x[32], y[32];
    uint8_t block[34];
    for (int turn = 0; turn < 2000; turn++) {
        fill(x, 32, _i);
        ck_assert_int_eq((int)vs_dtype_narrow(block, x, VS_Q8_0, 32), VS_NARROW_OK);
        vs_dtype_widen(y, block, VS_Q8_0, 32);
        double most = 0;
        for (size_t i = 0; i < 32; i++)
            most = fmax(most, fabs((double)x[i]));
        for (size_t i = 0; i < 32; i++)
            if (!(fabs((double)x[i] - (double)y[i]) <= 0.57 * most / 127 + 0x1p-18))
                ck_abort_msg("%g became %g in a block up to %g", (double)x[i], (double)y[i], most);
    }
}
END_TEST

/* Squares of the faults of the plainest way to fill a Q4_K block: scale and minimum of each part
 * from its smallest and largest value, in float64. */
static double plain_q4_k(const float *x)
{
    double scale[8], minimum[8], top = 0, bottom = 0, sum = 0;
    for (size_t j = 0; j < 8; j++) {
        double least = 0, most = (double)x[32 * j];
        for (size_t i = 32 * j; i < 32 * j + 32; i++) {
            least = fmin(least, (double)x[i]);
            most = fmax(most, (double)x[i]);
        }
        scale[j] = (most - least) / 15;
        minimum[j] = -least;
        top = fmax(top, scale[j]);
        bottom = fmax(bottom, minimum[j]);
    }
    double d = (double)vs_half_value(vs_half_of((float)(top / 63)));
    double dmin = (double)vs_half_value(vs_half_of((float)(bottom / 63)));
    for (size_t j = 0; j < 8; j++) {
        double s = d > 0 ? d * fmin(63, rint(scale[j] / d)) : 0;
        double m = dmin > 0 ? dmin * fmin(63, rint(minimum[j] / dmin)) : 0;
        for (size_t i = 32 * j; i < 32 * j + 32; i++) {
            double q = s > 0 ? fmax(0, fmin(15, rint(((double)x[i] + m) / s))) : 0;
            sum += (s * q - m - (double)x[i]) * (s * q - m - (double)x[i]);
        }
    }
    return sum;
}

/* Over many blocks the search is never worse than the plain way, and clearly better on what weights
 * look like. No value is off by more than a fifth of the largest, or, where values are tiny, by what
 * the rounding of a half does 63 times 15: 2^-25 63 15 < 2^-15. */
START_TEST(q4_k_searches)
{
    enum { N_BLOCKS = 200 };
    float x[256], y[256];
    uint8_t block[144];
    double plain = 0, searched = 0;
    for (int turn = 0; turn < N_BLOCKS; turn++) {
        fill(x, 256, _i);
        ck_assert_int_eq((int)vs_dtype_narrow(block, x, VS_Q4_K, 256), VS_NARROW_OK);
        vs_dtype_widen(y, block, VS_Q4_K, 256);
        plain += plain_q4_k(x);
        double width = 0;
        for (size_t i = 0; i < 256; i++) {
            searched += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            width = fmax(width, fabs((double)x[i]));
        }
        for (size_t i = 0; i < 256; i++)
            if (!(fabs((double)x[i] - (double)y[i]) <= 0.2 * width + 0x1p-15))
                ck_abort_msg("%g became %g in a block up to %g", (double)x[i], (double)y[i],
                             width);
    }
    ck_assert_msg(searched <= plain * (_i == 0 ? 0.9 : 1) + 256 * 0x1p-50 * N_BLOCKS,
                  "squares of faults: %g, and %g without a search", searched, plain);
}
END_TEST

/* What a decoder says of a block is held by a block: encoding it again loses next to nothing. */
START_TEST(blocks_are_stable)
{
    static const enum vs_dtype dtypes[] = {VS_Q8_0, VS_Q4_K};
    for (size_t d = 0; d < 2; d++) {
        float x[256], y[256], z[256];
        uint8_t block[272];
        for (int turn = 0; turn < 100; turn++) {
            fill(x, 256, 0);
            ck_assert_int_eq((int)vs_dtype_narrow(block, x, dtypes[d], 256), VS_NARROW_OK);
            vs_dtype_widen(y, block, dtypes[d], 256);
            ck_assert_int_eq((int)vs_dtype_narrow(block, y, dtypes[d], 256), VS_NARROW_OK);
            vs_dtype_widen(z, block, dtypes[d], 256);
            double lost = 0, first = 0;
            for (size_t i = 0; i < 256; i++) {
                lost += ((double)z[i] - (double)y[i]) * ((double)z[i] - (double)y[i]);
                first += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            }
            ck_assert_msg(lost <= 0.3 * first, "%g was lost, after %g", lost, first);
        }
    }
}
END_TEST

/* The same bytes everywhere: a compiler that fuses, or reorders sums, changes these hashes. */
START_TEST(blocks_have_known_bytes)
{
    static const struct {
        enum vs_dtype dtype;
        const char *sha256;
    } known[] = {{VS_Q8_0, "fcfc544db1d4487c4890b5b1a54425442db5dca1806e4403e5fb0ffe32f04be2"},
                 {VS_Q4_K, "dde1c333d110b22573fb72f45be0dbbc002876336a527db972f182ff8655f990"}};
    enum { N = 4096 };
    static float x[N];
    static uint8_t out[N * 2];
    uint64_t state = 1;
    for (size_t i = 0; i < N; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(state >> 32) * 0x1p-33f; /* whole numbers, scaled: exact */
    }
    for (size_t i = 0; i < 2; i++) {
        const struct vs_dtype_info *info = vs_dtype_info(known[i].dtype);
        struct vs_sha256 hash;
        char hex[65];
        ck_assert_int_eq((int)vs_dtype_narrow(out, x, known[i].dtype, N), VS_NARROW_OK);
        vs_sha256_init(&hash);
        vs_sha256_update(&hash, out, N / info->n_elements * info->n_bytes);
        vs_sha256_hex(&hash, hex);
        ck_assert_str_eq(hex, known[i].sha256);
    }
}
END_TEST

/* ---- The suite ---------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("narrow");
    TCase *tests = tcase_create("narrow");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, plain_formats_come_back);
    tcase_add_loop_test(tests, plain_formats_round_to_nearest, 0, 2);
    tcase_add_test(tests, formats_refuse_what_they_cannot_hold);
    tcase_add_loop_test(tests, q8_0_keeps_its_bound, 0, N_KINDS);
    tcase_add_loop_test(tests, q4_k_searches, 0, N_KINDS);
    tcase_add_test(tests, blocks_are_stable);
    tcase_add_test(tests, blocks_have_known_bytes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
