/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm_clblast.c - linear layers by CLBlast's SGEMM, on our buffers and queue; the only file that
 * knows CLBlast.
 *
 * CLBlast sums in an order of its own, so this serves fast precision alone. The queue is in order:
 * no call waits for another. HGEMM is left out, since it also sums in halves (kernels/NUMERICS.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/launch.h"
#include "cl/opencl.h"
#include <clblast_c.h>

#include "cl/scratch.h"
#include "kernels/gemm/gemm_internal.h"
#include "kernels/sources.h"

/* y [M, N] = x [M, K] w^T, w [N, K]; float32 without gaps, but for rows of x. */
struct product {
    struct vs_span y, x, w;
    size_t m, n, k, x_stride;
};

static enum vs_status fail_with(CLBlastStatusCode code, const struct vs_context *context,
                                const struct product *p)
{
    if (code > -1000) /* those are OpenCL's own */
        return vs_fail_in(vs_cl_fail((cl_int)code, "CLBlastSgemm", context), "--precision fast");
    return vs_fail(VS_ERROR_RUNTIME,
                   "%s: CLBlast refuses a product %zu x %zu x %zu (its error %d); use "
                   "--precision exact",
                   vs_context_device(context)->name, p->m, p->n, p->k, (int)code);
}

/* What CLBlast needs for itself comes from us, since a chunk is to allocate nothing; it is asked
 * for while dry too. */
static enum vs_status get_room(const struct vs_buffer **room, struct vs_context *context,
                               const struct product *p)
{
    enum vs_status status = VS_OK;
    size_t n_bytes = 0;
    cl_command_queue queue;
    *room = NULL;
    VS_TRY(vs_context_any_queue(&queue, context));
    CLBlastStatusCode code = CLBlastSGemmTempBufferSize(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, p->m, p->n, p->k,
        p->x.offset, p->x_stride, p->w.offset, p->k, p->y.offset, p->n, &queue, &n_bytes);
    if (code != CLBlastSuccess)
        return fail_with(code, context, p);
    if (n_bytes)
        VS_TRY(vs_scratch_get(room, NULL, context, VS_SCRATCH_LIBRARY, n_bytes));
fail:
    return status;
}

static enum vs_status enqueue(struct vs_context *context, const struct product *p,
                              const struct vs_buffer *room, cl_event *event)
{
    CLBlastStatusCode code = CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, p->m, p->n, p->k, 1,
        p->x.buffer->memory, p->x.offset, p->x_stride, p->w.buffer->memory, p->w.offset, p->k, 0,
        p->y.buffer->memory, p->y.offset, p->n, &context->queue, event, room ? room->memory : NULL);
    return code == CLBlastSuccess ? VS_OK : fail_with(code, context, p);
}

/* CLBlast builds all kernels of SGEMM when it is first called for a context. */
static enum vs_status build(struct vs_context *context)
{
    enum vs_status status = VS_OK;
    const struct vs_buffer *numbers, *room;
    bool is_new;
    VS_TRY(vs_scratch_get(&numbers, &is_new, context, VS_SCRATCH_FIRST, 3 * sizeof(float)));
    if (!is_new)
        return VS_OK;
    struct product one = {
        vs_span_at(numbers, 0), vs_span_at(numbers, 1), vs_span_at(numbers, 2), 1, 1, 1, 1};
    VS_TRY(get_room(&room, context, &one));
    if (vs_context_is_hollow(context))
        return VS_OK;
    VS_TRY(enqueue(context, &one, room, NULL));
fail:
    return status;
}

static enum vs_status multiply(struct vs_context *context, const struct product *p)
{
    static const char source[] = "gemm/clblast", kernel[] = "sgemm";
    enum vs_status status = VS_OK;
    const struct vs_buffer *room;
    cl_event before = NULL, event = NULL;
    double m = (double)p->m, n = (double)p->n, k = (double)p->k;
    VS_TRY(build(context));
    VS_TRY(get_room(&room, context, p));
    if (context->profile)
        VS_TRY(vs_profile_count(context, source, kernel, 2 * m * n * k,
                                4 * (m * k + n * k + m * n)));
    if (context->dry)
        return VS_OK;
    if (!context->profile)
        return enqueue(context, p, room, NULL);
    VS_CL(context, clEnqueueMarkerWithWaitList(context->queue, 0, NULL, &before));
    VS_TRY(enqueue(context, p, room, &event));
    return vs_profile_event(context, source, kernel, before, event);
fail:
    if (before)
        clReleaseEvent(before);
    return status;
}

