/* SPDX-License-Identifier: Apache-2.0
 *
 * check_weights.c - number formats and model files that must be read: golden files in every
 * container, names with wrappers' prefixes, shards, strides. Files that must be refused are in
 * check_hostile.c. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/weights_internal.h"
#include "tests/file_builder.h"

/* ---- Helpers ------------------------------------------------------------------------------ */

static const char *golden_path(const char *file)
{
    static char path[4][512];
    static size_t turn;
    const char *srcdir = getenv("srcdir");
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/tests/golden/files/%s", srcdir ? srcdir : ".", file);
    return out;
}

static struct vs_weights *open_ok(const char *path)
{
    struct vs_weights *weights;
    enum vs_status status = vs_weights_open(&weights, path);
    ck_assert_msg(status == VS_OK, "%s: %s", path, vs_error_message());
    return weights;
}

static struct vs_weights *open_bytes(const struct bytes *bytes)
{
    struct vs_weights *weights;
    enum vs_status status = vs_weights_open_memory(&weights, "made", bytes->data, bytes->n);
    ck_assert_msg(status == VS_OK, "%s", vs_error_message());
    return weights;
}

static const struct vs_tensor *find(const struct vs_weights *weights, const char *name)
{
    const struct vs_tensor *tensor = vs_weights_find(weights, name);
    ck_assert_msg(tensor, "tensor '%s' is missing in %s", name, vs_weights_path(weights));
    return tensor;
}

static float *widened(const struct vs_tensor *tensor)
{
    float *values = malloc((tensor->n_elements + 1) * sizeof *values);
    ck_assert(values);
    vs_dtype_widen(values, tensor->data, tensor->dtype, tensor->n_elements);
    return values;
}

static void compare(const struct vs_tensor *got, const struct vs_tensor *want, double atol)
{
    float *a = widened(got), *b = widened(want);
    ck_assert_uint_eq(got->n_elements, want->n_elements);
    for (size_t i = 0; i < got->n_elements; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= atol))
            ck_abort_msg("%s of %s: [%zu] is %.9g, not %.9g", got->name, got->file, i, (double)a[i],
                         (double)b[i]);
    free(a);
    free(b);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint32_t widened_bits(const void *in, enum vs_dtype dtype)
{
    float value;
    vs_dtype_widen(&value, in, dtype, 1);
    return bits_of(value);
}

/* ---- Number formats ----------------------------------------------------------------------- */

/* Every one of the 65536 values, formed another way: ldexp of sign, mantissa and exponent. */
START_TEST(f16_is_exact)
{
    for (uint32_t half = 0; half < 65536; half++) {
        uint16_t in = (uint16_t)half;
        int exponent = half >> 10 & 31, mantissa = half & 1023;
        double magnitude = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                           : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                          : ldexp(mantissa, -24);
        float want = (float)(half & 0x8000 ? -magnitude : magnitude), got;
        vs_dtype_widen(&got, &in, VS_F16, 1);
        if (isnan(want) ? !isnan(got) : bits_of(got) != bits_of(want))
            ck_abort_msg("%04x: %a, not %a", half, (double)got, (double)want);
    }
}
END_TEST

/* Denormal weights are zeros of the same sign; normal numbers keep every bit (rule R6). */
START_TEST(denormals_are_flushed)
{
    static const struct {
        uint32_t in, out;
    } f32[] = {{1, 0},
               {0x807fffff, 0x80000000},
               {0x00800000, 0x00800000},
               {0x80000000, 0x80000000},
               {0x7f800000, 0x7f800000},
               {0x7fc00001, 0x7fc00001},
               {0x3f800001, 0x3f800001},
               {0xff7fffff, 0xff7fffff}};
    for (size_t i = 0; i < sizeof f32 / sizeof *f32; i++)
        ck_assert_uint_eq(widened_bits(&f32[i].in, VS_F32), f32[i].out);
    for (uint32_t half = 0; half < 65536; half++) {
        uint16_t in = (uint16_t)half;
        uint32_t want = half & 0x7f80 ? half << 16 : (half & 0x8000) << 16;
        if (widened_bits(&in, VS_BF16) != want)
            ck_abort_msg("%04x: %08x, not %08x", half, widened_bits(&in, VS_BF16), want);
    }
    ck_assert_uint_eq(widened_bits(&(double){-1e-40}, VS_F64), 0x80000000);
    ck_assert_uint_eq(widened_bits(&(double){1.0 / 3}, VS_F64), bits_of((float)(1.0 / 3)));
}
END_TEST

