"""Root mean square deviations of conformers: heavy atoms, best superposition, symmetry-corrected.

    RMSD(x, y) = min_m min_(R, t) sqrt(1/n sum_i |R x_m(i) + t - y_i|^2)

over rotations, shifts and the matches m of a molecule's graph with itself. As in RDKit's
``GetBestRMS``, terminal O and N of conjugated groups (carboxylates, nitro groups, amidines) are
alike, and matches do not look at stereo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from deepchem_ead.errors import MoleculeError

#: Matches of a graph with itself that are looked at, as in RDKit.
MAX_MATCHES = 1_000_000
#: Superpositions computed at once.
_AT_ONCE = 200_000
#: Matches that are computed exactly, the best by a quicker formula.
_EXACT = 4
_CHECKED = 1000  # matches in which hydrogens are compared

#: Terminal atoms that resonance makes alike, RDKit's rule.
_TERMINAL = Chem.MolFromSmarts("[O,N;D1;$([O,N;D1]-[*]=[O,N;D1]),$([O,N;D1]=[*]-[O,N;D1])]~[*]")
_SINGLE_OR_DOUBLE = Chem.MolFromSmarts("*-,=*").GetBondWithIdx(0)


def heavy_atoms(mol: Chem.Mol) -> list[int]:
    """Indices of the atoms that are compared: all but hydrogens; all if there are no others."""
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return heavy or list(range(mol.GetNumAtoms()))


def graph_matches(reference: Chem.Mol, probe: Chem.Mol, max_matches: int = MAX_MATCHES):
    """How the heavy atoms of one molecule can be those of another.

    Parameters
    ----------
    reference, probe : rdkit.Chem.Mol
        The same molecule, its atoms in any order, with or without explicit hydrogens.
    max_matches : int
        The first ones that RDKit finds.

    Returns
    -------
    numpy.ndarray
        (M, n) int: for each heavy atom of ``probe``, in its order, the place of the one of
        ``reference`` among the heavy atoms there.

    Raises
    ------
    MoleculeError
        If they are different molecules; says in what.
    """
    ours, theirs = _bare(reference), _bare(probe)
    one, other = CalcMolFormula(ours), CalcMolFormula(theirs)
    if one != other:
        raise MoleculeError(f"the formulas differ: {one} and {other}")
    found = ours.GetSubstructMatches(
        _symmetrised(theirs), uniquify=False, maxMatches=max_matches, useChirality=False
    )
    if not found or ours.GetNumBonds() != theirs.GetNumBonds():
        raise MoleculeError(
            f"the bonds differ: {Chem.MolToSmiles(ours)} and {Chem.MolToSmiles(theirs)}"
        )
    matches = np.array(found, dtype=np.intp)
    first, second = (
        np.array([atom.GetTotalNumHs() for atom in mol.GetAtoms()]) for mol in (ours, theirs)
    )
    if not (first[matches[:_CHECKED]] == second).all(axis=1).any():
        raise MoleculeError(
            "hydrogens are on other atoms, as in tautomers: "
            f"{Chem.MolToSmiles(ours)} and {Chem.MolToSmiles(theirs)}"
        )
    return matches


def _bare(mol: Chem.Mol) -> Chem.Mol:
    """The graph of the heavy atoms, in their order, without stereo."""
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(copy)
            if any(atom.GetAtomicNum() > 1 for atom in copy.GetAtoms()):
                copy = Chem.RemoveAllHs(copy)
        except ValueError as error:
            raise MoleculeError(f"RDKit refuses the molecule: {error}") from None
    Chem.RemoveStereochemistry(copy)
    return copy


def _symmetrised(mol: Chem.Mol) -> Chem.Mol:
    """A query in which conjugated terminal atoms can stand for each other."""
    found = mol.GetSubstructMatches(_TERMINAL, maxMatches=MAX_MATCHES)
    if not found:
        return mol
    query = Chem.RWMol(mol)
    for terminal, other in found:
        query.GetAtomWithIdx(terminal).SetFormalCharge(0)
        bond = query.GetBondBetweenAtoms(terminal, other)
        query.ReplaceBond(bond.GetIdx(), _SINGLE_OR_DOUBLE)
    return query.GetMol()


def heavy_positions(mol: Chem.Mol, ids: Sequence[int] | None = None) -> np.ndarray:
    """Positions of the heavy atoms in conformers, Angstrom, (C, n, 3) float64."""
    atoms = heavy_atoms(mol)
    conformers = [mol.GetConformer(i) for i in ids] if ids is not None else mol.GetConformers()
    found = [np.asarray(conformer.GetPositions())[atoms] for conformer in conformers]
    return np.array(found).reshape(-1, len(atoms), 3)


def best_rmsds(x: np.ndarray, y: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """RMSDs of all pairs.

    Parameters
    ----------
    x : numpy.ndarray
        Positions of R conformers, Angstrom, (R, n, 3).
    y : numpy.ndarray
        Of G conformers, (G, n, 3).
    matches : numpy.ndarray
        (M, n): the atoms of ``x`` that those of ``y`` can be; see `graph_matches`.

    Returns
    -------
    numpy.ndarray
        Angstrom, (R, G); NaN where a position is not finite.
    """
    result = np.full((len(x), len(y)), np.nan)
    rows, columns = (np.flatnonzero(np.isfinite(z).all(axis=(1, 2))) for z in (x, y))
    if not len(rows) or not len(columns):
        return result
    x, y = x[rows], y[columns]
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    squares = np.square(y).sum(axis=(1, 2))
    for row, own in zip(rows, x, strict=True):
        turned = _overlaps(own, y, matches)
        total = np.square(own).sum() + squares
        square = np.maximum(total - 2 * turned, 0) / x.shape[1]
        result[row, columns] = np.sqrt(square)
    return result


def _overlaps(x: np.ndarray, y: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """max over matches and rotations R of sum_i (R x_m(i)) . y_i, shape (G,)."""
    best = np.full(len(y), -np.inf)
    flat = np.ascontiguousarray(y.transpose(1, 0, 2)).reshape(x.shape[0], -1)
    step = max(_AT_ONCE // len(y), 1)
    for start in range(0, len(matches), step):
        turned = x[matches[start : start + step]]  # (m, n, 3)
        products = turned.transpose(0, 2, 1).reshape(-1, x.shape[0]) @ flat
        products = products.reshape(len(turned), 3, len(y), 3).transpose(2, 0, 1, 3)  # (G, m, 3, 3)
        if len(turned) > _EXACT:
            near = np.argpartition(-_quick_overlap(products), _EXACT, axis=1)[:, :_EXACT]
            products = np.take_along_axis(products, near[:, :, None, None], axis=1)
        singular = np.linalg.svd(products, compute_uv=False)
        singular[..., 2] *= np.where(np.linalg.det(products) < 0, -1.0, 1.0)
        best = np.maximum(best, singular.sum(axis=-1).max(axis=1))
    return best


def _quick_overlap(products: np.ndarray) -> np.ndarray:
    """Sum of singular values (the last with the sign of the determinant) of matrices (..., 3, 3).

    Roots of the characteristic polynomial of A^T A: a tenth of the time of a decomposition, and
    right to some 1e-8 of the largest value.
    """
    gram = products.swapaxes(-1, -2) @ products
    mean = np.trace(gram, axis1=-2, axis2=-1) / 3
    centred = gram - mean[..., None, None] * np.eye(3)
    size = np.sqrt(np.square(centred).sum(axis=(-1, -2)) / 6)
    scale = np.where(size > 0, size, 1.0)
    ratio = _determinant(centred / scale[..., None, None]) / 2
    angle = np.arccos(np.clip(ratio, -1, 1)) / 3
    first = mean + 2 * size * np.cos(angle)
    third = mean + 2 * size * np.cos(angle + 2 * np.pi / 3)
    roots = [np.sqrt(np.maximum(r, 0)) for r in (first, 3 * mean - first - third, third)]
    return roots[0] + roots[1] + np.where(_determinant(products) < 0, -1.0, 1.0) * roots[2]


def _determinant(a: np.ndarray) -> np.ndarray:
    return (
        a[..., 0, 0] * (a[..., 1, 1] * a[..., 2, 2] - a[..., 1, 2] * a[..., 2, 1])
        - a[..., 0, 1] * (a[..., 1, 0] * a[..., 2, 2] - a[..., 1, 2] * a[..., 2, 0])
        + a[..., 0, 2] * (a[..., 1, 0] * a[..., 2, 1] - a[..., 1, 1] * a[..., 2, 0])
    )
