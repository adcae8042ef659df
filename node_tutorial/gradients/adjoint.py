"""The adjoint method: the gradient of a solve by solving a second ODE backwards in time.

Let L depend on y(t_1), .., y(t_T), with g_i = dL/dy(t_i) directly. The adjoint a(t) = dL/dy(t)
obeys

    da/dt = -a^T df/dy           between observations, integrated from t_T down to t_0,
    a  <-  a + g_i               at each observation, on the way,
    dL/dtheta = -integral from t_T to t_0 of a^T df/dtheta dt,
    dL/dt_i = g_i^T f(t_i, y(t_i)),     dL/dt_0 = -a(t_0)^T f(t_0, y_0), before g_0 is added to a.

The state is not kept: y is integrated backwards along with a, restarting from the kept y(t_i) at
each observation. Hence memory that does not grow with the number of steps, and a gradient that is
as good as both solves, not exact.

Source: Chen, Rubanova, Bettencourt, Duvenaud 2018, "Neural ordinary differential equations", arXiv
1806.07366, Algorithm 1 and appendix B; the seminorm: Kidger, Chen, Lyons 2021, arXiv 2009.09457.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..solvers import inputs
from ..solvers.control import largest, rms_norm
from ..solvers.errors import NotFinite
from ..solvers.gradient_graph import linked_gradient, states_directly
from ..solvers.inputs import State, uncompiled, unflatten
from ..solvers.methods.registry import find_method
from ..solvers.odeint import odeint
from ..solvers.options import check_names, take_compile
from ..solvers.problem import Problem, prepare, run
from ..solvers.statistics import Stats
from .recorded import Held, find_params, held_by, put_back


def odeint_adjoint(
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
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: dict | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """As `odeint`, with the gradient by the adjoint method: memory flat in the number of steps.

    Args:
        func: an `nn.Module`, whose parameters get gradients; any callable if `adjoint_params` is
            given.
        y0, t, rtol, atol, method, options, event_fn: of the forward solve, see `odeint`.
        stats: a `Stats` to which the cost of the forward solve is added, and to its `nfe` later the
            evaluations of func by the backward one.
        adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options: of the backward solve; default:
            as forward (of several tolerances the least). The option "norm" may be "seminorm" (leave
            the parameters out of the error), or a function of the tuple (dL/dt, y, a,
            *dL/dtheta); if y0 is a tuple, y and a are spread out in it. The option "compile" as in
            `odeint`, for each of the two solves.
        adjoint_params: the tensors that get gradients, besides y0 and t; default: func's
            parameters.

    Raises:
        ValueError: if func is no module and `adjoint_params` is None, or adjoint_options cannot be
            inferred.
    """
    flat, shapes = inputs.check_state(y0)
    stats = Stats() if stats is None else stats
    forward = {"rtol": rtol, "atol": atol, "method": method, "options": options}
    plain, as_program = take_compile(options)
    plain = plain or (None if as_program else plain)
    if adjoint_options is not None:
        adjoint_options, as_program = take_compile(adjoint_options)
    params, backward = backward_solve(
        "odeint_adjoint",
        func,
        shapes,
        {**forward, "options": plain},
        adjoint_rtol,
        adjoint_atol,
        adjoint_method,
        adjoint_options,
        adjoint_params,
    )
    ans = _Adjoint.apply(
        func, held_by(func), flat, t, shapes, {**forward, "event_fn": event_fn}, backward,
        as_program, stats, *params,
    )  # fmt: skip
    if event_fn is None:
        return unflatten(ans, shapes)
    return ans[0], unflatten(ans[1], shapes)


class _Adjoint(torch.autograd.Function):
    """Forward: a solve without a graph. Backward: the adjoint solve."""

    @staticmethod
    def forward(
        ctx: Any,
        func: Callable,
        held: Held,
        y0: Tensor,
        t: Tensor,
        shapes: Sequence[torch.Size] | None,
        forward: dict,
        backward: dict,
        as_program: bool,
        stats: Stats,
        *params: Tensor,
    ) -> Any:
        # Grad mode is off in here.
        ans = odeint(func, unflatten(y0, shapes), t, **forward, stats=stats)
        event_t, y = (None, ans) if forward["event_fn"] is None else ans
        if shapes is not None:
            y = torch.cat([part.reshape(len(part), -1) for part in y], dim=1)
        ctx.func = func
        ctx.held = held
        ctx.shapes = shapes
        ctx.forward = {name: x for name, x in forward.items() if name != "event_fn"}
        ctx.is_event = event_t is not None
        ctx.backward = backward
        ctx.as_program = as_program
        ctx.adjoint_options = backward["options"]  # where torchdiffeq has them
        ctx.stats = stats
        times = t if event_t is None else torch.stack([t[0], event_t])
        ctx.save_for_backward(y0, times, y, *params)
        return y if event_t is None else (event_t, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        y0, t, y, *saved = ctx.saved_tensors
        wants_t = ctx.needs_input_grad[3]
        linked = torch.is_grad_enabled()
        of_params: Sequence[Tensor | None]
        with put_back(ctx.held, saved, linked) as params:
            if linked:
                forward = {**ctx.forward, "options": take_compile(ctx.forward["options"])[0]}
                solve = partial(solved_directly, ctx.func, ctx.shapes, forward, ctx.stats)
                of_y0, of_t, *of_params = linked_gradient(solve, y0, t, params, grads[-1], wants_t)
            else:
                back = pull_back_as_program if ctx.as_program else pull_back
                of_y0, of_t, of_params = back(
                    ctx.func, t, y, ctx.shapes, params, grads[-1], wants_t, ctx.backward, ctx.stats
                )
        if of_t is not None and ctx.is_event:  # the second time was found, not given
            of_t = of_t * of_t.new_tensor([1.0, 0.0])
        return (None, None, of_y0, of_t, None, None, None, None, None, *of_params)


def solved_directly(
    func: Callable,
    shapes: Sequence[torch.Size] | None,
    forward: dict,
    stats: Stats,
    y0: Tensor,
    t: Tensor,
) -> Tensor:
    """The states (T, *) of the forward solve again, with a graph of its steps."""
    problem = prepare(func, unflatten(y0, shapes), t, **forward)
    try:
        return states_directly(problem, problem.y0, t)
    finally:
        stats.nfe += problem.log.stats.nfe


def backward_solve(
    gradient: str,
    func: Callable,
    shapes: Sequence[torch.Size] | None,
    forward: dict,
    adjoint_rtol: Any,
    adjoint_atol: Any,
    adjoint_method: str | None,
    adjoint_options: dict | None,
    adjoint_params: Iterable[Tensor] | None,
) -> tuple[tuple[Tensor, ...], dict]:
    """The parameters that get gradients; and rtol, atol, method and options of the backward solve.

    What is not given is as in the solve `forward`. The norm is one of (dL/dt, y, a, *dL/dtheta),
    see `adjoint_norm`.
    """
    given = find_params(func, adjoint_params, gradient)
    params = tuple(p for p in given if p.requires_grad)
    method = forward["method"]
    options = forward["options"]
    if adjoint_method not in (None, method) and options is not None and adjoint_options is None:
        raise ValueError(
            f"adjoint_method={adjoint_method!r} differs from method={method!r}, whose options "
            "need not fit it: give adjoint_options too (possibly {})"
        )
    if adjoint_options is None:
        adjoint_options = {name: value for name, value in (options or {}).items() if name != "norm"}
    if len(params) < len(given) and callable(adjoint_options.get("norm")):
        warnings.warn(
            "an adjoint parameter does not require gradients; it is left out of the adjoint "
            "norm's argument too",
            stacklevel=3,
        )
    kind = find_method(adjoint_method or method)
    if kind.separable:
        raise ValueError(
            f"method {kind.name!r} splits (q, p), and the adjoint equations that {gradient} solves "
            "do not split: give adjoint_method='rk4', adjoint_options={'step_size': ...}, or "
            "another; or use odeint_replay"
        )
    known = kind.known_options(adjoint_options)
    check_names(adjoint_options, known, f"{kind.name} (adjoint_options)")
    norm = adjoint_options.get("norm")
    if not (callable(norm) or norm in (None, "seminorm")):
        raise ValueError(f"adjoint_options['norm'] must be 'seminorm' or a function, got {norm!r}")
    return params, {
        "rtol": _least(forward["rtol"]) if adjoint_rtol is None else adjoint_rtol,
        "atol": _least(forward["atol"]) if adjoint_atol is None else adjoint_atol,
        "method": kind.name,
        "options": {
            **adjoint_options,
            "norm": adjoint_norm(norm, (options or {}).get("norm"), shapes),
        },
    }


def _lost(found: Tensor, kept: Tensor, problem: Problem) -> float:
    """The error of a state that was solved backwards, over what still can be well."""
    if not kept.numel():
        return 0.0
    error, size = torch.stack(((found.detach() - kept).abs().max(), kept.abs().max())).tolist()
    return _over_what_can_be(error, size, problem)


def _over_what_can_be(error: float, size: float, problem: Problem) -> float:
    rtol, atol = (
        x if isinstance(x, float) else float(x.max()) for x in (problem.rtol, problem.atol)
    )
    return error / max(0.1 * size, 1000 * (atol + rtol * size))


def _least(tolerance: Any) -> Any:
    """A tolerance per part or entry of the state, for the longer state of the backward solve."""
    if isinstance(tolerance, (tuple, list)):
        return min(float(torch.as_tensor(x).min()) for x in tolerance)
    if isinstance(tolerance, Tensor) and tolerance.numel() > 1:
        return float(tolerance.min())
    return tolerance


def pull_back(
    func: Callable,
    t: Tensor,
    y: Tensor,
    shapes: Sequence[torch.Size] | None,
    params: Sequence[Tensor],
    grad_y: Tensor,
    wants_t: bool,
    backward: dict,
    stats: Stats,
    y_at: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """dL/dy0, dL/dt (None unless wanted), dL/dtheta, from dL/dy (T, *): the adjoint solve.

    With `y_at`, the state at any time between, y is read there. Without, it is integrated too, from
    each y[i]. The evaluations of func are added to `stats`.
    """
    grad_t = torch.zeros_like(t) if wants_t else None
    field, split = augmented_field(func, y[0], shapes, params, y_at)
    param_sizes = [p.numel() for p in params]
    norm = backward["options"]["norm"]
    no_time = y.new_zeros(())
    options = {**backward["options"], "norm": lambda z: norm((no_time, *split(z)))}

    lost = 0.0  # how far the state is from the kept one, over what can be
    a = torch.zeros_like(y[0])
    sums = y.new_zeros(sum(param_sizes))
    for i in range(len(t) - 1, 0, -1):
        a = a + grad_y[i]  # the jump at an observation: add, do not overwrite
        if grad_t is not None:
            grad_t[i] = torch.sum(grad_y[i].conj() * flat_slope(func, t[i], y[i], shapes)).real
            stats.nfe += 1
        z = torch.cat([*(() if y_at else (y[i].reshape(-1),)), a.reshape(-1), sums])
        try:
            problem = prepare(
                field, z, torch.stack([t[i], t[i - 1]]), **{**backward, "options": options}
            )
        except NotFinite:  # as in every other mode, the gradient is not finite then
            nan = [torch.full_like(x, math.nan) for x in (a, *params)]
            return nan[0], None if grad_t is None else torch.full_like(t, math.nan), nan[1:]
        z = run(problem).y[1]
        if not y_at:
            lost = max(lost, _lost(z[: a.numel()], y[i - 1].reshape(-1), problem))
        stats.nfe += problem.log.stats.nfe
        # Go on as if there were no observation in between: fewer evaluations.
        if problem.log.next_size:
            options["first_step"] = problem.log.next_size
        rest = z if y_at else z[a.numel() :]
        sums = rest[a.numel() :]
        a = rest[: a.numel()].view_as(a)
    warn_of_loss(lost)
    if grad_t is not None:
        grad_t[0] = -torch.sum(a.conj() * flat_slope(func, t[0], y[0], shapes)).real
        stats.nfe += 1
    parts = sums.split(param_sizes)
    return a + grad_y[0], grad_t, [_like(part, p) for part, p in zip(parts, params, strict=True)]


def pull_back_as_program(
    func: Callable,
    t: Tensor,
    y: Tensor,
    shapes: Sequence[torch.Size] | None,
    params: Sequence[Tensor],
    grad_y: Tensor,
    wants_t: bool,
    backward: dict,
    stats: Stats,
) -> tuple[Tensor, Tensor | None, list[Tensor]]:
    """As `pull_back`, compiled if that is possible; else it warns, and solves as always."""
    plain = partial(pull_back, func, t, y, shapes, params, grad_y, wants_t, backward, stats)
    given = {**backward, "options": dict(backward["options"])}
    norm = given["options"].pop("norm")
    try:
        problem = prepare(func, unflatten(y[-1], shapes), t.detach().flip(0), **given)
    except NotFinite:
        return plain()
    try:
        from ..solvers.compiled.adjoint import pull_back_compiled
    except (ImportError, AttributeError) as error:
        found: Any = f"PyTorch {torch.__version__} lacks what it needs ({error})"
    else:
        kind = getattr(norm, "kind", "")  # see `adjoint_norm`
        found = "a norm of your own is not compiled"
        if kind:
            found = pull_back_compiled(problem, kind == "seminorm", y, grad_y, params)
    if isinstance(found, str):  # a reason; an empty one: the solve has failed, and does so again
        if found:
            warnings.warn(uncompiled(found), stacklevel=2)
        return plain()
    stats.nfe += found.nfe
    warn_of_loss(max(_over_what_can_be(error, size, problem) for error, size in found.lost))
    grad_t = None
    if wants_t:
        at_start = -torch.sum(found.of_y * flat_slope(func, t[0], y[0], shapes))
        grad_t = torch.tensor(
            [float(at_start), *found.of_times[1:]], dtype=t.dtype, device=t.device
        )
        stats.nfe += len(t)
    of_params = [torch.zeros_like(p) if g is None else g for p, g in zip(params, found.of_params)]
    return found.of_y + grad_y[0], grad_t, of_params


def warn_of_loss(lost: float) -> None:
    """Warn if the state was lost on the way back: its error is `lost` times what can be well."""
    if lost > 1:
        warnings.warn(
            f"the adjoint's backward solve has lost the solution: the state that it comes back to "
            f"differs from the kept one by {lost:.2g} times a tenth of its size, or a thousand "
            "tolerances. The gradient may be wrong without bound. The ODE contracts, so that "
            "backwards in time errors grow. Use gradient='replay', 'checkpoint' or 'direct'; or "
            "more observation times, at which the state is restored",
            RuntimeWarning,
            stacklevel=3,
        )


def flat_slope(func: Callable, t: Tensor, y: Tensor, shapes: Sequence[torch.Size] | None) -> Tensor:
    """func on the flat state, at a time in the state's real dtype."""
    dy = func(t.to(y.dtype.to_real()), unflatten(y, shapes))
    return dy if shapes is None else torch.cat([part.reshape(-1) for part in dy])


