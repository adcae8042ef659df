"""Lesson 19: the long runs, some ten minutes on one core.

- null: what the measures say of two sets of real data;
- sizes: how many points it takes until a measure sees a fault (`sizes`);
- ruler: what they say of sets of images that were made without a model (`rulers`);
- tried: each family on each board, with two sizes and three rates, one short training each;
- board: with what was best on validation data, trained with every seed, and measured;
- cost: what a sample, a likelihood and an update take, of all families by turns.

`families` has the models, `trainings` the recipe and the prices, `measures` the measures.
"""

import time
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.runs import Check, Run, Runs, middle, short
from ...data.pixels import counts
from ...data.two_samples import Comparison, energy_distance, null_band
from . import rulers, sizes
from .families import (
    CURVE,
    DIGITS,
    FAMILIES,
    GAN_LOSS,
    STEPS,
    Board,
    board,
    drawn,
    evaluations,
    means,
)
from .measures import (
    COMPARED,
    DRAWN,
    HELD_OUT,
    NEIGHBORS,
    VALIDATION,
    backward,
    compared,
    in_plane,
    judged,
    memory,
    on_digits,
    over_evaluations,
    points,
    trial_score,
)
from .trainings import AVERAGE, BATCH, CLIP, HELD_BACK, PRICES, Trained, trained

BOARDS = ("moons", DIGITS)
SECONDS = {"moons": 4.0, DIGITS: 4.0}  # of a training, on a quiet core
TRIAL = {"moons": 0.75, DIGITS: 1.0}
SEEDS = (1, 2, 3)  # the trials have seed 0
SIZES = (0, 1)
SHOWN = 2000  # points that are stored
SPLITS = 20  # of a null band
ROUNDS = 5  # of the measured costs
SCALE = 4096  # stored points are whole multiples of 1 / SCALE


class Setting(NamedTuple):
    """A family of FAMILIES on one of BOARDS."""

    board: str
    family: str


class Choice(NamedTuple):
    """What did best in the trials."""

    size: int
    rate: float


def one(
    setting: Setting, choice: Choice, seed: int, seconds: float, images: Tensor | None = None
) -> Trained:
    """One training."""
    where = board(setting.board)
    if where.density is None and images is None:
        images = counts().images
    price = PRICES[_kind(where)][setting.family][choice.size]
    family = FAMILIES[setting.family]
    return trained(family, where, choice.size, choice.rate, seed, seconds, price, images)


def tried_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The energy distance to validation data after a short training, by size and rate."""
    where = board(setting.board)
    family = FAMILIES[setting.family]
    images, held = (None, None) if where.density else split_off()

    def trial(size: int, rate: float) -> float:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "diverged", RuntimeWarning)
            choice = Choice(size, rate)
            model = one(setting, choice, seeds[0], TRIAL[setting.board], images).model
        return trial_score(family, model, where, held)

    rates = family.rates[where.density is None]
    return {"energy": [[short(trial(size, rate)) for rate in rates] for size in SIZES]}


@lru_cache(maxsize=1)
def split_off() -> tuple[Tensor, Tensor]:
    """Training images for the trials on the digits, and those that judge them."""
    images = counts().images
    return images[HELD_BACK:], images[:HELD_BACK]


def chosen(setting: Setting) -> Choice:
    """Size and rate of the least energy distance in the trials."""
    energy = np.array(table()[name_of("tried", setting)]["energy"])
    row, column = np.unravel_index(energy.argmin(), energy.shape)
    rates = FAMILIES[setting.family].rates[setting.board == DIGITS]
    return Choice(int(row), rates[column])


def board_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train with what was best, with each seed; the measures by seed, the middle one's samples."""
    where = board(setting.board)
    family = FAMILIES[setting.family]
    choice = chosen(setting)
    rows: list[dict[str, float]] = []
    curves: list[dict[str, list[float]]] = []
    kept: list[dict[str, np.ndarray]] = []
    others: list[dict[str, float]] = []
    for seed in seeds:
        found = one(setting, choice, seed, SECONDS[setting.board])
        model = found.model
        bytes_kept = memory(family, model, where, _some(where))
        made = drawn(family, model, where, STORED[where.density is not None], seed)
        if where.density is None:
            row = on_digits(family, model, where, made)
        else:
            row = in_plane(family, model, where, seed)
        row |= {"updates": found.updates, "nfe of update": found.nfe}
        arrays = {"samples": as_stored(where, made)}
        if family.steps:
            curves.append(over_evaluations(family, model, where, seed))
        if setting.family == "VAE" and where.density is None:
            shown = drawn(family._replace(draw=means), model, where, len(made), seed)
            others.append(judged(shown))
            arrays["means"] = as_stored(where, shown)
        rows.append(row)
        kept.append(arrays)
    place = middle([row["energy"] for row in rows])
    return {
        "size": choice.size,
        "rate": choice.rate,
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": bytes_kept,
        "middle": place,
        **_by_key(rows),
        **({"over evaluations": _stacked(curves)} if curves else {}),
        **({"of means": _by_key(others)} if others else {}),
        **kept[place],
    }


