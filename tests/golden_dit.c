/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_dit.c - golden cases of the transformer: rollouts in every memory mode, and one set of
 * weights in every form of file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/dit.h"
#include "models/noise.h"
#include "models/scheduler.h"
#include "tests/golden.h"

static void free_dit(void *dit)
{
    vs_dit_free(dit);
}

static void free_rollout(void *rollout)
{
    vs_rollout_free(rollout);
}

static void free_weights(void *weights)
{
    vs_weights_free(weights);
}

static void free_noise(void *noise)
{
    vs_noise_free(noise);
}

static enum vs_memory_mode mode_of(struct golden *golden, const char *name)
{
    static const char *const names[] = {
        [VS_MEMORY_HYBRID] = "hybrid",
        [VS_MEMORY_SINK] = "sink",
        [VS_MEMORY_WINDOW] = "window",
        [VS_MEMORY_FULL] = "full",
    };
    for (int i = 0; i < 4; i++)
        if (!strcmp(names[i], name))
            return (enum vs_memory_mode)i;
    golden_fail(golden, "unknown memory mode '%s'", name);
}

/* The transformer of config.json's "model" with the weights of a file. */
static struct vs_dit *open_dit(struct golden *golden, const char *path)
{
    struct vs_config config;
    struct vs_weights *weights;
    struct vs_dit *dit;
    char *text = json_dumps(golden_json(golden, "model"), JSON_ENCODE_ANY);
    enum vs_status status =
        vs_config_parse(&config, text ? text : "", text ? strlen(text) : 0, "config.json");
    free(text);
    golden_ok(golden, status);
    golden_ok(golden, vs_weights_open(&weights, path));
    golden_defer(golden, free_weights, weights);
    golden_ok(golden, vs_config_fit(&config, weights));
    golden_ok(golden, vs_dit_params_check(weights, &config));
    golden_ok(golden, vs_dit_create(&dit, golden->context, weights, &config, false));
    golden_defer(golden, free_dit, dit);
    return dit;
}

static struct vs_rollout *open_rollout(struct golden *golden, struct vs_dit *dit,
                                       enum vs_memory_mode mode, size_t n_chunks)
{
    struct vs_rollout *rollout;
    size_t n_frames = n_chunks * dit->config.frames_per_chunk;
    size_t horizon = dit->config.horizon ? dit->config.horizon : n_frames;
    struct vs_rollout_shape shape = {
        .height = (size_t)golden_list_number(golden, "grid_latent", 0),
        .width = (size_t)golden_list_number(golden, "grid_latent", 1),
        .memory = mode,
        .window = dit->config.window,
        .sink = dit->config.sink,
        /* One chunk more than the rollout has: the probe's. */
        .n_frames = n_frames + dit->config.frames_per_chunk,
        .horizon = (size_t)golden_number_or(golden, "total_frames", (double)horizon)};
    golden_ok(golden, vs_rollout_create(&rollout, dit, &shape));
    golden_defer(golden, free_rollout, rollout);
    return rollout;
}

static void begin_chunk(struct golden *golden, struct vs_rollout *rollout, size_t chunk)
{
    size_t c = rollout->dit->config.frames_per_chunk;
    int64_t frames[256];
    for (size_t i = 0; i < c; i++)
        frames[i] = (int64_t)(chunk * c + i);
    golden_ok(golden, vs_rollout_begin(rollout, frames, c));
}

/* Generates one chunk from its noise [n_steps, c, ..]; latents [c, ..]. */
static void run_chunk(struct golden *golden, struct vs_rollout *rollout, size_t chunk,
                      const float *noise, float *latents)
{
    const struct vs_config *config = &rollout->dit->config;
    size_t n = config->frames_per_chunk * rollout->latent_size;
    float sigma[VS_MAX_STEPS], timestep[VS_MAX_STEPS];
    golden_ok(golden, vs_schedule(sigma, timestep, config->steps, config->n_steps,
                                  config->timestep_shift));
    begin_chunk(golden, rollout, chunk);
    golden_ok(golden,
              vs_buffer_write(rollout->noise, 0, noise, config->n_steps * n * sizeof *noise));
    golden_ok(golden, vs_rollout_denoise(rollout, sigma, timestep, NULL));
    golden_ok(golden, vs_rollout_check_finite(rollout, chunk));
    golden_ok(golden, vs_buffer_read(rollout->x0, 0, latents, n * sizeof *latents));
}

static void set_text(struct golden *golden, struct vs_rollout *rollout, const char *name)
{
    golden_ok(golden, vs_rollout_set_text(rollout, golden_floats(golden, name),
                                          golden_dim(golden, name, 0)));
}

/* One pass at a timestep on the chunk's first noise, with the inner values of layer 0. */
static void probe(struct golden *golden, struct vs_rollout *rollout, const char *prefix,
                  size_t chunk, float timestep)
{
    const struct vs_config *config = &rollout->dit->config;
    size_t c = config->frames_per_chunk, n = c * rollout->latent_size;
    size_t n_stream = c * rollout->frame_tokens * config->dim;
    static const char *const taps[] = {"0_self", "0_cross", "0_out"};
    struct vs_span tap[3];
    char name[64];
    for (int i = 0; i < 3; i++)
        tap[i] = golden_device(golden, NULL, n_stream);
    rollout->tap.layer = 0;
    /* The spans own whole buffers; the taps only write to them. */
    rollout->tap.self = (struct vs_buffer *)(uintptr_t)tap[0].buffer;
    rollout->tap.cross = (struct vs_buffer *)(uintptr_t)tap[1].buffer;
    rollout->tap.out = (struct vs_buffer *)(uintptr_t)tap[2].buffer;
    begin_chunk(golden, rollout, chunk);
    golden_ok(golden, vs_buffer_write(rollout->latents, 0, golden_floats(golden, "in.noise"),
                                      n * sizeof(float)));
    golden_ok(golden, vs_rollout_pass(rollout, vs_span_of(rollout->flow),
                                      vs_span_of(rollout->latents), timestep, false));
    snprintf(name, sizeof name, "out.%s_flow", prefix);
    golden_compare_span(golden, name, vs_span_of(rollout->flow), n);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "out.%s_%s", prefix, taps[i]);
        golden_compare_span(golden, name, tap[i], n_stream);
    }
}

