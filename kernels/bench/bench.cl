/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.cl
 *
 * Purpose   what a device can do at most, to measure operations against; inputs for them.
 * Formula   multiply_add: VS_CHAINS chains c = fma(c, a, b) of VS_WIDTH lanes, n_turns times.
 *           copy: out = in. fill: numbers from low to high by a hash of their place and a seed.
 * Shapes    multiply_add: out [items, VS_WIDTH]; copy: n vectors of VS_WIDTH; fill: n floats.
 * Work      multiply_add: one item, VS_CHAINS registers; copy and fill: one vector, one number.
 * Numerics  multiply_add converges for |a| < 1, so no lane ever becomes denormal or infinite.
 * Parameters VS_WIDTH 1, 4, 8, 16 (default 16); VS_CHAINS 1..16 (default 12). One chain waits for
 *           its own result; as many as fill the latency times the units run without gaps.
 * Limits    n below 2^32 for fill. */
#pragma OPENCL FP_CONTRACT OFF

#ifndef VS_WIDTH
#define VS_WIDTH 16
#endif
#ifndef VS_CHAINS
#define VS_CHAINS 12
#endif

#define VS_PASTE(a, b) a##b
#define VS_JOIN(a, b) VS_PASTE(a, b)
#if VS_WIDTH == 1
typedef float lanes;
#define LOAD(i, p) (p)[i]
#define STORE(v, i, p) (p)[i] = (v)
#else
typedef VS_JOIN(float, VS_WIDTH) lanes;
#define LOAD(i, p) VS_JOIN(vload, VS_WIDTH)(i, p)
#define STORE(v, i, p) VS_JOIN(vstore, VS_WIDTH)(v, i, p)
#endif

__kernel void multiply_add(__global float *out, float a, float b, int n_turns)
{
    size_t item = get_global_id(0);
    lanes factor = (lanes)(a), term = (lanes)(b);
    lanes chain[VS_CHAINS];
#pragma unroll
    for (int j = 0; j < VS_CHAINS; j++)
        chain[j] = (lanes)((float)(item % 16) + (float)j);
    for (int turn = 0; turn < n_turns; turn++) {
#pragma unroll
        for (int j = 0; j < VS_CHAINS; j++)
            chain[j] = fma(chain[j], factor, term);
    }
    lanes sum = chain[0];
#pragma unroll
    for (int j = 1; j < VS_CHAINS; j++)
        sum += chain[j];
    STORE(sum, item, out);
}

__kernel void copy(__global float *out, __global const float *in)
{
    size_t item = get_global_id(0);
    STORE(LOAD(item, in), item, out);
}

__kernel void fill(__global float *out, ulong out_offset, uint seed, float low, float span)
{
    uint place = (uint)get_global_id(0);
    uint x = place * 0x9e3779b1u + seed * 0x85ebca6bu;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    out[out_offset + place] = fma((float)(x >> 8) * 0x1p-24f, span, low);
}
