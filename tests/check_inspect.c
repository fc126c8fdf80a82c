/* SPDX-License-Identifier: Apache-2.0
 *
 * check_inspect.c - what files are recognised as, and how `inspect` tells it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "host/command.h"
#include "host/inspect.h"
#include "tests/file_builder.h"

static const char *source_path(const char *file)
{
    static char path[512];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/%s", srcdir ? srcdir : ".", file);
    return path;
}

static struct host_finding open_ok(const char *file)
{
    struct host_finding finding;
    enum vs_status status = host_finding_open(&finding, source_path(file));
    ck_assert_msg(status == VS_OK, "%s", vs_error_message());
    return finding;
}

/* What host_finding_print() writes; freed by the caller. */
static char *printed(const struct host_finding *finding)
{
    char *text = NULL;
    size_t n;
    FILE *file = open_memstream(&text, &n);
    ck_assert(file);
    host_finding_print(file, finding);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

START_TEST(networks_are_recognised)
{
    struct host_finding f = open_ok("models/demo/diffusion_pytorch_model.safetensors");
    ck_assert_int_eq((int)f.kind, HOST_FINDING_WEIGHTS);
    ck_assert_int_eq((int)f.network.part, VS_PART_DIT);
    ck_assert_uint_eq(f.network.dim, 192);
    ck_assert_uint_eq(f.network.n_heads, 6);
    ck_assert_uint_eq(f.network.n_layers, 4);
    ck_assert_uint_eq(f.network.ffn_dim, 768);
    ck_assert_uint_eq(f.network.text_dim, 64);
    ck_assert_uint_eq(f.network.freq_dim, 256);
    ck_assert_uint_eq(f.network.n_channels, 16);
    ck_assert_int_eq((int)f.network.alpha_gates, VS_GATES_HEAD);
    ck_assert_int_eq((int)f.network.beta_gates, VS_GATES_HEAD);
    host_finding_free(&f);
    f = open_ok("tests/golden/files/dit_forms/dit_ema.pt");
    ck_assert_int_eq((int)f.network.part, VS_PART_DIT);
    ck_assert_int_eq((int)f.network.alpha_gates, VS_GATES_CHANNEL);
    ck_assert_uint_eq(f.network.n_heads, 2);
    host_finding_free(&f);
    f = open_ok("models/demo/models_t5_umt5-xxl-enc-bf16.pth");
    ck_assert_int_eq((int)f.network.part, VS_PART_TEXT_ENCODER);
    ck_assert_uint_eq(f.network.vocabulary, 503);
    ck_assert_uint_eq(f.network.dim, 64);
    ck_assert_uint_eq(f.network.n_heads, 4);
    ck_assert_uint_eq(f.network.n_layers, 2);
    ck_assert_uint_eq(f.network.ffn_dim, 128);
    host_finding_free(&f);
    f = open_ok("models/demo/Wan2.1_VAE.pth");
    ck_assert_int_eq((int)f.network.part, VS_PART_VAE);
    ck_assert_uint_eq(f.network.dim, 12);
    ck_assert_uint_eq(f.network.n_channels, 16);
    host_finding_free(&f);
    f = open_ok("tests/golden/files/pth_odd/odd.pt");
    ck_assert_int_eq((int)f.network.part, VS_PART_UNKNOWN);
    host_finding_free(&f);
}
END_TEST

/* A transformer without memory, a LoRA, another library's names, made from names alone. */
START_TEST(names_are_enough)
{
    static const struct {
        const char *names[3];
        enum vs_part part;
        bool hint;
        size_t n_layers;
    } files[] = {
        {{"patch_embedding.weight", "model.blocks.0.self_attn.q.weight",
          "blocks.11.self_attn.q.weight"},
         VS_PART_DIT,
         false,
         12},
        {{"diffusion_model.blocks.2.self_attn.q.lora_A.weight", "x", "y"}, VS_PART_LORA, true, 3},
        {{"base.blocks.2.lora_down.weight", "x", "y"}, VS_PART_LORA, true, 0},
        {{"patch_embedding.weight", "blocks.0.attn1.to_q.weight", "blocks.7.attn2.to_k.bias"},
         VS_PART_DIT,
         false,
         8},
        {{"shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight",
          "encoder.block.2.layer.1.layer_norm.weight"},
         VS_PART_TEXT_ENCODER,
         false,
         3},
        {{"w", "x", "y"}, VS_PART_UNKNOWN, false, 0},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct bytes b = {0};
        struct vs_weights *weights;
        struct vs_recognized network;
        gguf_header(&b, 3, 3, 0);
        for (uint64_t k = 0; k < 3; k++)
            gguf_tensor(&b, files[i].names[k], 2, (uint64_t[]){2, 4}, 0, 32 * k);
        bytes_align(&b, 32);
        bytes_zeros(&b, 96);
        bytes_write_file(&b, "check_inspect.tmp");
        ck_assert_int_eq(vs_weights_open(&weights, "check_inspect.tmp"), VS_OK);
        vs_recognize(&network, weights);
        ck_assert_int_eq((int)network.part, (int)files[i].part);
        ck_assert_int_eq(network.hint != NULL, files[i].hint);
        ck_assert_uint_eq(network.n_layers, files[i].n_layers);
        if (network.part == VS_PART_LORA)
            ck_assert_uint_eq(network.rank, 4);
        vs_weights_free(weights);
        bytes_free(&b);
    }
    remove("check_inspect.tmp");
}
END_TEST

START_TEST(other_files_are_recognised)
{
    struct host_finding f = open_ok("models/demo/google/umt5-xxl/spiece.model");
    ck_assert_int_eq((int)f.kind, HOST_FINDING_TOKENIZER);
    ck_assert_uint_eq(f.n_pieces, 503);
    host_finding_free(&f);
    f = open_ok("models/demo/config.json");
    ck_assert_int_eq((int)f.kind, HOST_FINDING_CONFIG);
    ck_assert_uint_eq(f.config.dim, 192);
    host_finding_free(&f);
    f = open_ok("tests/golden/files/dit_forms/sharded/"
                "diffusion_pytorch_model.safetensors.index.json");
    ck_assert_int_eq((int)f.kind, HOST_FINDING_WEIGHTS);
    ck_assert_uint_eq(f.n_files, 3);
    ck_assert_uint_gt(f.n_bytes, 440000);
    host_finding_free(&f);
    ck_assert_int_eq(host_finding_open(&f, source_path("tests/golden/README.md")), VS_ERROR_MODEL);
    ck_assert_int_eq((int)f.kind, HOST_FINDING_FAULT);
    ck_assert(strstr(f.message, "README.md"));
    host_finding_free(&f);
}
END_TEST

/* Every tensor has its line; and as JSON its object, equal to what the reader says. */
START_TEST(everything_is_told)
{
    struct host_finding f = open_ok("tests/golden/files/dit_forms/dit_q4_k.gguf");
    char *text = printed(&f), *line = text;
    json_t *json = host_finding_json(&f, true), *list = json_object_get(json, "tensors");
    ck_assert_uint_eq(json_array_size(list), vs_weights_count(f.weights));
    for (size_t i = 0; i < vs_weights_count(f.weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(f.weights, i);
        char start[160];
        snprintf(start, sizeof start, "\n  %s ", tensor->name);
        line = strstr(line, start);
        ck_assert_msg(line, "no line for '%s'", tensor->name);
        json_t *object = json_array_get(list, i);
        ck_assert_str_eq(json_string_value(json_object_get(object, "name")), tensor->name);
        ck_assert_str_eq(json_string_value(json_object_get(object, "dtype")),
                         vs_dtype_info(tensor->dtype)->name);
        ck_assert_uint_eq((size_t)json_integer_value(json_object_get(object, "bytes")),
                          tensor->n_bytes);
        ck_assert_uint_eq(json_array_size(json_object_get(object, "shape")), tensor->n_dims);
    }
    ck_assert(strstr(text, "Wan transformer with hybrid memory"));
    ck_assert(strstr(text, "general.name = tiny"));
    ck_assert(strstr(text, "blocks.*.self_attn.memory"));
    json_decref(json);
    free(text);
    host_finding_free(&f);
}
END_TEST

/* Metadata that would clear the screen. */
START_TEST(metadata_does_not_steer_the_terminal)
{
    struct bytes b = {0};
    struct host_finding f;
    gguf_header(&b, 3, 1, 1);
    gguf_string(&b, "key\033[2J");
    bytes_number(&b, 8, 4);
    gguf_string(&b, "\033]0;pwned\007\n\xff");
    gguf_tensor(&b, "a", 1, (uint64_t[]){1}, 0, 0);
    bytes_align(&b, 32);
    bytes_zeros(&b, 4);
    bytes_write_file(&b, "check_inspect.tmp");
    ck_assert_int_eq(host_finding_open(&f, "check_inspect.tmp"), VS_OK);
    char *text = printed(&f);
    for (const char *c = text; *c; c++)
        ck_assert(*c == '\n' || (unsigned char)*c >= 0x20);
    json_t *json = host_finding_json(&f, true);
    char *dump = json ? json_dumps(json, 0) : NULL;
    ck_assert(dump);
    free(dump);
    json_decref(json);
    free(text);
    host_finding_free(&f);
    bytes_free(&b);
    remove("check_inspect.tmp");
}
END_TEST

START_TEST(sizes_are_readable)
{
    static const struct {
        uint64_t n;
        const char *text;
    } sizes[] = {{0, "0 B"},           {999, "999 B"},          {1000, "1.0 KiB"},
                 {1536, "1.5 KiB"},    {10240, "10 KiB"},       {1023000, "999 KiB"},
                 {1048576, "1.0 MiB"}, {11361820672, "11 GiB"}, {UINT64_MAX, "16 EiB"}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[32];
        host_format_bytes(text, sizeof text, sizes[i].n);
        ck_assert_str_eq(text, sizes[i].text);
    }
}
END_TEST

/* Exit codes of the command itself. */
START_TEST(exit_codes)
{
    char demo[512];
    snprintf(demo, sizeof demo, "%s", source_path("models/demo"));
    char *help[] = {(char[]){"inspect"}, (char[]){"--help"}, NULL};
    char *none[] = {(char[]){"inspect"}, NULL};
    char *missing[] = {(char[]){"inspect"}, (char[]){"no/such/file"}, demo, NULL};
    char *folder[] = {(char[]){"inspect"}, (char[]){"--json"}, demo, NULL};
    ck_assert_int_eq(host_inspect(2, help), VS_OK);
    ck_assert_int_eq(host_inspect(1, none), VS_ERROR_USAGE);
    ck_assert_int_eq(host_inspect(3, missing), VS_ERROR_MODEL);
    ck_assert_int_eq(host_inspect(3, folder), VS_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inspect");
    TCase *tcase = tcase_create("inspect");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, networks_are_recognised);
    tcase_add_test(tcase, names_are_enough);
    tcase_add_test(tcase, other_files_are_recognised);
    tcase_add_test(tcase, everything_is_told);
    tcase_add_test(tcase, metadata_does_not_steer_the_terminal);
    tcase_add_test(tcase, sizes_are_readable);
    tcase_add_test(tcase, exit_codes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
