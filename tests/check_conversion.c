/* SPDX-License-Identifier: Apache-2.0
 *
 * check_conversion.c - model files that are written: against the golden files of other writers, and
 * against this program's own readers. Their number formats stand in check_narrow.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/convert/narrow.h"
#include "models/conversion.h"
#include "models/names.h"
#include "models/weights_internal.h"
#include "tests/check_common.h"
#include "tests/file_builder.h"

/* ---- Helpers ------------------------------------------------------------------------------ */

static const char *source_path(const char *file)
{
    static char path[4][512];
    static size_t turn;
    const char *srcdir = getenv("srcdir");
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", srcdir ? srcdir : ".", file);
    return out;
}

static struct vs_weights *open_ok(const char *file)
{
    struct vs_weights *weights;
    check_ok(vs_weights_open(&weights, source_path(file)));
    return weights;
}

static enum vs_status collect(void *user, const void *data, size_t n_bytes)
{
    bytes_put(user, data, n_bytes);
    return VS_OK;
}

static enum vs_status convert_to(struct bytes *bytes, const struct vs_weights *weights,
                                 const struct vs_conversion_options *options)
{
    struct vs_conversion *conversion = NULL;
    const struct vs_output output = {collect, bytes};
    enum vs_status status = vs_conversion_create(&conversion, &weights, 1, options);
    if (status == VS_OK) {
        ck_assert_uint_eq(vs_conversion_files(conversion), 1);
        status = vs_conversion_write(conversion, 0, &output);
    }
    vs_conversion_free(conversion);
    return status;
}

/* bytes stay with the caller, who frees them after the weights. */
static struct vs_weights *converted(struct bytes *bytes, const struct vs_weights *weights,
                                    const struct vs_conversion_options *options)
{
    struct vs_weights *result;
    check_ok(convert_to(bytes, weights, options));
    check_ok(vs_weights_open_memory(&result, "converted", bytes->data, bytes->n));
    return result;
}

static bool same_shape(const struct vs_tensor *a, const struct vs_tensor *b)
{
    return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, a->n_dims * sizeof *a->shape) == 0;
}

/* Every tensor of want is in got: name, format, shape, and every bit. */
static void compare_all(const struct vs_weights *got, const struct vs_weights *want)
{
    ck_assert_uint_eq(vs_weights_count(got), vs_weights_count(want));
    for (size_t i = 0; i < vs_weights_count(want); i++) {
        const struct vs_tensor *b = vs_weights_at(want, i), *a = vs_weights_find(got, b->name);
        ck_assert_msg(a != NULL, "%s is lost", b->name);
        ck_assert_msg(a->dtype == b->dtype && same_shape(a, b), "%s is another", b->name);
        ck_assert_msg(memcmp(a->data, b->data, b->n_bytes) == 0, "%s: other values", b->name);
    }
}

static float *widened(const struct vs_tensor *tensor)
{
    float *values = malloc((tensor->n_elements + 1) * sizeof *values);
    ck_assert(values);
    vs_dtype_read(values, tensor->data, tensor->dtype, tensor->n_elements);
    return values;
}

/* ---- Names -------------------------------------------------------------------------------- */

