/* SPDX-License-Identifier: Apache-2.0
 *
 * lora_builder.c - names as trainers write them, values from a seed. */
#include "tests/lora_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/names.h"

/* ---- safetensors -------------------------------------------------------------------------- */

void safetensors_add(struct safetensors_build_state *file, const char *name, const char *dtype,
                     size_t n_dims, const size_t *shape, const void *data, size_t n_bytes)
{
    char text[640], dims[128];
    vs_shape_format(dims, sizeof dims, n_dims, shape);
    snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
             file->header.n ? "," : "{", name, dtype, dims, file->data.n, file->data.n + n_bytes);
    bytes_text(&file->header, text);
    bytes_put(&file->data, data, n_bytes);
}

void safetensors_add_floats(struct safetensors_build_state *file, const char *name, size_t rows,
                            size_t columns, const float *values)
{
    safetensors_add(file, name, "F32", 2, (size_t[]){rows, columns}, values,
                    rows * columns * sizeof *values);
}

void safetensors_finish(struct bytes *out, struct safetensors_build_state *file)
{
    bytes_text(&file->header, "}");
    bytes_number(out, file->header.n, 8);
    bytes_put(out, file->header.data, file->header.n);
    bytes_put(out, file->data.data, file->data.n);
    bytes_free(&file->header);
    bytes_free(&file->data);
}

/* ---- LoRA --------------------------------------------------------------------------------- */

static const struct {
    const char *name, *prefix, *parts[3];
    bool underscores, diffusers;
} namings[N_LORA_NAMINGS] = {
    {"peft", "base_model.model.", {".lora_A.default.weight", ".lora_B.default.weight", ""}, false, false},
    {"diffusers", "transformer.", {".lora_A.weight", ".lora_B.weight", ""}, false, true},
    {"kohya", "lora_unet_", {".lora_down.weight", ".lora_up.weight", ".alpha"}, true, false},
    {"kohya-diffusers", "lora_unet_", {".lora_down.weight", ".lora_up.weight", ".alpha"}, true, true},
    {"comfyui", "diffusion_model.", {".lora_down.weight", ".lora_up.weight", ".alpha"}, false, false},
};

const char *lora_naming(size_t naming)
{
    return namings[naming].name;
}

void lora_name(char name[256], size_t naming, const char *module, int part)
{
    char *named = vs_names_translate(
        module, VS_TABLE_DIT, namings[naming].diffusers ? VS_NAMES_DIFFUSERS : VS_NAMES_WAN);
    for (char *c = named; *c && namings[naming].underscores; c++)
        *c = *c == '.' ? '_' : *c;
    if (*namings[naming].parts[part])
        snprintf(name, 256, "%s%s%s", namings[naming].prefix, named, namings[naming].parts[part]);
    else
        *name = '\0';
    free(named);
}

static float *seeded(size_t n, float scale, uint64_t *state)
{
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; values && i < n; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)(int32_t)(*state >> 32) * 0x1p-31f * scale;
    }
    return values;
}

void lora_build(struct bytes *out, const struct vs_weights *base, size_t naming, size_t rank,
                float alpha, uint64_t seed)
{
    struct safetensors_build_state file = {{0}, {0}};
    char name[256], module[256];
    for (size_t i = 0; i < vs_weights_count(base); i++) {
        const struct vs_tensor *tensor = vs_weights_at(base, i);
        bool wanted = strstr(tensor->name, "_attn.") || strstr(tensor->name, ".ffn.");
        if (tensor->n_dims != 2 || !wanted || strstr(tensor->name, ".memory."))
            continue;
        size_t rows = tensor->shape[0], columns = tensor->shape[1];
        float *down = seeded(rank * columns, 0.05f, &seed), *up = seeded(rows * rank, 0.05f, &seed);
        snprintf(module, sizeof module, "%.*s", (int)(strlen(tensor->name) - strlen(".weight")),
                 tensor->name);
        lora_name(name, naming, module, 0);
        safetensors_add_floats(&file, name, rank, columns, down);
        lora_name(name, naming, module, 1);
        safetensors_add_floats(&file, name, rows, rank, up);
        lora_name(name, naming, module, 2);
        if (*name && alpha != 0)
            safetensors_add(&file, name, "F32", 0, NULL, &alpha, sizeof alpha);
        free(down);
        free(up);
    }
    safetensors_finish(out, &file);
}
