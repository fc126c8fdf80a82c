/* SPDX-License-Identifier: Apache-2.0
 *
 * check_hostile_torch.c - torch archives that lie about their entries, and pickles that would run
 * code, or cost much time or memory. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/hostile.h"

/* ---- Torch: the archive ------------------------------------------------------------------- */

static void small_pickle(struct bytes *p)
{
    bytes_text(p, "\x80\x02}");
    pickle_text(p, "a");
    pickle_tensor(p, "torch", "FloatStorage", "0", 3, 0, 1, (uint32_t[]){3}, (uint32_t[]){1});
    bytes_text(p, "s.");
}

static void small_torch(struct zip_build *zip, bool zip64)
{
    struct bytes p = {0};
    *zip = (struct zip_build){.all_zip64 = zip64};
    small_pickle(&p);
    torch_build(zip, &p, 12);
    bytes_free(&p);
}

START_TEST(torch_damage)
{
    struct zip_build zip;
    small_torch(&zip, false);
    hostile_damage(&zip.bytes);
    bytes_free(&zip.bytes);
}
END_TEST

enum { LOCAL, CENTRAL, END }; /* which record a lie is told in */

START_TEST(zip_lies)
{
    /* Entry 0 is data.pkl, 2 the storage. */
    static const struct {
        int record, entry, at;
        uint64_t value;
        int n;
        const char *why;
    } lies[] = {
        {CENTRAL, 2, 10, 8, 2, "compressed (method 8)"},
        {CENTRAL, 0, 10, 12, 2, "compressed (method 12)"},
        {CENTRAL, 2, 8, 1, 2, "encrypted"},
        {CENTRAL, 2, 24, 1 << 30, 4,
         "compressed"}, /* unpacked size beside the packed one: a bomb */
        {CENTRAL, 2, 20, 4, 4, "compressed"},
        {CENTRAL, 2, 42, 0, 4, "names differ"},
        {CENTRAL, 2, 42, 0x7fffffff, 4, "without its local header"},
        {CENTRAL, 2, 42, 1, 4, "without its local header"},
        {CENTRAL, 2, 42, 0xffffffff, 4, "zip64 entry without its sizes"},
        {CENTRAL, 0, 20, 0xffffffffffffffff, 8, "zip64 entry without its sizes"},
        {CENTRAL, 2, 28, 0xffff, 2, "too long"},
        {CENTRAL, 2, 30, 0xffff, 2, "too long"},
        {CENTRAL, 2, 32, 0xffff, 2, "too long"},
        {CENTRAL, 3, 32, 1, 2, "too long"},
        {CENTRAL, 1, 0, 0, 4, "no directory entry"},
        {CENTRAL, 2, 16, 0x12345678, 4, "damaged"}, /* checksums of the two headers differ */
        {LOCAL, 2, 0, 0, 4, "without its local header"},
        {LOCAL, 2, 26, 0xffff, 2, "outside the archive"},
        {LOCAL, 2, 28, 0xffff, 2, "outside the archive"},
        {LOCAL, 0, 30, 'y', 1, "names differ"},
        {LOCAL, 0, 45, 'N', 1, ""}, /* a byte of the pickle: the checksum tells */
        {END, 0, 10, 0xffff, 2, "does not fit"},
        {END, 0, 10, 3, 2, "damaged"},
        {END, 0, 10, 5, 2, "damaged"},
        {END, 0, 12, 0xffffffff, 4, "does not fit"},
        {END, 0, 16, 0xffffffff, 4, "does not fit"},
        {END, 0, 16, 0, 4, "no directory entry"},
        {END, 0, 20, 1, 2, "no end record"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct zip_build zip;
        small_torch(&zip, false);
        size_t base = lies[i].record == LOCAL     ? zip.files[lies[i].entry].local
                      : lies[i].record == CENTRAL ? zip.files[lies[i].entry].central
                                                  : zip.end;
        bytes_patch(&zip.bytes, base + (size_t)lies[i].at, lies[i].value, (size_t)lies[i].n);
        hostile_refused(&zip.bytes, lies[i].why);
    }
}
END_TEST

/* Lies of the zip64 end record and of what leads to it. */
START_TEST(zip64_lies)
{
    struct zip_build zip;
    small_torch(&zip, true);
    size_t start = zip.files[0].central, size = zip.end64 - start, end = zip.end64;
    ck_assert_msg(hostile_try(zip.bytes.data, zip.bytes.n) == VS_OK, "%s", vs_error_message());
    bytes_free(&zip.bytes);
    const struct {
        uint64_t n, directory, size, end64;
        const char *why;
    } lies[] = {{4, start, size, end + 1, "no zip64 end record"},
                {4, start, size, UINT64_MAX, "no zip64 end record"},
                {4, start, size, 1ull << 63, "no zip64 end record"},
                {UINT64_MAX, start, size, end, "entries in the archive"},
                {1000, start, size, end, "does not fit"},
                {4, UINT64_MAX, size, end, "does not fit"},
                {4, start, UINT64_MAX, end, "does not fit"},
                {4, start + 8, size, end, "does not fit"},
                {4, UINT64_MAX - size + 1, size, end, "does not fit"}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        small_torch(&zip, true);
        bytes_patch(&zip.bytes, end + 24, lies[i].n, 8);
        bytes_patch(&zip.bytes, end + 32, lies[i].n, 8);
        bytes_patch(&zip.bytes, end + 40, lies[i].size, 8);
        bytes_patch(&zip.bytes, end + 48, lies[i].directory, 8);
        bytes_patch(&zip.bytes, end + 64, lies[i].end64, 8);
        hostile_refused(&zip.bytes, lies[i].why);
    }
}
END_TEST

START_TEST(zip_contents)
{
    struct bytes p = {0};
    struct zip_build zip = {0};
    small_pickle(&p);
    zip_add(&zip, "x/data.txt", p.data, p.n);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "without data.pkl");
    zip = (struct zip_build){0};
    zip_add(&zip, "x/y/data.pkl", p.data, p.n);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "without data.pkl");
    zip = (struct zip_build){0};
    zip_add(&zip, "x/data.pkl", p.data, p.n);
    zip_add(&zip, "y/data.pkl", p.data, p.n);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "more than one data.pkl");
    zip = (struct zip_build){0};
    zip_add(&zip, "x/data.pkl", p.data, p.n);
    zip_add(&zip, "x/data.pkl", p.data, p.n);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "already exists");
    zip = (struct zip_build){0};
    zip_add(&zip, "x/data.pkl", p.data, p.n);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "storage 'data/0' is missing");
    zip = (struct zip_build){0};
    zip_add(&zip, "x/data.pkl", p.data, p.n);
    zip_add(&zip, "x/byteorder", "big", 3);
    zip_add(&zip, "x/data/0", "aaaabbbbcccc", 12);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "not little-endian");
    zip = (struct zip_build){0};
    zip_add(&zip, "x/data.pkl", "", 0);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "data.pkl has 0 bytes");
    zip = (struct zip_build){0};
    torch_build(&zip, &p, 16);
    hostile_refused(&zip.bytes, "has 16 bytes");
    zip = (struct zip_build){0};
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "without data.pkl");
    zip = (struct zip_build){0};
    uint8_t *big = calloc(VS_MAX_TABLE_BYTES + 1, 1);
    ck_assert(big);
    zip_add(&zip, "x/data.pkl", big, VS_MAX_TABLE_BYTES + 1);
    zip_finish(&zip);
    hostile_refused(&zip.bytes, "data.pkl has 8388609 bytes");
    free(big);
    /* Two names for one place. */
    small_torch(&zip, false);
    bytes_patch(&zip.bytes, zip.files[3].central + 42, zip.files[2].local, 4);
    hostile_refused(&zip.bytes, "names differ");
    bytes_free(&p);
}
END_TEST

