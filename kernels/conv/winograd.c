/* SPDX-License-Identifier: Apache-2.0
 *
 * winograd.c - convolutions as 16 linear layers over transformed tiles, a band of tiles at a time.
 */
#include "kernels/conv/winograd.h"

#include "cl/context.h"
#include "cl/launch.h"
#include "cl/profile.h"
#include "cl/scratch.h"
#include "kernels/common/vmath_host.h"
#include "kernels/gemm/gemm.h"
#include "kernels/sources.h"

enum { IN = VS_WINOGRAD_IN, OUT = VS_WINOGRAD_OUT, PRODUCTS = VS_WINOGRAD_PRODUCTS };

/* Room for a band, transformed and multiplied together: on CPUs as much as makes launches long, on
 * GPUs, which want work for many compute units, a part of the memory, up to a limit. */
enum { CPU_BAND_BYTES = 16 << 20, GPU_BAND_BYTES = 256 << 20, GPU_MEMORY_PART = 128 };

/* Channels of a vector on CPUs, and room behind the products for one that passes the last. */
enum { VECTOR = 8, SLACK_BYTES = VECTOR * sizeof(float) };

/* ---- Kernels ------------------------------------------------------------------------------ */

/* u = G g G', G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1]: u[p * u_stride] from
 * g[3 row + column]. Columns come first. */
static void transform(float *u, size_t u_stride, const float g[9])
{
    double t[3][IN];
    for (int i = 0; i < 3; i++) {
        double a = g[3 * i], b = g[3 * i + 1], c = g[3 * i + 2];
        t[i][0] = a;
        t[i][1] = (a + b + c) / 2;
        t[i][2] = (a - b + c) / 2;
        t[i][3] = c;
    }
    for (int j = 0; j < IN; j++) {
        double a = t[0][j], b = t[1][j], c = t[2][j];
        const double column[IN] = {a, (a + b + c) / 2, (a - b + c) / 2, c};
        for (int i = 0; i < IN; i++)
            u[(size_t)(IN * i + j) * u_stride] = vm_ftz((float)column[i]);
    }
}

void vs_winograd_pack(float *u, const float *row, size_t o, const struct vs_conv_weight *weight)
{
    size_t kt = weight->kernel[0], n_k = kt * weight->n_in;
    for (size_t t = 0; t < kt; t++)
        for (size_t c = 0; c < weight->n_in; c++)
            transform(u + o * n_k + t * weight->n_in + c, weight->n_out * n_k,
                      row + (c * kt + t) * 9);
}

/* ---- Running ------------------------------------------------------------------------------ */

/* What all bands of a convolution have in common. */
struct job {
    struct vs_context *context;
    const struct vs_conv *conv;
    struct vs_span out, x;
    const struct vs_buffer *tiles, *sums;
    size_t n_in_frames, n_out_frames; /* of x and its history; before they are split */
    size_t odd;                       /* the first row of tiles holds one row of outputs */
    size_t n_across, n_tiles;         /* in a row, and in a frame */
    size_t band;                      /* most tiles of a band */
    size_t width;                     /* channels of a vector */
    int flags;
};

static size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes of a tile in all frames: transformed, and multiplied. */
static size_t tile_bytes(const struct job *job)
{
    return PRODUCTS * job->n_in_frames * job->conv->weight->n_in * sizeof(float);
}

static size_t sum_bytes(const struct job *job)
{
    return PRODUCTS * job->n_out_frames * job->conv->weight->n_out * sizeof(float);
}

/* In groups of one shape, whatever the sizes: PoCL compiles anew for every shape. On CPUs an item
 * goes through all channels of its tile, on GPUs neighbours have neighbouring channels. */
static enum vs_status run_transform(struct vs_launch *launch, const struct job *job,
                                    size_t n_channels, size_t n_tiles, size_t n_frames,
                                    double flops)
{
    static const size_t vectors[3] = {1, 8, 1}, items[3] = {32, 4, 1};
    const size_t *local = job->width > 1 ? vectors : items;
    size_t across = job->width > 1 ? 1 : ceil_div(n_channels, local[0]) * local[0];
    size_t global[3] = {across, ceil_div(n_tiles, local[1]) * local[1], n_frames};
    bool fits =
        vs_context_device(job->context)->max_work_group_size >= local[0] * local[1] * local[2];
    return vs_launch_run(launch, 3, global, fits ? local : NULL, flops);
}

static enum vs_status launch_input(const struct job *job, size_t first_tile, size_t n_tiles)
{
    const struct vs_conv *conv = job->conv;
    size_t n_in = conv->weight->n_in;
    struct vs_launch launch;
    vs_launch_begin(&launch, job->context, &vs_source_winograd, "winograd_input", "-DVS_WIDTH=%zu",
                    job->width);
    vs_launch_buffer(&launch, job->tiles);
    vs_launch_span(&launch, job->x);
    vs_launch_span(&launch, conv->past);
    vs_launch_int(&launch, job->flags);
    vs_launch_int(&launch, (int)n_in);
    vs_launch_int(&launch, (int)conv->height);
    vs_launch_int(&launch, (int)conv->width);
    vs_launch_int(&launch, (int)conv->n_past);
    vs_launch_int(&launch, (int)conv->pad_top);
    vs_launch_int(&launch, (int)conv->pad_left);
    vs_launch_int(&launch, (int)job->odd);
    vs_launch_int(&launch, (int)job->n_across);
    vs_launch_size(&launch, first_tile);
    vs_launch_size(&launch, n_tiles);
    vs_launch_size(&launch, job->n_in_frames);
    double n = (double)n_tiles * (double)job->n_in_frames * (double)n_in;
    vs_launch_bytes(&launch, 4 * n * (OUT * OUT + PRODUCTS));
    return run_transform(&launch, job, n_in, n_tiles, job->n_in_frames, 2 * PRODUCTS * n);
}

