/* SPDX-License-Identifier: Apache-2.0
 *
 * check_memory.c - the state-space memory against its oracle, bit for bit.
 *
 * Head widths below, between and over 16, 32, 64 and 128 columns; gates per head and per channel;
 * rows in the ring cache and contiguous. */
#include "tests/check_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/memory/memory.h"

static const size_t head_dims[] = {4, 24, 132, 128};
enum { N_DIMS = sizeof head_dims / sizeof *head_dims, N_HEADS = 3 };

START_TEST(unit_length_equals_oracle)
{
    static const size_t widths[] = {1, 7, 16, 24, 63, 64, 65, 128, 130};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t dim = widths[i], n = 6 * dim;
        float *x = check_floats(n, 2), *want = check_nans(n);
        for (size_t d = 0; d < dim; d++) {
            x[d] = 0; /* only eps stands under the root */
            x[dim + d] *= 1e-4f;
        }
        vs_unit_ref(want, x, 6, dim, 1e-6f);
        struct check_buffer dx = check_upload(x, n), out = check_upload(NULL, n);
        for (int run = 0; run < check_n_runs(); run++) {
            check_ok(vs_unit_run(check_context, out.span, dx.span, 6, dim, 1e-6f));
            check_bits(&out, want, "unit length D=%zu run %d", dim, run);
        }
        check_ok(vs_unit_run(check_context, dx.span, dx.span, 6, dim, 1e-6f));
        check_bits(&dx, want, "unit length in place D=%zu", dim);
        check_free(&dx), check_free(&out);
        free(x), free(want);
    }
}
END_TEST

/* Rows of width elements, row j to ring row slots[first + j / per_slot] * per_slot + j % per_slot;
 * the rest of the ring stays NaN. */
static float *scatter(const float *rows, size_t n_rows, size_t width, const int32_t *slots,
                      size_t first, size_t per_slot, size_t n_slots)
{
    float *ring = check_nans(n_slots * per_slot * width);
    for (size_t j = 0; j < n_rows; j++) {
        size_t there = (size_t)slots[first + j / per_slot] * per_slot + j % per_slot;
        memcpy(ring + there * width, rows + j * width, width * sizeof *ring);
    }
    return ring;
}

/* Room for the rows of a test in five slots, of which the first two entries are skipped. */
static const int32_t ring_slots[] = {9, 9, 4, 0, 3, 1, 5};
enum { FIRST_SLOT = 2, N_ENTRIES = 7, N_SLOTS = 6 };

START_TEST(gates_equal_oracle)
{
    static const size_t widths[][2] = {{1, 1}, {4, 4}, {96, 4}, {4, 96}, {33, 17}, {192, 192}};
    size_t wb = widths[_i][0], wa = widths[_i][1], n_rows = 13;
    float *b = check_floats(n_rows * wb, 4), *a = check_floats(n_rows * wa, 4);
    float *a_log = check_floats(wa, 1);
    b[0] = -100, a[0] = 50; /* far from zero nothing overflows */
    float *beta = check_nans(n_rows * wb), *alpha = check_nans(n_rows * wa);
    vs_gates_ref(beta, alpha, b, a, a_log, n_rows, wb, wa);
    struct check_buffer db = check_upload(b, n_rows * wb), da = check_upload(a, n_rows * wa);
    struct check_buffer dlog = check_upload(a_log, wa);
    struct check_buffer out_b = check_upload(NULL, n_rows * wb);
    struct check_buffer out_a = check_upload(NULL, n_rows * wa);
    const struct vs_gates_shape shape = {.n_rows = n_rows, .beta_width = wb, .alpha_width = wa};
    for (int run = 0; run < check_n_runs(); run++) {
        check_ok(vs_gates_run(check_context, out_b.span, out_a.span, db.span, da.span, dlog.span,
                              &shape));
        check_bits(&out_b, beta, "beta, width %zu, run %d", wb, run);
        check_bits(&out_a, alpha, "alpha, width %zu, run %d", wa, run);
    }
    check_ok(vs_gates_run(check_context, db.span, da.span, db.span, da.span, dlog.span, &shape));
    check_bits(&db, beta, "beta in place, width %zu", wb);
    check_bits(&da, alpha, "alpha in place, width %zu", wa);
    for (size_t i = 0; i < n_rows * wa; i++)
        ck_assert(alpha[i] <= 0);
    check_free(&db), check_free(&da), check_free(&dlog), check_free(&out_b), check_free(&out_a);
    free(b), free(a), free(a_log), free(beta), free(alpha);
}
END_TEST

