"""README, guide and notebooks run as they stand, from an empty folder, within 15 minutes.

`test_docs.py` runs the same code on tiny data with every change of the code; this is what a new
user does on the first day, on a machine with two free cores (``make test-docs``):

    python -m pytest -m slow tests/integration/test_docs_verbatim.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from chem_data import qm9

ROOT = Path(__file__).parents[2]
MINUTES = 15
PAGES = [
    ("README.md", "shell"),
    ("docs/guide.md", ""),
    ("tutorials/01_generate_molecules.ipynb", ""),
    ("tutorials/02_design_by_property.ipynb", ""),
    ("tutorials/03_edit_a_molecule.ipynb", ""),
    ("tutorials/04_conformers.ipynb", ""),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with a file of one's own molecules; QM9 is read anew."""
    folder = tmp_path_factory.mktemp("first_day")
    molecules, _ = qm9()
    molecules.to_sdf(folder / "my_molecules.sdf")
    (folder / "data").mkdir()
    return folder


@pytest.fixture(scope="module")
def deadline():
    return time.monotonic() + 60 * MINUTES


@pytest.mark.slow
@pytest.mark.parametrize(("page", "shell"), PAGES, ids=[Path(page).stem for page, _ in PAGES])
def test_page_runs_as_it_stands(page, shell, folder, deadline):
    if page.endswith(".ipynb") and find_spec("nbclient") is None:
        pytest.skip("needs nbclient and ipykernel: pip install 'deepchem_ead[tutorials]'")
    work = folder / Path(page).stem
    work.mkdir()
    (work / "my_molecules.sdf").write_bytes((folder / "my_molecules.sdf").read_bytes())
    environment = os.environ | {
        "DEEPCHEM_DATA_DIR": str(folder / "data"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(ROOT / "tests" / "page_runner.py"), str(ROOT / page), shell]
    said = work / "said.txt"
    with said.open("w") as output:
        try:
            code = subprocess.run(
                command, cwd=work, env=environment, stdout=output, stderr=subprocess.STDOUT,
                timeout=deadline - time.monotonic(),
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = f"not within {MINUTES} minutes for all pages"
    assert code == 0, f"{code}:\n{said.read_text()[-4000:]}"
