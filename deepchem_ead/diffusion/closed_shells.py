"""Types of the atoms of molecules that have an even number of electrons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from deepchem_ead.diffusion.feature_targets import FeatureTarget, TypeTarget
from deepchem_ead.diffusion.layout import AtomLayout

#: A probability that stands for 0: types that are surer than this stay as they are.
_NOTHING = 1e-30


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

    @cached_property
    def _by_parity(self) -> tuple[Tensor, Tensor]:
        """Columns of the odd types and of the others; counting them makes the host wait."""
        return self.odd.nonzero()[:, 0], (~self.odd).nonzero()[:, 0]

    def probabilities(self, out: Tensor, w: Tensor, tau: Tensor, layout: AtomLayout) -> Tensor:
        log_p = self._logits(out, w, tau).double().log_softmax(1)
        p_odd, p_even = (log_p[:, types].exp().sum(1) for types in self._by_parity)
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
        return replace(self, table=self.table.to(device), odd=self.odd.to(device))


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
    return ClosedShellTypes(target.table, odd, n_possible=target.n_possible)
