"""Conditional evaluation: what is asked, errors in the field's units, hits, and several judges."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import deepchem as dc
import numpy as np
import pytest
from property_data import small_model

from deepchem_ead import EADModel, EGNNPropertyModel, MoleculeBatch, cli, load_qm9_3d
from deepchem_ead.commands.jobs.datasets import conditional_data
from deepchem_ead.metrics import CONDITIONAL_ROWS, evaluate_conditional, reference_smiles
from deepchem_ead.metrics.conditional import _Progress
from deepchem_ead.metrics.conditional_targets import CV_PER_ATOM, LabelledMolecules
from deepchem_ead.models.predictors import as_predictor
from deepchem_ead.molnet.qm9 import task_values
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.molnet.splits import edm_halves
from deepchem_ead.sampling import PropertyGuidance
from deepchem_ead.viz import plot_targets

TASKS = ["alpha", "gap", "mu", "Cv"]
MEV = 27_211.4


@pytest.fixture(scope="module")
def table():
    return load_sample()[0].select(np.random.default_rng(1).permutation(2000)[:300])


@pytest.fixture(scope="module")
def dataset(table):
    return labelled(table, TASKS)


def labelled(table, tasks, **replaced) -> dc.data.DiskDataset:
    values = {task: task_values(table, task) for task in tasks} | replaced
    y = np.stack(list(values.values()), 1)
    shard = (table.to_padded(29), y, np.ones(y.shape), table.smiles.astype(object))
    return dc.data.DiskDataset.create_dataset([shard], tasks=list(values))


class Generator:
    """Returns given molecules and remembers what it was asked."""

    def __init__(self, molecules: MoleculeBatch) -> None:
        self.molecules, self.calls = molecules, []

    def generate(self, n, conditions, n_atoms, guidance_scale, seed, progress, callback, **more):
        self.calls.append({"n": n, "conditions": conditions, "n_atoms": n_atoms, "seed": seed,
                           "guidance_scale": guidance_scale, **more})  # fmt: skip
        callback({"step": 0, "n_steps": 1, "molecules": np.arange(n)})
        return self.molecules


class Oracle:
    """Knows the labels of a dataset's molecules by their coordinates; NaN for all others."""

    def __init__(self, dataset, tasks=None, shift=0.0) -> None:
        self.tasks = list(dataset.get_task_names()) if tasks is None else tasks
        columns = [list(dataset.get_task_names()).index(task) for task in self.tasks]
        self.known = {
            key(*atoms): row + shift
            for atoms, row in zip(each(molecules_of(dataset)), dataset.y[:, columns], strict=True)
        }

    def predict(self, molecules):
        unknown = np.full(len(self.tasks), np.nan)
        return np.array([self.known.get(key(*atoms), unknown) for atoms in each(molecules)])


class Told:
    """Says whatever it was given, for the generated molecules; the truth for all others."""

    def __init__(self, generator, truth, answer) -> None:
        self.generator, self.truth, self.answer, self.tasks = generator, truth, answer, truth.tasks

    def predict(self, molecules):
        if molecules is self.generator.molecules:
            return self.answer(
                self.generator.calls[-1]["conditions"], self.truth.predict(molecules)
            )
        return self.truth.predict(molecules)


def molecules_of(dataset, rows=slice(None)) -> MoleculeBatch:
    return MoleculeBatch.from_padded(dataset.X[rows])


def each(molecules):
    return zip(molecules.numbers, molecules.positions, strict=True)


def key(numbers, positions) -> bytes:
    return numbers.tobytes() + positions.tobytes()


def run(dataset, rows, tasks, oracle=None, **options):
    generator = Generator(molecules_of(dataset, rows))
    oracle = Oracle(dataset) if oracle is None else oracle
    options = {"n": len(rows), "progress": False} | options
    return evaluate_conditional(generator, oracle, dataset, tasks, **options), generator


def column(dataset, task, rows=slice(None)):
    return dataset.y[rows, list(dataset.get_task_names()).index(task)]


