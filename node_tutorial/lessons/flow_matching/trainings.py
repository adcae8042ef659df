"""Lesson 17: how the flows of the plane are trained, and what is measured of them.

All trainings are in float32 on one thread, with batches of 256 new points, Adam, and a learning
rate that falls linearly to 0. They are tuned as the flows of lesson 15 are: for each density, two
widths with three rates each, in short trials that are judged by validation points. Depth and
activation, three layers and SiLU, were found before, by trials on the moons. A rate of 0.1 was
tried and left out: in short trials on circles and pinwheel it does as well, but longer trainings
with it leave a field that is rough, and so large outside of the data that solvers fail there.
That was seen on held-out points. By depth, activation and this rate flow matching had more choices
than its rivals, and two of them were made on the moons.

The budget is in seconds of a quiet core, but what is counted is work at its price there (`COSTS`),
so that a busy machine takes longer, and finds the same.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...data.densities import (
    Density,
    gaussians,
    grid,
    kl_gap,
    pinwheel,
    two_circles,
    two_moons,
)
from ...data.two_samples import energy_distance
from ...models import FlowMatching, TimedMLP, way
from ...models.flow_matching import Pairs
from ...solvers.errors import SolveError
from ...training import fit, linear

BATCH = 256
CLIP = 10.0
WIDTHS = (32, 64)  # hidden units in each of the three layers of the field
RATES = (0.003, 0.01, 0.03)
# Milliseconds of an update on a quiet core, by width, measured by turns with the flows of lesson
# 15; and what the best pairing of a batch takes.
COSTS = {32: 1.0, 64: 1.15}
PAIRING = 7.1
STEPS = (1, 2, 4, 8, 16, 32, 64)  # of Euler
HELD_OUT = 10_000
VALIDATION = 2000  # points by which width and rate are chosen
COMPARED = 2000  # points of each of two samples
MOVED = 2000  # whose paths are measured
SOLVED = 50_000  # pairs that reflow trains on
TIGHT: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
PICTURE = 64  # points a side of a stored picture of a density

DENSITIES: dict[str, Callable[[], Density]] = {
    "moons": two_moons,
    "circles": two_circles,
    "Gaussians": gaussians,
    "pinwheel": pinwheel,
}


class Chosen(NamedTuple):
    """What did best in the trials: hidden units in each layer, and the learning rate."""

    width: int
    rate: float


def field(width: int) -> TimedMLP:
    """The field of all flows of this lesson: three hidden layers that see the time."""
    return TimedMLP(2, width, width, width, 2, activation=nn.SiLU)


def trained(
    density: Density,
    chosen: Chosen,
    seed: int,
    steps: int,
    *,
    coupling: str = "independent",
    given: Pairs | None = None,
    start: np.ndarray | None = None,
) -> FlowMatching:
    """A flow, trained for so many updates on points of a density, or on given pairs.

    start: parameters to begin with.
    """
    torch.manual_seed(seed)
    model = FlowMatching(field(chosen.width), coupling=coupling)
    if start is not None:
        load(model, start)

    def loss(model: FlowMatching, step: int) -> Tensor:
        if given is None:
            return model.loss(density.sample(BATCH))
        rows = torch.randint(len(given.x1), (BATCH,))
        return model.loss(given.x1[rows], given.x0[rows])

    fit(
        model,
        loss,
        steps,
        lr=chosen.rate,
        schedule=linear(steps),
        batches=lambda step: step,
        clip=CLIP,
        progress=False,
    )
    return model


def updates(width: int, seconds: float, coupling: str = "independent") -> int:
    """How many a budget is enough for."""
    price = COSTS[width] + (PAIRING if coupling == "optimal" else 0)
    return round(1000 * seconds / price)


def held_out(density: Density, n: int = HELD_OUT) -> Tensor:
    """Points that no training and no choice sees, in float64; those of lesson 15."""
    return density.sample(n, torch.Generator().manual_seed(99)).double()


def validation(density: Density) -> Tensor:
    """Other points, by which width and rate are chosen, in float64; those of lesson 15."""
    return density.sample(VALIDATION, torch.Generator().manual_seed(98)).double()


def log_prob(model: FlowMatching) -> Callable[[Tensor], Tensor]:
    """Of a tight solve in float64."""
    exact = model.double()
    return lambda x: exact.log_prob(x, **TIGHT)


@torch.no_grad()
def measured(model: FlowMatching, density: Density) -> dict[str, Any]:
    """The KL gap, the energy distance by steps, and cost and detour of the paths (see `way`)."""
    model = model.double()
    x = held_out(density)
    gap = kl_gap(density, log_prob(model), x, batch=2000)
    z = noise(COMPARED)
    real = x[:COMPARED]
    energy = [float(energy_distance(real, model.move(z, steps=n).x)) for n in STEPS]
    found = way(model.field, z[:MOVED], **TIGHT)
    return {
        "kl": gap.kl,
        "error": gap.standard_error,
        "nfe": model.move(z[:1000]).nfe,
        "energy_distance": energy,
        "cost": float(found.cost.mean()),
        "detour": float(found.detour.mean()),
    }


def noise(n: int) -> Tensor:
    """The noise from which all flows are compared, (n, 2), float64."""
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(97), dtype=torch.float64)


@torch.no_grad()
def picture(model: FlowMatching, density: Density) -> np.ndarray:
    """The density of a flow on a grid, as bytes, where 255 is the largest value of the true one.

    0 where no solver follows the field: far from the data it may be anything.
    """
    x, _ = grid(density.bounds, PICTURE)
    p = _where_solved(log_prob(model), x).exp().reshape(PICTURE, PICTURE)
    top = density.log_prob(x).exp().max()
    return (255 * (p / top).clamp(0, 1)).round().byte().numpy()


def _where_solved(log_p: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log p(x), (N, 2) -> (N,), and -inf at the points whose solve fails."""
    try:
        return log_p(x)
    except SolveError:
        if len(x) == 1:
            return torch.full_like(x[:, 0], -math.inf)
        return torch.cat([_where_solved(log_p, part) for part in x.chunk(2)])


@torch.no_grad()
def solved_pairs(model: FlowMatching, seed: int) -> Pairs:
    """Noise, and where a flow carries it, in float32."""
    chance = torch.Generator().manual_seed(1000 + seed)
    parts = [model.float().pairs(SOLVED // 10, generator=chance) for _ in range(10)]
    return Pairs(*(torch.cat(part) for part in zip(*parts)))


def vector(model: FlowMatching) -> np.ndarray:
    """All parameters, in half precision."""
    return parameters_to_vector(model.parameters()).detach().numpy().astype(np.float16)


def load(model: FlowMatching, values: np.ndarray) -> FlowMatching:
    """Give a model stored parameters."""
    like = next(model.parameters())
    vector_to_parameters(torch.from_numpy(values.astype(np.float64)).to(like), model.parameters())
    return model
