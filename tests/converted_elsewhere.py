#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens what `videossm-cl convert` writes with the Python packages safetensors, torch and gguf.

usage: converted_elsewhere.py PROGRAM SOURCE_FOLDER MAKE_LORA

Every value is compared with that of the file it was made from, read by the same packages or, for
what other writers made, with theirs. Packages that are missing are named; without numpy nothing can
be done. Exit code 77: something was skipped, and nothing failed.
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("SKIP: no numpy; pip install numpy safetensors gguf torch")
    sys.exit(77)


def package(name):
    try:
        return __import__(name, fromlist=["x"])
    except ImportError:
        print(f"SKIP: no {name}")
        return None


safetensors = package("safetensors")
torch = package("torch")
gguf = package("gguf")
program, source, make_lora = sys.argv[1:4]
demo = pathlib.Path(source) / "models/demo"
forms = pathlib.Path(source) / "tests/golden/files/dit_forms"
n_passed = n_failed = 0


def check(what, holds):
    global n_passed, n_failed
    n_passed += bool(holds)
    n_failed += not holds
    if not holds and n_failed <= 20:
        print("FAIL:", what)


def convert(*arguments):
    subprocess.run([program, "convert", "-q", *map(str, arguments)], check=True)


# ---- Reading: name -> (type, shape, bytes of the values) ------------------------------------------

def read_safetensors(path):
    """Header and values as the package gives them; bfloat16, which numpy lacks, as raw bytes."""
    result = {}
    data = path.read_bytes()
    for name, entry in safetensors.deserialize(data):
        result[name] = (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
    return result


def read_torch(path):
    words = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    result = {}
    for name, tensor in torch.load(path, weights_only=True).items():
        raw = tensor.contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1).view(
            torch.uint8)
        result[name] = (words[tensor.dtype], tuple(tensor.shape), bytes(raw.flatten().tolist()))
    return result


def read_gguf(path):
    reader = gguf.GGUFReader(path)
    result = {}
    for tensor in reader.tensors:
        shape = tuple(int(n) for n in reversed(tensor.shape))
        field = reader.get_field("comfy.gguf.orig_shape." + tensor.name)
        if field is not None:
            check(f"{tensor.name}: its shape is an array of int32",
                  field.types == [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT32])
            shape = tuple(int(field.parts[i][0]) for i in field.data)
        check(f"{tensor.name}: at most 4 dimensions", len(tensor.shape) <= 4)
        result[tensor.name] = (tensor.tensor_type.name, shape, tensor.data.tobytes())
    return result


readers = {".safetensors": safetensors and read_safetensors, ".pt": torch and read_torch,
           ".gguf": gguf and read_gguf}


def read(path):
    return readers[path.suffix](path)


def same(what, got, want):
    check(f"{what}: the same names", got.keys() == want.keys())
    for name in got.keys() & want.keys():
        for i, part in enumerate(("type", "shape", "values")):
            check(f"{what}: {name}: the same {part}", got[name][i] == want[name][i])


# ---- Tests ----------------------------------------------------------------------------------------

def containers(folder):
    """One model through all containers; float32, bfloat16 and float16; three networks."""
    inputs = [forms / f"dit_{t}.safetensors" for t in ("f32", "bf16", "f16")]
    inputs += [demo / "diffusion_pytorch_model.safetensors"]
    for path in inputs:
        if not safetensors:
            return
        want = read_safetensors(path)
        for suffix in (s for s in readers if readers[s]):
            out = folder / ("container" + suffix)
            convert(path, "-o", out)
            same(f"{path.name} as {suffix}", read(out), want)
    for path in (demo / "Wan2.1_VAE.pth", demo / "models_t5_umt5-xxl-enc-bf16.pth"):
        if not torch:
            return
        want = read_torch(path)
        for suffix in (s for s in readers if readers[s]):
            out = folder / ("container" + suffix)
            convert(path, "-o", out)
            same(f"{path.name} as {suffix}", read(out), want)


def shards(folder):
    """What transformers and diffusers do with an index: the files it names hold the tensors."""
    import json
    if not safetensors:
        return
    path = forms / "dit_f32.safetensors"
    convert(path, "-o", folder / "diffusion_pytorch_model.safetensors", "--shard-size", "200K")
    index = json.loads((folder / "diffusion_pytorch_model.safetensors.index.json").read_text())
    want, got = read_safetensors(path), {}
    for file in sorted(set(index["weight_map"].values())):
        for name, entry in read_safetensors(folder / file).items():
            check(f"{name} is in {file}", index["weight_map"][name] == file)
            got[name] = entry
    same("shards", got, want)
    check("total_size", index["metadata"]["total_size"] == sum(len(v[2]) for v in want.values()))