static void compare_states(struct golden *golden, struct vs_rollout *rollout, const char *format)
{
    const struct vs_config *config = &rollout->dit->config;
    size_t n = config->dim * (config->dim / config->n_heads);
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        char name[64];
        snprintf(name, sizeof name, format, layer);
        if (golden_has(golden, name))
            golden_compare_span(golden, name, vs_cache_state(rollout->cache, layer), n);
    }
}

static void dit(struct golden *golden)
{
    struct vs_dit *dit = open_dit(golden, golden_path(golden, "weights.safetensors"));
    size_t n_chunks = golden_size(golden, "chunks"), c = dit->config.frames_per_chunk;
    size_t switch_chunk = (size_t)golden_number_or(golden, "switch_chunk", 1e9);
    const float *noise = golden_floats(golden, "in.noise");

    struct vs_rollout *first = open_rollout(golden, dit, VS_MEMORY_SINK, n_chunks);
    set_text(golden, first, "in.text0");
    probe(golden, first, "first", 0, 1000.0f);

    for (size_t i = 0; i < golden_list_length(golden, "modes"); i++) {
        const char *mode = json_string_value(json_array_get(golden_json(golden, "modes"), i));
        struct vs_rollout *rollout =
            open_rollout(golden, dit, mode_of(golden, mode ? mode : ""), n_chunks);
        size_t n = c * rollout->latent_size;
        float *latents = golden_alloc(golden, n_chunks * n * sizeof *latents);
        char name[64];
        for (size_t chunk = 0; chunk < n_chunks; chunk++) {
            if (chunk == 0 || chunk == switch_chunk)
                set_text(golden, rollout, chunk ? "in.text1" : "in.text0");
            run_chunk(golden, rollout, chunk, noise + chunk * dit->config.n_steps * n,
                      latents + chunk * n);
        }
        snprintf(name, sizeof name, "out.latents_%s", mode);
        golden_compare(golden, name, latents, n_chunks * n);
        if (rollout->hybrid) {
            compare_states(golden, rollout, "out.M%zu");
            probe(golden, rollout, "probe", n_chunks, 625.0f);
            compare_states(golden, rollout, "out.probe_M%zu");
        }
    }
}

static void dit_forms(struct golden *golden)
{
    size_t n_chunks = golden_size(golden, "chunks");
    struct vs_noise_source *source = NULL;
    for (size_t form = 0; form < golden_list_length(golden, "forms"); form++) {
        const char *file = json_string_value(json_array_get(golden_json(golden, "forms"), form));
        struct vs_dit *dit = open_dit(golden, golden_path(golden, file ? file : ""));
        const struct vs_config *config = &dit->config;
        struct vs_rollout *rollout =
            open_rollout(golden, dit, mode_of(golden, golden_text(golden, "mode")), n_chunks);
        size_t n = config->frames_per_chunk * rollout->latent_size;
        float *noise = golden_alloc(golden, config->n_steps * n * sizeof *noise);
        float *latents = golden_alloc(golden, n_chunks * n * sizeof *latents);
        char name[160];
        golden_ok(golden, vs_noise_create(&source, VS_NOISE_PHILOX,
                                          (uint64_t)golden_size(golden, "noise.seed"), n_chunks,
                                          config->n_steps, n));
        golden_defer(golden, free_noise, source);
        set_text(golden, rollout, "in.text");
        for (size_t chunk = 0; chunk < n_chunks; chunk++) {
            for (size_t step = 0; step < config->n_steps; step++)
                vs_noise_get(source, chunk, step, noise + step * n);
            run_chunk(golden, rollout, chunk, noise, latents + chunk * n);
        }
        snprintf(name, sizeof name, "out.%zu.latents", form);
        golden_compare(golden, name, latents, n_chunks * n);

        /* Values of single tensors, where the case lists some. */
        struct vs_weights *weights;
        golden_ok(golden, vs_weights_open(&weights, golden_path(golden, file)));
        golden_defer(golden, free_weights, weights);
        for (size_t i = 0; i < vs_weights_count(weights); i++) {
            const struct vs_tensor *tensor = vs_weights_at(weights, i);
            snprintf(name, sizeof name, "out.%zu.%s", form, tensor->name);
            if (!golden_has(golden, name))
                continue;
            float *values = golden_alloc(golden, tensor->n_elements * sizeof *values);
            vs_dtype_widen(values, tensor->data, tensor->dtype, tensor->n_elements);
            golden_compare(golden, name, values, tensor->n_elements);
        }
    }
}

const struct golden_op golden_ops_dit[] = {
    {"dit", dit},
    {"dit_forms", dit_forms},
    {NULL, NULL},
};
