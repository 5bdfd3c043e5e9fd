"""The benchmarks of a generator: resumable parts, paired tests, studies, and each command once."""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from chem_data import qm9
from joint_data import sample_molecules
from rdkit import Chem
from rdkit.Chem import AllChem
from sampling_toys import bond_denoiser, make_process

from benchmarks import (
    conditional,
    evidence,
    few_steps,
    from_level,
    judged,
    kinds,
    level_traces,
    paired,
    parts,
    rare_sizes,
    relaxed,
    rtk_bounds,
    schedules,
    state_spread,
    studies,
    tables,
)
from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.generator.config import EADConfig

MODEL = "qm9-small"


def test_mcnemar_counts_the_pairs_that_differ():
    one = np.repeat([1, 1, 0, 0], [50, 8, 2, 40])
    other = np.repeat([1, 0, 1, 0], [50, 8, 2, 40])
    found = paired.binary_difference(one, other)
    # twice the chance of at least 8 heads in 10 throws
    assert found.p == pytest.approx(2 * (45 + 10 + 1) / 1024)
    assert found.mean == pytest.approx(0.06)
    assert found.low < 0.06 < found.high
    swapped = paired.binary_difference(other, one)
    assert swapped.mean == pytest.approx(-0.06) and swapped.p == pytest.approx(found.p)


def test_equal_runs_do_not_differ():
    values = np.linspace(0, 1, 30)
    assert paired.share_difference(values, values) == (0, 0, 0, 1)
    assert paired.binary_difference(values > 0.5, values > 0.5) == (0, 0, 0, 1)


def test_corrected_p_values_are_holms():
    found = paired.holm([0.01, 0.04, 0.03, 0.005, 0.9])
    np.testing.assert_allclose(found, [0.04, 0.09, 0.09, 0.025, 0.9])
    assert paired.holm([0.03, 0.6, 0.7]).tolist() == [0.09, 1, 1]


@pytest.mark.parametrize("effect", [0.0, 0.04])
def test_share_test_keeps_its_level_and_sees_an_effect(effect, monkeypatch):
    def quick(difference):
        return intervals(difference, n_resamples=200)

    intervals = paired.bootstrap_interval
    monkeypatch.setattr(paired, "bootstrap_interval", quick)
    rng = np.random.default_rng(0)
    p, covered = [], 0
    for _ in range(100):
        size = rng.integers(9, 27, 200)
        one, other = (rng.binomial(size, share) / size for share in (0.85 + effect, 0.85))
        found = paired.share_difference(one, other)
        p.append(found.p)
        covered += found.low <= effect <= found.high
    assert 86 <= covered <= 99
    rejected = np.mean(np.array(p) < 0.05)
    assert rejected > 0.9 if effect else rejected < 0.12


def test_bootstrap_interval_is_that_of_the_mean():
    rng = np.random.default_rng(1)
    values = rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0, 0.25], 400)
    low, high = paired.bootstrap_interval(values)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


@pytest.mark.parametrize("name", list(studies.STUDIES))
def test_studies_compare_what_they_run(name):
    config = EADConfig(interval=17)
    runs, pairs = studies.STUDIES[name](config, "repaint")
    assert {run for pair in pairs for run in pair} <= set(runs)
    assert len(pairs) == len(set(pairs)) and all(one != other for one, other in pairs)
    assert runs["synchronous"] == {"schedule": "synchronous"}
    chosen = [run["schedule"] for run in runs.values()][1:]
    assert name == "interval" or all(schedule.interval == 17 for schedule in chosen)
    # equal names are equal runs, so that studies can share a folder
    everything = [study(config, "repaint").runs for study in studies.STUDIES.values()]
    for other in everything:
        assert all(runs[run] == other[run] for run in set(runs) & set(other))
    rule = "renoise" if name == "velocities" else "repaint"
    assert {f"adaptive, {rule}", f"random coin, {rule}"} & set(runs)
    slugs = [parts.slug(run) for run in runs]
    assert len(set(slugs)) == len(slugs)


def options(folder, **changed) -> argparse.Namespace:
    given = dict(
        model=MODEL, out=folder, n=4, part=2, seeds=[3], precision="fp32", autoguidance=None,
        noise_scale=None, closed_shell=None, table_only=False, steps=5, sizes="histogram",
    )  # fmt: skip
    return argparse.Namespace(**(given | changed))


RUNS = {"synchronous": {"schedule": "synchronous"}, "coin 0.5, x": {"schedule": "random-coin"}}


