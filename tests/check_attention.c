/* SPDX-License-Identifier: Apache-2.0
 *
 * check_attention.c - every variant of attention against the oracle, bit for bit. */
#include "tests/check_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention/attention.h"
#include "kernels/common/variant.h"

/* Edges: one key, one query, a tile of 64 keys, groups of 6, 8 and 16 keys or channels, blocks of
 * 16, 48 and 64 queries, slices of 4 to 16 keys, a block of 256 channels, head widths that no
 * vector divides. Few widths, since each is a compilation of every variant. */
static const struct vs_attention shapes[] = {
    {.n_queries = 1, .n_keys = 1, .n_heads = 1, .head_dim = 16},
    {.n_queries = 5, .n_keys = 7, .n_heads = 2, .head_dim = 16},
    {.n_queries = 16, .n_keys = 64, .n_heads = 2, .head_dim = 32},
    {.n_queries = 97, .n_keys = 9, .n_heads = 1, .head_dim = 32},
    {.n_queries = 17, .n_keys = 65, .n_heads = 2, .head_dim = 24},
    {.n_queries = 33, .n_keys = 63, .n_heads = 1, .head_dim = 24},
    {.n_queries = 49, .n_keys = 129, .n_heads = 2, .head_dim = 128},
    {.n_queries = 7, .n_keys = 66, .n_heads = 1, .head_dim = 257},
    {.n_queries = 19, .n_keys = 70, .n_heads = 1, .head_dim = 384},
    {.n_queries = 3, .n_keys = 72, .n_heads = 1, .head_dim = 1},
    {.n_queries = 48, .n_keys = 200, .n_heads = 2, .head_dim = 7},
    {.n_queries = 64, .n_keys = 81, .n_heads = 1, .head_dim = 7},
    {.n_queries = 65, .n_keys = 16, .n_heads = 3, .head_dim = 1},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };
enum { KV_OFFSET = 67 }; /* odd: halves stand at no address that a float may have */

struct data {
    struct vs_attention shape;
    size_t n_rows, n_q, n_kv, n_out, n_bias; /* rows of the ring; elements of each array */
    float *q, *k, *v, *bias;
    int32_t *slots;
};

static size_t stride_of(size_t stride, const struct vs_attention *a)
{
    return stride ? stride : a->n_heads * a->head_dim;
}

/* Random data; per_slot > 0: rows in slots of that size, in shuffled order, in a ring with room
 * for two more. sharpness scales the scores. */
static struct data make(const struct vs_attention *shape, size_t per_slot, bool bias,
                        float sharpness)
{
    struct data d = {.shape = *shape};
    struct vs_attention *a = &d.shape;
    size_t width = a->n_heads * a->head_dim, n_slots = 0;
    a->scale = (float)(1 / sqrt((double)a->head_dim));
    d.n_rows = a->n_keys;
    if (per_slot) {
        a->rows_per_slot = per_slot;
        n_slots = (a->n_keys + per_slot - 1) / per_slot + 2;
        d.n_rows = n_slots * per_slot;
        d.slots = malloc(n_slots * sizeof *d.slots);
        ck_assert_ptr_nonnull(d.slots);
        for (size_t i = 0; i < n_slots; i++) {
            size_t j = check_random_below(i + 1);
            d.slots[i] = d.slots[j];
            d.slots[j] = (int32_t)i;
        }
    }
    d.n_q = (a->n_queries - 1) * stride_of(a->q_stride, a) + width;
    d.n_kv = (d.n_rows - 1) * stride_of(a->kv_stride, a) + width;
    d.n_out = (a->n_queries - 1) * stride_of(a->out_stride, a) + width;
    d.q = check_floats(d.n_q, sharpness);
    d.k = check_floats(d.n_kv, sharpness);
    d.v = check_floats(d.n_kv, 1);
    check_round(a->kv, d.k, d.n_kv);
    check_round(a->kv, d.v, d.n_kv);
    if (bias) {
        d.n_bias = a->n_heads * (a->n_queries + a->n_keys - 1);
        d.bias = check_floats(d.n_bias, 2);
    }
    return d;
}

static void free_data(struct data *d)
{
    free(d->q), free(d->k), free(d->v), free(d->bias), free(d->slots);
}

/* Whether an interpreter bears it: blocks of queries and keys are computed whole. */
static bool affordable(const struct vs_attention *a, size_t variant)
{
    if (strncmp(vs_attention_variant_name(variant), "group", 5) != 0)
        return true;
    size_t n_blocks = (a->n_queries + 63) / 64 * ((a->n_keys + 63) / 64) * a->n_heads;
    return check_affordable((double)(n_blocks * 4096));
}

