/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - the loop over chunks: generator on one side, outputs and progress on the other. */
#include "config.h"

#include "host/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cl/alloc.h"
#include "host/profile.h"
#include "host/settings.h"
#include "host/signals.h"
#include "host/sink.h"
#include "host/tuning.h"
#include "host/writer.h"

struct job {
    struct host_progress *progress;
    struct host_sinks *sinks;
    struct host_writer *writer;
    struct vs_generator *generator; /* NULL before the first chunk */
    struct host_profile *profile;   /* NULL: none is wanted */
    bool pipe_closed;
    size_t n_frames_done;
};

enum vs_status host_run_check(const struct host_run *run)
{
    return host_sinks_check(&run->outputs);
}

/* ---- Model -------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat about;
    return path && *path && stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

enum vs_status host_run_open_model(struct vs_model **model, const struct host_run *run)
{
    struct vs_model_files files = run->files;
    const char *wish = getenv("VIDEOSSM_MODEL");
    bool parts_given = files.dit || files.text_encoder || files.vae || files.tokenizer;
    /* Parts of one model and the rest of another would give noise, so parts stand alone. */
    if (!files.folder && !parts_given) {
        /* The installed one, then the source tree's, from its top or from a build folder in it. */
        static const char *const places[] = {VS_DATADIR "/demo", "models/demo",
                                             "../models/demo"};
        files.folder = wish && *wish ? wish : NULL;
        for (size_t i = 0; !files.folder && i < sizeof places / sizeof *places; i++)
            files.folder = is_folder(places[i]) ? places[i] : NULL;
        if (!files.folder)
            return vs_fail(VS_ERROR_MODEL,
                           "no model: neither '%s' nor '%s' is there; give one with "
                           "--model DIR or VIDEOSSM_MODEL",
                           places[0], places[1]);
    }
    if (files.folder && !is_folder(files.folder))
        return vs_fail(VS_ERROR_MODEL,
                       "model '%s': no such folder; give a model folder with "
                       "--model%s",
                       files.folder, run->files.folder ? "" : " or VIDEOSSM_MODEL");
    return vs_model_open(model, &files);
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

static enum vs_status make_chunks(struct job *job)
{
    enum vs_status status = VS_OK;
    for (;;) {
        struct vs_chunk chunk;
        if (host_signals_interrupted())
            vs_generator_stop(job->generator);
        VS_TRY(vs_generator_next(job->generator, &chunk));
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

static enum vs_status run_generator(struct job *job, const struct host_run *run,
                                    const struct vs_model *model,
                                    const struct vs_generate_options *options,
                                    const struct vs_video_info *video, bool seed_drawn)
{
    enum vs_status status = VS_OK;
    struct vs_context *context = NULL;
    struct vs_generator *generator = NULL;
    VS_TRY(host_open_device(&context, run->device));
    host_progress_begin(job->progress, video, options->seed, seed_drawn,
                        vs_context_device(context)->name);
    if (run->unsafe)
        warn_unsafe(job->progress, context);
    VS_TRY(vs_generator_create(&generator, context, model, options));
    if (run->profile)
        VS_TRY(host_profile_begin(&job->profile, context));
    host_signals_install(); /* again: the device's compiler may have taken the signals */
    host_progress_start(job->progress);
    VS_TRY(host_writer_create(&job->writer, job->sinks, video));
    job->generator = generator;
    status = make_chunks(job);
    /* A run that was stopped has a profile too. */
    if (job->profile && (status == VS_OK || status == VS_ERROR_INTERRUPTED)) {
        enum vs_status profile_status = host_profile_end(job->profile, job->progress);
        status = status == VS_OK ? profile_status : status;
    }
fail:
    host_profile_free(job->profile);
    vs_generator_free(generator);
    vs_context_free(context);
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

enum vs_status host_run_video(const struct host_run *run, const struct vs_model *model,
                              struct vs_generate_options *options, bool seed_drawn, bool *told)
{
    enum vs_status status = VS_OK;
    struct job job = {0};
    struct vs_video_info video;
    struct host_settings settings = {0};
    struct host_metadata metadata = {options->prompts[0].text, NULL, NULL};
    char *parameters = NULL, *json = NULL;
    enum host_progress_mode mode =
        run->quiet ? HOST_PROGRESS_NONE : (enum host_progress_mode)run->progress;
    *told = false;
    options->unsafe = run->unsafe;
    options->progress = on_progress;
    options->user = &job;
    VS_TRY(vs_video_plan(&video, model, options));
    VS_TRY(host_settings_collect(&settings, options, &video, vs_model_info(model)));
    metadata.parameters = parameters = host_settings_parameters(&settings);
    metadata.json = json = host_settings_json(&settings);
    if (!parameters || !json) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    VS_TRY(host_progress_create(&job.progress, mode));
    VS_TRY(host_sinks_open(&job.sinks, &run->outputs, &video, &metadata));
    warn_unused_prompts(job.progress, options, &video);
    host_signals_install();
    status = run_generator(&job, run, model, options, &video, seed_drawn);
    /* An interruption before the first frames can also look like a fault: LLVM answers a signal by
     * removing its temporary files, and the compilation it was in fails. */
    bool stopped = status == VS_OK || status == VS_ERROR_INTERRUPTED || job.n_frames_done == 0;
    if (stopped && host_signals_interrupted())
        status = interrupted(&job);
    status = end_outputs(&job, status);
    *told = host_progress_end(job.progress, status, status == VS_OK ? NULL : vs_error_message(),
                              run->outputs.items, job.n_frames_done ? run->outputs.n : 0) ||
            job.pipe_closed;
fail:
    host_sinks_abort(job.sinks);
    host_progress_free(job.progress);
    host_settings_free(&settings);
    free(parameters);
    free(json);
    return status;
}
