/* SPDX-License-Identifier: Apache-2.0
 *
 * winograd.h - between the files of this folder: convolutions by Winograd's F(2x2, 3x3).
 *
 * What is 4x4 here is counted p = 4 row + column. */
#ifndef VS_KERNELS_CONV_WINOGRAD_H
#define VS_KERNELS_CONV_WINOGRAD_H

#include "kernels/conv/conv.h"

enum { VS_WINOGRAD_IN = 4, VS_WINOGRAD_OUT = 2, VS_WINOGRAD_PRODUCTS = 16 };

/* The transformed kernel u = G g G', G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1], in float64 and
 * rounded once, denormals flushed: u[p * u_stride] from g[3 row + column]. Columns come first. */
void vs_winograd_kernel(float *u, size_t u_stride, const float g[9]);

/* The oracle of one output, without the bias. u: [16][n_out, kt n_in], u_stride apart; d(k, row,
 * column), read through `input`: the 4x4 inputs of the output's tile in channel k of kt n_in; 0 for
 * those that the output does not depend on, whatever they are. row, column: the output's place in
 * its tile. */
float vs_winograd_output(const float *u, size_t u_stride, size_t n_k, size_t row, size_t column,
                         float (*input)(const void *user, size_t k, size_t row, size_t column),
                         const void *user);

/* Runs a convolution that vs_conv_is_winograd(), arguments checked. flags: of conv.clh. */
VS_CHECK enum vs_status vs_winograd_run(struct vs_context *context, struct vs_span out,
                                        struct vs_span x, const struct vs_conv *conv, int flags);

#endif