/* ---- Torch: the pickle -------------------------------------------------------------------- */

static void refused_pickle(struct bytes *p, const char *why)
{
    struct zip_build zip = {0};
    torch_build(&zip, p, 12);
    bytes_free(p);
    hostile_refused(&zip.bytes, why);
}

static void one_entry(struct bytes *p, const char *module, const char *class, uint32_t n_storage,
                      uint32_t offset, size_t n_dims, const uint32_t *shape, const uint32_t *stride)
{
    bytes_text(p, "\x80\x02}");
    pickle_text(p, "a");
    pickle_tensor(p, module, class, "0", n_storage, offset, n_dims, shape, stride);
    bytes_text(p, "s.");
}

START_TEST(pickle_tensors)
{
    static const struct {
        const char *module, *class;
        uint32_t n_storage, offset;
        size_t n_dims;
        uint32_t shape[9], stride[9];
        const char *why;
    } tensors[] = {
        {"torch", "FloatStorage", 3, 1, 1, {3}, {1}, "past the storage"},
        {"torch", "FloatStorage", 3, 4, 1, {0}, {1}, "past the storage"},
        {"torch", "FloatStorage", 3, 0, 1, {4}, {1}, "past the storage"},
        {"torch", "FloatStorage", 3, 0, 1, {2}, {3}, "past the storage"},
        {"torch", "FloatStorage", 3, 0, 2, {2, 2}, {2, 1}, "past the storage"},
        {"torch", "FloatStorage", 2, 0, 1, {2}, {1}, "should hold 2 elements of 4 bytes"},
        {"torch", "DoubleStorage", 3, 0, 1, {3}, {1}, "should hold 3 elements of 8 bytes"},
        {"torch", "FloatStorage", 0x80000000, 0, 1, {1}, {1}, "a storage is not described"},
        {"torch", "FloatStorage", 3, 0x80000000, 1, {1}, {1}, "a tensor is not described"},
        {"torch", "FloatStorage", 3, 0, 1, {0xffffffff}, {1}, "a tensor is not described"},
        {"torch", "FloatStorage", 3, 0, 1, {1}, {0xffffffff}, "a tensor is not described"},
        {"torch", "FloatStorage", 3, 0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {0}, "not described"},
        {"torch", "FloatStorage", 3, 0, 3, {0x7fffffff, 0x7fffffff, 0x7fffffff}, {0}, "overflow"},
        {"torch", "FloatStorage", 3, 0, 2, {0x7fffffff, 0x10000}, {0}, "repeated elements"},
        {"torch", "QInt8Storage", 12, 0, 1, {3}, {1}, "made by 'torch.QInt8Storage'"},
        {"os", "system", 12, 0, 1, {3}, {1}, "made by 'os.system'"},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        struct bytes p = {0};
        one_entry(&p, tensors[i].module, tensors[i].class, tensors[i].n_storage, tensors[i].offset,
                  tensors[i].n_dims, tensors[i].shape, tensors[i].stride);
        refused_pickle(&p, tensors[i].why);
    }
}
END_TEST

