/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_lora.c - libFuzzer target: any bytes as a LoRA file for a small transformer, and the values
 * that come of it. */
#include "config.h"

#include "models/lora.h"
#include "models/weights_internal.h"
#include "tests/file_builder.h"
#include "tests/fuzz/fuzz_file.h"

enum { ROWS = 6, COLUMNS = 4 };

/* Two matrices and a bias, of zeros and small numbers. */
static const struct vs_weights *base(void)
{
    static struct vs_weights *weights;
    static struct bytes file;
    if (weights)
        return weights;
    safetensors_build(
        &file,
        "{\"patch_embedding.weight\":{\"dtype\":\"U8\",\"shape\":[4,1,1,2,2],\"data_offsets\":"
        "[0,16]},\"blocks.0.self_attn.q.weight\":{\"dtype\":\"F32\",\"shape\":[6,4],"
        "\"data_offsets\":[16,112]},\"blocks.0.self_attn.q.bias\":{\"dtype\":\"F32\",\"shape\":[6],"
        "\"data_offsets\":[112,136]},\"blocks.0.ffn.0.weight\":{\"dtype\":\"F16\",\"shape\":[6,4],"
        "\"data_offsets\":[136,184]}}",
        184);
    if (vs_weights_open_memory(&weights, "base", file.data, file.n) != VS_OK)
        abort();
    return weights;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct vs_weights *weights = base();
    const struct vs_lora lora = {.path = fuzz_file(data, n), .scale = 0.5};
    struct vs_lora_set *set;
    float values[ROWS * COLUMNS] = {0};
    if (vs_lora_set_create(&set, &lora, 1, &weights, 1) != VS_OK)
        return 0;
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        if (!vs_lora_touches(set, tensor))
            continue;
        if (vs_lora_columns(tensor) * tensor->shape[0] > ROWS * COLUMNS)
            abort();
        enum vs_status status = vs_lora_add(set, tensor, values, 0, tensor->shape[0]);
        if (status != VS_OK && status != VS_ERROR_MODEL && status != VS_ERROR_MEMORY)
            abort();
    }
    vs_lora_set_free(set);
    return 0;
}
