"""Lesson 14: flows of the plane, how they are trained, and the trainings that are stored, about ten
minutes on one core.

Two groups, all in float32, by Adam with a learning rate that falls along a cosine:
- fitted to data by maximum likelihood, 256 new draws in each update; `planar` and `RealNVP` with 8
  couplings have numbers of updates that take equal processor time;
- fitted to the energies of Rezende & Mohamed by KL(q || p), 256 draws from the flow in each update.
  As in the paper the energy's weight grows from 0.01 to 1, here over the first half of the
  training.

Another machine gives other last digits, and after some hundred updates other numbers; what the
lesson says about them is asserted with bounds.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import Check, Run, Runs
from ...data import Density, Gap, gaussians, kl_gap, target, two_circles, two_moons
from ...models import PlanarFlow, RealNVP
from ...models.flows import Flow
from ...training import History, cosine, fit
from ...training.precision import default_dtype

BATCH = 256
TEST = 20_000
HIDDEN = (32, 32)
CLIP = 10.0
RATE = {"planar": 2e-2, "alternating": 1e-2, "one mask": 1e-2}
MEASURES = ("kl", "standard_error", "cross_entropy")
DENSITIES: dict[str, Callable[[], Density]] = {
    "two moons": two_moons,
    "8 Gaussians": gaussians,
    "two circles": two_circles,
    "2 islands": lambda: gaussians(2, radius=3.0, std=0.3),
}
SHOWN = ("two moons", "8 Gaussians", "two circles")  # by number of layers, and with one mask
LAYERS = (2, 4, 8)
SEEDS = (1, 2, 3, 4)
FITS = (("planar", 32), ("alternating", 8))  # that are compared at equal time


class Setting(NamedTuple):
    """A flow: the density's name (of DENSITIES, or "U1" to "U4"), what its layers are (of RATE),
    how many; a seed.
    """

    density: str
    kind: str = "alternating"
    layers: int = 8
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.density}, {self.kind}, {self.layers}" + (
            f", seed {self.seed}" if self.seed else ""
        )


ISLANDS = Setting("2 islands")


def _updates() -> dict[Setting, int]:
    updates = {ISLANDS: 3000}
    for density in SHOWN:
        updates |= {
            Setting(density): 4000,
            Setting(density, layers=4): 2500,
            Setting(density, layers=2): 2500,
        }
        updates |= {Setting(density, "one mask", layers): 800 for layers in LAYERS}
    updates |= {
        Setting(density, kind, layers): 5000
        for density in ("two moons", "8 Gaussians")
        for kind, layers in FITS
    }
    updates |= {
        Setting(density, kind, layers, seed): 1200  # of these only the measures are stored
        for seed in SEEDS
        for density in ("two moons", "8 Gaussians")
        for kind, layers in FITS
    }
    numbers = (1, 2, 3, 4)
    return updates | {
        Setting(f"U{number}", "planar", layers): 2500 for number in numbers for layers in (2, 8, 32)
    }


UPDATES = _updates()  # of each training that is stored


@lru_cache(maxsize=8)
def density_of(name: str) -> Density:
    """One of DENSITIES, or "U1" to "U4"."""
    return DENSITIES[name]() if name in DENSITIES else target(int(name[1:]))


def build(setting: Setting) -> Flow:
    """The flow of a setting, untrained. With "one mask" all couplings keep x_1."""
    if setting.kind == "planar":
        return PlanarFlow(
            2, setting.layers, closed="log_prob" if setting.density in DENSITIES else "sample"
        )
    flow = RealNVP(2, setting.layers, HIDDEN)
    if setting.kind == "one mask":
        flow.kept[:] = flow.kept[1]
    return flow


def train(setting: Setting, steps: int | None = None) -> tuple[Flow, History]:
    """Train the flow of a setting."""
    with default_dtype(torch.float32):
        density = density_of(setting.density)
        steps = steps or UPDATES[setting]
        torch.manual_seed(setting.seed)
        flow = build(setting)

        def likelihood(flow: Flow, step: int) -> Tensor:
            return -flow.log_prob(density.sample(BATCH)).mean()

        def free_energy(flow: Flow, step: int) -> Tensor:
            x, log_q = flow.sample_with_log_prob(BATCH)
            return (log_q - min(1.0, 0.01 + 2 * step / steps) * density.log_prob(x)).mean()

        history = fit(
            flow,
            likelihood if setting.density in DENSITIES else free_energy,
            steps,
            lr=RATE[setting.kind],
            schedule=cosine(steps),
            clip=CLIP,
            progress=False,
        )
    return flow, history


@torch.no_grad()
def measure(setting: Setting, flow: Flow) -> Gap:
    """The gap of a flow in float64: KL(p || q) on held-out draws of p; for energies KL(q || p), on
    draws of q.

    cross_entropy is then -E_q[log p].
    """
    density = density_of(setting.density)
    if setting.density in DENSITIES:
        return kl_gap(
            density, flow.log_prob, density.sample(TEST, torch.Generator().manual_seed(1)).double()
        )
    torch.manual_seed(1)
    x, log_q = flow.sample_with_log_prob(TEST)
    log_p = density.log_prob(x)
    difference = (log_q - log_p).double()
    error = float(difference.std() / math.sqrt(TEST))
    return Gap(float(difference.mean()), error, float(-log_p.mean()), density.entropy)


# -- what is stored --------------------------------------------------------------------------------


class Training(NamedTuple):
    """A setting, with its number of updates."""

    setting: Setting
    updates: int


def measured(training: Training, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Train, and return the parameters, and MEASURES of the flow that they make."""
    setting = training.setting
    flow, _ = train(setting, training.updates)
    vector = parameters_to_vector(flow.parameters()).detach().numpy()
    parameters = vector if setting.kind == "planar" else vector.astype(np.float16)
    gap = measure(setting, _load(setting, parameters))
    found = {"measures": np.array([getattr(gap, name) for name in MEASURES])}
    return found if setting.seed else {"parameters": parameters, **found}


def verify() -> Iterator[Check]:
    """Stored flows measured again: with other draws on another processor, so equal within four
    standard errors.
    """
    for setting in (
        Setting("two moons"),
        Setting("8 Gaussians", "planar", 32),
        Setting("U2", "planar", 8),
    ):
        gap = measure(setting, flow_of(setting))
        row = measures(setting)
        error = row["standard_error"]
        yield Check(f"{setting.name}: kl", gap.kl, row["kl"], 4 * error)
        yield Check(f"{setting.name}: standard error", gap.standard_error, error, 0.3 * error)


def stored() -> dict[str, np.ndarray]:
    """The stored trainings: name of an array -> array."""
    return RUNS.arrays()


def measures(setting: Setting) -> dict[str, float]:
    """MEASURES of a stored flow, by name, in nats."""
    return dict(zip(MEASURES, stored()[f"{setting.name}/measures"].tolist()))


@lru_cache(maxsize=64)
def flow_of(setting: Setting) -> Flow:
    """A stored flow, in float64."""
    return _load(setting, stored()[f"{setting.name}/parameters"])


def _load(setting: Setting, parameters: np.ndarray) -> Flow:
    flow = build(setting).double().requires_grad_(False)
    vector_to_parameters(torch.from_numpy(parameters.astype(np.float64)), flow.parameters())
    return flow


RUNS = Runs(
    "normalizing_flows",
    protocol={"BATCH": BATCH, "TEST": TEST, "HIDDEN": HIDDEN, "CLIP": CLIP, "RATE": RATE},
    results={
        setting.name: Run(measured, Training(setting, updates), (setting.seed,))
        for setting, updates in UPDATES.items()
    },
    verify=verify,
)
