/* SPDX-License-Identifier: Apache-2.0
 *
 * check_tuning.c - a record decides which variant a class of shapes gets, and nothing else. */
#include "tests/check_common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bench/bench.h"
#include "kernels/common/variant.h"
#include "kernels/tuning.h"

/* The variant that a normal run takes; n variants are usable. */
static size_t chosen(const char *text, bool usable[16], size_t *n)
{
    struct vs_bench_op op;
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    check_ok(vs_bench_read(&family, &shape, text));
    check_ok(vs_bench_open(&op, check_context, family, &shape));
    size_t result = op.chosen;
    for (*n = 0; op.variant_name(*n); ++*n) {
        ck_assert_uint_lt(*n, 16);
        usable[*n] = op.usable(&op, *n);
    }
    vs_bench_close(&op);
    return result;
}

/* Two shapes of one class and one of another, of every family. */
static const char *const shapes[][3] = {
    {"linear:64x192x96", "linear:70x190x100", "linear:64x192x200"},
    {"linear:64x192x256:q8_0", "linear:60x200x288:q8_0", "linear:64x192x256:f16"},
    {"attention:2x40x90x32", "attention:2x45x88x32", "attention:2x40x90x64"},
    {"conv3d:12x24x1x20x20", "conv3d:12x24x1x64x33", "conv3d:12x24x1x6x6"},
    {"delta:40x2x32", "delta:45x2x32", "delta:40x2x64"},
    {"read:40x2x32", "read:45x2x32", "read:90x2x32"},
    {"norm:32x96", "rms:30x100", "norm:32x300"},
    {"channel-norm:200x24", "channel-norm:256x24", "channel-norm:200x48"},
};

START_TEST(records_decide)
{
    bool usable[16], unused[16];
    size_t n, n_unused, far = chosen(shapes[_i][2], unused, &n_unused);
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    size_t rule = chosen(shapes[_i][0], usable, &n);
    check_ok(vs_bench_read(&family, &shape, shapes[_i][0]));
    for (size_t i = 0; i < n; i++) {
        if (vs_bench_bound(family, i) > 0)
            continue;
        check_ok(vs_tuning_set(check_context, shapes[_i][0], family->variant_name(i),
                               VS_PRECISION_EXACT));
        size_t want = usable[i] ? i : rule;
        ck_assert_uint_eq(chosen(shapes[_i][0], unused, &n_unused), want);
        ck_assert_uint_eq(chosen(shapes[_i][1], unused, &n_unused), want);
        ck_assert_uint_eq(chosen(shapes[_i][2], unused, &n_unused), far);
    }
    vs_choices_clear(check_context);
    ck_assert_uint_eq(chosen(shapes[_i][0], unused, &n_unused), rule);
}
END_TEST

/* A tile that does not fit a thread's stack for wide heads is in the same class as one that does
 * fit: it is not taken. */
START_TEST(what_is_not_usable_is_not_taken)
{
    bool usable[16];
    size_t n, rule = chosen("attention:1x4x64x480", usable, &n), i = 0;
    while (i < n && usable[i])
        i++;
    ck_assert_uint_lt(i, n);
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    check_ok(vs_bench_read(&family, &shape, "attention:1x4x64x480"));
    check_ok(vs_tuning_set(check_context, "attention:1x4x64x480", family->variant_name(i),
                           VS_PRECISION_EXACT));
    ck_assert_uint_eq(chosen("attention:1x4x64x480", usable, &n), rule);
}
END_TEST

/* Records of fast precision stand beside the exact ones and are seen by a fast context alone, which
 * without one falls back on those of exact. */
START_TEST(fast_records_leave_exact_alone)
{
    static const char op[] = "linear:64x192x96";
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    bool usable[16];
    size_t n, rule = chosen(op, usable, &n), fast = 0;
    check_ok(vs_bench_read(&family, &shape, op));
    while (!(vs_bench_bound(family, fast) > 0))
        fast++;
    ck_assert(!usable[fast]);
    ck_assert_uint_eq(vs_bench_count_variants(family, VS_PRECISION_EXACT), fast);
    ck_assert_uint_eq(vs_bench_count_variants(family, VS_PRECISION_FAST), n);
    check_ok(vs_tuning_set(check_context, op, family->variant_name(fast), VS_PRECISION_FAST));
    ck_assert_uint_eq(chosen(op, usable, &n), rule);
    check_ok(vs_tuning_set(check_context, op, "plain", VS_PRECISION_EXACT));
    ck_assert_uint_eq(chosen(op, usable, &n), 0);
    vs_context_set_precision(check_context, VS_PRECISION_FAST);
    ck_assert_uint_eq(chosen(op, usable, &n), fast);
    ck_assert(usable[fast]);
    vs_choices_clear(check_context);
    ck_assert_uint_eq(chosen(op, usable, &n), rule);
    check_ok(vs_tuning_set(check_context, op, "plain", VS_PRECISION_EXACT));
    ck_assert_uint_eq(chosen(op, usable, &n), 0);
}
END_TEST

