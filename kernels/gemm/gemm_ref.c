/* SPDX-License-Identifier: Apache-2.0
 *
 * gemm_ref.c - oracle of linear layers: vs_dot(), one add of the bias, the epilogue. */
#include "kernels/common/reduce.h"
#include "kernels/common/vmath_host.h"
#include "kernels/gemm/gemm.h"

static float finish(const struct vs_linear_ref *linear, float y, size_t m, size_t n)
{
    size_t i = m * linear->n_outputs + n;
    size_t gate_row = linear->rows_per_gate ? m / linear->rows_per_gate : 0;
    switch (linear->epilogue) {
    case VS_EPILOGUE_GELU:
        return vm_gelu2(y);
    case VS_EPILOGUE_SILU:
        return vm_silu(y);
    case VS_EPILOGUE_RESIDUAL:
        return linear->residual[i] + y;
    case VS_EPILOGUE_GATED:
        return __builtin_fmaf(linear->gate[gate_row * linear->n_outputs + n], y,
                              linear->residual[i]);
    case VS_EPILOGUE_MULTIPLY:
        return linear->residual[i] * y;
    default:
        return y;
    }
}

void vs_linear_ref(float *out, const float *x, size_t n_rows, const struct vs_linear_ref *linear)
{
    size_t n_outputs = linear->n_outputs, n_columns = linear->n_columns;
    for (size_t m = 0; m < n_rows; m++)
        for (size_t n = 0; n < n_outputs; n++) {
            float y = vs_dot(x + m * n_columns, 1, linear->weight + n * n_columns, 1, n_columns);
            if (linear->bias)
                y = y + linear->bias[n];
            out[m * n_outputs + n] = finish(linear, y, m, n);
        }
}
