"""Exercises of lesson 09: an invariant, a crossing, two postures, a divergence, a torque."""

import math

import torch

from ...course.answers import array, function
from ...course.exercises import Exercise, Mistake, register

_STATES = [(1.0, 0.0, 0.5), (0.3, -0.8, 0.5), (-1.2, 0.4, 1.0), (0.7, 0.7, 0.2)]


def invariant(q, p, h):
    return p**2 + (1 - h**2 / 4) * q**2


register(
    Exercise(
        "09.1",
        "What leapfrog keeps",
        kind=function(*_STATES),
        solution=invariant,
        mistakes=[
            Mistake(
                "the energy",
                lambda q, p, h: p**2 + q**2,
                "That is twice the energy. Along leapfrog's steps it goes up and down by h^2/4 of "
                "itself: print it for ten steps.",
            ),
            Mistake(
                "the other letter",
                lambda q, p, h: q**2 + (1 - h**2 / 4) * p**2,
                "That is kept by the method that drifts first, then kicks. Yours kicks first.",
            ),
            Mistake(
                "the other sign",
                lambda q, p, h: p**2 + (1 + h**2 / 4) * q**2,
                "The size of the correction is right. Try a single step from (1, 0): is it kept?",
            ),
            Mistake(
                "a half for a quarter",
                lambda q, p, h: p**2 + (1 - h**2 / 2) * q**2,
                "The form is right. Take one step from (1, 0), and solve for the factor of q^2.",
            ),
            Mistake(
                "semi-implicit Euler's",
                lambda q, p, h: p**2 + q**2 - h * q * p,
                "That is kept by one whole kick and one drift. Leapfrog is symmetric in time: q p "
                "would change its sign.",
            ),
        ],
        hints=[
            "One step from (q, p): p' = p - h/2 q, q1 = q + h p', p1 = p' - h/2 q1. It is linear, "
            "so "
            "look for an ellipse, p^2 + c q^2.",
            "From (1, 0): q1 = 1 - h^2/2 and p1 = -h (1 - h^2/4). Both points must give the same.",
            "c = p1^2 / (1 - q1^2).",
        ],
        otherwise=(
            "Take ten steps from (1, 0) with h = 0.5, and print your function: it must not change."
        ),
        meaning=(
            "Leapfrog does not keep the energy. It keeps another one exactly, h^2/4 beside it, and "
            "for ever: that is why its error cannot grow."
        ),
    )
)


def steps_until_behind(h):
    growth = 1 - h**6 / 72 + h**8 / 576
    band = h**2 / 4
    return math.log(1 - band) / math.log(growth)


register(
    Exercise(
        "09.2",
        "When the more accurate method is behind",
        kind=function((0.5,), (0.2,), (0.8,)),
        solution=steps_until_behind,
        rtol=2.5e-2,  # whole steps are right, too
        mistakes=[
            Mistake(
                "amplitude instead of energy",
                lambda h: 2 * steps_until_behind(h),
                "Your count is twice too large: the factor given is that of the energy, and needs "
                "no square root.",
            ),
            Mistake(
                "band not relative",
                lambda h: math.log(1 - h**2 / 8) / math.log(1 - h**6 / 72 + h**8 / 576),
                "The band h^2/8 belongs to an energy of 1/2. As a part of that energy it is twice "
                "as wide.",
            ),
            Mistake(
                "the order's power",
                lambda h: math.log(1 - h**2 / 4) / math.log(1 - h**4 / 72),
                "RK4 loses h^6/72 of its energy in a step, not h^4.",
            ),
            Mistake(
                "in periods",
                lambda h: steps_until_behind(h) * h / (2 * math.pi),
                "Right, in periods. Asked are steps.",
            ),
        ],
        hints=[
            "After n steps RK4's energy is (1 - h^6/72 + h^8/576)^n / 2.",
            "Leapfrog's lies between 1/2 - h^2/8 and 1/2.",
            "Set both lower ends equal, and take logarithms.",
        ],
        otherwise="For h = 0.5 the explorable shows the crossing in periods; a period has 2 pi / h "
        "steps.",
        meaning=(
            "At h = 0.5 that is 307 steps. Before, RK4 is the better one, and for the phase it "
            "stays so: leapfrog turns too fast by h^2/24."
        ),
    )
)

_TARGETS = [(1.2, 0.5), (-0.6, 1.1), (-0.9, -0.8), (0.4, -1.3)]


def postures(x, y):
    one, two = 1.0, 0.8
    bend = math.acos((x**2 + y**2 - one**2 - two**2) / (2 * one * two))
    found = []
    for q2 in (bend, -bend):
        q1 = math.atan2(y, x) - math.atan2(two * math.sin(q2), one + two * math.cos(q2))
        found.append([q1, q2])
    return found


def _bad(toward=math.atan2, first=True, both=True, swap=False):
    def wrong(x, y):
        one, two = 1.0, 0.8
        bend = math.acos((x**2 + y**2 - one**2 - two**2) / (2 * one * two))
        found = []
        for q2 in (bend, -bend) if both else (bend, bend):
            shift = math.atan2(two * math.sin(q2), one + two * math.cos(q2)) if first else 0.0
            found.append([toward(y, x) - shift, q2 if not swap else q2 + toward(y, x) - shift])
        return found

    return wrong


