/* SPDX-License-Identifier: Apache-2.0
 *
 * check_damage.c - the program given damaged and hostile files: tests/damage.txt says which, and
 * what must come of each.
 *
 * A line of the table is `kind | what is done to the file | exit code | part of the message`; the
 * table's own head explains it; "-" is any message. Every case is a run of the program, which must
 * end with that code and message, make no output, and use less than a second of a processor and
 * 100 MB. There is no OpenCL device to be had, so what gets past the readers ends with code 3;
 * "kind*" has one, and may use what its compiler needs. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/damage_samples.h"

enum { MAX_KINDS = 16, MAX_CASE = 4096, HANG_SECONDS = 60 };
#if defined(__SANITIZE_ADDRESS__)
static const double most_seconds = 10, most_mib = 2000;
#else
static const double most_seconds = 1, most_mib = 100;
#endif
static const double most_seconds_device = 20, most_mib_device = 2000;

static char folder[64], program[4096], path[256], table_path[4096];
static char *model;
static struct bytes table;
static char kinds[MAX_KINDS][32];
static int n_kinds;
static bool all_cases; /* else one of each line's, and of fields to cut at each ninth */
static size_t n_lines;

static struct {
    size_t n_cases, n_failed;
    double slowest, largest;
} total;

/* ---- Reading the table -------------------------------------------------------------------- */

_Noreturn static void broken(const char *what, const char *text)
{
    fprintf(stderr, "tests/damage.txt: %s: '%s'\n", what, text);
    exit(EXIT_FAILURE);
}

/* The next word of *text, to which it moves; "" at the end. */
static const char *word(char **text)
{
    char *begin = *text + strspn(*text, " "), *end = begin + strcspn(begin, " ");
    *text = *end ? end + 1 : end;
    *end = '\0';
    return begin;
}

/* Appends a quoted text: \n, \", \\, \xHH, \*N(TEXT) for N times TEXT. */
static void quoted(struct bytes *out, char **text, char stop)
{
    char *c = *text;
    if (stop == '"' && *(c += strspn(c, " ")) != '"')
        broken("a quoted text is needed", c);
    for (c += stop == '"'; *c && *c != stop; c++) {
        if (*c != '\\') {
            bytes_put(out, c, 1);
            continue;
        }
        c++;
        if (*c == 'x') {
            const char digits[] = {c[1], c[2], '\0'};
            bytes_number(out, strtoul(digits, NULL, 16), 1);
            c += 2;
        } else if (*c == '*') {
            struct bytes part = {0};
            unsigned long n = strtoul(c + 1, &c, 10);
            c++;
            quoted(&part, &c, ')');
            c--;
            for (unsigned long i = 0; i < n; i++)
                bytes_put(out, part.data, part.n);
            bytes_free(&part);
        } else {
            bytes_put(out, *c == 'n' ? "\n" : c, 1);
        }
    }
    if (*c != stop)
        broken("a text without end", *text);
    *text = c + 1;
}

static const struct place *find_place(const struct sample *sample, const char *name)
{
    const struct place *place = sample_place(sample, name);
    if (!place)
        broken("no such place", name);
    return place;
}

/* 7, 0x7, 2^63, 2^64-1; +1, -1: from what is there; @PLACE: where that lies. */
static uint64_t value_of(const struct sample *sample, const struct place *place, const char *text)
{
    char *end;
    uint64_t there = 0;
    for (size_t i = 0; i < place->n_bytes && i < 8; i++)
        there |= (uint64_t)sample->file.data[place->at + i] << (8 * i);
    if (*text == '@')
        return find_place(sample, text + 1)->at;
    if (*text == '+' || *text == '-')
        return there + (uint64_t)strtoll(text, NULL, 10);
    if (strncmp(text, "2^", 2) != 0)
        return strtoull(text, NULL, 0);
    unsigned long bits = strtoul(text + 2, &end, 10);
    uint64_t power = bits < 64 ? 1ull << bits : 0;
    return power + (uint64_t)strtoll(end, NULL, 10);
}

/* Replaces n bytes at `at`. */
static void replace_bytes(struct bytes *bytes, size_t at, size_t n, const struct bytes *with)
{
    struct bytes made = {0};
    bytes_put(&made, bytes->data, at);
    bytes_put(&made, with->data, with->n);
    bytes_put(&made, bytes->data + at + n, bytes->n - at - n);
    bytes_free(bytes);
    *bytes = made;
}

