/* SPDX-License-Identifier: Apache-2.0
 *
 * check_offload.c - weights that come block by block: each layer finds its own, in any order, and
 * nothing is replaced before it was read. Buffers that rest on the host come back as they were. */
#include <stdlib.h>
#include <string.h>

#include "cl/launch.h"
#include "kernels/pointwise/pointwise.h"
#include "models/dit_stream.h"
#include "tests/check_common.h"

enum { MOST_BLOCKS = 5, ROWS = 64 };

/* Matrices of two kinds; those of odd layers have fewer bytes in the second. */
static struct vs_block_params blocks[MOST_BLOCKS];
static void *data[2 * MOST_BLOCKS];

static void describe(struct vs_weight *weight, size_t i, enum vs_dtype dtype, size_t n_columns)
{
    size_t n_bytes = ROWS * n_columns * vs_dtype_info(dtype)->n_bytes;
    data[i] = malloc(n_bytes);
    ck_assert_ptr_nonnull(data[i]);
    memset(data[i], (int)i + 1, n_bytes);
    check_ok(vs_weight_describe(weight, data[i], dtype, ROWS, n_columns));
    ck_assert_uint_eq(vs_weight_bytes(weight), n_bytes);
    ck_assert_ptr_null(weight->buffer);
}

static void make_blocks(size_t n)
{
    memset(blocks, 0, sizeof blocks);
    for (size_t i = 0; i < n; i++) {
        describe(&blocks[i].ffn_in.weight, 2 * i, VS_BF16, 32768);
        describe(&blocks[i].ffn_out.weight, 2 * i + 1, i % 2 ? VS_BF16 : VS_F32, 4096);
    }
}

static void free_blocks(size_t n)
{
    for (size_t i = 0; i < 2 * n; i++)
        free(data[i]);
}

/* Copies what the layer finds, and goes on at once. */
static void use(struct vs_dit_stream *stream, size_t layer, const struct vs_buffer *seen,
                size_t offset)
{
    const struct vs_block_params *block;
    check_ok(vs_dit_stream_begin(stream, &block, layer));
    ck_assert_ptr_eq(block->ffn_in.weight.data, data[2 * layer]);
    ck_assert_uint_eq(block->ffn_out.weight.dtype, blocks[layer].ffn_out.weight.dtype);
    size_t n_first = vs_weight_bytes(&block->ffn_in.weight);
    size_t n_second = vs_weight_bytes(&block->ffn_out.weight);
    check_ok(vs_buffer_copy(seen, offset, block->ffn_in.weight.buffer, 0, n_first));
    check_ok(vs_buffer_copy(seen, offset + n_first, block->ffn_out.weight.buffer, 0, n_second));
    check_ok(vs_dit_stream_end(stream));
}

static void check_seen(const uint8_t *seen, size_t layer, size_t visit)
{
    const struct vs_weight *weights[] = {&blocks[layer].ffn_in.weight,
                                         &blocks[layer].ffn_out.weight};
    for (size_t i = 0; i < 2; i++) {
        size_t n = vs_weight_bytes(weights[i]);
        ck_assert_msg(!memcmp(seen, data[2 * layer + i], n), "visit %zu, layer %zu, matrix %zu",
                      visit, layer, i);
        seen += n;
    }
}

/* Two passes through all, then a few layers in no order. */
static void visit_all(size_t n, bool rehearse)
{
    enum { VISITS = 2 * MOST_BLOCKS + 6, VISIT_BYTES = ROWS * (32768 * 2 + 4096 * 4) };
    static const size_t disorder[] = {3, 0, 0, 4, 1, 2};
    struct vs_dit_stream *stream;
    struct vs_buffer *seen;
    size_t order[VISITS], n_visits = 0;
    uint8_t *host = malloc((size_t)VISITS * VISIT_BYTES);
    ck_assert_ptr_nonnull(host);
    make_blocks(n);
    for (size_t i = 0; i < 2 * n; i++)
        order[n_visits++] = i % n;
    for (size_t i = 0; i < 6; i++)
        order[n_visits++] = disorder[i] % n;
    check_ok(vs_buffer_create(&seen, check_context, (size_t)VISITS * VISIT_BYTES));
    size_t before = vs_context_allocated_bytes(check_context);
    check_ok(vs_dit_stream_create(&stream, check_context, blocks, n));
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context) - before,
                      2 * vs_weight_bytes(&blocks[0].ffn_in.weight) +
                          2 * vs_weight_bytes(&blocks[0].ffn_out.weight));
    vs_context_set_dry(check_context, rehearse);
    for (size_t i = 0; rehearse && i < n_visits / 2; i++)
        use(stream, order[i], seen, i * VISIT_BYTES);
    vs_context_set_dry(check_context, false);
    for (size_t i = 0; i < n_visits; i++)
        use(stream, order[i], seen, i * VISIT_BYTES);
    check_ok(vs_buffer_read(seen, 0, host, (size_t)VISITS * VISIT_BYTES));
    for (size_t i = 0; i < n_visits; i++)
        check_seen(host + i * VISIT_BYTES, order[i], i);
    vs_dit_stream_free(stream);
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), before);
    vs_buffer_free(seen);
    free_blocks(n);
    free(host);
}

