"""One explicit Runge-Kutta step, its error estimate, and its dense output.

Time comes in two forms, and the same step serves both. As numbers (`float`), t and h cost nothing;
that is the rule. As tensors they carry gradients with respect to time (0-d), or one clock per
sample (shape (B, 1, .., 1)).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .tableaus import Tableau

Field = Callable[[Tensor, Tensor], Tensor]  # dy/dt = f(t, y)
Time = float | Tensor
# The rows of a continuous method, or "cubic", or "linear": see `interpolate`.
Dense = tuple[tuple[float, ...], ...] | str


@dataclass(slots=True)
class Step:
    """A step from (t, y0) to (t + h, y1)."""

    t: Time
    h: Time
    y0: Tensor
    y1: Tensor
    f1: Tensor | None  # f(t + h, y1), where the method has it for free; else see `end_slope`
    error: Tensor | None  # estimate of y1's local error
    stages: list[Tensor]  # k_1 .. k_s; stages[0] = f(t, y0)


class Stepper(Protocol):
    """What takes the steps of a method; `RungeKutta.step` explains the arguments."""

    order: int  # the error of a step is measured to be O(h^(order + 1)) or better

    def step(
        self, f: Field, t: Time, y: Tensor, h: Time, f0: Tensor | None = ..., before_end: bool = ...
    ) -> Step: ...


class WeightedSum:
    """sum_j w_j k_j of slopes k_j, for fixed weights.

    It is computed as w_0 (k_0 + sum_j (w_j / w_0) k_j), without the zeros: one fused multiply-add
    per stage, and w_0 is multiplied into h. (Stacking the stages for one matrix-vector product was
    tried: slower, for up to six of any size.)
    """

    def __init__(self, weights: Sequence[float]) -> None:
        used = [j for j, w in enumerate(weights) if w] or [0]
        self.first = used[0]
        self.scale = float(weights[self.first])
        self.others = [(j, weights[j] / self.scale) for j in used[1:]]

    def of(self, stages: Sequence[Tensor]) -> Tensor:
        """The sum over `scale`."""
        total = stages[self.first]
        for place, (j, ratio) in enumerate(self.others):
            if place:  # the first sum is a new tensor, and ours to write into; a stage is not
                total = total.add_(stages[j], alpha=ratio)
            else:
                total = torch.add(total, stages[j], alpha=ratio)
        return total

    def advance(self, y: Tensor, h: Time, stages: Sequence[Tensor]) -> Tensor:
        """y + h sum_j w_j k_j."""
        h = h * self.scale
        total = self.of(stages)
        if isinstance(h, float):
            return torch.add(y, total, alpha=h)
        return y + h.to(total.dtype.to_real()) * total


class RungeKutta:
    """What takes the steps of an explicit tableau: `order`, and `step(f, t, y, h, f0)`."""

    def __init__(self, tableau: Tableau) -> None:
        if tableau.implicit:
            raise ValueError(
                f"{tableau.name!r} is implicit: use ImplicitRungeKutta, or odeint with this method"
            )
        self.tableau = tableau
        self.order = tableau.order
        self.fsal = tableau.fsal
        self.rows = [WeightedSum(row) for row in tableau.a[1:]]
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
        """One step.

        Args:
            f: the vector field f(t, y), of y's shape.
            t: the time, and h: the step, signed.
            y: the state, of any shape.
            f0: f(t, y) where it is known, else it is evaluated.
            before_end: see `stage_times`.
        """
        tableau = self.tableau
        times = stage_times(tableau.c, t, h, y, before_end)
        k = [f(times[0], y) if f0 is None else f0]
        y_i = y
        for t_i, row in zip(times[1:], self.rows, strict=True):
            y_i = row.advance(y, h, k)
            k.append(f(t_i, y_i))

        # "First same as last": the last stage was evaluated at y1 itself.
        y1 = y_i if self.fsal else self.solution.advance(y, h, k)
        f1 = k[-1] if self.fsal or tableau.carry_last else None
        error = None
        if self.error is not None:
            with torch.no_grad():  # it steers the step size; no gradient passes through it
                error = self.error.of(k) * (h * self.error.scale)
        return Step(t, h, y, y1, f1, error, k)


def end_slope(step: Step, f: Field) -> Tensor:
    """f(t + h, y1) of a step: evaluated if the step does not have it yet, and kept in it.

    Cubic interpolation needs it; the next step begins with it.
    """
    if step.f1 is None:
        (t1,) = stage_times((1.0,), step.t, step.h, step.y1)
        step.f1 = f(t1, step.y1)
    return step.f1


def interpolate(step: Step, theta: Sequence[float] | Tensor, dense: Dense) -> Tensor:
    """The state at t + theta h inside a step.

    Args:
        step: the step; for "cubic" with its f1, see `end_slope`.
        theta: m fractions of the step, from 0 to 1.
        dense: the rows of a tableau's continuous method, or "linear" (through y0, y1), or "cubic"
            (through y0, y1, f0, f1; Hermite, HNW I, (II.6.7)).

    Returns:
        Tensor (m, *y.shape). At theta = 1 it is y1 to rounding.
    """
    y0 = step.y0
    h = step.h
    if isinstance(theta, Tensor) or isinstance(dense, str):
        x = torch.as_tensor(theta, dtype=y0.dtype, device=y0.device).reshape(-1, *[1] * y0.dim())
        if dense == "linear":
            return y0 + x * (step.y1 - y0)
        if isinstance(dense, str):
            f0 = step.stages[0]
            f1 = step.f1
            assert f1 is not None
            chord = y0 + x * x * (3 - 2 * x) * (step.y1 - y0)
            return chord + h * (x * (1 - x) * ((1 - x) * f0 - x * f1))
        rows = [sum(p * x ** (power + 1) for power, p in enumerate(row)) for row in dense]
        return y0 + h * sum(w * k for w, k in zip(rows, step.stages, strict=True))
    weights = [[x * polynomial(x, row) for row in dense] for x in theta]
    if len(weights) == 1:
        return WeightedSum(weights[0]).advance(y0, h, step.stages).unsqueeze(0)
    matrix = torch.tensor(weights, dtype=y0.dtype, device=y0.device)
    return y0 + h * torch.tensordot(matrix, torch.stack(step.stages), dims=1)


def polynomial(x: float, coefficients: Sequence[float]) -> float:
    """sum_k coefficients_k x^k, by Horner's rule."""
    total = 0.0
    for c in reversed(coefficients):
        total = total * x + c
    return total


