"""Harmonic oscillations as noisy series at irregular times, with their exact solution."""

import math

import torch
from torch import Tensor

from .drawing import drawn_on_cpu

OMEGA = 1.7  # radians per unit of time, of the oscillations without damping
MOST = 10_000  # observations of one oscillation: gaps of 1e-5 take a tenth of the time then


@drawn_on_cpu
def oscillations(
    n: int = 200,
    keep: int = 30,
    *,
    damping: float = 0.0,
    end: float = 10.0,
    noise: float = 0.1,
    seed: int = 0,
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Damped harmonic oscillations q(t) from random starts, observed with noise at irregular times.

    Args:
        n: how many.
        keep: observations of each, the first at 0, the others at times uniform from 0 to end, no
            gap below 1e-5 end.
        damping: of d2q/dt2 = -OMEGA^2 q - 2 damping dq/dt, with 0 <= damping < OMEGA.
        end: the last possible time.
        noise: standard deviation of the noise.
        seed: of a generator of its own.

    Returns:
        n pairs of times (keep,) and values (keep, 1), for `collate`; and the starts (q, dq/dt),
        (n, 2), from N(0, I).

    Raises:
        ValueError: for a damping outside of its bounds, or a keep that is not from 1 to MOST.

        >>> series, start = oscillations(3, noise=0.0)
        >>> t, q = series[0]
        >>> t.shape, q.shape, bool(q[0, 0] == start[0, 0])
        (torch.Size([30]), torch.Size([30, 1]), True)
    """
    if not 1 <= keep <= MOST:
        raise ValueError(f"keep must be from 1 to {MOST}, observations of each, got {keep}")
    chance = torch.Generator().manual_seed(seed)
    start = torch.randn(n, 2, generator=chance, dtype=torch.float64)
    least = 1e-5 * end  # gaps that single precision can tell from none
    drawn = (end - keep * least) * torch.rand(n, keep - 1, generator=chance, dtype=torch.float64)
    t = torch.cat([torch.zeros(n, 1), drawn], 1).sort(1).values + least * torch.arange(keep)
    q = exact_oscillation(t, start, OMEGA, damping)[..., :1]
    q = q + noise * torch.randn(q.shape, generator=chance, dtype=torch.float64)
    dtype = torch.get_default_dtype()
    return list(zip(t.to(dtype), q.to(dtype), strict=True)), start.to(dtype)


def exact_oscillation(t: Tensor, start: Tensor, omega: float, damping: float = 0.0) -> Tensor:
    """The oscillator d2q/dt2 = -omega^2 q - 2 d dq/dt from a start (q, v), with d = damping:

        q(t) = exp(-d t) (q cos(w t) + (v + d q) sin(w t) / w),     w = sqrt(omega^2 - d^2)

    Args:
        t: times (T,) or (..., T).
        start: (..., 2), at t = 0.
        omega, damping: see above.

    Returns:
        q and dq/dt, (..., T, 2).

    Raises:
        ValueError: unless 0 <= damping < omega.

    Source: Landau, Lifshitz, Mechanics, section 25.
    """
    if not 0 <= damping < omega:
        raise ValueError(
            f"damping must be from 0 to less than omega = {omega:g}, so that it oscillates, got "
            f"{damping}"
        )
    q = start[..., :1]
    v = start[..., 1:]
    w = math.sqrt(omega**2 - damping**2)
    decay = torch.exp(-damping * t)
    cos = torch.cos(w * t)
    sin = torch.sin(w * t) / w
    position = decay * (q * cos + (v + damping * q) * sin)
    velocity = decay * (v * cos - (damping * v + omega**2 * q) * sin)
    return torch.stack([position, velocity], dim=-1)
