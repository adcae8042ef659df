"""The adjoint solve as a compiled program: the state z = (y, a, *dL/dtheta), flat, from one
observation back to the one before.

The program is that of `forward.py`, for the field (f, -a^T df/dy, -a^T df/dtheta). One call goes
from t[i] to t[i - 1]; what happens at an observation is done at its beginning: y is the kept y[i],
and a gets the cotangent of y[i]. Equations, tolerances and norms are those of
`gradients/adjoint.py`, which calls this, and which solves as always where a solve is not compiled,
or stops early.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Problem
from ..runge_kutta import RungeKutta
from .backward import differentiated, products
from .call import buffers_of, first_clock, limits_of, tensor_of, vector
from .compiler import Uncompiled, compile_program, kept_program, trace
from .fields import FieldGraph, examine, trace_field
from .forward import Clock, Given, Plan, Result, Settings, forward_program
from .solve import hopeless, is_small, known_refusal, lock, refusal_of, rows_for


class Pulled(NamedTuple):
    """What the adjoint solve has found."""

    of_y: Tensor  # a(t[0]), without the cotangent of y[0]
    of_params: list[Tensor | None]  # None: func does not use it
    of_times: list[float]  # g_i^T f(t[i], y[i]) for every i > 0
    lost: list[tuple[float, float]]  # of every y[i] solved for: its largest error, and its size
    nfe: int


class Observation(NamedTuple):
    """What a program is called with, before `Given` and the used tensors."""

    kept: Tensor  # (N,) the state here,
    cotangent: Tensor  # (N,) its cotangent,
    before: Tensor  # (N,) and the state at the end of the interval, at the observation before


def pull_back_compiled(
    problem: Problem,
    seminorm: bool,
    y: Tensor,
    grad_y: Tensor,
    params: Sequence[Tensor],
) -> Pulled | str:
    """The adjoint solve; or why it is not compiled; or "", if it has stopped early.

    Args:
        problem: of func, from t[-1] to t[0], with the options of the backward solve.
        seminorm: leave dL/dtheta out of the norm.
        y, grad_y: (T, *) the states that the forward solve has found, and their cotangents.
        params: the tensors that get gradients.
    """
    owner = getattr(problem.func, "__self__", problem.func)
    refusal = _refusal(problem) or known_refusal(owner)
    if refusal:
        return refusal
    try:
        with lock:
            plan, program, used, wanted = _prepare(problem, seminorm, params)
    except Uncompiled as reason:
        with contextlib.suppress(TypeError):  # not all callables can be referred to weakly
            hopeless[owner] = str(reason)
        return str(reason)
    return _solve(problem, plan, program, used, wanted, y, grad_y, params)


def _refusal(problem: Problem) -> str | None:
    if problem.tol is None:
        return "compiled is the adjoint of adaptive methods only"
    refusal = refusal_of(problem, record=False)
    if refusal:
        return refusal
    if problem.options.step_t:
        return "options['step_t'] is not compiled in an adjoint"
    tableau = problem.stepper.tableau  # type: ignore[union-attr]
    if not (tableau.fsal or tableau.carry_last):
        return f"the last slope of method {problem.method!r} is not the first of the next step"
    if any(isinstance(x, Tensor) and x.numel() > 1 for x in (problem.rtol, problem.atol)):
        return "tolerances per entry are not compiled in an adjoint"
    return None


def _prepare(
    problem: Problem, seminorm: bool, params: Sequence[Tensor]
) -> tuple[Plan, Callable, list[Tensor], tuple[bool, ...]]:
    """The plan, the program, the tensors that func uses, and which of them get gradients."""
    y0 = problem.y0.detach().contiguous()
    field, used = trace_field(problem.func, problem.shapes, y0.new_zeros(()), y0)
    known = {id(p) for p in params}
    wanted = tuple(id(x) in known for x in used)
    # Of a tensor that was computed from the parameters outside of func, func alone does not say
    # how it depends on them.
    if any(x.grad_fn is not None and not w for x, w in zip(used, wanted)):
        raise Uncompiled("func uses tensors that were computed with a graph outside of it")
    plan = _plan(problem, seminorm, y0, [x for x, w in zip(used, wanted) if w])
    autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
    key = ("adjoint", field, plan, wanted, y0.shape, y0.dtype, autocast)
    values = [x.detach() for x in used]
    program = kept_program(key, lambda: _make(plan, field, y0, values, wanted))
    return plan, program, used, wanted


def _plan(problem: Problem, seminorm: bool, y0: Tensor, found: Sequence[Tensor]) -> Plan:
    assert isinstance(problem.stepper, RungeKutta)
    of_state = tuple(shape.numel() for shape in problem.shapes or (y0.shape,))
    sums = tuple(p.numel() for p in found)
    return Plan(
        tableau=problem.stepper.tableau,
        adaptive=True,
        controller=str(problem.options.controller or "I"),
        parts=of_state + of_state + (() if seminorm else sums),
        dense="linear",
        inside=False,
        wants_t=False,
        points=2,
        rows=rows_for(2 * (2 * y0.numel() + sum(sums))),
    )


def _make(
    plan: Plan, field: FieldGraph, y0: Tensor, used: Sequence[Tensor], wanted: Sequence[bool]
) -> Callable:
    examine(field, y0.new_zeros(()), y0, used)
    # The field with its products, traced: the program around it is one of plain operations.
    both = trace(_slope_and_products(field, wanted), [y0.new_zeros(()), y0, y0.clone(), *used])
    n = y0.numel()

    def augmented(t: Tensor, z: Tensor, *used: Tensor) -> Tensor:
        y = z[:n].view(y0.shape)
        a = z[n : 2 * n].view(y0.shape)
        return torch.cat([x.reshape(-1) for x in both(t, y, a, *used)])

    sums = sum(x.numel() for x, w in zip(used, wanted) if w)
    z = y0.new_zeros(2 * n + sums)
    observation = Observation(*(y0.reshape(-1).clone() for _ in range(3)))
    settings = (0.0,) * (len(Settings._fields) - 2 + 3)  # with a stop, and two output times
    clock = first_clock(0.0, 0.0)
    given = _given(plan, z, z.clone(), settings, clock, (1.0, 2.0))  # no tensor twice
    program = adjoint_program(plan, augmented, n)
    return compile_program(program, [*observation, *given, *used], small=is_small(z))


def _slope_and_products(field: FieldGraph, wanted: Sequence[bool]) -> Callable:
    """(t, y, a, *used) -> f, -a^T df/dy, and -a^T df/dtheta of the used tensors that are wanted."""

    def slope_and_products(t: Tensor, y: Tensor, a: Tensor, *used: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            leaves = differentiated(used, wanted)
            dy = field(t, y, *leaves)
            sources = (y, *(x for x, w in zip(leaves, wanted) if w))
            found = products([(dy, -a)], sources)
        # What dy does not depend on has no product.
        return [
            dy.detach(),
            *(torch.zeros_like(x) if v is None else v for v, x in zip(found, sources)),
        ]

    return slope_and_products


def adjoint_program(plan: Plan, augmented: Callable, n: int) -> Callable:
    """(*Observation, *Given, *used) -> z at the end, and a vector: the `Clock`, then the largest
    error of y there, the size of y, and g^T f at the beginning.

    Args:
        plan: of the augmented solve.
        augmented: its field.
        n: number of entries of y.
    """
    forward = forward_program(plan, augmented)

    def program(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        here = Observation(*tensors[:3])
        given = Given(*tensors[3 : 3 + len(Given._fields)])
        used = tensors[3 + len(Given._fields) :]
        z = torch.cat([here.kept, given.y[n : 2 * n] + here.cotangent, given.y[2 * n :]])
        result = Result(*forward(*given._replace(y=z), *used))
        end = result.outputs[1]
        found = (
            (end[:n] - here.before).abs().amax(),
            here.before.abs().amax(),
            (here.cotangent * given.slopes[0, :n]).sum(),
        )
        return end, torch.cat([result.clock, torch.stack(found).double()])

    return program


def _given(
    plan: Plan,
    z: Tensor,
    slope: Tensor,
    settings: tuple[float, ...],
    clock: tuple[float, ...],
    tolerances: tuple[float | Tensor, float | Tensor],
) -> Given:
    rtol, atol = (tensor_of(x) for x in tolerances)
    outputs = z.new_empty(2, *z.shape)
    return Given(
        z, slope, outputs, *buffers_of(plan, z), vector(settings), vector(clock), rtol, atol
    )


def _solve(
    problem: Problem,
    plan: Plan,
    program: Callable,
    used: Sequence[Tensor],
    wanted: Sequence[bool],
    y: Tensor,
    grad_y: Tensor,
    params: Sequence[Tensor],
) -> Pulled | str:
    assert problem.tol is not None
    n = problem.y0.numel()
    times = problem.times[::-1]
    found = [x for x, w in zip(used, wanted) if w]
    sizes = [n, n, *(x.numel() for x in found)]
    limits = limits_of(problem)
    states = y.reshape(len(times), n).unbind()
    cotangents = grad_y.reshape(len(times), n).unbind()
    zero = torch.zeros_like(states[0])
    z = y.new_zeros(sum(sizes))
    size = problem.tol.first_step or 0.0
    # The buffers are the same in every interval: nothing in them is wanted later.
    given = _given(plan, z, z, (), (), (problem.rtol, problem.atol))
    of_times = [0.0] * len(times)
    lost = []
    nfe = 0
    for i in range(len(times) - 1, 0, -1):
        settings = vector((*limits, times[i - 1], times[i], times[i - 1]))
        clock = vector(first_clock(times[i], size))
        given = given._replace(y=z, slope=z, settings=settings, clock=clock)
        here = Observation(states[i], cotangents[i], states[i - 1])
        nfe += 1 + (size == 0)  # the first slope, and one for the first size
        while True:
            z, numbers = program(*here, *given, *used)
            *then, error, length, moved = numbers.tolist()
            reached = Clock(*then)
            if here.cotangent is cotangents[i]:
                of_times[i] = moved
            if reached.code:
                return ""
            if reached.stop:
                break
            # The buffers are full: on from their last row.
            steps = int(reached.steps)
            z = given.states[steps].clone()
            slope = given.slopes[steps].clone()
            given = given._replace(y=z, slope=slope, clock=numbers[: len(then)])
            here = here._replace(kept=z[:n], cotangent=zero)
        lost.append((error, length))
        nfe += int(reached.attempts) * plan.tableau.evaluations
        # Go on as if there were no observation in between: fewer evaluations.
        size = reached.size
    _, a, *sums = z.split(sizes)
    gradients = {id(x): part.view(x.shape) for x, part in zip(found, sums)}
    of_params = [gradients.get(id(p)) for p in params]
    return Pulled(a.view(problem.y0.shape), of_params, of_times, lost, nfe)
