/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_state.c - libFuzzer target: any bytes as the file of a run's state, with a right digest, which
 * would keep all others out. */
#include "config.h"

#include <string.h>

#include "cl/sha256.h"
#include "models/state_file.h"
#include "tests/fuzz/fuzz_file.h"

enum { DIGEST_BYTES = 64, FRAMES = 2, SIZE = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct vs_weights *file;
    struct vs_sha256 hash;
    char digest[DIGEST_BYTES + 1];
    float values[FRAMES * SIZE];
    size_t count;
    if (n <= DIGEST_BYTES)
        return 0;
    uint8_t *copy = malloc(n);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    vs_sha256_init(&hash);
    vs_sha256_update(&hash, data, n - DIGEST_BYTES);
    vs_sha256_hex(&hash, digest);
    memcpy(copy + n - DIGEST_BYTES, digest, DIGEST_BYTES);
    const char *path = fuzz_file(copy, n);
    free(copy);
    if (vs_state_open(&file, path) != VS_OK)
        return 0;
    const int32_t order[FRAMES] = {1, 0};
    const struct vs_state_tensor tensor = {.name = "latents",
                                           .dtype = VS_F32,
                                           .n_dims = 2,
                                           .shape = {FRAMES, SIZE},
                                           .host = values,
                                           .order = order,
                                           .n_pieces = FRAMES,
                                           .piece_bytes = SIZE * sizeof *values};
    enum vs_status status = vs_state_load(&tensor, file);
    if (status != VS_OK && status != VS_ERROR_MODEL)
        abort();
    if (vs_state_count(&count, file, "chunks", 7) == VS_OK && count > 7)
        abort();
    status = vs_state_expect(file, "label", "a run");
    if (status != VS_OK && status != VS_ERROR_MODEL)
        abort();
    vs_weights_free(file);
    return 0;
}
