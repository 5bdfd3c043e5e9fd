"""A GPU that is the CPU: finds where a device, a wait or a copy was overlooked, without a GPU.

Inside `pretend_gpu` PyTorch believes that there is a GPU. A tensor "on" it wraps one of the CPU,
which computes for it. What a GPU refuses is refused: operands on different devices, NumPy, a kernel
that is given a tensor of the host. CUDA graphs behave as real ones do: capturing runs nothing and
refuses what waits for the device or copies from the host; a replay repeats the captured operations
on the captured memory and runs no Python, so that a number which Python worked out once stays what
it was. Triton kernels are interpreted; with ``TRITON_INTERPRET=0`` in the environment they are
compiled for the GPU as they are launched, and compute nothing.

It says nothing of speed and of streams that race.

To be imported before PyTorch, in a process of its own (``pytest -p pretend_gpu``).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock


def _load_guard() -> None:
    assert "torch" not in sys.modules, "pretend_gpu has to be imported before PyTorch"
    root = Path(importlib.util.find_spec("torch").origin).parent
    libraries = [root / "lib" / f"lib{n}.so" for n in ("torch_global_deps", "c10", "torch_cpu")]
    with tempfile.TemporaryDirectory() as folder:
        guard = Path(folder, "guard.so")
        subprocess.run(
            ["g++", "-std=c++20", "-shared", "-fPIC", f"-I{root / 'include'}",
             Path(__file__).with_suffix(".cpp"), "-o", guard, *libraries[1:]],
            check=True,
        )  # fmt: skip
        for library in (*libraries, guard):
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


_load_guard()
INTERPRETS = os.environ.setdefault("TRITON_INTERPRET", "1") == "1"  # read when Triton is imported

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from triton import runtime as triton_runtime  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime.interpreter import InterpretedFunction  # noqa: E402

aten = torch.ops.aten
GPU = torch.device("cuda", 0)

#: Operations that tell the host a value or a number of elements: it has waited for them.
WAITING = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.unique_dim,
    aten._unique2, aten.unique_consecutive, aten.repeat_interleave, aten.is_nonzero,
}  # fmt: skip
COPYING = {aten._to_copy, aten.copy_, aten.copy}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}


class Device:
    """State of the GPU."""

    capturing: Graph | None = None
    sync_debug_mode = "default"
    #: Waits of the host, with copies from or to it, and kernels launched by Python so far.
    waits = kernels = 0
    #: Compute capability, shared memory of a program, and the kernels compiled for it, by name.
    capability, shared_bytes = (9, 0), 227 * 2**10
    compiled: dict[str, list] = {}


class GPUTensor(torch.Tensor):
    """A tensor that says it is on the GPU; ``held`` is on the CPU."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        wrapper = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=GPU, requires_grad=False,
        )  # fmt: skip
        wrapper.held = held
        return wrapper

    def __repr__(self, *, tensor_contents=None):
        return f"GPUTensor({self.held!r})"

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu()")

    def __array__(self, *args, **kwargs):
        self.numpy()

    def tolist(self):
        return self.cpu().tolist()

    def __getitem__(self, index):
        return super().__getitem__(_on_gpu(index))

    def __setitem__(self, index, value):
        super().__setitem__(_on_gpu(index), value)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl


class Graph:
    """A CUDA graph."""

    def __init__(self):
        self.operations = []
        self._before = {}  # memory that captured operations would have changed

    @contextlib.contextmanager
    def capture(self):
        generator = torch.cuda.default_generators[0]
        random = generator.get_state()
        Device.capturing = self
        try:
            yield
        finally:  # nothing has been run
            Device.capturing = None
            generator.set_state(random)
            for storage, before in self._before.values():
                storage.copy_(before)
            self._before = {}

    def run(self, function, args, kwargs):
        for tensor in _written(function, args, kwargs):
            storage = tensor.untyped_storage()
            self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        result = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, result))
        return result

    def replay(self):
        for function, args, kwargs, result in self.operations:
            again = function(*args, **kwargs)
            for to, value in zip(_flat([result]), _flat([again]), strict=True):
                if isinstance(to, torch.Tensor) and not _same_memory(to, value):
                    to.copy_(value)


