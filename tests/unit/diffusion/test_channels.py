"""What a column of a state means stands in one file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import deepchem_ead
from deepchem_ead.diffusion import by_column, channel, joined, level_of, shifted, state_width

ROOT = Path(deepchem_ead.__file__).parent
#: Rooms that hold states; elsewhere 3 is a column of atomic numbers, or a memory layout.
ROOMS = ("diffusion", "denoisers", "sampling", "tasks", "optim", "generator", "training",
         "generation", "models", "properties", "testing")  # fmt: skip


def hard_slices(tree: ast.AST) -> list[int]:
    """Lines with ``[:, :3]``, ``[:, 3:]``, ``[rows, :3]``, ``[..., 3:]`` and the like."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            *_, last = node.slice.elts
            ends = (last.lower, last.upper) if isinstance(last, ast.Slice) else ()
            three = any(isinstance(end, ast.Constant) and end.value == 3 for end in ends)
            if three and len(node.slice.elts) == 2:
                found.append(node.lineno)
    return found


def test_slices_are_found():
    text = "a[:, :3]\na[:, 3:]\na[r, :3]\na[..., 3 : 3 + n]\na[:, 2:4]\na[:, 3]\na[:3]\nx[:, :, :3]"
    assert hard_slices(ast.parse(text)) == [1, 2, 3, 4]


@pytest.mark.parametrize("room", ROOMS)
def test_columns_have_names_everywhere_else(room):
    for path in (ROOT / room).rglob("*.py"):
        if path.parts[-2:] != ("diffusion", "channels.py"):
            lines = hard_slices(ast.parse(path.read_text(encoding="utf-8")))
            assert not lines, (
                f"{path}: {lines} take states apart; see deepchem_ead.diffusion.channel"
            )


def test_a_state_is_taken_apart_and_put_together():
    state = torch.arange(30.0).view(6, 5)
    positions, kinds = channel(state, "positions"), channel(state, "kinds")
    assert positions.shape == (6, 3) and kinds.shape == (6, 2) and state_width(2) == 5
    assert torch.equal(joined(positions, kinds), state)
    assert torch.equal(channel(state.view(2, 3, 5), "kinds").reshape(6, 2), kinds)
    moved = shifted(state, torch.ones(6, 3))
    assert torch.equal(moved - state, torch.tensor([1.0, 1, 1, 0, 0]).expand(6, 5))
    positions.zero_()  # a view
    assert not state[:, :3].any()


def test_values_of_channels_become_values_of_columns():
    once, each = torch.arange(6.0), torch.arange(12.0).view(6, 2)
    assert torch.equal(by_column(once, 5), once[:, None]) and level_of(once, "kinds") is once
    columns = by_column(each, 5)
    for name, k in (("positions", 0), ("kinds", 1)):
        assert torch.equal(level_of(each, name), each[:, k])
        assert (channel(columns, name) == each[:, k, None]).all()
