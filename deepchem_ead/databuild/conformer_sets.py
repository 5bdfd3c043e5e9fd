"""Sets of reference ensembles: which graphs, at which level, shard by shard."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rdkit
from rdkit import Chem, rdBase

from deepchem_ead import cache
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.forms import is_neutral
from deepchem_ead.chem.rdkit_io import arrays_from_mol
from deepchem_ead.chem.stereo import draw_stereo, stereo_smiles
from deepchem_ead.databuild.build import Workshop, check_request, one_thread
from deepchem_ead.databuild.collect import parts_of
from deepchem_ead.databuild.geometry import seed_of
from deepchem_ead.databuild.reference import Recipe, make_reference
from deepchem_ead.databuild.shards import is_whole, reason_of, scaffold_hash, write_arrays
from deepchem_ead.databuild.sources import fetch_wheels
from deepchem_ead.errors import MoleculeError
from deepchem_ead.locks import hold
from deepchem_ead.molnet.conformer_sets import LEVELS, SHARDS, EnsembleRow, pack
from deepchem_ead.molnet.qm9_graphs import find_graphs, to_batch
from deepchem_ead.molnet.qm9pack import load_qm9pack
from deepchem_ead.molnet.splits import edm_parts
from deepchem_ead.potentials.ani2xt import NETWORKS, ANI2xt
from deepchem_ead.potentials.levels import GFN2, ANI2xtLevel, Level
from deepchem_ead.potentials.wheels import ani2xt_parameters
from deepchem_ead.workers import Failure, guarded

logger = logging.getLogger(__name__)

#: Of what is computed: a folder of another recipe is not continued.
VERSION = 1
#: Graphs of a shard: a minute or some, which is what a killed process loses.
SHARD = 10
#: Drug-like graphs for testing, the first ones of the set; training graphs follow.
DRUGS_TEST = 300


@dataclass(frozen=True)
class Graph:
    """A molecule to find an ensemble of.

    Attributes
    ----------
    index : int
        In its source.
    part, level : str
    mol : rdkit.Chem.Mol or None
        With all hydrogens and stereo labels, and a conformer where its source has a geometry; None
        where there is none.
    reason : str
        Why there is none.
    """

    index: int
    part: str
    level: str
    mol: Chem.Mol | None
    reason: str = ""


class GraphSet(Protocol):
    """Graphs by number, the same whatever is asked for before."""

    name: str
    recipe: Recipe

    def graphs(self, n: int, folder: Path) -> Sequence[Graph]:
        """The first n; ``folder`` keeps what takes long to find."""

    def levels(self, folder: Path) -> dict[str, Level]:
        """Levels of theory that its graphs name."""


class QM9Graphs:
    """QM9's test molecules, shuffled: bonds of their SMILES, stereo of the DFT geometry.

    Minima are of GFN2-xTB to 0.02 eV/Angstrom.
    """

    name = "conformers-qm9"
    recipe = Recipe(starts=50)

    def graphs(self, n: int, folder: Path) -> list[Graph]:
        table = load_qm9pack()
        rows = np.flatnonzero(edm_parts() == 2)
        rows = np.random.RandomState(0).permutation(rows)[:n]
        if len(rows) < n:
            raise ValueError(f"n={n}: QM9 has {len(rows)} test molecules")
        chosen = table.select(rows)
        found = find_graphs(chosen, progress=False)
        batch = to_batch(chosen, found.graphs)
        unknown = "its bonds are not known"
        return [
            Graph(int(index), "test", "gfn2", mol if mol is not None and given else None, unknown)
            for index, mol, given in zip(
                chosen.index, batch.to_rdkit(), found.graphs.bonds_given, strict=True
            )
        ]

    def levels(self, folder: Path) -> dict[str, Level]:
        return {"gfn2": GFN2(max_force=0.02)}


class DrugGraphs:
    """Drug-like molecules of `Candidates`, split by scaffold, stereo drawn where it is open.

    The first `DRUGS_TEST` are test molecules, at minima of GFN2-xTB; training molecules that
    ANI-2xt knows follow, at its minima.

    Parameters
    ----------
    wheels : Path, optional
        Folder with the source packages; by default pip downloads them into the set's folder.
    """

    name = "conformers-drugs"
    recipe = Recipe(starts=100, most=60)

    def __init__(self, wheels: Path | None = None) -> None:
        self._wheels = wheels

    def graphs(self, n: int, folder: Path) -> list[Graph]:
        path = folder / f"graphs-{n}.json"
        listed = json.loads(cache.built(path, partial(self._list, n=n, folder=folder)))
        return [_drug(**each) for each in listed]

    def levels(self, folder: Path) -> dict[str, Level]:
        network = ANI2xt(ani2xt_parameters(self._found(folder)))
        return {"gfn2": GFN2(), "ani2xt": ANI2xtLevel(network)}

    def _found(self, folder: Path) -> Path:
        if self._wheels is not None:
            return self._wheels
        wheels = folder / "wheels"
        wheels.mkdir(exist_ok=True)
        fetch_wheels(wheels)
        return wheels

    def _list(self, path: Path, n: int, folder: Path) -> None:
        candidates = Workshop(folder, self._found(folder)).candidates()
        wanted = {"test": min(n, DRUGS_TEST), "train": max(n - DRUGS_TEST, 0)}
        found: dict[str, list[dict[str, Any]]] = {"test": [], "train": []}
        for number in count():
            if all(len(found[part]) >= wanted[part] for part in wanted):
                break
            if number == len(candidates):
                raise ValueError(f"n={n}: the sources have {sum(map(len, found.values()))} graphs")
            smiles = candidates[number].smiles
            turn = parts_of(np.array([scaffold_hash(smiles)]))[0]
            part = {0: "train", 2: "test"}.get(int(turn))
            known = part == "test" or _ani_knows(smiles)
            if part is not None and known and len(found[part]) < wanted[part]:
                isomer = candidates[number].isomer
                found[part].append(
                    {"index": number, "part": part, "smiles": smiles, "isomer": isomer}
                )
        path.write_text(json.dumps(found["test"] + found["train"], indent=0), encoding="ascii")


def _ani_knows(smiles: str) -> bool:
    mol = Chem.MolFromSmiles(smiles)
    return {atom.GetAtomicNum() for atom in mol.GetAtoms()} <= set(NETWORKS) and is_neutral(mol)


def _drug(index: int, part: str, smiles: str, isomer: int) -> Graph:
    rng = np.random.Generator(np.random.PCG64(seed_of("conformers", smiles, isomer)))
    mol = Chem.AddHs(draw_stereo(Chem.MolFromSmiles(smiles), rng))
    return Graph(index, part, "gfn2" if part == "test" else "ani2xt", mol)


# -------------------------------------------------------------------------------------- the build


def build_conformers(
    graph_set: GraphSet,
    folder: Path,
    n: int,
    workers: int = 1,
    progress: bool = True,
    shard_size: int = SHARD,
) -> None:
    """Make the shards of the first n graphs that a folder lacks; each is the same bytes again.

    Parameters
    ----------
    graph_set : GraphSet
    folder : Path
        Made if need be; `deepchem_ead.molnet.load_conformers` reads it.
    n : int
        Graphs, a multiple of ``shard_size``.
    workers : int
        Processes, each with one thread.
    progress : bool
    shard_size : int

    Raises
    ------
    ValueError
        If n or ``workers`` is out of range, or the folder holds another set.
    InUseError
        If another process is building there.
    ImportError, FileNotFoundError
        If a package or a source is missing.
    """
    from tqdm import tqdm

    check_request(n, workers, shard_size)
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder, "building conformers"):
        _check_recipe(folder, graph_set, shard_size)
        shards = folder / SHARDS
        shards.mkdir(exist_ok=True)
        missing = [k for k in range(n // shard_size) if not is_whole(_path(folder, k))]
        if not missing:
            return
        graphs, levels = graph_set.graphs(n, folder), graph_set.levels(folder)
        make = partial(
            _make_shard, graphs=graphs, size=shard_size, folder=folder, levels=levels,
            recipe=graph_set.recipe,
        )  # fmt: skip
        done = n - len(missing) * shard_size
        with tqdm(
            total=n, initial=done, desc="finding conformers", unit="mol", disable=not progress
        ) as bar:
            if workers == 1:
                with one_thread():
                    for shard in missing:
                        make(shard, lambda stage: None, tick=bar.update)
                return
            for k, answer in guarded(make, missing, workers, math.inf):
                if isinstance(answer, Failure):
                    raise RuntimeError(f"shard {missing[k]} was not made: {answer.what}")
                bar.update(shard_size)


def _path(folder: Path, shard: int) -> Path:
    return folder / SHARDS / f"{shard:05d}.npz"


def _check_recipe(folder: Path, graph_set: GraphSet, shard_size: int) -> None:
    path = folder / "recipe.json"
    ours = {
        "set": graph_set.name, "version": VERSION, "shard_size": shard_size,
        "recipe": asdict(graph_set.recipe), "rdkit": rdkit.__version__,
    }  # fmt: skip
    if not path.is_file():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(ours, indent=1), encoding="utf-8")
        return
    theirs = json.loads(path.read_text(encoding="utf-8"))
    other = [name for name, value in ours.items() if theirs.get(name) != value]
    if other == ["rdkit"]:
        version = theirs["rdkit"]
        logger.warning("%s was begun with RDKit %s: new shards are other ones", folder, version)
    elif other:
        raise ValueError(
            f"{folder} holds conformers of another {', '.join(other)} ({path}); choose another "
            "folder"
        )


def _make_shard(
    number: int,
    enter: Callable[[int], None],
    graphs: Sequence[Graph],
    size: int,
    folder: Path,
    levels: dict[str, Level],
    recipe: Recipe,
    tick: Callable[[], Any] = lambda: None,
) -> int:
    rows: list[EnsembleRow] = []
    failed: list[tuple[int, str]] = []
    for graph in graphs[number * size : (number + 1) * size]:
        try:
            with rdBase.BlockLogs():
                rows.append(_row(graph, levels[graph.level], recipe))
        except (ValueError, RuntimeError) as error:  # of RDKit; one molecule ends no run of hours
            failed.append((graph.index, reason_of(error)))
        tick()
    arrays = pack(rows, failed)
    cache.built(_path(folder, number), lambda path: write_arrays(path, arrays))
    return number


def _row(graph: Graph, level: Level, recipe: Recipe) -> EnsembleRow:
    if graph.mol is None:
        raise MoleculeError(graph.reason)
    given = None
    if graph.mol.GetNumConformers():
        given = np.array(graph.mol.GetConformer().GetPositions())
        wanted = stereo_smiles(graph.mol)
    found = make_reference(graph.mol, level, recipe)
    if given is not None and found.smiles != wanted:
        raise MoleculeError("the ensemble has another stereo than the molecule")
    arrays = arrays_from_mol(found.mol)
    assert level.name in LEVELS and arrays.graph is not None
    positions = np.array([c.GetPositions() for c in found.mol.GetConformers()])
    return EnsembleRow(
        graph.index, graph.part, level.name, found.smiles, arrays.graph, arrays.numbers, positions,
        found.energies, found.found_by, given,
    )  # fmt: skip
