"""What the network is asked to say about the features of an atom: their noise, or its type."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from deepchem_ead.diffusion.layout import AtomLayout

#: Weight of the cross-entropy of the type (nats) against the squared error of the noise.
TYPE_LOSS_WEIGHT = 0.5

#: A probability below minus this is negative, and not a rounding error.
NEGATIVE = 1e-3


class FeatureTarget(Protocol):
    """How the network's invariant outputs become an estimate of the features' noise."""

    @property
    def n_evidence(self) -> int:
        """Columns of `evidence`."""

    def evidence(self, w: Tensor, tau: Tensor) -> Tensor:
        """What the network is told besides the features themselves, (A, n_evidence)."""

    def noise(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        """Estimated noise (A, F) of the features ``w`` (A, F) at ``tau`` (A, 1)."""

    def error(self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor) -> Tensor:
        """Training loss of the features of each atom, (A,)."""

    def admissible(self, noise: Tensor, w: Tensor, tau: Tensor) -> Tensor:
        """Noise (A, F) like that of an extrapolation, with estimates that can be estimates."""

    def composition_error(
        self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor, layout: AtomLayout
    ) -> Tensor:
        """Squared error of what the features of each molecule add up to, (B,)."""

    def to(self, device: torch.device | str) -> FeatureTarget:
        """The same with its tables on another device."""


@dataclass(frozen=True)
class NoiseTarget:
    """The network predicts the noise itself (EDM, EAD)."""

    n_evidence: ClassVar[int] = 0

    def evidence(self, w: Tensor, tau: Tensor) -> Tensor:
        return w[:, :0]

    def noise(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return out[:, : w.shape[1]]

    def error(self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor) -> Tensor:
        return (out[:, : w.shape[1]] - noise).square().sum(1)

    def admissible(self, noise: Tensor, w: Tensor, tau: Tensor) -> Tensor:
        return noise

    def composition_error(
        self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor, layout: AtomLayout
    ) -> Tensor:
        """Nothing: noise says nothing about numbers of types."""
        return w.new_zeros(layout.n_molecules)

    def to(self, device: torch.device | str) -> NoiseTarget:
        return self


@dataclass(frozen=True, eq=False)
class TypeTarget:
    r"""The network predicts the type of the atom from everything but the atom's own features.

    Clean features are one of the K rows ``c_k`` of a table. What an atom's own noisy features say
    about its type is known exactly, so the network adds only what the rest of the molecule says::

        p_k ~ exp(out_k + (w . c_k - |c_k|^2 / 2) / tau^2)
        noise = (w - sum_k p_k c_k) / tau

    With ``out_k = log p(k | rest)`` this is the posterior, and the noise its conditional mean. The
    outputs are as large at low noise as at high noise, where a network that predicts noise has to
    amplify its input by 1 / tau. Trained by the cross-entropy of p.

    Attributes
    ----------
    table : Tensor, (K, F)
        Features of the types.
    n_possible : int or None
        Only the first so many types occur; the others have the probability 0. Default: all.
    """

    table: Tensor
    n_possible: int | None = field(default=None, kw_only=True)

    @property
    def n_evidence(self) -> int:
        return len(self.table)

    def evidence(self, w: Tensor, tau: Tensor) -> Tensor:
        """Probabilities of the types by the atom's own features alone, (A, K)."""
        return (self._affinity(w) / tau.square()).softmax(1)

    def probabilities(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        """Of the types of each node, (A, K)."""
        return self._logits(out, w, tau).softmax(1)

    def noise(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        return (w - self.probabilities(out, w, tau, layout) @ self.table.to(w)) / tau

    def admissible(self, noise: Tensor, w: Tensor, tau: Tensor) -> Tensor:
        """Where probabilities of types have become negative they are 0, and the others add up to 1.

        Rows without negative ones stay as they are, to the last bit.
        """
        table = self.table.to(w)
        p = (w - tau * noise) @ torch.linalg.pinv(table)
        outside = (p < -NEGATIVE).any(1, keepdim=True)
        p = p.clamp_min(0)
        p = p / p.sum(1, keepdim=True)
        return torch.where(outside, (w - p @ table) / tau, noise)

    def error(self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor) -> Tensor:
        types = self._types(w, tau, noise)
        return TYPE_LOSS_WEIGHT * cross_entropy(self._logits(out, w, tau), types, reduction="none")

    def composition_error(
        self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor, layout: AtomLayout
    ) -> Tensor:
        """Squared error of the expected number of atoms of each type, summed over types, (B,).

        Least for the true probabilities, as the cross-entropy is, but a few per cent too much for
        every atom, which cross-entropy hardly sees, add up to an atom too many here.
        """
        p = self._logits(out, w, tau).softmax(1)
        types = one_hot(self._types(w, tau, noise), len(self.table))
        return layout.sum(p - types.to(p.dtype)).square().sum(1)

    def to(self, device: torch.device | str) -> TypeTarget:
        return replace(self, table=self.table.to(device))

    def _types(self, w: Tensor, tau: Tensor, noise: Tensor) -> Tensor:
        """True types, from what is left without the noise."""
        return self._affinity(w - tau * noise).argmax(1)

    def _logits(self, out: Tensor, w: Tensor, tau: Tensor) -> Tensor:
        logits = out[:, : len(self.table)] + self._affinity(w) / tau.square()
        if self.n_possible is None:
            return logits
        impossible = torch.full_like(logits[:, self.n_possible :], -torch.inf)
        return torch.cat([logits[:, : self.n_possible], impossible], 1)

    def _affinity(self, w: Tensor) -> Tensor:
        """``w . c_k - |c_k|^2 / 2``, the logarithm of the likelihood but for tau^2, (A, K)."""
        table = self.table.to(w)
        return w @ table.T - table.square().sum(1) / 2


def feature_target(name: str, table: Tensor) -> FeatureTarget:
    """A target by name, "noise" or "types", for features that are rows of ``table`` (K, F)."""
    return TypeTarget(table) if name == "types" else NoiseTarget()


def atoms_only(target: FeatureTarget, n_elements: int) -> FeatureTarget:
    """A target for molecules all of whose nodes are atoms: of the first ``n_elements`` types.

    Noise says nothing about types, so that a target of noise stays as it is.
    """
    return replace(target, n_possible=n_elements) if isinstance(target, TypeTarget) else target


FEATURE_TARGETS = ("noise", "types")
