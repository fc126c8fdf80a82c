/* SPDX-License-Identifier: Apache-2.0
 *
 * scheduler.c - noise levels and timestep features, formed in float64 and rounded once. */
#include "models/scheduler.h"

#include <math.h>

#include "kernels/common/math64.h"

enum vs_status vs_schedule(float *sigma, float *timestep, const unsigned *steps, size_t n_steps,
                           double shift)
{
    if (!(shift > 0.0) || !isfinite(shift))
        return vs_fail(VS_ERROR_MODEL, "timestep_shift: %g is not a positive number", shift);
    for (size_t i = 0; i < n_steps; i++) {
        if (steps[i] > VS_TRAIN_STEPS)
            return vs_fail(VS_ERROR_MODEL,
                           "denoising_step_list: step %u is past %d, the steps of training",
                           steps[i], VS_TRAIN_STEPS);
        /* 1 - index/1000, as the released table has it, not step/1000: the last bit differs. */
        double s = 1.0 - (double)(VS_TRAIN_STEPS - steps[i]) / VS_TRAIN_STEPS;
        double warped = shift * s / (1.0 + (shift - 1.0) * s);
        sigma[i] = (float)warped;
        timestep[i] = (float)(warped * VS_TRAIN_STEPS);
    }
    return VS_OK;
}

void vs_time_features(float *out, double t, size_t width)
{
    size_t half = width / 2;
    for (size_t i = 0; i < half; i++) {
        double angle = t * vs_pow10000(i, half);
        out[i] = (float)vs_cos64(angle);
        out[half + i] = (float)vs_sin64(angle);
    }
}