START_TEST(every_layer_finds_its_weights)
{
    visit_all((size_t)_i, false);
}
END_TEST

START_TEST(a_rehearsal_brings_nothing)
{
    visit_all((size_t)_i, true);
}
END_TEST

/* What is still on its way when a stream is freed comes from memory that may go then. */
START_TEST(freed_at_once)
{
    struct vs_dit_stream *stream;
    const struct vs_block_params *block;
    make_blocks(3);
    check_ok(vs_dit_stream_create(&stream, check_context, blocks, 3));
    check_ok(vs_dit_stream_begin(stream, &block, 1));
    check_ok(vs_dit_stream_end(stream));
    vs_dit_stream_free(stream);
    free_blocks(3);
    check_ok(vs_context_finish(check_context));
    vs_dit_stream_free(NULL);
}
END_TEST

/* ---- Buffers at rest ---------------------------------------------------------------------- */

static void rest_and_wake(size_t n)
{
    struct vs_buffer *buffer;
    float *host = check_floats(n, 1), *back = check_nans(n);
    size_t before = vs_context_allocated_bytes(check_context);
    check_ok(vs_floats_create(&buffer, check_context, host, n));
    check_ok(vs_buffer_rest(buffer, true));
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), before);
    ck_assert_uint_ge(vs_context_peak_resting_bytes(check_context), n * sizeof *host);
    check_ok(vs_buffer_rest(buffer, false)); /* rests already: nothing is lost */
    check_ok(vs_buffer_wake(buffer));
    check_ok(vs_buffer_wake(buffer));
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), before + n * sizeof *host);
    check_ok(vs_buffer_read(buffer, 0, back, n * sizeof *back));
    ck_assert_mem_eq(back, host, n * sizeof *host);
    check_ok(vs_buffer_write(buffer, 0, host, n * sizeof *host));
    check_ok(vs_buffer_rest(buffer, true));
    vs_buffer_free(buffer);
    ck_assert_uint_eq(vs_context_allocated_bytes(check_context), before);
    free(host), free(back);
}

START_TEST(buffers_come_back_as_they_were)
{
    rest_and_wake(0);
    rest_and_wake(1);
    rest_and_wake(1000);
    rest_and_wake(5 << 20); /* with pages of its own on CPUs */
}
END_TEST

/* What is enqueued before is done with the buffer, what comes after is refused. */
START_TEST(kernels_and_rest)
{
    enum { N = 1 << 20 };
    struct vs_buffer *x, *y;
    float *host = check_floats(N, 1), *first = check_nans(N), *second = check_nans(N);
    check_ok(vs_floats_create(&x, check_context, host, N));
    check_ok(vs_floats_create(&y, check_context, NULL, N));
    check_ok(vs_activation_run(check_context, vs_span_of(y), vs_span_of(x), N, VS_SILU));
    check_ok(vs_buffer_read(y, 0, first, N * sizeof *first));
    check_ok(vs_activation_run(check_context, vs_span_of(y), vs_span_of(x), N, VS_SILU));
    check_ok(vs_buffer_rest(x, false));
    check_ok(vs_buffer_rest(y, true));
    ck_assert_int_eq(vs_activation_run(check_context, vs_span_of(y), vs_span_of(x), N, VS_SILU),
                     VS_ERROR_RUNTIME);
    ck_assert_msg(strstr(vs_error_message(), "at rest") != NULL, "message: %s", vs_error_message());
    check_ok(vs_buffer_wake(y));
    check_ok(vs_buffer_read(y, 0, second, N * sizeof *second));
    ck_assert_mem_eq(first, second, N * sizeof *first);
    vs_buffer_free(x);
    vs_buffer_free(y);
    free(host), free(first), free(second);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, every_layer_finds_its_weights, 1, MOST_BLOCKS + 1);
    tcase_add_loop_test(tests, a_rehearsal_brings_nothing, 1, MOST_BLOCKS + 1);
    tcase_add_test(tests, freed_at_once);
    tcase_add_test(tests, buffers_come_back_as_they_were);
    tcase_add_test(tests, kernels_and_rest);
}

int main(void)
{
    return check_main("offload", add_tests);
}
