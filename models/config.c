/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - reading config.json, checking it, fitting it to the weights. */
#include "models/config.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/file_map.h"
#include "models/json_parse.h"

enum field_kind { SIZE, REAL32, REAL64 };

/* Numeric fields: key, place, least and greatest value, default. Keys may hold one dot. */
static const struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    double least, greatest, otherwise;
} fields[] = {
#define FIELD(member) offsetof(struct vs_config, member)
    {"dim", SIZE, FIELD(dim), 4, 1 << 16, 0},
    {"ffn_dim", SIZE, FIELD(ffn_dim), 1, 1 << 20, 0},
    {"num_heads", SIZE, FIELD(n_heads), 1, 1 << 12, 0},
    {"num_layers", SIZE, FIELD(n_layers), 1, 1 << 12, 0},
    {"freq_dim", SIZE, FIELD(freq_dim), 2, 1 << 16, 0},
    {"text_dim", SIZE, FIELD(text_dim), 1, 1 << 16, 0},
    {"text_len", SIZE, FIELD(text_len), 1, 1 << 14, 512},
    {"in_dim", SIZE, FIELD(n_channels), 1, 1 << 10, 16},
    {"eps", REAL32, FIELD(eps), 1e-30, 1, 1e-6},
    {"num_frame_per_block", SIZE, FIELD(frames_per_chunk), 1, 256, 3},
    {"sink_size", SIZE, FIELD(sink), 0, 1 << 16, 3},
    {"timestep_shift", REAL64, FIELD(timestep_shift), 1e-3, 1e3, 5},
    {"context_noise", REAL64, FIELD(context_noise), 0, 1000, 0},
    {"memory.norm_eps", REAL32, FIELD(memory_norm_eps), 1e-30, 1, 1e-6},
    {"router.horizon", SIZE, FIELD(horizon), 1, 1e9, 0},
    {"width", SIZE, FIELD(width), 16, 16384, 832},
    {"height", SIZE, FIELD(height), 16, 16384, 480},
    {"fps", REAL64, FIELD(fps), 0.1, 1000, 16},
#undef FIELD
};

static json_t *lookup(const json_t *root, const char *key)
{
    const char *dot = strchr(key, '.');
    json_t *value;
    if (dot) {
        char group[64];
        snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
        value = json_object_get(json_object_get(root, group), dot + 1);
    } else {
        value = json_object_get(root, key);
    }
    return json_is_null(value) ? NULL : value;
}

static enum vs_status field_fault(const char *name, const char *key, const char *must)
{
    return vs_fail(VS_ERROR_MODEL, "%s: '%s' must be %s", name, key, must);
}

static enum vs_status read_field(struct vs_config *config, const json_t *root,
                                 const struct field *field, const char *name)
{
    const json_t *value = lookup(root, field->key);
    double number = field->otherwise;
    if (value) {
        number = json_number_value(value);
        bool fits = field->kind == SIZE ? json_is_integer(value) : json_is_number(value);
        if (!fits || !(number >= field->least && number <= field->greatest)) {
            char must[96];
            snprintf(must, sizeof must, "%s from %g to %g",
                     field->kind == SIZE ? "a whole number" : "a number", field->least,
                     field->greatest);
            return field_fault(name, field->key, must);
        }
    }
    void *place = (char *)config + field->offset;
    if (field->kind == SIZE)
        *(size_t *)place = (size_t)number;
    else if (field->kind == REAL32)
        *(float *)place = (float)number;
    else
        *(double *)place = number;
    return VS_OK;
}

/* A field that is one of two words; *second tells which. */
static enum vs_status read_choice(bool *second, const json_t *root, const char *key,
                                  const char *words[2], const char *name)
{
    const json_t *value = lookup(root, key);
    const char *word = value ? json_string_value(value) : words[0];
    *second = word && !strcmp(word, words[1]);
    if (word && (*second || !strcmp(word, words[0])))
        return VS_OK;
    char must[96];
    snprintf(must, sizeof must, "\"%s\" or \"%s\"", words[0], words[1]);
    return field_fault(name, key, must);
}

