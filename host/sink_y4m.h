/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_y4m.h - the parts of the y4m writer that others look at. */
#ifndef VS_HOST_SINK_Y4M_H
#define VS_HOST_SINK_Y4M_H

#include "videossm.h"

/* Turns rgb [n_pixels, 3] into the planes Y, U, V [3, n_pixels]: BT.601, limited range (16..235,
 * 16..240), 4:4:4, in 16.16 fixed point, each value within 0.5 of the exact one plus 0.01. */
void host_y4m_convert(uint8_t *yuv, const uint8_t *rgb, size_t n_pixels);

/* True when the last fault of this output was that its reader had gone. */
bool host_y4m_pipe_closed(const void *state);

#endif
