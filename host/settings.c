/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c - the record of a video as JSON and as a line for people, and back. */
#include "config.h"

#include "host/settings.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/options.h"
#include "models/json_parse.h"

/* Of the record's layout; a reader refuses what it does not know. */
enum { FORMAT = 1 };

static const char *const memory_words[] = {"hybrid", "sink", "window", "full"};
static const char *const noise_words[] = {"philox", "torch"};
static const char *const kv_words[] = {"f32", "f16"};
static const char *const precision_words[] = {"exact", "fast"};

const char *host_memory_word(enum vs_memory_mode memory)
{
    return memory_words[memory];
}

const char *host_noise_word(enum vs_noise noise)
{
    return noise_words[noise];
}

static enum vs_status copy_loras(struct host_settings *settings, const struct vs_model_info *model)
{
    settings->loras = vs_alloc(model->n_loras, sizeof *settings->loras);
    if (!settings->loras)
        return VS_ERROR_MEMORY;
    settings->n_loras = model->n_loras;
    for (size_t i = 0; i < model->n_loras; i++) {
        struct host_settings_lora *lora = &settings->loras[i];
        snprintf(lora->name, sizeof lora->name, "%s", model->loras[i].name);
        for (char *c = lora->name; *c; c++) /* it is shown, and must be text whatever it was */
            *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
        memcpy(lora->fingerprint, model->loras[i].fingerprint, sizeof lora->fingerprint);
        lora->scale = model->loras[i].scale;
    }
    return VS_OK;
}

const char *host_kv_word(enum vs_kv kv)
{
    return kv_words[kv - VS_KV_F32];
}

const char *host_precision_word(enum vs_precision precision)
{
    return precision_words[precision];
}

enum vs_status host_settings_collect(struct host_settings *settings,
                                     const struct vs_generate_options *options,
                                     const struct vs_video_info *video,
                                     const struct vs_model_info *model)
{
    enum vs_status status = VS_OK;
    *settings = (struct host_settings){
        .width = video->width,
        .height = video->height,
        .fps = video->fps,
        .seconds = options->seconds > 0 ? options->seconds : (double)video->n_frames / video->fps,
        .seed = options->seed,
        .noise = options->noise,
        .memory = video->memory,
        .precision = video->precision,
        .kv = video->kv,
        .window = video->window,
        .sink = video->sink,
        .horizon = video->horizon,
        .n_steps = model->n_steps,
    };
    snprintf(settings->model, sizeof settings->model, "%s", model->fingerprint);
    snprintf(settings->version, sizeof settings->version, "%s", vs_version());
    VS_TRY(copy_loras(settings, model));
    for (size_t i = 0; i < options->n_prompts; i++)
        VS_TRY(host_prompts_add(&settings->prompts, options->prompts[i].seconds,
                                options->prompts[i].text, "prompt"));
    return VS_OK;
fail:
    host_settings_free(settings);
    return status;
}

/* Digits that x needs to be read back without loss. 60 could be written with one, as 6e+01, but
 * that form is left to numbers that have no better one. */
static int digits_needed(double x)
{
    char text[40];
    for (int digits = 1; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        bool plain = !strchr(text, 'e') || fabs(x) < 1e-4;
        if (plain && strtod(text, NULL) == x)
            return digits;
    }
    return 17;
}

static json_t *prompts_json(const struct host_prompts *prompts, int *digits)
{
    json_t *list = json_array();
    for (size_t i = 0; i < prompts->n; i++) {
        int needed = digits_needed(prompts->items[i].seconds);
        *digits = needed > *digits ? needed : *digits;
        json_array_append_new(list, json_pack("{s:f, s:s}", "at", prompts->items[i].seconds,
                                              "prompt", prompts->items[i].text));
    }
    return list;
}

/* NULL when there are none, so that the records of other videos stay as they were. */
static json_t *loras_json(const struct host_settings *settings, int *digits)
{
    json_t *list = settings->n_loras ? json_array() : NULL;
    for (size_t i = 0; i < settings->n_loras; i++) {
        const struct host_settings_lora *lora = &settings->loras[i];
        int needed = digits_needed(lora->scale);
        *digits = needed > *digits ? needed : *digits;
        json_array_append_new(list, json_pack("{s:o, s:f, s:s}", "name", json_string(lora->name),
                                              "scale", lora->scale, "fingerprint",
                                              lora->fingerprint));
    }
    return list;
}

