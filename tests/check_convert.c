/* SPDX-License-Identifier: Apache-2.0
 *
 * check_convert.c - weights of every format on the device against vs_dtype_widen(). */
#include "tests/check_common.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/convert/convert.h"

static const size_t row_lengths[] = {1, 2, 15, 16, 17, 32, 33, 96, 256, 300, 512, 1280};
enum { N_LENGTHS = sizeof row_lengths / sizeof *row_lengths };

/* Random bytes make every scale, denormal, infinity and NaN turn up; the last bit pattern of all
 * float16 and bfloat16 values is reached by a matrix of 65536. */
static void random_bytes(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)check_random();
}

/* Widens on device and host and compares; data may lie at any address. */
static void compare(const uint8_t *data, enum vs_dtype dtype, size_t n_rows, size_t n_columns)
{
    size_t n = n_rows * n_columns;
    if (!check_affordable((double)n))
        return;
    struct vs_weight weight;
    float *want = check_nans(n);
    vs_dtype_widen(want, data, dtype, n);
    struct check_buffer out = check_upload(NULL, n);
    check_ok(vs_weight_create(&weight, check_context, data, dtype, n_rows, n_columns));
    for (int run = 0; run < 2; run++) {
        check_ok(vs_weight_widen(check_context, out.span, &weight));
        check_bits(&out, want, "%s [%zu, %zu] run %d", vs_dtype_info(dtype)->name, n_rows,
                   n_columns, run);
    }
    vs_weight_free(&weight);
    check_free(&out);
    free(want);
}

/* An address of each kind: odd, even, aligned to a word, and to a page. */
START_TEST(widen_equals_oracle)
{
    static const size_t starts[] = {0, 1, 2, 8, 4095};
    enum vs_dtype dtype = (enum vs_dtype)_i;
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    for (size_t i = 0; i < N_LENGTHS; i++) {
        size_t n_columns = row_lengths[i], n_rows = 5;
        if (n_columns % info->n_elements)
            n_columns *= info->n_elements;
        size_t n_bytes = n_rows * (n_columns / info->n_elements) * info->n_bytes;
        uint8_t *bytes = aligned_alloc(4096, (n_bytes / 4096 + 2) * 4096);
        ck_assert_ptr_nonnull(bytes);
        for (size_t j = 0; j < sizeof starts / sizeof *starts; j++) {
            random_bytes(bytes + starts[j], n_bytes);
            compare(bytes + starts[j], dtype, n_rows, n_columns);
        }
        free(bytes);
    }
}
END_TEST

/* Each of the 65536 bit patterns. */
START_TEST(every_half)
{
    uint16_t *values = malloc(65536 * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < 65536; i++)
        values[i] = (uint16_t)i;
    compare((const uint8_t *)values, VS_F16, 256, 256);
    compare((const uint8_t *)values, VS_BF16, 256, 256);
    free(values);
}
END_TEST

START_TEST(unusable_weights_are_refused)
{
    static const uint8_t zeros[288];
    struct vs_weight weight;
    static const enum vs_dtype no_weights[] = {VS_F64, VS_I64, VS_I32, VS_I16,
                                               VS_I8,  VS_U8,  VS_BOOL};
    for (size_t i = 0; i < sizeof no_weights / sizeof *no_weights; i++)
        ck_assert_int_eq(vs_weight_create(&weight, check_context, zeros, no_weights[i], 1, 4),
                         VS_ERROR_MODEL);
    ck_assert_int_eq(vs_weight_create(&weight, check_context, zeros, VS_Q8_0, 1, 33),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(vs_weight_create(&weight, check_context, zeros, VS_Q4_K, 2, 128),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(vs_weight_create(&weight, check_context, zeros, VS_F32, SIZE_MAX / 2, 4),
                     VS_ERROR_MODEL);
    vs_weight_free(&weight);
}
END_TEST

START_TEST(short_output_is_refused)
{
    static const float values[12];
    struct vs_weight weight;
    check_ok(vs_weight_create(&weight, check_context, values, VS_F32, 3, 4));
    struct vs_buffer *buffer;
    check_ok(vs_floats_create(&buffer, check_context, NULL, 12));
    check_ok(vs_weight_widen(check_context, vs_span_of(buffer), &weight));
    ck_assert_int_eq(vs_weight_widen(check_context, vs_span_at(buffer, 1), &weight),
                     VS_ERROR_RUNTIME);
    vs_buffer_free(buffer);
    vs_weight_free(&weight);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, widen_equals_oracle, VS_F32, VS_Q4_K + 1);
    tcase_add_test(tests, every_half);
    tcase_add_test(tests, unusable_weights_are_refused);
    tcase_add_test(tests, short_output_is_refused);
}

int main(void)
{
    return check_main("convert", add_tests);
}
