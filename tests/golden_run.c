/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_run.c - runs every case of a folder's manifest.json and says how far off it was.
 *
 * golden-run DIR [SUBSTRING...]: one line per case (whose name holds a SUBSTRING, if any is
 * given), `PASS|FAIL name max_abs max_rel`, the reason of a failure on stderr, then
 * `N passed, M failed`. Exit 1 on a failure and when there was no case. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/context.h"
#include "tests/golden.h"
#include "tests/golden_private.h"

static const struct golden_op *const rooms[] = {
    golden_ops_dit,
    golden_ops_generate,
    golden_ops_norm,
    golden_ops_weights,
    golden_ops_gemm,
    golden_ops_pointwise,
    golden_ops_conv,
    golden_ops_vae,
    golden_ops_text,
    golden_ops_attention,
    golden_ops_memory,
    golden_ops_rope,
};

static const struct golden_op *find_op(const char *op)
{
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        for (const struct golden_op *entry = rooms[i]; entry->op; entry++)
            if (!strcmp(entry->op, op))
                return entry;
    return NULL;
}

static void release_weights(void *weights)
{
    vs_weights_free(weights);
}

static void release_json(void *json)
{
    json_decref(json);
}

static void run_handler(struct golden *golden)
{
    struct golden_private *private = golden->private;
    json_error_t error;
    golden->config = json_load_file(golden_path(golden, "config.json"), 0, &error);
    if (!golden->config)
        golden_fail(golden, "config.json: %s", error.text);
    golden_defer(golden, release_json, golden->config);
    const char *data = golden_path(golden, "data.safetensors");
    FILE *file = fopen(data, "rb");
    if (file) {
        fclose(file);
        golden_ok(golden, vs_weights_open(&golden->data, data));
        golden_defer(golden, release_weights, golden->data);
    }
    size_t n_tensors = golden->data ? vs_weights_count(golden->data) : 0;
    private->compared = golden_alloc(golden, n_tensors * sizeof *private->compared);

    const char *name = golden_text(golden, "op");
    const struct golden_op *op = find_op(name);
    if (!op)
        golden_fail(golden, "unknown operation '%s'", name);
    op->run(golden);
    for (size_t i = 0; i < n_tensors; i++) {
        const char *tensor = vs_weights_at(golden->data, i)->raw_name;
        if (!strncmp(tensor, "out.", 4) && !private->compared[i])
            golden_fail(golden, "the output '%s' was not computed", tensor);
    }
}

static bool run_case(struct vs_context *context, const char *root, const json_t *entry)
{
    struct golden_private private = {.tolerance = json_object_get(entry, "tolerance")};
    struct golden golden = {.root = root,
                            .name = json_string_value(json_object_get(entry, "name")),
                            .context = context,
                            .private = &private};
    if (!golden.name)
        golden.name = "(unnamed)";
    if (!setjmp(private.leave))
        run_handler(&golden);
    else
        private.failed = true;
    while (private.releases) {
        struct golden_release *entry_of = private.releases;
        private.releases = entry_of->next;
        entry_of->release(entry_of->object);
        free(entry_of);
    }
    printf("%s %s %.3g %.3g\n", private.failed ? "FAIL" : "PASS", golden.name, private.max_abs,
           private.max_rel);
    fflush(stdout);
    if (private.failed)
        fprintf(stderr, "%s: %s\n", golden.name, private.reason);
    return !private.failed;
}

static bool wanted(const json_t *entry, char **parts, int n_parts)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    for (int i = 0; i < n_parts; i++)
        if (name && strstr(name, parts[i]))
            return true;
    return n_parts == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: golden-run DIR [SUBSTRING...]\n");
        return 2;
    }
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof path, "%s/manifest.json", argv[1]);
    json_t *manifest = json_load_file(path, 0, &error);
    if (!manifest) {
        fprintf(stderr, "golden-run: %s: %s\n", path, error.text);
        return 1;
    }
    struct vs_context *context;
    if (vs_context_create(&context, getenv("VS_TEST_DEVICE")) != VS_OK) {
        fprintf(stderr, "golden-run: %s\n", vs_error_message());
        json_decref(manifest);
        return 1;
    }
    size_t n_passed = 0, n_failed = 0, i;
    json_t *entry;
    json_array_foreach(json_object_get(manifest, "cases"), i, entry)
    {
        if (!wanted(entry, argv + 2, argc - 2))
            continue;
        if (run_case(context, argv[1], entry))
            n_passed++;
        else
            n_failed++;
    }
    printf("%zu passed, %zu failed\n", n_passed, n_failed);
    vs_context_free(context);
    json_decref(manifest);
    return n_failed || !n_passed ? 1 : 0;
}
