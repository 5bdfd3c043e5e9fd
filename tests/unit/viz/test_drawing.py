from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from chem_data import qm9
from PIL import Image

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.elements import formula_of
from deepchem_ead.errors import MoleculeError
from deepchem_ead.viz import cells, drawing

QM9, _ = qm9()
PLAIN = MoleculeBatch.from_arrays(QM9.numbers[:3], QM9.positions[:3])


def broken() -> MoleculeBatch:
    """Stretched, empty, not finite, collapsed to a point, an element without bond lengths."""
    return MoleculeBatch.from_arrays(
        [QM9.numbers[0], [], QM9.numbers[1], QM9.numbers[2], [78, 1]],
        [
            QM9.positions[0] * 0.8,
            [],
            QM9.positions[1] * np.nan,
            QM9.positions[2] * 0,
            [[0, 0, 0], [0, 0, 1.5]],
        ],
    )


def test_grid_is_a_png_whose_size_follows_the_number_of_molecules(tmp_path):
    path = QM9.grid(tmp_path / "a.png", n=6, columns=3)
    assert path == tmp_path / "a.png"
    with Image.open(path) as six, Image.open(QM9.grid(tmp_path / "b.png", n=3, columns=3)) as three:
        assert six.format == "PNG"
        assert six.width == three.width and three.height < six.height < 2 * three.height
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_every_broken_molecule_gets_a_cell_that_says_why(tmp_path):
    batch = broken()
    found = cells.describe(batch)
    assert not any(cell.valid for cell in found)
    assert [cell.status.split(":")[0] for cell in found] == ["invalid"] * 5
    assert "valence" in found[0].status and found[0].marked_atoms
    assert found[1].status == "invalid: no atoms"
    assert found[2].status == "invalid: coordinates not finite"
    assert found[3].mol is None and "valence" in found[3].status
    assert found[4].status == "invalid: no known valence of Pt" and found[4].title == "HPt"
    batch.grid(tmp_path / "a.png")


def test_valid_cells_show_the_smiles_and_the_number_of_fragments():
    (cell,) = cells.describe(QM9[0])
    assert (cell.title, cell.status, cell.valid) == (QM9.smiles[0], "valid", True)
    two = np.concatenate([QM9.positions[0], QM9.positions[1] + 6])
    (cell,) = cells.describe(MoleculeBatch.from_arrays([np.concatenate(QM9.numbers[:2])], [two]))
    assert cell.status == "valid, 2 fragments"


def test_drawings_have_ink_and_do_not_differ_between_runs(tmp_path):
    first = np.asarray(Image.open(QM9[0].grid(tmp_path / "a.png")))
    again = np.asarray(Image.open(QM9[0].grid(tmp_path / "b.png")))
    assert np.array_equal(first, again)
    drawn = first[20:300, 20:360]
    assert 0.002 < (drawn < 128).any(axis=2).mean() < 0.2


def test_long_captions_are_shortened_to_the_width():
    font = drawing._font(18)
    text = drawing._shorten("C" * 200, font, 300)
    assert text.endswith("...") and font.getlength(text) <= 300
    assert drawing._shorten("CCO", font, 300) == "CCO"


def test_formula_is_in_hill_order():
    assert formula_of(np.array([8, 1, 6, 35, 1, 6])) == "C2H2BrO"
    assert formula_of(np.array([8, 1, 1])) == "H2O"


@pytest.mark.parametrize("arguments", [{"n": 0}, {"columns": 0}])
def test_grid_refuses_zero(tmp_path, arguments):
    with pytest.raises(ValueError, match="at least 1"):
        QM9.grid(tmp_path / "a.png", **arguments)


