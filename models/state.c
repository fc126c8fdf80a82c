/* SPDX-License-Identifier: Apache-2.0
 *
 * state.c - a generator's memory between two chunks, as a file and back.
 *
 * Everything that the next chunk reads and that cannot be made again from model and options: K, V
 * and gates of the cached frames in their order, the states, clean latents for a recache, frame
 * numbers. The VAE's history is not there: it is made again from the latents of the last chunks,
 * which takes VS_VAE_HISTORY latent frames and gives the same bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/generator.h"
#include "models/state_file.h"

static const char kind[] = "videossm-cl state 1";

/* ---- The tensors -------------------------------------------------------------------------- */

/* The first dimension counts pieces, the second their rows. */
static struct vs_state_tensor *add(struct vs_state_tensor *tensors, size_t *n,
                                   struct vs_buffer *const *buffers, size_t n_buffers,
                                   enum vs_dtype dtype, size_t n_dims, const size_t *shape)
{
    struct vs_state_tensor *tensor = tensors + (*n)++;
    size_t piece_bytes = vs_dtype_info(dtype)->n_bytes;
    *tensor = (struct vs_state_tensor){.dtype = dtype,
                                       .n_dims = n_dims,
                                       .buffers = buffers,
                                       .n_buffers = n_buffers,
                                       .n_pieces = shape[0],
                                       .n_rows = n_dims > 2 ? shape[1] : 1};
    for (size_t i = 0; i < n_dims; i++) {
        tensor->shape[i] = shape[i];
        piece_bytes *= i ? shape[i] : 1;
    }
    tensor->piece_bytes = piece_bytes;
    return tensor;
}

/* A file is the same whatever the groups of heads. */
static void add_layers(struct vs_state_tensor *tensors, size_t *n, const struct vs_cache *cache,
                       const char *name, enum vs_cached what)
{
    size_t shape[] = {cache->n_cached, vs_cache_frame_tokens(cache),
                      cache->shape.n_heads * vs_cached_head_width(cache, what)};
    for (size_t layer = 0; cache->kept[what] && layer < cache->shape.n_layers; layer++) {
        struct vs_state_tensor *tensor =
            add(tensors, n, cache->kept[what] + layer * cache->n_groups, cache->n_groups,
                vs_cached_dtype(cache, what), 3, shape);
        tensor->order = cache->order;
        snprintf(tensor->name, sizeof tensor->name, "%s.%zu", name, layer);
    }
}

/* The cache as tensors; *tensors is freed with free(). */
static enum vs_status describe(struct vs_state_tensor **tensors, size_t *n,
                               const struct vs_cache *cache)
{
    const struct vs_cache_shape *shape = &cache->shape;
    size_t latents[] = {cache->n_cached, shape->latent_size};
    size_t state[] = {shape->n_layers, shape->n_heads, shape->head_dim, shape->head_dim};
    *n = 0;
    *tensors = vs_alloc(4 * shape->n_layers + 3, sizeof **tensors);
    if (!*tensors)
        return VS_ERROR_MEMORY;
    struct vs_state_tensor *frames = add(*tensors, n, NULL, 0, VS_I64, 1, &cache->n_cached);
    frames->host = cache->frames;
    snprintf(frames->name, sizeof frames->name, "frames");
    add_layers(*tensors, n, cache, "k", VS_CACHED_K);
    add_layers(*tensors, n, cache, "v", VS_CACHED_V);
    add_layers(*tensors, n, cache, "beta", VS_CACHED_BETA);
    add_layers(*tensors, n, cache, "alpha", VS_CACHED_ALPHA);
    if (cache->state)
        snprintf(add(*tensors, n, &cache->state, 1, VS_F32, 4, state)->name, VS_STATE_MAX_NAME,
                 "state");
    struct vs_state_tensor *clean = add(*tensors, n, &cache->latents, 1, VS_F32, 2, latents);
    clean->order = cache->order;
    snprintf(clean->name, sizeof clean->name, "latents");
    return VS_OK;
}

/* All that the state depends on but model, prompts and program. */
static void settings_text(char *text, size_t n_text, const struct vs_generator *g)
{
    static const char *const memories[] = {"hybrid", "sink", "window", "full"};
    const struct vs_video_info *info = &g->info;
    snprintf(text, n_text,
             "%zux%zu %.17g frames/s, %s, window %zu, sink %zu, horizon %zu, kv %s%s, %s %ju",
             info->width, info->height, info->fps, memories[info->memory], info->window,
             info->sink, info->horizon, info->kv == VS_KV_F16 ? "f16" : "f32",
             info->precision == VS_PRECISION_FAST ? ", fast" : "",
             g->options.noise == VS_NOISE_TORCH ? "torch" : "philox",
             (uintmax_t)g->options.seed);
}

/* ---- Saving ------------------------------------------------------------------------------- */

uint64_t vs_generator_state_bytes(const struct vs_generator *g)
{
    struct vs_state_tensor *tensors;
    uint64_t n_bytes = 0;
    size_t n = 0;
    if (describe(&tensors, &n, g->rollout->cache) != VS_OK)
        return 0;
    for (size_t i = 0; i < n; i++)
        n_bytes += (uint64_t)tensors[i].n_pieces * tensors[i].piece_bytes;
    free(tensors);
    return n_bytes;
}

