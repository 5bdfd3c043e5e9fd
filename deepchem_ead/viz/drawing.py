"""Grids of 2D drawings (RDKit, Pillow) and 3D views (py3Dmol) of a MoleculeBatch."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.rdkit_io import rebuild, rebuild_unsanitized, smiles_of
from deepchem_ead.chem.xyz import format_xyz
from deepchem_ead.errors import MoleculeError

if TYPE_CHECKING:
    import py3Dmol
    from PIL import Image, ImageFont

    from deepchem_ead.chem.molecules import MoleculeBatch

_CELL = (360, 300)  # pixels of one drawing
_CAPTION = 76  # pixels below it for two lines of text
_MARGIN = 14
_INK, _GREY, _FRAME = (34, 34, 34), (120, 120, 120), (222, 222, 222)
_VALID, _INVALID = (22, 120, 60), (190, 40, 40)
_HIGHLIGHT = (0.97, 0.72, 0.72)
# Bonds per heavy atom beyond which a drawing is an illegible knot; the densest cages have 1.5.
_MOST_BONDS = 1.75


class _Cell(NamedTuple):
    """One molecule ready to be drawn: ``mol`` is None where there is nothing to draw."""

    mol: Chem.Mol | None
    marked_atoms: list[int]
    title: str
    status: str
    valid: bool
    colour: tuple[int, int, int] | None = None


def draw_grid(
    batch: MoleculeBatch, path: str | os.PathLike, n: int = 24, columns: int | None = None
) -> Path:
    """Write a PNG with 2D drawings of the first molecules of a batch.

    Below each drawing stand its SMILES (or formula, where there is none) and whether it is valid.
    Hydrogens are not drawn. Invalid molecules are drawn with the bonds that their distances imply,
    the offending atoms marked; where nothing can be drawn the cell says why.

    Parameters
    ----------
    batch : MoleculeBatch
    path : path
        PNG file, written atomically.
    n : int
        Largest number of molecules.
    columns : int, optional
        Drawings in a row; by default chosen for a landscape picture.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the batch is empty, or ``n`` or ``columns`` is less than 1.
    """
    if len(batch) == 0:
        raise ValueError("there are no molecules to draw: the batch is empty")
    if n < 1 or (columns is not None and columns < 1):
        raise ValueError(f"n={n}, columns={columns}: both must be at least 1")
    batch = batch[:n]
    if columns is None:
        columns = min(len(batch), max(1, round(math.sqrt(1.6 * len(batch)))))
    return _draw_cells([_describe(*batch.atoms(i)) for i in range(len(batch))], path, columns)


def draw_structures(
    mols: Sequence[Chem.Mol],
    captions: Sequence[tuple[str, str]],
    path: str | os.PathLike,
    columns: int = 4,
) -> Path:
    """Write a PNG with 2D drawings of molecules whose bonds are known.

    Parameters
    ----------
    mols : sequence of rdkit.Chem.Mol
        Sanitised. Hydrogens are not drawn.
    captions : sequence of (str, str)
        Two lines of text below each.
    path : path
        PNG file, written atomically.
    columns : int
        Drawings in a row.

    Returns
    -------
    pathlib.Path
        The file.
    """
    cells = []
    for mol, (title, text) in zip(mols, captions, strict=True):
        with rdBase.BlockLogs():  # a lone hydrogen is kept, and RDKit says so
            cells.append(_Cell(Chem.RemoveHs(mol), [], title, text, True, _GREY))
    return _draw_cells(cells, path, columns)


def _draw_cells(cells: list[_Cell], path: str | os.PathLike, columns: int) -> Path:
    from PIL import Image

    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    width, height = _CELL[0] + _MARGIN, _CELL[1] + _CAPTION + _MARGIN
    picture = Image.new("RGB", (columns * width + _MARGIN, rows * height + _MARGIN), "white")
    for i, cell in enumerate(cells):
        corner = (_MARGIN + i % columns * width, _MARGIN + i // columns * height)
        picture.paste(_draw_cell(cell), corner)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG")
    return Path(path)


def _describe(numbers: np.ndarray, positions: np.ndarray) -> _Cell:
    formula = _formula(numbers)
    if len(numbers) == 0:
        return _Cell(None, [], "", "invalid: no atoms", False)
    if not np.isfinite(positions).all():
        return _Cell(None, [], formula, "invalid: coordinates not finite", False)
    mol = rebuild(numbers, positions)
    smiles = smiles_of(mol)
    if smiles is not None:
        pieces = smiles.count(".") + 1
        status = "valid" if pieces == 1 else f"valid, {pieces} fragments"
        with rdBase.BlockLogs():  # a lone hydrogen is kept, and RDKit says so
            return _Cell(Chem.RemoveHs(mol), [], smiles, status, True)
    mol = rebuild_unsanitized(numbers, positions)
    if mol is None:
        return _Cell(None, [], formula, "invalid: no bond lengths for an element", False)
    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(mol)
    atoms = {p.GetAtomIdx() for p in problems if hasattr(p, "GetAtomIdx")}
    status = f"invalid: {_valence(mol, min(atoms))}" if atoms else "invalid: cannot be sanitised"
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
        atom.SetBoolProp("_marked", atom.GetIdx() in atoms)
    with rdBase.BlockLogs():
        mol.UpdatePropertyCache(strict=False)
        mol = Chem.RemoveHs(mol, sanitize=False)
    if mol.GetNumBonds() > _MOST_BONDS * mol.GetNumAtoms():
        return _Cell(None, [], formula, status, False)
    marked = [a.GetIdx() for a in mol.GetAtoms() if a.GetBoolProp("_marked")]
    return _Cell(mol, marked, formula, status, False)


def _valence(mol: Chem.Mol, index: int) -> str:
    atom = mol.GetAtomWithIdx(index)
    valence = sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())
    return f"{atom.GetSymbol()} with valence {valence:g}"


def _formula(numbers: np.ndarray) -> str:
    """Sum formula in Hill order: carbon, hydrogen, then the others by name."""
    symbols, counts = np.unique([symbol_of(int(z)) for z in numbers], return_counts=True)
    first = ("C", "H") if "C" in symbols else ()
    order = sorted(
        zip(symbols.tolist(), counts.tolist(), strict=True),
        key=lambda item: (first.index(item[0]) if item[0] in first else 2, item[0]),
    )
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in order)


def _draw_cell(cell: _Cell) -> Image.Image:
    from PIL import Image, ImageDraw

    width, height = _CELL
    image = Image.new("RGB", (width, height + _CAPTION), "white")
    if cell.mol is not None:
        image.paste(_draw_molecule(cell), (0, 0))
    pen = ImageDraw.Draw(image)
    if cell.mol is None:
        pen.text((width / 2, height / 2), "no drawing", _GREY, _font(20), anchor="mm")
    pen.rectangle((0, 0, width - 1, height + _CAPTION - 1), outline=_FRAME)
    title_font, status_font = _font(18), _font(16)
    title = _shorten(cell.title, title_font, width - 2 * _MARGIN)
    pen.text((width / 2, height + 22), title, _INK, title_font, anchor="mm")
    colour = cell.colour or (_VALID if cell.valid else _INVALID)
    status = _shorten(cell.status, status_font, width - 2 * _MARGIN)
    pen.text((width / 2, height + 50), status, colour, status_font, anchor="mm")
    return image


def _draw_molecule(cell: _Cell) -> Image.Image:
    from PIL import Image
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = Chem.Mol(cell.mol)
    with rdBase.BlockLogs():
        Chem.FastFindRings(mol)
        rdDepictor.Compute2DCoords(mol)
        rdDepictor.StraightenDepiction(mol)
        mol = rdMolDraw2D.PrepareMolForDrawing(
            mol, kekulize=cell.valid, addChiralHs=False, forceCoords=False
        )
    canvas = rdMolDraw2D.MolDraw2DCairo(*_CELL)
    options = canvas.drawOptions()
    options.prepareMolsBeforeDrawing = False
    options.padding = 0.09
    options.fixedBondLength = 42
    options.bondLineWidth = 2
    options.minFontSize = 15
    colours = dict.fromkeys(cell.marked_atoms, _HIGHLIGHT)
    canvas.DrawMolecule(
        mol,
        highlightAtoms=cell.marked_atoms,
        highlightAtomColors=colours,
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return Image.open(io.BytesIO(canvas.GetDrawingText()))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text, its end replaced by an ellipsis where it is wider than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def view_molecule(molecule: MoleculeBatch, width: int = 480, height: int = 360) -> py3Dmol.view:
    """Interactive 3D view of one molecule, as sticks and balls.

    Bonds are those of EDM's tables where the molecule is valid; otherwise the viewer draws them
    from distances.

    Parameters
    ----------
    molecule : MoleculeBatch
        Batch of one molecule.
    width, height : int
        Pixels.

    Returns
    -------
    py3Dmol.view
        Shows itself in a notebook; ``write_html(path)`` makes a page of it anywhere.

    Raises
    ------
    MoleculeError
        If the molecule has no atoms or coordinates that are not finite.
    """
    import py3Dmol

    if len(molecule) != 1:
        raise ValueError(f"the batch has {len(molecule)} molecules; choose one by index")
    numbers, positions = molecule.atoms(0)
    if len(numbers) == 0 or not np.isfinite(positions).all():
        raise MoleculeError(
            "the molecule has no atoms or coordinates that are not finite: there is nothing to view"
        )
    mol = rebuild(numbers, positions)
    view = py3Dmol.view(width=width, height=height)
    if mol is None:
        view.addModel(format_xyz(numbers, positions, "", {}), "xyz")
    else:
        view.addModel(Chem.MolToMolBlock(mol), "sdf")
    view.setStyle({"stick": {"radius": 0.13}, "sphere": {"scale": 0.25}})
    view.zoomTo()
    return view
