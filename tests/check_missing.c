/* SPDX-License-Identifier: Apache-2.0
 *
 * check_missing.c - what is not there, and the words for it: drivers and devices, and the rest of
 * model files that are cut short while they are mapped. */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/command.h"
#include "host/draft.h"
#include "host/missing.h"
#include "host/signals.h"
#include "models/file_map.h"
#include "tests/check_files.h"

/* ---- Missing devices ---------------------------------------------------------------------- */

static struct host_places empty_places(void)
{
    mkdir(check_path("vendors"), 0777);
    static char vendors[256], dri[256], drm[256], nvidia[256];
    snprintf(vendors, sizeof vendors, "%s", check_path("vendors"));
    snprintf(dri, sizeof dri, "%s", check_path("dri"));
    snprintf(drm, sizeof drm, "%s", check_path("drm"));
    snprintf(nvidia, sizeof nvidia, "%s", check_path("nvidia"));
    return (struct host_places){vendors, dri, drm, nvidia, false};
}

/* Looks for gaps; true when one holds both texts. */
static bool finds(const struct host_places *places, const struct vs_device_info *devices,
                  size_t n_devices, const char *what, const char *remedy)
{
    struct host_gaps gaps;
    bool found = false;
    ck_assert_int_eq(host_gaps_collect(&gaps, places, devices, n_devices), VS_OK);
    for (size_t i = 0; i < gaps.n; i++)
        found = found || (strstr(gaps.items[i].what, what) && strstr(gaps.items[i].remedy, remedy));
    host_gaps_free(&gaps);
    return found;
}

static void add_card(const char *vendor)
{
    mkdir(check_path("drm"), 0777);
    mkdir(check_path("drm/card0"), 0777);
    mkdir(check_path("drm/card0/device"), 0777);
    check_put_file(check_path("drm/card0/device/vendor"), vendor);
}

START_TEST(no_driver_is_told)
{
    struct host_places places = empty_places();
    ck_assert(finds(&places, NULL, 0, "no .icd file", "pocl-opencl-icd"));
    places.vendors = "nowhere";
    ck_assert(finds(&places, NULL, 0, "nowhere", "pocl-opencl-icd"));
    places.vendors_from_environment = true;
    ck_assert(finds(&places, NULL, 0, "OCL_ICD_VENDORS", "OCL_ICD_VENDORS"));
}
END_TEST

START_TEST(a_driver_that_does_not_load_is_told)
{
    struct host_places places = empty_places();
    check_put_file(check_path("vendors/x.icd"), "libnosuchdriver.so.7\n");
    ck_assert(finds(&places, NULL, 0, "x.icd", "libnosuchdriver.so.7"));
    check_put_file(check_path("vendors/x.icd"), "libm.so.6\n");
    ck_assert(finds(&places, NULL, 0, "1 of 1 drivers", "pocl-opencl-icd"));
    struct vs_device_info device = {.type = VS_DEVICE_CPU};
    ck_assert(!finds(&places, &device, 1, "", ""));
    check_put_file(check_path("vendors/x.icd"), "\n");
    ck_assert(finds(&places, NULL, 0, "x.icd names no library", ""));
}
END_TEST

static const struct {
    const char *number, *name, *package, *vendor;
} cards[] = {
    {"0x8086\n", "Intel", "intel-opencl-icd", "Intel(R) Corporation"},
    {"0x1002\n", "AMD", "mesa-opencl-icd", "Advanced Micro Devices, Inc."},
    {"0x10de\n", "NVIDIA", "nvidia-opencl-icd", "NVIDIA Corporation"},
};

START_TEST(a_card_without_driver_is_told_with_the_package)
{
    struct host_places places = empty_places();
    struct vs_device_info device = {.type = VS_DEVICE_GPU};
    check_put_file(check_path("vendors/x.icd"), "libm.so.6\n");
    add_card(cards[_i].number);
    ck_assert(finds(&places, NULL, 0, cards[_i].name, cards[_i].package));
    snprintf(device.vendor, sizeof device.vendor, "%s", cards[_i].vendor);
    ck_assert(!finds(&places, &device, 1, "", ""));
    device.type = VS_DEVICE_CPU; /* a CPU of the same maker is not the card */
    ck_assert(finds(&places, &device, 1, cards[_i].name, cards[_i].package));
}
END_TEST

START_TEST(nvidia_module_without_driver_is_told)
{
    struct host_places places = empty_places();
    check_put_file(check_path("vendors/x.icd"), "libm.so.6\n");
    mkdir(check_path("nvidia"), 0777);
    ck_assert(finds(&places, NULL, 0, "NVIDIA", "nvidia-opencl-icd"));
}
END_TEST

START_TEST(a_card_that_is_not_passed_into_a_container_is_told)
{
    struct host_places places = empty_places();
    check_put_file(check_path("vendors/x.icd"), "mesa-libm.so\n");
    add_card("0x1002\n");
    ck_assert(finds(&places, NULL, 0, "no render node", "container"));
}
END_TEST

