/* SPDX-License-Identifier: Apache-2.0
 *
 * run_plan.h - what a run will take, before anything is loaded.
 *
 * A generator is made and its loop gone through as in a run, in a hollow context (cl/context.h), and
 * what it asked for is added up. Of the model's files little more than the headers is read. */
#ifndef VS_MODELS_RUN_PLAN_H
#define VS_MODELS_RUN_PLAN_H

#include "cl/context.h"

/* What the launches of one family of kernels declare. */
struct vs_work {
    char family[16]; /* "gemm", "attention" ... */
    double flops, bytes;
    double n_launches;
};

enum { VS_MAX_FAMILIES = 16 };

/* A stage by family. */
struct vs_stage_work {
    struct vs_work families[VS_MAX_FAMILIES];
    size_t n_families;
};

/* What a run need not make, since it begins with frames or goes on from what is there. All 0: a new
 * video. */
struct vs_run_past {
    size_t n_given;    /* latent frames that are encoded of given frames first */
    size_t n_there;    /* first chunks whose latents are there, or come of given frames */
    size_t n_restored; /* of them, those that a checkpoint remembers */
    size_t n_written;  /* of them, those whose frames need not be decoded */
};

struct vs_run_plan {
    struct vs_video_info video;
    struct vs_device_info device; /* with the limits set for it */
    struct vs_memory given;       /* while given frames are encoded, at most */
    struct vs_memory encoding;    /* while texts are encoded */
    struct vs_memory making;      /* while chunks are made and decoded */
    size_t largest_bytes;         /* buffer */
    enum vs_use largest_use;
    uint64_t host_bytes;       /* on the host, whatever the device */
    uint64_t latents_bytes;    /* of a chunk */
    uint64_t checkpoint_bytes; /* what vs_generator_save() writes when the window is full */
    size_t n_texts;
    struct vs_stage_work encode_given; /* all given frames */
    struct vs_stage_work encode;       /* all texts */
    struct vs_stage_work denoise;      /* all chunks, those that only have to be remembered too */
    struct vs_stage_work last_chunk;   /* the dearest */
    struct vs_stage_work decode;       /* all chunks */
};

/* model may have been opened for sizes only; context is hollow, with limits that nothing here
 * enforces. past NULL: none. work: count the work of all stages and the bytes of a checkpoint too,
 * which takes several times as long; else, or when nothing is left to make, they are 0. Faults are
 * those of vs_encoder_create(), with given frames, and vs_generator_create(). */
VS_CHECK enum vs_status vs_run_plan(struct vs_run_plan *plan, struct vs_context *context,
                                    const struct vs_model *model,
                                    const struct vs_generate_options *options,
                                    const struct vs_run_past *past, bool work);

/* Device memory that the run needs, as vs_memory_needed() counts it: the largest stage's. */
uint64_t vs_run_plan_device_bytes(const struct vs_run_plan *plan);

/* The same with all that the host holds for it where device and host are one memory. */
uint64_t vs_run_plan_host_bytes(const struct vs_run_plan *plan);

/* Whether it fits the device and the limits, and if not, for what reason. */
enum vs_run_fit { VS_RUN_FITS, VS_RUN_TOO_MUCH, VS_RUN_BUFFER_TOO_LARGE };
enum vs_run_fit vs_run_plan_fits(const struct vs_run_plan *plan);

/* Name of a use: "KV cache". */
const char *vs_use_name(enum vs_use use);

#endif
