"""Checkpointing: replay with few states kept, and the others computed again when they are needed.

With s snapshots, N steps are pulled back by solving forward again from the nearest snapshot, and
moving snapshots as they become free. The state after k steps is kept, so that the number of steps
that are computed again,

    cost(N, s) = min over k of  k + cost(N - k, s - 1) + cost(k, s),
    cost(1, s) = 0,     cost(N, 1) = N (N - 1) / 2,

is least; the best k is known in closed form. With s = sqrt(N), 100 steps cost 222 more, and 900
steps 2172.

Source: Griewank, Walther 2000, "Algorithm 799: revolve", ACM TOMS 26(1).
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..solvers.gradient_graph import linked_gradient, states_directly
from ..solvers.inputs import State, unflatten
from ..solvers.problem import Problem
from ..solvers.statistics import Stats
from .recorded import (
    Cotangents,
    Held,
    Record,
    StepState,
    find_params,
    held_by,
    length,
    prepare_recorded,
    put_back,
    record,
    redo,
    with_event,
)


def odeint_checkpoint(
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
    adjoint_params: Iterable[Tensor] | None = None,
    snapshots: int | None = None,
) -> Any:
    """As `odeint`, with the exact gradient of the discrete solve from a few snapshots of the state.

    Args:
        snapshots: how many states are kept at a time, at least 1; default: the square root of the
            number of steps.
        adjoint_params: the tensors that get gradients, besides y0 and t; default: the parameters of
            func, a module.
        all others: as `odeint`.

    Raises:
        ValueError: if func is no module and `adjoint_params` is None; for Adams methods and
            scipy_solver.
    """
    if snapshots is not None and not (isinstance(snapshots, int) and snapshots >= 1):
        raise ValueError(
            "snapshots must be a whole number, at least 1, or None for sqrt(steps); got "
            f"{snapshots!r}"
        )
    params = tuple(
        x for x in find_params(func, adjoint_params, "odeint_checkpoint") if x.requires_grad
    )
    solver = {"rtol": rtol, "atol": atol, "method": method, "options": options}
    if event_fn is not None:
        mode = partial(odeint_checkpoint, snapshots=snapshots)
        return with_event(mode, func, y0, t, event_fn, params, stats, **solver)
    p = prepare_recorded(func, y0, t, "odeint_checkpoint", **solver, stats=stats)
    y = _Checkpoint.apply(p, held_by(func), snapshots, p.y0, t, *params)
    return unflatten(y, p.shapes)


def best_split(steps: int, snapshots: int) -> int:
    """After how many of the steps to keep a state, so that the fewest steps are computed again.

    `snapshots` counts the state at the beginning, which is kept already; with one there is no other
    to place. With r repetitions of any step, s snapshots reach C(s + r, s) steps; both parts of the
    split are kept within that.
    """
    if snapshots == 1:
        return steps
    r = 1
    while math.comb(snapshots + r, snapshots) < steps:
        r += 1
    return max(
        1,
        math.comb(snapshots + r - 2, snapshots),
        steps - math.comb(snapshots + r - 1, snapshots - 1),
    )


class _Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        p: Problem,
        held: Held,
        snapshots: int | None,
        y0: Tensor,
        t: Tensor,
        *params: Tensor,
    ) -> Tensor:
        y, ctx.records = record(p, lambda n, state: None)
        ctx.p = p
        ctx.held = held
        ctx.snapshots = snapshots or max(1, math.isqrt(len(ctx.records)))
        ctx.end = length(y[-1])
        ctx.save_for_backward(y0, *params)
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple:
        y0, *saved = ctx.saved_tensors
        p = ctx.p
        records = ctx.records
        wants_t = ctx.needs_input_grad[4]
        linked = torch.is_grad_enabled()
        with put_back(ctx.held, saved, linked) as params:
            if linked:
                solve = partial(states_directly, p)
                return None, None, None, *linked_gradient(solve, y0, p.t, params, grad_y, wants_t)
            cotangents = Cotangents(p, params, grad_y, wants_t, ctx.end)
            if records:
                _pull_back(p, records, cotangents, 0, len(records), (y0, None), ctx.snapshots)
        of_y0, of_t, sums = cotangents.finish()
        return (None, None, None, of_y0, of_t, *sums)


def _pull_back(
    p: Problem,
    records: list[Record],
    cotangents: Cotangents,
    first: int,
    count: int,
    state: StepState,
    snapshots: int,
) -> None:
    """Pull back `count` steps from number `first` on, from the state before them."""
    while count > 1 and snapshots > 1:
        k = best_split(count, snapshots)
        behind = _after(p, records, first, k, state)
        _pull_back(p, records, cotangents, first + k, count - k, behind, snapshots - 1)
        count = k
    for n in reversed(range(count)):
        cotangents.pull_back(records[first + n], _after(p, records, first, n, state))


def _after(
    p: Problem, records: list[Record], first: int, count: int, state: StepState
) -> StepState:
    """The state behind `count` steps from number `first` on."""
    with torch.no_grad():
        for n in range(first, first + count):
            r = records[n]
            step, _ = redo(p, r, state, r.t, r.t1 - r.t, ())
            behind_jump = n + 1 < len(records) and records[n + 1].jumped
            state = (step.y1, None if behind_jump else step.f1)
    return state
