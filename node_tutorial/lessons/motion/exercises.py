"""Exercises of lesson 13: a leg, a blend, Euler's cycle, a coupling, a period."""

import math

import numpy as np
import torch

from ...course.answers import Behavior, array, function
from ...course.exercises import Exercise, Mistake, register
from ...data.gait import MARCH, STROLL, between, pose

_BENDS = [(0.4, 0.6), (-0.3, 0.9), (0.0, 1.2), (0.8, 0.1)]


def foot_of(hip, knee):
    x = 0.45 * math.sin(hip) + 0.45 * math.sin(hip - knee)
    y = -0.45 * math.cos(hip) - 0.45 * math.cos(hip - knee)
    return [x, y]


register(
    Exercise(
        "13.1",
        "Where the foot is",
        kind=function(*_BENDS, returns=array((2,))),
        solution=foot_of,
        rtol=1e-4,
        mistakes=[
            Mistake(
                "knee from the vertical",
                lambda hip, knee: [
                    0.45 * (math.sin(hip) + math.sin(knee)),
                    -0.45 * (math.cos(hip) + math.cos(knee)),
                ],
                "Your shin does not turn with the thigh: the knee's angle is measured from the "
                "thigh, not from the vertical.",
            ),
            Mistake(
                "knee bends forward",
                lambda hip, knee: [
                    0.45 * (math.sin(hip) + math.sin(hip + knee)),
                    -0.45 * (math.cos(hip) + math.cos(hip + knee)),
                ],
                "Your knee bends forward, as a bird's seems to. Bent, the shin goes back: its "
                "angle is smaller than the thigh's.",
            ),
            Mistake(
                "shin alone",
                lambda hip, knee: [0.45 * math.sin(hip - knee), -0.45 * math.cos(hip - knee)],
                "That is the foot as seen from the knee. Add where the knee is.",
            ),
            Mistake(
                "knee instead of foot",
                lambda hip, knee: [0.45 * math.sin(hip), -0.45 * math.cos(hip)],
                "That is the knee. The foot hangs from it.",
            ),
            Mistake(
                "angles from the horizontal",
                lambda hip, knee: [
                    0.45 * (math.cos(hip) + math.cos(hip - knee)),
                    0.45 * (math.sin(hip) + math.sin(hip - knee)),
                ],
                "At angle 0 your leg lies along the x axis. It should hang down: x goes with the "
                "sine, y with minus the cosine.",
            ),
            Mistake(
                "y upside down",
                lambda hip, knee: [foot_of(hip, knee)[0], -foot_of(hip, knee)[1]],
                "Your foot is above the hip: y points up, so a foot has a negative one.",
            ),
        ],
        hints=[
            "A bone at an angle from the downward vertical ends at length * (sin, -cos).",
            "The thigh is at the angle `hip`, the shin at `hip - knee`.",
            "Add both bones.",
        ],
        meaning=(
            "Forward kinematics is a sum of bones, each turned by all the angles before it. "
            "Relative angles keep a leg in one piece, whatever a model says."
        ),
    )
)

_PHASES = [
    (math.radians(350), math.radians(10), STROLL, MARCH),
    (math.radians(10), math.radians(350), STROLL, MARCH),
    (0.4, 1.9, STROLL, MARCH),
    (5.5, 3.9, MARCH, STROLL),
]


def blend(left_a, left_b, style_a, style_b):
    middle = math.atan2(math.sin(left_a) + math.sin(left_b), math.cos(left_a) + math.cos(left_b))
    left = torch.tensor(middle)
    return pose(left, left + math.pi, between(style_a, style_b, 0.5))


def _is_a_walk(answer: Behavior) -> str | None:
    """The mean of both styles' poses in the blended phase does not slide either, and will do."""
    for (a, b, one, other), found in zip(_PHASES, answer.run()):
        middle = _middle(a, b)
        right = (blend(a, b, one, other), (_posed(middle, one) + _posed(middle, other)) / 2)
        if not any(np.abs(found - pose.numpy()).max() < 2e-3 for pose in right):
            return (
                f"For the phases {a:.2f} and {b:.2f} this is not the pose of the walker halfway. "
                "`hint(...)` unfolds the first hint."
            )
    return None


def _posed(phase, style):
    left = torch.as_tensor(phase, dtype=torch.float64)
    return pose(left, left + math.pi, style)


