/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.c - `videossm-cl convert`: model files in another container, format or naming.
 *
 * Files appear under their names only when all of them are complete, the index of several last. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/draft.h"
#include "host/inspect.h"
#include "host/lora_option.h"
#include "host/progress.h"
#include "host/signals.h"
#include "models/conversion.h"

#define CONTAINER_WORDS "safetensors|torch|gguf"
#define DTYPE_WORDS "keep|f32|f16|bf16|q8_0|q4_k"
#define NAMES_WORDS "wan|diffusers|keep"
#define INDEX_SUFFIX ".index.json"

struct values {
    const char *output, *shard_size;
    struct host_list loras;
    int container, dtype, names, progress;
    bool quiet;
};

static const struct host_option options[] = {
    {HOST_STRING, 'o', "output", "FILE",
     "What to write. Its ending tells the container: .safetensors, .pt, .pth, .bin, .gguf.",
     offsetof(struct values, output)},
    {HOST_CHOICE, 0, "to", CONTAINER_WORDS, "The container, whatever the name's ending.",
     offsetof(struct values, container)},
    {HOST_CHOICE, 0, "dtype", DTYPE_WORDS,
     "Format of the numbers. keep, the default, changes nothing; f32, f16 and bf16 are for every "
     "tensor; q8_0 and q4_k, which only GGUF holds, for the matrices of the blocks, and all else "
     "stays as it is.",
     offsetof(struct values, dtype)},
    {HOST_CHOICE, 0, "names", NAMES_WORDS,
     "Names of the tensors: those of Wan2.1's releases (default), of the diffusers library, or as "
     "they stand in the file.",
     offsetof(struct values, names)},
    {HOST_LIST, 0, "lora", "FILE[:SCALE]",
     "Merge a LoRA of peft, diffusers, kohya or ComfyUI: W + SCALE alpha / rank B A. The default of "
     "SCALE is 1. Repeatable; the order counts.",
     offsetof(struct values, loras)},
    {HOST_STRING, 0, "shard-size", "SIZE",
     "Write files of at most this size each (4G, 500M): safetensors and their index, or GGUF as "
     "llama.cpp splits it.",
     offsetof(struct values, shard_size)},
    {HOST_CHOICE, 0, "progress", HOST_PROGRESS_WORDS,
     "auto: a live line on a terminal; json: one object a line, for programs; none. All on "
     "standard error.",
     offsetof(struct values, progress)},
    {HOST_FLAG, 'q', "quiet", NULL, "Print errors only.", offsetof(struct values, quiet)},
};

const struct host_spec host_convert_spec = {
    .command = "convert",
    .summary = "write model files in another container or number format",
    .operands = "FILE...",
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .about = "Reads weights from whatever 'videossm-cl inspect' recognises - safetensors, the "
             "index of a sharded model, torch archives, GGUF, any file of a split one - and writes "
             "them anew. Several files are joined into one. Memory does not grow with the model. "
             "What exists under the output's name is replaced once all is written.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl convert self_forcing_dmd.pt -o self_forcing.safetensors\n"
                "  videossm-cl convert diffusion_pytorch_model.safetensors -o wan-q4_k.gguf \\\n"
                "      --dtype q4_k\n"
                "  videossm-cl convert model.gguf -o model.safetensors --dtype bf16 \\\n"
                "      --names diffusers --shard-size 4G\n"
                "  videossm-cl convert longlive_base.pt --lora lora.pt -o longlive.safetensors\n",
};

/* ---- What is asked for -------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n > n_end && strcmp(text + n - n_end, end) == 0;
}

static enum vs_status choose_container(enum vs_container *container, const struct values *values)
{
    static const struct {
        const char *end;
        enum vs_container container;
    } known[] = {{".safetensors", VS_SAFETENSORS}, {".safetensors" INDEX_SUFFIX, VS_SAFETENSORS},
                 {".pt", VS_TORCH},                {".pth", VS_TORCH},
                 {".bin", VS_TORCH},               {".gguf", VS_GGUF}};
    *container = (enum vs_container)values->container;
    for (size_t i = 0; values->container < 0 && i < sizeof known / sizeof *known; i++)
        if (ends_with(values->output, known[i].end)) {
            *container = known[i].container;
            return VS_OK;
        }
    return values->container >= 0
               ? VS_OK
               : vs_fail(VS_ERROR_USAGE,
                         "--output '%s': its ending tells no container; end it in .safetensors, "
                         ".pt or .gguf, or give --to",
                         values->output);
}

static enum vs_status parse_size(uint64_t *n_bytes, const char *text)
{
    return host_parse_bytes(text, n_bytes)
               ? VS_OK
               : vs_fail(VS_ERROR_USAGE,
                         "--shard-size '%s': give bytes, or a number with K, M or G (times "
                         "1024), for example 4G",
                         text);
}

static enum vs_status settle(struct vs_conversion_options *wish, const struct values *values)
{
    static const enum vs_dtype dtypes[] = {VS_F32, VS_F32, VS_F16, VS_BF16, VS_Q8_0, VS_Q4_K};
    enum vs_status status = VS_OK;
    *wish = (struct vs_conversion_options){.keep_dtype = values->dtype == 0,
                                           .dtype = dtypes[values->dtype],
                                           .names = (enum vs_target_names)values->names};
    if (!values->output)
        return vs_fail(VS_ERROR_USAGE, "what to write is missing; give it with --output FILE");
    VS_TRY(choose_container(&wish->container, values));
    if (values->shard_size)
        VS_TRY(parse_size(&wish->shard_bytes, values->shard_size));
fail:
    return status;
}

/* ---- Inputs and outputs ------------------------------------------------------------------- */