def test_grid_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="no molecules to draw"):
        QM9[:0].grid(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a", "a.jpg", "a.JPEG", "a.svg"])
def test_grid_writes_what_the_suffix_says(tmp_path, name):
    batch = MoleculeBatch.concatenate([broken(), PLAIN])
    path = batch.grid(tmp_path / name, columns=4)
    width, height = 4 * (360 + 14) + 14, 2 * (376 + 14) + 14
    if name.endswith("svg"):
        svg = ET.parse(path).getroot()
        assert (svg.get("width"), svg.get("height")) == (str(width), str(height))
        lines = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert lines.count("no drawing") == 4 and lines.count("valid") == 3
        assert QM9.smiles[2] in lines
    else:
        with Image.open(path) as image:
            assert image.format == ("JPEG" if "j" in name.lower() else "PNG")
            assert image.size == (width, height)


@pytest.mark.parametrize(("name", "hint"), [("a.gif", ".svg"), ("a.html", "write_html")])
def test_grid_says_what_it_can_write(tmp_path, name, hint):
    with pytest.raises(ValueError, match=hint):
        QM9.grid(tmp_path / name)
    assert not list(tmp_path.iterdir())


HOSTILE = "</script><script>alert(1)</script>&\"'"


def hostile() -> MoleculeBatch:
    """Real and broken molecules whose ids and properties could break a page."""
    batch = MoleculeBatch.concatenate([PLAIN, broken()])
    n = len(batch)
    gap = np.linspace(5, 4, n)
    gap[1] = np.nan
    return MoleculeBatch.from_arrays(
        batch.numbers,
        batch.positions,
        properties={"gap": gap, HOSTILE: [HOSTILE] * n},
        ids=[f"{HOSTILE} {i}" for i in range(n)],
    )


def test_view_holds_all_atoms_valid_or_not(tmp_path):
    batch = hostile()
    for i in (0, 3):
        batch.view(i).write_html(str(tmp_path / "a.html"))
        page = (tmp_path / "a.html").read_text()
        assert ("M  END" in page) == (i == 0)
        assert "addModel" in page and "setStyle" in page
        assert "https://cdn" not in page and "alert" not in page


def test_page_has_all_there_is_and_runs_no_foreign_text(tmp_path):
    page = hostile().write_html(tmp_path / "set.html").read_text()
    assert page.count('<article class="card"') == 8 and page.count("tabindex=0") == 6
    assert "<title>set</title>" in page and "8 molecules, 3 valid" in page
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert") > 8
    assert "<dt>gap</dt><dd>4.71429</dd>" in page and "<dd>nan" not in page
    assert QM9.smiles[2] in page and "invalid: no atoms" in page
    first = QM9.write_html(tmp_path / "b.html", n=2, title="two").read_text()
    assert f"the first 2 of {len(QM9)} molecules" in first and "<h1>two</h1>" in first


@pytest.mark.parametrize(
    ("name", "n", "reason"), [("a.png", 1, "ends in .html"), ("a.html", 0, "at least 1")]
)
def test_pages_that_cannot_be(tmp_path, name, n, reason):
    with pytest.raises(ValueError, match=reason):
        QM9.write_html(tmp_path / name, n=n)
    with pytest.raises(ValueError, match="no molecules to draw"):
        QM9[:0].write_html(tmp_path / "a.html")


#: Clicks the last molecule that has a 3D view and looks twice where it has turned to.
PROBE = """<script>
(async () => {
  cards.filter(card => card.tabIndex === 0).at(-1).click();
  await $3Dmolpromise;
  while (!viewer) await null;
  const first = JSON.stringify(viewer.getView());
  await new Promise(done => setTimeout(done, 100));
  document.body.dataset.turned = first !== JSON.stringify(viewer.getView());
  document.body.dataset.atoms = viewer.getModel().selectedAtoms({}).length;
  viewer.spin(false);
})();
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["page", "view"])
def test_page_opens_and_turns_in_a_browser_without_network(tmp_path, kind):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")
    path = tmp_path / "a.html"
    if kind == "page":
        page = hostile().write_html(path).read_text()
        path.write_text(page.replace("</body>", PROBE))
    else:
        hostile().view(2).write_html(str(path))
    command = [
        browser, "--headless", "--no-sandbox", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader", "--window-size=400,300", "--virtual-time-budget=400",
        f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    seen = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    assert "<canvas" in seen
    if kind == "page":
        assert 'data-turned="true"' in seen and 'data-atoms="2"' in seen
    else:
        assert "failed to load" not in seen


@pytest.mark.parametrize("i", [1, 2])
def test_nothing_to_view(i):
    with pytest.raises(MoleculeError, match="nothing to view"):
        broken().view(i)


@pytest.mark.parametrize("look", [MoleculeBatch.view, MoleculeBatch.atoms, MoleculeBatch.graph])
def test_molecules_that_are_not_there(look):
    with pytest.raises(IndexError, match="molecule 99 is out of range: there are 5, 0 to 4"):
        look(broken(), 99)
    with pytest.raises(IndexError, match="molecule -6 is"):
        look(broken(), -6)
    with pytest.raises(IndexError, match="the batch is empty"):
        look(broken()[:0], 0)
