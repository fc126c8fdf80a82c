/* SPDX-License-Identifier: Apache-2.0
 *
 * software_fma.c - fma from + - * and integers, for Mesa's llvmpipe.
 *
 * That driver makes each fma of several hundred integer operations, once per lane of a vector:
 * some kernels take minutes to compile, and all run ten times as long. Here the product is made
 * exact as p + e of 12-bit halves (Dekker), with exponents set aside; p + c is made exact as s + t,
 * and s + (t + e) is rounded once, t + e being rounded to odd (Boldo, Melquiond: Emulation of FMA
 * and correctly rounded sums).
 * Where c is 2^64 times smaller or larger than the product, only its sign, or the product's,
 * matters. Correctly rounded for all but denormal operands and results, as kernels/NUMERICS.md
 * asks; vectors are loops, which keeps programs short. */
#include "cl/software_fma.h"

#define TEXT(...) #__VA_ARGS__

/* clang-format off */
const char vs_software_fma[] =
"#pragma OPENCL FP_CONTRACT OFF\n"
TEXT(
float __attribute__((overloadable)) vs_fma(float a, float b, float c)
{
    uint ua = as_uint(a), ub = as_uint(b), uc = as_uint(c);
    int ea = (ua >> 23) & 255, eb = (ub >> 23) & 255, ec = (uc >> 23) & 255;
    int scale = max(ea + eb - 254, ec - 191), place = max(ec - scale, 63);
    float x = as_float((ua & 0x807fffffu) | 0x3f800000u);
    float y = as_float((ub & 0x807fffffu) | 0x3f800000u);
    float z = as_float((uc & 0x807fffffu) | (uint)place << 23);

    float xh = as_float(as_uint(x) & 0xfffff000u), xl = x - xh;
    float yh = as_float(as_uint(y) & 0xfffff000u), yl = y - yh;
    float p = x * y;
    float e = xl * yl - (((p - xh * yh) - xl * yh) - xh * yl);

    float s = p + z, s1 = s - p, t = (p - (s - s1)) + (z - s1);
    float v = t + e, v1 = v - t, rest = (t - (v - v1)) + (e - v1);
    uint uv = as_uint(v);
    uint odd = (uv - ((as_uint(rest) ^ uv) >> 31)) | 1;
    float r = s + as_float(rest != 0.0f ? odd : uv);

    int half_scale = scale >> 1;
    r = r * as_float((uint)(half_scale + 127) << 23);
    r = r * as_float((uint)(scale - half_scale + 127) << 23);
    /* zeros, infinities and NaN: one of the two operations is exact */
    r = ec == 0 ? a * b : ec == 255 ? c : r;
    return (uint)(ea - 1) > 253 || (uint)(eb - 1) > 253 ? a * b + c : r;
})
"\n#define VS_LANES_FMA(n) \\\n"
TEXT(
float##n __attribute__((overloadable)) vs_fma(float##n a, float##n b, float##n c)
{
    float x[n], y[n], z[n];
    vstore##n(a, 0, x);
    vstore##n(b, 0, y);
    vstore##n(c, 0, z);
    for (int i = 0; i < n; i++)
        x[i] = vs_fma(x[i], y[i], z[i]);
    return vload##n(0, x);
})
"\nVS_LANES_FMA(8) VS_LANES_FMA(16)\n"
TEXT(
float4 __attribute__((overloadable)) vs_fma(float4 a, float4 b, float4 c)
{
    return (float4)(vs_fma(a.x, b.x, c.x), vs_fma(a.y, b.y, c.y), vs_fma(a.z, b.z, c.z),
                    vs_fma(a.w, b.w, c.w));
})
"\n"
"#define fma vs_fma\n"
"#define VS_SCALAR\n";
/* clang-format on */
