/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256.h - SHA-256 (FIPS 180-4), for fingerprints of models and results. */
#ifndef VS_CL_SHA256_H
#define VS_CL_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct vs_sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
};

void vs_sha256_init(struct vs_sha256 *hash);
void vs_sha256_update(struct vs_sha256 *hash, const void *data, size_t n_bytes);
/* A string with its NUL, so that neighbours do not run together. */
void vs_sha256_text(struct vs_sha256 *hash, const char *text);
/* Writes 64 hexadecimal digits and a NUL; the hash is finished afterwards. */
void vs_sha256_hex(struct vs_sha256 *hash, char hex[65]);

/* Hashes n floats after canonicalisation: -0 becomes +0 and any NaN 0x7fc00000, as results of
 * kernels are compared (kernels/NUMERICS.md). */
void vs_sha256_floats(struct vs_sha256 *hash, const float *values, size_t n);

#endif
