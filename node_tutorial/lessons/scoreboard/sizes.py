"""Lesson 19: how many samples it takes until a measure sees what is wrong, in the plane."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...course.runs import short
from ...data.densities import grid, two_moons
from ...data.divergences import reverse_kl
from ...data.two_samples import energy_distance, neighbor_accuracy, sliced_wasserstein

NUMBERS = (100, 300, 1000, 3000)
SPLITS = 12
BLUR = 0.25  # in place of 0.2
STRAYS = 0.01
WIDE = 3.0  # standard deviation of the strays
LESS = 2 / 3  # what is left of one half of the plane

MEASURES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "energy distance": energy_distance,
    "sliced Wasserstein": lambda real, made: sliced_wasserstein(
        real, made, generator=torch.Generator().manual_seed(0)
    ),
    "1-NN accuracy": neighbor_accuracy,
    "KL(q || p)": lambda real, made: reverse_kl(two_moons().log_prob, made, real).value,
}


def _chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def honest(n: int, seed: int) -> Tensor:
    """Points of the moons, float64."""
    return two_moons().sample(n, _chance(seed)).double()


def blurred(n: int, seed: int) -> Tensor:
    """Moons with more noise."""
    return two_moons(BLUR).sample(n, _chance(seed)).double()


def with_strays(n: int, seed: int) -> Tensor:
    """One point in a hundred is from a wide Gaussian."""
    x = honest(n, seed)
    chance = _chance(seed + 1)
    strays = torch.rand(n, generator=chance) < STRAYS
    x[strays] = WIDE * torch.randn(int(strays.sum()), 2, generator=chance).double()
    return x


def lopsided(n: int, seed: int) -> Tensor:
    """Of the right half of the plane every third point is left out: 60 to 40 for 50 to 50."""
    x = honest(2 * n, seed)
    kept = (x[:, 0] < 0) | (torch.rand(2 * n, generator=_chance(seed + 1)) < LESS)
    return x[kept][:n]


FAULTS: dict[str, Callable[[int, int], Tensor]] = {
    "none": honest,
    "blur": blurred,
    "strays": with_strays,
    "lopsided": lopsided,
}


@lru_cache(maxsize=8)
def exact_gap(fault: str) -> float:
    """KL(q || p) of a fault in nats: by the midpoint rule, "lopsided" in closed form."""
    p = two_moons()
    if fault == "lopsided":
        heavy = 1 / (1 + LESS)
        return heavy * math.log(2 * heavy) + (1 - heavy) * math.log(2 * (1 - heavy))
    reach = 6 * WIDE if fault == "strays" else 5.0
    x, area = grid((-reach, reach, -reach, reach), 300)
    log_p = p.log_prob(x)
    log_q = {
        "none": lambda: log_p,
        "blur": lambda: two_moons(BLUR).log_prob(x),
        "strays": lambda: torch.logaddexp(
            log_p + math.log(1 - STRAYS), _wide(x) + math.log(STRAYS)
        ),
    }[fault]()
    return float((log_q.exp() * (log_q - log_p)).sum() * area)


def _wide(x: Tensor) -> Tensor:
    return -x.square().sum(1) / (2 * WIDE**2) - math.log(2 * math.pi * WIDE**2)


def measured(fault: str, numbers: tuple[int, ...]) -> dict[str, Any]:
    """Of each measure, for each number of points: mean and standard deviation over SPLITS."""
    found: dict[str, Any] = {}
    for name, measure in MEASURES.items():
        values = [
            [
                float(measure(honest(n, 1000 + k), FAULTS[fault](n, 5000 + 2 * k)))
                for k in range(SPLITS)
            ]
            for n in numbers
        ]
        found[name] = {
            "mean": [short(np.mean(row)) for row in values],
            "std": [short(np.std(row, ddof=1)) for row in values],
        }
    return found
