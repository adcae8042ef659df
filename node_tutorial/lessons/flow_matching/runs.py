"""Lesson 17: the long runs in the plane, about a quarter of an hour on one core.

How flows are trained and measured stands in `trainings`.

- null: the energy distance of two samples of the moons;
- data: flow matching on four densities, with independent pairs;
- coupled: other pairs, on the moons. "optimal" pairs each batch, in the same time. "reflow 1" goes
  on from the independent flow of the same seed, for a quarter of it, on pairs that this has solved
  for; "reflow 2" goes on from there.

The digits are in `digits_runs`.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from ...course.runs import Check, Run, Runs
from ...data.densities import kl_gap
from ...data.two_samples import energy_distance, null_band
from ...models import FlowMatching
from . import digits_runs
from .trainings import (
    BATCH,
    CLIP,
    COMPARED,
    COST,
    DENSITIES,
    HELD_OUT,
    MOVED,
    PAIRING,
    PICTURE,
    RATE,
    SOLVED,
    STEPS,
    WIDTH,
    field,
    held_out,
    load,
    log_prob,
    measured,
    picture,
    solved_pairs,
    trained,
    vector,
)

SECONDS = 20.0  # of a training, on a quiet core
EQUAL = 6.0  # what the flows of lesson 15 were given, for the comparison with them
REFLOW = 5.0
SEEDS = (1, 2, 3)
COUPLED = ("moons",)
KINDS = ("independent", "optimal", "reflow 1", "reflow 2")
BEFORE = {"reflow 1": "independent", "reflow 2": "reflow 1"}


class Setting(NamedTuple):
    """A density, and how the pairs are made, one of KINDS."""

    density: str
    kind: str


def null_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The energy distance of two samples of a density, 20 times."""
    chance = torch.Generator().manual_seed(seeds[0])
    x = DENSITIES[density]().sample(10 * COMPARED, chance).double()
    band = null_band(energy_distance, x, COMPARED, 20, chance)
    return {"mean": float(band.mean()), "std": float(band.std()), "most": float(band.max())}


def flow_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train with each seed, and measure; the middle one's parameters (of COUPLED) or picture."""
    p = DENSITIES[setting.density]()
    models = [made(setting, seed) for seed in seeds]
    rows = [measured(model, p) for model, _ in models]
    numbers = {key: [np.round(row[key], 5).tolist() for row in rows] for key in rows[0]}
    shown = models[middle(numbers["kl"])][0]
    found = {"steps": models[0][1], **numbers}
    if setting.density in COUPLED:
        found["parameters"] = vector(shown)
    return found | ({"picture": picture(shown, p)} if setting.kind == KINDS[0] else {})


def equal_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The KL gap of flow matching with the budget of lesson 15's flows, of each seed."""
    p = DENSITIES[density]()
    x = held_out(p)
    found: dict[str, list[float]] = {"kl": [], "error": []}
    for seed in seeds:
        model, steps = trained(p, seed, EQUAL)
        gap = kl_gap(p, log_prob(model), x, batch=2000)
        found["kl"].append(round(gap.kl, 5))
        found["error"].append(round(gap.standard_error, 5))
    return {"steps": steps, **found}


@lru_cache(maxsize=12)  # a reflow goes on from the flow before it
def made(setting: Setting, seed: int) -> tuple[FlowMatching, int]:
    """A trained flow, and the number of updates."""
    density, kind = setting
    p = DENSITIES[density]()
    if not kind.startswith("reflow"):
        return trained(p, seed, SECONDS, coupling=kind)
    before, _ = made(Setting(density, BEFORE[kind]), seed)
    start = vector(before)
    return trained(p, seed, REFLOW, given=solved_pairs(before, seed), start=start)


def middle(values: list[float]) -> int:
    """The place of the median, of an odd number of values."""
    return int(np.argsort(values)[len(values) // 2])


# -- what is stored --------------------------------------------------------------------------------


def result(density: str, kind: str) -> str:
    """The name of the result of a density and one of KINDS."""
    return f"data/{density}" if kind == KINDS[0] else f"coupled/{density}/{kind}"


def restored(values: np.ndarray) -> FlowMatching:
    """A flow with stored parameters, in float64."""
    return load(FlowMatching(field()).double().requires_grad_(False), values)


@lru_cache(maxsize=16)
def stored_flow(density: str, kind: str = KINDS[0]) -> FlowMatching:
    """The stored flow of the seed in the middle, in float64."""
    return restored(arrays()[f"{result(density, kind)}/parameters"])


def verify() -> Iterator[Check]:
    """The stored flows measured again, in half precision."""
    for density, kind in itertools.product(COUPLED, KINDS):
        p = DENSITIES[density]()
        row = table()[result(density, kind)]
        seed = middle(row["kl"])
        gap = kl_gap(p, log_prob(stored_flow(density, kind)), held_out(p, 2000))
        within = 4 * (gap.standard_error + row["error"][seed])
        yield Check(f"{density}, {kind}: kl", gap.kl, row["kl"][seed], within)
    yield from digits_runs.verify(table(), arrays())


def table() -> dict[str, dict[str, Any]]:
    """The stored numbers: name of a result -> {name: value}."""
    return RUNS.numbers()


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a result/name"."""
    return RUNS.arrays()


def _results() -> dict[str, Run]:
    """Name of a result -> run; later ones read those before them."""
    pairs = [*itertools.product(DENSITIES, KINDS[:1]), *itertools.product(COUPLED, KINDS[1:])]
    return {
        **{f"null/{density}": Run(null_job, density) for density in COUPLED},
        **{f"equal/{density}": Run(equal_job, density, SEEDS) for density in DENSITIES},
        **{result(*pair): Run(flow_job, Setting(*pair), SEEDS) for pair in pairs},
        **digits_runs.RESULTS,
    }


RUNS = Runs(
    "flow_matching",
    protocol={
        "SECONDS": SECONDS,
        "REFLOW": REFLOW,
        "BATCH": BATCH,
        "CLIP": CLIP,
        "WIDTH": WIDTH,
        "RATE": RATE,
        "COST": COST,
        "PAIRING": PAIRING,
        "STEPS": STEPS,
        "HELD_OUT": HELD_OUT,
        "COMPARED": COMPARED,
        "MOVED": MOVED,
        "SOLVED": SOLVED,
        "PICTURE": PICTURE,
        **digits_runs.PROTOCOL,
    },
    results=_results(),
    verify=verify,
)
