"""The program of a compiled solve: the loop of `integrate.py` over tensors.

It is a function of tensors around a `while_loop`; `solve.py` compiles and calls it. A call takes up
to `rows` steps, and writes them into buffers: row n of states, slopes, times holds what there is
before step n, row n + 1 what is behind it. A longer solve takes several calls.

    begin      the first slope and the first size, in the first call; row 0 of the buffers
    the loop   attempt: propose, try, judge, move, as `march` does; or, with fixed steps, `advance`
    serve      the outputs inside the steps of this call, all at once, behind the loop

Nothing is decided in Python here: an attempt that fails writes its row all the same, and the next
one writes over it; a branch becomes a `where`; an error becomes a code, which ends the loop and is
raised by `call.py`. What steers the loop are twelve numbers, the `Clock`; the rules are those of
`control.py`, `integrate.py` and `batched.py` once more, because there they are about floats, or one
number per row. (tests/solvers/test_compiled.py sweeps them side by side.)

Inside a step of size h the solution is a polynomial, y(t + theta h) = y + sum_p theta^p c_p. The
coefficients are written down with every step, and the output times are served from them.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..runge_kutta import Dense, RungeKutta, Step
from ..tableaus import Tableau
from .compiler import while_loop
from .kernels import arranged

# Why a loop ended early.
UNDERFLOW = 1
TOO_MANY_STEPS = 2
NOT_FINITE = 3

LEAST_RATIO = 1e-10  # that the PI controller looks at, as in `control.py`


@dataclass(frozen=True)
class Plan:
    """What a program is compiled for, besides the field and the shapes."""

    tableau: Tableau
    adaptive: bool
    controller: str  # "I" or "PI"
    parts: tuple[int, ...]  # numbers of entries of a tuple state's parts, else (); what lies behind
    # the parts is not measured
    dense: Dense
    inside: bool  # output times may lie inside steps
    wants_t: bool  # gradients with respect to t are wanted
    points: int  # number of output times
    rows: int  # the most steps that one call takes

    @cached_property
    def carries_slope(self) -> bool:
        """Whether the method has f(t1, y1) for free."""
        return self.tableau.fsal or self.tableau.carry_last

    @cached_property
    def passes_slope(self) -> bool:
        """Whether a step passes its last slope on to the next one."""
        return self.carries_slope or self.adds_slope

    @cached_property
    def adds_slope(self) -> bool:
        """Whether f(t1, y1) has to be evaluated for the interpolation."""
        return self.inside and self.dense == "cubic" and not self.carries_slope

    @cached_property
    def degree(self) -> int:
        """Of the polynomial inside a step; 0 where none is needed."""
        if not self.inside:
            return 0
        if isinstance(self.dense, str):
            return {"linear": 1, "cubic": 3}[self.dense]
        return max(map(len, self.dense))


class Given(NamedTuple):
    """What a forward program is called with; the used tensors follow."""

    y: Tensor  # the state of a call's first step,
    slope: Tensor  # and its slope; in the first call yet to be found
    outputs: Tensor  # (T, *) to be filled in
    states: Tensor  # (rows + 1, *) buffers, from here ..
    slopes: Tensor  # (rows + 1, *)
    times: Tensor  # (rows + 1,)
    coefficients: Tensor  # (rows * degree, *) .. to here
    settings: Tensor  # numbers, see `Settings`,
    clock: Tensor  # and `Clock`
    rtol: Tensor
    atol: Tensor


class Result(NamedTuple):
    """What it returns, besides what it writes into the buffers."""

    outputs: Tensor  # (T, *) those that the steps reach are filled in
    row: Tensor  # (T,) the step that serves an output time,
    theta: Tensor  # (T,) how far inside it that lies,
    slopes: Tensor  # (T, *) and dy/dt there, if gradients with respect to t are wanted
    clock: Tensor


class Settings(NamedTuple):
    """The numbers that do not change during a solve: one vector, the stops and times at its end."""

    direction: Tensor  # 1 or -1
    min_step: Tensor
    max_step: Tensor
    safety: Tensor
    ifactor: Tensor
    dfactor: Tensor
    max_steps: Tensor  # between two outputs
    stops: Tensor  # (S,) times that no step crosses; of fixed steps the grid
    output_times: Tensor  # (T,)


class Clock(NamedTuple):
    """The numbers that change from attempt to attempt: tensors in a program, floats behind it."""

    accepted: Any  # steps of the calls before
    steps: Any  # of this call
    stop: Any  # index of the next one
    code: Any  # why the loop ended early, else 0
    attempts: Any
    served: Any  # outputs that are reached
    attempts_then: Any  # when the last output was reached
    t: Any
    size: Any  # that the next attempt shall have
    ratio: Any  # of the last attempt: its error over the tolerance,
    h: Any  # and its size
    previous_ratio: Any  # of the last accepted one, for the PI controller


class Buffers(NamedTuple):
    states: Tensor
    slopes: Tensor
    times: Tensor
    coefficients: Tensor | None = None


def forward_program(plan: Plan, field: Callable) -> Callable:
    """The program of the solve: (*Given, *used) -> Result. It fills the buffers that it is given.

    Args:
        plan: what it is made for.
        field: the vector field, as a function field(t, y, *used) of tensors.
    """
    method = RungeKutta(plan.tableau)

    def going(carried: tuple, read: tuple) -> Tensor:
        # Three reasons to stop: the buffers are full, the end is reached, something went wrong.
        clock = unpacked(carried[0])
        stops = settings_of(read[0], plan.points).stops
        return (clock.steps < plan.rows) & (clock.stop < stops.numel()) & (clock.code == 0)

    def body(carried: tuple, written: tuple, read: tuple) -> tuple:
        # A loop sees what it is given, and nothing around it: all it reads comes through `read`.
        numbers, rtol, atol, *used = read
        clock = unpacked(carried[0])
        settings = settings_of(numbers, plan.points)
        buffers = Buffers(*written)

        def f(t: Tensor, y: Tensor) -> Tensor:
            return field(t, y, *used)

        if plan.adaptive:
            clock = attempt(plan, method, f, clock, settings, buffers, (rtol, atol))
        else:
            clock = advance(plan, method, f, clock, settings, buffers)
        return (packed(clock),)

    def program(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = Given(*tensors[: len(Given._fields)])
        used = arranged(tensors[len(Given._fields) :])
        # Behind `arranged`: every evaluation, also the first, is of the same copies.
        clock = begin(plan, lambda t, y: field(t, y, *used), given)
        written = [given.states, given.slopes, given.times]
        if plan.inside:
            written.append(given.coefficients)
        read = (given.settings, given.rtol, given.atol, *used)
        (numbers,) = while_loop(going, body, (packed(clock),), written, read)
        return tuple(serve(plan, given, clock, unpacked(numbers)))  # inductor wants a plain one

    return program


def begin(plan: Plan, f: Callable, given: Given) -> Clock:
    """The clock before the loop; the state, slope and time there become row 0 of the buffers."""
    settings = settings_of(given.settings, plan.points)
    clock = unpacked(given.clock)
    clock = clock._replace(
        accepted=clock.accepted + clock.steps, steps=torch.zeros_like(clock.steps)
    )
    t = clock.t
    y = given.y
    slope = given.slope
    first = clock.accepted + clock.attempts == 0
    # One program serves the first call and the later ones, so that these evaluate a slope, too, and
    # do not use it. That is once in up to 128 steps.
    if plan.passes_slope or plan.adaptive:
        slope_here = f(t.to(y.dtype), y)
        slope = torch.where(first, slope_here, slope)
    if plan.adaptive:
        # A first slope that is not finite ends the loop before it begins.
        code = torch.where(first & ~torch.isfinite(slope).all(), NOT_FINITE, clock.code)
        tolerances = (given.rtol, given.atol)
        guess = initial_size(
            plan, f, t, y, slope_here, settings.stops[0], settings.direction, tolerances
        )
        size = torch.where(first & (clock.size == 0), guess, clock.size)
        clock = clock._replace(code=code, size=size)
    # The loop reads where it stands from the buffers, so that these must hold it.
    zero = torch.zeros((), dtype=torch.int64)
    put(given.states, zero, y)
    put(given.slopes, zero, slope)
    put(given.times, zero, t)
    return clock


def attempt(
    plan: Plan,
    method: RungeKutta,
    f: Callable,
    clock: Clock,
    settings: Settings,
    buffers: Buffers,
    tolerances: tuple[Tensor, Tensor],
) -> Clock:
    """Attempt a step, and write it down; the clock after it. As one turn of `march`."""
    # Propose: as far as the last attempt says, but not across the next stop.
    end = row_of(settings.stops, clock.stop.long())
    room = settings.direction * (end - clock.t)
    size = torch.minimum(torch.maximum(clock.size, settings.min_step), settings.max_step)
    lands = size >= room
    h = settings.direction * torch.minimum(size, room)
    stuck = clock.t + h == clock.t

    # Try. What is written is overwritten by the next attempt, should this one fail.
    n = clock.steps.long()
    y = row_of(buffers.states, n)
    step, inner = take_step(plan, method, f, clock.t, h, y, row_of(buffers.slopes, n))
    t1 = torch.where(lands, end, clock.t + h)
    write(buffers, n, t1, step, inner)

    # Judge. No branch: everything is computed both for an accepted step and for a rejected one, and
    # `where` takes one of them. The smallest step is taken whatever its error, if that is a number.
    assert step.error is not None
    ratio = norm(plan, step.error / scale(tolerances, y, step.y1))
    accept, factor = decide(
        plan.controller, plan.tableau.order, settings, ratio, clock.previous_ratio
    )
    smallest = h.abs() <= settings.min_step
    accept = (accept | (smallest & (ratio < math.inf))) & ~stuck
    underflow = stuck | (~accept & smallest)

    # Move. A step that a stop cut short says little about how long the next one may be.
    after = factor * h.abs()
    clock = count(clock, settings, t1, accept, stuck, underflow)
    return clock._replace(
        steps=clock.steps + accept.double(),
        stop=clock.stop + (accept & lands).double(),
        t=torch.where(accept, t1, clock.t),
        size=torch.where(accept & (size > room), torch.maximum(size, after), after),
        ratio=torch.where(stuck, clock.ratio, ratio),  # stuck: the message tells of the one before
        h=h,
        previous_ratio=torch.where(accept, ratio.clamp(min=LEAST_RATIO), clock.previous_ratio),
    )


def count(
    clock: Clock, settings: Settings, t1: Tensor, accept: Tensor, stuck: Tensor, underflow: Tensor
) -> Clock:
    """The clock with its counts of attempts and outputs, and the code, after an attempt."""
    # A step too short to move t is no attempt; it ends the solve.
    attempts = clock.attempts + (~stuck).double()
    # The outputs up to t1: they are sorted, so that a count finds the place.
    reached = (settings.direction * (settings.output_times - t1) <= 0).sum()
    served = torch.where(accept, reached, clock.served)
    attempts_then = torch.where(served > clock.served, attempts, clock.attempts_then)
    late = accept & (attempts - attempts_then >= settings.max_steps)
    # Behind the last output, the rest of the way may take what it takes.
    late = late & (served < settings.output_times.numel())
    return clock._replace(
        code=torch.where(underflow, UNDERFLOW, torch.where(late, TOO_MANY_STEPS, 0)),
        attempts=attempts,
        served=served,
        attempts_then=attempts_then,
    )


def advance(
    plan: Plan, method: RungeKutta, f: Callable, clock: Clock, settings: Settings, buffers: Buffers
) -> Clock:
    """Take a fixed step, to the next stop, and write it down; the clock after it."""
    # The clock is float64 throughout, exact up to 2^53; an index has to be an integer.
    n = clock.steps.long()
    end = row_of(settings.stops, clock.stop.long())
    y = row_of(buffers.states, n)
    step, inner = take_step(plan, method, f, clock.t, end - clock.t, y, row_of(buffers.slopes, n))
    write(buffers, n, end, step, inner)
    return clock._replace(steps=clock.steps + 1, stop=clock.stop + 1, t=end)


def take_step(
    plan: Plan, method: RungeKutta, f: Callable, t: Tensor, h: Tensor, y: Tensor, f0: Tensor
) -> tuple[Step, list[Tensor]]:
    """A step, and the coefficients c_1 .. c_P of the solution inside it."""
    # The very step of the plain solve, traced: t and h are tensors, which it allows.
    step = method.step(f, t, y, h, f0 if plan.passes_slope else None)
    if plan.adds_slope:
        step.f1 = f((t + h).to(y.dtype), step.y1)
    return step, coefficients(plan, h.to(y.dtype), y, step) if plan.inside else []


def coefficients(plan: Plan, h: Tensor, y: Tensor, step: Step) -> list[Tensor]:
    """c_1 .. c_P, as `interpolate` of `runge_kutta.py`, sorted by powers of theta."""
    if isinstance(plan.dense, str):
        rise = step.y1 - y
        if plan.dense == "linear":
            return [rise]
        # Hermite's cubic, HNW I, (II.6.7).
        assert step.f1 is not None
        first = h * step.stages[0]
        last = h * step.f1
        return [first, 3 * rise - 2 * first - last, first + last - 2 * rise]
    # A row of `dense` holds the powers of one stage; a column, the stages of one power. Weights
    # that are zero are left out of the program.
    columns = itertools.zip_longest(*plan.dense, fillvalue=0.0)
    return [h * sum(w * k for w, k in zip(column, step.stages) if w) for column in columns]


def write(buffers: Buffers, n: Tensor, t1: Tensor, step: Step, inner: list[Tensor]) -> None:
    """Write down step n."""
    # Behind step n, which begins in row n.
    put(buffers.times, n + 1, t1)
    put(buffers.states, n + 1, step.y1)
    if step.f1 is not None:
        put(buffers.slopes, n + 1, step.f1)
    for i, x in enumerate(inner):
        assert buffers.coefficients is not None
        # Sorted by steps, then by powers.
        put(buffers.coefficients, n * len(inner) + i, x)


def serve(plan: Plan, given: Given, before: Clock, clock: Clock) -> Result:
    """The outputs inside the steps of a call, by the clocks before and after its loop."""
    settings = settings_of(given.settings, plan.points)
    direction = settings.direction
    output_times = settings.output_times
    times = given.times
    # With fixed steps the loop has not counted them.
    served = (direction * (output_times - clock.t) <= 0).sum()
    clock = clock._replace(served=served)

    # An output on the boundary of two steps belongs to the first of them. Rows beyond the last step
    # hold whatever was in memory. (Counted, not looked for by `searchsorted`, which is a call of a
    # library: there would be no temporaries on the stack.)
    ends = torch.where(torch.arange(plan.rows) < clock.steps, direction * times[1:], math.inf)
    row = (ends < (direction * output_times).unsqueeze(1)).sum(1).clamp(max=plan.rows - 1)
    h = times[row + 1] - times[row]
    theta = (output_times - times[row]) / h

    column = (-1, *[1] * given.y.dim())  # a number per output, shaped to broadcast against y
    values = given.states[row + 1]
    slopes = given.y.new_zeros(())  # a program returns tensors only: here none is wanted
    if plan.inside:
        x = theta.to(given.y.dtype).view(column)
        inner = [given.coefficients[row * plan.degree + p] for p in range(plan.degree)]
        # All outputs at once: a row of states and of coefficients is picked for each.
        within = given.states[row] + x * polynomial(inner, x)
        # At theta = 1 the polynomial is y1 to rounding; the output is y1 itself.
        values = torch.where(theta.view(column) < 1, within, values)
        # With respect to t[i] the output moves as the polynomial does: dy/dt = (dy/dtheta) / h.
        if plan.wants_t:
            derivative = polynomial([(p + 1) * c_p for p, c_p in enumerate(inner)], x)
            slopes = derivative / h.to(given.y.dtype).view(column)

    # The others are as they were: served by an earlier call, or by a later one.
    index = torch.arange(len(output_times))
    new = ((index >= before.served) & (index < served)).view(column)
    first = before.accepted + before.attempts == 0
    outputs = torch.where((first & (index == 0)).view(column), given.y, given.outputs)
    outputs = torch.where(new, values, outputs)
    return Result(outputs, row, theta, slopes, packed(clock))


def settings_of(numbers: Tensor, points: int) -> Settings:
    # All but the last two are single numbers.
    single = len(Settings._fields) - 2
    return Settings._make((*numbers[:single].unbind(), numbers[single:-points], numbers[-points:]))


def unpacked(numbers: Tensor) -> Clock:
    return Clock(*numbers.unbind())


def packed(clock: Clock) -> Tensor:
    """The inverse of `unpacked`: the clock as one vector.

    A chain of conditions becomes one loop over the numbers. Tried instead, measured on the net
    2-50-2, batch 1, ten steps: `stack`, which makes a tensor for each number first, 100 us instead
    of 84; a tensor for each number carried through the loop, made anew in every step, 113 us.
    """
    numbers = clock[0]
    # Also the counts are float64: one vector has one type.
    index = torch.arange(len(clock))
    for i, number in enumerate(clock[1:], 1):
        numbers = torch.where(index == i, number.double(), numbers)
    return numbers


def polynomial(coefficients: Sequence[Tensor], x: Tensor) -> Tensor:
    """sum_p coefficients_p x^p, by Horner's rule."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def row_of(buffer: Tensor, row: Tensor) -> Tensor:
    return buffer.index_select(0, row.view(1)).squeeze(0)


