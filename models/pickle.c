/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle.c - the instructions of the stack machine of pickle.h.
 *
 * Every instruction costs constant time and memory, or a share of the bytes it takes from the
 * pickle, so a hostile one can cost no more than its size and the limits in pickle_machine.h. */
#include "models/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "models/pickle_machine.h"
#include "models/weights_internal.h"

enum vs_status vs_pickle_fail_at(const struct machine *m, enum vs_status status)
{
    return vs_fail_in(status, "data.pkl: offset %zu", m->op_at);
}

/* ---- Values ------------------------------------------------------------------------------- */

enum vs_status vs_pickle_new(int32_t *made, struct machine *m, enum kind kind)
{
    if (m->n_values >= MAX_VALUES)
        return VS_PICKLE_FAIL(m, "more than %d values", MAX_VALUES);
    enum vs_status status = vs_grow(&m->values, m->n_values, &m->values_room, sizeof *m->values);
    if (status != VS_OK)
        return status;
    *made = (int32_t)m->n_values++;
    m->values[*made] = (struct value){.kind = (uint8_t)kind, .culprit = UNSET};
    return VS_OK;
}

enum vs_status vs_pickle_push(struct machine *m, int32_t value)
{
    if (m->n_stack >= MAX_STACK)
        return VS_PICKLE_FAIL(m, "the stack grows past %d values", MAX_STACK);
    enum vs_status status = vs_grow(&m->stack, m->n_stack, &m->stack_room, sizeof *m->stack);
    if (status == VS_OK)
        m->stack[m->n_stack++] = value;
    return status;
}

enum vs_status vs_pickle_push_new(struct value **made, struct machine *m, enum kind kind)
{
    int32_t index;
    enum vs_status status = vs_pickle_new(&index, m, kind);
    if (status == VS_OK)
        status = vs_pickle_push(m, index);
    if (status == VS_OK && made)
        *made = &m->values[index];
    return status;
}

static size_t floor_of(const struct machine *m)
{
    return m->n_marks ? m->marks[m->n_marks - 1] : 0;
}

enum vs_status vs_pickle_pop(int32_t *value, struct machine *m)
{
    if (m->n_stack <= floor_of(m))
        return VS_PICKLE_FAIL(m, "the stack is empty");
    *value = m->stack[--m->n_stack];
    return VS_OK;
}

enum vs_status vs_pickle_top(int32_t *value, struct machine *m)
{
    if (m->n_stack <= floor_of(m))
        return VS_PICKLE_FAIL(m, "the stack is empty");
    *value = m->stack[m->n_stack - 1];
    return VS_OK;
}

/* Items above the last mark; they stay in place in the stack until the next push. */
static enum vs_status pop_mark(const int32_t **items, size_t *n, struct machine *m)
{
    if (!m->n_marks)
        return VS_PICKLE_FAIL(m, "no mark on the stack");
    size_t height = m->marks[--m->n_marks];
    *items = height ? m->stack + height : m->stack; /* the stack may not exist yet */
    *n = m->n_stack - height;
    m->n_stack = height;
    return VS_OK;
}

/* Appends items to a container; a value that passes through unknown code keeps only its trace. */
enum vs_status vs_pickle_append(struct machine *m, int32_t container, const int32_t *items,
                                size_t n)
{
    struct value *to = &m->values[container];
    for (size_t i = 0; i < n; i++)
        to->tensor_inside |= m->values[items[i]].tensor_inside;
    if (to->kind == OTHER || n == 0)
        return VS_OK;
    if (n > MAX_ITEMS - m->n_items)
        return VS_PICKLE_FAIL(m, "more than %d items in all containers", MAX_ITEMS);
    m->n_items += n;
    if (to->n + n > to->room) {
        size_t room = to->n + n < 2 * (size_t)to->room ? 2 * (size_t)to->room : to->n + n;
        int32_t *grown = vs_realloc(to->items, room, sizeof *grown);
        if (!grown)
            return VS_ERROR_MEMORY;
        to->items = grown;
        to->room = (uint32_t)room;
    }
    memcpy(to->items + to->n, items, n * sizeof *items);
    to->n += (uint32_t)n;
    return VS_OK;
}

bool vs_pickle_text_is(const struct machine *m, int32_t value, const char *text)
{
    const struct value *v = &m->values[value];
    return v->kind == STRING && v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}

bool vs_pickle_global_is(const struct machine *m, int32_t value, const char *module,
                         const char *name)
{
    const struct value *v = &m->values[value];
    return v->kind == GLOBAL && vs_pickle_text_is(m, v->items[0], module) &&
           vs_pickle_text_is(m, v->items[1], name);
}

