"""Lesson 09: a robot arm, its two postures for a target, and how it falls when let go."""

from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from ...data.mechanics import Arm
from ...plotting import BLUE, EXACT, GRAY, SKY, VERMILLION
from ...solvers.odeint import odeint

ARM = Arm()
FRAMES = 41
FALL = 2.0  # seconds
TIMES = torch.linspace(0, FALL, FRAMES, dtype=torch.float64)
REACH = (abs(ARM.lengths[0] - ARM.lengths[1]), sum(ARM.lengths))


class RobotArm(NamedTuple):
    """The arm at a target, both postures, and as it falls from one of them.

    Attributes:
        postures: q of both, (2, 2): elbow down, up; None where the target cannot be reached.
        why: then, what the package says.
        q: the arm as drawn, (2,); time: since it was let go.
        torque: that holds it at the target; det: of the Jacobian there.
        energy: kinetic and potential, in J, at this time.
    """

    target: tuple[float, float]
    elbow: str
    postures: Tensor | None
    why: str
    q: Tensor
    time: float
    torque: Tensor
    det: float
    energy: tuple[float, float]


@lru_cache(maxsize=64)
def fallen(q1: float, q2: float) -> Tensor:
    """States (FRAMES, 4) from rest at an angle each."""
    start = torch.tensor([q1, q2, 0.0, 0.0], dtype=torch.float64)
    return odeint(ARM.field, start, TIMES, rtol=1e-6, atol=1e-6)


def compute(x: float, y: float, elbow: str, frame: int) -> RobotArm:
    target = torch.tensor([x, y], dtype=torch.float64)
    postures, why = None, ""
    q = torch.tensor([0.0, 1e-9], dtype=torch.float64)
    try:
        both = ARM.postures(target)
        postures = torch.stack([both.down, both.up])
        q = both.down if elbow == "down" else both.up
    except ValueError as error:
        why = str(error)
    way = fallen(*q.tolist())[frame]
    now, w = way[:2], way[2:]
    return RobotArm(
        target=(x, y),
        elbow=elbow,
        postures=postures,
        why=why,
        q=now,
        time=float(TIMES[frame]),
        torque=ARM.holding_torque(q),
        det=float(torch.linalg.det(ARM.jacobian(q))),
        energy=(float(ARM.kinetic(now, w)), float(ARM.potential(now))),
    )


def draw(fig: Figure, data: RobotArm) -> None:
    """The arm, its reach, the other posture, and its energy."""
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    for radius in REACH:
        left.add_patch(Circle((0, 0), radius, fill=False, color=GRAY, linewidth=1))
    left.plot(*data.target, "x", color=VERMILLION, markersize=9, markeredgewidth=2)
    if data.postures is not None:
        for q in data.postures:
            draw_arm(left, q, SKY, 2)
    draw_arm(left, data.q, BLUE, 4)
    left.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xlabel="x", ylabel="y")
    left.set_title(f"{_where(data)}\nlet go {data.time:.2f} s ago")
    names = ["kinetic", "potential", "sum"]
    values = [*data.energy, sum(data.energy)]
    right.barh(names, values, color=[BLUE, SKY, EXACT])
    right.set(xlim=(-25, 45), ylim=(2.6, -0.6), xlabel="energy in J")
    right.set_title(f"det J = {data.det:+.2f}, holding torque\n{_torques(data)}")


def draw_arm(ax: Axes, q: Tensor, color: str, width: float, joints: float = 6) -> None:
    """Both rods at the angles q (2,), and dots of the size `joints`."""
    points = torch.stack([torch.zeros_like(q), ARM.elbow(q), ARM.hand(q)])
    ax.plot(*points.T, "o-", color=color, linewidth=width, markersize=joints)


def _where(data: RobotArm) -> str:
    x, y = data.target
    if data.postures is None:
        return f"({x:.1f}, {y:.1f}) is out of reach"
    return f"hand at ({x:.1f}, {y:.1f}), elbow {data.elbow}"


def _torques(data: RobotArm) -> str:
    return f"{data.torque[0]:+.1f} and {data.torque[1]:+.1f} N m"


def describe(data: RobotArm) -> str:
    """Postures, torque and energy."""
    if data.postures is None:
        return f"The target cannot be held: {data.why}."
    (a, b), (c, d) = data.postures.tolist()
    return (
        f"Postures for ({data.target[0]:.1f}, {data.target[1]:.1f}): ({a:.2f}, {b:.2f}) and "
        f"({c:.2f}, {d:.2f}); holding torque {_torques(data)}; {data.time:.2f} s after it was let "
        f"go the energy is {sum(data.energy):.3f} J."
    )


robot_arm = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which needs the larger torque at the shoulder, elbow up or down?",
    size=(8.4, 4.6),
    controls={
        "x": slider("target x", -1.8, 1.8, value=1.2, step=0.1, format=".1f"),
        "y": slider("target y", -1.8, 1.8, value=0.5, step=0.1, format=".1f"),
        "elbow": choice("elbow", ["down", "up"], "up"),
        "frame": play("time", FRAMES, value=10, milliseconds=150),
    },
)
