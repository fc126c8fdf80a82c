/* SPDX-License-Identifier: Apache-2.0
 *
 * sentencepiece.h - libsentencepiece for C: the one wrapper around its C++ classes.
 *
 * No exception passes this interface. Messages name the fault, not the file. */
#ifndef VS_MODELS_SENTENCEPIECE_H
#define VS_MODELS_SENTENCEPIECE_H

#include "cl/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vs_spm;

/* Loads a model from its n bytes, which vs_spiece_check() has passed; they are copied.
 * VS_ERROR_MODEL with the library's reason; VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_spm_create(struct vs_spm **spm, const void *data, size_t n);
void vs_spm_free(struct vs_spm *spm);

/* Number of pieces. */
size_t vs_spm_vocab(const struct vs_spm *spm);

/* Id of the piece that ends a text; -1 if the model has none. */
int vs_spm_eos(const struct vs_spm *spm);

/* The first ids of the pieces of text (n bytes of UTF-8), at most max of them. VS_ERROR_RUNTIME
 * with the library's reason; VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_spm_encode(const struct vs_spm *spm, const char *text, size_t n,
                                      size_t max, int32_t *ids, size_t *n_ids);

#ifdef __cplusplus
}
#endif

#endif
