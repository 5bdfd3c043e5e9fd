"""``load_qm9_3d``: QM9 with its DFT geometries as DeepChem datasets."""

from __future__ import annotations

from collections.abc import Sequence

import deepchem as dc
import numpy as np
from deepchem.molnet.load_function.molnet_loader import TransformerGenerator

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.bond_columns import bond_columns
from deepchem_ead.chem.rdkit_io import molecule_of
from deepchem_ead.feat.molecule3d import Molecule3DFeaturizer
from deepchem_ead.keywords import check_keywords
from deepchem_ead.molnet import qm9_graphs
from deepchem_ead.molnet.cached_loader import CachedLoader
from deepchem_ead.molnet.featurized import check_bonds, check_fit, features_of
from deepchem_ead.molnet.names import check_tasks, find_splitter, find_transformers
from deepchem_ead.molnet.qm9pack import INSTALL_HINT, load_qm9pack, qm9pack_version
from deepchem_ead.molnet.sample import SAMPLE_VERSION, load_sample
from deepchem_ead.molnet.splits import (
    MEMORY_CACHE_BYTES,
    CompleteSplitter,
    EDMSplitter,
    edm_parts,
)
from deepchem_ead.molnet.table import MoleculeTable
from deepchem_ead.molnet.transforms import mark_labels

QM9_UNITS = {
    "mu": "Debye",
    "alpha": "Bohr^3",
    "homo": "Hartree",
    "lumo": "Hartree",
    "gap": "Hartree",
    "r2": "Bohr^2",
    "zpve": "Hartree",
    "u0": "Hartree",
    "u298": "Hartree",
    "h298": "Hartree",
    "g298": "Hartree",
    "Cv": "cal/mol/K",
    "Cv_edm": "cal/mol/K",
}
_CV_PER_ATOM = 2.981


@check_keywords()
def load_qm9_3d(
    featurizer: dc.feat.Featurizer | None = None,
    splitter: dc.splits.Splitter | str | None = "edm",
    transformers: Sequence[TransformerGenerator | str] = (),
    tasks: Sequence[str] = ("alpha", "gap", "homo", "lumo", "mu", "Cv"),
    reload: bool = True,
    data_dir: str | None = None,
    save_dir: str | None = None,
    source: str = "auto",
    bonds: bool = False,
) -> tuple[list[str], tuple[dc.data.Dataset, ...], list[dc.trans.Transformer]]:
    """Load QM9's DFT geometries and properties.

    The full set has the 130,831 molecules left after the 3,054 uncharacterised ones are removed,
    with up to 29 atoms of H, C, N, O and F. It is parsed once (about 20 s, with a progress bar)
    and cached. X is float32 (N, 29, 4): x, y, z in Angstrom, centred, and atomic number; padding
    rows are 0. ids are canonical SMILES without explicit hydrogens, all weights are 1. Rows are in
    gdb9 order, which is roughly by size; each split is one shard, so DeepChem shuffles all of it.

    Parameters
    ----------
    featurizer : dc.feat.Featurizer, optional
        Default ``Molecule3DFeaturizer()``. Other featurizers get RDKit molecules with the DFT
        geometry and the bonds and charges perceived from it; molecules without a closed-shell
        structure or whose featurization fails are left out and reported.
    splitter : str, dc.splits.Splitter or None
        ``"edm"``: the split of EDM and its successors, 100,000 / 17,748 / 13,083, exactly. Also
        DeepChem's names (``"random"``, ``"scaffold"``, ``"index"``, ...) and splitter objects;
        None returns one unsplit dataset.
    transformers : sequence of str or TransformerGenerator
        DeepChem transformers by name (``"normalization"``, ...) or object.
    tasks : sequence of str
        Properties in y, in QM9's native units: mu (Debye), alpha (Bohr^3), homo, lumo, gap, zpve,
        u0, u298, h298, g298 (Hartree), r2 (Bohr^2), Cv (cal/mol/K). ``Cv_edm`` is the heat
        capacity as EDM's conditional experiments use it, Cv - 2.981 cal/mol/K per atom.
    reload : bool
        Use and write the caches.
    data_dir : str, optional
        Folder of the parsed raw data; default DeepChem's data folder.
    save_dir : str, optional
        Folder of the featurized and split datasets; default DeepChem's data folder.
    source : {"auto", "qm9pack", "sample"}
        ``"qm9pack"``: the full set from the package qm9pack. ``"sample"``: 2,000 molecules shipped
        with this package (coordinates rounded by less than 0.0005 Angstrom). ``"auto"``: the full
        set if qm9pack is installed, otherwise the sample, with a warning.
    bonds : bool
        X with formal charges and bonds, (N, 29, 11): the same as
        ``featurizer=Molecule3DFeaturizer(bonds=True)``. They are those of QM9's own SMILES, laid on
        the geometry; where that fails, perceived from it (:mod:`deepchem_ead.molnet.qm9_graphs`).
        Found once for the full set (some two minutes, with a progress bar) and cached.

    Returns
    -------
    tasks : list of str
    datasets : tuple of dc.data.DiskDataset
        (train, valid, test), or one dataset without splitter.
    transformers : list of dc.trans.Transformer

    Raises
    ------
    ValueError
        If a task, the source or the splitter is unknown, a molecule does not fit the featurizer,
        ``bonds=True`` comes with a featurizer without them, or the splitter puts a molecule in no
        part or in two.
    FileNotFoundError
        If ``source="qm9pack"`` and the package is not installed.

    References
    ----------
    .. [1] Ramakrishnan et al., "Quantum chemistry structures and properties of 134 kilo
       molecules", Scientific Data 1, 140022 (2014).
    .. [2] Hoogeboom et al., "Equivariant Diffusion for Molecule Generation in 3D" (EDM),
       arXiv:2203.17003 (the split).

    Examples
    --------
    >>> tasks, (train, valid, test), transformers = load_qm9_3d(
    ...     source="sample", reload=False)
    >>> train.X.shape[1:], train.ids[0], tasks[0]
    ((29, 4), 'N#CC#N', 'alpha')
    """
    tasks = check_tasks(tasks, QM9_UNITS)
    check_bonds(featurizer, bonds)
    source, version = _resolve_source(source)
    featurizer = Molecule3DFeaturizer(bonds=bonds) if featurizer is None else featurizer
    loader = _QM9Loader3D(
        featurizer,
        _complete(find_splitter(splitter, edm=EDMSplitter())),
        find_transformers(transformers),
        tasks,
        data_dir,
        save_dir,
        source=source,
        reload=reload,
    )
    # The folder name holds everything the cached arrays depend on that DeepChem leaves out of it.
    name = f"qm9-3d-{source}-{version}-{'-'.join(tasks)}"
    if _takes_graphs(featurizer):
        name += f"-bonds{qm9_graphs.VERSION}"
    loaded = loader.load_dataset(name, reload)
    for dataset in loaded[1]:
        dataset.memory_cache_size = MEMORY_CACHE_BYTES
    mark_labels(loaded[1], loaded[2])
    return loaded