def stage_times(
    c: Sequence[float], t: Time, h: Time, y: Tensor, before_end: bool = False
) -> Sequence[Tensor]:
    """t + c_i h as the tensors that f is given, in the real dtype of y.

    With `before_end`, a stage at the very end, or beyond it as in kvaerno5, is moved to the last
    number before it: a step that ends on a discontinuity of f in time has to see f as it is before
    the jump.
    """
    real = y.dtype.to_real()
    times: Sequence[Tensor]
    if isinstance(t, float) and isinstance(h, float):
        # One tensor for all of them, then views: making a tensor takes longer than the sums.
        times = torch.tensor([t + c_i * h for c_i in c], dtype=real, device=y.device).unbind()
    else:
        times = [torch.as_tensor(t + c_i * h, dtype=real, device=y.device) for c_i in c]
    if before_end:
        if max(c) > 1:
            return stage_times([min(c_i, 1.0) for c_i in c], t, h, y, before_end)
        times = [nudged(s, -h) if c_i == 1 else s for c_i, s in zip(c, times, strict=True)]
    return times


def time_tensor(t: Time, y: Tensor) -> Tensor:
    """The time t as f is given it."""
    return stage_times((0.0,), t, 0.0, y)[0]


def nudged(t: Tensor, towards: Time) -> Tensor:
    """The next number of t's dtype, in the direction of the sign of `towards`; gradients pass."""
    with torch.no_grad():
        shift = torch.nextafter(t, t + torch.sign(torch.as_tensor(towards, dtype=t.dtype))) - t
    return t + shift
