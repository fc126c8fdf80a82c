/* SPDX-License-Identifier: Apache-2.0
 *
 * kept_record.c - a run folder and its record, run.json: made, locked, read, checked. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/kept.h"
#include "host/sink.h"
#include "models/json_parse.h"

enum { FORMAT = 1, MAX_RECORD_BYTES = 64 << 20 };

/* The model's files in the record. */
static const struct {
    const char *key;
    size_t offset;
} parts[] = {
    {"folder", offsetof(struct vs_model_files, folder)},
    {"dit", offsetof(struct vs_model_files, dit)},
    {"text_encoder", offsetof(struct vs_model_files, text_encoder)},
    {"vae", offsetof(struct vs_model_files, vae)},
    {"tokenizer", offsetof(struct vs_model_files, tokenizer)},
    {"config", offsetof(struct vs_model_files, config)},
};
enum { N_PARTS = sizeof parts / sizeof *parts };

static const char **part_of(const struct vs_model_files *files, size_t i)
{
    return (const char **)((uintptr_t)files + parts[i].offset);
}

char *host_kept_path(const char *path)
{
    char folder[PATH_MAX];
    if (*path == '/' || strcmp(path, "-") == 0 || !getcwd(folder, sizeof folder))
        return vs_strdup(path);
    return vs_format("%s/%s", folder, path);
}

enum vs_status host_kept_same(bool *same, const char *a, const char *b)
{
    enum vs_status status = VS_OK;
    struct stat about_a, about_b;
    char *whole_a = host_kept_path(a), *whole_b = host_kept_path(b);
    if (!whole_a || !whole_b)
        status = VS_ERROR_MEMORY;
    else
        *same = strcmp(a, "-") != 0 &&
                (host_same_path(whole_a, whole_b) ||
                 (stat(a, &about_a) == 0 && stat(b, &about_b) == 0 &&
                  about_a.st_dev == about_b.st_dev && about_a.st_ino == about_b.st_ino));
    free(whole_a);
    free(whole_b);
    return status;
}

/* Takes over path, also on a fault. */
static enum vs_status add_path(struct host_list *list, char *path)
{
    enum vs_status status = path ? host_list_add(list, path) : VS_ERROR_MEMORY;
    if (status != VS_OK)
        free(path);
    return status;
}

static void free_paths(struct host_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free((char *)(uintptr_t)list->items[i]);
    free(list->items);
}

static json_t *paths_json(const struct host_list *list)
{
    json_t *json = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(json, json_string(list->items[i]));
    return json;
}

/* Equal settings, read from their own record. */
static enum vs_status copy_settings(struct host_kept *kept, const struct host_settings *settings)
{
    char *json = host_settings_json(settings);
    enum vs_status status =
        json ? host_settings_parse(&kept->settings, json, "settings") : VS_ERROR_MEMORY;
    free(json);
    return status;
}

static enum vs_status draw_id(struct host_kept *kept)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return vs_fail(VS_ERROR_RUNTIME, "no random number for the run: %s", strerror(errno));
    snprintf(kept->id, sizeof kept->id, "%016llx", (unsigned long long)number);
    return VS_OK;
}

/* ---- Folders ------------------------------------------------------------------------------ */

static enum vs_status cannot(const char *what, const char *path)
{
    return vs_fail(VS_ERROR_RUNTIME, "cannot %s '%s': %s", what, path, strerror(errno));
}

static enum vs_status make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST ? VS_OK : cannot("make the folder", path);
}

