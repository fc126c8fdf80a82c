/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.c - inputs, outputs and comparison of one golden case. */
#include "tests/golden.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "tests/golden_private.h"

void golden_fail(struct golden *golden, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(golden->private->reason, sizeof golden->private->reason, format, args);
    va_end(args);
    longjmp(golden->private->leave, 1);
}

void golden_ok(struct golden *golden, enum vs_status status)
{
    if (status != VS_OK)
        golden_fail(golden, "status %d: %s", (int)status, vs_error_message());
}

void golden_defer(struct golden *golden, void (*release)(void *), void *object)
{
    struct golden_release *entry = malloc(sizeof *entry);
    if (!entry)
        golden_fail(golden, "out of memory");
    *entry = (struct golden_release){release, object, golden->private->releases};
    golden->private->releases = entry;
}

void *golden_alloc(struct golden *golden, size_t n_bytes)
{
    void *memory = calloc(n_bytes ? n_bytes : 1, 1);
    if (!memory)
        golden_fail(golden, "out of memory (%zu bytes)", n_bytes);
    golden_defer(golden, free, memory);
    return memory;
}

/* ---- Parameters --------------------------------------------------------------------------- */

json_t *golden_json(struct golden *golden, const char *key)
{
    json_t *value = golden->config;
    char part[128];
    while (*key) {
        size_t n = strcspn(key, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, key);
        value = json_object_get(value, part);
        key += n + (key[n] == '.');
    }
    return json_is_null(value) ? NULL : value;
}

static json_t *demand(struct golden *golden, const char *key)
{
    json_t *value = golden_json(golden, key);
    if (!value)
        golden_fail(golden, "config.json: '%s' is missing", key);
    return value;
}

size_t golden_size(struct golden *golden, const char *key)
{
    json_t *value = demand(golden, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        golden_fail(golden, "config.json: '%s' is not a size", key);
    return (size_t)json_integer_value(value);
}

double golden_number_or(struct golden *golden, const char *key, double otherwise)
{
    json_t *value = golden_json(golden, key);
    return value ? json_number_value(value) : otherwise;
}

const char *golden_text_or(struct golden *golden, const char *key, const char *otherwise)
{
    json_t *value = golden_json(golden, key);
    return json_is_string(value) ? json_string_value(value) : otherwise;
}

const char *golden_text(struct golden *golden, const char *key)
{
    const char *text = json_string_value(demand(golden, key));
    if (!text)
        golden_fail(golden, "config.json: '%s' is not a string", key);
    return text;
}

size_t golden_list_length(struct golden *golden, const char *key)
{
    return json_array_size(demand(golden, key));
}

double golden_list_number(struct golden *golden, const char *key, size_t i)
{
    return json_number_value(json_array_get(demand(golden, key), i));
}

static const char *join(struct golden *golden, const char *format, const char *a, const char *b,
                        const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 3;
    char *path = golden_alloc(golden, n);
    snprintf(path, n, format, a, b, c);
    return path;
}

const char *golden_path(struct golden *golden, const char *file)
{
    return join(golden, "%s/%s/%s", golden->root, golden->name, file);
}

const char *golden_root_path(struct golden *golden, const char *file)
{
    return join(golden, "%s/%s%s", golden->root, file, "");
}

/* ---- Inputs ------------------------------------------------------------------------------- */

/* Names are looked up as they stand in the file: "in.model.x" must not lose a prefix. */
static const struct vs_tensor *lookup(struct golden *golden, const char *name, size_t *index)
{
    size_t n = golden->data ? vs_weights_count(golden->data) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct vs_tensor *tensor = vs_weights_at(golden->data, i);
        if (!strcmp(tensor->raw_name, name)) {
            if (index)
                *index = i;
            return tensor;
        }
    }
    return NULL;
}

bool golden_has(struct golden *golden, const char *name)
{
    return lookup(golden, name, NULL) != NULL;
}

const struct vs_tensor *golden_tensor(struct golden *golden, const char *name)
{
    const struct vs_tensor *tensor = lookup(golden, name, NULL);
    if (!tensor)
        golden_fail(golden, "data.safetensors: tensor '%s' is missing", name);
    return tensor;
}

size_t golden_dim(struct golden *golden, const char *name, size_t i)
{
    const struct vs_tensor *tensor = golden_tensor(golden, name);
    if (i >= tensor->n_dims)
        golden_fail(golden, "tensor '%s' has only %zu dimensions", name, tensor->n_dims);
    return tensor->shape[i];
}

size_t golden_count(struct golden *golden, const char *name)
{
    return golden_tensor(golden, name)->n_elements;
}

float *golden_floats(struct golden *golden, const char *name)
{
    const struct vs_tensor *tensor = golden_tensor(golden, name);
    float *values = golden_alloc(golden, tensor->n_elements * sizeof *values);
    vs_dtype_widen(values, tensor->data, tensor->dtype, tensor->n_elements);
    return values;
}

static void release_buffer(void *buffer)
{
    vs_buffer_free(buffer);
}

