"""Exercises of lesson 13: a leg, a blend, Euler's cycle, a coupling, a loop."""

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
                "shin at knee less hip",
                lambda hip, knee: [
                    0.45 * (math.sin(hip) + math.sin(knee - hip)),
                    -0.45 * (math.cos(hip) + math.cos(knee - hip)),
                ],
                "The shin's angle has the wrong sign: it is that of the thigh, less the bend.",
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
                "sine and cosine swapped",
                lambda hip, knee: [
                    -0.45 * (math.cos(hip) + math.cos(hip - knee)),
                    0.45 * (math.sin(hip) + math.sin(hip - knee)),
                ],
                "You swapped x and y: the angles are from the vertical, so x goes with the sine.",
            ),
            Mistake(
                "another sine and cosine swapped",
                lambda hip, knee: [
                    0.45 * (math.cos(hip) + math.cos(hip - knee)),
                    -0.45 * (math.sin(hip) + math.sin(hip - knee)),
                ],
                "The angles are from the vertical: x goes with the sine, y with minus the cosine.",
            ),
            Mistake(
                "lengths forgotten",
                lambda hip, knee: [x / 0.45 for x in foot_of(hip, knee)],
                "Your bones have a length of 1. Each bone has 0.45 meters.",
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
                "the long way round",
                lambda a, b, one, other: _posed(
                    a + ((b - a) % (2 * math.pi)) / 2, between(one, other, 0.5)
                ),
                "From one phase to the other you always go forward, sometimes the long way round "
                "the circle: there your walker is half a cycle off.",
            ),
            Mistake(
                "the long way round, backward",
                lambda a, b, one, other: _posed(
                    b + ((a - b) % (2 * math.pi)) / 2, between(one, other, 0.5)
                ),
                "From one phase to the other you always go backward, sometimes the long way round "
                "the circle: there your walker is half a cycle off.",
            ),
            Mistake(
                "the second's style",
                lambda a, b, one, other: _posed(_middle(a, b), other),
                "The phase is right. The style is still that of the second walker.",
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


def step(radius, omega):
    s = radius**2 - 1
    return 2 * s / (s**2 + omega**2)


register(
    Exercise(
        "13.3",
        "The step of Euler's cycle",
        kind=function((1.01, 2 * math.pi), (1.4, 2 * math.pi), (1.2, 3.0), (2.0, 20.0)),
        solution=step,
        mistakes=[
            Mistake(
                "by the radius",
                lambda radius, omega: 2 * (radius - 1) / ((radius - 1) ** 2 + omega**2),
                "You took s to be radius - 1: it is the square of the radius, less 1.",
            ),
            Mistake(
                "the 1 forgotten",
                lambda radius, omega: 2 * radius**2 / (radius**4 + omega**2),
                "You took s to be the square of the radius: on the exact circle, of radius 1, no "
                "step is too long then. It is the square less 1.",
            ),
            Mistake(
                "the sign of s",
                lambda radius, omega: -step(radius, omega),
                "Your step is negative: s is the square of the radius less 1, positive outside the "
                "circle.",
            ),
            Mistake(
                "the expansion",
                lambda radius, omega: 2 * (radius**2 - 1) / omega**2,
                "Right for small steps: (h s)^2 is left out. The equation can be solved exactly.",
            ),
            Mistake(
                "half of it",
                lambda radius, omega: step(radius, omega) / 2,
                "A factor of 2 is lost: (1 - h s)^2 has the middle term 2 h s.",
            ),
            Mistake(
                "real part only",
                lambda radius, omega: 2 / (radius**2 - 1),
                "You left the imaginary part of the factor out: h omega.",
            ),
            Mistake(
                "the sign of the square",
                lambda radius, omega: 2 * (radius**2 - 1) / (omega**2 - (radius**2 - 1) ** 2),
                "A sign: (h s)^2 and (h omega)^2 stand on the same side.",
            ),
            Mistake(
                "divided by h, once too often",
                lambda radius, omega: (
                    2 * (radius**2 - 1) / math.sqrt((radius**2 - 1) ** 2 + omega**2)
                ),
                "No root is needed: divide the equation by h, and it is linear in h.",
            ),
            Mistake(
                "no step at all",
                lambda radius, omega: 0.0,
                "With h = 0 every circle is kept. Divide the equation by h, and look for the other "
                "solution.",
            ),
        ],
        hints=[
            "Write (1 - h s)^2 out: 1 - 2 h s + (h s)^2. The 1 goes.",
            "Divide by h. What is left is linear in h.",
            "s is the square of the radius, less 1.",
        ],
        meaning=(
            "Euler's method finds a wrong circle, and stays on it for ever. For one 1 % too "
            "large it takes about a thousand steps a turn; a center's circles are kept by no step."
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
                "sign of the rate",
                lambda detuning, rate: rate / 2,
                "With this sign both legs step together; and with a detuning they do not lock at "
                "pi exactly.",
            ),
            Mistake(
                "a quarter too much",
                lambda detuning, rate: -math.sqrt(rate**2 + detuning**2 / 4),
                "The rate has lost its 2: it is 2 K cos d, without a sign, as the detuning is "
                "2 K sin d.",
            ),
            Mistake(
                "another quarter too much",
                lambda detuning, rate: -math.sqrt(rate**2 / 4 + detuning**2),
                "The detuning has lost its 2: it is 2 K sin d, as the rate is 2 K cos d, without a "
                "sign.",
            ),
            Mistake(
                "sum with the detuning's sign",
                lambda detuning, rate: -(rate + detuning) / 2,
                "Rate and detuning are 2 K cos d and 2 K sin d: two sides of a right triangle. And "
                "a leg that is slower is as far off as one that is faster.",
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


def _path(frames, turns, shrink, start=0.3):
    """A latent (T, 3) on its way to an ellipse, `frames` a turn, and a number that stays."""
    angle = 2 * math.pi * torch.arange(round(turns * frames) + 1, dtype=torch.float64) / frames
    size = 1 + shrink * torch.exp(-angle / 2)
    place = [size * torch.cos(start + angle), 0.6 * size * torch.sin(start + angle)]
    return torch.stack([*place, torch.full_like(angle, 0.5)], -1)


def cut(z):
    off = (z - z[0]).norm(dim=-1)
    far = off > off.max() / 2
    away = int(far.nonzero()[0])  # the path has left,
    back = away + int((~far[away:]).nonzero()[0])  # and comes near again,
    gone = far[back:].nonzero()  # until it leaves once more
    visit = off[back : back + int(gone[0])] if len(gone) else off[back:]
    return back + int(visit.argmin())


def _off(z):
    return (z - z[0]).norm(dim=-1)


def _nearest_of_all(z):
    off = _off(z)
    away = int((off > off.max() / 2).nonzero()[0])
    return away + int(off[away:].argmin())


def _near_enough(z):
    """The first frame of the visit, without a look whether the next one is nearer."""
    far = _off(z) > _off(z).max() / 2
    away = int(far.nonzero()[0])
    return away + int((~far[away:]).nonzero()[0])


register(
    Exercise(
        "13.5",
        "Where to cut",
        kind=function(
            (_path(48.4, 5.3, 0.03),),
            (_path(60.0, 2.6, -0.04, start=1.0),),
            (_path(200.0, 2.2, 0.1, start=2.5),),
        ),
        solution=cut,
        rtol=1e-9,
        mistakes=[
            Mistake(
                "where it began",
                lambda z: int(_off(z).argmin()),
                "That is the first frame, which is nearest to itself. Let the path leave first.",
            ),
            Mistake(
                "the nearest of all others",
                lambda z: 1 + int(_off(z)[1:].argmin()),
                "Where frames are dense, the nearest of all others is the next one: the path has "
                "not left yet. Let it leave, and take its first visit.",
            ),
            Mistake(
                "the next frame",
                lambda z: 1,
                "The next frame is near because the path has not left yet. Let it leave first.",
            ),
            Mistake(
                "the nearest of all, after it has left",
                _nearest_of_all,
                "One of your returns is nearer, but comes turns later. Take the first visit.",
            ),
            Mistake(
                "the first number alone",
                lambda z: cut(z[:, :1]),
                "You look at the first number alone: it has the same value on the way there and on "
                "the way back. Compare the whole latent.",
            ),
            Mistake(
                "near enough",
                _near_enough,
                "There it begins to be near. Wait until it is nearest.",
            ),
            Mistake(
                "the farthest",
                lambda z: int(_off(z).argmax()),
                "That is where the path is farthest from its start: not a whole turn.",
            ),
            Mistake(
                "half a turn",
                lambda z: cut(z) // 2,
                "That is half a turn.",
            ),
            Mistake(
                "one too many",
                lambda z: cut(z) + 1,
                "One too many: frame 0 is where the loop begins.",
            ),
            Mistake(
                "one too few",
                lambda z: cut(z) - 1,
                "One too few: give the frame that is nearest to frame 0, not the one before.",
            ),
        ],
        hints=[
            "The distance of every frame to the first one is `(z - z[0]).norm(dim=-1)`.",
            "It begins at 0, so its smallest value says nothing. Where is it half as large as it "
            "gets?",
            "From the first frame that is so far away on, look for the first dip.",
        ],
        otherwise="Not the first return. Plot `(z - z[0]).norm(dim=-1)`, and look for its dips.",
        meaning=(
            "Cut there, and the last frame is the first one again: pose and velocity meet, since "
            "both follow from the latent."
        ),
    )
)
