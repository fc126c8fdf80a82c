/* SPDX-License-Identifier: Apache-2.0
 *
 * make_seeds.c - writes the seed corpus of the fuzz targets into a folder: make_seeds DIR.
 *
 * Seeds are small and between them use every feature of a format, so that the fuzzer starts behind
 * the first checks. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/file_builder.h"

static const char *root;

static void save(struct bytes *bytes, const char *target, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    bytes_write_file(bytes, path);
    bytes_free(bytes);
}

static void save_text(const char *text, const char *target, const char *name)
{
    struct bytes b = {0};
    bytes_text(&b, text);
    save(&b, target, name);
}

static void safetensors_seeds(void)
{
    struct bytes b = {0};
    safetensors_build(&b,
                      "{\"__metadata__\":{\"format\":\"pt\"},"
                      "\"model.a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                      "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[24,26]},"
                      "\"c\":{\"dtype\":\"I64\",\"shape\":[0,4],\"data_offsets\":[26,26]}}",
                      26);
    save(&b, "safetensors", "three");
    safetensors_build(
        &b,
        "{\"patch_embedding.weight\":{\"dtype\":\"U8\",\"shape\":[4,1,1,2,2],\"data_offsets\":"
        "[0,16]},\"blocks.0.self_attn.q.weight\":{\"dtype\":\"BOOL\",\"shape\":[4,4],"
        "\"data_offsets\":[16,32]}}",
        32);
    save(&b, "safetensors", "transformer");
    save_text("{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"s-1.safetensors\","
              "\"b\":\"s-2.safetensors\"}}",
              "safetensors", "index");
}

static void gguf_seeds(void)
{
    struct bytes b = {0};
    static const uint8_t sizes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    gguf_header(&b, 3, 3, 14);
    for (uint32_t type = 0; type < 13; type++) {
        gguf_string(&b, type == 4 ? "general.alignment" : "key");
        bytes_number(&b, type, 4);
        if (type == 8)
            gguf_string(&b, "text");
        else if (type == 9)
            bytes_number(&b, 8, 4), bytes_number(&b, 2, 8), gguf_string(&b, "a"),
                gguf_string(&b, "");
        else
            bytes_number(&b, type == 4 ? 64 : 1, sizes[type]);
    }
    gguf_string(&b, "numbers");
    bytes_number(&b, 9, 4), bytes_number(&b, 4, 4), bytes_number(&b, 3, 8), bytes_zeros(&b, 12);
    gguf_tensor(&b, "patch_embedding.weight", 4, (uint64_t[]){2, 2, 1, 8}, 1, 0);
    gguf_tensor(&b, "model.a", 2, (uint64_t[]){32, 2}, 8, 64);
    gguf_tensor(&b, "b", 1, (uint64_t[]){256}, 12, 192);
    bytes_align(&b, 64);
    bytes_zeros(&b, 192 + 144);
    save(&b, "gguf", "all-values");
    gguf_header(&b, 2, 2, 0);
    gguf_tensor(&b, "a", 1, (uint64_t[]){32}, 2, 0);
    gguf_tensor(&b, "b", 0, NULL, 30, 32);
    bytes_align(&b, 32);
    bytes_zeros(&b, 34);
    save(&b, "gguf", "version-2");
}

static void torch_seeds(void)
{
    struct bytes p = {0};
    struct zip_build zip = {0};
    bytes_text(&p, "\x80\x02}q\1(");
    pickle_text(&p, "generator_ema");
    bytes_text(&p, "ccollections\nOrderedDict\n)Rq\2(");
    pickle_text(&p, "model.a");
    pickle_tensor(&p, "torch", "FloatStorage", "0", 12, 1, 2, (uint32_t[]){3, 2},
                  (uint32_t[]){1, 5});
    pickle_text(&p, "b");
    bytes_text(&p, "ctorch._utils\n_rebuild_parameter\n");
    pickle_tensor(&p, "torch", "HalfStorage", "0", 24, 0, 1, (uint32_t[]){24}, (uint32_t[]){1});
    bytes_text(&p, "\x88}\x87Ru}");
    pickle_text(&p, "_metadata");
    bytes_text(&p, "}sb");
    pickle_text(&p, "step");
    bytes_text(&p, "M\1\2u.");
    torch_build(&zip, &p, 48);
    save(&zip.bytes, "torch", "archive");
    save(&p, "torch", "dictionary");
    pickle_tensor(&p, "torch", "ByteStorage", "0", 48, 0, 1, (uint32_t[]){48}, (uint32_t[]){1});
    bytes_text(&p, ".");
    save(&p, "torch", "tensor");
    bytes_put(&p, "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00", 11);
    bytes_text(&p, "\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x02ls\x94\x85\x94R\x94}b.");
    save(&p, "torch", "unknown-code");
    bytes_text(&p, "\x80\x02](K\1J\1\2\3\4\x8a\2\1\2G\1\2\3\4\5\6\7\xffN\x88\x89U\1aC\1b]a\x8f("
                   "K\1\x90");
    bytes_text(&p, "}NNs0(1N2\x86\x30(te.");
    save(&p, "torch", "all-opcodes");
}

static void text_seeds(void)
{
    save_text("A &lt;b&gt; caf&eacute; &#x4e2d; &amp;amp; \xef\xbc\xa1 \xef\xac\x81\xe2\x80\x99 "
              "\x1b[1m e\xcc\x81 \xe3\x80\x80\xff",
              "clean", "mixed");
    save_text("&#0; &#128; &#xd800; &notit; &nbsp &hearts;\r\n\xc2\x85 <i>", "clean", "entities");
    save_text("{\"dim\":192,\"ffn_dim\":768,\"num_heads\":6,\"num_layers\":4,\"freq_dim\":256,"
              "\"text_dim\":64,\"text_len\":32,\"in_dim\":16,\"out_dim\":16,\"eps\":1e-6,"
              "\"num_frame_per_block\":3,\"local_attn_size\":7,\"sink_size\":1,"
              "\"denoising_step_list\":[1000,750,500,250],\"timestep_shift\":5.0,"
              "\"context_noise\":0,\"memory\":{\"qk\":\"pre_rope\",\"norm_eps\":1e-6},"
              "\"router\":{\"horizon\":240},\"rope\":{\"frame\":\"relative\"},\"width\":96,"
              "\"height\":64,\"fps\":16}",
              "config", "full");
    save_text(
        "{\"local_attn_size\":-1,\"router\":{\"horizon\":null},\"memory\":{\"qk\":\"roped\"}}",
        "config", "short");
}

/* Three bytes behind a file say what it is converted to. */
static void convert_seed(struct bytes *file, const char *options, const char *name)
{
    bytes_put(file, options, 3);
    save(file, "convert", name);
}

