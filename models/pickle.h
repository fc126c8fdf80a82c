/* SPDX-License-Identifier: Apache-2.0
 *
 * pickle.h - tensors described by the pickle inside a torch archive.
 *
 * A pickle is a program for a stack machine that may name any function of Python to be called.
 * This reader is such a machine without the calls: it knows the few names that describe tensors,
 * and every other one becomes an inert value. Nothing is ever run. */
#ifndef VS_MODELS_PICKLE_H
#define VS_MODELS_PICKLE_H

#include "models/weights.h"

/* A piece of the pickle's own bytes; no NUL at the end. */
struct vs_pickle_text {
    const char *text;
    size_t n;
};

struct vs_pickle_tensor {
    struct vs_pickle_text name;
    struct vs_pickle_text key; /* of the archive's entry that holds the storage */
    enum vs_dtype dtype;
    uint64_t n_storage; /* elements of the storage */
    uint64_t offset;    /* of the first element in the storage, in elements */
    size_t n_dims;
    size_t shape[VS_MAX_DIMS], stride[VS_MAX_DIMS]; /* in elements */
};

/* An entry of the dictionary that is an object of unknown code, and no tensor depends on it. */
struct vs_pickle_inert {
    struct vs_pickle_text name, module, function;
};

struct vs_pickle {
    struct vs_pickle_tensor *tensors;
    struct vs_pickle_inert *inert;
    size_t n_tensors, tensors_room, n_inert, inert_room;
};

/* Reads the dictionary of tensors of a pickle: the outermost one, or the one it holds under
 * "generator_ema", "generator", "model", "state_dict" or "generator_lora", the first of these that
 * holds tensors. A tensor alone is named "tensor". Values that are no tensors are passed over. Texts
 * are borrowed from data. VS_ERROR_MODEL with the offset, also for a tensor that depends on unknown code;
 * VS_ERROR_MEMORY. Time and memory are bounded by n_bytes and by fixed limits. */
VS_CHECK enum vs_status vs_pickle_read(struct vs_pickle *pickle, const void *data, size_t n_bytes);

void vs_pickle_free(struct vs_pickle *pickle);

#endif
