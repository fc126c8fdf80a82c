/* SPDX-License-Identifier: Apache-2.0
 *
 * conv.h - convolutions of the VAE on frames with the channels last: [F, H, W, C].
 *
 * dot over k in the order (kt, kh, kw, channel), channel fastest, in blocks of 256 as everywhere,
 * then one add of the bias. Frames of history stand before the input's; places outside the frame
 * are zeros, multiplied in or skipped (the same bits, rule R7).
 *
 * A kernel of 3x3 rows and columns, at stride 1 and from 16 channels to 16 or more, is computed by
 * Winograd's F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308, section 4.1), which takes 4 products
 * for every 9: 2x2 outputs from 4x4 inputs d and the transformed kernel u,
 *     y = A' [ sum over (kt, channel) of u . (B' d B) ] A
 * in the order that NUMERICS.md writes. The shape decides, never the device. */
#ifndef VS_KERNELS_CONV_CONV_H
#define VS_KERNELS_CONV_CONV_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"

/* Weights repacked for the kernels: panels (conv.cl says how), or, transformed, the matrices
 * [16][out, kt in] of winograd.h. Made from the file's [out, in, kt, kh, kw] ([out, in, kh, kw] has
 * kt 1). Float32, denormals flushed. stride: of rows and columns. data is read during the call
 * only. VS_ERROR_MODEL for a block format or an empty or absurd shape, VS_ERROR_MEMORY. */
struct vs_conv_weight {
    struct vs_buffer *buffer;
    size_t n_in, n_out;
    size_t kernel[3]; /* kt, kh, kw */
    size_t stride;    /* rows and columns */
};
VS_CHECK enum vs_status vs_conv_weight_create(struct vs_conv_weight *weight,
                                              struct vs_context *context, const void *data,
                                              enum vs_dtype dtype, size_t n_out, size_t n_in,
                                              const size_t kernel[3], size_t stride);
void vs_conv_weight_free(struct vs_conv_weight *weight);

/* Whether the contract computes it by Winograd's algorithm; of weight, the sizes count. */
bool vs_conv_is_winograd(const struct vs_conv_weight *weight);

struct vs_conv {
    const struct vs_conv_weight *weight;
    struct vs_span bias;      /* [n_out], or none */
    size_t n_frames;          /* of x */
    size_t height, width;     /* of x */
    size_t n_past;            /* frames of history in front of x; past none: zeros */
    struct vs_span past;      /* [n_past, H, W, C] */
    size_t stride_time;       /* 1 or 2; output frames = (n_past + n_frames - kt) / stride + 1 */
    size_t pad_top, pad_left; /* zeros in front of rows and columns */
    size_t out_height, out_width;
    size_t first_row; /* of out, in the frame that it is a band of: 2x2 outputs begin at even
                         rows of the frame */
    bool upsample;            /* x is read with rows and columns doubled (nearest neighbour) */
    bool split_frames;        /* output channels [0, n/2) and [n/2, n) become two frames */
    struct vs_span residual;  /* added after the bias: residual + y; may be out itself; or none */
};

/* Frames vs_conv_run() writes; 0 when history and input together are shorter than the kernel. */
size_t vs_conv_out_frames(const struct vs_conv *conv);

/* out [out frames, out_height, out_width, n_out] (n_out / 2 channels when frames are split). out
 * may be the residual, not x or past. VS_ERROR_RUNTIME for sizes that cannot be or that pass the
 * end of a buffer. */
VS_CHECK enum vs_status vs_conv_run(struct vs_context *context, struct vs_span out,
                                    struct vs_span x, const struct vs_conv *conv);

/* The ways to compute it; kernels/common/variant.h says what each function does. */
const char *vs_conv_variant_name(size_t variant);
bool vs_conv_variant_usable(const struct vs_context *context, size_t variant,
                            const struct vs_conv *conv);
uint64_t vs_conv_tuning_key(size_t n_in, size_t n_out, size_t n_taps, size_t n_pixels);
size_t vs_conv_variant_chosen(const struct vs_context *context, const struct vs_conv *conv);
VS_CHECK enum vs_status vs_conv_run_variant(struct vs_context *context, size_t variant,
                                            struct vs_span out, struct vs_span x,
                                            const struct vs_conv *conv);

/* The oracle: weight in the file's order [out, in, kt, kh, kw], float32; pointers may be NULL where
 * the span may be none. */
void vs_conv_ref(float *out, const float *x, const float *weight, const float *bias,
                 const float *past, const float *residual, const struct vs_conv *conv);

#endif