static bool change_text(struct sample *sample, const char *verb, char *rest)
{
    struct bytes old = {0}, new = {0};
    bool replaces = strcmp(verb, "text") == 0;
    if (!replaces && strcmp(verb, "all") != 0)
        return false;
    if (replaces)
        quoted(&old, &rest, '"');
    quoted(&new, &rest, '"');
    const uint8_t *hit =
        replaces ? memmem(sample->text.data, sample->text.n, old.data, old.n) : sample->text.data;
    if (!hit)
        broken("a text that is not there", rest);
    replace_bytes(&sample->text, (size_t)(hit - sample->text.data),
                  replaces ? old.n : sample->text.n, &new);
    bytes_free(&old);
    bytes_free(&new);
    return true;
}

static void change_file(struct sample *sample, const char *verb, char *rest)
{
    struct bytes new = {0};
    if (strcmp(verb, "append") == 0) {
        quoted(&sample->file, &rest, '"');
        return;
    }
    const char *name = word(&rest);
    char bare[64];
    size_t n_name = strcspn(name, "+");
    snprintf(bare, sizeof bare, "%.*s", (int)n_name, name);
    const struct place *place = find_place(sample, bare);
    if (strcmp(verb, "cut") == 0) {
        sample->file.n = place->at + strtoul(name + n_name, NULL, 10);
    } else if (strcmp(verb, "set") == 0) {
        bytes_patch(&sample->file, place->at, value_of(sample, place, word(&rest)), place->n_bytes);
    } else if (strcmp(verb, "fill") == 0) {
        memset(sample->file.data + place->at, (int)value_of(sample, place, word(&rest)),
               place->n_bytes);
    } else if (strcmp(verb, "put") == 0) {
        quoted(&new, &rest, '"');
        replace_bytes(&sample->file, place->at, new.n, &new);
        bytes_free(&new);
    } else {
        broken("what is that", verb);
    }
}

/* "a ; b ; c": calls change for each. */
static void for_each(char *changes, void (*change)(void *user, const char *verb, char *rest),
                     void *user)
{
    for (char *rest = changes; rest && *rest;) {
        char *end = strstr(rest, " ; "), *one = rest;
        if (end)
            *end = '\0';
        rest = end ? end + 3 : NULL;
        const char *verb = word(&one);
        change(user, verb, one);
    }
}

static void on_text(void *user, const char *verb, char *rest)
{
    (void)change_text(user, verb, rest);
}

static void on_file(void *user, const char *verb, char *rest)
{
    if (strcmp(verb, "text") != 0 && strcmp(verb, "all") != 0)
        change_file(user, verb, rest);
}

static void build(struct sample *sample, const struct sample_kind *kind, const char *changes)
{
    char copy[MAX_CASE];
    sample->folder = folder;
    kind->begin(sample);
    snprintf(copy, sizeof copy, "%s", changes);
    for_each(copy, on_text, sample);
    if (kind->build)
        kind->build(sample);
    else
        bytes_put(&sample->file, sample->text.data, sample->text.n);
    snprintf(copy, sizeof copy, "%s", changes);
    for_each(copy, on_file, sample);
}

/* ---- Running the program ------------------------------------------------------------------ */

/* What no file holds: "make fifo", "make folder", "make nothing", "make loop". */
static bool make_other(const char *changes)
{
    if (strncmp(changes, "make ", 5) != 0)
        return false;
    const char *what = changes + 5;
    ck_assert(strcmp(what, "nothing") == 0 ||
              (strcmp(what, "fifo") == 0 && mkfifo(path, 0600) == 0) ||
              (strcmp(what, "folder") == 0 && mkdir(path, 0700) == 0) ||
              (strcmp(what, "loop") == 0 && symlink(path, path) == 0));
    return true;
}

static void name_file(const char *kind)
{
    snprintf(path, sizeof path, "%s/%s", folder,
             strcmp(kind, "run") == 0     ? "run/run.json"
             : strcmp(kind, "split") == 0 ? "the-file-00001-of-00002.gguf"
                                          : "the-file");
}

static void exec_program(const char *kind, bool device)
{
    static const struct {
        const char *kind, *flag;
    } flags[] = {{"dit", "--dit"},           {"lora", "--lora"},     {"encoder", "--text-encoder"},
                 {"vae", "--vae"},           {"spiece", "--tokenizer"}, {"config", "--config"},
                 {"script", "--script"}};
    char output[128], run[128], errors[128];
    snprintf(output, sizeof output, "%s/out.y4m", folder);
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(errors, sizeof errors, "%s/stderr", folder);
    int null = open("/dev/null", O_RDWR), file = open(errors, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(null, 0);
    dup2(null, 1);
    dup2(file, 2);
    if (!device)
        setenv("OCL_ICD_VENDORS", folder, 1);
    alarm(HANG_SECONDS); /* outlives exec */
    if (strcmp(kind, "run") == 0)
        execl(program, program, "generate", "--resume", run, (char *)NULL);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(kind, flags[i].kind) == 0)
            execl(program, program, "generate", "-m", model, "-o", output, "--size", "32x32",
                  "--fps", "16", "--seconds", "0.5", flags[i].flag, path,
                  strcmp(kind, "script") == 0 ? NULL : "-p", "x", (char *)NULL);
    execl(program, program, "inspect", path, (char *)NULL);
    _exit(127);
}

