/* SPDX-License-Identifier: Apache-2.0
 *
 * validate.h - cases that hold a device against the contract of kernels/NUMERICS.md.
 *
 * A case fills its inputs from a fixed seed and runs one operation on the device, by every variant
 * that can serve the shape, twice each. Results have to equal the C oracle in every bit after
 * canonicalisation, nothing outside the output may be touched, and the distance to the same formula
 * in float64 has to stay below the case's bound. */
#ifndef VS_KERNELS_VALIDATE_VALIDATE_H
#define VS_KERNELS_VALIDATE_VALIDATE_H

#include "cl/status.h"

enum vs_verdict { VS_PASS, VS_FAIL, VS_SKIP };

enum { VS_GROWTH_BLOCKS = 24 };

struct vs_case_result {
    char op[32], shape[80];
    /* Largest distance to float64. In units in the last place of float32, and relative; both of
     * the float64 value or, where an operation adds up terms that cancel, of the root mean square
     * of all results if that is larger. */
    double max_ulp, max_rel;
    char sha256[65]; /* of the canonical result; "" when there is none */
    enum vs_verdict verdict;
    char reason[320];   /* of a failure or skip; "" otherwise */
    char variants[160]; /* that ran beside the chosen one, "plain, tile"; "" if there is one only */
    /* The case "chain" alone: root mean square error of the residual stream after each block,
     * relative to the stream's own root mean square. */
    double growth[VS_GROWTH_BLOCKS];
    size_t n_growth;
};

/* Cases there are; those of the quick run come in the same order. */
size_t vs_validate_count(void);
bool vs_validate_is_quick(size_t index);

/* The operation of a case. Borrowed. */
const char *vs_validate_op(size_t index);

/* Runs a case. What the device does wrong, a program it cannot compile included, is a verdict;
 * VS_ERROR_MEMORY means that the host's memory does not suffice. */
VS_CHECK enum vs_status vs_validate_run(struct vs_case_result *result, struct vs_context *context,
                                        size_t index);

/* What becomes of denormal numbers, which the contract keeps away from: reported, never judged. */
struct vs_denormals {
    bool add, multiply, fma; /* kept */
};
VS_CHECK enum vs_status vs_validate_denormals(struct vs_denormals *denormals,
                                              struct vs_context *context);

#endif
