/* SPDX-License-Identifier: Apache-2.0
 *
 * check_rope.c - rotary embedding: the table against long double, the kernel against the oracle. */
#include "tests/check_common.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/norm/norm.h"
#include "kernels/rope/rope.h"

static const struct vs_rope_shape shapes[] = {
    {.head_dim = 2, .n_frames = 1, .grid_rows = 1, .grid_columns = 1},
    {.head_dim = 4, .n_frames = 2, .grid_rows = 3, .grid_columns = 1},
    {.head_dim = 6, .n_frames = 3, .grid_rows = 1, .grid_columns = 5},
    {.head_dim = 16, .n_frames = 3, .grid_rows = 2, .grid_columns = 3},
    {.head_dim = 24, .n_frames = 3, .grid_rows = 3, .grid_columns = 5},
    {.head_dim = 32, .n_frames = 4, .grid_rows = 4, .grid_columns = 6},
    {.head_dim = 64, .n_frames = 1, .grid_rows = 7, .grid_columns = 2},
    {.head_dim = 128, .n_frames = 2, .grid_rows = 3, .grid_columns = 4},
    {.head_dim = 130, .n_frames = 2, .grid_rows = 2, .grid_columns = 2},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_HEADS = 3, MAX_FRAMES = 4 };

static const int64_t frames[MAX_FRAMES] = {0, 1023, 20000, -7};

static float *make_table(const struct vs_rope_shape *shape, bool frame_only)
{
    float *table = check_nans(vs_rope_table_size(shape));
    vs_rope_table_fill(table, shape, frames, frame_only);
    return table;
}

static size_t n_tokens(const struct vs_rope_shape *shape)
{
    return shape->n_frames * shape->grid_rows * shape->grid_columns;
}

/* One (cos, sin) of the table against the formula. */
static void check_angle(const float *entry, int64_t position, size_t i, size_t n)
{
    long double angle = (long double)position * powl(10000.0L, -(long double)i / (long double)n);
    /* The angle is a float64; half a unit of float32 is the rest. */
    long double tolerance = 0.51L * (long double)FLT_EPSILON + fabsl(angle) * 0x1p-51L;
    ck_assert_ldouble_eq_tol((long double)entry[0], cosl(angle), tolerance);
    ck_assert_ldouble_eq_tol((long double)entry[1], sinl(angle), tolerance);
}

START_TEST(table_follows_the_formula)
{
    const struct vs_rope_shape *shape = &shapes[_i];
    size_t ns = shape->head_dim / 6, nf = shape->head_dim / 2 - 2 * ns;
    ck_assert_uint_eq(vs_rope_table_size(shape),
                      2 * (shape->n_frames * nf + (shape->grid_rows + shape->grid_columns) * ns));
    for (int frame_only = 0; frame_only < 2; frame_only++) {
        float *table = make_table(shape, frame_only);
        const float *entry = table;
        for (size_t f = 0; f < shape->n_frames; f++)
            for (size_t i = 0; i < nf; i++, entry += 2)
                check_angle(entry, frames[f], i, nf);
        for (size_t row = 0; row < shape->grid_rows; row++)
            for (size_t i = 0; i < ns; i++, entry += 2)
                check_angle(entry, frame_only ? 0 : (int64_t)row, i, ns);
        for (size_t column = 0; column < shape->grid_columns; column++)
            for (size_t i = 0; i < ns; i++, entry += 2)
                check_angle(entry, frame_only ? 0 : (int64_t)column, i, ns);
        free(table);
    }
}
END_TEST

/* The table decides bits of every video: it must not depend on the C library. */
START_TEST(table_has_known_bits)
{
    struct vs_rope_shape shape = {128, 4, 30, 52};
    size_t n = vs_rope_table_size(&shape);
    float *table = make_table(&shape, false);
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a over the words */
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &table[i], sizeof bits);
        hash = (hash ^ (table[i] == 0 ? 0 : bits)) * 0x100000001b3u;
    }
    ck_assert_msg(hash == 0x6cfbbbe529cf3694u, "hash of the table is %#llx",
                  (unsigned long long)hash);
    free(table);
}
END_TEST