struct result {
    int status; /* of wait4() */
    double seconds, mib;
    char message[4096];
};

static struct result run_program(const char *kind, bool device)
{
    struct result result = {0};
    struct rusage usage;
    char errors[128];
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        exec_program(kind, device);
    ck_assert_int_eq(wait4(child, &result.status, 0, &usage), child);
    /* The clock would count the neighbours' work too. */
    result.seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    result.mib = (double)usage.ru_maxrss / 1024;
    snprintf(errors, sizeof errors, "%s/stderr", folder);
    FILE *file = fopen(errors, "rbe");
    size_t n = file ? fread(result.message, 1, sizeof result.message - 1, file) : 0;
    result.message[n] = '\0';
    if (file)
        fclose(file);
    return result;
}

/* NULL, or what is wrong. */
static const char *fault(const struct result *result, int code, const char *message, bool device)
{
    char output[128];
    snprintf(output, sizeof output, "%s/out.y4m", folder);
    if (!WIFEXITED(result->status))
        return WTERMSIG(result->status) == SIGALRM ? "hangs" : "is killed by a signal";
    if (WEXITSTATUS(result->status) != code)
        return "ends with another code";
    if ((strcmp(message, "-") != 0 && !strstr(result->message, message)) ||
        (code && !strstr(result->message, "error: ")))
        return "says something else";
    for (const char *c = result->message; *c; c++)
        if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
            return "says control characters";
    if (code && access(output, F_OK) == 0)
        return "leaves an output";
    if (result->seconds > (device ? most_seconds_device : most_seconds))
        return "takes too long";
    if (result->mib > (device ? most_mib_device : most_mib))
        return "takes too much memory";
    return NULL;
}

static void run_case(const char *name, const char *changes, int code, const char *message)
{
    struct sample sample = {0};
    char kind[32];
    bool device = name[strlen(name) - 1] == '*';
    snprintf(kind, sizeof kind, "%.*s", (int)(strlen(name) - device), name);
    name_file(kind);
    if (!make_other(changes)) {
        const struct sample_kind *known = sample_find(kind);
        build(&sample, known ? known : sample_find("safetensors"), changes);
        bytes_write_file(&sample.file, path);
    }
    struct result result = run_program(kind, device);
    const char *wrong = fault(&result, code, message, device);
    total.n_cases++;
    total.slowest = result.seconds > total.slowest && !device ? result.seconds : total.slowest;
    total.largest = result.mib > total.largest && !device ? result.mib : total.largest;
    if (wrong) {
        total.n_failed++;
        fprintf(stderr, "%s | %s | %d | %s\n    %s: code %d, %.2f s, %.0f MiB: %s\n", name, changes,
                code, message, wrong, WEXITSTATUS(result.status), result.seconds, result.mib,
                result.message);
    } else if (getenv("VS_DAMAGE_VERBOSE")) {
        fprintf(stderr, "%s | %s | %d | %s\n", name, changes, WEXITSTATUS(result.status),
                result.message);
    }
    sample_free(&sample);
    if (unlink(path) != 0)
        (void)rmdir(path);
    snprintf(path, sizeof path, "%s/out.y4m", folder);
    (void)unlink(path);
}

/* ---- The cases of a line ------------------------------------------------------------------ */

/* "cut A..B": at every place from A to B, and a byte later. */
static void run_range(const char *name, const char *changes, int code, const char *message)
{
    struct sample sample = {0};
    char one[MAX_CASE], kind[32];
    const char *dots = strstr(changes, "..");
    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(name, "*"), name);
    build(&sample, sample_find(kind), "");
    snprintf(one, sizeof one, "%.*s", (int)(dots - changes - 4), changes + 4);
    size_t first = (size_t)(find_place(&sample, one) - sample.places);
    size_t last = (size_t)(find_place(&sample, dots + 2) - sample.places);
    for (size_t i = first; i <= last; i++)
        for (int later = 0; later < 2; later++) {
            if (later && sample.places[i].n_bytes < 2)
                continue;
            snprintf(one, sizeof one, "cut %s%s", sample.places[i].name, later ? "+1" : "");
            if (all_cases || (2 * i + (size_t)later) % 9 == 0)
                run_case(name, one, code, message);
        }
    sample_free(&sample);
}

