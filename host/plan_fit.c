/* SPDX-License-Identifier: Apache-2.0
 *
 * plan_fit.c - what would fit where a run does not: other options, planned like the run itself. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/plan.h"

/* A change of options that may make a run fit, the mildest first. Those with steps have a least and
 * a most, and what fits is sought between them. */
enum change { OFFLOAD, KEYS, FORGET, WINDOW, PICTURE, N_CHANGES };

/* From here on, changes give another video. */
enum { FIRST_OTHER = KEYS };

struct search {
    struct vs_context *context;
    const struct vs_model *model;
    const struct vs_run_past *past;
    enum change end; /* of those that may be made */
    FILE *text;      /* what was found */
    size_t n_found;
};

/* Sides of a picture in sixteenths of what was asked for. */
enum { WHOLE = 16, SMALLEST = 4 };

/* What the plan would be; a combination of options that cannot be does not fit. */
static enum vs_status try_options(bool *fits, struct vs_run_plan *plan,
                                  const struct search *search,
                                  const struct vs_generate_options *options)
{
    enum vs_status status =
        vs_run_plan(plan, search->context, search->model, options, search->past, false);
    *fits = status == VS_OK && vs_run_plan_fits(plan) == VS_RUN_FITS;
    return status == VS_ERROR_USAGE ? VS_OK : status;
}

static size_t scaled(size_t side, size_t sixteenths)
{
    size_t n = side * sixteenths / WHOLE / 16 * 16;
    return n ? n : 16;
}

/* Latent frames in the window; all of the video where it has no limit. */
static size_t window_of(const struct vs_video_info *video, const struct search *search)
{
    return video->window ? video->window
                         : video->n_chunks * vs_model_info(search->model)->frames_per_chunk;
}

/* Steps of a change, from 1 to as many; 0: there is nothing to change. */
static size_t n_steps(enum change change, const struct search *search,
                      const struct vs_generate_options *options, const struct vs_video_info *video)
{
    size_t chunk = vs_model_info(search->model)->frames_per_chunk;
    switch (change) {
    case OFFLOAD:
        return !options->offload;
    case KEYS:
        return video->kv == VS_KV_F32;
    case FORGET:
        return options->memory == VS_MEMORY_FULL;
    case WINDOW: {
        size_t window = window_of(video, search), least = video->sink + chunk;
        return window > least && video->memory != VS_MEMORY_FULL ? (window - least) / chunk : 0;
    }
    case PICTURE:
        return WHOLE - SMALLEST;
    default:
        return 0;
    }
}

static void apply(struct vs_generate_options *options, enum change change, size_t step,
                  const struct search *search, const struct vs_video_info *video)
{
    if (change == OFFLOAD) {
        options->offload = true;
    } else if (change == KEYS) {
        options->kv = VS_KV_F16;
    } else if (change == FORGET) {
        options->memory = VS_MEMORY_HYBRID;
    } else if (change == WINDOW) {
        options->window =
            window_of(video, search) - step * vs_model_info(search->model)->frames_per_chunk;
    } else {
        options->width = scaled(video->width, WHOLE - step);
        options->height = scaled(video->height, WHOLE - step);
    }
}

/* The smallest step of a change that fits, or that does most where none does. */
static enum vs_status settle(bool *fits, struct vs_run_plan *plan,
                             struct vs_generate_options *options, const struct search *search,
                             enum change change, size_t most, const struct vs_video_info *video)
{
    enum vs_status status = VS_OK;
    size_t low = 1, high = most;
    struct vs_generate_options wish = *options;
    apply(&wish, change, most, search, video);
    VS_TRY(try_options(fits, plan, search, &wish));
    while (*fits && low < high) {
        struct vs_run_plan other;
        bool enough;
        size_t middle = low + (high - low) / 2;
        wish = *options;
        apply(&wish, change, middle, search, video);
        VS_TRY(try_options(&enough, &other, search, &wish));
        if (enough) {
            high = middle;
            *plan = other;
        } else {
            low = middle + 1;
        }
    }
    apply(options, change, *fits ? high : most, search, video);
fail:
    return status;
}

static void write_option(FILE *text, enum change change, const struct vs_generate_options *options)
{
    if (change == OFFLOAD)
        fputs(" --offload", text);
    else if (change == KEYS)
        fputs(" --kv f16", text);
    else if (change == FORGET)
        fputs(" --memory hybrid", text);
    else if (change == WINDOW)
        fprintf(text, " --window %zu", options->window);
    else
        fprintf(text, " --size %zux%zu", options->width, options->height);
}

static void begin_finding(struct search *search)
{
    if (search->n_found++)
        fputs(", or", search->text);
}

static void end_finding(struct search *search, const struct vs_run_plan *plan)
{
    char size[HOST_SIZE_TEXT];
    fprintf(search->text, " (%s)", host_size_text(size, vs_run_plan_device_bytes(plan)));
}

