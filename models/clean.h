/* SPDX-License-Identifier: Apache-2.0
 *
 * clean.h - what a prompt goes through before it is cut into tokens.
 *
 * The transformer was trained on prompts repaired by the ftfy library, freed of HTML and with
 * white space collapsed; these are the rules of that treatment that need no guessing. */
#ifndef VS_MODELS_CLEAN_H
#define VS_MODELS_CLEAN_H

#include "cl/status.h"

/* *clean: the cleaned text, valid UTF-8, freed with free(). Bytes of text that are no UTF-8 become
 * U+FFFD each. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_clean(char **clean, const char *text);

#endif
