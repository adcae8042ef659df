"""Spirals that turn clockwise or counter-clockwise, as noisy series, with the paths behind them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .drawing import drawn_on_cpu

TURNS = 3.0  # of a whole spiral


class Spirals(NamedTuple):
    """Pieces of spirals on one grid of times.

    Attributes:
        t: (T,), times of the observations.
        x: (N, T, 2), noisy.
        later: (S,), times beyond.
        clean: (N, T + S, 2), the paths without noise at t and later.
        counterclockwise: (N,), True for that half.
    """

    t: Tensor
    x: Tensor
    later: Tensor
    clean: Tensor
    counterclockwise: Tensor


@drawn_on_cpu
def two_spirals(
    n: int = 1000,
    points: int = 100,
    later: int = 100,
    *,
    noise: float = 0.3,
    total: int = 1000,
    inward: bool = False,
    seed: int = 0,
) -> Spirals:
    """Pieces of the Archimedean spiral r = 0.3 theta and of its mirror image, half each.

    The protocol of Chen et al. 2018, arXiv 1806.07366, section 5.1: 1000 spirals in the plane, half
    of them clockwise, different starting points, 100 equally spaced steps, Gaussian noise; from
    `thin`, 30, 50 or 100 of the 100 points; judged on 100 points beyond. Noise, radius, turns and
    total are those of its authors' example (torchdiffeq, examples/latent_ode.py), since the paper
    does not state them. There, the clockwise spirals are another curve, and each kind has its own
    center; here both have the same one, so that only the motion tells them apart.

    Args:
        n: how many spirals, shuffled.
        points: T, observations of each.
        later: S, steps beyond them.
        noise: standard deviation of the noise on every number of x.
        total: the whole spiral has so many steps, of equal angle; a piece has T + S of them. Time
            is the angle: t is from 0 to 2 pi TURNS (T - 1) / (total - 1).
        inward: run towards the center; by default away from it.
        seed: of a generator of its own.

    Raises:
        ValueError: if the pieces do not fit into the whole, 2 T + S > total (none begins in the
            first T steps, since near the center all look alike).

        >>> spirals = two_spirals(6, points=10, later=5, total=40)
        >>> spirals.x.shape, spirals.clean.shape, int(spirals.counterclockwise.sum())
        (torch.Size([6, 10, 2]), torch.Size([6, 15, 2]), 3)
    """
    if 2 * points + later > total:
        raise ValueError(
            f"total must be at least 2 points + later, {2 * points + later}, got {total}"
        )
    chance = torch.Generator().manual_seed(seed)
    steps = torch.arange(points + later)
    begin = torch.randint(points, total - points - later + 1, (n, 1), generator=chance)
    place = begin + (steps.flip(0) if inward else steps)
    step = 2 * math.pi * TURNS / (total - 1)
    theta = step * place
    # Inward, a growing angle is run through backwards: the mirror image turns the other way.
    counterclockwise = torch.randperm(n, generator=chance) < n // 2
    sign = torch.where(counterclockwise, 1.0, -1.0)[:, None] * (-1 if inward else 1)
    direction = torch.stack([torch.cos(theta), sign * torch.sin(theta)], dim=-1)
    clean = 0.3 * theta[..., None] * direction
    x = clean[:, :points] + noise * torch.randn(n, points, 2, generator=chance)
    t = step * steps.to(torch.get_default_dtype())
    return Spirals(t[:points], x, t[points:], clean, counterclockwise)
