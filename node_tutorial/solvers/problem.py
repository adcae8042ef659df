"""An initial value problem in normal form, and how it is run."""

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import inputs
from .between import pieces
from .control import Controller, Tolerance
from .errors import SolveError, check_solution, first_overflow
from .events import find_event, first_of
from .inputs import unflatten
from .integrate import UNLIMITED, Log, Segment, Stop, march, output_states
from .methods.method import Method, Setup
from .methods.registry import find_method
from .options import NONE_GIVEN, Options, make_controller, make_tolerance, read_options
from .runge_kutta import Dense, Field, Stepper, end_slope, time_tensor
from .solution import Solution
from .statistics import Stats

_MOST_STEPS = 1e8  # of a grid, which is a list


@dataclass
class Problem:
    """A checked initial value problem in normal form: one tensor as state, floats as times."""

    f: Field  # func, counted, on a flat state
    func: Callable  # as it was given
    y0: Tensor
    shapes: list[torch.Size] | None  # of the parts of a tuple state
    t: Tensor
    times: list[float]
    method: str
    kind: Method
    setup: Setup
    options: Options
    log: Log
    tol: Tolerance | None  # None: fixed steps
    controller: Controller | None
    stepper: Stepper | None  # None: the method has a loop of its own
    dense: Dense

    @property
    def rtol(self) -> float | Tensor:
        return self.setup.rtol

    @property
    def atol(self) -> float | Tensor:
        return self.setup.atol

    @property
    def direction(self) -> int:
        return -1 if len(self.times) > 1 and self.times[1] < self.times[0] else 1

    @property
    def max_steps(self) -> int:
        """The most attempts between two output times."""
        return int(self.options.max_num_steps or UNLIMITED)

    @cached_property
    def tensors(self) -> Tensor | None:
        """The times in double precision, where gradients with respect to them are wanted.

        On the CPU, as all clocks: not every device has double precision (Apple's GPUs have none).
        """
        return self.t.cpu().double() if self.t.requires_grad and torch.is_grad_enabled() else None

    def stop(self, t: float, jump: bool = False, *, moves: bool = False) -> Stop:
        """A stop at t: an output time, or a constant, or (`moves`) a time that moves with t[0]."""
        if self.tensors is None:
            return Stop(t, None, jump)
        if t in self.times:
            return Stop(t, self.tensors[self.times.index(t)], jump)
        constant = torch.tensor(t, dtype=torch.float64)
        return Stop(t, None if moves else constant, jump)


def prepare(
    func: Callable,
    y0: Any,
    t: Tensor,
    rtol: Any,
    atol: Any,
    method: Any,
    options: Any,
    event_fn: Any = None,
    stats: Stats | None = None,
) -> Problem:
    """Check everything, and bring it into normal form. What the solve costs is added to `stats`."""
    kind = find_method(method)
    name = kind.name
    times = inputs.check_times(t)
    if forward_ad._current_level >= 0 and forward_ad.unpack_dual(t).tangent is not None:
        raise NotImplementedError(
            "a solve carries no forward-mode derivative by t (dual numbers, torch.func.jvp, "
            "jacfwd): use reverse mode (backward, jacrev), or func(t, y) itself, which is dy/dt"
        )
    if not callable(func):
        raise TypeError(f"func must be callable as func(t, y), got {type(func).__name__}")
    if event_fn is not None:
        _check_event(event_fn, times)
    flat, shapes = inputs.check_state(y0)
    span = abs(times[-1] - times[0])
    if abs(times[0]) > 1e4 * span > 0:
        _check_resolution(times, span, flat.dtype.to_real())
    if t.device != flat.device:
        t = t.to(flat.device)
    rtol = inputs.check_tolerance("rtol", rtol, flat, shapes)
    atol = inputs.check_tolerance("atol", atol, flat, shapes)
    if kind.check is not None:
        kind.check(name, flat, shapes)
    adaptive = kind.adaptive
    settings = NONE_GIVEN
    if options is not None:
        given = options if isinstance(options, dict) else {}
        adaptive = not kind.takes_fixed_steps(given)
        settings = read_options(options, kind.known_options(given), name)
        if method is None and not adaptive:
            warnings.warn(
                f"step_size or grid_constructor makes the steps of the default method, {name!r}, "
                "fixed: nothing controls their error. Leave it out; or name the method, if that "
                "is meant",
                stacklevel=3,
            )

    log = Log(stats or Stats(), max_evaluations=settings.max_num_evaluations)
    callbacks = ["callback_step"] if kind.solve is None else []
    if adaptive:
        callbacks += ["callback_accept_step", "callback_reject_step"]
    silent = inputs.add_callbacks(log, func, shapes, callbacks)
    if silent:
        warnings.warn(
            f"method {name!r} does not call {', '.join(silent)}; they stay silent", stacklevel=3
        )
    f = inputs.counted_field(func, flat, shapes, log)

    tol = controller = None
    if adaptive:
        norm = inputs.make_norm(settings.norm, shapes)
        tol = make_tolerance(rtol, atol, flat, norm, settings)
        # A solution that stiffens bit by bit makes the I controller fail at every other step
        # (measured: van der Pol).
        controller = make_controller(settings, "PI" if kind.implicit else "I")
    setup = Setup(rtol, atol, log.stats, adaptive, settings)
    return Problem(
        f=f,
        func=func,
        y0=flat,
        shapes=shapes,
        t=t,
        times=times,
        method=name,
        kind=kind,
        setup=setup,
        options=settings,
        log=log,
        tol=tol,
        controller=controller,
        stepper=kind.stepper(setup) if kind.stepper is not None else None,
        dense=settings.interp or kind.dense,
    )


