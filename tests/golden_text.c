/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_text.c - golden cases of everything before the transformer: prompts, text encoder, noise,
 * sampler. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pointwise/pointwise.h"
#include "models/clean.h"
#include "models/noise.h"
#include "models/scheduler.h"
#include "models/tokenizer.h"
#include "models/umt5.h"
#include "tests/golden.h"

/* "prefix" followed by a number. */
static const char *numbered(struct golden *golden, const char *prefix, size_t number)
{
    enum { MAX_NAME = 96 };
    char *name = golden_alloc(golden, MAX_NAME);
    snprintf(name, MAX_NAME, "%s%zu", prefix, number);
    return name;
}

/* ---- Noise -------------------------------------------------------------------------------- */

static void philox(struct golden *golden)
{
    const uint64_t seed = golden_size(golden, "seed");
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t i = 0; i < golden_list_length(golden, "calls"); i++) {
        size_t call = (size_t)golden_list_number(golden, "calls", i);
        const char *name = numbered(golden, "out.call", call);
        size_t n = golden_count(golden, name);
        float *got = golden_alloc(golden, n * sizeof *got);
        vs_philox_fill(got, n, seed, (uint32_t)call);
        golden_compare(golden, name, got, n);
    }
    size_t n_counters = golden_list_length(golden, "counters");
    int64_t *got = golden_alloc(golden, 4 * n_counters * sizeof *got);
    for (size_t i = 0; i < n_counters; i++) {
        uint32_t counter[4], words[4];
        json_t *entry = json_array_get(golden_json(golden, "counters"), i);
        for (size_t j = 0; j < 4; j++)
            counter[j] = (uint32_t)json_integer_value(json_array_get(entry, j));
        vs_philox_words(words, counter, key);
        for (size_t j = 0; j < 4; j++)
            got[4 * i + j] = words[j];
    }
    golden_compare_ints(golden, "out.words", got, 4 * n_counters);
}

static void torch_cpu(struct golden *golden)
{
    const uint64_t seed = golden_size(golden, "seed");
    struct vs_torch_rng rng;
    vs_torch_seed(&rng, seed);
    for (size_t i = 0; i < golden_list_length(golden, "lengths"); i++) {
        size_t n = (size_t)golden_list_number(golden, "lengths", i);
        float *got = golden_alloc(golden, n * sizeof *got);
        vs_torch_randn(&rng, got, n);
        golden_compare(golden, numbered(golden, "out.call", i), got, n);
    }
    size_t n_words = golden_count(golden, "out.words");
    int64_t *words = golden_alloc(golden, n_words * sizeof *words);
    vs_torch_seed(&rng, seed);
    for (size_t i = 0; i < n_words; i++)
        words[i] = vs_torch_word(&rng);
    golden_compare_ints(golden, "out.words", words, n_words);
}

/* ---- Sampler ------------------------------------------------------------------------------ */

static void scheduler(struct golden *golden)
{
    size_t n_steps = golden_list_length(golden, "steps"), n = golden_count(golden, "in.x");
    unsigned *steps = golden_alloc(golden, n_steps * sizeof *steps);
    float *sigma = golden_alloc(golden, n_steps * sizeof *sigma);
    float *timestep = golden_alloc(golden, n_steps * sizeof *timestep);
    for (size_t i = 0; i < n_steps; i++)
        steps[i] = (unsigned)golden_list_number(golden, "steps", i);
    golden_ok(golden,
              vs_schedule(sigma, timestep, steps, n_steps, golden_number_or(golden, "shift", 5.0)));
    golden_compare(golden, "out.sigma", sigma, n_steps);
    golden_compare(golden, "out.timestep", timestep, n_steps);

    struct vs_span x = golden_upload(golden, "in.x"), flow = golden_upload(golden, "in.flow");
    struct vs_span noise = golden_upload(golden, "in.noise");
    struct vs_span x0 = golden_device(golden, NULL, n_steps * n);
    struct vs_span renoised = golden_device(golden, NULL, n_steps * n);
    for (size_t i = 0; i < n_steps; i++) {
        struct vs_span x0_i = {x0.buffer, x0.offset + i * n};
        struct vs_span renoised_i = {renoised.buffer, renoised.offset + i * n};
        golden_ok(golden, vs_sampler_x0_run(golden->context, x0_i, x, flow, sigma[i], n));
        golden_ok(golden,
                  vs_sampler_renoise_run(golden->context, renoised_i, x, noise, sigma[i], n));
    }
    golden_compare_span(golden, "out.x0", x0, n_steps * n);
    golden_compare_span(golden, "out.renoised", renoised, n_steps * n);
}

static void time_features(struct golden *golden)
{
    size_t width = golden_size(golden, "width"), n = golden_count(golden, "in.t");
    const float *t = golden_floats(golden, "in.t");
    float *got = golden_alloc(golden, n * width * sizeof *got);
    for (size_t i = 0; i < n; i++)
        vs_time_features(got + i * width, (double)t[i], width);
    golden_compare(golden, "out.y", got, n * width);
}

/* ---- Text --------------------------------------------------------------------------------- */

