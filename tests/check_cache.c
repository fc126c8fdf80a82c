/* SPDX-License-Identifier: Apache-2.0
 *
 * check_cache.c - the cache in groups of heads: rollouts, and files of a state, are the same in
 * every bit. */
#include "tests/check_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/dit.h"
#include "models/model.h"
#include "models/scheduler.h"
#include "models/state_file.h"

/* The repository's small model, 4 heads of 24, at 48x32: no buffer of a rollout but a layer's keys
 * and values pass LARGEST bytes. A text is set before the first chunk, another one at RECACHE. */
enum { HEIGHT = 4, WIDTH = 6, LARGEST = 18432, N_CHUNKS = 8, RECACHE = 5, N_ROWS = 7 };

static const struct {
    size_t window, n_heads; /* n_heads 0: the model's, with its memory */
    bool rope_relative, memory_roped;
} cases[] = {
    {9, 0, false, false},
    {12, 0, true, false},
    {12, 0, true, true},
    {12, 3, true, false}, /* groups of two heads and one */
};
enum { N_CASES = sizeof cases / sizeof *cases };

static struct vs_model *open_model(void)
{
    struct vs_model *model;
    char path[4096];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/golden/whole/model", srcdir ? srcdir : ".");
    check_ok(vs_model_open(&model, &(struct vs_model_files){.folder = path}));
    return model;
}

static struct vs_rollout *make_rollout(struct vs_dit **dit, struct vs_context *context,
                                       const struct vs_model *model, int i, size_t largest)
{
    struct vs_rollout *rollout;
    struct vs_config config = model->config;
    const struct vs_rollout_shape shape = {.height = HEIGHT,
                                           .width = WIDTH,
                                           .memory =
                                               cases[i].n_heads ? VS_MEMORY_SINK : VS_MEMORY_HYBRID,
                                           .window = cases[i].window,
                                           .sink = config.sink,
                                           .n_frames = N_CHUNKS * config.frames_per_chunk,
                                           .horizon = N_CHUNKS * config.frames_per_chunk};
    config.rope_relative = cases[i].rope_relative;
    config.memory_roped = cases[i].memory_roped;
    if (cases[i].n_heads) {
        config.n_heads = cases[i].n_heads;
        config.alpha_width = config.beta_width = 0;
    }
    check_ok(vs_dit_create(dit, context, model->dit, &config, false));
    vs_context_limit_memory(context, 0, largest);
    check_ok(vs_rollout_create(&rollout, *dit, &shape));
    return rollout;
}

static void set_text(struct vs_rollout *rollout)
{
    float *text = check_floats(N_ROWS * rollout->dit->config.text_dim, 1);
    check_ok(vs_rollout_set_text(rollout, text, N_ROWS));
    free(text);
}

/* The clean latents of all chunks, one behind the other; freed by the caller. */
static float *roll(struct vs_rollout *rollout, size_t *n)
{
    const struct vs_config *config = &rollout->dit->config;
    size_t c = config->frames_per_chunk, n_chunk = c * rollout->latent_size;
    float sigma[VS_MAX_STEPS], timestep[VS_MAX_STEPS];
    float *latents = malloc(N_CHUNKS * n_chunk * sizeof *latents);
    ck_assert_ptr_nonnull(latents);
    check_ok(vs_schedule(sigma, timestep, config->steps, config->n_steps, config->timestep_shift));
    check_seed(1);
    for (size_t chunk = 0; chunk < N_CHUNKS; chunk++) {
        int64_t frames[8];
        for (size_t i = 0; i < c; i++)
            frames[i] = (int64_t)(chunk * c + i);
        float *noise = check_floats(config->n_steps * n_chunk, 1);
        if (chunk == 0 || chunk == RECACHE)
            set_text(rollout);
        if (chunk == RECACHE + 1) {
            check_ok(vs_rollout_rest(rollout));
            check_ok(vs_rollout_wake(rollout));
        }
        check_ok(vs_rollout_begin(rollout, frames, c));
        check_ok(
            vs_buffer_write(rollout->noise, 0, noise, config->n_steps * n_chunk * sizeof *noise));
        check_ok(vs_rollout_denoise(rollout, sigma, timestep, NULL));
        check_ok(vs_rollout_check_finite(rollout, chunk));
        check_ok(
            vs_buffer_read(rollout->x0, 0, latents + chunk * n_chunk, n_chunk * sizeof *latents));
        free(noise);
    }
    *n = N_CHUNKS * n_chunk;
    return latents;
}