START_TEST(integers_are_converted)
{
    ck_assert(widened_bits(&(int64_t){-5}, VS_I64) == bits_of(-5));
    ck_assert(widened_bits(&(int32_t){-70000}, VS_I32) == bits_of(-70000));
    ck_assert(widened_bits(&(int16_t){-300}, VS_I16) == bits_of(-300));
    ck_assert(widened_bits(&(int8_t){-128}, VS_I8) == bits_of(-128));
    ck_assert(widened_bits(&(uint8_t){255}, VS_U8) == bits_of(255));
    ck_assert(widened_bits(&(uint8_t){7}, VS_BOOL) == bits_of(1));
}
END_TEST

/* Blocks written out by hand, so that each nibble and each scale has its own place. */
START_TEST(quantised_blocks)
{
    float got[256];
    uint8_t q8[34] = {0x00, 0x38}, q4[18] = {0x00, 0xbc}; /* d = 0.5, d = -1 */
    for (int i = 0; i < 32; i++)
        q8[2 + i] = (uint8_t)(i * 8 - 128);
    vs_dtype_widen(got, q8, VS_Q8_0, 32);
    for (int i = 0; i < 32; i++)
        ck_assert(got[i] == (float)(i * 8 - 128) / 2);
    for (int i = 0; i < 16; i++)
        q4[2 + i] = (uint8_t)(i | (15 - i) << 4);
    vs_dtype_widen(got, q4, VS_Q4_0, 32);
    for (int i = 0; i < 16; i++) {
        ck_assert(got[i] == (float)(8 - i));
        ck_assert(got[i + 16] == (float)(i - 7));
    }
    /* Scales 63, 1, 33, 17, 62, 2, 48, 35 and minima 5, 63, 16, 32, 47, 1, 60, 18. */
    static const unsigned sc[8] = {63, 1, 33, 17, 62, 2, 48, 35};
    static const unsigned mn[8] = {5, 63, 16, 32, 47, 1, 60, 18};
    uint8_t q4k[144] = {0x00, 0x3c, 0x00, 0x40}; /* d = 1, dmin = 2 */
    for (int j = 0; j < 4; j++) {
        q4k[4 + j] = (uint8_t)(sc[j] | (sc[j + 4] >> 4) << 6);
        q4k[8 + j] = (uint8_t)(mn[j] | (mn[j + 4] >> 4) << 6);
        q4k[12 + j] = (uint8_t)((sc[j + 4] & 15) | (mn[j + 4] & 15) << 4);
    }
    for (int i = 0; i < 128; i++)
        q4k[16 + i] = (uint8_t)((i % 16) | ((i / 3) % 16) << 4);
    vs_dtype_widen(got, q4k, VS_Q4_K, 256);
    for (int i = 0; i < 256; i++) {
        int j = i / 32, byte = 32 * (j / 2) + i % 32;
        int q = j % 2 ? (byte / 3) % 16 : byte % 16;
        ck_assert_msg(got[i] == (float)(sc[j] * (unsigned)q) - 2 * (float)mn[j], "element %d", i);
    }
}
END_TEST

/* ---- Golden files ------------------------------------------------------------------------- */

