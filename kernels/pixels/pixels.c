/* SPDX-License-Identifier: Apache-2.0
 *
 * pixels.c - launching the changes of layout and the conversion to bytes. */
#include "kernels/pixels/pixels.h"

#include "cl/launch.h"
#include "kernels/sources.h"

/* The arguments that both changes of layout begin with. */
static void set_spans(struct vs_launch *launch, struct vs_span out, struct vs_span x,
                      struct vs_span scale, struct vs_span shift)
{
    vs_launch_span(launch, out);
    vs_launch_span(launch, x);
    vs_launch_span(launch, scale);
    vs_launch_span(launch, shift);
    vs_launch_int(launch, scale.buffer != NULL);
}

enum vs_status vs_channels_last_run(struct vs_context *context, struct vs_span out,
                                    struct vs_span x, struct vs_span scale, struct vs_span shift,
                                    size_t n_frames, size_t n_channels, size_t height,
                                    size_t width)
{
    struct vs_launch launch;
    size_t n_pixels = height * width;
    vs_launch_begin(&launch, context, &vs_source_pixels, "channels_last", "%s", "");
    set_spans(&launch, out, x, scale, shift);
    vs_launch_size(&launch, n_channels);
    vs_launch_size(&launch, n_pixels);
    vs_launch_bytes(&launch, 8.0 * (double)n_frames * (double)n_pixels * (double)n_channels);
    return vs_launch_run(&launch, 2, (size_t[]){n_pixels, n_frames}, NULL,
                         2.0 * (double)n_frames * (double)n_pixels * (double)n_channels);
}

enum vs_status vs_channels_first_run(struct vs_context *context, struct vs_span out,
                                     struct vs_span x, struct vs_span scale, struct vs_span shift,
                                     size_t n_frames, size_t n_channels, size_t x_channels,
                                     size_t height, size_t width)
{
    struct vs_launch launch;
    size_t n_pixels = height * width;
    vs_launch_begin(&launch, context, &vs_source_pixels, "channels_first", "%s", "");
    set_spans(&launch, out, x, scale, shift);
    vs_launch_size(&launch, n_channels);
    vs_launch_size(&launch, x_channels);
    vs_launch_size(&launch, n_pixels);
    vs_launch_bytes(&launch, 8.0 * (double)n_frames * (double)n_pixels * (double)n_channels);
    return vs_launch_run(&launch, 2, (size_t[]){n_pixels, n_frames}, NULL,
                         2.0 * (double)n_frames * (double)n_pixels * (double)n_channels);
}

enum vs_status vs_bytes_run(struct vs_context *context, const struct vs_buffer *out,
                            size_t out_offset, struct vs_span x, size_t n)
{
    struct vs_launch launch;
    size_t n_items = n / 16 + (n % 16 != 0);
    vs_launch_begin(&launch, context, &vs_source_pixels, "bytes", "%s", "");
    vs_launch_buffer(&launch, out);
    vs_launch_size(&launch, out_offset);
    vs_launch_span(&launch, x);
    vs_launch_size(&launch, n);
    vs_launch_bytes(&launch, 5.0 * (double)n);
    return vs_launch_run(&launch, 1, &n_items, NULL, 4.0 * (double)n);
}
