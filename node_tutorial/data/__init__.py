"""Data for the lessons: simulated, with the exact answer beside them."""

from .densities import (
    Density,
    Gap,
    checkerboard,
    gaussians,
    grid,
    kl_gap,
    pinwheel,
    rings,
    two_circles,
    two_moons,
)
from .digits import Split, digits, mnist
from .oscillations import exact_oscillation, oscillations
from .planar import disk_in_annulus, reflection
from .series import Batch, co2, collate, sunspots, thin, union_grid
from .spirals import cubic_spiral, exact_spiral, observe, spiral
from .targets import target
from .two_spirals import Spirals, two_spirals
