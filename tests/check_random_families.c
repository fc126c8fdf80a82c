/* SPDX-License-Identifier: Apache-2.0
 *
 * check_random_families.c - what a random case of each family is. */
#include "tests/check_random.h"

#include <math.h>
#include <string.h>

#include "kernels/attention/attention.h"
#include "kernels/conv/conv.h"
#include "kernels/convert/convert.h"
#include "kernels/gemm/gemm.h"
#include "kernels/memory/memory.h"
#include "kernels/norm/norm.h"
#include "kernels/pixels/pixels.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/rope/rope.h"

#define OF(...) random_of(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), (size_t[]){__VA_ARGS__})

static void linear(void)
{
    enum vs_dtype dtype = (enum vs_dtype)check_random_below(VS_Q4_K + 1);
    size_t block = vs_dtype_info(dtype)->n_elements, m, n, k, variant;
    do {
        m = random_size(300), n = random_size(300);
        k = (random_size(1200) + block - 1) / block * block;
    } while ((double)(m * n * k) > random_budget() && m * n * k > block);
    enum random_kind kind = random_kind();
    enum random_weights special = random_chance(3) ? check_random_below(3) : WEIGHTS_NORMAL;
    bool in_place = random_chance(3), bias = !random_chance(3);
    struct vs_linear_ref ref = {.n_columns = k,
                                .n_outputs = n,
                                .epilogue = (enum vs_epilogue)check_random_below(6),
                                .rows_per_gate = random_chance(3) ? 0 : random_size(m)};
    size_t n_gates = ref.rows_per_gate ? (m + ref.rows_per_gate - 1) / ref.rows_per_gate : 1;
    uint8_t *matrix = random_matrix(dtype, n * k, special);
    float *x = random_floats(m * k, kind), *wide = random_nans(n * k), *want = random_nans(m * n);
    float *bias_values = random_floats(n, kind), *gate = random_floats(n_gates * n, kind);
    float *residual = random_floats(m * n, kind);
    vs_dtype_widen(wide, matrix, dtype, n * k);
    ref.weight = wide, ref.residual = residual, ref.gate = gate;
    ref.bias = bias ? bias_values : NULL;
    vs_linear_ref(want, x, m, &ref);

    struct vs_weight weight;
    check_ok(vs_weight_create(&weight, check_context, matrix, dtype, n, k));
    struct vs_linear layer = {.weight = &weight,
                              .bias =
                                  bias ? random_upload(bias_values, n)->span : (struct vs_span){0},
                              .epilogue = ref.epilogue,
                              .gate = random_upload(gate, n_gates * n)->span,
                              .rows_per_gate = ref.rows_per_gate};
    struct check_buffer *old = random_upload(residual, m * n);
    struct check_buffer *out = in_place ? old : random_upload(NULL, m * n);
    layer.residual = old->span;
    RANDOM_VARIANT(variant, vs_linear, vs_linear_variant_usable(check_context, i, &layer));
    random_describe("linear %zux%zux%zu %s%s, %s, epilogue %d, gates of %zu rows%s%s, %s", m, n, k,
                    vs_dtype_info(dtype)->name, random_weights_name(special),
                    random_kind_name(kind), (int)ref.epilogue, ref.rows_per_gate,
                    bias ? ", bias" : "", in_place ? ", in place" : "",
                    RANDOM_VARIANT_NAME(variant, vs_linear));
    random_judge(vs_linear_run_variant(check_context, variant, out->span,
                                       random_upload(x, m * k)->span, m, &layer),
                 out, want);
    vs_weight_free(&weight);
}

static size_t random_stride(size_t width)
{
    return random_chance(2) ? 0 : width + check_random_below(40);
}