register(
    Exercise(
        "09.3",
        "Two postures for one hand",
        kind=function(*_TARGETS, returns=array((2, 2))),
        solution=postures,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "arctangent of a quotient",
                _bad(toward=lambda y, x: math.atan(y / x)),
                "Right for x > 0. For x < 0 the arctangent of y / x points the other way: "
                "`math.atan2(y, x)` knows both signs.",
            ),
            Mistake(
                "one posture twice",
                _bad(both=False),
                "Both are the same posture. The cosine of q2 does not know its sign.",
            ),
            Mistake(
                "bend of the forearm forgotten",
                _bad(first=False),
                "Your upper arm points to the target. It has to point beside it, by the angle "
                "between upper arm and target.",
            ),
            Mistake(
                "absolute angle",
                _bad(swap=True),
                "Your q2 is measured from the horizontal. It is the angle from the line of the "
                "upper arm.",
            ),
        ],
        hints=[
            "The law of cosines gives q2 from the distance to the target; there are two signs.",
            "The direction of the target is atan2(y, x). From it take the angle at the shoulder "
            "between the upper arm and the target.",
            "That angle is atan2(l2 sin q2, l1 + l2 cos q2).",
        ],
        otherwise="Put your angles into `arm.hand`: do they bring the hand to (x, y)?",
        meaning=(
            "Algebra, and exact: where a hand is, no differential equation is needed. Where the "
            "arm "
            "is straight the two become one."
        ),
    )
)


def divergence(jacobian):
    return jacobian.diagonal().sum()


_JACOBIANS = [
    (torch.tensor([[0.0, 1.0], [-1.0, 0.0]]),),
    (torch.tensor([[0.0, 1.0], [-1.0, -0.5]]),),
    (torch.tensor([[0.2, 3.0], [1.0, 0.4]]),),
]

register(
    Exercise(
        "09.4",
        "Which field can have an energy?",
        kind=function(*_JACOBIANS),
        solution=divergence,
        mistakes=[
            Mistake(
                "determinant",
                lambda jacobian: torch.linalg.det(jacobian),
                "The determinant says how the *field* squeezes, as a map. How fast areas change "
                "along the flow is another number of this matrix.",
            ),
            Mistake(
                "symmetry",
                lambda jacobian: (jacobian - jacobian.T).abs().sum(),
                "You ask whether the field is the slope of a height. An energy's field is that "
                "slope turned by a right angle.",
            ),
            Mistake(
                "sum of all entries",
                lambda jacobian: jacobian.sum(),
                "Only what changes along its own direction spreads points: the diagonal.",
            ),
        ],
        hints=[
            "For q' = dH/dp and p' = -dH/dq: what are d q'/dq and d p'/dp?",
            "They are d2H/dq dp and its negative: their sum is 0.",
            "The sum of the diagonal.",
        ],
        otherwise="For the oscillator [[0, 1], [-1, 0]] it must be 0, with friction below 0.",
        meaning=(
            "Zero everywhere, in the plane: there is an H. The arm in angles and velocities has "
            "0.37 at one point, so no H(q, w) exists, and no net can learn one."
        ),
    )
)


def holding_torque(q1, q2):
    hand = 9.81 * 0.5 * 0.8 * math.cos(q1 + q2)
    return [9.81 * (1.0 + 0.5) * 1.0 * math.cos(q1) + hand, hand]


def _torque(shoulder, hand):
    return lambda q1, q2: [shoulder(q1, q2), hand(q1, q2)]


register(
    Exercise(
        "09.5",
        "The torque that holds the arm",
        kind=function((0.0, 0.0), (0.3, 0.9), (-1.0, 2.0), (2.0, -0.5), returns=array(2)),
        solution=holding_torque,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "sign",
                lambda q1, q2: [-x for x in holding_torque(q1, q2)],
                "That is what gravity does. What holds the arm is its opposite.",
            ),
            Mistake(
                "shoulder without the hand's lever",
                _torque(
                    lambda q1, q2: 9.81 * 1.5 * math.cos(q1),
                    lambda q1, q2: 9.81 * 0.4 * math.cos(q1 + q2),
                ),
                "The shoulder carries the forearm's lever, too: the mass at the hand is further "
                "out "
                "than the elbow.",
            ),
            Mistake(
                "forearm's angle from the horizontal",
                _torque(
                    lambda q1, q2: 9.81 * 1.5 * math.cos(q1) + 9.81 * 0.4 * math.cos(q2),
                    lambda q1, q2: 9.81 * 0.4 * math.cos(q2),
                ),
                "q2 is measured from the upper arm. The forearm's angle from the horizontal is "
                "q1 + q2.",
            ),
            Mistake(
                "elbow carries no mass",
                _torque(
                    lambda q1, q2: 9.81 * (0.5 * math.cos(q1) + 0.4 * math.cos(q1 + q2)),
                    lambda q1, q2: 9.81 * 0.4 * math.cos(q1 + q2),
                ),
                "The mass of 1 kg at the elbow is missing at the shoulder.",
            ),
        ],
        hints=[
            "A mass m at the horizontal distance d asks for the torque g m d.",
            "The elbow is at the distance cos q1, the hand at cos q1 + 0.8 cos(q1 + q2), from the "
            "shoulder; from the elbow the hand is at 0.8 cos(q1 + q2).",
        ],
        otherwise="With both angles 0 it must be 18.639 at the shoulder and 3.924 at the elbow.",
        meaning=(
            "With it the arm stays where it is: its acceleration is 0. Any other torque moves it."
        ),
    )
)
