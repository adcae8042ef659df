"""The whole solve as one compiled program, and its gradient as a second one: `options={"compile":
True}`.

    fields     torch.compile's tracer reads func into a graph
    forward    the loop over steps, built around that graph
    backward   the same for the gradient: the recorded steps, redone and differentiated
    kernels    small products and tanh in a form that fuses
    compiler   graphs become C++ by inductor, and are kept
    call       the programs are called with all that may change: the state, the times, the
               tolerances, the tensors that func uses

So an optimizer's step, or other times, compile nothing anew; another shape, number of times, method
or func does. Here all of this is put together.

The numbers are those of the plain solve to rounding; the statistics and the errors are the same.
The gradient is that of `odeint_replay`: exact for the computed solution; two states a step are
kept. For second derivatives the solve is made once more, uncompiled. What cannot be compiled is
solved as always, with one warning that says why.
"""

import contextlib
import math
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..inputs import uncompiled, unflatten
from ..problem import Problem, run, stops_of
from ..runge_kutta import RungeKutta
from ..solution import Solution
from .backward import Recorded, StepGiven, backward_program, field_pullback, step_pullback
from .call import Replayed, Solver, first_given, solve_compiled
from .compiler import Uncompiled, compile_program, kept_program, trace
from .fields import FieldGraph, examine, trace_field
from .forward import Plan, forward_program

ENTRIES = 2**20  # of the buffers that one call fills, roughly
SMALL = 2**11  # entries of a state, for temporaries on the stack

hopeless: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # func -> why it is not compiled
lock = threading.RLock()  # of what is kept: fields, programs, and the reading that was caught


def run_compiled(func: Callable, problem: Problem, record: bool = False) -> Solution:
    """As `run`, compiled if that is possible; else it warns, and runs as always."""
    if len(problem.times) < 2 or not problem.y0.numel():
        return run(problem, record)
    owner = getattr(func, "__self__", func)  # a bound method is made anew for every call
    # Asked in this order: what the problem wants is cheap to see, and may change; what func is,
    # does not.
    unsuited = refusal_of(problem, record)
    refusal = unsuited or known_refusal(owner)
    solver = None
    if refusal is None:
        try:
            with lock:
                solver, used = _prepare(func, problem)
        except Uncompiled as reason:
            refusal = str(reason)
    if solver is None:
        warnings.warn(uncompiled(str(refusal)), stacklevel=4)
        solution = run(problem, record)  # may raise; then what is wrong is not the compilation
        if unsuited is None:  # it is func that cannot be compiled, and another problem not help
            with contextlib.suppress(TypeError):  # not all callables can be referred to weakly
                hopeless[owner] = str(refusal)
        return solution
    # Without gradients there is no need for a node in autograd's graph.
    if solver.backward is None:
        y, _ = solve_compiled(solver, problem.y0, used)
    else:
        y = Replayed.apply(solver, problem.y0, problem.t, *used)
    return Solution(problem.t, unflatten(y, problem.shapes), problem.log.stats)


def known_refusal(owner: Any) -> str | None:
    # Not `get`: it would hash owner, which not all callables allow, before any is known.
    return hopeless[owner] if owner in hopeless else None


def refusal_of(problem: Problem, record: bool) -> str | None:
    """What the programs do not do, if the problem asks for it."""
    method = problem.method
    y0 = problem.y0
    options = problem.options
    if record:
        return "record=True keeps every step"
    if not isinstance(problem.stepper, RungeKutta):
        return f"method {method!r} is no explicit Runge-Kutta method"
    if y0.dtype not in (torch.float32, torch.float64) or y0.device.type != "cpu":
        return (
            f"the state is {y0.dtype} on {y0.device}; compiled are float32 and float64 on the CPU"
        )
    if problem.log.on_step or problem.log.on_accept or problem.log.on_reject:
        return "func has callbacks, which are Python"
    for name in ("norm", "jump_t", "perturb"):
        if getattr(options, name):
            return f"options[{name!r}] is not compiled"
    if options.max_num_evaluations < math.inf:
        return "options['max_num_evaluations'] is not compiled"
    if callable(options.controller):
        return "options['controller'] is a function of Python"
    if options.grid_constructor is not None and problem.tensors is not None:
        return "gradients of t through a grid_constructor are not compiled"
    # The plain solve evaluates f(t1, y1) only for steps with outputs inside, so that the counts
    # would differ.
    tableau = problem.stepper.tableau
    lacks_slope = not (tableau.fsal or tableau.carry_last)
    if problem.tol and problem.dense == "cubic" and lacks_slope and len(problem.times) > 2:
        return (
            f"method {method!r} is adaptive, and has neither dense output nor a last slope to pass "
            "on"
        )
    return None