# -------------------------------------------------------------------------------------- requests


def test_properties_and_size_are_drawn_together(dataset):
    _, generator = run(dataset, np.arange(50), ["alpha", ("gap", "mu")], seed=3)
    alone, both = generator.calls
    sizes = (dataset.X[:, :, 3] > 0).sum(1)
    rows = [set(zip(column(dataset, task), sizes, strict=True)) for task in ("alpha", "gap", "mu")]
    assert set(alone["conditions"]) == {"alpha"} and set(both["conditions"]) == {"gap", "mu"}
    assert set(zip(alone["conditions"]["alpha"], alone["n_atoms"], strict=True)) <= rows[0]
    wanted = np.column_stack([both["conditions"]["gap"], both["conditions"]["mu"], both["n_atoms"]])
    known = np.column_stack([column(dataset, "gap"), column(dataset, "mu"), sizes])
    assert {tuple(row) for row in wanted} <= {tuple(row) for row in known}
    assert len({tuple(row) for row in wanted}) > 30


def test_draws_follow_the_seed_and_the_data(dataset):
    data = LabelledMolecules(dataset)
    one, same, other = (data.draw(["gap"], 40, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.rows, same.rows) and not np.array_equal(one.rows, other.rows)
    many = data.draw(["alpha"], 20_000, 0)
    drawn, real = (np.bincount(sizes, minlength=30) for sizes in (many.sizes, data.sizes))
    assert np.abs(drawn / 20_000 - real / 300).max() < 0.015
    assert many.values["alpha"].mean() == pytest.approx(column(dataset, "alpha").mean(), rel=0.01)


def test_unknown_labels_are_never_asked_for(table):
    gap = task_values(table, "gap")
    gap[::2] = np.nan
    dataset = labelled(table, ["gap", "mu"], gap=gap)
    dataset = dc.data.DiskDataset.create_dataset(
        [(dataset.X, np.nan_to_num(dataset.y), np.where(np.isnan(dataset.y), 0, 1), dataset.ids)],
        tasks=["gap", "mu"],
    )
    wanted = LabelledMolecules(dataset).draw(["gap"], 500, 0)
    assert (wanted.rows % 2 == 1).all() and (wanted.values["gap"] > 0).all()


def test_the_model_may_choose_the_size(dataset):
    _, drawn = run(dataset, np.arange(5), ["gap"])
    report, free = run(dataset, np.arange(5), ["gap"], n_atoms=None, guidance_scale=1.5, steps=7)
    assert free.calls[0]["n_atoms"] is None and drawn.calls[0]["n_atoms"] is not None
    assert (free.calls[0]["guidance_scale"], free.calls[0]["steps"]) == (1.5, 7)
    assert report.settings == {
        "n": 5, "seed": 0, "guidance_scale": 1.5, "n_atoms": None, "steps": 7
    }  # fmt: skip


def test_given_targets_may_lie_outside_the_data(dataset):
    report, generator = run(
        dataset, np.arange(4), None, targets={"gap": [0.2, 9.0, -1.0, 0.25], "mu": 2.0}
    )
    (call,) = generator.calls
    assert call["n_atoms"] is None
    assert call["conditions"]["mu"].tolist() == [2.0] * 4
    gap = report.result("gap", ("gap", "mu"))
    assert gap.n_outside == 2 and set(gap.baselines) == {"floor"}
    wanted = np.array([0.2, 9.0, -1.0, 0.25])
    expected = MEV * np.abs(column(dataset, "gap", np.arange(4)) - wanted).mean()
    assert gap.mae == pytest.approx(expected)
    assert "gap of gap + mu: 2 of 4 requests lie outside the data" in report.table()
    assert report.requests[0].size_kept is None


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("task, factor", [("alpha", 1), ("gap", MEV), ("mu", 1), ("Cv", 1)])
def test_errors_are_those_of_the_predictions_in_the_fields_units(dataset, task, factor):
    rows = np.arange(100, 160)
    report, generator = run(dataset, rows, [task])
    wanted = generator.calls[0]["conditions"][task]
    errors = factor * np.abs(column(dataset, task, rows) - wanted)
    result = report.result(task)
    assert result.mae == pytest.approx(errors.mean(), rel=1e-12)
    assert result.standard_error == pytest.approx(errors.std(ddof=1) / np.sqrt(60), rel=1e-12)
    assert result.median == pytest.approx(np.median(errors), rel=1e-12)
    assert result.unit == {"gap": "meV", "mu": "D", "alpha": "Bohr^3", "Cv": "cal/mol/K"}[task]
    records = report.records
    assert records.target.tolist() == wanted.tolist()
    assert records.prediction.tolist() == column(dataset, task, rows).tolist()
    assert records.molecule.tolist() == list(range(60))


def test_molecules_that_are_what_was_asked_for_have_no_error(dataset):
    rows = LabelledMolecules(dataset).draw(["gap"], 40, 5).rows
    report, _ = run(dataset, rows, ["gap"], seed=5)
    assert report.result("gap").mae == 0
    assert report.requests[0].within == report.requests[0].size_kept == 1


@pytest.mark.parametrize("known", ["Cv", "Cv_edm"])
def test_both_conventions_of_the_heat_capacity(table, known):
    assert np.allclose(
        task_values(table, "Cv") - CV_PER_ATOM * table.n_atoms, task_values(table, "Cv_edm")
    )
    dataset = labelled(table, [known])
    rows = np.arange(30)
    report, generator = run(dataset, rows, [known])
    sizes = table.n_atoms
    wanted, asked_sizes = generator.calls[0]["conditions"][known], generator.calls[0]["n_atoms"]
    sign = 1 if known == "Cv_edm" else -1
    other = "Cv" if known == "Cv_edm" else "Cv_edm"
    plain = np.abs(column(dataset, known, rows) - wanted)
    shifted = np.abs(
        (column(dataset, known, rows) + sign * 2.981 * sizes[rows])
        - (wanted + sign * 2.981 * asked_sizes)
    )
    assert report.result(known).mae == pytest.approx(plain.mean())
    assert report.result(other).mae == pytest.approx(shifted.mean())
    assert abs(plain.mean() - shifted.mean()) > 0.5
    assert len(report.requests) == 1 and set(report.records.task) == {known}


def test_an_oracle_of_the_other_convention_is_translated(table):
    rows = np.arange(30)
    dataset = labelled(table, ["Cv"])
    direct, _ = run(dataset, rows, ["Cv"])
    translated, _ = run(dataset, rows, ["Cv"], oracle=Oracle(labelled(table, ["Cv_edm"])))
    for task in ("Cv", "Cv_edm"):
        assert translated.result(task).mae == pytest.approx(direct.result(task).mae)


def test_baselines_and_floor(dataset):
    rows = np.arange(50)
    report, _ = run(dataset, rows, ["gap"], oracle=Oracle(dataset, shift=0.003))
    gap = column(dataset, "gap")
    measured = report.result("gap").baselines
    assert measured["floor"] == pytest.approx(0.003 * MEV)
    assert measured["mean"] == pytest.approx(MEV * np.abs(gap - gap.mean()).mean())
    assert measured["shuffled"] == pytest.approx(MEV * np.abs(gap[:, None] - gap).mean())
    assert 0.5 * measured["mean"] < measured["atoms"] < measured["mean"]
    halves = [dataset.select(range(150)), dataset.select(range(150, 300))]
    generator = Generator(molecules_of(dataset, rows))
    other = evaluate_conditional(
        generator, Oracle(dataset), halves[1], ["gap"], 50, fitted_on=halves[0], progress=False
    )
    means = np.abs(gap[150:] - gap[:150].mean()).mean()
    assert other.result("gap").baselines["mean"] == pytest.approx(MEV * means)


def test_what_cannot_be_judged_is_counted_and_never_met(dataset):
    rows = np.arange(20)
    oracle = Oracle(dataset)
    for atoms in list(each(molecules_of(dataset, rows)))[:5]:
        oracle.known[key(*atoms)] = np.array([np.nan, np.inf, np.nan, np.nan])
    wide = {"gap": 100.0}
    report, generator = run(dataset, rows, ["gap"], oracle=oracle, tolerance=wide)
    result = report.result("gap")
    wanted = generator.calls[0]["conditions"]["gap"][5:]
    assert (result.n, result.n_judged) == (20, 15)
    assert result.mae == pytest.approx(
        MEV * np.abs(column(dataset, "gap", rows[5:]) - wanted).mean()
    )
    assert report.requests[0].judged == report.requests[0].within == result.within == 0.75
    assert "could not judge 5 of 20 molecules" in report.table()
    assert report.records.prediction.isna().tolist() == [True] * 5 + [False] * 15

    nothing = Oracle(dataset)
    nothing.known = {}
    report, _ = run(dataset, rows, ["gap"], oracle=nothing, tolerance=wide)
    assert np.isnan(report.result("gap").mae) and report.requests[0].within == 0
    json.dumps(report.to_dict(), allow_nan=False)
    report.table()


# ------------------------------------------------------------------------------------------ hits


def test_only_valid_unique_and_novel_molecules_hit(dataset):
    """All predicted as asked: two copies, a broken one, a radical, two pieces, three known."""
    rows = np.arange(10)
    molecules = molecules_of(dataset, rows)
    numbers, positions = molecules.numbers, molecules.positions
    numbers[1], positions[1] = numbers[0], positions[0] + 1.0
    numbers[2], positions[2] = numbers[0], positions[0] - 1.0
    positions[3] = positions[3] * 0.3
    hydrogen = np.flatnonzero(numbers[4] == 1)[0]
    numbers[4], positions[4] = (np.delete(part, hydrogen, 0) for part in (numbers[4], positions[4]))
    hydrogen = np.flatnonzero(numbers[5] == 1)[0]
    positions[5] = positions[5].copy()
    positions[5][hydrogen] += 20.0
    generator = Generator(MoleculeBatch.from_arrays(numbers, positions))
    oracle = Told(generator, Oracle(dataset), lambda asked, _: np.tile(asked["gap"], (4, 1)).T)
    reference = reference_smiles(molecules_of(dataset, [7, 8, 9]))
    assert len(reference) == 3

    def judged(**options):
        return evaluate_conditional(
            generator, oracle, dataset, ["gap"], n=10, reference=reference, progress=False,
            **options,
        )  # fmt: skip

    report = judged()
    request, records = report.requests[0], report.records
    assert (request.within, request.valid) == (1.0, 0.9)
    assert records.hit.tolist() == [True, *[False] * 3, True, False, True, *[False] * 3]
    assert records.novel.tolist() == [True] * 3 + [False] + [True] * 3 + [False] * 3
    assert request.hits == 0.3
    assert request.strict_hits == 0.2 and not records.strict[4]
    assert report.result("gap").valid_mae == report.result("gap").mae == 0
    everything_known = evaluate_conditional(
        generator, oracle, dataset, ["gap"], n=10, reference=generator.molecules, progress=False
    )
    assert everything_known.requests[0].hits == 0
    oracle.answer = lambda asked, _: np.tile(asked["gap"] + 0.02, (4, 1)).T
    assert judged(tolerance={"gap": 0.0199}).requests[0].within == 0
    assert judged(tolerance={"gap": 0.0201}).requests[0].hits == 0.3


def test_the_tolerance_is_a_tenth_of_the_spread_by_default(dataset):
    gap = column(dataset, "gap")
    mad = np.abs(gap - gap.mean()).mean()
    report, generator = run(dataset, np.arange(80), ["gap"], seed=2)
    assert report.result("gap").tolerance == pytest.approx(0.1 * mad * MEV)
    errors = np.abs(gap[:80] - generator.calls[0]["conditions"]["gap"])
    assert report.requests[0].within == (errors <= 0.1 * mad).mean() > 0
    pairs = (np.abs(gap[:, None] - gap) <= 0.1 * mad).mean()
    assert report.requests[0].chance == pytest.approx(pairs, rel=0.1)
    report, _ = run(dataset, np.arange(80), ["gap"], seed=2, tolerance=0.5)
    assert report.requests[0].within == (errors <= 0.5 * mad).mean()


def test_several_at_once_must_all_be_met(dataset):
    report, generator = run(dataset, np.arange(100), [("alpha", "mu"), "alpha"], tolerance=0.5)
    limits = {task: report.result(task, ("alpha", "mu")).tolerance for task in ("alpha", "mu")}
    asked = generator.calls[0]["conditions"]
    met = [
        np.abs(column(dataset, task, np.arange(100)) - asked[task]) <= limits[task]
        for task in ("alpha", "mu")
    ]
    both = report.requests[0]
    assert both.within == np.mean(met[0] & met[1]) > 0
    assert both.within < report.result("alpha", ("alpha", "mu")).within == np.mean(met[0])
    assert report.result("alpha", "alpha").asked == ("alpha",)
    assert both.chance < report.requests[1].chance
    records = report.records[report.records.asked == "alpha+mu"]
    assert records.task.value_counts().to_dict() == {"alpha": 100, "mu": 100}
    assert set(report.molecules) == {"alpha+mu", "alpha"}


# --------------------------------------------------------------------------------- second oracle


def second_opinion(dataset, first, second, rows=np.arange(80)):  # noqa: B008
    generator = Generator(molecules_of(dataset, rows))
    truth = Oracle(dataset, ["gap"])
    judges = [Told(generator, truth, answer) for answer in (first, second)]
    report = evaluate_conditional(
        generator, judges[0], dataset, ["gap"], len(rows), second_oracle=judges[1], progress=False
    )
    return report.result("gap").second, report, generator


def test_a_fooled_oracle_is_found_out(dataset):
    """The first says what it was asked, whatever the molecule is."""
    second, report, generator = second_opinion(
        dataset, lambda asked, _: asked["gap"][:, None], lambda _, true: true
    )
    wanted = generator.calls[0]["conditions"]["gap"]
    errors = MEV * np.abs(column(dataset, "gap", np.arange(80)) - wanted)
    assert report.result("gap").mae == 0
    assert second.mae == second.disagreement == pytest.approx(errors.mean())
    assert (second.real_disagreement, second.floor, second.n_judged) == (0, 0, 80)
    assert second.fooled
    assert "the first looks fooled" in report.table()


def test_honest_oracles_are_not_suspected(dataset):
    noise = 0.01 * np.random.default_rng(0).normal(size=(2, 80, 1))
    second, report, _ = second_opinion(
        dataset, lambda _, true: true + noise[0], lambda _, true: true + noise[1]
    )
    assert not second.fooled and "fooled" not in report.table()
    assert second.disagreement == pytest.approx(MEV * np.abs(noise[0] - noise[1]).mean())
    worse, _, _ = second_opinion(dataset, lambda _, true: true + 9 * noise[0], lambda _, true: true)
    assert not worse.fooled


def test_a_poor_second_oracle_is_no_evidence(dataset):
    """Its error on real molecules explains what it sees; the first is as good as it seems."""
    rows = LabelledMolecules(dataset).draw(["gap"], 80, 0).rows
    generator = Generator(molecules_of(dataset, rows))
    poor = Oracle(dataset, ["gap"], shift=0.05)
    report = evaluate_conditional(
        generator, Oracle(dataset), dataset, ["gap"], 80, second_oracle=poor, progress=False
    )
    second = report.result("gap").second
    assert report.result("gap").mae == 0
    assert second.mae == pytest.approx(0.05 * MEV) == second.floor
    assert not second.fooled
    assert report.records.second_prediction.notna().all()


# -------------------------------------------------------------------------------------- the report


def test_table_stands_beside_published_rows(dataset):
    report, _ = run(dataset, np.arange(40), ["gap", "Cv", ("gap", "mu")])
    lines = {line.split("  ")[0]: line for line in report.table(name="mine").splitlines()}
    published = {row.label: row for row in CONDITIONAL_ROWS}
    assert published["EAD (published)"].errors["gap"] == 564
    for label in ("EAD (published)", "EDM (published)", "classifier floor (published)"):
        shown = lines[label].split()[-4:]
        errors = published[label].errors
        assert shown == [f"{errors['gap']:g}", "-", f"{errors['Cv_edm']:g}", f"{errors['mu']:g}"]
    assert "gap, meV" in report.table() and "Cv (EDM), cal/mol/K" in report.table()
    result = report.result("gap")
    cell = f"{result.mae:,.0f}" if result.mae >= 1000 else f"{result.mae:.4g}"
    assert f"{cell} ± {result.standard_error:,.0f}" in lines["mine (n=40)"]
    assert "mine, gap + mu (n=40)" in lines
    for label in ("oracle on real molecules", "#Atoms", "mean", "shuffled"):
        assert f"{label} (measured)" in lines
    assert "published" not in report.table(rows=())
    widths = {len(line) for line in report.table().split("\n\n")[0].splitlines()[2:]}
    assert len(widths) == 1


def test_report_is_json(dataset):
    report, _ = run(dataset, np.arange(40), ["gap", ("gap", "mu")], second_oracle=Oracle(dataset))
    record = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert record["settings"]["n"] == 40
    assert [p["asked"] for p in record["properties"]] == [["gap"], ["gap", "mu"], ["gap", "mu"]]
    assert record["properties"][0]["mae"] == report.result("gap").mae
    assert record["properties"][0]["second"]["fooled"] is False
    with pytest.raises(KeyError, match="'alpha' was not asked for"):
        report.result("alpha")


def test_scatter_plot(dataset, tmp_path):
    from PIL import Image

    report, _ = run(dataset, np.arange(40), ["gap", ("gap", "mu"), "alpha"])
    path = plot_targets(report, tmp_path / "targets.png")
    with Image.open(path) as picture:
        assert picture.width > 3 * 400 and picture.height > 2 * 400
        assert len(set(picture.convert("RGB").resize((60, 40)).getdata())) > 20
    nothing = Oracle(dataset)
    nothing.known = {}
    plot_targets(run(dataset, np.arange(5), ["gap"], oracle=nothing)[0], tmp_path / "none.png")


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "options, text",
    [
        ({"tasks": ["zpve"]}, "the oracle predicts alpha, gap, mu, Cv, not 'zpve'"),
        ({"tasks": []}, "tasks is empty"),
        ({"tasks": ["gap"], "tolerance": {"mu": 1}}, "tolerance has no value for 'gap'"),
        ({"targets": {"gap": [1.0, 2.0]}}, "targets has 2 values of 'gap' for 5 molecules"),
        ({"targets": {"gap": float("nan")}}, "targets of 'gap' must be finite"),
        ({"tasks": ["mu"], "targets": {"gap": 0.2}}, "targets has no value of 'mu'; it has gap"),
        ({"tasks": ["gap"], "n": 4}, "there are 5 molecules for 4 requests"),
    ],
)
def test_refuses_what_cannot_be_judged(dataset, options, text):
    with pytest.raises(ValueError, match=text):
        run(dataset, np.arange(5), options.pop("tasks", None), **options)


