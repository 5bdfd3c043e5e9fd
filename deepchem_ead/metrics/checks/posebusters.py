"""PoseBusters' checks of a molecule without a protein."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.metrics.checks.check import CHECKS, BaseCheck, Column, Outcome, judged
from deepchem_ead.metrics.checks.distance_bounds import CLASHES, OVERLAPS, within_bounds
from deepchem_ead.metrics.view import MoleculeView

_MANY_SP3 = 4  # in a ring of six: a chair or boat; with fewer, conjugation may make it flat
_SMALL_RING = 5


class Fault(NamedTuple):
    """A test that a molecule fails.

    Attributes
    ----------
    name : str
    meant : bool
        Whether the test is meant for the groups that fail it, see `PoseBusters`.
    """

    name: str
    meant: bool


class _Test(NamedTuple):
    function: Callable[..., dict[str, Any]]
    options: dict[str, Any]
    names: dict[str, str]  # of the answers that count


@cache
def _tests(config: str) -> list[_Test]:
    """PoseBusters' own list of modules, each with its thresholds."""
    from posebusters import PoseBusters
    from posebusters.posebusters import module_dict

    functions = module_dict | {"distance_geometry": within_bounds}
    # Several workers share the cores.
    functions["energy_ratio"] = partial(functions["energy_ratio"], num_threads=1)
    found = []
    for module in PoseBusters(config).config["modules"]:
        if "chosen_binary_test_output" not in module:  # its answers count for nothing
            continue
        told = module.get("rename_outputs", {})
        names = {key: told.get(key, key).lower() for key in module["chosen_binary_test_output"]}
        function = functions[module["function"]]
        found.append(_Test(function, module.get("parameters", {}), names))
    return found


def faults(mol: Chem.Mol, config: str) -> list[Fault]:
    """PoseBusters' tests that a molecule fails.

    What cannot be computed is no fault: energies without a force field's parameters.
    """
    mol = Chem.Mol(mol)  # one of them sanitises what it is given
    found = []
    for test in _tests(config):
        answer = test.function(mol_pred=mol, **test.options)
        for key, name in test.names.items():
            passed = answer["results"].get(key, np.nan)
            if not passed and passed is not None:
                found.append(Fault(name, _is_meant(mol, key, answer)))
    return found


def _is_meant(mol: Chem.Mol, key: str, answer: dict[str, Any]) -> bool:
    if key == CLASHES:
        return not answer["results"][OVERLAPS]
    if key != "flatness_passes":
        return True
    details = answer["details"]
    groups = zip(details["type"], details["planar_group"], details["flatness_passes"], strict=True)
    return any(_is_meant_for(mol, kind, atoms) for kind, atoms, passed in groups if not passed)


def _is_meant_for(mol: Chem.Mol, kind: str, atoms: tuple[int, ...]) -> bool:
    """Whether a group has to be flat, or must not be."""
    if "double_bond" in kind:
        carbons = atoms[0], atoms[3]  # [C](*)(*)=[C](*)(*)
        return not any(_is_fused_into_small_ring(mol, atom) for atom in carbons)
    if kind.startswith("non-aromatic"):
        sp3 = Chem.HybridizationType.SP3
        return sum(mol.GetAtomWithIdx(i).GetHybridization() == sp3 for i in atoms) >= _MANY_SP3
    return True


def _is_fused_into_small_ring(mol: Chem.Mol, atom: int) -> bool:
    sizes = mol.GetRingInfo().AtomRingSizes(atom)
    return len(sizes) > 1 and min(sizes) <= _SMALL_RING


@CHECKS.register("posebusters")
@dataclass(frozen=True)
class PoseBusters(BaseCheck):
    """PoseBusters' tests of bonds, angles, clashes and flatness, where each is meant.

    Buttenschoen, Morris and Deane, Chem. Sci. 15, 3130 (2024). A molecule without a structure, or
    in pieces, fails. Three of the tests were made for ligands of proteins and blame others at their
    minima of quantum chemistry. They judge here only what they are meant for: flatness of double
    bonds but those of a carbon shared by two rings, one of
    at most five atoms, which is a pyramid; puckers of rings of six with four sp3 atoms or more,
    as others are conjugated; and clashes of atoms that overlap, as bounds of atoms four bonds
    apart are those of one of several torsions. ``posebusters_as_published`` is without that.

    Parameters
    ----------
    energy : bool
        Also the energy beside that of fifty conformers, which takes seconds a molecule.
    """

    name = "posebusters"
    slow = True
    packages = ("posebusters",)
    columns = {
        "posebusters_as_published": Column(
            "passes PoseBusters' tests as they are", "share", "higher"
        )
    }
    energy: bool = False

    def __call__(self, view: MoleculeView) -> Outcome:
        if view.mol is None:
            return judged(False, view.reason or "", posebusters_as_published=False)
        found = faults(view.mol, "mol" if self.energy else "mol_fast")
        meant = [fault.name for fault in found if fault.meant]
        return judged(not meant, ", ".join(meant), posebusters_as_published=not found)
