"""The integration loop: propose a step, try it, judge it, move.

`march` is the loop; it yields the accepted steps. `output_states` reads the solution off them at
the times asked for. A fixed grid, `step_t`, `jump_t` and the end of the interval are one mechanism:
stops, times that no step may cross.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from .control import Controller, Tolerance, initial_step
from .errors import check_finite, too_many_steps, underflow
from .runge_kutta import (
    Dense,
    Field,
    Step,
    Stepper,
    Time,
    end_slope,
    interpolate,
    nudged,
    time_tensor,
)
from .statistics import Attempt, Stats

UNLIMITED = 2**31 - 1  # steps
_LEAST = 1e-300  # of a step at t = 0; smaller ones would be rounded up at every reduction
_SHORTER = 0.2  # the factor after a rejection, where the controller's own would go on forever


class Stop(NamedTuple):
    """A time that no step crosses."""

    t: float
    tensor: Tensor | None = None  # the same time, where gradients with respect to it are wanted
    jump: bool = False  # f is discontinuous here


class Segment(NamedTuple):
    """An accepted step, and the times of its ends as floats, where `step` may have tensors."""

    t: float
    t1: float
    step: Step


@dataclass
class Log:
    """Where `march` writes what it does, attempts only if asked; and whom it tells of it."""

    stats: Stats = field(default_factory=Stats)
    attempts: list[Attempt] | None = None
    reached: tuple[float, Tensor] | None = None  # where the last step ended, and the state there
    next_size: float | None = None  # what the controller proposes after the last step
    max_evaluations: float = math.inf  # of the field; see `inputs.counted_field`
    on_step: Callable | None = None
    on_accept: Callable | None = None
    on_reject: Callable | None = None


def march(
    f: Field,
    y: Tensor,
    start: Stop,
    stops: Iterable[Stop],
    method: Stepper,
    log: Log,
    tol: Tolerance | None = None,
    controller: Controller | None = None,
    direction: int = 1,
    perturb: bool = False,
) -> Iterator[Segment]:
    """Yield every accepted step, from the state y at `start` through all the stops.

    With a tolerance, the controller chooses the sizes. Without one, every step reaches to the next
    stop: the stops are the grid. `direction` is 1, or -1 for decreasing time, when every h is
    negative. `perturb` evaluates f just inside a step instead of at its ends.
    """
    stops = iter(stops)
    stop = next(stops, None)
    t = start.t
    clock = start.tensor  # t once more, if gradients with respect to it are wanted
    f0 = None
    size = math.inf
    ratio = math.nan
    if tol and stop:
        f0 = f(time_tensor(t if clock is None else clock, y), y)
        check_finite(f0, "the vector field func(t[0], y0)", t)
        room = direction * (stop.t - t)
        size = tol.first_step or initial_step(f, t, y, f0, direction, method.order, tol, room)

    while stop:
        # Propose: as far as the controller says, but not across the next stop.
        if tol:
            size = min(max(size, tol.min_step), tol.max_step)
        room = direction * (stop.t - t)
        lands = size >= room
        h = direction * min(size, room)
        if t + h == t or not abs(h) > _LEAST:  # also for NaN
            raise underflow(t, h, ratio, y)
        now: Time = t
        clock_h: Time = h
        if clock is not None:
            now = clock
            clock_h = torch.full_like(clock, h)
            if lands and stop.tensor is not None:
                clock_h = stop.tensor - clock

        # Try.
        if log.on_step:
            log.on_step(t, y, h)
        if perturb and f0 is None:
            f0 = f(nudged(time_tensor(now, y), h), y)
        before_end = perturb or (lands and stop.jump)
        step = method.step(f, now, y, clock_h, f0, before_end)

        # Judge.
        accept = True
        factor = 1.0
        if tol and controller:
            assert step.error is not None
            ratio = tol.error_ratio(step.error, y, step.y1)
            accept, factor = controller(ratio, h, method.order)
            accept = accept or (abs(h) <= tol.min_step and math.isfinite(ratio))
        if log.attempts is not None:
            log.attempts.append(Attempt(t, h, ratio, accept))
        if not accept:
            log.stats.rejected += 1
            if log.on_reject:
                log.on_reject(t, y, h)
            if tol and abs(h) <= tol.min_step:  # it is not finite, and may not become shorter
                raise underflow(t, h, ratio, y)
            if f0 is None and step.stages:  # f(t, y), which the next attempt begins with too
                f0 = step.stages[0]
            size = (factor if factor < 1 else _SHORTER) * abs(h)
            continue

        # Move.
        log.stats.accepted += 1
        if log.on_accept:
            log.on_accept(t, y, h)
        t1 = stop.t if lands else t + h
        log.reached = (t1, step.y1)
        yield Segment(t, t1, step)
        t = t1
        y = step.y1
        f0 = None if perturb else step.f1  # perturbed, f is seen anew on the far side of t1
        if clock is not None:
            clock = clock + clock_h
        # A step that a stop cut short says little about how long the next one may be.
        size = max(size, factor * abs(h)) if size > room or not tol else factor * abs(h)
        log.next_size = size if tol else None
        if lands:
            if stop.jump and tol:
                f0 = f(nudged(time_tensor(t if clock is None else clock, y), direction), y)
            stop = next(stops, None)


def output_states(
    segments: Iterable[Segment],
    y0: Tensor,
    times: Sequence[float],
    dense: Dense,
    f: Field,
    log: Log,
    tensors: Tensor | None = None,
    max_steps: int = UNLIMITED,
) -> Iterator[Tensor]:
    """Yield the states at the times, read off the steps: tensors (m, *y0.shape), T in all.

    The first is y0. Times inside a step are interpolated by the method's dense output, all those of
    one step at once. `tensors` holds the times as a tensor where gradients with respect to them are
    wanted. `max_steps` bounds the attempts between outputs.
    """
    yield y0.unsqueeze(0)
    i = 1  # the next time
    served = 0  # attempts up to the last output
    direction = 1 if len(times) < 2 or times[-1] > times[0] else -1
    for t, t1, step in segments:
        first = i
        # A step that happens to end on an output time, without having been cut for it, does not
        # move with that time.
        moves = tensors is None or (isinstance(step.h, Tensor) and step.h.requires_grad)
        while i < len(times) and (
            direction * (times[i] - t1) < 0 or (times[i] == t1 and not moves)
        ):
            i += 1
        if i > first:
            if dense == "cubic":
                end_slope(step, f)
            inside: Tensor | list[float] = [(s - t) / (t1 - t) for s in times[first:i]]
            if tensors is not None:
                inside = (tensors[first:i] - step.t) / step.h
            yield interpolate(step, inside, dense)
        if i < len(times) and times[i] == t1:
            yield step.y1.unsqueeze(0)
            i += 1
        attempts = log.stats.accepted + log.stats.rejected
        if i > first:
            served = attempts
        elif attempts - served >= max_steps and i < len(times):
            raise too_many_steps(max_steps, t1, times[i], t1 - t)
