/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c - events of launches, added up by kernel.
 *
 * Only a queue that was made for it keeps times, so the context gets another one while counting.
 * Events are read when the room for them is full: thousands of launches are enqueued ahead, and
 * waiting for each would measure the waiting. */
#include "cl/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/opencl.h"

enum { MAX_PENDING = 1024 };

struct vs_profile {
    struct vs_profile_entry *entries;
    size_t n_entries, room;
    struct {
        cl_event before, event; /* before: NULL, or where the time begins */
        size_t entry;
    } pending[MAX_PENDING];
    size_t n_pending;
    double saved_flops;
};

void vs_profile_save(struct vs_context *context, double flops)
{
    if (context->profile)
        context->profile->saved_flops += flops;
}

double vs_profile_saved(const struct vs_context *context)
{
    return context->profile ? context->profile->saved_flops : 0;
}

/* Queues that keep times are one queue: kernels that ran side by side would each be charged for
 * the other's time. */
static enum vs_status replace_queues(struct vs_context *context, bool keep_times)
{
    enum vs_status status = VS_OK;
    cl_command_queue queues[VS_N_QUEUES] = {NULL};
    cl_int error;
    if (context->hollow)
        return VS_OK;
    VS_TRY(vs_context_finish(context));
    for (int i = 0; i < VS_N_QUEUES; i++) {
        bool shared = keep_times && i > 0;
        queues[i] = shared
                        ? queues[0]
                        : clCreateCommandQueue(context->context, context->device,
                                               keep_times ? CL_QUEUE_PROFILING_ENABLE : 0, &error);
        if (!queues[i]) {
            status = vs_cl_fail(error, "clCreateCommandQueue", context);
            goto fail;
        }
        if (shared)
            clRetainCommandQueue(queues[i]);
    }
    for (int i = 0; i < VS_N_QUEUES; i++) {
        cl_command_queue old = context->queues[i];
        context->queues[i] = queues[i];
        queues[i] = old;
    }
    vs_context_select(context, VS_QUEUE_MAIN);
fail:
    for (int i = 0; i < VS_N_QUEUES; i++)
        if (queues[i])
            clReleaseCommandQueue(queues[i]);
    return status;
}

static void release_pending(struct vs_profile *profile)
{
    for (size_t i = 0; i < profile->n_pending; i++) {
        if (profile->pending[i].before)
            clReleaseEvent(profile->pending[i].before);
        clReleaseEvent(profile->pending[i].event);
    }
    profile->n_pending = 0;
}

/* Waits for the pending events and adds their times up. */
static enum vs_status collect(struct vs_context *context)
{
    enum vs_status status = VS_OK;
    struct vs_profile *profile = context->profile;
    VS_TRY(vs_context_finish(context));
    for (size_t i = 0; i < profile->n_pending; i++) {
        cl_ulong start = 0, end = 0;
        cl_event before = profile->pending[i].before, event = profile->pending[i].event;
        VS_CL(context, clGetEventProfilingInfo(before ? before : event,
                                               before ? CL_PROFILING_COMMAND_END
                                                      : CL_PROFILING_COMMAND_START,
                                               sizeof start, &start, NULL));
        VS_CL(context,
              clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL));
        if (end > start)
            profile->entries[profile->pending[i].entry].seconds += (double)(end - start) * 1e-9;
    }
fail:
    release_pending(profile);
    return status;
}

static enum vs_status find_entry(size_t *index, struct vs_profile *profile, const char *source,
                                 const char *kernel)
{
    struct vs_profile_entry *entries = profile->entries;
    for (*index = 0; *index < profile->n_entries; ++*index)
        if (entries[*index].source == source && strcmp(entries[*index].kernel, kernel) == 0)
            return VS_OK;
    if (profile->n_entries == profile->room) {
        size_t room = profile->room ? 2 * profile->room : 64;
        entries = vs_realloc(entries, room, sizeof *entries);
        if (!entries)
            return VS_ERROR_MEMORY;
        profile->entries = entries;
        profile->room = room;
    }
    entries[profile->n_entries] = (struct vs_profile_entry){.source = source};
    snprintf(entries[profile->n_entries].kernel, sizeof entries->kernel, "%s", kernel);
    profile->n_entries++;
    return VS_OK;
}

enum vs_status vs_profile_count(struct vs_context *context, const char *source, const char *kernel,
                                double flops, double bytes)
{
    enum vs_status status = VS_OK;
    struct vs_profile *profile = context->profile;
    size_t index;
    VS_TRY(find_entry(&index, profile, source, kernel));
    profile->entries[index].n_launches++;
    profile->entries[index].flops += flops;
    profile->entries[index].bytes += bytes;
fail:
    return status;
}

enum vs_status vs_profile_event(struct vs_context *context, const char *source, const char *kernel,
                                cl_event before, cl_event event)
{
    enum vs_status status = VS_OK;
    struct vs_profile *profile = context->profile;
    size_t index;
    status = find_entry(&index, profile, source, kernel);
    if (status == VS_OK && profile->n_pending == MAX_PENDING)
        status = collect(context);
    if (status != VS_OK) {
        if (before)
            clReleaseEvent(before);
        clReleaseEvent(event);
        return status;
    }
    profile->pending[profile->n_pending].before = before;
    profile->pending[profile->n_pending].event = event;
    profile->pending[profile->n_pending++].entry = index;
    return VS_OK;
}

enum vs_status vs_profile_begin(struct vs_context *context)
{
    enum vs_status status = VS_OK;
    vs_profile_free(context);
    struct vs_profile *profile = vs_alloc(1, sizeof *profile);
    if (!profile)
        return VS_ERROR_MEMORY;
    status = replace_queues(context, true);
    if (status == VS_OK)
        context->profile = profile;
    else
        free(profile);
    return status;
}

enum vs_status vs_profile_end(struct vs_context *context, struct vs_profile_entry **entries,
                              size_t *n_entries)
{
    enum vs_status status = VS_OK;
    struct vs_profile *profile = context->profile;
    *entries = NULL;
    *n_entries = 0;
    if (!profile)
        return VS_OK;
    VS_TRY(collect(context));
    VS_TRY(replace_queues(context, false));
    *entries = profile->entries;
    *n_entries = profile->n_entries;
    profile->entries = NULL;
fail:
    vs_profile_free(context);
    return status;
}

void vs_profile_free(struct vs_context *context)
{
    struct vs_profile *profile = context->profile;
    if (!profile)
        return;
    release_pending(profile);
    free(profile->entries);
    free(profile);
    context->profile = NULL;
}
