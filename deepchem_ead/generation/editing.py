"""What has to be generated so that a molecule is changed around what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.atom_sets import chosen_atoms
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.kept_part import Whole, keep_part
from deepchem_ead.generation.linking import (
    check_apart,
    find_links,
    grown_sizes,
    linker_sizes,
)
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.generation.whole import Molecule, one_molecule, union
from deepchem_ead.generator.trained import Generator

#: What is no list of fragments, SMILES by mistake included.
_ONE = (Chem.Mol, MoleculeBatch, str)


class Plan(NamedTuple):
    """What to generate.

    Attributes
    ----------
    options : SamplingOptions
        With its start, sizes and seed.
    info : dict
        For the molecules' own: ``kept``, their number of kept atoms, and ``kept_atoms``, which of
        the input these are.
    source : MoleculeBatch
        The molecule that is edited.
    """

    options: SamplingOptions
    info: dict[str, Any]
    source: MoleculeBatch


def plan_edit(
    model: Generator,
    mol: Molecule | Sequence[Molecule],
    keep: Any,
    n: int,
    attach: Sequence[int] | None,
    keep_positions: Any,
    grow: int | tuple[int, int] | None,
    options: SamplingOptions,
) -> Plan:
    """What `EADModel.edit` generates; arguments and errors are described there."""
    if keep is not None and keep_positions is not None:
        raise ValueError("keep and keep_positions: give one of them")
    if grow is not None and options.n_atoms is not None:
        raise ValueError("grow and n_atoms both say how many atoms there are: give one of them")
    options = seeded(options)
    one = isinstance(mol, _ONE) or not isinstance(mol, Iterable)
    fragments: list[Molecule] | None = None if one else list(mol)  # type: ignore[arg-type]
    if keep_positions is not None:
        if attach is not None or fragments is not None:
            raise ValueError(
                "keep_positions takes one molecule and no attach: new atoms join anywhere"
            )
        molecule = one_molecule(mol)  # type: ignore[arg-type]
        return _plan_shape(model, molecule, keep_positions, n, grow, options)
    check_task(model.config, "edit")
    molecule = one_molecule(mol) if fragments is None else union(fragments)  # type: ignore[arg-type]
    _check_charges(model, molecule)
    whole = Whole(molecule)
    wanted = np.arange(len(whole.numbers))
    if keep is not None:
        wanted = chosen_atoms(molecule, keep, "keep")
    freed: list[int] = []
    counts = [int(one_molecule(each).counts[0]) for each in fragments or (molecule,)]
    fragment = np.repeat(np.arange(len(counts)), counts)  # of each atom
    if len(counts) > 1 and keep is None and attach is None:
        links = find_links(whole, fragment)
        freed = links.freed
        if grow is None and options.n_atoms is None:
            left = len(whole.numbers) - len(freed)
            sizes = left + linker_sizes(links.gaps, n, _seed(options))
            options = replace(options, n_atoms=sizes.tolist())
    elif attach is not None:
        attach = _attached(attach, len(whole.numbers))
    part = keep_part(whole, wanted, attach, freed)
    if len(counts) > 1:
        check_apart(whole, fragment, part.atoms)
    given = int(part.molecule.counts[0])
    if grow is not None:
        options = replace(options, n_atoms=(given + grown_sizes(grow, n, _seed(options))).tolist())
    elif options.n_atoms is None and model.config.meets_dummies:
        options = replace(options, n_atoms="free")  # what is kept says more of it than the data
    start = Given(part.molecule, "edit", part.bond_kinds, grows=1)
    info = {"kept": len(part.atoms), "kept_atoms": part.atoms.tolist()}
    return Plan(replace(options, start=start), info, molecule)


def warn_of_unchanged(plan: Plan, found: MoleculeBatch) -> None:
    """Warn where molecules came out as the one that was to be edited, which is nobody's wish."""
    size = int(plan.source.counts[0])
    rows = np.flatnonzero(found.counts == size)
    if not len(rows):
        return
    same = found[rows].smiles.count(plan.source.smiles[0])
    if same:
        more = max(size - plan.info["kept"], 1)
        warn_caller(
            f"{same} of {len(found)} molecules are the one that was given, put together again: "
            f"there is little room beside what is kept; ask for more atoms, grow=({more + 1}, "
            f"{more + 8}) for example, or keep fewer"
        )


