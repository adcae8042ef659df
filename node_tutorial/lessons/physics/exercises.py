"""Exercises of lesson 09: an invariant, a crossing, two postures, a torque, a divergence."""

import math

import numpy as np
import torch

from ...course.answers import Behavior, array, function
from ...course.exercises import Exercise, Mistake, register

_STATES = [(1.0, 0.0, 0.5), (0.3, -0.8, 0.5), (-1.2, 0.4, 1.0), (0.7, 0.7, 0.2)]


def invariant(q, p, h):
    return p**2 + (1 - h**2 / 4) * q**2


def _is_kept(answer: Behavior) -> str | None:
    """Whatever is the same at ten steps will do, if it tells small ellipses from large ones."""
    for q, p, h in _STATES:
        values = []
        size = float(answer(2 * q, 2 * p, h))
        for _ in range(10):
            values.append(float(answer(q, p, h)))
            p = p - h / 2 * q
            q = q + h * p
            p = p - h / 2 * q
        allowed = 1e-5 * max(1e-9, abs(values[0]))
        if not max(values) - min(values) < allowed:  # also for NaN
            return (
                f"It changes: along ten steps with h = {h:g} it goes from {min(values):.6g} to "
                f"{max(values):.6g}."
            )
        if abs(size - values[0]) < allowed:
            return (
                "It does not change, but it also has the same value for a start twice as far out. "
                "Find one that tells two orbits apart."
            )
    return None


register(
    Exercise(
        "09.1",
        "What leapfrog keeps",
        kind=function(*_STATES),
        solution=invariant,
        check=_is_kept,
        mistakes=[
            Mistake(
                "the energy",
                lambda q, p, h: p**2 + q**2,
                "That is twice the energy. Along leapfrog's steps it goes up and down by h^2/4 of "
                "itself: print it for ten steps.",
            ),
            Mistake(
                "the energy with its half",
                lambda q, p, h: (p**2 + q**2) / 2,
                "That is the energy. Along leapfrog's steps it goes up and down by h^2/4 of "
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
            "so look for an ellipse, p^2 + c q^2.",
            "From (1, 0): q1 = 1 - h^2/2 and p1 = -h (1 - h^2/4). Both points must give the same.",
            "c = p1^2 / (1 - q1^2).",
        ],
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
                "leading terms only",
                lambda h: 18 / h**4,
                "Nearly, and right for small h: these are the leading terms. For larger h the "
                "losses of many steps multiply, and the next term counts: use the logarithms.",
            ),
            Mistake(
                "without the last term",
                lambda h: math.log(1 - h**2 / 4) / math.log(1 - h**6 / 72),
                "Nearly. RK4's factor has two terms, h^6/72 and h^8/576, and the losses of many "
                "steps multiply: use both terms, and the logarithms.",
            ),
            Mistake(
                "the amplitude's band",
                lambda h: steps_until_behind(h) / 2,
                "Your count is half of the right one: the band is one of energies, and needs no "
                "square root.",
            ),
            Mistake(
                "upside down",
                lambda h: 1 / steps_until_behind(h),
                "Your fraction is upside down: the smaller the loss of a step, the more steps.",
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


def _are_postures(answer: Behavior) -> str | None:
    """Angles count modulo a whole turn."""
    for found, target in zip(answer.run(), _TARGETS):
        off = np.asarray(found, dtype=float) - np.asarray(postures(*target))
        if not np.abs(np.angle(np.exp(1j * off))).max() < 2e-3:  # also for NaN
            return (
                f"For the target {target} these are not both postures, elbow down first. Put "
                "your angles into `arm.hand`: do they bring the hand there?"
            )
    return None


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
        check=_are_postures,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "elbow up first",
                lambda x, y: postures(x, y)[::-1],
                "Both are right, in the other order: elbow down, with q2 > 0, comes first.",
            ),
            Mistake(
                "degrees",
                lambda x, y: np.degrees(postures(x, y)),
                "These are degrees; angles are in radians.",
            ),
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
        meaning=(
            "Algebra, and exact: where a hand is, no differential equation is needed. Where the "
            "arm is straight the two become one."
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
        "09.4",
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
                "out than the elbow.",
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
                "sine for cosine",
                _torque(
                    lambda q1, q2: 9.81 * (1.5 * math.sin(q1) + 0.4 * math.sin(q1 + q2)),
                    lambda q1, q2: 9.81 * 0.4 * math.sin(q1 + q2),
                ),
                "Your angles are from the vertical. Here q1 = 0 is horizontal, where the lever is "
                "longest.",
            ),
            Mistake(
                "elbow first",
                lambda q1, q2: holding_torque(q1, q2)[::-1],
                "The shoulder's torque comes first.",
            ),
            Mistake(
                "without g",
                lambda q1, q2: [x / 9.81 for x in holding_torque(q1, q2)],
                "Levers times masses: now times g.",
            ),
            Mistake(
                "masses swapped",
                _torque(
                    lambda q1, q2: 9.81 * (1.5 * math.cos(q1) + 0.8 * math.cos(q1 + q2)),
                    lambda q1, q2: 9.81 * 0.8 * math.cos(q1 + q2),
                ),
                "The hand has 0.5 kg, the elbow 1 kg.",
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


def divergence(jacobian):
    return jacobian.diagonal().sum()


_JACOBIANS = [
    (torch.tensor([[0.0, 1.0], [-1.0, 0.0]]),),
    (torch.tensor([[0.0, 1.0], [-1.0, -0.5]]),),
    (torch.tensor([[0.2, 3.0], [1.0, 0.4]]),),
    (torch.arange(16.0).reshape(4, 4).sin(),),
]

register(
    Exercise(
        "09.5",
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
                "difference of the diagonal",
                lambda jacobian: jacobian[0, 0] - jacobian[1, 1],
                "Where q spreads and p shrinks by as much, areas are kept: the two must add up.",
            ),
            Mistake(
                "two variables only",
                lambda jacobian: jacobian[0, 0] + jacobian[1, 1],
                "Right in the plane. An arm has two angles and two momenta: take all of them.",
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
            "Zero everywhere, in the plane: there is an H. In more dimensions it must be 0, and "
            "more is asked. The arm in angles and velocities has 0.37 at one point, so its "
            "field is q' = dH/dw, w' = -dH/dq for no H, and a Hamiltonian net cannot learn it."
        ),
    )
)
