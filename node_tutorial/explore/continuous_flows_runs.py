"""Lesson 15: the flows that are compared, how they are trained, and the runs that are stored with the course.

    python benchmarks/continuous_flows.py          trains all of them again (a quarter of an hour) and stores them

Four groups. All in float32 on one thread, batches of 256 new points, Adam, a learning rate that falls linearly to 0.

- data: maximum likelihood on four densities, `BUDGET` seconds of processor time for each model;
- targets: KL(q || p) to the energies U1 to U3, without data, `TARGET_BUDGET` seconds each;
- trap: a CNF on the moons, a fixed number of updates, through coarse fixed steps or an adaptive solver;
- variants: the latter again, with Hutchinson's estimate, or with Finlay's penalties.

Where the time is fixed, a faster machine makes more updates and gets smaller gaps; the lesson asserts relations.
"""

import itertools
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ..data import stored as files
from ..data.densities import Density, gaussians, grid, kl_gap, pinwheel, two_circles, two_moons
from ..data.targets import target
from ..models import CNF, PlanarFlow, RealNVP, TimedMLP

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
SIZES = (2, 8, 32)  # layers of the planar flow, or hidden units of the CNF, as in figure 4 of Chen et al.
TARGETS = (1, 2, 3)


def field(*hidden: int) -> TimedMLP:
    """The field of the lesson's CNFs: tanh, and the time as one more entry of every layer."""
    return TimedMLP(2, *(hidden or (64, 64)), 2)


def euler(steps: int) -> dict[str, Any]:
    """Solver settings: Euler's method with so many steps."""
    return {"method": "euler", "options": {"step_size": 1 / steps}}


class Setting(NamedTuple):
    """How a CNF is trained on the moons: Euler's steps (0: adaptive), the trace, weights of penalties."""

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
    return PlanarFlow(2, size, closed="sample") if name == "planar" else CNF(field(size), **TOLERANCE)


class Trained(NamedTuple):
    """A trained model, its loss and NFE at every update, and the processor's seconds that it took."""

    model: Any
    loss: list[float]
    nfe: list[int]
    seconds: float


def train(model, loss, lr: float, *, seconds: float | None = None, steps: int | None = None) -> Trained:
    """Minimize loss(model, share) until the processor's time or the updates are used up; share of them is gone."""
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


def reverse_kl(density: Density):
    """KL(q || p) = E_q[log q(x) - log p(x)], with new samples for every update.

    The weight of log p grows from 0.01 to 1 in the first half of the training, as Rezende and Mohamed 2015 do it
    (section 6.1). Without that, both models settled on one of the two crescents of U1.
    """

    def loss(model, share):
        x, log_q = model.sample_with_log_prob(BATCH)
        return (log_q - min(1.0, 0.01 + 2 * share) * density.log_prob(x)).mean()

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
    """A density on a grid (points, points), and the sum over the grid times the area of a cell: its mass there."""
    x, area = grid(bounds, points)
    p = log_prob(x).exp().reshape(points, points).numpy()
    return p, float(p.sum() * area)


def held_out(density: Density, n: int = HELD_OUT) -> torch.Tensor:
    """Points that no training sees, in float64."""
    return density.sample(n, torch.Generator().manual_seed(99)).double()


def vector(module: nn.Module) -> np.ndarray:
    """All parameters of a module, in half precision."""
    return parameters_to_vector(module.parameters()).detach().numpy().astype(np.float16)


def restored(values: np.ndarray, *hidden: int) -> TimedMLP:
    """A field with stored parameters, in float64, that needs no gradients."""
    func = field(*hidden).double().requires_grad_(False)
    vector_to_parameters(torch.from_numpy(values.astype(np.float64)), func.parameters())
    return func


@lru_cache(maxsize=4)
def stored_cnf(density: str, tolerance: float = 1e-5) -> CNF:
    """The stored CNF of one of DENSITIES, in float64."""
    return CNF(restored(arrays()[f"data/{density}/CNF/0/parameters"]), rtol=tolerance, atol=tolerance)


# -- the stored runs -------------------------------------------------------------------------------------------------

SWEEP = [10 ** (-k / 2) for k in range(2, 13)]  # tolerances 1e-1 to 1e-6, two a decade
EULER = [1, 2, 5, 10, 20, 50, 100]


def jobs() -> dict[str, Any]:
    """Name -> function that trains and returns {name of a value: number, list or array}; the important ones first."""
    found: dict[str, Any] = {}
    for setting in (TRAPPED, HONEST):
        found[f"trap/{setting.name}/0"] = lambda s=setting: trap_job(s, 0)
    for density in ("moons", "Gaussians", "circles", "pinwheel"):
        for name in models():
            found[f"data/{density}/{name}/0"] = lambda d=density, n=name: data_job(d, n, 0)
    for number in TARGETS:
        for name, size in itertools.product(("planar", "CNF"), SIZES):
            found[f"target/{number}/{name}/{size}"] = lambda k=number, n=name, m=size: target_job(k, n, m)
    for setting in list(VARIANTS.values())[1:]:
        found[f"trap/{setting.name}/0"] = lambda s=setting: trap_job(s, 0)
    return found


