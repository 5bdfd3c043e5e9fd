"""The page of a judgement: complete, escaped, without network, small, and turning in a browser."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from chem_data import qm9
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch, judge, side_by_side
from deepchem_ead.judging.beside import compare_values, holm
from deepchem_ead.judging.conformers import judge_conformers
from deepchem_ead.viz.report import plots
from deepchem_ead.viz.report.readings import Reading, figure, verdict

QM9, _ = qm9()
HOSTILE = "</script><script>alert(1)</script>&\"'<img src=x onerror=alert(2)>"


def molecules() -> MoleculeBatch:
    """Twelve real molecules, two of them broken, with names that could break a page."""
    positions = [QM9.positions[i].copy() for i in range(12)]
    positions[3][-1] += 9
    positions[7][-1] += 9
    ids = [f"{HOSTILE} {i}" for i in range(12)]
    return MoleculeBatch.from_arrays(QM9.numbers[:12], positions, ids=ids)


@pytest.fixture(scope="module")
def report():
    return judge(molecules(), QM9[12:60], "fast", workers=1, progress=False)


@pytest.fixture(scope="module")
def page(report, tmp_path_factory) -> str:
    return report.to_html(tmp_path_factory.mktemp("page") / "mine.html").read_text()


def payload(page: str) -> dict:
    text = re.search(r'<script type="text/plain" id="data">([^<]*)</script>', page)[1]
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Tags(HTMLParser):
    """Tags with their attributes, text outside scripts and styles, and what is open at the end."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


def test_page_has_every_part_and_is_well_formed(report, page):
    found = Tags(page)
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"summary", "failures", "distributions", "extremes", "methods", "molecules"} <= set(ids)
    text = " ".join("".join(found.text).split())
    n_sound = int(report.per_molecule["sound"].sum())
    assert f"{n_sound} of 12 molecules are sound" in text
    for name in report.summary.index:
        assert name in text
    for part in (*report.suite.checks, *report.suite.sets):
        assert part.__doc__.split(".")[0].split("`")[0].split("\n")[0] in text
    for package, version in report.info["versions"].items():
        assert f"{package} {version}" in text
    pictures = [a for _, a in found.tags if a.get("role") == "img"]
    assert pictures and all(a["aria-label"] for a in pictures)


def test_payload_has_all_rows_and_the_molecules(report, page):
    found = payload(page)
    assert found["table"]["name"] == report.per_molecule["name"].tolist()
    assert found["table"]["sound"] == report.per_molecule["sound"].tolist()
    assert len(found["models"]) == 12
    assert "M  END" in found["models"]["0"][0] and found["models"]["0"][2] == QM9.smiles[0]
    assert sorted(found["rank"]) == list(range(12))
    assert {i for i in range(12) if found["rank"][i] < 2} == {3, 7}  # the broken ones are worst


def test_no_foreign_text_becomes_part_of_the_page(page):
    found = Tags(page)
    assert sum(tag == "script" for tag, _ in found.tags) == 3
    assert not any(tag == "img" for tag, _ in found.tags)
    assert not any(name.startswith("on") for tag, a in found.tags for name in a if tag != "form")
    assert HOSTILE in "".join(found.text)


