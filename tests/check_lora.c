/* SPDX-License-Identifier: Apache-2.0
 *
 * check_lora.c - LoRA: every naming, the arithmetic against the contract and float64, the same bits
 * in memory and in files, and files that must be refused. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/common/reduce.h"
#include "kernels/convert/narrow.h"
#include "models/conversion.h"
#include "models/weights_internal.h"
#include "tests/check_common.h"
#include "tests/lora_builder.h"

/* ---- Helpers ------------------------------------------------------------------------------ */

static const char *form(const char *file)
{
    static char path[512];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/golden/files/dit_forms/%s", srcdir ? srcdir : ".", file);
    return path;
}

static struct vs_weights *open_form(const char *file)
{
    struct vs_weights *weights;
    check_ok(vs_weights_open(&weights, form(file)));
    return weights;
}

/* Writes bytes to a file that remove_files() deletes. */
static char made[8][64];
static size_t n_made;

static const char *saved(struct bytes *bytes)
{
    snprintf(made[n_made], sizeof made[0], "lora-%ld-%zu.tmp", (long)getpid(), n_made);
    bytes_write_file(bytes, made[n_made]);
    bytes_free(bytes);
    return made[n_made++];
}

static void remove_files(void)
{
    while (n_made)
        unlink(made[--n_made]);
}

static struct vs_lora_set *open_set(const struct vs_lora *loras, size_t n,
                                    const struct vs_weights *base)
{
    struct vs_lora_set *set;
    check_ok(vs_lora_set_create(&set, loras, n, &base, 1));
    return set;
}

static float *widened(const struct vs_tensor *tensor)
{
    float *values = malloc((tensor->n_elements + 1) * sizeof *values);
    ck_assert(values);
    vs_dtype_read(values, tensor->data, tensor->dtype, tensor->n_elements);
    return values;
}

static enum vs_status collect(void *user, const void *data, size_t n_bytes)
{
    bytes_put(user, data, n_bytes);
    return VS_OK;
}

static struct vs_weights *converted(struct bytes *bytes, const struct vs_weights *base,
                                    struct vs_lora_set *set, enum vs_container container)
{
    struct vs_conversion_options options = {
        .container = container, .keep_dtype = true, .loras = set};
    const struct vs_output output = {collect, bytes};
    struct vs_conversion *conversion;
    struct vs_weights *result;
    check_ok(vs_conversion_create(&conversion, &base, 1, &options));
    check_ok(vs_conversion_write(conversion, 0, &output));
    vs_conversion_free(conversion);
    check_ok(vs_weights_open_memory(&result, "merged", bytes->data, bytes->n));
    return result;
}

/* ---- Arithmetic --------------------------------------------------------------------------- */

START_TEST(tiles_are_dots)
{
    static const size_t ranks[] = {1, 2, 31, 255, 256, 257, 600};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        size_t rank = ranks[i];
        float *up = check_floats(rank, 1), *down = check_floats(rank * VS_LORA_TILE, 1);
        float plain[VS_LORA_TILE], fast[VS_LORA_TILE], dot[VS_LORA_TILE];
        vs_lora_tile_plain(plain, up, down, rank);
        vs_lora_tile(fast, up, down, rank);
        for (size_t c = 0; c < VS_LORA_TILE; c++)
            dot[c] = vs_dot(up, 1, down + c, VS_LORA_TILE, rank);
        ck_assert_mem_eq(plain, dot, sizeof dot);
        ck_assert_mem_eq(fast, dot, sizeof dot);
        free(up);
        free(down);
    }
}
END_TEST

/* What a matrix must become: the contract's order, plainly. */
static void want_merged(float *w, const struct vs_weights *lora, size_t naming, const char *module,
                        double scale, double alpha)
{
    char name[256];
    lora_name(name, naming, module, 0);
    const struct vs_tensor *down = NULL, *up = NULL;
    for (size_t i = 0; i < vs_weights_count(lora); i++) {
        const struct vs_tensor *tensor = vs_weights_at(lora, i);
        lora_name(name, naming, module, 0);
        down = strcmp(tensor->raw_name, name) == 0 ? tensor : down;
        lora_name(name, naming, module, 1);
        up = strcmp(tensor->raw_name, name) == 0 ? tensor : up;
    }
    ck_assert(down && up);
    size_t rank = down->shape[0], rows = up->shape[0], columns = down->shape[1];
    float *a = widened(down), *b = widened(up), factor = (float)(scale * alpha / (double)rank);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) {
            float dot = vs_dot(b + r * rank, 1, a + c, columns, rank), scaled = dot * factor;
            double exact = 0;
            for (size_t k = 0; k < rank; k++)
                exact += (double)b[r * rank + k] * (double)a[k * columns + c];
            exact = (double)w[r * columns + c] + exact * scale * alpha / (double)rank;
            w[r * columns + c] = w[r * columns + c] + scaled;
            ck_assert(fabs((double)w[r * columns + c] - exact) <= 1e-6);
        }
    free(a);
    free(b);
}