/* CLBlast computes with the parameters of a record: what no device could run is noticed. */
START_TEST(parameters_reach_clblast)
{
    static const char fits[] = "GEMMK=0 KREG=1 KWG=32 KWI=2 MDIMA=16 MDIMC=16 MWG=64 NDIMB=16 "
                               "NDIMC=16 NWG=64 SA=1 SB=1 STRM=0 STRN=0 VWM=2 VWN=2";
    static const char *const bad[][2] = {
        {"clblast:Xgemm", ""},
        {"clblast:Xgemm", "GEMMK=0 KREG=1"},
        {"clblast:Xgemv", "WGS1=64"},
        {"clblast:", fits},
        {"clblast:XgemmDirect", fits},
        {"clblast:Xgemm", "GEMMK=0 KREG=1 KWG=32 KWI=2 MDIMA=16 MDIMC=16 MWG=0 NDIMB=16 NDIMC=16 "
                          "NWG=64 SA=1 SB=1 STRM=0 STRN=0 VWM=2 VWN=2"},
        {"clblast:Xgemm", "GEMMK=2 KREG=1 KWG=32 KWI=2 MDIMA=16 MDIMC=16 MWG=64 NDIMB=16 NDIMC=16 "
                          "NWG=64 SA=1 SB=1 STRM=0 STRN=0 VWM=2 VWN=2"},
        {"clblast:Xgemm", "GEMMK=0 KREG=1 KWG=-1 KWI=2 MDIMA=16 MDIMC=16 MWG=64 NDIMB=16 NDIMC=16 "
                          "NWG=64 SA=1 SB=1 STRM=0 STRN=0 VWM=2 VWN=2"}};
    static const char direct[] = "KWID=2 MDIMAD=8 MDIMCD=8 NDIMBD=8 NDIMCD=8 PADA=1 PADB=0 VWMD=1 "
                                 "VWND=1 WGD=32";
    enum { SIDE = 40 }; /* small enough for XgemmDirect */
    size_t variant = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(vs_tuning_set(check_context, bad[i][0], bad[i][1], VS_PRECISION_FAST),
                         VS_ERROR_USAGE);
    ck_assert_int_eq(vs_tuning_set(check_context, "clblast:Xgemm", fits, VS_PRECISION_EXACT),
                     VS_ERROR_USAGE);

    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    struct vs_bench_op op;
    char text[64];
    snprintf(text, sizeof text, "linear:%dx%dx%d", SIDE, SIDE, SIDE);
    vs_context_set_precision(check_context, VS_PRECISION_FAST);
    check_ok(vs_bench_read(&family, &shape, text));
    check_ok(vs_bench_open(&op, check_context, family, &shape));
    while (strcmp(family->variant_name(variant), "clblast") != 0)
        variant++;
    float *exact = check_nans(op.n_out), *fast = check_nans(op.n_out);
    check_ok(vs_bench_run(&op, 0, SIDE));
    check_ok(vs_buffer_read(op.out.buffer, op.out.offset, exact, op.n_out * sizeof *exact));
    check_ok(vs_tuning_set(check_context, "clblast:Xgemm", fits, VS_PRECISION_FAST));
    check_ok(vs_tuning_set(check_context, "clblast:XgemmDirect", direct, VS_PRECISION_FAST));
    check_ok(vs_bench_run(&op, variant, SIDE));
    check_ok(vs_buffer_read(op.out.buffer, op.out.offset, fast, op.n_out * sizeof *fast));
    for (size_t i = 0; i < op.n_out; i++)
        ck_assert(fabsf(fast[i] - exact[i]) <= 0x1p-14f * (1 + fabsf(exact[i])));
    /* Groups of 128 x 128 work-items. */
    check_ok(vs_tuning_set(check_context, "clblast:XgemmDirect",
                           "KWID=2 MDIMAD=128 MDIMCD=128 NDIMBD=128 NDIMCD=128 PADA=1 PADB=0 VWMD=1 "
                           "VWND=1 WGD=128",
                           VS_PRECISION_FAST));
    ck_assert_int_eq(vs_bench_run(&op, variant, SIDE), VS_ERROR_RUNTIME);
    vs_bench_close(&op);
    free(exact), free(fast);
}
END_TEST

START_TEST(unknown_records_are_refused)
{
    static const char *const bad[][2] = {
        {"linear:64x192x96", "tile 5x17"}, {"linear:64x192", "plain"},   {"linear", "plain"},
        {"winograd:64x192x96", "plain"},   {"rope:2x3x4x2x32", "plain"}, {"", ""},
        {"linear:64x192x96:q9", "plain"},  {"linear:64x192x96", ""},
        {"linear:64x192x96", "clblast"}, /* keeps no bits */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(vs_tuning_set(check_context, bad[i][0], bad[i][1],
                                       VS_PRECISION_EXACT),
                         VS_ERROR_USAGE);
}
END_TEST

START_TEST(sizes_round_to_powers_of_two)
{
    static const size_t cases[][2] = {{1, 0},      {2, 1},      {3, 2},     {4, 2},     {5, 2},
                                      {6, 3},      {90, 6},     {91, 7},    {128, 7},   {181, 7},
                                      {182, 8},    {1536, 11},  {4680, 12}, {8960, 13}, {32760, 15},
                                      {46340, 15}, {46341, 16}, {92682, 17}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq(vs_size_class(cases[i][0]), cases[i][1]);
    ck_assert_uint_eq(vs_size_class(SIZE_MAX), 64);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, records_decide, 0, sizeof shapes / sizeof *shapes);
    tcase_add_test(tests, what_is_not_usable_is_not_taken);
    tcase_add_test(tests, fast_records_leave_exact_alone);
    tcase_add_test(tests, parameters_reach_clblast);
    tcase_add_test(tests, unknown_records_are_refused);
    tcase_add_test(tests, sizes_round_to_powers_of_two);
}

int main(void)
{
    return check_main("tuning", add_tests);
}
