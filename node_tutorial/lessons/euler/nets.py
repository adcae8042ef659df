"""Lesson 01: four residual networks, trained at one depth, to be run at others."""

from functools import lru_cache
from typing import NamedTuple

import torch
from sklearn.datasets import make_moons
from torch import Tensor

DEPTH = 16  # blocks of the nets when they are trained
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
LIMIT = 1024  # Euler steps that stand for infinitely many
NETS = {
    "shared by all blocks": "shared",
    "smooth in t": "smooth",
    "free, equal at first": "equal",
    "free, random at first": "random",
}
_SETS = {"shared": 1, "smooth": 2, "equal": DEPTH, "random": DEPTH}  # sets of weights in each net
_HIDDEN = 16
_POINTS = 120


def moons() -> tuple[Tensor, Tensor]:
    """The training points (120, 2), around the origin, and their classes (120,), -1 and 1."""
    x, label = make_moons(_POINTS, noise=0.08, random_state=0)
    center = torch.tensor([0.5, 0.25], dtype=torch.float64)
    return torch.tensor(x) - center, 2.0 * torch.tensor(label) - 1


def weights_at(kind: str, theta: list[Tensor], t: float) -> list[Tensor]:
    """W, b, V of the block at time t, from the tensors (sets, ...) of a net of this kind."""
    if kind == "smooth":
        return [torch.add(p[0], p[1], alpha=t) for p in theta]
    return [p[min(int(len(p) * t + 1e-9), len(p) - 1)] for p in theta]


def features(kind: str, theta: list[Tensor], x: Tensor, depth: int) -> Tensor:
    """The features (depth + 1, B, 2) of points x (B, 2) behind each of `depth` residual blocks.

    A block is x + h V tanh(W x + b), with h = 1 / depth.
    """
    found = [x]
    for k in range(depth):
        W, b, V = weights_at(kind, theta, k / depth)
        hidden = torch.tanh(torch.addmm(b, found[-1], W))
        found.append(torch.addmm(found[-1], hidden, V, alpha=1 / depth))
    return torch.stack(found)


@lru_cache(maxsize=32)
def trained(kind: str, seed: int = 0) -> list[Tensor]:
    """Weights trained at depth 16 to bring the first feature of the moons to -1 and 1: 0.4 s.

    All nets are trained in the same way. The two free ones differ in their start alone: 16 equal
    blocks, or 16 that are drawn one by one.
    """
    random = torch.Generator().manual_seed(seed)
    x, label = moons()
    drawn = 1 if kind == "equal" else _SETS[kind]
    theta = []
    for shape in ((2, _HIDDEN), (_HIDDEN,), (_HIDDEN, 2)):
        start = 4 * torch.rand(drawn, *shape, generator=random, dtype=torch.float64) - 2
        theta.append(start.expand(_SETS[kind], *shape).clone())
    theta[2] /= _HIDDEN**0.5
    with torch.enable_grad():
        for p in theta:
            p.requires_grad_()
        optimizer = torch.optim.Adam(theta, lr=0.03)
        for _ in range(200):
            loss = (features(kind, theta, x, DEPTH)[-1, :, 0] - label).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return [p.detach() for p in theta]


def change_between_blocks(kind: str, seed: int = 0) -> float:
    """How much the field changes from a block to the next, over its size.

    Both are root mean squares over the blocks and over the training points' features there. The
    weights themselves say less: two blocks that differ by the order of their hidden units are the
    same function.
    """
    theta = trained(kind, seed)
    at = features(kind, theta, moons()[0], DEPTH)
    changes = []
    sizes = []
    for k in range(1, DEPTH):
        before, now = (_field(weights_at(kind, theta, j / DEPTH), at[k]) for j in (k - 1, k))
        changes.append((now - before).square().mean())
        sizes.append(now.square().mean())
    return float((torch.stack(changes).sum() / torch.stack(sizes).sum()).sqrt())


def _field(weights: list[Tensor], x: Tensor) -> Tensor:
    W, b, V = weights
    return torch.tanh(torch.addmm(b, x, W)) @ V


def accuracy_of_means(kind: str, depth: int, seed: int = 0) -> float:
    """The share of training points on the right side behind `depth` steps of a trained net, each of
    1 / depth times the mean of the fields of the blocks in its part of the time: as long as the
    steps of `features`, but no block is skipped. depth divides DEPTH.
    """
    y, label = moons()
    theta = trained(kind, seed)
    blocks = DEPTH // depth  # for a step
    for first in range(0, DEPTH, blocks):
        passed = range(first, first + blocks)
        fields = [_field(weights_at(kind, theta, k / DEPTH), y) for k in passed]
        y = y + torch.stack(fields).mean(0) / depth
    return float((y[:, 0] * label > 0).double().mean())


class Evaluation(NamedTuple):
    """A net at one depth: the features (depth + 1, 120, 2) of its training points, the share that
    is on the right side, and the mean distance of the last features from the limit.
    """

    features: Tensor
    accuracy: float
    distance: float


@lru_cache(maxsize=32)
def evaluated(kind: str, seed: int = 0) -> dict[int, Evaluation]:
    """The trained net of this kind at all DEPTHS."""
    x, label = moons()
    theta = trained(kind, seed)
    limit = features(kind, theta, x, LIMIT)[-1]
    found = {}
    for depth in DEPTHS:
        paths = features(kind, theta, x, depth)
        accuracy = float((paths[-1, :, 0] * label > 0).double().mean())
        distance = float((paths[-1] - limit).norm(dim=1).mean())
        found[depth] = Evaluation(paths, accuracy, distance)
    return found
