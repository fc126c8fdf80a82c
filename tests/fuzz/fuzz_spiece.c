/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_spiece.c - libFuzzer target: any bytes as a SentencePiece model, then a prompt through it.
 *
 * What vs_spiece_check() lets through must not crash libsentencepiece. Seeds: the spiece.model
 * files of tests/golden. */
#include <stdlib.h>
#include <string.h>

#include "models/sentencepiece.h"
#include "models/spiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char prompt[] = "A red fox \xe4\xb8\x80\xef\xbc\xa1 caf\xc3\xa9, snow</s>.";
    struct vs_spm *spm;
    int32_t ids[64];
    size_t n_ids;
    uint8_t *model = malloc(n + 1);
    if (!model)
        return 0;
    memcpy(model, data, n);
    if (n == 0 || vs_spiece_check(model, &n) != VS_OK || vs_spm_create(&spm, model, n) != VS_OK) {
        free(model);
        return 0;
    }
    if (vs_spm_encode(spm, prompt, sizeof prompt - 1, 64, ids, &n_ids) == VS_OK)
        for (size_t i = 0; i < n_ids; i++)
            if (ids[i] < 0 || (size_t)ids[i] >= vs_spm_vocab(spm))
                abort();
    vs_spm_free(spm);
    free(model);
    return 0;
}
