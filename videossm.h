/* SPDX-License-Identifier: Apache-2.0
 *
 * videossm.h - the public interface of libvideossm: devices, models, generation.
 *
 * Everything a program needs to turn a prompt into frames. Nothing here prints or exits: every
 * function that can fail returns a status, and vs_error_message() says what went wrong, with the
 * name of the file, tensor, device or option and the remedy. Status values are exit codes. */
#ifndef VIDEOSSM_H
#define VIDEOSSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VS_API __attribute__((visibility("default")))
#define VS_CHECK __attribute__((warn_unused_result))

/* ---- Errors ------------------------------------------------------------------------------- */

/* Outcome of every call; the program exits with the same number. */
enum vs_status {
    VS_OK = 0,
    VS_ERROR_RUNTIME = 1,      /* a call to the device, the disk or a library failed */
    VS_ERROR_USAGE = 2,        /* an option or argument that cannot be */
    VS_ERROR_DEVICE = 3,       /* no OpenCL device, or not the one asked for */
    VS_ERROR_MEMORY = 4,       /* host or device memory does not suffice */
    VS_ERROR_MODEL = 5,        /* a model file is missing, damaged, hostile or does not fit */
    VS_ERROR_VALIDATION = 6,   /* a device gives other bits than it must */
    VS_ERROR_NONFINITE = 7,    /* infinities or NaN inside a network */
    VS_ERROR_INTERRUPTED = 130 /* the caller asked to stop */
};

/* Message of the last failed call on this thread; "" if none. Borrowed, valid until the next
 * failure on the same thread. */
VS_API const char *vs_error_message(void);

/* Version of the library, e.g. "0.1.0". */
VS_API const char *vs_version(void);

/* ---- Devices ------------------------------------------------------------------------------ */

enum vs_device_type { VS_DEVICE_CPU, VS_DEVICE_GPU, VS_DEVICE_ACCELERATOR, VS_DEVICE_OTHER };

struct vs_device_info {
    size_t index;            /* position in the list, from 0 */
    size_t platform, device; /* clinfo's numbers: platform, and device within it */
    enum vs_device_type type;
    char name[256], vendor[256], driver[256], version[256], platform_name[256];
    uint64_t global_memory_bytes, max_allocation_bytes, local_memory_bytes;
    size_t max_work_group_size;
    unsigned compute_units;
    bool unified_memory; /* host and device share one memory */
    bool usable;         /* available, has a compiler, little-endian */
};

/* Lists all devices of all platforms, in clinfo's order. *devices is freed with free().
 * An empty list is no error. */
VS_API VS_CHECK enum vs_status vs_device_list(struct vs_device_info **devices, size_t *n_devices);

/* Finds one device. spec: an index ("2"), clinfo's "platform:device" ("0:1"), a kind ("cpu",
 * "gpu", "accelerator"), a vendor ("intel", "amd", "nvidia"), part of a name, or NULL for the
 * first usable of GPU, accelerator, CPU. VS_ERROR_DEVICE names what there is. */
VS_API VS_CHECK enum vs_status vs_device_find(struct vs_device_info *device, const char *spec);

struct vs_context; /* one opened device: queue, compiled programs, memory accounting */

VS_API VS_CHECK enum vs_status vs_context_create(struct vs_context **context, const char *spec);
VS_API void vs_context_free(struct vs_context *context);
VS_API const struct vs_device_info *vs_context_device(const struct vs_context *context);

/* Cuts launches into parts of at most about this long, as measured when kernels first run; they are
 * cut anyway on GPUs, by an estimate, since drivers kill launches that hold a display up. 0: as
 * before. Results do not depend on it. */
VS_API void vs_context_limit_launches(struct vs_context *context, double seconds);

/* What memory on a device is for. */
enum vs_use {
    VS_USE_TEXT,        /* text encoder: the weights of a block, activations */
    VS_USE_WEIGHTS,     /* transformer */
    VS_USE_KV,          /* keys and values of the window, with the memory's gates */
    VS_USE_STATE,       /* the memory's states */
    VS_USE_ACTIVATIONS, /* transformer, with the text and the chunk's latents */
    VS_USE_VAE_WEIGHTS,
    VS_USE_VAE,         /* its history and work buffers, and pictures */
    VS_USE_OTHER,
    VS_N_USES
};

/* Bytes on a device by use. */
struct vs_memory {
    uint64_t own[VS_N_USES];    /* in storage of their own */
    uint64_t mapped[VS_N_USES]; /* pages of model files, used in place */
};

