"""A solve by compiled programs: what they are called with, what comes of it, and the way back.

A solve calls the forward program until it has passed the last stop; every call gets new buffers,
the state and slope that the call before it ended with, and its clock. For a gradient the buffers
are kept, and the backward program is called for each of them, from the last to the first. What is
left to Python is what happens once per solve, or once per call: statistics, errors, and the
gradient with respect to t, which is about single numbers.

All of this runs at every step of a training, and is a third of the time of a small solve: that is
why constant vectors are remembered (`vector`), and buffers are not filled with zeros.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import check_finite, check_solution, too_many_steps, underflow
from ..gradient_graph import linked_gradient, states_directly
from ..problem import Problem
from ..runge_kutta import time_tensor
from .backward import Recorded
from .forward import NOT_FINITE, UNDERFLOW, Clock, Given, Plan, Result


class Solver(NamedTuple):
    """A problem, and the programs that solve it."""

    problem: Problem
    plan: Plan
    stops: list[float]
    wanted: tuple[bool, ...]  # which of the used tensors get gradients
    forward: Callable
    backward: Callable | None = None  # None where no gradients are wanted


class Call(NamedTuple):
    """What a call of the forward program leaves for the way back."""

    steps: int
    served: tuple[int, int]  # the output times inside its steps: from the first, before the second
    row: Tensor  # (T,) as in `Result`
    theta: Tensor  # (T,)
    output_slopes: Tensor  # (T, *)
    states: Tensor  # (rows + 1, *)
    slopes: Tensor  # (rows + 1, *)
    times: Tensor  # (rows + 1,)


def first_given(problem: Problem, plan: Plan, stops: list[float], y0: Tensor) -> Given:
    """What the forward program is first called with, before the used tensors."""
    y = y0.contiguous()
    size = (problem.tol.first_step if problem.tol else None) or 0.0  # 0: it is to be found
    return Given(
        y,
        y,
        y.new_empty(len(problem.times), *y.shape),
        *buffers_of(plan, y),
        vector((*limits_of(problem), *stops, *problem.times)),
        vector(first_clock(problem.times[0], size)),
        tensor_of(problem.rtol),
        tensor_of(problem.atol),
    )


def limits_of(problem: Problem) -> tuple[float, ...]:
    """The numbers of `Settings`, but for the times."""
    o = problem.options
    limits = (o.min_step, o.max_step, o.safety, o.ifactor, o.dfactor)
    return (problem.direction, *limits, float(problem.max_steps))


def first_clock(t: float, size: float) -> Clock:
    return Clock(
        accepted=0,
        steps=0,
        stop=0,
        code=0,
        attempts=0,
        served=1,  # the first output is y0
        attempts_then=0,
        t=t,
        size=size,
        ratio=math.nan,
        h=0.0,
        previous_ratio=1.0,
    )


@functools.lru_cache(maxsize=256)
def vector(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@functools.lru_cache(maxsize=256)
def _number(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64)


def tensor_of(tolerance: float | Tensor) -> Tensor:
    return tolerance if isinstance(tolerance, Tensor) else _number(float(tolerance))


def buffers_of(plan: Plan, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """states, slopes, times, coefficients; not filled, for that would take longer than a step."""
    return (
        y.new_empty(plan.rows + 1, *y.shape),
        y.new_empty(plan.rows + 1, *y.shape),
        vector(()).new_empty(plan.rows + 1),
        y.new_empty(plan.rows * plan.degree, *y.shape),
    )


def solve_compiled(solver: Solver, y0: Tensor, used: Sequence[Tensor]) -> tuple[Tensor, list[Call]]:
    """The solution (T, *), and what is needed to differentiate it.

    Raises:
        SolveError: as the plain solve.
    """
    problem = solver.problem
    plan = solver.plan
    given = first_given(problem, plan, solver.stops, y0)
    calls: list[Call] = []
    served = 1
    with torch.no_grad():
        while True:
            # The one call in which the time of a solve is spent.
            result = Result(*solver.forward(*given, *used))
            # One transfer for all twelve numbers.
            clock = Clock(*result.clock.tolist())
            steps = int(clock.steps)
            call = Call(
                steps,
                (served, int(clock.served)),
                result.row,
                result.theta,
                result.slopes,
                given.states,
                given.slopes,
                given.times,
            )
            served = int(clock.served)
            if solver.backward is not None:
                calls.append(call)
            # An error of the solve: the program has stopped early, and says why.
            if clock.code:
                _fail(solver, clock, call)
            if clock.stop == len(solver.stops):
                break
            # The buffers are full: on from their last row, with the clock as it stands.
            y = given.states[steps]
            slope = given.slopes[steps] if plan.passes_slope else y
            given = Given(
                y, slope, result.outputs, *buffers_of(plan, y0), given.settings, result.clock,
                given.rtol, given.atol,
            )  # fmt: skip
    _count(solver, clock, call)
    if problem.tol is None:
        check_solution(result.outputs, problem.times, problem.method)
    return result.outputs, calls


def _count(solver: Solver, clock: Clock, last: Call) -> None:
    """Fill in the statistics: those of the plain solve."""
    problem = solver.problem
    plan = solver.plan
    stats = problem.log.stats
    evaluations = plan.tableau.evaluations
    stats.accepted = int(clock.accepted + clock.steps)
    if plan.adaptive:
        assert problem.tol is not None
        attempts = int(clock.attempts)
        stats.rejected = attempts - stats.accepted
        # The first slope, and one for the first size.
        stats.nfe += 1 + (problem.tol.first_step is None) + attempts * evaluations
    else:
        stats.nfe += stats.accepted * evaluations + plan.carries_slope
    if plan.carries_slope:
        return
    if plan.adaptive:
        # The plain solve evaluates the first stage once for all attempts of a step, and has that of
        # the first step; the program, which has no branches, in every attempt.
        stats.nfe -= 1 + stats.rejected
    if plan.adds_slope:
        # The plain solve evaluates f(t1, y1) only where an output lies inside a step. Every step
        # but the last passes it on; so one more is due if there is one inside the last.
        begin, end = last.times[last.steps - 1 : last.steps + 1].tolist()
        stats.nfe += any(min(begin, end) < t < max(begin, end) for t in problem.times)


def _fail(solver: Solver, clock: Clock, call: Call) -> None:
    """Raise what the plain solve raises."""
    problem = solver.problem
    steps = call.steps
    if clock.code == NOT_FINITE:
        t0 = problem.times[0]
        # The program does not tell which entries; evaluated again, func does.
        slope = problem.f(time_tensor(t0, problem.y0), problem.y0)
        check_finite(slope, "the vector field func(t[0], y0)", t0)
    if clock.code == UNDERFLOW:
        raise underflow(clock.t, clock.h, clock.ratio, call.states[steps])
    # What is left is too many steps. The message wants the step that was the last one.
    t, t1 = call.times[steps - 1 : steps + 1].tolist()
    raise too_many_steps(problem.max_steps, t1, problem.times[int(clock.served)], t1 - t)


class Replayed(torch.autograd.Function):
    """The solution as an operation of autograd, of y0, t and the used tensors."""

    @staticmethod
    def forward(ctx: Any, solver: Solver, y0: Tensor, t: Tensor, *used: Tensor) -> Tensor:
        y, calls = solve_compiled(solver, y0, used)
        ctx.solver = solver
        ctx.calls = [call[:2] for call in calls]
        # Through save_for_backward, so that torch sees the memory, and changes of what was used.
        ctx.save_for_backward(y0, t, *used, *(x for call in calls for x in call[2:]))
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        # In the order of save_for_backward: the used tensors, then those of every call.
        solver = ctx.solver
        y0, t, *tensors_kept = ctx.saved_tensors
        n = len(solver.wanted)
        used = tensors_kept[:n]
        if torch.is_grad_enabled():
            params = [x for x, wanted in zip(used, solver.wanted) if wanted]
            solve = functools.partial(states_directly, solver.problem)
            of_y0, of_t, *found = linked_gradient(solve, y0, t, params, grad, solver.plan.wants_t)
            return None, of_y0, of_t, *(found.pop(0) if w else None for w in solver.wanted)
        saved = iter(tensors_kept[n:])
        tensors = len(Call._fields) - 2
        calls = [Call(*call, *(next(saved) for _ in range(tensors))) for call in ctx.calls]
        return None, *_pull_back(solver, used, calls, grad.contiguous())


def _pull_back(solver: Solver, used: Sequence[Tensor], calls: list[Call], grad: Tensor) -> tuple:
    """The gradients with respect to y0, t and the used tensors."""
    plan = solver.plan
    stats = solver.problem.log.stats
    assert solver.backward is not None
    of_y = of_f = torch.zeros_like(grad[0])
    sums: list[Tensor] = []
    of_steps = []
    # Each call hands the cotangents of its first state and slope to the call before it.
    for i, call in reversed(list(enumerate(calls))):
        moments = grad.new_empty(plan.rows, plan.degree + 2, *grad.shape[1:])
        moments[: call.steps].zero_()  # no more: the rest of a large one takes longer than a step
        given = Recorded(
            counts=torch.tensor((call.steps, *call.served, i == 0)),
            grad=grad,
            of_y=of_y,
            of_f=of_f,
            row=call.row,
            theta=call.theta,
            moments=moments,
            states=call.states,
            slopes=call.slopes,
            times=call.times,
            of_times=call.times.new_empty(plan.rows, 2),
        )
        of_y, of_f, of_t0, *more = solver.backward(*given, *used)
        # The parameters are the same in all calls; their gradients add up.
        sums = [a + b for a, b in zip(sums, more)] if sums else more
        of_steps.append(given.of_times)
        stats.nfe += call.steps * plan.tableau.evaluations
    stats.nfe += plan.passes_slope  # the first slope
    # One for each used tensor that is wanted; autograd takes None for the others.
    found = iter(sums)
    of_t = _of_times(solver, calls, grad, of_steps, float(of_t0)) if plan.wants_t else None
    return of_y, of_t, *(next(found) if w else None for w in solver.wanted)


def _of_times(
    solver: Solver, calls: list[Call], grad: Tensor, of_steps: list[Tensor], of_t0: float
) -> Tensor:
    """The gradient with respect to t; `Cotangents` of `gradients/recorded.py` takes the same way.

    The clock of a step moves with t[0], until it passes a stop at a constant time, or at an output
    time t[i]. `of_steps` holds, from the last call to the first, the cotangents (of_t, of_h) of
    every step.
    """
    problem = solver.problem
    of_t = [0.0] * len(problem.times)
    cut = set(problem.times).intersection(solver.stops)  # output times on which a step ends
    constant = set() if problem.tol is None else set(solver.stops)
    clock = 0.0  # cotangent of the time at which the step after this one begins
    for call, pulled in zip(reversed(calls), (x.tolist() for x in of_steps)):
        times = call.times.tolist()
        # An output inside a step lies at theta = (t[i] - t) / h, and moves with all three.
        for i in range(*call.served):
            if problem.times[i] not in cut:
                moved = float((grad[i] * call.output_slopes[i]).sum())
                row = int(call.row[i])
                of_t[i] += moved
                pulled[row][0] -= moved
                pulled[row][1] -= float(call.theta[i]) * moved
        for m in reversed(range(call.steps)):
            # t1 = t + h: what comes back for t1 goes to both.
            of_begin = clock + pulled[m][0]
            of_h = clock + pulled[m][1]
            if times[m + 1] in cut:
                of_t[problem.times.index(times[m + 1])] += of_h
            # Up to a stop, h = stop - t: it moves against t, and t1 not with it.
            if times[m + 1] in cut or times[m + 1] in constant:
                of_begin -= of_h
            clock = of_begin
    # What is left moves with the start, at which also the first slope is evaluated.
    of_t[0] += clock + of_t0
    return torch.tensor(of_t, dtype=problem.t.dtype)
