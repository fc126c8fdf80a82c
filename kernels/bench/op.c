/* SPDX-License-Identifier: Apache-2.0
 *
 * op.c - operations to be measured: their text, their memory, their inputs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/launch.h"
#include "kernels/bench/bench.h"
#include "kernels/sources.h"

/* ---- Text --------------------------------------------------------------------------------- */

static enum vs_status wrong(const struct vs_bench_family *family, const char *text,
                            const char *what)
{
    return vs_fail(VS_ERROR_USAGE, "--op %s:%s: %s; wanted is %s:%s%s%s, for example %s",
                   family->name, text, what, family->name, family->form,
                   *family->words ? ", and after a colon any of" : "", family->words,
                   family->shapes[0]);
}

/* A size from 1 to 10^9 at *text, which moves on. */
static bool take_size(size_t *size, const char **text)
{
    size_t n = 0;
    const char *at = *text;
    while (*at >= '0' && *at <= '9' && n <= 1000000000)
        n = 10 * n + (size_t)(*at++ - '0');
    if (at == *text || n < 1 || n > 1000000000)
        return false;
    *size = n;
    *text = at;
    return true;
}

static bool take_word(struct vs_bench_shape *shape, const struct vs_bench_family *family,
                      const char *word, size_t n)
{
    static const struct {
        const char *word;
        int dtype, epilogue, per_channel, rms; /* -1: not a matter of this word */
    } words[] = {
        {"f32", VS_F32, -1, -1, -1},
        {"f16", VS_F16, -1, -1, -1},
        {"bf16", VS_BF16, -1, -1, -1},
        {"q8_0", VS_Q8_0, -1, -1, -1},
        {"q4_0", VS_Q4_0, -1, -1, -1},
        {"q4_k", VS_Q4_K, -1, -1, -1},
        {"gelu", -1, VS_EPILOGUE_GELU, -1, -1},
        {"residual", -1, VS_EPILOGUE_RESIDUAL, -1, -1},
        {"gated", -1, VS_EPILOGUE_GATED, -1, -1},
        {"head", -1, -1, false, -1},
        {"channel", -1, -1, true, -1},
        {"rms", -1, -1, -1, true},
    };
    char wanted[16];
    if (n + 3 > sizeof wanted)
        return false;
    snprintf(wanted, sizeof wanted, " %.*s ", (int)n, word);
    if (!strstr(family->words, wanted))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) != n || memcmp(words[i].word, word, n) != 0)
            continue;
        if (words[i].dtype >= 0)
            shape->dtype = (enum vs_dtype)words[i].dtype;
        if (words[i].epilogue >= 0)
            shape->epilogue = (enum vs_epilogue)words[i].epilogue;
        if (words[i].per_channel >= 0)
            shape->per_channel = words[i].per_channel;
        if (words[i].rms >= 0)
            shape->rms = words[i].rms;
        return true;
    }
    return false;
}

enum vs_status vs_bench_parse(struct vs_bench_shape *shape, const struct vs_bench_family *family,
                              const char *text)
{
    const char *at = text;
    *shape = (struct vs_bench_shape){.dtype = VS_F32, .epilogue = VS_EPILOGUE_NONE};
    for (; shape->n_sizes < family->n_sizes; shape->n_sizes++) {
        if (shape->n_sizes && *at++ != 'x')
            return wrong(family, text, "sizes are missing");
        if (!take_size(&shape->sizes[shape->n_sizes], &at))
            return wrong(family, text, "a size is no number from 1 to 10^9");
    }
    while (*at == ':') {
        size_t n = strcspn(++at, ":");
        if (!take_word(shape, family, at, n))
            return wrong(family, text, "an unknown word");
        at += n;
    }
    return *at ? wrong(family, text, "too much") : VS_OK;
}

enum vs_status vs_bench_read(const struct vs_bench_family **family, struct vs_bench_shape *shape,
                             const char *op)
{
    size_t n_name = strcspn(op, ":");
    for (const struct vs_bench_family *f = vs_bench_families; f->name && op[n_name]; f++)
        if (strlen(f->name) == n_name && memcmp(f->name, op, n_name) == 0) {
            *family = f;
            return vs_bench_parse(shape, f, op + n_name + 1);
        }
    return vs_fail(VS_ERROR_USAGE, "'%s' is no operation with its sizes, as linear:72x192x192", op);
}

double vs_bench_bound(const struct vs_bench_family *family, size_t variant)
{
    return family->variant_bound ? family->variant_bound(variant) : 0;
}

size_t vs_bench_count_variants(const struct vs_bench_family *family, enum vs_precision precision)
{
    size_t n = 0;
    for (size_t i = 0; family->variant_name && family->variant_name(i); i++)
        n += precision == VS_PRECISION_FAST || !(vs_bench_bound(family, i) > 0);
    return n;
}

/* ---- Memory and inputs -------------------------------------------------------------------- */

