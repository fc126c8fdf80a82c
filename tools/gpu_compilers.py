# SPDX-License-Identifier: Apache-2.0
"""gpu_compilers.py - three vendors' compilers without their GPUs, and what their output says.

Every compiler here turns OpenCL C into machine code of one chip and reports for each kernel its
registers, spills and memory, how many fma, mul and add instructions there are, and what breaks the
rules of kernels/NUMERICS.md. Integer division is built from floating-point instructions on AMD and
Intel; these are recognised (by their constants, by the rounding mode) and left out of all counts.
Memory is counted in bytes: spills and local as each compiler does it (Intel's spills are those of a
whole hardware thread), private memory for one work-item.
"""
import glob
import math
import os
import re
import shutil
import subprocess
from collections import Counter

OPTIONS = ["-cl-std=CL1.2"]  # as in cl/program.c
BITCODE = "/usr/lib/x86_64-linux-gnu/amdgcn/bitcode"
LIBCLC = "/usr/lib/clc/nvptx64--nvidiacl.bc"

FAST_FLAGS = re.compile(r" = (?:tail )?(?:f\w+|call|select|phi)\b[^%@]*"
                        r"\b(fast|nnan|ninf|nsz|arcp|contract|afn|reassoc)\b")
FLOAT_OP = re.compile(r" = (?:tail )?(fadd|fsub|fmul|fdiv|frem|call) [^%@]*?"
                      r"(?:<(\d+) x float>|\bfloat\b)(?: @(llvm\.[a-z0-9_.]+))?")
# minnum and maxnum come from conversions to small integers; calls of fmin are found in the source.
EXACT_INTRINSICS = {"fma", "rint", "floor", "trunc", "round", "fabs", "copysign", "vector",
                    "experimental", "minnum", "maxnum"}
NEGATION = re.compile(r" = fsub [^%]*0\.0+e\+00")
AMD_DIVISION = re.compile(r"0x(4f800000|cf800000|5f7ffffc|2f800000|4f7ffffe)")


class CompileError(Exception):
    """A compiler refused; the text is its first complaint."""


class Kernel:
    """What became of one kernel."""

    def __init__(self, name):
        self.name = name
        self.registers = self.lanes = self.spills = self.private = self.local = 0
        self.group = None  # items of a work-group, where the source fixes it
        self.counts = Counter()  # fma, mul, add in the machine code
        self.findings = []


