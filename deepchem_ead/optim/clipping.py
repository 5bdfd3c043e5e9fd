"""Gradient clipping at a norm learned from the recent past."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

#: What the limit is made of: "edm", 1.5 times the mean plus 2 standard deviations of the recent
#: norms after clipping, or "median", twice their median. The first can double with every few steps
#: of growing gradients, which then run away with a network that is near the edge of stability; the
#: second hardly moves before half of the recent norms have grown.
CLIPPING_RULES = ("edm", "median")


class GradientClipper(nn.Module):
    """Clip the gradient's norm at what recent norms say is usual.

    The history is a buffer, so it is saved and restored with the network; ``seen``, the norms
    before clipping of as many steps, NaN where there was none yet, is not.

    Parameters
    ----------
    rule : {"edm", "median"}
        See `CLIPPING_RULES`.
    length : int
        Number of steps remembered.

    References
    ----------
    EDM, arXiv:2203.17003, released training code, for the rule of that name.
    """

    norms: Tensor
    n_steps: Tensor
    seen: Tensor

    def __init__(self, rule: str = "edm", length: int = 50) -> None:
        super().__init__()
        self.rule = rule
        self.register_buffer("norms", torch.zeros(length))
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.full((length,), torch.nan), persistent=False)

    @torch.no_grad()
    def __call__(self, parameters: Iterable[Tensor]) -> Tensor:
        """Scale the gradients in place; returns their norm before that."""
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        known = torch.arange(len(self.norms), device=norm.device) < self.n_steps
        usual = self._usual(known)
        # The first steps have no history to compare with.
        limit = torch.where(self.n_steps < 5, torch.inf, usual)
        clipped = torch.minimum(norm, limit)
        torch._foreach_mul_(grads, clipped / norm.clamp_min(1e-12))
        # Indexing with a tensor would make the host wait for the device.
        place = (self.n_steps % len(self.norms)).view(1)
        self.norms.index_copy_(0, place, clipped.view(1))
        self.seen.index_copy_(0, place, norm.view(1))
        self.n_steps += 1
        return norm

    def _usual(self, known: Tensor) -> Tensor:
        """The limit by the norms that are known, (length,) bool."""
        if self.rule == "median":
            return 2 * self.norms.masked_fill(~known, torch.nan).nanmedian()
        n = known.sum()
        mean = (self.norms * known).sum() / n
        spread = (((self.norms - mean) * known).square().sum() / n).sqrt()
        return 1.5 * mean + 2 * spread
