/* SPDX-License-Identifier: Apache-2.0
 *
 * generate.c - `videossm-cl generate`: from a prompt to a video.
 *
 * What can be wrong is looked for in the order of its cost: options, prompts, model files, output
 * names, and only then the device. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/plan.h"
#include "host/resume.h"
#include "host/run.h"
#include "host/settings.h"
#include "host/stored.h"

#define DEFAULT_SECONDS 5.0

struct values {
    struct host_run run;
    const char *prompt, *script;
    struct host_list at; /* time, text, time, text ... */
    struct host_number seconds, fps;
    struct host_size size;
    struct host_count seed, window, sink, horizon;
    int memory, noise, kv, precision;
    const char *resume, *extend;
    struct host_number redo_from;
    bool measure, json; /* of plan */
};

static const struct host_option options[] = {
    {HOST_HEADING, .name = "What to show"},
    {HOST_STRING, 'p', "prompt", "TEXT", "What the video shows, in UTF-8.",
     offsetof(struct values, prompt)},
    {HOST_PAIRS, 0, "at", "SECONDS TEXT",
     "From this time on, show something else. Repeatable. A chunk that has begun is finished "
     "first.",
     offsetof(struct values, at)},
    {HOST_STRING, 0, "script", "FILE",
     "All prompts from a JSON file: [{\"at\": 0, \"prompt\": \"...\"}, ...].",
     offsetof(struct values, script)},
    {HOST_HEADING, .name = "Video"},
    HOST_OUTPUT_OPTION(struct values, run, "Repeatable."),
    {HOST_NUMBER, 's', "seconds", "SECONDS", "Length of the video. Default: 5.",
     offsetof(struct values, seconds), .number_min = 0.001, .number_max = HOST_MAX_SECONDS},
    {HOST_SIZE, 0, "size", "WxH", "Pixels; both multiples of 16. Default: the model's.",
     offsetof(struct values, size)},
    {HOST_NUMBER, 0, "fps", "RATE", "Frames a second. Default: the model's.",
     offsetof(struct values, fps), .number_min = 0.01, .number_max = 1000},
    {HOST_COUNT, 0, "seed", "N",
     "Where the random numbers begin. The same seed and settings make the same video. Default: "
     "drawn at random, and printed.",
     offsetof(struct values, seed), .count_max = UINT64_MAX},
    {HOST_CHOICE, 0, "noise", HOST_NOISE_WORDS,
     "Generator of the noise: a counter for each element (default), or torch's CPU order.",
     offsetof(struct values, noise)},
    {HOST_HEADING, .name = "Memory"},
    {HOST_CHOICE, 0, "memory", HOST_MEMORY_WORDS,
     "What the transformer remembers: window, sink and a state of all that left the window "
     "(default); sink and window; the window; or every frame.",
     offsetof(struct values, memory)},
    {HOST_COUNT, 0, "window", "N",
     "Latent frames in the window, sinks and chunk included. Default: the model's.",
     offsetof(struct values, window), .count_min = 1, .count_max = INT32_MAX},
    {HOST_COUNT, 0, "sink", "N", "Latent frames that never leave. Default: the model's.",
     offsetof(struct values, sink), .count_max = INT32_MAX},
    {HOST_COUNT, 0, "horizon", "N",
     "Latent frames of a whole video, as the router reckons. Default: the model's, else the "
     "length.",
     offsetof(struct values, horizon), .count_min = 1, .count_max = INT32_MAX},
    {HOST_CHOICE, 0, "kv", HOST_KV_WORDS,
     "Numbers in which the keys and values of past frames are kept: f32 (default), or f16 in half "
     "the memory (default in fast precision). Either gives the same bits on every device, but not "
     "each other's.",
     offsetof(struct values, kv)},
    {HOST_HEADING, .name = "Arithmetic"},
    HOST_PRECISION_OPTION(struct values, precision),
    {HOST_HEADING, .name = "Runs that survive"},
    {HOST_STRING, 0, "keep", "DIR", "Keep what is needed to go on with this run after any end.",
     offsetof(struct values, run.keep)},
    {HOST_COUNT, 0, "checkpoint-every", "N",
     "Chunks from one full checkpoint to the next. Default: as often as takes less than 5 % of "
     "the time.",
     offsetof(struct values, run.every), .count_min = 1, .count_max = INT32_MAX},
    {HOST_STRING, 0, "resume", "DIR", "Go on with a run that was kept. Needs no other option.",
     offsetof(struct values, resume)},
    {HOST_NUMBER, 0, "redo-from", "SECONDS",
     "With --resume: another video that shows --prompt from this time on, into another --output.",
     offsetof(struct values, redo_from), .number_min = 0, .number_max = HOST_MAX_SECONDS},
    {HOST_STRING, 0, "extend", "PATH",
     "Make a video --seconds longer: that of a kept run, or any other, a folder of PNG frames or a "
     "video file, which is encoded and gone on with.",
     offsetof(struct values, extend)},
    HOST_MODEL_OPTIONS(struct values, run),
    HOST_RUNNING_OPTIONS(struct values, run),
    /* What generate takes, plan does too, and has these last ones. */
    {HOST_HEADING, .name = "Plan"},
    {HOST_FLAG, 0, "measure", NULL,
     "Measure the device's peak, in a few seconds, and reckon times from that, not from tuning "
     "records.",
     offsetof(struct values, measure)},
    {HOST_FLAG, 0, "json", NULL, "Print JSON, for programs.", offsetof(struct values, json)},
};
enum { N_PLAN_OPTIONS = sizeof options / sizeof *options, N_OPTIONS = N_PLAN_OPTIONS - 3 };