START_TEST(torch_corners)
{
    static const struct {
        const char *name;
        enum vs_dtype dtype;
        size_t n_dims;
    } wanted[] = {{"plain", VS_F32, 2},    {"transposed", VS_F32, 2}, {"view", VS_F32, 2},
                  {"shared_a", VS_F32, 2}, {"shared_b", VS_F32, 2},   {"scalar", VS_F32, 0},
                  {"empty", VS_F32, 2},    {"half", VS_F16, 2},       {"bf16", VS_BF16, 1},
                  {"double", VS_F64, 1},   {"int64", VS_I64, 1},      {"int32", VS_I32, 1},
                  {"uint8", VS_U8, 1},     {"bool", VS_BOOL, 1},      {"param", VS_F32, 2},
                  {"permuted", VS_F32, 3}};
    const size_t n = sizeof wanted / sizeof *wanted;
    struct vs_weights *odd = open_ok(golden_path("pth_odd/odd.pt"));
    struct vs_weights *data = open_ok(golden_path("pth_odd/data.safetensors"));
    ck_assert_uint_eq(vs_weights_count(odd), n);
    ck_assert_uint_eq(vs_weights_count(data), n);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "out.%s", wanted[i].name);
        const struct vs_tensor *got = find(odd, wanted[i].name), *want = find(data, name);
        ck_assert_int_eq((int)got->dtype, (int)wanted[i].dtype);
        ck_assert_uint_eq(got->n_dims, wanted[i].n_dims);
        if (got->n_dims)
            ck_assert_mem_eq(got->shape, want->shape, got->n_dims * sizeof *got->shape);
        compare(got, want, 0);
    }
    struct vs_weights *single = open_ok(golden_path("pth_odd/single_tensor.pt"));
    ck_assert_uint_eq(vs_weights_count(single), 1);
    compare(find(single, "tensor"), find(data, "out.plain"), 0);
    vs_weights_free(single);
    vs_weights_free(data);
    vs_weights_free(odd);
}
END_TEST

/* One transformer in all containers and formats. */
START_TEST(forms_hold_one_model)
{
    static const struct {
        const char *file;
        enum vs_container container;
        double relative; /* to the largest value of the tensor */
    } forms[] = {
        {"dit_bf16.safetensors", VS_SAFETENSORS, 0x1p-8},
        {"dit_f16.safetensors", VS_SAFETENSORS, 0x1p-11},
        {"dit_ema.pt", VS_TORCH, 0x1p-8},
        {"dit_f16.gguf", VS_GGUF, 0x1p-11},
        {"dit_bf16.gguf", VS_GGUF, 0x1p-8},
        {"dit_q8_0.gguf", VS_GGUF, 0x1p-7},
        {"dit_q4_0.gguf", VS_GGUF, 0.126}, /* -8..7: the largest may lose a step */
        {"dit_q4_k.gguf", VS_GGUF, 0.07},
        {"sharded/diffusion_pytorch_model.safetensors.index.json", VS_SAFETENSORS, 0x1p-11}};
    char path[256];
    snprintf(path, sizeof path, "dit_forms/%s", forms[_i].file);
    struct vs_weights *exact = open_ok(golden_path("dit_forms/dit_f32.safetensors"));
    struct vs_weights *form = open_ok(golden_path(path));
    ck_assert_int_eq((int)vs_weights_container(form), (int)forms[_i].container);
    ck_assert_uint_eq(vs_weights_count(form), vs_weights_count(exact));
    for (size_t i = 0; i < vs_weights_count(exact); i++) {
        const struct vs_tensor *want = vs_weights_at(exact, i), *got;
        ck_assert_msg(vs_weights_require(&got, form, want->name, want->n_dims, want->shape) ==
                          VS_OK,
                      "%s", vs_error_message());
        float *values = widened(want), largest = 0;
        for (size_t j = 0; j < want->n_elements; j++)
            largest = fmaxf(largest, fabsf(values[j]));
        compare(got, want, (double)largest * forms[_i].relative);
        free(values);
    }
    vs_weights_free(form);
    vs_weights_free(exact);
}
END_TEST
enum { N_FORMS = 9 };

/* Values after dequantisation, at the golden tolerance. */
START_TEST(quantised_forms)
{
    static const char *const files[] = {"dit_q8_0.gguf", "dit_q4_0.gguf", "dit_q4_k.gguf"};
    char text[256];
    size_t n_compared = 0;
    snprintf(text, sizeof text, "dit_forms/%s", files[_i]);
    struct vs_weights *form = open_ok(golden_path(text));
    struct vs_weights *data = open_ok(golden_path("dit_forms/data.safetensors"));
    snprintf(text, sizeof text, "out.%d.", _i + 6);
    for (size_t i = 0; i < vs_weights_count(data); i++) {
        const struct vs_tensor *want = vs_weights_at(data, i);
        if (strncmp(want->name, text, strlen(text)) != 0 || strstr(want->name, "latents"))
            continue;
        compare(find(form, want->name + strlen(text)), want, 1e-7);
        n_compared++;
    }
    ck_assert_uint_eq(n_compared, 5);
    vs_weights_free(data);
    vs_weights_free(form);
}
END_TEST

