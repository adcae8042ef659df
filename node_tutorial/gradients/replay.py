"""Replay: the exact gradient of the discrete solve, from its recorded steps.

Forward: a solve without a graph; the state before each step is kept. Backward: each step, from the
last to the first, is redone with a graph and differentiated (`recorded.py`). The result equals
backpropagation through the solve to rounding; the memory is two states a step, instead of
everything that func computes.
"""

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
    find_params,
    held_by,
    length,
    prepare_recorded,
    put_back,
    record,
    with_event,
)


def odeint_replay(
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
) -> Any:
    """As `odeint`, with the gradient by replaying recorded steps: exact, two states a step kept.

    Args:
        adjoint_params: the tensors that get gradients, besides y0 and t; default: the parameters of
            func, a module.
        all others: as `odeint`.

    Raises:
        ValueError: if func is no module and `adjoint_params` is None; for Adams methods and
            scipy_solver.
    """
    params = tuple(x for x in find_params(func, adjoint_params, "odeint_replay") if x.requires_grad)
    solver = {"rtol": rtol, "atol": atol, "method": method, "options": options}
    if event_fn is not None:
        return with_event(odeint_replay, func, y0, t, event_fn, params, stats, **solver)
    p = prepare_recorded(func, y0, t, "odeint_replay", **solver, stats=stats)
    return unflatten(_Replay.apply(p, held_by(func), p.y0, t, *params), p.shapes)


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Problem, held: Held, y0: Tensor, t: Tensor, *params: Tensor) -> Tensor:
        states: list = []
        y, ctx.records = record(p, lambda n, state: states.append(state))
        ctx.p = p
        ctx.held = held
        # Through save_for_backward, so that torch sees the memory and frees it with the graph.
        ctx.carried = [f0 is not None for _, f0 in states]
        kept = (x for state in states for x in state if x is not None)
        ctx.end = length(y[-1])
        ctx.save_for_backward(*params, *kept)
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple:
        p = ctx.p
        saved = list(ctx.saved_tensors)
        n_params = len(saved) - len(ctx.carried) - sum(ctx.carried)
        wants_t = ctx.needs_input_grad[3]
        linked = torch.is_grad_enabled()
        with put_back(ctx.held, saved[:n_params], linked) as params:
            if linked:
                solve = partial(states_directly, p)
                return None, None, *linked_gradient(solve, p.y0, p.t, params, grad_y, wants_t)
            cotangents = Cotangents(p, params, grad_y, wants_t, ctx.end)
            for r, carried in zip(reversed(ctx.records), reversed(ctx.carried)):
                f0 = saved.pop() if carried else None  # from the end on, where the states are
                cotangents.pull_back(r, (saved.pop(), f0))
        of_y0, of_t, sums = cotangents.finish()
        return (None, None, of_y0, of_t, *sums)
