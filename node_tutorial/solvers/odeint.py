"""The front door: `odeint`, a drop-in for torchdiffeq's, and `solve`, which also returns statistics and every step.

Where we differ from torchdiffeq 0.2.5, on purpose:
- an unknown option raises (there: a warning); messages name the argument and the remedy; a solve that cannot go on raises
  `SolveError`, which is an AssertionError as well as a RuntimeError; fixed-step solutions that overflow raise too;
- the last step ends at t[-1] (there it overshoots, and func is evaluated beyond t[-1]);
- dense output: bosh3, adaptive_heun and dopri8 interpolate with the order that their references give; on a fixed grid,
  times between grid points are interpolated cubically (`interp="linear"` brings the linear default back), except by euler;
- Adams methods use the weights of the actual steps, also where these are unequal;
- a non-finite trial step is retried shorter; only if that does not help is it an error;
- events are found to rounding, not to atol; `odeint_event` differentiates parameters of event_fn too;
- any Runge-Kutta method takes `step_size`; `rk4_classic` and `tsit5` are new.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import inputs, tableaus
from .adams import Adams
from .control import Controller, Tolerance
from .errors import check_solution
from .events import find_event, first_of, link_event_gradient
from .inputs import State, unflatten
from .integrate import Log, Method, Stop, march, read
from .runge_kutta import RungeKutta, time_tensor
from .scipy_solver import solve_with_scipy
from .solution import Solution
from .tableaus import Tableau

METHODS: dict[str, Tableau | type[Adams] | Callable] = {t.name: t for t in (*tableaus.FIXED, *tableaus.ADAPTIVE)}
METHODS |= {"explicit_adams": Adams, "implicit_adams": Adams, "fixed_adams": Adams, "scipy_solver": solve_with_scipy}

_GRID = {"step_size", "grid_constructor", "interp", "perturb", "norm"}
_ADAPTIVE = {
    *("norm", "first_step", "min_step", "max_step", "max_num_steps", "step_t", "jump_t", "safety", "ifactor", "dfactor"),
    *("controller", "dtype"),  # dtype: of the clock, for torchdiffeq's sake; ours is always a Python float
}
_SCIPY = {"solver", "min_step", "max_step", "norm"}


def register_method(tableau: Tableau) -> Tableau:
    """Make a Runge-Kutta method known to `odeint` under its name. Returns the tableau.

    Raises:
        ValueError: if the name is taken.
    """
    if tableau.name in METHODS:
        raise ValueError(f"method {tableau.name!r} exists already; choose another name")
    METHODS[tableau.name] = tableau
    return tableau


def odeint(
    func: Callable,
    y0: State,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict | None = None,
    event_fn: Callable | None = None,
) -> Any:
    """Solve dy/dt = func(t, y), y(t[0]) = y0.

    Args:
        func: the vector field: t a 0-d tensor, y like y0; returns a tensor (or tuple) like y0.
        y0: the state at t[0]: a tensor of any shape, or a tuple of tensors; real or complex.
        t: (T,) times, strictly increasing or decreasing; t[0] is the initial time.
        rtol, atol: an adaptive method keeps the error of each step below atol + rtol |y|, in the norm of the options.
        method: one of METHODS; "dopri5" if None.
        options: of the method. Adaptive: norm, first_step, min_step, max_step, max_num_steps (between two output times),
            step_t and jump_t (times that no step crosses; func jumps at the latter), safety, ifactor, dfactor, controller
            ("I", "PI" or a function). Fixed: step_size or grid_constructor, interp ("cubic", "linear"), perturb. Adams
            methods also max_iters, max_order. scipy_solver: solver, min_step, max_step.
        event_fn: event_fn(t, y) -> tensor; the solve ends where it becomes zero. t must hold two times then, of which
            the second gives the direction only.

    Returns:
        Tensor (T, *y0.shape), or a tuple of such; differentiable with respect to y0, t and whatever func uses (not with
        scipy_solver). With event_fn: (event time, states at t[0] and at the event).

    Raises:
        TypeError, ValueError: for inputs that cannot be right.
        SolveError: if the solve cannot go on.

    Source: the signature is torchdiffeq's (Chen 2018, github.com/rtqichen/torchdiffeq); the module lists the differences.
    """
    problem = _prepare(func, y0, t, rtol, atol, method, options, event_fn)
    if event_fn is None:
        return _run(problem).y
    t_event, y = _run_to_event(problem, event_fn)
    return torch.tensor(t_event, dtype=t.dtype, device=t.device), unflatten(y, problem.shapes)


def solve(
    func: Callable,
    y0: State,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict | None = None,
    per_sample: bool = False,
    record: bool = False,
) -> Solution:
    """As `odeint`, but returns a `Solution`: states, statistics and, with `record`, every attempt and the dense output.

    With `per_sample`, every row of y0 (B, ...) has its own clock: its own steps, and its own output times if t is (B, T);
    func then gets t of shape (B, 1, ..., 1). Adaptive Runge-Kutta methods only.
    """
    if per_sample:
        from .batched import solve_per_sample

        return solve_per_sample(func, y0, t, rtol, atol, METHODS.get(_check_method(method)), options, record)
    problem = _prepare(func, y0, t, rtol, atol, method, options)
    return _run(problem, record)


def odeint_dense(
    func: Callable,
    y0: State,
    t0: float | Tensor,
    t1: float | Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict | None = None,
) -> Solution:
    """Solve from t0 to t1 and return the solution as a function of time: y = odeint_dense(...); y(0.5)."""
    t = torch.stack([torch.as_tensor(s, dtype=torch.float64).detach() for s in (t0, t1)])
    return solve(func, y0, t, rtol=rtol, atol=atol, method=method, options=options, record=True)


def odeint_event(
    func: Callable,
    y0: State,
    t0: Tensor,
    *,
    event_fn: Callable,
    reverse_time: bool = False,
    odeint_interface: Callable = odeint,
    **kwargs: Any,
) -> tuple[Tensor, State]:
    """Solve from t0 until event_fn(t, y) = 0; the event's time and state are differentiable.

    Args:
        func, y0: as for `odeint`.
        t0: 0-d tensor, the initial time.
        event_fn: event_fn(t, y) -> tensor; with several entries, the first to become zero counts.
        reverse_time: go towards earlier times.
        odeint_interface: `odeint`, `odeint_adjoint`, or torchdiffeq's.
        **kwargs: passed on to it.

    Returns:
        (event time, states (2, *y0.shape) at t0 and at the event).
    """
    t0 = torch.as_tensor(t0).reshape(())
    t = torch.stack([t0, t0.detach() + (-1 if reverse_time else 1)])
    event_t, solution = odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
    whole = isinstance(solution, Tensor)
    last = solution[-1] if whole else tuple(part[-1] for part in solution)
    event_t, last = link_event_gradient(func, event_fn, event_t, last)
    if whole:
        return event_t, torch.cat([solution[:-1], last.unsqueeze(0)])  # type: ignore[union-attr]
    return event_t, tuple(torch.cat([s[:-1], e.unsqueeze(0)]) for s, e in zip(solution, last, strict=True))


@dataclass
class Problem:
    """A checked initial value problem in normal form: the state is one tensor, the times are floats."""

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
    def tensors(self) -> Tensor | None:
        """The times as a tensor, where gradients with respect to them are wanted."""
        return self.t if self.t.requires_grad and torch.is_grad_enabled() else None


def _check_method(method: str | None) -> str:
    method = "dopri5" if method is None else method
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; it must be one of {', '.join(METHODS)}")
    return method


def _prepare(
    func: Callable, y0: Any, t: Tensor, rtol: Any, atol: Any, method: Any, options: Any, event_fn: Any = None
) -> Problem:
    """Check everything, and bring it into normal form."""
    method = _check_method(method)
    times = inputs.check_times(t)
    if event_fn is not None and len(times) != 2:
        raise ValueError(f"with event_fn, t must hold two times, the start and any later one; got {len(times)}")
    if not callable(func):
        raise TypeError(f"func must be callable as func(t, y), got {type(func).__name__}")
    flat, shapes = inputs.check_state(y0)
    if t.device != flat.device:
        t = t.to(flat.device)
    log = Log()
    f = inputs.counted_field(func, flat, shapes, log.stats)

    kind = METHODS[method]
    adaptive = isinstance(kind, Tableau) and kind.error is not None
    if adaptive and options and _GRID & {"step_size", "grid_constructor"} & set(options):
        adaptive = False  # an adaptive method's step on a fixed grid
    if kind is solve_with_scipy:
        known: set[str] = _SCIPY
    else:
        known = _ADAPTIVE if adaptive else _GRID | ({"max_iters", "max_order"} if kind is Adams else set())
        if isinstance(kind, Tableau) and kind.error is not None:
            known = known | _GRID
    options = inputs.check_options(options, known, method)

    supported = {"callback_step", *(("callback_accept_step", "callback_reject_step") if adaptive else ())}
    left = inputs.add_callbacks(log, func, shapes, () if kind is solve_with_scipy else supported)
    if left:
        warnings.warn(f"method {method!r} does not call {', '.join(left)}; they stay silent", stacklevel=3)

    tol = controller = stepper = None
    dense: Any = "cubic"
    if adaptive:
        tol = inputs.make_tolerance(rtol, atol, flat, shapes, options)
        controller = inputs.make_controller(options)
    if isinstance(kind, Tableau):
        stepper, dense = RungeKutta(kind), kind.dense or "cubic"
    elif kind is Adams:
        limits = {name: options[name] for name in ("max_iters", "max_order") if name in options}
        stepper = Adams(method != "explicit_adams", rtol, atol, **limits)
    if options.get("interp") is not None:
        if options["interp"] not in ("linear", "cubic"):
            raise ValueError(f"options['interp'] must be 'linear' or 'cubic', got {options['interp']!r}")
        dense = options["interp"]
    return Problem(f, flat, shapes, t, times, method, options, log, tol, controller, stepper, dense, rtol, atol)


def _run(p: Problem, record: bool = False) -> Solution:
    """Solve, without an event."""
    segments: list | None = [] if record else None
    if p.stepper is None:
        limits = {name: p.options[name] for name in ("solver", "min_step", "max_step") if name in p.options}
        y = solve_with_scipy(p.f, p.y0, p.times, p.rtol, p.atol, **limits)
        segments = None
    else:
        p.log.attempts = [] if record else None
        steps = _steps(p, _grid(p) if p.tol is None else _stops(p))
        if segments is not None:
            steps = _keep(steps, segments, p)
        max_steps = int(p.options.get("max_num_steps", 2**31 - 1))
        y = read(steps, p.y0, p.times, p.dense, p.f, p.log, p.tensors, max_steps)
        if p.tol is None:
            check_solution(y, p.times, p.method)
    shapes = p.shapes
    back = None if shapes is None else lambda y: unflatten(y, shapes)
    return Solution(p.t, unflatten(y, shapes), p.log.stats, p.log.attempts, segments, p.dense, back)


def _run_to_event(p: Problem, event_fn: Callable) -> tuple[float, Tensor]:
    """Solve until the event: its time, and the states (2, N) at the start and there."""
    if p.stepper is None:
        raise ValueError("scipy_solver does not handle events here; use an adaptive method such as 'dopri5'")

    def flat_event(t: Tensor, y: Tensor) -> Tensor:
        return torch.as_tensor(event_fn(t, unflatten(y, p.shapes)))

    if p.tol is None:
        if "step_size" not in p.options:
            raise ValueError(f"with event_fn, method {p.method!r} needs a step: options={{'step_size': ...}}")
        h = p.direction * float(p.options["step_size"])
        stops: Iterable[Stop] = (Stop(p.times[0] + n * h) for n in itertools.count(1))
    else:
        stops = [*_stops(p)[:-1], Stop(p.direction * math.inf)]
    g = first_of(flat_event, time_tensor(p.times[0], p.y0), p.y0)
    limit = int(p.options.get("max_num_steps", 20_000))
    t_event, y = find_event(_steps(p, stops), g, p.y0, p.times[0], p.dense, p.f, p.log, limit)
    return t_event, torch.stack([p.y0, y])


def _steps(p: Problem, stops: Iterable[Stop]) -> Iterator:
    assert p.stepper is not None
    start = Stop(p.times[0], None if p.tensors is None else p.tensors[0])
    perturb = bool(p.options.get("perturb", False))
    return march(p.f, p.y0, start, stops, p.stepper, p.log, p.tol, p.controller, p.direction, perturb)


def _keep(steps: Iterator, segments: list, p: Problem) -> Iterator:
    """Pass the steps on, and keep them for dense output."""
    for t, t1, step in steps:
        if p.dense == "cubic" and step.f1 is None:
            step.f1 = p.f(time_tensor(t1, step.y1), step.y1)
        segments.append((t, t1, step))
        yield t, t1, step


def _stops(p: Problem) -> list[Stop]:
    """Of an adaptive solve: step_t and jump_t ahead of the start, in order, and the last output time."""
    times = {}
    for name in ("step_t", "jump_t"):
        if p.options.get(name) is None:
            continue
        for s in torch.as_tensor(p.options[name], dtype=torch.float64).reshape(-1).tolist():
            if s in times:
                raise ValueError(f"options: {s:.6g} stands twice in step_t and jump_t; name each time once")
            times[s] = name == "jump_t"
    last = p.times[-1]
    before = sorted((s for s in times if (s - p.times[0]) * p.direction > 0), key=lambda s: s * p.direction)
    ahead = [Stop(s, None, times[s]) for s in before if (last - s) * p.direction > 0]
    if len(p.times) < 2:
        return []
    return [*ahead, Stop(last, None if p.tensors is None else p.tensors[-1], times.get(last, False))]


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
        if abs(points[0] - p.times[0]) + abs(points[-1] - p.times[-1]) > 1e-12 * abs(p.times[-1] - p.times[0]):
            raise ValueError(
                f"the grid must run from t[0] = {p.times[0]:.6g} to t[-1] = {p.times[-1]:.6g}, got {points[0]:.6g} to "
                f"{points[-1]:.6g}"
            )
        return [Stop(s, grid[i] if p.tensors is not None else None) for i, s in enumerate(points)][1:]
    if step_size is None:
        return [Stop(s, None if p.tensors is None else p.tensors[i]) for i, s in enumerate(p.times)][1:]
    if not float(step_size) > 0:
        raise ValueError(f"options['step_size'] must be a positive number, got {step_size!r} (also for decreasing t)")
    h, span = float(step_size), abs(p.times[-1] - p.times[0])
    n = max(1, math.ceil(span / h - 1e-6))  # a last step longer by a millionth rather than one of rounding size
    inner = [Stop(p.times[0] + p.direction * i * h) for i in range(1, n)]
    return [*inner, Stop(p.times[-1], None if p.tensors is None else p.tensors[-1])]
