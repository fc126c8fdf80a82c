/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.c - `videossm-cl inspect`: what is in a model file or folder, without loading it.
 *
 * The files go through the same readers and the same checks as for a run, so a file that is listed
 * here is undamaged as far as can be told without reading its data. */
#include "config.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/inspect.h"
#include "models/file_map.h"
#include "models/json_parse.h"
#include "models/tokenizer.h"

enum { MAX_DEPTH = 3, MAX_FILES = 1000 };

struct values {
    bool json;
};

static const struct host_option options[] = {
    {HOST_FLAG, 0, "json", NULL, "Print JSON, for programs.", offsetof(struct values, json)},
};

const struct host_spec host_inspect_spec = {
    .command = "inspect",
    .summary = "list what a model file holds, without loading it",
    .operands = "FILE...",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .about =
        "Says of each file what it was recognised as and lists its tensors: name, type, shape, "
        "size, and where they lie. FILE is a safetensors, torch (.pt, .pth) or GGUF file, the "
        "index of a sharded model (*.index.json), a SentencePiece model, a config.json, or a "
        "folder, whose parts are named. Nothing in a file is executed, and the data are not "
        "read. Exits with 5 when a file is missing, damaged or hostile.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl inspect models/demo\n"
                "  videossm-cl inspect --json Wan2.1_VAE.pth\n",
};

/* ---- One file ----------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static enum vs_status open_tokenizer(struct host_finding *finding, const struct vs_file_map *map)
{
    finding->kind = HOST_FINDING_TOKENIZER;
    struct vs_tokenizer *tokenizer;
    enum vs_status status = vs_tokenizer_open(&tokenizer, map->path);
    if (status != VS_OK)
        return status;
    finding->n_pieces = vs_tokenizer_vocab(tokenizer);
    vs_tokenizer_free(tokenizer);
    return VS_OK;
}

/* JSON is an index of shards or a configuration. */
static enum vs_status open_config(struct host_finding *finding, const struct vs_file_map *map,
                                  bool *is_index)
{
    json_error_t error;
    json_t *json;
    enum vs_status status = vs_json_parse(&json, (const char *)map->data, map->size, 0, &error);
    if (status != VS_OK)
        return status;
    *is_index = json_object_get(json, "weight_map") != NULL;
    json_decref(json);
    if (*is_index)
        return VS_OK;
    finding->kind = HOST_FINDING_CONFIG;
    return vs_config_parse(&finding->config, (const char *)map->data, map->size, map->path);
}

static enum vs_status open_weights(struct host_finding *finding)
{
    finding->kind = HOST_FINDING_WEIGHTS;
    enum vs_status status = vs_weights_open(&finding->weights, finding->path);
    if (status != VS_OK)
        return status;
    vs_recognize(&finding->network, finding->weights);
    size_t n_shards = 0;
    uint64_t shard_bytes = 0;
    const char *file = vs_weights_path(finding->weights);
    for (size_t i = 0; i < vs_weights_count(finding->weights); i++) {
        const struct vs_tensor *tensor = vs_weights_at(finding->weights, i);
        struct stat info;
        if (strcmp(tensor->file, file) == 0)
            continue; /* tensors of one shard stand together */
        file = tensor->file;
        n_shards++;
        if (stat(file, &info) == 0)
            shard_bytes += (uint64_t)info.st_size;
    }
    if (n_shards) {
        finding->n_files = n_shards;
        finding->n_bytes = shard_bytes;
    }
    return VS_OK;
}

static enum vs_status examine(struct host_finding *finding)
{
    enum vs_status status;
    struct vs_file_map *map = NULL;
    bool weights = true;
    VS_TRY(vs_file_map_open(&map, finding->path));
    finding->n_bytes = map->size;
    if (ends_with(finding->path, ".model")) {
        weights = false;
        VS_TRY(open_tokenizer(finding, map));
    } else if (ends_with(finding->path, ".json")) {
        VS_TRY(open_config(finding, map, &weights));
    }
    if (weights)
        VS_TRY(open_weights(finding));
fail:
    vs_file_map_free(map);
    return status;
}

