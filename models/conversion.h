/* SPDX-License-Identifier: Apache-2.0
 *
 * conversion.h - model files written anew: in another container, other number formats, under other
 * names, one file or several.
 *
 * Everything is settled before the first byte: names, formats, sizes, which tensor goes into which
 * file. Then files are written from their first byte to the last, a slab of a tensor at a time. */
#ifndef VS_MODELS_CONVERSION_H
#define VS_MODELS_CONVERSION_H

#include "models/lora.h"

enum vs_target_names {
    VS_TARGET_WAN,       /* as Wan2.1's releases, prefixes of wrappers removed */
    VS_TARGET_DIFFUSERS, /* as the diffusers library; VS_ERROR_USAGE for an unknown network */
    VS_TARGET_AS_IS      /* as in the file */
};

struct vs_conversion_options {
    enum vs_container container;
    bool keep_dtype;     /* every tensor as it is */
    enum vs_dtype dtype; /* otherwise: F32, F16, BF16, Q8_0 or Q4_K */
    enum vs_target_names names;
    uint64_t shard_bytes; /* of tensors in a file at most, unless one alone is larger; 0: one file.
                             Not for torch */
    struct vs_lora_set *loras; /* made for all weights, or NULL; borrowed. A changed tensor whose
                                  format is kept gets that of vs_lora_dtype() */
};

/* Where a file goes. A fault of write ends the conversion and is passed on. */
struct vs_output {
    enum vs_status (*write)(void *user, const void *data, size_t n_bytes);
    void *user;
};

struct vs_conversion;

/* Settles what comes out of the tensors of all weights together. They are borrowed and must outlive
 * the conversion.
 *
 * With Q8_0 and Q4_K, blocks' matrices alone become blocks of numbers: attention, feed-forward and
 * the memory's projections. Norms, biases, modulation, embeddings and the head stay as they are.
 * Q4_K needs rows of whole 256; rows of whole 32, and the memory's gates, whose faults would add up
 * over a video, become Q8_0.
 *
 * VS_ERROR_USAGE for what a container cannot hold, VS_ERROR_MODEL for names that meet,
 * VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_conversion_create(struct vs_conversion **conversion,
                                             const struct vs_weights *const *weights,
                                             size_t n_weights,
                                             const struct vs_conversion_options *options);
void vs_conversion_free(struct vs_conversion *conversion);

size_t vs_conversion_files(const struct vs_conversion *conversion);
size_t vs_conversion_tensors(const struct vs_conversion *conversion);
uint64_t vs_conversion_bytes(const struct vs_conversion *conversion); /* of all tensors */

/* Tensors of a format, for a summary; their bytes to *n_bytes. */
size_t vs_conversion_count(const struct vs_conversion *conversion, enum vs_dtype dtype,
                           uint64_t *n_bytes);

/* Writes file i. VS_ERROR_MODEL for values that the format cannot hold, naming the tensor. */
VS_CHECK enum vs_status vs_conversion_write(struct vs_conversion *conversion, size_t i,
                                            const struct vs_output *output);

/* Text of the index that belongs to several safetensors; names[i]: of file i, without a folder. Freed
 * with free(); NULL: out of memory. */
char *vs_conversion_index(const struct vs_conversion *conversion, char *const *names);

#endif
