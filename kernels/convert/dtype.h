/* SPDX-License-Identifier: Apache-2.0
 *
 * dtype.h - the number formats of model files, and their values on the host.
 *
 * A format is a block of n_elements values in n_bytes; plain formats have blocks of one. */
#ifndef VS_KERNELS_CONVERT_DTYPE_H
#define VS_KERNELS_CONVERT_DTYPE_H

#include "cl/status.h"

enum vs_dtype {
    VS_F32,
    VS_F16,
    VS_BF16,
    VS_Q8_0, /* GGUF: 32 elements in 34 bytes, f16 scale, int8 */
    VS_Q4_0, /* GGUF: 32 elements in 18 bytes, f16 scale, 4-bit */
    VS_Q4_K, /* GGUF: 256 elements in 144 bytes, 6-bit scales and minima */
    VS_F64,
    VS_I64,
    VS_I32,
    VS_I16,
    VS_I8,
    VS_U8,
    VS_BOOL,
    VS_N_DTYPES
};

struct vs_dtype_info {
    const char *name; /* "F32", "BF16", "Q8_0" ... */
    size_t n_elements, n_bytes;
    bool weight; /* kernels can read it as a weight */
};

const struct vs_dtype_info *vs_dtype_info(enum vs_dtype dtype);

/* Formats of the KV cache: F32 and F16. VS_ERROR_RUNTIME for another. what: for the message. */
VS_CHECK enum vs_status vs_dtype_check_kv(enum vs_dtype dtype, const char *what);

/* Widens n elements (whole blocks) to float32. Denormal f32 and bf16 values become zero of the
 * same sign, as in the kernels (numerics rule R6); f16 denormals are normal floats and stay.
 * Integers are converted, F64 rounded to nearest. */
void vs_dtype_widen(float *out, const void *in, enum vs_dtype dtype, size_t n);

#endif
