"""Levels of theory by name: the energy of a molecule at positions, and its minimum near by."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from deepchem_ead.cache import cache_folder
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.forms import is_neutral
from deepchem_ead.errors import MoleculeError
from deepchem_ead.potentials.ani2xt import NETWORKS, ANI2xt
from deepchem_ead.potentials.minimise import minimise
from deepchem_ead.potentials.model_hessian import model_hessian
from deepchem_ead.potentials.wheels import AUTO3D, ani2xt_parameters, fetch_wheel

EV_PER_HARTREE = 27.211386245988
KCAL_PER_EV = 23.060547830619
#: kcal/mol/K.
GAS_CONSTANT = 1.987204258640832e-3
BOHR = 0.529177210903  # Angstrom

#: Solvents that ALPB has parameters for with GFN2-xTB.
SOLVENTS = (
    "acetone", "acetonitrile", "aniline", "benzaldehyde", "benzene", "ch2cl2", "chcl3", "cs2",
    "dioxane", "dmf", "dmso", "ethanol", "ether", "ethylacetate", "furane", "hexadecane", "hexane",
    "methanol", "nitromethane", "octanol", "phenol", "thf", "toluene", "water", "woctanol",
)  # fmt: skip

#: Largest force at a minimum, eV/Angstrom, and steps to it.
MAX_FORCE = 0.05
MAX_STEPS = 300
_MMFF_STEPS = 5000

#: Positions (n, 3) in Angstrom to the energy in eV and its gradient (n, 3) in eV/Angstrom.
Surface = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Minimum(NamedTuple):
    """A minimum: positions (n, 3) in Angstrom and the energy there in kcal/mol."""

    positions: np.ndarray
    energy: float


class Level(Protocol):
    """A level of theory.

    Attributes
    ----------
    name, label : str
        For programs and for people.
    comparable : bool
        Whether energies of molecules with other bonds and the same formula can be compared.
    """

    name: str
    label: str
    comparable: bool

    def check(self, mol: Chem.Mol) -> None:
        """Refuse a molecule that the level does not know, or a level that cannot be had here.

        Raises
        ------
        MoleculeError
        ImportError, FileNotFoundError
            With a remedy.
        """

    def energy(self, mol: Chem.Mol, positions: np.ndarray) -> float:
        """Energy in kcal/mol of a molecule with explicit hydrogens at positions (n, 3).

        Raises
        ------
        MoleculeError
            If the level does not know such molecules.
        """

    def relax(self, mol: Chem.Mol, positions: np.ndarray) -> Minimum:
        """The minimum that the positions lead to.

        Raises
        ------
        MoleculeError
            If the level does not know such molecules, or no minimum is found.
        """


class MMFF94s:
    """RDKit's force field: milliseconds; energies of other bonds are no energies of reaction."""

    name, label, comparable = "mmff94s", "MMFF94s", False

    def check(self, mol: Chem.Mol) -> None:
        _parameters(mol)

    def energy(self, mol: Chem.Mol, positions: np.ndarray) -> float:
        moved = placed(mol, positions)  # which the force field does not keep alive
        return _force_field(moved).CalcEnergy()

    def relax(self, mol: Chem.Mol, positions: np.ndarray) -> Minimum:
        moved = placed(mol, positions)
        field = _force_field(moved)
        if field.Minimize(maxIts=_MMFF_STEPS):
            raise MoleculeError(f"MMFF94s found no minimum in {_MMFF_STEPS} steps")
        return Minimum(moved.GetConformer().GetPositions(), field.CalcEnergy())


class SmoothLevel:
    """A level that is minimised by its gradient; subclasses say their `surface`.

    Attributes
    ----------
    max_force : float
        Largest force at a minimum, eV/Angstrom.
    """

    name, label, comparable = "", "", True
    max_force = MAX_FORCE

    def surface(self, mol: Chem.Mol) -> Surface:
        """Energy and gradient of a molecule as a function of its positions."""
        raise NotImplementedError

    def check(self, mol: Chem.Mol) -> None:
        self.surface(mol)

    def knows(self, mol: Chem.Mol) -> bool:
        """Whether it has an energy of such molecules."""
        try:
            self.check(mol)
        except MoleculeError:
            return False
        return True

    def energy(self, mol: Chem.Mol, positions: np.ndarray) -> float:
        return self.surface(mol)(positions)[0] * KCAL_PER_EV

    def relax(self, mol: Chem.Mol, positions: np.ndarray) -> Minimum:
        found, energy = self.descend(mol, positions)
        return Minimum(found, energy * KCAL_PER_EV)

    def descend(self, mol: Chem.Mol, positions: np.ndarray) -> tuple[np.ndarray, float]:
        """Positions and energy (eV) of the minimum that the positions lead to."""
        hessian = model_hessian(placed(mol, positions))
        found, energy, converged = minimise(
            self.surface(mol), positions, hessian, self.max_force, MAX_STEPS
        )
        if not converged:
            raise MoleculeError(f"{self.label} found no minimum in {MAX_STEPS} steps")
        return found, energy


