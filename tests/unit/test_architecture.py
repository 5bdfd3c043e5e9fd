"""docs/architecture.md is true: rooms import only what its table allows, nothing in a circle."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import deepchem_ead

ROOT = Path(deepchem_ead.__file__).parent
TEXT = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def module_name(path: Path) -> str:
    parts = ("deepchem_ead", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported_names(tree: ast.AST) -> set[str]:
    """Every module or name in an import statement, wherever in the file it stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not walked"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the package that this one imports."""
    found = set()
    for name in imported_names(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        owner = name if name in MODULES else name.rpartition(".")[0]
        found |= {owner} & MODULES.keys()
    return frozenset(found - {module})


def table() -> dict[str, tuple[str, frozenset[str] | None]]:
    """Folder or module -> its room (the row's first name) and what it may import; None: all."""
    rows = {}
    for cells in re.findall(r"^\| (`.*`) \| .* \|(.*)\|$", TEXT, flags=re.MULTILINE):
        names = re.findall(r"`([\w/]+)`", cells[0])
        allowed = frozenset(re.findall(r"\w+", cells[1]))
        for name in names:
            rows[name] = (names[0].strip("/"), None if "everything" in allowed else allowed)
    return rows


ROOMS = table()


def row_of(module: str) -> str:
    first = (module.split(".") + ["__init__"])[1]
    return f"{first}/" if (ROOT / first).is_dir() else first


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_modules_import_each_other_in_no_circle():
    assert circle({module: set(imports(module)) for module in MODULES}) == []


def test_rooms_import_each_other_in_no_circle():
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        room = ROOMS[row_of(module)][0]
        others = {ROOMS[row_of(other)][0] for other in imports(module)} - {room, "__init__"}
        graph.setdefault(room, set()).update(others)
    assert circle(graph) == []


@pytest.mark.parametrize("row", sorted({row_of(module) for module in MODULES}))
def test_a_room_imports_only_what_the_table_allows(row):
    assert row in ROOMS, f"docs/architecture.md says nothing of {row}"
    room, allowed = ROOMS[row]
    if allowed is None:
        return
    assert allowed <= {name for name, _ in ROOMS.values()}
    refused = [
        f"{module} imports {other}"
        for module in MODULES
        if row_of(module) == row
        for other in imports(module)
        if ROOMS[row_of(other)][0] not in {room, *allowed}
    ]
    assert refused == []


def test_rooms_without_deepchem_do_without_it():
    sentence = re.search(r"^((?:`\w+`[, and\n]*)+)never import DeepChem", TEXT, re.MULTILINE)
    rooms = set(re.findall(r"`(\w+)`", sentence[1]))
    assert {"diffusion", "sampling", "generator"} <= rooms
    for module, path in MODULES.items():
        if row_of(module).strip("/") in rooms:
            names = imported_names(ast.parse(path.read_text(encoding="utf-8")))
            assert "deepchem" not in {name.partition(".")[0] for name in names}, module


@pytest.mark.parametrize(
    "module", [name for name, path in MODULES.items() if path.name == "__init__.py"]
)
def test_every_folder_says_in_a_sentence_what_is_there(module):
    docstring = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    assert docstring and re.fullmatch(r"[A-Z].{20,}\.", docstring.splitlines()[0]), module


def test_files_named_in_the_path_of_a_molecule_exist():
    path_of_a_molecule = TEXT[TEXT.index("## One molecule") :]
    for name in re.findall(r"`(\w+/(?:\w+\.py)?)`", path_of_a_molecule):
        assert (ROOT / name).exists(), name


def test_a_file_has_one_idea():
    """Which takes 400 lines at most."""
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert {str(path): n for path, n in lengths.items() if n > 400} == {}