def splits(folder):
    """The parts of a split GGUF, as llama.cpp counts and names them."""
    if not (safetensors and gguf):
        return
    path = forms / "dit_f32.safetensors"
    convert(path, "-o", folder / "split.gguf", "--shard-size", "200K")
    parts, want, got = sorted(folder.glob("split-*.gguf")), read_safetensors(path), {}
    kinds = gguf.GGUFValueType
    for i, part in enumerate(parts):
        check(f"{part.name}: its name", part.name == f"split-{i + 1:05}-of-{len(parts):05}.gguf")
        reader = gguf.GGUFReader(part)
        for key, kind, value in (("no", kinds.UINT16, i), ("count", kinds.UINT16, len(parts)),
                                 ("tensors.count", kinds.INT32, len(want))):
            field = reader.get_field("split." + key)
            check(f"{part.name}: split.{key}", field.types == [kind] and field.contents() == value)
        check(f"{part.name}: the model is described in the first",
              (reader.get_field("general.architecture") is not None) == (i == 0))
        got.update(read_gguf(part))
    check("several parts", len(parts) > 2)
    same("parts", got, want)


def demo_f32(folder):
    """The demo's transformer, which is float16, widened; every half is a float."""
    path, out = demo / "diffusion_pytorch_model.safetensors", folder / "demo_f32.safetensors"
    convert(path, "-o", out, "--dtype", "f32")
    halves, floats = read_safetensors(path), read_safetensors(out)
    for name, (dtype, _, data) in halves.items():
        if dtype == "F16":
            wide = np.frombuffer(data, dtype=np.float16).astype(np.float32)
            check(f"{name} widened", floats[name][2] == wide.tobytes())
    return out


def narrowed(folder):
    """float32 to the others, rounded as torch rounds."""
    if not (safetensors and torch):
        return
    path = demo_f32(folder)
    want = read_safetensors(path)
    for dtype, kind in (("bf16", torch.bfloat16), ("f16", torch.float16), ("f32", torch.float32)):
        out = folder / "narrowed.safetensors"
        convert(path, "-o", out, "--dtype", dtype)
        got = read_safetensors(out)
        for name, (_, shape, data) in want.items():
            exact = torch.frombuffer(bytearray(data), dtype=torch.float32).to(kind)
            check(f"{name} as {dtype}", got[name] == (dtype.upper(), shape, bytes(
                exact.view(torch.uint8).tolist())))


def quantised(folder):
    """Q8_0 byte for byte as gguf quantises; Q4_K as near as it should be, by gguf's decoder."""
    if not (safetensors and gguf):
        return
    path = demo_f32(folder)
    want = read_safetensors(path)
    kinds = gguf.GGMLQuantizationType
    for dtype in ("q8_0", "q4_k"):
        out = folder / "quantised.gguf"
        convert(path, "-o", out, "--dtype", dtype)
        seen = {}
        for tensor in gguf.GGUFReader(out).tensors:
            kind = tensor.tensor_type
            seen[kind.name] = seen.get(kind.name, 0) + 1
            exact = np.frombuffer(want[tensor.name][2], dtype=np.float32)
            if kind == kinds.F32:
                check(f"{tensor.name} stays", tensor.data.tobytes() == want[tensor.name][2])
                continue
            exact = exact.reshape(want[tensor.name][1])
            if kind == kinds.Q8_0:
                check(f"{tensor.name} as gguf makes it",
                      np.array_equal(gguf.quants.quantize(exact, kind), tensor.data))
            values = gguf.quants.dequantize(tensor.data, kind)
            faults = np.sqrt(np.mean((values.astype(np.float64) - exact) ** 2))
            typical = np.sqrt(np.mean(exact.astype(np.float64) ** 2))
            check(f"{tensor.name}: faults of {faults / typical:.4f}",
                  faults <= typical * (0.01 if kind == kinds.Q8_0 else 0.09))
        check(f"{dtype} is there", seen.get(dtype.upper(), 0) > 0)


def merged(folder):
    """A LoRA in float64, by numpy."""
    if not safetensors:
        return
    base = demo_f32(folder)
    lora, out = folder / "lora.safetensors", folder / "merged.safetensors"
    subprocess.run([make_lora, base, lora, "kohya", "8", "4", "1"], check=True)
    convert(base, "-o", out, "--lora", f"{lora}:0.5")
    before, after, low = (read_safetensors(p) for p in (base, out, lora))

    def matrix(entry):
        return np.frombuffer(entry[2], dtype=np.float32).reshape(entry[1]).astype(np.float64)

    n = 0
    for name, entry in before.items():
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        if key + ".alpha" not in low:
            check(f"{name} is untouched", after[name] == entry)
            continue
        down, up = (matrix(low[key + part]) for part in (".lora_down.weight", ".lora_up.weight"))
        exact = matrix(entry) + 0.5 * 4 / 8 * (up @ down)
        check(f"{name} is merged", np.max(np.abs(matrix(after[name]) - exact)) <= 1e-6)
        n += 1
    check("40 matrices are merged", n == 40)


with tempfile.TemporaryDirectory() as made:
    for test in (containers, shards, splits, narrowed, quantised, merged):
        test(pathlib.Path(made))
print(f"{n_passed} passed, {n_failed} failed")
sys.exit(1 if n_failed else 0 if all((safetensors, torch, gguf)) else 77)
