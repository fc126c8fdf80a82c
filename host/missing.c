/* SPDX-License-Identifier: Apache-2.0
 *
 * missing.c - looks at drivers, cards and permissions for what keeps a device out of the list. */
#include "config.h"

#include "host/missing.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"

struct maker {
    unsigned pci_vendor;
    const char *name;
    const char *spellings[3]; /* as OpenCL's vendor strings begin or contain */
    const char *package;
};

static const struct maker makers[] = {
    {0x8086, "Intel", {"intel"}, "intel-opencl-icd"},
    {0x1002, "AMD", {"amd", "advanced micro"}, "mesa-opencl-icd"},
    {0x10de, "NVIDIA", {"nvidia"}, "nvidia-opencl-icd"},
};
enum { INTEL, AMD, NVIDIA, N_MAKERS };

/* What the walk through the system finds. */
struct survey {
    const struct host_places *places;
    struct host_gaps *gaps;
    size_t n_icd_files, n_loaded;
    bool rusticl;          /* Mesa's driver, which lists nothing unless told to */
    bool icd_of[N_MAKERS]; /* an .icd file that looks like this maker's */
};

void host_places_init(struct host_places *places)
{
    const char *vendors = getenv("OCL_ICD_VENDORS");
    bool given = vendors && *vendors;
    *places = (struct host_places){given ? vendors : "/etc/OpenCL/vendors", "/dev/dri",
                                   "/sys/class/drm", "/proc/driver/nvidia", given};
}

/* Takes both texts, which may be NULL when memory was short. */
static enum vs_status add(struct host_gaps *gaps, char *what, char *remedy)
{
    struct host_gap *items = NULL;
    if (what && remedy)
        items = vs_realloc(gaps->items, gaps->n + 1, sizeof *items);
    if (!items) {
        free(what);
        free(remedy);
        return VS_ERROR_MEMORY;
    }
    gaps->items = items;
    items[gaps->n++] = (struct host_gap){what, remedy};
    return VS_OK;
}

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

static bool contains(const char *text, const char *part)
{
    for (size_t n = strlen(part); *text; text++) {
        if (strncasecmp(text, part, n) == 0)
            return true;
    }
    return false;
}

/* The first line of a small file without its end; "" when there is none. */
static void read_line(const char *path, char *line, size_t line_bytes)
{
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file && fgets(line, (int)line_bytes, file))
        line[strcspn(line, "\r\n")] = '\0';
    if (file)
        fclose(file);
}

/* ---- Drivers ------------------------------------------------------------------------------ */

static enum vs_status look_at_icd(struct survey *survey, const char *path)
{
    static const char *const libraries[N_MAKERS] = {"libigdrcl", NULL, "nvidia"};
    char library[1024];
    read_line(path, library, sizeof library);
    survey->n_icd_files++;
    for (size_t i = 0; i < N_MAKERS; i++) {
        if (libraries[i] && contains(library, libraries[i]))
            survey->icd_of[i] = true;
    }
    survey->rusticl = survey->rusticl || contains(library, "rusticl");
    if (contains(library, "mesa") || contains(library, "rusticl") || contains(library, "amdocl"))
        survey->icd_of[AMD] = true;
    if (!*library)
        return add(survey->gaps, vs_format("%s names no library", path),
                   vs_format("write the driver's library into it, or remove it"));
    if (dlopen(library, RTLD_LAZY | RTLD_LOCAL)) {
        survey->n_loaded++; /* the loader has it open as well; it stays */
        return VS_OK;
    }
    return add(survey->gaps, vs_format("the driver of %s does not load: %s", path, dlerror()),
               vs_format("install the package that holds %s, or remove the .icd file", library));
}

static enum vs_status look_at_drivers(struct survey *survey)
{
    const char *vendors = survey->places->vendors;
    struct stat about;
    enum vs_status status = VS_OK;
    if (stat(vendors, &about) != 0)
        return add(survey->gaps,
                   vs_format("%s: %s%s", vendors, strerror(errno),
                             survey->places->vendors_from_environment
                                 ? " (named by OCL_ICD_VENDORS)"
                                 : ": no OpenCL driver is installed"),
                   survey->places->vendors_from_environment
                       ? vs_format("correct or unset OCL_ICD_VENDORS")
                       : vs_format("install one; pocl-opencl-icd runs on any CPU"));
    if (!S_ISDIR(about.st_mode))
        return look_at_icd(survey, vendors);
    DIR *folder = opendir(vendors);
    if (!folder)
        return add(survey->gaps, vs_format("%s: %s", vendors, strerror(errno)),
                   vs_format("make the folder readable"));
    for (struct dirent *entry; status == VS_OK && (entry = readdir(folder));) {
        size_t n = strlen(entry->d_name);
        if (n < 5 || strcmp(entry->d_name + n - 4, ".icd") != 0)
            continue;
        char *path = vs_format("%s/%s", vendors, entry->d_name);
        status = path ? look_at_icd(survey, path) : VS_ERROR_MEMORY;
        free(path);
    }
    closedir(folder);
    if (status == VS_OK && survey->n_icd_files == 0)
        status = add(survey->gaps,
                     vs_format("%s holds no .icd file: no OpenCL driver is installed", vendors),
                     vs_format("install one; pocl-opencl-icd runs on any CPU"));
    return status;
}

/* ---- Cards -------------------------------------------------------------------------------- */