def test_page_asks_nothing_of_a_network(page):
    found = Tags(page)
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    policy = next(a["content"] for t, a in found.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy and "http" not in policy
    assert "@import" not in page and "url(" not in re.search(r"<style>.*?</style>", page, re.S)[0]


def test_a_thousand_molecules_are_far_below_ten_megabytes(page):
    drawings = sum(map(len, re.findall(r"<div class=\"drawing\">.*?</svg>", page, re.S)))
    parts = payload(page)
    each = [json.dumps(model) for model in parts["models"].values()]
    compressed = len(base64.b64encode(gzip.compress("".join(each).encode()))) / len(each)
    assert compressed < 1000
    assert len(page) + 1000 * compressed + 4 * drawings < 5e6


def test_without_reference_unreadable_molecules_or_any(tmp_path):
    mols = [*QM9[:2].to_rdkit(), None]
    text = judge(mols, suite="fast", workers=1, progress=False).to_html(tmp_path / "a.html")
    page = text.read_text()
    assert "no mark to compare with" in page and "RDKit could not read it" in page
    assert len(payload(page)["models"]) == 2
    nothing = judge([None], suite="fast", workers=1, progress=False)
    assert payload(nothing.to_html(tmp_path / "b.html").read_text())["models"] == {}
    with pytest.raises(ValueError, match=r"ends in \.html"):
        nothing.to_html(tmp_path / "a.pdf")


def test_conformers_have_a_section(tmp_path):
    """Of one molecule that is there, one that is not, and one that the reference lacks."""
    smiles = [("CCCO", 1), ("CC(C)CO", 1), ("CCF", 1)]
    files = [tmp_path / "a.sdf", tmp_path / "b.sdf"]
    for path, kept in zip(files, (smiles[::2], smiles[:2]), strict=True):
        with Chem.SDWriter(str(path)) as writer:
            for text, seed in kept:
                mol = Chem.AddHs(Chem.MolFromSmiles(text))
                AllChem.EmbedMolecule(mol, randomSeed=seed)
                writer.write(mol)
    report = judge(files[0], suite={"checks": ["connected"]}, workers=1, progress=False)
    assert "conformers" not in report.to_dict()
    report = replace(report, conformers=judge_conformers(*files, workers=1))
    found = Tags(report.to_html(tmp_path / "a.html").read_text())
    text = " ".join(" ".join(found.text).split())
    assert found.open == [] and {"id": "conformers"} in [a for t, a in found.tags if t == "section"]
    assert "1: not covered 2 50.0 % 0.000 50.0 % 0.000 100.0 %" in text
    assert "1: left out 1 100.0 % 0.000" in text and "CCF, 1 conformers" in text
    assert text.index("CC(C)CO 0 1 0.0 %") < text.index("CCCO 1 1 100.0 %")
    plain = report.to_dict()["conformers"]
    assert plain["without_reference"] == {"CCF": 1} and len(plain["per_molecule"]) == 4
    json.dumps(plain, allow_nan=False)


def test_some_molecules_of_many_are_shown(report, tmp_path, monkeypatch):
    monkeypatch.setattr("deepchem_ead.viz.report.page.SHOWN", 5)
    monkeypatch.setattr("deepchem_ead.viz.report.page.EXTREMES", 1)
    page = report.to_html(tmp_path / "a.html").read_text()
    assert "5 of 12 molecules can be seen" in page
    models = payload(page)["models"]
    assert len(models) == 5 and {"3", "7"} <= models.keys()


HIGH = Reading("", "higher", True, "")
LOW = Reading("", "lower", False, "")


@pytest.mark.parametrize(
    ("numbers", "reading", "kind"),
    [
        ((0.9, 0.01, 0.95, 0.01, 900), HIGH, "worse"),
        ((0.95, 0.01, 0.9, 0.01, 900), HIGH, "better"),
        ((0.93, 0.01, 0.95, 0.01, 900), HIGH, "same"),
        ((0.9, 0.01, 0.95, 0.01, 900), HIGH._replace(better=""), "differs"),
        ((3.0, 0.1, 1.0, 0.1, 900), LOW, "worse"),
        ((0.999, 0.001, 1.0, 0.0, 1000), HIGH, "same"),  # one molecule is no evidence
        ((0.995, 0.0022, 1.0, 0.0, 1000), HIGH, "worse"),
        ((1.0, 0.0, 1.0, 0.0, 12), HIGH, "same"),
        ((math.nan, 0.0, 1.0, 0.0, 0), HIGH, ""),
        ((1.0, math.nan, 2.0, math.nan, 1), LOW, "differs"),
    ],
)
def test_verdicts(numbers, reading, kind):
    assert verdict(*numbers, reading).kind == kind


def test_few_held_out_molecules_that_all_pass_are_weak_evidence():
    assert verdict(0.995, 0.0022, 1.0, 0.0, 1000, HIGH, other_n=97).kind == "same"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.9761, 0.0052, True), "97.61 ± 0.52 %"),
        ((0.976, 0.012, True), "97.6 ± 1.2 %"),
        ((1.0, 0.0, True), "100.0 %"),
        ((0.7312, 0.041, False), "0.731 ± 0.041"),
        ((1234.5, 12.0, False), "1,234 ± 12"),
        ((-0.5, math.nan, False), "−0.5"),
        ((math.nan, 0.1, False), "–"),
    ],
)
def test_figures(arguments, text):
    assert figure(*arguments) == text


@pytest.mark.parametrize(
    ("values", "first", "last"),
    [
        ([1, 2, 2, 9], 0.5, 9.5),
        (np.linspace(0, 1, 1001), 0.005, 0.995),
        ([0.5] * 9 + [0.7], 0.5, None),
    ],
)
def test_axes_of_histograms(values, first, last):
    edges = plots.bin_edges(np.asarray(values, float))
    assert edges[0] == pytest.approx(first) and (last is None or edges[-1] == pytest.approx(last))
    assert (np.diff(edges) > 0).all()


