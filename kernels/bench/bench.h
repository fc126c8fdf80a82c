/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - operations at shapes of one's choice, ready to be run again and again, and what the
 * device can do at most.
 *
 * An operation is written family:SIZExSIZE...[:WORD]..., e.g. linear:4680x1536x1536:bf16. Inputs
 * are made on the spot and the same every time; nothing here looks at results. */
#ifndef VS_KERNELS_BENCH_BENCH_H
#define VS_KERNELS_BENCH_BENCH_H

#include "cl/buffer.h"
#include "kernels/convert/dtype.h"
#include "kernels/gemm/gemm.h"

/* ---- Shapes ------------------------------------------------------------------------------- */

enum { VS_BENCH_MAX_SIZES = 6 };

struct vs_bench_shape {
    size_t sizes[VS_BENCH_MAX_SIZES];
    size_t n_sizes;
    enum vs_dtype dtype;       /* of weights; F32 unless a word says otherwise */
    enum vs_epilogue epilogue; /* none unless a word says otherwise */
    bool per_channel;          /* gates per channel, not per head */
    bool rms;                  /* RMSNorm before the rotary embedding */
};

struct vs_bench_op;

/* A kind of operation. Tables of families end with an entry without a name. */
struct vs_bench_family {
    const char *name; /* "linear" */
    const char *form; /* of the sizes: "ROWSxOUTxIN" */
    const char *what; /* half a line, for lists */
    size_t n_sizes;
    const char *words;         /* that may follow, each between blanks: " f32 bf16 "; "" for none */
    const char *const *shapes; /* those of the 1.3B model at 832x480, NULL at the end */
    enum vs_status (*open)(struct vs_bench_op *op);
    /* Of families with variants: their names, and the class of shapes that a tuning record is
     * about. */
    const char *(*variant_name)(size_t variant);
    uint64_t (*key)(const struct vs_bench_shape *shape);
    double (*variant_bound)(size_t variant); /* NULL: all variants are exact */
};

/* What a variant keeps: 0 the bits, else the distance of kernels/common/variant.h. */
double vs_bench_bound(const struct vs_bench_family *family, size_t variant);

/* Variants that a record of that precision chooses among. */
size_t vs_bench_count_variants(const struct vs_bench_family *family, enum vs_precision precision);

/* linear, attention, conv3d, delta, read, norm, rms, channel-norm, rope. */
extern const struct vs_bench_family vs_bench_families[];

/* Reads everything behind `family:` of text. VS_ERROR_USAGE with the form that is wanted. */
VS_CHECK enum vs_status vs_bench_parse(struct vs_bench_shape *shape,
                                       const struct vs_bench_family *family, const char *text);

/* The same of a whole operation, "linear:4680x1536x1536", with its family. VS_ERROR_USAGE. */
VS_CHECK enum vs_status vs_bench_read(const struct vs_bench_family **family,
                                      struct vs_bench_shape *shape, const char *op);

/* ---- Operations --------------------------------------------------------------------------- */

enum { VS_BENCH_MAX_BUFFERS = 12 };

struct vs_bench_op {
    struct vs_context *context; /* borrowed */
    const struct vs_bench_family *family;
    struct vs_bench_shape shape;
    double flops; /* arithmetic operations of the formula, whatever the algorithm */
    double bytes; /* inputs and outputs, each moved once */
    size_t
        n_rows; /* rows, queries or tokens: what a shorter run takes less of; 1: all or nothing */
    size_t chosen;                                                /* variant of a normal run */
    const char *(*variant_name)(size_t variant);                  /* NULL past the last */
    bool (*usable)(const struct vs_bench_op *op, size_t variant); /* NULL: all are */
    enum vs_status (*run)(struct vs_bench_op *op, size_t variant, size_t n_rows);
    struct vs_span out; /* what it writes, n_out floats; delta: and reads */
    size_t n_out;
    void (*close)(struct vs_bench_op *op); /* what `job` needs beyond free(); NULL: nothing */
    void *job;                             /* the family's own; freed with the operation */
    struct vs_buffer *buffers[VS_BENCH_MAX_BUFFERS];
    size_t n_buffers;
    struct vs_weight weight;
    void *host_weight;
};

/* Allocates and fills everything. VS_ERROR_MEMORY when the device cannot hold it: a reason to skip
 * the operation. op may be closed after a failure. */
VS_CHECK enum vs_status vs_bench_open(struct vs_bench_op *op, struct vs_context *context,
                                      const struct vs_bench_family *family,
                                      const struct vs_bench_shape *shape);
void vs_bench_close(struct vs_bench_op *op);

/* Starts the first n_rows rows of the operation once by that variant, without waiting. */
VS_CHECK enum vs_status vs_bench_run(struct vs_bench_op *op, size_t variant, size_t n_rows);

/* For families: n floats from low to high, not the same in any two buffers of an operation; freed
 * with it. VS_ERROR_MEMORY when the device cannot hold them besides what there is. */
VS_CHECK enum vs_status vs_bench_floats(struct vs_span *span, struct vs_bench_op *op, size_t n,
                                        float low, float high);

/* The product of n sizes, or SIZE_MAX, which nothing can hold. */
size_t vs_bench_product(size_t n, const size_t *sizes);

/* n elements (whole blocks) of a weight format, none of them denormal or huge, at data. */
void vs_bench_fill_weight(void *data, enum vs_dtype dtype, size_t n);

/* ---- Peak --------------------------------------------------------------------------------- */

struct vs_bench_peak;

/* Finds the fastest of several loops of fma in registers, and takes memory for copies: 128 MiB
 * twice, less where the device has little. processor_time: measure with the time that this
 * process's threads ran, shared evenly among the device's units, not with the clock on the wall;
 * for CPU devices on a machine that does other things as well. */
VS_CHECK enum vs_status vs_bench_peak_create(struct vs_bench_peak **peak,
                                             struct vs_context *context, bool processor_time);
void vs_bench_peak_free(struct vs_bench_peak *peak);

/* Measures once, for about 20 ms each: arithmetic in GFLOP/s (an fma counts two), copies in GB/s
 * (read and written bytes both count). Waits for the device. */
VS_CHECK enum vs_status vs_bench_peak_measure(struct vs_bench_peak *peak, double *gflops,
                                              double *gbs);

/* Name of the loop: "float8 x 12". */
const char *vs_bench_peak_name(const struct vs_bench_peak *peak);

/* Seconds of the time that was asked for; only differences mean something. */
double vs_bench_now(const struct vs_bench_peak *peak);

#endif
