"""Measures of a motion: its period, how far feet slide, how it jerks, and a loop's seam.

A motion is times t (T,) in seconds and angles (T, 9) of `gait.py`, or any numbers (T, D) where no
feet are asked for. None of them is MSE, which a figure that stands still does well by.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .gait import feet

LEAST_RANGE = 1e-3  # of what is said to move: of an angle a twentieth of a degree
DEPTH = 0.1  # of its range by which a series has to be below its mean between two crossings


def check_motion(t: Tensor, x: Tensor, name: str = "angles") -> None:
    """That times (T,) and values (T, ...) make a motion.

    Raises:
        ValueError: for other shapes, fewer than two times, NaN, or times that do not increase.
    """
    if t.dim() != 1 or len(t) < 2 or x.shape[:1] != t.shape:
        raise ValueError(
            f"t must be (T,) and {name} (T, ..), with two times or more, got {tuple(t.shape)} and "
            f"{tuple(x.shape)}"
        )
    for what, values in (("t", t), (name, x)):
        bad = ~values.isfinite()
        if bad.any():
            row = int(bad.nonzero()[0, 0])
            raise ValueError(
                f"{what}[{row}] is NaN or infinite; leave that frame out, or fill it in first"
            )
    gaps = t.diff()
    if not (gaps > 0).all():
        row = int((gaps <= 0).nonzero()[0, 0])
        raise ValueError(
            f"t must increase, but t[{row + 1}] = {float(t[row + 1]):g} follows t[{row}] = "
            f"{float(t[row]):g}; sort the frames by time, and drop those that are there twice"
        )


def crossings(t: Tensor, x: Tensor) -> Tensor:
    """The times at which x (T,) crosses its mean upward, by linear interpolation.

    Between two of them x has to fall below its mean by a tenth of its range, so that a little
    noise near the mean counts once.

    Raises:
        ValueError: as `check_motion`; for a series whose range is below LEAST_RANGE. What moves so
            little stands, and what a solver's tolerance leaves of it is no gait.
    """
    check_motion(t, x, "x")
    if x.dim() != 1:
        raise ValueError(f"x must be one series (T,), got shape {tuple(x.shape)}; take one angle")
    reach = float(x.max() - x.min())
    if reach < LEAST_RANGE:
        raise ValueError(
            f"x stands, its range is {reach:.2g}: there is no gait and no period; take an angle "
            f"that moves by {LEAST_RANGE:g} or more, such as a hip"
        )
    x = x - x.mean()
    found = []
    armed = False
    for i in range(len(x) - 1):
        armed = armed or float(x[i]) < -DEPTH * reach
        if armed and x[i] < 0 <= x[i + 1]:
            found.append(t[i] - x[i] * (t[i + 1] - t[i]) / (x[i + 1] - x[i]))
            armed = False
    return torch.stack(found) if found else t[:0]


def period(t: Tensor, x: Tensor) -> float:
    """The mean time between two upward crossings of the mean, of a series x (T,).

    Raises:
        ValueError: as `crossings`; for fewer than two crossings.

        >>> t = torch.linspace(0, 20, 401)
        >>> round(period(t, torch.sin(2 * t) + 5), 3)
        3.142
    """
    at = crossings(t, x)
    if len(at) < 2:
        raise ValueError(
            f"x crosses its mean upward {len(at)} times from t = {float(t[0]):g} to "
            f"{float(t[-1]):g}, and a period takes two; give a longer series"
        )
    return float((at[-1] - at[0]) / (len(at) - 1))


def slide(t: Tensor, angles: Tensor, speed: float) -> float:
    """How fast the lower foot moves over the ground, on average, as a share of the speed.

    The hip goes forward at the speed, as on a belt. 0: the standing foot stands. 1: it goes with
    the hip, as that of a figure that is pushed along.

    Args:
        t: (T,).
        angles: (T, 9).
        speed: of the hip, in meters per second.

    Raises:
        ValueError: as `check_motion`; unless the speed is positive.
    """
    check_motion(t, angles)
    if not 0 < speed < float("inf"):
        raise ValueError(
            f"speed must be a positive number of meters per second, got {speed}; who does not get "
            "ahead does not slide"
        )
    place = feet(angles)
    lower = (place[:-1, :, 1] + place[1:, :, 1]).argmin(-1)
    moved = place.diff(dim=0)[..., 0].gather(-1, lower[:, None])[:, 0] + speed * t.diff()
    return float(moved.abs().sum() / (speed * (t[-1] - t[0])))


def jerk(t: Tensor, angles: Tensor) -> float:
    """The root mean square of the third derivative of angles (T, D), by third differences.

    Raises:
        ValueError: as `check_motion`; for fewer than four times, or times that are not evenly
            spaced.
    """
    check_motion(t, angles)
    gaps = t.diff()
    h = float(gaps.mean())
    if len(t) < 4 or float((gaps - h).abs().max()) > 1e-3 * h:
        raise ValueError(
            "t must have four times or more, evenly spaced, got gaps from "
            f"{float(gaps.min()):g} to {float(gaps.max()):g}; evaluate the motion at such times"
        )
    return float((angles.diff(n=3, dim=0) / h**3).square().mean().sqrt())


class Seam(NamedTuple):
    """What is seen where a loop begins anew.

    Attributes:
        gap: the largest jump of an angle, in radians.
        kink: the largest jump of an angle's velocity, in radians per second.
    """

    gap: float
    kink: float


def seam(t: Tensor, angles: Tensor) -> Seam:
    """Of a loop of angles (T, D), whose last time is that of the first one, a period later.

    The velocities on both sides are one-sided differences of second order.

    Raises:
        ValueError: as `jerk`.
    """
    jerk(t, angles)  # checks
    h = float(t.diff().mean())
    gap = (angles[-1] - angles[0]).abs().max()
    before = (3 * angles[-1] - 4 * angles[-2] + angles[-3]) / (2 * h)
    after = (4 * angles[1] - 3 * angles[0] - angles[2]) / (2 * h)
    return Seam(float(gap), float((after - before).abs().max()))
