"""scipy's solvers behind our signature: `method="scipy_solver"`, `options={"solver": "LSODA"}` and
so on.

scipy computes outside of autograd, on the CPU: gradients come from `odeint_adjoint` only.
"""

import numpy as np
import torch
from torch import Tensor

from ..errors import SolveError
from ..runge_kutta import Field

SOLVERS = ("RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA")


def solve_with_scipy(
    f: Field,
    y0: Tensor,
    times: list[float],
    rtol: float | Tensor,
    atol: float | Tensor,
    solver: str = "LSODA",
    min_step: float = 0.0,
    max_step: float = float("inf"),
) -> Tensor:
    """The solution at the times, (T, *y0.shape), by `scipy.integrate.solve_ivp`.

    Raises:
        ValueError: for a solver that scipy does not have, or that cannot do complex numbers or
            min_step.
        SolveError: if scipy gives up, with its reason.
    """
    from scipy.integrate import (
        solve_ivp,
    )  # here, because importing scipy takes longer than importing all of this package

    if solver not in SOLVERS:
        raise ValueError(f"options['solver'] must be one of {', '.join(SOLVERS)}; got {solver!r}")
    if y0.is_complex() and solver in ("Radau", "LSODA"):
        raise ValueError(
            f"scipy's {solver} does not integrate complex states; use 'RK45', 'DOP853' or 'BDF'"
        )
    real = y0.dtype.to_real()

    def g(t: float, y: np.ndarray) -> np.ndarray:
        state = torch.as_tensor(y, dtype=y0.dtype, device=y0.device).reshape(y0.shape)
        with torch.no_grad():
            return (
                f(torch.as_tensor(t, dtype=real, device=y0.device), state).cpu().numpy().reshape(-1)
            )

    if len(times) == 1:
        return y0.detach().unsqueeze(0)
    options = {"max_step": max_step}
    if solver == "LSODA":
        options["min_step"] = min_step
    elif min_step:
        raise ValueError(f"options['min_step'] is supported by scipy's LSODA only, not by {solver}")
    start = y0.detach().cpu().numpy().reshape(-1)
    as_array = [
        x.expand(y0.shape).reshape(-1).cpu().numpy() if isinstance(x, Tensor) else x
        for x in (rtol, atol)
    ]
    result = solve_ivp(
        g,
        (times[0], times[-1]),
        start,
        solver,
        t_eval=times,
        rtol=as_array[0],
        atol=as_array[1],
        **options,
    )
    if not result.success:
        raise SolveError(
            f"scipy's {solver} stopped after t = {times[len(result.t) - 1]:.6g}: {result.message}"
        )
    return torch.as_tensor(result.y.T, dtype=y0.dtype, device=y0.device).reshape(-1, *y0.shape)
