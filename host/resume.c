/* SPDX-License-Identifier: Apache-2.0
 *
 * resume.c - the ways to go on with a kept run. All of them bring the record into line with what is
 * to be made, and hand run and record to host_run_video(). */
#include "config.h"

#include "host/resume.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/catch_up.h"
#include "host/sink.h"

/* What the user does not say, the record does. The model's parts stand or fall together. */
static enum vs_status complete(struct host_run *run, const struct host_kept *kept, bool outputs)
{
    enum vs_status status = VS_OK;
    const struct vs_model_files *files = &run->files;
    if (!files->folder && !files->dit && !files->text_encoder && !files->vae && !files->tokenizer &&
        !files->config) {
        run->files = kept->files;
        for (size_t i = 0, none = run->loras.n == 0; none && i < kept->loras.n; i++)
            VS_TRY(host_list_add(&run->loras, kept->loras.items[i]));
    }
    if (!run->every.given)
        run->every.value = kept->every;
    run->offload = run->offload || kept->offload;
    for (size_t i = 0; outputs && i < kept->outputs.n; i++)
        VS_TRY(host_list_add(&run->outputs, kept->outputs.items[i]));
fail:
    return status;
}

/* The outputs' share of a run: the first frame that one of them lacks, and whether all are
 * complete. */
static enum vs_status look_at_outputs(size_t *first_frame, bool *complete,
                                      const struct host_kept *kept, const struct host_run *run,
                                      const struct vs_video_info *video)
{
    struct host_metadata metadata = {kept->settings.prompts.items[0].text, NULL, NULL};
    char *parameters = host_settings_parameters(&kept->settings);
    char *json = host_settings_json(&kept->settings);
    enum vs_status status = parameters && json ? VS_OK : VS_ERROR_MEMORY;
    VS_TRY(status);
    metadata.parameters = parameters;
    metadata.json = json;
    *complete = host_sinks_are_there(&run->outputs, video, &metadata);
    status = host_sinks_first_needed(first_frame, &run->outputs, video, &metadata);
fail:
    free(parameters);
    free(json);
    return status;
}

/* ---- A longer video ----------------------------------------------------------------------- */

static enum vs_status lengthen(struct host_kept *kept, double seconds)
{
    struct host_settings *settings = &kept->settings;
    if (settings->noise == VS_NOISE_TORCH)
        return vs_fail(VS_ERROR_USAGE, "--extend '%s': its noise is that of torch, which is drawn "
                                       "for the whole length at once; a longer video begins "
                                       "otherwise, make it anew", kept->dir);
    if (!(settings->seconds + seconds <= HOST_MAX_SECONDS))
        return vs_fail(VS_ERROR_USAGE, "--extend '%s': %g s more make it longer than %.0f s",
                       kept->dir, seconds, HOST_MAX_SECONDS);
    settings->seconds += seconds;
    kept->finished = false;
    return VS_OK;
}

/* ---- Branches ----------------------------------------------------------------------------- */

/* The first chunk that begins at that time or later: those before do not change. */
static size_t chunk_at(const struct vs_video_info *video, double seconds)
{
    size_t n = 0, begin = 0;
    for (; n < video->n_chunks && (double)begin < seconds * video->fps; n++)
        begin = (n + 1) * video->chunk_frames - 3;
    return n;
}

static enum vs_status check_branch(const struct host_run *run, const struct host_kept *kept,
                                   const struct host_resume *resume)
{
    enum vs_status status = VS_OK;
    double length = kept->settings.seconds;
    if (resume->from >= length)
        return vs_fail(VS_ERROR_USAGE, "--redo-from %g: the video has %g s", resume->from, length);
    for (size_t i = 0; i < run->outputs.n; i++)
        for (size_t j = 0; j < kept->outputs.n; j++) {
            bool same;
            VS_TRY(host_kept_same(&same, run->outputs.items[i], kept->outputs.items[j]));
            if (same)
                return vs_fail(VS_ERROR_USAGE, "--output '%s' is that of the run '%s', which must "
                                               "stay; give another", run->outputs.items[i],
                               kept->dir);
        }
fail:
    return status;
}

/* The prompts of the run up to that time, then the new ones. */
static enum vs_status join_prompts(struct host_prompts *joined, const struct host_kept *kept,
                                   const struct host_resume *resume)
{
    enum vs_status status = VS_OK;
    const struct host_prompts *old = &kept->settings.prompts, *new = resume->prompts;
    for (size_t i = 0; i < old->n && old->items[i].seconds < resume->from; i++)
        VS_TRY(host_prompts_add(joined, old->items[i].seconds, old->items[i].text, kept->dir));
    for (size_t i = 0; i < new->n; i++)
        VS_TRY(host_prompts_add(joined, new->items[i].seconds, new->items[i].text, "--prompt"));
    VS_TRY(host_prompts_settle(joined));
fail:
    return status;
}

/* ---- Given frames ------------------------------------------------------------------------- */

/* Latents that were lost, or never made, are made again of the same frames, from the first on: no
 * prompt gives them. */
static enum vs_status find_given(struct host_past *past, struct host_given *given,
                                 const struct vs_model_info *model)
{
    const struct host_given before = *given;
    past->given = given;
    if (past->n_most >= given->n_chunks)
        return VS_OK;
    if (!past->kept)
        return vs_fail(VS_ERROR_USAGE,
                       "--redo-from: the run '%s' lacks latents of the frames that "
                       "it begins with; go on with it first, with --resume",
                       past->source->dir);
    enum vs_status status = host_given_look(given, before.path, before.fps, model);
    if (status != VS_OK)
        return vs_fail_in(status, "the run '%s' begins with frames that are needed again",
                          past->source->dir);
    if (strcmp(before.digest, given->digest) != 0 || before.width != given->width ||
        before.height != given->height || before.n_chunks != given->n_chunks)
        return vs_fail(VS_ERROR_USAGE,
                       "'%s' holds other frames than when the run '%s' was begun; "
                       "bring them back, or begin anew with --extend",
                       before.path, past->source->dir);
    past->encode = true;
    past->n_most = given->n_chunks;
    return VS_OK;
}