START_TEST(names_translate)
{
    static const struct {
        enum vs_name_table table;
        const char *wan, *diffusers;
    } pairs[] = {
        {VS_TABLE_DIT, "patch_embedding.weight", "patch_embedding.weight"},
        {VS_TABLE_DIT, "time_embedding.2.bias", "condition_embedder.time_embedder.linear_2.bias"},
        {VS_TABLE_DIT, "time_projection.1.weight", "condition_embedder.time_proj.weight"},
        {VS_TABLE_DIT, "head.modulation", "scale_shift_table"},
        {VS_TABLE_DIT, "head.head.bias", "proj_out.bias"},
        {VS_TABLE_DIT, "blocks.29.modulation", "blocks.29.scale_shift_table"},
        {VS_TABLE_DIT, "blocks.3.self_attn.o.weight", "blocks.3.attn1.to_out.0.weight"},
        {VS_TABLE_DIT, "blocks.3.self_attn.norm_q.weight", "blocks.3.attn1.norm_q.weight"},
        {VS_TABLE_DIT, "blocks.3.cross_attn.k.bias", "blocks.3.attn2.to_k.bias"},
        {VS_TABLE_DIT, "blocks.3.norm3.weight", "blocks.3.norm2.weight"},
        {VS_TABLE_DIT, "blocks.3.ffn.0.weight", "blocks.3.ffn.net.0.proj.weight"},
        {VS_TABLE_DIT, "blocks.0.self_attn.memory.A_log", "blocks.0.attn1.memory.A_log"},
        {VS_TABLE_TEXT_ENCODER, "token_embedding.weight", "shared.weight"},
        {VS_TABLE_TEXT_ENCODER, "norm.weight", "encoder.final_layer_norm.weight"},
        {VS_TABLE_TEXT_ENCODER, "blocks.23.attn.q.weight",
         "encoder.block.23.layer.0.SelfAttention.q.weight"},
        {VS_TABLE_TEXT_ENCODER, "blocks.1.pos_embedding.embedding.weight",
         "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"},
        {VS_TABLE_TEXT_ENCODER, "blocks.1.ffn.gate.0.weight",
         "encoder.block.1.layer.1.DenseReluDense.wi_0.weight"},
        {VS_TABLE_TEXT_ENCODER, "blocks.1.norm2.weight", "encoder.block.1.layer.1.layer_norm.weight"},
        {VS_TABLE_VAE, "conv1.weight", "quant_conv.weight"},
        {VS_TABLE_VAE, "encoder.conv1.weight", "encoder.conv_in.weight"},
        {VS_TABLE_VAE, "encoder.downsamples.3.shortcut.bias",
         "encoder.down_blocks.3.conv_shortcut.bias"},
        {VS_TABLE_VAE, "encoder.downsamples.5.time_conv.weight",
         "encoder.down_blocks.5.time_conv.weight"},
        {VS_TABLE_VAE, "decoder.middle.2.residual.6.bias",
         "decoder.mid_block.resnets.1.conv2.bias"},
        {VS_TABLE_VAE, "decoder.middle.1.to_qkv.weight",
         "decoder.mid_block.attentions.0.to_qkv.weight"},
        {VS_TABLE_VAE, "decoder.upsamples.7.resample.1.weight",
         "decoder.up_blocks.1.upsamplers.0.resample.1.weight"},
        {VS_TABLE_VAE, "decoder.upsamples.12.residual.3.gamma",
         "decoder.up_blocks.3.resnets.0.norm2.gamma"},
        {VS_TABLE_VAE, "decoder.head.0.gamma", "decoder.norm_out.gamma"},
        {VS_TABLE_VAE, "something.else", "something.else"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *there = vs_names_translate(pairs[i].wan, pairs[i].table, VS_NAMES_DIFFUSERS);
        char *back = vs_names_translate(pairs[i].diffusers, pairs[i].table, VS_NAMES_WAN);
        ck_assert_str_eq(there, pairs[i].diffusers);
        ck_assert_str_eq(back, pairs[i].wan);
        free(there);
        free(back);
    }
}
END_TEST

static const char *const networks[] = {"models/demo/diffusion_pytorch_model.safetensors",
                                       "models/demo/models_t5_umt5-xxl-enc-bf16.pth",
                                       "models/demo/Wan2.1_VAE.pth"};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

/* Whole networks go to diffusers' names, where no name but the patch embedding's is left as it
 * was, and are read from there as what they were. */
START_TEST(networks_are_read_under_diffusers_names)
{
    struct vs_conversion_options options = {
        .container = VS_SAFETENSORS, .keep_dtype = true, .names = VS_TARGET_DIFFUSERS};
    struct bytes bytes = {0};
    struct vs_weights *source = open_ok(networks[_i]);
    struct vs_weights *other = converted(&bytes, source, &options);
    compare_all(other, source);
    for (size_t i = 0; i < vs_weights_count(other); i++) {
        const struct vs_tensor *tensor = vs_weights_at(other, i);
        if (strncmp(tensor->name, "patch_embedding.", 16) != 0)
            ck_assert_str_ne(tensor->name, tensor->raw_name);
    }
    vs_weights_free(other);
    vs_weights_free(source);
    bytes_free(&bytes);
}
END_TEST

/* ---- Containers --------------------------------------------------------------------------- */

static const struct {
    const char *file;
    bool blocks; /* holds tensors that only GGUF can */
} forms[] = {{"tests/golden/files/dit_forms/dit_f32.safetensors", false},
             {"tests/golden/files/dit_forms/dit_bf16.safetensors", false},
             {"tests/golden/files/dit_forms/dit_f16.safetensors", false},
             {"tests/golden/files/dit_forms/dit_ema.pt", false},
             {"tests/golden/files/dit_forms/dit_f16.gguf", false},
             {"tests/golden/files/dit_forms/dit_bf16.gguf", false},
             {"tests/golden/files/dit_forms/sharded/"
              "diffusion_pytorch_model.safetensors.index.json", false},
             {"tests/golden/files/dit_forms/dit_q8_0.gguf", true},
             {"tests/golden/files/dit_forms/dit_q4_0.gguf", true},
             {"tests/golden/files/dit_forms/dit_q4_k.gguf", true},
             {"models/demo/Wan2.1_VAE.pth", false},
             {"models/demo/models_t5_umt5-xxl-enc-bf16.pth", false}};
enum { N_FORMS = sizeof forms / sizeof *forms };

/* Once round all containers, bit for bit; the shape of the folded patch embedding is found again.
 */
START_TEST(containers_hold_the_same)
{
    static const enum vs_container round[] = {VS_TORCH, VS_GGUF, VS_SAFETENSORS, VS_GGUF, VS_TORCH,
                                              VS_SAFETENSORS};
    enum { N_ROUND = sizeof round / sizeof *round };
    static const size_t patch[] = {64, 16, 1, 2, 2};
    struct bytes bytes[N_ROUND] = {{0}};
    struct vs_weights *source = open_ok(forms[_i].file), *last = source, *made[N_ROUND];
    size_t n = 0;
    for (size_t i = 0; i < N_ROUND; i++) {
        struct vs_conversion_options options = {.container = round[i], .keep_dtype = true};
        if (forms[_i].blocks && round[i] != VS_GGUF) {
            ck_assert_int_eq(convert_to(&bytes[i], last, &options), VS_ERROR_USAGE);
            ck_assert_ptr_nonnull(strstr(vs_error_message(), "which"));
            bytes_free(&bytes[i]);
            continue;
        }
        made[n] = converted(&bytes[n], last, &options);
        ck_assert_int_eq((int)vs_weights_container(made[n]), (int)round[i]);
        const struct vs_tensor *tensor = vs_weights_find(made[n], "patch_embedding.weight");
        if (tensor) {
            ck_assert_uint_eq(tensor->n_dims, 5);
            ck_assert_mem_eq(tensor->shape, patch, sizeof patch);
        }
        if (n > 0)
            compare_all(made[n], made[0]);
        last = made[n++];
    }
    ck_assert_uint_eq(n, forms[_i].blocks ? 2 : N_ROUND);
    for (size_t i = 0; i < vs_weights_count(source); i++) {
        const struct vs_tensor *want = vs_weights_at(source, i);
        const struct vs_tensor *got = vs_weights_find(last, want->name);
        ck_assert_msg(got && got->dtype == want->dtype && got->n_bytes == want->n_bytes &&
                          memcmp(got->data, want->data, want->n_bytes) == 0,
                      "%s is not the same", want->name);
    }
    for (size_t i = 0; i < n; i++) {
        vs_weights_free(made[i]);
        bytes_free(&bytes[i]);
    }
    vs_weights_free(source);
}
END_TEST

/* What torch makes of float32 values when it narrows them, this program makes, too. */
START_TEST(narrowed_as_other_writers_do)
{
    static const struct {
        enum vs_dtype dtype;
        const char *file;
    } known[] = {{VS_BF16, "tests/golden/files/dit_forms/dit_bf16.safetensors"},
                 {VS_F16, "tests/golden/files/dit_forms/dit_f16.safetensors"}};
    struct vs_conversion_options options = {.container = VS_SAFETENSORS, .dtype = known[_i].dtype};
    struct bytes bytes = {0};
    struct vs_weights *source = open_ok("tests/golden/files/dit_forms/dit_f32.safetensors");
    struct vs_weights *want = open_ok(known[_i].file);
    struct vs_weights *got = converted(&bytes, source, &options);
    compare_all(got, want);
    vs_weights_free(got);
    vs_weights_free(want);
    vs_weights_free(source);
    bytes_free(&bytes);
}
END_TEST

/* Q8_0 has the bytes of the golden file's writer; Q4_K is at least as near to the values. Only
 * matrices of blocks are touched, and only rows of whole blocks. */
START_TEST(quantised_as_other_writers_do)
{
    static const struct {
        enum vs_dtype dtype;
        const char *file;
    } known[] = {{VS_Q8_0, "tests/golden/files/dit_forms/dit_q8_0.gguf"},
                 {VS_Q4_K, "tests/golden/files/dit_forms/dit_q4_k.gguf"}};
    struct vs_conversion_options options = {.container = VS_GGUF, .dtype = known[_i].dtype};
    struct bytes bytes = {0};
    size_t n_equal = 0, n_searched = 0;
    struct vs_weights *source = open_ok("tests/golden/files/dit_forms/dit_f32.safetensors");
    struct vs_weights *want = open_ok(known[_i].file);
    struct vs_weights *got = converted(&bytes, source, &options);
    for (size_t i = 0; i < vs_weights_count(source); i++) {
        const struct vs_tensor *exact = vs_weights_at(source, i);
        const struct vs_tensor *a = vs_weights_find(got, exact->name);
        const struct vs_tensor *b = vs_weights_find(want, exact->name);
        ck_assert(a && b && same_shape(a, exact));
        bool matrix = exact->n_dims == 2 && strncmp(exact->name, "blocks.", 7) == 0;
        if (!matrix) {
            ck_assert_int_eq((int)a->dtype, VS_F32);
            ck_assert_mem_eq(a->data, exact->data, exact->n_bytes);
            continue;
        }
        ck_assert_int_eq((int)a->dtype, (int)b->dtype);
        if (a->dtype == VS_Q8_0) {
            ck_assert_msg(memcmp(a->data, b->data, b->n_bytes) == 0, "%s: other bytes",
                          exact->name);
            n_equal++;
            continue;
        }
        float *x = widened(exact), *mine = widened(a), *theirs = widened(b);
        double my_faults = 0, their_faults = 0;
        for (size_t j = 0; j < exact->n_elements; j++) {
            my_faults += ((double)mine[j] - (double)x[j]) * ((double)mine[j] - (double)x[j]);
            their_faults += ((double)theirs[j] - (double)x[j]) * ((double)theirs[j] - (double)x[j]);
        }
        ck_assert_msg(my_faults <= their_faults, "%s: %g, not %g", exact->name, my_faults,
                      their_faults);
        n_searched++;
        free(x);
        free(mine);
        free(theirs);
    }
    ck_assert_uint_gt(n_equal, 10);
    ck_assert_uint_eq(n_searched, known[_i].dtype == VS_Q4_K ? 2 : 0);
    vs_weights_free(got);
    vs_weights_free(want);
    vs_weights_free(source);
    bytes_free(&bytes);
}
END_TEST

/* Integers, scalars and empty tensors pass through every container that can hold them. */
START_TEST(odd_tensors_pass)
{
    static const enum vs_container containers[] = {VS_SAFETENSORS, VS_TORCH, VS_GGUF};
    struct bytes file = {0}, bytes = {0};
    struct vs_weights *source, *got;
    safetensors_build(&file,
                      "{\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                      "\"empty\":{\"dtype\":\"F16\",\"shape\":[3,0],\"data_offsets\":[4,4]},"
                      "\"six\":{\"dtype\":\"I16\",\"shape\":[1,1,2,1,1,1],\"data_offsets\":[4,8]},"
                      "\"double\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[8,16]},"
                      "\"long\":{\"dtype\":\"I64\",\"shape\":[2,1],\"data_offsets\":[16,32]},"
                      "\"int\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[32,36]},"
                      "\"char\":{\"dtype\":\"I8\",\"shape\":[5],\"data_offsets\":[36,41]}}",
                      41);
    check_ok(vs_weights_open_memory(&source, "odd", file.data, file.n));
    struct vs_conversion_options options = {.container = containers[_i], .keep_dtype = true};
    got = converted(&bytes, source, &options);
    compare_all(got, source);
    vs_weights_free(got);
    vs_weights_free(source);
    bytes_free(&file);
    bytes_free(&bytes);
}
END_TEST

/* Tensors lie where their elements are aligned, and torch's at 64. */
START_TEST(data_are_aligned)
{
    static const struct {
        enum vs_container container;
        size_t alignment; /* 0: of an element */
    } wanted[] = {{VS_SAFETENSORS, 0}, {VS_TORCH, 64}, {VS_GGUF, 32}};
    struct bytes file = {0}, bytes = {0};
    struct vs_weights *source, *got;
    safetensors_build(&file,
                      "{\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                      "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[3,9]},"
                      "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9,13]}}",
                      13);
    check_ok(vs_weights_open_memory(&source, "odd", file.data, file.n));
    struct vs_conversion_options options = {.container = wanted[_i].container,
                                            .keep_dtype = true};
    got = converted(&bytes, source, &options);
    compare_all(got, source);
    for (size_t i = 0; i < 3; i++) {
        const struct vs_tensor *tensor = vs_weights_at(got, i);
        size_t alignment = wanted[_i].alignment ? wanted[_i].alignment
                                                : vs_dtype_info(tensor->dtype)->n_bytes;
        ck_assert_uint_eq(tensor->offset % alignment, 0);
    }
    vs_weights_free(got);
    vs_weights_free(source);
    bytes_free(&file);
    bytes_free(&bytes);
}
END_TEST