def _prepare(func: Callable, problem: Problem) -> tuple[Solver, list[Tensor]]:
    """The programs for a problem, found or made, and the tensors that func uses.

    Raises:
        Uncompiled: if there can be none.
    """
    # Programs are made for contiguous states. `trace_field` tells y from what func uses by its
    # identity, so that it must be a tensor that func has not seen.
    y0 = problem.y0.detach().contiguous()
    field, used = trace_field(func, problem.shapes, y0.new_zeros(()), y0)
    # Only their number is compiled in; the times themselves are inputs.
    stops = [stop.t for stop in stops_of(problem)]
    shapes = (y0.shape, y0.dtype, *(problem.shapes or ()))
    how = _kind(problem, stops)
    key = (field, how, shapes, len(problem.times), len(stops))
    plan, forward = kept_program(
        key, lambda: _make_forward(problem, stops, field, y0, [x.detach() for x in used])
    )

    # The second program depends on what requires a gradient now; the first one does not.
    grad = torch.is_grad_enabled()
    wanted = tuple(x.requires_grad for x in used) if grad else ()
    solver = Solver(problem, plan, stops, wanted, forward)
    if plan.wants_t or True in wanted or (grad and problem.y0.requires_grad):
        backward = kept_program(
            (key, wanted), lambda: _make_backward(solver, field, y0, [x.detach() for x in used])
        )
        solver = solver._replace(backward=backward)
    return solver, used


def _kind(problem: Problem, stops: list[float]) -> tuple:
    """What of a problem, besides its field and its shapes, programs are made for."""
    return (
        problem.method,
        problem.tol is None,
        _has_inside(problem, stops),
        problem.tensors is not None,
        problem.options.controller,
        problem.options.interp,
        # Its casts become part of the programs.
        torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"),
        *(x.shape if isinstance(x, Tensor) else None for x in (problem.rtol, problem.atol)),
    )


def _has_inside(problem: Problem, stops: list[float]) -> bool:
    """Whether output times may lie inside steps."""
    # An adaptive step ends where it likes, but for t[-1]; a fixed one, on the grid.
    if problem.tol:
        return len(problem.times) > 2
    return not set(problem.times[1:]) <= set(stops)


def _plan(problem: Problem, stops: list[float]) -> Plan:
    assert isinstance(problem.stepper, RungeKutta)
    plan = Plan(
        tableau=problem.stepper.tableau,
        adaptive=problem.tol is not None,
        controller=str(problem.options.controller or "I"),
        parts=tuple(shape.numel() for shape in problem.shapes or ()),
        dense=problem.dense,
        inside=_has_inside(problem, stops),
        wants_t=problem.tensors is not None,
        points=len(problem.times),
        rows=1,
    )
    return replace(plan, rows=rows_for(problem.y0.numel() * (plan.degree + 2)))


def rows_for(entries: int) -> int:
    """The most steps of a call, for so many entries of a state, a slope and coefficients."""
    # More rows would cost memory that most solves do not fill; fewer, more calls.
    return max(16, min(128, ENTRIES // entries))


def _make_forward(
    problem: Problem, stops: list[float], field: FieldGraph, y0: Tensor, used: Sequence[Tensor]
) -> tuple[Plan, Callable]:
    """The plan, and the program of the solve; `used` without gradients."""
    examine(field, y0.new_zeros(()), y0, used)
    plan = _plan(problem, stops)
    examples = first_given(problem, plan, stops, y0)
    # No tensor twice: they would be taken for one, also where they differ later.
    examples = examples._replace(slope=y0.clone(), atol=examples.atol.clone())
    program = forward_program(plan, field)
    return plan, compile_program(program, [*examples, *used], small=is_small(y0))


def _make_backward(
    solver: Solver, field: FieldGraph, y0: Tensor, used: Sequence[Tensor]
) -> Callable:
    """The program of the gradient; `used` without gradients."""
    plan = solver.plan
    wanted = solver.wanted
    given = first_given(solver.problem, plan, solver.stops, y0)
    time = given.times[0]
    moments = y0.new_zeros(plan.rows, plan.degree + 2, *y0.shape)
    # Examples tell shapes and types; the values do not matter. No tensor twice, here too.
    step = StepGiven(
        t=time.clone(),
        h=time.clone(),
        y0=y0,
        f0=y0.clone(),
        of_y1=y0.clone(),
        of_f1=y0.clone(),
        of_coefficients=moments[0, 1:-1].clone(),
    )
    # With the gradient traced ahead, the program around it is one of plain operations.
    pull_step = trace(step_pullback(plan, field, wanted), [*step, *used])
    pull_field = trace(field_pullback(plan, field, wanted), [time, y0, y0.clone(), *used])
    examples = Recorded(
        counts=torch.zeros(4, dtype=torch.int64),
        grad=given.outputs,
        of_y=y0.clone(),
        of_f=y0.clone(),
        row=torch.zeros(plan.points, dtype=torch.int64),
        theta=given.times.new_zeros(plan.points),
        moments=moments,
        states=given.states,
        slopes=given.slopes,
        times=given.times,
        of_times=given.times.new_zeros(plan.rows, 2),
    )
    program = backward_program(plan, pull_step, pull_field, wanted)
    return compile_program(program, [*examples, *used], small=is_small(y0))


def is_small(y0: Tensor) -> bool:
    return y0.numel() <= SMALL
