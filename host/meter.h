/* SPDX-License-Identifier: Apache-2.0
 *
 * meter.h - what `videossm-cl metrics` computes from the frames of a video, fed one by one.
 *
 * temporal_flicker is VBench's (arXiv 2311.17982) to the letter. The others follow VBench in how
 * frames are paired and averaged, with plain stand-ins where VBench has a network: they compare
 * videos with each other, never with published numbers. Memory is three frames and a few numbers a
 * second, whatever the length. */
#ifndef VS_HOST_METER_H
#define VS_HOST_METER_H

#include "videossm.h"

/* One second of the video; the last may be shorter. Colours are sRGB, 0..255. */
struct host_second {
    size_t n_frames;
    double mean[3], deviation[3]; /* of all pixels, by channel */
    double drift;                 /* CIELAB dE (1976) of its mean colour from that of second 0 */
    double flicker;               /* as temporal_flicker, pairs whose second frame lies here; NAN:
                                     none */
};

struct host_metrics {
    size_t n_frames, width, height;
    double fps;
    /* (255 - mean absolute difference of neighbouring frames) / 255, all pixels and channels. */
    double temporal_flicker;
    /* Cosine of each frame with the one before and with the first, averaged; descriptors instead
     * of DINO and CLIP, see meter_looks.c. */
    double subject_consistency, background_consistency;
    /* (255 - mean absolute difference) / 255 of every second frame and the mean of its neighbours,
     * instead of AMT. NAN with fewer than three frames. */
    double motion_smoothness;
    /* Pixels that the fastest 5 % of the blocks move between frames taken 8 times a second, mean;
     * and whether that is more than VBench's threshold often enough. Block matching, not RAFT. */
    double motion_pixels;
    bool dynamic;
    double drift_max, drift_end; /* of seconds[]: the largest, the last */
    double contrast_end;         /* mean deviation, last second in ratio to second 0; NAN: 0/0 */
    struct host_second *seconds; /* freed with free() */
    size_t n_seconds;
};

struct host_meter;

/* Sizes are checked by the caller (frames.h). VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_meter_open(struct host_meter **meter, size_t width, size_t height,
                                        double fps);

/* The next frame, rgb [height, width, 3]. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_meter_add(struct host_meter *meter, const uint8_t *rgb);

/* The results so far. VS_ERROR_USAGE: fewer than two frames. */
VS_CHECK enum vs_status host_meter_finish(struct host_meter *meter, struct host_metrics *metrics);

/* Harmless on NULL. */
void host_meter_free(struct host_meter *meter);

#endif