START_TEST(groups_change_no_bit)
{
    struct vs_model *model = open_model();
    float *latents[2];
    size_t n;
    for (int split = 0; split < 2; split++) {
        struct vs_context *context;
        struct vs_dit *dit;
        check_ok(vs_context_create(&context, getenv("VS_TEST_DEVICE")));
        struct vs_rollout *rollout = make_rollout(&dit, context, model, _i, split ? LARGEST : 0);
        ck_assert_uint_eq(rollout->cache->n_groups, split ? 2 : 1);
        latents[split] = roll(rollout, &n);
        ck_assert_uint_gt(rollout->cache->n_folded, 0);
        vs_rollout_free(rollout);
        vs_dit_free(dit);
        vs_context_free(context);
    }
    ck_assert_mem_eq(latents[1], latents[0], n * sizeof **latents);
    free(latents[0]), free(latents[1]);
    vs_model_free(model);
}
END_TEST

/* ---- Files -------------------------------------------------------------------------------- */

static enum vs_status append(const void *data, size_t n_bytes, void *user)
{
    return fwrite(data, 1, n_bytes, user) == n_bytes ? VS_OK : VS_ERROR_RUNTIME;
}

/* Places for 5 pieces of 1000 rows of 1500 floats, more than is brought at once; 3 are used. */
enum { N_PLACES = 5, N_PIECES = 3, PIECE_ROWS = 1000, ROW = 1500, N_WAYS = 3, MOST = 3 };
static const size_t widths[N_WAYS][MOST] = {{ROW}, {700, 700, 100}, {1, ROW - 1}};

static struct vs_state_tensor tensor_of(struct vs_buffer **buffers, int way, const int32_t *order)
{
    struct vs_state_tensor tensor = {.name = "rows",
                                     .dtype = VS_F32,
                                     .n_dims = 3,
                                     .shape = {N_PIECES, PIECE_ROWS, ROW},
                                     .buffers = buffers,
                                     .order = order,
                                     .n_pieces = N_PIECES,
                                     .n_rows = PIECE_ROWS,
                                     .piece_bytes = PIECE_ROWS * ROW * sizeof(float)};
    for (; tensor.n_buffers < MOST && widths[way][tensor.n_buffers]; tensor.n_buffers++)
        check_ok(vs_floats_create(&buffers[tensor.n_buffers], check_context, NULL,
                                  N_PLACES * PIECE_ROWS * widths[way][tensor.n_buffers]));
    return tensor;
}

static void free_tensor(struct vs_state_tensor *tensor)
{
    for (size_t i = 0; i < tensor->n_buffers; i++)
        vs_buffer_free(tensor->buffers[i]);
}

START_TEST(files_do_not_know_of_groups)
{
    static const int32_t here[] = {4, 0, 2}, there[] = {1, 3, 0};
    struct vs_buffer *buffers[MOST], *others[MOST];
    size_t n = (size_t)N_PIECES * PIECE_ROWS * ROW;
    float *rows = check_floats(n, 1);
    char path[] = "/tmp/check_cache.XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    struct vs_state_tensor host = {.name = "rows",
                                   .dtype = VS_F32,
                                   .n_dims = 3,
                                   .shape = {N_PIECES, PIECE_ROWS, ROW},
                                   .host = rows,
                                   .n_pieces = 1,
                                   .piece_bytes = n * sizeof *rows};
    for (int way = 0; way < N_WAYS; way++) { /* host, one way, another way, host */
        struct vs_state_tensor a = tensor_of(buffers, way, here);
        struct vs_state_tensor b = tensor_of(others, (way + 1) % N_WAYS, there);
        const struct vs_state_tensor *ways[] = {&host, &a, &b, &host};
        float *want = malloc(n * sizeof *want);
        ck_assert_ptr_nonnull(want);
        memcpy(want, rows, n * sizeof *want);
        for (int i = 0; i < 3; i++) {
            struct vs_weights *weights;
            FILE *file = fopen(path, "wbe");
            ck_assert_ptr_nonnull(file);
            check_ok(vs_state_write(ways[i], 1, NULL, 0, append, file));
            ck_assert_int_eq(fclose(file), 0);
            check_ok(vs_state_open(&weights, path));
            ck_assert_mem_eq(vs_weights_find(weights, "rows")->data, want, n * sizeof *want);
            memset(rows, 0, n * sizeof *rows);
            check_ok(vs_state_load(ways[i + 1], weights));
            vs_weights_free(weights);
        }
        ck_assert_mem_eq(rows, want, n * sizeof *want);
        free(want);
        free_tensor(&a), free_tensor(&b);
    }
    unlink(path);
    free(rows);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, groups_change_no_bit, 0, N_CASES);
    tcase_add_test(tests, files_do_not_know_of_groups);
}

int main(void)
{
    return check_main("cache", add_tests);
}