static bool listed(const struct maker *maker, const struct vs_device_info *devices,
                   size_t n_devices)
{
    for (size_t i = 0; i < n_devices; i++) {
        for (size_t j = 0; j < 3 && maker->spellings[j]; j++) {
            if (devices[i].type == VS_DEVICE_GPU &&
                contains(devices[i].vendor, maker->spellings[j]))
                return true;
        }
    }
    return false;
}

/* Which makers have a card in the machine, by PCI vendor numbers. */
static void look_for_cards(const char *drm, bool present[N_MAKERS])
{
    DIR *folder = opendir(drm);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        /* card0 is a card, card0-HDMI-A-1 one of its sockets. */
        if (strncmp(entry->d_name, "card", 4) != 0 || strchr(entry->d_name, '-'))
            continue;
        char path[1024], line[32];
        snprintf(path, sizeof path, "%s/%s/device/vendor", drm, entry->d_name);
        read_line(path, line, sizeof line);
        for (size_t i = 0; i < N_MAKERS; i++)
            present[i] = present[i] || (*line && strtoul(line, NULL, 16) == makers[i].pci_vendor);
    }
    if (folder)
        closedir(folder);
}

/* The first render node that may not be opened; "" when all may. *n_nodes: how many there are. */
static void look_at_nodes(const char *dri, char *closed, size_t closed_bytes, size_t *n_nodes)
{
    DIR *folder = opendir(dri);
    closed[0] = '\0';
    *n_nodes = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[1024];
        if (strncmp(entry->d_name, "renderD", 7) != 0)
            continue;
        ++*n_nodes;
        snprintf(path, sizeof path, "%s/%s", dri, entry->d_name);
        if (!*closed && access(path, R_OK | W_OK) != 0)
            snprintf(closed, closed_bytes, "%s", path);
    }
    if (folder)
        closedir(folder);
}

static enum vs_status explain_card(struct survey *survey, size_t m, const char *closed,
                                   size_t n_nodes)
{
    const struct maker *maker = &makers[m];
    if (!survey->icd_of[m])
        return add(survey->gaps,
                   vs_format("there is a GPU of %s, but %s has no driver for it", maker->name,
                             survey->places->vendors),
                   survey->places->vendors_from_environment
                       ? vs_format("unset OCL_ICD_VENDORS; if that is not enough install %s",
                                   maker->package)
                       : vs_format("install %s", maker->package));
    if (m != NVIDIA && n_nodes == 0)
        return add(survey->gaps,
                   vs_format("there is a GPU of %s, but %s has no render node", maker->name,
                             survey->places->dri),
                   vs_format("in a container, pass %s into it; else look at the kernel's messages",
                             survey->places->dri));
    if (m != NVIDIA && *closed)
        return VS_OK; /* told once, for all cards */
    if (m == AMD)
        return add(survey->gaps,
                   vs_format("there is a GPU of AMD and a driver, but the driver does not list it"),
                   vs_format("for rusticl set RUSTICL_ENABLE=radeonsi; or install ROCm's OpenCL"));
    return add(survey->gaps,
               vs_format("there is a GPU of %s and a driver, but the driver does not list it",
                         maker->name),
               vs_format("see whether the versions of kernel driver and %s agree", maker->package));
}

/* Drivers load, no card is known to be missing, and still there is no device. */
static enum vs_status explain_silence(struct survey *survey)
{
    if (survey->rusticl)
        return add(survey->gaps, vs_format("Mesa's rusticl lists only what RUSTICL_ENABLE names"),
                   vs_format("set RUSTICL_ENABLE=radeonsi, iris or llvmpipe, or install "
                             "pocl-opencl-icd"));
    return add(survey->gaps,
               vs_format("%zu of %zu drivers in %s load, but offer no device", survey->n_loaded,
                         survey->n_icd_files, survey->places->vendors),
               vs_format("install a driver for this machine; pocl-opencl-icd runs on any CPU"));
}

enum vs_status host_gaps_collect(struct host_gaps *gaps, const struct host_places *places,
                                 const struct vs_device_info *devices, size_t n_devices)
{
    enum vs_status status = VS_OK;
    struct survey survey = {.places = places, .gaps = gaps};
    bool present[N_MAKERS] = {false};
    char closed[1024];
    size_t n_nodes;
    *gaps = (struct host_gaps){0};
    VS_TRY(look_at_drivers(&survey));
    look_for_cards(places->drm, present);
    present[NVIDIA] = present[NVIDIA] || exists(places->nvidia);
    look_at_nodes(places->dri, closed, sizeof closed, &n_nodes);
    if (*closed)
        VS_TRY(add(gaps, vs_format("%s may not be opened", closed),
                   vs_format("add your user to the group render: sudo usermod -aG render $USER, "
                             "then log in again")));
    for (size_t m = 0; m < N_MAKERS; m++) {
        if (present[m] && !listed(&makers[m], devices, n_devices))
            VS_TRY(explain_card(&survey, m, closed, n_nodes));
    }
    if (n_devices == 0 && gaps->n == 0)
        VS_TRY(explain_silence(&survey));
    return VS_OK;
fail:
    host_gaps_free(gaps);
    return status;
}

void host_gaps_free(struct host_gaps *gaps)
{
    for (size_t i = 0; i < gaps->n; i++) {
        free(gaps->items[i].what);
        free(gaps->items[i].remedy);
    }
    free(gaps->items);
    *gaps = (struct host_gaps){0};
}
