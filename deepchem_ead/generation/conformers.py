"""Conformers of given graphs, with the configuration that each specifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from rdkit import Chem
from tqdm.auto import tqdm

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.bond_columns import without_columns
from deepchem_ead.chem.graph_stereo import graph_stereo
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import atoms_of, kekulised_bonds
from deepchem_ead.conformers.ensemble import Ensemble, find_ensemble
from deepchem_ead.conformers.graph import check_graph, read_graph
from deepchem_ead.conformers.many import Entry, generate_conformers
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.conformers.source import Request as Wanted
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.editing import check_level, seeded
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.job import GenerationSettings, best_batch, generate_batches
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.generator.pretrained import larger_model
from deepchem_ead.generator.trained import Generator
from deepchem_ead.tasks import TaskMixture

#: Level of noise from which sampling begins at given conformers.
START_LEVEL = 300.0
#: Of weights that have learned other tasks, too, unless told otherwise: their configuration is for
#: molecules from nothing, and more steps find no more conformers (docs/conformers.md).
STEPS, STEPPER = 20, "ancestral"
#: Molecules without conformers that a warning names.
_NAMED = 5


class ModelSources:
    """A model as what draws conformers of any molecule: makes sources, and draws for all of them.

    See `deepchem_ead.conformers.source`: it is a `MakeSource` and the `Pool` of its sources.
    Conformer i of an attempt depends on the molecule, the seed and i, whatever it is drawn with.

    Parameters
    ----------
    model : Generator
    options : SamplingOptions
        A guide is an object here, no name. Where steps or stepper are not given, weights that
        have learned other tasks, too, take `STEPS` and `STEPPER`, others what they are configured
        for.
    progress : bool
        Show how far each drawing is.
    start_level : float
        Level of the noise that given conformers get where sampling begins at them.
    method : str
        What the output says of where conformers come from.

    Attributes
    ----------
    watch : callable or None
        Told how far the present drawing is, 0 to 1.

    Raises
    ------
    ValueError
        If the model was not trained for conformers, or an option is out of range.
    """

    def __init__(
        self,
        model: Generator,
        options: SamplingOptions,
        progress: bool = False,
        start_level: float = START_LEVEL,
        method: str = "model",
    ) -> None:
        if options.n_atoms is not None:
            raise ValueError("the molecule says how many atoms there are: leave n_atoms out")
        check_task(model.config, "conformer", bonds=True)
        check_level(model.config.timesteps, start_level, "start_level")
        self.model, self.method, self.start_level = model, method, start_level
        self._progress = progress
        self.watch: Callable[[float], None] | None = None
        if len(TaskMixture.read(model.config.tasks).tasks) > 1:
            options = replace(
                options,
                steps=STEPS if options.steps is None else options.steps,
                stepper=STEPPER if options.stepper is None else options.stepper,
            )
        # Sizes are those of the molecules.
        settings = GenerationSettings.resolve(model.config, replace(options, n_atoms=1))
        # Kinds are given: nothing is to be decided by the number of electrons.
        self._options = replace(options, closed_shell=False)
        self._settings = replace(settings, graphs=False)

    def describe(self) -> dict[str, Any]:
        """What the sampler does, as a record of a run has it."""
        return self._settings.describe()

    def __call__(self, molecule: Chem.Mol, name: str) -> ModelSource:
        """The source of a molecule.

        Raises
        ------
        MoleculeError
            If the model does not know such molecules.
        """
        seed = seeded(self._options).seed
        assert seed is not None
        return ModelSource(self, molecule, name, seed)

    def share(self, wanted: Wanted) -> float:
        """How much of what is best drawn at once is wanted."""
        if self._settings.batch_size is not None:
            return wanted.n / self._settings.batch_size
        return wanted.n * _source(wanted).n_atoms ** 2 / best_batch(self.model.device)

    def draw(self, wanted: Sequence[Wanted]) -> list[list[np.ndarray]]:
        """Positions of as many conformers as are wanted, of all molecules in one run.

        Those that begin at given coordinates visit other levels, and are a run of their own.
        """
        found: list[list[np.ndarray]] = [[] for _ in wanted]
        for begun in (False, True):
            rows = [k for k, each in enumerate(wanted) if bool(_source(each).begin) == begun]
            if rows:
                drawn = self._run([wanted[k] for k in rows], begun)
                for k in rows:
                    found[k] = [next(drawn) for _ in range(wanted[k].n)]
        return found

    def _run(self, wanted: Sequence[Wanted], begun: bool) -> Iterator[np.ndarray]:
        """Conformers of all sources, one source after another."""
        molecules: list[MoleculeBatch] = []
        stereo, which, noise = [], [], []
        for each in wanted:
            source, n = _source(each), each.n
            given, seed = source.given(), source.seed_of(each.attempt)
            which += [len(molecules) + k % len(given) for k in range(n)]
            noise += [(seed, k) for k in range(n)]
            molecules += given
            stereo += [source.stereo] * len(given)
        task = f"conformer:level={float(self.start_level)}" if begun else "conformer"
        batch = MoleculeBatch.concatenate(molecules)
        start = Given(batch, task, stereo=stereo, which=np.array(which))
        settings = replace(
            self._settings, start=start, noise=noise, n_atoms=batch.counts[which].tolist()
        )
        request = Request(self.model, len(which), None, self._options)
        parts = generate_batches(
            self.model, len(which), settings, progress=self._progress, request=request,
            callback=self._reporting(len(which)),
        )  # fmt: skip
        for part in parts:
            yield from part.molecules.positions

    def _reporting(self, n: int) -> Callable[[dict], None] | None:
        """What tells the watcher after each step how far n conformers are."""
        watch = self.watch
        if watch is None:
            return None
        shares: dict[int, float] = {}

        def report(step: dict) -> None:
            rows = step["molecules"]
            shares[int(rows[0])] = len(rows) * (step["step"] + 1) / step["n_steps"]
            watch(sum(shares.values()) / n)

        return report


class ModelSource:
    """A model as a source of conformers of one molecule: one of `ModelSources`."""

    def __init__(self, pool: ModelSources, molecule: Chem.Mol, name: str, seed: int) -> None:
        batch = graph_batch(molecule, name)
        self.n_atoms = int(batch.counts[0])
        most = pool.model.config.max_atoms
        if self.n_atoms > most:
            kinds = zip(batch.atomic_numbers.tolist(), batch.formal_charges().tolist(), strict=True)
            raise MoleculeError(
                f"{name} has {self.n_atoms} atoms with hydrogens, and the model knows at most "
                f"{most}; take weights of larger molecules{larger_model(kinds, self.n_atoms)}"
            )
        self.stereo = graph_stereo(molecule)
        Given(batch, "conformer").check(np.array([self.n_atoms]), pool.model.encoding, name)
        self.pool, self.method = pool, pool.method
        self._molecule, self._seed = batch, seed
        #: Conformers (atoms, 3) that sampling begins at.
        self.begin: Sequence[np.ndarray] = ()

    def starting_at(self, conformers: Sequence[np.ndarray]) -> tuple[ModelSource, str]:
        """See `Source`."""
        begun = copy(self)
        begun.begin = list(conformers)
        return begun, (
            "sampling began at the given coordinates with the noise of level "
            f"{self.pool.start_level:g}"
        )

    def draw(self, n: int, attempt: int) -> list[np.ndarray]:
        """Positions of n samples."""
        return self.pool.draw([Wanted(self, n, attempt)])[0]

    def given(self) -> list[MoleculeBatch]:
        """What samples start from in turn."""
        if not self.begin:
            return [self._molecule]
        return [replace(self._molecule, coordinates=np.asarray(x)) for x in self.begin]

    def seed_of(self, attempt: int) -> int:
        """The seed of an attempt; the first one's is that of the options."""
        if not attempt:
            return self._seed
        return int(np.random.SeedSequence([self._seed, attempt]).generate_state(1)[0])


