/* SPDX-License-Identifier: Apache-2.0
 *
 * command.h - the commands of videossm-cl and how they speak.
 *
 * A command gets argv with its own name in argv[0], reports its own faults, and returns the exit
 * code, a number of enum vs_status. */
#ifndef VS_HOST_COMMAND_H
#define VS_HOST_COMMAND_H

#include "host/options.h"

struct host_command {
    const char *name;
    const char *summary; /* one line */
    int (*run)(int argc, char **argv);
    const struct host_spec *spec; /* for help and completion; NULL: it prints its own */
};

int host_generate(int argc, char **argv);
int host_replay(int argc, char **argv);
int host_devices(int argc, char **argv);
int host_inspect(int argc, char **argv);
int host_convert(int argc, char **argv);
int host_validate(int argc, char **argv);
int host_bench(int argc, char **argv);
int host_tune(int argc, char **argv);
int host_metrics(int argc, char **argv);
int host_plan(int argc, char **argv);

extern const struct host_spec host_generate_spec, host_replay_spec, host_devices_spec,
    host_inspect_spec, host_convert_spec, host_validate_spec, host_bench_spec, host_tune_spec,
    host_metrics_spec, host_plan_spec;

/* Prints "videossm-cl: error: " and the message of the last fault, unless status is VS_OK; returns
 * status. Control characters, which a file name or a model may hold, do not reach the terminal. */
int host_report(enum vs_status status);

/* Prints "videossm-cl: warning: ..." */
void host_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
