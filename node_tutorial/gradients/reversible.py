"""Reversible steps: the exact gradient of the discrete solve, with nothing kept but its end.

Forward: a solve by a reversible method (`solvers/reversible.py`), without a graph; y0 and the
method's state behind the last step are kept. Backward: each step, from the last to the first, is
undone, which gives the state before it; then it is redone with a graph and differentiated
(`recorded.py`). The gradient is that of backpropagation through the solve, up to the rounding of
states that were computed again.

Memory: y0, two or three states, and the grid (a few numbers a step), however many steps. Cost: 1
evaluation a step forward; 2 backward, of which one is differentiated.

Rounding errors grow, as exp(2 |lambda| T) where a solution decays or grows at the rate lambda: of
the two factors of a step (`solvers/reversible.py`), one magnifies them on the way there, the other
on the way back. For y' = -y from 1, with h = 0.01, the state that reversible Heun comes back to
differs from 1 by 3e-16 after T = 5, 5e-14 after T = 10, and 9e-6 after T = 20; in float32 by 7e-6
after T = 10. For y' = i y it stays below 1e-15.

Source: Zhuang, Dvornek, Tatikonda, Duncan 2021, "MALI", arXiv 2102.04668; Kidger, Foster, Li, Lyons
2021, arXiv 2105.13493, Algorithm 2.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..solvers.gradient_graph import linked_gradient, states_directly
from ..solvers.inputs import State, unflatten
from ..solvers.methods.registry import METHODS, find_method
from ..solvers.problem import Problem
from ..solvers.statistics import Stats
from .recorded import (
    Cotangents,
    Held,
    find_params,
    held_by,
    prepare_recorded,
    put_back,
    record,
    with_event,
)


def odeint_reversible(
    func: Callable,
    y0: State,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str = "reversible_heun",
    options: dict | None = None,
    event_fn: Callable | None = None,
    stats: Stats | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """As `odeint`, with the gradient by undoing the steps: exact, memory flat in their number.

    Args:
        method: "reversible_heun" or "asynchronous_leapfrog". Their stability is weak; see
            `solvers/reversible.py`.
        adjoint_params: the tensors that get gradients, besides y0 and t; default: the parameters of
            func, a module.
        all others: as `odeint`. The steps are fixed: options={"step_size": ...}, or the grid is t.

    Raises:
        ValueError: for any other method; if func is no module and `adjoint_params` is None.
    """
    if find_method(method).inverse is None:
        able = [name for name in METHODS if find_method(name).inverse is not None]
        raise ValueError(
            f"odeint_reversible undoes its steps, which method {method!r} cannot; use one of "
            f"{', '.join(able)}, or odeint_replay or odeint_checkpoint, which keep states"
        )
    params = tuple(
        x for x in find_params(func, adjoint_params, "odeint_reversible") if x.requires_grad
    )
    solver = {"rtol": rtol, "atol": atol, "method": method, "options": options}
    if event_fn is not None:
        return with_event(odeint_reversible, func, y0, t, event_fn, params, stats, **solver)
    p = prepare_recorded(func, y0, t, "odeint_reversible", **solver, stats=stats)
    return unflatten(_Reversible.apply(p, held_by(func), p.y0, t, *params), p.shapes)


class _Reversible(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Problem, held: Held, y0: Tensor, t: Tensor, *params: Tensor) -> Tensor:
        y, ctx.records = record(p, lambda n, state: None)
        stepper: Any = p.stepper
        end = stepper.state or ()
        stepper.state = None  # autograd keeps it from here on
        ctx.p = p
        ctx.held = held
        ctx.save_for_backward(y0, *params, *end)
        ctx.n_params = len(params)
        return y

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple:
        y0, *saved = ctx.saved_tensors
        p = ctx.p
        state = tuple(saved[ctx.n_params :])
        wants_t = ctx.needs_input_grad[3]
        linked = torch.is_grad_enabled()
        with put_back(ctx.held, saved[: ctx.n_params], linked) as params:
            if linked:
                solve = partial(states_directly, p)
                return None, None, *linked_gradient(solve, y0, p.t, params, grad_y, wants_t)
            cotangents = Cotangents(p, params, grad_y, wants_t)
            for n, r in reversed(list(enumerate(ctx.records))):
                # The first step begins at y0 itself, and includes the making of the state.
                state = p.kind.inverse(p.f, r.t, r.t1 - r.t, state) if n else (y0,)
                cotangents.pull_back(r, state)
        p.stepper.state = None
        of_y0, of_t, sums = cotangents.finish()
        return (None, None, of_y0, of_t, *sums)