static void t5_bias(struct golden *golden)
{
    size_t n_buckets = golden_size(golden, "buckets");
    size_t max_distance = golden_size(golden, "max_distance");
    size_t n_distances = golden_count(golden, "out.bucket");
    int64_t *buckets = golden_alloc(golden, n_distances * sizeof *buckets);
    for (size_t i = 0; i < n_distances; i++)
        buckets[i] = (int64_t)vs_umt5_bucket((ptrdiff_t)i - (ptrdiff_t)(n_distances / 2), n_buckets,
                                             max_distance);
    golden_compare_ints(golden, "out.bucket", buckets, n_distances);

    size_t n_heads = golden_dim(golden, "in.table", 1), n = golden_dim(golden, "out.bias", 1);
    float *bias = golden_alloc(golden, n_heads * (2 * n - 1) * sizeof *bias);
    float *square = golden_alloc(golden, n_heads * n * n * sizeof *square);
    vs_umt5_bias(bias, golden_floats(golden, "in.table"), n, n_heads, n_buckets, max_distance);
    for (size_t head = 0; head < n_heads; head++)
        for (size_t query = 0; query < n; query++)
            for (size_t key = 0; key < n; key++)
                square[(head * n + query) * n + key] =
                    bias[head * (2 * n - 1) + key + n - 1 - query];
    golden_compare(golden, "out.bias", square, n_heads * n * n);
}

static void free_tokenizer(void *tokenizer)
{
    vs_tokenizer_free(tokenizer);
}

static void free_weights(void *weights)
{
    vs_weights_free(weights);
}

static void tokenizer(struct golden *golden)
{
    struct vs_tokenizer *tokenizer;
    const size_t text_len = golden_size(golden, "text_len");
    golden_ok(golden,
              vs_tokenizer_open(&tokenizer, golden_path(golden, golden_text(golden, "model"))));
    golden_defer(golden, free_tokenizer, tokenizer);
    if (vs_tokenizer_vocab(tokenizer) != golden_size(golden, "vocab"))
        golden_fail(golden, "%zu pieces, want %zu", vs_tokenizer_vocab(tokenizer),
                    golden_size(golden, "vocab"));
    int32_t *ids = golden_alloc(golden, text_len * sizeof *ids);
    for (size_t i = 0; i < golden_list_length(golden, "prompts"); i++) {
        json_t *prompt = json_array_get(golden_json(golden, "prompts"), i);
        const char *text = json_string_value(json_object_get(prompt, "text"));
        const char *want_clean = json_string_value(json_object_get(prompt, "clean"));
        json_t *want = json_object_get(prompt, "ids");
        char *clean;
        size_t n_ids;
        if (!text || !want_clean || !json_is_array(want))
            golden_fail(golden, "prompt %zu lacks text, clean or ids", i);
        golden_ok(golden, vs_clean(&clean, text));
        golden_defer(golden, free, clean);
        if (strcmp(clean, want_clean) != 0)
            golden_fail(golden, "prompt %zu is cleaned to '%s', want '%s'", i, clean, want_clean);
        golden_ok(golden, vs_tokenizer_encode(tokenizer, text, text_len, ids, &n_ids));
        if (n_ids != json_array_size(want))
            golden_fail(golden, "prompt %zu: %zu ids, want %zu", i, n_ids, json_array_size(want));
        for (size_t j = 0; j < n_ids; j++)
            if (ids[j] != json_integer_value(json_array_get(want, j)))
                golden_fail(golden, "prompt %zu, id %zu: %d, want %d", i, j, ids[j],
                            (int)json_integer_value(json_array_get(want, j)));
    }
}

static void umt5(struct golden *golden)
{
    struct vs_weights *weights;
    struct vs_umt5_shape shape;
    size_t n_texts = golden_list_length(golden, "lengths");
    struct vs_umt5_text *texts = golden_alloc(golden, n_texts * sizeof *texts);
    golden_ok(golden, vs_weights_open(&weights, golden_path(golden, "weights.safetensors")));
    golden_defer(golden, free_weights, weights);
    golden_ok(golden, vs_umt5_check(&shape, weights));
    if (shape.n_heads != golden_size(golden, "heads") ||
        shape.n_layers != golden_size(golden, "layers") ||
        shape.n_buckets != golden_size(golden, "buckets") ||
        golden_size(golden, "max_distance") != VS_UMT5_MAX_DISTANCE)
        golden_fail(golden, "%zu heads, %zu layers, %zu buckets are read off the weights",
                    shape.n_heads, shape.n_layers, shape.n_buckets);
    for (size_t i = 0; i < n_texts; i++) {
        size_t n = (size_t)golden_list_number(golden, "lengths", i);
        const struct vs_tensor *ids = golden_tensor(golden, numbered(golden, "in.ids_", n));
        if (ids->dtype != VS_I32 || ids->n_elements != n)
            golden_fail(golden, "%s is not %zu int32 ids", ids->name, n);
        texts[i] =
            (struct vs_umt5_text){.ids = ids->data,
                                  .n_ids = n,
                                  .out = golden_alloc(golden, n * shape.dim * sizeof(float)),
                                  .block0 = golden_alloc(golden, n * shape.dim * sizeof(float))};
    }
    golden_ok(golden, vs_umt5_encode(golden->context, weights, texts, n_texts, NULL, NULL));
    for (size_t i = 0; i < n_texts; i++) {
        size_t n = texts[i].n_ids;
        golden_compare(golden, numbered(golden, "out.block0_", n), texts[i].block0, n * shape.dim);
        golden_compare(golden, numbered(golden, "out.y_", n), texts[i].out, n * shape.dim);
    }
}

const struct golden_op golden_ops_text[] = {
    {"philox", philox},       {"torch_cpu", torch_cpu},
    {"scheduler", scheduler}, {"time_features", time_features},
    {"t5_bias", t5_bias},     {"tokenizer", tokenizer},
    {"umt5", umt5},           {NULL, NULL},
};
