/* SPDX-License-Identifier: Apache-2.0
 *
 * vmath.h - elementary functions in float32, the same text for host C and for OpenCL C.
 *
 * Made from + - *, fma, compares with ?: and integer operations alone, so every device with IEEE
 * arithmetic gives the same bits; kernels and oracles call nothing else (kernels/NUMERICS.md).
 *
 * OpenCL: `#define VM_WIDTH n` (1, 2, 4, 8, 16), then include; the functions are named vm_exp for
 * width 1 and vm_exp16 for float16, so a program may include this file once per width.
 * Host: include vmath_host.h instead, which gives width 1.
 *
 * With VS_SCALAR (cl/software_fma.c) wider functions are loops
 * over the lanes of width 1, to be included before: such drivers would write each operation out
 * once per lane, and compile one kernel for minutes.
 *
 * Largest error in units in the last place, over all inputs (exp, rcp, sqrt, rsqrt, log) or every
 * 17th: exp 0.98, log 0.85, rcp and sqrt correctly rounded, rsqrt 0.5001, tanh 1.31, sigmoid 1.46,
 * silu 1.68, softplus 1.60, gelu2 1.63, sin and cos 1.49 up to 2^17. Results below 2^-126 are 0. */

#if !defined(VM_HOST) && defined(VS_SCALAR) && VM_WIDTH != 1

