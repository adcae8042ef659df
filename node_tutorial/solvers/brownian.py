"""A Brownian path that can be asked again, at any time and in any order: the same noise for all
step sizes.

Levy's construction: W(t1) is drawn first. Then, given both ends of an interval of length h, the
middle is their mean plus sqrt(h) / 2 times a standard normal number; so the path is refined without
moving what is known. Each of these numbers belongs to its place in the tree of middles, by a
counter, and not to the order of questions.

Sources: Levy 1948, "Processus stochastiques et mouvement brownien"; as a virtual tree: Li, Wong,
Chen, Duvenaud 2020, "Scalable gradients for stochastic differential equations", arXiv 2001.01328,
section 4; counters: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import math

import numpy as np
import torch
from torch import Tensor

LEVELS = 20  # of middles; below them, 2^-20 of the whole time apart, the path is a straight line


class BrownianPath:
    """W(t) for t from t0 to t1: W(t0) = 0, increments over h independent, N(0, h).

    That holds for h of at least 1e-4 of t1 - t0. The path is drawn at the multiples of 2^-20, or
    1e-6, of it, with straight lines between: steps of 1e-5 have a variance 3 % too small where they
    are no such multiples, and within one line there is no noise at all.

    Args:
        t0, t1: the ends, t0 < t1.
        shape: of W(t), such as (paths,) or (paths, dimensions); () for one number.
        seed: an integer, 0 or more. Paths of different seeds are independent.
        dtype: of W(t); it is drawn in double precision.

    What was asked is kept: memory grows with the number of different times.

    Raises:
        ValueError: for a t1 that is not after t0, a seed that is no such integer, or, when called,
            for times outside of t0 to t1, by more than they are rounded, or 1e-6 of t1 - t0.

        >>> w = BrownianPath(0.0, 1.0, (3,), seed=1)
        >>> coarse, fine = w(torch.linspace(0, 1, 3)), w(torch.linspace(0, 1, 9))
        >>> torch.equal(coarse, fine[::4])
        True
        >>> torch.equal(coarse[1], BrownianPath(0.0, 1.0, (3,), seed=1)(0.5))
        True
    """

    def __init__(
        self,
        t0: float,
        t1: float,
        shape: tuple[int, ...] = (),
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if not -math.inf < t0 < t1 < math.inf:
            raise ValueError(f"t1 must be after t0, both finite, got t0 = {t0}, t1 = {t1}")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed must be an integer of 0 or more, got {seed!r}")
        self.t0 = float(t0)
        self.t1 = float(t1)
        self.shape = tuple(shape)
        self.seed = seed
        self.dtype = dtype
        # By place, in units of the smallest intervals.
        end = math.sqrt(self.t1 - self.t0) * self._normal(0)
        self._known = {0: np.zeros(self.shape), 2**LEVELS: end}

    def __call__(self, t: float | Tensor) -> Tensor:
        """W(t), of `shape`; for times t (T,), (T, *shape)."""
        if isinstance(t, Tensor) and t.dim() > 0:
            return torch.stack([self(one) for one in t])
        place = (float(t) - self.t0) / (self.t1 - self.t0) * 2**LEVELS
        slack = max(1.0, self._rounding(t) / (self.t1 - self.t0) * 2**LEVELS)
        if not -slack <= place <= 2**LEVELS + slack:
            raise ValueError(f"t must be from {self.t0:g} to {self.t1:g}, got {float(t):g}")
        place = min(max(place, 0.0), 2.0**LEVELS)
        nearest = round(place)
        if abs(place - nearest) < 1e-6:
            value = self._at(nearest)
        else:
            below = math.floor(place)
            share = place - below
            value = (1 - share) * self._at(below) + share * self._at(below + 1)
        return torch.as_tensor(value).to(self.dtype)

    def _rounding(self, t: float | Tensor) -> float:
        """How far a time of this dtype may be off, as that of an end."""
        dtype = torch.float64
        if isinstance(t, Tensor) and t.is_floating_point():
            dtype = t.dtype
        return 2 * torch.finfo(dtype).eps * max(abs(self.t0), abs(self.t1))

    def _at(self, place: int) -> np.ndarray:
        """W at a multiple of the smallest interval."""
        if place not in self._known:
            half = place & -place  # the largest power of two that divides it: place is a middle
            ends = self._at(place - half) + self._at(place + half)
            length = 2 * half / 2**LEVELS * (self.t1 - self.t0)
            self._known[place] = ends / 2 + math.sqrt(length) / 2 * self._normal(place)
        return self._known[place]

    def _normal(self, place: int) -> np.ndarray:
        """The standard normal numbers of a place: a stream of its own for each."""
        stream = np.random.Philox(key=self.seed, counter=[0, 0, 0, place])
        return np.random.Generator(stream).standard_normal(self.shape)