enum vs_status host_finding_open(struct host_finding *finding, const char *path)
{
    *finding = (struct host_finding){.n_files = 1, .path = vs_strdup(path)};
    if (!finding->path)
        return VS_ERROR_MEMORY;
    enum vs_status status = examine(finding);
    if (status != VS_OK) {
        finding->kind = HOST_FINDING_FAULT;
        finding->message = strdup(vs_error_message());
    }
    return status;
}

void host_finding_free(struct host_finding *finding)
{
    vs_weights_free(finding->weights);
    free(finding->path);
    free(finding->message);
    *finding = (struct host_finding){0};
}

/* ---- Folders ------------------------------------------------------------------------------ */

struct paths {
    char **items;
    size_t n;
};

static void paths_free(struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->items[i]);
    free(paths->items);
}

/* A shard is told of by its index. */
static bool is_indexed_shard(const char *path)
{
    static const char tail[] = "-00000-of-00000.safetensors";
    size_t n = strlen(path);
    /* Two literals: together they would hold a trigraph. */
    if (n < sizeof tail || fnmatch("*-?????"
                                   "-of-?????.safetensors",
                                   path, 0) != 0)
        return false;
    char *index = vs_format("%.*s.safetensors.index.json", (int)(n - (sizeof tail - 1)), path);
    bool found = index && access(index, F_OK) == 0;
    free(index);
    return found;
}

static bool is_model_file(const char *path)
{
    static const char *const ends[] = {".safetensors", ".pt",         ".pth",        ".gguf",
                                       ".model",       ".index.json", "/config.json"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return !is_indexed_shard(path);
    return false;
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static enum vs_status collect(struct paths *paths, const char *folder, int depth)
{
    enum vs_status status = VS_OK;
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, not_hidden, alphasort);
    if (n < 0)
        return vs_fail(VS_ERROR_MODEL, "%s: the folder cannot be read", folder);
    for (int i = 0; i < n; i++) {
        struct stat info;
        char *path =
            vs_format("%s%s%s", folder, ends_with(folder, "/") ? "" : "/", entries[i]->d_name);
        free(entries[i]);
        if (!path)
            status = VS_ERROR_MEMORY;
        if (status == VS_OK && stat(path, &info) == 0) {
            if (S_ISDIR(info.st_mode) && depth < MAX_DEPTH) {
                status = collect(paths, path, depth + 1);
            } else if (S_ISREG(info.st_mode) && is_model_file(path) && paths->n < MAX_FILES) {
                char **grown = vs_realloc(paths->items, paths->n + 1, sizeof *grown);
                if (grown) {
                    paths->items = grown;
                    grown[paths->n++] = path;
                    path = NULL;
                } else {
                    status = VS_ERROR_MEMORY;
                }
            }
        }
        free(path);
    }
    free(entries);
    return status;
}

/* What a run needs, and whether the folder has it. */
struct inventory {
    bool transformer, text_encoder, vae, tokenizer, config;
};

static void take_stock(struct inventory *stock, const struct host_finding *finding)
{
    stock->transformer |= finding->network.part == VS_PART_DIT;
    stock->text_encoder |= finding->network.part == VS_PART_TEXT_ENCODER;
    stock->vae |= finding->network.part == VS_PART_VAE;
    stock->tokenizer |= finding->kind == HOST_FINDING_TOKENIZER;
    stock->config |= finding->kind == HOST_FINDING_CONFIG;
}

static void print_inventory(const struct inventory *stock)
{
    const struct {
        bool there;
        const char *name;
    } parts[] = {{stock->config, "config.json"},
                 {stock->transformer, "transformer"},
                 {stock->text_encoder, "text encoder"},
                 {stock->vae, "VAE"},
                 {stock->tokenizer, "tokenizer"}};
    size_t n_missing = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!parts[i].there)
            printf("%s %s", n_missing++ ? "," : "  missing for a model folder:", parts[i].name);
    puts(n_missing ? "" : "  a complete model");
}

