/* SPDX-License-Identifier: Apache-2.0
 *
 * check_common.c - device, data and comparison for the tests of kernels. */
#include "tests/check_common.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert/narrow.h"

enum { GUARD = 67 }; /* floats on each side; odd, so that data is never aligned */

struct vs_context *check_context;
static uint64_t random_state;

uint64_t check_first_seed(void)
{
    const char *text = getenv("VS_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

void check_seed(uint64_t seed)
{
    random_state = seed;
}

void check_device_open(void)
{
    check_seed(check_first_seed());
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

static bool interpreted(void)
{
    const char *sizes = getenv("VS_TEST_SIZES");
    return sizes && strcmp(sizes, "tiny") == 0;
}

bool check_affordable(double n_products)
{
    return !interpreted() || n_products <= 8192;
}

int check_n_runs(void)
{
    return interpreted() ? 1 : 2;
}

struct check_buffer check_upload_as(enum vs_dtype dtype, const float *host, size_t n,
                                    size_t offset)
{
    struct check_buffer result = {.n = n, .dtype = dtype};
    size_t n_all = offset + n + GUARD, n_bytes = n_all * vs_dtype_info(dtype)->n_bytes;
    float *padded = check_nans(n_all);
    if (host)
        memcpy(padded + offset, host, n * sizeof *host);
    if (dtype == VS_F16) {
        uint16_t *halves = malloc(n_bytes);
        ck_assert_ptr_nonnull(halves);
        for (size_t i = 0; i < n_all; i++)
            halves[i] = vs_half_of(padded[i]);
        memcpy(padded, halves, n_bytes);
        free(halves);
    }
    check_ok(vs_buffer_create(&result.buffer, check_context, n_bytes));
    check_ok(vs_buffer_write(result.buffer, 0, padded, n_bytes));
    result.span = vs_span_at(result.buffer, offset);
    free(padded);
    return result;
}

struct check_buffer check_upload_at(const float *host, size_t n, size_t offset)
{
    return check_upload_as(VS_F32, host, n, offset);
}

void check_round(enum vs_dtype dtype, float *values, size_t n)
{
    for (size_t i = 0; dtype == VS_F16 && i < n; i++)
        values[i] = vs_half_value(vs_half_of(values[i]));
}

struct check_buffer check_upload(const float *host, size_t n)
{
    return check_upload_at(host, n, GUARD);
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

bool check_same(const struct check_buffer *got, const float *want, char message[256])
{
    size_t front = got->span.offset, n_all = front + got->n + GUARD, n_wrong = 0, first = 0;
    float *all = malloc(n_all * sizeof *all), *values = all + front;
    void *cells = malloc(n_all * sizeof *all);
    ck_assert_ptr_nonnull(all);
    ck_assert_ptr_nonnull(cells);
    check_ok(vs_buffer_read(got->buffer, 0, cells, n_all * vs_dtype_info(got->dtype)->n_bytes));
    if (got->dtype == VS_F16)
        vs_dtype_widen(all, cells, VS_F16, n_all);
    else
        memcpy(all, cells, n_all * sizeof *all);
    free(cells);
    bool outside = false;
    for (size_t i = 0; i < front; i++)
        outside = outside || !isnan(all[i]);
    for (size_t i = 0; i < GUARD; i++)
        outside = outside || !isnan(values[got->n + i]);
    for (size_t i = 0; i < got->n; i++)
        if (canonical_bits(values[i]) != canonical_bits(want[i]) && !n_wrong++)
            first = i;
    if (outside)
        snprintf(message, 256, "wrote outside its output");
    else if (n_wrong)
        snprintf(message, 256, "%zu of %zu values differ; the first at %zu: %a, oracle %a", n_wrong,
                 got->n, first, (double)values[first], (double)want[first]);
    free(all);
    return !outside && !n_wrong;
}

void check_bits(const struct check_buffer *got, const float *want, const char *format, ...)
{
    char what[256], message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (!check_same(got, want, message))
        ck_abort_msg("%s: %s", what, message);
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