/* Every usable variant, twice, and the one that is chosen, equal the oracle; what lies between the
 * strided rows stays as it was. */
static void compare(const struct data *d, const char *what)
{
    struct vs_attention a = d->shape;
    size_t n_run = 0;
    if (!check_affordable((double)(a.n_queries * a.n_keys * a.n_heads * a.head_dim)))
        return;
    float *want = check_nans(d->n_out);
    check_ok(vs_attention_ref(want, d->q, d->k, d->v, d->bias, d->slots, &a));
    struct check_buffer q = check_upload(d->q, d->n_q), bias = {0};
    struct check_buffer k = check_upload_as(a.kv, d->k, d->n_kv, KV_OFFSET);
    struct check_buffer v = check_upload_as(a.kv, d->v, d->n_kv, KV_OFFSET);
    if (d->bias)
        bias = check_upload(d->bias, d->n_bias);
    a.bias = bias.span;
    struct vs_buffer *slots = NULL;
    if (d->slots)
        slots = check_ints(d->slots, d->n_rows / a.rows_per_slot);
    a.slots = slots;
    for (size_t i = 0; vs_attention_variant_name(i); i++) {
        if (!vs_attention_variant_usable(check_context, i, &a) || !affordable(&a, i))
            continue;
        struct check_buffer out = check_upload(NULL, d->n_out);
        for (int run = 0; run < check_n_runs(); run++) {
            check_ok(
                vs_attention_run_variant(check_context, i, out.span, q.span, k.span, v.span, &a));
            n_run++;
            check_bits(&out, want, "attention %s, %s, %s, %zu x %zu, %zu heads of %zu, run %d",
                       vs_attention_variant_name(i), what, vs_dtype_info(a.kv)->name, a.n_queries,
                       a.n_keys, a.n_heads, a.head_dim, run);
        }
        check_free(&out);
    }
    /* The plain one and, on CPUs, a tile. */
    ck_assert_uint_ge(n_run, (vs_variant_tiles(check_context) ? 2 : 1) * (size_t)check_n_runs());
    struct check_buffer out = check_upload(NULL, d->n_out);
    check_ok(vs_attention_run(check_context, out.span, q.span, k.span, v.span, &a));
    check_bits(&out, want, "attention as chosen, %s", what);
    check_free(&out), check_free(&q), check_free(&k), check_free(&v);
    if (d->bias)
        check_free(&bias);
    vs_buffer_free(slots);
    free(want);
}

START_TEST(contiguous_rows_equal_oracle)
{
    struct data d = make(&shapes[_i], 0, false, 1);
    compare(&d, "contiguous");
    free_data(&d);
}
END_TEST

/* Scores far apart: weights below e^-64 are 0, running maxima jump from tile to tile. */
START_TEST(sharp_scores_equal_oracle)
{
    struct data d = make(&shapes[_i], 0, false, 12);
    compare(&d, "sharp");
    free_data(&d);
}
END_TEST

START_TEST(ring_slots_equal_oracle)
{
    static const size_t per_slot[] = {1, 3, 7, 24, 64, 100};
    const struct vs_attention *shape = &shapes[_i];
    struct data d =
        make(shape, per_slot[(size_t)_i % (sizeof per_slot / sizeof *per_slot)], false, 1.5f);
    compare(&d, "slots");
    free_data(&d);
}
END_TEST

/* Keys and values as halves, in slots and with strides; few shapes, since each is a compilation
 * of every variant; the last is one that an interpreter bears. Random cases and `validate` have more. */
START_TEST(halves_equal_oracle)
{
    static const size_t chosen[] = {4, 10, 1};
    struct vs_attention shape = shapes[chosen[_i]];
    size_t width = shape.n_heads * shape.head_dim;
    shape.kv = VS_F16;
    struct data d = make(&shape, 0, _i % 2, 1.5f);
    compare(&d, "halves");
    free_data(&d);
    shape.kv_stride = 2 * width + 1;
    d = make(&shape, 24, false, 4);
    compare(&d, "halves in slots");
    free_data(&d);
}
END_TEST

START_TEST(bias_equals_oracle)
{
    struct data d = make(&shapes[_i], 0, true, 1);
    d.shape.scale = 1; /* as the text encoder has it */
    compare(&d, "bias");
    free_data(&d);
}
END_TEST