def _check_resolution(times: list[float], span: float, dtype: torch.dtype) -> None:
    """Warn if func's t, which has the dtype of the state, hardly moves in the solve."""
    spacing = torch.finfo(dtype).eps * abs(times[0])
    if spacing > 0.01 * span:
        warnings.warn(
            f"func is given t in {dtype}, whose numbers near {times[0]:.9g} lie {spacing:.2g} "
            f"apart, and the whole solve takes {span:.2g}: shift the times towards zero, or use "
            "y0.double()",
            stacklevel=4,
        )


def _check_event(event_fn: Any, times: list[float]) -> None:
    if len(times) != 2:
        raise ValueError(
            f"with event_fn, t must hold two times, the start and any later one; got {len(times)}"
        )
    if not callable(event_fn):
        raise TypeError(
            f"event_fn must be callable as event_fn(t, y), got {type(event_fn).__name__}"
        )


def run(p: Problem, record: bool = False) -> Solution:
    """Solve, without an event.

    Raises:
        SolveError: if the solve cannot go on; what was solved before is in its `solution`.
    """
    if (p.kind.solve is not None or p.kind.implicit) and not p.y0.numel():
        return _solution(p, p.y0.expand(len(p.times), *p.y0.shape).clone(), [] if record else None)
    if p.kind.solve is not None:
        return _run_by_itself(p)
    segments: list[Segment] | None = [] if record else None
    p.log.attempts = [] if record else None
    steps = accepted_steps(p)
    if segments is not None:
        steps = _kept(steps, segments, p)
    return _solution(p, states_of(p, steps, p.tensors, segments), segments)


def states_of(
    p: Problem,
    steps: Iterable[Segment],
    tensors: Tensor | None = None,
    segments: list[Segment] | None = None,
) -> Tensor:
    """The states (T, *y0.shape) at the times of the problem, read off the steps.

    Args:
        steps: `accepted_steps`, or what passes them on.
        tensors: the times, where gradients with respect to them are wanted.
        segments: the steps that are kept, to be handed over if the solve fails.

    Raises:
        SolveError: with its `solution`.
    """
    found: list[Tensor] = []
    try:
        for states in output_states(
            steps, p.y0, p.times, p.dense, p.f, p.log, tensors, p.max_steps
        ):
            found.append(states)
        y = torch.cat(found)
        if p.tol is None or p.options.norm is not None:  # which may be blind to NaN
            check_solution(y, p.times, p.method, p.tol is not None)
    except SolveError as error:
        error.solution = _solved_before(p, found, segments)
        raise
    return y