START_TEST(kernels_equal_oracle)
{
    struct vs_rope rope = {.shape = shapes[_i], .n_heads = N_HEADS};
    size_t n = n_tokens(&rope.shape) * N_HEADS * rope.shape.head_dim;
    float *x = check_floats(n, 2), *table = make_table(&rope.shape, false), *want = check_nans(n);
    struct check_buffer dt = check_upload(table, vs_rope_table_size(&rope.shape));
    for (int backwards = 0; backwards < 2; backwards++) {
        rope.backwards = backwards;
        vs_rope_ref(want, x, table, &rope);
        struct check_buffer dx = check_upload(x, n);
        for (size_t i = 0; vs_rope_variant_name(i); i++) {
            if (!vs_rope_variant_usable(check_context, i))
                continue;
            struct check_buffer out = check_upload(NULL, n);
            for (int run = 0; run < check_n_runs(); run++) {
                check_ok(vs_rope_run_variant(check_context, i, out.span, dx.span, dt.span, &rope));
                check_bits(&out, want, "rope %s D=%zu backwards=%d", vs_rope_variant_name(i),
                           rope.shape.head_dim, backwards);
            }
            check_free(&out);
        }
        check_ok(vs_rope_run(check_context, dx.span, dx.span, dt.span, &rope));
        check_bits(&dx, want, "rope in place D=%zu", rope.shape.head_dim);
        check_free(&dx);
    }
    check_free(&dt);
    free(x), free(table), free(want);
}
END_TEST

/* RMSNorm before the turn: what both oracles give in sequence. */
START_TEST(norm_and_turn_equal_both_oracles)
{
    struct vs_rope rope = {.shape = shapes[_i], .n_heads = N_HEADS, .eps = 1e-6f};
    size_t width = N_HEADS * rope.shape.head_dim, n_rows = n_tokens(&rope.shape);
    size_t n = n_rows * width;
    float *x = check_floats(n, 2), *weight = check_floats(width, 1);
    float *table = make_table(&rope.shape, false);
    float *normed = check_nans(n), *want = check_nans(n);
    for (size_t i = 0; i < width; i++)
        x[i] = 0; /* a zero row: only eps stands under the root */
    vs_rmsnorm_ref(normed, x, weight, n_rows, width, rope.eps);
    vs_rope_ref(want, normed, table, &rope);
    struct check_buffer dx = check_upload(x, n), dw = check_upload(weight, width);
    struct check_buffer dt = check_upload(table, vs_rope_table_size(&rope.shape));
    rope.norm_weight = dw.span;
    for (size_t i = 0; vs_rope_variant_name(i); i++) {
        if (!vs_rope_variant_usable(check_context, i))
            continue;
        const char *name = vs_rope_variant_name(i);
        struct check_buffer out = check_upload(NULL, n), kept = check_upload(NULL, n);
        struct check_buffer in_place = check_upload(x, n);
        rope.normed = (struct vs_span){0};
        check_ok(vs_rope_run_variant(check_context, i, out.span, dx.span, dt.span, &rope));
        check_bits(&out, want, "norm and rope %s D=%zu", name, rope.shape.head_dim);
        check_ok(
            vs_rope_run_variant(check_context, i, in_place.span, in_place.span, dt.span, &rope));
        check_bits(&in_place, want, "norm and rope %s in place D=%zu", name, rope.shape.head_dim);
        check_free(&in_place);
        in_place = check_upload(x, n);
        rope.normed = kept.span;
        check_ok(vs_rope_run_variant(check_context, i, out.span, dx.span, dt.span, &rope));
        check_bits(&out, want, "norm, kept, and rope %s D=%zu", name, rope.shape.head_dim);
        check_bits(&kept, normed, "kept norm %s D=%zu", name, rope.shape.head_dim);
        rope.normed = in_place.span;
        check_ok(vs_rope_run_variant(check_context, i, out.span, in_place.span, dt.span, &rope));
        check_bits(&out, want, "norm in place and rope %s D=%zu", name, rope.shape.head_dim);
        check_bits(&in_place, normed, "norm in place %s D=%zu", name, rope.shape.head_dim);
        check_free(&out), check_free(&kept), check_free(&in_place);
    }
    check_free(&dx), check_free(&dw), check_free(&dt);
    free(x), free(weight), free(table), free(normed), free(want);
}
END_TEST

/* Into a ring cache and back: frames land in their slots and nowhere else, and turning back gives
 * the original up to rounding. */