register(
    Exercise(
        "13.2",
        "A blend that does not slide",
        kind=function(*_PHASES, returns=array((9,), "the nine angles of a pose")),
        solution=blend,
        check=_is_a_walk,
        rtol=1e-3,
        atol=1e-3,
        mistakes=[
            Mistake(
                "average of poses",
                lambda a, b, one, other: (_posed(a, one) + _posed(b, other)) / 2,
                "That is the mean of both poses: where the walkers are out of step it slides. "
                "Blend their phases first, and then make one pose.",
            ),
            Mistake(
                "phases averaged as numbers",
                lambda a, b, one, other: _posed((a + b) / 2, between(one, other, 0.5)),
                "350 and 10 degrees are 20 apart, and your mean of them is 180: the other side of "
                "the circle. Average the points of the circle, not the numbers.",
            ),
            Mistake(
                "no style of its own",
                lambda a, b, one, other: _posed(_middle(a, b), one),
                "The phase is right. The style is still that of the first walker.",
            ),
            Mistake(
                "poses in phase, averaged by numbers",
                lambda a, b, one, other: (
                    (_posed((a + b) / 2, one) + _posed((a + b) / 2, other)) / 2
                ),
                "In step, but 350 and 10 degrees have 0 between them, not 180.",
            ),
            Mistake(
                "legs together",
                lambda a, b, one, other: _hop(_middle(a, b), between(one, other, 0.5)),
                "Both legs have the same phase: your figure hops. The right one is half a cycle "
                "behind.",
            ),
        ],
        hints=[
            "A phase is a point (cos, sin) of a circle. Add the two points.",
            "`math.atan2(sin a + sin b, cos a + cos b)` is the phase of their sum.",
            "Then `pose(left, left + math.pi, between(style_a, style_b, 0.5))`.",
        ],
        meaning=(
            "The blend is itself a walk, so its standing foot stands. What is averaged must be "
            "what may vary: a phase and a style, not the angles."
        ),
    )
)


def _hop(phase, style):
    both = torch.tensor(phase)
    return pose(both, both, style)


def _middle(a, b):
    return math.atan2(math.sin(a) + math.sin(b), math.cos(a) + math.cos(b))


def radius(h, omega):
    return math.sqrt(1 + (1 - math.sqrt(1 - (h * omega) ** 2)) / h)


register(
    Exercise(
        "13.3",
        "The radius of Euler's cycle",
        kind=function((0.05, 2 * math.pi), (0.1, 2 * math.pi), (0.2, 3.0), (0.02, 20.0)),
        solution=radius,
        mistakes=[
            Mistake(
                "the exact one",
                lambda h, omega: 1.0,
                "That is the radius of the exact cycle. Euler's steps go along tangents, outward.",
            ),
            Mistake(
                "half the expansion",
                lambda h, omega: math.sqrt(1 + h * omega**2),
                "Nearly, for small h: an expansion to first order, with a factor of 2 lost. You "
                "need none: the absolute value of the step's factor is exactly 1.",
            ),
            Mistake(
                "the expansion",
                lambda h, omega: math.sqrt(1 + h * omega**2 / 2),
                "Right for small h: this is the first term. The equation can be solved exactly.",
            ),
            Mistake(
                "a factor omega lost",
                lambda h, omega: math.sqrt(1 + h * omega),
                "Try h = 0.05 and omega = 2 pi in the panel: your circle is not the kept one.",
            ),
            Mistake(
                "the square",
                lambda h, omega: radius(h, omega) ** 2,
                "That is the square of the radius.",
            ),
            Mistake(
                "the other root",
                lambda h, omega: math.sqrt(1 + (1 + math.sqrt(1 - (h * omega) ** 2)) / h),
                "Your quadratic has two roots, and this is the larger. Steps from its circle "
                "leave it; the other one draws them to itself.",
            ),
            Mistake(
                "real part only",
                lambda h, omega: math.sqrt(1 + 2 / h),
                "You left the imaginary part of the factor out: h omega.",
            ),
        ],
        hints=[
            "One step multiplies z by 1 + h (1 + i omega - r^2). When does r stay?",
            "(1 - h s)^2 + (h omega)^2 = 1 with s = r^2 - 1.",
            "Solve for s, and take the smaller root.",
        ],
        meaning=(
            "Euler's method finds a wrong circle, and stays on it for ever. A center would have "
            "thrown it out: attraction makes the error finite, not zero."
        ),
    )
)


def coupling(detuning, rate):
    return -math.sqrt(rate**2 + detuning**2) / 2