START_TEST(pickle_programs)
{
    static const struct {
        const char *program, *why;
    } programs[] = {
        {"cos\nsystem\nX\4\0\0\0", "ends in the middle"},
        {"cos\nsystem\n)R.", "made by 'os.system'"},
        {"cbuiltins\neval\n)\x81.", "made by 'builtins.eval'"},
        {"c__main__\nModel\n)\x81}b.", "made by '__main__.Model'"},
        {"N.", "no dictionary of tensors"},
        {"}.", "holds no tensors"},
        {"i", "opcode 0x69"},
        {"}o", "offset 3: opcode 0x6f"},
        {"I1\n.", "opcode 0x49"},
        {"\x82\x01.", "opcode 0x82"},
        {"P1\n", "opcode 0x50"},
        {"\x8b\x01\x01\x01\x01.", "opcode 0x8b"},
        {"\x98.", "opcode 0x98"},
        {".", "the stack is empty"},
        {"0.", "the stack is empty"},
        {"2.", "the stack is empty"},
        {"R.", "the stack is empty"},
        {"(N}R.", "made by an unknown function"},
        {"N(R.", "the stack is empty"},
        {"N\x86.", "the stack is empty"},
        {"Ns.", "the stack is empty"},
        {"(t.", "no dictionary of tensors"},
        {"t.", "no mark"},
        {"1.", "no mark"},
        {"u.", "no mark"},
        {"]NNs.", "cannot hold them"},
        {"}Na.", "cannot hold them"},
        {"}(Nu.", "a key without a value"},
        {"h\1.", "memo entry 1 was never stored"},
        {"}q\2h\1.", "memo entry 1 was never stored"},
        {"j\xff\xff\xff\xff.", "memo entry 4294967295 was never stored"},
        {"}r\xff\xff\xff\xff.", "memo entry 4294967295; at most"},
        {"q\1.", "the stack is empty"},
        {"\x80\x06.", "protocol 6"},
        {"X\xff\xff\xff\xff", "ends in the middle"},
        {"U\xff", "ends in the middle"},
        {"cos", "ends in the middle of a name"},
        {"cos\nsystem", "ends in the middle of a name"},
        {"NN\x93.", "no text"},
        {"NQ.", "a storage is not described"},
        {"ctorch._utils\n_rebuild_tensor_v2\n)R.", "made from 0 arguments"},
        {"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.", "a tensor is not described"},
        {"ccollections\nOrderedDict\nN\x85R.", "not made from a list of pairs"},
        {"ccollections\nOrderedDict\n]Na\x85R.", "not made from a list of pairs"},
        {"]q\1h\1ah\1\x85q\2.", "no dictionary of tensors"}, /* a list that holds itself */
        {"}q\1N(h\1h\1u.", ""},
        {"}q\1h\1h\1s.", "holds no tensors"},
    };
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct bytes p = {0};
        bytes_text(&p, "\x80\x02");
        if (i == 0)
            bytes_put(&p, programs[i].program, 16);
        else
            bytes_text(&p, programs[i].program);
        refused_pickle(&p, programs[i].why);
    }
    struct bytes p = {0};
    bytes_text(&p, "\x80\x02\x95\x10");
    bytes_zeros(&p, 7);
    bytes_text(&p, "N.");
    refused_pickle(&p, "a frame of 16 bytes");
}
END_TEST

