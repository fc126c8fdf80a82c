/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_vae.c - golden cases of the VAE: single blocks as streams, and the whole network. */
#include "models/vae.h"

#include <unistd.h>

#include "kernels/pixels/pixels.h"
#include "models/vae_chain.h"
#include "tests/golden.h"

static const struct vs_span none;

static void free_block(void *block)
{
    vs_vae_block_free(block);
}

static void free_chain(void *chain)
{
    vs_vae_chain_free(chain);
}

/* in.x [C, T, H, W] through one block, whose tensors stand among the inputs, in the calls given. */
static void block(struct golden *golden, enum vs_vae_kind kind, size_t n_out)
{
    size_t c = golden_dim(golden, "in.x", 0), t = golden_dim(golden, "in.x", 1);
    size_t h = golden_dim(golden, "in.x", 2), w = golden_dim(golden, "in.x", 3);
    const struct vs_vae_layout layout = {.kind = kind,
                                         .prefix = "in.",
                                         .n_in = c,
                                         .n_out = n_out,
                                         .time = golden_has(golden, "in.time_conv.weight")};
    struct vs_vae_block *made = golden_alloc(golden, sizeof *made);
    golden_ok(golden, vs_vae_block_create(made, golden->context, golden->data, &layout));
    golden_defer(golden, free_block, made);
    const struct vs_vae_chain_options options = {.n_frames = t, .height = h, .width = w};
    struct vs_vae_chain *chain;
    golden_ok(golden, vs_vae_chain_create(&chain, golden->context, made, 1, &options));
    golden_defer(golden, free_chain, chain);

    struct vs_vae_chain_output o = vs_vae_chain_output(chain);
    size_t out_frame = o.height * o.width * o.n_channels, n = golden_count(golden, "in.x");
    struct vs_span x = golden_device(golden, NULL, n);
    struct vs_span out = golden_device(golden, NULL, o.n_frames * out_frame);
    golden_ok(golden, vs_channels_last_run(golden->context, x, golden_upload(golden, "in.x"), none,
                                           none, 1, c, t * h, w));
    struct vs_span from = x, to = out;
    size_t n_calls = golden_list_length(golden, "calls"), done = 0, made_frames = 0;
    for (size_t i = 0; i < n_calls; i++) {
        size_t frames = (size_t)golden_list_number(golden, "calls", i), m;
        if (frames > t - done)
            golden_fail(golden, "calls go past the %zu frames of in.x", t);
        golden_ok(golden, vs_vae_chain_run(chain, to, &m, from, frames));
        from.offset += frames * h * w * c;
        to.offset += m * out_frame;
        done += frames;
        made_frames += m;
    }
    struct vs_span y = golden_device(golden, NULL, made_frames * out_frame);
    golden_ok(golden, vs_channels_first_run(golden->context, y, out, none, none, 1, o.n_channels,
                                            o.n_channels, made_frames * o.height, o.width));
    golden_compare_span(golden, "out.y", y, made_frames * out_frame);
}

static void res(struct golden *golden)
{
    block(golden, VS_VAE_RES, golden_dim(golden, "in.residual.2.weight", 0));
}

static void attention(struct golden *golden)
{
    block(golden, VS_VAE_ATTENTION, golden_dim(golden, "in.x", 0));
}

static void up(struct golden *golden)
{
    block(golden, VS_VAE_UP, golden_dim(golden, "in.resample.1.weight", 0));
}

static void down(struct golden *golden)
{
    block(golden, VS_VAE_DOWN, golden_dim(golden, "in.resample.1.weight", 0));
}

/* ---- The whole network -------------------------------------------------------------------- */

static void close_weights(void *weights)
{
    vs_weights_free(weights);
}

static void free_vae(void *vae)
{
    vs_vae_free(vae);
}

static void free_stream(void *stream)
{
    vs_vae_stream_free(stream);
}

static double *channel_list(struct golden *golden, const char *key)
{
    if (golden_list_length(golden, key) != VS_VAE_CHANNELS)
        golden_fail(golden, "'%s' has not %d values", key, VS_VAE_CHANNELS);
    double *values = golden_alloc(golden, VS_VAE_CHANNELS * sizeof *values);
    for (size_t i = 0; i < VS_VAE_CHANNELS; i++)
        values[i] = golden_list_number(golden, key, i);
    return values;
}

