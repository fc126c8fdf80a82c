/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_torch.c - libFuzzer target: a torch archive of any bytes, or one around a pickle of any
 * bytes.
 *
 * The second form is there because checksums keep mutations of a whole archive from ever reaching
 * the pickle inside. */
#include "tests/file_builder.h"
#include "tests/fuzz/fuzz_weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n >= 2 && memcmp(data, "PK", 2) == 0) {
        fuzz_weights(data, n);
        return 0;
    }
    struct bytes pickle = {0};
    struct zip_build zip = {0};
    bytes_put(&pickle, data, n);
    torch_build(&zip, &pickle, 48);
    fuzz_weights(zip.bytes.data, zip.bytes.n);
    bytes_free(&zip.bytes);
    bytes_free(&pickle);
    return 0;
}
