"""Lesson 15: the long runs, a quarter of an hour on one core.

The flows and how they are trained stand in `trainings`, what is measured of them in `measures`.

- data: maximum likelihood on four densities, `BUDGET` seconds of processor time for each model;
- target: KL(q || p) to the energies U1 to U3, without data, `TARGET_BUDGET` seconds each; U1 also
  without annealing;
- trap: a CNF on the moons, `TRAP_STEPS` updates, through coarse fixed steps or an adaptive solver;
  the latter also with Hutchinson's estimate, or with Finlay's penalties;
- sweep: the first two of these under many solvers.

Where the time is fixed, a faster machine makes more updates and gets smaller gaps; the lesson
asserts relations.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import vector_to_parameters

from ...course.runs import Check, Run, Runs
from ...data.densities import kl_gap, two_moons
from ...data.targets import target
from ...models import CNF, TimedMLP
from . import measures
from .measures import (
    EULER,
    HELD_OUT,
    PICTURE,
    SWEEP,
    as_bytes,
    both_ways,
    euler,
    held_out,
    picture,
    solved,
    vector,
)
from .trainings import (
    BATCH,
    CLIP,
    DENSITIES,
    HONEST,
    SIZES,
    TOLERANCE,
    TRAPPED,
    VARIANTS,
    Setting,
    Trained,
    field,
    likelihood,
    models,
    penalized,
    reverse_kl,
    targeted,
    train,
)

BUDGET = 30.0
TARGET_BUDGET = 20.0
TRAP_STEPS = 500
TRAP_LR = 5e-3
TARGET_LR = 1e-2
LR = {"planar": 1e-2, "RealNVP": 4e-3, "CNF": 1e-2}
TARGETS = (1, 2, 3)


class Fit(NamedTuple):
    """A model of `models`, trained on one of DENSITIES for `BUDGET` seconds."""

    density: str
    model: str


class Target(NamedTuple):
    """A model of `targeted`, fitted to an energy for `TARGET_BUDGET` seconds, without data."""

    number: int
    model: str
    size: int
    annealed: bool = True


def data_job(setting: Fit, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train one model on one density, and measure it."""
    density = DENSITIES[setting.density]()
    torch.manual_seed(seeds[0])
    trained = train(
        models()[setting.model](), likelihood(density), LR[setting.model], seconds=BUDGET
    )
    flow = trained.model
    x = held_out(density)
    numbers = _of_training(trained)
    weights = {}
    if setting.model == "CNF":
        weights["parameters"] = vector(flow.func)
        flow = solved(flow.func)
        numbers |= both_ways(flow.func, x[:1000])
    flow = flow.double()
    gap = kl_gap(density, flow.log_prob, x, batch=2000)
    numbers |= {
        "kl": gap.kl,
        "error": gap.standard_error,
        "nll": gap.cross_entropy,
        "entropy": gap.entropy,
    }
    p, numbers["mass"] = picture(flow.log_prob, density.bounds)
    return {**_rounded(numbers), **weights, "picture": as_bytes(p, density)}