static void attention(void)
{
    struct vs_attention a = {.head_dim = OF(1, 16, 24, 64, 128)};
    do {
        a.n_queries = random_size(200), a.n_keys = random_size(300), a.n_heads = random_size(6);
    } while ((double)(a.n_queries * a.n_keys * a.n_heads * a.head_dim) > random_budget() / 2 &&
             a.n_queries * a.n_keys * a.n_heads > 1);
    size_t width = a.n_heads * a.head_dim, variant;
    enum random_kind kind = random_kind();
    bool has_bias = random_chance(3), has_slots = random_chance(2);
    a.q_stride = random_stride(width), a.kv_stride = random_stride(width);
    a.out_stride = random_stride(width);
    a.kv = random_chance(3) ? VS_F16 : VS_F32;
    a.scale = random_chance(4) ? 1 : (float)(1 / sqrt((double)a.head_dim));
    a.rows_per_slot = has_slots ? random_size(80) : 0;
    size_t n_slots = has_slots ? (a.n_keys - 1) / a.rows_per_slot + 1 + check_random_below(3) : 0;
    size_t n_rows = has_slots ? n_slots * a.rows_per_slot : a.n_keys;
    size_t n_q = (a.n_queries - 1) * (a.q_stride ? a.q_stride : width) + width;
    size_t n_kv = (n_rows - 1) * (a.kv_stride ? a.kv_stride : width) + width;
    size_t n_out = (a.n_queries - 1) * (a.out_stride ? a.out_stride : width) + width;
    size_t n_bias = a.n_heads * (a.n_queries + a.n_keys - 1);
    float *q = random_floats(n_q, kind), *k = random_floats(n_kv, kind);
    float *v = random_floats(n_kv, random_kind());
    float *bias = has_bias ? random_floats(n_bias, RANDOM_NORMAL) : NULL;
    int32_t *slots = has_slots ? random_slots(n_slots) : NULL;
    float *want = random_nans(n_out);
    check_round(a.kv, k, n_kv), check_round(a.kv, v, n_kv);
    check_ok(vs_attention_ref(want, q, k, v, bias, slots, &a));

    if (has_bias)
        a.bias = random_upload(bias, n_bias)->span;
    a.slots = has_slots ? random_upload_slots(slots, n_slots) : NULL;
    RANDOM_VARIANT(variant, vs_attention, vs_attention_variant_usable(check_context, i, &a));
    random_describe("attention %zu by %zu, %zux%zu, strides %zu %zu %zu, slots of %zu, %s, %s%s, "
                    "%s",
                    a.n_queries, a.n_keys, a.n_heads, a.head_dim, a.q_stride, a.kv_stride,
                    a.out_stride, a.rows_per_slot, vs_dtype_info(a.kv)->name,
                    random_kind_name(kind), has_bias ? ", bias" : "",
                    RANDOM_VARIANT_NAME(variant, vs_attention));
    struct check_buffer *out = random_upload(NULL, n_out);
    random_judge(vs_attention_run_variant(check_context, variant, out->span,
                                          random_upload(q, n_q)->span,
                                          random_upload_as(a.kv, k, n_kv)->span,
                                          random_upload_as(a.kv, v, n_kv)->span, &a),
                 out, want);
}

/* Sizes of a convolution that has at least one output. */
static void draw_conv(struct vs_conv *conv, struct vs_conv_weight *weight)
{
    bool same = random_chance(2); /* as in the VAE, else anything */
    weight->n_in = random_size(70), weight->n_out = random_size(70);
    weight->kernel[0] = OF(1, 3, 2), weight->kernel[1] = OF(1, 3, 3, 2);
    weight->kernel[2] = same ? weight->kernel[1] : OF(1, 3, 5);
    conv->split_frames = random_chance(6);
    weight->n_out += conv->split_frames && weight->n_out % 2;
    conv->n_past = random_chance(2) ? weight->kernel[0] - 1 : check_random_below(3);
    conv->n_frames = random_size(4);
    if (conv->n_past + conv->n_frames < weight->kernel[0])
        conv->n_frames = weight->kernel[0];
    conv->height = random_size(20), conv->width = random_size(40);
    conv->stride_time = OF(1, 1, 1, 2), weight->stride = OF(1, 1, 1, 2, 3);
    conv->upsample = random_chance(5);
    conv->first_row = check_random_below(4);
    size_t doubled = conv->upsample ? 2 : 1;
    conv->pad_top = same ? weight->kernel[1] / 2 : check_random_below(3);
    conv->pad_left = same ? weight->kernel[2] / 2 : check_random_below(3);
    conv->out_height = same ? conv->height * doubled / weight->stride : random_size(20);
    conv->out_width = same ? conv->width * doubled / weight->stride : random_size(40);
}

