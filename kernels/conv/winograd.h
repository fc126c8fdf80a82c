/* SPDX-License-Identifier: Apache-2.0
 *
 * winograd.h - between the files of this folder: convolutions by Winograd's F(2x2, 3x3).
 *
 * What is 4x4 here is counted p = 4 row + column. */
#ifndef VS_KERNELS_CONV_WINOGRAD_H
#define VS_KERNELS_CONV_WINOGRAD_H

#include "kernels/conv/conv.h"

enum { VS_WINOGRAD_IN = 4, VS_WINOGRAD_OUT = 2, VS_WINOGRAD_PRODUCTS = 16 };

/* Output channel o of a weight, row [n_in, kt, 9] of the file, to its row of the 16 matrices
 * u [16][n_out, kt n_in]: transformed in float64 and rounded once, denormals flushed. */
void vs_winograd_pack(float *u, const float *row, size_t o, const struct vs_conv_weight *weight);

/* Runs a convolution that vs_conv_is_winograd(), arguments checked. flags: of conv.clh. */
VS_CHECK enum vs_status vs_winograd_run(struct vs_context *context, struct vs_span out,
                                        struct vs_span x, const struct vs_conv *conv, int flags);

#endif
