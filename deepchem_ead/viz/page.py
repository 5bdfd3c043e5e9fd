"""A page of molecules to look through: drawings with captions, and a turning 3D view of each."""

from __future__ import annotations

import json
import math
import os
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.viz.cells import Cell, describe, draw_svg
from deepchem_ead.viz.drawing import refuse_empty
from deepchem_ead.viz.view3d import STYLE, frame_script, library_script, model_text

if TYPE_CHECKING:
    from deepchem_ead.chem.molecules import MoleculeBatch

_VALIDITY = {True: ("1", "valid"), False: ("0", "invalid"), None: ("1", "")}


def write_page(
    batch: MoleculeBatch, path: str | os.PathLike, n: int = 1000, title: str | None = None
) -> Path:
    """Write an HTML page with the first molecules of a batch: one file that needs no network.

    Each molecule has a drawing and below it its SMILES (or formula, where there is none), id,
    whether it is valid, and its properties; a click turns it in 3D. Molecules can be searched and
    ordered by a property. A molecule takes about 10 kB, the page itself 0.2 MB.

    Parameters
    ----------
    batch : MoleculeBatch
    path : path
        HTML file, written atomically.
    n : int
        Largest number of molecules; the page says how many there are.
    title : str, optional
        Heading; by default the name of the file without its suffix.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If the batch is empty, ``n`` is less than 1, or the path does not end in .html or .htm.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a page ends in .html")
    if n < 1:
        raise ValueError(f"n={n}: must be at least 1")
    refuse_empty(batch)
    shown = batch[:n]
    mols = shown.to_rdkit()
    text = Template(_template()).substitute(
        title=escape(path.stem if title is None else title),
        summary=_summary(len(batch), shown),
        orders=_orders(shown),
        cards="\n".join(_card(i, shown, cell) for i, cell in enumerate(describe(shown))),
        models=_json([model_text(mol, *shown.atoms(i)) for i, mol in enumerate(mols)]),
        library=library_script(),
        frame=frame_script(),
        style=_json(STYLE),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _template() -> str:
    return resources.files("deepchem_ead.viz").joinpath("page.html").read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that can stand in a ``<script>``, whatever text is in it."""
    return json.dumps(value).replace("<", "\\u003c")


def _summary(total: int, shown: MoleculeBatch) -> str:
    n_valid = sum(smiles is not None for smiles in shown.smiles)
    first = f"the first {len(shown):,} of " if len(shown) < total else ""
    return f"{first}{total:,} molecules, {n_valid:,} {'of these ' if first else ''}valid"


def _orders(shown: MoleculeBatch) -> str:
    options = ['<option value="">in the order of the file</option>']
    options += [f'<option value="{escape(n)}">by {escape(n)}</option>' for n in shown.properties]
    return "".join(options)


def _card(i: int, shown: MoleculeBatch, cell: Cell) -> str:
    properties = {name: _plain(values[i]) for name, values in shown.properties.items()}
    known = {name: value for name, value in properties.items() if value not in (None, "")}
    valid, kind = _VALIDITY[cell.valid]
    has_view = shown.counts[i] > 0 and np.isfinite(shown.atoms(i)[1]).all()
    drawing = '<div class="none">no drawing</div>' if cell.mol is None else draw_svg(cell)
    lines = [f'<div class="title">{escape(cell.title)}</div>']
    if shown.ids is not None:
        lines.append(f'<div class="id">{escape(shown.ids[i])}</div>')
    lines.append(f'<div class="{kind}">{escape(cell.status)}</div>')
    if known:
        rows = (f"<dt>{escape(k)}</dt><dd>{escape(_caption(v))}</dd>" for k, v in known.items())
        lines.append(f"<dl>{''.join(rows)}</dl>")
    return (
        f'<article class="card" data-index="{i}" data-valid="{valid}" '
        f'data-values="{escape(json.dumps(known))}"{" tabindex=0" if has_view else ""}>'
        f"{drawing}{''.join(lines)}</article>"
    )


def _plain(value: Any) -> Any:
    """A property as JSON has it; None where it is not known."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _caption(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
