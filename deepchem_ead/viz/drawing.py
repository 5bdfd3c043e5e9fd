"""Grids of 2D drawings of molecules as PNG, JPEG or SVG (RDKit, Pillow)."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.viz.cells import DRAWING, Cell, captioned, describe, draw, draw_svg

if TYPE_CHECKING:
    from PIL import Image, ImageFont

    from deepchem_ead.chem.molecules import MoleculeBatch

#: What the suffix of a picture may be. A path without one is a PNG.
FORMATS = {"": "PNG", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".svg": "SVG"}
_CAPTION = 76  # pixels below a drawing for two lines of text
_TITLE, _STATUS = (22, 18), (50, 16)  # pixels below the drawing, font size
_MARGIN = 14
_INK, _GREY, _FRAME = "#222222", "#787878", "#dedede"
_COLOURS = {True: "#16783c", False: "#be2828", None: _GREY}


def draw_grid(
    batch: MoleculeBatch, path: str | os.PathLike, n: int = 24, columns: int | None = None
) -> Path:
    """Write a picture with 2D drawings of the first molecules of a batch.

    Below each drawing stand its SMILES (or formula, where there is none) and whether it is valid.
    Hydrogens are not drawn. Invalid molecules are drawn with the bonds that their distances imply,
    the offending atoms marked; where nothing can be drawn the cell says why.

    Parameters
    ----------
    batch : MoleculeBatch
    path : path
        File ending in .png, .jpg, .jpeg or .svg, written atomically.
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
        If the batch is empty, ``n`` or ``columns`` is less than 1, or for another suffix.
    """
    if n < 1 or (columns is not None and columns < 1):
        raise ValueError(f"n={n}, columns={columns}: both must be at least 1")
    refuse_empty(batch)
    picture_format(path)
    batch = batch[:n]
    if columns is None:
        columns = min(len(batch), max(1, round(math.sqrt(1.6 * len(batch)))))
    return _draw_cells(describe(batch), path, columns)


def refuse_empty(batch: MoleculeBatch) -> None:
    """Raise ValueError if there is nothing to draw."""
    if len(batch) == 0:
        raise ValueError("there are no molecules to draw: the batch is empty")


def picture_format(path: str | os.PathLike) -> str:
    """PNG, JPEG or SVG, by the suffix of the path; ValueError for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(filter(None, FORMATS))
        page = "; MoleculeBatch.write_html writes a page" if suffix in (".html", ".htm") else ""
        raise ValueError(f"{path}: a picture of molecules ends in {known}, not in {suffix}{page}")
    return FORMATS[suffix]


def draw_structures(
    mols: Sequence[Chem.Mol],
    captions: Sequence[tuple[str, str]],
    path: str | os.PathLike,
    columns: int = 4,
) -> Path:
    """Write a picture with 2D drawings of molecules whose bonds are known.

    Parameters
    ----------
    mols : sequence of rdkit.Chem.Mol
        Sanitised. Hydrogens are not drawn.
    captions : sequence of (str, str)
        Two lines of text below each.
    path : path
        File ending in .png, .jpg, .jpeg or .svg, written atomically.
    columns : int
        Drawings in a row.

    Returns
    -------
    pathlib.Path
        The file.
    """
    rows = zip(mols, captions, strict=True)
    return _draw_cells([captioned(mol, *lines) for mol, lines in rows], path, columns)


def _draw_cells(cells: list[Cell], path: str | os.PathLike, columns: int) -> Path:
    kind = picture_format(path)
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    width, height = DRAWING[0] + _MARGIN, DRAWING[1] + _CAPTION + _MARGIN
    size = (columns * width + _MARGIN, rows * height + _MARGIN)
    corners = [
        (_MARGIN + i % columns * width, _MARGIN + i // columns * height) for i in range(len(cells))
    ]
    with atomic_path(path) as temporary:
        if kind == "SVG":
            temporary.write_text(_as_svg(cells, corners, size), encoding="utf-8")
        else:
            _as_image(cells, corners, size).save(temporary, format=kind, quality=92)
    return Path(path)


# ---------------------------------------------------------------------- pixels


def _as_image(
    cells: list[Cell], corners: list[tuple[int, int]], size: tuple[int, int]
) -> Image.Image:
    from PIL import Image

    picture = Image.new("RGB", size, "white")
    for cell, corner in zip(cells, corners, strict=True):
        picture.paste(_draw_cell(cell), corner)
    return picture


def _draw_cell(cell: Cell) -> Image.Image:
    from PIL import Image, ImageDraw

    width, height = DRAWING
    image = Image.new("RGB", (width, height + _CAPTION), "white")
    pen = ImageDraw.Draw(image)
    if cell.mol is None:
        pen.text((width / 2, height / 2), "no drawing", _GREY, _font(20), anchor="mm")
    else:
        drawing = draw(cell, rdMolDraw2D.MolDraw2DCairo(*DRAWING))
        image.paste(Image.open(io.BytesIO(drawing)), (0, 0))
    pen.rectangle((0, 0, width - 1, height + _CAPTION - 1), outline=_FRAME)
    for text, (below, points), colour in _lines(cell):
        pen.text((width / 2, height + below), text, colour, _font(points), anchor="mm")
    return image


def _lines(cell: Cell) -> list[tuple[str, tuple[int, int], str]]:
    """The two lines below a drawing: text, place and font size, colour."""
    lines = ((cell.title, _TITLE, _INK), (cell.status, _STATUS, _COLOURS[cell.valid]))
    room = DRAWING[0] - 2 * _MARGIN
    return [(_shorten(text, _font(place[1]), room), place, colour) for text, place, colour in lines]


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


# ---------------------------------------------------------------------- vectors


def _as_svg(cells: list[Cell], corners: list[tuple[int, int]], size: tuple[int, int]) -> str:
    width, height = size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for cell, (x, y) in zip(cells, corners, strict=True):
        parts.append(f'<g transform="translate({x} {y})">{_svg_cell(cell)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _svg_cell(cell: Cell) -> str:
    width, height = DRAWING
    lines = _lines(cell)
    if cell.mol is None:
        parts = []
        lines.append(("no drawing", (-height // 2, 20), _GREY))
    else:
        parts = [draw_svg(cell)]
    parts.append(
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height + _CAPTION - 1}" '
        f'fill="none" stroke="{_FRAME}"/>'
    )
    parts += [
        f'<text x="{width / 2:g}" y="{height + below}" dy=".35em" font-size="{points}" '
        f'fill="{colour}">{escape(text)}</text>'
        for text, (below, points), colour in lines
    ]
    return "\n".join(parts)
