/* SPDX-License-Identifier: Apache-2.0
 *
 * check_norm.c - the norms against their oracle, bit for bit, at odd sizes. */
#include "tests/check_common.h"

#include <stdlib.h>

#include "kernels/norm/norm.h"

static const size_t widths[] = {1, 3, 16, 17, 63, 64, 65, 96, 127, 192, 384, 1000, 1536};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

START_TEST(layernorm_equals_oracle)
{
    size_t c = widths[_i];
    for (int modulation = 0; modulation < 2; modulation++) {
        struct vs_layernorm norm = {.n_rows = 7,
                                    .n_channels = c,
                                    .eps = 1e-6f,
                                    .modulation = modulation,
                                    .rows_per_vector = modulation ? 3 : 0};
        float *x = check_floats(7 * c, 3), *shift = check_floats(3 * c, 1);
        float *scale = check_floats(3 * c, 1), *want = check_nans(7 * c);
        vs_layernorm_ref(want, x, shift, scale, &norm);
        struct check_buffer dx = check_upload(x, 7 * c), dshift = check_upload(shift, 3 * c);
        struct check_buffer dscale = check_upload(scale, 3 * c);
        for (size_t i = 0; vs_norm_variant_name(i); i++) {
            if (!vs_norm_variant_usable(check_context, i))
                continue;
            struct check_buffer out = check_upload(NULL, 7 * c);
            check_ok(vs_layernorm_run_variant(check_context, i, out.span, dx.span, dshift.span,
                                              dscale.span, &norm));
            check_bits(&out, want, "layernorm %s C=%zu modulation=%d", vs_norm_variant_name(i), c,
                       modulation);
            check_free(&out);
        }
        check_ok(vs_layernorm_run(check_context, dx.span, dx.span, dshift.span, dscale.span,
                                  &norm));
        check_bits(&dx, want, "layernorm in place C=%zu", c);
        check_free(&dx), check_free(&dshift), check_free(&dscale);
        free(x), free(shift), free(scale), free(want);
    }
}
END_TEST

START_TEST(rmsnorm_equals_oracle)
{
    size_t c = widths[_i], n = 5;
    float *x = check_floats(n * c, 2), *weight = check_floats(c, 1), *want = check_nans(n * c);
    for (size_t i = 0; i < c; i++)
        x[i] = 0; /* a zero row: only eps stands under the root */
    vs_rmsnorm_ref(want, x, weight, n, c, 1e-6f);
    struct check_buffer dx = check_upload(x, n * c), dw = check_upload(weight, c);
    for (size_t i = 0; vs_norm_variant_name(i); i++) {
        if (!vs_norm_variant_usable(check_context, i))
            continue;
        struct check_buffer out = check_upload(NULL, n * c);
        for (int run = 0; run < check_n_runs(); run++) {
            check_ok(vs_rmsnorm_run_variant(check_context, i, out.span, dx.span, dw.span, n, c,
                                            1e-6f));
            check_bits(&out, want, "rmsnorm %s C=%zu run %d", vs_norm_variant_name(i), c, run);
        }
        check_free(&out);
    }
    check_free(&dx), check_free(&dw);
    free(x), free(weight), free(want);
}
END_TEST

START_TEST(channel_norm_equals_oracle)
{
    size_t c = widths[_i], n = 9;
    float *x = check_floats(n * c, 2), *gamma = check_floats(c, 1), *want = check_nans(n * c);
    for (size_t i = 0; i < c; i++)
        x[i] = 0;
    struct check_buffer dx = check_upload(x, n * c), dg = check_upload(gamma, c);
    for (int silu = 0; silu < 2; silu++) {
        vs_channel_norm_ref(want, x, gamma, n, c, silu);
        for (size_t i = 0; vs_norm_variant_name(i); i++) {
            if (!vs_norm_variant_usable(check_context, i))
                continue;
            struct check_buffer out = check_upload(NULL, n * c);
            check_ok(vs_channel_norm_run_variant(check_context, i, out.span, dx.span, dg.span, n,
                                                 c, silu));
            check_bits(&out, want, "channel norm %s C=%zu silu=%d", vs_norm_variant_name(i), c,
                       silu);
            check_free(&out);
        }
    }
    check_free(&dx), check_free(&dg);
    free(x), free(gamma), free(want);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, layernorm_equals_oracle, 0, N_WIDTHS);
    tcase_add_loop_test(tests, rmsnorm_equals_oracle, 0, N_WIDTHS);
    tcase_add_loop_test(tests, channel_norm_equals_oracle, 0, N_WIDTHS);
}

int main(void)
{
    return check_main("norm", add_tests);
}
