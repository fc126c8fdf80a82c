/* SPDX-License-Identifier: Apache-2.0
 *
 * check_gemm.c - every variant of linear layers against the oracle, bit for bit. */
#include "tests/check_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gemm/gemm.h"

/* A matrix of format dtype with sane values: random quants, scales near 1. */
static uint8_t *random_matrix(enum vs_dtype dtype, size_t n)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    size_t n_blocks = n / info->n_elements, n_bytes = n_blocks * info->n_bytes;
    uint8_t *bytes = malloc(n_bytes ? n_bytes : 1);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)check_random();
    for (size_t b = 0; b < n_blocks; b++) {
        uint8_t *block = bytes + b * info->n_bytes;
        switch (dtype) {
        case VS_F32:
            block[3] = (uint8_t)((block[3] & 0x80) | 0x3e); /* 0.125 .. 0.5 and near */
            break;
        case VS_F16:
            block[1] = (uint8_t)((block[1] & 0x83) | 0x30);
            break;
        case VS_BF16:
            block[1] = (uint8_t)((block[1] & 0x80) | 0x3e);
            break;
        default: /* scales of blocks, f16 */
            block[1] = (uint8_t)((block[1] & 0x83) | 0x14);
            if (dtype == VS_Q4_K)
                block[3] = (uint8_t)((block[3] & 0x83) | 0x14);
        }
    }
    return bytes;
}

struct problem {
    size_t m, n, k;
    enum vs_dtype dtype;
    enum vs_epilogue epilogue;
    bool bias, in_place;
    size_t rows_per_gate;
};

/* What a variant with a bound may be off, element by element: 2^-16 of the sum of the products'
 * magnitudes, as far as the epilogue passes it on, and 2^-20 of the result. */
static float *tolerances(const struct problem *p, const struct vs_linear_ref *ref, const float *x,
                         const float *want)
{
    size_t m = p->m, n = p->n, k = p->k;
    float *size = check_nans(m * n), *weight = check_nans(n * k), *input = check_nans(m * k);
    float *bias = check_nans(n);
    for (size_t i = 0; i < n * k; i++)
        weight[i] = fabsf(ref->weight[i]);
    for (size_t i = 0; i < m * k; i++)
        input[i] = fabsf(x[i]);
    for (size_t i = 0; i < n; i++)
        bias[i] = ref->bias ? fabsf(ref->bias[i]) : 0;
    vs_linear_ref(size, input, m,
                  &(struct vs_linear_ref){
                      .weight = weight, .bias = bias, .n_columns = k, .n_outputs = n});
    for (size_t i = 0; i < m * n; i++) {
        size_t row = p->rows_per_gate ? i / n / p->rows_per_gate : 0;
        if (p->epilogue == VS_EPILOGUE_GATED)
            size[i] *= fabsf(ref->gate[row * n + i % n]);
        if (p->epilogue == VS_EPILOGUE_MULTIPLY)
            size[i] *= fabsf(ref->residual[i]);
        size[i] = size[i] * 0x1p-16f + fabsf(want[i]) * 0x1p-20f;
    }
    free(weight), free(input), free(bias);
    return size;
}

/* As check_bits(), within tolerances; the guards are as strict. */
static void check_near(const struct check_buffer *got, const float *want, const float *tolerance,
                       const char *what)
{
    float *values = check_nans(got->n);
    check_ok(vs_buffer_read(got->buffer, got->span.offset * sizeof *values, values,
                            got->n * sizeof *values));
    for (size_t i = 0; i < got->n; i++)
        if (!(fabsf(values[i] - want[i]) <= tolerance[i]))
            ck_abort_msg("%s: value %zu is %a, the oracle's %a, and %a is allowed", what, i,
                         (double)values[i], (double)want[i], (double)tolerance[i]);
    check_bits(got, values, "%s: guards", what);
    free(values);
}

/* Rows of x with NaN between them, which are not to be read; none follow the last. */
enum { GAP = 3 };
static struct check_buffer upload_spread(const float *x, size_t m, size_t k)
{
    size_t n = m ? (m - 1) * (k + GAP) + k : 0;
    float *spread = check_nans(n);
    for (size_t row = 0; row < m; row++)
        memcpy(spread + row * (k + GAP), x + row * k, k * sizeof *x);
    struct check_buffer uploaded = check_upload(spread, n);
    free(spread);
    return uploaded;
}

