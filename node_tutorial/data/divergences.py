"""Distances of densities: on a line by quadrature, the exact numbers beside a critic's; and of a
model that only draws, from an exact density.

JS(p, q) = KL(p || m)/2 + KL(q || m)/2,   m = (p + q)/2;   between 0 and log 2, in nats
W1(p, q) = integral of |F_p - F_q|,   the area between the distribution functions
KL(q || p) = E_q[-log p] - H(q),   with the entropy H(q) from distances between the draws
"""

import math
from collections.abc import Callable
from typing import NamedTuple

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


class Estimate(NamedTuple):
    """A mean over draws, and its standard error."""

    value: float
    standard_error: float


def neighbor_entropy(x: Tensor, k: int = 5) -> Estimate:
    """H(q) = -E_q[log q] in nats, from draws x (n, D) alone: Kozachenko and Leonenko's estimate.

        H = psi(n) - psi(k) + log V_D + (D / n) sum_i log r_i

    with r_i the distance of x_i to its k-th neighbor, V_D the volume of the unit ball and psi the
    digamma function. Where q bends within r it is biased, on the two moons by -0.015 with n = 10
    000 and k = 5; `reverse_kl` takes that out.

    Raises:
        ValueError: for another shape, k that is not from 1 to n - 1, or points of which more than
            k are equal: their density is infinite.

    Source: Kozachenko, Leonenko 1987; with k neighbors: Kraskov, Stoegbauer, Grassberger 2004,
    arXiv cond-mat/0305641, equation 20.

        >>> x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
        >>> abs(neighbor_entropy(x).value - (1 + math.log(2 * math.pi))) < 0.05
        True
    """
    logs = _log_densities(x, k)
    return Estimate(float(-logs.mean()), float(logs.std() / math.sqrt(len(logs))))


def _log_densities(x: Tensor, k: int) -> Tensor:
    """An estimate of log q at each of the draws (n, D), (n,)."""
    from scipy.spatial import KDTree  # here, because it takes a quarter second

    if x.dim() != 2 or not 1 <= k < len(x) or not x.isfinite().all():
        raise ValueError(
            f"x must be finite draws (n, D), more than k = {k}, got shape {tuple(x.shape)}"
        )
    n, size = x.shape
    points = x.detach().double().numpy()
    r = torch.as_tensor(KDTree(points).query(points, k + 1)[0][:, k])
    if not (r > 0).all():
        raise ValueError(
            f"more than k = {k} points are equal, such as copies of a training set: the density "
            "there is infinite, and the entropy has no value"
        )
    log_ball = size / 2 * math.log(math.pi) - math.lgamma(size / 2 + 1)
    psi = torch.digamma(torch.tensor([n, k], dtype=torch.float64))
    return -(psi[0] - psi[1] + log_ball + size * r.log())


def reverse_kl(
    log_prob: LogDensity, x: Tensor, real: Tensor, k: int = 5, least: float = -300.0
) -> Estimate:
    """KL(q || p) in nats, from draws of q alone and the exact log-density of p.

    The mean of log q - log p over the draws, with log q by `neighbor_entropy`, minus the same for
    draws of p itself, where the truth is 0: that is the estimate's bias.

    Args:
        log_prob: of p, (n, D) -> (n,).
        x: draws of the model q, (n, D). real: draws of p, as many.
        least: log p is taken to be no lower; a draw where p is 0 would make the mean infinite.

    Raises:
        ValueError: as `neighbor_entropy`, and if x and real have different shapes.
    """
    if x.shape != real.shape:
        raise ValueError(
            "draws of the model and of p must be as many, since the bias depends on n, got shapes "
            f"{tuple(x.shape)} and {tuple(real.shape)}"
        )
    means, variances = [], []
    for points in (x, real):
        points = points.double()
        gaps = _log_densities(points, k) - log_prob(points).clamp(min=least)
        means.append(float(gaps.mean()))
        variances.append(float(gaps.var() / len(gaps)))
    return Estimate(means[0] - means[1], math.sqrt(sum(variances)))