static enum vs_status read_steps(struct vs_config *config, const json_t *root, const char *name)
{
    static const unsigned standard[] = {1000, 750, 500, 250};
    const char *must = "a list of 1 to 64 falling whole numbers from 1000 to 1";
    const json_t *list = lookup(root, "denoising_step_list");
    if (!list) {
        config->n_steps = 4;
        memcpy(config->steps, standard, sizeof standard);
        return VS_OK;
    }
    config->n_steps = json_array_size(list);
    /* Released lists end in 0 in some versions; step 0 would do nothing (sigma is 0). */
    if (config->n_steps > 1 &&
        json_integer_value(json_array_get(list, config->n_steps - 1)) == 0)
        config->n_steps--;
    if (config->n_steps < 1 || config->n_steps > VS_MAX_STEPS)
        return field_fault(name, "denoising_step_list", must);
    for (size_t i = 0; i < config->n_steps; i++) {
        const json_t *step = json_array_get(list, i);
        json_int_t value = json_integer_value(step);
        if (!json_is_integer(step) || value < 1 || value > 1000 ||
            (i && value >= (json_int_t)config->steps[i - 1]))
            return field_fault(name, "denoising_step_list", must);
        config->steps[i] = (unsigned)value;
    }
    return VS_OK;
}

const char *vs_config_window_fault(const struct vs_config *config, size_t window, size_t sink)
{
    if (!window)
        return NULL;
    if (window < config->frames_per_chunk)
        return "the window is smaller than a chunk";
    if (sink > window - config->frames_per_chunk)
        return "sinks and one chunk do not fit into the window";
    return NULL;
}

static enum vs_status read_window(struct vs_config *config, const json_t *root, const char *name)
{
    const json_t *value = lookup(root, "local_attn_size");
    json_int_t window = value ? json_integer_value(value) : 12;
    if ((value && !json_is_integer(value)) || window == 0 || window < -1 || window > 1 << 16)
        return field_fault(name, "local_attn_size", "-1 (no limit) or a number of latent frames");
    config->window = window < 0 ? 0 : (size_t)window;
    /* The default sink is no wish of the file's: it gives way to a small window. */
    if (!lookup(root, "sink_size") && config->window &&
        config->sink + config->frames_per_chunk > config->window)
        config->sink = 0;
    const char *fault = vs_config_window_fault(config, config->window, config->sink);
    if (fault)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: %s (local_attn_size %zu, sink_size %zu, num_frame_per_block %zu)",
                       name, fault, config->window, config->sink, config->frames_per_chunk);
    return VS_OK;
}

static enum vs_status read_all(struct vs_config *config, const json_t *root, const char *name)
{
    static const char *qk[] = {"pre_rope", "roped"}, *frame[] = {"absolute", "relative"};
    enum vs_status status = VS_OK;
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        VS_TRY(read_field(config, root, fields + i, name));
    VS_TRY(read_choice(&config->memory_roped, root, "memory.qk", qk, name));
    VS_TRY(read_choice(&config->rope_relative, root, "rope.frame", frame, name));
    VS_TRY(read_steps(config, root, name));
    VS_TRY(read_window(config, root, name));
    const json_t *fuse = lookup(root, "memory.fuse"), *out = lookup(root, "out_dim");
    if (fuse && (!json_is_string(fuse) || strcmp(json_string_value(fuse), "before_o")))
        return field_fault(name, "memory.fuse", "\"before_o\"");
    if (out && (size_t)json_integer_value(out) != config->n_channels)
        return field_fault(name, "out_dim", "equal to in_dim");
    if (config->width % 16 || config->height % 16)
        return field_fault(name, "width' and 'height", "multiples of 16");
fail:
    return status;
}

enum vs_status vs_config_parse(struct vs_config *config, const char *text, size_t n,
                               const char *name)
{
    json_error_t error;
    json_t *root;
    enum vs_status status = vs_json_parse(&root, text, n, JSON_REJECT_DUPLICATES, &error);
    if (status != VS_OK)
        return status;
    if (!root)
        return vs_fail(VS_ERROR_MODEL, "%s: not valid JSON at offset %d (line %d): %s", name,
                       error.position, error.line, error.text);
    status = json_is_object(root)
                 ? read_all(config, root, name)
                 : vs_fail(VS_ERROR_MODEL, "%s: the top level must be a JSON object", name);
    json_decref(root);
    return status;
}

