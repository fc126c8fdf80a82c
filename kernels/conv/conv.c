/* SPDX-License-Identifier: Apache-2.0
 *
 * conv.c - packing the weights, checking shapes, launching the convolutions. */
#include "kernels/conv/conv.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/common/variant.h"
#include "kernels/conv/winograd.h"
#include "kernels/sources.h"

/* Kernels keep sizes and places in a frame in int, and go a block of k past the end. */
enum { LARGEST = 0x7fffffff - 256 };

/* As in conv.cl. */
enum { HAS_BIAS = 1, HAS_PAST = 2, HAS_RESIDUAL = 4, DOUBLED = 8, SPLIT = 16 };

/* What a variant of the direct algorithm computes: `pixels` of a panel's channels per work-item,
 * and at most `runs` of these, which share 16 KiB of weights (tiles); or `pixels` of 4 channels per
 * work-item, with at most `across` work-items of a group side by side (cooperative), or alone. */
struct variant {
    const char *name, *kernel;
    size_t pixels, runs, across;
};

static const struct variant variants[] = {
    {"plain", "conv_plain", 6, 24, 0},
    {"tile 6", "conv_tile", 6, 24, 0},
    {"group 64", "conv_group", 4, 0, 16},
    {"group 32", "conv_group", 2, 0, 8},
    {"items 4x8", "conv_items", 8, 0, 0},
    {"winograd", NULL, 0, 0, 0},
};
enum { PLAIN, TILE_6, GROUP_64, GROUP_32, ITEMS_4X8, WINOGRAD, N_VARIANTS };

/* Output channels of a panel: a vector of 16, less where that would be mostly padding. */
static size_t panel_lanes(size_t n_out)
{
    return n_out <= 4 ? 4 : n_out <= 8 ? 8 : 16;
}

/* Pixels of a tile: with a vector of 16 channels, 6 of them fill the 16 vector registers of AVX2
 * with room for the operands; narrower panels take more. */
static size_t tile_pixels(const struct variant *variant, size_t lanes)
{
    return lanes == 16 ? variant->pixels : variant->pixels + 2;
}

/* Work-items of a group that share nothing: lanes of a vector. */
enum { ITEMS_LINE = 8 };

/* Work-groups of the cooperative kernel, and local memory of the shape that takes most. */
enum { GROUP_ITEMS = 256, GROUP_LOCAL_BYTES = 22 * 1024 };

/* Work-items side by side, each with 4 output channels: as many as leave few channels idle. */
static size_t group_across(const struct variant *variant, size_t n_out)
{
    size_t n_idle = 4 * variant->across - 1 - (n_out - 1) % (4 * variant->across);
    if (n_out <= 16)
        return 4;
    return variant->across > 8 && n_idle >= 32 ? 8 : variant->across;
}

/* Pixels of one of these work-items. */
static size_t group_pixels(const struct variant *variant, size_t across)
{
    return across == 4 ? variant->pixels / 2 : variant->pixels;
}

const char *vs_conv_variant_name(size_t variant)
{
    return variant < N_VARIANTS ? variants[variant].name : NULL;
}

bool vs_conv_variant_usable(const struct vs_context *context, size_t variant,
                            const struct vs_conv *conv)
{
    if (variant == WINOGRAD || vs_conv_is_winograd(conv->weight))
        return variant == WINOGRAD && vs_conv_is_winograd(conv->weight);
    if (variant == PLAIN || variant == ITEMS_4X8 || variant >= N_VARIANTS)
        return variant < N_VARIANTS;
    return variants[variant].across ? vs_variant_groups(context, GROUP_ITEMS, GROUP_LOCAL_BYTES)
                                    : vs_variant_tiles(context);
}

/* All but small frames are alike. */
uint64_t vs_conv_tuning_key(size_t n_in, size_t n_out, size_t n_taps, size_t n_pixels)
{
    return vs_variant_key(VS_TUNED_CONV, 0, n_in, n_out, n_taps, n_pixels < 256 ? n_pixels : 256);
}

/* The larger groups read less; in Intel's widest mode, 32 items to a thread, they do not fit the
 * registers. */
