"""What the network is asked to say about the features of an atom: their noise, or its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from deepchem_ead.diffusion.layout import AtomLayout

#: Weight of the cross-entropy of the type (nats) against the squared error of the noise.
TYPE_LOSS_WEIGHT = 0.5


class FeatureTarget(Protocol):
    """How the network's invariant outputs become an estimate of the features' noise."""

    #: Columns of `evidence`.
    n_evidence: int

    def evidence(self, w: Tensor, tau: Tensor) -> Tensor:
        """What the network is told besides the features themselves, (A, n_evidence)."""

    def noise(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        """Estimated noise (A, F) of the features ``w`` (A, F) at ``tau`` (A, 1)."""

    def error(self, out: Tensor, w: Tensor, tau: Tensor, noise: Tensor) -> Tensor:
        """Training loss of the features of each atom, (A,)."""

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
    """

    table: Tensor

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
        return TypeTarget(self.table.to(device))

    def _types(self, w: Tensor, tau: Tensor, noise: Tensor) -> Tensor:
        """True types, from what is left without the noise."""
        return self._affinity(w - tau * noise).argmax(1)

    def _logits(self, out: Tensor, w: Tensor, tau: Tensor) -> Tensor:
        return out[:, : len(self.table)] + self._affinity(w) / tau.square()

    def _affinity(self, w: Tensor) -> Tensor:
        """``w . c_k - |c_k|^2 / 2``, the logarithm of the likelihood but for tau^2, (A, K)."""
        table = self.table.to(w)
        return w @ table.T - table.square().sum(1) / 2


@dataclass(frozen=True, eq=False)
class ClosedShellTypes(TypeTarget):
    r"""Types of the atoms of a molecule that has an even number of electrons.

    A network that judges each atom for itself cannot see to it that the atomic numbers of a
    molecule add up to an even number, as those of every neutral molecule without unpaired electrons
    do; a molecule where they do not cannot be stable, however good its geometry. Given independent
    probabilities p_ik, Bayes' rule for an even sum is a closed formula::

        p(k | even) ~ p_ik (1 + s_k prod_{j != i} (1 - 2 q_j))

    where q_j is the probability that atom j has an odd number of electrons, and s_k = -1 for a type
    k that has one and 1 for others, dummy atoms included. As long as two atoms are in doubt it
    hardly changes anything; the last one that is then follows from the rest.

    For estimates while sampling only: it does not enter `error`.

    Attributes
    ----------
    odd : Tensor, (K,) bool
        Types whose atomic number is odd.
    """

    odd: Tensor

    def probabilities(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        log_p = self._logits(out, w, tau).double().log_softmax(1)
        p_odd, p_even = log_p[:, self.odd].exp().sum(1), log_p[:, ~self.odd].exp().sum(1)
        # log |1 - 2 q|, exact also where q is nearly 0 or 1; and where 1 - 2 q is negative.
        doubt = torch.minimum(p_odd, p_even).clamp_max(0.5 - 1e-16)
        size = torch.log1p(-2 * doubt)
        flips = (p_odd > p_even).double()
        others = layout.expand(layout.sum(size)) - size
        n_flips = layout.expand(layout.sum(flips)) - flips
        # The sum is even with the likelier parities of all others, and for a type of this parity.
        fits = (n_flips.unsqueeze(1) + self.odd.double()) % 2 == 0
        agree, differ = torch.log1p(others.exp()), (-torch.expm1(others)).clamp_min(_NOTHING).log()
        weight = torch.where(fits, agree.unsqueeze(1), differ.unsqueeze(1))
        return (log_p + weight).softmax(1).to(w.dtype)

    def to(self, device: torch.device | str) -> ClosedShellTypes:
        return ClosedShellTypes(self.table.to(device), self.odd.to(device))


#: A probability that stands for 0: types that are surer than this stay as they are.
_NOTHING = 1e-30


def feature_target(name: str, table: Tensor) -> FeatureTarget:
    """A target by name, "noise" or "types", for features that are rows of ``table`` (K, F)."""
    return TypeTarget(table) if name == "types" else NoiseTarget()


def closed_shell(target: FeatureTarget, odd: Tensor) -> ClosedShellTypes:
    """A target whose molecules have an even number of electrons; ``odd`` (K,) are the odd types.

    Raises
    ------
    ValueError
        If the network predicts noise, which says nothing about probabilities.
    """
    if not isinstance(target, TypeTarget):
        raise ValueError(
            "closed_shell needs a model that predicts types (feature_target='types'); pass "
            "closed_shell=False"
        )
    return ClosedShellTypes(target.table, odd)


FEATURE_TARGETS = ("noise", "types")