/* ---- Names, shapes, metadata -------------------------------------------------------------- */

START_TEST(prefixes_are_stripped)
{
    static const char *const names[][2] = {
        {"blocks.0.norm3.weight", "blocks.0.norm3.weight"},
        {"model.blocks.0.x", "blocks.0.x"},
        {"generator.model.diffusion_model.module.x", "x"},
        {"module.model.module.x", "x"},
        {"model._fsdp_wrapped_module.blocks.0._checkpoint_wrapped_module.x", "blocks.0.x"},
        {"_orig_mod.model.blocks._orig_mod.1.x", "blocks.1.x"},
        {"_fsdp_wrapped_module.model._orig_mod.generator.x", "x"},
        {"blocks.model.x", "blocks.model.x"},
        {"mymodel.x", "mymodel.x"},
        {"models.x", "models.x"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s", names[i][0]);
        vs_name_canonical(name);
        ck_assert_str_eq(name, names[i][1]);
    }
}
END_TEST

START_TEST(safetensors_by_hand)
{
    struct bytes b = {0};
    safetensors_build(&b,
                      "{\"__metadata__\":{\"format\":\"pt\",\"n\":\"7\"},"
                      "\"model.a\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[1,7]},"
                      "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[7,9]},"
                      "\"c\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[9,9]}}   ",
                      9);
    struct vs_weights *weights = open_bytes(&b);
    const struct vs_tensor *a = find(weights, "a");
    ck_assert_str_eq(a->raw_name, "model.a");
    ck_assert_str_eq(a->file, "made");
    ck_assert_uint_eq(a->n_bytes, 6);
    ck_assert_int_eq(((const uint8_t *)a->data)[0], 1);
    ck_assert_ptr_eq(a->data, b.data + a->offset);
    ck_assert_uint_eq(find(weights, "b")->n_elements, 1);
    ck_assert_uint_eq(find(weights, "c")->n_elements, 0);
    ck_assert_str_eq(vs_weights_metadata(weights, "format"), "pt");
    ck_assert_str_eq(vs_weights_metadata(weights, "n"), "7");
    ck_assert_ptr_null(vs_weights_metadata(weights, "x"));
    ck_assert_ptr_null(vs_weights_find(weights, "model.a"));
    ck_assert_ptr_null(vs_weights_at(weights, 3));
    vs_weights_free(weights);
    bytes_free(&b);
}
END_TEST

START_TEST(require_names_what_is_wrong)
{
    const struct vs_tensor *tensor;
    struct vs_weights *weights = open_ok(golden_path("dit_forms/dit_f32.safetensors"));
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "patch_embedding.weight", 5,
                                        (size_t[]){64, 16, 1, 2, 2}),
                     VS_OK);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "patch_embedding.weight", 4,
                                        (size_t[]){1024, 1, 2, 2}),
                     VS_ERROR_MODEL);
    ck_assert(strstr(vs_error_message(), "dit_f32.safetensors"));
    ck_assert(strstr(vs_error_message(), "[64, 16, 1, 2, 2]"));
    ck_assert(strstr(vs_error_message(), "[1024, 1, 2, 2]"));
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "nothing", 1, (size_t[]){3}),
                     VS_ERROR_MODEL);
    ck_assert(strstr(vs_error_message(), "'nothing'"));
    ck_assert(strstr(vs_error_message(), "dit_f32.safetensors"));
    vs_weights_free(weights);
}
END_TEST