/* Every naming changes the same tensors to the same bits. */
START_TEST(namings_mean_the_same)
{
    static const char *const modules[] = {"blocks.0.self_attn.q", "blocks.1.cross_attn.o",
                                          "blocks.0.ffn.0", "blocks.1.ffn.2"};
    bool has_alpha = _i >= 2;
    struct bytes bytes = {0}, out = {0};
    struct vs_weights *base = open_form("dit_f32.safetensors"), *lora;
    lora_build(&bytes, base, (size_t)_i, 12, 6, 5);
    struct vs_lora wish = {saved(&bytes), 0.75};
    check_ok(vs_weights_open(&lora, wish.path));
    struct vs_lora_set *set = open_set(&wish, 1, base);
    ck_assert_uint_eq(vs_lora_count(set), 2 * 10);
    struct vs_weights *merged = converted(&out, base, set, VS_SAFETENSORS);
    size_t n_changed = 0;
    for (size_t i = 0; i < vs_weights_count(base); i++) {
        const struct vs_tensor *before = vs_weights_at(base, i);
        const struct vs_tensor *after = vs_weights_find(merged, before->name);
        ck_assert(after && after->n_bytes == before->n_bytes);
        n_changed += memcmp(after->data, before->data, before->n_bytes) != 0;
    }
    ck_assert_uint_eq(n_changed, 2 * 10);
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.weight", modules[i]);
        const struct vs_tensor *after = vs_weights_find(merged, name);
        float *want = widened(vs_weights_find(base, name));
        want_merged(want, lora, (size_t)_i, modules[i], 0.75, has_alpha ? 6 : 12);
        ck_assert_msg(memcmp(after->data, want, after->n_bytes) == 0, "%s: other bits", name);
        free(want);
    }
    vs_weights_free(merged);
    vs_lora_set_free(set);
    vs_weights_free(lora);
    vs_weights_free(base);
    bytes_free(&out);
    remove_files();
}
END_TEST

/* What is merged in memory is what a conversion writes, whatever the format of the base. */
START_TEST(memory_equals_files)
{
    static const struct {
        const char *file;
        enum vs_container container;
        enum vs_dtype dtype; /* of what was changed */
    } bases[] = {{"dit_f32.safetensors", VS_TORCH, VS_F32},
                 {"dit_bf16.safetensors", VS_SAFETENSORS, VS_BF16},
                 {"dit_f16.gguf", VS_GGUF, VS_F16},
                 {"dit_q8_0.gguf", VS_GGUF, VS_F16},
                 {"dit_q4_k.gguf", VS_GGUF, VS_F16}};
    struct bytes first = {0}, second = {0}, out = {0};
    struct vs_weights *base = open_form(bases[_i].file);
    lora_build(&first, base, 1, 300, 0, 7);
    lora_build(&second, base, 4, 3, 8, 8);
    const char *path = saved(&first);
    const struct vs_lora loras[] = {{path, 1}, {saved(&second), -0.3}};
    struct vs_lora_set *set = open_set(loras, 2, base);
    struct vs_weights *file = converted(&out, base, set, bases[_i].container);
    check_ok(vs_weights_merge(base, set, false));
    vs_lora_set_free(set);
    size_t n_merged = 0;
    for (size_t i = 0; i < vs_weights_count(base); i++) {
        const struct vs_tensor *a = vs_weights_at(base, i), *b = vs_weights_find(file, a->name);
        ck_assert_msg(b && a->dtype == b->dtype && a->n_bytes == b->n_bytes, "%s", a->name);
        ck_assert_msg(memcmp(a->data, b->data, a->n_bytes) == 0, "%s: other bits", a->name);
        if (strstr(a->name, "cross_attn.v.weight")) {
            ck_assert_int_eq((int)a->dtype, (int)bases[_i].dtype);
            n_merged++;
        }
    }
    ck_assert_uint_eq(n_merged, 2);
    vs_weights_free(file);
    vs_weights_free(base);
    bytes_free(&out);
    remove_files();
}
END_TEST

