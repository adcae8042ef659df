"""Lesson 24: nets that read a path, observed at times of its own, and say which way round it goes.

Two tasks: spirals, which turn one way all the time, and loops, random smooth paths that turn both
ways; what counts is the area. A neural CDE, a GRU, a GRU that also gets the differences, and an
ODE-RNN of about the same size, on the same series, tuned alike. What one can do without a net: add
up the area of the polygon that was observed.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ...models import ODERNN
from ...models.control_paths import levy_area, linear, with_time
from ...models.controlled import NeuralCDE
from ...training import Minibatches, cosine, fit

POINTS = 40  # of a whole series, at equal distances from time 0 to 1
WAVES = 3  # in each coordinate of a path
NOISE = 0.05
TRAIN = 1000
TEST = 2000
DROPPED = (0, 30, 70)  # percent
STEPS = (125, 250, 500)
RATES = (0.01, 0.03, 0.1)
BATCH = 100
CLIP = 1.0


class Series(NamedTuple):
    """Paths in the plane at the times when they were observed: t (B, T), x (B, T, 2), and label
    (B,), 1 where the path runs around more area counterclockwise than clockwise.
    """

    t: Tensor
    x: Tensor
    label: Tensor


def series(task: str, n: int, dropped: float, seed: int, points: int = POINTS) -> Series:
    """Paths of a task, observed with noise at times drawn from `points` equally distant ones: all
    but `dropped` percent of them.
    """
    chance = torch.Generator().manual_seed(seed)
    sizes = torch.randn(n, 2, 2, WAVES, generator=chance)
    curve = TASKS[task]
    fine = curve(sizes, torch.linspace(0, 1, 401).expand(n, -1))
    label = (levy_area(fine) > 0).float()
    kept = points - round(points * dropped / 100)
    order = torch.rand(n, points, generator=chance).argsort(1)[:, :kept].sort(1).values
    t = order / (points - 1)
    x = curve(sizes, t)
    return Series(t, x + NOISE * torch.randn(x.shape, generator=chance), label)


def _loops(sizes: Tensor, t: Tensor) -> Tensor:
    """Paths (B, T, 2) at times (B, T), of each coordinate three waves of random size and phase:
    less than a whole period, so they are not closed.
    """
    k = torch.arange(1, WAVES + 1)
    angle = 0.8 * 2 * math.pi * t[..., None] * k
    waves = torch.stack([angle.cos(), angle.sin()], 2)  # (B, T, 2, WAVES)
    return torch.einsum("bdpk,btpk->btd", sizes / k, waves)


def _spirals(sizes: Tensor, t: Tensor) -> Tensor:
    """Paths (B, T, 2) from radius 0.5 to 1.5, one turn and a half, from any angle, either way."""
    way = sizes[:, :1, 0, 0].sign()
    angle = sizes[:, 1:, 0, 0] * 10 + 3 * math.pi * way * t
    return (0.5 + t)[..., None] * torch.stack([angle.cos(), angle.sin()], -1)


TASKS = {"spirals": _spirals, "loops": _loops}


class CDEReader(nn.Module):
    """A neural CDE along the observations, with the time as a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.net = NeuralCDE(3, 8, 1, width=24)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.net(linear(with_time(t, x)))[:, 0]


class GRUReader(nn.Module):
    """A GRU that reads the time, the gap before, and the values."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.GRU(4, 16, batch_first=True)
        self.out = nn.Linear(16, 1)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        gap = t.diff(dim=1, prepend=t[:, :1])
        read = torch.cat([t[..., None], gap[..., None], x], -1)
        return self.out(self.net(read)[0][:, -1])[:, 0]


class StepsGRUReader(nn.Module):
    """The same GRU, given also the step from the value before: what drives the CDE."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.GRU(6, 15, batch_first=True)
        self.out = nn.Linear(15, 1)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        gap = t.diff(dim=1, prepend=t[:, :1])
        step = x.diff(dim=1, prepend=x[:, :1])
        read = torch.cat([t[..., None], gap[..., None], x, step], -1)
        return self.out(self.net(read)[0][:, -1])[:, 0]


class ODERNNReader(nn.Module):
    """The ODE-RNN of lesson 12, by one Euler step for each gap."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ODERNN(2, 14, method="euler")
        self.net.output = nn.Identity()
        self.out = nn.Linear(14, 1)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.out(self.net(t, x).state[:, -1])[:, 0]


READERS: dict[str, Callable[[], nn.Module]] = {
    "CDE": CDEReader,
    "GRU": GRUReader,
    "GRU + dX": StepsGRUReader,
    "ODE-RNN": ODERNNReader,
}


def train(kind: str, task: str, dropped: float, rate: float, steps: int, seed: int) -> nn.Module:
    """Train a net with Adam, its rate falling to 0 along a cosine."""
    data = series(task, TRAIN, dropped, seed)
    torch.manual_seed(seed)
    net = READERS[kind]()
    fit(
        net,
        lambda net, batch: binary_cross_entropy_with_logits(net(*batch[:2]), batch[2]),
        steps,
        lr=rate,
        schedule=cosine(steps),
        batches=Minibatches(*data, size=BATCH, seed=seed),
        clip=CLIP,
        progress=False,
    )
    return net


@torch.no_grad()
def accuracy(net: nn.Module, data: Series) -> float:
    """The share of the series whose sense it says."""
    return float(((net(data.t, data.x) > 0) == (data.label > 0)).double().mean())


def polygon(data: Series) -> float:
    """The same for the sign of the area of the polygon that was observed: no net."""
    return float(((levy_area(data.x) > 0) == (data.label > 0)).double().mean())