def _solved_before(
    p: Problem, found: list[Tensor], segments: list[Segment] | None = None
) -> Solution:
    """What a solve that failed has found: the outputs, and the end of its last step behind them."""
    y = torch.cat(found or [p.y0.unsqueeze(0)])
    y = y[: first_overflow(y)]
    t = p.t[: len(y)]
    reached = p.log.reached
    if segments is not None:  # of the last step, what the dense output needs may be missing
        segments = [s for s in segments if torch.isfinite(s.step.y1).all()]
        reached = (segments[-1].t1, segments[-1].step.y1) if segments else None
    if reached is not None:
        end, state = reached
        later = len(t) and p.direction * (end - p.times[len(t) - 1]) > 0
        if later and torch.isfinite(state).all():
            t = torch.cat([t, t.new_tensor([end])])
            y = torch.cat([y, state.unsqueeze(0)])
    return _solution(p, y, segments, t)


def _solution(
    p: Problem, y: Tensor, segments: list[Segment] | None = None, t: Tensor | None = None
) -> Solution:
    shapes = p.shapes
    return Solution(
        t=p.t if t is None else t,
        y=unflatten(y, shapes),
        stats=p.log.stats,
        steps=p.log.attempts,
        _segments=segments,
        _dense=p.dense,
        _parts=None if segments is None else parts_of_steps(p, counted=False),
        _unflatten=None if shapes is None else lambda y: unflatten(y, shapes),
    )


def _run_by_itself(p: Problem) -> Solution:
    """As `run`, by a method with a loop of its own."""
    assert p.kind.solve is not None
    try:
        y, failure = p.kind.solve(p.setup, p.f, p.y0, p.times)
    except SolveError as error:  # the limit of evaluations
        error.solution = _solved_before(p, [])
        raise
    if failure:
        stopped = SolveError(failure)
        stopped.solution = _solution(p, y, t=p.t[: len(y)])
        raise stopped
    return _solution(p, y)


def run_to_event(p: Problem, event_fn: Callable) -> tuple[float, Tensor]:
    """Solve until the event: its time, and the states (2, N) at the start and there."""
    if p.stepper is None:
        raise ValueError(
            f"{p.method} does not handle events here; use an adaptive method such as 'dopri5'"
        )

    def flat_event(t: Tensor, y: Tensor) -> Tensor:
        value = event_fn(t, unflatten(y, p.shapes))
        if not isinstance(value, (Tensor, float, int)) or not torch.as_tensor(value).numel():
            raise TypeError(
                "event_fn(t, y) must return a number or a tensor with at least one entry, got "
                f"{'an empty tensor' if isinstance(value, Tensor) else type(value).__name__}"
            )
        return torch.as_tensor(value)

    if p.tol is None:
        if p.options.step_size is None:
            raise ValueError(
                f"with event_fn, method {p.method!r} needs a step: options={{'step_size': ...}}"
            )
        h = p.direction * p.options.step_size
        stops: Iterable[Stop] = (Stop(p.times[0] + n * h) for n in itertools.count(1))
    else:
        stops = _stops(p, p.direction * math.inf)
    g = first_of(flat_event, time_tensor(p.times[0], p.y0), p.y0)
    limit = int(p.options.max_num_steps or 20_000)
    steps = _steps(p, stops)
    try:
        parts = parts_of_steps(p)
        t_event, y = find_event(steps, g, p.y0, p.times[0], p.dense, p.f, p.log, limit, parts)
    except SolveError as error:
        error.solution = _solved_before(p, [])
        raise
    return t_event, torch.stack([p.y0, y])


def accepted_steps(p: Problem) -> Iterator[Segment]:
    """Every step of the solve from t[0] to t[-1]."""
    return _steps(p, stops_of(p))


def parts_of_steps(p: Problem, counted: bool = True) -> Callable[[Segment], list[Segment]]:
    """What makes of a step the parts to be read between its ends: see `between.py`.

    With other than adaptive implicit methods that is the step itself. The evaluations are part of
    the cost of the solve, or not (`counted`).
    """
    if not p.kind.implicit or p.tol is None:
        return lambda segment: [segment]
    assert p.kind.stepper is not None
    tol = p.tol
    log = p.log if counted else Log()
    f = p.f if counted else inputs.counted_field(p.func, p.y0, p.shapes, log)
    stepper = p.kind.stepper(p.setup._replace(stats=log.stats, adaptive=False))
    jumps = p.options.jump_t
    return lambda segment: pieces(segment, f, stepper, tol, p.dense, segment.t1 in jumps)


