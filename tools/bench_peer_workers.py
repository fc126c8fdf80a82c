# SPDX-License-Identifier: Apache-2.0
"""The peers of bench_peers.py, each in a process of its own.

    bench_peer_workers.py torch|diffusers|openblas|clblast THREADS wall|processor DEVICE

Says {"version": ...} or {"missing": reason}, then answers each line {"op": ..., "seconds": ...} with
the median milliseconds of a run, or null for an operation it does not have."""
import ctypes
import json
import os
import random
import statistics
import sys
import time

NAME, THREADS, CLOCK, DEVICE = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def now():
    return time.process_time() / THREADS if CLOCK == "processor" else time.perf_counter()


def once(run):
    start = now()
    run()
    return 1e3 * (now() - start)


def measure(run, seconds):
    """Median milliseconds: once to warm up, then for so many seconds by the clock on the wall. Of a
    pair, the time of the first without that of the second, which is a part of it."""
    run, part = run if isinstance(run, tuple) else (run, None)
    (part or run)()
    times, begin = [], time.perf_counter()
    while not times or (time.perf_counter() - begin < seconds and len(times) < 100):
        times.append(once(run) - (once(part) if part else 0))
    return statistics.median(times)


def split(op):
    family, sizes, *words = op.split(":")
    if "rms" in words:
        family += "-rms"
    return family, [int(size) for size in sizes.split("x")]


class Missing(Exception):
    pass


# ---- PyTorch, as its users would write it --------------------------------------------------------

