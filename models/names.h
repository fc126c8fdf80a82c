/* SPDX-License-Identifier: Apache-2.0
 *
 * names.h - the two namings of the same tensors: Wan2.1's releases and the diffusers library.
 *
 * Weights are the same, one for one; only names differ. Known are the transformer, the UMT5 encoder
 * (which diffusers stores as the transformers library does) and the VAE. */
#ifndef VS_MODELS_NAMES_H
#define VS_MODELS_NAMES_H

#include "models/weights.h"

enum vs_naming { VS_NAMES_WAN, VS_NAMES_DIFFUSERS };

/* Which network's table fits; part is told from a single file's names. */
enum vs_name_table { VS_TABLE_DIT, VS_TABLE_TEXT_ENCODER, VS_TABLE_VAE, VS_N_NAME_TABLES };

/* The table whose diffusers naming a file with this tensor uses, or VS_N_NAME_TABLES. Only names
 * that no release of Wan has are conclusive. */
enum vs_name_table vs_names_conclude(const char *diffusers_name);

/* name in the other naming, `to`; names that the table does not hold come back as they are. Freed
 * with free(); NULL: out of memory. */
char *vs_names_translate(const char *name, enum vs_name_table table, enum vs_naming to);

#endif
