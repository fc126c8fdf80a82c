#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command of videossm-cl and says what each stage took: time and anonymous memory.

    python3 tools/measure_run.py ./videossm-cl generate -m FOLDER -p "..." -o out

Stages are those that the program's progress names (`--progress json` is added), chunk by chunk.
Anonymous memory (RssAnon) is what a process holds itself: pages of mapped files, which the system can
drop and read again, are not in it. It is looked at ten times a second. The machine need not be idle:
beside the seconds stand those of the processor.
"""
import json
import os
import subprocess
import sys
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
INTERVAL = 0.1  # seconds


class Stage:
    def __init__(self, name, processor):
        self.name = name
        self.began, self.processor = time.monotonic(), processor
        self.seconds = self.processor_seconds = 0.0
        self.peak = 0


def rss_anon(pid):
    """Bytes, or None once the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def processor_seconds(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    except OSError:
        return 0.0


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    process = subprocess.Popen(
        [*sys.argv[1:], "--progress", "json"], stderr=subprocess.PIPE, text=True
    )
    pid = process.pid
    stages = [Stage("start", 0.0)]
    lock = threading.Lock()

    def sample():
        while (size := rss_anon(pid)) is not None and process.poll() is None:
            with lock:
                stages[-1].peak = max(stages[-1].peak, size)
            time.sleep(INTERVAL)

    def end_stage():
        last = stages[-1]
        last.seconds = time.monotonic() - last.began
        last.processor_seconds = processor_seconds(pid) - last.processor

    watcher = threading.Thread(target=sample)
    watcher.start()
    for line in process.stderr:
        try:
            event = json.loads(line)
        except ValueError:
            sys.stderr.write(line)
            continue
        if event["event"] == "work":
            name = event["stage"]
            if name in ("denoise", "decode"):
                name += f", chunk {event['chunk']}"
        elif event["event"] == "chunk":
            name = "after chunk %d" % event["chunk"]
        else:
            continue
        with lock:
            if stages[-1].name != name:
                end_stage()
                stages.append(Stage(name, processor_seconds(pid)))
    process.wait()
    watcher.join()
    last = stages[-1]
    last.seconds = time.monotonic() - last.began
    print(f"{'stage':24}{'seconds':>9}{'processor':>11}{'RssAnon':>12}")
    for stage in stages:
        if not stage.peak:  # over before it was looked at: decoding beside the next chunk's denoising
            continue
        print(
            f"{stage.name:24}{stage.seconds:9.1f}{stage.processor_seconds:11.1f}"
            f"{stage.peak / 2**30:8.2f} GiB"
        )
    peak = max(stage.peak for stage in stages)
    print(f"{'all':24}{sum(s.seconds for s in stages):9.1f}{'':11}{peak / 2**30:8.2f} GiB")
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
