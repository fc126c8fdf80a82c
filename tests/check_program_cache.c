/* SPDX-License-Identifier: Apache-2.0
 *
 * check_program_cache.c - entries of the disk cache, and programs that must be rebuilt whatever
 * the cache holds. Everything happens in a folder of the test's own. */
#include "tests/check_common.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#include "cl/disk_cache.h"
#include "cl/launch.h"
#include "cl/program.h"

static char folder[256];
static const char key_a[65] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char key_b[65] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "check_program_cache.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char *full = realpath(folder, NULL);
    ck_assert_ptr_nonnull(full);
    snprintf(folder, sizeof folder, "%s", full);
    free(full);
    setenv("XDG_CACHE_HOME", folder, 1);
    unsetenv("VS_CACHE");
    unsetenv("VS_KERNEL_DIR");
}

static void folder_remove(void)
{
    char command[600];
    snprintf(command, sizeof command, "chmod -R u+rwX '%s' && rm -rf '%s'", folder, folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *entry_path(const char *kind, const char *key)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/videossm-cl/%s/%s", folder, kind, key);
    return path;
}

/* The only entry of kind "programs". */
static const char *only_program(void)
{
    static char path[512];
    size_t n = 0;
    DIR *directory = opendir(entry_path("programs", ""));
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *item; (item = readdir(directory));)
        if (item->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/videossm-cl/programs/%.200s", folder, item->d_name);
            n++;
        }
    closedir(directory);
    ck_assert_uint_eq(n, 1);
    return path;
}

static size_t size_of(const char *path)
{
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    return (size_t)info.st_size;
}

static void flip_bit(const char *path, size_t at)
{
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, (long)at, SEEK_SET), 0);
    int byte = fgetc(file);
    ck_assert_int_ne(byte, EOF);
    ck_assert_int_eq(fseek(file, (long)at, SEEK_SET), 0);
    ck_assert_int_ne(fputc(byte ^ 1, file), EOF);
    ck_assert_int_eq(fclose(file), 0);
}

static bool holds(const char *kind, const char *key, const void *want, size_t n_want)
{
    void *data;
    size_t n;
    bool found = vs_cache_load(kind, key, &data, &n);
    bool good = found && n == n_want && memcmp(data, want, n) == 0;
    ck_assert(found == (data != NULL));
    free(data);
    return good;
}

/* ---- Entries ------------------------------------------------------------------------------ */