class Generator(torch.Generator):
    """Random numbers of the GPU, which the CPU draws."""

    device = GPU


class Event:
    """An event, which takes no time."""

    def __init__(self, enable_timing=False):
        self.record = self.synchronize = lambda: None

    def elapsed_time(self, end):
        return 1.0


class Stream:
    """A stream, which is never behind."""

    def __init__(self, device=None):
        self.wait_stream = lambda stream: None


def wait(function, why: str) -> None:
    """The host waits, which a graph and the debug mode "error" do not stand."""
    Device.waits += 1
    if Device.capturing is not None or Device.sync_debug_mode == "error":
        raise RuntimeError(f"called a synchronizing CUDA operation: {function} {why}")


def unwrap(value):
    """A tensor of the GPU as one of the CPU."""
    return value.held if isinstance(value, GPUTensor) else value


def _on_gpu(index):
    """An index whose lists are where PyTorch brings them."""
    if isinstance(index, tuple):
        return tuple(_on_gpu(i) for i in index)
    return torch.tensor(index, device=GPU) if isinstance(index, list | range) else index


def _run(function, args, kwargs):
    """An operation, by the CPU, if it has to do with the GPU."""
    packet = function.overloadpacket
    flat = _flat([*args, *kwargs.values()])
    ours = [v for v in flat if isinstance(v, GPUTensor)]
    theirs = [v for v in flat if isinstance(v, torch.Tensor) and not isinstance(v, GPUTensor)]
    device = kwargs.get("device")
    to_gpu = device is not None and torch.device(device).type == "cuda"
    if not ours and not to_gpu:
        return function(*args, **kwargs)
    result_on_gpu = to_gpu or device is None
    if packet in COPYING:
        if theirs or not result_on_gpu:
            wait(function, "copies between host and device")
        if packet is aten.copy_ and not isinstance(args[0], GPUTensor):
            return args[0].copy_(unwrap(args[1]))
    elif packet in INDEXING:
        indices = [i for i in args[1] if i is not None]
        if not isinstance(args[0], GPUTensor):
            raise RuntimeError("indices should be on the same device as the indexed tensor (cpu)")
        if any(i.dtype == torch.bool for i in indices):
            wait(function, "counts what is true")
        if any(not isinstance(i, GPUTensor) for i in indices):
            wait(function, "copies indices from the host")
    elif ours and any(t.dim() for t in theirs):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu! ({function})"
        )
    sized = packet is aten.repeat_interleave and kwargs.get("output_size") is not None
    if packet in WAITING and not sized:
        wait(function, "tells the host a value")
    args = [_map(unwrap, v) for v in args]
    kwargs = {name: _map(unwrap, v) for name, v in kwargs.items()}
    if device is not None:
        kwargs["device"] = torch.device("cpu")
    kwargs.pop("pin_memory", None)
    result = (function if Device.capturing is None else _captured(function))(*args, **kwargs)
    if packet is aten._to_copy and result is args[0]:
        result = result.clone()
    if not result_on_gpu:
        return result
    known = {id(t.held): t for t in ours}  # what is changed in place stays the same object

    def wrap(value):
        if not isinstance(value, torch.Tensor):
            return value
        return known[id(value)] if id(value) in known else GPUTensor(value)

    return _map(wrap, result)


def _flat(values) -> list:
    """Values, and those in their lists."""
    parts = (v if isinstance(v, list | tuple) else [v] for v in values)
    return [v for part in parts for v in part]


def _map(function, value):
    """The function of a value, or of each in a list."""
    if isinstance(value, list | tuple):
        return type(value)(function(v) for v in value)
    return function(value)