static struct vs_vae *open_vae(struct golden *golden)
{
    /* A case has its own weights in its folder, or shares those of another under the root. */
    const char *file = golden_text(golden, "weights"), *path = golden_path(golden, file);
    if (access(path, R_OK) != 0)
        path = golden_root_path(golden, file);
    struct vs_weights *weights;
    struct vs_vae *vae;
    golden_ok(golden, vs_weights_open(&weights, path));
    golden_defer(golden, close_weights, weights);
    golden_ok(golden, vs_vae_create(&vae, golden->context, weights, VS_VAE_DECODE | VS_VAE_ENCODE));
    golden_defer(golden, free_vae, vae);
    if (golden_json(golden, "mean"))
        golden_ok(golden, vs_vae_set_latent_scale(vae, channel_list(golden, "mean"),
                                                  channel_list(golden, "std")));
    return vae;
}

static struct vs_vae_stream *open_stream(struct golden *golden, struct vs_vae *vae,
                                         enum vs_vae_direction direction, size_t n_latent_frames,
                                         size_t height, size_t width)
{
    const struct vs_vae_stream_options options = {.direction = direction,
                                                  .n_latent_frames = n_latent_frames,
                                                  .height = height,
                                                  .width = width};
    struct vs_vae_stream *stream;
    golden_ok(golden, vs_vae_stream_create(&stream, vae, &options));
    golden_defer(golden, free_stream, stream);
    return stream;
}

/* in.z [T, 16, h, w] to out.frames [n, 3, 8 h, 8 w] in the calls given. */
static void decode(struct golden *golden, struct vs_vae *vae)
{
    size_t t = golden_dim(golden, "in.z", 0), h = golden_dim(golden, "in.z", 2);
    size_t w = golden_dim(golden, "in.z", 3), n_pixels = 64 * h * w, done = 0, n_out = 0;
    struct vs_vae_stream *stream = open_stream(golden, vae, VS_VAE_DECODE, t, h, w);
    struct vs_span z = golden_upload(golden, "in.z"), frames;
    struct vs_span out = golden_device(golden, NULL, 4 * t * n_pixels * 3);
    for (size_t i = 0; i < golden_list_length(golden, "decode_calls"); i++) {
        size_t n = (size_t)golden_list_number(golden, "decode_calls", i), m;
        if (n > t - done)
            golden_fail(golden, "decode_calls go past the %zu frames of in.z", t);
        golden_ok(golden, vs_vae_decode(stream, z, n, &frames, &m));
        golden_ok(golden, vs_channels_first_run(
                              golden->context,
                              vs_span_at(out.buffer, out.offset + n_out * n_pixels * 3), frames,
                              none, none, m, 3, 3, 8 * h, 8 * w));
        z.offset += n * VS_VAE_CHANNELS * h * w;
        done += n;
        n_out += m;
    }
    golden_compare_span(golden, "out.frames", out, n_out * n_pixels * 3);
}

/* in.video [n, 3, H, W] to out.latents [T, 16, H / 8, W / 8]. */
static void encode(struct golden *golden, struct vs_vae *vae)
{
    size_t n = golden_dim(golden, "in.video", 0), height = golden_dim(golden, "in.video", 2);
    size_t width = golden_dim(golden, "in.video", 3), m;
    size_t h = height / VS_VAE_SCALE, w = width / VS_VAE_SCALE;
    struct vs_vae_stream *stream =
        open_stream(golden, vae, VS_VAE_ENCODE, n / VS_VAE_RATE + 1, h, w);
    struct vs_span x = golden_device(golden, NULL, n * height * width * 3), latents;
    golden_ok(golden, vs_channels_last_run(golden->context, x, golden_upload(golden, "in.video"),
                                           none, none, n, 3, height, width));
    golden_ok(golden, vs_vae_encode(stream, x, n, &latents, &m));
    golden_compare_span(golden, "out.latents", latents, m * VS_VAE_CHANNELS * h * w);
}

static void vae(struct golden *golden)
{
    struct vs_vae *network = open_vae(golden);
    if (golden_has(golden, "in.z"))
        decode(golden, network);
    if (golden_has(golden, "in.video"))
        encode(golden, network);
}

const struct golden_op golden_ops_vae[] = {
    {"vae_resblock", res},
    {"vae_resblock_shortcut", res},
    {"vae_attention", attention},
    {"vae_up_time", up},
    {"vae_up_space", up},
    {"vae_down_time", down},
    {"vae_down_space", down},
    {"vae", vae},
    {NULL, NULL},
};
