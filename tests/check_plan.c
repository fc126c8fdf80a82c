/* SPDX-License-Identifier: Apache-2.0
 *
 * check_plan.c - plans say to the byte what runs then take, of every use. */
#include "tests/check_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cl/profile.h"
#include "kernels/tuning.h"
#include "models/model.h"
#include "models/run_plan.h"
#include "tests/lora_builder.h"

static const char *const long_text =
    "A red fox walks through fresh snow, and behind it come a hare, two badgers and an old bear.";

static const char *model_path(const char *file)
{
    static char path[4096];
    const char *srcdir = getenv("srcdir");
    snprintf(path, sizeof path, "%s/tests/golden/whole/model%s", srcdir ? srcdir : ".", file);
    return path;
}

static struct vs_model *open_with(const struct vs_lora *lora, bool sizes_only)
{
    struct vs_model *model;
    const struct vs_model_files files = {.folder = model_path(""),
                                         .loras = lora,
                                         .n_loras = lora != NULL,
                                         .sizes_only = sizes_only};
    check_ok(vs_model_open(&model, &files));
    return model;
}

static struct vs_model *open_model(bool sizes_only)
{
    return open_with(NULL, sizes_only);
}

static const struct vs_prompt prompts[] = {{0, "A red fox."}, {1, "Snow."}};

