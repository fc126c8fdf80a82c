/* SPDX-License-Identifier: Apache-2.0
 *
 * dit_weights.h - the transformer's tensors: one table says name, shape and place of each; the
 * check without a device and the upload both read it. */
#ifndef VS_MODELS_DIT_WEIGHTS_H
#define VS_MODELS_DIT_WEIGHTS_H

#include "kernels/convert/convert.h"
#include "models/config.h"

/* A linear layer: weight [out, in] in the file's format, bias float32 or none. */
struct vs_affine {
    struct vs_weight weight;
    struct vs_span bias;
};

struct vs_attention_params {
    struct vs_affine q, k, v, o;
    struct vs_span norm_q, norm_k; /* [d] */
};

struct vs_memory_params {
    struct vs_affine b; /* injection gate */
    struct vs_affine a; /* decay gate; its bias is dt_bias */
    struct vs_affine g; /* output gate */
    struct vs_span a_log, o_norm, router_weight, router_bias;
};

struct vs_block_params {
    struct vs_span modulation; /* [6 d] */
    struct vs_attention_params self, cross;
    struct vs_memory_params memory; /* empty in weights without memory */
    struct vs_span norm3_weight, norm3_bias;
    struct vs_affine ffn_in, ffn_out;
};

struct vs_dit_params {
    struct vs_affine patch, text_in, text_out, time_in, time_out, time_projection, head;
    struct vs_span head_modulation; /* [2 d] */
    struct vs_block_params *blocks; /* [n_layers] */
    size_t n_blocks;
    struct vs_buffer *vectors; /* every vector, float32, one after another */
};

/* The matrices of a block that are there, in one order for all blocks; returns how many. */
enum { VS_BLOCK_MATRICES = 13 }; /* at most */
size_t vs_block_matrices(struct vs_weight *matrices[VS_BLOCK_MATRICES],
                         struct vs_block_params *block);

/* Checks presence and shape of every tensor that config asks for (see vs_config_fit()). Needs no
 * device. */
VS_CHECK enum vs_status vs_dit_params_check(const struct vs_weights *weights,
                                            const struct vs_config *config);

/* Uploads them; with `offload`, matrices of blocks are only described. weights must outlive params:
 * devices that share memory use the map itself. */
VS_CHECK enum vs_status vs_dit_params_create(struct vs_dit_params *params,
                                             struct vs_context *context,
                                             const struct vs_weights *weights,
                                             const struct vs_config *config, bool offload);
void vs_dit_params_free(struct vs_dit_params *params);

#endif