struct job {
    struct vs_weights **inputs;
    size_t n_inputs;
    struct vs_lora_set *loras; /* NULL: none */
    struct vs_conversion *conversion;
    char **paths, **names; /* of the outputs; names without folders */
    size_t n_files;
    char *index_path; /* NULL: one file needs none, nor do those of GGUF */
    struct host_draft *drafts;
    struct host_draft *draft; /* being written */
    struct host_progress *progress;
    uint64_t done, total; /* bytes */
};

static enum vs_status open_inputs(struct job *job, const struct host_list *paths)
{
    enum vs_status status = VS_OK;
    job->inputs = vs_alloc(paths->n, sizeof *job->inputs);
    if (!job->inputs)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < paths->n; i++) {
        VS_TRY(vs_weights_open(&job->inputs[i], paths->items[i]));
        job->n_inputs++;
    }
fail:
    return status;
}

static enum vs_status open_loras(struct job *job, const struct host_list *values)
{
    struct vs_lora *loras = NULL;
    if (values->n == 0)
        return VS_OK;
    enum vs_status status = host_loras_parse(&loras, values);
    if (status == VS_OK)
        status = vs_lora_set_create(&job->loras, loras, values->n,
                                    (const struct vs_weights *const *)job->inputs, job->n_inputs);
    host_loras_free(loras, values->n);
    return status;
}

/* One file keeps the name that was given. Several are named as by diffusers and transformers, or by
 * llama.cpp: x.safetensors becomes x-00001-of-00003.safetensors and x.safetensors.index.json,
 * x.gguf becomes x-00001-of-00003.gguf. */
