"""Lesson 12: how the nets are judged, and the long runs, half an hour on one core.

Three models on spirals with 30, 50 and 100 of 100 observations, three seeds each; and latent ODEs
with three encoders, for the explorables, trained with 2 to 40 observations and gaps. The weights of
the nets that the lesson shows are stored in half precision. `spirals` has the data, `nets` the nets
and their training.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.runs import Check, Run, Runs
from ...models import LatentODE
from .nets import (
    BATCH,
    CLIP,
    ENCODERS,
    HIDDEN,
    LATENT,
    MODELS,
    RATE,
    STEPS,
    Forecaster,
    Model,
    predict,
    train,
)
from .spirals import FEWEST, MOST, NOISE, Data, sparse, thinned

TRAIN = 1000  # spirals
TEST = 200
COUNTS = (30, 50, 100)
SEEDS = (0, 1, 2)
PAPER = {"RNN": (0.3937, 0.3202, 0.1813), "latent ODE": (0.1642, 0.1502, 0.1346)}  # Table 2
VERSIONS = 4  # of every series, for the nets with sparse observations
DRAWS = 100  # of paths, for `coverage`


def errors(x: Tensor, clean: Tensor) -> Tensor:
    """The root mean square error (B,) of each predicted series x (B, S, 2)."""
    return (x - clean).square().mean((1, 2)).sqrt()


def turning(x: Tensor) -> Tensor:
    """Twice the area (B,) that the line from the center to x (B, S, 2) sweeps; positive for
    counter-clockwise.
    """
    a = x[:, :-1]
    b = x[:, 1:]
    return (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(1)


def angle(x: Tensor) -> Tensor:
    """The angle (B,) through which x (B, S, 2) turns about the center, in radians."""
    a = x[:, :-1]
    b = x[:, 1:]
    return torch.atan2(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0], (a * b).sum(-1)).sum(1)


@torch.no_grad()
def coverage(model: LatentODE, data: Data) -> tuple[float, float]:
    """The share of the clean numbers that are within the band of nine of ten draws: at the 100
    points, and beyond.
    """
    times = torch.cat([data.spirals.t, data.spirals.later])
    low, high = model.paths(*data.batch, times, DRAWS).quantile(torch.tensor([0.05, 0.95]), dim=0)
    inside = ((low < data.spirals.clean) & (data.spirals.clean < high)).double()
    points = len(data.spirals.t)
    return float(inside[:, :points].mean()), float(inside[:, points:].mean())


def judge(model: Model, data: Data) -> dict[str, float]:
    """What is measured of a trained model, on spirals that it has not seen.

    "beyond": root mean square error on the 100 points beyond; "median": of the errors of single
    spirals; "wrong": the share of spirals that are continued in the wrong sense. A latent ODE also:
    "within", the error at the 100 points themselves; "covers", "covers beyond": `coverage`. A
    forecaster also: "strided", where it steps with the mean gap of its training instead of point by
    point.
    """
    spirals, batch, _ = data
    points = len(spirals.t)
    after = spirals.clean[:, points:]
    x = predict(model, batch, spirals.later)
    each = errors(x, after)
    found = {
        "beyond": each.square().mean().sqrt().item(),
        "median": each.median().item(),
        "wrong": (turning(x) * turning(after) < 0).double().mean().item(),
    }
    if isinstance(model, Forecaster):
        stride = max(1, round(points / batch.x.shape[1]))
        x = predict(model, batch, spirals.later[stride - 1 :: stride])
        found["strided"] = errors(x, after[:, stride - 1 :: stride]).square().mean().sqrt().item()
    else:
        within = errors(predict(model, batch, spirals.t), spirals.clean[:, :points])
        found["within"] = within.square().mean().sqrt().item()
        found["covers"], found["covers beyond"] = coverage(model, data)
    return found


# -- what is stored --------------------------------------------------------------------------------


class Setting(NamedTuple):
    """A name of MODELS, and how many of the 100 points of a spiral are observed."""

    model: str
    observed: int

    def name(self, seed: int) -> str:
        """The name of its result."""
        return f"{self.model}/{self.observed}/{seed}"


def judged(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train a model and judge it on other spirals; with its weights if the lesson shows it."""
    (seed,) = seeds
    data = thinned(TRAIN, setting.observed, seed)
    model, history = train(MODELS[setting.model], data, seed)
    numbers = judge(model, thinned(TEST, setting.observed, 10_000 + seed))
    numbers["noise"] = model.log_noise.exp().item()
    numbers["loss"] = sum(history["loss"][-50:]) / 50
    return {
        **_rounded(numbers),
        "seconds": round(history.spent),
        **(_weights(model) if (setting.observed, seed) == (COUNTS[0], 0) else {}),
    }