static enum vs_status inspect_folder(const char *folder, json_t *list)
{
    struct paths paths = {0};
    struct inventory stock = {0};
    enum vs_status worst = collect(&paths, folder, 0);
    size_t n_folder = strlen(folder) + !ends_with(folder, "/");
    int width = 0;
    if (worst == VS_OK && paths.n == 0)
        worst = vs_fail(VS_ERROR_MODEL, "%s: no model files in this folder", folder);
    if (worst != VS_OK)
        (void)host_report(worst);
    for (size_t i = 0; i < paths.n; i++)
        if ((int)(strlen(paths.items[i]) - n_folder) > width)
            width = (int)(strlen(paths.items[i]) - n_folder);
    if (paths.n && !list)
        printf("%s\n", folder);
    for (size_t i = 0; i < paths.n; i++) {
        struct host_finding finding;
        enum vs_status status = host_finding_open(&finding, paths.items[i]);
        if (finding.path)
            take_stock(&stock, &finding);
        if (finding.path && list)
            json_array_append_new(list, host_finding_json(&finding, false));
        else if (finding.path)
            host_finding_print_line(stdout, &finding, paths.items[i] + n_folder, width);
        if (status != VS_OK)
            worst = (enum vs_status)host_report(status);
        host_finding_free(&finding);
    }
    if (paths.n && !list)
        print_inventory(&stock);
    paths_free(&paths);
    return worst;
}

/* ---- The command -------------------------------------------------------------------------- */

static enum vs_status inspect_file(const char *path, json_t *list)
{
    struct host_finding finding;
    enum vs_status status = host_finding_open(&finding, path);
    if (finding.path && list)
        json_array_append_new(list, host_finding_json(&finding, true));
    else if (status == VS_OK)
        host_finding_print(stdout, &finding);
    (void)host_report(status);
    host_finding_free(&finding);
    return status;
}

/* Goes on after a fault: with many files, the others are still worth telling of. */
static enum vs_status inspect_all(const struct host_list *paths, json_t *list)
{
    enum vs_status worst = VS_OK;
    for (size_t i = 0; i < paths->n; i++) {
        struct stat info;
        bool folder = stat(paths->items[i], &info) == 0 && S_ISDIR(info.st_mode);
        if (i && !list)
            putchar('\n');
        enum vs_status status =
            folder ? inspect_folder(paths->items[i], list) : inspect_file(paths->items[i], list);
        if (status != VS_OK)
            worst = status;
    }
    return worst;
}

static enum vs_status inspect_json(const struct host_list *paths)
{
    json_t *list = json_array();
    json_t *root = list ? json_pack("{s:o}", "files", list) : NULL;
    if (!root)
        return (enum vs_status)host_report(vs_fail(VS_ERROR_MEMORY, "out of memory for the list"));
    enum vs_status status = inspect_all(paths, list);
    if (json_dumpf(root, stdout, JSON_INDENT(1)) != 0)
        status = (enum vs_status)host_report(vs_fail(VS_ERROR_RUNTIME, "cannot write the list"));
    putchar('\n');
    json_decref(root);
    return status;
}

int host_inspect(int argc, char **argv)
{
    struct values values = {false};
    struct host_list paths = {0};
    bool help;
    enum vs_status status =
        host_options_parse(&host_inspect_spec, &values, &paths, &help, argc, argv);
    if (status != VS_OK)
        (void)host_report(status);
    else if (help)
        host_options_print_help(&host_inspect_spec, stdout);
    else
        status = values.json ? inspect_json(&paths) : inspect_all(&paths, NULL);
    free(paths.items);
    return (int)status;
}
