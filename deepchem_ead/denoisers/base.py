"""What all denoisers have in common, and how one is built from its name and options."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import nn

from deepchem_ead.diffusion import Outputs, Seen
from deepchem_ead.registry import Registry


@dataclass(frozen=True)
class InputColumns:
    """What the columns of `Seen.h` say, in their order.

    Attributes
    ----------
    widths : dict of str to int
        Number of columns by what they say: "features", "evidence", "level", ...
    sigma : int, optional
        The column that holds sigma, the standard deviation of the noise in units of the
        variance-preserving state, where there is one.
    labels : tuple of (str, str or int)
        Part and meaning of every column: ``("features", "C")``, ``("evidence", "dummy")``.
    pairs : dict of str to int
        Number of columns of `Seen.pairs` by what they say: "noisy distance". Empty: there are none.
    stereo : bool
        Tags of centres are told as `Seen.stereo`.
    """

    widths: dict[str, int] = field(default_factory=dict)
    sigma: int | None = None
    labels: tuple[tuple[str, str | int], ...] = ()
    pairs: Mapping[str, int] = field(default_factory=dict)
    stereo: bool = False

    @property
    def total(self) -> int:
        return sum(self.widths.values())

    @property
    def n_pair_columns(self) -> int:
        return sum(self.pairs.values())

    def slice(self, name: str) -> slice:
        """Where in `Seen.h` something stands; an empty slice if it is not told."""
        start = 0
        for other, width in self.widths.items():
            if other == name:
                return slice(start, start + width)
            start += width
        return slice(0, 0)

    def column(self, part: str, meaning: str | int) -> int | None:
        """Where in `Seen.h` something is said, by its label; None if it is not told."""
        label = (part, meaning)
        return self.labels.index(label) if label in self.labels else None


@dataclass(frozen=True)
class DenoiserOptions:
    """Options that every denoiser has; one with more of its own inherits from this.

    Attributes
    ----------
    n_layers, n_features : int
        Layers and width.
    precision : {"auto", "fp32", "bf16"}
        Arithmetic of the large products; "auto" is exact.
    """

    n_layers: int = 9
    n_features: int = 256
    precision: str = "auto"


class DenoiserNetwork(nn.Module):
    """Base of the package's denoisers: ``network(seen) -> Outputs``.

    Attributes
    ----------
    Options : type
        Dataclass of its options: every field can be set in a preset, in Python
        (``EADModel(denoiser="egnn", n_layers=4)``) and at the command line.
    reads : frozenset of str
        What it takes of a `Seen` beyond ``x``, ``h`` and ``layout``: "reference", "levels", "step",
        "pairs", "stereo". A process that tells an earlier estimate is refused without "reference",
        one that tells tags of centres without "stereo".
    writes : frozenset of str
        What its `Outputs` can have beyond ``dx`` and ``h``: "pairs". One that writes them has a
        keyword ``n_pair_outputs`` in `build`.
    equivariant : bool
        Displacements turn with the molecule. A network that does not know this is trained on
        molecules turned at random.
    bytes_per_pair : tuple of int
        Memory that a pair of atoms takes in an evaluation by a kernel and by PyTorch.
    """

    Options: ClassVar[type[DenoiserOptions]] = DenoiserOptions
    reads: ClassVar[frozenset[str]] = frozenset()
    writes: ClassVar[frozenset[str]] = frozenset()
    equivariant: ClassVar[bool] = True
    bytes_per_pair: ClassVar[tuple[int, int]] = (1300, 1300)

    @classmethod
    def build(cls, columns: InputColumns, out_features: int, options: Any) -> DenoiserNetwork:
        """A network with random weights.

        Parameters
        ----------
        columns : InputColumns
            Of what it will see.
        out_features : int
            Invariant columns it must return, at least.
        options : Options
            An instance of its own.

        Notes
        -----
        A network that writes "pairs" also takes a keyword ``n_pair_outputs``, the number K of
        columns of `Outputs.pairs`. It is given where it is more than 0.
        """
        raise NotImplementedError

    def forward(self, seen: Seen) -> Outputs:
        raise NotImplementedError

    def weights_kept(self) -> AbstractContextManager[None]:
        """Context in which weights do not change: what is made of them need be made only once."""
        return nullcontext()

    @property
    def active_backend(self) -> str:
        """Which implementation computes, and why, in words."""
        return "torch"

    def _check_shapes(
        self, seen: Seen, in_features: int, n_pair_columns: int | None = None
    ) -> None:
        n, shapes = seen.layout.n_nodes, (tuple(seen.x.shape), tuple(seen.h.shape))
        if shapes != ((n, 3), (n, in_features)):
            raise ValueError(
                f"x {shapes[0]} and h {shapes[1]} do not fit {n} atoms with {in_features} "
                f"features: expected ({n}, 3) and ({n}, {in_features})"
            )
        for what, value, expected in (
            ("reference", seen.reference, (n, 3)), ("step", seen.step, (n,)),
        ):  # fmt: skip
            if value is not None and tuple(value.shape) != expected:
                raise ValueError(f"{what} {tuple(value.shape)} does not fit {n} atoms: {expected}")
        if seen.stereo is not None and len(seen.stereo.tags) != n:
            raise ValueError(f"{len(seen.stereo.tags)} tags of centres do not fit {n} atoms")
        if n_pair_columns is None or seen.pairs is None:
            return
        n_pairs = sum(g.n_molecules * g.size * (g.size - 1) for g in seen.layout.groups)
        if tuple(seen.pairs.shape) != (n_pairs, n_pair_columns):
            raise ValueError(
                f"pairs {tuple(seen.pairs.shape)} do not fit {n_pairs} pairs of atoms with "
                f"{n_pair_columns} columns"
            )


#: Networks by name. ``DENOISERS.register("name", Class)`` adds one.
DENOISERS: Registry[type[DenoiserNetwork]] = Registry("denoiser")
