/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h - making one video: what `generate` and `replay` have in common. */
#ifndef VS_HOST_RUN_H
#define VS_HOST_RUN_H

#include "host/given.h"
#include "host/kept.h"
#include "host/options.h"
#include "host/progress.h"

/* Options of both commands. */
struct host_run {
    struct vs_model_files files;
    struct host_list loras; /* FILE or FILE:SCALE */
    struct host_list outputs;
    const char *device;
    int progress; /* enum host_progress_mode */
    bool quiet;
    bool unsafe;
    bool offload;
    bool profile;
    struct host_number max_kernel_ms;
    const char *max_memory, *max_alloc; /* bytes, as host_parse_bytes() reads them; NULL: no limit */
    const char *keep; /* folder for a new run; NULL: none */
    struct host_count every;
};

/* What a video begins with that was made before. */
struct host_past {
    struct host_kept *source; /* its chunks */
    size_t n_most;            /* of them, at most */
    struct host_kept *kept;   /* the run to go on with: source, or NULL for a new one */
    bool other_outputs;       /* than those of that run */
    const struct host_given *given; /* frames that the video begins with; NULL: none */
    bool encode;                    /* their latents are still to be made, into kept */
};

/* Entries for an option table whose struct `type` holds a struct host_run named `member`. */
#define HOST_MODEL_OPTIONS(type, member)                                                           \
    {HOST_HEADING, .name = "Model"},                                                               \
    {HOST_STRING, 'm', "model", "DIR",                                                             \
     "Model folder in the layout of the releases. Default: $VIDEOSSM_MODEL, else the installed "   \
     "demo model.", offsetof(type, member.files.folder)},                                          \
    {HOST_STRING, 0, "dit", "FILE",                                                                \
     "Transformer weights (.safetensors, .index.json, .pt, .pth, .gguf). A single file takes "     \
     "precedence over the folder's.", offsetof(type, member.files.dit)},                           \
    {HOST_STRING, 0, "text-encoder", "FILE", "UMT5 encoder weights, the same formats.",            \
     offsetof(type, member.files.text_encoder)},                                                   \
    {HOST_STRING, 0, "vae", "FILE", "VAE weights, the same formats.",                              \
     offsetof(type, member.files.vae)},                                                            \
    {HOST_STRING, 0, "tokenizer", "FILE", "SentencePiece model (spiece.model).",                   \
     offsetof(type, member.files.tokenizer)},                                                      \
    {HOST_STRING, 0, "config", "FILE", "Settings of the model (config.json).",                     \
     offsetof(type, member.files.config)},                                                         \
    {HOST_LIST, 0, "lora", "FILE[:SCALE]",                                                         \
     "Merge a LoRA into the transformer, as 'videossm-cl convert --lora' does. Repeatable.",       \
     offsetof(type, member.loras)}

#define HOST_OUTPUT_OPTION(type, member, note)                                                     \
    {HOST_LIST, 'o', "output", "NAME",                                                             \
     "Where the video goes, by name: a folder (PNG frames), x.mp4, x.y4m, x.png (contact sheet) "  \
     "or - (y4m on standard output). " note, offsetof(type, member.outputs)}

#define HOST_RUNNING_OPTIONS(type, member)                                                         \
    {HOST_HEADING, .name = "Running"},                                                             \
    {HOST_STRING, 'd', "device", "DEVICE",                                                         \
     "Number, platform:device, part of a name, or cpu, gpu, accelerator, intel, amd, nvidia. "     \
     "Default: the first GPU, else accelerator, else CPU; see 'videossm-cl devices'.",             \
     offsetof(type, member.device)},                                                               \
    {HOST_CHOICE, 0, "progress", HOST_PROGRESS_WORDS,                                              \
     "auto: a live line on a terminal, else plain lines; json: one object a line, for programs; "  \
     "none. All on standard error.", offsetof(type, member.progress)},                             \
    {HOST_FLAG, 'q', "quiet", NULL, "Print errors only.", offsetof(type, member.quiet)},           \
    {HOST_FLAG, 0, "unsafe", NULL,                                                                 \
     "Use a device even if its self-test says that it computes wrongly.",                          \
     offsetof(type, member.unsafe)},                                                               \
    {HOST_FLAG, 0, "offload", NULL,                                                                \
     "Spare device memory: the transformer's blocks stay on the host and come one by one, the "     \
     "cache and the VAE's history take turns. The same video, somewhat slower.",                   \
     offsetof(type, member.offload)},                                                              \
    {HOST_FLAG, 0, "profile", NULL,                                                                \
     "Say at the end where the time went, family by family of kernels.",                           \
     offsetof(type, member.profile)},                                                              \
    {HOST_NUMBER, 0, "max-kernel-ms", "N",                                                         \
     "Cut launches on the device into parts of about this many milliseconds. Default: whole on "   \
     "CPUs; on GPUs short enough for a driver's watchdog.",                                        \
     offsetof(type, member.max_kernel_ms), .number_min = 0.1, .number_max = 60000},             \
    {HOST_STRING, 0, "max-memory", "SIZE",                                                         \
     "Take at most this much of the device's memory, for example 8G; a run that needs more is "    \
     "refused before it begins. Default: what the device has.",                                    \
     offsetof(type, member.max_memory)},                                                           \
    {HOST_STRING, 0, "max-alloc", "SIZE",                                                          \
     "Make no buffer larger than this, for example 256M. Default: what the device allows.",        \
     offsetof(type, member.max_alloc)}

/* Checks what can be checked without a model: the outputs' names. */
VS_CHECK enum vs_status host_run_check(const struct host_run *run);

/* The model's files as the options name them, or the default model's folder; borrowed. */
VS_CHECK enum vs_status host_run_find_model(struct vs_model_files *files,
                                            const struct host_run *run);

/* Frees the lists of options. */
void host_run_free_options(struct host_run *run);

/* Sets the limits that the options name; context may be NULL. VS_ERROR_USAGE where they are no
 * sizes. */
VS_CHECK enum vs_status host_run_limit(struct vs_context *context, const struct host_run *run);

/* Opens the model named by the options, or the default one, and merges LoRAs. Needs no device.
 * sizes_only: for a plan. */
VS_CHECK enum vs_status host_run_open_model(struct vs_model **model, const struct host_run *run,
                                            bool sizes_only);

/* Generates the video into all outputs. Sizes are settled and outputs created before the device is
 * opened. options->progress, settled and user are set here. seed_drawn: nobody asked for this seed.
 * past: what was made before, or NULL. *told: a fault has been reported already, or is worth no
 * message.
 *
 * A chunk in which the device fails is made again, once, on the device opened anew. */
VS_CHECK enum vs_status host_run_video(const struct host_run *run, const struct vs_model *model,
                                       struct vs_generate_options *options, bool seed_drawn,
                                       const struct host_past *past, bool *told);

#endif