char *host_settings_json(const struct host_settings *settings)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)settings->seed);
    size_t n_failed = vs_alloc_failed();
    int digits = digits_needed(settings->fps), needed = digits_needed(settings->seconds);
    digits = needed > digits ? needed : digits;
    json_t *prompts = prompts_json(&settings->prompts, &digits);
    json_t *loras = loras_json(settings, &digits);
    json_t *root = json_pack(
        "{s:i, s:f, s:I, s:I, s:s, s:s, s:s, s:s, s:o, s:f, s:s, s:I, s:I, s:s, s:I, s:I}",
        "format", FORMAT, "fps", settings->fps, "height", (json_int_t)settings->height, "horizon",
        (json_int_t)settings->horizon, "kv", host_kv_word(settings->kv), "memory",
        host_memory_word(settings->memory), "model",
        settings->model, "noise", host_noise_word(settings->noise), "prompts", prompts, "seconds",
        settings->seconds, "seed", seed, "sink", (json_int_t)settings->sink, "steps",
        (json_int_t)settings->n_steps, "version", settings->version, "width",
        (json_int_t)settings->width, "window", (json_int_t)settings->window);
    bool failed = loras && json_object_set_new(root, "loras", loras) != 0;
    if (settings->given_frames) /* else the record is as it was before */
        failed |= json_object_set_new(root, "given",
                                      json_pack("{s:I, s:s}", "frames",
                                                (json_int_t)settings->given_frames, "sha256",
                                                settings->given_digest)) != 0;
    if (settings->precision == VS_PRECISION_FAST) /* else the record is as it was before */
        failed |= json_object_set_new(root, "precision",
                                      json_string(host_precision_word(settings->precision))) != 0;
    if (failed) {
        json_decref(root);
        root = NULL;
    }
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENSURE_ASCII |
                                             JSON_REAL_PRECISION((size_t)digits))
                      : NULL;
    /* A list that did not grow is no record either. */
    if (vs_alloc_failed() != n_failed) {
        free(text);
        text = NULL;
    }
    if (!text)
        (void)vs_fail(VS_ERROR_MEMORY, "out of memory for the settings' record");
    json_decref(root);
    return text;
}

char *host_settings_parameters(const struct host_settings *settings)
{
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *file = open_memstream(&text, &n_bytes);
    if (!file) {
        (void)vs_fail(VS_ERROR_MEMORY, "out of memory for the settings' record");
        return NULL;
    }
    for (size_t i = 0; i < settings->prompts.n; i++) {
        const struct vs_prompt *prompt = &settings->prompts.items[i];
        if (i > 0)
            fprintf(file, "[from %.*g s] ", digits_needed(prompt->seconds), prompt->seconds);
        fprintf(file, "%s\n", prompt->text);
    }
    fprintf(file, "Steps: %zu, Seed: %llu, Size: %zux%zu, FPS: %.*g, Seconds: %.*g, Memory: %s",
            settings->n_steps, (unsigned long long)settings->seed, settings->width,
            settings->height, digits_needed(settings->fps), settings->fps,
            digits_needed(settings->seconds), settings->seconds,
            host_memory_word(settings->memory));
    if (settings->window)
        fprintf(file, ", Window: %zu", settings->window);
    fprintf(file, ", Sink: %zu, Horizon: %zu, KV: %s, Noise: %s, Model hash: %s", settings->sink,
            settings->horizon, host_kv_word(settings->kv), host_noise_word(settings->noise),
            settings->model);
    if (settings->precision == VS_PRECISION_FAST)
        fprintf(file, ", Precision: %s (bits are not promised)",
                host_precision_word(settings->precision));
    for (size_t i = 0; i < settings->n_loras; i++)
        fprintf(file, ", LoRA: %s:%.*g", settings->loras[i].name,
                digits_needed(settings->loras[i].scale), settings->loras[i].scale);
    if (settings->given_frames)
        fprintf(file, ", Begins with: %zu frames that were given", settings->given_frames);
    fprintf(file, ", Version: videossm-cl %s", settings->version);
    bool failed = ferror(file);
    if (fclose(file) != 0 || failed) {
        free(text);
        (void)vs_fail(VS_ERROR_MEMORY, "out of memory for the settings' record");
        return NULL;
    }
    return text;
}