def augmented_field(
    func: Callable,
    like: Tensor,
    shapes: Sequence[torch.Size] | None,
    params: Sequence[Tensor],
    y_at: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Callable, Callable]:
    """The right-hand side for the flat state z = (y, a, dL/dtheta), and what splits z into these.

    It is (f, -a^T df/dy, -a^T df/dtheta): one evaluation of func and one vector-Jacobian product.
    With `y_at`, y is no part of z but read there; the first part of a split z is zero then.
    """
    n = like.numel()
    nothing = [like.new_zeros(n), *(like.new_zeros(p.numel()) for p in params)]
    shapes_of_parts = [like.shape, *(p.shape for p in params)]
    if y_at is None:
        shapes_of_parts.insert(0, like.shape)
    no_state = () if y_at is None else (torch.zeros_like(like),)

    def split(z: Tensor) -> tuple[Tensor, ...]:
        return *no_state, *unflatten(z, shapes_of_parts)

    def field(t: Tensor, z: Tensor) -> Tensor:
        if y_at is None:
            y = z[:n].view(like.shape)
            a = z[n : 2 * n].view(like.shape)
        else:
            y = y_at(t)
            a = z[:n].view(like.shape)
        linked = z.requires_grad  # an implicit method differentiates this field in its turn
        with torch.enable_grad():
            y = y if y.requires_grad else y.detach().requires_grad_()
            dy = flat_slope(func, t, y, shapes)
            vjps: Sequence[Tensor | None] = [None] * (1 + len(params))
            if dy.requires_grad:
                vjps = torch.autograd.grad(
                    dy, (y, *params), -a, allow_unused=True, create_graph=linked
                )
        # What func does not use, here or at all, has no vjp: its gradient is zero.
        flat = [zero if v is None else v.reshape(-1) for v, zero in zip(vjps, nothing)]
        if y_at is None:
            flat.insert(0, (dy if linked else dy.detach()).reshape(-1))
        return torch.cat(flat)

    # The last entries of z, on which nothing depends: for implicit methods.
    field._n_integrals = sum(p.numel() for p in params)  # type: ignore[attr-defined]
    for name in inputs.CALLBACKS:
        callback = getattr(func, name + "_adjoint", None)
        if callback is not None:
            setattr(
                field,
                name,
                lambda t, z, h, callback=callback: callback(t, (z.new_zeros(()), *split(z)), h),
            )
    return field, split