/* Tokens to fold: unit keys, decays in (0, 1], beta in (0, 1). */
struct tokens {
    struct vs_memory_update update;
    size_t width;
    float *state, *k, *v, *beta, *alpha;
};

static struct tokens make_tokens(size_t n_rows, size_t dim, bool beta_head_wise,
                                 bool alpha_head_wise)
{
    size_t width = N_HEADS * dim;
    struct tokens t = {.width = width,
                       .update = {.n_rows = n_rows,
                                  .n_heads = N_HEADS,
                                  .head_dim = dim,
                                  .beta_width = beta_head_wise ? N_HEADS : width,
                                  .alpha_width = alpha_head_wise ? N_HEADS : width}};
    t.state = check_floats(width * dim, 1);
    t.k = check_floats(n_rows * width, 1);
    t.v = check_floats(n_rows * width, 1);
    t.beta = check_floats(n_rows * t.update.beta_width, 2);
    t.alpha = check_floats(n_rows * t.update.alpha_width, 1);
    float *a_log = check_floats(t.update.alpha_width, 0.3f);
    for (size_t i = 0; i < n_rows * t.update.alpha_width; i++)
        t.alpha[i] -= 3;
    vs_unit_ref(t.k, t.k, n_rows * N_HEADS, dim, 1e-6f);
    vs_gates_ref(t.beta, t.alpha, t.beta, t.alpha, a_log, n_rows, t.update.beta_width,
                 t.update.alpha_width);
    free(a_log);
    return t;
}

static void free_tokens(struct tokens *t)
{
    free(t->state), free(t->k), free(t->v), free(t->beta), free(t->alpha);
}

/* Every variant, contiguous and in slots, from the same state, equals the oracle. */
static void compare_update(struct tokens *t)
{
    struct vs_memory_update update = t->update;
    if (!check_affordable(8.0 * (double)(update.n_rows * t->width * update.head_dim)))
        return;
    size_t n_state = t->width * update.head_dim, n_rows = update.n_rows, per_slot = 11;
    float *want = check_nans(n_state);
    memcpy(want, t->state, n_state * sizeof *want);
    check_round(update.v, t->v, n_rows * t->width);
    vs_memory_update_ref(want, t->k, t->v, t->beta, t->alpha, &update);
    struct check_buffer k = check_upload(t->k, n_rows * t->width);
    struct vs_buffer *slots = check_ints(ring_slots, N_ENTRIES);
    for (int ring = 0; ring < 2; ring++) {
        size_t n_cache = ring ? N_SLOTS * per_slot : n_rows;
        float *host[3] = {t->v, t->beta, t->alpha};
        size_t width[3] = {t->width, update.beta_width, update.alpha_width};
        struct check_buffer cache[3];
        for (int i = 0; i < 3; i++) {
            float *rows =
                ring ? scatter(host[i], n_rows, width[i], ring_slots, FIRST_SLOT, per_slot, N_SLOTS)
                     : host[i];
            cache[i] = check_upload_as(i ? VS_F32 : update.v, rows, n_cache * width[i], 67);
            if (ring)
                free(rows);
        }
        update.slots = ring ? slots : NULL;
        update.first_slot = FIRST_SLOT;
        update.rows_per_slot = per_slot;
        for (size_t i = 0; vs_memory_update_variant_name(i); i++) {
            if (!vs_memory_update_variant_usable(check_context, i, &update))
                continue;
            struct check_buffer state = check_upload(t->state, n_state);
            check_ok(vs_memory_update_run_variant(check_context, i, state.span, k.span,
                                                  cache[0].span, cache[1].span, cache[2].span,
                                                  &update));
            check_bits(&state, want,
                       "memory update %s, %s, slots %d, %zu tokens, D=%zu, gates %zu %zu",
                       vs_memory_update_variant_name(i), vs_dtype_info(update.v)->name, ring,
                       n_rows, update.head_dim, update.beta_width, update.alpha_width);
            check_free(&state);
        }
        struct check_buffer state = check_upload(t->state, n_state);
        check_ok(vs_memory_update_run(check_context, state.span, k.span, cache[0].span,
                                      cache[1].span, cache[2].span, &update));
        check_bits(&state, want, "memory update as chosen, slots %d", ring);
        check_free(&state);
        for (int i = 0; i < 3; i++)
            check_free(&cache[i]);
    }
    check_free(&k);
    vs_buffer_free(slots);
    free(want);
}

START_TEST(update_equals_oracle)
{
    static const size_t counts[] = {1, 4, 53};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int gates = 0; gates < 4; gates++) {
            struct tokens t = make_tokens(counts[i], head_dims[_i], gates & 1, gates & 2);
            compare_update(&t);
            free_tokens(&t);
        }
}
END_TEST

