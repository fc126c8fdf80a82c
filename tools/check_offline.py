#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_offline.py - the gate of the GPU compilers: every kernel and variant of
kernel_variants.txt, compiled for AMD, Intel and NVIDIA chips without any of them at hand.

    check_offline.py [--root DIR] [--cache DIR] [--jobs N] [--chip CHIP] [--only SUBSTRING] [--all]
    check_offline.py [--root DIR] --traces DEFAULTS [VARIANTS]

The first form prints a table of registers, spills and memory and fails on a compile error, a
spill or an array in memory in a default of that class of device, a flush to zero, an fma that is
not one instruction, a product and a sum that became one, more than 32 KiB of local memory, or
groups of more than 256 items. Before that each compiler gets kernels with known faults, which must
be noticed. Variants that are no default on GPUs are compiled for one chip of AMD and one of NVIDIA,
with --all for every chip (Intel's compiler takes many seconds for some). Exit 0, 1 on a failure,
77 when nothing failed but a compiler was missing (SKIP).

The second form compares the table with what the program really built: the files are written
under VS_TRACE_BUILDS, DEFAULTS by a run of models, VARIANTS by the tests of the families; with
both, a row that nothing built is a fault too."""
import argparse
import hashlib
import itertools
import os
import pickle
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True  # the source tree may be read-only
import gpu_compilers
from gpu_compilers import CompileError, all_targets

with open(gpu_compilers.__file__, "rb") as tool:
    TOOL = tool.read()  # results of another one are not those of this one

MAX_LOCAL_BYTES = 32 * 1024
MAX_GROUP = 256

BANNED = re.compile(r"\b(mad|fmin|fmax|native_\w+|half_\w+|exp\w*|log\w*|sqrt|rsqrt|cbrt|sin\w*|"
                    r"cos\w*|tan\w*|pow\w*|erfc?|dot|cross|length|distance|normalize|mix|"
                    r"smoothstep|ldexp|fmod|remainder|hypot|sub_group_\w+|work_group_\w+)\s*\(")

CANARY = """
#pragma OPENCL FP_CONTRACT %s
__kernel void separate(__global float *y, __global const float *x, __global const float *w)
{
    ulong i = get_global_id(0);
    y[i] = (x[i] * w[0]) * w[i] + w[1];
}
__kernel void fused(__global float *y, __global const float *x, __global const float *w)
{
    ulong i = get_global_id(0);
    y[i] = fma(x[i], w[i], w[1]);
}
"""
# Far more live values than any chip has registers for.
SPILLING = """
#pragma OPENCL FP_CONTRACT OFF
__kernel void spilling(__global float *y, __global const float *x)
{
    float v[700];
    ulong i = get_global_id(0);
#pragma unroll
    for (int k = 0; k < 700; k++)
        v[k] = x[i * 700 + k];
    for (int round = 0; round < 9; round++)
#pragma unroll
        for (int k = 0; k < 700; k++)
            v[k] = fma(v[k], v[(k + 1) % 700], v[k]);
#pragma unroll
    for (int k = 0; k < 700; k++)
        y[i * 700 + k] = v[k];
}
"""
# An array whose places are known only at run time, and 36 KiB of local memory for 512 items.
STORING = """
#pragma OPENCL FP_CONTRACT OFF
__attribute__((reqd_work_group_size(512, 1, 1))) __kernel void
storing(__global float *y, __global const int *places)
{
    __local float shared[2][9 * 512];
    float v[200];
    int item = get_local_id(0);
    y += item * 200;
    for (int k = 0; k < 200; k++)
        v[k] = y[k];
    for (int k = 0; k < 900; k++) {
        v[places[k]] += v[places[k + 1]];
        shared[k & 1][places[k] % 9 * 512 + item] = v[places[k + 2]];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < 200; k++)
        y[k] = v[k] + shared[k & 1][places[k]];
}
"""


class Row:
    """A line of kernel_variants.txt."""

    def __init__(self, file, kernel, classes, *options):
        self.file, self.kernel, self.default_on = file, kernel, set(classes.split(","))
        self.options = dict(word.split("=", 1) for word in options)
        self.used = False

    def programs(self):
        """The option lists that are compiled offline."""
        values = [[f"-D{name}={value}" for value in values.split(",") if value != "..."]
                  for name, values in self.options.items()]
        return [list(choice) for choice in itertools.product(*values)]

    def matches(self, file, kernel, options):
        if (file, kernel) != (self.file, self.kernel) or set(options) != set(self.options):
            return False
        return all(value in self.options[name].split(",") or "..." in self.options[name]
                   for name, value in options.items())

    def is_for_cpus(self):
        return self.default_on <= {"cpu", "none"}

    def is_default_on(self, vendor):
        return bool(self.default_on & {"gpu", "all", vendor})


def read_table(root):
    rows = []
    with open(os.path.join(root, "tools", "kernel_variants.txt")) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, kernels, *rest = line.split()
                rows += [Row(name, kernel, *rest) for kernel in kernels.split(",")]
    return rows


def with_includes(path, root):
    """The file's text with the project's own includes in place, as tools/embed.awk does it."""
    lines = []
    with open(path) as file:
        for line in file:
            include = re.match(r'#include "(.*)"', line)
            lines.append(with_includes(os.path.join(root, "kernels", include.group(1)), root)
                         if include else line)
    return "".join(lines)


def only_kernels(text, names):
    """Blanks out the other kernels of a file: what they need is no concern of these."""
    def keep(match):
        name = re.search(r"\bvoid\s+(\w+)\s*\(", match.group(0))
        if not name or name.group(1) in names:
            return match.group(0)
        return "\n" * match.group(0).count("\n")
    return re.sub(r"^(?:(?:__attribute__|VS_)[^\n]*)?__kernel\b.*?^}\n", keep, text,
                  flags=re.M | re.S)


def check_source(file, root):
    """Faults against rules R1 and R2 that can be read from the text."""
    text = re.sub(r"/\*.*?\*/", "", with_includes(os.path.join(root, "kernels", file), root),
                  flags=re.S)
    if not text.lstrip().startswith("#pragma OPENCL FP_CONTRACT OFF"):
        yield f"{file}: the first line of code is not #pragma OPENCL FP_CONTRACT OFF"
    for name in sorted(set(BANNED.findall(text))):
        yield f"{file}: calls {name}(), which rules R1 and R2 forbid"


def compile_cached(target, text, options, cache):
    key = hashlib.sha256(repr((target.chip, target.version(), TOOL, text, options)).encode())
    path = os.path.join(cache, key.hexdigest())
    try:
        with open(path, "rb") as file:
            return pickle.load(file)
    except (OSError, EOFError, pickle.UnpicklingError):
        pass
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "kernel.cl")
        with open(source, "w") as file:
            file.write(text)
        kernels = target.compile(source, folder, options)
    with open(path + ".new", "wb") as file:
        pickle.dump(kernels, file)
    os.replace(path + ".new", path)
    return kernels


def check_alarms(target, cache):
    """What the gate looks for must be found where it is; a list of what was missed."""
    missed = []
    good = compile_cached(target, CANARY % "OFF", [], cache)
    counts = good[0].counts + good[1].counts
    # Per module: one fma, two products, one sum.
    if (counts["fma"], counts["mul"], counts["add"]) != (1, 2, 1):
        missed.append(f"a clean kernel has {dict(counts)} instead of 1 fma, 2 mul, 1 add")
    missed += [f"false alarm: {finding}" for kernel in good for finding in kernel.findings]
    fused = compile_cached(target, CANARY % "ON", [], cache)
    if sum(kernel.counts["fma"] for kernel in fused) != 2:
        missed.append("a*b+c is not fused where it may be: the counting proves nothing")
    if not any(kernel.findings for kernel in fused):
        missed.append("no alarm for a*b+c left to the compiler")
    flushing = compile_cached(target, CANARY % "OFF", target.flushing_options, cache)
    if not any("flush" in finding for kernel in flushing for finding in kernel.findings):
        missed.append("no alarm for flushed denormals")
    if not compile_cached(target, SPILLING, [], cache)[0].spills:
        missed.append("no alarm for spilled registers")
    storing = compile_cached(target, STORING, [], cache)[0]
    if storing.private < 800:
        missed.append(f"{storing.private} bytes of private memory instead of 800")
    if storing.local != 36 * 1024:
        missed.append(f"{storing.local} bytes of local memory instead of 36864")
    if storing.group not in (None, 512):
        missed.append(f"a group of {storing.group} items instead of 512")
    return missed


def verdict(kernel, row, target):
    """FAIL with its reasons, or ok, or what is no failure in this variant."""
    faults, in_memory = sorted(set(kernel.findings)), []
    if kernel.spills:
        in_memory.append("spills")
    if kernel.private:
        in_memory.append("arrays in memory")
    if row.is_default_on(target.vendor):
        faults += [what + " in a default" for what in in_memory]
    if kernel.local > MAX_LOCAL_BYTES:
        faults.append("more than 32 KiB of local memory")
    if (kernel.group or 0) > MAX_GROUP:
        faults.append(f"groups of {kernel.group} items")
    if kernel.local and not kernel.group and target.knows_groups:
        faults.append("local memory in groups of no fixed size")
    return "FAIL: " + "; ".join(faults) if faults else ", ".join(in_memory) or "ok"


def gate(args):
    os.makedirs(args.cache, exist_ok=True)
    rows = [row for row in read_table(args.root)
            if not args.only or args.only in f"{row.file} {row.kernel}"]
    groups = {}  # kernels of a file that are built with the same options go together
    for row in rows:
        for options in row.programs():
            groups.setdefault((row.file, tuple(options)), []).append(row)
    targets = [t for t in all_targets(args.cache) if args.chip in (None, t.chip)]
    rule_faults = [fault for row in rows for fault in check_source(row.file, args.root)]
    print("".join(f"FAIL: {fault}\n" for fault in sorted(set(rule_faults))), end="")
    n_failed, n_passed, n_in_memory = len(set(rule_faults)), 0, 0
    skipped, jobs, started = [], [], time.time()
    pool = ThreadPoolExecutor(args.jobs)
    for target in targets:
        missing = target.missing()
        if missing:
            skipped.append(target.chip)
            print(f"SKIP: {target.chip}: {missing} is not installed")
            continue
        jobs.append((target, None, None, None, pool.submit(check_alarms, target, args.cache)))
        for (file, options), rows in groups.items():
            group = [row for row in rows if args.all or target.takes_all or not row.is_for_cpus()]
            if not group:
                continue
            text = only_kernels(with_includes(os.path.join(args.root, "kernels", file), args.root),
                                {row.kernel for row in group})
            jobs.append((target, file, options, group, pool.submit(
                compile_cached, target, text, list(options), args.cache)))
    print(f"{'kernel':20} {'options':46} {'target':8} {'lanes':>5} {'regs':>5} {'spills':>6} "
          f"{'private':>7} {'local':>6} {'group':>5} {'fma':>5}  verdict")
    for target, file, options, group, job in jobs:
        name = file or "(known faults)"
        brief = " ".join(o[2:].removeprefix("VS_") for o in options or [])
        try:
            result = job.result()
        except CompileError as error:
            n_failed += 1
            print(f"{name:20} {brief:46} {target.chip:8} FAIL: does not compile: {error}")
            continue
        if group is None:
            n_failed += bool(result)
            n_passed += not result
            print(f"{name:20} {brief:46} {target.chip:8} {'FAIL: ' if result else 'ok'}"
                  f"{'; '.join(result)}")
            continue
        by_name = {kernel.name: kernel for kernel in result}
        for row in group:
            if row.kernel not in by_name:
                n_failed += 1
                print(f"{row.kernel:20} {brief:46} {target.chip:8} FAIL: not in the output")
                continue
            kernel = by_name[row.kernel]
            what = verdict(kernel, row, target)
            n_failed += what.startswith("FAIL")
            n_passed += not what.startswith("FAIL")
            n_in_memory += what != "ok" and not what.startswith("FAIL")
            print(f"{kernel.name:20} {brief:46} {target.chip:8} {kernel.lanes:>5} "
                  f"{kernel.registers:>5} {kernel.spills:>6} {kernel.private:>7} {kernel.local:>6} "
                  f"{kernel.group or '-':>5} {kernel.counts['fma']:>5}  {what}")
    print(f"{n_passed} passed, {n_failed} failed; {n_in_memory} with spills or arrays in memory that "
          f"are no failure; "
          f"{len(skipped)} of {len(targets)} targets skipped; {time.time() - started:.0f} s")
    if n_failed or not n_passed and not skipped:
        return 1
    return 77 if skipped else 0


def read_trace(path, root):
    """Lines `class file kernel options` of VS_TRACE_BUILDS; tests have kernels of their own too."""
    with open(path) as file:
        for line in sorted(set(file)):
            device, name, kernel, *options = line.split()
            if not os.path.exists(os.path.join(root, "kernels", name)):
                continue
            yield device.lower(), name, kernel, dict(o.removeprefix("-D").split("=")
                                                     for o in options)


def compare_traces(args):
    rows, faults = read_table(args.root), []
    for path, is_default in zip(args.traces, (True, False)):
        for device, file, kernel, options in read_trace(path, args.root):
            found = [row for row in rows if row.matches(file, kernel, options)]
            text = f"{file} {kernel} " + " ".join(f"{k}={v}" for k, v in options.items())
            # A CPU that takes a GPU's place is of no vendor.
            classes = {"all", device} | ({"amd", "intel", "nvidia"} if device == "gpu" else set())
            if not found:
                faults.append("not in kernel_variants.txt: " + text)
            elif is_default and not any(row.default_on & classes for row in found):
                faults.append(f"launched by default on a {device}, but not said so: {text}")
            for row in found:
                row.used = True
    if len(args.traces) > 1:
        faults += [f"in kernel_variants.txt, but never built: {row.file} {row.kernel}"
                   for row in rows if not row.used]
    print("\n".join(faults + [f"{len(rows)} rows, {len(faults)} faults"]))
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), ".."))
    parser.add_argument("--cache", default="offline-cache")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--chip", help="this one only")
    parser.add_argument("--all", action="store_true", help="also variants for CPUs on every chip")
    parser.add_argument("--only", help="files or kernels whose name holds this")
    parser.add_argument("--traces", nargs="+", metavar="FILE")
    args = parser.parse_args()
    return compare_traces(args) if args.traces else gate(args)


if __name__ == "__main__":
    sys.exit(main())
