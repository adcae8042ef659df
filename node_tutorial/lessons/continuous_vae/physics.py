"""Lesson 11: what is known exactly of an oscillator and its noisy observations, to stand beside
what is learned.

The position at time t is linear in the start z0 = (q, v): q(t) = c(t) q + s(t) v. With Gaussian
noise the best start is a least-squares problem with two unknowns, and the posterior of the start is
a Gaussian that has a formula.
"""

import numpy as np
import torch
from torch import nn

from ...data import exact_oscillation
from ...models import ContinuousVAE
from ...models.vae import Posterior

TRUE = 1.7  # the angular frequency behind the lesson's data


def position_weights(t, omega, damping=0.0):
    """The two columns (.., 2) by which the start (q, v) gives the position at times t, for any
    damping >= 0.

    c = exp(-d t) (cos(w t) + d sin(w t) / w), s = exp(-d t) sin(w t) / w, w = sqrt(omega^2 - d^2):
    imaginary where the damping is too strong for an oscillation, and 0 at the critical one. Shapes:
    t and omega broadcast.
    Source: Landau, Lifshitz, Mechanics, section 25.
    """
    t, w = np.asarray(t, float), np.sqrt(np.asarray(omega, complex) ** 2 - damping**2)
    cos, sin = np.cos(w * t).real, (t * np.sinc(w * t / np.pi)).real
    return np.exp(-damping * t)[..., None] * np.stack([cos + damping * sin, sin], axis=-1)


def best_starts(a, x):
    """Least squares over the start, for many frequencies: starts (W, 2) and mean squared misfits
    (W,).

    a: `position_weights` (W, T, 2) of the frequencies; x (T,).
    """
    c, s = a[..., 0], a[..., 1]
    cc, cs, ss, cx, sx = (c * c).sum(1) + 1e-9, (c * s).sum(1), (s * s).sum(1) + 1e-9, c @ x, s @ x
    det = cc * ss - cs * cs  # the 1e-9: two points half a period apart leave one direction open
    start = np.stack([ss * cx - cs * sx, cc * sx - cs * cx], axis=-1) / det[:, None]
    return start, np.square(x - c * start[:, :1] - s * start[:, 1:]).mean(1)


def least_squares_frequency(series, grid, damping=0.0):
    """The frequency of `grid` with the smallest misfit, all series (t, x) together, each with its
    own best start.
    """
    total = np.zeros(len(grid))
    for t, x in series:
        a = position_weights(np.asarray(t, float), np.asarray(grid)[:, None], damping)
        total += len(t) * best_starts(a, np.asarray(x, float).ravel())[1]
    return float(grid[np.argmin(total)])


def start_posterior(t, x, omega, noise):
    """Mean (2,) and covariance (2, 2) of the start, for q observed at t (T,) with noise, under z0 ~
    N(0, I).
    """
    a = position_weights(t, omega)
    covariance = np.linalg.inv(np.eye(2) + a.T @ a / noise**2)
    return covariance @ a.T @ np.asarray(x, float) / noise**2, covariance


def linear_posterior(model, t, x, mask):
    """Means (B, 2) and covariances (B, 2, 2) of z(t0) given the series x (B, T, 1), for a
    ContinuousVAE that is linear.

    Its field must be linear, a free Oscillator for instance, and its decoder an nn.Linear. The
    decoded series is then A z(t0) + bias, whose columns are the series of the starts (1, 0) and (0,
    1), and the posterior is that of a linear regression: covariance (I + A^T A / noise^2)^-1, mean
    covariance A^T (x - bias) / noise^2.
    Source: Bishop, "Pattern recognition and machine learning", (2.116), (2.117).
    """
    units = torch.eye(2, dtype=x.dtype)
    starts, times = (
        units.repeat_interleave(len(x), 0),
        t if t.dim() == 1 else t.repeat(2, 1),
    )  # one solve for both
    a = (
        (model.latents(starts, times) @ model.decoder.weight.mT)
        .unflatten(0, (2, len(x)))[..., 0]
        .movedim(0, -1)
    )
    a, value = torch.where(mask, a, 0.0), torch.where(mask, x - model.decoder.bias, 0.0)
    precision = model.log_noise.exp() ** -2
    covariance = torch.linalg.inv(units + precision * a.mT @ a)
    return precision * (covariance @ a.mT @ value)[..., 0], covariance


class LinearVAE(ContinuousVAE):
    """A ContinuousVAE with a linear field and decoder, whose encoder is a formula:
    `linear_posterior`.

    The entries of z(t0) are independent under q, as everywhere in a VAE: of all such Gaussians the
    one nearest to the posterior has its mean, and the diagonal of its precision.
    """

    def __init__(self, func, noise=0.3, **solver):
        super().__init__(
            1, 2, func, encoder=nn.Identity(), decoder=nn.Linear(2, 1), noise=noise, **solver
        )

    def encode(self, t, x, mask=None):
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        mean, covariance = linear_posterior(self, t, x, mask)
        return Posterior(mean, torch.linalg.inv(covariance).diagonal(dim1=1, dim2=2) ** -0.5)


def path_errors(t, paths, starts, end=10.0, damping=0.0):
    """Root mean square errors of series (B, S) at times t (S,) against the exact ones: up to `end`,
    and beyond.
    """
    error = (
        paths.detach().double()
        - exact_oscillation(t.double(), starts[: len(paths)].double(), TRUE, damping)[..., 0]
    )
    return float(error[:, t <= end].square().mean().sqrt()), float(
        error[:, t > end].square().mean().sqrt()
    )