START_TEST(a_closed_render_node_is_told)
{
    struct host_places places = empty_places();
    check_put_file(check_path("vendors/x.icd"), "libm.so.6\n");
    mkdir(check_path("dri"), 0777);
    /* A link to nothing may not be opened by root either. */
    ck_assert_int_eq(symlink("nowhere", check_path("dri/renderD128")), 0);
    ck_assert(finds(&places, NULL, 0, "renderD128", "render"));
}
END_TEST

/* ---- Files cut short under the program ---------------------------------------------------- */

/* A child maps a file of three pages, which then has one. What it says goes to a file. */
static int read_what_is_lost(bool by_write)
{
    enum { PAGES = 3 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n;
    char *text = malloc(PAGES * page);
    struct vs_file_map *map;
    int status;
    memset(text, 'x', PAGES * page);
    FILE *file = fopen(check_path("weights"), "wbe");
    ck_assert_uint_eq(fwrite(text, 1, PAGES * page, file), PAGES * page);
    ck_assert_int_eq(fclose(file), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct host_draft draft;
        ck_assert_int_eq(dup2(open(check_path("said"), O_WRONLY | O_CREAT, 0600), 2), 2);
        host_signals_install();
        ck_assert_int_eq(vs_file_map_open(&map, check_path("weights")), VS_OK);
        ck_assert_int_eq(host_draft_open(&draft, check_path("output")), VS_OK);
        ck_assert_int_eq(host_draft_write(&draft, "begun", 5), VS_OK);
        ck_assert_int_eq(truncate(map->path, (off_t)page), 0);
        if (by_write) {
            enum vs_status fault = host_draft_write(&draft, map->data + page, page);
            host_draft_discard(&draft);
            _exit(host_report(fault));
        }
        _exit(map->data[2 * page]);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    free(text);
    ck_assert_int_eq(host_read_file(&text, &n, check_path("said"), 4096), VS_OK);
    ck_assert_msg(strstr(text, "/weights: the file was cut short") != NULL, "%s", text);
    free(text);
    struct dirent **left;
    int n_left = scandir(check_folder(), &left, NULL, NULL); /* ., .., said, weights */
    for (int i = 0; i < n_left; i++)
        free(left[i]);
    free(left);
    ck_assert_int_eq(n_left, 4);
    return WEXITSTATUS(status);
}

START_TEST(a_file_cut_short_while_it_is_mapped_is_named)
{
    ck_assert_int_eq(read_what_is_lost(false), VS_ERROR_MODEL);
    ck_assert_int_eq(read_what_is_lost(true), VS_ERROR_MODEL);
}
END_TEST

START_TEST(addresses_are_found_in_what_is_mapped_now)
{
    struct vs_file_map *maps[3];
    const void *inside[3];
    for (int i = 0; i < 3; i++) {
        char name[] = "map0";
        name[3] = (char)('0' + i);
        check_put_file(check_path(name), "some text");
        ck_assert_int_eq(vs_file_map_open(&maps[i], check_path(name)), VS_OK);
        inside[i] = maps[i]->data + 3;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(vs_file_map_path_at(inside[i]), maps[i]->path);
    ck_assert_ptr_null(vs_file_map_path_at(maps));
    vs_file_map_free(maps[1]);
    ck_assert_ptr_null(vs_file_map_path_at(inside[1]));
    ck_assert_str_eq(vs_file_map_path_at(inside[0]), maps[0]->path);
    vs_file_map_free(maps[2]);
    vs_file_map_free(maps[0]);
    ck_assert_ptr_null(vs_file_map_path_at(inside[0]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("missing");
    TCase *missing = tcase_create("missing devices");
    tcase_add_checked_fixture(missing, check_make_folder, check_remove_folder);
    tcase_set_timeout(missing, 60);
    tcase_add_test(missing, no_driver_is_told);
    tcase_add_test(missing, a_driver_that_does_not_load_is_told);
    tcase_add_loop_test(missing, a_card_without_driver_is_told_with_the_package, 0,
                        sizeof cards / sizeof *cards);
    tcase_add_test(missing, nvidia_module_without_driver_is_told);
    tcase_add_test(missing, a_card_that_is_not_passed_into_a_container_is_told);
    tcase_add_test(missing, a_closed_render_node_is_told);
    suite_add_tcase(suite, missing);
    TCase *lost = tcase_create("files cut short");
    tcase_add_checked_fixture(lost, check_make_folder, check_remove_folder);
    tcase_add_test(lost, a_file_cut_short_while_it_is_mapped_is_named);
    tcase_add_test(lost, addresses_are_found_in_what_is_mapped_now);
    suite_add_tcase(suite, lost);
    return check_run_suite(suite);
}
