/* SPDX-License-Identifier: Apache-2.0
 *
 * narrow.h - values written in the number formats of model files; the way back from dtype.h.
 *
 * Everything is IEEE float32 arithmetic in one written order or integer arithmetic, so equal values
 * give equal bytes on every machine. */
#ifndef VS_KERNELS_CONVERT_NARROW_H
#define VS_KERNELS_CONVERT_NARROW_H

#include "kernels/convert/dtype.h"

/* Widens as vs_dtype_widen() does, but keeps denormals: what a file says, bit for bit. */
void vs_dtype_read(float *out, const void *in, enum vs_dtype dtype, size_t n);

enum vs_narrow_fault {
    VS_NARROW_OK,
    VS_NARROW_RANGE,    /* a finite value beyond what the format can hold */
    VS_NARROW_NONFINITE /* an infinity or NaN, which blocks cannot hold; F16 and BF16 can */
};

/* Writes n values (whole blocks) as F32, F16, BF16, Q8_0 or Q4_K, rounding to nearest, half to
 * even. Q8_0: scale max|x| / 127, values rounded half away from zero; the bytes are those of the
 * reference implementation of GGUF. Distance from x at most 0.57 max|x| / 127 + 2^-18 in a block.
 * Q4_K: see vs_narrow_q4_k(). */
enum vs_narrow_fault vs_dtype_narrow(void *out, const float *in, enum vs_dtype dtype, size_t n);

/* One block of 256 values as Q4_K, 144 bytes. In each eight of 32, scale and minimum are searched
 * that give the least sum of squares, large values counting more, before both are rounded to 6 bits
 * of the block's. in is finite. */
enum vs_narrow_fault vs_narrow_q4_k(uint8_t *out, const float *in);

/* IEEE half of a float, rounded to nearest, half to even, and back. */
uint16_t vs_half_of(float value);
float vs_half_value(uint16_t half);

#endif