struct vs_span golden_device(struct golden *golden, const float *host, size_t n)
{
    struct vs_buffer *buffer;
    if (!host) {
        float *nans = golden_alloc(golden, n * sizeof *nans);
        for (size_t i = 0; i < n; i++)
            nans[i] = NAN;
        host = nans;
    }
    golden_ok(golden, vs_floats_create(&buffer, golden->context, host, n));
    golden_defer(golden, release_buffer, buffer);
    return vs_span_of(buffer);
}

struct vs_span golden_upload(struct golden *golden, const char *name)
{
    return golden_device(golden, golden_floats(golden, name), golden_count(golden, name));
}

struct vs_buffer *golden_int_buffer(struct golden *golden, const int32_t *host, size_t n)
{
    struct vs_buffer *buffer;
    golden_ok(golden, vs_buffer_create(&buffer, golden->context, n * sizeof *host));
    golden_defer(golden, release_buffer, buffer);
    golden_ok(golden, vs_buffer_write(buffer, 0, host, n * sizeof *host));
    return buffer;
}

float *golden_read(struct golden *golden, struct vs_span span, size_t n)
{
    float *values = golden_alloc(golden, n * sizeof *values);
    golden_ok(golden, vs_buffer_read(span.buffer, span.offset * sizeof *values, values,
                                     n * sizeof *values));
    return values;
}

/* ---- Outputs ------------------------------------------------------------------------------ */

static double value_at(const struct vs_tensor *tensor, size_t i)
{
    switch (tensor->dtype) {
    case VS_F32:
        return (double)((const float *)tensor->data)[i];
    case VS_F64:
        return ((const double *)tensor->data)[i];
    case VS_I64:
        return (double)((const int64_t *)tensor->data)[i];
    case VS_I32:
        return ((const int32_t *)tensor->data)[i];
    case VS_U8:
    case VS_BOOL:
        return ((const uint8_t *)tensor->data)[i];
    default:
        return NAN;
    }
}

static void compare(struct golden *golden, const char *name, const void *got, size_t n,
                    double (*get)(const void *, size_t))
{
    struct golden_private *private = golden->private;
    size_t index;
    const struct vs_tensor *want = lookup(golden, name, &index);
    if (!want)
        golden_fail(golden, "the case holds no tensor '%s'", name);
    if (want->n_elements != n)
        golden_fail(golden, "%s: %zu values where %zu are expected", name, n, want->n_elements);
    json_t *tolerance = json_object_get(json_object_get(golden->config, "tolerance"), name);
    if (!tolerance)
        tolerance = json_object_get(private->tolerance, name);
    double atol = json_number_value(json_object_get(tolerance, "atol"));
    double share_off = json_number_value(json_object_get(tolerance, "share_off"));
    bool integral = want->dtype != VS_F32 && want->dtype != VS_F64;

    size_t n_off = 0, first_off = 0, n_far = 0;
    double largest = 0, max_abs = 0;
    for (size_t i = 0; i < n; i++) {
        double expected = value_at(want, i), difference = fabs(get(got, i) - expected);
        if (get(got, i) == expected)
            difference = 0; /* equal infinities */
        if (!(difference <= atol) && !n_far++)
            first_off = i;
        if (difference != 0)
            n_off++;
        if (!(difference <= max_abs))
            max_abs = difference; /* keeps NaN */
        if (fabs(expected) > largest)
            largest = fabs(expected);
    }
    private->compared[index] = true;
    if (!(max_abs <= private->max_abs))
        private->max_abs = max_abs;
    double relative = max_abs != 0 ? max_abs / (largest > 0 ? largest : 1) : 0;
    if (!(relative <= private->max_rel))
        private->max_rel = relative;
    bool too_many = integral && share_off > 0 && (double)n_off > share_off * (double)n;
    if ((n_far || too_many) && !private->failed) {
        private->failed = true;
        if (n_far)
            snprintf(private->reason, sizeof private->reason,
                     "%s: %zu of %zu values are off by more than %g; the first at %zu: %.9g, "
                     "expected %.9g",
                     name, n_far, n, atol, first_off, get(got, first_off),
                     value_at(want, first_off));
        else
            snprintf(private->reason, sizeof private->reason,
                     "%s: %zu of %zu values differ, more than a share of %g", name, n_off, n,
                     share_off);
    }
}

static double get_float(const void *values, size_t i)
{
    return (double)((const float *)values)[i];
}

static double get_int(const void *values, size_t i)
{
    return (double)((const int64_t *)values)[i];
}

static double get_byte(const void *values, size_t i)
{
    return ((const uint8_t *)values)[i];
}

void golden_compare(struct golden *golden, const char *name, const float *got, size_t n)
{
    compare(golden, name, got, n, get_float);
}

void golden_compare_span(struct golden *golden, const char *name, struct vs_span got, size_t n)
{
    compare(golden, name, golden_read(golden, got, n), n, get_float);
}

void golden_compare_ints(struct golden *golden, const char *name, const int64_t *got, size_t n)
{
    compare(golden, name, got, n, get_int);
}

void golden_compare_bytes(struct golden *golden, const char *name, const uint8_t *got, size_t n)
{
    compare(golden, name, got, n, get_byte);
}
