"""Lesson 09: the long runs, about seven minutes on a quiet core.

How nets are trained and measured stands in `trainings`, how torques are found in `least_effort`.

- tried: the loss on other paths after a short training with each of RATES;
- learned: with the best rate a training with each seed, measured over a long time;
- effort: torques of least effort to two targets, in three times, the best of several searches.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import Check, Run, Runs, middle, short
from . import least_effort
from .least_effort import ARM, Effort
from .trainings import (
    ARM_NETS,
    BATCH,
    CLIP,
    COSTS,
    CURVE,
    DAMPED_NETS,
    FRICTION,
    KINDS,
    NETS,
    NOISE,
    PATHS,
    RATES,
    SYSTEMS,
    TIMES,
    WINDOW,
    field_error,
    measured,
    trained,
    untrained,
    updates,
    validation,
)

SEEDS = (1, 2, 3)  # of the data and of the net; the trials have seed 0
SECONDS = {"derivatives": 2.0, "states": 5.0, "arm": 4.0}  # of a training, on a quiet core
TRIAL = 0.25  # the share of that for each of RATES
TARGETS = ((1.2, 0.5), (-0.6, 1.1))
TIMES_GIVEN = (0.5, 1.0, 2.0)  # seconds


class Setting(NamedTuple):
    """What is learned, from what, by which net."""

    system: str
    kind: str
    net: str

    @property
    def seconds(self) -> float:
        return SECONDS["arm" if self.system == "arm" else self.kind]


def tried_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The loss on other paths after a short training with each of RATES."""
    losses = []
    for rate in RATES:
        field = trained(*setting, rate, seeds[0], TRIAL * setting.seconds)
        losses.append(validation(*setting, field))
    return {"loss": [round(loss, 6) for loss in losses]}


def learned_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train with the best rate and each seed, and measure; the middle one's parameters."""
    losses = table()[_of("tried", setting)]["loss"]
    rate = RATES[int(np.argmin(losses))]
    rows, kept = [], []
    for seed in seeds:
        field = trained(*setting, rate, seed, setting.seconds)
        kept.append(parameters_to_vector(field.parameters()).detach().numpy())
        rows.append(measured(setting.system, setting.net, field))
    keys = [key for key, value in rows[0]._asdict().items() if value is not None]
    values = {key: [_rounded(getattr(row, key)) for row in rows] for key in keys}
    return {
        "rate": rate,
        "updates": updates(*setting, setting.seconds),
        **values,
        "parameters": kept[middle(values["energy"])],
    }


def effort_job(setting: tuple[float, float, float], seeds: tuple[int, ...]) -> dict[str, Any]:
    """The best of searches for all postures of a target; each from no torque at all."""
    x, y, seconds = setting
    both = ARM.postures(torch.tensor([x, y], dtype=torch.float64))
    found: list[Effort] = []
    for posture in both:
        for q in least_effort.turned(posture):
            found.append(least_effort.least_effort(q, seconds))
    found = [one for one in found if one.miss < 1e-6]
    best = min(found, key=lambda one: one.effort)
    return {
        "effort": round(best.effort, 6),
        "pontryagin": round(least_effort.by_pontryagin(best, seconds), 6),
        "all": sorted(round(one.effort, 4) for one in found),
        "u": best.u.numpy(),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [short(x) for x in value]
    return short(value)


# -- what is stored --------------------------------------------------------------------------------


def result(system: str, kind: str, net: str) -> str:
    """The name of a result of `learned_job`."""
    return _of("learned", Setting(system, kind, net))


@lru_cache(maxsize=24)
def stored_field(system: str, kind: str, net: str) -> nn.Module:
    """The stored field of the seed in the middle, in float64."""
    field = untrained(system, net)
    values = arrays()[f"{result(system, kind, net)}/parameters"]
    vector_to_parameters(torch.from_numpy(values.copy()), field.parameters())
    return field.double().requires_grad_(False)


@lru_cache(maxsize=16)
def stored_effort(x: float, y: float, seconds: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Torques (n, 2), states (n + 1, 4) and effort of the best search."""
    name = f"effort/{x},{y}/{seconds}"
    u = arrays()[f"{name}/u"]
    path = least_effort.simulate(torch.from_numpy(u), seconds).numpy()
    return u, path, table()[name]["effort"]


def verify() -> Iterator[Check]:
    """The error of each stored field measured again, and four energies over the long time; the
    stored torques simulated again.
    """
    for name, row in table().items():
        kind, *setting = name.split("/")
        if kind == "learned":
            stored = row["slope"][middle(row["energy"])]
            again = field_error(setting[0], setting[2], stored_field(*setting))
            yield Check(f"{name}: field", again, stored, 0.01 * stored)
    for kind, net in itertools.product(KINDS, NETS[:2]):
        row = table()[result("pendulum", kind, net)]
        again = measured("pendulum", net, stored_field("pendulum", kind, net)).energy
        stored = sorted(row["energy"])[len(SEEDS) // 2]
        yield Check(f"pendulum, {kind}, {net}: energy", again, stored, 0.05 * stored)
    for (x, y), seconds in itertools.product(TARGETS, TIMES_GIVEN):
        _, path, _ = stored_effort(x, y, seconds)
        hand = ARM.hand(torch.from_numpy(path[-1, :2]))
        off = float((hand - torch.tensor([x, y])).norm())
        yield Check(f"({x}, {y}) in {seconds} s: miss", off, 0.0, 1e-5)


def table() -> dict[str, dict[str, Any]]:
    """The stored numbers: name of a result -> {name: value}."""
    return RUNS.numbers()


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a result/name"."""
    return RUNS.arrays()


def _of(what: str, setting: Setting) -> str:
    return "/".join([what, *setting])


def _results() -> dict[str, Run]:
    """Name of a result -> run; what is learned reads what was tried."""
    settings = [
        *itertools.starmap(Setting, itertools.product(["pendulum"], KINDS, NETS)),
        *itertools.starmap(Setting, itertools.product(["arm"], KINDS[:1], ARM_NETS)),
        *itertools.starmap(Setting, itertools.product(["damped"], KINDS[:1], DAMPED_NETS)),
        *itertools.starmap(Setting, itertools.product(["spring"], KINDS, NETS)),
    ]
    efforts = [(*target, t) for target, t in itertools.product(TARGETS, TIMES_GIVEN)]
    return {
        **{_of("tried", setting): Run(tried_job, setting) for setting in settings},
        **{_of("learned", setting): Run(learned_job, setting, SEEDS) for setting in settings},
        **{f"effort/{x},{y}/{t}": Run(effort_job, (x, y, t)) for x, y, t in efforts},
    }


RUNS = Runs(
    "physics",
    protocol={
        "SECONDS": SECONDS,
        "TRIAL": TRIAL,
        "COSTS": COSTS,
        "RATES": RATES,
        "PATHS": PATHS,
        "TIMES": TIMES,
        "NOISE": NOISE,
        "FRICTION": FRICTION,
        "WINDOW": WINDOW,
        "BATCH": BATCH,
        "CLIP": CLIP,
        "CURVE": CURVE,
        "SPACING": {name: system.spacing for name, system in SYSTEMS.items()},
        "HORIZON": {name: system.horizon for name, system in SYSTEMS.items()},
        "INTERVALS": least_effort.INTERVALS,
        "ITERATIONS": least_effort.ITERATIONS,
    },
    results=_results(),
    verify=verify,
)