/* ---- Several files ------------------------------------------------------------------------ */

START_TEST(shards_hold_all)
{
    struct vs_weights *source = open_ok(forms[0].file), *got;
    struct vs_conversion_options options = {
        .container = VS_SAFETENSORS, .keep_dtype = true, .shard_bytes = 100 << 10};
    struct vs_conversion *conversion;
    char folder[] = "conversion.XXXXXX", path[64];
    char *names[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const struct vs_weights *const inputs[] = {source};
    check_ok(vs_conversion_create(&conversion, inputs, 1, &options));
    size_t n = vs_conversion_files(conversion);
    ck_assert(n > 5 && n < 64);
    for (size_t i = 0; i < n; i++) {
        struct bytes bytes = {0};
        const struct vs_output output = {collect, &bytes};
        check_ok(vs_conversion_write(conversion, i, &output));
        ck_assert_uint_lt(bytes.n, (100 << 10) + 4096);
        names[i] = malloc(32);
        snprintf(names[i], 32, "part-%zu.safetensors", i);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        bytes_write_file(&bytes, path);
        bytes_free(&bytes);
    }
    struct bytes index = {0};
    char *text = vs_conversion_index(conversion, names);
    bytes_text(&index, text);
    snprintf(path, sizeof path, "%s/x.index.json", folder);
    bytes_write_file(&index, path);
    check_ok(vs_weights_open(&got, path));
    compare_all(got, source);
    vs_weights_free(got);
    unlink(path);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
        free(names[i]);
    }
    ck_assert_int_eq(rmdir(folder), 0);
    free(text);
    bytes_free(&index);
    vs_conversion_free(conversion);
    vs_weights_free(source);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    struct vs_conversion *conversion;
    struct vs_weights *source = open_ok(forms[0].file);
    const struct vs_weights *const twice[] = {source, source};
    struct vs_conversion_options options = {.container = VS_SAFETENSORS, .keep_dtype = true};
    ck_assert_int_eq(vs_conversion_create(&conversion, twice, 2, &options), VS_ERROR_MODEL);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "comes from"));
    options.container = VS_TORCH;
    options.shard_bytes = 1;
    ck_assert_int_eq(vs_conversion_create(&conversion, twice, 1, &options), VS_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "--shard-size"));
    options = (struct vs_conversion_options){.container = VS_TORCH, .dtype = VS_Q4_K};
    ck_assert_int_eq(vs_conversion_create(&conversion, twice, 1, &options), VS_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "write GGUF"));
    vs_weights_free(source);

    struct bytes file = {0}, bytes = {0};
    safetensors_build(&file, "{\"x\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2);
    check_ok(vs_weights_open_memory(&source, "x", file.data, file.n));
    options = (struct vs_conversion_options){.container = VS_GGUF,
                                             .keep_dtype = true,
                                             .names = VS_TARGET_DIFFUSERS};
    ck_assert_int_eq(convert_to(&bytes, source, &options), VS_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "--names keep"));
    vs_weights_free(source);
    bytes_free(&file);
}
END_TEST

