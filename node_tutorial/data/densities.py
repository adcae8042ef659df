"""Densities in the plane that are known exactly: a model's distance to the truth, in nats.

    moons = two_moons()
    x = moons.sample(512)
    gap = kl_gap(moons, model.log_prob, moons.sample(10_000))
    gap.kl, gap.standard_error

A picture flatters a model. The Kullback-Leibler divergence KL(p || q) = E_p[log p(x) - log q(x)]
does not: it is zero only for q = p, and cannot be negative if q is a density. The mean of -log q,
the loss of maximum likelihood, is KL + H(p): it cannot be below the entropy H(p) = -E_p[log p],
which is known here. A model that reports less is no density, or has not been integrated well enough
to be one.

The shapes are those of the toy examples of FFJORD (Grathwohl et al. 2019, arXiv 1810.01367, their
code), if not said otherwise. Log-densities in nats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .drawing import drawn_on_cpu

Bounds = tuple[float, float, float, float]  # left, right, bottom, top

NOISE = 0.24  # standard deviation of the points about their ring or circle
# Of the pinwheel:
ARMS = 5
RADIAL = 0.3  # standard deviation along an arm, before the doubling
TANGENTIAL = 0.1  # across it
TWIST = 0.25
STRAIGHT = 6.0  # a distance, 16 standard deviations out, beyond which the arms wind no further
# Of the quadrature on the moons:
NODES = 24
LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class Density:
    """A density p in the plane.

    Attributes:
        name: what it is called.
        log_prob: x (..., 2) -> log p(x) (...), exact; -inf where p is 0. Integers count as floats;
            a ValueError for points of another number of dimensions.
        bounds: (left, right, bottom, top) of a rectangle that holds all but 1e-6 of p.
        draw: draw(n, generator) -> (n, 2), independent draws from p; None: by rejection.
        exact_entropy: where it has a closed form.
    """

    name: str
    log_prob: Callable[[Tensor], Tensor]
    bounds: Bounds
    draw: Callable[[int, torch.Generator | None], Tensor] | None = field(default=None, repr=False)
    exact_entropy: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "log_prob", partial(_at_points, self.log_prob))

    @drawn_on_cpu
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws (n, 2), in torch's default dtype, on its default device.

        They are drawn on the CPU: without a generator by torch's global one for it.

        Raises:
            ValueError: unless n is an integer of zero or more.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"n must be the number of points to draw, zero or more, got {n!r}")
        x = self._rejection(n, generator) if self.draw is None else self.draw(n, generator)
        return x.to(torch.get_default_dtype())

    @cached_property
    def entropy(self) -> float:
        """H(p) = -E_p[log p], in nats: in closed form, or by quadrature, to six digits."""
        if self.exact_entropy is not None:
            return self.exact_entropy
        x, area = grid(self.bounds, 400)
        log_p = self.log_prob(x)
        return float(-(log_p.exp() * log_p.clamp(min=-700)).sum() * area)

    @cached_property
    def _largest(self) -> float:
        return float(self.log_prob(grid(self.bounds, 400)[0]).max()) + 0.05

    def _rejection(self, n: int, generator: torch.Generator | None) -> Tensor:
        left, right, bottom, top = self.bounds
        corner = torch.tensor([left, bottom]).double()
        sides = torch.tensor([right - left, top - bottom]).double()
        kept = [torch.empty(0, 2, dtype=torch.float64)]
        while sum(map(len, kept)) < n:
            share = torch.rand(8 * n + 100, 2, generator=generator, dtype=torch.float64)
            x = corner + sides * share
            height = torch.rand(len(x), generator=generator, dtype=torch.float64)
            kept.append(x[height.log() < self.log_prob(x) - self._largest])
        return torch.cat(kept)[:n]


def _at_points(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if x.shape[-1:] != (2,):
        raise ValueError(f"x must be points in the plane, (..., 2), got shape {tuple(x.shape)}")
    return log_prob(x if x.is_floating_point() else x.to(torch.get_default_dtype()))


def grid(bounds: Bounds, points: int = 200) -> tuple[Tensor, float]:
    """The midpoints of points x points equal cells of a rectangle, and the area of a cell.

    The sum of p over the points, times the area, is the integral of p, by the midpoint rule; for a
    smooth p that vanishes at the edges it converges faster than any power of the number of points.

    Returns:
        x (points^2, 2), float64; its first entry changes fastest, so that values (points^2,)
        reshaped to (points, points) are the rows of an image, from the bottom up. And the area.
    """
    left, right, bottom, top = bounds
    step = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    across = left + (right - left) * step
    up = bottom + (top - bottom) * step
    x2, x1 = torch.meshgrid(up, across, indexing="ij")
    area = (right - left) * (top - bottom) / points**2
    return torch.stack([x1.reshape(-1), x2.reshape(-1)], dim=1), area


@torch.no_grad()
def on_grid(log_prob: Callable[[Tensor], Tensor], bounds: Bounds, points: int) -> Tensor:
    """log p at the points of `grid`, (points, points), rows from the bottom up: for a picture.

    Its `.exp()` is what `plotting.draw_density` draws.
    """
    x, _ = grid(bounds, points)
    return log_prob(x).reshape(points, points)


class Gap(NamedTuple):
    """How far a model q is from p, in nats: kl = KL(p || q) = cross_entropy - entropy.

    Attributes:
        kl, standard_error: of the estimate from draws.
        cross_entropy: -E_p[log q], estimated from the same points.
        entropy: -E_p[log p], exact.
    """

    kl: float
    standard_error: float
    cross_entropy: float
    entropy: float


@torch.no_grad()
def kl_gap(
    density: Density, log_prob: Callable[[Tensor], Tensor], x: Tensor, batch: int = 5000
) -> Gap:
    """KL(p || q) = E_p[log p(x) - log q(x)], the mean over held-out draws x.

    The difference is taken point by point, where log p and log q go up and down together: its
    standard error is much less than that of the cross-entropy minus the entropy.

    Args:
        density: p.
        log_prob: of q, x (B, 2) -> (B,).
        x: (N, 2), draws from p that the model was not fitted to. Some 10 000, for a standard error
            near 0.01.
        batch: how many points log_prob is given at once.

    Raises:
        ValueError: if x is not (N, 2) with N of two or more, or log_prob returns another shape.
    """
    if x.dim() != 2 or x.shape[1] != 2 or len(x) < 2:
        raise ValueError(
            "x must be points (N, 2), two or more, such as density.sample(10_000), got "
            f"{tuple(x.shape)}"
        )
    parts = [log_prob(part) for part in x.split(batch)]
    log_q = torch.cat(parts).double()
    if log_q.shape != x.shape[:1]:
        raise ValueError(
            f"log_prob must return one number for each of the {len(x)} points, got "
            f"{tuple(log_q.shape)}"
        )
    difference = density.log_prob(x.double()) - log_q
    return Gap(
        float(difference.mean()),
        float(difference.std() / math.sqrt(len(x))),
        float(-log_q.mean()),
        density.entropy,
    )


@drawn_on_cpu
def gaussians(
    n: int = 8, radius: float = 4 / math.sqrt(2), std: float = 0.5 / math.sqrt(2)
) -> Density:
    """n round Gaussians with equal weights, on a circle.

    Raises:
        ValueError: unless n is one or more, and std positive.
    """
    if n < 1 or not std > 0:
        raise ValueError(f"n must be 1 or more, and std positive, got n = {n}, std = {std}")
    angles = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    centers = radius * torch.stack([angles.cos(), angles.sin()], dim=1)

    def log_prob(x: Tensor) -> Tensor:
        squares = (x.unsqueeze(-2) - centers.to(x)).square().sum(-1)  # (..., n)
        return (-squares / (2 * std**2)).logsumexp(-1) - math.log(2 * math.pi * std**2 * n)

    def draw(size: int, generator: torch.Generator | None) -> Tensor:
        which = torch.randint(n, (size,), generator=generator)
        return centers[which] + std * _normal(size, generator)

    edge = radius + 6 * std
    return Density(f"{n} Gaussians", log_prob, (-edge, edge, -edge, edge), draw)


@drawn_on_cpu
def rings(radii: tuple[float, ...] = (0.75, 1.5, 2.25, 3.0)) -> Density:
    """Circles about the origin, equally likely: a point uniform on one of them, plus `NOISE`.

    The mean over the points c of a circle of radius R of the Gaussian exp(-|x - c|^2 / (2 s^2)) is

        exp(-(r - R)^2 / (2 s^2)) I_0(r R / s^2) exp(-r R / s^2)

    with r = |x| and the modified Bessel function I_0.

    Raises:
        ValueError: for no radii, or one that is negative.
    """
    if not radii or not min(radii) >= 0:
        raise ValueError(f"radii must be one or more numbers, none below 0, got {radii}")
    R = torch.tensor(radii, dtype=torch.float64)
    variance = NOISE**2

    def log_prob(x: Tensor) -> Tensor:
        r = x.norm(dim=-1, keepdim=True)
        circles = R.to(x)
        bessel = torch.special.i0e(r * circles / variance).log()  # of I_0(z) exp(-z)
        log_each = bessel - (r - circles).square() / (2 * variance)
        return log_each.logsumexp(-1) - math.log(2 * math.pi * variance * len(radii))

    def draw(n: int, generator: torch.Generator | None) -> Tensor:
        angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        circle = R[torch.randint(len(radii), (n,), generator=generator)]
        on_circle = circle[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
        return on_circle + NOISE * _normal(n, generator)

    edge = max(radii) + 6 * NOISE
    return Density(f"{len(radii)} rings", log_prob, (-edge, edge, -edge, edge), draw)


@drawn_on_cpu
def two_circles() -> Density:
    """Circles of radius 3 and 1.5: make_circles(factor=0.5, noise=0.08) of scikit-learn, thrice."""
    circles = rings((1.5, 3.0))
    return Density("two circles", circles.log_prob, circles.bounds, circles.draw)


@drawn_on_cpu
def two_moons(noise: float = 0.2) -> Density:
    """Two half circles of radius 2 that reach into each other, plus Gaussian noise.

    It is scikit-learn's make_moons(noise=0.1), doubled and moved by (-1, -0.2), with points uniform
    on the arcs (there: equally spaced on them). The density is a mean over the arcs, computed by
    Gauss-Legendre quadrature to rounding; its entropy at noise 0.2 is 2.39. For less noise it takes
    more nodes, their number grows as 1 / noise.

    Raises:
        ValueError: for noise below LEAST_NOISE.
    """
    if not LEAST_NOISE <= noise < math.inf:
        raise ValueError(
            f"noise must be at least {LEAST_NOISE:g}, where the quadrature takes 48 000 nodes, got "
            f"{noise}"
        )
    at, weights = _nodes(noise)
    on_arcs = _arcs(math.pi * (at + 1) / 2)
    log_weights = (weights / 4).log().repeat(2)

    def log_mean(x: Tensor) -> Tensor:
        """Of exp(-|x - c|^2 / (2 noise^2)) over the points c of the arcs, for x (n, 2)."""
        # By a matrix product the distances would lose half of their digits.
        far = torch.cdist(x, on_arcs.to(x), compute_mode="donot_use_mm_for_euclid_dist")
        return (-far.square() / (2 * noise**2)).add(log_weights.to(x)).logsumexp(-1)

    def log_prob(x: Tensor) -> Tensor:
        # At once so many that the distances to the nodes fill less than 64 MB.
        at_once = min(10_000, 8_000_000 // len(on_arcs))
        parts = [log_mean(part) for part in x.reshape(-1, 2).split(at_once)]
        return torch.cat(parts).view(x.shape[:-1]) - math.log(2 * math.pi * noise**2)

    def draw(n: int, generator: torch.Generator | None) -> Tensor:
        angle = math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
        upper = torch.rand(n, generator=generator) < 0.5
        one, other = _arcs(angle).chunk(2)
        return torch.where(upper[:, None], one, other) + noise * _normal(n, generator)

    margin = 6 * noise
    bounds = (-3 - margin, 3 + margin, -1.4 - margin, 1.8 + margin)
    return Density("two moons", log_prob, bounds, draw)


def _nodes(noise: float) -> tuple[Tensor, Tensor]:
    """Nodes in [-1, 1] and weights: 24 / noise of them, below noise 0.1 in panels (finding them for
    one panel takes the cube of their number).
    """
    panels = 1 if noise >= 0.1 else math.ceil(0.1 / noise)
    inside, weights = np.polynomial.legendre.leggauss(math.ceil(NODES / min(max(noise, 0.1), 1.0)))
    middles = (2 * np.arange(panels)[:, None] + 1) / panels - 1
    nodes = middles + inside / panels
    return torch.from_numpy(nodes.ravel()), torch.from_numpy(np.tile(weights / panels, panels))


def _arcs(angle: Tensor) -> Tensor:
    """Points of the two moons at the angles (n,), (2 n, 2), first those of the upper one."""
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    return 2 * torch.cat([upper, lower]) + upper.new_tensor([-1.0, -0.2])


@drawn_on_cpu
def pinwheel() -> Density:
    """Gaussians about the origin, long in the radial direction, twisted: a wheel of five arms.

    A point q from N((1, 0), diag(RADIAL^2, TANGENTIAL^2)) is turned to a random arm, and by TWIST
    exp(|q|), with |q| up to STRAIGHT, and doubled. Turning each circle about the origin by its own
    angle changes no area, so that the density is known. (In FFJORD's code the angle grows with q_1
    instead of |q|: almost the same picture, without this property.)
    """
    stds = torch.tensor([RADIAL, TANGENTIAL], dtype=torch.float64)
    starts = 2 * math.pi * torch.arange(ARMS, dtype=torch.float64) / ARMS

    def log_prob(x: Tensor) -> Tensor:
        x1, x2 = (x / 2).unsqueeze(-2).unbind(-1)  # (..., 1)
        angle = _twist(torch.hypot(x1, x2)) + starts.to(x)  # (..., arms)
        c, s = angle.cos(), angle.sin()
        q = torch.stack([c * x1 + s * x2, c * x2 - s * x1], dim=-1)  # turned back
        squares = ((q - q.new_tensor([1.0, 0.0])) / stds.to(x)).square().sum(-1)
        return (-squares / 2).logsumexp(-1) - math.log(4 * 2 * math.pi * RADIAL * TANGENTIAL * ARMS)

    def draw(n: int, generator: torch.Generator | None) -> Tensor:
        q = _normal(n, generator) * stds + torch.tensor([1.0, 0.0])
        arm = starts[torch.randint(ARMS, (n,), generator=generator)]
        angle = arm + _twist(q.norm(dim=1))
        c, s = angle.cos(), angle.sin()
        return 2 * torch.stack([c * q[:, 0] - s * q[:, 1], s * q[:, 0] + c * q[:, 1]], dim=1)

    edge = 2 * (1 + 6 * max(RADIAL, TANGENTIAL))
    return Density("pinwheel", log_prob, (-edge, edge, -edge, edge), draw)


def _twist(r: Tensor) -> Tensor:
    """By how much a circle of radius r is turned. Any angle leaves p a density; this one is
    bounded, so that its sine is no rounding error far out.
    """
    return TWIST * r.clamp(max=STRAIGHT).exp()


@drawn_on_cpu
def checkerboard() -> Density:
    """Uniform on the eight black squares, of side 2, of a board from -4 to 4; entropy log 32."""

    def log_prob(x: Tensor) -> Tensor:
        column, row = (x / 2).floor().unbind(-1)
        black = ((column + row) % 2 == 0) & (x >= -4).all(-1) & (x < 4).all(-1)
        log_p = torch.where(black, -math.log(32), -math.inf).to(x)
        return torch.where(x.isnan().any(-1), math.nan, log_p)

    def draw(n: int, generator: torch.Generator | None) -> Tensor:
        square = torch.randint(8, (n,), generator=generator)
        row = square // 2
        column = 2 * (square % 2) + row % 2
        corner = 2 * torch.stack([column, row], dim=1) - 4
        return corner + 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64)

    return Density("checkerboard", log_prob, (-4.0, 4.0, -4.0, 4.0), draw, math.log(32))


def _normal(n: int, generator: torch.Generator | None) -> Tensor:
    return torch.randn(n, 2, generator=generator, dtype=torch.float64)
