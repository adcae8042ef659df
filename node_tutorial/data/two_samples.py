"""Two sets of points: are they from one distribution, and if not, how do they differ?

No one of these numbers finds everything; tests/data/test_two_samples.py has cases:

    energy distance     0 for one distribution, more the further apart; sees a shift of all the mass
    neighbor accuracy   1/2 for one distribution, 1 if a look at the neighbor tells the sets apart;
                        sees what is local, such as blur
    precision           the share of what is made that is near something real; falls with rubbish
    recall              the share of what is real that is near something made; falls with what is
                        left out
    coverage            the share of the real points around which something is made
    nearest             how far it is to the next point of a set; 0 for copies of it
    sliced Wasserstein  how far mass has to move, seen along random lines; 0 only for equal sets

Estimates from n points scatter: print them beside what two sets of the same source give
(`null_band`). Distances are Euclidean, computed in float64 and without matrix products, so that two
equal points are 0 apart.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .drawing import drawn_on_cpu

ROWS = 1000  # of a matrix of distances that are computed at once


class Comparison(NamedTuple):
    """What `compare` measures."""

    energy: float
    neighbors: float
    precision: float
    recall: float
    coverage: float


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'|, 0-d, in the units of the points.

    It is 0 if both sets are from one distribution, and positive otherwise. The estimate is unbiased
    (the means leave out the distance of a point to itself), so that it may be below 0.

    Shapes: x (N, ...), y (M, ...), points of equal size, two or more each.

    Raises:
        ValueError: for other shapes, or coordinates that are not finite.

    Source: Szekely, Rizzo 2013, "Energy statistics", equation 2.1 (squared, as here, in their
    words; some call its root the distance).

        >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]])
        >>> energy_distance(x, y)
        tensor(-1., dtype=torch.float64)
    """
    x, y = _points(x, y)
    return 2 * _mean_distance(x, y) - _mean_distance(x) - _mean_distance(y)


@drawn_on_cpu
def sliced_wasserstein(
    x: Tensor, y: Tensor, directions: int = 100, generator: torch.Generator | None = None
) -> Tensor:
    """The root of the mean of W2^2 over random directions, 0-d, in the units of the points.

    Along a direction W2^2 is the mean of (x_(i) - y_(i))^2, with both sets in order. It is not
    unbiased: two sets of one distribution are not 0 apart (`null_band`).

    Shapes: x, y (N, ...), as many points each.

    Raises:
        ValueError: for sets of unequal sizes or other shapes.

    Source: Rabin et al. 2012, "Wasserstein barycenter and its application to texture mixing";
    Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures".
    """
    x, y = _points(x, y)
    if len(x) != len(y):
        raise ValueError(
            f"sliced_wasserstein needs sets of one size, got {len(x)} and {len(y)} points; leave "
            "out some of the larger one"
        )
    lines = torch.randn(x.shape[1], directions, generator=generator, dtype=x.dtype)
    lines = lines / lines.norm(dim=0)
    return ((x @ lines).sort(0).values - (y @ lines).sort(0).values).square().mean().sqrt()


def neighbor_accuracy(x: Tensor, y: Tensor) -> Tensor:
    """How often the nearest other point belongs to the same set, 0-d: the leave-one-out accuracy
    of a 1-nearest-neighbor classifier, the mean of that for x and that for y.

    1/2 for one distribution, 1 if they do not touch, and less than 1/2 if the points of y sit on
    those of x, as copies do. A tie between the sets counts half.

    Shapes: x (N, ...), y (M, ...), two or more points each; with sets of unequal sizes it is not
    1/2 for one distribution, so they are refused.

    Raises:
        ValueError: for sets of unequal sizes or other shapes.

    Source: Lopez-Paz, Oquab 2017, "Revisiting classifier two-sample tests", arXiv 1610.06545; Xu et
    al. 2018, arXiv 1806.07755, for generated images.
    """
    x, y = _points(x, y)
    if len(x) != len(y):
        raise ValueError(
            f"neighbor_accuracy needs sets of one size, got {len(x)} and {len(y)} points; leave "
            "out some of the larger one"
        )
    across = _distances(x, y)
    return (
        _wins(_neighbor(x, 1), across.min(1).values) + _wins(_neighbor(y, 1), across.min(0).values)
    ) / 2


