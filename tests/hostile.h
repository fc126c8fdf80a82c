/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile.h - how tests judge model files that must be refused: VS_ERROR_MODEL, and a message that
 * names the file and the reason.
 *
 * The bytes stand in a block of exactly their size, so that a read past the end is caught by
 * AddressSanitizer and by valgrind. */
#ifndef VS_TESTS_HOSTILE_H
#define VS_TESTS_HOSTILE_H

#include "models/weights_internal.h"
#include "tests/file_builder.h"

/* Opens and frees a file of these bytes. */
enum vs_status hostile_try(const uint8_t *data, size_t n);

/* The bytes must be refused with a message that holds why. Frees them. */
void hostile_refused(struct bytes *bytes, const char *why);

/* The bytes are accepted, every shorter version is refused, and every version with one byte
 * changed is accepted or refused, and nothing else happens. */
void hostile_damage(const struct bytes *bytes);

#endif