def data_job(name: str, model: str, seed: int) -> dict[str, Any]:
    """Train one model on one density for `BUDGET` seconds, and measure it."""
    density = DENSITIES[name]()
    torch.manual_seed(seed)
    trained = train(models()[model](), likelihood(density), LR[model], seconds=BUDGET)
    flow, x = trained.model, held_out(density)
    result = _of_training(trained)
    if model == "CNF":
        if seed == 0:
            result["parameters"] = vector(flow.func)
        flow = solved(flow.func)
        result |= both_ways(flow.func, x[:1000])
    flow = flow.double()
    gap = kl_gap(density, flow.log_prob, x, batch=2000)
    result |= {"kl": gap.kl, "error": gap.standard_error, "nll": gap.cross_entropy, "entropy": gap.entropy}
    p, result["mass"] = picture(flow.log_prob, density.bounds)
    result["picture"] = _bytes(p, density)
    return result


def target_job(number: int, model: str, size: int) -> dict[str, Any]:
    """Fit one model to one energy for `TARGET_BUDGET` seconds, without data, and measure it."""
    density = target(number)
    torch.manual_seed(0)
    trained = train(targeted(model, size), reverse_kl(density), 1e-2, seconds=TARGET_BUDGET)
    flow = solved(trained.model.func) if model == "CNF" else trained.model.double()
    with torch.no_grad():
        torch.manual_seed(1)
        x, log_q = flow.sample_with_log_prob(HELD_OUT)
        gaps = log_q - density.log_prob(x)
    p, mass = picture(flow.log_prob, density.bounds)
    result = {"kl": float(gaps.mean()), "error": float(gaps.std() / HELD_OUT**0.5), "mass": mass}
    return {**_of_training(trained), **result, "picture": _bytes(p, density)}


def trap_job(setting: Setting, seed: int) -> dict[str, Any]:
    """Train a CNF on the moons for `TRAP_STEPS` updates; what it reports itself, and what a tight solver says."""
    density = two_moons()
    trained = train_on_moons(setting, seed)
    x, func = held_out(density, 4000), trained.model.func
    result = {**_of_training(trained), "losses": np.array(trained.loss, dtype=np.float16), "parameters": vector(func)}
    own, tight = solved(func, **setting.solver), solved(func)
    for name, flow in (("own", own), ("tight", tight)):
        gap = kl_gap(density, flow.log_prob, x, batch=2000)
        result |= {f"{name}_kl": gap.kl, f"{name}_error": gap.standard_error, f"{name}_nll": gap.cross_entropy}
        result[f"{name}_mass"] = picture(flow.log_prob, density.bounds)[1]
        result[f"{name}_nfe"] = flow.stats.nfe
    with torch.no_grad():
        cost = tight.penalized(x[:2000])
    return result | {"kinetic": float(cost.kinetic.mean()), "frobenius": float(cost.frobenius.mean())}


def train_on_moons(setting: Setting, seed: int = 0, steps: int = TRAP_STEPS) -> Trained:
    """The training of the lesson's trap, and of its cure."""
    torch.manual_seed(seed)
    flow = CNF(field(), trace=setting.trace, **setting.solver)
    return train(flow, penalized(two_moons(), setting), TRAP_LR, steps=steps)


def sweep(func: nn.Module) -> dict[str, Any]:
    """A field on the moons under many solvers: what NLL, mass and picture they report, and their evaluations."""
    density = two_moons()
    rows: dict[str, list] = {"nll": [], "mass": [], "nfe": [], "picture": []}
    x = held_out(density, 1000)
    for solver in [*({"rtol": tol, "atol": tol} for tol in SWEEP), *map(euler, EULER)]:
        flow = solved(func, **solver)
        with torch.no_grad():
            rows["nll"].append(float(-flow.log_prob(x).mean()))
        rows["nfe"].append(flow.stats.nfe)
        p, mass = picture(flow.log_prob, density.bounds)
        rows["mass"].append(mass)
        rows["picture"].append(_bytes(p, density))
    return rows


@torch.no_grad()
def both_ways(func: nn.Module, x: torch.Tensor, tolerance: float = 1e-5) -> dict[str, int]:
    """Evaluations of a solve from the data x to the noise with its trace, and of one from noise to samples."""
    flow = solved(func, rtol=tolerance, atol=tolerance)
    flow.log_prob(x)
    backward = flow.stats.nfe
    flow.sample(len(x))
    return {"nfe_density": backward, "nfe_sample": flow.stats.nfe}


def _of_training(trained: Trained) -> dict[str, Any]:
    parameters = sum(p.numel() for p in trained.model.parameters())
    late = trained.nfe[-50:]
    result = {"steps": len(trained.loss), "seconds": trained.seconds, "parameters_number": parameters}
    return result | {"nfe_first": trained.nfe[0], "nfe_last": float(np.mean(late))}


def _bytes(p: np.ndarray, density: Density) -> np.ndarray:
    """A picture as bytes, where 255 is the largest value of the true density, and more."""
    top = float(density.log_prob(grid(density.bounds, PICTURE)[0]).exp().max())
    return (255 * (p / top).clip(0, 1)).round().astype(np.uint8)


def protocol() -> dict[str, Any]:
    """What the stored runs were made with, for a test that file and code agree."""
    names = ("BUDGET", "TARGET_BUDGET", "BATCH", "TRAP_STEPS", "TRAP_LR", "HELD_OUT", "LR", "SWEEP", "EULER")
    return {name: globals()[name] for name in names}


def is_stored(job: str, key: str) -> bool:
    """Which arrays of a job are kept: all, but parameters and losses of further seeds."""
    whose = [f"trap/{setting.name}/0" for setting in (TRAPPED, HONEST)]
    return key == "picture" or job.startswith("data/") or job in whose or (key == "losses" and job.endswith("/0"))


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The stored numbers: name of a job -> {name: value}, and "about": the protocol."""
    return files.load("continuous_flows.json")


@lru_cache(maxsize=1)
def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a job/name"."""
    return files.load("continuous_flows.npz")
