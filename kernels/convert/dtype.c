/* SPDX-License-Identifier: Apache-2.0
 *
 * dtype.c - table of number formats and their widening to float32 on the host.
 *
 * Inputs come straight from mapped files and may lie at any address, so every load goes through
 * memcpy. Quantised values are formed in float32 with separate multiplications and subtractions:
 * the kernels form them the same way, and the bits agree. */
#include "kernels/convert/dtype.h"

#include <assert.h>
#include <string.h>

static const struct vs_dtype_info infos[VS_N_DTYPES] = {
    [VS_F32] = {"F32", 1, 4, true},     [VS_F16] = {"F16", 1, 2, true},
    [VS_BF16] = {"BF16", 1, 2, true},   [VS_Q8_0] = {"Q8_0", 32, 34, true},
    [VS_Q4_0] = {"Q4_0", 32, 18, true}, [VS_Q4_K] = {"Q4_K", 256, 144, true},
    [VS_F64] = {"F64", 1, 8, false},    [VS_I64] = {"I64", 1, 8, false},
    [VS_I32] = {"I32", 1, 4, false},    [VS_I16] = {"I16", 1, 2, false},
    [VS_I8] = {"I8", 1, 1, false},      [VS_U8] = {"U8", 1, 1, false},
    [VS_BOOL] = {"BOOL", 1, 1, false},
};

const struct vs_dtype_info *vs_dtype_info(enum vs_dtype dtype)
{
    assert((unsigned)dtype < VS_N_DTYPES);
    return &infos[dtype];
}

static uint16_t load16(const uint8_t *in)
{
    uint16_t bits;
    memcpy(&bits, in, sizeof bits);
    return bits;
}

/* float of these bits; denormals become zero of the same sign. */
static float from_bits(uint32_t bits)
{
    if ((bits & 0x7f800000u) == 0)
        bits &= 0x80000000u;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u, mantissa = half & 0x3ffu;
    if (exponent == 0) {
        /* 2^-24 units: exact in float32, and normal there. */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
    return from_bits(sign | wide << 23 | mantissa << 13);
}

static void widen_q8_0(float *out, const uint8_t *block)
{
    float d = from_f16(load16(block));
    for (size_t j = 0; j < 32; j++)
        out[j] = (float)(int8_t)block[2 + j] * d;
}

static void widen_q4_0(float *out, const uint8_t *block)
{
    float d = from_f16(load16(block));
    for (size_t j = 0; j < 16; j++) {
        uint8_t pair = block[2 + j];
        out[j] = (float)((int)(pair & 15u) - 8) * d;
        out[j + 16] = (float)((int)(pair >> 4) - 8) * d;
    }
}

static void widen_q4_k(float *out, const uint8_t *block)
{
    float d = from_f16(load16(block)), dmin = from_f16(load16(block + 2));
    const uint8_t *s = block + 4, *quants = block + 16;
    for (size_t j = 0; j < 8; j++) {
        unsigned sc, mn;
        if (j < 4) {
            sc = s[j] & 63u;
            mn = s[j + 4] & 63u;
        } else {
            sc = (s[j + 4] & 15u) | (unsigned)(s[j - 4] >> 6) << 4;
            mn = (unsigned)(s[j + 4] >> 4) | (unsigned)(s[j] >> 6) << 4;
        }
        float scale = d * (float)sc, minimum = dmin * (float)mn;
        const uint8_t *pairs = quants + 32 * (j / 2);
        unsigned shift = j % 2 ? 4 : 0;
        for (size_t i = 0; i < 32; i++) {
            float scaled = scale * (float)((pairs[i] >> shift) & 15u);
            out[32 * j + i] = scaled - minimum;
        }
    }
}

/* Value of one element of a plain format. */
static float widen_one(const uint8_t *in, enum vs_dtype dtype)
{
    switch (dtype) {
    case VS_F32: {
        uint32_t bits;
        memcpy(&bits, in, sizeof bits);
        return from_bits(bits);
    }
    case VS_F16:
        return from_f16(load16(in));
    case VS_BF16:
        return from_bits((uint32_t)load16(in) << 16);
    case VS_F64: {
        double wide;
        memcpy(&wide, in, sizeof wide);
        float value = (float)wide;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        return from_bits(bits);
    }
    case VS_I64: {
        int64_t value;
        memcpy(&value, in, sizeof value);
        return (float)value;
    }
    case VS_I32: {
        int32_t value;
        memcpy(&value, in, sizeof value);
        return (float)value;
    }
    case VS_I16:
        return (float)(int16_t)load16(in);
    case VS_I8:
        return (float)(int8_t)*in;
    case VS_BOOL:
        return *in ? 1.0f : 0.0f;
    default:
        return (float)*in;
    }
}

void vs_dtype_widen(float *out, const void *in, enum vs_dtype dtype, size_t n)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    const uint8_t *bytes = in;
    assert(n % info->n_elements == 0);
    for (size_t i = 0; i < n; i += info->n_elements, bytes += info->n_bytes) {
        switch (dtype) {
        case VS_Q8_0:
            widen_q8_0(out + i, bytes);
            break;
        case VS_Q4_0:
            widen_q4_0(out + i, bytes);
            break;
        case VS_Q4_K:
            widen_q4_k(out + i, bytes);
            break;
        default:
            out[i] = widen_one(bytes, dtype);
        }
    }
}

enum vs_status vs_dtype_check_kv(enum vs_dtype dtype, const char *what)
{
    return dtype == VS_F32 || dtype == VS_F16
               ? VS_OK
               : vs_fail(VS_ERROR_RUNTIME, "%s: format %d is neither F32 nor F16", what,
                         (int)dtype);
}