def target_job(setting: Target, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Fit one model to one energy, and measure it."""
    density = target(setting.number)
    torch.manual_seed(seeds[0])
    trained = train(
        targeted(setting.model, setting.size),
        reverse_kl(density, setting.annealed),
        TARGET_LR,
        seconds=TARGET_BUDGET,
    )
    flow = solved(trained.model.func) if setting.model == "CNF" else trained.model.double()
    with torch.no_grad():
        torch.manual_seed(1)
        x, log_q = flow.sample_with_log_prob(HELD_OUT)
        gaps = log_q - density.log_prob(x)
    p, mass = picture(flow.log_prob, density.bounds)
    numbers = {
        **_of_training(trained),
        "kl": float(gaps.mean()),
        "error": float(gaps.std() / HELD_OUT**0.5),
        "mass": mass,
    }
    return _rounded(numbers) | ({"picture": as_bytes(p, density)} if setting.annealed else {})


def trap_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train a CNF on the moons for `TRAP_STEPS` updates; what it reports itself, and what a tight
    solver says.
    """
    density = two_moons()
    torch.manual_seed(seeds[0])
    flow = CNF(field(), trace=setting.trace, **setting.solver)
    trained = train(flow, penalized(density, setting), TRAP_LR, steps=TRAP_STEPS)
    func = trained.model.func
    columns = {"losses": np.array(trained.loss, dtype=np.float16)}
    if setting in (HONEST, TRAPPED):
        columns["parameters"] = vector(func)
    numbers = _of_training(trained)
    x = held_out(density, 4000)
    own = solved(func, **setting.solver)
    tight = solved(func)
    for name, flow in (("own", own), ("tight", tight)):
        gap = kl_gap(density, flow.log_prob, x, batch=2000)
        numbers[f"{name}_kl"] = gap.kl
        numbers[f"{name}_error"] = gap.standard_error
        numbers[f"{name}_nll"] = gap.cross_entropy
        numbers[f"{name}_mass"] = picture(flow.log_prob, density.bounds)[1]
        numbers[f"{name}_nfe"] = flow.stats.nfe
    with torch.no_grad():
        cost = tight.penalized(x[:2000])
    numbers["kinetic"] = float(cost.kinetic.mean())
    numbers["frobenius"] = float(cost.frobenius.mean())
    return _rounded(numbers) | columns


def sweep_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The stored field of a trap under many solvers."""
    rows = measures.sweep(restored(arrays()[f"{_trap(setting)}/parameters"]))
    pictures = np.array(rows.pop("picture"))
    numbers = {key: np.round(values, 5).tolist() for key, values in rows.items()}
    return {**numbers, "picture": pictures}


def _of_training(trained: Trained) -> dict[str, float]:
    return {
        "steps": len(trained.loss),
        "seconds": trained.seconds,
        "parameters_number": sum(p.numel() for p in trained.model.parameters()),
        "nfe_first": trained.nfe[0],
        "nfe_last": float(np.mean(trained.nfe[-50:])),
    }


def _rounded(numbers: dict[str, float]) -> dict[str, Any]:
    return {key: round(float(value), 5) for key, value in numbers.items()}


def _trap(setting: Setting) -> str:
    return f"trap/{setting.name}/0"


def _runs() -> dict[str, Run]:
    """Name of a result -> run, the important ones first; the sweeps read the traps."""
    traps = {_trap(setting): Run(trap_job, setting) for setting in (TRAPPED, HONEST)}
    sweeps = {
        f"sweep/{name}": Run(sweep_job, setting)
        for name, setting in (("honest", HONEST), ("trapped", TRAPPED))
    }
    fits = {
        f"data/{density}/{name}/0": Run(data_job, Fit(density, name))
        for density in ("moons", "Gaussians", "circles", "pinwheel")
        for name in models()
    }
    targets = {
        f"target/{number}/{name}/{size}": Run(target_job, Target(number, name, size))
        for number in TARGETS
        for name, size in itertools.product(("planar", "CNF"), SIZES)
    }
    alone = {
        f"target/1/{name}/{SIZES[-1]}/without annealing": Run(
            target_job, Target(1, name, SIZES[-1], annealed=False)
        )
        for name in ("planar", "CNF")
    }
    variants = list(VARIANTS.values())[1:]
    others = {_trap(setting): Run(trap_job, setting) for setting in variants}
    return traps | sweeps | fits | targets | alone | others


# -- what is stored --------------------------------------------------------------------------------


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


def verify() -> Iterator[Check]:
    """The stored CNFs measured again, in half precision; one row of each sweep."""
    for density in DENSITIES:
        p = DENSITIES[density]()
        row = table()[f"data/{density}/CNF/0"]
        flow = CNF(stored_field(density), rtol=1e-4, atol=1e-4)
        gap = kl_gap(p, flow.log_prob, held_out(p, 4000))
        within = 4 * (gap.standard_error + row["error"])
        yield Check(f"{density}: kl", gap.kl, row["kl"], within)
    x = held_out(two_moons(), 1000)
    for name, setting in (("honest", HONEST), ("trapped", TRAPPED)):
        row = table()[f"sweep/{name}"]
        func = restored(arrays()[f"{_trap(setting)}/parameters"])
        for place, solver in ((4, TOLERANCE), (len(SWEEP) + EULER.index(5), euler(5))):
            flow = CNF(func, **solver)
            with torch.no_grad():
                nll = float(-flow.log_prob(x).mean())
            yield Check(f"sweep/{name}: nll", nll, row["nll"][place], 0.02)
            yield Check(f"sweep/{name}: nfe", flow.stats.nfe, row["nfe"][place], 0)


def table() -> dict[str, dict[str, Any]]:
    """The stored numbers: name of a result -> {name: value}."""
    return RUNS.numbers()


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a result/name"."""
    return RUNS.arrays()


RUNS = Runs(
    "continuous_flows",
    protocol={
        "BUDGET": BUDGET,
        "TARGET_BUDGET": TARGET_BUDGET,
        "BATCH": BATCH,
        "CLIP": CLIP,
        "TRAP_STEPS": TRAP_STEPS,
        "TRAP_LR": TRAP_LR,
        "TARGET_LR": TARGET_LR,
        "LR": LR,
        "TOLERANCE": TOLERANCE,
        "HELD_OUT": HELD_OUT,
        "PICTURE": PICTURE,
        "SWEEP": SWEEP,
        "EULER": EULER,
    },
    results=_runs(),
    verify=verify,
)
