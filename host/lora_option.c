/* SPDX-License-Identifier: Apache-2.0
 *
 * lora_option.c - names and scales of LoRA files. */
#include "config.h"

#include "host/lora_option.h"

#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

static enum vs_status parse_one(struct vs_lora *lora, const char *value)
{
    const char *colon = strrchr(value, ':');
    size_t n_path = strlen(value);
    lora->scale = 1;
    if (colon && host_parse_number(colon + 1, &lora->scale))
        n_path = (size_t)(colon - value);
    if (n_path == 0 || !(lora->scale >= -HOST_MAX_LORA_SCALE && lora->scale <= HOST_MAX_LORA_SCALE))
        return vs_fail(VS_ERROR_USAGE,
                       "--lora '%s': give FILE or FILE:SCALE, the scale from -%d to %d, for example "
                       "style.safetensors:0.8",
                       value, HOST_MAX_LORA_SCALE, HOST_MAX_LORA_SCALE);
    lora->path = vs_format("%.*s", (int)n_path, value);
    return lora->path ? VS_OK : VS_ERROR_MEMORY;
}

enum vs_status host_loras_parse(struct vs_lora **loras, const struct host_list *values)
{
    enum vs_status status = VS_OK;
    struct vs_lora *made = vs_alloc(values->n, sizeof *made);
    *loras = NULL;
    if (!made)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < values->n; i++)
        VS_TRY(parse_one(&made[i], values->items[i]));
    *loras = made;
    return VS_OK;
fail:
    host_loras_free(made, values->n);
    return status;
}

void host_loras_free(struct vs_lora *loras, size_t n)
{
    for (size_t i = 0; loras && i < n; i++)
        free((void *)(uintptr_t)loras[i].path);
    free(loras);
}
