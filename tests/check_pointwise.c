/* SPDX-License-Identifier: Apache-2.0
 *
 * check_pointwise.c - element-by-element operations against their oracles. */
#include "tests/check_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pointwise/pointwise.h"

static const size_t counts[] = {1, 2, 15, 16, 17, 31, 255, 1000};
enum { N_COUNTS = sizeof counts / sizeof *counts };

START_TEST(activation_equals_oracle)
{
    static const float special[] = {0.0f,  -0.0f, 1e-8f,  -1e-8f,  30.0f,     -30.0f,   88.5f,
                                    -88.f, 1e3f,  -1e3f,  3e38f,   -3e38f,    INFINITY, -INFINITY,
                                    NAN,   -87.4f, 1e-30f, -100.5f, 0x1p-126f, 103.0f};
    enum { N_SPECIAL = sizeof special / sizeof *special };
    for (size_t j = 0; j < 4 * N_COUNTS; j++) {
        enum vs_activation f = (enum vs_activation)(j / N_COUNTS);
        size_t n = counts[j % N_COUNTS];
        float *x = check_floats(n, 4), *want = check_nans(n);
        for (size_t i = 0; i < n && i < N_SPECIAL; i++)
            x[n - 1 - i] = special[i];
        vs_activation_ref(want, x, n, f);
        struct check_buffer dx = check_upload(x, n), out = check_upload(NULL, n);
        check_ok(vs_activation_run(check_context, out.span, dx.span, n, f));
        check_bits(&out, want, "activation %d n=%zu", (int)f, n);
        check_ok(vs_activation_run(check_context, dx.span, dx.span, n, f));
        check_bits(&dx, want, "activation %d in place n=%zu", (int)f, n);
        check_free(&dx), check_free(&out);
        free(x), free(want);
    }
}
END_TEST

START_TEST(add_equals_oracle)
{
    size_t n_b = counts[_i], n = 3 * n_b;
    float *a = check_floats(n, 1), *b = check_floats(n_b, 1), *want = check_nans(n);
    vs_add_ref(want, a, b, n, n_b);
    struct check_buffer da = check_upload(a, n), db = check_upload(b, n_b);
    struct check_buffer out = check_upload(NULL, n);
    check_ok(vs_add_run(check_context, out.span, da.span, db.span, n, n_b));
    check_bits(&out, want, "add %zu + %zu", n, n_b);
    ck_assert_int_eq(vs_add_run(check_context, out.span, da.span, db.span, n, 0),
                     VS_ERROR_RUNTIME);
    ck_assert_int_eq(vs_add_run(check_context, out.span, da.span, db.span, n, n + 1),
                     VS_ERROR_RUNTIME);
    check_free(&da), check_free(&db), check_free(&out);
    free(a), free(b), free(want);
}
END_TEST

START_TEST(sampler_equals_oracle)
{
    static const float sigmas[] = {1.0f, 0.9375f, 0.8333333f, 0.625f, 0.0f};
    size_t n = counts[_i];
    float *x = check_floats(n, 1), *y = check_floats(n, 1), *want = check_nans(n);
    struct check_buffer dx = check_upload(x, n), dy = check_upload(y, n);
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        struct check_buffer out = check_upload(NULL, n);
        vs_sampler_x0_ref(want, x, y, sigmas[i], n);
        check_ok(vs_sampler_x0_run(check_context, out.span, dx.span, dy.span, sigmas[i], n));
        check_bits(&out, want, "x0 sigma=%g", (double)sigmas[i]);
        vs_sampler_renoise_ref(want, x, y, sigmas[i], n);
        check_ok(vs_sampler_renoise_run(check_context, out.span, dx.span, dy.span, sigmas[i], n));
        check_bits(&out, want, "renoise sigma=%g", (double)sigmas[i]);
        check_free(&out);
    }
    check_free(&dx), check_free(&dy);
    free(x), free(y), free(want);
}
END_TEST