def _source(wanted: Wanted) -> ModelSource:
    assert isinstance(wanted.source, ModelSource)
    return wanted.source


def find_conformers(
    sources: ModelSources,
    mol: str | Chem.Mol,
    wanted: ConformerOptions,
    start: Chem.Mol | Sequence[Chem.Mol | None] | None = None,
) -> Chem.Mol:
    """What `EADModel.conformers` returns of one molecule; errors are described there."""
    molecule, name = read_graph(mol)
    if start is not None and not isinstance(start, Chem.Mol):
        raise ValueError(f"start is a {type(start).__name__}; of one molecule give one")
    if start is None and isinstance(mol, Chem.Mol) and any(c.Is3D() for c in mol.GetConformers()):
        warn_caller(f"{name}: its own conformers are not used; start=mol begins at them")
    return _told(find_ensemble(molecule, name, sources, wanted, start, complete=True))


def find_all_conformers(
    sources: ModelSources,
    mols: Sequence[str | Chem.Mol | None],
    wanted: ConformerOptions,
    starts: Chem.Mol | Sequence[Chem.Mol | None] | None = None,
    progress: bool = True,
) -> list[Chem.Mol | None]:
    """What `EADModel.conformers` returns of many molecules, drawn side by side."""
    if starts is not None and (isinstance(starts, Chem.Mol) or len(starts) != len(mols)):
        raise ValueError(f"start must be {len(mols)} molecules or None, one for each of mol")
    for k, mol in enumerate(mols):
        if not isinstance(mol, str | Chem.Mol | None):
            raise ValueError(
                f"molecule {k} is a {type(mol).__name__}; give a SMILES or an RDKit molecule"
            )
    given = starts or [None] * len(mols)
    entries = [
        Entry(k, "", mol if isinstance(mol, str) else "", mol, "it is None", start)
        for k, (mol, start) in enumerate(zip(mols, given, strict=True))
    ]
    found: list[Chem.Mol | None] = []
    failures = []
    bar = tqdm(total=len(mols), desc="conformers", unit="mol", disable=not progress)
    sources.watch = lambda share: bar.set_postfix_str(f"drawing {share:.0%}")
    with bar:
        for (answer,) in generate_conformers(entries, sources, wanted):
            bar.update()
            if answer.ensemble is None:
                failures.append(f"molecule {answer.entry.number}: {answer.reason}")
            found.append(None if answer.ensemble is None else _told(answer.ensemble))
    if failures:
        more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
        warn_caller(
            f"{len(failures)} of {len(mols)} molecules have no conformers: "
            f"{'; '.join(failures[:_NAMED])}{more}"
        )
    return found


