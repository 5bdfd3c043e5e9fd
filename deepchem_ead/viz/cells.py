"""What a picture or page shows of each molecule: a drawing, a title, and whether it is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from deepchem_ead.chem.bonds import molecule_from_orders
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.perception import has_valences, neutral_valences, perceive
from deepchem_ead.chem.rdkit_io import mol_from_graph

if TYPE_CHECKING:
    from deepchem_ead.chem.molecules import MoleculeBatch

#: Pixels of one drawing: width, height.
DRAWING = (360, 300)
_HIGHLIGHT = (0.97, 0.72, 0.72)
# Bonds per heavy atom beyond which a drawing is an illegible knot; the densest cages have 1.5.
_MOST_BONDS = 1.75


class Cell(NamedTuple):
    """One molecule ready to be drawn: ``mol`` is None where there is nothing to draw.

    ``valid`` is None where nobody asked, and ``status`` is then a caption like any other.
    """

    mol: Chem.Mol | None
    marked_atoms: list[int]
    title: str
    status: str
    valid: bool | None


def describe(batch: MoleculeBatch) -> list[Cell]:
    """The cells of a batch, in its order.

    Hydrogens are not drawn. Invalid molecules are drawn with the bonds that were given or that
    their distances imply, the offending atoms marked.
    """
    known = zip(batch.to_rdkit(), batch.smiles, strict=True)
    return [_describe(mol, smiles, batch, i) for i, (mol, smiles) in enumerate(known)]


def captioned(mol: Chem.Mol, title: str, text: str) -> Cell:
    """Cell of a sanitised molecule with two lines of text below it."""
    return Cell(_without_hydrogens(mol), [], title, text, None)


def _describe(mol: Chem.Mol | None, smiles: str | None, batch: MoleculeBatch, i: int) -> Cell:
    if mol is not None and smiles is not None:
        pieces = smiles.count(".") + 1
        status = "valid" if pieces == 1 else f"valid, {pieces} fragments"
        return Cell(_without_hydrogens(mol), [], smiles, status, True)
    numbers, positions = batch.atoms(i)
    formula = formula_of(numbers)
    if len(numbers) == 0:
        return Cell(None, [], "", "invalid: no atoms", False)
    if not np.isfinite(positions).all():
        return Cell(None, [], formula, "invalid: coordinates not finite", False)
    unknown = [symbol_of(z) for z in numbers.tolist() if not has_valences(z)]
    if unknown and not (batch.graphs is not None and batch.graphs.bonds_given[i]):
        return Cell(None, [], formula, f"invalid: no known valence of {unknown[0]}", False)
    mol, atoms, why = _broken(batch, i)
    status = f"invalid: {_valence(mol, min(atoms)) if atoms else why}"
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
        atom.SetBoolProp("_marked", atom.GetIdx() in atoms)
    with rdBase.BlockLogs():
        mol.UpdatePropertyCache(strict=False)
        mol = Chem.RemoveHs(mol, sanitize=False)
    if mol.GetNumBonds() > _MOST_BONDS * mol.GetNumAtoms():
        return Cell(None, [], formula, status, False)
    marked = [a.GetIdx() for a in mol.GetAtoms() if a.GetBoolProp("_marked")]
    return Cell(mol, marked, formula, status, False)


def _broken(batch: MoleculeBatch, i: int) -> tuple[Chem.RWMol, set[int], str]:
    """An invalid molecule with its bonds, the offending atoms, and what is wrong if none is."""
    numbers, positions = batch.atoms(i)
    graph = batch.graph(i)
    if graph is not None and graph.bonds is not None:
        mol = mol_from_graph(numbers, positions, graph)
        with rdBase.BlockLogs():
            problems = Chem.DetectChemistryProblems(mol)
        atoms = {p.GetAtomIdx() for p in problems if hasattr(p, "GetAtomIdx")}
        return mol, atoms, "cannot be sanitised"
    found = perceive(numbers, positions)
    orders = np.maximum(found.orders, found.bonded)
    sums = orders.sum(axis=1, dtype=np.int64).tolist()
    pairs = enumerate(zip(numbers.tolist(), sums, strict=True))
    atoms = {k for k, (number, total) in pairs if total not in neutral_valences(number)}
    charge = int(batch.charges[i])
    why = f"no closed-shell structure of charge {charge:+d}" if charge else "no closed shells"
    return molecule_from_orders(numbers, orders, positions), atoms, why


def _without_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    with rdBase.BlockLogs():  # a lone hydrogen is kept, and RDKit says so
        return Chem.RemoveHs(mol)


def _valence(mol: Chem.Mol, index: int) -> str:
    atom = mol.GetAtomWithIdx(index)
    valence = sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
    return f"{atom.GetSymbol()} with valence {valence:g}"


def formula_of(numbers: np.ndarray) -> str:
    """Sum formula in Hill order: carbon, hydrogen, then the others by name."""
    symbols, counts = np.unique([symbol_of(int(z)) for z in numbers], return_counts=True)
    first = ("C", "H") if "C" in symbols else ()
    order = sorted(
        zip(symbols.tolist(), counts.tolist(), strict=True),
        key=lambda item: (first.index(item[0]) if item[0] in first else 2, item[0]),
    )
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in order)


def draw(cell: Cell, canvas: rdMolDraw2D.MolDraw2D) -> str | bytes:
    """Drawing of a cell that has a molecule: SVG text or PNG bytes, as the canvas makes them."""
    mol = Chem.Mol(cell.mol)
    with rdBase.BlockLogs():
        Chem.FastFindRings(mol)
        rdDepictor.Compute2DCoords(mol)
        rdDepictor.StraightenDepiction(mol)
        mol = rdMolDraw2D.PrepareMolForDrawing(
            mol, kekulize=cell.valid is not False, addChiralHs=False, forceCoords=False
        )
    options = canvas.drawOptions()
    options.prepareMolsBeforeDrawing = False
    options.padding = 0.09
    options.fixedBondLength = 42
    options.bondLineWidth = 2
    options.minFontSize = 15
    canvas.DrawMolecule(
        mol,
        highlightAtoms=cell.marked_atoms,
        highlightAtomColors=dict.fromkeys(cell.marked_atoms, _HIGHLIGHT),
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return canvas.GetDrawingText()


def draw_svg(cell: Cell) -> str:
    """Drawing of a cell that has a molecule as one ``<svg>`` element of the size DRAWING."""
    text = draw(cell, rdMolDraw2D.MolDraw2DSVG(*DRAWING))
    return text[text.index("<svg") :].replace("<!-- END OF HEADER -->\n", "")