static void convolution(void)
{
    struct vs_conv_weight weight;
    struct vs_conv conv;
    size_t n_k, n_out, variant;
    do {
        weight = (struct vs_conv_weight){0};
        conv = (struct vs_conv){.weight = &weight};
        draw_conv(&conv, &weight);
        n_k = weight.n_in * weight.kernel[0] * weight.kernel[1] * weight.kernel[2];
        n_out = vs_conv_out_frames(&conv) / (conv.split_frames ? 2 : 1) * conv.out_height *
                conv.out_width * weight.n_out;
    } while (!n_out || (double)(n_out * n_k) > random_budget());
    size_t n_pixels = conv.height * conv.width * weight.n_in;
    enum random_kind kind = random_kind();
    enum vs_dtype dtype = (enum vs_dtype)check_random_below(VS_BF16 + 1);
    /* No infinite weights: times zero padding, which variants may skip, they make NaN. */
    enum random_weights special = random_chance(3) ? WEIGHTS_DENORMAL : WEIGHTS_NORMAL;
    bool has_bias = !random_chance(3), has_past = random_chance(2);
    bool has_residual = random_chance(2), in_place = has_residual && random_chance(2);
    float *x = random_floats(conv.n_frames * n_pixels, kind),
          *wide = random_nans(weight.n_out * n_k);
    float *past = has_past ? random_floats(conv.n_past * n_pixels, kind) : NULL;
    float *bias = has_bias ? random_floats(weight.n_out, kind) : NULL;
    float *residual = random_floats(n_out, kind), *want = random_nans(n_out);
    uint8_t *matrix = random_matrix(dtype, weight.n_out * n_k, special);
    vs_dtype_widen(wide, matrix, dtype, weight.n_out * n_k);
    vs_conv_ref(want, x, wide, bias, past, has_residual ? residual : NULL, &conv);

    struct vs_conv_weight packed;
    check_ok(vs_conv_weight_create(&packed, check_context, matrix, dtype, weight.n_out, weight.n_in,
                                   weight.kernel, weight.stride));
    conv.weight = &packed;
    if (has_bias)
        conv.bias = random_upload(bias, weight.n_out)->span;
    if (has_past)
        conv.past = random_upload(past, conv.n_past * n_pixels)->span;
    struct check_buffer *old = random_upload(residual, n_out);
    if (has_residual)
        conv.residual = old->span;
    struct check_buffer *out = in_place ? old : random_upload(NULL, n_out);
    RANDOM_VARIANT(variant, vs_conv, vs_conv_variant_usable(check_context, i, &conv));
    random_describe("conv %zux%zux%zu %zu to %zu on %zu+%zu frames %zux%zu to %zux%zu, padded %zu "
                    "%zu, stride %zu %zu, %s%s, %s%s%s%s%s%s%s, %s",
                    weight.kernel[0], weight.kernel[1], weight.kernel[2], weight.n_in, weight.n_out,
                    conv.n_past, conv.n_frames, conv.height, conv.width, conv.out_height,
                    conv.out_width, conv.pad_top, conv.pad_left, conv.stride_time, weight.stride,
                    vs_dtype_info(dtype)->name, random_weights_name(special),
                    random_kind_name(kind), has_bias ? ", bias" : "", has_past ? ", past" : "",
                    conv.upsample ? ", doubled" : "", conv.split_frames ? ", split" : "",
                    has_residual ? ", residual" : "", in_place ? ", in place" : "",
                    RANDOM_VARIANT_NAME(variant, vs_conv));
    random_judge(vs_conv_run_variant(check_context, variant, out->span,
                                     random_upload(x, conv.n_frames * n_pixels)->span, &conv),
                 out, want);
    vs_conv_weight_free(&packed);
}

