"""Lesson 12: how the nets are judged, and the long runs, half an hour on one core.

Three models on spirals with 30, 50 and 100 of 100 observations, three seeds each, five where the
lesson compares most (30 observations, RNN and latent ODE); the latent ODE on spirals that run
outward; and latent ODEs with three encoders, for the explorables, trained with 2 to 40 observations
and gaps. The weights of the nets that the lesson shows are stored in half precision. `spirals` has
the data, `nets` the nets and their training, `refinement` what is done for each series by itself.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.runs import Check, Run, Runs, short
from ...data.two_spirals import Spirals
from ...models import LatentODE
from ...models.vae import Posterior
from . import refinement
from .bands import GAPS, NUMBERS, refined_frames
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
    minus_bound,
    predict,
    train,
)
from .refinement import refine
from .spirals import FEWEST, MOST, NOISE, RADIUS_PER_STEP, Data, sparse, thinned

TRAIN = 1000  # spirals
TEST = 200
COUNTS = (30, 50, 100)
SEEDS = (0, 1, 2, 3, 4)
FEWER_SEEDS = (0, 1, 2)  # of what costs more, or is compared less
PLACES = 1000  # spirals, for `by_place`
EDGES = (100, 200, 300, 500, 700, 801)  # of the groups of `by_place`, in steps from the center
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
def coverage(model: LatentODE, data: Data, q: Posterior | None = None) -> tuple[float, float]:
    """The share of the clean numbers that are within the band of nine of ten draws: at the 100
    points, and beyond.

    q: what to draw z(0) from, None for what the encoder says.
    """
    times = torch.cat([data.spirals.t, data.spirals.later])
    q = model.encode(*data.batch) if q is None else q
    low, high = model.paths_from(q, times, DRAWS).quantile(torch.tensor([0.05, 0.95]), dim=0)
    inside = ((low < data.spirals.clean) & (data.spirals.clean < high)).double()
    points = len(data.spirals.t)
    return float(inside[:, :points].mean()), float(inside[:, points:].mean())


@torch.no_grad()
def refined(model: LatentODE, data: Data) -> dict[str, float]:
    """The errors and the coverage of `judge`, with q refined for each series; and the bound that
    is gained, in nats per series.
    """
    spirals = data.spirals
    batch = (*data.batch, data.places)
    q = refine(model, batch, spirals.t)
    first = model.encode(*data.batch)
    gain = _bound(model, q, batch, spirals.t) - _bound(model, first, batch, spirals.t)
    points = len(spirals.t)
    square = (model.decode(q.mean, torch.cat([spirals.t, spirals.later])) - spirals.clean).square()
    covers, beyond = coverage(model, data, q)
    return {
        "within, refined": square[:, :points].mean().sqrt().item(),
        "beyond, refined": square[:, points:].mean().sqrt().item(),
        "covers, refined": covers,
        "covers beyond, refined": beyond,
        "gain": gain,
    }


def _bound(model: LatentODE, q: Posterior, batch: tuple, grid: Tensor) -> float:
    """The mean ELBO of the series, from ten draws of z(0) each."""
    draws = [-minus_bound(model, q, batch, grid).mean() for _ in range(10)]
    return torch.stack(draws).mean().item()


def by_place(model: Model, inward: bool) -> list[float]:
    """The root mean square error beyond, for pieces in groups between two EDGES: by the number of
    steps from the center to the inner end, where an outward piece begins and an inward one ends.
    """
    spirals, batch, _ = thinned(PLACES, COUNTS[0], 20_000, inward)
    after = spirals.clean[:, len(spirals.t) :]
    square = errors(predict(model, batch, spirals.later), after).square()
    return [part.mean().sqrt().item() for part in _by_group(square, spirals, inward)]


def radii_beyond(inward: bool) -> list[float]:
    """The mean radius of the pieces beyond, in the groups of `by_place`."""
    spirals = thinned(PLACES, COUNTS[0], 20_000, inward).spirals
    radii = spirals.clean[:, len(spirals.t) :].norm(dim=2)
    return [part.mean().item() for part in _by_group(radii, spirals, inward)]


def by_radius(inward: bool) -> list[tuple[float, float]]:
    """(mean radius, error beyond) of the groups of `by_place`: the median of the seeds of the
    latent ODE with 30 observations.
    """
    rows = torch.tensor(found("latent ODE", COUNTS[0], "by place", inward))
    return list(zip(radii_beyond(inward), rows.median(0).values.tolist()))


def _by_group(values: Tensor, spirals: Spirals, inward: bool) -> list[Tensor]:
    inner = spirals.clean[:, -1 if inward else 0].norm(dim=1) / RADIUS_PER_STEP
    group = torch.bucketize(inner.round(), torch.tensor(EDGES[1:-1]) - 0.5)
    return [values[group == k] for k in range(len(EDGES) - 1)]


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
    """A name of MODELS, how many of the 100 points of a spiral are observed, and where they run."""

    model: str
    observed: int
    inward: bool = True

    def name(self, seed: int) -> str:
        """The name of its result."""
        where = "" if self.inward else "outward/"
        return f"{where}{self.model}/{self.observed}/{seed}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that it is trained with."""
        many = self.inward and self.observed == COUNTS[0] and self.model != "ODE-RNN"
        return SEEDS if many else FEWER_SEEDS


