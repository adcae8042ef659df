"""Differentiating a solve step by step, from a record of its steps instead of a stored graph.

A solve is a chain of steps (y, f0) -> (y1, f1): f0 is the slope at the beginning of a step, f1 the
one at its end, which many methods pass on. The step sizes, once chosen, are constants. So the steps
can be redone and differentiated one at a time, backwards: the exact gradient of the discrete solve,
with the graph of a single step in memory.

The times are differentiated too. The clock of a step moves with t[0], until it passes a stop at a
constant time or at an output time t[i]; a step that ends on t[i] has h = t[i] - clock.

Newton's method, redone, ends within its tolerance of where it ended before: with implicit steps the
gradient is as exact as that tolerance. A reversible method's chain is that of its states, (y, x, k)
or (y, v), instead.

Source: discrete adjoints of Runge-Kutta methods; Zhuang et al. 2020, "Adaptive checkpoint adjoint",
arXiv 2006.02493.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..solvers.integrate import Segment
from ..solvers.odeint import odeint
from ..solvers.problem import Problem, accepted_steps, prepare, states_of
from ..solvers.runge_kutta import Step, Time, end_slope, interpolate, nudged, time_tensor
from ..solvers.statistics import Stats


@dataclass(slots=True)
class Record:
    """What is needed to redo a step: its times, and the output times that it serves."""

    t: float
    t1: float
    jumped: bool  # f0 was evaluated anew, behind a discontinuity
    inside: range  # indices i of the times inside the step
    ends_on: int | None  # the index i of the time for which the step was cut, so that it ends there


# Before a step: (y, f0), where f0 is None if the step evaluates it itself; or, of a reversible
# method, its state, which is (y,) at the start.
StepState = tuple[Any, ...]


def record(p: Problem, keep: Callable[[int, StepState], None]) -> tuple[Tensor, list[Record]]:
    """Solve without a graph: the solution (T, N), and the record. `keep` is given the state before
    each step.
    """
    records: list[Record] = []

    def watched() -> Iterable[Segment]:
        output = 1
        passed: Tensor | None = None
        for segment in accepted_steps(p):
            t, t1, step = segment
            jumped = passed is not None and passed is not step.stages[0]
            jumped = jumped or (bool(records) and t in p.options.jump_t)
            # A first stage that the step has evaluated itself is not part of the state, nor is the
            # very first one.
            carried = passed if not jumped else None
            keep(len(records), (step.y0, carried))
            first = output
            # As in `output_states`: a step that merely happens to end on an output time does not
            # move with it.
            cut = p.tol is None or t1 == p.times[-1] or _is_stop(t1, p)
            while output < len(p.times) and (
                p.direction * (p.times[output] - t1) < 0 or (p.times[output] == t1 and not cut)
            ):
                output += 1
            inside = range(first, output)
            lands = output < len(p.times) and p.times[output] == t1
            records.append(Record(t, t1, jumped, inside, output if lands else None))
            output += lands
            yield segment
            passed = step.f1

    with torch.no_grad():
        y = states_of(p, watched())
    p.log.max_evaluations = math.inf  # the limit is that of the solve, not of the way back
    return y, records


def redo(
    p: Problem, r: Record, state: StepState, t: Time, h: Time, inside: Any
) -> tuple[Step, Tensor | None]:
    """The step again, and its outputs (m, N) at the m times inside, or None if there are none."""
    y = state[0]
    f0 = None
    perturb = p.options.perturb
    stepper: Any = p.stepper
    if p.kind.inverse is not None:
        stepper.state = state if len(state) > 1 else None
    else:
        f0 = state[1]
    if hasattr(stepper, "may_fail"):  # it was taken once: Newton has to find it again
        stepper.may_fail = False
    if f0 is None and (r.jumped or perturb or p.tol is not None):
        at = time_tensor(t, y)
        f0 = p.f(nudged(at, r.t1 - r.t) if r.jumped or perturb else at, y)
    step = stepper.step(p.f, t, y, h, f0, before_end=perturb or r.t1 in p.options.jump_t)
    if not len(inside):
        return step, None
    if p.dense == "cubic":
        end_slope(step, p.f)
    if isinstance(inside, Tensor):
        return step, interpolate(step, (inside - t) / h, p.dense)
    return step, interpolate(step, [(s - r.t) / (r.t1 - r.t) for s in inside], p.dense)


def _is_stop(t: float, p: Problem) -> bool:
    outputs = p.times if p.kind.implicit else ()  # see `_stops` of problem.py
    return t in p.options.step_t or t in p.options.jump_t or t in outputs


class Cotangents:
    """The gradients of a loss, so far: by a step's state and clock, the parameters, the times."""

    def __init__(
        self,
        p: Problem,
        params: Sequence[Tensor],
        grad_y: Tensor,
        wants_t: bool,
        end: float | None = None,
    ) -> None:
        self.p = p
        self.end = end  # `length` of the state at t[-1], which the last step has to find again
        self.params = params
        self.grad_y = grad_y
        self.wants_t = wants_t
        self.y = torch.zeros_like(p.y0)
        self.rest: list[Tensor | None] = [None, None]  # of the state's other parts, one or two
        # Clocks are on the CPU, in double precision, which not every device has.
        self.clock = torch.zeros((), dtype=torch.float64)
        self.t = torch.zeros(len(p.times), dtype=torch.float64)
        self.sums: list[Tensor | None] = [None] * len(params)

    def pull_back(self, r: Record, state: StepState) -> None:
        """From behind a step to before it: redo it with a graph, and pull back through that."""
        if r.ends_on is not None:
            self.y = self.y + self.grad_y[r.ends_on]
        part = slice(r.inside.start, r.inside.stop)
        with torch.enable_grad():
            before = tuple(None if x is None else x.detach().requires_grad_() for x in state)
            t: Time = r.t
            h: Time = r.t1 - r.t
            inside: Any = self.p.times[part]
            if self.wants_t:
                t, h, inside = (torch.tensor(x, dtype=torch.float64) for x in (t, h, inside))
                for x in (t, h, inside):
                    x.requires_grad_()
            step, values = redo(self.p, r, before, t, h, inside)
        if self.end is not None:
            _check_same(step, self.end, self.p)
            self.end = None
        stepper: Any = self.p.stepper
        after = (step.y1, step.f1) if self.p.kind.inverse is None else stepper.state
        pairs = (*zip(after, (self.y, *self.rest)), (values, self.grad_y[part]))
        used = [(x, g) for x, g in pairs if x is not None and g is not None and x.requires_grad]
        leaves = (*before, t, h, inside)
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        vjps: list[Tensor | None] = [None] * (len(tensors) + len(self.params))
        if used:
            outputs, cotangents = zip(*used)
            sources = (*tensors, *self.params)
            vjps = list(torch.autograd.grad(outputs, sources, cotangents, allow_unused=True))
        of_y, *self.rest, of_t, of_h, of_inside = (
            vjps.pop(0) if isinstance(x, Tensor) else None for x in leaves
        )
        self.y = torch.zeros_like(self.p.y0) if of_y is None else of_y
        if of_inside is not None:
            self.t[part] += of_inside
        if self.wants_t:
            through_t = self.clock if of_t is None else self.clock + of_t
            through_h = self.clock if of_h is None else self.clock + of_h
            self._pull_back_clock(r, through_t, through_h)
        self.sums = [s if v is None else v if s is None else s + v for s, v in zip(self.sums, vjps)]

    def _pull_back_clock(self, r: Record, of_t: Tensor, of_h: Tensor) -> None:
        """The clock behind the step is clock + h, where h is a constant, or stop - clock."""
        if r.ends_on is not None:
            self.t[r.ends_on] += of_h
            of_t = of_t - of_h
        elif _is_stop(r.t1, self.p):
            of_t = of_t - of_h
        self.clock = of_t

    def finish(self) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
        """The gradients by y0, t and the parameters, once all steps are pulled back."""
        if not self.wants_t:
            return self.y + self.grad_y[0], None, self.sums
        self.t[0] += self.clock
        return self.y + self.grad_y[0], self.t.to(self.p.t.dtype).to(self.p.t.device), self.sums


