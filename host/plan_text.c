/* SPDX-License-Identifier: Apache-2.0
 *
 * plan_text.c - plans as tables and JSON. */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/json_text.h"
#include "host/plan.h"
#include "host/settings.h"

/* ---- Table -------------------------------------------------------------------------------- */

static void print_row(FILE *file, const char *name, uint64_t own, uint64_t mapped)
{
    char text[2][HOST_SIZE_TEXT];
    fprintf(file, "  %-28s %10s", name, own ? host_size_text(text[0], own) : "-");
    if (mapped)
        fprintf(file, "   and %s of the files' pages", host_size_text(text[1], mapped));
    fputc('\n', file);
}

static void print_memory(FILE *file, const char *stage, const struct vs_memory *memory)
{
    uint64_t own = 0, mapped = 0;
    fprintf(file, "Device memory %s\n", stage);
    for (int use = 0; use < VS_N_USES; use++) {
        own += memory->own[use];
        mapped += memory->mapped[use];
        if (memory->own[use] || memory->mapped[use])
            print_row(file, vs_use_name((enum vs_use)use), memory->own[use], memory->mapped[use]);
    }
    print_row(file, "all", own, mapped);
}

static void print_disk(FILE *file, const struct host_plan *plan, const struct host_run *run)
{
    const struct host_plan_disk disk = host_plan_disk(plan);
    fputs("Disk\n", file);
    print_row(file, "frames as PNG, at most", disk.png, 0);
    print_row(file, "frames as y4m", disk.y4m, 0);
    print_row(file, "frames as mp4, about", disk.mp4, 0);
    print_row(file, run->keep ? "latents" : "latents, a temporary file", disk.latents, 0);
    print_row(file, run->keep ? "checkpoints" : "checkpoints, with --keep", disk.checkpoints, 0);
}

/* "2.5 h", with two or three digits. */
static const char *time_text(char text[16], double seconds)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && seconds < 2 * units[i].seconds)
        i++;
    double value = seconds / units[i].seconds;
    snprintf(text, 16, "%.*f %s", value < 10 ? 1 : 0, value, units[i].unit);
    return text;
}

static void print_time(FILE *file, const struct host_plan_time *time, bool has_given)
{
    const struct {
        const char *name;
        double seconds;
    } rows[] = {{"encoding frames", time->encode_given},
                {"encoding texts", time->encode},
                {"denoising", time->denoise},
                {"of it, the last chunk", time->last_chunk},
                {"decoding", time->decode},
                {"all", time->encode_given + time->encode + time->denoise + time->decode}};
    char text[16];
    if (time->source == HOST_TIME_UNKNOWN) {
        fputs("Time\n  unknown: no tuning records say how fast this device is; 'videossm-cl tune' "
              "makes\n  them, --measure reckons from its peak\n",
              file);
        return;
    }
    if (time->source == HOST_TIME_PEAK)
        fprintf(file, "Time, from the device's peak (%.0f GFLOP/s, copies %.0f GB/s)\n",
                time->gflops, time->gbs);
    else
        fputs("Time, from tuning records of this device\n", file);
    for (size_t i = has_given ? 0 : 1; i < sizeof rows / sizeof *rows; i++)
        fprintf(file, "  %-28s %10s\n", rows[i].name, time_text(text, rows[i].seconds));
}

static void print_past(FILE *file, const struct vs_run_past *past)
{
    if (past->n_given)
        fprintf(file, "Past: %zu chunks are encoded of given frames\n", past->n_there);
    else if (past->n_there)
        fprintf(file,
                "Past: %zu chunks are there, %zu of them in a checkpoint; %zu need no decoding\n",
                past->n_there, past->n_restored, past->n_written);
}