/* Every change for itself. */
static enum vs_status seek_single(struct search *search, const struct vs_generate_options *options,
                                  const struct vs_video_info *video, enum change first,
                                  enum change end)
{
    enum vs_status status = VS_OK;
    for (enum change change = first; change < end; change++) {
        struct vs_generate_options wish = *options;
        struct vs_run_plan plan;
        bool fits;
        size_t most = n_steps(change, search, options, video);
        if (!most)
            continue;
        VS_TRY(settle(&fits, &plan, &wish, search, change, most, video));
        if (!fits)
            continue;
        begin_finding(search);
        write_option(search->text, change, &wish);
        end_finding(search, &plan);
    }
fail:
    return status;
}

/* One more change after the other until it fits. */
static enum vs_status seek_together(struct search *search,
                                    const struct vs_generate_options *options,
                                    const struct vs_run_plan *first, enum change end)
{
    enum vs_status status = VS_OK;
    struct vs_generate_options wish = *options;
    struct vs_video_info now = first->video;
    uint64_t least = vs_run_plan_device_bytes(first);
    bool fits = false, changed[N_CHANGES] = {false};
    struct vs_run_plan plan;
    for (enum change change = 0; change < end && !fits; change++) {
        const struct vs_generate_options before = wish;
        size_t most = n_steps(change, search, &wish, &now);
        if (!most)
            continue;
        VS_TRY(settle(&fits, &plan, &wish, search, change, most, &now));
        uint64_t n_bytes = vs_run_plan_device_bytes(&plan); /* 0: options that cannot be */
        changed[change] = fits || (n_bytes && n_bytes < least);
        if (!changed[change]) { /* what is no help is no part of the advice */
            wish = before;
            continue;
        }
        least = n_bytes;
        VS_TRY(vs_video_plan(&now, search->model, &wish));
    }
    if (!fits)
        return VS_OK;
    begin_finding(search);
    for (enum change change = 0; change < end; change++)
        if (changed[change])
            write_option(search->text, change, &wish);
    end_finding(search, &plan);
fail:
    return status;
}

/* The whole picture, if that can be, then a smaller one. */
static enum vs_status seek(struct search *search, const struct vs_generate_options *options,
                           const struct vs_run_plan *plan)
{
    enum vs_status status = VS_OK;
    enum change end = search->end, whole = end < PICTURE ? end : PICTURE;
    VS_TRY(seek_single(search, options, &plan->video, 0, whole));
    if (!search->n_found)
        VS_TRY(seek_together(search, options, plan, whole));
    VS_TRY(seek_single(search, options, &plan->video, whole, end));
    if (!search->n_found)
        VS_TRY(seek_together(search, options, plan, end));
fail:
    return status;
}

/* What is wrong, without a remedy. Freed with free(). */
static char *describe(const struct vs_run_plan *plan)
{
    char takes[HOST_SIZE_TEXT], has[HOST_SIZE_TEXT];
    if (vs_run_plan_fits(plan) == VS_RUN_TOO_MUCH)
        return vs_format("%s: this takes %s of memory, more than %s", plan->device.name,
                         host_size_text(takes, vs_run_plan_device_bytes(plan)),
                         host_size_text(has, plan->device.global_memory_bytes));
    return vs_format("%s: this takes a buffer of %s (%s), more than %s at once", plan->device.name,
                     host_size_text(takes, plan->largest_bytes), vs_use_name(plan->largest_use),
                     host_size_text(has, plan->device.max_allocation_bytes));
}

enum vs_status host_plan_check(const struct host_plan *plan, const struct host_run *run,
                               const struct vs_model *model,
                               const struct vs_generate_options *options, bool settled)
{
    enum vs_status status = VS_OK;
    struct search search = {.model = model, .past = &plan->past};
    search.end = settled ? FIRST_OTHER : plan->past.n_given ? PICTURE : N_CHANGES;
    char *found = NULL, *fault = NULL;
    size_t n;
    if (vs_run_plan_fits(&plan->run) == VS_RUN_FITS)
        return VS_OK;
    search.text = open_memstream(&found, &n);
    fault = describe(&plan->run);
    if (!search.text || !fault) {
        status = vs_fail(VS_ERROR_MEMORY, "out of memory for the plan");
        goto fail;
    }
    VS_TRY(host_plan_open_context(&search.context, run, options));
    VS_TRY(seek(&search, options, &plan->run));
    fclose(search.text);
    search.text = NULL;
    if (search.n_found)
        status = vs_fail(VS_ERROR_MEMORY, "%s; it would fit with%s", fault, found);
    else
        status = vs_fail(VS_ERROR_MEMORY, "%s; %s, try another --device", fault,
                         settled              ? "the run's settings stay as they are"
                         : plan->past.n_given ? "no smaller window fits either, nor do smaller keys"
                                              : "no smaller window or picture fits either");
fail:
    if (search.text)
        fclose(search.text);
    vs_context_free(search.context);
    free(found);
    free(fault);
    return status;
}
