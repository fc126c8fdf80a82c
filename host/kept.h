/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.h - a run on disk, from which it goes on after any end.
 *
 *     DIR/run.json                       settings, model, outputs
 *     DIR/latents/000000.safetensors     clean latents of each chunk
 *     DIR/checkpoint-000012.safetensors  the memory behind 12 chunks; the last two are there
 *
 * Every file appears whole or not at all and, run.json apart, holds its own digest and the run's
 * number. One process at a time works on a run. */
#ifndef VS_HOST_KEPT_H
#define VS_HOST_KEPT_H

#include "host/options.h"
#include "host/progress.h"
#include "host/settings.h"

struct host_kept {
    char *dir;                    /* NULL: a file without a name that goes with the process */
    char id[17];                  /* of the run, drawn at random */
    struct host_settings settings;
    struct vs_model_files files;  /* absolute paths; owned */
    struct host_list loras;       /* as --lora takes them, with absolute paths; items owned too */
    struct host_list outputs;     /* absolute paths, or "-"; items owned too */
    char *frames;                 /* absolute path of what the video begins with; NULL: nothing */
    size_t every;                 /* chunks from checkpoint to checkpoint; 0: by cost */
    bool offload;                 /* as --offload says */
    bool finished;                /* the outputs were completed */
    size_t latents[4];            /* shape of a chunk's: frames, channels, rows, columns */
    int lock;                     /* descriptor of dir */
    int nameless;                 /* descriptor of the file without a name */
};

/* Begins to keep a run in dir, which is made if it is not there. VS_ERROR_USAGE: dir holds a run
 * already, or a path is not UTF-8; VS_ERROR_RUNTIME. dir NULL: see above; only latents are kept. */
VS_CHECK enum vs_status
host_kept_create(struct host_kept **kept, const char *dir, const struct host_settings *settings,
                 const struct vs_model_info *model, const struct vs_model_files *files,
                 const struct host_list *loras, const struct host_list *outputs, const char *frames,
                 size_t every, bool offload);

/* Whether dir holds a run. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_kept_is_run(bool *is_run, const char *dir);

/* Opens a run for this process alone and removes what a killed one left unfinished.
 * VS_ERROR_USAGE: no run, a damaged one, or one that another process is working on. */
VS_CHECK enum vs_status host_kept_open(struct host_kept **kept, const char *dir);

/* Reads the record of a run, whoever is working on it, and leaves everything as it is: for a plan.
 * VS_ERROR_USAGE as above. */
VS_CHECK enum vs_status host_kept_look(struct host_kept **kept, const char *dir);

/* Stores settings, outputs and finished again. */
VS_CHECK enum vs_status host_kept_store(const struct host_kept *kept);

void host_kept_free(struct host_kept *kept);

/* Another model or version of the program is refused by name, with VS_ERROR_MODEL; a model that has
 * no fingerprint, see vs_model_files, counts as the same. Settles the shape of latents. */
VS_CHECK enum vs_status host_kept_fit(struct host_kept *kept, const struct vs_model_info *model);

/* The same place from every working folder, freed with free(); "-" stays. NULL: out of memory. */
char *host_kept_path(const char *path);

/* Whether both lead to the same place, be anything there or not; "-" is none. */
VS_CHECK enum vs_status host_kept_same(bool *same, const char *a, const char *b);

/* Floats of a chunk's latents. */
size_t host_kept_size(const struct host_kept *kept);

VS_CHECK enum vs_status host_kept_put(const struct host_kept *kept, size_t chunk,
                                      const float *latents);

/* VS_ERROR_MODEL names what is wrong with the file. */
VS_CHECK enum vs_status host_kept_get(const struct host_kept *kept, size_t chunk, float *latents);

/* How many chunks, counted from the first and at most `most`, have good latents. Those behind a
 * damaged file are lost, which is told. */
VS_CHECK enum vs_status host_kept_count(size_t *n_chunks, const struct host_kept *kept, size_t most,
                                        struct host_progress *progress);

/* Saves the generator's memory, which stands behind n_chunks chunks; only the checkpoint before
 * stays beside it. */
VS_CHECK enum vs_status host_kept_checkpoint(const struct host_kept *kept,
                                             struct vs_generator *generator, size_t n_chunks);

/* Chunks of the last checkpoint behind at most `most`, be it good or not; 0: there is none. */
VS_CHECK enum vs_status host_kept_last_checkpoint(size_t *n_chunks, const struct host_kept *kept,
                                                  size_t most);

/* Restores the last good checkpoint behind at most `most` chunks; *n_chunks is 0 when there is
 * none. Damaged ones are passed over and told. */
VS_CHECK enum vs_status host_kept_restore(size_t *n_chunks, const struct host_kept *kept,
                                          struct vs_generator *generator, size_t most,
                                          struct host_progress *progress);

#endif