def null_job(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """What the measures say of two sets of real data: mean and standard deviation."""
    where = board(name)
    chance = torch.Generator().manual_seed(seeds[0])
    if where.density is None:
        split = counts()
        x = torch.cat([split.images, split.test_images])
        n = len(split.test_images)
    else:
        x = points(where, 10 * COMPARED, 95)
        n = COMPARED
    rows = null_band(lambda a, b: [*compared(a, b).values()], x, n, SPLITS, chance)
    columns = dict(zip((*Comparison._fields, "sliced"), rows.T))
    if where.density is not None:
        back = [backward(where, points(where, DRAWN, 200 + k)).value for k in range(SPLITS)]
        columns["reverse kl"] = torch.tensor(back, dtype=torch.float64)
    return {
        key: {"mean": short(column.mean()), "std": short(column.std())}
        for key, column in columns.items()
    }


def ruler_job(setting: tuple[str, ...], seeds: tuple[int, ...]) -> dict[str, Any]:
    """The measures of sets that were made without a model, by seed."""
    return {
        name: _by_key([judged(rulers.RULERS[name](seed)) for seed in seeds]) for name in setting
    }


def size_job(fault: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """What four measures say of a fault, by the number of points, and its exact KL(q || p); see
    `sizes`.
    """
    return {**sizes.measured(fault, sizes.NUMBERS), "gap": short(sizes.exact_gap(fault))}


def cost_job(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Milliseconds of the processor for a sample, a likelihood and an evaluation, of all families
    by turns.

    Of untrained models of the size that was chosen. Where a solver decides how often the net is
    called, the trained model may need more calls: `milliseconds` counts them.
    """
    where = board(name)
    models = {}
    for family_name, family in FAMILIES.items():
        torch.manual_seed(seeds[0])
        models[family_name] = family.make(where, chosen(Setting(name, family_name)).size).eval()
    x = _some(where)
    spent: dict[str, dict[str, list[float]]] = {key: {} for key in FAMILIES}
    for _ in range(ROUNDS):
        for key, model in models.items():
            for what, milliseconds in _one_round(key, model, where, x).items():
                spent[key].setdefault(what, []).append(milliseconds)
    found: dict[str, Any] = {}
    for key, columns in spent.items():
        found[key] = {what: short(np.median(values)) for what, values in columns.items()}
    return found


def _one_round(name: str, model: Any, where: Board, x: Tensor) -> dict[str, float]:
    """Milliseconds for a sample, for a likelihood, and of each evaluation in a likelihood."""
    family = FAMILIES[name]
    n = len(x)
    begun = time.thread_time()
    drawn(family, model, where, n, 0, STEPS if family.steps and name != "CNF" else None)
    found = {"sample": 1000 * (time.thread_time() - begun) / n}
    found["nfe of sample"] = float(evaluations(model))
    if family.log_prob is not None:
        begun = time.thread_time()
        with torch.no_grad():
            family.log_prob(model, where, x)
        found["likelihood"] = 1000 * (time.thread_time() - begun) / n
        found["nfe of likelihood"] = float(evaluations(model))
    return found


def _some(where: Board) -> Tensor:
    """A batch of data."""
    n = BATCH[where.density is not None]
    return counts().test_images[:n] if where.density is None else points(where, n, 97).float()


STORED = {True: SHOWN, False: 450}


def as_stored(where: Board, x: Tensor) -> np.ndarray:
    """Samples as whole numbers: dots as bytes, points in units of 1 / SCALE."""
    if where.density is None:
        return x[:, 0].numpy().astype(np.uint8)
    return (SCALE * x).round().clamp(-32768, 32767).numpy().astype(np.int16)


def samples(name: str, family: str, key: str = "samples") -> Tensor:
    """The stored samples of the seed in the middle: points (SHOWN, 2), or dots (450, 1, 8, 8)."""
    values = torch.from_numpy(arrays()[f"board/{name}/{family}/{key}"].astype(np.float64))
    return values[:, None].float() if name == DIGITS else values / SCALE


def _kind(where: Board) -> str:
    return DIGITS if where.density is None else "plane"


def _by_key(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    return {key: [short(row[key]) for row in rows] for key in rows[0]}


def _stacked(curves: list[dict[str, list[float]]]) -> dict[str, Any]:
    """nfe, and of each measure a row for each seed."""
    found: dict[str, Any] = {"nfe": curves[0]["nfe"]}
    for key in curves[0].keys() - {"nfe"}:
        found[key] = [[short(value) for value in curve[key]] for curve in curves]
    return found


def name_of(kind: str, setting: Setting) -> str:
    """Of a result."""
    return f"{kind}/{setting.board}/{setting.family}"


def verify() -> Iterator[Check]:
    """The stored samples measured again."""
    for family in FAMILIES:
        row = table()[f"board/{DIGITS}/{family}"]
        found = judged(samples(DIGITS, family))
        for key in ("energy", "neighbors", "precision", "recall"):
            stored = row[key][row["middle"]]
            yield Check(f"digits, {family}: {key}", found[key], stored, 0.01)
        row = table()[f"board/moons/{family}"]
        made = samples("moons", family)
        energy = float(energy_distance(points(board("moons"), SHOWN, 99), made))
        yield Check(f"moons, {family}: energy", energy, row["energy"][row["middle"]], 0.008)


def _results() -> dict[str, Run]:
    settings = [Setting(name, family) for name in BOARDS for family in FAMILIES]
    found = {f"null/{name}": Run(null_job, name) for name in BOARDS}
    found |= {f"sizes/{fault}": Run(size_job, fault) for fault in sizes.FAULTS}
    found["ruler"] = Run(ruler_job, tuple(rulers.RULERS), (0, 1, 2, 3, 4))
    for setting in settings:
        found[name_of("tried", setting)] = Run(tried_job, setting)
        found[name_of("board", setting)] = Run(board_job, setting, SEEDS)
    for name in BOARDS:
        found[f"cost/{name}"] = Run(cost_job, name)
    return found


def table() -> dict[str, dict[str, Any]]:
    """The stored numbers: name of a result -> {name: value}."""
    return RUNS.numbers()


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a result/name"."""
    return RUNS.arrays()


RUNS = Runs(
    "scoreboard",
    protocol={
        "SECONDS": SECONDS,
        "TRIAL": TRIAL,
        "PRICES": PRICES,
        "BATCH": {"plane": BATCH[True], DIGITS: BATCH[False]},
        "CLIP": CLIP,
        "AVERAGE": AVERAGE,
        "HELD_BACK": HELD_BACK,
        "RATES": {name: family.rates for name, family in FAMILIES.items()},
        "BETAS": {name: family.betas for name, family in FAMILIES.items()},
        "GAN_LOSS": GAN_LOSS,
        "STEPS": STEPS,
        "CURVE": CURVE,
        "DRAWN": DRAWN,
        "HELD_OUT": HELD_OUT,
        "COMPARED": COMPARED,
        "NEIGHBORS": NEIGHBORS,
        "VALIDATION": VALIDATION,
    },
    results=_results(),
    verify=verify,
)
