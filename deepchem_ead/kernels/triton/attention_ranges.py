"""Which atoms of a layout the kernels of the pair operation work off in one launch."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from deepchem_ead.diffusion.layout import AtomLayout

#: Atoms of a molecule that programs hold at least and at most. One size for all molecules of QM9:
#: compiling for another takes longer than it would save.
LEAST_ATOMS, MOST_ATOMS = 32, 128
#: More are not worth it: a single one then takes every molecule for as large as the largest.
MOST_RANGES = 4


class Range(NamedTuple):
    """Consecutive atoms, of molecules with at most ``block`` atoms each."""

    first: int
    end: int
    block: int  # a power of two

    @property
    def n_atoms(self) -> int:
        return self.end - self.first


def ranges(layout: AtomLayout) -> tuple[Range, ...]:
    """All atoms of a layout in as few launches as its order allows; built once per layout object.

    Sizes come from the host: nothing waits for a GPU.
    """
    if layout not in _known:
        _known[layout] = tuple(_build(layout))
    return _known[layout]


def largest_block(layout: AtomLayout) -> int:
    """The largest block of a layout's ranges."""
    return max(r.block for r in ranges(layout))


def _build(layout: AtomLayout) -> list[Range]:
    found: list[Range] = []
    for group in layout.groups:
        block = max(1 << (group.size - 1).bit_length(), LEAST_ATOMS)
        if found and found[-1].block == block:
            found[-1] = found[-1]._replace(end=group.nodes.stop)
        else:
            found.append(Range(group.nodes.start, group.nodes.stop, block))
    if len(found) > MOST_RANGES:
        return [Range(0, found[-1].end, max(r.block for r in found))]
    return found


_known: weakref.WeakKeyDictionary[AtomLayout, tuple[Range, ...]] = weakref.WeakKeyDictionary()
