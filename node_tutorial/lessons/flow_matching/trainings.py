"""Lesson 17: how the flows of the plane are trained, and what is measured of them.

All trainings are in float32 on one thread, with batches of 256 new points, Adam, and a learning
rate that falls linearly to 0: those of lesson 15. Net and rate were found by nine short trials on
the moons: two or three layers, tanh or SiLU, and rates from 0.0025 to 0.04. The higher rates do as
well at first, and leave a rough field in the end.

The budget is in seconds of a quiet core, but what is counted is work at its price there (`COST`),
so that a busy machine takes longer, and finds the same.
"""

from collections.abc import Callable
from typing import Any

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
from ...training import fit, linear

BATCH = 256
CLIP = 10.0
WIDTH = 64  # hidden units in each of the three layers of the field
RATE = 5e-3
# Milliseconds of an update on a quiet core, measured by turns with the flows of lesson 15; and what
# the best pairing of a batch takes.
COST = 1.15
PAIRING = 7.1
STEPS = (1, 2, 4, 8, 16, 32, 64)  # of Euler
HELD_OUT = 5000
COMPARED = 2000  # points of each of two samples
MOVED = 1000  # whose paths are measured
SOLVED = 50_000  # pairs that reflow trains on
TIGHT: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
PICTURE = 64  # points a side of a stored picture of a density

DENSITIES: dict[str, Callable[[], Density]] = {
    "moons": two_moons,
    "circles": two_circles,
    "Gaussians": gaussians,
    "pinwheel": pinwheel,
}


def field() -> TimedMLP:
    """The field of all flows of this lesson: three hidden layers that see the time."""
    return TimedMLP(2, WIDTH, WIDTH, WIDTH, 2, activation=nn.SiLU)


def trained(
    density: Density,
    seed: int,
    seconds: float,
    *,
    coupling: str = "independent",
    given: Pairs | None = None,
    start: np.ndarray | None = None,
) -> tuple[FlowMatching, int]:
    """A flow, trained for so many seconds on points of a density or on given pairs, and updates.

    start: parameters to begin with.
    """
    torch.manual_seed(seed)
    model = FlowMatching(field(), coupling=coupling)
    if start is not None:
        load(model, start)
    price = COST + (PAIRING if coupling == "optimal" else 0)
    steps = round(1000 * seconds / price)

    def loss(model: FlowMatching, step: int) -> Tensor:
        if given is None:
            return model.loss(density.sample(BATCH))
        rows = torch.randint(len(given.x1), (BATCH,))
        return model.loss(given.x1[rows], given.x0[rows])

    fit(
        model,
        loss,
        steps,
        lr=RATE,
        schedule=linear(steps),
        batches=lambda step: step,
        clip=CLIP,
        progress=False,
    )
    return model, steps


def held_out(density: Density, n: int = HELD_OUT) -> Tensor:
    """Points that no training and no choice sees, in float64; those of lesson 15."""
    return density.sample(n, torch.Generator().manual_seed(99)).double()


def log_prob(model: FlowMatching) -> Callable[[Tensor], Tensor]:
    """Of a tight solve in float64."""
    exact = model.double()
    return lambda x: exact.log_prob(x, **TIGHT)


@torch.no_grad()
def measured(model: FlowMatching, density: Density) -> dict[str, Any]:
    """The KL gap, the energy distance by steps, and how straight the paths are."""
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
        "straightness": float(found.straightness.mean()),
        "cost": float(found.cost.mean()),
    }


def noise(n: int) -> Tensor:
    """The noise from which all flows are compared, (n, 2), float64."""
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(97), dtype=torch.float64)


@torch.no_grad()
def picture(model: FlowMatching, density: Density) -> np.ndarray:
    """The density of a flow on a grid, as bytes, where 255 is the largest value of the true one."""
    x, _ = grid(density.bounds, PICTURE)
    p = log_prob(model)(x).exp().reshape(PICTURE, PICTURE)
    top = density.log_prob(x).exp().max()
    return (255 * (p / top).clamp(0, 1)).round().byte().numpy()


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
