/* SPDX-License-Identifier: Apache-2.0
 *
 * lora.h - low-rank differences to a network's weights, and adding them.
 *
 * Read are the namings of peft and diffusers (lora_A, lora_B), kohya (lora_down, lora_up, alpha; with
 * underscores for points, too) and ComfyUI (also diff and diff_b: differences in full). A matrix
 * becomes W + dot(rank) * (scale * alpha / rank), in float32 and in the order of kernels/NUMERICS.md;
 * without an alpha it counts as the rank. Several files are added one after the other. */
#ifndef VS_MODELS_LORA_H
#define VS_MODELS_LORA_H

#include "models/weights.h"

struct vs_lora_set;

/* Opens n files and finds the tensors that they change among all weights of bases, which are
 * borrowed. VS_ERROR_MODEL for a tensor of a file that changes nothing here, for shapes that do not
 * fit, and as vs_weights_open(); VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_lora_set_create(struct vs_lora_set **set, const struct vs_lora *loras,
                                           size_t n, const struct vs_weights *const *bases,
                                           size_t n_bases);
void vs_lora_set_free(struct vs_lora_set *set);

/* Whether a tensor of the bases is changed at all, and how many are. set may be NULL. */
bool vs_lora_touches(const struct vs_lora_set *set, const struct vs_tensor *base);
size_t vs_lora_count(const struct vs_lora_set *set);

/* Format that a changed tensor has where none is asked for: its own, but F16 in place of blocks,
 * whose steps are coarser than most differences, and F32 in place of F64. */
enum vs_dtype vs_lora_dtype(enum vs_dtype base);

/* Elements of one of a tensor's shape[0] rows. */
size_t vs_lora_columns(const struct vs_tensor *base);

/* values [n_rows, columns]: rows of base from first_row on, changed in place. VS_ERROR_MODEL for
 * infinities or NaN in a file; VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_lora_add(struct vs_lora_set *set, const struct vs_tensor *base,
                                    float *values, size_t first_row, size_t n_rows);

/* Changes the tensors themselves, in memory of the weights' own: what generate --lora does. The
 * bits are those that a conversion writes when it keeps the formats. sizes_only: the memory is left
 * as the system gives it, for plans. */
VS_CHECK enum vs_status vs_weights_merge(struct vs_weights *weights, struct vs_lora_set *set,
                                         bool sizes_only);

/* File i of the set, e.g. for its fingerprint; borrowed. */
const struct vs_weights *vs_lora_file(const struct vs_lora_set *set, size_t i);

/* total [VS_LORA_TILE] = up [rank] down [rank, VS_LORA_TILE], for tests: plain, and as this processor
 * does it. Equal bits. */
enum { VS_LORA_TILE = 64 };
void vs_lora_tile_plain(float *total, const float *up, const float *down, size_t rank);
void vs_lora_tile(float *total, const float *up, const float *down, size_t rank);

#endif
