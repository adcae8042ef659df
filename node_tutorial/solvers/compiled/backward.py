"""The program of a compiled gradient: the recorded steps of `forward.py`, redone and
differentiated.

Inside a step the solution is y0 + sum_p theta^p c_p, so an output with the cotangent g adds theta^p
g to the cotangent of c_p. These sums are the moments of a step.

    serve      every output adds its cotangent to the moments of its step
    replay     each step, from the last to the first, is redone, and its vector-Jacobian product
               taken, as in `gradients/replay.py`
    the start  the first slope is func(t[0], y0), which is differentiated, too

The vector-Jacobian products are traced first, to graphs without autograd; the program calls these.
What comes of the times of the steps, (of_t, of_h) for each, `call.py` puts together in Python.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..runge_kutta import RungeKutta
from .compiler import while_loop
from .forward import Plan, put, row_of, take_step
from .kernels import arranged


class StepGiven(NamedTuple):
    """What the vector-Jacobian product of a step is called with; the used tensors follow."""

    t: Tensor
    h: Tensor
    y0: Tensor
    f0: Tensor
    of_y1: Tensor  # cotangents,
    of_f1: Tensor
    of_coefficients: Tensor  # (degree, *)


class Recorded(NamedTuple):
    """What a backward program is called with; the used tensors follow."""

    counts: Tensor  # (4,) steps, first output served, first one not served, 1 in the first call
    grad: Tensor  # (T, *) cotangents of the outputs,
    of_y: Tensor  # of the state behind the steps,
    of_f: Tensor  # and of the slope there
    row: Tensor  # (T,) as in `Result`
    theta: Tensor  # (T,)
    moments: Tensor  # (rows, degree + 2, *) of y0, c_1 .. c_P and y1; zero at these steps
    states: Tensor  # (rows + 1, *) as the forward program left them
    slopes: Tensor  # (rows + 1, *)
    times: Tensor  # (rows + 1,)
    of_times: Tensor  # (rows, 2) cotangents of t and h of every step, to be written


def step_pullback(plan: Plan, field: Callable, wanted: Sequence[bool]) -> Callable:
    """The vector-Jacobian product of one step: (*StepGiven, *used) -> those of y0, f0, t, h, *used;
    None stands for what is not wanted, or zero.
    """
    method = RungeKutta(plan.tableau)

    def pull(*tensors: Tensor) -> list[Tensor | None]:
        given = StepGiven(*tensors[: len(StepGiven._fields)])
        # Leaves of a graph of autograd that lives inside this function only. `trace` writes down
        # the operations of its backward pass with the others: the program needs no autograd.
        with torch.enable_grad():
            t = given.t.detach().requires_grad_(plan.wants_t)
            h = given.h.detach().requires_grad_(plan.wants_t)
            y0 = given.y0.detach().requires_grad_()
            f0 = given.f0.detach().requires_grad_(plan.passes_slope)
            used = differentiated(tensors[len(StepGiven._fields) :], wanted)
            step, inner = take_step(plan, method, lambda t, y: field(t, y, *used), t, h, y0, f0)
            # A slope that the next step does not get has no cotangent.
            f1 = step.f1 if plan.passes_slope else None
            pairs = [(step.y1, given.of_y1), (f1, given.of_f1)]
            pairs += zip(inner, given.of_coefficients.unbind())
            return products(pairs, (y0, f0, t, h, *used))

    return pull


def field_pullback(plan: Plan, field: Callable, wanted: Sequence[bool]) -> Callable:
    """The vector-Jacobian product of the field: (t, y, of_f, *used) -> those of y, t, *used, or
    None.
    """

    def pull(t: Tensor, y: Tensor, of_f: Tensor, *used: Tensor) -> list[Tensor | None]:
        with torch.enable_grad():
            t = t.detach().requires_grad_(plan.wants_t)
            y = y.detach().requires_grad_()
            used = differentiated(used, wanted)
            return products([(field(t.to(y.dtype), y, *used), of_f)], (y, t, *used))

    return pull


def differentiated(used: Sequence[Tensor], wanted: Sequence[bool]) -> tuple[Tensor, ...]:
    return tuple(x.detach().requires_grad_(w) for x, w in zip(used, wanted))


def products(pairs: Sequence, inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients of outputs with cotangents, (output, cotangent) each, with respect to those
    inputs that require them; None for the others.
    """
    # Of an output that depends on nothing, autograd refuses the gradient; it is zero.
    kept = [(x, g) for x, g in pairs if x is not None and x.requires_grad]
    if not kept:
        return [None] * len(inputs)
    outputs, cotangents = zip(*kept)
    wanted = [x for x in inputs if x.requires_grad]
    found = iter(torch.autograd.grad(outputs, wanted, cotangents, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in inputs]


def backward_program(
    plan: Plan, pull_step: Callable, pull_field: Callable, wanted: Sequence[bool]
) -> Callable:
    """The program that pulls the cotangents of the outputs back through the steps of one call of
    the forward program: (*Recorded, *used) -> (of_y, of_f, of_t0, *of_used).

    These are the cotangents of the state and slope before the steps; of t[0], as an argument of the
    first slope; of the used tensors that are wanted.

    Args:
        plan: of the forward program.
        pull_step, pull_field: `step_pullback` and `field_pullback`, traced.
        wanted: which of the used tensors get gradients.
    """

    def program(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = Recorded(*tensors[: len(Recorded._fields)])
        used = tensors[len(Recorded._fields) :]
        steps, _, end, first = given.counts.unbind()
        # The moments first, for the steps read them.
        output = serve(plan, given)
        # That is `steps`: the difference is zero, but a loop whose result is not used would be left
        # out of the program.
        steps = steps + output - end
        # Not `zeros_like`: of a constant inductor makes another copy for whoever reads it, so that
        # what a loop adds to it is lost.
        zeros = [torch.where(steps < 0, x, 0.0) for x, w in zip(used, wanted) if w]
        used = arranged(used)
        of_y, of_f, *sums = replay(plan, pull_step, given, steps, zeros, used, wanted)
        of_t0 = torch.zeros_like(given.times[0])
        if plan.passes_slope:  # the first slope is func(t[0], y0)
            # In a later call the slope is that of the step before, to which of_f is handed on.
            cotangent = torch.where(first > 0, of_f, 0.0)
            of_y0, of_t, *found = pull_field(given.times[0], given.states[0], cotangent, *used)
            of_y = of_y if of_y0 is None else of_y + of_y0
            of_t0 = of_t0 if of_t is None else of_t0 + of_t
            sums = added(sums, found, wanted)
        # The first output is y0 itself.
        return of_y + torch.where(first > 0, given.grad[0], 0.0), of_f, of_t0, *sums

    return program


def serve(plan: Plan, given: Recorded) -> Tensor:
    """Add the cotangents of the outputs to the moments of their steps; the first output beyond."""
    _, begin, end, _ = given.counts.unbind()

    def going(carried: tuple, read: tuple) -> Tensor:
        # The next output, and the first one that these steps do not serve.
        return carried[0] < read[-1]

    def body(carried: tuple, written: tuple, read: tuple) -> tuple:
        (output,) = carried
        (moments,) = written
        grad, row, theta, _ = read
        step = row_of(row, output)
        x = row_of(theta, output)
        # The weights of y0, c_1 .. c_P, y1 in this output: 1, x .. x^P, 0; at the end of a step
        # only y1. (A chain of conditions, as in `packed`.)
        inside = torch.where(x < 1, 1.0, 0.0)
        place = torch.arange(plan.degree + 2)
        weights = 1 - inside
        for p in range(plan.degree + 1):
            weights = torch.where(place == p, inside * x**p, weights)
        column = (-1, *[1] * (grad.dim() - 1))
        added = weights.to(grad.dtype).view(column) * row_of(grad, output)
        put(moments, step, row_of(moments, step) + added)
        return (output + 1,)

    read = (given.grad, given.row, given.theta, end)
    (output,) = while_loop(going, body, (begin,), (given.moments,), read)
    return output


def replay(
    plan: Plan,
    pull_step: Callable,
    given: Recorded,
    steps: Tensor,
    zeros: Sequence[Tensor],
    used: Sequence[Tensor],
    wanted: Sequence[bool],
) -> tuple[Tensor, ...]:
    """Pull back through the steps, from the last to the first: of_y, of_f before them, and the sums
    of the cotangents of the used tensors, which begin with `zeros`.
    """

    def going(carried: tuple, read: tuple) -> Tensor:
        return carried[0] > 0

    def body(carried: tuple, written: tuple, read: tuple) -> tuple:
        n, of_y1, of_f1, *sums = carried
        states, slopes, times, all_moments, *used = read
        m = n - 1
        y0 = row_of(states, m)
        t = row_of(times, m)
        moments = row_of(all_moments, m)
        # Where no slope is passed on, of_f1 is zero, and serves as a tensor of the right shape.
        f0 = row_of(slopes, m) if plan.passes_slope else of_f1
        h = row_of(times, n) - t
        step = StepGiven(t, h, y0, f0, of_y1 + moments[-1], of_f1, moments[1:-1])
        # y1 gets what came back from the steps behind it, and from outputs at the very end.
        found = pull_step(*step, *used)
        of_y0, of_f0, of_t, of_h = (
            torch.zeros_like(x) if of_x is None else of_x for of_x, x in zip(found, (y0, f0, t, h))
        )
        # Whether a step's end moves with t depends on stops and outputs, which `call.py` knows.
        if plan.wants_t:
            put(written[0], m, torch.stack([of_t, of_h]))
        of_f = of_f0 if plan.passes_slope else of_f1
        # y0 is y1 of the step before.
        return m, of_y0 + moments[0], of_f, *added(sums, found[4:], wanted)

    carried = (steps, given.of_y, given.of_f, *zeros)
    written = (given.of_times,) if plan.wants_t else ()
    read = (given.states, given.slopes, given.times, given.moments, *used)
    return while_loop(going, body, carried, written, read)[1:]


def added(
    sums: Sequence[Tensor], found: Sequence[Tensor | None], wanted: Sequence[bool]
) -> list[Tensor]:
    """The sums, of the used tensors that are wanted, with what was found for all of them."""
    # Of `found` there is one for every used tensor; of the sums one for every wanted one.
    terms = [of_x for of_x, w in zip(found, wanted) if w]
    return [total if x is None else total + x for total, x in zip(sums, terms)]
