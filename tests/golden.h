/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.h - golden cases: a folder with config.json and data.safetensors (in.*, out.*), run
 * through the same code as the program.
 *
 * A handler reads parameters and inputs, runs the operation and hands over every output. Faults
 * end the case (the handler does not return from the call), and all memory and buffers asked for
 * here are released by the runner, so handlers hold no error paths. */
#ifndef VS_TESTS_GOLDEN_H
#define VS_TESTS_GOLDEN_H

#include <jansson.h>

#include "cl/buffer.h"
#include "kernels/convert/convert.h"
#include "models/weights.h"

struct golden {
    const char *root;           /* folder of the manifest */
    const char *name;           /* "ops/rmsnorm" */
    json_t *config;             /* config.json of the case */
    struct vs_weights *data;    /* data.safetensors, or NULL when the case has none */
    struct vs_context *context; /* opened device */
    struct golden_private *private;
};

struct golden_op {
    const char *op;
    void (*run)(struct golden *);
};

/* Ends the case as failed unless status is VS_OK; or always, with a reason. */
void golden_ok(struct golden *golden, enum vs_status status);
_Noreturn void golden_fail(struct golden *golden, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Parameters of config.json; paths of keys are dotted ("model.rope.frame"). The plain forms demand
 * the key, the _or forms have a default (also for null). */
json_t *golden_json(struct golden *golden, const char *key); /* NULL when absent */
size_t golden_size(struct golden *golden, const char *key);
double golden_number_or(struct golden *golden, const char *key, double otherwise);
const char *golden_text(struct golden *golden, const char *key);
const char *golden_text_or(struct golden *golden, const char *key, const char *otherwise);
size_t golden_list_length(struct golden *golden, const char *key);
double golden_list_number(struct golden *golden, const char *key, size_t i);

/* Path of a file: of the case's folder, or of the root. */
const char *golden_path(struct golden *golden, const char *file);
const char *golden_root_path(struct golden *golden, const char *file);

/* Inputs by full name ("in.x"). */
bool golden_has(struct golden *golden, const char *name);
const struct vs_tensor *golden_tensor(struct golden *golden, const char *name);
size_t golden_dim(struct golden *golden, const char *name, size_t i);
size_t golden_count(struct golden *golden, const char *name); /* elements */
float *golden_floats(struct golden *golden, const char *name);

/* Memory and buffers of the case. */
void *golden_alloc(struct golden *golden, size_t n_bytes);
struct vs_span golden_upload(struct golden *golden, const char *name); /* an input */
struct vs_span golden_device(struct golden *golden, const float *host, size_t n); /* NULL: NaN */
float *golden_read(struct golden *golden, struct vs_span span, size_t n);
struct vs_buffer *golden_int_buffer(struct golden *golden, const int32_t *host, size_t n);

/* An input as weight matrix [dim 0, all others], in the format of the file. */
const struct vs_weight *golden_weight(struct golden *golden, const char *name);

/* Hands over an output by full name ("out.y") for comparison at the case's tolerance. Every out.*
 * tensor must be handed over in full. */
void golden_compare(struct golden *golden, const char *name, const float *got, size_t n);
void golden_compare_span(struct golden *golden, const char *name, struct vs_span got, size_t n);
void golden_compare_ints(struct golden *golden, const char *name, const int64_t *got, size_t n);
void golden_compare_bytes(struct golden *golden, const char *name, const uint8_t *got, size_t n);

/* Calls release(object) at the end of the case. */
void golden_defer(struct golden *golden, void (*release)(void *), void *object);

/* Handlers of each room, ended by {NULL, NULL}. */
extern const struct golden_op golden_ops_dit[];
extern const struct golden_op golden_ops_generate[];
extern const struct golden_op golden_ops_norm[];
extern const struct golden_op golden_ops_weights[];
extern const struct golden_op golden_ops_gemm[];
extern const struct golden_op golden_ops_pointwise[];
extern const struct golden_op golden_ops_conv[];
extern const struct golden_op golden_ops_vae[];
extern const struct golden_op golden_ops_text[];
extern const struct golden_op golden_ops_attention[];
extern const struct golden_op golden_ops_memory[];
extern const struct golden_op golden_ops_rope[];

#endif
