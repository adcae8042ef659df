"""Lesson 11: what is known exactly of an oscillator and its noisy observations, to stand beside
what is learned.

The position at time t is linear in the start z0 = (q, v): q(t) = c(t) q + s(t) v. With Gaussian
noise the best start is a least-squares problem with two unknowns, and the posterior of the start is
a Gaussian that has a formula.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...data import exact_oscillation
from ...models import ContinuousVAE
from ...models.vae import Posterior

TRUE = 1.7  # the angular frequency behind the lesson's data
END = 10.0  # they are observed from time 0 until then


def position_weights(t: ArrayLike, omega: ArrayLike, damping: float = 0.0) -> np.ndarray:
    """The two columns (.., 2) by which the start (q, v) gives the position at times t, for any
    damping >= 0.

    c = exp(-d t) (cos(w t) + d sin(w t) / w), s = exp(-d t) sin(w t) / w, w = sqrt(omega^2 - d^2):
    imaginary where the damping is too strong for an oscillation, and 0 at the critical one. Shapes:
    t and omega broadcast.
    Source: Landau, Lifshitz, Mechanics, section 25.
    """
    t = np.asarray(t, float)
    w = np.sqrt(np.asarray(omega, complex) ** 2 - damping**2)
    cos = np.cos(w * t).real
    sin = (t * np.sinc(w * t / np.pi)).real
    return np.exp(-damping * t)[..., None] * np.stack([cos + damping * sin, sin], axis=-1)


def best_starts(a: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares over the start, for many frequencies: starts (W, 2) and mean squared misfits
    (W,).

    a: `position_weights` (W, T, 2) of the frequencies; x (T,).
    """
    c = a[..., 0]
    s = a[..., 1]
    # The normal equations. The 1e-9: two points half a period apart leave one direction open.
    cc = (c * c).sum(1) + 1e-9
    ss = (s * s).sum(1) + 1e-9
    cs = (c * s).sum(1)
    cx = c @ x
    sx = s @ x
    det = cc * ss - cs * cs
    start = np.stack([ss * cx - cs * sx, cc * sx - cs * cx], axis=-1) / det[:, None]
    return start, np.square(x - c * start[:, :1] - s * start[:, 1:]).mean(1)


def least_squares_frequency(
    series: Iterable[tuple[Tensor, Tensor]], grid: np.ndarray, damping: float = 0.0
) -> float:
    """The frequency of grid (W,) with the smallest misfit, all series, pairs of times (T,) and
    values (T, 1), together, each with its own best start.
    """
    total = np.zeros(len(grid))
    for t, x in series:
        a = position_weights(t, grid[:, None], damping)
        _, misfit = best_starts(a, np.asarray(x, float).ravel())
        total += len(t) * misfit
    return float(grid[np.argmin(total)])


def start_posterior(
    t: np.ndarray, x: np.ndarray, omega: float, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (2,) and covariance (2, 2) of the start, for positions x (T,) observed at t (T,) with
    noise, under z0 ~ N(0, I).
    """
    a = position_weights(t, omega)
    covariance = np.linalg.inv(np.eye(2) + a.T @ a / noise**2)
    return covariance @ a.T @ x / noise**2, covariance


def linear_posterior(
    model: ContinuousVAE, t: Tensor, x: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Means (B, 2) and covariances (B, 2, 2) of z(t0) given the series x (B, T, 1), for a
    ContinuousVAE that is linear.

    Its field must be linear, a free Oscillator for instance, and its decoder an nn.Linear. The
    decoded series is then A z(t0) + bias, whose columns are the series of the starts (1, 0) and
    (0, 1), and the posterior is that of a linear regression: covariance (I + A^T A / noise^2)^-1,
    mean covariance A^T (x - bias) / noise^2.
    Source: Bishop, "Pattern recognition and machine learning", (2.116), (2.117).

    Raises:
        TypeError: for another decoder.
    """
    if not isinstance(model.decoder, nn.Linear):
        raise TypeError(
            f"model.decoder must be an nn.Linear, got {type(model.decoder).__name__}; "
            "of other models the posterior has no formula"
        )
    units = torch.eye(2, dtype=x.dtype)
    starts = units.repeat_interleave(len(x), 0)  # one solve for both
    times = t if t.dim() == 1 else t.repeat(2, 1)
    columns = model.latents(starts, times) @ model.decoder.weight.mT
    a = columns.unflatten(0, (2, len(x)))[..., 0].movedim(0, -1)
    a = torch.where(mask, a, 0.0)
    value = torch.where(mask, x - model.decoder.bias, 0.0)
    precision = model.log_noise.exp() ** -2
    covariance = torch.linalg.inv(units + precision * a.mT @ a)
    return precision * (covariance @ a.mT @ value)[..., 0], covariance


class LinearVAE(ContinuousVAE):
    """A ContinuousVAE with a linear field and decoder, whose encoder is a formula:
    `linear_posterior`.

    The entries of z(t0) are independent under q, as everywhere in a VAE: of all such Gaussians the
    one nearest to the posterior has its mean, and the diagonal of its precision.
    """

    def __init__(self, func: nn.Module, noise: float = 0.3, **solver: Any) -> None:
        super().__init__(
            1, 2, func, encoder=nn.Identity(), decoder=nn.Linear(2, 1), noise=noise, **solver
        )

    def encode(self, t: Tensor, x: Tensor, mask: Tensor | None = None) -> Posterior:
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        mean, covariance = linear_posterior(self, t, x, mask)
        return Posterior(mean, torch.linalg.inv(covariance).diagonal(dim1=1, dim2=2) ** -0.5)


def path_errors(
    t: Tensor, paths: Tensor, starts: Tensor, damping: float = 0.0
) -> tuple[float, float]:
    """Root mean square errors of series (B, S) at times t (S,) against the exact ones from starts
    (B, 2): up to END, and beyond.
    """
    some = starts[: len(paths)].double()
    exact = exact_oscillation(t.double(), some, TRUE, damping)[..., 0]
    square = (paths.detach().double() - exact).square()
    inside, beyond = (float(square[:, part].mean().sqrt()) for part in (t <= END, t > END))
    return inside, beyond