/* Whatever a tensor passes through on its way, unknown code makes it unfit. */
START_TEST(tensors_through_code)
{
    static const struct {
        const char *before, *after;
    } wrappers[] = {
        {"cevil\nf\n", "\x85R"},       /* f(tensor) */
        {"cevil\nf\n(", "tR"},         /* f(*(tensor,)) */
        {"cevil\nf\n]", "a\x85R"},     /* f([tensor]) */
        {"cevil\nf\n}N", "s\x85\x81"}, /* f.__new__({None: tensor}) */
        {"cevil\nf\n)R", "b"},         /* f().__setstate__(tensor) */
        {"cevil\nf\n)R", "a"},         /* f().append(tensor) */
        {"ctorch._utils\n_rebuild_parameter\ncevil\nf\n", "\x85R\x88N\x87R"},
        {"", "}b"}, /* tensor.__setstate__({}) */
    };
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        struct bytes p = {0};
        bytes_text(&p, "\x80\x02}");
        pickle_text(&p, "a");
        bytes_text(&p, wrappers[i].before);
        pickle_tensor(&p, "torch", "FloatStorage", "0", 3, 0, 1, (uint32_t[]){3}, (uint32_t[]){1});
        bytes_text(&p, wrappers[i].after);
        bytes_text(&p, "s.");
        refused_pickle(&p, wrappers[i].before[0] ? "'a' is made by 'evil.f'" : "'a' is made by");
    }
}
END_TEST

/* Programs that would cost much time or memory elsewhere; the clock and the limit on the address
 * space are the judges. */
START_TEST(pickle_excess)
{
    static const struct {
        const char *first, *again;
        size_t n;
        const char *last, *why;
    } programs[] = {
        {"", "N", 4000000, ".", "more than 1048576 values"},
        {"N", "2", 8000000, ".", "the stack grows past"},
        {"", "(", 8000000, ".", "marks"},
        {"", "}", 4000000, ".", "more than 1048576 values"},
        {"Nq\1]", "h\1a", 2500000, ".", "more than 2097152 items"},
        {"]q\1", "h\1h\1a", 1600000, ".", "the stack grows past"},
        {"]", "]a", 3000000, ".", "more than 1048576 values"}, /* nested without end */
        {")", "\x85", 8000000, ".", "more than 1048576 values"},
        {"", "cos\nsystem\n)R0", 500000, "}.", "more than 1048576 values"},
    };
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct bytes p = {0};
        bytes_text(&p, "\x80\x02");
        bytes_text(&p, programs[i].first);
        for (size_t k = 0; k < programs[i].n; k++)
            bytes_text(&p, programs[i].again);
        bytes_text(&p, programs[i].last);
        if (p.n > VS_MAX_TABLE_BYTES)
            p.n = VS_MAX_TABLE_BYTES;
        clock_t start = clock();
        refused_pickle(&p, programs[i].why);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        ck_assert_msg(seconds < 10, "program %zu took %.1f s", i, seconds);
    }
    getrusage(RUSAGE_SELF, &after);
    /* Builder and copies take about 60 MB of it; the sanitizers' own memory is not the reader's. */
#if !defined(__SANITIZE_ADDRESS__)
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 128 * 1024);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile torch");
    TCase *tcase = tcase_create("hostile torch");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, torch_damage);
    tcase_add_test(tcase, zip_lies);
    tcase_add_test(tcase, zip64_lies);
    tcase_add_test(tcase, zip_contents);
    tcase_add_test(tcase, pickle_tensors);
    tcase_add_test(tcase, pickle_programs);
    tcase_add_test(tcase, tensors_through_code);
    tcase_add_test(tcase, pickle_excess);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
