"""An initial value problem in normal form, and how it is run."""

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from . import inputs
from .control import Controller, Tolerance
from .errors import check_solution
from .events import find_event, first_of
from .inputs import unflatten
from .integrate import Log, Method, Stop, march, read
from .methods.adams import Adams
from .methods.implicit import ImplicitRungeKutta
from .methods.registry import METHODS, check_method, known_options, takes_fixed_steps
from .methods.reversible import Reversible, Twofold
from .methods.scipy_solver import solve_with_scipy
from .methods.symplectic import Splitting, Symplectic, check_halves
from .runge_kutta import RungeKutta, time_tensor
from .solution import Solution
from .tableaus import Tableau


@dataclass
class Problem:
    """A checked initial value problem in normal form: the state is one tensor, the times are
    floats.
    """

    f: Callable
    y0: Tensor
    shapes: list[torch.Size] | None
    t: Tensor
    times: list[float]
    method: str
    options: dict
    log: Log
    tol: Tolerance | None  # None: fixed steps
    controller: Controller | None
    stepper: Method | None  # None: scipy
    dense: Any
    rtol: Any
    atol: Any

    @property
    def direction(self) -> int:
        return -1 if len(self.times) > 1 and self.times[1] < self.times[0] else 1

    @property
    def max_steps(self) -> int:
        """The most attempts between two output times."""
        return int(self.options.get("max_num_steps", 2**31 - 1))

    @cached_property
    def tensors(self) -> Tensor | None:
        """The times as a tensor in double precision, where gradients with respect to them are
        wanted.
        """
        return self.t.double() if self.t.requires_grad and torch.is_grad_enabled() else None

    def stop(self, t: float, jump: bool = False, *, moves: bool = False) -> Stop:
        """A stop at t: an output time, else a constant, else (`moves`) a time that moves with t[0]."""
        if self.tensors is None:
            return Stop(t, None, jump)
        if t in self.times:
            return Stop(t, self.tensors[self.times.index(t)], jump)
        return Stop(
            t, None if moves else torch.tensor(t, dtype=torch.float64, device=self.t.device), jump
        )


_explicit = functools.lru_cache(RungeKutta)  # which keeps no state


def prepare(
    func: Callable,
    y0: Any,
    t: Tensor,
    rtol: Any,
    atol: Any,
    method: Any,
    options: Any,
    event_fn: Any = None,
) -> Problem:
    """Check everything, and bring it into normal form."""
    method = check_method(method)
    times = inputs.check_times(t)
    if event_fn is not None and len(times) != 2:
        raise ValueError(
            f"with event_fn, t must hold two times, the start and any later one; got {len(times)}"
        )
    if not callable(func):
        raise TypeError(f"func must be callable as func(t, y), got {type(func).__name__}")
    flat, shapes = inputs.check_state(y0)
    if t.device != flat.device:
        t = t.to(flat.device)
    if event_fn is not None and not callable(event_fn):
        raise TypeError(
            f"event_fn must be callable as event_fn(t, y), got {type(event_fn).__name__}"
        )
    rtol, atol = (
        inputs.check_tolerance(name, tol, flat, shapes)
        for name, tol in (("rtol", rtol), ("atol", atol))
    )
    log = Log()
    f = inputs.counted_field(func, flat, shapes, log.stats)

    kind = METHODS[method]
    implicit = getattr(kind, "implicit", False)
    if implicit and flat.is_complex():
        raise TypeError(
            f"method {method!r} is implicit and takes real states only, got {flat.dtype}; use "
            "torch.view_as_real(y0), "
            "and the same inside func"
        )
    options = inputs.check_options(options, known_options(method, options), method)
    adaptive = not takes_fixed_steps(method, options)

    supported = {
        "callback_step",
        *(("callback_accept_step", "callback_reject_step") if adaptive else ()),
    }
    left = inputs.add_callbacks(log, func, shapes, () if kind is solve_with_scipy else supported)
    if left:
        warnings.warn(
            f"method {method!r} does not call {', '.join(left)}; they stay silent", stacklevel=3
        )

    tol = controller = None
    stepper: Method | None = None
    dense: Any = "cubic"
    if adaptive:
        tol = inputs.make_tolerance(
            rtol, atol, flat, inputs.make_norm(options.get("norm"), shapes), options
        )
        # A solution that stiffens bit by bit makes the I controller fail at every other step
        # (measured: van der Pol).
        controller = inputs.make_controller(options, "PI" if implicit else "I")
    if isinstance(kind, Tableau):
        dense = kind.dense or "cubic"
        stepper = (
            ImplicitRungeKutta(kind, rtol, atol, log.stats, adaptive)
            if implicit
            else _explicit(kind)
        )
    elif kind is Adams:
        limits = {name: options[name] for name in ("max_iters", "max_order") if name in options}
        stepper = Adams(method != "explicit_adams", rtol, atol, **limits)
    elif isinstance(kind, Splitting):
        check_halves(flat, shapes, method)
        stepper, dense = Symplectic(method, kind), kind.dense
    elif isinstance(kind, Reversible):
        stepper = Twofold(kind)
    if options.get("interp") is not None:
        if options["interp"] not in ("linear", "cubic"):
            raise ValueError(
                f"options['interp'] must be 'linear' or 'cubic', got {options['interp']!r}"
            )
        dense = options["interp"]
    return Problem(
        f, flat, shapes, t, times, method, options, log, tol, controller, stepper, dense, rtol, atol
    )


