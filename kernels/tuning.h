/* SPDX-License-Identifier: Apache-2.0
 *
 * tuning.h - records of which variant is fastest for a class of shapes.
 *
 * A record is two texts: an operation as `bench` writes it, "linear:4680x1536x1536:bf16", and the
 * name of a variant, "tile 12x32". It holds for all shapes whose sizes round to the same powers of
 * two. A family asks the records of its context before its own rule, so a context without records
 * takes the variants that the rules name. No record of exact precision changes a bit of any result;
 * those of fast precision, which only a context of fast precision sees, may name variants that do. */
#ifndef VS_KERNELS_TUNING_H
#define VS_KERNELS_TUNING_H

#include "cl/status.h"

/* Whether it is a record of fast precision of another kind: "clblast:Xgemm" with, in place of a
 * variant, the parameters of that kernel, as for vs_linear_clblast_set(). */
bool vs_tuning_is_of_library(const char *op);

/* Makes it the choice of a context; an older record of the same class is replaced.
 * VS_ERROR_USAGE: there is no such operation or variant, or it keeps less than that precision. */
VS_CHECK enum vs_status vs_tuning_set(struct vs_context *context, const char *op,
                                      const char *variant, enum vs_precision precision);

#endif
