/* SPDX-License-Identifier: Apache-2.0
 *
 * lora_option.h - the values of --lora: FILE or FILE:SCALE. */
#ifndef VS_HOST_LORA_OPTION_H
#define VS_HOST_LORA_OPTION_H

#include "host/options.h"

enum { HOST_MAX_LORA_SCALE = 100 };

/* One entry a value, in their order; *loras and their paths are freed with host_loras_free(). What
 * stands behind the last colon is the scale if it is a number, else part of the name; without one
 * the scale is 1. VS_ERROR_USAGE for a scale beyond +-HOST_MAX_LORA_SCALE or an empty name. */
VS_CHECK enum vs_status host_loras_parse(struct vs_lora **loras, const struct host_list *values);
void host_loras_free(struct vs_lora *loras, size_t n);

#endif
