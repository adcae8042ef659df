"""What the solvers say when they cannot go on: where, why, and what to try."""

import torch
from torch import Tensor


class SolveError(RuntimeError, AssertionError):
    """A solve could not go on; the message says where, why, and what to try.

    (It is an AssertionError too, because that is what code written for torchdiffeq catches.)
    """


def underflow(t: float, h: float, ratio: float, y: Tensor) -> SolveError:
    """For a step size so small that t + h == t."""
    if not ratio < float("inf"):
        return SolveError(
            f"underflow in dt: at t = {t:.9g} the vector field, or the state after a step, is not "
            "finite (NaN or inf) "
            "however short the step (or, with an implicit method, Newton's iteration does not "
            "converge: is func smooth "
            f"and differentiable by autograd?); the last one tried had h = {h:.3g}. Largest |y| "
            "here: "
            f"{y.abs().max().item():.3g}. "
            "The solution may blow up before this time, or func leaves its domain (sqrt or log of "
            "a negative number, "
            "division by zero). Try: call func(t, y) at this point; end the integration earlier; "
            "bound func's output."
        )
    return SolveError(
        f"underflow in dt: at t = {t:.9g} the step size fell to {h:.3g}, and still the error is "
        f"{ratio:.3g} times the "
        f"tolerance. Largest |y| here: {y.abs().max().item():.3g}, in "
        f"{str(y.dtype).removeprefix('torch.')}. "
        "Likely causes, and what to try: the solution diverges (end earlier, bound func); func "
        "jumps in time (give "
        "options={'jump_t': ...}); the tolerance is below what the dtype resolves (raise rtol and "
        "atol, or use "
        "y0.double()); the problem is stiff (an implicit method, such as method='kvaerno5')."
    )


def newton_failed(t: float, h: float, method: str) -> SolveError:
    """For an implicit step on a fixed grid whose equations could not be solved."""
    return SolveError(
        f"method {method!r}: Newton's iteration does not converge for the step from t = {t:.9g} "
        f"with h = {h:.3g}. "
        "The step may be too long for it, func may not be smooth, or not be differentiable by "
        "autograd (numpy inside, "
        "torch.no_grad, .detach()). Try: a smaller options={'step_size': ...}; an adaptive "
        "implicit method such as "
        "'kvaerno5', which finds its own steps."
    )


def too_many_steps(limit: int, t: float, target: float | None, h: float) -> SolveError:
    """For max_num_steps attempts without reaching the next output time (or an event, when target is
    None).
    """
    goal = "finding an event" if target is None else f"reaching t = {target:.6g}"
    remedy = (
        "check that event_fn changes its sign, or start nearer to the event"
        if target is None
        else "raise rtol and atol, or options={'max_num_steps': ...}; if the problem is stiff, use an implicit method"
    )
    return SolveError(
        f"max_num_steps exceeded: {limit} steps without {goal}; now at t = {t:.6g} with h = "
        f"{h:.3g}. Try: {remedy}."
    )


def check_finite(x: Tensor, name: str, t: float) -> None:
    """Raise SolveError unless x is finite everywhere."""
    if not torch.isfinite(x).all():
        bad = int((~torch.isfinite(x)).sum())
        raise SolveError(
            f"{name} is not finite at t = {t:.9g}: {bad} of {x.numel()} entries are NaN or inf. "
            "Call func(t, y0) by itself to see which; check that y0 lies in its domain."
        )


def check_solution(y: Tensor, t: list[float], method: str) -> None:
    """Raise SolveError if a fixed-step solution (T, ...) overflowed. Once it did it stays so: the
    end tells.
    """
    if torch.isfinite(y[-1]).all():
        return
    first = next(i for i in range(len(t)) if not torch.isfinite(y[i]).all())
    raise SolveError(
        f"the solution is not finite from t[{first}] = {t[first]:.6g} on (method {method!r}, "
        "fixed steps). The step is "
        "probably too long for the problem to be stable, or func leaves its domain. Try: a smaller "
        "options={'step_size': ...}, an adaptive method such as 'dopri5', or call func(t, y) just "
        "before that time."
    )