/* "<<a|b|c>>": one case for each. */
static void run_choices(const char *name, const char *changes, int code, const char *message)
{
    char one[MAX_CASE];
    const char *open = strstr(changes, "<<"), *close = open ? strstr(open, ">>") : NULL;
    if (!open) {
        if (strncmp(changes, "cut ", 4) == 0 && strstr(changes, ".."))
            run_range(name, changes, code, message);
        else
            run_case(name, changes, code, message);
        return;
    }
    if (!close)
        broken("a choice without end", changes);
    size_t n_items = 1, i = 0;
    for (const char *c = open; c < close; c++)
        n_items += *c == '|';
    for (const char *item = open + 2; item <= close; i++) {
        size_t n = strcspn(item, "|");
        n = n < (size_t)(close - item) ? n : (size_t)(close - item);
        if (!all_cases && i != n_lines % n_items) {
            item += n + 1;
            continue;
        }
        snprintf(one, sizeof one, "%.*s%.*s%s", (int)(open - changes), changes, (int)n, item,
                 close + 2);
        run_choices(name, one, code, message);
        item += n + 1;
    }
}

static bool split_line(char *line, char *fields[4])
{
    for (int i = 0; i < 4; i++) {
        fields[i] = line + strspn(line, " ");
        char *bar = strstr(line, " | ");
        if (!bar)
            return i == 3;
        char *end = bar;
        while (end > fields[i] && end[-1] == ' ')
            end--;
        *end = '\0';
        line = bar + 3;
    }
    return false;
}

static void for_each_line(void (*use)(char *fields[4], const void *user), const void *user)
{
    char *copy = strndup((const char *)table.data, table.n), *rest = copy, *line;
    if (!copy)
        broken("out of memory", "");
    while ((line = strsep(&rest, "\n"))) {
        char *fields[4];
        if (*line == '\0' || *line == '#')
            continue;
        if (!split_line(line, fields))
            broken("no line of four fields", line);
        use(fields, user);
    }
    free(copy);
}

static void run_if_of_kind(char *fields[4], const void *kind)
{
    n_lines++;
    if (strcmp(fields[0], kind) == 0)
        run_choices(fields[0], fields[1], atoi(fields[2]), fields[3]);
}

START_TEST(damaged_files)
{
    n_lines = 0;
    for_each_line(run_if_of_kind, kinds[_i]);
    printf("%s: %zu cases, at most %.2f s and %.0f MiB\n", kinds[_i], total.n_cases, total.slowest,
           total.largest);
    fflush(stdout);
    ck_assert_msg(total.n_failed == 0, "%zu of %zu cases failed", total.n_failed, total.n_cases);
}
END_TEST

/* ---- All ---------------------------------------------------------------------------------- */

static void note_kind(char *fields[4], const void *wanted)
{
    if (wanted && strcmp(fields[0], wanted) != 0)
        return;
    for (int i = 0; i < n_kinds; i++)
        if (strcmp(kinds[i], fields[0]) == 0)
            return;
    if (n_kinds == MAX_KINDS)
        broken("too many kinds", fields[0]);
    snprintf(kinds[n_kinds++], sizeof kinds[0], "%s", fields[0]);
}

/* The record of a run that found no device. */
static void make_run(void)
{
    char command[8192];
    snprintf(command, sizeof command,
             "OCL_ICD_VENDORS='%s' '%s' generate -m '%s' -p x --seed 7 --size 32x32 --fps 16 "
             "--seconds 0.5 -o '%s/never.y4m' --keep '%s/run' 2>/dev/null; "
             "mv '%s/run/run.json' '%s/run.json.good'",
             folder, program, model, folder, folder, folder, folder);
    if (system(command) != 0) {
        fprintf(stderr, "no run could be kept: %s\n", command);
        exit(EXIT_FAILURE);
    }
}

/* check_damage [all [KIND]] */
int main(int argc, char **argv)
{
    const char *srcdir = getenv("srcdir"), *given = getenv("VIDEOSSM_CL");
    char command[128];
    snprintf(program, sizeof program, "%s", given ? given : "./videossm-cl");
    snprintf(table_path, sizeof table_path, "%s/tests/damage.txt", srcdir ? srcdir : ".");
    strcpy(folder, "/tmp/check_damage.XXXXXX");
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    unsetenv("VIDEOSSM_MODEL");
    model = sample_model_path("");
    make_run();
    bytes_read_file(&table, table_path);
    for_each_line(note_kind, argc > 2 ? argv[2] : NULL);
    all_cases = argc > 1 && strcmp(argv[1], "all") == 0;
    Suite *suite = suite_create("damage");
    TCase *tests = tcase_create("damage");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, damaged_files, 0, n_kinds);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        return EXIT_FAILURE;
    free(model);
    bytes_free(&table);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
