"""A planet and a robot arm: mechanical systems with their energies, and answers beside them.

The arm is two rods in a vertical plane with a mass at the end of each: a shoulder at the origin,
the angle q1 of the upper arm from the horizontal, the angle q2 of the forearm from the line of the
upper arm. Without torques it is a double pendulum. Where its hand is, is algebra; how it moves,

    M(q) w' + c(q, w) + G(q) = torque,   q' = w

is a differential equation. Its canonical momenta are p = M(q) w, not w: in (q, p) it has a
Hamiltonian. In (q, w) it keeps the same energy, but q' = dH/dw, w' = -dH/dq holds for no H.

Sources: Murray, Li, Sastry 1994, "A mathematical introduction to robotic manipulation", sections
3.2 and 4.2; Kepler's problem: Hairer, Lubich, Wanner, "Geometric Numerical Integration", I.2.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# ---- Kepler's problem ----------------------------------------------------------------------------


def kepler(t: float | Tensor, y: Tensor) -> Tensor:
    """q' = p, p' = -q / |q|^3: a planet about the sun at 0; y (..., 4) holds q and then p."""
    q, p = y.chunk(2, -1)
    return torch.cat([p, -q / q.norm(dim=-1, keepdim=True) ** 3], -1)


def kepler_start(eccentricity: float) -> Tensor:
    """The state (4,), float64, nearest to the sun, of the ellipse with half axis 1, period 2 pi."""
    if not 0 <= eccentricity < 1:
        raise ValueError(f"eccentricity must be from 0 to below 1, got {eccentricity}")
    e = eccentricity
    return torch.tensor([1 - e, 0, 0, math.sqrt((1 + e) / (1 - e))], dtype=torch.float64)


def kepler_energy(y: Tensor) -> Tensor:
    """|p|^2 / 2 - 1 / |q|, kept; (..., 4) -> (...). On an ellipse of half axis 1 it is -1/2."""
    q, p = y.chunk(2, -1)
    return p.square().sum(-1) / 2 - 1 / q.norm(dim=-1)


def kepler_momentum(y: Tensor) -> Tensor:
    """The angular momentum q1 p2 - q2 p1, kept; (..., 4) -> (...)."""
    return y[..., 0] * y[..., 3] - y[..., 1] * y[..., 2]


def kepler_perihelion(y: Tensor) -> Tensor:
    """The direction of the point nearest to the sun, an angle, kept; (..., 4) -> (...).

    That of the Laplace-Runge-Lenz vector p x L - q / |q|.
    """
    q, p = y.chunk(2, -1)
    momentum = kepler_momentum(y)
    radius = q.norm(dim=-1)
    return torch.atan2(
        -p[..., 0] * momentum - q[..., 1] / radius, p[..., 1] * momentum - q[..., 0] / radius
    )


def kepler_exact(t: Tensor, eccentricity: float) -> Tensor:
    """States (n, 4) at times t (n,) from `kepler_start`, by Kepler's equation t = E - e sin E."""
    e = eccentricity
    mean = torch.remainder(t.double() + math.pi, 2 * math.pi) - math.pi
    angle = mean + e * torch.sin(mean)
    for _ in range(50):
        angle = angle - (angle - e * torch.sin(angle) - mean) / (1 - e * torch.cos(angle))
    root = math.sqrt(1 - e * e)
    speed = 1 / (1 - e * torch.cos(angle))
    return torch.stack(
        [
            torch.cos(angle) - e,
            root * torch.sin(angle),
            -speed * torch.sin(angle),
            speed * root * torch.cos(angle),
        ],
        dim=-1,
    )


# ---- The arm -------------------------------------------------------------------------------------


class Elbow(NamedTuple):
    """The two postures q (..., 2) that bring the hand to a target: with q2 >= 0, and with <= 0."""

    down: Tensor
    up: Tensor


