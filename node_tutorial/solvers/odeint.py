"""The front door: `odeint`, a drop-in for torchdiffeq's, and `solve`, which also tells what it did.

Where we differ from torchdiffeq 0.2.5, on purpose:
- an unknown option raises (there: a warning); messages name the argument and the remedy; a solve
  that cannot go on raises `SolveError`, an AssertionError as well as a RuntimeError; so do
  fixed-step solutions that overflow;
- the last step ends at t[-1] (there it overshoots, and func is evaluated beyond t[-1]);
- dense output: bosh3, adaptive_heun and dopri8 interpolate with the order that their references
  give; on a fixed grid, times between grid points are interpolated cubically, except by euler
  (`interp="linear"` for all, as there);
- Adams methods use the weights of the actual steps, also where these are unequal;
- a non-finite trial step is retried shorter; only if that does not help is it an error;
- events are found to rounding, not to atol; `odeint_event` differentiates parameters of event_fn
  too;
- any Runge-Kutta method takes `step_size`; new are `rk4_classic`, `tsit5`, the implicit, the
  symplectic and the reversible methods. Of the implicit ones, torchdiffeq's newest source has nine:
  there gl4 has a wrong stage time (and order 1), and trbdf2 is not adaptive. kvaerno5 evaluates
  func beyond t[-1];
- `odeint_adjoint` refuses fields that are random or keep running statistics (Dropout, BatchNorm in
  training mode).
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .batched import solve_per_sample
from .events import link_event_gradient
from .inputs import State, uncached_casts, uncompiled, unflatten
from .methods.registry import find_method
from .options import take_compile
from .problem import Problem, prepare, run, run_to_event
from .solution import Solution
from .statistics import Stats


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
    stats: Stats | None = None,
) -> Any:
    """Solve dy/dt = func(t, y), y(t[0]) = y0.

    Args:
        func: the vector field: t a 0-d tensor, y like y0; returns a tensor (or tuple) like y0.
        y0: the state at t[0]: a tensor of any shape, or a tuple of tensors; real or complex.
        t: (T,) times, strictly increasing or decreasing; t[0] is the initial time.
        rtol, atol: an adaptive method keeps the error of each step below atol + rtol |y|, in the
            norm of the options.
        method: one of METHODS; "dopri5" if None. For stiff problems "kvaerno5", "kvaerno3" or
            "trbdf2" (adaptive), or one of "implicit_euler", "trapezoid", "radauIIA5", .. with
            step_size: they need func to be differentiable by autograd, and take real states.
            "semi_implicit_euler", "leapfrog", "yoshida4": y0 = (q, p), or one tensor whose last
            dimension holds q, then p.
        options: of the method.
            Adaptive: norm, first_step, min_step, max_step, max_num_steps (between two output
            times), step_t and jump_t (times that no step crosses; func jumps at the latter),
            safety, ifactor, dfactor, controller ("I", "PI", the default of implicit methods, or a
            function).
            Fixed: step_size or grid_constructor, interp ("cubic", "linear"), perturb (not
            reversible methods). Adams methods also max_iters, max_order.
            scipy_solver: solver, min_step, max_step.
            All: max_num_evaluations (of func, in all of the solve); compile (True: the whole solve
            as one compiled program, for explicit Runge-Kutta methods; see `compiled/solve.py`).
        event_fn: event_fn(t, y) -> tensor; the solve ends where it becomes zero. t must hold two
            times then, of which the second gives the direction only.
        stats: a `Stats` to which the cost of this solve is added.

    Returns:
        Tensor (T, *y0.shape), or a tuple of such; differentiable with respect to y0, t and whatever
        func uses (not with scipy_solver). With event_fn: (event time, states at t[0] and at the
        event).

    Raises:
        TypeError, ValueError: for inputs that cannot be right.
        SolveError: if the solve cannot go on, or may not (max_num_steps, max_num_evaluations); its
            `solution` has what was solved before.

    Source: the signature is torchdiffeq's (github.com/rtqichen/torchdiffeq); the module lists the
    differences.
    """
    options, as_program = take_compile(options)
    problem = prepare(func, y0, t, rtol, atol, method, options, event_fn, stats)
    if event_fn is None:
        with uncached_casts(problem.y0):
            return (_run_compiled(func, problem) if as_program else run(problem)).y
    if as_program:
        warnings.warn(uncompiled("events are looked for in Python"), stacklevel=2)
    with uncached_casts(problem.y0):
        t_event, y = run_to_event(problem, event_fn)
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
    """As `odeint`, but returns a `Solution`; with `record`, with every attempt and dense output.

    With `per_sample`, every row of y0 (B, ...) has its own clock: its own steps, and its own output
    times if t is (B, T); func then gets t of shape (B, 1, ..., 1). Adaptive Runge-Kutta methods
    only.
    """
    options, as_program = take_compile(options)
    if per_sample:
        if as_program:
            warnings.warn(uncompiled("per_sample has one clock per sample"), stacklevel=2)
        kind = find_method(method)
        with uncached_casts(t):
            return solve_per_sample(func, y0, t, rtol, atol, kind, options, record)
    problem = prepare(func, y0, t, rtol, atol, method, options)
    with uncached_casts(problem.y0):
        return _run_compiled(func, problem, record) if as_program else run(problem, record)


def _run_compiled(func: Callable, problem: Problem, record: bool = False) -> Solution:
    """As `run`, compiled. Loaded only when wanted: it needs parts of torch that are not public."""
    try:
        from .compiled.solve import run_compiled
    except (ImportError, AttributeError) as error:
        warnings.warn(
            uncompiled(f"PyTorch {torch.__version__} lacks what it needs ({error})"), stacklevel=3
        )
        return run(problem, record)
    return run_compiled(func, problem, record)


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
    """Solve from t0 to t1; the solution as a function of time: y = odeint_dense(...); y(0.5)."""
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
) -> tuple[Tensor, Any]:
    """Solve from t0 until event_fn(t, y) = 0; the event's time and state are differentiable.

    Args:
        func, y0: as for `odeint`.
        t0: 0-d tensor, the initial time.
        event_fn: event_fn(t, y) -> tensor; with several entries, the first to become zero counts.
            Where it is zero at t0 already, the event is t0: a ball that is to bounce once more
            starts a hair above the floor.
        reverse_time: go towards earlier times.
        odeint_interface: `odeint`, `odeint_adjoint`, or torchdiffeq's.
        **kwargs: passed on to it.

    Returns:
        (event time, states (2, *y0.shape) at t0 and at the event). The time has no gradient where
        event_fn is a constant there, such as torch.zeros_like(t) from a last time on.

    Raises:
        SolveError: as `odeint`; and where event_fn depends on t or y, but does not change along
            the solution, so that the time has no derivative.
    """
    t0 = torch.as_tensor(t0).reshape(())
    if not t0.is_floating_point():
        t0 = t0.to(torch.get_default_dtype())
    # The second time gives the direction only; it has to be another number.
    ahead = max(1.0, 4 * torch.finfo(t0.dtype).eps * abs(float(t0.detach())))
    t = torch.stack([t0, t0.detach() + (-ahead if reverse_time else ahead)])
    event_t, solution = odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
    whole = isinstance(solution, Tensor)
    last = solution[-1] if whole else tuple(part[-1] for part in solution)
    event_t, last = link_event_gradient(func, event_fn, event_t, last)
    if whole:
        return event_t, torch.cat([solution[:-1], last.unsqueeze(0)])  # type: ignore[union-attr]
    return event_t, tuple(
        torch.cat([s[:-1], e.unsqueeze(0)]) for s, e in zip(solution, last, strict=True)
    )
