/* SPDX-License-Identifier: Apache-2.0
 *
 * check_random.c - operations of random shape on random data, by a random variant, against the
 * oracles, bit for bit.
 *
 * Each case follows from its seed alone and prints a line before it runs. $VS_TEST_CASES cases
 * (1000) begin with the seed $VS_TEST_SEED (1), so one is run again by VS_TEST_SEED=seed
 * VS_TEST_CASES=1. What is compiled into a kernel, as head widths, comes from small sets. Sizes are
 * those that the oracles master in milliseconds, under VS_TEST_SIZES=tiny in microseconds.
 * Activations are never so small that a product could be denormal: denormal results are not
 * promised. */
#include "tests/check_random.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert/dtype.h"

enum { MAX_ITEMS = 32, N_BATCHES = 4, GUARD = 67 };

static void *arrays[MAX_ITEMS];
static struct check_buffer buffers[MAX_ITEMS];
static struct vs_buffer *int_buffers[MAX_ITEMS];
static size_t n_arrays, n_buffers, n_int_buffers, n_failed;
static uint64_t seed;
static char description[256];

/* ---- Drawing ------------------------------------------------------------------------------ */

bool random_chance(size_t n)
{
    return check_random_below(n) == 0;
}

size_t random_of(size_t n, const size_t *values)
{
    return values[check_random_below(n)];
}

/* Where vectors, tiles, blocks and groups end, and one beside; or any size, small ones more often.
 */
size_t random_size(size_t max)
{
    static const size_t edges[] = {1,   2,   3,   5,   6,   7,   8,   12,  15, 16,
                                   17,  31,  32,  33,  47,  48,  49,  63,  64, 65,
                                   127, 128, 129, 255, 256, 257, 511, 512, 513};
    size_t n = sizeof edges / sizeof *edges;
    while (edges[n - 1] > max)
        n--;
    if (random_chance(2))
        return edges[check_random_below(n)];
    return 1 + check_random_below(1 + check_random_below(max));
}

double random_budget(void)
{
    return check_affordable(1e5) ? 1.5e6 : 4000;
}

enum random_kind random_kind(void)
{
    return random_chance(2) ? RANDOM_NORMAL : (enum random_kind)check_random_below(RANDOM_N_KINDS);
}

const char *random_kind_name(enum random_kind kind)
{
    static const char *const names[] = {"normal", "wide range", "{0,1}", "inf and nan"};
    return names[kind];
}

static float draw(enum random_kind kind)
{
    static const float specials[] = {INFINITY, -INFINITY, NAN, 0, -0.0f};
    switch (kind) {
    case RANDOM_RANGE:
        return ldexpf(check_gauss(), (int)check_random_below(61) - 30);
    case RANDOM_BITS:
        return (float)(check_random() & 1);
    case RANDOM_SPECIAL:
        return random_chance(60) ? specials[check_random_below(5)] : check_gauss();
    default:
        return check_gauss();
    }
}

static void *keep(void *array)
{
    ck_assert_ptr_nonnull(array);
    ck_assert_uint_lt(n_arrays, MAX_ITEMS);
    return arrays[n_arrays++] = array;
}

float *random_floats(size_t n, enum random_kind kind)
{
    float *values = keep(check_nans(n));
    for (size_t i = 0; i < n; i++)
        values[i] = draw(kind);
    return values;
}

float *random_nans(size_t n)
{
    return keep(check_nans(n));
}

int32_t *random_slots(size_t n_slots)
{
    int32_t *slots = keep(malloc(n_slots * sizeof *slots));
    for (size_t i = 0; i < n_slots; i++) {
        size_t j = check_random_below(i + 1);
        slots[i] = slots[j];
        slots[j] = (int32_t)i;
    }
    return slots;
}

/* Exponent of a plain value, or of a block's scale, to all ones or all zeros. */
static void exponent_to(uint8_t *block, enum vs_dtype dtype, bool ones)
{
    size_t last = dtype == VS_F32 ? 3 : 1;
    uint8_t high = dtype == VS_F32 || dtype == VS_BF16 ? 0x7f : 0x7c;
    uint8_t low = high == 0x7f ? 0x80 : 0;
    block[last] = (uint8_t)(ones ? block[last] | high : block[last] & ~high);
    block[last - 1] = (uint8_t)(ones ? block[last - 1] | low : block[last - 1] & ~low);
}