def test_histograms_hold_all_values_and_leave_out_what_is_constant():
    assert plots.histogram("a", "", {"x": np.ones(5)}, np.ones(3)) == ""
    assert plots.histogram("a", "", {"x": np.array([np.nan, 1.0])}) == ""
    text = plots.histogram("<a>", "b", {"x": np.arange(100) ** 3.0, "y": np.zeros(0)})
    assert "&lt;a&gt;" in text and "x: median" in text and "y: no values" in text
    edges = plots.bin_edges(np.arange(100) ** 3.0)
    assert plots._shares(np.arange(100) ** 3.0, edges).sum() == pytest.approx(1)


#: Opens the last molecule and looks twice where it has turned to.
PROBE = """<script>
(async () => {
  const page = await ready;
  page.open(page.all.at(-1));
  while (!live.viewer) await null;
  await $3Dmolpromise;
  const first = JSON.stringify(live.viewer.getView());
  await new Promise(done => setTimeout(done, 100));
  document.body.dataset.turned = first !== JSON.stringify(live.viewer.getView());
  document.body.dataset.atoms = live.viewer.getModel().selectedAtoms({}).length;
  turning = false;
  await page.open(3);  // two pieces
  let outside = 0;
  for (let k = 0; k < 12; k++) {
    live.viewer.rotate(30, "y");
    const { left, right, top, bottom } = live.host.getBoundingClientRect();
    for (const { x, y } of live.viewer.modelToScreen(live.viewer.selectedAtoms({}))) {
      outside += !(left < x && x < right && top < y && y < bottom);
    }
  }
  document.body.dataset.outside = outside;
  live.leave();
  const view = document.querySelector(".card .view");
  await camera.take(view, view.model);
  element("search").value = "sound=no";
  element("search").oninput();
  document.body.dataset.unsound = element("gallery").children.length;
})();
</script></body>"""


@pytest.mark.slow
def test_page_turns_molecules_in_a_browser_without_network(report, page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")
    path = tmp_path / "a.html"
    path.write_text(page.replace("</body>", PROBE))
    command = [
        browser, "--headless", "--no-sandbox", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader", "--window-size=400,300", "--virtual-time-budget=400",
        f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    seen = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    assert 'data-turned="true"' in seen and 'data-atoms="' in seen
    assert 'data-outside="0"' in seen
    assert f'data-unsound="{(~report.per_molecule["sound"]).sum()}"' in seen
    assert "<canvas" in seen and 'src="data:image/png' in seen
    assert '<div class="none"' not in seen


def test_sets_side_by_side(tmp_path):
    """Broken molecules beside the whole ones of the same names, and beside strangers."""
    whole = MoleculeBatch.from_arrays(QM9.numbers[:12], QM9.positions[:12], ids=molecules().ids)
    sets = {"<whole>": whole, "broken": molecules(), "others": QM9[20:40]}
    both = side_by_side(sets, suite="fast", workers=1, progress=False)
    sound = both.tests["broken", "sound"]
    assert sound.method == "McNemar, 12 pairs" and sound.difference == pytest.approx(-2 / 12)
    assert both.tests["others", "sound"].method == "Fisher"
    page = both.to_html(tmp_path / "a.html").read_text()
    assert Tags(page).open == [] and "<whole>" not in page and "&lt;whole&gt;" in page
    found = payload(page)
    assert found["names"] == list(sets) and len(found["models"]) == 44
    assert found["table"]["set"] == [0] * 12 + [1] * 12 + [2] * 20
    assert "than held-out" not in page and "McNemar" in page
    assert both.pooled.per_molecule["source"].value_counts().to_dict() == dict(
        zip(sets, (12, 12, 20), strict=True)
    )
    assert len(json.loads(both.to_json(tmp_path / "a.json").read_text())["sets"]) == 3
    assert "others" in both.table()
    with pytest.raises(ValueError, match="give two or more"):
        side_by_side({"a": whole})


@pytest.mark.parametrize(
    ("first", "other", "paired", "method"),
    [
        (np.ones(40), np.r_[np.zeros(12), np.ones(28)], True, "McNemar"),
        (np.ones(40), np.r_[np.zeros(12), np.ones(28)], False, "Fisher"),
        (np.arange(40.0), np.arange(40.0) + 9, True, "Wilcoxon"),
        (np.arange(40.0), np.arange(40.0) + 15, False, "Mann"),
    ],
)
def test_tests_find_what_differs_and_not_what_is_equal(first, other, paired, method):
    found = compare_values(first, other, paired)
    assert found.method.startswith(method) and found.p < 0.01
    assert found.difference == pytest.approx(other.mean() - first.mean())
    assert compare_values(first, first, paired).p == pytest.approx(1)
    some = np.where(np.arange(40) < 39, np.nan, first)
    assert compare_values(some, other, paired) is None


def test_holm():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.9])), [0.09, 0.04, 0.09, 0.9])
