"""Lesson 17: the long runs in the plane, about a quarter of an hour on one core.

How flows are trained and measured stands in `trainings`.

- null: the energy distance of two samples of the moons;
- best: the cost of the best pairs of noise and moons, estimated `ASSIGNMENTS` times;
- tried: flow matching on four densities, with independent pairs, for `TRIAL` seconds with each
  width and rate; what is best on validation points is trained with every seed;
- equal: for `EQUAL` seconds, those of lesson 15's flows;
- data: for `SECONDS`;
- lost: on the pinwheel, of these flows, the held-out points whose log p is not to be had;
- fewer: on the moons, with as many updates as "optimal" pairs have time for;
- coupled: other pairs, on the moons, with the same net and rate. "optimal" pairs each batch, in the
  same time. "reflow 1" goes on from the independent flow of the same seed, for a quarter of it, on
  pairs that this has solved for (which takes about as long again, and is not counted); "reflow 2"
  goes on from there.

The digits are in `digits_runs`.
"""

import itertools
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from ...course.runs import Check, Run, Runs, middle
from ...data.densities import kl_gap
from ...data.two_samples import energy_distance, null_band
from ...models import FlowMatching
from ...models.couplings import cost, optimal
from . import digits_runs
from .trainings import (
    BATCH,
    CLIP,
    COMPARED,
    COSTS,
    DENSITIES,
    HELD_OUT,
    MOVED,
    PAIRING,
    PICTURE,
    RATES,
    SOLVED,
    STEPS,
    TIGHT,
    VALIDATION,
    WIDTHS,
    Chosen,
    field,
    held_out,
    load,
    log_prob,
    measured,
    picture,
    solved_pairs,
    trained,
    updates,
    validation,
    vector,
)

SECONDS = 20.0  # of a training, on a quiet core
EQUAL = 6.0  # what the flows of lesson 15 were given, for the comparison with them
TRIAL = 1.5
REFLOW = 5.0
ASSIGNMENTS = 8  # by each of which the cost of the best pairs is estimated
SEEDS = (1, 2, 3)  # the trials have seed 0
COUPLED = ("moons",)
WITH_LOST = ("pinwheel",)  # where one seed has a gap beyond measure
LOST = 50.0
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


def best_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The mean of |x1 - x0|^2 over the best pairs of COMPARED draws of noise and data, repeated."""
    chance = torch.Generator().manual_seed(seeds[0])
    p = DENSITIES[density]()
    costs = []
    for _ in range(ASSIGNMENTS):
        x1 = p.sample(COMPARED, chance).double()
        x0 = torch.randn(x1.shape, generator=chance, dtype=torch.float64)
        costs.append(round(float(cost(x0[optimal(x0, x1)], x1)), 4))
    return {"cost": costs}


def tried_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The NLL on validation points after a short training with each of WIDTHS and RATES."""
    p = DENSITIES[density]()
    x = validation(p)

    def trial(width: int, rate: float) -> float:
        with warnings.catch_warnings():  # one that diverges is judged by its last good parameters
            warnings.filterwarnings("ignore", "diverged", RuntimeWarning)
            model = trained(p, Chosen(width, rate), seeds[0], updates(width, TRIAL))
        return round(kl_gap(p, log_prob(model), x, batch=2000).cross_entropy, 4)

    return {"nll": [[trial(width, rate) for rate in RATES] for width in WIDTHS]}


def best(density: str) -> Chosen:
    """Width and rate of the lowest NLL on validation points."""
    nll = np.array(table()[f"tried/{density}"]["nll"])
    row, column = np.unravel_index(nll.argmin(), nll.shape)
    return Chosen(WIDTHS[row], RATES[column])


def flow_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train with each seed, and measure; the middle one's parameters (of COUPLED) or picture."""
    p = DENSITIES[setting.density]()
    models = [made(setting, seed) for seed in seeds]
    rows = [measured(model, p) for model in models]
    numbers = {key: [np.round(row[key], 5).tolist() for row in rows] for key in rows[0]}
    shown = models[middle(numbers["kl"])]
    chosen = best(setting.density)
    found = {**chosen._asdict(), "steps": budget(chosen, setting.kind), **numbers}
    if setting.density in COUPLED:
        found["parameters"] = vector(shown)
    return found | ({"picture": picture(shown, p)} if setting.kind == KINDS[0] else {})


def equal_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The KL gap of flow matching with the budget of lesson 15's flows, of each seed."""
    return _gaps(density, seeds, updates(best(density).width, EQUAL))