def test_refuses_models_that_do_not_fit(dataset, table):
    short = Oracle(dataset)
    short.predict = lambda molecules: np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"shape \(3, 4\) for 5 molecules and 4 tasks"):
        run(dataset, np.arange(5), ["gap"], oracle=short)
    with pytest.raises(ValueError, match="the dataset has no task 'gap'; it has mu"):
        run(labelled(table, ["mu"]), np.arange(5), ["gap"], oracle=Oracle(dataset))
    plain = dc.models.MultitaskRegressor(1, 64, layer_sizes=[4])
    with pytest.raises(TypeError, match="MultitaskRegressor cannot judge .*as_predictor"):
        run(dataset, np.arange(5), ["gap"], oracle=plain)
    unconditional = EADModel("qm9-small", n_layers=1, n_features=32)
    with pytest.raises(ValueError, match="the model knows none"):
        evaluate_conditional(unconditional, Oracle(dataset), dataset, n=2)
    with pytest.raises(ValueError, match="the model knows no condition 'gap'"):
        evaluate_conditional(unconditional, Oracle(dataset), dataset, ["gap"], n=2)


def test_any_deepchem_model_can_judge(dataset):
    features = dc.feat.CircularFingerprint(size=64)
    model = dc.models.MultitaskRegressor(2, 64, layer_sizes=[4])
    report, _ = run(
        dataset, np.arange(30), ["gap"], oracle=as_predictor(model, features, tasks=["gap", "mu"])
    )
    invalid = sum(text is None for text in report.molecules["gap"].smiles)
    assert report.result("gap").n_judged == 30 - invalid
    assert np.isfinite(report.result("gap").mae)