@dataclass(frozen=True)
class Arm:
    """A robot arm of two links.

    Attributes:
        lengths: of the upper arm and the forearm, in m.
        masses: at the elbow and at the hand, in kg.
        gravity: in m/s^2, downward.

    Shapes: angles q, angular velocities w, momenta p and torques (..., 2); states (q, w) or (q, p)
    (..., 4). Units: m, kg, s, rad, N m.

        >>> arm = Arm()
        >>> arm.hand(torch.zeros(2)), arm.holding_torque(torch.zeros(2))
        (tensor([1.8000, 0.0000]), tensor([18.6390,  3.9240]))
    """

    lengths: tuple[float, float] = (1.0, 0.8)
    masses: tuple[float, float] = (1.0, 0.5)
    gravity: float = 9.81

    def __post_init__(self) -> None:
        if not min(*self.lengths, *self.masses) > 0:
            raise ValueError(
                f"lengths and masses must be positive, got {self.lengths} and {self.masses}"
            )

    # Where it is.

    def elbow(self, q: Tensor) -> Tensor:
        """The elbow's place (..., 2)."""
        return self.lengths[0] * _direction(q[..., 0])

    def hand(self, q: Tensor) -> Tensor:
        """The hand's place (..., 2): forward kinematics."""
        return self.elbow(q) + self.lengths[1] * _direction(q.sum(-1))

    def jacobian(self, q: Tensor) -> Tensor:
        """d hand / d q (..., 2, 2). Its determinant, l1 l2 sin q2, is 0 with the arm straight."""
        elbow = self.elbow(q)
        hand = self.hand(q)
        columns = [hand, hand - elbow]
        return torch.stack([torch.stack([-c[..., 1], c[..., 0]], -1) for c in columns], -1)

    def postures(self, target: Tensor) -> Elbow:
        """Both postures that bring the hand to a target (..., 2): inverse kinematics.

        q1 is between -pi and pi.

        Raises:
            ValueError: for a target that is out of reach, or so near to the edge of the reach that
                the arm is straight or folded, where the two are one, and a small motion of the hand
                needs a large one of the arm.
        """
        if target.shape[-1:] != (2,):
            raise ValueError(f"target must be points (..., 2), got shape {tuple(target.shape)}")
        one, two = self.lengths
        far = target.norm(dim=-1)
        least = abs(one - two)
        out = (far > one + two) | (far < least)
        if out.any():
            where = target[out][0].tolist()
            raise ValueError(
                f"target ({where[0]:.6g}, {where[1]:.6g}) is out of reach: its distance from the "
                f"shoulder is {float(far[out][0]):.6g}, the arm reaches from {least:g} to "
                f"{one + two:g}"
            )
        cos = (far.square() - one**2 - two**2) / (2 * one * two)
        singular = cos.abs() > 1 - 1e-6
        if singular.any():
            where = target[singular][0].tolist()
            raise ValueError(
                f"target ({where[0]:.6g}, {where[1]:.6g}) is singular: the arm is straight or "
                "folded there, and both postures are one; move the target inside by 1e-3"
            )
        bend = torch.acos(cos)
        found = []
        for q2 in (bend, -bend):
            toward = torch.atan2(target[..., 1], target[..., 0])
            q1 = toward - torch.atan2(two * torch.sin(q2), one + two * torch.cos(q2))
            q1 = torch.remainder(q1 + math.pi, 2 * math.pi) - math.pi
            found.append(torch.stack([q1, q2], -1))
        return Elbow(*found)

    # How it moves.

    def mass(self, q: Tensor) -> Tensor:
        """M(q) (..., 2, 2), symmetric and positive definite."""
        m1, m2 = self.masses
        one, two = self.lengths
        cos = torch.cos(q[..., 1])
        both = m2 * one * two * cos
        last = torch.full_like(cos, m2 * two**2)
        first = (m1 + m2) * one**2 + last + 2 * both
        rows = [first, last + both, last + both, last]
        return torch.stack(rows, -1).unflatten(-1, (2, 2))

    def coriolis(self, q: Tensor, w: Tensor) -> Tensor:
        """c(q, w) (..., 2): what bends a free arm's motion."""
        strength = self.masses[1] * self.lengths[0] * self.lengths[1] * torch.sin(q[..., 1])
        w1, w2 = w[..., 0], w[..., 1]
        return strength[..., None] * torch.stack([-w2 * (2 * w1 + w2), w1**2], -1)

    def holding_torque(self, q: Tensor) -> Tensor:
        """G(q) (..., 2): the torque that holds the arm still."""
        m1, m2 = self.masses
        one, two = self.lengths
        hand = self.gravity * m2 * two * torch.cos(q.sum(-1))
        arm = self.gravity * (m1 + m2) * one * torch.cos(q[..., 0])
        return torch.stack([arm + hand, hand], -1)

    def kinetic(self, q: Tensor, w: Tensor) -> Tensor:
        """w^T M(q) w / 2, (...), in J."""
        return (w * self.momentum(q, w)).sum(-1) / 2

    def potential(self, q: Tensor) -> Tensor:
        """The energy of the heights, (...), in J, 0 with the arm horizontal."""
        m1, m2 = self.masses
        return self.gravity * (m1 * self.elbow(q)[..., 1] + m2 * self.hand(q)[..., 1])

    def energy(self, y: Tensor) -> Tensor:
        """Of states (q, w) (..., 4): kept without torques."""
        q, w = y.chunk(2, -1)
        return self.kinetic(q, w) + self.potential(q)

    def momentum(self, q: Tensor, w: Tensor) -> Tensor:
        """p = M(q) w."""
        return (self.mass(q) @ w[..., None])[..., 0]

    def velocity(self, q: Tensor, p: Tensor) -> Tensor:
        """w = M(q)^-1 p."""
        return torch.linalg.solve(self.mass(q), p)

    def acceleration(self, q: Tensor, w: Tensor, torque: Tensor | float = 0.0) -> Tensor:
        """w' = M(q)^-1 (torque - c(q, w) - G(q))."""
        force = torque - self.coriolis(q, w) - self.holding_torque(q)
        return torch.linalg.solve(self.mass(q), force)

    def field(self, t: float | Tensor, y: Tensor, torque: Tensor | float = 0.0) -> Tensor:
        """d/dt of states (q, w)."""
        q, w = y.chunk(2, -1)
        return torch.cat([w, self.acceleration(q, w, torque)], -1)

    def hamiltonian(self, y: Tensor) -> Tensor:
        """H(q, p) = p^T M(q)^-1 p / 2 + V(q) of states (q, p) (..., 4): the energy."""
        q, p = y.chunk(2, -1)
        return (p * self.velocity(q, p)).sum(-1) / 2 + self.potential(q)

    def canonical_field(self, t: float | Tensor, y: Tensor, torque: Tensor | float = 0.0) -> Tensor:
        """d/dt of states (q, p): q' = dH/dp, p' = -dH/dq + torque. H is not separable."""
        q, p = y.chunk(2, -1)
        w = self.velocity(q, p)
        strength = self.masses[1] * self.lengths[0] * self.lengths[1] * torch.sin(q[..., 1])
        bent = strength * w[..., 0] * (w[..., 0] + w[..., 1])
        force = torch.stack([torch.zeros_like(bent), -bent], -1) - self.holding_torque(q)
        return torch.cat([w, force + torque], -1)


def _direction(angle: Tensor) -> Tensor:
    return torch.stack([torch.cos(angle), torch.sin(angle)], -1)
