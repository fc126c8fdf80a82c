/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect_json.c - findings of `videossm-cl inspect`, for programs. */
#include "config.h"

#include <string.h>

#include "host/inspect.h"
#include "host/json_text.h"

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *tensor_json(const struct vs_tensor *tensor)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < tensor->n_dims; i++)
        json_array_append_new(shape, number(tensor->shape[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:o}", "name", tensor->name, "raw_name",
                     tensor->raw_name, "dtype", vs_dtype_info(tensor->dtype)->name, "shape", shape,
                     "bytes", (json_int_t)tensor->n_bytes, "offset", (json_int_t)tensor->offset,
                     "file", host_json_text(tensor->file));
}

static json_t *network_json(const struct vs_recognized *network)
{
    static const char *const gates[] = {"none", "head", "channel"};
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {{"layers", network->n_layers},
                 {"dim", network->dim},
                 {"heads", network->n_heads},
                 {"ffn_dim", network->ffn_dim},
                 {"channels", network->n_channels},
                 {"text_dim", network->text_dim},
                 {"freq_dim", network->freq_dim},
                 {"vocabulary", network->vocabulary},
                 {"rank", network->rank}};
    json_t *json = json_pack("{s:s}", "part", vs_part_name(network->part));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value)
            json_object_set_new(json, sizes[i].key, number(sizes[i].value));
    if (network->part == VS_PART_DIT)
        json_object_set_new(json, "gates",
                            json_pack("{s:s, s:s}", "alpha", gates[network->alpha_gates], "beta",
                                      gates[network->beta_gates]));
    if (network->hint)
        json_object_set_new(json, "hint", json_string(network->hint));
    return json;
}

static void add_weights(json_t *json, const struct host_finding *finding, bool tensors)
{
    static const char *const containers[] = {"safetensors", "torch", "gguf"};
    const struct vs_weights *weights = finding->weights;
    json_t *metadata = json_object(), *list = json_array();
    json_object_set_new(json, "container", json_string(containers[vs_weights_container(weights)]));
    json_object_set_new(json, "files", number(finding->n_files));
    json_object_set_new(json, "recognized", network_json(&finding->network));
    for (size_t i = 0; i < vs_weights_metadata_count(weights); i++) {
        const char *key, *value;
        vs_weights_metadata_at(&key, &value, weights, i);
        json_object_set_new(metadata, key, host_json_text(value));
    }
    json_object_set_new(json, "metadata", metadata);
    json_object_set_new(json, "n_tensors", number(vs_weights_count(weights)));
    for (size_t i = 0; tensors && i < vs_weights_count(weights); i++)
        json_array_append_new(list, tensor_json(vs_weights_at(weights, i)));
    if (tensors)
        json_object_set(json, "tensors", list);
    json_decref(list);
}

static json_t *config_json(const struct vs_config *config)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < config->n_steps; i++)
        json_array_append_new(steps, number(config->steps[i]));
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:f, s:I, s:s, s:s, s:I, s:I, s:f}",
        "dim", (json_int_t)config->dim, "heads", (json_int_t)config->n_heads, "layers",
        (json_int_t)config->n_layers, "ffn_dim", (json_int_t)config->ffn_dim, "text_dim",
        (json_int_t)config->text_dim, "text_len", (json_int_t)config->text_len, "frames_per_chunk",
        (json_int_t)config->frames_per_chunk, "window", (json_int_t)config->window, "sink",
        (json_int_t)config->sink, "steps", steps, "timestep_shift", config->timestep_shift,
        "horizon", (json_int_t)config->horizon, "memory_qk",
        config->memory_roped ? "roped" : "pre_rope", "rope_frame",
        config->rope_relative ? "relative" : "absolute", "width", (json_int_t)config->width,
        "height", (json_int_t)config->height, "fps", config->fps);
}

json_t *host_finding_json(const struct host_finding *finding, bool tensors)
{
    static const char *const kinds[] = {"weights", "tokenizer", "config", "fault"};
    json_t *json = json_pack("{s:o, s:s, s:I}", "path", host_json_text(finding->path), "kind",
                             kinds[finding->kind], "bytes", (json_int_t)finding->n_bytes);
    if (!json)
        return NULL;
    switch (finding->kind) {
    case HOST_FINDING_WEIGHTS:
        add_weights(json, finding, tensors);
        break;
    case HOST_FINDING_TOKENIZER:
        json_object_set_new(json, "pieces", number(finding->n_pieces));
        break;
    case HOST_FINDING_CONFIG:
        json_object_set_new(json, "config", config_json(&finding->config));
        break;
    default:
        json_object_set_new(json, "message", host_json_text(finding->message ? finding->message : ""));
    }
    return json;
}
