"""The Mittag-Leffler function: what the exponential is to an equation of fractional order.

    E_alpha(z) = sum_k z^k / Gamma(alpha k + 1)

y = E_alpha(-t^alpha) solves D^alpha y = -y, y(0) = 1 (and y'(0) = 0 for alpha > 1), with Caputo's
derivative. E_1 is the exponential, E_2(-t^2) the cosine. For 0 < alpha < 1 it is a mean of
exponentials, and for 1 < alpha < 2 there is a damped oscillation besides:

    E_alpha(-t^alpha) = integral over r > 0 of K(r) e^(-r t) dr  [+ 2/alpha e^(ct) cos(st)]
    K(r) = sin(pi alpha)/pi  r^(alpha - 1) / (r^(2 alpha) + 2 r^alpha cos(pi alpha) + 1)

with c = cos(pi/alpha), s = sin(pi/alpha).

Source: Gorenflo, Mainardi 1997, "Fractional calculus: integral and differential equations of
fractional order", arXiv 0805.3823, equations 3.23 to 3.27.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DIGITS = 37.0  # -log of the precision wanted, e^-37 = 1e-16
NEAR_ONE = 0.01  # of alpha: nearer to 1 the spectrum is a needle, and a contour is used instead
NODES = 32  # of the contour: an error of 2.85^-32
SERIES = math.log(2)  # up to this log |z|/alpha the series loses no more than a digit


def mittag_leffler(z: ArrayLike, alpha: float) -> Array:
    """E_alpha(z) for real z of any shape and 0 < alpha <= 2, to some 13 digits; to an absolute
    1e-13 for z < -2 and an alpha nearer to 1 than 0.01.

    Raises:
        ValueError: for alpha outside of (0, 2], a z that is not finite, or one so large that
            E_alpha(z) overflows.

        >>> float(mittag_leffler(-1.0, 0.5).round(10))
        0.4275835762
    """
    if not 0 < alpha <= 2:
        raise ValueError(f"alpha must be in (0, 2], got {alpha}")
    z = np.asarray(z, dtype=np.float64)
    if not np.isfinite(z).all():
        raise ValueError("z must be finite, got NaN or inf")
    if (z > 0).any() and math.log(float(z.max())) > alpha * math.log(700):
        raise ValueError(f"E_alpha(z) overflows at z = {float(z.max()):g}")
    return np.array([_at(float(one), alpha) for one in z.ravel()]).reshape(z.shape)


def rates(r: ArrayLike, alpha: float) -> Array:
    """K(r), the density of the rates r > 0 of the exponentials that E_alpha(-t^alpha) is made of,
    for 0 < alpha < 1.

    Raises:
        ValueError: for alpha outside of (0, 1), or a rate that is not positive.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be in (0, 1), got {alpha}; at 1 there is one rate, 1")
    r = np.asarray(r, dtype=np.float64)
    if not (r > 0).all():
        raise ValueError("rates must be positive")
    return _spectrum(np.log(r), alpha) / r


def caputo_of_power(power: float, alpha: float, t: ArrayLike) -> Array:
    """Caputo's derivative of t^power: Gamma(power + 1)/Gamma(power + 1 - alpha) t^(power - alpha).

    For 0 < alpha < 1 and power > 0, or 0, whose derivative is 0.

        >>> float(caputo_of_power(1, 0.5, 1.0).round(9))
        1.128379167
    """
    t = np.asarray(t, dtype=np.float64)
    if power == 0:
        return np.zeros_like(t)
    return math.gamma(power + 1) / math.gamma(power + 1 - alpha) * t ** (power - alpha)


def _at(z: float, alpha: float) -> float:
    if alpha == 1:
        return math.exp(z)
    if alpha == 2:
        return math.cos(math.sqrt(-z)) if z < 0 else math.cosh(math.sqrt(z))
    if z >= 0:
        return _series(z, alpha)
    log_t = math.log(-z) / alpha  # t itself may overflow
    if log_t < SERIES:
        return _series(z, alpha)
    if abs(1 - alpha) < NEAR_ONE:
        return _contour(-z, alpha)
    relaxation = _integral(log_t, alpha)
    if alpha < 1:
        return relaxation
    t = (-z) ** (1 / alpha)
    angle = math.pi / alpha
    swing = 2 / alpha * math.exp(t * math.cos(angle)) * math.cos(t * math.sin(angle))
    return relaxation + swing


def _series(z: float, alpha: float) -> float:
    if z == 0:
        return 1.0
    terms = []
    for k in range(100_000):
        size = k * math.log(abs(z)) - math.lgamma(alpha * k + 1)
        terms.append(math.exp(size) * (1 if z > 0 or k % 2 == 0 else -1))
        if size < -DIGITS and k * alpha > abs(z) ** (1 / alpha):
            break
    return math.fsum(terms)


def _spectrum(u: Array, alpha: float) -> Array:
    """K(r) r at r = e^u."""
    power = np.exp(-alpha * np.abs(u))  # K(r) r is even in u
    below = 1 + 2 * math.cos(math.pi * alpha) * power + power**2
    return math.sin(math.pi * alpha) / math.pi * power / below


def _integral(log_t: float, alpha: float) -> float:
    """Of K(r) e^(-r t), by the trapezoidal rule in u = log r, where the integrand is analytic in a
    strip: as wide as the poles of K, and as e^(-r t) allows.
    """
    width = min(math.pi / 2, abs(1 - alpha) * math.pi / alpha)
    step = 0.9 * 2 * math.pi * width / DIGITS
    low = min(0.0, -log_t) - DIGITS / alpha
    high = min(DIGITS / alpha, math.log(2 * DIGITS) - log_t)
    u = np.arange(low, high + step, step)
    return float(step * np.sum(_spectrum(u, alpha) * np.exp(-np.exp(u + log_t))))


def _contour(power: float, alpha: float) -> float:
    """E_alpha(-power) for alpha near 1: its Laplace transform, back along a parabola about the
    negative axis, where all singularities are (Weideman, Trefethen 2007, Math. Comp. 76).
    """
    u = 6 / NODES * (np.arange(NODES // 2) + 0.5)  # the other half is the conjugate
    size = math.pi * NODES / 24
    s = size * (1 + 1j * u) ** 2
    slope = 2 * size * (1 + 1j * u)  # ds/du, less a factor i
    values = np.exp(s) * s ** (alpha - 1) / (s**alpha + power) * slope
    return float(6 / NODES / math.pi * np.sum(values.real))
