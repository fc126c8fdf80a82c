/* SPDX-License-Identifier: Apache-2.0
 *
 * lora.c - whose tensor changes which: the namings of LoRA files against a network's names.
 *
 * Writers differ in prefixes, in what stands for a point, and in whether they know the network by
 * Wan's names or diffusers'. So names are compared without prefix and with underscores for points,
 * and every matrix is known under both. */
#include "models/lora_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/names.h"
#include "models/recognize.h"

/* ---- Names in a file ---------------------------------------------------------------------- */

enum role { DOWN, UP, ALPHA, DIFF, DIFF_BIAS, N_ROLES, UNKNOWN = N_ROLES };

static const struct {
    const char *ending;
    enum role role;
} endings[] = {{".lora_A.weight", DOWN},         {".lora_B.weight", UP},
               {".lora_A.default.weight", DOWN}, {".lora_B.default.weight", UP},
               {".lora_down.weight", DOWN},      {".lora_up.weight", UP},
               {".lora.down.weight", DOWN},      {".lora.up.weight", UP},
               {".alpha", ALPHA},                {".diff", DIFF},
               {".diff_b", DIFF_BIAS}};

static const char *const prefixes[] = {"base_model.", "model.",      "module.",
                                       "generator.",  "transformer.", "diffusion_model.",
                                       "unet.",       "lora_unet_",   "lora_transformer_"};

static bool begins(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* What a tensor of a file is, and whose: the module's name with underscores for points, freed with
 * free(). NULL in *module when memory is short. */
static enum role parse_name(char **module, const char *name)
{
    enum role role = UNKNOWN;
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (begins(name, prefixes[i])) {
            name += strlen(prefixes[i]);
            i = (size_t)-1; /* one prefix may hide any other */
        }
    n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n_ending = strlen(endings[i].ending);
        if (n > n_ending && strcmp(name + n - n_ending, endings[i].ending) == 0) {
            role = endings[i].role;
            n -= n_ending;
            break;
        }
    }
    *module = vs_format("%.*s", (int)n, name);
    for (char *c = *module; c && *c; c++)
        *c = *c == '.' ? '_' : *c;
    return role;
}

/* ---- The network's names ------------------------------------------------------------------ */

/* A module that may be changed. */
struct target {
    char *key; /* its name with underscores for points */
    const struct vs_tensor *weight, *bias; /* NULL: it has none */
};

struct targets {
    struct target *items;
    size_t n, room;
};

static int compare_targets(const void *a, const void *b)
{
    return strcmp(((const struct target *)a)->key, ((const struct target *)b)->key);
}

/* A key for the module of a tensor, in one naming. */
static enum vs_status add_target(struct targets *targets, const struct vs_tensor *tensor,
                                 const char *name)
{
    static const char weight[] = ".weight", bias[] = ".bias";
    size_t n = strlen(name), n_weight = sizeof weight - 1, n_bias = sizeof bias - 1;
    bool is_weight = n > n_weight && strcmp(name + n - n_weight, weight) == 0;
    bool is_bias = n > n_bias && strcmp(name + n - n_bias, bias) == 0;
    enum vs_status status =
        vs_grow(&targets->items, targets->n, &targets->room, sizeof *targets->items);
    if (status != VS_OK)
        return status;
    n -= is_weight ? n_weight : is_bias ? n_bias : 0;
    struct target target = {.key = vs_format("%.*s", (int)n, name)};
    if (!target.key)
        return VS_ERROR_MEMORY;
    for (char *c = target.key; *c; c++)
        *c = *c == '.' ? '_' : *c;
    *(is_bias ? &target.bias : &target.weight) = tensor;
    targets->items[targets->n++] = target;
    return VS_OK;
}

/* Sorts, and makes one of a module's weight and bias. */
static void join_targets(struct targets *targets)
{
    size_t n = 0;
    if (targets->n)
        qsort(targets->items, targets->n, sizeof *targets->items, compare_targets);
    for (size_t i = 0; i < targets->n; i++) {
        struct target *last = n ? &targets->items[n - 1] : NULL, *next = &targets->items[i];
        if (last && strcmp(last->key, next->key) == 0) {
            last->weight = last->weight ? last->weight : next->weight;
            last->bias = last->bias ? last->bias : next->bias;
            free(next->key);
        } else {
            targets->items[n++] = *next;
        }
    }
    targets->n = n;
}

