"""Lesson 09: torques that bring the arm from hanging to a posture, at rest, with least effort.

The torques are constant on each of n intervals. Effort is the integral of their squares. The end of
the simulation depends on them; its Jacobian comes backward through the simulation. At a best u

    u = J^T nu,   end(u) = goal

for some nu (4,): the torques are nu carried back through time, by lesson 06's adjoint. Each
iteration solves that for the end's linear part (sequential quadratic programming with the identity
for a Hessian), and goes as far in that direction as it helps.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.integrate import solve_bvp
from torch import Tensor

from ...data.mechanics import Arm
from ...solvers.runge_kutta import RungeKutta
from ...solvers.tableaus import RK4_CLASSIC

ARM = Arm()
HANGING = torch.tensor([-math.pi / 2, 0.0, 0.0, 0.0], dtype=torch.float64)
INTERVALS = 40
ITERATIONS = 60
ONES = torch.eye(4, dtype=torch.float64)
RK4 = RungeKutta(RK4_CLASSIC)


class Effort(NamedTuple):
    """Torques u (n, 2) and the states (n + 1, 4), (q, w), to which they lead.

    Attributes:
        effort: the integral of |u|^2.
        miss: distance of the last state from the goal.
    """

    u: Tensor
    path: Tensor
    effort: float
    miss: float


def simulate(u: Tensor, seconds: float) -> Tensor:
    """States (n + 1, 4) from hanging, with torques u (n, 2), by an RK4 step for each interval."""
    h = seconds / len(u)
    path = [HANGING]
    for torque in u:
        path.append(RK4.step(partial(ARM.field, torque=torque), 0.0, path[-1], h).y1)
    return torch.stack(path)


def linearized(u: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
    """The states (n + 1, 4), and d end / d u (4, 2 n): four ways back through the simulation."""
    u = u.detach().requires_grad_()
    path = simulate(u, seconds)
    (jacobian,) = torch.autograd.grad(path[-1], u, ONES, is_grads_batched=True)
    return path.detach(), jacobian.flatten(1)


def least_effort(posture: Tensor, seconds: float) -> Effort:
    """To be at rest in a posture q (2,) after some seconds; the search starts from no torque.

    It finds a local optimum: a posture turned by 2 pi may be better. Within ITERATIONS it need not
    come to an end: look at `miss`.
    """
    goal = torch.cat([posture, torch.zeros_like(posture)])
    u = torch.zeros(INTERVALS, 2, dtype=torch.float64)
    path, jacobian = linearized(u, seconds)
    for _ in range(ITERATIONS):
        flat = u.flatten()
        miss = path[-1] - goal
        nu = torch.linalg.solve(jacobian @ jacobian.T, jacobian @ flat - miss)
        step = jacobian.T @ nu - flat
        if miss.norm() < 1e-9 and step.norm() < 1e-5 * flat.norm():
            break
        u = u + _share(u, step, goal, 2 * float(nu.abs().max()), seconds) * step.view_as(u)
        path, jacobian = linearized(u, seconds)
    off = float((path[-1] - goal).norm())
    return Effort(u, path, effort_of(u, seconds), off)


@torch.no_grad()
def _share(u: Tensor, step: Tensor, goal: Tensor, weight: float, seconds: float) -> float:
    """Of a step: halved until effort and miss together are less than before."""

    def merit(u: Tensor) -> Tensor:
        miss = simulate(u, seconds)[-1] - goal
        return u.square().sum() / 2 + weight * miss.abs().sum()

    before = merit(u)
    share = 1.0
    while share > 1e-6 and not merit(u + share * step.view_as(u)) < before:  # also if it is NaN
        share /= 2
    return share


def effort_of(u: Tensor, seconds: float) -> float:
    """The integral of |u|^2."""
    return float(u.square().sum()) * seconds / len(u)


def turned(posture: Tensor) -> list[Tensor]:
    """The posture, and the same with the shoulder a whole turn away, where that is less than
    1.2 turns from hanging.
    """
    found = []
    for turns in (-1, 0, 1):
        q = posture + torch.tensor([2 * math.pi * turns, 0.0], dtype=posture.dtype)
        if abs(float(q[0]) + math.pi / 2) < 1.2 * math.pi:
            found.append(q)
    return found


def adjoint(found: Effort, seconds: float) -> Tensor:
    """a (n + 1, 4) along a path, in (q, p): nu, carried back from the end."""
    _, jacobian = linearized(found.u, seconds)
    nu = torch.linalg.lstsq(jacobian.T, found.u.flatten()[:, None]).solution[:, 0]
    h = seconds / len(found.u)
    q, w = found.path.chunk(2, -1)
    y = torch.cat([q, ARM.momentum(q, w)], -1)
    by_p = torch.linalg.solve(ARM.mass(q[-1]), nu[2:])  # w = M^-1 p, and at the end w = 0
    a = [h * torch.cat([nu[:2], by_p])]
    for state, torque in zip(y[:-1].flip(0), found.u.flip(0)):
        state = state.clone().requires_grad_()
        end = RK4.step(partial(ARM.canonical_field, torque=torque), 0.0, state, h).y1
        a.append(torch.autograd.grad(end, state, a[-1])[0])
    return torch.stack(a[::-1])


def by_pontryagin(found: Effort, seconds: float) -> float:
    """The effort of the best torques that may change at any time, by another way.

    Pontryagin's equations in (q, p): u = a_p, and y and a follow a Hamiltonian field together.
    scipy solves this boundary-value problem, from `found` as the first guess.

    Raises:
        ValueError: if it fails.
    """
    t = np.linspace(0, seconds, len(found.path))
    q, w = found.path.chunk(2, -1)
    guess = torch.cat([q, ARM.momentum(q, w), adjoint(found, seconds)], -1).T.numpy()
    goal = found.path[-1, :2].numpy()
    start = HANGING.numpy()

    def field(t: np.ndarray, x: np.ndarray) -> np.ndarray:
        y = torch.from_numpy(x[:4].T.copy()).requires_grad_()
        a = torch.from_numpy(x[4:].T.copy())
        slope = ARM.canonical_field(0.0, y, a[:, 2:])
        (back,) = torch.autograd.grad(slope, y, -a)
        return np.concatenate([slope.detach().numpy().T, back.numpy().T])

    def ends(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.concatenate([first[:4] - start, last[:2] - goal, last[2:4]])

    solution = solve_bvp(field, ends, t, guess, tol=1e-5, max_nodes=5000)
    if not solution.success:
        raise ValueError(f"solve_bvp failed: {solution.message}")
    fine = np.linspace(0, seconds, 2001)
    return float(np.trapezoid((solution.sol(fine)[6:] ** 2).sum(0), fine))
