#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures `videossm-cl bench` and what others offer for the same operations, in turns.

    bench_peers.py [--program FILE] [--device DEVICE] [--op OPERATION]... [--rounds N] [--seconds S]
                   [--peer NAME]... [--threads N] [--cpu-time] [--torch PYTHON | --fetch]
                   [--json FILE]

PyTorch and diffusers (PyPI), OpenBLAS and CLBlast (Debian: libopenblas0-pthread, libclblast1) run on
the CPU, each in a process of its own with the same number of threads; those that are not installed
are left out. In every round each measures for S seconds, one after the other, and what is printed is
the median over the rounds of the speed in ratio to the peer's in the same round, so that a machine
that does other things as well hits all of them alike. --cpu-time counts the processor's time of each
process.

PyTorch is looked for in PYTHON, $VS_TORCH_PYTHON, the environment that --fetch makes in
$XDG_CACHE_HOME/videossm-cl/peers, and python3. Everything is float32 but the weights of an operation
with :bf16 and so on, which peers get as float32, the format they are fastest with."""
import argparse
import json
import os
import statistics
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
WORKERS = os.path.join(FOLDER, "bench_peer_workers.py")

# Operation, and what is wanted: of the peak (c: of the copy), and of each peer's speed.
TABLE = [
    ("linear:4680x1536x1536", 0.85, {"torch": 1.15, "openblas": 1.15}),
    ("linear:4680x1536x1536:bf16", 0.85, {"torch": 1.15, "openblas": 1.15}),
    ("linear:4680x8960x1536", 0.85, {"torch": 1.15, "openblas": 1.15}),
    ("linear:4680x8960x1536:bf16", 0.85, {"torch": 1.15, "openblas": 1.15}),
    ("linear:4680x1536x8960", 0.85, {"torch": 1.15, "openblas": 1.15}),
    ("linear:4680x1536x8960:bf16", 0.85, {"torch": 1.15, "openblas": 1.15}),
    ("attention:12x4680x14040x128", 0.75, {"torch": 1.15}),
    ("attention:12x4680x32760x128", 0.75, {"torch": 1.15}),
    ("conv3d:96x96x1x480x832", 0.85, {"torch": 1.0}),
    ("conv3d:192x192x1x240x416", 0.85, {"torch": 1.0}),
    ("conv3d:384x384x2x120x208", 0.85, {"torch": 1.0}),
    ("norm:4680x1536", "c0.80", {"torch": 2.0}),
    ("rms:4680x1536", "c0.80", {"torch": 2.0}),
    ("channel-norm:399360x96", "c0.80", {"torch": 2.0}),
    ("rope:3x30x52x12x128", "c0.80", {"torch": 2.0}),
    ("rope:3x30x52x12x128:rms", "c0.80", {"torch": 2.0}),
    ("dit:3x60x104x2", 0.75, {"diffusers": 1.3}),
    ("vae:3x30x52x96", 0.75, {"diffusers": 1.2}),
]
PEERS = ["torch", "diffusers", "openblas", "clblast"]


class Peer:
    """A worker process: one line of JSON in, one out."""

    def __init__(self, name, python, options):
        environment = dict(os.environ, OPENBLAS_NUM_THREADS=str(options.threads),
                           OMP_NUM_THREADS=str(options.threads), OMP_WAIT_POLICY="passive",
                           KMP_BLOCKTIME="0")
        command = [python, WORKERS, name, str(options.threads),
                   "processor" if options.cpu_time else "wall", options.device_name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)
        hello = self.process.stdout.readline()
        if not hello:
            raise RuntimeError(f"{name}: the worker ended")
        self.about = json.loads(hello)

    def ask(self, op, seconds):
        """Milliseconds of a run, or None when the peer has no such operation."""
        self.process.stdin.write(json.dumps({"op": op, "seconds": seconds}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or "null")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def has_torch(python):
    """Also false where there is no such program."""
    try:
        return subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0
    except OSError:
        return False


def find_torch(options):
    """A Python that has PyTorch, or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    made = os.path.join(cache, "videossm-cl", "peers")
    own = os.path.join(made, "bin", "python")
    if options.fetch and not has_torch(own):
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        subprocess.run([own, "-m", "pip", "install", "torch", "numpy", "diffusers",
                        "transformers"], check=True)
    if options.torch:
        if not has_torch(options.torch):
            sys.exit(f"bench_peers.py: --torch {options.torch}: no Python that has PyTorch")
        return options.torch
    for python in [os.environ.get("VS_TORCH_PYTHON"), own, "python3"]:
        if python and has_torch(python):
            return python
    return None


