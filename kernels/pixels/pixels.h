/* SPDX-License-Identifier: Apache-2.0
 *
 * pixels.h - between latents, the VAE's channels-last frames, and 8-bit RGB. */
#ifndef VS_KERNELS_PIXELS_PIXELS_H
#define VS_KERNELS_PIXELS_PIXELS_H

#include "cl/buffer.h"

/* out [F, H, W, C] = fma(x, scale[c], shift[c]) of x [F, C, H, W]; scale none: a plain transpose.
 * Latents into the VAE: scale = std, shift = mean. */
VS_CHECK enum vs_status vs_channels_last_run(struct vs_context *context, struct vs_span out,
                                             struct vs_span x, struct vs_span scale,
                                             struct vs_span shift, size_t n_frames,
                                             size_t n_channels, size_t height, size_t width);
void vs_channels_last_ref(float *out, const float *x, const float *scale, const float *shift,
                          size_t n_frames, size_t n_channels, size_t height, size_t width);

/* out [F, C, H, W] = (x[.., c] - shift[c]) * scale[c] of the first C of x's x_channels channels,
 * x [F, H, W, x_channels]; scale none: a plain transpose. Latents out of the encoder: scale =
 * 1/std (from the host), shift = mean. */
VS_CHECK enum vs_status vs_channels_first_run(struct vs_context *context, struct vs_span out,
                                              struct vs_span x, struct vs_span scale,
                                              struct vs_span shift, size_t n_frames,
                                              size_t n_channels, size_t x_channels, size_t height,
                                              size_t width);
void vs_channels_first_ref(float *out, const float *x, const float *scale, const float *shift,
                           size_t n_frames, size_t n_channels, size_t x_channels, size_t height,
                           size_t width);

/* Bytes of n values: rint(fma(clamp(x, -1, 1), 127.5, 127.5)); NaN gives 0. out: uint8 buffer. */
VS_CHECK enum vs_status vs_bytes_run(struct vs_context *context, const struct vs_buffer *out,
                                     size_t out_offset, struct vs_span x, size_t n);
void vs_bytes_ref(uint8_t *out, const float *x, size_t n);

#endif