def judged(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train a model and judge it on other spirals; with its weights if the lesson shows it."""
    (seed,) = seeds
    data = thinned(TRAIN, setting.observed, seed, setting.inward)
    model, history = train(MODELS[setting.model], data, seed)
    test = thinned(TEST, setting.observed, 10_000 + seed, setting.inward)
    numbers = judge(model, test)
    numbers["noise"] = model.log_noise.exp().item()
    numbers["loss"] = sum(history["loss"][-50:]) / 50
    found: dict[str, Any] = {**_rounded(numbers), "seconds": round(history.spent)}
    if setting.observed == COUNTS[0] and isinstance(model, LatentODE):
        found |= _rounded(refined(model, test))
        found["by place"] = [short(value) for value in by_place(model, setting.inward)]
    shown = setting.inward and (setting.observed, seed) == (COUNTS[0], 0)
    return found | (_weights(model) if shown else {})


def judged_encoder(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """A latent ODE with one of ENCODERS, for series with few observations and gaps; judged on
    others alike.
    """
    (seed,) = seeds
    model, _ = train(ENCODERS[name], sparse(TRAIN, seed, VERSIONS), seed)
    assert isinstance(model, LatentODE)
    test = sparse(TEST, 10_000 + seed)
    return {**_rounded(judge(model, test) | refined(model, test)), **_weights(model)}


def judged_frames(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """How q of the explorable's spiral changes under refinement, with one of ENCODERS."""
    model = stored(name)
    assert isinstance(model, LatentODE)
    mean, std = refined_frames(model)
    return {"mean": mean.numpy().astype(np.float16), "std": std.numpy().astype(np.float16)}


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {key: short(value) for key, value in numbers.items()}


def _weights(model: Model) -> dict[str, np.ndarray]:
    state = model.state_dict()
    return {key: value.numpy().astype(np.float16) for key, value in state.items()}


def _runs() -> dict[str, Run]:
    """Name of a result -> run, those first that the lesson cannot do without."""
    few, *more = COUNTS
    first = [Setting(name, few) for name in ("RNN", "latent ODE", "ODE-RNN")]
    rest = [Setting("latent ODE", few, inward=False)]
    rest += [Setting(name, count) for count in more for name in ("RNN", "latent ODE")]
    rest += [Setting("ODE-RNN", count) for count in more]
    order = [(setting, 0) for setting in first]
    others = [(setting, seed) for setting in first + rest for seed in setting.seeds]

    def of(rows: list[tuple[Setting, int]]) -> dict[str, Run]:
        return {setting.name(seed): Run(judged, setting, (seed,)) for setting, seed in rows}

    encoders = {name: Run(judged_encoder, name) for name in ENCODERS}
    frames = {f"{name}/refined": Run(judged_frames, name) for name in ENCODERS}
    return of(order) | encoders | frames | of(others)


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


def found(name: str, count: int, what: str, inward: bool = True) -> list[Any]:
    """What `judged` found of a stored model with `count` observations, of every seed."""
    setting = Setting(name, count, inward)
    return [RUNS.numbers()[setting.name(seed)][what] for seed in setting.seeds]


def stored_q(name: str, number: int, gap: int, frame: int) -> Posterior:
    """q of the explorable's spiral, with one of ENCODERS, after `frame` STRIDEs of refinement."""
    setting = NUMBERS.index(number) * len(GAPS) + GAPS.index(gap)
    mean, std = (
        torch.tensor(RUNS.arrays()[f"{name}/refined/{key}"][frame, setting], dtype=torch.float32)
        for key in ("mean", "std")
    )
    return Posterior(mean[None], std[None])


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
        "PLACES": PLACES,
        "EDGES": EDGES,
        "REFINE_STEPS": refinement.STEPS,
        "REFINE_RATE": refinement.RATE,
    },
    results=_runs(),
    verify=verify,
)
