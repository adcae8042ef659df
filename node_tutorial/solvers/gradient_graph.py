"""Second derivatives through a solve that keeps no graph.

The gradient modes compute a gradient without a graph of it. Where one is wanted (create_graph=True:
a gradient penalty, a Hessian), the solve is made once more, directly, with a graph of all its
steps; the gradient of that is exact for the computed solution, and so is its derivative. The price
is that of direct differentiation, and only those pay it who ask for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .integrate import Log
from .options import make_controller
from .problem import Problem, accepted_steps, states_of


def states_directly(p: Problem, y0: Tensor, t: Tensor) -> Tensor:
    """The states (T, *) of a problem again, from y0 and t, differentiable in both."""
    if p.kind.stepper is None:
        raise RuntimeError(
            f"a solve by {p.method} has no second derivative: leave create_graph=True out, or use "
            "another method"
        )
    again = replace(
        p,
        y0=y0,
        t=t,
        log=Log(),  # evaluations are counted by p.f
        stepper=p.kind.stepper(p.setup),
        controller=p.controller and make_controller(p.options, "PI" if p.kind.implicit else "I"),
    )
    return states_of(again, accepted_steps(again), again.tensors)


def linked_gradient(
    solve: Callable[[Tensor, Tensor], Tensor],
    y0: Tensor,
    t: Tensor,
    params: Sequence[Tensor],
    grad_y: Tensor,
    wants_t: bool,
) -> tuple[Tensor | None, ...]:
    """The gradients of a solve by y0, t and params, which can be differentiated once more.

    Args:
        solve: solve(y0, t) -> states (T, *), with a graph, that also uses params.
        y0, t, params: what it was given.
        grad_y: the cotangent of the states.
        wants_t: whether t has a gradient; None stands for it, else.
    """
    return _Gradient.apply(solve, wants_t, y0, t, grad_y, *params)


class _Gradient(torch.autograd.Function):
    """Forward: the vector-Jacobian product of a solve. Backward: that of the product itself."""

    @staticmethod
    def forward(
        ctx: Any,
        solve: Callable,
        wants_t: bool,
        y0: Tensor,
        t: Tensor,
        grad_y: Tensor,
        *params: Any,
    ) -> tuple:
        # Leaves of a graph of its own: y0 and grad_y may depend on the parameters, too, which is
        # for autograd outside of here.
        with torch.enable_grad():
            y0 = y0.detach().requires_grad_()
            t = t.detach().requires_grad_(wants_t)
            grad_y = grad_y.detach().requires_grad_()
            sources = (y0, *([t] if wants_t else []), *params)
            y = solve(y0, t)
            found = torch.autograd.grad(y, sources, grad_y, create_graph=True, allow_unused=True)
        of_y0, *rest = found
        of_t = rest.pop(0) if wants_t else None
        ctx.sources = (y0, t, grad_y, *params)
        ctx.products = (of_y0, of_t, *rest)
        return tuple(None if x is None else x.detach() for x in ctx.products)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this gradient mode gives first and second derivatives; for third ones use "
                "odeint, or gradient='direct'"
            )
        pairs = [
            (x, g)
            for x, g in zip(ctx.products, grads)
            if x is not None and g is not None and x.requires_grad
        ]
        wanted = [x for x in ctx.sources if x.requires_grad]
        found: list[Any] = [None] * len(wanted)
        if pairs:
            outputs, cotangents = zip(*pairs)
            found = list(
                torch.autograd.grad(
                    outputs, wanted, cotangents, allow_unused=True, retain_graph=True
                )
            )
        return None, None, *(found.pop(0) if x.requires_grad else None for x in ctx.sources)
