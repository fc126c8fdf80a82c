/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.h - from a prompt to the ids of its text tokens.
 *
 * Cleaning (clean.h), then SentencePiece's unigram segmentation, then the id that ends a text.
 * Special words written in a prompt, such as </s>, are plain text. */
#ifndef VS_MODELS_TOKENIZER_H
#define VS_MODELS_TOKENIZER_H

#include "cl/status.h"

struct vs_tokenizer;

/* Opens a spiece.model and checks all of it. VS_ERROR_MODEL naming the file and the place;
 * VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_tokenizer_open(struct vs_tokenizer **tokenizer, const char *path);
void vs_tokenizer_free(struct vs_tokenizer *tokenizer);

/* Number of ids; all that come out are below it. */
size_t vs_tokenizer_vocab(const struct vs_tokenizer *tokenizer);

/* ids [*n_ids]: of the text (UTF-8), cut to text_len - 1, then the end. ids has room for text_len
 * of them, text_len > 0. VS_ERROR_RUNTIME, VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_tokenizer_encode(const struct vs_tokenizer *tokenizer,
                                            const char *text, size_t text_len, int32_t *ids,
                                            size_t *n_ids);

#endif
