/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle_tensors.c - what the few known names of a torch pickle mean, and which of its dictionaries
 * is the model.
 *
 * Known are the storage classes, _rebuild_tensor_v2, _rebuild_parameter and OrderedDict. Whatever
 * else a pickle would call becomes a value that does nothing. */
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/pickle_machine.h"
#include "models/weights_internal.h"

static enum vs_status push_other(struct machine *m, int32_t culprit, bool tensor_inside)
{
    struct value *value = NULL;
    enum vs_status status = vs_pickle_push_new(&value, m, OTHER);
    if (status != VS_OK)
        return status;
    while (culprit != UNSET && m->values[culprit].kind == OTHER)
        culprit = m->values[culprit].culprit;
    value->culprit = culprit != UNSET && m->values[culprit].kind == GLOBAL ? culprit : UNSET;
    value->tensor_inside = tensor_inside;
    return VS_OK;
}

static bool storage_dtype(enum vs_dtype *dtype, const struct machine *m, int32_t class)
{
    static const struct {
        const char *name;
        enum vs_dtype dtype;
    } known[] = {{"FloatStorage", VS_F32},     {"DoubleStorage", VS_F64}, {"HalfStorage", VS_F16},
                 {"BFloat16Storage", VS_BF16}, {"LongStorage", VS_I64},   {"IntStorage", VS_I32},
                 {"ShortStorage", VS_I16},     {"CharStorage", VS_I8},    {"ByteStorage", VS_U8},
                 {"BoolStorage", VS_BOOL}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (vs_pickle_global_is(m, class, "torch", known[i].name)) {
            *dtype = known[i].dtype;
            return true;
        }
    return false;
}

/* ("storage", class, key, location, elements) */
enum vs_status vs_pickle_push_storage(struct machine *m)
{
    enum vs_status status;
    int32_t id = 0;
    struct value *value = NULL;
    struct storage storage;
    VS_TRY(vs_pickle_pop(&id, m));
    const struct value *tuple = &m->values[id];
    if (tuple->kind != TUPLE || tuple->n != 5 ||
        !vs_pickle_text_is(m, tuple->items[0], "storage") ||
        m->values[tuple->items[2]].kind != STRING || m->values[tuple->items[4]].kind != INTEGER ||
        m->values[tuple->items[4]].integer < 0)
        return VS_PICKLE_FAIL(
            m, "a storage is not described as (\"storage\", class, key, place, elements)");
    if (!storage_dtype(&storage.dtype, m, tuple->items[1]))
        return push_other(m, tuple->items[1], true);
    storage.key = vs_pickle_text_of(m, tuple->items[2]);
    storage.n_elements = (uint64_t)m->values[tuple->items[4]].integer;
    if (m->n_storages >= VS_MAX_TENSORS)
        return VS_PICKLE_FAIL(m, "more than %d storages", VS_MAX_TENSORS);
    VS_TRY(vs_grow(&m->storages, m->n_storages, &m->storages_room, sizeof *m->storages));
    VS_TRY(vs_pickle_push_new(&value, m, STORAGE));
    value->tensor_inside = true;
    value->index = m->n_storages;
    m->storages[m->n_storages++] = storage;
fail:
    return status;
}

/* Tuple of sizes: their number, or -1. */
static int sizes_of(size_t out[VS_MAX_DIMS], const struct machine *m, int32_t value)
{
    const struct value *tuple = &m->values[value];
    if ((tuple->kind != TUPLE && tuple->kind != LIST) || tuple->n > VS_MAX_DIMS)
        return -1;
    for (uint32_t i = 0; i < tuple->n; i++) {
        const struct value *size = &m->values[tuple->items[i]];
        if (size->kind != INTEGER || size->integer < 0)
            return -1;
        out[i] = (size_t)size->integer;
    }
    return (int)tuple->n;
}

/* (storage, offset, size, stride, requires_grad, hooks[, metadata]) */
static enum vs_status push_tensor(struct machine *m, const struct value *args)
{
    enum vs_status status;
    struct vs_pickle_tensor tensor = {0};
    struct value *made = NULL;
    if (args->n < 4 || args->n > 7)
        return VS_PICKLE_FAIL(m, "a tensor is made from %u arguments", (unsigned)args->n);
    for (uint32_t i = 0; i < 4; i++)
        if (m->values[args->items[i]].kind == OTHER)
            return push_other(m, args->items[i], true);
    const struct value *storage = &m->values[args->items[0]];
    const struct value *offset = &m->values[args->items[1]];
    int n_dims = sizes_of(tensor.shape, m, args->items[2]);
    if (storage->kind != STORAGE || offset->kind != INTEGER || offset->integer < 0 || n_dims < 0 ||
        sizes_of(tensor.stride, m, args->items[3]) != n_dims)
        return VS_PICKLE_FAIL(
            m,
            "a tensor is not described as (storage, offset, size, stride), with at "
            "most %d dimensions",
            VS_MAX_DIMS);
    if (m->n_tensors >= VS_MAX_TENSORS)
        return VS_PICKLE_FAIL(m, "more than %d tensors", VS_MAX_TENSORS);
    tensor.dtype = m->storages[storage->index].dtype;
    tensor.key = m->storages[storage->index].key;
    tensor.n_storage = m->storages[storage->index].n_elements;
    tensor.offset = (uint64_t)offset->integer;
    tensor.n_dims = (size_t)n_dims;
    VS_TRY(vs_grow(&m->tensors, m->n_tensors, &m->tensors_room, sizeof *m->tensors));
    VS_TRY(vs_pickle_push_new(&made, m, TENSOR));
    made->tensor_inside = true;
    made->index = m->n_tensors;
    m->tensors[m->n_tensors++] = tensor;
fail:
    return status;
}

/* OrderedDict(), or OrderedDict([(key, value), ...]) as old writers have it. */
static enum vs_status push_dict(struct machine *m, const struct value *args)
{
    enum vs_status status;
    int32_t made = 0;
    VS_TRY(vs_pickle_new(&made, m, DICT));
    VS_TRY(vs_pickle_push(m, made));
    if (args->n == 0)
        return VS_OK;
    /* Copied, because vs_pickle_new() may have moved the values; the items stay where they are. */
    struct value list = m->values[args->items[0]];
    if (args->n != 1 || (list.kind != LIST && list.kind != TUPLE))
        return VS_PICKLE_FAIL(m, "an OrderedDict is not made from a list of pairs");
    for (uint32_t i = 0; i < list.n; i++) {
        const struct value *pair = &m->values[list.items[i]];
        if ((pair->kind != LIST && pair->kind != TUPLE) || pair->n != 2)
            return VS_PICKLE_FAIL(m, "an OrderedDict is not made from a list of pairs");
        VS_TRY(vs_pickle_append(m, made, pair->items, 2));
    }
fail:
    return status;
}

enum vs_status vs_pickle_reduce(struct machine *m)
{
    enum vs_status status;
    int32_t arguments = 0, function = 0;
    VS_TRY(vs_pickle_pop(&arguments, m));
    VS_TRY(vs_pickle_pop(&function, m));
    const struct value args = m->values[arguments];
    if (args.kind == TUPLE) {
        if (vs_pickle_global_is(m, function, "torch._utils", "_rebuild_tensor_v2"))
            return push_tensor(m, &args);
        if (vs_pickle_global_is(m, function, "collections", "OrderedDict"))
            return push_dict(m, &args);
        if (vs_pickle_global_is(m, function, "torch._utils", "_rebuild_parameter") && args.n >= 1 &&
            (m->values[args.items[0]].kind == TENSOR || m->values[args.items[0]].kind == OTHER))
            return vs_pickle_push(m, args.items[0]);
    }
    return push_other(m, function, args.tensor_inside || m->values[function].tensor_inside);
fail:
    return status;
}

enum vs_status vs_pickle_new_object(struct machine *m)
{
    enum vs_status status;
    int32_t args = 0, class = 0;
    VS_TRY(vs_pickle_pop(&args, m));
    VS_TRY(vs_pickle_pop(&class, m));
    return push_other(m, class, m->values[args].tensor_inside || m->values[class].tensor_inside);
fail:
    return status;
}

/* The state of a dictionary is its _metadata and is dropped; any other value becomes unknown. */
enum vs_status vs_pickle_build(struct machine *m)
{
    enum vs_status status;
    int32_t state = 0, object = 0;
    VS_TRY(vs_pickle_pop(&state, m));
    VS_TRY(vs_pickle_top(&object, m));
    if (m->values[object].kind == DICT)
        return VS_OK;
    m->n_stack--;
    return push_other(m, object, m->values[object].tensor_inside || m->values[state].tensor_inside);
fail:
    return status;
}

/* ---- The result --------------------------------------------------------------------------- */

static enum vs_status refuse(const struct machine *m, struct vs_pickle_text name, int32_t other)
{
    static const char remedy[] = "code that is never run; save plain tensors (a state_dict) or "
                                 "safetensors";
    int32_t culprit = m->values[other].culprit;
    int n = name.n < VS_MAX_NAME_BYTES ? (int)name.n : VS_MAX_NAME_BYTES;
    if (culprit == UNSET)
        return vs_fail(VS_ERROR_MODEL, "data.pkl: '%.*s' is made by an unknown function, %s", n,
                       name.text, remedy);
    struct vs_pickle_text module = vs_pickle_text_of(m, m->values[culprit].items[0]);
    struct vs_pickle_text function = vs_pickle_text_of(m, m->values[culprit].items[1]);
    return vs_fail(VS_ERROR_MODEL, "data.pkl: '%.*s' is made by '%.*s.%.*s', %s", n, name.text,
                   (int)(module.n < 128 ? module.n : 128), module.text,
                   (int)(function.n < 128 ? function.n : 128), function.text, remedy);
}

static enum vs_status keep_tensor(struct vs_pickle *pickle, struct machine *m,
                                  struct vs_pickle_text name, int32_t value)
{
    enum vs_status status = vs_grow(&pickle->tensors, pickle->n_tensors, &pickle->tensors_room,
                                    sizeof *pickle->tensors);
    if (status != VS_OK)
        return status;
    if (pickle->n_tensors >= VS_MAX_TENSORS)
        return vs_fail(VS_ERROR_MODEL, "data.pkl: more than %d tensors", VS_MAX_TENSORS);
    struct vs_pickle_tensor *tensor = &pickle->tensors[pickle->n_tensors++];
    *tensor = m->tensors[m->values[value].index];
    tensor->name = name;
    return VS_OK;
}

static enum vs_status keep_inert(struct vs_pickle *pickle, struct machine *m,
                                 struct vs_pickle_text name, int32_t value)
{
    int32_t culprit = m->values[value].culprit;
    if (culprit == UNSET)
        return VS_OK;
    enum vs_status status =
        vs_grow(&pickle->inert, pickle->n_inert, &pickle->inert_room, sizeof *pickle->inert);
    if (status == VS_OK)
        pickle->inert[pickle->n_inert++] =
            (struct vs_pickle_inert){name, vs_pickle_text_of(m, m->values[culprit].items[0]),
                                     vs_pickle_text_of(m, m->values[culprit].items[1])};
    return status;
}

static enum vs_status collect(struct vs_pickle *pickle, struct machine *m, int32_t dict)
{
    const struct value *chosen = &m->values[dict];
    for (uint32_t i = 0; i + 1 < chosen->n; i += 2) {
        int32_t key = chosen->items[i], value = chosen->items[i + 1];
        enum vs_status status = VS_OK;
        if (m->values[key].kind != STRING)
            continue;
        if (m->values[value].kind == TENSOR)
            status = keep_tensor(pickle, m, vs_pickle_text_of(m, key), value);
        else if (m->values[value].kind == OTHER && m->values[value].tensor_inside)
            status = refuse(m, vs_pickle_text_of(m, key), value);
        else if (m->values[value].kind == OTHER)
            status = keep_inert(pickle, m, vs_pickle_text_of(m, key), value);
        if (status != VS_OK)
            return status;
    }
    return VS_OK;
}

static int32_t choose(const struct machine *m, int32_t root)
{
    static const char *const preferred[] = {"generator_ema", "generator", "model", "state_dict",
                                            "generator_lora"};
    const struct value *outer = &m->values[root];
    for (size_t p = 0; p < sizeof preferred / sizeof *preferred; p++)
        for (uint32_t i = 0; i + 1 < outer->n; i += 2) {
            const struct value *inner = &m->values[outer->items[i + 1]];
            if ((inner->kind == DICT || inner->kind == OTHER) && inner->tensor_inside &&
                vs_pickle_text_is(m, outer->items[i], preferred[p]))
                return outer->items[i + 1];
        }
    return root;
}

enum vs_status vs_pickle_finish(struct vs_pickle *pickle, struct machine *m)
{
    static const struct vs_pickle_text alone = {"tensor", 6}, whole = {"the whole content", 17};
    int32_t root = 0;
    enum vs_status status = vs_pickle_pop(&root, m);
    if (status != VS_OK)
        return status;
    if (m->values[root].kind == DICT)
        root = choose(m, root);
    switch (m->values[root].kind) {
    case TENSOR:
        return keep_tensor(pickle, m, alone, root);
    case DICT:
        return collect(pickle, m, root);
    case OTHER:
        return refuse(m, whole, root);
    default:
        return vs_fail(VS_ERROR_MODEL, "data.pkl: holds no dictionary of tensors");
    }
}
