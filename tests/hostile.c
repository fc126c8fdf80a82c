/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile.c - judging of files that must be refused. */
#include "tests/hostile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum vs_status hostile_try(const uint8_t *data, size_t n)
{
    struct vs_weights *weights = NULL;
    uint8_t *exact = malloc(n ? n : 1);
    ck_assert(exact);
    memcpy(exact, data, n);
    enum vs_status status = vs_weights_open_memory(&weights, "bad.file", exact, n);
    if (status == VS_OK)
        vs_weights_free(weights);
    free(exact);
    return status;
}

void hostile_refused(struct bytes *bytes, const char *why)
{
    enum vs_status status = hostile_try(bytes->data, bytes->n);
    ck_assert_msg(status == VS_ERROR_MODEL, "status %d where '%s' was to be found", (int)status,
                  why);
    ck_assert_msg(strncmp(vs_error_message(), "bad.file: ", 10) == 0 &&
                      strstr(vs_error_message(), why),
                  "'%s' does not say '%s'", vs_error_message(), why);
    bytes_free(bytes);
}

void hostile_damage(const struct bytes *bytes)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    ck_assert_msg(hostile_try(bytes->data, bytes->n) == VS_OK, "%s", vs_error_message());
    for (size_t n = 0; n < bytes->n; n++)
        if (hostile_try(bytes->data, n) != VS_ERROR_MODEL)
            ck_abort_msg("the first %zu of %zu bytes were accepted", n, bytes->n);
    for (size_t i = 0; i < bytes->n; i++)
        for (size_t f = 0; f < sizeof flips; f++) {
            bytes->data[i] ^= flips[f];
            enum vs_status status = hostile_try(bytes->data, bytes->n);
            if (status != VS_OK && status != VS_ERROR_MODEL)
                ck_abort_msg("byte %zu: status %d", i, (int)status);
            bytes->data[i] ^= flips[f];
        }
}
