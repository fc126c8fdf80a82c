/* SPDX-License-Identifier: Apache-2.0
 *
 * check_generator.c - properties of whole runs that need no data: what equals what, what memory
 * is touched, how a run ends early. */
#include "tests/check_common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "cl/sha256.h"
#include "models/generator.h"

static const struct vs_prompt one_prompt[] = {{0, "A red fox walks through fresh snow."}};

/* The repository's small model: window 9 latent frames, 3 of them sinks, chunks of 3. */
static const char *model_folder(void)
{
    static char path[4096];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/golden/whole/model", srcdir ? srcdir : ".");
    return path;
}

/* The demo model, which has more layers. */
static const char *demo_folder(void)
{
    static char path[4096];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/models/demo", srcdir ? srcdir : ".");
    return path;
}

static struct vs_model *open_model(const char *folder)
{
    struct vs_model *model;
    struct vs_model_files files = {.folder = folder};
    check_ok(vs_model_open(&model, &files));
    return model;
}

static struct vs_generate_options options_for(size_t n_chunks)
{
    struct vs_generate_options options;
    vs_generate_options_init(&options);
    options.prompts = one_prompt;
    options.n_prompts = 1;
    options.width = 48;
    options.height = 32;
    options.fps = 16;
    options.seconds = (double)(12 * n_chunks - 3) / 16;
    options.seed = 42;
    options.horizon = 36;
    return options;
}

/* Hash of the latents of chunks [0, n_chunks). */
static void run(char hex[65], const struct vs_model *model, struct vs_generate_options options,
                size_t n_chunks)
{
    struct vs_generator *generator;
    struct vs_chunk chunk;
    struct vs_sha256 hash;
    vs_sha256_init(&hash);
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    for (size_t i = 0; i < n_chunks; i++) {
        check_ok(vs_generator_next(generator, &chunk));
        ck_assert_uint_eq(chunk.index, i);
        ck_assert_uint_gt(chunk.n_frames, 0);
        vs_sha256_floats(&hash, chunk.latents, chunk.n_latent_frames * 16 * 4 * 6);
        vs_sha256_update(&hash, chunk.rgb, chunk.n_frames * 48 * 32 * 3);
    }
    vs_generator_free(generator);
    vs_sha256_hex(&hash, hex);
}

START_TEST(runs_repeat_and_modes_agree_before_eviction)
{
    struct vs_model *model = open_model(model_folder());
    char want[65], got[65];
    struct vs_generate_options options = options_for(3);
    run(want, model, options, 3);
    run(got, model, options, 3);
    ck_assert_str_eq(got, want);
    /* Nine frames fill the window; nothing has left yet. */
    for (int memory = 0; memory < 4; memory++) {
        options.memory = (enum vs_memory_mode)memory;
        run(got, model, options, 3);
        ck_assert_msg(!strcmp(got, want), "memory mode %d differs before any eviction", memory);
    }
    /* After it they differ, unless there is no sink to tell window and sink apart. */
    char hashes[4][65];
    options = options_for(5);
    for (int memory = 0; memory < 4; memory++) {
        options.memory = (enum vs_memory_mode)memory;
        run(hashes[memory], model, options, 5);
        for (int other = 0; other < memory; other++)
            ck_assert_str_ne(hashes[memory], hashes[other]);
    }
    options.memory = VS_MEMORY_SINK;
    options.sink = 0;
    run(got, model, options, 5);
    ck_assert_str_eq(got, hashes[VS_MEMORY_WINDOW]);
    vs_model_free(model);
}
END_TEST

/* Latents of the first chunk; freed by the caller. */
static float *first_latents(const struct vs_model *model, struct vs_generate_options options,
                            size_t *n, size_t *peak_bytes)
{
    struct vs_generator *generator;
    struct vs_chunk chunk;
    struct vs_context *context;
    check_ok(vs_context_create(&context, getenv("VS_TEST_DEVICE")));
    check_ok(vs_generator_create(&generator, context, model, &options));
    *peak_bytes = vs_context_allocated_bytes(context);
    check_ok(vs_generator_next(generator, &chunk));
    *n = chunk.n_latent_frames * 16 * 4 * 6;
    float *latents = malloc(*n * sizeof *latents);
    ck_assert_ptr_nonnull(latents);
    memcpy(latents, chunk.latents, *n * sizeof *latents);
    vs_generator_free(generator);
    vs_context_free(context);
    return latents;
}