size_t vs_conv_variant_chosen(const struct vs_context *context, const struct vs_conv *conv)
{
    const struct vs_conv_weight *weight = conv->weight;
    size_t n_taps = weight->kernel[0] * weight->kernel[1] * weight->kernel[2], tuned;
    if (vs_conv_is_winograd(weight))
        return WINOGRAD; /* its linear layers have variants */
    if (vs_variant_recorded(context,
                            vs_conv_tuning_key(weight->n_in, weight->n_out, n_taps,
                                               conv->out_height * conv->out_width),
                            &tuned) &&
        vs_conv_variant_usable(context, tuned, conv))
        return tuned;
    if (vs_variant_tiles(context))
        return TILE_6;
    if (vs_context_software_fma(context))
        return ITEMS_4X8;
    if (!vs_conv_variant_usable(context, GROUP_64, conv))
        return PLAIN;
    return strstr(vs_context_device(context)->vendor, "Intel") ? GROUP_32 : GROUP_64;
}

static size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* Product of n sizes; false past LARGEST. */
static bool small_product(size_t *product, size_t n, const size_t *sizes)
{
    *product = 1;
    for (size_t i = 0; i < n; i++)
        if (!vs_mul_ok(*product, sizes[i], product) || *product > LARGEST)
            return false;
    return true;
}

bool vs_conv_is_winograd(const struct vs_conv_weight *weight)
{
    enum { LEAST = 16 }; /* channels: with fewer, transforms take longer than what they save */
    return weight->kernel[1] == 3 && weight->kernel[2] == 3 && weight->stride == 1 &&
           weight->n_in >= LEAST && weight->n_out >= LEAST;
}

/* One output channel, row [n_in, n_taps], into panels of `lanes` channels. */
static void pack_panel(float *packed, const float *row, size_t o, size_t lanes,
                       const struct vs_conv_weight *weight, size_t n_taps)
{
    float *to = packed + o / lanes * n_taps * weight->n_in * lanes + o % lanes;
    for (size_t tap = 0; tap < n_taps; tap++)
        for (size_t c = 0; c < weight->n_in; c++)
            to[(tap * weight->n_in + c) * lanes] = row[c * n_taps + tap];
}

enum vs_status vs_conv_weight_create(struct vs_conv_weight *weight, struct vs_context *context,
                                     const void *data, enum vs_dtype dtype, size_t n_out,
                                     size_t n_in, const size_t kernel[3], size_t stride)
{
    enum vs_status status = VS_OK;
    float *packed = NULL, *row = NULL;
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    size_t n_taps, n_k, lanes = panel_lanes(n_out), n_packed;
    *weight = (struct vs_conv_weight){.n_in = n_in,
                                      .n_out = n_out,
                                      .kernel = {kernel[0], kernel[1], kernel[2]},
                                      .stride = stride};
    bool winograd = vs_conv_is_winograd(weight);
    if (info->n_elements != 1)
        return vs_fail(VS_ERROR_MODEL,
                       "a convolution has weights in the block format %s; use F32, F16 or BF16",
                       info->name);
    if (!small_product(&n_taps, 3, kernel) || !small_product(&n_k, 2, (size_t[]){n_taps, n_in}) ||
        !n_k || !n_out || n_out > LARGEST)
        return vs_fail(VS_ERROR_MODEL,
                       "a convolution cannot have the shape [%zu, %zu, %zu, %zu, %zu]", n_out, n_in,
                       kernel[0], kernel[1], kernel[2]);
    bool fits = winograd ? vs_mul_ok(n_out, n_k / 9, &n_packed) &&
                               vs_mul_ok(n_packed, VS_WINOGRAD_PRODUCTS, &n_packed)
                         : vs_mul_ok(ceil_div(n_out, lanes) * lanes, n_k, &n_packed) &&
                               vs_add_ok(n_packed, n_in, &n_packed);
    if (!fits)
        return vs_fail(VS_ERROR_MEMORY, "the weights of a convolution exceed the address space");

    packed = vs_alloc(n_packed, sizeof *packed);
    row = vs_alloc(n_k, sizeof *row);
    if (!packed || !row) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    /* A plan leaves the files unread. */
    for (size_t o = 0; o < n_out && !vs_context_is_hollow(context); o++) {
        vs_dtype_widen(row, (const char *)data + o * n_k * info->n_bytes, dtype, n_k);
        if (winograd)
            vs_winograd_pack(packed, row, o, weight);
        else
            pack_panel(packed, row, o, lanes, weight, n_taps);
    }
    VS_TRY(vs_floats_create(&weight->buffer, context, packed, n_packed));
fail:
    free(packed);
    free(row);
    return status;
}

void vs_conv_weight_free(struct vs_conv_weight *weight)
{
    vs_buffer_free(weight->buffer);
    weight->buffer = NULL;
}

/* Output frames before they are split in two. */
static size_t conv_frames(const struct vs_conv *conv)
{
    size_t n = conv->n_past + conv->n_frames, kt = conv->weight->kernel[0];
    return n < kt ? 0 : (n - kt) / conv->stride_time + 1;
}

