/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - `generate --profile`: where a run's time goes, family by family of kernels. */
#ifndef VS_HOST_PROFILE_H
#define VS_HOST_PROFILE_H

#include "host/progress.h"

struct host_profile;

/* Counts from here on. The device's peak is measured too, now and at each sample, so that shares of
 * it hold on a busy machine; that time is left out of the run's. */
VS_CHECK enum vs_status host_profile_begin(struct host_profile **profile,
                                           struct vs_context *context);
VS_CHECK enum vs_status host_profile_sample(struct host_profile *profile);

/* Stops counting and prints: a table on standard error, or one JSON line with the event "profile"
 * when progress is JSON. */
VS_CHECK enum vs_status host_profile_end(struct host_profile *profile,
                                         struct host_progress *progress);
void host_profile_free(struct host_profile *profile);

#endif
