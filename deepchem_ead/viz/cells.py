"""What a picture or page shows of each molecule: a drawing, a title, and whether it is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from deepchem_ead.chem.elements import formula_of
from deepchem_ead.chem.limits import too_many_pairs
from deepchem_ead.chem.perception import has_valences
from deepchem_ead.chem.validity import broken_graph

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
    known = zip(batch.to_rdkit(), batch.smiles, batch.reasons, strict=True)
    return [
        _invalid(batch, i, reason) if mol is None or smiles is None else _valid(mol, smiles)
        for i, (mol, smiles, reason) in enumerate(known)
    ]


def captioned(mol: Chem.Mol, title: str, text: str) -> Cell:
    """Cell of a sanitised molecule with two lines of text below it."""
    return Cell(_without_hydrogens(mol), [], title, text, None)


def _valid(mol: Chem.Mol, smiles: str) -> Cell:
    pieces = smiles.count(".") + 1
    status = "valid" if pieces == 1 else f"valid, {pieces} fragments"
    return Cell(_without_hydrogens(mol), [], smiles, status, True)


def _invalid(batch: MoleculeBatch, i: int, reason: str | None) -> Cell:
    numbers, positions = batch.atoms(i)
    formula, status = formula_of(numbers), f"invalid: {reason}"
    graph = batch.graph(i)
    given = graph is not None and graph.bonds is not None
    known = given or has_valences(numbers).all()
    drawable = given or (known and too_many_pairs(len(numbers)) is None)
    if len(numbers) == 0 or not np.isfinite(positions).all() or not drawable:
        return Cell(None, [], formula, status, False)
    mol, atoms, _ = broken_graph(numbers, positions, int(batch.charges[i]), graph)
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


def _without_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    with rdBase.BlockLogs():  # a lone hydrogen is kept, and RDKit says so
        return Chem.RemoveHs(mol)


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
