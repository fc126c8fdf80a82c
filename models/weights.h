/* SPDX-License-Identifier: Apache-2.0
 *
 * weights.h - tensors of a model file, whatever its container.
 *
 * vs_weights_open() recognises safetensors (single, or sharded through *.index.json), torch zip
 * archives and GGUF v2/v3 (single, or split) by content, checks every size and offset, and maps the
 * data; nothing in a file is executed and nothing is read before its range is proved to lie inside
 * the file. */
#ifndef VS_MODELS_WEIGHTS_H
#define VS_MODELS_WEIGHTS_H

#include "kernels/convert/dtype.h"

enum { VS_MAX_DIMS = 8 };

enum vs_container { VS_SAFETENSORS, VS_TORCH, VS_GGUF };

/* One tensor of a file. All pointers are borrowed from the vs_weights it came from. */
struct vs_tensor {
    const char *name;     /* as the release names it: wrappers' prefixes removed */
    const char *raw_name; /* as it stands in the file */
    const char *file;     /* path of the file (shard) it lies in */
    enum vs_dtype dtype;
    size_t n_dims;
    size_t shape[VS_MAX_DIMS]; /* outermost first */
    size_t n_elements, n_bytes;
    uint64_t offset;  /* of the data from the start of the file */
    const void *data; /* n_bytes, row-major; in the map, or a copy where strides demanded one. Files
                         do not promise alignment: load through memcpy or vs_dtype_widen() */
};

struct vs_weights;

/* Opens path. VS_ERROR_MODEL with file, offset and reason; VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_weights_open(struct vs_weights **weights, const char *path);
void vs_weights_free(struct vs_weights *weights);

enum vs_container vs_weights_container(const struct vs_weights *weights);
const char *vs_weights_path(const struct vs_weights *weights);
size_t vs_weights_count(const struct vs_weights *weights);
const struct vs_tensor *vs_weights_at(const struct vs_weights *weights, size_t i);

/* The tensor of that (release) name, or NULL. */
const struct vs_tensor *vs_weights_find(const struct vs_weights *weights, const char *name);

/* Lets go of the memory that holds a mapped tensor; it is read from the file again when needed. For
 * those who go through a file once. */
void vs_weights_release(const struct vs_weights *weights, const struct vs_tensor *tensor);

/* Bytes of tensors that lie in memory of the weights' own, not in the files' pages. */
uint64_t vs_weights_copied_bytes(const struct vs_weights *weights);

/* Text of the file's metadata entry (safetensors __metadata__, GGUF string keys), or NULL. */
const char *vs_weights_metadata(const struct vs_weights *weights, const char *key);

/* Entries of that metadata in the file's order, for listings; texts are borrowed. */
size_t vs_weights_metadata_count(const struct vs_weights *weights);
void vs_weights_metadata_at(const char **key, const char **value,
                            const struct vs_weights *weights, size_t i);

/* "[1536, 16, 1, 2, 2]" */
void vs_shape_format(char *text, size_t n_text, size_t n_dims, const size_t *shape);

/* The tensor of that name with exactly these dimensions. In GGUF files, which drop or fold
 * dimensions (patch embeddings), neighbouring ones of three or more may stand multiplied together.
 * VS_ERROR_MODEL naming file, tensor, the shape found and the shape wanted. */
VS_CHECK enum vs_status vs_weights_require(const struct vs_tensor **tensor,
                                           const struct vs_weights *weights, const char *name,
                                           size_t n_dims, const size_t *shape);

#endif