def test_parts_are_one_job_and_survive_interruptions(tmp_path):
    arguments = options(tmp_path)
    model = parts.prepare(arguments)
    parts.generate_parts(model, RUNS, arguments)
    whole = model.generate(4, "random-coin", n_atoms="histogram", seed=3, steps=5, progress=False)
    molecules, records = parts.read_parts(tmp_path)["coin 0.5, x", 3]
    np.testing.assert_allclose(molecules.coordinates, whole.coordinates, atol=1e-5)
    assert sum(r["evaluations"] for r in records) == sum(whole.info["evaluations"])

    lost = tmp_path / "coin-0-5-x-3-000002.json"
    lost.unlink()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    parts.generate_parts(model, RUNS, arguments)
    assert lost.exists() and all(path.stat().st_mtime_ns == t for path, t in kept.items())
    again = parts.read_parts(tmp_path)["coin 0.5, x", 3][0]
    assert np.array_equal(again.coordinates, molecules.coordinates)

    parts.generate_parts(model, RUNS, options(tmp_path, n=6))
    assert len(parts.read_parts(tmp_path)["synchronous", 3][0]) == 6
    lost.unlink()
    with pytest.raises(SystemExit, match="has gaps"):
        parts.read_parts(tmp_path)


def test_parts_of_other_settings_are_not_mixed(tmp_path):
    parts.prepare(options(tmp_path))
    with pytest.raises(SystemExit, match="steps=5, not 9"):
        parts.prepare(options(tmp_path, steps=9))
    with pytest.raises(SystemExit, match="multiple of --part 2"):
        parts.prepare(options(tmp_path, n=5))


def test_sizes_may_be_left_to_the_model(tmp_path):
    arguments = options(tmp_path, model="qm9", n=2, sizes="model", steps=3)
    model = parts.prepare(arguments)
    parts.generate_parts(model, {"synchronous": RUNS["synchronous"]}, arguments)
    expected = model.generate(2, "synchronous", "free", seed=3, steps=3, progress=False)
    molecules = parts.read_parts(tmp_path)["synchronous", 3][0]
    assert molecules.counts.tolist() == expected.counts.tolist()


def test_tables_judge_molecules_by_bonds_of_their_own(tmp_path):
    sample_molecules()[:20].to_sdf(tmp_path / "real-0.sdf")
    record = {"run": "real", "seed": 0, "first": 0, "n": 20, "seconds": 5.0, "evaluations": 210}
    (tmp_path / "real-0.json").write_text(json.dumps(record))
    (scored,) = parts.score_parts(tmp_path, {"real": {}})
    assert scored.own.molecule_stability == scored.own.validity == 1
    head, _, row = tables.metrics_table([scored], ["real"]).splitlines()
    columns = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert columns["own bonds: stable"] == columns["valid, one piece"] == "100.0"


def test_tables_show_means_errors_and_paired_differences(tmp_path, qm9_sample):
    """Real molecules as one run, half of them broken as the other."""
    real = MoleculeBatch.from_padded(qm9_sample.X[:20])
    moved = [x * (1 + 0.5 * (k % 2)) for k, x in enumerate(real.positions)]
    broken = MoleculeBatch.from_arrays(real.numbers, moved)
    for run, batch in (("real", real), ("broken", broken)):
        for seed in (0, 1):
            half = batch[10 * seed : 10 * seed + 10]
            half.to_xyz(tmp_path / f"{run}-{seed}.xyz")
            record = {"run": run, "seed": seed, "first": 0, "n": 10, "seconds": 5.0}
            record["evaluations"] = 210
            (tmp_path / f"{run}-{seed}.json").write_text(json.dumps(record))
    scored = parts.score_parts(tmp_path, {"real": {}, "broken": {}}, qm9_sample)
    lines = tables.metrics_table(scored, ["real", "broken", "absent"]).splitlines()
    assert len(lines) == 4
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    head = [cell.strip() for cell in lines[0].split("|")[1:-1]]
    row = dict(zip(head, cells, strict=True))
    assert row["%"] == "real (n=20, 2 seeds)"
    one, other = (s.edm.validity for s in scored if s.run == "real")
    assert row["valid"] == f"{50 * (one + other):.1f} ± {50 * abs(one - other):.1f}"
    assert row["novel"] == "0.0 ± 0.0"
    assert (row["evaluations"], row["s / molecule"]) == ("21", "0.50")
    assert row["own bonds: stable"] == row["valid, one piece"] == "-"
    difference = tables.paired_table(scored, [("real", "broken"), ("real", "absent")]).splitlines()
    assert len(difference) == 3
    molecule = difference[2].split("|")[3]
    n_worse = int(scored[2].edm.per_molecule.stable.sum() + scored[3].edm.per_molecule.stable.sum())
    n_worse -= int(scored[0].edm.per_molecule.stable.sum())
    n_worse -= int(scored[1].edm.per_molecule.stable.sum())
    assert n_worse >= 8
    assert f"{100 * n_worse / 20:+.1f} [" in molecule and "p = " in molecule


