"""What the solvers say when they cannot go on: where, why, and what to try."""

from typing import Any

import torch
from torch import Tensor


class SolveError(RuntimeError, AssertionError):
    """A solve could not go on; the message says where, why, and what to try.

    (It is an AssertionError too, because that is what code written for torchdiffeq catches.)

    Attributes:
        solution: what was solved before, a `Solution`: t and y hold the output times that were
            reached, and after them the end of the last step, if that is later; with `stats` as
            always, and, with record=True, `steps` and the dense output. With per_sample=True, t and
            y are complete, and y is NaN where it was not reached. None where nothing is known, as
            of a gradient's solve backwards in time.
    """

    solution: Any = None


class NotFinite(ValueError):
    """A state that a solve shall begin with holds NaN or infinity."""


def underflow(t: float, h: float, ratio: float, y: Tensor) -> SolveError:
    """For a step size so small that t + h == t, or one that is NaN."""
    largest = f"{y.abs().max().item():.3g}"
    if h != h:
        return SolveError(
            f"the step size is NaN at t = {t:.9g}: the norm of the state or of its slope, or the "
            f"factor of the controller, was NaN or infinite. Largest |y| here: {largest}. Look at "
            "options['norm'] and options['controller'], if they are yours; and at entries of atol "
            "that are 0: give them a small positive value."
        )
    if not ratio < float("inf"):
        return SolveError(
            f"underflow in dt: at t = {t:.9g} the vector field, or the state after a step, is not "
            "finite (NaN or inf) however short the step (or, with an implicit method, Newton's "
            "iteration does not converge: is func smooth and differentiable by autograd?); the "
            f"last one tried had h = {h:.3g}. Largest |y| here: {largest}. The solution may blow "
            "up before this time, or func leaves its domain (sqrt or log of a negative number, "
            "division by zero). Try: call func(t, y) at this point; end the integration earlier; "
            "bound func's output."
        )
    dtype = str(y.dtype).removeprefix("torch.")
    return SolveError(
        f"underflow in dt: at t = {t:.9g} the step size fell to {h:.3g}, and still the error is "
        f"{ratio:.3g} times the tolerance. Largest |y| here: {largest}, in {dtype}. Likely causes, "
        "and what to try: the solution diverges (end earlier, bound func); func jumps in time "
        "(give options={'jump_t': ...}); the tolerance is below what the dtype resolves (raise "
        "rtol and atol, or use y0.double()); the problem is stiff (an implicit method, such as "
        "method='kvaerno5')."
    )


def newton_failed(t: float, h: float, method: str) -> SolveError:
    """For an implicit step on a fixed grid whose equations could not be solved."""
    return SolveError(
        f"method {method!r}: Newton's iteration does not converge for the step from t = {t:.9g} "
        f"with h = {h:.3g}. The step may be too long for it, func may not be smooth, or not be "
        "differentiable by autograd (numpy inside, torch.no_grad, .detach()). Try: a smaller "
        "options={'step_size': ...}; an adaptive implicit method such as 'kvaerno5', which finds "
        "its own steps."
    )


def too_many_steps(limit: int, t: float, target: float | None, h: float) -> SolveError:
    """For max_num_steps attempts without an output time (or an event, when target is None)."""
    if target is None:
        goal = "finding an event"
        remedy = "check that event_fn changes its sign, or start nearer to the event"
    else:
        goal = f"reaching t = {target:.6g}"
        remedy = (
            "raise rtol and atol, or options={'max_num_steps': ...}; if the problem is stiff, use "
            "an implicit method"
        )
    return SolveError(
        f"max_num_steps exceeded: {limit} steps without {goal}; now at t = {t:.6g} with h = "
        f"{h:.3g}. Try: {remedy}."
    )


def too_many_evaluations(limit: float, t: float) -> SolveError:
    """For max_num_evaluations evaluations of the field before the end of the solve."""
    return SolveError(
        f"max_num_evaluations exceeded: func was evaluated {limit:.0f} times, the last time near "
        f"t = {t:.6g}, and the solve has not come to its end. Try: raise "
        "options={'max_num_evaluations': ...}; raise rtol and atol, or the step_size of a fixed "
        "grid; if the problem is stiff, use an implicit method. What was solved so far is in the "
        "solution of this error."
    )


def check_finite(x: Tensor, name: str, t: float) -> None:
    """Raise SolveError unless x is finite everywhere."""
    if not torch.isfinite(x).all():
        bad = int((~torch.isfinite(x)).sum())
        raise SolveError(
            f"{name} is not finite at t = {t:.9g}: {bad} of {x.numel()} entries are NaN or inf. "
            "Call func(t, y0) by itself to see which; check that y0 lies in its domain."
        )


def check_solution(y: Tensor, t: list[float], method: str, adaptive: bool = False) -> None:
    """Raise SolveError if a fixed-step solution (T, ...) overflowed; its end tells. An adaptive one
    can with a norm of the user's only.
    """
    if torch.isfinite(y[-1]).all():
        return
    first = first_overflow(y)
    if adaptive:
        raise SolveError(
            f"the solution is not finite from t[{first}] = {t[first]:.6g} on (method {method!r}), "
            "and options['norm'] did not tell: the norm of a NaN must be NaN (max of Python's "
            "numbers is not)"
        )
    raise SolveError(
        f"the solution is not finite from t[{first}] = {t[first]:.6g} on (method {method!r}, "
        "fixed steps). The step is probably too long for the problem to be stable, or func leaves "
        "its domain. Try: a smaller options={'step_size': ...}, an adaptive method such as "
        "'dopri5', or call func(t, y) just before that time."
    )


def first_overflow(y: Tensor) -> int:
    """How many of the states (T, ...), from the first on, are finite."""
    return next((i for i, state in enumerate(y) if not torch.isfinite(state).all()), len(y))
