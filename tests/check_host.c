/* SPDX-License-Identifier: Apache-2.0
 *
 * check_host.c - options, prompts, the settings' record, shipped tuning records, progress.
 *
 * Outputs stand in check_sinks.c, drivers and files that are missing in check_missing.c, the whole
 * program in cli.sh. */
#include "config.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/progress.h"
#include "host/settings.h"
#include "host/tuning.h"
#include "models/config.h"
#include "tests/check_files.h"

/* ---- Options ------------------------------------------------------------------------------ */

struct values {
    bool loud;
    const char *name;
    struct host_list outputs, at;
    struct host_count seed;
    struct host_number fps;
    struct host_size size;
    int memory;
};

static const struct host_option options[] = {
    {HOST_HEADING, .name = "Group"},
    {HOST_FLAG, 'l', "loud", NULL, "Flag.", offsetof(struct values, loud)},
    {HOST_STRING, 'n', "name", "TEXT", "String.", offsetof(struct values, name)},
    {HOST_LIST, 'o', "output", "NAME", "List.", offsetof(struct values, outputs)},
    {HOST_PAIRS, 0, "at", "SECONDS TEXT", "Pairs.", offsetof(struct values, at)},
    {HOST_COUNT, 0, "seed", "N", "Count.", offsetof(struct values, seed), .count_max = UINT64_MAX},
    {HOST_NUMBER, 0, "fps", "RATE", "Number.", offsetof(struct values, fps), .number_min = 0.5,
     .number_max = 100},
    {HOST_SIZE, 0, "size", "WxH", "Size.", offsetof(struct values, size)},
    {HOST_CHOICE, 0, "memory", "hybrid|sink|full", "Choice.", offsetof(struct values, memory)},
};
static const struct host_spec spec = {.command = "test",
                                      .summary = "tests",
                                      .operands = "FILE",
                                      .max_operands = 2,
                                      .options = options,
                                      .n_options = sizeof options / sizeof *options};