def test_atoms_are_grouped_by_element_ring_and_scaffold():
    mol = Chem.AddHs(Chem.MolFromSmiles("OCC1CC1F"))
    found = level_traces.groups_of(mol)
    chosen = {name: np.flatnonzero(atoms).tolist() for (_, name), atoms in found.items()}
    assert chosen["O"] == [0] and chosen["F"] == [5] and chosen["C"] == [1, 2, 3, 4]
    assert chosen["in a ring"] == [2, 3, 4] and chosen["not in a ring"] == [0, 1, 5]
    assert chosen["in the scaffold"] == [2, 3, 4] and chosen["side chain"] == [0, 1, 5]
    chain = level_traces.groups_of(Chem.AddHs(Chem.MolFromSmiles("CCO")))
    panel = list(level_traces.PANELS)[2]
    assert np.flatnonzero(chain[panel, "molecule without one"]).tolist() == [0, 1, 2]
    assert (panel, "in the scaffold") not in chain


def test_traces_are_relative_to_the_molecule():
    traces = level_traces.Traces()
    methane = Chem.AddHs(Chem.MolFromSmiles("C"))
    levels = np.full((6, 5), 0.0)
    levels[:, 0] = [5, 4, 3, 2, 1, 0]  # carbon goes ahead
    levels[:, 1:] = np.array([5, 5, 5, 3, 1, 0])[:, None]
    traces.add(methane, levels)
    lag, _ = traces.mean_lag(("element", "C"))
    np.testing.assert_allclose(lag, [0, -0.8, -1.6, -0.8, 0, 0], atol=1e-12)
    assert traces.repeats["element", "H"] == [2] and traces.repeats["element", "C"] == [0]


@pytest.mark.parametrize(
    ("module", "words", "files", "phrase"),
    [
        (schedules, ["--study", "window", "--steps", "6"], ["window.md"], "adaptive, literal, wi"),
        (evidence, ["--steps", "6"], ["evidence.md"], "| MolFLAE (published) |"),
        (
            few_steps,
            ["--evaluations", "2", "5", "--samplers", "ddim", "heun", "coin"],
            ["few_steps.md", "few_steps.png"],
            "DDIM, 5 (n",
        ),
        (rare_sizes, ["--steps", "4", "--atoms", "29", "30"], ["rare_sizes.md"], "30 atoms, EAD"),
    ],
)
def test_every_command_prints_its_table(
    module, words, files, phrase, tmp_path, monkeypatch, capsys, qm9_sample
):
    monkeypatch.setattr(parts, "known_molecules", lambda: qm9_sample.select(range(50)))
    words = [MODEL, "--out", str(tmp_path), "--n", "2", "--part", "2", "--seeds", "0", "1", *words]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    module.main()
    assert phrase in capsys.readouterr().out
    for name in files:
        assert (tmp_path / name).stat().st_size > 100
    before = sorted(tmp_path.glob("*-[01]-*.json"))
    monkeypatch.setattr(sys, "argv", ["benchmark", *words, "--table-only"])
    module.main()
    assert phrase in capsys.readouterr().out and sorted(tmp_path.glob("*-[01]-*.json")) == before


@pytest.mark.parametrize("sampler", ["coin", "ancestral", "heun", "rtk", "rtk-uld-1"])
@pytest.mark.parametrize("evaluations", [7, 12])
def test_runs_take_as_many_evaluations_as_they_may(sampler, evaluations):
    model = EADModel.from_pretrained(MODEL)
    options = few_steps.run_options(sampler, evaluations, model)
    made = model.generate(3, n_atoms=[5, 9, 12], seed=1, progress=False, **options)
    assert max(made.info["evaluations"]) <= evaluations
    assert few_steps.taken(model, options) <= evaluations
    assert few_steps.taken(model, options | {"steps": options["steps"] + 1}) > evaluations
    assert few_steps.run_options("rtk-ula", 3, model) is None  # one step takes six