/* What of it a device has to have room for: all, but on CPUs not the pages of files, which the
 * system takes back where memory is short. */
VS_API uint64_t vs_memory_needed(const struct vs_memory *memory,
                                 const struct vs_device_info *device);

/* From now on the context holds at most n_bytes, as vs_memory_needed() counts them, and no buffer
 * of more than allocation_bytes; 0: what the device has. VS_ERROR_MEMORY where that does not
 * suffice. vs_context_device() shows the limits as the device's own. */
VS_API void vs_context_limit_memory(struct vs_context *context, uint64_t n_bytes,
                                    uint64_t allocation_bytes);

/* What kernels keep. EXACT, to begin with: the bits of kernels/NUMERICS.md, the same on every
 * device. FAST: other providers may serve an operation where a tuning record says that they are
 * faster here; results stay within the bounds that kernels/NUMERICS.md states for each. */
enum vs_precision { VS_PRECISION_EXACT, VS_PRECISION_FAST };
VS_API void vs_context_set_precision(struct vs_context *context, enum vs_precision precision);
VS_API enum vs_precision vs_context_precision(const struct vs_context *context);

/* Proves with small known cases, in a few seconds, that the device computes as it must; the first
 * use of a device, driver and version pays, later ones find the verdict on disk.
 * VS_ERROR_VALIDATION names the operation that gave other bits. */
VS_API VS_CHECK enum vs_status vs_context_selftest(struct vs_context *context);

/* ---- Models ------------------------------------------------------------------------------- */

/* A file of low-rank differences (LoRA) to the transformer's weights. */
struct vs_lora {
    const char *path; /* safetensors, torch or GGUF */
    double scale;     /* finite; 1: as trained */
};

/* Where the parts of a model lie. Either a folder in the release's layout, or single files, which
 * take precedence over the folder's. NULL: not given. */
struct vs_model_files {
    const char *folder;       /* config.json, diffusion_pytorch_model*, models_t5_*, *VAE* ... */
    const char *dit;          /* transformer: safetensors, index.json, .pt, .pth or .gguf */
    const char *text_encoder; /* UMT5 encoder, same formats */
    const char *vae;          /* Wan VAE, same formats */
    const char *tokenizer;    /* SentencePiece model (spiece.model) */
    const char *config;       /* config.json */
    const struct vs_lora *loras; /* merged into the transformer, one after the other */
    size_t n_loras;
    bool sizes_only; /* for a plan: LoRAs are not added up, and the model has no fingerprint */
};

enum vs_gates { VS_GATES_NONE, VS_GATES_HEAD, VS_GATES_CHANNEL };

/* A LoRA that was merged. */
struct vs_lora_info {
    char name[128];       /* of the file, without folders, cut off where too long */
    double scale;
    char fingerprint[65]; /* as that of a model, over the file's tensors */
};

/* Settings of a model that a caller may want to know; see config.json in docs/models.md. */
struct vs_model_info {
    size_t width, height; /* pixels, when none are asked for */
    double fps;
    size_t dim, n_heads, n_layers;
    size_t frames_per_chunk; /* latent frames, c */
    size_t window, sink;     /* latent frames, L (0: unlimited) and S */
    size_t n_steps;          /* denoising steps a chunk */
    size_t horizon;          /* latent frames the router reckons with; 0: the length asked for */
    enum vs_gates gates;     /* of the memory; VS_GATES_NONE: weights without memory */
    bool can_encode;         /* the VAE's file has the encoder, so vs_encoder_create() can be */
    char fingerprint[65];    /* SHA-256 over config, tokenizer, tensor tables and samples of the
                                weights, LoRAs merged, hexadecimal: names the model whatever its
                                path */
    const struct vs_lora_info *loras; /* borrowed from the model */
    size_t n_loras;
};

struct vs_model; /* checked and mapped model files; holds no device memory */

/* Opens and checks every file of a model: containers, names, shapes, config, tokenizer. Needs no
 * device. VS_ERROR_MODEL names file and tensor. */
VS_API VS_CHECK enum vs_status vs_model_open(struct vs_model **model,
                                             const struct vs_model_files *files);
VS_API void vs_model_free(struct vs_model *model);
VS_API const struct vs_model_info *vs_model_info(const struct vs_model *model);

/* ---- Generation --------------------------------------------------------------------------- */

