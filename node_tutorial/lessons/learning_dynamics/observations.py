"""Lesson 05: noisy observations of a spiral, and how far a field or a path is from the truth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.interpolate import make_smoothing_spline
from torch import Tensor

from ...data import exact_spiral, observe, spiral

Field = Callable[[Any, Tensor], Tensor]  # (t, y) -> dy/dt

END = 12.0  # of the observations in time
NOISE = 0.1
COUNT = 60
BOX = (-2.5, 2.5)  # what pictures of the plane show, in both directions
TIMES = torch.linspace(0, END, 241, dtype=torch.float64)  # at which fields and paths are judged


def truth(t: Tensor) -> Tensor:
    """The exact states (T, 2) at times (T,)."""
    return exact_spiral(t, torch.tensor([2.0, 0.0], dtype=torch.float64))


def observations() -> tuple[Tensor, Tensor]:
    """Times (60,) and noisy states (60, 2)."""
    return observe(truth, COUNT, END, NOISE)


def smoothed(t: Tensor, y: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """States (T, 2) and slopes (T, 2) at times (T,), of cubic smoothing splines through (t, y).

    How smooth is chosen by generalized cross-validation, scipy's default. t, y: times (n,), rising,
    and states (n, 2) of the observations.
    """
    splines = [make_smoothing_spline(t.numpy(), component.numpy()) for component in y.T]
    states = np.stack([spline(at.numpy()) for spline in splines], axis=1)
    slopes = np.stack([spline.derivative()(at.numpy()) for spline in splines], axis=1)
    return torch.as_tensor(states), torch.as_tensor(slopes)


def field_error(field: Field) -> float:
    """The error of a field along the spiral up to t = 12, relative to the true field.

    Both are measured by their root mean square.
    """
    y = truth(TIMES)
    with torch.no_grad():
        true = spiral(0.0, y)
        return float((field(0.0, y) - true).norm() / true.norm())


def path_errors(t: Tensor, path: Tensor) -> tuple[float, float]:
    """Root mean square distances of states (T, 2) from the exact ones: up to t = 12, and beyond.

    t: their times (T,), rising. The second distance is 0 if no time is beyond 12.
    """
    square = (path.detach() - truth(t)).square().sum(1)
    within = float(square[t <= END].mean().sqrt())
    beyond = float(square[t > END].mean().sqrt()) if t[-1] > END else 0.0
    return within, beyond


def lead(t: Tensor, path: Tensor) -> Tensor:
    """The angles (T,) by which states (T, 2) at times (T,) are ahead of the exact ones, in radians.

    Seen from the origin, in the sense in which the spiral turns; between -pi and pi.
    """
    exact = truth(t)
    states = path.detach()
    cross = exact[:, 0] * states[:, 1] - exact[:, 1] * states[:, 0]
    return torch.atan2(cross, (exact * states).sum(1))
