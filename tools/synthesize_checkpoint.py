#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a model folder of a release's names, shapes, types and containers with random numbers.

    python3 tools/synthesize_checkpoint.py FOLDER             Wan2.1-T2V-1.3B with a hybrid memory
    python3 tools/synthesize_checkpoint.py FOLDER --layers 2 --text-layers 1 --memory none

For trying real sizes where the weights themselves cannot be had: a video made with them is noise, but
its memory and time are the real ones. The same seed gives the same files. Tensors are made and
written a slab at a time, so 17 GB of files need no more memory than a slab. Needs numpy.
"""
import argparse
import collections
import hashlib
import io
import json
import math
import os
import pickle
import shutil
import sys
import types
import zipfile

import numpy as np

SLAB = 1 << 22  # elements made at a time
ALIGNMENT = 64  # of a tensor in a torch archive
WIDTH, FFN, FREQ, TEXT, PATCH = 1536, 8960, 256, 4096, (1, 2, 2)
HEADS = 12
TEXT_FFN, TEXT_HEADS, VOCABULARY, BUCKETS = 10240, 64, 256384, 32
LATENT = 16

# Ends of names whose numbers are not "normal, as wide as keeps a sum over the inputs at 1": mean and
# deviation. UMT5 does not scale its scores, its queries' weights do.
DISTRIBUTIONS = (
    (".A_log", 1.0, 0.5),
    (".dt_bias", -4.0, 1.0),
    (".router.weight", 1.0, 0.2),
    ("bias", 0.0, 0.02),
    ("modulation", 0.0, WIDTH**-0.5),
    ("norm.weight", 1.0, 0.02),
    ("norm1.weight", 1.0, 0.02),
    ("norm2.weight", 1.0, 0.02),
    ("norm3.weight", 1.0, 0.02),
    ("norm_q.weight", 1.0, 0.02),
    ("norm_k.weight", 1.0, 0.02),
    ("gamma", 1.0, 0.02),
    ("token_embedding.weight", 0.0, 1.0),
    (".attn.q.weight", 0.0, (TEXT * TEXT // TEXT_HEADS) ** -0.5),
)


def linear(name, outputs, inputs):
    return [(name + ".weight", [outputs, *inputs]), (name + ".bias", [outputs])]


# ---- The three networks ---------------------------------------------------------------------------


def transformer(n_layers, memory):
    """Names and shapes of diffusion_pytorch_model.safetensors, and of the memory's tensors."""
    d = WIDTH
    yield from linear("patch_embedding", d, [LATENT, *PATCH])
    yield from linear("text_embedding.0", d, [TEXT])
    yield from linear("text_embedding.2", d, [d])
    yield from linear("time_embedding.0", d, [FREQ])
    yield from linear("time_embedding.2", d, [d])
    yield from linear("time_projection.1", 6 * d, [d])
    for i in range(n_layers):
        block = f"blocks.{i}."
        yield block + "modulation", [1, 6, d]
        for attention in ("self_attn.", "cross_attn."):
            for part in "qkvo":
                yield from linear(block + attention + part, d, [d])
            yield block + attention + "norm_q.weight", [d]
            yield block + attention + "norm_k.weight", [d]
        yield block + "norm3.weight", [d]
        yield block + "norm3.bias", [d]
        yield from linear(block + "ffn.0", FFN, [d])
        yield from linear(block + "ffn.2", d, [FFN])
        if memory == "none":
            continue
        gates = HEADS if memory == "head" else d
        room = block + "self_attn.memory."
        yield from linear(room + "b_proj", gates, [d])
        yield room + "a_proj.weight", [gates, d]
        yield room + "A_log", [gates]
        yield room + "dt_bias", [gates]
        yield from linear(room + "g_proj", d, [d])
        yield room + "o_norm.weight", [d // HEADS]
        yield room + "router.weight", [d]
        yield room + "router.bias", [d]
    yield "head.modulation", [1, 2, d]
    yield from linear("head.head", LATENT * math.prod(PATCH), [d])


def text_encoder(n_layers):
    """Names and shapes of models_t5_umt5-xxl-enc-bf16.pth."""
    yield "token_embedding.weight", [VOCABULARY, TEXT]
    for i in range(n_layers):
        block = f"blocks.{i}."
        yield block + "norm1.weight", [TEXT]
        for part in "qkvo":
            yield block + f"attn.{part}.weight", [TEXT, TEXT]
        yield block + "norm2.weight", [TEXT]
        yield block + "ffn.gate.0.weight", [TEXT_FFN, TEXT]
        yield block + "ffn.fc1.weight", [TEXT_FFN, TEXT]
        yield block + "ffn.fc2.weight", [TEXT, TEXT_FFN]
        yield block + "pos_embedding.embedding.weight", [BUCKETS, TEXT_HEADS]
    yield "norm.weight", [TEXT]


def residual(name, inputs, outputs):
    yield name + ".residual.0.gamma", [inputs, 1, 1, 1]
    yield from linear(name + ".residual.2", outputs, [inputs, 3, 3, 3])
    yield name + ".residual.3.gamma", [outputs, 1, 1, 1]
    yield from linear(name + ".residual.6", outputs, [outputs, 3, 3, 3])
    if inputs != outputs:
        yield from linear(name + ".shortcut", outputs, [inputs, 1, 1, 1])


def middle(name, width):
    yield from residual(name + ".0", width, width)
    yield name + ".1.norm.gamma", [width, 1, 1]
    yield from linear(name + ".1.to_qkv", 3 * width, [width, 1, 1])
    yield from linear(name + ".1.proj", width, [width, 1, 1])
    yield from residual(name + ".2", width, width)


def vae(base=96):
    """Names and shapes of Wan2.1_VAE.pth."""
    widths = [base, base, 2 * base, 4 * base, 4 * base]
    yield from linear("encoder.conv1", base, [3, 3, 3, 3])
    at = 0
    for stage in range(4):
        inputs, outputs = widths[stage], widths[stage + 1]
        for _ in range(2):
            yield from residual(f"encoder.downsamples.{at}", inputs, outputs)
            inputs, at = outputs, at + 1
        if stage < 3:
            yield from linear(f"encoder.downsamples.{at}.resample.1", outputs, [outputs, 3, 3])
            if stage > 0:
                yield from linear(f"encoder.downsamples.{at}.time_conv", outputs, [outputs, 3, 1, 1])
            at += 1
    top = widths[-1]
    yield from middle("encoder.middle", top)
    yield "encoder.head.0.gamma", [top, 1, 1, 1]
    yield from linear("encoder.head.2", 2 * LATENT, [top, 3, 3, 3])
    yield from linear("conv1", 2 * LATENT, [2 * LATENT, 1, 1, 1])
    yield from linear("conv2", LATENT, [LATENT, 1, 1, 1])
    yield from linear("decoder.conv1", top, [LATENT, 3, 3, 3])
    yield from middle("decoder.middle", top)
    at, inputs = 0, top
    for stage, outputs in enumerate(reversed(widths[1:])):
        for _ in range(3):
            yield from residual(f"decoder.upsamples.{at}", inputs, outputs)
            inputs, at = outputs, at + 1
        if stage < 3:
            yield from linear(f"decoder.upsamples.{at}.resample.1", outputs // 2, [outputs, 3, 3])
            if stage < 2:
                yield from linear(f"decoder.upsamples.{at}.time_conv", 2 * outputs, [outputs, 3, 1, 1])
            inputs, at = outputs // 2, at + 1
    yield "decoder.head.0.gamma", [base, 1, 1, 1]
    yield from linear("decoder.head.2", 3, [base, 3, 3, 3])


# ---- Numbers --------------------------------------------------------------------------------------


def distribution(name, shape):
    for end, mean, deviation in DISTRIBUTIONS:
        if name.endswith(end):
            return mean, deviation
    return 0.0, math.prod(shape[1:]) ** -0.5


def slabs(seed, name, shape, dtype):
    """The bytes of a tensor, slab by slab."""
    key = hashlib.sha256(f"{seed} {name}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=np.frombuffer(key, np.uint64)))
    mean, deviation = distribution(name, shape)
    left = math.prod(shape)
    while left:
        values = generator.standard_normal(min(left, SLAB), np.float32)
        values *= np.float32(deviation)
        values += np.float32(mean)
        left -= len(values)
        if dtype == "bf16":  # to nearest; what is exactly between goes up, which is never
            values = ((values.view(np.uint32) + 0x8000) >> 16).astype(np.uint16)
        yield values.tobytes()


BYTES = {"f32": 4, "bf16": 2}


# ---- Containers -----------------------------------------------------------------------------------


def write_safetensors(file, tensors, seed, dtype):
    header, at = {}, 0
    for name, shape in sorted(tensors):
        n = math.prod(shape) * BYTES[dtype]
        header[name] = {
            "dtype": {"f32": "F32", "bf16": "BF16"}[dtype],
            "shape": shape,
            "data_offsets": [at, at + n],
        }
        at += n
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name, entry in header.items():
        for slab in slabs(seed, name, entry["shape"], dtype):
            file.write(slab)


def torch_stand_ins():
    """What a pickle of tensors refers to by name, as modules that pickle can look the names up in."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "BFloat16Storage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_):
        raise NotImplementedError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    sys.modules.update({"torch": torch, "torch._utils": utils})
    return torch, utils


Storage = collections.namedtuple("Storage", "kind key n")
Tensor = collections.namedtuple("Tensor", "storage shape")


ZIP64_BYTES = 20  # of a header's sizes in 64 bits


def padding(at):
    """A field "FB" behind which the data, which would begin at `at`, is aligned, as torch does it."""
    n = -(at + 4) % ALIGNMENT
    return b"FB" + n.to_bytes(2, "little") + b"Z" * n


def write_torch(file, tensors, seed, dtype):
    torch, utils = torch_stand_ins()
    kind = {"f32": torch.FloatStorage, "bf16": torch.BFloat16Storage}[dtype]

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                return ("storage", thing.kind, thing.key, "cpu", thing.n)
            return None

        def reducer_override(self, thing):
            if not isinstance(thing, Tensor):
                return NotImplemented
            strides = tuple(math.prod(thing.shape[i + 1 :]) for i in range(len(thing.shape)))
            arguments = (thing.storage, 0, tuple(thing.shape), strides, False)
            return utils._rebuild_tensor_v2, (*arguments, collections.OrderedDict())

    tensors = list(tensors)
    content = collections.OrderedDict(
        (name, Tensor(Storage(kind, str(i), math.prod(shape)), shape))
        for i, (name, shape) in enumerate(tensors)
    )
    text = io.BytesIO()
    Pickler(text, protocol=2).dump(content)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", text.getvalue())
        archive.writestr("archive/byteorder", b"little")
        for i, (name, shape) in enumerate(tensors):
            info = zipfile.ZipInfo(f"archive/data/{i}")
            info.extra = padding(archive.fp.tell() + 30 + len(info.filename) + ZIP64_BYTES)
            with archive.open(info, "w", force_zip64=True) as entry:
                for slab in slabs(seed, name, shape, dtype):
                    entry.write(slab)
        archive.writestr("archive/version", b"3\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--layers", type=int, default=30, help="of the transformer (30)")
    parser.add_argument("--text-layers", type=int, default=24, help="of the text encoder (24)")
    parser.add_argument("--memory", choices=("head", "channel", "none"), default="head",
                        help="gates of the hybrid memory (head), or a release without one")
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16",
                        help="of the transformer (bf16); the encoder is bf16, the VAE f32")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seed = arguments.seed
    tokenizer = os.path.join(arguments.folder, "google", "umt5-xxl")
    os.makedirs(tokenizer, exist_ok=True)

    def path(name):
        return os.path.join(arguments.folder, name)

    config = {
        "_class_name": "WanModel", "model_type": "t2v", "patch_size": PATCH, "dim": WIDTH,
        "ffn_dim": FFN, "num_heads": HEADS, "num_layers": arguments.layers, "freq_dim": FREQ,
        "text_dim": TEXT, "text_len": 512, "in_dim": LATENT, "out_dim": LATENT, "eps": 1e-06,
    }
    with open(path("config.json"), "w") as file:
        json.dump(config, file, indent=2)
    with open(path("diffusion_pytorch_model.safetensors"), "wb") as file:
        write_safetensors(file, transformer(arguments.layers, arguments.memory), seed, arguments.dtype)
    with open(path("Wan2.1_VAE.pth"), "wb") as file:
        write_torch(file, vae(), seed, "f32")
    with open(path("models_t5_umt5-xxl-enc-bf16.pth"), "wb") as file:
        write_torch(file, text_encoder(arguments.text_layers), seed, "bf16")
    # The tokenizer is no network: the demo's stands in, whose words are fewer.
    demo = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "demo")
    shutil.copy(os.path.join(demo, "google", "umt5-xxl", "spiece.model"), tokenizer)


if __name__ == "__main__":
    main()
