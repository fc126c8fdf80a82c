/* SPDX-License-Identifier: Apache-2.0
 *
 * check_common.c - device, data and comparison for the tests of kernels. */
#include "tests/check_common.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 67 }; /* floats on each side; odd, so that data is never aligned */

struct vs_context *check_context;
static uint64_t random_state;

static void seed(void)
{
    const char *text = getenv("VS_TEST_SEED");
    random_state = text ? strtoull(text, NULL, 10) : 1;
}

void check_device_open(void)
{
    seed();
    check_ok(vs_context_create(&check_context, getenv("VS_TEST_DEVICE")));
}

void check_device_close(void)
{
    vs_context_free(check_context);
    check_context = NULL;
}

void check_ok(enum vs_status status)
{
    if (status != VS_OK)
        ck_abort_msg("status %d: %s", (int)status, vs_error_message());
}

/* splitmix64 */
uint64_t check_random(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t check_random_below(size_t n)
{
    return (size_t)(check_random() % n);
}

float check_gauss(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(check_random() >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

float *check_floats(size_t n, float scale)
{
    float *values = malloc((n ? n : 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < n; i++)
        values[i] = check_gauss() * scale;
    return values;
}

float *check_nans(size_t n)
{
    float *values = malloc((n ? n : 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < n; i++)
        values[i] = NAN;
    return values;
}

bool check_affordable(double n_products)
{
    const char *sizes = getenv("VS_TEST_SIZES");
    return !sizes || strcmp(sizes, "tiny") != 0 || n_products <= 8192;
}

struct check_buffer check_upload(const float *host, size_t n)
{
    struct check_buffer result = {.n = n};
    float *padded = check_nans(n + 2 * GUARD);
    if (host)
        memcpy(padded + GUARD, host, n * sizeof *host);
    check_ok(vs_floats_create(&result.buffer, check_context, padded, n + 2 * GUARD));
    result.span = vs_span_at(result.buffer, GUARD);
    free(padded);
    return result;
}

void check_free(struct check_buffer *buffer)
{
    vs_buffer_free(buffer->buffer);
    buffer->buffer = NULL;
}

static uint32_t canonical_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return 0x7fc00000;
    return bits == 0x80000000 ? 0 : bits;
}

void check_bits(const struct check_buffer *got, const float *want, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    size_t n_all = got->n + 2 * GUARD;
    float *values = malloc(n_all * sizeof *values);
    ck_assert_ptr_nonnull(values);
    check_ok(vs_buffer_read(got->buffer, 0, values, n_all * sizeof *values));
    for (size_t i = 0; i < GUARD; i++)
        if (!isnan(values[i]) || !isnan(values[GUARD + got->n + i]))
            ck_abort_msg("%s: wrote outside its output (guard %zu)", what, i);
    size_t n_wrong = 0, first = 0;
    for (size_t i = 0; i < got->n; i++)
        if (canonical_bits(values[GUARD + i]) != canonical_bits(want[i]) && !n_wrong++)
            first = i;
    if (n_wrong)
        ck_abort_msg("%s: %zu of %zu values differ; the first at %zu: %a, oracle %a", what, n_wrong,
                     got->n, first, (double)values[GUARD + first], (double)want[first]);
    free(values);
}

struct vs_buffer *check_ints(const int32_t *host, size_t n)
{
    struct vs_buffer *buffer;
    check_ok(vs_buffer_create(&buffer, check_context, n * sizeof *host));
    check_ok(vs_buffer_write(buffer, 0, host, n * sizeof *host));
    return buffer;
}

int check_main(const char *name, void (*add_tests)(TCase *))
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create("kernels");
    tcase_add_checked_fixture(tests, check_device_open, check_device_close);
    tcase_set_timeout(tests, 300);
    add_tests(tests);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
