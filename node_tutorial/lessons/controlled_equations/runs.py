"""Lesson 24: the long runs, about six minutes on one core.

Readers of paths: for each kind of net the rate and the number of updates are chosen on series of
their own, on loops with 30 percent dropped; with what was best, three seeds for both tasks and all
shares that are dropped. And the two stochastic fits, three seeds each.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import Check, Run, Runs, middle, short
from . import noisy_fits
from .noisy_fits import (
    SERIES,
    Ball,
    Guided,
    best_sigmas,
    blurred,
    bound,
    evidence,
    fit_ball,
    fit_guided,
    wells,
)
from .readers import (
    BATCH,
    CLIP,
    DROPPED,
    NOISE,
    POINTS,
    RATES,
    READERS,
    STEPS,
    TASKS,
    TEST,
    TRAIN,
    accuracy,
    polygon,
    series,
    train,
)

SEEDS = (0, 1, 2)
BALLS = ("by distance", "by likelihood")
GUIDES = {"kl": True, "no kl": False}
PATHS = 1000  # of a ball, to judge it
JUDGED = 10_000  # seed of the series that judge; those that tune have the next one
DENSE = 2 * POINTS
PAPER = {  # Kidger et al. 2020, Table 1: percent right on CharacterTrajectories
    "dropped": (30, 50, 70),
    "neural CDE": (98.7, 98.8, 98.6),
}


Model = TypeVar("Model", bound=nn.Module)


class Reader(NamedTuple):
    """What is trained on what."""

    kind: str
    task: str
    dropped: float


def tuned(kind: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The rate and the number of updates with the most series right, of those that are tried."""
    judges = series("loops", TEST, 30, JUDGED + 1)
    found = {}
    for steps in STEPS:
        for rate in RATES:
            net = train(kind, "loops", 30, rate, steps, seeds[0] + 100)
            found[rate, steps] = accuracy(net, judges)
    rate, steps = max(found, key=lambda tried: found[tried])
    return {"rate": rate, "steps": steps, "tried": [short(right) for right in found.values()]}


def read(settings: Reader, seeds: tuple[int, ...]) -> dict[str, Any]:
    """For each seed the share of series that are right: as dropped in training, at the other
    shares, and where twice as many points were observed; milliseconds of an update.
    """
    kind, task, dropped = settings
    best = RUNS.numbers()[f"tuned/{kind}"]
    right: dict[str, list[float]] = {}
    milliseconds = []
    for seed in seeds:
        begun = time.process_time()
        net = train(kind, task, dropped, best["rate"], best["steps"], seed)
        milliseconds.append(short((time.process_time() - begun) / best["steps"] * 1000))
        for other in DROPPED:
            tests = series(task, TEST, other, JUDGED)
            right.setdefault(str(other), []).append(short(accuracy(net, tests)))
        dense = series(task, TEST, 0, JUDGED, DENSE)
        right.setdefault("dense", []).append(short(accuracy(net, dense)))
    return {
        "right": right,
        "milliseconds": milliseconds,
        "parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
    }