def run(p: Problem, record: bool = False) -> Solution:
    """Solve, without an event."""
    segments: list | None = [] if record else None
    if p.stepper is None:
        limits = {
            name: p.options[name]
            for name in ("solver", "min_step", "max_step")
            if name in p.options
        }
        y = solve_with_scipy(p.f, p.y0, p.times, p.rtol, p.atol, **limits)
        segments = None
    else:
        p.log.attempts = [] if record else None
        steps = accepted_steps(p)
        if segments is not None:
            steps = _keep(steps, segments, p)
        y = read(steps, p.y0, p.times, p.dense, p.f, p.log, p.tensors, p.max_steps)
        if p.tol is None:
            check_solution(y, p.times, p.method)
    shapes = p.shapes
    back = None if shapes is None else lambda y: unflatten(y, shapes)
    return Solution(p.t, unflatten(y, shapes), p.log.stats, p.log.attempts, segments, p.dense, back)


def run_to_event(p: Problem, event_fn: Callable) -> tuple[float, Tensor]:
    """Solve until the event: its time, and the states (2, N) at the start and there."""
    if p.stepper is None:
        raise ValueError(
            "scipy_solver does not handle events here; use an adaptive method such as 'dopri5'"
        )

    def flat_event(t: Tensor, y: Tensor) -> Tensor:
        return torch.as_tensor(event_fn(t, unflatten(y, p.shapes)))

    if p.tol is None:
        if "step_size" not in p.options:
            raise ValueError(
                f"with event_fn, method {p.method!r} needs a step: options={{'step_size': ...}}"
            )
        h = p.direction * float(p.options["step_size"])
        stops: Iterable[Stop] = (Stop(p.times[0] + n * h) for n in itertools.count(1))
    else:
        stops = _stops(p, p.direction * math.inf)
    g = first_of(flat_event, time_tensor(p.times[0], p.y0), p.y0)
    limit = int(p.options.get("max_num_steps", 20_000))
    t_event, y = find_event(_steps(p, stops), g, p.y0, p.times[0], p.dense, p.f, p.log, limit)
    return t_event, torch.stack([p.y0, y])


def accepted_steps(p: Problem) -> Iterator:
    """(t, t1, step) for every step of the solve from t[0] to t[-1]."""
    return _steps(p, stops_of(p))


def stops_of(p: Problem) -> list[Stop]:
    """The stops of the solve, after t[0]: of fixed steps the grid."""
    return _grid(p) if p.tol is None else _stops(p)


def _steps(p: Problem, stops: Iterable[Stop]) -> Iterator:
    assert p.stepper is not None
    start = Stop(p.times[0], None if p.tensors is None else p.tensors[0])
    perturb = bool(p.options.get("perturb", False))
    return march(
        p.f, p.y0, start, stops, p.stepper, p.log, p.tol, p.controller, p.direction, perturb
    )


def _keep(steps: Iterator, segments: list, p: Problem) -> Iterator:
    """Pass the steps on, and keep them for dense output."""
    for t, t1, step in steps:
        if p.dense == "cubic" and step.f1 is None:
            step.f1 = p.f(time_tensor(t1, step.y1), step.y1)
        segments.append((t, t1, step))
        yield t, t1, step


def _stops(p: Problem, end: float | None = None) -> list[Stop]:
    """Of an adaptive solve: step_t and jump_t ahead of the start, in order, and the end, by default
    t[-1].
    """
    times = {}
    for name in ("step_t", "jump_t"):
        if p.options.get(name) is None:
            continue
        for s in torch.as_tensor(p.options[name], dtype=torch.float64).reshape(-1).tolist():
            if s in times:
                raise ValueError(
                    f"options: {s:.6g} stands twice in step_t and jump_t; name each time once"
                )
            times[s] = name == "jump_t"
    if len(p.times) < 2:
        return []
    last = p.stop(p.times[-1] if end is None else end)
    ahead = [
        s for s in times if 0 < (s - p.times[0]) * p.direction < (last.t - p.times[0]) * p.direction
    ]
    ahead.sort(reverse=p.direction < 0)
    return [*(p.stop(s, times[s]) for s in ahead), last._replace(jump=times.get(last.t, False))]


def _grid(p: Problem) -> list[Stop]:
    """Of a fixed-step solve: the grid after its first point."""
    step_size, constructor = p.options.get("step_size"), p.options.get("grid_constructor")
    if step_size is not None and constructor is not None:
        raise ValueError("options: give step_size or grid_constructor, not both")
    if len(p.times) < 2:
        return []
    if constructor is not None:
        grid = constructor(p.f, p.y0, p.t)
        points = inputs.check_times(grid, "options['grid_constructor'](func, y0, t)")
        if abs(points[0] - p.times[0]) + abs(points[-1] - p.times[-1]) > 1e-12 * abs(
            p.times[-1] - p.times[0]
        ):
            raise ValueError(
                f"the grid must run from t[0] = {p.times[0]:.6g} to t[-1] = {p.times[-1]:.6g}, "
                f"got {points[0]:.6g} to "
                f"{points[-1]:.6g}"
            )
        return [Stop(s, grid[i] if p.tensors is not None else None) for i, s in enumerate(points)][
            1:
        ]
    if step_size is None:
        return [p.stop(s) for s in p.times[1:]]
    if not float(step_size) > 0:
        raise ValueError(
            f"options['step_size'] must be a positive number, got {step_size!r} (also for "
            "decreasing t)"
        )
    h, span = float(step_size), abs(p.times[-1] - p.times[0])
    n = max(
        1, math.ceil(span / h - 1e-6)
    )  # a last step longer by a millionth rather than one of rounding size
    inner = [p.stop(p.times[0] + p.direction * i * h, moves=True) for i in range(1, n)]
    return [*inner, p.stop(p.times[-1])]