/* GGUF writers fold patch embeddings; folding keeps the order of elements, transposing does not. */
START_TEST(gguf_folds_dimensions)
{
    struct bytes b = {0};
    const struct vs_tensor *tensor;
    gguf_header(&b, 2, 2, 4);
    gguf_string(&b, "general.name");
    bytes_number(&b, 8, 4);
    gguf_string(&b, "tiny");
    gguf_string(&b, "general.alignment");
    bytes_number(&b, 4, 4);
    bytes_number(&b, 64, 4);
    gguf_string(&b, "words");
    bytes_number(&b, 9, 4), bytes_number(&b, 8, 4), bytes_number(&b, 2, 8);
    gguf_string(&b, "one"), gguf_string(&b, "");
    gguf_string(&b, "numbers");
    bytes_number(&b, 9, 4), bytes_number(&b, 10, 4), bytes_number(&b, 3, 8), bytes_zeros(&b, 24);
    gguf_tensor(&b, "patch", 3, (uint64_t[]){2, 2, 12}, 0, 0);
    gguf_tensor(&b, "matrix", 2, (uint64_t[]){2, 3}, 1, 192);
    bytes_align(&b, 64);
    size_t start = b.n;
    bytes_zeros(&b, 192 + 12);
    struct vs_weights *weights = open_bytes(&b);
    ck_assert_uint_eq(find(weights, "matrix")->offset, start + 192);
    ck_assert_str_eq(vs_weights_metadata(weights, "general.name"), "tiny");
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "patch", 5, (size_t[]){4, 3, 1, 2, 2}),
                     VS_OK);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "patch", 5, (size_t[]){1, 12, 2, 2, 1}),
                     VS_OK);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "patch", 4, (size_t[]){12, 2, 2, 2}),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "patch", 3, (size_t[]){2, 12, 2}),
                     VS_ERROR_MODEL);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "matrix", 2, (size_t[]){3, 2}), VS_OK);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "matrix", 2, (size_t[]){2, 3}),
                     VS_ERROR_MODEL);
    vs_weights_free(weights);
    bytes_free(&b);
}
END_TEST

/* ---- Torch -------------------------------------------------------------------------------- */

static void put_entry(struct bytes *p, const char *name, uint32_t offset)
{
    pickle_text(p, name);
    pickle_tensor(p, "torch", "ByteStorage", "0", 12, offset, 1, (uint32_t[]){2}, (uint32_t[]){1});
}

/* generator_ema before generator before model before state_dict before the outermost. */
START_TEST(preferred_dictionaries)
{
    static const char *const keys[] = {"state_dict", "model", "generator", "generator_ema"};
    for (size_t n = 0; n <= 4; n++) {
        struct bytes p = {0};
        struct zip_build zip = {0};
        bytes_text(&p, "\x80\x02}(");
        put_entry(&p, "outer", 9);
        for (size_t i = 0; i < n; i++) {
            pickle_text(&p, keys[i]);
            bytes_text(&p, "}(");
            put_entry(&p, "w", (uint32_t)i);
            bytes_text(&p, "u");
        }
        pickle_text(&p, "optimizer"); /* holds a tensor and is still not looked at */
        bytes_text(&p, "}(");
        put_entry(&p, "w", 5);
        bytes_text(&p, "uu.");
        torch_build(&zip, &p, 12);
        struct vs_weights *weights = open_bytes(&zip.bytes);
        ck_assert_uint_eq(vs_weights_count(weights), 1);
        if (n == 0)
            ck_assert_int_eq(*(const uint8_t *)find(weights, "outer")->data, 9);
        else
            ck_assert_int_eq(*(const uint8_t *)find(weights, "w")->data, (int)n - 1);
        vs_weights_free(weights);
        bytes_free(&zip.bytes);
        bytes_free(&p);
    }
}
END_TEST

/* Other writers' spellings of the same dictionary: protocol 4, no memo, lists of pairs. */
START_TEST(other_writers)
{
    struct bytes p = {0};
    struct zip_build zip = {0};
    bytes_put(&p, "\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00", 11);
    bytes_text(&p, "\x8c\x0b"
                   "collections\x94\x8c\x0bOrderedDict\x94\x93\x94](](");
    put_entry(&p, "a", 3);
    bytes_text(&p, "ee\x85R}b"); /* OrderedDict([["a", tensor]]), and a state that is dropped */
    bytes_text(&p, "\x8c\x01"
                   "b");
    pickle_tensor(&p, "torch", "ShortStorage", "0", 6, 0, 2, (uint32_t[]){3, 2},
                  (uint32_t[]){1, 3});
    bytes_text(&p, "s0)0}N2\x88s0("); /* values that come and go */
    bytes_text(&p, "1.");
    bytes_put(&p, "", 0);
    torch_build(&zip, &p, 12);
    struct vs_weights *weights;
    /* POP took the dictionary away with everything else. */
    ck_assert_int_eq(vs_weights_open_memory(&weights, "made", zip.bytes.data, zip.bytes.n),
                     VS_ERROR_MODEL);
    bytes_free(&zip.bytes);
    zip = (struct zip_build){0};
    p.n -= strlen("s0)0}N2\x88s0(1.");
    bytes_text(&p, "s)0}N\x88s0(1.");
    torch_build(&zip, &p, 12);
    weights = open_bytes(&zip.bytes);
    ck_assert_int_eq(*(const uint8_t *)find(weights, "a")->data, 3);
    static const int16_t want[6] = {0x0100, 0x0706, 0x0302, 0x0908, 0x0504, 0x0b0a};
    ck_assert_mem_eq(find(weights, "b")->data, want, sizeof want);
    vs_weights_free(weights);
    bytes_free(&zip.bytes);
    bytes_free(&p);
}
END_TEST

