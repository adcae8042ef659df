"""Lesson 13: two walkers are blended, by their poses or by their phases."""

import cmath
import math
from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from ...data.gait import LEFT_SHOULDER, MARCH, STROLL, at_speed, between, feet, walk
from ...data.motion import jerk, slide
from ...plotting import exact_line, label_line
from .drawing import COLORS, draw_belt, draw_figure

PER_CYCLE = 24  # frames
FRAMES = 2 * PER_CYCLE
FINE = 240  # times in a cycle, for the measures
STYLES = {"stroll": STROLL, "march": MARCH}


class Walking(NamedTuple):
    """Two walkers and their blend.

    Attributes:
        second: the style of the second walker; the first strolls.
        apart: the phase of the second walker less that of the first, radians.
        blend: "poses" or "phases".
        share: of the second walker.
        frame: of FRAMES.
        period: seconds.
        poses: of both and of the blend, (3, FRAMES, 9).
        passed: meters that the belt has moved at each frame, (FRAMES,).
        slide: of the blend, share of the speed.
        rough: its jerk over that of the same walk without noise.
        swing: amplitude of the blend's shoulder; exact: by the formula.
        touched: where the lower foot was in the last half period, from the hip, piece by piece.
    """

    second: str
    apart: float
    blend: str
    share: float
    frame: int
    period: float
    poses: Tensor
    passed: Tensor
    slide: float
    rough: float
    swing: float
    exact: float
    touched: list[tuple[float, float]]


def blended(t: Tensor, speed: float, second: str, apart: float, blend: str, share: float) -> Tensor:
    """Both walkers and their blend (3, T, 9) at times t."""
    one, period = at_speed(speed)
    other, _ = at_speed(speed, STYLES[second])
    first = walk(t, period, one)
    last = walk(t, period, other, phase=apart)
    if blend == "poses":
        mixed = (1 - share) * first + share * last
    else:
        mixed = walk(t, period, between(one, other, share), phase=share * apart)
    return torch.stack([first, last, mixed])


@lru_cache(maxsize=256)
def _motion(
    second: str, apart: float, blend: str, share: float, speed: float, noise: float
) -> Walking:
    period = at_speed(speed)[1]
    t = period / PER_CYCLE * torch.arange(FRAMES, dtype=torch.float64)
    fine = period / FINE * torch.arange(2 * FINE + 1, dtype=torch.float64)
    chance = torch.Generator().manual_seed(0)
    poses = blended(t, speed, second, apart, blend, share)
    shaken = noise * torch.randn(poses[2].shape, generator=chance, dtype=torch.float64)
    poses[2] += shaken
    smooth = blended(fine, speed, second, apart, blend, share)[2]
    times = torch.cat([t, t[-1:] + t[1:2]])
    looped = torch.cat([poses[2], poses[2, :1]])
    moving = smooth if noise == 0 else looped
    clock = fine if noise == 0 else times
    whole = blended(times, speed, second, apart, "phases", share)[2]
    arm = smooth[:, LEFT_SHOULDER]
    other = STYLES[second]
    turned = other.arm * cmath.exp(1j * apart)
    by_poses = abs((1 - share) * STROLL.arm + share * turned)
    exact = by_poses if blend == "poses" else between(STROLL, other, share).arm
    return Walking(
        second=second,
        apart=apart,
        blend=blend,
        share=share,
        frame=0,
        period=period,
        poses=poses,
        passed=speed * t,
        slide=slide(clock, moving, speed),
        rough=jerk(times, looped) / jerk(times, whole),
        swing=float(arm.max() - arm.min()) / 2,
        exact=exact,
        touched=[],
    )


def compute(
    frame: int, blend: str, second: str, apart: float, share: float, speed: float, noise: float
) -> Walking:
    data = _motion(second, round(apart * math.pi, 12), blend, share, speed, noise)
    return data._replace(frame=frame, touched=_touched(data, frame))


def _touched(data: Walking, frame: int) -> list[tuple[float, float]]:
    """Of the frames of the last half period, from where to where the lower foot moved on the
    ground, as the ground lies now.
    """
    window = [i % FRAMES for i in range(frame - PER_CYCLE // 2, frame + 1)]
    place = feet(data.poses[2, window])
    stride_of_frame = float(data.passed[1] - data.passed[0])
    pieces = []
    for k in range(len(window) - 1):
        lower = int((place[k, :, 1] + place[k + 1, :, 1]).argmin())
        back = (len(window) - 1 - k) * stride_of_frame
        start = float(place[k, lower, 0]) - back
        end = float(place[k + 1, lower, 0]) - back + stride_of_frame
        if -0.6 < start < 0.6:
            pieces.append((start, end))
    return pieces


def draw(fig: Figure, data: Walking) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.5])
    k = data.frame
    for who, name in enumerate(("one", "other")):
        draw_figure(left, data.poses[who, k], COLORS[name], 1.6)
    draw_figure(left, data.poses[2, k])
    draw_belt(left, float(data.passed[k]), data.touched)
    left.set_title(f"blend of {data.blend}\nslides by {100 * data.slide:.0f} % of its way")
    t = data.passed / float(data.passed[PER_CYCLE])
    for who, name in enumerate(("one", "other", "blend")):
        values = data.poses[who, :, LEFT_SHOULDER]
        right.plot(t, values, color=COLORS[name], linewidth=2.6 if name == "blend" else 1.5)
        right.plot(t[k], values[k], "o", color=COLORS[name], markersize=7)
    for level in (data.exact, -data.exact):
        exact_line([0, 2], [level, level], ax=right, label=None)
    right.set(xlim=(0, 2.35), ylim=(-1, 1), xlabel="cycles", ylabel="left shoulder (rad)")
    label_line(right.lines[0], "first", dx=7)
    label_line(right.lines[2], "second")
    label_line(right.lines[4], "blend")
    right.set_title(
        f"{data.apart / math.pi:.2f} pi apart, period {data.period:.2f} s\n"
        f"amplitude {data.swing:.3f}, formula {data.exact:.3f}"
    )


def describe(data: Walking) -> str:
    return (
        f"Frame {data.frame + 1} of {FRAMES}. A stroll and a {data.second} "
        f"{data.apart / math.pi:.2f} pi apart, blended by {data.blend} with a share of "
        f"{data.share:.2f}: the blend slides by "
        f"{100 * data.slide:.0f} % of its way, its arm swings by {data.swing:.3f} rad (formula "
        f"{data.exact:.3f}), its jerk is {data.rough:.2f} times that of a clean walk."
    )


walking_figure = explorable(
    compute,
    draw,
    describe,
    question="Predict first: the mean of two walkers half a cycle apart, how does it walk?",
    size=(8.4, 4.4),
    controls={
        "frame": play("time", FRAMES, value=8, milliseconds=120),
        "blend": choice("blend", ["poses", "phases"]),
        "second": choice("second walker", ["stroll", "march"]),
        "apart": slider("phase difference / pi", 0.0, 1.0, value=1.0, step=0.05),
        "share": slider("share of the second", 0.0, 1.0, value=0.5, step=0.05),
        "speed": slider("speed (m/s)", 0.3, 1.5, value=0.7, step=0.1, format=".1f"),
        "noise": slider("noise (rad)", 0.0, 0.1, value=0.0, step=0.01),
    },
)