def run(command, **kwargs):
    """Output of a command; a failure is a CompileError."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **kwargs)
    output = done.stdout + done.stderr
    if done.returncode:
        lines = [line for line in output.splitlines() if "error" in line.lower()]
        raise CompileError((lines or output.splitlines() or ["no message"])[0].strip())
    return output


def check_ir(text):
    """Counts of LLVM IR (lanes of fma, mul, add) and what in it may change bits."""
    counts, findings = Counter(), []
    for line in text.splitlines():
        flag = FAST_FLAGS.search(line)
        if flag:
            findings.append("LLVM IR lets the compiler change bits: " + flag.group(1))
        if "llvm.fmuladd" in line and " = " in line:
            findings.append("LLVM IR leaves a*b+c to the compiler (fmuladd)")
            continue
        op = FLOAT_OP.search(line)
        if not op or NEGATION.search(line):
            continue
        what, lanes, intrinsic = op.group(1), int(op.group(2) or 1), op.group(3)
        if what in ("fdiv", "frem"):
            findings.append("inexact " + what)
        elif what == "call" and intrinsic:
            name = intrinsic.split(".")[1]
            if name not in EXACT_INTRINSICS:
                findings.append("inexact function " + intrinsic)
            counts[name] += lanes
        elif what != "call":
            counts[{"fmul": "mul"}.get(what, "add")] += lanes
    return counts, findings


def check_fusing(kernels, ir_counts):
    """Every fma of the IR must be one instruction, and nothing else may become one. Code generators
    merge equal blocks and compute values twice, so a count alone says little; but a product or sum
    that went into an fma is missing elsewhere, and one that came of an fma is too many."""
    counts = sum((kernel.counts for kernel in kernels), Counter())
    fewer = [what for what in ("mul", "add") if counts[what] < ir_counts[what]]
    if counts["fma"] > ir_counts["fma"] and fewer:
        what = "fused"
    elif counts["fma"] < ir_counts["fma"] and len(fewer) < 2:
        what = "an fma is not one instruction"
    else:
        return
    kernels[0].findings.append(
        what + ": fma, mul, add are {fma}, {mul}, {add}".format_map(counts) +
        " but {fma}, {mul}, {add} in LLVM IR".format_map(ir_counts))


def set_groups(kernels, ir):
    """Sizes of work-groups where the source fixes them."""
    for kernel in kernels:
        node = re.search(rf"@{kernel.name}\(.*!reqd_work_group_size (!\d+)", ir)
        if node:
            sizes = re.search(rf"^{node.group(1)} = !{{(.*)}}", ir, re.M).group(1)
            kernel.group = math.prod(int(size) for size in re.findall(r"i32 (\d+)", sizes))


def clang_ir(source, folder, target, extra, options):
    """Without the vectoriser of straight code: it computes pairs of which one half is never used, and
    the counts of fma would say nothing."""
    path = os.path.join(folder, "kernel.ll")
    run(["clang-15", "-x", "cl", *OPTIONS, "-O3", "-Xclang", "-finclude-default-header", "-w",
         "-fno-slp-vectorize", "-target", target, *extra, *options, "-S", "-emit-llvm", "-o", path, source])
    with open(path) as file:
        return path, file.read()


class Amd:
    vendor, knows_groups = "amd", True
    flushing_options = ["-cl-denorms-are-zero"]

    def __init__(self, chip):
        self.chip, self.takes_all = chip, chip == "gfx1030"
        # The older one leaves gfx1100 half of its registers.
        self.llc = "llc-19" if chip == "gfx1100" else "llc-15"

    def missing(self):
        for tool in ("clang-15", self.llc):
            if not shutil.which(tool):
                return tool
        return None if os.path.exists(BITCODE + "/opencl.bc") else "rocm-device-libs"

    def version(self):
        return "\n".join(run([tool, "--version"]) for tool in ("clang-15", self.llc))

    def libraries(self):
        if self.chip != "gfx1100":
            return ["--rocm-device-lib-path=" + BITCODE]
        # The bitcode package knows no gfx1100; that of the closest chip is the same where it
        # matters here (fma, conversions, vector loads).
        names = ("opencl", "ocml", "ockl", "oclc_correctly_rounded_sqrt_on", "oclc_daz_opt_off",
                 "oclc_finite_only_off", "oclc_isa_version_1036", "oclc_unsafe_math_off",
                 "oclc_wavefrontsize64_off", "oclc_abi_version_400")
        flags = ["-nogpulib"]
        for name in names:
            flags += ["-Xclang", "-mlink-builtin-bitcode", "-Xclang", f"{BITCODE}/{name}.bc"]
        return flags

    def compile(self, source, folder, options):
        ir_path, ir = clang_ir(source, folder, "amdgcn-amd-amdhsa",
                               ["-mcpu=" + self.chip, *self.libraries()], options)
        if self.llc != "llc-15":
            # It takes no function with a list of features that lacks what it knows.
            with open(ir_path, "w") as file:
                file.write(re.sub(r'"target-features"="[^"]*"', "", ir))
        assembly = os.path.join(folder, "kernel.s")
        run([self.llc, "-O3", ir_path, "-o", assembly])
        with open(assembly) as file:
            text = file.read()
        kernels = [self.read(*match.groups()) for match in re.finditer(
            r"^(\w+):\s*; @\1\n(.*?^\s*\.end_amdhsa_kernel)", text, re.M | re.S)]
        for kernel in kernels:
            meta = next(item for item in re.split(r"^  - ", text, flags=re.M)
                        if re.search(r"^    \.name: +" + kernel.name + "$", item, re.M))
            number = {key: int(value) for key, value in re.findall(r"^    \.(\w+): +(\d+)$",
                                                                   meta, re.M)}
            kernel.registers, kernel.lanes = number["vgpr_count"], number["wavefront_size"]
            kernel.spills = 4 * number["vgpr_spill_count"]
            # Spilled registers may share a place.
            kernel.private = max(0, number["private_segment_fixed_size"] - kernel.spills)
            kernel.local = number["group_segment_fixed_size"]
        ir_counts, findings = check_ir(ir)
        kernels[0].findings += findings
        check_fusing(kernels, ir_counts)
        set_groups(kernels, ir)
        return kernels

    @staticmethod
    def read(name, body):
        kernel = Kernel(name)
        if not re.search(r"\.amdhsa_float_denorm_mode_32 3\b", body):
            kernel.findings.append("denormals are flushed (float_denorm_mode_32)")
        if re.search(r"\bs_swappc_b64\b", body):
            kernel.findings.append("a function is called, not inlined")
        for line in body.splitlines():
            if AMD_DIVISION.search(line):
                continue
            for part in line.split("::"):
                op = re.match(r"\s*v_(pk_|dual_)?(add|subrev|sub|mul|fma|mac|mad)\w*?_f32", part)
                if not op:
                    continue
                what = {"sub": "add", "subrev": "add", "mac": "fma", "mad": "fma"}.get(
                    op.group(2), op.group(2))
                kernel.counts[what] += 2 if op.group(1) == "pk_" else 1
                if op.group(2) in ("mac", "mad"):
                    kernel.findings.append("v_" + op.group(2) + ": rounds twice and flushes")
        return kernel


class Nvidia:
    vendor, knows_groups = "nvidia", True
    # This clang takes no notice of -cl-denorms-are-zero for NVIDIA.
    flushing_options = ["-Xclang", "-fdenormal-fp-math-f32=preserve-sign"]

    def __init__(self, chip, ptxas):
        self.chip, self.takes_all, self.ptxas = chip, chip == "sm_90", ptxas

    def missing(self):
        for tool in ("clang-15", "llc-15"):
            if not shutil.which(tool):
                return tool
        if not os.path.exists(LIBCLC):
            return "libclc-15"
        return None if self.ptxas else "ptxas (tools/get_ptxas.sh)"

    def version(self):
        return run([self.ptxas, "--version"]).splitlines()[-1]

    def compile(self, source, folder, options):
        # This clang knows chips up to sm_86; ptxas takes their PTX to any later one.
        ir_path, ir = clang_ir(source, folder, "nvptx64-nvidia-nvcl",
                               ["-Xclang", "-mlink-builtin-bitcode", "-Xclang", LIBCLC,
                                "-Xclang", "-target-feature", "-Xclang", "+ptx70",
                                "-Xclang", "-target-cpu", "-Xclang", "sm_80"], options)
        path = os.path.join(folder, "kernel.ptx")
        run(["llc-15", "-O3", "-mcpu=sm_80", "-mattr=+ptx70", ir_path, "-o", path])
        with open(path) as file:
            ptx = re.sub(r"^\.target .*", ".target sm_80", file.read(), flags=re.M)
        with open(path, "w") as file:
            file.write(ptx)
        log = run([self.ptxas, "-v", "-arch=" + self.chip, path, "-o", path + ".cubin"])
        kernels = [self.read(*match.groups()) for match in re.finditer(
            r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", log, re.S)]
        for kernel in kernels:
            body = re.search(r"\.entry " + kernel.name + r"\(.*?^}", ptx, re.M | re.S).group(0)
            self.check_ptx(kernel, body)
        # Functions that several kernels may call; declarations of them have no body.
        for body in re.findall(r"^(?:\.\w+ )*\.func\b[^;{]*^{.*?^}", ptx, re.M | re.S):
            self.check_ptx(kernels[0], body)
        ir_counts, findings = check_ir(ir)
        kernels[0].findings += findings
        check_fusing(kernels, ir_counts)
        set_groups(kernels, ir)
        return kernels

    @staticmethod
    def check_ptx(kernel, body):
        """ptxas never fuses instructions that name their rounding."""
        for op in re.findall(r"\S+\.ftz\b\S*", body):
            kernel.findings.append("denormals are flushed: " + op)
        for op in re.findall(r"^\s*(?:@\S+ )?([a-z0-9]+(?:\.[a-z0-9]+)*\.f32)\b", body, re.M):
            parts = op.split(".")
            if "approx" in parts or parts[0] in ("div", "sqrt", "rcp"):
                kernel.findings.append("inexact " + op)
            if parts[0] in ("add", "sub", "mul", "fma", "mad"):
                if "rn" not in parts:
                    kernel.findings.append("may be fused: " + op)
                kernel.counts[{"sub": "add", "mad": "fma"}.get(parts[0], parts[0])] += 1

    @staticmethod
    def read(name, log):
        kernel = Kernel(name)

        def number(pattern):
            match = re.search(pattern, log)
            return int(match.group(1)) if match else 0
        kernel.registers = number(r"Used (\d+) registers")
        kernel.spills = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
        kernel.private = number(r"(\d+) bytes stack frame")
        kernel.local = number(r"(\d+) bytes smem")
        kernel.lanes = 32
        return kernel


class Intel:
    vendor, knows_groups = "intel", False
    flushing_options = ["-cl-denorms-are-zero"]

    def __init__(self, chip):
        self.chip, self.takes_all = chip, False

    def missing(self):
        return None if shutil.which("ocloc") else "ocloc (intel-opencl-icd)"

    def version(self):
        lines = run(["dpkg-query", "-W", "-f", "${Version} ", "intel-opencl-icd", "libigc1"]) \
            if shutil.which("dpkg-query") else ""
        return "ocloc " + lines

    def compile(self, source, folder, options):
        """A kernel that spills much is compiled again, its arrays in private memory and its loops
        not unrolled. The machine code is that of the last attempt, spills those of the worst."""
        dump = os.path.join(folder, "dump", "")
        environment = dict(os.environ, IGC_ShaderDumpEnable="1", IGC_DumpToCustomDir=dump,
                           IGC_ShaderDumpFilter=r".*(\.asm|codegen.*\.ll)$")
        run(["ocloc", "compile", "-file", source, "-device", self.chip, "-options",
             " ".join(OPTIONS + options), "-out_dir", folder], env=environment)
        by_name = {}
        for path in sorted(glob.glob(dump + "*.asm"), key=self.attempt):
            with open(path) as file:
                text = file.read()
            kernel = self.read(text, self.codegen_ir(dump, path))
            kernel.lanes = int(re.search(r"_simd(\d+)_", path).group(1))
            before = by_name.get(kernel.name, kernel)
            kernel.spills = max(kernel.spills, before.spills)
            kernel.private = max(kernel.private, before.private)
            by_name[kernel.name] = kernel
        if not by_name:
            raise CompileError("the compiler gave no assembly")
        return list(by_name.values())

    @staticmethod
    def attempt(path):
        match = re.search(r"_(\d+)_simd\d+_entry", path)
        return int(match.group(1)) if match else 0

    def codegen_ir(self, dump, asm_path):
        attempt = self.attempt(asm_path)
        path, = glob.glob(dump + (f"*_codegen_{attempt}.ll" if attempt else "*_codegen.ll"))
        with open(path) as file:
            return file.read()

    @staticmethod
    def read(text, ir):
        name = re.search(r"^//\.kernel (\S+)", text, re.M).group(1).strip('"')
        kernel = Kernel(name)
        kernel.registers = int(re.search(r"numGRF=(\d+)", text).group(1))
        spill = re.search(r"^//\.spill size (\d+)", text, re.M)
        kernel.spills = int(spill.group(1)) if spill else 0
        kernel.local = sum(map(size_in_ir, re.findall(
            rf"^@{name}\.\S+ = [^\n]*\baddrspace\(3\) global (.*?) undef", ir, re.M)))
        place = re.search(rf'"PrivateMemoryPerFGMap\[(\d+)\]".*@{name}}}', ir)
        if place:
            kernel.private = int(re.search(
                rf'"PrivateMemoryPerFGValue\[{place.group(1)}\]", i32 (\d+)', ir).group(1))
        mode = re.search(r"\bor \(1\|M0\)\s+cr0\S*\s+cr0\S*\s+(0x[0-9A-F]+)", text)
        if not mode or not int(mode.group(1), 16) & 0x80:
            kernel.findings.append("denormals are flushed (cr0)")
        exact = True
        for line in text.splitlines():
            if re.search(r"\bxor \(1\|M0\)\s+cr0.*\b0x30\b", line):
                exact = not exact  # rounding to zero and back: integer division
            op = re.match(r"\s*(?:\([^)]*\)\s*)*(mad|add|mul)\s.*\(\d+\|M0\).*:f\b", line)
            if not op or not exact:
                continue
            kernel.counts["fma" if op.group(1) == "mad" else op.group(1)] += 1
        body = re.search(rf"^define [^\n]*@{name}\(.*?^}}", ir, re.M | re.S).group(0)
        check_fusing([kernel], check_ir(body)[0])
        return kernel


def size_in_ir(text):
    """Bytes of a type in LLVM IR: arrays and vectors of numbers."""
    match = re.fullmatch(r"((?:[\[<]\d+ x )*)(float|i8|i16|i32|i64)[\]>]*", text)
    if not match:
        raise CompileError("unknown type in local memory: " + text)
    size = {"float": 4, "i8": 1, "i16": 2, "i32": 4, "i64": 8}[match.group(2)]
    for length in re.findall(r"\d+", match.group(1)):
        size *= int(length)
    return size


def find_ptxas(cache):
    candidates = [shutil.which("ptxas"), "/usr/local/cuda/bin/ptxas", os.path.join(cache, "ptxas")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def all_targets(cache):
    ptxas = find_ptxas(cache)
    return ([Amd(chip) for chip in ("gfx906", "gfx90a", "gfx1030", "gfx1100")] +
            [Intel(chip) for chip in ("tgllp", "dg2", "pvc")] +
            [Nvidia(chip, ptxas) for chip in ("sm_80", "sm_90")])
