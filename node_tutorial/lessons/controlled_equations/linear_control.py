"""Lesson 24: the smallest controlled equation that knows an order, dz = A1 z dX1 + A2 z dX2.

A move of (a, b) takes z to expm(a A1 + b A2) z, exactly. With A1 = [[0, 1], [0, 0]] a move to the
right adds z2 to z1; with A2 = A1^T a move up adds z1 to z2.
"""

import math

import torch
from torch import Tensor

from ...models.control_paths import levy_area

A = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
Z0 = torch.tensor([1.0, 0.0], dtype=torch.float64)


def exact(x: Tensor) -> Tensor:
    """z (T, 2) at the corners x (T, 2) of a path: one matrix exponential for each move."""
    states = [Z0]
    for move in x.diff(dim=0):
        states.append(torch.linalg.matrix_exp(torch.einsum("c,cij->ij", move, A)) @ states[-1])
    return torch.stack(states)


def corners(*points: tuple[float, float]) -> Tensor:
    """Corners of a path, (T, 2), in double precision."""
    return torch.tensor(points, dtype=torch.float64)


def circle(n: int = 200) -> Tensor:
    """A circle of area 1 from (0, 0), counterclockwise, as n lines."""
    angle = torch.linspace(0, 2 * torch.pi, n + 1, dtype=torch.float64)
    return torch.stack([angle.sin(), 1 - angle.cos()], 1) / math.sqrt(math.pi)


RIGHT_UP = corners((0, 0), (1, 0), (1, 1))
UP_RIGHT = corners((0, 0), (0, 1), (1, 1))
BENT = corners((0, 0), (2, 0), (3, 1), (1, 3))
DIAGONAL = corners((0, 0), (1, 1))
SQUARE = corners((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
EIGHT = corners((0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (-1, 0), (-1, 1), (0, 1), (0, 0))


def off_by(size: float, area: float) -> float:
    """The largest error of 1 + D + D^2 / 2 + area L (A2 A1 - A1 A2) for the open path BENT of
    this size, at Z0; L is its Levy area, D = Delta X1 A1 + Delta X2 A2.
    """
    path = size * BENT
    d = torch.einsum("c,cij->ij", path[-1] - path[0], A)
    turn = A[1] @ A[0] - A[0] @ A[1]
    formula = torch.eye(2, dtype=torch.float64) + d + d @ d / 2 + area * levy_area(path) * turn
    return float((exact(path)[-1] - formula @ Z0).abs().max())


PATHS = {
    "right, then up": RIGHT_UP,
    "up, then right": UP_RIGHT,
    "diagonal": DIAGONAL,
    "square": SQUARE,
    "square, the other way": SQUARE.flip(0),
    "figure eight": EIGHT,
    "circle": circle(),
    "there and back": torch.cat([RIGHT_UP, RIGHT_UP.flip(0)[1:]]),
}
