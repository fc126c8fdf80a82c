/* SPDX-License-Identifier: Apache-2.0
 *
 * tuning.c - from the texts of a record to a key and the number of a variant. */
#include "kernels/tuning.h"

#include <string.h>

#include "cl/choices.h"
#include "kernels/bench/bench.h"
#include "kernels/common/variant.h"

static const char library[] = "clblast:";

bool vs_tuning_is_of_library(const char *op)
{
    return strncmp(op, library, strlen(library)) == 0;
}

enum vs_status vs_tuning_set(struct vs_context *context, const char *op, const char *variant,
                             enum vs_precision precision)
{
    enum vs_status status = VS_OK;
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    if (vs_tuning_is_of_library(op))
        return precision == VS_PRECISION_FAST
                   ? vs_linear_clblast_set(context, op + strlen(library), variant)
                   : vs_fail(VS_ERROR_USAGE, "%s: exact precision knows no other library", op);
    VS_TRY(vs_bench_read(&family, &shape, op));
    if (!family->variant_name)
        return vs_fail(VS_ERROR_USAGE, "%s: there is but one way to compute it", op);
    for (size_t i = 0; family->variant_name(i); i++)
        if (strcmp(family->variant_name(i), variant) == 0 &&
            (precision == VS_PRECISION_FAST || !(vs_bench_bound(family, i) > 0))) {
            uint64_t key = family->key(&shape);
            return vs_choice_set(
                context, precision == VS_PRECISION_FAST ? vs_variant_fast_key(key) : key, i);
        }
    return vs_fail(VS_ERROR_USAGE, "%s has no variant '%s'", family->name, variant);
fail:
    return status;
}
