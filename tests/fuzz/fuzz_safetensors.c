/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_safetensors.c - libFuzzer target: any bytes as a safetensors file or an index of shards. */
#include "tests/fuzz/fuzz_weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_weights(data, n);
    return 0;
}