/* ---- Reading ------------------------------------------------------------------------------ */

struct reader {
    const json_t *root;
    const char *name;
};

static enum vs_status wrong(const struct reader *reader, const char *key)
{
    return vs_fail(VS_ERROR_USAGE,
                   "'%s': its settings have no valid \"%s\"; they were not written "
                   "by this program or were changed since",
                   reader->name, key);
}

static enum vs_status read_size(const struct reader *reader, const char *key, size_t min,
                                size_t max, size_t *value)
{
    const json_t *item = json_object_get(reader->root, key);
    json_int_t n = json_integer_value(item);
    if (!json_is_integer(item) || n < 0 || (uintmax_t)n < min || (uintmax_t)n > max)
        return wrong(reader, key);
    *value = (size_t)n;
    return VS_OK;
}

static enum vs_status read_real(const struct reader *reader, const char *key, double max,
                                double *value)
{
    const json_t *item = json_object_get(reader->root, key);
    double x = json_number_value(item);
    if (!json_is_number(item) || !(x > 0 && x <= max))
        return wrong(reader, key);
    *value = x;
    return VS_OK;
}

static enum vs_status read_word(const struct reader *reader, const char *key,
                                const char *const *words, size_t n_words, unsigned *value)
{
    const char *text = json_string_value(json_object_get(reader->root, key));
    for (unsigned i = 0; text && i < n_words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i;
            return VS_OK;
        }
    }
    return wrong(reader, key);
}

/* The first word where the key is missing: records from before it had no choice. */
static enum vs_status read_later_word(const struct reader *reader, const char *key,
                                      const char *const *words, size_t n_words, unsigned *value)
{
    *value = 0;
    return json_object_get(reader->root, key) ? read_word(reader, key, words, n_words, value)
                                              : VS_OK;
}

static enum vs_status read_text(const struct reader *reader, const char *key, char *text,
                                size_t text_bytes)
{
    const char *value = json_string_value(json_object_get(reader->root, key));
    if (!value || strlen(value) >= text_bytes)
        return wrong(reader, key);
    memcpy(text, value, strlen(value) + 1);
    return VS_OK;
}

static enum vs_status read_seed(const struct reader *reader, uint64_t *seed)
{
    const json_t *item = json_object_get(reader->root, "seed");
    if (json_is_integer(item) && json_integer_value(item) >= 0) {
        *seed = (uint64_t)json_integer_value(item);
        return VS_OK;
    }
    if (json_is_string(item) && host_parse_count(json_string_value(item), seed))
        return VS_OK;
    return wrong(reader, "seed");
}

static enum vs_status read_prompts(const struct reader *reader, struct host_prompts *prompts)
{
    const json_t *list = json_object_get(reader->root, "prompts");
    if (!json_is_array(list))
        return wrong(reader, "prompts");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i), *at = json_object_get(entry, "at");
        const char *text = json_string_value(json_object_get(entry, "prompt"));
        if (!json_is_number(at) || !text)
            return wrong(reader, "prompts");
        enum vs_status status =
            host_prompts_add(prompts, json_number_value(at), text, reader->name);
        if (status != VS_OK)
            return status;
    }
    return host_prompts_settle(prompts);
}

static enum vs_status read_loras(const struct reader *reader, struct host_settings *settings)
{
    enum { MAX_LORAS = 1000 };
    const json_t *list = json_object_get(reader->root, "loras");
    size_t n = json_array_size(list);
    if (!list)
        return VS_OK;
    if (!json_is_array(list) || n > MAX_LORAS)
        return wrong(reader, "loras");
    settings->loras = vs_alloc(n, sizeof *settings->loras);
    if (!settings->loras)
        return VS_ERROR_MEMORY;
    settings->n_loras = n;
    for (size_t i = 0; i < n; i++) {
        struct host_settings_lora *lora = &settings->loras[i];
        const struct reader entry = {json_array_get(list, i), reader->name};
        const json_t *scale = json_object_get(entry.root, "scale");
        if (!json_is_number(scale) ||
            read_text(&entry, "name", lora->name, sizeof lora->name) != VS_OK ||
            read_text(&entry, "fingerprint", lora->fingerprint, sizeof lora->fingerprint) != VS_OK)
            return wrong(reader, "loras");
        lora->scale = json_number_value(scale);
    }
    return VS_OK;
}