size_t vs_conv_out_frames(const struct vs_conv *conv)
{
    return conv_frames(conv) * (conv->split_frames ? 2 : 1);
}

/* Refuses a span that does not hold n_frames * height * width * n_channels elements. */
static enum vs_status check_span(const char *what, struct vs_span span, size_t n_frames,
                                 size_t height, size_t width, size_t n_channels)
{
    size_t n;
    bool fits = span.buffer && vs_mul_ok(n_frames, height, &n) && vs_mul_ok(n, width, &n) &&
                vs_mul_ok(n, n_channels, &n) && vs_add_ok(n, span.offset, &n) &&
                n <= vs_buffer_bytes(span.buffer) / sizeof(float);
    if (fits)
        return VS_OK;
    return vs_fail(VS_ERROR_RUNTIME,
                   "convolution: %s [%zu, %zu, %zu, %zu] passes the end of its buffer", what,
                   n_frames, height, width, n_channels);
}

static enum vs_status check(struct vs_span out, struct vs_span x, const struct vs_conv *conv)
{
    enum vs_status status = VS_OK;
    const struct vs_conv_weight *weight = conv->weight;
    size_t doubled = conv->upsample ? 2 : 1, n_pixels;
    const size_t all[] = {conv->n_frames,    conv->n_past,    conv->height,  conv->width,
                          conv->out_height,  conv->out_width, conv->pad_top, conv->pad_left,
                          conv->stride_time, weight->stride};
    bool possible = weight->buffer && conv->stride_time && weight->stride &&
                    (!conv->split_frames || weight->n_out % 2 == 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        possible = possible && all[i] <= LARGEST / 8;
    possible = possible &&
               small_product(&n_pixels, 2, (size_t[]){conv->out_height, conv->out_width}) &&
               small_product(&n_pixels, 3, (size_t[]){conv->height, conv->width, doubled}) &&
               /* The farthest row and column that a tile looks at, past the output's end. */
               small_product(&n_pixels, 2, (size_t[]){conv->out_height + 16, 4 * weight->stride}) &&
               small_product(&n_pixels, 2, (size_t[]){conv->out_width + 16, 4 * weight->stride});
    if (!possible)
        return vs_fail(VS_ERROR_RUNTIME, "convolution: sizes that cannot be");
    VS_TRY(check_span("input", x, conv->n_frames, conv->height, conv->width, weight->n_in));
    VS_TRY(check_span("output", out, conv_frames(conv), conv->out_height, conv->out_width,
                      weight->n_out));
    if (conv->past.buffer)
        VS_TRY(check_span("history", conv->past, conv->n_past, conv->height, conv->width,
                          weight->n_in));
    if (conv->bias.buffer)
        VS_TRY(check_span("bias", conv->bias, 1, 1, 1, weight->n_out));
    if (conv->residual.buffer)
        VS_TRY(check_span("residual", conv->residual, conv_frames(conv), conv->out_height,
                          conv->out_width, weight->n_out));
fail:
    return status;
}

/* A convolution over single pixels does not see rows: one long row has fewer cut tiles. */
static struct vs_conv flattened(const struct vs_conv *conv)
{
    struct vs_conv flat = *conv;
    const size_t *kernel = conv->weight->kernel;
    if (kernel[1] == 1 && kernel[2] == 1 && conv->weight->stride == 1 && !conv->upsample &&
        !conv->pad_top && !conv->pad_left && conv->out_height == conv->height &&
        conv->out_width == conv->width) {
        flat.height = flat.out_height = 1;
        flat.width = flat.out_width = conv->height * conv->width;
    }
    return flat;
}

enum vs_status vs_conv_run_variant(struct vs_context *context, size_t index, struct vs_span out,
                                   struct vs_span x, const struct vs_conv *conv)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    VS_TRY(check(out, x, conv));
    index = index == VS_CHOSEN ? vs_conv_variant_chosen(context, conv) : index;
    if (!vs_conv_variant_usable(context, index, conv))
        return vs_variant_refuse("convolution", vs_conv_variant_name(index));

    const struct variant *variant = &variants[index];
    const struct vs_conv flat = flattened(conv);
    const struct vs_conv_weight *weight = conv->weight;
    const size_t *kernel = weight->kernel;
    size_t lanes = panel_lanes(weight->n_out), n_panels = ceil_div(weight->n_out, lanes);
    size_t pixels = tile_pixels(variant, lanes), n_frames = conv_frames(conv);
    size_t n_out_pixels = flat.out_height * flat.out_width, across = 0;
    int flags = (flat.bias.buffer ? HAS_BIAS : 0) | (flat.past.buffer ? HAS_PAST : 0) |
                (flat.residual.buffer ? HAS_RESIDUAL : 0) | (flat.upsample ? DOUBLED : 0) |
                (flat.split_frames ? SPLIT : 0);