static void compare(const struct problem *p)
{
    size_t m = p->m, n = p->n, k = p->k;
    if (!check_affordable((double)m * (double)n * (double)k))
        return;
    size_t n_gates = p->rows_per_gate ? (m + p->rows_per_gate - 1) / p->rows_per_gate : 1;
    uint8_t *matrix = random_matrix(p->dtype, n * k);
    float *x = check_floats(m * k, 1), *bias = check_floats(n, 1), *wide = check_nans(n * k);
    float *residual = check_floats(m * n, 1), *gate = check_floats(n_gates * n, 1);
    float *want = check_nans(m * n);
    vs_dtype_widen(wide, matrix, p->dtype, n * k);
    struct vs_linear_ref ref = {.weight = wide,
                                .bias = p->bias ? bias : NULL,
                                .residual = residual,
                                .gate = gate,
                                .n_columns = k,
                                .n_outputs = n,
                                .epilogue = p->epilogue,
                                .rows_per_gate = p->rows_per_gate};
    vs_linear_ref(want, x, m, &ref);
    bool fast = vs_context_precision(check_context) == VS_PRECISION_FAST;
    float *tolerance = fast ? tolerances(p, &ref, x, want) : NULL;

    struct vs_weight weight;
    check_ok(vs_weight_create(&weight, check_context, matrix, p->dtype, n, k));
    struct check_buffer dx = check_upload(x, m * k), dbias = check_upload(bias, n);
    struct check_buffer dgate = check_upload(gate, n_gates * n);
    struct check_buffer dspread = upload_spread(x, m, k);
    for (size_t variant = 0; vs_linear_variant_name(variant); variant++)
        for (int run = 0; run < check_n_runs(); run++) {
            if (!vs_linear_variant_usable(check_context, variant,
                                          &(struct vs_linear){.weight = &weight}))
                continue;
            struct check_buffer dresidual = check_upload(residual, m * n);
            struct check_buffer out =
                p->in_place ? dresidual : check_upload(NULL, m * n);
            struct vs_linear linear = {.weight = &weight,
                                       .bias = p->bias ? dbias.span : (struct vs_span){0},
                                       .epilogue = p->epilogue,
                                       .residual = dresidual.span,
                                       .gate = dgate.span,
                                       .rows_per_gate = p->rows_per_gate};
            check_ok(vs_linear_run_variant(check_context, variant, out.span, dx.span, m, &linear));
            if (!(vs_linear_variant_bound(variant) > 0))
                check_bits(&out, want, "%s, [%zu, %zu] x [%zu, %zu] %s, epilogue %d, run %d",
                           vs_linear_variant_name(variant), m, k, n, k,
                           vs_dtype_info(p->dtype)->name, (int)p->epilogue, run);
            else
                check_near(&out, want, tolerance, vs_linear_variant_name(variant));
            check_free(&out);
            if (!p->in_place)
                check_free(&dresidual);
            if (p->in_place || run)
                continue;
            out = check_upload(NULL, m * n);
            dresidual = check_upload(residual, m * n);
            linear.residual = dresidual.span;
            linear.x_stride = k + GAP;
            check_ok(
                vs_linear_run_variant(check_context, variant, out.span, dspread.span, m, &linear));
            if (!(vs_linear_variant_bound(variant) > 0))
                check_bits(&out, want, "%s, [%zu, %zu] x [%zu, %zu], rows apart",
                           vs_linear_variant_name(variant), m, k, n, k);
            else
                check_near(&out, want, tolerance, vs_linear_variant_name(variant));
            check_free(&out), check_free(&dresidual);
        }
    check_free(&dx), check_free(&dbias), check_free(&dgate), check_free(&dspread);
    vs_weight_free(&weight);
    free(matrix), free(x), free(bias), free(wide), free(residual), free(gate), free(want);
    free(tolerance);
}

/* Products at once, of rows in groups, are as one by one, whatever is between their inputs and
 * outputs: nothing there is read or written. Rows of a group share all but `stride` of their
 * inputs. */
