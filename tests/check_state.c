/* SPDX-License-Identifier: Apache-2.0
 *
 * check_state.c - a run taken up by another generator: what goes on with the same bits, and the
 * damaged, foreign and forged files that are refused. */
#include "tests/check_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "models/generator.h"
#include "models/state_file.h"

/* The repository's small model: window 9 latent frames, 3 of them sinks, chunks of 3. */
enum { N_CHUNKS = 6, HEIGHT = 32, WIDTH = 48, C = 3 };
enum { N_LATENTS = C * 16 * (HEIGHT / 8) * (WIDTH / 8), RGB_BYTES = 4 * C * HEIGHT * WIDTH * 3 };

static const struct vs_prompt prompts[] = {{0, "A red fox walks through fresh snow."},
                                           {2.5, "A blue robot waves."}};
static const char label[] = "a run";

static struct vs_model *model;
static char folder[64];

/* An undisturbed run, and its memory behind every chunk. */
static float latents[N_CHUNKS][N_LATENTS];
static uint8_t rgb[N_CHUNKS][RGB_BYTES];
static size_t n_frames[N_CHUNKS];
static char paths[N_CHUNKS + 1][96];

static struct vs_generate_options options_for(size_t n_chunks)
{
    struct vs_generate_options options;
    vs_generate_options_init(&options);
    options.prompts = prompts;
    options.n_prompts = 2;
    options.width = WIDTH;
    options.height = HEIGHT;
    options.fps = 16;
    options.seconds = (double)(12 * n_chunks - 3) / 16;
    options.seed = 42;
    options.horizon = 36;
    return options;
}

static struct vs_generator *make(const struct vs_generate_options *options)
{
    struct vs_generator *generator;
    check_ok(vs_generator_create(&generator, check_context, model, options));
    return generator;
}

static enum vs_status append(const void *data, size_t n_bytes, void *user)
{
    return fwrite(data, 1, n_bytes, user) == n_bytes ? VS_OK : VS_ERROR_RUNTIME;
}

static enum vs_status save(struct vs_generator *generator, size_t chunk, const float *made,
                           void *user)
{
    (void)user;
    memcpy(latents[chunk], made, sizeof latents[chunk]);
    FILE *file = fopen(paths[chunk + 1], "wbe");
    ck_assert_ptr_nonnull(file);
    check_ok(vs_generator_save(generator, label, append, file));
    ck_assert_int_eq(fclose(file), 0);
    return VS_OK;
}

static void run_undisturbed(void)
{
    struct vs_model_files files = {0};
    struct vs_chunk chunk;
    char path[4096];
    const char *srcdir = getenv("srcdir");
    check_device_open();
    snprintf(path, sizeof path, "%s/tests/golden/whole/model", srcdir ? srcdir : ".");
    files.folder = path;
    check_ok(vs_model_open(&model, &files));
    strcpy(folder, "/tmp/check_state.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (size_t i = 0; i <= N_CHUNKS; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%zu.safetensors", folder, i);
    struct vs_generate_options options = options_for(N_CHUNKS);
    options.settled = save;
    struct vs_generator *generator = make(&options);
    for (size_t i = 0; i < N_CHUNKS; i++) {
        check_ok(vs_generator_next(generator, &chunk));
        n_frames[i] = chunk.n_frames;
        memcpy(rgb[i], chunk.rgb, chunk.n_frames * HEIGHT * WIDTH * 3);
    }
    vs_generator_free(generator);
}

static void clean_up(void)
{
    for (size_t i = 0; i <= N_CHUNKS; i++)
        unlink(paths[i]);
    rmdir(folder);
    vs_model_free(model);
    check_device_close();
}

/* ---- Going on ----------------------------------------------------------------------------- */

static void decode_before(struct vs_generator *generator, size_t n)
{
    struct vs_chunk chunk;
    for (size_t i = 0; i < n; i++) {
        check_ok(vs_generator_decode(generator, i, latents[i], &chunk));
        ck_assert_uint_eq(chunk.n_frames, n_frames[i]);
        ck_assert_mem_eq(chunk.rgb, rgb[i], n_frames[i] * HEIGHT * WIDTH * 3);
    }
}