def test_the_plan_tries_all_and_goes_on_without_the_hopeless(tmp_path, monkeypatch, capsys):
    stable = {"ancestral": 0.5, "coin": 0.9, "ddim": 0.8, "heun": 0.7}
    monkeypatch.setattr(few_steps, "TRIAL", 2)
    titles = {few_steps.SAMPLERS[name].title: share for name, share in stable.items()}

    def scored(folder, runs, reference=None):
        found = [(run, titles[run.rpartition(",")[0]]) for run in runs]
        edm = argparse.Namespace
        return [argparse.Namespace(run=r, edm=edm(molecule_stability=s)) for r, s in found]

    monkeypatch.setattr(few_steps, "score_parts", scored)
    arguments = options(tmp_path, samplers=list(stable), evaluations=[4, 3, 2], n=4, seeds=[3, 4])
    few_steps.follow_plan(parts.prepare(options(tmp_path)), arguments)
    assert "hopeless: heun\n" in capsys.readouterr().out  # the plain one is never
    made = {name: len(list(tmp_path.glob(f"{name}-?-?-*.json"))) for name in stable}
    assert made == {"coin": 0, "ancestral": 12, "ddim": 12, "heun": 3}
    assert len(list(tmp_path.glob("coin-and-renoise-4-*.json"))) == 4


def test_a_report_tells_all_about_the_molecules_there_are(tmp_path, monkeypatch, capsys):
    real = qm9()[0][:12]
    monkeypatch.setattr(few_steps, "known_molecules", lambda: None)
    monkeypatch.setattr(kinds, "data_parts", lambda: (kinds.perceived(real),) * 2)
    for name, first in (("ancestral, 100", 0), ("DDIM, 100", 4)):
        stem = tmp_path / f"{parts.slug(name)}-0-000000"
        real[first : first + 8].to_xyz(stem.with_suffix(".xyz"))
        record = {"run": name, "first": 0, "n": 8, "seed": 0, "evaluations": 800, "seconds": 1.0}
        stem.with_suffix(".json").write_text(json.dumps(record))
    words = [MODEL, "--out", str(tmp_path), "--n", "2", "--part", "2", "--report", "--relaxed", "2"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    few_steps.main()
    text = (tmp_path / "report.md").read_text()
    assert text.strip() in capsys.readouterr().out
    quality, temperature, shares = text.split("## 100 evaluations")[1].strip().split("\n\n")
    row = next(line for line in quality.splitlines() if line.startswith("| DDIM | 8 of 1 seed | "))
    assert " | 100.0 ± 0.0 (2) | " in row and row.count("|") == quality.splitlines()[0].count("|")
    assert temperature.startswith("| shift from ancestral, % | rings | ")
    assert "\n| DDIM | 8 | " in shares
    assert text.count(kinds.DATA) == 2 and len(list(tmp_path.glob("*.jsonl"))) == 2


def test_sanity_is_judged_of_each_seed_once(tmp_path):
    real = qm9()[0][:4]
    for seed in (0, 1):
        stem = tmp_path / f"real-{seed}-000000"
        real[2 * seed : 2 * seed + 2].to_xyz(stem.with_suffix(".xyz"))
        record = {"run": "real", "first": 0, "n": 2, "seed": seed}
        stem.with_suffix(".json").write_text(json.dumps(record))
    text = judged.sanity_table(tmp_path, None, 1)
    assert text.splitlines()[-1] == "| real | 2 of 2 seeds | 100.0 ± 0.0 |"
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.sane.jsonl")}
    assert len(files) == 2 and judged.sanity_table(tmp_path, None, 1) == text
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_runs_from_a_level_begin_with_real_molecules(tmp_path, monkeypatch, capsys):
    real = qm9()[0][:2]
    monkeypatch.setattr(from_level, "real_molecules", lambda n: real)
    monkeypatch.setattr(from_level, "known_molecules", lambda: None)
    words = [MODEL, "--out", str(tmp_path), "--n", "2", "--seeds", "0", "--levels", "2", "1000"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words, "--steps", "5", "1000"])
    made = {}

    def generated(model, runs, arguments):
        made.update(runs)
        for name, options in list(runs.items())[2:3]:  # two levels, two fine steps
            parts._make(
                model, tmp_path / "part", {"run": name, "first": 0, "n": 2, "seed": 0}, options
            )

    monkeypatch.setattr(from_level, "generate_parts", generated)
    from_level.main()
    assert list(made) == [f"from level {t}, steps of {s}" for s in (200, 1) for t in (2, 1000)]
    assert "from level 2, steps of 1 (n=2, 1 seed) | 100.0 |" in capsys.readouterr().out
    molecules, (record,) = parts.read_parts(tmp_path)["from level 2, steps of 1", 0]
    assert record["evaluations"] == 2 * 3 and molecules.counts.tolist() == real.counts.tolist()


