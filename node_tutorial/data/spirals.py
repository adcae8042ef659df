"""Spirals in the plane: fields to be learned, an exact solution, and noisy observations."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def spiral(t: Any, y: Tensor, growth: float = 0.2, frequency: float = 2.0) -> Tensor:
    """The field growth (1 - |y|^2) y + frequency (-y_2, y_1), which winds onto the unit circle.

    (The normal form of a Hopf bifurcation: Strogatz, Nonlinear dynamics and chaos, section 8.2.)

    Args:
        t: not used.
        y: states (..., 2).
        growth: how fast a small circle grows. The distance from the unit circle decays at the rate
            2 growth.
        frequency: radians per unit of time.

    Returns:
        dy/dt (..., 2).
    """
    turned = torch.stack([-y[..., 1], y[..., 0]], dim=-1)
    return growth * (1 - y.square().sum(-1, keepdim=True)) * y + frequency * turned


def exact_spiral(t: Tensor, y0: Tensor, growth: float = 0.2, frequency: float = 2.0) -> Tensor:
    """The solution of `spiral` with y(0) = y0:

        |y(t)| = |y0| / sqrt(|y0|^2 + (1 - |y0|^2) exp(-2 growth t))
        angle(t) = angle(0) + frequency t

    Args:
        t: times (T,).
        y0: a state (2,), or several (..., 2).

    Returns:
        Tensor (T, ..., 2).

        >>> t, y0 = torch.tensor([0.0, 100.0]), torch.tensor([2.0, 0.0])
        >>> exact_spiral(t, y0).norm(dim=-1).round(decimals=5).tolist()
        [2.0, 1.0]
    """
    t = t.reshape(-1, *[1] * y0.dim())
    square = y0.square().sum(-1, keepdim=True)
    shrink = torch.rsqrt(square + (1 - square) * torch.exp(-2 * growth * t))
    turned = torch.stack([-y0[..., 1], y0[..., 0]], dim=-1)
    return shrink * (torch.cos(frequency * t) * y0 + torch.sin(frequency * t) * turned)


def cubic_spiral(t: Any, y: Tensor) -> Tensor:
    """The field y^3 A with A = [[-0.1, 2], [-2, -0.1]], which winds into the origin.

    The cube is that of each component.

    Args:
        t: not used.
        y: states (..., 2).

    Returns:
        dy/dt (..., 2).

    Source: torchdiffeq, examples/ode_demo.py, from y0 = (2, 0) over 0 <= t <= 25.
    """
    return y**3 @ torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=y.dtype, device=y.device)


def observe(
    solution: Callable[[Tensor], Tensor], n: int, end: float, noise: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Noisy observations of a solution at irregular times.

    Args:
        solution: maps times (n,) to states (n, ...).
        n: how many; the first is at time 0, the others are drawn uniformly from 0 to `end`, and
            sorted.
        noise: the standard deviation of Gaussian noise on every number.
        seed: of the times and of the noise.

    Returns:
        times (n,), float64, and observations (n, ...).

    Raises:
        ValueError: for n below 1.

        >>> t, y = observe(torch.cos, 5, end=3.0, noise=0.0)
        >>> t.shape, float(t[0]), bool((y == torch.cos(t)).all())
        (torch.Size([5]), 0.0, True)
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, the number of observations, got {n}")
    chance = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.rand(n - 1, generator=chance, dtype=torch.float64, device="cpu")
    t = torch.cat([drawn.new_zeros(1), end * drawn]).sort().values.to(torch.get_default_device())
    y = solution(t)
    errors = torch.randn(y.shape, generator=chance, dtype=y.dtype, device="cpu")
    return t, y + noise * errors.to(y.device)
