"""Which columns of a state are what, and the level that each channel of an atom has.

Nobody else knows where a column stands: states are taken apart by `channel`, put together by
`joined` and moved by `shifted`.

Levels are (A,), one an atom for all its channels, or (A, C), one for each channel, in the order of
`CHANNELS`. What is computed with them is the same, row by row and column by column.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Channels of an atom, in the order of the columns of states and of levels.
CHANNELS = ("positions", "kinds")

_COLUMNS = {"positions": slice(None, 3), "kinds": slice(3, None)}


def state_width(n_features: int) -> int:
    """Columns of a state whose kinds have so many."""
    return 3 + n_features


def channel(state: Tensor, name: str) -> Tensor:
    """The columns (..., D) of a channel of a state (..., 3 + F); a view."""
    return state[..., _COLUMNS[name]]


def joined(positions: Tensor, kinds: Tensor) -> Tensor:
    """A state (A, 3 + F) from its channels."""
    return torch.cat([positions, kinds], 1)


def shifted(state: Tensor, shift: Tensor) -> Tensor:
    """A state whose positions are moved by ``shift`` (A, 3)."""
    return joined(channel(state, "positions") + shift, channel(state, "kinds"))


def level_of(levels: Tensor, name: str) -> Tensor:
    """Levels (or what is a function of them) of a channel, (A,)."""
    return levels if levels.dim() == 1 else levels[:, CHANNELS.index(name)]


def by_column(values: Tensor, n_columns: int) -> Tensor:
    """One value an atom or one a channel, to be multiplied with a state: (A, 1) or (A, n_columns).

    Parameters
    ----------
    values : Tensor, (A,) or (A, C)
    n_columns : int
        Columns of the state, 3 + F.
    """
    if values.dim() == 1:
        return values.unsqueeze(1)
    return torch.repeat_interleave(
        values, torch.tensor([3, n_columns - 3], device=values.device), dim=1, output_size=n_columns
    )


def any_channel(values: Tensor) -> Tensor:
    """Atoms (A,) bool of which a channel is true, from (A,) or (A, C or D) bool."""
    return values if values.dim() == 1 else values.any(1)
