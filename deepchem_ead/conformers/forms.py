"""Forms of a molecule: stereoisomers, tautomers and protonation states, on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdkit import Chem, rdBase
from rdkit.Chem.EnumerateStereoisomers import EnumerateStereoisomers, StereoEnumerationOptions
from rdkit.Chem.MolStandardize import rdMolStandardize

from deepchem_ead.chem.forms import neutral, physiological
from deepchem_ead.chem.stereo import open_stereo

KINDS = ("protonation", "tautomers", "stereo")
#: Forms of a molecule, at most.
MAX_FORMS = 32


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes
    ----------
    mol : rdkit.Chem.Mol
        Without explicit hydrogens where anything was enumerated, its atoms in the input's order.
    label : str
        "given", or what it is, as in "physiological, tautomer 2, stereoisomer 1".
    """

    mol: Chem.Mol
    label: str = "given"


def enumerate_forms(
    mol: Chem.Mol, kinds: Sequence[str], most: int = MAX_FORMS
) -> tuple[list[Form], bool]:
    """Forms of a molecule, each once, and whether there are more than ``most``.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    kinds : sequence of {"protonation", "tautomers", "stereo"}
        "protonation": as given, neutral, and as in water of pH 7.4; "tautomers": RDKit's rules,
        with the molecule's configurations where they are still there; "stereo": what is not
        specified. In this order whatever the order of the names, each of what the one before has
        given.

    Raises
    ------
    ValueError
        For another kind, or ``most`` below 1.
    """
    check_kinds(kinds, most)
    if not kinds:
        return [Form(mol)], False
    with rdBase.BlockLogs():
        forms = [Form(Chem.RemoveHs(mol))]
        if "protonation" in kinds:
            forms = [new for form in forms for new in _protonation_states(form)]
        if "tautomers" in kinds:
            forms = [new for form in forms for new in _tautomers(form, most)]
        if "stereo" in kinds:
            forms = [new for form in forms for new in _stereoisomers(form, most)]
    found: dict[str, Form] = {}
    for form in forms:
        found.setdefault(Chem.MolToSmiles(form.mol), form)
    distinct = list(found.values())
    return distinct[:most], len(distinct) > most


def check_kinds(kinds: Sequence[str], most: int) -> None:
    """Refuse what `enumerate_forms` refuses."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"enumerate {unknown[0]!r}: choose {', '.join(KINDS)}")
    if most < 1:
        raise ValueError(f"at most {most} forms: must be 1 or more")


def _joined(label: str, more: str) -> str:
    return more if label == "given" else f"{label}, {more}"


def _protonation_states(form: Form) -> list[Form]:
    plain = neutral(form.mol)
    return [
        form,
        Form(plain, _joined(form.label, "neutral")),
        Form(physiological(plain, keep_order=True), _joined(form.label, "physiological")),
    ]


def _tautomers(form: Form, most: int) -> list[Form]:
    enumerator = rdMolStandardize.TautomerEnumerator()
    enumerator.SetMaxTautomers(most + 1)
    # What is specified stays so where it is still there: a racemate is no tautomer of alanine.
    enumerator.SetRemoveSp3Stereo(False)
    enumerator.SetRemoveBondStereo(False)
    own = _constitution(form.mol)
    others: dict[str, Chem.Mol] = {}
    for mol in enumerator.Enumerate(form.mol):
        same = others.setdefault(_constitution(mol), mol)
        if len(open_stereo(mol)) < len(open_stereo(same)):
            others[_constitution(mol)] = mol
    others.pop(own, None)
    found = enumerate(others.values(), 2)
    return [form, *(Form(mol, _joined(form.label, f"tautomer {k}")) for k, mol in found)]


def _constitution(mol: Chem.Mol) -> str:
    bare = Chem.Mol(mol)
    Chem.RemoveStereochemistry(bare)
    return Chem.MolToSmiles(bare)


def _stereoisomers(form: Form, most: int) -> list[Form]:
    options = StereoEnumerationOptions(unique=True, onlyUnassigned=True, maxIsomers=most + 1)
    isomers = list(EnumerateStereoisomers(form.mol, options))
    if len(isomers) < 2:
        return [Form(isomers[0] if isomers else form.mol, form.label)]
    return [Form(mol, _joined(form.label, f"stereoisomer {k}")) for k, mol in enumerate(isomers, 1)]