def put(buffer: Tensor, row: Tensor, x: Tensor) -> None:
    buffer.index_copy_(0, row.view(1), x.unsqueeze(0))


def scale(tolerances: tuple[Tensor, Tensor], *states: Tensor) -> Tensor:
    """As `Tolerance.scale`: atol + rtol max |y|."""
    rtol, atol = tolerances
    largest = states[0].abs()
    for y in states[1:]:
        largest = torch.maximum(largest, y.abs())
    return largest * rtol + atol


def norm(plan: Plan, x: Tensor) -> Tensor:
    """As `make_norm`: root mean square; of a tuple state the largest of its parts."""
    parts = x[: sum(plan.parts)].split(plan.parts) if plan.parts else [x]
    # An empty part has no error; its mean would be 0 / 0.
    norms = [p.square().sum().sqrt().double() / math.sqrt(p.numel()) for p in parts if p.numel()]
    return torch.stack(norms).amax() if len(norms) > 1 else norms[0]


def decide(
    controller: str, order: int, settings: Settings, ratio: Tensor, previous: Tensor
) -> tuple[Tensor, Tensor]:
    """(accept, factor), as `integral` and `proportional_integral` of `control.py`."""
    accept = ratio <= 1
    if controller == "PI":
        bounded = ratio.clamp(min=LEAST_RATIO)
        accepted = bounded ** (-0.7 / order) * previous ** (0.4 / order)
        ideal = settings.safety * torch.where(accept, accepted, bounded ** (-1 / order))
        factor = torch.minimum(settings.ifactor, torch.maximum(ideal, settings.dfactor))
        # After a rejection the step does not grow, whatever the limits say.
        factor = torch.where(accept, factor, factor.clamp(max=1.0))
    else:
        ideal = settings.safety * ratio ** (-1 / order)  # infinite for 0
        # After success it does not shrink.
        least = torch.where(ratio < 1, 1.0, settings.dfactor)
        factor = torch.minimum(settings.ifactor, torch.maximum(ideal, least))
    # NaN or infinity: f or the state overflowed. A shorter step may not.
    return accept, torch.where(ratio < math.inf, factor, settings.dfactor)


def initial_size(
    plan: Plan,
    f: Callable,
    t: Tensor,
    y: Tensor,
    f0: Tensor,
    stop: Tensor,
    direction: Tensor,
    tolerances: tuple[Tensor, Tensor],
) -> Tensor:
    """As `initial_step` of `control.py` (HNW I, II.4); not farther than the first stop."""
    order = plan.tableau.order
    scale_here = scale(tolerances, y)
    d0 = norm(plan, y / scale_here)
    d1 = norm(plan, f0 / scale_here)
    h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1)
    h0 = torch.minimum(h0, direction * (stop - t))
    f1 = f((t + direction * h0).to(y.dtype), y + (direction * h0).to(y.dtype) * f0)
    d2 = norm(plan, (f1 - f0) / scale_here) / h0
    # The size for which the leading error term of a method of this order would be a hundredth.
    steepest = torch.maximum(d1, d2)
    # Nothing moves at all: a step that is short, but not too short to see more.
    flat = torch.maximum(h0 * 1e-3, torch.full_like(h0, 1e-6))
    h1 = torch.where(steepest <= 1e-15, flat, (0.01 / steepest) ** (1 / order))
    return torch.where(torch.isfinite(d2), torch.minimum(100 * h0, h1), h0)