static void norm(void)
{
    static const char *const names[] = {"layernorm", "rmsnorm", "channel norm"};
    size_t which = check_random_below(3), n_rows, n_channels, variant;
    do
        n_rows = random_size(120), n_channels = random_size(2000);
    while ((double)(n_rows * n_channels) > random_budget() / 20);
    size_t n = n_rows * n_channels;
    enum random_kind kind = random_kind();
    bool flag = random_chance(2), in_place = random_chance(3);
    struct vs_layernorm layer = {.n_rows = n_rows,
                                 .n_channels = n_channels,
                                 .eps = 1e-6f,
                                 .modulation = flag,
                                 .rows_per_vector = random_chance(2) ? 0 : random_size(n_rows)};
    size_t n_vectors = layer.rows_per_vector ? (n_rows - 1) / layer.rows_per_vector + 1 : 1;
    float *x = random_floats(n, kind), *want = random_nans(n);
    float *shift = random_floats(n_vectors * n_channels, random_kind());
    float *scale = random_floats(n_vectors * n_channels, random_kind());
    struct check_buffer *dx = random_upload(x, n), *out = in_place ? dx : random_upload(NULL, n);
    struct vs_span dscale = random_upload(scale, n_vectors * n_channels)->span;
    struct vs_span dshift = random_upload(shift, n_vectors * n_channels)->span;
    enum vs_status status;
    RANDOM_VARIANT(variant, vs_norm, vs_norm_variant_usable(check_context, i));
    random_describe("%s %zux%zu, flag %d, vectors of %zu rows, %s%s, %s", names[which], n_rows,
                    n_channels, flag, layer.rows_per_vector, random_kind_name(kind),
                    in_place ? ", in place" : "", RANDOM_VARIANT_NAME(variant, vs_norm));
    if (which == 0) {
        vs_layernorm_ref(want, x, shift, scale, &layer);
        status = vs_layernorm_run_variant(check_context, variant, out->span, dx->span, dshift,
                                          dscale, &layer);
    } else if (which == 1) {
        vs_rmsnorm_ref(want, x, scale, n_rows, n_channels, 1e-6f);
        status = vs_rmsnorm_run_variant(check_context, variant, out->span, dx->span, dscale, n_rows,
                                        n_channels, 1e-6f);
    } else {
        vs_channel_norm_ref(want, x, scale, n_rows, n_channels, flag);
        status = vs_channel_norm_run_variant(check_context, variant, out->span, dx->span, dscale,
                                             n_rows, n_channels, flag);
    }
    random_judge(status, out, want);
}

/* Rows of the ring cache: rows of host, [n_rows, width], where slots put them; NaN elsewhere. */
static struct vs_span upload_ring(enum vs_dtype dtype, const float *host, size_t n_rows,
                                  size_t width, const int32_t *slots, size_t n_slots,
                                  size_t per_slot)
{
    if (!slots)
        return random_upload_as(dtype, host, n_rows * width)->span;
    float *ring = random_nans(n_slots * per_slot * width);
    for (size_t row = 0; row < n_rows; row++)
        memcpy(ring + ((size_t)slots[row / per_slot] * per_slot + row % per_slot) * width,
               host + row * width, width * sizeof *ring);
    return random_upload_as(dtype, ring, n_slots * per_slot * width)->span;
}

/* Keys of unit length and gates as a model has them: decays that multiply without end would leave
 * the normal numbers. */