def polygons(task: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """What the polygon of the observed points says."""
    return {
        str(dropped): short(polygon(series(task, TEST, dropped, JUDGED))) for dropped in DROPPED
    }


def polygon_of_loops(dropped: float, points: int = POINTS) -> float:
    """The same, of loops, also where more points were observed than in any training."""
    return polygon(series("loops", TEST, dropped, JUDGED, points))


@torch.no_grad()
def drawn(ball: Ball, n: int, seed: int) -> Tensor:
    """n paths (T, n) of a ball."""
    return ball.paths(n, torch.Generator().manual_seed(seed))[..., 0]


def _parameters(model: nn.Module) -> np.ndarray:
    return parameters_to_vector(model.parameters()).detach().numpy()


def balls(by: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Sigma over the updates, and the mean distance from 0 at the end, of each seed; the parameters
    of the middle one.
    """
    tracks, ends, parameters = [], [], []
    for seed in seeds:
        ball, sigmas = fit_ball(by, seed)
        tracks.append(sigmas)
        ends.append(short(drawn(ball, PATHS, seed).abs()[-1].mean()))
        parameters.append(_parameters(ball))
    return {
        "sigma": [short(track[-1]) for track in tracks],
        "end": ends,
        "track": np.array(tracks, dtype=np.float32)[:, ::4],
        "parameters": parameters[middle(ends)],
    }


def guides(kl: bool, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Of each seed sigma, the most likely one, and that of the highest bound; the bound and the log
    evidence at sigma; the parameters of the middle one.
    """
    tracks, best, bounds, evidences, parameters = [], [], [], [], []
    highest = []
    for seed in seeds:
        guided, data, sigmas = fit_guided(kl, seed)
        tracks.append(sigmas)
        most_likely, of_bound = best_sigmas(data)
        best.append(short(most_likely))
        highest.append(short(of_bound))
        bounds.append(short(bound(guided, data, JUDGED + seed)))
        parameters.append(_parameters(guided))
        evidences.append(short(evidence(data, guided.log_sigma.exp().detach()).mean()))
    return {
        "sigma": [short(track[-1]) for track in tracks],
        "most likely": best,
        "of the highest bound": highest,
        "bound": bounds,
        "evidence": evidences,
        "track": np.array(tracks, dtype=np.float32)[:, ::4],
        "parameters": parameters[middle(bounds)],
    }


def stored_ball(by: str) -> Ball:
    """The ball of the middle seed, as it was fitted."""
    return _with_parameters(Ball(), f"ball/{by}")


def verify() -> Iterator[Check]:
    """The stored ball draws the same paths again, and the stored guides have the same bound."""
    for by in BALLS:
        ends = RUNS.numbers()[f"ball/{by}"]["end"]
        seed = SEEDS[middle(ends)]
        again = short(drawn(stored_ball(by), PATHS, seed).abs()[-1].mean())
        yield Check(f"ball/{by}: end", again, ends[middle(ends)], 1e-3)
    for name in GUIDES:
        bounds = RUNS.numbers()[f"guided/{name}"]["bound"]
        seed = SEEDS[middle(bounds)]
        data = blurred(SERIES, seed)
        guided = _with_parameters(Guided(data.y.shape[1]), f"guided/{name}")
        again = short(bound(guided, data, JUDGED + seed))
        yield Check(f"guided/{name}: bound", again, bounds[middle(bounds)], 1e-2)


def _with_parameters(model: Model, name: str) -> Model:
    parameters = torch.from_numpy(RUNS.arrays()[f"{name}/parameters"])
    vector_to_parameters(parameters, model.parameters())
    return model.requires_grad_(False)


def spread(values: list[float], digits: int = 3) -> str:
    """ "0.950 to 0.962": the range of the seeds."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def true_end() -> tuple[float, float]:
    """Of 4000 true paths at the end: the mean distance from 0, and the share within 0.2 of 0."""
    end = wells(4000, JUDGED)[-1].abs()
    return float(end.mean()), float((end < 0.2).double().mean())


def sigma_shares(name: str, of: str = "most likely") -> list[float]:
    """The learned noise of the latent path over the most likely one, of each seed; or over that "of
    the highest bound".
    """
    found = RUNS.numbers()[f"guided/{name}"]
    return [sigma / best for sigma, best in zip(found["sigma"], found[of])]


def gaps(name: str) -> list[float]:
    """How far the bound is below log p(y) at the same noise, in nats for a series, of each seed."""
    found = RUNS.numbers()[f"guided/{name}"]
    return [best - bound for bound, best in zip(found["bound"], found["evidence"])]


RUNS = Runs(
    "controlled_equations",
    protocol={
        "POINTS": POINTS,
        "NOISE": NOISE,
        "TRAIN": TRAIN,
        "TEST": TEST,
        "BATCH": BATCH,
        "CLIP": CLIP,
        "RATES": RATES,
        "STEPS": STEPS,
        "WELL": (noisy_fits.PATHS, noisy_fits.WELL_STEPS, noisy_fits.WELL_NOISE),
        "UPDATES": (noisy_fits.WELL_UPDATES, noisy_fits.LATENT_UPDATES),
        "LATENT": (noisy_fits.SERIES, noisy_fits.SIGMA, noisy_fits.BLUR, noisy_fits.SEEN),
        "LATENT_RATE": noisy_fits.LATENT_RATE,
    },
    results={
        **{f"ball/{by}": Run(balls, by, SEEDS) for by in BALLS},
        **{f"guided/{name}": Run(guides, kl, SEEDS) for name, kl in GUIDES.items()},
        **{f"tuned/{kind}": Run(tuned, kind) for kind in READERS},
        **{f"polygon/{task}": Run(polygons, task) for task in TASKS},
        **{
            f"{task}/{kind}/{dropped}": Run(read, Reader(kind, task, dropped), SEEDS)
            for task in TASKS
            for kind in READERS
            for dropped in DROPPED
        },
    },
    verify=verify,
)
