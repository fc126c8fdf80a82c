/* SPDX-License-Identifier: Apache-2.0
 *
 * spiece.h - is a SentencePiece model file safe to hand to the library?
 *
 * libsentencepiece trusts the trie inside a model and recurses over its pieces; what it takes for
 * granted is proved here first. */
#ifndef VS_MODELS_SPIECE_H
#define VS_MODELS_SPIECE_H

#include "cl/status.h"

/* VS_ERROR_MODEL unless the *n bytes are a whole unigram model: a well-formed protocol buffer with
 * trainer and normalizer settings; pieces that are valid UTF-8, with known types and finite
 * scores; maps of characters whose trie and texts stay inside their bytes. The message names the
 * offset, not the file. VS_ERROR_MEMORY.
 * Takes the model's self-test out of data and *n: the library would print its texts. */
VS_CHECK enum vs_status vs_spiece_check(void *data, size_t *n);

#endif
