"""Systems of differential equations with an answer beside them: an exact solution, a period, an
invariant, or a reference by other code than ours.

Each is a vector field f(t, y). The last axis of y holds the components, so that states (D,) and
batches (B, D) will do; a parameter follows y, and `partial(van_der_pol, mu=8.0)` sets it.

Sources: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", 2nd ed. (HNW I), and
Hairer, Wanner, the same, II (HW II).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import ellipk
from torch import Tensor

# ---- Oscillators ---------------------------------------------------------------------------------


def oscillator(t: float | Tensor, y: Tensor) -> Tensor:
    """y1' = y2, y2' = -y1: a mass on a spring turns on a circle, once in 2 pi; y (..., 2)."""
    return torch.stack([y[..., 1], -y[..., 0]], dim=-1)


def oscillator_exact(t: Tensor, y0: Tensor) -> Tensor:
    """The oscillator's states (n, 2) at times t (n,), from y0 (2,) at t = 0: a rotation."""
    x, v = y0
    return torch.stack([x * t.cos() + v * t.sin(), v * t.cos() - x * t.sin()], dim=-1)


def damped_oscillator(t: float | Tensor, y: Tensor) -> Tensor:
    """y1' = y2, y2' = -y1 - y2 / 2: the same mass in oil; y (..., 2)."""
    return torch.stack([y[..., 1], -y[..., 0] - y[..., 1] / 2], dim=-1)


def damped_oscillator_exact(t: Tensor, y0: Tensor) -> Tensor:
    """Its states (n, 2) at times t (n,), from y0 (2,) at t = 0: exp(-t / 4) and a slower turn."""
    x, v = y0
    omega = math.sqrt(15) / 4
    cos = torch.exp(-t / 4) * torch.cos(omega * t)
    sin = torch.exp(-t / 4) * torch.sin(omega * t) / omega
    return torch.stack([x * cos + (v + x / 4) * sin, v * cos - (x + v / 4) * sin], dim=-1)


def pendulum(t: float | Tensor, y: Tensor, g_over_l: float = 1.0) -> Tensor:
    """y1' = y2, y2' = -g / l sin y1: angle and angular velocity; y (..., 2)."""
    return torch.stack([y[..., 1], -g_over_l * torch.sin(y[..., 0])], dim=-1)


def pendulum_energy(y: Tensor, g_over_l: float = 1.0) -> Tensor:
    """What a pendulum keeps, y2^2 / 2 - g / l cos y1 (...), of states y (..., 2)."""
    return y[..., 1].square() / 2 - g_over_l * torch.cos(y[..., 0])


def pendulum_period(amplitude: float, g_over_l: float = 1.0) -> float:
    """The time of one swing and back after release at rest at an angle 0 < amplitude < pi.

    It is 4 K(k) / sqrt(g / l), K the complete elliptic integral of modulus k = sin(amplitude / 2).
    Source: Landau, Lifshitz, "Mechanics", section 11.

        >>> round(pendulum_period(0.001) / (2 * math.pi), 6), round(pendulum_period(3.0), 4)
        (1.0, 16.1555)
    """
    return 4 * float(ellipk(math.sin(amplitude / 2) ** 2)) / math.sqrt(g_over_l)


def lotka_volterra(t: float | Tensor, y: Tensor) -> Tensor:
    """y1' = 1 - exp(y2), y2' = exp(y1) - 1: the logarithms of prey and predators; y (..., 2).

    Source: Hairer, Lubich, Wanner, "Geometric Numerical Integration", I.1.1, with all rates 1.
    """
    return torch.stack([1 - torch.exp(y[..., 1]), torch.exp(y[..., 0]) - 1], dim=-1)


def lotka_volterra_invariant(y: Tensor) -> Tensor:
    """What they keep, exp(y1) - y1 + exp(y2) - y2 (...), of states y (..., 2)."""
    return (torch.exp(y) - y).sum(dim=-1)


# ---- Van der Pol's oscillator --------------------------------------------------------------------