START_TEST(batches_and_groups)
{
    static const struct {
        size_t n, groups, rows, columns, k, stride;
    } sizes[] = {
        {1, 5, 1, 3, 7, 7},    {3, 7, 3, 37, 270, 90}, {16, 3, 2, 16, 96, 48},
        {2, 65, 4, 33, 16, 8}, {1, 2, 130, 5, 9, 11},  {4, 1, 19, 70, 12, 12},
    };
    size_t n = sizes[_i].n, m = sizes[_i].groups * sizes[_i].rows, columns = sizes[_i].columns;
    size_t k = sizes[_i].k, stride = sizes[_i].stride, n_rows = sizes[_i].rows;
    if (!check_affordable((double)n * (double)m * (double)columns * (double)k))
        return;
    size_t group = (n_rows - 1) * stride + k, x_group = group + GAP;
    size_t x_batch = sizes[_i].groups * x_group + 5, out_batch = m * columns + 9;
    size_t n_x = n * x_batch - 5 - GAP;
    float *weights = check_floats(n * columns * k, 1), *x = check_nans(n_x);
    float *want = check_nans((n - 1) * out_batch + m * columns), *rows = check_nans(m * k);
    for (size_t i = 0; i < n; i++) {
        for (size_t g = 0; g < sizes[_i].groups; g++) {
            float *values = check_floats(group, 1), *to = x + i * x_batch + g * x_group;
            memcpy(to, values, group * sizeof *x);
            for (size_t row = 0; row < n_rows; row++)
                memcpy(rows + (g * n_rows + row) * k, to + row * stride, k * sizeof *x);
            free(values);
        }
        vs_linear_ref(want + i * out_batch, rows, m,
                      &(struct vs_linear_ref){.weight = weights + i * columns * k,
                                              .n_columns = k,
                                              .n_outputs = columns});
    }
    struct vs_weight all, first;
    check_ok(vs_weight_create(&all, check_context, weights, VS_F32, n * columns, k));
    first = all;
    first.n_rows = columns;
    struct check_buffer dx = check_upload(x, n_x);
    const struct vs_linear linear = {.weight = &first,
                                     .batch = {n, x_batch, out_batch},
                                     .x_stride = stride,
                                     .x_rows = n_rows,
                                     .x_group = x_group};
    for (size_t variant = 0; vs_linear_variant_name(variant); variant++) {
        if (!vs_linear_variant_usable(check_context, variant, &linear))
            continue;
        struct check_buffer out = check_upload(NULL, (n - 1) * out_batch + m * columns);
        check_ok(vs_linear_run_variant(check_context, variant, out.span, dx.span, m, &linear));
        check_bits(&out, want, "%s, %zu times [%zu, %zu] x [%zu, %zu]",
                   vs_linear_variant_name(variant), n, m, k, columns, k);
        check_free(&out);
    }
    check_free(&dx);
    vs_weight_free(&all);
    free(weights), free(x), free(want), free(rows);
}
END_TEST

/* 1, primes, both sides of tile edges (16, 32, 64), of slices and blocks in k, of sweeps of 252. */
START_TEST(odd_sizes)
{
    static const size_t sizes[][3] = {
        {1, 1, 1},    {3, 5, 7},     {6, 16, 256},  {7, 17, 257},  {5, 15, 255},   {12, 32, 512},
        {13, 33, 8},  {11, 31, 513}, {1, 64, 640},  {72, 48, 16},  {2, 7, 1031},   {253, 16, 31},
        {252, 19, 3}, {509, 3, 300}, {72, 192, 192}, {1, 200, 96}, {24, 100, 1536},
        {64, 64, 15}, {65, 63, 16},  {63, 65, 17},  {17, 129, 272},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct problem p = {sizes[i][0], sizes[i][1], sizes[i][2], (enum vs_dtype)_i};
        p.bias = i % 2 == 0;
        size_t block = vs_dtype_info(p.dtype)->n_elements;
        p.k = (p.k + block - 1) / block * block;
        compare(&p);
    }
}
END_TEST

START_TEST(random_sizes)
{
    for (int i = 0; i < 6; i++) {
        struct problem p = {1 + check_random_below(90), 1 + check_random_below(90),
                            1 + check_random_below(700), (enum vs_dtype)check_random_below(3),
                            (enum vs_epilogue)check_random_below(VS_EPILOGUE_MULTIPLY + 1)};
        p.bias = check_random_below(2);
        p.rows_per_gate = check_random_below(20);
        compare(&p);
    }
}
END_TEST