def length(y: Tensor) -> float:
    """The Euclidean norm of a state: tells, without keeping it, whether it is found again."""
    return float(torch.linalg.vector_norm(y))


def _check_same(step: Step, end: float, p: Problem) -> None:
    """Raise RuntimeError if a step that is redone ends elsewhere than it did.

    An implicit step finds its end within the tolerance of Newton's iteration only.
    """
    if p.kind.implicit:
        return
    y1 = step.y1.detach()
    difference = abs(length(y1) - end)
    eps = torch.finfo(y1.dtype).eps
    if difference <= 100 * eps * end:  # mostly it is 0; the rest need not be known then
        return
    move = length(y1 - step.y0.detach())
    if difference > 1000 * eps * end + eps**0.5 * move:
        raise RuntimeError(
            "func does not return what it did when the ODE was solved: the last step, redone for "
            f"the gradient, ends {difference:.2g} away, where it moves by {move:.2g}. Is func "
            "random (functional dropout, randn), does it count its calls, or was it changed in "
            "between? Draw once per solve, outside of func; or use odeint (gradient='direct'), "
            "which evaluates nothing anew"
        )


class Held(NamedTuple):
    """What a field is evaluated with, to be had again on the way back."""

    # Of every parameter: the dictionary and the name under which a module has it, and it.
    parameters: list[tuple[dict[str, Any], str, Tensor]]
    autocast: torch.dtype | None  # to which autocast of the CPU casts, if it is on,
    autocast_cuda: torch.dtype | None  # and that of a GPU


