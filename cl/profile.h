/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - how long the kernels of a stretch of work took, by the device's own clock.
 *
 * Off, it costs a comparison a launch. On, every launch leaves an event; launches of the same
 * kernel of the same source are added up. Copies and transfers are not kernels and not counted. */
#ifndef VS_CL_PROFILE_H
#define VS_CL_PROFILE_H

#include "cl/status.h"

/* All launches of one kernel. */
struct vs_profile_entry {
    const char *source; /* "gemm/gemm.cl"; static */
    char kernel[48];
    size_t n_launches;
    double seconds;      /* on the device; nothing while the context is dry */
    double flops, bytes; /* as the launchers declare them */
};

/* Counts from here on, from nothing; waits for what was enqueued before. While counting, all queues
 * are one, so that each kernel's time is its own. Selects the main queue, as vs_profile_end() does.
 */
VS_CHECK enum vs_status vs_profile_begin(struct vs_context *context);

/* Operations that the formula has and the launches do without, for algorithms that save arithmetic:
 * counts them, or tells how many were counted since vs_profile_begin(). */
void vs_profile_save(struct vs_context *context, double flops);
double vs_profile_saved(const struct vs_context *context);

/* Waits for the device, stops counting and gives what was counted; *entries is freed with free().
 * Without vs_profile_begin() there are no entries. */
VS_CHECK enum vs_status vs_profile_end(struct vs_context *context,
                                       struct vs_profile_entry **entries, size_t *n_entries);

#endif
