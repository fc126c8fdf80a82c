/* SPDX-License-Identifier: Apache-2.0
 *
 * validate.c - runs the cases of the tables, one at a time. */
#include "kernels/validate/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/launch.h"
#include "kernels/sources.h"
#include "kernels/validate/trial.h"

static const struct vs_case *const tables[] = {
    vs_cases_vmath,  vs_cases_norm, vs_cases_linear,    vs_cases_attention,
    vs_cases_memory, vs_cases_conv, vs_cases_pointwise, vs_cases_large,
};
enum { N_TABLES = sizeof tables / sizeof *tables };

static const struct vs_case *find(size_t index)
{
    for (size_t i = 0; i < N_TABLES; i++)
        for (const struct vs_case *c = tables[i]; c->op; c++)
            if (index-- == 0)
                return c;
    return NULL;
}

size_t vs_validate_count(void)
{
    size_t n = 0;
    while (find(n))
        n++;
    return n;
}

bool vs_validate_is_quick(size_t index)
{
    return find(index)->quick;
}

const char *vs_validate_op(size_t index)
{
    return find(index)->op;
}

enum vs_status vs_validate_run(struct vs_case_result *result, struct vs_context *context,
                               size_t index)
{
    const struct vs_case *self = find(index);
    /* Every case begins with the same seed, so adding one changes no other. */
    struct vs_trial trial = {.context = context, .result = result, .bound = self->bound};
    *result = (struct vs_case_result){.verdict = VS_PASS};
    snprintf(result->op, sizeof result->op, "%s", self->op);
    self->run(&trial, self);
    for (size_t i = 0; i < trial.n_buffers; i++)
        vs_buffer_free(trial.buffers[i]);
    for (size_t i = 0; i < trial.n_arrays; i++)
        free(trial.arrays[i]);
    if (trial.status == VS_ERROR_MEMORY)
        return trial.status;
    if (trial.status != VS_OK && result->verdict == VS_PASS) {
        result->verdict = VS_FAIL;
        snprintf(result->reason, sizeof result->reason, "%s", vs_error_message());
    }
    return VS_OK;
}

enum vs_status vs_validate_denormals(struct vs_denormals *denormals, struct vs_context *context)
{
    /* 2^-130, 2^-1 and a normal product that an fma brings down to a denormal. */
    static const uint32_t in[] = {0x00080000u, 0x3f000000u, 0x00010000u};
    static const uint32_t want[] = {0x00100000u, 0x00040000u, 0x00050000u};
    enum vs_status status = VS_OK;
    struct vs_buffer *from = NULL, *to = NULL;
    struct vs_launch launch;
    uint32_t out[3];
    VS_TRY(vs_buffer_create(&from, context, sizeof in));
    VS_TRY(vs_buffer_create(&to, context, sizeof out));
    VS_TRY(vs_buffer_write(from, 0, in, sizeof in));
    vs_launch_begin(&launch, context, &vs_source_validate, "denormals",
                    "-DVS_FUNCTION=vm_exp -DVS_FUNCTION16=vm_exp16");
    vs_launch_buffer(&launch, to);
    vs_launch_buffer(&launch, from);
    VS_TRY(vs_launch_run(&launch, 1, (size_t[]){1}, NULL, 4));
    VS_TRY(vs_buffer_read(to, 0, out, sizeof out));
    *denormals = (struct vs_denormals){out[0] == want[0], out[1] == want[1], out[2] == want[2]};
fail:
    vs_buffer_free(to);
    vs_buffer_free(from);
    return status;
}
