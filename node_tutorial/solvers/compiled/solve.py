"""The whole solve as one compiled program, and its gradient as a second one: `options={"compile":
True}`.

torch.compile's tracer reads func into a graph (`fields.py`). Loops over steps are built around the
graph (`forward.py`, `backward.py`), compiled to C++ by inductor, kept, and called with all that may
change: the state, the times, the tolerances, the tensors that func uses. So an optimizer's step, or
other times, compile nothing anew; another shape, number of times, method or func does.

The numbers are those of the plain solve to rounding; the statistics and the errors are the same.
The gradient is that of `odeint_replay`: exact for the computed solution, first derivatives only,
two states a step are kept. What cannot be compiled is solved as always, with one warning that says
why.
"""

import contextlib
import math
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..inputs import uncompiled, unflatten
from ..problem import Problem, run, stops_of
from ..runge_kutta import RungeKutta
from ..solution import Solution
from .backward import backward_program, pull_program, start_program
from .call import Replayed, Solver, first_inputs, solve_compiled
from .fields import Field, Uncompiled, compiled, examine, program, read, traced
from .forward import Plan, forward_program

ENTRIES = 2**20  # of the buffers that one call fills, roughly

_hopeless: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # func -> why it is not compiled
_lock = threading.RLock()


def run_compiled(func: Callable, p: Problem, record: bool = False) -> Solution:
    """As `run`, compiled if that is possible; else it warns, and runs as always."""
    if len(p.times) < 2 or not p.y0.numel():
        return run(p, record)
    owner = getattr(func, "__self__", func)
    refusal, solver = (
        _refusal(p, record) or (_hopeless[owner] if owner in _hopeless else None),
        None,
    )
    if refusal is None:
        try:
            with _lock:
                solver, used = _prepare(func, p)
        except Uncompiled as reason:
            refusal = str(reason)
    if solver is None:
        warnings.warn(uncompiled(str(refusal)), stacklevel=4)
        solution = run(p, record)  # may raise; then what is wrong is not the compilation
        if _refusal(p, record) is None:
            with contextlib.suppress(TypeError):  # not all callables can be referred to weakly
                _hopeless[owner] = str(refusal)
        return solution
    if solver.backward is None:
        y, _ = solve_compiled(solver, p.y0, used)
    else:
        y = Replayed.apply(solver, p.y0, p.t, *used)
    return Solution(p.t, unflatten(y, p.shapes), p.log.stats)


def _refusal(p: Problem, record: bool) -> str | None:
    """What the programs do not do, if the problem asks for it."""
    if record:
        return "record=True keeps every step"
    if not isinstance(p.stepper, RungeKutta):
        return f"method {p.method!r} is no explicit Runge-Kutta method"
    if p.y0.dtype not in (torch.float32, torch.float64) or p.y0.device.type != "cpu":
        return f"the state is {p.y0.dtype} on {p.y0.device}; compiled are float32 and float64 on the CPU"
    if p.log.on_step or p.log.on_accept or p.log.on_reject:
        return "func has callbacks, which are Python"
    for name in ("norm", "jump_t", "perturb"):
        if getattr(p.options, name):
            return f"options[{name!r}] is not compiled"
    if p.options.max_num_evaluations < math.inf:
        return "options['max_num_evaluations'] is not compiled"
    if callable(p.options.controller):
        return "options['controller'] is a function of Python"
    if p.options.grid_constructor is not None and p.tensors is not None:
        return "gradients of t through a grid_constructor are not compiled"
    last_slope = p.stepper.tableau.fsal or p.stepper.tableau.carry_last
    if p.tol and p.dense == "cubic" and not last_slope and len(p.times) > 2:
        return f"method {p.method!r} is adaptive, and has neither dense output nor a last slope to pass on"
    return None


def _prepare(func: Callable, p: Problem) -> tuple[Solver, list[Tensor]]:
    """The programs for a problem, found or made, and the tensors that func uses.

    Raises:
        Uncompiled: if there can be none.
    """
    start, grad = p.y0.detach().contiguous(), torch.is_grad_enabled()
    field, used = read(func, p.shapes, start.new_zeros(()), start)
    stops, controller = [stop.t for stop in stops_of(p)], str(p.options.controller or "I")
    wants_t = p.tensors is not None
    inside = len(p.times) > 2 if p.tol else not set(p.times[1:]) <= set(stops)
    shapes = (start.shape, start.dtype, *(p.shapes or ()))
    tolerances = tuple(x.shape if isinstance(x, Tensor) else None for x in (p.rtol, p.atol))
    how = (p.method, p.tol is None, inside, wants_t, controller, p.options.interp)
    key = (field, how, shapes, len(p.times), len(stops), tolerances)

    def make_forward() -> tuple[Plan, Callable]:
        assert isinstance(p.stepper, RungeKutta)
        parts = tuple(shape.numel() for shape in p.shapes or ())
        plan = Plan(
            p.stepper.tableau,
            p.tol is not None,
            controller,
            parts,
            p.dense,
            inside,
            wants_t,
            len(p.times),
            rows=1,
        )
        plan = plan._replace(rows=max(16, min(128, ENTRIES // (start.numel() * (plan.degree + 2)))))
        return plan, _make_forward(p, plan, stops, field, start, used)

    plan, forward = program(key, make_forward)
    wanted = tuple(x.requires_grad for x in used) if grad else ()
    solver = Solver(p, plan, stops, wanted, forward)
    if wants_t or True in wanted or (grad and p.y0.requires_grad):
        backward = program((key, wanted), lambda: _make_backward(solver, field, start, used))
        solver = solver._replace(backward=backward)
    return solver, used


def _make_forward(
    p: Problem, plan: Plan, stops: list[float], field: Field, y0: Tensor, used: Sequence[Tensor]
) -> Callable:
    used = [x.detach() for x in used]
    examine(field, y0.new_zeros(()), y0, used)
    y, _, *rest = first_inputs(p, plan, stops, y0, used)
    return compiled(forward_program(plan, field), [y, y.clone(), *rest])  # no tensor twice


def _make_backward(solver: Solver, field: Field, y0: Tensor, used: Sequence[Tensor]) -> Callable:
    plan, wanted, used = solver.plan, solver.wanted, [x.detach() for x in used]
    _, _, grad, ys, fs, ts, *_ = first_inputs(solver.p, plan, solver.stops, y0, used)
    t, h, y, f0, of_y, of_f = ts[0].clone(), ts[1].clone(), *(y0.clone() for _ in range(4))
    moments, of_times = (
        y.new_zeros(plan.rows, plan.degree + 2, *y.shape),
        ts.new_zeros(plan.rows, 2),
    )
    pull = traced(
        pull_program(plan, field, wanted),
        [t, h, y, f0, of_y, of_f, moments[0, 1:-1].clone(), *used],
    )
    pull_start = traced(start_program(plan, field, wanted), [t, y, of_f, *used])
    numbers, row = torch.zeros(4, dtype=torch.int64), torch.zeros(plan.points, dtype=torch.int64)
    theta = ts.new_zeros(plan.points)
    examples = [numbers, grad, of_y, of_f, row, theta, moments, ys, fs, ts, of_times, *used]
    return compiled(backward_program(plan, pull, pull_start, wanted), examples)
