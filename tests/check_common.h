/* SPDX-License-Identifier: Apache-2.0
 *
 * check_common.h - what the tests of kernels share: a device, seeded data, guarded buffers,
 * comparison bit for bit.
 *
 * Buffers made here carry a zone of NaN before and after the data; check_bits() proves that the
 * kernel left both alone, and that what lies between equals the oracle in every bit after
 * canonicalisation (-0 is +0, all NaN are one). */
#ifndef VS_TESTS_CHECK_COMMON_H
#define VS_TESTS_CHECK_COMMON_H

#include <check.h>

#include "cl/buffer.h"
#include "cl/context.h"
#include "kernels/convert/dtype.h"

/* Opened by a checked fixture: check_device_open, check_device_close. $VS_TEST_DEVICE, if set,
 * chooses the device. */
extern struct vs_context *check_context;
void check_device_open(void);
void check_device_close(void);

/* Fails the test with the library's message. */
void check_ok(enum vs_status status);

/* Deterministic data; the seed is $VS_TEST_SEED or 1, until check_seed() gives another. */
uint64_t check_first_seed(void);
void check_seed(uint64_t seed);
uint64_t check_random(void);                 /* 64 bits */
size_t check_random_below(size_t n);
float check_gauss(void);                     /* about N(0, 1) */
float *check_floats(size_t n, float scale);  /* n values, N(0, scale); freed by the caller */
float *check_nans(size_t n);

/* Whether a case of about that many multiplications is to be run. Always, but under
 * VS_TEST_SIZES=tiny, for interpreters of OpenCL, only up to a few thousand. */
bool check_affordable(double n_products);

/* How often a kernel is to run on the same data: twice, there once. */
int check_n_runs(void);

/* A device buffer with n values of host (NULL: NaN) at an odd offset between guards. */
struct check_buffer {
    struct vs_buffer *buffer;
    struct vs_span span;
    size_t n;
    enum vs_dtype dtype; /* F32 or F16 */
};
struct check_buffer check_upload(const float *host, size_t n);
/* The same at a given offset, in floats, which is the length of the guard in front. */
struct check_buffer check_upload_at(const float *host, size_t n, size_t offset);
/* The same as F32 or as F16, of which n and offset count the elements. */
struct check_buffer check_upload_as(enum vs_dtype dtype, const float *host, size_t n,
                                    size_t offset);
/* What values become that are kept in that format. */
void check_round(enum vs_dtype dtype, float *values, size_t n);
void check_free(struct check_buffer *buffer);

/* Reads the buffer, compares bit for bit with want and looks at the guards. False: message says
 * what is wrong. */
bool check_same(const struct check_buffer *got, const float *want, char message[256]);
/* The same as an assertion. */
void check_bits(const struct check_buffer *got, const float *want, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An int32 buffer. */
struct vs_buffer *check_ints(const int32_t *host, size_t n);

/* main() of a check program: runs the suite with the device in a checked fixture. */
int check_main(const char *name, void (*add_tests)(TCase *));

#endif