def stops_of(p: Problem) -> list[Stop]:
    """The stops of the solve, after t[0]: of fixed steps the grid."""
    return _grid(p) if p.tol is None else _stops(p)


def _steps(p: Problem, stops: Iterable[Stop]) -> Iterator[Segment]:
    assert p.stepper is not None
    start = Stop(p.times[0], None if p.tensors is None else p.tensors[0])
    return march(
        p.f,
        p.y0,
        start,
        stops,
        p.stepper,
        p.log,
        p.tol,
        p.controller,
        p.direction,
        p.options.perturb,
    )


def _kept(steps: Iterator[Segment], segments: list[Segment], p: Problem) -> Iterator[Segment]:
    """Pass the steps on, and keep them for dense output."""
    for segment in steps:
        if p.dense == "cubic":
            end_slope(segment.step, p.f)
        segments.append(segment)
        yield segment


def _stops(p: Problem, end: float | None = None) -> list[Stop]:
    """Of an adaptive solve: step_t and jump_t ahead, in order, and the end, by default t[-1].

    And the output times, with an implicit method: its steps grow, where the problem is stiff, far
    beyond what their polynomials can follow. (Measured on y' = -1e6 (y - cos t) - sin t: 0.46 off
    between the steps at a tolerance of 1e-4, within it at their ends. With 40 output times the
    stops cost between nothing and, where steps are longest, 1.4 times as many evaluations again.)
    """
    if len(p.times) < 2:
        return []
    jumps = p.options.jump_t
    last = p.stop(p.times[-1] if end is None else end)
    room = p.direction * (last.t - p.times[0])
    outputs = p.times[1:-1] if p.kind.implicit else ()
    given = {*p.options.step_t, *jumps, *outputs}
    ahead = [s for s in given if 0 < p.direction * (s - p.times[0]) < room]
    ahead.sort(reverse=p.direction < 0)
    return [*(p.stop(s, s in jumps) for s in ahead), last._replace(jump=last.t in jumps)]


def _grid(p: Problem) -> list[Stop]:
    """Of a fixed-step solve: the grid after its first point."""
    h = p.options.step_size
    if len(p.times) < 2:
        return []
    if p.options.grid_constructor is not None:
        return _given_grid(p, p.options.grid_constructor(p.f, p.y0, p.t))
    if h is None:
        return [p.stop(s) for s in p.times[1:]]
    # A last step longer by a millionth rather than one of rounding size.
    length = abs(p.times[-1] - p.times[0])
    if length / h > _MOST_STEPS:
        raise ValueError(
            f"options['step_size'] = {h:.3g} makes {length / h:.0e} steps from t[0] to t[-1], more "
            f"than {_MOST_STEPS:.0e}; give a larger one, or an adaptive method"
        )
    n = max(1, math.ceil(length / h - 1e-6))
    inner = [p.stop(p.times[0] + p.direction * i * h, moves=True) for i in range(1, n)]
    return [*inner, p.stop(p.times[-1])]


def _given_grid(p: Problem, grid: Tensor) -> list[Stop]:
    points = inputs.check_times(grid, "options['grid_constructor'](func, y0, t)")
    start = p.times[0]
    end = p.times[-1]
    rounding = torch.finfo(grid.dtype).eps * max(abs(start), abs(end))
    if abs(points[0] - start) + abs(points[-1] - end) > 1e-12 * abs(end - start) + rounding:
        raise ValueError(
            f"the grid must run from t[0] = {start:.6g} to t[-1] = {end:.6g}, got {points[0]:.6g} "
            f"to {points[-1]:.6g}"
        )
    points[-1] = end
    if p.tensors is None:
        return [Stop(s) for s in points[1:]]
    return [Stop(s, grid[i]) for i, s in enumerate(points) if i]
