"""The compiled kernel of the attention denoiser, and the arguments of its functions."""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

import torch
from torch import Tensor, nn

from deepchem_ead.kernels.native import build

logger = logging.getLogger(__name__)

#: What the kernel is written for: pair_parameters.h and attention_problem.h.
MAX_HEADS, MAX_WIDTH, WIDTH_MULTIPLE, FEATURE_MULTIPLE, MOVE_COLUMNS = 16, 128, 8, 32, 32
MAX_PAIR_COLUMNS = 64

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PAIR = {
    "radial": "pair.radial", "radial_input": "pair.radial_input", "logits": "pair.logits",
    "gates": "pair.gates", "told": "pair.told", "left": "vectors_left", "right": "vectors_right",
}  # fmt: skip
_BLOCK = {
    "norm_w": "norm.modulation.weight", "norm_b": "norm.modulation.bias",
    "project_w": "project.weight", "project_b": "project.bias", **_PAIR,
    "out_w": "out.weight", "out_b": "out.bias",
    "norm_mlp_w": "norm_mlp.modulation.weight", "norm_mlp_b": "norm_mlp.modulation.bias",
    "mlp_w1": "mlp.0.weight", "mlp_b1": "mlp.0.bias",
    "mlp_w2": "mlp.2.weight", "mlp_b2": "mlp.2.bias",
    "move_w": "move.weight", "move_b": "move.bias",
}  # fmt: skip

#: Parameters outside the blocks, by the kernel's names.
NETWORK = {
    "embedding_w": "embedding.weight", "embedding_b": "embedding.bias",
    "condition_w1": "condition.0.weight", "condition_b1": "condition.0.bias",
    "condition_w2": "condition.2.weight", "condition_b2": "condition.2.bias",
    "norm_out_w": "norm_out.modulation.weight", "norm_out_b": "norm_out.modulation.bias",
    "embedding_out_w": "embedding_out.weight", "embedding_out_b": "embedding_out.bias",
}  # fmt: skip


@lru_cache(maxsize=8)
def _getters(n_layers: int, told: bool) -> dict[str, attrgetter]:
    of_block = [name for name in _BLOCK.values() if told or name != _PAIR["told"]]
    in_blocks = (f"blocks.{k}.{name}" for k in range(n_layers) for name in of_block)
    return {name: attrgetter(name) for name in (*NETWORK.values(), *in_blocks)}


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    """All parameters by their names; ``named_parameters`` takes milliseconds for this.

    What else is read from each atom's features stands below the weights of the invariant outputs,
    as more of them.
    """
    getters = _getters(len(network.blocks), network.n_pair_columns > 0)
    parameters = {name: get(network) for name, get in getters.items()}
    if network.read_outs:
        for name in ("weight", "bias"):
            every = (network.embedding_out, *network.read_outs)
            parameters[f"embedding_out.{name}"] = torch.cat([getattr(m, name) for m in every])
    return parameters


def _pointers(*names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_void_p) for name in names]


def _integers(*names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_int64) for name in names]


class BlockPointers(ctypes.Structure):
    """As in attention_problem.h."""

    NAMES = _BLOCK
    _fields_ = _pointers(*_BLOCK)

    @classmethod
    def of(cls, named: dict[str, Tensor], prefix: str) -> BlockPointers:
        """Weights, or gradients, of the block whose parameters' names begin with `prefix`."""
        found = {key: named.get(prefix + name) for key, name in _BLOCK.items()}
        return cls(**{key: t.data_ptr() for key, t in found.items() if t is not None})


class Activations(ctypes.Structure):
    """``AttentionActivations`` of attention_problem.h."""

    _fields_ = _pointers(
        "condition", "modulations", "h", "h_mlp", "projected", "received", "x", "vectors",
        "softmax", "hidden", "move_weights",
    )  # fmt: skip


class AttentionProblem(ctypes.Structure):
    """As in attention_problem.h."""

    _fields_ = [
        *_integers("n_molecules", "n_atoms", "n_layers", "n_features", "n_heads"),
        *_integers("in_features", "out_features", "n_threads", "sigma_column", "n_told"),
        *_pointers("counts", "x", "reference", "h", "step", "told", *NETWORK, "blocks"),
        ("saved", Activations),
        *_pointers("dx", "h_out", "packed"),
    ]


class AttentionBackwardProblem(ctypes.Structure):
    """As in attention_problem.h."""

    _fields_ = [
        ("forward", AttentionProblem),
        *_integers("layer"),
        *_pointers("ddx", "dh_out", "dh", "dposition", "dx", "dstep", "dtold"),
        *_integers("wants_x"),
        *_pointers("normed", "activated", "dprojected", "dout", "dmlp", "dhidden", "dmove"),
        *_pointers("dmodulations"),
        ("gradients", BlockPointers),
    ]


