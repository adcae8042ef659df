"""Lesson 07: what is measured of a trained net."""

import copy
import timeit
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from torch.autograd.functional import jvp, vjp
from torch.nn.functional import cross_entropy

from ... import NeuralODE, solve
from ...data.digits import digits
from ...models import ODENet

FIXED = (1, 2, 4, 8, 16, 32)  # steps of the dial
TOLERANCES = [10 ** (-k / 2) for k in range(0, 13)]  # of the dial, 1 to 1e-6, two a decade
METHODS = ("euler", "rk4_classic", "bosh3", "dopri5", "dopri8")  # of the dial


@torch.no_grad()
def solve_with(net: Any, images: Tensor, **solver: Any) -> tuple[Tensor, int]:
    """The scores (B, classes) of an ODE-Net with another solver, and the evaluations it took."""
    block = NeuralODE(net.block.func, **solver)
    x = net.stem(images)
    scores = net.head(block(x, torch.tensor([0.0, 1.0], dtype=x.dtype))[-1])
    return scores, block.stats.nfe


@torch.no_grad()
def pooled(net: Any, features: Tensor) -> Tensor:
    """What the classifier's linear layer sees of features (T, B, C, h, w): means over positions
    (T, B, C).
    """
    return net.head[0](features).mean((-2, -1))


def flat_map(net: Any, features: Tensor) -> Tensor:
    """Two coordinates (T, B, 2) of what the classifier sees: the directions that best separate the
    classes at the end.

    (Linear discriminant analysis of the last `pooled` features, for the test set of fold 0.)
    """
    seen = pooled(net, features)
    fitted = LinearDiscriminantAnalysis(n_components=2).fit(seen[-1].numpy(), test_set()[1].numpy())
    flat = torch.from_numpy(fitted.transform(seen.flatten(0, 1).numpy()))
    return flat.reshape(*seen.shape[:2], 2).float()


def costs(net: Any, images: Tensor, labels: Tensor, tols: list[float]) -> dict[str, list[float]]:
    """An ODE-Net with the adjoint, at tolerances (n,): what Figure 3 shows, from name to values
    (n,).

    "nfe", "backward": evaluations. "seconds": of the forward pass. "distance": root mean square of
    the scores' errors.
    """
    double = copy.deepcopy(net).double()
    exact, _ = solve_with(double, images.double(), method="dopri8", rtol=1e-10, atol=1e-10)
    found: dict[str, list] = {"nfe": [], "backward": [], "seconds": [], "distance": []}
    for tol in tols:
        block = NeuralODE(net.block.func, rtol=tol, atol=tol, gradient="adjoint")
        x = net.stem(images)
        t = torch.tensor([0.0, 1.0])
        with torch.no_grad():
            found["seconds"].append(min(timeit.repeat(partial(block, x, t), number=1, repeat=7)))
        scores = net.head(block(x, t)[-1])
        torch.autograd.grad(cross_entropy(scores, labels), list(net.parameters()))
        found["nfe"].append(block.stats.nfe)
        found["backward"].append(block.stats.nfe_backward)
        found["distance"].append(float((scores.detach() - exact).square().mean().sqrt()))
    return found


class Path(NamedTuple):
    """Means over images: length / displacement, 1 for a straight path; and how far one Euler step
    misses the end, as a share of the displacement.
    """

    bend: float
    missed: float


@torch.no_grad()
def path_of(net: Any, images: Tensor) -> Path:
    """How straight the paths of an ODE-Net's features are, and how even their speed."""
    t = torch.linspace(0, 1, 41, dtype=images.dtype)
    field = net.block.func
    x = solve(field, net.stem(images), t, rtol=1e-6, atol=1e-6).y
    length = x.diff(dim=0).flatten(2).norm(dim=-1).sum(0)
    displacement = (x[-1] - x[0]).flatten(1).norm(dim=-1)
    off = (x[0] + field(t[0], x[0]) - x[-1]).flatten(1).norm(dim=-1)
    return Path(float((length / displacement).mean()), float((off / displacement).mean()))


class Roughness(NamedTuple):
    """Of a field at t = 1: the root mean square of f, and the largest singular value of df/dx."""

    speed: float
    jacobian: float


def roughness(net: Any, images: Tensor, rounds: int = 20) -> Roughness:
    """How fast the flow of an ODE-Net is where it ends, and how much f changes from x to x there.

    In double precision. The singular value is a mean over images (B, ...), by power iteration with
    df/dx and its transpose: a lower bound, close after a few rounds.
    """
    double = copy.deepcopy(net).double()
    end = torch.tensor(1.0, dtype=torch.float64)
    with torch.no_grad():
        x = double.features(images.double(), torch.tensor([0.0, 1.0], dtype=torch.float64))[-1]
    return Roughness(*_roughness(partial(double.block.func, end), x, rounds))


def _roughness(f: Callable[[Tensor], Tensor], x: Tensor, rounds: int) -> tuple[float, float]:
    """The root mean square of f (B, ...) at x (B, ...), and the largest singular value of df/dx,
    its mean over the rows, which do not see each other.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    for _ in range(rounds):
        v = v / torch.linalg.vector_norm(v.flatten(1), dim=1).view(-1, *[1] * (x.dim() - 1))
        value, u = jvp(f, x, v)
        _, v = vjp(f, x, u)
    size = torch.linalg.vector_norm(v.flatten(1), dim=1).sqrt().mean()
    return float(value.detach().square().mean().sqrt()), float(size.detach())


def difference(
    first: Sequence[Sequence[int]], second: Sequence[Sequence[int]], images: int = 1797
) -> tuple[float, float]:
    """By how much the second net's share of errors is larger, and the standard error of that.

    first, second: wrong answers by seed and fold. Both nets see the same images in a run, so the
    runs are compared in pairs. images: of all folds together.
    """
    share = (np.array(second) - np.array(first)).ravel() * np.shape(first)[-1] / images
    return float(share.mean()), float(share.std(ddof=1) / len(share) ** 0.5)


def fixed(method: str, steps: int) -> dict[str, Any]:
    """Keyword arguments for a number of equal steps."""
    return {"method": method, "options": {"step_size": 1 / steps}}


@lru_cache(maxsize=1)
def test_set() -> tuple[Tensor, Tensor]:
    """Images (450, 1, 8, 8) and labels of fold 0."""
    split = digits()
    return split.test_images, split.test_labels


def dial(net: ODENet) -> dict[str, dict[str, list]]:
    """What a net says of the test images under many solvers: method -> evaluations, wrong answers,
    and what differs from an accurate solve: how many answers, and the scores, root mean square.
    """
    images, labels = test_set()
    exact, _ = solve_with(net, images, rtol=1e-7, atol=1e-7, method="dopri5")
    rows = {}
    for method in METHODS:
        settings = [fixed(method, n) for n in FIXED]
        if method not in ("euler", "rk4_classic"):
            settings = [{"method": method, "rtol": tol, "atol": tol} for tol in TOLERANCES]
        row: dict[str, list] = {"nfe": [], "wrong": [], "changed": [], "distance": []}
        for setting in settings:
            scores, nfe = solve_with(net, images, **setting)
            row["nfe"].append(nfe)
            row["wrong"].append(int((scores.argmax(1) != labels).sum()))
            row["changed"].append(int((scores.argmax(1) != exact.argmax(1)).sum()))
            row["distance"].append(float(f"{(scores - exact).square().mean().sqrt():.3g}"))
        rows[method] = row
    return rows
