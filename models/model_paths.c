/* SPDX-License-Identifier: Apache-2.0
 *
 * model_paths.c - finding the parts of a model folder by the names that releases use. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cl/alloc.h"
#include "models/model.h"

/* Patterns in order of preference; a folder's files are tried against each in turn. */
static const char *const dit_patterns[] = {
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model*.pt",
    "diffusion_pytorch_model*.pth",
    "diffusion_pytorch_model*.gguf",
    "model*.safetensors",
    "*.safetensors.index.json",
    "model*.pt",
    "model*.pth",
    "*wan*.safetensors",
    "*.gguf",
    "*.pt",
    NULL,
};
static const char *const text_patterns[] = {
    "models_t5_umt5-xxl-enc-bf16.pth", "models_t5*.pth",   "models_t5*.safetensors",
    "*umt5*.safetensors",              "*umt5*.gguf",      "*umt5*.pth",
    NULL,
};
static const char *const vae_patterns[] = {
    "Wan2.1_VAE.pth", "*[vV][aA][eE]*.pth", "*[vV][aA][eE]*.safetensors", "*[vV][aA][eE]*.pt",
    NULL,
};
static const char *const tokenizer_patterns[] = {"spiece.model", "*spiece*.model", NULL};
static const char *const config_patterns[] = {"config.json", NULL};

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* A text encoder or VAE that lies in the same folder must not pass for a transformer. */
static bool belongs_elsewhere(const char *name)
{
    const char *const *const lists[] = {text_patterns, vae_patterns};
    for (size_t i = 0; i < 2; i++)
        for (const char *const *pattern = lists[i]; *pattern; pattern++)
            if (fnmatch(*pattern, name, 0) == 0)
                return true;
    return false;
}

/* The first file of folder/sub that fits, by pattern, then by name. NULL when there is none. */
static enum vs_status find(char **found, const char *folder, const char *sub,
                           const char *const *patterns)
{
    enum vs_status status = VS_OK;
    bool transformer = patterns == dit_patterns;
    struct dirent **entries = NULL;
    char *path = vs_format("%s%s", folder, sub);
    *found = NULL;
    if (!path)
        return VS_ERROR_MEMORY;
    int n = scandir(path, &entries, NULL, alphasort);
    for (; n > 0 && *patterns && !*found && status == VS_OK; patterns++) {
        for (int i = 0; i < n && !*found; i++) {
            const char *name = entries[i]->d_name;
            if (fnmatch(*patterns, name, FNM_PERIOD) != 0 ||
                (transformer && belongs_elsewhere(name)))
                continue;
            char *candidate = vs_format("%s/%s", path, name);
            if (!candidate) {
                status = VS_ERROR_MEMORY;
                break;
            }
            if (is_file(candidate))
                *found = candidate;
            else
                free(candidate);
        }
    }
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    free(path);
    return status;
}

struct part {
    const char *given;          /* a path of its own, or NULL */
    char **path;                /* result */
    const char *const *patterns;
    const char *subs[3];        /* folders below the model's to look in */
    const char *what, *usually, *flag;
    bool optional;
};

static enum vs_status settle(const struct part *part, const char *folder)
{
    enum vs_status status = VS_OK;
    if (part->given) {
        *part->path = vs_strdup(part->given);
        return *part->path ? VS_OK : VS_ERROR_MEMORY;
    }
    for (size_t i = 0; folder && i < 3 && part->subs[i] && !*part->path; i++)
        VS_TRY(find(part->path, folder, part->subs[i], part->patterns));
    if (!*part->path && !part->optional) {
        if (folder)
            return vs_fail(VS_ERROR_MODEL, "%s: no %s in this folder (usually %s); give it with %s",
                           folder, part->what, part->usually, part->flag);
        return vs_fail(VS_ERROR_MODEL, "no %s was given; use -m FOLDER or %s", part->what,
                       part->flag);
    }
fail:
    return status;
}

enum vs_status vs_model_paths_find(struct vs_model_paths *paths,
                                   const struct vs_model_files *files)
{
    enum vs_status status = VS_OK;
    memset(paths, 0, sizeof *paths);
    struct stat info;
    if (files->folder && stat(files->folder, &info) != 0)
        return vs_fail(VS_ERROR_MODEL, "%s: no such model folder", files->folder);
    if (files->folder && !S_ISDIR(info.st_mode))
        return vs_fail(VS_ERROR_MODEL,
                       "%s: a model is a folder; give a single transformer file with --dit",
                       files->folder);
    const struct part parts[] = {
        {files->dit, &paths->dit, dit_patterns, {""}, "transformer",
         "diffusion_pytorch_model.safetensors", "--dit", false},
        {files->text_encoder, &paths->text_encoder, text_patterns, {"", "/text_encoder"},
         "text encoder", "models_t5_umt5-xxl-enc-bf16.pth", "--text-encoder", false},
        {files->vae, &paths->vae, vae_patterns, {"", "/vae"}, "VAE", "Wan2.1_VAE.pth", "--vae",
         false},
        {files->tokenizer, &paths->tokenizer, tokenizer_patterns,
         {"/google/umt5-xxl", "", "/tokenizer"}, "tokenizer", "google/umt5-xxl/spiece.model",
         "--tokenizer", false},
        {files->config, &paths->config, config_patterns, {""}, "configuration", "config.json",
         "--config", true},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        VS_TRY(settle(parts + i, files->folder));
fail:
    if (status != VS_OK)
        vs_model_paths_free(paths);
    return status;
}

void vs_model_paths_free(struct vs_model_paths *paths)
{
    free(paths->dit);
    free(paths->text_encoder);
    free(paths->vae);
    free(paths->tokenizer);
    free(paths->config);
    memset(paths, 0, sizeof *paths);
}