/* Keys and values in half the memory: runs repeat, past eviction too, and the video is near that of
 * floats but not the same. */
START_TEST(halves_in_the_cache)
{
    struct vs_model *model = open_model(model_folder());
    struct vs_generate_options options = options_for(5);
    char floats_hash[65], want[65], got[65];
    run(floats_hash, model, options, 5);
    options.kv = VS_KV_F16;
    run(want, model, options, 5);
    run(got, model, options, 5);
    ck_assert_str_eq(got, want);
    ck_assert_str_ne(got, floats_hash);
    size_t n, n_bytes, n_bytes_floats;
    float *halves = first_latents(model, options, &n, &n_bytes);
    options.kv = VS_KV_F32;
    float *floats = first_latents(model, options, &n, &n_bytes_floats);
    ck_assert_uint_lt(n_bytes, n_bytes_floats);
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = (double)halves[i] - (double)floats[i];
        error += difference * difference;
        size += (double)floats[i] * (double)floats[i];
    }
    ck_assert_double_gt(error, 0);
    ck_assert_double_lt(sqrt(error / size), 0x1p-9);
    free(halves), free(floats);
    vs_model_free(model);
}
END_TEST

/* Blocks that come from the host one by one, over evictions and changes of the text, in less memory
 * of the device. */
START_TEST(offloading_changes_no_bit)
{
    static const struct vs_prompt prompts[] = {{0, "A red fox."}, {2.0, "A blue robot."}};
    struct vs_model *model = open_model(demo_folder());
    struct vs_generate_options options = options_for(5);
    char want[65], got[65];
    size_t n, n_bytes, n_bytes_before;
    options.prompts = prompts;
    options.n_prompts = 2;
    options.window = 6;
    options.sink = 0;
    for (int memory = VS_MEMORY_HYBRID; memory <= VS_MEMORY_WINDOW; memory++)
        for (enum vs_kv kv = VS_KV_F32; kv <= VS_KV_F16; kv++) {
            options.memory = (enum vs_memory_mode)memory;
            options.kv = kv;
            options.offload = false;
            run(want, model, options, 5);
            options.offload = true;
            run(got, model, options, 5);
            ck_assert_msg(!strcmp(got, want), "memory mode %d, kv %d", memory, kv);
        }
    /* Two sets of buffers instead of all layers. */
    ck_assert_uint_gt(vs_model_info(model)->n_layers, 2);
    free(first_latents(model, options, &n, &n_bytes));
    options.offload = false;
    free(first_latents(model, options, &n, &n_bytes_before));
    ck_assert_uint_lt(n_bytes, n_bytes_before);
    vs_model_free(model);
}
END_TEST

START_TEST(short_video_begins_the_long_one)
{
    struct vs_model *model = open_model(model_folder());
    char want[65], got[65];
    run(want, model, options_for(6), 4);
    run(got, model, options_for(4), 4);
    ck_assert_str_eq(got, want);
    struct vs_generate_options options = options_for(4);
    options.seed = 43;
    run(got, model, options, 4);
    ck_assert_str_ne(got, want);
    vs_model_free(model);
}
END_TEST

START_TEST(the_loop_allocates_nothing)
{
    static const struct vs_prompt prompts[] = {{0, "A red fox."}, {2.0, "A blue robot."}};
    struct vs_model *model = open_model(model_folder());
    struct vs_generate_options options = options_for(8);
    struct vs_generator *generator;
    struct vs_chunk chunk;
    options.prompts = prompts;
    options.n_prompts = 2;
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    size_t n = vs_alloc_count();
    do {
        check_ok(vs_generator_next(generator, &chunk));
        ck_assert_msg(vs_alloc_count() == n, "chunk %zu allocated %zu times", chunk.index,
                      vs_alloc_count() - n);
    } while (chunk.n_frames);
    vs_generator_free(generator);
    vs_model_free(model);
}
END_TEST