# ---------------------------------------------------------------------------------- real models


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """Folders of a tiny conditional generator and two tiny oracles."""
    folder = tmp_path_factory.mktemp("models")
    options = {"n_layers": 1, "n_features": 32, "n_heads": 2, "timesteps": 20, "interval": 4}
    model = EADModel("qm9-conditional", conditions=["gap", "mu"], batch_size=32, **options)
    model.fit(dataset, nb_epoch=1)
    model.save_pretrained(folder / "generator")
    for seed in (0, 1):
        oracle = small_model(["gap", "mu", "Cv"], seed=seed)
        oracle.fit(dataset, nb_epoch=1)
        oracle.save_pretrained(folder / f"oracle{seed}")
    return folder


def test_a_guide_aims_at_the_requests(dataset, trained):
    """Gradient guidance without conditions: the requests replace the targets of the guide."""
    oracle = EGNNPropertyModel.from_pretrained(trained / "oracle0")
    model = EADModel("qm9-small", n_layers=1, n_features=32, timesteps=20, interval=4)
    options = {"tasks": ["mu"], "n": 8, "progress": False, "steps": 10}
    with pytest.raises(ValueError, match="the model knows no condition 'mu'"):
        evaluate_conditional(model, oracle, dataset, **options)
    guide = PropertyGuidance(oracle, targets={"gap": 0.0}, scale=50.0)
    report = evaluate_conditional(model, oracle, dataset, guide=guide, **options)
    assert report.settings["gradient_guidance"] == 50.0
    sizes = report.records.target_size.to_numpy()
    by_hand = replace(guide, targets={"mu": report.records.target.to_numpy()})
    made = {
        name: model.generate(8, seed=0, n_atoms=sizes, steps=10, guide=each, progress=False)
        for name, each in {"steered": by_hand, "free": None}.items()
    }
    coordinates = report.molecules["mu"].coordinates
    straight = evaluate_conditional(model, oracle, dataset, guide=oracle, **options)
    assert straight.settings["gradient_guidance"] is True
    usual = replace(by_hand, scale=PropertyGuidance.scale)
    made["straight"] = model.generate(
        8, seed=0, n_atoms=sizes, steps=10, guide=usual, progress=False
    )
    assert np.array_equal(straight.molecules["mu"].coordinates, made["straight"].coordinates)
    assert np.array_equal(coordinates, made["steered"].coordinates)
    assert not np.array_equal(coordinates, made["free"].coordinates)


