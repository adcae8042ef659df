"""The interpolated adjoint: the adjoint method, with y(t) read from the forward solve.

The adjoint (`adjoint.py`) needs y(t) on its way back. Solving for it backwards is unstable where
the forward solve is stable: an error grows by e^50 per unit of time if y' = -50 y. But the forward
solve has computed y at every time: each step comes with a polynomial, its dense output,

    y(t + x h) = c_0 + c_1 x + .. + c_d x^d,     0 <= x <= 1.

So these coefficients are kept, and only a and dL/dtheta are integrated backwards, half the state.
Memory: d + 1 states a step, where d is 1 for euler, 2 for adaptive_heun, 4 for dopri5 and tsit5, 6
for dopri8, and 3 for all methods whose interpolation is cubic, such as rk4, bosh3 and Adams
methods. A step of an adaptive implicit method that is longer than its polynomial can follow is kept
as several (`solvers/between.py`; to find out costs twice the evaluations of the solve, and more
where there are such steps). What func computes on the way is not kept.

The gradient is as good as both solves and the dense output, whose order is at most that of the
method: not exact.

Source: Daulbaev, Katrutsa, Markeeva, Gusak, Cichocki, Oseledets 2020, "Interpolation technique to
speed up gradients propagation in neural ODEs", arXiv 2003.05271.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..solvers.gradient_graph import linked_gradient, states_directly
from ..solvers.inputs import State, check_state, unflatten
from ..solvers.integrate import Segment
from ..solvers.problem import Problem, accepted_steps, parts_of_steps, prepare, states_of
from ..solvers.runge_kutta import Dense, Step, end_slope
from ..solvers.statistics import Stats
from .adjoint import backward_solve, pull_back
from .recorded import Held, held_by, put_back, with_event


def odeint_interpolated(
    func: Callable,
    y0: State,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict | None = None,
    event_fn: Callable | None = None,
    stats: Stats | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: dict | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """As `odeint_adjoint`, but the backward solve reads y(t) from the forward solve.

    Args:
        all: as `odeint_adjoint`. A "norm" among adjoint_options, and callbacks of the backward
            solve, get zero in place of y, which is not integrated. With an event there are two
            forward solves: to find it, and up to it.

    Raises:
        ValueError: as `odeint_adjoint`; for method scipy_solver, whose steps we do not see.
    """
    flat, shapes = check_state(y0)
    forward = {"rtol": rtol, "atol": atol, "method": method, "options": options}
    adjoint = (adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options)
    params, backward = backward_solve(
        "odeint_interpolated", func, shapes, forward, *adjoint, adjoint_params
    )
    if event_fn is not None:
        names = ("adjoint_rtol", "adjoint_atol", "adjoint_method", "adjoint_options")
        mode = partial(odeint_interpolated, **dict(zip(names, adjoint)))
        return with_event(mode, func, y0, t, event_fn, params, stats, **forward)
    p = prepare(func, y0, t, **forward, stats=stats)
    if p.stepper is None:
        raise ValueError(
            f"odeint_interpolated keeps the polynomial of every step, and {p.method} does not tell "
            "its steps; use another method, or odeint_adjoint"
        )
    y = _Interpolated.apply(func, held_by(func), p, backward, flat, t, *params)
    return unflatten(y, shapes)


class _Interpolated(torch.autograd.Function):
    """Forward: a solve without a graph, its polynomials kept. Backward: the adjoint without y."""

    @staticmethod
    def forward(
        ctx: Any,
        func: Callable,
        held: Held,
        p: Problem,
        backward: dict,
        y0: Tensor,
        t: Tensor,
        *params: Tensor,
    ) -> Tensor:
        pieces: list[Tensor] = []
        ctx.times = [p.times[0]]
        y = states_of(p, _kept(p, ctx.times, pieces))
        ctx.func = func
        ctx.held = held
        ctx.p = p
        p.log.max_evaluations = math.inf  # the limit is that of the solve, not of the way back
        ctx.shapes = p.shapes
        ctx.backward = backward
        ctx.stats = p.log.stats
        ctx.save_for_backward(y0, t, y, *params, *pieces)
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple:
        y0, t, y, *saved = ctx.saved_tensors
        n_params = len(saved) - (len(ctx.times) - 1)
        y_at = piecewise(ctx.times, saved[n_params:])
        wants_t = ctx.needs_input_grad[5]
        linked = torch.is_grad_enabled()
        with put_back(ctx.held, saved[:n_params], linked) as params:
            if linked:
                solve = partial(states_directly, ctx.p)
                of_all = linked_gradient(solve, y0, t, params, grad_y, wants_t)
                return None, None, None, None, *of_all
            of_y0, of_t, of_params = pull_back(
                ctx.func, t, y, ctx.shapes, params, grad_y, wants_t, ctx.backward, ctx.stats, y_at
            )
        return (None, None, None, None, of_y0, of_t, *of_params)


def _kept(p: Problem, times: list[float], pieces: list[Tensor]) -> Iterator[Segment]:
    """Pass the steps on; keep the times at which they end, and their polynomials."""
    parts = parts_of_steps(p)
    for segment in accepted_steps(p):
        if p.dense == "cubic":
            end_slope(segment.step, p.f)
        for t, t1, step in parts(segment):
            times.append(t1)
            pieces.append(coefficients(step, t1 - t, p.dense))
        yield segment


def coefficients(step: Step, h: float, dense: Dense) -> Tensor:
    """c_0 .. c_d of the dense output of a step of size h: a tensor (d + 1, *y.shape)."""
    y0 = step.y0
    if dense == "linear":
        return torch.stack([y0, step.y1 - y0])
    if isinstance(dense, str):  # Hermite, HNW I, (II.6.7), sorted by powers
        assert step.f1 is not None
        rise = step.y1 - y0
        k0 = h * step.stages[0]
        k1 = h * step.f1
        return torch.stack([y0, k0, 3 * rise - 2 * k0 - k1, k0 + k1 - 2 * rise])
    degree = max(map(len, dense))
    powers = [[h * (row[k] if k < len(row) else 0.0) for row in dense] for k in range(degree)]
    matrix = torch.tensor(powers, dtype=y0.dtype, device=y0.device)
    return torch.cat([y0.unsqueeze(0), torch.tensordot(matrix, torch.stack(step.stages), dims=1)])


def piecewise(times: Sequence[float], pieces: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """The function t -> y(t), a polynomial between any two neighboring times."""
    sign = 1 if times[-1] >= times[0] else -1
    ends = [sign * t for t in times[1:]]
    polynomials = [piece.unbind() for piece in pieces]

    def y_at(t: Tensor) -> Tensor:
        s = float(t)
        n = min(bisect_left(ends, sign * s), len(ends) - 1)
        x = (s - times[n]) / (times[n + 1] - times[n])
        *lower, y = polynomials[n]
        for c in reversed(lower):  # Horner's rule
            y = torch.add(c, y, alpha=x)
        return y

    return y_at