START_TEST(slots_scatter_and_gather)
{
    enum { RING = 7, FIRST = 2 };
    size_t variant = (size_t)_i / N_SHAPES;
    if (!vs_rope_variant_usable(check_context, variant))
        return;
    const int32_t slots[FIRST + MAX_FRAMES] = {0, 0, 5, 1, 6, 3};
    struct vs_rope rope = {.shape = shapes[_i % N_SHAPES], .n_heads = N_HEADS};
    size_t frame_size = n_tokens(&rope.shape) / rope.shape.n_frames * N_HEADS * rope.shape.head_dim;
    size_t n = rope.shape.n_frames * frame_size;
    float *x = check_floats(n, 2), *table = make_table(&rope.shape, false);
    float *turned = check_nans(n), *ring = check_nans(RING * frame_size), *back = check_nans(n);
    vs_rope_ref(turned, x, table, &rope);
    for (size_t f = 0; f < rope.shape.n_frames; f++)
        memcpy(ring + (size_t)slots[FIRST + f] * frame_size, turned + f * frame_size,
               frame_size * sizeof *ring);
    struct check_buffer dx = check_upload(x, n), dring = check_upload(NULL, RING * frame_size);
    struct check_buffer dt = check_upload(table, vs_rope_table_size(&rope.shape));
    struct check_buffer out = check_upload(NULL, n);
    struct vs_buffer *dslots = check_ints(slots, FIRST + MAX_FRAMES);
    rope.out_slots = dslots;
    rope.first_out_slot = FIRST;
    check_ok(vs_rope_run_variant(check_context, variant, dring.span, dx.span, dt.span, &rope));
    check_bits(&dring, ring, "rope into slots, D=%zu", rope.shape.head_dim);

    rope = (struct vs_rope){.shape = rope.shape,
                            .n_heads = N_HEADS,
                            .backwards = true,
                            .in_slots = dslots,
                            .first_in_slot = FIRST};
    check_ok(vs_rope_run_variant(check_context, variant, out.span, dring.span, dt.span, &rope));
    vs_rope_ref(back, turned, table, &rope);
    check_bits(&out, back, "rope from slots, D=%zu", rope.shape.head_dim);
    for (size_t i = 0; i < n; i++)
        ck_assert_float_eq_tol(back[i], x[i], 1e-5f);
    check_free(&dx), check_free(&dring), check_free(&dt), check_free(&out);
    vs_buffer_free(dslots);
    free(x), free(table), free(turned), free(ring), free(back);
}
END_TEST

/* Every finite half comes out as the float it is: a turn of nothing. */
START_TEST(halves_are_widened_exactly)
{
    enum { N = 65536, OFFSET = 67, EXPONENT = 0x7c00, ONE = 0x3c00 };
    const float still[] = {1, 0};
    struct vs_rope rope = {
        .shape = {.head_dim = 2, .n_frames = 1, .grid_rows = 1, .grid_columns = N / 2},
        .n_heads = 1,
        .in = VS_F16};
    uint16_t *halves = malloc(N * sizeof *halves);
    float *want = check_nans(N);
    ck_assert_ptr_nonnull(halves);
    for (unsigned i = 0; i < N; i++)
        halves[i] = (uint16_t)((i & EXPONENT) == EXPONENT ? ONE : i);
    vs_dtype_widen(want, halves, VS_F16, N);
    struct check_buffer table = check_upload(still, 2);
    struct check_buffer x = check_upload_as(VS_F16, want, N, OFFSET), out = check_upload(NULL, N);
    for (size_t i = 0; vs_rope_variant_name(i); i++)
        if (vs_rope_variant_usable(check_context, i)) {
            check_ok(vs_rope_run_variant(check_context, i, out.span, x.span, table.span, &rope));
            check_bits(&out, want, "halves widened, %s", vs_rope_variant_name(i));
        }
    check_free(&table), check_free(&x), check_free(&out);
    free(halves), free(want);
}
END_TEST

