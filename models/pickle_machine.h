/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle_machine.h - the state of the stack machine, shared by the instructions (pickle.c) and the
 * meaning of the names they use (pickle_tensors.c).
 *
 * Values live in one array and refer to each other by position, so a list that holds itself is
 * harmless: nothing walks a structure deeper than two levels. A value made by unknown code
 * remembers which code, and whether a tensor went into it; that is all that is needed to refuse a
 * tensor that would depend on running it. */
#ifndef VS_MODELS_PICKLE_MACHINE_H
#define VS_MODELS_PICKLE_MACHINE_H

#include "models/pickle.h"

enum {
    MAX_VALUES = 1 << 20,
    MAX_ITEMS = 1 << 21, /* of all containers together */
    MAX_STACK = 1 << 20,
    MAX_MEMO = 1 << 20,
    UNSET = -1
};

enum kind {
    NONE,
    BOOLEAN,
    INTEGER,
    FLOAT,
    STRING,
    BYTES,
    TUPLE,
    LIST,
    DICT,
    GLOBAL,
    STORAGE,
    TENSOR,
    OTHER
};

struct value {
    uint8_t kind;
    bool tensor_inside; /* a storage or tensor, or made with one */
    int32_t culprit;    /* OTHER: the GLOBAL that would have been called, or UNSET */
    uint32_t n, room;   /* bytes of a text, items of a container (a dictionary has two a pair) */
    union {
        int64_t integer;
        const char *text;
        int32_t *items; /* GLOBAL: module and name */
        size_t index;   /* STORAGE, TENSOR: in the machine's arrays */
    };
};

struct storage {
    enum vs_dtype dtype;
    struct vs_pickle_text key;
    uint64_t n_elements;
};

struct machine {
    const uint8_t *data;
    size_t n_bytes, at;
    size_t op_at; /* of the opcode at work, for messages */
    struct value *values;
    size_t n_values, values_room;
    int32_t *stack;
    size_t n_stack, stack_room;
    size_t *marks; /* heights of the stack */
    size_t n_marks, marks_room;
    int32_t *memo;
    size_t n_memo, n_memoized; /* room, and entries in use */
    size_t n_items;
    struct storage *storages;
    size_t n_storages, storages_room;
    struct vs_pickle_tensor *tensors;
    size_t n_tensors, tensors_room;
    bool stopped;
};

/* Fault of the file, with the offset of the instruction at work in front. */
#define VS_PICKLE_FAIL(m, ...) vs_pickle_fail_at(m, vs_fail(VS_ERROR_MODEL, __VA_ARGS__))
enum vs_status vs_pickle_fail_at(const struct machine *m, enum vs_status status);

/* Values and the stack. All can fail: a hostile pickle runs into a limit. */
VS_CHECK enum vs_status vs_pickle_new(int32_t *made, struct machine *m, enum kind kind);
VS_CHECK enum vs_status vs_pickle_push(struct machine *m, int32_t value);
VS_CHECK enum vs_status vs_pickle_push_new(struct value **made, struct machine *m, enum kind kind);
VS_CHECK enum vs_status vs_pickle_pop(int32_t *value, struct machine *m);
VS_CHECK enum vs_status vs_pickle_top(int32_t *value, struct machine *m);

/* Appends items to a container; a value of unknown code keeps only their trace. */
VS_CHECK enum vs_status vs_pickle_append(struct machine *m, int32_t container, const int32_t *items,
                                         size_t n);

bool vs_pickle_text_is(const struct machine *m, int32_t value, const char *text);
bool vs_pickle_global_is(const struct machine *m, int32_t value, const char *module,
                         const char *name);
struct vs_pickle_text vs_pickle_text_of(const struct machine *m, int32_t value);

/* The instructions BINPERSID, REDUCE, NEWOBJ and BUILD. */
VS_CHECK enum vs_status vs_pickle_push_storage(struct machine *m);
VS_CHECK enum vs_status vs_pickle_reduce(struct machine *m);
VS_CHECK enum vs_status vs_pickle_new_object(struct machine *m);
VS_CHECK enum vs_status vs_pickle_build(struct machine *m);

/* Chooses the dictionary of tensors from what is left on the stack. */
VS_CHECK enum vs_status vs_pickle_finish(struct vs_pickle *pickle, struct machine *m);

#endif
