/* SPDX-License-Identifier: Apache-2.0
 *
 * variant.h - what the families' variants have in common.
 *
 * A family computes its operation in several ways, in exact precision all with the same bits. Each
 * family <f> has
 *     const char *vs_<f>_variant_name(variant)              NULL past the last
 *     bool vs_<f>_variant_usable(context, variant, sizes)   on this device, for these sizes
 *     size_t vs_<f>_variant_chosen(context, sizes)          the one of a normal run
 *     enum vs_status vs_<f>_run_variant(context, variant, ...)
 * and vs_<f>_run(...), which is the last with VS_CHOSEN. Names are lasting: a record of what was
 * fastest holds them.
 *
 * A variant may keep a bound in place of the bits: another library, a matrix engine. Its family has
 *     double vs_<f>_variant_bound(variant)                  0: exact
 * as well, the largest distance to float64, of the result or, where that is larger, of the root mean
 * square of all results of the operation. Such a variant is usable in fast precision only and runs
 * only where a record names it: rules know the exact ones. It stands behind them in its table. */
#ifndef VS_KERNELS_COMMON_VARIANT_H
#define VS_KERNELS_COMMON_VARIANT_H

#include "cl/choices.h"
#include "cl/context.h"

/* In place of a variant's number: the one that vs_<f>_variant_chosen() returns. */
#define VS_CHOSEN SIZE_MAX

/* Register tiles are for CPUs; other compilers take minutes to find no use for them. */
static inline bool vs_variant_tiles(const struct vs_context *context)
{
    return vs_context_device(context)->type == VS_DEVICE_CPU && !vs_context_software_fma(context);
}

/* Groups of a kernel whose items each go through a row: on CPUs of one, since PoCL, if it may choose,
 * makes a few large ones, which its threads share unevenly; elsewhere as the driver likes. */
static inline const size_t *vs_variant_row_groups(const struct vs_context *context)
{
    static const size_t one[1] = {1};
    return vs_variant_tiles(context) ? one : NULL;
}

/* Whether the device runs groups of n_items work-items that share local_bytes. */
static inline bool vs_variant_groups(const struct vs_context *context, size_t n_items,
                                     size_t local_bytes)
{
    const struct vs_device_info *device = vs_context_device(context);
    return device->max_work_group_size >= n_items && device->local_memory_bytes >= local_bytes;
}

enum vs_tuned {
    VS_TUNED_LINEAR,
    VS_TUNED_ATTENTION,
    VS_TUNED_CONV,
    VS_TUNED_NORM,
    VS_TUNED_MEMORY_UPDATE,
    VS_TUNED_MEMORY_READ
};

/* The power of two that is nearest, by ratio, as an exponent. */
static inline uint64_t vs_size_class(size_t n)
{
    unsigned exponent = 0;
    while (n >> 1 >> exponent)
        exponent++;
    /* n / 2^exponent against the square root of 2, by the upper 16 bits. */
    uint64_t head = exponent > 15 ? n >> (exponent - 15) : (uint64_t)n << (15 - exponent);
    return exponent + (head * head > (uint64_t)1 << 31);
}

/* Whether a variant of that bound may run. */
static inline bool vs_variant_allowed(const struct vs_context *context, double bound)
{
    return !(bound > 0) || vs_context_precision(context) == VS_PRECISION_FAST;
}

/* The key of records of fast precision, which never touch those of exact. */
static inline uint64_t vs_variant_fast_key(uint64_t key)
{
    return key | (uint64_t)1 << 55;
}

/* The recorded variant of a class: in fast precision of its own records, else, or without one, of
 * the exact ones. False: there is none. */
static inline bool vs_variant_recorded(const struct vs_context *context, uint64_t key,
                                       size_t *variant)
{
    return (vs_context_precision(context) == VS_PRECISION_FAST &&
            vs_choice_get(context, vs_variant_fast_key(key), variant)) ||
           vs_choice_get(context, key, variant);
}

/* The class of shapes for which a record of the fastest variant holds (kernels/tuning.h). word:
 * what else tells cases apart, as a number format. */
static inline uint64_t vs_variant_key(enum vs_tuned family, unsigned word, size_t a, size_t b,
                                      size_t c, size_t d)
{
    return (uint64_t)family << 56 | (uint64_t)word << 32 | vs_size_class(a) << 24 |
           vs_size_class(b) << 16 | vs_size_class(c) << 8 | vs_size_class(d);
}

/* The error of a variant that is not usable. */
VS_CHECK static inline enum vs_status vs_variant_refuse(const char *family, const char *name)
{
    return vs_fail(VS_ERROR_RUNTIME, "%s: the variant '%s' cannot serve these sizes on this device",
                   family, name ? name : "(there is no such)");
}

#endif