/* q, k and v side by side in one row, as a fused projection leaves them. */
START_TEST(strides_equal_oracle)
{
    struct vs_attention shape = shapes[_i];
    size_t width = shape.n_heads * shape.head_dim;
    shape.q_stride = 3 * width;
    shape.kv_stride = 3 * width;
    shape.out_stride = width + 5;
    struct data d = make(&shape, 0, false, 1);
    compare(&d, "strides");
    free_data(&d);
}
END_TEST

/* A heavy first key must decay to nothing when later tiles bring higher scores, and equal scores
 * must share the weight: the sum over all keys is 1, so constant values come back unchanged. */
START_TEST(weights_sum_to_one)
{
    struct vs_attention shape = {.n_queries = 20, .n_keys = 150, .n_heads = 2, .head_dim = 32};
    struct data d = make(&shape, 0, false, 3);
    for (size_t i = 0; i < d.n_kv; i++)
        d.v[i] = 2.5f;
    struct check_buffer q = check_upload(d.q, d.n_q), k = check_upload(d.k, d.n_kv);
    struct check_buffer v = check_upload(d.v, d.n_kv), out = check_upload(NULL, d.n_out);
    check_ok(vs_attention_run(check_context, out.span, q.span, k.span, v.span, &d.shape));
    float *got = check_nans(d.n_out);
    check_ok(vs_buffer_read(out.buffer, out.span.offset * sizeof *got, got, d.n_out * sizeof *got));
    for (size_t i = 0; i < d.n_out; i++)
        ck_assert_float_eq_tol(got[i], 2.5f, 2e-6f);
    check_free(&q), check_free(&k), check_free(&v), check_free(&out);
    free(got), free_data(&d);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    struct vs_attention shape = {.n_queries = 4, .n_keys = 9, .n_heads = 2, .head_dim = 8};
    struct data d = make(&shape, 0, false, 1);
    struct check_buffer q = check_upload(d.q, d.n_q), k = check_upload(d.k, d.n_kv);
    struct check_buffer v = check_upload(d.v, d.n_kv), out = check_upload(NULL, d.n_out);
    struct vs_buffer *slots = check_ints((const int32_t[]){0, 1}, 2);
    struct vs_attention bad[] = {d.shape, d.shape, d.shape, d.shape, d.shape, d.shape,
                                 d.shape, d.shape, d.shape, d.shape, d.shape};
    bad[0].n_keys = 0;
    bad[1].head_dim = 0;
    bad[2].n_keys = 1000;             /* past the end of k and v */
    bad[3].n_queries = 1000;          /* past the end of q and out */
    bad[4].n_heads = SIZE_MAX / 4;    /* the product overflows */
    bad[5].q_stride = 15;             /* rows overlap */
    bad[6].out_stride = SIZE_MAX / 2; /* the product overflows */
    bad[7].slots = slots;             /* no rows per slot */
    bad[8].slots = slots;             /* three slots needed, two given */
    bad[8].rows_per_slot = 4;
    bad[9].bias = q.span; /* shorter than [N, queries + keys - 1] */
    bad[9].bias.offset = vs_buffer_bytes(q.buffer) / sizeof(float) - 20;
    bad[10].kv = VS_BF16;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(vs_attention_run(check_context, out.span, q.span, k.span, v.span, &bad[i]) ==
                          VS_ERROR_RUNTIME,
                      "bad argument %zu was accepted", i);
        ck_assert_uint_gt(strlen(vs_error_message()), 10);
    }
    struct vs_span none = {0};
    ck_assert_int_eq(vs_attention_run(check_context, out.span, none, k.span, v.span, &d.shape),
                     VS_ERROR_RUNTIME);
    ck_assert_int_eq(
        vs_attention_run_variant(check_context, 99, out.span, q.span, k.span, v.span, &d.shape),
        VS_ERROR_RUNTIME);
    float *untouched = check_nans(d.n_out);
    check_bits(&out, untouched, "after refusals");
    free(untouched), free_data(&d);
    check_free(&q), check_free(&k), check_free(&v), check_free(&out);
    vs_buffer_free(slots);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, contiguous_rows_equal_oracle, 0, N_SHAPES);
    tcase_add_loop_test(tests, sharp_scores_equal_oracle, 0, N_SHAPES);
    tcase_add_loop_test(tests, ring_slots_equal_oracle, 0, N_SHAPES);
    tcase_add_loop_test(tests, halves_equal_oracle, 0, 3);
    tcase_add_loop_test(tests, bias_equals_oracle, 0, N_SHAPES);
    tcase_add_loop_test(tests, strides_equal_oracle, 0, N_SHAPES);
    tcase_add_test(tests, weights_sum_to_one);
    tcase_add_test(tests, bad_arguments_are_refused);
}

int main(void)
{
    return check_main("attention", add_tests);
}