/* Products of all matrices: rows are the frames of outputs of each tile, k their kt frames of
 * inputs. */
static enum vs_status multiply(const struct job *job, size_t n_tiles)
{
    const struct vs_conv *conv = job->conv;
    size_t n_in = conv->weight->n_in, n_out = conv->weight->n_out;
    size_t n_rows = n_tiles * job->n_out_frames, tile = job->n_in_frames * n_in;
    const struct vs_weight first = {.buffer = conv->weight->buffer,
                                    .dtype = VS_F32,
                                    .n_rows = n_out,
                                    .n_columns = conv->weight->kernel[0] * n_in};
    const struct vs_linear linear = {.weight = &first,
                                     .batch = {PRODUCTS, n_tiles * tile, n_rows * n_out},
                                     .x_stride = conv->stride_time * n_in,
                                     .x_rows = job->n_out_frames,
                                     .x_group = tile};
    return vs_linear_run(job->context, vs_span_of(job->sums), vs_span_of(job->tiles), n_rows,
                         &linear);
}

static enum vs_status launch_output(const struct job *job, size_t first_tile, size_t n_tiles)
{
    const struct vs_conv *conv = job->conv;
    size_t n_out = conv->weight->n_out;
    struct vs_launch launch;
    vs_launch_begin(&launch, job->context, &vs_source_winograd, "winograd_output", "-DVS_WIDTH=%zu",
                    job->width);
    vs_launch_span(&launch, job->out);
    vs_launch_buffer(&launch, job->sums);
    vs_launch_span(&launch, conv->bias);
    vs_launch_span(&launch, conv->residual);
    vs_launch_int(&launch, job->flags);
    vs_launch_int(&launch, (int)n_out);
    vs_launch_int(&launch, (int)conv->out_height);
    vs_launch_int(&launch, (int)conv->out_width);
    vs_launch_int(&launch, (int)job->odd);
    vs_launch_int(&launch, (int)job->n_across);
    vs_launch_size(&launch, first_tile);
    vs_launch_size(&launch, n_tiles);
    vs_launch_size(&launch, job->n_out_frames);
    double n = (double)n_tiles * (double)job->n_out_frames * (double)n_out;
    vs_launch_bytes(&launch, 4 * n * (PRODUCTS + OUT * OUT * (conv->residual.buffer ? 2.0 : 1.0)));
    return run_transform(&launch, job, n_out, n_tiles, job->n_out_frames,
                         (2 * IN * OUT + 2 * OUT * OUT + 2 * OUT * OUT) * n);
}

/* As many as the room and the device's buffers hold, and one at least. */
static size_t most_tiles(const struct job *job)
{
    const struct vs_device_info *device = vs_context_device(job->context);
    size_t tile = tile_bytes(job), sum = sum_bytes(job) + SLACK_BYTES;
    size_t room =
        device->type == VS_DEVICE_CPU
            ? CPU_BAND_BYTES
            : smaller(GPU_BAND_BYTES, (size_t)(device->global_memory_bytes / GPU_MEMORY_PART));
    size_t n = smaller(room / (tile + sum),
                       (size_t)device->max_allocation_bytes / (tile > sum ? tile : sum));
    return n ? n : 1;
}

/* 9 products for each output against 16 for each tile, in every channel and frame of the kernel. */
static double saved_flops(const struct job *job)
{
    const struct vs_conv *conv = job->conv;
    double each = 2.0 * (double)job->n_out_frames * (double)conv->weight->n_out *
                  (double)conv->weight->n_in * (double)conv->weight->kernel[0];
    return each * (9.0 * (double)conv->out_height * (double)conv->out_width -
                   (double)PRODUCTS * (double)job->n_tiles);
}

enum vs_status vs_winograd_run(struct vs_context *context, struct vs_span out, struct vs_span x,
                               const struct vs_conv *conv, int flags)
{
    enum vs_status status = VS_OK;
    enum vs_precision precision = vs_context_precision(context);
    struct job job = {.context = context, .conv = conv, .out = out, .x = x, .flags = flags};
    job.n_in_frames = conv->n_past + conv->n_frames;
    job.n_out_frames = vs_conv_out_frames(conv) / (conv->split_frames ? 2 : 1);
    job.odd = conv->first_row % OUT;
    job.n_across = ceil_div(conv->out_width, OUT);
    job.n_tiles = job.n_across * ceil_div(job.odd + conv->out_height, OUT);
    job.width = vs_context_vector_width(context) >= 4 ? VECTOR : 1;
    if (!job.n_tiles || !job.n_out_frames)
        return VS_OK;

    size_t n_bands = ceil_div(job.n_tiles, most_tiles(&job));
    job.band = ceil_div(job.n_tiles, n_bands); /* of one length, but for the last */
    VS_TRY(
        vs_scratch_get(&job.tiles, NULL, context, VS_SCRATCH_TILES, job.band * tile_bytes(&job)));
    VS_TRY(vs_scratch_get(&job.sums, NULL, context, VS_SCRATCH_SUMS,
                          job.band * sum_bytes(&job) + SLACK_BYTES));
    vs_profile_save(context, saved_flops(&job));
    vs_context_set_precision(context, VS_PRECISION_EXACT); /* as convolutions are in any */
    for (size_t at = 0; at < job.n_tiles; at += job.band) {
        size_t n_tiles = smaller(job.band, job.n_tiles - at);
        VS_TRY(launch_input(&job, at, n_tiles));
        VS_TRY(multiply(&job, n_tiles));
        VS_TRY(launch_output(&job, at, n_tiles));
    }
fail:
    vs_context_set_precision(context, precision);
    return status;
}