def _complete(splitter: dc.splits.Splitter | None) -> dc.splits.Splitter | None:
    if splitter is None or isinstance(splitter, EDMSplitter):
        return splitter
    return CompleteSplitter(splitter)


class _QM9Loader3D(CachedLoader):
    """QM9's arrays."""

    def create_dataset(self) -> dc.data.DiskDataset:
        if self.args["source"] == "sample":
            table, parts = load_sample()
        else:
            table = load_qm9pack(self.data_dir, reload=self.args["reload"])
            parts = edm_parts()
        if _takes_graphs(self.featurizer):
            X, kept = self._with_graphs(table), np.arange(len(table))
        else:
            X, kept = featurize_table(table, self.featurizer)
        y = np.stack([task_values(table, task) for task in self.tasks], axis=1)[kept]
        if isinstance(self.splitter, EDMSplitter):
            self.splitter.parts = parts[kept]
        # One shard: DeepChem shuffles only within shards.
        shard = (X, y, np.ones(y.shape, dtype=np.float32), table.smiles[kept].astype(object))
        return dc.data.DiskDataset.create_dataset([shard], tasks=self.tasks)

    def _with_graphs(self, table: MoleculeTable) -> np.ndarray:
        """X of a table with formal charges and, if the featurizer has them, bonds."""
        X, _ = featurize_table(table, self.featurizer)
        if self.args["source"] == "sample":
            found = qm9_graphs.find_graphs(table, progress=False)
        else:
            found = qm9_graphs.load_graphs(table, self.data_dir, self.args["reload"])
        batch = qm9_graphs.to_batch(table, found.graphs)
        # Not those of the batch's own columns: what is not known here would be perceived there.
        charges = np.zeros((*X.shape[:2], 1), np.float32)
        charges[np.arange(X.shape[1]) < batch.counts[:, None], 0] = found.graphs.formal_charges
        more = [bond_columns(batch, X.shape[1])] if self.featurizer.bonds else []
        return np.concatenate([X, charges, *more], axis=2)


def _takes_graphs(featurizer: dc.feat.Featurizer) -> bool:
    """Whether features of QM9's own geometries hold charges or bonds."""
    return (
        isinstance(featurizer, Molecule3DFeaturizer)
        and featurizer.conformer != "embed"
        and (featurizer.formal_charges or featurizer.bonds)
    )


def featurize_table(
    table: MoleculeTable, featurizer: dc.feat.Featurizer
) -> tuple[np.ndarray, np.ndarray]:
    """Features of the molecules of a table.

    Returns
    -------
    X : ndarray (M, ...)
        Features; (M, max_atoms, 4) float32 of a `Molecule3DFeaturizer`.
    kept : ndarray (M,) int64
        Rows of the table that X belongs to.

    Raises
    ------
    ValueError
        If a molecule does not fit the featurizer, or none is left.
    """
    if isinstance(featurizer, Molecule3DFeaturizer) and featurizer.conformer != "embed":
        check_fit(
            table.atomic_numbers,
            table.offsets,
            lambda i: f"molecule {table.index[i]} ({table.smiles[i]})",
            featurizer,
        )
        return table.to_padded(featurizer.max_atoms), np.arange(len(table))
    mols = [molecule_of(*table.numbers_and_positions(i)) for i in range(len(table))]
    return features_of(mols, featurizer)


def task_values(table: MoleculeTable, task: str) -> np.ndarray:
    """Values (N,) float64 of one task in the units of `QM9_UNITS`."""
    if task == "Cv_edm":
        return table.properties["Cv"] - _CV_PER_ATOM * table.n_atoms
    return table.properties[task]


def _resolve_source(source: str) -> tuple[str, str]:
    version = qm9pack_version()
    if source not in ("auto", "qm9pack", "sample"):
        raise ValueError(f"source={source!r}: must be auto, qm9pack or sample")
    if source == "qm9pack" and version is None:
        raise FileNotFoundError(f"source='qm9pack' needs the package qm9pack: {INSTALL_HINT}")
    if source == "auto" and version is None:
        warn_caller(
            "the package qm9pack is not installed: using the 2,000-molecule sample of QM9 instead "
            f"of all 130,831 molecules. For the full set: {INSTALL_HINT}"
        )
    if source == "sample" or version is None:
        return "sample", f"v{SAMPLE_VERSION}"
    return "qm9pack", version
