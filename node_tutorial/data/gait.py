"""A simulated walker: two legs with a phase each, joint angles, and the stick figure they move.

The angles of a pose, in radians, are relative: each joint's angle is measured from the bone before.

    hip       of a thigh from the downward vertical, forward positive
    knee      by which the shin is bent back from the thigh
    shoulder  of an upper arm from the torso, forward positive
    elbow     by which the forearm is bent forward from the upper arm
    lean      of the torso from the upward vertical, forward positive

A pose (9,) is (left hip, left knee, right hip, right knee, left shoulder, left elbow, right
shoulder, right elbow, lean). The figure walks to the right, on a belt or on the ground.

The legs' angles follow from where the feet are to be. In **stance**, a share DUTY of the cycle, a
foot goes back at constant speed and height, as seen from the hip: on the ground it stands. In
**swing** it is lifted and brought forward. So the exact walk slides nowhere. Position, velocity and
acceleration of the feet are continuous. The hip stays at one height.

Source of the idea, phases that drive preprogrammed steps: the controllers of NeuroMechFly
(Wang-Chen et al. 2024). The steps are ours. It is no model of the mechanics: nothing has a mass.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

THIGH = SHIN = 0.45  # meters
TORSO = 0.55
NECK = 0.2  # from the shoulders to the middle of the head
UPPER_ARM = 0.3
FOREARM = 0.28
REACH = 0.89  # the most that a leg is stretched, hip to foot; straight it is 0.9
DUTY = 0.6  # the share of the cycle in which a foot stands
WIDEST = 1.114  # how much farther than the ends of a stance a swing reaches: 1.11373
ANGLES = (
    "left hip",
    "left knee",
    "right hip",
    "right knee",
    "left shoulder",
    "left elbow",
    "right shoulder",
    "right elbow",
    "lean",
)
LEFT_HIP = ANGLES.index("left hip")
LEFT_SHOULDER = ANGLES.index("left shoulder")
POINTS = (
    "hip",
    "left knee",
    "left foot",
    "right knee",
    "right foot",
    "shoulders",
    "head",
    "left elbow",
    "left hand",
    "right elbow",
    "right hand",
)
BONES = ((0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (5, 6), (5, 7), (7, 8), (5, 9), (9, 10))
FEET = (2, 4)  # in POINTS
USUAL = 2 / 3  # meters per second
LONGEST = 1.25  # stride, in meters: with it the hip is 0.786 above the ground


class Style(NamedTuple):
    """How someone walks.

    Attributes:
        stride: meters that are walked in one cycle, both steps.
        lift: meters by which a foot is lifted.
        arm: amplitude of the shoulders.
        bend: mean angle of the elbows.
        lean: of the torso.
    """

    stride: float = 0.8
    lift: float = 0.08
    arm: float = 0.3
    bend: float = 0.3
    lean: float = 0.04


STROLL = Style()
MARCH = Style(lift=0.25, arm=0.8, bend=0.7, lean=-0.04)


def at_speed(speed: float, style: Style = STROLL) -> tuple[Style, float]:
    """The style and the period in which our walker walks at a speed in meters per second.

    Four times the speed: twice the stride, and half the period. (A rule of ours; people, too,
    lengthen their strides and quicken them.) `style` is that at 2/3 meters per second.

    Raises:
        ValueError: unless the speed is positive.

        >>> style, period = at_speed(2 / 3)
        >>> round(style.stride, 6), round(period, 6)
        (0.8, 1.2)
    """
    if not 0 < speed < math.inf:
        raise ValueError(
            f"speed must be a positive number of meters per second, got {speed}; who stands still "
            "has no gait"
        )
    quicker = math.sqrt(speed / USUAL)
    longer = style._replace(stride=style.stride * quicker)
    return longer, longer.stride / speed


def between(one: Style, other: Style, share: float) -> Style:
    """The style a share of the way from one to another: each number is interpolated."""
    return Style(*(a + share * (b - a) for a, b in zip(one, other)))


def hip_height(style: Style) -> float:
    """Of the hip above the ground, the same at all times.

    Raises:
        ValueError: for a stride that is negative, too long, or not finite.
    """
    if not 0 <= style.stride <= LONGEST:
        raise ValueError(
            f"style.stride must be from 0 to {LONGEST} meters, what these legs reach, got "
            f"{style.stride}; take shorter strides, and more of them"
        )
    return math.sqrt(REACH**2 - (WIDEST * DUTY * style.stride / 2) ** 2)


def foot(phase: Tensor, style: Style) -> Tensor:
    """Where a foot is, from the hip, (..., 2), at phases (...) in radians.

    At phase 0 the foot is set down in front, at 2 pi DUTY it is lifted behind.
    """
    reach = DUTY * style.stride / 2
    u = torch.remainder(phase / (2 * math.pi), 1)
    s = ((u - DUTY) / (1 - DUTY)).clamp(0, 1)
    slope = -2 * reach * (1 - DUTY) / DUTY  # of the swing's path where it meets the stance's
    rise = 2 * reach - slope
    swing = -reach + slope * s + rise * s**3 * (10 - 15 * s + 6 * s**2)
    x = torch.where(u < DUTY, reach * (1 - 2 * u / DUTY), swing)
    y = 64 * style.lift * s**3 * (1 - s) ** 3 - hip_height(style)
    return torch.stack([x, y], -1)


def pose(left: Tensor | float, right: Tensor | float, style: Style = STROLL) -> Tensor:
    """The angles (..., 9) of a walker whose legs are at the phases `left` and `right` (...), each a
    tensor or a float.

    Each arm swings against the leg of its side.

        >>> phase = torch.linspace(0, 6.28, 50)
        >>> pose(phase, phase + math.pi).shape
        torch.Size([50, 9])
    """
    legs, arms = [], []
    left, right = torch.as_tensor(left) + 0.0, torch.as_tensor(right) + 0.0
    for phase in (left, right):
        legs += list(_leg_angles(foot(phase, style)))
        arms += [-style.arm * torch.cos(phase), style.bend * (1 - torch.cos(phase) / 2)]
    return torch.stack([*legs, *arms, torch.full_like(left, style.lean)], -1)


def _leg_angles(place: Tensor) -> tuple[Tensor, Tensor]:
    """Hip and knee that bring a foot to a place (..., 2), with the knee in front."""
    knee = 2 * torch.acos(place.norm(dim=-1) / (THIGH + SHIN))
    return torch.atan2(place[..., 0], -place[..., 1]) + knee / 2, knee


def walk(
    t: Tensor, period: float, style: Style = STROLL, *, phase: float = 0.0, apart: float = math.pi
) -> Tensor:
    """The angles (T, 9) at times t (T,) of a walk at constant speed, stride / period.

    Args:
        phase: of the left leg at t = 0.
        apart: the phase of the right leg less that of the left: pi for a walk, 0 for hops.

    Raises:
        ValueError: unless the period is positive.
    """
    if not 0 < period < math.inf:
        raise ValueError(f"period must be a positive number of seconds, got {period}")
    left = phase + 2 * math.pi * t / period
    return pose(left, left + apart, style)


def leg(hip: Tensor, knee: Tensor) -> tuple[Tensor, Tensor]:
    """Where knee and foot are, from the hip, (..., 2) each: forward kinematics of one leg.

    >>> knee, foot = leg(torch.tensor(0.4), torch.tensor(0.6))
    >>> [round(x, 4) for x in (*knee.tolist(), *foot.tolist())]
    [0.1752, -0.4145, 0.0858, -0.8555]
    """
    knee_place = THIGH * _down(hip)
    return knee_place, knee_place + SHIN * _down(hip - knee)


def skeleton(angles: Tensor) -> Tensor:
    """The points (..., 11, 2) of the figure, in the order of POINTS, from the hip at (0, 0).

    Raises:
        ValueError: for angles that are not (..., 9).

        >>> skeleton(torch.zeros(9))[POINTS.index("head")].tolist()
        [0.0, 0.75]
    """
    if angles.shape[-1:] != (len(ANGLES),):
        raise ValueError(
            f"angles must be (..., {len(ANGLES)}), in the order of ANGLES, got shape "
            f"{tuple(angles.shape)}"
        )
    hip_l, knee_l, hip_r, knee_r, shoulder_l, elbow_l, shoulder_r, elbow_r, lean = angles.unbind(-1)
    origin = torch.stack([torch.zeros_like(lean)] * 2, -1)
    up = -_down(-lean)
    shoulders = TORSO * up
    points = [origin, *leg(hip_l, knee_l), *leg(hip_r, knee_r), shoulders, shoulders + NECK * up]
    for shoulder, elbow in ((shoulder_l, elbow_l), (shoulder_r, elbow_r)):
        upper = shoulders + UPPER_ARM * _down(shoulder - lean)
        points += [upper, upper + FOREARM * _down(shoulder - lean + elbow)]
    return torch.stack(points, -2)


def feet(angles: Tensor) -> Tensor:
    """Where the left and the right foot are, from the hip, (..., 2, 2)."""
    return skeleton(angles)[..., FEET, :]


def _down(angle: Tensor) -> Tensor:
    """The unit vector (..., 2) that hangs at an angle from the downward vertical."""
    return torch.stack([torch.sin(angle), -torch.cos(angle)], -1)