def judged_encoder(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """A latent ODE with one of ENCODERS, for series with few observations and gaps; judged on
    others alike.
    """
    (seed,) = seeds
    model, _ = train(ENCODERS[name], sparse(TRAIN, seed, VERSIONS), seed)
    return {**_rounded(judge(model, sparse(TEST, 10_000 + seed))), **_weights(model)}


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {key: float(f"{value:.4g}") for key, value in numbers.items()}


def _weights(model: Model) -> dict[str, np.ndarray]:
    state = model.state_dict()
    return {key: value.numpy().astype(np.float16) for key, value in state.items()}


def _runs() -> dict[str, Run]:
    """Name of a result -> run, those first that the lesson cannot do without."""
    few = COUNTS[0]
    order = [(name, few, 0) for name in ("RNN", "latent ODE", "ODE-RNN")]
    others = [(name, count, 0) for count in COUNTS[1:] for name in ("RNN", "latent ODE")]
    others += [
        (name, count, seed) for seed in SEEDS for count in COUNTS for name in ("RNN", "latent ODE")
    ]
    others += [("ODE-RNN", count, seed) for count in COUNTS for seed in SEEDS]

    def of(rows: list[tuple[str, int, int]]) -> dict[str, Run]:
        settings = [(Setting(name, count), seed) for name, count, seed in rows]
        return {setting.name(seed): Run(judged, setting, (seed,)) for setting, seed in settings}

    return of(order) | {name: Run(judged_encoder, name) for name in ENCODERS} | of(others)


def verify() -> Iterator[Check]:
    """The stored nets judged again; their weights are of half precision."""
    for name in MODELS:
        key = Setting(name, COUNTS[0]).name(0)
        again = judge(stored(name), thinned(TEST, COUNTS[0], 10_000))
        for what in ("beyond", "median", "wrong"):
            row = RUNS.numbers()[key]
            yield Check(f"{key}: {what}", again[what], row[what], max(0.05 * row[what], 0.02))
    for name in ENCODERS:
        again = judge(stored(name), sparse(TEST, 10_000))
        row = RUNS.numbers()[name]
        yield Check(f"{name}: within", again["within"], row["within"], 0.05 * row["within"])
        yield Check(f"{name}: covers", again["covers"], row["covers"], 0.05)


def results() -> dict[str, dict[str, dict[str, float]]]:
    """What is stored: {"runs": {name: numbers of `judge`}}."""
    return {"runs": RUNS.numbers()}


def found(name: str, count: int, what: str) -> list[float]:
    """A number of `judge` of a stored model with `count` observations, of every seed."""
    return [RUNS.numbers()[Setting(name, count).name(seed)][what] for seed in SEEDS]


@lru_cache(maxsize=8)
def stored(name: str) -> Model:
    """A trained net from the file: one of MODELS (30 observations, seed 0) or of ENCODERS (trained
    on `sparse`).
    """
    key = Setting(name, COUNTS[0]).name(0) if name in MODELS else name
    model = (MODELS | ENCODERS)[name]()
    model.load_state_dict(
        {
            k: torch.tensor(RUNS.arrays()[f"{key}/{k}"], dtype=torch.float32)
            for k in model.state_dict()
        }
    )
    return model.eval().requires_grad_(False)


RUNS = Runs(
    "latent_ode",
    protocol={
        "HIDDEN": HIDDEN,
        "LATENT": LATENT,
        "NOISE": NOISE,
        "TRAIN": TRAIN,
        "TEST": TEST,
        "STEPS": STEPS,
        "BATCH": BATCH,
        "RATE": RATE,
        "CLIP": CLIP,
        "FEWEST": FEWEST,
        "MOST": MOST,
        "VERSIONS": VERSIONS,
        "DRAWS": DRAWS,
    },
    results=_runs(),
    verify=verify,
)