size_t vs_bench_product(size_t n, const size_t *sizes)
{
    size_t product = 1;
    for (size_t i = 0; i < n; i++)
        if (!vs_mul_ok(product, sizes[i], &product))
            return SIZE_MAX;
    return product;
}

static enum vs_status check_fits(const struct vs_bench_op *op, size_t n, size_t element_bytes)
{
    const struct vs_device_info *device = vs_context_device(op->context);
    size_t used = vs_context_allocated_bytes(op->context), n_bytes, total;
    if (vs_mul_ok(n, element_bytes, &n_bytes) && vs_add_ok(n_bytes, used, &total) &&
        n_bytes <= device->max_allocation_bytes && total <= device->global_memory_bytes)
        return VS_OK;
    return vs_fail(VS_ERROR_MEMORY,
                   "the device has %.2f GiB, %.2f at once; this takes %.2f besides %.2f in use",
                   (double)device->global_memory_bytes / 0x1p30,
                   (double)device->max_allocation_bytes / 0x1p30,
                   (double)n * (double)element_bytes / 0x1p30, (double)used / 0x1p30);
}

enum vs_status vs_bench_floats(struct vs_span *span, struct vs_bench_op *op, size_t n, float low,
                               float high)
{
    enum vs_status status = VS_OK;
    struct vs_launch launch;
    const size_t step = (size_t)1 << 31;
    VS_TRY(check_fits(op, n, sizeof(float)));
    if (op->n_buffers == VS_BENCH_MAX_BUFFERS)
        return vs_fail(VS_ERROR_RUNTIME, "bench: %s has too many buffers", op->family->name);
    struct vs_buffer **buffer = &op->buffers[op->n_buffers];
    VS_TRY(vs_floats_create(buffer, op->context, NULL, n));
    *span = vs_span_of(*buffer);
    op->n_buffers++;
    for (size_t done = 0; done < n; done += step) {
        size_t items = n - done < step ? n - done : step;
        vs_launch_begin(&launch, op->context, &vs_source_bench, "fill",
                        "-DVS_WIDTH=1 -DVS_CHAINS=1");
        vs_launch_span(&launch, vs_span_at(*buffer, done));
        vs_launch_int(&launch, (int)(op->n_buffers + 16 * (done / step)));
        vs_launch_float(&launch, low);
        vs_launch_float(&launch, high - low);
        VS_TRY(vs_launch_run(&launch, 1, &items, NULL, 0));
    }
fail:
    return status;
}

/* Random bits with the exponent fixed. Blocks get random bytes and scales of that kind. */
void vs_bench_fill_weight(void *data, enum vs_dtype dtype, size_t n)
{
    const struct vs_dtype_info *info = vs_dtype_info(dtype);
    size_t n_blocks = n / info->n_elements, n_bytes = n_blocks * info->n_bytes;
    size_t scales = dtype == VS_F32 || dtype == VS_BF16 || dtype == VS_F16 ? 0
                    : dtype == VS_Q4_K                                     ? 2
                                                                           : 1;
    uint8_t *bytes = data;
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n_bytes; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(bytes + i, &x, n_bytes - i < 8 ? n_bytes - i : 8);
    }
    for (size_t i = 0; i < n_blocks; i++) {
        uint8_t *block = bytes + i * info->n_bytes;
        uint32_t word;
        uint16_t half;
        if (dtype == VS_F32) {
            memcpy(&word, block, sizeof word);
            word = (word & 0x807fffffu) | 0x3d000000u;
            memcpy(block, &word, sizeof word);
        } else if (dtype == VS_BF16 || dtype == VS_F16) {
            memcpy(&half, block, sizeof half);
            half = (uint16_t)(dtype == VS_BF16 ? (half & 0x807fu) | 0x3d00u
                                               : (half & 0x83ffu) | 0x2800u);
            memcpy(block, &half, sizeof half);
        }
        for (size_t j = 0; j < scales; j++) {
            half = 0x1000; /* 2^-11 */
            memcpy(block + j * sizeof half, &half, sizeof half);
        }
    }
}

enum vs_status vs_bench_open(struct vs_bench_op *op, struct vs_context *context,
                             const struct vs_bench_family *family,
                             const struct vs_bench_shape *shape)
{
    *op = (struct vs_bench_op){.context = context, .family = family, .shape = *shape, .n_rows = 1};
    op->variant_name = family->variant_name;
    enum vs_status status = family->open(op);
    return status == VS_OK ? vs_context_finish(context) : status;
}

void vs_bench_close(struct vs_bench_op *op)
{
    if (op->close)
        op->close(op);
    free(op->job);
    vs_weight_free(&op->weight);
    for (size_t i = 0; i < op->n_buffers; i++)
        vs_buffer_free(op->buffers[i]);
    free(op->host_weight);
    *op = (struct vs_bench_op){.n_rows = 0};
}

enum vs_status vs_bench_run(struct vs_bench_op *op, size_t variant, size_t n_rows)
{
    return op->run(op, variant, n_rows);
}
