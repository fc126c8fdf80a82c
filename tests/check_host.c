/* SPDX-License-Identifier: Apache-2.0
 *
 * check_host.c - options, prompts, the settings' record, progress, the search for drivers, and model
 * files cut short while they are mapped.
 *
 * Outputs stand in check_sinks.c, the whole program in cli.sh. */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/command.h"
#include "host/draft.h"
#include "host/missing.h"
#include "host/progress.h"
#include "host/settings.h"
#include "host/signals.h"
#include "host/tuning.h"
#include "kernels/bench/bench.h"
#include "models/file_map.h"

static char folder[] = "check_host.XXXXXX";

static void make_folder(void)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

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
        put_file(in_folder("s.json"), scripts[i]);
        ck_assert_int_eq(host_prompts_load(&prompts, in_folder("s.json")), VS_OK);
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
    put_file(in_folder("s.json"), wrong_scripts[_i].script);
    ck_assert_int_eq(host_prompts_load(&prompts, in_folder("s.json")), VS_ERROR_USAGE);
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

/* ---- Missing devices ---------------------------------------------------------------------- */

static struct host_places empty_places(void)
{
    mkdir(in_folder("vendors"), 0777);
    static char vendors[256], dri[256], drm[256], nvidia[256];
    snprintf(vendors, sizeof vendors, "%s", in_folder("vendors"));
    snprintf(dri, sizeof dri, "%s", in_folder("dri"));
    snprintf(drm, sizeof drm, "%s", in_folder("drm"));
    snprintf(nvidia, sizeof nvidia, "%s", in_folder("nvidia"));
    return (struct host_places){vendors, dri, drm, nvidia, false};
}

/* Looks for gaps; true when one holds both texts. */
static bool finds(const struct host_places *places, const struct vs_device_info *devices,
                  size_t n_devices, const char *what, const char *remedy)
{
    struct host_gaps gaps;
    bool found = false;
    ck_assert_int_eq(host_gaps_collect(&gaps, places, devices, n_devices), VS_OK);
    for (size_t i = 0; i < gaps.n; i++)
        found = found || (strstr(gaps.items[i].what, what) && strstr(gaps.items[i].remedy, remedy));
    host_gaps_free(&gaps);
    return found;
}

static void add_card(const char *vendor)
{
    mkdir(in_folder("drm"), 0777);
    mkdir(in_folder("drm/card0"), 0777);
    mkdir(in_folder("drm/card0/device"), 0777);
    put_file(in_folder("drm/card0/device/vendor"), vendor);
}

START_TEST(no_driver_is_told)
{
    struct host_places places = empty_places();
    ck_assert(finds(&places, NULL, 0, "no .icd file", "pocl-opencl-icd"));
    places.vendors = "nowhere";
    ck_assert(finds(&places, NULL, 0, "nowhere", "pocl-opencl-icd"));
    places.vendors_from_environment = true;
    ck_assert(finds(&places, NULL, 0, "OCL_ICD_VENDORS", "OCL_ICD_VENDORS"));
}
END_TEST

START_TEST(a_driver_that_does_not_load_is_told)
{
    struct host_places places = empty_places();
    put_file(in_folder("vendors/x.icd"), "libnosuchdriver.so.7\n");
    ck_assert(finds(&places, NULL, 0, "x.icd", "libnosuchdriver.so.7"));
    put_file(in_folder("vendors/x.icd"), "libm.so.6\n");
    ck_assert(finds(&places, NULL, 0, "1 of 1 drivers", "pocl-opencl-icd"));
    struct vs_device_info device = {.type = VS_DEVICE_CPU};
    ck_assert(!finds(&places, &device, 1, "", ""));
    put_file(in_folder("vendors/x.icd"), "\n");
    ck_assert(finds(&places, NULL, 0, "x.icd names no library", ""));
}
END_TEST

static const struct {
    const char *number, *name, *package, *vendor;
} cards[] = {
    {"0x8086\n", "Intel", "intel-opencl-icd", "Intel(R) Corporation"},
    {"0x1002\n", "AMD", "mesa-opencl-icd", "Advanced Micro Devices, Inc."},
    {"0x10de\n", "NVIDIA", "nvidia-opencl-icd", "NVIDIA Corporation"},
};

