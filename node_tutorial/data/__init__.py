"""Data for the lessons: simulated, with the exact answer beside them."""

from .densities import (
    Density,
    Gap,
    checkerboard,
    gaussians,
    grid,
    kl_gap,
    on_grid,
    pinwheel,
    rings,
    two_circles,
    two_moons,
)
from .digits import Split, digits, mnist
from .divergences import (
    Estimate,
    jensen_shannon,
    neighbor_entropy,
    reverse_kl,
    wasserstein_1,
    wasserstein_1_of_samples,
)
from .ising import Ising
from .mixtures import GaussianMixture, gaussian, gaussian_mixture
from .oscillations import exact_oscillation, oscillations
from .pde import burgers_exact, burgers_field, heat_by_steps, heat_exact, heat_field
from .planar import disk_in_annulus, reflection
from .series import Batch, Cut, co2, collate, cut, el_nino, nile, sunspots, thin, union_grid
from .spirals import cubic_spiral, exact_spiral, observe, spiral
from .targets import target
from .two_samples import (
    Comparison,
    compare,
    coverage,
    energy_distance,
    nearest,
    neighbor_accuracy,
    null_band,
    precision,
    recall,
    sliced_wasserstein,
)
from .two_spirals import Spirals, two_spirals

__all__ = [
    "Batch",
    "Comparison",
    "Cut",
    "Density",
    "Estimate",
    "Gap",
    "GaussianMixture",
    "Ising",
    "Spirals",
    "Split",
    "burgers_exact",
    "burgers_field",
    "checkerboard",
    "co2",
    "collate",
    "compare",
    "coverage",
    "cubic_spiral",
    "cut",
    "digits",
    "disk_in_annulus",
    "el_nino",
    "energy_distance",
    "exact_oscillation",
    "exact_spiral",
    "gaussian",
    "gaussian_mixture",
    "gaussians",
    "grid",
    "heat_by_steps",
    "heat_exact",
    "heat_field",
    "jensen_shannon",
    "kl_gap",
    "mnist",
    "nearest",
    "neighbor_accuracy",
    "neighbor_entropy",
    "nile",
    "null_band",
    "observe",
    "on_grid",
    "oscillations",
    "pinwheel",
    "precision",
    "recall",
    "reflection",
    "reverse_kl",
    "rings",
    "sliced_wasserstein",
    "spiral",
    "sunspots",
    "target",
    "thin",
    "two_circles",
    "two_moons",
    "two_spirals",
    "union_grid",
    "wasserstein_1",
    "wasserstein_1_of_samples",
]