const struct host_spec host_generate_spec = {
    .command = "generate",
    .summary = "make a video from a prompt",
    .about = "Makes a video from a prompt, as long as you like. Frames are written as soon as "
             "they are decoded. The first Ctrl-C finishes the chunk and leaves playable files, "
             "the second quits at once. A run with --keep goes on after any end.",
    .options = options,
    .n_options = N_OPTIONS,
    .examples =
        "  videossm-cl generate -o out/ -o video.mp4 --seconds 60 --seed 7 \\\n"
        "      -p \"a blue square moves left and right on a sand background\"\n"
        "  videossm-cl generate -o sheet.png --seconds 30 \\\n"
        "      -p \"a red circle and a white star take turns crossing a sky background\" \\\n"
        "      --at 12.5 \"two shapes take turns crossing a meadow background\"\n"
        "  videossm-cl generate -p TEXT -o long.mp4 --seconds 600 --keep run/\n"
        "  videossm-cl generate --resume run/\n"
        "  videossm-cl generate --resume run/ --redo-from 30 -p OTHER -o other.mp4\n"
        "  videossm-cl generate --extend run/ --seconds 60\n"
        "  videossm-cl generate --extend clip.mp4 --seconds 30 -p TEXT -o longer.mp4\n"
        "  videossm-cl generate -m DIR -p TEXT -o - | mpv -\n",
};

/* begin: the time of --prompt. */
static enum vs_status collect_prompts(struct host_prompts *prompts, const struct values *values,
                                      double begin)
{
    enum vs_status status = VS_OK;
    if (values->script && (values->prompt || values->at.n))
        return vs_fail(VS_ERROR_USAGE, "--script and %s both say what to show; give one of them",
                       values->prompt ? "--prompt" : "--at");
    if (values->script)
        VS_TRY(host_prompts_load(prompts, values->script));
    if (values->prompt)
        VS_TRY(host_prompts_add(prompts, begin, values->prompt, "--prompt"));
    for (size_t i = 0; i < values->at.n; i += 2) {
        double seconds;
        if (!host_parse_number(values->at.items[i], &seconds) || seconds < 0 ||
            seconds > HOST_MAX_SECONDS)
            return vs_fail(VS_ERROR_USAGE,
                           "--at '%s': give SECONDS (a number from 0 to %.0f), then "
                           "TEXT",
                           values->at.items[i], HOST_MAX_SECONDS);
        VS_TRY(host_prompts_add(prompts, seconds, values->at.items[i + 1], "--at"));
    }
fail:
    return status;
}