    if (index == WINOGRAD)
        return vs_winograd_run(context, out, x, conv, flags);
    if (variant->across) {
        across = group_across(variant, weight->n_out);
        pixels = group_pixels(variant, across);
        vs_launch_begin(&launch, context, &vs_source_conv_group, variant->kernel,
                        "-DVS_LANES=%zu -DVS_ACROSS=%zu -DVS_PIXELS=%zu", lanes, across, pixels);
    } else if (index == ITEMS_4X8) {
        pixels = variant->pixels;
        vs_launch_begin(&launch, context, &vs_source_conv_items, variant->kernel, "-DVS_LANES=%zu",
                        lanes);
    } else
        vs_launch_begin(&launch, context, &vs_source_conv, variant->kernel,
                        "-DVS_LANES=%zu -DVS_PIXELS=%zu -DVS_TILES=%zu", lanes, pixels,
                        variant->runs);
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, x);
    vs_launch_buffer(&launch, weight->buffer);
    vs_launch_span(&launch, flat.bias);
    vs_launch_span(&launch, flat.past);
    vs_launch_span(&launch, flat.residual);
    vs_launch_int(&launch, flags);
    vs_launch_int(&launch, (int)weight->n_in);
    vs_launch_int(&launch, (int)weight->n_out);
    for (int i = 0; i < 3; i++)
        vs_launch_int(&launch, (int)kernel[i]);
    vs_launch_int(&launch, (int)flat.height);
    vs_launch_int(&launch, (int)flat.width);
    vs_launch_int(&launch, (int)flat.n_past);
    vs_launch_int(&launch, (int)flat.stride_time);
    vs_launch_int(&launch, (int)weight->stride);
    vs_launch_int(&launch, (int)flat.pad_top);
    vs_launch_int(&launch, (int)flat.pad_left);
    vs_launch_int(&launch, (int)flat.out_height);
    vs_launch_int(&launch, (int)flat.out_width);
    vs_launch_size(&launch, n_frames);
    vs_launch_size(&launch, n_panels);

    double n_in_pixels = (double)((conv->n_past + conv->n_frames) * conv->height * conv->width);
    vs_launch_bytes(&launch, 4.0 * (n_in_pixels * (double)weight->n_in +
                                    (flat.residual.buffer ? 2.0 : 1.0) * (double)n_frames *
                                        (double)n_out_pixels * (double)weight->n_out));
    double flops = 2.0 * (double)n_frames * (double)n_out_pixels * (double)weight->n_out *
                   (double)(kernel[0] * kernel[1] * kernel[2] * weight->n_in);
    if (index == PLAIN)
        return vs_launch_run(&launch, 3, (size_t[]){weight->n_out, n_out_pixels, n_frames}, NULL,
                             flops);

    if (index == ITEMS_4X8) {
        size_t n_groups = ceil_div(n_frames * n_out_pixels, pixels * ITEMS_LINE);
        size_t global[2] = {n_groups * ITEMS_LINE, ceil_div(weight->n_out, 4)};
        return vs_launch_run(&launch, 2, global, (size_t[]){ITEMS_LINE, 1}, flops);
    }
    if (variant->across) {
        size_t group_width = GROUP_ITEMS / across * pixels;
        size_t global[2] = {GROUP_ITEMS * ceil_div(weight->n_out, 4 * across),
                            ceil_div(n_frames * n_out_pixels, group_width)};
        return vs_launch_run(&launch, 2, global, (size_t[]){GROUP_ITEMS, 1}, flops);
    }

    /* Few runs are spread over all cores before they share weights. */
    size_t n_runs = n_frames * flat.out_height * ceil_div(flat.out_width, pixels);
    size_t units = vs_context_device(context)->compute_units;
    size_t each = n_runs * n_panels / (4 * (units ? units : 1));
    each = each < 1 ? 1 : each > variant->runs ? variant->runs : each;
    vs_launch_int(&launch, (int)each);
    return vs_launch_run(&launch, 2, (size_t[]){n_panels, ceil_div(n_runs, each)}, (size_t[]){1, 1},
                         flops);
fail:
    return status;
}

enum vs_status vs_conv_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                           const struct vs_conv *conv)
{
    return vs_conv_run_variant(context, VS_CHOSEN, out, x, conv);
}