/* Full differences, of weights and of biases, beside low ranks. */
START_TEST(differences_in_full)
{
    struct safetensors_build_state state = {{0}, {0}};
    struct bytes bytes = {0};
    struct vs_weights *base = open_form("dit_f32.safetensors");
    float *diff = check_floats(64 * 64, 0.1f), *bias = check_floats(64, 0.1f);
    safetensors_add_floats(&state, "diffusion_model.blocks.0.self_attn.k.diff", 64, 64, diff);
    safetensors_add(&state, "diffusion_model.blocks.0.self_attn.k.diff_b", "F32", 1,
                    (size_t[]){64}, bias, 64 * sizeof *bias);
    safetensors_finish(&bytes, &state);
    struct vs_lora wish = {saved(&bytes), 0.5};
    float *w = widened(vs_weights_find(base, "blocks.0.self_attn.k.weight"));
    float *b = widened(vs_weights_find(base, "blocks.0.self_attn.k.bias"));
    struct vs_lora_set *set = open_set(&wish, 1, base);
    ck_assert_uint_eq(vs_lora_count(set), 2);
    check_ok(vs_weights_merge(base, set, false));
    for (size_t i = 0; i < 64 * 64; i++)
        w[i] = w[i] + diff[i] * 0.5f;
    for (size_t i = 0; i < 64; i++)
        b[i] = b[i] + bias[i] * 0.5f;
    ck_assert_mem_eq(vs_weights_find(base, "blocks.0.self_attn.k.weight")->data, w,
                     64 * 64 * sizeof *w);
    ck_assert_mem_eq(vs_weights_find(base, "blocks.0.self_attn.k.bias")->data, b, 64 * sizeof *b);
    vs_lora_set_free(set);
    vs_weights_free(base);
    free(diff);
    free(bias);
    free(w);
    free(b);
    remove_files();
}
END_TEST

/* ---- Files that must be refused ----------------------------------------------------------- */

#define Q "blocks.0.self_attn.q"
struct bad_tensor {
    const char *name, *dtype;
    size_t n_dims, shape[4];
    uint32_t fill; /* bits of every value */
};

