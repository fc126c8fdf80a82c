/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - the loop over chunks: generator on one side, outputs and progress on the other. */
#include "config.h"

#include "host/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cl/alloc.h"
#include "cl/program.h"
#include "host/catch_up.h"
#include "host/draft.h"
#include "host/lora_option.h"
#include "host/plan.h"
#include "host/profile.h"
#include "host/settings.h"
#include "host/signals.h"
#include "host/sink.h"
#include "host/tuning.h"
#include "host/writer.h"

/* The most of the time that checkpoints may take, and how fast the first is reckoned to be. */
static const double checkpoint_share = 0.05, checkpoint_bytes_per_second = 1e8;

struct job {
    const struct host_run *run;
    const struct vs_model *model;
    const struct vs_generate_options *options;
    struct host_progress *progress;
    struct host_sinks *sinks;
    struct host_writer *writer;
    struct vs_context *context;
    struct vs_generator *generator; /* NULL before the first chunk */
    struct host_profile *profile;   /* NULL: none is wanted */
    bool pipe_closed;
    bool compiling_told;
    size_t n_frames_done;

    struct host_past past;
    bool settled;           /* by a kept run, see host_plan_check() */
    struct host_kept *kept; /* where chunks go; NULL: nowhere */
    size_t n_kept;          /* chunks in it */
    size_t first_frame;     /* the first that outputs lack */
    bool keep_failed;
    double begun, checkpoint_seconds, last_checkpoint_seconds;
    size_t n_retried; /* chunks before and with the one that was made again last */
};

enum vs_status host_run_check(const struct host_run *run)
{
    enum vs_status status = host_run_limit(NULL, run);
    return status == VS_OK ? host_sinks_check(&run->outputs) : status;
}

static enum vs_status read_limit(uint64_t *n_bytes, const char *option, const char *text)
{
    *n_bytes = 0;
    if (!text || host_parse_bytes(text, n_bytes))
        return VS_OK;
    return vs_fail(VS_ERROR_USAGE,
                   "--%s '%s': give bytes, or a number with K, M or G (times 1024), for example "
                   "256M",
                   option, text);
}

enum vs_status host_run_limit(struct vs_context *context, const struct host_run *run)
{
    enum vs_status status = VS_OK;
    uint64_t memory, allocation;
    VS_TRY(read_limit(&memory, "max-memory", run->max_memory));
    VS_TRY(read_limit(&allocation, "max-alloc", run->max_alloc));
    if (context)
        vs_context_limit_memory(context, memory, allocation);
fail:
    return status;
}

/* ---- Model -------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat about;
    return path && *path && stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

enum vs_status host_run_find_model(struct vs_model_files *files, const struct host_run *run)
{
    *files = run->files;
    const char *wish = getenv("VIDEOSSM_MODEL");
    bool parts_given = files->dit || files->text_encoder || files->vae || files->tokenizer;
    /* Parts of one model and the rest of another would give noise, so parts stand alone. */
    if (!files->folder && !parts_given) {
        /* The installed one, then the source tree's, from its top or from a build folder in it. */
        static const char *const places[] = {VS_DATADIR "/demo", "models/demo",
                                             "../models/demo"};
        files->folder = wish && *wish ? wish : NULL;
        for (size_t i = 0; !files->folder && i < sizeof places / sizeof *places; i++)
            files->folder = is_folder(places[i]) ? places[i] : NULL;
        if (!files->folder)
            return vs_fail(VS_ERROR_MODEL,
                           "no model: neither '%s' nor '%s' is there; give one with "
                           "--model DIR or VIDEOSSM_MODEL",
                           places[0], places[1]);
    }
    if (files->folder && !is_folder(files->folder))
        return vs_fail(VS_ERROR_MODEL,
                       "model '%s': no such folder; give a model folder with "
                       "--model%s",
                       files->folder, run->files.folder ? "" : " or VIDEOSSM_MODEL");
    return VS_OK;
}

