/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - the record from which a video can be made again.
 *
 * It is stored in every PNG and mp4 and names nothing that does not belong to the video: no
 * device, date, path or host. Equal settings give equal text. */
#ifndef VS_HOST_SETTINGS_H
#define VS_HOST_SETTINGS_H

#include "host/prompts.h"

/* A LoRA that was merged into the model. */
struct host_settings_lora {
    char name[128]; /* of the file, without folders */
    double scale;
    char fingerprint[65];
};

struct host_settings {
    struct host_prompts prompts; /* owned */
    size_t width, height;
    double fps, seconds;
    uint64_t seed;
    enum vs_noise noise;
    enum vs_memory_mode memory;
    enum vs_precision precision;
    enum vs_kv kv; /* F32 or F16 */
    size_t window, sink, horizon; /* latent frames, as in vs_video_info */
    size_t n_steps;               /* of the sampler */
    char model[65];               /* vs_model_info.fingerprint */
    struct host_settings_lora *loras; /* [n_loras]; owned */
    size_t n_loras;
    size_t given_frames;          /* that the video begins with and that were not made; 0: none */
    char given_digest[65];        /* of them, see host/given.h */
    char version[32];             /* of the program that made it */
};

/* Words of the enumerations, apart by '|', in the order of their values; for option tables. */
#define HOST_MEMORY_WORDS "hybrid|sink|window|full"
#define HOST_NOISE_WORDS "philox|torch"
#define HOST_KV_WORDS "f32|f16" /* from VS_KV_F32 on */
#define HOST_PRECISION_WORDS "exact|fast"
const char *host_memory_word(enum vs_memory_mode memory);
const char *host_kv_word(enum vs_kv kv);
const char *host_precision_word(enum vs_precision precision);
const char *host_noise_word(enum vs_noise noise);

/* Entry for an option table whose struct `type` holds an int `member`. */
#define HOST_PRECISION_OPTION(type, member)                                                        \
    {HOST_CHOICE, 0, "precision", HOST_PRECISION_WORDS,                                            \
     "exact (default): the same bits on every device; fast: other providers (CLBlast) where "      \
     "'videossm-cl tune --precision fast' found them faster here, within stated bounds.",          \
     offsetof(type, member)}

/* Collects what a run has settled. Copies the prompts. VS_ERROR_MEMORY, VS_ERROR_USAGE. */
VS_CHECK enum vs_status host_settings_collect(struct host_settings *settings,
                                              const struct vs_generate_options *options,
                                              const struct vs_video_info *video,
                                              const struct vs_model_info *model);

/* One line of ASCII JSON, keys sorted, numbers as short as they can be without losing a bit; the
 * seed is a string because it may pass 2^53. Freed with free(); NULL: out of memory. */
char *host_settings_json(const struct host_settings *settings);

/* The same for people: prompt, then "Steps: 4, Seed: 7, Size: 96x64, ...". Freed with free(). */
char *host_settings_parameters(const struct host_settings *settings);

/* Reads what host_settings_json() wrote; every value is checked. name is for messages.
 * VS_ERROR_USAGE gives the key. */
VS_CHECK enum vs_status host_settings_parse(struct host_settings *settings, const char *json,
                                            const char *name);

/* Options that make the video again; borrows the prompts. */
void host_settings_options(struct vs_generate_options *options,
                           const struct host_settings *settings);

void host_settings_free(struct host_settings *settings);

#endif