/* Values as the ring cache keeps them in half the memory. */
START_TEST(update_of_halves_equals_oracle)
{
    struct tokens t = make_tokens(13, head_dims[_i], _i % 2, _i / 2 % 2);
    t.update.v = VS_F16;
    compare_update(&t);
    free_tokens(&t);
}
END_TEST

/* Folding tokens in two launches equals one launch: how many leave at once decides no bit. */
START_TEST(update_can_be_cut)
{
    struct tokens t = make_tokens(40, 24, false, false);
    struct check_buffer k = check_upload(t.k, 40 * t.width), v = check_upload(t.v, 40 * t.width);
    struct check_buffer beta = check_upload(t.beta, 40 * t.width);
    struct check_buffer alpha = check_upload(t.alpha, 40 * t.width);
    struct check_buffer state = check_upload(t.state, t.width * 24);
    vs_memory_update_ref(t.state, t.k, t.v, t.beta, t.alpha, &t.update);
    size_t done = 0;
    for (int part = 0; part < 2; part++) {
        struct vs_memory_update update = t.update;
        size_t skip = done * t.width;
        update.n_rows = part ? 27 : 13;
        check_ok(vs_memory_update_run(check_context, state.span,
                                      vs_span_at(k.buffer, k.span.offset + skip),
                                      vs_span_at(v.buffer, v.span.offset + skip),
                                      vs_span_at(beta.buffer, beta.span.offset + skip),
                                      vs_span_at(alpha.buffer, alpha.span.offset + skip), &update));
        done += update.n_rows;
    }
    check_bits(&state, t.state, "update cut after 13 of 40 tokens");
    check_free(&k), check_free(&v), check_free(&beta), check_free(&alpha), check_free(&state);
    free_tokens(&t);
}
END_TEST

/* The delta rule stores what it is told: with beta 1 and no decay, reading with the key that was
 * written last gives its value back. */
START_TEST(last_token_is_remembered)
{
    struct tokens t = make_tokens(9, 32, false, false);
    for (size_t i = 0; i < 9 * t.width; i++) {
        t.beta[i] = 1;
        t.alpha[i] = 0;
    }
    vs_memory_update_ref(t.state, t.k, t.v, t.beta, t.alpha, &t.update);
    const float *k = t.k + 8 * t.width, *v = t.v + 8 * t.width;
    for (size_t head = 0; head < N_HEADS; head++)
        for (size_t column = 0; column < 32; column++) {
            double y = 0;
            for (size_t i = 0; i < 32; i++)
                y += (double)k[head * 32 + i] * (double)t.state[(head * 32 + i) * 32 + column];
            ck_assert_double_eq_tol(y, (double)v[head * 32 + column], 1e-4);
        }
    free_tokens(&t);
}
END_TEST

START_TEST(router_equals_oracle)
{
    static const size_t widths[] = {1, 15, 16, 96, 193};
    const float log_rho[] = {-3.5835189f, -1.2f, -0.01f, 0};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t n = widths[i];
        float *w = check_floats(n, 1), *b = check_floats(n, 2), *want = check_nans(4 * n);
        vs_router_ref(want, w, b, log_rho, 4, n);
        struct check_buffer dw = check_upload(w, n), db = check_upload(b, n);
        struct check_buffer dl = check_upload(log_rho, 4), out = check_upload(NULL, 4 * n);
        check_ok(vs_router_run(check_context, out.span, dw.span, db.span, dl.span, 4, n));
        check_bits(&out, want, "router, %zu channels", n);
        check_free(&dw), check_free(&db), check_free(&dl), check_free(&out);
        free(w), free(b), free(want);
    }
}
END_TEST

