"""The index of the benchmarks names every one, by its own sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
FILES = sorted(FOLDER.glob("*/*.py"))


def test_names_are_those_of_one_namespace():
    names = [file.stem for file in FILES]
    assert len(names) == len(set(names)) > 30
    assert {file.name for file in FOLDER.glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_index_has_its_sentence(file):
    sentence = ast.get_docstring(ast.parse(file.read_text())).split("\n\n")[0].replace("\n", " ")
    section = (FOLDER / "README.md").read_text().split(f"## `{file.parent.name}/`")[1]
    assert f"| `{file.stem}` | {sentence} |" in section.split("\n## ")[0]
