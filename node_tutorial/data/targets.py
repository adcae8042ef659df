"""The energies of Rezende & Mohamed: targets of a fit by KL(q || p), without any data.

    U1 = q(|z| - 2, 0.4) - log(exp(-q(z_1 - 2, 0.6)) + exp(-q(z_1 + 2, 0.6)))
    U2 = q(z_2 - w1, 0.4)
    U3 = -log(exp(-q(z_2 - w1, 0.35)) + exp(-q(z_2 - w1 + w2, 0.35)))
    U4 = -log(exp(-q(z_2 - w1, 0.4)) + exp(-q(z_2 - w1 + w3, 0.35)))

with q(x, s) = (x / s)^2 / 2 and

    w1 = sin(2 pi z_1 / 4)
    w2 = 3 exp(-q(z_1 - 1, 0.6))
    w3 = 3 sigmoid((z_1 - 1) / 0.3)

The density is p(z) = exp(-U(z)) / Z. U2, U3 and U4 do not grow with |z_1|, so that Z would be
infinite; the paper shows the square [-4, 4]^2 and does not say what holds the mass there. Here it
is an addition of our own, E(z_1) = q(max(|z_1| - 3.5, 0), 0.25), to these three. Z is found by
quadrature on a grid, to six digits.

Sources: Rezende, Mohamed 2015, arXiv 1505.05770, table 1 and figure 3; three of them are the
targets of Chen et al. 2018, arXiv 1806.07366, figure 4.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .densities import Bounds, Density, grid
from .drawing import drawn_on_cpu


@drawn_on_cpu
def target(number: int) -> Density:
    """The density exp(-U) / Z of U1 to U4, normalized; its samples are made by rejection.

    Raises:
        ValueError: for another number.

        >>> target(1).log_prob(torch.tensor([[2.0, 0.0], [0.0, 2.0]])).exp().round(decimals=3)
        tensor([0.1530, 0.0010])
    """
    if number not in (1, 2, 3, 4):
        raise ValueError(f"number must be 1, 2, 3 or 4, for U1 to U4, got {number!r}")
    bounds = (-4.7, 4.7, -4.7, 4.7) if number == 1 else (-5.0, 5.0, -6.6, 3.6)
    energy: Callable[[Tensor], Tensor] = (_u1, _u2, _u3, _u4)[number - 1]
    log_z = _log_integral(energy, bounds)
    return Density(f"U{number}", lambda z: -energy(z) - log_z, bounds)


def _log_integral(energy: Callable[[Tensor], Tensor], bounds: Bounds) -> float:
    z, area = grid(bounds, 600)
    return float((-energy(z)).logsumexp(0)) + math.log(area)


def _square(x: Tensor, width: float) -> Tensor:
    return (x / width).square() / 2


def _u1(z: Tensor) -> Tensor:
    both = torch.stack([_square(z[..., 0] - 2, 0.6), _square(z[..., 0] + 2, 0.6)])
    return _square(z.norm(dim=-1) - 2, 0.4) - (-both).logsumexp(0)


def _w1(z: Tensor) -> Tensor:
    return torch.sin(2 * math.pi * z[..., 0] / 4)


def _edge(z: Tensor) -> Tensor:
    return _square((z[..., 0].abs() - 3.5).clamp(min=0), 0.25)


def _u2(z: Tensor) -> Tensor:
    return _square(z[..., 1] - _w1(z), 0.4) + _edge(z)


def _u3(z: Tensor) -> Tensor:
    w2 = 3 * (-_square(z[..., 0] - 1, 0.6)).exp()
    return _two_bands(z[..., 1] - _w1(z), w2, 0.35) + _edge(z)


def _u4(z: Tensor) -> Tensor:
    w3 = 3 * torch.sigmoid((z[..., 0] - 1) / 0.3)
    return _two_bands(z[..., 1] - _w1(z), w3, 0.4) + _edge(z)


def _two_bands(x: Tensor, shift: Tensor, width: float) -> Tensor:
    return -(-torch.stack([_square(x, width), _square(x + shift, 0.35)])).logsumexp(0)