START_TEST(entries_come_back)
{
    struct stat info;
    ck_assert(!holds("t", key_a, "one", 3));
    vs_cache_store("t", key_a, "one", 3);
    vs_cache_store("t", key_b, "", 0);
    ck_assert(holds("t", key_a, "one", 3));
    ck_assert(holds("t", key_b, "", 0));
    vs_cache_store("t", key_a, "other", 5);
    ck_assert(holds("t", key_a, "other", 5));
    ck_assert(!holds("u", key_a, "other", 5));
    ck_assert_int_eq(stat(entry_path("t", ""), &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0700);
    ck_assert_int_eq(stat(entry_path("t", key_a), &info), 0);
    ck_assert_int_eq(info.st_mode & 0777, 0600);
}
END_TEST

/* Every length shorter than the whole, 0 among them, and one longer. */
START_TEST(cut_entries_are_absent)
{
    vs_cache_store("t", key_a, "payload", 7);
    const char *path = entry_path("t", key_a);
    size_t whole = size_of(path);
    for (size_t n = 0; n <= whole + 1; n++) {
        ck_assert_int_eq(truncate(path, (off_t)n), 0);
        ck_assert_msg(holds("t", key_a, "payload", 7) == (n == whole), "cut to %zu bytes", n);
        vs_cache_store("t", key_a, "payload", 7);
    }
}
END_TEST

START_TEST(a_flipped_bit_anywhere_makes_it_absent)
{
    vs_cache_store("t", key_a, "payload", 7);
    const char *path = entry_path("t", key_a);
    size_t whole = size_of(path);
    for (size_t at = 0; at < whole; at++) {
        flip_bit(path, at);
        ck_assert_msg(!holds("t", key_a, "payload", 7), "bit in byte %zu", at);
        flip_bit(path, at);
        ck_assert(holds("t", key_a, "payload", 7));
    }
}
END_TEST

/* An entry copied under another's name is not that other's. */
START_TEST(an_entry_knows_its_key)
{
    vs_cache_store("t", key_a, "payload", 7);
    char from[512];
    snprintf(from, sizeof from, "%s", entry_path("t", key_a));
    ck_assert_int_eq(rename(from, entry_path("t", key_b)), 0);
    ck_assert(!holds("t", key_b, "payload", 7));
}
END_TEST

START_TEST(strange_files_are_absent)
{
    vs_cache_store("t", key_a, "payload", 7);
    const char *path = entry_path("t", key_b);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert(!holds("t", key_b, "payload", 7));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert(!holds("t", key_b, "payload", 7));
    vs_cache_store("t", key_b, "payload", 7); /* cannot be: a folder stands there */
    ck_assert(!holds("t", key_b, "payload", 7));
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(symlink(key_a, path), 0);
    ck_assert(!holds("t", key_b, "payload", 7));
}
END_TEST

START_TEST(what_others_can_write_is_not_read)
{
    vs_cache_store("t", key_a, "payload", 7);
    ck_assert_int_eq(chmod(entry_path("t", key_a), 0666), 0);
    ck_assert(!holds("t", key_a, "payload", 7));
    ck_assert_int_eq(chmod(entry_path("t", key_a), 0600), 0);
    ck_assert(holds("t", key_a, "payload", 7));
    ck_assert_int_eq(chmod(entry_path("t", ""), 0777), 0);
    ck_assert(!holds("t", key_a, "payload", 7));
}
END_TEST

START_TEST(it_can_be_turned_off)
{
    vs_cache_store("t", key_a, "payload", 7);
    setenv("VS_CACHE", "off", 1);
    ck_assert(!holds("t", key_a, "payload", 7));
    vs_cache_store("t", key_b, "payload", 7);
    unsetenv("VS_CACHE");
    ck_assert(holds("t", key_a, "payload", 7));
    ck_assert(!holds("t", key_b, "payload", 7));
    setenv("XDG_CACHE_HOME", "relative", 1);
    unsetenv("HOME");
    vs_cache_store("t", key_b, "payload", 7);
    ck_assert(!holds("t", key_b, "payload", 7));
    ck_assert_int_ne(access("relative", F_OK), 0);
}
END_TEST

START_TEST(the_oldest_go_first)
{
    char key[65];
    static char data[1000];
    snprintf(key, sizeof key, "%s", key_a);
    for (int i = 0; i < 10; i++) {
        key[0] = (char)('0' + i);
        vs_cache_store("t", key, data, sizeof data);
        struct utimbuf times = {1000 + i, 1000 + i};
        ck_assert_int_eq(utime(entry_path("t", key), &times), 0);
    }
    key[0] = '0';
    ck_assert(holds("t", key, data, sizeof data)); /* used now: the youngest */
    const char *left_over = entry_path("t", "new-1-1");
    int file = open(left_over, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(file, 0);
    close(file);
    vs_cache_prune("t", 5 * size_of(entry_path("t", key)));
    for (int i = 0; i < 10; i++) {
        key[0] = (char)('0' + i);
        ck_assert_msg(holds("t", key, data, sizeof data) == (i == 0 || i > 5), "entry %d", i);
    }
    /* Another process may be writing it, unless it is old. */
    left_over = entry_path("t", "new-1-1");
    ck_assert_int_eq(access(left_over, F_OK), 0);
    struct utimbuf times = {1000, 1000};
    ck_assert_int_eq(utime(left_over, &times), 0);
    vs_cache_prune("t", 1u << 20);
    ck_assert_int_ne(access(left_over, F_OK), 0);
}
END_TEST

/* Writers and readers at once: whoever reads sees one of the two contents, whole. */
START_TEST(many_processes_at_once)
{
    enum { N_PROCESSES = 6, N_ROUNDS = 150, SIZE = 200000 };
    char *data = malloc(SIZE);
    ck_assert_ptr_nonnull(data);
    for (int p = 0; p < N_PROCESSES; p++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid)
            continue;
        for (int round = 0; round < N_ROUNDS; round++) {
            void *found;
            size_t n;
            memset(data, 'a' + p % 2, SIZE - (size_t)p % 2);
            vs_cache_store("t", key_a, data, SIZE - (size_t)p % 2);
            if (!vs_cache_load("t", key_a, &found, &n))
                _exit(1);
            char *text = found;
            char first = text[0];
            if (n != SIZE - (size_t)(first - 'a'))
                _exit(2);
            for (size_t i = 0; i < n; i++)
                if (text[i] != first)
                    _exit(3);
            free(found);
        }
        _exit(0);
    }
    for (int p = 0; p < N_PROCESSES; p++) {
        int state;
        ck_assert_int_gt(wait(&state), 0);
        ck_assert(WIFEXITED(state));
        ck_assert_int_eq(WEXITSTATUS(state), 0);
    }
    free(data);
    DIR *directory = opendir(entry_path("t", ""));
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *item; (item = readdir(directory));)
        ck_assert_msg(strncmp(item->d_name, "new-", 4) != 0, "%s left behind", item->d_name);
    closedir(directory);
}
END_TEST

/* ---- Programs ----------------------------------------------------------------------------- */