/* As many as are read again. */
START_TEST(split_gguf_has_its_limit)
{
    struct vs_conversion *conversion;
    struct vs_weights *source;
    struct bytes file = {0}, json = {0};
    enum { N = 1001 };
    for (size_t i = 0; i < N; i++) {
        char entry[96];
        snprintf(entry, sizeof entry,
                 "%s\"t%zu\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}",
                 i ? "," : "{", i, i, i + 1);
        bytes_text(&json, entry);
    }
    bytes_text(&json, "}");
    bytes_number(&json, 0, 1);
    safetensors_build(&file, (const char *)json.data, N);
    check_ok(vs_weights_open_memory(&source, "x", file.data, file.n));
    const struct vs_weights *const sources[] = {source};
    struct vs_conversion_options options = {
        .container = VS_GGUF, .keep_dtype = true, .shard_bytes = 1};
    ck_assert_int_eq(vs_conversion_create(&conversion, sources, 1, &options), VS_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "a larger --shard-size"));
    options.shard_bytes = 2;
    check_ok(vs_conversion_create(&conversion, sources, 1, &options));
    ck_assert_uint_eq(vs_conversion_files(conversion), 501);
    vs_conversion_free(conversion);
    vs_weights_free(source);
    bytes_free(&file);
    bytes_free(&json);
}
END_TEST

