/* SPDX-License-Identifier: Apache-2.0
 *
 * variant.h - what the families' variants have in common.
 *
 * A family computes its operation in several ways, all with the same bits. Each family <f> has
 *     const char *vs_<f>_variant_name(variant)              NULL past the last
 *     bool vs_<f>_variant_usable(context, variant, sizes)   on this device, for these sizes
 *     size_t vs_<f>_variant_chosen(context, sizes)          the one of a normal run
 *     enum vs_status vs_<f>_run_variant(context, variant, ...)
 * and vs_<f>_run(...), which is the last with VS_CHOSEN. Names are lasting: a record of what was
 * fastest holds them. */
#ifndef VS_KERNELS_COMMON_VARIANT_H
#define VS_KERNELS_COMMON_VARIANT_H

#include "cl/context.h"

/* In place of a variant's number: the one that vs_<f>_variant_chosen() returns. */
#define VS_CHOSEN SIZE_MAX

/* Register tiles are for CPUs; other compilers take minutes to find no use for them. */
static inline bool vs_variant_tiles(const struct vs_context *context)
{
    return vs_context_device(context)->type == VS_DEVICE_CPU;
}

/* Whether the device runs groups of n_items work-items that share local_bytes. */
static inline bool vs_variant_groups(const struct vs_context *context, size_t n_items,
                                     size_t local_bytes)
{
    const struct vs_device_info *device = vs_context_device(context);
    return device->max_work_group_size >= n_items && device->local_memory_bytes >= local_bytes;
}

/* The error of a variant that is not usable. */
VS_CHECK static inline enum vs_status vs_variant_refuse(const char *family, const char *name)
{
    return vs_fail(VS_ERROR_RUNTIME, "%s: the variant '%s' cannot serve these sizes on this device",
                   family, name ? name : "(there is no such)");
}

#endif
