/* SPDX-License-Identifier: Apache-2.0
 *
 * installed.c - a user of the installed library: the header compiles alone, the library links and
 * answers. */
#include <videossm.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct vs_model *model;
    struct vs_model_files files = {.folder = argc > 1 ? argv[1] : "."};
    if (vs_model_open(&model, &files) != VS_OK) {
        fprintf(stderr, "%s\n", vs_error_message());
        return EXIT_FAILURE;
    }
    printf("libvideossm %s: a model of %zu layers\n", vs_version(), vs_model_info(model)->n_layers);
    vs_model_free(model);
    return EXIT_SUCCESS;
}