static enum vs_status read_given(const struct reader *reader, struct host_settings *settings,
                                 size_t most)
{
    const struct reader given = {json_object_get(reader->root, "given"), reader->name};
    if (!given.root)
        return VS_OK;
    if (read_size(&given, "frames", 1, most, &settings->given_frames) != VS_OK ||
        read_text(&given, "sha256", settings->given_digest, sizeof settings->given_digest) != VS_OK)
        return wrong(reader, "given");
    return VS_OK;
}

enum vs_status host_settings_parse(struct host_settings *settings, const char *json,
                                   const char *name)
{
    enum { MAX_SIDE = 16384, MAX_LATENTS = INT32_MAX };
    enum vs_status status = VS_OK;
    json_error_t error;
    unsigned memory = 0, noise = 0, kv = 0, precision = 0;
    size_t format;
    *settings = (struct host_settings){0};
    json_t *root;
    VS_TRY(vs_json_parse(&root, json, strlen(json), JSON_REJECT_DUPLICATES, &error));
    struct reader reader = {root, name};
    if (!json_is_object(root)) {
        status = vs_fail(VS_ERROR_USAGE, "'%s': its settings are no JSON object: %s", name,
                         root ? "another value" : error.text);
        goto fail;
    }
    VS_TRY(read_size(&reader, "format", FORMAT, FORMAT, &format));
    VS_TRY(read_size(&reader, "width", 1, MAX_SIDE, &settings->width));
    VS_TRY(read_size(&reader, "height", 1, MAX_SIDE, &settings->height));
    VS_TRY(read_real(&reader, "fps", 1000, &settings->fps));
    VS_TRY(read_real(&reader, "seconds", HOST_MAX_SECONDS, &settings->seconds));
    VS_TRY(read_seed(&reader, &settings->seed));
    VS_TRY(read_word(&reader, "memory", memory_words, 4, &memory));
    VS_TRY(read_word(&reader, "noise", noise_words, 2, &noise));
    VS_TRY(read_later_word(&reader, "kv", kv_words, 2, &kv));
    VS_TRY(read_later_word(&reader, "precision", precision_words, 2, &precision));
    VS_TRY(read_size(&reader, "window", 0, MAX_LATENTS, &settings->window));
    VS_TRY(read_size(&reader, "sink", 0, MAX_LATENTS, &settings->sink));
    VS_TRY(read_size(&reader, "horizon", 0, MAX_LATENTS, &settings->horizon));
    VS_TRY(read_size(&reader, "steps", 0, MAX_LATENTS, &settings->n_steps));
    VS_TRY(read_text(&reader, "model", settings->model, sizeof settings->model));
    VS_TRY(read_text(&reader, "version", settings->version, sizeof settings->version));
    VS_TRY(read_loras(&reader, settings));
    VS_TRY(read_given(&reader, settings, MAX_LATENTS));
    VS_TRY(read_prompts(&reader, &settings->prompts));
    settings->memory = (enum vs_memory_mode)memory;
    settings->noise = (enum vs_noise)noise;
    settings->kv = (enum vs_kv)(VS_KV_F32 + kv);
    settings->precision = (enum vs_precision)precision;
    json_decref(root);
    return VS_OK;
fail:
    json_decref(root);
    host_settings_free(settings);
    return status;
}

void host_settings_options(struct vs_generate_options *options,
                           const struct host_settings *settings)
{
    vs_generate_options_init(options);
    options->prompts = settings->prompts.items;
    options->n_prompts = settings->prompts.n;
    options->width = settings->width;
    options->height = settings->height;
    options->fps = settings->fps;
    options->seconds = settings->seconds;
    options->seed = settings->seed;
    options->noise = settings->noise;
    options->memory = settings->memory;
    options->kv = settings->kv;
    options->precision = settings->precision;
    options->window = settings->window;
    options->sink = (int)settings->sink;
    options->horizon = settings->horizon;
}

void host_settings_free(struct host_settings *settings)
{
    host_prompts_free(&settings->prompts);
    free(settings->loras);
    *settings = (struct host_settings){0};
}