static void memory_update(void)
{
    struct vs_memory_update u = {.head_dim = OF(4, 16, 32, 36)};
    do
        u.n_rows = random_size(100), u.n_heads = random_size(8);
    while ((double)(4 * u.n_rows * u.n_heads * u.head_dim * u.head_dim) > random_budget());
    size_t width = u.n_heads * u.head_dim, n = u.n_rows * width, n_state = width * u.head_dim;
    enum random_kind kind = random_kind();
    u.v = random_chance(3) ? VS_F16 : VS_F32;
    u.beta_width = random_chance(2) ? width : u.n_heads;
    u.alpha_width = random_chance(2) ? width : u.n_heads;
    size_t n_beta = u.n_rows * u.beta_width, n_alpha = u.n_rows * u.alpha_width, variant;
    float *k = random_floats(n, RANDOM_NORMAL), *v = random_floats(n, kind);
    float *beta = random_floats(n_beta, RANDOM_NORMAL);
    float *alpha = random_floats(n_alpha, RANDOM_NORMAL);
    float *a_log = random_floats(u.alpha_width, RANDOM_BITS), *want = random_nans(n_state);
    float *state = random_floats(n_state, kind);
    for (size_t i = 0; i < n_alpha; i++)
        alpha[i] -= 3;
    vs_unit_ref(k, k, u.n_rows * u.n_heads, u.head_dim, 1e-6f);
    vs_gates_ref(beta, alpha, beta, alpha, a_log, u.n_rows, u.beta_width, u.alpha_width);
    memcpy(want, state, n_state * sizeof *want);
    check_round(u.v, v, n);
    vs_memory_update_ref(want, k, v, beta, alpha, &u);

    int32_t *slots = NULL, *entries;
    size_t n_slots = 0;
    if (random_chance(2)) {
        u.rows_per_slot = random_size(40), u.first_slot = check_random_below(5);
        n_slots = (u.n_rows - 1) / u.rows_per_slot + 1 + check_random_below(3);
        entries = random_slots(u.first_slot + n_slots);
        slots = random_slots(n_slots);
        memcpy(entries + u.first_slot, slots, n_slots * sizeof *slots);
        u.slots = random_upload_slots(entries, u.first_slot + n_slots);
    }
    struct check_buffer *out = random_upload(state, n_state);
    RANDOM_VARIANT(variant, vs_memory_update,
                   vs_memory_update_variant_usable(check_context, i, &u));
    random_describe("memory update, %zu tokens, %zux%zu, gates %zu %zu, slots of %zu from %zu, %s, "
                    "%s, %s",
                    u.n_rows, u.n_heads, u.head_dim, u.beta_width, u.alpha_width, u.rows_per_slot,
                    u.first_slot, vs_dtype_info(u.v)->name, random_kind_name(kind),
                    RANDOM_VARIANT_NAME(variant, vs_memory_update));
    random_judge(vs_memory_update_run_variant(
                     check_context, variant, out->span, random_upload(k, n)->span,
                     upload_ring(u.v, v, u.n_rows, width, slots, n_slots, u.rows_per_slot),
                     upload_ring(VS_F32, beta, u.n_rows, u.beta_width, slots, n_slots,
                                 u.rows_per_slot),
                     upload_ring(VS_F32, alpha, u.n_rows, u.alpha_width, slots, n_slots,
                                 u.rows_per_slot),
                     &u),
                 out, want);
}

static void memory_read(void)
{
    struct vs_memory_read r = {.head_dim = OF(4, 16, 32, 36), .eps = 1e-6f};
    do
        r.n_rows = random_size(100), r.n_heads = random_size(8);
    while ((double)(2 * r.n_rows * r.n_heads * r.head_dim * r.head_dim) > random_budget());
    r.rows_per_frame = random_size(r.n_rows);
    size_t width = r.n_heads * r.head_dim, n = r.n_rows * width, n_state = width * r.head_dim;
    size_t n_gamma = ((r.n_rows - 1) / r.rows_per_frame + 1) * width, variant;
    enum random_kind kind = random_kind();
    bool in_place = random_chance(3);
    float *q = random_floats(n, RANDOM_NORMAL), *g = random_floats(n, kind);
    float *state = random_floats(n_state, kind), *weight = random_floats(r.head_dim, kind);
    float *gamma = random_floats(n_gamma, RANDOM_BITS), *local = random_floats(n, kind);
    float *want = random_nans(n);
    vs_unit_ref(q, q, r.n_rows * r.n_heads, r.head_dim, 1e-6f);
    vs_memory_read_ref(want, q, state, g, weight, gamma, local, &r);

    struct check_buffer *dlocal = random_upload(local, n);
    struct check_buffer *out = in_place ? dlocal : random_upload(NULL, n);
    RANDOM_VARIANT(variant, vs_memory_read, vs_memory_read_variant_usable(check_context, i, &r));
    random_describe("memory read, %zu tokens, %zux%zu, frames of %zu, %s%s, %s", r.n_rows,
                    r.n_heads, r.head_dim, r.rows_per_frame, random_kind_name(kind),
                    in_place ? ", in place" : "", RANDOM_VARIANT_NAME(variant, vs_memory_read));
    random_judge(
        vs_memory_read_run_variant(check_context, variant, out->span, random_upload(q, n)->span,
                                   random_upload(state, n_state)->span, random_upload(g, n)->span,
                                   random_upload(weight, r.head_dim)->span,
                                   random_upload(gamma, n_gamma)->span, dlocal->span, &r),
        out, want);
}

