"""3D views that need no network: 3Dmol.js comes with the package and with what is written."""

from __future__ import annotations

import base64
import gzip
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import py3Dmol
from rdkit import Chem

from deepchem_ead.chem.xyz import format_xyz
from deepchem_ead.errors import MoleculeError

if TYPE_CHECKING:
    from deepchem_ead.chem.molecules import MoleculeBatch

#: How molecules look, in 3Dmol.js's words.
STYLE = {"stick": {"radius": 0.13}, "sphere": {"scale": 0.25}}
# The V2000 format, which every viewer reads, counts to 999.
_LARGEST_MOL_BLOCK = 999


@cache
def library_script() -> str:
    """HTML ``<script>`` that loads the shipped 3Dmol.js, unless the page has one already.

    It sets the promise ``$3Dmolpromise``, which py3Dmol's own pages look for before they load the
    library from the network. The library is compressed: 210 kB instead of 540.
    """
    source = resources.files("deepchem_ead.viz").joinpath("threedmol", "3Dmol-min.js").read_bytes()
    packed = base64.b64encode(gzip.compress(source, mtime=0)).decode("ascii")
    # Called without exports, module and define, which a notebook may have, it becomes a global.
    return f"""<script>
/* 3Dmol.js, Copyright (c) 2014, University of Pittsburgh and contributors, BSD-3-Clause;
   it contains parts of GLmol, Three.js and jQuery (MIT): https://3dmol.org */
window.$3Dmolpromise = window.$3Dmolpromise || (async () => {{
  const bytes = Uint8Array.from(atob("{packed}"), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Function("exports", "module", "define", await new Response(stream).text()).call(window);
}})();
</script>
"""


def frame_script() -> str:
    """JavaScript of ``frameMolecule(viewer, host)``: all atoms in sight, also while they turn."""
    return resources.files("deepchem_ead.viz").joinpath("frame.js").read_text(encoding="utf-8")


class OfflineView(py3Dmol.view):
    """py3Dmol's view with the library inside: what it shows or writes needs no network."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, js="", **kwargs)

    def _make_html(self) -> str:
        return library_script() + super()._make_html()

    def _repr_html_(self) -> str:
        return self._make_html()

    def show(self) -> None:
        """Show it in a notebook where it is not the last value of a cell."""
        from IPython.display import HTML, display

        display(HTML(self._make_html()))


def model_text(
    mol: Chem.Mol | None, numbers: np.ndarray, positions: np.ndarray
) -> tuple[str, str] | None:
    """A molecule as 3Dmol.js reads it, and the name of the format.

    With the bonds of ``mol`` where there is one; otherwise the viewer draws bonds from distances.
    None without atoms and where coordinates are not finite.
    """
    if len(numbers) == 0 or not np.isfinite(positions).all():
        return None
    if mol is None or len(numbers) > _LARGEST_MOL_BLOCK:
        return format_xyz(numbers, positions, "", {}), "xyz"
    mol = Chem.Mol(mol)
    mol.ClearProp("_Name")  # any text, which py3Dmol would write into a script as it is
    return Chem.MolToMolBlock(mol), "sdf"


def view_molecule(molecule: MoleculeBatch, width: int = 480, height: int = 360) -> py3Dmol.view:
    """Interactive 3D view of one molecule, as sticks and balls. It needs no network.

    Bonds are those of :meth:`MoleculeBatch.to_rdkit` where the molecule is valid; otherwise the
    viewer draws them from distances.

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
    if len(molecule) != 1:
        raise ValueError(f"the batch has {len(molecule)} molecules; choose one by index")
    model = model_text(molecule.to_rdkit()[0], *molecule.atoms(0))
    if model is None:
        raise MoleculeError(
            "the molecule has no atoms or coordinates that are not finite: there is nothing to view"
        )
    view = OfflineView(width=width, height=height)
    view.addModel(*model)
    view.setStyle(STYLE)
    view.zoomTo()
    view.zoom(0.9)  # outermost atoms have a size, too
    return view
