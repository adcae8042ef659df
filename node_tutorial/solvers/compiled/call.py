"""A solve by compiled programs: what they are called with, what comes of it, and the way back."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import check_finite, check_solution, too_many_steps, underflow
from ..problem import Problem
from ..runge_kutta import time_tensor
from .forward import CLOCK, NOT_FINITE, UNDERFLOW, Plan


class Solver(NamedTuple):
    """A problem, and the programs that solve it."""

    p: Problem
    plan: Plan
    stops: list[float]
    wanted: tuple[bool, ...]  # which of the used tensors get gradients
    forward: Callable
    backward: Callable | None = None  # None where no gradients are wanted


class Call(NamedTuple):
    """What a call of the forward program leaves for the way back."""

    steps: int
    served: tuple[int, int]  # the output times inside its steps: from the first, before the second
    row: Tensor  # (T,) the step that serves an output time,
    theta: Tensor  # (T,) how far inside it that lies,
    slopes: Tensor  # (T, *) and the slope there
    ys: Tensor  # (rows + 1, *) states,
    fs: Tensor  # (rows + 1, *) slopes
    ts: Tensor  # (rows + 1,) and times


def first_inputs(
    p: Problem, plan: Plan, stops: list[float], y0: Tensor, used: Sequence[Tensor]
) -> list[Tensor]:
    """What the forward program is first called with; see `forward_program`."""
    y = y0.contiguous()
    o = p.options
    limits = (o.min_step, o.max_step, o.safety, o.ifactor, o.dfactor)
    numbers = (p.direction, *limits, float(p.max_steps))
    settings = _vector((*numbers, *stops, *p.times))
    size = (p.tol.first_step if p.tol else None) or 0.0
    clock = _vector((0, 0, 0, 0, 0, 0, 1, 0, p.times[0], size, math.nan, 0.0, 1.0))
    tolerances = (x if isinstance(x, Tensor) else _number(float(x)) for x in (p.rtol, p.atol))
    outputs = y.new_empty(len(p.times), *y.shape)
    return [y, y, outputs, *_buffers(plan, y), settings, clock, *tolerances, *used]


@functools.lru_cache(maxsize=256)
def _vector(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@functools.lru_cache(maxsize=256)
def _number(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64)


def _buffers(plan: Plan, y: Tensor) -> tuple[Tensor, ...]:
    """ys, fs, ts, cs."""
    rows, degree = plan.rows, plan.degree
    ys, fs, ts = (
        y.new_empty(rows + 1, *y.shape),
        y.new_empty(rows + 1, *y.shape),
        _vector(()).new_empty(rows + 1),
    )
    return ys, fs, ts, y.new_empty(rows * degree, *y.shape)


def solve_compiled(solver: Solver, y0: Tensor, used: Sequence[Tensor]) -> tuple[Tensor, list[Call]]:
    """The solution (T, *), and what is needed to differentiate it.

    Raises:
        SolveError: as the plain solve.
    """
    p, calls, served = solver.p, [], 1
    inputs = first_inputs(p, solver.plan, solver.stops, y0, used)
    with torch.no_grad():
        while True:
            outputs, row, theta, slopes, clock = solver.forward(*inputs)
            c, (ys, fs, ts) = dict(zip(CLOCK, clock.tolist())), inputs[3:6]
            steps, before, served = int(c["n"]), served, int(c["served"])
            call = Call(steps, (before, served), row, theta, slopes, ys, fs, ts)
            if solver.backward is not None:
                calls.append(call)
            if c["code"]:
                _fail(solver, c, call)
            if c["stop"] == len(solver.stops):
                break
            f = fs[steps] if solver.plan.passes_slope else ys[steps]
            inputs = [
                ys[steps],
                f,
                outputs,
                *_buffers(solver.plan, y0),
                inputs[7],
                clock,
                *inputs[9:],
            ]
    _count(solver, int(c["accepted"] + c["n"]), int(c["attempts"]), int(c["first"]))
    if p.tol is None:
        check_solution(outputs, p.times, p.method)
    return outputs, calls


def _count(solver: Solver, accepted: int, attempts: int, first: int) -> None:
    """Fill in the statistics: those of the plain solve."""
    stats, plan, evaluations = solver.p.log.stats, solver.plan, solver.plan.tableau.evaluations
    stats.accepted = accepted
    if plan.adaptive:
        assert solver.p.tol is not None
        stats.rejected = attempts - accepted
        # The first slope, and one for the first size. Where none is passed on, the first serves
        # until it is accepted.
        stats.nfe += 1 + (solver.p.tol.first_step is None) + attempts * evaluations
        stats.nfe -= 0 if plan.passes_slope else first
        return
    stats.nfe += accepted * evaluations + (plan.passes_slope and not plan.adds_slope)
    if plan.adds_slope:
        begin, end = (*solver.p.times[:1], *solver.stops)[-2:]
        stats.nfe += any(min(begin, end) < t < max(begin, end) for t in solver.p.times)


def _fail(solver: Solver, c: dict[str, float], call: Call) -> None:
    """Raise what the plain solve raises."""
    p, n = solver.p, call.steps
    if c["code"] == NOT_FINITE:
        t0 = p.times[0]
        check_finite(p.f(time_tensor(t0, p.y0), p.y0), "the vector field func(t[0], y0)", t0)
    if c["code"] == UNDERFLOW:
        raise underflow(c["t"], c["h"], c["ratio"], call.ys[n])
    t, t1 = call.ts[n - 1 : n + 1].tolist()
    raise too_many_steps(p.max_steps, t1, p.times[int(c["served"])], t1 - t)


class Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, solver: Solver, y0: Tensor, t: Tensor, *used: Tensor) -> Tensor:
        y, calls = solve_compiled(solver, y0, used)
        ctx.solver, ctx.calls = solver, [call[:2] for call in calls]
        # Through save_for_backward, so that torch sees the memory, and changes of what was used.
        ctx.save_for_backward(*used, *(x for call in calls for x in call[2:]))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple:
        solver, n = ctx.solver, len(ctx.solver.wanted)
        used, saved = ctx.saved_tensors[:n], iter(ctx.saved_tensors[n:])
        calls = [Call(*call, *(next(saved) for _ in range(6))) for call in ctx.calls]
        return None, *_pull_back(solver, used, calls, grad.contiguous())


def _pull_back(solver: Solver, used: Sequence[Tensor], calls: list[Call], grad: Tensor) -> tuple:
    """The gradients with respect to y0, t and the used tensors."""
    plan, stats = solver.plan, solver.p.log.stats
    assert solver.backward is not None
    of_y, of_f = torch.zeros_like(grad[0]), torch.zeros_like(grad[0])
    sums: list[Tensor] = []
    of_steps = []
    for i, call in reversed(list(enumerate(calls))):
        numbers = torch.tensor((call.steps, *call.served, i == 0))
        moments = grad.new_empty(plan.rows, plan.degree + 2, *grad.shape[1:])
        moments[: call.steps].zero_()  # no more: the rest of a large one takes longer than a step
        of_times = call.ts.new_empty(plan.rows, 2)
        inputs = (
            numbers,
            grad,
            of_y,
            of_f,
            call.row,
            call.theta,
            moments,
            call.ys,
            call.fs,
            call.ts,
            of_times,
        )
        of_y, of_f, of_t0, *more = solver.backward(*inputs, *used)
        sums = [a + b for a, b in zip(sums, more)] if sums else more
        of_steps.append(of_times)
        stats.nfe += call.steps * plan.tableau.evaluations
    stats.nfe += plan.passes_slope
    found = iter(sums)
    of_t = _of_times(solver, calls, grad, of_steps, float(of_t0)) if plan.wants_t else None
    return of_y, of_t, *(next(found) if w else None for w in solver.wanted)


def _of_times(
    solver: Solver, calls: list[Call], grad: Tensor, of_steps: list[Tensor], of_t0: float
) -> Tensor:
    """The gradient with respect to t; `Cotangents` of `gradients/recorded.py` takes the same way.

    The clock of a step moves with t[0], until it passes a stop at a constant time, or at an output
    time t[i].
    """
    p, clock = solver.p, 0.0
    of_t = [0.0] * len(p.times)
    cut = set(p.times).intersection(solver.stops)
    constant = set() if p.tol is None else set(solver.stops)
    for call, pulled in zip(reversed(calls), (x.tolist() for x in of_steps)):
        ts = call.ts.tolist()
        for i in range(*call.served):
            if p.times[i] not in cut:
                moved, row = float((grad[i] * call.slopes[i]).sum()), int(call.row[i])
                of_t[i] += moved
                pulled[row][0] -= moved
                pulled[row][1] -= float(call.theta[i]) * moved
        for m in reversed(range(call.steps)):
            of_begin, of_h = clock + pulled[m][0], clock + pulled[m][1]
            if ts[m + 1] in cut:
                of_t[p.times.index(ts[m + 1])] += of_h
            if ts[m + 1] in cut or ts[m + 1] in constant:
                of_begin -= of_h
            clock = of_begin
    of_t[0] += clock + of_t0
    return torch.tensor(of_t, dtype=p.t.dtype)
