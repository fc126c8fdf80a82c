/* SPDX-License-Identifier: Apache-2.0
 *
 * hash_video.c - one video, as two hashes: `hash-video [--offload] MODEL SECONDS MEMORY...` prints for
 * each memory (window, sink, hybrid; hybrid-f16, with keys and values in halves) a line
 * `MEMORY SECONDS latents SHA-256 rgb SHA-256`.
 *
 * Latents are hashed canonicalised (-0 is +0, all NaN are one), pixels as bytes; what a PNG or mp4
 * file holds depends on zlib and encoders. A library user's program: it sees videossm.h alone, and
 * cl/sha256.h for the hash. $VS_TEST_DEVICE chooses the device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/sha256.h"
#include "videossm.h"

static const struct vs_prompt prompts[] = {
    {0, "a red circle and a white star take turns crossing a night background"},
    {1.5, "a green square moves left over a blue background"},
};

static int complain(void)
{
    fprintf(stderr, "hash-video: %s\n", vs_error_message());
    return EXIT_FAILURE;
}

static enum vs_status hash_video(struct vs_context *context, const struct vs_model *model,
                                 double seconds, const char *name, enum vs_memory_mode memory,
                                 enum vs_kv kv, bool offload)
{
    const struct vs_video_info *info;
    struct vs_generate_options options;
    struct vs_generator *generator = NULL;
    struct vs_sha256 latents, rgb;
    struct vs_chunk chunk;
    char latents_hex[65], rgb_hex[65];
    vs_sha256_init(&latents);
    vs_sha256_init(&rgb);
    vs_generate_options_init(&options);
    options.prompts = prompts;
    options.n_prompts = seconds > prompts[1].seconds ? 2 : 1;
    options.seconds = seconds;
    options.seed = 7;
    options.memory = memory;
    options.kv = kv;
    options.offload = offload;
    enum vs_status status = vs_generator_create(&generator, context, model, &options);
    if (status != VS_OK)
        return status;
    info = vs_generator_info(generator);
    while ((status = vs_generator_next(generator, &chunk)) == VS_OK && chunk.n_frames) {
        size_t latent_size = 16 * (info->height / 8) * (info->width / 8);
        vs_sha256_floats(&latents, chunk.latents, chunk.n_latent_frames * latent_size);
        vs_sha256_update(&rgb, chunk.rgb, chunk.n_frames * 3 * info->width * info->height);
    }
    vs_generator_free(generator);
    if (status != VS_OK)
        return status;
    vs_sha256_hex(&latents, latents_hex);
    vs_sha256_hex(&rgb, rgb_hex);
    printf("%s %g latents %s rgb %s\n", name, seconds, latents_hex, rgb_hex);
    fflush(stdout);
    return VS_OK;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum vs_memory_mode memory;
        enum vs_kv kv;
    } modes[] = {{"window", VS_MEMORY_WINDOW, VS_KV_F32},
                 {"sink", VS_MEMORY_SINK, VS_KV_F32},
                 {"hybrid", VS_MEMORY_HYBRID, VS_KV_F32},
                 {"hybrid-f16", VS_MEMORY_HYBRID, VS_KV_F16}};
    const size_t n_modes = sizeof modes / sizeof *modes;
    struct vs_context *context = NULL;
    struct vs_model *model = NULL;
    int code = EXIT_SUCCESS;
    bool offload = argc > 1 && strcmp(argv[1], "--offload") == 0;
    argc -= offload;
    argv += offload;
    if (argc < 4) {
        fprintf(stderr, "usage: hash-video [--offload] MODEL SECONDS window|sink|hybrid|hybrid-f16...\n");
        return VS_ERROR_USAGE;
    }
    struct vs_model_files files = {.folder = argv[1]};
    double seconds = strtod(argv[2], NULL);
    if (vs_model_open(&model, &files) != VS_OK ||
        vs_context_create(&context, getenv("VS_TEST_DEVICE")) != VS_OK)
        code = complain();
    for (int i = 3; i < argc && code == EXIT_SUCCESS; i++) {
        size_t m = 0;
        while (m < n_modes && strcmp(argv[i], modes[m].name) != 0)
            m++;
        if (m == n_modes) {
            fprintf(stderr, "hash-video: no memory is called '%s'\n", argv[i]);
            code = VS_ERROR_USAGE;
        } else if (hash_video(context, model, seconds, argv[i], modes[m].memory,
                              modes[m].kv, offload) != VS_OK) {
            code = complain();
        }
    }
    vs_context_free(context);
    vs_model_free(model);
    return code;
}