/* Steps are recorded for the cache as it is once the window is full. */
START_TEST(recorded_steps_change_no_bit)
{
    struct vs_model *model = open_model(model_folder());
    struct vs_generate_options options = options_for(6);
    struct vs_generator *generator;
    char recorded[65], launched[65];
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    const struct vs_rollout *r = generator->rollout;
    for (size_t step = 0; step <= model->config.n_steps; step++) {
        const struct vs_recorded_step *made = r->recorded + step;
        ck_assert((made->recording.context != NULL) == vs_recording_possible(check_context));
        if (made->recording.context) {
            ck_assert_uint_eq(made->n_cached + made->n_coming, r->cache->shape.n_slots);
            ck_assert_uint_ge(made->recording.n_kernels, 10 * model->config.n_layers);
        }
    }
    vs_generator_free(generator);
    run(recorded, model, options, 6);
    check_device_close();
    setenv("VS_RECORD", "0", 1);
    check_device_open();
    ck_assert(!vs_recording_possible(check_context));
    run(launched, model, options, 6);
    ck_assert_str_eq(recorded, launched);
    vs_model_free(model);
}
END_TEST

START_TEST(frames_and_chunks_cover_what_was_asked)
{
    struct vs_model *model = open_model(model_folder());
    static const struct {
        double seconds;
        size_t n_frames, n_chunks;
    } cases[] = {{1.0 / 16, 1, 1}, {9.0 / 16, 9, 1}, {10.0 / 16, 10, 2}, {21.0 / 16, 21, 2},
                 {22.0 / 16, 22, 3}, {60, 960, 81}, {0, 9, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vs_generate_options options = options_for(1);
        struct vs_video_info info;
        options.seconds = cases[i].seconds;
        check_ok(vs_video_plan(&info, model, &options));
        ck_assert_uint_eq(info.n_frames, cases[i].n_frames);
        ck_assert_uint_eq(info.n_chunks, cases[i].n_chunks);
    }
    struct vs_generate_options bad[4];
    for (int i = 0; i < 4; i++)
        bad[i] = options_for(1);
    bad[0].width = 40;
    bad[1].window = 2;
    bad[2].sink = 8;
    bad[3].n_prompts = 0;
    for (int i = 0; i < 4; i++) {
        struct vs_video_info info;
        ck_assert_int_eq(vs_video_plan(&info, model, bad + i), VS_ERROR_USAGE);
    }
    vs_model_free(model);
}
END_TEST

static bool stop_in_second_chunk(const struct vs_progress *progress, void *user)
{
    (void)user;
    return !(progress->stage == VS_STAGE_DENOISE && progress->chunk == 1 && progress->done == 2);
}

START_TEST(progress_stops_a_run)
{
    struct vs_model *model = open_model(model_folder());
    struct vs_generate_options options = options_for(3);
    struct vs_generator *generator;
    struct vs_chunk chunk;
    options.progress = stop_in_second_chunk;
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    check_ok(vs_generator_next(generator, &chunk));
    ck_assert_int_eq(vs_generator_next(generator, &chunk), VS_ERROR_INTERRUPTED);
    vs_generator_free(generator);
    vs_model_free(model);
}
END_TEST

static struct vs_generator *to_stop;

static bool stop_after_second_chunk(const struct vs_progress *progress, void *user)
{
    (void)user;
    if (progress->stage == VS_STAGE_DENOISE && progress->chunk == 1)
        vs_generator_stop(to_stop);
    return true;
}

/* The chunk under way is finished, and is the one that a whole run gives; so is a chunk that was
 * begun ahead before the stop. */
START_TEST(a_stopped_run_gives_the_chunks_it_has_begun)
{
    struct vs_model *model = open_model(model_folder());
    struct vs_generate_options options = options_for(4);
    struct vs_chunk chunk;
    options.progress = stop_after_second_chunk;
    check_ok(vs_generator_create(&to_stop, check_context, model, &options));
    for (size_t i = 0; i < 2; i++) {
        check_ok(vs_generator_next(to_stop, &chunk));
        ck_assert_uint_eq(chunk.index, i);
        ck_assert_uint_gt(chunk.n_frames, 0);
    }
    check_ok(vs_generator_next(to_stop, &chunk));
    ck_assert_uint_eq(chunk.n_frames, 0);
    vs_generator_free(to_stop);

    options.progress = NULL;
    check_ok(vs_generator_create(&to_stop, check_context, model, &options));
    check_ok(vs_generator_next(to_stop, &chunk));
    vs_generator_stop(to_stop);
    check_ok(vs_generator_next(to_stop, &chunk));
    ck_assert_uint_eq(chunk.index, 1);
    ck_assert_uint_gt(chunk.n_frames, 0);
    check_ok(vs_generator_next(to_stop, &chunk));
    ck_assert_uint_eq(chunk.n_frames, 0);
    vs_generator_free(to_stop);
    vs_model_free(model);
}
END_TEST

/* A copy of the model folder whose transformer has NaN in one tensor. */
static void make_broken_model(char *folder, size_t n)
{
    char path[4200], target[4300];
    snprintf(folder, n, "/tmp/videossm-check-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char *real = realpath(model_folder(), NULL);
    ck_assert_ptr_nonnull(real);
    static const char *const linked[] = {"config.json", "models_t5_umt5-xxl-enc-bf16.pth",
                                         "Wan2.1_VAE.pth", "google"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(target, sizeof target, "%s/%s", real, linked[i]);
        snprintf(path, sizeof path, "%s/%s", folder, linked[i]);
        ck_assert_int_eq(symlink(target, path), 0);
    }
    snprintf(target, sizeof target, "%s/diffusion_pytorch_model.safetensors", real);
    FILE *file = fopen(target, "rb");
    ck_assert_ptr_nonnull(file);
    struct stat info;
    ck_assert_int_eq(fstat(fileno(file), &info), 0);
    char *data = malloc((size_t)info.st_size);
    ck_assert_uint_eq(fread(data, 1, (size_t)info.st_size, file), (size_t)info.st_size);
    fclose(file);
    uint64_t n_header;
    memcpy(&n_header, data, sizeof n_header);
    const char *entry = strstr(data + 8, "\"blocks.1.ffn.2.bias\"");
    ck_assert_ptr_nonnull(entry);
    entry = strstr(entry, "\"data_offsets\":[");
    size_t offset = strtoull(entry + 16, NULL, 10);
    memcpy(data + 8 + n_header + offset, &(float){NAN}, sizeof(float));
    snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", folder);
    file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, (size_t)info.st_size, file), (size_t)info.st_size);
    fclose(file);
    free(data);
    free(real);
}

