"""Two players, one field: training rules of a game as solvers of a differential equation.

x is moved to lower V(x, y), y to raise it. Done in infinitely small steps this is an ODE,

    dx/dt = -dV/dx,   dy/dt = dV/dy

and a training rule is a method for it, its learning rate the step h:

    simultaneous    Euler's method
    in turn         semi-implicit Euler: y answers to the x that has just moved
    extragradient   slopes at Euler's guess of the next point (Korpelevich 1976)
    heun, rk4       Runge-Kutta methods (for GANs: Qin et al. 2020, arXiv 2010.15040)

Around an equilibrium the field of a game can turn, where that of a loss cannot: its Jacobian need
not be symmetric. Euler's method spirals out of a turning field whatever h is (lesson 01).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..solvers.odeint import odeint

Game = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (x, y) -> (dx/dt, dy/dt)

Step = Callable[[Game, Tensor, Tensor, float], tuple[Tensor, Tensor]]


def in_turn(game: Game, x: Tensor, y: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """x moves, then y, which sees the new x."""
    x = x + h * game(x, y)[0]
    return x, y + h * game(x, y)[1]


def extragradient(game: Game, x: Tensor, y: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """A step with the slopes at the point where Euler's step would end."""
    dx, dy = game(x, y)
    dx, dy = game(x + h * dx, y + h * dy)
    return x + h * dx, y + h * dy


# A step, or the name of a method of `odeint`.
RULES: dict[str, Step | str] = {
    "simultaneous": "euler",
    "in turn": in_turn,
    "extragradient": extragradient,
    "heun": "heun2",
    "rk4": "rk4",
}


def bilinear(penalty: float = 0.0) -> Game:
    """min over x, max over y of x y - penalty y^2 / 2: a rotation, with the penalty a spiral in.

    Source: Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, section 2; Qin et al. 2020.
    """
    return lambda x, y: (-y, x - penalty * y)


def dirac(penalty: float = 0.0) -> Game:
    """The Dirac-GAN: data at 0, the generator at x, the discriminator's logit y times its input.

        V = f(x y) + f(0) - penalty y^2 / 2,   f(t) = -log(1 + e^-t)

    with f'(0) = 1/2: about the equilibrium (0, 0) the eigenvalues are -penalty/2 +-
    sqrt(penalty^2 - 1)/2. The penalty is R1, the square of the discriminator's slope at the data.

    Source: Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406, definition 2.1 and section 4.1.
    """

    def field(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        slope = torch.sigmoid(-x * y)  # f'
        return -y * slope, x * slope - penalty * y

    return field


def play(game: Game, start: tuple[float, float], h: float, steps: int, rule: str) -> Tensor:
    """The players' way, (steps + 1, 2), float64, from start, by a rule with learning rate h.

    Raises:
        ValueError: for an unknown rule, a negative number of steps, or an h that is not positive.

        >>> end = play(bilinear(), (1.0, 0.0), 0.1, 100, "simultaneous")[-1]
        >>> round(float(end.norm()), 6)  # (1 + h^2)^50
        1.644632
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if not 0 < h < math.inf or steps < 0:
        raise ValueError(f"h must be positive and steps 0 or more, got h={h}, steps={steps}")
    z = torch.tensor(start, dtype=torch.float64)
    method = RULES[rule]
    if not isinstance(method, str):
        points = [z]
        for _ in range(steps):
            x, y = points[-1]
            points.append(torch.stack(method(game, x, y, h)))
        return torch.stack(points)
    if steps == 0:
        return z[None]
    times = h * torch.arange(steps + 1, dtype=torch.float64)

    def field(t: Tensor, z: Tensor) -> Tensor:
        return torch.stack(game(z[0], z[1]))

    return odeint(field, z, times, method=method)