static enum vs_status lock(struct host_kept *kept)
{
    kept->lock = open(kept->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (kept->lock < 0)
        return vs_fail(VS_ERROR_USAGE, "cannot open the run '%s': %s", kept->dir, strerror(errno));
    if (flock(kept->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return vs_fail(VS_ERROR_USAGE, "another process is working on the run '%s'; wait for it",
                       kept->dir);
    return VS_OK; /* a disk without locks keeps nobody from going on */
}

/* Drafts in a locked folder belong to nobody. */
static void remove_drafts(const char *path)
{
    const struct dirent *entry;
    DIR *folder = opendir(path);
    while (folder && (entry = readdir(folder))) {
        size_t n = strlen(entry->d_name);
        if (entry->d_name[0] == '.' && n > 6 && strcmp(entry->d_name + n - 5, ".part") == 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

static enum vs_status open_nameless(struct host_kept *kept)
{
    const char *folder = getenv("TMPDIR");
    char *path = vs_format("%s/videossm-cl.XXXXXX", folder && *folder ? folder : "/var/tmp");
    if (!path)
        return VS_ERROR_MEMORY;
    kept->nameless = mkostemp(path, O_CLOEXEC);
    enum vs_status status =
        kept->nameless < 0 ? cannot("make a temporary file like", path) : VS_OK;
    if (kept->nameless >= 0)
        (void)unlink(path);
    free(path);
    return status;
}

/* ---- The record --------------------------------------------------------------------------- */

static json_t *record_of(const struct host_kept *kept)
{
    char *json = host_settings_json(&kept->settings);
    json_t *settings = json ? json_loads(json, 0, NULL) : NULL;
    json_t *model = json_object();
    free(json);
    for (size_t i = 0; i < N_PARTS; i++)
        if (*part_of(&kept->files, i))
            json_object_set_new(model, parts[i].key, json_string(*part_of(&kept->files, i)));
    if (kept->loras.n)
        json_object_set_new(model, "loras", paths_json(&kept->loras));
    json_t *record = json_pack(
        "{s:i, s:s, s:o, s:o, s:o, s:I, s:b, s:b}", "format", FORMAT, "run", kept->id, "settings",
        settings, "model", model, "outputs", paths_json(&kept->outputs), "checkpoint_every",
        (json_int_t)kept->every, "offload", kept->offload, "finished", kept->finished);
    if (kept->frames)
        json_object_set_new(record, "frames", json_string(kept->frames));
    return record;
}

enum vs_status host_kept_store(const struct host_kept *kept)
{
    enum vs_status status = VS_OK;
    struct host_draft draft = {.fd = -1, .slot = -1};
    size_t n_failed = vs_alloc_failed();
    json_t *record = record_of(kept);
    char *text = record ? json_dumps(record, JSON_INDENT(2)) : NULL;
    char *path = vs_format("%s/run.json", kept->dir);
    json_decref(record);
    if (!text || !path || vs_alloc_failed() != n_failed) {
        status = vs_fail(VS_ERROR_MEMORY, "out of memory for the record of a run");
        goto fail;
    }
    VS_TRY(host_draft_open(&draft, path));
    VS_TRY(host_draft_write(&draft, text, strlen(text)));
    VS_TRY(host_draft_sync(&draft));
    VS_TRY(host_draft_commit(&draft));
fail:
    host_draft_discard(&draft);
    free(text);
    free(path);
    return status;
}

static enum vs_status wrong(const char *path, const char *key)
{
    return vs_fail(VS_ERROR_USAGE, "'%s': no valid \"%s\"; it was not written by this program or "
                                   "was changed since", path, key);
}

static enum vs_status read_paths(struct host_list *list, const json_t *json, const char *key,
                                 const char *path)
{
    const json_t *item;
    size_t i;
    if (!json_is_array(json))
        return wrong(path, key);
    json_array_foreach(json, i, item)
    {
        enum vs_status status = json_is_string(item)
                                    ? add_path(list, vs_strdup(json_string_value(item)))
                                    : wrong(path, key);
        if (status != VS_OK)
            return status;
    }
    return VS_OK;
}

static enum vs_status read_model(struct host_kept *kept, const json_t *model, const char *path)
{
    if (!json_is_object(model))
        return wrong(path, "model");
    for (size_t i = 0; i < N_PARTS; i++) {
        const json_t *value = json_object_get(model, parts[i].key);
        if (!value)
            continue;
        if (!json_is_string(value))
            return wrong(path, "model");
        *part_of(&kept->files, i) = vs_strdup(json_string_value(value));
        if (!*part_of(&kept->files, i))
            return VS_ERROR_MEMORY;
    }
    const json_t *loras = json_object_get(model, "loras");
    return loras ? read_paths(&kept->loras, loras, "loras", path) : VS_OK;
}

static enum vs_status read_record(struct host_kept *kept, const json_t *root, const char *path)
{
    enum vs_status status = VS_OK;
    const json_t *outputs = json_object_get(root, "outputs"), *item;
    const char *id = json_string_value(json_object_get(root, "run"));
    const char *frames = json_string_value(json_object_get(root, "frames"));
    json_int_t every = json_integer_value(json_object_get(root, "checkpoint_every"));
    char *settings = NULL;
    if (json_integer_value(json_object_get(root, "format")) != FORMAT)
        return wrong(path, "format");
    if (!id || strlen(id) + 1 != sizeof kept->id)
        return wrong(path, "run");
    if (!json_is_array(outputs) || !json_array_size(outputs))
        return wrong(path, "outputs");
    if (every < 0 || every > INT32_MAX)
        return wrong(path, "checkpoint_every");
    memcpy(kept->id, id, sizeof kept->id);
    kept->every = (size_t)every;
    kept->offload = json_is_true(json_object_get(root, "offload"));
    kept->finished = json_is_true(json_object_get(root, "finished"));
    VS_TRY(read_model(kept, json_object_get(root, "model"), path));
    VS_TRY(read_paths(&kept->outputs, outputs, "outputs", path));
    item = json_object_get(root, "settings");
    if (!json_is_object(item))
        return wrong(path, "settings");
    settings = json_dumps(item, JSON_COMPACT);
    if (!settings)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for the record of a run");
    VS_TRY(host_settings_parse(&kept->settings, settings, path));
    if (!kept->settings.given_frames != !frames)
        status = wrong(path, "frames");
    else if (frames && !(kept->frames = vs_strdup(frames)))
        status = VS_ERROR_MEMORY;
fail:
    free(settings);
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static struct host_kept *new_kept(void)
{
    struct host_kept *kept = vs_alloc(1, sizeof *kept);
    if (kept)
        kept->lock = kept->nameless = -1;
    return kept;
}

enum vs_status host_kept_is_run(bool *is_run, const char *dir)
{
    char *path = vs_format("%s/run.json", dir);
    if (!path)
        return VS_ERROR_MEMORY;
    *is_run = access(path, F_OK) == 0;
    free(path);
    return VS_OK;
}

static enum vs_status create_folder(struct host_kept *kept, const char *dir)
{
    enum vs_status status = VS_OK;
    char *latents = NULL;
    bool taken;
    kept->dir = host_kept_path(dir);
    if (!kept->dir)
        return VS_ERROR_MEMORY;
    latents = vs_format("%s/latents", kept->dir);
    if (!latents)
        return VS_ERROR_MEMORY;
    VS_TRY(make_folder(kept->dir));
    VS_TRY(lock(kept));
    VS_TRY(host_kept_is_run(&taken, dir));
    if (taken) {
        status = vs_fail(VS_ERROR_USAGE,
                         "--keep '%s': a run is kept there already; go on with "
                         "--resume '%s', or give another folder",
                         dir, dir);
        goto fail;
    }
    VS_TRY(make_folder(latents));
    VS_TRY(host_kept_store(kept));
fail:
    free(latents);
    return status;
}

static enum vs_status check_path(const char *path)
{
    return !path || host_utf8_fault(path) == SIZE_MAX
               ? VS_OK
               : vs_fail(VS_ERROR_USAGE,
                         "--keep: '%s' is not UTF-8 and cannot be written down; "
                         "rename it",
                         path);
}

/* The record is JSON, which takes no other text. */
static enum vs_status check_paths(const struct host_kept *kept)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < N_PARTS; i++)
        VS_TRY(check_path(*part_of(&kept->files, i)));
    for (size_t i = 0; i < kept->outputs.n; i++)
        VS_TRY(check_path(kept->outputs.items[i]));
    for (size_t i = 0; i < kept->loras.n; i++)
        VS_TRY(check_path(kept->loras.items[i]));
    VS_TRY(check_path(kept->frames));
fail:
    return status;
}

enum vs_status host_kept_create(struct host_kept **out, const char *dir,
                                const struct host_settings *settings,
                                const struct vs_model_info *model,
                                const struct vs_model_files *files, const struct host_list *loras,
                                const struct host_list *outputs, const char *frames, size_t every,
                                bool offload)
{
    enum vs_status status = VS_OK;
    struct host_kept *kept = new_kept();
    *out = NULL;
    if (!kept)
        return VS_ERROR_MEMORY;
    kept->every = every;
    kept->offload = offload;
    VS_TRY(copy_settings(kept, settings));
    VS_TRY(draw_id(kept));
    VS_TRY(host_kept_fit(kept, model));
    for (size_t i = 0; i < N_PARTS; i++)
        if (*part_of(files, i) &&
            !(*part_of(&kept->files, i) = host_kept_path(*part_of(files, i)))) {
            status = VS_ERROR_MEMORY;
            goto fail;
        }
    for (size_t i = 0; i < outputs->n; i++)
        VS_TRY(add_path(&kept->outputs, host_kept_path(outputs->items[i])));
    for (size_t i = 0; i < loras->n; i++)
        VS_TRY(add_path(&kept->loras, host_kept_path(loras->items[i])));
    if (frames && !(kept->frames = host_kept_path(frames))) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    if (dir)
        VS_TRY(check_paths(kept));
    VS_TRY(dir ? create_folder(kept, dir) : open_nameless(kept));
    *out = kept;
    return VS_OK;
fail:
    host_kept_free(kept);
    return status;
}

static enum vs_status load_record(struct host_kept *kept, const char *dir)
{
    enum vs_status status = VS_OK;
    char *path = vs_format("%s/run.json", dir), *text = NULL;
    json_t *root = NULL;
    json_error_t error;
    struct stat info;
    size_t n_bytes;
    if (!path)
        return VS_ERROR_MEMORY;
    /* A pipe under that name would be waited for. */
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        status = vs_fail(VS_ERROR_USAGE,
                         "'%s': is no regular file; '%s' holds no run that was "
                         "kept with --keep",
                         path, dir);
        goto fail;
    }
    status = host_read_file(&text, &n_bytes, path, MAX_RECORD_BYTES);
    if (status == VS_ERROR_USAGE)
        (void)vs_fail_in(status, "'%s' holds no run that was kept with --keep", dir);
    VS_TRY(status);
    VS_TRY(vs_json_parse(&root, text, n_bytes, JSON_REJECT_DUPLICATES, &error));
    if (!root) {
        status = vs_fail(VS_ERROR_USAGE, "%s: line %d, column %d: %s", path, error.line,
                         error.column, error.text);
        goto fail;
    }
    VS_TRY(read_record(kept, root, path));
fail:
    json_decref(root);
    free(text);
    free(path);
    return status;
}

/* only_look: see host_kept_look(). */
static enum vs_status open_run(struct host_kept **out, const char *dir, bool only_look)
{
    enum vs_status status = VS_OK;
    char *latents = NULL;
    struct host_kept *kept = new_kept();
    *out = NULL;
    if (!kept)
        return VS_ERROR_MEMORY;
    kept->dir = host_kept_path(dir);
    latents = vs_format("%s/latents", dir);
    if (!kept->dir || !latents) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    if (!only_look)
        VS_TRY(lock(kept));
    VS_TRY(load_record(kept, dir));
    if (!only_look) {
        remove_drafts(kept->dir);
        remove_drafts(latents);
    }
    *out = kept;
    kept = NULL;
fail:
    free(latents);
    host_kept_free(kept);
    return status;
}

enum vs_status host_kept_open(struct host_kept **kept, const char *dir)
{
    return open_run(kept, dir, false);
}

enum vs_status host_kept_look(struct host_kept **kept, const char *dir)
{
    return open_run(kept, dir, true);
}

enum vs_status host_kept_fit(struct host_kept *kept, const struct vs_model_info *model)
{
    const struct host_settings *settings = &kept->settings;
    const char *name = kept->dir ? kept->dir : "";
    if (*model->fingerprint && strcmp(settings->model, model->fingerprint) != 0)
        return vs_fail(VS_ERROR_MODEL, "the run '%s' was made with model %s, but this one is %s; "
                                       "give that model with --model", name, settings->model,
                       model->fingerprint);
    if (strcmp(settings->version, vs_version()) != 0)
        return vs_fail(VS_ERROR_MODEL, "the run '%s' was made by version %s of the program, this "
                                       "is %s, which may give other bits; go on with that version, "
                                       "or make the video anew", name, settings->version,
                       vs_version());
    kept->latents[0] = model->frames_per_chunk;
    kept->latents[1] = 16;
    kept->latents[2] = settings->height / 8;
    kept->latents[3] = settings->width / 8;
    return VS_OK;
}

void host_kept_free(struct host_kept *kept)
{
    if (!kept)
        return;
    for (size_t i = 0; i < N_PARTS; i++)
        free((char *)(uintptr_t)*part_of(&kept->files, i));
    free_paths(&kept->outputs);
    free_paths(&kept->loras);
    host_settings_free(&kept->settings);
    if (kept->lock >= 0)
        close(kept->lock); /* and with it the lock */
    if (kept->nameless >= 0)
        close(kept->nameless);
    free(kept->frames);
    free(kept->dir);
    free(kept);
}
