"""Paths that drive an equation, made of observations: piecewise polynomials with a slope.

Four ways to go from one observation to the next, by how far they look ahead of the time s:

    linear        x_k at knot k, straight lines: to the end of the interval that s is in
    hermite       a cubic in each interval, at a knot with the slope of the line before it; once
                  continuously differentiable; as far as linear
    natural_cubic twice continuously differentiable, no curvature at both ends; to the last
                  observation
    rectilinear   first the time moves on, and the value stays; then the value jumps: not at all

An equation dz = f(z) dX is blind to the speed at which X is run through. So where the time is a
channel of X (`with_time`), knots may be 0, 1, 2, ..: a batch of series with times of their own then
shares its knots.

Sources: Kidger, Morrill, Foster, Lyons 2020, arXiv 2005.08926 (natural cubic splines); Morrill,
Kidger, Yang, Lyons 2021, arXiv 2106.11028 (the other three, and what they look at).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "INTERPOLATIONS",
    "ControlPath",
    "hermite",
    "levy_area",
    "linear",
    "natural_cubic",
    "rectilinear",
    "with_time",
]


class ControlPath(NamedTuple):
    """X(s) = a + b u + c u^2 + d u^3 in each of K intervals, with u = s - knot before s.

    knots: (K + 1,), increasing, shared by a batch.
    coefficients: (4, ..., K, C): a, b, c, d of C channels.

    Before the first knot and after the last, the first and the last of these cubics go on.
    """

    knots: Tensor
    coefficients: Tensor

    def at(self, s: float | Tensor) -> Tensor:
        """X(s): (..., C) for one s, (..., S, C) for s (S,)."""
        u, (a, b, c, d) = self._within(s)
        return a + u * (b + u * (c + u * d))

    def slope(self, s: float | Tensor) -> Tensor:
        """dX/ds, shaped as `at`; at a knot that of the interval after it, at the last before."""
        u, (_, b, c, d) = self._within(s)
        return b + u * (2 * c + u * 3 * d)

    def _within(self, s: float | Tensor) -> tuple[Tensor, Tensor]:
        s = torch.as_tensor(s, dtype=self.knots.dtype, device=self.knots.device)
        k = torch.searchsorted(self.knots, s.contiguous(), right=True) - 1
        k = k.clamp(0, len(self.knots) - 2)
        u = (s - self.knots[k])[..., None]
        return u.to(self.coefficients.dtype), self.coefficients[..., k, :]


def linear(x: Tensor, knots: Tensor | None = None) -> ControlPath:
    """Straight lines between the observations.

    Args:
        x: (..., K + 1, C), observations of C channels.
        knots: (K + 1,), increasing; None for 0, 1, .., K.

    Raises:
        ValueError: for fewer than two observations, for some that are not finite (fill them in
            first), or for knots that do not fit or increase.

        >>> path = linear(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
        >>> path.at(1.5), path.slope(1.5)
        (tensor([1.0000, 0.5000]), tensor([0., 1.]))
    """
    knots = _checked(x, knots)
    b = _differences(x, knots)
    return ControlPath(knots, torch.stack([x[..., :-1, :], b, 0 * b, 0 * b]))


def rectilinear(x: Tensor, knots: Tensor | None = None) -> ControlPath:
    """The first channel, the time, moves on alone; then the other channels go to their new values.

    At knot 2 k all of observation k is there. Between 2 k and 2 k + 1 only the time changes, so
    nothing of observation k + 1 is seen but its time.

    Args:
        x: (..., K + 1, C), C at least 2; the first channel is the time, see `with_time`.
        knots: (2 K + 1,), increasing; None for 0, 1, .., 2 K.

    Raises:
        ValueError: as for `linear`, or for one channel alone.
    """
    _checked(x, None)
    if x.shape[-1] < 2:
        raise ValueError("x must have the time and at least one more channel, got one channel")
    later = torch.cat([x[..., 1:, :1], x[..., :-1, 1:]], -1)
    both = torch.stack([x[..., :-1, :], later], -2).flatten(-3, -2)
    return linear(torch.cat([both, x[..., -1:, :]], -2), knots)


def hermite(x: Tensor, knots: Tensor | None = None) -> ControlPath:
    """Cubics whose slope at knot k is that of the line from observation k - 1 to k.

    At knot 0 it is that of the first line.

    Args, errors: as for `linear`.
    """
    knots = _checked(x, knots)
    h = knots.diff()[:, None].to(x.dtype)
    line = _differences(x, knots)
    before = torch.cat([line[..., :1, :], line[..., :-1, :]], -2)
    # It starts with the slope of the line before, ends with that of its own.
    c = 2 * (line - before) / h
    d = (before - line) / h**2
    return ControlPath(knots, torch.stack([x[..., :-1, :], before, c, d]))


def natural_cubic(x: Tensor, knots: Tensor | None = None) -> ControlPath:
    """The cubic spline with two continuous derivatives, and no second derivative at both ends.

    The slopes at the knots solve K + 1 linear equations: each depends on all observations.

    Args, errors: as for `linear`.
    """
    knots = _checked(x, knots)
    h = knots.diff().to(x.dtype)
    line = _differences(x, knots)
    inverse = 1 / h
    none = inverse.new_zeros(1)
    diagonal = 2 * (torch.cat([none, inverse]) + torch.cat([inverse, none]))
    matrix = torch.diag(diagonal) + torch.diag(inverse, 1) + torch.diag(inverse, -1)
    pull = 3 * line * inverse[:, None]
    zero = torch.zeros_like(pull[..., :1, :])
    right = torch.cat([zero, pull], -2) + torch.cat([pull, zero], -2)
    slope = torch.linalg.solve(matrix, right)
    before, after = slope[..., :-1, :], slope[..., 1:, :]
    h = h[:, None]
    c = (3 * line - 2 * before - after) / h
    d = (before + after - 2 * line) / h**2
    return ControlPath(knots, torch.stack([x[..., :-1, :], before, c, d]))


INTERPOLATIONS: dict[str, Callable[..., ControlPath]] = {
    "linear": linear,
    "hermite": hermite,
    "natural cubic": natural_cubic,
    "rectilinear": rectilinear,
}


def with_time(t: Tensor, x: Tensor) -> Tensor:
    """(..., T, 1 + C): the times t (T,) or (..., T) as the first channel of x (..., T, C).

    Raises:
        ValueError: for times that do not fit x.
    """
    if t.shape[-1:] != x.shape[-2:-1]:
        raise ValueError(
            f"t must have a time for each of the {x.shape[-2]} observations, got {tuple(t.shape)}"
        )
    return torch.cat([t.to(x).expand(x.shape[:-1])[..., None], x], -1)


def levy_area(x: Tensor) -> Tensor:
    """1/2 of the integral of (X1 - X1(0)) dX2 - (X2 - X2(0)) dX1 along a line through points.

    That is the area between the path and the chord from its end back to its start, counterclockwise
    positive; for a closed path, the area within, each part as often as it is wound around.

    Args:
        x: (..., T, 2), corners.

    Raises:
        ValueError: unless x has two channels.

        >>> levy_area(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
        tensor(0.5000)
    """
    if x.dim() < 2 or x.shape[-1] != 2:
        raise ValueError(f"x must be (..., T, 2), points of the plane, got {tuple(x.shape)}")
    from_start = x - x[..., :1, :]
    a, b = from_start[..., :-1, :], from_start[..., 1:, :]
    return (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(-1) / 2


def _differences(x: Tensor, knots: Tensor) -> Tensor:
    return x.diff(dim=-2) / knots.diff()[:, None].to(x.dtype)


def _checked(x: Tensor, knots: Tensor | None) -> Tensor:
    """The knots, if they and x can be right."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2 or x.shape[-2] < 2:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be floats (..., T, C), at least two observations, got {got}")
    if not x.isfinite().all():
        raise ValueError(
            "x must be finite; fill in what is missing first, by the last observation, and say so "
            "in a channel that counts observations"
        )
    if knots is None:
        return torch.arange(x.shape[-2], dtype=x.dtype, device=x.device)
    fits = knots.shape == x.shape[-2:-1] and bool(knots.isfinite().all())
    if not fits or not (knots.diff() > 0).all():
        raise ValueError(
            f"knots must be {x.shape[-2]} finite increasing numbers, one per observation, got "
            f"{tuple(knots.shape)}; series with times of their own: with_time(t, x), knots=None"
        )
    return knots.to(x.device)