/* A value of unknown code is passed over; only who asks for it by name hears what it was. */
START_TEST(unknown_code_is_inert)
{
    struct bytes p = {0};
    struct zip_build zip = {0};
    const struct vs_tensor *tensor;
    bytes_text(&p, "\x80\x02}(");
    put_entry(&p, "a", 0);
    pickle_text(&p, "model.hook");
    bytes_text(&p, "cos\nsystem\n");
    pickle_text(&p, "touch pwned");
    bytes_text(&p, "\x85R");
    pickle_text(&p, "args");
    bytes_text(&p, "cargparse\nNamespace\n)\x81}(");
    pickle_text(&p, "lr");
    bytes_text(&p, "K\1ub");
    bytes_text(&p, "u.");
    torch_build(&zip, &p, 12);
    struct vs_weights *weights = open_bytes(&zip.bytes);
    ck_assert_uint_eq(vs_weights_count(weights), 1);
    ck_assert_int_eq(vs_weights_require(&tensor, weights, "hook", 1, (size_t[]){2}),
                     VS_ERROR_MODEL);
    ck_assert_msg(strstr(vs_error_message(), "os.system"), "%s", vs_error_message());
    ck_assert_int_ne(access("pwned", F_OK), 0);
    vs_weights_free(weights);
    bytes_free(&zip.bytes);
    bytes_free(&p);
}
END_TEST

/* ---- Large files -------------------------------------------------------------------------- */

static void put_long(struct bytes *p, uint64_t value)
{
    bytes_text(p, "\x8a\x08");
    bytes_number(p, value, 8);
}