def test_jacobians_of_an_exact_denoiser_are_its_covariances():
    process = make_process(100)
    tau = float(process.schedule.tau[30])
    w = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = rtk_bounds.jacobian(process, bond_denoiser(process, 0.3, 0.1), w, 30)
    values, odd = rtk_bounds.spectrum(found)
    feature, bond = 0.1 / (0.1 + tau**2), 0.3 / (0.3 + 2 * tau**2)
    expected = sorted([feature] * 4 + [bond] * 3 + [1.0] * 3)  # the centre is not known
    np.testing.assert_allclose(values, expected, atol=1e-10)
    assert odd < 1e-10


def test_bounds_of_kernels_are_a_table_and_a_figure(tmp_path, monkeypatch, capsys):
    batch, _ = qm9()
    smallest = batch[[int(batch.counts.argmin())]]
    monkeypatch.setattr(rtk_bounds, "real_molecules", lambda n: smallest)
    words = ["benchmark", MODEL, "--out", str(tmp_path), "--n", "1", "--levels", "100"]
    monkeypatch.setattr(sys, "argv", words)
    rtk_bounds.main()
    text = capsys.readouterr().out
    assert "\n| 100 | " in text and (tmp_path / "rtk_bounds.png").stat().st_size > 10_000
    monkeypatch.setattr(rtk_bounds, "measure", None)  # what there is is kept
    rtk_bounds.main()
    assert capsys.readouterr().out == text


