"""Pictures: grids of drawings, pages, 3D views, requested against predicted values."""

from deepchem_ead.views import VIEWS
from deepchem_ead.viz.drawing import draw_grid
from deepchem_ead.viz.page import write_page
from deepchem_ead.viz.targets import plot_targets
from deepchem_ead.viz.view3d import view_molecule

__all__ = ["draw_grid", "plot_targets", "view_molecule", "write_page"]

VIEWS.register("view", view_molecule)
VIEWS.register("grid", draw_grid)
VIEWS.register("page", write_page)