def lost_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """By seed, of the flows of `SECONDS`: held-out points that are carried away, with a log p more
    than LOST nats too low, and the KL gap of the others.
    """
    p = DENSITIES[density]()
    x = held_out(p)
    found: dict[str, list[float]] = {"points": [], "kl of others": []}
    for seed in seeds:
        log_q = log_prob(made(Setting(density, KINDS[0]), seed))
        with torch.no_grad():
            gaps = p.log_prob(x) - torch.cat([log_q(part) for part in x.split(2000)])
        found["points"].append(int((gaps > LOST).sum()))
        found["kl of others"].append(round(float(gaps[gaps <= LOST].mean()), 5))
    return found


def fewer_job(density: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The same with independent pairs, and as many updates as "optimal" ones have time for."""
    return _gaps(density, seeds, budget(best(density), "optimal"))


def _gaps(density: str, seeds: tuple[int, ...], steps: int) -> dict[str, Any]:
    p = DENSITIES[density]()
    chosen = best(density)
    x = held_out(p)
    found: dict[str, list[float]] = {"kl": [], "error": []}
    for seed in seeds:
        gap = kl_gap(p, log_prob(trained(p, chosen, seed, steps)), x, batch=2000)
        found["kl"].append(round(gap.kl, 5))
        found["error"].append(round(gap.standard_error, 5))
    return {**chosen._asdict(), "steps": steps, **found}


@lru_cache(maxsize=12)  # a reflow goes on from the flow before it
def made(setting: Setting, seed: int) -> FlowMatching:
    """A trained flow."""
    density, kind = setting
    p = DENSITIES[density]()
    chosen = best(density)
    steps = budget(chosen, kind)
    if kind not in BEFORE:
        return trained(p, chosen, seed, steps, coupling=kind)
    before = made(Setting(density, BEFORE[kind]), seed)
    start = vector(before)
    return trained(p, chosen, seed, steps, given=solved_pairs(before, seed), start=start)


def budget(chosen: Chosen, kind: str) -> int:
    """Updates for one of KINDS."""
    if kind in BEFORE:
        return updates(chosen.width, REFLOW)
    return updates(chosen.width, SECONDS, kind)


# -- what is stored --------------------------------------------------------------------------------


def result(density: str, kind: str) -> str:
    """The name of the result of a density and one of KINDS."""
    return f"data/{density}" if kind == KINDS[0] else f"coupled/{density}/{kind}"


def restored(values: np.ndarray, width: int) -> FlowMatching:
    """A flow with stored parameters, in float64."""
    return load(FlowMatching(field(width)).double().requires_grad_(False), values)


@lru_cache(maxsize=16)
def stored_flow(density: str, kind: str = KINDS[0]) -> FlowMatching:
    """The stored flow of the seed in the middle, in float64."""
    name = result(density, kind)
    return restored(arrays()[f"{name}/parameters"], table()[name]["width"])


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
        **{f"best/{density}": Run(best_job, density) for density in COUPLED},
        **{f"tried/{density}": Run(tried_job, density) for density in DENSITIES},
        **{f"equal/{density}": Run(equal_job, density, SEEDS) for density in DENSITIES},
        **{f"fewer/{density}": Run(fewer_job, density, SEEDS) for density in COUPLED},
        **{result(*pair): Run(flow_job, Setting(*pair), SEEDS) for pair in pairs},
        **{f"lost/{density}": Run(lost_job, density, SEEDS) for density in WITH_LOST},
        **digits_runs.RESULTS,
    }


RUNS = Runs(
    "flow_matching",
    protocol={
        "SECONDS": SECONDS,
        "EQUAL": EQUAL,
        "TRIAL": TRIAL,
        "REFLOW": REFLOW,
        "BATCH": BATCH,
        "CLIP": CLIP,
        "WIDTHS": WIDTHS,
        "RATES": RATES,
        "COSTS": COSTS,
        "PAIRING": PAIRING,
        "STEPS": STEPS,
        "TIGHT": TIGHT,
        "HELD_OUT": HELD_OUT,
        "VALIDATION": VALIDATION,
        "COMPARED": COMPARED,
        "MOVED": MOVED,
        "ASSIGNMENTS": ASSIGNMENTS,
        "LOST": LOST,
        "SOLVED": SOLVED,
        "PICTURE": PICTURE,
        **digits_runs.PROTOCOL,
    },
    results=_results(),
    verify=verify,
)
