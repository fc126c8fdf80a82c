/* SPDX-License-Identifier: Apache-2.0
 *
 * signals.c - the handlers touch nothing but flags, write(), unlink(), sigaction() and _exit(), all
 * of which POSIX allows at any moment. */
#include "config.h"

#include "host/signals.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "models/file_map.h"

enum { N_SLOTS = 16 };

static volatile sig_atomic_t n_signals;
static volatile sig_atomic_t slot_used[N_SLOTS];
static char slot_path[N_SLOTS][PATH_MAX];

static void remove_drafts(void)
{
    for (int i = 0; i < N_SLOTS; i++) {
        if (slot_used[i])
            (void)unlink(slot_path[i]);
    }
}

static void say(const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t done = write(STDERR_FILENO, text, n);
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static void on_lost_page(int number, siginfo_t *info, void *context)
{
    const struct sigaction otherwise = {.sa_handler = SIG_DFL};
    const char *path = vs_file_map_path_at(info->si_addr);
    (void)context;
    if (!path) {
        /* No file of ours: the instruction is tried again, and the system does what it does. */
        sigaction(number, &otherwise, NULL);
        return;
    }
    remove_drafts();
    say("\nvideossm-cl: error: ");
    say(path);
    say(": the file was cut short, or its disk failed, while it was being read; fetch it again\n");
    _exit(VS_ERROR_MODEL);
}

void host_signals_watch_files(void)
{
    struct sigaction action = {.sa_sigaction = on_lost_page, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static void handle(int number)
{
    (void)number;
    if (n_signals == 0) {
        n_signals = 1;
        return;
    }
    remove_drafts();
    static const char line_end[] = "\n";
    if (write(STDERR_FILENO, line_end, sizeof line_end - 1) < 0)
        _exit(VS_ERROR_INTERRUPTED);
    _exit(VS_ERROR_INTERRUPTED);
}

void host_signals_install(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    static bool called_before, keeps_running; /* nohup(1) has SIGHUP ignored, which must stay */
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!called_before)
        keeps_running = sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
    called_before = true;
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGHUP, keeps_running ? &ignore : &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
    host_signals_watch_files();
}

bool host_signals_interrupted(void)
{
    return n_signals != 0;
}

int host_signals_guard(const char *path)
{
    size_t n = strlen(path) + 1;
    for (int i = 0; i < N_SLOTS && n <= PATH_MAX; i++) {
        if (!slot_used[i]) {
            memcpy(slot_path[i], path, n);
            slot_used[i] = 1;
            return i;
        }
    }
    return -1;
}

void host_signals_release(int slot)
{
    if (slot >= 0)
        slot_used[slot] = 0;
}
