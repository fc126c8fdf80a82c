/* SPDX-License-Identifier: Apache-2.0
 *
 * make_lora.c - writes a LoRA for a transformer, for tests of the whole program:
 * make-lora BASE OUT NAMING RANK ALPHA SEED */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lora_builder.h"

int main(int argc, char **argv)
{
    struct bytes bytes = {0};
    struct vs_weights *base;
    size_t naming = 0;
    if (argc != 7)
        return 2;
    if (vs_weights_open(&base, argv[1]) != VS_OK) {
        fprintf(stderr, "make-lora: %s\n", vs_error_message());
        return 1;
    }
    while (naming < N_LORA_NAMINGS && strcmp(lora_naming(naming), argv[3]) != 0)
        naming++;
    if (naming == N_LORA_NAMINGS)
        return 2;
    lora_build(&bytes, base, naming, strtoul(argv[4], NULL, 10), strtof(argv[5], NULL),
               strtoull(argv[6], NULL, 10));
    bytes_write_file(&bytes, argv[2]);
    bytes_free(&bytes);
    vs_weights_free(base);
    return 0;
}
