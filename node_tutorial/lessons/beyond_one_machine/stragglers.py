"""Lesson 21: the straggler law. R ranks draw their work, and all wait for the largest of R draws.

If a share F(w) of batches takes no more work than w, then R independent ones all take no more than
w with probability F(w)^R. So the mean of the largest is a sum over the distinct values, exact for
the measured distribution.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 200  # of a bootstrap


class Work(NamedTuple):
    """A distribution of work: its distinct values (n,), increasing, and their probabilities."""

    values: np.ndarray
    probability: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.values @ self.probability)

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return float(((self.values - self.mean) ** 2 @ self.probability) ** 0.5)


def distribution(work: ArrayLike) -> Work:
    """That of measured work (n,): each batch is as probable as the others.

    Raises ValueError for numbers that are not whole.
    """
    work = np.asarray(work)
    if not np.equal(np.mod(work, 1), 0).all():
        raise ValueError("work must be whole numbers of evaluations: round them first")
    values, counts = np.unique(work.astype(np.int64), return_counts=True)
    return Work(values, counts / counts.sum())


def largest_of(work: Work, ranks: int) -> float:
    """E max of `ranks` independent draws. Raises ValueError for fewer than one.

    >>> round(largest_of(distribution([1, 2, 3, 4, 5, 6]), 2), 4)  # two dice
    4.4722
    """
    if ranks < 1:
        raise ValueError(f"ranks must be 1 or more, got {ranks}")
    below = np.minimum(np.cumsum(work.probability), 1.0) ** ranks
    return float(work.values @ np.diff(below, prepend=0.0))


def efficiency(work: Work, ranks: int) -> float:
    """Mean / E max: the share of the ranks' time in which they compute."""
    return work.mean / largest_of(work, ranks)


def plausible(work: np.ndarray, ranks: int) -> tuple[float, float]:
    """Where the efficiency lies in 90 % of cases if the measured batches (n,) are drawn again, with
    replacement (a bootstrap). A batch that was not measured is not drawn.
    """
    generator = np.random.default_rng(0)
    again = (generator.choice(work, len(work)) for _ in range(DRAWS))
    found = [efficiency(distribution(drawn), ranks) for drawn in again]
    low, high = np.quantile(found, [0.05, 0.95])
    return float(low), float(high)


def summed(work: Work, steps: int) -> Work:
    """The distribution of the sum of several independent batches, for ranks that wait for each
    other once in so many.
    """
    unit = int(np.gcd.reduce(np.diff(work.values))) if len(work.values) > 1 else 1
    one = np.zeros((work.values[-1] - work.values[0]) // unit + 1)
    one[(work.values - work.values[0]) // unit] = work.probability
    total = np.ones(1)
    for _ in range(steps):
        total = np.convolve(total, one)
    return Work(steps * work.values[0] + unit * np.arange(len(total)), total / total.sum())