/* ---- All of them -------------------------------------------------------------------------- */

enum vs_status host_resume_open(struct host_resumed *resumed, struct host_run *run,
                                const struct host_resume *resume, bool only_look)
{
    enum vs_status status = VS_OK;
    *resumed = (struct host_resumed){.kept = NULL};
    VS_TRY(only_look ? host_kept_look(&resumed->kept, resume->dir)
                     : host_kept_open(&resumed->kept, resume->dir));
    VS_TRY(complete(run, resumed->kept, run->outputs.n == 0 && !resume->redo));
    if (resume->extend > 0)
        VS_TRY(lengthen(resumed->kept, resume->extend));
    host_settings_options(&resumed->wish, &resumed->kept->settings);
    if (resume->redo) {
        VS_TRY(check_branch(run, resumed->kept, resume));
        VS_TRY(join_prompts(&resumed->prompts, resumed->kept, resume));
        resumed->wish.prompts = resumed->prompts.items;
        resumed->wish.n_prompts = resumed->prompts.n;
    }
fail:
    return status;
}

void host_resume_close(struct host_resumed *resumed)
{
    host_prompts_free(&resumed->prompts);
    host_kept_free(resumed->kept);
}

enum vs_status host_resume_past(struct vs_run_past *past, const struct host_resumed *resumed,
                                const struct host_run *run, const struct host_resume *resume,
                                const struct vs_model *model)
{
    enum vs_status status = VS_OK;
    const struct host_kept *kept = resumed->kept;
    const struct host_given given = host_given_of(kept);
    struct host_catch_up work = {.source = kept};
    struct host_progress *teller = NULL;
    struct vs_video_info video;
    bool complete = false;
    *past = (struct vs_run_past){0};
    VS_TRY(host_progress_create(&teller, HOST_PROGRESS_PLAIN));
    VS_TRY(vs_video_plan(&video, model, &resumed->wish));
    work.n_most = resume->redo ? chunk_at(&video, resume->from) : video.n_chunks;
    VS_TRY(host_kept_count(&work.n_most, kept, work.n_most, teller));
    if (work.n_most < given.n_chunks) { /* see find_given() */
        past->n_given = host_given_latents(&given, vs_model_info(model));
        work.n_most = given.n_chunks;
    }
    past->n_there = work.n_most;
    VS_TRY(host_kept_last_checkpoint(&past->n_restored, kept, work.n_most));
    if (!resume->redo)
        VS_TRY(look_at_outputs(&work.first_frame, &complete, kept, run, &video));
    past->n_written = !resume->redo && kept->finished && complete
                          ? video.n_chunks
                          : host_catch_up_decodes_from(&work, &video);
fail:
    host_progress_free(teller);
    return status;
}

static enum vs_status make_video(struct host_run *run, const struct host_resume *resume,
                                 struct host_resumed *resumed, bool other_outputs, bool *told)
{
    enum vs_status status = VS_OK;
    struct host_kept *kept = resumed->kept;
    struct host_past past = {
        .source = kept, .kept = resume->redo ? NULL : kept, .other_outputs = other_outputs};
    struct vs_video_info video;
    struct vs_model *model = NULL;
    struct host_progress *teller = NULL;
    struct host_given given;
    size_t first_frame;
    bool finished = false;
    VS_TRY(host_run_check(run));
    VS_TRY(host_run_open_model(&model, run, false));
    VS_TRY(host_kept_fit(kept, vs_model_info(model)));
    if (resume->extend > 0)
        VS_TRY(host_kept_store(kept));
    VS_TRY(vs_video_plan(&video, model, &resumed->wish));
    past.n_most = resume->redo ? chunk_at(&video, resume->from) : video.n_chunks;
    given = host_given_of(kept);
    if (resume->redo && past.n_most < given.n_chunks) {
        status = vs_fail(VS_ERROR_USAGE,
                         "--redo-from %g: the first %.2f s are frames that were "
                         "given; begin behind them",
                         resume->from, (double)given.n_frames / given.fps);
        goto fail;
    }
    if (!resume->redo && !other_outputs && kept->finished)
        VS_TRY(look_at_outputs(&first_frame, &finished, kept, run, &video));
    VS_TRY(host_progress_create(&teller, run->quiet ? HOST_PROGRESS_NONE
                                                    : (enum host_progress_mode)run->progress));
    if (finished) {
        host_progress_note(teller, "resume", "the video of the run '%s' is complete", kept->dir);
        goto fail;
    }
    VS_TRY(host_kept_count(&past.n_most, kept, past.n_most, teller));
    if (given.n_chunks)
        VS_TRY(find_given(&past, &given, vs_model_info(model)));
    kept->every = run->every.value;
    kept->offload = run->offload;
    VS_TRY(host_run_video(run, model, &resumed->wish, false, &past, told));
fail:
    host_progress_free(teller);
    vs_model_free(model);
    return status;
}

enum vs_status host_resume_video(struct host_run *run, const struct host_resume *resume,
                                 bool *told)
{
    enum vs_status status = VS_OK;
    struct host_resumed resumed;
    bool other_outputs = run->outputs.n > 0;
    VS_TRY(host_resume_open(&resumed, run, resume, false));
    VS_TRY(make_video(run, resume, &resumed, other_outputs, told));
fail:
    host_resume_close(&resumed);
    return status;
}