static const struct bad_lora {
    struct bad_tensor tensors[4];
    const char *message;
} bad_loras[] = {
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0}}, "has no counterpart: lora_B"},
    {{{Q ".lora_B.weight", "F32", 2, {64, 4}, 0}}, "has no counterpart: lora_A"},
    {{{Q ".alpha", "F32", 0, {0}, 0x3f800000}}, "has no counterpart"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 63}, 0}, {Q ".lora_B.weight", "F32", 2, {64, 4}, 0}},
     "does not fit 'blocks.0.self_attn.q.weight' [64, 64]"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0}, {Q ".lora_B.weight", "F32", 2, {65, 4}, 0}},
     "does not fit"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0}, {Q ".lora_B.weight", "F32", 2, {64, 5}, 0}},
     "does not fit"},
    {{{Q ".lora_A.weight", "F32", 2, {0, 64}, 0}, {Q ".lora_B.weight", "F32", 2, {64, 0}, 0}},
     "does not fit"},
    {{{Q ".lora_A.weight", "F32", 1, {256}, 0}, {Q ".lora_B.weight", "F32", 1, {256}, 0}},
     "does not fit"},
    {{{Q ".lora_A.weight", "F32", 0, {0}, 0}, {Q ".lora_B.weight", "F32", 0, {0}, 0}},
     "does not fit"},
    {{{Q ".lora_A.weight", "I32", 2, {4, 64}, 0}, {Q ".lora_B.weight", "F32", 2, {64, 4}, 0}},
     "floating point is needed"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0},
      {Q ".lora_B.weight", "F32", 2, {64, 4}, 0},
      {Q ".alpha", "F32", 0, {0}, 0x7fc00000}},
     "no single finite number"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0},
      {Q ".lora_B.weight", "F32", 2, {64, 4}, 0},
      {Q ".alpha", "F32", 1, {2}, 0}},
     "no single finite number"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0},
      {Q ".lora_B.weight", "F32", 2, {64, 4}, 0},
      {"base_model.model." Q ".lora_A.weight", "F32", 2, {4, 64}, 0}},
     "mean the same"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0},
      {Q ".lora_B.weight", "F32", 2, {64, 4}, 0},
      {"lora_unet_blocks_0_attn1_to_q.lora_down.weight", "F32", 2, {4, 64}, 0},
      {"lora_unet_blocks_0_attn1_to_q.lora_up.weight", "F32", 2, {64, 4}, 0}},
     "twice"},
    {{{"blocks.9.self_attn.q.lora_A.weight", "F32", 2, {4, 64}, 0},
      {"blocks.9.self_attn.q.lora_B.weight", "F32", 2, {64, 4}, 0}},
     "changes nothing in this network"},
    {{{Q ".dora_scale", "F32", 2, {64, 1}, 0}}, "DoRA"},
    {{{Q ".hada_w1_a", "F32", 2, {64, 4}, 0}}, "no part of a LoRA"},
    {{{"lora_te_text_model_q.lora_down.weight", "F32", 2, {4, 64}, 0}}, "changes nothing"},
    {{{Q ".diff", "F32", 2, {64, 63}, 0}}, "does not fit"},
    {{{Q ".diff", "F32", 2, {32, 128}, 0}}, "does not fit"},
    {{{Q ".norm.diff_b", "F32", 1, {64}, 0}}, "changes nothing"},
    {{{"blocks.0.self_attn.norm_q.diff_b", "F32", 1, {64}, 0}}, "changes nothing"},
    {{{"blocks.0.norm3.lora_A.weight", "F32", 2, {1, 64}, 0},
      {"blocks.0.norm3.lora_B.weight", "F32", 2, {64, 1}, 0}},
     "does not fit"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0x7f800000},
      {Q ".lora_B.weight", "F32", 2, {64, 4}, 0}},
     "infinities or NaN"},
    {{{Q ".lora_A.weight", "F32", 2, {4, 64}, 0},
      {Q ".lora_B.weight", "F32", 2, {64, 4}, 0xffc00000}},
     "infinities or NaN"},
    {{{Q ".diff", "F32", 2, {64, 64}, 0x7fc00000}}, "infinities or NaN"},
};
enum { N_BAD = sizeof bad_loras / sizeof *bad_loras };

START_TEST(bad_files_are_refused)
{
    static uint32_t values[64 * 128];
    const struct bad_lora *bad = &bad_loras[_i];
    struct safetensors_build_state state = {{0}, {0}};
    struct bytes bytes = {0};
    struct vs_lora_set *set = NULL;
    struct vs_weights *base = open_form("dit_f32.safetensors");
    const struct vs_weights *const bases[] = {base};
    for (size_t i = 0; i < 4 && bad->tensors[i].name; i++) {
        const struct bad_tensor *tensor = &bad->tensors[i];
        size_t n = 1;
        for (size_t d = 0; d < tensor->n_dims; d++)
            n *= tensor->shape[d];
        for (size_t j = 0; j < n; j++)
            values[j] = tensor->fill;
        safetensors_add(&state, tensor->name, tensor->dtype, tensor->n_dims, tensor->shape, values,
                        4 * n);
    }
    safetensors_finish(&bytes, &state);
    struct vs_lora wish = {saved(&bytes), 1};
    enum vs_status status = vs_lora_set_create(&set, &wish, 1, bases, 1);
    if (status == VS_OK) /* damaged values show when they are used */
        status = vs_weights_merge(base, set, false);
    ck_assert_int_eq(status, VS_ERROR_MODEL);
    ck_assert_msg(strstr(vs_error_message(), bad->message) != NULL, "%s", vs_error_message());
    ck_assert_msg(strstr(vs_error_message(), wish.path) != NULL, "%s", vs_error_message());
    vs_lora_set_free(set);
    vs_weights_free(base);
    remove_files();
}
END_TEST

/* ---- The suite ---------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("lora");
    TCase *tests = tcase_create("lora");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, tiles_are_dots);
    tcase_add_loop_test(tests, namings_mean_the_same, 0, N_LORA_NAMINGS);
    tcase_add_loop_test(tests, memory_equals_files, 0, 5);
    tcase_add_test(tests, differences_in_full);
    tcase_add_loop_test(tests, bad_files_are_refused, 0, N_BAD);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
