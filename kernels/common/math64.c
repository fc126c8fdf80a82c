/* SPDX-License-Identifier: Apache-2.0
 *
 * math64.c - float64 elementary functions, the same bits with every C library.
 *
 * Arguments are reduced in double-double (a pair hi + lo, |lo| <= ulp(hi) / 2), then a Taylor
 * series is summed; its leading terms are kept apart so that only their last rounding counts.
 * Compiled with -ffp-contract=off: a fused a*b+c would change bits, and break two_product(). */
#include "kernels/common/math64.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "double arithmetic must round to double: compile with -msse2 -mfpmath=sse"
#endif

struct pair {
    double hi, lo;
};

static struct pair two_sum(double a, double b)
{
    double sum = a + b, part = sum - a;
    return (struct pair){sum, (a - (sum - part)) + (b - part)};
}

/* a = hi + lo with 26 bits each, so that products of halves are exact. */
static struct pair halves(double a)
{
    double scaled = a * 134217729.0, hi = scaled - (scaled - a);
    return (struct pair){hi, a - hi};
}

static struct pair two_product(double a, double b)
{
    struct pair x = halves(a), y = halves(b);
    double product = a * b;
    return (struct pair){product,
                         ((x.hi * y.hi - product) + x.hi * y.lo + x.lo * y.hi) + x.lo * y.lo};
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^k for a normal result. */
static double power_of_two(int k)
{
    return of_bits((uint64_t)(k + 1023) << 52);
}

/* ---- Sine and cosine ---------------------------------------------------------------------- */

/* x - k pi/2 with |result| <= pi/4 + a little; *quadrant is k mod 4. pi/2 stands in three parts of
 * 53 bits. The first difference cancels without error; what is lost in the low parts is below
 * 2^-130, while no double up to 2^40 comes closer than 2^-100 to a multiple of pi/2. */
static struct pair reduce(double x, unsigned *quadrant)
{
    static const double pi_2[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                   -0x1.f1976b7ed8fbcp-110};
    double k = rint(x * 0x1.45f306dc9c883p-1);
    struct pair p0 = two_product(k, pi_2[0]), p1 = two_product(k, pi_2[1]);
    struct pair a = two_sum(x, -p0.hi), b = two_sum(a.hi, -p0.lo), c = two_sum(b.hi, -p1.hi);
    *quadrant = (unsigned)((uint64_t)(int64_t)k & 3);
    struct pair low = two_sum(a.lo + b.lo, c.lo);
    return two_sum(c.hi, low.hi + (low.lo - p1.lo - k * pi_2[2]));
}

/* sin r = r - r^3/3! + r^5/5! ...; the terms from r^19/19! on are below 2^-63 of it. */
static double sine(struct pair r)
{
    double z = r.hi * r.hi;
    double p = 1.0 / 355687428096000.0;
    p = p * z - 1.0 / 1307674368000.0;
    p = p * z + 1.0 / 6227020800.0;
    p = p * z - 1.0 / 39916800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z - 1.0 / 5040.0;
    p = p * z + 1.0 / 120.0;
    p = p * z - 1.0 / 6.0;
    return r.hi + (r.hi * (z * p) + r.lo * (1.0 - 0.5 * z));
}

/* cos r = 1 - r^2/2! + r^4/4! ... up to r^18/18!; what 1 - r^2/2 loses is added back. */
static double cosine(struct pair r)
{
    double z = r.hi * r.hi;
    double p = -1.0 / 6402373705728000.0;
    p = p * z + 1.0 / 20922789888000.0;
    p = p * z - 1.0 / 87178291200.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z - 1.0 / 3628800.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    struct pair lead = two_sum(1.0, -0.5 * z);
    return lead.hi + (lead.lo + (z * z * p - r.hi * r.lo));
}

/* sin(x + turns pi/2). */
static double turned_sine(double x, unsigned turns)
{
    if (!(fabs(x) <= 0x1p40))
        return (double)NAN;
    unsigned quadrant;
    struct pair r = reduce(x, &quadrant);
    quadrant += turns;
    double y = quadrant & 1 ? cosine(r) : sine(r);
    return quadrant & 2 ? -y : y;
}

double vs_sin64(double x)
{
    return turned_sine(x, 0);
}

double vs_cos64(double x)
{
    return turned_sine(x, 1);
}

/* ---- Exponential -------------------------------------------------------------------------- */

/* ln 2 in two parts; the first has 40 bits, so that its product with an exponent is exact. */
static const double ln2_hi = 0x1.62e42fefa2000p-1, ln2_lo = 0x1.9ef35793c7673p-41;

/* e^(x.hi + x.lo) = 2^k e^r, |r| <= ln(2)/2; the series ends below 2^-63. */
static double exponential(struct pair x)
{
    if (x.hi != x.hi)
        return x.hi;
    if (x.hi > 710.0)
        return (double)INFINITY;
    if (x.hi < -746.0)
        return 0.0;
    double k = rint(x.hi * 0x1.71547652b82fep+0);
    struct pair high = two_sum(x.hi, -k * ln2_hi);
    struct pair r = two_sum(high.hi, high.lo + (x.lo - k * ln2_lo));
    static const double factorial[] = {
        87178291200.0, 6227020800.0, 479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0,
        5040.0,        720.0,        120.0,       24.0,       6.0,       2.0};
    double p = 0;
    for (size_t i = 0; i < sizeof factorial / sizeof *factorial; i++)
        p = p * r.hi + 1.0 / factorial[i];
    struct pair lead = two_sum(1.0, r.hi);
    double y = lead.hi + (lead.lo + (r.lo * lead.hi + r.hi * r.hi * p));
    /* Two factors: 2^k itself may be past the largest exponent or below the smallest. */
    int half = (int)k / 2;
    return y * power_of_two(half) * power_of_two((int)k - half);
}

double vs_exp64(double x)
{
    return exponential((struct pair){x, 0.0});
}

double vs_pow10000(size_t i, size_t n)
{
    static const struct pair ln_10000 = {0x1.26bb1bbb55516p+3, -0x1.f48ad494ea3e9p-51};
    double a = (double)i, b = (double)n;
    double ratio = a / b;
    struct pair back = two_product(ratio, b);
    double ratio_lo = ((a - back.hi) - back.lo) / b;
    struct pair product = two_product(ratio, ln_10000.hi);
    double low = product.lo + (ratio * ln_10000.lo + ratio_lo * ln_10000.hi);
    struct pair exponent = two_sum(product.hi, low);
    return exponential((struct pair){-exponent.hi, -exponent.lo});
}

/* ---- Logarithm ---------------------------------------------------------------------------- */

/* ln(x + tail) for a normal x > 0 and |tail| <= ulp(x). With x = 2^k m, sqrt(1/2) < m < sqrt(2),
 * ln m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172; its series ends below 2^-63. */
static double logarithm(double x, double tail, int k)
{
    uint64_t bits = bits_of(x);
    k += (int)(bits >> 52) - 1023;
    double m = of_bits((bits & 0xfffffffffffff) | 0x3ff0000000000000);
    if (m > 0x1.6a09e667f3bcdp+0) {
        m *= 0.5;
        k++;
    }
    double f = m - 1.0;
    struct pair below = two_sum(m, 1.0);
    double s = f / below.hi;
    struct pair back = two_product(s, below.hi);
    double s_lo = ((f - back.hi) - back.lo - s * below.lo) / below.hi;
    double z = s * s, p = 0;
    for (int n = 25; n >= 3; n -= 2)
        p = p * z + 1.0 / n;
    struct pair sum = two_sum(k * ln2_hi, 2.0 * s);
    return sum.hi + (sum.lo + (2.0 * (s * z * p + s_lo) + (k * ln2_lo + tail / x)));
}

double vs_log64(double x)
{
    if (!(x > 0.0))
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    if (x > DBL_MAX)
        return x;
    return x < DBL_MIN ? logarithm(x * 0x1p54, 0.0, -54) : logarithm(x, 0.0, 0);
}

double vs_log1p64(double x)
{
    if (!(x > -1.0))
        return x == -1.0 ? -(double)INFINITY : (double)NAN;
    if (x > DBL_MAX)
        return x;
    /* As 1 + x rounds to 1 here, the general way would lose the digits of x below the 53rd. */
    if (fabs(x) < 0x1p-54)
        return x;
    struct pair sum = two_sum(1.0, x);
    return logarithm(sum.hi, sum.lo, 0);
}
