"""Compiles the kernels on first use and loads them.

Each compiled library is kept in a cache directory under a name made of a hash of the sources, the
flags and the compiler, so that it is built once per machine and never used stale. Its checksum is
compared before it is loaded, and a folder that others can write to is not trusted (see
`deepchem_ead.cache`).
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

from deepchem_ead import cache

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent
# Contraction into fused multiply-adds is the kernel's own business: left to the compiler, it could
# differ between a vectorised loop and its remainder, and results would depend on the batch.
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
AVX2 = ("-mavx2", "-mfma")
AVX512 = (*AVX2, "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl")
AVX512_BF16 = (*AVX512, "-mavx512bf16")
AMX_BF16 = (*AVX512_BF16, "-mamx-tile", "-mamx-bf16")
#: From the best down.
INSTRUCTION_SETS = {
    "amx-bf16": AMX_BF16, "avx512-bf16": AVX512_BF16, "avx512": AVX512, "avx2": AVX2,
}  # fmt: skip
COMPILE_SECONDS = 300


class BuildError(RuntimeError):
    """The kernel cannot be built or does not run on this machine; the message says why."""


@dataclass(frozen=True)
class Kernel:
    """The loaded kernels of the EGNN.

    Attributes
    ----------
    library : ctypes.CDLL
        Edge networks, forward and backward.
    linear : ctypes.CDLL
        Linear maps, forward and backward.
    network : ctypes.CDLL
        The whole network without gradients.
    instructions : str
        Instruction set they were compiled for: a key of `INSTRUCTION_SETS`.
    precisions : tuple of str
        Number formats they offer.
    """

    library: ctypes.CDLL
    linear: ctypes.CDLL
    network: ctypes.CDLL
    instructions: str

    @property
    def precisions(self) -> tuple[str, ...]:
        return precisions_of(self.instructions)


def precisions_of(instructions: str) -> tuple[str, ...]:
    """Number formats of the kernels compiled for an instruction set."""
    return ("fp32", "bf16") if instructions.endswith("bf16") else ("fp32",)


def cache_directory() -> Path:
    """Where compiled libraries are kept: ``DEEPCHEM_EAD_CACHE``, else in the user's cache."""
    chosen = os.environ.get("DEEPCHEM_EAD_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "deepchem_ead"


def compiler() -> str:
    """Path of the C++ compiler: ``CXX`` if set, else g++.

    Raises
    ------
    BuildError
        If there is none.
    """
    name = os.environ.get("CXX", "g++")
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"no C++ compiler: {name} is not on the PATH")
    return path


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} failed: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise BuildError(f"{command[0]} failed: {lines[0] if lines else done.returncode}")
    return done.stdout


@lru_cache(maxsize=4)
def _version(path: str) -> str:
    return _run([path, "--version"])


def compile_library(source: str, flags: tuple[str, ...]) -> Path:
    """Compile a source file of this package, or find it in the cache.

    Parameters
    ----------
    source : str
        File name next to this module. All headers there count as its dependencies.
    flags : tuple of str

    Returns
    -------
    Path
        The shared library.

    Raises
    ------
    BuildError
        If there is no compiler, it fails, or the cache cannot be written.

    Notes
    -----
    A library that is damaged, or not this user's, is compiled again.
    """
    path = compiler()
    key = hashlib.sha256()
    for part in (_version(path), *flags):
        key.update(part.encode() + b"\0")
    for file in (SOURCES / source, *sorted(SOURCES.glob("*.h"))):
        key.update(file.read_bytes())
    name = f"{Path(source).stem}-{key.hexdigest()[:16]}"
    try:
        library = cache.private_folder(cache_directory()) / f"{name}.so"
        command = [path, *flags, str(SOURCES / source), "-o"]
        cache.built(library, lambda temporary: _run([*command, str(temporary)]))
    except OSError as error:
        raise BuildError(f"cannot build in {cache_directory()}: {error}") from error
    return library


def _load(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise BuildError(f"cannot load {library}: {error}") from error


def _compiler_knows(flags: tuple[str, ...]) -> bool:
    """Whether the compiler takes these flags; compilers are often older than processors."""
    try:
        compile_library("cpu_features.cpp", (*FLAGS, *flags))
    except BuildError as error:
        logger.info("%s: %s", " ".join(flags), error)
        return False
    return True


def best_instruction_set() -> str:
    """The best instruction set the kernel and the compiler know and this processor has.

    Raises
    ------
    BuildError
        If the processor has none of them.
    """
    features = _load(compile_library("cpu_features.cpp", FLAGS)).cpu_features()
    for bit, (name, flags) in zip((8, 4, 2, 1), INSTRUCTION_SETS.items(), strict=True):
        if features & bit and _compiler_knows(flags):
            return name
    raise BuildError("the processor has neither AVX512 nor AVX2")


def load_kernel(instructions: str | None = None) -> Kernel:
    """Build (or find) and load the kernels of the EGNN.

    Parameters
    ----------
    instructions : str, optional
        A key of `INSTRUCTION_SETS`; by default the best one the processor has.

    Raises
    ------
    BuildError
        If that is impossible on this machine.
    """
    name = instructions or best_instruction_set()
    # PyTorch has loaded its libgomp already; -fopenmp resolves to that one, so both share a pool
    # of threads instead of competing for the cores.
    flags = (*FLAGS, "-fopenmp", *INSTRUCTION_SETS[name])
    functions = {
        "edge": ("forward", "backward"),
        "linear": ("linear_forward", "linear_backward"),
        "network": ("evaluate",),
    }
    with ThreadPoolExecutor() as pool:
        paths = pool.map(lambda n: compile_library(f"{n}_kernel.cpp", flags), functions)
        kernel = Kernel(*map(_load, paths), name)
    for library, verbs in zip(
        (kernel.library, kernel.linear, kernel.network), functions.values(), strict=True
    ):
        for verb, precision in product(verbs, kernel.precisions):
            function = getattr(library, f"{verb}_{precision}")
            function.argtypes, function.restype = [ctypes.c_void_p], None
    return kernel


@lru_cache(maxsize=1)
def kernel_or_reason() -> tuple[Kernel | None, str]:
    """The kernel of this process, or None and why there is none (logged once)."""
    if os.environ.get("DEEPCHEM_EAD_NATIVE", "1") == "0":
        return None, "disabled by DEEPCHEM_EAD_NATIVE=0"
    try:
        return load_kernel(), ""
    except BuildError as error:
        logger.warning("native kernel unavailable, PyTorch runs instead: %s", error)
        return None, str(error)