START_TEST(not_a_number_stops_the_run_naming_the_layer)
{
    char folder[64], command[128];
    make_broken_model(folder, sizeof folder);
    struct vs_model *model = open_model(folder);
    struct vs_generate_options options = options_for(2);
    struct vs_generator *generator;
    struct vs_chunk chunk;
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    ck_assert_int_eq(vs_generator_next(generator, &chunk), VS_ERROR_NONFINITE);
    ck_assert_msg(strstr(vs_error_message(), "layer 1, chunk 0") != NULL, "message: %s",
                  vs_error_message());
    vs_generator_free(generator);
    vs_model_free(model);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, runs_repeat_and_modes_agree_before_eviction);
    tcase_add_test(tests, halves_in_the_cache);
    tcase_add_test(tests, offloading_changes_no_bit);
    tcase_add_test(tests, short_video_begins_the_long_one);
    tcase_add_test(tests, the_loop_allocates_nothing);
    tcase_add_test(tests, recorded_steps_change_no_bit);
    tcase_add_test(tests, frames_and_chunks_cover_what_was_asked);
    tcase_add_test(tests, progress_stops_a_run);
    tcase_add_test(tests, a_stopped_run_gives_the_chunks_it_has_begun);
    tcase_add_test(tests, not_a_number_stops_the_run_naming_the_layer);
}

int main(void)
{
    return check_main("generator", add_tests);
}
