"""Pictures: grids of 2D drawings, interactive 3D views, requested against predicted values."""

from deepchem_ead.viz.drawing import draw_grid, view_molecule
from deepchem_ead.viz.targets import plot_targets

__all__ = ["draw_grid", "plot_targets", "view_molecule"]