static void convert_seeds(void)
{
    static const char small[] =
        "{\"patch_embedding.weight\":{\"dtype\":\"F32\",\"shape\":[1,2,1,2,2],\"data_offsets\":"
        "[0,32]},\"blocks.0.self_attn.q.weight\":{\"dtype\":\"F16\",\"shape\":[2,32],"
        "\"data_offsets\":[32,160]},\"blocks.0.ffn.0.weight\":{\"dtype\":\"BF16\",\"shape\":[1,256],"
        "\"data_offsets\":[160,672]},\"empty\":{\"dtype\":\"I64\",\"shape\":[0,4],"
        "\"data_offsets\":[672,672]}}";
    static const char *const options[] = {"\0\5\2", "\1\5\2", "\2\5\0", "\2\3\0", "\2\4\0",
                                          "\0\1\1", "\1\2\0"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct bytes b = {0};
        char name[16];
        safetensors_build(&b, small, 672);
        snprintf(name, sizeof name, "%zu", i);
        convert_seed(&b, options[i], name);
    }
}

static void lora_seeds(void)
{
    struct bytes b = {0};
    safetensors_build(&b,
                      "{\"diffusion_model.blocks.0.self_attn.q.lora_down.weight\":{\"dtype\":\"F32\","
                      "\"shape\":[2,4],\"data_offsets\":[0,32]},"
                      "\"diffusion_model.blocks.0.self_attn.q.lora_up.weight\":{\"dtype\":\"BF16\","
                      "\"shape\":[6,2],\"data_offsets\":[32,56]},"
                      "\"diffusion_model.blocks.0.self_attn.q.alpha\":{\"dtype\":\"F32\",\"shape\":[],"
                      "\"data_offsets\":[56,60]}}",
                      60);
    save(&b, "lora", "comfyui");
    safetensors_build(&b,
                      "{\"lora_unet_blocks_0_ffn_0.lora_down.weight\":{\"dtype\":\"F16\","
                      "\"shape\":[1,4],\"data_offsets\":[0,8]},"
                      "\"lora_unet_blocks_0_ffn_0.lora_up.weight\":{\"dtype\":\"F16\","
                      "\"shape\":[6,1],\"data_offsets\":[8,20]}}",
                      20);
    save(&b, "lora", "kohya");
    safetensors_build(&b,
                      "{\"diffusion_model.blocks.0.self_attn.q.diff\":{\"dtype\":\"F32\","
                      "\"shape\":[6,4],\"data_offsets\":[0,96]},"
                      "\"diffusion_model.blocks.0.self_attn.q.diff_b\":{\"dtype\":\"F32\","
                      "\"shape\":[6],\"data_offsets\":[96,120]}}",
                      120);
    save(&b, "lora", "full");
}

static void state_seeds(void)
{
    struct bytes b = {0};
    safetensors_build(&b,
                      "{\"__metadata__\":{\"kind\":\"videossm-cl state 1\",\"label\":\"a run\","
                      "\"chunks\":\"3\"},\"latents\":{\"dtype\":\"F32\",\"shape\":[2,3],"
                      "\"data_offsets\":[0,24]},\"sha256\":{\"dtype\":\"U8\",\"shape\":[64],"
                      "\"data_offsets\":[24,88]}}",
                      88);
    save(&b, "state", "latents");
}

static void script_seeds(void)
{
    save_text("[{\"at\":0,\"prompt\":\"fox\"},{\"at\":1.5,\"prompt\":\"\\u00e9\"}]", "script", "list");
    save_text("{\"prompts\":[{\"at\":0,\"prompt\":\"fox\"}]}", "script", "object");
    save_text("{\"format\":1,\"width\":32,\"height\":48,\"fps\":16.0,\"seconds\":0.5,\"seed\":\"7\","
              "\"memory\":\"hybrid\",\"noise\":\"philox\",\"kv\":\"f32\",\"window\":9,\"sink\":3,"
              "\"horizon\":12,\"steps\":4,\"model\":\"00\",\"version\":\"0.1.0\",\"loras\":[{\"name\":"
              "\"a\",\"scale\":0.5,\"fingerprint\":\"00\"}],\"prompts\":[{\"at\":0,\"prompt\":"
              "\"fox\"}]}",
              "script", "settings");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("make_seeds DIR: writes the seed corpus of the fuzz targets\n", stderr);
        return 2;
    }
    root = argv[1];
    mkdir(root, 0777);
    safetensors_seeds();
    gguf_seeds();
    torch_seeds();
    text_seeds();
    convert_seeds();
    lora_seeds();
    state_seeds();
    script_seeds();
    return 0;
}
