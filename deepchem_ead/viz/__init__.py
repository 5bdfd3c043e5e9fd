"""Pictures of molecules: PNG grids of 2D drawings and interactive 3D views."""

from deepchem_ead.viz.drawing import draw_grid, view_molecule

__all__ = ["draw_grid", "view_molecule"]