register(
    Exercise(
        "13.4",
        "A coupling that walks",
        kind=function((0.0, 1.0), (0.3, 1.0), (0.5, 0.4), (-0.8, 0.6)),
        solution=coupling,
        mistakes=[
            Mistake(
                "locks in phase",
                lambda detuning, rate: math.sqrt(rate**2 + detuning**2) / 2,
                "The size is right. With this sign both legs step together: your figure hops.",
            ),
            Mistake(
                "detuning forgotten",
                lambda detuning, rate: -rate / 2,
                "Right for equal clocks. With a detuning they do not lock at pi exactly, and there "
                "the cosine is smaller than 1.",
            ),
            Mistake(
                "a factor 2 lost",
                lambda detuning, rate: -math.sqrt(rate**2 + detuning**2),
                "Both legs pull, so the difference obeys d' = detuning - 2 K sin d.",
            ),
            Mistake(
                "the edge of locking",
                lambda detuning, rate: -abs(detuning) / 2,
                "There they just lock, and come home at the rate 0.",
            ),
            Mistake(
                "sum instead of squares",
                lambda detuning, rate: -(rate + abs(detuning)) / 2,
                "Rate and detuning are 2 K cos d and 2 K sin d: two sides of a right triangle.",
            ),
        ],
        hints=[
            "At the lock sin d = detuning / (2 K); the slope there is -2 K cos d.",
            "cos^2 + sin^2 = 1 gives (2 K)^2.",
            "For a walk cos d has to be negative, and -2 K cos d, too.",
        ],
        meaning=(
            "Nothing tells the legs to alternate but the sign of one number. With the other sign "
            "the same legs hop."
        ),
    )
)


def _gait(period, offset, length, phase=0.3):
    t = torch.linspace(0, length, 1 + round(100 * length), dtype=torch.float64)
    angle = 2 * math.pi * t / period + phase
    return t, offset + torch.sin(angle) + 0.3 * torch.cos(2 * angle)


def period(t, x):
    x = x - x.mean()
    rises = [
        t[i] - x[i] * (t[i + 1] - t[i]) / (x[i + 1] - x[i])
        for i in range(len(x) - 1)
        if x[i] < 0 <= x[i + 1]
    ]
    return (rises[-1] - rises[0]) / (len(rises) - 1)


def _rises(t, x):
    return t[1:][(x[:-1] < 0) & (x[1:] >= 0)]


def _all_crossings(t, x):
    return t[1:][(x[:-1] < 0) != (x[1:] < 0)]


def _uneven():
    """The first gait, at irregular times."""
    t, x = _gait(1.2, 0.4, 5.5)
    kept = torch.rand(len(t), generator=torch.Generator().manual_seed(3)) < 0.5
    return t[kept], x[kept]


register(
    Exercise(
        "13.5",
        "The period of a gait",
        kind=function(_gait(1.2, 0.4, 5.5), _gait(0.9, -0.2, 4.3), _uneven()),
        solution=period,
        rtol=0.02,
        mistakes=[
            Mistake(
                "half a period",
                lambda t, x: _all_crossings(t, x - x.mean()).diff().mean(),
                "You count crossings in both directions: a cycle has two of them.",
            ),
            Mistake(
                "one gap too many",
                lambda t, x: (
                    (_rises(t, x - x.mean())[-1] - _rises(t, x - x.mean())[0])
                    / len(_rises(t, x - x.mean()))
                ),
                "Between n crossings there are n - 1 periods.",
            ),
            Mistake(
                "frequency",
                lambda t, x: 1 / period(t, x),
                "That is the number of cycles in a second.",
            ),
            Mistake(
                "angular frequency",
                lambda t, x: 2 * math.pi / period(t, x),
                "That is the angular frequency, in radians per second.",
            ),
            Mistake(
                "length by the number of crossings",
                lambda t, x: (t[-1] - t[0]) / len(_rises(t, x - x.mean())),
                "The series does not begin and end with a crossing: take the time from the first "
                "to the last of them.",
            ),
            Mistake(
                "in frames",
                lambda t, x: _rises(torch.arange(len(t)), x - x.mean()).double().diff().mean(),
                "That is in frames. A period is in seconds, and frames may be uneven.",
            ),
        ],
        hints=[
            "Take the mean off first: a hip's angle does not swing around 0.",
            "Find the places where x goes from negative to positive, one direction only.",
            "The time from the first to the last of them, by how many periods lie between.",
        ],
        otherwise="Off by more than 2 %. Draw the series, and mark the crossings that you count.",
        meaning=(
            "A period is a number that MSE does not have: a walk that is out of step has a right "
            "period, and a standing figure none."
        ),
    )
)
