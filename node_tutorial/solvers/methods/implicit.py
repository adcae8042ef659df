"""One implicit Runge-Kutta step.

Its stages come in groups that are solved one after the other (`newton.py`): single stages of a
diagonally implicit method, all of them at once of a fully implicit one. A stage that depends on
earlier ones only is just evaluated.

With a tolerance, a step whose Newton iteration fails is tried shorter, as one whose error is too
large. On a fixed grid it cannot be, so full Newton, with a new Jacobian in every iteration, has a
try before the solve gives up.

Derivatives: Newton runs on constants; where anything asks for a gradient, one more exact step of
it, with a graph, has the derivative of the solution.

Source: Hairer, Wanner, "Solving Ordinary Differential Equations II", 2nd ed., IV.8.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..errors import newton_failed
from ..runge_kutta import Field, Step, Time, WeightedSum, nudged, stage_times
from ..statistics import Stats
from ..tableaus import Tableau
from .newton import Newton, Rows

_FULL_ITERS = 20


class Group(NamedTuple):
    """Stages `first` to `last` - 1: they depend on each other by `within`, and on the stages before
    by `before`.
    """

    first: int
    last: int
    before: list[WeightedSum | None]
    within: Rows | None  # None: one stage, explicit
    guess: WeightedSum | None  # predicts them from the stages before; None: from the first slope


class ImplicitRungeKutta:
    """The implicit method that a tableau describes: `order`, and `step(f, t, y, h, f0)`.

    Args:
        tableau: of the method.
        rtol, atol: what Newton's iteration is stopped by, see `Newton`; on a fixed grid at most
            1e-6 and 1e-9.
        stats: where Jacobians, factorizations and iterations are counted.
        may_fail: whether a step that fails may be tried shorter.
    """

    def __init__(
        self, tableau: Tableau, rtol: Any, atol: Any, stats: Stats, may_fail: bool
    ) -> None:
        self.tableau = tableau
        self.may_fail = may_fail
        self.order = tableau.error_order or tableau.order
        if not may_fail:
            # No error of a step stands beside that of Newton's iteration: it shall not be seen.
            rtol = min(rtol, 1e-6) if isinstance(rtol, float) else rtol.clamp(max=1e-6)
            atol = min(atol, 1e-9) if isinstance(atol, float) else atol.clamp(max=1e-9)
        self.newton = Newton(rtol, atol, stats)
        self.groups = stage_groups(tableau)
        self.solution = WeightedSum(tableau.b)
        self.error = WeightedSum(tableau.error) if tableau.error is not None else None

    def step(
        self,
        f: Field,
        t: Time,
        y: Tensor,
        h: Time,
        f0: Tensor | None = None,
        before_end: bool = False,
    ) -> Step:
        """One step, as `RungeKutta.step`. Its error is infinite if Newton's iteration failed."""
        tableau = self.tableau
        newton = self.newton
        start, *times = stage_times((0.0, *tableau.c), t, h, y, before_end)
        # Unless it is a stage, f0 is where Newton starts, and what the output between the steps
        # needs.
        f0 = f(start, y) if f0 is None else f0
        size = float(h.detach() if isinstance(h, Tensor) else h)
        fixed = y.detach()
        slope = f0.detach()
        if forward_ad._current_level >= 0:
            _check_no_tangents(y, f0, h)
        inside = nudged(start.detach(), size)  # should f jump at t, this is the side that counts
        current = newton.jacobian is None or newton.slow
        if current:
            newton.linearize(f, inside, fixed)
        newton.has_graph = False
        found = self._stages(f, times, fixed, size, slope, partial(newton.solve, f))
        if found is None and not current:
            newton.linearize(f, inside, fixed)
            found = self._stages(f, times, fixed, size, slope, partial(newton.solve, f))
        if found is None and not self.may_fail:
            found = self._stages(f, times, fixed, size, slope, partial(self._full_newton, f))
            if found is None:
                raise newton_failed(float(start.detach()), size, tableau.name)
        if found is None:
            newton.slow = True
            return Step(t, h, y, y, None, torch.full_like(y, torch.inf), [f0])
        k = found
        inputs = (y, f0, h, *times)
        if newton.has_graph or any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
            k = self._stages(f, times, y, h, f0, partial(newton.polish, f), found) or found

        y1 = self.solution.advance(y, h, k)
        error = None
        if self.error is not None:
            with torch.no_grad():
                error = self.error.of(k) * (size * self.error.scale)
                if self.order > tableau.order:  # the embedded method is not A-stable, see TRBDF2
                    error = newton.filter(error, size, tableau.a[-1][-1])
        stages = k if self.groups[0].within is None else [f0, *k]
        return Step(t, h, y, y1, k[-1] if tableau.fsal else None, error, stages)

    def _stages(
        self,
        f: Field,
        times: Sequence[Tensor],
        y: Tensor,
        h: Time,
        f0: Tensor,
        solve: Callable,
        found: Sequence[Tensor] | None = None,
    ) -> list[Tensor] | None:
        """The slopes of all stages, by `solve` for the implicit ones, from `found` or a guess.

        None if it fails.
        """
        k: list[Tensor] = []
        for first, last, before, within, predict in self.groups:
            bases = [row.advance(y, h, k) if row else y for row in before]
            if within is None:
                k.append(f(times[first], bases[0]) if first else f0)
                continue
            if found:
                guess = found[first:last]
            else:
                guess = [predict.of(k) * predict.scale if predict else f0] * (last - first)
            slopes = solve(times[first:last], bases, h, within, guess)
            if slopes is None:
                return None
            k += slopes
        return k

    def _full_newton(
        self,
        f: Field,
        times: Sequence[Tensor],
        bases: Sequence[Tensor],
        h: float,
        a: Rows,
        k: Sequence[Tensor],
    ) -> list[Tensor] | None:
        for _ in range(_FULL_ITERS):
            with torch.no_grad():
                k = self.newton.polish(f, times, bases, h, a, k)
            self.newton.linearize(f, times[-1], WeightedSum(a[-1]).advance(bases[-1], h, k))
            found = self.newton.solve(f, times, bases, h, a, k)
            if found is not None:
                return found
        return None