static enum vs_status name_outputs(struct job *job, const char *output, enum vs_container container)
{
    const char *suffix = container == VS_GGUF ? ".gguf" : ".safetensors";
    int n_stem = (int)strlen(output);
    if (ends_with(output, INDEX_SUFFIX))
        n_stem -= (int)strlen(INDEX_SUFFIX);
    job->n_files = vs_conversion_files(job->conversion);
    job->paths = vs_alloc(job->n_files, sizeof *job->paths);
    job->names = vs_alloc(job->n_files, sizeof *job->names);
    job->drafts = vs_alloc(job->n_files, sizeof *job->drafts);
    if (!job->paths || !job->names || !job->drafts)
        return VS_ERROR_MEMORY;
    if (job->n_files == 1) {
        job->paths[0] = vs_format("%.*s", n_stem, output);
        return job->paths[0] ? VS_OK : VS_ERROR_MEMORY;
    }
    if (container == VS_SAFETENSORS) {
        job->index_path = vs_format("%.*s" INDEX_SUFFIX, n_stem, output);
        if (!job->index_path)
            return VS_ERROR_MEMORY;
    }
    int n_suffix = (int)strlen(suffix);
    if (n_stem > n_suffix && strncmp(output + n_stem - n_suffix, suffix, strlen(suffix)) == 0)
        n_stem -= n_suffix;
    for (size_t i = 0; i < job->n_files; i++) {
        job->paths[i] =
            vs_format("%.*s-%05zu-of-%05zu%s", n_stem, output, i + 1, job->n_files, suffix);
        const char *slash = job->paths[i] ? strrchr(job->paths[i], '/') : NULL;
        job->names[i] = job->paths[i] ? vs_strdup(slash ? slash + 1 : job->paths[i]) : NULL;
        if (!job->names[i])
            return VS_ERROR_MEMORY;
    }
    return VS_OK;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Inputs stay mapped until the end, and are what a conversion that went wrong is repeated from. */
static enum vs_status refuse_input(const struct job *job, const char *output)
{
    for (size_t i = 0; i < job->n_inputs; i++) {
        const char *file = vs_weights_path(job->inputs[i]);
        bool same = same_file(output, file);
        for (size_t j = 0; j < vs_weights_count(job->inputs[i]) && !same; j++) {
            const char *of_tensor = vs_weights_at(job->inputs[i], j)->file;
            if (of_tensor != file)
                same = same_file(output, file = of_tensor);
        }
        if (same)
            return vs_fail(VS_ERROR_USAGE, "--output '%s' is the input %s; give another name",
                           output, file);
    }
    return VS_OK;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static enum vs_status put(void *user, const void *data, size_t n_bytes)
{
    struct job *job = user;
    if (host_signals_interrupted())
        return vs_fail(VS_ERROR_INTERRUPTED, "interrupted; nothing was written");
    enum vs_status status = host_draft_write(job->draft, data, n_bytes);
    job->done += n_bytes;
    host_progress_bytes(job->progress, job->done < job->total ? job->done : job->total,
                        job->total);
    return status;
}

static enum vs_status write_files(struct job *job)
{
    enum vs_status status = VS_OK;
    const struct vs_output output = {put, job};
    char *index = NULL;
    job->total = vs_conversion_bytes(job->conversion);
    for (size_t i = 0; i < job->n_files; i++) {
        job->draft = &job->drafts[i];
        VS_TRY(host_draft_open(job->draft, job->paths[i]));
        VS_TRY(vs_conversion_write(job->conversion, i, &output));
        host_draft_detach(job->draft); /* there may be more files than descriptors */
    }
    for (size_t i = 0; i < job->n_files; i++)
        VS_TRY(host_draft_commit(&job->drafts[i]));
    if (job->index_path) {
        index = vs_conversion_index(job->conversion, job->names);
        status = index ? host_draft_save(job->index_path, index, strlen(index)) : VS_ERROR_MEMORY;
    }
fail:
    free(index);
    return status;
}

/* "120 Q4_K, 5 F16", by the tensors' formats. */
static void tell(const struct job *job)
{
    char formats[160] = "", size[32], files[32] = "";
    size_t n = 0;
    for (int dtype = 0; dtype < VS_N_DTYPES; dtype++) {
        uint64_t n_bytes;
        size_t count = vs_conversion_count(job->conversion, (enum vs_dtype)dtype, &n_bytes);
        if (count && n < sizeof formats)
            n += (size_t)snprintf(formats + n, sizeof formats - n, "%s%zu %s", n ? ", " : "",
                                  count, vs_dtype_info((enum vs_dtype)dtype)->name);
    }
    host_format_bytes(size, sizeof size, job->done);
    if (job->loras)
        host_progress_note(job->progress, "merged", "merged LoRA into %zu tensors",
                           vs_lora_count(job->loras));
    if (job->n_files > 1)
        snprintf(files, sizeof files, " in %zu files", job->n_files);
    host_progress_note(job->progress, "summary", "wrote %s: %zu tensors (%s), %s%s",
                       job->index_path ? job->index_path : job->paths[0],
                       vs_conversion_tensors(job->conversion), formats, size, files);
}

static enum vs_status convert(struct job *job, const struct values *values,
                              const struct host_list *inputs, bool *told)
{
    enum vs_status status = VS_OK;
    struct vs_conversion_options wish;
    enum host_progress_mode mode =
        values->quiet ? HOST_PROGRESS_NONE : (enum host_progress_mode)values->progress;
    VS_TRY(settle(&wish, values));
    VS_TRY(open_inputs(job, inputs));
    VS_TRY(open_loras(job, &values->loras));
    wish.loras = job->loras;
    VS_TRY(vs_conversion_create(&job->conversion, (const struct vs_weights *const *)job->inputs,
                                job->n_inputs, &wish));
    VS_TRY(name_outputs(job, values->output, wish.container));
    for (size_t i = 0; i < job->n_files; i++)
        VS_TRY(refuse_input(job, job->paths[i]));
    if (job->index_path)
        VS_TRY(refuse_input(job, job->index_path));
    VS_TRY(host_progress_create(&job->progress, mode));
    host_signals_install();
    status = write_files(job);
    if (status == VS_OK)
        tell(job);
    const char *const *written = (const char *const *)(job->index_path ? &job->index_path
                                                                       : job->paths);
    *told = host_progress_end(job->progress, status, status == VS_OK ? NULL : vs_error_message(),
                              written, status == VS_OK ? 1 : 0);
fail:
    return status;
}

static void free_job(struct job *job)
{
    for (size_t i = 0; i < job->n_files; i++) {
        if (job->drafts)
            host_draft_discard(&job->drafts[i]);
        if (job->paths)
            free(job->paths[i]);
        if (job->names)
            free(job->names[i]);
    }
    vs_conversion_free(job->conversion);
    vs_lora_set_free(job->loras);
    for (size_t i = 0; i < job->n_inputs; i++)
        vs_weights_free(job->inputs[i]);
    host_progress_free(job->progress);
    free(job->inputs);
    free(job->drafts);
    free(job->paths);
    free(job->names);
    free(job->index_path);
}

int host_convert(int argc, char **argv)
{
    struct values values = {.container = -1};
    struct host_list inputs = {0};
    struct job job = {0};
    bool help, told = false;
    enum vs_status status =
        host_options_parse(&host_convert_spec, &values, &inputs, &help, argc, argv);
    if (status == VS_OK && help)
        host_options_print_help(&host_convert_spec, stdout);
    else if (status == VS_OK)
        status = convert(&job, &values, &inputs, &told);
    free_job(&job);
    free(inputs.items);
    free(values.loras.items);
    return told ? (int)status : host_report(status);
}
