/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_generate.c - golden cases of the whole: text to bytes from a model folder, through the
 * public interface; and of single model files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/generator.h"
#include "tests/golden.h"

static void free_model(void *model)
{
    vs_model_free(model);
}

static void free_generator(void *generator)
{
    vs_generator_free(generator);
}

static void free_weights(void *weights)
{
    vs_weights_free(weights);
}

static void free_noise(void *noise)
{
    vs_noise_free(noise);
}

struct prompt_at {
    size_t chunk;
    const char *text;
};

static int by_chunk(const void *a, const void *b)
{
    const struct prompt_at *x = a, *y = b;
    return (x->chunk > y->chunk) - (x->chunk < y->chunk);
}

static size_t first_frame(size_t chunk, size_t frames_per_chunk)
{
    return chunk ? 4 * frames_per_chunk * chunk - 3 : 0;
}

/* Prompts of config.json, {"chunk": text}, in order, as times. */
static size_t read_prompts(struct golden *golden, const struct vs_model_info *info,
                           struct vs_prompt **out)
{
    json_t *object = golden_json(golden, "prompts"), *value;
    size_t n = json_object_size(object), i = 0;
    struct prompt_at *prompts = golden_alloc(golden, n * sizeof *prompts);
    const char *key;
    json_object_foreach(object, key, value)
    {
        prompts[i].chunk = strtoul(key, NULL, 10);
        prompts[i++].text = json_string_value(value);
    }
    qsort(prompts, n, sizeof *prompts, by_chunk);
    *out = golden_alloc(golden, n * sizeof **out);
    for (i = 0; i < n; i++)
        (*out)[i] = (struct vs_prompt){
            (double)first_frame(prompts[i].chunk, info->frames_per_chunk) / info->fps,
            prompts[i].text};
    return n;
}

static void compare_texts(struct golden *golden, const struct vs_model *model,
                          const struct vs_prompt *prompts, size_t n_prompts)
{
    size_t text_len = model->config.text_len, dim = model->text_shape.dim;
    int32_t *ids = golden_alloc(golden, text_len * sizeof *ids);
    int64_t *wide = golden_alloc(golden, text_len * sizeof *wide);
    float *rows = golden_alloc(golden, text_len * dim * sizeof *rows);
    for (size_t i = 0; i < n_prompts; i++) {
        char name[64];
        struct vs_umt5_text text = {.ids = ids, .out = rows};
        golden_ok(golden, vs_tokenizer_encode(model->tokenizer, prompts[i].text, text_len, ids,
                                              &text.n_ids));
        for (size_t j = 0; j < text.n_ids; j++)
            wide[j] = ids[j];
        snprintf(name, sizeof name, "out.ids%zu", i);
        if (golden_has(golden, name))
            golden_compare_ints(golden, name, wide, text.n_ids);
        golden_ok(golden,
                  vs_umt5_encode(golden->context, model->text_encoder, &text, 1, NULL, NULL));
        snprintf(name, sizeof name, "out.text%zu", i);
        if (golden_has(golden, name))
            golden_compare(golden, name, rows, text.n_ids * dim);
    }
}

/* The stored noise is what the generator's own source gives. */
static void check_noise(struct golden *golden, const struct vs_model *model,
                        const struct vs_generate_options *options, size_t n_chunks)
{
    struct vs_noise_source *source;
    size_t n_steps = model->config.n_steps, n_all = golden_count(golden, "in.noise");
    size_t n = n_all / (n_chunks * n_steps);
    const float *want = golden_floats(golden, "in.noise");
    float *got = golden_alloc(golden, n * sizeof *got);
    golden_ok(golden, vs_noise_create(&source, options->noise, options->seed, n_chunks, n_steps,
                                      n));
    golden_defer(golden, free_noise, source);
    for (size_t i = 0; i < n_chunks * n_steps; i++) {
        vs_noise_get(source, i / n_steps, i % n_steps, got);
        for (size_t j = 0; j < n; j++) {
            float off = got[j] - want[i * n + j];
            if (!(off <= 2e-6f && off >= -2e-6f))
                golden_fail(golden, "noise of chunk %zu, step %zu, element %zu: %g, expected %g",
                            i / n_steps, i % n_steps, j, (double)got[j],
                            (double)want[i * n + j]);
        }
    }
}

static void free_vae(void *vae)
{
    vs_vae_free(vae);
}

static void free_stream(void *stream)
{
    vs_vae_stream_free(stream);
}

/* The first frames before clamping: the latents decoded once more, chunk by chunk. */
static void compare_frames(struct golden *golden, const struct vs_generator *generator,
                           const float *latents)
{
    struct vs_vae *vae;
    struct vs_vae_stream *stream;
    size_t c = generator->model->config.frames_per_chunk;
    size_t n_latents = c * generator->rollout->latent_size;
    size_t n = golden_count(golden, "out.frames"), height = generator->info.height;
    size_t width = generator->info.width, n_done = 0, pixels = height * width;
    struct vs_vae_stream_options options = {.direction = VS_VAE_DECODE,
                                            .n_latent_frames = c,
                                            .height = height / VS_VAE_SCALE,
                                            .width = width / VS_VAE_SCALE};
    float *got = golden_alloc(golden, n * sizeof *got);
    golden_ok(golden, vs_vae_create(&vae, golden->context, generator->model->vae, VS_VAE_DECODE));
    golden_defer(golden, free_vae, vae);
    golden_ok(golden, vs_vae_stream_create(&stream, vae, &options));
    golden_defer(golden, free_stream, stream);
    for (size_t chunk = 0; n_done < n; chunk++) {
        struct vs_span out;
        size_t n_frames;
        golden_ok(golden, vs_vae_decode(stream,
                                        golden_device(golden, latents + chunk * n_latents,
                                                      n_latents),
                                        c, &out, &n_frames));
        float *frames = golden_read(golden, out, n_frames * pixels * 3);
        for (size_t f = 0; f < n_frames && n_done < n; f++, n_done += 3 * pixels)
            for (size_t i = 0; i < 3 * pixels; i++)
                got[n_done + i % 3 * pixels + i / 3] = frames[f * 3 * pixels + i];
    }
    golden_compare(golden, "out.frames", got, n);
}