/* Parses words separated by blanks. */
static enum vs_status parse(struct values *values, struct host_list *operands, bool *help,
                            const char *line)
{
    static char words[512];
    char *argv[32] = {words};
    int argc = 0;
    snprintf(words, sizeof words, "test %s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    *values = (struct values){.memory = -1};
    *operands = (struct host_list){0};
    return host_options_parse(&spec, values, operands, help, argc, argv);
}

static void free_values(struct values *values, struct host_list *operands)
{
    free(values->outputs.items);
    free(values->at.items);
    free(operands->items);
}

START_TEST(every_form_of_an_option_is_read)
{
    struct values values;
    struct host_list operands;
    bool help;
    ck_assert_int_eq(parse(&values, &operands, &help,
                           "-lo a --output=b first -nX -o - --at 1.5 t --at 2 u --seed "
                           "18446744073709551615 --fps=.5 --size 832x480 --memory full -- --loud"),
                     VS_OK);
    ck_assert(!help && values.loud);
    ck_assert_str_eq(values.name, "X");
    ck_assert_uint_eq(values.outputs.n, 3);
    ck_assert_str_eq(values.outputs.items[0], "a");
    ck_assert_str_eq(values.outputs.items[1], "b");
    ck_assert_str_eq(values.outputs.items[2], "-");
    ck_assert_uint_eq(values.at.n, 4);
    ck_assert_str_eq(values.at.items[2], "2");
    ck_assert_str_eq(values.at.items[3], "u");
    ck_assert(values.seed.given && values.seed.value == UINT64_MAX);
    ck_assert(values.fps.given && values.fps.value == 0.5);
    ck_assert_uint_eq(values.size.width, 832);
    ck_assert_uint_eq(values.size.height, 480);
    ck_assert_int_eq(values.memory, 2);
    ck_assert_uint_eq(operands.n, 2);
    ck_assert_str_eq(operands.items[0], "first");
    ck_assert_str_eq(operands.items[1], "--loud");
    free_values(&values, &operands);
}
END_TEST

static const struct {
    const char *line, *message;
} wrong_lines[] = {
    {"--lout", "--loud"},
    {"--output", "--output needs a value"},
    {"-o", "--output needs a value"},
    {"--at 1", "two values"},
    {"--loud=1", "takes no value"},
    {"-z", "-z"},
    {"-lz", "-z"},
    {"a b c", "'c'"},
    {"--seed -1", "from 0 to 18446744073709551615"},
    {"--seed +1", "--seed '+1'"},
    {"--seed 1.0", "--seed"},
    {"--seed 18446744073709551616", "--seed"},
    {"--seed 0x10", "--seed"},
    {"--seed=", "--seed ''"},
    {"--fps 16x", "--fps '16x'"},
    {"--fps nan", "from 0.5 to 100"},
    {"--fps inf", "--fps"},
    {"--fps 1e999", "--fps"},
    {"--fps 0x10", "--fps"},
    {"--fps 0.4999", "--fps"},
    {"--fps 100.5", "--fps"},
    {"--fps 1e", "--fps"},
    {"--fps -5", "--fps"},
    {"--size 832", "--size '832'"},
    {"--size 832x", "--size"},
    {"--size x480", "--size"},
    {"--size 830x480", "multiples of 16"},
    {"--size 832x480x3", "--size"},
    {"--size 0x16", "--size"},
    {"--size 99999999999999999999x16", "--size"},
    {"--size 16400x16", "--size"},
    {"--memory Full", "hybrid|sink|full"},
    {"--memory ful", "--memory 'ful'"},
};

START_TEST(a_wrong_option_is_a_usage_error_that_names_it)
{
    struct values values;
    struct host_list operands;
    bool help;
    ck_assert_int_eq(parse(&values, &operands, &help, wrong_lines[_i].line), VS_ERROR_USAGE);
    ck_assert_msg(strstr(vs_error_message(), wrong_lines[_i].message) != NULL, "%s: %s",
                  wrong_lines[_i].line, vs_error_message());
    free_values(&values, &operands);
}
END_TEST

START_TEST(help_ends_parsing)
{
    static const char *const lines[] = {"-h --bogus", "--help --fps x", "-lh"};
    for (size_t i = 0; i < 3; i++) {
        struct values values;
        struct host_list operands;
        bool help;
        ck_assert_int_eq(parse(&values, &operands, &help, lines[i]), VS_OK);
        ck_assert(help);
        free_values(&values, &operands);
    }
}
END_TEST

START_TEST(help_of_every_command_is_narrow_and_complete)
{
    static const struct host_spec *const specs[] = {&host_generate_spec, &host_replay_spec,
                                                    &host_devices_spec, &host_inspect_spec};
    for (size_t i = 0; i < 4; i++) {
        char *text = NULL;
        size_t n_bytes;
        FILE *file = open_memstream(&text, &n_bytes);
        host_options_print_help(specs[i], file);
        fclose(file);
        for (size_t j = 0; j < specs[i]->n_options; j++) {
            char name[64];
            snprintf(name, sizeof name, specs[i]->options[j].kind == HOST_HEADING ? "%s:" : "--%s",
                     specs[i]->options[j].name);
            ck_assert_msg(strstr(text, name) != NULL, "%s lacks %s", specs[i]->command, name);
        }
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            ck_assert_msg(strlen(line) <= 80, "%s: %s", specs[i]->command, line);
        free(text);
    }
}
END_TEST

START_TEST(near_words_are_suggested_and_far_ones_are_not)
{
    static const char *const words[] = {"generate", "replay", "devices", "inspect"};
    ck_assert_str_eq(host_nearest("genrate", words, 4), "generate");
    ck_assert_str_eq(host_nearest("geenrate", words, 4), "generate");
    ck_assert_str_eq(host_nearest("gen", words, 4), "generate");
    ck_assert_str_eq(host_nearest("device", words, 4), "devices");
    ck_assert_ptr_null(host_nearest("xyzzy", words, 4));
    ck_assert_ptr_null(host_nearest("a-word-that-is-longer-than-any-option-could-be", words, 4));
}
END_TEST

/* ---- Prompts ------------------------------------------------------------------------------ */

static const struct {
    const char *text;
    size_t fault;
} utf8_cases[] = {
    {"", SIZE_MAX},
    {"plain", SIZE_MAX},
    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", SIZE_MAX},
    {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", SIZE_MAX},
    {"ab\xff", 2},
    {"\x80", 0},
    {"a\xc0\xaf", 1}, /* overlong / */
    {"a\xc1\xbf", 1},
    {"\xe0\x9f\xbf", 0},     /* overlong */
    {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
    {"\xed\xa0\x80", 0},     /* surrogate */
    {"\xf4\x90\x80\x80", 0}, /* past U+10FFFF */
    {"\xf5\x80\x80\x80", 0},
    {"abc\xe2\x82", 3}, /* cut off */
    {"\xc3", 0},
    {"\xf0\x9f\x98", 0},
};

START_TEST(utf8_is_told_from_other_bytes)
{
    ck_assert_uint_eq(host_utf8_fault(utf8_cases[_i].text), utf8_cases[_i].fault);
}
END_TEST

START_TEST(a_script_is_read_in_any_order)
{
    static const char *const scripts[] = {
        "[{\"at\": 2.5, \"prompt\": \"b\"}, {\"at\": 0, \"prompt\": \"a\"}]",
        "{\"title\": 1, \"prompts\": [{\"prompt\": \"a\", \"at\": 0.0}, {\"at\": 2.5, "
        "\"prompt\": \"b\"}]}"};
    for (size_t i = 0; i < 2; i++) {
        struct host_prompts prompts = {0};
        check_put_file(check_path("s.json"), scripts[i]);
        ck_assert_int_eq(host_prompts_load(&prompts, check_path("s.json")), VS_OK);
        ck_assert_int_eq(host_prompts_settle(&prompts), VS_OK);
        ck_assert_uint_eq(prompts.n, 2);
        ck_assert_str_eq(prompts.items[0].text, "a");
        ck_assert_str_eq(prompts.items[1].text, "b");
        ck_assert(prompts.items[0].seconds == 0 && prompts.items[1].seconds == 2.5);
        host_prompts_free(&prompts);
    }
}
END_TEST

static const struct {
    const char *script, *message;
} wrong_scripts[] = {
    {"", "line 1"},
    {"[", "line 1"},
    {"[]", "$: holds no prompt"},
    {"{}", "$.prompts"},
    {"\"text\"", "line 1"},
    {"[1]", "$[0]"},
    {"[{\"at\": 0}]", "$[0].prompt: missing"},
    {"[{\"prompt\": \"a\"}]", "$[0].at: missing"},
    {"[{\"at\": 0, \"prompt\": \"a\"}, {\"at\": \"1\", \"prompt\": \"b\"}]", "$[1].at"},
    {"[{\"at\": 0, \"prompt\": 7}]", "$[0].prompt"},
    {"[{\"at\": -1, \"prompt\": \"a\"}]", "$[0]"},
    {"[{\"at\": 1e12, \"prompt\": \"a\"}]", "$[0]"},
    {"[{\"at\": 0, \"prompt\": \"a\", \"promt\": \"b\"}]", "$[0].promt"},
    {"{\"prompts\": [{\"at\": 0, \"prompt\": \"a\", \"at\": 1}]}", "line 1"},
    {"[{\"at\": 0, \"prompt\": \"a\\u0000b\"}]", "line 1"},
    {"[{\"at\": 0, \"prompt\": \"\xff\"}]", "line 1"},
    {"[] x", "line 1"},
};

START_TEST(a_wrong_script_is_refused_with_its_place)
{
    struct host_prompts prompts = {0};
    check_put_file(check_path("s.json"), wrong_scripts[_i].script);
    ck_assert_int_eq(host_prompts_load(&prompts, check_path("s.json")), VS_ERROR_USAGE);
    ck_assert_msg(strstr(vs_error_message(), wrong_scripts[_i].message) != NULL, "%s: %s",
                  wrong_scripts[_i].script, vs_error_message());
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "s.json"));
    host_prompts_free(&prompts);
}
END_TEST

START_TEST(prompts_need_a_beginning_and_times_of_their_own)
{
    struct host_prompts prompts = {0};
    ck_assert_int_eq(host_prompts_settle(&prompts), VS_ERROR_USAGE);
    ck_assert_int_eq(host_prompts_add(&prompts, 1, "late", "test"), VS_OK);
    ck_assert_int_eq(host_prompts_settle(&prompts), VS_ERROR_USAGE);
    ck_assert_int_eq(host_prompts_add(&prompts, 0, "early", "test"), VS_OK);
    ck_assert_int_eq(host_prompts_settle(&prompts), VS_OK);
    ck_assert_int_eq(host_prompts_add(&prompts, 1, "again", "test"), VS_OK);
    ck_assert_int_eq(host_prompts_settle(&prompts), VS_ERROR_USAGE);
    host_prompts_free(&prompts);
}
END_TEST

/* ---- JSON --------------------------------------------------------------------------------- */

static void *allocate(size_t n)
{
    return vs_alloc(n, 1);
}

/* Jansson reads on when a word's memory cannot grow, and the word loses a letter: a key that was
 * taken for another one made a file look wrong. */
START_TEST(a_key_that_lost_a_letter_is_no_fault_of_the_file)
{
    static const char text[] = "{\"num_frame_per_block\": 2, \"local_attn_size\": 14}";
    struct vs_config config;
    char wish[32];
    snprintf(wish, sizeof wish, "memory:%d", _i);
    setenv("VS_FAIL", wish, 1);
    json_set_alloc_funcs(allocate, free);
    enum vs_status status = vs_config_parse(&config, text, strlen(text), "x");
    if (vs_alloc_failed()) {
        ck_assert_int_eq(status, VS_ERROR_MEMORY);
    } else {
        ck_assert_int_eq(status, VS_OK);
        ck_assert(config.frames_per_chunk == 2 && config.window == 14);
        ck_assert_int_gt(_i, 10);
    }
}
END_TEST

/* ---- Settings ----------------------------------------------------------------------------- */

static struct host_settings example(void)
{
    struct host_settings settings = {.width = 832,
                                     .height = 480,
                                     .fps = 24000.0 / 1001,
                                     .seconds = 0.1 + 0.2,
                                     .seed = UINT64_MAX,
                                     .noise = VS_NOISE_TORCH,
                                     .memory = VS_MEMORY_SINK,
                                     .kv = VS_KV_F16,
                                     .window = 12,
                                     .sink = 3,
                                     .horizon = 240,
                                     .n_steps = 4};
    memset(settings.model, 'a', 64);
    strcpy(settings.version, "0.1.0");
    settings.loras = calloc(1, sizeof *settings.loras);
    settings.n_loras = 1;
    settings.loras[0].scale = 0.8;
    strcpy(settings.loras[0].name, "style.pt");
    memset(settings.loras[0].fingerprint, 'b', 64);
    ck_assert_int_eq(host_prompts_add(&settings.prompts, 0, "caf\xc3\xa9 \"\\\n", "test"), VS_OK);
    ck_assert_int_eq(host_prompts_add(&settings.prompts, 12.3, "zwei", "test"), VS_OK);
    return settings;
}

START_TEST(a_record_comes_back_to_the_bit)
{
    struct host_settings settings = example(), back;
    char *json = host_settings_json(&settings);
    ck_assert_int_eq(host_settings_parse(&back, json, "test"), VS_OK);
    ck_assert(back.fps == settings.fps && back.seconds == settings.seconds);
    ck_assert(back.seed == settings.seed && back.noise == settings.noise);
    ck_assert(back.memory == settings.memory && back.kv == VS_KV_F16 && back.window == 12 && back.sink == 3);
    ck_assert(back.horizon == 240 && back.width == 832 && back.height == 480);
    ck_assert_uint_eq(back.prompts.n, 2);
    ck_assert_str_eq(back.prompts.items[0].text, "caf\xc3\xa9 \"\\\n");
    ck_assert(back.prompts.items[1].seconds == 12.3);
    ck_assert_str_eq(back.model, settings.model);
    ck_assert_uint_eq(back.n_loras, 1);
    ck_assert(back.loras[0].scale == 0.8);
    ck_assert_str_eq(back.loras[0].name, "style.pt");
    ck_assert_str_eq(back.loras[0].fingerprint, settings.loras[0].fingerprint);
    char *again = host_settings_json(&back);
    ck_assert_str_eq(json, again);
    for (const char *c = json; *c; c++)
        ck_assert((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
    free(json);
    free(again);
    host_settings_free(&settings);
    host_settings_free(&back);
}
END_TEST

/* What it was before there was a choice: the record of an exact video names none. */
START_TEST(only_fast_precision_is_recorded)
{
    struct host_settings settings = example(), back;
    char *exact = host_settings_json(&settings), *exact_line = host_settings_parameters(&settings);
    ck_assert_ptr_null(strstr(exact, "recision"));
    ck_assert_ptr_null(strstr(exact_line, "recision"));
    settings.precision = VS_PRECISION_FAST;
    char *fast = host_settings_json(&settings), *fast_line = host_settings_parameters(&settings);
    ck_assert_ptr_nonnull(strstr(fast, "\"precision\":\"fast\""));
    ck_assert_ptr_nonnull(strstr(fast_line, "Precision: fast"));
    ck_assert_int_eq(host_settings_parse(&back, exact, "test"), VS_OK);
    ck_assert_int_eq(back.precision, VS_PRECISION_EXACT);
    host_settings_free(&back);
    ck_assert_int_eq(host_settings_parse(&back, fast, "test"), VS_OK);
    ck_assert_int_eq(back.precision, VS_PRECISION_FAST);
    struct vs_generate_options options;
    host_settings_options(&options, &back);
    ck_assert_int_eq(options.precision, VS_PRECISION_FAST);
    host_settings_free(&back);
    memcpy(strstr(fast, "fast"), "fest", 4);
    ck_assert_int_eq(host_settings_parse(&back, fast, "test"), VS_ERROR_USAGE);
    free(exact), free(exact_line), free(fast), free(fast_line);
    host_settings_free(&settings);
}
END_TEST

START_TEST(given_frames_are_recorded)
{
    struct host_settings settings = example(), back;
    char *none = host_settings_json(&settings);
    ck_assert_ptr_null(strstr(none, "given"));
    settings.given_frames = 33;
    memset(settings.given_digest, 'c', 64);
    char *json = host_settings_json(&settings), *line = host_settings_parameters(&settings);
    ck_assert_ptr_nonnull(strstr(line, ", Begins with: 33 frames that were given, "));
    ck_assert_int_eq(host_settings_parse(&back, json, "test"), VS_OK);
    ck_assert_uint_eq(back.given_frames, 33);
    ck_assert_str_eq(back.given_digest, settings.given_digest);
    host_settings_free(&back);
    memcpy(strstr(json, ":33"), ":-3", 3);
    ck_assert_int_eq(host_settings_parse(&back, json, "test"), VS_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(vs_error_message(), "given"));
    free(none), free(json), free(line);
    host_settings_free(&settings);
}
END_TEST

/* Files of versions that had no choice of it. */
START_TEST(a_record_without_kv_is_of_f32)
{
    struct host_settings settings = example(), back;
    char *json = host_settings_json(&settings), *kv = strstr(json, "\"kv\":\"f16\",");
    ck_assert_ptr_nonnull(kv);
    memmove(kv, kv + 11, strlen(kv + 11) + 1);
    ck_assert_int_eq(host_settings_parse(&back, json, "test"), VS_OK);
    ck_assert_int_eq(back.kv, VS_KV_F32);
    free(json);
    host_settings_free(&settings);
    host_settings_free(&back);
}
END_TEST

START_TEST(numbers_in_a_record_are_as_short_as_can_be)
{
    struct host_settings settings = example();
    settings.fps = 16;
    settings.seconds = 12.5;
    ck_assert_int_eq(host_prompts_add(&settings.prompts, 60, "drei", "test"), VS_OK);
    char *json = host_settings_json(&settings);
    ck_assert_ptr_nonnull(strstr(json, "\"fps\":16.0,"));
    ck_assert_ptr_nonnull(strstr(json, "\"at\":12.3,"));
    ck_assert_ptr_nonnull(strstr(json, "\"at\":60.0,"));
    ck_assert_ptr_nonnull(strstr(json, "\"seconds\":12.5,"));
    ck_assert_ptr_nonnull(strstr(json, "\"seed\":\"18446744073709551615\""));
    free(json);
    host_settings_free(&settings);
}
END_TEST

START_TEST(parameters_say_the_same_to_people)
{
    struct host_settings settings = example();
    settings.fps = 16;
    settings.seconds = 60;
    char *text = host_settings_parameters(&settings);
    ck_assert_ptr_nonnull(strstr(text, "caf\xc3\xa9 \"\\\n"));
    ck_assert_ptr_nonnull(strstr(text, "[from 12.3 s] zwei\n"));
    ck_assert_ptr_nonnull(strstr(text, "Steps: 4, Seed: 18446744073709551615, Size: 832x480, "
                                       "FPS: 16, Seconds: 60, Memory: sink, Window: 12, Sink: 3"));
    ck_assert_ptr_nonnull(strstr(text, "Model hash: aaaaaaaa"));
    ck_assert_ptr_nonnull(strstr(text, ", LoRA: style.pt:0.8, Version"));
    ck_assert_ptr_nonnull(strstr(text, "Version: videossm-cl 0.1.0"));
    free(text);
    host_settings_free(&settings);
}
END_TEST

/* Replaces the first `from` of the record by `to`. */
static const struct {
    const char *from, *to;
} damages[] = {
    {"\"format\":1", "\"format\":2"},        {"\"width\":832", "\"width\":-832"},
    {"\"width\":832", "\"width\":99999999"}, {"\"width\":832", "\"width\":\"832\""},
    {"\"height\":480", "\"height\":0"},      {"\"seconds\":", "\"seconds\":-"},
    {"\"seed\":\"1", "\"seed\":\"9"},        {"\"seed\":\"1", "\"seed\":\"-1"},
    {"\"memory\":\"sink", "\"memory\":\"x"}, {"\"noise\":", "\"nois\":"},
    {"\"prompts\":[", "\"prompts\":[1,"},    {"\"at\":0.0", "\"at\":1.0"},
    {"\"model\":\"", "\"model\":\"a"},       {"\"version\":\"0.1.0\"", "\"version\":1"},
    {"\"window\":12", "\"window\":1e3"},     {"{", "["},
    {"\"loras\":[", "\"loras\":[1,"},        {"\"scale\":0.8", "\"scale\":\"1\""},
    {"\"name\":\"style", "\"nam\":\"style"}, {"\"fingerprint\":\"", "\"fingerprint\":\"b"},
    {"\"kv\":\"f16", "\"kv\":\"f8"},           {"\"kv\":\"f16\"", "\"kv\":16"},
};

START_TEST(a_changed_record_is_refused)
{
    struct host_settings settings = example(), back;
    char *json = host_settings_json(&settings), changed[2048];
    const char *place = strstr(json, damages[_i].from);
    ck_assert_ptr_nonnull(place);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(place - json), json, damages[_i].to,
             place + strlen(damages[_i].from));
    ck_assert_int_eq(host_settings_parse(&back, changed, "x.png"), VS_ERROR_USAGE);
    free(json);
    host_settings_free(&settings);
}
END_TEST

/* A record that nobody knows, or that was compared with fewer variants than there are, is passed
 * over in silence: `videossm-cl tune -o FILE` on that device makes it anew. */
START_TEST(shipped_tuning_records_are_current)
{
    json_t *blocks = json_loads(host_tuning_shipped, 0, NULL);
    ck_assert_uint_gt(json_array_size(blocks), 0);
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const json_t *records = json_object_get(json_array_get(blocks, i), "records");
        ck_assert_uint_gt(json_array_size(records), 0);
        for (size_t j = 0; j < json_array_size(records); j++) {
            const json_t *record = json_array_get(records, j);
            const char *op = json_string_value(json_object_get(record, "op"));
            ck_assert_ptr_nonnull(op);
            ck_assert_ptr_nonnull(json_object_get(record, "among"));
            ck_assert_msg(host_tuning_is_current(record), "%s is out of date", op);
        }
    }
    json_decref(blocks);
}
END_TEST

/* ---- Progress ----------------------------------------------------------------------------- */

START_TEST(the_line_fits_every_width)
{
    struct host_progress_state state = {.chunk = 11,
                                        .n_chunks = 80,
                                        .n_frames_done = 141,
                                        .n_frames = 960,
                                        .fps = 16,
                                        .fraction = 0.14,
                                        .rate = 5.31,
                                        .elapsed = 27,
                                        .left = 154};
    char line[1024];
    for (size_t width = 5; width < 160; width++) {
        host_progress_line(line, sizeof line, &state, width, HOST_BAR_ASCII, false);
        ck_assert_msg(strlen(line) <= width, "%zu: %s", width, line);
        ck_assert(*line);
    }
    host_progress_line(line, sizeof line, &state, 160, HOST_BAR_NONE, false);
    ck_assert_str_eq(line, "chunk 12/80  141/960 frames  8.8/60.0 s  5.31 frames/s  0:27 elapsed  "
                           "2:34 left");
    /* Blocks are of three bytes, but of one column. */
    host_progress_line(line, sizeof line, &state, 100, HOST_BAR_BLOCKS, true);
    size_t columns = 0;
    for (const char *c = line; *c; c++) {
        if (*c == '\033')
            c = strchr(c, 'm');
        else
            columns += ((unsigned char)*c & 0xc0) != 0x80;
    }
    ck_assert_uint_le(columns, 100);
    ck_assert_ptr_nonnull(strstr(line, "\033[36m"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *words = tcase_create("options");
    tcase_add_test(words, every_form_of_an_option_is_read);
    tcase_add_loop_test(words, a_wrong_option_is_a_usage_error_that_names_it, 0,
                        sizeof wrong_lines / sizeof *wrong_lines);
    tcase_add_test(words, help_ends_parsing);
    tcase_add_test(words, help_of_every_command_is_narrow_and_complete);
    tcase_add_test(words, near_words_are_suggested_and_far_ones_are_not);
    suite_add_tcase(suite, words);
    TCase *texts = tcase_create("prompts");
    tcase_add_checked_fixture(texts, check_make_folder, check_remove_folder);
    tcase_add_loop_test(texts, utf8_is_told_from_other_bytes, 0,
                        sizeof utf8_cases / sizeof *utf8_cases);
    tcase_add_test(texts, a_script_is_read_in_any_order);
    tcase_add_loop_test(texts, a_wrong_script_is_refused_with_its_place, 0,
                        sizeof wrong_scripts / sizeof *wrong_scripts);
    tcase_add_test(texts, prompts_need_a_beginning_and_times_of_their_own);
    suite_add_tcase(suite, texts);
    TCase *json = tcase_create("JSON");
    tcase_add_loop_test(json, a_key_that_lost_a_letter_is_no_fault_of_the_file, 1, 40);
    suite_add_tcase(suite, json);
    TCase *records = tcase_create("settings");
    tcase_add_test(records, a_record_comes_back_to_the_bit);
    tcase_add_test(records, only_fast_precision_is_recorded);
    tcase_add_test(records, given_frames_are_recorded);
    tcase_add_test(records, a_record_without_kv_is_of_f32);
    tcase_add_test(records, numbers_in_a_record_are_as_short_as_can_be);
    tcase_add_test(records, parameters_say_the_same_to_people);
    tcase_add_test(records, shipped_tuning_records_are_current);
    tcase_add_loop_test(records, a_changed_record_is_refused, 0, sizeof damages / sizeof *damages);
    suite_add_tcase(suite, records);
    TCase *lines = tcase_create("progress");
    tcase_add_test(lines, the_line_fits_every_width);
    suite_add_tcase(suite, lines);
    return check_run_suite(suite);
}