static enum vs_status run_epilogue(struct vs_context *context, struct vs_span out, struct vs_span y,
                                   size_t n_rows, const struct vs_linear *linear)
{
    struct vs_launch launch;
    size_t n_outputs = linear->weight->n_rows;
    double n = (double)n_rows * (double)n_outputs;
    vs_launch_begin(&launch, context, &vs_source_gemm_epilogue, "linear_epilogue",
                    "-DVS_ACTIVATION=%d", vs_linear_activation(linear));
    vs_launch_span(&launch, out);
    vs_launch_span(&launch, y);
    vs_launch_span(&launch, linear->bias);
    vs_launch_span(&launch, linear->residual);
    vs_launch_span(&launch, linear->gate);
    vs_launch_size(&launch, linear->rows_per_gate);
    vs_launch_int(&launch, (int)linear->epilogue);
    vs_launch_int(&launch, linear->bias.buffer != NULL);
    vs_launch_size(&launch, n_outputs);
    vs_launch_bytes(&launch, (linear->epilogue >= VS_EPILOGUE_RESIDUAL ? 12 : 8) * n);
    return vs_launch_run(&launch, 2, (size_t[]){n_outputs, n_rows}, NULL, 0);
}

enum vs_status vs_linear_clblast(struct vs_context *context, struct vs_span out, struct vs_span x,
                                 size_t n_rows, const struct vs_linear *linear)
{
    enum vs_status status = VS_OK;
    const struct vs_weight *weight = linear->weight;
    const struct vs_buffer *room;
    bool adds = linear->epilogue >= VS_EPILOGUE_RESIDUAL;
    struct product p = {.y = out,
                        .x = x,
                        .w = vs_span_at(weight->buffer, weight->offset_bytes / sizeof(float)),
                        .m = n_rows,
                        .n = weight->n_rows,
                        .k = weight->n_columns,
                        .x_stride = vs_linear_stride(linear)};
    if (weight->dtype != VS_F32) {
        VS_TRY(vs_scratch_get(&room, NULL, context, VS_SCRATCH_WEIGHT,
                              p.n * p.k * sizeof(float)));
        p.w = vs_span_of(room);
        VS_TRY(vs_weight_widen(context, p.w, weight));
    }
    if (adds && linear->residual.buffer == out.buffer) {
        VS_TRY(vs_scratch_get(&room, NULL, context, VS_SCRATCH_PRODUCT,
                              p.m * p.n * sizeof(float)));
        p.y = vs_span_of(room);
    }
    VS_TRY(multiply(context, &p));
    if (linear->epilogue != VS_EPILOGUE_NONE || linear->bias.buffer)
        VS_TRY(run_epilogue(context, out, p.y, n_rows, linear));
fail:
    return status;
}

/* ---- Parameters --------------------------------------------------------------------------- */

enum { MAX_PARAMETERS = 16, MAX_VALUE = 128 };

/* What a kernel of CLBlast is made with; switches are 0 or 1. */
static const struct {
    const char *name;
    const char *parameters[MAX_PARAMETERS + 1], *switches;
} kernels[] = {
    {"Xgemm",
     {"GEMMK", "KREG", "KWG", "KWI", "MDIMA", "MDIMC", "MWG", "NDIMB", "NDIMC", "NWG", "SA", "SB",
      "STRM", "STRN", "VWM", "VWN"},
     " GEMMK SA SB STRM STRN "},
    {"XgemmDirect",
     {"KWID", "MDIMAD", "MDIMCD", "NDIMBD", "NDIMCD", "PADA", "PADB", "VWMD", "VWND", "WGD"},
     " PADA PADB "},
};
enum { N_KERNELS = sizeof kernels / sizeof *kernels };

/* A switch, or a power of two: CLBlast divides by it. */
static bool read_value(size_t *value, const char *parameters, const char *name,
                       const char *switches)
{
    char wanted[16], padded[512], *end;
    snprintf(wanted, sizeof wanted, " %s=", name);
    snprintf(padded, sizeof padded, " %s ", parameters);
    const char *place = strstr(padded, wanted);
    if (!place || place[strlen(wanted)] < '0' || place[strlen(wanted)] > '9')
        return false;
    unsigned long n = strtoul(place + strlen(wanted), &end, 10);
    snprintf(wanted, sizeof wanted, " %s ", name);
    *value = n;
    return *end == ' ' &&
           (strstr(switches, wanted) ? n <= 1 : n >= 1 && n <= MAX_VALUE && !(n & (n - 1)));
}

enum vs_status vs_linear_clblast_set(struct vs_context *context, const char *kernel,
                                     const char *parameters)
{
    size_t values[MAX_PARAMETERS], i = 0, n = 0;
    while (i < N_KERNELS && strcmp(kernels[i].name, kernel) != 0)
        i++;
    if (i == N_KERNELS)
        return vs_fail(VS_ERROR_USAGE, "CLBlast's '%s' is no kernel that serves here", kernel);
    const char *names[MAX_PARAMETERS];
    for (; n < MAX_PARAMETERS && kernels[i].parameters[n]; n++) {
        names[n] = kernels[i].parameters[n];
        if (!read_value(&values[n], parameters, names[n], kernels[i].switches))
            return vs_fail(VS_ERROR_USAGE, "CLBlast's %s: %s is missing or cannot be so", kernel,
                           names[n]);
    }
    CLBlastStatusCode code = CLBlastOverrideParameters(context->device, kernel,
                                                       CLBlastPrecisionSingle, n, names, values);
    if (code != CLBlastSuccess)
        return vs_fail(VS_ERROR_RUNTIME, "%s: CLBlast does not take parameters (its error %d)",
                       vs_context_device(context)->name, (int)code);
    return VS_OK;
}