static const struct {
    size_t width, height, n_prompts, window;
    double seconds;
    enum vs_memory_mode memory;
    enum vs_kv kv;
    int sink;
    bool offload;
    enum vs_precision precision;
} cases[] = {
    {48, 32, 1, 0, 1, VS_MEMORY_HYBRID, VS_KV_F32, -1, false},
    {48, 32, 2, 0, 4, VS_MEMORY_HYBRID, VS_KV_F16, -1},
    {96, 64, 1, 12, 6, VS_MEMORY_HYBRID, VS_KV_F32, 0},
    {64, 48, 1, 6, 3, VS_MEMORY_SINK, VS_KV_F16, 3},
    {48, 32, 1, 0, 3, VS_MEMORY_WINDOW, VS_KV_F32, -1},
    {48, 32, 1, 0, 3, VS_MEMORY_FULL, VS_KV_F32, -1},
    {48, 32, 1, 0, 4, VS_MEMORY_HYBRID, VS_KV_F32, -1, true},
    {48, 32, 2, 0, 4, VS_MEMORY_HYBRID, VS_KV_DEFAULT, -1, false, VS_PRECISION_FAST},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static struct vs_generate_options options_for(int i)
{
    struct vs_generate_options options;
    vs_generate_options_init(&options);
    options.prompts = prompts;
    options.n_prompts = cases[i].n_prompts;
    options.width = cases[i].width;
    options.height = cases[i].height;
    options.seconds = cases[i].seconds;
    options.window = cases[i].window;
    options.memory = cases[i].memory;
    options.kv = cases[i].kv;
    options.precision = cases[i].precision;
    options.sink = cases[i].sink;
    options.offload = cases[i].offload;
    options.unsafe = true; /* the self-test has buffers of its own */
    return options;
}

/* The memory of a context when its peak so far was reached, by stage. */
struct measured {
    struct vs_context *context;
    struct vs_memory encoding, making;
};

static bool on_progress(const struct vs_progress *progress, void *user)
{
    struct measured *measured = user;
    if (progress->stage == VS_STAGE_LOAD && !progress->done) {
        measured->encoding = vs_context_peak(measured->context);
        vs_context_forget_peak(measured->context);
    }
    return true;
}

static void compare(const struct vs_memory *plan, const struct vs_memory *run, const char *stage)
{
    for (int use = 0; use < VS_N_USES; use++) {
        const char *name = vs_use_name((enum vs_use)use);
        ck_assert_msg(plan->own[use] == run->own[use], "%s, %s: planned %ju bytes, took %ju", stage,
                      name, (uintmax_t)plan->own[use], (uintmax_t)run->own[use]);
        ck_assert_msg(plan->mapped[use] == run->mapped[use], "%s, %s: planned %ju pages, took %ju",
                      stage, name, (uintmax_t)plan->mapped[use], (uintmax_t)run->mapped[use]);
    }
}

/* Records by which CLBlast serves every linear layer in fast precision. */
static void prefer_clblast(struct vs_context *context)
{
    char op[64];
    for (size_t i = 0; i < 3 * 11 * 11 * 11; i++) {
        static const char *const dtypes[] = {"f32", "f16", "bf16"};
        snprintf(op, sizeof op, "linear:%dx%dx%d:%s", 1 << i / 3 % 11, 1 << i / 33 % 11,
                 1 << i / 363 % 11, dtypes[i % 3]);
        check_ok(vs_tuning_set(context, op, "clblast", VS_PRECISION_FAST));
    }
}

static void plan_past(struct vs_run_plan *plan, const struct vs_model *model,
                      const struct vs_generate_options *options, const struct vs_run_past *past)
{
    struct vs_context *hollow;
    check_ok(vs_context_create_hollow(&hollow, getenv("VS_TEST_DEVICE")));
    prefer_clblast(hollow);
    check_ok(vs_run_plan(plan, hollow, model, options, past, true));
    ck_assert_uint_eq(vs_context_allocated_bytes(hollow), 0);
    vs_context_free(hollow);
}

static void plan_case(struct vs_run_plan *plan, const struct vs_model *model,
                      const struct vs_generate_options *options)
{
    plan_past(plan, model, options, NULL);
}

/* Goes through all chunks. */
static void make_all(struct vs_generator *generator)
{
    struct vs_chunk chunk;
    do {
        check_ok(vs_generator_next(generator, &chunk));
    } while (chunk.n_frames);
}

START_TEST(plans_say_what_runs_take)
{
    struct vs_model *model = open_model(false), *sizes = open_model(true);
    struct vs_generate_options options = options_for(_i);
    struct measured measured = {.context = check_context};
    struct vs_generator *generator;
    struct vs_run_plan plan;
    plan_case(&plan, sizes, &options);
    prefer_clblast(check_context);
    options.progress = on_progress;
    options.user = &measured;
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    make_all(generator);
    measured.making = vs_context_peak(check_context);
    compare(&plan.encoding, &measured.encoding, "encoding");
    compare(&plan.making, &measured.making, "making");
    ck_assert_uint_eq(plan.checkpoint_bytes, vs_generator_state_bytes(generator));
    ck_assert_uint_gt(plan.making.own[VS_USE_KV], 0);
    ck_assert_uint_eq(plan.making.own[VS_USE_OTHER] + plan.making.mapped[VS_USE_OTHER], 0);
    vs_generator_free(generator);
    vs_model_free(sizes);
    vs_model_free(model);
}
END_TEST

/* Weights widened for CLBlast, and what it needs for itself. */
START_TEST(fast_variants_are_planned_for)
{
    struct vs_model *model = open_model(true);
    struct vs_generate_options options = options_for(N_CASES - 1);
    struct vs_run_plan fast, exact;
    plan_case(&fast, model, &options);
    options.precision = VS_PRECISION_EXACT;
    options.kv = VS_KV_F16;
    plan_case(&exact, model, &options);
    ck_assert_uint_gt(fast.encoding.own[VS_USE_TEXT], exact.encoding.own[VS_USE_TEXT]);
    ck_assert_uint_gt(fast.making.own[VS_USE_ACTIVATIONS], exact.making.own[VS_USE_ACTIVATIONS]);
    ck_assert_uint_eq(fast.making.own[VS_USE_KV], exact.making.own[VS_USE_KV]);
    vs_model_free(model);
}
END_TEST

/* What profiles of whole runs add up to. */
static double flops_of(const struct vs_stage_work *work)
{
    double flops = 0;
    for (size_t i = 0; i < work->n_families; i++)
        flops += work->families[i].flops;
    return flops;
}

/* Operations since vs_profile_begin(). */
static double flops_done(void)
{
    struct vs_profile_entry *entries;
    double flops = 0;
    size_t n;
    check_ok(vs_profile_end(check_context, &entries, &n));
    for (size_t i = 0; i < n; i++)
        flops += entries[i].flops;
    free(entries);
    return flops;
}

START_TEST(plans_say_how_much_work_runs_are)
{
    struct vs_model *model = open_model(true);
    struct vs_generate_options options = options_for(_i);
    struct vs_generator *generator;
    struct vs_run_plan plan;
    plan_case(&plan, model, &options);
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    check_ok(vs_profile_begin(check_context));
    make_all(generator);
    double flops = flops_done(), planned = flops_of(&plan.denoise) + flops_of(&plan.decode);
    /* A text that is changed in the middle may meet fewer frames than the plan reckons with. */
    double tolerance = cases[_i].n_prompts > 1 ? 0.1 : 1e-3;
    ck_assert_msg(planned > flops * (1 - 1e-3) && planned < flops * (1 + tolerance),
                  "planned %g operations, counted %g", planned, flops);
    vs_generator_free(generator);
    vs_model_free(model);
}
END_TEST

static void check_near(double planned, double counted, const char *stage)
{
    ck_assert_msg(planned > counted * (1 - 1e-3) && planned < counted * (1 + 1e-3),
                  "%s: planned %g operations, counted %g", stage, planned, counted);
}

/* Frames are encoded and remembered, chunks that were kept are remembered from a checkpoint on, and
 * what is written is not decoded. */
START_TEST(what_is_there_is_not_made)
{
    enum {
        WRITTEN = 1,
        GIVEN = 2,
        RESTORED = 2,
        THERE = 16
    }; /* the decoder sees 38 latents back */
    struct vs_model *model = open_model(false);
    struct vs_generate_options options = options_for(0);
    options.seconds = 13.5;
    struct vs_run_past past = {.n_given = 3 * GIVEN, .n_there = GIVEN};
    struct vs_generator *generator;
    struct vs_encoder *encoder;
    struct vs_run_plan plan;
    struct vs_chunk chunk;
    uint8_t rgb[4 * 3 * 48 * 32] = {0};
    float latents[3 * 16 * 6 * 4] = {0};
    plan_past(&plan, model, &options, &past);
    vs_context_forget_peak(check_context);
    check_ok(vs_encoder_create(&encoder, check_context, model, &options));
    check_ok(vs_profile_begin(check_context));
    for (size_t i = 0; i < past.n_given; i++)
        check_ok(vs_encoder_next(encoder, latents, rgb, i ? 4 : 1));
    check_near(flops_of(&plan.encode_given), flops_done(), "frames");
    const struct vs_memory peak = vs_context_peak(check_context);
    compare(&plan.given, &peak, "frames");
    vs_encoder_free(encoder);

    past = (struct vs_run_past){.n_there = THERE, .n_restored = RESTORED, .n_written = WRITTEN};
    plan_past(&plan, model, &options, &past);
    ck_assert_uint_eq(plan.given.own[VS_USE_VAE] + plan.encode_given.n_families, 0);
    check_ok(vs_generator_create(&generator, check_context, model, &options));
    size_t n_chunks = vs_generator_info(generator)->n_chunks;
    ck_assert_uint_gt(n_chunks, THERE + 1);
    for (size_t i = 0; i < RESTORED; i++)
        check_ok(vs_generator_remember(generator, latents));
    check_ok(vs_profile_begin(check_context));
    for (size_t i = RESTORED; i < THERE; i++)
        check_ok(vs_generator_remember(generator, latents));
    double denoised = flops_done();
    check_ok(vs_profile_begin(check_context));
    for (size_t i = WRITTEN; i < THERE; i++)
        check_ok(vs_generator_decode(generator, i, latents, &chunk));
    make_all(generator);
    check_near(flops_of(&plan.denoise) + flops_of(&plan.decode), denoised + flops_done(), "all");

    past = (struct vs_run_past){.n_there = n_chunks, .n_written = n_chunks};
    plan_past(&plan, model, &options, &past);
    ck_assert(flops_of(&plan.denoise) + flops_of(&plan.decode) == 0);
    vs_generator_free(generator);
    vs_model_free(model);
}
END_TEST

/* A longer text takes more while it is encoded, and nothing else changes. */
START_TEST(texts_count)
{
    struct vs_model *model = open_model(true);
    struct vs_generate_options options = options_for(0);
    const struct vs_prompt longer = {0, long_text};
    struct vs_run_plan plan[2];
    plan_case(&plan[0], model, &options);
    options.prompts = &longer;
    plan_case(&plan[1], model, &options);
    ck_assert_uint_gt(plan[1].encoding.own[VS_USE_TEXT], plan[0].encoding.own[VS_USE_TEXT]);
    ck_assert_uint_gt(plan[1].host_bytes, plan[0].host_bytes);
    ck_assert(flops_of(&plan[1].encode) > flops_of(&plan[0].encode));
    compare(&plan[0].making, &plan[1].making, "making");
    vs_model_free(model);
}
END_TEST

/* Differences for every matrix; the caller removes the file. */
static void make_lora(char path[64])
{
    struct vs_weights *base;
    struct bytes bytes = {0};
    check_ok(vs_weights_open(&base, model_path("/diffusion_pytorch_model.safetensors")));
    snprintf(path, 64, "plan-lora-%ld.tmp", (long)getpid());
    lora_build(&bytes, base, 0, 4, 0, 1);
    bytes_write_file(&bytes, path);
    bytes_free(&bytes);
    vs_weights_free(base);
}

/* What a LoRA changes takes memory of the host, though a plan does not add it up. */
START_TEST(loras_are_counted)
{
    char path[64];
    make_lora(path);
    const struct vs_lora lora = {path, 1};
    struct vs_model *plain = open_model(true), *sizes = open_with(&lora, true);
    struct vs_model *merged = open_with(&lora, false);
    struct vs_generate_options options = options_for(0);
    struct vs_run_plan without, with, loaded;
    plan_case(&without, plain, &options);
    plan_case(&with, sizes, &options);
    plan_case(&loaded, merged, &options);
    uint64_t n_changed = vs_weights_copied_bytes(merged->dit) - vs_weights_copied_bytes(plain->dit);
    ck_assert_uint_gt(n_changed, 100000);
    ck_assert_uint_eq(with.host_bytes, without.host_bytes + n_changed);
    ck_assert_uint_eq(with.host_bytes, loaded.host_bytes);
    ck_assert_str_eq(vs_model_info(sizes)->fingerprint, "");
    vs_model_free(plain);
    vs_model_free(sizes);
    vs_model_free(merged);
    unlink(path);
}
END_TEST

/* The largest buffer of a run that does all it can to keep buffers small. */
static size_t least_buffer(const struct vs_model *model, const struct vs_generate_options *options)
{
    struct vs_context *hollow;
    struct vs_run_plan plan;
    check_ok(vs_context_create_hollow(&hollow, getenv("VS_TEST_DEVICE")));
    vs_context_limit_memory(hollow, 0, 1);
    check_ok(vs_run_plan(&plan, hollow, model, options, NULL, true));
    vs_context_free(hollow);
    return plan.largest_bytes;
}

/* A run has room for what its plan says, and not for a byte less. */
START_TEST(limits_are_kept)
{
    struct vs_model *model = open_model(false);
    struct vs_generate_options options = options_for(0);
    struct vs_generator *generator;
    struct vs_context *context;
    struct vs_run_plan plan;
    plan_case(&plan, model, &options);
    uint64_t needed = vs_run_plan_device_bytes(&plan);
    size_t least = least_buffer(model, &options);
    ck_assert_uint_lt(least, plan.largest_bytes);
    for (int i = 0; i < 4; i++) {
        check_ok(vs_context_create(&context, getenv("VS_TEST_DEVICE")));
        vs_context_limit_memory(context, i < 2 ? needed - (uint64_t)i : 0,
                                i < 2 ? 0 : least - (size_t)(i - 2));
        enum vs_status status = vs_generator_create(&generator, context, model, &options);
        ck_assert_int_eq(status, i % 2 ? VS_ERROR_MEMORY : VS_OK);
        if (status == VS_OK && i < 2) {
            const struct vs_memory peak = vs_context_peak(context);
            ck_assert_uint_le(vs_memory_needed(&peak, vs_context_device(context)), needed);
        }
        vs_generator_free(generator);
        vs_context_free(context);
    }
    vs_model_free(model);
}
END_TEST

/* A device too small for a plan is told by the plan, which has no limits itself. */
START_TEST(what_does_not_fit_is_told)
{
    struct vs_model *model = open_model(true);
    struct vs_generate_options options = options_for(0);
    struct vs_context *hollow;
    struct vs_run_plan plan;
    check_ok(vs_context_create_hollow(&hollow, getenv("VS_TEST_DEVICE")));
    check_ok(vs_run_plan(&plan, hollow, model, &options, NULL, true));
    ck_assert_int_eq(vs_run_plan_fits(&plan), VS_RUN_FITS);
    uint64_t needed = vs_run_plan_device_bytes(&plan);
    vs_context_limit_memory(hollow, needed - 1, 0);
    check_ok(vs_run_plan(&plan, hollow, model, &options, NULL, true));
    ck_assert_int_eq(vs_run_plan_fits(&plan), VS_RUN_TOO_MUCH);
    vs_context_limit_memory(hollow, 2 * needed, least_buffer(model, &options) - 1);
    check_ok(vs_run_plan(&plan, hollow, model, &options, NULL, true));
    ck_assert_int_eq(vs_run_plan_fits(&plan), VS_RUN_BUFFER_TOO_LARGE);
    vs_context_free(hollow);
    vs_model_free(model);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, plans_say_what_runs_take, 0, N_CASES);
    tcase_add_loop_test(tests, plans_say_how_much_work_runs_are, 0, N_CASES);
    tcase_add_test(tests, what_is_there_is_not_made);
    tcase_add_test(tests, fast_variants_are_planned_for);
    tcase_add_test(tests, texts_count);
    tcase_add_test(tests, loras_are_counted);
    tcase_add_test(tests, limits_are_kept);
    tcase_add_test(tests, what_does_not_fit_is_told);
}

int main(void)
{
    return check_main("plan", add_tests);
}