static void goes_on(struct vs_generator *generator, size_t first)
{
    struct vs_chunk chunk;
    for (size_t i = first; i < N_CHUNKS; i++) {
        check_ok(vs_generator_next(generator, &chunk));
        ck_assert_uint_eq(chunk.index, i);
        ck_assert_uint_eq(chunk.n_frames, n_frames[i]);
        ck_assert_msg(!memcmp(chunk.latents, latents[i], sizeof latents[i]),
                      "latents of chunk %zu differ", i);
        ck_assert_msg(!memcmp(chunk.rgb, rgb[i], n_frames[i] * HEIGHT * WIDTH * 3),
                      "frames of chunk %zu differ", i);
    }
    check_ok(vs_generator_next(generator, &chunk));
    ck_assert_uint_eq(chunk.n_frames, 0);
}

/* Behind 1: nothing has left the window. 3: frames leave next. 4: the text changed before. 5: the
 * state holds frames. */
START_TEST(a_restored_state_goes_on_with_the_same_bits)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    for (size_t n = 1; n < N_CHUNKS; n++) {
        struct vs_generator *generator = make(&options);
        size_t n_restored;
        check_ok(vs_generator_restore(generator, paths[n], label, &n_restored));
        ck_assert_uint_eq(n_restored, n);
        decode_before(generator, n);
        goes_on(generator, n);
        vs_generator_free(generator);
    }
}
END_TEST

START_TEST(remembered_latents_go_on_with_the_same_bits)
{
    static const size_t restored[] = {0, 2, 4};
    struct vs_generate_options options = options_for(N_CHUNKS);
    for (size_t i = 0; i < sizeof restored / sizeof *restored; i++) {
        struct vs_generator *generator = make(&options);
        size_t n = 0;
        if (restored[i])
            check_ok(vs_generator_restore(generator, paths[restored[i]], label, &n));
        for (; n < 5; n++)
            check_ok(vs_generator_remember(generator, latents[n]));
        decode_before(generator, 5);
        goes_on(generator, 5);
        vs_generator_free(generator);
    }
}
END_TEST

START_TEST(saving_a_restored_state_gives_the_same_file)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    struct vs_weights *a, *b;
    size_t n;
    check_ok(vs_generator_restore(generator, paths[4], label, &n));
    FILE *file = fopen(paths[0], "wbe");
    check_ok(vs_generator_save(generator, label, append, file));
    ck_assert_int_eq(fclose(file), 0);
    check_ok(vs_state_open(&a, paths[4]));
    check_ok(vs_state_open(&b, paths[0]));
    ck_assert_mem_eq(vs_weights_find(a, "sha256")->data, vs_weights_find(b, "sha256")->data, 64);
    vs_weights_free(a);
    vs_weights_free(b);
    vs_generator_free(generator);
}
END_TEST

START_TEST(frames_are_right_once_the_history_is_there)
{
    enum { N = 17, BEGIN = 2 };
    struct vs_generate_options options = options_for(N);
    struct vs_generator *whole = make(&options), *late = make(&options);
    struct vs_chunk chunk, again;
    float *noise[N];
    size_t n_given = 0;
    for (size_t i = 0; i < N; i++) {
        noise[i] = check_floats(N_LATENTS, 1);
        check_ok(vs_generator_decode(whole, i, noise[i], &chunk));
        ck_assert_uint_eq(chunk.n_frames, i ? 12 : 9);
        if (i < BEGIN)
            continue;
        check_ok(vs_generator_decode(late, i, noise[i], &again));
        ck_assert_uint_eq(again.n_frames, (i - BEGIN) * C < VS_DECODE_HISTORY ? 0 : 12);
        ck_assert_uint_eq(again.first_frame, chunk.first_frame);
        ck_assert_mem_eq(again.rgb, chunk.rgb, again.n_frames * HEIGHT * WIDTH * 3);
        n_given += again.n_frames > 0;
    }
    ck_assert_uint_eq(n_given, 2);
    for (size_t i = 0; i < N; i++)
        free(noise[i]);
    vs_generator_free(whole);
    vs_generator_free(late);
}
END_TEST

START_TEST(the_order_of_calls_is_held)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    struct vs_chunk chunk;
    size_t n;
    ck_assert_int_eq(vs_generator_save(generator, label, append, stderr), VS_ERROR_USAGE);
    ck_assert_int_eq(vs_generator_decode(generator, N_CHUNKS, latents[0], &chunk), VS_ERROR_USAGE);
    check_ok(vs_generator_restore(generator, paths[5], label, &n));
    ck_assert_int_eq(vs_generator_restore(generator, paths[5], label, &n), VS_ERROR_USAGE);
    ck_assert_int_eq(vs_generator_next(generator, &chunk), VS_ERROR_USAGE);
    vs_generator_free(generator);
}
END_TEST