static enum vs_status list_targets(struct targets *targets, const struct vs_weights *const *bases,
                                   size_t n_bases)
{
    enum vs_status status = VS_OK;
    for (size_t i = 0; i < n_bases; i++)
        for (size_t j = 0; j < vs_weights_count(bases[i]); j++) {
            const struct vs_tensor *tensor = vs_weights_at(bases[i], j);
            char *other = vs_names_translate(tensor->name, VS_TABLE_DIT, VS_NAMES_DIFFUSERS);
            status = other ? add_target(targets, tensor, tensor->name) : VS_ERROR_MEMORY;
            if (status == VS_OK && strcmp(other, tensor->name) != 0)
                status = add_target(targets, tensor, other);
            free(other);
            if (status != VS_OK)
                return status;
        }
    join_targets(targets);
    return VS_OK;
}

static void free_targets(struct targets *targets)
{
    for (size_t i = 0; i < targets->n; i++)
        free(targets->items[i].key);
    free(targets->items);
}

/* ---- A file against the network ----------------------------------------------------------- */

/* All tensors of a file that belong to one module. */
struct module {
    char *key;
    const struct vs_tensor *tensors[N_ROLES];
};

struct modules {
    struct module *items;
    size_t n, room;
};

static int compare_modules(const void *a, const void *b)
{
    return strcmp(((const struct module *)a)->key, ((const struct module *)b)->key);
}

static enum vs_status unknown_tensor(const struct vs_tensor *tensor)
{
    return vs_fail(VS_ERROR_MODEL,
                   "%s: tensor '%s' is no part of a LoRA as peft, diffusers, kohya or ComfyUI write "
                   "it (lora_A, lora_B, lora_down, lora_up, alpha, diff, diff_b); variants like "
                   "DoRA or LoKr cannot be merged",
                   tensor->file, tensor->raw_name);
}

/* Every tensor of the file under its module, modules in order of their names. */
static enum vs_status list_modules(struct modules *modules, const struct vs_weights *file)
{
    enum vs_status status = VS_OK;
    size_t n = 0;
    for (size_t i = 0; i < vs_weights_count(file); i++) {
        const struct vs_tensor *tensor = vs_weights_at(file, i);
        VS_TRY(vs_grow(&modules->items, modules->n, &modules->room, sizeof *modules->items));
        struct module module = {0};
        enum role role = parse_name(&module.key, tensor->name);
        if (!module.key)
            return VS_ERROR_MEMORY;
        modules->items[modules->n++] = module;
        if (role == UNKNOWN)
            return unknown_tensor(tensor);
        modules->items[modules->n - 1].tensors[role] = tensor;
    }
    qsort(modules->items, modules->n, sizeof *modules->items, compare_modules);
    for (size_t i = 0; i < modules->n; i++) {
        struct module *last = n ? &modules->items[n - 1] : NULL, *next = &modules->items[i];
        if (!last || strcmp(last->key, next->key) != 0) {
            modules->items[n++] = *next;
            if (n - 1 != i)
                next->key = NULL;
            continue;
        }
        for (size_t role = 0; role < N_ROLES; role++) {
            if (last->tensors[role] && next->tensors[role]) {
                status = vs_fail(VS_ERROR_MODEL, "%s: tensors '%s' and '%s' mean the same",
                                 next->tensors[role]->file, last->tensors[role]->raw_name,
                                 next->tensors[role]->raw_name);
                goto fail;
            }
            if (next->tensors[role])
                last->tensors[role] = next->tensors[role];
        }
        free(next->key);
        next->key = NULL;
    }
    modules->n = n;
fail:
    return status;
}

static void free_modules(struct modules *modules)
{
    for (size_t i = 0; i < modules->n; i++)
        free(modules->items[i].key);
    free(modules->items);
}

static const struct vs_tensor *any_tensor(const struct module *module)
{
    for (size_t role = 0; role < N_ROLES; role++)
        if (module->tensors[role])
            return module->tensors[role];
    return NULL;
}

