"""The documentation is true: its code runs, its commands parse, its links lead somewhere.

Every ```python block of README.md and docs/ is run, in the order of the page and in one namespace a
page, and so are the code cells of the tutorials. They run on the shipped sample and a tiny network:
`small_world` shrinks what the pages ask for.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import replace
from functools import wraps
from pathlib import Path

import deepchem as dc
import numpy as np
import pytest
from registries import restore_registries
from typer.main import get_command

import deepchem_ead
from deepchem_ead.cli import app
from deepchem_ead.generation.request import Request
from deepchem_ead.generator.config import preset_names
from deepchem_ead.molnet.qm9 import QM9_UNITS
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.sampling import REPEAT_RULES, SCHEDULES, STEPPERS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
#: Written from measurements, which may come after the rest.
MEASURED = {ROOT / "docs" / "results.md", ROOT / "docs" / "performance.md"}


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Line number and text of each fenced block of a language; blocks in lists are dedented."""
    found = []
    text = page.read_text()
    for match in re.finditer(rf"^( *)```{language}\n(.*?)^ *```", text, re.M | re.S):
        indent, body = match.groups()
        line = text[: match.start()].count("\n") + 2
        found.append((line, re.sub(f"^{indent}", "", body, flags=re.M)))
    return found


@pytest.fixture
def small_world(tmp_path, monkeypatch):
    """Real functions, tiny data: 60 molecules of the sample, one layer, five steps of sampling."""
    monkeypatch.chdir(tmp_path)
    restore_registries(monkeypatch)
    monkeypatch.setenv("DEEPCHEM_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    table, _ = load_sample()
    X = table.to_padded(29)[-60:]
    properties = {"gap": table.properties["gap"][-60:]}
    deepchem_ead.MoleculeBatch.from_padded(X, properties=properties).to_sdf("my_molecules.sdf")

    model, oracle_type = deepchem_ead.EADModel, deepchem_ead.EGNNPropertyModel
    init, fit, generate = model.__init__, model.fit, model.generate
    load, evaluate = dc.molnet.load_qm9_3d, model.evaluate

    def small_load(*args, **kw):
        return load(*args, **kw | {"source": "sample"})

    def small_init(self, preset=None, **kw):
        init(self, preset, **kw | {"n_layers": 1, "n_features": 32, "n_heads": 4})

    def small_fit(self, dataset, nb_epoch=10, **kw):
        rows = np.linspace(0, len(dataset) - 1, min(len(dataset), 60)).astype(int)
        parts = (dataset.X[rows], dataset.y[rows], dataset.w[rows], dataset.ids[rows])
        return fit(self, dc.data.NumpyDataset(*parts), nb_epoch=min(nb_epoch, 2), **kw)

    @wraps(generate)  # who forwards options to it asks for its keywords
    def small_generate(self, n, *args, steps=None, **kw):
        few, most = (25, n) if hasattr(self, "whole") else (5, 4)
        if kw.get("options") is not None:  # holds all of them
            return generate(self, n, *args, **kw | {"options": replace(kw["options"], steps=few)})
        return generate(self, min(n, most), *args, steps=min(steps or few, few), **kw)

    def small_evaluate(self, dataset, metrics, n_samples=4, **kw):
        return evaluate(self, dataset, metrics, n_samples=4, **kw)

    conditional = deepchem_ead.metrics.evaluate_conditional

    def small_conditional(*args, **kw):
        return conditional(*args, **kw | {"n": 8})

    monkeypatch.setattr(deepchem_ead.metrics, "evaluate_conditional", small_conditional)
    monkeypatch.setattr(dc.molnet, "load_qm9_3d", small_load)
    monkeypatch.setattr(deepchem_ead, "load_qm9_3d", small_load)

    def known_properties(cls, name, **kw):
        """Trained weights are replaced by small ones: real molecules, and predictions of them."""
        if name == "qm9-properties":
            oracle = cls(tasks=["gap", "mu"], n_layers=1, n_features=32)
            rows = np.linspace(0, len(table) - 1, 200).astype(int)
            y = np.stack([table.properties[task][rows] for task in oracle.tasks], 1)
            oracle.fit(dc.data.NumpyDataset(table.to_padded(29)[rows], y), nb_epoch=2)
            return oracle
        return load_oracle(cls, name, **kw)

    def real_molecules(cls, name, **kw):
        """The shipped weights as they are; what they generate from nothing are real molecules."""
        if name not in ("qm9", "drugs"):
            return load_model(cls, name, **kw)
        with monkeypatch.context() as real:
            real.setattr(model, "__init__", init)
            loaded = load_model(cls, name, **kw)
        loaded.whole = True  # conformers have to be right

        def remember(n, *args, **options):
            if options.get("start") or getattr(options.get("options"), "start", None):
                return small_generate(loaded, n, *args, **options)
            Request(loaded, n, options.get("conditions"))
            batch = deepchem_ead.MoleculeBatch.from_rdkit(known[: min(n, 40)])
            levels = [np.outer(np.linspace(1000, 0, 6), np.ones(k)) for k in batch.counts]
            info = {"seconds": 1.0, "n_evaluations": 6, "levels": levels}
            return replace(batch, info=info)

        loaded.generate = remember
        return loaded

    load_model, load_oracle = model.from_pretrained.__func__, oracle_type.from_pretrained.__func__
    known = deepchem_ead.MoleculeBatch.from_padded(X).to_rdkit()
    monkeypatch.setattr(model, "from_pretrained", classmethod(real_molecules))
    monkeypatch.setattr(oracle_type, "from_pretrained", classmethod(known_properties))
    for name, function in [
        ("__init__", small_init), ("fit", small_fit),
        ("generate", small_generate), ("evaluate", small_evaluate),
    ]:  # fmt: skip
        monkeypatch.setattr(model, name, function)


def run_block(code: str, where: str, namespace: dict) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(compile(code, where, "exec"), namespace)
        except Exception as error:
            raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs(page, small_world):
    namespace: dict = {}
    for line, code in blocks(page, "python"):
        # So that a traceback shows the line of the page.
        run_block("\n" * (line - 1) + code, str(page), namespace)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook_runs(notebook, small_world, monkeypatch):
    import json

    import matplotlib

    matplotlib.use("Agg")
    cells = json.loads(notebook.read_text())["cells"]
    namespace: dict = {"display": lambda *objects: None}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code" and "skip-test" not in cell["metadata"].get("tags", []):
            run_block("".join(cell["source"]), f"{notebook.name}, cell {number}", namespace)
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook_is_stored_with_its_results(notebook):
    import json

    text = notebook.read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(cells) + 1)), "run it from top to bottom before storing it"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert "/home/" not in text and "/work/" not in text and "/tmp/" not in text