class Torch:
    def __init__(self):
        import torch
        self.torch = torch
        torch.set_num_threads(THREADS)
        torch.set_grad_enabled(False)
        torch.manual_seed(1)
        self.version = f"PyTorch {torch.__version__}"

    def prepare(self, family, sizes):
        prepare = getattr(self, family.replace("-", "_"), None)
        return prepare(*sizes) if prepare else None

    def linear(self, rows, n_out, n_in):
        linear = self.torch.nn.functional.linear
        x, w = self.torch.randn(rows, n_in), self.torch.randn(n_out, n_in)
        b = self.torch.randn(n_out)
        return lambda: linear(x, w, b)

    def attention(self, heads, queries, keys, width):
        attention = self.torch.nn.functional.scaled_dot_product_attention
        q = self.torch.randn(1, heads, queries, width)
        k, v = self.torch.randn(2, 1, heads, keys, width)
        return lambda: attention(q, k, v)

    def conv3d(self, n_in, n_out, frames, rows, columns):
        torch = self.torch
        last = torch.channels_last_3d
        x = torch.randn(1, n_in, frames + 2, rows, columns).to(memory_format=last)
        w = torch.randn(n_out, n_in, 3, 3, 3).to(memory_format=last)
        b = torch.randn(n_out)
        return lambda: torch.nn.functional.conv3d(x, w, b, padding=(0, 1, 1))

    def norm(self, rows, channels):
        norm = self.torch.nn.functional.layer_norm
        x = self.torch.randn(rows, channels)
        shift, scale = self.torch.randn(2, channels)
        return lambda: norm(x, (channels,), eps=1e-6) * (1 + scale) + shift

    def rms(self, rows, channels):
        x, w = self.torch.randn(rows, channels), self.torch.randn(channels)
        return lambda: x * self.torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w

    def channel_norm(self, pixels, channels):
        functional = self.torch.nn.functional
        x, gamma = self.torch.randn(pixels, channels), self.torch.randn(channels)
        return lambda: functional.silu(functional.normalize(x, dim=-1) * channels**0.5 * gamma)

    def rope(self, frames, rows, columns, heads, width):
        torch = self.torch
        tokens = frames * rows * columns
        x = torch.randn(tokens, heads, width)
        return self.turning(lambda: x, tokens, heads, width)

    def rope_rms(self, frames, rows, columns, heads, width):
        tokens = frames * rows * columns
        return self.turning(self.rms(tokens, heads * width), tokens, heads, width)

    def turning(self, x, tokens, heads, width):
        torch = self.torch
        turn = torch.polar(torch.ones(tokens, 1, width // 2), torch.randn(tokens, 1, width // 2))
        pairs = (tokens, heads, width // 2, 2)
        return lambda: torch.view_as_real(
            torch.view_as_complex(x().reshape(pairs)) * turn).flatten(2)


class Diffusers:
    """The networks of the 1.3B model on PyTorch, with random weights in float32."""

    def __init__(self):
        import diffusers
        import torch
        self.diffusers, self.torch = diffusers, torch
        torch.set_num_threads(THREADS)
        torch.set_grad_enabled(False)
        torch.manual_seed(1)
        self.version = f"diffusers {diffusers.__version__} on PyTorch {torch.__version__}"

    def prepare(self, family, sizes):
        prepare = {"dit": self.dit, "vae": self.vae}.get(family)
        return prepare(*sizes) if prepare else None

    def dit(self, frames, rows, columns, layers):
        model = self.diffusers.WanTransformer3DModel(
            num_attention_heads=12, attention_head_dim=128, in_channels=16, out_channels=16,
            text_dim=4096, freq_dim=256, ffn_dim=8960, num_layers=layers).eval()
        latents = self.torch.randn(1, 16, frames, rows, columns)
        timestep, text = self.torch.tensor([500.0]), self.torch.randn(1, 512, 4096)
        return lambda: model(latents, timestep, text)

    def vae(self, frames, rows, columns, base):
        """A chunk in the middle of a video, as ours is: what comes after a first latent frame."""
        model = self.diffusers.AutoencoderKLWan(base_dim=base).eval()
        latents = self.torch.randn(1, 16, 1 + frames, rows, columns)

        def first():
            model.decode(latents[:, :, :1])

        def all_frames():
            model.decode(latents)
        return all_frames, first


# ---- C libraries ---------------------------------------------------------------------------------

def load(*names):
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    raise Missing(f"{names[0]} is not installed")


def floats(n):
    """n float32 of both signs, without a library for arrays."""
    part = [random.uniform(-1, 1) for _ in range(min(n, 4099))]
    array = (ctypes.c_float * n)()
    block = (ctypes.c_float * len(part))(*part)
    for at in range(0, n, len(part)):
        size = min(len(part), n - at) * ctypes.sizeof(ctypes.c_float)
        ctypes.memmove(ctypes.byref(array, at * 4), block, size)
    return array


ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112


class OpenBlas:
    def __init__(self):
        self.library = load("libopenblas.so.0", "libopenblas.so")
        self.library.openblas_set_num_threads(THREADS)
        self.library.openblas_get_config.restype = ctypes.c_char_p
        self.version = self.library.openblas_get_config().decode()

    def prepare(self, family, sizes):
        if family != "linear":
            return None
        rows, n_out, n_in = sizes
        x, w, y = floats(rows * n_in), floats(n_out * n_in), floats(rows * n_out)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        return lambda: self.library.cblas_sgemm(ROW_MAJOR, PLAIN, TRANSPOSED, rows, n_out, n_in,
                                                one, x, n_in, w, n_in, zero, y, n_out)


class ClBlast:
    """On the OpenCL device whose name the program has told."""

    def __init__(self):
        self.blast = load("libclblast.so.1", "libclblast.so")
        self.cl = load("libOpenCL.so.1", "libOpenCL.so")
        for name in ("clCreateContext", "clCreateCommandQueue", "clCreateBuffer"):
            getattr(self.cl, name).restype = ctypes.c_void_p
        self.version = "CLBlast on " + DEVICE
        device, error = self.find_device(), ctypes.c_int()
        devices = (ctypes.c_void_p * 1)(device)
        self.context = ctypes.c_void_p(
            self.cl.clCreateContext(None, 1, devices, None, None, ctypes.byref(error)))
        self.queue = ctypes.c_void_p(self.cl.clCreateCommandQueue(
            self.context, ctypes.c_void_p(device), ctypes.c_uint64(0), ctypes.byref(error)))
        if error.value:
            raise Missing(f"{DEVICE} cannot be opened ({error.value})")

    def find_device(self):
        n, name = ctypes.c_uint(), ctypes.create_string_buffer(1024)
        platforms, devices = (ctypes.c_void_p * 16)(), (ctypes.c_void_p * 16)()
        if self.cl.clGetPlatformIDs(16, platforms, ctypes.byref(n)):
            raise Missing("no OpenCL platform")
        for platform in platforms[:n.value]:
            count = ctypes.c_uint()
            if self.cl.clGetDeviceIDs(ctypes.c_void_p(platform), ctypes.c_uint64(0xffffffff), 16,
                                      devices, ctypes.byref(count)):
                continue
            for device in devices[:count.value]:
                self.cl.clGetDeviceInfo(ctypes.c_void_p(device), 0x102b, ctypes.c_size_t(1024),
                                        name, None)
                if name.value.decode(errors="replace").strip() == DEVICE.strip():
                    return device
        raise Missing(f"no OpenCL device is called {DEVICE}")

    def buffer(self, n):
        copy_host_memory, error = 1 << 5, ctypes.c_int()
        buffer = self.cl.clCreateBuffer(self.context, ctypes.c_uint64(copy_host_memory),
                                        ctypes.c_size_t(4 * n), floats(n), ctypes.byref(error))
        if error.value:
            raise RuntimeError(f"clCreateBuffer: {error.value}")
        return ctypes.c_void_p(buffer)

    def prepare(self, family, sizes):
        if family != "linear":
            return None
        rows, n_out, n_in = (ctypes.c_size_t(size) for size in sizes)
        self.free()
        self.buffers = [self.buffer(a.value * b.value)
                        for a, b in ((rows, n_in), (n_out, n_in), (rows, n_out))]
        x, w, y = self.buffers
        one, zero, at = ctypes.c_float(1), ctypes.c_float(0), ctypes.c_size_t(0)

        def run():
            status = self.blast.CLBlastSgemm(ROW_MAJOR, PLAIN, TRANSPOSED, rows, n_out, n_in, one,
                                             x, at, n_in, w, at, n_in, zero, y, at, n_out,
                                             ctypes.byref(self.queue), None)
            if status or self.cl.clFinish(self.queue):
                raise RuntimeError(f"CLBlastSgemm: {status}")
        return run

    def free(self):
        for buffer in getattr(self, "buffers", []):
            self.cl.clReleaseMemObject(buffer)
        self.buffers = []


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        peer = {"torch": Torch, "diffusers": Diffusers, "openblas": OpenBlas, "clblast": ClBlast}[NAME]()
    except (Missing, ImportError) as reason:
        answers.write(json.dumps({"missing": str(reason)}) + "\n")
        return
    answers.write(json.dumps({"version": peer.version}) + "\n")
    answers.flush()
    prepared, run = None, None
    for line in sys.stdin:
        question = json.loads(line)
        family, sizes = split(question["op"])
        if prepared != (family, sizes):
            run = None  # before the next inputs are made
            prepared, run = (family, sizes), peer.prepare(family, sizes)
        answers.write(json.dumps(measure(run, question["seconds"]) if run else None) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
