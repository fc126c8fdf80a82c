/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_script.c - libFuzzer target: any bytes as a script of prompts, and as the settings' record of
 * a video. What is accepted obeys the rules; a record comes back to the same text. */
#include "config.h"

#include <string.h>

#include "host/prompts.h"
#include "host/settings.h"
#include "tests/fuzz/fuzz_file.h"

static void check_prompts(const struct host_prompts *prompts)
{
    for (size_t i = 0; i < prompts->n; i++)
        if (host_utf8_fault(prompts->items[i].text) != SIZE_MAX ||
            !(prompts->items[i].seconds >= 0) ||
            (i && !(prompts->items[i].seconds > prompts->items[i - 1].seconds)))
            abort();
}

static void check_settings(const char *text)
{
    struct host_settings settings, again;
    if (host_settings_parse(&settings, text, "fuzz") != VS_OK)
        return;
    check_prompts(&settings.prompts);
    char *json = host_settings_json(&settings), *parameters = host_settings_parameters(&settings);
    if (!json || !parameters || host_settings_parse(&again, json, "again") != VS_OK)
        abort();
    char *twice = host_settings_json(&again);
    if (!twice || strcmp(json, twice) != 0)
        abort();
    free(json);
    free(twice);
    free(parameters);
    host_settings_free(&settings);
    host_settings_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct host_prompts prompts = {0};
    char *text = malloc(n + 1);
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    if (host_prompts_load(&prompts, fuzz_file(data, n)) == VS_OK &&
        host_prompts_settle(&prompts) == VS_OK)
        check_prompts(&prompts);
    host_prompts_free(&prompts);
    check_settings(text);
    free(text);
    return 0;
}
