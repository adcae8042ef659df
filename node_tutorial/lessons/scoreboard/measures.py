"""Lesson 19: what is measured of a trained model, with all measures the same for all families."""

import math
from typing import Any

import torch
from torch import Tensor

from ...data.densities import kl_gap
from ...data.divergences import Estimate, reverse_kl
from ...data.pixels import SIDE, STD, counts
from ...data.two_samples import compare, energy_distance, nearest, sliced_wasserstein
from ...gradients.memory import bytes_kept
from ...models.diffusion import bits_per_dimension
from .families import Board, Family, drawn, evaluations

DRAWN = 10_000  # draws for KL(q || p)
HELD_OUT = 4000  # points for KL(p || q)
COMPARED = 4000  # of each set, for energy distance and sliced Wasserstein
NEIGHBORS = 2000  # of each set, for what looks at neighbors
VALIDATION = 450  # draws by which a trial on the digits is judged, COMPARED in the plane


def compared(real: Tensor, made: Tensor) -> dict[str, float]:
    """What `two_samples.compare` measures of two sets, neighbors of NEIGHBORS points of each at
    most, and the sliced Wasserstein distance.
    """
    chance = torch.Generator().manual_seed(0)
    sliced = float(sliced_wasserstein(real, made, generator=chance))
    return compare(real, made, NEIGHBORS)._asdict() | {"sliced": sliced}


def points(board: Board, n: int, seed: int) -> Tensor:
    """Points of a density that no training sees, in float64. Seed 99 is for measures, 98 for
    trials, 96 for the bias of KL(q || p).
    """
    assert board.density is not None
    return board.density.sample(n, torch.Generator().manual_seed(seed)).double()


def in_plane(family: Family, model: Any, board: Board, seed: int) -> dict[str, float]:
    """The measures of a model in the plane, which it turns into float64."""
    assert board.density is not None
    model = model.double()
    found: dict[str, float] = {}
    if family.log_prob is not None:
        log_prob = family.log_prob
        x = points(board, HELD_OUT, 99)
        gap = kl_gap(board.density, lambda part: log_prob(model, board, part), x, batch=2000)
        found["kl"] = gap.kl
        found["kl error"] = gap.standard_error
        found["nfe of density"] = evaluations(model)
    made = drawn(family, model, board, DRAWN, seed).double()
    found["nfe"] = evaluations(model)
    back = backward(board, made)
    found["reverse kl"] = back.value
    found["reverse error"] = back.standard_error
    return found | compared(points(board, COMPARED, 99), made[:COMPARED])


def backward(board: Board, made: Tensor) -> Estimate:
    """KL(q || p) of draws (DRAWN, 2)."""
    assert board.density is not None
    return reverse_kl(board.density.log_prob, made, points(board, len(made), 96))


def judged(images: Tensor) -> dict[str, float]:
    """Of 450 images of dots (450, 1, 8, 8), which need not be whole, against the test images; and
    their median distance to the next training image.
    """
    split = counts()
    away = float(nearest(images, split.images).median())
    return compared(split.test_images, images) | {"nearest": away}


def on_digits(family: Family, model: Any, board: Board, made: Tensor) -> dict[str, float]:
    """The measures of a model of the digits, which made 450 images last."""
    images = counts().test_images
    found = judged(made) | {"nfe": evaluations(model)}
    if family.log_prob is not None:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of the noise on the dots, and of the probes of a trace
            log_prob = family.log_prob(model, board, images)
        found["bits"] = float(bits(board, family, log_prob).mean())
        found["nfe of density"] = evaluations(model)
    return found


def bits(board: Board, family: Family, log_prob: Tensor) -> Tensor:
    """Bits for a pixel (B,), from nats for an image: exact for whole numbers, else a bound."""
    level = 1.0 if family.whole else 1 / STD
    return bits_per_dimension(log_prob, SIDE * SIDE, level)


def over_evaluations(family: Family, model: Any, board: Board, seed: int) -> dict[str, list[float]]:
    """Energy distance, in the plane also KL(q || p), with few evaluations of the net and with
    many.
    """
    columns: dict[str, list[float]] = {"nfe": list(family.steps)}
    for steps in family.steps:
        if board.density is None:
            real = counts().test_images
            made = drawn(family, model, board, len(real), seed, steps)
        else:
            real = points(board, COMPARED, 99)
            made = drawn(family, model, board, DRAWN, seed, steps).double()
            columns.setdefault("reverse kl", []).append(backward(board, made).value)
        columns.setdefault("energy", []).append(float(energy_distance(real, made[:COMPARED])))
    return columns


def trial_score(family: Family, model: Any, board: Board, held: Tensor | None) -> float:
    """The one rule by which sizes and rates are chosen: the energy distance to validation data.

    held: images of the digits that the trial was not trained on.
    """
    if held is None:
        real = points(board, COMPARED, 98)
        made = drawn(family, model, board, COMPARED, 0)
    else:
        real = held
        made = drawn(family, model, board, VALIDATION, 0)
    if not made.isfinite().all():
        return math.inf
    return float(energy_distance(real, made))


def memory(family: Family, model: Any, board: Board, x: Tensor) -> int:
    """Bytes that an update on the data x keeps for its way back, besides the parameters."""
    with bytes_kept(exclude=[*model.parameters(), x]) as kept:
        family.loss(model, board, x)
    return kept.bytes
