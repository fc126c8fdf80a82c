/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c - the devices of all platforms, and the choice among them. */
#include "cl/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cl/alloc.h"
#include "cl/opencl.h"

enum { MAX_PLATFORMS = 64, MAX_DEVICES = 256 };

const char *vs_device_type_name(enum vs_device_type type)
{
    static const char *const names[] = {"CPU", "GPU", "accelerator", "other"};
    return names[type];
}

/* Drivers pad names with blanks; "Intel(R)  Core" compares better without. */
static void tidy(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (isspace((unsigned char)*from) && (to == text || to[-1] == ' '))
            continue;
        *to++ = isspace((unsigned char)*from) ? ' ' : *from;
    }
    while (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

static void get_text(cl_device_id id, cl_device_info what, char text[256])
{
    char value[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof value - 1, value, NULL) != CL_SUCCESS)
        value[0] = '\0';
    tidy(value);
    snprintf(text, 256, "%.255s", value);
}

static uint64_t get_number(cl_device_id id, cl_device_info what)
{
    uint64_t number = 0;
    size_t n_bytes = 0;
    uint8_t value[8] = {0};
    if (clGetDeviceInfo(id, what, sizeof value, value, &n_bytes) == CL_SUCCESS)
        memcpy(&number, value, n_bytes < 8 ? n_bytes : 8);
    return number;
}

static void describe(struct vs_device_info *info, cl_platform_id platform, cl_device_id id)
{
    uint64_t type = get_number(id, CL_DEVICE_TYPE);
    char name[1024] = "";
    info->type = type & CL_DEVICE_TYPE_GPU           ? VS_DEVICE_GPU
                 : type & CL_DEVICE_TYPE_CPU         ? VS_DEVICE_CPU
                 : type & CL_DEVICE_TYPE_ACCELERATOR ? VS_DEVICE_ACCELERATOR
                                                     : VS_DEVICE_OTHER;
    get_text(id, CL_DEVICE_NAME, info->name);
    get_text(id, CL_DEVICE_VENDOR, info->vendor);
    get_text(id, CL_DRIVER_VERSION, info->driver);
    get_text(id, CL_DEVICE_VERSION, info->version);
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL) != CL_SUCCESS)
        name[0] = '\0';
    tidy(name);
    snprintf(info->platform_name, sizeof info->platform_name, "%.255s", name);
    info->global_memory_bytes = get_number(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->max_allocation_bytes = get_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    info->local_memory_bytes = get_number(id, CL_DEVICE_LOCAL_MEM_SIZE);
    info->max_work_group_size = (size_t)get_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    info->compute_units = (unsigned)get_number(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    info->unified_memory = get_number(id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
    info->usable = get_number(id, CL_DEVICE_AVAILABLE) &&
                   get_number(id, CL_DEVICE_COMPILER_AVAILABLE) &&
                   get_number(id, CL_DEVICE_ENDIAN_LITTLE);
}

struct found_device {
    cl_platform_id platform;
    cl_device_id id;
    size_t platform_index, device_index;
};

/* Platforms without devices are no fault: an ICD whose card is absent lists none. */
static size_t find_all(struct found_device found[MAX_DEVICES])
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    size_t n = 0;
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms) != CL_SUCCESS)
        return 0;
    if (n_platforms > MAX_PLATFORMS)
        n_platforms = MAX_PLATFORMS;
    for (cl_uint p = 0; p < n_platforms; p++) {
        cl_device_id ids[MAX_DEVICES];
        cl_uint n_ids = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &n_ids) !=
            CL_SUCCESS)
            continue;
        if (n_ids > MAX_DEVICES)
            n_ids = MAX_DEVICES;
        for (cl_uint d = 0; d < n_ids && n < MAX_DEVICES; d++)
            found[n++] = (struct found_device){platforms[p], ids[d], p, d};
    }
    return n;
}