/* Halves in, out and in place, as the ring cache keeps keys: rounded once, widened exactly. */
START_TEST(halves_equal_oracle)
{
    enum { OFFSET = 67 };
    static const enum vs_dtype formats[][2] = {
        {VS_F32, VS_F16}, {VS_F16, VS_F32}, {VS_F16, VS_F16}};
    struct vs_rope rope = {.shape = shapes[_i], .n_heads = N_HEADS, .eps = 1e-6f};
    size_t width = N_HEADS * rope.shape.head_dim, n = n_tokens(&rope.shape) * width;
    float *table = make_table(&rope.shape, false), *want = check_nans(n);
    float *weight = check_floats(width, 1);
    struct check_buffer dt = check_upload(table, vs_rope_table_size(&rope.shape));
    struct check_buffer dw = check_upload(weight, width);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        float *x = check_floats(n, 2), *turned = x, *normed = check_nans(n);
        rope.in = formats[i][0], rope.out = formats[i][1], rope.backwards = i % 2;
        check_round(rope.in, x, n);
        rope.norm_weight = rope.in == VS_F32 ? dw.span : (struct vs_span){0};
        if (rope.in == VS_F32) { /* as keys come into the cache */
            vs_rmsnorm_ref(normed, x, weight, n / width, width, rope.eps);
            turned = normed;
        }
        vs_rope_ref(want, turned, table, &rope);
        check_round(rope.out, want, n);
        for (size_t v = 0; vs_rope_variant_name(v); v++) {
            if (!vs_rope_variant_usable(check_context, v))
                continue;
            struct check_buffer dx = check_upload_as(rope.in, x, n, OFFSET);
            struct check_buffer out = check_upload_as(rope.out, NULL, n, OFFSET);
            check_ok(vs_rope_run_variant(check_context, v, out.span, dx.span, dt.span, &rope));
            check_bits(&out, want, "rope %s, %s to %s D=%zu", vs_rope_variant_name(v),
                       vs_dtype_info(rope.in)->name, vs_dtype_info(rope.out)->name,
                       rope.shape.head_dim);
            if (rope.in == rope.out) {
                check_ok(vs_rope_run_variant(check_context, v, dx.span, dx.span, dt.span, &rope));
                check_bits(&dx, want, "rope of halves in place D=%zu", rope.shape.head_dim);
            }
            check_free(&dx), check_free(&out);
        }
        free(x), free(normed);
    }
    check_free(&dt), check_free(&dw);
    free(table), free(want), free(weight);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    struct vs_rope good = {.shape = {24, 2, 3, 4}, .n_heads = 2};
    size_t n = n_tokens(&good.shape) * 2 * 24;
    struct check_buffer x = check_upload(NULL, n), out = check_upload(NULL, n);
    struct check_buffer table = check_upload(NULL, vs_rope_table_size(&good.shape));
    struct vs_buffer *slots = check_ints((const int32_t[]){0, 1}, 2);
    struct vs_rope bad[] = {good, good, good, good, good, good, good, good, good, good};
    bad[0].shape.head_dim = 23;
    bad[1].shape.n_frames = 100;
    bad[2].shape.grid_rows = SIZE_MAX / 2;
    bad[3].in_slots = slots;
    bad[3].first_in_slot = 1;
    bad[4].out_slots = slots;
    bad[4].first_out_slot = SIZE_MAX;
    bad[5].normed = out.span; /* without a norm */
    bad[6].norm_weight = (struct vs_span){x.span.buffer, SIZE_MAX};
    bad[7].norm_weight = x.span;
    bad[7].normed = table.span; /* too small */
    bad[8].out = VS_I16;
    bad[9].in = VS_F16; /* of which there is no norm */
    bad[9].norm_weight = x.span;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(vs_rope_run(check_context, out.span, x.span, table.span, &bad[i]) ==
                          VS_ERROR_RUNTIME,
                      "bad argument %zu was accepted", i);
    check_free(&x), check_free(&out), check_free(&table);
    vs_buffer_free(slots);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, table_follows_the_formula, 0, N_SHAPES);
    tcase_add_test(tests, table_has_known_bits);
    tcase_add_loop_test(tests, kernels_equal_oracle, 0, N_SHAPES);
    tcase_add_loop_test(tests, norm_and_turn_equal_both_oracles, 0, N_SHAPES);
    tcase_add_loop_test(tests, slots_scatter_and_gather, 0, 2 * N_SHAPES);
    tcase_add_test(tests, halves_are_widened_exactly);
    tcase_add_loop_test(tests, halves_equal_oracle, 0, N_SHAPES);
    tcase_add_test(tests, bad_arguments_are_refused);
}

int main(void)
{
    return check_main("rope", add_tests);
}