def van_der_pol(t: float | Tensor, y: Tensor, mu: float = 1.0) -> Tensor:
    """y1' = y2, y2' = mu (1 - y1^2) y2 - y1; y (..., 2).

    Every path is drawn to one loop. For large mu it creeps, then jumps. Source: HNW I, I.16.
    """
    x, v = y[..., 0], y[..., 1]
    return torch.stack([v, mu * (1 - x**2) * v - x], dim=-1)


@lru_cache(maxsize=16)
def _van_der_pol_reference(mu: float, t_end: float) -> Callable[[np.ndarray], np.ndarray]:
    def f(t: float, y: np.ndarray) -> tuple[float, float]:
        return y[1], mu * (1 - y[0] * y[0]) * y[1] - y[0]

    return solve_ivp(
        f, (0, t_end), (2.0, 0.0), "DOP853", dense_output=True, rtol=1e-13, atol=1e-14
    ).sol


def van_der_pol_exact(mu: float, t_end: float = 20.0) -> Callable[[Tensor], Tensor]:
    """A function from times (n,), 0 <= t <= t_end, to states (n, 2) of the solution from (2, 0).

    There is no formula for it. This is by other code than ours: scipy's DOP853 with rtol 1e-13.
    """
    reference = _van_der_pol_reference(mu, t_end)
    return lambda t: torch.from_numpy(reference(t.numpy()).T)


# ---- Stiff systems -------------------------------------------------------------------------------


def decay_to_cosine(t: Tensor, y: Tensor, rate: float) -> Tensor:
    """y' = -rate (y - cos t), of any shape: a slow curve, and a fast way to it.

    Source: HW II, IV.1, (1.1), there with the rate 50.
    """
    return -rate * (y - torch.cos(t))


def decay_to_cosine_exact(t: ArrayLike, rate: float, y0: float = 0.0) -> np.ndarray:
    """Its solution from y(0) = y0 at times t, in the shape of t."""
    t = np.asarray(t)
    slow = (rate**2 * np.cos(t) + rate * np.sin(t)) / (1 + rate**2)
    return slow + (y0 - rate**2 / (1 + rate**2)) * np.exp(-rate * t)


def robertson_rates(a: Any, b: Any, c: Any) -> tuple[Any, Any, Any]:
    """Robertson's three reactions A -> B, B + B -> C + B, B + C -> A + C, as da/dt, db/dt, dc/dt.

    The concentrations are numbers, arrays or tensors of one shape; a + b + c stays what it is.
    Source: Robertson 1966; HW II, IV.1, (1.4).
    """
    slow = 0.04 * a
    back = 1e4 * b * c
    fast = 3e7 * b * b
    return back - slow, slow - back - fast, fast


def robertson(t: float | Tensor, y: Tensor) -> Tensor:
    """The field of `robertson_rates`, y (..., 3); its rates lie up to ten powers of ten apart."""
    return torch.stack(robertson_rates(*y.unbind(-1)), dim=-1)


def robertson_jacobian(t: float, y: np.ndarray) -> np.ndarray:
    """df/dy (3, 3) at a state y (3,), for scipy."""
    _, b, c = y
    return np.array(
        [
            [-0.04, 1e4 * c, 1e4 * b],
            [0.04, -1e4 * c - 6e7 * b, -1e4 * b],
            [0, 6e7 * b, 0],
        ]
    )


def robertson_scipy(t_end: float, solver: str, rtol: float, atol: float) -> Any:
    """scipy's solution from (1, 0, 0) by `solver`, which is given the Jacobian.

    What `solve_ivp` returns: states y (3, n), counters nfev, njev and nlu.
    """
    return solve_ivp(
        lambda t, y: np.array(robertson_rates(*y)),
        (0, t_end),
        (1.0, 0.0, 0.0),
        solver,
        rtol=rtol,
        atol=atol,
        jac=robertson_jacobian,
    )


@lru_cache(maxsize=8)
def robertson_exact(t_end: float) -> Tensor:
    """The state (3,) at t_end from (1, 0, 0): scipy's Radau with rtol 1e-12."""
    return torch.from_numpy(robertson_scipy(t_end, "Radau", 1e-12, 1e-20).y[:, -1])
