/* SPDX-License-Identifier: Apache-2.0
 *
 * cut_model.c - writes what is left of a model file without some tensors, as safetensors:
 * cut-model FROM TO BEGINNING... leaves out those whose names begin so. */
#include <stdio.h>
#include <string.h>

#include "tests/lora_builder.h"

static bool begins(const char *name, char *const *beginnings)
{
    for (; *beginnings; beginnings++)
        if (strncmp(name, *beginnings, strlen(*beginnings)) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct safetensors_build_state file = {{0}, {0}};
    struct bytes bytes = {0};
    struct vs_weights *weights;
    if (argc < 4)
        return 2;
    if (vs_weights_open(&weights, argv[1]) != VS_OK) {
        fprintf(stderr, "cut-model: %s\n", vs_error_message());
        return 1;
    }
    for (size_t i = 0; i < vs_weights_count(weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        if (!begins(tensor->name, argv + 3))
            safetensors_add(&file, tensor->name, vs_dtype_info(tensor->dtype)->name, tensor->n_dims,
                            tensor->shape, tensor->data, tensor->n_bytes);
    }
    safetensors_finish(&bytes, &file);
    bytes_write_file(&bytes, argv[2]);
    bytes_free(&bytes);
    vs_weights_free(weights);
    return 0;
}
