/* SPDX-License-Identifier: Apache-2.0
 *
 * lora_builder.h - LoRA files for tests, in the namings that trainers write. */
#ifndef VS_TESTS_LORA_BUILDER_H
#define VS_TESTS_LORA_BUILDER_H

#include "models/weights.h"
#include "tests/file_builder.h"

/* A safetensors file put together tensor by tensor. */
struct safetensors_build_state {
    struct bytes header, data;
};
void safetensors_add(struct safetensors_build_state *file, const char *name, const char *dtype,
                     size_t n_dims, const size_t *shape, const void *data, size_t n_bytes);
void safetensors_add_floats(struct safetensors_build_state *file, const char *name, size_t rows,
                            size_t columns, const float *values);
void safetensors_finish(struct bytes *out, struct safetensors_build_state *file);

/* Namings: peft, diffusers, kohya, kohya over diffusers' names, ComfyUI. */
enum { N_LORA_NAMINGS = 5 };
const char *lora_naming(size_t naming);

/* Name of a module's tensor, of a wan name without ".weight": part 0 is the matrix of rank rows, 1
 * the other, 2 alpha (where the naming has one, else empty). */
void lora_name(char name[256], size_t naming, const char *module, int part);

/* Differences for every matrix of the attentions and feed-forwards of base, seeded. alpha is
 * written where the naming has one; 0: never. */
void lora_build(struct bytes *out, const struct vs_weights *base, size_t naming, size_t rank,
                float alpha, uint64_t seed);

#endif
