"""Where a Runge-Kutta method is stable: its function R(z), and the end of its region.

Source: Hairer, Wanner, "Solving Ordinary Differential Equations II", 2nd ed., IV.2 and IV.3 (below
HW II).
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .solution import Solution
from .tableaus import Tableau

_BRACKET = (0.1, 20.0)  # holds the real boundary of every explicit method of the course


def coefficients(tableau: Tableau) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (s, s), b (s,), c (s,) of a tableau of s stages, whose rows may be shorter than s."""
    s = tableau.stages
    a = np.zeros((s, s))
    for i, row in enumerate(tableau.a):
        a[i, : len(row)] = row
    return a, np.array(tableau.b), np.array(tableau.c)


def stability_function(tableau: Tableau) -> Callable[[ArrayLike], np.ndarray]:
    """R(z) = 1 + z b (I - z A)^-1 1: what one step of size 1 makes of y = 1 for y' = z y.

    HW II, (3.2). z is a number or an array, real or complex; R(z) is complex, of the shape of z.
    The step is stable where |R(z)| <= 1, z being h lambda.
    """
    a, b, _ = coefficients(tableau)

    def R(z: ArrayLike) -> np.ndarray:
        z = np.asarray(z, dtype=complex)[..., None, None]
        stages = np.linalg.solve(np.eye(len(b)) - z * a, np.ones((len(b), 1)))
        return 1 + (z[..., 0] * (b @ stages))[..., 0]

    return R


def real_boundary(tableau: Tableau) -> float:
    """The |z| at which an explicit method's region of stability ends on the negative real axis.

    By bisection: |R| is at most 1 from 0 to the boundary, and larger beyond it.
    """
    R = stability_function(tableau)
    low, high = _BRACKET
    while high - low > 1e-12:
        middle = (low + high) / 2
        if abs(R(-middle)) <= 1:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def step_ends(solution: Solution) -> Tensor:
    """The ends of the accepted steps of a recorded solution, the start first: (n + 1,), float64.

    Raises:
        ValueError: if the solve was not recorded.
    """
    if solution.steps is None:
        raise ValueError("solution has no steps: call solve(..., record=True)")
    ends = [step.t + step.h for step in solution.steps if step.accepted]
    t = torch.tensor([solution.steps[0].t, *ends], dtype=torch.float64)
    return t.clamp(max=float(solution.t[-1]))  # t + h may round to just beyond the end
