"""Lesson 14: flows of the plane, how they are trained, and the trainings that are stored, about a
quarter of an hour on one core.

Three groups, all in float32, by Adam with a learning rate that falls along a cosine:
- fitted to data by maximum likelihood, 256 new draws in each update;
- the same for `planar` and `RealNVP` with one budget and one effort of tuning: each is tried with
  every size and rate, one short training each, judged on validation points; with what was best it
  is trained with five seeds. The budget is in seconds of a quiet core, counted in updates at the
  price of `MILLISECONDS`; so a busy machine takes longer, and finds the same;
- fitted to the energies of Rezende & Mohamed by KL(q || p), 256 draws from the flow in each update.
  As in the paper the energy's weight grows from 0.01 to 1, here over the first half of the
  training.

Another machine gives other last digits, and after some hundred updates other numbers; what the
lesson says about them is asserted with bounds.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

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
ENERGIES = ("U1", "U2", "U3", "U4")
DEPTHS = (2, 8, 32)  # of the planar flows that are fitted to them
# The comparison at equal time:
SECONDS = 4.0  # of a training, on a quiet core
TRIAL = 1.0
VALIDATION = 4000  # points by which a trial is judged
RATES = (3e-3, 1e-2, 3e-2, 0.1, 0.3)
MILLISECONDS = {  # of an update, by kind and layers: medians, with all by turns in one process
    "planar": {16: 2.0, 32: 3.6},
    "alternating": {4: 2.0, 8: 3.3},
}
COMPARED = ("two moons", "8 Gaussians")
SEEDS = (1, 2, 3, 4, 5)  # the trials have seed 0


class Setting(NamedTuple):
    """A flow: the density's name (of DENSITIES, or "U1" to "U4"), what its layers are (of RATE),
    how many.
    """

    density: str
    kind: str = "alternating"
    layers: int = 8

    @property
    def name(self) -> str:
        return f"{self.density}, {self.kind}, {self.layers}"


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
    updates |= {Setting(density): 5000 for density in ("two moons", "8 Gaussians")}
    return updates | {
        Setting(name, "planar", layers): 2500 for name in ENERGIES for layers in DEPTHS
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


def train(
    setting: Setting, steps: int | None = None, rate: float | None = None, seed: int = 0
) -> tuple[Flow, History]:
    """Train the flow of a setting; with the rate of its kind, unless another one is given."""
    with default_dtype(torch.float32):
        density = density_of(setting.density)
        steps = steps or UPDATES[setting]
        torch.manual_seed(seed)
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
            lr=rate or RATE[setting.kind],
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
    found = np.array([getattr(gap, name) for name in MEASURES])
    return {"parameters": parameters, "measures": found}


class Fit(NamedTuple):
    """A kind of MILLISECONDS on one of COMPARED."""

    density: str
    kind: str


class Fitted(NamedTuple):
    """What was best in the trials, the updates of a training, and the gaps of all seeds, in nats.

    kl, error have the length of SEEDS.
    """

    layers: int
    rate: float
    updates: int
    kl: list[float]
    error: list[float]


def tried(fit: Fit, seeds: tuple[int, ...]) -> dict[str, list]:
    """The NLL on validation points after a short training with each number of layers and rate."""
    density = density_of(fit.density)
    x = density.sample(VALIDATION, torch.Generator().manual_seed(2)).double()

    def trial(layers: int, rate: float) -> float:
        setting = Setting(fit.density, fit.kind, layers)
        with warnings.catch_warnings():  # one that diverges is judged by its last good parameters
            warnings.filterwarnings("ignore", "diverged", RuntimeWarning)
            flow, _ = train(setting, _updates_in(TRIAL, setting), rate, seeds[0])
        with torch.no_grad():
            return round(float(-flow.double().log_prob(x).mean()), 4)

    return {"nll": [[trial(layers, rate) for rate in RATES] for layers in MILLISECONDS[fit.kind]]}


def fitted(fit: Fit, seeds: tuple[int, ...]) -> dict[str, Any]:
    """`Fitted`, as a dict."""
    nll = trials(fit.density, fit.kind)
    row, column = np.unravel_index(nll.argmin(), nll.shape)
    setting = Setting(fit.density, fit.kind, list(MILLISECONDS[fit.kind])[row])
    rate = RATES[column]
    updates = _updates_in(SECONDS, setting)
    gaps = [measure(setting, train(setting, updates, rate, seed)[0].double()) for seed in seeds]
    kl = [round(gap.kl, 5) for gap in gaps]
    error = [round(gap.standard_error, 5) for gap in gaps]
    return Fitted(setting.layers, rate, updates, kl, error)._asdict()


def _updates_in(seconds: float, setting: Setting) -> int:
    """How many a quiet core makes in so many seconds."""
    return round(1000 * seconds / MILLISECONDS[setting.kind][setting.layers])


def verify() -> Iterator[Check]:
    """Stored flows measured again: with other draws on another processor, so equal within four
    standard errors.
    """
    for setting in (
        Setting("two moons"),
        Setting("U2", "planar", 8),
    ):
        gap = measure(setting, flow_of(setting))
        row = measures(setting)
        error = row["standard_error"]
        yield Check(f"{setting.name}: kl", gap.kl, row["kl"], 4 * error)
        yield Check(f"{setting.name}: standard error", gap.standard_error, error, 0.3 * error)


def trials(density: str, kind: str) -> np.ndarray:
    """The NLL of `tried`, in nats: (sizes, RATES)."""
    return np.array(RUNS.numbers()[f"tried/{density}/{kind}"]["nll"])


def compared(density: str, kind: str, anew: bool = False) -> Fitted:
    """A kind of flow on a density, with every seed; stored, or trained anew in a minute."""
    name = f"fits/{density}/{kind}"
    run = RUNS.results[name]
    return Fitted(**(run.make(run.settings, run.seeds) if anew else RUNS.numbers()[name]))


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


def _runs() -> dict[str, Run]:
    """Name of a result -> run; `fitted` reads `tried`."""
    trainings = {
        setting.name: Run(measured, Training(setting, updates))
        for setting, updates in UPDATES.items()
    }
    fits = [Fit(density, kind) for density in COMPARED for kind in MILLISECONDS]
    return (
        trainings
        | {f"tried/{fit.density}/{fit.kind}": Run(tried, fit) for fit in fits}
        | {f"fits/{fit.density}/{fit.kind}": Run(fitted, fit, SEEDS) for fit in fits}
    )


RUNS = Runs(
    "normalizing_flows",
    protocol={
        "BATCH": BATCH,
        "TEST": TEST,
        "HIDDEN": HIDDEN,
        "CLIP": CLIP,
        "RATE": RATE,
        "SECONDS": SECONDS,
        "TRIAL": TRIAL,
        "VALIDATION": VALIDATION,
        "RATES": RATES,
        "MILLISECONDS": MILLISECONDS,
    },
    results=_runs(),
    verify=verify,
)