static enum vs_memory_mode mode_of(struct golden *golden, const char *name)
{
    if (!strcmp(name, "hybrid"))
        return VS_MEMORY_HYBRID;
    if (!strcmp(name, "sink"))
        return VS_MEMORY_SINK;
    if (!strcmp(name, "window"))
        return VS_MEMORY_WINDOW;
    if (!strcmp(name, "full"))
        return VS_MEMORY_FULL;
    golden_fail(golden, "unknown memory mode '%s'", name);
}

static void generate(struct golden *golden)
{
    struct vs_model *model;
    struct vs_generator *generator;
    struct vs_prompt *prompts;
    struct vs_generate_options options;
    struct vs_model_files files = {
        .folder = golden_root_path(golden, golden_text(golden, "model"))};
    golden_ok(golden, vs_model_open(&model, &files));
    golden_defer(golden, free_model, model);
    const struct vs_model_info *info = vs_model_info(model);
    size_t n_chunks = golden_size(golden, "chunks"), c = info->frames_per_chunk;
    size_t n_frames = first_frame(n_chunks, c);

    vs_generate_options_init(&options);
    options.n_prompts = read_prompts(golden, info, &prompts);
    options.prompts = prompts;
    options.width = golden_size(golden, "width");
    options.height = golden_size(golden, "height");
    options.seconds = (double)n_frames / info->fps;
    options.seed = (uint64_t)golden_size(golden, "seed");
    options.noise = strcmp(golden_text_or(golden, "noise", "philox"), "torch") ? VS_NOISE_PHILOX
                                                                               : VS_NOISE_TORCH;
    options.memory = mode_of(golden, golden_text(golden, "mode"));
    options.horizon = (size_t)golden_number_or(golden, "total_frames", 0);

    compare_texts(golden, model, prompts, options.n_prompts);
    if (golden_has(golden, "in.noise"))
        check_noise(golden, model, &options, n_chunks);

    golden_ok(golden, vs_generator_create(&generator, golden->context, model, &options));
    golden_defer(golden, free_generator, generator);
    size_t frame_bytes = 3 * options.width * options.height;
    size_t latent_frame = VS_VAE_CHANNELS * (options.height / 8) * (options.width / 8);
    uint8_t *bytes = golden_alloc(golden, n_frames * frame_bytes);
    float *latents = golden_alloc(golden, n_chunks * c * latent_frame * sizeof *latents);
    struct vs_chunk chunk;
    size_t n_done = 0;
    for (;;) {
        golden_ok(golden, vs_generator_next(generator, &chunk));
        if (!chunk.n_frames)
            break;
        if (chunk.first_frame != n_done || n_done + chunk.n_frames > n_frames)
            golden_fail(golden, "chunk %zu begins at frame %zu", chunk.index, chunk.first_frame);
        memcpy(bytes + n_done * frame_bytes, chunk.rgb, chunk.n_frames * frame_bytes);
        memcpy(latents + chunk.index * c * latent_frame, chunk.latents,
               c * latent_frame * sizeof *latents);
        n_done += chunk.n_frames;
    }
    if (n_done != n_frames)
        golden_fail(golden, "%zu frames where %zu are expected", n_done, n_frames);
    golden_compare(golden, "out.latents", latents, n_chunks * c * latent_frame);
    golden_compare_bytes(golden, "out.bytes", bytes, n_frames * frame_bytes);
    if (golden_has(golden, "out.frames"))
        compare_frames(golden, generator, latents);
    if (golden_has(golden, "out.M0"))
        golden_compare_span(golden, "out.M0", vs_cache_state(generator->rollout->cache, 0),
                            golden_count(golden, "out.M0"));
}

static void pth_reader(struct golden *golden)
{
    struct vs_weights *weights;
    golden_ok(golden, vs_weights_open(&weights, golden_path(golden, golden_text(golden, "file"))));
    golden_defer(golden, free_weights, weights);
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        char name[160];
        snprintf(name, sizeof name, "out.%s", tensor->name);
        if (!golden_has(golden, name))
            golden_fail(golden, "unexpected tensor '%s'", tensor->name);
        float *values = golden_alloc(golden, tensor->n_elements * sizeof *values);
        vs_dtype_widen(values, tensor->data, tensor->dtype, tensor->n_elements);
        golden_compare(golden, name, values, tensor->n_elements);
    }
}

const struct golden_op golden_ops_generate[] = {
    {"generate", generate},
    {"pth_reader", pth_reader},
    {NULL, NULL},
};
