/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_convert.c - libFuzzer target: any bytes as a model file, converted as its last three bytes
 * say. What was written opens, with as many tensors and, where formats stay, the same values. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "models/conversion.h"
#include "models/weights_internal.h"
#include "tests/file_builder.h"

enum { MOST_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum vs_status collect(void *user, const void *data, size_t n_bytes)
{
    bytes_put(user, data, n_bytes);
    return VS_OK;
}

static void compare(const struct vs_weights *weights, const struct bytes *made,
                    const struct vs_conversion_options *options)
{
    struct vs_weights *again;
    if (vs_weights_open_memory(&again, "made", made->data, made->n) != VS_OK ||
        vs_weights_count(again) != vs_weights_count(weights) ||
        vs_weights_container(again) != options->container)
        abort();
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        const struct vs_tensor *same = vs_weights_find(again, tensor->name);
        if (!same || same->n_elements != tensor->n_elements ||
            (options->keep_dtype &&
             (same->dtype != tensor->dtype || same->n_bytes != tensor->n_bytes ||
              (same->n_bytes && memcmp(same->data, tensor->data, same->n_bytes) != 0))))
            abort();
    }
    vs_weights_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum vs_container containers[] = {VS_SAFETENSORS, VS_TORCH, VS_GGUF};
    static const enum vs_dtype dtypes[] = {VS_F32, VS_F16, VS_BF16, VS_Q8_0, VS_Q4_K};
    static const enum vs_target_names names[] = {VS_TARGET_WAN, VS_TARGET_DIFFUSERS,
                                                 VS_TARGET_AS_IS};
    struct vs_conversion *conversion = NULL;
    struct vs_weights *weights;
    struct bytes made = {0};
    if (n < 4)
        return 0;
    n -= 3;
    if (vs_weights_open_memory(&weights, "/nonexistent/fuzz", data, n) != VS_OK)
        return 0;
    const struct vs_conversion_options options = {.container = containers[data[n] % 3],
                                                  .keep_dtype = data[n + 1] % 6 == 5,
                                                  .dtype = dtypes[data[n + 1] % 6 % 5],
                                                  .names = names[data[n + 2] % 3]};
    const struct vs_output output = {collect, &made};
    const struct vs_weights *const all = weights;
    if (vs_conversion_create(&conversion, &all, 1, &options) == VS_OK &&
        vs_conversion_bytes(conversion) <= MOST_BYTES) {
        if (vs_conversion_files(conversion) != 1)
            abort();
        if (vs_conversion_write(conversion, 0, &output) == VS_OK)
            compare(weights, &made, &options);
    }
    vs_conversion_free(conversion);
    vs_weights_free(weights);
    bytes_free(&made);
    return 0;
}