/* Values beyond the format end the conversion with the tensor's name. */
START_TEST(values_beyond_a_format_are_told)
{
    static const struct {
        uint32_t bits;
        enum vs_dtype dtype;
        const char *text;
    } cases[] = {{0x47800000, VS_F16, "too large for F16"},
                 {0x7f7fffff, VS_BF16, "too large for BF16"},
                 {0x7fc00000, VS_Q8_0, "infinities or NaN"},
                 {0x7f800000, VS_Q4_K, "infinities or NaN"},
                 {0x4f000000, VS_Q4_K, "too large for Q4_K"}};
    struct bytes file = {0}, bytes = {0};
    struct vs_weights *source;
    safetensors_build(&file,
                      "{\"blocks.0.ffn.0.weight\":{\"dtype\":\"F32\",\"shape\":[2,256],"
                      "\"data_offsets\":[0,2048]}}",
                      2048);
    memset(file.data + file.n - 2048, 0, 2048);
    bytes_patch(&file, file.n - 400, cases[_i].bits, 4);
    check_ok(vs_weights_open_memory(&source, "given", file.data, file.n));
    struct vs_conversion_options options = {.container = VS_GGUF, .dtype = cases[_i].dtype};
    ck_assert_int_eq(convert_to(&bytes, source, &options), VS_ERROR_MODEL);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "'blocks.0.ffn.0.weight'"));
    ck_assert_ptr_nonnull(strstr(vs_error_message(), cases[_i].text));
    vs_weights_free(source);
    bytes_free(&file);
    bytes_free(&bytes);
}
END_TEST