static enum vs_status draw_seed(uint64_t *seed)
{
    ssize_t n;
    do {
        n = getrandom(seed, sizeof *seed, 0);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *seed
               ? VS_OK
               : vs_fail(VS_ERROR_RUNTIME, "no random seed: %s; give one with --seed",
                         strerror(errno));
}

static struct vs_generate_options collect_wish(const struct values *values,
                                               const struct host_prompts *prompts)
{
    struct vs_generate_options wish;
    vs_generate_options_init(&wish);
    wish.prompts = prompts->items;
    wish.n_prompts = prompts->n;
    wish.width = values->size.width;
    wish.height = values->size.height;
    wish.fps = values->fps.value;
    wish.seconds = values->seconds.value;
    wish.seed = values->seed.value;
    wish.noise = (enum vs_noise)values->noise;
    wish.memory = (enum vs_memory_mode)values->memory;
    wish.window = values->window.value;
    wish.sink = values->sink.given ? (int)values->sink.value : -1;
    wish.horizon = values->horizon.value;
    wish.precision = (enum vs_precision)values->precision;
    wish.kv = (enum vs_kv)(VS_KV_F32 + values->kv); /* -1, not given: the default */
    wish.offload = values->run.offload;
    return wish;
}

/* Adding LoRAs up takes long and memory; whether the run fits is known without. */
static enum vs_status check_before_merging(const struct host_run *run,
                                           const struct vs_generate_options *wish,
                                           const struct vs_run_past *past)
{
    enum vs_status status = VS_OK;
    struct vs_model *model = NULL;
    struct host_plan plan;
    if (!run->loras.n)
        return VS_OK;
    VS_TRY(host_run_open_model(&model, run, true));
    VS_TRY(host_plan_make(&plan, run, model, wish, past, false));
    VS_TRY(host_plan_check(&plan, run, model, wish, false));
fail:
    vs_model_free(model);
    return status;
}

/* ---- On from frames ----------------------------------------------------------------------- */

/* Without a prompt, the video goes on with the prompts and the seed that it was made with. */
static enum vs_status take_settings(struct host_prompts *prompts, struct values *values)
{
    enum vs_status status = VS_OK;
    struct host_settings settings = {0};
    char *json = NULL;
    VS_TRY(host_stored_settings(&json, values->extend));
    if (!json)
        goto fail;
    VS_TRY(host_settings_parse(&settings, json, values->extend));
    for (size_t i = 0; i < settings.prompts.n; i++)
        VS_TRY(host_prompts_add(prompts, settings.prompts.items[i].seconds,
                                settings.prompts.items[i].text, values->extend));
    if (!values->seed.given)
        values->seed = (struct host_count){true, settings.seed};
fail:
    host_settings_free(&settings);
    free(json);
    return status;
}

/* The size is that of the frames, the length theirs and --seconds more. */
static enum vs_status look_at_frames(struct host_given *given, struct vs_run_past *past,
                                     struct values *values)
{
    enum vs_status status = VS_OK;
    struct vs_model *model = NULL;
    struct host_size *size = &values->size;
    VS_TRY(host_run_open_model(&model, &values->run, true));
    VS_TRY(host_given_look(given, values->extend, values->fps.value, vs_model_info(model)));
    *past = (struct vs_run_past){.n_given = host_given_latents(given, vs_model_info(model)),
                                 .n_there = given->n_chunks};
    values->fps.value = given->fps;
    values->seconds.value += (double)given->n_frames / given->fps;
    if (size->width && (size->width != given->width || size->height != given->height))
        status = vs_fail(VS_ERROR_USAGE,
                         "--size %zux%zu: the frames of '%s' are of %zux%zu; leave the option "
                         "out, or scale them first",
                         size->width, size->height, values->extend, given->width, given->height);
    else if (!(values->seconds.value <= HOST_MAX_SECONDS))
        status = vs_fail(VS_ERROR_USAGE, "--extend '%s': %g s in all are more than %.0f s",
                         values->extend, values->seconds.value, HOST_MAX_SECONDS);
    *size = (struct host_size){given->width, given->height};
fail:
    vs_model_free(model);
    return status;
}

/* Without prompts, those that the frames were made with are taken. */
static enum vs_status check_extend(struct host_prompts *prompts, struct values *values)
{
    enum vs_status status = VS_OK;
    if (!values->seconds.given)
        return vs_fail(VS_ERROR_USAGE, "--extend '%s': by how much? give --seconds",
                       values->extend);
    for (size_t i = 0; i < values->run.outputs.n; i++) {
        bool same;
        VS_TRY(host_kept_same(&same, values->run.outputs.items[i], values->extend));
        if (same)
            return vs_fail(VS_ERROR_USAGE,
                           "--output '%s' is what --extend reads, which must stay; give another",
                           values->run.outputs.items[i]);
    }
    if (!prompts->n)
        status = take_settings(prompts, values);
fail:
    return status;
}

static enum vs_status generate(struct values *values, bool *told)
{
    enum vs_status status = VS_OK;
    struct host_prompts prompts = {0};
    struct vs_model *model = NULL;
    struct vs_generate_options wish;
    struct host_given given;
    struct vs_run_past to_plan = {0};
    struct host_past past = {.given = &given, .encode = true};
    char *output = NULL;
    VS_TRY(collect_prompts(&prompts, values, 0));
    if (values->extend) {
        VS_TRY(check_extend(&prompts, values));
        if (!values->run.outputs.n) {
            output = host_stored_beside(values->extend, "extended");
            VS_TRY(output ? host_list_add(&values->run.outputs, output) : VS_ERROR_MEMORY);
        }
    }
    VS_TRY(host_prompts_settle(&prompts));
    if (values->run.every.given && !values->run.keep) {
        status = vs_fail(VS_ERROR_USAGE, "--checkpoint-every needs a place: give --keep DIR");
        goto fail;
    }
    VS_TRY(host_run_check(&values->run));
    if (values->extend) {
        VS_TRY(look_at_frames(&given, &to_plan, values));
        past.n_most = given.n_chunks;
    }
    wish = collect_wish(values, &prompts);
    if (!values->seed.given)
        VS_TRY(draw_seed(&wish.seed));
    VS_TRY(check_before_merging(&values->run, &wish, &to_plan));
    VS_TRY(host_run_open_model(&model, &values->run, false));
    VS_TRY(host_run_video(&values->run, model, &wish, !values->seed.given,
                          values->extend ? &past : NULL, told));
fail:
    vs_model_free(model);
    host_prompts_free(&prompts);
    free(output);
    return status;
}

/* ---- Kept runs ---------------------------------------------------------------------------- */

/* Settings that the record of a run has, so that nothing may contradict it. */
static const char *settled_option(const struct values *values)
{
    const struct {
        bool given;
        const char *name;
    } settled[] = {{values->script, "--script"},          {values->size.width, "--size"},
                   {values->fps.given, "--fps"},          {values->seed.given, "--seed"},
                   {values->window.given, "--window"},    {values->sink.given, "--sink"},
                   {values->horizon.given, "--horizon"},  {values->memory, "--memory"},
                   {values->noise, "--noise"},            {values->kv >= 0, "--kv"},
                   {values->precision, "--precision"},
                   {!values->redo_from.given && values->run.keep, "--keep"},
                   {!values->redo_from.given && values->prompt, "--prompt"},
                   {!values->redo_from.given && values->at.n, "--at"},
                   {!values->extend && values->seconds.given, "--seconds"}};
    for (size_t i = 0; i < sizeof settled / sizeof *settled; i++)
        if (settled[i].given)
            return settled[i].name;
    return NULL;
}

static enum vs_status check_resume(const struct values *values)
{
    const char *way = values->extend ? "--extend" : "--resume", *settled = settled_option(values);
    if (values->redo_from.given && !values->resume)
        return vs_fail(VS_ERROR_USAGE, "--redo-from needs the run: give --resume DIR");
    if (values->resume && values->extend)
        return vs_fail(VS_ERROR_USAGE, "--resume and --extend both name a run; give one of them");
    if (settled)
        return vs_fail(VS_ERROR_USAGE, "%s: %s is settled by the run; leave it out", way, settled);
    if (values->extend && !values->seconds.given)
        return vs_fail(VS_ERROR_USAGE, "--extend '%s': by how much? give --seconds",
                       values->extend);
    if (values->redo_from.given && (!values->prompt || values->run.outputs.n == 0))
        return vs_fail(VS_ERROR_USAGE, "--redo-from needs the new --prompt, and an --output of its "
                                       "own");
    return VS_OK;
}

/* How to go on, with the prompts of a branch; freed by the caller, also after a fault. */
static enum vs_status collect_resume(struct host_resume *resume, struct host_prompts *prompts,
                                     const struct values *values)
{
    enum vs_status status = VS_OK;
    *resume = (struct host_resume){.dir = values->extend ? values->extend : values->resume,
                                   .redo = values->redo_from.given,
                                   .from = values->redo_from.value,
                                   .extend = values->extend ? values->seconds.value : 0,
                                   .prompts = prompts};
    VS_TRY(check_resume(values));
    if (resume->redo)
        VS_TRY(collect_prompts(prompts, values, resume->from));
fail:
    return status;
}

/* Whether a kept run is to go on; --extend takes plain frames, too. */
static enum vs_status goes_on(bool *kept_run, const struct values *values)
{
    *kept_run = values->resume || values->redo_from.given;
    return values->extend && !*kept_run ? host_kept_is_run(kept_run, values->extend) : VS_OK;
}

static enum vs_status go_on(struct values *values, bool *told)
{
    enum vs_status status = VS_OK;
    struct host_prompts prompts = {0};
    struct host_resume resume;
    VS_TRY(collect_resume(&resume, &prompts, values));
    VS_TRY(host_resume_video(&values->run, &resume, told));
fail:
    host_prompts_free(&prompts);
    return status;
}

int host_generate(int argc, char **argv)
{
    struct values values = {.seconds = {false, DEFAULT_SECONDS}, .kv = -1};
    bool help, told = false, kept_run = false;
    enum vs_status status =
        host_options_parse(&host_generate_spec, &values, NULL, &help, argc, argv);
    if (status == VS_OK)
        status = goes_on(&kept_run, &values);
    if (status == VS_OK && help)
        host_options_print_help(&host_generate_spec, stdout);
    else if (status == VS_OK && kept_run)
        status = go_on(&values, &told);
    else if (status == VS_OK)
        status = generate(&values, &told);
    host_run_free_options(&values.run);
    free(values.at.items);
    return told ? (int)status : host_report(status);
}

/* ---- Plans -------------------------------------------------------------------------------- */

const struct host_spec host_plan_spec = {
    .command = "plan",
    .summary = "say what a run will take, before anything is loaded",
    .about =
        "Says how much memory a run of 'generate' with the same options will take on the "
        "device, by use, and on the host; what it will write to disk; and how long it will "
        "take. The run is gone through on paper: of the model's files little more than the "
        "headers is read, and nothing is computed. Exits with 4 when the run does not fit, and "
        "says what would. A prompt may be missing; then it is as long as one can be. With "
        "--resume or --extend, time is that of what is still to be made.",
    .options = options,
    .n_options = N_PLAN_OPTIONS,
    .examples = "  videossm-cl plan -m Wan2.1-T2V-1.3B --seconds 60\n"
                "  videossm-cl plan -m DIR -d gpu --max-memory 8G --window 12 --kv f16\n"
                "  videossm-cl plan --resume run/ -d gpu\n",
};

/* As many words as the text encoder takes. */
static enum vs_status add_longest_prompt(struct host_prompts *prompts, size_t n_words)
{
    static const char word[] = "word ";
    size_t n = sizeof word - 1;
    char *text = vs_alloc(n_words * n + 1, 1);
    if (!text)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < n_words; i++)
        memcpy(text + i * n, word, n);
    enum vs_status status = host_prompts_add(prompts, 0, text, "--prompt");
    free(text);
    return status;
}

