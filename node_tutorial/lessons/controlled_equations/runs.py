"""Lesson 24: the long runs, about six minutes on one core.

Readers of paths: for each kind of net the rate and the number of updates are chosen on series of
their own, on loops with 30 percent dropped; with what was best, three seeds for both tasks and all
shares that are dropped. And the two stochastic fits, three seeds each.
"""

import time
from typing import Any, NamedTuple

import numpy as np
import torch

from ...course.runs import Run, Runs, middle, short
from . import noisy_fits
from .noisy_fits import Ball, bound, evidence, fit_ball, fit_guided, most_likely_sigma, wells
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
JUDGED = 10_000  # seed of the series that judge; those that tune have the next one
DENSE = 2 * POINTS
PAPER = {  # Kidger et al. 2020, Table 1: percent right on CharacterTrajectories
    "dropped": (30, 50, 70),
    "neural CDE": (98.7, 98.8, 98.6),
}


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


@torch.no_grad()
def _spread(ball: Ball, seed: int) -> tuple[float, torch.Tensor]:
    paths = ball.paths(1000, torch.Generator().manual_seed(seed + 7))[..., 0]
    return float(paths[-1].abs().mean()), paths[:, :40]


def balls(by: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Sigma over the updates, and the mean distance from 0 at the end, of each seed; paths."""
    tracks, ends, drawn = [], [], []
    for seed in seeds:
        ball, sigmas = fit_ball(by, seed)
        end, paths = _spread(ball, seed)
        tracks.append(sigmas)
        ends.append(short(end))
        drawn.append(paths)
    return {
        "sigma": [short(track[-1]) for track in tracks],
        "end": ends,
        "track": np.array(tracks, dtype=np.float32)[:, ::4],
        "paths": drawn[middle(ends)].numpy().astype(np.float16),
    }


def guides(kl: bool, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Of each seed sigma, the most likely one, the bound and the log evidence at sigma."""
    tracks, best, bounds, evidences = [], [], [], []
    for seed in seeds:
        guided, data, sigmas = fit_guided(kl, seed)
        tracks.append(sigmas)
        best.append(short(most_likely_sigma(data)))
        bounds.append(short(bound(guided, data, seed + 7)))
        evidences.append(short(evidence(data, guided.log_sigma.exp().detach()).mean()))
    return {
        "sigma": [short(track[-1]) for track in tracks],
        "most likely": best,
        "bound": bounds,
        "evidence": evidences,
        "track": np.array(tracks, dtype=np.float32)[:, ::4],
    }


def spread(values: list[float], digits: int = 3) -> str:
    """ "0.950 to 0.962": the range of the seeds."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def true_end() -> tuple[float, float]:
    """Of 4000 true paths at the end: the mean distance from 0, and the share within 0.2 of 0."""
    end = wells(4000, JUDGED)[-1].abs()
    return float(end.mean()), float((end < 0.2).double().mean())


def sigma_shares(name: str) -> list[float]:
    """The learned noise of the latent path over the most likely one, of each seed."""
    found = RUNS.numbers()[f"guided/{name}"]
    return [sigma / best for sigma, best in zip(found["sigma"], found["most likely"])]


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
        **{f"ball/{by}": Run(balls, by, SEEDS) for by in ("by distance", "by likelihood")},
        **{
            f"guided/{name}": Run(guides, kl, SEEDS)
            for name, kl in (("kl", True), ("no kl", False))
        },
        **{f"tuned/{kind}": Run(tuned, kind) for kind in READERS},
        **{f"polygon/{task}": Run(polygons, task) for task in TASKS},
        **{
            f"{task}/{kind}/{dropped}": Run(read, Reader(kind, task, dropped), SEEDS)
            for task in TASKS
            for kind in READERS
            for dropped in DROPPED
        },
    },
)
