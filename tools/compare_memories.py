#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds window, sink and hybrid memory against each other by the metrics of finished videos.

    python3 tools/compare_memories.py [--program ./videossm-cl] [--model models/demo] >table.md

Makes a video for every prompt, seed and memory, measures it (`videossm-cl metrics`) and prints a table
of means with standard deviations, and in how many of the pairs of equal prompt and seed hybrid was the
better one. What was measured stays in --keep FILE (JSON lines), from which a second run goes on.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

MEMORIES = ("window", "sink", "hybrid")
PROMPTS = (
    "two shapes take turns crossing a meadow background",
    "a red circle and a white star take turns crossing a night background",
    "a blue square and a yellow triangle take turns passing in front of a sand background",
    "a green star and a purple circle take turns crossing a sky background",
    "a shape and a square take turns crossing a dusk background",
    "a blue square moves left and right on a sand background",
    "a purple star floats up and down on a night background",
    "a yellow circle slides from side to side on a meadow background",
)
# Name in the report, what the table calls it, whether more is better (None: neither).
METRICS = (
    ("temporal_flicker", "temporal flicker (VBench)", True),
    ("subject_consistency", "subject consistency, stand-in", True),
    ("background_consistency", "background consistency, stand-in", True),
    ("motion_smoothness", "motion smoothness, stand-in", True),
    ("motion_pixels", "motion, pixels a second", None),
    ("drift_end", "colour drift at the end, dE", False),
    ("drift_max", "largest colour drift, dE", False),
    ("contrast_end", "contrast at the end, of that at first", None),
)


def measure(arguments, prompt, seed, memory):
    with tempfile.TemporaryDirectory() as folder:
        video = os.path.join(folder, "video.y4m")
        subprocess.run(
            [arguments.program, "generate", "-q", "-m", arguments.model, "-p", prompt, "--seed",
             str(seed), "-s", str(arguments.seconds), "--memory", memory, "-o", video],
            check=True,
        )
        report = subprocess.run(
            [arguments.program, "metrics", "--json", video], check=True, stdout=subprocess.PIPE
        )
    found = json.loads(report.stdout)["videos"][0]
    return {name: found[name] for name, _, _ in METRICS}


def table(results, pairs):
    lines = [
        "| measure | better | " + " | ".join(MEMORIES) + " | hybrid beats window | hybrid beats sink |",
        "| --- | --- |" + " --- |" * (len(MEMORIES) + 2),
    ]
    for name, title, more in METRICS:
        values = {m: [results[(*pair, m)][name] for pair in pairs] for m in MEMORIES}
        cells = [f"{statistics.mean(v):.4g} ± {statistics.stdev(v):.2g}" for v in values.values()]
        for other in ("window", "sink"):
            if more is None:
                cells.append("")
                continue
            both = list(zip(values["hybrid"], values[other]))
            wins = sum((a > b) if more else (a < b) for a, b in both)
            ties = sum(a == b for a, b in both)
            cells.append(f"{wins} of {len(both)}" + (f", {ties} equal" if ties else ""))
        better = {True: "more", False: "less", None: ""}[more]
        lines.append(f"| {title} | {better} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="./videossm-cl")
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4, help="for each of the %d prompts" % len(PROMPTS))
    parser.add_argument("--keep", metavar="FILE", help="results as JSON lines; those there are not made again")
    arguments = parser.parse_args()
    results, pairs = {}, [(p, s) for s in range(1, arguments.seeds + 1) for p in PROMPTS]
    if arguments.keep and os.path.exists(arguments.keep):
        with open(arguments.keep) as file:
            for line in file:
                known = json.loads(line)
                results[known["prompt"], known["seed"], known["memory"]] = known["metrics"]
    for prompt, seed in pairs:
        for memory in MEMORIES:
            if (prompt, seed, memory) in results:
                continue
            metrics = measure(arguments, prompt, seed, memory)
            results[prompt, seed, memory] = metrics
            print(f"seed {seed}, {memory}: {prompt}", file=sys.stderr, flush=True)
            if arguments.keep:
                with open(arguments.keep, "a") as file:
                    known = {"prompt": prompt, "seed": seed, "memory": memory, "metrics": metrics}
                    file.write(json.dumps(known) + "\n")
    print(f"{len(pairs)} pairs of prompt and seed, {arguments.seconds} s each.\n")
    print(table(results, pairs))


if __name__ == "__main__":
    main()