def _told(ensemble: Ensemble) -> Chem.Mol:
    """The molecule, with what is to be said of its conformers as properties."""
    for key, text in ensemble.told().items():
        ensemble.mol.SetProp(f"conformers_{key}", text)
    return ensemble.mol


def graph_batch(molecule: Chem.Mol, name: str) -> MoleculeBatch:
    """The graph of a molecule with explicit hydrogens as a batch, all atoms at the origin.

    Raises
    ------
    MoleculeError
        If it has no atoms, dummy atoms, several parts, unpaired electrons or rare bonds.
    """

    def refuse(bad: Any, why: str) -> None:
        if bad:
            raise MoleculeError(f"{name} {why}")

    check_graph(molecule, name)
    atoms = atoms_of(molecule)
    numbers = [atom.GetAtomicNum() for atom in atoms]
    refuse(
        any(atom.GetNumRadicalElectrons() for atom in atoms),
        "has unpaired electrons, which the model does not know",
    )
    bonds = kekulised_bonds(molecule)
    refuse(bonds is None, "has bonds of a type that the model does not know")
    charges = np.array([atom.GetFormalCharge() for atom in atoms], np.int8)
    graph = MolecularGraph(charges, bonds)
    batch = MoleculeBatch.from_arrays(
        [numbers],
        [np.zeros((len(atoms), 3))],
        bonds=[graph.bonds],
        formal_charges=[graph.formal_charges],
    )
    for reason in without_columns(batch).values():
        raise MoleculeError(f"{name} {reason}")
    return batch
