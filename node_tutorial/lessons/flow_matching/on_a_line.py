"""Lesson 17: noise and data on a line, where the flow, its cost and the best pairs are known."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data.mixtures import GaussianMixture, gaussian_mixture
from ...models import MarginalVelocity

f64 = torch.float64
MIXTURE = torch.tensor([[0.3, 0.7], [-1.0, 1.5], [0.2, 0.4]], dtype=f64)  # weights, means, stds
GAUSSIAN = torch.tensor([[1.0], [3.0], [0.5]], dtype=f64)
TARGETS = {"two islands": MIXTURE, "one Gaussian": GAUSSIAN}

WIDE = 4.5  # standard deviations of the noise in the tables
CELLS = 4001
DRAWN = 2**15  # pairs from which the velocity of a coupling is estimated
BINS = 128
MOMENTS = 33  # times of the flow


def target(name: str) -> GaussianMixture:
    """One of TARGETS."""
    return gaussian_mixture(*TARGETS[name])


@lru_cache(maxsize=4)
def velocity(name: str) -> MarginalVelocity:
    """The exact field, noise and data paired at random."""
    return MarginalVelocity(target(name))


class Table(NamedTuple):
    """The monotone map, noise z (CELLS,) to data x (CELLS,): the best pairs on a line."""

    z: np.ndarray
    x: np.ndarray


@lru_cache(maxsize=4)
def best_pairs(name: str) -> Table:
    """F(x) = Phi(z), read from a fine table of the target's F."""
    z = np.linspace(-WIDE, WIDE, CELLS)
    p = target(name)
    means, stds = p.means[:, 0], p.variances[:, 0].sqrt()
    ends = float((means - 6 * stds).min()), float((means + 6 * stds).max())
    x = torch.linspace(*ends, 20 * CELLS, dtype=f64)
    # Both tails by their smaller side: F and 1 - F lose their digits at the other end.
    score = (x[:, None] - means) / stds
    low = (p.weights * torch.special.ndtr(score)).sum(1)
    high = (p.weights * torch.special.ndtr(-score)).sum(1)
    at = torch.where(low < 0.5, torch.special.ndtri(low), -torch.special.ndtri(high))
    return Table(z, np.interp(z, at.numpy(), x.numpy()))


def straight_velocity(name: str, t: float, x: np.ndarray) -> np.ndarray:
    """The field of the best pairs: at x_t = (1 - t) z + t T(z), the velocity T(z) - z."""
    z, ends = best_pairs(name)
    return np.interp(x, (1 - t) * z + t * ends, ends - z)


class Drawn(NamedTuple):
    """Pairs (N,), matched by rank within batches, in the order in which they were drawn."""

    x0: np.ndarray
    x1: np.ndarray


def draw_pairs(name: str, batch: int, n: int, seed: int = 0) -> Drawn:
    """n pairs of noise and data; n is a multiple of the batch, 1 leaves them independent."""
    chance = torch.Generator().manual_seed(seed)
    x0 = torch.randn(n, generator=chance, dtype=f64)
    x1 = target(name).sample(n, chance)[:, 0].double()
    if batch > 1:
        groups = x1.reshape(-1, batch).sort(1).values
        rank = x0.reshape(-1, batch).argsort(1).argsort(1)
        x1 = groups.gather(1, rank).reshape(-1)
    return Drawn(x0.numpy(), x1.numpy())


def crossings(pairs: Drawn) -> int:
    """How many of the lines from x0 to x1 cross each other."""
    a = pairs.x0[:, None] - pairs.x0
    b = pairs.x1[:, None] - pairs.x1
    return int((a * b < 0).sum()) // 2


@lru_cache(maxsize=32)
def crossing_chance(name: str, batch: int) -> float:
    """With which chance two lines cross, of many that are matched within batches."""
    lines = draw_pairs(name, batch, 1024, seed=3)
    return crossings(lines) / (1024 * 1023 / 2)


class Flow(NamedTuple):
    """The flow of a coupling.

    times (T,), paths (T, P) from the quantiles of the noise. cost: the mean of |x1 - x0|^2 over the
    pairs; energy: the mean of |u|^2 along the flow; their difference is the floor of the loss.
    """

    times: np.ndarray
    paths: np.ndarray
    cost: float
    energy: float

    @property
    def floor(self) -> float:
        return self.cost - self.energy


@lru_cache(maxsize=32)
def flow(name: str, batch: int, starts: int = 25) -> Flow:
    """The flow of pairs that are matched within batches.

    Its field is the mean velocity of many pairs in bins of x_t with as many points each: by what
    the regression does, without a net. Each step goes along the mean of both ends' velocities
    (Heun).
    """
    pairs = draw_pairs(name, batch, DRAWN, seed=1)
    speed = pairs.x1 - pairs.x0
    times = np.linspace(0, 1, MOMENTS)
    fields = [_binned((1 - t) * pairs.x0 + t * pairs.x1, speed) for t in times]
    share = (torch.arange(starts, dtype=f64) + 0.5) / starts
    paths = [torch.special.ndtri(share).numpy()]
    for here, there, h in zip(fields, fields[1:], np.diff(times)):
        x = paths[-1]
        first = np.interp(x, *here)
        paths.append(x + h * (first + np.interp(x + h * first, *there)) / 2)
    energies = [np.mean(means**2) for _, means in fields]
    weights = np.full(MOMENTS, 1.0)
    weights[[0, -1]] = 0.5
    energy = float(np.dot(weights, energies) / weights.sum())
    return Flow(times, np.array(paths), float(np.mean(speed**2)), energy)


def _binned(x: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean place and the mean speed in each of BINS bins."""
    order = x.argsort()
    return x[order].reshape(BINS, -1).mean(1), speed[order].reshape(BINS, -1).mean(1)


def density(name: str, t: float, x: np.ndarray) -> np.ndarray:
    """p_t(x) of independent pairs (N,)."""
    p = target(name).noised(t, 1 - t)
    return p.log_prob(torch.from_numpy(x)[:, None]).exp().numpy()


def at(t: float, pairs: Drawn) -> np.ndarray:
    """x_t of pairs."""
    return (1 - t) * pairs.x0 + t * pairs.x1


def tensor(values: np.ndarray) -> Tensor:
    """(N,) as points on a line (N, 1)."""
    return torch.from_numpy(values)[:, None]
