/* SPDX-License-Identifier: Apache-2.0
 *
 * math64.h - float64 elementary functions for tables and noise made on the host.
 *
 * C libraries differ in the last bit of sin, cos, exp, log and pow, and a last bit decides a
 * rounding to float32 now and then (numerics rule R9). These are made from + - * / and sqrt alone,
 * so every machine makes the same tables. All are accurate to one unit in the last place. */
#ifndef VS_KERNELS_MATH64_H
#define VS_KERNELS_MATH64_H

#include <stddef.h>

/* Sine and cosine of x radians, |x| <= 2^40 (the reduction holds 160 bits of pi/2, so the relative
 * accuracy is the same for all of them). NaN beyond, and for NaN. */
double vs_sin64(double x);
double vs_cos64(double x);

/* e^x. 0 below the smallest denormal, infinity past the largest double; NaN for NaN. */
double vs_exp64(double x);

/* Natural logarithm of x and of 1 + x. -infinity at 0 (at -1), NaN below it and for NaN. */
double vs_log64(double x);
double vs_log1p64(double x);

/* 10000^(-i/n), the frequencies of rotary and timestep embeddings; n > 0, i < 2^53. */
double vs_pow10000(size_t i, size_t n);

#endif