enum vs_memory_mode { VS_MEMORY_HYBRID, VS_MEMORY_SINK, VS_MEMORY_WINDOW, VS_MEMORY_FULL };
enum vs_noise { VS_NOISE_PHILOX, VS_NOISE_TORCH };

/* Numbers in which keys and values of past frames are kept. F16 takes half the memory; it is
 * rounding in one defined way, so the bits are the same on every device, but not those of F32. */
enum vs_kv { VS_KV_DEFAULT, VS_KV_F32, VS_KV_F16 };

struct vs_prompt {
    double seconds;   /* takes effect at the first chunk that begins at or after this time */
    const char *text; /* UTF-8 */
};

/* What is being done, for a progress display. */
enum vs_stage {
    VS_STAGE_LOAD,
    VS_STAGE_ENCODE, /* prompts */
    VS_STAGE_DENOISE,
    VS_STAGE_DECODE,
    VS_STAGE_FRAMES /* frames are encoded: of a caller's loop around vs_encoder_next() */
};

struct vs_progress {
    enum vs_stage stage;
    size_t done, total;   /* of the stage: layers, passes, frames */
    size_t chunk, n_chunks;
};

struct vs_generator;

struct vs_generate_options {
    const struct vs_prompt *prompts; /* at least one; ascending times, the first at 0 */
    size_t n_prompts;
    size_t width, height;   /* pixels, multiples of 16; 0: the model's */
    double fps;             /* 0: the model's */
    double seconds;         /* length; 0: one chunk */
    uint64_t seed;
    enum vs_noise noise;
    enum vs_memory_mode memory;
    size_t window;          /* latent frames, counting sinks and the chunk; 0: the model's */
    int sink;               /* latent frames; -1: the model's */
    size_t horizon;         /* latent frames for the router; 0: the model's, else the length */
    enum vs_precision precision; /* of the context, for this run; its self-test is exact */
    enum vs_kv kv;          /* VS_KV_DEFAULT: F32, in fast precision F16 */
    bool unsafe;            /* use a device even if it fails vs_context_selftest() */
    bool offload;           /* spare device memory: the transformer's blocks stay on the host and
                               come one by one, and what denoises and what decodes take turns on
                               the device. The same bits */
    /* Called from vs_generator_create() and vs_generator_next() as work goes on; return false to
     * stop with VS_ERROR_INTERRUPTED before the chunk is complete. May be NULL. */
    bool (*progress)(const struct vs_progress *progress, void *user);
    /* Called from vs_generator_next() when the latents of a chunk are final and the memory stands
     * behind it, before the next is begun: the place for vs_generator_save(). latents as in struct
     * vs_chunk. A fault that it returns ends the run. May be NULL. */
    enum vs_status (*settled)(struct vs_generator *generator, size_t chunk, const float *latents,
                              void *user);
    void *user;
};

/* Fills in the defaults (zeros, sink = -1). */
VS_API void vs_generate_options_init(struct vs_generate_options *options);

/* The sizes a run has, settled from the options and the model. */
struct vs_video_info {
    size_t width, height;
    double fps;
    size_t n_frames;        /* video frames asked for */
    size_t n_chunks;        /* chunks that cover them */
    size_t chunk_frames;    /* video frames of a chunk, at most */
    size_t window, sink;    /* latent frames in force; window 0: unlimited */
    size_t horizon;         /* latent frames the router divides by */
    enum vs_memory_mode memory;
    enum vs_precision precision;
    enum vs_kv kv;          /* F32 or F16 */
};

/* One decoded chunk. Pointers are borrowed, valid until the next call on the generator. */
struct vs_chunk {
    size_t index;
    size_t first_frame;     /* number of its first video frame */
    size_t n_frames;        /* frames in rgb; fewer in the last chunk; 0: the video is complete */
    const uint8_t *rgb;     /* [n_frames, H, W, 3] */
    size_t n_latent_frames;
    const float *latents;   /* [n_latent_frames, 16, H/8, W/8], as the transformer makes them */
};

/* Prepares a run: tests the device, encodes the prompts, uploads weights, plans and allocates all
 * memory. model and context are borrowed and must outlive the generator. VS_ERROR_VALIDATION for a
 * device that gives other bits than it must, unless options->unsafe. */
VS_API VS_CHECK enum vs_status vs_generator_create(struct vs_generator **generator,
                                                   struct vs_context *context,
                                                   const struct vs_model *model,
                                                   const struct vs_generate_options *options);
