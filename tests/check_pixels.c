/* SPDX-License-Identifier: Apache-2.0
 *
 * check_pixels.c - changes of layout and the conversion to bytes against their oracle. */
#include "tests/check_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pixels/pixels.h"

static const size_t shapes[][4] = {/* frames, channels, height, width */
                                   {1, 1, 1, 1}, {3, 16, 8, 12}, {2, 3, 5, 7}, {1, 17, 1, 31}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(layouts_equal_oracle)
{
    size_t f = shapes[_i][0], c = shapes[_i][1], h = shapes[_i][2], w = shapes[_i][3];
    size_t n = f * c * h * w, x_channels = c + 5, n_wide = f * x_channels * h * w;
    float *x = check_floats(n, 2), *wide = check_floats(n_wide, 2);
    float *scale = check_floats(c, 1), *shift = check_floats(c, 1), *want = check_nans(n);
    struct check_buffer dx = check_upload(x, n), dwide = check_upload(wide, n_wide);
    struct check_buffer dscale = check_upload(scale, c), dshift = check_upload(shift, c);
    const struct vs_span none = {0};
    for (int scaled = 0; scaled < 2; scaled++) {
        struct check_buffer out = check_upload(NULL, n);
        vs_channels_last_ref(want, x, scaled ? scale : NULL, shift, f, c, h, w);
        check_ok(vs_channels_last_run(check_context, out.span, dx.span,
                                      scaled ? dscale.span : none, scaled ? dshift.span : none, f,
                                      c, h, w));
        check_bits(&out, want, "channels last, scaled %d", scaled);
        check_free(&out);

        out = check_upload(NULL, n);
        vs_channels_first_ref(want, wide, scaled ? scale : NULL, shift, f, c, x_channels, h, w);
        check_ok(vs_channels_first_run(check_context, out.span, dwide.span,
                                       scaled ? dscale.span : none, scaled ? dshift.span : none, f,
                                       c, x_channels, h, w));
        check_bits(&out, want, "channels first, scaled %d", scaled);
        check_free(&out);
    }
    check_free(&dx), check_free(&dwide), check_free(&dscale), check_free(&dshift);
    free(x), free(wide), free(scale), free(shift), free(want);
}
END_TEST

START_TEST(bytes_equal_oracle)
{
    enum { GUARD = 5, MOST = 997 };
    static const size_t counts[] = {1, 15, 16, 17, 33, MOST};
    float *x = check_floats(MOST, 0.7f);
    /* Ends, halves between two bytes, what lies outside, and what is no number. */
    const float special[] = {-1, 1, 0, -0.0f, 1.5f, -7, INFINITY, -INFINITY, NAN, 1.0f / 255,
                             3.0f / 255, -1.0f / 255, 0x1p-149f, 0x1.fffffep-1f, -0x1.fffffep-1f};
    memcpy(x, special, sizeof special);
    struct check_buffer dx = check_upload(x, MOST);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint8_t got[MOST + 2 * GUARD], want[MOST + 2 * GUARD];
        size_t n = counts[i];
        struct vs_buffer *out;
        memset(want, 0xa5, sizeof want);
        check_ok(vs_buffer_create(&out, check_context, sizeof want));
        check_ok(vs_buffer_write(out, 0, want, sizeof want));
        vs_bytes_ref(want + GUARD, x, n);
        check_ok(vs_bytes_run(check_context, out, GUARD, dx.span, n));
        check_ok(vs_buffer_read(out, 0, got, sizeof got));
        ck_assert_mem_eq(got, want, sizeof want);
        vs_buffer_free(out);
    }
    check_free(&dx);
    free(x);
}
END_TEST

START_TEST(known_bytes)
{
    const float x[] = {-1, 1, 0, -0.5f, 0.25f, 2, -2, NAN};
    const uint8_t want[] = {0, 255, 128, 64, 159, 255, 0, 0}; /* 127.5 and 63.75, 159.375 */
    uint8_t got[8];
    vs_bytes_ref(got, x, 8);
    ck_assert_mem_eq(got, want, 8);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, layouts_equal_oracle, 0, N_SHAPES);
    tcase_add_test(tests, bytes_equal_oracle);
    tcase_add_test(tests, known_bytes);
}

int main(void)
{
    return check_main("pixels", add_tests);
}
