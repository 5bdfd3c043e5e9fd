"""The parameters of one EGNN edge network, as every implementation of it takes them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class EdgeWeights(NamedTuple):
    """Weights of one edge network behind its factored first layer.

    For an ordered pair of atoms (i, j) with squared distances ``d2`` (current coordinates) and
    ``d2_0`` (input coordinates)::

        a_ij = u_i + v_j + d2 * c_d + d2_0 * c_0
        m_ij = silu(w2 @ silu(a_ij) + b2)
        s_ij = w_out . m_ij + b_out
    """

    c_d: Tensor  # (F,) column of the first linear map that multiplies d2
    c_0: Tensor  # (F,) column that multiplies d2_0
    w2: Tensor  # (F, F) second linear map, (out, in)
    b2: Tensor  # (F,)
    w_out: Tensor  # (F,) scalar read-out: attention logit or coordinate weight
    b_out: Tensor | None  # (1,) bias of the attention logit; None for coordinate updates