def commands() -> list[tuple[str, str]]:
    return [
        (page.name, line)
        for page in PAGES
        for _, body in blocks(page, "sh")
        for line in body.splitlines()
        if line.startswith("deepchem-ead")
    ]


@pytest.mark.parametrize(("page", "line"), commands())
def test_shell_commands_parse(page, line):
    _, name, *arguments = shlex.split(line, comments=True)
    command = get_command(app).commands[name]
    command.make_context(name, arguments)  # parses and checks options, runs nothing


def test_make_targets_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    used = [
        line.split()[1]
        for page in PAGES
        for _, body in blocks(page, "sh")
        for line in body.splitlines()
        if line.startswith("make ")
    ]
    assert {"demo", "test"} <= set(used) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_relative_links_lead_somewhere(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.S)  # SMILES have brackets
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" in target:
            continue
        path = (page.parent / target).resolve()
        assert path.exists() or path in MEASURED, f"{page.name} links to {target}"


def test_pages_name_everything_there_is():
    guide = (ROOT / "docs" / "guide.md").read_text()
    names = [*preset_names(), *REPEAT_RULES, *STEPPERS, *(s for s in SCHEDULES if s != "replay")]
    assert not [name for name in names if f"`{name}`" not in guide and f'"{name}"' not in guide]


def test_units_are_those_of_the_loader():
    section = (ROOT / "docs" / "data.md").read_text().split("### Labels and their units")[1]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\S+) \|$", section.split("\n## ")[0], re.M)
    assert dict(rows) == QM9_UNITS


def test_yardstick_is_the_measured_row():
    row = deepchem_ead.metrics.QM9_ROW
    values = (row.atom_stability, row.molecule_stability, row.validity, row.valid_unique)
    line = "| QM9 itself | " + " | ".join(f"{100 * value:.2f}" for value in values) + " |"
    assert line in (ROOT / "docs" / "metrics.md").read_text()