START_TEST(read_equals_oracle)
{
    size_t dim = head_dims[_i], width = N_HEADS * dim, n = 19 * width;
    struct vs_memory_read read = {
        .n_rows = 19, .n_heads = N_HEADS, .head_dim = dim, .rows_per_frame = 4, .eps = 1e-6f};
    static const float state_scale[] = {1, 1e-3f, 0}; /* 0: before the first eviction */
    if (!check_affordable((double)(n * dim)))
        return;
    float *q = check_floats(n, 1), *g = check_floats(n, 1), *local = check_floats(n, 1);
    float *weight = check_floats(dim, 1), *gamma = check_floats(5 * width, 1);
    vs_unit_ref(q, q, 19 * N_HEADS, dim, 1e-6f);
    struct check_buffer dq = check_upload(q, n), dg = check_upload(g, n);
    struct check_buffer dw = check_upload(weight, dim), dgamma = check_upload(gamma, 5 * width);
    for (int i = 0; i < 3; i++) {
        float *state = check_floats(width * dim, state_scale[i]), *want = check_nans(n);
        vs_memory_read_ref(want, q, state, g, weight, gamma, local, &read);
        struct check_buffer dstate = check_upload(state, width * dim);
        struct check_buffer dlocal = check_upload(local, n);
        for (size_t variant = 0; vs_memory_read_variant_name(variant); variant++) {
            if (!vs_memory_read_variant_usable(check_context, variant, &read))
                continue;
            struct check_buffer out = check_upload(NULL, n);
            for (int run = 0; run < check_n_runs(); run++) {
                check_ok(vs_memory_read_run_variant(check_context, variant, out.span, dq.span,
                                                    dstate.span, dg.span, dw.span, dgamma.span,
                                                    dlocal.span, &read));
                check_bits(&out, want, "memory read %s D=%zu run %d",
                           vs_memory_read_variant_name(variant), dim, run);
            }
            check_free(&out);
        }
        check_ok(vs_memory_read_run(check_context, dlocal.span, dq.span, dstate.span, dg.span,
                                    dw.span, dgamma.span, dlocal.span, &read));
        check_bits(&dlocal, want, "memory read in place D=%zu", dim);
        if (state_scale[i] == 0)
            check_bits(&dlocal, local, "an empty state adds nothing, D=%zu", dim);
        check_free(&dstate), check_free(&dlocal);
        free(state), free(want);
    }
    check_free(&dq), check_free(&dg), check_free(&dw), check_free(&dgamma);
    free(q), free(g), free(local), free(weight), free(gamma);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    struct tokens t = make_tokens(4, 8, false, true);
    struct check_buffer state = check_upload(t.state, t.width * 8);
    struct check_buffer k = check_upload(t.k, 4 * t.width), v = check_upload(t.v, 4 * t.width);
    struct check_buffer beta = check_upload(t.beta, 4 * t.width);
    struct check_buffer alpha = check_upload(t.alpha, 4 * N_HEADS);
    struct vs_buffer *slots = check_ints(ring_slots, N_ENTRIES);
    struct vs_memory_update bad[7];
    for (size_t i = 0; i < 7; i++)
        bad[i] = t.update;
    bad[0].head_dim = 6; /* no quarters */
    bad[1].head_dim = 0;
    bad[2].n_rows = 100;           /* past the end */
    bad[3].n_heads = SIZE_MAX / 4; /* the product overflows */
    bad[4].beta_width = 5;         /* neither per head nor per channel */
    bad[5].slots = slots;          /* no rows per slot */
    bad[6].slots = slots;          /* past the end of the slots */
    bad[6].rows_per_slot = 1;
    bad[6].first_slot = 4;
    for (size_t i = 0; i < 7; i++)
        ck_assert_msg(vs_memory_update_run(check_context, state.span, k.span, v.span, beta.span,
                                           alpha.span, &bad[i]) == VS_ERROR_RUNTIME,
                      "bad argument %zu was accepted", i);
    check_bits(&state, t.state, "state after refusals");
    struct vs_memory_read read = {.n_rows = 4, .n_heads = N_HEADS, .head_dim = 8, .eps = 1e-6f};
    ck_assert_int_eq(vs_memory_read_run(check_context, v.span, k.span, state.span, k.span, k.span,
                                        k.span, k.span, &read),
                     VS_ERROR_RUNTIME); /* no rows per frame */
    ck_assert_int_eq(vs_unit_run(check_context, v.span, k.span, 100, 8, 1e-6f), VS_ERROR_RUNTIME);
    ck_assert_int_eq(vs_router_run(check_context, v.span, k.span, k.span, k.span, 100, 8),
                     VS_ERROR_RUNTIME);
    check_free(&state), check_free(&k), check_free(&v), check_free(&beta), check_free(&alpha);
    vs_buffer_free(slots);
    free_tokens(&t);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, unit_length_equals_oracle);
    tcase_add_loop_test(tests, gates_equal_oracle, 0, 6);
    tcase_add_loop_test(tests, update_equals_oracle, 0, N_DIMS);
    tcase_add_loop_test(tests, update_of_halves_equals_oracle, 0, N_DIMS);
    tcase_add_test(tests, update_can_be_cut);
    tcase_add_test(tests, last_token_is_remembered);
    tcase_add_test(tests, router_equals_oracle);
    tcase_add_loop_test(tests, read_equals_oracle, 0, N_DIMS);
    tcase_add_test(tests, bad_arguments_are_refused);
}

int main(void)
{
    return check_main("memory", add_tests);
}