static enum vs_status show_plan(const struct values *values, const struct vs_model *model,
                                const struct vs_generate_options *wish,
                                const struct vs_run_past *past, bool settled)
{
    enum vs_status status = VS_OK;
    struct host_plan plan;
    VS_TRY(host_plan_make(&plan, &values->run, model, wish, past, true));
    VS_TRY(host_plan_reckon(&plan, values->run.device, values->measure));
    status = host_plan_check(&plan, &values->run, model, wish, settled);
    if (!values->json)
        host_plan_print(stdout, &plan, vs_model_info(model), &values->run);
    else if (host_plan_print_json(stdout, &plan, vs_model_info(model),
                                  status == VS_OK ? NULL : vs_error_message()) != VS_OK)
        status = VS_ERROR_MEMORY;
fail:
    return status;
}

static enum vs_status plan_new(struct values *values)
{
    enum { MOST_WORDS = 1024 };
    enum vs_status status = VS_OK;
    struct host_prompts prompts = {0};
    struct vs_model *model = NULL;
    struct host_given given;
    struct vs_run_past past = {0};
    VS_TRY(collect_prompts(&prompts, values, 0));
    if (values->extend)
        VS_TRY(check_extend(&prompts, values));
    if (!values->script && !values->prompt && (!values->extend || !prompts.n))
        VS_TRY(add_longest_prompt(&prompts, MOST_WORDS));
    VS_TRY(host_prompts_settle(&prompts));
    VS_TRY(host_run_limit(NULL, &values->run));
    if (values->extend)
        VS_TRY(look_at_frames(&given, &past, values));
    const struct vs_generate_options wish = collect_wish(values, &prompts);
    VS_TRY(host_run_open_model(&model, &values->run, true));
    VS_TRY(show_plan(values, model, &wish, &past, false));
fail:
    vs_model_free(model);
    host_prompts_free(&prompts);
    return status;
}

