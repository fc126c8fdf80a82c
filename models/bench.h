/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - the two networks as operations to be measured, with weights made up on the spot. */
#ifndef VS_MODELS_BENCH_H
#define VS_MODELS_BENCH_H

#include "kernels/bench/bench.h"

/* dit: one pass of the 1.3B transformer without history; vae: decoding of one chunk. */
extern const struct vs_bench_family vs_bench_networks[];

#endif