static enum vs_status wrong_shape(const struct vs_tensor *tensor, const struct vs_tensor *base)
{
    char got[192], want[192];
    vs_shape_format(got, sizeof got, tensor->n_dims, tensor->shape);
    vs_shape_format(want, sizeof want, base->n_dims, base->shape);
    return vs_fail(VS_ERROR_MODEL,
                   "%s: tensor '%s' %s does not fit '%s' %s of %s; was it made for another size of "
                   "the model?",
                   tensor->file, tensor->raw_name, got, base->name, want, base->file);
}

static enum vs_status read_alpha(double *alpha, const struct vs_tensor *tensor)
{
    float value = NAN;
    if (tensor->n_elements == 1)
        vs_dtype_widen(&value, tensor->data, tensor->dtype, 1);
    if (!isfinite(value))
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' is no single finite number", tensor->file,
                       tensor->raw_name);
    *alpha = (double)value;
    return VS_OK;
}

static enum vs_status add_change(struct vs_lora_part *part, const struct vs_lora_change *change)
{
    const struct vs_tensor *tensors[] = {change->base, change->down, change->up, change->diff};
    for (size_t i = 0; i < 4; i++)
        if (tensors[i] && !vs_dtype_info(tensors[i]->dtype)->weight && tensors[i]->dtype != VS_F64)
            return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' is %s; floating point is needed",
                           tensors[i]->file, tensors[i]->raw_name,
                           vs_dtype_info(tensors[i]->dtype)->name);
    enum vs_status status =
        vs_grow(&part->changes, part->n_changes, &part->room, sizeof *part->changes);
    if (status == VS_OK)
        part->changes[part->n_changes++] = *change;
    return status;
}

/* W + factor B A. Every size that is used later is settled here. */
static enum vs_status add_low_rank(struct vs_lora_part *part, const struct module *module,
                                   const struct vs_tensor *base)
{
    const struct vs_tensor *down = module->tensors[DOWN], *up = module->tensors[UP];
    enum vs_status status = VS_OK;
    if (!down || !up) {
        const struct vs_tensor *lone = any_tensor(module);
        return vs_fail(VS_ERROR_MODEL, "%s: tensor '%s' has no counterpart: %s is missing",
                       lone->file, lone->raw_name, down ? "lora_B (lora_up)" : "lora_A (lora_down)");
    }
    size_t rank = down->n_dims ? down->shape[0] : 0, columns = vs_lora_columns(base), n;
    if (base->n_dims < 2 || rank == 0 || !vs_mul_ok(rank, columns, &n) || n != down->n_elements)
        return wrong_shape(down, base);
    if (up->n_dims < 2 || up->shape[0] != base->shape[0] || up->shape[1] != rank ||
        !vs_mul_ok(rank, base->shape[0], &n) || n != up->n_elements)
        return wrong_shape(up, base);
    double alpha = (double)rank;
    if (module->tensors[ALPHA])
        VS_TRY(read_alpha(&alpha, module->tensors[ALPHA]));
    return add_change(part, &(struct vs_lora_change){.base = base,
                                                     .down = down,
                                                     .up = up,
                                                     .rank = rank,
                                                     .factor = (float)(part->scale * alpha /
                                                                       (double)rank)});
fail:
    return status;
}

static enum vs_status add_difference(struct vs_lora_part *part, const struct vs_tensor *diff,
                                     const struct vs_tensor *base)
{
    if (diff->n_elements != base->n_elements ||
        (diff->n_dims == base->n_dims &&
         memcmp(diff->shape, base->shape, diff->n_dims * sizeof *diff->shape) != 0))
        return wrong_shape(diff, base);
    return add_change(part, &(struct vs_lora_change){
                                .base = base, .diff = diff, .factor = (float)part->scale});
}

static enum vs_status match_module(struct vs_lora_part *part, const struct module *module,
                                   const struct targets *targets)
{
    enum vs_status status = VS_OK;
    const struct target wanted = {.key = module->key};
    const struct target *target =
        bsearch(&wanted, targets->items, targets->n, sizeof wanted, compare_targets);
    const struct vs_tensor *const *tensors = module->tensors;
    bool low_rank = tensors[DOWN] || tensors[UP] || tensors[ALPHA];
    if (!target || (!target->weight && (low_rank || tensors[DIFF])) ||
        (!target->bias && tensors[DIFF_BIAS])) {
        const struct vs_tensor *lone = any_tensor(module);
        return vs_fail(VS_ERROR_MODEL,
                       "%s: tensor '%s' changes nothing in this network, which has no '%s'; give "
                       "the LoRA with the network it was made for",
                       lone->file, lone->raw_name, module->key);
    }
    if (low_rank)
        VS_TRY(add_low_rank(part, module, target->weight));
    if (tensors[DIFF])
        VS_TRY(add_difference(part, tensors[DIFF], target->weight));
    if (tensors[DIFF_BIAS])
        VS_TRY(add_difference(part, tensors[DIFF_BIAS], target->bias));
fail:
    return status;
}