enum vs_status host_run_open_model(struct vs_model **model, const struct host_run *run,
                                   bool sizes_only)
{
    struct vs_model_files files;
    struct vs_lora *loras = NULL;
    enum vs_status status;
    VS_TRY(host_run_find_model(&files, run));
    VS_TRY(host_loras_parse(&loras, &run->loras));
    files.loras = loras;
    files.n_loras = run->loras.n;
    files.sizes_only = sizes_only;
    status = vs_model_open(model, &files);
fail:
    host_loras_free(loras, run->loras.n);
    return status;
}

void host_run_free_options(struct host_run *run)
{
    free(run->outputs.items);
    free(run->loras.items);
}

/* ---- Chunks ------------------------------------------------------------------------------- */

/* A chunk once begun is finished. */
static bool on_progress(const struct vs_progress *work, void *user)
{
    struct job *job = user;
    host_progress_update(job->progress, work);
    if (!host_signals_interrupted())
        return true;
    if (job->generator)
        vs_generator_stop(job->generator);
    return job->generator != NULL;
}

static enum vs_status interrupted(const struct job *job)
{
    return job->n_frames_done > 0
               ? vs_fail(VS_ERROR_INTERRUPTED, "interrupted after %zu frames", job->n_frames_done)
               : vs_fail(VS_ERROR_INTERRUPTED, "interrupted before the first frames");
}

/* ---- What is kept ------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bool checkpoint_is_due(const struct job *job, size_t n_chunks)
{
    const struct host_kept *kept = job->kept;
    if (!kept->dir)
        return false;
    if (kept->every)
        return n_chunks % kept->every == 0;
    double expected = job->last_checkpoint_seconds;
    if (expected <= 0)
        expected = (double)vs_generator_state_bytes(job->generator) / checkpoint_bytes_per_second;
    return job->checkpoint_seconds + expected <= checkpoint_share * (now() - job->begun);
}

/* A run without checkpoints can still go on from its latents, so a fault here is no end. */
static void checkpoint(struct job *job, size_t n_chunks)
{
    double begin = now();
    if (host_kept_checkpoint(job->kept, job->generator, n_chunks) != VS_OK)
        host_progress_note(job->progress, "warning", "warning: no checkpoint: %s",
                           vs_error_message());
    job->last_checkpoint_seconds = now() - begin;
    job->checkpoint_seconds += job->last_checkpoint_seconds;
}

static enum vs_status on_settled(struct vs_generator *generator, size_t chunk, const float *latents,
                                 void *user)
{
    struct job *job = user;
    (void)generator;
    if (!job->kept)
        return VS_OK;
    enum vs_status status = host_kept_put(job->kept, chunk, latents);
    if (status != VS_OK) {
        /* What nobody asked to keep only serves a second try. */
        job->keep_failed = job->kept->dir != NULL;
        if (!job->keep_failed) {
            host_kept_free(job->kept);
            job->kept = NULL;
        }
        return job->keep_failed ? status : VS_OK;
    }
    job->n_kept = chunk + 1;
    if (checkpoint_is_due(job, chunk + 1))
        checkpoint(job, chunk + 1);
    return VS_OK;
}

/* ---- The device --------------------------------------------------------------------------- */

static void close_device(struct job *job)
{
    vs_generator_free(job->generator);
    vs_context_free(job->context);
    job->generator = NULL;
    job->context = NULL;
}

/* Who comes for the first time should know why nothing seems to happen. */
static void tell_compiling(void *user)
{
    struct job *job = user;
    if (!job->compiling_told)
        host_progress_note(job->progress, "compiling",
                           "compiling kernels for this device, which takes minutes at most, and "
                           "only once");
    job->compiling_told = true;
}

static enum vs_status open_context(struct job *job)
{
    enum vs_status status = host_open_device(&job->context, job->run->device);
    if (status == VS_OK)
        vs_programs_watch(job->context, tell_compiling, job);
    if (status == VS_OK && job->run->max_kernel_ms.given)
        vs_context_limit_launches(job->context, job->run->max_kernel_ms.value / 1000);
    return status == VS_OK ? host_run_limit(job->context, job->run) : status;
}