enum vs_status vs_generator_save(struct vs_generator *g, const char *label,
                                 enum vs_status (*write)(const void *data, size_t n_bytes,
                                                         void *user),
                                 void *user)
{
    enum vs_status status = VS_OK;
    const struct vs_cache *cache = g->rollout->cache;
    struct vs_state_tensor *tensors = NULL;
    size_t n_tensors;
    char settings[256], chunks[24], folded[24];
    if (g->denoising || !g->n_settled)
        return vs_fail(VS_ERROR_USAGE, "a state is saved between two chunks, not %s",
                       g->denoising ? "inside one" : "before the first");
    settings_text(settings, sizeof settings, g);
    snprintf(chunks, sizeof chunks, "%zu", g->n_settled);
    snprintf(folded, sizeof folded, "%zu", cache->n_folded);
    const struct vs_state_field fields[] = {{"kind", kind},
                                            {"version", vs_version()},
                                            {"model", g->model->info.fingerprint},
                                            {"settings", settings},
                                            {"label", label},
                                            {"chunks", chunks},
                                            {"folded", folded}};
    VS_TRY(vs_generator_turn(g, false));
    VS_TRY(describe(&tensors, &n_tensors, cache));
    VS_TRY(vs_state_write(tensors, n_tensors, fields, sizeof fields / sizeof *fields, write, user));
fail:
    free(tensors);
    return status;
}

/* ---- Restoring ---------------------------------------------------------------------------- */

static enum vs_status check_origin(const struct vs_generator *g, const struct vs_weights *file,
                                   const char *label)
{
    enum vs_status status = VS_OK;
    char settings[256];
    settings_text(settings, sizeof settings, g);
    VS_TRY(vs_state_expect(file, "kind", kind));
    VS_TRY(vs_state_expect(file, "version", vs_version()));
    VS_TRY(vs_state_expect(file, "model", g->model->info.fingerprint));
    VS_TRY(vs_state_expect(file, "settings", settings));
    VS_TRY(vs_state_expect(file, "label", label));
fail:
    return status;
}

/* Frame numbers say what RoPE turns by and how chunks are cut at a recache. */
static enum vs_status check_frames(const struct vs_cache *cache, size_t n_frames,
                                   const struct vs_weights *file)
{
    for (size_t i = 0; i < cache->n_cached; i++) {
        int64_t frame = cache->frames[i], before = i ? cache->frames[i - 1] : -1;
        if (frame <= before || (uint64_t)frame >= n_frames)
            return vs_fail(VS_ERROR_MODEL, "%s: its frames are not in order",
                           vs_weights_path(file));
    }
    return VS_OK;
}

static enum vs_status load(struct vs_cache *cache, const struct vs_weights *file, size_t n_frames)
{
    enum vs_status status = VS_OK;
    struct vs_state_tensor *tensors = NULL;
    size_t n_tensors;
    const struct vs_tensor *frames = vs_weights_find(file, "frames");
    VS_TRY(vs_state_count(&cache->n_folded, file, "folded", n_frames));
    size_t n_cached = n_frames - cache->n_folded;
    if (!frames || frames->n_elements != n_cached || !n_cached ||
        n_cached > cache->shape.n_slots) {
        status = vs_fail(VS_ERROR_MODEL, "%s: its number of frames is not that of the chunks made",
                         vs_weights_path(file));
        goto fail;
    }
    cache->n_cached = n_cached;
    for (size_t i = 0; i < n_cached; i++)
        cache->order[i] = (int32_t)i;
    VS_TRY(describe(&tensors, &n_tensors, cache));
    VS_TRY(vs_state_load(tensors, file)); /* the frames' numbers */
    VS_TRY(check_frames(cache, n_frames, file));
    for (size_t i = 1; i < n_tensors; i++)
        VS_TRY(vs_state_load(tensors + i, file));
fail:
    free(tensors);
    return status;
}

enum vs_status vs_generator_restore(struct vs_generator *g, const char *path, const char *label,
                                    size_t *n_chunks)
{
    enum vs_status status = VS_OK;
    struct vs_cache *cache = g->rollout->cache;
    struct vs_weights *file = NULL;
    size_t n;
    *n_chunks = 0;
    if (g->n_settled || g->denoising)
        return vs_fail(VS_ERROR_USAGE, "a state is restored before the first chunk");
    VS_TRY(vs_state_open(&file, path));
    VS_TRY(check_origin(g, file, label));
    VS_TRY(vs_state_count(&n, file, "chunks", g->info.n_chunks));
    if (!n) {
        status = vs_fail(VS_ERROR_MODEL, "%s: holds no chunk", path);
        goto fail;
    }
    VS_TRY(vs_generator_turn(g, false));
    /* While no frame is cached, a text is set without rewriting any. */
    VS_TRY(vs_generator_settle_text(g, n - 1));
    VS_TRY(load(cache, file, n * g->model->config.frames_per_chunk));
    g->n_settled = g->next_chunk = n;
    *n_chunks = n;
fail:
    vs_weights_free(file);
    if (status != VS_OK && vs_cache_reset(cache) != VS_OK)
        status = VS_ERROR_RUNTIME;
    return status;
}
