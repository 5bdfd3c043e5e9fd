"""Warnings of the package name the line of the user's code that they are about."""

import warnings
from pathlib import Path

import deepchem as dc
import pytest
from chem_data import qm9

import deepchem_ead
from deepchem_ead import EGNNPropertyModel, Molecule3DFeaturizer, MoleculeBatch
from deepchem_ead.molnet import load_file_3d

TINY = {"n_layers": 1, "n_features": 32}


@pytest.fixture
def half(tmp_path):
    """A file whose second record is cut."""
    path = tmp_path / "half.xyz"
    path.write_text("2\nh2\nH 0 0 0\nH 0 0 0.74\n2\ncut\nH 0 0 0\n", encoding="utf-8")
    return path


@pytest.fixture
def charged():
    molecules, _ = qm9()
    return MoleculeBatch.from_padded(molecules[:4].to_padded(), charges=[0, 1, 0, 0])


@pytest.fixture
def dataset(charged):
    with warnings.catch_warnings(action="ignore"):
        return charged.to_dataset()


def through_a_loader():
    loader = dc.data.InMemoryLoader(["y"], featurizer=Molecule3DFeaturizer(12))
    loader.create_dataset([("CO", 1.0, 1.0, "a"), ("?", 2.0, 1.0, "b")])


WARNINGS = {
    "a record left out": lambda t: MoleculeBatch.read(t("half"), on_error="skip"),
    "a record left out of a dataset": lambda t: load_file_3d(t("half"), splitter=None),
    "charges in a dataset": lambda t: t("charged").to_dataset(),
    "charges in a prediction": lambda t: EGNNPropertyModel(["y"], **TINY).predict(t("dataset")),
    "DeepChem calls the featurizer": lambda t: Molecule3DFeaturizer(12).featurize(["?"]),
    "DeepChem's loader does": lambda t: through_a_loader(),
}


@pytest.mark.parametrize("call", WARNINGS.values(), ids=WARNINGS)
def test_warnings_name_the_callers_line(call, request):
    with warnings.catch_warnings(record=True, action="always") as caught:
        call(request.getfixturevalue)
    told = [w for w in caught if w.category is UserWarning]
    assert told and {w.filename for w in told} == {__file__}
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    lines = [source[w.lineno - 1] for w in told]
    assert all("lambda t" in line or "loader." in line for line in lines)


def test_a_warning_is_shown_once_a_line(half):
    with warnings.catch_warnings(record=True, action="default") as caught:
        for _ in range(3):
            MoleculeBatch.read(half, on_error="skip")
    assert len(caught) == 1


def test_nothing_in_the_package_counts_its_own_frames():
    package = Path(deepchem_ead.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [str(path) for path, text in texts.items() if "warnings.warn(" in text] == []
