/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_clean.c - libFuzzer target: any bytes as a prompt. What comes out is valid UTF-8. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "models/clean.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1), *clean;
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    if (vs_clean(&clean, text) == VS_OK) {
        utf8proc_int32_t code;
        for (const char *c = clean; *c;) {
            utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)c, -1, &code);
            if (step <= 0)
                abort();
            c += step;
        }
        free(clean);
    }
    free(text);
    return 0;
}
