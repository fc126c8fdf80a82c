/* SPDX-License-Identifier: Apache-2.0
 *
 * check_recording.c - recorded launches do what launches do, in their order, at each run. */
#include "tests/check_common.h"

#include <stdio.h>
#include <stdlib.h>

#include "cl/recording.h"
#include "kernels/pointwise/pointwise.h"

enum { N = 1000, N_STEPS = 5 };

/* x is doubled N_STEPS times, then y is added to it: one kernel with changing arguments, each
 * launch on what the one before it has left. */
static void launch_all(struct vs_span x, struct vs_span y)
{
    for (int i = 0; i < N_STEPS; i++)
        check_ok(vs_add_run(check_context, x, x, x, N, N));
    check_ok(vs_add_run(check_context, x, x, y, N, N));
}

/* Some drivers have no command buffers. */
static bool possible(void)
{
    if (!vs_recording_possible(check_context))
        puts("this device records no launches");
    return vs_recording_possible(check_context);
}

START_TEST(recordings_run_as_launched)
{
    if (!possible())
        return;
    struct vs_recording recording = {0};
    float *first = check_floats(N, 1), *second = check_floats(N, 1), *want = check_nans(N);
    struct check_buffer x = check_upload(first, N), y = check_upload(second, N);
    struct check_buffer other = check_upload(first, N);
    vs_context_set_dry(check_context, true);
    check_ok(vs_recording_begin(&recording, check_context));
    launch_all(x.span, y.span);
    vs_recording_end(&recording);
    vs_context_set_dry(check_context, false);
    ck_assert_ptr_nonnull(recording.context);
    check_bits(&x, first, "recording starts nothing");

    for (int run = 0; run < 2; run++) {
        /* The same kernels with other arguments in between. */
        check_ok(vs_add_run(check_context, other.span, y.span, y.span, N, N));
        check_ok(vs_recording_run(&recording));
        check_ok(vs_context_finish(check_context));
        for (int i = 0; i < N; i++)
            want[i] = (run ? want[i] : first[i]) * (1 << N_STEPS) + second[i];
        check_bits(&x, want, "run %d", run);
    }
    vs_recording_clear(&recording);
    check_free(&x);
    check_free(&y);
    check_free(&other);
    free(first);
    free(second);
    free(want);
}
END_TEST

START_TEST(only_one_recording_at_a_time)
{
    struct vs_recording one = {0}, two = {0};
    if (!possible())
        return;
    check_ok(vs_recording_begin(&one, check_context));
    ck_assert_int_eq(vs_recording_begin(&two, check_context), VS_ERROR_RUNTIME);
    vs_recording_end(&one);
    vs_recording_clear(&one);
    vs_context_limit_launches(check_context, 1);
    ck_assert(!vs_recording_possible(check_context));
    vs_context_limit_launches(check_context, 0);
    ck_assert(vs_recording_possible(check_context));
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, recordings_run_as_launched);
    tcase_add_test(tests, only_one_recording_at_a_time);
}

int main(void)
{
    return check_main("recording", add_tests);
}
