"""``Molecule3DFeaturizer``: molecules to padded arrays of positions and atomic numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from deepchem.feat import MolecularFeaturizer
from rdkit import Chem

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem import ragged
from deepchem_ead.chem.bond_columns import FIRST_COLUMN, UNKNOWN, without_columns
from deepchem_ead.chem.elements import Vocabulary, symbol_of
from deepchem_ead.chem.graphs import MolecularGraphs
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.overlap import find_overlaps
from deepchem_ead.chem.rdkit_io import arrays_from_mol
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat.embedding import TIME_LIMIT, embed, has_3d_conformer, read_smiles

_CONFORMER_MODES = ("auto", "embed", "given")
_LISTED = 10


class _Features(NamedTuple):
    """Features of one molecule, its name, and what of the molecule they do not hold."""

    array: np.ndarray
    name: str
    lost: tuple[str, ...]


class Molecule3DFeaturizer(MolecularFeaturizer):
    """Turns molecules into float32 arrays (max_atoms, 4): x, y, z and atomic number.

    Positions are in Angstrom, centred on the mean of the atoms; padding rows are 0. Hydrogens are
    kept: a SMILES or a molecule without conformer gets explicit hydrogens and a seeded ETKDGv3
    conformer. The fragments of a dotted SMILES are embedded one by one and placed side by side.

    A molecule that cannot be read or embedded, or has atoms on top of each other, is skipped and
    reported, with its index and the reason, in one warning and in `failures`. Its row is all zeros
    from `featurize`, so that rows stay aligned with labels, and an empty array from calling the
    featurizer, so that DeepChem's loaders drop it together with its label, weight and id. Errors
    that concern the set-up (more
    atoms than `max_atoms`, an element outside `elements`, coordinates that are not finite) always
    raise: no molecule is ever truncated. One warning names the molecules with a charge (unless
    `formal_charges` or `bonds`), isotope labels or unpaired electrons, which the features do not
    hold.

    Parameters
    ----------
    max_atoms : int
        Rows of the output; the largest QM9 molecule has 29 atoms.
    elements : str
        Accepted elements, comma-separated, or the name of a preset (``"qm9"``, ``"geom"``).
    conformer : {"auto", "embed", "given"}
        ``"auto"`` uses the molecule's 3D conformer if it has one and embeds otherwise; ``"embed"``
        always embeds anew; ``"given"`` never embeds.
    seed : int
        Seed of the embedding, the same for each molecule: the result does not depend on the others.
    strict : bool
        Raise on the first molecule that cannot be featurized instead of skipping it.
    use_original_atoms_order : bool
        Keep the molecule's own atom order (added hydrogens last); otherwise RDKit's canonical one.
    formal_charges : bool
        Add the formal charge of each atom as a fifth column: (max_atoms, 5).
    bonds : bool
        Add formal charges and, in six more columns, bonds: (max_atoms, 11); see
        :mod:`deepchem_ead.chem.bond_columns`. Where a molecule is given without bonds they are
        perceived from the coordinates; where there is no closed-shell structure they are not known,
        and a warning says so. A molecule with a dative or another rare bond, or more than six bonds
        at an atom, is skipped.
    time_limit : float, optional
        Seconds (of the clock) that the search for the conformer of one molecule may take; what
        takes longer is skipped. None: no limit. What is found within the limit does not depend on
        it, or on the machine; which molecules are found does, for those that take almost as long.

    Attributes
    ----------
    failures : list of (int, str)
        Index and reason of each molecule skipped by the latest call.

    References
    ----------
    .. [1] Wang et al., "Improving Conformer Generation for Small Rings and Macrocycles Based on
       Distance Geometry and Experimental Torsional-Angle Preferences", J. Chem. Inf. Model. 60,
       2044 (2020) (ETKDGv3).

    Examples
    --------
    >>> featurizer = Molecule3DFeaturizer()
    >>> X = featurizer.featurize(["CCO", "c1ccccc1"])
    >>> X.shape, X.dtype
    ((2, 29, 4), dtype('float32'))
    >>> X[0, :9, 3].astype(int).tolist()
    [6, 6, 8, 1, 1, 1, 1, 1, 1]
    """

    def __init__(
        self,
        max_atoms: int = 29,
        elements: str = "H,C,N,O,F",
        conformer: str = "auto",
        seed: int = 0,
        strict: bool = False,
        use_original_atoms_order: bool = True,
        formal_charges: bool = False,
        time_limit: float | None = TIME_LIMIT,
        bonds: bool = False,
    ):
        super().__init__(use_original_atoms_order=use_original_atoms_order)
        if max_atoms < 1:
            raise ValueError(f"max_atoms={max_atoms}: must be at least 1")
        if conformer not in _CONFORMER_MODES:
            raise ValueError(
                f"conformer={conformer!r}: must be one of {', '.join(_CONFORMER_MODES)}"
            )
        if seed < 0:
            raise ValueError(f"seed={seed}: must be 0 or more, for reproducible conformers")
        if time_limit is not None and not time_limit > 0:
            raise ValueError(f"time_limit={time_limit}: must be above 0 seconds, or None")
        if not isinstance(elements, str):
            elements = ",".join(e if isinstance(e, str) else symbol_of(e) for e in elements)
        self.vocabulary = Vocabulary.parse(elements)
        # DeepChem prints and names cache folders after the arguments under their own names.
        self.max_atoms = int(max_atoms)
        self.elements = elements
        self.conformer = conformer
        self.seed = int(seed)
        self.strict = bool(strict)
        self.formal_charges = bool(formal_charges)
        self.time_limit = time_limit
        self.bonds = bool(bonds)
        self.failures: list[tuple[int, str]] = []

    def featurize(
        self, datapoints: str | Chem.Mol | Iterable[Any], log_every_n: int = 1000, **kwargs: Any
    ) -> np.ndarray:
        """Featurize molecules; row i belongs to molecule i.

        Parameters
        ----------
        datapoints : str, rdkit.Chem.Mol or iterable of them
            SMILES strings and molecules.
        log_every_n : int
            Accepted for DeepChem; unused.

        Returns
        -------
        ndarray (N, max_atoms, 4) float32
            Or (N, max_atoms, 5) with `formal_charges`, 11 with `bonds`. Rows of skipped molecules
            (see `failures`) are all zeros.

        Raises
        ------
        ValueError
            If a molecule has more than `max_atoms` atoms, another element, no atoms or non-finite
            coordinates.
        MoleculeError
            In strict mode, if a molecule cannot be read or embedded, has no conformer, or has
            atoms on top of each other.
        """
        rows = self(datapoints, log_every_n=log_every_n, **kwargs)
        features = self.empty(len(rows))
        for i, row in enumerate(rows):
            if row.size:
                features[i] = row
        return features

    def __call__(
        self, datapoints: str | Chem.Mol | Iterable[Any], log_every_n: int = 1000, **kwargs: Any
    ) -> list[np.ndarray]:
        """Featurize for a DeepChem loader, which drops the items of size 0.

        Returns
        -------
        list of ndarray
            As the rows of `featurize` for each molecule, an empty array for a skipped one.

        Raises
        ------
        ValueError, MoleculeError
            As `featurize`.
        """
        if isinstance(datapoints, (str, Chem.Mol)):
            datapoints = [datapoints]
        self.failures = []
        rows = []
        lost: dict[str, list[str]] = {}
        for i, datapoint in enumerate(datapoints):
            try:
                features = self._features(datapoint)
            except MoleculeError as error:
                if self.strict:
                    raise MoleculeError(f"molecule {i}: {error}") from None
                self.failures.append((i, str(error)))
                rows.append(np.zeros(0, dtype=np.float32))
                continue
            except ValueError as error:
                raise ValueError(f"molecule {i}: {error}") from None
            rows.append(features.array)
            for what in features.lost:
                lost.setdefault(what, []).append(f"molecule {i} ({features.name})")
        if self.failures:
            failures = [f"molecule {i}: {reason}" for i, reason in self.failures]
            warn_caller(
                f"Molecule3DFeaturizer skipped {len(failures)} of {len(rows)} molecules: "
                + _listed(failures, "; ", " (see .failures)")
            )
        for what, names in lost.items():
            warn_caller(f"Molecule3DFeaturizer: {what}: {_listed(names, ', ')}")
        return rows

    def check_atoms(self, numbers: np.ndarray, name: str) -> None:
        """Refuse a molecule that does not fit `max_atoms` and `elements`.

        Parameters
        ----------
        numbers : ndarray (n,) int
            Atomic numbers.
        name : str
            How the message names the molecule.

        Raises
        ------
        ValueError
            Naming the molecule, the limit and the element.
        """
        if not 0 < len(numbers) <= self.max_atoms:
            raise ValueError(
                f"{name} has {len(numbers)} atoms; Molecule3DFeaturizer takes 1 to "
                f"max_atoms={self.max_atoms}: raise max_atoms or remove the molecule"
            )
        if (numbers < 1).any():
            raise ValueError(
                f"{name} contains '*', a dummy atom at {int(np.argmax(numbers < 1))}, which is no "
                "element: replace it by one (such as [H]) or remove the molecule"
            )
        unknown = np.unique(numbers[~self.vocabulary.contains(numbers)])
        if unknown.size:
            symbols = ", ".join(symbol_of(int(z)) for z in unknown)
            raise ValueError(
                f"{name} contains {symbols}, which is not in elements={self.elements!r}: "
                "extend elements or remove the molecule"
            )

    def empty(self, n: int) -> np.ndarray:
        """Features (n, max_atoms, 4, 5 or 11) float32 of n skipped molecules: zeros."""
        width = ragged.WIDTHS[2 if self.bonds else self.formal_charges]
        return np.zeros((n, self.max_atoms, width), dtype=np.float32)

    def _featurize(self, datapoint: str | Chem.Mol, **kwargs: Any) -> np.ndarray:
        """Features of one molecule; MoleculeError where it may be skipped."""
        return self._features(datapoint).array

    def _features(self, datapoint: str | Chem.Mol) -> _Features:
        name = _label(datapoint)
        mol = _read(datapoint)
        if not self.use_original_atoms_order:
            order = np.argsort(Chem.CanonicalRankAtoms(mol))
            mol = Chem.RenumberAtoms(mol, order.tolist())
        embeds = self.conformer == "embed" or (
            self.conformer == "auto" and not has_3d_conformer(mol)
        )
        if embeds:
            mol = Chem.AddHs(mol)
        # Before the embedding, which is slow for what would be refused anyway.
        self.check_atoms(np.array([a.GetAtomicNum() for a in mol.GetAtoms()], dtype=int), name)
        try:
            if embeds:
                mol = embed(mol, self.seed, self.time_limit)
            numbers, positions, charge, graph = arrays_from_mol(mol)
        except MoleculeError as error:
            raise MoleculeError(f"{name} {error}") from None
        if not np.isfinite(positions).all():
            atom = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            raise ValueError(
                f"{name} has the position {positions[atom].tolist()} at atom {atom}: "
                "coordinates must be finite"
            )
        for overlap in find_overlaps(numbers, positions):
            raise MoleculeError(f"{name} {overlap.reason}")
        features = self.empty(1)[0]
        features[: len(numbers), :3] = positions - positions.mean(axis=0)
        features[: len(numbers), 3] = numbers
        if self.bonds:
            features[:, 4:] = self._bonds(name, numbers, positions, charge, graph)
        elif self.formal_charges:
            features[: len(numbers), 4] = [atom.GetFormalCharge() for atom in mol.GetAtoms()]
        return _Features(features, name, self._lost(mol, charge, features))

    def _bonds(self, name: str, numbers, positions, charge, graph) -> np.ndarray:
        """Formal charges and bonds of one molecule, (max_atoms, 7)."""
        given = MoleculeBatch.from_arrays([numbers], [positions], [charge])
        batch = replace(given, graphs=MolecularGraphs.join([graph], [len(numbers)]))
        for reason in without_columns(batch).values():
            raise MoleculeError(f"{name} {reason}")
        return batch.to_padded(self.max_atoms, with_bonds=True)[0, :, 4:]

    def _lost(self, mol: Chem.Mol, charge: int, features: np.ndarray) -> tuple[str, ...]:
        """What the features of a molecule do not hold of it."""
        lost = []
        if self.bonds and features[0, FIRST_COLUMN] == UNKNOWN:
            lost.append("bonds are not known where neither given nor those of closed shells")
        if charge and not (self.formal_charges or self.bonds):
            lost.append(
                "charges are left out, and formal_charges=True keeps them in a fifth column"
            )
        if any(atom.GetIsotope() for atom in mol.GetAtoms()):
            lost.append("isotopes (deuterium, for example) count as the element they are of")
        if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            lost.append("unpaired electrons are left out")
        return tuple(lost)


def _listed(texts: list[str], separator: str, where: str = "") -> str:
    more = len(texts) - _LISTED
    return separator.join(texts[:_LISTED]) + (
        f"{separator}and {more} more{where}" if more > 0 else ""
    )


def _read(datapoint: Any) -> Chem.Mol:
    if isinstance(datapoint, Chem.Mol):
        if not datapoint.NeedsUpdatePropertyCache():
            return datapoint
        mol = Chem.Mol(datapoint)
        mol.UpdatePropertyCache(strict=False)
        return mol
    try:
        return read_smiles(datapoint)
    except MoleculeError as error:
        raise MoleculeError(f"{datapoint!r} {error}") from None


def _label(datapoint: Any) -> str:
    if not isinstance(datapoint, Chem.Mol):
        return repr(datapoint)
    if datapoint.HasProp("_Name") and datapoint.GetProp("_Name"):
        return repr(datapoint.GetProp("_Name"))
    return repr(Chem.MolToSmiles(datapoint))