START_TEST(epilogues)
{
    for (size_t i = 0; i <= VS_EPILOGUE_MULTIPLY; i++) {
        struct problem p = {29, 37, 270, VS_BF16, (enum vs_epilogue)i};
        for (p.rows_per_gate = 0; p.rows_per_gate < 15; p.rows_per_gate += 7) {
            p.bias = !p.bias;
            p.in_place = false;
            compare(&p);
            p.in_place = p.epilogue >= VS_EPILOGUE_RESIDUAL;
            compare(&p);
        }
    }
}
END_TEST

/* Interpreters of OpenCL take minutes for CLBlast's kernels, or fall. */
static bool is_interpreted(void)
{
    const char *sizes = getenv("VS_TEST_SIZES");
    return sizes && strcmp(sizes, "tiny") == 0;
}

/* What may serve in fast precision: every format and epilogue, odd and larger sizes. */
START_TEST(fast_variants_are_near)
{
    static const size_t sizes[][3] = {{1, 1, 32}, {7, 17, 256}, {72, 50, 544}, {130, 131, 160}};
    const struct vs_weight columns = {.n_rows = 5, .n_columns = 7}, none = {.n_rows = 5};
    size_t n_bounded = 0;
    for (int precision = VS_PRECISION_EXACT; precision <= VS_PRECISION_FAST; precision++) {
        vs_context_set_precision(check_context, (enum vs_precision)precision);
        for (size_t i = 0; vs_linear_variant_name(i); i++) {
            bool exact = !(vs_linear_variant_bound(i) > 0);
            n_bounded += !exact;
            if (!exact)
                ck_assert_int_eq(vs_linear_variant_usable(check_context, i,
                                                          &(struct vs_linear){.weight = &columns}),
                                 precision == VS_PRECISION_FAST);
            ck_assert(exact || !vs_linear_variant_usable(check_context, i,
                                                         &(struct vs_linear){.weight = &none}));
        }
    }
    ck_assert_uint_gt(n_bounded, 0);
    if (is_interpreted())
        return;
    struct problem p = {sizes[_i][0], sizes[_i][1], sizes[_i][2], VS_F32};
    for (int epilogue = 0; epilogue <= VS_EPILOGUE_MULTIPLY; epilogue++) {
        p.epilogue = (enum vs_epilogue)epilogue;
        p.dtype = (enum vs_dtype)(epilogue % VS_Q4_0); /* F32 to Q8_0, whose blocks K divides */
        p.bias = epilogue % 2;
        p.rows_per_gate = epilogue == VS_EPILOGUE_GATED ? 5 : 0;
        p.in_place = p.epilogue >= VS_EPILOGUE_RESIDUAL && epilogue != VS_EPILOGUE_MULTIPLY;
        compare(&p);
    }
    p = (struct problem){4, 5, 0, VS_F32, .bias = true};
    compare(&p);
}
END_TEST

/* A dry run leaves the output alone and takes all memory that a run will; a second queue has room of
 * its own. */
START_TEST(a_rehearsal_leaves_nothing_to_allocate)
{
    enum { M = 70, N = 90, K = 96 };
    size_t clblast = 0;
    if (is_interpreted())
        return;
    while (strcmp(vs_linear_variant_name(clblast), "clblast") != 0)
        clblast++;
    uint8_t *matrix = random_matrix(VS_F16, N * K);
    float *x = check_floats(M * K, 1), *nans = check_nans(M * N);
    struct vs_weight weight;
    check_ok(vs_weight_create(&weight, check_context, matrix, VS_F16, N, K));
    struct check_buffer dx = check_upload(x, M * K), out = check_upload(NULL, M * N);
    struct vs_linear linear = {.weight = &weight,
                               .epilogue = VS_EPILOGUE_RESIDUAL,
                               .residual = out.span};
    size_t before = vs_context_allocated_bytes(check_context);
    vs_context_set_precision(check_context, VS_PRECISION_FAST);
    vs_context_set_dry(check_context, true);
    check_ok(vs_linear_run_variant(check_context, clblast, out.span, dx.span, M, &linear));
    vs_context_set_dry(check_context, false);
    check_bits(&out, nans, "after a dry run");
    size_t rehearsed = vs_context_allocated_bytes(check_context);
    ck_assert_uint_ge(rehearsed, before + (N * K + M * N) * sizeof(float));
    check_ok(vs_linear_run_variant(check_context, clblast, out.span, dx.span, M, &linear));
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), rehearsed);
    vs_context_select(check_context, VS_QUEUE_SIDE);
    check_ok(vs_linear_run_variant(check_context, clblast, out.span, dx.span, M, &linear));
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), 2 * rehearsed - before);
    vs_context_select(check_context, VS_QUEUE_MAIN);
    check_free(&dx), check_free(&out);
    vs_weight_free(&weight);
    free(matrix), free(x), free(nans);
}
END_TEST