START_TEST(a_card_without_driver_is_told_with_the_package)
{
    struct host_places places = empty_places();
    struct vs_device_info device = {.type = VS_DEVICE_GPU};
    put_file(in_folder("vendors/x.icd"), "libm.so.6\n");
    add_card(cards[_i].number);
    ck_assert(finds(&places, NULL, 0, cards[_i].name, cards[_i].package));
    snprintf(device.vendor, sizeof device.vendor, "%s", cards[_i].vendor);
    ck_assert(!finds(&places, &device, 1, "", ""));
    device.type = VS_DEVICE_CPU; /* a CPU of the same maker is not the card */
    ck_assert(finds(&places, &device, 1, cards[_i].name, cards[_i].package));
}
END_TEST

START_TEST(nvidia_module_without_driver_is_told)
{
    struct host_places places = empty_places();
    put_file(in_folder("vendors/x.icd"), "libm.so.6\n");
    mkdir(in_folder("nvidia"), 0777);
    ck_assert(finds(&places, NULL, 0, "NVIDIA", "nvidia-opencl-icd"));
}
END_TEST

START_TEST(a_card_that_is_not_passed_into_a_container_is_told)
{
    struct host_places places = empty_places();
    put_file(in_folder("vendors/x.icd"), "mesa-libm.so\n");
    add_card("0x1002\n");
    ck_assert(finds(&places, NULL, 0, "no render node", "container"));
}
END_TEST

START_TEST(a_closed_render_node_is_told)
{
    struct host_places places = empty_places();
    put_file(in_folder("vendors/x.icd"), "libm.so.6\n");
    mkdir(in_folder("dri"), 0777);
    /* A link to nothing may not be opened by root either. */
    ck_assert_int_eq(symlink("nowhere", in_folder("dri/renderD128")), 0);
    ck_assert(finds(&places, NULL, 0, "renderD128", "render"));
}
END_TEST

/* A record that nobody knows is passed over in silence, so a slip would never be noticed. */
START_TEST(shipped_tuning_records_name_what_there_is)
{
    json_t *blocks = json_loads(host_tuning_shipped, 0, NULL);
    ck_assert_uint_gt(json_array_size(blocks), 0);
    for (size_t i = 0; i < json_array_size(blocks); i++) {
        const json_t *records = json_object_get(json_array_get(blocks, i), "records");
        ck_assert_uint_gt(json_array_size(records), 0);
        for (size_t j = 0; j < json_array_size(records); j++) {
            const json_t *record = json_array_get(records, j);
            const char *op = json_string_value(json_object_get(record, "op"));
            const char *variant = json_string_value(json_object_get(record, "variant"));
            const struct vs_bench_family *family;
            struct vs_bench_shape shape;
            ck_assert(op && variant);
            ck_assert_msg(vs_bench_read(&family, &shape, op) == VS_OK, "%s", vs_error_message());
            ck_assert_ptr_nonnull(family->variant_name);
            size_t k = 0;
            while (family->variant_name(k) && strcmp(family->variant_name(k), variant) != 0)
                k++;
            ck_assert_msg(family->variant_name(k) != NULL, "%s has no variant '%s'", op, variant);
        }
    }
    json_decref(blocks);
}
END_TEST

/* ---- Files cut short under the program ---------------------------------------------------- */