enum vs_status vs_config_load(struct vs_config *config, const char *path)
{
    enum { MAX_BYTES = 1 << 20 };
    struct vs_file_map *map;
    if (!path)
        return vs_config_parse(config, "{}", 2, "default configuration");
    enum vs_status status = vs_file_map_open(&map, path);
    if (status != VS_OK)
        return status;
    if (map->size > MAX_BYTES)
        status = vs_fail(VS_ERROR_MODEL, "%s: %zu bytes are too many for a configuration", path,
                         map->size);
    else
        status = vs_config_parse(config, (const char *)map->data, map->size, path);
    vs_file_map_free(map);
    return status;
}

/* Takes value for an absent size, or holds a present one against it. */
static enum vs_status settle(size_t *size, size_t value, const char *key, const char *tensor,
                             const struct vs_weights *dit)
{
    if (!*size)
        *size = value;
    if (*size == value)
        return VS_OK;
    return vs_fail(VS_ERROR_MODEL,
                   "%s: tensor '%s' says that %s is %zu, but config.json says %zu; the two do not "
                   "belong together",
                   vs_weights_path(dit), tensor, key, value, *size);
}

static enum vs_status settle_from(size_t *size, const char *key, const struct vs_weights *dit,
                                  const char *tensor, size_t n_dims, size_t dim)
{
    const struct vs_tensor *found = vs_weights_find(dit, tensor);
    if (!found)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor '%s' is missing; this is not a Wan transformer",
                       vs_weights_path(dit), tensor);
    if (found->n_dims != n_dims || !found->shape[dim])
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' has %zu dimensions where %zu are expected",
                       vs_weights_path(dit), tensor, found->n_dims, n_dims);
    return settle(size, found->shape[dim], key, tensor, dit);
}

static size_t count_layers(const struct vs_weights *dit)
{
    size_t n = 0;
    for (size_t i = 0; i < vs_weights_count(dit); i++) {
        const char *name = vs_weights_at(dit, i)->name;
        char *end;
        if (strncmp(name, "blocks.", 7))
            continue;
        unsigned long layer = strtoul(name + 7, &end, 10);
        if (end > name + 7 && *end == '.' && layer < 1 << 12 && layer + 1 > n)
            n = layer + 1;
    }
    return n;
}

enum vs_status vs_config_fit(struct vs_config *config, const struct vs_weights *dit)
{
    static const char beta[] = "blocks.0.self_attn.memory.b_proj.weight";
    static const char alpha[] = "blocks.0.self_attn.memory.a_proj.weight";
    enum vs_status status = VS_OK;
    VS_TRY(settle_from(&config->dim, "dim", dit, "time_embedding.2.weight", 2, 0));
    VS_TRY(settle_from(&config->ffn_dim, "ffn_dim", dit, "blocks.0.ffn.0.weight", 2, 0));
    VS_TRY(settle_from(&config->freq_dim, "freq_dim", dit, "time_embedding.0.weight", 2, 1));
    VS_TRY(settle_from(&config->text_dim, "text_dim", dit, "text_embedding.0.weight", 2, 1));
    VS_TRY(settle(&config->n_layers, count_layers(dit), "num_layers", "blocks.N", dit));
    if (!config->n_heads)
        config->n_heads = config->dim / 128;
    if (!config->n_heads || config->dim % config->n_heads)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: a width of %zu does not divide into %zu heads; give num_heads in "
                       "config.json",
                       vs_weights_path(dit), config->dim, config->n_heads);
    if (config->dim / config->n_heads % 4)
        return vs_fail(VS_ERROR_MODEL, "%s: a head width of %zu is not a multiple of 4",
                       vs_weights_path(dit), config->dim / config->n_heads);
    if (config->freq_dim % 2)
        return vs_fail(VS_ERROR_MODEL, "%s: freq_dim %zu is odd", vs_weights_path(dit),
                       config->freq_dim);
    config->alpha_width = config->beta_width = 0;
    if (vs_weights_find(dit, "blocks.0.self_attn.memory.A_log")) {
        size_t *widths[] = {&config->alpha_width, &config->beta_width};
        const char *names[] = {alpha, beta};
        for (int i = 0; i < 2; i++) {
            VS_TRY(settle_from(widths[i], "the gates' width", dit, names[i], 2, 0));
            if (*widths[i] != config->dim && *widths[i] != config->n_heads)
                return vs_fail(VS_ERROR_MODEL,
                               "%s: tensor '%s' has %zu rows; gates have one per head (%zu) or "
                               "one per channel (%zu)",
                               vs_weights_path(dit), names[i], *widths[i], config->n_heads,
                               config->dim);
        }
    }
fail:
    return status;
}