/* What the VAE's encoder makes of all frames at once, and a generator takes. */
START_TEST(frames_are_encoded_a_latent_frame_at_a_time)
{
    enum { FRAME = HEIGHT * WIDTH * 3, LATENT = N_LATENTS / C, N = 4 * C - 3 };
    const struct vs_vae_stream_options whole = {VS_VAE_ENCODE, C, HEIGHT / 8, WIDTH / 8, 0};
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_encoder *encoder;
    struct vs_vae *vae;
    struct vs_vae_stream *stream;
    struct vs_span made;
    struct vs_chunk chunk;
    size_t n;
    float *got = check_nans(N_LATENTS), *want = check_nans(N_LATENTS);
    float *frames = check_nans(N * FRAME);
    check_ok(vs_encoder_create(&encoder, check_context, model, &options));
    check_ok(vs_encoder_next(encoder, got, rgb[0], 1));
    ck_assert_int_eq(vs_encoder_next(encoder, got, rgb[0], 1), VS_ERROR_USAGE);
    for (size_t i = 1; i < C; i++)
        check_ok(vs_encoder_next(encoder, got + i * LATENT, rgb[0] + (4 * i - 3) * FRAME, 4));
    vs_encoder_free(encoder);

    for (size_t i = 0; i < N * FRAME; i++)
        frames[i] = (float)rgb[0][i] / 127.5f - 1;
    struct check_buffer x = check_upload(frames, N * FRAME);
    check_ok(vs_vae_create(&vae, check_context, model->vae, VS_VAE_ENCODE));
    check_ok(vs_vae_stream_create(&stream, vae, &whole));
    check_ok(vs_vae_encode(stream, x.span, N, &made, &n));
    ck_assert_uint_eq(n, C);
    check_ok(
        vs_buffer_read(made.buffer, made.offset * sizeof *want, want, N_LATENTS * sizeof *want));
    ck_assert_mem_eq(got, want, N_LATENTS * sizeof *want);
    vs_vae_stream_free(stream);
    const struct vs_vae_stream_options decode = {VS_VAE_DECODE, C, HEIGHT / 8, WIDTH / 8, 0};
    ck_assert_int_eq(vs_vae_stream_create(&stream, vae, &decode), VS_ERROR_MODEL);
    vs_vae_free(vae);
    check_free(&x);

    struct vs_generator *generator = make(&options);
    check_ok(vs_generator_remember(generator, got));
    check_ok(vs_generator_decode(generator, 0, got, &chunk));
    check_ok(vs_generator_next(generator, &chunk));
    ck_assert_uint_eq(chunk.index, 1);
    vs_generator_free(generator);
    free(got), free(want), free(frames);
}
END_TEST

/* ---- What is refused ---------------------------------------------------------------------- */

static char *content(size_t *n_bytes, const char *path)
{
    FILE *file = fopen(path, "rbe");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *n_bytes = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*n_bytes + 1);
    ck_assert_uint_eq(fread(bytes, 1, *n_bytes, file), *n_bytes);
    fclose(file);
    return bytes;
}

static void store(const char *path, const char *bytes, size_t n_bytes)
{
    FILE *file = fopen(path, "wbe");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n_bytes, file), n_bytes);
    ck_assert_int_eq(fclose(file), 0);
}

static void is_refused(struct vs_generator *generator, const char *name, const char *why)
{
    size_t n = 1;
    ck_assert_msg(vs_generator_restore(generator, paths[0], name, &n) == VS_ERROR_MODEL &&
                      strstr(vs_error_message(), why) && n == 0,
                  "'%s' was expected: %s", why, vs_error_message());
}