#define VM_CAT_(a, b) a##b
#define VM_CAT(a, b) VM_CAT_(a, b)
#define VM_LANES(name)                                                                            \
    static VM_CAT(float, VM_WIDTH) VM_CAT(vm_##name, VM_WIDTH)(VM_CAT(float, VM_WIDTH) x)         \
    {                                                                                             \
        float lanes[VM_WIDTH];                                                                    \
        VM_CAT(vstore, VM_WIDTH)(x, 0, lanes);                                                    \
        for (int lane = 0; lane < VM_WIDTH; lane++)                                               \
            lanes[lane] = vm_##name(lanes[lane]);                                                 \
        return VM_CAT(vload, VM_WIDTH)(0, lanes);                                                 \
    }
VM_LANES(exp)
VM_LANES(exp_weight)
VM_LANES(rcp)
VM_LANES(rsqrt)
VM_LANES(sqrt)
VM_LANES(log)
VM_LANES(tanh)
VM_LANES(sigmoid)
VM_LANES(silu)
VM_LANES(softplus)
VM_LANES(gelu2)
#undef VM_LANES
#undef VM_CAT
#undef VM_CAT_
#undef VM_WIDTH

#else

#ifdef VM_HOST
#define VM_F float
#define VM_U uint32_t
#define VM_NAME(name) vm_##name
#define VM_FUNCTION static inline
#define VM_K(c) (c)
#define VM_KU(c) ((uint32_t)(c))
#define VM_AS_F(u) vm_float_of_bits(u)
#define VM_AS_U(f) vm_bits_of_float(f)
#define VM_TO_F(u) ((float)(int32_t)(u))
#define VM_SHIFT_SIGNED(u, n) ((uint32_t)((int32_t)(u) >> (n)))
#define VM_SIGNED(x) ((int32_t)vm_bits_of_float(x) < 0)
#define VM_FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define VM_CAT_(a, b) a##b
#define VM_CAT(a, b) VM_CAT_(a, b)
#define VM_FUNCTION static
#if VM_WIDTH == 1
#define VM_F float
#define VM_U uint
#define VM_I int
#define VM_NAME(name) vm_##name
#define VM_AS_F(u) as_float(u)
#define VM_AS_U(f) as_uint(f)
#define VM_AS_I(u) as_int(u)
#define VM_TO_F(u) convert_float(as_int(u))
#else
#define VM_F VM_CAT(float, VM_WIDTH)
#define VM_U VM_CAT(uint, VM_WIDTH)
#define VM_I VM_CAT(int, VM_WIDTH)
#define VM_NAME(name) VM_CAT(vm_##name, VM_WIDTH)
#define VM_AS_F(u) VM_CAT(as_float, VM_WIDTH)(u)
#define VM_AS_U(f) VM_CAT(as_uint, VM_WIDTH)(f)
#define VM_AS_I(u) VM_CAT(as_int, VM_WIDTH)(u)
#define VM_TO_F(u) VM_CAT(convert_float, VM_WIDTH)(VM_AS_I(u))
#endif
#define VM_K(c) ((VM_F)(c))
#define VM_KU(c) ((VM_U)(c))
#define VM_SHIFT_SIGNED(u, n) VM_AS_U(VM_AS_I(u) >> (n))
#define VM_SIGNED(x) (VM_AS_I(x) < (VM_I)(0))
#define VM_FMA(a, b, c) fma(a, b, c)
#endif

/* 1.5 * 2^23: fma(x, c, VM_MAGIC) leaves rint(x c) in the low bits of the mantissa. */
#define VM_MAGIC 12582912.0f
#define VM_INFINITY VM_AS_F(VM_KU(0x7f800000u))
#define VM_NAN VM_AS_F(VM_KU(0x7fc00000u))

VM_FUNCTION VM_F VM_NAME(abs)(VM_F x)
{
    return VM_AS_F(VM_AS_U(x) & VM_KU(0x7fffffffu));
}

/* |x|, but at most limit; a NaN becomes limit. Magnitudes are in the order of their bits, so no
 * float is compared. */
VM_FUNCTION VM_F VM_NAME(abs_at_most)(VM_F x, VM_F limit)
{
    VM_U a = VM_AS_U(x) & VM_KU(0x7fffffffu);
    return VM_AS_F((a < VM_AS_U(limit)) ? a : VM_AS_U(limit));
}

/* Magnitude of y with the sign of x. */
VM_FUNCTION VM_F VM_NAME(copysign)(VM_F y, VM_F x)
{
    return VM_AS_F((VM_AS_U(y) & VM_KU(0x7fffffffu)) | (VM_AS_U(x) & VM_KU(0x80000000u)));
}

/* Denormals become zero of the same sign; tested on the bits, since a float compare may flush. */
VM_FUNCTION VM_F VM_NAME(ftz)(VM_F x)
{
    VM_U u = VM_AS_U(x);
    return ((u & VM_KU(0x7f800000u)) == VM_KU(0u)) ? VM_AS_F(u & VM_KU(0x80000000u)) : x;
}

/* The bits of the half nearest to x, ties to even; infinity from 65520 on, any NaN 0x7e00. Denormal
 * halves are kept: the last bit of 0.5 is worth 2^-24, so adding it rounds to their steps. */
VM_FUNCTION VM_U VM_NAME(half)(VM_F x)
{
    VM_U u = VM_AS_U(x), sign = (u >> 16) & VM_KU(0x8000u), a = u & VM_KU(0x7fffffffu);
    VM_U small = VM_AS_U(VM_AS_F(a) + VM_K(0.5f)) - VM_KU(0x3f000000u);
    VM_U normal = (a - VM_KU(0x37fff001u) + ((a >> 13) & VM_KU(1u))) >> 13;
    VM_U large = (a > VM_KU(0x7f800000u)) ? VM_KU(0x7e00u) : VM_KU(0x7c00u);
    VM_U finite = (a < VM_KU(0x38800000u)) ? small : normal;
    return sign | ((a < VM_KU(0x47800000u)) ? finite : large);
}

/* |r| < 2^-119 becomes +0, so that no device ever forms a denormal product from it. */
VM_FUNCTION VM_F VM_NAME(cut)(VM_F r)
{
    return (VM_NAME(abs)(r) < VM_K(0x1p-119f)) ? VM_K(0.0f) : r;
}

/* Polynomial of exp on |r| <= ln2/2, scaled by the power of two in the low bits of t. */
VM_FUNCTION VM_F VM_NAME(exp_scaled)(VM_F r, VM_F t)
{
    VM_F q = VM_FMA(r, VM_K(0x1.9dfbf6p-13f), VM_K(0x1.6d4cc6p-10f));
    q = VM_FMA(q, r, VM_K(0x1.11130ep-7f));
    q = VM_FMA(q, r, VM_K(0x1.5554e8p-5f));
    q = VM_FMA(q, r, VM_K(0x1.555554p-3f));
    q = VM_FMA(q, r, VM_K(0.5f));
    VM_F p = VM_K(1.0f) + VM_FMA(q, r * r, r);
    return VM_AS_F(VM_AS_U(p) + (VM_AS_U(t) << 23));
}

/* e^x for x from -87 to 88. */
VM_FUNCTION VM_F VM_NAME(exp_inside)(VM_F x)
{
    VM_F t = VM_FMA(x, VM_K(0x1.715476p+0f), VM_K(VM_MAGIC));
    VM_F n = t - VM_K(VM_MAGIC);
    VM_F r = VM_FMA(n, VM_K(-0x1.62e43p-1f), x);
    r = VM_FMA(n, VM_K(0x1.05c61p-29f), r);
    return VM_NAME(exp_scaled)(r, t);
}

/* e^x; results below 2^-126 are exactly 0. */
VM_FUNCTION VM_F VM_NAME(exp)(VM_F x)
{
    VM_F y = VM_NAME(exp_inside)(x);
    y = (x < VM_K(-87.33654f)) ? VM_K(0.0f) : y;
    y = (x > VM_K(88.72283f)) ? VM_INFINITY : y;
    return (x != x) ? x : y;
}

/* exp for weights of a sum, x at most 0: 0 below -64, so that p * v stays normal (rule R5). */
VM_FUNCTION VM_F VM_NAME(exp_weight)(VM_F x)
{
    VM_F y = (x < VM_K(-64.0f)) ? VM_K(0.0f) : VM_NAME(exp_inside)(x);
    return (x != x) ? x : y;
}

/* e^(x + low), |low| tiny, x from -87 to 0. */
VM_FUNCTION VM_F VM_NAME(exp_two)(VM_F x, VM_F low)
{
    VM_F t = VM_FMA(x, VM_K(0x1.715476p+0f), VM_K(VM_MAGIC));
    VM_F n = t - VM_K(VM_MAGIC);
    VM_F r = VM_FMA(n, VM_K(-0x1.62e43p-1f), x);
    r = r + VM_FMA(n, VM_K(0x1.05c61p-29f), low);
    return VM_NAME(exp_scaled)(r, t);
}

/* 1/m for m in [1, 2], correctly rounded but for the all-ones mantissa. */
VM_FUNCTION VM_F VM_NAME(rcp_unit)(VM_F m)
{
    VM_F y = VM_FMA(m, VM_K(-0x1.e1e1e2p-2f), VM_K(0x1.696968p+0f));
    VM_F minus = -m;
    VM_F e = VM_FMA(minus, y, VM_K(1.0f));
    y = VM_FMA(y, VM_FMA(e, e, e), y);
    e = VM_FMA(minus, y, VM_K(1.0f));
    y = VM_FMA(y, e, y);
    e = VM_FMA(minus, y, VM_K(1.0f));
    return VM_FMA(y, e, y);
}

/* 1/x, correctly rounded; |x| < 2^-126 gives infinity, |x| > 2^126 gives 0. */
VM_FUNCTION VM_F VM_NAME(rcp)(VM_F x)
{
    VM_U u = VM_AS_U(x);
    VM_U sign = u & VM_KU(0x80000000u), a = u & VM_KU(0x7fffffffu);
    VM_F y = VM_NAME(rcp_unit)(VM_AS_F((a & VM_KU(0x7fffffu)) | VM_KU(0x3f800000u)));
    VM_U exponent = a & VM_KU(0x7f800000u);
    VM_U r = VM_AS_U(y) + VM_KU(0x3f800000u) - exponent;
    /* The one mantissa that Markstein's iteration misses. */
    r = ((a & VM_KU(0x7fffffu)) == VM_KU(0x7fffffu)) ? VM_KU(0x7e800001u) - exponent : r;
    r = (a > VM_KU(0x7e800000u)) ? VM_KU(0u) : r;
    r = (a < VM_KU(0x800000u)) ? VM_KU(0x7f800000u) : r;
    return (a > VM_KU(0x7f800000u)) ? x : VM_AS_F(r | sign);
}

/* 1/sqrt(m) to about a bit more than float32, m in [1, 4). */
VM_FUNCTION VM_F VM_NAME(rsqrt_unit)(VM_F m)
{
    VM_F y = VM_AS_F(VM_KU(0x5f37642fu) - (VM_AS_U(m) >> 1));
    VM_F h = m * y;
    VM_F e = VM_FMA(-h, y, VM_K(1.0f));
    y = VM_FMA(y * e, VM_FMA(e, VM_K(0.375f), VM_K(0.5f)), y);
    h = m * y;
    e = VM_FMA(-h, y, VM_K(1.0f));
    y = VM_FMA(y * VM_K(0.5f), e, y);
    h = m * y;
    VM_F d = VM_FMA(m, y, -h);
    e = VM_FMA(-h, y, VM_K(1.0f));
    e = VM_FMA(-d, y, e);
    return VM_FMA(y * VM_K(0.5f), e, y);
}

/* 1/sqrt(x); x < 2^-126 gives infinity, x < 0 NaN. */
VM_FUNCTION VM_F VM_NAME(rsqrt)(VM_F x)
{
    VM_U u = VM_AS_U(x);
    VM_U even = (u + VM_KU(0x00800000u)) & VM_KU(0xff000000u); /* even part of the exponent */
    VM_F y = VM_NAME(rsqrt_unit)(VM_AS_F(u - even + VM_KU(0x40000000u)));
    VM_F z = VM_AS_F(VM_AS_U(y) + VM_KU(0x20000000u) - (even >> 1));
    z = (u >= VM_KU(0x7f800000u)) ? ((u == VM_KU(0x7f800000u)) ? VM_K(0.0f) : VM_NAN) : z;
    return ((u & VM_KU(0x7fffffffu)) < VM_KU(0x800000u))
               ? VM_AS_F((u & VM_KU(0x80000000u)) | VM_KU(0x7f800000u))
               : z;
}

/* sqrt(x), correctly rounded; x < 2^-126 gives 0, x < 0 NaN. */
VM_FUNCTION VM_F VM_NAME(sqrt)(VM_F x)
{
    VM_U u = VM_AS_U(x);
    VM_U even = (u + VM_KU(0x00800000u)) & VM_KU(0xff000000u);
    VM_F m = VM_AS_F(u - even + VM_KU(0x40000000u));
    VM_F y = VM_NAME(rsqrt_unit)(m);
    VM_F s = m * y;
    VM_F r = VM_FMA(-s, s, m);
    s = VM_FMA(r, y * VM_K(0.5f), s);
    VM_F z = VM_AS_F(VM_AS_U(s) + (even >> 1) - VM_KU(0x20000000u));
    z = (u >= VM_KU(0x7f800000u)) ? ((u == VM_KU(0x7f800000u)) ? x : VM_NAN) : z;
    return ((u & VM_KU(0x7fffffffu)) < VM_KU(0x800000u)) ? VM_AS_F(u & VM_KU(0x80000000u)) : z;
}

/* log(1 + f) - f for f in [-0.293, 0.5]. */
VM_FUNCTION VM_F VM_NAME(log1p_tail)(VM_F f)
{
    VM_F p = VM_FMA(f, VM_K(0x1.8965dap-5f), VM_K(-0x1.ac29bep-4f));
    p = VM_FMA(p, f, VM_K(0x1.f0d7ep-4f));
    p = VM_FMA(p, f, VM_K(-0x1.02d23ep-3f));
    p = VM_FMA(p, f, VM_K(0x1.2325aep-3f));
    p = VM_FMA(p, f, VM_K(-0x1.5512b6p-3f));
    p = VM_FMA(p, f, VM_K(0x1.99a2e8p-3f));
    p = VM_FMA(p, f, VM_K(-0x1.0000b6p-2f));
    p = VM_FMA(p, f, VM_K(0x1.55554cp-2f));
    VM_F f2 = f * f;
    return VM_FMA(VM_K(-0.5f), f2, p * (f2 * f));
}

/* Natural logarithm; x < 2^-126 gives -infinity, x < 0 NaN. */
VM_FUNCTION VM_F VM_NAME(log)(VM_F x)
{
    VM_U u = VM_AS_U(x), d = u - VM_KU(0x3f3504f3u); /* mantissa taken from [sqrt(1/2), sqrt(2)) */
    VM_F n = VM_TO_F(VM_SHIFT_SIGNED(d, 23));
    VM_F f = VM_AS_F((d & VM_KU(0x7fffffu)) + VM_KU(0x3f3504f3u)) - VM_K(1.0f);
    VM_F y = VM_NAME(log1p_tail)(f);
    y = VM_FMA(n, VM_K(0x1.7f7d1cp-20f), y);
    VM_F r = f + y;
    r = VM_FMA(n, VM_K(0x1.62e4p-1f), r);
    r = (u >= VM_KU(0x7f800000u)) ? ((u == VM_KU(0x7f800000u)) ? x : VM_NAN) : r;
    return ((u & VM_KU(0x7fffffffu)) < VM_KU(0x800000u)) ? VM_AS_F(VM_KU(0xff800000u)) : r;
}

VM_FUNCTION VM_F VM_NAME(tanh)(VM_F x0)
{
    VM_F x = VM_NAME(ftz)(x0), a = VM_NAME(abs)(x);
    VM_F c = (a > VM_K(10.0f)) ? VM_K(10.0f) : a;
    VM_F z = VM_NAME(exp)(c + c);
    VM_F large = VM_FMA(VM_K(-2.0f), VM_NAME(rcp)(z + VM_K(1.0f)), VM_K(1.0f));
    VM_F s = x * x;
    VM_F t = VM_FMA(s, VM_K(0x1.1a2e3ep-9f), VM_K(-0x1.0c602p-7f));
    t = VM_FMA(t, s, VM_K(0x1.63a57ep-6f));
    t = VM_FMA(t, s, VM_K(-0x1.b9f18ap-5f));
    t = VM_FMA(t, s, VM_K(0x1.11107ap-3f));
    t = VM_FMA(t, s, VM_K(-0x1.555554p-2f));
    VM_F small = VM_FMA(t, s * x, x);
    VM_F r = (a < VM_K(0.625f)) ? small : VM_NAME(copysign)(large, x);
    return (x != x) ? x : r;
}

/* 1 + e in two floats, e in [0, 1]; the low part is cut where it would only cost denormals. */
#define VM_ONE_PLUS(e, s, c)                                                                      \
    VM_F s = VM_K(1.0f) + e, c = e - (s - VM_K(1.0f));                                            \
    c = (e < VM_K(0x1p-40f)) ? VM_K(0.0f) : c

/* numerator / (1 + e) */
VM_FUNCTION VM_F VM_NAME(logistic)(VM_F e, VM_F numerator)
{
    VM_ONE_PLUS(e, s, c);
    VM_F y = VM_NAME(rcp_unit)(s), q = numerator * y;
    VM_F r = VM_FMA(-s, q, numerator);
    r = VM_FMA(-c, q, r);
    return VM_FMA(r, y, q);
}

/* x * numerator / (1 + e), rounded once at the end; y is rcp_unit(1 + e) */
VM_FUNCTION VM_F VM_NAME(logistic_times)(VM_F e, VM_F y, VM_F numerator, VM_F x)
{
    VM_ONE_PLUS(e, s, c);
    VM_F q = numerator * y;
    VM_F r = VM_FMA(-s, q, numerator);
    r = VM_FMA(-c, q, r);
    return VM_FMA(x, q, x * (r * y));
}

VM_FUNCTION VM_F VM_NAME(sigmoid)(VM_F x)
{
    VM_F e = VM_NAME(exp)(-VM_NAME(abs)(x));
    VM_F r = VM_NAME(logistic)(e, (x < VM_K(0.0f)) ? e : VM_K(1.0f));
    r = (x < VM_K(-87.33654f)) ? VM_K(0.0f) : r;
    return (x != x) ? x : r;
}

/* x * sigmoid(x). Below -87 the result is cut to 0, above 87 it is x, so the sigmoid's argument may
 * stop there. In three steps, since each value waits for the one before it: where a CPU has many to
 * make, it is faster to take all of them through one step after the other. */
VM_FUNCTION VM_F VM_NAME(silu_exp)(VM_F x)
{
    return VM_NAME(exp_inside)(-VM_NAME(abs_at_most)(x, VM_K(87.0f)));
}

VM_FUNCTION VM_F VM_NAME(silu_rcp)(VM_F e)
{
    return VM_NAME(rcp_unit)(VM_K(1.0f) + e);
}

VM_FUNCTION VM_F VM_NAME(silu_join)(VM_F x, VM_F e, VM_F y)
{
    VM_F numerator = VM_SIGNED(x) ? e : VM_K(1.0f);
    VM_F c = VM_NAME(copysign)(VM_NAME(abs_at_most)(x, VM_K(87.0f)), x);
    VM_F r = VM_NAME(logistic_times)(e, y, numerator, c);
    return (x <= VM_K(87.0f)) ? VM_NAME(cut)(r) : x;
}

VM_FUNCTION VM_F VM_NAME(silu)(VM_F x)
{
    VM_F e = VM_NAME(silu_exp)(x);
    return VM_NAME(silu_join)(x, e, VM_NAME(silu_rcp)(e));
}

/* log(1 + e^x) */
VM_FUNCTION VM_F VM_NAME(softplus)(VM_F x)
{
    VM_F e = VM_NAME(exp)(-VM_NAME(abs)(x));
    VM_F f = (e < VM_K(0.5f)) ? e : (e - VM_K(1.0f)) * VM_K(0.5f);
    VM_F k = (e < VM_K(0.5f)) ? VM_K(0.0f) : VM_K(1.0f);
    VM_F y = VM_FMA(k, VM_K(0x1.7f7d1cp-20f), VM_NAME(log1p_tail)(f));
    VM_F r = VM_FMA(k, VM_K(0x1.62e4p-1f), f + y);
    VM_F z = (x > VM_K(0.0f)) ? x + r : r;
    return (x != x) ? x : z;
}

/* GELU, tanh form: x sigmoid(z), z = x (c1 + c2 x^2), c1 = 2 sqrt(2/pi), c2 = 0.044715 c1. z is
 * carried as two floats, which keeps the relative error small in the tail too, and made of |x|,
 * since it has the sign of x. Below -30, and where z is below -87, the result is cut to 0; above 30
 * it is x. */
VM_FUNCTION VM_F VM_NAME(gelu2)(VM_F x)
{
    VM_F a = VM_NAME(abs_at_most)(x, VM_K(30.0f));
    VM_F s = a * a, s_low = VM_FMA(a, a, -s);
    VM_F h = s * VM_K(0x1.2444f2p-4f), low = VM_FMA(s, VM_K(0x1.2444f2p-4f), -h);
    low = VM_FMA(s, VM_K(0x1.49b16ap-29f), low);
    low = VM_FMA(s_low, VM_K(0x1.2444f2p-4f), low);
    VM_F w = h + VM_K(0x1.988454p+0f), b = w - h;
    VM_F d = (h - (w - b)) + (VM_K(0x1.988454p+0f) - b);
    d = d + (low - VM_K(0x1.857936p-25f));
    VM_F z = a * w, z_low = VM_FMA(a, w, -z);
    z_low = VM_FMA(a, d, z_low);
    VM_F e = VM_NAME(exp_two)(-VM_NAME(abs_at_most)(z, VM_K(87.0f)), -z_low);
    VM_F numerator = VM_SIGNED(x) ? e : VM_K(1.0f);
    VM_F y = VM_NAME(rcp_unit)(VM_K(1.0f) + e);
    VM_F r = VM_NAME(logistic_times)(e, y, numerator, VM_NAME(copysign)(a, x));
    return (x <= VM_K(30.0f)) ? VM_NAME(cut)(r) : x;
}

#undef VM_ONE_PLUS
#undef VM_INFINITY
#undef VM_NAN
#undef VM_MAGIC
#undef VM_F
#undef VM_U
#undef VM_I
#undef VM_NAME
#undef VM_FUNCTION
#undef VM_K
#undef VM_KU
#undef VM_AS_F
#undef VM_AS_U
#undef VM_AS_I
#undef VM_TO_F
#undef VM_SHIFT_SIGNED
#undef VM_SIGNED
#undef VM_FMA
#undef VM_CAT
#undef VM_CAT_
#undef VM_WIDTH

#endif /* VS_SCALAR */
