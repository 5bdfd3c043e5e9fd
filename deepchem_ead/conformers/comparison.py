"""Energies of a molecule's forms: which can be compared, and how those are that cannot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from deepchem_ead.chem.forms import neutral
from deepchem_ead.conformers import protonation
from deepchem_ead.conformers.ensemble import Ensemble, set_energies
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.potentials.levels import Level

_REMEDY = "relaxed with GFN2-xTB in water (solvent water) they can be estimated"


def compare_energies(ensembles: Sequence[Ensemble], options: ConformerOptions) -> None:
    """Energies of a molecule's forms above the lowest of those that they can be compared with.

    These are forms of one composition, and at a level that knows no energies of reaction those of
    one constitution. Between forms that differ in protons only, free energies at ``options.ph`` are
    estimated where the level allows it. Every ensemble says what its energies compare with.
    """
    level = options.level
    if level is None or len(ensembles) < 2:
        return
    groups: dict[str, list[Ensemble]] = defaultdict(list)
    for ensemble in ensembles:
        groups[_key(ensemble.mol, level)].append(ensemble)
    for group in groups.values():
        set_energies(group, options.temperature)
        of = CalcMolFormula(group[0].mol)
        what = "one composition" if level.comparable else "one constitution"
        for ensemble in group:
            ensemble.compared = (
                f"{len(group)} of {len(ensembles)} forms, of {what} ({of})"
                if len(group) > 1
                else f"no other of {len(ensembles)} forms"
            )
        _note_zwitterions(group)
    if len(groups) > 1:
        estimated = _estimate(ensembles, options, level)
        for ensemble in ensembles:
            ensemble.notes.append(_between(estimated, options, level))


def _key(mol: Chem.Mol, level: Level) -> str:
    if level.comparable:
        return CalcMolFormula(mol)
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def _between(estimated: bool, options: ConformerOptions, level: Level) -> str:
    if estimated:
        return (
            f"form_free_energy is of protonation states in water of pH {options.ph:g}, estimated "
            f"to {protonation.ERROR:g} kcal/mol for each proton"
        )
    said = "its energies cannot be compared with those of the molecule's other forms"
    return f"{said}: {_REMEDY}" if level.comparable else said


def _note_zwitterions(group: Sequence[Ensemble]) -> None:
    charged = [_has_moved_protons(ensemble.mol) for ensemble in group]
    if any(charged) and not all(charged):
        for ensemble in group:
            ensemble.notes.append(
                "one of the compared forms is a zwitterion: GFN2-xTB in ALPB water puts separated "
                "charges about 10 kcal/mol too high, in the gas phase far more"
            )


def _has_moved_protons(mol: Chem.Mol) -> bool:
    """Whether it has charges that protons could take away."""
    bare = Chem.RemoveHs(mol)
    before = [atom.GetFormalCharge() for atom in bare.GetAtoms()]
    after = [atom.GetFormalCharge() for atom in neutral(bare).GetAtoms()]
    return sum(map(abs, before)) > sum(map(abs, after)) + abs(sum(before))


def _estimate(ensembles: Sequence[Ensemble], options: ConformerOptions, level: Level) -> bool:
    """Whether free energies of forms that differ in protons only were written."""
    relaxed = options.relax_level
    if relaxed is not level or level.name != protonation.LEVEL:
        return False
    protons = [_hydrogens(e.mol) for e in ensembles]
    charges = [Chem.GetFormalCharge(e.mol) for e in ensembles]
    skeletons = {_skeleton(e.mol) for e in ensembles}
    neutrals = {n - charge for n, charge in zip(protons, charges, strict=True)}
    if len(skeletons) > 1 or len(neutrals) > 1:
        return False
    lowest: dict[int, float] = {}
    for n, ensemble in zip(protons, ensembles, strict=True):
        lowest[n] = min(lowest.get(n, float("inf")), _lowest(ensemble))
    states = protonation.free_energies(lowest, neutrals.pop(), options.ph)
    found = [states[n] + _lowest(e) - lowest[n] for n, e in zip(protons, ensembles, strict=True)]
    for ensemble, value in zip(ensembles, found, strict=True):
        ensemble.form_free_energy = value - min(found)
    return True


def _lowest(ensemble: Ensemble) -> float:
    assert ensemble.energies is not None
    return float(ensemble.energies.min())


def _hydrogens(mol: Chem.Mol) -> int:
    return sum(atom.GetAtomicNum() == 1 for atom in mol.GetAtoms())


def _skeleton(mol: Chem.Mol) -> tuple[int, ...]:
    return tuple(sorted(a.GetAtomicNum() for a in mol.GetAtoms() if a.GetAtomicNum() > 1))
