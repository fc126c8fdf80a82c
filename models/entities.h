/* SPDX-License-Identifier: Apache-2.0
 *
 * entities.h - HTML character references in prompts. */
#ifndef VS_MODELS_ENTITIES_H
#define VS_MODELS_ENTITIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VS_ENTITY_MAX_NAME = 8 };

/* Code point of the entity whose name, without & and ;, is the n bytes at name; 0 if there is none.
 * legacy: only names that count without the semicolon. */
uint32_t vs_entity_find(const char *name, size_t n, bool legacy);

/* Code point that &#number; stands for: U+FFFD for 0, surrogates and what is past Unicode,
 * Windows-1252 for 128..159, 0 for control and noncharacters, which are dropped. */
uint32_t vs_entity_number(uint32_t number);

#endif