/* A child maps a file of three pages, which then has one. What it says goes to a file. */
static int read_what_is_lost(bool by_write)
{
    enum { PAGES = 3 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
    char *text = malloc(PAGES * page);
    struct vs_file_map *map;
    int status;
    memset(text, 'x', PAGES * page);
    FILE *file = fopen(in_folder("weights"), "wbe");
    ck_assert_uint_eq(fwrite(text, 1, PAGES * page, file), PAGES * page);
    ck_assert_int_eq(fclose(file), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct host_draft draft;
        ck_assert_int_eq(dup2(open(in_folder("said"), O_WRONLY | O_CREAT, 0600), 2), 2);
        host_signals_install();
        ck_assert_int_eq(vs_file_map_open(&map, in_folder("weights")), VS_OK);
        ck_assert_int_eq(host_draft_open(&draft, in_folder("output")), VS_OK);
        ck_assert_int_eq(host_draft_write(&draft, "begun", 5), VS_OK);
        ck_assert_int_eq(truncate(map->path, (off_t)page), 0);
        if (by_write) {
            enum vs_status fault = host_draft_write(&draft, map->data + page, page);
            host_draft_discard(&draft);
            _exit(host_report(fault));
        }
        _exit(map->data[2 * page]);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    free(text);
    ck_assert_int_eq(host_read_file(&text, &n, in_folder("said"), 4096), VS_OK);
    ck_assert_msg(strstr(text, "/weights: the file was cut short") != NULL, "%s", text);
    free(text);
    struct dirent **left;
    int n_left = scandir(folder, &left, NULL, NULL); /* ., .., said, weights */
    for (int i = 0; i < n_left; i++)
        free(left[i]);
    free(left);
    ck_assert_int_eq(n_left, 4);
    return WEXITSTATUS(status);
}

START_TEST(a_file_cut_short_while_it_is_mapped_is_named)
{
    ck_assert_int_eq(read_what_is_lost(false), VS_ERROR_MODEL);
    ck_assert_int_eq(read_what_is_lost(true), VS_ERROR_MODEL);
}
END_TEST

START_TEST(addresses_are_found_in_what_is_mapped_now)
{
    struct vs_file_map *maps[3];
    const void *inside[3];
    for (int i = 0; i < 3; i++) {
        char name[] = "map0";
        name[3] = (char)('0' + i);
        put_file(in_folder(name), "some text");
        ck_assert_int_eq(vs_file_map_open(&maps[i], in_folder(name)), VS_OK);
        inside[i] = maps[i]->data + 3;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(vs_file_map_path_at(inside[i]), maps[i]->path);
    ck_assert_ptr_null(vs_file_map_path_at(maps));
    vs_file_map_free(maps[1]);
    ck_assert_ptr_null(vs_file_map_path_at(inside[1]));
    ck_assert_str_eq(vs_file_map_path_at(inside[0]), maps[0]->path);
    vs_file_map_free(maps[2]);
    vs_file_map_free(maps[0]);
    ck_assert_ptr_null(vs_file_map_path_at(inside[0]));
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
    tcase_add_checked_fixture(texts, make_folder, remove_folder);
    tcase_add_loop_test(texts, utf8_is_told_from_other_bytes, 0,
                        sizeof utf8_cases / sizeof *utf8_cases);
    tcase_add_test(texts, a_script_is_read_in_any_order);
    tcase_add_loop_test(texts, a_wrong_script_is_refused_with_its_place, 0,
                        sizeof wrong_scripts / sizeof *wrong_scripts);
    tcase_add_test(texts, prompts_need_a_beginning_and_times_of_their_own);
    suite_add_tcase(suite, texts);
    TCase *records = tcase_create("settings");
    tcase_add_test(records, a_record_comes_back_to_the_bit);
    tcase_add_test(records, only_fast_precision_is_recorded);
    tcase_add_test(records, given_frames_are_recorded);
    tcase_add_test(records, a_record_without_kv_is_of_f32);
    tcase_add_test(records, numbers_in_a_record_are_as_short_as_can_be);
    tcase_add_test(records, parameters_say_the_same_to_people);
    tcase_add_test(records, shipped_tuning_records_name_what_there_is);
    tcase_add_loop_test(records, a_changed_record_is_refused, 0, sizeof damages / sizeof *damages);
    suite_add_tcase(suite, records);
    TCase *lines = tcase_create("progress");
    tcase_add_test(lines, the_line_fits_every_width);
    suite_add_tcase(suite, lines);
    TCase *missing = tcase_create("missing devices");
    tcase_add_checked_fixture(missing, make_folder, remove_folder);
    tcase_set_timeout(missing, 60);
    tcase_add_test(missing, no_driver_is_told);
    tcase_add_test(missing, a_driver_that_does_not_load_is_told);
    tcase_add_loop_test(missing, a_card_without_driver_is_told_with_the_package, 0,
                        sizeof cards / sizeof *cards);
    tcase_add_test(missing, nvidia_module_without_driver_is_told);
    tcase_add_test(missing, a_card_that_is_not_passed_into_a_container_is_told);
    tcase_add_test(missing, a_closed_render_node_is_told);
    suite_add_tcase(suite, missing);
    TCase *lost = tcase_create("files cut short");
    tcase_add_checked_fixture(lost, make_folder, remove_folder);
    tcase_add_test(lost, a_file_cut_short_while_it_is_mapped_is_named);
    tcase_add_test(lost, addresses_are_found_in_what_is_mapped_now);
    suite_add_tcase(suite, lost);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