/* ---- The set ------------------------------------------------------------------------------ */

static int compare_changes(const void *a, const void *b)
{
    const struct vs_lora_change *x = a, *y = b;
    int order = ((uintptr_t)x->base > (uintptr_t)y->base) - ((uintptr_t)x->base <
                                                             (uintptr_t)y->base);
    return order ? order : (x->diff != NULL) - (y->diff != NULL);
}

static enum vs_status open_part(struct vs_lora_part *part, const struct vs_lora *lora,
                                const struct targets *targets)
{
    enum vs_status status = VS_OK;
    struct modules modules = {0};
    part->scale = lora->scale;
    VS_TRY(vs_weights_open(&part->file, lora->path));
    VS_TRY(list_modules(&modules, part->file));
    for (size_t i = 0; i < modules.n; i++)
        VS_TRY(match_module(part, &modules.items[i], targets));
    if (part->n_changes)
        qsort(part->changes, part->n_changes, sizeof *part->changes, compare_changes);
    for (size_t i = 1; i < part->n_changes; i++)
        if (compare_changes(&part->changes[i - 1], &part->changes[i]) == 0) {
            status = vs_fail(VS_ERROR_MODEL, "%s: changes tensor '%s' twice, under two names",
                             lora->path, part->changes[i].base->name);
            goto fail;
        }
fail:
    free_modules(&modules);
    return status;
}

enum vs_status vs_lora_set_create(struct vs_lora_set **out, const struct vs_lora *loras, size_t n,
                                  const struct vs_weights *const *bases, size_t n_bases)
{
    enum vs_status status = VS_ERROR_MEMORY;
    struct targets targets = {0};
    struct vs_lora_set *set = vs_alloc(1, sizeof *set);
    *out = NULL;
    if (!set)
        return VS_ERROR_MEMORY;
    set->parts = vs_alloc(n, sizeof *set->parts);
    if (!set->parts)
        goto fail;
    set->n_parts = n;
    VS_TRY(list_targets(&targets, bases, n_bases));
    for (size_t i = 0; i < n; i++)
        VS_TRY(open_part(&set->parts[i], &loras[i], &targets));
    free_targets(&targets);
    *out = set;
    return VS_OK;
fail:
    free_targets(&targets);
    vs_lora_set_free(set);
    return status;
}

void vs_lora_set_free(struct vs_lora_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n_parts; i++) {
        vs_weights_free(set->parts[i].file);
        free(set->parts[i].changes);
        free(set->parts[i].down);
    }
    free(set->parts);
    free(set->up);
    free(set);
}

const struct vs_lora_change *vs_lora_first(const struct vs_lora_part *part,
                                           const struct vs_tensor *base)
{
    size_t begin = 0, end = part->n_changes;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if ((uintptr_t)part->changes[middle].base < (uintptr_t)base)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin < part->n_changes && part->changes[begin].base == base ? &part->changes[begin]
                                                                        : NULL;
}

bool vs_lora_touches(const struct vs_lora_set *set, const struct vs_tensor *base)
{
    for (size_t i = 0; set && i < set->n_parts; i++)
        if (vs_lora_first(&set->parts[i], base))
            return true;
    return false;
}

size_t vs_lora_count(const struct vs_lora_set *set)
{
    size_t n = 0;
    for (size_t i = 0; set && i < set->n_parts; i++)
        for (size_t j = 0; j < set->parts[i].n_changes; j++) {
            const struct vs_tensor *base = set->parts[i].changes[j].base;
            bool counted = j > 0 && set->parts[i].changes[j - 1].base == base;
            for (size_t k = 0; k < i && !counted; k++)
                counted = vs_lora_first(&set->parts[k], base);
            n += !counted;
        }
    return n;
}

const struct vs_weights *vs_lora_file(const struct vs_lora_set *set, size_t i)
{
    return set->parts[i].file;
}