def precision(real: Tensor, made: Tensor, k: int = 3) -> Tensor:
    """The share of the made points that lie in the ball of some real point, 0-d; a ball reaches to
    the k-th neighbor among the real points.

    The balls of two sets of one distribution do not cover each other wholly: compare with what a
    second set of real points gives. `recall` is the same with the sets exchanged.

    Shapes: real (N, ...), made (M, ...), more than k real points.

    Raises:
        ValueError: for other shapes or a k that is no positive integer below N.

    Source: Kynkaanniemi et al. 2019, "Improved precision and recall metric", arXiv 1904.06991,
    equations 1 and 2, with k = 3.
    """
    real, made = _points(real, made)
    return (_distances(real, made) <= _neighbor(real, k)[:, None]).any(0).double().mean()


def recall(real: Tensor, made: Tensor, k: int = 3) -> Tensor:
    """The share of the real points that lie in the ball of some made point; see `precision`."""
    return precision(made, real, k)


def coverage(real: Tensor, made: Tensor, k: int = 3) -> Tensor:
    """The share of the real points in whose ball lies some made point, 0-d; see `precision`.

    Unlike recall it does not rise when a few stray points are made, whose balls are wide.

    Source: Naeem et al. 2020, "Reliable fidelity and diversity metrics", arXiv 2002.09797, equation
    4, where k is 5; here it is that of the other two.
    """
    real, made = _points(real, made)
    return (_distances(real, made).min(1).values <= _neighbor(real, k)).double().mean()


def nearest(x: Tensor, others: Tensor) -> Tensor:
    """The distance from each point of x (N, ...) to the nearest of others (M, ...), (N,)."""
    x, others = _points(x, others, least=1)
    return torch.cat([_distances(part, others).min(1).values for part in x.split(ROWS)])


def compare(real: Tensor, made: Tensor, first: int | None = None) -> Comparison:
    """The five measures of made against real points, both (N, ...), with k = 3.

    first: points of each set that neighbors are looked for among, if not all: that takes memory for
    their distances.
    """
    some, others = real[:first], made[:first]
    return Comparison(
        float(energy_distance(real, made)),
        float(neighbor_accuracy(some, others)),
        float(precision(some, others)),
        float(recall(some, others)),
        float(coverage(some, others)),
    )


@drawn_on_cpu
def null_band(
    measure: Callable[[Tensor, Tensor], Any],
    x: Tensor,
    n: int,
    splits: int = 20,
    generator: torch.Generator | None = None,
) -> Tensor:
    """What measure(a, b) gives for sets of one source, (splits,), or (splits, K) if it returns K
    numbers, as `compare`: a and b are n points each of x (N, ...), drawn at random, none twice.

    Raises:
        ValueError: unless 2 n is at most N.

        >>> x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
        >>> band = null_band(energy_distance, x, 300, generator=torch.Generator().manual_seed(1))
        >>> bool(band.mean().abs() < band.std())
        True
    """
    if not 1 <= n <= len(x) // 2:
        raise ValueError(f"n must be from 1 to {len(x) // 2}, half of the points, got {n}")
    values = []
    for _ in range(splits):
        rows = torch.randperm(len(x), generator=generator)
        found = measure(x[rows[:n]], x[rows[n : 2 * n]])
        values.append(torch.as_tensor(found, dtype=torch.float64))
    return torch.stack(values)


def _points(x: Tensor, y: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both as (N, D) of float64."""
    for points in (x, y):
        if points.dim() < 2 or len(points) < least:
            raise ValueError(
                f"a set of points must be (N, ...), {least} points or more, got shape "
                f"{tuple(points.shape)}; one coordinate needs a dimension too, (N, 1)"
            )
        if not points.isfinite().all():
            raise ValueError("points must be finite, got some that are not")
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"points of both sets must be of one shape, got {tuple(x.shape[1:])} and "
            f"{tuple(y.shape[1:])}"
        )
    return x.detach().flatten(1).double(), y.detach().flatten(1).double()


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _mean_distance(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Of x to y; without y, of different points of x."""
    others = x if y is None else y
    pairs = len(x) * (len(x) - 1 if y is None else len(others))
    return torch.stack([_distances(part, others).sum() for part in x.split(ROWS)]).sum() / pairs


def _neighbor(x: Tensor, k: int) -> Tensor:
    """The distance of each point to its k-th neighbor among the others, (N,)."""
    if not 1 <= k < len(x):
        raise ValueError(f"k must be from 1 to {len(x) - 1}, below the number of points, got {k}")
    parts = [_distances(part, x).kthvalue(k + 1, dim=1).values for part in x.split(ROWS)]
    return torch.cat(parts)


def _wins(own: Tensor, other: Tensor) -> Tensor:
    return ((own < other).double() + (own == other).double() / 2).mean()