def adjoint_norm(
    norm: Any, state_norm: Callable | None, shapes: Sequence[torch.Size] | None
) -> Callable:
    """The norm of an augmented error (dL/dt, y, a, *dL/dtheta): the largest of its parts', where y
    and a are measured in the forward norm.

    `norm` is None, or "seminorm", which leaves the parameters out, or a function of these parts.
    dL/dt is not integrated here, its part is zero.
    """
    if callable(norm):
        if shapes is None:
            return norm
        return lambda parts: norm(
            (parts[0], *unflatten(parts[1], shapes), *unflatten(parts[2], shapes), *parts[3:])
        )
    of_state = inputs.make_norm(state_norm, shapes)
    scales: list[Tensor] = []

    def over_all(parts: tuple[Tensor, ...]) -> Any:
        _, y, a, *sums = parts
        if norm == "seminorm":
            sums = []
        if state_norm is not None:
            return largest((of_state(y), of_state(a), *map(rms_norm, sums)))
        # All in one number, and at once: one by one, they cost small solves 6 % of their time.
        states = (y, a) if shapes is None else (*unflatten(y, shapes), *unflatten(a, shapes))
        together = [*states, *sums]
        if not scales:
            inverse_roots = [max(1, x.numel()) ** -0.5 for x in together]
            scales.append(torch.tensor(inverse_roots, dtype=y.dtype.to_real(), device=y.device))
        return (torch.stack(torch._foreach_norm(together)) * scales[0]).max()

    # What a compiled program does instead; a norm of one's own for the state it does not know.
    if state_norm is None:
        over_all.kind = norm or "norm"  # type: ignore[attr-defined]
    return over_all


def _like(part: Tensor, p: Tensor) -> Tensor:
    """A flat gradient in the shape and dtype of its parameter; real parameters of a complex state
    get the real part.
    """
    if part.is_complex() and not p.is_complex():
        part = part.real
    return part.reshape(p.shape).to(p.dtype)
