/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - videossm-cl: finds the command and hands it its arguments. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "cl/fault.h"
#include "cl/status.h"
#include "host/command.h"
#include "host/signals.h"

static int host_help(int argc, char **argv);

static const struct host_command commands[] = {
    {"generate", "make a video from a prompt", host_generate, &host_generate_spec},
    {"plan", "say what a run will take, before anything is loaded", host_plan, &host_plan_spec},
    {"replay", "make the same video again from one of its files", host_replay, &host_replay_spec},
    {"devices", "list OpenCL devices, and why one may be missing", host_devices,
     &host_devices_spec},
    {"inspect", "list what a model file holds, without loading it", host_inspect,
     &host_inspect_spec},
    {"convert", "write model files in another container or number format", host_convert,
     &host_convert_spec},
    {"validate", "prove that a device gives the same bits as any other", host_validate,
     &host_validate_spec},
    {"bench", "measure the operations, and what the device can do at most", host_bench,
     &host_bench_spec},
    {"tune", "find the fastest variant of each operation on a device", host_tune, &host_tune_spec},
    {"metrics", "measure flicker, consistency, motion and drift of finished videos", host_metrics,
     &host_metrics_spec},
    {"help", "show this help, or that of a command", host_help, NULL},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *file)
{
    fputs("videossm-cl makes long videos from text on any OpenCL device.\n\n"
          "Usage: videossm-cl COMMAND [OPTIONS]\n\nCommands:\n",
          file);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n  -h, --help     this help; 'videossm-cl COMMAND --help' for a command\n"
          "  -V, --version  the version\n\n"
          "Examples:\n"
          "  videossm-cl generate -p \"a blue square moves left and right on a sand\n"
          "      background\" -o video.mp4 --seconds 10\n"
          "  videossm-cl devices\n\n"
          "Exit codes: 0 done, 1 run-time fault, 2 usage, 3 no device, 4 out of memory,\n"
          "5 model file, 6 validation failed, 7 non-finite values, 130 interrupted.\n",
          file);
}

static const struct host_command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static enum vs_status unknown_command(const char *name)
{
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = host_nearest(name, names, N_COMMANDS);
    if (nearest)
        return vs_fail(VS_ERROR_USAGE, "unknown command '%s'; did you mean '%s'?", name, nearest);
    return vs_fail(VS_ERROR_USAGE, "unknown command '%s'; 'videossm-cl help' lists all", name);
}

/* For shell completion: commands one a line, or the options of one command. */
static enum vs_status print_completion(const char *name)
{
    const struct host_command *command = name ? find_command(name) : NULL;
    for (size_t i = 0; !name && i < N_COMMANDS; i++)
        puts(commands[i].name);
    if (command && command->spec)
        host_options_print_completion(command->spec, stdout);
    return VS_OK;
}

static int host_help(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--complete") == 0)
        return host_report(print_completion(argc > 2 ? argv[2] : NULL));
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return VS_OK;
    }
    const struct host_command *command = find_command(argv[1]);
    if (!command)
        return host_report(unknown_command(argv[1]));
    char help[] = "--help";
    char *arguments[] = {argv[1], help, NULL};
    return command->run(2, arguments);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return VS_ERROR_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("videossm-cl %s\n", vs_version());
        return VS_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return host_help(1, argv);
    const struct host_command *command = find_command(argv[1]);
    if (command)
        return command->run(argc - 1, argv + 1);
    if (argv[1][0] == '-')
        return host_report(vs_fail(VS_ERROR_USAGE,
                                   "unknown option '%s'; options follow a command, "
                                   "see 'videossm-cl help'",
                                   argv[1]));
    return host_report(unknown_command(argv[1]));
}

/* A descriptor 0, 1 or 2 that the caller closed would be given to the first file opened, and
 * messages would end up in it. Opened for reading, it makes writes fail as they should. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0)
            _exit(VS_ERROR_RUNTIME);
    }
}

/* jansson's memory is the program's own: it is counted, and can fail in tests. */
static void *allocate(size_t n_bytes)
{
    return vs_alloc(n_bytes, 1);
}

/* For tests, the numbers that VS_FAIL goes by. */
static void write_counts(void)
{
    const char *path = getenv("VS_FAIL_COUNT");
    FILE *file = path ? fopen(path, "we") : NULL;
    for (int i = 0; file && i < VS_N_FAULTS; i++)
        fprintf(file, "%s %zu\n", vs_fault_name((enum vs_fault)i),
                vs_fault_count((enum vs_fault)i));
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    setlocale(LC_CTYPE, ""); /* for the terminal's characters only; numbers stay as in C */
    signal(SIGPIPE, SIG_IGN);
    host_signals_watch_files();
    json_set_alloc_funcs(allocate, free);
    int code = run(argc, argv);
    write_counts();
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == VS_OK) {
        if (errno != EPIPE)
            return host_report(
                vs_fail(VS_ERROR_RUNTIME, "writing to standard output: %s", strerror(errno)));
        return VS_ERROR_RUNTIME;
    }
    return code;
}
