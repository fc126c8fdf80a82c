/* SPDX-License-Identifier: Apache-2.0
 *
 * weights_internal.h - what the readers of the containers share with weights.c.
 *
 * A reader proves its table, then hands every tensor to vs_weights_add(), which checks what all
 * containers have in common: names, sizes that do not overflow, whole blocks, ranges. */
#ifndef VS_MODELS_WEIGHTS_INTERNAL_H
#define VS_MODELS_WEIGHTS_INTERNAL_H

#include "models/file_map.h"
#include "models/synthetic.h"
#include "models/weights.h"

enum {
    VS_MAX_TENSORS = 100000,         /* the largest releases have about a thousand */
    VS_MAX_NAME_BYTES = 512,         /* of a tensor */
    VS_MAX_METADATA = 1024,          /* entries kept; more are passed over */
    VS_MAX_METADATA_BYTES = 1 << 16, /* of one value; longer ones are passed over */
    VS_MAX_TABLE_BYTES = 8 << 20     /* JSON headers and pickles: bounds what parsing can cost */
};

struct vs_text_entry {
    char *key, *value;
};

struct vs_text_list {
    struct vs_text_entry *entries;
    size_t n, room;
};

struct vs_weights {
    enum vs_container container;
    char *path;
    struct vs_file_map **maps;
    size_t n_maps, maps_room;
    struct vs_tensor *tensors;
    size_t n_tensors, tensors_room;
    const struct vs_tensor **by_name; /* sorted; made when all tensors are known */
    void **copies;                    /* data of tensors that had to be made contiguous */
    size_t n_copies, copies_room;
    struct vs_text_list metadata;
    struct vs_synthetic *synthetic; /* NULL: the weights come from files */
    struct vs_text_list inert; /* canonical name -> the code it would have needed */
};

/* What a reader found out about one tensor. */
struct vs_tensor_entry {
    const char *name; /* n_name bytes, as in the file, need not end in NUL */
    size_t n_name;
    enum vs_dtype dtype;
    size_t n_dims;
    size_t shape[VS_MAX_DIMS]; /* outermost first */
    uint64_t offset;           /* of the data in the file */
};

/* Makes room for one more element in array. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status vs_grow(void *array, size_t n, size_t *room, size_t element_bytes);

/* Takes over map, also on a fault. */
VS_CHECK enum vs_status vs_weights_add_map(struct vs_weights *weights, struct vs_file_map *map);

/* Refuses names that are empty, endless, or hold what a terminal would obey. */
VS_CHECK enum vs_status vs_tensor_check_name(const char *name, size_t n_name);

/* Elements and bytes of a tensor. Messages begin with the tensor's name. */
VS_CHECK enum vs_status vs_tensor_size(size_t *n_elements, size_t *n_bytes,
                                       const struct vs_tensor_entry *entry);

/* Appends a tensor of map. copy: its data, taken over also on a fault, or NULL for data that lie
 * in the map at entry->offset. Messages begin with the file and the tensor's name. */
VS_CHECK enum vs_status vs_weights_add(struct vs_weights *weights, const struct vs_file_map *map,
                                       const struct vs_tensor_entry *entry, void *copy);

/* Appends copies to a list. Passed over are entries beyond the limits above or holding NUL bytes.
 */
VS_CHECK enum vs_status vs_text_add(struct vs_text_list *list, const char *key, size_t n_key,
                                    const char *value, size_t n_value);

void vs_text_free(struct vs_text_list *list);

/* Refuses tensors of one file that share bytes. */
VS_CHECK enum vs_status vs_weights_check_overlap(const struct vs_weights *weights);

/* Name without the wrappers' prefixes, in place. */
void vs_name_canonical(char *name);

/* Opens bytes as if they stood in a file of that name; data is borrowed. For tests and fuzzing. */
VS_CHECK enum vs_status vs_weights_open_memory(struct vs_weights **weights, const char *path,
                                               const void *data, size_t size);

/* The readers: map is the file as recognised, already owned by weights. */
VS_CHECK enum vs_status vs_safetensors_read(struct vs_weights *weights,
                                            const struct vs_file_map *map);
VS_CHECK enum vs_status vs_safetensors_read_index(struct vs_weights *weights,
                                                  const struct vs_file_map *map);
VS_CHECK enum vs_status vs_torch_read(struct vs_weights *weights, const struct vs_file_map *map);
VS_CHECK enum vs_status vs_gguf_read(struct vs_weights *weights, const struct vs_file_map *map);

#endif
