"""Gaussian paths: from data to noise, by shrinking the one and adding the other.

    x_t = alpha(t) x_0 + sigma(t) eps,   eps from N(0, I),   t from 0 (data) to 1 (noise)

A path is the pair of functions alpha and sigma, and nothing else. Diffusion and flow matching
differ in the path that is chosen and in what the net predicts. Each prediction is a sum of x_0 and
eps:

    eps        eps                             the noise (Ho et al. 2020, equation 14)
    x0         x_0                             the data
    v          alpha eps - sigma x_0           (Salimans, Ho 2022)
    score      -eps / sigma                    its mean, given x_t, is grad log p_t
    velocity   alpha' x_0 + sigma' eps         dx_t/dt (Lipman et al. 2023), here away
                                               from the data: flow matching's time runs backward

So one prediction and x_t are two equations for x_0 and eps (`denoised`), and any other prediction
follows (`predicted`). A net that is fitted by least squares learns the mean of its target, given
x_t; the equations are linear, so they hold for the means.

The same densities p_t, from p_0 = data, belong to two equations (Song et al. 2021, arXiv
2011.13456, equations 5 and 13):

    dx = f x dt + g dw                         forward SDE
    dx/dt = f x - g^2 score / 2                probability flow ODE: it is the velocity
    f = alpha'/alpha,   g^2 = 2 sigma sigma' - 2 f sigma^2
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Number = float | Tensor


class At(NamedTuple):
    """A path at a time: alpha, sigma, and their derivatives with respect to time.

    Attributes:
        alpha, sigma, alpha_slope, sigma_slope: alike in shape.
        square_slope: d(sigma^2)/dt = 2 sigma sigma'. Variance preserving paths start with sigma = 0
            and an infinite sigma'; this product is finite.
    """

    alpha: Tensor
    sigma: Tensor
    alpha_slope: Tensor
    sigma_slope: Tensor
    square_slope: Tensor

    @property
    def drift(self) -> Tensor:
        """f of the forward SDE dx = f x dt + g dw."""
        return self.alpha_slope / self.alpha

    @property
    def noise_square(self) -> Tensor:
        """g^2 of the forward SDE: sigma^2 d/dt log(sigma^2 / alpha^2)."""
        return self.square_slope - 2 * self.drift * self.sigma**2


class GaussianPath(NamedTuple):
    """A path x_t = alpha x_0 + sigma eps.

    Attributes:
        name: what it is called, one of PATHS unless it is your own.
        at: t (any shape, in [0, 1]) -> `At`, each like t.
        first, last: the times between which it is used. At 0 some scores are infinite, at 1 some
            paths have no data left to divide by.

        >>> path = straight()
        >>> path.at(torch.tensor(0.25)).alpha
        tensor(0.7500)
    """

    name: str
    at: Callable[[Tensor], At]
    first: float = 1e-3
    last: float = 1.0

    def noised(self, x0: Tensor, t: Number, eps: Tensor) -> Tensor:
        """x_t, shape of x0; t 0-d, or one time for each sample, (B,) or (B, 1, ..., 1)."""
        at = self.at(_beside(t, x0))
        return at.alpha * x0 + at.sigma * eps


class Denoised(NamedTuple):
    """What x_t is thought to be made of: the data x0 and the noise eps, each like x_t."""

    x0: Tensor
    eps: Tensor


def constant(beta: float = 5.0) -> GaussianPath:
    """Variance preserving: alpha^2 = exp(-beta t), sigma^2 = 1 - alpha^2."""
    return linear(beta, beta, name="constant")._replace(first=1e-4)


def linear(least: float = 0.1, most: float = 20.0, *, name: str = "linear") -> GaussianPath:
    """Variance preserving, beta(t) from `least` to `most`: alpha^2 = exp(-integral of beta).

    Source: Song et al. 2021, appendix C; the limit of DDPM's thousand steps (Ho et al. 2020,
    section 4).
    """

    def at(t: Tensor) -> At:
        beta = least + (most - least) * t
        integral = least * t + (most - least) * t**2 / 2
        alpha = torch.exp(-integral / 2)
        sigma = torch.sqrt(-torch.expm1(-integral))
        grown = beta * alpha**2
        return At(alpha, sigma, -beta * alpha / 2, grown / (2 * sigma), grown)

    return GaussianPath(name, at)


def cosine() -> GaussianPath:
    """Variance preserving: alpha = cos(pi t / 2), sigma = sin(pi t / 2).

    Source: Nichol, Dhariwal 2021, arXiv 2102.09672, equation 17, without its offset.
    """

    def at(t: Tensor) -> At:
        angle = math.pi / 2 * t
        alpha, sigma = torch.cos(angle), torch.sin(angle)
        pace = math.pi / 2
        return At(alpha, sigma, -pace * sigma, pace * alpha, 2 * pace * sigma * alpha)

    return GaussianPath("cosine", at, last=1 - 1e-3)


def exploding(least: float = 0.01, most: float = 50.0) -> GaussianPath:
    """Variance exploding: alpha = 1, sigma = least (most / least)^t, never 0.

    Source: Song et al. 2021, appendix C.
    """
    growth = math.log(most / least)

    def at(t: Tensor) -> At:
        one = torch.ones_like(t)
        sigma = least * torch.exp(growth * t)
        return At(one, sigma, torch.zeros_like(t), growth * sigma, 2 * growth * sigma**2)

    return GaussianPath("exploding", at, first=0.0)


def edm(least: float = 0.002, most: float = 80.0) -> GaussianPath:
    """Variance exploding at a steady pace: alpha = 1, sigma = most t; `first` is where it is least.

    Source: Karras, Aittala, Aila, Laine 2022, "Elucidating the design space of diffusion-based
    generative models", arXiv 2206.00364, table 1, where the time is sigma itself.
    """

    def at(t: Tensor) -> At:
        one = torch.ones_like(t)
        return At(one, most * t, torch.zeros_like(t), most * one, 2 * most**2 * t)

    return GaussianPath("edm", at, first=least / most)


def straight() -> GaussianPath:
    """Flow matching's: alpha = 1 - t, sigma = t, a line from each point to its noise.

    Source: Lipman et al. 2023, arXiv 2210.02747, with sigma_min = 0; Liu et al. 2023,
    arXiv 2209.03003. Both count time from the noise.
    """

    def at(t: Tensor) -> At:
        one = torch.ones_like(t)
        return At(1 - t, t, -one, one, 2 * t)

    return GaussianPath("straight", at, last=1 - 1e-3)


PATHS: dict[str, Callable[..., GaussianPath]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "exploding": exploding,
    "edm": edm,
    "straight": straight,
}

# Each prediction as (a, b): a x_0 + b eps.
PREDICTIONS: dict[str, Callable[[At], tuple[Tensor, Tensor]]] = {
    "eps": lambda at: (torch.zeros_like(at.alpha), torch.ones_like(at.alpha)),
    "x0": lambda at: (torch.ones_like(at.alpha), torch.zeros_like(at.alpha)),
    "v": lambda at: (-at.sigma, at.alpha),
    "score": lambda at: (torch.zeros_like(at.alpha), -1 / at.sigma),
    "velocity": lambda at: (at.alpha_slope, at.sigma_slope),
}


def predicted(path: GaussianPath, kind: str, t: Number, parts: Denoised) -> Tensor:
    """The prediction of a kind (one of PREDICTIONS) that belongs to x_0 and eps, shape of x_t."""
    a, b = _coefficients(kind, path.at(_beside(t, parts.x0)))
    return a * parts.x0 + b * parts.eps


def denoised(path: GaussianPath, kind: str, t: Number, x: Tensor, prediction: Tensor) -> Denoised:
    """x_0 and eps from x_t and a prediction of a kind (one of PREDICTIONS), both like x_t.

    The two equations alpha x_0 + sigma eps = x, a x_0 + b eps = prediction have the determinant
    alpha b - sigma a. It is 0, and x_0 out of reach, where neither the prediction nor x holds any
    of x_0: for eps and score at alpha = 0.
    """
    at = path.at(_beside(t, x))
    a, b = _coefficients(kind, at)
    determinant = at.alpha * b - at.sigma * a
    x0 = (b * x - at.sigma * prediction) / determinant
    eps = (at.alpha * prediction - a * x) / determinant
    return Denoised(x0, eps)


def _coefficients(kind: str, at: At) -> tuple[Tensor, Tensor]:
    if kind not in PREDICTIONS:
        raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}, got {kind!r}")
    return PREDICTIONS[kind](at)


def _beside(t: Number, x: Tensor) -> Tensor:
    """t as x's dtype; one time for each sample, (B,), gets as many dimensions as x has."""
    t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    return t.reshape(-1, *[1] * (x.dim() - 1)) if t.dim() == 1 else t