uint8_t *random_matrix(enum vs_dtype dtype, size_t n, enum random_weights kind)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    size_t n_bytes = n / info->n_elements * info->n_bytes;
    uint8_t *bytes = keep(malloc(n_bytes));
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)check_random();
    for (uint8_t *block = bytes; block < bytes + n_bytes; block += info->n_bytes) {
        size_t last = dtype == VS_F32 ? 3 : 1; /* the exponent of a plain value or of a scale */
        if (dtype == VS_F32 || dtype == VS_BF16)
            block[last] = (uint8_t)((block[last] & 0x80) | 0x3e);
        else
            block[last] = (uint8_t)((block[last] & 0x83) | (dtype == VS_F16 ? 0x30 : 0x14));
        if (dtype == VS_Q4_K)
            block[3] = (uint8_t)((block[3] & 0x83) | 0x14);
        if (kind != WEIGHTS_NORMAL && random_chance(20))
            exponent_to(block, dtype, kind == WEIGHTS_SPECIAL && random_chance(2));
    }
    return bytes;
}

const char *random_weights_name(enum random_weights kind)
{
    static const char *const names[] = {"", " with denormals", " with inf and nan"};
    return names[kind];
}

/* ---- Device memory and judgement ---------------------------------------------------------- */

struct check_buffer *random_upload_as(enum vs_dtype dtype, const float *host, size_t n)
{
    ck_assert_uint_lt(n_buffers, MAX_ITEMS);
    buffers[n_buffers] = check_upload_as(dtype, host, n, GUARD + check_random_below(20));
    return &buffers[n_buffers++];
}

struct check_buffer *random_upload(const float *host, size_t n)
{
    return random_upload_as(VS_F32, host, n);
}

const struct vs_buffer *random_upload_slots(const int32_t *slots, size_t n)
{
    ck_assert_uint_lt(n_int_buffers, MAX_ITEMS);
    return int_buffers[n_int_buffers++] = check_ints(slots, n);
}

void random_describe(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(description, sizeof description, format, args);
    va_end(args);
    printf("seed %llu: %s\n", (unsigned long long)seed, description);
    fflush(stdout);
}

static void fault(const char *message)
{
    n_failed++;
    printf("FAILED, seed %llu: %s\n    %s\n", (unsigned long long)seed, description, message);
    fflush(stdout);
}

void random_judge(enum vs_status status, const struct check_buffer *out, const float *want)
{
    char message[256];
    if (status != VS_OK)
        fault(vs_error_message());
    else if (!check_same(out, want, message))
        fault(message);
}

static void release(void)
{
    for (size_t i = 0; i < n_buffers; i++)
        check_free(&buffers[i]);
    for (size_t i = 0; i < n_int_buffers; i++)
        vs_buffer_free(int_buffers[i]);
    for (size_t i = 0; i < n_arrays; i++)
        free(arrays[i]);
    n_buffers = n_int_buffers = n_arrays = 0;
}

/* ---- Running ------------------------------------------------------------------------------ */

static size_t n_cases(void)
{
    const char *text = getenv("VS_TEST_CASES");
    return text ? (size_t)strtoull(text, NULL, 10) : 1000;
}

/* Batches, so that a crash ends only one of them. */
START_TEST(cases_equal_oracle)
{
    size_t first = n_cases() * (size_t)_i / N_BATCHES;
    size_t end = n_cases() * (size_t)(_i + 1) / N_BATCHES;
    for (size_t i = first; i < end; i++) {
        seed = check_first_seed() + i;
        check_seed(seed);
        random_families[check_random_below(random_n_families)]();
        release();
    }
    if (n_failed)
        ck_abort_msg("%zu cases failed; run one again by VS_TEST_SEED=seed VS_TEST_CASES=1",
                     n_failed);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 1800);
    tcase_add_loop_test(tests, cases_equal_oracle, 0, N_BATCHES);
}

int main(void)
{
    return check_main("random", add_tests);
}