def _captured(function):
    return lambda *args, **kwargs: Device.capturing.run(function, args, kwargs)


def _run_kernel(self, *args, grid, warmup, **kwargs):
    """A Triton kernel: interpreted, or compiled only."""
    Device.kernels += 1
    for argument in args:
        if isinstance(argument, torch.Tensor) and not isinstance(argument, GPUTensor):
            raise ValueError("Pointer argument cannot be accessed from Triton (cpu tensor?)")
    args = [unwrap(a) for a in args]
    if not INTERPRETS:
        made = _RUN(self, *args, grid=grid, warmup=True, **kwargs)
        if all(made is not other for other in Device.compiled.setdefault(self.__name__, [])):
            Device.compiled[self.__name__].append(made)
        return
    kernel = functools.partial(_RUN, self)
    kernel = kernel if Device.capturing is None else _captured(kernel)
    kernel(*args, grid=grid, warmup=warmup, **kwargs)


def _written(function, args, kwargs) -> list[torch.Tensor]:
    """Tensors that an operation may write to."""
    if not hasattr(function, "_schema"):  # a kernel
        return [a for a in args if isinstance(a, torch.Tensor)]
    found = []
    for k, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[k] if k < len(args) else kwargs.get(argument.name))
    return [t for t in _flat(found) if isinstance(t, torch.Tensor)]


def _same_memory(a, b) -> bool:
    """Whether an operation wrote where it did before, as views and changes in place do."""
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


_KERNEL_CLASS = InterpretedFunction if INTERPRETS else triton_runtime.JITFunction
_RUN, _TENSOR = _KERNEL_CLASS.run, torch.tensor


class _Driver:
    """What Triton asks before it compiles."""

    def get_current_device(self):
        return 10 * Device.capability[0] + Device.capability[1]  # each has kernels of its own

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", self.get_current_device(), 32)


if not INTERPRETS:
    triton_runtime.driver.set_active(_Driver())


def _tensor(data, *, dtype=None, device=None, requires_grad=False):
    """``torch.tensor``, whose copy to the device PyTorch would make behind our back."""
    return _TENSOR(data, dtype=dtype).to(device or "cpu").requires_grad_(requires_grad)


class _Mode(TorchDispatchMode):
    """Sends there what is created on the GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {})


@contextlib.contextmanager
def pretend_gpu(kernels: bool = False):
    """Inside, there is a GPU; without ``kernels`` PyTorch computes everything, which is faster."""
    cuda = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_capability": lambda device=None: Device.capability,
        "get_device_name": lambda device=None: "a pretended GPU",
        "get_device_properties": lambda device=None: SimpleNamespace(
            total_memory=80 * 2**30,
            major=Device.capability[0],
            shared_memory_per_block_optin=Device.shared_bytes,
        ),
        "is_bf16_supported": lambda *args, **kwargs: True,
        "is_current_stream_capturing": lambda: Device.capturing is not None,
        "synchronize": lambda device=None: None,
        "Event": Event,
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "CUDAGraph": Graph,
        "graph": lambda graph: graph.capture(),
        "get_sync_debug_mode": lambda: Device.sync_debug_mode,
        "set_sync_debug_mode": lambda mode: setattr(Device, "sync_debug_mode", mode),
        "default_generators": (Generator(),),
    }
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    with contextlib.ExitStack() as stack:
        for name, value in cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        switch = {"DEEPCHEM_EAD_TRITON": "1" if kernels else "0"}
        stack.enter_context(mock.patch.dict(os.environ, switch))
        stack.enter_context(mock.patch.object(torch, "tensor", _tensor))
        stack.enter_context(mock.patch.object(_KERNEL_CLASS, "run", _run_kernel))
        # Parameters become GPUTensors and stay the same objects.
        torch.__future__.set_swap_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
        stack.enter_context(_Mode())
        yield
