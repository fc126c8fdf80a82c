/* SPDX-License-Identifier: Apache-2.0
 *
 * gguf.h - numbers of the GGUF format that its reader and its writer share. */
#ifndef VS_MODELS_GGUF_H
#define VS_MODELS_GGUF_H

#include "kernels/convert/dtype.h"

/* Types of values. */
enum vs_gguf_value {
    VS_GGUF_U8,
    VS_GGUF_I8,
    VS_GGUF_U16,
    VS_GGUF_I16,
    VS_GGUF_U32,
    VS_GGUF_I32,
    VS_GGUF_F32,
    VS_GGUF_BOOL,
    VS_GGUF_STRING,
    VS_GGUF_ARRAY,
    VS_GGUF_U64,
    VS_GGUF_I64,
    VS_GGUF_F64,
    VS_N_GGUF_VALUES
};

/* In front of a tensor's name: the shape (array of I32) of a tensor that was folded. */
#define VS_GGUF_SHAPE_KEY "comfy.gguf.orig_shape."

/* Of a model in several files, as llama.cpp's gguf-split writes them: the file's number, from 0, how
 * many there are (both U16), and the tensors in all of them (I32). The files lie in one folder, are
 * named PREFIX-00001-of-00003.gguf, and the first has what is said of the model. */
#define VS_GGUF_SPLIT_NO "split.no"
#define VS_GGUF_SPLIT_COUNT "split.count"
#define VS_GGUF_SPLIT_TENSORS "split.tensors.count"
enum { VS_MAX_GGUF_SPLITS = 1000 };

/* Number of a tensor's format, or UINT32_MAX for one that GGUF lacks. */
uint32_t vs_gguf_type(enum vs_dtype dtype);

#endif