START_TEST(patches_equal_oracle)
{
    static const size_t shapes[][4] = {{1, 1, 1, 1}, {2, 16, 3, 5}, {3, 5, 4, 1}, {1, 3, 7, 2}};
    size_t f = shapes[_i][0], c = shapes[_i][1], rows = shapes[_i][2], columns = shapes[_i][3];
    size_t n = f * c * rows * columns * 4;
    float *x = check_floats(n, 1), *want = check_nans(n);
    struct check_buffer dx = check_upload(x, n), out = check_upload(NULL, n);
    vs_patchify_ref(want, x, f, c, rows, columns);
    check_ok(vs_patchify_run(check_context, out.span, dx.span, f, c, rows, columns));
    check_bits(&out, want, "patchify %d", _i);
    vs_unpatchify_ref(want, x, f, c, rows, columns);
    check_ok(vs_unpatchify_run(check_context, out.span, dx.span, f, c, rows, columns));
    check_bits(&out, want, "unpatchify %d", _i);
    ck_assert_int_eq(vs_patchify_run(check_context, out.span, dx.span, f, c, rows, 40 * columns),
                     VS_ERROR_RUNTIME);
    ck_assert_int_eq(vs_patchify_run(check_context, out.span, dx.span, f, c, SIZE_MAX / 2, 4),
                     VS_ERROR_RUNTIME);
    check_free(&dx), check_free(&out);
    free(x), free(want);
}
END_TEST

/* 7 rows, 3 to a slot, from entry 1 of the table on; the rest of the ring stays as it was. They are
 * columns of longer rows, or whole ones. */
START_TEST(rows_go_to_their_slots)
{
    enum { PER_SLOT = 3, N_SLOTS = 6, N_ROWS = 7, N_BAD = 5 };
    static const int32_t slots[] = {0, 4, 1, 5};
    size_t c = counts[_i / 2], before = _i % 2 ? 5 : 0, stride = before + c + (_i % 2 ? 19 : 0);
    size_t n = N_SLOTS * PER_SLOT * c, n_x = before + (N_ROWS - 1) * stride + c;
    float *x = check_floats(n_x, 1), *want = check_nans(n);
    for (size_t r = 0; r < N_ROWS; r++) {
        size_t to = (size_t)slots[1 + r / PER_SLOT] * PER_SLOT + r % PER_SLOT;
        memcpy(want + to * c, x + before + r * stride, c * sizeof *x);
    }
    struct check_buffer dx = check_upload(x, n_x);
    struct vs_span columns = vs_span_at(dx.span.buffer, dx.span.offset + before);
    struct vs_buffer *table = check_ints(slots, 4);
    for (int format = VS_F32; format <= VS_F16; format++) {
        const struct vs_scatter scatter = {.slots = table,
                                           .first_slot = 1,
                                           .rows_per_slot = PER_SLOT,
                                           .n_rows = N_ROWS,
                                           .n_channels = c,
                                           .x_stride = stride,
                                           .out = (enum vs_dtype)format};
        struct check_buffer out = check_upload_as(scatter.out, NULL, n, 67);
        check_round(scatter.out, want, n);
        for (int run = 0; run < check_n_runs(); run++) {
            check_ok(vs_scatter_rows_run(check_context, out.span, columns, &scatter));
            check_bits(&out, want, "scatter %s C=%zu of %zu, run %d",
                       vs_dtype_info(scatter.out)->name, c, stride, run);
        }
        struct vs_scatter bad[N_BAD] = {scatter, scatter, scatter, scatter, scatter};
        bad[0].first_slot = 2;
        bad[1].rows_per_slot = 0;
        bad[2].out = VS_Q8_0;
        bad[3].x_stride = c - 1;
        bad[4].x_stride = 1 << 20; /* passes the end */
        for (size_t i = 0; i < N_BAD; i++)
            ck_assert_int_eq(vs_scatter_rows_run(check_context, out.span, columns, &bad[i]),
                             VS_ERROR_RUNTIME);
        check_free(&out);
    }
    vs_buffer_free(table);
    check_free(&dx);
    free(x), free(want);
}
END_TEST

/* What lies between two neighbouring halves goes to the nearer one, the middle to the even one; past
 * the middle between the last half and what would be the next lies infinity. */
