"""Events: stop where g(t, y(t)) = 0, and differentiate the time at which that happens.

The solve goes on step by step until the sign of g changes; the root is then found on the dense
output of that step.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import SolveError, too_many_steps
from .integrate import Log, Segment
from .runge_kutta import Dense, Field, end_slope, interpolate, time_tensor

EventFn = Callable[[Tensor, Tensor], Tensor]


def first_of(event_fn: EventFn, t0: Tensor, y0: Tensor) -> EventFn:
    """One scalar event for a function with several outputs: positive at the start, and zero when
    the first of them is.
    """
    with torch.no_grad():
        signs = torch.sign(event_fn(t0, y0))
    return lambda t, y: torch.min(event_fn(t, y) * signs)


def find_event(
    steps: Iterable[Segment],
    event_fn: EventFn,
    y0: Tensor,
    t0: float,
    dense: Dense,
    f: Field,
    log: Log,
    max_steps: int,
    parts: Callable[[Segment], list[Segment]],
) -> tuple[float, Tensor]:
    """The first time at which event_fn changes its sign, to rounding, and the state there.

    `parts` makes of a step those that its dense output is read from.

    An event that is crossed twice within one step goes unseen: bound the step then, by max_step.
    """

    def g(t: float, y: Tensor) -> float:
        with torch.no_grad():
            return float(event_fn(time_tensor(t, y), y))

    g0 = g(t0, y0)
    if g0 == 0:
        return t0, y0
    if not g0 == g0:
        raise SolveError(
            f"event_fn returned NaN at the start, t = {t0:.6g}; call event_fn(t0, y0) by itself"
        )
    for segment in steps:
        t, t1, step = segment
        g1 = g(t1, step.y1)
        if g0 * g1 <= 0:
            if dense == "cubic":
                end_slope(step, f)
            *others, last = parts(segment)
            for part in others:
                g_part = g(part.t1, part.step.y1)
                if g0 * g_part <= 0:
                    return _root_inside(part, g, g0, g_part, dense)
            return _root_inside(last, g, g0, g1, dense)
        if not g1 == g1:
            raise SolveError(
                f"event_fn returned NaN at t = {t1:.6g}; it must be finite along the solution"
            )
        if log.stats.accepted + log.stats.rejected >= max_steps or abs(t1) > 1e300:
            raise too_many_steps(max_steps, t1, None, t1 - t)
    raise SolveError("no event: the steps came to an end before event_fn changed its sign")


def _root_inside(
    segment: Segment, g: Callable[[float, Tensor], float], g0: float, g1: float, dense: Dense
) -> tuple[float, Tensor]:
    """The time inside a step at which g(t, y(t)), g0 and g1 at its ends, is zero; and y there."""
    # Here, because importing scipy takes longer than importing all of this package.
    from scipy.optimize import brentq

    t, t1, step = segment

    def g_at(theta: float) -> float:
        # At the ends by definition, whatever the rounding of the interpolation.
        if theta in (0.0, 1.0):
            return g0 if theta == 0 else g1
        with torch.no_grad():
            return g(t + theta * (t1 - t), interpolate(step, [theta], dense)[0])

    theta = 1.0 if g1 == 0 else brentq(g_at, 0.0, 1.0, xtol=1e-15, rtol=1e-14)
    if g_at(max(0.0, theta - 1e-9)) * g0 <= 0:
        # g is zero already before its root, such as a condition (y > 0, relu) that is zero from
        # the event on: that is where its sign ends.
        theta = _end_of_sign(g_at, g0, theta)
    if theta == 1:
        return t1, step.y1
    t_event = t + theta * (t1 - t)
    if isinstance(step.t, Tensor):
        # The event stays where it is when t0, and with it the step, is moved.
        moved = ((t_event - step.t) / step.h).reshape(1)
        return t_event, interpolate(step, moved, dense)[0]
    return t_event, interpolate(step, [theta], dense)[0]


def _end_of_sign(g: Callable[[float], float], g0: float, end: float) -> float:
    """The first number, to rounding, from which g has no longer the sign of g0, by bisection."""
    low = 0.0
    high = end
    while high - low > 1e-15:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if g(middle) * g0 > 0:
            low = middle
        else:
            high = middle
    return high


def no_derivative(t: Tensor) -> SolveError:
    return SolveError(
        f"the event at t = {t.item():.6g} has no derivative with respect to the solution: "
        "event_fn does not change along the flow there, so its time cannot be differentiated. "
        "Use odeint(..., event_fn=...), or odeint_event under torch.no_grad(), for the value only."
    )


class _Once(torch.autograd.Function):
    """A number with a first derivative only: the second one of an event's time has more terms."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "an event's time and state can be differentiated once only: leave "
                "create_graph=True out"
            )
        return grad


def link_event_gradient(
    func: Callable, event_fn: Callable, event_t: Tensor, state: Tensor | tuple[Tensor, ...]
) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
    """The event's time and state, differentiable, from those of a solve that ended at the
    (detached) event time t_e.

    With c = event_fn(t_e, y_e) = 0 and its total derivative c' = dc/dt + dc/dy f, the implicit
    function theorem gives dt* = -dc / c', and the state moves along: dy* = dy_e + f dt*. Both are
    written as numbers that are 0 now and have this derivative. (Chen, Amos, Nickel 2021, "Learning
    neural event functions for ODEs", section 3.)
    """
    if not torch.is_grad_enabled():
        return event_t, state
    parts = state if isinstance(state, tuple) else (state,)
    here = event_t.detach().to(parts[0].dtype.to_real())

    def call(fn: Callable, t: Tensor, ys: Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        return fn(t, tuple(ys) if isinstance(state, tuple) else ys[0])

    def scalar(t: Tensor, ys: Sequence[Tensor]) -> Tensor:
        c = torch.as_tensor(call(event_fn, t, ys)).reshape(-1)
        return c[c.detach().double().abs().argmin()]  # of several events, the one that happened

    slope = call(func, here, parts)
    slopes = slope if isinstance(slope, tuple) else (slope,)
    with torch.enable_grad():
        t_leaf = here.clone().requires_grad_()
        y_leaves = [p.detach().clone().requires_grad_() for p in parts]
        c_here = scalar(t_leaf, y_leaves)
        if c_here.is_floating_point() and not c_here.requires_grad:
            # A constant, such as zero from a last time on: the end is neither moved by anything.
            return event_t.detach(), state
        if not c_here.requires_grad:
            raise no_derivative(here)
        grads = torch.autograd.grad(c_here, (t_leaf, *y_leaves), allow_unused=True)
    rate = torch.zeros_like(here) if grads[0] is None else grads[0]
    for g, k in zip(grads[1:], slopes, strict=True):
        if g is not None:
            rate = rate + (g.conj() * k.detach()).sum().real
    if rate == 0:
        raise no_derivative(here)
    c = _Once.apply(scalar(here, parts))
    shift = -(c - c.detach()) / rate
    moved = tuple(p + k.detach() * shift.to(p.dtype) for p, k in zip(parts, slopes, strict=True))
    time = event_t.detach() + shift.to(event_t.dtype)
    return time, moved if isinstance(state, tuple) else moved[0]