static enum vs_status plan_kept(struct values *values)
{
    enum vs_status status = VS_OK;
    struct host_prompts prompts = {0};
    struct host_resumed resumed = {.kept = NULL};
    struct host_resume resume;
    struct vs_run_past past;
    struct vs_model *model = NULL;
    VS_TRY(collect_resume(&resume, &prompts, values));
    VS_TRY(host_run_limit(NULL, &values->run));
    VS_TRY(host_resume_open(&resumed, &values->run, &resume, true));
    if (!resume.redo)
        values->run.keep = resumed.kept->dir;
    resumed.wish.offload = values->run.offload;
    /* The fingerprint tells the run's model; only with LoRAs it is too dear for a plan. */
    VS_TRY(host_run_open_model(&model, &values->run, values->run.loras.n > 0));
    VS_TRY(host_kept_fit(resumed.kept, vs_model_info(model)));
    VS_TRY(host_resume_past(&past, &resumed, &values->run, &resume, model));
    VS_TRY(show_plan(values, model, &resumed.wish, &past, true));
fail:
    vs_model_free(model);
    host_resume_close(&resumed);
    host_prompts_free(&prompts);
    return status;
}

int host_plan(int argc, char **argv)
{
    struct values values = {.seconds = {false, DEFAULT_SECONDS}, .kv = -1};
    bool help, kept_run = false;
    enum vs_status status = host_options_parse(&host_plan_spec, &values, NULL, &help, argc, argv);
    if (status == VS_OK)
        status = goes_on(&kept_run, &values);
    if (status == VS_OK && help)
        host_options_print_help(&host_plan_spec, stdout);
    else if (status == VS_OK && kept_run)
        status = plan_kept(&values);
    else if (status == VS_OK)
        status = plan_new(&values);
    host_run_free_options(&values.run);
    free(values.at.items);
    return host_report(status);
}
