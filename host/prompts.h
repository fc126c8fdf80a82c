/* SPDX-License-Identifier: Apache-2.0
 *
 * prompts.h - what the video shows, and from when on. */
#ifndef VS_HOST_PROMPTS_H
#define VS_HOST_PROMPTS_H

#include "videossm.h"

/* Longest time a prompt may name and longest video, in seconds. */
#define HOST_MAX_SECONDS 1e7

struct host_prompts {
    struct vs_prompt *items; /* owned, texts too */
    size_t n;
};

/* Adds a copy of text. source names the text in messages ("--prompt"). VS_ERROR_USAGE: not UTF-8,
 * with the offset of the first wrong byte, or a time out of range. */
VS_CHECK enum vs_status host_prompts_add(struct host_prompts *prompts, double seconds,
                                         const char *text, const char *source);

/* Reads a script: [{"at": 0, "prompt": "..."}, ...], or an object whose "prompts" is such a list.
 * VS_ERROR_USAGE gives file and JSON path of what is wrong. */
VS_CHECK enum vs_status host_prompts_load(struct host_prompts *prompts, const char *path);

/* Sorts by time. VS_ERROR_USAGE: none, none at 0 s, or two for one time. */
VS_CHECK enum vs_status host_prompts_settle(struct host_prompts *prompts);

void host_prompts_free(struct host_prompts *prompts);

/* Position of the first byte that is not UTF-8 (overlong forms and surrogates are not), or
 * SIZE_MAX when all is well. */
size_t host_utf8_fault(const char *text);

#endif
