/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_config.c - libFuzzer target: any bytes as config.json. */
#include <stdlib.h>
#include <string.h>

#include "models/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct vs_config config;
    char *text = malloc(n ? n : 1); /* exactly n: a read past the end is found */
    if (!text)
        return 0;
    memcpy(text, data, n);
    if (vs_config_parse(&config, text, n, "config.json") == VS_OK &&
        (config.n_steps == 0 || config.n_steps > VS_MAX_STEPS || config.frames_per_chunk == 0))
        abort();
    free(text);
    return 0;
}