@dataclass(frozen=True)
class AttentionKernel:
    """The functions of a loaded library for one number format."""

    library: ctypes.CDLL
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """Of the operands of matrix products and of most activations."""
        return _DTYPES[self.precision]

    def call(self, function: str, problem: ctypes.Structure) -> None:
        """Run a function of one structure."""
        getattr(self.library, f"{function}_{self.precision}")(ctypes.byref(problem))

    def keep(self, problem: AttentionProblem) -> int:
        """Weights packed once, as `AttentionProblem.packed`; to be released."""
        function = getattr(self.library, f"attention_keep_{self.precision}")
        function.restype = ctypes.c_void_p
        found: int = function(ctypes.byref(problem))
        return found

    def release(self, kept: int) -> None:
        """Free what `keep` has returned."""
        self.library.attention_release(ctypes.c_void_p(kept))

    def column_sums(self, matrix: Tensor) -> Tensor:
        """Sum over the rows of a contiguous matrix, in float32."""
        precision = next(name for name, dtype in _DTYPES.items() if dtype == matrix.dtype)
        sums = torch.empty(matrix.shape[1])
        getattr(self.library, f"sum_rows_{precision}")(
            *(ctypes.c_int64(n) for n in (*matrix.shape, torch.get_num_threads())),
            *(ctypes.c_void_p(t.data_ptr()) for t in (matrix, sums)),
        )
        return sums


@dataclass(frozen=True)
class Sizes:
    """Numbers of columns in the kernel's arrays (``PairShape`` of pair_parameters.h)."""

    atoms: int
    layers: int
    features: int
    heads: int
    pair: int
    products: int
    condition: int
    padded_heads: int

    @classmethod
    def of(cls, network: nn.Module, n_atoms: int, kernel: AttentionKernel) -> Sizes:
        """Sizes of a network for a batch of `n_atoms`."""
        block = network.blocks[0]
        return cls(
            n_atoms, len(network.blocks), network.n_features, network.n_heads,
            block.pair.logits.shape[1], len(block.vectors_left),
            network.norm_out.modulation.in_features,
            kernel.library.attention_padded_heads(network.n_heads),
        )  # fmt: skip

    @property
    def projected(self) -> int:
        """q, k, v, own, other."""
        return 3 * self.features + 2 * self.pair

    @property
    def received_used(self) -> int:
        """Values, pairs, norms and products."""
        return self.features + self.heads * self.pair + self.heads + 1 + self.products

    @property
    def received(self) -> int:
        """The same, filled up with zeros."""
        return -(-self.received_used // 32) * 32


def load_attention(precision: str, instructions: str | None = None) -> AttentionKernel:
    """Build (or find) and load the kernel, by default for the best instruction set there is.

    Raises
    ------
    BuildError
        If that is impossible on this machine.
    """
    name = instructions or build.best_instruction_set()
    if precision not in build.precisions_of(name):
        raise build.BuildError(f"bf16 needs AVX512-BF16, the processor has {name}")
    flags = (*build.FLAGS, "-fopenmp", *build.INSTRUCTION_SETS[name])
    return AttentionKernel(
        build._load(build.compile_library("attention_kernel.cpp", flags)), precision
    )


@lru_cache(maxsize=2)
def attention_or_reason(precision: str) -> tuple[AttentionKernel | None, str]:
    """The kernel of this process, or None and why there is none (logged once)."""
    if os.environ.get("DEEPCHEM_EAD_NATIVE", "1") == "0":
        return None, "disabled by DEEPCHEM_EAD_NATIVE=0"
    try:
        return load_attention(precision), ""
    except build.BuildError as error:
        logger.warning("no native attention kernel in %s: %s", precision, error)
        return None, str(error)


def why_not(n_features: int, n_heads: int, precision: str, n_pair_columns: int = 0) -> str:
    """Why the kernel cannot work with these sizes on this machine; empty if it can."""
    width = n_features // n_heads
    if n_features % FEATURE_MULTIPLE or width % WIDTH_MULTIPLE:
        return (
            f"{n_features} features in {n_heads} heads of {width}; takes multiples of "
            f"{FEATURE_MULTIPLE} in heads of multiples of {WIDTH_MULTIPLE}"
        )
    if n_heads > MAX_HEADS or width > MAX_WIDTH:
        return f"{n_heads} heads of {width}; takes at most {MAX_HEADS} of at most {MAX_WIDTH}"
    if n_pair_columns > MAX_PAIR_COLUMNS:
        return f"{n_pair_columns} columns of pairs; takes at most {MAX_PAIR_COLUMNS}"
    return attention_or_reason(precision)[1]