def test_the_spread_of_states_tells_a_mode_from_a_draw(monkeypatch, capsys):
    words = ["qm9", "--n", "4", "--steps", "20", "--steppers", "ancestral", "rtk:iterations=2"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    state_spread.main()
    *_, drawn, mode, noise = (
        [float(cell) for cell in line.split("|")[2:-2]]
        for line in capsys.readouterr().out.splitlines()
        if not line.startswith(("|---", "| spread"))
    )
    assert len(drawn) == len(mode) == len(state_spread.LEVELS)
    assert all(there > alone for there, alone in zip(drawn, noise, strict=True))
    assert mode[0] < noise[0] / 2  # nothing has been added since the level of pure noise


def test_level_traces_prints_a_table_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(MoleculeBatch, "to_rdkit", real_molecules)
    words = [MODEL, "--out", str(tmp_path), "--n", "3", "--steps", "20"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words, "--schedules", "settled-first"])
    level_traces.main()
    assert "| settled-first | H | " in capsys.readouterr().out
    assert (tmp_path / "level_traces.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "level_traces.md").exists()


def real_molecules(batch: MoleculeBatch) -> list[Chem.Mol]:
    """Chains as long as the molecules, for what so few steps make is never valid."""
    found = []
    for count in batch.counts.tolist():
        n_carbon = count - count // 2
        mol = Chem.RWMol()
        for k in range(count):
            mol.AddAtom(Chem.Atom("C" if k < n_carbon else "H"))
        for k in range(1, count):
            mol.AddBond(k - (1 if k < n_carbon else n_carbon), k, Chem.BondType.SINGLE)
        Chem.SanitizeMol(mol)
        found.append(mol.GetMol())
    return found


def test_the_folder_of_a_model_is_a_model(tmp_path):
    model = EADModel("qm9-small", n_layers=1, n_features=32, model_dir=str(tmp_path / "run"))
    model.model.size_counts[5] = 1
    model.save_pretrained(tmp_path / "mine")
    arguments = options(tmp_path / "out", model=str(tmp_path / "mine"), n=2)
    parts.generate_parts(parts.prepare(arguments), RUNS, arguments)
    assert parts.read_parts(tmp_path / "out")["synchronous", 3][0].counts.tolist() == [5, 5]


def test_all_seeds_of_a_conditional_run_are_one_row_and_one_picture(tmp_path):
    result = {
        "task": "gap", "asked": ["gap"], "unit": "meV", "tolerance": 100.0, "median": 1.0,
        "valid_mae": 1.0, "second": None, "baselines": {},
    }  # fmt: skip
    found = []
    for seed, mae in enumerate((400.0, 600.0)):
        target = np.linspace(0.2, 0.3, 5)
        table = {"asked": "gap", "task": "gap", "target": target, "prediction": target + 0.01}
        stem = tmp_path / f"gap-w0-{seed}"
        pd.DataFrame(table | {"valid": True}).to_csv(f"{stem}.csv.gz", index=False)
        found.append(
            {
                "settings": {"guidance_scale": 0.0, "seed": seed},
                "requests": [{"asked": ["gap"]}],
                "properties": [result | {"mae": mae, "standard_error": 30.0 + 10 * seed}],
            }
        )
    conditional.plot_parts(tmp_path, found, 1.0)
    assert not list(tmp_path.glob("*.png"))  # nothing of that scale
    conditional.plot_parts(tmp_path, found, 0.0)
    assert (tmp_path / "targets-w0.png").read_bytes().startswith(b"\x89PNG")
    row = conditional.error_table(found, "mine").splitlines()[2]
    assert row == "| mine, guidance 0 | 500 ± 25 |"


def test_relaxing_moves_real_molecules_little_and_strained_ones_more():
    molecules = qm9()[0][:20]
    kept, after, moved = relaxed.relaxed(molecules)
    assert len(kept) == len(after) == len(moved) >= 18
    assert all(np.array_equal(after.atoms(k)[0], molecules.atoms(i)[0]) for k, i in enumerate(kept))
    assert np.median(moved) < 0.1
    numbers, positions = zip(*(molecules.atoms(i) for i in kept[:5]), strict=True)
    strained = MoleculeBatch.from_arrays(numbers, [1.05 * x for x in positions])
    assert (relaxed.relaxed(strained)[2] > moved[:5]).all()


def test_real_molecules_to_compare_with_are_of_equal_sizes(qm9_sample):
    made = MoleculeBatch.from_padded(qm9_sample.X[300:400])
    rows = relaxed.of_equal_sizes(made, qm9_sample.X)
    assert len(rows) == len(np.unique(rows)) == 100
    alike = MoleculeBatch.from_padded(qm9_sample.X[rows])
    assert sorted(alike.counts) == sorted(made.counts)
    assert len(np.intersect1d(rows, np.arange(300, 400))) < 60  # not simply the same


def test_kinds_are_those_of_strict_perception():
    """EDM's table of lengths finds no aromatic ring in pyrimidine."""
    mols = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in ("c1cncnc1", "CC#N", "C1CC1.C")]
    for mol in mols:
        AllChem.EmbedMolecule(mol, randomSeed=1)
    found = kinds.perceived(MoleculeBatch.from_rdkit(mols))
    assert [Chem.MolToSmiles(mol) for mol in found] == ["c1cncnc1", "CC#N"]
    row = dict(zip(kinds.LABELS.values(), kinds.cells(found)[1:], strict=True))
    assert (
        row["aromatic, %"] == row["triple bond, %"] == "50.0 ± 50.0" and row["N"] == "1.50 ± 0.50"
    )


def test_settings_that_shift_a_kind_are_a_low_temperature():
    chain, ring, nitrile = map(Chem.MolFromSmiles, ("CCO", "C1CC1N", "CC#N"))
    plain = [chain] * 300 + [ring] * 500 + [nitrile] * 200
    cold = [chain] * 280 + [ring] * 700 + [nitrile] * 20
    found = kinds.shifts(cold, plain)
    assert found["rings"].by == pytest.approx(0.4) and found["triple_bond"].by == pytest.approx(
        -0.9
    )
    # of two binomial shares, each error relative to its share
    expected = 1.4 * ((0.3 / 0.7 + 0.5 / 0.5) / 999) ** 0.5
    assert found["rings"].error == pytest.approx(expected, rel=1e-6)
    assert kinds.verdict(found) == "**low temperature**"
    assert kinds.verdict(kinds.shifts(plain, cold)) == "**other kinds**"
    none = kinds.shifts([chain] * 50, plain)["triple_bond"]
    assert none.by == -1 and none.error == pytest.approx(0.1) and none.told
    assert kinds.verdict(kinds.shifts(cold[:500:50], plain[:500:50])).startswith("open (")
    same = {name: shift for name, shift in kinds.shifts(plain, plain).items() if name == "rings"}
    assert kinds.verdict(same) == "no" and str(same["rings"]) == "+0 ± 4"
    table = kinds.temperature_table({"cold": cold, kinds.DATA: cold, "all": plain}, "all")
    assert [row.count("low temperature") for row in table.splitlines()[2:]] == [1, 0]