VS_API void vs_generator_free(struct vs_generator *generator);
VS_API const struct vs_video_info *vs_generator_info(const struct vs_generator *generator);

/* Settles sizes without a device or memory: what vs_generator_info() would say. */
VS_API VS_CHECK enum vs_status vs_video_plan(struct vs_video_info *info,
                                             const struct vs_model *model,
                                             const struct vs_generate_options *options);

/* Generates and decodes the next chunk, and begins the one after it (not with options->offload),
 * which the device works at until it is asked for. chunk->n_frames is 0 when the video is complete. */
VS_API VS_CHECK enum vs_status vs_generator_next(struct vs_generator *generator,
                                                 struct vs_chunk *chunk);

/* Begins no further chunk: those begun are still given out, then the video is complete. May be
 * called from progress(). */
VS_API void vs_generator_stop(struct vs_generator *generator);

/* ---- Going on with a run later ------------------------------------------------------------ */

/* What a run has made is held by two things: the clean latents of its chunks, which the caller
 * keeps (struct vs_chunk), and the transformer's memory behind one of them. A new generator with
 * the same model, program and options (prompts that begin later and the length may differ) takes
 * the memory up with vs_generator_restore(), or the latents of all chunks one by one with
 * vs_generator_remember(), and goes on with the same bits, on any device. */

/* Writes the memory as a safetensors file through write(), in pieces; between two chunks only, see
 * vs_generate_options.settled. label: text of the caller's own that vs_generator_restore() has to
 * name again. Returns the fault of write(), if there is one. */
VS_API VS_CHECK enum vs_status vs_generator_save(struct vs_generator *generator, const char *label,
                                                 enum vs_status (*write)(const void *data,
                                                                         size_t n_bytes,
                                                                         void *user),
                                                 void *user);

/* About how many bytes that takes now. */
VS_API uint64_t vs_generator_state_bytes(const struct vs_generator *generator);

/* Takes up the memory from such a file: *n_chunks chunks have been made. Only before the first
 * chunk. VS_ERROR_MODEL names the file and what is wrong: damage, another model, version, setting
 * or label; the generator is then as before. */
VS_API VS_CHECK enum vs_status vs_generator_restore(struct vs_generator *generator,
                                                    const char *path, const char *label,
                                                    size_t *n_chunks);

/* Takes the latents [n_latent_frames, 16, H/8, W/8] of the next chunk as they are: only the clean
 * pass runs. The chunk is not decoded. Not once vs_generator_next() has been called. */
VS_API VS_CHECK enum vs_status vs_generator_remember(struct vs_generator *generator,
                                                     const float *latents);

/* Latent frames before a latent frame that its video frames depend on. */
#define VS_DECODE_HISTORY 38

/* Decodes latents of any chunk. Before vs_generator_next(), the chunk in front of the next one
 * must have been the last. After a chunk that does not follow on the one decoded before, frames
 * are not right, and none given (chunk->n_frames is 0), until VS_DECODE_HISTORY latent frames have
 * been decoded; chunk 0 is always right. */
VS_API VS_CHECK enum vs_status vs_generator_decode(struct vs_generator *generator, size_t index,
                                                   const float *latents, struct vs_chunk *chunk);

/* ---- Going on from frames ----------------------------------------------------------------- */

/* The VAE's encoder: makes of the frames of any video latents for vs_generator_remember() and
 * vs_generator_decode(). The first frame of a video gives one latent frame, every four after it one
 * more. */
struct vs_encoder;

/* Prepares to encode frames of the size that options settle, with their precision; tests the device
 * as vs_generator_create() does. model and context are borrowed. Best freed before the generator is
 * made, for the memory. VS_ERROR_MODEL: the VAE has no encoder. */
VS_API VS_CHECK enum vs_status vs_encoder_create(struct vs_encoder **encoder,
                                                 struct vs_context *context,
                                                 const struct vs_model *model,
                                                 const struct vs_generate_options *options);
VS_API void vs_encoder_free(struct vs_encoder *encoder);

/* Encodes the frames rgb [n_frames, H, W, 3] of the next latent frame: 1 at first, 4 from then on.
 * latents: [16, H/8, W/8]. */
VS_API VS_CHECK enum vs_status vs_encoder_next(struct vs_encoder *encoder, float *latents,
                                               const uint8_t *rgb, size_t n_frames);

#ifdef __cplusplus
}
#endif
#endif