static void gates(void)
{
    struct vs_gates_shape shape = {
        .n_rows = random_size(80), .beta_width = random_size(200), .alpha_width = random_size(200)};
    size_t n_beta = shape.n_rows * shape.beta_width, n_alpha = shape.n_rows * shape.alpha_width;
    enum random_kind kind = random_kind();
    float *b = random_floats(n_beta, kind), *a = random_floats(n_alpha, kind);
    float *a_log = random_floats(shape.alpha_width, RANDOM_NORMAL);
    float *beta = random_nans(n_beta), *alpha = random_nans(n_alpha);
    vs_gates_ref(beta, alpha, b, a, a_log, shape.n_rows, shape.beta_width, shape.alpha_width);
    struct check_buffer *db = random_upload(b, n_beta), *da = random_upload(a, n_alpha);
    random_describe("gates, %zu rows, widths %zu %zu, %s", shape.n_rows, shape.beta_width,
                    shape.alpha_width, random_kind_name(kind));
    enum vs_status status = vs_gates_run(check_context, db->span, da->span, db->span, da->span,
                                         random_upload(a_log, shape.alpha_width)->span, &shape);
    random_judge(status, db, beta);
    random_judge(status, da, alpha);
}

static void rope(void)
{
    struct vs_rope r = {.shape = {.head_dim = OF(2, 16, 32, 66),
                                  .n_frames = random_size(4),
                                  .grid_rows = random_size(8),
                                  .grid_columns = random_size(12)},
                        .n_heads = random_size(4),
                        .backwards = random_chance(2),
                        .eps = 1e-6f};
    const struct vs_rope_shape *s = &r.shape;
    size_t grid = s->grid_rows * s->grid_columns, width = r.n_heads * s->head_dim;
    size_t n = s->n_frames * grid * width, n_table = vs_rope_table_size(s);
    enum random_kind kind = random_kind();
    int64_t frames[4];
    for (int i = 0; i < 4; i++)
        frames[i] = (int64_t)check_random_below(40000) - 20000;
    float *x = random_floats(n, kind), *table = random_nans(n_table), *want = random_nans(n);
    vs_rope_table_fill(table, s, frames, random_chance(4));
    bool has_slots = random_chance(2), norm = random_chance(2);
    if (norm) {
        float *weight = random_floats(width, RANDOM_NORMAL), *normed = random_nans(n);
        vs_rmsnorm_ref(normed, x, weight, n / width, width, r.eps);
        vs_rope_ref(want, normed, table, &r);
        r.norm_weight = random_upload(weight, width)->span;
    } else {
        vs_rope_ref(want, x, table, &r);
    }
    size_t variant;
    RANDOM_VARIANT(variant, vs_rope, vs_rope_variant_usable(check_context, i));
    if (has_slots) { /* rows are scattered; the expected result with them */
        int32_t *slots = random_slots(s->n_frames);
        float *moved = random_nans(n);
        for (size_t f = 0; f < s->n_frames; f++)
            memcpy(moved + (size_t)slots[f] * grid * width, want + f * grid * width,
                   grid * width * sizeof *moved);
        want = moved;
        r.out_slots = random_upload_slots(slots, s->n_frames);
    }
    struct check_buffer *out = random_upload(NULL, n);
    random_describe("rope %zux%zux%zu tokens, %zux%zu%s%s%s, %s, %s", s->n_frames, s->grid_rows,
                    s->grid_columns, r.n_heads, s->head_dim, r.backwards ? ", backwards" : "",
                    has_slots ? ", slots" : "", norm ? ", norm" : "", random_kind_name(kind),
                    RANDOM_VARIANT_NAME(variant, vs_rope));
    random_judge(vs_rope_run_variant(check_context, variant, out->span, random_upload(x, n)->span,
                                     random_upload(table, n_table)->span, &r),
                 out, want);
}