def plan_variation(
    model: Generator, mol: Molecule, level: float, options: SamplingOptions
) -> SamplingOptions:
    """What `EADModel.vary` generates; arguments and errors are described there."""
    molecule = one_molecule(mol)
    _check_charges(model, molecule)
    check_level(model.config.timesteps, level, "level")
    if options.n_atoms is None:
        options = replace(options, n_atoms=int(molecule.counts[0]))
    return replace(seeded(options), start=Given(molecule, f"variation:level={float(level)}"))


def check_level(top: int, level: float, name: str) -> None:
    """Refuse a level of noise that leaves all or nothing of a molecule.

    Raises
    ------
    ValueError
    """
    if not isinstance(level, int | float | np.number) or not 0 < level < top:
        raise ValueError(
            f"{name}={level}: give a noise level above 0 (the molecule itself) and below {top} "
            "(nothing of it)"
        )


def seeded(options: SamplingOptions) -> SamplingOptions:
    """Options with a seed, drawn if there is none, for whatever else depends on it.

    Raises
    ------
    ValueError
        If they say where to start, which is what the caller does.
    """
    if options.start is not None:
        raise ValueError("start= is for generate(); here the molecule itself says where to start")
    if options.seed is None:
        options = replace(options, seed=int(np.random.SeedSequence().generate_state(1)[0]))
    return options


def _plan_shape(
    model: Generator,
    molecule: MoleculeBatch,
    keep_positions: Any,
    n: int,
    grow: int | tuple[int, int] | None,
    options: SamplingOptions,
) -> Plan:
    """Kept atoms have no kind, so that a model cannot tell them from dummy atoms: sizes are given,
    by default that of the molecule."""
    check_task(model.config, "shape")
    atoms = chosen_atoms(molecule, keep_positions, "keep_positions")
    if not len(atoms):
        raise ValueError("keep_positions names no atom; generate() makes molecules from nothing")
    numbers, positions = molecule.atoms(0)
    part = MoleculeBatch.from_arrays([numbers[atoms]], [positions[atoms]], bonds=[[]])
    if grow is not None:
        sizes = len(atoms) + grown_sizes(grow, n, _seed(options))
        options = replace(options, n_atoms=sizes.tolist())
    elif options.n_atoms is None:
        options = replace(options, n_atoms=len(numbers))
    elif isinstance(options.n_atoms, str):
        raise ValueError(
            f"keep_positions with n_atoms={options.n_atoms!r}: give a number of atoms, or grow="
        )
    info = {"kept": len(atoms), "kept_atoms": atoms.tolist()}
    return Plan(replace(options, start=Given(part, "shape")), info, molecule)


def _attached(attach: Sequence[int], n: int) -> list[int]:
    values = np.atleast_1d(np.asarray(attach))
    if values.dtype.kind not in "iu" or values.ndim != 1 or not len(values):
        raise ValueError(f"attach={attach!r}: give indices of kept atoms, [3] for example")
    outside = values[(values < 0) | (values >= n)]
    if len(outside):
        raise ValueError(
            f"attach names atom {outside[0]}, but the {n} atoms of the molecule are 0 to {n - 1}"
        )
    return [int(value) for value in values]


def _seed(options: SamplingOptions) -> int:
    assert options.seed is not None
    return options.seed


def _check_charges(model: Generator, molecule: MoleculeBatch) -> None:
    charged = np.flatnonzero(molecule.formal_charges())
    if len(charged) and not model.encoding.has_charges:
        raise MoleculeError(
            f"atom {charged[0]} of the molecule has a formal charge, which these weights do not "
            "know; take weights that know charges, such as 'qm9'"
        )