def held_by(func: Callable) -> Held:
    """What func, a module, a method of one, or any callable, is evaluated with now."""
    module = func if isinstance(func, nn.Module) else getattr(func, "__self__", None)
    parts = [m._parameters for m in module.modules()] if isinstance(module, nn.Module) else []
    return Held(
        [(part, name, p) for part in parts for name, p in part.items() if p is not None],
        torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None,
        torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None,
    )


@contextlib.contextmanager
def put_back(held: Held, params: Sequence[Tensor], linked: bool = False) -> Iterator[list[Tensor]]:
    """While it lasts, a field is evaluated as in the solve; yields `params`.

    It may have other parameters by now: torch.func.functional_call lends them for the forward pass
    only. And hooks of a parameter shall run once, on its gradient, not on every product that adds
    to it; so unless a graph is wanted (`linked`), one with hooks is replaced by another tensor of
    its values.
    """
    others: dict[int, Tensor] = {}
    if not linked:
        others = {id(p): p.detach().requires_grad_() for p in params if p._backward_hooks}
    changed = []
    for place, name, then in held.parameters:
        now = place.get(name)
        then = others.get(id(then), then)
        if now is not None and now is not then:
            changed.append((place, name, now))
            place[name] = then
    try:
        with contextlib.ExitStack() as casts:
            for device, dtype in (("cpu", held.autocast), ("cuda", held.autocast_cuda)):
                if dtype is not None:
                    casts.enter_context(torch.autocast(device, dtype, cache_enabled=False))
            yield [others.get(id(p), p) for p in params]
    finally:
        for place, name, now in changed:
            place[name] = now


def find_params(
    func: Callable, params: Iterable[Tensor] | None, gradient: str
) -> tuple[Tensor, ...]:
    """The tensors that get gradients: those given, else func's parameters.

    Raises:
        ValueError: if none are given and func is no module; if func changes from call to call
            (`check_field`); if its parameters are parts that `fully_shard` has made of them.
    """
    check_field(func, gradient)
    if isinstance(params, Tensor):
        return (params,)
    if params is None:
        if not isinstance(func, nn.Module):
            raise ValueError(
                f"func is a {type(func).__name__}, not an nn.Module, so that its parameters are "
                f"unknown to {gradient}: give adjoint_params=(...), the tensors that need "
                "gradients, or () if there are none"
            )
        params = func.parameters()
        # A replica of torch.nn.DataParallel has none: it holds copies of them, with a graph.
        if getattr(func, "_is_replica", False):
            copies: Any = [m._former_parameters for m in func.modules()]
            params = [p for part in copies for p in part.values()]
    params = tuple(params)
    if any(type(p) is not nn.Parameter and hasattr(p, "full_tensor") for p in params):
        raise ValueError(
            f"func's parameters are sharded, and {gradient} would keep these parts: call "
            "fully_shard on the module that holds the solve, not on func; or use gradient='direct'"
        )
    return params