static void activation(void)
{
    size_t n = random_size(5000);
    enum vs_activation f = (enum vs_activation)check_random_below(4);
    enum random_kind kind = random_kind();
    float *x = random_floats(n, kind), *want = random_nans(n);
    vs_activation_ref(want, x, n, f);
    struct check_buffer *dx = random_upload(x, n);
    struct check_buffer *out = random_chance(2) ? dx : random_upload(NULL, n);
    random_describe("activation %d of %zu values, %s%s", (int)f, n, random_kind_name(kind),
                    out == dx ? ", in place" : "");
    random_judge(vs_activation_run(check_context, out->span, dx->span, n, f), out, want);
}

static void widen(void)
{
    enum vs_dtype dtype = (enum vs_dtype)check_random_below(VS_Q4_K + 1);
    size_t block = vs_dtype_info(dtype)->n_elements;
    size_t n_rows = random_size(30), n_columns = block * random_size(1200 / block);
    size_t n = n_rows * n_columns;
    uint8_t *matrix = random_matrix(dtype, n, WEIGHTS_SPECIAL);
    float *want = random_nans(n);
    vs_dtype_widen(want, matrix, dtype, n);
    struct vs_weight weight;
    check_ok(vs_weight_create(&weight, check_context, matrix, dtype, n_rows, n_columns));
    struct check_buffer *out = random_upload(NULL, n);
    random_describe("widen %zux%zu %s", n_rows, n_columns, vs_dtype_info(dtype)->name);
    random_judge(vs_weight_widen(check_context, out->span, &weight), out, want);
    vs_weight_free(&weight);
}

static void pixels(void)
{
    size_t f = random_size(3), c = random_size(20), h = random_size(20), w = random_size(30);
    size_t n = f * c * h * w, n_x = c + check_random_below(4);
    bool scaled = random_chance(2), first = random_chance(2);
    enum random_kind kind = random_kind();
    float *scale = random_floats(c, RANDOM_NORMAL), *shift = random_floats(c, kind);
    struct vs_span dscale = {0}, dshift = {0};
    if (scaled)
        dscale = random_upload(scale, c)->span, dshift = random_upload(shift, c)->span;
    size_t n_in = first ? f * h * w * n_x : n;
    float *x = random_floats(n_in, kind), *want = random_nans(n);
    struct vs_span dx = random_upload(x, n_in)->span;
    struct check_buffer *out = random_upload(NULL, n);
    random_describe("channels %s %zux%zux%zux%zu of %zu%s, %s", first ? "first" : "last", f, c, h,
                    w, n_x, scaled ? ", scaled" : "", random_kind_name(kind));
    if (first) {
        vs_channels_first_ref(want, x, scaled ? scale : NULL, scaled ? shift : NULL, f, c, n_x, h,
                              w);
        random_judge(
            vs_channels_first_run(check_context, out->span, dx, dscale, dshift, f, c, n_x, h, w),
            out, want);
    } else {
        vs_channels_last_ref(want, x, scaled ? scale : NULL, scaled ? shift : NULL, f, c, h, w);
        random_judge(vs_channels_last_run(check_context, out->span, dx, dscale, dshift, f, c, h, w),
                     out, want);
    }
}

/* The heavy families more often. */
void (*const random_families[])(void) = {
    linear,      linear,      linear, attention,  attention,     attention,     convolution,
    convolution, convolution, norm,   norm,       memory_update, memory_update, memory_read,
    memory_read, gates,       rope,   activation, widen,         pixels,
};
const size_t random_n_families = sizeof random_families / sizeof *random_families;