def test_own_models_are_asked_and_judged(dataset, trained):
    model = EADModel.from_pretrained(trained / "generator")
    oracle = EGNNPropertyModel.from_pretrained(trained / "oracle0")
    one, same = (evaluate_conditional(model, oracle, dataset, n=12, seed=4) for _ in range(2))
    assert one == same and one.records.equals(same.records)
    assert [request.asked for request in one.requests] == [("gap",), ("mu",)]
    assert [request.size_kept for request in one.requests] == [1, 1]
    guided = evaluate_conditional(
        model, oracle, dataset, [("gap", "mu")], n=12, seed=4, guidance_scale=2.0, steps=10
    )
    predicted = oracle.predict_molecules(guided.molecules["gap+mu"])
    assert np.array_equal(guided.records.prediction, predicted[:, [0, 1]].T.ravel(), equal_nan=True)


def test_requests_come_from_the_generators_half(table, monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path))
    _, (train, _, _), _ = load_qm9_3d(tasks=["gap"], source="sample")
    first, second = edm_halves(len(train))
    dataset, fitted_on = conditional_data("qm9-sample", ["gap"])
    assert np.array_equal(dataset.X, train.X[second]) and np.array_equal(
        fitted_on.y, train.y[first]
    )
    mine = MoleculeBatch.from_padded(train.X[:20], properties={"gap": train.y[:20, 0]})
    mine.to_sdf(tmp_path / "mine.sdf")
    dataset, fitted_on = conditional_data(str(tmp_path / "mine.sdf"), ["gap"])
    assert np.allclose(dataset.y, train.y[:20]) and fitted_on is None


