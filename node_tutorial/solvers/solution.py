"""What `solve` returns."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .integrate import Segment
from .runge_kutta import Dense, interpolate
from .statistics import Attempt, Stats


@dataclass
class Solution:
    """The solution at the times asked for, what it cost, and, when recorded, all in between.

    Attributes:
        t: the times, (T,), or (B, T) where every sample has its own.
        y: the states, (T, *y0.shape), or (B, T, *) with per-sample steps; a tuple of them for a
            tuple state.
        stats: `nfe` (evaluations of the field), `accepted` and `rejected` steps; with per-sample
            steps these two are tensors (B,). Of implicit methods also `jacobians`, `factorizations`
            and `newton` iterations.
        steps: every attempt (t, h, error_ratio, accepted) with `record=True`, else None.
    """

    t: Tensor
    y: Any
    stats: Stats
    steps: list[Attempt] | None = None
    _segments: list[Segment] | None = field(default=None, repr=False)
    _dense: Dense = field(default="cubic", repr=False)
    _parts: Callable[[Segment], list[Segment]] | None = field(default=None, repr=False)
    _read: dict[tuple[int, bool], list[Segment]] = field(default_factory=dict, repr=False)
    _unflatten: Callable[[Tensor], Any] | None = field(default=None, repr=False)

    def __call__(self, t: float | Tensor) -> Tensor | tuple[Tensor, ...]:
        """The state at any time between t[0] and t[-1], by the method's dense output.

        Of an adaptive implicit method that is checked first, and mended, by more of its steps:
        func is evaluated again, and has to be what it was; `stats` does not count that. (So the
        error within a step, from the solution through its beginning, was at most 1.2 tolerances on
        van der Pol's equation, mu = 5 and 1000, Robertson's, and y' = -lambda (y - cos t), lambda =
        1e3 and 1e6, at 1e-3 to 1e-7; unmended up to 90 000.)

        Args:
            t: a number or 0-d tensor, giving a state; or times of any shape, giving
                (*t.shape, *y0.shape).

        Raises:
            ValueError: if the solve was not recorded, t lies outside of it, or requires a gradient.
            RuntimeError: if func has changed since, with an implicit method.
        """
        if self._segments is None:
            raise ValueError(
                "solution(t) needs the steps: call solve(..., record=True) (with one clock for "
                "all samples)"
            )
        given = t if isinstance(t, Tensor) else torch.as_tensor(t, dtype=torch.float64)
        if given.requires_grad:
            raise ValueError("solution(t) gives no gradient of t: use t.detach()")
        times = given.to(torch.float64)
        ends = [segment.t1 for segment in self._segments]
        direction = 1 if not ends or ends[-1] >= self._segments[0][0] else -1
        keys = [direction * end for end in ends]
        first = float(self.t[0])
        last = float(self.t[-1])
        # The ends of the solution, rounded to the times' own precision, are its ends.
        eps = torch.finfo(given.dtype).eps if given.dtype.is_floating_point else 0.0
        slack = eps * max(abs(first), abs(last))
        states = []
        for s in times.reshape(-1).tolist():
            if abs(s - first) <= slack or abs(s - last) <= slack:
                s = first if abs(s - first) < abs(s - last) else last
            if not min(first, last) <= s <= max(first, last):
                raise ValueError(
                    f"t = {s:.6g} lies outside of the solution, which runs from {first:.6g} to "
                    f"{last:.6g}"
                )
            if not ends or s == first:
                states.append(self._segments[0][2].y0 if ends else self._first())
                continue
            n = min(bisect.bisect_left(keys, direction * s), len(ends) - 1)
            begin, end, step = self._segments[n]
            if s == end:
                states.append(step.y1)
            else:
                begin, end, step = self._part(n, direction * s, direction)
                states.append(interpolate(step, [(s - begin) / (end - begin)], self._dense)[0])
        if not states:
            y = self._first().new_empty(*times.shape, *self._first().shape)
        else:
            y = torch.stack(states).reshape(*times.shape, *states[0].shape)
        return self._unflatten(y) if self._unflatten else y

    def _part(self, n: int, key: float, direction: int) -> Segment:
        """The part of step n that reaches to the time direction * key."""
        assert self._segments is not None
        if self._parts is None:
            return self._segments[n]
        kept = (n, torch.is_grad_enabled())  # without a graph, they serve no gradient later
        if kept not in self._read:
            self._read[kept] = self._parts(self._segments[n])
        return next(part for part in self._read[kept] if key <= direction * part.t1)

    def _first(self) -> Tensor:
        if isinstance(self.y, Tensor):
            return self.y[0]
        return torch.cat([part[0].reshape(-1) for part in self.y])
