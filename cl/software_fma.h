/* SPDX-License-Identifier: Apache-2.0
 *
 * software_fma.h - fma for a driver that has none of the processor's. */
#ifndef VS_CL_SOFTWARE_FMA_H
#define VS_CL_SOFTWARE_FMA_H

/* OpenCL C to be put before a program: fma on float, float4, float8 and float16 in half a hundred
 * operations on floats. Defines VS_SCALAR, too. */
extern const char vs_software_fma[];

#endif
