"""Conformers in files beside a reference, molecule by molecule."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.errors import MoleculeError
from deepchem_ead.judging import judge_conformers
from deepchem_ead.metrics import evaluate_conformers


def embedded(smiles: str, n: int, seed: int) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, n, randomSeed=seed)
    return mol


def write(path, mols, shuffled=False):
    """A record a conformer; in any order, and atoms in any order."""
    rng = np.random.default_rng(0)
    records = [Chem.Mol(m, False, c.GetId()) for m in mols for c in m.GetConformers()]
    if shuffled:
        records = [
            Chem.RenumberAtoms(records[k], rng.permutation(records[k].GetNumAtoms()).tolist())
            for k in rng.permutation(len(records))
        ]
    with Chem.SDWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def test_files_say_what_molecules_say(tmp_path):
    smiles = ["CCCO", "C[C@H](O)CF", "CCNC(C)=O"]
    wanted, shown = ([embedded(s, n, seed) for s in smiles] for n, seed in ((4, 1), (8, 2)))
    found = judge_conformers(
        write(tmp_path / "a.sdf", shown, shuffled=True), write(tmp_path / "b.sdf", wanted)
    )
    expected = evaluate_conformers(wanted, shown).summary
    assert np.allclose(found.report.summary.to_numpy(float), expected.to_numpy(float), atol=1e-3)
    assert found.smiles == smiles and found.without_reference == {}


def test_what_lacks_a_partner_is_counted_or_told(tmp_path):
    reference = write(tmp_path / "b.sdf", [embedded(s, 2, 1) for s in ("CCO", "CCN")])
    found = judge_conformers(
        write(tmp_path / "a.sdf", [embedded(s, 3, 1) for s in ("CCO", "CCF")]), reference
    )
    assert found.report.per_molecule["failed"].tolist() == [False, False, True, True]
    assert found.without_reference == {"CCF": 3}
    with pytest.raises(MoleculeError, match="has no molecule of"):
        judge_conformers(write(tmp_path / "c.sdf", [embedded("CCF", 1, 1)]), reference)


def test_another_stereo_is_not_kept_unless_it_is_a_molecule_of_the_reference(tmp_path):
    one, other = embedded("C[C@H](O)F", 2, 1), embedded("C[C@@H](O)F", 2, 1)
    shown = write(tmp_path / "a.sdf", [one, other])
    found = judge_conformers(shown, write(tmp_path / "b.sdf", [one])).report
    assert found.per_molecule["stereo_kept"].iloc[0] == 0.5
    found = judge_conformers(shown, write(tmp_path / "c.sdf", [one, other])).report
    assert found.per_molecule["stereo_kept"].tolist() == [1.0] * 4