struct vs_pickle_text vs_pickle_text_of(const struct machine *m, int32_t value)
{
    return (struct vs_pickle_text){m->values[value].text, m->values[value].n};
}

/* ---- Reading the program ------------------------------------------------------------------ */

static enum vs_status take(const uint8_t **bytes, struct machine *m, uint64_t n)
{
    if (n > m->n_bytes - m->at)
        return VS_PICKLE_FAIL(m, "the pickle ends in the middle of an instruction");
    *bytes = m->data + m->at;
    m->at += (size_t)n;
    return VS_OK;
}

static enum vs_status take_number(uint64_t *value, struct machine *m, size_t n)
{
    const uint8_t *bytes = NULL;
    *value = 0;
    enum vs_status status = take(&bytes, m, n);
    if (status != VS_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        *value |= (uint64_t)bytes[i] << (8 * i);
    return VS_OK;
}

/* A text whose length stands in front of it in n_length bytes. */
static enum vs_status push_text(struct machine *m, enum kind kind, size_t n_length)
{
    enum vs_status status;
    const uint8_t *bytes = NULL;
    struct value *value = NULL;
    uint64_t n;
    VS_TRY(take_number(&n, m, n_length));
    VS_TRY(take(&bytes, m, n));
    VS_TRY(vs_pickle_push_new(&value, m, kind));
    value->text = (const char *)bytes;
    value->n = (uint32_t)n;
fail:
    return status;
}

/* A text that ends in a newline. */
static enum vs_status take_line(int32_t *made, struct machine *m)
{
    const uint8_t *bytes = m->data + m->at;
    const uint8_t *end = memchr(bytes, '\n', m->n_bytes - m->at);
    if (!end)
        return VS_PICKLE_FAIL(m, "the pickle ends in the middle of a name");
    enum vs_status status = vs_pickle_new(made, m, STRING);
    if (status != VS_OK)
        return status;
    m->values[*made].text = (const char *)bytes;
    m->values[*made].n = (uint32_t)(end - bytes);
    m->at += (size_t)(end - bytes) + 1;
    return VS_OK;
}

static enum vs_status push_integer(struct machine *m, size_t n)
{
    enum vs_status status;
    uint64_t bits;
    struct value *value = NULL;
    VS_TRY(take_number(&bits, m, n));
    VS_TRY(vs_pickle_push_new(&value, m, INTEGER));
    value->integer = n == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits;
fail:
    return status;
}

/* LONG1: two's complement of any length; what 64 bits do not hold is no size and stays inert. */
static enum vs_status push_long(struct machine *m)
{
    enum vs_status status;
    uint64_t n, bits = 0;
    const uint8_t *bytes = NULL;
    struct value *value = NULL;
    VS_TRY(take_number(&n, m, 1));
    VS_TRY(take(&bytes, m, n));
    VS_TRY(vs_pickle_push_new(&value, m, n > 8 ? OTHER : INTEGER));
    if (n > 8)
        return VS_OK;
    for (size_t i = 0; i < n; i++)
        bits |= (uint64_t)bytes[i] << (8 * i);
    if (n && n < 8 && bytes[n - 1] & 0x80)
        bits |= UINT64_MAX << (8 * n);
    value->integer = (int64_t)bits;
fail:
    return status;
}

static enum vs_status push_boolean(struct machine *m, bool truth)
{
    struct value *value = NULL;
    enum vs_status status = vs_pickle_push_new(&value, m, BOOLEAN);
    if (status == VS_OK)
        value->integer = truth;
    return status;
}

static enum vs_status push_global(struct machine *m, int32_t module, int32_t name)
{
    enum vs_status status;
    int32_t parts[2] = {module, name};
    if (m->values[module].kind != STRING || m->values[name].kind != STRING)
        return VS_PICKLE_FAIL(m, "a global's name is no text");
    VS_TRY(vs_pickle_push_new(NULL, m, GLOBAL));
    VS_TRY(vs_pickle_append(m, m->stack[m->n_stack - 1], parts, 2));
fail:
    return status;
}

static enum vs_status push_tuple(struct machine *m, const int32_t *items, size_t n)
{
    enum vs_status status;
    int32_t made;
    VS_TRY(vs_pickle_new(&made, m, TUPLE));
    VS_TRY(vs_pickle_append(m, made, items, n));
    VS_TRY(vs_pickle_push(m, made));
fail:
    return status;
}

static enum vs_status push_short_tuple(struct machine *m, size_t n)
{
    if (m->n_stack - floor_of(m) < n)
        return VS_PICKLE_FAIL(m, "the stack is empty");
    m->n_stack -= n;
    return push_tuple(m, m->stack + m->n_stack, n);
}

static enum vs_status extend(struct machine *m, const int32_t *items, size_t n, bool pairs)
{
    int32_t container;
    enum vs_status status = vs_pickle_top(&container, m);
    if (status != VS_OK)
        return status;
    enum kind kind = (enum kind)m->values[container].kind;
    if (kind != OTHER && kind != (pairs ? DICT : LIST))
        return VS_PICKLE_FAIL(m, "items are added to a value that cannot hold them");
    if (pairs && n % 2)
        return VS_PICKLE_FAIL(m, "a key without a value");
    return vs_pickle_append(m, container, items, n);
}

static enum vs_status extend_marked(struct machine *m, bool pairs)
{
    const int32_t *items = NULL;
    size_t n = 0;
    enum vs_status status = pop_mark(&items, &n, m);
    return status == VS_OK ? extend(m, items, n, pairs) : status;
}

static enum vs_status extend_plain(struct machine *m, size_t n)
{
    if (m->n_stack - floor_of(m) < n + 1)
        return VS_PICKLE_FAIL(m, "the stack is empty");
    m->n_stack -= n;
    return extend(m, m->stack + m->n_stack, n, n == 2);
}

static enum vs_status memo_put(struct machine *m, uint64_t at)
{
    enum vs_status status;
    int32_t value = 0;
    VS_TRY(vs_pickle_top(&value, m));
    if (at >= MAX_MEMO)
        return VS_PICKLE_FAIL(m, "memo entry %ju; at most %d are kept", (uintmax_t)at, MAX_MEMO);
    if (at >= m->n_memo) {
        size_t n = at + 1 < 2 * m->n_memo ? 2 * m->n_memo : (size_t)at + 64;
        int32_t *grown = vs_realloc(m->memo, n, sizeof *grown);
        if (!grown)
            return VS_ERROR_MEMORY;
        for (size_t i = m->n_memo; i < n; i++)
            grown[i] = UNSET;
        m->memo = grown;
        m->n_memo = n;
    }
    m->n_memoized += m->memo[at] == UNSET;
    m->memo[at] = value;
fail:
    return status;
}

static enum vs_status memo_get(struct machine *m, size_t n_bytes)
{
    uint64_t at;
    enum vs_status status = take_number(&at, m, n_bytes);
    if (status != VS_OK)
        return status;
    if (at >= m->n_memo || m->memo[at] == UNSET)
        return VS_PICKLE_FAIL(m, "memo entry %ju was never stored", (uintmax_t)at);
    return vs_pickle_push(m, m->memo[at]);
}

/* ---- Running ------------------------------------------------------------------------------ */

static enum vs_status check_protocol(struct machine *m)
{
    uint64_t protocol;
    enum vs_status status = take_number(&protocol, m, 1);
    if (status == VS_OK && protocol > 5)
        return VS_PICKLE_FAIL(m, "pickle protocol %ju; at most 5 is read", (uintmax_t)protocol);
    return status;
}

static enum vs_status check_frame(struct machine *m)
{
    uint64_t n;
    enum vs_status status = take_number(&n, m, 8);
    if (status == VS_OK && n > m->n_bytes - m->at)
        return VS_PICKLE_FAIL(m, "a frame of %ju bytes ends past the pickle", (uintmax_t)n);
    return status;
}

static enum vs_status step_names(struct machine *m, uint8_t opcode)
{
    enum vs_status status;
    int32_t module = 0, name = 0;
    if (opcode == 'c') {
        VS_TRY(take_line(&module, m));
        VS_TRY(take_line(&name, m));
    } else {
        VS_TRY(vs_pickle_pop(&name, m));
        VS_TRY(vs_pickle_pop(&module, m));
    }
    return push_global(m, module, name);
fail:
    return status;
}

static enum vs_status step_stack(struct machine *m, uint8_t opcode)
{
    enum vs_status status;
    const int32_t *items = NULL;
    size_t n = 0;
    int32_t value = 0;
    switch (opcode) {
    case '(':
        if (m->n_marks >= MAX_STACK)
            return VS_PICKLE_FAIL(m, "more than %d marks", MAX_STACK);
        VS_TRY(vs_grow(&m->marks, m->n_marks, &m->marks_room, sizeof *m->marks));
        m->marks[m->n_marks++] = m->n_stack;
        return VS_OK;
    case '0': /* POP takes a mark, too */
        if (m->n_marks && m->n_stack == floor_of(m))
            return pop_mark(&items, &n, m);
        return vs_pickle_pop(&value, m);
    case '1':
        return pop_mark(&items, &n, m);
    case '2':
        VS_TRY(vs_pickle_top(&value, m));
        return vs_pickle_push(m, value);
    default: /* TUPLE */
        VS_TRY(pop_mark(&items, &n, m));
        return push_tuple(m, items, n);
    }
fail:
    return status;
}

static enum vs_status step(struct machine *m, uint8_t opcode)
{
    const uint8_t *bytes;
    uint64_t at;
    enum vs_status status;
    switch (opcode) {
    case 0x80:
        return check_protocol(m);
    case 0x95:
        return check_frame(m);
    case '.':
        m->stopped = true;
        return VS_OK;
    case '(':
    case '0':
    case '1':
    case '2':
    case 't':
        return step_stack(m, opcode);
    case 'N':
        return vs_pickle_push_new(NULL, m, NONE);
    case 0x88:
    case 0x89:
        return push_boolean(m, opcode == 0x88);
    case 'K':
        return push_integer(m, 1);
    case 'M':
        return push_integer(m, 2);
    case 'J':
        return push_integer(m, 4);
    case 0x8a:
        return push_long(m);
    case 'G': /* no float describes a tensor, so its value is not kept */
        status = take(&bytes, m, 8);
        return status == VS_OK ? vs_pickle_push_new(NULL, m, FLOAT) : status;
    case 'X':
    case 'T':
        return push_text(m, STRING, 4);
    case 0x8c:
    case 'U':
        return push_text(m, STRING, 1);
    case 'B':
        return push_text(m, BYTES, 4);
    case 'C':
        return push_text(m, BYTES, 1);
    case '}':
        return vs_pickle_push_new(NULL, m, DICT);
    case ']':
    case 0x8f:
        return vs_pickle_push_new(NULL, m, LIST);
    case ')':
        return vs_pickle_push_new(NULL, m, TUPLE);
    case 0x85:
    case 0x86:
    case 0x87:
        return push_short_tuple(m, opcode - 0x84u);
    case 'a':
        return extend_plain(m, 1);
    case 's':
        return extend_plain(m, 2);
    case 'e':
    case 0x90:
        return extend_marked(m, false);
    case 'u':
        return extend_marked(m, true);
    case 'q':
        status = take_number(&at, m, 1);
        return status == VS_OK ? memo_put(m, at) : status;
    case 'r':
        status = take_number(&at, m, 4);
        return status == VS_OK ? memo_put(m, at) : status;
    case 0x94:
        return memo_put(m, m->n_memoized);
    case 'h':
        return memo_get(m, 1);
    case 'j':
        return memo_get(m, 4);
    case 'c':
    case 0x93:
        return step_names(m, opcode);
    case 'Q':
        return vs_pickle_push_storage(m);
    case 'R':
        return vs_pickle_reduce(m);
    case 0x81:
        return vs_pickle_new_object(m);
    case 'b':
        return vs_pickle_build(m);
    default:
        return VS_PICKLE_FAIL(m, "opcode 0x%02x is not one that weights need; the file is refused",
                              opcode);
    }
}

static enum vs_status run(struct machine *m)
{
    while (!m->stopped) {
        const uint8_t *opcode = NULL;
        m->op_at = m->at;
        enum vs_status status = take(&opcode, m, 1);
        if (status == VS_OK)
            status = step(m, *opcode);
        if (status != VS_OK)
            return status;
    }
    return VS_OK;
}

enum vs_status vs_pickle_read(struct vs_pickle *pickle, const void *data, size_t n_bytes)
{
    struct machine m = {.data = data, .n_bytes = n_bytes};
    *pickle = (struct vs_pickle){0};
    enum vs_status status = run(&m);
    if (status == VS_OK)
        status = vs_pickle_finish(pickle, &m);
    for (size_t i = 0; i < m.n_values; i++) {
        enum kind kind = (enum kind)m.values[i].kind;
        if (kind == TUPLE || kind == LIST || kind == DICT || kind == GLOBAL)
            free(m.values[i].items);
    }
    free(m.values);
    free(m.stack);
    free(m.marks);
    free(m.memo);
    free(m.storages);
    free(m.tensors);
    if (status != VS_OK)
        vs_pickle_free(pickle);
    return status;
}

void vs_pickle_free(struct vs_pickle *pickle)
{
    free(pickle->tensors);
    free(pickle->inert);
    *pickle = (struct vs_pickle){0};
}