class ANI2xtLevel(SmoothLevel):
    """ANI-2xt for neutral molecules of H, C, N, O, F, S and Cl.

    Parameters
    ----------
    network : ANI2xt, optional
        By default the published one; its file is downloaded when it is first used.
    """

    name, label = "ani2xt", "ANI-2xt"

    def __init__(self, network: ANI2xt | None = None) -> None:
        self._network = network

    def surface(self, mol: Chem.Mol) -> Surface:
        numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        others = sorted({symbol_of(z) for z in set(numbers.tolist()) - set(NETWORKS)})
        if others:
            raise MoleculeError(
                f"ANI-2xt does not know {', '.join(others)}; it knows H, C, N, O, F, S and Cl: "
                "take gfn2 or mmff94"
            )
        if not is_neutral(Chem.RemoveHs(mol)) or _radicals(mol):
            raise MoleculeError(
                "ANI-2xt knows neutral molecules only: take gfn2 or mmff94 for this one"
            )
        self._network = self._network or _published_ani2xt()
        in_hartree = self._network.energy_of(numbers)

        def in_ev(positions: np.ndarray) -> tuple[float, np.ndarray]:
            energy, gradient = in_hartree(positions)
            return energy * EV_PER_HARTREE, gradient * EV_PER_HARTREE

        return in_ev


class GFN2(SmoothLevel):
    """GFN2-xTB, by the package tblite: all elements, charges and radicals.

    Parameters
    ----------
    max_force : float
        At a minimum, eV/Angstrom.
    solvent : str, optional
        One of `SOLVENTS`, as a continuum (ALPB [1]_); energies then hold the free energy of
        solvation. Default: the gas phase.

    References
    ----------
    .. [1] Ehlert, Stahn, Spicher and Grimme, "Robust and Efficient Implicit Solvation Model for
       Fast Semiempirical Methods", J. Chem. Theory Comput. 17, 4250 (2021).
    """

    name, label = "gfn2", "GFN2-xTB"

    def __init__(self, max_force: float = MAX_FORCE, solvent: str | None = None) -> None:
        self.max_force, self.solvent = max_force, solvent
        if solvent is not None:
            if solvent not in SOLVENTS:
                raise ValueError(f"solvent={solvent!r}: choose {', '.join(SOLVENTS)}")
            self.name, self.label = f"gfn2-alpb-{solvent}", f"GFN2-xTB in {solvent} (ALPB)"

    def surface(self, mol: Chem.Mol) -> Surface:
        try:
            from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
            from tblite.interface import Calculator
        except ImportError as error:
            raise ImportError(
                f"GFN2-xTB needs tblite, which cannot be imported here ({error}): "
                "pip install 'deepchem_ead[judge]'"
            ) from error

        numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        charge, unpaired = Chem.GetFormalCharge(mol), _radicals(mol)
        latest: list = []

        def in_ev(positions: np.ndarray) -> tuple[float, np.ndarray]:
            try:
                if not latest:
                    calculator = Calculator(
                        "GFN2-xTB", numbers, positions / BOHR, float(charge), unpaired
                    )
                    calculator.set("verbosity", 0)
                    if self.solvent is not None:
                        calculator.add("alpb-solvation", self.solvent)
                    latest[:] = [calculator, calculator.singlepoint()]
                else:
                    latest[0].update(positions=positions / BOHR)
                    latest[1] = latest[0].singlepoint(latest[1])
            except (TBLiteRuntimeError, TBLiteValueError, np.linalg.LinAlgError) as error:
                raise MoleculeError(f"GFN2-xTB has no energy of it: {error}") from None
            found = latest[1]
            return found.get("energy") * EV_PER_HARTREE, (
                np.asarray(found.get("gradient")) * EV_PER_HARTREE / BOHR
            )

        return in_ev


#: Levels by the names that users give.
LEVELS: dict[str, Level] = {
    "mmff94": MMFF94s(),
    "mmff94s": MMFF94s(),
    "ani2xt": ANI2xtLevel(),
    "gfn2": GFN2(),
}


def find_level(name: str, what: str = "level", solvent: str | None = None) -> Level:
    """The level of a name; GFN2-xTB in a solvent if there is one, the others without.

    Raises
    ------
    ValueError
        If there is none; lists them.
    """
    try:
        found = LEVELS[name]
    except (KeyError, TypeError):
        raise ValueError(f"{what}={name!r}: choose mmff94, ani2xt or gfn2") from None
    return _dissolved(solvent) if solvent is not None and isinstance(found, GFN2) else found


@lru_cache
def _dissolved(solvent: str) -> GFN2:
    return GFN2(solvent=solvent)


def placed(mol: Chem.Mol, positions: np.ndarray) -> Chem.Mol:
    """A copy of a molecule with one conformer at positions (n, 3), Angstrom."""
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    conformer = Chem.Conformer(len(positions))
    conformer.SetPositions(np.ascontiguousarray(positions, dtype=np.float64))
    conformer.Set3D(True)
    copy.AddConformer(conformer, assignId=True)
    return copy


def _parameters(mol: Chem.Mol) -> Any:
    # RDKit changes the aromaticity of what it is given to the force field's own.
    with rdBase.BlockLogs():
        found = rdForceFieldHelpers.MMFFGetMoleculeProperties(Chem.Mol(mol), mmffVariant="MMFF94s")
    if found is None:
        raise MoleculeError("MMFF94s has no parameters for it; GFN2-xTB may have")
    return found


def _force_field(mol: Chem.Mol) -> Any:
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, _parameters(mol))


def _radicals(mol: Chem.Mol) -> int:
    return sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


@lru_cache(maxsize=1)
def _published_ani2xt() -> ANI2xt:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    fetch_wheel(AUTO3D, folder)
    return ANI2xt(ani2xt_parameters(folder))