static void put_long_entry(struct bytes *p, const char *name, const char *key, uint64_t n)
{
    pickle_text(p, name);
    bytes_text(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(p, "storage");
    bytes_text(p, "ctorch\nByteStorage\n");
    pickle_text(p, key);
    pickle_text(p, "cpu");
    put_long(p, n);
    bytes_text(p, "tQK");
    bytes_number(p, 0, 1);
    put_long(p, n);
    bytes_text(p, "\x85K\1\x85\x89}tR");
}

/* A header of 30 (local) or 46 (central) bytes with its name and a zip64 field of the numbers that
 * 32 bits cannot hold. */
static void put_zip64(struct bytes *b, bool central, const char *name, uint64_t n, uint64_t offset)
{
    uint64_t large[3];
    size_t n_large = 0;
    if (n >= UINT32_MAX)
        large[n_large++] = n, large[n_large++] = n;
    if (central && offset >= UINT32_MAX)
        large[n_large++] = offset;
    bytes_text(b, central ? "PK\1\2" : "PK\3\4");
    for (int i = 0; i <= central; i++)
        bytes_number(b, 45, 2); /* version made by, version needed */
    bytes_zeros(b, 12);         /* flags, method, time, date, checksum */
    for (int i = 0; i < 2; i++)
        bytes_number(b, n < UINT32_MAX ? n : UINT32_MAX, 4);
    bytes_number(b, strlen(name), 2);
    bytes_number(b, n_large ? 4 + 8 * n_large : 0, 2);
    if (central) {
        bytes_zeros(b, 10);
        bytes_number(b, offset < UINT32_MAX ? offset : UINT32_MAX, 4);
    }
    bytes_text(b, name);
    if (n_large)
        bytes_number(b, 1, 2), bytes_number(b, 8 * n_large, 2);
    for (size_t i = 0; i < n_large; i++)
        bytes_number(b, large[i], 8);
}

/* The released text encoder has 11 GB. Most of this file is a hole that takes no room. */
START_TEST(archives_beyond_four_gigabytes)
{
    static const char path[] = "check_weights.tmp";
    const uint64_t n = 4500000000;
    struct bytes pickle = {0}, tail = {0};
    struct zip_build zip = {0};
    bytes_text(&pickle, "\x80\x02}(");
    put_long_entry(&pickle, "large", "0", n);
    put_long_entry(&pickle, "behind", "1", 4);
    bytes_text(&pickle, "u.");
    zip_add(&zip, "x/data.pkl", pickle.data, pickle.n);
    size_t first = zip.bytes.n;
    put_zip64(&zip.bytes, false, "x/data/0", n, 0);
    uint64_t second = zip.bytes.n + n;
    bytes_write_file(&zip.bytes, path);
    put_zip64(&tail, false, "x/data/1", 4, 0);
    bytes_zeros(&tail, 4);
    uint64_t directory = second + tail.n;
    size_t before = tail.n;
    put_zip64(&tail, true, "x/data.pkl", pickle.n, 0);
    bytes_patch(&tail, before + 16, zip.files[0].crc, 4);
    put_zip64(&tail, true, "x/data/0", n, first);
    put_zip64(&tail, true, "x/data/1", 4, second);
    size_t directory_bytes = tail.n - before;
    bytes_text(&tail, "PK\6\6");
    bytes_number(&tail, 44, 8), bytes_number(&tail, 45, 4), bytes_zeros(&tail, 8);
    bytes_number(&tail, 3, 8), bytes_number(&tail, 3, 8);
    bytes_number(&tail, directory_bytes, 8), bytes_number(&tail, directory, 8);
    bytes_text(&tail, "PK\6\7");
    bytes_zeros(&tail, 4);
    bytes_number(&tail, directory + directory_bytes, 8), bytes_number(&tail, 1, 4);
    bytes_text(&tail, "PK\5\6");
    bytes_zeros(&tail, 4);
    bytes_number(&tail, UINT64_MAX, 8), bytes_number(&tail, UINT32_MAX, 4), bytes_zeros(&tail, 2);

    FILE *file = fopen(path, "r+b");
    ck_assert(file);
    ck_assert_int_eq(fseeko(file, (off_t)second, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(tail.data, 1, tail.n, file), tail.n);
    ck_assert_int_eq(fclose(file), 0);
    struct vs_weights *weights = open_ok(path);
    ck_assert_uint_eq(find(weights, "large")->n_elements, n);
    ck_assert_uint_eq(find(weights, "large")->offset + n, second);
    ck_assert_uint_gt(find(weights, "behind")->offset, second);
    ck_assert_int_eq(((const uint8_t *)find(weights, "behind")->data)[3], 0);
    vs_weights_free(weights);
    ck_assert_int_eq(unlink(path), 0);
    bytes_free(&pickle);
    bytes_free(&tail);
    bytes_free(&zip.bytes);
}
END_TEST

static TCase *cases(void)
{
    TCase *tcase = tcase_create("weights");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, f16_is_exact);
    tcase_add_test(tcase, denormals_are_flushed);
    tcase_add_test(tcase, integers_are_converted);
    tcase_add_test(tcase, quantised_blocks);
    tcase_add_test(tcase, torch_corners);
    tcase_add_loop_test(tcase, forms_hold_one_model, 0, N_FORMS);
    tcase_add_loop_test(tcase, quantised_forms, 0, 3);
    tcase_add_test(tcase, prefixes_are_stripped);
    tcase_add_test(tcase, safetensors_by_hand);
    tcase_add_test(tcase, require_names_what_is_wrong);
    tcase_add_test(tcase, gguf_folds_dimensions);
    tcase_add_test(tcase, preferred_dictionaries);
    tcase_add_test(tcase, other_writers);
    tcase_add_test(tcase, unknown_code_is_inert);
    tcase_add_test(tcase, archives_beyond_four_gigabytes);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("weights");
    suite_add_tcase(suite, cases());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
