"""A package of its own brings parts by an entry point, and they keep the contracts of ours."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from deepchem.data import NumpyDataset
from registries import registries, restore_registries

from deepchem_ead import EADModel, MoleculeBatch, registry
from deepchem_ead.generation.given import Given
from deepchem_ead.molnet import DATASETS
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.testing import DenoiserTests, MetricTests, SamplerTests
from deepchem_ead.training.noising import training_noise

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module", autouse=True)
def outside(tmp_path_factory):
    """An installed distribution with the parts of docs/extending.md, whose names are then free."""
    folder = tmp_path_factory.mktemp("site-packages")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    (folder / "outside_parts.py").write_text("\n".join(blocks[:-1]))  # all but their use
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[deepchem_ead.extensions]\nbroken = no_such_module\nparts = outside_parts\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        restore_registries(patch)
        patch.setattr(registry, "_loaded", False)
        patch.syspath_prepend(folder)
        yield folder
    sys.modules.pop("outside_parts", None)


class TestOutsideDenoiser(DenoiserTests):
    denoiser = "pairs"


class TestOutsideSchedule(SamplerTests):
    schedule, repeat_rule, symmetric = "halving", "wait", False


class TestOutsideMetric(MetricTests):
    metric, options = "small_rings", {}

    def test_options_are_fields(self):
        from deepchem_ead.metrics import GenerativeMetric

        cyclopropane_like = MoleculeBatch.from_padded(load_sample()[0].to_padded(29)[:400])
        three, four = (
            GenerativeMetric("small_rings", largest=n).compute_metric(cyclopropane_like)
            for n in (3, 4)
        )
        assert 0 < three < four


def test_all_parts_are_found_by_name_and_a_broken_package_is_only_logged(caplog):
    registry._loaded = False
    with caplog.at_level("ERROR"):
        found = {what: set(each) for what, each in registries().items()}
    ours = {
        "denoiser": "pairs", "noise_schedule": "linear", "metric": "small_rings",
        "data set": "my-set", "schedule": "halving", "repeat_rule": "wait",
        "guide": "nearest-neighbour", "task": "one-atom", "check": "few_rings",
    }  # fmt: skip
    theirs = {"stepper": "ancestral", "grid": "arcsin"}
    assert all(name in found[what] for what, name in (ours | theirs).items())
    assert "the extension broken (no_such_module) cannot be loaded" in caplog.text


def test_a_model_of_outside_parts_trains_saves_and_generates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, _ = load_sample()
    rows = slice(0, 40)
    batch = MoleculeBatch.from_padded(
        table.to_padded(29)[rows], properties={"gap": table.properties["gap"][rows]}
    )
    batch.to_sdf("my_molecules.sdf")
    train, valid, test = DATASETS["my-set"].parts(["gap"])
    assert len(train) + len(valid) + len(test) == 40 and train.y.shape[1] == 1
    with pytest.raises(ValueError, match="my-set has no property 'mu'; it has gap"):
        DATASETS["my-set"].parts(["mu"])
    options = {"n_layers": 1, "n_features": 16, "length": 3.0, "noise_schedule": "linear"}
    model = EADModel(denoiser="pairs", model_dir=str(tmp_path / "model"), **options)
    model.fit(train, nb_epoch=1)
    model.save_pretrained(tmp_path / "weights")
    loaded = EADModel.from_pretrained(tmp_path / "weights")
    assert type(loaded.model.denoiser).__module__ == import_module("outside_parts").__name__
    assert loaded.model.process.schedule.alpha[500] == pytest.approx(0.5**0.5)
    one, other = (
        m.generate(2, "halving", repeat_rule="wait", steps=3, seed=0, progress=False)
        for m in (model, loaded)
    )
    assert np.array_equal(one.coordinates, other.coordinates)


def test_a_task_of_outside_is_trained_and_asked_for():
    X = load_sample()[0].to_padded(29)[:16]
    model = EADModel(
        preset="qm9-small", n_layers=1, n_features=16, batch_size=8, tasks="free=3,one-atom"
    )
    model.fit(NumpyDataset(X), nb_epoch=1)
    unknown = []
    for tasks in ("one-atom", "free"):
        batch = model.encoding.encode(X)
        levels, *_ = training_noise(batch, replace(model.config, tasks=tasks), 0)
        unknown.append(batch.layout.sum((levels > 0).long()))
    assert (unknown[0] <= 1).all() and unknown[0].any() and (unknown[1] > 1).any()
    part = MoleculeBatch.from_arrays([[6, 1]], [[[9.0, 9, 9], [10, 9, 9]]])
    found = model.generate(1, n_atoms=3, steps=2, progress=False, start=Given(part, "one-atom"))
    assert np.array_equal(found.coordinates[:2], part.coordinates)