START_TEST(nothing_to_do)
{
    struct problem no_rows = {0, 5, 7, VS_F32}, no_columns = {5, 0, 7, VS_F32};
    struct problem no_sum = {5, 7, 0, VS_F32, .bias = true};
    compare(&no_rows);
    compare(&no_columns);
    compare(&no_sum);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    static const float zeros[64];
    struct vs_weight weight;
    check_ok(vs_weight_create(&weight, check_context, zeros, VS_F32, 4, 8));
    struct vs_buffer *buffer, *small;
    check_ok(vs_floats_create(&buffer, check_context, zeros, 64));
    check_ok(vs_floats_create(&small, check_context, zeros, 3));
    struct vs_span out = vs_span_of(buffer), x = vs_span_at(buffer, 32), none = {0};
    const struct vs_linear good = {.weight = &weight};
    check_ok(vs_linear_run(check_context, out, x, 4, &good));
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 5, &good), VS_ERROR_RUNTIME);
    ck_assert_int_eq(vs_linear_run(check_context, none, x, 4, &good), VS_ERROR_RUNTIME);
    ck_assert_int_eq(vs_linear_run(check_context, out, none, 4, &good), VS_ERROR_RUNTIME);
    ck_assert_int_eq(vs_linear_run(check_context, out, x, SIZE_MAX / 2, &good), VS_ERROR_RUNTIME);
    struct vs_linear bad = good;
    bad.x_stride = good.weight->n_columns + 1; /* past the end of x */
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.x_stride = SIZE_MAX / 2;
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad = good;
    bad.x_rows = 2, bad.x_group = 16;
    check_ok(vs_linear_run(check_context, out, x, 4, &bad));
    bad.x_group = 17; /* past the end of x */
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.x_rows = 3; /* not whole groups */
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad = good;
    bad.batch = (struct vs_linear_batch){2, 0, 16}; /* past the end of the weight */
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    struct vs_weight half = weight;
    half.n_rows = 2;
    bad.weight = &half;
    bad.batch.out_stride = 8;
    check_ok(vs_linear_run(check_context, out, x, 4, &bad));
    bad.batch.out_stride = 7; /* outputs overlap */
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.batch.out_stride = 57; /* past the end of the output, of the input */
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.batch = (struct vs_linear_batch){2, 1, 8};
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.batch = (struct vs_linear_batch){SIZE_MAX, 0, 8};
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.batch = (struct vs_linear_batch){2, 0, 8};
    bad.epilogue = VS_EPILOGUE_GELU;
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad = good;
    bad.bias = vs_span_of(small);
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad = good;
    bad.epilogue = VS_EPILOGUE_RESIDUAL;
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    bad.epilogue = VS_EPILOGUE_GATED;
    bad.residual = vs_span_of(buffer);
    bad.gate = vs_span_of(small);
    ck_assert_int_eq(vs_linear_run(check_context, out, x, 4, &bad), VS_ERROR_RUNTIME);
    vs_buffer_free(buffer), vs_buffer_free(small);
    vs_weight_free(&weight);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, odd_sizes, VS_F32, VS_Q4_K + 1);
    tcase_add_loop_test(tests, batches_and_groups, 0, 6);
    tcase_add_test(tests, random_sizes);
    tcase_add_test(tests, epilogues);
    tcase_add_loop_test(tests, fast_variants_are_near, 0, 4);
    tcase_add_test(tests, a_rehearsal_leaves_nothing_to_allocate);
    tcase_add_test(tests, nothing_to_do);
    tcase_add_test(tests, bad_arguments_are_refused);
}

int main(void)
{
    return check_main("gemm", add_tests);
}
