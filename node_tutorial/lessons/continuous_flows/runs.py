"""Lesson 15: the flows that are compared, how they are trained, and what is stored of the runs.

`continuous_flows_jobs` makes the runs, in four groups. All are in float32 on one thread, with
batches of 256 new points, Adam, and a learning rate that falls linearly to 0.

- data: maximum likelihood on four densities, `BUDGET` seconds of processor time for each model;
- targets: KL(q || p) to the energies U1 to U3, without data, `TARGET_BUDGET` seconds each; U1 also
  without annealing;
- trap: a CNF on the moons, a fixed number of updates, through coarse fixed steps or an adaptive
  solver;
- variants: the latter again, with Hutchinson's estimate, or with Finlay's penalties.

Where the time is fixed, a faster machine makes more updates and gets smaller gaps; the lesson
asserts relations.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils import vector_to_parameters

from ...course import runs as files
from ...data.densities import Density, gaussians, grid, pinwheel, two_circles, two_moons
from ...models import CNF, PlanarFlow, RealNVP, TimedMLP

BUDGET, TARGET_BUDGET, BATCH = 30.0, 20.0, 256
TRAP_STEPS, TRAP_LR = 500, 5e-3
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
TIGHT: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}
HELD_OUT = 10_000
PICTURE = 64  # points a side of a stored picture of a density

DENSITIES: dict[str, Callable[[], Density]] = {
    "moons": two_moons,
    "circles": two_circles,
    "Gaussians": gaussians,
    "pinwheel": pinwheel,
}
LR = {"planar": 1e-2, "RealNVP": 4e-3, "CNF": 1e-2}
SIZES = (
    2,
    8,
    32,
)  # layers of the planar flow, or hidden units of the CNF, as in figure 4 of Chen et al.
TARGETS = (1, 2, 3)


def field(*hidden: int) -> TimedMLP:
    """The field of the lesson's CNFs: tanh, and the time as one more entry of every layer."""
    return TimedMLP(2, *(hidden or (64, 64)), 2)


def euler(steps: int) -> dict[str, Any]:
    """Solver settings: Euler's method with so many steps."""
    return {"method": "euler", "options": {"step_size": 1 / steps}}


class Setting(NamedTuple):
    """How a CNF is trained on the moons: Euler's steps (0: adaptive), the trace, weights of
    penalties.
    """

    steps: int = 0
    trace: str = "exact"
    kinetic: float = 0.0
    jacobian: float = 0.0

    @property
    def name(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self._asdict().items())

    @property
    def solver(self) -> dict[str, Any]:
        return euler(self.steps) if self.steps else TOLERANCE


HONEST, TRAPPED = Setting(), Setting(steps=5)
VARIANTS = {
    "exact trace": HONEST,
    "Rademacher": Setting(trace="rademacher"),
    "Gaussian": Setting(trace="gaussian"),
    "penalties": Setting(kinetic=0.01, jacobian=0.01),
}


def models() -> dict[str, Any]:
    """Name -> function that makes an untrained model, of those that are compared on data."""
    return {
        "planar": lambda: PlanarFlow(2, 64),
        "RealNVP": lambda: RealNVP(2, 8, (64, 64)),
        "CNF": lambda: CNF(field(), **TOLERANCE),
    }


def targeted(name: str, size: int) -> nn.Module:
    """An untrained model of figure 4: so many planar layers, or a CNF with so many hidden units."""
    return (
        PlanarFlow(2, size, closed="sample") if name == "planar" else CNF(field(size), **TOLERANCE)
    )


class Trained(NamedTuple):
    """A trained model, its loss and NFE at every update, and the processor's seconds that it took."""

    model: Any
    loss: list[float]
    nfe: list[int]
    seconds: float


def train(
    model, loss, lr: float, *, seconds: float | None = None, steps: int | None = None
) -> Trained:
    """Minimize loss(model, share) until the processor's time or the updates are used up; share of
    them is gone.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses: list[float] = []
    nfe: list[int] = []
    begun = time.process_time()
    while True:
        spent = time.process_time() - begun
        share = spent / seconds if seconds else len(losses) / (steps or 1)
        if share >= 1:
            return Trained(model, losses, nfe, spent)
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - share)
        value = loss(model, share)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        losses.append(value.item())
        nfe.append(model.stats.nfe if hasattr(model, "stats") else 0)


def likelihood(density: Density):
    """The loss of maximum likelihood, with new points for every update."""
    return lambda model, share: -model.log_prob(density.sample(BATCH)).mean()


def reverse_kl(density: Density, annealed: bool = True):
    """KL(q || p) = E_q[log q(x) - log p(x)], with new samples for every update.

    annealed: let the weight of log p grow from 0.01 to 1 in the first half of the training, as
    Rezende and Mohamed 2015 do it (section 6.1). Without that, both models settle on one of the two
    crescents of U1.
    """

    def loss(model, share):
        x, log_q = model.sample_with_log_prob(BATCH)
        weight = min(1.0, 0.01 + 2 * share) if annealed else 1.0
        return (log_q - weight * density.log_prob(x)).mean()

    return loss


def penalized(density: Density, setting: Setting):
    """Maximum likelihood with Finlay's penalties on the paths."""
    if not setting.kinetic and not setting.jacobian:
        return likelihood(density)

    def loss(model, share):
        log_prob, kinetic, frobenius = model.penalized(density.sample(BATCH))
        return (setting.kinetic * kinetic + setting.jacobian * frobenius - log_prob).mean()

    return loss


def solved(func: nn.Module, **solver) -> CNF:
    """The CNF of a field in float64, at a tight tolerance unless other settings are given."""
    return CNF(func.double(), **(solver or TIGHT))


@torch.no_grad()
def picture(log_prob, bounds, points: int = PICTURE) -> tuple[np.ndarray, float]:
    """A density on a grid (points, points), and the sum over the grid times the area of a cell: its
    mass there.
    """
    x, area = grid(bounds, points)
    p = log_prob(x).exp().reshape(points, points).numpy()
    return p, float(p.sum() * area)


def held_out(density: Density, n: int = HELD_OUT) -> torch.Tensor:
    """Points that no training sees, in float64."""
    return density.sample(n, torch.Generator().manual_seed(99)).double()


def restored(values: np.ndarray, *hidden: int) -> TimedMLP:
    """A field with stored parameters, in float64, that needs no gradients."""
    func = field(*hidden).double().requires_grad_(False)
    vector_to_parameters(torch.from_numpy(values.astype(np.float64)), func.parameters())
    return func


def stored_field(density: str) -> TimedMLP:
    """The stored field of one of DENSITIES, in float64."""
    return restored(arrays()[f"data/{density}/CNF/0/parameters"])


@lru_cache(maxsize=4)
def stored_cnf(density: str) -> CNF:
    """Its CNF."""
    return CNF(stored_field(density), rtol=1e-5, atol=1e-5)


# -- what is stored --------------------------------------------------------------------------------

SWEEP = [10 ** (-k / 2) for k in range(2, 13)]  # tolerances 1e-1 to 1e-6, two a decade
EULER = [1, 2, 5, 10, 20, 50, 100]


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The stored numbers: name of a job -> {name: value}, and "about": the protocol."""
    return files.load("continuous_flows.json")


@lru_cache(maxsize=1)
def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a job/name"."""
    return files.load("continuous_flows.npz")
