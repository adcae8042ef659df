"""Lesson 13: the long runs, about a quarter of an hour on a quiet core.

How the models are trained and measured stands in `trainings`, the rivals in `rivals`.

- tried: the error on other clips after a short training with each of RATES;
- learned: with the best rate a training with each seed, measured by roll-outs;
- more: the smallest model of second order with four more seeds, since three said too much for it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import Check, Run, Runs, middle, short
from ...models.latent_ode import LatentODE
from . import trainings
from .trainings import FIELDS, RATES, measured, precise, trained, untrained, validation

SMALLEST = "second order, 1 + 1"
SEEDS = (1, 2, 3)  # of the data and of the net; the trials have seed 0
STEPS = 1000  # of a training
MORE = (4, 5, 6, 7)
TRIAL = 300  # of one for each of RATES


def tried_job(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The error on other clips after a short training with each of RATES."""
    errors = [validation(trained(name, rate, seeds[0], TRIAL)) for rate in RATES]
    return {"error": [short(error) for error in errors]}


def learned_job(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train with the best rate and each seed, and measure; the middle one's parameters."""
    rate = RATES[int(np.argmin(table()[f"tried/{name}"]["error"]))]
    rows, kept = [], []
    for seed in seeds:
        model = trained(name, rate, seed, STEPS)
        kept.append(parameters_to_vector(model.parameters()).detach().numpy())
        rows.append(measured(precise(model)))
    values = {key: [_rounded(getattr(row, key)) for row in rows] for key in rows[0]._fields}
    best = middle(values["beyond"])
    return {
        "rate": rate,
        "parameters_number": len(kept[0]),
        "middle": best,
        **values,
        "parameters": kept[best],
    }


def more_job(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """As `learned_job`, with the same rate: how far other seeds come."""
    rate = table()[f"learned/{name}"]["rate"]
    rows = [measured(precise(trained(name, rate, seed, STEPS))) for seed in seeds]
    keys = ("within", "beyond", "periodic", "swing", "slide")
    return {key: [_rounded(getattr(row, key)) for row in rows] for key in keys}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(x) for x in value]
    return short(value)


@lru_cache(maxsize=8)
def stored_model(name: str) -> LatentODE:
    """The stored model of the seed in the middle, as `precise` gives it."""
    model = untrained(name)
    vector_to_parameters(
        torch.from_numpy(arrays()[f"learned/{name}/parameters"].copy()), model.parameters()
    )
    return precise(model).requires_grad_(False)


def verify() -> Iterator[Check]:
    """The stored models, measured again."""
    for name in FIELDS:
        row = table()[f"learned/{name}"]
        again = measured(stored_model(name))
        for key in ("within", "slide"):
            stored = row[key][row["middle"]]
            yield Check(f"{name}: {key}", getattr(again, key), stored, 0.02 * stored)


def table() -> dict[str, dict[str, Any]]:
    """The stored numbers: name of a result -> {name: value}."""
    return RUNS.numbers()


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a result/name"."""
    return RUNS.arrays()


def _results() -> dict[str, Run]:
    """Name of a result -> run; what is learned reads what was tried."""
    runs = {}
    for name in FIELDS:
        runs[f"tried/{name}"] = Run(tried_job, name)
        runs[f"learned/{name}"] = Run(learned_job, name, SEEDS)
    runs[f"more/{SMALLEST}"] = Run(more_job, SMALLEST, MORE)
    return runs


RUNS = Runs(
    "motion",
    protocol={
        name: getattr(trainings, name)
        for name in (
            "PERIOD", "SPACING", "FRAMES", "KEYS", "NOISE", "TRAIN", "TEST", "BATCH", "WIDTH",
            "ENCODER", "PACE", "LIKELIHOOD", "CLIP", "RATES", "SHORTEST", "FINE", "CYCLES",
            "REFINEMENTS", "FIELDS",
        )
    } | {"STEPS": STEPS, "TRIAL": TRIAL},
    results=_results(),
    verify=verify,
)  # fmt: skip