/* Brings generator and outputs to where the chunks of source end. */
static enum vs_status catch_up(struct job *job, const struct host_kept *source, size_t n_most,
                               size_t first_frame, struct vs_generator *generator)
{
    size_t n_frames;
    const struct host_catch_up work = {.source = source,
                                       .n_most = n_most,
                                       .kept = job->kept == source ? NULL : job->kept,
                                       .first_frame = first_frame,
                                       .writer = job->writer,
                                       .progress = job->progress};
    enum vs_status status = host_catch_up(&job->n_kept, &n_frames, &work, generator);
    if (n_frames > job->n_frames_done)
        job->n_frames_done = n_frames;
    return status;
}

static enum vs_status open_anew(struct job *job, const char *what)
{
    host_progress_note(job->progress, "warning",
                       "warning: %s\nthe device is opened anew and the %s again",
                       vs_error_message(), what);
    close_device(job);
    return open_context(job);
}

/* After a fault of the device in a chunk. */
static enum vs_status try_again(struct job *job)
{
    enum vs_status status = VS_OK;
    struct vs_generator *generator = NULL;
    VS_TRY(open_anew(job, "chunk made"));
    VS_TRY(vs_generator_create(&generator, job->context, job->model, job->options));
    host_signals_install();
    VS_TRY(catch_up(job, job->kept, job->n_kept, job->n_frames_done, generator));
    job->generator = generator;
    return VS_OK;
fail:
    vs_generator_free(generator);
    return status;
}

/* Whether a fault came from the device, in a chunk that has not been tried again. */
static bool may_try_again(struct job *job, enum vs_status status)
{
    bool device = status == VS_ERROR_RUNTIME || status == VS_ERROR_MEMORY;
    if (!device || job->keep_failed || !job->kept || job->profile || host_signals_interrupted() ||
        job->n_retried > job->n_kept)
        return false;
    job->n_retried = job->n_kept + 1;
    return true;
}

/* Frames whose encoding the device fails in are encoded again, from the first on. */
static enum vs_status encode_given(struct job *job)
{
    enum vs_status status;
    for (;;) {
        status = host_given_encode(job->past.given, job->kept, job->context, job->model,
                                   job->options, job->progress);
        if (!may_try_again(job, status))
            return status;
        VS_TRY(open_anew(job, "frames encoded"));
    }
fail:
    return status;
}

static enum vs_status make_chunks(struct job *job)
{
    enum vs_status status = VS_OK;
    for (;;) {
        struct vs_chunk chunk;
        if (host_signals_interrupted())
            vs_generator_stop(job->generator);
        status = vs_generator_next(job->generator, &chunk);
        if (may_try_again(job, status)) {
            VS_TRY(try_again(job));
            if (job->n_kept == vs_generator_info(job->generator)->n_chunks)
                return VS_OK;
            continue;
        }
        VS_TRY(status);
        if (chunk.n_frames == 0)
            return host_signals_interrupted() ? interrupted(job) : VS_OK;
        VS_TRY(host_writer_put(job->writer, chunk.first_frame, chunk.n_frames, chunk.rgb));
        job->n_frames_done = chunk.first_frame + chunk.n_frames;
        host_progress_chunk(job->progress, chunk.index, job->n_frames_done);
        if (job->profile)
            VS_TRY(host_profile_sample(job->profile));
    }
fail:
    return status;
}

/* --unsafe: a device that fails is used all the same, and told about. */
static void warn_unsafe(struct host_progress *progress, struct vs_context *context)
{
    if (vs_context_selftest(context) == VS_ERROR_VALIDATION)
        host_progress_note(progress, "warning", "warning: --unsafe: %s", vs_error_message());
}

static enum vs_status check_fit(const struct job *job)
{
    enum vs_status status = VS_OK;
    struct host_plan plan;
    struct vs_run_past past = {0};
    if (job->past.encode)
        past.n_given = host_given_latents(job->past.given, vs_model_info(job->model));
    VS_TRY(host_plan_make(&plan, job->run, job->model, job->options, &past, false));
    VS_TRY(host_plan_check(&plan, job->run, job->model, job->options, job->settled));
fail:
    return status;
}

