/* SPDX-License-Identifier: Apache-2.0
 *
 * devices.c - `videossm-cl devices`: what OpenCL offers here, and why something is missing. */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/command.h"
#include "host/json_text.h"
#include "host/missing.h"

struct values {
    bool json;
};

static const struct host_option options[] = {
    {HOST_FLAG, 0, "json", NULL, "Print JSON, for programs.", offsetof(struct values, json)},
};

const struct host_spec host_devices_spec = {
    .command = "devices",
    .summary = "list OpenCL devices, and why one may be missing",
    .about = "Lists OpenCL's platforms and devices with the numbers that clinfo gives them, marks "
             "the one that is used by default, and says what may keep an expected device away. "
             "Exits with 3 when there is no usable device.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl devices\n"
                "  videossm-cl generate --device 0:1 -p TEXT -o out/\n",
};

static const char *type_word(enum vs_device_type type)
{
    static const char *const words[] = {"CPU", "GPU", "accelerator", "device"};
    return words[type];
}

static double gibibytes(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0 * 1024.0);
}

static void print_device(const struct vs_device_info *device, bool is_default)
{
    printf("  [%zu] %zu:%zu  %s%s\n", device->index, device->platform, device->device, device->name,
           is_default ? "  (default)" : "");
    printf("       %s of %s, %s\n", type_word(device->type), device->vendor, device->version);
    printf("       driver %s\n", device->driver);
    printf("       %u compute units, %.1f GiB memory (%.1f GiB at once)%s\n", device->compute_units,
           gibibytes(device->global_memory_bytes), gibibytes(device->max_allocation_bytes),
           device->unified_memory ? ", shared with the host" : "");
    if (!device->usable)
        puts("       cannot be used: not available, without a compiler, or big-endian");
}

static void print_text(const struct vs_device_info *devices, size_t n_devices,
                       const struct vs_device_info *preferred, const struct host_gaps *gaps)
{
    for (size_t i = 0; i < n_devices; i++) {
        if (i == 0 || devices[i].platform != devices[i - 1].platform)
            printf("%sPlatform %zu: %s\n", i ? "\n" : "", devices[i].platform,
                   devices[i].platform_name);
        print_device(&devices[i], preferred && devices[i].index == preferred->index);
    }
    if (n_devices == 0)
        puts("No OpenCL device.");
    for (size_t i = 0; i < gaps->n; i++) {
        fputs(i == 0 ? "\nWhat may be missing:\n  - " : "  - ", stdout);
        host_print_wrapped(stdout, gaps->items[i].what, 4, 4, 79);
        fputs("    ", stdout);
        host_print_wrapped(stdout, gaps->items[i].remedy, 4, 4, 79);
    }
}

static json_t *device_json(const struct vs_device_info *device, bool is_default)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:b, "
                     "s:b, s:b}",
                     "index", (json_int_t)device->index, "platform", (json_int_t)device->platform,
                     "device", (json_int_t)device->device, "type", type_word(device->type), "name",
                     host_json_text(device->name), "vendor", host_json_text(device->vendor), "driver",
                     host_json_text(device->driver), "version", host_json_text(device->version),
                     "platform_name", host_json_text(device->platform_name), "global_memory_bytes",
                     (json_int_t)device->global_memory_bytes, "max_allocation_bytes",
                     (json_int_t)device->max_allocation_bytes, "local_memory_bytes",
                     (json_int_t)device->local_memory_bytes, "max_work_group_size",
                     (json_int_t)device->max_work_group_size, "compute_units",
                     (json_int_t)device->compute_units, "unified_memory", device->unified_memory,
                     "usable", device->usable, "default", is_default);
}

static enum vs_status print_json(const struct vs_device_info *devices, size_t n_devices,
                                 const struct vs_device_info *preferred,
                                 const struct host_gaps *gaps)
{
    json_t *list = json_array(), *missing = json_array();
    for (size_t i = 0; i < n_devices; i++)
        json_array_append_new(
            list, device_json(&devices[i], preferred && devices[i].index == preferred->index));
    for (size_t i = 0; i < gaps->n; i++)
        json_array_append_new(missing, json_pack("{s:s, s:s}", "what", gaps->items[i].what,
                                                 "remedy", gaps->items[i].remedy));
    json_t *root = json_pack("{s:o, s:o}", "devices", list, "missing", missing);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
    json_decref(root);
    if (!text)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for the list of devices");
    puts(text);
    free(text);
    return VS_OK;
}

static enum vs_status list_devices(const struct values *values)
{
    enum vs_status status = VS_OK;
    struct vs_device_info *devices = NULL, preferred;
    struct host_gaps gaps = {0};
    struct host_places places;
    size_t n_devices = 0;
    VS_TRY(vs_device_list(&devices, &n_devices));
    host_places_init(&places);
    VS_TRY(host_gaps_collect(&gaps, &places, devices, n_devices));
    enum vs_status found = vs_device_find(&preferred, NULL);
    const struct vs_device_info *marked = found == VS_OK ? &preferred : NULL;
    if (values->json)
        VS_TRY(print_json(devices, n_devices, marked, &gaps));
    else
        print_text(devices, n_devices, marked, &gaps);
    if (found == VS_ERROR_MEMORY)
        status = found;
    else if (!marked)
        status = vs_fail(VS_ERROR_DEVICE, "no usable OpenCL device; install a driver, for example "
                                          "pocl-opencl-icd, which runs on any CPU");
fail:
    host_gaps_free(&gaps);
    free(devices);
    return status;
}

int host_devices(int argc, char **argv)
{
    struct values values = {false};
    bool help;
    enum vs_status status =
        host_options_parse(&host_devices_spec, &values, NULL, &help, argc, argv);
    if (status == VS_OK && help)
        host_options_print_help(&host_devices_spec, stdout);
    else if (status == VS_OK)
        status = list_devices(&values);
    return host_report(status);
}