START_TEST(floats_become_the_nearest_halves)
{
    enum { N = 65536, EXPONENT = 0x7c00, LAST = 0x7bff };
    static const int32_t slot = 0;
    float *half = check_nans(N), *x = check_nans(N), *want = check_nans(N);
    uint16_t *bits = malloc(N * sizeof *bits);
    ck_assert_ptr_nonnull(bits);
    for (unsigned i = 0; i < N; i++)
        bits[i] = (uint16_t)i;
    vs_dtype_widen(half, bits, VS_F16, N);
    struct vs_buffer *table = check_ints(&slot, 1);
    for (int where = -1; where <= 1; where++) { /* before, at and behind the middle */
        for (unsigned i = 0; i < N; i++) {
            x[i] = want[i] = half[i];
            if ((i & EXPONENT) == EXPONENT)
                continue;
            bool last = (i & 0x7fff) == LAST;
            float next = last ? copysignf(65536, half[i]) : half[i + 1];
            float middle = half[i] + (next - half[i]) / 2; /* exact */
            x[i] = where ? nextafterf(middle, where > 0 ? copysignf(INFINITY, half[i]) : 0) : middle;
            if (where > 0 || (where == 0 && i % 2))
                want[i] = last ? copysignf(INFINITY, half[i]) : next;
        }
        struct check_buffer dx = check_upload(x, N), out = check_upload_as(VS_F16, NULL, N, 67);
        check_ok(vs_scatter_rows_run(check_context, out.span, dx.span,
                                     &(struct vs_scatter){.slots = table,
                                                          .rows_per_slot = 1,
                                                          .n_rows = 1,
                                                          .n_channels = N,
                                                          .x_stride = N,
                                                          .out = VS_F16}));
        check_bits(&out, want, "halves, %d of the middle", where);
        check_round(VS_F16, x, N); /* the oracle's own rounding */
        for (unsigned i = 0; i < N; i++)
            ck_assert(x[i] == want[i] || (isnan(x[i]) && isnan(want[i])));
        check_free(&dx), check_free(&out);
    }
    vs_buffer_free(table);
    free(half), free(x), free(want), free(bits);
}
END_TEST

static int32_t flag_of(const float *x, size_t n)
{
    static const int32_t clear[] = {0, 0, 0};
    int32_t flags[3];
    struct vs_buffer *buffer = check_ints(clear, 3);
    struct check_buffer dx = check_upload(x, n);
    check_ok(vs_check_finite_run(check_context, buffer, 1, dx.span, n));
    check_ok(vs_buffer_read(buffer, 0, flags, sizeof flags));
    ck_assert_int_eq(flags[0] | flags[2], 0);
    ck_assert_int_eq(vs_check_finite_run(check_context, buffer, 3, dx.span, n), VS_ERROR_RUNTIME);
    vs_buffer_free(buffer);
    check_free(&dx);
    return flags[1];
}

/* The buffer's guards are NaN, so a check that reads beyond its n values shows as well. */
START_TEST(infinities_and_nan_are_found)
{
    static const size_t sizes[] = {1, 2, 4095, 4096, 4097, 10000};
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        if (!check_affordable((double)(10 * n))) /* runs for each place and value */
            break;
        float *x = check_floats(n, 1e30f);
        ck_assert_int_eq(flag_of(x, n), 0);
        for (size_t j = 0; j < 3; j++) {
            const size_t places[] = {0, n / 2, n - 1};
            for (size_t at = 0; at < 3; at++) {
                float good = x[places[at]];
                x[places[at]] = bad[j];
                ck_assert_int_eq(flag_of(x, n), 1);
                x[places[at]] = good;
            }
        }
        free(x);
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, activation_equals_oracle);
    tcase_add_loop_test(tests, add_equals_oracle, 0, N_COUNTS);
    tcase_add_loop_test(tests, sampler_equals_oracle, 0, N_COUNTS);
    tcase_add_loop_test(tests, patches_equal_oracle, 0, 4);
    tcase_add_test(tests, floats_become_the_nearest_halves);
    tcase_add_loop_test(tests, rows_go_to_their_slots, 0, 2 * N_COUNTS);
    tcase_add_test(tests, infinities_and_nan_are_found);
}

int main(void)
{
    return check_main("pointwise", add_tests);
}
