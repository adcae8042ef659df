"""scipy's solvers behind our signature: `method="scipy_solver"`, `options={"solver": "LSODA"}`.

scipy computes outside of autograd, on the CPU: gradients come from `odeint_adjoint` only.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..errors import check_finite, first_overflow
from ..runge_kutta import Field
from .method import Method, Setup

_FRUITLESS = 1000
SOLVERS = ("RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA")


def solve_with_scipy(setup: Setup, f: Field, y0: Tensor, times: list[float]) -> tuple[Tensor, str]:
    """The solution at the times, (n, *y0.shape), by `scipy.integrate.solve_ivp`; and scipy's reason
    if it gave up after n of them, else "".

    Raises:
        ValueError: for a solver that scipy does not have, or that cannot do complex numbers or
            min_step.
    """
    # Here, because importing scipy takes longer than importing all of this package.
    from scipy.integrate import solve_ivp

    solver = setup.options.of_method.get("solver", "LSODA")
    if solver not in SOLVERS:
        raise ValueError(f"options['solver'] must be one of {', '.join(SOLVERS)}; got {solver!r}")
    if y0.is_complex() and solver in ("Radau", "LSODA"):
        raise ValueError(
            f"scipy's {solver} does not integrate complex states; use 'RK45', 'DOP853' or 'BDF'"
        )
    real = y0.dtype.to_real()
    fruitless = 0  # evaluations in a row that were not finite

    def g(t: float, y: np.ndarray) -> np.ndarray:
        nonlocal fruitless
        state = torch.as_tensor(y, dtype=y0.dtype, device=y0.device).reshape(y0.shape)
        with torch.no_grad():
            slope = f(torch.as_tensor(t, dtype=real, device=y0.device), state)
        _check_no_tangent(slope)
        # Scipy does not look; its solvers go on with NaN, or forever. A trial step may fail, the
        # first evaluation may not.
        fruitless = 0 if torch.isfinite(slope).all() else fruitless + 1
        if fruitless and (t == times[0] or fruitless > _FRUITLESS):
            check_finite(slope, "the vector field func(t, y)", t)
        return slope.cpu().numpy().reshape(-1)

    _check_no_tangent(y0)
    if len(times) == 1:
        return y0.detach().unsqueeze(0), ""
    bounds = {"max_step": setup.options.max_step}
    if solver == "LSODA":
        bounds["min_step"] = setup.options.min_step
    elif setup.options.min_step:
        raise ValueError(f"options['min_step'] is supported by scipy's LSODA only, not by {solver}")
    try:
        result = solve_ivp(
            g,
            (times[0], times[-1]),
            y0.detach().cpu().numpy().reshape(-1),
            solver,
            t_eval=times,
            rtol=_as_array(setup.rtol, y0),
            atol=_as_array(setup.atol, y0),
            **bounds,
        )
    except ValueError as error:
        if not fruitless:
            raise
        return y0.detach().unsqueeze(0), f"scipy's {solver}: func is not finite ({error})"
    n = len(result.t)
    if not n:  # the very first step failed
        return y0.detach().unsqueeze(0), f"scipy's {solver} failed at once: {result.message}"
    y = torch.as_tensor(result.y.T, dtype=y0.dtype, device=y0.device).reshape(-1, *y0.shape)
    if result.success and bool(torch.isfinite(y).all()):
        return y, ""
    if result.success:
        n = first_overflow(y)
        where = f"the solution is not finite from t[{n}] = {times[n]:.6g} on"
        return y[:n], f"scipy's {solver}: {where}; func leaves its domain, or the solution blows up"
    return y, f"scipy's {solver} stopped after t = {times[n - 1]:.6g}: {result.message}"


def _check_no_tangent(x: Tensor) -> None:
    if forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None:
        raise NotImplementedError(
            "scipy_solver carries no derivatives, in forward-mode (dual numbers, torch.func.jvp, "
            "jacfwd) neither: use an explicit method such as 'dopri5'"
        )


def _as_array(tol: float | Tensor, y0: Tensor) -> Any:
    return tol.expand(y0.shape).reshape(-1).cpu().numpy() if isinstance(tol, Tensor) else tol


SCIPY_SOLVER = Method(
    "scipy_solver",
    order=0,
    solve=solve_with_scipy,
    options=("solver", "min_step", "max_step", "norm", "max_num_evaluations"),
)
