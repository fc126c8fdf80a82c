/* SPDX-License-Identifier: Apache-2.0
 *
 * buffer.h - device memory.
 *
 * Offsets and sizes of buffers are bytes; a vs_span counts float32 elements, since that is what
 * kernels index. Copies and fills are enqueued in order; reads and writes of host memory wait. */
#ifndef VS_CL_BUFFER_H
#define VS_CL_BUFFER_H

#include "cl/status.h"

struct vs_buffer;

/* A place in a buffer of float32: element `offset` on. {0} means "none". */
struct vs_span {
    const struct vs_buffer *buffer;
    size_t offset; /* elements */
};

/* Uninitialised memory. VS_ERROR_MEMORY says how much was wanted and how much the device has. */
VS_CHECK enum vs_status vs_buffer_create(struct vs_buffer **buffer, struct vs_context *context,
                                         size_t n_bytes);

/* Read-only memory with the content of host. Devices that share memory with the host use it in
 * place when it is aligned to a page, so host must outlive the buffer; others get a copy. */
VS_CHECK enum vs_status vs_buffer_wrap(struct vs_buffer **buffer, struct vs_context *context,
                                       const void *host, size_t n_bytes);
void vs_buffer_free(struct vs_buffer *buffer);
size_t vs_buffer_bytes(const struct vs_buffer *buffer);

VS_CHECK enum vs_status vs_buffer_write(const struct vs_buffer *buffer, size_t offset,
                                        const void *host, size_t n_bytes);
/* A write that does not wait: host must stay as it is until the device has come by. */
VS_CHECK enum vs_status vs_buffer_send(const struct vs_buffer *buffer, size_t offset,
                                       const void *host, size_t n_bytes);
VS_CHECK enum vs_status vs_buffer_read(const struct vs_buffer *buffer, size_t offset, void *host,
                                       size_t n_bytes);
VS_CHECK enum vs_status vs_buffer_zero(const struct vs_buffer *buffer, size_t offset,
                                       size_t n_bytes);
VS_CHECK enum vs_status vs_buffer_copy(const struct vs_buffer *to, size_t to_offset,
                                       const struct vs_buffer *from, size_t from_offset,
                                       size_t n_bytes);

/* Gives the storage of a writable buffer back until vs_buffer_wake(); with `keep`, its content waits
 * on the host, else it is lost. Both wait for the selected queue. Nothing may be enqueued that uses
 * a buffer at rest; what it is already is no fault. */
VS_CHECK enum vs_status vs_buffer_rest(struct vs_buffer *buffer, bool keep);
VS_CHECK enum vs_status vs_buffer_wake(struct vs_buffer *buffer);

/* A buffer of n float32 values; host may be NULL for uninitialised memory. */
VS_CHECK enum vs_status vs_floats_create(struct vs_buffer **buffer, struct vs_context *context,
                                         const float *host, size_t n);

static inline struct vs_span vs_span_at(const struct vs_buffer *buffer, size_t offset)
{
    return (struct vs_span){buffer, offset};
}

static inline struct vs_span vs_span_of(const struct vs_buffer *buffer)
{
    return (struct vs_span){buffer, 0};
}

#endif
