"""Reversible methods: every step can be undone by a formula, for any field, at the cost of a step.

A Runge-Kutta step forgets where it came from. These methods carry a second trajectory beside y, and
each of the two is moved by a slope that the other gives; what moved a variable is still known
afterwards, and can be taken back. So the states of a solve need not be kept for its gradient
(`gradients/reversible.py`).

Both are explicit, of order 2, with one evaluation a step, and one at the start; step sizes may
vary.

The price is stability. On y' = lambda y the two take the same steps. With z = h lambda, each step
multiplies one part of the state by z + sqrt(1 + z^2), the solution, and another by z - sqrt(1 +
z^2). The product of the two is -1: only for z from -i to i is neither greater than 1. Where the
solution decays, the other part grows as exp(|lambda| t), with alternating sign. For y' = -y from 1,
with h = 0.1, the error is 6e-4 at most up to t = 4, but 0.13 at t = 10, and 2.9e3 at t = 20, where
y is 2e-9. So: for oscillations, and for times that are short in units of 1 / |lambda|.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from ..options import GRID
from ..runge_kutta import Field, Step, Time, stage_times, time_tensor
from .method import Method, ReversibleState


class Reversible(NamedTuple):
    """The formulas of a reversible method. The state of a step has y first, a slope last.

    start(f, t, y) -> state, step(f, t, h, state) -> state at t + h, and
    inverse(f, t, h, state at t + h) -> state at t.
    """

    order: int
    start: Callable[[Field, Time, Tensor], ReversibleState]
    step: Callable[[Field, Time, Time, ReversibleState], ReversibleState]
    inverse: Callable[[Field, Time, Time, ReversibleState], ReversibleState]


# ---- Reversible Heun: y moves by the trapezoidal rule, with the slopes on a second trajectory x,
# which leaps over y.
# Kidger, Foster, Li, Lyons 2021, "Efficient and accurate gradients for neural SDEs", arXiv
# 2105.13493, Algorithm 1.


def heun_start(f: Field, t: Time, y: Tensor) -> ReversibleState:
    """State (y, x, k): x = y, and k = f(t, x)."""
    return y, y, f(time_tensor(t, y), y)


def heun_step(f: Field, t: Time, h: Time, state: ReversibleState) -> ReversibleState:
    """x1 = 2 y - x + h k,  k1 = f(t + h, x1),  y1 = y + h (k + k1) / 2."""
    y, x, k = state
    x1 = 2 * y - x + h * k
    k1 = f(stage_times((1.0,), t, h, y)[0], x1)
    return y + h / 2 * (k + k1), x1, k1


def heun_inverse(f: Field, t: Time, h: Time, state: ReversibleState) -> ReversibleState:
    """x = 2 y1 - x1 - h k1,  k = f(t, x),  y = y1 - h (k + k1) / 2."""
    y1, x1, k1 = state
    x = 2 * y1 - x1 - h * k1
    k = f(time_tensor(t, x), x)
    return y1 - h / 2 * (k + k1), x, k


# ---- Asynchronous leapfrog: y moves with a slope v of its own, which the field's slope at the
# midpoint reflects.
# Mutze 2013, "An asynchronous leapfrog method II"; Zhuang, Dvornek, Tatikonda, Duncan 2021, "MALI",
# arXiv 2102.04668.


def leapfrog_start(f: Field, t: Time, y: Tensor) -> ReversibleState:
    """State (y, v): v = f(t, y)."""
    return y, f(time_tensor(t, y), y)


def leapfrog_step(f: Field, t: Time, h: Time, state: ReversibleState) -> ReversibleState:
    """m = y + h v / 2,  v1 = 2 f(t + h/2, m) - v,  y1 = m + h v1 / 2."""
    y, v = state
    m = y + h / 2 * v
    v1 = 2 * f(stage_times((0.5,), t, h, y)[0], m) - v
    return m + h / 2 * v1, v1


def leapfrog_inverse(f: Field, t: Time, h: Time, state: ReversibleState) -> ReversibleState:
    """m = y1 - h v1 / 2,  v = 2 f(t + h/2, m) - v1,  y = m - h v / 2."""
    y1, v1 = state
    m = y1 - h / 2 * v1
    v = 2 * f(stage_times((0.5,), t, h, m)[0], m) - v1
    return m - h / 2 * v, v


REVERSIBLE = {
    "reversible_heun": Reversible(2, heun_start, heun_step, heun_inverse),
    "asynchronous_leapfrog": Reversible(2, leapfrog_start, leapfrog_step, leapfrog_inverse),
}


class ReversibleStepper:
    """What takes the steps of a reversible method; it carries the state along.

    The slope at the end of the state is that of y up to O(h^2): good enough for the output between
    the steps.
    """

    def __init__(self, method: Reversible) -> None:
        self.method = method
        self.order = method.order
        self.state: ReversibleState | None = None  # behind the last step; None before the first

    def step(
        self,
        f: Field,
        t: Time,
        y: Tensor,
        h: Time,
        f0: Tensor | None = None,
        before_end: bool = False,
    ) -> Step:
        before = self.state or self.method.start(f, t, y)
        self.state = after = self.method.step(f, t, h, before)
        return Step(t, h, before[0], after[0], after[-1], None, [before[-1]])


def _reversible(name: str, formulas: Reversible) -> Method:
    return Method(
        name,
        formulas.order,
        lambda setup: ReversibleStepper(formulas),
        inverse=formulas.inverse,
        # perturb would have each step see a slope of its own, and forget its past.
        options=[name for name in GRID if name != "perturb"],
    )


REVERSIBLE_METHODS = tuple(_reversible(name, formulas) for name, formulas in REVERSIBLE.items())
