/* SPDX-License-Identifier: Apache-2.0
 *
 * scheduler.h - noise levels of the few-step sampler, and the features of a timestep.
 *
 * Flow matching with a warped schedule: sigma is the share of noise, timestep = 1000 sigma is what
 * the transformer is told. Both are float32, as the released code keeps them. */
#ifndef VS_MODELS_SCHEDULER_H
#define VS_MODELS_SCHEDULER_H

#include "cl/status.h"

enum { VS_TRAIN_STEPS = 1000 };

/* sigma[i], timestep[i] of steps[i], each 0..1000 (0 means no noise left); shift > 0 moves steps
 * towards noise. VS_ERROR_MODEL: a step or shift out of range, named as in config.json. */
VS_CHECK enum vs_status vs_schedule(float *sigma, float *timestep, const unsigned *steps,
                                    size_t n_steps, double shift);

/* out [width]: cosines of t 10000^(-i / (width/2)), i < width/2, then the sines. width is even,
 * |t| <= 2^40. */
void vs_time_features(float *out, double t, size_t width);

#endif