/* ---- More than four gigabytes ------------------------------------------------------------- */

/* A file with holes where zeros are. */
static enum vs_status write_sparse(void *user, const void *data, size_t n_bytes)
{
    static const uint8_t zeros[1 << 20];
    int fd = *(int *)user;
    bool hole = n_bytes <= sizeof zeros && memcmp(data, zeros, n_bytes) == 0;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (hole)
        ck_assert_int_eq(ftruncate(fd, at + (off_t)n_bytes), 0);
    else
        ck_assert_int_eq(write(fd, data, n_bytes), (ssize_t)n_bytes);
    ck_assert(lseek(fd, at + (off_t)n_bytes, SEEK_SET) >= 0);
    return VS_OK;
}

/* One entry too large, and one too far behind, for the numbers of plain zip. The zeros of the input
 * are memory that nobody has written to. */
START_TEST(archives_beyond_four_gigabytes)
{
    const size_t large = (size_t)4 << 30;
    struct vs_weights *source, *got;
    char to[] = "conversion.XXXXXX", json[256];
    int out = mkstemp(to);
    int n = snprintf(json, sizeof json,
                     "{\"a\":{\"dtype\":\"BF16\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},"
                     "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[%zu,%zu]}}",
                     large / 2, large, large, large + 6);
    size_t size = 8 + (size_t)n + large + 6;
    uint8_t *file = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert(file != MAP_FAILED);
    file[0] = (uint8_t)n;
    memcpy(file + 8, json, (size_t)n);
    memcpy(file + size - 8, "xyabcdef", 8);
    check_ok(vs_weights_open_memory(&source, "large", file, size));
    struct vs_conversion_options options = {.container = VS_TORCH, .keep_dtype = true};
    struct vs_conversion *conversion;
    const struct vs_weights *const inputs[] = {source};
    const struct vs_output output = {write_sparse, &out};
    check_ok(vs_conversion_create(&conversion, inputs, 1, &options));
    check_ok(vs_conversion_write(conversion, 0, &output));
    check_ok(vs_weights_open(&got, to));
    const struct vs_tensor *a = vs_weights_find(got, "a"), *b = vs_weights_find(got, "b");
    ck_assert(a && b && a->n_bytes == large && b->n_bytes == 6);
    ck_assert_mem_eq((const char *)a->data + large - 2, "xy", 2);
    ck_assert_mem_eq(b->data, "abcdef", 6);
    ck_assert_uint_gt(b->offset, large);
    vs_weights_free(got);
    vs_conversion_free(conversion);
    vs_weights_free(source);
    munmap(file, size);
    close(out);
    unlink(to);
}
END_TEST

/* ---- The suite ---------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("conversion");
    TCase *tests = tcase_create("conversion");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, names_translate);
    tcase_add_loop_test(tests, networks_are_read_under_diffusers_names, 0, N_NETWORKS);
    tcase_add_loop_test(tests, containers_hold_the_same, 0, N_FORMS);
    tcase_add_loop_test(tests, narrowed_as_other_writers_do, 0, 2);
    tcase_add_loop_test(tests, quantised_as_other_writers_do, 0, 2);
    tcase_add_loop_test(tests, odd_tensors_pass, 0, 3);
    tcase_add_loop_test(tests, data_are_aligned, 0, 3);
    tcase_add_test(tests, shards_hold_all);
    tcase_add_test(tests, split_gguf_has_its_limit);
    tcase_add_test(tests, what_cannot_be_is_refused);
    tcase_add_loop_test(tests, values_beyond_a_format_are_told, 0, 5);
    tcase_add_test(tests, archives_beyond_four_gigabytes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