START_TEST(damaged_files_are_refused)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    size_t n_bytes, n;
    char *bytes = content(&n_bytes, paths[4]);
    const size_t cuts[] = {1, 8, 9, 200, n_bytes / 2, n_bytes - 64, n_bytes - 1};
    const size_t flips[] = {0, 7, 8, 60, 300, n_bytes / 3, n_bytes / 2, n_bytes - 65, n_bytes - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        store(paths[0], bytes, cuts[i]);
        is_refused(generator, label, paths[0]);
    }
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        bytes[flips[i]] ^= 1;
        store(paths[0], bytes, n_bytes);
        is_refused(generator, label, paths[0]);
        bytes[flips[i]] ^= 1;
    }
    bytes[n_bytes] = '0';
    store(paths[0], bytes, n_bytes + 1);
    is_refused(generator, label, paths[0]);
    /* What was refused leaves no trace. */
    check_ok(vs_generator_restore(generator, paths[4], label, &n));
    decode_before(generator, n);
    goes_on(generator, n);
    free(bytes);
    vs_generator_free(generator);
}
END_TEST

START_TEST(foreign_files_are_refused_by_name)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    size_t n_bytes;
    char *bytes = content(&n_bytes, paths[3]);
    store(paths[0], bytes, n_bytes);
    is_refused(generator, "another run", "its label is 'a run', not 'another run'");
    vs_generator_free(generator);
    options.seed++;
    generator = make(&options);
    is_refused(generator, label, "its settings is");
    vs_generator_free(generator);
    options.seed--;
    options.window = 12;
    generator = make(&options);
    is_refused(generator, label, "window 9, ");
    vs_generator_free(generator);
    free(bytes);
}
END_TEST

/* A file with a right digest, the fields of the file behind 3 chunks but for one, and the tensor of
 * frame numbers. */
static void forge(const char *key, const char *value, size_t n_cached, int64_t step)
{
    static const char *const keys[] = {"kind",  "version", "model", "settings",
                                       "label", "chunks",  "folded"};
    struct vs_state_field fields[7];
    struct vs_weights *good;
    int64_t frames[16];
    check_ok(vs_state_open(&good, paths[3]));
    for (size_t i = 0; i < 7; i++) {
        fields[i] = (struct vs_state_field){keys[i], vs_weights_metadata(good, keys[i])};
        if (strcmp(keys[i], key) == 0)
            fields[i].value = value;
    }
    for (size_t i = 0; i < 16; i++)
        frames[i] = (int64_t)i * step;
    struct vs_state_tensor tensor = {.name = "frames",
                                     .dtype = VS_I64,
                                     .n_dims = 1,
                                     .shape = {n_cached},
                                     .host = frames,
                                     .n_pieces = n_cached,
                                     .piece_bytes = sizeof *frames};
    FILE *file = fopen(paths[0], "wbe");
    check_ok(vs_state_write(&tensor, 1, fields, 7, append, file));
    ck_assert_int_eq(fclose(file), 0);
    vs_weights_free(good);
}

START_TEST(forged_files_are_refused)
{
    static const struct {
        const char *key, *value;
        size_t n_cached;
        int64_t step;
        const char *why;
    } cases[] = {
        {"version", "0.0.1", 9, 1, "its version is '0.0.1'"},
        {"model", "0000", 9, 1, "its model is '0000'"},
        {"kind", "something else", 9, 1, "its kind is"},
        {"chunks", "0", 9, 1, "holds no chunk"},
        {"chunks", "7", 9, 1, "no count up to 6"},
        {"chunks", "-1", 9, 1, "no count up to 6"},
        {"chunks", "99999999999999999999999", 9, 1, "no count up to 6"},
        {"chunks", "", 9, 1, "no count up to 6"},
        {"folded", "10", 9, 1, "no count up to 9"},
        {"folded", "9", 0, 1, "number of frames"},
        {"folded", "1", 9, 1, "number of frames"},
        {"chunks", "4", 12, 1, "number of frames"}, /* more than slots */
        {"chunks", "3", 9, 0, "not in order"},
        {"chunks", "3", 9, -1, "not in order"},
        {"chunks", "3", 9, 2, "not in order"},      /* past the chunks made */
        {"chunks", "3", 9, 1, "'k.0'"},             /* no other tensor */
    };
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forge(cases[i].key, cases[i].value, cases[i].n_cached, cases[i].step);
        is_refused(generator, label, cases[i].why);
    }
    vs_generator_free(generator);
}
END_TEST