enum vs_status vs_device_list(struct vs_device_info **devices, size_t *n_devices)
{
    struct found_device found[MAX_DEVICES];
    *n_devices = find_all(found);
    *devices = vs_alloc(*n_devices, sizeof **devices);
    if (!*devices)
        return VS_ERROR_MEMORY;
    for (size_t i = 0; i < *n_devices; i++) {
        struct vs_device_info *info = *devices + i;
        info->index = i;
        info->platform = found[i].platform_index;
        info->device = found[i].device_index;
        describe(info, found[i].platform, found[i].id);
    }
    return VS_OK;
}

enum vs_status vs_device_id(cl_device_id *id, const struct vs_device_info *info)
{
    struct found_device found[MAX_DEVICES];
    size_t n = find_all(found);
    if (info->index >= n)
        return vs_fail(VS_ERROR_DEVICE, "device %zu (%s) has disappeared", info->index,
                       info->name);
    *id = found[info->index].id;
    return VS_OK;
}

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++)
        if (!strncasecmp(text, part, n))
            return true;
    return false;
}

static bool matches(const struct vs_device_info *info, const char *spec)
{
    char *end;
    unsigned long first = strtoul(spec, &end, 10);
    if (isdigit((unsigned char)*spec) && !*end)
        return info->index == first;
    if (isdigit((unsigned char)*spec) && *end == ':' && isdigit((unsigned char)end[1])) {
        unsigned long second = strtoul(end + 1, &end, 10);
        if (!*end)
            return info->platform == first && info->device == second;
    }
    if (!strcasecmp(spec, "cpu"))
        return info->type == VS_DEVICE_CPU;
    if (!strcasecmp(spec, "gpu"))
        return info->type == VS_DEVICE_GPU;
    if (!strcasecmp(spec, "accelerator"))
        return info->type == VS_DEVICE_ACCELERATOR;
    if (!strcasecmp(spec, "amd"))
        return contains(info->vendor, "amd") || contains(info->vendor, "advanced micro");
    if (!strcasecmp(spec, "intel") || !strcasecmp(spec, "nvidia"))
        return contains(info->vendor, spec);
    return *spec && (contains(info->name, spec) || contains(info->platform_name, spec));
}

/* A real GPU before an accelerator before a CPU; a GPU driver that runs on the CPU comes last. */
static int rank(const struct vs_device_info *info)
{
    if (contains(info->name, "llvmpipe"))
        return 1;
    static const int ranks[] = {
        [VS_DEVICE_CPU] = 2, [VS_DEVICE_OTHER] = 2, [VS_DEVICE_ACCELERATOR] = 3, [VS_DEVICE_GPU] = 4};
    return ranks[info->type];
}

enum vs_status vs_device_find(struct vs_device_info *device, const char *spec)
{
    struct vs_device_info *all;
    const struct vs_device_info *best = NULL;
    size_t n;
    enum vs_status status = vs_device_list(&all, &n);
    if (status != VS_OK)
        return status;
    bool unusable = false;
    for (size_t i = 0; i < n; i++) {
        if (spec && !matches(all + i, spec))
            continue;
        if (!all[i].usable)
            unusable = true;
        else if (!best || rank(all + i) > rank(best))
            best = all + i;
    }
    if (best) {
        *device = *best;
    } else if (!n) {
        status = vs_fail(VS_ERROR_DEVICE,
                         "no OpenCL device was found; `videossm-cl devices` says why, and the "
                         "package pocl-opencl-icd brings one that needs no GPU");
    } else if (unusable) {
        status = vs_fail(VS_ERROR_DEVICE,
                         "device '%s' is listed but not usable (not available, or without a "
                         "compiler); `videossm-cl devices` lists the others",
                         spec ? spec : "any");
    } else {
        char names[512] = "";
        for (size_t i = 0; i < n && strlen(names) < 400; i++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%zu: %.60s",
                     i ? ", " : "", i, all[i].name);
        status = vs_fail(VS_ERROR_DEVICE,
                         "--device %s matches none of the devices (%s); give an index, part of a "
                         "name, or cpu, gpu, intel, amd, nvidia",
                         spec ? spec : "", names);
    }
    free(all);
    return status;
}
