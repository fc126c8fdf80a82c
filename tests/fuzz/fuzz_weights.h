/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_weights.h - what every fuzz target of model files does with a file that was accepted. */
#ifndef VS_TESTS_FUZZ_WEIGHTS_H
#define VS_TESTS_FUZZ_WEIGHTS_H

#include <stdlib.h>
#include <string.h>

#include "models/recognize.h"
#include "models/weights_internal.h"

/* A use of the value that the compiler cannot leave out. */
static volatile uint8_t fuzz_sink;

/* Opens n bytes as a model file and, when that succeeds, touches all that a program may: every
 * name, every byte of data, every look-up. */
static inline void fuzz_weights(const void *data, size_t n)
{
    struct vs_weights *weights;
    struct vs_recognized network;
    if (n == 0 || vs_weights_open_memory(&weights, "/nonexistent/fuzz", data, n) != VS_OK)
        return;
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i), *again;
        const uint8_t *bytes = tensor->data;
        for (size_t k = 0; k < tensor->n_bytes; k++)
            fuzz_sink ^= bytes[k];
        if (vs_weights_find(weights, tensor->name) != tensor || tensor->name[0] == '\0' ||
            vs_weights_require(&again, weights, tensor->name, tensor->n_dims, tensor->shape) !=
                VS_OK)
            abort();
    }
    vs_recognize(&network, weights);
    vs_weights_free(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
