/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect_print.c - findings of `videossm-cl inspect`, for people. */
#include "config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/inspect.h"

void host_format_bytes(char *text, size_t n_text, uint64_t n_bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = (double)n_bytes / 1024;
    size_t unit = 0;
    while (size >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        size /= 1024;
        unit++;
    }
    if (n_bytes < 1000)
        snprintf(text, n_text, "%u B", (unsigned)n_bytes);
    else
        snprintf(text, n_text, size < 9.95 ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

static void format_count(char *text, size_t n_text, double n)
{
    if (n < 1e4)
        snprintf(text, n_text, "%.0f", n);
    else if (n < 1e6)
        snprintf(text, n_text, "%.1f thousand", n / 1e3);
    else if (n < 1e9)
        snprintf(text, n_text, "%.1f million", n / 1e6);
    else
        snprintf(text, n_text, "%.2f billion", n / 1e9);
}

static const char *container_name(const struct vs_weights *weights)
{
    static const char *const names[] = {"safetensors", "torch archive", "GGUF"};
    return names[vs_weights_container(weights)];
}

static const char *gates_name(const struct vs_recognized *network)
{
    static const char *const names[] = {"no", "head-wise", "channel-wise"};
    if (network->alpha_gates != network->beta_gates)
        return "mixed";
    return names[network->alpha_gates];
}

/* "Wan transformer with hybrid memory: width 192, 6 heads ..." */
static void format_network(char *text, size_t n_text, const struct vs_recognized *network)
{
    switch (network->part) {
    case VS_PART_DIT:
        snprintf(text, n_text,
                 "Wan transformer %s: width %zu, %zu heads%s, %zu layers, FFN %zu, text %zu%s%s%s",
                 network->alpha_gates ? "with hybrid memory" : "without memory", network->dim,
                 network->n_heads, network->alpha_gates ? "" : " (if 128 wide)", network->n_layers,
                 network->ffn_dim, network->text_dim, network->alpha_gates ? ", " : "",
                 network->alpha_gates ? gates_name(network) : "",
                 network->alpha_gates ? " gates" : "");
        break;
    case VS_PART_TEXT_ENCODER:
        snprintf(text, n_text,
                 "UMT5 text encoder: width %zu, %zu heads, %zu layers, FFN %zu, vocabulary %zu",
                 network->dim, network->n_heads, network->n_layers, network->ffn_dim,
                 network->vocabulary);
        break;
    case VS_PART_VAE:
        snprintf(text, n_text, "Wan VAE: base width %zu, %zu latent channels", network->dim,
                 network->n_channels);
        break;
    case VS_PART_LORA:
        snprintf(text, n_text, "LoRA of rank %zu: %s", network->rank, network->hint);
        break;
    default:
        snprintf(text, n_text, "not recognised%s%s", network->hint ? ": " : "",
                 network->hint ? network->hint : "");
    }
}

/* Metadata may hold anything; one line of it is enough, and none of it may steer the terminal. */
static void print_clean(FILE *file, const char *text)
{
    size_t n = 0;
    for (; *text && n < 60; text++, n++) {
        unsigned char byte = (unsigned char)*text;
        fputc(byte < 0x20 || byte == 0x7f || (byte >= 0x80 && byte < 0xa0) ? '?' : byte, file);
    }
    if (*text)
        fputs(" ...", file);
}

/* ---- Tables ------------------------------------------------------------------------------- */

/* A sum over tensors that belong together; groups are few, so they stand in a plain array. */
struct group {
    char name[80];
    size_t n_tensors;
    double n_elements;
    uint64_t n_bytes;
};

enum { MAX_GROUPS = 64 };

struct groups {
    struct group items[MAX_GROUPS]; /* the last one takes what finds no place */
    size_t n;
};

static void add_to_group(struct groups *groups, const char *name, const struct vs_tensor *tensor)
{
    size_t i = 0;
    while (i < groups->n && strcmp(groups->items[i].name, name) != 0)
        i++;
    if (i == groups->n && groups->n < MAX_GROUPS)
        snprintf(groups->items[groups->n++].name, sizeof groups->items->name, "%s",
                 i + 1 < MAX_GROUPS ? name : "(others)");
    if (i == MAX_GROUPS)
        i--;
    groups->items[i].n_tensors++;
    groups->items[i].n_elements += (double)tensor->n_elements;
    groups->items[i].n_bytes += tensor->n_bytes;
}

/* "blocks.17.self_attn.memory.router.bias" -> "blocks.*.self_attn.memory": numbers become stars,
 * and what distinguishes the tensors of one layer falls off. */
static void group_name(char *text, size_t n_text, const char *name)
{
    size_t n = 0, n_parts = 0;
    while (*name) {
        size_t length = strcspn(name, ".");
        bool last = name[length] == '\0';
        bool leaf =
            last && (!strcmp(name, "weight") || !strcmp(name, "bias") || !strcmp(name, "gamma"));
        bool number = isdigit((unsigned char)*name) && strspn(name, "0123456789") == length;
        bool memory = n_parts == 3 && length == 6 && strncmp(name, "memory", 6) == 0;
        if ((n_parts > 0 && leaf) || (n_parts >= 3 && !memory))
            break;
        int wrote = snprintf(text + n, n_text - n, "%s%.*s", n_parts ? "." : "",
                             number ? 1 : (int)length, number ? "*" : name);
        n += wrote > 0 ? (size_t)wrote : 0;
        if (n >= n_text)
            return;
        n_parts++;
        name += length + !last;
    }
}

static void print_groups(FILE *file, const struct groups *groups, const char *title)
{
    char elements[32], bytes[32];
    int width = (int)strlen(title);
    for (size_t i = 0; i < groups->n; i++)
        if ((int)strlen(groups->items[i].name) > width)
            width = (int)strlen(groups->items[i].name);
    fprintf(file, "  %-*s  %7s  %14s  %9s\n", width, title, "tensors", "elements", "size");
    for (size_t i = 0; i < groups->n; i++) {
        format_count(elements, sizeof elements, groups->items[i].n_elements);
        host_format_bytes(bytes, sizeof bytes, groups->items[i].n_bytes);
        fprintf(file, "  %-*s  %7zu  %14s  %9s\n", width, groups->items[i].name,
                groups->items[i].n_tensors, elements, bytes);
    }
}

static void print_tensors(FILE *file, const struct vs_weights *weights)
{
    int name_width = 4, shape_width = 5;
    char shape[192], bytes[32];
    size_t n = vs_weights_count(weights);
    for (size_t i = 0; i < n; i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        vs_shape_format(shape, sizeof shape, tensor->n_dims, tensor->shape);
        name_width =
            name_width > (int)strlen(tensor->name) ? name_width : (int)strlen(tensor->name);
        shape_width = shape_width > (int)strlen(shape) ? shape_width : (int)strlen(shape);
    }
    fprintf(file, "  %-*s  %-5s  %-*s  %9s  %12s\n", name_width, "tensor", "type", shape_width,
            "shape", "size", "offset");
    const char *shown = n ? vs_weights_at(weights, 0)->file : "";
    for (size_t i = 0; i < n; i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        if (tensor->file != shown || (i == 0 && strcmp(shown, vs_weights_path(weights)) != 0))
            fprintf(file, "  in %s\n", shown = tensor->file);
        vs_shape_format(shape, sizeof shape, tensor->n_dims, tensor->shape);
        host_format_bytes(bytes, sizeof bytes, tensor->n_bytes);
        fprintf(file, "  %-*s  %-5s  %-*s  %9s  %12ju\n", name_width, tensor->name,
                vs_dtype_info(tensor->dtype)->name, shape_width, shape, bytes,
                (uintmax_t)tensor->offset);
    }
}

/* ---- Findings ----------------------------------------------------------------------------- */

static void print_weights(FILE *file, const struct host_finding *finding)
{
    const struct vs_weights *weights = finding->weights;
    struct groups dtypes = {0}, parts = {0};
    char text[256], bytes[32];
    size_t n = vs_weights_count(weights), n_renamed = 0;
    for (size_t i = 0; i < n; i++) {
        const struct vs_tensor *tensor = vs_weights_at(weights, i);
        group_name(text, sizeof parts.items->name, tensor->name);
        add_to_group(&parts, text, tensor);
        add_to_group(&dtypes, vs_dtype_info(tensor->dtype)->name, tensor);
        n_renamed += strcmp(tensor->name, tensor->raw_name) != 0;
    }
    host_format_bytes(bytes, sizeof bytes, finding->n_bytes);
    fprintf(file, "  container   %s, ", container_name(weights));
    if (finding->n_files > 1)
        fprintf(file, "%zu shards, ", finding->n_files);
    fprintf(file, "%s\n", bytes);
    format_network(text, sizeof text, &finding->network);
    fputs("  recognised  ", file);
    for (const char *rest = text; *rest;) { /* the sizes go on a line of their own */
        const char *colon = strstr(rest, ": ");
        fprintf(file, "%.*s\n", (int)(colon ? colon - rest : (long)strlen(rest)), rest);
        if (!colon)
            break;
        rest = colon + 2;
        fputs("              ", file);
    }
    fprintf(file, "  tensors     %zu", n);
    if (n_renamed)
        fprintf(file, "; %zu have other names in the file", n_renamed);
    fputc('\n', file);
    for (size_t i = 0; i < vs_weights_metadata_count(weights); i++) {
        const char *key, *value;
        vs_weights_metadata_at(&key, &value, weights, i);
        fputs(i ? "              " : "  metadata    ", file);
        print_clean(file, key);
        fputs(" = ", file);
        print_clean(file, value);
        fputc('\n', file);
    }
    fputc('\n', file);
    print_tensors(file, weights);
    fputc('\n', file);
    print_groups(file, &parts, "part");
    fputc('\n', file);
    print_groups(file, &dtypes, "type");
}

static void print_config(FILE *file, const struct vs_config *config)
{
    fprintf(file, "  recognised  configuration\n");
    bool derived = !config->dim || !config->n_heads || !config->n_layers || !config->ffn_dim ||
                   !config->text_dim;
    fprintf(file, "  network     width %zu, %zu heads, %zu layers, FFN %zu, text %zu x %zu%s\n",
            config->dim, config->n_heads, config->n_layers, config->ffn_dim, config->text_len,
            config->text_dim, derived ? " (0: from the weights)" : "");
    fprintf(file, "  frames      %zu a chunk, window ", config->frames_per_chunk);
    if (config->window)
        fprintf(file, "%zu", config->window);
    else
        fputs("unlimited", file);
    fprintf(file, ", sink %zu; RoPE %s\n", config->sink,
            config->rope_relative ? "relative" : "absolute");
    fprintf(file, "  sampler     steps");
    for (size_t i = 0; i < config->n_steps; i++)
        fprintf(file, " %u", config->steps[i]);
    fprintf(file, ", shift %g, context noise %g\n", config->timestep_shift, config->context_noise);
    fprintf(file, "  memory      queries %s, horizon ",
            config->memory_roped ? "with RoPE" : "before RoPE");
    if (config->horizon)
        fprintf(file, "%zu latent frames\n", config->horizon);
    else
        fputs("the length asked for\n", file);
    fprintf(file, "  video       %zux%zu, %g fps\n", config->width, config->height, config->fps);
}

void host_finding_print(FILE *file, const struct host_finding *finding)
{
    char bytes[32];
    fprintf(file, "%s\n", finding->path);
    switch (finding->kind) {
    case HOST_FINDING_WEIGHTS:
        print_weights(file, finding);
        break;
    case HOST_FINDING_TOKENIZER:
        host_format_bytes(bytes, sizeof bytes, finding->n_bytes);
        fprintf(file, "  recognised  SentencePiece model (unigram) with %zu pieces, %s\n",
                finding->n_pieces, bytes);
        break;
    case HOST_FINDING_CONFIG:
        print_config(file, &finding->config);
        break;
    default:
        break; /* reported on stderr */
    }
}

void host_finding_print_line(FILE *file, const struct host_finding *finding, const char *name,
                             int name_width)
{
    char text[256], bytes[32];
    switch (finding->kind) {
    case HOST_FINDING_WEIGHTS:
        format_network(text, sizeof text, &finding->network);
        break;
    case HOST_FINDING_TOKENIZER:
        snprintf(text, sizeof text, "SentencePiece model with %zu pieces", finding->n_pieces);
        break;
    case HOST_FINDING_CONFIG:
        snprintf(text, sizeof text, "configuration: %zux%zu, %g fps, %zu frames a chunk",
                 finding->config.width, finding->config.height, finding->config.fps,
                 finding->config.frames_per_chunk);
        break;
    default:
        snprintf(text, sizeof text, "cannot be used");
    }
    host_format_bytes(bytes, sizeof bytes, finding->n_bytes);
    fprintf(file, "  %-*s  %9s  %s\n", name_width, name, bytes, text);
}
