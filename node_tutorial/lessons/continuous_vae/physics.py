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
from ...models.vae import ELBO, Posterior, gaussian_kl, reparameterize

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


class LinearVAE(ContinuousVAE):
    """A ContinuousVAE with a linear field and decoder, whose encoder is a formula.

    The field is linear in the state and does not depend on time, as an Oscillator that is not
    driven. So z(t) = Phi(t) z(t0) with one matrix Phi(t) for all series: two starts are solved, and
    not one for each series. The entries of z(t0) are independent under q, as everywhere in a VAE:
    of all such Gaussians the one nearest to the posterior has its mean, and the diagonal of its
    precision.
    """

    decoder: nn.Linear

    def __init__(self, func: nn.Module, noise: float = 0.3, **solver: Any) -> None:
        super().__init__(
            1, 2, func, encoder=nn.Identity(), decoder=nn.Linear(2, 1), noise=noise, **solver
        )

    def flow(self, t: Tensor) -> Tensor:
        """Phi (.., 2, 2) at times t (T,) or (B, T): its columns are z from (1, 0) and (0, 1)."""
        times, place = torch.unique(t, return_inverse=True)
        units = torch.eye(2, dtype=self.log_noise.dtype)
        return super().latents(units, times).permute(1, 2, 0)[place]

    def latents(self, z0: Tensor, t: Tensor) -> Tensor:
        return (self.flow(t) @ z0[:, None, :, None])[..., 0]

    def posterior(self, t: Tensor, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Means (B, 2) and covariances (B, 2, 2) of z(t0) given series x (B, T, 1)."""
        return self._posterior(self.flow(t), x, mask)

    def _posterior(self, flow: Tensor, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """That of a linear regression with prior N(0, I): the decoded series is A z(t0) + bias, so
        covariance = (I + A^T A / noise^2)^-1, mean = covariance A^T (x - bias) / noise^2.

        Source: Bishop, "Pattern recognition and machine learning", (2.116), (2.117).
        """
        a = (self.decoder.weight @ flow).expand(*x.shape[:2], 1, 2)[..., 0, :]
        a = torch.where(mask, a, 0.0)
        value = torch.where(mask, x - self.decoder.bias, 0.0)
        precision = self.log_noise.exp() ** -2
        covariance = torch.linalg.inv(torch.eye(2, dtype=x.dtype) + precision * a.mT @ a)
        return precision * (covariance @ a.mT @ value)[..., 0], covariance

    def encode(self, t: Tensor, x: Tensor, mask: Tensor | None = None) -> Posterior:
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        return _independent(*self.posterior(t, x, mask))

    def elbo(self, t: Tensor, x: Tensor, mask: Tensor | None = None, draws: int = 1) -> ELBO:
        """The terms of the bound, from one solve: the encoder's flow is the generator's."""
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        flow = self.flow(t)
        mean, std = _independent(*self._posterior(flow, x, mask))
        terms = [
            self.log_prob(x, mask, (flow @ reparameterize(mean, std)[:, None, :, None])[..., 0])
            for _ in range(draws)
        ]
        return ELBO(torch.stack(terms).mean(0), gaussian_kl(mean, std).sum(-1))


def _independent(mean: Tensor, covariance: Tensor) -> Posterior:
    """Of the Gaussians with independent entries the one nearest to a Gaussian, by the KL."""
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