static enum vs_status run_generator(struct job *job, const struct vs_video_info *video,
                                    bool seed_drawn)
{
    enum vs_status status = VS_OK;
    struct vs_generator *generator = NULL;
    VS_TRY(check_fit(job));
    VS_TRY(open_context(job));
    host_progress_begin(job->progress, video, job->options->seed, seed_drawn,
                        vs_context_device(job->context)->name);
    if (job->run->unsafe)
        warn_unsafe(job->progress, job->context);
    if (job->past.encode)
        VS_TRY(encode_given(job));
    VS_TRY(vs_generator_create(&generator, job->context, job->model, job->options));
    if (job->run->profile)
        VS_TRY(host_profile_begin(&job->profile, job->context));
    host_signals_install(); /* again: the device's compiler may have taken the signals */
    VS_TRY(host_writer_create(&job->writer, job->sinks, video));
    if (job->past.source)
        VS_TRY(catch_up(job, job->past.source, job->past.n_most, job->first_frame, generator));
    host_progress_start(job->progress, job->n_kept, job->n_frames_done);
    job->begun = now();
    job->generator = generator;
    generator = NULL;
    if (job->n_kept < video->n_chunks)
        status = make_chunks(job);
    /* A run that was stopped has a profile too. */
    if (job->profile && (status == VS_OK || status == VS_ERROR_INTERRUPTED)) {
        enum vs_status profile_status = host_profile_end(job->profile, job->progress);
        status = status == VS_OK ? profile_status : status;
    }
fail:
    host_profile_free(job->profile);
    vs_generator_free(generator);
    close_device(job);
    return status;
}

/* The first fault of all keeps its message. */
static enum vs_status first_fault(enum vs_status status, char **message, enum vs_status next)
{
    if (status == VS_OK && next != VS_OK)
        *message = vs_strdup(vs_error_message());
    return status == VS_OK ? next : status;
}

/* Waits for the writer, completes what holds frames and removes what does not. */
static enum vs_status end_outputs(struct job *job, enum vs_status ended)
{
    char *message = NULL;
    enum vs_status status = first_fault(VS_OK, &message, ended);
    status = first_fault(status, &message, host_writer_end(job->writer, &job->pipe_closed));
    if (job->n_frames_done == 0)
        host_sinks_abort(job->sinks);
    else
        status = first_fault(status, &message, host_sinks_close(job->sinks));
    job->writer = NULL;
    job->sinks = NULL;
    if (message)
        (void)vs_fail(status, "%s", message);
    free(message);
    return status;
}

static void warn_unused_prompts(struct host_progress *progress,
                                const struct vs_generate_options *options,
                                const struct vs_video_info *video)
{
    double end = (double)video->n_frames / video->fps;
    for (size_t i = 0; i < options->n_prompts; i++) {
        if (options->prompts[i].seconds >= end)
            host_progress_note(progress, "warning",
                               "note: the prompt for %g s comes after the end of the video (%g s)",
                               options->prompts[i].seconds, end);
    }
}

static void tell_precision(struct host_progress *progress, const struct vs_video_info *video)
{
    if (video->precision == VS_PRECISION_FAST)
        host_progress_note(progress, "precision",
                           "note: fast precision: another device, driver or tuning record may give "
                           "other bytes");
}

static void tell_given(struct host_progress *progress, const struct host_given *given)
{
    char left_out[128] = "";
    if (given->n_left_out)
        snprintf(left_out, sizeof left_out, "; the last %zu, short of a chunk, are left out",
                 given->n_left_out);
    host_progress_note(progress, "extend",
                       "note: the video begins with %zu frames (%.2f s) of '%s'%s", given->n_frames,
                       (double)given->n_frames / given->fps, given->path, left_out);
}

/* The run to go on with, or a new one. Nobody is told when latents cannot be kept unasked, unless
 * there have to be some. */
static enum vs_status open_kept(struct job *job, const struct host_settings *settings)
{
    enum vs_status status = VS_OK;
    struct vs_model_files files;
    job->kept = job->past.kept;
    if (job->kept)
        return VS_OK;
    VS_TRY(host_run_find_model(&files, job->run));
    status = host_kept_create(&job->kept, job->run->keep, settings, vs_model_info(job->model),
                              &files, &job->run->loras, &job->run->outputs,
                              job->past.given ? job->past.given->path : NULL, job->run->every.value,
                              job->run->offload);
    if (!job->run->keep && !job->past.encode)
        status = VS_OK;
    if (job->past.encode)
        job->past.source = job->kept;
fail:
    return status;
}

