/* SPDX-License-Identifier: Apache-2.0
 *
 * vmath_host.h - vmath.h for C: the oracles' elementary functions. */
#ifndef VS_KERNELS_COMMON_VMATH_HOST_H
#define VS_KERNELS_COMMON_VMATH_HOST_H

#include <stdint.h>
#include <string.h>

static inline uint32_t vm_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float vm_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define VM_HOST
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "kernels/common/vmath.h"
#pragma GCC diagnostic pop
#undef VM_HOST

#endif