def _check_no_tangents(*tensors: Any) -> None:
    for x in tensors:
        if isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None:
            raise NotImplementedError(
                "implicit methods carry no forward-mode derivatives (dual numbers, torch.func.jvp, "
                "jacfwd): use an explicit method, or reverse mode (backward, jacrev)"
            )


def stage_groups(tableau: Tableau) -> list[Group]:
    """The stages, in groups as small as can be solved one after the other."""
    s = tableau.stages
    groups = []
    a = [(*row, *[0.0] * (s - len(row))) for row in tableau.a]
    first = 0
    while first < s:
        last = first + 1
        while any(any(row[last:]) for row in a[first:last]):
            last += 1
        before = [WeightedSum(row[:first]) if any(row[:first]) else None for row in a[first:last]]
        within = tuple(row[first:last] for row in a[first:last])
        guess = WeightedSum(extrapolation(tableau.c[:first], tableau.c[first])) if first else None
        groups.append(Group(first, last, before, within if any(map(any, within)) else None, guess))
        first = last
    return groups


def extrapolation(nodes: Sequence[float], x: float) -> list[float]:
    """Weights w with p(x) = sum_j w_j p(nodes_j), for the polynomial p through the (at most three)
    nodes nearest to x.
    """
    newest = {c: j for j, c in enumerate(nodes)}  # of equal nodes the last one
    near = sorted(newest, key=lambda c: abs(c - x))[:3]
    weights = [0.0] * len(nodes)
    for c in near:
        weights[newest[c]] = prod((x - other) / (c - other) for other in near if other != c)
    return weights