/* What a killed process left beside the outputs goes; the frames that it wrote stay. */
static enum vs_status look_at_outputs(struct job *job, const struct vs_video_info *video,
                                      const struct host_metadata *metadata)
{
    const struct host_list *outputs = &job->run->outputs;
    if (!job->past.source)
        return VS_OK;
    for (size_t i = 0; i < outputs->n; i++)
        host_draft_sweep(outputs->items[i]);
    return host_sinks_first_needed(&job->first_frame, outputs, video, metadata);
}

/* A run whose own outputs are complete is finished. */
static enum vs_status settle_kept(struct job *job, enum vs_status status)
{
    struct host_kept *kept = job->kept;
    if (status != VS_OK || !kept || !kept->dir || kept->finished || job->past.other_outputs)
        return status;
    kept->finished = true;
    return host_kept_store(kept);
}

static void tell_way_on(const struct job *job)
{
    if (job->kept && job->kept->dir)
        host_progress_note(job->progress, "resume",
                           "what was made is kept; go on with: videossm-cl generate --resume '%s'",
                           job->kept->dir);
}

enum vs_status host_run_video(const struct host_run *run, const struct vs_model *model,
                              struct vs_generate_options *options, bool seed_drawn,
                              const struct host_past *past, bool *told)
{
    enum vs_status status = VS_OK;
    struct job job = {.run = run, .model = model, .options = options};
    struct vs_video_info video;
    struct host_settings settings = {0};
    struct host_metadata metadata = {options->prompts[0].text, NULL, NULL};
    char *parameters = NULL, *json = NULL;
    enum host_progress_mode mode =
        run->quiet ? HOST_PROGRESS_NONE : (enum host_progress_mode)run->progress;
    *told = false;
    options->unsafe = run->unsafe;
    options->offload = run->offload;
    options->progress = on_progress;
    options->settled = on_settled;
    options->user = &job;
    if (past) {
        job.past = *past;
        job.settled = past->source != NULL;
    }
    VS_TRY(vs_video_plan(&video, model, options));
    VS_TRY(host_settings_collect(&settings, options, &video, vs_model_info(model)));
    if (job.past.given) {
        settings.given_frames = job.past.given->n_frames;
        memcpy(settings.given_digest, job.past.given->digest, sizeof settings.given_digest);
    }
    metadata.parameters = parameters = host_settings_parameters(&settings);
    metadata.json = json = host_settings_json(&settings);
    if (!parameters || !json) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(host_progress_create(&job.progress, mode));
    VS_TRY(look_at_outputs(&job, &video, &metadata));
    VS_TRY(host_sinks_open(&job.sinks, &run->outputs, &video, &metadata));
    VS_TRY(open_kept(&job, &settings));
    warn_unused_prompts(job.progress, options, &video);
    tell_precision(job.progress, &video);
    if (job.past.encode)
        tell_given(job.progress, job.past.given);
    host_signals_install();
    status = run_generator(&job, &video, seed_drawn);
    /* An interruption before the first frames can also look like a fault: LLVM answers a signal by
     * removing its temporary files, and the compilation it was in fails. */
    bool stopped = status == VS_OK || status == VS_ERROR_INTERRUPTED || job.n_frames_done == 0;
    if (stopped && host_signals_interrupted())
        status = interrupted(&job);
    status = settle_kept(&job, end_outputs(&job, status));
    if (status != VS_OK)
        tell_way_on(&job);
    *told = host_progress_end(job.progress, status, status == VS_OK ? NULL : vs_error_message(),
                              run->outputs.items, job.n_frames_done ? run->outputs.n : 0) ||
            job.pipe_closed;
fail:
    host_sinks_abort(job.sinks);
    if (!job.past.kept)
        host_kept_free(job.kept);
    host_progress_free(job.progress);
    host_settings_free(&settings);
    free(parameters);
    free(json);
    return status;
}