static const struct vs_source source = {
    "test/add.cl",
    "__kernel void add(__global float *x, ulong x_offset)\n"
    "{ x[x_offset + get_global_id(0)] += VS_ADD; }\n"};

/* Builds the program in a fresh context and adds 3 to 1 with it; true if it came from the disk. */
static bool build_and_run(void)
{
    enum { N = 5 };
    static const float ones[N] = {1, 1, 1, 1, 1};
    float got[N];
    size_t n_compiled, n_from_cache;
    struct vs_context *context;
    struct vs_buffer *buffer;
    struct vs_launch launch;
    check_ok(vs_context_create(&context, getenv("VS_TEST_DEVICE")));
    check_ok(vs_floats_create(&buffer, context, ones, N));
    vs_launch_begin(&launch, context, &source, "add", "-DVS_ADD=3.0f");
    vs_launch_span(&launch, vs_span_of(buffer));
    check_ok(vs_launch_run(&launch, 1, (size_t[]){N}, NULL, N));
    check_ok(vs_buffer_read(buffer, 0, got, sizeof got));
    for (int i = 0; i < N; i++)
        ck_assert(got[i] == 4);
    vs_programs_count(context, &n_compiled, &n_from_cache);
    ck_assert_uint_eq(n_compiled + n_from_cache, 1);
    vs_buffer_free(buffer);
    vs_context_free(context);
    return n_from_cache == 1;
}

START_TEST(programs_come_from_the_disk)
{
    ck_assert(!build_and_run());
    ck_assert_uint_gt(size_of(only_program()), 0);
    ck_assert(build_and_run());
    setenv("VS_CACHE", "off", 1);
    ck_assert(!build_and_run());
}
END_TEST

START_TEST(damaged_programs_are_rebuilt)
{
    ck_assert(!build_and_run());
    const char *path = only_program();
    size_t whole = size_of(path);
    const size_t cuts[] = {0, 1, 100, whole / 2, whole - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        ck_assert_int_eq(truncate(path, (off_t)cuts[i]), 0);
        ck_assert_msg(!build_and_run(), "cut to %zu bytes", cuts[i]);
        ck_assert_msg(build_and_run(), "not repaired after a cut to %zu bytes", cuts[i]);
    }
    for (size_t at = 0; at < whole; at += whole / 7) {
        flip_bit(path, at);
        ck_assert_msg(!build_and_run(), "bit flipped in byte %zu", at);
        ck_assert_msg(build_and_run(), "not repaired after byte %zu", at);
    }
}
END_TEST

/* A sound entry whose binary the driver does not take. */
START_TEST(rejected_binaries_are_rebuilt)
{
    ck_assert(!build_and_run());
    const char *path = only_program();
    char key[65];
    snprintf(key, sizeof key, "%s", strrchr(path, '/') + 1);
    vs_cache_store("programs", key, "no program at all", 17);
    ck_assert(!build_and_run());
    ck_assert(build_and_run());
}
END_TEST

START_TEST(an_unwritable_folder_is_no_fault)
{
    char path[300];
    snprintf(path, sizeof path, "%s/videossm-cl", folder);
    FILE *file = fopen(path, "w"); /* a file where the folder would be */
    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_assert(!build_and_run());
    ck_assert(!build_and_run());
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0500), 0);
    build_and_run(); /* from the disk for root only */
}
END_TEST

START_TEST(two_processes_build_at_once)
{
    for (int p = 0; p < 2; p++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (!pid) {
            for (int i = 0; i < 3; i++)
                build_and_run();
            _exit(0);
        }
    }
    for (int p = 0; p < 2; p++) {
        int state;
        ck_assert_int_gt(wait(&state), 0);
        ck_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    }
    ck_assert(build_and_run());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("program_cache");
    TCase *tests = tcase_create("cache");
    tcase_add_checked_fixture(tests, folder_make, folder_remove);
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, entries_come_back);
    tcase_add_test(tests, cut_entries_are_absent);
    tcase_add_test(tests, a_flipped_bit_anywhere_makes_it_absent);
    tcase_add_test(tests, an_entry_knows_its_key);
    tcase_add_test(tests, strange_files_are_absent);
    tcase_add_test(tests, what_others_can_write_is_not_read);
    tcase_add_test(tests, it_can_be_turned_off);
    tcase_add_test(tests, the_oldest_go_first);
    tcase_add_test(tests, many_processes_at_once);
    tcase_add_test(tests, programs_come_from_the_disk);
    tcase_add_test(tests, damaged_programs_are_rebuilt);
    tcase_add_test(tests, rejected_binaries_are_rebuilt);
    tcase_add_test(tests, an_unwritable_folder_is_no_fault);
    tcase_add_test(tests, two_processes_build_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
