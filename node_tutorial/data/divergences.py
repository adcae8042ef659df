"""Distances of densities on a line, by quadrature: the exact numbers beside a critic's.

JS(p, q) = KL(p || m)/2 + KL(q || m)/2,   m = (p + q)/2;   between 0 and log 2, in nats
W1(p, q) = integral of |F_p - F_q|,   the area between the distribution functions
"""

from collections.abc import Callable

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]


def jensen_shannon(
    log_p: LogDensity, log_q: LogDensity, ends: tuple[float, float], points: int = 20_001
) -> float:
    """JS(p, q) in nats, of log-densities x (n, 1) -> (n,), by the trapezoidal rule.

    Args:
        ends: an interval that holds both but for 1e-12.

        >>> from node_tutorial.data import gaussian_mixture
        >>> p, q = (gaussian_mixture([1.0], torch.tensor([m]), 1.0) for m in (0.0, 2.0))
        >>> round(jensen_shannon(p.log_prob, q.log_prob, (-12.0, 14.0)), 7)
        0.3368308
    """
    x = torch.linspace(*ends, points, dtype=torch.float64)[:, None]
    log_a, log_b = log_p(x), log_q(x)
    log_m = torch.logaddexp(log_a, log_b) - torch.log(x.new_tensor(2.0))
    halves = log_a.exp() * (log_a - log_m) + log_b.exp() * (log_b - log_m)
    return float(torch.trapezoid(halves / 2, x[:, 0]))


def wasserstein_1(
    cdf_p: LogDensity, cdf_q: LogDensity, ends: tuple[float, float], points: int = 20_001
) -> float:
    """W1(p, q) of distribution functions x (n, 1) -> (n,), by the trapezoidal rule."""
    x = torch.linspace(*ends, points, dtype=torch.float64)[:, None]
    return float(torch.trapezoid((cdf_p(x) - cdf_q(x)).abs(), x[:, 0]))


def wasserstein_1_of_samples(x: Tensor, y: Tensor) -> Tensor:
    """W1 of two samples (n,) of the same size: the mean distance after sorting both.

    Raises:
        ValueError: unless both are (n,).
    """
    if x.dim() != 1 or x.shape != y.shape:
        raise ValueError(
            f"x and y must be (n,) with the same n, got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    return (x.sort().values - y.sort().values).abs().mean()