/* Where a file's tensors begin and end. */
START_TEST(cut_at_every_tensor)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    struct vs_weights *good;
    size_t n_bytes, n_cases = 0;
    char *bytes = content(&n_bytes, paths[4]);
    check_ok(vs_state_open(&good, paths[4]));
    for (size_t i = 0; i < vs_weights_count(good); i++) {
        const struct vs_tensor *tensor = vs_weights_at(good, i);
        const size_t cuts[] = {tensor->offset, tensor->offset + 1,
                               tensor->offset + tensor->n_bytes - 1};
        for (size_t k = 0; k < 3; k++, n_cases++) {
            store(paths[0], bytes, cuts[k]);
            is_refused(generator, label, paths[0]);
        }
    }
    ck_assert_uint_gt(n_cases, 30);
    free(bytes);
    vs_weights_free(good);
    vs_generator_free(generator);
}
END_TEST

enum forgery { MISSING, OTHER_FORMAT, SHORTER, FLAT, N_FORGERIES };

/* The file behind 3 chunks with a right digest and one tensor changed. */
static void forge_tensor(const struct vs_weights *good, size_t which, enum forgery forgery)
{
    static const char *const keys[] = {"kind",  "version", "model", "settings",
                                       "label", "chunks",  "folded"};
    struct vs_state_field fields[7];
    struct vs_state_tensor tensors[64];
    size_t n = 0;
    for (size_t i = 0; i < 7; i++)
        fields[i] = (struct vs_state_field){keys[i], vs_weights_metadata(good, keys[i])};
    for (size_t i = 0; i < vs_weights_count(good); i++) {
        const struct vs_tensor *tensor = vs_weights_at(good, i);
        if (strcmp(tensor->name, "sha256") == 0 || (i == which && forgery == MISSING))
            continue;
        struct vs_state_tensor *made = &tensors[n++];
        *made = (struct vs_state_tensor){.dtype = tensor->dtype,
                                         .n_dims = tensor->n_dims,
                                         .host = (void *)(uintptr_t)tensor->data,
                                         .n_pieces = 1,
                                         .piece_bytes = tensor->n_bytes};
        snprintf(made->name, sizeof made->name, "%s", tensor->name);
        memcpy(made->shape, tensor->shape, sizeof made->shape);
        if (i == which && forgery == OTHER_FORMAT)
            made->dtype = made->dtype == VS_I64 ? VS_F64 : VS_I32;
        if (i == which && forgery == SHORTER)
            made->piece_bytes -= made->piece_bytes / made->shape[0]--;
        if (i == which && forgery == FLAT)
            made->shape[made->n_dims++] = 1;
    }
    FILE *file = fopen(paths[0], "wbe");
    check_ok(vs_state_write(tensors, n, fields, 7, append, file));
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(forged_tensors_are_refused)
{
    struct vs_generate_options options = options_for(N_CHUNKS);
    struct vs_generator *generator = make(&options);
    struct vs_weights *good;
    size_t n;
    check_ok(vs_state_open(&good, paths[3]));
    for (size_t i = 0; i < vs_weights_count(good); i++)
        for (enum forgery forgery = 0; forgery < N_FORGERIES; forgery++) {
            const char *name = vs_weights_at(good, i)->name;
            if (strcmp(name, "sha256") == 0)
                continue;
            forge_tensor(good, i, forgery);
            is_refused(generator, label, strcmp(name, "frames") == 0 ? "frames" : name);
        }
    forge_tensor(good, SIZE_MAX, MISSING);
    check_ok(vs_generator_restore(generator, paths[0], label, &n));
    ck_assert_uint_eq(n, 3);
    vs_weights_free(good);
    vs_generator_free(generator);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, a_restored_state_goes_on_with_the_same_bits);
    tcase_add_test(tests, remembered_latents_go_on_with_the_same_bits);
    tcase_add_test(tests, saving_a_restored_state_gives_the_same_file);
    tcase_add_test(tests, frames_are_right_once_the_history_is_there);
    tcase_add_test(tests, the_order_of_calls_is_held);
    tcase_add_test(tests, frames_are_encoded_a_latent_frame_at_a_time);
    tcase_add_test(tests, damaged_files_are_refused);
    tcase_add_test(tests, foreign_files_are_refused_by_name);
    tcase_add_test(tests, forged_files_are_refused);
    tcase_add_test(tests, cut_at_every_tensor);
    tcase_add_test(tests, forged_tensors_are_refused);
}

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tests = tcase_create("state");
    tcase_add_checked_fixture(tests, run_undisturbed, clean_up);
    add_tests(tests);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