def check_field(func: Callable, gradient: str) -> None:
    """Refuse a field that changes from call to call, as all modes but `odeint` evaluate it again.

    Looked for are the modules of torch that are random, or keep a state, in training mode; func is
    a module, or a method of one. Batch statistics alone are fine: they are a function of y. Where
    no gradient is wanted, all is fine.

    Raises:
        ValueError: if func holds one.
    """
    module = func if isinstance(func, nn.Module) else getattr(func, "__self__", None)
    if not (isinstance(module, nn.Module) and torch.is_grad_enabled()):
        return
    for name, part in module.named_modules():
        if not part.training:
            continue
        where = f"{name or 'func'} ({type(part).__name__})"
        remedy = "or plain odeint with fixed steps (method='rk4'), which does not evaluate again"
        chance: float = isinstance(part, nn.RReLU)
        if isinstance(part, nn.modules.dropout._DropoutNd):
            chance = part.p
        elif isinstance(part, (nn.MultiheadAttention, nn.RNNBase)):
            chance = part.dropout
        if chance > 0:
            raise ValueError(
                f"{where} is random: every call of func draws anew, so that {gradient}, which "
                "evaluates func again on its way back, would differentiate another function than "
                "it solved. Use func.eval(); or a mask drawn once per solve, outside of forward; "
                f"{remedy}"
            )
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.track_running_stats:
            raise ValueError(
                f"{where} has a state: in training mode every call of func moves its running "
                f"statistics, and {gradient} evaluates func again on its way back, so that they "
                "would mostly come from there. Use func.eval(); or GroupNorm or LayerNorm; or "
                f"track_running_stats=False; {remedy}"
            )


def prepare_recorded(func: Callable, y0: Any, t: Tensor, gradient: str, **solver: Any) -> Problem:
    """A problem whose steps can be redone one by one."""
    p = prepare(func, y0, t, **solver)
    if p.kind.inverse is not None and gradient != "odeint_reversible":
        raise ValueError(
            f"{gradient} would keep what method {p.method!r} can compute again: use "
            "odeint_reversible"
        )
    if not p.kind.replayable and p.kind.inverse is None:
        raise ValueError(
            f"{gradient} redoes single steps, which method {p.method!r} cannot (its steps use a "
            "history, or are scipy's); use a Runge-Kutta method, or odeint, or odeint_interpolated"
        )
    if t.requires_grad and p.options.grid_constructor is not None:
        raise ValueError(
            f"{gradient} gives no gradient of t through a grid_constructor; use t.detach(), or "
            "odeint"
        )
    return p


def with_event(
    mode: Callable,
    func: Callable,
    y0: Any,
    t: Tensor,
    event_fn: Callable,
    params: Any,
    stats: Stats | None,
    **solver: Any,
) -> Any:
    """A mode's answer with an event: find it without a graph, then solve up to its time.

    The time has no gradient here; `odeint_event` adds it.
    """
    with torch.no_grad():
        event_t, _ = odeint(func, y0, t, event_fn=event_fn, stats=stats, **solver)
    if event_t == t[0]:
        twice = [torch.stack([part, part]) for part in (y0 if isinstance(y0, tuple) else (y0,))]
        return event_t, tuple(twice) if isinstance(y0, tuple) else twice[0]
    span = torch.stack([t[0], event_t.detach()])
    return event_t, mode(func, y0, span, adjoint_params=params, stats=stats, **solver)
