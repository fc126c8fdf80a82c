/* SPDX-License-Identifier: Apache-2.0
 *
 * check_random.h - drawing cases from a seed: between check_random.c, which runs them, and
 * check_random_families.c, which says what a case of each family is. What the functions return is
 * freed after the case. */
#ifndef VS_TESTS_CHECK_RANDOM_H
#define VS_TESTS_CHECK_RANDOM_H

#include "kernels/common/variant.h"
#include "kernels/convert/dtype.h"
#include "tests/check_common.h"

enum random_kind {
    RANDOM_NORMAL,  /* N(0, 1) */
    RANDOM_RANGE,   /* N(0, 1) times 2^-30 to 2^30 */
    RANDOM_BITS,    /* 0 or 1 */
    RANDOM_SPECIAL, /* N(0, 1), and now and then an infinity, NaN or zero */
    RANDOM_N_KINDS
};

/* A case of a family; each draws, describes and judges one. */
extern void (*const random_families[])(void);
extern const size_t random_n_families;

bool random_chance(size_t n); /* one in n */
size_t random_of(size_t n, const size_t *values);
size_t random_size(size_t max);
double random_budget(void); /* multiplications that a case may take */
enum random_kind random_kind(void);
const char *random_kind_name(enum random_kind kind);

float *random_floats(size_t n, enum random_kind kind);
float *random_nans(size_t n);
int32_t *random_slots(size_t n_slots); /* 0 to n_slots - 1, shuffled */

/* n weights of random bits with scales of sane size, but for some of a kind. */
enum random_weights { WEIGHTS_NORMAL, WEIGHTS_DENORMAL, WEIGHTS_SPECIAL };
uint8_t *random_matrix(enum vs_dtype dtype, size_t n, enum random_weights kind);
const char *random_weights_name(enum random_weights kind);

/* Device memory at a random offset; host NULL: NaN. */
struct check_buffer *random_upload(const float *host, size_t n);
struct check_buffer *random_upload_as(enum vs_dtype dtype, const float *host, size_t n);
const struct vs_buffer *random_upload_slots(const int32_t *slots, size_t n);

/* Prints the case, before it runs. */
void random_describe(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Compares; a fault is printed and counted. */
void random_judge(enum vs_status status, const struct check_buffer *out, const float *want);

/* variant = a usable one, or VS_CHOSEN; usable is an expression of i. Always VS_CHOSEN on devices
 * without vectors, whose compilers take minutes for some of the others. */
#define RANDOM_VARIANT(variant, family, usable)                                                    \
    do {                                                                                           \
        size_t n_usable = 1;                                                                       \
        variant = VS_CHOSEN;                                                                       \
        for (size_t i = 0; family##_variant_name(i); i++)                                          \
            if (vs_context_vector_width(check_context) >= 4 && usable &&                           \
                random_chance(++n_usable))                                                         \
                variant = i;                                                                       \
    } while (0)
#define RANDOM_VARIANT_NAME(variant, family)                                                       \
    (variant == VS_CHOSEN ? "as chosen" : family##_variant_name(variant))

#endif
