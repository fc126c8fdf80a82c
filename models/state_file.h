/* SPDX-License-Identifier: Apache-2.0
 *
 * state_file.h - tensors of a run on disk: safetensors files that prove themselves whole.
 *
 * The last tensor, "sha256", holds the digest of every byte before it, so a file that was cut or
 * changed is told from a good one, and other readers of safetensors open it all the same. */
#ifndef VS_MODELS_STATE_FILE_H
#define VS_MODELS_STATE_FILE_H

#include "cl/buffer.h"
#include "models/weights.h"

enum { VS_STATE_MAX_NAME = 48 };

/* A tensor and where it lies: n_pieces pieces of piece_bytes each, in host memory or in buffers,
 * piece i in place order[i] (NULL: in place i). In buffers a piece has n_rows rows. Several buffers
 * hold some columns each, as many as their size says, those of the first first. All pointers are
 * borrowed. */
struct vs_state_tensor {
    char name[VS_STATE_MAX_NAME];
    enum vs_dtype dtype;
    size_t n_dims, shape[VS_MAX_DIMS];
    struct vs_buffer *const *buffers;
    size_t n_buffers; /* 0: in host memory */
    void *host;
    const int32_t *order;
    size_t n_pieces, n_rows, piece_bytes;
};

/* What stands beside the tensors. Borrowed. */
struct vs_state_field {
    const char *key, *value;
};

/* Hands the whole file to write(), in pieces of at most some MiB. Waits for the device. Returns
 * the fault of write(), if there is one. */
VS_CHECK enum vs_status vs_state_write(const struct vs_state_tensor *tensors, size_t n_tensors,
                                       const struct vs_state_field *fields, size_t n_fields,
                                       enum vs_status (*write)(const void *data, size_t n_bytes,
                                                               void *user),
                                       void *user);

/* Opens a file and proves its digest. VS_ERROR_MODEL names the file and says what is wrong. */
VS_CHECK enum vs_status vs_state_open(struct vs_weights **file, const char *path);

/* Brings a tensor of the file to where `tensor` says. VS_ERROR_MODEL unless name, format and shape
 * are the same. */
VS_CHECK enum vs_status vs_state_load(const struct vs_state_tensor *tensor,
                                      const struct vs_weights *file);

/* VS_ERROR_MODEL naming the file unless the field is there and has that value. */
VS_CHECK enum vs_status vs_state_expect(const struct vs_weights *file, const char *key,
                                        const char *value);

/* The field as a count of at most `most`. VS_ERROR_MODEL naming the file. */
VS_CHECK enum vs_status vs_state_count(size_t *value, const struct vs_weights *file,
                                       const char *key, size_t most);

#endif
