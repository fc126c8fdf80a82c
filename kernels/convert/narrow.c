/* SPDX-License-Identifier: Apache-2.0
 *
 * narrow.c - float32 to F16, BF16 and Q8_0, and files' values without loss. */
#include "kernels/convert/narrow.h"

#include <assert.h>
#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- Files' values ------------------------------------------------------------------------ */

void vs_dtype_read(float *out, const void *in, enum vs_dtype dtype, size_t n)
{
    const uint8_t *bytes = in;
    if (dtype == VS_F32) {
        memcpy(out, in, n * sizeof *out);
    } else if (dtype == VS_BF16) {
        for (size_t i = 0; i < n; i++) {
            uint16_t upper;
            memcpy(&upper, bytes + 2 * i, sizeof upper);
            uint32_t bits = (uint32_t)upper << 16;
            memcpy(out + i, &bits, sizeof bits);
        }
    } else {
        vs_dtype_widen(out, in, dtype, n);
    }
}

/* ---- Plain formats ------------------------------------------------------------------------ */

/* value / 2^shift, rounded to nearest, half to even; shift from 1 to 31. */
static uint32_t shift_rounded(uint32_t value, unsigned shift)
{
    return (value + (1u << (shift - 1)) - 1 + (value >> shift & 1)) >> shift;
}

uint16_t vs_half_of(float value)
{
    uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu;
    uint32_t sign = bits >> 16 & 0x8000u, exponent = magnitude >> 23;
    if (magnitude > 0x7f800000u) /* NaN, made quiet */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* rounds to 2^16 or is more */
        return (uint16_t)(sign | 0x7c00u);
    if (exponent >= 113) /* a carry out of the mantissa goes into the exponent, as it should */
        return (uint16_t)(sign | shift_rounded(magnitude - (112u << 23), 13));
    /* A half without the implicit bit counts 2^-24. */
    if (exponent < 102)
        return (uint16_t)sign;
    uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    return (uint16_t)(sign | shift_rounded(mantissa, 126 - exponent));
}

float vs_half_value(uint16_t half)
{
    float value;
    vs_dtype_widen(&value, &half, VS_F16, 1);
    return value;
}

static uint16_t bfloat_of(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)(((uint64_t)bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static bool is_finite(float value)
{
    return (bits_of(value) & 0x7f800000u) != 0x7f800000u;
}

static enum vs_narrow_fault narrow_plain(uint8_t *out, const float *in, enum vs_dtype dtype,
                                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = dtype == VS_F16 ? vs_half_of(in[i]) : bfloat_of(in[i]);
        uint16_t infinity = dtype == VS_F16 ? 0x7c00u : 0x7f80u;
        if ((bits & 0x7fffu) == infinity && is_finite(in[i]))
            return VS_NARROW_RANGE;
        memcpy(out + 2 * i, &bits, sizeof bits);
    }
    return VS_NARROW_OK;
}

/* ---- Blocks ------------------------------------------------------------------------------- */

static enum vs_narrow_fault narrow_q8_0(uint8_t *out, const float *in)
{
    float most = 0;
    for (size_t i = 0; i < 32; i++) {
        float magnitude = in[i] < 0 ? -in[i] : in[i];
        most = magnitude > most ? magnitude : most;
    }
    float d = most / 127.0f;
    uint16_t half = vs_half_of(d);
    if (half == 0x7c00u)
        return VS_NARROW_RANGE;
    /* Where the scale is too small for a half every value is zero, and 1/d might be infinite. */
    float inverse = half ? 1.0f / d : 0;
    memcpy(out, &half, sizeof half);
    for (size_t i = 0; i < 32; i++)
        out[2 + i] = (uint8_t)(int8_t)__builtin_roundf(in[i] * inverse);
    return VS_NARROW_OK;
}

enum vs_narrow_fault vs_dtype_narrow(void *out, const float *in, enum vs_dtype dtype, size_t n)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    enum vs_narrow_fault fault = VS_NARROW_OK;
    uint8_t *bytes = out;
    assert(n % info->n_elements == 0);
    assert(dtype <= VS_Q8_0 || dtype == VS_Q4_K);
    if (dtype == VS_F32)
        memcpy(out, in, n * sizeof *in);
    if (dtype == VS_F16 || dtype == VS_BF16)
        return narrow_plain(out, in, dtype, n);
    if (info->n_elements == 1)
        return VS_NARROW_OK;
    for (size_t i = 0; i < n; i++)
        if (!is_finite(in[i]))
            return VS_NARROW_NONFINITE;
    for (size_t i = 0; i < n && fault == VS_NARROW_OK; i += info->n_elements) {
        fault = dtype == VS_Q8_0 ? narrow_q8_0(bytes, in + i) : vs_narrow_q4_k(bytes, in + i);
        bytes += info->n_bytes;
    }
    return fault;
}