def test_progress_counts_steps_of_all_molecules(capsys):
    with _Progress(4, 2, True) as progress:
        progress.enter("gap")
        progress.step({"molecules": np.arange(3), "n_steps": 2})
        assert progress._bar.n == 1.5
        progress.judge("gap")
        assert progress._bar.n == 4
        progress.enter("mu")
        progress.judge("mu")
    assert "judging mu 100%" in capsys.readouterr().err


@pytest.fixture
def program(monkeypatch, capsys, tmp_path_factory):
    monkeypatch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path_factory.getbasetemp()))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["deepchem-ead", "evaluate", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as done:
            code = done.code or 0
        return code, *capsys.readouterr()

    return call


def test_command_line_prints_the_table(program, trained):
    words = ["--conditional", "--model", trained / "generator", "--oracle", trained / "oracle0",
             "--data", "qm9-sample", "--n", 6]  # fmt: skip
    code, out, err = program(
        *words, "--property", "gap", "--property", "gap, mu", "--guidance-scale", 1,
        "--second-oracle", trained / "oracle1",
    )  # fmt: skip
    assert code == 0, err
    for text in ("generator (n=6)", "generator, gap + mu (n=6)", "by second oracle",
                 "EAD (published)", "shuffled (measured)", "strict hits"):  # fmt: skip
        assert text in out
    assert "100%" in err and "12/12 molecules" in err
    code, out, _ = program(*words, "--property", "Cv", "--guide", trained / "oracle1", "--json")
    assert code == 0 and json.loads(out)["settings"]["gradient_guidance"] is True
    code, out, _ = program(*words, "--free-size", "--steps", 10, "--json")
    assert code == 0
    record = json.loads(out)
    assert [request["asked"] for request in record["requests"]] == [["gap"], ["mu"]]
    assert record["settings"]["n_atoms"] == "free" and record["settings"]["steps"] == 10


def test_command_line_refuses_in_one_line(program, trained, tmp_path):
    models = ["--model", trained / "generator", "--oracle", trained / "oracle0"]
    plain = EADModel("qm9-small", n_layers=1, n_features=32)
    plain.save_pretrained(tmp_path / "plain")
    for words, text in [
        ([], "give a FILE with molecules, or --conditional"),
        (["--conditional"], "--conditional takes --model and --oracle"),
        (["--conditional", *models, "file.sdf"], "and no FILE"),
        (["--conditional", *models, "--property", "zpve"], "knows no condition 'zpve'"),
        (["--conditional", *models, "--data", "nowhere.sdf"], "nowhere.sdf"),
        (["--conditional", "--model", tmp_path / "plain", *models[2:]], "not trained with cond"),
        (["--conditional", *models[:2], "--oracle", tmp_path / "plain"], "EADModel"),
    ]:
        code, _, err = program(*words)
        assert code == 1 and err.startswith("error: ") and err.count("\n") == 1, (words, err)
        assert text in err
