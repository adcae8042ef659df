"""Two stochastic equations of which all is known: geometric Brownian motion, Ornstein-Uhlenbeck.

    dX = mu X dt + sigma X dW          from X = 1; read at the share `reading` of a step
    dX = -theta X dt + sigma dW        noise that does not depend on X: no reading matters

Sources: Kloeden and Platen 1992, section 4.4; what Euler and Maruyama make of the stationary
variance follows from X -> (1 - theta h) X + sigma dW.
"""

import math

import torch
from torch import Tensor


def gbm(t: Tensor, w: Tensor, mu: float, sigma: float, reading: float = 0.0) -> Tensor:
    """X(t) = exp((mu + (reading - 1/2) sigma^2) t + sigma W(t)), for W(t) (T, ...), t (T,)."""
    t = t.reshape(-1, *[1] * (w.dim() - 1))
    return torch.exp((mu + (reading - 0.5) * sigma**2) * t + sigma * w)


def gbm_mean(t: float, mu: float, sigma: float, reading: float = 0.0) -> float:
    """E X(t) = exp((mu + reading sigma^2) t)."""
    return math.exp((mu + reading * sigma**2) * t)


def gbm_variance(t: float, mu: float, sigma: float, reading: float = 0.0) -> float:
    """Var X(t) = (E X(t))^2 (exp(sigma^2 t) - 1)."""
    return gbm_mean(t, mu, sigma, reading) ** 2 * math.expm1(sigma**2 * t)


def gbm_median(t: float, mu: float, sigma: float, reading: float = 0.0) -> float:
    """exp((mu + (reading - 1/2) sigma^2) t)."""
    return math.exp((mu + (reading - 0.5) * sigma**2) * t)


def ou_variance(t: float, theta: float, sigma: float) -> float:
    """Var X(t) from a known X(0): sigma^2 (1 - exp(-2 theta t)) / (2 theta)."""
    return -(sigma**2) * math.expm1(-2 * theta * t) / (2 * theta)


def ou_kl(t: float, theta: float, other: float, sigma: float, x0: float) -> float:
    """KL of paths up to t with theta against paths with `other`, both from x0:

    (theta - other)^2 / (2 sigma^2) times the integral of E X^2
    """
    decayed = -math.expm1(-2 * theta * t) / (2 * theta)
    mean_square = x0**2 * decayed + sigma**2 * (t - decayed) / (2 * theta)
    return (theta - other) ** 2 / (2 * sigma**2) * mean_square