def run_ours(options, op, seconds):
    command = [options.program, "bench", "--json", "--op", op, "--seconds", str(seconds)]
    if options.device:
        command += ["--device", options.device]
    if options.cpu_time:
        command.append("--cpu-time")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench_peers.py: {' '.join(command)}\n{done.stderr.strip()}")
    report = json.loads(done.stdout)
    return report, report["results"][0]


def start_peers(options):
    peers = {}
    for name in options.peer or PEERS:
        python = find_torch(options) if name in ("torch", "diffusers") else sys.executable
        try:
            if not python:
                raise RuntimeError(f"{name}: no Python has PyTorch; --fetch installs it")
            peers[name] = Peer(name, python, options)
            if "missing" in peers[name].about:
                raise RuntimeError(f"{name}: {peers.pop(name).about['missing']}")
            print(f"{name:9} {peers[name].about['version']}")
        except RuntimeError as error:
            print(f"{error}: left out")
    return peers


def measure(options, peers, op):
    """Runs one operation in turns; medians over the rounds."""
    ours, ratios, times = [], {name: [] for name in peers}, {name: [] for name in peers}
    for _ in range(options.rounds):
        _, result = run_ours(options, op, options.seconds)
        if "skipped" in result:
            return {"op": op, "skipped": result["skipped"]}
        ours.append(result)
        for name, peer in peers.items():
            ms = peer.ask(op, options.seconds)
            if ms:
                times[name].append(ms)
                ratios[name].append(ms / result["median_ms"])
    median = {key: statistics.median(result[key] for result in ours)
              for key in ("median_ms", "gflops", "gbs", "fraction_of_peak", "fraction_of_copy")}
    return {"op": op, "variant": ours[0]["variant"], **median,
            "peer_ms": {name: statistics.median(ms) for name, ms in times.items() if ms},
            "ratio": {name: statistics.median(r) for name, r in ratios.items() if r}}


def print_row(row, wanted, targets):
    if "skipped" in row:
        print(f"{row['op']:32} skipped: {row['skipped']}")
        return
    by_copy = isinstance(wanted, str)
    share = row["fraction_of_copy" if by_copy else "fraction_of_peak"]
    goal = f"/{100 * float(wanted[1:]) if by_copy else 100 * wanted:.0f}" if wanted else ""
    cells = f"{100 * share:4.0f}{goal} %{' copy' if by_copy else '':5}"
    for name in PEERS:
        ratio = row["ratio"].get(name)
        goal = f"/{targets[name]:.2f}" if name in targets else ""
        cells += f"  {f'{ratio:.2f}{goal}' if ratio else '-':>10}"
    print(f"{row['op']:32} {row['median_ms']:9.2f} {row['gflops']:7.1f}  {cells}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="./videossm-cl")
    parser.add_argument("--device", help="as videossm-cl takes it; default: cpu", default="cpu")
    parser.add_argument("--op", action="append", help="default: the table of docs/performance.md")
    parser.add_argument("--peer", action="append", choices=PEERS, help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="each, in every round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine")
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--fetch", action="store_true", help="install both for this")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.rounds < 1 or options.threads < 1 or options.seconds <= 0:
        parser.error("--rounds, --threads and --seconds must be positive")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:options.threads])

    report, _ = run_ours(options, "norm:16x64", 0.01)
    options.device_name = report["device"]
    print(f"device    {report['device']} ({report['platform']}), {options.threads} threads")
    peers = start_peers(options)
    print(f"\n{'operation':32} {'ms':>9} {'GFLOP/s':>7}  {'reached/wanted':12}"
          + "".join(f"  {'x ' + name:>10}" for name in PEERS))
    known = {op: (wanted, targets) for op, wanted, targets in TABLE}
    rows = []
    for op in options.op or known:
        rows.append(measure(options, peers, op))
        print_row(rows[-1], *known.get(op, (None, {})))
    for peer in peers.values():
        peer.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"device": report["device"], "driver": report["driver"],
                       "threads": options.threads, "cpu_time": options.cpu_time,
                       "peers": {name: peer.about for name, peer in peers.items()},
                       "results": rows}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