void host_plan_print(FILE *file, const struct host_plan *whole, const struct vs_model_info *model,
                     const struct host_run *run)
{
    const struct vs_run_plan *plan = &whole->run;
    const struct vs_video_info *video = &plan->video;
    const struct vs_device_info *device = &plan->device;
    char text[2][HOST_SIZE_TEXT];
    fprintf(file, "Model: %zu layers of %zu, %zu heads, %zu steps a chunk\n", model->n_layers,
            model->dim, model->n_heads, model->n_steps);
    fprintf(file, "Video: %zux%zu, %zu frames (%g s), %zu chunks; memory %s, ", video->width,
            video->height, video->n_frames, (double)video->n_frames / video->fps, video->n_chunks,
            host_memory_word(video->memory));
    if (video->window)
        fprintf(file, "window %zu, ", video->window);
    fprintf(file, "sink %zu, kv %s\n", video->sink, host_kv_word(video->kv));
    print_past(file, &whole->past);
    fprintf(file, "Device: %s, %s, at most %s at once\n\n", device->name,
            host_size_text(text[0], device->global_memory_bytes),
            host_size_text(text[1], device->max_allocation_bytes));
    if (whole->past.n_given)
        print_memory(file, "while frames are encoded", &plan->given);
    print_memory(file, "while texts are encoded", &plan->encoding);
    print_memory(file, "while chunks are made", &plan->making);
    fputs("Host memory\n", file);
    print_row(file, device->type == VS_DEVICE_CPU ? "with the device's" : "beside the device's",
              host_plan_host_bytes(whole), 0);
    print_disk(file, whole, run);
    print_time(file, &whole->time, whole->past.n_given > 0);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *memory_json(const struct vs_memory *memory, const struct vs_device_info *device)
{
    json_t *own = json_object(), *mapped = json_object();
    for (int use = 0; use < VS_N_USES; use++) {
        const char *name = vs_use_name((enum vs_use)use);
        if (memory->own[use])
            json_object_set_new(own, name, number(memory->own[use]));
        if (memory->mapped[use])
            json_object_set_new(mapped, name, number(memory->mapped[use]));
    }
    return json_pack("{s:o, s:o, s:o}", "own", own, "mapped", mapped, "needed",
                     number(vs_memory_needed(memory, device)));
}

static json_t *work_json(const struct vs_stage_work *work)
{
    json_t *json = json_object();
    for (size_t i = 0; i < work->n_families; i++) {
        const struct vs_work *family = &work->families[i];
        json_object_set_new(json, family->family,
                            json_pack("{s:f, s:f, s:f}", "flops", family->flops, "bytes",
                                      family->bytes, "launches", family->n_launches));
    }
    return json;
}

static json_t *disk_json(const struct host_plan *plan)
{
    const struct host_plan_disk disk = host_plan_disk(plan);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "png_at_most", number(disk.png), "y4m",
                     number(disk.y4m), "mp4_about", number(disk.mp4), "latents",
                     number(disk.latents), "checkpoints", number(disk.checkpoints));
}

static json_t *time_json(const struct host_plan_time *time)
{
    static const char *const sources[] = {"unknown", "tuning records", "peak"};
    json_t *json = json_pack("{s:s}", "source", sources[time->source]);
    if (time->source != HOST_TIME_UNKNOWN) {
        json_object_set_new(json, "encode_given_s", json_real(time->encode_given));
        json_object_set_new(json, "encode_s", json_real(time->encode));
        json_object_set_new(json, "denoise_s", json_real(time->denoise));
        json_object_set_new(json, "last_chunk_s", json_real(time->last_chunk));
        json_object_set_new(json, "decode_s", json_real(time->decode));
    }
    return json;
}

static json_t *video_json(const struct vs_video_info *video)
{
    return json_pack("{s:o, s:o, s:f, s:o, s:o, s:s, s:o, s:o, s:s}", "width",
                     number(video->width), "height", number(video->height), "fps", video->fps,
                     "frames", number(video->n_frames), "chunks", number(video->n_chunks), "memory",
                     host_memory_word(video->memory), "window", number(video->window), "sink",
                     number(video->sink), "kv", host_kv_word(video->kv));
}

static json_t *past_json(const struct vs_run_past *past)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "given_latent_frames", number(past->n_given),
                     "chunks_there", number(past->n_there), "chunks_restored",
                     number(past->n_restored), "chunks_written", number(past->n_written));
}

enum vs_status host_plan_print_json(FILE *file, const struct host_plan *whole,
                                    const struct vs_model_info *model, const char *fault)
{
    const struct vs_run_plan *plan = &whole->run;
    const struct vs_device_info *device = &plan->device;
    json_t *root = json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "plan", 1, "video",
        video_json(&plan->video), "past", past_json(&whole->past), "model",
        json_pack("{s:o, s:o, s:o, s:o}", "layers", number(model->n_layers), "dim",
                  number(model->dim), "heads", number(model->n_heads), "steps",
                  number(model->n_steps)),
        "device",
        json_pack("{s:o, s:o, s:o}", "name", host_json_text(device->name), "memory_bytes",
                  number(device->global_memory_bytes), "allocation_bytes",
                  number(device->max_allocation_bytes)),
        "encoding_given", memory_json(&plan->given, device), "encoding",
        memory_json(&plan->encoding, device), "making", memory_json(&plan->making, device),
        "largest_buffer",
        json_pack("{s:s, s:o}", "use", vs_use_name(plan->largest_use), "bytes",
                  number(plan->largest_bytes)),
        "host_bytes", number(host_plan_host_bytes(whole)), "disk", disk_json(whole), "work",
        json_pack("{s:o, s:o, s:o, s:o}", "encode_given", work_json(&plan->encode_given), "encode",
                  work_json(&plan->encode), "denoise", work_json(&plan->denoise), "decode",
                  work_json(&plan->decode)));
    if (root) {
        json_object_set_new(root, "time", time_json(&whole->time));
        json_object_set_new(root, "device_bytes", number(vs_run_plan_device_bytes(plan)));
        json_object_set_new(root, "fits", json_boolean(!fault));
        json_object_set_new(root, "fault", fault ? host_json_text(fault) : json_null());
    }
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6))
                      : NULL;
    json_decref(root);
    if (!text)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for the plan");
    fprintf(file, "%s\n", text);
    free(text);
    return VS_OK;
}
